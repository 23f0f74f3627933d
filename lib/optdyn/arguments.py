"""Checks of arguments shared by all modules.

Shapes and types are checked always, values when they are concrete (not traced by JAX). Every error
is one sentence: the argument, what was received, what is allowed, the usual fix.
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Data = tuple[Any, Any]  # points and normalised weights: NumPy where concrete, JAX where traced


def is_traced(value: object) -> bool:
    """Whether JAX is tracing `value`, so that only its shape and type are known.

    >>> is_traced(1.0)
    False
    """
    return isinstance(value, jax.core.Tracer)


def real(name: str, value: Any, *, finite: bool = True) -> Any:
    """Return `value` as an array of real numbers: itself if traced, else a NumPy array.

    Args: name, for the message; value, array-like; finite, whether inf and nan are refused.
    Raises: TypeError if it is not an array of real numbers, ValueError if it is not finite.

    >>> real("z", [1, 2])
    array([1, 2])
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: got a masked array, whose mask would be lost; fill it or compress it first."
        )
    if not is_traced(value):
        try:
            value = np.asarray(value)
        except jax.errors.TracerArrayConversionError:
            value = jnp.asarray(value)
        except ValueError:
            raise TypeError(
                f"{name}: got a ragged sequence, an array of real numbers is needed; "
                f"give all rows the same length."
            ) from None
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
        raise TypeError(
            f"{name}: got values of type {value.dtype}, real numbers are needed; "
            f"convert them with numpy.asarray(..., float) first."
        )
    if finite and not is_traced(value):
        bad = ~np.isfinite(value)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            where = f" at index {list(index)}" if index else ""
            raise ValueError(
                f"{name}: got {value[index]}{where}, all values must be finite; "
                f"remove or replace missing and infinite values."
            )
    return value


def precision(*values: Any) -> Any:
    """Return the floating type JAX computes in for these values; Python scalars do not raise it.

    >>> str(precision(np.zeros(2, np.float32), 1.0))
    'float32'
    """

    def typed(value: Any) -> Any:
        known = hasattr(value, "dtype") or isinstance(value, bool | int | float)
        return value if known else real("value", value, finite=False)

    return jnp.result_type(float, *map(typed, values))


def count(name: str, value: Any, *, least: int = 1, most: int = 2**31 - 2) -> int:
    """Return `value` as an int between `least` and `most`; it is never traced.

    >>> count("n_steps", np.int64(3))
    3
    """
    allowed = f"a whole number from {least} to {most} is needed"
    if is_traced(value):
        raise TypeError(
            f"{name}: got a traced value, {allowed}; make the argument static "
            f"(static_argnames of jax.jit)."
        )
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: got {value!r}, {allowed}; pass an int such as 100.")
    if not least <= number <= most:
        raise ValueError(f"{name}: got {number}, {allowed}; pass an int such as 100.")
    return number


def tolerance(name: str, value: Any) -> float:
    """Return `value` as a number that is 0 or more.

    >>> tolerance("atol", 0)
    0.0
    """
    number = real(name, value)
    if number.ndim or number < 0:
        raise ValueError(
            f"{name}: got {value!r}, one number that is 0 or more is needed; leave it out for the "
            f"default."
        )
    return float(number)


def step_size(name: str, value: Any, *, ndim: int = 0) -> Any:
    """Return `value` as positive finite step sizes with `ndim` axes.

    >>> step_size("step_size", 0.5)
    array(0.5)
    """
    value = real(name, value, finite=False)
    if value.ndim != ndim or value.size == 0:
        needed = "one number is" if ndim == 0 else "a non-empty array with one axis is"
        fix = "map over several with jax.vmap" if ndim == 0 else "wrap one number in a list"
        raise ValueError(f"{name}: got shape {value.shape}, {needed} needed; {fix}.")
    if not is_traced(value):
        bad = ~(np.isfinite(value) & (value > 0))
        if bad.any():
            raise ValueError(
                f"{name}: got {value[bad].flat[0]}, step sizes must be positive and finite; "
                f"a safe start is a fraction of logistic.critical_step_size(z)."
            )
    return value


def data(z: Any, weights: Any = None) -> Data:
    """Return absorbed data `z`, shape (n, d) or (n,), and its weights divided by their sum.

    Args: z, finite, up to 1e150; weights, shape (n,), not negative, not all zero (default equal).
    Raises: TypeError or ValueError naming the argument.

    >>> data([1.0, -1.0], [3, 1])[1]
    array([0.75, 0.25])
    """
    z = real("z", z)
    if z.ndim not in (1, 2) or z.size == 0:
        raise ValueError(
            f"z: got shape {z.shape}, (n, d) or (n,) with n and d at least 1 is needed; "
            f"put one observation in each row."
        )
    if not is_traced(z) and float(np.abs(z).max()) > 1e150:
        raise ValueError(
            f"z: got {np.abs(z).max():g} as the largest absolute value, at most 1e150 is allowed, "
            f"for squares of z are formed; multiply z by a constant."
        )
    n = z.shape[0]
    if weights is None:
        return z, np.full(n, 1.0 / n)
    weights = real("weights", weights)
    if weights.shape != (n,):
        raise ValueError(
            f"weights: got shape {weights.shape}, ({n},) is needed, one weight for each row of z; "
            f"leave weights out for equal ones."
        )
    if not is_traced(weights):
        weights = weights.astype(float)
        if (weights < 0).any() or not (weights > 0).any():
            raise ValueError(
                f"weights: got {weights.min()} as the smallest and {weights.max()} as the largest, "
                f"none may be negative and one must be positive; pass multiplicities."
            )
        weights = np.ldexp(weights, -np.frexp(weights.max())[1])  # a sum that does not overflow
    return z, weights / weights.sum()


def start(name: str, w: Any, z: Any, *, finite: bool = True) -> Any:
    """Return `w` as one point for data `z`: () for z of shape (n,), (d,) for shape (n, d).

    >>> start("w0", 0.0, np.ones((3,)))
    array(0.)
    """
    w = real(name, w, finite=finite)
    if w.shape != z.shape[1:]:
        raise ValueError(
            f"{name}: got shape {w.shape}, {z.shape[1:]} is needed for z of shape {z.shape}; "
            f"map over several points with jax.vmap."
        )
    return w


def host_data(z: Any, weights: Any = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct rows of positive weight of `z`, and their weights, in NumPy float64.

    Raises: TypeError if an argument is traced, and what `data` raises.

    >>> host_data([2, 2, -1])
    (array([-1.,  2.]), array([0.33333333, 0.66666667]))
    """
    z, p = data(z, weights)
    not_traced(z=z, weights=p)
    if 0 < np.abs(z).max() < 1e-150:
        raise ValueError(
            f"z: got {np.abs(z).max():g} as the largest absolute value, at least 1e-150 is needed, "
            f"for squares of z are formed; multiply z by a constant."
        )
    return distinct(z.astype(float), p)


def distinct(z: NDArray[Any], p: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the distinct rows of `z` whose weight is positive, sorted, and their weights.

    >>> distinct(np.array([2, 2, 5]), np.array([0.5, 0.5, 0.0]))
    (array([2]), array([1.]))
    """
    rows, inverse = np.unique(z[p > 0], axis=0, return_inverse=True)
    return rows, np.bincount(inverse.ravel(), p[p > 0]).astype(float)


def not_traced(**values: Any) -> None:
    """Raise TypeError if one of the named values is traced.

    >>> not_traced(z=1.0)
    """
    for name, value in values.items():
        if is_traced(value):
            raise TypeError(
                f"{name}: got a traced value, a concrete one is needed, for this function computes "
                f"in NumPy float64; call it outside jax.jit, jax.vmap and jax.grad."
            )


def line(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one-dimensional data of shape (n,) or (n, 1) as (n,).

    >>> line(np.ones((2, 1)))
    array([1., 1.])
    """
    if z.ndim == 2 and z.shape[1] > 1:
        raise ValueError(
            f"z: got rows of {z.shape[1]} numbers, this function is for one-dimensional data of "
            f"shape (n,); pass one feature without an intercept."
        )
    return z.reshape(-1)
