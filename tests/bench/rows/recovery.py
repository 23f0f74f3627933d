"""Sparse recovery: many runs of Anti-PGD on a diagonal network, for several noise strengths.

The data are those of the chapter's laboratory: 40 equations, 60 unknowns, four of them not zero.
Every lane is a run with its own strength and signs; all contestants compute, in float32 and from
z = w_0 - xi, z' = z - eta * gradient(z + xi) with both products with X and nothing of X'X, and
return the time average of b = u * u - v * v over the last three quarters, read every 10 steps.
NumPy, numba and PyTorch unpack their signs from random words of their own generators. Checked is,
for every strength, the mean of |b|_1 over the runs against that of the library, and at the largest
strength against the lasso that the noise solves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

ETA, START, EVERY = 0.02, 0.3, 10
N, D = 40, 60
SIGMAS = (0.1, 0.15, 0.2, 0.25)
PART = (16, 40)  # one lane in 16, one step in 40: what is timed of optax run by run
MOST = 6  # standard errors of a difference of two means
NEAR = 0.05  # from the lasso, to which the average comes as the steps become small

Run = Callable[[], dict[str, np.ndarray]]


def data() -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and y (n,), float32."""
    rng = np.random.default_rng(37)
    X = rng.normal(size=(N, D))
    truth = np.zeros(D)
    truth[:4] = 1.5, -1.0, 0.8, -2.0
    y = X @ truth + 0.1 * rng.normal(size=N)
    return X.astype(np.float32), y.astype(np.float32)


def strengths(runs: int) -> np.ndarray:
    """The deviation of each lane's noise, shape (lanes,): `runs` lanes of each strength."""
    return np.repeat(np.float32(SIGMAS), runs)


def n_early(n_steps: int) -> int:
    """The records that the average leaves out: the start and a quarter of the rest."""
    return 1 + n_steps // EVERY // 4


def ours(runs: int, n_steps: int) -> Run:
    import jax
    import jax.numpy as jnp

    from optdyn import descent, landscapes

    X, y = data()
    first = n_early(n_steps)

    def product(w: Any, z: Any) -> Any:
        return z[0] ** 2 - z[1] ** 2

    @jax.jit
    def ensemble(X: Any, y: Any, keys: Any, sigmas: Any) -> Any:
        gradient = landscapes.diagonal_network(X, y).gradient

        def one(key: Any, sigma: Any) -> Any:
            b = descent.run(
                gradient,
                jnp.full((2, D), START, X.dtype),
                key,
                step_size=np.float32(ETA),
                sigma=sigma,
                n_steps=n_steps,
                record_every=EVERY,
                observe=product,
            )
            return jnp.mean(b[first:], axis=0)

        return jax.vmap(one)(keys, sigmas)

    sigmas = strengths(runs)
    keys = jax.random.split(jax.random.key(1), len(sigmas))
    return lambda: {"b": np.asarray(ensemble(X, y, keys, sigmas))}


def with_optax(together: bool) -> Callable[..., Run]:
    """A jitted step, called from Python: for all lanes together, or for each (a part of them)."""

    def prepare(runs: int, n_steps: int) -> Run:
        import jax
        import jax.numpy as jnp
        import optax

        from optdyn import landscapes

        X, y = data()
        gradient = landscapes.diagonal_network(X, y).gradient
        method, all_sigmas, first = optax.sgd(ETA), strengths(runs), n_early(n_steps)

        def step(z: Any, state: Any, key: Any, sigma: Any, n: Any) -> Any:
            signs = jax.random.rademacher(jax.random.fold_in(key, n), z.shape, z.dtype)
            z = jnp.where(n == 0, START - sigma * signs, z)
            updates, state = method.update(gradient(z + sigma * signs), state, z)
            return optax.apply_updates(z, updates), state

        each = jax.jit(step)
        lanes = jax.jit(jax.vmap(step, in_axes=(0, None, 0, 0, None), out_axes=(0, None)))

        def all_lanes() -> dict[str, np.ndarray]:
            keys = jax.random.split(jax.random.key(2), len(all_sigmas))
            z, total = jnp.full((len(all_sigmas), 2, D), START, "float32"), 0
            state = method.init(z)
            for n in range(n_steps):
                z, state = lanes(z, state, keys, all_sigmas, n)
                if (n + 1) % EVERY == 0 and (n + 1) // EVERY >= first:
                    total = total + (z[:, 0] ** 2 - z[:, 1] ** 2)
            return {"b": np.asarray(total / (n_steps // EVERY + 1 - first))}

        def run_by_run() -> dict[str, np.ndarray]:
            some = all_sigmas[:: PART[0]]
            ends = []
            keys = jax.random.split(jax.random.key(3), len(some))
            for key, sigma in zip(keys, some, strict=True):
                z = jnp.full((2, D), START, "float32")
                state = method.init(z)
                for n in range(n_steps // PART[1]):
                    z, state = each(z, state, key, sigma, n)
                ends.append(np.asarray(z))
            return {"ends": np.array(ends)}

        return all_lanes if together else run_by_run

    return prepare


def with_numpy(runs: int, n_steps: int) -> Run:
    """All lanes in the rows of one array; 8 signs from a byte, unpacked 200 steps at a time."""
    X, y = data()
    sigmas, first = strengths(runs)[:, None, None], n_early(n_steps)
    at_once = 200

    def run() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(4)
        shape = (at_once, len(sigmas), 2, D)
        total = np.zeros((len(sigmas), D), np.float32)
        for begin in range(0, n_steps, at_once):
            random = np.frombuffer(rng.bytes(int(np.prod(shape)) // 8), np.uint8)
            xi = np.unpackbits(random).reshape(shape) * (2 * sigmas) - sigmas
            for n, kick in enumerate(xi[: n_steps - begin], start=begin + 1):
                if n == 1:
                    z = START - kick
                w = z + kick
                u, v = w[:, 0], w[:, 1]
                pull = ((u * u - v * v) @ X.T - y) @ X
                pull *= np.float32(ETA / N)
                z[:, 0] -= pull * u
                z[:, 1] += pull * v
                if n % EVERY == 0 and n // EVERY >= first:
                    total += z[:, 0] ** 2 - z[:, 1] ** 2
        return {"b": total / (n_steps // EVERY + 1 - first)}

    return run


def with_numba(runs: int, n_steps: int) -> Run:
    """One run after the other; a word of random bits holds the signs of 32 steps."""
    import numba

    X, y = data()
    sigmas, first = strengths(runs), n_early(n_steps)
    eta, start = np.float32(ETA / N), np.float32(START)
    one, two = np.float32(1), np.float32(2)

    @numba.njit(fastmath=True)
    def loop(X: Any, y: Any, sigmas: Any, bits: Any, total: Any) -> None:
        z, w = np.empty((2, D), np.float32), np.empty((2, D), np.float32)
        b, pull = np.empty(D, np.float32), np.empty(D, np.float32)
        for lane in range(sigmas.size):
            for n in range(n_steps):
                bit = np.uint32(n % 32)
                for k in range(2):
                    for j in range(D):
                        sign = np.float32((bits[lane, n // 32, k, j] >> bit) & np.uint32(1))
                        xi = sigmas[lane] * (two * sign - one)
                        if n == 0:
                            z[k, j] = start - xi
                        w[k, j] = z[k, j] + xi
                for j in range(D):
                    b[j] = w[0, j] * w[0, j] - w[1, j] * w[1, j]
                    pull[j] = 0
                for i in range(N):
                    residual = -y[i]
                    for j in range(D):
                        residual += X[i, j] * b[j]
                    for j in range(D):
                        pull[j] += X[i, j] * residual
                for j in range(D):
                    z[0, j] -= eta * pull[j] * w[0, j]
                    z[1, j] += eta * pull[j] * w[1, j]
                if (n + 1) % EVERY == 0 and (n + 1) // EVERY >= first:
                    for j in range(D):
                        total[lane, j] += z[0, j] * z[0, j] - z[1, j] * z[1, j]

    def run() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(5)
        shape = (len(sigmas), n_steps // 32 + 1, 2, D)
        bits = rng.integers(2**32, size=shape, dtype=np.uint32)
        total = np.zeros((len(sigmas), D), np.float32)
        loop(X, y, sigmas, bits, total)
        return {"b": total / (n_steps // EVERY + 1 - first)}

    return run


def with_torch(runs: int, n_steps: int) -> Run:
    """All lanes in the rows of one tensor; a random word holds the signs of 32 steps."""
    import torch

    torch.set_num_threads(1)
    X, y = (torch.from_numpy(x) for x in data())
    sigmas, first = torch.from_numpy(strengths(runs))[:, None, None], n_early(n_steps)

    def run() -> dict[str, np.ndarray]:
        source = torch.Generator().manual_seed(6)
        shape, total = (len(sigmas), 2, D), torch.zeros(len(sigmas), D)
        for n in range(n_steps):
            if n % 32 == 0:
                words = torch.randint(-(2**31), 2**31, shape, generator=source, dtype=torch.int32)
            xi = (((words >> (n % 32)) & 1).float() - 0.5) * (2 * sigmas)
            if n == 0:
                z = START - xi
            w = z + xi
            u, v = w[:, 0], w[:, 1]
            pull = torch.addmm(-y, u * u - v * v, X.T) @ X * (ETA / N)
            z[:, 0] -= pull * u
            z[:, 1] += pull * v
            if (n + 1) % EVERY == 0 and (n + 1) // EVERY >= first:
                total += z[:, 0] ** 2 - z[:, 1] ** 2
        return {"b": (total / (n_steps // EVERY + 1 - first)).numpy()}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """Mean of |b|_1 over the runs, for each strength, against ours; and the lasso."""
    from optdyn import lasso

    complaints = []
    lanes = len(SIGMAS) * task["runs"]
    X, y = data()
    penalty = SIGMAS[-1] ** 2 * np.sum(X.astype(float) ** 2, axis=0) / N
    target = lasso.lasso(X.astype(float), y.astype(float), penalty).b
    means: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, found in answers.items():
        if "ends" in found:  # a part of the steps: only that the loss went down
            b = found["ends"][:, 0] ** 2 - found["ends"][:, 1] ** 2
            if not np.mean((b @ X.T - y) ** 2) < np.mean(y**2):
                complaints.append(f"{name}: the squared residual did not fall")
            continue
        if found["b"].shape != (lanes, D) or not np.isfinite(found["b"]).all():
            complaints.append(f"{name}: shape {found['b'].shape} or numbers that are not finite")
            continue
        each = found["b"].astype(float).reshape(len(SIGMAS), task["runs"], D)
        norms = np.abs(each).sum(axis=2)
        means[name] = norms.mean(axis=1), norms.std(axis=1, ddof=1) / task["runs"] ** 0.5
        if task["n_steps"] >= 4_000:
            off = float(np.abs(each[-1].mean(axis=0) - target).max())
            if not off < NEAR:
                complaints.append(f"{name}: {off:.3f} from the lasso, {NEAR} is allowed")
    if "optdyn" in means:
        mean, error = means["optdyn"]
        for name, (other, spread) in means.items():
            off = float(np.max(np.abs(other - mean) / (np.hypot(error, spread) + 1e-4)))
            if not off < MOST:
                complaints.append(f"{name}: {off:.1f} errors from optdyn, {MOST} are allowed")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    each = 4 * N * D + 10 * D
    flops = len(SIGMAS) * task["runs"] * task["n_steps"] * each
    return Bound(
        flops / machine.flops32,
        f"Two products with X and ten operations for each unknown are {each:,} operations in "
        f"float32 for a lane's step, {flops:.2g} in all, at {machine.flops32:.2g} a second; the "
        f"signs are not counted, nor is there traffic, for all data stay in the cache.",
    )


ROW = Row(
    title="Sparse recovery by noise",
    topic="noise",
    ensemble=True,
    size="{runs} runs at each of "
    + f"{len(SIGMAS)} noise strengths x "
    + "{n_steps:,} steps, "
    + f"diagonal network of 2 x {D} weights, {N} equations, float32",
    tasks={
        "whole": {"runs": 32, "n_steps": 4_000},
        "quick": {"runs": 16, "n_steps": 400},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "optax, step by step": Contestant(with_optax(False), share=1 / (PART[0] * PART[1])),
        "optax, all runs together": Contestant(with_optax(True)),
        "NumPy": Contestant(with_numpy),
        "numba, run by run": Contestant(with_numba, "peers"),
        "PyTorch": Contestant(with_torch, "torch"),
    },
    compare=compare,
    bound=bound,
)
