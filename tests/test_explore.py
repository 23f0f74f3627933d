"""Figures with controls: the page's table and program against the function, the widget, bad input.

Programs are run in V8; what the translator can do has tests of its own.
"""

import base64
import functools
import json
import logging
import re
from itertools import product

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from py_mini_racer import MiniRacer

from optdyn import charts
from optdyn.controls import settled, texts_of, values_of
from optdyn.explore import Choice, Cloud, Points, Raster, Seed, Slider, explore

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
    data = page(explore(line, [SLOPE, KIND], chart(), description=WORDS, mode="table"))
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

    seed = Seed(positions=3)
    data = page(explore(noise, [seed], chart("noise"), description=WORDS, mode="table"))
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
        (dict(mode="replay"), "mode"),
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
        mode="table",
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
    figure = explore(checks, [SLOPE, KIND], board(), description=WORDS, raster=FORM, mode="table")
    stored = page(figure)["tables"]["board"]["url"]
    assert stored["axes"] == [0] and len(stored["texts"]) == 5
    for slope, url in zip(np.linspace(0, 2, 5), stored["texts"], strict=True):
        classes = (np.arange(6) + round(slope)) % 2
        assert url == charts.class_image(classes.reshape(2, 3), ["", "blue"])
    assert figure.first["board"]["url"].tolist() == [stored["texts"][2]]


def test_the_live_kernel_paints_the_same_picture(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    figure = explore(checks, [SLOPE, KIND], board(), description=WORDS, raster=FORM, mode="table")
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


# --- figures that compute ------------------------------------------------------------------------


def in_the_page(data, **values):
    """What the page's worker computes: {(table, column): list} at the values of the controls."""
    program = data["program"]
    single = {"float32": "Float32Array", "float64": "Float64Array"}[program["float"]]
    kinds = {control["name"]: control["kind"] for control in data["controls"]}

    def leaves(names):
        seen, made = {}, []
        for name in names:
            value, kind = values[name], kinds[name]
            seen[name] = seen.get(name, -1) + 1
            if kind == "points":
                made.append(f"{single}.from({value[seen[name]] if np.ndim(value) > 1 else value})")
            else:
                made.append(f"Uint32Array.of(0, {value})" if kind == "seed" else str(value))
        return ", ".join(made)

    own = [name for name in program["arguments"] if name != "prepared"]
    prepared = f"(({program['prepare']})())({leaves(program['prepares'])})"
    more = f"...{prepared}" if program["prepare"] else ""
    arguments = ", ".join(filter(None, [leaves(own), more]))
    with MiniRacer() as engine:
        text = engine.eval(
            f"JSON.stringify((({program['compute']})())({arguments}).map((a) => Array.from(a)))"
        )
    return dict(zip(map(tuple, program["results"]), json.loads(text), strict=True))


def test_a_figure_that_can_be_translated_computes_and_is_the_function():
    data = page(explore(line, [SLOPE, KIND], chart(), description=WORDS))
    assert set(data) == {"spec", "controls", "presets", "program", "raster"}
    assert data["program"]["arguments"] == ["slope", "kind"]
    found = in_the_page(data, slope=1.5, kind=1)
    np.testing.assert_allclose(found["line", "y"], 3.0 * np.arange(4))
    assert found["foot", "slope"] == [1.5]
    assert list(found) == [("foot", "slope"), ("line", "x"), ("line", "y")]


def test_a_slider_that_computes_has_fine_steps_and_passes_what_it_shows():
    slope = Slider("slope", 0, 3.7, 0.123456)
    presets = {"Third": {"slope": 1 / 3}}
    figure = explore(line, [slope, KIND], chart(), description=WORDS, presets=presets)
    control = page(figure)["controls"][0]
    assert len(control["texts"]) == 243  # and what it starts at, and the preset
    assert control["texts"][control["start"]] == "0.123456"
    assert float(control["texts"][page(figure)["presets"][0]["at"]["slope"]]) == approx(1 / 3)
    assert {"0.000", "0.015", "0.031", "3.700"} <= set(control["texts"])
    numbers = [float(text) for text in control["texts"]]
    assert numbers == sorted(set(numbers))


def approx(value):
    return pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    "control",
    [Slider("s", 0.01, 7, 0.3, log=True), Slider("s", -1, 1, 0), Slider("s", 0, 1e-4, 0)],
)
def test_shown_numbers_are_the_positions(control):
    control = settled(control, True, [control.value])
    assert [float(text) for text in texts_of(control)] == values_of(control).tolist()
    assert control.value in values_of(control)


def test_presets_at_positions_of_a_logarithm_set_what_is_shown():
    ends = [Slider("slope", 1, 1000, 10**0.3, log=True, positions=n) for n in (31, None)]
    for slope in ends:
        presets = {"Up": {"slope": 10**1.8}}
        data = page(explore(line, [slope, KIND], chart(), description=WORDS, presets=presets))
        texts = data["controls"][0]["texts"]
        assert texts[data["presets"][0]["at"]["slope"]] in ("63", "63.1")
        assert texts[data["controls"][0]["start"]] in ("2", "2.0")


def test_what_cannot_be_translated_replays_a_table_and_the_log_says_why(caplog, capsys):
    def spectrum(slope):
        return {"t": {"x": jnp.arange(4.0), "y": slope * jnp.abs(jnp.fft.fft(jnp.arange(4.0)))}}

    with caplog.at_level(logging.WARNING, "optdyn.explore"):
        figure = explore(spectrum, [SLOPE], chart("t"), description=WORDS)
    assert "tables" in page(figure)
    [record] = caplog.records
    assert "spectrum" in record.getMessage() and "fft" in record.getMessage()
    assert capsys.readouterr().err == ""
    with pytest.raises(NotImplementedError, match="fft"):
        explore(spectrum, [SLOPE], chart("t"), description=WORDS, mode="compute")


def long(slope):
    return {"t": {"x": jnp.arange(2001), "y": slope * jnp.arange(2001)}}


def test_more_rows_than_can_be_drawn_are_refused_or_replayed():
    assert "tables" in page(explore(long, [SLOPE], chart("t"), description=WORDS))
    with pytest.raises(ValueError, match="2001 rows"):
        explore(long, [SLOPE], chart("t"), description=WORDS, mode="compute")


def test_a_program_too_large_for_a_page_is_refused_or_replayed():
    numbers = np.random.default_rng(0).normal(size=(2, 2000))

    def heavy(slope):
        x, y = slope * jnp.asarray(numbers)
        return {"t": {"x": x, "y": y}}

    assert "tables" in page(explore(heavy, [SLOPE], chart("t"), description=WORDS))
    with pytest.raises(ValueError, match="kB compressed"):
        explore(heavy, [SLOPE], chart("t"), description=WORDS, mode="compute")


def test_complex_columns_are_refused():
    def turn(slope):
        return {"t": {"x": jnp.arange(3.0), "y": slope * 1j * jnp.arange(3.0)}}

    with pytest.raises(ValueError, match=r"\['y'\] of table 't' are complex"):
        explore(turn, [SLOPE], chart("t"), description=WORDS)


def draw(key, count):
    return {"noise": jax.random.bits(key, (3,), "uint32"), "count": count}


def noisy(slope, prepared):
    n = prepared["noise"].astype("float32") * slope + prepared["count"]
    return {"t": {"x": jnp.arange(3), "y": n}}


COUNT = Slider("count", 0, 4, 2, positions=5)


def test_prepare_hands_its_arrays_over_in_the_page_and_in_the_table():
    controls = [SLOPE, Seed("key"), COUNT]
    figure = explore(noisy, controls, chart("t"), description=WORDS, prepare=draw)
    data = page(figure)
    assert data["program"]["prepares"] == ["key", "count"]
    assert data["program"]["arguments"] == ["slope", "prepared", "prepared"]
    expected = noisy(1.5, draw(jax.random.key(7), 3.0))["t"]["y"]
    found = in_the_page(data, slope=1.5, key=7, count=3)
    np.testing.assert_allclose(found["t", "y"], expected, rtol=1e-6)
    few = [SLOPE, Seed("key", positions=2), COUNT]
    table = page(explore(noisy, few, chart("t"), description=WORDS, prepare=draw, mode="table"))
    expected = noisy(0.5, draw(jax.random.key(1), 4.0))["t"]["y"]
    np.testing.assert_allclose(column(table, "t", "y", [1, 1, 4]), expected, rtol=1e-3)


def test_the_kernel_prepares_again_only_when_it_must(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    drawn = []

    def counted(key, count):
        jax.debug.callback(lambda: drawn.append(1))
        return draw(key, count)

    controls = [SLOPE, Seed("key"), COUNT]
    figure = explore(noisy, controls, chart("t"), description=WORDS, prepare=counted, mode="table")
    slope, key, *_ = figure.widget().children
    slope.value = 1.5
    jax.effects_barrier()
    assert len(drawn) == 1
    key.value = 3
    jax.effects_barrier()
    assert len(drawn) == 2


DOTS = Points("z", [0.5, -1.0], x_range=(-2, 2), label="data")
PAIRS = Points("p", [0.5, -1.0], [0.0, 1.0], x_range=(-2, 2), y_range=(0, 1))


def dots(z):
    return {"t": {"x": z, "y": z**2}}


def pairs(p):
    return {"t": {"x": p[0], "y": p[1]}}


def test_points_are_arrays_in_the_page():
    data = page(
        explore(dots, [DOTS], chart("t"), description=WORDS, presets={"Far": {"z": [2, -2]}})
    )
    assert data["controls"][0] == {
        "name": "z", "kind": "points", "label": "data", "start": [0.5, -1.0],
        "ranges": [[-2, 2]], "at": [0.0, 0.0], "panel": 0,
    }  # fmt: skip
    assert data["presets"] == [{"label": "Far", "at": {"z": [2.0, -2.0]}}]
    assert in_the_page(data, z=[2, 3])["t", "y"] == [4, 9]
    data = page(explore(pairs, [PAIRS], chart("t"), description=WORDS))
    assert data["program"]["arguments"] == ["p", "p"]
    assert in_the_page(data, p=[[1, 2], [3, 4]])["t", "y"] == [3, 4]


@pytest.mark.parametrize(
    ("fn", "points", "more", "named"),
    [
        (dots, DOTS._replace(x=[3.0, 0.0]), {}, "range"),
        (dots, DOTS._replace(x=[]), {}, "no x"),
        (dots, DOTS._replace(x_range=()), {}, "x_range"),
        (dots, DOTS._replace(x_range=(2, -2)), {}, "x_range"),
        (pairs, PAIRS._replace(y=None), {}, "neither"),
        (pairs, PAIRS._replace(y=[0.0]), {}, "2 points"),
        (dots, DOTS, dict(mode="table"), "dragged only"),
        (dots, DOTS, dict(presets={"Few": {"z": [1.0]}}), "Few"),
        (pairs, PAIRS, dict(presets={"Flat": {"p": [1.0, 1.0, 1.0]}}), "Flat"),
        (dots, DOTS, dict(tolerance=0), "tolerance"),
        (dots, DOTS, dict(tolerance={"t": "close"}), "tolerance"),
        (dots, DOTS, dict(prepare=lambda z: z), "prepared"),
    ],
)
def test_points_that_do_not_fit_are_refused(fn, points, more, named):
    with pytest.raises(ValueError, match=named):
        explore(fn, [points], chart("t"), description=WORDS, **more)


def test_the_widget_takes_points_as_text(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    presets = {"Far": {"p": [[2, -2], [1, 1]]}}
    figure = explore(pairs, [PAIRS], chart("t"), description=WORDS, presets=presets)
    box, buttons, _ = figure.widget().children
    assert box.value == "0.5, -1; 0, 1"

    def drawn():
        rows = shown[-1].to_dict(validate=False)["datasets"]["t"]
        return [(row["x"], row["y"]) for row in rows]

    box.value = "1, 2; 0.5, 1"
    assert drawn() == [(1, 0.5), (2, 1)]
    box.value = "1, 7; 0.5, what"  # not taken
    assert box.value == "1, 2; 0.5, 1"
    buttons.children[0].click()
    assert drawn() == [(2, 1), (-2, 1)]
    buttons.children[1].click()
    assert drawn() == [(0.5, 0), (-1, 1)]


def swarm(slope):
    t = jnp.linspace(0, 1, 5000)
    return {
        "swarm": {"x": 10 ** (3 * t), "y": slope * t},
        "frame": {"x": jnp.array([1.0, 1000.0]), "y": jnp.array([0.0, 2.0])},
    }


def swarm_chart():
    frame = alt.Chart(alt.NamedData("frame")).mark_point(opacity=0)
    frame = frame.encode(alt.X("x:Q").scale(type="log", nice=False), alt.Y("y:Q").scale(nice=False))
    return alt.layer(charts.picture("swarm", 300, 200), frame)


CLOUD = {"swarm": Cloud("x", "y", "frame", "green")}


def test_a_cloud_is_a_picture_on_the_frame_and_the_page_gets_its_form():
    figure = explore(swarm, [SLOPE], swarm_chart(), description=WORDS, raster=CLOUD)
    t = np.linspace(0, 1, 5000)
    expected = charts.cloud_image(3 * t, t, x_domain=(0, 3), y_domain=(0, 2), colour="green")
    assert figure.first["swarm"]["url"].tolist() == [expected]
    data = page(figure)
    green = charts.COLOURS["green"]
    assert data["raster"] == {"swarm": {"x": "x", "y": "y", "panel": 0, "colour": green}}
    assert len(in_the_page(data, slope=1)["swarm", "x"]) == 5000
    table = page(
        explore(swarm, [SLOPE], swarm_chart(), description=WORDS, raster=CLOUD, mode="table")
    )["tables"]
    assert table["swarm"]["url"]["axes"] == [0] and table["swarm"]["url"]["texts"][2] == expected


def test_the_panel_of_a_picture_is_found_and_its_classes_have_colours():
    beside = alt.Chart(alt.NamedData("dot")).mark_point().encode(x="x:Q", y="y:Q")
    both = alt.hconcat(beside, charts.picture("board", 300, 200))
    data = page(explore(checks, [SLOPE, KIND], both, description=WORDS, raster=FORM))
    blue = charts.COLOURS["blue"] + "ff"
    form = {"width": 3, "height": 2, "panel": 1, "colours": ["#00000000", blue]}
    assert data["raster"] == {"board": form}


def test_a_cloud_without_its_tables_is_refused():
    wrong = {"swarm": Cloud("x", "y", "corners")}
    with pytest.raises(ValueError, match="corners"):
        explore(swarm, [SLOPE], swarm_chart(), description=WORDS, raster=wrong)


def test_references_are_what_jax_says(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTDYN_REFERENCES", str(tmp_path))
    controls = [SLOPE, Seed("key"), COUNT]
    figure = explore(
        noisy, controls, chart("t"), description=WORDS, prepare=draw, tolerance={"t": 1e-6}
    )
    data = page(figure)
    [path] = tmp_path.iterdir()
    assert path.suffix == ".npz" and path.name.startswith("noisy.")
    with np.load(path) as stored:
        members = dict(stored)
    settings = json.loads(str(members.pop("settings")))
    assert json.loads(str(members.pop("tolerance"))) == {"t": 1e-6}
    assert json.loads(str(members.pop("program"))) == data["program"]
    assert json.loads(str(members.pop("figure"))) == "noisy"
    assert len(settings) == 20 and len(members) == 3 * 40  # a column, its moves and drifts
    assert settings[0] == {"slope": 1, "key": 0, "count": 2}
    assert settings[1] == {"slope": 0, "key": 0, "count": 0}
    assert settings[2] == {"slope": 2, "key": 99, "count": 4}
    for i, setting in enumerate(settings):
        found = in_the_page(data, **setting)
        assert members[f"{i}/t/y"].dtype == "float32"
        np.testing.assert_allclose(found["t", "y"], members[f"{i}/t/y"], rtol=1e-6)
    explore(noisy, controls, chart("t"), description=WORDS, prepare=draw, mode="table")
    assert list(tmp_path.iterdir()) == [path]


def test_references_of_points_stay_in_their_ranges(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTDYN_REFERENCES", str(tmp_path))
    explore(pairs, [PAIRS], chart("t"), description=WORDS).fragment()
    with np.load(next(tmp_path.iterdir())) as stored:
        places = np.array([s["p"] for s in json.loads(str(stored["settings"]))])
    assert places.shape == (20, 2, 2) and len(np.unique(places)) > 40
    assert np.abs(places[:, 0]).max() <= 2 and 0 <= places[:, 1].min() <= places[:, 1].max() <= 1


def test_outside_the_book_a_figure_brings_its_script(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    shown = explore(line, [SLOPE, KIND], chart(), description=WORDS)._repr_mimebundle_()
    text = shown["text/html"]
    assert text.startswith('<div class="optdyn-figure"') and "data:image/svg+xml," in text
    assert ".optdyn-panel" in text and "vegaEmbed" in text
    assert set(re.findall(r"https://[^\"']*", text)) == {
        "https://cdn.jsdelivr.net/npm/vega@6.2.0",
        "https://cdn.jsdelivr.net/npm/vega-lite@6.4.1",
        "https://cdn.jsdelivr.net/npm/vega-embed@7.0.2",
    }


def test_the_versions_are_those_of_the_book(monkeypatch):
    bundle = (charts.Path(__file__).parents[1] / "book/vendored/README.md").read_text("utf8")
    for address in charts._VEGA:
        assert address.rpartition("/")[2].replace("@", " ") in bundle
