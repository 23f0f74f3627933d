"""Rules of the primitives that make each element from the elements at the same index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optdyn.javascript.translator import (
    REASONS,
    Translator,
    Untranslatable,
    Value,
    arrays,
    moves,
    values,
)
from optdyn.javascript.writer import Array, rounded

FLOATS = ("float64", "float32")
SIGNED = ("int32", "int64")

# name: (expression, cost in operations); {} is the operand
_FUNCTIONS = {
    "exp": ("Math.exp({})", 10),
    "exp2": ("power(2,{})", 20),
    "log": ("Math.log({})", 10),
    "log1p": ("Math.log1p({})", 15),
    "expm1": ("Math.expm1({})", 15),
    "sin": ("Math.sin({})", 15),
    "cos": ("Math.cos({})", 15),
    "tan": ("Math.tan({})", 15),
    "asin": ("Math.asin({})", 15),
    "acos": ("Math.acos({})", 15),
    "atan": ("Math.atan({})", 15),
    "sinh": ("Math.sinh({})", 20),
    "cosh": ("Math.cosh({})", 20),
    "tanh": ("Math.tanh({})", 20),
    "asinh": ("Math.asinh({})", 20),
    "acosh": ("Math.acosh({})", 20),
    "atanh": ("Math.atanh({})", 20),
    "sqrt": ("Math.sqrt({})", 4),
    "rsqrt": ("1/Math.sqrt({})", 6),
    "cbrt": ("Math.cbrt({})", 15),
    "logistic": ("1/(1+Math.exp(-{}))", 12),
    "floor": ("Math.floor({})", 1),
    "ceil": ("Math.ceil({})", 1),
    "erf": ("erf({})", 40),
    "erfc": ("erfc({})", 40),
    "lgamma": ("lgamma({})", 40),
    "digamma": ("digamma({})", 40),
}

REASONS["erf_inv"] = " (ask jax.random.normal for dtype=jnp.float32)"
REASONS["nextafter"] = " of floating-point neighbours"


def _function(name: str, text: str, cost: int) -> None:
    @arrays(name, in_place=True)
    def rule(t: Translator, eqn: Any, x: Array) -> Array:
        _only(eqn, x, FLOATS)
        return t.map(x.shape, x.dtype, lambda e: rounded(x.dtype, text.format(e)), x, cost=cost)


for _name, (_text, _cost) in _FUNCTIONS.items():
    _function(_name, _text, _cost)


def _only(eqn: Any, x: Array, types: tuple[str, ...]) -> None:
    if x.dtype not in types:
        raise Untranslatable(f"{eqn.name} of {x.dtype}{REASONS.get(eqn.name, '')}")


@arrays("erf_inv", in_place=True)
def _erf_inv(t: Translator, eqn: Any, x: Array) -> Array:
    _only(eqn, x, ("float32",))
    return t.map(x.shape, x.dtype, "erf_inv32({})".format, x, cost=40)


@arrays("is_finite", in_place=True)
def _is_finite(t: Translator, eqn: Any, x: Array) -> Array:
    return t.map(x.shape, "bool", "Number.isFinite({})".format, x)


@arrays("neg", in_place=True)
def _neg(t: Translator, eqn: Any, x: Array) -> Array:
    text = "-{}" if x.dtype in FLOATS else "0-{}"  # whole numbers know no -0
    return t.map(x.shape, x.dtype, lambda e: rounded(x.dtype, text.format(e)), x)


@arrays("abs", in_place=True)
def _abs(t: Translator, eqn: Any, x: Array) -> Array:
    return t.map(x.shape, x.dtype, lambda e: rounded(x.dtype, f"Math.abs({e})"), x)


@arrays("sign", in_place=True)
def _sign(t: Translator, eqn: Any, x: Array) -> Array:
    return t.map(x.shape, x.dtype, "Math.sign({})".format, x)


@arrays("round", in_place=True)
def _round(t: Translator, eqn: Any, x: Array) -> Array:
    even = eqn.params["rounding_method"].name == "TO_NEAREST_EVEN"
    text = "round_even({})" if even else "round_away({})"
    return t.map(x.shape, x.dtype, text.format, x, cost=4)


@arrays("square", in_place=True)
def _square(t: Translator, eqn: Any, x: Array) -> Array:
    return t.map(x.shape, x.dtype, lambda a: _product(x.dtype, a, a), x, repeats=True)


@arrays("integer_pow", in_place=True)
def _integer_pow(t: Translator, eqn: Any, x: Array) -> Array:
    n = eqn.params["y"]
    if n == 2:
        return _square(t, eqn, x)  # type: ignore[no-any-return]
    if x.dtype not in FLOATS:  # by squaring, each product brought into its type
        return _whole_power(t, x, n)

    def power(a: str) -> str:
        return rounded(x.dtype, f"1/{a}" if n == -1 else f"integer_power({a},{n})")

    return t.map(x.shape, x.dtype, power, x, cost=abs(n), repeats=True)


def _whole_power(t: Translator, x: Array, n: int) -> Array:
    if n < 0:
        raise Untranslatable("a negative power of whole numbers")
    result = t.filled(x.shape, x.dtype, "1")
    base = x
    square = lambda a: _product(x.dtype, a, a)  # noqa: E731
    while n:
        if n & 1:
            result = t.map(x.shape, x.dtype, lambda a, b: _product(x.dtype, a, b), result, base)
        base = t.map(x.shape, x.dtype, square, base, repeats=True, shared=True)
        n >>= 1
    return result


def _product(dtype: str, a: str, b: str) -> str:
    if dtype == "int32":
        return f"Math.imul({a},{b})"
    if dtype == "uint32":
        return f"(Math.imul({a},{b})>>>0)"
    return f"({a}&{b})" if dtype == "bool" else rounded(dtype, f"{a}*{b}")


def _sum(dtype: str, a: str, b: str) -> str:
    return f"({a}|{b})" if dtype == "bool" else rounded(dtype, f"{a}+{b}")


def _quotient(dtype: str, a: str, b: str) -> str:
    if dtype in FLOATS:
        return rounded(dtype, f"{a}/{b}")
    if dtype == "uint32":
        return f"quotient_unsigned({a},{b})"
    return rounded(dtype, f"quotient({a},{b})")


def _remainder(dtype: str, a: str, b: str) -> str:
    if dtype in FLOATS:
        return rounded(dtype, f"{a}%{b}")
    return rounded(dtype, f"remainder({a},{b})")


def _bits(sign: str) -> Callable[[str, str, str], str]:
    def operation(dtype: str, a: str, b: str) -> str:
        if dtype == "int64":
            raise Untranslatable("a bit operation on int64 values (use int32 or uint32)")
        return f"(({a}{sign}{b})>>>0)" if dtype == "uint32" else f"({a}{sign}{b})"

    return operation


def _shifted(sign: str) -> Callable[[str, str, str], str]:
    """Shifts by the width or more give what is shifted in, where JavaScript's wrap around."""

    def operation(dtype: str, a: str, b: str) -> str:
        if dtype == "int64":
            if sign == ">>>" or not b.isdigit() or int(b) > 62:
                raise Untranslatable("such a shift of int64 values (use int32 or uint32)")
            text = f"{a}*2**{b}" if sign == "<<" else f"Math.floor({a}/2**{b})"
            return rounded(dtype, text)
        if sign == ">>" and dtype == "uint32":
            raise Untranslatable("an arithmetic shift of unsigned values")
        filled = f"{a}>>31" if sign == ">>" else "0"
        text = (
            f"{a}{sign}{b}"
            if b.isdigit() and int(b) < 32
            else f"({b}>>>0)<32?{a}{sign}{b}:{filled}"
        )
        return rounded(dtype, f"({text})")

    return operation


def _power(dtype: str, a: str, b: str) -> str:
    if dtype not in FLOATS:
        raise Untranslatable("a power of whole numbers (write the product, or convert)")
    return rounded(dtype, f"power({a},{b})")


# name: (operation on a type and two expressions, cost, writes an operand twice)
_OPERATIONS: dict[str, tuple[Callable[[str, str, str], str], int, bool]] = {
    "add": (_sum, 1, False),
    "add_any": (_sum, 1, False),
    "sub": (lambda d, a, b: rounded(d, f"{a}-{b}"), 1, False),
    "mul": (_product, 1, False),
    "div": (_quotient, 4, False),
    "rem": (_remainder, 4, False),
    "pow": (_power, 20, False),
    "max": (lambda d, a, b: f"Math.max({a},{b})", 1, False),
    "min": (lambda d, a, b: f"Math.min({a},{b})", 1, False),
    "atan2": (lambda d, a, b: rounded(d, f"Math.atan2({a},{b})"), 15, False),
    "and": (_bits("&"), 1, False),
    "or": (_bits("|"), 1, False),
    "xor": (_bits("^"), 1, False),
    "shift_left": (_shifted("<<"), 1, True),
    "shift_right_logical": (_shifted(">>>"), 1, True),
    "shift_right_arithmetic": (_shifted(">>"), 1, True),
}


def _spelled(x: Array) -> str:
    """A number that is spelled out, else a name."""
    return x.read(("0",) * len(x.shape)) if not x.cost and not x.buffer else "x"


def _operation(name: str, text: Callable[[str, str, str], str], cost: int, repeats: bool) -> None:
    @arrays(name, in_place=True)
    def rule(t: Translator, eqn: Any, x: Array, y: Array) -> Array:
        shape = eqn.outputs[0].aval.shape
        text(x.dtype, "0", _spelled(y))  # refuses a type before anything is written
        made = lambda a, b: text(x.dtype, a, b)  # noqa: E731
        return t.map(shape, x.dtype, made, x, y, cost=cost, repeats=repeats)


for _name, (_made, _cost, _repeats) in _OPERATIONS.items():
    _operation(_name, _made, _cost, _repeats)


def _comparison(name: str, sign: str) -> None:
    @arrays(name, in_place=True)
    def rule(t: Translator, eqn: Any, x: Array, y: Array) -> Array:
        text = "(+{}" + sign + "+{})" if x.dtype == "bool" else "({}" + sign + "{})"
        if name.endswith("_to"):
            text = sign
        return t.map(eqn.outputs[0].aval.shape, "bool", text.format, x, y)


for _name, _sign in (
    ("eq", "==="), ("ne", "!=="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="),
    ("lt_to", "less_in_order({},{})"), ("le_to", "(!less_in_order({1},{0}))"),
):  # fmt: skip
    _comparison(_name, _sign)


@arrays("not", in_place=True)
def _not(t: Translator, eqn: Any, x: Array) -> Array:
    if x.dtype == "int64":
        return t.map(x.shape, x.dtype, "(-1-{})".format, x)
    text = {"bool": "!{}", "int32": "~{}", "uint32": "(~{}>>>0)"}[x.dtype]
    return t.map(x.shape, x.dtype, text.format, x)


@arrays("clz", in_place=True)
def _clz(t: Translator, eqn: Any, x: Array) -> Array:
    _only(eqn, x, ("int32", "uint32"))
    return t.map(x.shape, x.dtype, "Math.clz32({})".format, x)


@arrays("clamp", in_place=True)
def _clamp(t: Translator, eqn: Any, low: Array, x: Array, high: Array) -> Array:
    return t.map(x.shape, x.dtype, "Math.min(Math.max({1},{0}),{2})".format, low, x, high, cost=2)


@moves("select_n", data=lambda i: i > 0, in_place=True)
def _select_n(t: Translator, eqn: Any, which: Array, *cases: Array) -> Array:
    def chosen(p: str, *elements: str) -> str:
        if which.dtype == "bool":
            return f"({p}?{elements[1]}:{elements[0]})" if len(elements) > 1 else elements[0]
        text = elements[-1]
        for k, element in reversed(list(enumerate(elements[:-1]))):
            text = f"({p}<={k}?{element}:{text})"
        return text

    x = cases[0]
    return t.map(x.shape, x.dtype, chosen, which, *cases, repeats=len(cases) > 2)


@arrays("convert_element_type", "reduce_precision", in_place=True)
def _convert(t: Translator, eqn: Any, x: Array) -> Array:
    dtype = str(eqn.outputs[0].aval.dtype)
    if eqn.name == "reduce_precision":
        bits = eqn.params["exponent_bits"], eqn.params["mantissa_bits"]
        if bits != {"float64": (11, 52), "float32": (8, 23)}.get(dtype):
            raise Untranslatable("reduce_precision to a type that is not there")
    if x.dtype == dtype:
        return x
    return t.map(x.shape, dtype, lambda e: converted(e, x.dtype, dtype), x)


def converted(e: str, old: str, new: str) -> str:
    """An expression of one narrow type as another, as XLA converts it on a CPU.

    >>> converted("x", "float64", "int32"), converted("x", "int64", "uint32")
    ('to_int32(x)', '(x>>>0)')
    """
    if new == "bool":
        return f"({e}!==0)"
    if old == "bool":
        e = f"(+{e})"
    if old in FLOATS and new not in FLOATS:
        return f"to_{new}({e})"
    if new == "float64" or (new == "int64" and old != "float64"):
        return e
    return f"F({e})" if new == "float32" else rounded(new, e)


@arrays("bitcast_convert_type", in_place=True)
def _bitcast(t: Translator, eqn: Any, x: Array) -> Array:
    pair = (x.dtype, str(eqn.outputs[0].aval.dtype))
    texts = {
        ("float32", "uint32"): "float_bits({})",
        ("float32", "int32"): "(float_bits({})|0)",
        ("uint32", "float32"): "bits_float({})",
        ("int32", "float32"): "bits_float({})",
        ("uint32", "int32"): "({}|0)",
        ("int32", "uint32"): "({}>>>0)",
    }
    if pair[0] == pair[1]:
        return x
    if pair not in texts:
        raise Untranslatable(f"the bits of {pair[0]} as {pair[1]}")
    return t.map(x.shape, pair[1], texts[pair].format, x, cost=2)


@moves("copy", "copy_p", "stop_gradient", in_place=True)
def _same(t: Translator, eqn: Any, x: Array) -> Array:
    return x


@values("optimization_barrier", "device_put")
def _barrier(t: Translator, eqn: Any, *operands: Value) -> list[Value]:
    return list(operands)
