"""The error of recalling one lag over a map of pole sets: what a slider's figure shows.

The poles are equally spaced, of one decay: a point of the map is a decay and a spacing. The others
form the Gram matrix of the poles' filters and solve the normal equations, the usual way, which
loses as many digits as the matrix's condition number has. So answers are compared within that; the
map stops where the others still have a few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

MOST = 1e-13  # beside 1e-15 times the condition number

Run = Callable[[], dict[str, np.ndarray]]


def logarithms(side: int, order: int, lag: int) -> np.ndarray:
    """log a = -decay + i phase, (side * side, order)."""
    alpha, spacing = np.meshgrid(np.geomspace(0.3, 3, side), np.linspace(1.05, 3, side))
    phase = 2 * np.pi * (np.arange(order) - (order - 1) / 2) / spacing.reshape(-1, 1)
    return (-alpha.reshape(-1, 1) + 1j * phase) / lag


def ours(side: int, order: int, lag: int) -> Run:
    import jax

    from optdyn import filters

    logs = logarithms(side, order, lag)
    poles = filters.Poles(jax.numpy.asarray(-logs.real), jax.numpy.asarray(logs.imag))
    # 64 sets at a time: what is computed on the way stays in the caches.
    errors = jax.jit(
        lambda poles: jax.lax.map(lambda one: filters.shift_error(one, lag), poles, batch_size=64)
    )
    return lambda: {"error": np.asarray(errors(poles))}


def system(logs: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrices 1 / (1 - conj(a_s) a_t) and moments conj(a_s)^lag."""
    a = np.exp(logs)
    return 1 / (1 - a.conj()[:, :, None] * a[:, None, :]), np.exp(lag * logs.conj())


def with_numpy(side: int, order: int, lag: int) -> Run:
    logs = logarithms(side, order, lag)

    def run() -> dict[str, np.ndarray]:
        gram, moment = system(logs, lag)
        readout = np.linalg.solve(gram, moment[..., None])[..., 0]
        return {"error": 1 - np.sum(moment.conj() * readout, axis=1).real}

    return run


def with_scipy(side: int, order: int, lag: int) -> Run:
    from scipy.linalg import cho_factor, cho_solve

    logs = logarithms(side, order, lag)

    def run() -> dict[str, np.ndarray]:
        errors = np.empty(len(logs))
        for i, (gram, moment) in enumerate(zip(*system(logs, lag), strict=True)):
            factor = cho_factor(gram, overwrite_a=True, check_finite=False)
            readout = cho_solve(factor, moment, check_finite=False)
            errors[i] = 1 - np.vdot(moment, readout).real
        return {"error": errors}

    return run


def with_numba(side: int, order: int, lag: int) -> Run:
    import numba

    @numba.njit
    def errors_of(logs: Any, found: Any) -> None:
        """|L^-1 g|^2 with G = L L^H, the rows of L one after another."""
        size = logs.shape[1]
        lower = np.zeros((size, size), np.complex128)
        z = np.zeros(size, np.complex128)
        for i in range(len(logs)):
            a = np.exp(logs[i])
            total = 0.0
            for s in range(size):
                for t in range(s + 1):
                    value = 1 / (1 - a[s].conjugate() * a[t])
                    for k in range(t):
                        value -= lower[s, k] * lower[t, k].conjugate()
                    lower[s, t] = np.sqrt(value.real) if s == t else value / lower[t, t].real
                value = np.exp(lag * logs[i, s].conjugate())
                for k in range(s):
                    value -= lower[s, k] * z[k]
                z[s] = value / lower[s, s].real
                total += z[s].real ** 2 + z[s].imag ** 2
            found[i] = 1 - total

    logs = logarithms(side, order, lag)

    def run() -> dict[str, np.ndarray]:
        errors = np.empty(len(logs))
        errors_of(logs, errors)
        return {"error": errors}

    return run


def with_torch(side: int, order: int, lag: int) -> Run:
    import torch

    torch.set_num_threads(1)
    logs = torch.from_numpy(logarithms(side, order, lag))

    def run() -> dict[str, np.ndarray]:
        a = torch.exp(logs)
        gram = 1 / (1 - a.conj()[:, :, None] * a[:, None, :])
        moment = torch.exp(lag * logs.conj())
        readout = torch.linalg.solve(gram, moment)
        return {"error": (1 - torch.sum(moment.conj() * readout, dim=1).real).numpy()}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    complaints = []
    expected = answers["optdyn"]["error"]
    gram, _ = system(logarithms(**task), task["lag"])
    scale = np.sqrt(gram.real.diagonal(axis1=1, axis2=2))
    condition = np.linalg.cond(gram / (scale[:, :, None] * scale[:, None, :]))
    if not np.quantile(condition, 0.25) < 1000:
        complaints.append("the map is too ill-conditioned to tell a right answer from a wrong one")
    for name, found in answers.items():
        off = np.abs(found["error"] - expected)
        worst = float(np.max(off / (MOST + 1e-15 * condition)))
        if not worst < 1:
            complaints.append(f"{name}: off by {worst:.1f} times what the condition allows")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    sets, order = task["side"] ** 2, task["order"]
    flops = sets * 4 * order**3 / 3
    return Bound(
        flops / machine.flops64,
        f"A Cholesky factor of the Gram matrix, the cheapest way here, has 4 S^3 / 3 operations "
        f"for S poles, {flops:.2g} in all, at {machine.flops64:.2g} a second.",
    )


ROW = Row(
    title="Error of the best readout",
    topic="shiftk",
    ensemble=True,
    size="a map of {side} x {side} sets of {order} poles, lag {lag}, float64",
    tasks={
        "whole": {"side": 64, "order": 16, "lag": 64},
        "quick": {"side": 16, "order": 8, "lag": 64},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "NumPy": Contestant(with_numpy),
        "SciPy, Cholesky": Contestant(with_scipy, "peers"),
        "numba, one loop": Contestant(with_numba, "peers"),
        "PyTorch": Contestant(with_torch, "torch"),
    },
    compare=compare,
    bound=bound,
    why=(
        "A Gram matrix is formed and factored with far fewer operations than a power of the state "
        "matrix has. It loses as many digits as its condition number has, and fails where poles "
        "cluster; the library keeps its digits there, which is why it takes the longer way."
    ),
)
