"""What the README and the pages show is true: their code runs, their commands exist."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import matplotlib
import pytest

import geostat.diagnostics  # noqa: F401  # so that the registry is full before it is copied
from geostat.cli import main
from geostat.spec import _REGISTRY  # registrations made by a page are undone
from geostat.testing import synthetic_run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXECUTED = {DOCS / "tutorial.md"}  # at build
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]
    if page not in EXECUTED and not {"generated", "_build"} & set(page.parts)
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = (100, 200, 300, 400)


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def lines_of(page: Path) -> list[str]:
    joined = (block.replace("\\\n", " ") for block in blocks(page, "shell"))
    return [line for block in joined for line in block.splitlines() if line.strip()]


def geostat_calls() -> Iterator[tuple[Path, list[str]]]:
    for page in PAGES:
        for line in lines_of(page):
            for call in line.split("&&"):
                words = shlex.split(call, comments=True)
                if words[:1] == ["geostat"]:
                    yield page, words[1:]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the runs and the store that the pages speak of."""
    for seed, run in enumerate(("opd-0", "opd-1", "sft-0", "sft-1")):
        synthetic_run(tmp_path / "runs" / run, steps=STEPS, seed=seed)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    known = dict(_REGISTRY)
    yield tmp_path
    _REGISTRY.clear()
    _REGISTRY.update(known)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
@pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")
def test_code_on_the_page_runs(page: Path, home: Path):
    import geostat as gs

    if "measure" not in page.stem and page.name not in ("README.md", "index.md"):
        gs.measure("runs/opd-0/base", "runs/opd-0/step-*", store="opd-0.zarr", progress=False)
    namespace: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{name(page)}, block {number}", "exec"), namespace)


@pytest.mark.parametrize(
    ("page", "words"), list(geostat_calls()), ids=lambda v: name(v) if isinstance(v, Path) else v[0]
)
def test_command_on_the_page_is_understood(page: Path, words: list[str]):
    command: click.Command = main
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    context = command.make_context("page", words)  # raises click.UsageError where an option is not known
    assert isinstance(context, click.Context)


def test_readme_shows_the_two_commands_of_a_fresh_machine():
    lines = lines_of(ROOT / "README.md")
    assert "pip install . -c constraints.txt && geostat demo" in lines
    assert "pip install tox && tox" in lines


def test_picture_of_a_result_is_there_and_small():
    shown = {ROOT / "README.md": "docs/_static/geometry.png", DOCS / "index.md": "_static/geometry.png"}
    for page, path in shown.items():
        assert path in page.read_text(encoding="utf-8")
        assert (page.parent / path).stat().st_size < 200_000


def test_readme_names_the_version_of_torch_that_the_constraints_pin():
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert pinned[1] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_changes_count_the_diagnostics_that_there_are():
    import geostat as gs

    assert f"- {len(gs.DIAGNOSTICS)} diagnostics" in (DOCS / "changes.md").read_text(encoding="utf-8")


def test_inherited_tests_of_the_page_pass(tmp_path: Path):
    """The diagnostic and the test class shown in the how-to work together under pytest, warnings as errors."""
    shown = [code for code in blocks(DOCS / "how-to" / "diagnostic.md", "python") if "gs.measure" not in code]
    (tmp_path / "test_shown.py").write_text("\n".join(shown))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_shown.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


def test_no_formula_in_a_table_is_cut_by_a_bar():
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    cells = [cell for line in lines if line[:2] == "| " for cell in re.split(r"(?<!\\)\|", line)]
    assert len(cells) > 100
    assert [cell for cell in cells if re.sub(r"`[^`]*`", "", cell).count("$") % 2] == []
