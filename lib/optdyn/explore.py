"""Figures that a reader moves: one JAX function, its controls, one chart.

A page has no kernel. Where the function can be translated (:mod:`optdyn.javascript`), the page's
script computes it anew at each move; else it is evaluated at every position of its controls when
the book is made, and the script replays that table. A live kernel evaluates the same function at
the sliders' values (``Figure.widget``). The script (``explore.js``) draws either alike.
"""

from __future__ import annotations

import gzip
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optdyn.charts import (
    Figure,
    Tables,
    columns_of,
    moving_axes,
    pack,
    shown_live,
    specification,
    with_rows,
)
from optdyn.controls import (
    Choice,
    Control,
    Points,
    Seed,
    Slider,
    argument,
    check_controls,
    checked_value,
    described,
    name_of,
    settled,
    shown,
    values_of,
    wanted_by,
    widget_of,
)
from optdyn.rasters import Cloud, Form, Raster, form_of, paint, painted, pixels_of

__all__ = ["Choice", "Cloud", "Points", "Raster", "Seed", "Slider", "explore"]

TABLE_LIMIT = 300_000  # bytes of a figure's table in its page
ROWS_LIMIT = 2_000  # rows of one table that Vega draws while a slider moves
PROGRAM_LIMIT = 10_000  # bytes of a figure's programs, compressed

LOG = logging.getLogger("optdyn.explore")
LOG.addHandler(logging.NullHandler())  # without one, warnings would go to a cell's stderr


class _TooLargeError(ValueError):
    """A table of more rows than Vega draws while a slider moves, or a program past its limit."""


def explore(
    fn: Callable[..., Tables],
    controls: Sequence[Control],
    chart: Any,
    *,
    description: str,
    presets: Mapping[str, Mapping[str, Any]] | Sequence[Any] = (),
    prepare: Callable[..., Any] | None = None,
    raster: Mapping[str, Form] | None = None,
    mode: str = "auto",
    tolerance: Any = 1e-9,
) -> Figure:
    """A figure whose controls move the arguments of a JAX function.

    Arguments:
        fn: ``fn(**values) -> {table: {column: 1-D array}}``, traceable; a slider's value comes as a
            scalar, a choice's as an index, a seed's as a key, points as one array or a tuple of
            two. Its name is the figure's address.
        controls: :class:`Slider`, :class:`Choice`, :class:`Seed`, :class:`Points`, one for each
            argument of ``fn`` and of ``prepare``.
        chart: an Altair chart over ``alt.NamedData(table)``.
        description: what a reader who cannot see the figure should know; required.
        presets: ``{label: {control: value}}``, buttons that the text refers to.
        prepare: ``prepare(**values of some controls) -> arrays``, which ``fn`` is handed as its
            argument ``prepared``; computed anew only when one of its controls moves: noise.
        raster: ``{table: Raster or Cloud}``, the tables that are pictures.
        mode: ``"compute"``: in the page; ``"table"``: before; ``"auto"``: in the page where ``fn``
            can be translated, its program and its tables are short enough; else the table, and the
            reason is logged.
        tolerance: how close the page's numbers must be to JAX's, relative to each column's largest
            magnitude; ``"quantiles"`` for what is chaotic: the column's quantiles, to 1e-2 of its
            range; or ``{table: tolerance}``.
    Returns:
        A :class:`~optdyn.charts.Figure`; its ``widget()`` is for a live kernel.
    Raises:
        ValueError: controls that do not fit ``fn``; a value or preset that is no position; complex
            columns; points that no page computes; with ``mode="compute"`` more than 2,000 rows of
            a table, or programs past 10 kB compressed; a table past 300 kB: its positions are the
            product over all controls.
        NotImplementedError: ``mode="compute"`` and a function that cannot be translated.

    >>> import altair as alt
    >>> def line(slope):
    ...     x = jnp.arange(3.0)
    ...     return {"line": {"x": x, "y": slope * x}}
    >>> chart = alt.Chart(alt.NamedData("line")).mark_line().encode(x="x:Q", y="y:Q")
    >>> explore(line, [Slider("slope", 0, 2, 1, positions=3)], chart,
    ...         description="A line that a slider tilts.").name
    'line'
    """
    if mode not in ("auto", "compute", "table"):
        raise ValueError(f"mode must be 'auto', 'compute' or 'table'; got {mode!r}. Leave it out.")
    check_controls(fn, controls, prepare)
    _check_tolerance(tolerance)
    presets = _labelled(presets, controls)
    computing = mode != "table"
    given, named = controls, presets
    controls, presets = _settled(given, named, computing)
    _check_values(controls, presets)
    raster = dict(raster or {})
    run = _runner(fn, controls, prepare)
    raw = run({control.name: control.value for control in controls})
    for table, columns in raw.items():
        if bad := [name for name, array in columns.items() if np.iscomplexobj(array)]:
            raise ValueError(
                f"the columns {bad} of table {table!r} are complex; a chart draws real numbers. "
                "Return their real and imaginary parts, or their magnitudes."
            )
    name = name_of(fn).strip("_").replace("_", "-")
    reason = "mode is 'table'"
    program: dict[str, Any] | None = None
    if computing:
        from optdyn.javascript import Untranslatable

        try:
            _check_rows(raw, raster)
            program = _checked(_program(fn, prepare, controls))
        except (Untranslatable, _TooLargeError) as error:
            if mode == "compute":
                raise
            reason = str(error)
            LOG.warning("%s replays a table: %s", name, reason.replace("\n", " "))
            controls, presets = _settled(given, named, False)
            _check_values(controls, presets)
    if program is None and (drawn := [c.name for c in controls if isinstance(c, Points)]):
        raise ValueError(
            f"the points {drawn} can be dragged only where the page computes, and {name} does not: "
            f"{reason}"
        )
    first = painted(raw, raster, chart)
    spec = specification(chart, first, description)

    def page() -> dict[str, Any]:
        data: dict[str, Any] = {
            "controls": [described(control) for control in controls],
            "presets": _buttons(controls, presets),
        }
        if program is not None:
            forms = {t: form_of(t, form, spec) for t, form in raster.items()}
            return data | {"program": program, "raster": forms}
        packed = _packed(fn, _grid(fn, prepare, controls), controls, raster, chart, reason)
        return data | {"tables": packed} | ({"because": reason} if computing else {})

    def live() -> Any:
        def evaluate(values: Mapping[str, Any]) -> Tables:
            return painted(run(values), raster, chart)

        return _widget(evaluate, controls, presets, spec)

    def references(folder: Path) -> None:
        from optdyn.references import write

        if program is not None:
            write(folder, name, controls, run, program, tolerance)

    return Figure(name, spec, description, first, page, live, references)


# --- checks --------------------------------------------------------------------------------------


def _labelled(
    presets: Mapping[str, Mapping[str, Any]] | Sequence[Any], controls: Sequence[Control]
) -> dict[str, dict[str, Any]]:
    try:
        made = {str(label): dict(values) for label, values in dict(presets).items()}
    except (TypeError, ValueError):
        raise TypeError(
            f"presets must be {{label: {{control: value}}}}; got {str(presets)[:60]!r}. Name each "
            "button and the values it sets."
        ) from None
    names = {control.name for control in controls}
    for label, values in made.items():
        if unknown := sorted(set(values) - names):
            raise ValueError(
                f"preset {label!r} sets {unknown}; the controls are {sorted(names)}. "
                "Rename it, or add the control."
            )
    return made


def _settled(
    controls: Sequence[Control], presets: Mapping[str, Mapping[str, Any]], computing: bool
) -> tuple[list[Control], dict[str, dict[str, Any]]]:
    """Controls with their positions, and presets, both with the numbers that the page shows."""
    if not computing:
        named = {label: dict(values) for label, values in presets.items()}
        return [settled(control, False) for control in controls], named
    by_name = {control.name: control for control in controls}
    named = {
        label: {name: shown(by_name[name], value) for name, value in values.items()}
        for label, values in presets.items()
    }
    made: list[Control] = []
    for control in controls:
        if isinstance(control, Slider):
            control = control._replace(value=shown(control, control.value))
        wanted = [v[control.name] for v in named.values() if control.name in v]
        made.append(settled(control, True, [control.value, *wanted]))
    return made, named


def _check_values(controls: Sequence[Control], presets: Mapping[str, Mapping[str, Any]]) -> None:
    start = {control.name: control.value for control in controls}
    for label, values in {"value": start, **presets}.items():
        for control in controls:
            if control.name in values:
                checked_value(control, values[control.name], label)


def _check_tolerance(tolerance: Any) -> None:
    for one in tolerance.values() if isinstance(tolerance, Mapping) else [tolerance]:
        if one == "quantiles" or (isinstance(one, int | float) and 0 < one < math.inf):
            continue
        raise ValueError(
            f"tolerance must be a positive number, 'quantiles', or {{table: one of these}}; got "
            f"{tolerance!r}. Leave it out for 1e-9."
        )


def _check_rows(tables: Tables, raster: Mapping[str, Form]) -> None:
    for table, columns in tables.items():
        rows = len(next(iter(columns.values())))
        if rows > ROWS_LIMIT and table not in raster:
            raise _TooLargeError(
                f"table {table!r} has {rows} rows; at most {ROWS_LIMIT} are drawn while a slider "
                "moves. Return fewer, or draw it as a picture: raster={table: Cloud(...)}."
            )


def _checked(program: dict[str, Any]) -> dict[str, Any]:
    """A program that is not too large for a page."""
    text = program["compute"] + (program["prepare"] or "")
    size = len(gzip.compress(text.encode(), 9))
    if size > PROGRAM_LIMIT:
        raise _TooLargeError(
            f"its program takes {size / 1000:.1f} kB compressed; at most "
            f"{PROGRAM_LIMIT // 1000} kB go into a page. Arrays that the function closes over are "
            "written out: compute them in prepare, or make them smaller."
        )
    return program


# --- the function --------------------------------------------------------------------------------


def _runner(
    fn: Callable[..., Tables], controls: Sequence[Control], prepare: Callable[..., Any] | None
) -> Callable[[Mapping[str, Any]], dict[str, dict[str, np.ndarray]]]:
    """The jitted function of the controls' values; what was prepared is kept for the next call."""
    jitted = jax.jit(fn)
    prepares = jax.jit(prepare) if prepare is not None else None
    own, first = set(wanted_by(fn)), set(wanted_by(prepare))
    kept: dict[str, Any] = {}

    def run(values: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
        given = {c.name: argument(c, values[c.name]) for c in controls}
        more = {}
        if prepares is not None:
            known = [values[name] for name in sorted(first)]
            if kept.get("known") != known:
                kept["prepared"] = prepares(**{name: given[name] for name in first})
                kept["known"] = known
            more["prepared"] = kept["prepared"]
        return columns_of(jitted(**{n: given[n] for n in given if n in own}, **more))

    return run


def _program(
    fn: Callable[..., Tables], prepare: Callable[..., Any] | None, controls: Sequence[Control]
) -> dict[str, Any]:
    """The function in JavaScript, as the page's script reads it; all of prepare's leaves arrays."""
    from optdyn.javascript import translate

    example = {c.name: argument(c, c.value) for c in controls}
    own = [name for name in wanted_by(fn) if name in example]
    first = wanted_by(prepare)

    def leaves_of(names: Sequence[str]) -> list[str]:
        return [name for name in names for _ in jax.tree.leaves(example[name])]

    shapes, tree = jax.tree.flatten(
        jax.eval_shape(prepare, **{n: example[n] for n in first}) if prepare is not None else {}
    )
    if any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in shapes):
        raise ValueError(
            "prepare returns random keys; return the numbers that are drawn from them."
        )

    def flat_prepare(*values: Any) -> list[Any]:
        made = prepare(**dict(zip(first, values, strict=True)))  # type: ignore[misc]
        return [jnp.atleast_1d(leaf) for leaf in jax.tree.leaves(made)]

    def tables(*values: Any) -> Tables:
        more = {}
        if prepare is not None:
            *values, flat = values  # type: ignore[assignment]
            shaped = [jnp.reshape(a, s.shape) for a, s in zip(flat, shapes, strict=True)]
            more["prepared"] = jax.tree.unflatten(tree, shaped)
        return fn(**dict(zip(own, values, strict=True)), **more)

    flat = [jnp.zeros(s.shape or (1,), s.dtype) for s in shapes]
    values = [example[n] for n in own] + ([flat] if prepare is not None else [])
    results = [
        [table, column]
        for table, columns in sorted(jax.eval_shape(tables, *values).items())
        for column in sorted(columns)
    ]
    compute = translate(lambda *v: [t[a][b] for t in [tables(*v)] for a, b in results], *values)
    return {
        "compute": compute.source,
        "prepare": translate(flat_prepare, *(example[n] for n in first)).source
        if prepare
        else None,
        "arguments": leaves_of(own) + ["prepared"] * len(flat),
        "prepares": leaves_of(first),
        "results": results,
        "float": str(jnp.asarray(0.0).dtype),  # of sliders and points
    }


# --- the page's table ----------------------------------------------------------------------------


def _packed(
    fn: Callable[..., Tables],
    tables: Tables,
    controls: Sequence[Control],
    raster: Mapping[str, Form],
    chart: Any,
    reason: str,
) -> dict[str, Any]:
    """The function's values at all positions, packed."""
    values = dict(tables)
    pictures = {}
    made = {t: moving_axes(pixels_of(t, values, form), len(controls)) for t, form in raster.items()}
    for table, (axes, pixels) in made.items():
        del values[table]
        urls = [
            paint(table, one, raster[table], chart) for one in pixels.reshape(-1, pixels.shape[-1])
        ]
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
            f"the table of {name_of(fn)} takes {size / 1000:.0f} kB for {counts} positions; at "
            f"most {TABLE_LIMIT / 1000:.0f} kB go into a page. Use fewer positions or shorter "
            f"columns, or let the page compute; it does not, because: {reason}"
        )
    return packed


def _grid(
    fn: Callable[..., Tables],
    prepare: Callable[..., Any] | None,
    controls: Sequence[Control],
) -> Tables:
    """``fn`` at every combination of positions: one jitted call, columns ``(*counts, n)``."""
    mesh = np.meshgrid(*(values_of(c) for c in controls), indexing="ij")
    flat = {c.name: values.ravel() for c, values in zip(controls, mesh, strict=True)}
    arguments = {
        c.name: jax.vmap(jax.random.key)(flat[c.name])
        if isinstance(c, Seed)
        else argument(c, flat[c.name])
        for c in controls
    }
    own, first = wanted_by(fn), wanted_by(prepare)

    def at(values: Mapping[str, Any]) -> Tables:
        more = {"prepared": prepare(**{n: values[n] for n in first})} if prepare else {}
        return fn(**{n: values[n] for n in own if n in values}, **more)

    tables = jax.jit(jax.vmap(at))(arguments)
    shape = mesh[0].shape
    return {
        table: {name: np.reshape(array, (*shape, -1)) for name, array in columns.items()}
        for table, columns in tables.items()
    }


def _buttons(
    controls: Sequence[Control], presets: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    by_name = {control.name: control for control in controls}
    return [
        {
            "label": label,
            "at": {n: checked_value(by_name[n], v, label) for n, v in values.items()},
        }
        for label, values in presets.items()
    ]


# --- the live kernel -----------------------------------------------------------------------------


def _widget(
    evaluate: Callable[[Mapping[str, Any]], Tables],
    controls: Sequence[Control],
    presets: Mapping[str, Mapping[str, Any]],
    spec: Mapping[str, Any],
) -> Any:
    """Sliders and presets over a chart that the kernel computes anew at each move."""
    import ipywidgets
    from IPython.display import display

    inputs = {control.name: widget_of(control) for control in controls}
    out = ipywidgets.Output()

    def draw(_: Any = None) -> None:
        tables = evaluate({name: read() for name, (_, read, _) in inputs.items()})
        with out:
            out.clear_output(wait=True)
            display(shown_live(with_rows(spec, tables)))

    def button(label: str, values: Mapping[str, Any]) -> Any:
        made = ipywidgets.Button(description=label, layout={"width": "auto"})

        def press(_: Any) -> None:
            for name, value in values.items():
                inputs[name][2](value)

        made.on_click(press)
        return made

    start = {control.name: control.value for control in controls}
    buttons = [button(label, values) for label, values in {**presets, "Reset": start}.items()]
    for widget, _, _ in inputs.values():
        widget.observe(draw, "value")
    draw()
    boxes = [widget for widget, _, _ in inputs.values()]
    return ipywidgets.VBox([*boxes, ipywidgets.HBox(buttons), out])
