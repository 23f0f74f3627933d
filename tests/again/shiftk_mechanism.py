"""The numbers of the second notebook of the shift-K chapter, in NumPy, SciPy and mpmath.

Errors come from normal equations in the sequences a_s^k themselves, never from orthonormal states;
optima from their gradient, written out by hand.
"""

import functools

import mpmath
import numpy as np
from scipy.linalg import cho_factor, cho_solve, toeplitz
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.signal import lfilter
from scipy.special import eval_laguerre

# --- normal equations -------------------------------------------------------------------


def comb(order, lag, alpha, spacing):
    """The logarithms of equally spaced poles."""
    middle = np.arange(order) - (order - 1) / 2
    return -alpha / lag + 2j * np.pi * middle / (spacing * lag)


def normal(log, lag, rho=0.0):
    """Gram matrix and cross terms of the a_s^k, and the derivatives of both in conj(log a_s)."""
    left = log.conj()
    a, p = np.exp(left), np.exp(left[:, None] + log)
    gram = -1 / np.expm1(left[:, None] + log)
    own = 1 / (1 - rho * a)
    slope = p * gram - rho**2 * p / (1 - rho**2 * p) + (rho * a * own)[:, None]
    gram = gram * (1 - rho**2 * p) * own[:, None] * own.conj()
    cross = np.exp(lag * left) * own
    turn = cross * (lag + rho * a * own)
    if rho:
        k = np.arange(lag)
        past = np.exp(left[:, None] * k) * rho ** (lag - k)
        cross, turn = cross + past.sum(1), turn + past @ k
    return gram, cross, gram * slope, turn


def solved(log, lag, rho=0.0):
    """The best readout and its error."""
    gram, cross, _, _ = normal(log, lag, rho)
    b = np.linalg.solve(gram, cross)
    return b, 1 - (cross.conj() @ b).real


def error(log, lag, rho=0.0):
    return solved(log, lag, rho)[1]


@functools.cache
def best(order, lag, rho=0.0):
    """The logarithms of optimised poles."""

    def value(x):
        decay = np.exp(x[:order]) / lag
        gram, cross, dgram, dcross = normal(-decay + 1j * x[order:] / lag, lag, rho)
        b = cho_solve(cho_factor(gram), cross)
        loss = 1 - (cross.conj() @ b).real
        off = b.conj() * (dgram @ b - dcross)
        slopes = 2 * np.concatenate([-decay * off.real, off.imag / lag])
        return np.log(loss / (1 - loss)), slopes / (loss * (1 - loss))

    start = comb(order, lag, 1.4, 1.15)
    x = np.concatenate([np.log(-start.real * lag), start.imag * lag])
    options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 30}
    x = minimize(value, x, jac=True, method="L-BFGS-B", options=options).x
    return -np.exp(x[:order]) / lag + 1j * x[order:] / lag


# --- the explicit filter ----------------------------------------------------------------


def explicit_gain(order, lag, alpha, spacing=2.0):
    """(1 - L) K / S with the amplitude of the limit, from the double sum."""
    j = np.arange(-np.floor(1 / spacing + 1e-12), 400)
    echoes = np.exp(-2 * alpha * (1 + j * spacing)).sum()
    size = np.exp(-alpha) / (spacing * lag * echoes)
    m = np.arange(1 - order, order)
    below = -np.expm1((-2 * alpha + 2j * np.pi * m / spacing) / lag)
    energy = ((order - abs(m)) * np.exp(-2j * np.pi * m / spacing) / below).sum().real
    return (2 * size * order * np.exp(-alpha) - size**2 * energy) * lag / order


def closed_form():
    k = np.arange(6000)
    turns = np.pi * (k - 40) / 40
    kernel = 1 + 2 * sum(np.cos(s * turns) for s in range(1, 6))
    c = np.exp(-1.3) * np.sinh(2.6) / 40 * np.exp(-1.3 * k / 40) * kernel
    c[40] -= 1
    return (c**2).sum() - (1 - explicit_gain(11, 40, 1.3) * 11 / 40)


@functools.cache
def tuned(order):
    end = minimize_scalar(
        lambda a: -explicit_gain(order, 10**6, a), bracket=(0.5, 1.0, 2.0), tol=1e-9
    )
    return end.x, -end.fun


def equally_spaced(order):
    """The best gain over (alpha, p) for long lags, near the best of a coarse grid."""

    def loss(x):
        return -(1 - error(comb(order, 10**6, *x), 10**6)) * 10**6 / order

    grid = [(a, p) for a in np.arange(1, 1.9, 0.1) for p in np.arange(1.04, 1.3, 0.02)]
    return -minimize(loss, min(grid, key=loss), method="Nelder-Mead").fun


# --- the bump ---------------------------------------------------------------------------


@functools.cache
def bump(order, lag):
    log = best(order, lag)
    k = np.arange(24 * lag)
    return k, np.exp(k[:, None] * log) @ solved(log, lag)[0]


def moments(order, lag):
    """Centroid, energy width and rms width."""
    k, c = bump(order, lag)
    energy = abs(c) ** 2
    share = energy / energy.sum()
    return k @ share, 1 / share[lag], np.sqrt((k - lag) ** 2 @ share)


def mirrored():
    log = best(8, 64)
    a, b = np.exp(log), solved(log, 64)[0]
    slopes = ((b * a) / (1 - a.conj()[:, None] * a) ** 2).sum(1)
    ratio = abs(slopes / (64 * a.conj() ** 63))
    return [ratio.min(), ratio.max()]


def hankel():
    k, c = bump(8, 64)
    c = c - (k == 64)
    return [(k + 1) @ abs(c) ** 2, 65 * error(best(8, 64), 64)]


def half_width(order):
    """Between the points of half the height, on the curve through all real lags."""
    log = best(order, 1024)
    b = solved(log, 1024)[0]

    def energy(t):
        return abs(np.exp(t * log) @ b) ** 2

    t = np.arange(3072)
    size = abs(np.exp(t[:, None] * log) @ b) ** 2
    peak, half = t[size.argmax()], size.max() / 2
    ends = []
    for way in (-1, 1):
        inside = peak
        while energy(inside + way) > half:
            inside += way
        ends.append(brentq(lambda t: energy(t) - half, *sorted((inside, inside + way))))
    return (ends[1] - ends[0]) * order / 1024


def half_window(order):
    """The least half-width with half of the energy, times S/K, one window after the other."""
    energy = abs(bump(order, 1024)[1]) ** 2
    energy = energy / energy.sum()
    w = 0
    while energy[1024 - w : 1025 + w].sum() <= 0.5:
        w += 1
    return w * order / 1024


# --- correlated input -------------------------------------------------------------------

SLOW = [(rho, order) for rho in (0.9, 0.99) for order in (2, 4, 8, 16)]
KNOWN = [0.70055, 0.43073, 0.21331, 0.09679, 0.11789, 0.04975, 0.02136, 0.00934]


@functools.cache
def slow_errors():
    return np.array([error(best(order, 64, rho), 64, rho) for rho, order in SLOW])


def ends(values):
    return [np.min(values), np.max(values)]


def over_the_bound():
    bounds = []
    for rho, order in SLOW:
        values = np.linalg.eigvalsh(toeplitz(rho ** np.arange(65)))[::-1]
        bounds.append(values[order + 1 :].sum() / 65)
    return ends(slow_errors() / bounds)


def law(x, rho):
    """The integral of the spectrum beyond the band, by Gauss's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    omega = np.pi * (x + (1 - x) * (nodes + 1) / 2)
    power = (1 - rho**2) / (1 - 2 * rho * np.cos(omega) + rho**2)
    return weights @ power * (1 - x) / 2


def over_the_rule():
    shares = {4: 2.58965, 8: 6.10208, 16: 13.56814}
    pairs = zip(SLOW, slow_errors(), strict=True)
    return [e / law(shares[S] / 64, rho) for (rho, S), e in pairs if S > 2]


def half_the_states():
    found = minimize_scalar(
        lambda a: error(comb(32, 256, a, 2.0), 256, 0.99), bounds=(1.5, 5), method="bounded"
    )
    return found.fun / law(16 / 256, 0.99)


FOUR = np.log([0.9, 0.9 * np.exp(0.2j), 0.9 * np.exp(-0.2j), 0.9 * np.exp(0.5j)])
THREE = np.log([-0.70856 - 0.45505j, 0.85250 + 0.07860j, 0.09461 - 0.81972j])


def with_feedthrough():
    """A window with a column for the present input, less the convolution."""
    k = np.arange(500)
    waves = np.concatenate([np.exp(k[:, None] * FOUR), (k == 0)[:, None]], axis=1)
    cov = toeplitz(0.7**k)
    cross = waves.conj().T @ cov[:, 12]
    least = 1 - (cross.conj() @ np.linalg.solve(waves.conj().T @ cov @ waves, cross)).real
    beta = (k == 0).astype(complex)
    for a in np.exp(FOUR):
        beta = lfilter([-np.conj(a), 1], [1, -a], beta)
    both = np.convolve(beta, np.sqrt(0.51) * 0.7**k)[:12]
    return (abs(both) ** 2).sum() - least


# --- real poles -------------------------------------------------------------------------


def laguerre(order):
    """The largest K (1 - E) of equal real poles, K large."""

    def gain(x):
        return x * sum((eval_laguerre(n, x) * np.exp(-x / 2)) ** 2 for n in range(order))

    x = np.linspace(0.8, 3.2, 6000) * order
    top, step = x[gain(x).argmax()], x[1] - x[0]
    near = (top - step, top + step)
    return -minimize_scalar(lambda x: -gain(x), bounds=near, method="bounded").fun


def equal_poles():
    """16 equal poles at K = 1024: what leaves the all-pass filter after lag K."""
    a = np.exp(-17.3 / 1024)
    beta = np.zeros(20 * 1024)
    beta[0] = 1
    for _ in range(16):
        beta = lfilter([-a, 1], [1, -a], beta)
    return (beta[1025:] ** 2).sum() * 1024.5


GEOMETRIC = np.geomspace(0.5, 64, 16) / 64
CLOSE = 16 * 1.01 ** (np.arange(16) - 7.5) / 64


def condition(log):
    gram = normal(log, 64)[0]
    size = np.sqrt(gram.diagonal().real)
    return np.linalg.cond(gram / size[:, None] / size)


def long_condition(decay):
    """log10 of the condition, from eigenvalues with 120 digits."""
    with mpmath.workdps(120):
        a = [mpmath.exp(-mpmath.mpf(m)) for m in decay.tolist()]
        gram = mpmath.matrix(
            [[mpmath.sqrt((1 - p * p) * (1 - q * q)) / (1 - p * q) for q in a] for p in a]
        )
        values = mpmath.eigsy(gram, eigvals_only=True)
        return float(mpmath.log10(max(values) / min(values)))


def long_readout():
    """log10 of its norm, from the residues of the filter z^K - B P(conj(B) z^K)."""
    a = np.exp(-CLOSE)
    beta = np.zeros(65)
    beta[0] = 1
    for pole in a:
        beta = lfilter([-pole, 1], [1, -pole], beta)
    gap = a[:, None] - a + np.eye(16)
    product = (1 - a[:, None] * a) / gap
    product[np.eye(16, dtype=bool)] = -np.expm1(-2 * CLOSE)
    tail = a[:, None] ** -np.arange(65.0) @ beta[::-1]
    return np.log10(np.linalg.norm(product.prod(1) / a * tail))


def noisy_solve():
    """Of a Gram matrix without a digit: a rough size is all there is."""
    gram, cross, _, _ = normal(np.log(np.exp(-CLOSE)) + 0j, 64)
    right = sum(laguerre_at(n, 16 / 64) for n in range(16))
    return abs((cross.conj() @ np.linalg.solve(gram, cross)).real - right)


def laguerre_at(n, decay):
    """The square of the n-th orthonormal function of equal poles at lag 64."""
    beta = np.zeros(65)
    beta[0] = np.sqrt(-np.expm1(-2 * decay))
    a = np.exp(-decay)
    beta = lfilter([1], [1, -a], beta)
    for _ in range(n):
        beta = lfilter([-a, 1], [1, -a], beta)
    return beta[64] ** 2


def single():
    decay = np.float32(1.03e-6)
    a = np.float32(np.exp(-float(decay)))
    exact = 2 * float(decay) - 2 * float(decay) ** 2
    return abs(float(np.float32(1) - a * a) / exact - 1)


FEW, ALL = (2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32)

AGAIN = {
    "shiftk-1": (closed_form, 1e-11),
    "shiftk-1b": (
        lambda: [
            explicit_gain(11, 10**3, 1.0),
            explicit_gain(41, 10**4, 1.0),
            explicit_gain(401, 4 * 10**6, 1.0),
        ],
        1e-6,
    ),
    "shiftk-2": (lambda: [tuned(S)[0] for S in (9, 31, 101)], 2e-4),
    "shiftk-2b": (lambda: [tuned(S)[1] for S in (9, 31, 101)], 1e-6),
    "shiftk-3": (lambda: explicit_gain(9, 10**6, 3.0), 1e-5),
    "shiftk-3b": (lambda: (1 - error(comb(9, 10**6, 3.0, 2.0), 10**6)) * 10**6 / 9, 1e-5),
    "shiftk-8m": (lambda: [(1 - error(best(S, 1024), 1024)) * 1024.5 for S in ALL], 5e-4),
    "shiftk-9": (
        lambda: [
            explicit_gain(2001, 10**7, *pair) for pair in ((1, 2), (1, 1.2), (2, 1.1), (1, 0.8))
        ],
        1e-6,
    ),
    "shiftk-9b": (lambda: [equally_spaced(S) for S in (5, 9, 15, 21)], 3e-4),
    "shiftk-10": (lambda: [moments(S, 64)[0] for S in FEW[:4]], 1e-4),
    "shiftk-10b": (mirrored, 1e-4),
    "shiftk-10c": (hankel, 1e-5),
    "shiftk-11c": (lambda: [S * moments(S, 1024)[1] / 1024 for S in ALL], 1e-3),
    "shiftk-12": (lambda: [half_width(S) for S in FEW], 4e-3),
    "shiftk-12b": (lambda: [S**0.5 * moments(S, 1024)[2] / 1024 for S in FEW], 2e-3),
    "shiftk-12c": (lambda: [half_window(S) for S in (8, 16, 32)], 0.032),  # a step, S = 32
    "shiftk-13": (lambda: [error(FOUR, 12, 0.7)] * 2, 1e-11),
    "shiftk-13b": (with_feedthrough, 1e-12),
    "shiftk-13c": (lambda: [error(THREE, lag, 0.5155) for lag in (1, 2)], 1e-6),
    "shiftk-14": (over_the_bound, 2e-3),
    "shiftk-15": (lambda: ends(slow_errors() / KNOWN), 2e-3),
    "shiftk-15b": (over_the_rule, 2e-3),
    "shiftk-15c": (half_the_states, 1e-4),
    "shiftk-15d": (
        lambda: [error(comb(16, 64, 1.0, 2.0) + turn, 64, -0.9) for turn in (0, 1j * np.pi)],
        1e-6,
    ),
    "shiftk-15e": (lambda: law(0.1, 0.999) * np.pi**2 / 4 * 1.999 / 0.001 * 0.1, 1e-5),
    "shiftk-18": (lambda: [laguerre(S) for S in ALL], 2e-5),
    "shiftk-18b": (lambda: laguerre(256) / 256, 1e-5),
    "shiftk-18c": (equal_poles, 1e-5),
    "shiftk-19": (
        lambda: [condition(comb(16, 64, 1.0, 2.0)), condition(comb(16, 64, 1.5, 1.1))],
        1e-3,
    ),
    "shiftk-19b": (lambda: [long_condition(GEOMETRIC), long_condition(CLOSE)], 1e-4),
    "shiftk-19c": (lambda: [0, 0], 1e-14),
    "shiftk-19d": (noisy_solve, 0.5),
    "shiftk-19e": (long_readout, 1e-4),
    "shiftk-19f": (single, 1e-5),
    "shiftk-19g": (lambda: 0.0, 2e-7),
}
