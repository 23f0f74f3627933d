"""optdyn.moments against NumPy loops, fractions, mpmath, SciPy's minimiser and printed numbers.

The formulas of chapters/adam in both precisions; in float32 the reference is float64's.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays
from scipy import optimize, special

from optdyn import moments, sign_descent
from optdyn.javascript import translate
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

BETAS = [0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999]
PAIRS = [(0.9, 0.999), (0.9, 0.95), (0.9, 0.9), (0.95, 0.9), (0.0, 0.9), (0.9, 0.81), (0.0, 0.0)]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with enable_x64(request.param == "float64"):
        yield np.dtype(request.param).type


def close(dtype, double=1e-12, single=1e-4):
    return double if dtype is np.float64 else single


def stream(dtype=np.float64, n=2000, d=50, seed=0):
    """Coordinates of very different scales."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * np.exp(3 * rng.normal(size=d))).astype(dtype)


def averaged(x, beta, start=0.0):
    """A loop in NumPy's float64."""
    m, kept = np.zeros(x.shape[1:]) + start, []
    for new in np.asarray(x, float):
        m = beta * m + (1 - beta) * new
        kept.append(m)
    return np.array(kept)


def spread(g, beta):
    """s_k = beta * EMA[(m_{k-1} - g_k)^2]: Proposition 1 as it is printed."""
    m = averaged(g, beta)
    before = np.concatenate([np.zeros_like(m[:1]), m[:-1]])
    return beta * averaged((before - g) ** 2, beta)


@pytest.mark.parametrize("beta", BETAS)
def test_ema_is_the_loop(dtype, beta):
    x = stream(dtype)
    scale = np.abs(x).max(axis=0)
    k = np.arange(1, len(x) + 1)[:, None]
    first = averaged(x, beta, x[0])
    for found, expected in [
        (moments.ema(x, beta), averaged(x, beta)),
        (moments.ema(x, beta, debias=True), averaged(x, beta) / (1 - beta**k)),
        (moments.ema(x, beta, init="first"), first),
        (moments.ema(x, beta, init="first", debias=True), first),
    ]:
        assert found.dtype == dtype and found.shape == x.shape
        atol = close(dtype, 1e-14, 2e-5)
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=atol)
    assert (moments.ema(x, beta, init="first")[0] == x[0]).all()


def test_ema_of_a_constant_debiased(dtype):
    found = moments.ema(np.full(5000, 3, dtype), 0.999, debias=True)
    np.testing.assert_allclose(found, 3, rtol=close(dtype, 1e-13, 2e-5))


def test_one_beta_a_coordinate_and_vmap(dtype):
    x, beta = stream(dtype, 100, 3), np.array([0.0, 0.5, 0.9])
    found = moments.ema(x, beta)
    for i, b in enumerate(beta):
        np.testing.assert_array_equal(found[:, i], moments.ema(x[:, i], b))
    swept = jax.vmap(lambda b: moments.ema(x[:, 0], b))(jnp.asarray(beta, dtype))
    expected = np.transpose([averaged(x[:, 0], b) for b in beta])
    np.testing.assert_allclose(swept.T, expected, rtol=close(dtype, 1e-12, 1e-5), atol=1e-5)


@pytest.mark.parametrize("beta", BETAS)
def test_equal_betas_leave_a_variance_under_the_root(dtype, beta):
    """C1, with v and s computed apart; float32 against float64, never v - m^2 in float32."""
    g = stream(dtype)
    mean, variance = moments.mean_variance_filter(g, beta)
    exact = g.astype(float)
    m, v, s = averaged(exact, beta), averaged(exact**2, beta), spread(exact, beta)
    assert (np.abs(v - m**2 - s) / v).max() < 1e-14  # the reference itself
    assert variance.dtype == mean.dtype == dtype and (variance >= 0).all()
    np.testing.assert_allclose(variance / v, s / v, rtol=0, atol=close(dtype, 1e-13, 1e-4))
    d = m / np.sqrt(v)
    for found in (
        moments.adam_direction(g, beta, beta),
        moments.family_direction(g, beta, 1.0),
        np.sign(mean) / np.sqrt(1 + variance / mean**2),
    ):
        np.testing.assert_allclose(found, d, rtol=0, atol=close(dtype, 1e-12, 1e-4))


def test_the_recursion_where_the_difference_cancels():
    """Trap 1: g = 1 + 1e-4 * N in float32."""
    g = (1 + 1e-4 * np.random.default_rng(0).normal(size=400)).astype(np.float32)
    _, s = moments.mean_variance_filter(g, 0.95)
    exact = spread(g.astype(float), 0.95)
    np.testing.assert_allclose(s, exact, rtol=2e-3)
    m, v = moments.ema(g, 0.95), moments.ema(np.square(g), 0.95)
    assert np.abs(np.asarray(v - m**2)[-1] / exact[-1] - 1) > 0.5


@pytest.mark.parametrize("beta", BETAS)
def test_bias_corrected_it_is_the_weighted_sample_variance(beta):
    """C2, with the weights written out."""
    with enable_x64(True):
        g = stream(n=60, d=5)
        m = np.asarray(moments.ema(g, beta, debias=True))
        d = np.asarray(moments.adam_direction(g, beta, beta, bias_correction=True))
        uncorrected = np.asarray(moments.mean_variance_filter(g, beta)[1])
    for k in (1, 2, 10, 60):
        weights = beta ** np.arange(k - 1, -1, -1.0)
        weights /= weights.sum()
        variance = weights @ (g[:k] - m[k - 1]) ** 2
        expected = m[k - 1] / np.sqrt(m[k - 1] ** 2 + variance)
        np.testing.assert_allclose(d[k - 1], expected, rtol=0, atol=1e-13)
        c = 1 - beta**k
        extra = c * variance + c * (1 - c) * m[k - 1] ** 2
        np.testing.assert_allclose(uncorrected[k - 1], extra, rtol=1e-12)


@pytest.mark.parametrize(("b1", "b2"), PAIRS)
@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("bias_correction", [False, True])
def test_direction_is_the_loop(dtype, b1, b2, eps, bias_correction):
    g = stream(dtype, 300, 20)
    found = moments.adam_direction(g, b1, b2, eps=eps, bias_correction=bias_correction)
    exact = g.astype(float)
    m, v = averaged(exact, b1), averaged(exact**2, b2)
    if bias_correction:
        k = np.arange(1, len(g) + 1)[:, None]
        m, v = m / (1 - b1**k), v / (1 - b2**k)
    np.testing.assert_allclose(
        found, m / (np.sqrt(v) + eps), rtol=close(dtype, 1e-12, 1e-4), atol=1e-5
    )
    assert found.dtype == dtype
    if bias_correction and eps == 0:
        np.testing.assert_allclose(np.abs(found[0]), 1, rtol=close(dtype, 1e-15, 5e-7))


def test_the_necessity_of_equal_betas():
    """C3, in exact fractions: AC - B^2 = -(b1 - b2)^2 for the increment of v - m^2."""
    for p, q in [("1/10", "1/2"), ("9/10", "999/1000"), ("19/20", "9/10"), ("3/4", "3/4")]:
        b1, b2 = Fraction(p), Fraction(q)
        a = (1 - b2) - (1 - b1) ** 2
        b = b1 * (1 - b1)
        c = b2 - b1**2
        assert a * c - b**2 == -((b1 - b2) ** 2)
    # ... so that v - m^2 can fall below 0: an extremal stream.
    with enable_x64(True):
        g = np.asarray(moments.extremal_gradients(0.9, 0.95, 60))
    assert (averaged(g**2, 0.95) - averaged(g, 0.9) ** 2)[-1] < 0


BOUNDS = [
    ((0.9, 0.999), 7.2703),
    ((0.9, 0.99), 2.3452),
    ((0.9, 0.95), 1.16496),
    ((0.95, 0.9), np.inf),
    ((0.9, 0.81), np.inf),
    ((0.5, 0.0), np.inf),
    ((0.0, 0.75), 2.0),
    ((0.0, 0.0), 1.0),
]


@pytest.mark.parametrize(("betas", "bound"), BOUNDS)
def test_the_bound_that_is_printed(betas, bound):
    found = moments.direction_bound(*betas)
    assert isinstance(found, float) and found == pytest.approx(bound, rel=1e-5)


def test_the_bound_at_finite_time():
    assert moments.direction_bound(0.95, 0.9, 100) == pytest.approx(1.696, abs=1e-3)
    assert moments.direction_bound(0.95, 0.9, 1000) == pytest.approx(11.63, abs=1e-2)
    assert moments.direction_bound(0.975, 0.8, 50) == pytest.approx(9.6, abs=0.05)
    assert moments.direction_bound(0.975, 0.8, 100) == pytest.approx(718, abs=0.5)
    for beta in BETAS:
        assert moments.direction_bound(beta, beta) == 1.0
        for k in (1, 2, 7, 1000):
            found = moments.direction_bound(beta, beta, k)
            assert found == pytest.approx(np.sqrt(1 - beta**k), rel=1e-13)
    for k in (1, 2, 5):
        assert moments.direction_bound(0.9, 0.81, k) == pytest.approx(
            0.1 / np.sqrt(0.19) * np.sqrt(k), rel=1e-14
        )
    assert moments.direction_bound(0.5, 0.0, 1) == 0.5
    assert moments.direction_bound(0.5, 0.0, 2) == np.inf
    assert moments.direction_bound(0.9, 0.5, 10**6) == np.inf


@given(strategies.floats(0, 0.999), strategies.floats(0.001, 0.999), strategies.integers(1, 40))
def test_the_bound_is_the_sum_of_fractions(b1, b2, k):
    p, q = Fraction(b1), Fraction(b2)
    terms = sum((p * p / q) ** j for j in range(k))
    with mpmath.workdps(40):
        square = (1 - p) ** 2 / (1 - q) * terms
        exact = mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
    found = moments.direction_bound(b1, b2, k)
    assert found == pytest.approx(float(exact), rel=1e-11)
    limit = moments.direction_bound(b1, b2)
    assert limit >= max(1, found * (1 - 1e-12))
    assert (limit == np.inf) == (b1**2 >= b2 and b1 != b2)
    if p * p < q and p != q:
        square = 1 / (1 - (q - p) ** 2 / (q * (1 - p) ** 2))
        with mpmath.workdps(40):
            exact = mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
        assert limit == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(("b1", "b2"), PAIRS)
@pytest.mark.parametrize("k", [1, 2, 30, 200])
def test_a_stream_attains_the_bound_and_others_do_not(dtype, b1, b2, k):
    g = moments.extremal_gradients(b1, b2, k)
    assert g.shape == (k,) and g.max() == 1 and (g >= 0).all()
    bound = moments.direction_bound(b1, b2, k)
    found = moments.adam_direction(g, b1, b2)[-1]
    assert found == pytest.approx(bound, rel=close(dtype, 1e-12, 1e-5))
    rho = float(moments.bias_correction_factor(k, b1, b2))
    corrected = moments.adam_direction(g, b1, b2, bias_correction=True)[-1]
    assert corrected == pytest.approx(bound * rho, rel=close(dtype, 1e-12, 1e-5))
    rng = np.random.default_rng(k)
    for _ in range(20):
        other = np.asarray(g, float) + 0.3 * rng.normal(size=k)
        assert np.abs(moments.adam_direction(other, b1, b2)[-1]) <= bound * (1 + 1e-5)


def test_the_bound_over_arrays_and_traced():
    with enable_x64(True):
        b1, b2 = np.meshgrid([0.0, 0.5, 0.9, 0.95], [0.0, 0.5, 0.9, 0.99], indexing="ij")
        for n_steps in (None, 1, 10):
            whole = moments.direction_bound(b1, b2, n_steps)
            each = [
                [
                    moments.direction_bound(float(p), float(q), n_steps)
                    for p, q in zip(*row, strict=True)
                ]
                for row in zip(b1, b2, strict=True)
            ]
            np.testing.assert_array_equal(whole, each)
            traced = jax.jit(lambda p, q, n=n_steps: moments.direction_bound(p, q, n))(b1, b2)
            np.testing.assert_allclose(traced, whole, rtol=1e-13)
        at = jax.vmap(lambda k: moments.direction_bound(0.95, 0.9, k))(jnp.array([100, 1000]))
        np.testing.assert_allclose(at, [1.6962, 11.6272], rtol=2e-5)


REAL = strategies.floats(-1e3, 1e3).map(lambda x: 0.0 if abs(x) < 1e-3 else x)
STREAM = arrays.arrays(np.float64, strategies.tuples(strategies.just(24)), elements=REAL)
BETA = strategies.sampled_from(BETAS)


@given(STREAM, BETA, strategies.sampled_from([1e-6, 0.25, 3.0, 1e5]))
def test_adam_as_a_filter(g, beta, scale):
    """C5: causal, odd, blind to scale, at most sqrt(1 - beta^k); as is all of the family."""
    with enable_x64(True):
        for kappa in (None, 0.0, 1.0, 30.0):

            def direction(x, kappa=kappa):
                if kappa is None:
                    return np.asarray(moments.adam_direction(x, beta, beta))
                return np.asarray(moments.family_direction(x, beta, kappa))

            d = direction(g)
            assert np.isfinite(d).all() and (np.abs(d) <= 1 + 1e-14).all()
            np.testing.assert_array_equal(direction(-g), -d)
            cut = g.copy()
            cut[12:] = 7.0
            np.testing.assert_array_equal(direction(cut)[:12], d[:12])
            if kappa != 0.0:
                np.testing.assert_allclose(direction(scale * g), d, rtol=0, atol=1e-8)
            if kappa in (None, 1.0):
                k = np.arange(1, len(g) + 1)
                assert (np.abs(d) <= np.sqrt(1 - beta**k) + 1e-13).all()


def test_constant_gradients():
    with enable_x64(True):
        d = np.asarray(moments.adam_direction(np.full(20, 5.0), 0.9, 0.9))
    np.testing.assert_allclose(d[[0, 4, 19]], [0.3162, 0.6399, 0.9372], atol=5e-5)


@pytest.mark.parametrize(("beta", "below", "above"), [(0.95, 0, 1e-12), (0.996, 1e-3, 1)])
def test_a_decaying_sine(beta, below, above):
    """C5: the output becomes periodic where beta < exp(-2c), c = 0.0025."""
    k = np.arange(1, 3700)
    g = 1.8 * np.sin(2 * np.pi * k / 200 + 0.3) * np.exp(-0.0025 * k)
    with enable_x64(True):
        d = np.asarray(moments.adam_direction(g, beta, beta))
    assert below <= np.abs(d[3000:3400] - d[3200:3600]).max() <= above


@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0, 10.0])
def test_the_family_is_the_loop(dtype, kappa):
    g = stream(dtype, 300, 20)
    found = moments.family_direction(g, 0.9, kappa, eps=1e-3)
    exact = g.astype(float)
    m = averaged(exact, 0.9)
    expected = m / (np.sqrt(m**2 + kappa * spread(exact, 0.9)) + 1e-3)
    np.testing.assert_allclose(found, expected, rtol=close(dtype, 1e-12, 1e-4), atol=1e-5)
    assert found.dtype == dtype


def test_the_ends_of_the_family(dtype):
    g = stream(dtype, 300, 20)
    signs = moments.family_direction(g, 0.9, 0.0)
    np.testing.assert_array_equal(signs, np.sign(moments.ema(g, 0.9)))
    m, s = moments.mean_variance_filter(g, 0.9)
    large = 1e16
    belief = moments.family_direction(g, 0.9, large) * np.sqrt(large)
    np.testing.assert_allclose(belief[1:], (m / np.sqrt(s))[1:], rtol=close(dtype, 1e-11, 1e-4))


def test_what_no_gradient_visits_stays(dtype):
    g = np.zeros((10, 3), dtype)
    g[3, 1] = 2
    for found in (
        moments.adam_direction(g, 0.9, 0.999),
        moments.adam_direction(g, 0.9, 0.999, bias_correction=True),
        moments.adam_direction(g, 0.0, 0.0),
        moments.family_direction(g, 0.9, 1.0),
        moments.family_direction(g, 0.9, 0.0),
        moments.family_direction(g, 0.0, 5.0),
    ):
        assert np.isfinite(found).all()
        assert (found[:, [0, 2]] == 0).all() and (found[:3] == 0).all() and found[3, 1] > 0


@pytest.mark.parametrize("beta", [0.8, 0.9, 0.95])
def test_impulse_with_equal_betas(beta):
    expected = {0.8: 4.2361, 0.9: 6.1623, 0.95: 8.8310}[beta]
    assert moments.impulse_displacement(beta, beta) == pytest.approx(expected, abs=5e-5)


def test_impulses():
    table = {(0.9, 0.999): 31.766, (0.9, 0.95): 5.8368, (0.95, 0.99): 11.0585, (0.9, 0.9): 6.1623}
    with enable_x64(True):
        g = np.zeros(4000)
        g[0] = -3
        for betas, expected in table.items():
            found = moments.impulse_displacement(*betas)
            assert found == pytest.approx(expected, rel=1e-4)
            walked = np.abs(moments.adam_direction(g, *betas)).sum()
            assert found == pytest.approx(walked, rel=1e-9)
            traced = jax.jit(moments.impulse_displacement)(*betas)
            assert traced == pytest.approx(found, rel=1e-12)
    assert moments.impulse_displacement(0.0, 0.75) == 2.0  # one step
    assert moments.impulse_displacement(0.0, 0.0) == 1.0
    assert moments.impulse_displacement(0.95, 0.9) == np.inf
    assert moments.impulse_displacement(0.9, 0.9**2) == np.inf
    assert moments.impulse_displacement(0.5, 0.0) == np.inf
    found = moments.impulse_displacement(np.array([0.9, 0.95]), 0.9)
    np.testing.assert_allclose(found, [6.1623, np.inf], rtol=1e-5)


def test_bias_correction_as_a_schedule(dtype):
    """C13: the numbers, and the factor between the two directions."""
    t = np.arange(1, 5000)
    rel = close(dtype, 1e-12, 3e-6)
    for b1, b2 in [*PAIRS, (0.95, 0.95), (0.0, 0.999)]:
        exact = np.array([float(_rho(b1, b2, int(k))) for k in (1, 2, 12, 100, 1000, 4999)])
        found = moments.bias_correction_factor(np.array([1, 2, 12, 100, 1000, 4999]), b1, b2)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, exact, rtol=rel)
    rho = np.asarray(moments.bias_correction_factor(t, 0.9, 0.999))
    assert t[rho.argmin()] == 12 and rho.min() == pytest.approx(0.1522, abs=5e-5)
    assert t[np.abs(rho - 1) > 0.01].max() == 3915
    rho = np.asarray(moments.bias_correction_factor(t, 0.9, 0.95))
    assert t[rho.argmin()] == 20 and rho.min() == pytest.approx(0.9118, abs=5e-5)
    for beta, last in ((0.9, 37), (0.95, 76)):
        rho = np.asarray(moments.bias_correction_factor(t, beta, beta))
        assert rho[0] == pytest.approx(1 / np.sqrt(1 - beta), rel=1e-6)
        assert (np.diff(rho) <= 0).all() and t[rho > 1.01].max() == last
    g = stream(dtype, 100, 5)
    with_it = moments.adam_direction(g, 0.9, 0.99, bias_correction=True)
    factor = moments.bias_correction_factor(t[:100, None], 0.9, 0.99)
    np.testing.assert_allclose(with_it, factor * moments.adam_direction(g, 0.9, 0.99), rtol=1e-5)


def _rho(b1, b2, t):
    with mpmath.workdps(40):
        return mpmath.sqrt(1 - mpmath.mpf(b2) ** t) / (1 - mpmath.mpf(b1) ** t)


POINTS = [
    (0.3, 0.7, -1.1, 0.25),
    (-2.0, 0.1, 0.4, 0.05),
    (1.0, 3.0, 1.0, 2.0),
    (0.0, 5.0, 9.0, 0.5),
]


@pytest.mark.parametrize(("m0", "s0", "g", "lam"), POINTS)
def test_the_variational_step_minimises(m0, s0, g, lam):
    """C6, by a general minimiser, and by a gradient in 40 digits."""
    with enable_x64(True):
        step = tuple(map(float, moments.variational_step(m0, s0, g, lam)))

        def objective(x):
            found = moments.variational_objective(x[0], np.exp(x[1]), m0, s0, g, lam)
            return float(found)

        best = optimize.minimize(objective, [m0, np.log(s0)], method="Nelder-Mead",
                                 options={"xatol": 1e-10, "fatol": 1e-14})  # fmt: skip
        np.testing.assert_allclose([best.x[0], np.exp(best.x[1])], step, rtol=1e-6, atol=1e-6)
        assert objective([step[0], np.log(step[1])]) <= best.fun + 1e-13
    beta = 1 / (1 + lam)
    with enable_x64(True):
        filtered = moments.mean_variance_filter(np.array([0.5, g]), beta)
        again = moments.variational_step(filtered[0][0], filtered[1][0], g, lam)
        np.testing.assert_allclose(again, [filtered[0][1], filtered[1][1]], rtol=1e-13)


def _objective(m, s, m0, s0, g, lam, order):
    """F in 40 digits, the divergence by its integral's closed form."""
    if order == "new||old":
        (p, a), (q, b) = (m, s), (m0, s0)
    else:
        (p, a), (q, b) = (m0, s0), (m, s)
    kl = (mpmath.log(b / a) + (a + (p - q) ** 2) / b - 1) / 2
    return mpmath.log(2 * mpmath.pi * s) / 2 + (g - m) ** 2 / (2 * s) + kl / lam


@pytest.mark.parametrize("order", ["old||new", "new||old"])
def test_the_objective_in_many_digits(dtype, order):
    for m0, s0, g, lam in POINTS:
        found = moments.variational_objective(0.2, 1.3, m0, s0, g, lam, order=order)
        with mpmath.workdps(40):
            exact = _objective(*map(mpmath.mpf, (0.2, 1.3, m0, s0, g, lam)), order)
        assert found.dtype == dtype
        assert float(found) == pytest.approx(float(exact), rel=close(dtype, 1e-13, 2e-6))


def test_the_order_of_the_divergence_matters():
    with mpmath.workdps(40):
        m, s = mpmath.mpf("0.02"), mpmath.mpf("0.8736")
        given = [mpmath.mpf(x) for x in ("0.3", "0.7", "-1.1", "0.25")]
        slope = [
            mpmath.diff(lambda x: _objective(x, s, *given, "old||new"), m),
            mpmath.diff(lambda x: _objective(m, x, *given, "old||new"), s),
        ]
        assert max(map(abs, slope)) < 1e-15
    with enable_x64(True):
        step = moments.variational_step(0.3, 0.7, -1.1, 0.25)
        np.testing.assert_allclose(step, [0.02, 0.8736], rtol=1e-13)

        def other(x, lam):
            return moments.variational_objective(
                x[0], jnp.exp(x[1]), 0.3, 0.7, -1.1, lam, order="new||old"
            )

        found = optimize.minimize(
            lambda x: float(other(x, 0.25)), [0.3, 0.0], method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000},
        )  # fmt: skip
        np.testing.assert_allclose([found.x[0], np.exp(found.x[1])], [0.0515, 0.8111], atol=1e-4)
        # For lam > 1 it falls without end towards a point mass at the gradient.
        falls = [float(other(jnp.array([-1.1, log]), 2.0)) for log in (0.0, -10.0, -100.0)]
        assert falls[0] > falls[1] > falls[2]


def test_a_point_mass_starts_the_recursion(dtype):
    m, s = moments.variational_step(0.0, 0.0, np.array([2.0, 0.0]), 1.0)
    assert m.tolist() == [1, 0] and s.tolist() == [1, 0] and m.dtype == dtype


def test_response_to_signal_and_noise(dtype):
    """C8: against SciPy's erf, and against long streams."""
    x = np.array([-3.0, -0.1, 0.0, 0.1, 0.3, 1.0, 1e20])
    found = moments.snr_response(x, 0.95, method="signum")
    assert found.dtype == dtype
    expected = special.erf(x / np.sqrt(2 * 0.05 / 1.95))
    np.testing.assert_allclose(found, expected, rtol=close(dtype, 1e-12, 1e-5))
    np.testing.assert_allclose(
        moments.snr_response(x, 0.95), [-0.948683, -0.099504, 0, 0.099504, 0.287348, 0.707107, 1],
        atol=1e-6,
    )  # fmt: skip
    assert moments.snr_response(x[:, None], np.array([0.5, 0.9])).shape == (7, 2)
    assert moments.snr_response(x[:, None], np.array([0.5, 0.9]), method="signum").shape == (7, 2)


@pytest.mark.parametrize("snr", [0.1, 0.3, 1.0])
def test_response_measured(snr):
    g = snr + np.random.default_rng(1).normal(size=(2000, 300))
    d = np.asarray(moments.adam_direction(g, 0.95, 0.95))[300:]
    signs = np.asarray(moments.family_direction(g, 0.95, 0.0))[300:]
    assert d.mean() == pytest.approx(float(moments.snr_response(snr, 0.95)), abs=0.01)
    expected = float(moments.snr_response(snr, 0.95, method="signum"))
    assert signs.mean() == pytest.approx(expected, abs=0.01)


def test_the_stationary_variance_of_sign_descent_is_here_too():
    one = moments.sign_descent_stationary_variance
    assert one is sign_descent.sign_descent_stationary_variance
    assert one(1.0, 1.0, 0.1) == pytest.approx(0.0646482, rel=1e-5)  # C23


def test_half_precision_is_averaged_in_single():
    x = np.ones(2000, jnp.bfloat16)
    found = moments.ema(x, 0.999)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[-1], 1 - 0.999**2000, rtol=1e-4)  # bfloat16 would stop at 1/2
    assert moments.adam_direction(x, 0.9, 0.999).dtype == jnp.float32


def test_python_numbers_do_not_raise_the_type():
    with enable_x64(True):
        g = np.ones((5, 2), np.float32)
        for found in (
            moments.ema(g, np.float64(0.9)),
            moments.adam_direction(g, 0.9, np.array(0.99), eps=np.float64(1e-8)),
            moments.family_direction(g, 0.9, np.float64(1)),
            moments.mean_variance_filter(g, 0.9)[1],
        ):
            assert found.dtype == np.float32


def test_traced_streams_and_what_is_not_finite():
    """Under jit nan goes on, from where it came; nothing is recompiled for another beta."""
    g = np.ones((6, 2), np.float32)
    g[3, 0] = np.nan
    traces = []

    @jax.jit
    def directions(g, b1, b2, kappa):
        traces.append(None)
        return moments.adam_direction(g, b1, b2), moments.family_direction(g, b1, kappa)

    for beta in (0.9, 0.5):
        for d in directions(g, beta, 0.99, 1.0):
            assert np.isfinite(d[:3]).all() and np.isfinite(d[:, 1]).all()
            assert np.isnan(d[3:, 0]).all()
    assert len(traces) == 1


def test_the_same_numbers_in_the_page():
    def bench(g, b1, b2, kappa, t):
        return (
            moments.ema(g, b1, debias=True),
            moments.adam_direction(g, b1, b2, bias_correction=True),
            moments.family_direction(g, b1, kappa),
            moments.mean_variance_filter(g, b1),
            moments.direction_bound(b1, b2),
            moments.direction_bound(b1, b2, t[-1]),
            moments.bias_correction_factor(t, b1, b2),
            moments.snr_response(g[0], b1, method="signum"),
            moments.snr_response(g[0], b1),
            moments.variational_step(g[0], 0.5, 0.1, kappa),
            moments.variational_objective(g[0], 0.5, 0.1, 0.3, 0.2, kappa),
            moments.impulse_displacement(b1, b2),
            moments.extremal_gradients(b1, b2, 10),
        )

    given = stream(np.float64, 30, 4), 0.9, 0.95, 1.5, np.array([1, 20])
    with enable_x64(True), Engine() as engine:
        found = engine.run(translate(bench, *given), *given)
        expected = jax.tree.leaves(bench(*given))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


G = np.ones((4, 2), np.float32)
VI = {"mean": 0.0, "variance": 1.0, "gradient": 0.5, "lam": 0.5}
OBJECTIVE = {**VI, "old_mean": 0.0, "old_variance": 1.0}
GIVEN = {
    "ema": {"x": G, "beta": 0.9},
    "mean_variance_filter": {"gradients": G, "beta": 0.9},
    "adam_direction": {"gradients": G, "b1": 0.9, "b2": 0.99},
    "family_direction": {"gradients": G, "beta": 0.9, "kappa": 1.0},
    "direction_bound": {"b1": 0.9, "b2": 0.99},
    "extremal_gradients": {"b1": 0.9, "b2": 0.99, "n_steps": 4},
    "bias_correction_factor": {"t": 1, "b1": 0.9, "b2": 0.99},
    "variational_step": VI,
    "variational_objective": OBJECTIVE,
    "impulse_displacement": {"b1": 0.9, "b2": 0.99},
    "snr_response": {"snr": 1.0, "beta": 0.9},
}
RATES = ("beta", "b1", "b2")
WRONG = [
    *[(f, {k: v}, ValueError, rf"{k}: got {v}.*\[0, 1\)")
      for f, given in GIVEN.items() for k in given if k in RATES for v in (1.0, -0.1)],
    *[(f, {k: np.nan}, ValueError, f"{k}: got nan")
      for f, given in GIVEN.items() for k in given if k != "n_steps"],
    *[(f, {k: "0.9"}, TypeError, f"{k}: ") for f, given in GIVEN.items() for k in given],
    *[(f, {k: 1j}, TypeError, f"{k}: ") for f, given in GIVEN.items() for k in given],
    *[(f, {k: np.ones((4, 2), int)}, TypeError, f"{k}: .*int.*astype")
      for f, given in GIVEN.items() for k in given if k == "gradients"],
    *[(f, {k: np.where(np.arange(8).reshape(4, 2) == 5, np.inf, 1)}, ValueError,
       rf"{k}: got inf at index \[2, 1\]")
      for f, given in GIVEN.items() for k in given if k in ("gradients", "x")],
    *[(f, {k: v}, ValueError, rf"{k}: got shape \(.*time first")
      for f, given in GIVEN.items() for k in given if k in ("gradients", "x")
      for v in (1.0, np.zeros((0, 2)))],
    ("adam_direction", {"gradients": np.full((4, 2), 1e20, np.float32)}, ValueError,
     r"gradients: got 1e\+20.*float32; multiply"),
    ("ema", {"beta": [0.9, 0.9, 0.9]}, ValueError, r"beta: got shape \(3,\).*\(2,\)"),
    ("adam_direction", {"b1": np.full((4, 2), 0.9)}, ValueError, r"b1: got shape \(4, 2\)"),
    ("ema", {"init": "one"}, ValueError, "init: got 'one'"),
    ("adam_direction", {"eps": -1e-8}, ValueError, "eps: got -1e-08"),
    ("family_direction", {"eps": -1e-8}, ValueError, "eps: got -1e-08"),
    ("family_direction", {"kappa": -1.0}, ValueError, "kappa: got -1.0"),
    ("direction_bound", {"n_steps": 0}, ValueError, "n_steps: got 0.*from 1"),
    ("extremal_gradients", {"n_steps": 0}, ValueError, "n_steps: got 0"),
    ("extremal_gradients", {"n_steps": 1.5}, TypeError, "n_steps: got 1.5"),
    ("extremal_gradients", {"b2": 0.0}, ValueError, "b2: got 0 with b1 = 0.9"),
    ("extremal_gradients", {"b1": [0.9]}, ValueError, r"b1: got shape \(1,\), one number"),
    ("bias_correction_factor", {"t": [1, 0]}, ValueError, "t: got 0.*from 1"),
    *[(f, {"lam": v}, ValueError, f"lam: got {v}") for v in (0.0, -1.0)
      for f in ("variational_step", "variational_objective")],
    ("variational_step", {"variance": -1.0}, ValueError, "variance: got -1.0"),
    *[("variational_objective", {k: 0.0}, ValueError, f"{k}: got 0.0")
      for k in ("variance", "old_variance")],
    ("variational_objective", {"order": "new|old"}, ValueError, "order: got 'new|old'"),
    ("snr_response", {"method": "sgd"}, ValueError, "method: got 'sgd'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "error", "message"), WRONG)
def test_bad_input(name, change, error, message):
    with pytest.raises(error, match="^" + message):
        getattr(moments, name)(**{**GIVEN[name], **change})
