"""A jaxpr as a flat list of equations, and what of it is needed.

Functions that a jaxpr calls (``jit``, custom derivatives, linear solves) are put in their place, so
that what follows sees one list. Variables are made anew each time, for one called jaxpr may stand
in several places.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend import core


class Variable:
    """A value that an equation makes; ``aval`` has its shape and type."""

    def __init__(self, aval: Any) -> None:
        self.aval = aval


class Constant(NamedTuple):
    """A value that is known now."""

    value: Any


Atom = Variable | Constant


class Equation(NamedTuple):
    """``outputs = name(inputs, params)``; ``source`` knows the line of the user's function."""

    name: str
    inputs: tuple[Atom, ...]
    outputs: tuple[Variable, ...]
    params: dict[str, Any]
    source: Any


class Listing(NamedTuple):
    """The equations of a closed jaxpr."""

    inputs: tuple[Variable, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]


_CALLED = {  # a primitive that calls a jaxpr, and where it has it
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}


# Primitives of JAX 0.12 that are one operation of several: by their parameters, the function.
_SPELLED_OUT: dict[str, Callable[[dict[str, Any]], Callable[..., Any]]] = {
    "log2": lambda _: lambda x: lax.mul(lax.log(x), lax.full_like(x, 1 / math.log(2))),
    "one_minus_square": lambda _: lambda x: lax.mul(1 + x, 1 - x),
    "polynomial": lambda _: _horner,
    "unstack": lambda p: (
        lambda x: [
            lax.index_in_dim(x, i, p["axis"], keepdims=False) for i in range(x.shape[p["axis"]])
        ]
    ),
    "call_hi_primitive": lambda p: p["_prim"].expand,
}


def _horner(x: Any, *coefficients: Any) -> Any:
    """The polynomial whose coefficients begin with the constant one."""
    *rest, total = coefficients
    for c in reversed(rest):
        total = total * x + c
    return total


def listing(closed: Any) -> Listing:
    """The flat list of a closed jaxpr's equations."""
    equations: list[Equation] = []

    def walk(
        jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Atom], caller: Any = None
    ) -> tuple[Atom, ...]:
        found: dict[Any, Atom] = dict(zip(jaxpr.constvars, map(Constant, constants), strict=True))
        found |= dict(zip(jaxpr.invars, inputs, strict=True))

        def atom(a: Any) -> Atom:
            return Constant(a.val) if isinstance(a, core.Literal) else found[a]

        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            operands = tuple(map(atom, eqn.invars))
            source = caller or eqn.source_info  # a called jaxpr remembers whoever called it first
            called = _called(eqn, operands)
            if called is not None:
                inner, operands = called
                jaxpr_of, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
                results = walk(jaxpr_of, consts, operands, source)
                found.update(zip(eqn.outvars, results, strict=True))
            elif name == "platform_index":
                found[eqn.outvars[0]] = Constant(len(eqn.params["platforms"]) - 1)  # the default
            else:
                made = tuple(Variable(v.aval) for v in eqn.outvars)
                found.update(zip(eqn.outvars, made, strict=True))
                equations.append(Equation(name, operands, made, eqn.params, source))
        return tuple(map(atom, jaxpr.outvars))

    inputs = tuple(Variable(v.aval) for v in closed.jaxpr.invars)
    outputs = walk(closed.jaxpr, closed.consts, inputs)
    return Listing(inputs, tuple(equations), outputs)


def _called(eqn: Any, operands: tuple[Atom, ...]) -> Any:
    """The jaxpr that an equation calls and its operands, or None."""
    name, params = eqn.primitive.name, eqn.params
    if name in _SPELLED_OUT:
        function = _SPELLED_OUT[name](params)
        return jax.make_jaxpr(function)(*(v.aval for v in eqn.invars)), operands
    if name in _CALLED:
        return params[_CALLED[name]], operands
    if name == "custom_linear_solve":
        lengths = params["const_lengths"]
        first = lengths.matvec + lengths.vecmat
        own = operands[first : first + lengths.solve]
        return params["jaxprs"].solve, own + operands[sum(lengths) :]
    if name == "cond" and isinstance(operands[0], Constant):
        return params["branches"][int(operands[0].value)], operands[1:]
    return None


class Plan:
    """Which equations of a listing matter, and who reads their outputs.

    ``uses`` counts how often a variable is read. ``readers`` are the loops that read it: a
    chain of element-wise equations runs in the loop of whoever asks for its end, so all of it has
    one reader. What has several readers had better be stored, else each of them computes it.

    ``in_place`` names the primitives that read their operands at the index where they are asked
    themselves; ``lasting`` those of them whose results are never stored.
    """

    def __init__(
        self, listing: Listing, in_place: Collection[str], lasting: Collection[str]
    ) -> None:
        self.uses: Counter[Variable] = Counter()
        self.readers: dict[Variable, set[Any]] = {}
        self.equations: list[Equation] = []
        for atom in listing.outputs:
            if isinstance(atom, Variable):  # results of one shape are written by one loop
                self._read(atom, {("result", atom.aval.shape)})
        for eqn in reversed(listing.equations):
            if not any(v in self.uses for v in eqn.outputs):
                continue
            self.equations.insert(0, eqn)
            readers = set().union(*(self.readers.get(v, set()) for v in eqn.outputs))
            handed_on = eqn.name in in_place and (len(readers) == 1 or eqn.name in lasting)
            for atom in eqn.inputs:
                self._read(atom, readers if handed_on else {id(eqn)})

    def _read(self, atom: Atom, readers: set[Any]) -> None:
        if isinstance(atom, Variable):
            self.uses[atom] += 1
            self.readers.setdefault(atom, set()).update(readers)

    def split(self, known: Collection[Variable]) -> tuple[list[Equation], list[Equation]]:
        """The equations that need only known variables, and the others."""
        reached = set(known)
        early: list[Equation] = []
        late: list[Equation] = []
        for eqn in self.equations:
            known_inputs = all(isinstance(a, Constant) or a in reached for a in eqn.inputs)
            # a while loop that would never be reached might never end either
            is_early = known_inputs and eqn.name != "while"
            (early if is_early else late).append(eqn)
            if is_early:
                reached.update(eqn.outputs)
        return early, late
