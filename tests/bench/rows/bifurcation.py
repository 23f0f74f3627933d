"""The bifurcation diagram: where gradient descent settles, step size by step size.

The data, the loops in numba and the comparison serve the rows on Lyapunov exponents and basins too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

Run = Callable[[], dict[str, np.ndarray]]
FAST = {"fastmath": True, "error_model": "numpy"}  # no test for division by zero
LANES = 256  # of the loop by hand: its arrays stay in the first-level cache
N_POINTS = 20


def points(dtype: Any) -> tuple[Any, Any, float]:
    """Points, weights that sum to one, and the step size 2 / L''(w*) at the minimiser."""
    z = np.linspace(-1, 2, N_POINTS)
    p = np.linspace(1, 2, N_POINTS)
    p /= p.sum()
    return z.astype(dtype), p.astype(dtype), critical(z, p)


def critical(z: Any, p: Any) -> float:
    """2 / L''(w*), by Newton's method from 0; all contestants are given it."""
    w = 0.0
    for _ in range(50):
        s = 1 / (1 + np.exp(z * w))
        w += np.sum(p * z * s) / np.sum(p * z * z * s * (1 - s))
    s = 1 / (1 + np.exp(z * w))
    return float(2 / np.sum(p * z * z * s * (1 - s)))


def inputs(n_step_sizes: int, starts: int, dtype: str, **_: Any) -> tuple[Any, Any, Any, Any]:
    """Points, weights, step sizes from 0.75 to 2.25 times the critical one, and starts."""
    kind = np.dtype(dtype).type
    z, p, unit = points(kind)
    step_sizes = (np.linspace(0.75, 2.25, n_step_sizes) * unit).astype(kind)
    return z, p, step_sizes, np.linspace(-2, 2, starts).astype(kind)


# --- ours ----------------------------------------------------------------------------


def ours(n_steps: int, n_keep: int, **task: Any) -> Run:
    from optdyn import cycles

    z, p, step_sizes, starts = inputs(**task)

    def run() -> dict[str, np.ndarray]:
        kept = cycles.bifurcation_diagram(
            z,
            step_sizes=step_sizes,
            w0s=starts,
            n_transient=n_steps - n_keep,
            n_keep=n_keep,
            weights=p,
        )
        return {"kept": np.asarray(kept)}

    return run


# --- the others ----------------------------------------------------------------------


def in_numpy(n_steps: int, n_keep: int, **task: Any) -> Run:
    """All lanes in one array; the loops over steps and over points in Python."""
    z, p, step_sizes, starts = inputs(**task)

    def run() -> dict[str, np.ndarray]:
        eta, u = (x.copy() for x in np.broadcast_arrays(step_sizes[:, None], starts))
        kept = np.empty((n_keep, *u.shape), u.dtype)
        for t in range(n_steps):
            if t >= n_steps - n_keep:
                kept[t - n_steps + n_keep] = u
            force = np.zeros_like(u)
            for zi, ai in zip(z, p * z, strict=True):
                m = np.exp(zi * u)
                m += 1
                np.divide(ai, m, out=m)
                force += m
            u += eta * force
        return {"kept": kept}

    return run


def one_loop(n_steps: int, n_keep: int, **task: Any) -> Run:
    """One orbit after the other, one point after the other."""
    import numba

    z, p, step_sizes, starts = inputs(**task)
    kind = z.dtype.type
    one = kind(1)

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):  # type: ignore[no-untyped-def]
        for e in range(step_sizes.size):
            for s in range(starts.size):
                u = starts[s]
                for t in range(n_transient + kept.shape[0]):
                    if t >= n_transient:
                        kept[t - n_transient, e, s] = u
                    force = kind(0)
                    for i in range(z.size):
                        force += a[i] / (one + math.exp(z[i] * u))
                    u += step_sizes[e] * force

    def run() -> dict[str, np.ndarray]:
        kept = np.empty((n_keep, step_sizes.size, starts.size), kind)
        diagram(z, p * z, step_sizes, starts, n_steps - n_keep, kept)
        return {"kept": kept}

    return run


def starts_innermost(n_steps: int, n_keep: int, **task: Any) -> Run:
    """All starts of a step size together, still one exponential after the other."""
    import numba

    z, p, step_sizes, starts = inputs(**task)
    kind = z.dtype.type
    one = kind(1)

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):  # type: ignore[no-untyped-def]
        u, force = np.empty_like(starts), np.empty_like(starts)
        for e in range(step_sizes.size):
            u[:] = starts
            for t in range(n_transient + kept.shape[0]):
                if t >= n_transient:
                    kept[t - n_transient, e] = u
                force[:] = kind(0)
                for i in range(z.size):
                    for s in range(starts.size):
                        force[s] += a[i] / (one + math.exp(z[i] * u[s]))
                for s in range(starts.size):
                    u[s] += step_sizes[e] * force[s]

    def run() -> dict[str, np.ndarray]:
        kept = np.empty((n_keep, step_sizes.size, starts.size), kind)
        diagram(z, p * z, step_sizes, starts, n_steps - n_keep, kept)
        return {"kept": kept}

    return run


def exponentials(dtype: Any) -> Any:
    """In numba: out[j] = exp(zi * u[j]) for a block of lanes, so that LLVM vectorises it.

    exp by a polynomial and the bits of its exponent; rest is room for the block's arguments.
    """
    import numba

    whole = np.int64 if dtype is np.float64 else np.int32
    bits = whole(np.finfo(dtype).nmant)
    bias = whole(np.finfo(dtype).maxexp - 1) << bits
    magic, far = dtype(1.5 * 2.0**bits), dtype(700 if dtype is np.float64 else 87)
    turns, half = dtype(1 / math.log(2)), dtype(0.5)
    high = dtype(0.693359375)  # its product with n is exact
    low = dtype(math.log(2) - 0.693359375)
    order = 13 if dtype is np.float64 else 7
    taylor = np.array([1 / math.factorial(j) for j in range(order + 1)], dtype)
    c = tuple(taylor[::-1])

    @numba.njit(inline="always", **FAST)
    def block(zi, u, rest, out, exponent):  # type: ignore[no-untyped-def]
        for j in range(LANES):
            m = min(max(zi * u[j], -far), far)
            n = np.floor(m * turns + half)
            rest[j] = (m - n * high) - n * low
            out[j] = n + magic
        for j in range(LANES):
            exponent[j] = (exponent[j] << bits) + bias
        for j in range(LANES):
            r = rest[j]
            value = c[0]
            for coefficient in c[1:]:
                value = value * r + coefficient
            out[j] *= value

    return block


def by_hand(n_steps: int, n_keep: int, **task: Any) -> Run:
    """Blocks of lanes in the inner loop, with an exponential of its own."""
    import numba

    z, p, step_sizes, starts = inputs(**task)
    kind = z.dtype.type
    whole = np.int64 if kind is np.float64 else np.int32
    one = kind(1)
    block = exponentials(kind)

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):  # type: ignore[no-untyped-def]
        n_starts = starts.size
        n_lanes = step_sizes.size * n_starts
        u, eta, force = np.empty(LANES, kind), np.empty(LANES, kind), np.empty(LANES, kind)
        rest, power = np.empty(LANES, kind), np.empty(LANES, kind)
        exponent = power.view(whole)
        flat = kept.reshape(kept.shape[0], n_lanes)
        for first in range(0, n_lanes, LANES):
            for j in range(LANES):
                lane = min(first + j, n_lanes - 1)
                u[j], eta[j] = starts[lane % n_starts], step_sizes[lane // n_starts]
            for t in range(n_transient + kept.shape[0]):
                if t >= n_transient:
                    for j in range(min(LANES, n_lanes - first)):
                        flat[t - n_transient, first + j] = u[j]
                for j in range(LANES):
                    force[j] = kind(0)
                for i in range(z.size):
                    block(z[i], u, rest, power, exponent)
                    for j in range(LANES):
                        force[j] += a[i] / (one + power[j])
                for j in range(LANES):
                    u[j] += eta[j] * force[j]

    def run() -> dict[str, np.ndarray]:
        kept = np.empty((n_keep, step_sizes.size, starts.size), kind)
        diagram(z, p * z, step_sizes, starts, n_steps - n_keep, kept)
        return {"kept": kept}

    return run


def in_torch(n_steps: int, n_keep: int, **task: Any) -> Run:
    """All lanes in one tensor; the loops over steps and over points in Python."""
    import torch

    torch.set_num_threads(1)
    z, p, step_sizes, starts = inputs(**task)
    eta, start = (
        torch.from_numpy(x.copy()) for x in np.meshgrid(step_sizes, starts, indexing="ij")
    )
    rows = list(zip(z.tolist(), (p * z).tolist(), strict=True))

    def run() -> dict[str, np.ndarray]:
        kept = torch.empty((n_keep, *start.shape), dtype=start.dtype)
        u = start.clone()
        with torch.no_grad():
            for t in range(n_steps):
                if t >= n_steps - n_keep:
                    kept[t - n_steps + n_keep] = u
                force = torch.zeros_like(u)
                for zi, ai in rows:
                    force.add_(torch.mul(u, -zi).sigmoid_(), alpha=ai)
                u.addcmul_(eta, force)
        return {"kept": kept.numpy()}

    return run


# --- the comparison ------------------------------------------------------------------


def periods(kept: Any, close: float) -> Any:
    """The period of every orbit up to 16, or 0; close is relative to its width."""
    found = np.zeros(kept.shape[1:], int)
    for k in range(16, 0, -1):
        returns = np.abs(kept[k:] - kept[:-k]).max(axis=0)
        found[returns < close * (1 + np.ptp(kept, axis=0))] = k
    return found


def agreement(one: Any, other: Any) -> tuple[float, float]:
    """The share of orbits that are periodic in both, and of those the share that are equal.

    Equal are cycles whose points lie close to each other's, whatever the phase, which a chaotic
    transient forgets, and whatever the period, which at a period doubling rounding errors decide.
    """
    close = {"float64": 1e-9, "float32": 1e-4}[one.dtype.name]
    periodic = (periods(one, close) > 0) & (periods(other, close) > 0)
    one, other = one[:, periodic], other[:, periodic]
    apart = np.abs(one[:, None] - other)
    farthest = np.maximum(apart.min(axis=0).max(axis=0), apart.min(axis=1).max(axis=0))
    equal = farthest < 10 * close * (1 + np.ptp(one, axis=0))
    return float(periodic.mean()), float(np.mean(equal)) if equal.size else 0.0


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """Where orbits are periodic, 99.9 % have the same points; chaos magnifies rounding errors."""
    own = answers["optdyn"]["kept"]
    every = max(1, task["n_step_sizes"] // 500)  # what is compared: at most about 500 step sizes
    shape = (task["n_keep"], task["n_step_sizes"], task["starts"])
    complaints = []
    for name, found in answers.items():
        kept = found["kept"]
        if kept.shape != shape or kept.dtype != np.dtype(task["dtype"]):
            complaints.append(f"{name}: {kept.dtype} {kept.shape}, not {task['dtype']} {shape}")
            continue
        periodic, equal = agreement(own[:, ::every], kept[:, ::every])
        if periodic < 0.4:
            complaints.append(f"{name}: only {periodic:.1%} of the orbits are periodic in both")
        if equal < 0.999:
            complaints.append(f"{name}: only {equal:.2%} of the periodic orbits are as ours")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    """An exponential, at the rate of the machine's best, for every point of every step."""
    kind = np.dtype(task["dtype"]).name
    n = task["n_step_sizes"] * task["starts"] * task["n_steps"] * N_POINTS
    rate = machine.exp64 if kind == "float64" else machine.exp32
    return Bound(
        n / rate,
        f"each step of each orbit needs a logistic function, so an exponential or what costs as "
        f"much, at each of {N_POINTS} points: {n:.3g} in all, at {rate:.3g} a second",
    )


ROW = Row(
    title="Bifurcation diagram",
    topic="cycles",
    ensemble=True,
    size=f"{{n_step_sizes:,}} step sizes x {{starts}} starts x {{n_steps:,}} steps, {N_POINTS} "
    "points, {dtype}",
    tasks={
        "whole": {
            "n_step_sizes": 2000,
            "starts": 8,
            "n_steps": 1500,
            "n_keep": 64,
            "dtype": "float64",
        },
        "quick": {
            "n_step_sizes": 100,
            "starts": 8,
            "n_steps": 1000,
            "n_keep": 64,
            "dtype": "float64",
        },
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "NumPy": Contestant(in_numpy, "peers"),
        "numba, one loop": Contestant(one_loop, "peers"),
        "numba, starts innermost": Contestant(starts_innermost, "peers"),
        "numba, by hand": Contestant(by_hand, "peers"),
        "PyTorch": Contestant(in_torch, "torch"),
    },
    compare=compare,
    bound=bound,
)
