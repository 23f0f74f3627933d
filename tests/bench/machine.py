"""What one core of this machine can do, measured; and which machine it is.

A bound divides the work that has to be done by one of these rates, so each rate is the best of
several programs and of several runs of each. All are jitted JAX programs, in a process of its
own that is held to the core of the benchmark (`rates`); on an accelerator the whole device
takes the core's place, and the arrays are larger. A program written for this very processor
might still be faster, by what the programs' docstrings say.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import contest

RUNS = 7


class Program(NamedTuple):
    units: float  # of its rate, in one call
    call: Callable[[], Any]


def products(dtype: str, device: bool) -> Iterator[Program]:
    """Floating-point operations: a product of square matrices, and chains of multiply-adds.

    The product is XLA's (its library keeps blocks in registers); the chains are element by
    element over an array in the first-level cache, 16 multiply-adds between a load and a store.
    Either reaches 80 to 100 % of what the units can issue; both may miss the widest
    instructions where the compiler prefers narrower ones.
    """
    import jax
    import jax.numpy as jnp

    n = 8192 if device else 384
    matrix = jnp.full((n, n), 1 / n, dtype)
    multiply = jax.jit(jnp.matmul)
    yield Program(2 * n**3, lambda: multiply(matrix, matrix))

    size, chain = (2**22 if device else 1024), 16
    loops = 64 if device else 3000

    @jax.jit
    def chains(x: Any) -> Any:
        def body(_: Any, y: Any) -> Any:
            for _ in range(chain):
                y = y * x + x
            return y

        return jax.lax.fori_loop(0, loops, body, x)

    start = jnp.full(size, 0.5, dtype)
    yield Program(2 * size * chain * loops, lambda: chains(start))


def exponentials(dtype: str, device: bool) -> Iterator[Program]:
    """Exponentials: JAX's own, and the library's two forms of 1 / (1 + exp(x)), in cache.

    These two have no exponential inside, but polynomials and a division that replace one. A
    program that needs fewer digits than the dtype holds can be faster than all three.
    """
    import jax
    import jax.numpy as jnp

    from optdyn import sigmoid

    size = 2**22 if device else 4096
    loops = 32 if device else 5000

    def repeated(function: Callable[[Any], Any]) -> Program:
        run = jax.jit(lambda x: jax.lax.fori_loop(0, loops, lambda _, y: function(y), x))
        start = jnp.linspace(0.1, 1, size, dtype=dtype)
        return Program(size * loops, lambda: run(start))

    yield repeated(lambda y: jnp.exp(-y))
    yield repeated(sigmoid.falling)
    yield repeated(sigmoid.falling2)
    yield repeated(sigmoid.falling2)


def traffic(device: bool) -> Iterator[Program]:
    """Bytes read and written: an array of 256 MB changed in place, and one summed.

    The array is in use before the time counts, so no page has to be fetched from the system. A
    program whose data stay in a cache moves more; bounds count only what cannot stay there.
    """
    import jax
    import jax.numpy as jnp

    large = jnp.ones(2**25, "float64")
    change = jax.jit(lambda x: x * 0.5 + 1, donate_argnums=0)
    place = [large + 0]

    def in_place() -> Any:
        place[0] = change(place[0])
        return place[0]

    yield Program(2 * large.nbytes, in_place)
    total = jax.jit(jnp.sum)
    yield Program(large.nbytes, lambda: total(large))


def random_words(device: bool) -> Iterator[Program]:
    """32-bit words of threefry, four million: in chunks that stay in cache, and a million at once.

    The words are combined, so that all are computed and none has to be written. Other generators
    are faster; a bound counts only words that have to come from this one.
    """
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)

    def in_chunks(size: int, loops: int) -> Program:
        @jax.jit
        def run(key: Any) -> Any:
            def body(i: Any, mixed: Any) -> Any:
                return mixed ^ jax.random.bits(jax.random.fold_in(key, i), (size,), "uint32")

            return jax.lax.fori_loop(0, loops, body, jnp.zeros(size, "uint32"))

        return Program(size * loops, lambda: run(key))

    yield in_chunks(2**24 if device else 2**15, 2**7)
    yield in_chunks(2**20, 4)


def measured() -> dict[str, float]:
    """The rates, in units per second, of the process that calls this."""
    import jax

    device = jax.default_backend() != "cpu"
    clock = time.perf_counter if device else contest.clock()

    def best(programs: Iterator[Program]) -> float:
        found = 0.0
        for program in programs:
            jax.block_until_ready(program.call())  # compiles
            for _ in range(RUNS):
                began = clock()
                jax.block_until_ready(program.call())
                found = max(found, program.units / max(clock() - began, 1e-9))
        return found

    return contest.Machine(
        flops64=best(products("float64", device)),
        flops32=best(products("float32", device)),
        exp64=best(exponentials("float64", device)),
        exp32=best(exponentials("float32", device)),
        bytes=best(traffic(device)),
        words=best(random_words(device)),
    )._asdict()


def rates(*, device: bool = False) -> contest.Machine:
    """Measure the rates in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve())]
    env = contest.surroundings(device)
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    if ran.returncode:
        raise RuntimeError(f"the machine's rates could not be measured: {ran.stderr[-1000:]}")
    return contest.Machine(**json.loads(ran.stdout))


def accelerator() -> str:
    """What JAX computes on if nobody tells it otherwise: a device's name, or nothing for a CPU."""
    code = "import jax; d = jax.devices()[0]; print('' if d.platform == 'cpu' else d.device_kind)"
    env = contest.surroundings(device=True)
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300
    )
    if ran.returncode:
        raise RuntimeError(f"JAX does not say what it computes on: {ran.stderr[-1000:]}")
    return ran.stdout.strip()


def described() -> dict[str, Any]:
    """The machine, in words for the page."""
    import psutil

    sys.path.insert(0, str(contest.ROOT / "book"))
    import notebooks

    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {
        "processor": notebooks.cpu_model(),
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": load,
    }


if __name__ == "__main__":
    contest.hold(contest.the_core())
    print(json.dumps(measured()))
