"""optdyn.sigmoid against mpmath, and its derivative."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from optdyn.sigmoid import falling, falling2

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


@pytest.mark.parametrize(("dtype", "far"), [(np.float64, 700.0), (np.float32, 87.0)])
def test_full_relative_precision(dtype, far):
    rng = np.random.default_rng(0)
    halves = np.log(2) * (np.arange(-100, 100) + 0.5)  # where the reduced argument is largest
    m = np.concatenate([np.linspace(-far, far, 4001), 3 * rng.normal(size=4000), halves])
    m = np.clip(m, -far, far).astype(dtype)
    with mpmath.workdps(30):
        exact = [1 / (1 + mpmath.exp(mpmath.mpf(float(value)))) for value in m]
        for compute in (falling, jax.jit(falling)):
            found = compute(jnp.asarray(m))
            assert found.dtype == dtype
            wrong = [abs(mpmath.mpf(float(f)) / e - 1) for f, e in zip(found, exact, strict=True)]
            assert max(wrong) < 2 * np.finfo(dtype).eps


def test_full_relative_precision_to_the_base_of_two():
    rng = np.random.default_rng(0)
    t = np.concatenate([np.linspace(-1e3, 1e3, 4001), 3 * rng.normal(size=4000)])
    t = np.concatenate([t, np.arange(-100, 100) + 0.5])
    with mpmath.workdps(30):
        exact = [1 / (1 + mpmath.power(2, mpmath.mpf(float(value)))) for value in t]
        for compute in (falling2, jax.jit(falling2)):
            found = compute(jnp.asarray(t))
            wrong = [abs(mpmath.mpf(float(f)) / e - 1) for f, e in zip(found, exact, strict=True)]
            assert max(wrong) < 2 * np.finfo(float).eps
    single = falling2(jnp.asarray(t[-300:], jnp.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, 1 / (1 + 2 ** t[-300:]), rtol=1e-5)
    first = jax.vmap(jax.grad(falling2))(jnp.asarray(t[-200:]))
    low = np.asarray(falling2(jnp.asarray(t[-200:])), float)
    np.testing.assert_allclose(
        first, -np.log(2) * low * np.asarray(falling2(-t[-200:])), rtol=1e-14
    )
    assert np.isnan(falling2(jnp.nan)) and falling2(-jnp.inf) == 1 and falling2(jnp.inf) < 1e-300


def test_far_out_and_special_values():
    m = jnp.array([-jnp.inf, -1e300, -800.0, 0.0, 800.0, 1e300, jnp.inf, jnp.nan])
    found = np.asarray(jax.jit(falling)(m))
    np.testing.assert_array_equal(found[:4], [1, 1, 1, 0.5])
    assert (found[4:7] > 0).all() and (found[4:7] < 1e-300).all() and np.isnan(found[7])
    single = np.asarray(falling(m.astype(jnp.float32)))
    np.testing.assert_array_equal(single[:4], [1, 1, 1, 0.5])
    assert (single[4:7] > 0).all() and (single[4:7] < 1e-37).all() and np.isnan(single[7])
    half = falling(jnp.array([0.0, 3.0], jnp.float16))
    assert half.dtype == jnp.float16 and float(half[1]) == pytest.approx(0.04743, abs=1e-4)


def test_derivatives():
    m = jnp.linspace(-5, 5, 11)
    first = jax.vmap(jax.grad(falling))(m)
    np.testing.assert_allclose(first, -1 / (2 + 2 * np.cosh(m)), rtol=1e-14)
    second = jax.vmap(jax.grad(jax.grad(falling)))(m)
    np.testing.assert_allclose(second, -first * np.tanh(m / 2), rtol=1e-13, atol=1e-16)


def test_only_a_cpu_gets_its_own():
    """Elsewhere exponentials are quick, and a TPU has no bits of a float64."""
    for dtype in (np.float32, np.float64):
        traced = jax.jit(falling).trace(jax.ShapeDtypeStruct((3,), dtype))
        code = {p: traced.lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda", "tpu")}
        assert [p for p, text in code.items() if "bitcast_convert" in text] == ["cpu"]
