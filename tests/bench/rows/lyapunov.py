"""Lyapunov exponents: how fast neighbouring orbits part, step size by step size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

from rows.bifurcation import FAST, LANES, N_POINTS, Run, exponentials, inputs

TOGETHER = 8  # steps whose growth is multiplied before one logarithm is taken


def given(n_step_sizes: int, **_: Any) -> tuple[Any, Any, Any, float]:
    """The points, weights and step sizes of the bifurcation diagram, and a start."""
    z, p, step_sizes, _ = inputs(n_step_sizes, 1, "float64")
    return z, p, step_sizes, 0.0


def ours(n_transient: int, n_steps: int, **task: Any) -> Run:
    import jax

    from optdyn import cycles

    z, p, step_sizes, start = given(**task)

    def exponent(step_size: Any) -> Any:
        return cycles.lyapunov_exponent(
            start, z, step_size=step_size, n_transient=n_transient, n_steps=n_steps, weights=p
        )

    def run() -> dict[str, np.ndarray]:
        return {"exponent": np.asarray(jax.vmap(exponent)(step_sizes))}

    return run


def in_numpy(n_transient: int, n_steps: int, **task: Any) -> Run:
    """All step sizes in one array; the loops over steps and over points in Python."""
    z, p, step_sizes, start = given(**task)

    def run() -> dict[str, np.ndarray]:
        u, total = np.full_like(step_sizes, start), np.zeros_like(step_sizes)
        growth = np.ones_like(step_sizes)
        for t in range(n_transient + n_steps):
            force, bend = np.zeros_like(u), np.zeros_like(u)
            for zi, ai in zip(z, p * z, strict=True):
                s = np.exp(zi * u)
                s += 1
                np.divide(1, s, out=s)
                force += ai * s
                if t >= n_transient:
                    s -= s * s
                    bend += (ai * zi) * s
            if t >= n_transient:
                growth *= np.abs(1 - step_sizes * bend)
                if (t - n_transient) % TOGETHER == TOGETHER - 1:
                    total += np.log(growth)
                    growth[:] = 1
            u += step_sizes * force
        return {"exponent": (total + np.log(growth)) / n_steps}

    return run


def one_loop(n_transient: int, n_steps: int, **task: Any) -> Run:
    """One step size after the other, one point after the other."""
    import numba

    z, p, step_sizes, start = given(**task)

    @numba.njit(**FAST)
    def exponents(z, a, step_sizes, start, n_transient, n_steps, out):  # type: ignore[no-untyped-def]
        for e in range(step_sizes.size):
            eta, u, total, growth = step_sizes[e], start, 0.0, 1.0
            for _ in range(n_transient):
                force = 0.0
                for i in range(z.size):
                    force += a[i] / (1.0 + math.exp(z[i] * u))
                u += eta * force
            for t in range(n_steps):
                force, bend = 0.0, 0.0
                for i in range(z.size):
                    s = 1.0 / (1.0 + math.exp(z[i] * u))
                    force += a[i] * s
                    bend += a[i] * z[i] * (s - s * s)
                growth *= abs(1.0 - eta * bend)
                if t % TOGETHER == TOGETHER - 1:
                    total += math.log(growth)
                    growth = 1.0
                u += eta * force
            out[e] = (total + math.log(growth)) / n_steps

    def run() -> dict[str, np.ndarray]:
        out = np.empty_like(step_sizes)
        exponents(z, p * z, step_sizes, start, n_transient, n_steps, out)
        return {"exponent": out}

    return run


def by_hand(n_transient: int, n_steps: int, **task: Any) -> Run:
    """Blocks of lanes in the inner loop, with an exponential of its own."""
    import numba

    z, p, step_sizes, start = given(**task)
    block = exponentials(np.float64)

    @numba.njit(**FAST)
    def exponents(z, a, step_sizes, start, n_transient, n_steps, out):  # type: ignore[no-untyped-def]
        u, eta, force, bend = np.empty(LANES), np.empty(LANES), np.empty(LANES), np.empty(LANES)
        total, growth = np.empty(LANES), np.empty(LANES)
        rest, power = np.empty(LANES), np.empty(LANES)
        exponent = power.view(np.int64)
        for first in range(0, step_sizes.size, LANES):
            for j in range(LANES):
                eta[j] = step_sizes[min(first + j, step_sizes.size - 1)]
                u[j], total[j], growth[j] = start, 0.0, 1.0
            for _ in range(n_transient):
                force[:] = 0.0
                for i in range(z.size):
                    block(z[i], u, rest, power, exponent)
                    for j in range(LANES):
                        force[j] += a[i] / (1.0 + power[j])
                for j in range(LANES):
                    u[j] += eta[j] * force[j]
            for t in range(n_steps):
                force[:] = 0.0
                bend[:] = 0.0
                for i in range(z.size):
                    block(z[i], u, rest, power, exponent)
                    for j in range(LANES):
                        s = 1.0 / (1.0 + power[j])
                        force[j] += a[i] * s
                        bend[j] += a[i] * z[i] * (s - s * s)
                for j in range(LANES):
                    growth[j] *= abs(1.0 - eta[j] * bend[j])
                    u[j] += eta[j] * force[j]
                if t % TOGETHER == TOGETHER - 1:
                    for j in range(LANES):
                        total[j] += math.log(growth[j])
                        growth[j] = 1.0
            for j in range(min(LANES, step_sizes.size - first)):
                out[first + j] = (total[j] + math.log(growth[j])) / n_steps

    def run() -> dict[str, np.ndarray]:
        out = np.empty_like(step_sizes)
        exponents(z, p * z, step_sizes, start, n_transient, n_steps, out)
        return {"exponent": out}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """Cycles number by number; chaos, which magnifies rounding errors, in the mean."""
    own = answers["optdyn"]["exponent"]
    complaints = []
    for name, found in answers.items():
        other = found["exponent"]
        if other.shape != (task["n_step_sizes"],) or not np.isfinite(other).all():
            complaints.append(f"{name}: {other.shape}, or not all finite")
            continue
        settled = (own < -0.05) & (other < -0.05)
        chaotic = (own > 0.05) & (other > 0.05)
        if settled.mean() < 0.3 or chaotic.mean() < 0.3:
            shares = f"{settled.mean():.1%} and {chaotic.mean():.1%}"
            complaints.append(f"{name}: cycles and chaos in both on {shares} of the step sizes")
        # A start that is first thrown about chaotically arrives a few steps sooner or later.
        near = np.abs(own - other)[settled] < 1e-6
        if near.mean() < 0.97:
            complaints.append(f"{name}: only {near.mean():.2%} of the exponents of cycles are ours")
        if abs(np.mean((own - other)[chaotic])) > 0.005:
            complaints.append(f"{name}: the mean exponent of the chaotic orbits differs from ours")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    """An exponential for every point of every step; products and sums are left out."""
    n = task["n_step_sizes"] * (task["n_transient"] + task["n_steps"]) * N_POINTS
    return Bound(
        n / machine.exp64,
        f"slope and curvature share a logistic function, so each step needs an exponential, or "
        f"what costs as much, at each of {N_POINTS} points: {n:.3g} in all, at "
        f"{machine.exp64:.3g} a second",
    )


ROW = Row(
    title="Lyapunov exponents",
    topic="cycles",
    ensemble=True,
    size=f"{{n_step_sizes:,}} step sizes x {{n_transient:,}} + {{n_steps:,}} steps, {N_POINTS} "
    "points, float64",
    tasks={
        "whole": {"n_step_sizes": 2000, "n_transient": 500, "n_steps": 2000},
        "quick": {"n_step_sizes": 500, "n_transient": 300, "n_steps": 600},
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
