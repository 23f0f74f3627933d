"""Times the training of the tiny language model: a step at a time, in a scan, vmap, lax.map.

    python tests/bench/bench_language.py [--quick] [--json FILE]

Milliseconds a run and a step, compilation apart (it is given by itself), for batches of 8, 32 and
128 sequences. "step by step" is a Python loop of jitted steps over the tree of weights; "scan" one
run in one call; "vmap" and "map" several runs in one call, at once and one after another. The
contestants take turns; each is given by its median. On a CPU (the default) all is held to one core
and seconds are the processor's; JAX_PLATFORMS=cuda has another device and the clock's seconds. The
exit status is 1 if the ways do not agree in their losses. `language.train` and `make sweep` choose
"map" and "scan" on a CPU, "vmap" elsewhere; the last line says whether that was right here.
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
import jax.numpy as jnp
import numpy as np
import optax

from optdyn import language
from optdyn.language import Config, hyper
from optdyn.optimizers import scale_by_adam_family

TASKS = {"whole": ((8, 32, 128), 30, 8, 5), "quick": ((4,), 6, 2, 3)}  # batches, steps, runs, turns
CLOCK = time.process_time if os.environ["JAX_PLATFORMS"] == "cpu" else time.perf_counter
RATE, B1, B2 = 0.01, 0.8, 0.95

Way = Callable[[], Any]  # trains, and returns the losses of its first run


def step_by_step(c: Config) -> tuple[Way, int]:
    """As the sweep without `language.train`: the same windows, optax's own chain."""
    training, _ = language.split(language.bible(c.vocabulary)[0])
    first, places = jax.random.split(jax.random.key(0))
    draws = jax.random.randint(places, (c.steps, c.batch), 0, len(training) - c.context, jnp.int32)
    windows = np.asarray(draws)[..., None] + np.arange(c.context + 1)
    words = jnp.asarray(training[windows].astype(np.int32))
    shares = jnp.asarray(language.schedule(c))
    method = optax.chain(
        optax.clip_by_global_norm(c.clip),
        scale_by_adam_family(B1, B2),
        optax.scale_by_learning_rate(lambda n: RATE * shares[n]),
    )

    @jax.jit
    def step(params: Any, state: Any, words: Any) -> Any:
        value, slope = jax.value_and_grad(language.loss)(params, words[:, :-1], words[:, 1:])
        updates, state = method.update(slope, state, params)
        return optax.apply_updates(params, updates), state, value

    start = language.init(first, c)

    def train() -> Any:
        params, state, losses = start, method.init(start), []
        for n in range(c.steps):
            params, state, value = step(params, state, words[n])
            losses.append(value)
        return jnp.stack(losses)

    return train, 1


def compiled(c: Config, runs: int, way: str) -> tuple[Way, int]:
    if way == "scan":
        return lambda: language.train(hyper("adam", RATE, B1, B2), 0, c).losses, 1
    rates = np.full(runs, RATE, np.float32)
    return lambda: language.train(hyper("adam", rates, B1, B2), 0, c, way=way).losses[0], runs


def measure(c: Config, runs: int, turns: int) -> tuple[dict[str, Any], list[str]]:
    """Milliseconds a run and step, and seconds to compile, of every way; and what is wrong."""
    ways = {"step by step": step_by_step(c)}
    ways |= {way: compiled(c, runs, way) for way in ("scan", "vmap", "map")}
    first, losses, times = {}, {}, {name: [] for name in ways}
    for name, (train, _) in ways.items():
        began = CLOCK()
        losses[name] = np.asarray(train())
        first[name] = CLOCK() - began
    for _ in range(turns):
        for name, (train, _) in ways.items():
            began = CLOCK()
            jax.block_until_ready(train())
            times[name].append(CLOCK() - began)
    found = {name: statistics.median(values) for name, values in times.items()}
    wrong = [
        f"{name}, batch {c.batch}: losses off by {off:.1e}"
        for name in ways
        if not (off := np.abs(losses[name] - losses["scan"]).max()) < 0.02
    ]
    return {
        "milliseconds": {name: 1000 * found[name] / c.steps / ways[name][1] for name in ways},
        "compile": {name: first[name] - found[name] for name in ways},
    }, wrong


def main() -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--quick", action="store_true", help="a small batch, few steps")
    top.add_argument("--json", type=Path, help="write the figures there too")
    chosen = top.parse_args()
    batches, steps, runs, turns = TASKS["quick" if chosen.quick else "whole"]
    device = jax.devices()[0]
    print(f"\nTiny language model, {runs} runs at once, {device.platform} ({device.device_kind})")
    tables, wrong = {}, []
    for batch in batches:
        tables[batch], problems = measure(
            Config(batch=batch, steps=steps, validation=1), runs, turns
        )
        wrong += problems
    names = [*next(iter(tables.values()))["milliseconds"]]
    print(f"  {'milliseconds a run and step':<34}" + "".join(f"{name:>14}" for name in names))
    for batch, table in tables.items():
        row = "".join(f"{table['milliseconds'][name]:14.2f}" for name in names)
        print(f"    batch {batch:<4} = {16 * batch:>5} tokens a step {row}")
    row = "".join(f"{tables[batches[-1]]['compile'][name]:14.1f}" for name in names)
    print(f"  {'seconds to compile':<34}{row}")
    several = tables[batches[-1]]["milliseconds"]
    fastest = min(("vmap", "map"), key=lambda name: several[name])
    choice = "map" if device.platform == "cpu" else "vmap"
    print(
        f"  Of the two for many runs, {fastest} is faster here; {choice} is the library's choice."
    )
    for line in wrong:
        print(f"  WRONG {line}")
    if chosen.json:
        found = {"device": device.device_kind, "tables": tables, "fastest": fastest}
        chosen.json.write_text(json.dumps(found), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
