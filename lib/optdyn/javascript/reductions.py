"""Rules of sums, products, extrema and running sums; of matrix products; of sorting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from optdyn.javascript.elementwise import FLOATS
from optdyn.javascript.translator import Translator, Untranslatable, arrays
from optdyn.javascript.writer import UNROLLED, Array, Index, literal, place, plus, rounded, times

Operation = Callable[[str, str, str], str]  # of a type and two expressions
MANY = 4  # readings of an element that make it worth storing, however cheap it is


def _add(dtype: str, a: str, b: str) -> str:
    return rounded(dtype, f"{a}+{b}")


def _multiply(dtype: str, a: str, b: str) -> str:
    if dtype in ("int32", "uint32"):
        return rounded(dtype, f"Math.imul({a},{b})")
    return rounded(dtype, f"{a}*{b}")


def _largest(dtype: str, a: str, b: str) -> str:
    return f"Math.max({a},{b})"


def _least(dtype: str, a: str, b: str) -> str:
    return f"Math.min({a},{b})"


def _bitwise(sign: str) -> Operation:
    def operation(dtype: str, a: str, b: str) -> str:
        if dtype == "int64":
            raise Untranslatable("bit operations on int64 values (use int32 or uint32)")
        return rounded(dtype, f"{a}{sign}{b}")

    return operation


_LIMITS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "bool": (0, 1)}


def _limit(dtype: str, end: int) -> str:
    if dtype == "int64" or dtype in FLOATS:
        return literal((-math.inf, math.inf)[end], "float64")
    return literal(_LIMITS[dtype][end], "int64")


_REDUCED: dict[str, tuple[Operation, Callable[[str], str]]] = {
    "reduce_sum": (_add, lambda _: "0"),
    "reduce_prod": (_multiply, lambda _: "1"),
    "reduce_max": (_largest, lambda dtype: _limit(dtype, 0)),
    "reduce_min": (_least, lambda dtype: _limit(dtype, 1)),
    "reduce_and": (
        _bitwise("&"),
        lambda d: {"bool": "1", "uint32": "4294967295"}.get(d, "-1"),
    ),
    "reduce_or": (_bitwise("|"), lambda _: "0"),
    "reduce_xor": (_bitwise("^"), lambda _: "0"),
}


def folded(
    t: Translator,
    sizes: Sequence[int],
    dtype: str,
    start: str,
    combine: Operation,
    element: Callable[[Index], str],
) -> str:
    """All elements of a shape combined to one; a loop, or an expression where they are few."""
    if 0 < math.prod(sizes) <= UNROLLED:
        found: list[str] = []
        t.loops(sizes, lambda index: found.append(element(index)))
        text = found[0]
        for other in found[1:]:
            text = combine(dtype, text, other)
        return text
    total = t.name("s")
    t.line(f"let {total}={start};")
    t.loops(sizes, lambda index: t.line(f"{total}={combine(dtype, total, element(index))};"))
    return total


def _reduction(name: str) -> None:
    combine, start = _REDUCED[name]

    @arrays(name)
    def rule(t: Translator, eqn: Any, x: Array) -> Array:
        axes = eqn.params["axes"]
        if not axes:
            return x
        sizes = [x.shape[a] for a in axes]
        combine(x.dtype, "0", "0")  # refuses a type before anything is written

        def read(index: Index) -> str:
            def element(inner: Index) -> str:
                rest, own = iter(index), dict(zip(axes, inner, strict=True))
                return t.at(
                    x, tuple(own[a] if a in own else next(rest) for a in range(len(x.shape)))
                )

            return folded(t, sizes, x.dtype, start(x.dtype), combine, element)

        cost = math.prod(sizes) * (x.cost + 1)
        shape = [d for a, d in enumerate(x.shape) if a not in axes]
        return t.array(shape, x.dtype, read, cost, shared=True)


for _name in _REDUCED:
    _reduction(_name)


@arrays("argmax", "argmin")
def _arg(t: Translator, eqn: Any, x: Array) -> Array:
    """The place of the first extreme element; of the first NaN where there is one."""
    (axis,) = eqn.params["axes"]
    sign = ">" if eqn.name == "argmax" else "<"
    dtype = str(eqn.outputs[0].aval.dtype)
    (x,) = t.ready(x)

    def read(index: Index) -> str:
        def at(k: str) -> str:
            return t.at(x, (*index[:axis], k, *index[axis:]))

        best, where = t.name("s"), t.name("s")
        t.line(f"let {best}={at('0')},{where}=0;")
        with t.loop(x.shape[axis]) as i:
            e = t.named(at(i))
            t.line(f"if({e}{sign}{best}||({e}!=={e}&&{best}==={best})){{{best}={e};{where}={i};}}")
        return where

    shape = [d for a, d in enumerate(x.shape) if a != axis]
    return t.array(shape, dtype, read, x.shape[axis] * (x.cost + 2), shared=True)


_RUNNING: dict[str, Operation] = {
    "cumsum": _add,
    "cumprod": _multiply,
    "cummax": _largest,
    "cummin": _least,
}


@arrays(*_RUNNING, "cumlogsumexp")
def _running(t: Translator, eqn: Any, x: Array) -> Array:
    axis, reverse = eqn.params["axis"], eqn.params["reverse"]
    buffer = t.buffer(x.size, x.dtype)
    others = [1 if a == axis else d for a, d in enumerate(x.shape)]
    start = {"cumprod": "1", "cummax": _limit(x.dtype, 0), "cummin": _limit(x.dtype, 1)}
    lowest = {"cumlogsumexp": "(-Infinity)"}

    def line(index: Index) -> None:
        total = t.name("s")
        t.line(f"let {total}={(start | lowest).get(eqn.name, '0')};")
        with t.loop(x.shape[axis], reverse=reverse) as i:
            here = (*index[:axis], i, *index[axis + 1 :])
            element = t.at(x, here)
            if eqn.name == "cumlogsumexp":
                t.line(f"{total}={rounded(x.dtype, f'logaddexp({total},{element})')};")
            else:
                t.line(f"{total}={_RUNNING[eqn.name](x.dtype, total, element)};")
            t.line(f"{buffer}[{place(here, x.shape)}]={total};")

    t.loops(others, line)
    return t.held(buffer, x.shape, x.dtype)


def factors(eqn: Any, rank_x: int, rank_y: int) -> Callable[[Index, Index], tuple[Index, Index]]:
    """Where a product of matrices reads its operands, from an index and the contracted one."""
    (contract_x, contract_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    free_x = [a for a in range(rank_x) if a not in (*contract_x, *batch_x)]
    free_y = [a for a in range(rank_y) if a not in (*contract_y, *batch_y)]

    def where(index: Index, inner: Index) -> tuple[Index, Index]:
        n, m = len(batch_x), len(batch_x) + len(free_x)
        at_x = dict(zip((*batch_x, *free_x, *contract_x), (*index[:m], *inner), strict=True))
        at_y = dict(
            zip((*batch_y, *free_y, *contract_y), (*index[:n], *index[m:], *inner), strict=True)
        )
        return tuple(at_x[k] for k in range(rank_x)), tuple(at_y[k] for k in range(rank_y))

    return where


def _for_reading(t: Translator, x: Array, times: int) -> Array:
    """An operand each of whose elements is read so many times."""
    if times > MANY and x.cost:
        return t.stored(x)
    return t.ready(x)[0] if times > 1 else x


@arrays("dot_general")
def _dot_general(t: Translator, eqn: Any, x: Array, y: Array) -> Array:
    """The sum of x y over the contracted axes; what is left: batch, axes of x, axes of y."""
    contract_x = eqn.params["dimension_numbers"][0][0]
    aval = eqn.outputs[0].aval
    dtype = str(aval.dtype)
    if dtype != x.dtype or dtype != y.dtype or dtype == "bool":
        raise Untranslatable(f"a product of {x.dtype} and {y.dtype} matrices into {dtype}")
    sizes = [x.shape[a] for a in contract_x]
    length = math.prod(sizes)
    size = math.prod(aval.shape)
    x, y = (_for_reading(t, m, size * length // max(m.size, 1)) for m in (x, y))
    where = factors(eqn, len(x.shape), len(y.shape))

    def read(index: Index) -> str:
        def element(inner: Index) -> str:
            at_x, at_y = where(index, inner)
            return _multiply(dtype, t.at(x, at_x), t.at(y, at_y))

        return folded(t, sizes, dtype, "0", _add, element)

    return t.array(aval.shape, dtype, read, length * (x.cost + y.cost + 2), shared=True)


@arrays("conv_general_dilated")
def _convolution(t: Translator, eqn: Any, x: Array, y: Array) -> Array:
    """sum over features i and offsets k of x[b, i, stride n + spread k - low] y[o, i, k]."""
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    shape, dtype = eqn.outputs[0].aval.shape, x.dtype
    if p["feature_group_count"] != 1 or p["batch_group_count"] != 1 or dtype != y.dtype:
        raise Untranslatable("a convolution in groups or of mixed types")
    if any(d != 1 for d in p["lhs_dilation"]):
        raise Untranslatable("a convolution with a dilated input")
    x, y = (t.stored(m) for m in (x, y))
    in_x, in_y, in_out = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    sizes = [y.shape[a] for a in in_y[1:]]

    def read(index: Index) -> str:
        total = t.name("s")
        t.line(f"let {total}=0;")

        def add(inner: Index) -> None:
            at_x = {in_x[0]: index[in_out[0]], in_x[1]: inner[0]}
            at_y = {in_y[0]: index[in_out[1]], in_y[1]: inner[0]}
            guards = []
            for k, offset in enumerate(inner[1:]):
                moved = plus(
                    times(index[in_out[2 + k]], p["window_strides"][k]),
                    times(offset, p["rhs_dilation"][k]),
                    -p["padding"][k][0],
                )
                moved = t.named(moved)
                guards.append(f"{moved}>=0&&{moved}<{x.shape[in_x[2 + k]]}")
                at_x[in_x[2 + k]], at_y[in_y[2 + k]] = moved, offset
            a, b = (
                t.at(m, tuple(at[d] for d in range(len(m.shape))))
                for m, at in ((x, at_x), (y, at_y))
            )
            t.line(f"if({'&&'.join(guards)}){total}={_add(dtype, total, _multiply(dtype, a, b))};")

        t.loops(sizes, add)
        return total

    return t.array(shape, dtype, read, 4 * math.prod(sizes), shared=True)


@arrays("sort")
def _sort(t: Translator, eqn: Any, *operands: Array) -> list[Array]:
    """Stable, by the first ``num_keys`` operands; NaN last."""
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    shape = operands[0].shape
    n, stride = shape[axis], math.prod(shape[axis + 1 :])
    sources = t.copied(*operands)
    results = [t.buffer(x.size, x.dtype) for x in operands]
    order, scratch = t.buffer(n, "int32"), t.buffer(n, "int32")
    base, before = t.name("o"), t.name("before")
    t.prelude.append(f"let {base}=0;")
    t.prelude.append(f"const {before}=(p,q)=>{{")
    for x in sources[:keys]:
        a, b = (f"{x.buffer}[{base}+{v}*{stride}]" for v in "pq")
        t.prelude.append(f"  {{const a={a},b={b};if(a<b)return true;if(a>b)return false;")
        t.prelude.append("  if(a!==a&&b===b)return false;if(b!==b&&a===a)return true;}")
    t.prelude.append("  return false;};")

    def line(index: Index) -> None:
        start = place(index, shape)
        t.line(f"{base}={start};sort_order({n},{before},{order},{scratch});")
        with t.loop(n) as i:
            t.line(f"const from_{i}={start}+{order}[{i}]*{stride},to_{i}={start}+{i}*{stride};")
            for x, result in zip(sources, results, strict=True):
                t.line(f"{result}[to_{i}]={x.buffer}[from_{i}];")

    t.loops([1 if a == axis else d for a, d in enumerate(shape)], line)
    return [t.held(b, shape, x.dtype) for b, x in zip(results, operands, strict=True)]
