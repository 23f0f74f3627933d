"""How cost grows: seconds and bytes against one size, the others fixed, as measured exponents.

    python tests/bench/growth.py [--quick] [NAME ...]

Each size is four times or twice the one before. Seconds are the median of several runs of the
compiled program on one core, after a first; what a public function spends on checks before it is
left out. An exponent is the slope of a straight line through the logarithms, by least squares,
with its standard error, over the larger sizes: the smaller ones are measured and kept, and the
note says from where on a fixed cost no longer counts. Bytes are what the compiled program states,
its results and its scratch together (`compiled.memory_analysis()`), which no run disturbs. What
cannot be compiled as one program is run in a fresh process for each size, and its bytes are by
how much the largest resident memory grew over that before the call; the note says so.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import contest
import numpy as np

REPEATS = 3
FITTED = 4  # sizes, the largest
FIXED = 1.5  # times what the line says, from where on a small size counts as mostly fixed cost


class Growth(NamedTuple):
    """`make(size)` returns a function and its arguments: fn(*args) is what is measured."""

    function: str
    against: str
    sizes: tuple[int, ...]
    make: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]
    compiled: bool = True  # as one program; else each size in a process of its own


def doubled(first: int, count: int, factor: int = 2) -> tuple[int, ...]:
    return tuple(first * factor**k for k in range(count))


# --- what is measured ----------------------------------------------------------------


def diagram(step_sizes: int = 256, iterations: int = 2000, points: int = 16) -> Any:
    """A bifurcation diagram with 8 starts; the step sizes are the argument."""
    from optdyn import cycles, logistic

    z, p = np.linspace(-1, 2, points), np.linspace(1, 2, points)
    critical = logistic.critical_step_size(z, p)

    def call(eta: Any) -> Any:
        return cycles.bifurcation_diagram(
            z,
            step_sizes=eta,
            w0s=np.linspace(-2, 2, 8),
            n_transient=iterations - 8,
            n_keep=8,
            weights=p,
        )

    return call, (np.linspace(0.75, 2.25, step_sizes) * critical,)


def valley(runs: int = 64, steps: int = 2048, dim: int = 32) -> Any:
    """Anti-PGD in the widening valley, float32, 16 records; the keys are the argument."""
    import jax

    from optdyn import descent, landscapes

    gradient = landscapes.widening_valley().gradient
    w0 = np.append(np.full(dim, 10 / math.sqrt(dim)), 0).astype(np.float32)

    def call(keys: Any) -> Any:
        def one(key: Any) -> Any:
            return descent.run(
                gradient,
                w0,
                key,
                step_size=0.001,
                sigma=0.6,
                n_steps=steps,
                record_every=steps // 16,
            )

        return jax.vmap(one)(keys)

    return call, (jax.random.split(jax.random.key(0), runs),)


def fractional(steps: int) -> Any:
    """16 paths of fractional noise, float64."""
    import jax

    from optdyn import noise

    def call(key: Any, roots: Any) -> Any:
        return noise.fractional_gaussian_noise(key, steps, spectrum=roots, shape=(16,))

    return call, (jax.random.key(0), noise.fgn_spectrum(steps, 0.25))


def error(order: int = 64, lag: int = 256) -> Any:
    """The best readout's error of evenly spaced poles, inputs with correlation."""
    from optdyn import allpass

    decay, phase = np.full(order, 2 / lag), np.pi * (np.arange(order) - order // 2 + 0.5) / lag

    def call(decay: Any, phase: Any) -> Any:
        return allpass.shift_error(allpass.Poles(decay, phase), lag, rho=0.5)

    return call, (decay, phase)


def rnn(length: int = 2**14, poles: int = 32) -> Any:
    """A linear RNN on 8 sequences, in blocks."""
    from optdyn import allpass, recurrence

    rng = np.random.default_rng(0)
    decay, phase = rng.uniform(0.01, 0.1, poles), rng.uniform(-3, 3, poles)

    def call(decay: Any, phase: Any, readout: Any, inputs: Any) -> Any:
        return recurrence.linear_rnn(allpass.Poles(decay, phase), readout, inputs)

    return call, (decay, phase, rng.normal(size=poles), rng.normal(size=(length, 8)))


def quadratic(seeds: int = 16, steps: int = 512) -> Any:
    """Three methods and 12 learning rates on the block quadratic; the seeds are the argument."""
    import jax

    from optdyn import quadratics

    problem = quadratics.block_quadratic("heterogeneous")
    rates = np.geomspace(1e-4, 1e-2, 12)

    def call(keys: Any) -> Any:
        kinds = ["none", "sign", "adam"]
        return quadratics.race(problem, kinds, 0.95, 0.95, 1.0, rates, keys, steps, 3)

    return call, (jax.random.split(jax.random.key(0), seeds),)


def training_step(batch: int) -> Any:
    """Loss, gradient and Adam's update of the tiny transformer."""
    import jax
    import optax

    from optdyn import language
    from optdyn.optimizers import scale_by_adam_family

    config = language.Config(batch=batch)
    method = scale_by_adam_family(0.8, 0.95)
    params = language.init(jax.random.key(0), config)
    words = np.random.default_rng(0).integers(0, config.vocabulary, (batch, config.context + 1))
    words = words.astype(np.int32)

    def call(params: Any, state: Any, inputs: Any, targets: Any) -> Any:
        slope = jax.grad(language.loss)(params, inputs, targets)
        updates, state = method.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    return call, (params, method.init(params), words[:, :-1], words[:, 1:])


def swept(points: int) -> Any:
    """A sweep, each point a spectrum of 16,384 numbers; blocks of 64 points, chunks of 256."""
    import jax.numpy as jnp

    from optdyn import sweep

    def one(x: Any) -> Any:
        return jnp.abs(jnp.fft.rfft(jnp.sin(x * jnp.arange(16_384.0)))).max()

    def call(x: Any) -> Any:
        return sweep.sweep(one, {"x": x}, lanes=64, chunk_size=256)

    return call, (np.linspace(0, 1, points),)


ALL = (
    Growth("cycles.bifurcation_diagram", "step sizes", doubled(128, 5), diagram),
    Growth(
        "cycles.bifurcation_diagram",
        "iterations",
        doubled(1000, 5),
        lambda n: diagram(iterations=n),
    ),
    Growth("cycles.bifurcation_diagram", "data points", doubled(8, 5), lambda n: diagram(points=n)),
    Growth("descent.run", "runs", doubled(32, 5), valley),
    Growth("descent.run", "steps", doubled(1024, 5), lambda n: valley(steps=n)),
    Growth("descent.run", "dimension", doubled(16, 5), lambda n: valley(dim=n)),
    Growth("noise.fractional_gaussian_noise", "steps", doubled(2**12, 5), fractional),
    Growth("filters.shift_error", "poles", doubled(32, 5), error),
    Growth("filters.shift_error", "lag", doubled(64, 5, 4), lambda n: error(lag=n)),
    Growth("recurrence.linear_rnn", "length", doubled(2**13, 5), rnn),
    Growth("recurrence.linear_rnn", "poles", doubled(16, 5), lambda n: rnn(poles=n)),
    Growth("quadratics.race", "seeds", doubled(8, 5), quadratic),
    Growth("quadratics.race", "steps", doubled(256, 5), lambda n: quadratic(steps=n)),
    Growth("language, a training step", "batch", doubled(16, 5), training_step),
    Growth("sweep.sweep", "points", doubled(1024, 5), swept, compiled=False),
)


def quick(growth: Growth) -> Growth:
    """The three smallest sizes: what a test can afford."""
    return growth._replace(sizes=growth.sizes[:3])


# --- measuring -----------------------------------------------------------------------


def one_program(growth: Growth, size: int, repeats: int) -> tuple[float, int]:
    """Seconds and bytes of the compiled program."""
    import jax

    now = contest.clock()
    fn, args = growth.make(size)
    args = jax.tree.map(jax.numpy.asarray, args)
    program = jax.jit(fn).lower(*args).compile()
    jax.block_until_ready(program(*args))
    times = []
    for _ in range(repeats):
        began = now()
        jax.block_until_ready(program(*args))
        times.append(now() - began)
    states = program.memory_analysis()
    return statistics.median(times), states.temp_size_in_bytes + states.output_size_in_bytes


def own_process(growth: Growth, size: int, repeats: int) -> tuple[float, int]:
    """Seconds of the call, and growth of the largest resident memory, of a fresh process."""
    name = f"{growth.function} {growth.against}"
    command = [sys.executable, str(Path(__file__).resolve()), "--alone", name, str(size)]
    command += ["--repeats", str(max(1, repeats // 2))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if ran.returncode:
        raise RuntimeError(f"{name}, {size}: {ran.stderr[-1000:]}")
    seconds, grown = json.loads(ran.stdout)
    return seconds, grown


def alone(name: str, size: int, repeats: int) -> tuple[float, int]:
    """What `own_process` runs over there."""
    now = contest.clock()
    (growth,) = (one for one in ALL if f"{one.function} {one.against}" == name)
    fn, args = growth.make(size)
    before = contest.peak()
    fn(*args)
    after = contest.peak()
    times = []
    for _ in range(repeats):
        began = now()
        fn(*args)
        times.append(now() - began)
    return statistics.median(times), max(1, (after or 0) - (before or 0))


def slope(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The exponent by least squares of the logarithms, and its standard error."""
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    spread = float(x @ x)
    exponent = float(x @ y) / spread
    rest = y - y.mean() - exponent * x
    error = math.sqrt(float(rest @ rest) / max(1, len(x) - 2) / spread)
    return round(exponent, 4) + 0.0, round(error, 4)


def summary(growth: Growth, seconds: Sequence[float], held: Sequence[float]) -> dict[str, Any]:
    """What is stored: the measurements, the exponents over the larger sizes, and a note."""
    sizes, start = growth.sizes, max(0, len(growth.sizes) - FITTED)
    time_exponent = slope(sizes[start:], seconds[start:])
    level = np.mean(np.log(seconds[start:]) - time_exponent[0] * np.log(sizes[start:]))
    expected = np.exp(level) * np.array(sizes, float) ** time_exponent[0]
    fixed = [n for n, s, e in zip(sizes, seconds, expected, strict=True) if s > FIXED * e]
    notes = [] if growth.compiled else ["bytes: growth of a fresh process's resident memory"]
    if start:
        notes.append(f"exponents fitted from {sizes[start]:,} on")
    if fixed and max(fixed) < sizes[start]:
        notes.append(f"up to {max(fixed):,} a fixed cost counts")
    return {
        "function": growth.function,
        "against": growth.against,
        "sizes": list(sizes),
        "seconds": list(seconds),
        "bytes": list(held),
        "time_exponent": list(time_exponent),
        "memory_exponent": list(slope(sizes[start:], held[start:])),
        "note": "; ".join(notes),
    }


def of_all(growths: Sequence[Growth], repeats: int) -> list[dict[str, Any]]:
    """Measure in this process, which is held to one core."""
    found = []
    for growth in growths:
        way = one_program if growth.compiled else own_process
        pairs = [way(growth, size, repeats) for size in growth.sizes]
        found.append(summary(growth, *zip(*pairs, strict=True)))
        print(line(found[-1]), file=sys.stderr, flush=True)
    return found


def measure(*, quickly: bool = False, device: bool = False, only: Sequence[str] = ()) -> Any:
    """All of it, in a process of its own on one core (or on the accelerator); prints as it goes."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", *only]
    command += ["--quick"] if quickly else []
    env = contest.surroundings(device)
    env["OPTDYN_BENCH_CLOCK"] = "wall" if device else "processor"
    ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=1800)
    if ran.returncode:
        raise RuntimeError(f"the growth was not measured: exit status {ran.returncode}")
    return json.loads(ran.stdout)


# --- for people ----------------------------------------------------------------------

HEAD = f"  {'':<46}{'time':^16}{'memory':^16}{'largest: seconds':>18}{'MB':>10}"


def line(one: dict[str, Any]) -> str:
    time, memory = ([round(x, 2) + 0.0 for x in one[f"{k}_exponent"]] for k in ("time", "memory"))
    text = f"  {one['function'] + ', ' + one['against']:<46}"
    text += f"{time[0]:>7.2f} +- {time[1]:<5.2f}{memory[0]:>7.2f} +- {memory[1]:<5.2f}"
    return text + f"{one['seconds'][-1]:>18.3g}{one['bytes'][-1] / 1e6:>10.3g}  {one['note']}"


def main() -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--quick", action="store_true", help="the smallest sizes, and few repeats")
    top.add_argument("--serve", action="store_true", help="print the measurements as JSON")
    top.add_argument("--alone", nargs=2, metavar=("NAME", "SIZE"), help="one size, as JSON")
    top.add_argument("--repeats", type=int)
    top.add_argument("only", nargs="*", help="functions or sizes whose name contains this")
    chosen = top.parse_args()
    repeats = chosen.repeats or (2 if chosen.quick else REPEATS)
    if chosen.alone:
        contest.hold(contest.the_core())
        with contest.answering() as answers:
            json.dump(alone(chosen.alone[0], int(chosen.alone[1]), repeats), answers)
        return 0
    if not chosen.serve:
        print("Exponents of time and memory", HEAD, sep="\n", flush=True)
        measure(quickly=chosen.quick, only=chosen.only)
        return 0
    contest.hold(contest.the_core())
    named = [
        one
        for one in ALL
        if not chosen.only or any(word in f"{one.function} {one.against}" for word in chosen.only)
    ]
    with contest.answering() as answers:
        json.dump(of_all([*map(quick, named)] if chosen.quick else named, repeats), answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
