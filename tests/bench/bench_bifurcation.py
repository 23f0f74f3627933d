"""The bifurcation diagram against loops in numba, one core each.

    make bench          the whole task: 2,000 step sizes, 8 starts, 20,000 iterations, 20 points
    make bench QUICK=1  a hundredth of it

Compared are `optdyn.cycles.bifurcation_diagram`, three plain scalar loops (with exp, with tanh, and
with exp and the starts innermost; fastmath), and a loop over lanes written by hand so that LLVM
vectorises it. The contestants take turns; each
is given by its median, in seconds of the processor, so that a busy machine disturbs little.
Compilation is apart. The exit status is 1 if answers differ
where orbits are periodic, or if changing data, weights, step sizes or starts recompiles.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORE = None
if hasattr(os, "sched_setaffinity"):
    CORE = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORE})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402 (after the settings above)
import numba  # noqa: E402
import numpy as np  # noqa: E402

from optdyn import cycles, logistic  # noqa: E402

N_POINTS, N_STARTS, N_KEEP = 20, 8, 64
TASKS = {"whole": (2000, 20_000, 3), "quick": (200, 2000, 5)}  # step sizes, iterations, repeats
ASKED = {"float64": 3, "float32": 8}  # times as fast as the best plain loop
FAST = {"fastmath": True, "error_model": "numpy"}  # no test for division by zero
LANES = 256  # of the loop by hand: its arrays stay in the first-level cache

Diagram = Callable[[Any, Any, Any, Any, int], Any]  # z, p, step sizes, starts, iterations


def plain(dtype: Any, function: str) -> Diagram:
    """One orbit after the other, one point after the other."""
    one, half = dtype(1), dtype(0.5)
    if function == "exp":

        @numba.njit(**FAST)
        def falling(m):
            return one / (one + math.exp(m))
    else:

        @numba.njit(**FAST)
        def falling(m):
            return half - half * math.tanh(half * m)

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):
        for e in range(step_sizes.size):
            for s in range(starts.size):
                u = starts[s]
                for t in range(n_transient + kept.shape[0]):
                    if t >= n_transient:
                        kept[t - n_transient, e, s] = u
                    force = dtype(0)
                    for i in range(z.size):
                        force += a[i] * falling(z[i] * u)
                    u += step_sizes[e] * force

    def run(z: Any, p: Any, step_sizes: Any, starts: Any, n_iterations: int) -> Any:
        kept = np.empty((N_KEEP, step_sizes.size, starts.size), dtype)
        diagram(z, p * z, step_sizes, starts, n_iterations - N_KEEP, kept)
        return kept

    return run


def starts_inside(dtype: Any) -> Diagram:
    """All starts of a step size together, still one exp after the other."""
    one = dtype(1)

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):
        u, force = np.empty_like(starts), np.empty_like(starts)
        for e in range(step_sizes.size):
            u[:] = starts
            for t in range(n_transient + kept.shape[0]):
                if t >= n_transient:
                    kept[t - n_transient, e] = u
                force[:] = dtype(0)
                for i in range(z.size):
                    for s in range(starts.size):
                        force[s] += a[i] * (one / (one + math.exp(z[i] * u[s])))
                for s in range(starts.size):
                    u[s] += step_sizes[e] * force[s]

    def run(z: Any, p: Any, step_sizes: Any, starts: Any, n_iterations: int) -> Any:
        kept = np.empty((N_KEEP, step_sizes.size, starts.size), dtype)
        diagram(z, p * z, step_sizes, starts, n_iterations - N_KEEP, kept)
        return kept

    return run


def by_hand(dtype: Any) -> Diagram:
    """Blocks of lanes in the inner loop; exp by a polynomial and the bits of its exponent."""
    whole = np.int64 if dtype is np.float64 else np.int32
    bits = whole(np.finfo(dtype).nmant)
    bias = whole(np.finfo(dtype).maxexp - 1) << bits
    magic, far = dtype(1.5 * 2.0**bits), dtype(700 if dtype is np.float64 else 87)
    turns, half, one = dtype(1 / math.log(2)), dtype(0.5), dtype(1)
    high = dtype(0.693359375)  # its product with n is exact
    low = dtype(math.log(2) - 0.693359375)
    order = 13 if dtype is np.float64 else 7
    taylor = np.array([1 / math.factorial(j) for j in range(order + 1)], dtype)
    c = tuple(taylor[::-1])

    @numba.njit(**FAST)
    def diagram(z, a, step_sizes, starts, n_transient, kept):
        n_starts = starts.size
        n_lanes = step_sizes.size * n_starts
        u, eta, force = np.empty(LANES, dtype), np.empty(LANES, dtype), np.empty(LANES, dtype)
        rest, power = np.empty(LANES, dtype), np.empty(LANES, dtype)
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
                    force[j] = dtype(0)
                for i in range(z.size):
                    zi, ai = z[i], a[i]
                    for j in range(LANES):
                        m = min(max(zi * u[j], -far), far)
                        n = np.floor(m * turns + half)
                        rest[j] = (m - n * high) - n * low
                        power[j] = n + magic
                    for j in range(LANES):
                        exponent[j] = (exponent[j] << bits) + bias
                    for j in range(LANES):
                        r = rest[j]
                        value = c[0]
                        for coefficient in c[1:]:
                            value = value * r + coefficient
                        force[j] += ai / (one + power[j] * value)
                for j in range(LANES):
                    u[j] += eta[j] * force[j]

    def run(z: Any, p: Any, step_sizes: Any, starts: Any, n_iterations: int) -> Any:
        kept = np.empty((N_KEEP, step_sizes.size, starts.size), dtype)
        diagram(z, p * z, step_sizes, starts, n_iterations - N_KEEP, kept)
        return kept

    return run


def ours(z: Any, p: Any, step_sizes: Any, starts: Any, n_iterations: int) -> Any:
    kept = cycles.bifurcation_diagram(
        z,
        step_sizes=step_sizes,
        w0s=starts,
        n_transient=n_iterations - N_KEEP,
        n_keep=N_KEEP,
        weights=p,
    )
    return np.asarray(kept)


def task(dtype: Any, n_step_sizes: int) -> tuple[Any, ...]:
    """Points, weights, step sizes from 1.5 / lambda to 4.5 / lambda, and starts."""
    z = np.linspace(-1, 2, N_POINTS)
    p = np.linspace(1, 2, N_POINTS) / (1.5 * N_POINTS)
    step_sizes = np.linspace(0.75, 2.25, n_step_sizes) * logistic.critical_step_size(z, p)
    return tuple(x.astype(dtype) for x in (z, p, step_sizes, np.linspace(-2, 2, N_STARTS)))


def periods(kept: Any, close: float) -> Any:
    """The period of every orbit up to 16, or 0; close is relative to its width."""
    found = np.zeros(kept.shape[1:], int)
    for k in range(16, 0, -1):
        returns = np.abs(kept[k:] - kept[:-k]).max(axis=0)
        found[returns < close * (1 + np.ptp(kept, axis=0))] = k
    return found


def agreement(one: Any, other: Any, kind: str) -> tuple[float, float]:
    """The share of orbits that are periodic in both, and of those the share that are equal.

    Equal are cycles whose points lie close to each other's, whatever the phase, which a chaotic
    transient forgets, and whatever the period, which at a period doubling rounding errors decide.
    """
    close = {"float64": 1e-9, "float32": 1e-4}[kind]
    periodic = (periods(one, close) > 0) & (periods(other, close) > 0)
    one, other = one[:, periodic], other[:, periodic]
    apart = np.abs(one[:, None] - other)
    farthest = np.maximum(apart.min(axis=0).max(axis=0), apart.min(axis=1).max(axis=0))
    equal = farthest < 10 * close * (1 + np.ptp(one, axis=0))
    return float(periodic.mean()), float(np.mean(equal))


def measure(dtype: Any, size: str, say: Callable[[str], None]) -> dict[str, Any]:
    n_step_sizes, n_iterations, repeats = TASKS[size]
    kind = np.dtype(dtype).name
    contestants: dict[str, Diagram] = {
        "optdyn": ours,
        "numba, exp": plain(dtype, "exp"),
        "numba, tanh": plain(dtype, "tanh"),
        "numba, starts": starts_inside(dtype),
        "numba, by hand": by_hand(dtype),
    }
    z, p, step_sizes, starts = task(dtype, n_step_sizes)
    compiling, times, answers = {}, {name: [] for name in contestants}, {}
    for name, run in contestants.items():
        began = time.perf_counter()
        run(z, p, step_sizes, starts, N_KEEP)  # hardly more than compilation
        compiling[name] = time.perf_counter() - began
    compiled = cycles._diagram._cache_size()
    for _ in range(repeats):
        for name, run in contestants.items():
            began = time.process_time()
            answers[name] = run(z, p, step_sizes, starts, n_iterations)
            times[name].append(time.process_time() - began)
    ours(z[::-1] ** 2 - 1, p[::-1], 1.1 * step_sizes, starts + 1, n_iterations // 2)
    recompiled = cycles._diagram._cache_size() - compiled
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    best = min(medians[f"numba, {name}"] for name in ("exp", "tanh", "starts"))
    others = [answers[name] for name in contestants if name != "optdyn"]
    agreed = [agreement(answers["optdyn"], other, kind) for other in others]
    say(f"\n{kind}: {n_step_sizes} step sizes x {N_STARTS} starts x {n_iterations} iterations,")
    say(f"{N_POINTS} points; median of {repeats}; ratio: best plain numba loop / this one\n")
    say(f"  {'':<16}{'compile s':>10}{'run s':>10}{'ratio':>8}")
    for name in contestants:
        run_s, ratio = medians[name], best / medians[name]
        spread = f"   ({min(times[name]):.3f} to {max(times[name]):.3f})"
        say(f"  {name:<16}{compiling[name]:>10.2f}{run_s:>10.3f}{ratio:>8.2f}{spread}")
    shares = ", ".join(f"{100 * share:.2f} %" for _, share in agreed)
    say(f"  asked of optdyn: {ASKED[kind]}")
    say(f"  periodic: {100 * agreed[0][0]:.1f} % of the orbits; equal of those: {shares}")
    say(f"  recompilations for other data, weights, step sizes and starts: {recompiled}")
    return {
        "dtype": kind,
        "compile": compiling,
        "run": medians,
        "ratio": best / medians["optdyn"],
        "periodic": agreed[0][0],
        "equal": min(share for _, share in agreed),
        "recompiled": recompiled,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the task")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"jax {jax.__version__}, numba {numba.__version__}", end=", ")
    print(f"SVML {'in use' if numba.config.USING_SVML else 'not in use'}", end=", ")
    print(f"core {CORE if CORE is not None else 'not fixed'}, load {load:.1f}")
    size = "quick" if chosen.quick else "whole"
    found = [
        measure(dtype, size, lambda text: print(text, flush=True))
        for dtype in (np.float64, np.float32)
    ]
    if chosen.json:
        chosen.json.write_text(json.dumps(found), "utf-8")
    right = all(one["equal"] > 0.999 and one["recompiled"] == 0 for one in found)
    if not right:
        print("\nThe answers differ where orbits are periodic, or something recompiled.")
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
