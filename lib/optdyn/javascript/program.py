"""A translated function: what it takes, what it returns, and its text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from optdyn.javascript import algebra, complex_numbers, control, layout, randomness, reductions
from optdyn.javascript.translator import Translator, Value, dtype_of, parts_of
from optdyn.javascript.writer import Array

RULES = (algebra, complex_numbers, control, layout, randomness, reductions)  # they register theirs


class Leaf(NamedTuple):
    """The type and shape of one argument or result."""

    dtype: str
    shape: tuple[int, ...]


class Program(NamedTuple):
    """A function in JavaScript.

    ``source`` is an expression: a function without arguments that makes the buffers once and
    returns the translated function. That takes one argument a leaf of the examples, in the order of
    ``jax.tree.leaves``: scalars as numbers, arrays as row-major typed arrays, a key as the
    Uint32Array of its two words, a complex leaf as two arrays, real and imaginary. It returns an
    array of typed arrays, one a leaf of the result, two for a complex one; they belong to the
    program, and its next call writes them anew. int64 and its arrays are doubles, exact to 2^53.
    """

    source: str
    arguments: tuple[Leaf, ...]
    results: tuple[Leaf, ...]


def translate(fn: Callable[..., Any], *examples: Any) -> Program:
    """Translate a JAX function to JavaScript.

    Arguments:
        fn: a traceable function of pytrees.
        examples: its arguments, or what has their shapes and types; the values do not matter.
    Returns:
        A :class:`Program`. Its text is the same each time.
    Raises:
        Untranslatable: for a primitive or type without a rule; names it and the line of ``fn``.
        TypeError: for a function that is none.

    >>> import jax.numpy as jnp
    >>> program = translate(lambda x: {"twice": 2 * x}, jnp.ones(3, "float32"))
    >>> program.arguments, program.results[0].shape
    ((Leaf(dtype='float32', shape=(3,)),), (3,))
    """
    if not callable(fn):
        raise TypeError(f"fn must be a function; got {fn!r}. Pass it without calling it.")
    closed = jax.make_jaxpr(fn)(*examples)
    t = Translator()
    names: list[str] = []
    operands = []
    for variable in closed.jaxpr.invars:
        own, value = _argument(t, variable.aval)
        names += own
        operands.append(value)
    results = [_held(t, value) for value in t.run(closed, operands)]
    returned = ",".join(a.buffer for value in results for a in value.parts)
    body = ["return (" + ",".join(names) + ")=>{", *("  " + line for line in t.text())]
    body += [f"  return [{returned}];", "};"]
    lines = [*t.prelude, *body]
    text = "\n".join(["()=>{", *needed("\n".join(lines)), *lines, "}"])
    return Program(
        text,
        tuple(Leaf(dtype_of(v.aval), v.aval.shape) for v in closed.jaxpr.invars),
        tuple(Leaf(value.dtype, value.shape) for value in results),
    )


def _argument(t: Translator, aval: Any) -> tuple[list[str], Value]:
    """The JavaScript arguments of a leaf, and the value that they make."""
    dtype = dtype_of(aval)
    if dtype == "uint64":
        raise TypeError("an argument is of type uint64; pass uint32 or int64 values.")
    if dtype == "key<fry>":
        name = t.name("a")
        rank = (*aval.shape, 2)
        words = t.held(name, rank, "uint32")

        def word(k: str) -> Array:
            return Array(aval.shape, "uint32", lambda index: words.read((*index, k)))

        return [name], Value(dtype, (word("0"), word("1")))
    names = [t.name("a") for _ in parts_of(dtype)]
    if aval.shape == () and len(names) == 1:
        return names, Value(dtype, (t.filled((), dtype, names[0]),))
    parts = (t.held(n, aval.shape, d) for n, d in zip(names, parts_of(dtype), strict=True))
    return names, Value(dtype, tuple(parts))


def _held(t: Translator, value: Value) -> Value:
    """A result in typed arrays that are the program's, not its arguments or constants."""
    if value.dtype in ("uint64", "key<fry>"):
        raise TypeError(f"a result is of type {value.dtype}; return numbers.")
    own = (a if a.buffer.startswith("b") else t.copied(a)[0] for a in value.parts)
    return Value(value.dtype, tuple(own))


# --- the functions that programs call ------------------------------------------------------------


@functools.cache
def runtime() -> dict[str, str]:
    """The functions and constants of runtime.js by name, in order, without comments."""
    text = Path(__file__).with_name("runtime.js").read_text("utf8")
    pattern = r"^(?:function (\w+)\(.*?^\}|const (\w+) =.*?;)$"
    found = re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    return {m.group(1) or m.group(2): _bare(m.group(0)) for m in found}


def _bare(text: str) -> str:
    """JavaScript without its line comments and indentation."""
    lines = (re.sub(r"\s*//.*$", "", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def needed(text: str) -> list[str]:
    """What a program's text names of the runtime, and what that names, in order."""
    known = runtime()
    wanted: set[str] = set()
    fresh = {word for word in re.findall(r"\w+", text) if word in known}
    while fresh:
        wanted |= fresh
        words = {word for name in fresh for word in re.findall(r"\w+", known[name])}
        fresh = {word for word in words if word in known} - wanted
    rounding = ["const F=Math.fround;"] if re.search(r"\bF\(", text) else []
    return rounding + [source for name, source in known.items() if name in wanted]
