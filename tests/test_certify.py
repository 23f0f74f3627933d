"""optdyn.certify against plain mpmath orbits, published cycles, and what must not be proved."""

import math
import re
import sys
from fractions import Fraction
from typing import NamedTuple

import jax
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from optdyn import certify, cycles, logistic
from optdyn.certify import certify_cycle, report
from optdyn.intervals import GradientMap, nearest, outwards, surely_less


class Row(NamedTuple):
    """A cycle as measured before there was a library: data, step size, start, and what to find."""

    z: list
    m: list
    step_size: str
    start: str | tuple
    gamma: float
    points: list
    modulus: float
    lam: float = math.nan
    minimizer: float | tuple = math.nan


def line(text, period=2):
    for words in map(str.split, text.strip().splitlines()):
        gamma, up, down, size, eta, w, lam, *points, multiplier = words
        yield Row(
            [1, -1, int(size)],
            [int(up), int(down), 1],
            eta,
            "0",
            float(gamma),
            [float(x) for x in points],
            float(multiplier),
            float(lam),
            float(w),
        )


OUTLIERS = """
1.05 787 775 1500 4.202935 0.015365219439851 0.24982544640599 0.0014182455121978 0.44549290909629 -0.208514
1.10 1769 1729 500 4.388320 0.022877367404237 0.25066538933184 -0.0136985356201173 0.65282648013450 -0.005254
1.15 55 51 220 4.649499 0.075508059959278 0.24733848477859 0.0116173058394452 0.77380289771287 -0.705500
1.20 49 44 110 4.847500 0.107664769382699 0.24755025937957 0.0170256141530215 0.88121774529218 -0.481627
1.25 44 40 90 4.748498 0.096065410450651 0.26324114851619 0.0202301270182013 0.80884667540571 0.022574
1.30 25 21 55 5.259944 0.174677397945058 0.24715089994960 0.0341757069118146 1.02914775861797 -0.060495
1.35 23 21 90 4.719922 0.092890080537696 0.28602165418758 0.0281117755612470 0.79701551870381 -0.679952
1.40 22 19 50 5.061815 0.149397606536877 0.27658062311720 0.0381815440971710 0.94965951652977 -0.208598
1.45 16 12 30 5.995645 0.288445585021619 0.24184218795788 0.0587299330581900 1.29622946219923 -0.560665
1.50 13 10 27 5.803762 0.265994105591415 0.25845304474336 0.0693007612983888 1.20679149352556 -0.294364
1.55 3 2 45 7.749845 0.405465554705262 0.20000400150976 0.0937904109515233 1.42978661014252 0.242555
1.60 6 4 19 6.899100 0.408815709338214 0.23191429686543 0.1325957068870210 1.44015033581076 -0.466642
1.65 5 3 19 7.830398 0.511435998447517 0.21071726376373 0.1589212728795240 1.52256052704076 0.341303
1.70 9 6 15 6.724000 0.413846439859496 0.25282570820753 0.1255107764198620 1.39096893665502 0.065851
1.75 5 3 13 7.611483 0.518970053122483 0.22991576256112 0.1971098846980823 1.49765779052919 0.107773
1.80 2 1 12 10.298135 0.697328596094811 0.17478893615891 0.3200879384451819 1.64390908177632 0.410074
1.85 4 2 12 9.475876 0.695288948935182 0.19523261739900 0.2483003808400456 1.88589572792054 -0.708944
1.90 2 1 10 10.140377 0.706040425819735 0.18736976782966 0.3418092429893240 1.77022859414619 -0.469460
1.95 4 2 8 8.886537 0.713123714584354 0.21943305502420 0.3413273800442311 1.58854928395919 0.402413
1.99 2 1 8 9.410401 0.728564397412043 0.21146813477043 0.4558380223141819 1.31979407584774 0.785372
1.20 425 400 150 4.752647 nan nan -0.0285622217207001 0.928591217665318 -0.069925
1.50 110 90 40 6.028134 0.200931777883841 0.248833215189659 -0.1015530042134925 1.529835251789425 -0.158254
1.80 55 40 15 6.948168 nan nan -0.1396630717655601 1.609522417062671 -0.103675
"""  # noqa: E501

LONG = """
1.2 42 39 170 4.842676 nan 0.247796881361643 -0.020642537 9.840662545 7.537693270 5.237015836 2.959087595 0.891737962 -0.493787
1.5 22 18 36 5.714604 nan 0.262485361517596 -0.018002050 3.580353264 1.222649254 -0.711322
1.5 8 6 27 6.063223 nan 0.247393167345527 0.084602323 1.378011492 0.092042209 1.205474663 -0.180820
1.5 18 15 49 6.009765 nan 0.249593806837296 -0.094675084 8.886628520 6.236067764 3.596096876 1.100460937 0.347919
1.8 20 15 21 6.820264 nan 0.263919395098048 -0.130973814 4.298995955 1.546073402 -0.195184
1.8 11 8 21 7.030148 nan 0.256040131701984 -0.093222638 7.057981504 4.251664422 1.533377123 -0.393497
1.8 11 8 26 7.506405 nan 0.239795204010020 -0.202201173 10.427786336 7.425435400 4.427120293 1.508760431 0.109089
1.8 7 5 31 7.946736 nan 0.226508092981274 -0.214637612 19.714272311 16.657835408 13.601398912 10.544971076 7.488727258 4.436391157 1.465779517 0.168486
1.9 15 12 23 5.996161 nan 0.316869431024758 -0.032105575 3.668316263 1.242414699 0.110699
"""  # noqa: E501


def mirrored(u, *rest):
    return [(-u, *rest), (u, *rest)]


def wall(gamma, size, c, plus, minus, eta, beta, lam, u, v, modulus):
    z = [[size, c], [-size, c], [0, 1], [0, -1]]
    m = [1, 1, plus, minus]
    return Row(z, m, eta, ("1", "0"), gamma, mirrored(u, v), modulus, lam, (0.0, beta))


WALLS = [
    wall(0.05, 80, 6, 25, 7, "0.277616", 1.2740162440189757, 0.18010504153830,
         0.3253612827202548, 3.410620854231223, 0.981435),
    wall(0.10, 60, 6, 20, 6, "0.540265", 1.2058466093373501, 0.18509445038290,
         0.5626454423170295, 5.035283325926377, abs(0.839058 + 0.343786j)),
    wall(0.25, 25, 3, 20, 3, "1.525592", 1.904704146069079, 0.16387083917424,
         0.7257810060297567, 5.056199966334910, abs(0.711262 + 0.319146j)),
    wall(0.50, 20, 4, 15, 4, "2.751479", 1.3339414332826221, 0.18172044978611,
         1.2835831906966213, 5.449212733339138, 0.803641),
    wall(0.75, 12, 3, 15, 3, "5.760070", 1.6275931311356912, 0.13020674074276,
         1.6863229743681901, 5.512007930143708, 0.722402),
    wall(0.90, 8, 2, 15, 2, "8.366402", 2.0522233252168244, 0.10757312890704,
         1.6797545776550931, 5.206689856632303, 0.396785),
]  # fmt: skip


def intercept(gamma, n, left, right, eta, start, points, modulus, **known):
    z, m = [[right, 1], [-left, 1], [0, 1], [0, -1]], [1, 1, n - 2, 1]
    return Row(z, m, eta, (start, "0"), gamma, points, modulus, **known)


def symmetric(gamma, n, size, eta, u, v, modulus):
    lam = n / (n + 1) ** 2 * max(1, 2 * size**2 / (n + 1))  # in closed form
    known = dict(lam=lam, minimizer=(0.0, math.log(n)))
    return intercept(gamma, n, size, size, eta, "1", mirrored(u, v), modulus, **known)


INTERCEPTS = [
    symmetric(1.8, 14, 5, "8.678571", 1.2216902291739735, 4.4151920832806434, 0.8944),
    symmetric(1.5, 19, 6, "8.771930", 1.1511690988156808, 4.9620595189769178, 0.7366),
    symmetric(1.2, 25, 8, "6.591000", 0.87508169398720122, 5.1601780914912848, 0.9165),
    symmetric(0.9, 37, 10, "6.673622", 0.7759836783839601, 5.7318843030653351, 0.8066),
    symmetric(0.5, 82, 15, "7.747791", 0.65542826386540171, 7.1455111245311148, 0.9581),
    intercept(0.9, 37, 10, 12, "5.581936", "0",
              [(-0.55979538513376217, 5.4887406434079747),
               (0.80383587614119728, 5.4772538588662858)], 0.840087,
              lam=0.161234380672403, minimizer=(0.0085097862749371, 3.6106887103005997)),
    intercept(1.2, 27, 10, 12, "4.079568", "0",
              [(-0.5562783232518449, 5.3259930074819453),
               (0.8319531053498384, 5.3143197562933475)], math.nan),
    intercept(1.5, 20, 10, 12, "2.903694", "0",
              [(-0.5246235527415504, 4.9726589079638028),
               (0.7855575643704742, 4.9616459282158421)], math.nan),
    intercept(1.8, 14, 8, 10, "2.724164", "0",
              [(-0.5107318630002275, 4.1884934882722043),
               (0.7870575645721891, 4.1720231018636274)], math.nan),
]  # fmt: skip


def circle(gamma, side, height, k, plus, eta, beta, lam, u, v, modulus, start):
    norm = math.isqrt(side**2 + height**2)
    z = [[side, height], [-side, height], [0, norm], [0, -norm]]
    return Row(z, [k, k, plus, 1], eta, start, gamma, mirrored(u, v), modulus, lam, (0.0, beta))


def sphere(gamma, plus, eta, beta, lam, u, v, modulus):
    z = [[35, 0, 12], [-35, 0, 12], [0, 35, 12], [0, -35, 12], [0, 0, 37], [0, 0, -37]]
    start = ("0.06", "0.008", "0.18")
    m = [4, 4, 4, 4, plus, 1]
    return Row(z, m, eta, start, gamma, mirrored(u, 0.0, v), modulus, lam, (0.0, 0.0, beta))


SPHERES = [
    circle(1.99, 35, 12, 4, 200, "0.363739769", 0.15488444171232912, 5.4709442547155,
           0.055026961894651277, 0.17044630057725506, 0.6177, ("0.055", "0.17")),
    circle(1.95, 35, 12, 4, 275, "0.517783692", 0.16239945731477774, 3.7660514034913,
           0.061985531001350489, 0.18129147498005928, 0.4749, ("0.062", "0.18")),
    circle(1.90, 35, 12, 5, 517, "0.882788811", 0.17993379198402969, 2.1522701435905,
           0.061008328337612863, 0.20233319268890415, 0.7248, ("0.0611", "0.2024")),
    circle(1.80, 24, 7, 5, 1810, "6.300413699", 0.31325224438715486, 0.2856955250855,
           0.10942646203437596, 0.356255453486021, 0.8888, ("0.1096", "0.3565")),
    sphere(1.99, 175, "0.369185748", 0.16603095297572872, 5.3902405808054,
           0.053823986861714084, 0.18522656521922699, 0.5807),
    sphere(1.95, 250, "0.535158817", 0.17273564922987693, 3.6437781410135,
           0.062919838047449601, 0.19731207455000055, 0.7298),
]  # fmt: skip

ROWS = [*line(OUTLIERS), *line(LONG), *WALLS, *INTERCEPTS, *SPHERES]
FLAGSHIP = ROWS[17]
MIRROR = FLAGSHIP._replace(z=[-1, 1, -10], points=[-1.77022859414619, -0.3418092429893240])
N38 = INTERCEPTS[5]


def name(row):
    d = len(row.z[0]) if isinstance(row.z[0], list) else 1
    return f"{d}d-{row.gamma}-period{len(row.points)}-n{sum(row.m)}"


class Plain:
    """Gradient descent in ordinary mpmath arithmetic of many digits, written out."""

    def __init__(self, row, digits=60):
        self.mp = mpmath.mp.clone()
        self.mp.dps = digits
        self.z = [[self.mp.mpf(a) for a in np.atleast_1d(r).tolist()] for r in row.z]
        self.p = [self.mp.mpf(m) / sum(row.m) for m in row.m]
        self.eta = self.mp.mpf(row.step_size)
        start = [row.start] if isinstance(row.start, str) else row.start
        self.start = [self.mp.mpf(x) for x in start]
        self.d = len(self.z[0])

    def sigmas(self, w):
        for row, p in zip(self.z, self.p, strict=True):
            e = self.mp.exp(sum(a * x for a, x in zip(row, w, strict=True)))
            yield row, p / (1 + e), p * e / (1 + e) ** 2

    def step(self, w):
        pulls = [(row, pull) for row, pull, _ in self.sigmas(w)]
        return [x + self.eta * sum(r[i] * s for r, s in pulls) for i, x in enumerate(w)]

    def hessian(self, w):
        h = self.mp.matrix(self.d)
        for row, _, c in self.sigmas(w):
            for i in range(self.d):
                for j in range(self.d):
                    h[i, j] += c * row[i] * row[j]
        return h

    def minimizer(self, guess):
        w = self.mp.matrix([self.mp.mpf(x) for x in np.atleast_1d(guess).tolist()])
        for _ in range(8):
            move = [(y - x) / self.eta for x, y in zip(w, self.step(list(w)), strict=True)]
            w += self.mp.lu_solve(self.hessian(list(w)), self.mp.matrix(move))
        return list(w)

    def normalized(self, w):
        return self.eta * max(self.mp.eigsy(self.hessian(w), eigvals_only=True))

    def multipliers(self, points):
        a = self.mp.eye(self.d)
        for w in points:
            a = (self.mp.eye(self.d) - self.eta * self.hessian(w)) * a
        if self.d == 1:
            return [a[0]]
        return self.mp.eig(a, left=False, right=False)

    def orbit(self, n_steps):
        visited = [self.start]
        for _ in range(n_steps):
            visited.append(self.step(visited[-1]))
        return visited

    def gap(self, w, point):
        near = np.atleast_1d(point).tolist()
        return self.mp.sqrt(sum((x - y) ** 2 for x, y in zip(w, near, strict=True)))


def certified(row, **changes):
    given = dict(period=len(row.points), start=row.start) | changes
    return certify_cycle(row.z, row.m, row.step_size, **given)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_every_published_cycle_is_proved_and_where_a_plain_orbit_ends(row):
    certificate = certified(row)
    assert certificate.proved and certificate.reason == ""
    plain, k, d = Plain(row), len(row.points), np.ndim(row.points)
    shape = (k,) if d == 1 else (k, len(row.z[0]))
    assert certificate.points.shape == shape and certificate.points.dtype == float

    # what was known before
    points = np.array(row.points)
    digits = 2e-9 if row in ROWS[23:32] else 2e-13
    assert np.abs(certificate.points - points).max() < digits
    low, high = certificate.normalized_step
    assert abs(low - row.gamma) < 2e-7
    if not math.isnan(row.lam):
        assert abs(low / float(row.step_size) / row.lam - 1) < 1e-12
    if not np.isnan(row.minimizer).any():
        assert np.abs(certificate.minimizer - row.minimizer).max() < 2e-15
    if not math.isnan(row.modulus):
        assert abs(certificate.multiplier[1] - row.modulus) < (1e-6 if d == 1 else 1e-4)

    # what a plain orbit says, with many digits
    radius, enough = certificate.radius, mpf(10) ** (-25 if d == 1 else -18)
    orbit = plain.orbit(k)
    while (
        plain.gap([x - y for x, y in zip(orbit[-1], orbit[-1 - k], strict=True)], 0 * points[0])
        > enough
    ):
        orbit.append(plain.step(orbit[-1]))
        assert len(orbit) < 5000
    end = orbit[-1]
    first = min(range(k), key=lambda j: plain.gap(end, certificate.points[j]))
    for j in range(k):
        assert plain.gap(end, certificate.points[(first + j) % k]) < mpf("1e-14")
        assert 1e-15 < radius <= 1e-5
        end = plain.step(end)

    # the enclosures hold the values of many digits
    w = plain.minimizer(certificate.minimizer)
    assert plain.gap(w, certificate.minimizer) < 1e-15 < radius
    assert low < plain.normalized(w) < high and high - low < 1e-15
    exact = plain.multipliers([end] + [end := plain.step(end) for _ in range(k - 1)])
    low, high = certificate.multiplier
    value = exact[0] if plain.d == 1 else max(abs(x) for x in exact)
    assert -1 < low < value < high < 1
    assert high - low < (1e-15 if plain.d == 1 else 1e-6)


@pytest.mark.parametrize("row", [FLAGSHIP, ROWS[0], ROWS[27], WALLS[5], N38, SPHERES[4]], ids=name)
def test_the_number_of_steps_is_the_one_a_plain_orbit_needs(row):
    certificate, plain = certified(row), Plain(row)
    w, n_steps = plain.start, 0
    while min(plain.gap(w, p) for p in certificate.points) > certificate.radius:
        w, n_steps = plain.step(w), n_steps + 1
    assert certified(row, n_steps=n_steps).proved
    fewer = certified(row, n_steps=n_steps - 1)
    assert not fewer.proved
    assert f"does not reach the cycle in {n_steps - 1} steps" in fewer.reason
    assert fewer.normalized_step == certificate.normalized_step


def test_the_fate_of_every_start_in_the_balls():
    row = N38
    certificate, rng = certified(row), np.random.default_rng(0)
    plain = Plain(row, 40)
    for j in range(2):
        direction = rng.normal(size=2)
        direction *= 0.999 * certificate.radius / np.linalg.norm(direction)
        w = [mpf(x) + mpf(y) for x, y in zip(certificate.points[j], direction, strict=True)]
        for _ in range(400):
            w = plain.step(w)
        assert plain.gap(w, certificate.points[j]) < 1e-14


@pytest.mark.parametrize("period", [1, 3, 4, 8])
def test_a_wrong_period_is_refused(period):
    certificate = certified(FLAGSHIP, period=period)
    assert not certificate.proved
    known = "period not prime: got" if period in (4, 8) else "seems to end on a cycle of period 2"
    assert known in certificate.reason


def nothing_claimed(certificate):
    return (
        not certificate.proved
        and certificate.points.size == 0
        and math.isnan(certificate.radius)
        and np.isnan(certificate.multiplier).all()
    )


@pytest.mark.parametrize(
    ("reason", "arguments", "options"),
    [
        ("period not prime: got 4, but", ([1, -1, 10], [2, 1, 1], "10.140377"), dict(period=4)),
        (
            "fixed point, the minimiser",  # the other attractor of the same step size
            ([1, -1, 10], [2, 1, 1], "10.140377"),
            dict(period=2, start="0.7"),
        ),
        (
            "does not reach a cycle of period 2 in 5000 steps",  # chaos
            ([1, -1, 10], [2, 1, 1], "10.567339774"),
            dict(period=2),
        ),
        (
            "does not reach a cycle of period 4 in 6000 steps",
            ([1, -1, 10], [2, 1, 1], "10.567339774"),
            dict(period=4, n_steps=6000),
        ),
        ("in 10 steps", ([1, -1, 10], [2, 1, 1], "10.140377"), dict(period=2, n_steps=10)),
        ("in 0 steps", ([1, -1, 10], [2, 1, 1], "10.140377"), dict(period=2, n_steps=0)),
        ("separable: no minimiser", ([1, 2], [1, 1], "1"), dict(period=1)),
        (
            "separable: no minimiser",
            ([[1, 1], [-1, 1], [0, 2]], [1, 1, 1], "1"),
            dict(period=2),
        ),
        ("not determined: no minimiser", ([[1, 0], [-1, 0]], [1, 1], "1"), dict(period=1)),
        # 0 is the minimiser of symmetric data, and repels beyond the critical step size 8
        ("not contracting: the largest multiplier is about 1.025", ([1, -1], [1, 1], "8.1"),
         dict(period=1)),
        ("not contracting: the largest multiplier is about 1 in", ([1, -1], [1, 1], "8"),
         dict(period=1)),
        # the repelling two-cycle 0.5424... / 0.9241... of the flagship at 1.95 / lambda, started
        # on, to as many digits as a float holds, is left
        ("fixed point, the minimiser", ([1, -1, 10], [2, 1, 1], "10.407228"),
         dict(period=2, start="0.5424828657763")),
        # too near a fold, and too near a flip, for 5000 steps
        ("does not reach", ([1, -1, 10], [2, 1, 1], "9.926252359"), dict(period=2)),
        ("does not reach", ([1, -1, 10], [2, 1, 1], "10.251498625"), dict(period=2)),
        ("multiplier is about 1 in", ([1, -1], [1, 1], "1e-300"), dict(period=1, start="1")),
        ("about 1.25e+299 in", ([1, -1], [1, 1], "1e300"), dict(period=2, start="1")),
        ("interval too wide", ([1, -1], [1, 1], "1e6"), dict(period=2, start="1")),
        ("none is near", ([1, -1], [3, 1], "1e300"), dict(period=4, start="1")),
        ("does not reach", ([1, -1], [1, 1], "1"), dict(period=1, start="1e4")),
        ("none is near", ([1, -1], [1, 1], "0.01"), dict(period=1, start="100")),
    ],
)  # fmt: skip
def test_what_is_not_proved_is_not_claimed(reason, arguments, options):
    certificate = certify_cycle(*arguments, **options)
    assert nothing_claimed(certificate)
    assert reason in certificate.reason and certificate.reason.endswith(".")
    assert report(certificate) == f"Not certified: {certificate.reason}"


@pytest.mark.parametrize("side", [-1, 1])
def test_a_repelling_cycle_is_refused_however_exactly_its_point_is_given(side):
    plain = Plain(FLAGSHIP)
    w = plain.mp.findroot(lambda u: plain.step(plain.step([u]))[0] - u, 0.471025981111)
    start = plain.mp.nstr(w + side * plain.mp.mpf("1e-40"), 55)
    certificate = certified(FLAGSHIP, start=start)
    assert nothing_claimed(certificate)
    assert "not contracting: the largest multiplier is about 1.339" in certificate.reason


def test_more_digits_are_taken_until_there_are_enough(monkeypatch):
    tried, enters = [], certify._enters

    def late(the_map, *rest):
        tried.append(the_map.iv.prec)
        return the_map.iv.prec > least and enters(the_map, *rest)

    monkeypatch.setattr(certify, "_enters", late)
    least = 1000
    assert certified(FLAGSHIP).proved and len(tried) == 3
    least = 10000
    certificate = certified(FLAGSHIP)
    assert nothing_claimed(certificate) and len(tried) == 7
    assert "bits do not tell whether the orbit" in certificate.reason


def test_beyond_two_over_lambda_and_at_the_minimiser():
    above = certify_cycle([1, -1], [1, 1], "8.1", period=2, start="1")
    mp = mpmath.mp.clone()
    mp.dps = 40
    u = mp.findroot(lambda u: u - mp.mpf("2.025") * mp.tanh(u / 2), 0.4)
    slope = (1 - mp.mpf("8.1") / 4 * mp.sech(u / 2) ** 2) ** 2
    assert above.proved and above.normalized_step[0] > 2
    assert np.abs(above.points - [-float(u), float(u)]).max() < 1e-15
    assert above.multiplier[0] <= slope <= above.multiplier[1]
    longer = certify_cycle([1, -1], [3, 1], "14.5", period=4, start="1")
    assert longer.proved and longer.normalized_step[0] > 2.7
    rest = certify_cycle([1, -1], [3, 1], "8", period=1)
    assert rest.proved and abs(rest.points[0] - math.log(3)) < 1e-15
    assert rest.multiplier[0] <= -0.5 <= rest.multiplier[1]
    assert rest.normalized_step[0] <= 1.5 <= rest.normalized_step[1]
    several = certify_cycle([[1, 0], [0, 1], [-1, -1]], [1, 1, 1], "6", period=1, start=["3", "-1"])
    # the Hessian at 0 is [[2, 1], [1, 2]] / 12, of eigenvalues 1/4 and 1/12
    assert several.proved and several.points.tolist() == [[0.0, 0.0]]
    assert several.multiplier[0] < 0.5 <= several.multiplier[1] < 0.50001
    assert several.normalized_step[0] <= 1.5 <= several.normalized_step[1]


def test_the_other_attractor_is_proved_from_another_start():
    other = certified(FLAGSHIP, period=1, start="0.7")
    assert other.proved and abs(other.points[0] - 0.706040425819735) < 1e-14
    assert other.multiplier[0] < 1 - other.normalized_step[0] <= other.multiplier[1] + 1e-15


def test_what_leaves_gradient_descent_as_it_is():
    made = certified(FLAGSHIP)
    thrice = certify_cycle([3, -3, 30], [2, 1, 1], "1.12670855555555555555", period=2)
    assert thrice.proved and np.abs(3 * thrice.points - made.points).max() < 1e-14
    mirror = certify_cycle([-1, 1, -10], [2, 1, 1], "10.140377", period=2)
    assert mirror.points.tolist() == (-made.points[::-1]).tolist()
    column = certify_cycle([[1], [-1], [10]], [2, 1, 1], "10.140377", period=2, start=["0"])
    assert column.points.tolist() == made.points[:, None].tolist()
    assert column.minimizer.shape == (1,) and made.minimizer.shape == ()
    assert column.multiplier == made.multiplier
    apart = certify_cycle(np.array([10, 1, -1, 1]), np.ones(4, np.uint8), "10.140377", period=2)
    assert report(apart) == report(made)
    twice = certify_cycle([1, -1, 10], [4, 2, 2], "1014.0377e-2", period=2, start=("0.0",))
    assert report(twice) == report(made)
    # a turned 3-D set: the top eigenvalue stays double, the axes are no longer the data's
    row = SPHERES[4]
    turn = np.array([[2, -2, 1], [1, 2, 2], [2, 1, -2]])  # 3 times a rotation
    start = [str(Fraction(x)) for x in (0, 0, 0)]
    turned = certify_cycle(
        np.array(row.z) @ turn.T, row.m, str(float(row.step_size) / 9), period=1, start=start,
        n_steps=5000,
    )  # fmt: skip
    assert turned.proved and abs(turned.normalized_step[0] - 1.99) < 1e-8
    assert turned.normalized_step[1] - turned.normalized_step[0] < 1e-14


@pytest.mark.parametrize("d", [1, 2])
def test_what_find_cycle_finds_is_proved_and_nothing_else(d):
    rng, proved, tried = np.random.default_rng(d), 0, 0
    while tried < 12:
        n = int(rng.integers(d + 2, 6))
        z = np.rint(rng.normal(size=(n, d)) * np.exp(1.5 * rng.normal(size=(n, 1)))).astype(int)
        z = z[:, 0] if d == 1 else z
        m = rng.integers(1, 20, n)
        step_size = f"{np.exp(rng.uniform(0, 4)):.4g}"
        start = [f"{x:.3f}" for x in rng.normal(size=d)]
        w0 = np.array(start, float).reshape(z.shape[1:])
        if np.linalg.matrix_rank(z.reshape(n, d)) < d or logistic.is_separable(z):
            continue
        found = cycles.find_cycle(w0, z, step_size=float(step_size), weights=m)
        if found is None or abs(found.multipliers).max() > 0.95:
            continue
        tried += 1
        k = found.period
        certificate = certify_cycle(z, m, step_size, period=k, start=start)
        if certificate.proved:
            proved += 1
            scale = np.abs(found.points).max() + 1
            assert np.abs(certificate.points - found.points).max() < 1e-10 * scale
            top = found.multipliers[0] if d == 1 else abs(found.multipliers[0])
            assert certificate.multiplier[0] - 1e-7 < top < certificate.multiplier[1] + 1e-7
        for other in {1, 2, 3, 2 * k} - {k}:
            refused = certify_cycle(z, m, step_size, period=other, start=start, n_steps=300)
            assert nothing_claimed(refused)
    assert proved >= 11


# --- the arithmetic ---


def data_of(row):
    return np.array(row.z).reshape(len(row.z), -1), row.m, Fraction(row.step_size)


def test_a_sigmoid_of_many_digits_is_inside():
    the_map, mp = GradientMap([[1]], [1], Fraction(1), 100), mpmath.mp.clone()
    mp.dps = 90
    rng = np.random.default_rng(0)
    for scale in (1e-20, 1e-3, 1, 10, 30):
        for m in rng.normal(size=20) * scale:
            for s in (0.0, 1e-12, 0.2, 0.99, 3.0):
                sigma, bend = the_map.sigmoids(the_map.iv.mpf(m), the_map.iv.mpf(s))
                value = 1 / (1 + mp.exp(mp.mpf(m)))
                assert mp.mpf(sigma.a) <= value <= mp.mpf(sigma.b)
                assert sigma.delta / sigma.b < the_map.iv.mpf(1e-25)
                for x in mp.mpf(m) + mp.mpf(s) * np.linspace(-1, 1, 7):
                    value = mp.exp(x) / (1 + mp.exp(x)) ** 2
                    assert mp.mpf(bend.a) <= value <= mp.mpf(bend.b)
                    if s in (0.0, 1e-12):
                        assert bend.delta / bend.b < the_map.iv.mpf(1e-11)


@pytest.mark.parametrize("bits", [53, 100, 700])  # mpmath takes another way above 600
def test_the_exponential_is_inside_by_an_exact_series(bits):
    the_map = GradientMap([[1]], [1], Fraction(1), bits)
    rng = np.random.default_rng(bits)
    for x in [*rng.normal(size=30), *rng.integers(-9, 9, 10).astype(float), 2.0**-80]:
        exact, term, low = Fraction(x), Fraction(1), Fraction(0)
        halvings = 6  # the series of e^(x / 64), and squaring
        exact /= 2**halvings
        for n in range(1, 110):
            low += term
            term *= exact / n
        assert abs(term) < Fraction(1, 2**720)
        margin = 2 * abs(term) + Fraction(1, 10**230)
        low, high = low - margin, low + margin
        grid = 10**260  # keep the fractions short, rounding outwards
        low, high = Fraction(low * grid // 1, grid), Fraction(-(-high * grid // 1), grid)
        for _ in range(halvings):
            low, high = low * low, high * high
        inside = the_map.exp(the_map.iv.mpf(x))
        a, b = (Fraction(*float_parts(end)) for end in (inside.a, inside.b))
        assert a < low <= high < b
        assert (b - a) / b < Fraction(1, 2 ** (bits - 12))


def float_parts(end):
    sign, man, exp, _ = end._mpi_[0]
    man = -int(man) if sign else int(man)
    return (man * 2**exp, 1) if exp >= 0 else (man, 2**-exp)


def test_floats_are_rounded_outwards():
    the_map = GradientMap([[1]], [1], Fraction(1), 200)
    rng = np.random.default_rng(0)
    for _ in range(200):
        value = Fraction(int(rng.integers(-(10**9), 10**9)), int(rng.integers(1, 10**9)))
        x = the_map.exact(value)
        low, high = outwards(x, x)
        assert Fraction(low) < value < Fraction(high)
        assert high - low <= 4 * math.ulp(max(abs(low), abs(high)))
        assert Fraction(*float_parts(x.a)) <= value <= Fraction(*float_parts(x.b))
    assert not surely_less(the_map.iv.mpf([0, 1]), the_map.iv.mpf([1, 2]))
    assert not surely_less(the_map.iv.mpf([0, 2]), the_map.iv.mpf([1, 3]))
    assert not surely_less(the_map.iv.inf - the_map.iv.inf, the_map.iv.mpf(1))


@pytest.mark.parametrize("row", [FLAGSHIP, N38, SPHERES[4]], ids=name)
def test_a_step_and_its_derivative_are_inside(row):
    the_map, plain = GradientMap(*data_of(row), 128), Plain(row, 60)
    rng, d = np.random.default_rng(0), np.array(row.z).reshape(len(row.z), -1).shape[1]
    centres = [the_map.point(np.atleast_1d(p)) for p in (*row.points, row.points[0])]
    for reach in (0.0, 1e-6, 1e-3):
        for centre in centres[:-1]:
            image, curvatures, stretch = the_map.step(centre, the_map.iv.mpf(reach))
            value = plain.step([plain.mp.mpf(x.mid) for x in centre])
            for x, y in zip(image, value, strict=True):
                assert plain.mp.mpf(x.a) < y < plain.mp.mpf(x.b)
            bend = the_map.hessian(curvatures)
            for _ in range(5):
                move = rng.normal(size=d)
                move *= reach * 0.999 / np.linalg.norm(move)
                w = [plain.mp.mpf(x.mid) + y for x, y in zip(centre, move.tolist(), strict=True)]
                h = plain.eta * plain.hessian(w)
                for i in range(d):
                    for j in range(d):
                        inside = bend[i][j]
                        assert plain.mp.mpf(inside.a) <= h[i, j] <= plain.mp.mpf(inside.b)
                eigenvalues = plain.mp.eigsy(plain.mp.eye(d) - h, eigvals_only=True)
                most = max(abs(x) for x in eigenvalues)
                assert most <= plain.mp.mpf(stretch.b)
                moved = plain.gap(
                    [x - y for x, y in zip(plain.step(w), value, strict=True)], np.zeros(d)
                )
                assert moved <= plain.mp.mpf(stretch.b) * reach
        reaches, derivative = the_map.around(centres, the_map.iv.mpf(reach))
        move = np.ones(d) * 0.999 * reach / math.sqrt(d)
        w = [plain.mp.mpf(x.mid) + y for x, y in zip(centres[0], move.tolist(), strict=True)]
        a = plain.mp.eye(d)
        for far, centre in zip(reaches, centres, strict=True):
            gap = plain.gap([x - plain.mp.mpf(c.mid) for x, c in zip(w, centre, strict=True)],
                            np.zeros(d))  # fmt: skip
            assert gap <= plain.mp.mpf(far.b)
            if centre is not centres[-1]:
                a, w = (plain.mp.eye(d) - plain.eta * plain.hessian(w)) * a, plain.step(w)
        for i in range(d):
            for j in range(d):
                inside = derivative[i][j]
                assert plain.mp.mpf(inside.a) <= a[i, j] <= plain.mp.mpf(inside.b)


def test_definite_matrices_and_moduli():
    rng = np.random.default_rng(0)
    for d in (1, 2, 3, 4):
        rows = np.eye(d, dtype=int)
        the_map = GradientMap(rows, [1] * d, Fraction(1), 200)
        for _ in range(12):
            a = rng.normal(size=(d, d))
            symmetric = a + a.T + rng.uniform(0, 4) * np.eye(d)
            least = np.linalg.eigvalsh(symmetric).min()
            assert the_map.positive_definite(the_map.matrix(symmetric)) == (least > 0)
            low, high = outwards(*the_map.modulus(the_map.matrix(a)))
            exact = a[0, 0] if d == 1 else np.abs(np.linalg.eigvals(a)).max()
            assert low - 1e-13 < exact < high + 1e-13
            assert high - low < 1e-5
        wide = [[x + the_map.iv.mpf([-1, 1]) for x in r] for r in the_map.matrix(np.eye(d))]
        assert not the_map.positive_definite(wide)
    two = GradientMap(np.eye(2, dtype=int), [1, 1], Fraction(1), 200)
    for jordan in ([[0.5, 1e3], [0.0, 0.5]], [[0.5, 0.5], [-0.5, 0.5]], [[0.0, 1.0], [0.0, 0.0]]):
        low, high = outwards(*two.modulus(two.matrix(np.array(jordan))))
        exact = np.abs(np.linalg.eigvals(np.array(jordan))).max()
        assert low - 1e-12 < exact < high + 1e-12 and high - low < 1e-3


# --- a proof that lacks something is none ---


def pieces(row, bits=256):
    the_map = GradientMap(*data_of(row), bits)
    guess = logistic.minimizer(np.array(row.z), row.m).reshape(the_map.d)
    minimum, within, _ = certify._minimum(the_map, guess)
    near = np.atleast_1d(np.array(row.points[0], float))
    centres, _ = certify._polish(the_map, the_map.point(near), len(row.points))
    return the_map, centres, minimum, within


@pytest.mark.parametrize("row", [FLAGSHIP, N38], ids=name)
def test_points_that_are_moved_are_no_cycle(row):
    the_map, centres, minimum, within = pieces(row)
    assert certify._trap(the_map, centres, minimum, within).radius > 0
    moved = [[x + the_map.iv.mpf(1e-3) for x in c] for c in centres]
    with pytest.raises(certify._NotProved, match="interval too wide"):
        certify._trap(the_map, moved, minimum, within)
    with pytest.raises(certify._NotProved, match="interval too wide"):
        certify._trap(the_map, centres, minimum, the_map.iv.mpf(1))


@pytest.mark.parametrize("row", [FLAGSHIP, N38], ids=name)
def test_a_step_size_that_is_not_exact_is_no_proof(row, monkeypatch):
    the_map, centres, minimum, within = pieces(row)
    the_map.data = [
        (vector, square, pull * (1 + the_map.iv.mpf([-1e-3, 1e-3])))
        for vector, square, pull in the_map.data
    ]
    with pytest.raises(certify._NotProved, match="interval too wide"):
        certify._trap(the_map, centres, minimum, within)


def test_too_few_bits_reach_nothing():
    the_map, centres, minimum, within = pieces(WALLS[0])
    trap = certify._trap(the_map, centres, minimum, within)
    for bits, enough in ((30, False), (300, True)):
        the_map = GradientMap(*data_of(WALLS[0]), bits)
        start = [the_map.exact(Fraction(x)) for x in WALLS[0].start]
        assert certify._enters(the_map, start, trap, 3000) == enough


@pytest.mark.parametrize("row", [FLAGSHIP, N38], ids=name)
@pytest.mark.parametrize("off", [1e-3, 1e-6, 1e-12])
def test_a_minimiser_that_is_not_polished_is_enclosed_or_refused(row, off, monkeypatch):
    the_map, plain = GradientMap(*data_of(row), 128), Plain(row, 40)
    true = plain.minimizer(logistic.minimizer(np.array(row.z), row.m))
    exact = plain.normalized(true)
    monkeypatch.setattr(certify, "_polish", lambda the_map, c, k: ([c], None))
    guess = np.array([float(x) for x in true]) + off * np.linspace(1, -2, the_map.d)
    centre, within, (low, high) = certify._minimum(the_map, guess)
    gap = plain.gap([plain.mp.mpf(x.mid) for x in centre], guess)
    assert gap == 0 < plain.gap(true, guess) <= plain.mp.mpf(within.b)
    assert low < exact < high
    with pytest.raises(certify._NotProved, match="curvature at the minimiser"):
        certify._minimum(the_map, guess + 0.3)


def test_the_ball_of_the_minimiser_is_as_wide_as_falling_curvature_asks(monkeypatch):
    the_map, right = GradientMap([[1], [-1]], [3, 1], Fraction(1), 128), np.linalg.eigh
    monkeypatch.setattr(certify, "_polish", lambda the_map, c, k: ([c], None))

    def near(a):  # mu, half of this, is next to the curvature at the centre
        values, vectors = right(a)
        return 1.9998 * values, vectors

    monkeypatch.setattr(np.linalg, "eigh", near)
    guess = math.log(3) - 0.2  # the curvature falls from here to the minimiser, log 3
    _, within, _ = certify._minimum(the_map, np.array([guess]))
    assert nearest(within) > 0.2


def test_no_minimiser_is_made_up(monkeypatch):
    monkeypatch.setattr(certify, "_polish", lambda the_map, c, k: ([c], None))
    for z, guess in (
        ([[1], [2]], [20.0]),
        ([[1, 0], [-1, 0]], [0.0, 0.0]),
        ([[1, 1], [-1, 1]], [0.0, 30.0]),
    ):
        the_map = GradientMap(z, [1, 1], Fraction(1), 100)
        with pytest.raises(certify._NotProved, match="curvature at the minimiser"):
            certify._minimum(the_map, np.array(guess))


@pytest.mark.parametrize("factor", [100, 1e-30])
def test_wrong_eigenvalues_are_found_out(factor, monkeypatch):
    right, exact = np.linalg.eigh, certified(N38).normalized_step

    def wrong(a):
        values, vectors = right(a)
        return values * factor, vectors[:, ::-1]

    monkeypatch.setattr(np.linalg, "eigh", wrong)
    certificate = certified(N38)
    assert nothing_claimed(certificate)
    low, high = certificate.normalized_step
    assert math.isnan(low) or low <= exact[0] <= exact[1] <= high


def test_a_curvature_that_is_guessed_too_large_is_found_out(monkeypatch):
    the_map, right = GradientMap(*data_of(N38), 128), np.linalg.eigh

    def wrong(a):
        values, vectors = right(a)
        return values * [3.0, 1.0], vectors

    monkeypatch.setattr(np.linalg, "eigh", wrong)
    with pytest.raises(certify._NotProved, match="curvature at the minimiser"):
        certify._minimum(the_map, logistic.minimizer(np.array(N38.z), N38.m))


@pytest.mark.parametrize("row", [FLAGSHIP, N38], ids=name)
def test_floats_that_are_off_are_found_out(row, monkeypatch):
    pieces_, right = pieces(row), certify._rounded
    for off, of_points in ((1e-5, True), (1e-5, False), (-1e-4, True), (-1e-4, False)):

        def wrong(the_map, x, off=off, of_points=of_points):
            return right(the_map, x) + off * (isinstance(x[0], list) == of_points)

        monkeypatch.setattr(certify, "_rounded", wrong)
        with pytest.raises(certify._NotProved, match="interval too wide"):
            certify._trap(*pieces_)


def test_an_orbit_that_may_be_outside_has_not_entered():
    the_map, *rest = pieces(FLAGSHIP)
    trap = certify._trap(the_map, *rest)
    inside = the_map.iv.mpf(float(trap.points[0][0])) + the_map.iv.mpf(0.5 * trap.radius)
    for part, entered in ((0.4, True), (0.6, False), (0.9, False)):
        start = [inside + the_map.iv.mpf([-part, part]) * the_map.iv.mpf(trap.radius)]
        if entered:
            assert certify._enters(the_map, start, trap, 0)
        else:
            with pytest.raises(certify._NotProved, match="in 0 steps"):
                certify._enters(the_map, start, trap, 0)


@pytest.mark.parametrize("row", [FLAGSHIP, N38], ids=name)
def test_a_norm_or_a_factor_that_is_wrong_is_found_out(row, monkeypatch):
    pieces_ = pieces(row)
    right = certify._contraction
    wrong = [
        lambda p, q: (p, 0.3),  # below the multiplier
        lambda p, q: (p / 100, q),  # |v|_P below |v|
        lambda p, q: (p * 0 + np.eye(len(p)) * 2, 0.2),
    ]
    for change in wrong:
        monkeypatch.setattr(certify, "_contraction", lambda a, c=change: c(*right(a)))
        with pytest.raises(certify._NotProved, match="interval too wide"):
            certify._trap(*pieces_)
    monkeypatch.setattr(certify, "_contraction", right)
    assert certify._trap(*pieces_).radius > 0


@pytest.mark.parametrize(
    ("row", "off"),
    [(row, 0.0) for row in (FLAGSHIP, MIRROR, ROWS[29], N38, SPHERES[4])]
    + [(row, side * 0.9e-6) for row in (FLAGSHIP, MIRROR) for side in (-1, 1)],
    ids=lambda x: name(x) if isinstance(x, Row) else str(x),
)
def test_every_ball_is_carried_into_the_region_that_contracts(row, off, monkeypatch):
    norms, regions, around, right = [], [], GradientMap.around, certify._contraction
    rounded = certify._rounded

    def moved(the_map, x):  # the balls are around the points said, not around the centres
        return rounded(the_map, x) + off * isinstance(x[0], list)

    monkeypatch.setattr(certify, "_rounded", moved)

    def kept(jacobian):
        norms.append(right(jacobian)[0])
        return right(jacobian)

    def seen(self, centres, reach, first=0):
        if first == 0:
            regions.append((centres[0], float(reach)))
        return around(self, centres, reach, first)

    monkeypatch.setattr(certify, "_contraction", kept)
    monkeypatch.setattr(GradientMap, "around", seen)
    the_map, *rest = pieces(row)
    trap = certify._trap(the_map, *rest)
    assert off == 0 or trap.radius == 1e-6
    centre, region = regions[-1]
    plain, rng, k, d = Plain(row, 50), np.random.default_rng(0), len(row.points), the_map.d
    middle = [plain.mp.mpf(x.mid) for x in centre]
    top = np.linalg.eigh(norms[0])[1][:, -1]
    for j in range(k):
        for direction in (top, -top, *rng.normal(size=(5, d))):
            move = 0.9999 * trap.radius * direction / np.linalg.norm(direction)
            w = [plain.mp.mpf(x) + y for x, y in zip(trap.points[j], move.tolist(), strict=True)]
            for _ in range(j, k if j else 0):
                w = plain.step(w)
            v = np.array([float(x - y) for x, y in zip(w, middle, strict=True)])
            assert math.sqrt(v @ norms[0] @ v) <= region


def test_one_point_under_two_names_is_no_two_cycle():
    the_map = GradientMap([[1], [-1]], [1, 1], Fraction(4), 200)  # M'(0) = 0
    zero = the_map.iv.zero
    assert certify._trap(the_map, [[zero]], [zero], zero).points.tolist() == [[0.0]]
    for gap, words in (
        (1e-8, "interval too wide"),
        (-1e-8, "interval too wide"),  # the ball of the first point holds the second
        (1e-12, "period not prime: got 2"),
    ):
        with pytest.raises(certify._NotProved, match=words):
            certify._trap(the_map, [[zero], [the_map.iv.mpf(gap)]], [zero], zero)


@pytest.mark.parametrize("lacking", ["positive_definite", "below"])
def test_a_step_that_fails_is_not_passed_over(lacking, monkeypatch):
    if lacking == "below":
        monkeypatch.setattr(certify, "surely_less", lambda x, y: False)
    else:
        monkeypatch.setattr(GradientMap, "positive_definite", lambda self, a: False)
    assert nothing_claimed(certified(FLAGSHIP)) and nothing_claimed(certified(N38))


# --- what is given, and what is said ---


def test_a_report_says_what_is_proved():
    assert report(certified(FLAGSHIP)) == (
        "Proved on your machine: the orbit of the start converges to a cycle of period 2, within "
        "1e-06 of 0.34180924298932397 and 1.770228594146189; step_size * lambda in [1.900000, "
        "1.900001], multiplier in [-0.469460, -0.469459]."
    )
    several = report(certified(WALLS[3]))
    assert "(-1.2835831906966213, 5.449212733339137) and (1.28" in several
    assert "largest modulus of a multiplier in [0.803641, 0.803642]" in several
    with pytest.raises(TypeError, match="certificate: got str, a Certificate is needed"):
        report("proved")


def test_what_is_zero_is_said_to_be_zero():
    certificate = certified(SPHERES[4])
    assert certificate.points[:, 1].tolist() == [0.0, 0.0]
    assert certificate.minimizer[:2].tolist() == [0.0, 0.0]


def test_fields_in_their_order():
    assert certify.Certificate._fields == (
        "proved", "normalized_step", "minimizer", "points", "radius", "multiplier", "reason",
    )  # fmt: skip


GOOD = dict(z=[1, -1, 10], multiplicities=[2, 1, 1], step_size="10", period=2)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "z: got values of type float64, whole numbers", dict(z=[1.0, -1.0, 10.0])),
        (TypeError, "z: got values of type bool, whole numbers", dict(z=[True, False, True])),
        (TypeError, "z: got values of type <U", dict(z=["1", "-1", "10"])),
        (TypeError, "z: got a ragged sequence", dict(z=[[1], [2, 3], [4]])),
        (TypeError, "z: got a masked array", dict(z=np.ma.masked_array([1, -1, 10]))),
        (ValueError, "z: got 4294967296, whole numbers of size up to", dict(z=[1, -1, 2**32])),
        (ValueError, r"z: got shape \(0,\)", dict(z=np.zeros(0, int))),
        (ValueError, r"z: got shape \(\)", dict(z=3)),
        (ValueError, r"z: got shape \(1, 1, 3\)", dict(z=[[[1, -1, 10]]])),
        (TypeError, "multiplicities: got values of type float64", dict(multiplicities=[2.0, 1, 1])),
        (ValueError, r"multiplicities: got \[2, 1\], 3 whole numbers", dict(multiplicities=[2, 1])),
        (ValueError, "multiplicities: got .* from 1 are needed", dict(multiplicities=[2, 0, 1])),
        (ValueError, "multiplicities: got .* from 1 are needed", dict(multiplicities=[2, -1, 1])),
        (ValueError, "multiplicities: got 1", dict(multiplicities=1)),
        (
            TypeError,
            "step_size: got 10.5, a string .* float .* pass '10.5' if",
            dict(step_size=10.5),
        ),
        (TypeError, "step_size: got 10, a string .* pass '10' if that", dict(step_size=10)),
        (TypeError, "step_size: got None, a string .* write '10.140377'", dict(step_size=None)),
        (TypeError, "step_size: got True, a string .* write '10.140377'", dict(step_size=True)),
        (TypeError, "step_size: got Fraction", dict(step_size=Fraction(1))),
        (ValueError, "step_size: got 'ten', a decimal number", dict(step_size="ten")),
        (ValueError, "step_size: got '1/3', a decimal number", dict(step_size="1/3")),
        (ValueError, "step_size: got '', a decimal number", dict(step_size="")),
        (ValueError, "step_size: got 'nan', a decimal number", dict(step_size="nan")),
        (ValueError, "step_size: got 'inf', a decimal number", dict(step_size="inf")),
        (ValueError, "step_size: got '1e999999', a decimal number", dict(step_size="1e999999")),
        (ValueError, "step_size: got '0.0+', a decimal number", dict(step_size="0." + "0" * 999)),
        *(
            (ValueError, f"step_size: got {re.escape(repr(text))}, a decimal", dict(step_size=text))
            for text in (
                "\u0661\u0660",
                "1_0",
                " 10",
                "10 ",
                "10\n",
                "1e",
                ".",
                "+-1",
                "0x10",
                "1e_1",
            )
        ),
        (ValueError, "start: got ' 0', a decimal number", dict(start=[" 0"])),
        (TypeError, "start: got 0.0, a string", dict(start=np.array(0.0))),
        (ValueError, "step_size: got '0', a number above 0", dict(step_size="0")),
        (ValueError, "step_size: got '-1', a number above 0", dict(step_size="-1")),
        (ValueError, "period: got 0, a whole number from 1", dict(period=0)),
        (TypeError, "period: got 2.0, a whole number", dict(period=2.0)),
        (TypeError, "period: got True", dict(period=True)),
        (ValueError, "n_steps: got -1, a whole number from 0", dict(n_steps=-1)),
        (TypeError, "n_steps: got '9', a whole number", dict(n_steps="9")),
        (TypeError, "start: got 0.0, a string .* pass '0.0' if", dict(start=0.0)),
        (TypeError, "start: got None, a string", dict(start=None)),
        (TypeError, "start: got 1, a string", dict(start=[1])),
        (ValueError, "start: got 'x', a decimal number", dict(start="x")),
        (
            ValueError,
            "start: got 2 of the numbers of a point, 1 are needed",
            dict(start=("0", "0")),
        ),
        (ValueError, "start: got 0 of the numbers of a point", dict(start=[])),
        (
            ValueError,
            "start: got 1 of the numbers of a point, 2 are needed",
            dict(z=[[1, 0], [0, 1], [-1, -1]], start=["0"]),
        ),
        (
            ValueError,
            "start: got 1 of the numbers of a point, 2 are needed",
            dict(z=[[1, 0], [0, 1], [-1, -1]], start="1"),
        ),
    ],
)
def test_bad_input_is_refused_by_name(error, message, change):
    with pytest.raises(error, match=f"^{message}"):
        certify_cycle(**GOOD | change)


@pytest.mark.parametrize("text", ["10", "+10.", "1e1", ".1E+2", "100e-1", "010.0"])
def test_decimal_numbers_as_they_are_written(text):
    assert certify._decimal("step_size", text) == 10


@pytest.mark.parametrize(("z", "m", "period"), [([1, -1, 10], [2, 1, 1], 1), ([1, -1], [1, 1], 2)])
def test_steps_too_large_for_ordinary_arithmetic_give_a_reason_and_no_warning(z, m, period):
    with np.errstate(all="raise"):  # nor what the caller asks of NumPy for itself
        assert nothing_claimed(certify_cycle(z, m, "1e290", period=period))


def test_a_start_that_is_an_array_of_no_axes():
    assert report(certified(FLAGSHIP, start=np.array("0"))) == report(certified(FLAGSHIP))


def test_traced_values_are_refused():
    with pytest.raises(TypeError, match="z: got a traced value"):
        jax.jit(lambda z: certify_cycle(z, [1, 1], "1", period=1).radius)(np.array([1, -1]))


def test_without_mpmath_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    with pytest.raises(ImportError, match=r"not installed; run `pip install optdyn\[certify\]`"):
        certify_cycle(**GOOD)


def test_the_precision_of_others_is_left_alone():
    before = mpmath.mp.prec, mpmath.iv.prec
    mpmath.iv.prec = 20
    try:
        assert certified(FLAGSHIP).proved
        assert mpmath.iv.prec == 20 and mpmath.mp.prec == before[0]
    finally:
        mpmath.iv.prec = before[1]


def test_nothing_given_is_changed():
    z, m = np.array([1, -1, 10]), np.array([2, 1, 1])
    certify_cycle(z, m, "10.140377", period=2)
    assert z.tolist() == [1, -1, 10] and m.tolist() == [2, 1, 1]
    assert isinstance(nearest(GradientMap([[1]], [1], Fraction(1), 64).iv.mpf(2)), float)
