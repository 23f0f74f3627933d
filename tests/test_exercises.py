"""The exercises of the book: solutions pass, stubs and wrong answers are told so, nothing leaks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import nbformat
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit

import notebooks
from optdyn import check as checks
from optdyn import cycles, logistic
from optdyn import exercises_cycles as exercises
from optdyn.check import verdict

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(exercises.EXERCISES)
OPEN = {"cycles-two", "cycles-common"}
if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64
each_exercise = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """As after the set-up cell, which the notebooks begin with."""
    with enable_x64(True):
        yield


def cells(topic: str, which: str) -> list[Any]:
    return list(notebooks.read(ROOT / "chapters" / topic / f"{which}.ipynb").cells)


def grade_id(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def answers(topic: str, which: str) -> dict[str, Callable[..., Any]]:
    """The functions of a notebook's answer cells, by exercise."""
    found: dict[str, Callable[..., Any]] = {}
    space: dict[str, Any] = {}
    for cell in cells(topic, which):
        name = grade_id(cell)
        if cell.cell_type == "code" and "import numpy as np" in cell.source:
            exec(cell.source, space)
        if cell.cell_type == "code" and name and not name.endswith("-check"):
            exec(cell.source, space)
            defined = re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
            found[name] = space[defined[-1]]
    return found


SOLUTIONS, STUBS = answers("cycles", "solutions"), answers("cycles", "exercises")


# --- right, unanswered, wrong ----------------------------------------------------------


def test_every_exercise_has_a_place_in_the_notebooks() -> None:
    assert sorted(SOLUTIONS) == sorted(STUBS) == NAMES
    assert 8 <= len(NAMES) <= 12 and len(OPEN) == 2


@each_exercise
def test_the_solution_passes(name: str) -> None:
    made = verdict(name, SOLUTIONS[name], seconds=120)
    assert made.state == ("measured" if name in OPEN else "right"), made.text


@each_exercise
def test_the_stub_is_not_answered_yet(name: str) -> None:
    assert verdict(name, STUBS[name]).state == "unanswered"


def _pair_of(gamma: float, start: float) -> float:
    """Fixed-point iteration for U = gamma tanh(U / 2)."""
    u = start
    for _ in range(2_000):
        u = gamma * np.tanh(u / 2)
    return u


def _by_rounding(orbit: np.ndarray) -> int:
    """The number of distinct values, if there are few."""
    n = len(np.unique(np.round(orbit / np.max(np.abs(orbit)), 10)))
    return n if n <= 16 else 0


OTHER_WAYS: dict[str, list[Callable[..., Any]]] = {
    "cycles-witness": [
        lambda z: [7 * float(a) for a in SOLUTIONS["cycles-witness"](z)],
        lambda z: jnp.asarray(SOLUTIONS["cycles-witness"](z)) / 1e3,
    ],
    "cycles-pair": [lambda gamma: jnp.asarray(0.0 if gamma <= 2 else _pair_of(gamma, gamma))],
    "cycles-four": [
        lambda: np.array([1, 1, -1, 12, 10.4]),
        lambda: [3.0, 3.0, -3.0, 36.0, 10.4 / 9],
        lambda: (-1, -1, 1, -12, 10.4),
    ],
    "cycles-end": [
        lambda g: float(g[-1] + (g[-1] - g[-2]) / 3.6692),
        lambda g: jnp.asarray(g[-1] + sum((g[-1] - g[-2]) / 4.6692**k for k in range(1, 40))),
    ],
    "cycles-flip": [lambda z, weights: logistic.flip_coefficient(z, weights)],
    "cycles-certify": [
        lambda: (np.array([1, -1, 45]), np.array([18, 14, 1]), "7.927979"),
        lambda: ([1, -1, 38], [15, 11, 1], "8.137867"),
    ],
    "cycles-onehot": [
        lambda labels, row: np.float32(SOLUTIONS["cycles-onehot"](labels, row)),
    ],
    "cycles-settled": [
        lambda orbit: jnp.asarray(SOLUTIONS["cycles-settled"](orbit)),
        lambda orbit: cycles.period(orbit, max_period=16, rtol=1e-8),
        lambda orbit: float(_by_rounding(orbit)),
    ],
    "cycles-perceptron": [
        lambda n_plus, n: n / math.gcd(n_plus, n),
        lambda n_plus, n: Fraction(n_plus, n).denominator,
    ],
    "cycles-two": [lambda: (1, -2.0), lambda: jnp.array([1.0, -1.0])],
    "cycles-common": [lambda rng: jnp.asarray(rng.normal(size=(200, 5)))],
}
OTHER_CASES = [
    pytest.param(name, answer, id=f"{name}-{i}")
    for name, list_ in OTHER_WAYS.items()
    for i, answer in enumerate(list_)
]


@pytest.mark.parametrize(("name", "answer"), OTHER_CASES)
def test_other_ways_to_be_right(name: str, answer: Callable[..., Any]) -> None:
    made = verdict(name, answer, seconds=60)
    assert made.state in ("right", "measured"), made.text


# name: wrong answers, and what the answer of the check has to say
WRONG: dict[str, list[tuple[Callable[..., Any], str]]] = {
    "cycles-witness": [
        (lambda z: np.ones(3), "a_1 z_1 + a_2 z_2 + a_3 z_3 = 0"),
        (lambda z: np.zeros(3), "three positive numbers"),
        (lambda z: np.abs(np.linalg.svd(z.T)[2][-1]), "no positive weights can cancel"),
        (lambda z: -SOLUTIONS["cycles-witness"](z), "three positive numbers"),
    ],
    "cycles-pair": [
        (lambda gamma: 0.0, "0 solves the equation for every gamma"),
        (lambda gamma: gamma, "gamma = 2.5"),
        (lambda gamma: -_pair_of(gamma, gamma), "positive one"),
        (lambda gamma: _pair_of(gamma, 1.0) if gamma > 2 else 0.1, "nothing but 0"),
    ],
    "cycles-four": [
        (lambda: (1, 1, -1, 10, 10.14), "other units"),
        (lambda: (2, 2, -2, 20, 2.53), "other units"),
        (lambda: (-1, -1, 1, -10, 10.14), "other units"),
        (lambda: (1, 1, 1, 12, 1.0), "separable"),
        (lambda: (1, 1, -1, 12, 12.0), "at most 1.999 / lambda"),
        (lambda: (1, 1, -1, 12, 5.0), "stays away from the minimiser"),
        (lambda: (1, 1, -1, 12, -5.0), "positive step size"),
        (lambda: [1, 1, 1, -1, 1e-3], "still on its way"),
        (lambda: [1, 1, 2, -1, 1e-6], "still on its way"),
        (lambda: [1e6, -1e-6, 1, 1, 1.0], "still on its way"),
        (lambda: (1, 1, -1, 12), "The shape is (4,)"),
    ],
    "cycles-end": [
        (lambda g: g[-1], "last of the doublings"),
        (lambda g: g[-1] + (g[-1] - g[-2]) / 4.6692, "one doubling further"),
        (lambda g: g[-1] + (g[-1] - g[-2]) / 3, "doublings = "),
    ],
    "cycles-flip": [
        (lambda z, p: -logistic.flip_coefficient(z, p), "sign is the wrong way round"),
        (lambda z, p: logistic.flip_coefficient(z), "weights = [3, 1]"),
        (lambda z, p: 3 * logistic.flip_coefficient(z, p), "(gamma - 2) / s^2"),
    ],
    "cycles-flat": [
        (lambda: (37, 10, 6.673622, 0.7759836783839601, 5.7318843030653351), "sharpness below 1"),
        (lambda: (60, 14.0, 5.0, 0.7, 7.3), "a step from (U, beta) to (-U, beta)"),
        (lambda: (60.5, 14.0, 5.0, 0.7, 7.3), "whole number N"),
        (lambda: _family(60, 14.0, 12.0), "at most 1 / lambda"),
    ],
    "cycles-certify": [
        (lambda: ([1, -1, 49], [18, 15, 1], "6.009765"), "data of your own"),
        (lambda: ([-1, 1, -49], [18, 15, 1], "6.009765"), "data of your own"),
        (lambda: ([1, 1, -1, 49], [8, 10, 15, 1], "6.009765"), "data of your own"),
        (lambda: ([1, -1, 26], [22, 16, 2], "7.506405"), "data of your own"),
        (lambda: ([1, -1, 49, 0], [18, 15, 1, 34], "12.019530"), "data of your own"),
        (lambda: ([10**7, -(10**7), 49 * 10**7, 1], [18, 15, 1, 34], "1.2019530e-13"),
         "data of your own"),
        (lambda: ([100, -100, 4901], [18, 15, 1], "0.0006009765"), "data of your own"),
        (lambda: ([1, -1, 10], [2, 1, 1], "10.140377"), "certificate of period 5"),
        (lambda: ([1, -1], [3, 2], "40"), "below the critical step; yours is at gamma = 9.6"),
        (lambda: ([1, -1, 47], [19, 15, 1], 7.244512), "certify_cycle refuses"),
        (lambda: ([1, -1, 47], [19, 15, 1]), "three things"),
        (lambda: ([1.5, -1, 47], [19, 15, 1], "7.2"), "certify_cycle refuses"),
    ],
    "cycles-two": [
        (lambda: [1.0, 2.0], "opposite sign"),
        (lambda: [1.0, -2.0, 3.0], "two numbers"),
        (lambda: [0.0, -2.0], "none of them zero"),
        (lambda: "ab", "could not be judged"),
    ],
    "cycles-onehot": [
        (lambda labels, row: 2.0, "the worst start"),
        (lambda labels, row: 7.5, "not a normalised one"),
        (lambda labels, row: SOLUTIONS["cycles-onehot"](labels, row - 1), "the worst start"),
        (lambda labels, row: 1.5, "row = 0"),
    ],
    "cycles-settled": [
        (lambda orbit: 2, "4, for these are the last 400 steps of 1, 1, -1, 10 at gamma = 1.93"),
        (lambda orbit: _loose(orbit, 1e-3 * np.max(abs(orbit))), "is it still moving"),
        (lambda orbit: _loose(orbit, 0.0), "smallest period"),
        (lambda orbit: 2 * SOLUTIONS["cycles-settled"](orbit), "smallest period"),
        (lambda orbit: 0, "How large is your tolerance"),
        (lambda orbit: 2.5, "Whole numbers"),
        (lambda orbit: -1, "2, for these are the last 400 steps"),
        (lambda orbit: SOLUTIONS["cycles-settled"](orbit) or -1, "0, for these are the last"),
    ],
    "cycles-perceptron": [
        (lambda n_plus, n: n, "a period, not the smallest"),
        (lambda n_plus, n: n_plus, "n_plus = 3"),
        (lambda n_plus, n: n / n_plus, "Whole numbers"),
    ],
    "cycles-common": [
        (lambda rng: rng.normal(size=(100, 20)), "The shape is (100, 20)"),
        (lambda rng: rng.normal(size=(200, 2)), "n from 3 to 60"),
        (lambda rng: np.ones((200, 5)), "separable"),
        (lambda rng: np.full((200, 5), np.inf), "finite"),
    ],
}  # fmt: skip
WRONG_CASES = [
    pytest.param(name, answer, words, id=f"{name}-{i}")
    for name, list_ in WRONG.items()
    for i, (answer, words) in enumerate(list_)
]


def _loose(orbit: np.ndarray, tolerance: float) -> int:
    for k in range(1, 17):
        if np.max(np.abs(orbit[k:] - orbit[:-k])) <= tolerance:
            return k
    return 0


def _family(n: int, size: float, beta: float) -> tuple[float, ...]:
    """A pair of the family of one feature and an intercept."""
    total = expit(beta) - (n - 2) * expit(-beta)
    s = brentq(lambda s: expit(s - beta) + expit(-s - beta) - total, 0, beta + 60, xtol=1e-13)
    gamma = 4 * s * n / ((n + 1) ** 2 * (expit(s - beta) - expit(-s - beta)))
    return n, size, gamma * (n + 1) ** 3 / (2 * size**2 * n), s / size, beta


def test_two_wrong_answers_at_least_are_tried_for_each() -> None:
    assert sorted(WRONG) == NAMES and min(len(list_) for list_ in WRONG.values()) >= 2


def code_of_solution(name: str) -> list[str]:
    """The lines between the marks of a solution."""
    (cell,) = (c for c in cells("cycles", "solutions") if grade_id(c) == name)
    inside = cell.source.partition("### BEGIN SOLUTION\n")[2].partition("    ### END SOLUTION")[0]
    return [line.strip() for line in inside.splitlines() if len(line.strip()) > 12]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG_CASES)
def test_wrong_answers(name: str, answer: Callable[..., Any], words: str) -> None:
    made = verdict(name, answer, seconds=60)
    lines = dict(made.lines)
    assert made.state == "wrong" and words in made.text, made.text
    assert {"expected", "came", "hint"} <= set(lines)
    assert all(lines.values())
    for takes in checks._registry()[name].takes:
        assert re.search(rf"^{takes} = ", lines["input"], re.MULTILINE)
    for line in code_of_solution(name):
        assert line not in made.text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # an error here, and nowhere else
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cycles-witness", [1, 1, math.inf]),
        ("cycles-witness", [1e308, 1e308, 1e308]),
        ("cycles-flat", [3, 1.0, 0.001, 1.0, math.inf]),
    ],
)
def test_what_overflows_is_not_right(name: str, value: list[float]) -> None:
    made = verdict(name, lambda *_: value)
    assert made.state == "wrong" and "There is inf in it, or nearly" in made.text, made.text


# --- misbehaviour, for every exercise --------------------------------------------------


@each_exercise
def test_misbehaviour_gets_a_helpful_answer(name: str) -> None:
    takes = checks._registry()[name].takes

    def raises(*args: Any) -> Any:
        return [][0]

    def endless(*args: Any) -> Any:
        while True:
            pass

    def edits(*args: Any) -> Any:
        args[0][:] = 0
        return args[0]

    def mute(*args: Any) -> Any:
        return None

    told = {
        answer.__name__: verdict(name, answer, seconds=0.2)
        for answer in (raises, endless, str, mute)
    }
    assert "IndexError" in told["raises"].text and "return [][0]" in told["raises"].text
    assert "nothing within the time limit" in told["endless"].text
    assert told["str"].state == "wrong"
    assert told["mute"].state == "unanswered"
    if takes and isinstance(checks._registry()[name].inputs[0][0], np.ndarray):
        assert f"{takes[0]} left as it was" in verdict(name, edits).text
    assert verdict(name, lambda a, b, c, d, e: 0).state == "wrong"


def test_a_counterexample_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    far = verdict("cycles-two", lambda: [-1.0, 30.0])
    assert "a factor 30. The lowest pair is at gamma = 2.0000000. No pair" in far.text
    monkeypatch.setattr(exercises, "_limit", lambda *args, **options: 1.9)
    near = verdict("cycles-two", lambda: [-1.0, 5.0])
    assert "it refutes" in near.text


def test_judges_do_not_depend_on_order_or_on_earlier_answers() -> None:
    first = verdict("cycles-common", SOLUTIONS["cycles-common"], seconds=60)
    assert first == verdict("cycles-common", SOLUTIONS["cycles-common"], seconds=60)


# --- what judges compute, against something else ---------------------------------------

LINES = [
    (np.array([1.0, 1, -1, 10]), None),
    (np.array([1.0, -1, 12]), np.array([4.0, 2, 1])),
    (np.array([2.0, -1, -1.5, 0.3]), np.array([1.0, 2, 1, 3])),
]


@pytest.mark.parametrize(("z", "weights"), LINES)
def test_the_judges_tools_agree_with_the_library(z: np.ndarray, weights: Any) -> None:
    p, star, curvature = exercises._line(z, weights)
    assert star == pytest.approx(logistic.minimizer(z, weights), abs=1e-12)
    assert curvature == pytest.approx(2 / logistic.critical_step_size(z, weights), rel=1e-12)
    limit = logistic.global_step_size(z, weights) * curvature
    assert exercises._limit(z, weights) == pytest.approx(limit, rel=1e-8)
    orbit = cycles.gd_orbit(0.3, z, step_size=3.0, n_steps=20, weights=weights)
    np.testing.assert_allclose(exercises._orbit(0.3, z, p, 3.0, 20), orbit, rtol=1e-12)


def test_the_limits_of_the_tables() -> None:
    """gamma of the fold in 30-digit arithmetic, from outside the library."""
    for row, expected in {
        (2, 1, 10): 1.85987939717346, (2, 1, 12): 1.79424616630554, (3, 2, 50): 1.55791468661115,
        (1769, 1729, 500): 1.07897896224677,
    }.items():  # fmt: skip
        z, weights = np.array([1.0, -1.0, row[2]]), [row[0], row[1], 1]
        assert exercises._limit(z, weights) == pytest.approx(expected, rel=1e-9)


# --- the numbers that the solutions print ----------------------------------------------


def test_how_far_six_doublings_lead() -> None:
    (limit, row), _ = exercises.LIMITS.items()
    error = abs(SOLUTIONS["cycles-end"](np.array(row)) - limit)
    assert error == pytest.approx(3e-9, abs=1e-9)
    left = (row[-1] - row[-2]) / 3.6692  # of the sixth; each further one is 4.6692 times closer
    first = next(k for k in range(6, 30) if left / 4.6692 ** (k - 6) < 1e-8)
    assert first == 11


def test_where_cascades_end() -> None:
    """The doubling after the last one given, with 30 digits, and Feigenbaum's sum after it."""
    from mpmath import exp, findroot, mp, mpf  # type: ignore[import-untyped]

    def walk(z: list[int], k: int, u: Any, eta: Any) -> tuple[Any, Any]:
        slope = mpf(1)
        for _ in range(k):
            s = [1 / (1 + exp(a * u)) for a in z]
            slope *= 1 - eta * sum(a * a * b * (1 - b) for a, b in zip(z, s, strict=True)) / 4
            u = u + eta * sum(a * b for a, b in zip(z, s, strict=True)) / 4
        return u, slope

    def doubling(z: list[int], k: int, eta: float) -> Any:
        """Where the cycle of period k that attracts at eta doubles."""
        u, array = 0.0, np.array(z, float)
        for _ in range(64 * 200):
            u = u + eta * float(np.mean(array * expit(-array * u)))

        def equations(u: Any, eta: Any) -> list[Any]:
            end, slope = walk(z, k, u, eta)
            return [end - u, slope + 1]

        return findroot(equations, (mpf(u), mpf(eta)))[1]

    with mp.workdps(30):
        for (limit, row), z in zip(
            exercises.LIMITS.items(), ([1, 1, -1, 10], [1, 1, 1, -1]), strict=True
        ):
            half = logistic.critical_step_size(np.array(z, float)) / 2
            last, gap = row[-1], row[-1] - row[-2]
            found = doubling(z, 128, (last + 0.7 * gap / 4.6692) * half) / half
            assert abs(found - last - gap / 4.669) < 0.01 * gap
            assert float(found + (found - last) / (mpf("4.669201609103") - 1)) == pytest.approx(
                limit, abs=3e-9
            )


def test_two_points_double_gently() -> None:
    """The flip coefficient that the solution prints, from the derivatives written out."""
    for size in (1.0, 2.0, 20.0, 2000.0):
        z = np.array([-1.0, size])
        star = brentq(lambda w, z=z: -np.mean(z * expit(-z * w)), 0, 1)
        s = expit(z * star)
        first = s * (1 - s)
        l2, l3 = np.mean(z**2 * first), np.mean(z**3 * first * (1 - 2 * s))
        l4 = np.mean(z**4 * first * (1 - 6 * first))
        assert (3 * l3**2 - l2 * l4) / (3 * l2**2) >= 1 / 6 - 1e-9


def test_the_flat_pair_is_flat() -> None:
    n, size, eta, half, beta = SOLUTIONS["cycles-flat"]()
    z = np.array([[size, 1], [-size, 1], [0, 1], [0, -1]])
    p = np.array([1, 1, n - 2, 1]) / (n + 1)

    def hessian(w: Any) -> np.ndarray:
        s = expit(z @ w)
        return (z.T * (p * s * (1 - s))) @ z

    ends = np.array([half, beta]), np.array([-half, beta])
    stretch = np.eye(2)
    for w in ends:
        assert eta * np.linalg.eigvalsh(hessian(w))[-1] < 1
        stretch = (np.eye(2) - eta * hessian(w)) @ stretch
    assert abs(np.linalg.eigvals(stretch)).max() < 1  # it attracts
    assert eta * np.linalg.eigvalsh(hessian([0, np.log(n)]))[-1] < 1
    along = [quad(lambda t, i=i: hessian(ends[0] + t * (ends[1] - ends[0]))[0, i], 0, 1,
                  points=[0.15, 0.85], epsabs=1e-12)[0] for i in (0, 1)]  # fmt: skip
    assert eta * along[0] == pytest.approx(2, rel=1e-8)  # the averaged curvature
    assert along[1] == pytest.approx(0, abs=1e-9)


def test_the_records_are_of_what_they_say() -> None:
    """Periods by the library, and how fast the O-rings drift, in plain NumPy."""
    for text, (period, record) in exercises.RECORDS.items():
        assert record.shape == (400,)
        if "O-rings" not in text:
            assert cycles.period(record, max_period=16, rtol=1e-8) == period, text
    _, drift = exercises.RECORDS["the O-rings in degrees Fahrenheit, which drift"]
    apart = np.max(np.abs(drift[2:] - drift[:-2]))
    assert apart == pytest.approx(1.6e-6, abs=0.05e-6)
    assert np.ptp(drift) == pytest.approx(0.026, abs=0.0005)
    tolerance = 1e-9 * np.ptp(drift) + 1e-13 * np.max(np.abs(drift))
    assert apart / tolerance == pytest.approx(6e4, rel=0.05)
    assert apart < 1e-3 * np.ptp(drift)


def test_the_perceptron_by_gradient_descent() -> None:
    """With a large step size the period is that of the rotation; so are the positive iterates."""
    for n_plus, n in ((3, 4), (2, 3), (3, 5)):
        p, w, orbit = n_plus / n, 0.1, []
        for _ in range(2_000):
            w = w + 400 * (p - expit(w))
            orbit.append(w)
        period = SOLUTIONS["cycles-perceptron"](n_plus, n)
        signs = np.array(orbit[-400:]) > 0  # the values themselves take long to settle
        assert cycles.period(signs, max_period=16) == period == n
        assert np.mean(np.array(orbit[-12 * n :]) > 0) == pytest.approx(p)
    for p, stair in ((0.52, 1 / 2), (0.6, 3 / 5), (0.67, 2 / 3), (0.75, 3 / 4)):
        w, positive = 0.1, 0
        for t in range(3_000):
            w = w + 60 * (p - expit(w))
            positive += w > 0 and t >= 1_000
        assert positive / 2_000 == pytest.approx(stair, abs=2e-3)  # the figure's stairs


def test_the_pixel_of_the_laboratory() -> None:
    """359 images; the one that has the pixel is of the smaller class or the larger.

    The number is from arithmetic with 30 digits, outside the library.
    """
    limit = SOLUTIONS["cycles-onehot"]
    assert limit(np.repeat([1.0, -1.0], [177, 182]), 0) == pytest.approx(1.09137306288, abs=1e-8)
    assert limit(np.repeat([1.0, -1.0], [182, 177]), 0) == 2


@pytest.mark.parametrize(
    ("gamma", "middles"),
    [(1.78, []), (1.79, [12.35, 14.2]), (1.82, [12.2, 14.3, 16.2, 18.3])],
)
def test_sizes_that_trap_the_orbit_of_zero(gamma: float, middles: list[float]) -> None:
    """Figure 2 of the solutions, with gradient descent written out."""
    sizes = np.linspace(2, 20, 181)
    z = np.stack([np.array([1.0, 1, -1, size]) for size in sizes])
    star = np.array([brentq(lambda w, z=z: z @ expit(-z * w), -1, 3, xtol=1e-15) for z in z])
    m = z * star[:, None]
    eta = gamma / np.mean(z**2 * expit(m) * expit(-m), axis=1)
    w, far = np.zeros(181), np.zeros(181)
    for step in range(3_032):
        w = w + eta * np.mean(z * expit(-z * w[:, None]), axis=1)
        far = np.maximum(far, abs(w - star)) if step >= 3_000 else far
    edges = np.flatnonzero(np.diff(np.r_[0, (far > 1e-3).astype(int), 0]))
    found = [(sizes[a] + sizes[b - 1]) / 2 for a, b in zip(edges[::2], edges[1::2], strict=True)]
    assert len(found) == len(middles)
    assert found == pytest.approx(middles, abs=0.3)


def test_the_share_of_cycles_of_five() -> None:
    rng = np.random.default_rng(5)
    plus = rng.integers(3, 21, 4_000)
    minus = np.maximum(1, (plus * rng.uniform(0.55, 0.95, 4_000)).astype(int))
    size = rng.integers(10, 60, 4_000)
    n = plus + minus + 1

    def slope(w: np.ndarray) -> Any:
        return (minus * expit(w) - plus * expit(-w) - size * expit(-size * w)) / n

    low, high = np.zeros(4_000), np.full(4_000, 5.0)
    for _ in range(60):
        middle = (low + high) / 2
        low = np.where(slope(middle) < 0, middle, low)
        high = np.where(slope(middle) < 0, high, middle)
    curvature = ((plus + minus) * expit(low) * expit(-low)
                 + size**2 * expit(size * low) * expit(-size * low)) / n  # fmt: skip
    eta, w = rng.uniform(1.2, 1.99, 4_000) / curvature, np.zeros(4_000)
    path = [w]
    for _ in range(2_005):
        path.append(path[-1] - eta * slope(path[-1]))
    five = (abs(path[-1] - path[-6]) < 1e-9) & (abs(path[-1] - path[-2]) > 1e-3)
    assert 0.005 < five.mean() < 0.02  # about one in a hundred


# --- the notebooks ---------------------------------------------------------------------


def test_each_statement_says_its_stars_minutes_and_notebook() -> None:
    order = ["the phenomenon", "the mechanism", "the laboratory"]
    text = "\n".join(c.source for c in cells("cycles", "exercises") if c.cell_type == "markdown")
    heads = re.findall(r"^## (\d+)\. .+\n\n(.+)$", text, re.MULTILINE)
    assert [int(number) for number, _ in heads] == list(range(1, len(NAMES) + 1))
    stars = []
    for _, line in heads:
        match = re.match(r"(★{1,4}) · (\d+ minutes|open) · after \[?([a-z ]+)", line)
        assert match, line
        stars.append(len(match[1]))
        assert match[3].strip() in order
        assert (match[2] == "open") <= (len(match[1]) == 4)
    assert {1, 2, 3, 4} == set(stars)
    assert sum("· open ·" in line for _, line in heads) == 2


def test_the_exercises_hold_nothing_of_the_solutions() -> None:
    text = "\n".join(cell.source for cell in cells("cycles", "exercises"))
    assert "**Solution" not in text and "SOLUTION" not in text
    for name in NAMES:
        for line in code_of_solution(name):
            assert line not in text


def test_the_source_carries_nbgraders_marks() -> None:
    """What nbgrader needs: an answer, a check that is graded and locked, points."""
    source = cells("cycles", "solutions")
    assert isinstance(source[0], nbformat.NotebookNode)
    data = {grade_id(c): c.metadata.nbgrader for c in source if grade_id(c)}
    for name in NAMES:
        assert data[name].solution and not data[name].grade and not data[name].locked
        test = data[f"{name}-check"]
        assert test.grade and test.locked and not test.solution
        assert (test.points > 0) is (name not in OPEN)
    for cell in source:
        if grade_id(cell).endswith("-check"):
            assert re.fullmatch(r'check\("[a-z-]+", \w+\)', cell.source)
