"""What is asked of a study, checked before anything is trained."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path

from geostat.errors import ProtocolError, StoreError
from geostat.lab.checkpoints import DTYPES

__all__ = ["asked_dtypes", "asked_folder", "asked_recipes", "asked_seeds", "asked_workers", "is_count"]


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number, and at least so large.

    Parameters
    ----------
    value : object
        Any; True and False are no numbers.
    least : int
        The smallest.

    Returns
    -------
    bool
        NumPy's integers are whole numbers too.
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def asked_seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Seeds of a study.

    Parameters
    ----------
    seeds : int or iterable of int
        How many (0, 1, ...), or which.

    Returns
    -------
    tuple of int
        Each once.

    Raises
    ------
    ProtocolError
        If there is none, or one is no whole number.

    Examples
    --------
    >>> asked_seeds(3), asked_seeds([4, 7, 4])
    ((0, 1, 2), (4, 7))
    """
    asked = seeds if isinstance(seeds, Iterable) else range(seeds if is_count(seeds) else 0)
    found = tuple(dict.fromkeys(asked))
    if not found or not all(is_count(seed, 0) for seed in found):
        raise ProtocolError(
            f"seeds={seeds!r} was asked for. Pass how many, 1 or more, or which ones, such as (0, 1, 2)."
        )
    return tuple(map(int, found))


def asked_recipes(recipes: str | Iterable[str]) -> tuple[str, ...]:
    """Names of recipes.

    Parameters
    ----------
    recipes : str or iterable of str
        One, or several.

    Returns
    -------
    tuple of str
        Each once.

    Raises
    ------
    ProtocolError
        If there is none.
    """
    found = (recipes,) if isinstance(recipes, str) else tuple(dict.fromkeys(recipes))
    if not found:
        raise ProtocolError('no recipe was asked for. Pass one or several, such as ("sft", "opd").')
    return found


def asked_workers(workers: int) -> int:
    """Number of processes.

    Parameters
    ----------
    workers : int
        1 or more.

    Returns
    -------
    int
        The same.

    Raises
    ------
    ProtocolError
        If it is less, or no whole number.
    """
    if not is_count(workers):
        raise ProtocolError(f"workers={workers!r} was asked for. Pass a number of processes, 1 or more.")
    return int(workers)


def asked_dtypes(dtypes: Sequence[str], needed: str | None = None) -> tuple[str, ...]:
    """Storages of checkpoints.

    Parameters
    ----------
    dtypes : sequence of str
        ``"bf16"``, ``"fp32"`` or both.
    needed : str, optional
        One that has to be among them.

    Returns
    -------
    tuple of str
        As they were given.

    Raises
    ------
    ProtocolError
        If there is none, one is not known, one is lacking, or a single name was given in place of a sequence.
    """
    if isinstance(dtypes, str):
        raise ProtocolError(f'dtypes={dtypes!r} was asked for, one name. Pass a sequence, such as ("bf16",).')
    found = tuple(dtypes)
    if not found or not set(found) <= set(DTYPES):
        raise ProtocolError(f"dtypes={found!r} was asked for. Pass one or more of {', '.join(DTYPES)}.")
    if needed is not None and needed not in found:
        raise ProtocolError(f"dtypes={found!r} was asked for, but what is measured is {needed}. Add it.")
    return found


def asked_folder(out: str | Path) -> Path:
    """Folder of a study.

    Parameters
    ----------
    out : path
        A folder, or where one can be made.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    StoreError
        If a file is in the way.
    """
    folder = Path(out)
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise StoreError(
            f"out={str(out)!r} was asked for as the folder of a study, but {nearest} is a file. Pass a folder."
        )
    return folder
