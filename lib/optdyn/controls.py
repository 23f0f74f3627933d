"""What a reader moves in a figure: sliders, menus, seeds, points; their positions, their checks.

A control's value is a number, for :class:`Points` one list of numbers or two. In a page a slider
has finitely many positions, and where the page computes it passes on the number that it shows.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SLIDER_POSITIONS = 61, 241  # in a table, and where the page computes
SEED_POSITIONS = 8, 100


class Slider(NamedTuple):
    """A number between ``low`` and ``high``; ``positions`` of them in a page, evenly spaced.

    ``log`` spaces them evenly in the logarithm. ``label`` and ``unit`` are what the reader sees.
    Without ``positions`` there are 61 in a table; where the page computes 241, each the number that
    is shown, and what the slider starts at and presets set besides. A tuple lists them itself.
    """

    name: str
    low: float
    high: float
    value: float
    log: bool = False
    label: str = ""
    unit: str = ""
    positions: int | tuple[float, ...] | None = None


class Choice(NamedTuple):
    """One of several named options; the function gets its index, traced."""

    name: str
    options: tuple[str, ...]
    value: int = 0
    label: str = ""


class Seed(NamedTuple):
    """A JAX key; ``positions`` of them in a page, by default 8 in a table, 100 if it computes."""

    name: str = "key"
    value: int = 0
    label: str = "random seed"
    positions: int | None = None


class Points(NamedTuple):
    """Points that the reader drags, or moves by the arrow keys; only where the page computes.

    ``fn`` gets the array ``x``, shape (n,), or the tuple ``(x, y)`` of two if ``y`` is given; the
    presets name them in the same form. ``x_range`` and ``y_range`` are the ends between which they
    move. They lie in the chart's panel number ``panel``, on its scales; without ``y`` at the height
    ``at``, one for all or one for each.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float] | None = None
    x_range: tuple[float, float] = ()  # type: ignore[assignment]  # required, by keyword
    y_range: tuple[float, float] | None = None
    at: float | Sequence[float] = 0.0
    panel: int = 0
    label: str = ""

    @property
    def value(self) -> Any:
        """Where the points start: one list, or two."""
        x = [float(v) for v in self.x]
        return x if self.y is None else [x, [float(v) for v in self.y]]


Control = Slider | Choice | Seed | Points


# --- positions -----------------------------------------------------------------------------------


def settled(control: Control, computing: bool, wanted: Sequence[Any] = ()) -> Control:
    """The control with the positions that it has in a table, or in a page that computes.

    Arguments:
        wanted: values that start and presets set, which become positions too if none are asked for.

    >>> settled(Slider("s", 0, 1, 0.4, positions=4), computing=True).positions
    (0.0, 0.3, 0.7, 1.0)
    """
    if isinstance(control, Seed):
        return control._replace(positions=control.positions or SEED_POSITIONS[computing])
    if not isinstance(control, Slider) or isinstance(control.positions, tuple):
        return control
    made = control._replace(positions=control.positions or SLIDER_POSITIONS[computing])
    if not computing:
        return made
    values = {float(text) for text in texts_of(made)}
    if control.positions is None:
        numbers = (float(v) for v in wanted if isinstance(v, Real))
        values |= {v for v in numbers if control.low <= v <= control.high}
    return made._replace(positions=tuple(sorted(values)))


def shown(control: Control, value: Any) -> Any:
    """The number that a computing page shows for a slider's value; any other value as it is.

    A value that stands between positions, or has few digits and may become one, stays too.

    >>> shown(Slider("s", 1, 100, 1, log=True, positions=11), 100 ** 0.9)
    63.0
    """
    if not isinstance(control, Slider) or not isinstance(value, Real):
        return value
    if control.positions is None and float(f"{value:.6g}") == value:
        return value
    grid = settled(control._replace(positions=control.positions or SLIDER_POSITIONS[1]), False)
    index = int(np.argmin(np.abs(values_of(grid) - float(value))))
    near = np.isclose(values_of(grid)[index], float(value), rtol=1e-9, atol=1e-12)
    return float(texts_of(grid)[index]) if near else value


def values_of(control: Control) -> np.ndarray:
    """All positions of a control, in order.

    >>> values_of(Slider("s", 1, 100, 1, log=True, positions=3))
    array([  1.,  10., 100.])
    """
    if isinstance(control, Choice):
        return np.arange(len(control.options))
    if isinstance(control, Points):
        raise TypeError(f"points {control.name!r} have no list of positions.")
    if isinstance(control, Seed):
        return np.arange(control.positions or SEED_POSITIONS[0])
    if isinstance(control.positions, tuple):
        return np.array(control.positions, float)
    count = control.positions or SLIDER_POSITIONS[0]
    if control.log:
        return np.geomspace(control.low, control.high, count)
    return np.round(np.linspace(control.low, control.high, count), 12)


def texts_of(control: Control) -> list[str]:
    """What a reader sees at each position: as many digits as tell neighbours apart.

    >>> texts_of(Slider("s", 1, 100, 1, log=True, positions=3))
    ['1', '10', '100']
    """
    if isinstance(control, Choice):
        return list(control.options)
    values = values_of(control)
    if not isinstance(control, Slider) or len(values) == 1:
        return [f"{value:g}" for value in values]
    listed = isinstance(control.positions, tuple)
    if control.log:
        digits = max(2, 1 + math.ceil(-math.log10(values[1] / values[0] - 1)))
        rounded = values if listed else [float(f"{value:.{digits}g}") for value in values]
        return [
            np.format_float_positional(v, trim="-") if 1e-4 <= v < 1e6 else f"{v:.12g}"
            for v in rounded
        ]
    if listed:
        exact = (d for d in range(10) if np.mean(np.isclose(np.round(values, d), values)) > 0.9)
        decimals = next(exact, 10)
        return [
            f"{v:.{decimals}f}" if abs(round(v, decimals) - v) < 1e-12 else f"{v:.12g}"
            for v in values.tolist()
        ]
    step = values[1] - values[0]
    rough = max(0, math.ceil(-math.log10(step / 2)))
    decimals = next((d for d in range(7) if abs(round(step, d) - step) < 1e-9 * step), rough)
    return [f"{value:.{decimals}f}" for value in values]


def position(control: Control, value: Any, where: str) -> int:
    """The index of ``value`` among a control's positions; refused where it is none of them."""
    if not isinstance(value, Real):
        raise TypeError(f"{where} puts {control.name!r} at {value!r}; it must be a number.")
    values = values_of(control)
    index = int(np.argmin(np.abs(values - float(value))))
    if not np.isclose(values[index], float(value), rtol=1e-9, atol=1e-12):
        raise ValueError(
            f"{where} puts {control.name!r} at {value}, which is none of its {len(values)} "
            f"positions; the nearest is {values[index]:.6g}. Use that, or change low, high or "
            "positions so that they meet it."
        )
    return index


def checked_value(control: Control, value: Any, where: str) -> Any:
    """A control's value as the page holds it: the index of a position, or lists of coordinates."""
    if not isinstance(control, Points):
        return position(control, value, where)
    names, ranges, columns = ["x"], [control.x_range], [value]
    if control.y is not None and control.y_range is not None:
        if len(value) != 2:
            raise ValueError(
                f"{where} gives points {control.name!r} {len(value)} lists; they have x and y: "
                "give the list of all x, then that of all y."
            )
        names, ranges, columns = ["x", "y"], [control.x_range, control.y_range], list(value)
    for name, ends, column in zip(names, ranges, columns, strict=True):
        numbers = np.asarray(column, float) if len(column) else np.zeros(0)
        if numbers.shape != (len(control.x),):
            raise ValueError(
                f"{where} gives points {control.name!r} {numbers.shape} values of {name}; there "
                f"are {len(control.x)} points, give one number for each."
            )
        low, high = ends or (0, 0)
        if not ((numbers >= low) & (numbers <= high)).all():
            raise ValueError(
                f"{where} puts points {control.name!r} at {name} = {numbers.tolist()}; the range "
                f"is {low} to {high}. Move them inside, or widen {name}_range."
            )
    lists = [[float(v) for v in column] for column in columns]
    return lists if control.y is not None else lists[0]


def argument(control: Control, value: Any) -> Any:
    """What the function is given at a control's value."""
    if isinstance(control, Seed):
        return jax.random.key(value)
    if isinstance(control, Points):
        if control.y is None:
            return jnp.asarray(value, dtype=float)
        return tuple(jnp.asarray(column, dtype=float) for column in value)
    return jnp.asarray(value, dtype=None if isinstance(control, Choice) else float)


def described(control: Control) -> dict[str, Any]:
    """What the page's script reads of a control."""
    common = {
        "name": control.name,
        "kind": type(control).__name__.lower(),
        "label": control.label or control.name.replace("_", " "),
        "start": checked_value(control, control.value, "value"),
    }
    if isinstance(control, Points):
        ranges = [control.x_range] if control.y is None else [control.x_range, control.y_range]
        heights = np.broadcast_to(np.asarray(control.at, float), (len(control.x),)).tolist()
        return common | {"ranges": ranges, "at": heights, "panel": control.panel}
    return common | {"unit": getattr(control, "unit", ""), "texts": texts_of(control)}


# --- checks --------------------------------------------------------------------------------------


def name_of(fn: Any) -> str:
    """The name of a function, or of the one that functools.partial holds."""
    return str(getattr(getattr(fn, "func", fn), "__name__", "figure"))


def wanted_by(fn: Callable[..., Any] | None) -> list[str]:
    """The arguments that a function takes and has not been bound to."""
    if fn is None:
        return []
    bound = getattr(fn, "keywords", {})  # of a functools.partial
    return [name for name in inspect.signature(fn).parameters if name not in bound]


def check_controls(
    fn: Callable[..., Any], controls: Sequence[Control], prepare: Callable[..., Any] | None
) -> None:
    """Refuse controls that do not fit their functions, or themselves.

    Raises:
        TypeError, ValueError: naming the control or the argument.
    """
    for name, function in ("fn", fn), ("prepare", prepare):
        if not callable(function) and not (name == "prepare" and function is None):
            raise TypeError(
                f"{name} must be a function; got {function!r}. Pass it without calling it."
            )
    if not isinstance(controls, Sequence) or not all(isinstance(c, Control) for c in controls):
        raise TypeError(
            f"controls must be a list of Slider, Choice, Seed and Points; got {controls!r}. "
            "Make a control for each argument of fn."
        )
    names = [control.name for control in controls]
    own, first = wanted_by(fn), wanted_by(prepare)
    if prepare is not None:
        if "prepared" not in own:
            raise ValueError(
                f"prepare is given and {name_of(fn)} takes {own}; it is handed what prepare "
                "returns as the argument 'prepared'. Add that."
            )
        own.remove("prepared")
    wanted = list(dict.fromkeys(own + first))
    if sorted(names) != sorted(wanted):
        also = f" and {name_of(prepare)} {first}" if prepare is not None else ""
        raise ValueError(
            f"controls are named {names}; {name_of(fn)} takes {own}{also}. "
            "Give each argument one control, or bind the others beforehand."
        )
    for control in controls:
        if isinstance(control, Slider):
            _check_slider(control)
        if isinstance(control, Points):
            _check_points(control)
        elif len(values_of(control)) < 2:
            raise ValueError(
                f"control {control.name!r} has fewer than two positions; a reader could not move "
                "it. Give it more, or bind its value beforehand."
            )


def _check_slider(control: Slider) -> None:
    if not all(isinstance(end, Real) for end in (control.low, control.high)):
        raise TypeError(
            f"slider {control.name!r} runs from {control.low!r} to {control.high!r}; its "
            "ends must be numbers."
        )
    count = control.positions
    if isinstance(count, tuple):
        good = all(isinstance(v, Real) and control.low <= v <= control.high for v in count)
        if not good or list(count) != sorted(set(count)):
            raise ValueError(
                f"slider {control.name!r} has positions={count!r}; listed, they must ascend from "
                f"{control.low} to {control.high}. Sort them, or give their number."
            )
    elif count is not None and (not isinstance(count, int) or count < 2):
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


def _check_points(control: Points) -> None:
    if len(control.x) < 1:
        raise ValueError(f"points {control.name!r} have no x; give the place of one point or more.")
    if (control.y is None) != (control.y_range is None):
        raise ValueError(
            f"points {control.name!r} have y={control.y!r} and y_range={control.y_range!r}; "
            "give both, or neither."
        )
    for name, ends in ("x_range", control.x_range), ("y_range", control.y_range):
        if ends is None:
            continue
        if len(ends) != 2 or not (math.isfinite(ends[0]) and ends[0] < ends[1] < math.inf):
            raise ValueError(
                f"points {control.name!r} have {name}={ends!r}; it must be two finite numbers, "
                "the lower one first."
            )
    if np.shape(control.at) not in ((), (len(control.x),)):
        raise ValueError(
            f"points {control.name!r} have at={control.at!r}; it must be one height, or one for "
            f"each of the {len(control.x)} points."
        )
    checked_value(control, control.value, "the start")


# --- the live kernel -----------------------------------------------------------------------------


def widget_of(
    control: Control,
) -> tuple[Any, Callable[[], Any], Callable[[Any], None]]:
    """The ipywidgets counterpart of a control, with functions that read and set its value."""
    import ipywidgets

    wide = {"style": {"description_width": "initial"}, "layout": {"width": "min(32rem, 95%)"}}
    label = control.label or control.name.replace("_", " ")
    if isinstance(control, Points):
        return _points_widget(control, label, wide)
    if isinstance(control, Choice):
        options = [(text, index) for index, text in enumerate(control.options)]
        made = ipywidgets.Dropdown(options=options, value=control.value, description=label, **wide)
    elif isinstance(control, Seed):
        made = ipywidgets.BoundedIntText(
            value=control.value, min=0, max=2**31 - 1, description=label, **wide
        )
    else:
        values = values_of(control).tolist()
        index = position(control, control.value, "value")
        made = ipywidgets.SelectionSlider(
            options=list(zip(texts_of(control), values, strict=True)),
            index=index,
            description=f"{label} {control.unit}".strip(),
            continuous_update=True,
            **wide,
        )

    def put(value: Any) -> None:
        if isinstance(control, Slider):
            made.index = position(control, value, "value")
        else:
            made.value = value

    return made, lambda: made.value, put


def _points_widget(
    control: Points, label: str, wide: dict[str, Any]
) -> tuple[Any, Callable[[], Any], Callable[[Any], None]]:
    """Numbers with commas between; those of y after a semicolon. What is no value is not taken."""
    import ipywidgets

    def text(value: Any) -> str:
        columns = [value] if control.y is None else value
        return "; ".join(", ".join(f"{v:g}" for v in column) for column in columns)

    last = control.value
    made = ipywidgets.Text(value=text(last), description=label, continuous_update=False, **wide)

    def read() -> Any:
        nonlocal last
        try:
            columns = [[float(v) for v in part.split(",")] for part in made.value.split(";")]
            value = columns[0] if control.y is None and len(columns) == 1 else columns
            last = checked_value(control, value, label)
        except (TypeError, ValueError):
            made.value = text(last)
        return last

    def put(value: Any) -> None:
        made.value = text(value)

    return made, read, put
