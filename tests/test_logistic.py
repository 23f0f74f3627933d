"""optdyn.logistic against mpmath, SciPy, closed forms, and what must not change."""

import ast
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize

from optdyn import logistic

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


FLAGSHIP = [1.0, 1.0, -1.0, 10.0]
# Copies of +1, of -1, one +B; w*, lambda, normalised global step size, fold points, flip
# coefficient.
THREE_VALUES = np.loadtxt(
    """
2 1 8 0.728564397412043 0.211468134770432 1.98168414156617 0.503639 1.135930 -0.4275313
2 1 10 0.706040425819735 0.187369767829656 1.85987939717346 0.390383 1.404189 -1.616471077
2 1 12 0.697328596094811 0.174788936158911 1.79424616630554 0.336446 1.512011 -1.389458637
2 1 15 0.693826917061397 0.168327988064361 1.78580038908799 0.283904 1.603859 -0.4150164
4 2 12 0.695288948935182 0.195232617398996 1.81925162078311 0.284427 1.560867 -0.7006684
3 2 50 0.405465173454974 0.200000650854218 1.55791468661115 0.087322 1.408949 0.1840085
11 9 100 0.200670734400321 0.235715202624749 1.31696297898578 0.034559 1.068574 0.1587646
13 10 27 0.265994105591415 0.258453044743357 1.49421814025142 0.076361 1.066104 -15.058236
49 44 110 0.107664769382699 0.247550259379570 1.19921466177533 0.017797 0.826633 -14.693487
110 90 40 0.200931777883841 0.248833215189659 1.40063909382651 -0.015395 1.013485 -5.077577
1769 1729 500 0.022877367404237 0.250665389331844 1.07897896224677 -0.002053 0.477589 -253.2576
""".splitlines()
)
TEMPERATURE = [66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78]
TEMPERATURE += [67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58]
DISTRESS = [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1]


def derivatives(u, z, m):
    """L', L'', L''', L'''' in 30 digits, written out independently of the library."""
    total = mpmath.mpf(sum(m))
    out = [mpmath.mpf(0)] * 4
    for a, count in zip(z, m, strict=True):
        s = 1 / (1 + mpmath.exp(-a * u))
        d1 = s * (1 - s)
        d2 = d1 * (1 - 2 * s)
        d3 = d1 * (1 - 6 * d1)
        out[0] -= count * a * (1 - s) / total
        for i, d in enumerate((d1, d2, d3)):
            out[i + 1] += count * mpmath.mpf(a) ** (i + 2) * d / total
    return out


@pytest.mark.parametrize("row", THREE_VALUES, ids=lambda row: "-".join(f"{n:.0f}" for n in row[:3]))
def test_one_dimension_against_thirty_digits(row):
    ups, downs, large, w, lam, gamma, low, high, flip = map(float, row)
    z, m = [1, -1, large], [ups, downs, 1]
    with mpmath.workdps(30):
        root = mpmath.findroot(lambda u: derivatives(u, z, m)[0], (0, 2 * w), solver="anderson")
        _, curve, third, fourth = derivatives(root, z, m)

        def fold(u1, u2):
            (f1, h1), (f2, h2) = derivatives(u1, z, m)[:2], derivatives(u2, z, m)[:2]
            return [f1 + f2, (u2 - u1) * h1 * h2 - f2 * (h1 + h2)]

        u1, u2 = mpmath.findroot(fold, (low, high))
        top = (u2 - u1) / derivatives(u2, z, m)[0] * curve
        c = (3 * third**2 - curve * fourth) / (3 * curve**2)
    assert [float(root), float(curve), float(top)] == pytest.approx([w, lam, gamma], rel=1e-12)
    assert [float(u1), float(u2)] == pytest.approx([low, high], abs=1e-6)
    assert float(c) == pytest.approx(flip, rel=1e-6)

    assert float(logistic.minimizer(z, m)) == pytest.approx(float(root), rel=1e-12)
    assert 2 / logistic.critical_step_size(z, m) == pytest.approx(float(curve), rel=1e-12)
    assert logistic.flip_coefficient(z, m) == pytest.approx(float(c), rel=1e-9)
    assert logistic.global_step_size(z, m) == pytest.approx(float(top / curve), rel=1e-9)


@pytest.mark.parametrize("p", [0.5, 0.7, 0.99])
def test_equal_magnitudes_in_closed_form(p):
    z, m = [1.0, -1.0], [p, 1 - p]
    assert logistic.minimizer(z, m) == pytest.approx(math.log(p / (1 - p)), abs=1e-14)
    assert logistic.critical_step_size(z, m) == pytest.approx(2 / (p * (1 - p)), rel=1e-13)
    assert logistic.global_step_size(z, m) == logistic.critical_step_size(z, m)
    assert logistic.flip_coefficient(z, m) == pytest.approx(2 / 3 - 2 * p * (1 - p), rel=1e-12)
    if p == 0.99:
        assert logistic.critical_step_size(z, m) == pytest.approx(202.02, abs=0.005)


@pytest.mark.parametrize(("n", "spread"), [(8, 3.0), (14, 5.0), (37, 10.0), (37, 1.0)])
def test_feature_and_intercept_in_closed_form(n, spread):
    X, y, m = [[spread], [-spread], [0.0], [0.0]], [1, 1, 1, -1], [1, 1, n - 2, 1]
    z = logistic.absorb(X, y, intercept=True)
    lam = n / (n + 1) ** 2 * max(1, 2 * spread**2 / (n + 1))
    np.testing.assert_allclose(logistic.minimizer(z, m), [0, math.log(n)], atol=1e-13)
    assert 2 / logistic.critical_step_size(z, m) == pytest.approx(lam, rel=1e-12)


def test_o_rings():
    x = np.array(TEMPERATURE, float)
    raw = logistic.absorb(x[:, None], DISTRESS, intercept=True)
    np.testing.assert_allclose(logistic.minimizer(raw), [-0.2321627, 15.0429016], rtol=3e-7)
    assert 2 / logistic.critical_step_size(raw) == pytest.approx(659.405947992, rel=1e-10)
    scaled = logistic.absorb(((x - x.mean()) / x.std())[:, None], DISTRESS, intercept=True)
    np.testing.assert_allclose(logistic.minimizer(scaled), [-1.60237796, -1.10755012], atol=1e-8)
    assert 2 / logistic.critical_step_size(scaled) == pytest.approx(0.15675014, abs=1e-8)
    assert logistic.flip_coefficient(scaled) == pytest.approx(0.31144776, abs=1e-8)


def overlapping(seed, n, d, scale=0.0):
    """Random data that the minimiser cannot separate: one row is minus the sum of the others."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d)) * np.exp(scale * rng.normal(size=(n, 1)))
    return np.concatenate([z, -z.sum(axis=0, keepdims=True)])


@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(1, 5))
@settings(max_examples=25)
def test_minimizer_against_scipy(seed, n, d):
    assume(n > d)
    z = overlapping(seed, n, d, scale=1.0)
    p = np.random.default_rng(seed + 1).uniform(0.1, 1, len(z))
    p /= p.sum()
    found = minimize(
        lambda w: p @ np.logaddexp(0, -z @ w),
        np.zeros(d),
        jac=lambda w: -(p / (1 + np.exp(np.minimum(z @ w, 700)))) @ z,
        tol=1e-12,
    )
    w = logistic.minimizer(z, 7 * p)
    np.testing.assert_allclose(w, found.x, atol=1e-4 * (1 + np.linalg.norm(w)))
    assert np.abs(logistic.gradient(w, z, p)).max() < 1e-13 * np.abs(z).max()


def finite(shape):
    return hnp.arrays(np.float64, shape, elements=st.floats(-8, 8, allow_subnormal=False))


@given(st.data(), st.sampled_from([0, 3]))  # few shapes: each is compiled
@settings(max_examples=40)
def test_derivatives(data, d):
    n = 5
    z = data.draw(finite((n, d) if d else n))
    w = data.draw(finite(d)) if d else data.draw(st.floats(-8, 8))
    p = data.draw(hnp.arrays(np.float64, n, elements=st.floats(0.125, 8)))
    m = z @ w if d else z * w
    total = p / p.sum() @ np.log1p(np.exp(-m))
    assert float(logistic.loss(w, z, p)) == pytest.approx(total, rel=1e-12)
    by_jax = jax.grad(logistic.loss)(w, z, p)
    np.testing.assert_allclose(logistic.gradient(w, z, p), by_jax, rtol=1e-12, atol=1e-14)
    by_jax = jax.hessian(logistic.loss)(w, z, p)
    np.testing.assert_allclose(logistic.hessian(w, z, p), by_jax, rtol=1e-11, atol=1e-13)
    for i in range(max(d, 1)):
        step = 1e-5 * (np.eye(d)[i] if d else 1.0)
        ahead, behind = logistic.loss(w + step, z, p), logistic.loss(w - step, z, p)
        difference = float(ahead - behind) / 2e-5
        assert np.ravel(logistic.gradient(w, z, p))[i] == pytest.approx(difference, abs=1e-8)


def test_derivatives_trace():
    z, p = jnp.asarray(overlapping(0, 6, 2)), jnp.arange(7.0)
    w = jnp.asarray([[0.3, -0.4], [1.0, 2.0]])
    every = jax.jit(jax.vmap(lambda w, p: logistic.hessian(w, z, p), (0, None)))(w, p)
    np.testing.assert_allclose(every[1], logistic.hessian(w[1], z, p), rtol=1e-12)
    by_weight = jax.grad(lambda p: logistic.loss(w[0], z, p))(p)
    np.testing.assert_allclose(by_weight @ p, 0, atol=1e-13)  # only proportions matter
    listed = jax.jit(lambda a, b: logistic.gradient([a, b], z))(0.3, -0.4)
    np.testing.assert_allclose(listed, logistic.gradient(w[0], z), rtol=1e-12)
    absorbed = jax.jit(lambda y: logistic.absorb([[1.0], [2.0]], y))(jnp.asarray([0, 1]))
    np.testing.assert_array_equal(absorbed, [[-1], [2]])


def test_absorb():
    X = [[1.0, 2.0], [3.0, 4.0]]
    expected = [[-1, -2], [3, 4]]
    for y in ([-1, 1], [0, 1], [False, True], [-1.0, 1.0]):
        np.testing.assert_array_equal(logistic.absorb(X, y), expected)
    np.testing.assert_array_equal(logistic.absorb([1, 3], [-1, 1]), [-1, 3])
    with_one = logistic.absorb([1, 3], [-1, 1], intercept=True)
    np.testing.assert_array_equal(with_one, [[-1, -1], [3, 1]])
    np.testing.assert_array_equal(logistic.absorb([2, 3], [1, 1]), [2, 3])
    np.testing.assert_array_equal(logistic.absorb([2, 3], [0, 0]), [-2, -3])


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 1e4]))
@settings(max_examples=40)
def test_separability_by_construction(seed, d, scale):
    rng = np.random.default_rng(seed)
    w, basis = rng.normal(size=d), rng.normal(size=(d + 3, d))
    columns = 10 ** rng.uniform(-3, 3, d)
    strict = basis * np.sign(basis @ w)[:, None] * scale * columns
    assert logistic.is_separable(strict)
    with pytest.raises(ValueError, match=r"^z: got separable data.* along w = \[") as error:
        logistic.minimizer(strict)
    named = np.array(ast.literal_eval(str(error.value).split("w = ")[1].split("]")[0] + "]"))
    if np.abs(named).min() > 1e-2:  # it is printed to six digits
        assert ((strict / np.linalg.norm(strict, axis=1)[:, None]) @ named).min() > -1e-5
    overlap = np.concatenate([basis, -basis.sum(axis=0, keepdims=True)]) * scale * columns
    assert not logistic.is_separable(overlap)
    flat = rng.integers(-3, 4, (d + 2, d))
    flat[:, 0] = 0
    up = rng.integers(-3, 4, d)
    up[0] = 2
    quasi = np.concatenate([flat, -flat, [up]]) * scale
    assert logistic.is_separable(quasi)
    with pytest.raises(ValueError, match=r"^z: got (quasi-)?separable data"):
        logistic.minimizer(quasi)
    assert not logistic.is_separable(np.concatenate([quasi, [-up * scale]]))


def test_separability_on_the_edge():
    assert logistic.is_separable([1.0, 2.0]) and logistic.is_separable([[-1.0], [-2.0]])
    assert logistic.is_separable([0.0, 1.0]) and not logistic.is_separable([1.0, -1e-300])
    assert not logistic.is_separable([0.0, 0.0]) and not logistic.is_separable(np.zeros((3, 2)))
    assert logistic.is_separable([[1.0, 1e-6], [-1.0, 1e-6]])  # an angle of a millionth
    assert not logistic.is_separable([[1.0, 1e-6], [-1.0, 1e-6], [0.0, -1e-9]])
    assert not logistic.is_separable([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match=r"^z: .*span 1 of 2 dimensions.*not unique"):
        logistic.minimizer([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match=r"^z: .*span 0 of 1 dimensions"):
        logistic.minimizer([0.0, 0.0])
    assert np.isfinite(logistic.minimizer([0.0, 1.0, -2.0]))  # a row of zeros does no harm
    # a row of zero weight does not count
    with pytest.raises(ValueError, match="separable"):
        logistic.minimizer([1.0, 2.0, -1.0], [1, 1, 0])


@given(st.integers(0, 10**6), st.floats(0.01, 100))
@settings(max_examples=20)
def test_scale_rotation_mirror_and_copies(seed, scale):
    z = overlapping(seed, 8, 3, scale=0.5)
    rng = np.random.default_rng(seed)
    m = rng.integers(1, 4, len(z))
    w, eta = logistic.minimizer(z, m), logistic.critical_step_size(z, m)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for other, back in [(scale * z, w / scale), (z @ turn, w @ turn), (-z, -w)]:
        np.testing.assert_allclose(logistic.minimizer(other, m), back, rtol=1e-7, atol=1e-9)
    assert logistic.critical_step_size(scale * z, 5 * m) * scale**2 == pytest.approx(eta, rel=1e-9)
    assert logistic.critical_step_size(z @ turn, m) == pytest.approx(eta, rel=1e-9)
    np.testing.assert_allclose(
        logistic.minimizer(np.repeat(z, m, axis=0)), w, rtol=1e-9, atol=1e-12
    )
    padded = np.concatenate([z, np.ones((4, 3))])
    zeros = np.concatenate([m, np.zeros(4)])
    np.testing.assert_allclose(logistic.minimizer(padded, zeros), w, rtol=1e-12)
    c = logistic.flip_coefficient(z, m)
    assert logistic.flip_coefficient(scale * z, m) == pytest.approx(c * scale**2, rel=1e-6)


@given(st.integers(0, 10**6), st.floats(0.5, 3))
@settings(max_examples=15)
def test_global_step_size_lies_between(seed, spread):
    rng = np.random.default_rng(seed)
    z = rng.choice([-1, 1], 7) * np.exp(spread * rng.normal(size=7))
    assume(len(set(np.sign(z))) == 2)
    top, critical = logistic.global_step_size(z), logistic.critical_step_size(z)
    assert critical / 2 < top <= critical
    assert logistic.global_step_size(z[:, None]) == pytest.approx(top, rel=1e-14)
    assert logistic.global_step_size(-3 * z) == pytest.approx(top / 9, rel=1e-9)


def test_a_degenerate_top_eigenvalue_is_refused():
    z = np.array([[35, 0, 12], [-35, 0, 12], [0, 35, 12], [0, -35, 12], [0, 0, 37], [0, 0, -37]])
    m = [4, 4, 4, 4, 175, 1]
    np.testing.assert_allclose(logistic.minimizer(z, m), [0, 0, 0.16603095297572872], atol=1e-13)
    assert 2 / logistic.critical_step_size(z, m) == pytest.approx(5.3902405, rel=1e-6)
    rich = np.concatenate([z, np.array([[0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0]]) * 37])
    with pytest.raises(ValueError, match=r"^z: .*top eigenvalues .*simple one"):
        logistic.flip_coefficient(rich)


def test_host_functions_compute_in_double():
    z = np.array([1, 1, -1, 10.1], np.float32)
    with enable_x64(False):
        single = [logistic.minimizer(z), logistic.critical_step_size(jnp.asarray(z))]
        single += [logistic.global_step_size(z), logistic.flip_coefficient(z)]
        assert logistic.loss(0.0, FLAGSHIP).dtype == np.float32
        assert logistic.gradient(0, [1, -1]).dtype == np.float32
        # the tail of the sigmoid keeps its relative precision
        assert float(logistic.gradient(1.0, [60.0])) == pytest.approx(-60 * math.exp(-60), rel=1e-5)
    wide = z.astype(float)
    double = [logistic.minimizer(wide), logistic.critical_step_size(wide)]
    double += [logistic.global_step_size(wide), logistic.flip_coefficient(wide)]
    assert single == double
    assert logistic.loss(0.0, FLAGSHIP).dtype == np.float64
    assert logistic.loss(0.0, z).dtype == np.float32  # a Python scalar does not raise it


def test_overflow_is_seen():
    assert logistic.loss(np.inf, [1.0, -1.0]) == np.inf
    assert np.isnan(logistic.gradient(np.nan, [1.0, -1.0]))


nan, inf = float("nan"), float("inf")
WRONG = [
    (lambda: logistic.absorb([[1.0]], [2]), ValueError, "y: .*2"),
    (lambda: logistic.absorb([1.0, 2.0], [-1, 0]), ValueError, r"y: .*\[-1, 0\]"),
    (lambda: logistic.absorb([1.0, 2.0], [0.5, 1]), ValueError, "y: .*0.5"),
    (lambda: logistic.absorb([1.0, 2.0], ["no", "yes"]), TypeError, "y: .*<U3"),
    (lambda: logistic.absorb([1.0, 2.0], [1]), ValueError, r"y: .*\(1,\).*\(2,\)"),
    (lambda: logistic.absorb([1.0, nan], [1, -1]), ValueError, r"X: .*nan.*\[1\]"),
    (lambda: logistic.absorb(np.ones((2, 2, 2)), [1, -1]), ValueError, r"X: .*\(2, 2, 2\)"),
    (lambda: logistic.absorb([], []), ValueError, r"X: .*\(0,\)"),
    (lambda: logistic.loss(0.0, []), ValueError, r"z: .*\(0,\)"),
    (lambda: logistic.loss(0.0, 1.0), ValueError, r"z: .*\(\)"),
    (lambda: logistic.loss([0.0, 0.0], [1.0, -1.0]), ValueError, r"w: .*\(2,\).*\(\).*vmap"),
    (lambda: logistic.gradient([0.0], np.ones((2, 3))), ValueError, r"w: .*\(1,\).*\(3,\)"),
    (lambda: logistic.loss(0.0, [1.0, inf]), ValueError, r"z: .*inf.*\[1\]"),
    (lambda: logistic.loss(0.0, [[1.0], [1.0, 2.0]]), TypeError, "z: .*ragged"),
    (lambda: logistic.loss(0.0, [1j, 1.0]), TypeError, "z: .*complex128"),
    (lambda: logistic.loss(0.0, [None, 1.0]), TypeError, "z: .*object"),
    (lambda: logistic.hessian(0.0, [1.0, -1.0], [1.0]), ValueError, r"weights: .*\(1,\).*\(2,\)"),
    (lambda: logistic.loss(0.0, [1.0, -1.0], [1, -2]), ValueError, "weights: .*-2.0"),
    (lambda: logistic.loss(0.0, [1.0, -1.0], [0, 0]), ValueError, "weights: .*0.0"),
    (lambda: logistic.loss(0.0, [1.0, -1.0], [nan, 1]), ValueError, "weights: .*nan"),
    (lambda: logistic.minimizer([1.0, 2.0]), ValueError, r"z: .*separable.*\[1.0\]"),
    (lambda: logistic.critical_step_size([-1.0, -2.0]), ValueError, r"z: .*separable.*\[-1.0\]"),
    (lambda: logistic.global_step_size([2.0, 0.0]), ValueError, "z: .*quasi-separable"),
    (lambda: logistic.max_force([2.0]), ValueError, "z: .*separable"),
    (lambda: logistic.flip_coefficient([2.0]), ValueError, "z: .*separable"),
    (lambda: logistic.minimizer([[1.0, 0.0], [0.0, 1.0]]), ValueError, "z: .*w = .*overlap"),
    (lambda: logistic.global_step_size(overlapping(0, 5, 2)), ValueError, "z: .*2 numbers"),
    (lambda: jax.jit(logistic.minimizer)(jnp.ones(2)), TypeError, "z: .*traced.*jit"),
    (lambda: jax.jit(logistic.is_separable)(jnp.ones(2)), TypeError, "z: .*traced"),
    (lambda: jax.jit(logistic.loss)(0.0, jnp.ones((2, 1))), ValueError, r"w: .*\(\).*\(1,\)"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_bad_input(call, kind, message):
    with pytest.raises(kind, match="^" + message):
        call()


def test_rooms_are_opened_when_entered():
    code = (
        "import sys, optdyn; assert 'jax' not in sys.modules and 'numpy' not in sys.modules;"
        "assert 'logistic' in dir(optdyn); optdyn.logistic.minimizer([1.0, -1.0]);"
        "assert not {'altair', 'ipywidgets', 'mpmath'} & set(sys.modules);"
        "import jax; assert not jax.config.jax_enable_x64;"
        "print(hasattr(optdyn, 'nothing'), optdyn.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "0.1.0"]


def test_the_tail_of_the_curvature_keeps_its_digits():
    """Far from zero L'' is e^-|w|, where 1 - sigma(w) would round to zero."""
    for w in (20.0, 40.0, -300.0):
        expected = float(mpmath.mpf(1) / (2 + mpmath.exp(w) + mpmath.exp(-w)))
        np.testing.assert_allclose(logistic.hessian(w, [1.0, -1.0]), expected, rtol=1e-13)
