"""Rules of linear algebra: LU, Cholesky, triangular systems; batches one matrix after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optdyn.javascript.translator import REASONS, Translator, Untranslatable, Value, narrow, values
from optdyn.javascript.writer import plus, times

for _name in ("eig", "svd", "qr", "geqrf", "householder_product", "schur", "hessenberg"):
    REASONS[_name] = " (solve, inv, det, cholesky and eigvalsh are there)"
REASONS["fft"] = " (a sum over frequencies is there)"


def _each(t: Translator, count: int, body: Callable[[str], None]) -> None:
    """``body(k)`` for each matrix of a batch."""
    if count == 1:
        body("0")
    else:
        with t.loop(count) as k:
            body(k)


def _floating(eqn: Any, z: Value) -> str:
    """The end of a runtime function's name: complex numbers have their own."""
    if z.dtype not in ("float64", "float32", "complex128", "complex64"):
        raise Untranslatable(f"{eqn.name} of {z.dtype}")
    return "_complex" if len(z.parts) == 2 else ""


@values("lu")
def _lu(t: Translator, eqn: Any, z: Value) -> list[Value]:
    *batch, m, n = z.shape
    if m != n:
        raise Untranslatable("lu of a matrix that is not square")
    kind = _floating(eqn, z)
    made = t.copied(*z.parts)
    pivots, permutation = (t.buffer(math.prod(batch) * n, "int32") for _ in range(2))
    names = ",".join(a.buffer for a in made)

    def factor(k: str) -> None:
        at = times(k, n)
        t.line(f"lu{kind}({names},{times(k, n * n)},{n},{pivots},{permutation},{at});")

    _each(t, math.prod(batch), factor)
    rows = [narrow(t.held(b, (*batch, n), "int32")) for b in (pivots, permutation)]
    return [Value(z.dtype, made), *rows]


@values("lu_pivots_to_permutation")
def _permutation(t: Translator, eqn: Any, pivots: Value) -> list[Value]:
    *batch, n = pivots.shape
    size = eqn.params["permutation_size"]
    (held,) = t.copied(*pivots.parts)
    made = t.buffer(math.prod(batch) * size, "int32")

    def one(k: str) -> None:
        at = times(k, size)
        with t.loop(size) as i:
            t.line(f"{made}[{plus(at, i)}]={i};")
        with t.loop(n) as i:
            here, other = plus(at, i), f"{at}+{held.buffer}[{plus(times(k, n), i)}]"
            t.line(
                f"const p{i}={made}[{here}];{made}[{here}]={made}[{other}];{made}[{other}]=p{i};"
            )

    _each(t, math.prod(batch), one)
    return [narrow(t.held(made, (*batch, size), "int32"))]


@values("cholesky")
def _cholesky(t: Translator, eqn: Any, z: Value) -> list[Value]:
    *batch, n, _ = z.shape
    kind = _floating(eqn, z)
    made = t.copied(*z.parts)
    names = ",".join(a.buffer for a in made)
    _each(t, math.prod(batch), lambda k: t.line(f"cholesky{kind}({names},{times(k, n * n)},{n});"))
    return [Value(z.dtype, made)]


@values("eigh")
def _eigh(t: Translator, eqn: Any, z: Value) -> list[Value]:
    """The eigenvalues alone: the vectors' signs would be anybody's guess."""
    p, wanted = eqn.params, t.wanted
    *batch, n, _ = z.shape
    if wanted[0] or _floating(eqn, z) or not p["lower"] or p.get("subset_by_index"):
        raise Untranslatable("eigh but for all eigenvalues of a real matrix (eigvalsh is there)")
    (matrix,) = t.copied(*z.parts)
    made = t.buffer(math.prod(batch) * n, z.dtype)

    def one(k: str) -> None:
        t.line(f"eigenvalues({matrix.buffer},{times(k, n * n)},{n},{made},{times(k, n)});")

    _each(t, math.prod(batch), one)
    return [z, narrow(t.held(made, (*batch, n), z.dtype))]


@values("triangular_solve")
def _triangular_solve(t: Translator, eqn: Any, a: Value, b: Value) -> list[Value]:
    p = eqn.params
    *batch, rows, columns = b.shape
    n = a.shape[-1]
    kind = _floating(eqn, a)
    matrix = tuple(t.stored(x) for x in a.parts)
    made = t.copied(*b.parts)
    left = bool(p["left_side"])
    names = [
        p["lower"],
        p["transpose_a"],
        *([p["conjugate_a"]] if kind else []),
        p["unit_diagonal"],
    ]
    flags = ",".join("true" if flag else "false" for flag in (left, *names))
    first, second = (",".join(x.buffer for x in xs) for xs in (matrix, made))

    def solve(k: str) -> None:
        t.line(
            f"triangular_solve{kind}({first},{times(k, n * n)},{second},"
            f"{times(k, rows * columns)},{n},{columns if left else rows},{flags});"
        )

    _each(t, math.prod(batch), solve)
    return [Value(b.dtype, made)]
