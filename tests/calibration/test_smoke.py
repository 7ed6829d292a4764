"""Every claim in a few cells: fails only where a value lies outside its bar by more than chance may do."""

import pytest
from bars.bar import Bar, Cell
from loading import cell_text, load_bars
from records import MISSED, SLACK, outcome

N_REP = 120
SMOKE = [(bar, cell) for bar in load_bars() for cell in bar.smoke]


def test_at_least_twelve_cells_are_measured():
    assert len(SMOKE) >= 12


@pytest.mark.parametrize(
    ("bar", "cell"), [pytest.param(bar, cell, id=f"{bar.name}-{cell_text(cell)}") for bar, cell in SMOKE]
)
@pytest.mark.filterwarnings("ignore::geostat.errors.GeostatWarning")
def test_bar_holds(bar: Bar, cell: Cell):
    """A control is a procedure that is known to be wrong: it has to fail as predicted."""
    measured = bar.measure(n_rep=min(N_REP, bar.n_rep), rng=bar.generator(cell), **cell)
    assert outcome(bar, measured) != MISSED, (
        f"{bar.quantity} {measured.value:.4g} +- {measured.error:.2g} lies more than {SLACK:g} Monte Carlo errors "
        f"outside [{bar.at_least}, {bar.at_most}]"
    )
