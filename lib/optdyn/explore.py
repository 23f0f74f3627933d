"""Figures that a reader moves: one JAX function, its controls, one chart.

A page has no kernel, so the function is evaluated at every position of its controls when the book
is made, as one jitted call, and the page's script replays that table. A live kernel evaluates the
same function at the sliders' values (``Figure.widget``). The script (``explore.js``) does not know
where its numbers come from: a table today.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optdyn.charts import (
    Figure,
    Tables,
    class_image,
    columns_of,
    moving_axes,
    pack,
    specification,
    with_rows,
)

__all__ = ["Choice", "Raster", "Seed", "Slider", "explore"]

TABLE_LIMIT = 300_000  # bytes of a figure's table in its page


class Slider(NamedTuple):
    """A number between ``low`` and ``high``; ``positions`` of them in a page, evenly spaced.

    ``log`` spaces them evenly in the logarithm. ``label`` and ``unit`` are what the reader sees.
    """

    name: str
    low: float
    high: float
    value: float
    log: bool = False
    label: str = ""
    unit: str = ""
    positions: int = 61


class Choice(NamedTuple):
    """One of several named options; the function gets its index, traced."""

    name: str
    options: tuple[str, ...]
    value: int = 0
    label: str = ""


class Seed(NamedTuple):
    """A JAX key; ``positions`` of them in a page."""

    name: str = "key"
    value: int = 0
    label: str = "random seed"
    positions: int = 8


Control = Slider | Choice | Seed


class Raster(NamedTuple):
    """A table drawn as a picture: one column of ``height * width`` classes, the lowest row first.

    ``colours`` are those of :func:`optdyn.charts.class_image`, one a class. The chart gets a table
    of one row with the column ``url``: draw it with :func:`optdyn.charts.picture`.
    """

    width: int
    height: int
    colours: tuple[str, ...]


def explore(
    fn: Callable[..., Tables],
    controls: Sequence[Control],
    chart: Any,
    *,
    description: str,
    presets: Mapping[str, Mapping[str, float]] | Sequence[Any] = (),
    raster: Mapping[str, Raster] | None = None,
    mode: str = "auto",
) -> Figure:
    """A figure whose controls move the arguments of a JAX function.

    Arguments:
        fn: ``fn(**values) -> {table: {column: 1-D array}}``, traceable; a slider's value comes as a
            scalar, a choice's as an index, a seed's as a key. Its name is the figure's address.
        controls: :class:`Slider`, :class:`Choice`, :class:`Seed`, one for each argument of ``fn``.
        chart: an Altair chart over ``alt.NamedData(table)``.
        description: what a reader who cannot see the figure should know; required.
        presets: ``{label: {control: value}}``, buttons that the text refers to.
        raster: ``{table: Raster}``, the tables that are pictures.
        mode: ``"table"``, or ``"auto"``, which is the table as yet.
    Returns:
        A :class:`~optdyn.charts.Figure`; its ``widget()`` is for a live kernel.
    Raises:
        ValueError: controls that do not fit ``fn``; a value or preset that is no position; a table
            past 300 kB: the number of positions is the product over all controls that change it.

    >>> import altair as alt
    >>> def line(slope):
    ...     x = jnp.arange(3.0)
    ...     return {"line": {"x": x, "y": slope * x}}
    >>> chart = alt.Chart(alt.NamedData("line")).mark_line().encode(x="x:Q", y="y:Q")
    >>> explore(line, [Slider("slope", 0, 2, 1, positions=3)], chart,
    ...         description="A line that a slider tilts.").name
    'line'
    """
    if mode not in ("auto", "table"):
        raise ValueError(f"mode must be 'auto' or 'table'; got {mode!r}. Leave it out.")
    _check_controls(fn, controls)
    try:
        presets = {str(label): dict(values) for label, values in dict(presets).items()}
    except (TypeError, ValueError):
        raise TypeError(
            f"presets must be {{label: {{control: value}}}}; got {str(presets)[:60]!r}. Name each "
            "button and the values it sets."
        ) from None
    start = {control.name: control.value for control in controls}
    for label, values in presets.items():
        if unknown := sorted(set(values) - set(start)):
            raise ValueError(
                f"preset {label!r} sets {unknown}; the controls are {sorted(start)}. "
                "Rename it, or add the control."
            )
    for label, values in {"value": start, **presets}.items():
        for control in controls:
            if control.name in values:
                _position(control, values[control.name], label)
    raster = dict(raster or {})
    jitted = jax.jit(fn)

    def evaluate(values: Mapping[str, float]) -> Tables:
        tables = jitted(**{c.name: _argument(c, values[c.name]) for c in controls})
        return _painted(columns_of(tables), raster)

    first = evaluate(start)
    spec = specification(chart, first, description)
    name = _name(fn).strip("_").replace("_", "-")

    def page() -> tuple[list[Any], list[Any], dict[str, Any]]:
        return _page(fn, controls, presets, raster)

    def live() -> Any:
        return _widget(evaluate, controls, presets, spec)

    return Figure(name, spec, description, first, page, live)


# --- controls ------------------------------------------------------------------------------------


def values_of(control: Control) -> np.ndarray:
    """All positions of a control, in order."""
    if isinstance(control, Slider):
        if control.log:
            return np.geomspace(control.low, control.high, control.positions)
        return np.round(np.linspace(control.low, control.high, control.positions), 12)
    return np.arange(len(control.options) if isinstance(control, Choice) else control.positions)


def texts_of(control: Control) -> list[str]:
    """What a reader sees at each position: as many digits as tell neighbours apart."""
    if isinstance(control, Choice):
        return list(control.options)
    values = values_of(control)
    if isinstance(control, Seed) or len(values) == 1:
        return [f"{value:g}" for value in values]
    if control.log:
        digits = max(2, 1 + math.ceil(-math.log10(values[1] / values[0] - 1)))
        rounded = [float(f"{value:.{digits}g}") for value in values]
        return [
            np.format_float_positional(v, trim="-") if 1e-4 <= v < 1e6 else f"{v:g}"
            for v in rounded
        ]
    step = values[1] - values[0]
    decimals = next((d for d in range(7) if abs(round(step, d) - step) < 1e-9 * step), 4)
    return [f"{value:.{decimals}f}" for value in values]


def _check_controls(fn: Callable[..., Any], controls: Sequence[Control]) -> None:
    if not callable(fn):
        raise TypeError(f"fn must be a function; got {fn!r}. Pass it without calling it.")
    if not isinstance(controls, Sequence) or not all(isinstance(c, Control) for c in controls):
        raise TypeError(
            f"controls must be a list of Slider, Choice and Seed; got {controls!r}. "
            "Make a control for each argument of fn."
        )
    names = [control.name for control in controls]
    bound = getattr(fn, "keywords", {})  # of a functools.partial
    wanted = [name for name in inspect.signature(fn).parameters if name not in bound]
    if sorted(names) != sorted(wanted):
        raise ValueError(
            f"controls are named {names}; {_name(fn)} takes {wanted}. "
            "Give each argument one control, or bind the others beforehand."
        )
    for control in controls:
        if isinstance(control, Slider):
            if not all(isinstance(end, Real) for end in (control.low, control.high)):
                raise TypeError(
                    f"slider {control.name!r} runs from {control.low!r} to {control.high!r}; its "
                    "ends must be numbers."
                )
            if not isinstance(control.positions, int) or control.positions < 2:
                raise TypeError(
                    f"slider {control.name!r} has positions={control.positions!r}; give it a whole "
                    "number of them, 2 or more."
                )
            if not (math.isfinite(control.low) and control.low < control.high < math.inf):
                raise ValueError(
                    f"slider {control.name!r} runs from {control.low} to {control.high}; it needs "
                    "finite ends, the lower one first."
                )
            if control.log and control.low <= 0:
                raise ValueError(
                    f"slider {control.name!r} is logarithmic and starts at {control.low}; it must "
                    "start above zero. Raise low, or drop log=True."
                )
        if len(values_of(control)) < 2:
            raise ValueError(
                f"control {control.name!r} has fewer than two positions; a reader could not move "
                "it. Give it more, or bind its value beforehand."
            )


def _name(fn: Any) -> str:
    """The name of a function, or of the one that functools.partial holds."""
    return str(getattr(getattr(fn, "func", fn), "__name__", "figure"))


def _position(control: Control, value: float, where: str) -> int:
    """The index of ``value`` among a control's positions; refused where it is none of them."""
    if not isinstance(value, Real):
        raise TypeError(f"{where} puts {control.name!r} at {value!r}; it must be a number.")
    values = values_of(control)
    index = int(np.argmin(np.abs(values - value)))
    if not np.isclose(values[index], value, rtol=1e-9, atol=1e-12):
        raise ValueError(
            f"{where} puts {control.name!r} at {value}, which is none of its {len(values)} "
            f"positions; the nearest is {values[index]:.6g}. Use that, or change low, high or "
            "positions so that they meet it."
        )
    return index


def _argument(control: Control, value: float) -> Any:
    """What the function is given at a control's value."""
    if isinstance(control, Seed):
        return jax.random.key(value)
    return jnp.asarray(value, dtype=None if isinstance(control, Choice) else float)


# --- pictures ------------------------------------------------------------------------------------


def _painted(tables: Tables, raster: Mapping[str, Raster]) -> dict[str, Any]:
    """The tables, those of ``raster`` replaced by their picture."""
    painted: dict[str, Any] = dict(tables)
    for name, form in raster.items():
        painted[name] = {"url": np.array([_paint(name, _pixels(name, tables, form), form)])}
    return painted


def _pixels(name: str, tables: Tables, form: Raster) -> np.ndarray:
    """The one column of a table that is a picture, of ``height * width`` values."""
    columns = list(tables.get(name, {}).values())
    if len(columns) != 1 or np.shape(columns[0])[-1] != form.width * form.height:
        shapes = {column: np.shape(array) for column, array in tables.get(name, {}).items()}
        raise ValueError(
            f"raster: table {name!r} has columns of the shapes {shapes}, one column of "
            f"{form.height} x {form.width} values is needed; return the flattened picture."
        )
    return np.asarray(columns[0])


def _paint(name: str, pixels: np.ndarray, form: Raster) -> str:
    try:
        return class_image(pixels.reshape(form.height, form.width), form.colours)
    except ValueError as error:
        raise ValueError(f"raster: table {name!r}: {error}") from None


# --- the page's table ----------------------------------------------------------------------------


def _page(
    fn: Callable[..., Tables],
    controls: Sequence[Control],
    presets: Mapping[str, Any],
    raster: Mapping[str, Raster],
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """What the page's script is given: controls, presets, and the function's values packed."""
    values = dict(_grid(fn, controls))
    pictures = {}
    for table, form in raster.items():
        axes, pixels = moving_axes(_pixels(table, values, form), len(controls))
        del values[table]
        urls = [_paint(table, p, form) for p in pixels.reshape(-1, form.width * form.height)]
        pictures[table] = {"url": {"axes": axes, "texts": urls}}
    packed = pack(values, [len(values_of(control)) for control in controls]) | pictures
    size = sum(
        len(c.get("codes", "")) + sum(map(len, c.get("texts", ())))
        for columns in packed.values()
        for c in columns.values()
    )
    if size > TABLE_LIMIT:
        counts = " x ".join(f"{len(values_of(c))} {c.name}" for c in controls)
        raise ValueError(
            f"the table of {_name(fn)} takes {size / 1000:.0f} kB for {counts} positions; at "
            f"most {TABLE_LIMIT / 1000:.0f} kB go into a page. A figure that needs more has to "
            "compute in the page; as yet, use fewer positions or shorter columns."
        )
    described = [
        {
            "name": control.name,
            "kind": type(control).__name__.lower(),
            "label": control.label or control.name.replace("_", " "),
            "unit": getattr(control, "unit", ""),
            "texts": texts_of(control),
            "start": _position(control, control.value, "value"),
        }
        for control in controls
    ]
    by_name = {control.name: control for control in controls}
    buttons = [
        {"label": label, "at": {n: _position(by_name[n], v, label) for n, v in values.items()}}
        for label, values in presets.items()
    ]
    return described, buttons, packed


def _grid(fn: Callable[..., Tables], controls: Sequence[Control]) -> Tables:
    """``fn`` at every combination of positions: one jitted call, columns ``(*counts, n)``."""
    mesh = np.meshgrid(*(values_of(c) for c in controls), indexing="ij")
    flat = {c.name: values.ravel() for c, values in zip(controls, mesh, strict=True)}
    arguments = {
        c.name: jax.vmap(jax.random.key)(flat[c.name])
        if isinstance(c, Seed)
        else _argument(c, flat[c.name])
        for c in controls
    }
    tables = jax.jit(jax.vmap(lambda values: fn(**values)))(arguments)
    shape = mesh[0].shape
    return {
        table: {name: np.reshape(array, (*shape, -1)) for name, array in columns.items()}
        for table, columns in tables.items()
    }


# --- the live kernel -----------------------------------------------------------------------------


def _widget(
    evaluate: Callable[[Mapping[str, float]], Tables],
    controls: Sequence[Control],
    presets: Mapping[str, Mapping[str, float]],
    spec: Mapping[str, Any],
) -> Any:
    """Sliders and presets over a chart that the kernel computes anew at each move."""
    import altair as alt
    import ipywidgets
    from IPython.display import display

    inputs = {control.name: _input(control) for control in controls}
    out = ipywidgets.Output()

    def draw(_: Any = None) -> None:
        tables = evaluate({name: widget.value for name, widget in inputs.items()})
        with out:
            out.clear_output(wait=True)
            display(alt.Chart.from_dict(with_rows(spec, tables)))

    def button(label: str, values: Mapping[str, float]) -> Any:
        made = ipywidgets.Button(description=label, layout={"width": "auto"})

        def press(_: Any) -> None:
            for name, value in values.items():
                inputs[name].value = value

        made.on_click(press)
        return made

    start = {control.name: control.value for control in controls}
    buttons = [button(label, values) for label, values in {**presets, "Reset": start}.items()]
    for widget in inputs.values():
        widget.observe(draw, "value")
    draw()
    return ipywidgets.VBox([*inputs.values(), ipywidgets.HBox(buttons), out])


def _input(control: Control) -> Any:
    """The ipywidgets counterpart of a control; its ``value`` is what the function is given."""
    import ipywidgets

    wide = {"style": {"description_width": "initial"}, "layout": {"width": "min(32rem, 95%)"}}
    label = control.label or control.name.replace("_", " ")
    if isinstance(control, Choice):
        options = [(text, index) for index, text in enumerate(control.options)]
        return ipywidgets.Dropdown(options=options, value=control.value, description=label, **wide)
    if isinstance(control, Seed):
        return ipywidgets.BoundedIntText(
            value=control.value, min=0, max=2**31 - 1, description=label, **wide
        )
    options = list(zip(texts_of(control), values_of(control).tolist(), strict=True))
    index = _position(control, control.value, "value")
    return ipywidgets.SelectionSlider(
        options=options,
        index=index,
        description=f"{label} {control.unit}".strip(),
        continuous_update=True,
        **wide,
    )
