"""Reference pages made from the package itself: nothing in them is kept by hand."""

import importlib
import inspect
import math
import re
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import geostat as gs
from geostat.cli import main
from geostat.protocols import PROTOCOLS, Protocol
from geostat.spec import INVARIANCES, OPERANDS, Diagnostic, Reason

SUBPACKAGES = (
    "spec",
    "protocols",
    "checkpoints",
    "trajectories",
    "statistics",
    "nulls",
    "training",
    "results",
    "report",
    "lab",
    "testing",
    "errors",
)


class Generated(SphinxDirective):
    """A directive whose content is Markdown made by `markdown`."""

    def markdown(self) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        found = self.parse_text_to_nodes(self.markdown(), allow_section_headings=True)
        for table in (table for node in found for table in node.findall(nodes.table)):
            table["classes"].append("wide")
        return found


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["::::{list-table}", ":header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [("* - " if i == 0 else "  - ") + cell for i, cell in enumerate(row)]
    return "\n".join([*lines, "::::", ""])


def bound(value: float) -> str:
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    return f"{value:.6g}"


def interval(spec: Diagnostic) -> str:
    low, high = spec.bounds
    opened, closed = ("(" if math.isinf(low) else "["), (")" if math.isinf(high) else "]")
    return f"${opened}{bound(low)}, {bound(high)}{closed}$"


def cited(reference: str, keys: frozenset[str]) -> str:
    """Turn ``key, locator`` into a citation with its place."""
    return re.sub(r"[a-z]+\d{4}", lambda m: f"{{cite:t}}`{m[0]}`" if m[0] in keys else m[0], reference)


def words(text: str) -> str:
    """Write mathematics such as dW_t as code."""
    return re.sub(r"\b(d?W_\S*?)(?=[,\s]|$)", r"`\1`", text)


class DiagnosticsTable(Generated):
    def markdown(self) -> str:
        keys = bib_keys(self.env.app)
        header = ["identifier", "what it is, symbol", "range", "defined in"]
        rows = [
            [
                f"{{py:obj}}`{name} <geostat.{name}>`",
                f"{spec.long_name}, ${spec.symbol}$",
                interval(spec) + ("" if spec.units == "1" else f" {spec.units}"),
                cited(spec.reference, keys),
            ]
            for name, spec in sorted(gs.DIAGNOSTICS.items())
        ]
        return table(header, rows)


class ComputationTable(Generated):
    def markdown(self) -> str:
        header = ["identifier", "operands", "settings", "weighting", "unchanged under"]
        rows = [
            [
                f"`{name}`" + ("" if spec.default else " (on request)"),
                ", ".join(f"`{each}`" for each in spec.operands),
                ", ".join(setting(*pair) for pair in spec.settings.items()) or "none",
                spec.weighting,
                ", ".join(each.replace("_", " ") for each in spec.invariances),
            ]
            for name, spec in sorted(gs.DIAGNOSTICS.items())
        ]
        return table(header, rows)


def setting(keyword: str, field: str) -> str:
    return f"`{keyword}`" if keyword == field else f"`{keyword}` (protocol: `{field}`)"


class OperandsTable(Generated):
    def markdown(self) -> str:
        return table(["operand", "meaning"], [[f"`{k}`", words(v)] for k, v in OPERANDS.items()])


class InvariancesTable(Generated):
    def markdown(self) -> str:
        rows = [[name.replace("_", " "), meaning] for name, meaning in INVARIANCES.items()]
        return table(["name", "what is done to all operands together"], rows)


class ProtocolsTable(Generated):
    def markdown(self) -> str:
        fields = [name for name in Protocol.__dataclass_fields__ if name != "name"]
        rows = [
            [f"`{field}`", *(shown(getattr(preset, field)) for preset in PROTOCOLS.values())]
            for field in fields
        ]
        rows.append(["hash", *(f"`{preset.hash}`" for preset in PROTOCOLS.values())])
        return table(["field", *(f"`{name}`" for name in PROTOCOLS)], rows)


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(shown(each) for each in value)
    return "not declared" if value is None else str(value)


class ReasonsTable(Generated):
    def markdown(self) -> str:
        rows = [[str(reason.value), f"`{reason.name}`", reason.sentence] for reason in Reason]
        return table(["code", "name", "meaning"], rows)


class CommandReference(SphinxDirective):
    """What ``--help`` prints, for the program and every command of it."""

    def run(self) -> list[nodes.Node]:
        return [printed([]), *(self.section(name) for name in main.commands)]

    def section(self, name: str) -> nodes.section:
        title = nodes.title(text=f"geostat {name}")
        return nodes.section("", title, printed([name]), ids=[f"geostat-{name}"], names=[f"geostat {name}"])


def printed(words: list[str]) -> nodes.literal_block:
    call = [*words, "--help"]
    result = CliRunner().invoke(main, call, prog_name="geostat", terminal_width=78, catch_exceptions=False)
    text = f"$ geostat {' '.join(call)}\n{result.output}"
    return nodes.literal_block(text, text, language="text")


def bib_keys(app: Sphinx) -> frozenset[str]:
    path = Path(app.confdir, app.config.bibtex_bibfiles[0])
    return frozenset(re.findall(r"^@\w+\{([^,]+),", path.read_text(encoding="utf-8"), re.MULTILINE))


def cite_in_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Link the keys in a docstring's References to the bibliography."""
    keys, inside = bib_keys(app), False
    for i, line in enumerate(lines):
        if line.startswith((".. rubric::", ":")):
            inside = line == ".. rubric:: References"
        elif inside:
            lines[i] = re.sub(r"[a-z]+\d{4}", lambda m: f":cite:t:`{m[0]}`" if m[0] in keys else m[0], line)


def say_et_al(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """BibTeX's ``and others`` as one reads it."""
    for text in list(doctree.findall(nodes.Text)):
        if " and others" in text:
            text.parent.replace(text, nodes.Text(re.sub(r" and others\.?", " et al.", text)))


def write_api_pages(app: Sphinx, config: Any) -> None:
    """Write one page per module, from its ``__all__``; autosummary then makes a page per name."""
    folder = Path(app.confdir, "reference", "generated")
    folder.mkdir(parents=True, exist_ok=True)
    top = {name: getattr(gs, name) for name in gs.__all__ if name != "__version__"}
    write(folder / "geostat.rst", page("geostat", top, {}))
    known = {f"geostat.{name}" for name in top}
    for short in SUBPACKAGES:
        module = importlib.import_module(f"geostat.{short}")
        own = {name: getattr(module, name) for name in module.__all__}
        elsewhere = {name: thing for name, thing in own.items() if top.get(name) is thing}
        rest = {name: thing for name, thing in own.items() if name not in elsewhere}
        write(folder / f"geostat.{short}.rst", page(module.__name__, rest, elsewhere))
        known |= {f"{module.__name__}.{name}" for name in rest}
    for stale in (stub for stub in folder.glob("api/*.rst") if stub.stem not in known):
        stale.unlink()


def write(path: Path, text: str) -> None:
    """Leave a page that says the same, so that a second build has nothing to do."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def page(module: str, names: dict[str, Any], elsewhere: dict[str, Any]) -> str:
    summary = (inspect.getdoc(importlib.import_module(module)) or "").strip()
    parts = [module, "=" * len(module), "", summary, "", f".. currentmodule:: {module}", ""]
    kinds = {
        "Functions": [n for n, f in names.items() if inspect.isfunction(f) and n not in gs.DIAGNOSTICS],
        "Diagnostics": [n for n in names if n in gs.DIAGNOSTICS],
        "Classes": [n for n, thing in names.items() if inspect.isclass(thing)],
    }
    for title, found in kinds.items():
        if found:
            parts += [title, "-" * len(title), "", ".. autosummary::", "   :toctree: api", ""]
            parts += [*(f"   {name}" for name in found), ""]
    data = [n for n in names if not any(n in found for found in kinds.values())]
    if data:
        parts += ["Data", "----", "", *(f"``{module}.{n}``\n    {meaning(module, n)}\n" for n in data)]
    if elsewhere:
        links = ", ".join(f":py:obj:`~geostat.{name}`" for name in elsewhere)
        parts += ["Also at the top level", "---------------------", "", links, ""]
    return "\n".join(parts)


def meaning(module: str, name: str) -> str:
    """First line of the string below an assignment, wherever in the package that stands."""
    from sphinx.pycode import ModuleAnalyzer

    for home in [module, *(m for m in list(_loaded()) if m.startswith("geostat."))]:
        docs = ModuleAnalyzer.for_module(home)
        docs.analyze()
        found = docs.attr_docs.get(("", name))
        if found:
            return found[0]
    return "a constant"


def _loaded() -> list[str]:
    import sys

    return [name for name, module in sys.modules.items() if name.startswith("geostat.") and module]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("diagnostics-table", DiagnosticsTable)
    app.add_directive("computation-table", ComputationTable)
    app.add_directive("operands-table", OperandsTable)
    app.add_directive("invariances-table", InvariancesTable)
    app.add_directive("protocols-table", ProtocolsTable)
    app.add_directive("reasons-table", ReasonsTable)
    app.add_directive("command-reference", CommandReference)
    app.connect("config-inited", write_api_pages)
    app.connect("doctree-resolved", say_et_al)
    app.connect("autodoc-process-docstring", cite_in_docstring, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
