"""The numbers of the second half of the Adam chapter's second notebook, without the library.

The races are run in the coordinates of the eigenvectors, many runs in one NumPy array; the
stationary laws come from the transition matrix or from SciPy's quadrature; the 3-cycle from its
sums written out.
"""

import functools
from math import erf, pi, sqrt

import numpy as np
from scipy.integrate import simpson
from scipy.linalg import block_diag, null_space, sqrtm
from scipy.optimize import brentq
from scipy.stats import cauchy, norm, t

# --- the block quadratics ---------------------------------------------------------------

Q = np.array([[2, 2, -1], [-1, 2, 2], [2, -1, 2]]) / 3
BASIS = block_diag(Q, Q, Q)
SIZES = np.array([1.0, 2, 3, 99, 100, 101, 4998, 4999, 5000])
DEALT = {"het": SIZES, "hom": SIZES.reshape(3, 3).T.ravel()}
BETA = np.full(16, 0.95)
B1, B2 = BETA.copy(), BETA.copy()
B1[13:], B2[13:] = (0, 0.9, 0), (0.95, 0.95, 0)
KAPPA, EPS = np.zeros(16), np.zeros(16)
KAPPA[1:9], EPS[9:13] = (0, 0.01, 0.1, 0.3, 1, 3, 10, 100), (0.01, 0.1, 1, 10)
RATES = 10 ** (np.arange(14) / 8 - 2.5) * np.sqrt(1 + KAPPA)[:, None]
RATES[0] /= 100
RUNS, STEPS = 24, 500


def factor(n):
    """Warm-up over 25 steps, then a cosine."""
    return n / 25 if n < 25 else 0.5 + 0.5 * np.cos(pi * (n - 25) / 475)


def batches(seed, samples):
    """In each step, for each run, the indicator of 3 of the 9 samples, in their order."""
    rng = np.random.default_rng(seed)
    places = rng.permuted(np.tile(np.arange(9), (STEPS, RUNS, 1)), axis=2) < 3
    return places[..., samples].astype(float)


@functools.cache
def finals(kind, root=False, seed=5):
    """Losses at the end, (method, rate, run)."""
    values = DEALT[kind]
    rows = 3 * (sqrtm(BASIS * values @ BASIS.T).real if root else (BASIS * np.sqrt(values)).T)
    seen = batches(seed, np.arange(9) if root else np.argsort(np.argsort(values)))
    b1, b2, kappa, eps = (x[:, None, None, None] for x in (B1, B2, KAPPA, EPS))
    shape = (16, 14, RUNS, 9)
    w, m, s, v = np.ones(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    with np.errstate(all="ignore"):
        for n in range(STEPS):
            g = ((w @ rows.T) * seen[n] / 3) @ rows
            s = b2 * s + b2 * (1 - b2) * (g - m) ** 2
            m = b1 * m + (1 - b1) * g
            v[13:15] = b2[13:15] * v[13:15] + (1 - b2[13:15]) * g[13:15] ** 2
            d = m / (np.sqrt(m * m + kappa * s) + eps)
            d[0], d[13:15], d[15] = m[0], m[13:15] / np.sqrt(v[13:15]), np.sign(m[15])
            w = w - RATES[:, :, None, None] * factor(n) * np.nan_to_num(d)
        loss = ((w @ rows.T) ** 2).sum(-1) / 18
    return np.nan_to_num(loss, nan=np.inf)


def tuned(kind, root=False):
    return np.median(finals(kind, root), axis=2).min(axis=1)


def order():
    sgd, signum, adam = tuned("het")[[0, 1, 5]]
    return np.log10([sgd / signum, signum / adam])


def same():
    three = tuned("hom")[[0, 1, 5]]
    return three.max() / three.min()


def ladder():
    k = tuned("het")[1:9]
    return np.log10([k[1] / k[4], k[4] / k[5:].min()])


@functools.cache
def spread(kind):
    """Mean of Adam's variance by block after each step, learning rate 0.01."""
    values = DEALT[kind]
    rows = 3 * (BASIS * np.sqrt(values)).T
    seen = batches(8, np.argsort(np.argsort(values)))
    w, m, v = np.ones((RUNS, 9)), np.zeros((RUNS, 9)), np.zeros((RUNS, 9))
    path = [np.zeros(3)]
    for n in range(STEPS):
        g = ((w @ rows.T) * seen[n] / 3) @ rows
        m, v = 0.95 * m + 0.05 * g, 0.95 * v + 0.05 * g * g  # equal betas: by the difference
        w = w - 0.01 * factor(n) * m / np.sqrt(np.where(v > 0, v, 1))
        path.append((v - m * m).mean(0).reshape(3, 3).mean(1))
    return np.array(path)


def squares():
    at = spread("het")[250]
    return at[1:] / at[0] / np.array([50, 2499.5]) ** 2


def level():
    at = spread("hom")[250]
    return at.max() / at.min()


# --- descent by signs -------------------------------------------------------------------


def stationary(h, s, eta, noise=norm):
    """Places and probabilities: null vector of the transition matrix less one."""
    half = int(12 * sqrt(s / (h * eta))) + 4
    x = eta * np.arange(-half, half + 1)
    up = noise.cdf(-h * x / s)
    up[0], up[-1] = 1, 0
    matrix = np.diag(up[:-1], -1) + np.diag(1 - up[1:], 1) - np.eye(len(x))
    p = null_space(matrix)[:, 0] if len(x) < 50 else np.linalg.svd(matrix)[2][-1]
    return x, p / p.sum()


def variance(*setting):
    x, p = stationary(*setting)
    return p @ x**2


def identity():
    found = []
    for h, s, eta in [(1, 1, 0.1), (10, 0.5, 0.01), (1, 1, 1)]:
        x, p = stationary(h, s, eta)
        found.append(p @ (x * [erf(h * y / s / sqrt(2)) for y in x]) * 2 / eta)
    return found


def excess(value, r):
    return (value / (r * sqrt(pi / 8)) - 1) * sqrt(2 * pi) / r


def sde_variance(r, plain):
    """In units of sigma / h: the density is exp(-potential) over the diffusion."""
    y = np.linspace(-8 * sqrt(r), 8 * sqrt(r), 4001)  # V0 is 0.63 r
    s = 2 * norm.cdf(y) - 1
    wide = np.ones_like(s) if plain else 4 * norm.cdf(y) * norm.sf(y)
    pull = 2 * s / r / wide
    potential = np.concatenate([[0], np.cumsum(pull[1:] + pull[:-1])]) * (y[1] - y[0]) / 2
    p = np.exp(potential.min() - potential) / wide
    return simpson(p * y * y, x=y) / simpson(p, x=y)


def losses():
    pairs = [(1, 0.1), (1, 0.4), (1, 1.6), (0.2, 0.4), (2, 0.4)]
    return [h / 2 * variance(h, s, 0.01) / (0.01 * s * sqrt(pi / 32)) for h, s in pairs]


def heavy():
    laws = [(t(2), t(2).pdf(0)), (cauchy, cauchy.pdf(0))]
    return [variance(1, 0.3, 0.01, law) * 4 * peak / 0.003 for law, peak in laws]


def weak_error(eta):
    """Walk: the matrix on the lattice; SDE: Heun's mean of a fine grid in law, by Monte Carlo."""
    rng = np.random.default_rng(11)
    n, fine, runs = round(3 / eta), 8, 40_000
    x = eta * np.arange(-3 * n, 3 * n + 1)
    p = np.isclose(x, 1).astype(float)
    up = norm.cdf(-x / 0.3)
    y, worst = np.ones(runs), 0.0
    for _ in range(n):
        p = np.concatenate([[0], (up * p)[:-1]]) + np.concatenate([((1 - up) * p)[1:], [0]])
        for _ in range(fine):
            s = 2 * norm.cdf(y / 0.3) - 1
            y = y - eta / fine * s + eta * np.sqrt((1 - s * s) / fine) * rng.normal(size=runs)
        worst = max(worst, abs(p @ x**2 - np.mean(y * y)) / 2)
    return worst


def adam_variance(b1, b2, runs=3000, steps=3000, eta=0.004):
    rng = np.random.default_rng(12)
    x = sqrt(eta / 2) * rng.normal(size=runs)
    m, v, total = np.zeros(runs), np.full(runs, 0.0 if b2 == 0 else 1.0), 0.0
    for n in range(steps):
        g = x + rng.normal(size=runs)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        x = x - eta * m / np.sqrt(v)
        total += (n >= steps // 3) * np.mean(x * x)
    return total / (steps - steps // 3) / (eta / 2)


def settled():
    pairs = [(0.99, 0.99), (0.9, 0.999), (0.95, 0.9), (0.0, 0.0)]
    return np.array([adam_variance(*pair) for pair in pairs]) / [1, 1, 1, sqrt(pi / 2)]


# --- vanishing slopes, and a cycle of three ---------------------------------------------


def steps_down(depth, eps=None):
    w, m, v, n = 0.7, 0.0, 0.0, 0
    while (w**depth - 1) ** 2 / 2 >= 0.01:
        g = (w**depth - 1) * w ** (depth - 1)
        m, v, n = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g * g, n + 1
        w -= 0.1 * g if eps is None else 0.001 * m / (sqrt(v) + eps)
    return n


def drift(c, b1, b2):
    """Sum of m / sqrt(v) over the cycle, the averages by 200 turns of the recursion."""
    m = v = total = 0.0
    for n in range(600):
        g = c if n % 3 == 0 else -1.0
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        total += m / sqrt(v) if n >= 597 else 0
    return total


def turning(c, tied):
    return brentq(lambda b: drift(c, tied * b, b), 0.05, 0.9, xtol=1e-10)


def cycler(b1, b2):
    x = m = v = 0.0
    for n in range(30_000):
        g = 3.0 if n % 3 == 0 else -1.0
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        x = min(1, max(-1, x - 0.5 / sqrt(n + 1) * m / sqrt(v)))
    return x


CYCLES = [(0, 0.1), (0.1, 0.1), (0.5, 0.5), (0.9, 0.9), (0.9, 0.999)]

AGAIN = {
    "adam-15": (lambda: 0.0, 1e-9),
    "adam-16": (order, 0.4),
    "adam-16b": (same, 0.3),
    "adam-17": (squares, 0.3),
    "adam-17b": (level, 0.15),
    "adam-17c": (lambda: np.log10(spread("het")[50, 2] / spread("het")[400, 2]), 0.4),
    "adam-9b": (ladder, 0.4),
    "adam-9c": (lambda: np.ptp(np.log10(tuned("hom")[2:9])), 0.04),
    "adam-18": (lambda: np.log10(tuned("het")[9:13].min() / tuned("het")[5]), 0.7),
    "adam-19": (lambda: np.log10(tuned("het")[5] / tuned("het")[[13, 14]]), 3),
    "adam-19b": (lambda: np.log10(tuned("het")[15]), 0.8),
    "adam-19c": (lambda: tuned("het", True)[15] / 7651.5, 0.08),
    "adam-23": (identity, 1e-9),
    "adam-23b": (lambda: [excess(variance(1, 1, r), r) for r in (0.02, 0.04)], 1e-5),
    "adam-23c": (lambda: [excess(sde_variance(r, False), r) for r in (0.02, 0.04)], 1e-3),
    "adam-23d": (lambda: [excess(sde_variance(r, True), r) for r in (0.02, 0.04)], 1e-3),
    "adam-23e": (losses, 1e-5),
    "adam-23f": (lambda: weak_error(0.1) / weak_error(0.05), 0.5),
    "adam-24": (heavy, 1e-4),
    "adam-25": (settled, 0.06),
    "adam-27": (lambda: [steps_down(depth) for depth in (5, 10, 20)], 0.5),
    "adam-27b": (lambda: [steps_down(depth, 1e-8) for depth in (5, 10, 20, 40)], 0.5),
    "adam-27c": (lambda: [steps_down(80, 1e-8), steps_down(80, 1e-12)], 2),
    "adam-28": (lambda: [turning(c, 1) for c in (2.5, 3, 4)], 1e-6),
    "adam-28b": (lambda: turning(3, 0), 1e-6),
    "adam-28c": (lambda: [cycler(*pair) for pair in CYCLES], 0.01),
}
