"""The numbers of the second notebook of the noise chapter, in NumPy and SciPy, other seeds."""

import functools
from itertools import product

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

# --- one step, all outcomes -------------------------------------------------------------


def slope(w):
    """The gradient of v^2 |u|^2 / 2, for w = (u, v) along the last axis."""
    u, v = w[..., :-1], w[..., -1:]
    return np.concatenate([v**2 * u, (u**2).sum(-1, keepdims=True) * v], axis=-1)


def outcomes(sigma):
    signs = np.array(list(product([-1.0, 1.0], repeat=4)))
    return 0.05 * slope(np.array([1.0, -2.0, 0.5, 0.7]) + sigma * signs)


def mean_step():
    u, v = np.array([1.0, -2.0, 0.5]), 0.7
    expected = np.append((v * v + 0.09) * u, (u @ u + 3 * 0.09) * v)
    return np.abs(outcomes(0.3).mean(0) - 0.05 * expected).max()


def scatter():
    """The variance by its own polynomial: the Hessian by differences of the gradient."""
    at, h = np.array([1.0, -2.0, 0.5, 0.7]), 1e-6
    H = np.array([(slope(at + h * e) - slope(at - h * e)) / (2 * h) for e in np.eye(4)])
    return outcomes(0.05).var(0) / (0.05**2 * 0.05**2 * (H**2).sum(0))


def scatter_of_pgd():
    return outcomes(0.05).var(0) / 0.05**2


# --- smoothing --------------------------------------------------------------------------


def wells(x, sigma=0.0):
    total = 1.0
    for centre, depth, width in ((-1, 1.0, 0.1), (1, 0.9, 0.5)):
        s = np.hypot(width, sigma)
        total = total - depth * width / s * np.exp(-((x - centre) ** 2) / (2 * s * s))
    return total


def level():
    def gap(sigma):
        ends = [
            minimize_scalar(wells, bounds=(c - 0.2, c + 0.2), method="bounded", args=(sigma,)).fun
            for c in (-1, 1)
        ]
        return ends[0] - ends[1]

    return brentq(gap, 0.01, 0.2)


def false_well():
    x = np.linspace(-1.4, -0.6, 8001)
    bend = np.zeros_like(x)
    for centre, depth, width in ((-1, 1.0, 0.1), (1, 0.9, 0.5)):
        t = (x - centre) / width
        bend += depth / width**2 * (1 - t * t) * np.exp(-t * t / 2)
    return (wells(x) + 0.02 * bend).min()


def smooth_well():
    def mean(x):
        def weighed(t):
            return wells(x + 0.2 * t) * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)

        return quad(weighed, -8, 8, epsabs=1e-9, limit=200)[0]

    return min(mean(x) for x in np.linspace(-1.2, -0.8, 41))


def expected_sharpness():
    """The exact mean: of X (2 w e + e^2) squared, by the moments of the normal e."""
    rng = np.random.default_rng(4)
    X, w = rng.normal(size=(40, 100)), rng.normal(size=100)
    variance, columns = 0.05**2, (X**2).sum(0)
    mean = variance * X.sum(1)
    square = mean @ mean + columns @ (4 * w**2 * variance + 2 * variance**2)
    return square / 160 / (variance / 2 * (2 / 40) * columns @ w**2)


@functools.cache
def near_the_flattest(eta):
    """The mean of |grad of the regularised loss|^2 at rest, sigma = 0.3 and 0.6."""
    rng, means = np.random.default_rng(1), []
    for sigma in (0.3, 0.6):
        x, y, total = np.full(4_000, 0.0), np.full(4_000, 0.0), []
        for n in range(5_000):
            a, b = sigma * (2.0 * rng.integers(0, 2, (2, 4_000)) - 1)
            p, q = x + a, y + b
            x, y = x - eta * q * q * p, y - eta * q * (1 + p * p)
            if n >= 3_000 and n % 20 == 0:
                along, across = (y * y + sigma**2) * x, (x * x + 1 + sigma**2) * y
                total.append(np.mean(along**2 + across**2))
        means.append(np.mean(total))
    return np.array(means)


def flattest_over_law():
    s2 = np.array([0.09, 0.36])
    return near_the_flattest(0.025) / (0.0125 * s2 * ((1 + s2) ** 3 + s2**3))


# --- the widening valley ----------------------------------------------------------------


def valley(lanes, dim, n_steps, every, seed, runs, eta=0.0025):
    """|u|^2 at w and at z at every `every`-th step, for lanes of (|u_0|^2, sigma^2, kappa)."""
    rng = np.random.default_rng(seed)
    size, variance, kappa = np.repeat(np.array(lanes, float), runs, axis=0).T
    w = np.append(np.ones((size.size, dim)) * np.sqrt(size / dim)[:, None], 0 * size[:, None], 1)
    sigma, kappa, rows = np.sqrt(variance)[:, None], kappa[:, None], []
    xi = sigma * (2.0 * rng.integers(0, 2, w.shape, dtype=np.int8) - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_steps, 500):
            for i, kick in enumerate(rng.integers(0, 2, (500, *w.shape), dtype=np.int8), first):
                new = sigma * (2.0 * kick - 1)
                w, xi = w - eta * slope(w) + new - kappa * xi, new
                if (i + 1) % every == 0:
                    z = w - kappa * xi
                    rows.append([(w[:, :-1] ** 2).sum(1), (z[:, :-1] ** 2).sum(1)])
    return np.array(rows).transpose(2, 0, 1).reshape(len(lanes), runs, -1, 2)


@functools.cache
def theorem():
    bound = 0.5 * 100 / 16
    return valley([(100, bound / 8, 0), (100, bound / 8, 1), (100, bound, 1)], 8, 2_000, 1, 2, 150)


def ends(lane):
    return theorem()[lane, :, 1_500:, 0].mean()


def top():
    size = theorem()[2, :, :, 0]
    out = (size <= 50) | (size >= 200)
    left = [row[np.argmax(o)] for row, o in zip(size, out, strict=True) if o.any()]
    return np.mean(np.array(left) >= 200)


def first_step():
    """Each coordinate of xi_1 - xi_0 is 2 sigma, 0, 0 or -2 sigma: all outcomes in eight."""
    sigma = np.sqrt(0.5 * 100 / 16)
    values, weights = np.zeros(1), np.ones(1)
    for _ in range(8):
        step = np.array([2 * sigma, 0, -2 * sigma])
        added = 2 * np.sqrt(100 / 8) * step + step**2
        values = np.add.outer(values, added).ravel()
        weights = np.multiply.outer(weights, [0.25, 0.5, 0.25]).ravel()
    mean = weights @ values
    return (100 + mean) / 100, np.sqrt(weights @ (values - mean) ** 2) / 100


def drift(kappa):
    rng, ratios, sigma = np.random.default_rng(3), [], 0.004
    for eta in (0.05, 0.2, 0.5):
        for start in (0.5, 1.0):
            theta, shape = eta * (1 + start**2), 20_000
            xi = sigma * rng.normal(size=(2, shape))
            free = sigma**2 * (theta / (2 - theta) if kappa else 1 / (theta * (2 - theta)))
            v = np.sqrt(free) * rng.normal(size=shape) + kappa * xi[1]
            u, moved = start + kappa * xi[0], 0.0
            for _ in range(60):
                fresh = sigma * rng.normal(size=(2, shape))
                pull = -eta * u * v * v
                u, v = (
                    u + pull + fresh[0] - kappa * xi[0],
                    v - eta * (1 + u * u) * v + fresh[1] - kappa * xi[1],
                )
                xi, moved = fresh, moved + pull.mean() / 60
            law = 2 * sigma**2 / (2 - theta) if kappa else sigma**2 / (theta * (2 - theta))
            ratios.append(moved / (-eta * start * law))
    return ratios


def mean_field():
    variance, eta, d, p, law = 0.39, 0.00125, 32, 100 + 32 * 0.39, {}
    for n in range(1, 4_001):
        rho = eta * (p + d * variance)
        m2, q2 = 2 * variance / (2 - rho), rho * variance / (2 - rho)
        m4 = 3 * q2**2 + 6 * q2 * variance + variance**2
        p += p * (eta**2 * m4 - 2 * eta * m2) + eta**2 * m4 * d * variance
        law[n] = p
    rows = valley([(100, 0.39, 1)], 32, 4_000, 500, 4, 200, eta)[0, :, :, 1].mean(0)
    return [rows[n // 500 - 1] / law[n] for n in (500, 1_000, 2_000, 4_000)]


KAPPAS = (0.0, 0.3, 0.5, 0.7, 0.8)


@functools.cache
def long_runs():
    lanes = [(100, 0.2, k) for k in KAPPAS]
    lanes += [(1, 0.5, 1), (100, 0.4, 0), (100, 3.2, 0), (100, 6.4, 0)]
    return 0.00125 * valley(lanes, 8, 20_000, 200, 5, 24)


def rest():
    return [long_runs()[i, :, 50:, 1].mean() for i in range(5)]


def quantiles():
    return np.quantile(long_runs()[0, :, 50:, 1], [0.05, 0.25, 0.5, 0.75, 0.95])


def lost(lane):
    return 1 - np.isfinite(long_runs()[lane, :, -1, 1]).mean()


def from_above():
    return 0.0025 * valley([(600, 0.2, 0)], 3, 20_000, 200, 6, 64)[0, :, 50:, 1].mean()


# --- one hidden unit --------------------------------------------------------------------


ETAS = np.array([0.06, 0.1, 0.14, 0.18, 0.22])


@functools.cache
def hidden_unit():
    """|u|^2 at rest for each step size, by Anti-PGD in its first form, with w = (u, v)."""
    rng, sigma, runs = np.random.default_rng(7), 0.05, 48
    eta = np.repeat(ETAS, runs)[:, None]
    w = np.zeros((len(eta), 11))
    w[:, 0], w[:, 10] = (2 * 10**0.5) ** 0.5, (2 / 10**0.5) ** 0.5
    target, total, kept = 2 * np.eye(10)[0], 0.0, 0
    old = sigma * (2.0 * rng.integers(0, 2, w.shape) - 1)
    for first in range(0, 24_000, 500):
        for i, signs in enumerate(rng.integers(0, 2, (500, *w.shape), dtype=np.int8), first):
            u, v, new = w[:, :10], w[:, 10:], sigma * (2.0 * signs - 1)
            r = v * u - target
            slopes = np.append(v * r, (u * r).sum(1, keepdims=True), axis=1)
            w, old = w - eta * slopes + new - old, new
            if i >= 12_000 and i % 50 == 0:
                total, kept = total + ((w - old)[:, :10] ** 2).sum(1), kept + 1
    return (total / kept).reshape(5, runs).mean(1)


def least_log_det(eta):
    """|u|^2 least in log det, over the eigenvalues of the Hessian in numbers."""

    def potential(squared):
        v = 2 / np.sqrt(squared)
        u = np.sqrt(squared) * np.eye(10)[0]
        jacobian = np.hstack([v * np.eye(10), u[:, None]])
        return -np.linalg.slogdet(2 * np.eye(11) - eta * jacobian.T @ jacobian)[1]

    return minimize_scalar(potential, bounds=(3, 8), method="bounded").x


def kept_balance():
    """What a step of gradient descent changes: eta^2 (|dL/du|^2 - (dL/dv)^2), summed up."""
    u, v, target = np.append(5.3, np.full(9, 0.1)), 0.3, 2 * np.eye(10)[0]
    start, change = u @ u - v * v, 0.0
    for _ in range(5_000):
        along, across = v * (v * u - target), u @ (v * u - target)
        change += 1e-4 * (along @ along - across**2)
        u, v = u - 0.01 * along, v - 0.01 * across
    return 1 + change / start


# --- float32 ----------------------------------------------------------------------------


def autocovariance(k, power, kind):
    k, power = np.asarray(k).astype(kind), kind(power)
    return (abs(k + 1) ** power - 2 * abs(k) ** power + abs(k - 1) ** power) / 2


def lens():
    k = np.unique(np.geomspace(2, 60_000, 70).round())
    k = k[k >= 4096].astype(np.longdouble)
    series = 0.5 * -0.5 / 2 / k**1.5 + 0.5 * 0.5 * 1.5 * 2.5 / -24 / k**3.5  # H = 1/4
    return np.max(abs(autocovariance(k, 0.5, np.float32) / series - 1))


def least_eigenvalue():
    r = autocovariance(np.arange(1025), 1.8, np.float32).astype(float)
    row = np.concatenate([r, r[-2:0:-1]])
    j = np.arange(1025)[:, None]
    return (np.cos(np.pi * j * np.arange(2048) / 1024) @ row).min()


def stalled():
    """Single precision: what is added to 5 is less than half a unit in its last place."""
    rng, z = np.random.default_rng(8), np.array([5, 5, 5, 5, 0], np.float32)
    eta, sigma = np.float32(9e-5), np.float32(0.01)
    for _ in range(2_000):
        z = z - eta * slope(z + sigma * np.sign(rng.normal(size=5)).astype(np.float32))
    return np.linalg.norm(z[:4].astype(float) - 5) / (9e-8 * 2_000)


def telescoped():
    rng = np.random.default_rng(9)
    xi = rng.normal(size=(100_001, 16)).astype(np.float32)
    w = np.full(16, 1000, np.float32)
    for kick in xi[1:] - xi[:-1]:
        w = w + kick
    error = w.astype(float) - 1000 - (xi[-1].astype(float) - xi[0].astype(float))
    return np.sqrt(np.mean(error**2)) / (0.29 * 2.0**-14 * np.sqrt(1e5))


AGAIN = {
    "noise-3": (mean_step, 1e-13),
    "noise-4": (scatter, 1e-5),  # six digits are printed
    "noise-4b": (scatter_of_pgd, 1e-6),
    "noise-5": (flattest_over_law, 0.06),
    "noise-5b": (lambda: near_the_flattest(0.0125) / near_the_flattest(0.025), 0.03),
    "noise-6": (level, 2e-5),
    "noise-6b": (false_well, 2e-3),
    "noise-6c": (smooth_well, 1e-4),
    "noise-7": (expected_sharpness, 0.01),
    "noise-12": (lambda: ends(0), 80),
    "noise-13": (lambda: ends(1), 0.6),
    "noise-13b": (top, 0.2),
    "noise-13c": (lambda: ends(2), 0.5),
    "noise-13d": (first_step, 0.015),
    "noise-15": (lambda: drift(0), 0.04),
    "noise-15b": (lambda: drift(1), 0.03),
    "noise-16": (mean_field, 0.06),
    "noise-17": (rest, 0.07),
    "noise-17b": (quantiles, 0.1),
    "noise-18": (lambda: lost(6), 0.02),
    "noise-18b": (lambda: [lost(7), lost(8)], 0.15),
    "noise-19": (from_above, 0.15),
    "noise-19b": (lambda: long_runs()[5, :, 50:, 0].mean() / 0.00125, 0.1),
    "noise-20": (lambda: hidden_unit() / [least_log_det(eta) for eta in ETAS], 0.006),
    "noise-20b": (lambda: hidden_unit()[0] / (2 * 10**0.5), 0.006),
    "noise-20c": (lambda: hidden_unit()[-1] / (2 * 10**0.5), 0.006),
    "noise-21": (kept_balance, 1e-6),
    "noise-44": (lens, 0.05),
    "noise-44b": (least_eigenvalue, 0.2),  # a correctly rounded power gives -0.566
    "noise-44c": (stalled, 0.02),
    "noise-44d": (telescoped, 0.9),
}
