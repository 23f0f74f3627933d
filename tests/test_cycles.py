"""optdyn.cycles against NumPy loops, mpmath, closed forms, and what must not recompile."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optdyn import cycles, datasets, logistic

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


FLAGSHIP = [1.0, 1.0, -1.0, 10.0]
UNIT = logistic.critical_step_size(FLAGSHIP) / 2  # step sizes are given as multiples of 1 / lambda


def orbit(w, z, eta, n_steps, m=None):
    """Gradient descent by a NumPy loop, written out independently of the library."""
    z, w = np.asarray(z, float), np.asarray(w, float)
    m = np.ones(len(z)) if m is None else np.asarray(m, float)
    visited = [w]
    for _ in range(n_steps):
        pull = m / m.sum() / (1 + np.exp(z @ w if z.ndim == 2 else z * w))
        w = w + eta * (pull @ z)
        visited.append(w)
    return np.array(visited)


def three_values(ups, downs, large):
    return [1, -1, large], [ups, downs, 1]


# Two-cycles reached from 0 below 2 / lambda: normalised step, copies of +1 and -1, +B, step size,
# the two points, the multiplier.
TWO_CYCLES = np.loadtxt(
    """
1.05 787 775 1500 4.202935 0.0014182455121978 0.44549290909629 -0.208514
1.10 1769 1729 500 4.388320 -0.0136985356201173 0.65282648013450 -0.005254
1.15 55 51 220 4.649499 0.0116173058394452 0.77380289771287 -0.705500
1.20 49 44 110 4.847500 0.0170256141530215 0.88121774529218 -0.481627
1.25 44 40 90 4.748498 0.0202301270182013 0.80884667540571 0.022574
1.30 25 21 55 5.259944 0.0341757069118146 1.02914775861797 -0.060495
1.35 23 21 90 4.719922 0.0281117755612470 0.79701551870381 -0.679952
1.40 22 19 50 5.061815 0.0381815440971710 0.94965951652977 -0.208598
1.45 16 12 30 5.995645 0.0587299330581900 1.29622946219923 -0.560665
1.50 13 10 27 5.803762 0.0693007612983888 1.20679149352556 -0.294364
1.55 3 2 45 7.749845 0.0937904109515233 1.42978661014252 0.242555
1.60 6 4 19 6.899100 0.1325957068870210 1.44015033581076 -0.466642
1.65 5 3 19 7.830398 0.1589212728795240 1.52256052704076 0.341303
1.70 9 6 15 6.724000 0.1255107764198620 1.39096893665502 0.065851
1.75 5 3 13 7.611483 0.1971098846980823 1.49765779052919 0.107773
1.80 2 1 12 10.298135 0.3200879384451819 1.64390908177632 0.410074
1.85 4 2 12 9.475876 0.2483003808400456 1.88589572792054 -0.708944
1.90 2 1 10 10.140377 0.3418092429893240 1.77022859414619 -0.469460
1.95 4 2 8 8.886537 0.3413273800442311 1.58854928395919 0.402413
1.99 2 1 8 9.410401 0.4558380223141819 1.31979407584774 0.785372
1.2 425 400 150 4.752647 -0.0285622217207001 0.928591217665318 -0.069925
1.5 110 90 40 6.028134 -0.1015530042134925 1.529835251789425 -0.158254
1.8 55 40 15 6.948168 -0.1396630717655601 1.609522417062671 -0.103675
""".splitlines()
)
LONG_CYCLES = [  # the same: step size, copies, +B, points in order, multiplier
    (5.714604, 22, 18, 36, "3.580353264 1.222649254 -0.018002050", -0.711322),
    (6.063223, 8, 6, 27, "0.084602323 1.378011492 0.092042209 1.205474663", -0.180820),
    (
        6.009765,
        18,
        15,
        49,
        "1.100460937 -0.094675084 8.886628520 6.236067764 3.596096876",
        0.347919,
    ),
    (6.820264, 20, 15, 21, "-0.130973814 4.298995955 1.546073402", -0.195184),
    (7.030148, 11, 8, 21, "-0.093222638 7.057981504 4.251664422 1.533377123", -0.393497),
    (
        *(7.506405, 11, 8, 26),
        "-0.202201173 10.427786336 7.425435400 4.427120293 1.508760431",
        0.109089,
    ),
    (
        *(7.946736, 7, 5, 31),
        "-0.214637612 19.714272311 16.657835408 13.601398912 10.544971076 7.488727258 "
        "4.436391157 1.465779517",
        0.168486,
    ),
    (5.996161, 15, 12, 23, "1.242414699 -0.032105575 3.668316263", 0.110699),
    (
        *(4.842676, 42, 39, 170),
        "0.891737962 -0.020642537 9.840662545 7.537693270 5.237015837 2.959087595",
        -0.493787,
    ),
]
ALL_CYCLES = [
    (row[4], *row[1:4], f"{row[5]!s} {row[6]!s}", row[7]) for row in TWO_CYCLES
] + LONG_CYCLES


def exact_cycle(u, z, m, eta, k):
    """The cycle near u and its multiplier in 30 digits."""
    with mpmath.workdps(30):
        total, eta = mpmath.mpf(sum(m)), mpmath.mpf(repr(eta))

        def around(u):
            slope, visited = mpmath.mpf(1), []
            for _ in range(k):
                visited.append(u)
                s = [1 / (1 + mpmath.exp(a * u)) for a in z]
                h = sum(c * a * a * x * (1 - x) for a, c, x in zip(z, m, s, strict=True)) / total
                slope *= 1 - eta * h
                u += eta * sum(c * a * x for a, c, x in zip(z, m, s, strict=True)) / total
            return u, slope, visited

        u = mpmath.mpf(u)
        for _ in range(6):
            image, slope, _ = around(u)
            u -= (image - u) / (slope - 1)
        _, slope, visited = around(u)
        return np.array(visited, float), float(slope)


def same_cycle(found, expected, atol):
    """Whether two cycles are equal as cyclic sequences."""
    turns = [np.abs(np.roll(found, i, axis=0) - expected).max() for i in range(len(expected))]
    assert len(found) == len(expected) and min(turns) < atol


@pytest.mark.parametrize("row", ALL_CYCLES, ids=[f"{r[0]}" for r in ALL_CYCLES])
def test_certified_cycles_in_one_dimension(row):
    eta, ups, downs, large, points, multiplier = row
    z, m = three_values(ups, downs, large)
    points = np.array(points.split(), float)
    exact, slope = exact_cycle(points[0], [int(a) for a in z], m, float(eta), len(points))
    assert np.abs(exact - points).max() < 2e-9 and abs(slope - multiplier) < 2e-6
    cycle = cycles.find_cycle(0.0, z, step_size=eta, weights=m)
    assert cycle.period == len(points) and np.argmin(cycle.points) == 0
    same_cycle(cycle.points, exact, 1e-9)
    np.testing.assert_allclose(cycle.multipliers, [slope], atol=1e-9)
    assert cycle.multipliers.dtype == np.float64
    assert eta < logistic.critical_step_size(z, m)


def walls(large, rise, ups, downs):
    return [[large, rise], [-large, rise], [0, 1], [0, -1]], [1, 1, ups, downs]


def room(right, left, n):  # a feature and an intercept
    return [[right, 1], [-left, 1], [0, 1], [0, -1]], [1, 1, n - 2, 1]


PLANE = [  # data, step size, start, one point, moduli of the multipliers
    (walls(80, 6, 25, 7), 0.277616, (1, 0), (0.3253612827202548, 3.410620854231223),
     (0.981435, 0.642101)),
    (walls(60, 6, 20, 6), 0.540265, (1, 0), (0.5626454423170295, 5.035283325926377),
     (0.906758, 0.906758)),
    (walls(25, 3, 20, 3), 1.525592, (1, 0), (0.7257810060297567, 5.05619996633491),
     (0.779629, 0.779629)),
    (walls(20, 4, 15, 4), 2.751479, (1, 0), (1.2835831906966213, 5.449212733339138),
     (0.803641, 0.009079)),
    (walls(12, 3, 15, 3), 5.76007, (1, 0), (1.6863229743681901, 5.512007930143708),
     (0.722402, 0.002012)),
    (walls(8, 2, 15, 2), 8.366402, (1, 0), (1.6797545776550931, 5.206689856632303),
     (0.396785, 0.246729)),
    (room(5, 5, 14), 8.678571, (1, 0), (1.2216902291739735, 4.4151920832806434),
     (0.8944, None)),
    (room(6, 6, 19), 8.77193, (1, 0), (1.1511690988156808, 4.9620595189769178),
     (0.7366, None)),
    (room(8, 8, 25), 6.591, (1, 0), (0.8750816939872012, 5.1601780914912848),
     (0.9165, None)),
    (room(10, 10, 37), 6.673622, (1, 0), (0.7759836783839601, 5.7318843030653351),
     (0.8066, None)),
    (room(15, 15, 82), 7.747791, (1, 0), (0.65542826386540171, 7.1455111245311148),
     (0.9581, None)),
    (room(12, 10, 37), 5.581936, (0, 0), (0.80383587614119728, 5.4772538588662858),
     (0.840087, 0.038869)),
    (room(12, 10, 27), 4.079568, (0, 0), (0.8319531053498384, 5.3143197562933475),
     (None, None)),
    (room(12, 10, 20), 2.903694, (0, 0), (0.7855575643704742, 4.9616459282158421),
     (None, None)),
    (room(10, 8, 14), 2.724164, (0, 0), (0.7870575645721891, 4.1720231018636274),
     (None, None)),
]  # fmt: skip


@pytest.mark.parametrize("row", PLANE, ids=[str(row[1]) for row in PLANE])
def test_certified_cycles_in_the_plane(row):
    (z, m), eta, start, point, moduli = row
    cycle = cycles.find_cycle(np.array(start), z, step_size=eta, weights=m)
    assert cycle.period == 2 and cycle.points.shape == (2, 2)
    np.testing.assert_allclose(cycle.points[1], point, atol=1e-9)
    np.testing.assert_allclose(orbit(cycle.points[0], z, eta, 1, m)[1], point, atol=1e-9)
    for found, expected in zip(np.abs(cycle.multipliers), moduli, strict=True):
        assert expected is None or found == pytest.approx(expected, abs=5e-5)


def test_cycles_of_equal_norm():
    z, m = [[35, 12], [-35, 12], [0, 37], [0, -37]], [4, 4, 200, 1]
    cycle = cycles.find_cycle([0.055, 0.17], z, step_size=0.363739769, weights=m)
    np.testing.assert_allclose(
        cycle.points[1], [0.055026961894651277, 0.17044630057725506], atol=1e-9
    )
    assert np.abs(cycle.multipliers).max() == pytest.approx(0.6177, abs=5e-5)
    ball = [[35, 0, 12], [-35, 0, 12], [0, 35, 12], [0, -35, 12], [0, 0, 37], [0, 0, -37]]
    kwargs = {"step_size": 0.369185748, "weights": [4, 4, 4, 4, 175, 1]}
    cycle = cycles.find_cycle([0.06, 0.008, 0.18], ball, **kwargs)
    expected = [0.053823986861714084, 0, 0.18522656521922699]
    np.testing.assert_allclose(np.abs(cycle.points[0]), expected, atol=1e-9)
    assert cycle.multipliers.shape == (3,)


def test_find_cycle_tells_what_has_settled():
    w = logistic.minimizer(FLAGSHIP)
    still = cycles.find_cycle(w + 0.02, FLAGSHIP, step_size=1.98 * UNIT)
    assert still.period == 1 and still.points.shape == (1,)
    np.testing.assert_allclose([still.points[0], still.multipliers[0]], [w, -0.98], rtol=1e-12)
    exact = cycles.find_cycle(w, FLAGSHIP, step_size=1.9 * UNIT, n_transient=0)
    assert exact.period == 1
    assert cycles.find_cycle(0.0, FLAGSHIP, step_size=1.98 * UNIT) is None  # chaos
    four = cycles.find_cycle(0.0, FLAGSHIP, step_size=1.93 * UNIT)
    assert four.period == 4
    assert cycles.find_cycle(0.0, FLAGSHIP, step_size=1.93 * UNIT, max_period=3) is None
    assert cycles.find_cycle(0.0, [1.0, 2.0], step_size=1.0) is None  # separable: off to infinity
    assert cycles.find_cycle([0.0, 0.0], [[1.0, 0.2], [-2.0, 0.2]], step_size=4.0) is None
    balanced = cycles.find_cycle(3.0, [1.0, -1.0], step_size=9.0)
    assert balanced.period == 2 and balanced.points.sum() == pytest.approx(0, abs=1e-12)
    assert cycles.find_cycle(3.0, [1.0, -1.0], step_size=7.0).points[0] == pytest.approx(
        0, abs=1e-15
    )
    column = cycles.find_cycle([0.0], np.array(FLAGSHIP)[:, None], step_size=1.9 * UNIT)
    assert column.points.shape == (2, 1) and column.multipliers.shape == (1,)


def test_find_cycle_at_a_flip():
    """Where the multiplier is -1 float64 cannot tell the cycle from that of doubled period."""
    for z, m in ([1.0, -1.0], [1, 1]), ([1.0, -1.0], [3, 1]):
        w, flip = float(logistic.minimizer(z, m)), logistic.critical_step_size(z, m)
        for away in (1e-8, 1e-10, 0):
            for start in (w, w + 1e-4):
                for eta in (flip * (1 - away), flip * (1 + away)):
                    assert cycles.find_cycle(start, z, step_size=eta, weights=m) is None
        near = cycles.find_cycle(w + 1e-9, z, step_size=flip * (1 - 1e-5), weights=m)
        assert near.period == 1 and near.multipliers[0] == pytest.approx(-1 + 2e-5, abs=1e-9)
        pair = cycles.find_cycle(w + 0.01, z, step_size=flip * (1 + 1e-3), weights=m)
        assert pair.period == 2
    # the returns of every second step are within the tolerance, those of every step are not
    w = float(logistic.minimizer(FLAGSHIP)) + 1e-9
    slow = cycles.find_cycle(w, FLAGSHIP, step_size=1.999 * UNIT)
    assert slow.period == 1 and slow.multipliers[0] == pytest.approx(-0.999, abs=1e-9)


def test_a_long_transient_is_no_cycle():
    degrees = [66, 70, 69, 68, 67, 72, 73, 70, 57, 63, 70, 78]
    degrees += [67, 53, 67, 75, 70, 81, 76, 79, 75, 76, 58]
    damage = np.isin(np.arange(23), [1, 8, 9, 10, 13, 20, 22])
    z = logistic.absorb(np.array(degrees)[:, None], damage, intercept=True)
    eta = 0.75 * logistic.critical_step_size(z)
    end = orbit([0.0, 0.0], z, eta, 10_000)[-3:]
    assert np.linalg.norm(end[2] - end[1]) == pytest.approx(0.0252, abs=1e-4)  # it swings
    assert np.linalg.norm(end[2] - end[0]) < 2e-4  # with period two, nearly
    assert cycles.find_cycle([0.0, 0.0], z, step_size=eta) is None


@given(st.integers(0, 10**6), st.floats(0.05, 0.98))
@settings(max_examples=30)
def test_two_cycles_are_cycles(seed, fraction):
    rng = np.random.default_rng(seed)
    z = np.append(rng.choice([-1, 1], 5) * np.exp(rng.normal(size=5)), [1.0, -1.0])
    m = rng.integers(1, 5, 7)
    force = fraction * logistic.max_force(z, m)
    pair = cycles.two_cycles(force, z, m)
    assert pair.low < pair.high and np.shape(pair.multiplier) == ()
    there = orbit(pair.low, z, pair.step_size, 2, m)
    np.testing.assert_allclose(there[1:], [pair.high, pair.low], rtol=1e-9, atol=1e-9)
    slopes = [1 - pair.step_size * float(logistic.hessian(u, z, m)) for u in (pair.low, pair.high)]
    assert pair.multiplier == pytest.approx(np.prod(slopes), rel=1e-9, abs=1e-9)
    near = cycles.two_cycles(force * np.array([1 - 1e-6, 1 + 1e-6]), z, m)
    rising = float(np.diff(near.step_size)[0] / pair.step_size)
    assume(abs(rising) > 1e-9)
    assert (pair.multiplier < 1) == (rising > 0)


def test_two_cycles_in_closed_form():
    p, force = 0.75, np.linspace(0.01, 0.24, 24).reshape(4, 6)
    pair = cycles.two_cycles(force, [1.0, -1.0], [p, 1 - p])
    logit = [np.log((p + s * force) / (1 - p - s * force)) for s in (1, -1)]
    np.testing.assert_allclose(pair.step_size, (logit[0] - logit[1]) / force, rtol=1e-12)
    np.testing.assert_allclose([pair.high, pair.low], logit, rtol=1e-12)
    assert logistic.max_force([1.0, -1.0], [p, 1 - p]) == 0.25
    tiny = cycles.two_cycles(1e-3, FLAGSHIP)
    assert tiny.step_size == pytest.approx(2 * UNIT, rel=1e-4) and tiny.multiplier > 1


def test_the_unstable_two_cycle_bounds_the_basin():
    expected = {
        1.9: (0.4710258654796, 1.0853848095380, 1.3391),
        1.95: (0.5424828657763, 0.9241563430252, 1.1954),
        1.98: (0.6011449828342, 0.8301676977314, 1.0798),
        1.99: (0.6309043657068, 0.7904305750216, 1.0400),
    }
    for gamma, (low, high, multiplier) in expected.items():
        force = float(-logistic.gradient(low, FLAGSHIP))
        pair = cycles.two_cycles(force, FLAGSHIP)
        np.testing.assert_allclose([pair.low, pair.high], [low, high], rtol=1e-11)
        assert pair.step_size / UNIT == pytest.approx(gamma, rel=1e-11)
        assert pair.multiplier == pytest.approx(multiplier, abs=5e-5)


@given(st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=30)
def test_period(k, seed):
    rng = np.random.default_rng(seed)
    points = rng.permutation(k) + rng.uniform(0, 0.5)
    tail = np.resize(points, 64)
    assert cycles.period(tail) == k
    assert cycles.period(np.stack([tail, -tail], axis=1)) == k
    assert cycles.period(tail + 1e-9 * rng.normal(size=64)) == (k if k > 1 else 0)
    assert cycles.period(tail.astype(np.float32)) == k
    assert cycles.period(tail, max_period=12) == k
    assert cycles.period(tail + 0.01 * np.arange(64)) == 0
    if k > 1:
        assert cycles.period(tail, max_period=k - 1) == 0
    assert cycles.period(tail + 0.01 * np.arange(64), atol=0.33) in range(1, 33)
    assert cycles.period(tail, rtol=0, atol=0) == k
    assert cycles.period(tail, rtol=1.0) == 1


def end_of(z, m, etas, starts, n_steps, n_tail=48):
    """The last iterates of many orbits by a NumPy loop, shape (n_tail, etas, starts, d)."""
    z, p = np.asarray(z, float).reshape(len(z), -1), np.asarray(m, float) / np.sum(m)
    w = np.repeat(np.asarray(starts, float).reshape(1, len(starts), -1), len(etas), axis=0)
    tail = []
    for t in range(n_steps + n_tail):
        if t >= n_steps:
            tail.append(w)
        w = w + np.asarray(etas)[:, None, None] * ((p / (1 + np.exp(w @ z.T))) @ z)
    return np.array(tail)


def labels_of(tail, w):
    """What `basins` should say of orbits that have settled as far as float64 can tell."""
    labels = np.zeros(tail.shape[1:3], int)
    for k in range(16, 0, -1):
        labels[np.abs(tail[k:] - tail[:-k]).max(axis=(0, 3)) < 1e-9] = k
    near = np.abs(tail[-1] - w).max(axis=-1) < 1e-9
    assert (near | (labels != 1)).all()
    return np.where(near, 1, labels)


def test_basins_on_the_line():
    gammas, starts = [0.5, 1.85, 1.9, 1.93, 1.943, 1.98, 2.1], np.linspace(-3, 3, 41)
    etas = np.array(gammas) * UNIT
    found = cycles.basins(FLAGSHIP, step_sizes=etas, w0s=starts, n_transient=4000)
    tail = end_of(FLAGSHIP, [1] * 4, etas, starts, 4000)
    np.testing.assert_array_equal(found, labels_of(tail, logistic.minimizer(FLAGSHIP)))
    assert [set(row) for row in found] == [{1}, {1}, {1, 2}, {1, 4}, {1, 8}, {0, 1}, {0}]
    few = cycles.basins(FLAGSHIP, step_sizes=etas, w0s=starts, n_transient=4000, max_period=3)
    np.testing.assert_array_equal(few, np.where(found > 3, 0, found))
    column = np.array(FLAGSHIP)[:, None]
    again = cycles.basins(column, step_sizes=etas, w0s=starts[:, None], n_transient=4000)
    np.testing.assert_array_equal(again, found)


def test_shares_of_starts_that_never_settle_on_the_minimiser():
    expected = {1.85: 0, 1.86: 0.252, 1.88: 0.573, 1.9: 0.734, 1.92: 0.778, 1.94: 0.820}
    expected |= {1.96: 0.861, 1.98: 0.907, 1.99: 0.938}
    starts, etas = np.linspace(-3, 3, 2001), np.array([*expected]) * UNIT
    found = cycles.basins(FLAGSHIP, step_sizes=etas, w0s=starts, n_transient=3000)
    assert found.dtype.kind == "i" and found.shape == (9, 2001)
    np.testing.assert_allclose(np.mean(found != 1, axis=1), [*expected.values()], atol=0.005)


def test_basins_in_the_plane():
    u, v = np.meshgrid(np.linspace(-4, 4, 60), np.linspace(-2, 10, 60))
    starts = np.stack([u.ravel(), v.ravel()], axis=1)
    for gamma, share, data in [
        (0.5, 0.422, walls(20, 4, 15, 4)),
        (0.9, 0.261, walls(8, 2, 15, 2)),
        (0.05, 0.338, walls(80, 6, 25, 7)),
    ]:
        z, m = data
        eta = gamma / 2 * logistic.critical_step_size(z, m)
        found = cycles.basins(z, step_sizes=[eta], w0s=starts, n_transient=3000, weights=m)
        assert np.unique(found).tolist() == [1, 2]
        assert np.mean(found == 2) == pytest.approx(share, abs=0.01)
        some = starts[7::97]
        tail = end_of(z, m, [eta], some, 20_000)
        np.testing.assert_array_equal(found[:, 7::97], labels_of(tail, logistic.minimizer(z, m)))


def test_basins_with_many_dimensions_steps_and_starts():
    """More lanes than a block holds; none of them is mixed up with another."""
    ball = [[35, 0, 12], [-35, 0, 12], [0, 35, 12], [0, -35, 12], [0, 0, 37], [0, 0, -37]]
    m = [4, 4, 4, 4, 175, 1]
    near = np.array([0.06, 0.008, 0.18])
    starts = near * np.linspace(0, 1.2, 3 * cycles.BLOCK // 4)[:, None]
    etas = [0.369185748, 0.1]
    found = cycles.basins(ball, step_sizes=etas, w0s=starts, n_transient=1500, weights=m)
    some = slice(None, None, 401)
    tail = end_of(ball, m, etas, starts[some], 6000)
    np.testing.assert_array_equal(found[:, some], labels_of(tail, logistic.minimizer(ball, m)))
    assert set(found[0]) == {1, 2} and set(found[1]) == {1}
    cross = np.concatenate([np.eye(5), -np.eye(5)])  # five copies of the line
    wide = cycles.basins(
        cross, step_sizes=[30.0, 45.0], w0s=[[0.1, -0.2, 0.3, 0, 1]], n_transient=1000
    )
    assert wide.tolist() == [[1], [2]]


def test_a_slow_transient_is_in_no_basin():
    """O-rings in degrees: for 100,000 steps the orbit all but returns every second step."""
    z = datasets.orings(raw=True)
    etas = np.array([1.5, 1.9]) / 2 * logistic.critical_step_size(z)
    for n_transient in (300, 3000, 100_000):
        found = cycles.basins(z, step_sizes=etas, w0s=np.zeros((1, 2)), n_transient=n_transient)
        assert not found.any()
    # just beyond a fold an orbit lingers where the two-cycle will be
    fold = logistic.global_step_size(FLAGSHIP) * (1 - 1e-7)
    lingers = cycles.bifurcation_diagram(
        FLAGSHIP, step_sizes=[fold], w0s=[0.0], n_transient=3000, n_keep=3
    )
    assert 0 < abs(lingers[2, 0, 0] - lingers[0, 0, 0]) < 1e-6
    for n_transient, label in ((3000, 0), (100_000, 1)):
        found = cycles.basins(FLAGSHIP, step_sizes=[fold], w0s=[0.0], n_transient=n_transient)
        assert found.tolist() == [[label]]
    # just below a flip the orbit returns faster after four steps than after two
    flip = 1.92082091731295543 * UNIT
    found = cycles.basins(FLAGSHIP, step_sizes=[flip * 0.99999], w0s=[0.0], n_transient=2000)
    assert found.tolist() == [[0]]
    found = cycles.basins(
        FLAGSHIP, step_sizes=[flip * 0.999, flip * 1.001], w0s=[0.0], n_transient=20_000
    )
    assert found.tolist() == [[2], [4]]


def test_the_minimiser_is_a_basin_of_its_own():
    w = logistic.minimizer(FLAGSHIP)
    etas = np.array([1.0, 1.9, 1.99]) * UNIT
    found = cycles.basins(FLAGSHIP, step_sizes=etas, w0s=[w, w + 1e-3], n_transient=0)
    assert found.tolist() == [[1, 1], [1, 1], [1, 0]]  # 48 steps are few at 1.99
    # beyond 2 / lambda it repels, but for a start on it or on its stable manifold
    found = cycles.basins([1.0, -1.0], step_sizes=[9.0, 8.0001], w0s=[0.0, 1.0], n_transient=9000)
    assert found.tolist() == [[1, 2], [1, 0]]
    # an orbit that shrinks towards a cycle of size 2e-5 around w* is not on its way to w*
    found = cycles.basins([1.0, -1.0], step_sizes=[8 + 1e-9], w0s=[9e-4], n_transient=0)
    assert found.tolist() == [[0]]
    # and one that does not move because of rounding has settled on nothing
    found = cycles.basins(FLAGSHIP, step_sizes=[1e-20], w0s=[1.0], n_transient=9)
    assert found.tolist() == [[0]]
    cross, m = [[3, 0], [-3, 0], [0, 1], [0, -1]], [1, 1, 1, 1]
    found = cycles.basins(
        cross, step_sizes=[4.0], w0s=[[0.0, 1.0], [0.1, 1.0]], n_transient=4000, weights=m
    )
    assert found.tolist() == [[1, 2]]  # 9 / 8 and 1 / 8 are the eigenvalues at w* = 0


def test_basins_tell_all_certified_cycles():
    for known in datasets.OUTLIER_CYCLES + datasets.LONG_CYCLES:
        z, m = known.points
        etas, starts = [float(known.step_size)], [0.0, float(logistic.minimizer(z, m))]
        found = cycles.basins(z, step_sizes=etas, w0s=starts, n_transient=3000, weights=m)
        assert found.tolist() == [[known.period, 1]]
        with enable_x64(False):  # rounding errors may hide what has settled, no more
            found = cycles.basins(z, step_sizes=etas, w0s=starts, n_transient=3000, weights=m)
        assert found[0, 1] == 1 and found[0, 0] in (known.period, 0)
        assert z.max() >= 30 or found[0, 0] == known.period
    for known in datasets.WALL_CYCLES + datasets.INTERCEPT_CYCLES + datasets.SPHERE_CYCLES:
        z, m = known.points
        etas, starts = [float(known.step_size)], np.array([known.start], float)
        found = cycles.basins(z, step_sizes=etas, w0s=starts, n_transient=3000, weights=m)
        assert found.tolist() == [[2]]


def test_basins_do_not_recompile():
    def play(z, n_etas, n_starts, n_transient):
        starts = np.linspace(-1, 1, n_starts)
        cycles.basins(z, step_sizes=np.linspace(1, 2, n_etas), w0s=starts, n_transient=n_transient)
        return cycles._settled._cache_size()

    first = play([1.0, 2.0, -1.0, 3.0, 3.0], 9, 1000, 10)
    assert play(np.linspace(-1, 1, 8), 13, 2000, 20) == first
    assert play([1.0, 2.0, -1.0, 3.0, 4.0], 1, 5000, 0) == first


@given(st.integers(0, 10**6), st.sampled_from([0, 2, 6]), st.floats(0.1, 5))
@settings(max_examples=20)
def test_orbits_against_a_loop(seed, d, eta):
    rng = np.random.default_rng(seed)
    n = 5
    z = rng.normal(size=(n, d) if d else n)
    m = rng.uniform(0.5, 2, n)
    starts = rng.normal(size=(3, d) if d else 3)
    expected = np.stack([orbit(w, z, eta, 12, m) for w in starts], axis=1)
    found = cycles.gd_orbit(starts[0], z, step_size=eta, n_steps=12, weights=m)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-9, atol=1e-9)
    kept = cycles.bifurcation_diagram(
        z, step_sizes=[0.5 * eta, eta], w0s=starts, n_transient=9, n_keep=4, weights=3 * m
    )
    assert kept.shape == (4, 2, 3, d)[: 4 if d else 3]
    np.testing.assert_allclose(kept[:, 1], expected[9:], rtol=1e-9, atol=1e-9)
    twice = np.concatenate([z, z, np.zeros_like(z)])
    padded = cycles.gd_orbit(
        starts[0], twice, step_size=eta, n_steps=12, weights=[*m, *m, *(0 * m)]
    )
    np.testing.assert_allclose(padded, expected[:, 0], rtol=1e-9, atol=1e-9)


def test_weights_of_any_size():
    for scale in (1e-310, 1.0, 3e307):
        path = cycles.gd_orbit(0.0, FLAGSHIP, step_size=1.0, n_steps=9, weights=np.full(4, scale))
        np.testing.assert_allclose(path, orbit(0.0, FLAGSHIP, 1.0, 9), rtol=1e-12)


def test_diagram_starts_after_exactly_the_transient():
    sizes, starts = np.array([1.8, 1.9]) * UNIT, np.array([0.0, 0.71])
    full = orbit(0.71, FLAGSHIP, sizes[1], 40)
    for n_transient in (0, 1, 30):
        kept = cycles.bifurcation_diagram(
            FLAGSHIP, step_sizes=sizes, w0s=starts, n_transient=n_transient, n_keep=3
        )
        np.testing.assert_allclose(kept[:, 1, 1], full[n_transient:][:3], rtol=1e-10)


def test_sliders_do_not_recompile():
    def play(z, eta, w0, n_transient, m):
        cycles.gd_orbit(w0, z, step_size=eta, n_steps=5, weights=m)
        cycles.bifurcation_diagram(
            z, step_sizes=[eta, 2], w0s=[w0, 1], n_transient=n_transient, n_keep=3, weights=m
        )
        cycles.lyapunov_exponent(
            w0, z, step_size=eta, n_transient=n_transient, n_steps=n_transient + 1, weights=m
        )
        return [f._cache_size() for f in (cycles._orbit, cycles._diagram, cycles._lyapunov)]

    first = play([1.0, 2.0, -1.0, 3.0, 3.0], 1.0, 0.0, 10, None)
    assert play([1.0, 1.0, 1.0, 1.0, -1.0, 2.0], 3, 1, 0, [3, 1, 0, 1, 1, 1]) == first
    assert play(np.linspace(-1, 1, 8), np.float64(0.1), -2.0, 33, np.arange(8)) == first
    assert play(jnp.linspace(-1, 1, 7), jnp.asarray(0.1), jnp.asarray(1), 7, None) == first
    assert play(np.linspace(-1, 1, 9), 1.0, 0.0, 10, None) == [count + 1 for count in first]


def test_everything_a_slider_moves_is_traced():
    def last(w0, eta, z, m):
        return cycles.gd_orbit(w0, z, step_size=eta, n_steps=20, weights=m)[-1]

    z, m = (
        jnp.asarray([FLAGSHIP, [1.0, -2.0, 3.0, -1.0]]),
        jnp.asarray([[1, 1, 1, 1], [1, 2, 3, 0]]),
    )
    w0, eta = jnp.asarray([0.1, 0.2]), jnp.asarray([3.0, 4.0])
    both = jax.jit(jax.vmap(last))(w0, eta, z, m)
    for i in range(2):
        assert float(both[i]) == pytest.approx(orbit(w0[i], z[i], eta[i], 20, m[i])[-1], rel=1e-9)
    slope = jax.grad(last, argnums=1)(0.1, 3.0, z[0], m[0])
    assert float(slope) == pytest.approx(
        float(last(0.1, 3 + 1e-6, z[0], m[0]) - last(0.1, 3 - 1e-6, z[0], m[0])) / 2e-6, rel=1e-5
    )

    @jax.jit
    def others(z, m, eta):
        kept = cycles.bifurcation_diagram(
            z, step_sizes=eta, w0s=[0.1], n_transient=20, n_keep=1, weights=m
        )
        settings = {"n_transient": 5, "n_steps": 50, "weights": m}
        each = [cycles.lyapunov_exponent(0.1, z, step_size=e, **settings) for e in eta]
        return kept, jnp.stack(each)

    kept, exponents = others(z[0], m[0], eta)
    assert float(kept[0, 1, 0]) == pytest.approx(orbit(0.1, z[0], 4.0, 20)[-1], rel=1e-9)
    assert exponents.shape == (2,)


@given(st.integers(0, 10**6), st.floats(0.1, 10))
@settings(max_examples=15)
def test_scale_rotation_and_mirror(seed, scale):
    rng = np.random.default_rng(seed)
    z, w0 = rng.normal(size=(5, 3)), rng.normal(size=3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    base = cycles.gd_orbit(w0, z, step_size=1.5, n_steps=20)
    for other, start, eta, expected in [
        (scale * z, w0 / scale, 1.5 / scale**2, base / scale),
        (z @ turn, w0 @ turn, 1.5, base @ turn),
        (-z, -w0, 1.5, -base),
    ]:
        moved = cycles.gd_orbit(start, other, step_size=eta, n_steps=20)
        np.testing.assert_allclose(moved, expected, rtol=1e-7, atol=1e-9)


def test_lyapunov_exponents_of_the_flagship():
    expected = {1.9: -0.378, 1.93: -0.580, 1.948: 0.050, 1.95: 0.105, 1.96: 0.216, 1.97: 0.211}
    expected |= {1.98: 0.268, 1.99: 0.297, 1.995: 0.280}
    counts = {"n_transient": 100_000, "n_steps": 1_000_000}
    for gamma, value in expected.items():
        found = cycles.lyapunov_exponent(0.0, FLAGSHIP, step_size=gamma * UNIT, **counts)
        assert float(found) == pytest.approx(value, abs=0.004), gamma
    w = float(logistic.minimizer(FLAGSHIP)) + 0.02
    found = cycles.lyapunov_exponent(
        w, FLAGSHIP, step_size=1.98 * UNIT, n_transient=5000, n_steps=999
    )
    assert float(found) == pytest.approx(math.log(0.98), rel=1e-9)


def test_lyapunov_exponents_of_equal_magnitudes():
    expected = {2.5: -0.2248, 2.7: -0.2925, 2.83: -0.1859, 3.0: 0.251, 3.1: 0.353, 3.3: 0.379}
    expected |= {3.55: -0.428}
    for gamma, value in expected.items():
        found = cycles.lyapunov_exponent(
            *(0.0, [1.0, -1.0]),
            step_size=gamma * 16 / 3,
            n_transient=10_000,
            n_steps=1_000_000,
            weights=[3, 1],
        )
        assert float(found) == pytest.approx(value, abs=0.005), gamma


def test_lyapunov_exponents_of_cycles_and_in_the_plane():
    z, m = walls(20, 4, 15, 4)
    counts = {"n_transient": 3000, "n_steps": 2000}
    found = cycles.lyapunov_exponent([1.0, 0.0], z, step_size=2.751479, weights=m, **counts)
    cycle = cycles.find_cycle([1.0, 0.0], z, step_size=2.751479, weights=m)
    assert float(found) == pytest.approx(math.log(abs(cycle.multipliers[0])) / 2, rel=1e-6)
    w = logistic.minimizer(z, m)
    rest = cycles.lyapunov_exponent(w, z, step_size=0.5, weights=m, **counts)
    rates = np.abs(1 - 0.5 * np.linalg.eigvalsh(np.asarray(logistic.hessian(w, z, m))))
    assert float(rest) == pytest.approx(math.log(rates.max()), rel=1e-6)
    # at step size 4 the slope at the minimiser of (1, -1) is zero: superstable, not nan
    deep = cycles.lyapunov_exponent(0.0, [1.0, -1.0], step_size=4.0, n_transient=0, n_steps=9)
    assert -800 < float(deep) < -600
    deep = cycles.lyapunov_exponent(
        [0.0, 0.0], [[1.0, 0], [-1, 0], [0, 1], [0, -1]], step_size=8.0, n_transient=3, n_steps=9
    )
    assert -800 < float(deep) < -600


def test_the_exponent_starts_after_exactly_the_transient():
    """One step after three: log |M'(w_3)| of a plain loop."""
    z, eta, w = np.array(FLAGSHIP), 8.0, 0.2
    for _ in range(3):
        w += eta * np.mean(z / (1 + np.exp(w * z)))
    m = w * z
    bend = np.mean(z**2 / (2 + np.exp(m) + np.exp(-m)))
    found = cycles.lyapunov_exponent(0.2, z, step_size=eta, n_transient=3, n_steps=1)
    assert float(found) == pytest.approx(np.log(abs(1 - eta * bend)), abs=1e-12)


def test_a_repelling_fixed_point_is_no_cycle():
    assert cycles.find_cycle(0.0, [1.0, -1.0], step_size=10.0) is None  # 0 repels from there on


def test_single_precision():
    with enable_x64(False):
        start = np.zeros(1)
        for gamma, ups, downs, large, eta, low, high, _ in TWO_CYCLES[:20]:
            z, m = three_values(ups, downs, large)
            kept = cycles.bifurcation_diagram(
                z, step_sizes=[eta], w0s=start, n_transient=300, n_keep=2, weights=m
            )
            assert kept.dtype == np.float32
            np.testing.assert_allclose(np.sort(kept[:, 0, 0]), [low, high], atol=5e-5)
            assert gamma < 2
        counts = {"n_transient": 10_000, "n_steps": 1_000_000}
        found = cycles.lyapunov_exponent(0.0, FLAGSHIP, step_size=1.9 * UNIT, **counts)
        assert found.dtype == np.float32
        # a plain float32 sum of a million terms would give -0.3763
        assert float(found) == pytest.approx(-0.37809, abs=1e-4)
        # the host computes in float64 whatever comes in
        cycle = cycles.find_cycle(
            np.float32(0), np.asarray(FLAGSHIP, np.float32), step_size=10.140377
        )
        np.testing.assert_allclose(cycle.points[0], 0.3418092429893240, atol=1e-9)
    for z, w0, dtype in [
        (np.asarray(FLAGSHIP, np.float32), 0.0, np.float32),
        (np.asarray(FLAGSHIP, np.float32), np.float64(0), np.float64),
        ([1, 1, -1, 10], 0, np.float64),
        ([True, True, False], 1, np.float64),
    ]:
        assert cycles.gd_orbit(w0, z, step_size=1.0, n_steps=1).dtype == dtype


def test_bounded_for_every_step_size():
    kept = cycles.bifurcation_diagram(
        FLAGSHIP, step_sizes=[1e-3, 1e3, 1e8], w0s=[0.0, -1e6], n_transient=2000, n_keep=50
    )
    c, reach = 0.25, 10  # c of the proof: the smaller of the two one-sided means
    for i, eta in enumerate([1e-3, 1e3, 1e8]):
        radius = (0.2785 + eta * reach**2 / 2) / c + eta * reach
        assert np.abs(kept[:, i, 0]).max() <= radius


nan, inf = float("nan"), float("inf")
ORBIT = {"w0": 0.0, "z": FLAGSHIP, "step_size": 1.0, "n_steps": 3}
DIAGRAM = {"z": FLAGSHIP, "step_sizes": [1.0], "w0s": [0.0], "n_transient": 0, "n_keep": 1}
EXPONENT = {"w0": 0.0, "z": FLAGSHIP, "step_size": 1.0, "n_transient": 0, "n_steps": 1}
CYCLE = {"w0": 0.0, "z": FLAGSHIP, "step_size": 1.0}
SETTLED = {"orbit": np.zeros(64)}
PAIRS = {"force": 0.1, "z": FLAGSHIP}
BASINS = {"z": FLAGSHIP, "step_sizes": [1.0], "w0s": [0.0], "n_transient": 0}
WRONG = [
    (cycles.gd_orbit, ORBIT | {"step_size": 0.0}, ValueError, "step_size: .*0.0.*positive"),
    (cycles.gd_orbit, ORBIT | {"step_size": -1}, ValueError, "step_size: .*-1"),
    (cycles.gd_orbit, ORBIT | {"step_size": nan}, ValueError, "step_size: .*nan"),
    (cycles.gd_orbit, ORBIT | {"step_size": inf}, ValueError, "step_size: .*inf"),
    (cycles.gd_orbit, ORBIT | {"step_size": [1.0, 2.0]}, ValueError, r"step_size: .*\(2,\).*vmap"),
    (cycles.gd_orbit, ORBIT | {"step_size": "big"}, TypeError, "step_size: .*<U3"),
    (cycles.gd_orbit, ORBIT | {"n_steps": 0}, ValueError, "n_steps: .*0"),
    (cycles.gd_orbit, ORBIT | {"n_steps": -3}, ValueError, "n_steps: .*-3"),
    (cycles.gd_orbit, ORBIT | {"n_steps": 2.5}, TypeError, "n_steps: .*2.5"),
    (cycles.gd_orbit, ORBIT | {"n_steps": True}, TypeError, "n_steps: .*True"),
    (cycles.gd_orbit, ORBIT | {"w0": [0.0, 0.0]}, ValueError, r"w0: .*\(2,\)"),
    (cycles.gd_orbit, ORBIT | {"w0": nan}, ValueError, "w0: .*nan"),
    (cycles.gd_orbit, ORBIT | {"w0": None}, TypeError, "w0: .*object"),
    (cycles.lyapunov_exponent, EXPONENT | {"w0": "one"}, TypeError, "w0: .*U3"),
    (cycles.gd_orbit, ORBIT | {"z": [nan, 1.0]}, ValueError, r"z: .*nan.*\[0\]"),
    (cycles.gd_orbit, ORBIT | {"z": np.ones((2, 2, 2))}, ValueError, r"z: .*\(2, 2, 2\)"),
    (cycles.gd_orbit, ORBIT | {"z": []}, ValueError, r"z: .*\(0,\)"),
    (cycles.gd_orbit, ORBIT | {"weights": [1, 1]}, ValueError, r"weights: .*\(2,\).*\(4,\)"),
    (cycles.gd_orbit, ORBIT | {"weights": [1, -1, 1, 1]}, ValueError, "weights: .*-1"),
    (cycles.bifurcation_diagram, DIAGRAM | {"step_sizes": 1.0}, ValueError, r"step_sizes: .*\(\)"),
    (cycles.bifurcation_diagram, DIAGRAM | {"step_sizes": []}, ValueError, r"step_sizes: .*\(0,\)"),
    (cycles.bifurcation_diagram, DIAGRAM | {"step_sizes": [1, -2]}, ValueError, "step_sizes: .*-2"),
    (cycles.bifurcation_diagram, DIAGRAM | {"w0s": 0.0}, ValueError, r"w0s: .*\(\)"),
    (cycles.bifurcation_diagram, DIAGRAM | {"w0s": [[0.0]]}, ValueError, r"w0s: .*\(1, 1\)"),
    (cycles.bifurcation_diagram, DIAGRAM | {"n_transient": -1}, ValueError, "n_transient: .*-1"),
    (cycles.bifurcation_diagram, DIAGRAM | {"n_keep": 0}, ValueError, "n_keep: .*0"),
    (cycles.gd_orbit, ORBIT | {"n_steps": 2**31 - 1}, ValueError, "n_steps: .*2147483647"),
    (
        cycles.gd_orbit,
        ORBIT | {"z": np.ma.array([1.0, -1.0], mask=[0, 1])},
        TypeError,
        "z: .*masked",
    ),
    (cycles.bifurcation_diagram, DIAGRAM | {"n_keep": 2**31}, ValueError, "n_keep: .*2147483648"),
    (cycles.basins, BASINS | {"max_period": 0}, ValueError, "max_period: .*0"),
    (cycles.basins, BASINS | {"n_transient": -1}, ValueError, "n_transient: .*-1"),
    (cycles.basins, BASINS | {"w0s": [[0.0]]}, ValueError, r"w0s: .*\(1, 1\)"),
    (cycles.basins, BASINS | {"step_sizes": [0.0]}, ValueError, r"step_sizes: .*0.0"),
    (cycles.basins, BASINS | {"z": [1.0, 2.0]}, ValueError, "z: .*separable"),
    (cycles.lyapunov_exponent, EXPONENT | {"n_steps": 0}, ValueError, "n_steps: .*0"),
    (cycles.lyapunov_exponent, EXPONENT | {"step_size": 0}, ValueError, "step_size: .*0"),
    (cycles.lyapunov_exponent, EXPONENT | {"n_transient": "2"}, TypeError, "n_transient: .*'2'"),
    (cycles.find_cycle, CYCLE | {"step_size": -2.0}, ValueError, "step_size: .*-2.0"),
    (cycles.find_cycle, CYCLE | {"max_period": 10**9}, ValueError, "max_period: .*10+.*1024"),
    (cycles.basins, BASINS | {"max_period": 1025}, ValueError, "max_period: .*1025.*1024"),
    (cycles.find_cycle, CYCLE | {"z": [1e200, -1.0]}, ValueError, r"z: .*1e\+200"),
    (cycles.find_cycle, CYCLE | {"z": [1e-200, -1e-200]}, ValueError, "z: .*1e-200.*1e-150"),
    (cycles.gd_orbit, ORBIT | {"z": [1e151]}, ValueError, r"z: .*1e\+151.*1e150"),
    (cycles.find_cycle, CYCLE | {"max_period": 0}, ValueError, "max_period: .*0"),
    (cycles.find_cycle, CYCLE | {"w0": [1.0]}, ValueError, r"w0: .*\(1,\).*\(4,\)"),
    (cycles.find_cycle, CYCLE | {"weights": [0] * 4}, ValueError, "weights: .*0.0"),
    (cycles.two_cycles, PAIRS | {"force": 0.0}, ValueError, "force: .*0.0"),
    (cycles.two_cycles, PAIRS | {"force": [0.1, 0.25]}, ValueError, r"force: .*0.25.*\(0, 0.25\)"),
    (cycles.two_cycles, PAIRS | {"force": []}, ValueError, "force: .*none"),
    (cycles.two_cycles, PAIRS | {"z": [1.0, 2.0]}, ValueError, "z: .*separable"),
    (cycles.two_cycles, PAIRS | {"z": np.eye(2)}, ValueError, "z: .*2 numbers"),
    (cycles.period, {"orbit": np.zeros(63)}, ValueError, r"orbit: .*\(63,\).*64"),
    (cycles.period, SETTLED | {"rtol": -1.0}, ValueError, "rtol: .*-1.0.*0 or more"),
    (cycles.period, SETTLED | {"rtol": nan}, ValueError, "rtol: .*nan"),
    (cycles.period, SETTLED | {"atol": [0.0, 1.0]}, ValueError, r"atol: .*\[0.0, 1.0\]"),
    (cycles.period, SETTLED | {"atol": "small"}, TypeError, "atol: .*U5"),
    (cycles.period, SETTLED | {"max_period": 10**10}, ValueError, "max_period: .*10+"),
    (cycles.period, {"orbit": 1.0}, ValueError, r"orbit: .*\(\)"),
]


@pytest.mark.parametrize(
    ("function", "kwargs", "kind", "message"), WRONG, ids=[f"{w[0].__name__}-{w[3]}" for w in WRONG]
)
def test_bad_input(function, kwargs, kind, message):
    with pytest.raises(kind, match="^" + message):
        function(**kwargs)


def test_traced_values_where_they_cannot_be():
    with pytest.raises(TypeError, match=r"^n_steps: .*traced.*static"):
        jax.jit(lambda n: cycles.gd_orbit(0.0, FLAGSHIP, step_size=1.0, n_steps=n))(3)
    with pytest.raises(TypeError, match=r"^step_size: .*traced.*jit"):
        jax.jit(lambda e: cycles.find_cycle(0.0, FLAGSHIP, step_size=e).points)(1.0)
    with pytest.raises(TypeError, match=r"^step_sizes: .*traced.*jit"):
        jax.jit(lambda e: cycles.basins(**BASINS | {"step_sizes": e}))(jnp.ones(3))
    with pytest.raises(ValueError, match=r"^weights: .*\(3,\)"):
        jax.jit(lambda m: cycles.gd_orbit(0.0, FLAGSHIP, step_size=1.0, n_steps=3, weights=m))(
            jnp.ones(3)
        )
