"""The translator from jaxprs to JavaScript: conformance, random compositions, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import lax

import tests.conformance as conformance
from optdyn.javascript import Untranslatable, listing, translate
from tests.engine import Engine, difference

ROOT = Path(__file__).resolve().parents[1]
TABLE = conformance.TABLE


@pytest.fixture(scope="module", autouse=True)
def double_precision() -> Iterator[None]:
    with conformance.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.filterwarnings("ignore")  # of JAX and NumPy about what a row does on purpose
def test_each_row_matches_or_is_refused(engine: Engine, name: str) -> None:
    wanted = "refused" if TABLE[name].primitive else "matches"
    assert conformance.verdict(engine, TABLE[name]) == wanted


def test_the_table_is_a_hundred_functions_and_most_of_them_match() -> None:
    assert len(TABLE) >= 300
    assert sum(not row.primitive for row in TABLE.values()) >= 280


def test_a_verdict_can_be_bad(engine: Engine) -> None:
    class Wrong(Engine):
        def run(self, program: Any, *arguments: Any) -> list[np.ndarray]:
            return [result + 1e-6 for result in engine.run(program, *arguments)]

    ones = conformance.Row(lambda a: 1.0 * a, (jnp.ones(3),), 1e-12, "")
    assert conformance.verdict(Wrong(), ones).startswith("differs by 5e-07")
    svd = conformance.Row(TABLE["svd"].function, (0.7,), 1e-12, "")
    assert conformance.verdict(engine, svd).startswith("refuses svd")
    sine = conformance.Row(jnp.sin, (0.7,), 0, "sin")
    assert conformance.verdict(engine, sine).startswith("translates sin")


def test_the_engine_keeps_every_bit_of_a_complex_number(engine: Engine) -> None:
    z = np.array([complex(1, -0.0), complex(2, np.inf), complex(-0.0, np.nan), complex(-np.inf, 3)])
    (found,) = engine.run(translate(lambda a: a, z), z)
    assert found.tobytes() == z.tobytes()


def test_a_nan_in_one_part_does_not_hide_the_other() -> None:
    assert difference([complex(np.nan, 1)], [complex(np.nan, 2)]) > 0.1
    assert difference([complex(np.nan, 1)], [complex(np.nan, 1)]) == 0
    assert difference([complex(1, np.inf)], [complex(1, np.inf)]) == 0


# --- refusals ------------------------------------------------------------------------------------


def test_a_refusal_names_the_primitive_and_the_line() -> None:
    def figure(a: Any) -> Any:
        b = a * jnp.eye(3)
        return jnp.linalg.svd(b, compute_uv=False)

    line = figure.__code__.co_firstlineno + 2
    with pytest.raises(Untranslatable, match=rf"svd.*line {line} of test_javascript.py") as caught:
        translate(figure, 1.0)
    assert caught.value.primitive == "svd"


def test_a_refusal_inside_a_loop_names_the_line_in_the_loop() -> None:
    def body(w: Any, _: Any) -> Any:
        return jnp.fft.fft(w).real, None

    with pytest.raises(Untranslatable, match=f"fft.*line {body.__code__.co_firstlineno + 1} of"):
        translate(lambda w: lax.scan(body, w, None, length=3)[0], jnp.ones(4))


@pytest.mark.parametrize(
    ("function", "argument", "what"),
    [
        (lambda a: a.astype(jnp.bfloat16), 1.0, "bfloat16"),
        (lambda k: jax.random.normal(k, (3,)), jax.random.key(0), "dtype=jnp.float32"),
        (lambda a: jax.pure_callback(np.sin, a, a), jnp.ones(2), "pure_callback"),
        (lambda a: a >> 3, np.arange(3) * 2**40, None),
        (lambda a: a & 5, np.arange(3), "int64"),
        (lambda z: jnp.sort(z), np.ones(3, complex), "sort"),
    ],
)
def test_what_is_refused_and_why(function: Callable[..., Any], argument: Any, what: Any) -> None:
    if what is None:
        translate(function, argument)
        return
    with pytest.raises(Untranslatable, match=what):
        translate(function, argument)


def test_only_functions_are_translated() -> None:
    with pytest.raises(TypeError, match="fn must be a function; got 3"):
        translate(3, 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key<fry>; return numbers"):
        translate(jax.random.key, 3)


def test_an_integer_past_what_a_double_holds_is_an_error_not_a_wrong_number(engine: Engine) -> None:
    program = translate(lambda n: n * n, 3)
    assert engine.run(program, 94906265)[0] == 94906265**2
    with pytest.raises(Exception, match=r"whole number passed 2\^53"):
        engine.run(program, 94906267)


# --- the text ------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, "lib")
import jax
jax.config.update("jax_enable_x64", True)
from tests.conformance import TABLE
from optdyn.javascript import Untranslatable, listing, translate
import hashlib
digest = hashlib.sha256()
for name in list(TABLE)[::4]:
    try:
        digest.update(translate(TABLE[name].function, *TABLE[name].arguments).source.encode())
    except Untranslatable as refusal:
        digest.update(str(refusal).encode())
print(digest.hexdigest())
"""


def test_the_text_is_the_same_in_every_process() -> None:
    def digest(seed: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert digest("1") == digest("2") != ""


def test_what_stays_the_same_in_a_loop_is_computed_in_one_order() -> None:
    """The order must not be that of a set, which is one of addresses."""

    def figure(a: Any) -> Any:
        held = [jnp.sin(a), jnp.cos(a), jnp.tan(a), jnp.exp(a), jnp.sqrt(a), jnp.square(a)]
        step = lambda x, _: (sum(h * x for h in held), None)  # noqa: E731
        return lax.scan(step, a, length=3)[0]

    assert len({translate(lambda a: figure(a), jnp.ones(5)).source for _ in range(12)}) == 1


def test_a_program_carries_only_the_functions_that_it_calls() -> None:
    assert "function" not in translate(jnp.sin, 1.0).source
    source = translate(lambda a: lax.linalg.cholesky(a), jnp.eye(3)).source
    assert "function cholesky(" in source and "function lu(" not in source


def test_chains_are_one_loop_and_loops_carry_no_buffers_they_do_not_need() -> None:
    source = translate(lambda a: jnp.exp(-(a**2)) * 3 + a, jnp.ones(9)).source
    assert source.count("for(") == 1 and source.count("new Float64Array") == 1
    source = translate(lambda a: lax.fori_loop(0, 9, lambda _, w: jnp.cos(w), a), 0.5).source
    assert source.count("new Float64Array") == 1  # the result's


def test_what_does_not_change_in_a_loop_stands_before_it() -> None:
    def figure(a: Any) -> Any:
        return lax.scan(lambda w, _: (w + jnp.exp(a * jnp.arange(9.0)).sum(), None), a, None, 5)[0]

    source = translate(figure, 0.3).source
    assert source.index("Math.exp") < source.index("t<5") if "t<5" in source else True
    assert source.index("Math.exp") < source.index("<5;")


# --- random words --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31 - 1, 2**32 + 5])
def test_random_words_are_equal_bit_for_bit(engine: Engine, seed: int) -> None:
    def words(key: Any) -> Any:
        return jax.random.bits(key, (1000,), dtype=jnp.uint32)

    key = jax.random.key(seed)
    (found,) = engine.run(translate(words, key), key)
    np.testing.assert_array_equal(found, words(key))


def test_float32_normals_are_jax_s_to_three_units_in_the_last_place(engine: Engine) -> None:
    def normals(key: Any) -> Any:
        return jax.random.normal(key, (10_000,), dtype=jnp.float32)

    key = jax.random.key(5)
    (found,) = engine.run(translate(normals, key), key)
    expected = np.asarray(normals(key))
    assert np.max(np.abs(found - expected) / np.spacing(np.abs(expected))) <= 3
    assert np.mean(found == expected) > 0.9


# --- random compositions -------------------------------------------------------------------------

Step = tuple[str, Callable[[Any], Any]]


def _unary() -> dict[str, Callable[[Any], Any]]:
    return {
        "sin": jnp.sin,
        "tanh": jnp.tanh,
        "exp of a clip": lambda a: jnp.exp(jnp.clip(a, -3, 3)),
        "sigmoid": jax.nn.sigmoid,
        "square": lambda a: a * a,
        "share": lambda a: a / (1 + jnp.abs(a)),
        "plus itself turned": lambda a: a + jnp.sin(a) * jnp.cos(a),
        "where": lambda a: jnp.where(a > 0.1, a, -2 * a),
        "roll": lambda a: jnp.roll(a, 1, axis=-1),
        "flip": lambda a: jnp.flip(a, axis=0),
        "running sum": lambda a: jnp.cumsum(a, axis=-1) / a.shape[-1],
        "less the mean": lambda a: a - a.mean(axis=0, keepdims=True),
        "softmax": lambda a: jax.nn.softmax(a, axis=-1),
        "sort": lambda a: jnp.sort(a, axis=-1),
        "set": lambda a: a.at[0].set(a[-1] * 0.5),
        "take": lambda a: jnp.take(a, jnp.arange(a.shape[0])[::-1] // 2, axis=0),
        "pad and cut": lambda a: jnp.pad(a, [(1, 0)] * a.ndim)[tuple([slice(0, -1)] * a.ndim)],
        "stack and sum": lambda a: jnp.stack([a, jnp.sin(a)]).sum(0),
        "concatenate": lambda a: jnp.concatenate([a[1:], a[:1] * 2], axis=0),
        "scan": lambda a: lax.scan(lambda w, r: (0.5 * w + r, w * r), a[0] * 0, a)[1],
        "scan backwards": lambda a: lax.scan(
            lambda w, r: (jnp.sin(w + r), w), a[0], a, reverse=True
        )[1],
        "swap": lambda a: lax.scan(lambda w, _: ((w[1], w[0] * 0.9), None), (a, -a), None, 3)[0][0],
        "fori": lambda a: lax.fori_loop(0, 3, lambda k, w: w - 0.1 * k * jnp.sin(w), a),
        "while": lambda a: lax.while_loop(
            lambda w: jnp.max(jnp.abs(w)) > 0.5, lambda w: w / 2, jnp.clip(a, -9, 9)
        ),
        "vmap of while": lambda a: jax.vmap(
            lambda r: lax.while_loop(
                lambda w: jnp.sum(w**2) > 0.3, lambda w: 0.6 * w, jnp.clip(r, -9, 9)
            )
        )(a),
        "cond": lambda a: lax.cond(a.ravel()[0] > 0, lambda: a + 1, lambda: a * 0.5),
        "vmap of cond": lambda a: jax.vmap(
            lambda r: lax.cond(r.sum() > 0, lambda: r * 2, lambda: jnp.cos(r))
        )(a),
        "gradient": lambda a: jax.grad(lambda w: jnp.sum(jnp.tanh(w) ** 2 * w))(a),
        "product": lambda a: jnp.tensordot(a, a, axes=0).sum(axis=tuple(range(a.ndim))) * 0.1,
        "turned": lambda a: jnp.exp(1j * a).imag + (a + 1j * a).real,
        "float32 and back": lambda a: a.astype(jnp.float32).astype(float),
        "floor": lambda a: jnp.floor(a * 3 + 0.1234) / 3 + a,
        "row by row": lambda a: lax.map(lambda r: r * r.sum() if r.ndim else r * 2, a),
        "reshape": lambda a: a.reshape(-1)[::-1].reshape(a.shape),
        "transpose": lambda a: jnp.sin(a.T).T,
        "broadcast": lambda a: a + a[:1] * 0.5,
        "size one": lambda a: a * a.max(axis=-1, keepdims=True),
        "solve": lambda a: (
            a + jnp.linalg.solve(3 * jnp.eye(2) + a.ravel()[0] ** 2, jnp.ones(2)).sum()
        ),
    }


UNARY = _unary()
SHAPES = [(5,), (1,), (3, 4), (1, 3), (4, 1), (2, 1, 3), (2, 3, 2)]


@settings(max_examples=90)
@given(
    shape=st.sampled_from(SHAPES),
    steps=st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=6),
    reuse=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("+-*")), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_compositions(
    engine: Engine,
    shape: tuple[int, ...],
    steps: list[str],
    reuse: list[tuple[int, str]],
    seed: int,
) -> None:
    """Some steps one after another, earlier results used again, all of them returned."""

    def function(a: Any) -> Any:
        values = [a]
        for name in steps:
            values.append(UNARY[name](values[-1]))
        total = values[-1]
        for k, sign in reuse:
            other = values[k % len(values)]
            total = {"+": total + other, "-": total - other, "*": total * other}[sign]
        return total, values[len(values) // 2], total.sum(), jnp.max(total, axis=0)

    a = jnp.asarray(np.random.default_rng(seed).normal(size=shape))
    found = engine.run(translate(function, a), a)
    expected = jax.jit(function)(a)
    for one, other in zip(found, expected, strict=True):
        rough = "float32 and back" in steps  # which rounds differently by one unit
        assert difference(one, other) < (1e-5 if rough else 1e-9)


# --- random control flow -------------------------------------------------------------------------

LENGTH = 3  # of the arrays; a scalar is broadcast where one is wanted


def program(rng: np.random.Generator, depth: int = 0) -> Callable[[list[Any]], list[Any]]:
    """A function of values to as many more: loops and branches in one another, values reused."""
    kinds = KINDS if depth < 2 else [kind for kind in KINDS if kind not in NESTED]
    plan = [(str(rng.choice(kinds)), *rng.integers(0, 99, 4).tolist()) for _ in range(4)]
    inner = [program(rng, depth + 1) if kind in NESTED else None for kind, *_ in plan]

    def function(values: list[Any]) -> list[Any]:
        values = list(values)
        for (kind, i, j, k, n), body in zip(plan, inner, strict=True):
            a, b, c = (values[m % len(values)] for m in (i, j, k))
            values.append(STATEMENTS[kind](a, b, c, n, body, values))
        return values

    return function


def _scanned(a: Any, b: Any, c: Any, n: int, body: Any, values: list[Any]) -> Any:
    def step(carry: Any, x: Any) -> Any:
        made = body([*carry, x, *values[-2:]])
        return (made[-1], carry[0], made[len(made) // 2]), made[-2]

    last, rows = lax.scan(step, (a, b, c), jnp.stack([a, b]), reverse=bool(n % 2))
    return last[n % 3] + rows.sum(0)


def _repeated(a: Any, b: Any, c: Any, n: int, body: Any, values: list[Any]) -> Any:
    def lane(x: Any) -> Any:
        def step(state: Any) -> Any:
            return state[0] + 1, body([state[1], x, *values[-2:]])[-1], state[1]

        count = jnp.abs(jnp.floor(3 * x.sum()))  # each lane its own number of turns
        loop = (jnp.zeros(()), x, c)
        return lax.while_loop(lambda s: s[0] < jnp.minimum(count, n % 4), step, loop)[n % 2 + 1]

    return jax.vmap(lane)(jnp.stack([a, b]))[n % 2]


def _branched(a: Any, b: Any, c: Any, n: int, body: Any, values: list[Any]) -> Any:
    return lax.cond(a.sum() > 0, lambda: body([a, b])[-1], lambda: jnp.sin(c) + values[-1])


STATEMENTS: dict[str, Callable[..., Any]] = {
    "scan": _scanned,
    "while": _repeated,
    "cond": _branched,
    "mix": lambda a, b, c, n, *_: jnp.sin(a) * 0.5 + b - jnp.roll(c, n % LENGTH) * 0.3,
    "choose": lambda a, b, c, n, *_: jnp.where(a > b, c, jnp.cos(b)),
    "spread": lambda a, b, c, n, *_: jnp.tanh(a.sum() * b) + jnp.max(c),
    "place": lambda a, b, c, n, *_: a.at[n % LENGTH].set(b[0]).at[0].add(jnp.tanh(c[-1])),
    "matrix": lambda a, b, c, n, *_: jnp.tanh(jnp.outer(a, b) @ c) + a[::-1],
    "sorted": lambda a, b, c, n, *_: jnp.sort(a) - jnp.cumsum(b) * 0.1 + jnp.argmax(c),
}
NESTED = ("scan", "while", "cond")
KINDS = [*NESTED, *STATEMENTS]  # the nested twice as often, but not for ever


@settings(max_examples=40)
@given(seed=st.integers(0, 2**20))
def test_loops_and_branches_in_one_another(engine: Engine, seed: int) -> None:
    check_program(engine, seed)


def check_program(engine: Engine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = program(rng)

    def function(a: Any, b: Any) -> Any:
        return body([a, b])

    inputs = [jnp.asarray(rng.normal(size=LENGTH)) for _ in range(2)]
    found = engine.run(translate(function, *inputs), *inputs)
    for one, other in zip(found, jax.jit(function)(*inputs), strict=True):
        assert difference(one, other) < 1e-9, seed


def test_operations_of_later_versions_are_spelled_out_right() -> None:
    """JAX 0.12 has them as primitives; tests/conformance.py meets them there, in make test-all."""
    x, a = np.array([0.3, 1.7]), np.arange(6.0).reshape(2, 3)
    made = {
        name: make({"axis": 1}) for name, make in listing._SPELLED_OUT.items() if name[0] != "c"
    }
    assert set(made) == {"log2", "one_minus_square", "polynomial", "unstack"}
    np.testing.assert_allclose(made["log2"](x), np.log2(x), rtol=1e-6)
    np.testing.assert_allclose(made["one_minus_square"](x), 1 - x**2, rtol=1e-6)
    expected = np.polynomial.polynomial.polyval(x, [0.5, -2.0, 3.0])
    np.testing.assert_allclose(made["polynomial"](x, 0.5, -2.0, 3.0), expected, rtol=1e-6)
    np.testing.assert_array_equal(made["unstack"](a), a.T)
