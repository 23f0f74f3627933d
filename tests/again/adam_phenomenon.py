"""The numbers of the first notebook of the Adam chapter: NumPy, SciPy and mpmath alone.

Averages come from their weights or from SciPy's filters, expectations from other seeds or from
quadrature; no recursion of the library's is used.
"""

import functools

import mpmath
import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.signal
import scipy.special


def averages(x, beta):
    return scipy.signal.lfilter([1 - beta], [1, -beta], x, axis=0)


def direction(g, b1, b2):
    return averages(g, b1) / np.sqrt(averages(g**2, b2))


@functools.cache
def identity():
    """Forty digits: v - m^2 from the weights, against beta times the average surprise."""
    apart, cosine = [], []
    rng = np.random.default_rng(10)
    with mpmath.workdps(40):
        for beta in (mpmath.mpf(0), mpmath.mpf("0.5"), mpmath.mpf("0.95")):
            g = [mpmath.mpf(float(x)) for x in rng.normal(size=60)]
            surprise, m = [], mpmath.mpf(0)
            for x in g:
                surprise.append((x - m) ** 2)
                m = beta * m + (1 - beta) * x
            weights = [(1 - beta) * beta ** (59 - i) for i in range(60)]
            v = mpmath.fsum(w * x**2 for w, x in zip(weights, g, strict=True))
            variance = beta * mpmath.fsum(w * x for w, x in zip(weights, surprise, strict=True))
            apart.append(float(abs(v - m**2 - variance) / v))
            cosine.append(
                float(abs(m / mpmath.sqrt(v) - mpmath.sign(m) / mpmath.sqrt(1 + variance / m**2)))
            )
    return [min(apart), max(apart)], [min(cosine), max(cosine)]


def calm_variance():
    """In float32, the recursion; in float64, the mean squared distance from the weighted mean."""
    g = 1 + 1e-4 * np.random.default_rng(0).normal(size=400)
    s = m = np.float32(0)
    beta, rest = np.float32(0.95), np.float32(0.05)
    for x in g.astype(np.float32):
        s = beta * s + beta * rest * (x - m) ** 2
        m = beta * m + rest * x
    w = 0.05 * 0.95 ** np.arange(399, -1, -1)
    c = w.sum()
    mean = w @ g / c
    return float(s) / (w @ (g - mean) ** 2 + c * (1 - c) * mean**2)


def corrected():
    """The largest gap of corrected averages and the variance of a weighted sample."""
    g = np.random.default_rng(11).normal(2, 1, 30)
    k = np.arange(1, 31)
    c = 1 - 0.9**k
    gap = averages(g**2, 0.9) / c - (averages(g, 0.9) / c) ** 2
    return max(
        abs(gap[n - 1] - np.cov(g[:n], aweights=0.9 ** np.arange(n - 1, -1, -1), ddof=0))
        for n in k[1:]
    )


def made_up_zero():
    """The same with one more gradient, 0, of weight beta^k."""
    g = np.random.default_rng(12).normal(2, 1, 30)
    gap = averages(g**2, 0.9) - averages(g, 0.9) ** 2
    found = []
    for n in range(2, 31):
        w = np.append(0.9**n, 0.1 * 0.9 ** np.arange(n - 1, -1, -1))
        found.append(abs(gap[n - 1] - np.cov(np.append(0, g[:n]), aweights=w, ddof=0)))
    return max(found)


def trust_region():
    """Linear programmes, one a pair."""
    found = []
    for m, s in np.random.default_rng(13).normal(size=(20, 2)):
        r = np.cos(np.arctan2(abs(s), abs(m)))
        best = scipy.optimize.linprog([m], bounds=[(-r, r)]).x[0]
        found.append(abs(best + m / np.hypot(m, s)))
    return max(found)


def invariance():
    g = np.random.default_rng(14).normal(size=300)
    d = direction(g, 0.95, 0.95)
    return max(
        np.max(np.abs(direction(3e5 * g, 0.95, 0.95) - d)),
        np.max(np.abs(direction(-g / 9, 0.95, 0.95) + d)),
    )


def start():
    """The longest step that k gradients allow, as the norm of a functional."""
    found = []
    for k in (1, 5, 20):
        w = 0.1 * 0.9 ** np.arange(k)
        found.append(np.linalg.norm(w / np.sqrt(w)))
    return found


@functools.cache
def fading():
    k = np.arange(1, 3_401)
    g = np.sin(np.pi * k / 100 + 0.3) * np.exp(-0.0025 * k)
    late = {b: direction(g, b, b)[2_200:] for b in (0.9, 0.95, 0.99, 0.9975, 0.999)}
    repeats = [np.max(np.abs(late[b][1_000:] - late[b][800:-200])) for b in (0.9, 0.95, 0.99)]
    left = [
        np.max(np.abs(late[b][1_000:1_200])) / np.max(np.abs(late[b][:200]))
        for b in (0.9975, 0.999)
    ]
    return repeats, left


@functools.cache
def noisy(x, beta, seed):
    g = x + np.random.default_rng(seed).normal(size=(6_000, 200))
    m, v = averages(g, beta)[2_000:], averages(g**2, beta)[2_000:]
    return m / np.sqrt(v)


def adam_steps():
    return [noisy(x, 0.95, 20 + i).mean() for i, x in enumerate((0.1, 0.3, 1.0))]


def signum_steps():
    """The mean sign of a normal variable, by quadrature."""
    found = []
    for x in (0.1, 0.3, 1.0):
        s = np.sqrt(0.05 / 1.95)
        density = lambda y, x=x, s=s: np.exp(-(((y - x) / s) ** 2) / 2) / s / np.sqrt(2 * np.pi)  # noqa: E731
        found.append(2 * scipy.integrate.quad(density, 0, x + 10 * s, limit=200)[0] - 1)
    return found


def pure_noise():
    return [np.sqrt(np.mean(noisy(0.0, beta, 30) ** 2)) for beta in (0.9, 0.95, 0.99)]


def spreads():
    d = noisy(0.0, 0.95, 31).reshape(4, 1_000, 200)
    signum, adam = (np.sqrt(np.mean(np.sum(x, axis=1) ** 2) / 1_000) for x in (np.sign(d), d))
    # the variance of a sum of signs from the probabilities that two normal numbers agree
    j = np.arange(1, 1_000)
    agree = 1 - np.arccos(0.95**j) / np.pi
    law = np.sqrt(1 + 2 * np.sum((1 - j / 1_000) * (2 * agree - 1)))
    return [signum / law, adam]


def impulse(b1, b2):
    """Forty digits, two thousand terms."""
    with mpmath.workdps(40):
        a, b = mpmath.mpf(str(b1)), mpmath.mpf(str(b2))
        first = (1 - a) / mpmath.sqrt(1 - b)
        return float(mpmath.nsum(lambda k: first * (a / mpmath.sqrt(b)) ** k, [0, mpmath.inf]))


def signum_walk():
    m, far = 0.0, 0
    for k in range(3_000):
        m = 0.9 * m + 0.1 * (-0.3 if k == 0 else 0)
        far += abs(np.sign(m))
    return far


@functools.cache
def token_toy():
    """Signum, SGD and Adam on tokens of frequency 1/i: another generator, fewer rates."""
    p = 1 / np.arange(1, 301)
    p /= p.sum()
    up = np.minimum(np.arange(500) / 25, 1)
    down = (1 + np.cos(np.pi * np.maximum(np.arange(500) - 25, 0) / 475)) / 2
    best = []
    for kind in ("signum", "sgd", "adam"):
        means = []
        for rate in 10 ** (np.arange(-9, -2) / 4) * (100 if kind == "sgd" else 1):
            rng, ends = np.random.default_rng(40), []
            for _ in range(4):
                w, m, v = np.zeros(300), np.zeros(300), np.zeros(300)
                for n in range(500):
                    count = rng.multinomial(32, p)
                    kick = 0.5 * np.sqrt(count) * rng.normal(size=300)
                    g = (count * (w - 1) + kick) / 32
                    m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
                    way = {"signum": np.sign(m), "sgd": g, "adam": m / (np.sqrt(v) + 1e-8)}
                    w = w - rate * up[n] * down[n] * way[kind]
                ends.append(p @ (w - 1) ** 2 / 2)
            means.append(np.mean(ends))
        best.append(min(means))
    return best[0] / best[2], best[1] / best[2]


def row(p, rate, n_steps, sign=False):
    """Two numbers a row: the right score and the 49 others, which stay equal."""
    a, b, path = 0.0, 0.0, []
    for _ in range(n_steps):
        q = 1 / (1 + 49 * np.exp(b - a))
        down, up = -p * (1 - q), p * (1 - q) / 49
        if sign:
            down, up = np.sign(down), np.sign(up)
        a, b = a - rate * down, b - rate * up
        path.append((a, b))
    return np.array(path)


def rate_times_frequency():
    return np.max(np.abs(row(0.5, 0.4, 300) - row(1, 0.2, 300)))


def blind_signs():
    return np.max(np.abs(row(1, 0.01, 300, sign=True) - row(0.01, 0.01, 300, sign=True)))


def hundred_times_later():
    return np.max(np.abs(row(0.01, 0.2, 30_000)[99::100] - row(1, 0.2, 300)))


def optax_by_hand(dtype):
    """Two ways to write each of six methods, in NumPy: the recursion, and SciPy's filter."""
    g = np.random.default_rng(15).normal(size=(500, 8)).astype(dtype)
    k = np.arange(1, 501)[:, None]

    def loop(b1, b2, correct, direction):
        w, m, v, path = np.zeros(8, dtype), np.zeros(8, dtype), np.zeros(8, dtype), []
        for n, x in enumerate(g, 1):
            m, v = dtype(b1) * m + dtype(1 - b1) * x, dtype(b2) * v + dtype(1 - b2) * x**2
            c1, c2 = (dtype(1 - b**n) if correct else dtype(1) for b in (b1, b2))
            w = w - dtype(0.01) * direction(x, m / c1, v / c2)
            path.append(w)
        return np.array(path)

    def adam(x, m, v):
        return m / (np.sqrt(v) + dtype(1e-8))

    found, wide = [], g.astype(float)
    for b1, b2, correct, way in (
        (0.9, 0.999, True, adam),
        (0.95, 0.95, True, adam),
        (0.9, 0.9, False, lambda x, m, v: np.sign(m)),
        (0.0, 0.0, False, lambda x, m, v: np.sign(x)),
        (0.0, 0.9, False, adam),
        (0.9, 0.9, False, lambda x, m, v: m),
    ):
        m, v = averages(wide, b1), averages(wide**2, b2)
        c1, c2 = ((1 - b**k) if correct else 1.0 for b in (b1, b2))
        d = m / c1 / (np.sqrt(v / c2) + 1e-8) if way is adam else way(wide, m, v)
        found.append(np.max(np.abs(loop(b1, b2, correct, way) + 0.01 * np.cumsum(d, axis=0))))
    return found


AGAIN = {  # claim: (how it is measured again, how far the two may be apart)
    "adam-1": (lambda: identity()[0], 1e-12),
    "adam-1b": (lambda: identity()[1], 1e-12),
    "adam-1c": (calm_variance, 0.02),
    "adam-2": (corrected, 1e-12),
    "adam-2b": (made_up_zero, 1e-12),
    "adam-5": (invariance, 1e-12),
    "adam-5b": (start, 1e-6),
    "adam-5c": (lambda: fading()[0], 1e-8),
    "adam-5d": (lambda: fading()[1], 1e-6),
    "adam-7": (trust_region, 2.1e-5),
    "adam-8": (adam_steps, 0.015),
    "adam-8b": (signum_steps, 0.012),
    "adam-8c": (pure_noise, 0.005),
    "adam-8d": (spreads, 0.12),
    "adam-10": (lambda: [impulse(b, b) for b in (0.8, 0.9, 0.95)], 1e-4),
    "adam-10b": (lambda: [impulse(*b) for b in ((0.9, 0.999), (0.9, 0.95), (0.95, 0.99))], 1e-3),
    "adam-10c": (signum_walk, 0),
    "adam-10d": (lambda: token_toy()[0], 0.3),
    "adam-10e": (lambda: token_toy()[1], 0.2),
    "adam-26": (rate_times_frequency, 1e-12),
    "adam-26b": (blind_signs, 1e-12),
    "adam-26c": (hundred_times_later, 1e-6),
    "adam-29": (lambda: optax_by_hand(np.float64), 1e-12),
    "adam-29b": (lambda: optax_by_hand(np.float32), 2e-5),
}
