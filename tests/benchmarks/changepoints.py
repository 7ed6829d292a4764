"""Exact segmentation beside ruptures: CPU time of one thread, and agreement. Run: python changepoints.py"""

import time

import numpy as np
import ruptures

from geostat.statistics.changepoints.segments import optimal_partitions

LENGTHS = (300, 1000)
N_BREAKS = 3
REPEATS = 3


def least_cpu_seconds(work, repeats=REPEATS):
    """Least CPU time of this thread over some repetitions, and the last answer."""
    spent = []
    for _ in range(repeats):
        start = time.thread_time()
        answer = work()
        spent.append(time.thread_time() - start)
    return min(spent), answer


def rivals(smallest):
    """Both exact searches of ruptures: dynamic programming in Python, and the kernel one in C."""
    return {
        "Dynp(l2, jump=1)": ruptures.Dynp(model="l2", jump=1, min_size=smallest),
        "KernelCPD(linear)": ruptures.KernelCPD(kernel="linear", min_size=smallest),
    }


def compare(length):
    """Lines of the table for one length."""
    rng = np.random.default_rng(length)
    series = rng.normal(size=length) + (np.arange(length) > length // 3)
    smallest = int(0.15 * length)
    ours, found = least_cpu_seconds(lambda: optimal_partitions(series, N_BREAKS, smallest))
    for name, search in rivals(smallest).items():
        theirs, ends = least_cpu_seconds(lambda search=search: search.fit(series).predict(N_BREAKS), 1)
        cost = ruptures.costs.CostL2().fit(series).sum_of_costs(ends)
        error = (found.rss[N_BREAKS] - cost) / cost
        same = found.breaks[N_BREAKS].tolist() == ends[:-1]
        yield f"{length:5d} {name:>18} {ours:10.4f} {theirs:11.4f} {theirs / ours:7.1f} {error:11.1e}  {same}"


def main():
    print(f"{N_BREAKS} breaks, segments of at least 15%; ruptures {ruptures.__version__}")
    print(
        f"{'T':>5} {'rival':>18} {'geostat s':>10} {'ruptures s':>11} {'ratio':>7} {'cost error':>11}  same"
    )
    for length in LENGTHS:
        print(*compare(length), sep="\n")


if __name__ == "__main__":
    main()
