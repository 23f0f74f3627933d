"""optdyn.pole_families against mpmath, dense matrices and the laws they are drawn from."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.stats import kstest

from optdyn import pole_families
from optdyn.allpass import Poles, shift_error

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


KEY = jax.random.key(5)
FAMILIES = {
    "equispaced": lambda: pole_families.equispaced(6, 32, alpha=1.0),
    "full_comb": lambda: pole_families.full_comb(6, 0.9),
    "ring": lambda: pole_families.ring(KEY, 6, r_min=0.5, r_max=0.9),
    "disk": lambda: pole_families.disk(KEY, 6),
    "real_uniform": lambda: pole_families.real_uniform(KEY, 6, low=-0.5),
    **{kind: lambda kind=kind: pole_families.s4d(6, step=0.1, kind=kind)
       for kind in pole_families.KINDS},
    "legt": lambda: pole_families.legt(6, horizon=10.0),
}  # fmt: skip
CLOSED = ("equispaced", "lin", "inv", "legs", "real", "legt")


def nearest(found, expected):
    """The largest distance from an expected number to the found one next to it."""
    return np.abs(np.asarray(found)[:, None] - np.asarray(expected)).min(axis=0).max()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_stable_poles(name):
    poles = FAMILIES[name]()
    assert isinstance(poles, Poles)
    for part in poles:
        assert np.shape(part) == (6,) and np.asarray(part).dtype == np.float64
    assert (np.asarray(poles.decay) > 0).all() and (np.abs(poles.phase) <= np.pi).all()
    if name in CLOSED:
        np.testing.assert_allclose(
            np.sort_complex(poles.values), np.sort_complex(poles.values.conj()), atol=1e-15
        )


def test_equispaced_is_the_explicit_filter_s_comb():
    poles = pole_families.equispaced(17, 128, alpha=1.5)
    expected = np.exp(-1.5 / 128 + 1j * np.pi * np.arange(-8, 9) / 128)
    np.testing.assert_allclose(poles.values, expected, rtol=0, atol=1e-15)
    even = pole_families.equispaced(16, 64, alpha=1.0)
    assert float(shift_error(even, 64)) == pytest.approx(0.87756844540, abs=1e-10)
    narrow = pole_families.equispaced(5, 10, alpha=1.0, spacing=1.25)
    np.testing.assert_allclose(np.diff(narrow.phase), 2 * np.pi / 12.5, rtol=1e-14)


@pytest.mark.parametrize(("order", "lag"), [(1, 3), (5, 3), (5, 21), (8, 20)])
def test_full_comb_is_one_pole_problems(order, lag):
    poles = pole_families.full_comb(order, 0.93)
    assert nearest(poles.values**order, [0.93**order]) < 1e-14
    assert len(set(np.round(np.angle(poles.values), 9))) == order
    late = 0.93 ** (2 * order)
    expected = 1 - (1 - late) * late ** (lag // order)
    assert float(shift_error(poles, lag)) == pytest.approx(expected, abs=1e-12)


def test_s4d_lin_at_one_over_lag_has_the_explicit_filter_s_poles():
    upper = pole_families.s4d(16, step=1 / 256).values[:8]
    np.testing.assert_allclose(
        upper, pole_families.equispaced(15, 256, alpha=0.5).values[7:], rtol=0, atol=1e-15
    )


def test_s4d_legs_is_the_normal_part_of_hippo():
    n = np.arange(9)
    hippo = -np.tril(np.sqrt(np.outer(2 * n + 1, 2 * n + 1)), -1) - np.diag(n + 1.0)
    root = np.sqrt(n + 0.5)
    eigenvalues = np.linalg.eigvals(hippo + np.outer(root, root))
    for order, step in ((9, 1.0), (9, 0.01)):
        poles = pole_families.s4d(order, step=step, kind="legs")
        found = -poles.decay + 1j * poles.phase
        assert nearest(found / step, eigenvalues) < 1e-12


def test_s4d_inv_by_hand():
    poles = pole_families.s4d(4, step=1.0, kind="inv")  # 4/pi * (4 - 1) and 4/pi * (4/3 - 1)
    expected = [12 / np.pi, 4 / (3 * np.pi), -12 / np.pi, -4 / (3 * np.pi)]
    np.testing.assert_allclose(poles.phase, expected, rtol=1e-15)
    np.testing.assert_allclose(poles.decay, 0.5)


@pytest.mark.parametrize(
    ("poles", "gain"),
    [
        (lambda lag: pole_families.s4d(16, step=1 / lag), 0.4089),
        (lambda lag: pole_families.s4d(16, step=1.86 / lag), 0.6969),
        (lambda lag: pole_families.equispaced(16, lag, alpha=0.5), 0.4324),
        (lambda lag: pole_families.s4d(16, step=1 / lag, kind="inv"), 0.3159),
        (lambda lag: pole_families.s4d(16, step=1 / lag, kind="legs"), 0.3529),
        (lambda lag: pole_families.s4d(16, step=1 / lag, kind="real"), 0.2549),
        (lambda lag: pole_families.legt(16, horizon=lag), 0.4448),
    ],
)
def test_gains_of_the_families(poles, gain):
    """The share of the bound in the limit of long lags, as found with another program."""
    lag = 20_000
    assert (1 - float(shift_error(poles(lag), lag))) * lag / 16 == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3, 16, 33, 100])
def test_legt_is_pade(order):
    """Newton's correction of every root, on the polynomial with its exact coefficients."""
    poles = pole_families.legt(order, horizon=0.5)
    with mpmath.workdps(120):
        b = [mpmath.binomial(order, j) * mpmath.factorial(2 * order - 1 - j)
             for j in range(order + 1)]  # fmt: skip
        for decay, phase in zip(*poles, strict=True):
            z = mpmath.mpc(-decay, phase) / 2
            value = mpmath.fsum(c * z**j for j, c in enumerate(b))
            slope = mpmath.fsum(j * c * z ** (j - 1) for j, c in enumerate(b))
            assert abs(value / slope) < 1e-14 * order


def test_legt_is_the_matrix_where_an_eigenvalue_solver_can_tell():
    n = np.arange(6)
    below = (-1.0) ** (n[:, None] - n + 1)
    matrix = (2 * n[:, None] + 1) * np.where(n[:, None] < n, -1, below)
    poles = pole_families.legt(6, horizon=1.0)
    assert nearest(-poles.decay + 1j * poles.phase, np.linalg.eigvals(matrix)) < 1e-12


@pytest.mark.parametrize("order", [*range(1, 30), 64, 100, 177, 256])
def test_legt_by_the_trace_and_its_inverse(order):
    """The sums of the roots and of their inverses are ratios of the polynomial's coefficients."""
    poles = pole_families.legt(order, horizon=1.0)
    roots = -poles.decay + 1j * poles.phase
    assert roots.sum() == pytest.approx(-(order**2), rel=1e-13)
    assert (1 / roots).sum() == pytest.approx(-order / (2 * order - 1), rel=1e-13)
    apart = np.abs(roots[:, None] - roots) + 9 * np.eye(order)
    assert apart.min() > 1
    np.testing.assert_array_equal(roots, roots[::-1].conj())
    assert (np.diff(poles.phase) > 0).all()


def test_ring_is_uniform_by_area():
    poles = pole_families.ring(KEY, 50_000, r_min=0.8, r_max=0.95, max_phase=0.3)
    share = (np.exp(-2 * np.asarray(poles.decay)) - 0.8**2) / (0.95**2 - 0.8**2)
    assert kstest(share, "uniform").pvalue > 1e-3
    assert kstest((np.asarray(poles.phase) / 0.3 + 1) / 2, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(
        pole_families.ring(KEY, 9, r_min=0.7, r_max=0.7).decay, -np.log(0.7), rtol=1e-14
    )


def test_conjugate_rings():
    poles = pole_families.ring(KEY, 8, r_min=0.0, r_max=0.9, max_phase=1.0, conjugate=True)
    np.testing.assert_array_equal(poles.values[4:], poles.values[:4].conj())
    assert (poles.phase[:4] > 0).all() and (poles.phase < 1).all()


def test_disk_and_real_poles_are_uniform():
    poles = pole_families.disk(KEY, 50_000)
    assert kstest(np.exp(-2 * np.asarray(poles.decay)), "uniform").pvalue > 1e-3
    assert kstest((np.asarray(poles.phase) / np.pi + 1) / 2, "uniform").pvalue > 1e-3
    real = pole_families.real_uniform(KEY, 50_000, low=-0.5, high=0.25)
    assert kstest((real.values.real + 0.5) / 0.75, "uniform").pvalue > 1e-3
    assert np.abs(real.values.imag).max() < 1e-15


def test_float32_and_values_are_traced():
    compiled = []

    @jax.jit
    def run(key, r, alpha):
        compiled.append(1)
        return (
            pole_families.ring(key, 4, r_min=r, r_max=r, max_phase=alpha),
            pole_families.real_uniform(key, 4, low=-r, high=r),
            pole_families.full_comb(4, r),
            pole_families.equispaced(4, 8, alpha=alpha, spacing=alpha),
        )

    for r in (0.5, 0.9):
        parts = jax.tree.leaves(run(KEY, jnp.float32(r), jnp.float32(1)))
        assert all(part.dtype == np.float32 and part.shape == (4,) for part in parts)
        np.testing.assert_allclose(parts[0], -np.log(r), rtol=1e-5)
    assert compiled == [1]
    keys = jax.random.split(KEY, 3)
    many = jax.vmap(lambda key: pole_families.disk(key, 4))(keys)
    np.testing.assert_array_equal(many.decay[1], pole_families.disk(keys[1], 4).decay)


WRONG = [
    (lambda: pole_families.equispaced(0, 8, alpha=1.0), ValueError, "order: got 0"),
    (lambda: pole_families.equispaced(4, 8.0, alpha=1.0), TypeError, "lag: got 8.0"),
    (lambda: pole_families.equispaced(4, 8, alpha=0.0), ValueError, "alpha: got 0.0.*positive"),
    (lambda: pole_families.equispaced(4, 8, alpha=np.ones(2)), ValueError, "alpha: .*shape.*vmap"),
    (lambda: pole_families.equispaced(4, 8, alpha=1, spacing=-1), ValueError, "spacing: got -1"),
    (lambda: pole_families.equispaced(4, 8, alpha=np.inf), ValueError, "alpha: got inf"),
    (lambda: pole_families.full_comb(4, 1.0), ValueError, "radius: got 1.0.*between 0 and 1"),
    (lambda: pole_families.s4d(5, step=0.1), ValueError, "order: got 5, an even.*take 6"),
    (lambda: pole_families.s4d(4, step=0.1, kind="log"), ValueError, "kind: got 'log'"),
    (lambda: pole_families.s4d(4, step=-0.1), ValueError, "step: got -0.1"),
    (lambda: jax.jit(lambda x: pole_families.s4d(4, step=x))(0.1), TypeError, "step: .*traced"),
    (lambda: pole_families.legt(257, horizon=4.0), ValueError, "order: got 257"),
    (lambda: pole_families.legt(4, horizon=0), ValueError, "horizon: got 0"),
    (lambda: pole_families.ring(KEY, 4, r_min=0.9, r_max=0.5), ValueError, "r_min: .*exchange"),
    (lambda: pole_families.ring(KEY, 4, r_min=0.9, r_max=1.0), ValueError, "r_max: got 1.0"),
    (lambda: pole_families.ring(KEY, 4, r_min=-0.1, r_max=0.5), ValueError, "r_min: got -0.1"),
    (lambda: pole_families.ring(KEY, 4, r_min=0.1, r_max=0.5, max_phase=4), ValueError, "max_ph"),
    (lambda: pole_families.ring(KEY, 3, r_min=0.1, r_max=0.5, conjugate=True), ValueError, "order"),
    (lambda: pole_families.disk(KEY, True), TypeError, "order: got True"),
    (lambda: pole_families.real_uniform(KEY, 3, low=0.5, high=0.5), ValueError, "low: got 0.5"),
    (lambda: pole_families.real_uniform(KEY, 3, high=1.5), ValueError, "high: got 1.5"),
    (lambda: pole_families.real_uniform(KEY, 3, low=1j), TypeError, "low: .*complex"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
