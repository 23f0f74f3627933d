"""What JAX says of a figure that computes, for a test that runs the page's own JavaScript."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optdyn.controls import Control, Points, Slider, values_of

SETTINGS = 20
CORNERS = 7  # of the settings after the first


def write(
    folder: Path,
    name: str,
    controls: Sequence[Control],
    run: Callable[[Mapping[str, Any]], dict[str, dict[str, np.ndarray]]],
    program: Mapping[str, Any],
    tolerance: Any,
) -> Path:
    """Evaluate a figure at twenty settings, and store them with the results, whole or not at all.

    Arguments:
        folder: where; the file is ``<name>.<eight digits of the program's hash>.npz``, so that
            figures of the same name in two notebooks do not overwrite each other.
        name: of the figure.
        controls: with the number of positions that they have in the page.
        run: ``run({control: value}) -> {table: {column: array}}``.
        program: what the page's script is given under that name.
        tolerance: as given to :func:`optdyn.explore.explore`.
    Returns:
        The file, written by :func:`numpy.savez`. Its members ``settings``, ``tolerance``,
        ``program`` and ``figure`` are JSON texts: the list of settings, each {control: value}, a
        number (of a choice its index, of a seed the seed) or the list of x of points or the lists
        of x and y; the tolerance; the program; the name. The others are the results, arrays under
        ``<number of the setting>/<table>/<column>`` with JAX's dtype, and under the same name and
        ``/moves`` how far JAX's own result moves when sliders and points move by one unit in the
        last place: where that is much, the figure is chaotic, and nobody's digits can be compared.
        ``/drifts`` is how far its :func:`quantiles` move.
        The first setting is the start, then come corners, then random ones; the figure's name
        seeds them.

    >>> import tempfile
    >>> from optdyn.explore import Slider
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = write(Path(place), "double", [Slider("x", 0, 1, 0.5)],
    ...                  lambda v: {"t": {"y": np.array([2 * v["x"]])}}, {"compute": ""}, 1e-9)
    ...     with np.load(path) as stored:
    ...         json.loads(str(stored["settings"]))[:3], stored["2/t/y"]
    ([{'x': 0.5}, {'x': 0.0}, {'x': 1.0}], array([2.]))
    """
    chosen = settings_of(name, controls)
    results = {}
    for i, setting in enumerate(chosen):
        nearby = run({c.name: _nudged(c, setting[c.name], program) for c in controls})
        for table, columns in run(setting).items():
            for column, array in columns.items():
                key = f"{i}/{table}/{column}"
                results[key] = np.asarray(array)
                results[f"{key}/moves"] = np.array(_moved(results[key], nearby[table][column]))
                results[f"{key}/drifts"] = np.array(
                    _moved(*map(quantiles, (array, nearby[table][column])))
                )
    texts = {
        "settings": chosen,
        "tolerance": tolerance,
        "program": dict(program),
        "figure": name,
    }
    members = {key: np.array(json.dumps(value)) for key, value in texts.items()} | results
    digits = hashlib.sha256(program["compute"].encode()).hexdigest()[:8]
    path = Path(folder) / f"{name}.{digits}.npz"
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, **members)  # type: ignore[arg-type]
    part.replace(path)
    return path


def quantiles(column: Any) -> np.ndarray:
    """The quantiles 0.10, 0.15, ... 0.90 of what is a number; the ends of chaos are luck.

    >>> quantiles(np.arange(101))[:3]
    array([10., 15., 20.])
    """
    values = np.asarray(column, float)
    known = values[np.isfinite(values)]
    return np.quantile(known, np.linspace(0.1, 0.9, 17)) if known.size else np.zeros(17)


def _nudged(control: Control, value: Any, program: Mapping[str, Any]) -> Any:
    """A slider's or point's value one unit in the last place on; any other as it is."""
    kind = np.dtype(program.get("float", "float64")).type
    if isinstance(control, Slider):
        return float(np.nextafter(kind(value), kind(np.inf)))
    if isinstance(control, Points):
        return np.nextafter(np.asarray(value, kind), kind(np.inf)).tolist()
    return value


def _moved(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance; infinite if what is no number changes."""
    if np.any(np.isnan(one) != np.isnan(other)):
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(one, float) - np.asarray(other, float))
    return float(np.nanmax(np.where(one == other, 0.0, apart), initial=0.0))


def settings_of(name: str, controls: Sequence[Control]) -> list[dict[str, Any]]:
    """Twenty settings of a figure's controls: the start, corners, random ones."""
    rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    ends = [[0] * len(controls), [1] * len(controls)]
    ends += rng.integers(0, 2, (CORNERS - 2, len(controls))).tolist()
    corners = [
        {c.name: _corner(c, end, rng) for c, end in zip(controls, corner, strict=True)}
        for corner in ends
    ]
    others = [{c.name: _any(c, rng) for c in controls} for _ in range(SETTINGS - 1 - CORNERS)]
    return [{c.name: _start(c) for c in controls}, *corners, *others]


def _start(control: Control) -> Any:
    if isinstance(control, Slider):  # the number that its text shows
        values = values_of(control)
        return float(values[np.argmin(np.abs(values - control.value))])
    return control.value


def _corner(control: Control, end: int, rng: np.random.Generator) -> Any:
    if isinstance(control, Points):
        return _any(control, rng)
    return values_of(control)[-end].item()


def _any(control: Control, rng: np.random.Generator) -> Any:
    if isinstance(control, Points):
        ranges = [control.x_range] + ([control.y_range] if control.y_range else [])
        lists = [np.round(rng.uniform(*r, len(control.x)), 6).tolist() for r in ranges]
        return lists if control.y is not None else lists[0]
    return rng.choice(values_of(control)).item()
