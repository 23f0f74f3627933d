r"""The logistic function where it is computed thousands of millions of times.

On a CPU `jax.nn.sigmoid` spends its time in a general exponential function. `falling` and
`falling2` have their own: a quotient of two polynomials, so that no exponential is formed and one
division is left.
"""

from collections.abc import Sequence
from math import comb, factorial, log
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# n log 2 is subtracted in two parts, the first of which times n is exact.
_HIGH = {"float32": 0.693359375, "float64": 0.6931471803691238}
_LOW = {"float32": -2.12194440054690583e-4, "float64": 1.9082149292705877e-10}
_ORDER = {"float32": 3, "float64": 6}
# 2^r = (q + p) / (q - p) for |r| <= 1/2, p / q = tanh(r log(2) / 2): the coefficients of the odd p
# and the even q that interpolate it at the zeros of a Chebyshev polynomial, to 9e-19.
_ODD = (0.34657359027997264, 0.004624790992390067, 5.2866829561414055e-06)
_EVEN = (1.0, 0.05338207721958618, 0.00022892664520304958)


@jax.custom_jvp
def falling(m: Array) -> Array:
    """sigma(-m) = 1 / (1 + exp(m)), to two and a half units in the last place however small it is.

    exp(m) = 2^n exp(r) with n whole and |r| <= log(2) / 2, and exp(r) = (q + p) / (q - p), with
    q + p the numerator of the Pade approximant of exp of order (k, k), p odd and q even in r. Then
    sigma(-m) = (q - p) / (q - p + 2^n (q + p)); 2^n is a change of the exponent's bits.

    Args: m, any shape; float32 and float64 on a CPU as described, other types and elsewhere by
        `jax.nn.sigmoid`. Beyond +-700 (float32: +-87) the value may stay what it is there. Nothing
        is checked.
    Returns: an array like m. Works under jit, vmap and grad.
    Source: derived here; the approximants of exp are Pade's.

    >>> [round(value, 4) for value in falling(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [0.7311, 0.5, 0.2689]
    """
    if str(m.dtype) not in _ORDER:
        return jax.nn.sigmoid(-m)
    value: Array = lax.platform_dependent(m, cpu=_quotient, default=lambda m: jax.nn.sigmoid(-m))
    return value


@falling.defjvp
def _slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (m,), (change,) = primals, tangents
    return falling(m), -falling(m) * falling(-m) * change


@jax.custom_jvp
def falling2(t: Array) -> Array:
    """1 / (1 + 2^t), to two and a half units in the last place however small it is.

    For whoever multiplies by a point anyway and can divide the point by log 2 beforehand: t = n + r
    with n whole and |r| <= 1/2 is exact, and shorter than the reduction in `falling`.

    Args: t, any shape; float64 on a CPU as described, other types and elsewhere by
        `jax.nn.sigmoid`. Beyond +-1000 the value may stay what it is there. Nothing is checked.
    Returns: an array like t. Works under jit, vmap and grad.
    Source: derived here.

    >>> [round(value, 4) for value in falling2(jnp.array([-1.0, 0.0, 1.0])).tolist()]
    [0.6667, 0.5, 0.3333]
    """
    if str(t.dtype) != "float64":
        return jax.nn.sigmoid(-log(2) * t)
    value: Array = lax.platform_dependent(
        t, cpu=_quotient2, default=lambda t: jax.nn.sigmoid(-log(2) * t)
    )
    return value


@falling2.defjvp
def _slope2(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (t,), (change,) = primals, tangents
    return falling2(t), -log(2) * falling2(t) * falling2(-t) * change


def _quotient2(t: Array) -> Array:
    t = jnp.clip(t, -1000.0, 1000.0)
    n = lax.round(t, lax.RoundingMethod.TO_NEAREST_EVEN)
    r = t - n
    return _ratio(r * _polynomial(r, _ODD), _polynomial(r, _EVEN), n)


def _quotient(m: Array) -> Array:
    kind = str(m.dtype)
    far = 700.0 if kind == "float64" else 87.0
    m = jnp.clip(m, -far, far)
    n = lax.round(m * (1 / log(2)), lax.RoundingMethod.TO_NEAREST_EVEN)
    r = m - n * _HIGH[kind] - n * _LOW[kind]
    return _ratio(*_halves(r, _ORDER[kind]), n)


def _ratio(p: Array, q: Array, n: Array) -> Array:
    """(q - p) / (q - p + 2^n (q + p))."""
    bits = np.finfo(n.dtype).nmant
    whole = jnp.int64 if bits == 52 else jnp.int32
    # n + 1.5 * 2^bits ends in the bits of n as an integer; shifted, these add to an exponent.
    shift = lax.bitcast_convert_type(n + 1.5 * 2.0**bits, whole) << bits
    large = lax.bitcast_convert_type(lax.bitcast_convert_type(q + p, whole) + shift, n.dtype)
    value: Array = (q - p) / (q - p + large)
    return value


def _halves(r: Array, k: int) -> tuple[Any, Any]:
    """The odd and the even part of sum_j C(k, j) (2k - j)! / (2k)! r^j, by Horner's rule."""
    c = [comb(k, j) * factorial(2 * k - j) / factorial(2 * k) for j in range(k + 1)]
    return r * _polynomial(r, c[1::2]), _polynomial(r, c[0::2])


def _polynomial(r: Array, coefficients: Sequence[float]) -> Any:
    """sum_j coefficients[j] r^(2 j)."""
    value: Any = coefficients[-1]
    for lower in reversed(coefficients[:-1]):
        value = value * (r * r) + lower
    return value
