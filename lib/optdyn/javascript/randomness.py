"""Rules of JAX's keys and random words: threefry in counter mode, to the bit.

A key is two 32-bit words. 64-bit words are pairs too, as far as random numbers need them.
"""

from __future__ import annotations

import math
from typing import Any

import jax

from optdyn.javascript.translator import (
    WIDE,
    Translator,
    Untranslatable,
    Value,
    dtype_of,
    narrow,
    values,
    wide,
)
from optdyn.javascript.writer import Array, Index, fitted, place


def _keys(t: Translator, key: Value) -> tuple[Array, Array]:
    if not jax.config.jax_threefry_partitionable:  # type: ignore[attr-defined]
        raise Untranslatable("random numbers with jax_threefry_partitionable off")
    first, second = key.parts
    return first, second


@values("random_seed")
def _random_seed(t: Translator, eqn: Any, seed: Value) -> list[Value]:
    (x,) = seed.parts
    high = "0" if x.dtype in ("int32", "uint32") else "(Math.floor({0}/4294967296)>>>0)"
    parts = tuple(
        t.map(x.shape, "uint32", text.format, x, shared=True) for text in (high, "({0}>>>0)")
    )
    return [Value("key<fry>", parts)]


@values("random_wrap")
def _random_wrap(t: Translator, eqn: Any, words: Value) -> list[Value]:
    (x,) = words.parts
    (x,) = t.ready(x)

    def part(k: str) -> Array:
        return t.array(x.shape[:-1], "uint32", lambda index: t.at(x, (*index, k)), x.cost)

    return [Value("key<fry>", (part("0"), part("1")))]


@values("random_unwrap")
def _random_unwrap(t: Translator, eqn: Any, key: Value) -> list[Value]:
    shape = (*key.shape, 2)
    buffer = t.buffer(math.prod(shape), "uint32")

    def both(index: Index) -> None:
        for k, part in enumerate(key.parts):
            t.line(f"{buffer}[{place((*index, str(k)), shape)}]={t.at(part, index)};")

    t.loops(key.shape, both)
    return [narrow(t.held(buffer, shape, "uint32"))]


@values("random_clone")
def _random_clone(t: Translator, eqn: Any, key: Value) -> list[Value]:
    return [key]


def _blocks(t: Translator, key: Value, inner: tuple[int, ...], count: Any) -> list[Value]:
    """New keys: the two words of the threefry block that ``count(index)`` asks for."""
    first, second = _keys(t, key)
    shape = (*key.shape, *inner)
    words = t.buffer(2, "uint32")
    made = [t.buffer(math.prod(shape), "uint32") for _ in range(2)]

    def one(index: Index) -> None:
        outer = index[: len(key.shape)]
        k0, k1 = (t.named(t.at(part, outer)) for part in (first, second))
        high, low = count(index)
        t.line(f"threefry({k0},{k1},{high},{low},{words},0);")
        for k, buffer in enumerate(made):
            t.line(f"{buffer}[{place(index, shape)}]={words}[{k}];")

    t.loops(shape, one)
    return [Value("key<fry>", tuple(t.held(b, shape, "uint32") for b in made))]


@values("random_split")
def _random_split(t: Translator, eqn: Any, key: Value) -> list[Value]:
    inner = tuple(eqn.params["shape"])
    rank = len(key.shape)
    return _blocks(t, key, inner, lambda index: ("0", place(index[rank:], inner)))


@values("random_fold_in")
def _random_fold_in(t: Translator, eqn: Any, key: Value, data: Value) -> list[Value]:
    (x,) = data.parts
    if x.dtype not in ("uint32", "int32"):
        raise Untranslatable(f"random_fold_in of {x.dtype}")
    shape = eqn.outputs[0].aval.shape
    return _blocks(
        t, _spread(t, key, shape), (), lambda index: ("0", t.at(x, fitted(index, x.shape)))
    )


def _spread(t: Translator, key: Value, shape: tuple[int, ...]) -> Value:
    """A key in the places of a shape, if it is one."""
    if key.shape == shape:
        return key
    parts = (t.map(shape, "uint32", str, part, cost=0) for part in key.parts)
    return Value(key.dtype, tuple(parts))


@values("random_bits")
def _random_bits(t: Translator, eqn: Any, key: Value) -> list[Value]:
    dtype = dtype_of(eqn.outputs[0].aval)
    if dtype not in ("uint32", "uint64"):
        raise Untranslatable(f"random words of {eqn.params['bit_width']} bits")
    first, second = _keys(t, key)
    n = math.prod(eqn.params["shape"])
    shape = eqn.outputs[0].aval.shape
    buffers = [t.buffer(math.prod(shape), "uint32") for _ in range(2 if dtype in WIDE else 1)]
    name = "random_words_64" if dtype in WIDE else "random_words"

    def fill(index: Index) -> None:
        k0, k1 = (t.named(t.at(part, index)) for part in (first, second))
        at = place((*index, "0"), (*key.shape, n))
        t.line(f"{name}({k0},{k1},{n},{','.join(buffers)},{at});")

    t.loops(key.shape, fill)
    return [Value(dtype, tuple(t.held(b, shape, "uint32") for b in buffers))]


@values("random_gamma", "rng_bit_generator", "rng_uniform", "threefry2x32")
def _refused(t: Translator, eqn: Any, *operands: Value) -> list[Value]:
    raise Untranslatable(f"{eqn.name} (use jax.random with keys)")


# --- 64-bit words --------------------------------------------------------------------------------


def _both(t: Translator, eqn: Any, texts: tuple[str, str], *operands: Value) -> list[Value]:
    """High and low word from the words {0}, {1} of the first operand and {2}, {3} of the second."""
    parts = [part for operand in operands for part in operand.parts]
    shape = eqn.outputs[0].aval.shape
    made = tuple(
        t.map(shape, "uint32", text.format, *parts, repeats=True, shared=True) for text in texts
    )
    return [Value("uint64", made)]


def _bitwise(name: str, sign: str) -> None:
    @wide("uint64", name)
    def rule(t: Translator, eqn: Any, x: Value, y: Value) -> list[Value]:
        texts = ("(({0}" + sign + "{2})>>>0)", "(({1}" + sign + "{3})>>>0)")
        return _both(t, eqn, texts, x, y)


for _name, _sign in (("and", "&"), ("or", "|"), ("xor", "^")):
    _bitwise(_name, _sign)


_WORDS = ("(BigInt({0})<<32n|BigInt({1}))", "(BigInt({2})<<32n|BigInt({3}))")


def _arithmetic(name: str, text: str) -> None:
    """Exact, by JavaScript's large integers; meant for the few that a random integer needs."""

    @wide("uint64", name)
    def rule(t: Translator, eqn: Any, x: Value, y: Value) -> list[Value]:
        whole = "BigInt.asUintN(64," + text.format(*_WORDS) + ")"
        return _both(t, eqn, (f"Number({whole}>>32n)", f"Number({whole}&4294967295n)"), x, y)


for _name, _text in (
    ("add", "{}+{}"), ("sub", "{}-{}"), ("mul", "{}*{}"),
    ("rem", "({1}===0n?{0}:{0}%{1})"), ("div", "({1}===0n?-1n:{0}/{1})"),
):  # fmt: skip
    _arithmetic(_name, _text)


@wide("uint64", "shift_right_logical")
def _shift_right(t: Translator, eqn: Any, x: Value, by: Value) -> list[Value]:
    text = by.parts[1].read(("0",) * len(by.shape))
    if not text.isdigit() or not 0 < int(text) < 32:
        raise Untranslatable(f"a shift of 64-bit words by {text} (1 to 31 are there)")
    n = int(text)
    texts = (f"({{0}}>>>{n})", f"(({{1}}>>>{n}|{{0}}<<{32 - n})>>>0)")
    return _both(t, eqn, texts, x)


@wide("uint64", "bitcast_convert_type")
def _bitcast(t: Translator, eqn: Any, x: Value) -> list[Value]:
    if dtype_of(eqn.outputs[0].aval) != "float64":
        raise Untranslatable("the bits of uint64 as another type than float64")
    shape = eqn.outputs[0].aval.shape
    return [narrow(t.map(shape, "float64", "bits_double({0},{1})".format, *x.parts, cost=3))]


@wide("uint64", "convert_element_type")
def _convert(t: Translator, eqn: Any, x: Value) -> list[Value]:
    new = dtype_of(eqn.outputs[0].aval)
    if new == "uint64" and len(x.parts) == 1 and x.dtype in ("uint32", "bool"):
        (low,) = x.parts
        return [Value("uint64", (t.filled(x.shape, "uint32", "0"), low))]
    if new == "uint64" and x.dtype in ("int64", "int32"):
        (low,) = x.parts
        high = t.map(x.shape, "uint32", "(Math.floor({}/4294967296)>>>0)".format, low, shared=True)
        return [Value("uint64", (high, t.map(x.shape, "uint32", "({}>>>0)".format, low)))]
    texts = {
        "uint32": "{1}",
        "float64": "({0}*4294967296+{1})",
        "int64": "whole(({0}|0)*4294967296+{1})",
    }
    if x.dtype == "uint64" and new in texts:
        return [narrow(t.map(x.shape, new, texts[new].format, *x.parts))]
    raise Untranslatable(f"{x.dtype} as {new}")
