"""Basins: the period of what gradient descent settles on, for step sizes and starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

from rows.bifurcation import FAST, LANES, Run, critical, exponentials, periods

LONGEST = 16  # period looked for
KEPT = 3 * LONGEST  # iterates looked at
CLOSE = 1e-8  # of the competitors' returns, relative to the orbit's width


def given(n_step_sizes: int, starts: int, **_: Any) -> tuple[Any, Any, Any, Any]:
    """The points 1 (twice), -1 and 10; step sizes around the critical one, and starts."""
    z, p = np.array([1.0, -1.0, 10.0]), np.array([0.5, 0.25, 0.25])
    step_sizes = np.linspace(0.88, 1.03, n_step_sizes) * critical(z, p)
    return z, p, step_sizes, np.linspace(-1, 3, starts)


def ours(n_transient: int, **task: Any) -> Run:
    from optdyn import cycles

    z, p, step_sizes, starts = given(**task)

    def run() -> dict[str, np.ndarray]:
        found = cycles.basins(
            z,
            step_sizes=step_sizes,
            w0s=starts,
            n_transient=n_transient,
            max_period=LONGEST,
            weights=p,
        )
        return {"period": found}

    return run


def in_numpy(n_transient: int, **task: Any) -> Run:
    """All lanes in one array; the loops over steps and over points in Python."""
    z, p, step_sizes, starts = given(**task)

    def run() -> dict[str, np.ndarray]:
        eta, u = (x.copy() for x in np.broadcast_arrays(step_sizes[:, None], starts))
        kept = np.empty((KEPT, *u.shape))
        for t in range(n_transient + KEPT):
            if t >= n_transient:
                kept[t - n_transient] = u
            force = np.zeros_like(u)
            for zi, ai in zip(z, p * z, strict=True):
                m = np.exp(zi * u)
                m += 1
                np.divide(ai, m, out=m)
                force += m
            u += eta * force
        return {"period": periods(kept, CLOSE)}

    return run


def period_of() -> Any:
    """In numba: the smallest k whose returns in lane j are all small, or 0."""
    import numba

    @numba.njit(**FAST)
    def period(kept, j):  # type: ignore[no-untyped-def]
        low = high = kept[0, j]
        for t in range(1, KEPT):
            low, high = min(low, kept[t, j]), max(high, kept[t, j])
        for k in range(1, LONGEST + 1):
            t = k
            while t < KEPT and abs(kept[t, j] - kept[t - k, j]) < CLOSE * (1.0 + high - low):
                t += 1
            if t == KEPT:
                return k
        return 0

    return period


def one_loop(n_transient: int, **task: Any) -> Run:
    """One orbit after the other, one point after the other."""
    import numba

    z, p, step_sizes, starts = given(**task)
    period = period_of()

    @numba.njit(**FAST)
    def basins(z, a, step_sizes, starts, n_transient, out):  # type: ignore[no-untyped-def]
        kept = np.empty((KEPT, 1))
        for e in range(step_sizes.size):
            for s in range(starts.size):
                u = starts[s]
                for t in range(n_transient + KEPT):
                    if t >= n_transient:
                        kept[t - n_transient, 0] = u
                    force = 0.0
                    for i in range(z.size):
                        force += a[i] / (1.0 + math.exp(z[i] * u))
                    u += step_sizes[e] * force
                out[e, s] = period(kept, 0)

    def run() -> dict[str, np.ndarray]:
        out = np.empty((step_sizes.size, starts.size), int)
        basins(z, p * z, step_sizes, starts, n_transient, out)
        return {"period": out}

    return run


def by_hand(n_transient: int, **task: Any) -> Run:
    """Blocks of lanes in the inner loop, with an exponential of its own."""
    import numba

    z, p, step_sizes, starts = given(**task)
    period, block = period_of(), exponentials(np.float64)

    @numba.njit(**FAST)
    def basins(z, a, step_sizes, starts, n_transient, out):  # type: ignore[no-untyped-def]
        n_starts = starts.size
        n_lanes = step_sizes.size * n_starts
        u, eta, force = np.empty(LANES), np.empty(LANES), np.empty(LANES)
        rest, power = np.empty(LANES), np.empty(LANES)
        exponent = power.view(np.int64)
        kept = np.empty((KEPT, LANES))
        for first in range(0, n_lanes, LANES):
            for j in range(LANES):
                lane = min(first + j, n_lanes - 1)
                u[j], eta[j] = starts[lane % n_starts], step_sizes[lane // n_starts]
            for t in range(n_transient + KEPT):
                if t >= n_transient:
                    kept[t - n_transient] = u
                force[:] = 0.0
                for i in range(z.size):
                    block(z[i], u, rest, power, exponent)
                    for j in range(LANES):
                        force[j] += a[i] / (1.0 + power[j])
                for j in range(LANES):
                    u[j] += eta[j] * force[j]
            for j in range(min(LANES, n_lanes - first)):
                out[first + j] = period(kept, j)

    def run() -> dict[str, np.ndarray]:
        out = np.empty(step_sizes.size * starts.size, int)
        basins(z, p * z, step_sizes, starts, n_transient, out)
        return {"period": out.reshape(step_sizes.size, starts.size)}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """The period, cell by cell, where it is settled in both; and how often it is.

    Close to a period doubling it is a threshold that tells a period from its double, and ours is
    wider: there, in at most 1 % of the cells, one may be twice the other.
    """
    own = answers["optdyn"]["period"]
    complaints = []
    for name, found in answers.items():
        other = found["period"]
        if other.shape != (task["n_step_sizes"], task["starts"]):
            complaints.append(f"{name}: {other.shape} cells")
            continue
        settled = (own > 0) & (other > 0)
        same, double = own == other, (own == 2 * other) | (other == 2 * own)
        equal = np.mean(same[settled]) if settled.any() else 0.0
        if equal < 0.99 or np.mean((same | double)[settled]) < 0.999:
            complaints.append(f"{name}: only {equal:.2%} of the periods are ours")
        missed = np.mean((own > 0) != (other > 0))
        if settled.mean() < 0.5 or missed > 0.01:
            complaints.append(f"{name}: settled in both {settled.mean():.1%}, in one {missed:.1%}")
        if len(np.unique(own[settled])) < 3:
            complaints.append(f"{name}: fewer than three periods are compared")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    """An exponential for every point of every step; the look at the end is left out."""
    n = 3 * task["n_step_sizes"] * task["starts"] * (task["n_transient"] + KEPT)
    return Bound(
        n / machine.exp64,
        f"each step of each orbit needs an exponential, or what costs as much, at each of 3 "
        f"points: {n:.3g} in all, at {machine.exp64:.3g} a second",
    )


ROW = Row(
    title="Basins",
    topic="cycles",
    ensemble=True,
    size=f"{{n_step_sizes:,}} step sizes x {{starts:,}} starts x {{n_transient:,}} + {KEPT} "
    "steps, 3 points, float64",
    tasks={
        "whole": {"n_step_sizes": 256, "starts": 128, "n_transient": 3000},
        "quick": {"n_step_sizes": 64, "starts": 32, "n_transient": 2000},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "NumPy": Contestant(in_numpy, "peers"),
        "numba, one loop": Contestant(one_loop, "peers"),
        "numba, by hand": Contestant(by_hand, "peers"),
    },
    compare=compare,
    bound=bound,
)
