"""What must not change an answer, and what must change it in a known way: one list for all procedures."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from geostat.errors import GeostatWarning, SmallSampleWarning
from geostat.statistics import compare, lock_brackets, mean_ci
from geostat.statistics.means.equivalence import equivalence

RECIPES = ("opd", "sft")


@dataclass(frozen=True)
class Procedure:
    """A procedure, and how its answer goes along with its data.

    `call(data, factor, shift)` asks for the data's answer with everything that is declared in the metric's
    units (margins, references) mapped like the data. `moved` are quantities that are mapped by factor and
    shift, `scaled` by the factor alone; the sign of the factor exchanges `ends`. `steps` are in steps,
    `texts` outcomes that no map changes.
    """

    call: Callable[..., Any]
    moved: tuple[str, ...] = ()
    scaled: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    ends: tuple[tuple[str, str], ...] = (("low", "high"),)
    warns_of_copies: bool = True

    def answer(self, data: xr.DataArray, factor: float = 1.0, shift: float = 0.0) -> Any:
        """Without the warnings, which are not the question here; the result keeps them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeostatWarning)
            return self.call(data, factor, shift)

    @property
    def quantities(self) -> tuple[str, ...]:
        return (*self.moved, *self.scaled, *self.steps)


def mean(variance: Any) -> Procedure:
    return Procedure(
        lambda data, factor=1.0, shift=0.0: mean_ci(data, variance=variance, scale="identity"),
        moved=("estimate", "low", "high"),
    )


def contrast(**options: Any) -> Procedure:
    return Procedure(
        lambda data, factor=1.0, shift=0.0: compare(data, *RECIPES, **options),
        scaled=("estimate", "low", "high"),
    )


def margin(factor: float, low: float = -2.0, high: float = 3.0) -> tuple[float, float]:
    first, second = sorted((factor * low, factor * high))
    return first, second


def same(**options: Any) -> Procedure:
    return Procedure(
        lambda data, factor=1.0, shift=0.0: equivalence(data, *RECIPES, margin=margin(factor), **options),
        scaled=("estimate", "low", "high", "margin_low", "margin_high"),
        texts=("outcome",),
        ends=(("low", "high"), ("margin_low", "margin_high")),
    )


PROCEDURES = {
    "mean_ci": mean("own"),
    "mean_ci, pooled": mean("pooled"),
    "mean_ci, moderated": mean("moderated"),
    "compare": contrast(),
    "compare, paired": contrast(paired=True),
    "compare, moderated": contrast(variance="moderated"),
    "equivalence": same(),
    "equivalence, paired": same(paired=True),
    "equivalence, moderated": same(variance="moderated"),
    "equivalence to a number": Procedure(
        lambda data, factor=1.0, shift=0.0: equivalence(
            data, "opd", reference=factor * 20.0 + shift, margin=margin(factor)
        ),
        scaled=("estimate", "low", "high"),
        texts=("outcome",),
    ),
    "lock_brackets": Procedure(
        lambda data, factor=1.0, shift=0.0: lock_brackets(
            data, reference=factor * 20.0 + shift, margin=abs(factor) * 1.5
        ),
        steps=("last_out", "first_in"),
        texts=("outcome",),
        warns_of_copies=False,
    ),
}


@st.composite
def studies(draw: st.DrawFn) -> xr.DataArray:
    """Runs of two recipes with the same seeds, some checkpoints missing."""
    seeds, steps, matrices = draw(st.integers(2, 4)), draw(st.integers(2, 5)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.1, 1.0, 5.0]))
    runs = 2 * seeds
    values = 20 + rng.normal(0, spread, (runs, 1, 1)) + rng.normal(0, spread, (runs, steps, matrices))
    for run in draw(st.sets(st.integers(0, runs - 1), max_size=2)):
        values[run, draw(st.integers(0, steps - 1))] = np.nan
    return xr.DataArray(
        values,
        dims=("run", "step", "matrix"),
        coords={
            "run": [f"run-{i}" for i in range(runs)],
            "recipe": ("run", [recipe for recipe in RECIPES for _ in range(seeds)]),
            "seed": ("run", [*range(seeds), *range(seeds)]),
            "step": np.cumsum(rng.integers(1, 50, steps)),
            "matrix": [f"matrix-{i}" for i in range(matrices)],
            "n_params": ("matrix", rng.integers(1, 100, matrices)),
        },
        attrs={"units": "1", "weighting": draw(st.sampled_from(["matrix", "parameters"]))},
        name="metric",
    )


few = settings(max_examples=max(3, settings.default.max_examples // 8))
"""There are many procedures, and a draw asks each of them twice."""

every_procedure = pytest.mark.parametrize("procedure", PROCEDURES.values(), ids=list(PROCEDURES))


def by_run(array: xr.DataArray, like: xr.DataArray) -> np.ndarray:
    """Values with runs and recipes in the order of another array."""
    order = {dim: like[dim].values for dim in ("run", "recipe") if dim in array.dims}
    values: np.ndarray = array.sel(order).transpose(*like.dims).values
    return values


def assert_unchanged(procedure: Procedure, first: Any, second: Any) -> None:
    assert procedure.quantities
    for name in procedure.quantities:
        a, b = first.quantity(name), second.quantity(name)
        np.testing.assert_allclose(by_run(b, a), a.values, rtol=1e-7, atol=1e-9, err_msg=name)
    for name in procedure.texts:
        a, b = first.quantity(name), second.quantity(name)
        assert by_run(b, a).tolist() == a.values.tolist()


@every_procedure
@few
@given(data=studies(), rng=st.randoms(use_true_random=False))
def test_permuting_layers_changes_nothing(procedure, data, rng):
    order = rng.sample(range(data.sizes["matrix"]), data.sizes["matrix"])
    assert_unchanged(procedure, procedure.answer(data), procedure.answer(data.isel(matrix=order)))


@every_procedure
@few
@given(data=studies(), rng=st.randoms(use_true_random=False))
def test_permuting_runs_changes_nothing(procedure, data, rng):
    order = rng.sample(range(data.sizes["run"]), data.sizes["run"])
    assert_unchanged(procedure, procedure.answer(data), procedure.answer(data.isel(run=order)))


@every_procedure
@few
@given(data=studies(), copies=st.integers(2, 4))
def test_duplicating_every_layer_changes_no_interval(procedure, data, copies):
    again = xr.concat([data] * copies, dim="matrix").assign_attrs(data.attrs)
    assert_unchanged(procedure, procedure.answer(data), procedure.answer(again))


@every_procedure
@few
@given(
    data=studies(),
    factor=st.sampled_from([-3.0, -0.5, 1e-6, 0.25, 7.0, 1e6]),
    shift=st.sampled_from([-50.0, 0.0, 1.0]),
)
def test_affine_maps_carry_over(procedure, data, factor, shift):
    shift = shift * abs(factor)  # beyond that, the shift alone would use up the digits
    mapped = (factor * data + shift).assign_attrs(data.attrs)
    plain, found = procedure.answer(data), procedure.answer(mapped, factor, shift)
    exchanged = dict(procedure.ends) | {b: a for a, b in procedure.ends} if factor < 0 else {}
    for name in (*procedure.moved, *procedure.scaled):
        expected = factor * plain.quantity(name) + (shift if name in procedure.moved else 0.0)
        np.testing.assert_allclose(
            found.quantity(exchanged.get(name, name)), expected, rtol=1e-6, atol=1e-7 * abs(factor)
        )
    for name in procedure.steps:
        np.testing.assert_array_equal(found.quantity(name), plain.quantity(name))
    for name in procedure.texts:
        assert found.quantity(name).values.tolist() == plain.quantity(name).values.tolist()


@every_procedure
@few
@given(data=studies(), factor=st.sampled_from([2, 10, 1000]))
def test_units_of_steps_scale(procedure, data, factor):
    plain = procedure.answer(data)
    found = procedure.answer(data.assign_coords(step=data["step"] * factor))
    for name in procedure.steps:
        np.testing.assert_array_equal(found.quantity(name), factor * plain.quantity(name))
    for name in (*procedure.moved, *procedure.scaled):
        np.testing.assert_array_equal(found.quantity(name).values, plain.quantity(name).values)
    for name in procedure.texts:
        assert found.quantity(name).values.tolist() == plain.quantity(name).values.tolist()


@every_procedure
@few
@given(data=studies())
def test_identical_seeds_raise_a_warning(procedure, data):
    data = data.fillna(20.0)
    data.values[1] = data.values[0]
    with warnings.catch_warnings(record=True) as given_out:
        warnings.simplefilter("always")
        found = procedure.call(data)
    told = [str(w.message) for w in given_out if issubclass(w.category, SmallSampleWarning)]
    assert any("identical seeds" in text for text in told) == procedure.warns_of_copies
    assert any("identical seeds" in text for text in found.warnings) == procedure.warns_of_copies
