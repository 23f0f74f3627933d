"""Slides of each chapter, made from the notebooks' own cells.

    python book/slides.py make SITE        write SITE/slides/<topic>.html and SITE/slides/index.html
    python book/slides.py blocks NOTEBOOK  list the blocks of its Markdown cells by number

A cell is on a slide if its metadata carry Jupyter's `slideshow`; a cell without it is left out.

    {"slide_type": "slide"}     begins a slide; `subslide` does too
    {"slide_type": "-"}         goes on the slide that the cells before it began
    {"slide_type": "fragment"}  so does this, and appears one key later
    {"slide_type": "notes"}     goes into the speaker's notes of that slide
    {"slide_type": "skip"}      is left out

Two more keys, which other programs pass over. `"blocks": "0 1 | 3"` shows, of a Markdown cell,
blocks 0 and 1 on a slide and block 3 on a slide of its own; a block is a paragraph, a heading, a
list, a table, a formula or a box. Blocks that are not shown go into the notes. `"code": true` shows
the source of a code cell, whose outputs alone are shown otherwise.

A caption, `**Figure 1. Its message.** More`, becomes the heading of a slide that has a figure and
no heading; the rest of it goes into the notes.
"""

from __future__ import annotations

import argparse
import functools
import html
import json
import os
import posixpath
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pybtex.database  # type: ignore[import-untyped]
import pygments  # type: ignore[import-untyped]
import pygments.formatters  # type: ignore[import-untyped]
import pygments.lexers  # type: ignore[import-untyped]
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

ROOT = Path(__file__).resolve().parent.parent
TOPICS = ("noise", "cycles", "shiftk", "adam")
NOTEBOOKS = ("1_phenomenon", "2_mechanism", "3_laboratory")
DECKS = {topic: [f"chapters/{topic}/{name}" for name in NOTEBOOKS] for topic in TOPICS}
DECKS["closing"] = ["book/closing"]
TYPES = ("slide", "subslide", "fragment", "-", "notes", "skip")
KEYS = ("slide_type", "blocks", "code")
CAPTION = re.compile(r"\*\*Figure \d+\. (?P<message>.+?)\*\*\s*(?P<rest>.*)", re.DOTALL)
BOX = re.compile(r"\{(admonition|dropdown|note|tip|warning|important)\}\s*(.*)")


@dataclass
class Slide:
    """One slide: HTML of what it shows and of what the speaker reads."""

    page: str  # the page that it is from, without its ending
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    message: str = ""  # the caption of its figure, as a heading
    heading: str = ""  # of itself, or the last one before it; HTML
    headed: bool = False  # whether that heading is among its parts
    opening: bool = False  # of the deck or of a notebook

    @property
    def title(self) -> str:
        """Its name in the contents, as HTML."""
        return self.message or self.heading


@dataclass(frozen=True)
class Links:
    """Where addresses in the notebooks lead from the decks, and what references say."""

    site: Path | None = None  # a built site, where the numbers of equations stand

    def address(self, href: str, page: str) -> str:
        """The address, from a deck, of what `href` is on a page of the book.

        >>> Links().address("2_mechanism.ipynb#here", "chapters/noise/1_phenomenon")
        '../chapters/noise/2_mechanism.html#here'
        """
        if re.match(r"[a-z][a-z0-9+.-]*:|//", href):
            return href
        path, _, place = href.partition("#")
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        goal = re.sub(r"\.(ipynb|md)$", "", goal)
        return f"../{goal}.html" + (f"#{place}" if place else "")

    def role(self, name: str, content: str, page: str) -> str:
        """A MyST role as HTML."""
        if name in ("cite:t", "cite:p", "cite"):
            cited = [citation(key.strip(), textual=name == "cite:t") for key in content.split(",")]
            text = "; ".join(cited)
            text = text if name == "cite:t" else f"({text})"
            return f'<a href="../book/bibliography.html">{html.escape(text)}</a>'
        if name == "eq":
            place = f"equation-{content}".lower().replace("_", "-")
            said = ""
            for where in [page, *(p for pages in DECKS.values() for p in pages)][::-1]:
                if self.site and place in equations(self.site / f"{where}.html"):
                    page, said = where, equations(self.site / f"{where}.html")[place]
            return f'<a href="../{page}.html#{place}">({html.escape(said or content)})</a>'
        if name == "kbd":
            return f"<kbd>{html.escape(content)}</kbd>"
        raise ValueError(f"has the role {{{name}}}, which slides do not know; leave its block out")


@functools.cache
def library() -> Any:
    return pybtex.database.parse_file(str(ROOT / "book" / "references.bib"))


def citation(key: str, *, textual: bool) -> str:
    """Authors and year: `Orvieto et al. (2022)`, or `Orvieto et al., 2022`."""
    if key not in library().entries:
        raise ValueError(f"cites {key}, which is not in book/references.bib")
    entry = library().entries[key]
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join([*person.prelast_names, *person.last_names]) for person in people]
    names = [re.sub(r"[{}]|\\.", "", name) for name in names]
    who = names[0] + " et al." if len(names) > 2 else " and ".join(names)
    year = entry.fields.get("year", "")
    return f"{who} ({year})" if textual else f"{who}, {year}"


@functools.cache
def equations(path: Path) -> dict[str, str]:
    """The numbers of the labelled equations of a built page."""
    if not path.exists():
        return {}
    text = path.read_text("utf-8")
    return dict(re.findall(r'id="(equation-[^"]+)">\s*<span class="eqno">\((\d+)', text))


# --- Markdown --------------------------------------------------------------------------------


class Renderer(RendererHTML):
    """Markdown as on the book's pages: mathematics for MathJax, boxes, links from the decks."""

    def heading_open(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        return f"<{self._level(tokens[index])}>"

    def heading_close(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        return f"</{self._level(tokens[index])}>\n"

    @staticmethod
    def _level(token: Token) -> str:
        return "h2" if token.tag == "h1" else token.tag  # the deck's title is its only h1

    def math_inline(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        return f'<span class="math">\\({html.escape(tokens[index].content)}\\)</span>'

    def math_block(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        text = tokens[index].content.strip()
        if "\\\\" in text:
            text = f"\\begin{{split}}{text}\\end{{split}}"
        return f'<div class="math">\\[{html.escape(text)}\\]</div>\n'

    math_inline_double = math_block_label = math_block

    def amsmath(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        return f'<div class="math">{html.escape(tokens[index].content)}</div>\n'

    def myst_role(self, tokens: Sequence[Token], index: int, _: Any, env: Any) -> str:
        token = tokens[index]
        said: str = env["links"].role(token.meta["name"], token.content, env["page"])
        return said

    def myst_target(self, *_: Any) -> str:
        return ""

    myst_line_comment = myst_block_break = myst_target

    def colon_fence(self, tokens: Sequence[Token], index: int, _: Any, env: Any) -> str:
        return box(tokens[index], env)

    def fence(self, tokens: Sequence[Token], index: int, _: Any, env: Any) -> str:
        token = tokens[index]
        if token.info.startswith("{"):
            return box(token, env)
        return highlighted(token.content, token.info.strip() or "text")

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        href = str(token.attrs["href"])
        token.attrs["href"] = env["links"].address(href, env["page"])
        text = ""
        if tokens[index + 1].type == "link_close":
            text = html.escape(title_of(ROOT / posixpath.dirname(env["page"]) / href))
        return self.renderToken(tokens, index, options, env) + text


def box(token: Token, env: Any) -> str:
    """An admonition or a dropdown, open."""
    match = BOX.match(token.info.strip())
    if not match:
        raise ValueError(
            f"has the directive {token.info.strip()}, which slides do not know; leave its block out"
        )
    name, title = match.groups()
    body = re.sub(r"\A(:[\w-]+:.*\n)+", "", token.content)
    head = f"<p class=box-title>{inline(title or name.capitalize(), env)}</p>\n"
    return f'<div class="box">{head}{markdown().render(body, env)}</div>\n'


def title_of(path: Path) -> str:
    """The title of a page: its first heading."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    found = re.search(r"^# (.+)", text, re.MULTILINE)
    return found[1] if found else path.stem


@functools.cache
def markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", renderer_cls=Renderer).enable("table")
    made.use(dollarmath_plugin, allow_labels=True).use(amsmath_plugin)
    made.use(colon_fence_plugin).use(myst_block_plugin).use(myst_role_plugin)
    # the plugins' own rules stand before the renderer's methods
    for name in ("math_inline", "math_inline_double", "math_block", "math_block_label", "amsmath"):
        made.renderer.rules[name] = getattr(made.renderer, name)  # type: ignore[attr-defined]
    for name in ("colon_fence", "myst_role", "myst_target"):
        made.renderer.rules[name] = getattr(made.renderer, name)  # type: ignore[attr-defined]
    for name in ("myst_line_comment", "myst_block_break"):
        made.renderer.rules[name] = getattr(made.renderer, name)  # type: ignore[attr-defined]
    return made


def inline(text: str, env: Any) -> str:
    return str(markdown().renderInline(text, env))


def blocks_of(source: str) -> list[str]:
    """The blocks of a Markdown text, each as its source.

    >>> blocks_of("# A title\\n\\nA line\\nof text.\\n\\n- one\\n- two")
    ['# A title', 'A line\\nof text.', '- one\\n- two']
    """
    lines = source.split("\n")
    found = []
    for token in markdown().parse(source, {}):
        if token.level == 0 and token.nesting >= 0 and token.map:
            first, last = token.map
            found.append("\n".join(lines[first:last]).strip("\n"))
    return found


def highlighted(source: str, language: str) -> str:
    lexer = pygments.lexers.get_lexer_by_name({"ipython3": "python"}.get(language, language))
    return str(pygments.highlight(source, lexer, pygments.formatters.HtmlFormatter()))


# --- cells -----------------------------------------------------------------------------------


def settings(cell: Any) -> dict[str, Any]:
    """The `slideshow` of a cell, checked; empty where the cell is left out.

    Raises:
        ValueError: an unknown slide type or key, or blocks in another form than "0 1 | 3".
    """
    given = cell["metadata"].get("slideshow")
    if given is None:
        return {}
    if not isinstance(given, dict) or given.get("slide_type") not in TYPES:
        kind = given.get("slide_type") if isinstance(given, dict) else given
        raise ValueError(f"has the slide_type {kind!r}; it is one of {', '.join(TYPES)}")
    if unknown := sorted(set(given) - set(KEYS)):
        raise ValueError(f"has {unknown[0]!r} in its slideshow; allowed are {', '.join(KEYS)}")
    kind, is_code = given["slide_type"], cell["cell_type"] == "code"
    if "code" in given and not (is_code and given["code"] is True):
        raise ValueError('has "code" in its slideshow, which is true, in a code cell; take it out')
    if "blocks" in given:
        if is_code or kind in ("notes", "skip"):
            raise ValueError('has "blocks" in its slideshow; they are for Markdown on slides')
        if not re.fullmatch(r"\d+( \d+)*( \| \d+( \d+)*)*", str(given["blocks"])):
            raise ValueError(
                f"has the blocks {given['blocks']!r}; write their numbers with spaces between, "
                'and a bar before those of the next slide, as in "0 1 | 3"'
            )
    return {} if kind == "skip" else given


def slides_of(nb: Any, page: str, links: Links, name: str = "") -> list[Slide]:
    """The slides of a notebook, in its order.

    Arguments:
        nb: the notebook, as nbformat or json reads it.
        page: its path in the book, without its ending.
    Raises:
        ValueError: naming the notebook, the cell, what is wrong with it and what is allowed.
    """
    slides: list[Slide] = []
    heading = ""
    for index, cell in enumerate(nb["cells"]):
        try:
            given = settings(cell)
            source = "".join(cell["source"])
            env = {"links": links, "page": page}
            if given and given["slide_type"] not in ("slide", "subslide") and not slides:
                raise ValueError(
                    f"has the slide_type {given['slide_type']!r} and there is no slide before it; "
                    "begin with one of slide, subslide"
                )
            if given and cell["cell_type"] == "code":
                _code(slides, cell, source, given, Slide(page, heading=heading))
            elif given:
                _text(slides, source, given, heading, env)
            if cell["cell_type"] == "markdown":
                heads = [block for block in blocks_of(source) if block.startswith("#")]
                heading = inline(heads[-1].lstrip("# "), env) if heads else heading
        except ValueError as error:
            raise ValueError(f"{name or page + '.ipynb'}: cell {index} {error}") from None
    return slides


def _text(slides: list[Slide], source: str, given: dict[str, Any], heading: str, env: Any) -> None:
    """Put a Markdown cell on slides; `heading` is the last one before it."""
    blocks = blocks_of(source)
    every = list(range(len(blocks)))
    kind = given["slide_type"]
    if kind == "notes":
        slides[-1].notes.append(markdown().render(source, env))
        return
    groups = [every]
    if "blocks" in given:
        groups = [[int(block) for block in part.split()] for part in given["blocks"].split("|")]
    flat = [block for group in groups for block in group]
    if flat != sorted(set(flat)) or not set(flat) <= set(every):
        listing = f"python book/slides.py blocks {env['page']}.ipynb"
        raise ValueError(
            f"has the blocks {given.get('blocks')}; they are numbers from 0 to "
            f"{len(blocks) - 1} in their order, none twice: {listing}"
        )
    opened: dict[int, Slide] = {}
    for order, group in enumerate(groups):
        if kind in ("slide", "subslide") or order:
            heads = [block for block in blocks[: group[0]] if block.startswith("#")]
            before = inline(heads[-1].lstrip("# "), env) if heads else heading
            slides.append(Slide(env["page"], heading=before))
        slide = slides[-1]
        opened |= dict.fromkeys(group, slide)
        made = []
        for block in group:
            text = blocks[block]
            caption = CAPTION.match(text)
            if caption and not slide.headed and any("optdyn-figure" in p for p in slide.parts):
                slide.message = inline(caption["message"], env)
                if caption["rest"]:
                    slide.notes.append(markdown().render(caption["rest"], env))
                continue
            if text.startswith("#") and not slide.headed:
                slide.heading, slide.headed = inline(text.lstrip("# "), env), True
                slide.opening = text.startswith("# ")
            made.append(markdown().render(text, env))
        if made and kind == "fragment" and not order:
            slide.parts.append(f'<div class="fragment">{"".join(made)}</div>')
        else:
            slide.parts += made
    current = opened[flat[0]]
    for block in every:
        current = opened.get(block, current)
        if block not in opened:
            current.notes.append(markdown().render(blocks[block], env))


def _code(slides: list[Slide], cell: Any, source: str, given: dict[str, Any], fresh: Slide) -> None:
    """Put a code cell on a slide, on `fresh` if it begins one."""
    kind = given["slide_type"]
    shown = [output_of(output) for output in cell["outputs"]]
    if given.get("code") or not shown:
        shown.insert(0, highlighted(source, "python"))
    text = "\n".join(shown)
    if kind == "notes":
        slides[-1].notes.append(text)
        return
    if kind in ("slide", "subslide"):
        slides.append(fresh)
    slides[-1].parts.append(f'<div class="fragment">{text}</div>' if kind == "fragment" else text)


def output_of(output: Any) -> str:
    """A stored output as HTML."""
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    text = "".join(data.get("text/plain", output.get("text", "")))
    return f'<pre class="output">{html.escape(text)}</pre>'


# --- the deck --------------------------------------------------------------------------------

HEAD = """<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="../_static/pygments.css">
<link rel="stylesheet" href="../_static/book.css">
<link rel="stylesheet" href="../_static/explore.css">
<link rel="stylesheet" href="../_static/slides.css">
<script defer src="../_static/slides.js"></script>
"""
SCRIPTS = """<script defer src="../_static/mathjax/tex-chtml.js"></script>
<script defer src="../_static/vega/vega-bundle.js"></script>
<script defer src="../_static/explore.js"></script>
"""
BAR = """<nav class="bar" aria-label="Slides">
<a href="../{chapter}.html">Chapter</a>
<button type="button" data-act="contents">Contents</button>
<button type="button" data-act="notes" aria-pressed="false">Notes</button>
<button type="button" data-act="window">Notes in a window</button>
<button type="button" data-act="screen">Full screen</button>
<span class="turn">
<button type="button" data-act="back" aria-label="Previous slide">&#8592;</button>
<span class="place" aria-hidden="true"></span>
<button type="button" data-act="on" aria-label="Next slide">&#8594;</button>
</span>
</nav>
"""
KEYS_HELP = (
    "Arrow keys, page keys and space turn the slides, and so does a swipe; <kbd>Home</kbd> and "
    "<kbd>End</kbd> lead to the first and the last. <kbd>o</kbd> lists them, <kbd>s</kbd> shows "
    "the notes, <kbd>w</kbd> opens a window with the notes that turns along, <kbd>f</kbd> fills "
    "the screen. A slider that has the focus keeps its keys; <kbd>Esc</kbd> gives them back. "
    "Printing makes a page of each slide."
)


def foot(title: str) -> str:
    """How to cite a deck, and its licence."""
    record = of_extension("bookassets").citation()
    return (
        '<p class="optdyn-foot">Cite this page: The authors of The Dynamics of Learning, '
        f"“{title}” (slides), in <cite>{record['title']}</cite>, version {record['version']}, "
        f'{record["year"]}. <a href="../_static/CITATION.cff" download>CITATION.cff</a>, '
        '<a href="../book/how_to_read.html#cite">How to cite</a>. '
        '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a></p>'
    )


def opening(topic: str, links: Links, root: Path) -> Slide:
    """The title slide: the chapter's title and its first paragraph; its story in the notes."""
    page = f"chapters/{topic}/index"
    env = {"links": links, "page": page}
    blocks = blocks_of((root / f"{page}.md").read_text("utf-8"))
    title = inline(blocks[0].lstrip("# "), env)
    first = markdown().render(blocks[1], env)
    story = [markdown().render(block, env) for block in blocks[2:3]]
    return begun(Slide(page, [title, first], story, heading=title, headed=True))


def begun(slide: Slide) -> Slide:
    """The first slide of a deck, with where it comes from, how to cite it, and the keys."""
    book = '<a href="../book/index.html">The Dynamics of Learning</a>'
    slide.opening = True
    slide.parts[0] = f"<h1>{slide.heading}</h1>"
    slide.parts += [f'<p class="from">A lecture from {book}</p>', foot(slide.heading)]
    slide.notes.append(f"<p>{KEYS_HELP}</p>")
    return slide


def plain(text: str) -> str:
    """HTML as text for an attribute: without tags, and formulas without their marks."""
    bare = re.sub(r"\\[()]|\\", "", re.sub(r"<[^>]*>", "", text))
    return html.escape(html.unescape(bare), quote=True)


def section(slide: Slide, number: int, count: int) -> str:
    """One slide as HTML, a labelled region."""
    head = ""
    if slide.message:
        head = f"<h2>{slide.message}</h2>\n"
    elif not slide.headed and slide.heading:
        head = f'<p class="running">{slide.heading}</p>\n'
    kinds = ["slide"]
    kinds += ["with-figure"] if any("optdyn-figure" in part for part in slide.parts) else []
    kinds += ["opening"] if slide.opening else []
    notes = "".join(slide.notes) or "<p>No notes.</p>"
    return (
        f'<section class="{" ".join(kinds)}" id="slide-{number}" '
        f'aria-roledescription="slide" aria-label="{number} of {count}: {plain(slide.title)}">\n'
        f'<div class="stage"><div class="content">\n{head}{"".join(slide.parts)}\n</div></div>\n'
        f'<aside class="notes" aria-label="Notes of slide {number}" hidden>{notes}</aside>\n'
        "</section>\n"
    )


def deck(topic: str, slides: Sequence[Slide]) -> str:
    """A deck as a page of the site."""
    count = len(slides)
    title = f"{plain(slides[0].title)} (slides)"
    contents = ""
    titles = [slide.title for slide in slides]
    for number, slide in enumerate(slides, 1):
        again = ", continued" if slide.title in titles[: number - 1] else ""
        contents += f'<li><a href="#/{number}">{slide.title}{again}</a></li>\n'
    body = "".join(section(slide, n, count) for n, slide in enumerate(slides, 1))
    return (
        HEAD.format(title=title)
        + SCRIPTS
        + f'</head>\n<body class="deck" data-topic="{topic}">\n<main>\n{body}</main>\n'
        + BAR.format(chapter=slides[0].page)
        + '<dialog class="contents" aria-label="Contents"><form method="dialog"><button>Close'
        + f"</button></form><ol>\n{contents}</ol><p>{KEYS_HELP}</p></dialog>\n</body>\n</html>\n"
    )


def list_of(decks: Iterable[tuple[str, Sequence[Slide]]]) -> str:
    """The page that lists the decks."""
    items = "".join(
        f'<li><a href="{topic}.html">{slides[0].title}</a>: {len(slides)} slides</li>\n'
        for topic, slides in decks
    )
    return (
        HEAD.format(title="Slides").replace(
            '<script defer src="../_static/slides.js"></script>', ""
        )
        + f"</head>\n<body>\n<main class=list>\n<h1>Slides</h1>\n<p>One deck a chapter, made from "
        f"the cells of its notebooks; the figures compute.</p>\n<ul>\n{items}</ul>\n"
        f'<p>{KEYS_HELP}</p>\n<p><a href="../book/index.html">Back to the book</a></p>\n'
        f"{foot('Slides')}\n</main>\n</body>\n</html>\n"
    )


def of_extension(name: str) -> Any:
    """A module of the book's extension, which Sphinx imports by the same name."""
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    try:
        return import_module(name)
    finally:
        sys.path.pop(0)


def guarded(page: str) -> str:
    """A page with the policy that all pages of the site have."""
    return str(of_extension("bookweb").guard(page))


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step."""
    part = path.with_name(f"{path.name}.tmp")
    part.write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, path)


def make(site: Path, root: Path = ROOT, topics: Iterable[str] = tuple(DECKS)) -> dict[str, int]:
    """Write the decks, their script and style into a built site; count the slides of each.

    Raises:
        ValueError: a cell's metadata are wrong; nothing has been written then.
    """
    links = Links(site)
    decks: dict[str, list[Slide]] = {}
    for topic in topics:
        decks[topic] = [opening(topic, links, root)] if topic in TOPICS else []
        for page in DECKS[topic]:
            nb = json.loads((root / f"{page}.ipynb").read_text("utf-8"))
            decks[topic] += slides_of(nb, page, links)
        if topic not in TOPICS:  # it begins with its notebook
            begun(decks[topic][0])
    folder = site / "slides"
    folder.mkdir(exist_ok=True)
    for name in ("slides.css", "slides.js"):
        write_whole(site / "_static" / name, (ROOT / "book" / "_static" / name).read_text("utf-8"))
    for topic, slides in decks.items():
        write_whole(folder / f"{topic}.html", guarded(deck(topic, slides)))
    write_whole(folder / "index.html", guarded(list_of(decks.items())))
    return {topic: len(slides) for topic, slides in decks.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["make", "blocks"])
    parser.add_argument("path", type=Path, help="a built site, or a notebook")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "make":
            if not (chosen.path / "index.html").is_file():
                raise ValueError(f"{chosen.path} is no built site; build it first: make build")
            counts = make(chosen.path)
            print(", ".join(f"{topic} {count}" for topic, count in counts.items()), "slides")
            return 0
        for index, cell in enumerate(json.loads(chosen.path.read_text("utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                for number, block in enumerate(blocks_of("".join(cell["source"]))):
                    print(f"cell {index} block {number}: {' '.join(block.split())[:90]}")
    except (OSError, ValueError) as error:
        print(f"slides.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
