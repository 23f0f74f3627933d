"""The book as an EPUB 3, for readers of electronic books.

    python book/epub.py [SITE [FILE]]

A chapter is a page of the built site (printed.py) as XHTML; its formulas are MathML, which MathJax
writes in Chromium; its figures are SVG. Boxes stay folded as on the page. Dates are those of the
release, so that two runs give the same bytes.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

import printed
from printed import Printed, Record

FILE = printed.ROOT / "_build" / "epub" / f"{printed.NAME}.epub"
PATIENCE, A_FORMULA = 60.0, 0.05  # seconds for one attempt, and more for each formula
DATE = (1980, 1, 1, 0, 0, 0)  # of every file in the archive
CHUNK = 400  # formulas at a time

MATHJAX = """<!DOCTYPE html><html lang="en"><head><title>Formulas</title>
<script>MathJax = { startup: { typeset: false }, options: { enableMenu: false } };</script>
<script defer src="_static/mathjax/tex-chtml.js"></script></head><body></body></html>"""
CONVERT = """async (formulas) => {
  await MathJax.startup.promise;
  return formulas.map(([tex, display]) => MathJax.tex2mml(tex, { display }));
}"""

CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>
"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head>
<meta charset="utf-8"/>
<title>{title}</title>
<link rel="stylesheet" type="text/css" href="style.css"/>
</head>
<body class="reader">
{body}
</body>
</html>
"""  # noqa: E501


class Item(NamedTuple):
    """A file of the book: its name, what it holds, its kind, and properties in the package."""

    name: str
    content: bytes
    kind: str
    properties: str = ""


# --- formulas -------------------------------------------------------------------------


def mathml(formulas: Sequence[tuple[str, bool]], site: Path = printed.SITE) -> list[str]:
    """Formulas in TeX, each with whether it stands by itself, as MathML.

    Raises:
        ValueError: TeX that MathJax does not understand.
        TimeoutError: Chromium did not answer.
    """

    async def attempt() -> list[str]:
        made: list[str] = []
        async with printed.rendered(MATHJAX, site) as page:
            for start in range(0, len(formulas), CHUNK):
                part = [list(formula) for formula in formulas[start : start + CHUNK]]
                made += await page.evaluate(CONVERT, part)
        return made

    unique = list(dict.fromkeys(formulas))
    everything, formulas = formulas, unique
    found = dict(
        zip(unique, printed.with_patience(attempt, PATIENCE + A_FORMULA * len(unique)), strict=True)
    )
    return [_neat(found[formula], formula[0]) for formula in everything]


def _neat(made: str, tex: str) -> str:
    """MathML in one line, without what MathJax keeps for itself, and with its TeX as its words."""
    if "<merror" in made or 'mathcolor="red"' in made:
        raise ValueError(f"MathJax does not understand the formula {tex!r}")
    made = re.sub(r"<!--.*?-->", "", re.sub(r' data-[\w-]+="[^"]*"', "", made), flags=re.S)
    made = re.sub(r">\s+<", "><", made)
    alt = html.escape(" ".join(tex.split()), quote=True)
    return made.replace("<math ", f'<math alttext="{alt}" ', 1)


# --- pages ----------------------------------------------------------------------------


def items_of(pages: Sequence[Printed], site: Path = printed.SITE) -> list[Item]:
    """The chapters, in their order, and their pictures."""
    elements = [element for page in pages for element in page.article.select(".math")]
    formulas = mathml([printed.formula(element) for element in elements], site)
    for n, element in enumerate(elements):
        number = element.find(class_="eqno")
        element.clear()
        element.append(f"@@{n}@@")
        if number is not None:
            element.insert(0, number)
    homes = {name: page.slug for page in pages for name in [page.slug, *page.ids.values()]}
    made = []
    for page in pages:
        pictures = _pictures(page)
        text = _xhtml(page, homes)
        text = re.sub(r"@@(\d+)@@", lambda m: formulas[int(m[1])], text)
        kinds = {"mathml": "<math " in text, "svg": "<svg" in text}
        properties = " ".join(kind for kind, there in kinds.items() if there)
        whole = PAGE.format(title=html.escape(page.title), body=text).encode()
        try:
            ElementTree.fromstring(whole)
        except ElementTree.ParseError as problem:
            raise ValueError(f"{page.entry.name}: not XML as it is: {problem}") from None
        made.append(Item(f"{page.slug}.xhtml", whole, "application/xhtml+xml", properties))
        made += pictures
    return made


def _pictures(page: Printed) -> list[Item]:
    """Put the pictures of a page into files of their own."""
    made = []
    for n, picture in enumerate(page.article.find_all("img")):
        head, _, drawing = str(picture["src"]).partition(",")
        if not head.startswith("data:image/svg+xml"):
            raise ValueError(f"{page.entry.name}: a picture that is no drawing: {head[:60]!r}")
        name = f"pictures/{page.slug}-{n}.svg"
        plain = re.sub(r'\s(?:role|aria-[\w-]+)="[^"]*"', "", unquote(drawing))
        made.append(Item(name, plain.encode(), "image/svg+xml"))
        picture["src"] = name
    return made


def _xhtml(page: Printed, homes: dict[str, str]) -> str:
    """The article of a page as XHTML, its links among files."""
    article = page.article
    article.name = "section"
    article["id"] = page.slug
    for heading in article.find_all(printed.HEADINGS):
        heading["class"] = f"t{heading.name[1]}"
    for link in article.find_all("a", href=re.compile("^#")):
        name = str(link["href"])[1:]
        home = homes[name]
        link["href"] = f"#{name}" if home == page.slug else f"{home}.xhtml#{name}"
    for drawing in article.find_all("svg"):
        drawing["xmlns"] = "http://www.w3.org/2000/svg"
        for old, new in (("viewbox", "viewBox"), ("preserveaspectratio", "preserveAspectRatio")):
            if old in drawing.attrs:
                drawing[new] = drawing.attrs.pop(old)
    return article.decode()


def style(site: Path = printed.SITE) -> str:
    """The style of the chapters: no sheets, values in the place of names, colours of code."""
    text = re.sub(r"/\* -- sheets.*?(?=/\* -- readers)", "", printed.style(), flags=re.DOTALL)
    values = dict(re.findall(r"(--\w+): ([^;]+);", text))
    text = re.sub(r":root \{.*?\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"var\((--\w+)\)", lambda m: values[m[1]], text)
    code = (site / "_static" / "pygments.css").read_text("utf-8")
    light = re.findall(r'^html\[data-theme="light"\] (\.highlight \.\w+ \{.*)$', code, re.MULTILINE)
    return text + "\n".join(light) + "\n"


# --- the package ----------------------------------------------------------------------


def contents(pages: Sequence[Printed]) -> str:
    """The contents as nested lists: parts, pages, pages below them."""
    tree: list[tuple[str, list[tuple[Printed, list[Printed]]]]] = []
    for page in pages:
        if not tree or tree[-1][0] != page.entry.part:
            tree.append((page.entry.part, []))
        inside = tree[-1][1]
        if page.entry.depth and inside:
            inside[-1][1].append(page)
        else:
            inside.append((page, []))
    lines = []
    for part, chapters in tree:
        below = "".join(
            _line(page, f"<ol>{''.join(_line(one) for one in under)}</ol>" if under else "")
            for page, under in chapters
        )
        lines.append(
            f"<li><span>{html.escape(part)}</span><ol>{below}</ol></li>" if part else below
        )
    body = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{"".join(lines)}</ol></nav>'
    return PAGE.format(title="Contents", body=body)


def _line(page: Printed, below: str = "") -> str:
    return f'<li><a href="{page.slug}.xhtml">{html.escape(page.title)}</a>{below}</li>'


def title_page(about: Record, live: str) -> str:
    where = (
        f'The live book: <a href="{live}">{live}</a>.'
        if live
        else "The live book is the site that <code>make book</code> builds; under each figure "
        "stands its page."
    )
    body = f"""<section class="title-page" epub:type="titlepage">
<h1 class="book-title">{html.escape(about.title)}</h1>
<p class="book-subtitle">{html.escape(about.subtitle)}</p>
<p>{html.escape(about.authors)}</p>
<p class="small">Version {html.escape(about.version)}, {about.date[:4]}</p>
<p class="small">This is the book without its machinery: each figure stands as it looks before
anyone has moved its controls, with their values and the place where it computes. Code that the
pages fold away is in the notebooks. {where}</p>
<p class="small">Text and figures: CC BY 4.0. Code: Apache License 2.0.</p>
</section>"""
    return PAGE.format(title=html.escape(about.title), body=body)


FEATURES = ("alternativeText", "MathML", "structuralNavigation", "tableOfContents")


def package(items: Sequence[Item], about: Record, live: str) -> str:
    """The package document: metadata, every file, the order of reading."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{printed.NAME} {about.version}")
    marks = {item.name: f"i{n}" for n, item in enumerate(items)}
    listed = "\n".join(
        f'<item id="{marks[item.name]}" href="{item.name}" media-type="{item.kind}"'
        + (f' properties="{item.properties}"' if item.properties else "")
        + "/>"
        for item in items
    )
    spine = "\n".join(
        f'<itemref idref="{marks[item.name]}"/>'
        for item in items
        if item.kind == "application/xhtml+xml"
    )
    subjects = "\n".join(f"<dc:subject>{html.escape(word)}</dc:subject>" for word in about.keywords)
    features = "\n".join(
        f'<meta property="schema:accessibilityFeature">{feature}</meta>' for feature in FEATURES
    )
    source = f"\n<dc:source>{html.escape(live)}</dc:source>" if live else ""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="name" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="name">urn:uuid:{name}</dc:identifier>
<dc:title>{html.escape(f"{about.title}: {about.subtitle}")}</dc:title>
<dc:language>en</dc:language>
<dc:creator>{html.escape(about.authors)}</dc:creator>
<dc:description>{html.escape(about.abstract)}</dc:description>
<dc:date>{about.date}</dc:date>
<dc:rights>CC BY 4.0 (text and figures), Apache License 2.0 (code)</dc:rights>{source}
{subjects}
<meta property="dcterms:modified">{about.date}T00:00:00Z</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
{features}
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Formulas are MathML; every figure is described.</meta>
</metadata>
<manifest>
{listed}
</manifest>
<spine>
{spine}
</spine>
</package>
"""


def pack(items: Sequence[Item], package_document: str) -> bytes:
    """The archive: the kind of file first and as it is, then all the others, compressed."""
    import io

    made = io.BytesIO()
    files = [
        ("mimetype", b"application/epub+zip"),
        ("META-INF/container.xml", CONTAINER.encode()),
        ("book/package.opf", package_document.encode()),
        *((f"book/{item.name}", item.content) for item in items),
    ]
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files:
            about = zipfile.ZipInfo(name, DATE)
            about.create_system = 3
            about.external_attr = 0o100644 << 16
            stored = name == "mimetype"
            about.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(about, content, compresslevel=None if stored else 9)
    return made.getvalue()


def make(site: Path = printed.SITE, file: Path = FILE, only: Sequence[str] = ()) -> int:
    """Write the EPUB of a built site whole, and return the number of its chapters.

    Raises:
        ValueError: no built site, or one with a formula or picture that cannot be taken.
        TimeoutError: Chromium did not answer.
    """
    about, live = printed.record(), printed.live_site()
    pages = printed.read(site, only)
    kind = "application/xhtml+xml"
    items = [
        Item("title.xhtml", title_page(about, live).encode(), kind),
        Item("contents.xhtml", contents(pages).encode(), kind, "nav"),
        Item("style.css", style(site).encode(), "text/css"),
        *items_of(pages, site),
    ]
    printed.write_whole(file, pack(items, package(items, about, live)))
    return len(pages)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path, nargs="?", default=printed.SITE, help="a built site")
    parser.add_argument("file", type=Path, nargs="?", default=FILE, help="the EPUB")
    parser.add_argument("--only", nargs="*", default=(), help="pages, such as book/index (all)")
    chosen = parser.parse_args(arguments)
    try:
        chapters = make(chosen.site, chosen.file, chosen.only)
        if chosen.file == FILE:
            printed.offer(FILE, chosen.site)
    except (OSError, ValueError) as error:
        print(f"epub.py: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.file}: {chapters} chapters, {chosen.file.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
