"""How far a fast computation may lie from the plain one."""

import math

import numpy as np
import xarray as xr

from geostat.spec import DIAGNOSTICS

__all__ = ["assert_agrees_with_plain", "tolerance"]

ANGLE_DEGREES = 1e-9
"""Largest error of an angle, in degrees."""
RELATIVE = 1e-11
"""Largest error of any other figure, relative to the larger of 1 and the figure."""


def tolerance(name: str, plain: xr.Dataset) -> xr.DataArray:
    r"""Largest error allowed to a diagnostic, cell by cell.

    Angles :math:`10^{-9}` degrees (their sines the same in radians); normalized spectral shift
    :math:`10^{-9}\,\mathrm{NSS} + 10^{-15}\sqrt{\min(m, n)}`; counts and shares of entries none; everything
    else :math:`10^{-11} \max(1, |x|)`.

    These hold for subspaces that are well separated. Where the K-th singular value of an update nearly ties the
    next one, the channel itself is as uncertain as :math:`100\,\varepsilon s_1 / (s_K - s_{K+1})`, for both ways of
    computing it, and similarities and captures may differ by that much.

    Parameters
    ----------
    name : str
        Name of the diagnostic.
    plain : xarray.Dataset
        A measurement by float64 singular value decompositions.

    Returns
    -------
    xarray.DataArray
        As the diagnostic, in its units.

    Examples
    --------
    >>> import xarray as xr
    >>> shares = xr.Dataset({"update_sparsity": ("matrix", [0.5])})
    >>> tolerance("update_sparsity", shares).values
    array([0.])
    """
    values = plain[name]
    if DIAGNOSTICS[name].tier == "elementwise" and DIAGNOSTICS[name].bounds == (0.0, 1.0):
        return xr.zeros_like(values)
    if DIAGNOSTICS[name].units == "degree":
        return xr.full_like(values, ANGLE_DEGREES)
    if name == "mean_principal_sine":
        return xr.full_like(values, math.radians(ANGLE_DEGREES))
    if name == "normalized_spectral_shift":
        smaller = plain["rows"].clip(max=plain["cols"])
        return 1e-9 * abs(values) + 1e-15 * smaller**0.5
    return RELATIVE * abs(values).clip(min=1.0)


def assert_agrees_with_plain(actual: xr.Dataset, plain: xr.Dataset) -> None:
    """Assert that a measurement agrees with the plain one within the stated tolerances.

    Parameters
    ----------
    actual, plain : xarray.Dataset
        Two measurements of the same files, the second by float64 singular value decompositions.

    Raises
    ------
    AssertionError
        Names the diagnostic, the cell and the error.
    """
    for name in (name for name in DIAGNOSTICS if name in plain):
        a, b = actual[name].load(), plain[name].load()
        assert a.dims == b.dims, f"{name}: dims {a.dims} and {b.dims}"
        assert np.array_equal(np.isnan(a), np.isnan(b)), f"{name}: undefined at different cells"
        differing = (a != b) & b.notnull()
        excess = (abs(a - b) - tolerance(name, plain)).where(differing, 0.0)
        if (excess > 0).any():
            worst = excess.isel(excess.argmax(...))
            cell = {dim: worst[dim].item() for dim in a.dims if dim in worst.coords}
            raise AssertionError(f"{name} is off by {float(worst):.3g} beyond its tolerance at {cell}")
