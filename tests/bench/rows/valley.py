"""The widening valley: an ensemble of Anti-PGD with random signs, noise included in the time.

All contestants compute it in the form z = w - xi, where the noise comes before the gradient, in
float32, and read |u of z|^2 every 200 steps. NumPy, numba and PyTorch unpack their signs from
random words of their own generators, 32 from each, as the library does from its own; optax draws
them as its users do, by `jax.random.rademacher`. Checked is the mean over the runs, by the mean
field of the chapter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

ETA, VARIANCE, START = 0.00125, 0.39, 100.0
SIGMA = VARIANCE**0.5
EVERY = 200  # steps between two records
PART = (32, 20)  # one run in 32, one step in 20: what is timed of optax run by run
MOST = 5  # standard errors, of which 2 % of the field are part

Run = Callable[[], dict[str, np.ndarray]]


def start(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """w_0 and xi_0, shape (dim + 1,). |u_0 - xi_0|^2 is what it is in the mean over signs."""
    w0 = np.append(np.full(dim, np.sqrt(START / dim)), 0).astype(np.float32)
    return w0, (SIGMA * (-1.0) ** np.arange(dim + 1)).astype(np.float32)


def answer(rows: Any, every: int = EVERY) -> dict[str, np.ndarray]:
    """|u of z|^2, shape (records, runs), and the steps at which it was read."""
    sizes = np.asarray(rows)
    return {"sizes": sizes, "steps": every * np.arange(len(sizes))}


def ours(runs: int, dim: int, n_steps: int) -> Run:
    import jax
    import jax.numpy as jnp

    from optdyn import descent, landscapes

    valley, w0 = landscapes.widening_valley(), start(dim)[0]

    def size(w: Any, z: Any) -> Any:
        return jnp.sum(z[:-1] ** 2, axis=0)

    along_last = jax.vmap(valley.gradient, in_axes=-1, out_axes=-1)

    @jax.jit
    def ensemble(w0: Any, key: Any, eta: Any, sigma: Any) -> Any:
        """One run whose last axis is the runs: on a CPU this is faster than to map over keys."""
        return descent.run(
            along_last,
            w0,
            key,
            step_size=eta,
            sigma=sigma,
            n_steps=n_steps,
            record_every=EVERY,
            observe=size,
        )

    key, starts = jax.random.key(1), np.tile(w0[:, None], runs)
    eta, sigma = np.float32(ETA), np.float32(SIGMA)
    return lambda: answer(ensemble(starts, key, eta, sigma))


def with_optax(together: bool) -> Callable[..., Run]:
    """A jitted step, called from Python: for all runs together, or for each (a part of them)."""

    def prepare(runs: int, dim: int, n_steps: int) -> Run:
        import jax
        import jax.numpy as jnp
        import optax

        from optdyn import landscapes

        valley, (w0, xi0) = landscapes.widening_valley(), start(dim)
        method = optax.sgd(ETA)

        def step(w: Any, xi: Any, state: Any, key: Any, n: Any) -> Any:
            signs = jax.random.rademacher(jax.random.fold_in(key, n), w.shape, w.dtype)
            new = np.float32(SIGMA) * signs
            updates, state = method.update(valley.gradient(w), state, w)
            return optax.apply_updates(w, updates) + (new - xi), new, state

        one = jax.jit(step)
        every = jax.jit(jax.vmap(step, in_axes=(0, 0, None, 0, None), out_axes=(0, 0, None)))

        def all_runs() -> dict[str, np.ndarray]:
            keys = jax.random.split(jax.random.key(2), runs)
            w, xi, state = jnp.tile(w0, (runs, 1)), jnp.tile(xi0, (runs, 1)), method.init(w0)
            rows = [w - xi]
            for n in range(n_steps):
                w, xi, state = every(w, xi, state, keys, n)
                if (n + 1) % EVERY == 0:
                    rows.append(w - xi)
            return answer([np.sum(np.asarray(z)[:, :-1] ** 2, axis=1) for z in rows])

        def run_by_run() -> dict[str, np.ndarray]:
            some, few = runs // PART[0], n_steps // PART[1]
            columns = []
            for key in jax.random.split(jax.random.key(3), some):
                w, xi, state = jnp.asarray(w0), jnp.asarray(xi0), method.init(w0)
                column = [w - xi]
                for n in range(few):
                    w, xi, state = one(w, xi, state, key, n)
                column.append(w - xi)
                columns.append([np.sum(np.asarray(z)[:-1] ** 2) for z in column])
            return answer(np.array(columns).T, few)

        return all_runs if together else run_by_run

    return prepare


def with_numpy(runs: int, dim: int, n_steps: int) -> Run:
    """All runs in the columns of one array, a byte of random bits for 8 signs."""
    w0 = start(dim)[0]
    eta, sigma = np.float32(ETA), np.float32(SIGMA)

    def run() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(4)

        def draw(steps: int) -> np.ndarray:
            count = steps * (dim + 1) * runs
            bits = np.unpackbits(np.frombuffer(rng.bytes(count // 8), np.uint8))
            return (bits * (2 * sigma) - sigma).reshape(steps, dim + 1, runs)

        xi = draw(1)[0]
        z = w0[:, None] - xi
        rows = [np.sum(z[:-1] ** 2, axis=0)]
        for _ in range(n_steps // EVERY):
            for new in draw(EVERY):
                w = z + xi
                u, v = w[:-1], w[-1]
                force = eta * v
                z[-1] -= force * np.einsum("ij,ij->j", u, u)
                z[:-1] -= (force * v) * u
                xi = new
            rows.append(np.sum(z[:-1] ** 2, axis=0))
        return answer(rows)

    return run


def with_numba(lanes: bool) -> Callable[..., Run]:
    """One run after the other, or the runs innermost, so that LLVM vectorises over them."""

    def prepare(runs: int, dim: int, n_steps: int) -> Run:
        import numba

        w0, xi0 = start(dim)
        eta, sigma = np.float32(ETA), np.float32(SIGMA)
        one, two = np.float32(1), np.float32(2)

        @numba.njit(fastmath=True)
        def plain(bits: Any, rows: Any) -> None:
            z, xi = np.empty_like(w0), np.empty_like(w0)
            for r in range(runs):
                for i in range(dim + 1):
                    xi[i] = xi0[i]
                    z[i] = w0[i] - xi[i]
                for n in range(n_steps + 1):
                    if n % EVERY == 0:
                        total = np.float32(0)
                        for i in range(dim):
                            total += z[i] * z[i]
                        rows[n // EVERY, r] = total
                    word, bit = n // 32, np.uint32(n % 32)
                    v, square = z[dim] + xi[dim], np.float32(0)
                    pull = eta * v * v
                    for i in range(dim):
                        u = z[i] + xi[i]
                        square += u * u
                        z[i] -= pull * u
                    z[dim] -= eta * v * square
                    for i in range(dim + 1):
                        sign = np.float32((bits[r, word, i] >> bit) & np.uint32(1))
                        xi[i] = sigma * (two * sign - one)

        @numba.njit(fastmath=True)
        def innermost(bits: Any, rows: Any) -> None:
            z = np.empty((dim + 1, runs), np.float32)
            xi = np.empty((dim + 1, runs), np.float32)
            pull, square = np.empty(runs, np.float32), np.empty(runs, np.float32)
            for i in range(dim + 1):
                for r in range(runs):
                    xi[i, r] = xi0[i]
                    z[i, r] = w0[i] - xi[i, r]
            for n in range(n_steps + 1):
                if n % EVERY == 0:
                    rows[n // EVERY] = 0
                    for i in range(dim):
                        for r in range(runs):
                            rows[n // EVERY, r] += z[i, r] * z[i, r]
                word, bit = n // 32, np.uint32(n % 32)
                for r in range(runs):
                    v = z[dim, r] + xi[dim, r]
                    pull[r], square[r] = eta * v * v, 0
                for i in range(dim):
                    for r in range(runs):
                        u = z[i, r] + xi[i, r]
                        square[r] += u * u
                        z[i, r] -= pull[r] * u
                        sign = np.float32((bits[word, i, r] >> bit) & np.uint32(1))
                        xi[i, r] = sigma * (two * sign - one)
                for r in range(runs):
                    z[dim, r] -= eta * (z[dim, r] + xi[dim, r]) * square[r]
                    sign = np.float32((bits[word, dim, r] >> bit) & np.uint32(1))
                    xi[dim, r] = sigma * (two * sign - one)

        words = n_steps // 32 + 1
        shape = (words, dim + 1, runs) if lanes else (runs, words, dim + 1)
        loop = innermost if lanes else plain

        def run() -> dict[str, np.ndarray]:
            bits = np.random.default_rng(5).integers(2**32, size=shape, dtype=np.uint32)
            rows = np.empty((n_steps // EVERY + 1, runs), np.float32)
            loop(bits, rows)
            return answer(rows)

        return run

    return prepare


def with_torch(runs: int, dim: int, n_steps: int) -> Run:
    """All runs in the columns of one tensor; its random words hold the signs of 32 steps each."""
    import torch

    torch.set_num_threads(1)
    w0, xi0 = (torch.from_numpy(x)[:, None].repeat(1, runs) for x in start(dim))

    def run() -> dict[str, np.ndarray]:
        source = torch.Generator().manual_seed(6)
        z, xi = w0 - xi0, xi0
        rows = [(z[:-1] ** 2).sum(0)]
        for n in range(n_steps):
            if n % 32 == 0:
                words = torch.randint(-(2**31), 2**31, z.shape, generator=source, dtype=torch.int32)
            w = z + xi
            u, v = w[:-1], w[-1]
            force = ETA * v
            z[-1] -= force * (u * u).sum(0)
            z[:-1] -= (force * v) * u
            xi = (((words >> (n % 32)) & 1).float() - 0.5) * (2 * SIGMA)
            if (n + 1) % EVERY == 0:
                rows.append((z[:-1] ** 2).sum(0))
        return answer(torch.stack(rows).numpy())

    return run


def mean_field(dim: int, n_steps: int) -> np.ndarray:
    """E |u of z|^2 by the chapter's recursion, at every step, from the start after one kick."""
    path = [START + dim * VARIANCE]
    for _ in range(n_steps):
        rho = ETA * (path[-1] + dim * VARIANCE)
        second, q = 2 * VARIANCE / (2 - rho), rho * VARIANCE / (2 - rho)
        fourth = 3 * q**2 + 6 * q * VARIANCE + VARIANCE**2
        grown = ETA**2 * fourth * (path[-1] + dim * VARIANCE)
        path.append(path[-1] * (1 - 2 * ETA * second) + grown)
    return np.array(path)


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """The mean over the runs against the mean field, wherever it was read after the start."""
    complaints = []
    field = mean_field(task["dim"], task["n_steps"])
    for name, found in answers.items():
        sizes, expected = found["sizes"], field[found["steps"]]
        error = np.std(sizes, axis=1, ddof=1) / np.sqrt(sizes.shape[1]) + 0.02 * expected
        off = float(np.max(np.abs(sizes.mean(axis=1) - expected)[1:] / error[1:]))
        if not off < MOST:
            complaints.append(f"{name}: {off:.1f} errors from the mean field, {MOST} are allowed")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    flops = 5 * task["runs"] * task["n_steps"] * (task["dim"] + 1)
    return Bound(
        flops / machine.flops32,
        f"A coordinate's step needs five operations in float32 (z + xi, its square and the sum, "
        f"the product with the pull and the difference), {flops:.2g} in all, at "
        f"{machine.flops32:.2g} a second; unpacking the signs comes on top, and the random words, "
        f"which other generators draw faster than threefry, are not counted.",
    )


ROW = Row(
    title="Ensemble in the widening valley",
    topic="noise",
    ensemble=True,
    size="{runs} runs x {n_steps:,} steps x ({dim} + 1) coordinates, random signs, float32",
    tasks={
        "whole": {"runs": 256, "dim": 32, "n_steps": 8_000},
        "quick": {"runs": 64, "dim": 32, "n_steps": 800},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "optax, step by step": Contestant(with_optax(False), share=1 / (PART[0] * PART[1])),
        "optax, all runs together": Contestant(with_optax(True)),
        "NumPy": Contestant(with_numpy),
        "numba, run by run": Contestant(with_numba(False), "peers"),
        "numba, runs innermost": Contestant(with_numba(True), "peers"),
        "PyTorch": Contestant(with_torch, "torch"),
    },
    compare=compare,
    bound=bound,
    why=(
        "A step of numba's is one pass over arrays that stay near the core. XLA cuts it into four "
        "loops that write to memory in between: the squares, their sum, the new z and the new w. "
        "That is about four fifths of our time, threefry's random words about one fifth; numba's "
        "come from a faster generator. Unrolling the steps makes it worse: XLA then fuses the sum "
        "into the step that uses it and computes it many times over."
    ),
)
