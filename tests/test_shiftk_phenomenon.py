"""The figures of the shift-K chapter's first notebook: what their functions return, against NumPy.

The functions are those of the notebook's own cells, run here without their charts.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.signal

import notebooks
from optdyn import filters

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/shiftk/1_phenomenon.ipynb"
CELLS = (  # how the cells begin that are run here, in order
    "import altair",
    "LAG, MOST",
    "def box",
    "PULSE =",
    "LAGS, NEAR",
    "R, HEAD",
    "def exit_law",
    "def random_curve",
    "# The best poles",
    "def legendre",
    "TIMES =",
    "def half_width",
    "def bump",
    "N_DATA, WARM",
    "def memory",
)


@pytest.fixture(scope="module", autouse=True)
def double_precision():
    with enable_x64(True):
        yield


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    names: dict[str, Any] = {}
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    for beginning in CELLS:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


def called(fn: Any, **values: Any) -> dict[str, dict[str, np.ndarray]]:
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


def law(a: np.ndarray, n: int) -> np.ndarray:
    """The exit law as the squared coefficients of a quotient of polynomials."""
    beta = np.zeros(n, complex)
    beta[0] = 1
    for pole in a:
        beta = scipy.signal.lfilter([-np.conj(pole), 1], [1, -pole], beta)
    return np.abs(beta) ** 2


def best(a: np.ndarray, lag: int, n: int) -> np.ndarray:
    """The best filter, by least squares on the sequences of powers, each of length one."""
    powers = a ** np.arange(max(n, 4_000))[:, None]
    powers /= np.linalg.norm(powers, axis=0)
    target = (np.arange(len(powers)) == lag) * 1.0
    return (powers @ np.linalg.lstsq(powers, target.astype(complex))[0])[:n]


def comb(order: int, alpha: float, spacing: float, lag: int = 32) -> np.ndarray:
    turn = 2 * np.pi / (spacing * lag) * (np.arange(order) - (order - 1) / 2)
    return np.exp(-alpha / lag + 1j * turn)


SETTINGS = [(1, 0.5, 2.0), (8, 1.0, 2.0), (8, 0.2, 2.0), (8, 4.0, 0.8), (24, 1.75, 1.12)]


@pytest.mark.parametrize(("order", "alpha", "spacing"), SETTINGS)
def test_exit_times(cells, order, alpha, spacing):
    tables = called(cells["exit_times"], order=float(order), alpha=alpha, spacing=spacing)
    p = law(comb(order, alpha, spacing), 97)
    np.testing.assert_allclose(tables["exit"]["p"], p, atol=1e-13)
    np.testing.assert_array_equal(tables["exit"]["late"], np.arange(97) > 32)
    words = {name: column[0] for name, column in tables["words"].items()}
    assert words["mean"] == pytest.approx(order, abs=1e-6)
    assert words["once"] == pytest.approx(np.exp(-2 * alpha * order / 32), rel=1e-12)
    assert words["late"] == pytest.approx(1 - p[:33].sum(), abs=1e-12)
    assert words["late"] < order / 33


def test_no_comb_of_eight_holds_back_a_fifth(cells):
    """As the text of Figure 1 says, and its preset comes within a part in a thousand."""
    late = [
        1 - law(comb(8, alpha, spacing), 33).sum()
        for alpha in np.linspace(0.2, 4, 39)
        for spacing in np.linspace(0.8, 2.5, 86)
    ]
    chosen = called(cells["exit_times"], order=8.0, alpha=1.3, spacing=1.18)["words"]["late"][0]
    assert max(late) < 0.1791
    assert chosen == pytest.approx(max(late), abs=2e-4)


@pytest.mark.parametrize("lag", [2, 24, 40])
def test_pole_plane(cells, lag):
    for x, y in (
        ([0.95, 0.6, 0.1, -0.7], [0.1, 0.7, 0.9, 0.5]),
        ([0.9221, 0.8813, 0.8047, 0.7075], [0.1017, 0.3002, 0.4841, 0.6459]),
    ):
        poles = np.array(x), np.array(y)
        tables = called(cells["pole_plane"], poles=poles, lag=float(lag))
        a = poles[0] + 1j * poles[1]
        c = best(np.append(a, np.conj(a)), lag, 81)
        np.testing.assert_allclose(tables["filter"]["c"], c.real, atol=1e-10)
        assert tables["gain"]["gain"][0] == pytest.approx(c[lag].real, abs=1e-10)
        assert tables["gain"]["bound"][0] == min(1, 8 / (lag + 1))
        assert np.flatnonzero(tables["filter"]["asked"]).tolist() == [lag]


def test_the_pole_plane_bears_poles_that_meet_or_leave(cells):
    same = np.full(4, 0.9), np.zeros(4)
    together = called(cells["pole_plane"], poles=same, lag=24.0)
    assert together["gain"]["gain"][0] == pytest.approx(
        1 - law(np.full(8, 0.9), 25).sum(), abs=1e-12
    )
    outside = called(cells["pole_plane"], poles=(np.full(4, 0.99), np.full(4, 0.99)), lag=24.0)
    assert np.all(np.isfinite(outside["filter"]["c"]))
    assert np.max(np.hypot(outside["poles"]["x"], outside["poles"]["y"])) < 1


@pytest.mark.parametrize(("r", "lag"), [(0.5, 1), (0.75, 3), (0.97, 32)])
def test_one_pole(cells, r, lag):
    tables = called(cells["one_pole"], r=r, lag=float(lag))
    np.testing.assert_allclose(tables["exit"]["p"], law(np.array([r**0.5]), 61), atol=1e-14)
    c = best(np.array([r**0.5]), lag, 61)
    assert tables["now"]["gain"][0] == pytest.approx(c[lag].real, abs=1e-12)
    assert tables["best"]["r"][0] == lag / (lag + 1)
    assert tables["best"]["gain"][0] >= tables["gain"]["gain"].max()


def test_the_ten_lines(cells):
    a = np.array([0.9, 0.9, 0.3 - 0.8j, 0, 0.99j])
    np.testing.assert_allclose(cells["exit_law"](a, 60), law(a, 60), atol=1e-14)


@pytest.mark.parametrize("order", [1, 8, 16])
def test_the_stored_poles_are_the_best_found(cells, order):
    """Rounded to four places, they reach the error of the fact sheet's table at lag 64."""
    error = {1: 0.99429639, 8: 0.90530514, 16: 0.78911398}[order]
    scaled = cells["whole"](cells["BEST"][order])
    assert scaled.size == order
    poles = filters.Poles(scaled.real / 64, -scaled.imag / 64)
    assert float(filters.shift_error(poles, 64)) == pytest.approx(error, abs=2e-8)
    size = list(cells["BEST"]).index(order)
    assert cells["gains"][size] == pytest.approx(1 - error, abs=2e-8)


@pytest.mark.parametrize(("size", "alpha", "spacing"), [(3, 1.2, 1.3), (5, 1.0, 2.0)])
def test_bump(cells, size, alpha, spacing):
    order = list(cells["BEST"])[size]
    tables = called(cells["bump"], size=size, alpha=alpha, spacing=spacing)
    c = np.split(tables["filter"]["c"] * order / 64, 3)
    yours = best(comb(order, alpha, spacing, 64), 64, 257)
    np.testing.assert_allclose(c[0], yours.real, atol=1e-10)
    np.testing.assert_allclose(c[1][64], cells["gains"][size], rtol=1e-12)
    half = {name: column[0] for name, column in tables["half"].items()}
    widths = filters.widths(best(comb(order, alpha, spacing, 64), 64, 3_000), 64)
    assert half["width"] == pytest.approx(widths.fwhm * order / 64, rel=1e-6)
    assert half["energy"] == pytest.approx(widths.energy * order / 64, rel=1e-4)
    assert half["gain"] == pytest.approx(yours[64].real, abs=1e-10)


@pytest.mark.parametrize("order", [2, 4, 8])
def test_the_legendre_poles_are_those_of_a_pade_approximant(cells, order):
    """[S-1/S] of exp(-s), whose denominator has the coefficients written out here."""
    S, f = order, math.factorial
    bottom = [  # of s^S, ..., 1
        f(2 * S - 1 - j) * f(S) / (f(2 * S - 1) * f(j) * f(S - j)) for j in range(S, -1, -1)
    ]
    roots = -np.sort_complex(np.roots(bottom))
    np.testing.assert_allclose(
        np.sort_complex(cells["legendre"](S)), np.sort_complex(roots), rtol=1e-9
    )


@pytest.mark.parametrize(("order", "alpha", "spacing"), SETTINGS[1:])
def test_memory(cells, order, alpha, spacing):
    inputs = cells["draw_inputs"](jax.random.key(3))
    tables = called(
        cells["memory"], order=float(order), alpha=alpha, spacing=spacing, prepared=inputs
    )
    a = comb(order, alpha, spacing)
    M = 1 - np.cumsum(law(a, 97))
    np.testing.assert_allclose(tables["curve"]["M"], M, atol=1e-12)
    assert tables["words"]["area"][0] == pytest.approx(order, abs=1e-3)
    assert np.all(tables["curve"]["M"] <= tables["bound"]["M"] + 1e-12)
    # the same regression by least squares on the states of the plain recurrence
    u = np.asarray(inputs, float)
    X = np.array([scipy.signal.lfilter([1], [1, -pole], u.astype(complex)) for pole in a]).T[256:]
    probes = tables["data"]["k"]
    past = u[256 - probes + np.arange(1_000)[:, None]]
    fit = X @ np.linalg.lstsq(X, past.astype(complex))[0]
    share = 1 - (abs(past - fit) ** 2).sum(0) / (past**2).sum(0)
    np.testing.assert_allclose(tables["data"]["M"], share, atol=1e-5)
    if alpha >= 1:
        np.testing.assert_allclose(tables["data"]["M"], M[probes], atol=0.12)
