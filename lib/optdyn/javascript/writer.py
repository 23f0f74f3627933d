"""JavaScript text: values as recipes, loops, names and buffers. It knows nothing of JAX.

An :class:`Array` is a recipe: ask for the element at an index and a JavaScript expression comes
back. Element-wise operations only put recipes together, so a chain of them becomes one loop without
intermediate buffers. A recipe may need statements of its own (a sum is a loop), or be used twice;
then the :class:`Writer` puts them where they are run as seldom as possible: into the outermost
block in which every loop variable of the index, and all that the recipe is made of, is known.

Indices are JavaScript expressions too, as strings; whole numbers in them are folded.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Index = tuple[str, ...]

TYPED_ARRAY = {
    "float64": "Float64Array",
    "float32": "Float32Array",
    "int32": "Int32Array",
    "uint32": "Uint32Array",
    "int64": "Float64Array",
    "bool": "Uint8Array",
}
UNROLLED = 4  # loops of at most so many elements are written out
CHEAP = 3  # operations that are done again rather than stored
DEEP = 40  # equations nested in one recipe before it is written down

_ATOM = re.compile(r"[A-Za-z_$][\w$]*|\d+(\.\d+)?(e[+-]?\d+)?")
_SINGLE = re.compile(r"(?!const |let )[^;{]*;")  # a statement that needs no braces
_NAME = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(eq=False)
class Array:
    """A value: its shape, storage type, and how the element at an index is computed.

    ``cost`` counts the operations of an element, 0 for what is read or spelled out; ``depth`` is
    the number of blocks around the place where it was made; ``shared`` elements are given a name,
    for they are used more than once; ``buffer`` names the typed array that holds it, row by row;
    ``levels`` counts the equations that its recipe is nested from.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[Index], str]
    cost: int = 0
    depth: int = 0
    shared: bool = False
    buffer: str = ""
    levels: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class Block:
    """A stretch of statements, and what is known inside it."""

    lines: list[str] = field(default_factory=list)
    elements: dict[tuple[Array, Index], str] = field(default_factory=dict)
    stored: dict[Array, Array] = field(default_factory=dict)
    results: dict[Any, Any] = field(default_factory=dict)  # value numbers, the translator's


# --- expressions ---------------------------------------------------------------------------------


def is_atom(expression: str) -> bool:
    """Whether an expression is a name or a number, which may be repeated for nothing."""
    return _ATOM.fullmatch(expression) is not None


def literal(value: Any, dtype: str) -> str:
    """A number of a storage type as JavaScript, to the last bit.

    >>> literal(-0.5, "float64"), literal(float("inf"), "float64"), literal(True, "bool")
    ('(-0.5)', 'Infinity', 'true')
    """
    if dtype == "bool":
        return "true" if value else "false"
    if dtype in ("int32", "uint32", "int64"):
        return str(int(value)) if value >= 0 else f"({int(value)})"
    value = float(value)
    if math.isnan(value):
        return "NaN"
    text = "Infinity" if math.isinf(value) else repr(abs(value)).removesuffix(".0")
    return f"(-{text})" if math.copysign(1, value) < 0 else text


def bracketed(expression: str) -> str:
    """An expression that can be an operand."""
    return expression if is_atom(expression) else f"({expression})"


def _exact(whole: int) -> bool:
    """Whether a double serves for an int64: up to 2^53, and the type's ends, which only bound."""
    return abs(whole) <= 2**53 or whole in (-(2**63), 2**63 - 1)


def plus(*terms: str | int) -> str:
    """A sum of index expressions, whole numbers folded.

    >>> plus("i", 2, 3), plus("i", 0), plus(1, 1)
    ('i+5', 'i', '2')
    """
    whole = sum(int(t) for t in terms if _whole(t))
    rest = [str(t) for t in terms if not _whole(t)]
    text = "+".join(rest)
    if not rest:
        return str(whole)
    return text if whole == 0 else f"{text}{whole:+d}"


def times(a: str, k: int) -> str:
    """An index expression times a whole number.

    >>> times("i+1", 3), times("2", 3), times("i", 1)
    ('(i+1)*3', '6', 'i')
    """
    if _whole(a):
        return str(int(a) * k)
    if k == 1:
        return a
    return f"{a}*{k}" if is_atom(a) else f"({a})*{k}"


def _whole(text: str | int) -> bool:
    return isinstance(text, int | np.integer) or re.fullmatch(r"-?\d+", text) is not None


def place(index: Index, shape: Sequence[int]) -> str:
    """Where an element lies in a row-major array.

    >>> place(("i", "j"), (3, 4)), place(("0", "j"), (1, 4))
    ('i*4+j', 'j')
    """
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return plus(*(times(i, s) for i, s, d in zip(index, strides, shape, strict=True) if d > 1))


def fitted(index: Index, shape: Sequence[int]) -> Index:
    """An index into what is broadcast to a larger shape: its dimensions of size one stay at 0."""
    if not shape:
        return ()
    return tuple("0" if d == 1 else i for i, d in zip(index, shape, strict=True))


def rounded(dtype: str, expression: str) -> str:
    """The result of an operation brought into its type."""
    if dtype == "float32":
        return f"F({expression})"
    if dtype == "int32":
        return f"({expression}|0)"
    if dtype == "uint32":
        return f"({bracketed(expression)}>>>0)"  # & and | bind less than >>>
    if dtype == "int64":
        return f"(whole({expression})+0)"  # + 0 turns -0 into 0
    return f"({expression})"


# --- statements ----------------------------------------------------------------------------------


class Writer:
    """Collects the statements of one function and the buffers it needs."""

    def __init__(self) -> None:
        self.prelude: list[str] = []
        self.blocks = [Block()]
        self._depths: dict[str, int] = {}
        self._numbers = itertools.count()
        self._constants: dict[tuple[str, bytes], str] = {}

    @property
    def depth(self) -> int:
        return len(self.blocks) - 1

    def line(self, text: str) -> None:
        self.blocks[-1].lines.append(text)

    def name(self, prefix: str) -> str:
        """A new name, known in the present block."""
        made = f"{prefix}{next(self._numbers)}"
        self._depths[made] = self.depth
        return made

    @contextmanager
    def block(self, header: str) -> Iterator[Block]:
        """The statements written inside stand in braces after ``header``."""
        self.blocks.append(Block())
        yield self.blocks[-1]
        lines = self.blocks.pop().lines
        if len(lines) == 1 and header.startswith("for") and _SINGLE.fullmatch(lines[0]):
            self.line(header + lines[0])
            return
        self.line(header + "{")
        for text in lines:
            self.line("  " + text)
        self.line("}")

    @contextmanager
    def _outside(self, depth: int) -> Iterator[None]:
        """Statements written inside go into an outer block, before those that are open in it."""
        whole = self.blocks
        self.blocks = whole[: depth + 1]
        yield
        self.blocks = whole

    @contextmanager
    def loop(self, length: int, *, reverse: bool = False, prefix: str = "i") -> Iterator[str]:
        """A counted loop; gives its variable."""
        i = self.name(prefix)
        self._depths[i] = self.depth + 1
        up = f"for(let {i}=0;{i}<{length};{i}++)"
        down = f"for(let {i}={length - 1};{i}>=0;{i}--)"
        with self.block(down if reverse else up):
            yield i

    def loops(self, shape: Sequence[int], body: Callable[[Index], None]) -> None:
        """``body(index)`` for each index of a shape: nested loops, written out where short."""
        if math.prod(shape) <= UNROLLED:
            for index in np.ndindex(*shape):
                body(tuple(map(str, index)))
            return

        def nest(index: Index, rest: Sequence[int]) -> None:
            if not rest:
                body(index)
            elif rest[0] == 1:
                nest((*index, "0"), rest[1:])
            else:
                with self.loop(rest[0]) as i:
                    nest((*index, i), rest[1:])

        nest((), shape)

    # --- elements

    def at(self, array: Array, index: Index) -> str:
        """The element of an array at an index, as an expression; a shared one is named once."""
        if not (array.shared and array.cost):
            return array.read(index)
        key = (array, index)
        for block in reversed(self.blocks):
            if key in block.elements:
                return block.elements[key]
        names = (n for i in index for n in _NAME.findall(i))
        with self._outside(max([array.depth, *(self._depths.get(n, 0) for n in names)])):
            expression = self.named(array.read(index))
            self.blocks[-1].elements[key] = expression
        return expression

    def named(self, expression: str, prefix: str = "v") -> str:
        """A name or number for an expression, so that it can stand in several places."""
        if is_atom(expression):
            return expression
        name = self.name(prefix)
        self.line(f"const {name}={expression};")
        return name

    def item(self, array: Array) -> str:
        """The one element of an array of size one, named."""
        return self.named(self.at(array, ("0",) * len(array.shape)))

    # --- arrays

    def array(
        self,
        shape: Sequence[int],
        dtype: str,
        read: Callable[[Index], str],
        cost: int,
        *,
        shared: bool = False,
    ) -> Array:
        """A recipe made here."""
        shape = tuple(shape)
        alone = math.prod(shape) == 1
        return Array(shape, dtype, read, min(cost, 10**9), self.depth, shared or alone)

    def map(
        self,
        shape: Sequence[int],
        dtype: str,
        operation: Callable[..., str],
        *arrays: Array,
        cost: int = 1,
        shared: bool = False,
        repeats: bool = False,
    ) -> Array:
        """``operation`` on the elements of arrays of one shape; those of size one are repeated.

        ``repeats``: the operation writes an operand more than once, so each gets a name.
        """
        size = math.prod(shape)
        arrays = tuple(self.ready(a)[0] if a.size < size else a for a in arrays)

        def read(index: Index) -> str:
            elements = [self.at(a, fitted(index, a.shape)) for a in arrays]
            return operation(*(map(self.named, elements) if repeats else elements))

        total = cost + sum(a.cost for a in arrays)
        return self.array(shape, dtype, read, total, shared=shared)

    def filled(self, shape: Sequence[int], dtype: str, expression: str) -> Array:
        """One atom everywhere."""
        return Array(tuple(shape), dtype, lambda _: expression)

    def held(self, buffer: str, shape: Sequence[int], dtype: str) -> Array:
        """What a typed array of this name holds."""
        shape = tuple(shape)
        return Array(
            shape,
            dtype,
            lambda index: f"{buffer}[{place(index, shape)}]",
            depth=self.depth,
            buffer=buffer,
        )

    def buffer(self, size: int, dtype: str) -> str:
        """A new typed array, made once and for all calls."""
        name = f"b{next(self._numbers)}"
        self.prelude.append(f"const {name}=new {TYPED_ARRAY[dtype]}({size});")
        return name

    def constant(self, values: np.ndarray, dtype: str) -> Array:
        """Numbers known now; equal ones are written once."""
        if dtype == "int64" and not all(map(_exact, values.ravel().tolist())):
            raise OverflowError("a whole number beyond 2^53")
        if values.size == 1:
            return self.filled(values.shape, dtype, literal(values.item(), dtype))
        if values.size and values.tobytes() == values.ravel()[:1].tobytes() * values.size:
            return self.filled(values.shape, dtype, literal(values.flat[0].item(), dtype))
        key = (dtype, values.tobytes())
        if key not in self._constants:
            name = f"k{next(self._numbers)}"
            numbers = ",".join(literal(v, dtype).strip("()") for v in values.ravel().tolist())
            if dtype == "bool":
                numbers = numbers.replace("true", "1").replace("false", "0")
            self.prelude.append(f"const {name}=new {TYPED_ARRAY[dtype]}([{numbers}]);")
            self._constants[key] = name
        held = self.held(self._constants[key], values.shape, dtype)
        held.depth = 0
        return held

    def write(self, targets: Sequence[tuple[Array, str, str]]) -> None:
        """Compute arrays into typed arrays: (array, buffer, where its first element goes).

        Those of one shape are computed in one loop and may share what they are made of.
        """
        by_shape: dict[tuple[int, ...], list[tuple[Array, str, str]]] = {}
        for array, buffer, start in targets:
            if array.buffer and array.size > UNROLLED and start == "0":
                self.line(f"{buffer}.set({array.buffer});")  # both hold as many elements
            else:
                by_shape.setdefault(array.shape, []).append((array, buffer, start))
        for shape, group in by_shape.items():

            def elements(index: Index, group: Any = group, shape: Any = shape) -> None:
                for array, buffer, start in group:
                    where = plus(start, place(index, shape))
                    self.line(f"{buffer}[{where}]={self.at(array, index)};")

            self.loops(shape, elements)

    def copied(self, *arrays: Array) -> tuple[Array, ...]:
        """The arrays in buffers that nobody else uses."""
        names = [self.buffer(a.size, a.dtype) for a in arrays]
        self.write([(a, name, "0") for a, name in zip(arrays, names, strict=True)])
        return tuple(self.held(n, a.shape, a.dtype) for a, n in zip(arrays, names, strict=True))

    def stored(self, array: Array) -> Array:
        """The array in a buffer, computed now if it is not there yet."""
        return array if array.buffer else self._once(array)[0]

    def ready(self, *arrays: Array) -> tuple[Array, ...]:
        """The arrays, stored where their elements are too dear to be computed again and again."""
        dear = [a for a in arrays if a.cost > CHEAP and a.size > 1 and not a.buffer]
        found = dict(zip(dear, self._once(*dear), strict=True))
        return tuple(found.get(a, a) for a in arrays)

    def settled(self, array: Array) -> Array:
        """The array, its recipe written down if it is nested from many equations."""
        if array.levels <= DEEP or not array.cost:
            return array
        if array.size != 1:
            return self.stored(array)
        alone = self.filled(array.shape, array.dtype, self.item(array))
        alone.depth = array.depth
        return alone

    def _once(self, *arrays: Array) -> list[Array]:
        """The arrays in buffers to read from, those of before where there are any."""
        known = {a: h for block in self.blocks for a, h in block.stored.items()}
        new = [a for a in arrays if a not in known]
        self.blocks[-1].stored.update(zip(new, self.copied(*new), strict=True))
        return [known.get(a) or self.blocks[-1].stored[a] for a in arrays]

    def text(self) -> list[str]:
        """The statements written so far."""
        return self.blocks[0].lines
