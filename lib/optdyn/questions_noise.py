"""Questions on noise; see `optdyn.questions`."""

from __future__ import annotations

from math import sqrt

from optdyn.questions_base import Bank, Draft, Draw, choice, number, order

BANK = Bank("noise")


@BANK.template("phenomenon", 1, "Neighbouring kicks")
def kick_correlation(draw: Draw) -> Draft:
    kappa, sigma = draw.pick([4, 5, 6, 7, 8, 9, 11, 12, 13, 14]) / 20, draw.pick(range(1, 10)) / 10
    return choice(
        draw,
        dict(kappa=kappa, sigma=sigma),
        r"""The numbers $\xi_0, \xi_1, \dots$ are independent, with mean zero and standard
deviation $<sigma>$. What is the correlation of two neighbouring kicks, $e_n = \xi_n -
<kappa>\,\xi_{n-1}$ and $e_{n+1} = \xi_{n+1} - <kappa>\,\xi_n$?""",
        -kappa / (1 + kappa**2),
        [
            (-kappa, r"The covariance was divided by $\sigma^2$, which is not a kick's variance."),
            (-0.5, r"That is the correlation for Anti-PGD, $\kappa = 1$."),
            (kappa / (1 + kappa**2), r"The shared $\xi_n$ enters the two with opposite signs."),
        ],
        r"""The two share $\xi_n$, with the weights $1$ and $-<kappa>$, so their covariance is
$-<kappa>\,\sigma^2$. Each has the variance $(1 + <kappa>^2)\,\sigma^2$. The correlation is
$-<kappa>/(1 + <kappa>^2) = <answer>$, whatever $\sigma$ is.""",
    )


@BANK.template("phenomenon", 1, "A sum of kicks")
def sum_of_kicks(draw: Draw) -> Draft:
    kappa = draw.pick([0.5, 0.6, 0.8, 0.9, 0.95, 1.0])
    n, sigma = draw.pick([50, 100, 200, 400, 1000]), draw.pick([0.1, 0.2, 0.3, 0.5])
    walk = (1 - kappa) ** 2 * (n - 1)
    total = 1 + walk + kappa**2
    return number(
        dict(kappa=kappa, n=n, sigma=sigma),
        r"""On a flat loss the kicks $e_{k+1} = \xi_{k+1} - \kappa\,\xi_k$ with memory $\kappa =
<kappa>$ add up. The $\xi$ are independent with standard deviation $\sigma = <sigma>$, the first,
$\xi_0$, too. What is the standard deviation of $e_1 + \dots + e_{<n>}$?""",
        sigma * sqrt(total),
        r"""In the sum $\xi_{<n>}$ keeps the weight $1$, each of $\xi_1, \dots, \xi_{<last>}$ the
weight $1 - \kappa$, and $\xi_0$ the weight $-\kappa$. The variance is $[1 + (1 - \kappa)^2 \cdot
<last> + \kappa^2]\,\sigma^2 = [1 + <walk> + <square>]\cdot <sigma>^2$, and the standard deviation
$<sigma>\sqrt{<total>} = <answer>$.""",
        last=n - 1,
        walk=walk,
        square=kappa**2,
        total=total,
    )


@BANK.template("phenomenon", 2, "The shifted iterate")
def shifted_iterate(draw: Draw) -> Draft:
    theta, w0 = draw.pick([0.25, 0.5]), draw.pick([-2, -1, 1, 2, 3])
    xi = [draw.pick([-1, 1]) for _ in range(4)]
    z = [float(w0 - xi[0])]
    for kick in xi[:3]:
        z.append(z[-1] - theta * (z[-1] + kick))
    texts = {f"z{n}": f"{value:g}" for n, value in enumerate(z)}
    return number(
        dict(theta=theta, w0=w0, xi=xi),
        r"""Anti-PGD, $w_{n+1} = w_n - \eta L'(w_n) + \xi_{n+1} - \xi_n$, runs on $L(w) = \tfrac12
\lambda w^2$ with $\eta\lambda = <theta>$, from $w_0 = <w0>$. The noise is $(\xi_0, \xi_1, \xi_2,
\xi_3) = (<noise>)$. What is $z_3 = w_3 - \xi_3$?""",
        z[3],
        r"""With $z_n = w_n - \xi_n$ the noise goes into the gradient: $z_{n+1} = z_n -
<theta>\,(z_n + \xi_n)$, from $z_0 = <w0> - \xi_0 = <z0>$. So $z_1 = <z1>$, $z_2 = <z2>$ and $z_3 =
<z3>$. The last kick, $\xi_3$, plays no part.""",
        tolerance=0.002,
        noise=", ".join(map(str, xi)),
        **texts,
    )


@BANK.template("phenomenon", 2, "Where the loss is read")
def loss_gap(draw: Draw) -> Draft:
    rest = draw.sample(range(1, 7), 2)
    high, sigma = draw.pick(range(7, 13)), draw.pick([0.1, 0.2, 0.3, 0.4])
    trace = sum(rest) + high
    return choice(
        draw,
        dict(first=rest[0], second=rest[1], third=high, sigma=sigma),
        r"""Anti-PGD runs on $L(w) = \tfrac12 w^{\mathsf T} A\, w$, where $A$ has the eigenvalues
$<first>$, $<second>$ and $<third>$, with noise of standard deviation $\sigma = <sigma>$ in each
coordinate. By how much is the mean loss at $w_n$ larger than at $z_n = w_n - \xi_n$?""",
        sigma**2 * trace / 2,
        [
            (sigma**2 * trace, r"The factor $\tfrac12$ of the expansion is missing."),
            (sigma**2 * high / 2, "The largest eigenvalue was taken for the trace."),
            (sigma * trace / 2, r"The standard deviation stands for the variance."),
        ],
        r"""$\xi_n$ is independent of $z_n$ and has mean zero, so $\mathbb E\,L(z_n + \xi_n) -
\mathbb E\,L(z_n) = \tfrac12\sigma^2 \operatorname{tr} A$, on a quadratic without a remainder:
$\tfrac12 \cdot <sigma>^2 \cdot (<first> + <second> + <third>) = <answer>$.""",
    )


@BANK.template("phenomenon", 3, "Variance on a parabola")
def stationary_variance(draw: Draw) -> Draft:
    theta = draw.pick([0.1, 0.2, 0.4, 0.5, 0.8, 1.0, 1.2, 1.6])
    curvature, kappa = draw.pick([2, 4, 5, 8, 10]), draw.pick([0.0, 0.5, 0.8, 0.9, 1.0])
    sigma = draw.pick([0.1, 0.2, 0.3, 0.5])
    above, below = (1 - kappa) ** 2 + 2 * kappa * theta, theta * (2 - theta)
    return number(
        dict(step=theta / curvature, curvature=curvature, kappa=kappa, sigma=sigma),
        r"""On $L(w) = \tfrac12 \cdot <curvature>\, w^2$ gradient descent with the step size $\eta
= <step>$ receives the kicks $\xi_{n+1} - \kappa\,\xi_n$ with $\kappa = <kappa>$ and independent
$\xi$ of standard deviation $<sigma>$. What is the variance of $w_n$ after many steps?""",
        sigma**2 * above / below,
        r"""Here $\theta = \eta\lambda = <theta>$ and $\kappa = <kappa>$, and $V_\kappa =
\sigma^2\, \frac{(1-\kappa)^2 + 2\kappa\theta}{\theta(2 - \theta)} = <sigma>^2 \cdot
\frac{<above>}{<below>} = <answer>$.""",
        theta=theta,
        above=above,
        below=below,
    )


@BANK.template("phenomenon", 3, "Which memory is the quietest")
def variance_order(draw: Draw) -> Draft:
    theta = draw.pick([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 1.2])

    def relative(tenths: int) -> float:
        return (1 - tenths / 10) ** 2 + 2 * tenths / 10 * theta

    memories = [0]
    for tenths in draw.shuffle(range(1, 11)):  # those that can be told from all taken so far
        apart = all(abs(relative(tenths) / relative(one) - 1) > 0.03 for one in memories)
        if len(memories) < 4 and apart:
            memories.append(tenths)
    memories.sort(key=relative)
    listed = r",\ ".join(f"{relative(one):.3g}" for one in memories)
    return order(
        draw,
        dict(theta=theta, memories=[one / 10 for one in sorted(memories)]),
        r"""On a parabola with $\eta\lambda = <theta>$, gradient descent receives kicks $\xi_{n+1}
- \kappa\,\xi_n$, with the same $\sigma$ for every $\kappa$. Put these memories in the order of the
stationary variance of $w$, the smallest first.""",
        [rf"$\kappa = {one / 10:g}$" for one in memories],
        r"""At equal $\theta$ and $\sigma$ only the numerator of $V_\kappa = \sigma^2 \frac{(1 -
\kappa)^2 + 2\kappa\theta}{\theta(2-\theta)}$ counts. In this order it is $<listed>$. It is least
at $\kappa = 1 - \theta$ where that is positive, so more memory is not always better.""",
        listed=listed,
    )


@BANK.template("phenomenon", 4, "Without noise")
def valley_flow(draw: Draw) -> Draft:
    a, b = draw.pick(range(2, 8)), draw.pick(range(1, 8))
    v = draw.pick([v for v in range(1, 7) if v * v < a * a + b * b])
    return number(
        dict(a=a, b=b, v=v),
        r"""In the widening valley $L(u, v) = \tfrac12 v^2 |u|^2$ with $u \in \mathbb R^2$ the
gradient flow starts at $u = (<a>, <b>)$, $v = <v>$. What is the trace of the Hessian at the point
where it ends?""",
        a * a + b * b - v * v,
        r"""$|u|^2 - v^2$ never changes along the flow; it is $<a>^2 + <b>^2 - <v>^2 = <answer>$.
The flow ends on the floor, $v = 0$, since this is positive. There $\operatorname{tr} H = 2 v^2 +
|u|^2 = |u|^2 = <answer>$.""",
    )


@BANK.template("mechanism", 4, "Where the ball rests")
def resting_place(draw: Draw) -> Draft:
    dim, kappa = draw.pick([3, 4, 5, 8, 10, 16, 32]), draw.pick([0.0, 0.5, 0.6, 0.75, 0.8, 0.9])
    step = draw.pick([0.001, 0.002, 0.005, 0.01])
    memory = 4 * kappa / (1 - kappa) ** 2
    return number(
        dict(dim=dim, kappa=kappa, step=step),
        r"""In the valley $L(u, v) = \tfrac12 v^2|u|^2$ with $u \in \mathbb R^{<dim>}$, gradient
descent with step size $\eta = <step>$ receives small kicks $\xi_{n+1} - \kappa\,\xi_n$ with memory
$\kappa = <kappa>$. What is the mean of $|u|^2$ once it has come to rest (read without the last
kick)?""",
        2 / step * (dim - 1) / (dim + 2 + memory),
        r"""At rest $\tfrac12\eta|u|^2$ has a Beta law of mean $\frac{d-1}{d + 2 +
4\kappa/(1-\kappa)^2} = \frac{<less>}{<more> + <memory>} = <mean>$, whatever $\sigma$ is.
Multiplied by the edge of stability, $2/\eta = <edge>$, this is $<answer>$.""",
        less=dim - 1,
        more=dim + 2,
        memory=memory,
        mean=(dim - 1) / (dim + 2 + memory),
        edge=round(2 / step),
    )


@BANK.template("laboratory", 2, "The flattest solution")
def flattest_solution(draw: Draw) -> Draft:
    rows = [(1, 2, 3), (1, 2, 4), (1, 3, 4), (1, 2, 5), (2, 3, 4), (2, 3, 6), (1, 4, 5)]
    x, y = draw.shuffle(draw.pick(rows)), draw.pick([12, 24, 36, 60, 120])

    def vector(values: list[float]) -> str:
        return "$(" + r",\ ".join(f"{value:.4g}" for value in values) + ")$"

    def alone(size: int) -> str:
        return vector([y / one if one == size else 0 for one in x])

    square = sum(one * one for one in x)
    return choice(
        draw,
        dict(x=x, y=y),
        r"""One equation, $x \cdot b = <y>$ with $x = (<row>)$, has many solutions $b \ge 0$. With
$b = w \circ w$ the loss is $L(w) = \tfrac14\,(x \cdot (w \circ w) - <y>)^2$. At which solution $b$
is the trace of the Hessian of $L$ the least?""",
        alone(min(x)),
        [
            (alone(max(x)), r"This has the least sum of $b$; the trace weighs $b_j$ by $x_j^2$."),
            (vector([y * one / square for one in x]), r"This has the least length $|b|$."),
            (vector([y / sum(x)] * 3), "Equal shares of everything are not sparse, and not flat."),
        ],
        r"""Where the loss is zero, $\operatorname{tr} H = 2\sum_j x_j^2\, b_j$. To bring $x \cdot
b$ up by one with unknown $j$ costs $2 x_j^2 / x_j = 2 x_j$, least for the smallest, $x_j =
<least>$. So it carries everything, and the trace is $2 \cdot <least> \cdot <y> = <trace>$; the
other three have more.""",
        row=", ".join(map(str, x)),
        least=min(x),
        trace=2 * min(x) * y,
    )
