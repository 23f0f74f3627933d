"""A process of its own for test_sweep_devices and test_sweep_hosts: it sweeps, and keeps what came.

    python sweep_host.py FOLDER PART [ADDRESS PROCESSES PROCESS]

With an address it is one of several processes joined by jax.distributed. How many devices it has is
said by XLA_FLAGS. What it finds is in FOLDER: results in found.npz, the rest in found.json.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optdyn.sweep import grid, sweep

module = import_module("optdyn.sweep")

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

PATIENCE = 240  # seconds until a process counts as hanging
MATRIX = np.random.default_rng(0).normal(size=(24, 24))


def transcendental(x):
    def step(c, _):
        c = jnp.sin(3 * c + x) * jnp.exp(-c * c) + 0.1 * jnp.tanh(c) + jnp.log1p(c * c)
        return c, c

    return jax.lax.scan(step, x, length=20)[1][::3]


def random(x):
    key = jax.random.key(jnp.int32(1000 * x))
    drawn = jax.random.normal(key, (33,), x.dtype)
    return drawn[:3], (drawn * drawn).sum(), jax.random.bits(key)


def reduced(x):
    v = jnp.exp(jnp.sin(x * jnp.arange(200, dtype=x.dtype)))
    return v.sum(), v.var(), v @ v, jnp.cumsum(v)[-1], jax.nn.logsumexp(v)


def linear(x):
    v = jnp.sin(x * jnp.arange(24, dtype=x.dtype))
    matrix = jnp.asarray(MATRIX, x.dtype)
    square = jnp.outer(v, v) @ matrix
    return matrix @ v, square[0], jnp.linalg.cholesky(square @ square.T + 9 * jnp.eye(24))[-1]


def learned(x):
    def loss(w):
        return (jax.nn.gelu(w @ jnp.tanh(w @ (x * jnp.ones(8, x.dtype)))) ** 2).sum()

    def step(w, _):
        g = jax.grad(loss)(w)
        return w - 0.01 * g / (1e-3 + jnp.sqrt((g * g).mean())), loss(w)

    return jax.lax.scan(step, jnp.asarray(MATRIX[:8, :8], x.dtype), length=5)


def searched(x):
    return jax.lax.while_loop(
        lambda c: (c[0] > 1e-3) & (c[1] < 40),
        lambda c: (c[0] * jnp.sin(c[0] + 0.3), c[1] + 1),
        (x, 0),
    )


def cheap(x):
    """What XLA likes to fuse with whatever is around it."""
    v = jnp.sin(x * jnp.arange(32, dtype=x.dtype))
    return jnp.sin(x) * x + jnp.exp(x), jnp.convolve(v, v[:5])[::7]


def kinds(x):
    return x > 1, jnp.bfloat16(x), x + 1j * jnp.sin(x), jnp.int8(9 * x), jnp.zeros((0, 2))


FUNCTIONS = {
    f.__name__: f
    for f in (transcendental, random, reduced, linear, learned, searched, cheap, kinds)
}


def numbers(n, x64):
    return np.linspace(0.1, 1.9, n).astype(np.float64 if x64 else np.float32)


def flat(name, result):
    """The arrays of a result by name, as bytes: a file of NumPy does not know all types."""
    leaves = jax.tree.leaves(result)
    return {
        f"{name}.{i}": np.ascontiguousarray(x).reshape(-1).view(np.uint8)
        for i, x in enumerate(leaves)
    }


# What is swept on one device, on eight and on two hosts.
CASES = [
    (name, x64, lanes, n)
    for (name, x64), (lanes, n) in zip(
        [*zip(FUNCTIONS, itertools.cycle((False, True)), strict=False), ("reduced", True)],
        itertools.cycle([(1, 19), (5, 83), (16, 300)]),
        strict=False,
    )
]
SOME = grid(a=np.linspace(0.0, 1.0, 23), b=np.arange(4))  # 92 points


def slope(a, b):
    turns = jax.lax.fori_loop(0, 20, lambda _, x: jnp.sin(3.0 * x + a), 1.0 * b)
    return {"turns": turns, "pair": (jnp.stack([a, 1.0 * b]), b**2 + 1)}


def swept(case, **how):
    name, x64, lanes, n = case
    with enable_x64(x64):
        return sweep(FUNCTIONS[name], numbers(n, x64), lanes=lanes, **how)


@contextmanager
def stopped(after):
    """Ctrl-C once so many points are done."""

    def show(done):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_progress", lambda *_: show)
        with pytest.raises(KeyboardInterrupt):
            yield


def exhausted(*_):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


@contextmanager
def out_of_memory(most, when="run", only_after=0):
    """A device has room for `most` blocks; the numbers at once that were tried are listed."""
    tried, compute, left = [], module._compute, only_after

    def exhausting(job, team, program, first, now):
        nonlocal left
        if now not in tried:
            tried.append(now)
        if now > most:
            left -= 1
        return compute(job, team, exhausted if now > most and left < 0 else program, first, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_compute", exhausting)
        if when == "compile":
            patch.setattr(module, "_lowered", lambda *_: type("", (), {"compile": exhausted}))
        yield tried


def devices_part(folder):
    """Everything on eight devices, on some of them, and from a checkpoint of one."""
    found, computed = {}, set()
    compute = module._compute

    def watched(job, team, program, first, now):
        mine = compute(job, team, program, first, now)
        places = zip(team.devices, range(first, job.blocks), strict=False)
        computed.update(device.id for device, _ in places if device.id in mine[0])
        return mine

    module._compute = watched
    for i, case in enumerate(CASES):
        how = [dict(chunk_size=1), dict(chunk_size=9 * case[2]), dict(memory=40_000), {}][i % 4]
        found |= flat(f"all {i}", swept(case, **how))
        if i % 4 == 0:
            found |= flat(f"three {i}", swept(case, devices=jax.devices()[2:5], chunk_size=50))
    found |= flat("resumed", sweep(slope, SOME, lanes=3, checkpoint=folder / "one.npz"))
    with stopped(after=48):
        sweep(slope, SOME, lanes=3, chunk_size=24, checkpoint=folder / "eight.npz")
    return found, {"devices": len(jax.devices()), "computed": sorted(computed)}


def hosts_part(folder):
    """Everything on two hosts, a checkpoint of one device, and every error."""
    me, found, said = jax.process_index(), {}, {}
    found["seen"] = np.array([jax.process_count(), len(jax.devices())])
    for i, case in enumerate(CASES[::2]):
        found |= flat(
            f"all {i}", swept(case, **[dict(chunk_size=1), dict(chunk_size=60), {}][i % 3])
        )

    def fails(name, fn=slope, points=SOME, lanes=3, **how):
        try:
            sweep(fn, points, lanes=lanes, **how)
        except BaseException as problem:
            said[name] = [type(problem).__name__, str(problem)]
        else:
            said[name] = ["none", ""]

    missing = folder / "there is none" / "here" if me else folder  # of host 1: nobody looks
    found |= flat("resumed", sweep(slope, SOME, lanes=3, checkpoint=missing / "one.npz"))
    fails("damaged", checkpoint=missing / "damaged.npz")
    fails("other lanes", lanes=4, checkpoint=missing / "one.npz")
    fails("no folder", checkpoint=folder / "nowhere" / "a.npz")
    fails("other points", points=SOME if me else {k: x + 1 for k, x in SOME.items()})
    compute = module._compute

    def broken(*given):
        if me == 1:
            raise ZeroDivisionError("a fault of host 1")
        return compute(*given)

    module._compute = broken
    fails("fault", checkpoint=missing / "fault.npz")
    module._compute = compute
    # Of one host alone; the other halves with it.
    with out_of_memory(2 if me else 99) as slots:
        found |= flat("halved", sweep(slope, SOME, lanes=3, chunk_size=96))
    said["slots"] = slots
    with out_of_memory(0 if me else 99):
        fails("too large", chunk_size=24)
    found |= flat("own", sweep(slope, SOME, lanes=3, devices=jax.local_devices()))
    with stopped(after=48) if me == 0 else pytest.raises(KeyboardInterrupt):
        sweep(slope, SOME, lanes=3, chunk_size=24, checkpoint=missing / "two.npz")
    return found, said


def kill_part(folder):
    """One long sweep, slow and often written, to be killed."""
    module.WRITE_EVERY = module.WRITE_TIMES = 0.0
    module._progress = lambda *_: lambda done: time.sleep(0.05)
    sweep(slope, SOME, lanes=1, chunk_size=4, checkpoint=folder / "killed.npz")
    return {}, {}


# --- for the tests --------------------------------------------------------------------------------


def start(folder, part, *, devices, hosts=0):
    """One process, or several that are joined; each with a folder of its own but the first's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_", "OPTDYN_"))}
    env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    env["JAX_PLATFORMS"] = "cpu"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for host in range(max(hosts, 1)):
        own = folder / f"host {host}" if hosts else folder
        own.mkdir(exist_ok=True)
        joined = [address, str(hosts), str(host)] if hosts else []
        command = [sys.executable, "-W", "error", __file__, str(own), part, *joined]
        started.append(
            subprocess.Popen(
                command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    return started


def finish(started, code=0):
    """What the processes printed; they must end in time, and well."""
    until, said = time.monotonic() + PATIENCE, []
    try:
        for each in started:
            said.append(each.communicate(timeout=max(1.0, until - time.monotonic()))[0])
    except subprocess.TimeoutExpired:
        end(started)
        said = [each.communicate()[0] for each in started]
        pytest.fail("hangs:\n" + "\n".join(said))
    finally:
        end(started)
    assert [each.returncode for each in started] == [code] * len(started), "\n".join(said)
    return said


def end(started):
    for each in started:
        if each.poll() is None:
            each.send_signal(signal.SIGKILL)


def found(folder):
    """What a process that has ended has found."""
    with np.load(folder / "found.npz") as file:
        return dict(file), json.loads((folder / "found.json").read_text())


def main(folder, part, address=None, hosts=1, host=0):
    if address is not None:
        jax.distributed.initialize(address, int(hosts), int(host))
    parts = {"devices": devices_part, "hosts": hosts_part, "kill": kill_part}
    results, said = parts[part](Path(folder))
    np.savez(Path(folder) / "found.npz", **results)
    (Path(folder) / "found.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
