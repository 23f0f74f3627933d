"""optdyn.stationarity against mpmath, sums, and simulations in NumPy."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.stats import beta

from optdyn import noise, stationarity

HURSTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


# --- one dimension --------------------------------------------------------------------


@pytest.mark.parametrize("order", [0, -1e-17, -1e-15, -1e-9, -1e-7, -0.1, -0.5, -1, -1.5, -1.8, -2])
def test_polylogarithm_is_that_of_30_digits(order):
    for a in (0.9, 0.999, 0.99999, 0.9999999, 0.5, 1e-4, -1e-4, -0.01, -0.5, -0.9, -0.9999):
        with mpmath.workdps(30):
            exact = float(mpmath.re(mpmath.polylog(mpmath.mpf(order), mpmath.mpf(a))))
        assert stationarity.polylogarithm(order, a) == pytest.approx(exact, rel=1e-10)


@given(order=st.floats(-2, 0), a=st.floats(-0.95, 0.95))
def test_polylogarithm_is_its_series(order, a):
    series = math.fsum(k**-order * a**k for k in range(1, 1000))
    assert stationarity.polylogarithm(order, a) == pytest.approx(series, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("hurst", [0.1, 0.3, 0.5, 0.8])
def test_in_flat_directions_the_variance_is_that_of_the_continuous_limit(hurst):
    """H Gamma(2H) theta^-2H, to an error of the order of theta, below the last digit of 1 too."""
    for theta in (1e-6, 1e-12, 1e-18):
        limit = hurst * math.gamma(2 * hurst) * theta ** (-2 * hurst)
        law = stationarity.stationary_variance(theta, hurst=hurst)
        assert law == pytest.approx(limit, rel=2 * theta ** min(1.0, 2 * hurst + 0.5) + 1e-12)


@pytest.mark.parametrize("theta", [0.05, 0.5, 1.0, 1.5, 1.9])
def test_stationary_variance_is_the_sum_over_all_lags(theta):
    """[r(0) + 2 sum a^k r(k)] / (1 - a^2), for any stationary noise."""
    a, lags = 1 - theta, np.arange(1, 4000)

    def total(r):
        return (r[0] + 2 * np.sum(a**lags * r[1:])) / (1 - a * a)

    for hurst in HURSTS:
        expected = total(noise.fgn_autocovariance(np.arange(4000), hurst))
        assert stationarity.stationary_variance(theta, hurst=hurst) == pytest.approx(expected)
    for kappa in (0.0, 0.3, 1.0, 1.5):
        expected = total(np.array([1 + kappa**2, -kappa, *np.zeros(3998)]))
        assert stationarity.stationary_variance(theta, kappa=kappa) == pytest.approx(expected)


@pytest.mark.parametrize(("kappa", "hurst"), [(0.0, None), (0.6, None), (1.0, None), (None, 0.3)])
def test_stationary_variance_is_that_of_a_simulation(kappa, hurst):
    rng, runs, n = np.random.default_rng(1), 3000, 300
    if hurst is None:
        xi = rng.normal(size=(n + 1, runs))
        kicks = xi[1:] - kappa * xi[:-1]
    else:
        factor = np.linalg.cholesky(toeplitz(noise.fgn_autocovariance(np.arange(n), hurst)))
        kicks = factor @ rng.normal(size=(n, runs))
    for theta in (0.1, 0.5, 1.7):
        x, kept = np.zeros(runs), []
        for kick in kicks:
            x = (1 - theta) * x + kick
            kept.append(x)
        measured = np.var(kept[100:])
        law = stationarity.stationary_variance(theta, kappa=kappa, hurst=hurst)
        assert measured == pytest.approx(law, rel=0.03)


def test_the_crossing_and_the_ends_of_the_dial():
    variance = stationarity.stationary_variance
    theta = np.linspace(0.01, 1.99, 199)
    white, anti = variance(theta, kappa=0.0), variance(theta, kappa=1.0)
    np.testing.assert_array_equal(white > anti, theta < 0.5)
    np.testing.assert_allclose(variance(theta, hurst=0.5), white, rtol=1e-12)
    np.testing.assert_allclose(variance(theta, hurst=0.0), anti / 2, rtol=1e-12)
    np.testing.assert_allclose(variance(1.0, hurst=np.array(HURSTS)), 1, rtol=1e-14)


def test_stationary_variance_is_traced_for_kappa():
    made = jax.jit(lambda t, k: stationarity.stationary_variance(t, kappa=k))(0.5, 0.25)
    assert float(made) == pytest.approx((0.75**2 + 0.25) / 0.75)
    assert isinstance(stationarity.stationary_variance(jnp.array([0.5]), kappa=1.0), jax.Array)
    slope = jax.grad(lambda k: stationarity.stationary_variance(0.5, kappa=k))(0.25)
    assert float(slope) == pytest.approx((-2 * 0.75 + 1.0) / 0.75)


@pytest.mark.parametrize("hurst", [0.0, 0.25, 0.5, 0.9])
def test_saddle_exit_time_is_that_of_a_simulation(hurst):
    rng, runs, n, growth, radius = np.random.default_rng(2), 2000, 400, 1.05, 1000.0
    factor = np.linalg.cholesky(toeplitz(noise.fgn_autocovariance(np.arange(n), hurst)))
    x, exit_at = np.zeros(runs), np.full(runs, n)
    for i, kick in enumerate(factor @ rng.normal(size=(n, runs)), start=1):
        x = growth * x + kick
        exit_at = np.where((np.abs(x) >= radius) & (exit_at == n), i, exit_at)
    assert exit_at.max() < n
    law = stationarity.saddle_exit_time(growth, hurst=hurst, radius=radius)
    assert exit_at.mean() == pytest.approx(law, abs=4 * exit_at.std() / runs**0.5 + 0.3)
    scaled = stationarity.saddle_exit_time(growth, hurst=hurst, radius=7 * radius, sigma=7.0)
    assert scaled == pytest.approx(law)


# --- the widening valley --------------------------------------------------------------


def valley(kicks, d, start, eta):
    """|u|^2 after each step, for kicks (n, runs, d + 1)."""
    u, v = np.full((*kicks.shape[1:2], d), (start / d) ** 0.5), np.zeros(kicks.shape[1])
    for kick in kicks:
        u, v = (
            u * (1 - eta * v[:, None] ** 2) + kick[:, :d],
            v * (1 - eta * (u**2).sum(1)) + kick[:, d],
        )
        yield u, v


@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_valley_beta_is_the_law_of_a_simulation(kappa):
    d, runs, n, eta, variance = 8, 400, 6000, 0.0025, 0.2
    rng, kept = np.random.default_rng(3), []
    old = np.sign(rng.random((runs, d + 1)) - 0.5) * variance**0.5

    def kicks():
        nonlocal old
        for _ in range(n):
            new = np.sign(rng.random((runs, d + 1)) - 0.5) * variance**0.5
            yield new - kappa * old
            old = new

    u, v = np.full((runs, d), (300 / d) ** 0.5), np.zeros(runs)
    for i, kick in enumerate(kicks()):
        u, v = (
            u * (1 - eta * v[:, None] ** 2) + kick[:, :d],
            v * (1 - eta * (u**2).sum(1)) + kick[:, d],
        )
        if i >= n // 2 and i % 100 == 0:
            kept.append(eta / 2 * ((u - kappa * old[:, :d]) ** 2).sum(1))
    kept = np.ravel(kept)
    law = beta(*stationarity.valley_beta(d, kappa))
    assert kept.mean() == pytest.approx(law.mean(), abs=0.03)
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(np.quantile(kept, levels), law.ppf(levels), atol=0.05)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_valley_mean_field_is_that_of_a_simulation(kind):
    d, runs, n, eta, variance = 8, 2000, 1500, 0.0025, 0.5
    rng = np.random.default_rng(4)

    def draw():
        normal = rng.normal(size=(runs, d + 1))
        return variance**0.5 * (np.sign(normal) if kind == "rademacher" else normal)

    xi = draw()
    u, v = (100 / d) ** 0.5 - xi[:, :d], -xi[:, d]  # z
    sizes = [(u**2).sum(1).mean()]
    for _ in range(n):
        moved, fast = u + xi[:, :d], v + xi[:, d]
        u, v = (
            u - eta * moved * fast[:, None] ** 2,
            v - eta * fast * (moved**2).sum(1),
        )
        xi = draw()
        sizes.append((u**2).sum(1).mean())
    law = stationarity.valley_mean_field(
        n, dim=d, start=100, step_size=eta, sigma=variance**0.5, kind=kind
    )
    assert law[0] == 100 + d * variance
    for at in (100, 500, 1500):
        assert sizes[at] == pytest.approx(law[at], rel=0.03)


def test_valley_mean_field_says_when_there_is_none():
    rows = stationarity.valley_mean_field(3, dim=2, start=900, step_size=0.0025, sigma=0.1)
    assert rows[0] == 900.02 and np.isnan(rows[1:]).all()


def test_valley_landing_solves_its_equation_and_is_that_of_a_simulation():
    d, eta, variance = 8, 0.0025, 0.8
    u = stationarity.valley_landing(0.1, dim=d, step_size=eta, sigma=variance**0.5)
    inner = eta * variance * stationarity.stationary_variance(eta * u, hurst=0.1)
    outer = d * variance * stationarity.stationary_variance(inner, hurst=0.1)
    assert outer == pytest.approx(u, rel=1e-9)
    # Anti-PGD: u and v are w, of variance sigma^2 (1 + small)
    at_zero = stationarity.valley_landing(0.0, dim=d, step_size=eta, sigma=variance**0.5)
    assert at_zero == pytest.approx(d * variance / 2, rel=2e-3)
    n, runs = 2500, 60
    r = noise.fgn_autocovariance(np.arange(n + 1), 0.1)
    spectrum = np.sqrt(np.fft.rfft(np.concatenate([r, r[-2:0:-1]])).real)
    normal = np.random.default_rng(5).normal(size=(runs, d + 1, 2 * n))
    kicks = np.fft.irfft(np.fft.rfft(normal) * spectrum)[..., :n] * variance**0.5
    path = list(valley(np.moveaxis(kicks, -1, 0), d, u, eta))
    measured = np.mean([(point**2).sum(1).mean() for point, _ in path[800::50]])
    assert measured == pytest.approx(u, rel=0.05)


def test_landing_grows_with_hurst_up_to_the_edge():
    lands = [
        stationarity.valley_landing(h, dim=8, step_size=0.0025, sigma=0.5)
        for h in (0.0, 0.1, 0.2, 0.3, 0.4)
    ]
    assert (np.diff(lands) > 0).all() and lands[-1] < 2 / 0.0025


@pytest.mark.parametrize("hurst", [0.0, 0.1, 0.25])
def test_at_small_rates_the_landing_is_a_power_law(hurst):
    """d^(1 / (1 - 4 H^2)) (c sigma^2 eta^-2H)^(1 / (1 + 2H)), c = H Gamma(2H), 1/2 at H = 0."""
    d, eta, variance = 3, 1e-9, 1.0
    c = math.gamma(2 * hurst + 1) / 2
    power = (c * variance * eta ** (-2 * hurst)) ** (1 / (1 + 2 * hurst))
    law = d ** (1 / (1 - 4 * hurst**2)) * power
    landing = stationarity.valley_landing(hurst, dim=d, step_size=eta, sigma=variance**0.5)
    assert landing == pytest.approx(law, rel=1e-3)


def test_without_a_landing_below_the_edge_there_is_inf():
    assert stationarity.valley_landing(0.2, dim=8, step_size=1.0, sigma=2.0) == math.inf


def test_the_constants_of_the_theorem():
    found = stationarity.valley_theorem(0.1, 100, 200)
    assert found == pytest.approx((5e-4, 200, 0.05, 0.025))
    assert stationarity.valley_theorem(0.5, 100, 1).variance_up == 6.25
    assert stationarity.valley_theorem(0.9, 100, 1).variance_up == pytest.approx(100 / 7.2)


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stationarity.stationary_variance(0.5), "got none of them"),
        (lambda: stationarity.stationary_variance(0.5, kappa=1, hurst=0.5), "got both"),
        (lambda: stationarity.stationary_variance(0.0, kappa=1), "theta: got 0.0"),
        (lambda: stationarity.stationary_variance([0.5, 2.0], hurst=0.5), "theta: got 2.0"),
        (lambda: stationarity.stationary_variance(np.nan, kappa=1), "theta: got nan"),
        (lambda: stationarity.stationary_variance(0.5, hurst=1.01), "hurst: got 1.01"),
        (lambda: stationarity.stationary_variance(0.5, kappa=np.inf), "kappa: got inf"),
        (
            lambda: stationarity.stationary_variance([0.5, 0.6], kappa=[0, 0.5, 1]),
            r"kappa: got shape \(3,\)",
        ),
        (
            lambda: stationarity.stationary_variance([0.5, 0.6], hurst=[0, 0.5, 1]),
            r"hurst: got shape \(3,\)",
        ),
        (lambda: stationarity.polylogarithm(0.5, 0.5), "order: got 0.5"),
        (lambda: stationarity.polylogarithm(-0.5, 1.0), "a: got 1"),
        (lambda: stationarity.saddle_exit_time(1.0, hurst=0.5, radius=9), "growth: got 1"),
        (lambda: stationarity.saddle_exit_time(1.1, hurst=-1, radius=9), "hurst: got -1"),
        (lambda: stationarity.saddle_exit_time(1.1, hurst=0.5, radius=0), "radius: got 0,"),
        (lambda: stationarity.saddle_exit_time(1.1, hurst=0.5, radius=0.1), "radius: got 0.1,"),
        (
            lambda: stationarity.saddle_exit_time(1.1, hurst=0.5, radius=9, sigma=0),
            "sigma: got 0",
        ),
        (lambda: stationarity.valley_beta(1, 0.0), "dim: got 1"),
        (lambda: stationarity.valley_beta(2, 1.0), "kappa: got 1"),
        (lambda: stationarity.valley_beta(2, -0.1), "kappa: got -0.1"),
        (lambda: stationarity.valley_theorem(1.0, 100, 8), "alpha: got 1"),
        (lambda: stationarity.valley_theorem(0.5, 100, 0), "dim: got 0"),
        (lambda: stationarity.valley_theorem(0.5, 0, 8), "sharpness: got 0"),
        (lambda: stationarity.valley_landing(0.5, dim=8, step_size=1, sigma=1), "hurst: got 0.5"),
        (
            lambda: stationarity.valley_landing([0.1], dim=8, step_size=1, sigma=1),
            r"hurst: got shape \(1,\)",
        ),
        (lambda: stationarity.valley_landing(0.1, dim=0, step_size=1, sigma=1), "dim: got 0"),
        (lambda: stationarity.valley_landing(0.1, dim=8, step_size=0, sigma=1), "step_size: got 0"),
        (lambda: stationarity.valley_landing(0.1, dim=8, step_size=1, sigma=0), "sigma: got 0"),
        (
            lambda: stationarity.valley_mean_field(-1, dim=2, start=1, step_size=1, sigma=1),
            "n_steps: got -1",
        ),
        (
            lambda: stationarity.valley_mean_field(3, dim=0, start=1, step_size=1, sigma=1),
            "dim: got 0",
        ),
        (
            lambda: stationarity.valley_mean_field(3, dim=2, start=-1, step_size=1, sigma=1),
            "start: got -1",
        ),
        (
            lambda: stationarity.valley_mean_field(3, dim=2, start=1, step_size=1, sigma=-1),
            "sigma: got -1",
        ),
        (
            lambda: stationarity.valley_mean_field(
                3, dim=2, start=1, step_size=0, sigma=1, kind="gaussian"
            ),
            "step_size: got 0",
        ),
        (
            lambda: stationarity.valley_mean_field(
                3, dim=2, start=1, step_size=1, sigma=1, kind="cauchy"
            ),
            "kind: got 'cauchy'",
        ),
    ],
)
def test_bad_arguments_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_what_computes_on_the_host_refuses_tracers():
    with pytest.raises(TypeError, match="hurst: got a traced value"):
        jax.jit(lambda h: stationarity.saddle_exit_time(1.1, hurst=h, radius=9))(0.5)
    with pytest.raises(TypeError, match="theta: got a traced value"):
        jax.jit(lambda t: stationarity.stationary_variance(t, hurst=0.3))(0.5)
