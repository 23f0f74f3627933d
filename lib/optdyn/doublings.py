r"""Where attracting cycles of one-dimensional data double their period, one after the other.

All is computed in NumPy float64 and cannot be traced.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from optdyn import arguments, cycles

Floats = NDArray[np.float64]


def _jet(u: float, eta: float, z: Floats, p: Floats, k: int) -> tuple[float, ...]:
    """M^k(u) and its derivatives by u, by eta, twice by u, by u and eta; one dimension."""
    du, de, duu, due = 1.0, 0.0, 0.0, 0.0
    for _ in range(k):
        s, t = expit(-z * u), expit(z * u)
        curve = p * z * z * s * t
        pull, h, bend = p @ (z * s), curve.sum(), curve @ (z * (s - t))
        duu, due = (
            (1 - eta * h) * duu - eta * bend * du * du,
            ((1 - eta * h) * due - h * du - eta * bend * du * de),
        )
        du, de, u = (1 - eta * h) * du, (1 - eta * h) * de + pull, u + eta * pull
    return u, du, de, duu, due


def _at_multiplier(
    u: float, eta: float, *, z: Floats, p: Floats, k: int, target: float
) -> tuple[Any, Any]:
    """M^k(u) - u and (M^k)'(u) - target, with their Jacobian."""
    image, du, de, duu, due = _jet(u, eta, z, p, k)
    return [image - u, du - target], [[du - 1, de], [duu, due]]


def _of_width(
    x: float, eta: float, *, z: Floats, p: Floats, k: int, half: float
) -> tuple[Any, Any]:
    """Zero iff M^k swaps x - half and x + half: half the sum and the slope, and their Jacobian."""
    low, high = (np.array(_jet(u, eta, z, p, k)[:3]) for u in (x - half, x + half))
    mean, slope = (low + high) / 2, (low - high) / (2 * half)
    return [mean[0] - x, slope[0] - 1], [[mean[1] - 1, mean[2]], [slope[1], slope[2]]]


def _newton(equations: Callable[..., tuple[Any, Any]], u: float, eta: float) -> Floats:
    """Solve two equations, given with their Jacobian, for u and eta; nan if that fails."""
    x, before = np.array([u, eta]), np.inf
    with np.errstate(all="ignore"):
        for _ in range(40):
            value, jacobian = equations(*x)
            try:
                move = np.linalg.solve(jacobian, value)
            except np.linalg.LinAlgError:
                break
            x, size = x - move, np.abs(move).max()
            if before <= size <= 1e-9 * np.abs(x).max() or size == 0:  # as exact as float64 is
                return x
            before = size
    return np.array([np.nan, np.nan])


def period_doublings(
    z: ArrayLike,
    *,
    n_flips: int,
    step_size: float,
    weights: ArrayLike | None = None,
    w0: float = 0.0,
) -> Floats:
    """The step sizes at which an attracting cycle doubles its period, again and again.

    Each solves M^k(u) = u, (M^k)'(u) = -1 by Newton's method in (u, step size), for k = k0, 2 k0,
    4 k0, ...; from each the doubled cycle x -+ s is followed by its half-width s, starting at 0.

    Args:
        z, weights: as in `logistic.loss`, shape (n,) or (n, 1): one dimension.
        n_flips: how many; float64 tells about ten apart.
        step_size: where to start; the cycle of period k0 found there from w0 is followed upward.

    Returns: shape (n_flips,), float64, ascending, in units of w^2 / loss.
    Raises: ValueError if no attracting cycle is found at step_size, if it does not double its
        period as the step size grows, or if no doubled cycle is born above; and as
        `cycles.find_cycle`.
    Source: derived in chapters/cycles; Feigenbaum, J. Stat. Phys. 19 (1978).

    >>> flips = period_doublings([1.0, -1.0], weights=[3, 1], n_flips=3, step_size=10.0)
    >>> print(flips * 3 / 16)  # the first is at the critical step size
    [2.         2.63517159 2.81438525]
    """
    n_flips = arguments.count("n_flips", n_flips)
    if n_flips > 12:
        raise ValueError(
            f"n_flips: got {n_flips}, at most 12 is allowed; float64 tells no more of them apart."
        )
    rows, p = arguments.host_data(z, weights)
    rows = arguments.line(rows)
    cycle = cycles.find_cycle(w0, rows, step_size=step_size, weights=p)
    if cycle is None:
        raise ValueError(
            f"step_size: got {step_size}, where the orbit of w0 = {w0} settles on no cycle; start "
            f"lower, where it does."
        )
    k, u, eta, multiplier = cycle.period, cycle.points[0], float(step_size), cycle.multipliers[0]
    half = 0.01 * min([1 / np.abs(rows).max(), *np.abs(cycle.points[1:] - u)])
    flips = [eta]
    while True:
        for target in np.linspace(multiplier, -1, 9)[1:]:
            u, eta = _newton(partial(_at_multiplier, z=rows, p=p, k=k, target=target), u, eta)
        if not eta > flips[-1]:
            raise ValueError(
                f"step_size: got {step_size}, the cycle there does not double its period above "
                f"{flips[-1]}; start from a cycle that does."
            )
        flips.append(eta)
        if len(flips) > n_flips:
            return np.array(flips[1:])
        multiplier = 1.0
        while multiplier > 0.5:
            u, eta = _newton(partial(_of_width, z=rows, p=p, k=k, half=half), u, eta)
            multiplier = _jet(u - half, eta, rows, p, 2 * k)[1]
            if not (eta > flips[-1] * (1 - 1e-7) and multiplier < 1 + 1e-7):
                raise ValueError(
                    f"step_size: got {step_size}, the cycle there loses stability at {flips[-1]}, "
                    f"but the cycle of doubled period does not take over; ask for fewer flips, or "
                    f"start on another cycle."
                )
            half *= 1.25
        half /= 1.25
        k, u, half = 2 * k, u - half, half / 50
