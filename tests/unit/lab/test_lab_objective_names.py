"""Objectives in the settings of a study: whoever changes his own is told that the folder holds another study."""

import functools
import importlib.util
import sys
from dataclasses import replace

import pytest
import torch

from geostat.errors import StoreError
from geostat.lab import objectives
from geostat.lab.laboratory import LABORATORY
from geostat.lab.objective_names import objective_name
from geostat.lab.perturbations import PerturbedDistillation
from geostat.lab.recipes import DEMO, PRETRAINING, RECIPES
from geostat.lab.study import claim, study_settings
from geostat.lab.teacher import teacher_path

OWN = """
from geostat.lab.objectives import supervised


def mine(student, teacher, batch, generator, weight={weight}):
    return {factor} * weight * supervised(student, teacher, batch, generator)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's, written anew for each call."""

    def written(factor=1.0, weight=1.0):
        path = tmp_path / f"my_objective_{factor}_{weight}.py"
        path.write_text(OWN.format(factor=factor, weight=weight))
        spec = importlib.util.spec_from_file_location("my_objective", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "my_objective", module)
        spec.loader.exec_module(module)
        return module.mine

    return written


def test_objectives_of_geostat_keep_the_names_that_old_studies_hold():
    recipes = (*LABORATORY.recipes, *DEMO.recipes, *RECIPES.values(), PRETRAINING)
    assert all(objective_name(each.objective) == each.objective.__name__ for each in recipes)


def test_an_objective_of_ones_own_changes_its_name_with_its_source_and_defaults(own):
    names = [objective_name(own(*each)) for each in [(1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 2.0)]]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("my_objective.mine (")


def enclosing(weight):
    def objective(student, teacher, batch, generator):
        return weight * objectives.supervised(student, teacher, batch, generator)

    return objective


class Weighted:
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, student, teacher, batch, generator):
        return self.weight * objectives.supervised(student, teacher, batch, generator)

    loss = __call__


@functools.wraps(objectives.supervised)
def disguised(*asked):
    return 2 * objectives.supervised(*asked)


@pytest.mark.parametrize(
    "made",
    [
        enclosing,
        Weighted,
        lambda weight: Weighted(weight).loss,
        lambda weight: functools.partial(objectives.supervised, weight=weight),
        lambda weight: functools.partial(enclosing(weight), batch=4),
    ],
)
def test_what_an_objective_encloses_belongs_to_its_name(made):
    assert objective_name(made(1.0)) == objective_name(made(1.0)) != objective_name(made(2.0))


def test_a_disguised_objective_is_not_taken_for_that_of_geostat():
    assert objective_name(disguised) != "supervised"

    class Another(PerturbedDistillation):
        pass

    assert objective_name(Another()) != objective_name(PerturbedDistillation())


def test_without_source_bytecode_tells_objectives_apart_and_it_is_said():
    def typed(text):
        space = {"__name__": "__main__"}
        exec(compile(text, "<typed>", "exec"), space)
        return space["mine"]

    first, again, other = (objective_name(typed(f"mine = lambda *a: {n}")) for n in (1.5, 1.5, 2.5))
    assert first == again != other
    assert first.startswith("__main__.<lambda> (")
    assert "its source is not there" in first


def settings(objective):
    recipes = tuple(
        replace(each, objective=objective) if each.name == "opd" else each for each in DEMO.recipes
    )
    return study_settings(replace(DEMO, recipes=recipes), ("bf16",), teacher_path())


def test_a_changed_objective_of_the_same_name_is_another_study(own, tmp_path):
    claim(tmp_path / "study.json", settings(own(factor=1.0)))
    claim(tmp_path / "study.json", settings(own(factor=1.0)))
    with pytest.raises(StoreError, match=r"other settings \(opd: objective differ"):
        claim(tmp_path / "study.json", settings(own(factor=2.0)))


def test_what_grows_or_has_an_address_does_not_change_a_name():
    def objective(student, teacher, batch, generator, how=objectives.supervised, what=object):
        log.append(batch)
        return how(student, teacher, batch, generator) * model.scale

    class Model:
        scale = 1.0

    log, model = [], Model()
    before = objective_name(objective)
    log.append(3)
    model = Model()
    assert objective_name(objective) == before
    assert objective_name(functools.partial(objective, what=Model())) == objective_name(
        functools.partial(objective, what=Model())
    )


def test_an_enclosed_model_that_was_trained_meanwhile_does_not_change_a_name():
    model = torch.nn.Linear(2, 2)

    def objective(student, teacher, batch, generator):
        return model(teacher) + later(student)

    before = objective_name(objective)  # while `later` is not there yet

    torch.nn.init.zeros_(model.weight)
    assert objective_name(objective) == before

    def later(student):
        return student
