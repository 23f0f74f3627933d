"""The numbers of the closing chapter: sums of impulse responses, Lyapunov equations, loops."""

import functools

import numpy as np
from scipy.linalg import solve_discrete_lyapunov


def response(theta, beta, n=6_000):
    """What w does after one kick, step by step, in the loop of the chapter; curvature 1."""
    w, m, out = 1.0, 0.0, []
    for _ in range(n):
        out.append(w)
        m = beta * m + (1 - beta) * theta * w
        w -= m
    return np.array(out)


def after(h, kappa):
    """The response to a kick of which the share kappa is taken back one step later."""
    return np.append(h, 0) - kappa * np.append(0, h)


def by_time():
    """The variances of the integrals, from sums over time, over the closed forms in theta."""
    lags = np.arange(1, 6_000.0)
    power = (np.arange(6_001.0)) ** 0.5
    r = np.append(1.0, (power[2:] - 2 * power[1:-1] + power[:-2]) / 2)  # 2 H = 1/2
    ratios = []
    for theta in (0.2, 1.5):
        a, h = 1 - theta, response(theta, 0)
        ratios += [
            (after(h, k) ** 2).sum() * theta * (2 - theta) / ((1 - k) ** 2 + 2 * k * theta)
            for k in (0, 0.5, 1)
        ]
        direct = (r[0] + 2 * (r[1:] * a**lags).sum()) / (1 - a * a)
        # the same once more, by the covariance of a long stretch of responses
        part = h[:400]
        matrix = r[np.abs(np.arange(400)[:, None] - np.arange(400))]
        ratios.append(part @ matrix @ part / direct)
    return [min(ratios), max(ratios)]


def with_momentum():
    """What the simulation over the formula should be, from a Lyapunov equation."""
    ratios = []
    for theta, kappa, beta in ((0.5, 0, 0.9), (0.5, 1, 0.9), (0.1, 0.9, 0.9), (3, 0.5, 0.5)):
        c = (1 - beta) * theta
        a = np.array([[1 - c, -beta, -kappa], [c, beta, 0], [0, 0, 0]])  # w, m and the kick
        b = np.array([1.0, 0, 1])
        exact = solve_discrete_lyapunov(a, np.outer(b, b))[0, 0]
        q = (1 - beta) / (1 + beta)
        once = 1 + theta / (2 - q * theta)
        kept = (1 + 2 * beta * theta / (1 - beta**2)) / (theta * (2 - q * theta))
        ratios.append(exact / ((1 - kappa) ** 2 * kept + kappa * once))
    return ratios


@functools.cache
def curves():
    """The shares of kicks of 0 to 3,999 steps ago in (w, m), and in z of Anti-PGD."""
    found = []
    for theta, beta in ((0.5, 0.5), (2.5, 0.5), (1.0, 0.8)):
        c = (1 - beta) * theta
        a, b = np.array([[1 - c, -beta], [c, beta]]), np.array([1.0, 0])
        inverse = np.linalg.inv(solve_discrete_lyapunov(a, np.outer(b, b)))
        curve = []
        for _ in range(4_000):
            curve.append(b @ inverse @ b)
            b = a @ b
        found.append(curve)
    found.append((1 - 0.5**2) * 0.25 ** np.arange(4_000))
    return np.array(found)


def longest_steps():
    """By power iteration on the quotient, with windows, and with exponential weights."""
    pairs = [(np.repeat([0.1, 0], 10), np.full(20, 0.05))]
    k = np.arange(2_000)
    for b1, b2 in ((0.9, 0.999), (0.9, 0.95), (0.9, 0.9)):
        pairs.append(((1 - b1) * b1**k, (1 - b2) * b2**k))
    best = []
    for f, h in pairs:
        root = np.sqrt(h)  # |m| / sqrt v is a length where g is measured in units of 1 / root
        weighted = f / root
        x = np.random.default_rng(0).normal(size=len(f))
        x = weighted * (weighted @ x)  # one step suffices: the form has rank one
        x /= np.linalg.norm(x)
        best.append(abs(weighted @ x))
    return best


def pairs_at_rest():
    ends = []
    for b1, b2 in ((0.1, 0.1), (0.25, 0.25), (0.0, 0.9), (0.1, 0.95)):
        w, m, v = -3.7, 0.0, 0.0  # another start, another curvature, another rate
        for _ in range(6_000):
            g = 50 * w
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            w -= 0.3 * m / v**0.5
        ends.append(abs(w) * 2 * (1 + b1) / (0.3 * (1 - b1)))
    return ends


def leaves(b1, b2):
    """Whether a small deviation from the pair grows, in the loop itself."""
    q = (1 - b1) / (1 + b1)
    w, sign = 1 + 1e-7, 1.0
    m, v, sizes = -q, 1.0, []
    for _ in range(40_000):
        m, v = b1 * m + (1 - b1) * w, b2 * v + (1 - b2) * w * w
        w -= 2 / q * m / v**0.5
        sign = -sign
        sizes.append(abs(sign * w - 1))
        if sizes[-1] > 1e-3:
            return True
    return max(sizes[-300:]) > max(sizes[:300])


def borders():
    found = []
    for second in (lambda b: b, lambda b: 0.5, lambda b: 0.999):
        low, high = 0.1, 0.3
        for _ in range(9):
            middle = (low + high) / 2
            low, high = (low, middle) if leaves(middle, second(middle)) else (middle, high)
        found.append((low + high) / 2)
    return found


AGAIN = {
    "closing-1": (by_time, 1e-5),
    "closing-2": (with_momentum, 0.03),
    "closing-3": (lambda: curves().sum(axis=1), 0.05),
    "closing-3b": (lambda: curves()[:, 0], 0.01),
    "closing-4": (longest_steps, 1e-6),
    "closing-5": (pairs_at_rest, 1e-6),
    "closing-6": (borders, 1e-3),
}
