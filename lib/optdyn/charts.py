"""Charts: one theme for all figures, dense point clouds as pictures, figures without controls.

Every text and axis is drawn in ``currentColor``, so a chart follows the page from light to dark
without being drawn again. Data colours are legible on both backgrounds and safe for colour-blind
readers (after Okabe and Ito); a second cue, a dash or a shape, goes with each of them.

Altair is imported when a figure is made, never with this module: numerical code that only wants
numbers does not pay for it.
"""

from __future__ import annotations

import base64
import html
import json
import os
import struct
import sys
import urllib.parse
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "COLOURS",
    "CONFIG",
    "Figure",
    "class_image",
    "cloud_image",
    "figure",
    "in_book",
    "picture",
]

Tables = Mapping[str, Mapping[str, Any]]

COLOURS = {  # the colours of data in figures, by name
    "blue": "#1f83c4",  # the first orbit: in the cycles chapter, the one from w0 = 0
    "vermilion": "#d55e00",  # the second: from beside the minimiser
    "green": "#009e73",  # what a formula predicts
    "purple": "#b9619a",  # a threshold
    "grey": "#808080",  # guides
}

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"

CONFIG: dict[str, Any] = {  # the theme: what Vega-Lite calls its config
    "background": "transparent",
    "font": _FONT,
    "padding": 4,
    "mark": {"aria": False, "color": COLOURS["blue"]},
    "line": {"strokeWidth": 1.8, "strokeJoin": "round"},
    "rule": {"color": COLOURS["grey"], "strokeWidth": 1.2},
    "text": {"fontSize": 12, "color": "currentColor"},
    "view": {"stroke": None},
    "axis": {
        "domainColor": "currentColor",
        "domainOpacity": 0.5,
        "grid": True,
        "gridColor": "currentColor",
        "gridOpacity": 0.1,
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelOpacity": 0.85,
        "tickColor": "currentColor",
        "tickOpacity": 0.5,
        "titleColor": "currentColor",
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelLimit": 320,
        "orient": "top",
        "symbolStrokeWidth": 2.5,
        "title": None,
    },
    "title": {
        "anchor": "start",
        "color": "currentColor",
        "fontSize": 13,
        "fontWeight": 600,
        "offset": 10,
    },
    "concat": {"spacing": 28},
}


_VEGA = [  # the versions of the book's own copy
    "https://cdn.jsdelivr.net/npm/vega@6.2.0",
    "https://cdn.jsdelivr.net/npm/vega-lite@6.4.1",
    "https://cdn.jsdelivr.net/npm/vega-embed@7.0.2",
]
# One script after the other; a page's module loader, if there is one, must not take them.
_LOADER = """window.optdynVega = window.vegaEmbed ? Promise.resolve() : (window.optdynVega ?? Promise.reject()).catch(async () => {
  const { define } = window;
  window.define = undefined;
  try {
    for (const src of %s) await new Promise((done, failed) => document.head.append(
      Object.assign(document.createElement("script"), { src, onload: done, onerror: failed })));
  } catch {
    throw new Error("Vega could not be loaded; without network, run .widget() on the figure");
  } finally { window.define = define; }
});
window.optdynVega.catch(() => {});"""  # noqa: E501


def in_book() -> bool:
    """Whether the page's figures are wanted: so say the build, ``make execute`` and the tests.

    >>> in_book() == (os.environ.get("OPTDYN_BOOK") == "1")
    True
    """
    return os.environ.get("OPTDYN_BOOK") == "1"


@dataclass(frozen=True)  # not a NamedTuple: IPython would print it as a tuple
class Figure:
    """A figure: a Vega-Lite chart over named tables, and what moves them.

    Shown by a notebook it is the page's figure while the book is made (:func:`in_book`); otherwise
    the same with its script and style inside, or an Altair chart if it has no controls. ``page``
    makes what the page's script reads besides the chart, ``live`` the ipywidgets version, and
    ``references`` writes what JAX says into a folder, see :mod:`optdyn.references`.
    """

    name: str
    chart: dict[str, Any]
    description: str
    first: Tables
    page: Any = None  # () -> {"controls", "presets", "tables", or "program" and "raster"}
    live: Any = None  # () -> an ipywidgets box
    references: Any = None  # (folder) -> None

    def widget(self) -> Any:
        """The figure with ipywidgets sliders, computed by the live kernel; in the book, itself."""
        return self if in_book() or self.live is None else self.live()

    def _repr_mimebundle_(self, **_: Any) -> Any:
        if in_book():
            return {"text/html": self.fragment(), "text/plain": f"[figure] {self.description}"}
        if self.page is not None:
            return {"text/html": self.alone(), "text/plain": f"[figure] {self.description}"}
        return shown_live(with_rows(self.chart, self.first))._repr_mimebundle_()

    def fragment(self) -> str:
        """The figure as HTML: a still picture, and the JSON from which the page's script draws.

        If the environment variable OPTDYN_REFERENCES names a folder, a figure that computes writes
        there what JAX says, see :func:`optdyn.references.write`.
        """
        if self.page is None:
            more = {"controls": [], "presets": [], "tables": pack(self.first, ())}
        else:
            more = self.page()
        data = {"spec": self.chart, **more}
        if self.references and (folder := os.environ.get("OPTDYN_REFERENCES")):
            self.references(Path(folder))
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
        name = html.escape(self.name, quote=True)
        return (
            f'<div class="optdyn-figure" data-figure="{name}" role="group"'
            f' aria-label="Figure {name.replace("-", " ")}">'
            f'<img alt="{html.escape(self.description, quote=True)}" src="{self._picture()}">'
            f'<script type="application/json">{text}</script></div>'
        )

    def alone(self) -> str:
        """The figure as HTML that works by itself, in JupyterLab, VS Code and on Colab.

        Vega comes from a public host, once a page; without network the still picture stays.
        """
        here = Path(__file__)
        style, script = (
            here.with_name(f"explore.{end}").read_text("utf8") for end in ("css", "js")
        )
        return (
            f"{self.fragment()}<style>{style}</style>"
            f"<script>{_LOADER % json.dumps(_VEGA)}\n{script}</script>"
        )

    def _picture(self) -> str:
        """A still picture as a data address, for viewers that run no script."""
        import vl_convert

        svg = vl_convert.vegalite_to_svg(
            {**with_rows(self.chart, self.first), "background": "white"}
        )
        return "data:image/svg+xml," + urllib.parse.quote(svg, safe=" =:/,;'()")


_VEGA_LITE = "application/vnd.vegalite.v5+json"  # the newest that JupyterLab 3 and 4 draw


@dataclass(frozen=True, repr=False)
class _VegaLite:
    """A chart that the front end draws with a Vega of its own."""

    spec: Mapping[str, Any]

    def _repr_mimebundle_(self, **_: Any) -> Any:
        plain = f"[figure] {self.spec.get('description', '')}"
        options = {"embed_options": {"actions": False, "renderer": "svg"}}
        return {_VEGA_LITE: dict(self.spec), "text/plain": plain}, {_VEGA_LITE: options}


def shown_live(spec: Mapping[str, Any]) -> Any:
    """What a live kernel displays of a Vega-Lite dictionary with its rows.

    JupyterLab and Notebook 7, whose server names the session, bring a Vega, and need no network.
    Elsewhere it is an Altair chart, which by itself fetches Vega from a public host; so it is where
    Altair was told how to draw (``alt.renderers.enable``).
    """
    import altair as alt

    hosted = "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ
    if "JPY_SESSION_NAME" in os.environ and not hosted and alt.renderers.active == "default":
        return _VegaLite(spec)
    return alt.Chart.from_dict(dict(spec))


def figure(chart: Any, tables: Tables, *, description: str, name: str) -> Figure:
    """A figure without controls.

    Arguments:
        chart: an Altair chart over ``alt.NamedData(table)``.
        tables: ``{table: {column: 1-D array}}``.
        description: what a reader who cannot see the figure should know; required.
        name: of the figure, unique on its page; its address is ``#name``.
    Raises:
        ValueError: no description, ragged columns, or a table that the chart names and is missing.

    >>> import altair as alt
    >>> chart = alt.Chart(alt.NamedData("t")).mark_line().encode(x="x:Q", y="y:Q")
    >>> figure(chart, {"t": {"x": [0], "y": [1]}}, description="A single dot.", name="line").name
    'line'
    """
    arrays = columns_of(tables)
    return Figure(name, specification(chart, arrays, description), description, arrays)


def specification(chart: Any, tables: Tables, description: str) -> dict[str, Any]:
    """The Vega-Lite dictionary of ``chart`` in the book's theme, checked against its tables.

    Raises:
        ValueError: no description; a table drawn and not there, or there and not drawn.
    """
    if not isinstance(description, str) or len(description.split()) < 3:
        raise ValueError(
            f"description must say in words what the figure shows; got {description!r}. "
            "It is what a reader who cannot see the figure is told: write a sentence."
        )
    if not hasattr(chart, "to_dict"):
        raise TypeError(f"chart must be an Altair chart; got {chart!r}. Make one with alt.Chart.")
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec.pop("$schema", None)
    spec |= {"config": CONFIG, "description": description}
    drawn = tables_in(spec) - set(spec.get("datasets", {}))  # Altair names inline data too
    if missing := sorted(drawn - set(tables)):
        raise ValueError(
            f"the chart draws the tables {missing}; the function returns {sorted(tables)}. "
            "Return them too, or name one of those in alt.NamedData."
        )
    if idle := sorted(set(tables) - drawn):
        raise ValueError(
            f"the tables {idle} are returned and never drawn; the chart draws {sorted(drawn)}. "
            "Draw them with alt.NamedData, or leave them out."
        )
    return spec


def panels_of(spec: Mapping[str, Any]) -> list[Any]:
    """The panels of a chart, in order: those that it puts side by side, or itself.

    >>> panels_of({"hconcat": ["left", "right"]})
    ['left', 'right']
    """
    return list(spec.get("hconcat") or spec.get("vconcat") or [spec])


def tables_in(node: Any) -> set[str]:
    """The names under ``data: {name: ...}`` anywhere in a Vega-Lite dictionary.

    >>> tables_in({"layer": [{"data": {"name": "orbit"}}]})
    {'orbit'}
    """
    if isinstance(node, Mapping):
        data = node.get("data")
        here = {data["name"]} if isinstance(data, Mapping) and "name" in data else set()
        return here.union(*(tables_in(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(tables_in(value) for value in node))
    return set()


def columns_of(tables: Tables, counts: Sequence[int] = ()) -> dict[str, dict[str, np.ndarray]]:
    """Tables as NumPy arrays ``(*counts, n)``; columns of one table are equally long.

    Raises:
        TypeError: not a dictionary of dictionaries.
        ValueError: a column that has another shape, or an empty table.
    """
    if not isinstance(tables, Mapping) or not all(isinstance(t, Mapping) for t in tables.values()):
        raise TypeError(
            f"tables must be {{table: {{column: 1-D array}}}}; got {type(tables).__name__} "
            f"{str(tables)[:60]!r}. Wrap the columns in a table: {{'orbit': {{'t': t, 'w': w}}}}."
        )
    arrays = {t: {c: np.asarray(v) for c, v in columns.items()} for t, columns in tables.items()}
    for table, columns in arrays.items():
        shapes = {column: array.shape[len(counts) :] for column, array in columns.items()}
        if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
            raise ValueError(
                f"the columns of table {table!r} have the shapes {shapes}; they must be 1-D and "
                "equally long. Broadcast the short ones, or put them into a table of their own."
            )
    return arrays


def pack(tables: Tables, counts: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Tables over a grid of control positions, as 16-bit codes in base64.

    A column ``(*counts, n)`` is kept only along the controls that change it. Its values are coded
    as ``low + step * code``, or the exponential of that where they are positive and span more than
    three decades; whole numbers that fit are exact, other values are off by at most 1/131068 of the
    column's range. The code 65535 stands for what is not finite.

    >>> packed = pack({"t": {"x": np.array([0.0, 1.0, 2.0])}}, ())
    >>> packed["t"]["x"]["step"], packed["t"]["x"]["axes"]
    (1.0, [])
    """
    return {
        table: {name: _pack_column(array, len(counts)) for name, array in columns.items()}
        for table, columns in columns_of(tables, counts).items()
    }


def moving_axes(array: np.ndarray, n_controls: int) -> tuple[list[int], np.ndarray]:
    """The controls that change ``array`` (*counts, n), and the array along those alone.

    >>> moving_axes(np.array([[[1, 2]], [[3, 4]]]), 2)
    ([0], array([[1, 2],
           [3, 4]]))
    """
    axes: list[int] = []
    for axis in reversed(range(n_controls)):
        if np.array_equal(array, np.broadcast_to(array.take([0], axis), array.shape), True):
            array = array.take(0, axis)
        else:
            axes.insert(0, axis)
    return axes, array


def _pack_column(array: np.ndarray, n_controls: int) -> dict[str, Any]:
    axes, array = moving_axes(array, n_controls)
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    logarithmic = bool(low > 0 and high > 1e3 * low)
    if logarithmic:
        with np.errstate(invalid="ignore"):
            values = np.log(values)
        low, high = np.log(low), np.log(high)
    whole = not logarithmic and high - low < 65535 and bool(np.all(finite == np.round(finite)))
    step = 1.0 if whole else (high - low) / 65534 or 1.0
    codes = np.full(values.shape, 65535, "<u2")
    ok = np.isfinite(values)
    codes[ok] = np.round((values[ok] - low) / step)
    return {
        "axes": axes,
        "length": int(array.shape[-1]),
        "low": float(low),
        "step": float(step),
        "log": logarithmic,
        "codes": base64.b64encode(codes.tobytes()).decode(),
    }


def _rows(columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """A table's columns as Vega's rows; what is not finite, or too large to draw, becomes None."""
    lists = {
        name: [v if isinstance(v, str) or abs(v) < 1e30 else None for v in array.tolist()]
        for name, array in columns.items()
    }
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def with_rows(spec: Mapping[str, Any], tables: Tables) -> dict[str, Any]:
    """The Vega-Lite dictionary with the tables' rows inside."""
    rows = {name: _rows(columns) for name, columns in tables.items()}
    return {**spec, "datasets": {**spec.get("datasets", {}), **rows}}


def cloud_image(
    x: Any,
    y: Any,
    *,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
    size: tuple[int, int] = (900, 480),
    colour: str = "blue",
) -> str:
    """A cloud of points as a PNG data address, for ``mark_image``: many points, few bytes.

    The opacity of a pixel grows with the number ``k`` of points in it, ``1 - exp(-k / m)`` with
    ``m`` half the 90th percentile of the occupied pixels: a lone point is seen, a dense band too.

    Arguments:
        x, y: points, of one shape; those outside the domains are not drawn.
        x_domain, y_domain: what the picture spans; the axes' scales must have these domains.
        size: width and height in pixels; one pixel is a column of the diagram.
        colour: a name in :data:`COLOURS`.
    Raises:
        ValueError: an unknown colour, an empty domain or picture.

    >>> cloud_image([0.5], [0.5], x_domain=(0, 1), y_domain=(0, 1), size=(2, 2))[:22]
    'data:image/png;base64,'
    """
    width, height = size
    if colour not in COLOURS:
        raise ValueError(f"colour must be one of {sorted(COLOURS)}; got {colour!r}.")
    if min(width, height) < 1 or not x_domain[0] < x_domain[1] or not y_domain[0] < y_domain[1]:
        raise ValueError(
            f"x_domain {x_domain} and y_domain {y_domain} must ascend, and size {size} be positive."
        )
    counts, _, _ = np.histogram2d(
        np.ravel(y), np.ravel(x), bins=(height, width), range=(y_domain, x_domain)
    )
    occupied = counts[counts > 0]
    scale = max(np.percentile(occupied, 90) / 2, 0.7) if occupied.size else 1.0
    alpha = np.round(255 * (1 - np.exp(-counts / scale))).astype(np.uint8)
    levels = (alpha // 16).astype(np.uint8)  # 16 opacities, four bits a pixel
    shades = [(COLOURS[colour], 17 * level) for level in range(16)]
    return _png(levels, shades)


def class_image(classes: Any, colours: Sequence[str]) -> str:
    """A map of classes as a PNG data address, for ``mark_image``: one pixel a value.

    Arguments:
        classes: whole numbers, shape (height, width), the lowest row first.
        colours: for each class a name in :data:`COLOURS`, or "" for transparent; at most 16. A name
            may end in a percentage of opacity, as in "blue 40".
    Raises:
        ValueError: an unknown colour; classes without a colour, or not in two dimensions.

    >>> class_image([[0, 1]], ["", "blue 40"])[:22]
    'data:image/png;base64,'
    """
    values = np.asarray(classes)
    shades = shades_of(colours)
    if values.ndim != 2 or values.size == 0 or len(shades) > 16:
        raise ValueError(
            f"classes must have shape (height, width), for at most 16 colours; got {values.shape} "
            f"and {len(shades)} colours."
        )
    if not np.all((values >= 0) & (values < len(shades)) & (values == np.round(values))):
        raise ValueError(
            f"classes must be whole numbers from 0 to {len(shades) - 1}, one for each colour; got "
            f"{values.min()} to {values.max()}."
        )
    return _png(values.astype(np.uint8), shades)


def shades_of(colours: Sequence[str]) -> list[tuple[str, int]]:
    """Names of colours as (#rrggbb, opacity to 255).

    >>> shades_of(["", "blue 40"])
    [('#000000', 0), ('#1f83c4', 102)]
    """
    shades = []
    for text in colours:
        name, _, opacity = text.partition(" ")
        if (name and name not in COLOURS) or not (opacity or "100").isdecimal():
            raise ValueError(
                f"colours must be names of {sorted(COLOURS)}, perhaps with a percentage as in "
                f"'blue 40', or empty; got {text!r}."
            )
        shades.append(
            (COLOURS.get(name, "#000000"), round(2.55 * int(opacity or 100)) * bool(name))
        )
    return shades


def _png(levels: np.ndarray, shades: Sequence[tuple[str, int]]) -> str:
    """A PNG of at most 16 shades (colour, opacity to 255) as a data address; lowest row first."""
    height, width = levels.shape
    padded = np.pad(levels[::-1], ((0, 0), (0, width % 2)))
    packed = (padded[:, ::2] << 4) | padded[:, 1::2]
    lines = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0))
        + chunk(b"PLTE", b"".join(bytes.fromhex(colour[1:]) for colour, _ in shades))
        + chunk(b"tRNS", bytes(opacity for _, opacity in shades))
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def picture(data: str, width: int, height: int) -> Any:
    """An Altair layer that fills its panel with a picture; axes come from the layers over it.

    Arguments:
        data: a data address, or the name of a table whose column "url" holds one.
        width, height: of the panel, in pixels.

    >>> picture("basin", 300, 200).to_dict()["data"]
    {'name': 'basin'}
    """
    import altair as alt

    source = alt.InlineData([{"url": data}]) if data.startswith("data:") else alt.NamedData(data)
    return (
        alt.Chart(source)
        .mark_image(aspect=False, align="left", baseline="top", width=width, height=height)
        .encode(x=alt.value(0), y=alt.value(0), url="url:N")
    )
