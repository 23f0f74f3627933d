"""optdyn.filters and optdyn.reduction against closed forms, brute force, SciPy and tables."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.linalg import toeplitz
from scipy.optimize import minimize_scalar

from optdyn import filters
from optdyn.filters import (
    Poles,
    arctan_law,
    error_lower_bound,
    explicit_filter,
    irka,
    irka_step,
    optimal_filter,
    optimal_poles,
    shift_error,
    widths,
)
from optdyn.javascript import translate
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


def test_every_name_is_there():
    for name in filters.__all__:
        assert getattr(filters, name).__doc__


@pytest.mark.parametrize(
    ("order", "lag", "alpha", "spacing"),
    [(11, 40, 1.3, 2.0), (9, 64, 1.0, 2.0), (5, 30, 0.5, 1.2), (7, 50, 2.0, 1.0), (3, 20, 1.0, 0.7),
     (9, 40, 1.5, 0.5), (1, 10, 0.5, 2.0), (9, 64, 4.0, 2.0)],
)  # fmt: skip
def test_explicit_filter_is_its_sum(order, lag, alpha, spacing):
    poles, readout, error = explicit_filter(order, lag, alpha=alpha, spacing=spacing)
    s = np.arange(order) - order // 2
    a = np.exp((-alpha + 2j * np.pi * s / spacing) / lag)
    np.testing.assert_allclose(poles.values, a, rtol=1e-13)
    c = a ** np.arange(40 * lag)[:, None] @ np.asarray(readout)
    c[lag] -= 1
    assert float(error) == pytest.approx(np.sum(np.abs(c) ** 2), rel=1e-11)
    if spacing == 2:
        size = math.exp(-alpha) * (math.exp(2 * alpha) - math.exp(-2 * alpha)) / (2 * lag)
        np.testing.assert_allclose(readout, (-1.0) ** s * size, atol=1e-15)
        assert c[lag].real + 1 == pytest.approx(order * size * math.exp(-alpha), rel=1e-12)
    assert float(shift_error(poles, lag)) <= float(error) + 1e-13


PUBLISHED = [  # order, lag, alpha; error of the paper's readout and of the best one
    (9, 64, 1.0, 0.93619388, 0.93093979),
    (17, 128, 0.5, 0.94308841, 0.94260822),
    (17, 128, 1.0, 0.93735239, 0.93480807),
    (33, 256, 2.0, 0.94359643, 0.93558782),
    (65, 512, 1.0, 0.93831030, 0.93769286),
]


@pytest.mark.parametrize(("order", "lag", "alpha", "explicit", "best"), PUBLISHED)
def test_explicit_filter_values(order, lag, alpha, explicit, best):
    poles, _, error = explicit_filter(order, lag, alpha=alpha)
    assert float(error) == pytest.approx(explicit, abs=1e-8)
    assert float(shift_error(poles, lag)) == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize(
    ("alpha", "spacing", "gain"),
    [(1.0, 2.0, 0.49068334), (1.0, 1.2, 0.75712441), (2.0, 1.1, 0.88895308), (1.0, 0.8, 0.20143156),
     (1.5, 1.0, 0.09022393)],
)  # fmt: skip
def test_explicit_filter_of_many_poles(alpha, spacing, gain):
    """The sum over pairs of poles at 30 digits (mpmath)."""
    error = explicit_filter(2001, 10**7, alpha=alpha, spacing=spacing)[2]
    assert (1 - float(error)) * 10**7 / 2001 == pytest.approx(gain, abs=1e-8)


def test_explicit_filter_is_traced_and_single():
    slope = jax.grad(lambda a: explicit_filter(9, 64, alpha=a)[2])(1.0)
    ahead, behind = (explicit_filter(9, 64, alpha=1 + d)[2] for d in (1e-6, -1e-6))
    assert float(slope) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-7)
    with enable_x64(False):
        poles, readout, error = explicit_filter(17, 128, alpha=1.0)
    assert poles.decay.dtype == error.dtype == np.float32 and readout.dtype == np.complex64
    assert float(error) == pytest.approx(0.93735239, abs=1e-6)


@pytest.mark.parametrize("rho", [0.3, 0.9, -0.9, 0.99, 0.99999])
@pytest.mark.parametrize("order", [1, 3, 7, 30, 39])
def test_bound_against_eigenvalues(order, rho):
    lag = 40
    eigenvalues = np.linalg.eigvalsh(toeplitz(abs(rho) ** np.arange(lag + 1)))[::-1]
    expected = eigenvalues[order + 1 :].sum() / (lag + 1)
    assert error_lower_bound(order, lag, rho=rho) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_bound_at_its_edges():
    assert error_lower_bound(16, 63) == 0.75
    assert error_lower_bound(3, 2) == error_lower_bound(9, 2) == error_lower_bound(1, 0) == 0
    assert error_lower_bound(2, 2, rho=0.5) == error_lower_bound(5, 2, rho=0.5) == 0
    assert error_lower_bound(4, 0, rho=0.5) == 0
    # the documented jump at 0
    jump = error_lower_bound(4, 9) - error_lower_bound(4, 9, rho=1e-12)
    assert jump == pytest.approx(1 / 10, abs=1e-10)
    assert error_lower_bound(1, 10**6, rho=0.5) == pytest.approx(1, abs=1e-5)


BOUNDS = {  # order: bound and law at lag 64
    0.9: {1: (0.55059, 0.72216), 8: (0.15518, 0.16467), 48: (0.01371, 0.01388)},
    0.99: {1: (0.08219, 0.12854), 8: (0.01528, 0.01608), 48: (0.00131, 0.00133)},
}


@pytest.mark.parametrize("rho", BOUNDS)
def test_bounds_and_laws_of_the_table(rho):
    for order, (bound, law) in BOUNDS[rho].items():
        assert error_lower_bound(order, 64, rho=rho) == pytest.approx(bound, abs=6e-6)
        assert arctan_law(order / 64, rho) == pytest.approx(law, abs=6e-6)


@given(st.integers(1, 5), st.integers(0, 30), st.integers(0, 2**31), st.floats(-0.99, 0.99))
@settings(max_examples=30)
def test_no_poles_are_below_the_bound(order, lag, seed, rho):
    rng = np.random.default_rng(seed)
    poles = Poles(10 ** rng.uniform(-3, 0, order), rng.uniform(-1, 1, order))
    for r in (0.0, rho):
        assert float(shift_error(poles, lag, rho=r)) >= error_lower_bound(order, lag, rho=r) - 1e-12


def spectrum(omega, rho):
    return (1 - rho**2) / (1 - 2 * rho * np.cos(omega) + rho**2)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.8])
def test_law_is_the_lost_spectrum(fraction, rho):
    lost = quad(spectrum, np.pi * fraction, np.pi, (rho,), epsabs=1e-13)[0] / np.pi
    assert arctan_law(fraction, rho) == arctan_law(fraction, -rho)
    assert arctan_law(fraction, rho) == pytest.approx(lost, abs=1e-12)


def test_law_of_arrays_and_edges():
    assert arctan_law(0, 0.9) == 1 and arctan_law(1, 0.9) == 0
    assert isinstance(arctan_law(0.5, 0.5), float)
    grid = arctan_law(np.linspace(0, 1, 5), np.array([[0.0], [0.9]]))
    np.testing.assert_allclose(grid[0], 1 - np.linspace(0, 1, 5), atol=1e-15)
    traced = jax.jit(arctan_law)(0.25, -0.9)
    assert float(traced) == pytest.approx(arctan_law(0.25, 0.9), abs=1e-15)
    # slow input: (4 / pi^2) (1 - rho) / (1 + rho) K / S
    slow = 4 / np.pi**2 * 1e-6 / (2 - 1e-6) / 0.02
    assert arctan_law(0.02, 1 - 1e-6) == pytest.approx(slow, rel=1e-3)


def test_widths():
    found = widths([0.0, 1.0, 2.0, 2.0, 1.0, 0.0], 2)
    assert found.peak == 2 and found.energy == 2.5 and found.centroid == 2.5
    assert found.fwhm == pytest.approx(1 + 2 * 2 / 3)
    assert found.rms == pytest.approx(math.sqrt((1 + 4 + 4 * 1) / 10))
    assert widths(1j * np.array([0.0, 1.0, 2.0, 2.0, 1.0, 0.0]), 2) == found
    decaying = widths(0.9 ** np.arange(400), 10)
    assert decaying.peak == 0 and math.isnan(decaying.fwhm)
    assert widths([0.0, 1.0, 0.0], 0).energy == math.inf
    big = widths(1e200 * np.array([0.0, 1.0, 0.0]), 1)
    assert big.fwhm == 1 and big.energy == 1


WHITE = {  # the fact sheet's table, found by another program; 1 - order / (lag + 1) is below
    4: {1: 0.91808, 2: 0.7692725, 3: 0.5864247, 4: 0.3684345},
    8: {1: 0.9566951, 4: 0.6891851, 7: 0.3502336, 8: 0.2160414},
    16: {2: 0.9382025, 8: 0.6243733, 16: 0.1178075},
    64: {1: 0.99429639, 2: 0.98421178, 3: 0.97246373, 4: 0.95983743, 6: 0.93312843,
         8: 0.90530514, 12: 0.84788550, 16: 0.78911398, 32: 0.54751911},
    256: {2: 0.99603020, 8: 0.97620882, 16: 0.94709455},
}  # fmt: skip
COLOURED = {  # lag 64
    0.9: {1: 0.88213, 4: 0.43073, 8: 0.21331, 16: 0.09679},
    0.95: {4: 0.23858, 16: 0.04750},
    0.99: {1: 0.26654, 2: 0.11789, 8: 0.02136, 16: 0.00934},
}


@pytest.mark.parametrize("lag", WHITE)
def test_optima_for_white_input(lag):
    for order, expected in WHITE[lag].items():
        poles, error = optimal_poles(order, lag)
        assert error == pytest.approx(expected, abs=1e-7)
        assert len(poles.decay) == order and poles.phase.dtype == np.float64
        assert error == float(shift_error(poles, lag)) > error_lower_bound(order, lag)


@pytest.mark.parametrize("rho", COLOURED)
def test_optima_for_coloured_input(rho):
    for order, expected in COLOURED[rho].items():
        error = optimal_poles(order, 64, rho=rho)[1]
        assert error == pytest.approx(expected, rel=1e-3)
        assert error > error_lower_bound(order, 64, rho=rho)


def test_one_pole_in_closed_form():
    poles, error = optimal_poles(1, 64)
    assert np.exp(-2 * poles.decay[0]) == pytest.approx(64 / 65, abs=1e-9)
    assert error == pytest.approx(1 - (64 / 65) ** 64 / 65, abs=1e-14)
    found = minimize_scalar(lambda r: (r - 1) * r**64, bounds=(0.9, 1), method="bounded")
    assert error == pytest.approx(1 + found.fun, abs=1e-9)


def test_an_optimum_is_stationary():
    """Its centroid is the lag, its energy width 1 / (1 - error); Hermite's conditions hold."""
    lag = 64
    poles, error = optimal_poles(8, lag)
    c = np.asarray(optimal_filter(poles, lag, 6000))
    found = widths(c, lag)
    assert found.centroid == pytest.approx(lag, abs=1e-5)
    assert found.energy == pytest.approx(1 / (1 - error), rel=1e-9)
    assert found.fwhm * 8 / lag == pytest.approx(1.13, abs=0.01)
    k, mirrored = np.arange(6000), poles.values.conj()
    value = mirrored[:, None] ** k @ c
    np.testing.assert_allclose(value, mirrored**lag, atol=1e-12)
    slope = (k[1:] * mirrored[:, None] ** (k[1:] - 1)) @ c[1:]
    np.testing.assert_allclose(slope, lag * mirrored ** (lag - 1), atol=1e-5)


def test_negative_correlation_is_turned():
    poles, error = optimal_poles(4, 64, rho=-0.9)
    assert error == pytest.approx(optimal_poles(4, 64, rho=0.9)[1], abs=1e-10)
    assert np.mean(np.cos(poles.phase)) < -0.9


def test_descent_and_given_starts():
    best = optimal_poles(4, 64)[1]
    assert optimal_poles(4, 64, method="gd")[1] == pytest.approx(best, abs=1e-9)
    start = Poles(np.full(4, 1 / 64), 0.1 * np.arange(4.0))
    _, error = optimal_poles(4, 64, starts=[start], n_steps=1)
    assert best < error < float(shift_error(start, 64))
    assert optimal_poles(4, 64, starts=[start])[1] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("order", "lag"), [(1, 0), (5, 4), (9, 8), (12, 3)])
def test_more_poles_than_lags(order, lag):
    for rho in (0.0, 0.9, -0.5):
        poles, error = optimal_poles(order, lag, rho=rho)
        assert 0 <= error < 1e-15
        assert (poles.decay > 0).all()


def test_the_search_does_not_recompile():
    optimal_poles(3, 64)
    before = filters.optimal_poles.__globals__["_value_and_slope"]._cache_size()
    optimal_poles(4, 200, rho=0.5)
    assert filters.optimal_poles.__globals__["_value_and_slope"]._cache_size() <= before + 1


def test_irka_step_is_hermite_interpolation():
    """The new filter equals z^K, and its slope, at the mirrored poles."""
    lag, a = 12, 0.95 * np.exp(1j * np.array([-0.3, 0.1, 0.5]))
    new = irka_step(a, lag)
    s = a.conj()
    # c_k = sum b a_new^k: six conditions for three readouts
    rows = np.concatenate([1 / (1 - s[:, None] * new), new / (1 - s[:, None] * new) ** 2])
    goal = np.concatenate([s**lag, lag * s ** (lag - 1)])
    readout, *_ = np.linalg.lstsq(rows, goal, rcond=None)
    np.testing.assert_allclose(rows @ readout, goal, atol=1e-10)


def test_irka_alternates_undamped_and_settles_damped():
    once = irka_step([0.95], 16)
    assert once[0] == pytest.approx(16 / 17 / 0.95)
    assert irka_step(once, 16)[0] == pytest.approx(0.95, abs=1e-12)
    _, history = irka(1, 16, damping=1.0, n_steps=51, start=[0.95])
    np.testing.assert_allclose(history[::2, 0], 0.95, atol=1e-9)
    for order, lag in ((1, 64), (2, 16), (4, 64), (8, 64), (16, 64)):
        poles, history = irka(order, lag)
        assert history.shape == (201, order)
        np.testing.assert_allclose(np.sort_complex(poles.values), np.sort_complex(history[-1]))
        found = float(shift_error(poles, lag))
        assert found == pytest.approx(optimal_poles(order, lag)[1], abs=1e-10)
    assert irka(3, 16, n_steps=0)[1].shape == (1, 3)


def test_in_the_page():
    def figure(alpha, spacing, rho, fraction):
        poles, readout, error = explicit_filter(9, 64, alpha=alpha, spacing=spacing)
        law = arctan_law(jnp.linspace(0, 1, 11) * fraction, rho)
        return {"error": error[None], "law": law, "b": readout.real, "decay": poles.decay}

    values = tuple(map(np.float64, (1.0, 1.3, 0.9, 0.5)))
    with Engine() as engine:
        found = engine.run(translate(figure, *values), *values)
    for one, other in zip(found, jax.tree.leaves(figure(*values)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


START = Poles(np.full(2, 0.1), np.arange(2.0))
BAD = [
    (lambda: explicit_filter(4, 10, alpha=1.0), ValueError, "order"),
    (lambda: explicit_filter(0, 10, alpha=1.0), ValueError, "order"),
    (lambda: explicit_filter(3, 0, alpha=1.0), ValueError, "lag"),
    (lambda: explicit_filter(3, 10, alpha=0.0), ValueError, "alpha"),
    (lambda: explicit_filter(3, 10, alpha=[1.0]), ValueError, "alpha"),
    (lambda: explicit_filter(3, 10, alpha=np.nan), ValueError, "alpha"),
    (lambda: explicit_filter(3, 10, alpha=1.0, spacing=-1.0), ValueError, "spacing"),
    (lambda: explicit_filter(3, 10, alpha=1.0, spacing="2"), TypeError, "spacing"),
    (lambda: error_lower_bound(0, 10), ValueError, "order"),
    (lambda: error_lower_bound(1, -1), ValueError, "lag"),
    (lambda: error_lower_bound(1, 1.5), TypeError, "lag"),
    (lambda: error_lower_bound(1, 10, rho=1.0), ValueError, "rho"),
    (lambda: error_lower_bound(1, 10, rho=[0.5, 0.5]), ValueError, "rho"),
    (lambda: jax.jit(lambda r: error_lower_bound(1, 10, rho=r))(0.5), TypeError, "rho"),
    (lambda: arctan_law(-0.1, 0.5), ValueError, "fraction"),
    (lambda: arctan_law(1.1, 0.5), ValueError, "fraction"),
    (lambda: arctan_law(0.5, 1.0), ValueError, "rho"),
    (lambda: arctan_law("x", 0.5), TypeError, "fraction"),
    (lambda: widths([1.0, 2.0], 2), ValueError, "lag"),
    (lambda: widths([0.0, 0.0], 1), ValueError, "c"),
    (lambda: widths([[1.0]], 0), ValueError, "c"),
    (lambda: widths([], 0), ValueError, "c"),
    (lambda: widths([np.nan, 1.0], 0), ValueError, "c"),
    (lambda: jax.jit(lambda c: widths(c, 0).rms)(jnp.ones(3)), TypeError, "c"),
    (lambda: optimal_poles(0, 3), ValueError, "order"),
    (lambda: optimal_poles(2, -3), ValueError, "lag"),
    (lambda: optimal_poles(2, 3, rho=1.0), ValueError, "rho"),
    (lambda: optimal_poles(2, 3, method="adam"), ValueError, "method"),
    (lambda: optimal_poles(2, 3, n_steps=0), ValueError, "n_steps"),
    (lambda: optimal_poles(2, 3, method="gd", step_size=-1.0), ValueError, "step_size"),
    (lambda: optimal_poles(3, 9, starts=[START]), ValueError, "starts"),
    (lambda: optimal_poles(3, 9, starts=[]), ValueError, "starts"),
    (lambda: optimal_poles(2, 9, starts=START), TypeError, "starts"),
    (lambda: jax.jit(lambda r: optimal_poles(2, 9, rho=r)[1])(0.5), TypeError, "rho"),
    (lambda: irka_step([0.5, 0.5], 4), ValueError, "values"),
    (lambda: irka_step([1.5], 4), ValueError, "values"),
    (lambda: irka_step([0.0], 4), ValueError, "values"),
    (lambda: irka_step([np.nan], 4), ValueError, "values"),
    (lambda: irka_step([0.5, 0.6], 1), ValueError, "values"),
    (lambda: irka_step([0.01, 0.02, 0.03], 300), ValueError, "values"),
    (lambda: irka_step(["a"], 4), ValueError, "values"),
    (lambda: irka(5, 4), ValueError, "order"),
    (lambda: irka(1, 4, damping=0.0), ValueError, "damping"),
    (lambda: irka(1, 4, damping=1.5), ValueError, "damping"),
    (lambda: irka(2, 4, start=[0.5]), ValueError, "start"),
    (lambda: irka(1, 4, n_steps=-1), ValueError, "n_steps"),
]


@pytest.mark.parametrize(("call", "error", "name"), BAD)
def test_bad_input(call, error, name):
    with pytest.raises(error, match=rf"^{name}: got .*; .*\.($|\n)"):
        call()


def test_the_search_needs_float64():
    with enable_x64(False), pytest.raises(TypeError, match=r"float64 is needed.*jax_enable_x64"):
        optimal_poles(2, 3)
