"""The book as a PDF to print: A4, contents with page numbers, running titles, an outline.

    python book/pdf.py [SITE [FILE]]

Chromium prints one document of all pages of the built site (printed.py), its formulas typeset by
MathJax before. It prints twice: the first time tells on which sheet each page of the book begins.
Dates are then those of the release, so that two runs give the same bytes.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bs4 import Tag

import printed
from printed import Printed, Record

FILE = printed.ROOT / "_build" / "pdf" / f"{printed.NAME}.pdf"
PATIENCE, A_PAGE = 60.0, 20.0  # seconds for one attempt, and more for each page

TYPESET = """async () => {
  await Promise.all([...document.fonts].map((font) => font.load()));
  await MathJax.startup.promise;
  await MathJax.typesetPromise([...document.querySelectorAll('.math')]);
  // what only screen readers hear of a formula is not printed
  document.querySelectorAll('mjx-assistive-mml').forEach((element) => element.remove());
  await Promise.all([...document.images].map((image) => image.decode()));
  await document.fonts.ready;
  document.body.style.display = 'none';  // laid out anew: a trace of when fonts came would be left
  document.body.offsetHeight;
  document.body.style.display = '';
}"""
# What is wider than the column is set smaller, so that paper does not cut it; says what is left.
FIT = """() => {
  const column = document.body.clientWidth;
  for (const formula of document.querySelectorAll('mjx-container')) {
    const block = formula.closest('div.math, td, th, p, li, dd, dt, h1, h2, h3, h4, h5, h6');
    const number = block.querySelector(':scope > .eqno')?.offsetWidth ?? 0;
    const room = Math.min(block.clientWidth, column) - (number && 2 * number + 12);
    const width = formula.querySelector('mjx-math').getBoundingClientRect().width;
    if (width > room && !block.matches('td, th'))
      formula.style.fontSize = `${parseFloat(formula.style.fontSize || 100) * room / width * 0.995}%`;
  }
  for (const table of document.querySelectorAll('table')) {
    const room = table.parentElement.clientWidth, width = table.scrollWidth;
    if (width > room + 1) table.style.zoom = room / width * 0.99;
  }
  for (const code of document.querySelectorAll('pre'))
    if (code.textContent.split('\\n').length < 25) code.classList.add('short');
  const wide = (element) => element.getBoundingClientRect().right > column + 2
    || (element.tagName === 'PRE' && element.scrollWidth > element.clientWidth + 2);
  return {
    cut: [...document.querySelectorAll('mjx-math, img, table, pre')].filter(wide)
      .map((element) => `${element.closest('.sheet')?.id} ${element.tagName} ${element.textContent.slice(0, 80)}`),
    wrong: MathJax.startup.document.getMathItemsWithin(document.body)
      .filter((item) => item.typesetRoot.querySelector('mjx-merror, mjx-mtext[style*=red]'))
      .map((item) => item.math),
    raw: [...document.querySelectorAll('.math:not(:has(mjx-container))')].map((e) => e.textContent),
    blank: [...document.images].filter((image) => !image.width || !image.height).map((image) => image.alt),
  };
}"""  # noqa: E501
NUMBER = """(numbers) => {
  for (const place of document.querySelectorAll('.contents .no'))
    place.textContent = numbers[place.dataset.of];
}"""


# --- the document ---------------------------------------------------------------------


def document(pages: Sequence[Printed], live: str = "", site: Path = printed.SITE) -> str:
    """The book as one document, whose files are asked for from the top of the site."""
    about = printed.record()
    sheets, part = [], ""
    for page in pages:
        opening = ""
        if page.entry.part != part:
            part = page.entry.part
            opening = f'<h1 class="part">{html.escape(part)}</h1>'
        sheets.append(
            f'<section class="sheet" id="{page.slug}" style="page: {page.slug}">{opening}'
            f"{_article(page)}</section>"
        )
    fonts = re.findall(r"@font-face \{.*?\}", (site / "_static/book.css").read_text("utf-8"), re.S)
    faces = "\n".join(fonts).replace('url("fonts/', 'url("_static/fonts/')
    running = "\n".join(
        f"@page {page.slug} {{ @top-right {{ content: {_css_text(page.title)}; color: #565d64; "
        'font: 8pt "Liberation Sans", Arial, sans-serif; } }'
        for page in pages
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<title>{html.escape(about.title)}</title>
<link rel="stylesheet" href="_static/pygments.css">
<style>
{faces}
{printed.style()}
{running}
</style>
<script>MathJax = {{ startup: {{ typeset: false }}, options: {{ enableMenu: false }} }};</script>
<script defer src="_static/mathjax/tex-chtml.js"></script>
</head>
<body class="paper">
{title_page(about, live)}
{contents(pages)}
{"".join(sheets)}
</body>
</html>
"""


def _css_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _article(page: Printed) -> str:
    """The article of a page, its headings as deep as the page lies, its boxes open."""
    depth = page.entry.depth + bool(page.entry.part)
    for heading in page.article.find_all(printed.HEADINGS):
        level = int(heading.name[1])
        heading.name = f"h{min(level + depth, 6)}"
        heading["class"] = f"t{level}"
    for box in page.article.find_all("details"):
        box.name = "div"
        box["class"] = "dropdown-open"
        if isinstance(title := box.find("summary"), Tag):
            title.name = "p"
            title["class"] = "dropdown-title"
    page.article.name = "div"
    return page.article.decode()


def title_page(about: Record, live: str) -> str:
    """The title, and what a reader of paper must know."""
    where = (
        f'The live book: <a href="{live}">{live}</a>.'
        if live
        else "The live book is the site that make book builds; under each figure stands its page."
    )
    return f"""<div class="title-page">
<p class="book-title">{html.escape(about.title)}</p>
<p class="book-subtitle">{html.escape(about.subtitle)}</p>
<p>{html.escape(about.authors)}</p>
<p class="small">Version {html.escape(about.version)}, {about.date[:4]}</p>
<div class="notes small">
<p>This is the book without its machinery: each figure stands as it looks before anyone has moved
its controls, with their values and the place where it computes. Code that the pages fold away is in
the notebooks. {where}</p>
<p>Text and figures: CC BY 4.0. Code: Apache License 2.0.</p>
</div>
</div>"""


def contents(pages: Sequence[Printed]) -> str:
    """The contents, with room for the numbers of the sheets."""
    lines, part = [], ""
    for page in pages:
        if page.entry.part != part:
            part = page.entry.part
            lines.append(f'</ol><p class="part">{html.escape(part)}</p><ol>')
        lines.append(
            f'<li class="d{page.entry.depth}"><a href="#{page.slug}"><span>'
            f'{html.escape(page.title)}</span><span class="dots"></span>'
            f'<span class="no" data-of="{page.slug}">000</span></a></li>'
        )
    return (
        '<nav class="sheet contents" style="page: contents"><h1 class="t1">Contents</h1><ol>'
        f"{''.join(lines)}</ol></nav>"
    )


# --- the bytes ------------------------------------------------------------------------


class Objects:
    """The objects of a PDF that Chromium wrote, by their numbers; none is packed in a stream."""

    def __init__(self, content: bytes):
        self.content = content
        start = int(content[content.rindex(b"startxref") :].split()[1])
        count = int(content[start:].split(None, 3)[2])
        table = content.index(b"\n", content.index(b"xref", start) + 5) + 1
        rows = [content[table + 20 * n : table + 20 * n + 20] for n in range(count)]
        self.start, self.places = start, [int(row[:10]) for row in rows]
        trailer = content[content.rindex(b"trailer") :]
        self.root = int(re.findall(rb"/Root (\d+)", trailer)[0])
        self.info = int(re.findall(rb"/Info (\d+)", trailer)[0])

    def __getitem__(self, number: int) -> bytes:
        place = self.places[number]
        start = self.content.index(b"obj", place) + 3
        return self.content[start : self.content.index(b"endobj", start)].strip()

    def reference(self, number: int, key: bytes) -> int:
        found = re.search(rb"/" + key + rb" (\d+) 0 R", self[number])
        if not found:
            raise ValueError(f"the PDF's object {number} has no {key.decode()}")
        return int(found[1])

    def sheets(self, node: int | None = None) -> list[int]:
        """The objects of the sheets, in their order."""
        node = self.reference(self.root, b"Pages") if node is None else node
        kids = re.search(rb"/Kids \[([^]]*)\]", self[node])
        if not kids:
            return [node]
        found = []
        for kid in re.findall(rb"(\d+) 0 R", kids[1]):
            found += self.sheets(int(kid))
        return found

    def places_of(self) -> dict[str, int]:
        """The number of the sheet, from 1, of every place that a link inside leads to."""
        number = {sheet: n for n, sheet in enumerate(self.sheets(), 1)}
        entries = self[self.reference(self.root, b"Dests")]
        found = re.findall(rb"/([^\s/\[]+) \[(\d+) 0 R /XYZ", entries)
        return {_name(name): number[int(sheet)] for name, sheet in found}


def _name(written: bytes) -> str:
    """A PDF name as text: #2E stands for a point."""
    return re.sub(rb"#([0-9A-Fa-f]{2})", lambda m: bytes.fromhex(m[1].decode()), written).decode()


def _text(said: str) -> bytes:
    return b"<" + ("\ufeff" + said).encode("utf-16-be").hex().upper().encode() + b">"


def finished(content: bytes, about: Record) -> bytes:
    """The PDF with the book's metadata, and with the date of the release for every date.

    They are added at the end, as a PDF may be changed; what Chromium wrote stays where it is.
    """
    date = f"D:{about.date.replace('-', '')}000000+00'00'".encode()
    content = re.sub(rb"D:\d{14}\+00'00'", date, content)
    objects = Objects(content)
    old = objects[objects.info]
    producer = re.findall(rb"/Producer (\(.*?\))", old)[0]
    info = (
        b"<</Title %b\n/Author %b\n/Subject %b\n/Keywords %b\n/Creator (Chromium)\n/Producer %b\n"
        b"/CreationDate (%b)\n/ModDate (%b)>>"
    ) % (
        _text(f"{about.title}: {about.subtitle}"),
        _text(about.authors),
        _text(about.abstract),
        _text(", ".join(about.keywords)),
        producer,
        date,
        date,
    )
    root = objects[objects.root].replace(
        b"/Type /Catalog", b"/Type /Catalog\n/PageMode /UseOutlines", 1
    )
    made, rows = content.rstrip(b"\n") + b"\n", []
    for number, body in sorted({objects.info: info, objects.root: root}.items()):
        rows.append(b"%d 1\n%010d 00000 n \n" % (number, len(made)))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(made)
    return (
        made
        + b"xref\n%btrailer\n<</Size %d\n/Root %d 0 R\n/Info %d 0 R\n/Prev %d>>\n"
        % (
            b"".join(rows),
            len(objects.places),
            objects.root,
            objects.info,
            objects.start,
        )
        + (b"startxref\n%d\n%%%%EOF\n" % start)
    )


# --- the command ----------------------------------------------------------------------


def make(site: Path = printed.SITE, file: Path = FILE, only: Sequence[str] = ()) -> int:
    """Write the PDF of a built site whole, and return the number of its sheets.

    Raises:
        ValueError: no built site, or one whose formulas or pictures cannot be printed.
        TimeoutError: Chromium did not answer.
    """
    pages = printed.read(site, only)
    text = document(pages, printed.live_site(), site)

    async def attempt() -> bytes:
        async with printed.rendered(text, site) as page:
            await page.emulate_media(media="print")
            print("typesetting the formulas", flush=True)
            await page.evaluate(TYPESET)
            seen = await page.evaluate(FIT)
            for fault, found in seen.items():
                if found:
                    raise ValueError(f"what cannot be printed ({fault}): {found[0]!r}")
            options = {"prefer_css_page_size": True, "outline": True, "tagged": True}
            print("printing, to number the contents", flush=True)
            numbers = Objects(await page.pdf(**options)).places_of()
            await page.evaluate(NUMBER, numbers)
            print("printing", flush=True)
            content: bytes = await page.pdf(**options)
            if Objects(content).places_of() != numbers:
                raise ValueError("the numbers in the contents moved the sheets they count")
            return content

    content = finished(
        printed.with_patience(attempt, PATIENCE + A_PAGE * len(pages)), printed.record()
    )
    printed.write_whole(file, content)
    return len(re.findall(rb"/Type /Page\n", content))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site", type=Path, nargs="?", default=printed.SITE, help="a built site")
    parser.add_argument("file", type=Path, nargs="?", default=FILE, help="the PDF")
    parser.add_argument("--only", nargs="*", default=(), help="pages, such as book/index (all)")
    chosen = parser.parse_args(arguments)
    try:
        sheets = make(chosen.site, chosen.file, chosen.only)
        if chosen.file == FILE:
            printed.offer(FILE, chosen.site)
    except (OSError, ValueError) as error:
        print(f"pdf.py: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.file}: {sheets} sheets, {chosen.file.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
