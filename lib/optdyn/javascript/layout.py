"""Rules of the primitives that move elements about. They serve wide types part by part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optdyn.javascript.elementwise import FLOATS
from optdyn.javascript.translator import Translator, Untranslatable, arrays, moves
from optdyn.javascript.writer import Array, Index, bracketed, literal, place, plus, times


def _seen(t: Translator, x: Array, shape: Sequence[int], where: Callable[[Index], Index]) -> Array:
    """``x`` read at other indices."""
    return t.array(shape, x.dtype, lambda index: t.at(x, where(index)), x.cost)


@arrays("iota")
def _iota(t: Translator, eqn: Any) -> Array:
    axis = eqn.params["dimension"]
    aval = eqn.outputs[0].aval
    dtype = str(aval.dtype)
    if dtype not in (*FLOATS, "int32", "uint32", "int64"):
        raise Untranslatable(f"iota of {dtype}")
    return t.array(aval.shape, dtype, lambda index: bracketed(index[axis]), 0)


@arrays("empty", "empty2")
def _empty(t: Translator, eqn: Any, *_: Array) -> Array:
    """Room that is written before it is read."""
    aval = eqn.outputs[0].aval
    return t.filled(aval.shape, str(aval.dtype), "false" if aval.dtype == bool else "0")


@moves("broadcast_in_dim", in_place=True)
def _broadcast_in_dim(t: Translator, eqn: Any, x: Array) -> Array:
    shape = eqn.outputs[0].aval.shape
    axes = eqn.params["broadcast_dimensions"]
    if x.size < math.prod(shape):
        (x,) = t.ready(x)

    def where(index: Index) -> Index:
        return tuple("0" if d == 1 else index[a] for a, d in zip(axes, x.shape, strict=True))

    return _seen(t, x, shape, where)


@moves("reshape")
def _reshape(t: Translator, eqn: Any, x: Array) -> Array:
    if eqn.params.get("dimensions") is not None:
        raise Untranslatable("reshape in another order")
    return reshaped(t, x, eqn.outputs[0].aval.shape)


@moves("squeeze", "expand_dims", in_place=True)
def _squeeze(t: Translator, eqn: Any, x: Array) -> Array:
    return reshaped(t, x, eqn.outputs[0].aval.shape)


def reshaped(t: Translator, x: Array, shape: Sequence[int]) -> Array:
    """``x`` with its elements, row by row, in another shape."""
    if x.shape == tuple(shape):
        return x
    if [d for d in x.shape if d != 1] == [d for d in shape if d != 1]:
        kept = [axis for axis, d in enumerate(shape) if d != 1]

        def where(index: Index) -> Index:
            rest = iter(kept)
            return tuple("0" if d == 1 else index[next(rest)] for d in x.shape)

        seen = _seen(t, x, shape, where)
        seen.buffer = x.buffer
        return seen
    x = t.stored(x)
    made = t.held(x.buffer, shape, x.dtype)
    made.depth = x.depth
    return made


@moves("transpose", in_place=True)
def _transpose(t: Translator, eqn: Any, x: Array) -> Array:
    order = eqn.params["permutation"]
    inverse = np.argsort(order)
    shape = eqn.outputs[0].aval.shape
    return _seen(t, x, shape, lambda index: tuple(index[k] for k in inverse))


@moves("rev")
def _rev(t: Translator, eqn: Any, x: Array) -> Array:
    axes = eqn.params["dimensions"]

    def where(index: Index) -> Index:
        return tuple(
            _minus(d - 1, i) if a in axes else i
            for a, (i, d) in enumerate(zip(index, x.shape, strict=True))
        )

    return _seen(t, x, x.shape, where)


def _minus(whole: int, i: str) -> str:
    return str(whole - int(i)) if i.isdigit() else f"{whole}-({i})"


@moves("slice")
def _slice(t: Translator, eqn: Any, x: Array) -> Array:
    starts = eqn.params["start_indices"]
    strides = eqn.params["strides"] or (1,) * len(starts)

    def where(index: Index) -> Index:
        return tuple(plus(times(i, s), b) for i, s, b in zip(index, strides, starts, strict=True))

    return _seen(t, x, eqn.outputs[0].aval.shape, where)


@moves("split")
def _split(t: Translator, eqn: Any, x: Array) -> list[Array]:
    axis = eqn.params["axis"]
    (x,) = t.ready(x)
    parts = []
    begin = 0
    for size, variable in zip(eqn.params["sizes"], eqn.outputs, strict=True):

        def where(index: Index, begin: int = begin) -> Index:
            return tuple(plus(i, begin) if a == axis else i for a, i in enumerate(index))

        parts.append(_seen(t, x, variable.aval.shape, where))
        begin += int(size)
    return parts


@moves("tile")
def _tile(t: Translator, eqn: Any, x: Array) -> Array:
    (x,) = t.ready(x)

    def where(index: Index) -> Index:
        return tuple(
            "0" if d == 1 else i if r == 1 else f"({i})%{d}"
            for i, d, r in zip(index, x.shape, eqn.params["reps"], strict=True)
        )

    return _seen(t, x, eqn.outputs[0].aval.shape, where)


# --- arrays put together -------------------------------------------------------------------------


def _put(
    t: Translator, x: Array, buffer: str, shape: Sequence[int], where: Callable[..., Any]
) -> None:
    """Write ``x`` into a larger typed array of a shape, each element at ``where(index)``."""

    def element(index: Index) -> None:
        t.line(f"{buffer}[{place(where(index), shape)}]={t.at(x, index)};")

    t.loops(x.shape, element)


@moves("concatenate")
def _concatenate(t: Translator, eqn: Any, *pieces: Array) -> Array:
    axis = eqn.params["dimension"]
    shape = eqn.outputs[0].aval.shape
    buffer = t.buffer(math.prod(shape), pieces[0].dtype)
    begin = 0
    for x in pieces:

        def where(index: Index, begin: int = begin) -> Index:
            return tuple(plus(i, begin) if a == axis else i for a, i in enumerate(index))

        _put(t, x, buffer, shape, where)
        begin += x.shape[axis]
    return t.held(buffer, shape, pieces[0].dtype)


@moves("stack")
def _stack(t: Translator, eqn: Any, *pieces: Array) -> Array:
    shape = eqn.outputs[0].aval.shape
    axis = eqn.params.get("axis", 0)
    buffer = t.buffer(math.prod(shape), pieces[0].dtype)
    for k, x in enumerate(pieces):
        _put(t, x, buffer, shape, lambda index, k=k: (*index[:axis], str(k), *index[axis:]))
    return t.held(buffer, shape, pieces[0].dtype)


@moves("pad")
def _pad(t: Translator, eqn: Any, x: Array, filling: Array) -> Array:
    shape = eqn.outputs[0].aval.shape
    config = eqn.params["padding_config"]
    buffer = t.buffer(math.prod(shape), x.dtype)
    t.line(f"{buffer}.fill({t.item(filling)});")
    # The elements that are kept: place low + i * (inside + 1) must lie in the result.
    begins, counts = [], []
    for (low, _, inside), d, whole in zip(config, x.shape, shape, strict=True):
        step = inside + 1
        begin = max(0, -(low // step))  # the first i with low + i * step >= 0
        end = min(d, -((low - whole) // step)) if whole > low else 0
        begins.append(begin)
        counts.append(max(0, end - begin))

    def from_x(index: Index) -> Index:
        return tuple(plus(i, b) for i, b in zip(index, begins, strict=True))

    def where(index: Index) -> Index:
        return tuple(
            plus(times(i, inside + 1), low + b * (inside + 1))
            for i, b, (low, _, inside) in zip(index, begins, config, strict=True)
        )

    _put(t, _seen(t, x, counts, from_x), buffer, shape, where)
    return t.held(buffer, shape, x.dtype)


# --- places that are computed --------------------------------------------------------------------


def _clamped(i: str, last: int) -> str:
    """An index brought into 0..last."""
    if i.isdigit():
        return str(min(int(i), last))
    return "0" if last == 0 else f"(Math.max(0,Math.min({i},{last}))|0)"


@moves("dynamic_slice", data=lambda i: i == 0)
def _dynamic_slice(t: Translator, eqn: Any, x: Array, *starts: Array) -> Array:
    sizes = eqn.params["slice_sizes"]
    begins = _begins(t, starts, x.shape, sizes)

    def where(index: Index) -> Index:
        return tuple(plus(b, i) for b, i in zip(begins, index, strict=True))

    return _seen(t, x, sizes, where)


def _begins(
    t: Translator, starts: Sequence[Array], shape: Sequence[int], sizes: Sequence[int]
) -> Index:
    """Where a window of the given sizes begins, moved so that it lies inside."""
    return tuple(
        t.named(_clamped(t.item(s), d - n)) for s, d, n in zip(starts, shape, sizes, strict=True)
    )


@moves("dynamic_update_slice", data=lambda i: i < 2)
def _dynamic_update_slice(
    t: Translator, eqn: Any, x: Array, update: Array, *starts: Array
) -> Array:
    begins = _begins(t, starts, x.shape, update.shape)
    (result,) = t.copied(x)
    _put(
        t, update, result.buffer, x.shape,
        lambda index: tuple(plus(b, i) for b, i in zip(begins, index, strict=True)),
    )  # fmt: skip
    return result


def _mode(eqn: Any) -> str:
    """What happens to indices outside: "clip" or "fill"."""
    name = getattr(eqn.params["mode"], "name", "CLIP")
    return "fill" if name == "FILL_OR_DROP" else "clip"


@moves("gather", data=lambda i: i == 0)
def _gather(t: Translator, eqn: Any, x: Array, indices: Array) -> Array:
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    shape = eqn.outputs[0].aval.shape
    sizes = p["slice_sizes"]
    (x,) = t.ready(x)
    (indices,) = t.ready(indices)
    batching = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    inside = [d for d in range(len(x.shape)) if d not in (*numbers.collapsed_slice_dims, *batching)]
    outer = [d for d in range(len(shape)) if d not in numbers.offset_dims]

    def read(index: Index) -> str:
        batch = tuple(index[d] for d in outer)
        starts = {
            d: t.named(t.at(indices, (*batch, str(k))))
            for k, d in enumerate(numbers.start_index_map)
        }
        offsets = dict(zip(inside, (index[d] for d in numbers.offset_dims), strict=True))
        where, guards = [], []
        for d, whole in enumerate(x.shape):
            last = whole - sizes[d]
            begin = batch[batching[d]] if d in batching else "0"
            if d in starts:
                begin = t.named(_clamped(starts[d], last))
                guards.append(_in_range(starts[d], last))
            where.append(plus(begin, offsets.get(d, "0")))
        element = t.at(x, tuple(where))
        guard = "&&".join(g for g in guards if g)
        return f"({guard}?{element}:{filling})" if _mode(eqn) == "fill" and guard else element

    filling = _filling(x.dtype, p.get("fill_value"), t.part)
    return t.array(shape, x.dtype, read, x.cost + indices.cost + 2)


def _filling(dtype: str, value: Any, part: int) -> str:
    """What JAX puts where an index lies outside; of a complex number the real or other part."""
    if value is not None:
        return literal(np.asarray((np.imag if part else np.real)(value)).item(), dtype)
    if dtype in FLOATS:
        return "0" if part else "NaN"
    return {"int32": "(-2147483648)", "uint32": "4294967295", "bool": "true"}.get(
        dtype, "(-9223372036854775808)"
    )


def _in_range(i: str, last: int) -> str:
    """Whether an index is in 0..last; empty where that is known."""
    if i.isdigit():
        return "" if int(i) <= last else "false"
    return f"{i}>=0&&{i}<={last}"


_COMBINED = {
    "scatter": "{1}",
    "scatter_add": "{0}+{1}",
    "scatter-add": "{0}+{1}",
    "scatter_sub": "{0}-{1}",
    "scatter-sub": "{0}-{1}",
    "scatter_mul": "{0}*{1}",
    "scatter-mul": "{0}*{1}",
    "scatter_min": "Math.min({0},{1})",
    "scatter-min": "Math.min({0},{1})",
    "scatter_max": "Math.max({0},{1})",
    "scatter-max": "Math.max({0},{1})",
}


def _scatter(t: Translator, eqn: Any, x: Array, indices: Array, updates: Array) -> Array:
    numbers = eqn.params["dimension_numbers"]
    text = _COMBINED[eqn.name]
    if x.dtype == "int64" and ("+" in text or "-" in text):
        text = f"whole({text})+0"
    if "*" in text and x.dtype not in FLOATS:
        text = {"int32": "Math.imul({0},{1})", "uint32": "Math.imul({0},{1})"}.get(x.dtype, "")
        if not text:
            raise Untranslatable(f"{eqn.name} on {x.dtype} values")
    (indices,) = t.ready(indices)
    (result,) = t.copied(x)
    batching = dict(
        zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True)
    )
    inserted = numbers.inserted_window_dims
    inside = [d for d in range(len(x.shape)) if d not in (*inserted, *batching)]
    windows = {d: updates.shape[u] for d, u in zip(inside, numbers.update_window_dims, strict=True)}
    outer = [d for d in range(len(updates.shape)) if d not in numbers.update_window_dims]

    def element(index: Index) -> None:
        batch = tuple(index[d] for d in outer)
        offsets = dict(zip(inside, (index[d] for d in numbers.update_window_dims), strict=True))
        where, guards = [], []
        for d, whole in enumerate(x.shape):
            begin = batch[batching[d]] if d in batching else "0"
            if d in numbers.scatter_dims_to_operand_dims:
                k = numbers.scatter_dims_to_operand_dims.index(d)
                start = t.named(t.at(indices, (*batch, str(k))))
                last = whole - windows.get(d, 1)
                guards.append(_in_range(start, last))
                begin = t.named(_clamped(start, last))
            where.append(plus(begin, offsets.get(d, "0")))
        target = f"{result.buffer}[{place(tuple(where), x.shape)}]"
        new = text.format(target, t.at(updates, index))
        guard = "&&".join(g for g in guards if g)
        dropped = _mode(eqn) == "fill" and guard
        t.line((f"if({guard})" if dropped else "") + f"{target}={new};")

    t.loops(updates.shape, element)
    return result


for _name in _COMBINED:
    moves(_name, data=lambda i: i != 1)(_scatter)
