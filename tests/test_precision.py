"""Matrix products keep the digits of their type, on a GPU too, where float32 would become TF32.

The functions whose identities are tested ask for it themselves, and so do the set-up cells of the
notebooks, for the products in their own cells. Training the language model does not need it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import Precision

import notebooks
from optdyn import allpass, cycles, landscapes, language, logistic, quadratics, recurrence

LIBRARY = Path(allpass.__file__).parent
JAX_PRODUCTS = {
    f"{module}.{name}"
    for module in ("jnp", "lax", "jax.numpy", "jax.lax")
    for name in ("matmul", "dot", "vdot", "inner", "tensordot", "einsum", "convolve", "dot_general")
}
ON_THE_HOST = {  # modules with the operator @, which takes no precision: of NumPy arrays alone
    "certify", "cycles", "doublings", "exercises_adam", "exercises_cycles", "exercises_noise",
    "exercises_shiftk", "filters", "lasso", "logistic", "quadratics", "sign_descent",
}  # fmt: skip
DEFAULT = {"language"}  # in these JAX's setting decides


def precisions(found: Any) -> Iterator[Any]:
    """The precision of every matrix product in a jaxpr and in those inside it."""
    if hasattr(found, "jaxpr"):
        yield from precisions(found.jaxpr)
    elif hasattr(found, "eqns"):
        for equation in found.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                yield equation.params["precision"]
            yield from precisions(list(equation.params.values()))
    elif isinstance(found, tuple | list):
        for part in found:
            yield from precisions(part)


rng = np.random.default_rng(0)
X, Y = (rng.normal(size=size).astype(np.float32) for size in ((5, 6), 5))
W = rng.normal(size=6).astype(np.float32)
A = rng.normal(size=(5, 3, 3)).astype(np.float32)
A = A + A.swapaxes(1, 2)
POLES = allpass.Poles(np.float32([0.1, 0.2, 0.3, 0.4]), np.float32([0.5, 1.0, 1.5, 2.0]))
READOUT = np.ones(4, np.complex64)


def every(objective: Any) -> Any:
    """All that an objective can compute, with the derivative of its loss."""

    def of(w: Any) -> Any:
        return (
            objective.loss(w), objective.gradient(w), objective.hessian_trace(w),
            objective.smoothed_loss(w, 0.1), jax.grad(objective.loss)(w),
        )  # fmt: skip

    return of


def diagram(w: Any) -> Any:
    return cycles.bifurcation_diagram(
        X, step_sizes=[1.0], w0s=w[None], n_transient=1, n_keep=1, weights=np.ones(5)
    )


def raced(rates: Any) -> Any:
    problem = quadratics.block_quadratic("homogeneous")
    problem = type(problem)(*(np.float32(x) for x in problem))
    return quadratics.race(problem, ["adam"], 0.9, 0.9, 1.0, rates, jax.random.key(0), 2, 3)


def rnn(method: str) -> Any:
    return lambda inputs: recurrence.linear_rnn(POLES, READOUT, inputs, method=method)


MATRIX = rng.normal(size=(6, 6)).astype(np.float32)
COMPUTED = {
    "quadratic": (every(landscapes.quadratic(MATRIX)), W),
    "quadratic_regression": (every(landscapes.quadratic_regression(X, Y)), W),
    "diagonal_network": (every(landscapes.diagonal_network(X, Y)), np.stack([W, W])),
    "matrix_sensing": (every(landscapes.matrix_sensing(A, Y)), W.reshape(3, 2)),
    "logistic": (lambda w: (logistic.loss(w, X), jax.grad(logistic.loss)(w, X)), W),
    "logistic.hessian": (lambda w: logistic.hessian(w, X), W),
    "gd_orbit": (lambda w: cycles.gd_orbit(w, X, step_size=1.0, n_steps=2), W),
    "bifurcation_diagram": (diagram, W),
    "lyapunov_exponent": (
        lambda w: cycles.lyapunov_exponent(w, X, step_size=1.0, n_transient=1, n_steps=1), W,
    ),
    "race": (raced, np.float32([0.1])),
    "minibatch_gradient": (lambda w: quadratics.minibatch_gradient(w, X), W),
    "linear_rnn, scan": (rnn("scan"), np.ones(200, np.float32)),
    "linear_rnn, one by one": (rnn("scan"), np.ones((3, 2), np.float32)),
    "linear_rnn, associative": (rnn("associative"), np.ones(200, np.float32)),
    "linear_rnn, fft": (rnn("fft"), np.ones(200, np.float32)),
    "exit_time_pmf": (lambda d: allpass.exit_time_pmf(POLES._replace(decay=d), 20), POLES.decay),
    "shift_error": (
        lambda d: allpass.shift_error(POLES._replace(decay=d), 9, rho=0.5), POLES.decay,
    ),
    "optimal_filter": (
        lambda d: allpass.optimal_filter(POLES._replace(decay=d), 9, 20, rho=0.5), POLES.decay,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_the_functions_ask_for_all_digits(name: str) -> None:
    fn, x = COMPUTED[name]
    with jax.default_matmul_precision(None):
        found = set(precisions(jax.make_jaxpr(fn)(x)))
    assert found == {(Precision.HIGHEST, Precision.HIGHEST)}


def test_a_product_of_default_precision_would_be_found() -> None:
    with jax.default_matmul_precision(None):
        found = set(precisions(jax.make_jaxpr(lambda w: jax.lax.map(lambda x: x @ w, X))(W)))
    assert found == {None}
    config = language.Config(batch=2, steps=2)
    params = language.init(jax.random.key(0), config)
    words = np.zeros((2, config.context), int)
    for given, kept in ((None, {None}), ("highest", {(Precision.HIGHEST, Precision.HIGHEST)})):
        with jax.default_matmul_precision(given):
            assert set(precisions(jax.make_jaxpr(language.logits)(params, words))) == kept


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.stem)
def test_no_product_in_the_library_is_forgotten(path: Path) -> None:
    """Of JAX's products every one names a precision; NumPy's have none."""
    spared = path.stem in DEFAULT
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            assert spared or path.stem in ON_THE_HOST, f"line {node.lineno}: use jnp.matmul"
        elif isinstance(node, ast.Call) and not spared:
            called = [ast.unparse(part) for part in (node.func, *node.args[:1])]  # or partial of it
            if any(text in JAX_PRODUCTS for text in called):
                given = {keyword.arg for keyword in node.keywords}
                assert "precision" in given, f"line {node.lineno}: name a precision"


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=notebooks.short_name)
def test_the_set_up_cells_ask_for_all_digits(path: Path) -> None:
    cell = notebooks.setup_cell(notebooks.read(path))
    assert cell is not None
    assert 'jax.config.update("jax_default_matmul_precision", "highest")' in cell.source


def test_what_the_set_up_cell_does(tmp_path: Path) -> None:
    first = next(path for path in notebooks.all_notebooks() if path.parent.name == "noise")
    code = notebooks.plain_python(notebooks.setup_source(first)) + (
        "\nx = jax.numpy.ones((2, 2), 'float32')"
        "\nassert 'precision = [HIGHEST, HIGHEST]' in jax.jit(lambda x: x @ x).lower(x).as_text()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert jnp.zeros(()).dtype == "float32"  # these tests are of single precision
