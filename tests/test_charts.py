"""Charts: the packed table against what went into it, pictures against a PNG reader, bad input."""

import base64
import json
import re
import struct
import sys
import types
import zlib

import altair as alt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optdyn import charts


def unpack(column, indices=()):
    """What the page's script does, in NumPy."""
    codes = np.frombuffer(base64.b64decode(column["codes"]), "<u2").astype(float)
    codes[codes == 65535] = np.nan
    values = column["low"] + column["step"] * codes
    values = np.exp(values) if column["log"] else values
    return values


def line(name="t"):
    return alt.Chart(alt.NamedData(name)).mark_line().encode(x="x:Q", y="y:Q")


numbers = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=1, max_side=30), elements=numbers)
)
def test_packing_keeps_values_to_half_a_code(values):
    column = charts.pack({"t": {"y": values}}, ())["t"]["y"]
    finite = np.isfinite(values)
    back = unpack(column)
    assert np.array_equal(np.isfinite(back), finite)
    if not finite.any():
        return
    if column["log"]:
        decades = np.log(values[finite].max() / values[finite].min())
        np.testing.assert_allclose(
            np.log(back[finite]), np.log(values[finite]), atol=decades / 131068 + 1e-9
        )
    else:
        assert np.all(np.abs(back - values)[finite] <= np.ptp(values[finite]) / 131068 + 1e-9)


def test_whole_numbers_are_exact_and_constant_axes_are_dropped():
    t = np.broadcast_to(np.arange(5.0), (3, 4, 5))
    w = np.broadcast_to(np.arange(3.0)[:, None, None], (3, 4, 5)) + t
    packed = charts.pack({"t": {"t": t, "w": w}}, (3, 4))["t"]
    assert packed["t"]["axes"] == [] and packed["w"]["axes"] == [0]
    assert np.array_equal(unpack(packed["t"]), np.arange(5.0))
    assert np.array_equal(unpack(packed["w"]), w[:, 0].ravel())


def test_many_decades_are_kept_in_the_logarithm():
    values = np.geomspace(1e-12, 1e3, 50)
    column = charts.pack({"t": {"y": values}}, ())["t"]["y"]
    assert column["log"]
    np.testing.assert_allclose(unpack(column), values, rtol=3e-4)


@pytest.mark.parametrize(
    ("tables", "error", "named"),
    [
        ({"t": {"x": [1, 2], "y": [1, 2, 3]}}, ValueError, "equally long"),
        ({"t": {"x": [[1, 2]]}}, ValueError, "1-D"),
        ({"t": {"x": 3.0}}, ValueError, "1-D"),
        ([1, 2], TypeError, "tables"),
        ({"t": [1, 2]}, TypeError, "tables"),
        ({"other": {"x": [1], "y": [1]}}, ValueError, r"\['t'\]"),
        ({"t": {"x": [1], "y": [1]}, "idle": {"x": [1]}}, ValueError, "idle"),
    ],
)
def test_tables_that_do_not_fit(tables, error, named):
    with pytest.raises(error, match=named):
        charts.figure(line(), tables, description="A line that rises.", name="line")


@pytest.mark.parametrize("description", ["", "line", None])
def test_a_description_is_required(description):
    with pytest.raises(ValueError, match="description"):
        charts.figure(line(), {"t": {"x": [1], "y": [1]}}, description=description, name="line")


def test_the_page_gets_a_picture_a_description_and_no_random_names(monkeypatch):
    monkeypatch.setenv("OPTDYN_BOOK", "1")

    def fragment():
        tables = {"t": {"x": np.arange(3), "y": np.array([0.0, np.nan, 2.0])}}
        made = charts.figure(line(), tables, description='A "line" that rises.', name="line")
        return made._repr_mimebundle_()

    first, second = fragment(), fragment()
    assert first == second
    page = first["text/html"]
    assert 'alt="A &quot;line&quot; that rises."' in page and "data:image/svg+xml," in page
    data = json.loads(re.search(r"<script[^>]*>(.*)</script>", page).group(1))
    assert data["controls"] == [] and "y" in data["tables"]["t"]
    assert "http" not in page.split("<script")[1]


def test_what_cannot_be_drawn_is_left_out():
    tables = {"t": {"x": np.arange(4), "y": np.array([np.inf, -1e31, np.nan, 1e29])}}
    rows = charts.with_rows({}, tables)["datasets"]["t"]
    assert [row["y"] for row in rows] == [None, None, None, 1e29]


def test_words_of_a_chart_do_not_end_its_script():
    titled = line().properties(title="</script><b>")
    tables = {"t": {"x": np.arange(3), "y": np.arange(3)}}
    page = charts.figure(titled, tables, description="A line that rises.", name="l").fragment()
    assert page.count("</script>") == 1 and page.endswith("</script></div>")
    data = json.loads(re.search(r"<script[^>]*>(.*)</script>", page).group(1))
    assert data["spec"]["title"] == "</script><b>"


def test_with_a_live_kernel_the_figure_is_an_altair_chart(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)
    tables = {"t": {"x": np.arange(3), "y": np.array([0.0, np.nan, 2.0])}}
    made = charts.figure(line(), tables, description="A line that rises.", name="line")
    assert made.widget() is made
    assert "text/html" in made._repr_mimebundle_()


VEGA_LITE = "application/vnd.vegalite.v5+json"


@pytest.mark.parametrize("where", ["lab", "alone", "colab", "kaggle", "told"])
def test_jupyterlab_draws_with_a_vega_of_its_own(monkeypatch, where):
    monkeypatch.setenv("JPY_SESSION_NAME", "one.ipynb")
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    if where == "alone":
        monkeypatch.delenv("JPY_SESSION_NAME")
    elif where == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    elif where == "kaggle":
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    spec = {**line().to_dict(), "datasets": {"t": [{"x": 0, "y": 1}]}, "description": "A dot."}
    with alt.renderers.enable("html" if where == "told" else "default"):
        shown = charts.shown_live(spec)
        bundle = shown._repr_mimebundle_()
    if where == "lab":
        data, metadata = bundle
        assert data == {VEGA_LITE: spec, "text/plain": "[figure] A dot."}
        assert metadata[VEGA_LITE]["embed_options"]["renderer"] == "svg"
    else:
        assert isinstance(shown, alt.TopLevelMixin) and "text/html" in bundle


def opacities(png):
    """The opacity of each pixel of a PNG with a four-bit palette, read chunk by chunk."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size :][:4])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + size
    width, height, depth, palette = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, palette) == (4, 3)
    stride = 1 + (width + 1) // 2
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, stride)
    assert not lines[:, 0].any()  # no filter
    codes = np.stack([lines[:, 1:] >> 4, lines[:, 1:] & 15], -1).reshape(height, -1)[:, :width]
    return chunks[b"PLTE"][:3], np.frombuffer(chunks[b"tRNS"], np.uint8)[codes]


def test_cloud_image_counts_points_where_they_are():
    x = np.array([0.1, 0.1, 0.1, 0.9, 5.0])
    y = 10 + 20 * x
    address = charts.cloud_image(x, y, x_domain=(0, 1), y_domain=(10, 30), size=(5, 4))
    colour, alpha = opacities(base64.b64decode(address.partition(",")[2]))
    assert colour == bytes.fromhex(charts.COLOURS["blue"][1:]) and alpha.shape == (4, 5)
    assert alpha[3, 0] > alpha[0, 4] > 0 and np.count_nonzero(alpha) == 2


def test_class_image_puts_each_class_where_it_is():
    address = charts.class_image([[0, 1, 2], [2, 0, 0]], ["", "blue 40", "green"])
    _, alpha = opacities(base64.b64decode(address.partition(",")[2]))
    assert alpha.tolist() == [[255, 0, 0], [0, 102, 255]]  # the lowest row comes last in the file


@pytest.mark.parametrize(
    ("classes", "colours", "named"),
    [
        ([[0, 1]], ["pink", "blue"], "pink"),
        ([[0, 1]], ["blue x", "blue"], "blue x"),
        ([[0, 2]], ["blue", "green"], "from 0 to 1"),
        ([[0, 0.5]], ["blue", "green"], "whole"),
        ([0, 1], ["blue", "green"], "shape"),
        ([[0]], ["blue"] * 17, "17 colours"),
    ],
)
def test_classes_without_a_colour_or_a_shape_are_refused(classes, colours, named):
    with pytest.raises(ValueError, match=named):
        charts.class_image(classes, colours)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(colour="pink"), "colour"),
        (dict(x_domain=(1, 0)), "x_domain"),
        (dict(size=(0, 1)), "size"),
    ],
)
def test_a_cloud_without_colour_or_room_is_refused(change, named):
    good = dict(x_domain=(0, 1), y_domain=(0, 1), size=(5, 4), colour="blue")
    with pytest.raises(ValueError, match=named):
        charts.cloud_image([0.5], [0.5], **(good | change))


def test_colours_are_legible_on_white_and_on_dark():
    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in charts.COLOURS.values():
        on_white = 1.05 / (luminance(colour) + 0.05)
        on_dark = (luminance(colour) + 0.05) / (luminance("#14181e") + 0.05)
        assert min(on_white, on_dark) >= 3, (colour, on_white, on_dark)
