"""Questions on Adam; see `optdyn.questions`."""

from __future__ import annotations

from math import erf, sqrt

from optdyn.questions_base import Bank, Draft, Draw, choice, number

BANK = Bank("adam")


@BANK.template("phenomenon", 1, "The running variance")
def running_variance(draw: Draw) -> Draft:
    beta = draw.pick([0.5, 0.8, 0.9])
    gradients = [draw.pick([-4, -3, -2, -1, 1, 2, 3, 4]) for _ in range(3)]
    m, variance, means = 0.0, 0.0, []
    for g in gradients:
        variance = beta * variance + beta * (1 - beta) * (g - m) ** 2
        m = beta * m + (1 - beta) * g
        means.append(m)
    g1, g2, g3 = gradients
    return number(
        dict(beta=beta, gradients=gradients),
        r"""Adam with $\beta_1 = \beta_2 = <beta>$ starts at $m_0 = v_0 = 0$ and receives the
gradients $<listed>$. What is $\sigma_3^2 = v_3 - m_3^2$?""",
        variance,
        r"""The averages are $m_1 = <m1>$, $m_2 = <m2>$ and $m_3 = <m3>$. From $\sigma_0^2 = 0$,
$\sigma_k^2 = \beta\sigma_{k-1}^2 + \beta(1-\beta)(g_k - m_{k-1})^2$, where the new gradients
surprise by $<d1>$, $<d2>$ and $<d3>$. So $\sigma_3^2 = <weight>\,(<beta>^2 \cdot (<d1>)^2 +
<beta> \cdot (<d2>)^2 + (<d3>)^2) = <answer>$.""",
        listed=", ".join(map(str, gradients)),
        weight=beta * (1 - beta),
        m1=means[0],
        m2=means[1],
        m3=means[2],
        d1=g1,
        d2=g2 - means[0],
        d3=g3 - means[1],
    )


@BANK.template("phenomenon", 1, "A sign times a confidence")
def confidence(draw: Draw) -> Draft:
    legs = [
        (3, 4),
        (4, 3),
        (5, 12),
        (12, 5),
        (8, 15),
        (15, 8),
        (7, 24),
        (24, 7),
        (20, 21),
        (21, 20),
    ]
    mean, spread = draw.pick(legs)
    scale, sign = draw.pick([0.001, 0.01, 0.1, 1.0]), draw.pick([-1, 1])
    m, sigma = sign * mean * scale, spread * scale
    root = sqrt(mean**2 + spread**2) * scale
    return choice(
        draw,
        dict(m=m, sigma=sigma),
        r"""Adam has equal betas and no $\varepsilon$. In one coordinate the average of the
gradient is $m = <m>$ and the running variance is $\sigma^2 = <sigma>^2$. What is the direction
$d$, in learning rates?""",
        m / root,
        [
            (m / sigma, r"Under the root stands $m^2 + \sigma^2$, not $\sigma^2$ alone."),
            (m / (abs(m) + sigma), r"The root of $m^2 + \sigma^2$ is not $|m| + \sigma$."),
            (float(sign), "That is the sign alone, Signum's direction."),
        ],
        r"""$d = m/\sqrt{m^2 + \sigma^2} = <m>/<root> = <answer>$: the sign of $m$ times the
confidence $1/\sqrt{1 + \sigma^2/m^2}$.""",
        root=root,
    )


@BANK.template("phenomenon", 2, "A stream that flips")
def flipping_stream(draw: Draw) -> Draft:
    beta = draw.pick([0.5, 0.6, 0.8, 0.9, 0.95])
    up = draw.pick(range(2, 10))
    down = draw.pick([down for down in range(1, 10) if down != up and abs(up - beta * down) > 0.4])
    above, below = up - beta * down, sqrt((1 + beta) * (up**2 + beta * down**2))
    return number(
        dict(beta=beta, up=up, down=down),
        r"""For a very long time the gradients have alternated, $<up>, -<down>, <up>, -<down>,
\dots$. What is the direction $d = m/\sqrt v$ of Adam with $\beta_1 = \beta_2 = <beta>$ just after
a gradient $<up>$?""",
        above / below,
        r"""With $\beta = <beta>$ the averages have settled to $m = (1 - \beta)(<up> -
<down>\beta)/(1 - \beta^2) = (<up> - <down>\beta)/(1 + \beta)$ and $v = (<up>^2 + <down>^2\beta)/(1
+ \beta)$. So $d = (<up> - <down>\beta)\big/\sqrt{(1 + \beta)(<up>^2 + <down>^2\beta)} =
<above>/<below> = <answer>$.""",
        above=above,
        below=below,
    )


@BANK.template("phenomenon", 3, "How far Signum steps")
def mean_step(draw: Draw) -> Draft:
    def values(signal: float, beta: float) -> tuple[float, ...]:
        signum = erf(signal / sqrt(2 * (1 - beta) / (1 + beta)))
        adam = signal / sqrt(1 + signal**2)
        return signum, adam, erf(signal / sqrt(2)), (1 + signum) / 2

    signal, beta = draw.pick(
        [
            (signal / 20, beta)
            for signal in range(1, 17)
            for beta in (0.5, 0.6, 0.8, 0.9, 0.95)
            if values(signal / 20, beta)[0] < 0.96
        ]
    )
    signum, adam, single, chance = values(signal, beta)
    return choice(
        draw,
        dict(signal=signal, beta=beta),
        r"""The gradients of one coordinate are $\mu + s z_k$ with independent standard normal
$z_k$ and the signal-to-noise ratio $\mu/s = <signal>$. What is the mean of Signum's direction,
$\operatorname{sign}(m_k)$ with $\beta = <beta>$, after many steps?""",
        signum,
        [
            (adam, "That is Adam's mean direction, $x/\\sqrt{1 + x^2}$."),
            (single, "That is the mean sign of one gradient; the average is less noisy."),
            (chance, "That is the probability of the right sign; the wrong sign counts as $-1$."),
        ],
        r"""$m_k$ is normal with mean $\mu$ and variance $s^2\,\tfrac{1-\beta}{1+\beta} =
<share>\,s^2$. So it lies $<signal>/\sqrt{<share>} = <deviations>$ deviations from zero, and the
mean sign is $\operatorname{erf}(<deviations>/\sqrt 2) = <answer>$.""",
        share=(1 - beta) / (1 + beta),
        deviations=signal / sqrt((1 - beta) / (1 + beta)),
    )


@BANK.template("phenomenon", 4, "One gradient and then none")
def rare_token(draw: Draw) -> Draft:
    b1, b2 = draw.pick(
        [
            (b1, b2)
            for b1 in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
            for b2 in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
            if b1**2 < 0.95 * b2
        ]
    )
    first, ratio = (1 - b1) / sqrt(1 - b2), b1 / sqrt(b2)
    return number(
        dict(b1=b1, b2=b2),
        r"""The row of a rare token receives one gradient, the first ever, and then zeros for ever.
How many learning rates does Adam with $(\beta_1, \beta_2) = (<b1>, <b2>)$ move it altogether,
without $\varepsilon$ and bias correction?""",
        first / (1 - ratio),
        r"""The first step is $(1 - \beta_1)/\sqrt{1 - \beta_2} = <first>$ learning rates. Each
later one is the one before times $\beta_1/\sqrt{\beta_2} = <ratio>$, since $m$ fades like
$\beta_1^k$ and $\sqrt v$ like $\beta_2^{k/2}$. The sum is $<first>/(1 - <ratio>) = <answer>$.
Signum would never stop.""",
        first=first,
        ratio=ratio,
    )


@BANK.template("mechanism", 2, "The longest step there is")
def longest_step(draw: Draw) -> Draft:
    case = draw.pick(["long", "shorter", "short"])  # the memory of the square
    b1, b2 = draw.pick(
        [
            (b1, b2)
            for b1 in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
            for b2 in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
            if case == ("long" if b1 < b2 else "short" if b1**2 >= b2 else "shorter")
            and abs(b1**2 - b2) > 0.03 * b2
            and b1 != b2
            and abs((1 - b1) ** 2 / (1 - b2) - 1) > 0.2
        ]
    )
    first = (1 - b1) / sqrt(1 - b2)
    excess = (b2 - b1) ** 2 / (b2 * (1 - b1) ** 2)
    none = "There is no bound."
    wrong: list[tuple[float | str, str]] = [
        (1.0, "The quotient stays below 1 for every stream only if the betas are equal."),
        (first, "One gradient after silence does this; a growing or fading stream does more."),
    ]
    if b1**2 < b2:
        right: float | str = 1 / sqrt(1 - excess)
        wrong.append((none, r"That is so if $\beta_1^2 \ge \beta_2$; here $<square> \lt <b2>$."))
        reason = r"""Here $\beta_1^2 = <square> \lt \beta_2$, so there is a bound, $\bigl(1 -
\tfrac{(\beta_2-\beta_1)^2}{\beta_2(1-\beta_1)^2}\bigr)^{-1/2} = (1 - <excess>)^{-1/2} = <answer>$.
Gradients in proportion to $(\beta_1/\beta_2)^{k-i}$ come as near to it as one likes."""
    else:
        right = none
        wrong.append((1 / (1 - b1), "The memory of the gradient, $1/(1 - \\beta_1)$, is no bound."))
        reason = r"""Here $\beta_1^2 = <square> \ge \beta_2$: the sum $\sum_j
(\beta_1^2/\beta_2)^j$ in the bound at step $k$ grows with $k$ for ever. A fading stream reaches
it: $v$ forgets the gradients, and $m$ does not."""
    return choice(
        draw,
        dict(b1=b1, b2=b2),
        r"""Adam with $(\beta_1, \beta_2) = (<b1>, <b2>)$, without $\varepsilon$ and bias
correction, may meet any stream of gradients. How many learning rates can a step be long? Choose
the least upper bound over all streams and steps.""",
        right,
        wrong,
        reason,
        square=b1**2,
        excess=excess,
    )


@BANK.template("mechanism", 4, "Bias correction as a schedule")
def bias_factor(draw: Draw) -> Draft:
    b1, b2 = draw.pick(
        [(0.9, 0.999), (0.9, 0.99), (0.9, 0.95), (0.8, 0.95), (0.9, 0.9), (0.95, 0.95)]
    )
    t = draw.pick([1, 2, 3, 5, 10, 20, 30, 50])
    above, below = 1 - b2**t, 1 - b1**t
    return number(
        dict(b1=b1, b2=b2, t=t),
        r"""By which factor does bias correction multiply Adam's direction at step $t = <t>$, for
$(\beta_1, \beta_2) = (<b1>, <b2>)$ and $\varepsilon = 0$?""",
        sqrt(above) / below,
        r"""$\hat m = m/(1 - \beta_1^t)$ and $\hat v = v/(1 - \beta_2^t)$, so the direction is
multiplied by $\rho(t) = \sqrt{1 - \beta_2^t}\,/\,(1 - \beta_1^t) = \sqrt{<above>}/<below> =
<answer>$, whatever the gradients are.""",
        above=above,
        below=below,
    )


@BANK.template("mechanism", 5, "What gradient descent cannot see")
def dealt_blocks(draw: Draw) -> Draft:
    small, large = (
        draw.pick([(1, 2), (1, 3), (2, 3), (2, 4)]),
        draw.pick([(10, 12), (15, 20), (16, 20)]),
    )
    if draw.pick([True, False]):
        blocks = [list(small), list(large)]
    else:
        blocks = [[small[0], large[0]], [small[1], large[1]]]
    step, n = draw.pick([0.02, 0.03, 0.04]), draw.pick([1, 2, 3])
    values = [value for block in blocks for value in block]
    shrunk = [1 - step * value for value in values]
    return number(
        dict(blocks=blocks, step=step, n=n),
        r"""A quadratic $\tfrac12 w^{\mathsf T} H w$ in four dimensions has two blocks of two
coordinates. The Hessian of each block is a rotation by $45^\circ$ of a diagonal matrix, with the
eigenvalues $<first>$ in the first block and $<second>$ in the second. Gradient descent with full
gradients and the step size $<step>$ starts with the coefficient one along every eigenvector. What
is the loss after $n = <n>$ <steps>?""",
        sum(value * one ** (2 * n) for value, one in zip(values, shrunk, strict=True)) / 2,
        r"""Along an eigenvector of eigenvalue $\lambda$ a step multiplies by $1 - \eta\lambda$. So
the loss is $\tfrac12\sum\lambda\,(1 - \eta\lambda)^{2n} = \tfrac12(<terms>) = <answer>$. Neither
the rotation nor the blocks enter: gradient descent sees eigenvalues only, and would do the same
had they been dealt out otherwise. Adam would not.""",
        first="$ and $".join(map(str, blocks[0])),
        second="$ and $".join(map(str, blocks[1])),
        steps="step" if n == 1 else "steps",
        terms=" + ".join(
            rf"{value} \cdot {one:.4g}^{{{2 * n}}}"
            for value, one in zip(values, shrunk, strict=True)
        ),
    )


def _deviation(values: list[int], freedom: int) -> float:
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / freedom)


@BANK.template("laboratory", 1, "A paired comparison")
def paired_error(draw: Draw) -> Draft:
    while True:  # until the four options can be told apart
        one = [300 + draw.below(60) for _ in range(4)]
        other = [value - 2 - draw.below(9) for value in one]
        apart = [a - b for a, b in zip(one, other, strict=True)]
        single = _deviation(apart, 3)
        unpaired = sqrt(_deviation(one, 3) ** 2 + _deviation(other, 3) ** 2) / 2
        if single > 1 and unpaired > 1.5 * single:
            break

    def row(values: list[int]) -> str:
        return ", ".join(f"{value / 100:.2f}" for value in values)

    return choice(
        draw,
        dict(one=one, other=other),
        r"""Two optimisers were run with the same four seeds, each at its own best learning rate.
Their losses are $<first>$ for the first and, in the same order of seeds, $<second>$ for the
second. What is the standard error of the mean difference?""",
        single / 200,
        [
            (single / 100, "That is the deviation of one difference, not of the mean of four."),
            (unpaired / 100, "The pairs were torn apart: the scatter over seeds is shared."),
            (
                _deviation(apart, 4) / 200,
                "Four differences with a fitted mean leave three degrees.",
            ),
        ],
        r"""The differences are $<differences>$, with mean $<mean>$ and, dividing by $3$, the
standard deviation $<single>$. The mean of four has the standard error $<single>/\sqrt 4 =
<answer>$. Unpaired it would be $<unpaired>$.""",
        first=row(one),
        second=row(other),
        differences=row(apart),
        mean=sum(apart) / 400,
        single=single / 100,
        unpaired=unpaired / 100,
    )
