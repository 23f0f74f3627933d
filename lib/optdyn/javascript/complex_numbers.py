"""Rules of complex numbers, as pairs of real and imaginary parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optdyn.javascript.elementwise import converted
from optdyn.javascript.reductions import factors
from optdyn.javascript.translator import (
    ARRAY_RULES,
    KIND,
    WIDE,
    Translator,
    Value,
    dtype_of,
    narrow,
    wide,
)
from optdyn.javascript.writer import Array, Index, place, rounded


def _parts(t: Translator, value: Value) -> tuple[Array, Array]:
    """Real and imaginary part; a real number's is zero."""
    if len(value.parts) == 2:
        return value.parts[0], value.parts[1]
    real = value.parts[0]
    return real, t.filled(real.shape, real.dtype, "0")


class Elements:
    """Makes the parts of an equation's complex output from expressions of the operands' parts."""

    def __init__(self, t: Translator, eqn: Any) -> None:
        self.t, aval = t, eqn.outputs[0].aval
        self.dtype = dtype_of(aval)
        self.shape = aval.shape
        self.part = WIDE.get(self.dtype, self.dtype)

    def one(self, operation: Callable[..., str], *arrays: Array, cost: int = 1) -> Array:
        """A part, or a step on the way to it, of the operands' size; both parts use its name."""
        made = lambda *e: rounded(self.part, operation(*e))  # noqa: E731
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        return self.t.map(shape, self.part, made, *arrays, cost=cost, shared=True, repeats=True)

    def both(self, *parts: Array) -> list[Value]:
        spread = (
            p if p.shape == self.shape else self.t.map(self.shape, p.dtype, str, p, cost=0)
            for p in parts
        )
        return [Value(self.dtype, tuple(spread))]


@wide("complex", "complex")
def _complex(t: Translator, eqn: Any, real: Value, imaginary: Value) -> list[Value]:
    e = Elements(t, eqn)
    same = "{}".format
    return e.both(e.one(same, real.parts[0], cost=0), e.one(same, imaginary.parts[0], cost=0))


@wide("complex", "real")
def _real(t: Translator, eqn: Any, z: Value) -> list[Value]:
    return [narrow(z.parts[0])]


@wide("complex", "imag")
def _imag(t: Translator, eqn: Any, z: Value) -> list[Value]:
    return [narrow(z.parts[1])]


@wide("complex", "convert_element_type")
def _convert(t: Translator, eqn: Any, z: Value) -> list[Value]:
    e = Elements(t, eqn)
    old = z.parts[0].dtype
    parts = [
        t.map(z.shape, e.part, lambda x: converted(x, old, e.part), p, cost=int(old != e.part))
        for p in _parts(t, z)
    ]
    return e.both(*parts) if KIND.get(e.dtype) == "complex" else [narrow(parts[0])]


def _by_part(name: str) -> None:
    rule = ARRAY_RULES[name]

    @wide("complex", name)
    def both(t: Translator, eqn: Any, *operands: Value) -> list[Value]:
        pairs = zip(*(_parts(t, x) for x in operands), strict=True)
        parts = tuple(rule(t, eqn, *pair) for pair in pairs)
        return [Value(operands[0].dtype, parts)]  # type: ignore[arg-type]


for _name in ("add", "add_any", "sub", "neg", "cumsum"):
    _by_part(_name)


@wide("complex", "conj")
def _conj(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    return e.both(a, e.one("-{}".format, b))


@wide("complex", "mul")
def _mul(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    a, b, c, d = *_parts(t, z), *_parts(t, w)
    e = Elements(t, eqn)
    real = e.one("{}*{}-{}*{}".format, a, c, b, d, cost=3)
    return e.both(real, e.one("{}*{}+{}*{}".format, a, d, b, c, cost=3))


@wide("complex", "square")
def _square(t: Translator, eqn: Any, z: Value) -> list[Value]:
    return _mul(t, eqn, z, z)  # type: ignore[no-any-return]


INFINITE = "(Math.abs({0})===Infinity||Math.abs({1})===Infinity)"


@wide("complex", "div")
def _div(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    """By the larger part of the divisor first (Smith 1962), so that squares do not overflow."""
    a, b, c, d = *_parts(t, z), *_parts(t, w)
    e = Elements(t, eqn)
    ratio = e.one(
        lambda c, d: f"{d}===0||{INFINITE.format(c, d)}?0"
        f":Math.abs({c})>=Math.abs({d})?{d}/{c}:{c}/{d}",
        c, d, cost=6,
    )  # fmt: skip
    scale = e.one(
        lambda c, d, r: f"{INFINITE.format(c, d)}?Infinity"
        f":Math.abs({c})>=Math.abs({d})?{c}+{d}*{r}:{d}+{c}*{r}",
        c, d, ratio,
    )  # fmt: skip

    def real(a: str, b: str, c: str, d: str, r: str, s: str) -> str:
        return f"(Math.abs({c})>=Math.abs({d})?{a}+{b}*{r}:{a}*{r}+{b})/{s}"

    def imaginary(a: str, b: str, c: str, d: str, r: str, s: str) -> str:
        return f"(Math.abs({c})>=Math.abs({d})?{b}-{a}*{r}:{b}*{r}-{a})/{s}"

    operands = (a, b, c, d, ratio, scale)
    return e.both(e.one(real, *operands, cost=6), e.one(imaginary, *operands, cost=6))


@wide("complex", "abs")
def _abs(t: Translator, eqn: Any, z: Value) -> list[Value]:
    e = Elements(t, eqn)
    return [narrow(e.one("modulus({},{})".format, *_parts(t, z), cost=4))]


def _modulus(e: Elements, a: Array, b: Array) -> Array:
    return e.one("modulus({},{})".format, a, b, cost=8)


@wide("complex", "exp")
def _exp(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    r = e.one("Math.exp({})".format, a, cost=10)
    real = e.one("{}*Math.cos({})".format, r, b, cost=15)
    return e.both(real, e.one(lambda r, b: f"{b}===0?0:{r}*Math.sin({b})", r, b, cost=15))


@wide("complex", "log")
def _log(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    real = e.one("Math.log({})".format, _modulus(e, a, b), cost=10)
    return e.both(real, e.one("Math.atan2({},{})".format, b, a, cost=15))


@wide("complex", "sqrt")
def _sqrt(t: Translator, eqn: Any, z: Value) -> list[Value]:
    """The root with a real part that is not negative, without cancellation; -0 counts as 0."""
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    u = e.one("Math.sqrt(({2}+Math.abs({0}))/2)".format, a, b, _modulus(e, a, b), cost=8)
    half = e.one(
        lambda b, u: f"{b}===0?0:Math.abs({b})===Infinity?Infinity:Math.abs({b})/(2*{u})",
        b,
        u,
        cost=6,
    )
    real = e.one(lambda a, u, h: f"{a}>=0?{u}:{h}", a, u, half)
    sign = lambda a, b, u, h: f"({b}<0?-1:1)*({a}>=0?{h}:{u})"  # noqa: E731
    return e.both(real, e.one(sign, a, b, u, half))


@wide("complex", "sin")
def _sin(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    real = e.one("Math.sin({})*Math.cosh({})".format, a, b, cost=30)
    return e.both(real, e.one("Math.cos({})*Math.sinh({})".format, a, b, cost=30))


@wide("complex", "cos")
def _cos(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    real = e.one("Math.cos({})*Math.cosh({})".format, a, b, cost=30)
    return e.both(real, e.one("-Math.sin({})*Math.sinh({})".format, a, b, cost=30))


@wide("complex", "sign")
def _sign(t: Translator, eqn: Any, z: Value) -> list[Value]:
    a, b = _parts(t, z)
    e = Elements(t, eqn)
    r = _modulus(e, a, b)
    unit = lambda x, r: f"{r}===0?0:{x}/{r}"  # noqa: E731
    return e.both(e.one(unit, a, r, cost=4), e.one(unit, b, r, cost=4))


@wide("complex", "integer_pow")
def _integer_pow(t: Translator, eqn: Any, z: Value) -> list[Value]:
    n = eqn.params["y"]
    base, result = z, None
    for bit in reversed(bin(abs(n))[2:]):
        if bit == "1":
            result = base if result is None else _mul(t, eqn, result, base)[0]
        base = _mul(t, eqn, base, base)[0]
    one = Value(z.dtype, tuple(t.filled(z.shape, WIDE[z.dtype], k) for k in "10"))
    if result is None:
        return [one]
    return [result] if n > 0 else _div(t, eqn, one, result)


@wide("complex", "pow")
def _pow(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    """exp(w log z); 0 to the power 0 is 1, and 0 to a power with positive real part is 0."""
    a, b, c, d = *_parts(t, z), *_parts(t, w)
    e = Elements(t, eqn)
    r = _modulus(e, a, b)
    angle = e.one("Math.atan2({},{})".format, b, a, cost=15)
    size = e.one(
        lambda r, angle, c, d: f"{r}===0?({c}===0&&{d}===0?1:{c}>0?0:NaN)"
        f":Math.exp({c}*Math.log({r})-{d}*{angle})",
        r, angle, c, d, cost=25,
    )  # fmt: skip
    turn = e.one(
        lambda r, angle, c, d: f"{r}===0?0:{c}*{angle}+{d}*Math.log({r})", r, angle, c, d, cost=12
    )
    real = e.one("{}*Math.cos({})".format, size, turn, cost=15)
    return e.both(real, e.one("{}*Math.sin({})".format, size, turn, cost=15))


@wide("complex", "is_finite")
def _is_finite(t: Translator, eqn: Any, z: Value) -> list[Value]:
    text = "(Number.isFinite({})&&Number.isFinite({}))"
    return [narrow(t.map(z.shape, "bool", text.format, *_parts(t, z)))]


@wide("complex", "eq")
def _eq(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    pairs = (*_parts(t, z), *_parts(t, w))
    text = "({0}==={2}&&{1}==={3})"
    return [narrow(t.map(eqn.outputs[0].aval.shape, "bool", text.format, *pairs))]


@wide("complex", "ne")
def _ne(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    pairs = (*_parts(t, z), *_parts(t, w))
    text = "({0}!=={2}||{1}!=={3})"
    return [narrow(t.map(eqn.outputs[0].aval.shape, "bool", text.format, *pairs))]


@wide("complex", "reduce_prod")
def _reduce_prod(t: Translator, eqn: Any, z: Value) -> list[Value]:
    axes, shape = eqn.params["axes"], eqn.outputs[0].aval.shape
    made = tuple(t.buffer(math.prod(shape), part.dtype) for part in z.parts)
    sizes = [z.shape[a] for a in axes]

    def product(index: Index) -> None:
        real, imaginary = t.name("s"), t.name("s")
        t.line(f"let {real}=1,{imaginary}=0;")

        def factor(inner: Index) -> None:
            rest, own = iter(index), dict(zip(axes, inner, strict=True))
            where = tuple(own[a] if a in own else next(rest) for a in range(len(z.shape)))
            a, b = (t.named(t.at(part, where)) for part in z.parts)
            old = t.name("v")
            t.line(f"const {old}={real};{real}={old}*{a}-{imaginary}*{b};")
            t.line(f"{imaginary}={old}*{b}+{imaginary}*{a};")

        t.loops(sizes, factor)
        for buffer, total in zip(made, (real, imaginary), strict=True):
            t.line(f"{buffer}[{place(index, shape)}]={total};")

    t.loops(shape, product)
    parts = (t.held(b, shape, p.dtype) for b, p in zip(made, z.parts, strict=True))
    return [Value(z.dtype, tuple(parts))]


def _summed(
    t: Translator,
    shape: tuple[int, ...],
    dtype: str,
    sizes: list[int],
    term: Callable[[Index, Index], tuple[str, str]],
    cost: int,
) -> list[Value]:
    """Both parts of sums over an inner index, in one loop, of ``term(index, inner)``."""
    token = object()

    def sums(index: Index) -> tuple[str, str]:
        key = (token, index)
        found = next((b.results[key] for b in reversed(t.blocks) if key in b.results), None)
        if found is None:
            found = t.name("s"), t.name("s")
            t.line(f"let {found[0]}=0,{found[1]}=0;")

            def add(inner: Index) -> None:
                for total, part in zip(found, term(index, inner), strict=True):
                    t.line(f"{total}={rounded(WIDE[dtype], f'{total}+{part}')};")

            t.loops(sizes, add)
            t.blocks[-1].results[key] = found
        return found

    def part(k: int) -> Array:
        return t.array(shape, WIDE[dtype], lambda index: sums(index)[k], cost, shared=True)

    return [Value(dtype, (part(0), part(1)))]


@wide("complex", "reduce_sum")
def _reduce_sum(t: Translator, eqn: Any, z: Value) -> list[Value]:
    axes = eqn.params["axes"]
    if not axes:
        return [z]
    sizes = [z.shape[a] for a in axes]

    def term(index: Index, inner: Index) -> tuple[str, str]:
        rest, own = iter(index), dict(zip(axes, inner, strict=True))
        where = tuple(own[a] if a in own else next(rest) for a in range(len(z.shape)))
        a, b = (t.at(part, where) for part in z.parts)
        return a, b

    cost = math.prod(sizes) * sum(part.cost + 1 for part in z.parts)
    return _summed(t, eqn.outputs[0].aval.shape, z.dtype, sizes, term, cost)


@wide("complex", "dot_general")
def _dot_general(t: Translator, eqn: Any, z: Value, w: Value) -> list[Value]:
    x, y = (t.ready(*_parts(t, v)) for v in (z, w))
    where = factors(eqn, len(z.shape), len(w.shape))
    sizes = [z.shape[a] for a in eqn.params["dimension_numbers"][0][0]]

    def term(index: Index, inner: Index) -> tuple[str, str]:
        at_x, at_y = where(index, inner)
        a, b = (t.named(t.at(part, at_x)) for part in x)
        c, d = (t.named(t.at(part, at_y)) for part in y)
        return f"({a}*{c}-{b}*{d})", f"({a}*{d}+{b}*{c})"

    aval = eqn.outputs[0].aval
    return _summed(t, aval.shape, dtype_of(aval), sizes, term, 8 * math.prod(sizes))
