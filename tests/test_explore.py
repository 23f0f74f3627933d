"""Figures with controls: the page's table against the function, the widget, and bad input."""

import base64
import functools
import json
import re
from itertools import product

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optdyn import charts
from optdyn.explore import Choice, Raster, Seed, Slider, explore, texts_of, values_of

SLOPE = Slider("slope", 0, 2, 1, positions=5)
KIND = Choice("kind", ("plain", "doubled"))
WORDS = "A line that the slope tilts."


def line(slope, kind):
    x = jnp.arange(4.0)
    return {"line": {"x": x, "y": slope * x * (1 + kind)}, "foot": {"slope": slope[None]}}


def chart(*tables):
    layers = [
        alt.Chart(alt.NamedData(t)).mark_line().encode(x="x:Q", y="y:Q")
        for t in tables or ("line", "foot")
    ]
    return alt.layer(*layers)


def page(figure):
    figure_html = figure.fragment()
    return json.loads(re.search(r"<script[^>]*>(.*)</script>", figure_html).group(1))


def column(data, table, name, at):
    """What the page's script reads from a packed column at a state."""
    packed = data["tables"][table][name]
    counts = [len(control["texts"]) for control in data["controls"]]
    block = 0
    for axis in packed["axes"]:
        block = block * counts[axis] + at[axis]
    codes = np.frombuffer(base64.b64decode(packed["codes"]), "<u2").astype(float)
    codes = codes[block * packed["length"] :][: packed["length"]]
    values = packed["low"] + packed["step"] * codes
    return np.exp(values) if packed["log"] else values


def test_the_table_is_the_function_at_every_position():
    data = page(explore(line, [SLOPE, KIND], chart(), description=WORDS))
    for at in product(range(5), range(2)):
        expected = np.arange(4.0) * (0.5 * at[0]) * (1 + at[1])
        np.testing.assert_allclose(column(data, "line", "y", at), expected, atol=1e-4)
        np.testing.assert_allclose(column(data, "foot", "slope", at), [0.5 * at[0]], atol=1e-4)
    assert data["tables"]["line"]["x"]["axes"] == []
    assert data["tables"]["foot"]["slope"]["axes"] == [0]
    assert data["controls"][0]["texts"] == ["0.0", "0.5", "1.0", "1.5", "2.0"]


def test_a_seed_gives_the_draws_of_its_key():
    def noise(key):
        return {"noise": {"x": jnp.arange(5), "y": jax.random.normal(key, (5,))}}

    data = page(explore(noise, [Seed(positions=3)], chart("noise"), description=WORDS))
    for seed in range(3):
        expected = jax.random.normal(jax.random.key(seed), (5,))
        np.testing.assert_allclose(column(data, "noise", "y", [seed]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("control", "texts"),
    [
        (Slider("s", 0, 1, 0, positions=3), ["0.0", "0.5", "1.0"]),
        (Slider("s", 1.75, 2.2, 1.8, positions=91), None),
        (Slider("s", 0.1, 1000, 1, log=True, positions=5), ["0.1", "1", "10", "100", "1000"]),
        (Seed(positions=2), ["0", "1"]),
    ],
)
def test_texts_tell_positions_apart_and_are_true(control, texts):
    shown = texts_of(control)
    assert len(set(shown)) == len(shown)
    assert texts is None or shown == texts
    np.testing.assert_allclose([float(t) for t in shown], values_of(control), rtol=1e-2, atol=1e-9)


def test_a_function_with_arguments_bound_beforehand():
    bound = functools.partial(line, kind=0)
    figure = explore(bound, [SLOPE], chart(), description=WORDS)
    assert figure.name == "line"


def test_a_preset_becomes_positions():
    data = page(
        explore(line, [SLOPE, KIND], chart(), description=WORDS, presets={"Steep": {"slope": 2}})
    )
    assert data["presets"] == [{"label": "Steep", "at": {"slope": 4}}]
    assert [control["start"] for control in data["controls"]] == [2, 0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(description=" "), "description"),
        (dict(controls=[SLOPE]), "kind"),
        (dict(controls=[SLOPE, KIND, Seed()]), "key"),
        (dict(controls=[SLOPE._replace(value=0.3), KIND]), "0.3"),
        (dict(controls=[SLOPE._replace(low=3), KIND]), "slope"),
        (dict(controls=[SLOPE._replace(high=np.nan), KIND]), "slope"),
        (dict(controls=[SLOPE._replace(log=True), KIND]), "logarithmic"),
        (dict(controls=[SLOPE, Choice("kind", ("one",))]), "fewer than two"),
        (dict(presets={"Far": {"slope": 7}}), "Far"),
        (dict(presets={"Odd": {"colour": 7}}), "colour"),
        (dict(mode="compute"), "mode"),
    ],
)
def test_what_does_not_fit_is_refused(change, named):
    arguments = dict(controls=[SLOPE, KIND], description=WORDS) | change
    with pytest.raises(ValueError, match=named):
        explore(line, chart=chart(), **arguments)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(fn=None), "fn"),
        (dict(chart=None), "chart"),
        (dict(controls=None), "controls"),
        (dict(controls=["slope", "kind"]), "controls"),
        (dict(controls=[SLOPE._replace(low="0"), KIND]), "slope"),
        (dict(controls=[SLOPE._replace(value="1"), KIND]), "slope"),
        (dict(controls=[SLOPE._replace(positions=2.5), KIND]), "positions"),
        (dict(controls=[SLOPE._replace(positions=-3), KIND]), "positions"),
        (dict(presets=[1]), "presets"),
        (dict(presets={"Steep": {"slope": "far"}}), "slope"),
    ],
)
def test_what_has_the_wrong_type_is_refused(change, named):
    arguments = dict(fn=line, controls=[SLOPE, KIND], chart=chart(), description=WORDS) | change
    with pytest.raises(TypeError, match=named):
        explore(**arguments)


def test_a_table_too_large_for_a_page_is_refused_with_its_count():
    def wave(a, b):
        t = jnp.linspace(0, 1, 500)
        return {"wave": {"x": t, "y": jnp.sin(a * t + b)}}

    figure = explore(
        wave,
        [Slider("a", 1, 2, 1, positions=31), Slider("b", 0, 1, 0, positions=31)],
        chart("wave"),
        description=WORDS,
    )
    with pytest.raises(ValueError, match="31 a x 31 b"):
        figure.fragment()


def test_the_widget_computes_anew_with_each_move(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    calls = []

    def counted(slope, kind):
        jax.debug.callback(lambda s, k: calls.append((float(s), int(k))), slope, kind)
        return line(slope, kind)

    figure = explore(
        counted, [SLOPE, KIND], chart(), description=WORDS, presets={"Steep": {"slope": 2}}
    )
    slope, kind, buttons, _ = figure.widget().children
    slope.value = 1.5
    kind.value = 1
    steep, reset = buttons.children
    steep.click()
    reset.click()
    jax.effects_barrier()
    assert {(1.0, 0), (1.5, 0), (1.5, 1), (2.0, 1)} <= set(calls)
    assert (slope.value, kind.value) == (1.0, 0)


def test_the_widget_draws_with_its_seed(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    drawn = []

    def noise(key):
        y = jax.random.normal(key, (3,))
        jax.debug.callback(lambda values: drawn.append(tuple(values.tolist())), y)
        return {"noise": {"x": jnp.arange(3), "y": y}}

    box, _, _ = explore(noise, [Seed()], chart("noise"), description=WORDS).widget().children
    box.value = 5
    jax.effects_barrier()
    expected = jax.random.normal(jax.random.key(5), (3,))
    np.testing.assert_allclose(drawn[-1], expected, rtol=1e-6)
    assert drawn[-1] != drawn[0]


def test_in_the_book_the_widget_is_the_page_figure(monkeypatch):
    monkeypatch.setenv("OPTDYN_BOOK", "1")
    figure = explore(line, [SLOPE, KIND], chart(), description=WORDS)
    assert figure.widget() is figure
    bundle = figure._repr_mimebundle_()
    assert (
        set(bundle) == {"text/html", "text/plain"} and 'data-figure="line"' in bundle["text/html"]
    )


def checks(slope, kind):
    """A picture of 3 x 2 classes that the slider moves, and a dot that the menu moves."""
    return {
        "board": {"class": (jnp.arange(6) + jnp.round(slope).astype(int)) % 2},
        "dot": {"x": kind[None], "y": kind[None]},
    }


def board():
    dot = alt.Chart(alt.NamedData("dot")).mark_point().encode(x="x:Q", y="y:Q")
    return alt.layer(charts.picture("board", 300, 200), dot)


FORM = {"board": Raster(3, 2, ("", "blue"))}


def test_a_picture_is_stored_once_for_each_position_that_changes_it():
    figure = explore(checks, [SLOPE, KIND], board(), description=WORDS, raster=FORM)
    stored = page(figure)["tables"]["board"]["url"]
    assert stored["axes"] == [0] and len(stored["texts"]) == 5
    for slope, url in zip(np.linspace(0, 2, 5), stored["texts"], strict=True):
        classes = (np.arange(6) + round(slope)) % 2
        assert url == charts.class_image(classes.reshape(2, 3), ["", "blue"])
    assert figure.first["board"]["url"].tolist() == [stored["texts"][2]]


def test_the_live_kernel_paints_the_same_picture(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    figure = explore(checks, [SLOPE, KIND], board(), description=WORDS, raster=FORM)
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    box = figure.widget()
    box.children[0].index = 3
    drawn = shown[-1].to_dict(validate=False)["datasets"]["board"][0]["url"]
    assert drawn == page(figure)["tables"]["board"]["url"]["texts"][3]


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"board": Raster(4, 2, ("", "blue"))}, "2 x 4"),
        ({"board": Raster(3, 2, ("blue",))}, "from 0 to 0"),
        ({"wall": Raster(3, 2, ("", "blue"))}, "wall"),
        ({"dot": Raster(1, 1, ("", "blue"))}, "dot"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(form, named):
    with pytest.raises(ValueError, match=named):
        explore(checks, [SLOPE, KIND], board(), description=WORDS, raster=form)
