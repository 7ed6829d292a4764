"""The cost of a measurement, as it is asked for."""

from click.testing import CliRunner

from geostat.cli import main


def _call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_plan_shows_every_tier_with_time_memory_and_disk(geostat_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = _call("plan", geostat_run.base, geostat_run.checkpoints, "--workers", 2)
    assert found.exit_code == 0, found.output
    head = next(line for line in found.output.splitlines() if line.startswith("tier"))
    assert head.split("  ")[0] == "tier"
    assert all(word in head for word in ("diagnostics", "time", "2 workers", "memory", "disk"))
    starts = [line.split()[0] for line in found.output.splitlines() if "MiB" in line]
    assert starts == ["elementwise", "top", "angles", "exact"]
    assert "8, shapes 48x32" in found.output
    assert list(tmp_path.iterdir()) == []


def test_plan_names_the_richest_tier_within_a_budget(geostat_run):
    found = _call("plan", geostat_run.base, geostat_run.checkpoints, "--budget", "2h")
    assert "The richest tier within the budget of 2 h is exact: pass --tier exact." in found.output


def test_plan_says_what_would_fit_where_nothing_does(geostat_run):
    found = _call("plan", geostat_run.base, geostat_run.checkpoints, "--budget", "0s")
    assert found.exit_code == 0, found.output
    assert "No tier fits the budget of 0 s." in found.output
    assert "To start and to seal take about 4 s by themselves: allow more." in " ".join(found.output.split())


def test_plan_fits_a_terminal_of_80_columns(geostat_run):
    found = _call("plan", geostat_run.base, geostat_run.checkpoints, "--budget", "0s", "--workers", 2)
    long = [line for line in found.output.splitlines() if len(line) >= 80]
    assert long == []


def test_plan_refuses_what_cannot_be_measured(geostat_run, tmp_path):
    found = _call("plan", geostat_run.base, tmp_path / "step-1")
    assert found.exit_code == 1
    assert "EmptyCheckpointError" in found.output
    found = _call("plan", geostat_run.base, geostat_run.checkpoints, "--budget", "soon")
    assert "'soon' is no duration" in found.output
