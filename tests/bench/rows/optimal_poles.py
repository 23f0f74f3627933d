"""The search for the best poles, by the library and by SciPy's minimisers.

All minimise log(E / (1 - E)), E the error of the best readout, in log(lag * decay) and lag * phase,
from the same three starts, and keep the best end. SciPy's have E from the Gram matrix, in NumPy,
its gradient by differences or by a formula. Compared are the errors reached, all measured with the
same Gram matrix: ours may not be above anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

STARTS = ((1.0, 1.5), (1.0, 2.0), (2.0, 1.3))  # alpha and spacing, as the library's
ABOVE = 1e-6  # so much may our error be above another's

Run = Callable[[], dict[str, np.ndarray]]


def error_and_slope(log: np.ndarray, lag: int) -> tuple[float, np.ndarray]:
    """E = 1 - g^H G^-1 g and its derivatives by the decays and by the phases.

    G_st = 1 / (1 - conj(a_s) a_t) and g_s = conj(a_s)^lag are functions of l = log a: with
    b = G^-1 g and P = dG / dlog(conj(a_s) a_t) = G * G - G, the change of g^H b is
    2 Re sum over t of dl_t b_t (lag conj(g_t) - (b^H P)_t).
    """
    gram = 1 / (1 - np.exp(log.conj()[:, None] + log))
    moment = np.exp(lag * log.conj())
    b = np.linalg.solve(gram, moment)
    slope = -2 * b * (lag * moment.conj() - b.conj() @ (gram * gram - gram))
    return 1 - np.vdot(moment, b).real, np.concatenate([-slope.real, -slope.imag])


def logit_and_slope(x: np.ndarray, lag: int) -> tuple[float, np.ndarray]:
    """log(E / (1 - E)) and its gradient by x = (log(lag * decay), lag * phase)."""
    size = len(x) // 2
    decay = np.exp(x[:size]) / lag
    try:
        error, slope = error_and_slope(-decay + 1j * x[size:] / lag, lag)
    except np.linalg.LinAlgError:  # a step so long that poles meet: the search goes back
        error, slope = 1.0, np.zeros_like(x)
    error = min(max(error, 1e-16), 1 - 1e-16)
    inner = np.concatenate([decay, np.full(size, 1 / lag)])
    return float(np.log(error / (1 - error))), slope * inner / (error * (1 - error))


def ours(orders: Sequence[int], lag: int) -> Run:
    from optdyn import filters

    def run() -> dict[str, np.ndarray]:
        found = {}
        for order in orders:
            poles, _ = filters.optimal_poles(order, lag)
            found[str(order)] = -np.asarray(poles.decay) + 1j * np.asarray(poles.phase)
        return found

    return run


def with_scipy(method: str, formula: bool) -> Callable[..., Run]:
    def prepare(orders: Sequence[int], lag: int) -> Run:
        from scipy.optimize import minimize

        def value(x: np.ndarray, lag: int) -> float:
            return logit_and_slope(x, lag)[0]

        options: dict[str, Any] = {"maxiter": 2000}
        if method == "L-BFGS-B":
            options |= {"maxcor": 40, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-9}

        def search(order: int, alpha: float, spacing: float) -> Any:
            phase = 2 * np.pi * (np.arange(order) - (order - 1) / 2) / spacing
            x = np.concatenate([np.full(order, np.log(alpha)), phase])
            goal = logit_and_slope if formula else value
            return minimize(goal, x, (lag,), method, jac=formula or None, options=options)

        def run() -> dict[str, np.ndarray]:
            found = {}
            for order in orders:
                best = min((search(order, *start) for start in STARTS), key=lambda end: end.fun)
                found[str(order)] = (-np.exp(best.x[:order]) + 1j * best.x[order:]) / lag
            return found

        return run

    return prepare


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    complaints = []
    for order in task["orders"]:
        errors = {
            name: error_and_slope(found[str(order)], task["lag"])[0]
            for name, found in answers.items()
        }
        least = min(errors.values())
        share = order / (task["lag"] + 1)  # no poles have an error below 1 - share
        if not 1 - share < least < 1 - share / 2:
            complaints.append(f"order {order}: an error of {least} is not what good poles have")
        if not errors["optdyn"] < least + ABOVE:
            complaints.append(f"order {order}: ours is {errors['optdyn']}, the least {least}")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    flops = sum(len(STARTS) * 2 * order * 4 * order**3 / 3 for order in task["orders"])
    return Bound(
        flops / machine.flops64,
        f"If a search from each of {len(STARTS)} starts needs no more evaluations than it has "
        f"unknowns, 2 S for S poles, and each no more than a Cholesky factor, 4 S^3 / 3 "
        f"operations, there are {flops:.2g} at {machine.flops64:.2g} a second.",
    )


ROW = Row(
    title="Search for the best poles",
    topic="shiftk",
    ensemble=False,
    size="orders {orders}, lag {lag}, three starts each, float64",
    tasks={
        "whole": {"orders": (4, 8, 16), "lag": 64},
        "quick": {"orders": (2, 4), "lag": 16},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "SciPy, BFGS by differences": Contestant(with_scipy("BFGS", False)),
        "SciPy, L-BFGS by differences": Contestant(with_scipy("L-BFGS-B", False)),
        "SciPy, L-BFGS by a formula": Contestant(with_scipy("L-BFGS-B", True)),
    },
    compare=compare,
    bound=bound,
    why=(
        "The gradient by a formula needs few operations, but its Gram matrix may be singular to "
        "working precision on the way, which the search has to be kept from. The library "
        "differentiates an error without a Gram matrix, with orders padded to 8 or 16."
    ),
)
