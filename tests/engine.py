"""Runs translated programs in V8, inside Python."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from py_mini_racer import MiniRacer

from optdyn.javascript import Program

ARRAYS = {
    "float64": ("Float64Array", "f8"),
    "float32": ("Float32Array", "f4"),
    "int32": ("Int32Array", "i4"),
    "uint32": ("Uint32Array", "u4"),
    "int64": ("Float64Array", "f8"),
    "bool": ("Uint8Array", "u1"),
}
PARTS = {"complex128": "float64", "complex64": "float32"}


@dataclass(frozen=True)  # a leaf, which a NamedTuple is not
class Handle:
    """A typed array in the engine."""

    name: str


class Engine:
    """A JavaScript engine; numbers go in and out through memory that both sides see."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def __enter__(self) -> Engine:
        self._racer = MiniRacer().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._racer.__exit__(kind, error, trace)

    def evaluate(self, text: str) -> Any:
        return self._racer.eval(text)

    def run(self, program: Program, *arguments: Any) -> list[np.ndarray]:
        """The leaves of a program's result, as NumPy arrays of its types and shapes."""
        self._call("out", program.source, jax.tree.leaves(arguments))
        found, place = [], 0
        for dtype, shape in program.results:
            part = PARTS.get(dtype, dtype)
            arrays = [self._get(f"out[{place + k}]", part) for k in range(1 + (part != dtype))]
            place += len(arrays)
            whole = arrays[0].astype(dtype)
            if part != dtype:
                whole.imag = arrays[1]  # a sum would turn -0 into 0 and 2 + inf j into nan + inf j
            found.append(whole.reshape(shape))
        return found

    def call(self, source: str, leaves: list[Any], count: int) -> list[Handle]:
        """The result of a program kept in the engine: its leaves, to be arguments of another."""
        self._call("kept", source, leaves)
        if self.evaluate("kept.length") != count:
            raise ValueError(f"the program returns {self.evaluate('kept.length')}, not {count}")
        return [Handle(f"kept[{i}]") for i in range(count)]

    def _call(self, result: str, source: str, leaves: list[Any]) -> None:
        if source not in self._made:
            name = f"program{len(self._made)}"
            self.evaluate(f"var {name} = ({source})(); 0")
            self._made[source] = name
        names = [n for i, leaf in enumerate(leaves) for n in self._put(f"in{i}", leaf)]
        self.evaluate(f"var {result} = {self._made[source]}({','.join(names)}); 0")

    def _put(self, name: str, leaf: Any) -> list[str]:
        """Make globals of an argument; their names."""
        if isinstance(leaf, Handle):
            return [leaf.name]
        if jnp.issubdtype(getattr(leaf, "dtype", np.float64), jax.dtypes.prng_key):
            leaf = np.asarray(jax.random.key_data(leaf))
        array = leaf if isinstance(leaf, np.ndarray) else np.asarray(jnp.asarray(leaf))
        if np.iscomplexobj(array):
            halves = {f"{name}r": array.real, f"{name}i": array.imag}
            return [n for k, half in halves.items() for n in self._put(k, np.atleast_1d(half))]
        kind, code = ARRAYS[str(array.dtype)]
        memory = self.evaluate(f"var {name} = new {kind}({max(array.size, 1)}); {name}")
        np.frombuffer(memory, code)[: array.size] = array.ravel()
        if array.shape == ():
            return [f"{name}[0]"]
        return [f"{name}.subarray(0, {array.size})"]

    def _get(self, name: str, dtype: str) -> np.ndarray:
        if self.evaluate(f"{name}.constructor.name") != ARRAYS[dtype][0]:
            raise TypeError(f"{name} is not {ARRAYS[dtype][0]}")
        if not self.evaluate(f"{name}.length"):
            return np.zeros(0, dtype)
        return np.array(np.frombuffer(self.evaluate(name), ARRAYS[dtype][1]))


def difference(found: Any, expected: Any) -> float:
    """The largest |found - expected| / (1 + |expected|); NaN and infinities count as values."""
    found, expected = np.ravel(found), np.ravel(np.asarray(expected))
    if found.shape != expected.shape:
        return np.inf
    if np.iscomplexobj(found) or np.iscomplexobj(expected):
        found, expected = found.astype(complex), expected.astype(complex)
        size = 1 + np.abs(expected)
        parts = [(found.real, expected.real, size), (found.imag, expected.imag, size)]
        return max(_difference(*part) for part in parts)
    found, expected = found.astype(float), expected.astype(float)
    return _difference(found, expected, 1 + np.abs(expected))


def _difference(found: np.ndarray, expected: np.ndarray, size: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        apart = np.abs(found - expected) / size
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return float(apart.max(initial=0.0))
