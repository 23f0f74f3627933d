"""The numbers of the first notebook of the noise chapter, in NumPy alone and with other seeds."""

import functools

import numpy as np

THETAS = np.array([0.05, 0.2, 0.5, 1.0, 1.5])  # step size times curvature
KAPPAS = np.array([0.25, 0.5, 0.75, 0.9])


def signs(rng, shape):
    return rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0


def correlations():
    xi = np.random.default_rng(1).normal(size=400_001)
    e = np.diff(xi)
    return [np.corrcoef(e[lag:], e[: e.size - lag])[0, 1] for lag in (1, 2, 3)]


def two_forms():
    """The w-form and the z-form of Anti-PGD in the valley: how far apart at most."""
    rng = np.random.default_rng(2)
    xi = 0.1 * rng.normal(size=(101, 4))
    w = np.array([1.0, 2.0, -1.0, 0.5])
    z, apart = w - xi[0], []
    for n in range(100):
        apart.append(abs(w - z - xi[n]).max())
        w = w - 0.05 * slope(w) + xi[n + 1] - xi[n]
        z = z - 0.05 * slope(z + xi[n])
    return max(apart)


def slope(w):
    """The gradient of v^2 |u|^2 / 2, for w = (u, v) along the last axis."""
    u, v = w[..., :-1], w[..., -1:]
    return np.concatenate([v**2 * u, (u**2).sum(-1, keepdims=True) * v], axis=-1)


# --- quadratics ----------------------------------------------------------------------------------


@functools.cache
def chains(kappa):
    """Variances of w, and of z = w - kappa xi, for each theta; unit noise, 2,000 chains."""
    rng = np.random.default_rng(int(100 * kappa) + 3)
    xi, w = rng.normal(size=(2, 5, 2_000))
    square_w, square_z = np.zeros(5), np.zeros(5)
    for n in range(1_600):
        fresh = rng.normal(size=w.shape)
        w = (1 - THETAS[:, None]) * w + fresh - kappa * xi
        xi = fresh
        if n >= 200:
            square_w += (w**2).mean(1) / 1_400
            square_z += ((w - kappa * xi) ** 2).mean(1) / 1_400
    return square_w, square_z


def pgd():
    return chains(0.0)[0] * THETAS * (2 - THETAS)


def anti_pgd():
    return chains(1.0)[0] * (2 - THETAS) / 2


def shifted():
    return chains(1.0)[1] * (2 - THETAS) / THETAS


def crossings():
    ratio = chains(0.0)[0] / chains(1.0)[0]
    return [ratio[2], 2 * ratio[3]]


def partial():
    theta = 0.2
    predicted = ((1 - KAPPAS) ** 2 + 2 * KAPPAS * theta) / (theta * (2 - theta))
    return [chains(k)[0][1] for k in KAPPAS] / predicted


def flat():
    """Variances after 1,000 steps on a flat loss over nσ², 2σ² and that for κ = 0.9."""
    rng, n, found = np.random.default_rng(4), 1_000, []
    for kappa in (0.0, 1.0, 0.9):
        xi, w = rng.normal(size=4_000), 0.0
        for _ in range(n):
            fresh = rng.normal(size=4_000)
            w, xi = w + fresh - kappa * xi, fresh
        found.append(np.var(w) / (1 + (n - 1) * (1 - kappa) ** 2 + kappa**2))
    return found


def where_to_look():
    """(mean L(w) - mean L(z)) / (sigma^2 tr A / 2) for Anti-PGD on a quadratic."""
    rng = np.random.default_rng(5)
    a = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 1.0]])
    xi = signs(rng, (400, 3))
    w, gap = np.zeros((400, 3)), 0.0
    for n in range(2_200):
        fresh = signs(rng, (400, 3))
        w, xi = w - 0.1 * w @ a + fresh - xi, fresh
        if n >= 200:
            z = w - xi
            gap += (np.sum(w @ a * w, 1) - np.sum(z @ a * z, 1)).mean() / 2 / 2_000
    return gap / (np.trace(a) / 2)


# --- the widening valley -------------------------------------------------------------------------


def traces():
    """The trace of a Hessian of finite differences over d v^2 + |u|^2."""
    rng, ratios = np.random.default_rng(6), []
    for d in (1, 3, 10):
        w, h = rng.normal(size=d + 1), 1e-5
        shift = h * np.eye(d + 1)
        bend = (slope(w + shift) - slope(w - shift)) / (2 * h)
        ratios.append(np.trace(bend) / (d * w[-1] ** 2 + (w[:-1] ** 2).sum()))
    return ratios


def flows(step_size):
    w = np.array([3.0, 4.0, 2.0])
    for _ in range(int(4 / step_size)):
        w = w - step_size * slope(w)
    return (21 - w[0] ** 2 - w[1] ** 2) / step_size


D, DIM, ETA, SIGMA = 100.0, 32, 0.00125, 0.39**0.5


@functools.cache
def valley(kappa):
    """64 runs of 8,000 steps: tails of |u|^2 and tr H, and the share that leaves as expected."""
    rng = np.random.default_rng(int(7 + kappa))
    w = np.full((64, DIM + 1), (D / DIM) ** 0.5)
    w[:, -1] = 0
    xi, left = SIGMA * signs(rng, w.shape), np.zeros(64)
    tail = np.zeros(2)
    for n in range(8_000):
        fresh = SIGMA * signs(rng, w.shape)
        w, xi = w - ETA * slope(w) + fresh - kappa * xi, fresh
        size = (w[:, :-1] ** 2).sum(1)
        left = np.where(left, left, (size >= 4 * D) * 1.0 - (size <= D / 4))
        if n >= 7_000:
            tail += [size.mean() / 1_000, (size + DIM * w[:, -1] ** 2).mean() / 1_000]
    return tail[0], tail[1], np.mean(left == (-1 if kappa else 1))


def jump():
    rng = np.random.default_rng(9)
    xi = SIGMA * signs(rng, (2, 20_000, DIM))
    u = (D / DIM) ** 0.5 + xi[1] - xi[0]
    z = (D / DIM) ** 0.5 - xi[0]
    return [(u**2).sum(1).mean(), (z**2).sum(1).mean()]


AGAIN = {  # claim: (how it is measured again, how far the two may be apart)
    "noise-1": (correlations, 0.015),
    "noise-2": (two_forms, 1e-12),
    "noise-8": (pgd, 0.05),
    "noise-8b": (anti_pgd, 0.02),
    "noise-8c": (shifted, 0.05),
    "noise-8d": (crossings, 0.04),
    "noise-9": (partial, 0.04),
    "noise-10": (flat, 0.15),
    "noise-11": (traces, 1e-4),
    "noise-11b": (lambda: [flows(e) for e in (2e-3, 1e-3)], 0.5),
    "noise-14": (lambda: valley(0.0)[0], 60),
    "noise-14b": (lambda: valley(1.0)[0], 0.3),
    "noise-14c": (lambda: valley(1.0)[1], 0.6),
    "noise-14d": (jump, 1.5),
    "noise-14e": (lambda: [valley(k)[2] for k in (0.0, 1.0)], 0),
    "noise-28": (where_to_look, 0.02),
}
