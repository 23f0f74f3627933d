"""optdyn.averages in both precisions, against exact fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optdyn import averages

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.9, 0.999, 0.99999])
@pytest.mark.parametrize("t", [1, 2, 1000])
def test_rates_and_mass_do_not_cancel(dtype, beta, t):
    kept, rate = averages.rates(averages.decay("beta", beta), dtype)
    exact = 1 - Fraction(beta) ** t
    found = averages.mass(jnp.asarray(t, dtype), rate)
    assert kept.dtype == rate.dtype == found.dtype == dtype and kept == dtype.type(beta)
    ulp = float(np.finfo(dtype).eps)
    assert float(rate) == pytest.approx(float(1 - Fraction(beta)), rel=ulp)
    assert float(found) == pytest.approx(float(exact), rel=4 * ulp)


def test_traced_rates(dtype):
    kept, rate = jax.jit(lambda beta: averages.rates(beta, dtype))(0.75)
    assert (kept, rate) == (0.75, 0.25) and rate.dtype == dtype


def test_quotient(dtype):
    tiny = np.finfo(dtype).tiny
    m = jnp.array([0, 2, tiny, np.nan, 1, -3], dtype)
    root = jnp.array([0, 4, 2 * tiny, 1, np.inf, np.nan], dtype)
    expected = [0, 0.5, 0.5, np.nan, 0, np.nan]
    np.testing.assert_array_equal(averages.quotient(m, root), expected)
    slope = jax.grad(lambda m, root: averages.quotient(m, root).sum(), argnums=(0, 1))
    assert all(np.isfinite(part[0]) for part in slope(m, root))


def test_checked_numbers():
    assert averages.decay("beta", [0.0, 0.5], (3, 2)).tolist() == [0, 0.5]
    assert averages.nonnegative("eps", 0) == 0 and averages.positive("lam", [[1]]) == 1
    with pytest.raises(ValueError, match=r"^beta: got shape \(3,\).*\(3, 2\).*vmap"):
        averages.decay("beta", [0.5] * 3, (3, 2))
    with pytest.raises(ValueError, match=r"^beta: got shape \(4, 3, 2\)"):
        averages.decay("beta", np.zeros((4, 3, 2)), (3, 2))
    with pytest.raises(ValueError, match=r"^b1: got shape \(2,\), one number"):
        averages.decay("b1", [0.1, 0.2])
    for bad in (1.0, -0.1, 1.5):
        with pytest.raises(ValueError, match=rf"^b1: got {bad}.*\[0, 1\)"):
            averages.decay("b1", bad)
    with pytest.raises(ValueError, match=r"^lam: got 0.*\(0, inf\)"):
        averages.positive("lam", [1, 0])
    with pytest.raises(ValueError, match=r"^eps: got -1.*\[0, inf\)"):
        averages.nonnegative("eps", -1)
    with pytest.raises(ValueError, match="eps: got nan"):
        averages.nonnegative("eps", np.nan)
    with pytest.raises(TypeError, match="b1: "):
        averages.decay("b1", "0.9")
