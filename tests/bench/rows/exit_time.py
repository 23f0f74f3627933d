"""The exit-time law of an ensemble of pole sets: energy leaving a cascade of all-pass sections.

The others put an impulse through the sections, as the law is defined; NumPy and one of numba's
loops do it for all sets together. Every contestant's numbers are compared with ours one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

WITHIN = 1e-13  # of energies that sum to 1

Run = Callable[[], dict[str, np.ndarray]]


def pole_sets(sets: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Decays from 1 / 1,000 to 1 / 10 and any phases, (sets, order) each."""
    rng = np.random.default_rng(0)
    decay = np.exp(rng.uniform(np.log(1 / 1000), np.log(1 / 10), (sets, order)))
    return decay, rng.uniform(-np.pi, np.pi, (sets, order))


def ours(sets: int, order: int, n: int) -> Run:
    import jax

    from optdyn import filters

    decay, phase = map(jax.numpy.asarray, pole_sets(sets, order))
    # 32 sets at a time: what is computed on the way stays in the caches.
    laws = jax.jit(
        lambda poles: jax.lax.map(lambda one: filters.exit_time_pmf(one, n), poles, batch_size=32)
    )
    return lambda: {"law": np.asarray(laws(filters.Poles(decay, phase)))}


def sections(sets: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The poles a and sqrt(1 - |a|^2)."""
    decay, phase = pole_sets(sets, order)
    return np.exp(-decay + 1j * phase), np.sqrt(-np.expm1(-2 * decay))


def with_numpy(sets: int, order: int, n: int) -> Run:
    """All sets and all sections at once, each section a step behind the one before."""
    a, d = (part.T.copy() for part in sections(sets, order))

    def run() -> dict[str, np.ndarray]:
        w, x = np.zeros_like(a), np.zeros_like(a)
        x[0] = 1
        law = np.empty((n, sets))
        for j in range(n + order - 1):
            y = d * w - a.conj() * x
            w = a * w + d * x
            x[0], x[1:] = 0, y[:-1]
            if j >= order - 1:
                law[j - order + 1] = y[-1].real ** 2 + y[-1].imag ** 2
        return {"law": law.T}

    return run


def with_scipy(sets: int, order: int, n: int) -> Run:
    from scipy.signal import lfilter

    a, _ = sections(sets, order)
    impulse = np.zeros(n, complex)
    impulse[0] = 1

    def run() -> dict[str, np.ndarray]:
        law = np.empty((sets, n))
        for one, poles in zip(law, a, strict=True):
            x = impulse
            for pole in poles:
                x = lfilter([-pole.conj(), 1], [1, -pole], x)
            one[:] = x.real**2 + x.imag**2
        return {"law": law}

    return run


def with_numba(together: bool) -> Callable[..., Run]:
    """One set after another, or, in the innermost loop, all of them."""

    def prepare(sets: int, order: int, n: int) -> Run:
        import numba

        @numba.njit(fastmath=True)
        def one_by_one(a: Any, d: Any, law: Any) -> None:
            for e in range(len(a)):
                w = np.zeros(a.shape[1], np.complex128)
                for j in range(law.shape[1]):
                    x = 1 + 0j if j == 0 else 0j
                    for s in range(len(w)):
                        pole, share, old = a[e, s], d[e, s], w[s]
                        w[s] = pole * old + share * x
                        x = share * old - pole.conjugate() * x
                    law[e, j] = x.real**2 + x.imag**2

        @numba.njit(fastmath=True)
        def all_together(real: Any, imag: Any, d: Any, law: Any) -> None:
            order, sets = d.shape
            u, v = np.zeros((order, sets)), np.zeros((order, sets))  # w = u + i v
            for j in range(law.shape[0]):
                p, q = np.full(sets, 1.0 if j == 0 else 0.0), np.zeros(sets)  # x = p + i q
                for s in range(order):
                    for e in range(sets):
                        a, b, share = real[s, e], imag[s, e], d[s, e]
                        old, other, x, y = u[s, e], v[s, e], p[e], q[e]
                        u[s, e] = a * old - b * other + share * x
                        v[s, e] = a * other + b * old + share * y
                        p[e] = share * old - a * x - b * y
                        q[e] = share * other - a * y + b * x
                law[j] = p**2 + q**2

        a, d = sections(sets, order)
        turned = [np.ascontiguousarray(part.T) for part in (a.real, a.imag, d)]

        def run() -> dict[str, np.ndarray]:
            if together:
                law = np.empty((n, sets))
                all_together(*turned, law)
                return {"law": law.T}
            law = np.empty((sets, n))
            one_by_one(a, d, law)
            return {"law": law}

        return run

    return prepare


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    expected = answers["optdyn"]["law"]
    complaints = [] if expected.sum(axis=1).min() > 0.1 else ["optdyn: hardly any energy left"]
    for name, found in answers.items():
        off = float(np.abs(found["law"] - expected).max())
        if not off < WITHIN:
            complaints.append(f"{name}: off by {off:.1e}, {WITHIN} is allowed")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    flops = 8 * task["sets"] * task["order"] * task["n"]
    return Bound(
        flops / machine.flops64,
        f"A value of the law is made of a product of two complex numbers for every pole at least, "
        f"with its sum eight operations, {flops:.2g} in all, at {machine.flops64:.2g} a second; "
        f"the powers of the state matrix, or the second product of a section, come on top.",
    )


ROW = Row(
    title="Exit-time law",
    topic="shiftk",
    ensemble=True,
    size="{sets} sets of {order} poles, {n:,} values of each law, float64",
    tasks={
        "whole": {"sets": 256, "order": 32, "n": 4096},
        "quick": {"sets": 32, "order": 16, "n": 512},
    },
    contestants={
        "optdyn": Contestant(ours, ours=True),
        "NumPy": Contestant(with_numpy),
        "SciPy, lfilter": Contestant(with_scipy, "peers"),
        "numba, set by set": Contestant(with_numba(False), "peers"),
        "numba, sets innermost": Contestant(with_numba(True), "peers"),
    },
    compare=compare,
    bound=bound,
    why=(
        "The recursion over all sets in numba's innermost loop fills the processor's vector units; "
        "the library forms powers of the state matrices, with two to three times the operations, a "
        "way that is as fast for one long law and can be differentiated."
    ),
)
