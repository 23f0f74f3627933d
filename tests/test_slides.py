"""The slides: which cells, in which order, what goes into the notes, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import slides

PAGE = "chapters/noise/1_phenomenon"
FIGURE = '<div class="optdyn-figure" data-figure="f"></div>'


def text(source: str, kind: str | None = None, **more: Any) -> dict[str, Any]:
    shown = {"slideshow": {"slide_type": kind, **more}} if kind else {}
    return {"cell_type": "markdown", "source": source, "metadata": shown}


def code(source: str, kind: str | None = None, *outputs: Any, **more: Any) -> dict[str, Any]:
    cell = text(source, kind, **more)
    return {**cell, "cell_type": "code", "outputs": list(outputs)}


def shows(html: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/html": html, "text/plain": "plain"}}


def made(*cells: dict[str, Any], page: str = PAGE) -> list[slides.Slide]:
    return slides.slides_of({"cells": list(cells)}, page, slides.Links())


def bodies(found: list[slides.Slide]) -> list[str]:
    return ["".join(slide.parts) for slide in found]


def test_cells_come_in_order_and_those_without_a_type_are_left_out():
    found = made(
        text("# One", "slide"),
        text("left out"),
        text("beside it", "-"),
        text("## Two", "subslide"),
        text("skipped", "skip"),
        code("hidden()", None, shows("<b>no</b>")),
        code("shown()", "slide", shows("<b>yes</b>")),
    )
    assert bodies(found) == ["<h2>One</h2>\n<p>beside it</p>\n", "<h2>Two</h2>\n", "<b>yes</b>"]
    assert [slide.heading for slide in found] == ["One", "Two", "Two"]
    assert [slide.opening for slide in found] == [True, False, False]


def test_notes_and_blocks_that_are_not_shown_go_to_the_speaker():
    found = made(
        text("# One\n\nfirst\n\nsecond\n\n## Next\n\nthird\n\nfourth", "slide", blocks="0 2 | 4"),
        text("said", "notes"),
    )
    assert bodies(found) == ["<h2>One</h2>\n<p>second</p>\n", "<p>third</p>\n"]
    notes = [[re.sub(r"<[^>]*>|\n", "", note) for note in slide.notes] for slide in found]
    assert notes == [["first", "Next"], ["fourth", "said"]]
    assert found[1].heading == "Next", "it stands above the third block, shown or not"


def test_a_caption_is_the_heading_of_its_figure():
    found = made(
        text("## Above", "slide"),
        code("figure()", "slide", shows(FIGURE)),
        text("**Figure 1. It *moves*.** Left: how.\n\nMore.", "-", blocks="0"),
        text("**Figure 2. No figure here.** Right.", "slide"),
    )
    assert found[1].message == "It <em>moves</em>."
    assert bodies(found)[1] == FIGURE
    assert found[1].notes == ["<p>Left: how.</p>\n", "<p>More.</p>\n"]
    assert "No figure here." in bodies(found)[2] and not found[2].message


def test_fragments_wait_and_code_is_shown_on_request():
    stream = {"output_type": "stream", "name": "stdout", "text": ["a < b\n"]}
    found = made(
        text("# One", "slide"),
        text("later", "fragment"),
        code("x = 1", "-"),
        code("y = 2", "-", stream),
        code("z = 3", "-", stream, code=True),
    )
    body = re.sub(r"</?span[^>]*>", "", bodies(found)[0])
    assert '<div class="fragment"><p>later</p>\n</div>' in body
    assert "x = 1" in body, "a cell without outputs shows its source"
    assert "y = 2" not in body and "z = 3" in body
    assert body.count('<pre class="output">a &lt; b\n</pre>') == 2


def test_what_markdown_becomes(tmp_path):
    page = tmp_path / f"{PAGE}.html"
    page.parent.mkdir(parents=True)
    page.write_text('<div id="equation-noise-z">\n<span class="eqno">(7)<a></a></span></div>')
    source = (
        "See {cite:t}`orvieto2022anti`, {cite:p}`lucchi2022noise`, {eq}`noise-z`, [](index.md), "
        "[next](2_mechanism.ipynb#here), [out](https://example.org/) and $a < b$.\n\n"
        "$$\na \\\\ b\n$$ (label)\n\n"
        ":::{admonition} A box with $x$\n:class: note\n\n- inside\n:::\n\n| a |\n|---|\n| 1 |"
    )
    links = slides.Links(tmp_path)
    found = slides.slides_of({"cells": [text(source, "slide")]}, PAGE, links)
    body = bodies(found)[0]
    for part in (
        ">Orvieto et al. (2022)</a>",
        ">(Lucchi et al., 2022)</a>",
        f'href="../{PAGE}.html#equation-noise-z">(7)</a>',
        '<a href="../chapters/noise/index.html">Noise: shaking the ball',
        'href="../chapters/noise/2_mechanism.html#here"',
        'href="https://example.org/"',
        '<span class="math">\\(a &lt; b\\)</span>',
        '<div class="math">\\[\\begin{split}a \\\\ b\\end{split}\\]</div>',
        'A box with <span class="math">',
        "<li>inside</li>",
        "<td>1</td>",
    ):
        assert part in body, part
    assert ":class:" not in body


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (text("x", "slid"), "'slid'; it is one of slide, subslide, fragment, -, notes, skip"),
        (text("x", "slide", block="0"), "'block' in its slideshow; allowed are slide_type, blocks"),
        (text("x", "slide", blocks=[[0]]), 'as in "0 1 | 3"'),
        (text("x", "slide", blocks="0 1"), "numbers from 0 to 0"),
        (text("x\n\ny", "slide", blocks="1 0"), "in their order"),
        (text("x\n\ny", "slide", blocks="0 | 0"), "none twice"),
        (code("x", "slide", blocks="0"), "for Markdown"),
        (text("x", "slide", code=True), "in a code cell"),
        (text("x", "notes"), "begin with one of slide, subslide"),
        (text("{cite:t}`nobody1900`", "slide"), "cites nobody1900"),
        (text("{unknown}`x`", "slide"), "the role {unknown}"),
        (text("```{include} x\n```", "slide"), "the directive {include}"),
    ],
)
def test_a_wrong_cell_is_named_with_what_is_allowed(cell, words):
    with pytest.raises(ValueError) as error:
        made(text("left out"), cell)
    assert str(error.value).startswith(f"{PAGE}.ipynb: cell 1 "), error.value
    assert words in str(error.value)


def small_book(root: Path) -> Path:
    folder = root / "chapters" / "noise"
    folder.mkdir(parents=True)
    (folder / "index.md").write_text("# Noise & more\n\nWhat it is.\n\n1. its story\n", "utf-8")
    for name in slides.NOTEBOOKS:
        nb = {"cells": [text(f"# {name}", "slide"), text("## $x$ in it", "slide")]}
        (folder / f"{name}.ipynb").write_text(json.dumps(nb), "utf-8")
    return root


def test_a_deck_has_one_h1_labelled_regions_and_its_contents(tmp_path):
    site = tmp_path / "site"
    (site / "_static").mkdir(parents=True)
    assert slides.make(site, small_book(tmp_path), ["noise"]) == {"noise": 7}
    page = (site / "slides" / "noise.html").read_text("utf-8")
    assert page.count("<h1>") == 1 and "<h1>Noise &amp; more</h1>" in page
    labels = re.findall(r'<section [^>]*aria-label="([^"]*)"', page)
    assert labels[:3] == ["1 of 7: Noise &amp; more", "2 of 7: 1_phenomenon", "3 of 7: x in it"]
    assert len(re.findall(r'<li><a href="#/\d', page)) == 7
    assert "its story" in page and "Content-Security-Policy" in page
    assert "<script>" not in page, "the policy of the site forbids scripts in pages"
    assert '<a href="noise.html">' in (site / "slides" / "index.html").read_text("utf-8")
    assert (site / "_static" / "slides.js").is_file()


def test_slides_of_the_same_title_are_told_apart():
    found = [slides.Slide(PAGE, heading=title) for title in ("One", "Two", "One", "One", "Two")]
    titles = re.findall(r'<li><a href="#/\d">([^<]*)</a>', slides.deck("noise", found))
    again = ["One, continued", "One, continued", "Two, continued"]
    assert titles == ["One", "Two", *again]
    assert "swipe" in slides.KEYS_HELP


def test_a_wrong_cell_leaves_the_decks_as_they_were(tmp_path):
    site = tmp_path / "site"
    (site / "_static").mkdir(parents=True)
    root = small_book(tmp_path)
    slides.make(site, root, ["noise"])
    before = (site / "slides" / "noise.html").read_bytes()
    nb = {"cells": [text("# New", "slide"), text("x", "wrong")]}
    (root / "chapters/noise/3_laboratory.ipynb").write_text(json.dumps(nb), "utf-8")
    with pytest.raises(ValueError, match=r"chapters/noise/3_laboratory\.ipynb: cell 1"):
        slides.make(site, root, ["noise"])
    assert (site / "slides" / "noise.html").read_bytes() == before


def test_the_command_says_what_is_missing_and_lists_blocks(tmp_path, capsys):
    assert slides.main(["make", str(tmp_path)]) == 1
    assert "is no built site" in capsys.readouterr().err
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps({"cells": [text("# A\n\nb\nc")]}), "utf-8")
    assert slides.main(["blocks", str(path)]) == 0
    assert capsys.readouterr().out == "cell 0 block 0: # A\ncell 0 block 1: b c\n"


def test_the_closing_chapter_makes_a_short_lecture():
    nb = json.loads((slides.ROOT / "book/closing.ipynb").read_text("utf-8"))
    deck = slides.slides_of(nb, "book/closing", slides.Links())
    assert 12 <= len(deck) <= 24 and deck[0].opening
    shown = ["".join(slide.parts) for slide in deck]
    figures = [slide for slide in deck if "optdyn-figure" in "".join(slide.parts)]
    assert len(figures) == 2 and all(slide.message for slide in figures)
    assert sum("optdyn-claim-numbers" in body for body in shown) >= 4
    first = slides.begun(deck[0])
    assert "Cite this page" in first.parts[-1] and slides.KEYS_HELP in first.notes[-1]


@pytest.mark.parametrize("topic", slides.TOPICS)
def test_each_chapter_makes_a_lecture(topic):
    """A title and a summary, figures under their messages, questions before, claims measured."""
    decks = [slides.opening(topic, slides.Links(), slides.ROOT)]
    for name in slides.NOTEBOOKS:
        page = f"chapters/{topic}/{name}"
        nb = json.loads((slides.ROOT / f"{page}.ipynb").read_text("utf-8"))
        decks += slides.slides_of(nb, page, slides.Links())
    assert 15 <= len(decks) <= 30
    figures = [slide for slide in decks if "optdyn-figure" in "".join(slide.parts)]
    assert len(figures) >= 8 and all(slide.message for slide in figures)
    shown = ["".join(slide.parts) for slide in decks]
    assert sum(slide.opening for slide in decks) == 4, "the chapter and its three notebooks"
    assert any("optdyn-claim-numbers" in body for body in shown)
    first = shown.index(next(body for body in shown if "optdyn-figure" in body))
    bold = re.findall(r"<strong>(.*?)</strong>", "".join(shown[:first]), re.DOTALL)
    assert any("decide" in words and words.endswith("?") for words in bold)
    assert decks[-1].heading == "Summary" and "<li>" in shown[-1]
    assert all(slide.notes for slide in figures)
