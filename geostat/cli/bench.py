"""``geostat bench``."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geostat.bench.bars import Row
    from geostat.bench.settings import Job

__all__ = ["bench"]


@click.command()
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Which; may be repeated.  [default: all]")
@click.option("--nightly", is_flag=True, help="Also the jobs that take minutes.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Medians are taken."
)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    help="Also write the table to a file; rows of other jobs that it holds stay.",
)
@click.option("--json", "json_file", metavar="FILE", help="Also write it with what it was measured on.")
@click.option(
    "--strict/--no-strict", default=True, show_default=True, help="Exit with 1 where a bar is missed."
)
@click.option("--list", "listed", is_flag=True, help="Say which jobs there are, then stop.")
def bench(
    jobs: tuple[str, ...],
    nightly: bool,
    repeats: int,
    csv_file: str | None,
    json_file: str | None,
    strict: bool,
    listed: bool,
) -> None:
    """Measure speed and errors beside the published protocol, in CPU time of one process and one thread."""
    from geostat.bench.running import chosen_jobs, run_bench
    from geostat.bench.table import bench_table

    if listed:
        for job in chosen_jobs(nightly=True):
            click.echo(f"{job.name:<16}{job.says}{' (nightly)' if job.nightly else ''}")
        return
    for path in (csv_file, json_file):
        _require_folder(path)
    rows: list[Row] = []
    before = _records_of(csv_file)
    for row in run_bench(jobs, nightly=nightly, repeats=repeats, notify=_say):
        rows.append(row)
        _write(
            rows, before, csv_file, json_file
        )  # now: what is measured is not lost if the next job is stopped
    click.echo(bench_table(rows))
    missed = [row.bar.name for row in rows if row.outcome == "missed"]
    if missed:
        click.echo(f"\n{len(missed)} of {len(rows)} bars missed: {'; '.join(missed)}.")
        raise SystemExit(1 if strict else 0)


def _say(job: "Job") -> None:
    click.echo(f"{job.name} ...", err=True)


def _require_folder(path: str | None) -> None:
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise click.UsageError(f"{path}: there is no folder {Path(path).parent}.")


def _records_of(csv_file: str | None) -> list[dict[str, Any]]:
    """What an earlier call wrote there."""
    if csv_file is None or not Path(csv_file).exists():
        return []
    with open(csv_file, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(
    rows: "Sequence[Row]", before: list[dict[str, Any]], csv_file: str | None, json_file: str | None
) -> None:
    from geostat.bench.machine import machine
    from geostat.bench.running import chosen_jobs
    from geostat.bench.table import COLUMNS, record

    records = [record(row) for row in rows]
    if csv_file is not None:
        measured = {row.job for row in rows}
        order = [job.name for job in chosen_jobs(nightly=True)]
        others = [each for each in before if each.get("job") in set(order) - measured]
        with open(csv_file, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(sorted([*others, *records], key=lambda each: order.index(str(each["job"]))))
    if json_file is not None:
        Path(json_file).write_text(
            json.dumps({"machine": machine(), "rows": records}, indent=1), encoding="utf-8"
        )
