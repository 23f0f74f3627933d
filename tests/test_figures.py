"""Every figure that computes: the JavaScript stored in the notebooks, run against JAX.

While the notebooks run, the library writes what JAX says of each figure at twenty settings into the
folder that OPTDYN_REFERENCES names. `make test` keeps what the notebooks' own tests leave there;
alone, this file runs the notebooks first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import notebooks
from optdyn.javascript import Leaf, Program
from optdyn.references import quantiles
from tests.engine import Engine

FRAGMENT = re.compile(
    r'data-figure="([^"]*)"(?:(?!optdyn-figure).)*?<script type="application/json">(.*?)</script>',
    re.DOTALL,
)


class Stored(NamedTuple):
    """A computing figure as a notebook has it."""

    notebook: str
    name: str
    data: dict[str, Any]


def computing(path: Path) -> list[Stored]:
    """The computing figures of a notebook."""
    found = []
    for cell in notebooks.read(path).cells:
        for output in cell.get("outputs", []):
            for name, text in FRAGMENT.findall(output.get("data", {}).get("text/html", "")):
                data = json.loads(text.replace("<\\/", "</"))
                if "program" in data:
                    found.append(Stored(notebooks.short_name(path), name, data))
    return found


FIGURES = [figure for path in notebooks.all_notebooks() for figure in computing(path)]


@pytest.fixture(scope="module")
def references(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str], list[tuple[str, Path]]]:
    """What JAX said, by the figure's name and its program's code."""
    folder = Path(os.environ.get("OPTDYN_REFERENCES", ""))
    if not os.environ.get("OPTDYN_REFERENCES") or not any(folder.glob("*.npz")):
        folder = tmp_path_factory.mktemp("references")
        for name in sorted({figure.notebook for figure in FIGURES}):
            run_notebook(notebooks.ROOT / name, folder)
    found: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for path in folder.glob("*.npz"):
        with np.load(path) as stored:
            key = str(json.loads(str(stored["figure"]))), json.loads(str(stored["program"]))
        found.setdefault((key[0], outline(key[1]["compute"])), []).append((key[1]["compute"], path))
    return found


NUMBER = re.compile(r"-?\b\d+\.?\d*(?:e[-+]?\d+)?\b")


def outline(code: str) -> str:
    """A program without its numbers.

    Data that a notebook has computed stand in its program, and their last digits depend on the
    processor: the references of this machine need not have those of the stored notebook.
    """
    return NUMBER.sub("#", code)


def same_but_for_rounding(code: str, other: str) -> bool:
    """Whether two programs of one outline have the same numbers, to what rounding leaves."""
    a, b = (np.array(NUMBER.findall(text), float) for text in (code, other))
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5)


def run_notebook(path: Path, folder: Path) -> None:
    command = [sys.executable, notebooks.__file__, "run-one", str(path), str(folder / "result")]
    variables = {**os.environ, "OPTDYN_BOOK": "1", "OPTDYN_REFERENCES": str(folder)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True
    ) as child:  # it ends when its standard input does
        assert child.stdout is not None
        said = child.stdout.read()
    assert child.returncode == 0, said


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def computed(
    engine: Engine, data: dict[str, Any], settings: list[dict[str, Any]], results: list[Leaf]
) -> Iterator[list[np.ndarray]]:
    """The columns that a page's program gives at each setting, as the page's script calls it."""
    program = data["program"]
    controls = {control["name"]: control for control in data["controls"]}
    count = program["arguments"].count("prepared")
    columns = Program(program["compute"], (), tuple(results))
    prepared: list[Any] = []
    for setting in settings:
        given = {n: leaves(controls[n], v, program["float"]) for n, v in setting.items()}
        if program["prepare"]:
            prepared = engine.call(program["prepare"], arguments(program["prepares"], given), count)
        names = [name for name in program["arguments"] if name != "prepared"]
        yield engine.run(columns, *arguments(names, given), *prepared)


def leaves(control: dict[str, Any], value: Any, real: str) -> list[Any]:
    """A control's value as the program's arguments."""
    if control["kind"] == "seed":
        return [np.array([value >> 32, value & 0xFFFFFFFF], np.uint32)]
    if control["kind"] == "points":
        lists = value if isinstance(value[0], list) else [value]
        return [np.array(one, real) for one in lists]
    return [np.array(value, np.int32 if control["kind"] == "choice" else real)]


def arguments(names: list[str], given: dict[str, list[Any]]) -> list[Any]:
    """In the order of the program's leaves; points of two coordinates are two of them."""
    rest = {name: iter(values) for name, values in given.items()}
    return [next(rest[name]) for name in names]


ROUNDINGS = 1000  # of which each may move a result as far as one in the last place of a slider


def apart(
    found: np.ndarray, expected: np.ndarray, tolerance: Any, moves: float = 0, drifts: float = 0
) -> float:
    """How far a column is from JAX's, in tolerances: at most 1 is agreement.

    To the tolerance is added what JAX's own rounding does: ROUNDINGS times `moves`, or, between
    quantiles, thrice `drifts`.
    """
    if found.shape != expected.shape or np.any(np.isnan(found) != np.isnan(expected)):
        return np.inf
    known = ~np.isnan(expected)
    a, b = found[known].astype(float), expected[known].astype(float)
    if np.array_equal(a, b):
        return 0.0
    size = np.max(np.abs(b[np.isfinite(b)]), initial=0.0)
    if tolerance == "quantiles":
        span = np.ptp(quantiles(b))
        gaps = np.abs(quantiles(a) - quantiles(b))
        return float(gaps.max() / (1e-2 * span + 1e-9 * size + 3 * drifts))
    return float(np.max(np.abs(a - b)) / (tolerance * max(size, 1e-300) + ROUNDINGS * moves))


def test_there_are_figures_that_compute() -> None:
    """Without one, the test over all of them would pass in vain."""
    assert len(FIGURES) >= 7
    assert len({figure.notebook for figure in FIGURES}) >= 4


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f"{Path(f.notebook).stem}-{f.name}")
def test_the_page_computes_what_jax_computes(
    engine: Engine, references: dict[tuple[str, str], list[tuple[str, Path]]], figure: Stored
) -> None:
    program = figure.data["program"]
    named = references.get((figure.name, outline(program["compute"])), [])
    paths = [path for code, path in named if same_but_for_rounding(program["compute"], code)]
    assert paths, "no reference of this program: stale outputs? python make.py execute"
    with np.load(paths[0]) as stored:
        settings = json.loads(str(stored["settings"]))
        tolerance = json.loads(str(stored["tolerance"]))
        assert len(settings) == 20
        expected = [
            [stored[f"{i}/{table}/{column}"] for table, column in program["results"]]
            for i in range(len(settings))
        ]
        own = [  # of JAX: how far it moves by itself
            [
                [float(stored[f"{i}/{table}/{column}/{kind}"]) for kind in ("moves", "drifts")]
                for table, column in program["results"]
            ]
            for i in range(len(settings))
        ]
    results = [Leaf(str(array.dtype), array.shape) for array in expected[0]]
    wanted = {
        table: tolerance.get(table, 1e-9) if isinstance(tolerance, dict) else tolerance
        for table, _ in program["results"]
    }
    worst = ("", 0.0)
    loose: Counter[str] = Counter()
    for i, found in enumerate(computed(engine, figure.data, settings, results)):
        columns = zip(program["results"], found, expected[i], own[i], strict=True)
        for (table, column), one, other, (move, drift) in columns:
            distance = apart(one, other, wanted[table], move, drift)
            spread = np.nanmax(np.abs(other), initial=0.0)
            loose[f"{table}.{column}"] += ROUNDINGS * move > 1e-3 * max(spread, 1e-300)
            if distance > worst[1]:
                worst = (f"{table}.{column} at {settings[i]}", distance)
    assert worst[1] <= 1, f"{worst[0]}: {worst[1]:.3g} tolerances from JAX"
    for name, times in loose.items():
        if wanted[name.split(".")[0]] != "quantiles":
            assert times <= 10, f"{name} is chaotic at {times} of 20 settings: say 'quantiles'"


# --- the comparison can fail ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("f(1.5, [0.1, -2e-3])", True),
        ("f(1.5, [0.1000001, -2e-3])", True),
        ("f(1.5, [0.1, 2e-3])", False),
        ("f(1.6, [0.1, -2e-3])", False),
        ("f(1.5, [0.1, -2e-3, 0])", False),
    ],
)
def test_another_program_is_not_taken_for_this_one(other: str, same: bool) -> None:
    code = "f(1.5, [0.1, -2e-3])"
    assert (outline(code) == outline(other) and same_but_for_rounding(code, other)) is same


@pytest.mark.parametrize(
    ("found", "tolerance", "agrees"),
    [
        ([1.0, 2.0, 3.0], 1e-9, True),
        ([1.0, 2.0, 3.0 + 2e-9], 1e-9, True),
        ([1.0, 2.0, 3.0 + 4e-9], 1e-9, False),
        ([1.0, 2.0, np.nan], 1e-9, False),
        ([1.0, 2.0], 1e-9, False),
        ([3.0, 1.0, 2.0], "quantiles", True),
        ([1.0, 2.1, 3.0], "quantiles", False),
    ],
)
def test_a_column_can_be_too_far(found: list[float], tolerance: Any, agrees: bool) -> None:
    distance = apart(np.array(found), np.array([1.0, 2.0, 3.0]), tolerance)
    assert (distance <= 1) is agrees


def test_a_settled_column_is_not_asked_for_more_than_rounding() -> None:
    settled = np.full(9, 5.0)
    assert apart(settled + 1e-13 * np.arange(9), settled, "quantiles") <= 1
    assert apart(settled + 1e-6, settled, "quantiles") > 1
