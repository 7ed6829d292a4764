"""What a measurement will cost is known before it starts, and better known as it goes on."""

import heapq

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.errors import ProtocolError
from geostat.testing import synthetic_run
from geostat.trajectories.cost import START_SECONDS, Forecast, estimate, forecasts
from geostat.trajectories.cost_leading import differences_alone, leading_correction, updates_alone
from geostat.trajectories.cost_running import RunningEstimate
from geostat.trajectories.cost_samples import _growth, _scale
from geostat.trajectories.cost_table import CostTable, cost_table, richest_within
from geostat.trajectories.durations import duration, seconds_of
from geostat.trajectories.planning import at_tier


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(
        tmp_path_factory.mktemp("run"), layers=2, rows=160, cols=128, steps=(10, 20, 30, 40, 50)
    )


@pytest.fixture(scope="module")
def planned(run):
    return gs.plan(run.base, run.checkpoints)


@pytest.fixture
def by_law(monkeypatch):
    """Samples that take what a law says instead of what a clock does: so many seconds, and more per checkpoint."""

    def seconds(corner, device):
        return (
            1e-6
            * corner.ref.rows
            * corner.ref.cols
            * min(corner.ref.rows, corner.ref.cols)
            * _by_steps(corner.plan)
        )

    monkeypatch.setattr("geostat.trajectories.cost_samples._Corner.seconds", seconds)
    monkeypatch.setattr("geostat.trajectories.cost_samples.leading_correction", lambda *given: 0.0)


def _by_steps(given):
    return 3 + 2 * len(given.steps)


@pytest.mark.parametrize("tier", ["top", "exact"])
def test_a_forecast_is_exact_where_cost_grows_in_proportion_to_checkpoints(planned, by_law, tier):
    found = forecasts([at_tier(planned, tier)])[0].matrices
    for ref in planned.refs:
        law = 1e-6 * ref.rows * ref.cols * min(ref.rows, ref.cols) * _by_steps(planned)
        assert found[ref.name] == pytest.approx(law)


def test_a_forecast_grows_with_checkpoints_and_matrices(run, planned, by_law):
    short = forecasts([gs.plan(run.base, [run.base.replace("base", f"step-{step}") for step in (10, 20)])])[0]
    long = forecasts([planned])[0]
    growth = sum(long.matrices.values()) / sum(short.matrices.values())
    assert growth == pytest.approx(_by_steps(planned) / 7)  # two checkpoints cost 7 by the law
    assert set(long.matrices) == {ref.name for ref in planned.refs}


def test_a_corner_of_a_large_matrix_tells_its_cost(monkeypatch, by_law):
    generator = torch.Generator().manual_seed(0)
    start = {"blocks.0.attention.query.weight": torch.randn(320, 320, generator=generator)}
    steps = {
        step: {
            name: weight + 0.01 * torch.randn(320, 320, generator=generator) for name, weight in start.items()
        }
        for step in (10, 20)
    }
    given = gs.plan(start, steps)
    whole = sum(forecasts([given])[0].matrices.values())
    for name, size in (("_WHOLE", 64), ("_SMALL", 128), ("_LARGE", 224)):
        monkeypatch.setattr(f"geostat.trajectories.cost_samples.{name}", size)
    assert _scale(given.refs[0], 224) == pytest.approx(0.7)
    assert sum(forecasts([given])[0].matrices.values()) == pytest.approx(
        whole, rel=0.02
    )  # corners are rounded


def test_passes_over_the_entries_grow_with_their_number(planned, monkeypatch):
    monkeypatch.setattr("geostat.trajectories.cost_samples._WHOLE", 16)
    monkeypatch.setattr("geostat.trajectories.cost_samples._SMALL", 71)
    ref, given = planned.refs[0], at_tier(planned, "elementwise")
    scale = _scale(ref, 71)
    assert _growth(given, ref, given.open(), "cpu") == pytest.approx(scale**-2)


def test_differences_between_checkpoints_are_counted_once(planned):
    steps = 5
    assert differences_alone(planned) == (steps - 1) + (steps - 2)  # the last increment is all that remains
    assert updates_alone(planned) == 0  # the exact tier asks for every singular value
    assert updates_alone(at_tier(planned, "top")) == steps
    assert differences_alone(at_tier(planned, "elementwise")) == 0


def test_leading_directions_alone_are_not_expected_of_small_matrices(planned):
    given = at_tier(planned, "top")
    assert leading_correction(given, given.refs[0], given.open(), "cpu", 1.0, 1.0) == 0.0


@pytest.mark.parametrize(("kind", "sign"), [("spiked", -1), ("flat", 1)])
def test_a_spiked_update_costs_less_than_a_whole_decomposition_and_a_flat_one_more(monkeypatch, kind, sign):
    monkeypatch.setattr("geostat.trajectories.cost_leading.worth_trying", lambda smaller, k: True)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(640, 640, generator=generator, dtype=torch.float64)
    step = torch.randn(640, 640, generator=generator, dtype=torch.float64)
    if kind == "spiked":
        left, right = torch.linalg.qr(step).Q[:, :24], torch.linalg.qr(step.mT).Q[:, :24]
        step = left @ torch.diag(0.5 ** torch.arange(24.0, dtype=torch.float64)) @ right.mT
    name = "blocks.0.attention.query.weight"
    given = gs.plan({name: start}, {10: {name: start + step}}, tier="top")
    ref = given.refs[0]
    assert sign * leading_correction(given, ref, given.open(), "cpu", 1.0, growth=100.0) > 0


def test_workers_share_the_time_and_the_disk_bounds_it():
    forecast = Forecast({name: 10.0 for name in "abcd"}, reading=5.0)
    assert forecast.seconds() == 40 + START_SECONDS
    assert forecast.seconds(2) == 20 + START_SECONDS
    assert Forecast({"a": 1.0}, reading=60.0).seconds() == 60 + START_SECONDS
    assert Forecast({"a": 30.0, "b": 1.0}, reading=0.0).seconds(8) >= 30  # one matrix is not split


def test_memory_is_of_the_largest_matrix_and_disk_of_all_cells(run, planned):
    cost = estimate(planned)
    largest = max(ref.n_params for ref in planned.refs)
    assert 8 * largest < cost.memory_bytes - estimate(at_tier(planned, "elementwise")).memory_bytes
    assert estimate(at_tier(planned, "elementwise")).disk_bytes < cost.disk_bytes
    vectors = 4 * 5 * 16 * (160 + 128) * 8
    assert cost.disk_bytes >= vectors


def _table(planned, seconds, budget, workers=1):
    """A table whose tiers take the seconds given, and those to start."""
    table = cost_table(planned)
    tiers = [
        type(tier)(tier.plan, tier.adds, Forecast({ref.name: s / 8 for ref in planned.refs}, 0.0), tier.cost)
        for tier, s in zip(table.tiers, seconds, strict=True)
    ]
    return CostTable(tuple(tiers), workers, budget)


@pytest.mark.parametrize(
    ("budget", "richest"),
    [
        (5.0, None),
        (10.0 + START_SECONDS, "elementwise"),
        (150.0, "top"),
        (399.0, "angles"),
        (4000.0, "exact"),
    ],
)
def test_the_richest_tier_within_a_budget_is_named(planned, budget, richest):
    table = _table(planned, (10.0, 100.0, 200.0, 400.0), budget)
    assert (table.richest.tier if table.richest else None) == richest
    assert (f"--tier {richest}" in repr(table)) == (richest is not None)


def test_where_no_tier_fits_the_table_says_what_would(planned):
    advice = _table(planned, (600.0, 700.0, 800.0, 900.0), 310.0).advice
    assert "No tier fits the budget of 5 min" in advice
    assert "elementwise would with --workers 2" in advice
    assert "elementwise would with 2 of the 5 checkpoints" in advice  # three sevenths of it, W_0 among them
    assert advice.endswith("Or measure fewer matrices, for example --matrices '*key'.")


def test_what_would_fit_is_told_of_matrices_that_are_there(planned):
    advice = _table(planned, (1e6, 2e6, 3e6, 4e6), 10.0).advice
    assert advice == "No tier fits the budget of 10 s. Measure fewer matrices, for example --matrices '*key'."
    fewer = gs.plan(
        planned.checkpoints[0],
        dict(zip(planned.steps, planned.checkpoints[1:], strict=True)),
        matrices="*key",
    )
    assert 0 < len(fewer.refs) < len(planned.refs)
    assert "To start and to seal" in _table(planned, (10.0, 20.0, 30.0, 40.0), START_SECONDS).advice


def test_every_tier_holds_those_before_it(planned):
    table = cost_table(planned)
    assert [tier.tier for tier in table.tiers] == list(gs.TIERS)
    times = [tier.forecast.seconds() for tier in table.tiers]
    assert times == sorted(times)
    names = [name for tier in table.tiers for name in tier.adds]
    assert sorted(names) == sorted(planned.diagnostics)
    assert table._repr_html_().count("<tr") == 5


def test_tiers_that_add_nothing_asked_for_are_left_out(run):
    table = cost_table(gs.plan(run.base, run.checkpoints, diagnostics=["update_sparsity", "stable_rank"]))
    assert [tier.tier for tier in table.tiers] == ["elementwise", "top"]


def test_the_plan_of_the_richest_tier_can_be_measured(planned):
    chosen, table = richest_within(planned, 1e6)
    assert chosen == planned
    assert table.richest.plan is chosen
    assert richest_within(planned, 0.0)[0] is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("90m", 5400), ("45s", 45), (3, 3)]
)
def test_durations_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 weeks", "-3s", -1, None, True])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ProtocolError, match="is no duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.3, "under 1 s"), (59.6, "60 s"), (3600, "60 min"), (9000, "2 h 30 min")],
)
def test_durations_are_written_in_at_most_two_units(seconds, text):
    assert duration(seconds) == text


def _simulated(seed, workers, noise):
    """Units of ragged shapes: their costs, the time at which each finishes, and that of the last."""
    rng = np.random.default_rng(seed)
    shapes = [(576, 576), (192, 576), (1536, 576), (576, 1536)]
    costs = [m * n * min(m, n) for layer in range(30) for m, n in shapes]
    order = sorted(range(len(costs)), key=lambda i: -costs[i]) if workers > 1 else list(range(len(costs)))
    free = [0.0] * workers
    ends = {}
    for i in order:
        start = heapq.heappop(free)
        end = start + 1e-8 * costs[i] * rng.lognormal(0, noise)
        ends[i] = end
        heapq.heappush(free, end)
    return dict(enumerate(costs)), ends, max(ends.values())


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("seed", range(5))
def test_after_a_twentieth_of_the_work_the_estimate_is_within_a_fifth(seed, workers):
    costs, ends, total = _simulated(seed, workers, noise=0.1)
    running = RunningEstimate(costs, workers)
    done = 0.0
    for unit, end in sorted(ends.items(), key=lambda pair: pair[1]):
        running.finished(unit, end)
        done += costs[unit]
        if 0.05 * sum(costs.values()) <= done <= 0.9 * sum(costs.values()):
            assert running.remaining(end) == pytest.approx(total - end, rel=0.2, abs=0.02 * total)


def test_nothing_is_estimated_before_the_first_unit_is_done():
    running = RunningEstimate({"a": 1.0, "b": 1.0})
    assert running.remaining(5.0) is None
    running.finished("a", 6.0)
    assert running.remaining(8.0) == 4.0  # two seconds of the second are over
    running.finished("b", 12.0)
    assert running.remaining(12.0) == 0.0
