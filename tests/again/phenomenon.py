"""The numbers of the first notebook of the cycles chapter, in NumPy and SciPy alone."""

import functools
import math

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

# --- one dimension: orbit, minimiser, the curve of two-cycles ------------------------------------

PATIENTS = np.array([1.0, 1.0, 1.0, -1.0])
OUTLIER = np.array([1.0, 1.0, -1.0, 10.0])


def slope(w, z):
    return -np.mean(z * expit(-np.multiply.outer(w, z)), axis=-1)


def bend(w, z):
    m = np.multiply.outer(w, z)
    return np.mean(z**2 * expit(m) * expit(-m), axis=-1)


def inverse_slope(force, z):
    """W(F) by bisection, for an array of forces."""
    low, high = np.full(np.shape(force), -1e3), np.full(np.shape(force), 1e3)
    for _ in range(70):
        middle = (low + high) / 2
        above = slope(middle, z) > force
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


@functools.cache
def minimum(z):
    star = float(inverse_slope(0.0, np.array(z)))
    return star, float(bend(star, np.array(z)))


def orbit(w, z, gamma, n_steps, forget=0):
    """The iterates after `forget` steps; w may be an array of starts."""
    eta = gamma / minimum(tuple(z))[1]
    kept = []
    for t in range(forget + n_steps):
        if t >= forget:
            kept.append(w)
        w = w - eta * slope(w, z)
    return np.array(kept)


def exponents(z, gammas, starts, n_steps=4_000):
    curvature = minimum(tuple(z))[1]
    return [
        np.mean(np.log(abs(1 - g / curvature * bend(orbit(starts, z, g, n_steps, 3_000), z))))
        for g in gammas
    ]


def two_cycle_step(force, z):
    return (inverse_slope(force, z) - inverse_slope(-force, z)) / force


def lowest_gamma(z):
    """min over F of lambda eta(F), at most 2: a grid, then a search around its least point."""
    pull = -slope(-1e3, z), slope(1e3, z)
    forces = min(pull) * np.linspace(1e-3, 0.999, 400)
    values = two_cycle_step(forces, z)
    i = int(np.argmin(values))
    ends = forces[max(i - 1, 0)], forces[min(i + 1, 399)]
    found = minimize_scalar(
        lambda f: float(two_cycle_step(f, z)),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-9},
    )
    return min(2.0, found.fun * minimum(tuple(z))[1])


def period(gamma):
    tail = orbit(0.0, PATIENTS, gamma, 24, 5_000)
    return next(k for k in range(1, 13) if np.allclose(tail[k:], tail[:-k], atol=1e-6))


# --- what the claims say -------------------------------------------------------------------------


def bounded():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(60, 8, 2)) * np.exp(rng.normal(size=(60, 8, 1)))
    ratios = []
    for z in draws:
        angles = np.sort(np.arctan2(z[:, 1], z[:, 0]))
        if np.diff(angles, append=angles[0] + 2 * np.pi).max() >= np.pi:
            continue  # a half plane holds them all: separable
        turns = np.linspace(0, 2 * np.pi, 20_000)
        rays = np.stack([np.cos(turns), np.sin(turns)], -1)
        c = np.maximum(0, -rays @ z.T).mean(1).min()
        reach = np.linalg.norm(z, axis=1).max()
        etas = np.array([0.1, 1.0, 10.0, 1e3])[:, None]
        w, farthest = np.zeros((4, 2)), np.zeros(4)
        for _ in range(5_000):
            w = w + etas * (expit(-w @ z.T) @ z) / len(z)
            farthest = np.maximum(farthest, np.linalg.norm(w, axis=1))
        etas = etas[:, 0]
        ratios += list(farthest / ((0.2785 + etas * reach**2 / 2) / c + etas * reach))
    return [min(ratios), max(ratios)]


@functools.cache
def separable(eta):
    z, w = np.array([[1, 0.2], [-2, 0.2]]), np.zeros(2)
    for _ in range(100_000):
        w = w + eta * (expit(-z @ w) @ z) / 2
    return w[0], eta * 1e5 * np.mean(np.logaddexp(0, -z @ w))


def opening(epsilon):
    """Half the distance of the pair over sqrt(epsilon / c), from gamma(delta) in closed form."""
    p = 3 / 4

    def logit(x):
        return math.log(x / (1 - x))

    def gamma(delta):
        return p * (1 - p) * (logit(p + delta) - logit(p - delta)) / delta

    delta = brentq(lambda d: gamma(d) - 2 - epsilon, 1e-4, 0.2, xtol=1e-14)
    half = (2 + epsilon) / (p * (1 - p)) * delta / 2
    return half / math.sqrt(epsilon / (2 / 3 - 2 * p * (1 - p)))


def doublings(z, gamma, n):
    """Where the multiplier of a cycle reaches -1, by bisection; the cycle by Newton's method."""
    curvature, k, found = minimum(tuple(z))[1], 2, []

    def cycle(gamma, w):
        eta = gamma / curvature
        for _ in range(60):
            u, growth = w, 1.0
            for _ in range(k):
                u, growth = u - eta * slope(u, z), growth * (1 - eta * bend(u, z))
            w = w - (u - w) / (growth - 1)
        return w, growth

    width = 0.08  # less than the distance to the next doubling but one
    for _ in range(n):
        low, w = gamma, orbit(0.0, z, gamma, 1, 6_000)[0]
        while (ahead := cycle(low + width / 4, w))[1] > -1:
            low, w = low + width / 4, ahead[0]
        high = low + width / 4
        for _ in range(50):
            middle = (low + high) / 2
            ahead = cycle(middle, w)
            low, high, w = (middle, high, ahead[0]) if ahead[1] > -1 else (low, middle, w)
        found.append(low)
        width = abs(low - (found[-2] if len(found) > 1 else 2)) / 4.669
        gamma, k = low + width / 3, 2 * k
    return found


def curve():
    """Pairs on which other random data settle, found by iteration, against the curve."""
    rng, ratios = np.random.default_rng(77), []
    while len(ratios) < 5:
        z = rng.normal(size=6) * np.exp(rng.normal(size=6))
        if z.min() > 0 or z.max() < 0:
            continue
        gamma = rng.uniform(2.05, 2.3)
        tail = orbit(minimum(tuple(z))[0] + 0.1, z, gamma, 4, 6_000)
        if np.allclose(tail[2:], tail[:2], rtol=0, atol=1e-12) and abs(tail[1] - tail[0]) > 1e-3:
            force = abs(slope(tail[0], z))
            ratios.append(two_cycle_step(force, z) * minimum(tuple(z))[1] / gamma)
    return [min(ratios), max(ratios)]


def least_of_random_sets():
    rng, found = (
        np.random.default_rng(2),
        [lowest_gamma(np.array([1, -c, 1e4])) for c in (0.9, 0.99)],
    )
    while len(found) < 202:
        signs, spread = rng.choice([-1, 1], size=8), rng.choice([0.5, 1, 2, 3])
        z = signs * np.exp(spread * rng.normal(size=8))
        if z.min() < 0 < z.max():
            found.append(lowest_gamma(z))
    return min(found)


def astray(gamma):
    last = orbit(np.linspace(-3, 3, 601), OUTLIER, gamma, 1, 6_000)[0]
    return np.mean(abs(last - minimum(tuple(OUTLIER))[0]) > 1e-3)


HAIR = np.linspace(0, 1e-9, 64)
BESIDE = minimum(tuple(OUTLIER))[0] + 0.01
AGAIN = {  # claim: (how it is measured again, how far the two may be apart)
    "cycles-1": (bounded, 2e-3),
    "cycles-2": (lambda: np.mean(expit(orbit(0.0, PATIENTS, 3.0, 60_000))), 2e-4),
    "cycles-3": (least_of_random_sets, 1e-4),
    "cycles-4": (curve, 1e-8),
    "cycles-4b": (lambda: lowest_gamma(OUTLIER), 1e-8),
    "cycles-11": (lambda: [opening(e) for e in (1e-3, 2e-3, 5e-3)], 1e-6),
    "cycles-13": (lambda: doublings(OUTLIER, 1.9, 3), 1e-9),
    "cycles-13b": (lambda: 4.669201609, 0.01),
    "cycles-14": (lambda: [astray(g) for g in (1.90, 1.98)], 0.004),
    "cycles-14a": (lambda: astray(1.85), 0),
    "cycles-14b": (lambda: exponents(OUTLIER, (1.93, 1.98), HAIR), 0.01),
    "cycles-14c": (lambda: exponents(OUTLIER, (1.93, 1.98), BESIDE + HAIR[:2]), 1e-4),
    "cycles-16": (lambda: doublings(PATIENTS, 2.4, 3), 1e-9),
    "cycles-16b": (lambda: 4.669201609, 0.01),
    "cycles-16c": (
        lambda: exponents(PATIENTS, (2.5, 2.7, 3.0, 3.3), np.linspace(-0.5, 0.5, 64)),
        0.006,
    ),
    "cycles-16d": (lambda: [period(g) for g in (1.9, 2.4, 2.7, 3.5, 3.76)], 0),
    "cycles-18": (lambda: [separable(eta)[0] for eta in (1.0, 4.0, 10.0)], 1e-6),
    "cycles-18b": (lambda: [separable(eta)[1] for eta in (1.0, 4.0, 10.0)], 1e-3),
    "cycles-p2": (lambda: abs(1 - np.array([0.1, 1.9, 1.99, 2.01, 2.05])), 1e-4),
}
