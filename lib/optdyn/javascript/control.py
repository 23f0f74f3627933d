"""Rules of loops and branches: scan, while, cond.

What a loop carries lives in two places, the present and the next: the body reads the present,
writes the next, and then they change names. So no new value is seen too early, whatever the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optdyn.javascript.listing import Plan, Variable, listing
from optdyn.javascript.translator import Environment, Translator, Value, dtype_of, parts_of, values
from optdyn.javascript.writer import Array, Index, times


class Slot:
    """A place for one part of what a loop carries."""

    def __init__(self, t: Translator, start: Array) -> None:
        self.shape, self.dtype = start.shape, start.dtype
        self.now, self.next = t.name("c"), t.name("d")
        self.alone = start.size == 1
        if self.alone:
            t.line(f"let {self.now}={t.at(start, ('0',) * len(start.shape))};")
        else:
            first, second = (t.buffer(start.size, start.dtype) for _ in range(2))
            t.write([(start, first, "0")])
            t.line(f"let {self.now}={first},{self.next}={second};")

    def present(self, t: Translator) -> Array:
        """Its value now, seen from the present block."""
        if self.alone:
            return Array(self.shape, self.dtype, lambda _: self.now, depth=t.depth)
        return t.held(self.now, self.shape, self.dtype)


def _commit(t: Translator, moves: Sequence[tuple[Slot, Array]], others: Sequence[Any] = ()) -> None:
    """Compute all new values, and the other targets beside them; then make them the present."""
    names = {slot.now for slot, _ in moves}
    t.write([*((a, slot.next, "0") for slot, a in moves if not slot.alone), *others])
    new = {}
    for slot, array in moves:
        if slot.alone:
            text = t.item(array)
            if text in names:  # another one's present value, about to change
                copy = t.name("v")
                t.line(f"const {copy}={text};")
                text = copy
            new[slot] = text
    for slot, _ in moves:
        if slot.alone:
            t.line(f"{slot.now}={new[slot]};")
        else:
            old = t.name("q")
            t.line(f"const {old}={slot.now};{slot.now}={slot.next};{slot.next}={old};")


def _carried(
    t: Translator, starts: Sequence[Value], before: Sequence[Variable], after: Sequence[Any]
) -> list[list[Slot] | None]:
    """Slots for what a loop changes, None for what it hands on unchanged."""
    return [
        None if v is w else [Slot(t, part) for part in start.parts]
        for start, v, w in zip(starts, before, after, strict=True)
    ]


def _at_present(
    t: Translator, plan: Plan, env: Environment, variables: Any, starts: Any, slots: Any
) -> None:
    """What the carried variables stand for inside the loop."""
    for v, start, slot in zip(variables, starts, slots, strict=True):
        if slot is not None:
            value = Value(start.dtype, tuple(s.present(t) for s in slot))
            env[v] = t.kept(value, plan, v)


def _unchanged(
    t: Translator, plan: Plan, env: Environment, variables: Any, starts: Any, slots: Any
) -> None:
    for v, start, slot in zip(variables, starts, slots, strict=True):
        if slot is None:
            env[v] = t.kept(start, plan, v)


def _after(
    t: Translator, starts: Sequence[Value], slots: Sequence[list[Slot] | None]
) -> list[Value]:
    return [
        start if slot is None else Value(start.dtype, tuple(s.present(t) for s in slot))
        for start, slot in zip(starts, slots, strict=True)
    ]


@values("scan")
def _scan(t: Translator, eqn: Any, *operands: Value) -> list[Value]:
    p, wanted = eqn.params, t.wanted
    if "ft_in" in p:  # since JAX 0.12: constants, what is carried, and rows, as trees
        n_consts, n_carry = (len(list(tree)) for tree in list(p["ft_in"].unpack())[:2])
    else:
        n_consts, n_carry = p["num_consts"], p["num_carry"]
    length = p["length"]
    whole = listing(p["jaxpr"])
    plan = t.plan(whole)
    starts = operands[n_consts : n_consts + n_carry]
    carried = whole.inputs[n_consts : n_consts + n_carry]
    env = {v: t.kept(x, plan, v) for v, x in zip(whole.inputs, operands[:n_consts], strict=False)}
    slots = _carried(t, starts, carried, whole.outputs[:n_carry])
    _unchanged(t, plan, env, carried, starts, slots)
    rows = [Value(x.dtype, t.ready(*x.parts)) for x in operands[n_consts + n_carry :]]
    late = t.steady(plan, env)

    made = []
    for variable, is_wanted in zip(eqn.outputs[n_carry:], wanted[n_carry:], strict=True):
        dtype = dtype_of(variable.aval)
        size = int(variable.aval.size) if is_wanted else 0
        made.append([t.buffer(size, d) if is_wanted else "" for d in parts_of(dtype)])

    with t.loop(length, reverse=p["reverse"], prefix="t") as i:
        _at_present(t, plan, env, carried, starts, slots)
        for v, x in zip(whole.inputs[n_consts + n_carry :], rows, strict=True):
            parts = tuple(_row(t, part, i) for part in x.parts)
            env[v] = t.kept(Value(x.dtype, parts), plan, v)
        t.evaluate(plan, late, env)
        results = [t.value(atom, env) for atom in whole.outputs]
        targets = [
            (part, buffer, times(i, part.size))
            for value, buffers in zip(results[n_carry:], made, strict=True)
            for part, buffer in zip(value.parts, buffers, strict=True)
            if buffer
        ]
        moved = [
            (slot, part)
            for value, own in zip(results[:n_carry], slots, strict=True)
            if own is not None
            for slot, part in zip(own, value.parts, strict=True)
        ]
        _commit(t, moved, targets)

    stacked = []
    for variable, buffers in zip(eqn.outputs[n_carry:], made, strict=True):
        dtype, shape = dtype_of(variable.aval), variable.aval.shape
        held = (t.held(b, shape, d) for b, d in zip(buffers, parts_of(dtype), strict=True))
        stacked.append(Value(dtype, tuple(held)))
    return _after(t, starts, slots) + stacked


def _row(t: Translator, x: Array, i: str) -> Array:
    """What a scan's body sees of an array that it goes through."""
    return t.array(x.shape[1:], x.dtype, lambda index: t.at(x, (i, *index)), x.cost + 1)


@values("while")
def _while(t: Translator, eqn: Any, *operands: Value) -> list[Value]:
    p = eqn.params
    n_test, n_body = p["cond_nconsts"], p["body_nconsts"]
    test, body = listing(p["cond_jaxpr"]), listing(p["body_jaxpr"])
    test_plan, body_plan = t.plan(test), t.plan(body)
    starts = operands[n_test + n_body :]
    env_test = {
        v: t.kept(x, test_plan, v) for v, x in zip(test.inputs, operands[:n_test], strict=False)
    }
    env_body = {
        v: t.kept(x, body_plan, v)
        for v, x in zip(body.inputs, operands[n_test : n_test + n_body], strict=False)
    }
    slots = _carried(t, starts, body.inputs[n_body:], body.outputs)
    loops = (
        (test_plan, env_test, test.inputs[n_test:]),
        (body_plan, env_body, body.inputs[n_body:]),
    )
    for plan, env, carried in loops:
        _unchanged(t, plan, env, carried, starts, slots)
    late_test, late_body = (t.steady(plan, env) for plan, env, _ in loops)

    with t.block("for(;;)"):
        _at_present(t, test_plan, env_test, test.inputs[n_test:], starts, slots)
        t.evaluate(test_plan, late_test, env_test)
        going = t.value(test.outputs[0], env_test).parts[0]
        if going.shape:  # under vmap: as long as one of them goes on; the others keep their values
            (going,) = t.copied(going)
            some = t.name("s")
            t.line(f"let {some}=0;")
            t.loops(going.shape, lambda index: t.line(f"{some}|={t.at(going, index)};"))
            t.line(f"if(!{some})break;")
        else:
            t.line(f"if(!{t.at(going, ())})break;")
        _at_present(t, body_plan, env_body, body.inputs[n_body:], starts, slots)
        t.evaluate(body_plan, late_body, env_body)
        moved = []
        for atom, own in zip(body.outputs, slots, strict=True):
            if own is not None:
                parts = t.value(atom, env_body).parts
                moved += [(s, _if_going(t, going, s, x)) for s, x in zip(own, parts, strict=True)]
        _commit(t, moved)
    return _after(t, starts, slots)


def _if_going(t: Translator, going: Array, slot: Slot, new: Array) -> Array:
    """The new value where the loop goes on, the old one elsewhere."""
    rank = len(going.shape)
    if not rank:
        return new
    old = slot.present(t)

    def read(index: Index) -> str:
        return f"({t.at(going, index[:rank])}?{t.at(new, index)}:{t.at(old, index)})"

    return t.array(new.shape, new.dtype, read, new.cost + 1)


@values("cond")
def _cond(t: Translator, eqn: Any, which: Value, *operands: Value) -> list[Value]:
    wanted, branches = t.wanted, eqn.params["branches"]
    index = t.item(which.parts[0])
    operands = tuple(Value(x.dtype, t.ready(*x.parts)) for x in operands)
    outputs = []
    for variable, is_wanted in zip(eqn.outputs, wanted, strict=True):
        dtype, shape = dtype_of(variable.aval), variable.aval.shape
        size = int(variable.aval.size) if is_wanted else 0
        held = (t.held(t.buffer(size, d), shape, d) for d in parts_of(dtype))
        outputs.append(Value(dtype, tuple(held)))
    for k, branch in enumerate(branches):
        # no else: what a branch shares with what comes after is written before it
        last = k == len(branches) - 1
        sign = ">=" if last else "===" if k else "<="
        with t.block("" if len(branches) == 1 else f"if({index}{sign}{k})"):
            results = t.run(branch, operands)
            t.write(
                [
                    (part, place.buffer, "0")
                    for value, output, is_wanted in zip(results, outputs, wanted, strict=True)
                    for part, place in zip(value.parts, output.parts, strict=True)
                    if is_wanted
                ]
            )
    return outputs
