"""optdyn.allpass against mpmath, brute force and SciPy: any poles, any lag."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from optdyn import allpass
from optdyn.allpass import (
    Poles,
    exit_time_pmf,
    memory_curve,
    mt_realization,
    optimal_filter,
    optimal_readout,
    shift_error,
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


def of(values):
    values = np.asarray(values, complex)
    return Poles(-np.log(np.abs(values)), np.angle(values))


def family(name, lag, size=6):
    """Pole sets of every kind that is hard for a Gram matrix."""
    rng = np.random.default_rng(size)
    here, phase = np.full(size, 1.0), rng.uniform(-np.pi, np.pi, size)
    return {
        "comb": Poles(here / lag, np.pi * (np.arange(size) - (size - 1) / 2) / lag),
        "ring": Poles(here / lag, phase),
        "repeated": Poles(2 * size * here / lag, 0.3 * here),
        "real, repeated": Poles(size * here / lag, 0 * here),
        "negative, repeated": Poles(size * here / lag, np.pi * here),
        "clustered": Poles((1 + 0.01 * np.arange(size)) / lag, 0 * here),
        "nearly repeated": Poles(here / lag, 1e-9 * np.arange(size)),
        "slow and fast": Poles(10 ** rng.uniform(-9, 1, size), phase / 30),
        "slow": Poles(1e-9 * here, phase / 300),
        "slow, repeated": Poles(1e-9 * here, 0 * here),
        "fast": Poles(10 ** rng.uniform(0, 2, size), phase),
    }[name]


FAMILIES = [
    "comb",
    "ring",
    "repeated",
    "real, repeated",
    "negative, repeated",
    "clustered",
    "nearly repeated",
    "slow and fast",
    "slow",
    "slow, repeated",
    "fast",
]


def logarithms(poles):
    """-decay + 1j phase, exactly, of what was handed over."""
    decay, phase = np.asarray(poles.decay), np.asarray(poles.phase)
    return [
        mpmath.mpc(-mpmath.mpf(float(m)), mpmath.mpf(float(t)))
        for m, t in zip(decay, phase, strict=True)
    ]


def impulse_response(poles, n):
    """beta_0, ..., beta_{n-1} of the lossless filter by its difference equations, 40 digits."""
    with mpmath.workdps(40):
        signal = [mpmath.mpc(1)] + [mpmath.mpc(0)] * (n - 1)
        for log in logarithms(poles):
            a, last, before, out = mpmath.exp(log), 0, 0, []
            for x in signal:
                last = a * last - a.conjugate() * x + before
                before = x
                out.append(last)
            signal = out
        return signal


def exact_error(poles, lag, rho=0.0, shift=None, split=None):
    """1 - g^H G^-1 g with the Gram matrix in closed form, at so many digits that it can be solved.

    Poles are moved apart by `split` where they coincide; shift moves one logarithm.
    """
    rho = mpmath.mpf(float(rho))
    logs = logarithms(poles)
    if split:
        logs = [log + i * split for i, log in enumerate(logs)]
    if shift:
        logs[shift[0]] += shift[1]
    a = [mpmath.exp(log) for log in logs]
    size = len(a)
    gram, moment = mpmath.matrix(size, size), mpmath.matrix(size, 1)
    for s in range(size):
        c = a[s].conjugate()
        for t in range(size):
            gram[s, t] = (1 - rho**2 * c * a[t]) / (
                (1 - c * a[t]) * (1 - rho * c) * (1 - rho * a[t])
            )
        near = lag * rho ** (lag - 1) if c == rho else (rho**lag - c**lag) / (rho - c)
        moment[s] = c**lag / (1 - rho * c) + (rho * near if rho else 0)
    readout = mpmath.lu_solve(gram, moment)
    return 1 - mpmath.re(sum(moment[s].conjugate() * readout[s] for s in range(size)))


@pytest.mark.parametrize("lag", [7, 4096])
@pytest.mark.parametrize("name", FAMILIES)
def test_white_error_of_any_poles(name, lag):
    poles = family(name, max(lag, 4))
    with mpmath.workdps(40):
        law = [abs(b) ** 2 for b in impulse_response(poles, lag + 1)]
        error, held = float(sum(law)), float(1 - sum(law))
    assert float(shift_error(poles, lag)) == pytest.approx(error, abs=1e-14)
    found = np.asarray(exit_time_pmf(poles, lag + 1))
    np.testing.assert_allclose(found, np.array(law, float), rtol=0, atol=1e-14)
    assert found.sum() == pytest.approx(error, abs=1e-13)
    assert float(memory_curve(poles, lag + 1)[lag]) == pytest.approx(held, rel=1e-12, abs=1e-38)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.9, 0.9999, 1 - 1e-9])
@pytest.mark.parametrize("lag", [1, 4096])
@pytest.mark.parametrize("name", FAMILIES)
def test_coloured_error_of_any_poles(name, lag, rho):
    poles = family(name, max(lag, 4), size=3)
    with mpmath.workdps(400):
        error = exact_error(poles, lag, rho, split=mpmath.mpf(10) ** -40)
    assert abs(float(shift_error(poles, lag, rho=rho)) - error) < 1e-14


def test_a_pole_at_the_inputs_own_is_nothing_special():
    poles = of([0.9, 0.5])
    with mpmath.workdps(60):
        error = exact_error(poles, 10, np.exp(-poles.decay[0]))
    rho = float(np.exp(-poles.decay[0]))
    assert float(shift_error(poles, 10, rho=rho)) == pytest.approx(float(error), abs=1e-14)
    assert float(shift_error(of([0.9]), 10, rho=0.9)) == pytest.approx(0.4351051574, abs=1e-10)
    slope = jax.grad(lambda r: shift_error(poles, 10, rho=r))(rho)
    step = 1e-6
    ahead, behind = (shift_error(poles, 10, rho=rho + d) for d in (step, -step))
    assert float(slope) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-7)


@partial(jax.jit, static_argnums=3)
def slopes_of_error(decay, phase, rho, lag):
    return jax.grad(lambda d, p: shift_error(Poles(d, p), lag, rho=rho), (0, 1))(decay, phase)


@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("lag", [64, 4096])
@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_any_poles(name, lag, rho):
    poles = family(name, lag, size=3)
    slopes = slopes_of_error(*poles, rho, lag)
    with mpmath.workdps(400):
        h, split = mpmath.mpf(10) ** -80, mpmath.mpf(10) ** -40
        expected = [
            (
                exact_error(poles, lag, rho, (s, way * h), split)
                - exact_error(poles, lag, rho, (s, -way * h), split)
            )
            / (2 * h)
            for way in (mpmath.mpf(-1), mpmath.mpc(0, 1))
            for s in range(3)
        ]
    expected = np.array([float(x) for x in expected])
    error = np.abs(np.concatenate(slopes) - expected).max()
    assert error < 1e-12 * np.abs(expected).max() + 1e-300


def test_where_a_gram_solve_fails():
    """16 real poles 1 % apart: the condition is 1e55."""
    poles = Poles(1.01 ** np.arange(16) / 64, np.zeros(16))
    a = np.exp(-poles.decay)
    gram, moment = 1 / (1 - a[:, None] * a), a**64
    solved = 1 - moment @ np.linalg.solve(gram, moment)
    error = float(sum(abs(b) ** 2 for b in impulse_response(poles, 65)))
    assert abs(solved - error) > 1e-3
    assert float(shift_error(poles, 64)) == pytest.approx(error, abs=1e-15)
    with pytest.raises(ValueError, match=r"condition .*optimal_filter"):
        optimal_readout(poles, 64)


numbers = st.tuples(st.floats(-9, 1.5), st.floats(-4, 4))


@settings(max_examples=30)
@given(st.lists(numbers, min_size=3, max_size=3), st.floats(-0.99, 0.99))
def test_identities(drawn, rho):
    poles = Poles(*np.array([(10**m, t) for m, t in drawn]).T)
    size, n = len(drawn), 40
    A, B = mt_realization(poles)
    assert np.abs(A @ A.conj().T + np.outer(B, B.conj()) - np.eye(size)).max() < 1e-14
    assert np.abs(np.sort_complex(np.diag(A)) - np.sort_complex(poles.values)).max() < 1e-15
    law, curve = np.asarray(exit_time_pmf(poles, n)), np.asarray(memory_curve(poles, n))
    np.testing.assert_allclose(law.cumsum(), 1 - curve, rtol=0, atol=1e-13)
    np.testing.assert_allclose(-np.diff(curve), law[1:], rtol=1e-12, atol=1e-15)
    assert (curve * np.arange(1, n + 1) <= size * (1 + 1e-12)).all()  # M(k) <= S / (k + 1)
    # orders, rotations and reflections of the poles do not matter to white input
    for other in (
        Poles(poles.decay[::-1], poles.phase[::-1]),
        Poles(poles.decay, poles.phase + 1),
        Poles(poles.decay, -poles.phase),
    ):
        np.testing.assert_allclose(memory_curve(other, n), curve, rtol=1e-10, atol=1e-15)
    # coloured input: turned by pi; more is known with the present input than without
    error = float(shift_error(poles, 5, rho=rho))
    turned = shift_error(Poles(poles.decay, poles.phase + np.pi), 5, rho=-rho)
    assert error == pytest.approx(float(turned), abs=1e-12)
    assert float(shift_error(poles, 5, rho=rho, feedthrough=True)) <= error + 1e-14


def test_sums_of_the_law_and_of_the_memory():
    poles = Poles(np.full(16, 1 / 64), np.pi * (np.arange(16) - 7.5) / 64)
    law, curve = np.asarray(exit_time_pmf(poles, 6000)), np.asarray(memory_curve(poles, 6000))
    assert law.sum() == pytest.approx(1, abs=1e-13)
    assert law @ np.arange(6000) == pytest.approx(16, abs=1e-11)
    assert curve.sum() == pytest.approx(16, abs=1e-11)
    assert law[0] == pytest.approx(np.exp(-2 * 16 / 64), abs=1e-15)


@pytest.mark.parametrize("rho", [0.0, 0.7, -0.4, 0.95])
@pytest.mark.parametrize("lag", [0, 12])
def test_the_filter_against_normal_equations(lag, rho):
    """Least squares over the filters' first 400 values, with the covariance of the input."""
    a = np.array([0.9, 0.9 * np.exp(0.2j), 0.9 * np.exp(-0.2j), 0.9 * np.exp(0.5j)])
    n = 400
    root = np.linalg.cholesky(toeplitz(rho ** np.arange(n))).T
    basis, target = a ** np.arange(n)[:, None], np.eye(n)[lag]
    readout = np.linalg.lstsq(root @ basis, root @ target, rcond=None)[0]
    error = np.sum(np.abs(root @ (basis @ readout - target)) ** 2)
    poles = of(a)
    assert float(shift_error(poles, lag, rho=rho)) == pytest.approx(error, abs=1e-12)
    np.testing.assert_allclose(optimal_filter(poles, lag, n, rho=rho), basis @ readout, atol=1e-12)
    found, condition = optimal_readout(poles, lag, rho=rho)
    np.testing.assert_allclose(found, readout, atol=1e-10)
    assert 1 < condition < 1e5
    # with the present input: one more column
    basis = np.concatenate([basis, np.eye(n)[:, :1]], axis=1)
    fit = np.linalg.lstsq(root @ basis, root @ target, rcond=None)[0]
    error = np.sum(np.abs(root @ (basis @ fit - target)) ** 2)
    found = shift_error(poles, lag, rho=rho, feedthrough=True)
    assert float(found) == pytest.approx(error, abs=1e-12)


def test_white_filter_of_repeated_poles():
    """c_lag = |c|^2 = 1 - error; against the lossless cascade's own states by SciPy."""
    a, lag, n = 0.95, 20, 600
    c = np.asarray(optimal_filter(of([a, a, a]), lag, n))
    states, signal = [], np.eye(n)[0]
    for _ in range(3):
        states.append(lfilter([np.sqrt(1 - a * a)], [1, -a], signal))
        signal = lfilter([-a, 1], [1, -a], signal)
    expected = sum(w[lag] * w for w in states)
    np.testing.assert_allclose(c, expected, atol=1e-13)
    error = float(shift_error(of([a, a, a]), lag))
    assert c[lag].real == pytest.approx(1 - error, abs=1e-13)
    assert np.sum(np.abs(c) ** 2) == pytest.approx(1 - error, abs=1e-13)


def test_recall_is_monotone_with_feedthrough_only():
    poles = of([-0.70856 - 0.45505j, 0.85250 + 0.07860j, 0.09461 - 0.81972j])
    bare = [float(shift_error(poles, k, rho=0.5155)) for k in (1, 2)]
    assert bare == pytest.approx([0.4025, 0.3897], abs=1e-4)
    seen = [float(shift_error(poles, k, rho=0.5155, feedthrough=True)) for k in range(6)]
    assert seen[0] == pytest.approx(0, abs=1e-14)
    assert (np.diff(seen) > 0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_float32(name):
    """Right to a few roundings of 1, and the memory to 4 digits however small."""
    lag = 4096
    single = Poles(*(np.asarray(part, np.float32) for part in family(name, lag)))
    same = Poles(*(np.asarray(part, np.float64) for part in single))
    with enable_x64(False):
        error, held = shift_error(single, lag), memory_curve(single, lag + 1)
        coloured = shift_error(single, lag, rho=0.9)
        law = exit_time_pmf(single, lag + 1)
    assert error.dtype == held.dtype == law.dtype == np.float32
    assert float(error) == pytest.approx(float(shift_error(same, lag)), abs=3e-7)
    rho = float(np.float32(0.9))
    assert float(coloured) == pytest.approx(float(shift_error(same, lag, rho=rho)), abs=2e-6)
    np.testing.assert_allclose(law, exit_time_pmf(same, lag + 1), rtol=0, atol=1e-6)
    exact = np.asarray(memory_curve(same, lag + 1))
    np.testing.assert_allclose(held, exact, rtol=1e-4, atol=1e-30)


def test_float32_is_refused_where_it_is_wrong():
    single = Poles(np.full(3, 1e-5, np.float32), np.arange(3, dtype=np.float32) / 1e5)
    for argument in ("lag", "rho", "poles"):
        with enable_x64(False), pytest.raises(ValueError, match=f"^{argument}: got .*float32"):
            if argument == "lag":
                shift_error(single, 10_001)
            elif argument == "rho":
                optimal_filter(single, 64, 10, rho=0.995)
            else:
                optimal_readout(Poles(single.decay, single.phase / 1000), 64)
    twin = Poles(*(part.astype(float) for part in single))
    assert float(shift_error(twin, 10**6)) > 0.99
    with pytest.raises(ValueError, match=r"^rho: got .*use shift_error"):
        optimal_filter(twin, 64, 10, rho=1 - 1e-7)


@pytest.mark.parametrize("rho", [0.98, 0.99998])
def test_the_filter_near_the_refusal(rho):
    """The loss of the filter, by the input's covariance, is still the least one."""
    poles, lag, n = of([0.9, 0.95, 0.97 * np.exp(0.1j)]), 20, 1500
    c = np.array(optimal_filter(poles, lag, n, rho=rho))
    c[lag] -= 1
    # u_n = sqrt(1 - rho^2) sum rho^k v_{n-k}: the loss is the energy of c times that
    n = len(c)
    steps = lfilter([np.sqrt((1 - rho) * (1 + rho))], [1, -rho], c)
    beyond = np.abs(steps[-1]) ** 2 * rho**2 / ((1 - rho) * (1 + rho))
    loss = np.sum(np.abs(steps) ** 2) + beyond
    assert loss == pytest.approx(float(shift_error(poles, lag, rho=rho)), rel=1e-8)


def test_a_traced_decay_of_zero_is_no_pole():
    poles = family("comb", 16, size=3)
    there = np.arange(5) < 3

    @jax.jit
    def figure(poles, there, rho):
        decay = jnp.where(there, jnp.pad(poles.decay, (0, 2)), 0)
        padded = Poles(decay, jnp.pad(poles.phase, (0, 2)))
        return (
            shift_error(padded, 16, rho=rho),
            optimal_filter(padded, 16, 40, rho=rho),
            memory_curve(padded, 40),
            exit_time_pmf(padded, 40),
            jax.grad(lambda d: shift_error(Poles(d, padded.phase), 16, rho=rho))(decay)[:3],
        )

    found = figure(poles, there, 0.5)
    slope = jax.grad(lambda d: shift_error(Poles(d, poles.phase), 16, rho=0.5))
    expected = (
        shift_error(poles, 16, rho=0.5),
        optimal_filter(poles, 16, 40, rho=0.5),
        memory_curve(poles, 40),
        exit_time_pmf(poles, 40),
        slope(jnp.asarray(poles.decay)),
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_under_vmap_and_without_recompiling():
    decay = np.random.default_rng(0).uniform(0.01, 0.1, (5, 4))
    phase = np.random.default_rng(1).uniform(-1, 1, (5, 4))
    many = jax.vmap(lambda p, r: shift_error(p, 9, rho=r))(
        Poles(decay, phase), np.linspace(0, 1, 5) / 2
    )
    for i in range(5):
        one = shift_error(Poles(decay[i], phase[i]), 9, rho=i / 8)
        assert float(many[i]) == pytest.approx(float(one), abs=1e-14)
    before = allpass._shift_error._cache_size()
    for i, lag in enumerate((33, 40, 50, 63)):
        shift_error(Poles(decay[i], phase[i]), lag, rho=i / 10)
    assert allpass._shift_error._cache_size() <= before + 1


def test_in_the_page():
    """What figures call, translated to JavaScript."""

    def figure(alpha, spacing, rho, order):
        there = jnp.arange(8) < order
        phase = 2 * jnp.pi * (jnp.arange(8.0) - (order - 1) * 0.5) / (spacing * 32)
        poles = Poles(jnp.where(there, alpha / 32, 0), phase)
        return {
            "error": jnp.stack(
                [
                    shift_error(poles, 32),
                    shift_error(poles, 32, rho=rho),
                    shift_error(poles, 32, rho=rho, feedthrough=True),
                ]
            ),
            "law": exit_time_pmf(poles, 100),
            "memory": memory_curve(poles, 100),
            "filter": optimal_filter(poles, 32, 100, rho=rho).real,
            "white": optimal_filter(poles, 32, 100).real,
        }

    with Engine() as engine:
        program = translate(figure, *map(np.float64, (1, 2, 0.5)), np.int32(5))
        for drawn in [(1.0, 2.0, 0.5, 5), (0.7, 1.2, -0.3, 8)]:
            values = (*map(np.float64, drawn[:3]), np.int32(drawn[3]))
            expected = jax.tree.leaves(jax.jit(figure)(*values))
            for one, other in zip(engine.run(program, *values), expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


def test_values():
    poles = Poles([0.5, 1.0], [0.0, 2.0])
    np.testing.assert_allclose(poles.values, np.exp([-0.5, -1 + 2j]), rtol=1e-15)
    traced = jax.jit(lambda d, p: Poles(d, p).values)(
        jnp.array(poles.decay), jnp.array(poles.phase)
    )
    np.testing.assert_allclose(traced, poles.values, rtol=1e-15)


GOOD = of([0.5, 0.6])
BAD = [
    (lambda: shift_error((0.5, 0.1), 3), TypeError, "poles"),
    (lambda: shift_error(np.array([0.5 + 0j]), 3), TypeError, "poles"),
    (lambda: shift_error(Poles([], []), 3), ValueError, "poles"),
    (lambda: shift_error(Poles([0.5], [0.0, 1.0]), 3), ValueError, "poles"),
    (lambda: shift_error(Poles(0.5, 0.0), 3), ValueError, "poles"),
    (lambda: shift_error(Poles([[0.5]], [[0.0]]), 3), ValueError, "poles"),
    (lambda: shift_error(Poles([0.5, 0.0], [0.0, 0.0]), 3), ValueError, "poles.decay"),
    (lambda: shift_error(Poles([-0.5], [0.0]), 3), ValueError, "poles.decay"),
    (lambda: shift_error(Poles([np.inf], [0.0]), 3), ValueError, "poles.decay"),
    (lambda: shift_error(Poles([0.5], [np.nan]), 3), ValueError, "poles.phase"),
    (lambda: shift_error(Poles([0.5 + 1j], [0.0]), 3), TypeError, "poles.decay"),
    (lambda: shift_error(Poles(["a"], [0.0]), 3), TypeError, "poles.decay"),
    (
        lambda: exit_time_pmf(Poles(np.ones(1, np.float16), np.ones(1, np.float16)), 3),
        TypeError,
        "poles",
    ),
    (lambda: shift_error(GOOD, -1), ValueError, "lag"),
    (lambda: shift_error(GOOD, 2.0), TypeError, "lag"),
    (lambda: shift_error(GOOD, True), TypeError, "lag"),
    (lambda: jax.jit(lambda k: shift_error(GOOD, k))(3), TypeError, "lag"),
    (lambda: shift_error(GOOD, 3, rho=1.0), ValueError, "rho"),
    (lambda: shift_error(GOOD, 3, rho=-1.0), ValueError, "rho"),
    (lambda: shift_error(GOOD, 3, rho=np.nan), ValueError, "rho"),
    (lambda: shift_error(GOOD, 3, rho=[0.1, 0.2]), ValueError, "rho"),
    (lambda: shift_error(GOOD, 3, rho=0.5j), TypeError, "rho"),
    (lambda: memory_curve(GOOD, 0), ValueError, "n"),
    (lambda: memory_curve(GOOD, 2.5), TypeError, "n"),
    (lambda: exit_time_pmf(GOOD, -3), ValueError, "n"),
    (lambda: optimal_filter(GOOD, 3, 0), ValueError, "n"),
    (lambda: optimal_readout(GOOD, -3), ValueError, "lag"),
    (lambda: optimal_readout(GOOD, 3, rho=2.0), ValueError, "rho"),
    (lambda: jax.jit(lambda r: optimal_readout(GOOD, 3, rho=r))(0.5), TypeError, "rho"),
    (lambda: optimal_readout(of([0.5, 0.5]), 3), ValueError, "poles"),
    (lambda: mt_realization(None), TypeError, "poles"),
    (lambda: optimal_readout(None, 3), TypeError, "poles"),
    (
        lambda: jax.jit(lambda d: optimal_readout(Poles(d, d), 3)[1])(np.ones(1)),
        TypeError,
        "poles.decay",
    ),
]


@pytest.mark.parametrize(("call", "error", "name"), BAD)
def test_bad_input(call, error, name):
    with pytest.raises(error, match=rf"^{name}: got .*; .*\.($|\n)"):
        call()
