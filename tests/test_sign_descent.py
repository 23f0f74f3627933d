"""optdyn.sign_descent against transition matrices, mpmath, SciPy and NumPy loops."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optdyn import moments, sign_descent
from optdyn.optimizers import adam, trajectory

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


KEY = jax.random.key(11)
LAWS = {"gaussian": stats.norm, "laplace": stats.laplace, "t2": stats.t(2), "cauchy": stats.cauchy}


def matrix(positions, curvature, sigma, step_size, law):
    """Transition matrix of the walk; at the two ends it is turned back."""
    up = law.cdf(-curvature * positions / sigma)
    up[0], up[-1] = 1, 0
    return np.diag(up[:-1], 1) + np.diag(1 - up[1:], -1)


# --- the stationary law -----------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(LAWS)),
    st.floats(0.02, 20),
    st.floats(0.1, 10),
    st.floats(0.05, 3),
    st.floats(-2, 2),
)
def test_the_law_is_stationary(noise, curvature, sigma, step_size, offset):
    positions, p = sign_descent.stationary_law(
        curvature, sigma, step_size, offset=offset, noise=noise
    )
    assert p.sum() == pytest.approx(1, abs=1e-13) and np.all(p > 0)
    np.testing.assert_allclose(np.diff(positions), step_size, rtol=1e-9)
    places = positions / step_size - offset
    np.testing.assert_allclose(places, np.round(places), atol=1e-9)
    step = matrix(positions, curvature, sigma, step_size, LAWS[noise])
    np.testing.assert_allclose(p @ step, p, rtol=0, atol=1e-13)


@pytest.mark.parametrize("noise", list(LAWS))
def test_the_law_is_found_by_walking(noise):
    positions, p = sign_descent.stationary_law(1.0, 0.3, 0.1, offset=0.25, noise=noise)
    step = matrix(positions, 1.0, 0.3, 0.1, LAWS[noise])
    twice = np.linalg.matrix_power(step @ step, 5000)
    rows = (twice[len(p) // 2] + twice[len(p) // 2] @ step) / 2
    np.testing.assert_allclose(rows, p, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(LAWS)), st.floats(1e-4, 5), st.floats(0, 1))
def test_the_balance_of_squares(noise, ratio, offset):
    """E x sign(h x + sigma Z) = step_size / 2, from E x_{n+1}^2 = E x_n^2."""
    x, p = sign_descent.stationary_law(2.0, 0.5, ratio / 4, offset=offset, noise=noise)
    assert p @ (x * (2 * LAWS[noise].cdf(4 * x) - 1)) == pytest.approx(ratio / 8, rel=1e-10)


@pytest.mark.parametrize(
    "setting, expected",
    [
        ((1, 1, 0.01), 0.00628623),
        ((1, 1, 0.1), 0.0646482),
        ((10, 0.5, 0.01), 3.33333e-4),
        ((1, 0.1, 0.01), 2 * 3.232e-4),
        ((1, 0.8, 0.01), 2 * 2.5165e-3),
    ],
)
def test_published_variances(setting, expected):
    found = sign_descent.sign_descent_stationary_variance(*setting)
    assert found == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("ratio, offset", [(0.02, 0.0), (0.7, 0.3), (6.0, 0.5), (30.0, 0.9)])
def test_variance_in_thirty_digits(ratio, offset):
    with mpmath.workdps(30):
        r, o = mpmath.mpf(ratio), mpmath.mpf(offset)
        width = int(mpmath.ceil(12 / mpmath.sqrt(r))) + 12
        p = [mpmath.mpf(1)]
        places = list(range(-width, width + 1))
        for k in places[:-1]:
            p.append(p[-1] * mpmath.ncdf(-r * (k + o)) / mpmath.ncdf(r * (k + 1 + o)))
        exact = sum(q * (k + o) ** 2 for q, k in zip(p, places, strict=True)) / sum(p)
    found = sign_descent.sign_descent_stationary_variance(ratio, 1.0, 1.0, offset=offset)
    assert found == pytest.approx(float(exact), rel=1e-12)


def test_variance_without_noise_in_the_limit():
    for offset, squared in ((0.0, 0.5), (0.5, 0.25), (0.25, (0.0625 + 0.5625) / 2)):
        found = sign_descent.sign_descent_stationary_variance(1.0, 1e-9, 2.0, offset=offset)
        assert found == pytest.approx(4 * squared, rel=1e-12)


def test_variance_of_small_steps():
    """The first two terms of the series, and no jump where the series takes over."""
    for ratio in (1e-3, 1e-5):
        found = sign_descent.sign_descent_stationary_variance(1.0, 1.0, ratio)
        series = ratio * np.sqrt(np.pi / 8) * (1 + np.sqrt(np.pi / 2) * ratio / 4)
        assert found == pytest.approx(series, rel=ratio**2)
    below, above = (
        sign_descent.sign_descent_stationary_variance(3.0, 3.0, eta) / eta
        for eta in (0.999e-9, 1.001e-9)
    )
    assert below == pytest.approx(above, rel=1e-11)


def test_variance_does_not_depend_on_units_or_on_whole_offsets():
    one = sign_descent.sign_descent_stationary_variance(2.0, 0.5, 0.1, offset=0.3)
    for offset in (-0.7, 4.3, -0.3):
        other = sign_descent.sign_descent_stationary_variance(2.0, 0.5, 0.1, offset=offset)
        assert other == pytest.approx(one, rel=1e-12)
    scaled = sign_descent.sign_descent_stationary_variance(2e80, 0.5e-20, 0.1e-100, offset=0.3)
    assert scaled == pytest.approx(1e-200 * one, rel=1e-12)


def test_moments_has_it_too():
    assert moments.sign_descent_stationary_variance(1, 1, 0.1) == pytest.approx(0.0646482, abs=1e-7)


# --- drift, paths, SDE ------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("noise", list(LAWS))
def test_mean_sign(noise, wide):
    snr = np.array([-50.0, -3, -1e-3, 0, 1e-7, 0.5, 2, 1e6])
    with enable_x64(wide):
        found = sign_descent.mean_sign(jnp.asarray(snr), noise=noise)
    expected = np.sign(snr) * (1 - 2 * LAWS[noise].sf(np.abs(snr)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9 if wide else 1e-8)


@pytest.mark.parametrize("wide", [True, False])
def test_paths_are_the_loop(wide):
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=7), rng.normal(size=(200, 7))
    dtype = np.float64 if wide else np.float32
    x, noise = x.astype(dtype), noise.astype(dtype)
    with enable_x64(wide):
        path = sign_descent.sign_descent_paths(x, noise, curvature=1.5, sigma=0.5, step_size=0.0625)
    assert path.shape == (201, 7) and path.dtype == dtype
    for n, z in enumerate(noise):
        np.testing.assert_array_equal(path[n], x)
        x = x - dtype(0.0625) * np.sign(dtype(1.5) * x + dtype(0.5) * z)


def test_paths_settle_in_the_stationary_law():
    noise = np.random.default_rng(4).standard_t(2, (20_000, 100))
    path = sign_descent.sign_descent_paths(
        jnp.zeros(100), noise, curvature=1.0, sigma=0.3, step_size=0.05
    )
    found = np.mean(np.asarray(path[1000:]) ** 2)
    exact = sign_descent.sign_descent_stationary_variance(1.0, 0.3, 0.05, noise="t2")
    assert found == pytest.approx(exact, rel=0.02)


def test_the_sde_is_the_loop():
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=3), rng.normal(size=(40, 3))
    path = sign_descent.sign_descent_sde(
        x, noise, curvature=2.0, sigma=0.7, step_size=0.1, substeps=4, law="cauchy"
    )
    for n, z in enumerate(noise):
        if n % 4 == 0:
            np.testing.assert_allclose(path[n // 4], x, rtol=1e-12)
        r = 2 / np.pi * np.arctan(2 * x / 0.7)
        x = x - 0.025 * r + np.sqrt(0.1 * 0.025 * (1 - r * r)) * z
    np.testing.assert_allclose(path[-1], x, rtol=1e-12)


def test_the_sde_is_of_weak_order_one():
    """f = x^2 / 2, x_0 = 1, sigma = 0.3, to time 3: the distance of E f halves with the step."""

    def distance(eta):
        n = round(3 / eta)
        positions = 1 + eta * np.arange(-2 * n, n + 1)
        step = matrix(positions, 1.0, 0.3, eta, stats.norm)
        p, exact = (positions == 1).astype(float), []
        for _ in range(n + 1):
            exact.append(p @ positions**2 / 2)
            p = p @ step
        half = jax.random.normal(KEY, (4 * n, 40_000))
        path = sign_descent.sign_descent_sde(
            jnp.ones(80_000), jnp.concatenate([half, -half], axis=1), curvature=1.0, sigma=0.3,
            step_size=eta,
        )  # fmt: skip
        return np.abs(np.mean(np.asarray(path) ** 2 / 2, axis=1) - exact).max()

    wide, narrow = distance(0.1), distance(0.05)
    assert wide == pytest.approx(3.3e-3, rel=0.25)
    assert 1.6 < wide / narrow < 2.7


def test_the_sde_misses_the_second_order_of_the_variance():
    """Linearised, it has V_0 / (1 + r / sqrt(2 pi)): below V_0, where the walk is above."""
    for ratio in (0.01, 0.1):
        first = ratio * np.sqrt(np.pi / 8)
        linear = first / (1 + ratio / np.sqrt(2 * np.pi))
        exact = sign_descent.sign_descent_stationary_variance(1.0, 1.0, ratio)
        assert linear < first < exact


@pytest.mark.parametrize("b1, b2", [(0.9, 0.9), (0.95, 0.95), (0.9, 0.999)])
def test_adam_settles_at_half_the_step_times_sigma_over_curvature(b1, b2):
    """C25, first order in the step size."""
    noise = 0.5 * jax.random.normal(KEY, (8000, 512))
    method = adam(0.01, b1, b2, 1e-12, bias_correction=False)
    squares = trajectory(
        method,
        lambda x, z: 2 * x + z,
        jnp.zeros(512),
        noise,
        record=lambda x, _: jnp.mean(x * x),
    )
    assert np.mean(squares[4000:]) == pytest.approx(0.01 / 2 * 0.5 / 2, rel=0.03)


def test_nothing_recompiles_when_a_number_changes():
    x, noise = jnp.zeros(3), jnp.ones((8, 3))
    for curvature in (1.0, 2.0):
        sign_descent.sign_descent_paths(x, noise, curvature=curvature, sigma=1.0, step_size=0.1)
        sign_descent.sign_descent_sde(x, noise, curvature=curvature, sigma=1.0, step_size=0.1)
        if curvature == 1:
            sizes = sign_descent._sign_paths._cache_size(), sign_descent._sde_paths._cache_size()
    assert sizes == (sign_descent._sign_paths._cache_size(), sign_descent._sde_paths._cache_size())


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, changed",
    [
        ("curvature", {"curvature": 0.0}),
        ("sigma", {"sigma": -1.0}),
        ("sigma", {"sigma": np.inf}),
        ("step_size", {"step_size": [0.1, 0.2]}),
        ("step_size", {"step_size": 1e-12}),
        ("offset", {"offset": np.nan}),
        ("noise", {"noise": "uniform"}),
    ],
)
def test_the_law_names_the_bad_argument(name, changed):
    given = {"curvature": 1.0, "sigma": 1.0, "step_size": 0.1}
    with pytest.raises(ValueError, match=f"^{name}: got"):
        sign_descent.stationary_law(**(given | changed))


def test_the_variance_takes_any_small_step_but_checks_the_rest():
    assert sign_descent.sign_descent_stationary_variance(1.0, 1.0, 1e-200) > 0
    with pytest.raises(ValueError, match=r"^offset: got"):
        sign_descent.sign_descent_stationary_variance(1.0, 1.0, 1e-20, offset=np.inf)
    with pytest.raises(ValueError, match=r"^noise: got"):
        sign_descent.sign_descent_stationary_variance(1.0, 1.0, 1e-20, noise="normal")
    with pytest.raises(TypeError, match=r"^curvature: got a traced"):
        jax.jit(sign_descent.sign_descent_stationary_variance)(1.0, 1.0, 0.1)


@pytest.mark.parametrize(
    "name, changed",
    [
        ("noise", {"noise": np.ones((8, 2))}),
        ("noise", {"noise": np.ones((0, 3))}),
        ("noise", {"noise": np.ones((7, 3))}),
        ("x0", {"x0": "here"}),
        ("curvature", {"curvature": -1.0}),
        ("step_size", {"step_size": np.ones(3)}),
        ("substeps", {"substeps": 0}),
        ("law", {"law": "t3"}),
    ],
)
def test_the_sde_names_the_bad_argument(name, changed):
    given = {
        "x0": np.zeros(3), "noise": np.ones((8, 3)), "curvature": 1.0, "sigma": 1.0,
        "step_size": 0.1,
    }  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=f"^{name}: got"):
        sign_descent.sign_descent_sde(**(given | changed))
