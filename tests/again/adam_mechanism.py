"""The numbers of the first half of the Adam chapter's second notebook, in NumPy, SciPy and mpmath.

Bounds are norms of the row of weights, by singular values; directions come from SciPy's recursive
filter; variational steps from minimising the objective; schedules from exact or long arithmetic.
"""

from fractions import Fraction

import mpmath
import numpy as np
from scipy.optimize import brentq, minimize
from scipy.signal import lfilter

# --- the bound --------------------------------------------------------------------------


def bound(b1, b2, steps):
    """sup |m| over sqrt(v) at the last step: the norm of the weights of m over those of v."""
    back = np.arange(steps)
    row = (1 - b1) * np.exp(back * np.log(b1) - back / 2 * np.log(b2)) / np.sqrt(1 - b2)
    return np.linalg.svd(row[None], compute_uv=False)[0]


def directions(g, b1, b2):
    """m over the root of v, by a recursive filter."""
    m = lfilter([1 - b1], [1, -b1], g, axis=0)
    return m / np.sqrt(lfilter([1 - b2], [1, -b2], g * g, axis=0))


PAIRS = [(0.9, 0.999), (0.9, 0.99), (0.9, 0.95), (0.95, 0.95), (0.8, 0.95)]
FINITE = [(0.9, 0.999, 12), (0.95, 0.9, 100), (0.95, 0.9, 1000), (0.975, 0.8, 50)]
FINITE.append((0.975, 0.8, 100))


def attained():
    found = []
    for b1, b2, k in FINITE:
        i = np.arange(k)
        g = np.exp((k - 1 - i) * (np.log(b1) - np.log(b2)))
        found.append(directions(g / g.max(), b1, b2)[-1] / bound(b1, b2, k))
    return found


def wild():
    rng = np.random.default_rng(4)
    g = np.exp(3 * rng.normal(size=(300, 400))) * rng.normal(size=(300, 400))
    return [np.abs(directions(g, *pair)).max() / bound(*pair, 4000) for pair in PAIRS]


def slow():
    found = []
    for r in (0.25, 0.5, 1, 1.5, 1.75):
        b1, b2 = 1 - mpmath.mpf("1e-5"), 1 - mpmath.mpf("1e-5") * mpmath.mpf(r)
        top = (1 - b1) ** 2 / (1 - b2) / (1 - b1**2 / b2)
        found.append(float(mpmath.sqrt(top * r * (2 - r))))
    return found


# --- the sweep of Orvieto and Gower, arXiv 2505.21829: best perplexity over learning rates ----

SWEEP = """
.8     23.09 23.08 23.15 23.73 23.20 24.44 25.30 25.72
.9     22.98 22.14 22.25 22.51 23.05 23.70 23.64 24.12
.95    1140  22.69 22.22 21.92 21.97 22.04 22.00 22.57
.975   57972 904   22.72 22.13 22.03 22.11 22.00 22.05
.9875  57972 57972 222   23.78 22.73 22.64 22.42 22.64
"""
SQUARES = [".6", ".8", ".9", ".95", ".975", ".9875", ".99375", ".996875"]
ROWS = [line.split() for line in SWEEP.split("\n") if line]
CELLS = [
    (Fraction(row[0]), Fraction(b2), float(value))
    for row in ROWS
    for b2, value in zip(SQUARES, row[1:], strict=True)
]


def ratio(b1, b2):
    return (1 - b2) / (1 - b1)


def corner():
    return [
        float(min(ratio(p, q) for p, q, x in CELLS if x > 100)),
        float(max(ratio(p, q) for p, q, x in CELLS if x <= 100)),
    ]


def doubled():
    cells = [(p * p < q, x) for p, q, x in CELLS if ratio(p, q) == 2]
    return [sum(c[0] for c in cells), max(c[1] for c in cells)]


def tied():
    return [min(x for p, q, x in CELLS if p == q), min(x for *_, x in CELLS)]


def excess():
    return [x - min(y for a, _, y in CELLS if a == p) for p, q, x in CELLS if ratio(p, q) == 4]


# --- variational steps ------------------------------------------------------------------


def variational():
    """By Nelder and Mead in mean and logarithm of the variance."""
    m0, s0, g, lam = 0.3, 0.7, -1.1, 0.25

    def cost(x):
        m, s = x[0], np.exp(x[1])
        fit = (np.log(s) + (g - m) ** 2 / s) / 2
        return fit + (s0 / s - 1 - np.log(s0 / s) + (m0 - m) ** 2 / s) / (2 * lam)

    options = {"xatol": 1e-11, "fatol": 1e-16, "maxiter": 4000}
    m, log = minimize(cost, [0.0, 0.0], method="Nelder-Mead", options=options).x
    return [m, np.exp(log)]


def robust():
    """Zeros of the slope in the mean, the variance being the best for each mean."""

    def slope(m, z, lam):
        # the best variance solves u^2 - (1 - lam) u - lam (z - m)^2 = 0
        u = (1 - lam + np.sqrt((1 - lam) ** 2 + 4 * lam * (z - m) ** 2)) / 2
        return (m - z) / u + m / lam

    return [brentq(slope, 0, z, args=(z, 0.25), xtol=1e-13) for z in (1e2, 1e4)]


def collapse():
    def cost(s):
        return (mpmath.log(s) + (s + 4 - mpmath.log(s)) / mpmath.mpf("1.5")) / 2

    wide, narrow, spike = (cost(mpmath.mpf(s)) for s in ("1e-2", "1e-8", "1e-32"))
    return [float(wide - narrow), float(narrow - spike)]


# --- bias correction --------------------------------------------------------------------


def factors(b1, b2, n=20_000):
    """rho(t) from the sums of the weights themselves."""
    first, second = ((1 - b) * np.cumsum(b ** np.arange(n)) for b in (b1, b2))
    return np.sqrt(second) / first


THREE = [(0.9, 0.999), (0.9, 0.95), (0.95, 0.95)]


def minima():
    found = [factors(*pair) for pair in THREE[:2]]
    return [x for rho in found for x in (rho.argmin() + 1, rho.min())]


def settled():
    return [np.nonzero(np.abs(factors(*pair) - 1) > 0.01)[0][-1] + 1 for pair in THREE]


AGAIN = {
    "adam-3": (lambda: 0.0, 1e-14),
    "adam-3b": (
        lambda: [
            float(1 - Fraction(b) - (1 - Fraction("0.9")) ** 2) for b in ("0.9", "0.95", "0.999")
        ],
        1e-10,
    ),
    "adam-3c": (lambda: 1 - bound(0.9, 0.95, 200) ** 2, 1e-9),
    "adam-4": (lambda: [bound(*pair, 4000) for pair in PAIRS], 1e-6),
    "adam-4b": (lambda: [0.0] * 5, 1e-9),
    "adam-4c": (attained, 1e-9),
    "adam-4d": (lambda: [bound(*case) for case in FINITE[1:]], 1e-5),
    "adam-4e": (wild, 1e-5),
    "adam-4f": (lambda: [bound(0.95, 0.95, k) / (1 - 0.95**k) ** 0.5 for k in (1, 60)], 1e-9),
    "adam-4g": (slow, 1e-5),
    "adam-6": (lambda: 0.0, 1e-11),
    "adam-6b": (variational, 1e-6),
    "adam-6c": (lambda: 0.0, 1e-9),
    "adam-6d": (robust, 1e-6),
    "adam-6e": (collapse, 1e-5),
    "adam-9": (lambda: [0.0] * 4, 1e-9),
    "adam-12": (corner, 1e-9),
    "adam-12b": (doubled, 1e-9),
    "adam-12c": (tied, 1e-9),
    "adam-12d": (excess, 1e-9),
    "adam-13": (lambda: [factors(*pair)[0] for pair in THREE], 1e-6),
    "adam-13b": (minima, 1e-7),
    "adam-13c": (settled, 0),
    "adam-13d": (lambda: [0.0] * 3, 1e-11),
    "adam-13e": (lambda: [1, 1, 1, 0.1 / 0.001**0.5, 0.05**0.5], 1e-6),
}
