"""Times a linear RNN by scan, associative scan and Fourier transforms, and against SciPy.

    python tests/bench/bench_recurrence.py [--quick] [--json FILE]

32 poles, 8 sequences at once, lengths up to 65,536. A table has the milliseconds a call of every
way over length; at the longest, scipy.signal.lfilter runs the same recurrence mode by mode, in its
faster layout. All in one process, medians. On a CPU (the default) it is held to one core
and seconds are the processor's; JAX_PLATFORMS=cuda has another device and the clock's seconds. The
exit status is 1 if somebody's outputs are wrong or, unless quick, if on a CPU the best of ours in
float64 is slower than SciPy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if os.environ.setdefault("JAX_PLATFORMS", "cpu") == "cpu":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import numpy as np
from scipy.signal import lfilter

from optdyn import pole_families, recurrence
from optdyn.allpass import Poles

ORDER, BATCH, LAG = 32, 8, 1024
TASKS = {"whole": ((256, 1024, 4096, 16_384, 65_536), 7), "quick": ((64, 1024), 3)}
WAYS: dict[str, dict[str, Any]] = {
    "scan, step by step": {"method": "scan", "block": 1},
    "scan": {"method": "scan"},
    "associative, step by step": {"method": "associative", "block": 1},
    "associative": {"method": "associative"},
    "fft": {"method": "fft"},
}
WITHIN = {"float64": 1e-12, "float32": 1e-4}  # of the largest output
SCIPY = "scipy.signal.lfilter, mode by mode"
CLOCK = time.process_time if os.environ["JAX_PLATFORMS"] == "cpu" else time.perf_counter


def by_scipy(poles: Poles, readout: Any, inputs: Any) -> Any:
    """Mode by mode; inputs (batch, T), which SciPy runs through faster than (T, batch)."""
    outputs = np.zeros_like(inputs)
    for a, b in zip(poles.values, readout, strict=True):
        outputs += lfilter([b], [1, -a], inputs).real
    return outputs


def ours(way: str, poles: Poles, readout: Any, inputs: Any) -> Any:
    return recurrence.linear_rnn(poles, readout, inputs, **WAYS[way]).block_until_ready()


def medians(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Milliseconds a call. Not in turns: a way is not to pay for memory that another gave back."""
    found = {}
    for name, call in calls.items():
        times = []
        for _ in range(repeats + 1):
            began = CLOCK()
            call()
            times.append(1000 * (CLOCK() - began))
        found[name] = statistics.median(times[1:])
    return found


def measure(
    dtype: str, length: int, repeats: int, scipy: bool
) -> tuple[dict[str, float], list[str]]:
    """Milliseconds a call of every way, and what is wrong."""
    rng = np.random.default_rng(0)
    comb = pole_families.equispaced(ORDER, LAG, alpha=1.0)
    poles = Poles(*(np.asarray(part, dtype) for part in comb))
    readout = rng.normal(size=(ORDER, 2)).astype(dtype) @ [1, 1j]
    readout = readout.astype(np.result_type(dtype, np.complex64))
    inputs = rng.normal(size=(length, BATCH)).astype(dtype)
    rows, exact = (
        np.ascontiguousarray(inputs.T),
        Poles(*(np.asarray(part, float) for part in poles)),
    )
    expected = by_scipy(exact, readout.astype(complex), rows.astype(float)).T
    on_device = jax.device_put(inputs)
    calls: dict[str, Callable[[], Any]] = {
        way: lambda way=way: ours(way, poles, readout, on_device) for way in WAYS
    }
    wrong = []
    for way, call in calls.items():
        off = np.abs(np.asarray(call()) - expected).max() / np.abs(expected).max()
        if not off < WITHIN[dtype]:
            wrong.append(f"{way}, T = {length}, {dtype}: off by {off:.1e}")
    if scipy:
        calls[SCIPY] = lambda: by_scipy(poles, readout, rows)
    return medians(calls, repeats), wrong


def main() -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--quick", action="store_true", help="short sequences")
    top.add_argument("--json", type=Path, help="write the figures there too")
    chosen = top.parse_args()
    lengths, repeats = TASKS["quick" if chosen.quick else "whole"]
    device = jax.devices()[0]
    print(f"\nLinear RNN, {ORDER} poles, batch {BATCH}, {device.platform} ({device.device_kind})")
    print("  milliseconds a call at T =     " + "".join(f"{t:>11,}" for t in lengths))
    tables: dict[str, dict[str, list[float]]] = {}
    wrong: list[str] = []
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            columns = []
            for length in lengths:
                last = dtype == "float64" and length == lengths[-1]
                column, problems = measure(dtype, length, repeats, last)
                columns.append(column)
                wrong += problems
        tables[dtype] = {way: [column[way] for column in columns] for way in WAYS}
        if dtype == "float64":
            scipy = columns[-1][SCIPY]
        print(f"  {dtype}")
        for way, row in tables[dtype].items():
            print(f"    {way:<28} " + "".join(f"{one:11.2f}" for one in row))
    best = min(WAYS, key=lambda way: tables["float64"][way][-1])
    ratio = scipy / tables["float64"][best][-1]
    print(
        f"  {SCIPY}, float64, T = {lengths[-1]:,}: {scipy:.0f} ms,\n"
        f"  {ratio:.1f} times as long as the best of ours ({best}); 1 is asked."
    )
    if not chosen.quick and device.platform == "cpu" and ratio < 1:
        wrong.append("slower than SciPy")
    for line in wrong:
        print(f"  WRONG {line}")
    if chosen.json:
        found = {"lengths": lengths, "milliseconds": tables, "scipy": scipy, "ratio": ratio}
        found |= {"device": device.device_kind, "best": best}
        chosen.json.write_text(json.dumps(found), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
