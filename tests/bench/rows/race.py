"""Optimisers on the block quadratic: a grid of methods, learning rates and seeds, every loss kept.

Momentum, sign momentum and Adam with 12 learning rates and 20 seeds each, 720 runs. All see the
minibatches that `optdyn.quadratics.race` draws: those without JAX make them in NumPy by the same
generator, threefry, before the clock starts; ours draws them while it runs. Losses are compared
number by number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

BETA, EPS, BATCH, SEEDS, RATES = 0.95, 1e-8, 3, 20, 12
TIMED = 2  # of the runs of each method, by the loop that makes one run after another
WITHIN = 1e-7  # of a loss, beside 1e-12 of the loss at the start

Run = Callable[[], dict[str, np.ndarray]]


def threefry(key: Any, n: int) -> np.ndarray:
    """Two words for each of the counters 0 .. n - 1, (2, n), as JAX's generator makes them.

    Source: Salmon, Moraes, Dror and Shaw (2011): threefry-2x32 with 20 rounds.
    """
    keys = np.array([key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA], np.uint32)
    x = np.zeros(n, np.uint32) + keys[0]
    y = np.arange(n, dtype=np.uint32) + keys[1]
    for i in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
            x = x + y
            y = (y << np.uint32(turn) | y >> np.uint32(32 - turn)) ^ x
        x = x + keys[(i + 1) % 3]
        y = y + keys[(i + 2) % 3] + np.uint32(i + 1)
    return np.stack([x, y])


def bits(key: Any, *shape: int) -> np.ndarray:
    """jax.random.bits, 32 of them a place."""
    first, second = threefry(key, int(np.prod(shape)))
    return (first ^ second).reshape(shape)


def minibatches(n_steps: int) -> np.ndarray:
    """(seeds, n_steps, batch): those of jax.random.split(jax.random.key(0), seeds)."""
    keys = threefry(np.zeros(2, np.uint32), SEEDS).T
    heights = np.array([bits(key, n_steps, 9) >> 9 for key in keys])
    return np.argsort(heights, axis=2, kind="stable")[..., :BATCH]


def problem() -> tuple[np.ndarray, np.ndarray]:
    """The Hessian and the samples, a row each, of the heterogeneous block quadratic."""
    turn = np.array([[2.0, 2.0, -1.0], [-1.0, 2.0, 2.0], [2.0, -1.0, 2.0]]) / 3
    curvatures = np.array([1.0, 2, 3, 99, 100, 101, 4998, 4999, 5000])
    basis = np.kron(np.eye(3), turn)
    return (basis * curvatures) @ basis.T, 3 * (basis * np.sqrt(curvatures)).T


def settings(n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates (3, RATES), and their factor at each step: warm-up, then half a cosine."""
    rates = np.stack([np.geomspace(low, 30 * low, RATES) for low in (1e-5, 1e-3, 3e-3)])
    n, rise = np.arange(n_steps), n_steps // 20
    falling = (1 + np.cos(np.pi * (n - rise) / (n_steps - rise))) / 2
    return rates, np.where(n < rise, n / rise, falling)


def ours(n_steps: int) -> Run:
    import jax

    from optdyn import quadratics

    block = quadratics.block_quadratic("heterogeneous")
    rates, factors = settings(n_steps)
    keys = jax.random.split(jax.random.key(0), SEEDS)

    def run() -> dict[str, np.ndarray]:
        losses = quadratics.race(
            block, ["none", "sign", "adam"], BETA, BETA, 1.0, rates, keys, n_steps, BATCH, factors,
            bias_correction=[False, False, True],
        )  # fmt: skip
        return {"losses": np.asarray(losses)}

    return run


def with_optax(together: bool) -> Callable[..., Run]:
    """A Python loop of compiled steps: of one run, or of all runs of a method together."""

    def prepare(n_steps: int) -> Run:
        import jax
        import jax.numpy as jnp
        import optax

        hessian, samples = map(jnp.asarray, problem())
        rates, factors = settings(n_steps)
        batches = minibatches(n_steps)

        def rules(rate: Any) -> list[Any]:
            """optax's own; the sum of momenta is 1 / (1 - beta) times the average."""
            return [
                optax.sgd(rate * (1 - BETA), momentum=BETA),
                optax.signum(rate, BETA),
                optax.adam(rate, BETA, BETA),
            ]

        def one(kind: int) -> Any:
            def step(w: Any, state: Any, batch: Any, rate: Any, factor: Any) -> Any:
                rows = samples[batch]
                gradient = rows.T @ (rows @ w) / BATCH
                update, state = rules(rate)[kind].update(gradient, state, w)
                w = w + factor * update
                return w, state, w @ (hessian @ w) / 2

            if together:
                step = jax.vmap(step, (0, 0, 0, None, None))  # seeds
                step = jax.vmap(step, (0, 0, None, 0, None))  # learning rates
            return jax.jit(step)

        steps = [one(kind) for kind in range(3)]
        shape = (RATES, SEEDS, 9) if together else (9,)

        def path(kind: int, rate: Any, batches: Any) -> list[Any]:
            w = jnp.ones(shape)
            state = rules(0.0)[kind].init(w)
            if together:  # the steps made are counted in every run
                state = jax.tree.map(
                    lambda leaf: leaf if leaf.ndim else jnp.zeros((RATES, SEEDS), leaf.dtype), state
                )
            losses = []
            for batch, factor in zip(batches, factors, strict=True):
                w, state, loss = steps[kind](w, state, batch, rate, factor)
                losses.append(loss)
            return losses

        def run() -> dict[str, np.ndarray]:
            if together:
                seen = batches.swapaxes(0, 1)
                found = [path(kind, rates[kind], seen) for kind in range(3)]
                return {"losses": np.stack([np.stack(one) for one in found], axis=1)}
            losses = np.full((n_steps, 3, RATES, SEEDS), np.nan)
            for kind in range(3):
                for i in range(TIMED):
                    found = path(kind, rates[kind, 5 * i], batches[7 * i])
                    losses[:, kind, 5 * i, 7 * i] = np.stack(found)
            return {"losses": losses}

        return run

    return prepare


def with_numpy(n_steps: int) -> Run:
    hessian, samples = problem()
    rates, factors = settings(n_steps)
    rows = samples[minibatches(n_steps).swapaxes(0, 1)]  # (n_steps, seeds, batch, 9)
    sizes = rates[:, :, None, None] * np.ones((1, 1, SEEDS, 1))

    def run() -> dict[str, np.ndarray]:
        w = np.ones((3, RATES, SEEDS, 9))
        m, v = np.zeros_like(w), np.zeros_like(w[2])
        losses = np.empty((n_steps, 3, RATES, SEEDS))
        update = np.empty_like(w)
        for n in range(n_steps):
            along = np.einsum("sbi,krsi->krsb", rows[n], w)
            gradient = np.einsum("krsb,sbi->krsi", along, rows[n]) / BATCH
            m = BETA * m + (1 - BETA) * gradient
            v = BETA * v + (1 - BETA) * gradient[2] ** 2
            part = 1 - BETA ** (n + 1)
            update[0], update[1] = m[0], np.sign(m[1])
            update[2] = m[2] / part / (np.sqrt(v / part) + EPS)
            w -= factors[n] * sizes * update
            losses[n] = np.sum((w @ hessian) * w, axis=-1) / 2
        return {"losses": losses}

    return run


def with_torch(n_steps: int) -> Run:
    import torch

    torch.set_num_threads(1)
    hessian, samples = map(torch.from_numpy, problem())
    rates, factors = settings(n_steps)
    rows = samples[torch.from_numpy(minibatches(n_steps).swapaxes(0, 1).copy())]
    sizes = torch.from_numpy(rates)[:, None, :, None]

    def run() -> dict[str, np.ndarray]:
        # (methods, seeds, rates, 9): the products with a seed's rows are of matrices
        w = torch.ones(3, SEEDS, RATES, 9, dtype=torch.float64)
        m, v = torch.zeros_like(w), torch.zeros_like(w[2])
        losses = torch.empty(n_steps, 3, SEEDS, RATES, dtype=torch.float64)
        update = torch.empty_like(w)
        with torch.inference_mode():
            for n in range(n_steps):
                gradient = (w @ rows[n].mT) @ rows[n] / BATCH
                m.mul_(BETA).add_(gradient, alpha=1 - BETA)
                v.mul_(BETA).addcmul_(gradient[2], gradient[2], value=1 - BETA)
                part = 1 - BETA ** (n + 1)
                update[0], update[1] = m[0], torch.sign(m[1])
                update[2] = m[2] / part / (torch.sqrt(v / part) + EPS)
                w -= factors[n] * sizes * update
                losses[n] = torch.sum((w @ hessian) * w, dim=-1) / 2
        return {"losses": losses.mT.numpy()}

    return run


def with_numba(n_steps: int) -> Run:
    import numba

    @numba.njit(fastmath=True)
    def loop(
        hessian: Any, samples: Any, rates: Any, factors: Any, batches: Any, losses: Any
    ) -> None:
        """One run after another."""
        for kind in range(3):
            for place in range(rates.shape[1]):
                for seed in range(len(batches)):
                    w, m, v, g = np.ones(9), np.zeros(9), np.zeros(9), np.zeros(9)
                    power = 1.0
                    for n in range(len(factors)):
                        g[:] = 0
                        for j in batches[seed, n]:
                            along = 0.0
                            for i in range(9):
                                along += samples[j, i] * w[i]
                            for i in range(9):
                                g[i] += along * samples[j, i] / BATCH
                        power *= BETA
                        rate = rates[kind, place] * factors[n]
                        for i in range(9):
                            m[i] = BETA * m[i] + (1 - BETA) * g[i]
                            if kind == 0:
                                w[i] -= rate * m[i]
                            elif kind == 1:
                                w[i] -= rate * np.sign(m[i])
                            else:
                                v[i] = BETA * v[i] + (1 - BETA) * g[i] ** 2
                                root = np.sqrt(v[i] / (1 - power)) + EPS
                                w[i] -= rate * m[i] / (1 - power) / root
                        total = 0.0
                        for i in range(9):
                            along = 0.0
                            for k in range(9):
                                along += hessian[i, k] * w[k]
                            total += along * w[i]
                        losses[n, kind, place, seed] = total / 2

    parts = (*problem(), *settings(n_steps), minibatches(n_steps))

    def run() -> dict[str, np.ndarray]:
        losses = np.empty((n_steps, 3, RATES, SEEDS))
        loop(*parts, losses)
        return {"losses": losses}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    complaints = []
    expected = answers["optdyn"]["losses"]
    for name, found in answers.items():
        losses = found["losses"]
        made = ~np.isnan(losses[0])  # the runs that it made
        ours = expected[-len(losses) :][:, made]
        off = np.abs(losses[:, made] - ours) / (WITHIN * np.abs(ours) + 1e-12 * expected[0].max())
        if not (made.sum() >= 3 * TIMED and off.max() < 1):
            complaints.append(f"{name}: off by {off.max():.1f} times what is allowed")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    flops = 3 * RATES * SEEDS * task["n_steps"] * (4 * 9 * BATCH + 2 * 27 + 2 * 9 + 5 * 9)
    return Bound(
        flops / machine.flops64,
        f"A step has two products with {BATCH} rows of 9, the loss from three blocks of 3 x 3, and "
        f"five operations a weight to average and to move, {flops:.2g} in all, at "
        f"{machine.flops64:.2g} a second; Adam's roots and quotients come on top.",
    )


ROW = Row(
    title="Race of optimisers on the block quadratic",
    topic="adam",
    ensemble=True,
    size="3 methods x 12 learning rates x 20 seeds, {n_steps} steps of batch 3, float64",
    tasks={"whole": {"n_steps": 500}, "quick": {"n_steps": 60}},
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "optax, step by step": Contestant(with_optax(False), share=TIMED / (RATES * SEEDS)),
        "optax, all runs together": Contestant(with_optax(True)),
        "NumPy": Contestant(with_numpy),
        "numba, run by run": Contestant(with_numba, "peers"),
        "PyTorch": Contestant(with_torch, "torch"),
    },
    compare=compare,
    bound=bound,
    why=(
        "A run in numba's loop computes the step of its own method. The one call computes the "
        "directions of all four methods for every run and selects, so that methods are numbers "
        "like any other and another choice of them does not recompile."
    ),
)
