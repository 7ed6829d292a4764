"""The gate null on bf16 files: size for updates that ignore W_0, power for those that do not, and wrong nulls.

Weights are written as bf16 files and read back. W_0 has columns of unequal scale and outlying directions; the update
is independent of it, with entries that are independent (Gaussian, Student with 3 degrees of freedom) or depend on each
other along rows and columns (rank 8, scales by row), or it is Gaussian times abs(W_0)^.1.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bars.bar import Bar, Number, Share
from geostat.linalg import factored
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.gates.counts import gate_counts
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.interlacing import interlacing_test
from geostat.nulls.published.weights import heavy_tailed_weight

ALPHA = 0.05
SELECTIVITY = 0.1
INDEPENDENT = ("gaussian", "t3", "low-rank", "row-scaled", "column-scaled")


def true_update(kind: str, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An update of about unit size."""
    rows, cols = weight.shape
    if kind == "t3":
        return rng.standard_t(3, weight.shape)
    if kind == "low-rank":
        return rng.standard_normal((rows, 8)) @ rng.standard_normal((8, cols)) / np.sqrt(8)
    noise = rng.standard_normal(weight.shape)
    if kind == "row-scaled":
        return noise * np.exp(0.5 * rng.standard_normal((rows, 1)))
    if kind == "column-scaled":
        return noise * np.exp(0.5 * rng.standard_normal((1, cols)))
    if kind == "selective":
        scale = np.abs(weight).mean()
        return noise * (np.abs(weight) / scale) ** SELECTIVITY
    return noise


def through_files(*weights: torch.Tensor) -> list[torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.safetensors" for i in range(len(weights))]
        for path, weight in zip(paths, weights, strict=True):
            save_file({"weight": weight.contiguous()}, path)
        return [load_file(path)["weight"] for path in paths]


def stored_pair(
    kind: str, rng: np.random.Generator, *, size: float, rows: int, cols: int
) -> tuple[torch.Tensor, torch.Tensor]:
    start = heavy_tailed_weight(rows, cols, rng)
    weight = start.double().numpy()
    end = round_to_bf16(torch.from_numpy(weight + size * true_update(kind, weight, rng)))
    return tuple(through_files(start, end))


def law_free(start: torch.Tensor, end: torch.Tensor, rng: np.random.Generator, n: int = 499) -> float:
    """p-value of `gate_null` with method="law-free", without the figures beside it."""
    counts = gate_counts(factored(start), factored(end))
    return interlacing_test(counts, n=n, generator=rng).p_value


def rejected(
    *, update: str, size: float, n_rep: int, rng: np.random.Generator, rows: int = 256, cols: int = 256
) -> Share:
    found = [law_free(*stored_pair(update, rng, size=size, rows=rows, cols=cols), rng) for _ in range(n_rep)]
    return Share(int(np.sum(np.array(found) <= ALPHA)), n_rep)


def rejected_by(
    *,
    update: str,
    size: float,
    statistic: str,
    method: str,
    n_rep: int,
    rng: np.random.Generator,
    rows: int = 256,
    cols: int = 256,
) -> Share:
    """How often the interval of the null misses the observed figure; `law` by the fitted Student law."""
    outside = 0
    for _ in range(n_rep):
        start, end = stored_pair(update, rng, size=size, rows=rows, cols=cols)
        found = gate_null(start, end, statistic=statistic, method=method, alpha=0.3, r=32, n=199, rng=rng)
        cell = found.cells[statistic]
        cell = cell.sel(law="student-t") if method == "law" else cell
        outside += int(not cell["low"] <= cell["observed"] <= cell["high"])
    return Share(outside, n_rep)


def excess(
    *, update: str, size: float, method: str, n_rep: int, rng: np.random.Generator, law: str = ""
) -> Number:
    """Mean excess of the low-magnitude overlap."""
    found = []
    for _ in range(n_rep):
        start, end = stored_pair(update, rng, size=size, rows=512, cols=512)
        cell = gate_null(
            start, end, statistic="low_magnitude_mask_overlap", method=method, alpha=0.3, n=19, rng=rng
        ).excess
        found.append(float(cell.sel(law=law) if law else cell))
    return Number(float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(n_rep)))


def permuted(
    *, update: str, entries: bool, stored: bool, n_rep: int, rng: np.random.Generator, n: int = 99
) -> Share:
    """How often a permutation of the update is rejected: of whole rows and columns, or of single entries."""
    hits = 0
    for _ in range(n_rep):
        start = heavy_tailed_weight(128, 128, rng)
        weight = start.double().numpy()
        change = 1e-4 * true_update(update, weight, rng)
        if stored:
            change = round_to_bf16(torch.from_numpy(weight + change)).double().numpy() - weight
        figures = [overlap_of(weight, change)]
        for _ in range(n):
            order, across = rng.permutation(128), rng.permutation(128)
            moved = (
                rng.permutation(change.ravel()).reshape(change.shape) if entries else change[order][:, across]
            )
            figures.append(overlap_of(weight, moved))
        centred = np.abs(np.array(figures) - np.mean(figures[1:]))
        hits += int((1 + np.sum(centred[1:] >= centred[0])) / (n + 1) <= ALPHA)
    return Share(hits, n_rep)


def overlap_of(weight: np.ndarray, change: np.ndarray) -> float:
    """Share of visible entries among the 30% smallest, plainly."""
    after = round_to_bf16(torch.from_numpy(weight + change)).double().numpy()
    visible, small = after != weight, np.abs(weight) <= np.quantile(np.abs(weight), 0.3)
    return float((visible & small).sum() / visible.sum())


def cells(updates: tuple[str, ...], sizes: tuple[float, ...] = (3e-5, 1e-4, 3e-4)) -> list[dict[str, Any]]:
    return [{"update": kind, "size": size} for kind in updates for size in sizes]


SECTION = "gate null"
LOW = "low_magnitude_mask_overlap"
BARS = [
    Bar(
        "gate null, law-free: updates that ignore W_0",
        SECTION,
        rejected,
        cells(INDEPENDENT),
        [{"update": "gaussian", "size": 1e-4}, {"update": "row-scaled", "size": 1e-4}],
        500,
        at_least=0.03,
        at_most=0.07,
        quantity="size",
    ),
    Bar(
        "gate null, law-free: updates that grow with abs(W_0)^.1",
        SECTION,
        rejected,
        cells(("selective",)),
        [{"update": "selective", "size": 1e-4}],
        200,
        at_least=0.8,
        quantity="power",
    ),
    Bar(
        "gate null: intervals for updates that ignore W_0 (reported)",
        SECTION,
        rejected_by,
        [
            {"update": kind, "size": 1e-4, "statistic": statistic, "method": method}
            for kind in INDEPENDENT
            for method, statistic in (
                ("law-free", "update_sparsity"),
                ("law-free", LOW),
                ("law", LOW),
                ("strata", "principal_mask_overlap"),
            )
        ],
        [],
        40,
        quantity="share of intervals that miss",
    ),
    Bar(
        "wrong null: a Gaussian law for an update of Student's law with 3 degrees of freedom",
        SECTION,
        excess,
        [{"update": "t3", "size": 2e-5, "method": "law", "law": "gaussian"}],
        [],
        20,
        at_least=-0.06,
        at_most=-0.03,
        control=True,
        quantity="excess that is not there",
    ),
    Bar(
        "gate null, Student's law fitted to visible steps",
        SECTION,
        excess,
        [{"update": kind, "size": 2e-5, "method": "law", "law": "student-t"} for kind in ("gaussian", "t3")],
        [],
        20,
        at_least=-0.005,
        at_most=0.005,
        quantity="excess that is not there",
    ),
    Bar(
        "wrong null: permuting stored updates",
        SECTION,
        permuted,
        [{"update": "gaussian", "entries": False, "stored": True}],
        [],
        200,
        at_least=0.5,
        control=True,
        quantity="size",
    ),
    Bar(
        "permuting rows and columns of unrounded updates",
        SECTION,
        permuted,
        [{"update": kind, "entries": False, "stored": False} for kind in INDEPENDENT],
        [],
        300,
        at_least=0.02,
        at_most=0.08,
        quantity="size",
    ),
]
