"""Tables drawn as pictures: maps of classes, and clouds too dense for a mark a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from optdyn.charts import (
    COLOURS,
    Tables,
    class_image,
    cloud_image,
    panels_of,
    shades_of,
    tables_in,
)

__all__ = ["Cloud", "Form", "Raster"]


class Raster(NamedTuple):
    """A table drawn as a picture: one column of ``height * width`` classes, the lowest row first.

    ``colours`` are those of :func:`optdyn.charts.class_image`, one a class. The chart gets a table
    of one row with the column ``url``: draw it with :func:`optdyn.charts.picture`.
    """

    width: int
    height: int
    colours: tuple[str, ...]


class Cloud(NamedTuple):
    """A table drawn as a dense cloud of points, its columns ``x`` and ``y`` on the chart's scales.

    ``frame`` is a table of two rows with the same columns, opposite corners, that the chart draws
    invisibly, so that its scales (``zero=False, nice=False``) span it. The cloud's own table is
    drawn with :func:`optdyn.charts.picture` in the same panel. ``colour`` is one of
    :data:`optdyn.charts.COLOURS`; the opacity is that of :func:`optdyn.charts.cloud_image`.
    """

    x: str
    y: str
    frame: str
    colour: str = "blue"


Form = Raster | Cloud


def painted(tables: Tables, raster: Mapping[str, Form], chart: Any) -> dict[str, Any]:
    """The tables, those of ``raster`` replaced by their picture."""
    painted: dict[str, Any] = dict(tables)
    for name, form in raster.items():
        values = pixels_of(name, tables, form)
        painted[name] = {"url": np.array([paint(name, values, form, chart)])}
    return painted


def pixels_of(name: str, tables: Tables, form: Form) -> np.ndarray:
    """What a picture is made of, along the last axis: its classes, or x, y and the frame's."""
    if isinstance(form, Cloud):
        try:
            columns = [tables[t][c] for t in (name, form.frame) for c in (form.x, form.y)]
        except KeyError as error:
            found = {t: sorted(c) for t, c in tables.items()}
            raise ValueError(
                f"raster: the cloud {name!r} needs {error} among the tables {found}; return it, or "
                "change the names in Cloud(x, y, frame)."
            ) from None
        return np.concatenate([np.asarray(c, float) for c in columns], axis=-1)
    columns = list(tables.get(name, {}).values())
    if len(columns) != 1 or np.shape(columns[0])[-1] != form.width * form.height:
        shapes = {column: np.shape(array) for column, array in tables.get(name, {}).items()}
        raise ValueError(
            f"raster: table {name!r} has columns of the shapes {shapes}, one column of "
            f"{form.height} x {form.width} values is needed; return the flattened picture."
        )
    return np.asarray(columns[0])


def paint(name: str, pixels: np.ndarray, form: Form, chart: Any) -> str:
    try:
        if isinstance(form, Raster):
            return class_image(pixels.reshape(form.height, form.width), form.colours)
        x, y, corners = np.split(pixels, [(pixels.size - 4) // 2, pixels.size - 4])
        spans = []
        for i, (channel, field) in enumerate({"x": form.x, "y": form.y}.items()):
            ends = corners[2 * i : 2 * i + 2]
            if _logarithmic(chart.to_dict(validate=False), channel, field):
                with np.errstate(divide="ignore", invalid="ignore"):
                    x, y = (np.log(x), y) if channel == "x" else (x, np.log(y))
                ends = np.log(ends)
            spans.append((float(ends.min()), float(ends.max())))
        seen = np.isfinite(x) & np.isfinite(y)
        return cloud_image(
            x[seen], y[seen], x_domain=spans[0], y_domain=spans[1], colour=form.colour
        )
    except ValueError as error:
        raise ValueError(f"raster: table {name!r}: {error}") from None


def _logarithmic(node: Any, channel: str, field: str) -> bool:
    """Whether a chart puts a field on a logarithmic scale."""
    if isinstance(node, Mapping):
        drawn = node.get("encoding", {}).get(channel, {})
        if drawn.get("field") == field and (drawn.get("scale") or {}).get("type") == "log":
            return True
        return any(_logarithmic(value, channel, field) for value in node.values())
    return isinstance(node, list) and any(_logarithmic(value, channel, field) for value in node)


def form_of(table: str, form: Form, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script is told of a picture."""
    panel = next(i for i, panel in enumerate(panels_of(spec)) if table in tables_in(panel))
    if isinstance(form, Cloud):
        return {"x": form.x, "y": form.y, "panel": panel, "colour": COLOURS[form.colour]}
    return {
        "width": form.width,
        "height": form.height,
        "panel": panel,
        "colours": [f"{colour}{opacity:02x}" for colour, opacity in shades_of(form.colours)],
    }
