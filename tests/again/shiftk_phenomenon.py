"""The numbers of the first notebook of the shift-K chapter: NumPy, SciPy and mpmath alone.

Errors come from Gram matrices, exit times from the coefficients of a quotient of polynomials,
memory from group delays; none of them uses the chain of cells.
"""

import functools

import mpmath
import numpy as np
import scipy.optimize
import scipy.signal


def exit_law(a, n):
    """The squared power series of prod (z - conj a) / (1 - a z), z a delay."""
    beta = np.zeros(n, complex)
    beta[0] = 1
    for pole in a:
        beta = scipy.signal.lfilter([-np.conj(pole), 1], [1, -pole], beta)
    return np.abs(beta) ** 2


def gain(a, lag):
    """g^H G^-1 g, for poles that are not too close."""
    a = np.asarray(a)
    g = np.conj(a) ** lag
    gram = 1 / (1 - np.conj(a)[:, None] * a)
    return float(np.real(np.vdot(g, np.linalg.solve(gram, g))))


def ring(seed, n):
    rng = np.random.default_rng(seed)
    return np.exp(-rng.uniform(0.03, 0.5, n) + 1j * rng.uniform(-np.pi, np.pi, n))


ARC = np.exp(-1 / 64 + 1j * np.pi / 64 * (np.arange(16) - 7.5))


def three_ways():
    a = ring(0, 6)
    found = []
    for lag in (0, 1, 7, 40):
        powers = a ** np.arange(1_500)[:, None]
        target = np.arange(1_500) == lag
        b = np.linalg.lstsq(powers, target.astype(complex))[0]
        brute = np.sum(abs(powers @ b - target) ** 2)
        found.append(np.ptp([brute, 1 - gain(a, lag), exit_law(a, lag + 1).sum()]))
    return found


def height():
    a = ring(1, 6)
    b = np.linalg.solve(1 / (1 - np.conj(a)[:, None] * a), np.conj(a) ** 7)
    c = a ** np.arange(2_000)[:, None] @ b
    return np.ptp([c[7].real, np.sum(abs(c) ** 2), gain(a, 7)])


def paper_poles():
    with mpmath.workdps(40):
        a = [mpmath.exp(mpmath.mpc(-1, s * mpmath.pi) / 128) for s in range(-8, 9)]
        gram = mpmath.matrix([[1 / (1 - mpmath.conj(s) * t) for t in a] for s in a])
        g = mpmath.matrix([mpmath.conj(s) ** 128 for s in a])
        b = mpmath.lu_solve(gram, g)
        return float(1 - mpmath.re(sum(mpmath.conj(x) * y for x, y in zip(g, b, strict=True))))


def mean_times():
    """The mean over the circle of the group delay, by finite differences of the phase."""
    circle = np.exp(2j * np.pi * np.arange(20_001) / 20_000)[:, None]
    means = []
    for a in (ring(0, 6), ARC, np.full(6, np.exp(-0.1 + 1j))):
        B = np.prod((circle - np.conj(a)) / (1 - a * circle), axis=1)
        means.append(np.angle(B[1:] / B[:-1]).sum() / (2 * np.pi))
    return means


def dense():
    """A companion matrix: memory by regression, and by the exit law of its eigenvalues."""
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed + 10)
        poles = np.exp(-rng.uniform(0.1, 1, 2) + 1j * rng.uniform(0.3, 2.8, 2))
        poles = np.append(np.append(poles, np.conj(poles)), 0.7)
        f = np.zeros(400)
        f[0] = 1
        x = scipy.signal.lfilter([1], np.poly(poles).real, f)
        states = np.array([np.append(np.zeros(i), x[: 400 - i]) for i in range(5)])
        curve = np.linalg.pinv(states @ states.T)
        memory = np.einsum("ik,ij,jk->k", states, curve, states)[:40]
        found.append(max(abs(memory - (1 - np.cumsum(exit_law(poles, 40))))))
    return found


@functools.cache
def random_sets():
    """Largest gain over bound, and largest rise, for other random poles."""
    rng, highest, rise = np.random.default_rng(7), [], -1.0
    for order in (1, 2, 4, 8, 16):
        ratios = []
        for _ in range(60):
            decay = np.exp(rng.uniform(np.log(0.002), 0, order))
            arc = np.exp(rng.uniform(np.log(0.05), np.log(np.pi)))
            a = np.exp(-decay + 1j * arc * rng.uniform(-1, 1, order))
            curve = 1 - np.cumsum(exit_law(a, 80))
            ratios.append(np.max(curve * np.arange(1, 81) / order))
            rise = max(rise, np.max(np.diff(curve)))
        highest.append(max(ratios))
    return highest, rise


def budget():
    lags = range(3_000)
    return sum(gain(ARC, lag) for lag in lags)


def drops():
    law = exit_law(ARC, 201)
    memory = np.array([gain(ARC, lag) for lag in range(201)])
    return np.max(abs(memory[:-1] - memory[1:] - law[1:]))


def regressions():
    """The least and the largest from the Gram matrix; the notebook's come from data."""
    a = np.exp(-1.3 / 32 + 2j * np.pi / 37.76 * (np.arange(8) - 3.5))
    return [gain(a, lag) for lag in (80, 0)]


def one_pole():
    best = scipy.optimize.minimize_scalar(
        lambda r: 1 - gain([r**0.5], 64), bounds=(0.5, 0.999), options={"xatol": 1e-9}
    )
    return best.fun, best.x


def energy_ratio():
    rng, highest = np.random.default_rng(9), 0.0
    for _ in range(2_000):
        S = rng.integers(1, 7)
        a = np.exp(-rng.uniform(0.01, 1, S) + 1j * rng.uniform(-np.pi, np.pi, S))
        b = rng.normal(size=S) + 1j * rng.normal(size=S)
        energy = np.real(np.vdot(b, (1 / (1 - np.conj(a)[:, None] * a)) @ b))
        power = abs(a ** np.arange(200)[:, None] @ b) ** 2
        highest = max(highest, np.max(power * np.arange(1, 201)) / (S * energy))
    return highest


def energy_widths():
    """From the tabulated errors of the best poles for lag 64, found by another search."""
    found = {2: 0.98421178, 4: 0.95983743, 8: 0.90530514, 16: 0.78911398}
    return [order / 64 / (1 - error) for order, error in found.items()]


AGAIN = {  # claim: (how it is measured again, how far the two may be apart)
    "shiftk-4": (three_ways, 1e-12),
    "shiftk-4b": (height, 1e-12),
    "shiftk-4c": (paper_poles, 1e-12),
    "shiftk-5": (mean_times, 1e-9),
    "shiftk-5b": (lambda: exit_law(ARC, 1)[0], 1e-12),
    "shiftk-5c": (dense, 1e-8),
    "shiftk-5d": (lambda: random_sets()[0], 0.25),
    "shiftk-6": (lambda: random_sets()[1], 1e-12),
    "shiftk-6b": (budget, 1e-8),
    "shiftk-6c": (drops, 1e-12),
    "shiftk-6d": (regressions, 0.025),
    "shiftk-7": (lambda: one_pole()[0], 1e-8),
    "shiftk-7b": (lambda: one_pole()[1], 1e-4),
    "shiftk-7c": (lambda: 1_001 * gain([(1_000 / 1_001) ** 0.5], 1_000), 1e-6),
    "shiftk-11": (energy_ratio, 0.3),
    "shiftk-11b": (energy_widths, 1e-3),
}
