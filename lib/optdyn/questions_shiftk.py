"""Questions on memory, the shift-K task; see `optdyn.questions`."""

from __future__ import annotations

from math import atan, cos, exp, pi, sqrt, tan

from optdyn.questions_base import Bank, Draft, Draw, choice, number, order, rounded

BANK = Bank("shiftk")


@BANK.template("phenomenon", 1, "A weight of a filter")
def filter_weight(draw: Draw) -> Draft:
    parts, lag = draw.pick(
        [(m, k) for m in (2, 3, 4, 6) for k in range(2, 9) if 2 * k % m or not k % m]
    )
    radius, readout = draw.pick([0.5, 0.6, 0.8, 0.9]), draw.pick([0.5, 2.0, 3.0])
    turned = cos(lag * pi / parts)
    return number(
        dict(radius=radius, parts=parts, readout=readout, lag=lag),
        r"""A linear recurrence $x_{n,s} = a_s x_{n-1,s} + u_n$ has the two poles $<radius>\,
e^{\pm \mathrm i \pi/<parts>}$ and the output $y_n = <readout>\,(x_{n,1} + x_{n,2})$. With which
weight does the input of $<lag>$ steps ago stand in $y_n$?""",
        2 * readout * radius**lag * turned,
        r"""The weight is $c_k = \sum_s b_s a_s^k$, here $2 \cdot <readout> \cdot <radius>^{<lag>}
\cos(<lag>\pi/<parts>)$. With $<radius>^{<lag>} = <faded>$ and the cosine $<turned>$ it is
$<answer>$.""",
        faded=radius**lag,
        turned=turned,
    )


@BANK.template("phenomenon", 2, "Which pole remembers best")
def one_pole_order(draw: Draw) -> Draft:
    lag = draw.pick(range(2, 13))

    def gain(hundredths: int) -> float:
        square = (hundredths / 100) ** 2
        return float((1 - square) * square**lag)

    poles: list[int] = []
    for one in draw.shuffle([30, 50, 60, 70, 80, 85, 90, 95, 98, 99]):
        apart = all(abs(gain(one) / gain(other) - 1) > 0.08 for other in poles)
        if len(poles) < 4 and apart and gain(one) > 1e-6:
            poles.append(one)
    poles.sort(key=gain)
    listed = r",\ ".join(f"{gain(one):.3g}" for one in poles)
    return order(
        draw,
        dict(lag=lag, poles=[one / 100 for one in sorted(poles)]),
        r"""Four linear recurrences have one pole each, with the modulus given. The input is white.
Put them in the order of the share of the input of $<lag>$ steps ago that their best readout
recalls, the smallest share first.""",
        [rf"$|a| = {one / 100:g}$" for one in poles],
        r"""The share is $(1 - r)\, r^K$ with $r = |a|^2$ and $K = <lag>$. In this order it is
$<listed>$. It is largest at $r = K/(K+1)$, $|a| = <best>$: a pole far inside forgets, and one at
the rim takes in too little of each input compared with what it still holds.""",
        listed=listed,
        best=sqrt(lag / (lag + 1)),
    )


@BANK.template("phenomenon", 2, "The best single pole")
def best_pole(draw: Draw) -> Draft:
    lag = draw.pick(range(2, 31))
    square = lag / (lag + 1)
    return choice(
        draw,
        dict(lag=lag),
        r"""A linear recurrence with one pole $a$ and the best readout is to recall white input of
$<lag>$ steps ago. Which modulus $|a|$ recalls the most?""",
        sqrt(square),
        [
            (square, "That is $|a|^2$."),
            (exp(-1 / lag), r"With this pole $|a|^K = 1/\mathrm e$; it forgets twice too fast."),
            (
                1.0,
                r"Close to the rim the state sums up everything, and each input has a small share.",
            ),
        ],
        r"""With $r = |a|^2$ the share recalled is $(1 - r)\,r^K$. Its derivative vanishes where
$K(1 - r) = r$, at $r = K/(K+1) = <lag>/<more>$. So $|a| = \sqrt{<lag>/<more>} =
<answer>$.""",
        more=lag + 1,
    )


@BANK.template("phenomenon", 3, "The bound")
def bound(draw: Draw) -> Draft:
    states = draw.pick(range(2, 13))
    lag = draw.pick(
        [lag for lag in range(states + 2, 41) if lag not in (2 * states - 1, 2 * states)]
    )
    return choice(
        draw,
        dict(states=states, lag=lag),
        r"""A linear state of $<states>$ numbers, with a rule that does not change in time, reads
white input. What is the largest share of the variance of the input of $<lag>$ steps ago that the
exit-time argument allows it to recall?""",
        states / (lag + 1),
        [
            (
                states / lag,
                r"The energy must not have left by step $K$: it leaves at $K + 1$ or later.",
            ),
            (
                1 - states / (lag + 1),
                "That is the error that remains at least, not the share recalled.",
            ),
            (
                (states + 1) / (lag + 1),
                "The mean exit time is the number of states, without one more for the first step.",
            ),
        ],
        r"""The share recalled is the energy that leaves after step $<lag>$, $P(J \ge <more>)$, and
the mean of $J$ is $<states>$. By Markov's inequality it is at most $<states>/<more> =
<answer>$.""",
        more=lag + 1,
    )


@BANK.template("phenomenon", 4, "What is left in the budget")
def budget_left(draw: Draw) -> Draft:
    states, lag, percent = draw.pick(
        [
            (states, lag, percent)
            for states in range(2, 17)
            for lag in range(3, 31)
            for percent in (5, 10, 15, 20, 25, 30, 40, 50)
            if 100 * states - (lag + 1) * percent >= 20
        ]
    )
    spent = (lag + 1) * percent / 100
    return number(
        dict(states=states, lag=lag, share=percent / 100),
        r"""A linear state of dimension $<states>$, with a rule that does not change in time, reads
white input and recalls the share $<share>$ of the input of $<lag>$ steps ago. Add up the shares
that it recalls of all older inputs, those of lag $<more>$, $<later>$ and so on. How large can the
sum be at most?""",
        rounded(states - spent),
        r"""The shares $M(0), M(1), \dots$ never rise, and their sum is the dimension, $<states>$.
So each of the $<more>$ shares $M(0), \dots, M(<lag>)$ is at least $<share>$, together at least
$<spent>$. At most $<states> - <spent> = <answer>$ is left.""",
        more=lag + 1,
        later=lag + 2,
        spent=spent,
    )


@BANK.template("mechanism", 2, "The price of an echo")
def echo_price(draw: Draw) -> Draft:
    alpha, spacing = (
        draw.pick([0.25, 0.5, 1.0, 1.5, 2.0]),
        draw.pick([1.1, 1.2, 1.25, 1.5, 2.0, 2.5]),
    )
    order_, lag = draw.pick([(101, 2000), (101, 4000), (201, 4000), (201, 10000), (401, 10000)])
    constant = (1 - exp(-2 * alpha * spacing)) / spacing
    return number(
        dict(alpha=alpha, spacing=spacing, order=order_, lag=lag),
        r"""The explicit filter of order $S = <order>$ for lag $K = <lag>$ has the poles
$e^{(-\alpha + 2\pi\mathrm i s/p)/K}$, $s = -<half>, \dots, <half>$, with the damping $\alpha =
<alpha>$ and the spacing $p = <spacing>$, and the weights that go with them. Which gain $1 - L$
does the limit law for large $S$ and small $S/K$ predict?""",
        constant * order_ / lag,
        r"""The gain is $\kappa\, S/K$ with $\kappa = (1 - e^{-2\alpha p})/p = (1 -
<echo>)/<spacing> = <constant>$, since $p \gt 1$. The division by $p$ is the price of the empty
stretch before the echo, and $<echo>$ that of the echoes. Times $S/K = <share>$ this is
$<answer>$.""",
        half=order_ // 2,
        echo=exp(-2 * alpha * spacing),
        constant=constant,
        share=order_ / lag,
    )


@BANK.template("mechanism", 3, "How narrow a bump can be")
def energy_width(draw: Draw) -> Draft:
    states = draw.pick(range(2, 17))
    lag = draw.pick(range(2 * states + 3, 101))
    more = lag + 1
    return choice(
        draw,
        dict(states=states, lag=lag),
        r"""A filter of order $<states>$ has its energy $\lVert c \rVert^2 = \sum_k |c_k|^2$ in a
bump around lag $<lag>$. How small can its energy width $\lVert c \rVert^2/|c_{<lag>}|^2$ be, by
the uncertainty principle?""",
        more / states,
        [
            (more / sqrt(states), r"The rms width goes with $\sqrt S$; the energy width does not."),
            (
                more / (more - states),
                "The bound on the error was taken for that on the share recalled.",
            ),
            (states / more, "This is the share that can be recalled; the width is its reciprocal."),
        ],
        r"""$|c_k|^2/\lVert c \rVert^2$ is at most the share $M(k)$ that its poles can recall at
lag $k$, and $M(k) \le S/(k + 1)$. So the energy width is at least $(K + 1)/S = <more>/<states> =
<answer>$ steps.""",
        more=more,
    )


@BANK.template("mechanism", 4, "Slow input")
def slow_input(draw: Draw) -> Draft:
    rho = draw.pick([0.3, 0.5, 0.6, 0.8, 0.9, 0.95])
    lag = draw.pick([32, 64, 100, 128, 200, 256])
    states = draw.pick([states for states in (4, 6, 8, 10, 12, 16, 20, 24) if 3 * states <= lag])
    factor, angle = (1 + rho) / (1 - rho), pi * states / (2 * lag)
    return number(
        dict(states=states, lag=lag, rho=rho),
        r"""The input has variance one and autocorrelation $\rho^{|k|}$ with $\rho = <rho>$. Which
least error does the arctan law give for $S = <states>$ poles and lag $K = <lag>$?""",
        1 - 2 / pi * atan(factor * tan(angle)),
        r"""With $x = S/K$ the law is $E = 1 - \tfrac2\pi \arctan\bigl(\tfrac{1+\rho}{1-\rho}
\tan\tfrac{\pi x}{2}\bigr)$. Here $\tfrac{1 + \rho}{1 - \rho} = <factor>$ and $\tan\tfrac{\pi x}{2}
= <slope>$, so $E = 1 - \tfrac2\pi\arctan <product> = <answer>$. White input would lose $1 - x =
<white>$.""",
        factor=factor,
        slope=tan(angle),
        product=factor * tan(angle),
        white=1 - states / lag,
    )


CAUSES = {
    "memory": "The poles have no memory: by that lag hardly anything is left of an input.",
    "signal": "There is no signal: the input has no power at the frequencies of the poles.",
    "islands": "The poles are islands: they stand too far apart to make one bump.",
    "time": "None of these: the poles are placed well, and descent has not finished.",
}


@BANK.template("laboratory", 3, "Why a training fails")
def failed_training(draw: Draw) -> Draft:
    cause = draw.pick(list(CAUSES))
    lag = draw.pick([50, 64, 80, 100])
    away = draw.pick([0.2, 0.25, 0.3, 0.4]) if cause == "memory" else draw.pick([1, 1.5, 2]) / lag
    gap = draw.pick([20, 30, 40]) if cause == "islands" else draw.pick([6, 6.3, 6.6])
    slow = cause == "signal" or (cause != "islands" and draw.pick([True, False]))
    rho = draw.pick([0.95, 0.98]) if slow else 0.0
    if cause == "signal":
        phase = draw.pick([1.5, 2.0, 2.5])
    else:
        phase = 0.0 if slow else draw.pick([0.0, 0.5, 1.0])
    numbers = dict(
        lag=lag, modulus=round(1 - away, 3), gap=round(gap / lag, 3), phase=phase, rho=rho
    )
    power = (1 - rho**2) / (1 - 2 * rho * cos(phase) + rho**2)
    errors = {
        "memory": "$K(1 - |a|) = <decay>$ is of order one.",
        "signal": "At $\\theta = <phase>$ the input has the power $<power>$, no less than white.",
        "islands": "The poles are $<apart>$ apart in units of $1/K$, close to $2\\pi$: one bump.",
        "time": "One of the three numbers is far off.",
    }
    reasons = {
        "memory": r"The first is far too large: all derivatives carry $|a|^K = <left>$.",
        "signal": r"The second is next to nothing, and so is the gradient.",
        "islands": r"The third should be near $2\pi$. Islands of one pole gain little each.",
        "time": r"All are as they should be: of order one, not small, near $2\pi$.",
    }
    return choice(
        draw,
        numbers,
        r"""Eight poles are trained to recall the input of $K = <lag>$ steps ago, with the best
readout throughout, and the error stays well above the best known. The input is <kind>. The poles
have the modulus $<modulus>$, and phases around $\theta = <phase>$, neighbours $<gap>$ apart. What
is the reason?""",
        CAUSES[cause],
        [(CAUSES[name], errors[name]) for name in CAUSES if name != cause],
        r"""Three numbers tell: $K(1 - |a|) = <decay>$, the power of the input at the phases,
around $<power>$ where white input has 1, and the gap times $K$, $<apart>$."""
        + " "
        + reasons[cause],
        kind=r"slow, with autocorrelation $<rho>^{|k|}$".replace("<rho>", f"{rho:g}")
        if slow
        else "white",
        decay=round(lag * (1 - numbers["modulus"]), 2),
        power=power,
        apart=round(lag * numbers["gap"], 1),
        left=numbers["modulus"] ** lag,
    )
