"""The bank of questions: each answer found a second way, texts that are whole, files that load."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import cumulative_trapezoid, quad, solve_ivp
from scipy.optimize import brentq, linprog, minimize_scalar
from scipy.stats import norm

from optdyn import filters, logistic, moments, questions, stationarity
from optdyn.questions_base import show
from optdyn.questions_moodle import as_html

ROOT = Path(__file__).resolve().parent.parent
NAMES = questions.names()
SEEDS = range(20)
each_template = pytest.mark.parametrize("name", NAMES)

Question = questions.Question
SECOND: dict[str, Callable[[Question], Any]] = {}


def second(way: Callable[[Question], Any]) -> Callable[[Question], Any]:
    """Register a second way; its name is that of the template."""
    SECOND[way.__name__.replace("_", "-")] = way
    return way


def numbers_in(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def sorted_places(question: Question, value: Callable[[float], float]) -> tuple[int, ...]:
    """The order of the options by a value of the last number in each."""
    values = [value(numbers_in(option.text)[-1]) for option in question.options]
    return tuple(int(place) for place in np.argsort(values))


def only(question: Question, holds: Callable[[str], bool]) -> int:
    """The place of the only option of which this holds."""
    [place] = [i for i, option in enumerate(question.options) if holds(option.text)]
    return place


def sigmoid(s: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(s, -700, 700)))


# --- noise ----------------------------------------------------------------------------


@second
def noise_kick_correlation(q: Question) -> float:
    kappa = q.drawn["kappa"]
    one, other = np.array([-kappa, 1, 0]), np.array([0, -kappa, 1])  # weights of three xi
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@second
def noise_sum_of_kicks(q: Question) -> float:
    weights = np.zeros(q.drawn["n"] + 1)
    for k in range(q.drawn["n"]):
        weights[k + 1] += 1
        weights[k] -= q.drawn["kappa"]
    return float(q.drawn["sigma"] * np.linalg.norm(weights))


@second
def noise_shifted_iterate(q: Question) -> float:
    w, xi = q.drawn["w0"], q.drawn["xi"]
    for n in range(3):
        w = w - q.drawn["theta"] * w + xi[n + 1] - xi[n]
    return float(w - xi[3])


@second
def noise_loss_gap(q: Question) -> float:
    """All signs of the noise at once, at a point of no importance."""
    values = np.array([q.drawn["first"], q.drawn["second"], q.drawn["third"]])
    z = np.array([0.3, -1.2, 0.7])

    def loss(w: Any) -> Any:
        return 0.5 * np.sum(values * w**2, axis=-1)

    signs = np.array(list(itertools.product([-1, 1], repeat=3)))
    return float(np.mean(loss(z + q.drawn["sigma"] * signs)) - loss(z))


def response(theta: float, kappa: float) -> float:
    """The variance that noise of variance one leaves: the energy of one kick's traces."""
    w, energy = 0.0, 0.0
    for kick in [1.0, -kappa] + [0.0] * 3000:
        w = (1 - theta) * w + kick
        energy += w * w
    return energy


@second
def noise_stationary_variance(q: Question) -> float:
    theta = q.drawn["step"] * q.drawn["curvature"]
    return q.drawn["sigma"] ** 2 * response(theta, q.drawn["kappa"])


@second
def noise_variance_order(q: Question) -> tuple[int, ...]:
    return sorted_places(q, lambda kappa: response(q.drawn["theta"], kappa))


@second
def noise_valley_flow(q: Question) -> float:
    def flow(_: float, w: Any) -> Any:
        u, v = w[:2], w[2]
        return [*(-(v**2) * u), -(u @ u) * v]

    start = [q.drawn["a"], q.drawn["b"], q.drawn["v"]]
    u1, u2, v = solve_ivp(flow, (0, 30), start, "LSODA", rtol=1e-9, atol=1e-12).y[:, -1]
    return float(2 * v**2 + u1**2 + u2**2)


@second
def noise_resting_place(q: Question) -> float:
    """Drift and walk balanced on a grid of eta |u|^2 / 2 between 0 and 1."""
    dim, eta, c = q.drawn["dim"], q.drawn["step"], (1 - q.drawn["kappa"]) ** 2
    y = np.linspace(-60, 60, 40_001)
    x = sigmoid(y)
    s, rest = 2 * x / eta, sigmoid(-y)
    drift = dim * c - (c + 4 * q.drawn["kappa"] * x) / rest
    per_y = 2 * drift / (4 * c * s) * (2 / eta) * x * rest  # 2 A / B ds
    log_law = cumulative_trapezoid(per_y, y, initial=0) - np.log(s) + np.log(x * rest)
    law = np.exp(log_law - log_law.max())
    return float(np.sum(law * s) / np.sum(law))


@second
def noise_flattest_solution(q: Question) -> int:
    """The trace by second differences of the loss, at each option."""
    x, y = np.array(q.drawn["x"]), q.drawn["y"]

    def loss(w: Any) -> float:
        return float((x @ (w * w) - y) ** 2 / 4)

    traces = []
    for option in q.options:
        b = np.array(numbers_in(option.text))
        assert x @ b == pytest.approx(y, rel=1e-3)
        w, h = np.sqrt(b * y / (x @ b)), 1e-3
        steps = h * np.eye(3)
        traces.append(sum(loss(w + e) - 2 * loss(w) + loss(w - e) for e in steps) / h**2)
    return int(np.argmin(traces))


# --- cycles ---------------------------------------------------------------------------


@second
def cycles_separable(q: Question) -> int:
    """Directions all round, and those at right angles to a point."""
    angles = np.linspace(0, 2 * np.pi, 3601)[:-1]
    around = np.stack([np.cos(angles), np.sin(angles)], 1)

    def overlap(text: str) -> bool:
        points = np.array(numbers_in(text)).reshape(-1, 2)
        normal = points[:, ::-1] * [1, -1]
        directions = np.concatenate([around, normal, -normal])
        return bool(np.all(np.min(directions @ points.T, axis=1) < -1e-12))

    return only(q, overlap)


def slopes(up: int, down: int, size: float = 1.0) -> Callable[[Any, int], Any]:
    """The n-th derivative of the loss of two sizes of one kind, by mpmath."""

    def loss(w: Any) -> Any:
        terms = ((up, -size), (down, size))
        return sum(m * mpmath.log1p(mpmath.exp(z * w)) for m, z in terms) / (up + down)

    return lambda w, n: mpmath.diff(loss, w, n)


@functools.cache
def minimum(up: int, down: int, size: float = 1.0) -> Any:
    """The minimiser, and the second to fourth derivative there."""
    with mpmath.workdps(40):
        slope = slopes(up, down, size)
        star = mpmath.findroot(lambda w: slope(w, 1), (-20, 20), solver="anderson")
        return [star, *(slope(star, n) for n in (2, 3, 4))]


@second
def cycles_critical_step(q: Question) -> float:
    return float(2 / minimum(q.drawn["up"], q.drawn["down"], q.drawn["size"])[1])


LINE = [([[1], [-1], [358]], [182, 176, 1]), ([[1], [-1]], [3, 1])]
WALLS = [
    ([[B, h], [-B, h], [0, 1], [0, -1]], [1, 1, up, down])
    for B, h, up, down in ((20, 4, 15, 4), (25, 3, 20, 3))
]


def newton(z: Any, p: Any) -> tuple[Any, float]:
    """The minimiser, by steps no longer than one, and the largest curvature there."""
    w = np.zeros(z.shape[1])
    for _ in range(300):
        s = sigmoid(-(z @ w))
        hessian = (z.T * (p * s * (1 - s))) @ z
        step = np.linalg.solve(hessian, (p * s) @ z)
        w = w + step / max(1.0, float(np.linalg.norm(step)))
        if np.linalg.norm(step) < 1e-13:
            break
    return w, float(np.linalg.eigvalsh(hessian)[-1])


@functools.cache
def fates(dim: int, gamma: float) -> tuple[bool, bool, bool]:
    """Of known data: every start arrives; starts beside the minimiser do; orbits stay."""
    every = near = stays = True
    for points, counts in LINE if dim == 1 else WALLS:
        z, p = np.array(points, float), np.array(counts) / sum(counts)
        star, curvature = newton(z, p)
        grid = np.array(list(itertools.product([-2.0, 0.0, 1.0, 2.0], repeat=dim)))
        w = np.concatenate([grid, star + 1e-4 * np.ones((1, dim))])
        for _ in range(1000):
            step = gamma / curvature * (p * sigmoid(-(w @ z.T))) @ z
            w = w + step
        rests = np.linalg.norm(step, axis=1) < 1e-3
        every, near = every and bool(rests.all()), near and bool(rests[-1])
        stays = stays and float(np.abs(w).max()) < 1e3
    return every, near, stays


@second
def cycles_promise(q: Question) -> int:
    every, near, stays = fates(q.drawn["dim"], round(q.drawn["step"] * q.drawn["curvature"], 6))
    assert stays
    start = "converges from every" if every else "from starts near" if near else "every orbit ends"
    return only(q, lambda text: start in text)


@second
def cycles_two_steps(q: Question) -> float:
    patients = np.array([1.0] * q.drawn["up"] + [-1.0] * (q.drawn["n"] - q.drawn["up"]))
    w = 0.0
    for _ in range(2):
        w = w + q.drawn["step"] * float(np.mean(patients * sigmoid(-w * patients)))
    return w


@second
def cycles_pair_width(q: Question) -> float:
    """The flip coefficient from derivatives that are differences."""
    _, h, third, fourth = minimum(q.drawn["up"], q.drawn["n"] - q.drawn["up"])
    c = (3 * third**2 - h * fourth) / (3 * h**2)
    return float(mpmath.sqrt((q.drawn["gamma"] - 2) / c))


@second
def cycles_cascade_end(q: Question) -> float:
    gap, end = q.drawn["second"] - q.drawn["first"], 0.0
    for _ in range(60):
        gap /= 4.669
        end += gap
    return end


@second
def cycles_pair_curve(q: Question) -> float:
    """Walked: at the step size of the answer the two points go to each other."""
    p, force = q.drawn["p"], q.drawn["force"]

    def slope(w: float) -> float:
        return float(-p * sigmoid(-w) + (1 - p) * sigmoid(w))

    u = brentq(lambda w: slope(w) - force, -30, 30, xtol=1e-13)
    eta = value(q) / (p * (1 - p))
    other = u - eta * slope(u)
    assert slope(other) == pytest.approx(-force, abs=1e-8)
    assert other - eta * slope(other) == pytest.approx(u, abs=1e-7)
    return value(q)


@functools.cache
def subcritical(ratio: float) -> bool:
    """Whether two sizes of this ratio can be mixed to a negative flip coefficient."""
    w, r = np.meshgrid(np.linspace(0.01, 6, 300), np.logspace(-6, 6, 300))
    t1, t2 = np.tanh(w / 2), np.tanh(ratio * w / 2)
    third = t1 + r * ratio * t2
    fourth = (3 * t1**2 - 1) / 2 + r * ratio**2 * (3 * t2**2 - 1) / 2
    return bool(np.min(3 * third**2 - (1 + r) * fourth) < 0)


def intercept_pair(n: int) -> float:
    """gamma of a pair of the family with n positives, walked; the feature is B = n."""
    beta = math.log(2 * n)
    want = sigmoid(beta) - (n - 2) * sigmoid(-beta)
    q = brentq(lambda q: sigmoid(q - beta) + sigmoid(-q - beta) - want, 0, 60, xtol=1e-14)
    z = np.array([[n, 1.0], [-n, 1.0], [0.0, 1.0], [0.0, -1.0]])
    p = np.array([1, 1, n - 2, 1]) / (n + 1)
    gap = sigmoid(q - beta) - sigmoid(-q - beta)
    gamma = 4 * q * n / ((n + 1) ** 2 * gap)
    _, curvature = newton(z, p)
    w = np.array([q / n, beta])
    for sign in (-1, 1):
        w = w + gamma / curvature * (p * sigmoid(-(z @ w))) @ z
        assert w == pytest.approx([sign * q / n, beta], abs=1e-6)
    return float(gamma)


@second
def cycles_safe_step(q: Question) -> int:
    if q.drawn["dim"] == 2:
        gammas = [intercept_pair(n) for n in (30, 300, 3000)]
        assert gammas[0] > gammas[1] > gammas[2] and gammas[2] < 0.05
        return only(q, lambda text: text.startswith("No share"))
    unsafe = subcritical(q.drawn["large"] / q.drawn["small"])
    assert fates(1, 0.9)[0] and not fates(1, 1.2)[0]  # the line, half of the critical step
    return only(q, lambda text: text.startswith(r"Up to $1/" if unsafe else r"Up to $2/"))


@second
def cycles_lonely_points(q: Question) -> float:
    n, size = q.drawn["n"], q.drawn["size"]
    rows = [[size, 1], [-size, 1], *([0, 1] for _ in range(n - 2)), [0, -1]]
    return 2 / newton(np.array(rows, float), np.full(n + 1, 1 / (n + 1)))[1]


# --- memory ---------------------------------------------------------------------------


@second
def shiftk_filter_weight(q: Question) -> float:
    poles = q.drawn["radius"] * np.exp(np.array([1j, -1j]) * np.pi / q.drawn["parts"])
    x = np.zeros(2, complex)
    for n in range(q.drawn["lag"] + 1):
        x = poles * x + (1.0 if n == 0 else 0.0)
    return float(q.drawn["readout"] * x.sum().real)


def recalled(modulus: float, lag: int) -> float:
    """The share that one pole recalls: the projection on its sequence, cut off far out."""
    sequence = modulus ** np.arange(6000)
    return float(sequence[lag] ** 2 / (sequence @ sequence))


@second
def shiftk_one_pole_order(q: Question) -> tuple[int, ...]:
    return sorted_places(q, lambda modulus: recalled(modulus, q.drawn["lag"]))


@second
def shiftk_best_pole(q: Question) -> float:
    found = minimize_scalar(
        lambda a: -recalled(a, q.drawn["lag"]), bounds=(0.3, 0.999), options={"xatol": 1e-9}
    )
    return float(found.x)


def most(states: int, lag: int, *, share: float | None = None) -> float:
    """The most that a memory curve can have at a lag, or after it: a linear programme.

    The curve never rises, is between 0 and 1 and sums to the number of states; with a share, it
    has that value at the lag, and what counts is the sum after it.
    """
    n = lag + 1 + (math.ceil(states / share) if share else 2 * states)
    falls = np.eye(n, k=1)[:-1] - np.eye(n)[:-1]
    cost = np.zeros(n)
    cost[lag + 1 if share else lag : None if share else lag + 1] = -1
    equal, values = [np.ones(n)], [float(states)]
    if share:
        equal, values = [*equal, np.eye(n)[lag]], [*values, share]
    found = linprog(cost, falls, np.zeros(n - 1), np.array(equal), values, (0, 1))
    assert found.status == 0, found.message
    return float(-found.fun)


@second
def shiftk_bound(q: Question) -> float:
    return most(q.drawn["states"], q.drawn["lag"])


@second
def shiftk_budget_left(q: Question) -> float:
    return most(q.drawn["states"], q.drawn["lag"], share=q.drawn["share"])


@second
def shiftk_echo_price(q: Question) -> float:
    """The bump against the bump and all its echoes, added up."""
    alpha, p = q.drawn["alpha"], q.drawn["spacing"]
    energy = sum(math.exp(-2 * alpha * (1 + j * p)) for j in range(400))
    return math.exp(-2 * alpha) / (p * energy) * q.drawn["order"] / q.drawn["lag"]


@second
def shiftk_energy_width(q: Question) -> float:
    return 1 / most(q.drawn["states"], q.drawn["lag"])


@second
def shiftk_slow_input(q: Question) -> float:
    rho, edge = q.drawn["rho"], math.pi * q.drawn["states"] / q.drawn["lag"]

    def spectrum(omega: float) -> float:
        return (1 - rho**2) / abs(1 - rho * complex(math.cos(omega), math.sin(omega))) ** 2

    return float(quad(spectrum, edge, math.pi, epsabs=1e-12)[0] / math.pi)


@second
def shiftk_failed_training(q: Question) -> int:
    """The three numbers, from what the text says."""
    lag, modulus, phase, gap = (q.drawn[name] for name in ("lag", "modulus", "phase", "gap"))
    lags = np.arange(-4000, 4001)
    power = float(np.sum(q.drawn["rho"] ** np.abs(lags) * np.cos(lags * phase)))
    found = {
        "The poles have no": modulus**lag < 1e-3,
        "There is no signal": power < 0.1,
        "The poles are islands": lag * gap > 3 * 2 * math.pi,
    }
    assert sum(found.values()) <= 1 and 7 * gap < 2 * math.pi
    found["None of these"] = not any(found.values())
    return only(q, lambda text: any(holds and text.startswith(a) for a, holds in found.items()))


# --- Adam -----------------------------------------------------------------------------


def averages(stream: Any, b1: float, b2: float) -> Any:
    """m and v after each gradient, from zero."""
    m = v = 0.0
    for g in stream:
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        yield m, v


@second
def adam_running_variance(q: Question) -> float:
    beta = Fraction(str(q.drawn["beta"]))
    m = v = Fraction(0)
    for g in q.drawn["gradients"]:
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * g * g
    return float(v - m * m)


@second
def adam_confidence(q: Question) -> float:
    """Steps on a stream with these two numbers: two values at one weight each."""
    m, sigma = q.drawn["m"], q.drawn["sigma"]
    return float(m / math.sqrt(((m - sigma) ** 2 + (m + sigma) ** 2) / 2))


@second
def adam_flipping_stream(q: Question) -> float:
    stream = [q.drawn["up"], -q.drawn["down"]] * 600 + [q.drawn["up"]]
    *_, (m, v) = averages(stream, q.drawn["beta"], q.drawn["beta"])
    return float(m / math.sqrt(v))


@second
def adam_mean_step(q: Question) -> float:
    weights = (1 - q.drawn["beta"]) * q.drawn["beta"] ** np.arange(2000)
    mean, deviation = q.drawn["signal"] * weights.sum(), float(np.linalg.norm(weights))
    positive = quad(lambda m: norm.pdf(m, mean, deviation), 0, mean + 12 * deviation)[0]
    return float(2 * positive - 1)


@second
def adam_rare_token(q: Question) -> float:
    stream = [1.0] + [0.0] * 1200
    return sum(
        abs(m) / math.sqrt(v) for m, v in averages(stream, q.drawn["b1"], q.drawn["b2"]) if v
    )


@second
def adam_longest_step(q: Question) -> float | int:
    """Adam meets the worst streams of 100 and of 200 gradients."""
    b1, b2 = q.drawn["b1"], q.drawn["b2"]

    def last(n: int) -> float:
        worst = np.exp(math.log(b1 / b2) * np.arange(n - 1, -1, -1.0))
        *_, (m, v) = averages(worst / worst.max(), b1, b2)
        return float(m / math.sqrt(v))

    short, long = last(100), last(200)
    if long < 1.02 * short:
        return long
    assert last(300) > 1.2 * short
    return only(q, lambda text: text == "There is no bound.")


@second
def adam_bias_factor(q: Question) -> float:
    b1, b2, t = q.drawn["b1"], q.drawn["b2"], q.drawn["t"]
    stream = np.sin(np.arange(1, t + 1) ** 2.0)
    *_, (m, v) = averages(stream, b1, b2)
    mass1 = sum((1 - b1) * b1**i for i in range(t))
    mass2 = sum((1 - b2) * b2**i for i in range(t))
    return float((m / mass1) / math.sqrt(v / mass2) / (m / math.sqrt(v)))


@second
def adam_dealt_blocks(q: Question) -> float:
    turn = np.array([[1, -1], [1, 1]]) / math.sqrt(2)
    hessian, w = np.zeros((4, 4)), np.zeros(4)
    for i, values in enumerate(q.drawn["blocks"]):
        block = slice(2 * i, 2 * i + 2)
        hessian[block, block] = turn @ np.diag(values) @ turn.T
        w[block] = turn @ np.ones(2)
    for _ in range(q.drawn["n"]):
        w = w - q.drawn["step"] * hessian @ w
    return float(w @ hessian @ w / 2)


@second
def adam_paired_error(q: Question) -> float:
    """From the covariance of the two rows of losses."""
    c = np.cov(np.array([q.drawn["one"], q.drawn["other"]]) / 100)
    return float(math.sqrt((c[0, 0] + c[1, 1] - 2 * c[0, 1]) / 4))


# --- the answers ----------------------------------------------------------------------


def test_there_are_nine_templates_a_topic_and_a_second_way_for_each() -> None:
    assert len(NAMES) == 36 and set(SECOND) == set(NAMES)
    for topic in questions.TITLES:
        assert len(questions.names(topic)) == 9
    kinds = {questions.ask(name, 0).kind for name in NAMES}
    assert kinds == {"number", "choice", "order"}


def value(question: Question) -> float:
    """The answer to a number, or the number that is the right option of a choice."""
    assert not isinstance(question.answer, tuple)
    if question.kind == "number":
        return question.answer
    found = question.options[int(question.answer)].value
    assert found is not None
    return found


@each_template
def test_a_second_way_finds_the_same_answer(name: str) -> None:
    for seed in SEEDS:
        question = questions.ask(name, seed)
        found = SECOND[name](question)
        if question.kind == "order" or isinstance(found, int):
            assert found == question.answer, (seed, question)
            continue
        assert found == pytest.approx(value(question), rel=2e-5, abs=1e-7), (seed, question)


def beta_mean(dim: int, kappa: float) -> float:
    a, b = stationarity.valley_beta(dim, kappa)
    return a / (a + b)


LIBRARY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "noise-stationary-variance": lambda d: (
        d["sigma"] ** 2
        * stationarity.stationary_variance(d["step"] * d["curvature"], kappa=d["kappa"])
    ),
    "noise-resting-place": lambda d: 2 / d["step"] * beta_mean(d["dim"], d["kappa"]),
    "cycles-critical-step": lambda d: logistic.critical_step_size(
        np.array([d["size"], -d["size"]]), np.array([d["up"], d["down"]])
    ),
    "cycles-pair-width": lambda d: math.sqrt(
        (d["gamma"] - 2)
        / logistic.flip_coefficient(np.array([1.0, -1.0]), np.array([d["up"], d["n"] - d["up"]]))
    ),
    "shiftk-slow-input": lambda d: filters.arctan_law(d["states"] / d["lag"], d["rho"]),
    "shiftk-bound": lambda d: 1 - filters.error_lower_bound(d["states"], d["lag"]),
    "adam-rare-token": lambda d: moments.impulse_displacement(d["b1"], d["b2"]),
    "adam-bias-factor": lambda d: moments.bias_correction_factor(d["t"], d["b1"], d["b2"]),
    "adam-mean-step": lambda d: moments.snr_response(d["signal"], d["beta"], method="signum"),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_agrees(name: str) -> None:
    for seed in range(4):
        question = questions.ask(name, seed)
        assert float(LIBRARY[name](question.drawn)) == pytest.approx(value(question), rel=1e-5), (
            seed
        )


@each_template
def test_wrong_options_are_wrong_and_no_two_are_alike(name: str) -> None:
    for seed in SEEDS:
        question = questions.ask(name, seed)
        texts = [option.text for option in question.options]
        assert len(set(texts)) == len(texts) == (0 if question.kind == "number" else 4)
        if question.kind != "choice":
            assert not any(option.why for option in question.options)
            continue
        right = question.options[int(question.answer)]  # type: ignore[arg-type]
        for option in question.options:
            assert (option is right) == (not option.why)
            if option is not right and right.value is not None and option.value is not None:
                assert abs(option.value - right.value) > 1.5 * question.tolerance, (seed, option)


# --- the texts ------------------------------------------------------------------------


def text_problems(text: str) -> list[str]:
    found = []
    parts = text.split("$")
    if len(parts) % 2 == 0:
        found.append("an odd number of dollars")
    for part in parts[1::2]:
        depth = 0
        for mark in re.findall(r"(?<!\\)[{}]", part):
            depth += 1 if mark == "{" else -1
            if depth < 0:
                break
        if depth:
            found.append(f"braces in {part}")
        if part.count("(") != part.count(")") or not part.strip():
            found.append(f"brackets in {part}")
        if re.search(r"[<>]", part):
            found.append(f"a sign that HTML may take for a tag in {part}")
        if re.search(r"\b(?:nan|inf|None|True|False)\b", part):
            found.append(f"no number in {part}")
    outside = " ".join(parts[::2])
    if re.search(r"[{}<>\\]|\b(?:nan|inf|None|True|False)\b", outside.replace("None of", "")):
        found.append(f"left over in {outside}")
    if not text.isascii():
        found.append("a sign that not every screen can show")
    if re.search(r"  |[a-z0-9$]\.[A-Z]", text) or "\n" in text or text != text.strip():
        found.append("spaces")
    return found


@each_template
def test_the_texts_are_whole(name: str) -> None:
    for seed in SEEDS:
        question = questions.ask(name, seed)
        options = [
            text for option in question.options for text in (option.text, option.why) if text
        ]
        for text in (question.text, question.explanation, *options):
            assert text_problems(text) == [], (seed, text)
            assert re.search(r"[.?)$]$", text), text
        if question.kind == "number":
            assert question.text.endswith("."), "it says how many digits"
            assert (
                question.tolerance == 0 if isinstance(question.answer, int) else question.tolerance
            )


@each_template
def test_the_drawn_numbers_are_in_the_text_and_the_answer_in_the_explanation(name: str) -> None:
    for seed in SEEDS:
        question = questions.ask(name, seed)
        whole = " ".join([question.text, *(option.text for option in question.options)])
        for value in question.drawn.values():
            flat = np.ravel(list(value.values()) if isinstance(value, dict) else value).tolist()
            for one in flat:
                hundredth = f"{one / 100:.2f}" if name == "adam-paired-error" else show(one)
                skipped = name == "shiftk-failed-training" and one == 0.0
                assert skipped or hundredth in whole, (seed, one)
        if question.kind == "number":
            assert show(question.answer) in question.explanation or name == "noise-shifted-iterate"
        elif question.kind == "choice":
            right = question.options[int(question.answer)]  # type: ignore[arg-type]
            if right.value is not None:
                assert show(right.value) in question.explanation


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$a", "dollars"),
        (r"$\frac{1}{2$", "braces"),
        ("$x = <x>$", "tag"),
        ("a {x} b", "left over"),
        ("$x = nan$", "no number"),
        ("One.Two", "spaces"),
        ("45°", "not every screen"),
    ],
)
def test_a_text_that_is_not_whole_is_found(text: str, problem: str) -> None:
    assert any(problem in found for found in text_problems(text))


@each_template
def test_a_template_names_an_objective_of_its_chapter(name: str) -> None:
    template = questions.template(name)
    [path] = (ROOT / "chapters" / template.topic).glob(f"*_{template.notebook}.ipynb")
    cells = json.loads(path.read_text("utf8"))["cells"]
    [box] = [
        "".join(cell["source"])
        for cell in cells
        if "After this notebook you can" in "".join(cell["source"])
    ]
    assert re.search(rf"^{template.objective}\. ", box, re.M)
    assert (
        questions.ask(name, 0).objective == f"{template.notebook}, objective {template.objective}"
    )


# --- seeds ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_question() -> None:
    """On every platform and with every NumPy: as stored. A new digest means new questions."""
    digest = hashlib.sha256()
    for name, seed in itertools.product(NAMES, range(5)):
        assert questions.ask(name, seed) == questions.ask(name, seed)
        digest.update(json.dumps(asdict(questions.ask(name, seed))).encode())
    assert digest.hexdigest() == DIGEST


DIGEST = "ea7850ebcda0645297579f6b244497a4415eda49aac3f795b04c6cb47b08ec35"


@each_template
def test_other_seeds_give_other_questions(name: str) -> None:
    asked = [questions.ask(name, seed) for seed in range(30)]
    assert len({json.dumps(question.drawn) for question in asked}) >= 10
    assert len({question.text + str(question.options) for question in asked}) >= 10


@pytest.mark.parametrize("seed", [0, 2**31 - 2, np.int64(7)])
def test_seeds_that_are_allowed(seed: int) -> None:
    assert questions.ask("noise-valley-flow", seed).seed == seed


# --- marking --------------------------------------------------------------------------


@each_template
def test_the_right_answer_is_right_and_others_are_not(name: str) -> None:
    for seed in range(3):
        question = questions.ask(name, seed)
        if question.kind == "number":
            answer = value(question)
            assert questions.is_right(question, answer)
            assert questions.is_right(question, f" {answer:.8g} ")
            if question.tolerance:
                assert questions.is_right(question, f"{answer:.3g}")  # the digits it asks for
            assert questions.is_right(question, answer + question.tolerance)
            assert not questions.is_right(question, answer + 1.01 * question.tolerance + 1e-6)
            assert not questions.is_right(question, -answer)
            continue
        letters = "ABCD"
        right = question.answer if question.kind == "order" else (question.answer,)
        text = "".join(letters[i] for i in right)  # type: ignore[union-attr, index]
        all_texts = letters if question.kind == "choice" else itertools.permutations(letters)
        accepted = [one for one in map("".join, all_texts) if questions.is_right(question, one)]
        assert accepted == [text]
        assert questions.is_right(question, ", ".join(text).lower())


def test_on_a_pair_two_is_never_right() -> None:
    for seed in range(200):
        question = questions.ask("cycles-pair-curve", seed)
        assert abs(2 - value(question)) > 3.9 * question.tolerance, seed


def test_the_surprises_have_their_signs() -> None:
    for seed in SEEDS:
        question = questions.ask("adam-running-variance", seed)
        [first] = re.findall(r"surprise by \$(\S+)\$,", question.explanation)
        assert float(first) == question.drawn["gradients"][0]
        assert rf"^2 \cdot ({first})^2 +" in question.explanation


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("noise-valley-flow", "a third", "a number is needed"),
        ("noise-valley-flow", "nan", "a number is needed"),
        ("noise-kick-correlation", "E", "one letter of ABCD"),
        ("noise-kick-correlation", "AB", "one letter of ABCD"),
        ("noise-kick-correlation", 0.25, "one letter of ABCD"),
        ("noise-variance-order", "ABBC", "each letter once of ABCD"),
    ],
)
def test_an_answer_that_is_none_gets_a_sentence(name: str, given: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"^given: got .*{allowed}.* is needed|{allowed}"):
        questions.is_right(questions.ask(name, 1), given)


# --- sheets and keys ------------------------------------------------------------------


def test_a_sheet_has_the_questions_and_not_the_answers() -> None:
    asked = [questions.ask(name, seed) for seed in (1, 2) for name in questions.names("cycles")]
    text, key = questions.sheet(asked), questions.key(asked)
    for page, words in ((text, "sheet"), (key, "key to sheet")):
        heads = re.findall(r"^# (.+)$", page, re.M)
        assert heads == [f"Cycles, {words} {seed}" for seed in (1, 2)]
        titles = [
            f"{i}. {questions.template(n).title}"
            for i, n in enumerate(questions.names("cycles"), 1)
        ]
        assert re.findall(r"^## (.+)$", page, re.M) == titles * 2
        assert page.endswith("\n") and not page.endswith("\n\n") and "\n\n\n" not in page
    for question in asked:
        assert question.text in text and question.explanation in key
        assert question.explanation not in text and question.text not in key
        for letter, option in zip("ABCD", question.options, strict=False):
            assert f"- **{letter}** {option.text}\n" in text
            assert not option.why or f"- **{letter}** {option.text} ({option.why})\n" in key
    assert "Answer" not in text and key.count("**Answer:** ") == len(asked)


def test_the_key_to_each_kind_starts_with_its_answer() -> None:
    number = questions.ask("noise-valley-flow", 1)
    assert f"**Answer:** ${number.answer}$\n" in questions.key([number])
    choice = questions.ask("noise-kick-correlation", 1)
    place = int(choice.answer)  # type: ignore[arg-type]
    right = choice.options[place]
    assert f"**Answer:** {'ABCD'[place]}, {right.text}\n" in questions.key([choice])
    order = questions.ask("noise-variance-order", 1)
    letters = ", ".join("ABCD"[i] for i in order.answer)  # type: ignore[union-attr]
    assert f"**Answer:** {letters}\n" in questions.key([order])


def test_topics_are_kept_together() -> None:
    asked = [questions.ask(name, seed) for seed in (4, 5) for name in (NAMES[-1], NAMES[0])]
    heads = re.findall(r"^# (.+)$", questions.sheet(asked), re.M)
    assert heads == ["Noise, sheet 4", "Noise, sheet 5", "Adam, sheet 4", "Adam, sheet 5"]


# --- Moodle ---------------------------------------------------------------------------


def moodle_text(entry: ET.Element, path: str) -> str:
    return entry.findtext(f"{path}/text") or ""


def test_moodle_gets_every_question_with_its_answer() -> None:
    asked = [questions.ask(name, seed) for seed in range(3) for name in NAMES]
    quiz = ET.fromstring(questions.moodle(asked).encode())
    assert quiz.tag == "quiz"
    known = {f"optdyn-{one.template}-{one.seed}": one for one in asked}
    category, seen = "", []
    for entry in quiz:
        kind = entry.get("type")
        if kind == "category":
            category = moodle_text(entry, "category")
            continue
        question = known[entry.findtext("idnumber") or ""]
        seen.append(question)
        topic = questions.template(question.template).topic
        assert category == f"$course$/top/The Dynamics of Learning/{topic}/{question.template}"
        assert moodle_text(entry, "name") == f"{question.title} (seed {question.seed})"
        assert moodle_text(entry, "questiontext") == as_html(question.text)
        assert moodle_text(entry, "generalfeedback") == as_html(question.explanation)
        assert entry.findtext("defaultgrade") == "1"
        if question.kind == "number":
            assert kind == "numerical"
            [answer] = entry.findall("answer")
            assert answer.get("fraction") == "100"
            assert float(answer.findtext("text") or "") == question.answer
            assert float(answer.findtext("tolerance") or "") == question.tolerance
        elif question.kind == "choice":
            assert kind == "multichoice" and entry.findtext("single") == "true"
            answers = entry.findall("answer")
            assert [a.findtext("text") for a in answers] == [
                as_html(o.text) for o in question.options
            ]
            fractions = [a.get("fraction") for a in answers]
            assert fractions == ["100" if i == question.answer else "0" for i in range(4)]
            for answer, option in zip(answers, question.options, strict=True):
                assert moodle_text(answer, "feedback") == (
                    as_html(option.why) if option.why else ""
                )
        else:
            assert kind == "matching"
            parts = entry.findall("subquestion")
            assert [p.findtext("text") for p in parts] == [
                as_html(o.text) for o in question.options
            ]
            places = [int(moodle_text(part, "answer")) for part in parts]
            order = tuple(int(i) for i in np.argsort(places))
            assert order == question.answer and sorted(places) == [1, 2, 3, 4]
    assert len(seen) == len(asked) and {id(one) for one in seen} == {id(one) for one in asked}


def test_moodle_texts_are_html_with_its_own_marks_for_formulas() -> None:
    asked = [questions.ask(name, 0) for name in NAMES]
    for element in ET.fromstring(questions.moodle(asked).encode()).iter("text"):
        text = element.text or ""
        if text.startswith("<p>"):
            assert "$" not in text and text.count(r"\(") == text.count(r"\)")
            whole = ET.fromstring(text)  # well-formed by itself
            assert whole.tag == "p"


def test_html_keeps_its_hands_off_formulas() -> None:
    assert as_html("*a* & $b*c*d \\lt e_1$ **f**") == (
        "<p><em>a</em> &amp; \\(b*c*d \\lt e_1\\) <strong>f</strong></p>"
    )


# --- the command line -----------------------------------------------------------------


def run(*args: str) -> int:
    return questions.main(args)


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list", "--topic", "shiftk") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(questions.names("shiftk"))
    assert re.fullmatch(r"shiftk-bound +choice +phenomenon, objective 3 +The bound", lines[3])


def test_sheets_for_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sheets.md"
    assert run("--topic", "cycles", "--seeds", "1-30", "--sheet", "--out", str(path)) == 0
    assert capsys.readouterr().out == "" and [p.name for p in tmp_path.iterdir()] == ["sheets.md"]
    asked = [questions.ask(n, seed) for seed in range(1, 31) for n in questions.names("cycles")]
    assert path.read_bytes() == questions.sheet(asked).encode()


def test_chosen_templates_come_in_the_order_given(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("adam-bias-factor", "adam-confidence", "adam-bias-factor")
    assert run("--only", *chosen, "--seeds", "9,2", "--key") == 0
    asked = [questions.ask(name, seed) for seed in (9, 2) for name in chosen[:2]]
    assert capsys.readouterr().out == questions.key(asked)


def test_moodle_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--moodle", "--topic", "adam", "--seeds", "3-4") == 0
    assert len(ET.fromstring(capsys.readouterr().out.encode())) == 9 * (1 + 2)


BAD = [
    (["--sheet", "--topic", "waves"], "topic: got 'waves', one of noise, cycles, shiftk, adam"),
    (["--sheet", "--only", "adam-bias-factr"], "did you mean adam-bias-factor?"),
    (["--sheet", "--only", "zz"], "template: got 'zz', the name of a template is needed"),
    (["--key", "--topic", "noise", "--only", "adam-confidence"], "only: got 'adam-confidence'"),
    (["--sheet", "--seeds", "5-1"], "seeds: got '5-1', whole numbers from 0"),
    (["--sheet", "--seeds", "-3"], "seeds: got '-3', whole numbers from 0"),
    (["--sheet", "--seeds", "1,,2"], "write them like 1-30"),
    (["--sheet", "--seeds", "1.5"], "seeds: got '1.5'"),
    (["--sheet", "--seeds", "2147483647"], "whole numbers from 0 to 2147483646"),
    (["--sheet", "--seeds", "0-2147483646"], "at most 1000 are allowed"),
    (["--sheet", "--seeds", "1-600,1001-1500"], "at most 1000 are allowed"),
    (["--sheet", "--out", "nowhere/at/all.md"], "out: got 'nowhere/at/all.md', a file in a folder"),
    (["--sheet", "--key"], "not allowed with argument"),
    ([], "one of the arguments --list --sheet --key --moodle is required"),
]


@pytest.mark.parametrize(("args", "sentence"), BAD)
def test_bad_input_gets_a_sentence(
    args: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*args)
    written = capsys.readouterr()
    assert ended.value.code == 2 and sentence in written.err and written.out == ""
    assert "Traceback" not in written.err


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1.5, TypeError), ("3", TypeError), (True, TypeError)]
)
def test_a_seed_that_is_none_gets_a_sentence(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^seed: got .*, a whole number from 0 to .* is needed"):
        questions.ask("noise-valley-flow", seed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe with a name is one of Unix")
def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), encoding="utf8") as reader:
        assert run("--sheet", "--topic", "noise", "--out", str(pipe)) == 0
        assert pipe.is_fifo()
        assert reader.read().startswith("# ")


def test_a_file_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full what was there before stays."""
    path = tmp_path / "sheet.md"
    path.write_text("old", "utf8")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SystemExit):
        run("--sheet", "--topic", "noise", "--out", str(path))
    assert path.read_text("utf8") == "old"


def test_the_module_runs_without_jax() -> None:
    """Loading JAX would take longer than all the rest."""
    command = [sys.executable, "-m", "optdyn.questions", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT / "lib")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and len(done.stdout.splitlines()) == 36
    code = "import sys, optdyn.questions; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT / "lib"
    )
    assert done.stdout == "False\n", done.stderr


# --- the page -------------------------------------------------------------------------

PAGE = ROOT / "book" / "teaching" / "questions.md"


def example(name: str, seed: int) -> str:
    """An example as the page has it."""
    question = questions.ask(name, seed)
    sheet, key = (
        write([question]).split("\n\n", 2)[2].strip() for write in (questions.sheet, questions.key)
    )
    return (
        f"% {name} {seed}\n\n:::{{admonition}} {question.title}\n{sheet}\n\n"
        f"```{{dropdown}} Answer\n{key}\n```\n:::\n"
    )


def test_the_page_shows_what_the_module_makes() -> None:
    page = PAGE.read_text("utf8")
    found = re.findall(r"^% (\S+) (\d+)$", page, re.M)
    assert [questions.template(name).topic for name, _ in found] == list(questions.TITLES)
    assert {questions.ask(name, 0).kind for name, _ in found} == {"number", "choice", "order"}
    for name, seed in found:
        assert example(name, int(seed)) in page, f"the page should have\n{example(name, int(seed))}"


def test_the_page_names_every_template() -> None:
    page = PAGE.read_text("utf8")
    table = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.+?) \|$", page, re.M)
    expected = [(n, questions.ask(n, 0).kind, questions.ask(n, 0).objective) for n in NAMES]
    assert table == expected


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^python -m optdyn\.questions (.+)$", PAGE.read_text("utf8"), re.M)
    assert len(commands) >= 3
    for command in commands:
        assert run(*command.split()) == 0, command
    assert list(tmp_path.iterdir())
