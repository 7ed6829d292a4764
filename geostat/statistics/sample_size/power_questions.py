"""What a power can be the probability of, and how it follows from the seed standard deviation."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError
from geostat.statistics.runs.arguments import as_number
from geostat.statistics.sample_size import power_of_tests as tests
from geostat.statistics.sample_size.power_of_tests import Contrast, Design

__all__ = ["Question", "check_probability", "question_of"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """Power as a function of the seed standard deviation and the number of runs, and its words.

    Attributes
    ----------
    needs_sd : bool
        Whether it rests on the seed standard deviation.
    words : str
        To follow "probability".
    method : str
        Of the test or interval.
    assumptions : tuple of str
        What must hold.
    curve : callable
        Takes standard deviations and a number of runs.
    fewest : int
        Runs below which the power is 0.
    """

    needs_sd: bool
    words: str
    method: str
    assumptions: tuple[str, ...]
    curve: Callable[[Array, int], Array]
    fewest: int = 2


NORMAL = (
    "runs are independent and about normal, with one standard deviation in all recipes",
    "every recipe has the same number of runs",
)
COUNTED = ("runs are independent draws of one recipe (only the seed differs)",)


def question_of(
    procedure: str,
    asked: dict[str, float | None],
    share: float,
    design: Design,
    correlation: float,
    level: float,
) -> Question:
    """What is asked, from the arguments of `power`.

    Parameters
    ----------
    procedure : str
        What is planned.
    asked : dict
        ``effect``, ``margin``, ``half_width``, ``wanted_share``; None where not given.
    share, design, correlation, level
        As in `power`.

    Returns
    -------
    Question
        With its power.

    Raises
    ------
    SampleError
        If the procedure is unknown, or lacks an argument, or one is out of range.
    """
    _check_design(design, correlation)
    makers: dict[str, Callable[[], Question]] = {
        "compare": lambda: _comparison(_needed(asked, "effect", procedure), design, correlation, level),
        "equivalence": lambda: _equivalence(
            0.0 if asked["effect"] is None else _needed(asked, "effect", procedure),
            _needed(asked, "margin", procedure),
            design,
            correlation,
            level,
        ),
        "mean_ci": lambda: _half_width(_needed(asked, "half_width", procedure), level),
        "locked_share": lambda: _share(share, _needed(asked, "wanted_share", procedure), level),
        "median_onset": lambda: _median(level),
    }
    if not isinstance(procedure, str) or procedure not in makers:
        raise SampleError(f"procedure={procedure!r} is not known. Pass one of {', '.join(makers)}.")
    unused = [name for name, value in asked.items() if value is not None and name not in _TAKES[procedure]]
    if unused:
        raise SampleError(
            f"power({procedure!r}) has no use for {unused[0]}={asked[unused[0]]!r}. "
            f"It takes: {', '.join(_TAKES[procedure]) or 'none of these'}. Leave the rest out."
        )
    return makers[procedure]()


_TAKES: Mapping[str, tuple[str, ...]] = {
    "compare": ("effect",),
    "equivalence": ("effect", "margin"),
    "mean_ci": ("half_width",),
    "locked_share": ("wanted_share",),
    "median_onset": (),
}
"""What each procedure's question is made of, besides runs and level."""


def _comparison(effect: float, design: Design, correlation: float, level: float) -> Question:
    if effect == 0:
        raise SampleError(
            "effect=0: a test finds no difference where there is none. Pass the smallest that matters."
        )
    return Question(
        True,
        f"that a difference of {effect:g} is found",
        _TESTS[design],
        NORMAL,
        lambda sd, n: tests.power_of_comparison(effect / sd, Contrast(n, design, correlation), level),
    )


def _equivalence(effect: float, margin: float, design: Design, correlation: float, level: float) -> Question:
    if level <= 0.5:
        raise SampleError(f"level={level!r} leaves no test: two one-sided tests need a level above 0.5.")
    if not margin > 0:
        raise SampleError(
            f"margin={margin!r} is no margin. Pass the largest difference that counts as none, above 0."
        )
    return Question(
        True,
        f"that equivalence within {margin:g} is shown when the difference is {effect:g}",
        f"two one-sided tests, {_TESTS[design]}",
        NORMAL,
        lambda sd, n: tests.power_of_equivalence(
            effect / sd, margin / sd, Contrast(n, design, correlation), level
        ),
    )


_TESTS = {"welch": "Welch's t", "pooled": "pooled t", "paired": "paired t"}


def _half_width(half_width: float, level: float) -> Question:
    if not half_width > 0:
        raise SampleError(
            f"half_width={half_width!r} is no width. Pass a positive number in the metric's units."
        )
    return Question(
        True,
        f"that the interval of a mean has a half-width of at most {half_width:g}",
        "t-interval over runs",
        NORMAL[:1],
        lambda sd, n: tests.power_of_half_width(half_width / sd, n, level),
    )


def _share(share: float, wanted: float, level: float) -> Question:
    check_probability("wanted_share", wanted)
    if not 0 < as_number("share", share) <= 1:
        raise SampleError(f"share={share!r} is no share of runs: it lies in (0, 1].")
    return Question(
        False,
        f"that at least {wanted:g} of runs is shown to lock when {share:g} do",
        "Clopper-Pearson interval",
        COUNTED,
        lambda sd, n: np.full(sd.shape, tests.power_of_share(share, wanted, n, level)),
        fewest=1,
    )


def _median(level: float) -> Question:
    return Question(
        False,
        "that an interval for the median onset exists",
        "order statistics",
        COUNTED,
        lambda sd, n: np.full(sd.shape, float(tests.confidence_of_median(n) >= level)),
        fewest=1,
    )


def _needed(asked: dict[str, float | None], name: str, procedure: str) -> float:
    value = asked[name]
    if value is None or not math.isfinite(as_number(name, value)):
        raise SampleError(f"power({procedure!r}) needs {name}=, a number; found {value!r}.")
    return float(value)


def check_probability(name: str, value: float) -> None:
    """Refuse what does not lie strictly between 0 and 1.

    Parameters
    ----------
    name : str
        Argument.
    value : float
        What was passed.

    Raises
    ------
    SampleError
        If it does not.
    """
    if not 0 < as_number(name, value) < 1:
        raise SampleError(f"{name}={value!r} must lie strictly between 0 and 1.")


def _check_design(design: str, correlation: float) -> None:
    if design not in _TESTS:
        raise SampleError(f"design={design!r} is not known. Pass one of {', '.join(_TESTS)}.")
    if not 0 <= as_number("correlation", correlation) < 1 or (correlation and design != "paired"):
        raise SampleError(
            f"correlation={correlation!r} with design={design!r}: it lies in [0, 1) and belongs to 'paired' alone."
        )
