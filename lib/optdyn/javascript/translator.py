"""From equations to statements: the values they make, and the rule of each primitive.

A :class:`Value` is what a variable stands for: one array of a type that JavaScript has, or two
for a wide type: real and imaginary part of a complex number, the high and the low word of a 64-bit
random number, the two words of a JAX key. A rule makes the values of an equation's outputs from
those of its inputs; the modules beside this one register them. Rules that only move elements about
serve wide types part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optdyn.javascript.listing import Atom, Constant, Equation, Plan, Variable, listing
from optdyn.javascript.writer import Array, Writer

WIDE = {"complex128": "float64", "complex64": "float32", "uint64": "uint32", "key<fry>": "uint32"}
KIND = {"complex128": "complex", "complex64": "complex", "uint64": "uint64", "key<fry>": "key"}
NARROW = ("float64", "float32", "int32", "uint32", "int64", "bool")


class Untranslatable(NotImplementedError):
    """A function uses something that has no translation; ``primitive`` and ``where`` say what."""

    def __init__(self, text: str, primitive: str = "", where: str = "") -> None:
        super().__init__(text)
        self.primitive, self.where = primitive, where


class Value(NamedTuple):
    """What a variable stands for; ``parts`` are two arrays of one shape for a wide type."""

    dtype: str
    parts: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.parts[0].shape


def narrow(array: Array) -> Value:
    """An array as a value."""
    return Value(array.dtype, (array,))


def dtype_of(aval: Any) -> str:
    """The name of an abstract value's type, refused if nothing here can hold it."""
    name = str(aval.dtype)
    if name not in NARROW and name not in WIDE:
        raise Untranslatable(f"a value of type {name}")
    return name


def parts_of(dtype: str) -> tuple[str, ...]:
    """The storage types of a type's parts."""
    return (WIDE[dtype],) * 2 if dtype in WIDE else (dtype,)


# --- rules ---------------------------------------------------------------------------------------

# A rule is called with the translator, the equation and the operands.
ARRAY_RULES: dict[str, Callable[..., Array | list[Array]]] = {}
VALUE_RULES: dict[str, Callable[..., list[Value]]] = {}
WIDE_RULES: dict[tuple[str, str], Callable[..., list[Value]]] = {}
MOVES: dict[str, tuple[Callable[..., Array | list[Array]], Callable[[int], bool]]] = {}
IN_PLACE: set[str] = set()
# What may not be done to each part of a wide type apart from the other.
_EXTREMA = {f"scatter{sign}{name}" for sign in "_-" for name in ("mul", "min", "max")}
_SUMS = {f"scatter{sign}{name}" for sign in "_-" for name in ("add", "sub")}
NOT_BY_PART = {"complex": _EXTREMA, "uint64": _EXTREMA | _SUMS, "key": _EXTREMA | _SUMS}
REASONS: dict[str, str] = {}  # why a primitive has no rule, where that is worth saying


def arrays(*names: str, in_place: bool = False) -> Callable[[Any], Any]:
    """Register a rule for arrays of narrow types; ``in_place`` as :class:`Plan` has it."""

    def register(rule: Any) -> Any:
        ARRAY_RULES.update(dict.fromkeys(names, rule))
        IN_PLACE.update(names if in_place else ())
        return rule

    return register


def moves(
    *names: str, data: Callable[[int], bool] = lambda _: True, in_place: bool = False
) -> Callable[[Any], Any]:
    """Register a rule for arrays that moves elements; operand i is moved if ``data(i)``."""

    def register(rule: Any) -> Any:
        MOVES.update(dict.fromkeys(names, (rule, data)))
        IN_PLACE.update(names if in_place else ())
        return rule

    return register


def values(*names: str) -> Callable[[Any], Any]:
    """Register a rule for values of any type."""

    def register(rule: Any) -> Any:
        VALUE_RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def wide(kind: str, *names: str) -> Callable[[Any], Any]:
    """Register a rule for values of a wide type: "complex", "uint64" or "key"."""

    def register(rule: Any) -> Any:
        WIDE_RULES.update({(kind, name): rule for name in names})
        return rule

    return register


# --- equations -----------------------------------------------------------------------------------

Environment = dict[Variable, Value]


class Translator(Writer):
    """Writes the statements of equations."""

    wanted: tuple[bool, ...] = ()  # which outputs of the equation at hand are read

    part = 0  # which part of a wide value is being moved

    def run(self, closed: Any, operands: Sequence[Value]) -> list[Value]:
        """The values that a closed jaxpr makes of its operands, written here."""
        whole = listing(closed)
        plan = self.plan(whole)
        env = {v: self.kept(x, plan, v) for v, x in zip(whole.inputs, operands, strict=True)}
        self.evaluate(plan, plan.equations, env)
        return [self.value(atom, env) for atom in whole.outputs]

    def steady(self, plan: Plan, env: Environment) -> list[Equation]:
        """Evaluate, before a loop, what stays the same in it; the equations that remain."""
        early, late = plan.split(env)
        self.evaluate(plan, early, env)
        for variable in [v for v in env if v in plan.uses]:  # in env's order, not a set's
            value = env[variable]
            env[variable] = Value(value.dtype, self.ready(*value.parts))
        return late

    def plan(self, whole: Any) -> Plan:
        return Plan(whole, IN_PLACE, IN_PLACE & MOVES.keys())

    def evaluate(self, plan: Plan, equations: Iterable[Equation], env: Environment) -> None:
        """Put the outputs of equations into ``env``."""
        for eqn in equations:
            try:
                operands = [self.value(atom, env) for atom in eqn.inputs]
            except Untranslatable as refusal:  # of a constant
                raise _located(refusal, eqn) from None
            key = _number(eqn, operands)
            known = next((b.results[key] for b in reversed(self.blocks) if key in b.results), None)
            if key is not None and known is not None:
                outputs = known[1]
                for part in (p for value in outputs for p in value.parts):
                    part.shared = True
            else:
                self.wanted = tuple(v in plan.uses for v in eqn.outputs)
                try:
                    made = self.apply(eqn, operands)
                except Untranslatable as refusal:
                    raise _located(refusal, eqn) from None
                level = 1 + max((p.levels for v in operands for p in v.parts), default=0)
                for part in (p for value in made for p in value.parts):
                    part.levels = 0 if part.buffer else level
                outputs = [
                    self.kept(v, plan, var) for v, var in zip(made, eqn.outputs, strict=True)
                ]
                if key is not None:  # operands are kept: a number speaks of their identity
                    self.blocks[-1].results[key] = (operands, outputs)
            env.update(zip(eqn.outputs, outputs, strict=True))

    def kept(self, value: Value, plan: Plan, variable: Variable) -> Value:
        """A value as its readers find it: stored if they are several, named if it is used twice."""
        several = len(plan.readers.get(variable, ())) > 1
        parts = self.ready(*value.parts) if several else value.parts
        parts = tuple(map(self.settled, parts))
        for part in parts:
            part.shared = part.shared or plan.uses[variable] > 1 or len(parts) > 1
        return Value(value.dtype, parts)

    def apply(self, eqn: Equation, operands: Sequence[Value]) -> list[Value]:
        """The rule of an equation's primitive, applied."""
        name = eqn.name
        types = [operand.dtype for operand in operands] + [dtype_of(v.aval) for v in eqn.outputs]
        kind = next((KIND[t] for t in types if t in KIND), "")
        if name in VALUE_RULES:
            return VALUE_RULES[name](self, eqn, *operands)
        if (kind, name) in WIDE_RULES:
            return WIDE_RULES[kind, name](self, eqn, *operands)
        if name in MOVES:
            return self._move(eqn, operands)
        if name in ARRAY_RULES and not kind:
            made = ARRAY_RULES[name](self, eqn, *(operand.parts[0] for operand in operands))
            return [narrow(a) for a in ([made] if isinstance(made, Array) else made)]
        text = f"{name} on {kind} values" if kind in ("uint64", "key") else name
        raise Untranslatable(text + REASONS.get(name, ""))

    def _move(self, eqn: Equation, operands: Sequence[Value]) -> list[Value]:
        rule, is_data = MOVES[eqn.name]
        moved = next(v for i, v in enumerate(operands) if is_data(i))
        if len(moved.parts) > 1 and eqn.name in NOT_BY_PART[KIND[moved.dtype]]:
            raise Untranslatable(f"{eqn.name} on {KIND[moved.dtype]} values")
        by_part = []
        for k in range(len(moved.parts)):
            self.part = k
            chosen = [v.parts[k if is_data(i) else 0] for i, v in enumerate(operands)]
            made = rule(self, eqn, *chosen)
            by_part.append([made] if isinstance(made, Array) else made)
        return [Value(moved.dtype, parts) for parts in zip(*by_part, strict=True)]

    def value(self, atom: Atom, env: Mapping[Variable, Value]) -> Value:
        """What an atom stands for."""
        return self.known(atom.value) if isinstance(atom, Constant) else env[atom]

    def known(self, constant: Any) -> Value:
        """A number or array that is known now."""
        try:
            return self._known(constant)
        except OverflowError as error:
            raise Untranslatable(str(error)) from None

    def _known(self, constant: Any) -> Value:
        if jnp.issubdtype(getattr(constant, "dtype", np.float64), jax.dtypes.prng_key):
            words = np.asarray(jax.random.key_data(constant))
            return Value("key<fry>", tuple(self.constant(words[..., k], "uint32") for k in (0, 1)))
        array = np.asarray(constant)
        dtype = dtype_of(array)
        parts: tuple[np.ndarray, ...] = (array,)
        if KIND.get(dtype) == "complex":
            parts = (array.real, array.imag)
        elif dtype == "uint64":
            parts = tuple((array >> np.uint64(s)).astype(np.uint32) for s in (32, 0))
        stored = parts_of(dtype)
        return Value(dtype, tuple(map(self.constant, parts, stored)))


def _number(eqn: Equation, operands: Sequence[Value]) -> Any:
    """What identifies an equation's results: primitive, operands, plain parameters; or None."""
    params = sorted(eqn.params.items())
    if not _plain([value for _, value in params]):
        return None

    def identity(value: Value) -> Any:
        array = value.parts[0]
        if array.size == 1 and not array.cost and len(value.parts) == 1:
            return value.dtype, value.shape, array.read(("0",) * len(value.shape))
        return tuple(map(id, value.parts))

    inputs = tuple(map(identity, operands))
    return eqn.name, inputs, repr(params), repr([v.aval for v in eqn.outputs])


def _plain(value: Any) -> bool:
    """Whether a parameter's text says all there is to it."""
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    if value is None or isinstance(value, bool | int | float | str | np.dtype | np.integer):
        return True
    return type(value).__name__ in (
        "GatherDimensionNumbers",
        "ScatterDimensionNumbers",
        "GatherScatterMode",
        "RoundingMethod",
        "Precision",
    )


_NOT_THE_USER = (str(Path(jax.__file__).parent), str(Path(__file__).parent), "<frozen")


def _located(refusal: Untranslatable, eqn: Equation) -> Untranslatable:
    """The refusal with the line of the user's function that asked for the primitive."""
    if refusal.primitive:
        return refusal  # an equation inside this one has said where
    traceback = getattr(eqn.source, "traceback", None)
    where = "an unknown line"
    for frame in traceback.frames if traceback else ():
        if not frame.file_name.startswith(_NOT_THE_USER):
            where = f"line {frame.line_num} of {Path(frame.file_name).name}"
            break
    text = (
        f"{refusal.args[0]} has no translation to JavaScript ({where}, primitive {eqn.name}). "
        "Write it with other operations, or let the figure be a table."
    )
    return Untranslatable(text, eqn.name, where)
