"""Which matrices are meant by "attention", a glob, or a function."""

import re
from collections.abc import Callable, Collection, Sequence

from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.checkpoints.vocabulary import ATTENTION, LINEAR
from geostat.errors import NamingError

Selection = str | Sequence[str] | Callable[[MatrixRef], bool]
"""Keyword, name or glob; several of these; or a function of a MatrixRef."""

KEYWORDS = {"attention": ATTENTION, "linear": LINEAR, "all": None}
"""Modules of each keyword; None for every module."""


def check_selection(matrices: object) -> None:
    """Refuse what can select nothing, such as a number or a path."""
    if isinstance(matrices, str) or callable(matrices):
        return
    if isinstance(matrices, Collection) and all(isinstance(text, str) for text in matrices):
        return
    raise NamingError(
        f"matrices={matrices!r} is a {type(matrices).__name__}, which selects nothing. Pass 'attention', "
        "'linear', 'all', a name or a glob such as '*q_proj', a list of these, or a function of a MatrixRef."
    )


def is_selected(ref: MatrixRef, matrices: Selection) -> bool:
    """Whether a matrix is among those asked for."""
    if isinstance(matrices, str):
        return _by_text(ref, matrices)
    if callable(matrices):
        return bool(matrices(ref))
    return any(_by_text(ref, text) for text in matrices)


def judged_by_name(matrices: Selection) -> bool:
    """Whether a selection rests on canonical modules, so that unknown names escape it."""
    if callable(matrices):
        return False
    texts = [matrices] if isinstance(matrices, str) else matrices
    return any(text in KEYWORDS for text in texts)


def _by_text(ref: MatrixRef, text: str) -> bool:
    if text in KEYWORDS:
        wanted = KEYWORDS[text]
        return wanted is None or ref.module in wanted
    pattern = _glob(text)
    names = (ref.name, ref.tensor, ref.tensor.removesuffix(".weight"))
    return any(pattern.fullmatch(name) for name in names)


def _glob(text: str) -> re.Pattern[str]:
    """Pattern in which only ``*`` and ``?`` are special: names themselves contain brackets."""
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in text))
