"""Questions on cycles; see `optdyn.questions`."""

from __future__ import annotations

from math import exp, log, sqrt

from optdyn.questions_base import SHARE, Bank, Draft, Draw, choice, number, rounded

BANK = Bank("cycles")
FEIGENBAUM = 4.669


@BANK.template("phenomenon", 1, "Which data have a minimiser")
def separable(draw: Draw) -> Draft:
    entries = [-3, -2, -1, 1, 2, 3]
    a = (draw.pick(entries), draw.pick(entries))
    b = draw.pick([(x, y) for x in entries for y in entries if a[0] * y != a[1] * x])

    def between(m: int, n: int) -> tuple[int, int]:
        return m * a[0] + n * b[0], m * a[1] + n * b[1]

    sets = {
        name: draw.shuffle([a, between(*second), between(*third)])
        for name, second, third in (
            ("overlap", (0, 1), (-1, -1)),
            ("cone", (0, 1), (1, 1)),
            ("border", (-1, 0), (0, 1)),
            ("wide", (0, 1), (1, -1)),
        )
    }
    texts = {
        name: "$" + r",\; ".join(f"({x}, {y})" for x, y in points) + "$"
        for name, points in sets.items()
    }
    return choice(
        draw,
        dict(sets={name: [list(one) for one in points] for name, points in sets.items()}),
        r"""Each option is a set of three absorbed data points $z_i = y_i x_i$ of equal weight. On
exactly one of them the logistic loss has a minimiser, so that large steps can go wrong.
Which?""",
        texts["overlap"],
        [
            (texts["cone"], r"Some $w$ has $w \cdot z_i \gt 0$ for all three."),
            (
                texts["border"],
                r"No $w$ has all three strictly right, but one has two margins of zero and the "
                r"third positive. That is enough: stretching it lowers the loss for ever.",
            ),
            (texts["wide"], r"The points reach far round, and still some $w$ has all three right."),
        ],
        r"""A minimiser exists if every direction $w \neq 0$ gets some point strictly wrong. The
three points <answer> add up to zero, so a direction that gets one of them right gets another
wrong, and none is at a right angle to all of them.""",
    )


@BANK.template("phenomenon", 2, "The critical step size")
def critical_step(draw: Draw) -> Draft:
    up, down = draw.pick([(m, k) for m in range(2, 10) for k in range(1, 8) if m > k])
    size = draw.pick([0.5, 1.0, 2.0, 3.0])
    p = up / (up + down)
    curvature = size**2 * p * (1 - p)
    return number(
        dict(up=up, down=down, size=size),
        r"""The absorbed data of a logistic regression with one parameter are $<up>$ times $z =
<size>$ and $<down>$ times $z = -<size>$, all of equal weight. What is the critical step size
$2/\lambda$?""",
        2 / curvature,
        r"""A share $p = <p>$ of the points is positive. At the minimiser $\sigma(<size>\,w^\star)
= p$, so the curvature is $\lambda = <size>^2\, p\,(1 - p) = <curvature>$, and $2/\lambda =
<answer>$.""",
        p=p,
        curvature=curvature,
    )


PROMISES = {
    "all": "Gradient descent converges from every start.",
    "near": "Gradient descent converges from starts near the minimiser; others may end elsewhere.",
    "bounded": "The minimiser does not attract, but every orbit ends in some ball.",
    "diverges": "Orbits grow without bound from almost every start.",
}


@BANK.template("phenomenon", 2, "What a step size promises")
def promise(draw: Draw) -> Draft:
    dim, curvature = draw.pick([1, 2]), draw.pick([0.05, 0.1, 0.2, 0.25, 0.4, 0.5])
    gamma = draw.pick([0.4, 0.6, 0.8, 0.9, 1.2, 1.5, 1.8, 1.9, 2.2, 2.5, 3.0])
    right = "bounded" if gamma > 2 else "all" if gamma < 1 and dim == 1 else "near"
    errors = {
        "all": "That is certain on the line below $1/\\lambda$, and not here.",
        "near": "Beyond $\\eta\\lambda = 2$ distances to the minimiser grow.",
        "bounded": "The minimiser attracts its neighbours as long as $\\eta\\lambda \\lt 2$.",
        "diverges": "On data that are not separable no step size makes gradient descent diverge.",
    }
    if right == "all":
        errors["near"] = (
            "On the line, below $1/\\lambda$, more is certain: no start goes elsewhere."
        )
    reasons = {
        "all": r"is below 1, and on the line that is safe from every start",
        "near": r"is below 2, so distances near the minimiser shrink by "
        r"$|1 - \eta\lambda| = <factor>$ a step; from elsewhere nothing is promised, with two "
        r"parameters at no step size and with one from $1/\lambda$ on",
        "bounded": r"is above 2, so distances near the minimiser grow by "
        r"$|1 - \eta\lambda| = <factor>$ a step; but far out the pull back wins at any step size",
    }
    return choice(
        draw,
        dict(dim=dim, curvature=curvature, step=rounded(gamma / curvature)),
        r"""Of data for logistic regression you know that they are not separable, that the model
has $d = <dim>$ <parameters>, and that $<curvature>$ is the largest curvature of the loss at its
minimiser. The step size is $\eta = <step>$. What is certain?""",
        PROMISES[right],
        [(PROMISES[name], errors[name]) for name in PROMISES if name != right],
        rf"Here $\eta\lambda = <step> \cdot <curvature> = <gamma>$. This {reasons[right]}.",
        gamma=gamma,
        factor=abs(1 - gamma),
        parameters="parameter" if dim == 1 else "parameters",
    )


def _logistic(w: float) -> float:
    return 1 / (1 + exp(-w))


@BANK.template("phenomenon", 3, "Two steps by hand")
def two_steps(draw: Draw) -> Draft:
    up, n, step = draw.pick(
        [
            (up, n, step)
            for up, n in ((3, 4), (2, 3), (3, 5), (4, 5), (5, 8), (7, 10))
            for step in range(4, 21, 2)
            if abs(step * (2 * up / n - 0.5 - _logistic(step * (up / n - 0.5)))) > 0.3
        ]
    )
    p = up / n
    first = step * (p - 0.5)
    return number(
        dict(up=up, n=n, step=step),
        r"""Of $<n>$ patients $<up>$ recover. A model with one parameter predicts recovery with
probability $\sigma(w)$, and gradient descent on the mean logistic loss starts at $w_0 = 0$ with
step size $\eta = <step>$. What is $w_2$?""",
        first + step * (p - _logistic(first)),
        r"""The slope of the loss is $L'(w) = \sigma(w) - <p>$. So $w_1 = <step>\,(<p> - \tfrac12)
= <first>$ and $w_2 = <first> + <step>\,(<p> - \sigma(<first>)) = <answer>$, with $\sigma(<first>)
= <sigma>$. The minimiser is at $<minimiser>$.""",
        p=p,
        first=first,
        sigma=_logistic(first),
        minimiser=log(p / (1 - p)),
    )


@BANK.template("mechanism", 2, "How wide the pair opens")
def pair_width(draw: Draw) -> Draft:
    up, n = draw.pick([(2, 3), (3, 4), (3, 5), (4, 5), (5, 6), (7, 10), (9, 10)])
    excess = draw.pick([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08])
    p = up / n
    c = 2 / 3 - 2 * p * (1 - p)
    return number(
        dict(up=up, n=n, gamma=2 + excess),
        r"""Of $<n>$ absorbed data points $<up>$ are $+1$ and the others $-1$. The step size is
$\eta = <gamma>/\lambda$, just above the critical one. Half the distance between the two values of
the pair is called $s$. What is it to leading order?""",
        sqrt(excess / c),
        r"""For equal sizes the flip coefficient is $c = \tfrac23 - 2p(1-p)$, with $p = <p>$ that
is $<c>$. It is positive, so the pair opens beyond 2 like a square root: $\gamma = 2 + c\,s^2$
gives $s = \sqrt{<excess>/<c>} = <answer>$.""",
        p=p,
        c=c,
        excess=excess,
    )


@BANK.template("phenomenon", 4, "The end of a cascade")
def cascade_end(draw: Draw) -> Draft:
    first = draw.pick(range(200, 300, 5)) / 100
    gap = draw.pick(range(4, 41)) / 100
    return choice(
        draw,
        dict(first=first, second=rounded(first + gap)),
        r"""In a bifurcation diagram the period doubles at $\gamma = <first>$ and next at $\gamma =
<second>$. Suppose that from here on each distance between doublings is the one before divided by
$4.669$. How far beyond $<second>$ does the cascade end?""",
        gap / (FEIGENBAUM - 1),
        [
            (gap / FEIGENBAUM, "That is the next doubling, not the last."),
            (
                gap * FEIGENBAUM / (FEIGENBAUM - 1),
                "The first distance, which lies before $<second>$, was counted too.",
            ),
            (gap, "The distances shrink faster than to a sum of one more distance."),
        ],
        r"""The distances still to come are $<gap>/4.669 + <gap>/4.669^2 + \dots$, a geometric
series with the sum $<gap>/(4.669 - 1) = <answer>$. Infinitely many doublings fit into
it.""",
        gap=gap,
    )


@BANK.template("mechanism", 1, "A point of the curve of pairs")
def pair_curve(draw: Draw) -> Draft:
    def logit(q: float) -> float:
        return log(q / (1 - q))

    def gamma(p: float, force: float) -> float:
        return p * (1 - p) * (logit(p + force) - logit(p - force)) / force

    p, force = draw.pick(
        [
            (p, force / 20)
            for p in (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
            for force in range(1, 9)
            # nobody is right who says 2
            if force / 20 < 0.96 * (1 - p) and gamma(p, force / 20) > 2 / (1 - 4 * SHARE)
        ]
    )
    high, low = logit(p + force), logit(p - force)
    return number(
        dict(p=p, force=force),
        r"""All absorbed data are $+1$ or $-1$, a share $p = <p>$ of them $+1$. On a pair, that is
a 2-cycle, the slopes of the loss are $+F$ and $-F$ with $F = <force>$. At which $\gamma =
\eta\lambda$ does this pair live?""",
        gamma(p, force),
        r"""The slope is $\sigma(w) - p$, so the pair is $u_2 = \operatorname{logit}(<above>) =
<high>$ and $u_1 = \operatorname{logit}(<below>) = <low>$. One step covers the distance, $\eta =
(u_2 - u_1)/F$, and $\lambda = p(1-p) = <curvature>$. So $\gamma = <curvature> \cdot
\frac{<distance>}{<force>} = <answer>$.""",
        above=p + force,
        below=p - force,
        high=high,
        low=low,
        distance=high - low,
        curvature=p * (1 - p),
    )


CERTAIN = {
    "critical": r"Up to $2/\lambda$.",
    "half": r"Up to $1/\lambda$; up to $2/\lambda$ depends on more than this.",
    "none": r"No share of $2/\lambda$ is certain, however small.",
    "any": "Up to any step size.",
}


@BANK.template("mechanism", 4, "Safe from every start")
def safe_step(draw: Draw) -> Draft:
    dim = draw.pick([1, 1, 1, 2])
    small = draw.pick([0.2, 0.5, 1.0, 2.0])
    ratio = draw.pick([1.5, 2.0, 3.0, 4.0, 4.5, 6.0, 8.0, 10.0, 15.0])
    right = "none" if dim == 2 else "critical" if ratio < 5.0252 else "half"
    drawn: dict[str, float] = {"dim": dim}
    if dim == 1:
        drawn |= {"small": small, "large": rounded(small * ratio)}
        known = "one feature and no intercept, and all $|z_i|$ lie between $<small>$ and $<large>$"
    else:
        known = "one feature, of whatever size, and an intercept"
    errors = {
        "critical": "Near the minimiser, yes; elsewhere there may be a cycle.",
        "half": "That was proved on the line, and sizes within a factor of $5.0252$ do better.",
        "none": "On the line $1/\\lambda$ is safe.",
        "any": "Beyond $2/\\lambda$ the minimiser does not even attract its neighbours.",
    }
    if dim == 2:
        errors["half"] = "That holds on the line; with an intercept there are two parameters."
    reasons = {
        "critical": "The largest size is $<ratio>$ times the smallest. On the line, sizes within "
        "a factor of $5.0252$ make every start converge up to $2/\\lambda$.",
        "half": "The largest size is $<ratio>$ times the smallest, and $2/\\lambda$ is safe "
        "within a factor of $5.0252$ only; on the line $1/\\lambda$ always is.",
        "none": "With an intercept there are two parameters, and data exist with a pair at any "
        "share of the critical step size.",
    }
    return choice(
        draw,
        drawn,
        f"""Of data for logistic regression you know that they are not separable, that there is
{known}; nothing else. Up to which step size does gradient descent certainly converge from every
start? ($\\lambda$ is the largest curvature at the minimiser.)""",
        CERTAIN[right],
        [(CERTAIN[name], errors[name]) for name in CERTAIN if name != right],
        reasons[right],
        ratio=ratio,
    )


@BANK.template("mechanism", 4, "Two lonely points")
def lonely_points(draw: Draw) -> Draft:
    n = draw.pick([4, 5, 7, 9, 11, 14, 19, 24, 29, 39])
    size = draw.pick([size for size in (4, 5, 6, 8, 10, 12, 15, 20) if 2 * size**2 > n + 1])
    curvature = 2 * size**2 * n / (n + 1) ** 3
    return number(
        dict(n=n, size=size),
        r"""A logistic regression has one feature $x$ and an intercept. There are $<n>$ positive
examples and one negative one, all of equal weight. All have $x = 0$ but for two of the positive
ones, at $x = <size>$ and $x = -<size>$. What is the critical step size $2/\lambda$?""",
        2 / curvature,
        r"""By symmetry the slope is $0$ at the minimiser, and the intercept $\log <n>$ predicts
the right share of positives. Each point then has $\sigma' = <n>/<total>^2$ and the weight
$1/<total>$. In the direction of the slope the two lonely points give $\lambda = 2 \cdot <size>^2
\cdot <n>/<total>^3 = <curvature>$, more than the intercept's $<n>/<total>^2 = <other>$. So
$2/\lambda = <answer>$.""",
        total=n + 1,
        curvature=curvature,
        other=n / (n + 1) ** 2,
    )
