"""All bars: whatever the modules in bars/ list as BARS."""

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bars.bar import Bar, Cell

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@cache
def load_bars() -> tuple[Bar, ...]:
    """Bars of all modules, in the order of the sections."""
    import bars

    names = sorted(found.name for found in pkgutil.iter_modules(bars.__path__) if found.name != "bar")
    return tuple(collected(importlib.import_module(f"bars.{name}") for name in names))


def collected(modules: Iterable[ModuleType]) -> list[Bar]:
    """Bars of these modules; two of one name, or a cell twice, are refused."""
    found: dict[str, Bar] = {}
    for module in modules:
        for bar in getattr(module, "BARS", ()):
            if bar.name in found:
                raise ValueError(f"two bars are called {bar.name!r}; the second is in {module.__name__}.")
            _check_cells(bar)
            found[bar.name] = bar
    return sorted(found.values(), key=lambda bar: (bar.section, bar.name))


def _check_cells(bar: Bar) -> None:
    if not bar.cells:
        raise ValueError(f"bar {bar.name!r} has no cells.")
    for cells in (bar.cells, bar.smoke):
        told = [cell_text(cell) for cell in cells]
        if len(set(told)) < len(told):
            raise ValueError(f"bar {bar.name!r} has a cell twice: {told}.")


def find_bar(name: str) -> Bar:
    """One bar by its name."""
    return next(bar for bar in load_bars() if bar.name == name)


def cell_text(cell: Cell) -> str:
    """A cell as one line, the same whatever the order of its keys."""
    return ", ".join(f"{key}={_shown(value)}" for key, value in sorted(cell.items())) or "all"


def _shown(value: Any) -> str:
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return str(value.item() if hasattr(value, "item") else value)


def sources_digest() -> str:
    """Short hash of all code that figures rest on: results of other code are not kept."""
    import geostat

    package = Path(inspect.getfile(geostat)).parent
    folders = [package / "linalg", package / "nulls", package / "statistics", HERE / "bars"]
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
