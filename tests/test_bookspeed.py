"""The pages on speed: what is written from the record of the benchmark, and from the notebooks."""

from __future__ import annotations

import copy
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import bookspeed  # noqa: E402


def one(median: float, *, ours: bool = False, share: float = 1.0, where: str = "peers") -> dict:
    spread = {"median": median, "low": 0.9 * median, "high": 1.1 * median}
    return {**spread, "ours": ours, "compile": 0.25, "share": share, "environment": where}


def row(title: str, ensemble: bool, ours: float, **others: dict) -> dict:
    timed = {name: each for name, each in others.items() if "missing" not in each}
    ratios = {name: each["median"] / ours for name, each in timed.items()}
    return {
        "title": title,
        "topic": "noise",
        "ensemble": ensemble,
        "size": f"7,000 {title.lower()}, float32",
        "repeats": 5,
        "precision": "float32",
        "contestants": {"optdyn": one(ours, ours=True, where="book"), **others},
        "ratio": {name: [x, 0.75 * x, 1.25 * x] for name, x in ratios.items()},
        "bound": {"seconds": ours / 4, "argument": f"The bound of {title.lower()} is memory."},
        "why": "",
    }


ROWS = {
    "valley": row("Valley", True, 0.020, NumPy=one(0.8), numba=one(0.040)),
    "exit_law": row("Exit law", False, 0.004, SciPy=one(0.003), NumPy=one(0.008, share=0.05)),
    "training": row("One step", True, 0.5, optax=one(0.6), PyTorch={"missing": "no <torch>"}),
}
ROWS["exit_law"]["why"] = "SciPy calls a routine & skips *all* checks."
GROWTH = {
    "function": "noise.fractional_gaussian_noise",
    "against": "steps",
    "sizes": [1000, 10_000, 100_000],
    "seconds": [0.01, 0.1, 1.0],
    "bytes": [1e6, 1e7, 1e8],
    "time_exponent": [1.018, 0.021],
    "memory_exponent": [0.987, 0.013],
    "note": "a Fourier transform",
}
CPU = {
    "date": "2026-01-02",
    "machine": {"processor": "A made-up processor", "cores": 2, "load": None},
    "versions": {"jax": "9.8.7", "numba": "6.5.4"},
    "rates": {"flops64": 2.5e10, "exp64": 1.25e8, "bytes": 1.5e10},
    "rows": ROWS,
    "growth": [GROWTH],
}
RECORD = {"format": "optdyn.bench 1", "cpu": CPU, "gpu": None}


class Tables(HTMLParser):
    """The tables of a text: by caption, lists of cells."""

    def __init__(self, text: str):
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._caption = self._cell = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "caption":
            self._caption = ""
        elif tag == "tr" and self._caption is not None:
            self.found.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        elif self._caption is not None and not self.found.get(self._caption):
            self._caption += data.strip("\n")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.found[self._caption][-1].append(self._cell)
            self._cell = None
        elif tag == "table":
            self._caption = None


def tables(text: str) -> dict[str, list[list[str]]]:
    return Tables(text).found


def table(text: str, start: str) -> list[list[str]]:
    """The rows of the table whose caption begins so, without its heads."""
    (rows,) = [rows for caption, rows in tables(text).items() if caption.startswith(start)]
    return rows[1:]


def joined(rows: list[list[str]]) -> list[str]:
    return [" | ".join(row) for row in rows]


@pytest.fixture(scope="module")
def text() -> str:
    return bookspeed.speed_text(copy.deepcopy(RECORD))


# --- the overview -----------------------------------------------------------------------


def test_the_overview_names_the_quickest_other_its_ratio_and_the_bound(text):
    assert joined(table(text, "Every row")) == [
        "Valley 7,000 valley, float32 | 20.0 | numba: 2.00 (1.50 to 2.50) | 4.00 | not measured",
        "Exit law 7,000 exit law, float32 | 4.00 | SciPy: 0.750 (0.562 to 0.938) ahead of optdyn"
        " | 4.00 | not measured",
        "One step 7,000 one step, float32 | 500 | optax: 1.20 (0.900 to 1.50) | 4.00"
        " | not measured",
    ]


def test_who_is_ahead_how_often_is_counted(text):
    assert "ahead of every other contestant in 2 of 3 rows. 2 of them compute" in text
    assert "of these it is ahead in 2." in text
    worse = copy.deepcopy(RECORD)
    worse["cpu"]["rows"]["training"]["ratio"]["optax"] = [0.99, 0.9, 1.1]
    text = bookspeed.speed_text(worse)
    assert "in 1 of 3 rows. 2 of them compute" in text and "ahead in 1." in text


def test_a_second_column_is_shown_once_there_is_one():
    record = copy.deepcopy(RECORD)
    record["gpu"] = copy.deepcopy(CPU)
    record["gpu"]["machine"] = {"device": "A made-up GPU"}
    del record["gpu"]["rows"]["training"]
    record["gpu"]["rows"]["valley"]["contestants"]["optdyn"]["median"] = 0.00123
    text = bookspeed.speed_text(record)
    assert [cells[-1] for cells in table(text, "Every row")] == ["1.23", "4.00", "not measured"]
    assert ["device", "A made-up GPU"] in table(text, "The GPU")
    assert table(text, "The same on the GPU") == table(text, "Exponents")


def test_the_picture_has_a_dot_for_each_ratio_on_a_logarithmic_scale(text):
    svg = text[text.index("<svg") : text.index("</svg>")]
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', svg)]
    assert len(dots) == 5
    forty, two = dots[:2]  # NumPy and numba in the first row: 40 and 2 times as long
    decade = 88 / 3  # the scale goes from 0.1 to 100
    assert forty - two == pytest.approx(decade * 1.30103, abs=0.02)
    assert [float(x) for x in re.findall(r'x1="([\d.]+)%"', svg)].count(6 + round(decade, 2)) == 1
    assert svg.count("stroke:var(--accent)") == 5 and svg.count("fill:var(--accent)") == 3
    label = re.search(r'role="img" aria-label="([^"]*)"', svg)[1]
    assert "Valley: the bound 0.250, NumPy 40.0, numba 2.00;" in label
    assert re.findall(r">([\d.,]+)</text>", svg) == ["0.1", "1", "10", "100"]


# --- row by row -------------------------------------------------------------------------


def test_a_row_shows_all_contestants_and_what_is_missing(text):
    assert joined(table(text, "Exit law")) == [
        "optdyn | 4.00 | 1 | 0.25 | the book's",
        "SciPy | 3.00 | 0.750 (0.562 to 0.938) | 0.25 | the peers'",
        "NumPy 5.00 % of the work was timed, and scaled up | 8.00 | 2.00 (1.50 to 2.50) | 0.25"
        " | the peers'",
    ]
    assert table(text, "One step")[-1] == ["PyTorch no <torch>", "not measured", "–", "–", "–"]
    for name, each in ROWS.items():
        section = text[text.index(f"(speed-{name.replace('_', '-')})=") :]
        assert f'href="#speed-{name.replace("_", "-")}"' in text
        assert each["bound"]["argument"] in section
        assert f"<p>{each['size']}. Answers in float32, 5 repeats.</p>" in section


def test_where_somebody_is_ahead_the_page_says_why(text):
    assert text.count("ahead of optdyn here.") == 1
    assert "SciPy is ahead of optdyn here. SciPy calls a routine &amp; skips *all* checks." in text
    record = copy.deepcopy(RECORD)
    record["cpu"]["rows"]["exit_law"]["why"] = ""
    record["cpu"]["rows"]["exit_law"]["ratio"]["NumPy"] = [0.5, 0.4, 0.6]
    text = bookspeed.speed_text(record)
    assert "SciPy and NumPy are ahead of optdyn here. The reason has not been found." in text


def test_growth_and_machine(text):
    assert joined(table(text, "Exponents")) == [
        "noise.fractional_gaussian_noise steps | 1.02 ± 0.02 | 0.99 ± 0.01 | 1,000, 10,000, 100,000"
        " | a Fourier transform"
    ]
    facts = dict(table(text, "What the benchmark ran on"))
    assert facts["date"] == "2026-01-02" and facts["processor"] == "A made-up processor"
    assert facts["JAX"] == "9.8.7" and facts["numba"] == "6.5.4"
    assert facts["Arithmetic, float64, 10⁹ operations a second"] == "25.0"
    assert facts["Exponentials, float64, 10⁶ a second"] == "125"
    assert not any("float32" in name for name in facts), "no rate that was not measured"
    assert "load" not in facts and bookspeed.exponent([-0.001, 0.004]) == "0.00 ± 0.00"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234.5, "1,234"), (123.4, "123"), (12.345, "12.3"), (0.001234, "0.00123"), (0, "0")],
)
def test_numbers_have_three_digits(value, shown):
    assert bookspeed.digits(value) == shown


# --- the text as Markdown ----------------------------------------------------------------


def test_html_blocks_have_no_blank_line_and_headings_follow_in_order(text):
    for block in re.findall(r"<(?:table|figure).*?</(?:table|figure)>", text, re.S):
        assert "\n\n" not in block, "a blank line ends an HTML block in Markdown"
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]
    assert levels == [2, 2, 3, 3, 3, 2, 2]


def test_what_the_record_says_is_text_and_not_html():
    nasty = '<script>alert("1")</script>\n\n## not a heading'
    record = copy.deepcopy(RECORD)
    valley = record["cpu"]["rows"]["valley"]
    valley["title"] = valley["size"] = valley["bound"]["argument"] = nasty
    record["cpu"]["growth"][0]["note"] = record["cpu"]["machine"]["processor"] = nasty
    text = bookspeed.speed_text(record)
    assert "<script>" not in text and "\n## not" not in text
    assert "&lt;script&gt;" in text


# --- the record --------------------------------------------------------------------------


def test_without_a_record_the_page_says_so(tmp_path):
    assert bookspeed.speed_page(tmp_path) == bookspeed.NOTHING_MEASURED
    assert "Nothing has been measured yet" in bookspeed.NOTHING_MEASURED
    (tmp_path / "book").mkdir()
    only_gpu = {**RECORD, "cpu": None, "gpu": CPU}
    (tmp_path / "book" / "speed.json").write_text(json.dumps(only_gpu))
    assert bookspeed.speed_page(tmp_path) == bookspeed.NOTHING_MEASURED


@pytest.mark.parametrize("content", ['{"format": "optdyn.bench 2"}', "[]", "{", "{}"])
def test_another_format_is_refused(tmp_path, content):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "speed.json").write_text(content)
    with pytest.raises(ValueError, match=r"book/speed\.json: its format is .* `make bench`"):
        bookspeed.speed_page(tmp_path)


def test_the_record_of_the_book_is_shown_whole():
    path = ROOT / "book" / "speed.json"
    text = bookspeed.speed_page(ROOT)
    record = json.loads(path.read_text("utf8")) if path.exists() else {}
    rows = (record.get("cpu") or {}).get("rows", {})
    sections = [rows for caption, rows in tables(text).items() if ": who takes" in caption]
    assert len(sections) == len(rows)
    for shown, stored in zip(sections, rows.values(), strict=True):
        assert len(shown) == 1 + len(stored["contestants"])
        others = {name for name, (middle, *_) in stored["ratio"].items() if middle < 1}
        assert not others or stored["why"], f"{stored['title']}: {others} ahead, and no reason"


# --- what a GPU does more of ---------------------------------------------------------------


def test_choices_are_found_wherever_they_stand():
    source = (
        "N = 24 if LARGE else 3\n"
        "A, B = (40_000, 2) if LARGE else (4_000, 1)\n"
        "def f(x, paths=8_000 if LARGE else 2_400):\n"
        "    y = x if paths else 0\n"
        "    return [y for _ in range(N if LARGE else len((1,)))]\n"
    )
    assert list(bookspeed.choices(source)) == [
        ("N", "3", "24"),
        ("A, B", "4,000, 1", "40,000, 2"),
        ("f(paths)", "2,400", "8,000"),
        ("f", "len((1,))", "N"),
    ]


def test_the_table_has_every_choice_of_the_notebooks():
    found = bookspeed.larger(ROOT)
    for path in (ROOT / "chapters").glob("*/*.ipynb"):
        page = path.relative_to(ROOT).as_posix().removesuffix(".ipynb")
        code = [c["source"] for c in json.loads(path.read_text("utf8"))["cells"]]
        count = sum("".join(source).count(" if LARGE else ") for source in code)
        assert sum(one.page == page for one in found) == count
    assert {one.page.split("/")[1] for one in found} == {"noise", "cycles", "shiftk"}
    assert all(one.section and one.name and one.cpu != one.gpu for one in found)
    rows = table(bookspeed.large_page(ROOT), "What the notebooks do more of")
    assert [row[1:] for row in rows] == [[one.name, one.cpu, one.gpu] for one in found]


def test_the_pages_include_what_is_generated(tmp_path):
    (tmp_path / "book").mkdir()
    bookspeed.generate(tmp_path)
    parts = {path.name for path in (tmp_path / "book" / "generated").iterdir()}
    assert parts == {"speed.md", "large.md"}
    for page, part in (("speed", "speed.md"), ("gpu", "large.md")):
        source = (ROOT / "book" / f"{page}.md").read_text("utf8")
        assert f"```{{include}} generated/{part}\n```" in source
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    (part,) = [part for part in toc["parts"] if part["caption"] == "Fast and large"]
    assert [chapter["file"] for chapter in part["chapters"]] == [
        "book/speed",
        "book/gpu",
        "book/many_machines",
    ]


def test_another_way_of_the_library_is_no_competitor():
    row = {
        "contestants": {
            "optdyn": {"ours": True},
            "optdyn, float32": {"ours": True},
            "NumPy": {"ours": False},
            "torch": {"missing": "not installed"},
        },
        "ratio": {"optdyn, float32": [0.2, 0.1, 0.3], "NumPy": [1.5, 1.4, 1.6]},
    }
    assert bookspeed.nearest(row) == "NumPy" and bookspeed.ahead(row) == []
    row["ratio"]["NumPy"] = [0.9, 0.8, 1.1]
    assert bookspeed.ahead(row) == ["NumPy"]
