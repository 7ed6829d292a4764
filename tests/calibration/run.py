"""Measure every bar in every cell: ``python tests/calibration/run.py --out docs/data/calibration.csv``."""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bars.bar import Bar, Cell
from loading import HERE, ROOT, cell_text, find_bar, load_bars, sources_digest
from records import MEAN, MISSED, Record, mean_record, read, read_shortfalls, record_of, unexplained, write
from tqdm import tqdm

from geostat.errors import GeostatWarning

Task = tuple[str, int, int]
"""Name of the bar, place of the cell, replicates."""


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if every bar is met or its shortfall explained, 1 if not, 2 on errors."""
    asked = _arguments(words)
    bars = _chosen(load_bars(), asked.only)
    journal = asked.out.with_suffix(asked.out.suffix + ".part")
    if asked.fresh:
        journal.unlink(missing_ok=True)
    digest = sources_digest()
    done = _finished(journal, digest, bars, asked.fraction)
    tasks = _tasks(bars, asked.fraction, done, read(asked.out))
    if done:
        print(f"{len(done)} cells were finished before; {len(tasks)} are left.")
    failed = _measure(tasks, journal, digest, asked.workers, done)
    for task, error in failed.items():
        print(f"{task[0]} [{cell_text(find_bar(task[0]).cells[task[1]])}] failed: {error}", file=sys.stderr)
    if failed:
        return 2
    records = _in_order(bars, done)
    kept = [old for old in read(asked.out) if asked.only and old.bar not in {bar.name for bar in bars}]
    write(asked.out, sorted([*records, *kept], key=lambda record: (record.section, record.bar)))
    journal.unlink(missing_ok=True)
    verdict = _verdict(bars, records)
    if sources_digest() == digest:
        return verdict
    print("the code was changed meanwhile, so figures may be of two versions: run it again.", file=sys.stderr)
    return 2


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "data" / "calibration.csv")
    parser.add_argument("--only", action="append", help="bars whose name contains this; may be repeated")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="share of the replicates, to try things out"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has finished")
    return parser.parse_args(words)


def _chosen(bars: Sequence[Bar], only: list[str] | None) -> list[Bar]:
    found = [bar for bar in bars if not only or any(part in bar.name for part in only)]
    if not found:
        sys.exit(f"no bar is called like {only}. There are: {', '.join(bar.name for bar in bars)}")
    return found


def _n_rep(bar: Bar, fraction: float) -> int:
    return max(20, round(bar.n_rep * fraction))


def _finished(journal: Path, digest: str, bars: Iterable[Bar], fraction: float) -> dict[Task, Record]:
    """Cells that an interrupted run of the same code and size has left behind."""
    known = {
        (bar.name, cell_text(c)): (bar.name, i, _n_rep(bar, fraction))
        for bar in bars
        for i, c in enumerate(bar.cells)
    }
    found = {}
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ():
        try:
            entry = json.loads(line)
            record = Record(**entry["record"])
        except (ValueError, KeyError, TypeError):  # the last line of a killed run
            continue
        task = known.get((record.bar, record.cell))
        if task and entry["digest"] == digest and record.n_rep == task[2]:
            found[task] = record
    return found


def _tasks(
    bars: Iterable[Bar], fraction: float, done: dict[Task, Record], old: Iterable[Record]
) -> list[Task]:
    """What is left, the longest first as far as an earlier run tells."""
    seconds = {(record.bar, record.cell): record.seconds / record.n_rep for record in old}
    tasks = {
        (bar.name, i, _n_rep(bar, fraction)): seconds.get((bar.name, cell_text(cell)), 0.0)
        for bar in bars
        for i, cell in enumerate(bar.cells)
    }
    return sorted((task for task in tasks if task not in done), key=lambda task: -tasks[task] * task[2])


def measure_cell(task: Task) -> Record:
    """One cell, in whatever process."""
    name, place, n_rep = task
    bar = find_bar(name)
    cell: Cell = bar.cells[place]
    started = time.process_time()  # other work on the machine does not count
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)  # what a result notes of simulated data
        measured = bar.measure(n_rep=n_rep, rng=bar.generator(cell), **cell)
    return record_of(bar, cell_text(cell), measured, n_rep, time.process_time() - started)


def _measure(
    tasks: list[Task], journal: Path, digest: str, workers: int, done: dict[Task, Record]
) -> dict[Task, Exception]:
    """Measure tasks, write each down at once, and go on after errors."""
    failed: dict[Task, Exception] = {}
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file, tqdm(total=len(tasks), unit=" cells") as bar:
        for task, found in _results(tasks, workers):
            bar.update()
            if isinstance(found, Exception):
                failed[task] = found
                continue
            done[task] = found
            file.write(f"\n{json.dumps({'digest': digest, 'record': asdict(found)})}\n")
            file.flush()
            if found.outcome == MISSED:
                bar.write(f"{found.bar} [{found.cell}]: {found.value} +- {found.error}, missed")
    return failed


def _results(tasks: list[Task], workers: int) -> Iterator[tuple[Task, Record | Exception]]:
    if workers <= 1:
        yield from ((task, _tried(task)) for task in tasks)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _leave_interrupts_to_the_parent)
    try:
        futures = {pool.submit(measure_cell, task): task for task in tasks}
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], error if isinstance(error, Exception) else future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _tried(task: Task) -> Record | Exception:
    try:
        return measure_cell(task)
    except Exception as error:
        return error


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_order(bars: Iterable[Bar], done: dict[Task, Record]) -> list[Record]:
    found = []
    for bar in bars:
        own = {place: record for (name, place, _), record in done.items() if name == bar.name}
        records = [own[place] for place in range(len(bar.cells))]
        found += [*records, *([mean_record(bar, records)] if len(records) > 1 else [])]
    return found


def _verdict(bars: Sequence[Bar], records: list[Record]) -> int:
    """Say per bar how it went, and what is missed without a reason."""
    for bar in bars:
        own = [record for record in records if record.bar == bar.name]
        cells = [record for record in own if record.cell != MEAN]
        told = {
            name: sum(r.outcome == name for r in cells) for name in dict.fromkeys(r.outcome for r in cells)
        }
        counts = ", ".join(f"{count} {name}" for name, count in told.items())
        values = f"{min(r.value for r in cells):.4g} to {max(r.value for r in cells):.4g}"
        print(
            f"{bar.section}  {bar.name}: {counts}; {bar.quantity} {values}; {sum(r.seconds for r in cells):.0f} s"
        )
    missed = unexplained(records, bars, read_shortfalls(HERE / "shortfalls.toml"))
    for record in missed:
        told = f"{record.bar} [{record.cell}]: {record.value} +- {record.error}"
        print(f"missed without a reason in shortfalls.toml: {told}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
