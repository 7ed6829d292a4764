"""Training several branches: processes that go away, runs that diverge, and what is told of them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from geostat.errors import NonFiniteError, ProtocolError, StoreError
from geostat.lab.workers import _give_up, _receive, _send, run_tasks


@dataclass(frozen=True)
class Job:
    name: str
    start: str | None = None
    steps: int = 2
    diverges: bool = False
    out: Path = Path("study")
    done: bool = False
    begun: list = field(default_factory=list, compare=False)

    def run(self, on_step):
        self.begun.append(self.name)
        if self.diverges:
            raise NonFiniteError("the gradient at step 0 has the norm nan.")
        for step in range(self.steps):
            on_step(step + 1)


class Gone:
    """A pipe whose other end is gone."""

    def __init__(self, error):
        self.error = error

    def send(self, task):
        raise self.error

    def recv(self):
        raise self.error


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(), BrokenPipeError()])
def test_a_process_that_is_gone_is_told_with_its_branch(error):
    for spoken in (lambda: _send(Gone(error), Job("sft-0")), lambda: _receive(Gone(error), Job("sft-0"))):
        with pytest.raises(StoreError, match=r"trained sft-0 ended before.*__main__.*or pass workers=1"):
            spoken()


CHAIN = (Job("base"), Job("sft-0", "base", diverges=True), Job("opd-0", "sft-0"), Job("twins/opd-0", "opd-0"))


def test_a_run_whose_start_diverged_never_begins_and_says_so():
    lost = run_tasks(CHAIN, 1, lambda event: None)
    assert {name: str(error).partition(",")[0] for name, error in lost.items()} == {
        "sft-0": "the gradient at step 0 has the norm nan.",
        "opd-0": "its start sft-0 diverged",
        "twins/opd-0": "its start sft-0 diverged",
    }
    assert not CHAIN[2].begun


def test_processes_tell_the_same_of_a_start_that_diverged():
    waiting, pending = list(CHAIN[2:]), {"opd-0", "twins/opd-0"}
    lost = {"sft-0": NonFiniteError("the gradient")}
    _give_up(waiting, pending, lost)
    assert not waiting
    assert not pending
    assert str(lost["twins/opd-0"]).startswith("its start sft-0 diverged")


def test_all_steps_of_a_call_are_known_from_the_first_on():
    events = []
    run_tasks((Job("base"), Job("sft-0", "base", steps=3)), 1, events.append)
    assert [event.total for event in events] == [5] * 5


def test_a_task_that_cannot_be_sent_is_refused_before_anything_is_trained():
    jobs = (Job("base"), Job("opd-0", begun=lambda: None))
    with pytest.raises(
        ProtocolError, match=r"opd-0 was to be trained in another process.*top level of a module"
    ):
        run_tasks(jobs, 2, lambda event: None)
