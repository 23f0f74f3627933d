"""A table of small JAX functions, each of which the translator matches or refuses.

    python -m tests.conformance     prints the table's verdicts; exit status 1 if any is wrong

A row is a name, a function and its arguments; float64 is on, as in the book. Each function is run
at the arguments and once more at others made of them, in JAX and in V8. `refused` rows name the
primitive that has no rule. A matched row that is refused is wrong too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax import random as jr

from optdyn.javascript import Untranslatable, translate
from tests.engine import Engine, difference


class Row(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    within: float
    primitive: str  # of a refusal


TABLE: dict[str, Row] = {}


def match(name: str, function: Callable[..., Any], *arguments: Any, within: float = 1e-12) -> None:
    assert name not in TABLE, name
    TABLE[name] = Row(function, arguments, within, "")


def refused(name: str, primitive: str, function: Callable[..., Any], *arguments: Any) -> None:
    assert name not in TABLE, name
    TABLE[name] = Row(function, arguments, 0, primitive)


if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

double = enable_x64(True)  # while the table is made; what other tests find is left as it was
double.__enter__()
f32, i32, u32 = jnp.float32, jnp.int32, jnp.uint32
S32 = 3e-7  # float32: a few units in the last place
rng = np.random.default_rng(1)
inf, nan = jnp.inf, jnp.nan

# Subnormal numbers are left out: XLA on a CPU takes them for zero, JavaScript keeps them.
x = jnp.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, nan, inf, -inf, 1e300, 1e-300])
y = jnp.array([2.0, -1, 3, 0, -0.0, 1.5, nan, 2, 1, 0, inf, 2, 0.5])
i = jnp.array([-7, -1, 0, 1, 7, 2147483647, -2147483648], i32)
j = jnp.array([2, 0, 3, -2, -3, 2, -1], i32)
u = jnp.array([0, 1, 7, 4294967295, 2147483648], u32)
v = jnp.array([3, 0, 2, 7, 31], u32)
b = jnp.array([True, False, True])
M = jnp.array(rng.normal(size=(4, 5)))
Q = jnp.array(rng.normal(size=(2, 3, 4)))
g = jnp.linspace(-3, 3, 13)
s = jnp.linspace(0.1, 1.9, 7, dtype=f32)
c = jnp.array([1 + 2j, -0.5 + 0j, 0.25j, 3j, -2 - 1j])
A = M[:, :4] @ M[:, :4].T + jnp.eye(4)
key = jr.key(3)

# --- elements ------------------------------------------------------------------------------------
for _name in ("floor ceil abs sign exp log1p expm1 sqrt tanh sinh cosh isfinite isnan isinf rint round trunc sin cos tan arctan arcsinh log log2 exp2 square cbrt sinc negative reciprocal positive").split():
    match(_name, getattr(jnp, _name), g if _name in ("sin", "cos", "tan", "sinc") else x)
for _name in ("arcsin", "arccos", "arctanh", "arccosh"):
    match(_name, getattr(jnp, _name), jnp.array([-1, -0.5, 0, 0.3, 1, 1.5, nan]))
for _name in ("maximum minimum power arctan2 fmod mod floor_divide hypot logaddexp add subtract multiply divide heaviside equal not_equal less less_equal greater greater_equal float_power").split():
    match(f"{_name} of floats", getattr(jnp, _name), x, y)
for _name in ("maximum minimum add subtract multiply floor_divide mod bitwise_and bitwise_or bitwise_xor left_shift right_shift less equal gcd").split():
    match(f"{_name} of int32", getattr(jnp, _name), i[:-1], j[:-1])
    match(f"{_name} of uint32", getattr(jnp, _name), u, v)
match("int32 at its ends", lambda a: (a + a, a * a, a - 1, -a, abs(a), ~a, jnp.sign(a)), i)
match("uint32 at its ends", lambda a: (a + a, a * a, a - 1, -a, ~a), u)
match("int32 division", lambda a, d: (lax.div(a, d), lax.rem(a, d)), i, j)
match("uint32 division", lambda a, d: (lax.div(a, d), lax.rem(a, d)), u, v)
match("int64", lambda a: (a * 3 - 5, a // 4, a % 4, -a, a**2, abs(a), lax.rem(a, 3)), jnp.arange(-5, 6))
match("shifts past the width", lambda a: (a << 33, lax.shift_right_logical(a, i32(33)), a >> 40), i)
match("logical shift of int32", lambda a: lax.shift_right_logical(a, i32(3)), i)
match("integer powers", lambda a: (a**2, a**3, a**5), i)
match("powers", lambda a: (a**3, a**4, a**-1, a**-2, a**0.5, 2.0**a, a**0), x)
match("float to int32", lambda a: a.astype(i32), jnp.array([1.9, -1.9, nan, inf, -inf, 3e9, -3e9]))
match("float to uint32", lambda a: a.astype(u32), jnp.array([1.9, 0.0, nan, inf, 3e9, 5e9]))
match("float to int64", lambda a: a.astype(jnp.int64), jnp.array([1.9, -1.9, 1e15, -1e15, 0.0]))
match("float to bool", lambda a: a.astype(bool), x)
match("float64 to float32", lambda a: a.astype(f32), x)
match("between integers", lambda a: (a.astype(u32), a.astype(jnp.int64), a.astype(f32)), i)
match("unsigned to others", lambda a: (a.astype(i32), a.astype(jnp.int64), a.astype(float)), u)
match("uint32 bits, not stored", lambda a, q: ((a & q).astype(float), (a | q) * 0.5, (a ^ q) > 5, ~(a & q) + 0.5), u, v)
match("bools", lambda p: (p & ~p, p | p, p ^ True, p + 1, p * 2.0, p == True, p.sum(), ~p), b)  # noqa: E712
match("bools in and out", lambda p, n: (jnp.where(p, n, -n), p & (n > 2), p + n), True, 3)
match("bits of float32", lambda a: (lax.bitcast_convert_type(a, u32), lax.bitcast_convert_type(a, i32)), s)
match("float32 from bits", lambda a: lax.bitcast_convert_type(a, f32), u[:3])
match("leading zeros", lax.clz, i)
match("where", lambda a: (jnp.where(a > 0, a, nan), jnp.select([a < -1, a < 1], [a, 2 * a], 0.0)), x)
match("select of three", lambda k: lax.select_n(k, g[:3], 2 * g[:3], 3 * g[:3]), jnp.array([0, 2, 1], i32))
match("clip", lambda a: (jnp.clip(a, -1, 1), lax.clamp(-1.0, a, 2.0)), x)
match("rounding", lambda a: (jnp.round(a), lax.round(a), jnp.round(a, 1)), jnp.array([0.5, 1.5, 2.5, -0.5, -1.5]))
match("floor division by a constant", lambda a: (a // 0.7, a % 0.7, jnp.fmod(a, 0.7), jnp.divmod(a, 3)), g)
match("erf", jax.scipy.special.erf, 2 * g)
match("erfc", jax.scipy.special.erfc, 2 * g)
match("gammaln", lambda a: jax.scipy.special.gammaln(jnp.abs(a) + 0.1), g)
match("digamma", lambda a: jax.scipy.special.digamma(jnp.abs(a) + 0.1), g)
match("logit", lambda a: jax.scipy.special.logit(jax.nn.sigmoid(a)), g)
match("xlogy", lambda a: jax.scipy.special.xlogy(a, a), jnp.abs(g))
match("normal density", lambda a: (jax.scipy.stats.norm.pdf(a), jax.scipy.stats.norm.cdf(a)), g)
match("activations", lambda a: (jax.nn.relu(a), jax.nn.gelu(a), jax.nn.silu(a), jax.nn.elu(a)), g)
match("sigmoid and softplus", lambda a: (jax.nn.sigmoid(a), jax.nn.softplus(a), jax.nn.log_sigmoid(a)), x)
match("softmax", lambda a: (jax.nn.softmax(a), jax.nn.log_softmax(a, axis=0), jax.nn.logsumexp(a, axis=1)), M)
refused("copysign", "bitcast_convert_type", jnp.copysign, x, y)
refused("nextafter", "nextafter", jnp.nextafter, x, y)
refused("population count", "population_count", lax.population_count, i)
refused("incomplete gamma", "igamma", lambda a: jax.scipy.special.gammainc(2.0, a), g)
refused("bessel", "bessel_i0e", jax.scipy.special.i0e, g)

# --- float32: each operation is rounded ----------------------------------------------------------
match("float32 arithmetic", lambda a: (a * f32(0.1) + f32(0.3), a / 3, a - a**3, jnp.sqrt(a)), s, within=S32)
match("float32 functions", lambda a: (jnp.exp(a), jnp.log(a), jnp.sin(a), jnp.tanh(a), a**1.5), s, within=S32)
match("float32 sums", lambda a: (a.sum(), a @ a, jnp.cumsum(a), jnp.outer(a, a).sum(0)), s, within=1e-6)
match("float32 is not float64", lambda a: (a + f32(1e-9) == a, f32(16777216) + a[:1] * 0 + f32(1)), s, within=0)
match("float32 and integers", lambda a: a + jnp.arange(7, dtype=i32), s, within=S32)
match("float32 iteration", lambda a: lax.fori_loop(0, 50, lambda _, w: w - f32(0.1) * (w**3 - w), a), s, within=3e-6)

# --- shapes --------------------------------------------------------------------------------------
match("reshape", lambda a: (a.reshape(3, 8), a.ravel(), a.transpose(2, 0, 1).reshape(-1), a[:1].squeeze()), Q)
match("transpose", lambda a: (a.T, a.swapaxes(0, 1), jnp.moveaxis(a, 0, 2)), Q)
match("broadcast", lambda a: (a[None] * M, a[:, None] + M.T, jnp.broadcast_to(a, (2, 3, 5))), M[0])
match("size one", lambda a: (jnp.ones((1, 5)) * a[None] + jnp.zeros((4, 1)), a[:1] * a), M[0])
match("slices", lambda a: (a[1:3, ::2], a[::-1, 1], a[-1], a[:, -2:], a[1::2]), M)
match("roll and flip", lambda a: (jnp.roll(a, 2, axis=2), jnp.roll(a, -1), jnp.flip(a, 0), jnp.rot90(a[0])), Q)
match("concatenate", lambda a: (jnp.concatenate([a, 2 * a], 2), jnp.hstack([a, a]), jnp.vstack([a, a])), Q)
match("stack", lambda a: (jnp.stack([a, 2 * a], 1), jnp.stack([a, a], -1), jnp.dstack([a, a])), M)
match("split", lambda a: (*jnp.split(a, 2, axis=2), *jnp.array_split(a, 3, axis=2)), Q)
match("tile and repeat", lambda a: (jnp.tile(a, (1, 2, 1)), jnp.repeat(a, 2, axis=1), jnp.repeat(a, 3)), Q)
match("pad", lambda a: (lax.pad(a, 0.5, ((1, -1, 1), (-1, 2, 0))), jnp.pad(a, ((0, 1), (2, 0)))), M)
match("pad modes", lambda a: (jnp.pad(a, 1, mode="edge"), jnp.pad(a, 1, mode="reflect"), jnp.pad(a, 1, mode="wrap")), M)
match("pad away", lambda a: lax.pad(a, 0.0, ((-3, 1, 2), (0, -4, 0))), M)
match("meshgrid", lambda a: jnp.meshgrid(a, 2 * a), g)
match("linspace", lambda a: (jnp.linspace(a[0], a[1], 7), jnp.logspace(a[0], a[1], 4)), M[0])
match("arange and eye", lambda a: (jnp.arange(5) * a, jnp.eye(3) * a, jnp.tri(4) * a, jnp.ones(2) * a), 0.7)
match("empty", lambda a: (a[:0], a[:0].sum(), jnp.concatenate([a[:0], a])), M[0])
match("an input unchanged", lambda a: a, M)
match("device_put", lambda a: 2 * jax.device_put(a), g)
match("barrier", lambda a, z: lax.optimization_barrier((a, z, a > 0, jnp.arange(3))), g, c)
refused("less precision", "reduce_precision", lambda a: lax.reduce_precision(a, 8, 7), g)
refused("int64 constants beyond a double", "add", lambda a: a + (2**60 + 1), 3)
refused("int64 shifted by what is not known", "shift_left", lambda a: jnp.left_shift(a, a), jnp.arange(3))
match("constants", lambda a: (jnp.arange(3), 3.0, np.array([True, False]), u, s, c, i), 1.0)
match("one value twice", lambda a: (a, a, 2 * a, 2 * a), M[0])
match("trees", lambda d: {"b": 2 * d["a"], "a": [d["b"], d["a"].sum()]}, {"a": M[0], "b": 2.0})
match("scalars", lambda a, n, m: (a + n, n * m, a * m), 0.5, 3, f32(2))
match("a chain of 500", lambda a: [a := jnp.sin(a) + 0.01 * k for k in range(500)][-1], g)

# --- places --------------------------------------------------------------------------------------
match("take", lambda a: (jnp.take(a, jnp.array([3, 1, 2])), a[jnp.array([[0], [1]])], a[:, jnp.array([0, 3])]), M)
match("pairs of places", lambda a: (a[jnp.array([0, 2]), jnp.array([1, 4])], a[jnp.array([[0], [1]]), jnp.array([2, 3])]), M)
match("places outside", lambda a: a[jnp.array([0, 9, -1, -9])], M[:, 0])
match("places outside, clipped", lambda a: a.at[jnp.array([0, 9, -9])].get(mode="clip"), M[:, 0])
match("places outside, filled", lambda a: (a.at[jnp.array([0, 9])].get(mode="fill"), a.at[jnp.array([9])].get(mode="fill", fill_value=7)), M[:, 0])
match("places outside, integers", lambda a: a.at[jnp.array([0, 9])].get(mode="fill"), i)
match("a place that is computed", lambda k: (M[k], M[:, k], lax.dynamic_index_in_dim(M, k)), 2)
match("dynamic slice", lambda k: (lax.dynamic_slice(M, (k, k), (2, 3)), lax.dynamic_slice(M, (k, 9), (4, 1))), 3)
match("dynamic slice before 0", lambda k: (lax.dynamic_slice(M, (k, k), (2, 3)), M[k]), -2)
match("dynamic update", lambda k: lax.dynamic_update_slice(M, jnp.ones((2, 2)), (k, k)), 3)
match("take along axis", lambda a: jnp.take_along_axis(a, jnp.argsort(a, axis=1), axis=1), M)
match("set", lambda a: (a.at[1].set(9), a.at[1:3, 2:].set(0), a.at[jnp.array([0, 2]), jnp.array([1, 4])].set(9)), M)
match("set outside", lambda a: (a.at[jnp.array([0, 9, -1])].set(7.0), a.at[jnp.array([0, 9])].set(7.0, mode="clip")), M[:, 0])
match("add to one place twice", lambda a: a.at[jnp.array([0, 1, 1, 0])].add(jnp.arange(4.0)), M[:, 0])
match("multiply, least, greatest", lambda a: (a.at[jnp.array([0, 1, 1])].mul(3), a.at[jnp.array([1, 1])].min(-3), a.at[jnp.array([0, 1])].max(3)), M[:, 0])
match("scatter of integers", lambda a: (a.at[jnp.array([0, 1, 1])].add(5), a.at[1].mul(3)), i)
match("vmap of slices", jax.vmap(lambda k: lax.dynamic_slice(M[0], (k,), (2,))), jnp.array([0, 3, 4, -1]))
match("vmap of sets", jax.vmap(lambda k, a: M[0].at[k].set(a)), jnp.array([0, 3, 4, -1]), jnp.arange(4.0))
match("diagonals", lambda a: (jnp.diag(a), jnp.diag(a[0]), jnp.trace(a), jnp.tril(a), jnp.triu(a, 1), jnp.fill_diagonal(a, 0.0, inplace=False)), M)
match("histogram", lambda a: (jnp.histogram(a, bins=4)[0], jnp.digitize(a, jnp.array([0.0, 1]))), M[:, 0])
match("bincount", lambda a: jnp.bincount(a, length=9), jnp.array([1, 1, 7, 0]))
match("searchsorted", lambda a: (jnp.searchsorted(g, a), jnp.searchsorted(g, a, side="right")), M[0])

# --- sums and sorting ----------------------------------------------------------------------------
match("sums", lambda a: (a.sum(), a.sum(0), a.sum((0, 1)), a.mean(1), a.sum(keepdims=True)), Q)
match("products and extrema", lambda a: (a.prod(1), a.max(0), a.min(), jnp.ptp(a, axis=1)), M)
match("extrema with NaN", lambda a: (a.max(), a.min(), jnp.nanmax(a), jnp.nanmin(a), a.sum()), x)
match("any and all", lambda a: ((a > 0).any(0), (a > -9).all(), jnp.count_nonzero(a > 0)), M)
match("integer sums", lambda a: (a.sum(dtype=i32), a.prod(dtype=i32), a.max(), a.min(), jnp.cumsum(a, dtype=i32)), i)
match("bitwise reductions", lambda a: (jnp.bitwise_or.reduce(a), jnp.bitwise_and.reduce(a), jnp.bitwise_xor.reduce(a)), i)
match("bitwise reductions, not stored", lambda a: (jnp.bitwise_or.reduce(a) * 0.5, jnp.bitwise_and.reduce(a | 2**31) * 0.5), u)
refused("bitwise reduction of int64", "reduce_or", lambda a: jnp.bitwise_or.reduce(a), jnp.arange(5))
match("moments", lambda a: (jnp.std(a, 0), jnp.var(a), jnp.cov(a), jnp.corrcoef(a), jnp.average(a, weights=a**2)), M)
match("median and quantile", lambda a: (jnp.median(a, 1), jnp.quantile(a, 0.3, axis=0), jnp.percentile(a, 70.0)), M)
match("argmax", lambda a: (jnp.argmax(a), jnp.argmin(a), jnp.argmax(a, 0), jnp.argmin(a, 1)), M)
match("argmax, ties and NaN", lambda a: (jnp.argmax(a), jnp.argmax(jnp.array([1, 3, 3])), jnp.nanargmax(a)), x)
match("running sums", lambda a: (jnp.cumsum(a, 0), jnp.cumprod(a, 1), lax.cumsum(a, 1, reverse=True)), M)
match("running extrema", lambda a: (lax.cummax(a, 1), lax.cummin(a, 0, reverse=True), lax.cumlogsumexp(a, 1)), M)
match("sort", lambda a: (jnp.sort(a, 0), jnp.sort(a, 1), jnp.sort(a, axis=None), -jnp.sort(-a)), M)
match("sort with NaN", lambda a: (jnp.sort(a), jnp.argsort(a)), x)
match("sort integers downwards", lambda a: (jnp.sort(a, descending=True), jnp.argsort(a, descending=True)), i)
match("argsort is stable", lambda a: jnp.argsort(a), jnp.array([1, 0, 1, 0, 1, 0, 2]))
match("lexsort", lambda a: jnp.lexsort((a, jnp.array([1, 0, 1, 0]))), M[:, 0])
match("sort by two keys", lambda a: lax.sort((jnp.array([1, 0, 1, 0]), a, a + 1), num_keys=2), M[:, 0])
match("unique", lambda a: jnp.unique(a, size=3), jnp.array([3, 1, 1, 3]))
match("differences", lambda a: (jnp.diff(a), jnp.diff(a, 2), jnp.gradient(a), jnp.trapezoid(a)), M[0])
match("interp and polyval", lambda a: (jnp.interp(a, g, g**2), jnp.polyval(g[:3], a), jnp.unwrap(3 * a)), M[0])
match("convolve", lambda a: (jnp.convolve(a, g[:3]), jnp.convolve(a, g[:3], mode="same"), jnp.correlate(a, a, mode="full")), M[0])
match("two-dimensional convolution", lambda a: jax.scipy.signal.convolve2d(a, M[:2, :2]), M)
match("toeplitz", lambda a: jax.scipy.linalg.toeplitz(a), M[0])
match("associative scan", lambda a: lax.associative_scan(jnp.add, a), g)
match("associative scan of pairs", lambda a: lax.associative_scan(lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1]), (a, a)), g)
refused("top_k", "top_k", lambda a: lax.top_k(a, 2), g)
refused("reduce_window", "reduce_window_sum", lambda a: lax.reduce_window(a, 0.0, lax.add, (2,), (1,), "valid"), g)

# --- matrices ------------------------------------------------------------------------------------
match("dot", lambda a: (a @ a.T, a.T @ a, a @ a[0], a[0] @ a[1], jnp.outer(a[0], a[1]), jnp.vdot(a, a)), M)
match("batched products", lambda a: (a @ a.swapaxes(1, 2), jnp.tensordot(a, a, axes=([1, 2], [1, 2]))), Q)
match("einsum", lambda a: (jnp.einsum("abc,abd->acd", a, a), jnp.einsum("abc->ca", a), jnp.einsum("abc,dbc->ad", a, a)), Q)
match("integer products", lambda a: (a @ a, jnp.outer(a, a), jnp.arange(7) @ jnp.arange(7)), i)
match("kron", lambda a: (jnp.kron(a[:2, :2], jnp.eye(2)), jnp.vander(a[0], 3), jnp.cross(a[0, :3], a[1, :3])), M)
match("solve", lambda t: (jnp.linalg.solve(t * A, M), jnp.linalg.solve(t * A, M[:, 0])), 0.7)
match("inverse", lambda t: jnp.linalg.inv(t * A), 0.7)
match("determinant", lambda t: (jnp.linalg.det(t * A), jnp.linalg.slogdet(t * A), jnp.linalg.slogdet(-t * A[:3, :3])), 0.7)
match("singular determinant", lambda t: jnp.linalg.det(t * jnp.ones((3, 3))), 0.7)
match("lu", lambda t: jax.scipy.linalg.lu(t * A), 0.7)
match("cholesky", lambda t: (jnp.linalg.cholesky(t * A), jnp.linalg.cholesky(-t * A)), 0.7)
match("cho_solve", lambda t: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(t * A), M[:, 0]), 0.7)
match("triangular", lambda t: (jax.scipy.linalg.solve_triangular(t * A, M, lower=True), jax.scipy.linalg.solve_triangular(t * A, M, trans=1)), 0.7)
match("triangular from the right", lambda t: lax.linalg.triangular_solve(t * A, M.T, left_side=False, lower=True), 0.7)
match("expm and powers", lambda t: (jax.scipy.linalg.expm(t * A), jnp.linalg.matrix_power(t * A, 3)), 0.2)
match("eigenvalues", lambda t: (jnp.linalg.eigvalsh(t * A), jnp.linalg.norm(t * A), jnp.linalg.norm(t * A, axis=0)), 0.7)
match("solve under vmap", jax.vmap(lambda t, r: jnp.linalg.solve(A + t * jnp.eye(4), r)), jnp.arange(3.0), M[:3, :4])
match("others under vmap", jax.vmap(lambda t: (jnp.linalg.cholesky(A + t * jnp.eye(4)), jnp.linalg.det(A * t), jnp.linalg.eigvalsh(A * t))), jnp.arange(3.0))
match("float32 solve", lambda t: jnp.linalg.solve(t * A.astype(f32), s[:4]), f32(0.7), within=3e-6)
match("gradients of algebra", jax.grad(lambda t: jnp.linalg.solve(A + t * jnp.eye(4), M[:, 0]).sum() + jnp.linalg.slogdet(A + t * jnp.eye(4))[1] + jnp.linalg.cholesky(A + t * jnp.eye(4)).sum()), 0.3)
refused("svd", "svd", lambda t: jnp.linalg.svd(t * A, compute_uv=False), 0.7)
refused("eigh", "eigh", lambda t: jnp.linalg.eigh(t * A)[1], 0.7)
refused("qr", "qr|geqrf", lambda t: jnp.linalg.qr(t * A)[1], 0.7)
refused("lstsq", "svd", lambda t: jnp.linalg.lstsq(t * M, M[:, 0])[0], 0.7)
refused("fft", "fft", lambda a: jnp.abs(jnp.fft.fft(a)), g)
refused("float16", "convert_element_type", lambda a: a.astype(jnp.float16).astype(float), g)
refused("int8", "convert_element_type", lambda a: (a.astype(jnp.int8) + jnp.int8(100)).astype(i32), i)

# --- complex numbers -----------------------------------------------------------------------------
match("complex arithmetic", lambda z: (z + 1, z * z, z - 2j, -z, z / (z + 1j), z * 2, 1 / z, z.conj()), c)
match("complex parts", lambda z: (z.real, z.imag, abs(z), jnp.angle(z), jnp.sign(z), lax.complex(z.real, z.imag)), c)
match("complex functions", lambda z: (jnp.exp(z), jnp.log(z), jnp.sqrt(z), jnp.sin(z), jnp.cos(z)), c)
match("complex powers", lambda z: (z**2, z**3, z**-2, z ** (0.5 + 1j), z[:, None] ** jnp.arange(5), z**2.5), c)
match("complex sums", lambda z: (z.sum(), z.mean(), z.prod(), jnp.cumsum(z), z @ z, jnp.vdot(z, z), jnp.outer(z, z.conj())), c)
match("complex matrices", lambda z: ((z[:, None] * M.T) @ M, jnp.einsum("i,ij->j", z[:4], M), jnp.linalg.norm(z)), c)
match("complex on the cut", lambda a, z: (jnp.sqrt((a * (1 + 0j)) ** 2 - 4), jnp.sqrt(-z), jnp.sqrt(z.conj()), jnp.log(-z), jnp.exp(z.conj())), -1.0, jnp.array([2 + 0j, -2 + 0j, 0j, 3j]))
match("complex without end", lambda z, w: (z / w, jnp.sqrt(z), abs(z), jnp.exp(-abs(z)) * 1), jnp.array([1 + 0j, 1 + 1j, 0j, 1 + 2j, 2 + 1j, 3 - 1j]), jnp.array([0j, 0j, 0j, complex(inf, inf), complex(inf, 0), complex(0, -inf)]))
match("complex places", lambda z: (z[::-1], z[jnp.array([4, 0])], z.at[1].set(2j), z.at[1].add(1 + 1j), jnp.stack([z, z]).T, jnp.concatenate([z, z])), c)
match("complex places outside", lambda z: (z[jnp.array([0, 9])], z.at[jnp.array([9])].get(mode="fill"), z.at[jnp.array([9, 1])].get(mode="fill", fill_value=1 + 2j)), c)
match("complex comparisons", lambda z: (z == z[0], z != z[0], jnp.isfinite(z), jnp.where(z.real > 0, z, 0)), c)
match("complex solve", lambda z: (jnp.linalg.solve(jnp.outer(z, z) + 3 * jnp.eye(5), z), jnp.linalg.inv(jnp.outer(z, z) + 3 * jnp.eye(5))), c)
match("complex determinant", lambda z: jnp.linalg.det(jnp.outer(z, z) + 3 * jnp.eye(5)), c)
match("complex cholesky", lambda z: jnp.linalg.cholesky(jnp.outer(z, z.conj()) + 3 * jnp.eye(5)), c)
match("complex scan", lambda z: lax.scan(lambda h, t: (z * h + t, h.sum().real), jnp.zeros(5, complex), jnp.arange(6.0)), 0.3 * c)
match("complex while", lambda z: lax.while_loop(lambda w: abs(w) < 4, lambda w: w * w + z, z), 0.5 + 0.6j)
match("complex cond", lambda z: lax.cond(z.real > 0, lambda: z * 1j, lambda: z), 0.5 + 0.6j)
match("gradient through complex", jax.grad(lambda a: abs(jnp.exp(1j * a * c).sum()) ** 2), 0.4)
match("holomorphic gradient", jax.grad(lambda z: z**3 + jnp.exp(z), holomorphic=True), 0.4 + 0.2j)
match("complex64", lambda a: (jnp.exp(lax.complex(a, a)), abs(lax.complex(a, -a)) ** 2), s, within=1e-6)
refused("complex tanh", "tanh", jnp.tanh, c)
refused("complex scatter-mul", "scatter-mul", lambda z: z.at[1].multiply(2j), c)

# --- loops and branches --------------------------------------------------------------------------
match("scan", lambda a: lax.scan(lambda w, t: (w * a + t, w), 0.0, g), 0.7)
match("scan backwards", lambda a: lax.scan(lambda w, t: (w * a + t, w), 0.0, g, reverse=True), 0.7)
match("scan without inputs", lambda a: lax.scan(lambda w, _: (jnp.sin(w), w), a, None, length=9), 0.7)
match("scan over rows", lambda a: lax.scan(lambda w, r: (w + r[0] * r[1].sum(), (w, 2 * r[1])), a, (M[:, 0], M)), 0.3)
match("scan of nothing", lambda a: lax.scan(lambda w, _: (w + 1, w), a, None, length=0), 0.7)
match("carried and swapped", lambda a: lax.scan(lambda w, _: ((w[1], w[0]), w[0]), (a, a + 1), None, length=5), 0.7)
match("Fibonacci", lambda a: lax.scan(lambda w, _: ((w[1], w[0] + w[1]), w[0]), (a, a + 1), None, length=6), 0.7)
match("three in a ring", lambda a: lax.scan(lambda w, _: ((w[1], w[2], w[0]), w[0]), (a, a + 1, a + 2), None, length=7), 0.7)
match("arrays swapped", lambda a: lax.scan(lambda w, _: ((w[1], w[0]), w[0].sum()), (a * g, a + g), None, length=7), 0.7)
match("arrays in a ring", lambda a: lax.scan(lambda w, _: ((w[1], w[2] + w[0], w[0]), None), (a * g, a + g, g), None, length=7)[0], 0.7)
match("carried unchanged", lambda a: lax.scan(lambda w, _: ((w[0], w[1] + w[0]), None), (a * g, g), None, length=7)[0], 0.7)
match("outputs not used", lambda a: lax.scan(lambda w, _: (w * 2, (w, w + 1)), a, None, length=3)[1][1], 0.7)
match("what stays the same", lambda a: lax.scan(lambda w, _: (w + (jnp.exp(a * M) * w).sum(), w), 0.1, None, length=4), 0.03)
match("scan in scan", lambda a: lax.scan(lambda w, t: lax.scan(lambda q, r: (0.9 * q + r * t, q), w, g[:3]), a, g[:4]), 0.3)
match("scan of integers", lambda a: lax.scan(lambda w, t: (w * 1103515245 + t, w), a, jnp.arange(9, dtype=i32)), i32(7))
match("scan of bools", lambda p: lax.scan(lambda w, q: (w ^ q, w), p, b), True)
match("fori", lambda a: lax.fori_loop(0, 10, lambda k, w: w + a * k, 0.0), 0.7)
match("fori, traced bounds", lambda a, n: lax.fori_loop(1, n, lambda k, w: w + a * k, 0.0), 0.7, 7)
match("fori that fills an array", lambda a: lax.fori_loop(0, 9, lambda k, w: w.at[k].set(a * k + w[k - 1]), jnp.zeros(9)), 0.7)
match("while", lambda a: lax.while_loop(lambda w: w < 50, lambda w: 1.7 * w + a, 1.0), 0.7)
match("while of several", lambda n: lax.while_loop(lambda w: w[0] < n, lambda w: (w[0] + 1, w[2], w[1] + w[2]), (0, 0.0, 1.0)), 11)
match("while in scan", lambda a: lax.scan(lambda w, t: (lax.while_loop(lambda q: q > 1, lambda q: q / 2 + 0.01, w + t), w), a, g), 7.0)
match("while that never runs", lambda a: lax.while_loop(lambda w: w < 0, lambda w: w + 1, a), 7.0)
match("cond", lambda a: lax.cond(a > 0.65, lambda w: w * g, lambda w: w + g, a), 0.7)
match("cond of several", lambda a: lax.cond(a > 0.65, lambda: (a, 2 * g), lambda: (-a, g)), 0.7)
match("cond in scan", lambda a: lax.scan(lambda w, t: lax.cond(w > t, lambda: (w - t, 2 * w), lambda: (w + t, -w)), a, g), 3.0)
match("switch", lambda k: lax.switch(k, [lambda: g, lambda: 2 * g, lambda: 3 * g]), 1)
match("switch outside", lambda k: (lax.switch(k, [lambda: 1.0, lambda: 2.0]), lax.switch(-k, [lambda: 1.0, lambda: 2.0])), 7)
match("map", lambda a: lax.map(lambda r: jnp.sort(r)[:2], a), M)
match("vmap of scan", jax.vmap(lambda t: lax.scan(lambda w, _: (0.9 * w + t, w), 0.7, None, length=5)), g)
match("vmap of while", jax.vmap(lambda a: lax.while_loop(lambda w: w[1] < 20, lambda w: (w[0] + 1, 1.5 * w[1] + a), (0, a))), jnp.array([0.1, 5, 30, 2]))
match("vmap of while with arrays", jax.vmap(lambda a, n: lax.while_loop(lambda w: w[1] < n, lambda w: (w[0] + g, 1.5 * w[1] + a), (0 * g, a))), jnp.array([0.1, 5, 30, 2]), jnp.array([10.0, 20, 3, 100]))
match("vmap of fori", jax.vmap(lambda n: lax.fori_loop(0, n, lambda k, w: 1.1 * w + k, 1.0)), jnp.array([0, 3, 5]))
match("vmap of vmap of while", jax.vmap(jax.vmap(lambda a: lax.while_loop(lambda w: w < 9, lambda w: 2 * w + 1, a))), abs(M))
match("vmap of cond", jax.vmap(lambda t: lax.cond(t > 0.5, lambda w: 2 * w, lambda w: w - 1, t)), g)
match("vmap of switch", jax.vmap(lambda k, a: lax.switch(k, [lambda w: 2 * w, lambda w: w - 1, lambda w: -w], a)), jnp.array([0, 1, 2, 1]), g[:4])

# --- derivatives ---------------------------------------------------------------------------------
match("gradient", jax.grad(lambda w: jnp.log1p(jnp.exp(-w * g)).sum()), 0.7)
match("value and gradient", jax.value_and_grad(lambda w: jnp.tanh(M @ w).sum()), g[:5])
match("hessian", jax.hessian(lambda w: jnp.log1p(jnp.exp(M @ w)).sum()), g[:5])
match("jacobians", lambda w: (jax.jacfwd(lambda q: jnp.tanh(M @ q))(w), jax.jacrev(lambda q: jnp.tanh(M @ q))(w)), g[:5])
match("jvp and linearize", lambda a: (jax.jvp(jnp.sin, (a,), (a,)), jax.linearize(jnp.sin, a)[1](2 * a)), g)
match("gradient through scan", jax.grad(lambda a: lax.scan(lambda w, t: (jnp.tanh(a * w + t), None), a, g)[0]), 0.4)
match("gradient through while's scan", jax.grad(lambda a: lax.fori_loop(0, 5, lambda _, w: jnp.sin(w) + a, a)), 0.4)
match("gradient under vmap", jax.vmap(jax.grad(lambda w: jax.nn.softplus(M @ w).sum())), M)
match("gradient through cond in scan", jax.grad(lambda a: lax.scan(lambda w, t: (lax.cond(t > 0, lambda: jnp.sin(w * a), lambda: w + a), None), a, g)[0]), 0.3)
match("scan of empty rows", lambda a: lax.scan(lambda w, t: (2 * w, t + w), a[:0], jnp.ones((3, 0))), g)
match("checkpoint", jax.grad(jax.checkpoint(lambda a: jnp.sin(a * M).sum())), 0.3)
match("gradient of places", jax.grad(lambda w: (w[jnp.array([0, 0, 2])] * g[:3]).sum() + w.at[1].set(0.0).sum()), g)

# --- random numbers ------------------------------------------------------------------------------
match("random words", lambda k: jr.bits(k, (5, 3), dtype=u32), key, within=0)
match("uniform", lambda k: jr.uniform(k, (2, 3)), key, within=0)
match("uniform in float32", lambda k: jr.uniform(k, (9,), f32, -1, 3), key, within=S32)
match("normal in float32", lambda k: jr.normal(k, (99,), f32), key, within=1e-6)
match("bernoulli", lambda k: jr.bernoulli(k, 0.3, (9,)), key, within=0)
match("rademacher", lambda k: (jr.rademacher(k, (9,)), jr.rademacher(k, (9,), f32)), key, within=0)
match("randint", lambda k: (jr.randint(k, (9,), 0, 7), jr.randint(k, (9,), -5, 70, i32)), key, within=0)
match("random exponential and others", lambda k: (jr.exponential(k, (3,)), jr.gumbel(k, (3,)), jr.laplace(k, (3,)), jr.logistic(k, (3,))), key)
match("categorical", lambda k: jr.categorical(k, jnp.zeros((4, 3))), key, within=0)
match("permutation", lambda k: (jr.permutation(k, 9), jr.permutation(k, M)), key, within=0)
match("choice", lambda k: (jr.choice(k, g, (3,)), jr.choice(k, 7, (3,), replace=False)), key, within=0)
match("split keys", lambda k: jr.bits(jr.split(k, 3)[1], (3,), u32), key, within=0)
match("fold_in", lambda k: jr.bits(jr.fold_in(k, 5), (3,), u32), key, within=0)
match("a key from a seed", lambda n: (jr.bits(jr.key(n), (3,), u32), jr.bits(jr.PRNGKey(n), (3,), u32)), 7, within=0)
match("a large seed and a negative one", lambda n: (jr.bits(jr.key(n), (3,), u32), jr.bits(jr.key(-n), (3,), u32)), 12345678901, within=0)
match("keys under vmap", lambda k: jax.vmap(lambda q: jr.normal(q, (2,), f32))(jr.split(k, 3)), key, within=1e-6)
match("keys in a scan", lambda k: lax.scan(lambda w, q: (w + jr.uniform(q), w), 0.0, jr.split(k, 4)), key)
match("a key that is carried", lambda k: lax.scan(lambda q, _: (jr.split(q)[0], jr.uniform(jr.split(q)[1])), k, None, length=4)[1], key)
match("folds under vmap", lambda k: jax.vmap(lambda n: jr.uniform(jr.fold_in(k, n), (2,)))(jnp.arange(3)), key, within=0)
match("a captured key", lambda a: a * jr.uniform(key, (3,)), 0.7)
refused("normal in float64", "erf_inv", lambda k: jr.normal(k, (3,)), key)
refused("gamma", "random_gamma", lambda k: jr.gamma(k, 2.0), key)

# --- optimisers of optax -------------------------------------------------------------------------
for _name in "adam adamw sgd rmsprop lion adagrad sign_sgd nadam adamax yogi radam amsgrad".split():

    def _descended(rate: Any, name: str = _name) -> Any:
        optimiser = getattr(optax, name)(rate)

        def step(state: Any, _: Any) -> Any:
            w, inner = state
            slope = jax.grad(lambda q: jnp.sum(jnp.arange(1.0, 5) * q**2))(w)
            change, inner = optimiser.update(slope, inner, w)
            return (optax.apply_updates(w, change), inner), w

        return lax.scan(step, (jnp.ones(4), optimiser.init(jnp.ones(4))), None, length=30)[1]

    match(f"optax.{_name}", _descended, 0.05, within=1e-9)


double.__exit__(None, None, None)

# --- verdicts ------------------------------------------------------------------------------------


def typed(leaf: Any) -> Any:
    """An argument with a type of its own, as figures hand them over: 0.7 is a float64."""
    is_key = jnp.issubdtype(getattr(leaf, "dtype", np.float64), jax.dtypes.prng_key)
    return leaf if is_key else jnp.asarray(np.asarray(leaf))


def others(leaf: Any) -> Any:
    """Another argument of the same type."""
    if jnp.issubdtype(getattr(leaf, "dtype", np.float64), jax.dtypes.prng_key):
        return jr.fold_in(leaf, 1)
    array = jnp.asarray(leaf)
    if jnp.issubdtype(array.dtype, jnp.inexact):
        return array * jnp.asarray(0.875, array.dtype)
    if array.ndim:
        return array[::-1]
    return ~array if array.dtype == bool else array + jnp.ones((), array.dtype)


def verdict(engine: Engine, row: Row) -> str:
    """matches, refused, or in words what is wrong."""
    with enable_x64(True):
        return _verdict(engine, row)


def _verdict(engine: Engine, row: Row) -> str:
    arguments = jax.tree.map(typed, row.arguments)
    try:
        program = translate(row.function, *arguments)
    except (TypeError, ValueError) as error:
        return f"is no good row: {str(error).splitlines()[0]}"
    except Untranslatable as refusal:
        if refusal.primitive not in row.primitive.split("|"):
            return f"refuses {refusal.primitive}: {refusal}"
        return "refused"
    if row.primitive:
        return f"translates {row.primitive}, which the table says is refused"
    function = jax.jit(row.function)
    first = engine.run(program, *arguments)
    for inputs in (arguments, jax.tree.map(others, arguments)):
        found = engine.run(program, *inputs)
        expected = jax.tree.leaves(function(*inputs))
        for one, other in zip(found, expected, strict=True):
            other = np.asarray(other)
            if one.dtype != other.dtype or one.shape != other.shape:
                return f"gives {one.dtype}{one.shape} for {other.dtype}{other.shape}"
            if (apart := difference(one, other)) > row.within:
                return f"differs by {apart:.2g}"
    again = engine.run(program, *arguments)
    if any(a.tobytes() != z.tobytes() for a, z in zip(again, first, strict=True)):
        return "gives another result the third time"
    return "matches"


def main() -> int:
    with Engine() as engine:
        verdicts = {name: verdict(engine, row) for name, row in TABLE.items()}
    wrong = {n: v for n, v in verdicts.items() if v not in ("matches", "refused")}
    for name, text in verdicts.items():
        print(f"{name:<34}{text}")
    counts = {v: list(verdicts.values()).count(v) for v in ("matches", "refused")}
    print(f"jax {jax.__version__}: {counts['matches']} match, {counts['refused']} are refused, "
          f"{len(wrong)} wrong, of {len(TABLE)}")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
