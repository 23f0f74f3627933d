"""The functions that translated programs call, in V8, against JAX, NumPy and mpmath."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from py_mini_racer import MiniRacer

import optdyn

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

RUNTIME = Path(optdyn.__file__).parent / "javascript" / "runtime.js"
TEXT = RUNTIME.read_text("utf-8")
FUNCTIONS = re.findall(r"^function (\w+)\(", TEXT, re.MULTILINE)
CONSTANTS = re.findall(r"^const (\w+) =", TEXT, re.MULTILINE)
ARRAYS = {
    np.dtype(np.float64): "Float64Array",
    np.dtype(np.float32): "Float32Array",
    np.dtype(np.int32): "Int32Array",
    np.dtype(np.uint32): "Uint32Array",
}
INF, NAN = np.inf, np.nan


class Engine:
    """V8 with the runtime in it; arrays are handed over through memory that both see."""

    def __init__(self, racer: MiniRacer) -> None:
        self.racer = racer
        racer.eval(TEXT)

    def put(self, name: str, values: Any) -> None:
        """Make the global `name` a typed array with these values."""
        values = np.ascontiguousarray(values).ravel()
        kind = ARRAYS[values.dtype]
        memory = self.racer.eval(f"var {name} = new {kind}({max(values.size, 1)}); {name}")
        np.frombuffer(memory, values.dtype)[: values.size] = values

    def get(self, name: str, dtype: Any, shape: Any = -1) -> NDArray[Any]:
        """A copy of the typed array that `name` is."""
        found = np.array(np.frombuffer(self.racer.eval(name), dtype))
        return found if shape == -1 else found[: int(np.prod(shape))].reshape(shape)

    def map(self, function: str, *inputs: Any, dtype: Any = np.float64) -> NDArray[Any]:
        """One call of a function of numbers for each row of the inputs."""
        inputs = tuple(np.asarray(values) for values in inputs)
        for index, values in enumerate(inputs):
            self.put(f"in{index}", values)
        n = inputs[0].size
        call = ", ".join(f"in{index}[i]" for index in range(len(inputs)))
        kind = ARRAYS[np.dtype(dtype)]
        self.racer.eval(
            f"var out = new {kind}({n}); for (let i = 0; i < {n}; i++) out[i] = {function}({call});"
        )
        return self.get("out", dtype)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with MiniRacer() as racer, enable_x64(True):
        yield Engine(racer)


def same(found: Any, expected: Any) -> None:
    """Equal to the bit, except that any NaN equals any other."""
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))


def exactly(function: Any, x: NDArray[Any]) -> NDArray[Any]:
    """The values of an mpmath function, as objects of 40 digits."""
    with mpmath.workdps(40):
        return np.array([function(mpmath.mpf(float(value))) for value in x], object)


def relative(found: NDArray[Any], exact: NDArray[Any], least: float = 0.0) -> float:
    """The largest error relative to the exact values, or to `least` where they are smaller."""
    with mpmath.workdps(40):
        pairs = zip(found, exact, strict=True)
        return float(max(abs(mpmath.mpf(float(f)) - e) / max(abs(e), least) for f, e in pairs))


# --- the file as the translator reads it ---------------------------------------------------


def test_the_file_is_made_of_functions_and_constants():
    """The translator takes it apart by text: nothing else may stand at the start of a line."""
    rest = re.sub(r"^function \w+\(.*?^\}$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^const \w+ = .*?;$", "", rest, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in rest.splitlines() if line and not line.startswith("//")] == []
    assert max(len(line) for line in TEXT.splitlines()) <= 110


def test_a_name_of_the_runtime_stands_only_where_it_is_used():
    """Words in comments and local names would make programs carry what they do not call."""
    assert len(set(FUNCTIONS + CONSTANTS)) == len(FUNCTIONS + CONSTANTS)
    for name in FUNCTIONS:
        for line in TEXT.splitlines():
            for match in re.finditer(rf"\b{name}\b", line):
                before, after = line[: match.start()], line[match.end() :]
                assert re.search("^[^/]*throw ", before) or after.startswith("(")
                assert "//" not in before, line
    for name in CONSTANTS:
        assert not re.search(rf"//.*\b{name}\b", TEXT)
        assert len(re.findall(rf"\bconst {name}\b", TEXT)) == 1


def test_every_function_has_a_comment():
    for name in FUNCTIONS:
        assert re.search(rf"^// .*\nfunction {name}\(", TEXT, re.MULTILINE), name


# --- rounding, integers, conversions -------------------------------------------------------


def rounding_cases() -> NDArray[np.float64]:
    halves = np.arange(-8, 9) / 2
    tight = np.nextafter([0.5, 0.5, 1.5, 2.5], [0, 1, 0, 0])
    large = np.array([2.0**51, 2.0**51 + 0.5, 2.0**52 - 0.5, 2.0**52 + 1, 2.0**53 + 2, 1e300])
    other = np.random.default_rng(1).normal(size=500) * 10.0 ** np.arange(-10, 15).repeat(20)
    x = np.concatenate([halves, tight, large, [5e-324, 0.1], other])
    return np.concatenate([x, -x, [0.0, -0.0, INF, -INF, NAN]])


def test_rounding(engine):
    x = rounding_cases()
    same(engine.map("round_even", x), np.round(x))
    away = np.asarray(jax.lax.round(x, jax.lax.RoundingMethod.AWAY_FROM_ZERO))
    same(engine.map("round_away", x), away)


def corners() -> NDArray[np.float64]:
    return np.array(
        [0, 0.5, 1, 2, 3, 1e-300, 1e300, 2.0**53 + 2, INF, -INF, NAN, -0.0, -0.5, -1, -2, -3]
    )


def test_power(engine):
    x, y = (side.ravel() for side in np.meshgrid(corners(), corners()))
    found, expected = engine.map("power", x, y), np.asarray(jax.lax.pow(x, y))
    special = ~np.isfinite(expected) | np.isin(expected, [0, 1, -1])
    same(found[special], expected[special])
    np.testing.assert_allclose(found, expected, rtol=1e-15)

    rng = np.random.default_rng(2)
    x, y = np.exp(rng.normal(size=2000)), 10 * rng.normal(size=2000)
    with mpmath.workdps(40):
        exact = np.array([mpmath.mpf(a) ** mpmath.mpf(b) for a, b in zip(x, y, strict=True)])
    assert relative(engine.map("power", x, y), exact) < 2e-16


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 10, 31, -1, -2, -5, 1000, -1000])
def test_integer_power(engine, n):
    x = np.concatenate([np.random.default_rng(3).normal(size=200), corners()])
    expected = np.asarray(jax.lax.integer_pow(x, n))
    found = engine.map("integer_power", x, np.full(x.size, n, np.int32))
    found = np.where(
        np.abs(found) < 2.3e-308, np.copysign(0, found), found
    )  # XLA takes what is smaller for 0
    np.testing.assert_allclose(found, expected, rtol=1e-15 * max(1, np.log2(abs(n) + 1)))
    if abs(n) < 4:  # there is one order only
        same(found, expected)


def test_division_of_integers(engine):
    edges = [0, 1, 2, 3, 7, 46341, 2**31 - 2, 2**31 - 1, -(2**31) + 1, -1, -2, -3, -7]
    a, b = (side.ravel() for side in np.meshgrid(edges, edges))
    a, b = np.append(a, -(2**31)).astype(np.int32), np.append(b, 7).astype(np.int32)
    same(engine.map("quotient", a, b), np.asarray(jax.lax.div(a, b)).astype(float))
    same(engine.map("remainder", a, b), np.asarray(jax.lax.rem(a, b)).astype(float))
    lowest = np.full(3, -(2**31), np.int32)
    signs = np.array([-1, 0, 1], np.int32)
    wrapped = np.asarray(jax.lax.div(lowest, signs))  # the translator wraps to int32
    same(engine.map("quotient", lowest, signs, dtype=np.int32), wrapped)
    same(engine.map("remainder", lowest, signs, dtype=np.int32), jax.lax.rem(lowest, signs))


def test_division_of_unsigned_integers(engine):
    edges = [0, 1, 2, 3, 7, 65536, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    a, b = (side.ravel().astype(np.uint32) for side in np.meshgrid(edges, edges))
    same(engine.map("quotient_unsigned", a, b, dtype=np.uint32), jax.lax.div(a, b))
    same(engine.map("remainder", a, b, dtype=np.uint32), jax.lax.rem(a, b))


def test_division_of_integers_up_to_2_53(engine):
    """The rounded quotient of doubles never reaches the next integer."""
    rng = np.random.default_rng(4)
    small = 2 ** rng.integers(1, 52, 3000) + rng.integers(-1, 2, 3000)
    a = np.concatenate([2**53 - rng.integers(1, 9, 3000), 2**53 // small * small - 1])
    b = np.concatenate([small, small])
    a, b = np.concatenate([a, -a, a]), np.concatenate([b, b, -b])
    b[b == 0] = 1
    same(engine.map("quotient", a.astype(float), b.astype(float)), jax.lax.div(a, b).astype(float))
    same(engine.map("remainder", a.astype(float), b.astype(float)), jax.lax.rem(a, b).astype(float))


@pytest.mark.parametrize("source", [np.float64, np.float32])
def test_conversions(engine, source):
    edges = [0, 0.5, 0.99, 1, 1e300, INF, NAN] + [
        2.0**bits + off for bits in (31, 32, 53, 63, 64) for off in (-1025, -1, -0.5, 0, 0.5, 1)
    ]
    with np.errstate(over="ignore"):
        x = np.concatenate([edges, np.negative(edges)]).astype(source)

    def expected(kind: Any) -> Any:
        return np.asarray(jax.jit(lambda v: jax.lax.convert_element_type(v, kind))(x))

    same(engine.map("to_int32", x), expected(np.int32).astype(float))
    same(engine.map("to_uint32", x), expected(np.uint32).astype(float))
    same(engine.map("to_int64", x), expected(np.int64).astype(float))


def test_a_whole_number_past_2_53_is_refused(engine):
    kept = np.array([0, 1, -1, 2.0**53 - 1, 1 - 2.0**53])
    same(engine.map("whole", kept), kept)
    for x in "2 ** 53", "-(2 ** 53)", "1e300", "Infinity", "NaN":
        told = f"try {{ whole({x}); 'no' }} catch (e) {{ e.name + ': ' + e.message }}"
        assert "RangeError: a whole number passed 2^53" in engine.racer.eval(told)


def test_bits(engine):
    x = np.concatenate([rounding_cases(), [np.pi, 1e-310, 1e-40]])
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore", under="ignore"):
        single = x.astype(np.float32)
    words = x.view(np.uint32).reshape(-1, 2)
    same(engine.map("float_bits", x, dtype=np.uint32), single.view(np.uint32))
    same(engine.map("bits_float", single.view(np.uint32)), single.astype(float))
    same(engine.map("double_high", x, dtype=np.uint32), words[:, 1])
    same(engine.map("double_low", x, dtype=np.uint32), words[:, 0])
    same(engine.map("bits_double", words[:, 1], words[:, 0]), x)
    nan = np.array([NAN])
    assert np.isnan(engine.map("bits_float", engine.map("float_bits", nan, dtype=np.uint32)))[0]


# --- random words --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1, 123456789012345])
def test_random_words_are_those_of_jax(engine, seed):
    key = jax.random.key(seed)
    k0, k1 = (int(word) for word in jax.random.key_data(key))
    engine.racer.eval(
        "var words = new Uint32Array(1003), high = words.slice(), low = words.slice()"
    )
    engine.racer.eval(f"random_words({k0}, {k1}, 1000, words, 2)")
    expected = jax.random.bits(key, (1000,), np.uint32)
    same(engine.get("words", np.uint32), np.concatenate([[0, 0], expected, [0]]))

    engine.racer.eval(f"random_words_64({k0}, {k1}, 1000, high, low, 3)")
    both = np.asarray(jax.random.bits(key, (1000,), np.uint64))
    same(engine.get("high", np.uint32)[3:], both >> 32)
    same(engine.get("low", np.uint32)[3:], both & (2**32 - 1))


def test_threefry(engine):
    """The published vectors of Threefry-2x32 with 20 rounds, and keys that JAX makes."""
    engine.racer.eval("var pair = new Uint32Array(3)")
    ones = 2**32 - 1
    for block, expected in {
        (0, 0, 0, 0): (0x6B200159, 0x99BA4EFE),
        (ones, ones, ones, ones): (0x1CB996FC, 0xBB002BE7),
        (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3): (0xC4923A9C, 0x483DF7A0),
    }.items():
        engine.racer.eval(f"threefry({', '.join(map(str, block))}, pair, 1)")
        same(engine.get("pair", np.uint32), (0, *expected))
    folded = jax.random.key_data(jax.random.fold_in(jax.random.key(5), 11))
    engine.racer.eval("threefry(0, 5, 0, 11, pair, 0)")
    same(engine.get("pair", np.uint32)[:2], folded)


def ulps(found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.int64]:
    def order(x: NDArray[np.float32]) -> NDArray[np.int64]:
        bits = x.view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(2**31) - bits, bits)

    return np.abs(order(found) - order(expected))


def test_normals(engine):
    """JAX's own way from words to normals, in single precision as the translator writes it."""
    key = jax.random.key(3)
    k0, k1 = (int(word) for word in jax.random.key_data(key))
    n = 20_000
    engine.racer.eval(
        f"""var words = new Uint32Array({n}), normals = new Float32Array({n});
        random_words({k0}, {k1}, {n}, words, 0);
        var low = -(1 - 2 ** -24), high = Math.fround(1 - low), root = Math.fround(Math.SQRT2);
        for (let i = 0; i < {n}; i++) {{
          const unit = Math.fround(bits_float((words[i] >>> 9) | 0x3f800000) - 1);
          const u = Math.max(low, Math.fround(Math.fround(unit * high) + low));
          normals[i] = Math.fround(root * erf_inv32(u));
        }}"""
    )
    found = engine.get("normals", np.float32)
    expected = np.asarray(jax.random.normal(key, (n,), np.float32))
    apart = ulps(found, expected)
    assert apart.max() <= 4 and (apart == 0).mean() > 0.95
    assert np.abs(found - expected).max() < 1e-6


def test_inverse_error_function(engine):
    ends = np.float32(1) - np.float32(2) ** -np.arange(2, 25, dtype=np.float32)
    small = np.float32(10) ** np.arange(-44, 0, dtype=np.float32)
    inside = np.random.default_rng(5).uniform(-1, 1, 20_000).astype(np.float32)
    x = np.concatenate([ends, -ends, small, inside, np.float32([0, -0.0])])
    found = engine.map("erf_inv32", x, dtype=np.float32)
    expected = np.asarray(jax.jit(jax.lax.erf_inv)(x))
    normal = np.abs(expected) > 1.2e-38  # XLA takes what is smaller for 0
    assert ulps(found, expected)[normal].max() <= 3
    outside = np.float32([1, -1, 1.5, -2, INF, NAN])
    same(engine.map("erf_inv32", outside, dtype=np.float32), jax.lax.erf_inv(outside))


# --- special functions ---------------------------------------------------------------------


def wide() -> NDArray[np.float64]:
    rng = np.random.default_rng(6)
    x = np.concatenate(
        [
            np.linspace(0, 7, 1501)[1:],
            np.nextafter([0.5, 6, 1], 0),
            np.exp(rng.uniform(-700, 0, 300)),
            rng.uniform(0.4, 1.2, 500),
        ]
    )
    return np.concatenate([x, -x])


def test_error_function(engine):
    x = wide()
    assert relative(engine.map("erf", x), exactly(mpmath.erf, x)) < 1e-15
    far = np.array([0, -0.0, 6, 30, 1e300, INF, -6, -1e300, -INF, NAN])
    same(engine.map("erf", far), jax.lax.erf(far))


def test_complementary_error_function(engine):
    x = np.concatenate([wide(), np.linspace(5, 26.5, 1500)])
    assert relative(engine.map("erfc", x), exactly(mpmath.erfc, x)) < 1e-15
    far = np.array([0, -0.0, 28, 30, 1e300, INF, -6, -1e300, -INF, NAN])
    same(engine.map("erfc", far), jax.lax.erfc(far))
    tail = np.linspace(26.6, 28.1, 50)  # numbers without all their digits, then 0
    exact = exactly(mpmath.erfc, tail).astype(float)
    assert np.abs(engine.map("erfc", tail) - exact).max() <= 4 * 5e-324 + 1e-15 * exact.max()


def test_logarithm_of_a_sum_of_exponentials(engine):
    edges = np.array([0, -0.0, 1, -2, 30, 800, -800, 1e300, INF, -INF, NAN])
    a, b = (side.ravel() for side in np.meshgrid(edges, edges))
    expected = np.asarray(jnp.logaddexp(jnp.asarray(a), jnp.asarray(b)))
    np.testing.assert_allclose(engine.map("logaddexp", a, b), expected, rtol=1e-15, atol=1e-16)


def gamma_arguments() -> NDArray[np.float64]:
    rng = np.random.default_rng(7)
    return np.concatenate(
        [
            np.linspace(0.01, 30, 1500),
            1 + rng.normal(size=100) / 100,
            2 + rng.normal(size=100) / 100,
            np.exp(rng.uniform(-700, 690, 500)),
            -rng.uniform(0, 30, 500),
            -np.arange(1, 20) + 1e-6,
            -np.exp(rng.uniform(-700, 10, 200)),
        ]
    )


def test_log_gamma(engine):
    x = gamma_arguments()
    exact = exactly(
        lambda v: mpmath.log(abs(mpmath.gamma(v))) if v < 1e5 else mpmath.loggamma(v), x
    )
    assert relative(engine.map("lgamma", x), exact, least=1) < 1e-14
    edges = np.array([0, -0.0, 1, 2, -1, -2, -1e300, 1e306, INF, -INF, NAN, 2.5e305])
    np.testing.assert_allclose(
        engine.map("lgamma", edges), jax.lax.lgamma(edges), rtol=1e-14, atol=1e-14
    )


def test_digamma(engine):
    x = gamma_arguments()
    assert relative(engine.map("digamma", x), exactly(mpmath.digamma, x), least=1) < 1e-13
    edges = np.array([0, -0.0, 1, 2, -1, -2, -1e300, 1e306, INF, -INF, NAN, 1e-310, -1e-300])
    expected = np.array([NAN, NAN, -np.euler_gamma, 1 - np.euler_gamma, NAN, NAN, NAN])
    found = engine.map("digamma", edges)
    np.testing.assert_allclose(found[:7], expected, rtol=1e-15)
    same(found[8:], [INF, NAN, NAN, -INF, 1e300])


# --- linear algebra ------------------------------------------------------------------------

KINDS = [np.float64, np.float32, np.complex128, np.complex64]
LIMIT = {np.float64: 1e-12, np.complex128: 1e-12, np.float32: 1e-3, np.complex64: 1e-3}


def parts(kind: Any) -> tuple[Any, bool]:
    """The type of the real part, and whether there is an imaginary one."""
    return np.empty(0, kind).real.dtype, np.issubdtype(kind, np.complexfloating)


def random(rng: Any, shape: Any, kind: Any) -> NDArray[Any]:
    real = rng.normal(size=shape)
    return (real + 1j * rng.normal(size=shape) if parts(kind)[1] else real).astype(kind)


def put(engine: Engine, name: str, values: NDArray[Any]) -> str:
    """Hand a matrix over after two places that must not change; return the arguments."""
    real, is_complex = parts(values.dtype.type)
    for part, numbers in ("r", values.real), ("i", values.imag):
        engine.put(name + part, np.concatenate([[7, 7], numbers.ravel(), [7]]).astype(real))
    return f"{name}r, {name}i, 2" if is_complex else f"{name}r, 2"


def get(engine: Engine, name: str, like: NDArray[Any]) -> NDArray[Any]:
    real, is_complex = parts(like.dtype.type)
    found = [engine.get(name + part, real) for part in ("r", "i")[: 1 + is_complex]]
    for numbers in found:
        assert list(numbers[:2]) == [7, 7] and numbers[-1] == 7  # nothing beside the matrix
    values = found[0] + 1j * found[1] if is_complex else found[0]
    return values[2:-1].reshape(like.shape)


def both(name: str, kind: Any) -> str:
    return f"{name}_complex" if parts(kind)[1] else name


def factorise(engine: Engine, a: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    n = len(a)
    arguments = put(engine, "a", a)
    engine.racer.eval(f"var pivots = new Int32Array({n + 1}), permutation = pivots.slice()")
    name = both("lu", a.dtype.type)
    engine.racer.eval(f"{name}({arguments}, {n}, pivots, permutation, 1)")
    pivots, permutation = (engine.get(part, np.int32)[1:] for part in ("pivots", "permutation"))
    return get(engine, "a", a), pivots, permutation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", range(1, 13))
def test_lu(engine, n, kind):
    rng = np.random.default_rng(n)
    for _ in range(3):
        a = random(rng, (n, n), kind)
        found, expected = factorise(engine, a), jax.lax.linalg.lu(a)
        same(found[1], expected[1])
        same(found[2], expected[2])
        np.testing.assert_allclose(found[0], expected[0], rtol=LIMIT[kind], atol=LIMIT[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_lu_of_singular_matrices(engine, kind):
    """Zero columns and rank 1: LAPACK goes on, and so do we."""
    a = np.array([[0, 1, 2], [0, 2, 1], [0, 4, 4]])
    for matrix in (a, a.T, np.zeros((2, 2)), np.ones((4, 4)), np.outer([1, 2, 4], [1, 3, 5])):
        matrix = matrix.astype(kind)
        found, expected = factorise(engine, matrix), jax.lax.linalg.lu(matrix)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_pivots_of_complex_matrices_are_those_of_lapack(engine):
    """|re| + |im|, not the modulus: 3 + 3i comes before 5, though it is smaller."""
    a = np.array([[5, 1], [3 + 3j, 1]])
    assert list(factorise(engine, a)[1]) == [1, 1] == list(jax.lax.linalg.lu(a)[1])
    huge = np.array([[1e200 + 1e200j, 1e200], [1e200j, 3e200]])  # squares overflow
    np.testing.assert_allclose(factorise(engine, huge)[0], jax.lax.linalg.lu(huge)[0], rtol=1e-15)


def decompose(engine: Engine, a: NDArray[Any]) -> NDArray[Any]:
    arguments = put(engine, "a", a)
    engine.racer.eval(f"{both('cholesky', a.dtype.type)}({arguments}, {len(a)})")
    return get(engine, "a", a)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_cholesky(engine, n, kind):
    x = random(np.random.default_rng(n), (n, n + 4), kind)
    a = x @ x.conj().T
    found = decompose(engine, a + np.triu(np.full((n, n), NAN), 1))  # the upper half is not read
    expected = jax.lax.linalg.cholesky(a)
    np.testing.assert_allclose(found, expected, rtol=LIMIT[kind], atol=LIMIT[kind])
    assert (np.triu(found, 1) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cholesky_of_what_is_not_positive_definite(engine, kind):
    for a in ([[1, 2], [2, 1]], [[0]], [[-1]], [[NAN]], [[4, 2, 0], [2, 5, 0], [0, 0, -1]]):
        a = np.array(a, kind)
        assert np.isnan(decompose(engine, a)).all()
        assert np.isnan(jax.lax.linalg.cholesky(a)).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("lower", [True, False])
def test_triangular_solve(engine, left, lower, kind):
    rng = np.random.default_rng(8)
    is_complex = parts(kind)[1]
    flags = itertools.product([True, False], [True, False] if is_complex else [False])
    for transpose, conjugate in flags:
        for unit, n, m in [(True, 4, 3), (False, 5, 2), (False, 3, 1), (True, 1, 1), (False, 2, 6)]:
            a = random(rng, (n, n), kind)  # full: what lies beyond the diagonal is not read
            a += 3 * np.eye(n, dtype=kind)
            b = random(rng, (n, m) if left else (m, n), kind)
            words = [left, lower, transpose, *([conjugate] if is_complex else []), unit]
            arguments = f"{put(engine, 'a', a)}, {put(engine, 'b', b)}, {n}, {m}, "
            arguments += ", ".join(str(word).lower() for word in words)
            engine.racer.eval(f"{both('triangular_solve', kind)}({arguments})")
            expected = jax.lax.linalg.triangular_solve(
                a,
                b,
                left_side=left,
                lower=lower,
                transpose_a=transpose,
                conjugate_a=conjugate,
                unit_diagonal=unit,
            )
            found = get(engine, "b", b)
            np.testing.assert_allclose(found, expected, rtol=LIMIT[kind], atol=LIMIT[kind])


def test_singular_triangular_solve(engine):
    a, b = np.array([[0.0, 0], [1, 2]]), np.array([[1.0], [1]])
    arguments = f"{put(engine, 'a', a)}, {put(engine, 'b', b)}, 2, 1, true, true, false, false"
    engine.racer.eval(f"triangular_solve({arguments})")
    same(get(engine, "b", b), jax.lax.linalg.triangular_solve(a, b, left_side=True, lower=True))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 10])
def test_eigenvalues_of_symmetric_matrices(engine, n, kind):
    x = random(np.random.default_rng(n), (n, n), kind)
    several = np.outer(np.ones(n), np.ones(n)) + 2 * np.eye(n)  # one of them n - 1 times
    for a in (x + x.T, (1e5 * x @ x.T).astype(kind), several.astype(kind), np.zeros((n, n), kind)):
        arguments = put(engine, "a", np.tril(a))
        engine.put("values", np.full(n + 1, 7, kind))
        engine.racer.eval(f"eigenvalues({arguments}, {n}, values, 1)")
        found = engine.get("values", kind)
        expected = np.linalg.eigvalsh(a.astype(float))
        assert found[0] == 7
        np.testing.assert_allclose(found[1:], expected, atol=LIMIT[kind] * (1 + abs(a).max()))


# --- sorting -------------------------------------------------------------------------------


def sorted_by(engine: Engine, values: NDArray[Any], before: str) -> NDArray[Any]:
    n = values.size
    engine.put("values", values)
    engine.racer.eval(f"var order = new Int32Array({n}), scratch = order.slice()")
    engine.racer.eval(f"sort_order({n}, (i, j) => {before}, order, scratch)")
    return engine.get("order", np.int32)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 31, 100, 1000])
def test_sort_order_is_stable(engine, n):
    rng = np.random.default_rng(n)
    for values in (rng.integers(0, 4, n), rng.normal(size=n), np.arange(n), -np.arange(n)):
        values = values.astype(float)
        found = sorted_by(engine, values, "values[i] < values[j]")
        same(found, np.argsort(values, kind="stable"))


def test_the_order_of_all_doubles(engine):
    edges = np.array([-INF, -1, -5e-324, -0.0, 0, 1e-300, 2, INF, NAN])
    a, b = (side.ravel() for side in np.meshgrid(edges, edges))
    expected = np.asarray(jax.lax.lt_to_p.bind(jnp.asarray(a), jnp.asarray(b)))
    same(engine.map("less_in_order", a, b, dtype=np.int32), expected.astype(np.int32))


def test_sort_order_leaves_nan_to_its_caller(engine):
    values = np.array([2, NAN, -0.0, 1, NAN, 0.0, -INF, INF, -1])
    before = "values[i] < values[j] || (values[j] !== values[j] && values[i] === values[i])"
    iota = np.arange(values.size)
    _, expected = jax.lax.sort((jnp.asarray(values), iota), num_keys=1)
    same(sorted_by(engine, values, before), expected)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-146, 1.0, 1e149, 1e200, 1e308])
def test_the_modulus_neither_overflows_nor_vanishes(engine, size):
    x, y = np.array([0.6, 0, 1, 0, -0.8]) * size, np.array([-0.8, 1, 0, 0, 0.6]) * size
    np.testing.assert_allclose(engine.map("modulus", x, y), np.hypot(x, y), rtol=1e-15)
