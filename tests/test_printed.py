"""The PDF and the EPUB: nothing of the pages is lost, nothing is cut, no link is broken.

In `make test` they are made of a few pages of the built site, with OPTDYN_ALL=1 of the whole book.
A small site made here shows what is refused, and that what is too wide is set smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import posixpath
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

import epub
import make
import pdf
import printed
from printed import Printed

ROOT = Path(__file__).resolve().parent.parent
SITE = printed.SITE
ALL = os.environ.get("OPTDYN_ALL") == "1"
FEW = (
    "book/index",
    "chapters/noise/index",
    "chapters/noise/1_phenomenon",
    "chapters/noise/solutions",
    "book/bibliography",
)
PATIENCE = 2400 if ALL else 360  # seconds for one edition
LIVE = "https://example.org/book/"
XHTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
OPF = "{http://www.idpf.org/2007/opf}"


def run(script: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One of the two commands, in a process of its own: a test's own event loop may be running."""
    kept = {key: value for key, value in os.environ.items() if key != "OPTDYN_SITE"}
    command = [sys.executable, str(ROOT / "book" / script), *map(str, arguments)]
    return subprocess.run(
        command, env={**kept, **more}, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture(scope="module")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.fail("There is no site in _build/html; build it first: python make.py build")
    return SITE


@pytest.fixture(scope="module")
def names(site: Path) -> tuple[str, ...]:
    there = [name for name in FEW if (site / f"{name}.html").exists()]
    return () if ALL else tuple(there)


@pytest.fixture
def pages(site: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> list[Printed]:
    monkeypatch.delenv("OPTDYN_SITE", raising=False)
    return printed.read(site, names)


def twice(script: str, folder: Path, site: Path, names: tuple[str, ...]) -> tuple[Path, Path]:
    files = folder / "one", folder / "two"
    for file in files:
        done = run(script, site, file, "--only", *names)
        assert done.returncode == 0, done.stderr
    return files


@pytest.fixture(scope="module")
def pdfs(
    site: Path, names: tuple[str, ...], chromium: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    return twice("pdf.py", tmp_path_factory.mktemp("pdf"), site, names)


@pytest.fixture(scope="module")
def epubs(
    site: Path, names: tuple[str, ...], chromium: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    return twice("epub.py", tmp_path_factory.mktemp("epub"), site, names)


# --- what the site's pages hold, read apart from printed.py ---------------------------


class Held(NamedTuple):
    """What must be in an edition, counted in the site's own HTML."""

    headings: list[str]  # their texts
    figures: list[str]  # the names of those that are live on the site
    alts: list[str]  # what describes them
    formulas: int


def held(site: Path, name: str) -> Held:
    text = printed.article_of(site, name)
    text = re.sub(r'<a class="headerlink".*?</a>|<script.*?</script>', "", text, flags=re.DOTALL)
    heads = re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", text, re.DOTALL)
    figures = re.findall(
        r'class="optdyn-figure" data-figure="([^"]*)"[^>]*><img alt="([^"]*)"', text
    )
    return Held(
        [words(head) for head in heads],
        [figure for figure, _ in figures],
        [words(alt) for _, alt in figures],
        len(re.findall(r'<(?:span|div) class="math ', text)),
    )


def words(text: str) -> str:
    """A text without marks, formulas and spaces, as far as editions agree about it."""
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    return re.sub(r"\\\(.*?\\\)|\s", "", text)


# --- order ----------------------------------------------------------------------------


def copy_of(site: Path, folder: Path, *pages: str) -> Path:
    """A site of pages without anything in them."""
    for page in ("index", *pages):
        file = folder / f"{page}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("<article><h1>A page</h1></article>", "utf-8")
    (folder / "_static").symlink_to(site / "_static")
    return folder


def test_pages_come_in_the_order_of_the_contents(site: Path) -> None:
    entries = printed.order(site)
    listed = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text("utf-8"))
    assert [entry.name for entry in entries] == [
        name for name in listed if (site / f"{name}.html").exists()
    ]
    assert entries[0] == ("book/index", "", 0)
    assert ("chapters/cycles/2_mechanism", "The topics", 1) in entries


def test_solutions_that_are_withheld_are_left_out(site: Path, tmp_path: Path) -> None:
    names = [entry.name for entry in printed.order(site) if "solutions" not in entry.name]
    assert [one.name for one in printed.order(copy_of(site, tmp_path, *names))] == names


def test_a_page_that_the_site_lacks_is_named(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no page book/index\.html.*build it\s+anew"):
        printed.order(copy_of(site, tmp_path))
    with pytest.raises(ValueError, match=r"only: 'book/nothing' is no page of _toc\.yml"):
        printed.order(site, ["book/nothing"])


@pytest.mark.parametrize("script", ["pdf.py", "epub.py"])
def test_without_a_site_there_is_a_sentence(script: str, tmp_path: Path) -> None:
    done = run(script, tmp_path, tmp_path / "file")
    assert done.returncode == 1 and not (tmp_path / "file").exists()
    assert done.stderr.count("\n") == 1
    assert "there is no site in" in done.stderr and "make.py build" in done.stderr


@pytest.mark.parametrize("kind", ["pdf", "epub"])
def test_so_there_is_from_make(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "SITE", tmp_path)
    monkeypatch.setattr(make, "find_chromium", lambda: Path("/none"))
    monkeypatch.setattr(make, "setup", lambda: None)
    monkeypatch.setenv("OPTDYN_CHROMIUM", "")
    with pytest.raises(SystemExit, match=r"no site in _build/html yet: python make\.py build"):
        make.main([kind])


@pytest.mark.parametrize(("kind", "status"), [("pdf", 0), ("epub", 0), ("pdf", 1)])
def test_make_runs_the_command(
    kind: str,
    status: int,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran: list[list[str | Path]] = []

    def watch(label: str, command: list[str | Path], log: Path) -> int:
        ran.append(command)
        log.parent.mkdir(exist_ok=True)
        log.write_text("printing\nthe file: 3 sheets\n", "utf-8")
        return status

    stand_ins = {"watch": watch, "setup": lambda: None, "find_chromium": lambda: Path("/none")}
    stand_ins |= {"SITE": copy_of(site, tmp_path / "site"), "ROOT": tmp_path}
    for name, stand_in in {**stand_ins, "one_at_a_time": contextlib.nullcontext}.items():
        monkeypatch.setattr(make, name, stand_in)
    monkeypatch.setenv("OPTDYN_CHROMIUM", "")
    if status:
        with pytest.raises(SystemExit, match=f"the {kind} could not be written.*last one is kept"):
            make.main([kind])
    else:
        make.main([kind])
        assert capsys.readouterr().out == "the file: 3 sheets\n"
    assert [command[1] for command in ran] == [tmp_path / "book" / f"{kind}.py"]
    assert (ROOT / "book" / f"{kind}.py").is_file()


# --- the pages in print ---------------------------------------------------------------


def test_headings_figures_and_formulas_are_all_there(site: Path, pages: list[Printed]) -> None:
    for page in pages:
        there, article = held(site, page.entry.name), page.article
        assert [words(h.decode()) for h in article.find_all(printed.HEADINGS)] == there.headings
        figures = article.select("figure.optdyn-figure")
        assert [str(figure["data-figure"]) for figure in figures] == there.figures
        assert [words(str(figure.img["alt"])) for figure in figures] == there.alts
        assert all(there.alts)
        assert len(article.select(".math")) == there.formulas


def test_what_only_a_screen_uses_is_not_there(pages: list[Printed]) -> None:
    for page in pages:
        text = page.article.decode()
        for useless in ("<script", "<style", "<button", "headerlink", "optdyn-run", " onclick"):
            assert useless not in text, page.entry.name
        assert "above-input" not in text, page.entry.name  # code that is folded away


def test_ids_are_unique_and_links_inside_lead_somewhere(pages: list[Printed], site: Path) -> None:
    text = pdf.document(pages, "", site)
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    goals, known = printed.links_inside(text)
    assert goals <= known and len(goals) > 20
    addresses = re.findall(r'<a [^>]*href="([^"]*)"', text)
    assert all(re.match(r"#|https?://|mailto:", address) for address in addresses)


def test_each_figure_says_its_state_and_its_page(pages: list[Printed]) -> None:
    for page in pages:
        for figure in page.article.select("figure.optdyn-figure"):
            said = figure.select_one("p.live").get_text()
            assert f"{page.entry.name}.html of the site, figure “{figure['data-figure']}”" in said
    (front,) = [page for page in pages if page.entry.name == "book/index"]
    said = front.article.select_one("p.live").get_text()
    assert re.match(r"Live, and shown here at [^:]*\d", said)


def test_with_an_address_the_figures_are_linked(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTDYN_SITE", LIVE)
    (page,) = printed.read(site, ["chapters/noise/1_phenomenon"])
    links = [str(link["href"]) for link in page.article.select("p.live a")]
    assert len(links) == len(page.article.select("figure.optdyn-figure"))
    pattern = re.escape(LIVE) + r"chapters/noise/1_phenomenon\.html(#[\w-]+\.\w+=[^\s#]+)?"
    assert all(re.fullmatch(pattern, link) for link in links), links
    assert f"{LIVE}chapters/noise/1_phenomenon.html#shaken-ball.n=20" in links
    # links to pages that are not in this print lead to the site
    assert page.article.find("a", href=f"{LIVE}book/notation.html")
    assert LIVE in pdf.document([page], LIVE, site) and LIVE in epub.title_page(
        printed.record(), LIVE
    )


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTDYN_SITE", "example.org")
    with pytest.raises(
        ValueError, match=r"OPTDYN_SITE.*such as https://example.org.*'example.org'"
    ):
        printed.live_site()


# --- the PDF --------------------------------------------------------------------------


def text_of(written: bytes) -> str:
    """A string of a PDF as Chromium or pdf.py writes it."""
    if written.startswith(b"<"):
        return bytes.fromhex(written[1:-1].decode()).decode("utf-16")
    plain = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), written[1:-1])
    return re.sub(rb"\\(.)", rb"\1", plain).decode("latin-1")


STRING = rb"(<[0-9A-Fa-f]*>|\((?:\\.|[^\\)])*\))"


def outline(objects: pdf.Objects, number: int, depth: int = 0) -> list[tuple[int, str, int]]:
    """Depth, text and the object of the sheet of what the outline lists below an object."""
    found = []
    child = re.search(rb"/First (\d+) 0 R", objects[number])
    while child:
        item = objects[int(child[1])]
        title = re.search(rb"/Title " + STRING, item, re.DOTALL)
        goal = re.search(rb"/Dest \[(\d+) 0 R", item)
        assert title and goal
        found.append((depth, text_of(title[1]), int(goal[1])))
        found += outline(objects, int(child[1]), depth + 1)
        child = re.search(rb"/Next (\d+) 0 R", item)
    return found


@pytest.fixture(scope="module")
def objects(pdfs: tuple[Path, Path]) -> pdf.Objects:
    content = pdfs[0].read_bytes()
    return pdf.Objects(content[: content.index(b"%%EOF\n") + 6])  # as Chromium wrote it


def test_two_runs_give_the_same_pdf(pdfs: tuple[Path, Path]) -> None:
    assert pdfs[0].read_bytes() == pdfs[1].read_bytes()


def test_the_outline_lists_every_heading(
    objects: pdf.Objects, pages: list[Printed], site: Path
) -> None:
    listed = outline(objects, objects.reference(objects.root, b"Outlines"))
    expected, part = ["Contents"], ""
    for page in pages:
        if page.entry.part != part:
            part = page.entry.part
            expected.append(words(part))
        expected += held(site, page.entry.name).headings
    # a formula in a heading is read as its glyphs, or not at all
    shown = [words(text) for _, text, _ in listed]
    assert len(shown) == len(expected)
    plain = [(a, b) for a, b in zip(shown, expected, strict=True) if a != b]
    assert len(plain) <= sum(
        "math" in str(h) for p in pages for h in p.article.select("h1,h2,h3,h4")
    )
    sheet = {number: n for n, number in enumerate(objects.sheets(), 1)}
    places = [sheet[goal] for _, _, goal in listed]
    assert places == sorted(places)
    assert {depth for depth, _, _ in listed} >= {0, 1, 2, 3}


def test_every_figure_is_described_in_the_pdf(
    objects: pdf.Objects, site: Path, pages: list[Printed]
) -> None:
    said = {words(text_of(alt)) for alt in re.findall(rb"/Alt " + STRING, objects.content, re.S)}
    alts = [alt for page in pages for alt in held(site, page.entry.name).alts]
    assert alts and [alt for alt in alts if alt not in said] == []


def test_the_contents_number_the_sheets(objects: pdf.Objects, pages: list[Printed]) -> None:
    places = objects.places_of()
    numbers = [places[page.slug] for page in pages]
    assert numbers == sorted(set(numbers)) and numbers[0] >= 3  # each page of the book has its own
    assert numbers[-1] <= len(objects.sheets())


def test_links_in_the_pdf_lead_to_places_that_it_has(objects: pdf.Objects) -> None:
    goals = {pdf._name(goal) for goal in re.findall(rb"/Dest /(\S+)", objects.content)}
    assert len(goals) > 20 and goals <= set(objects.places_of())


def test_the_pdf_says_what_it_is(pdfs: tuple[Path, Path]) -> None:
    content, about = pdfs[0].read_bytes(), printed.record()
    date = about.date.replace("-", "")
    assert set(re.findall(rb"D:(\d{14})", content)) == {f"{date}000000".encode()}
    tail = content[content.rindex(b"%%EOF", 0, -20) :]
    texts = [text_of(found) for found in re.findall(rb"/(?:Title|Author) " + STRING, tail)]
    assert texts == [f"{about.title}: {about.subtitle}", about.authors]
    assert b"/PageMode /UseOutlines" in tail and b"/Lang (en)" in tail
    assert set(re.findall(rb"/MediaBox \[([^]]*)\]", content)) == {b"0 0 594.95996 841.91998"}
    # the table at the end leads to what it says
    start = int(content[content.rindex(b"startxref") :].split()[1])
    table = content[start : content.rindex(b"trailer")]
    rows = re.findall(rb"(\d+) 1\n(\d{10}) 00000 n \n", table)
    assert len(rows) == 2 and all(
        content[int(place) :].startswith(number + b" 0 obj") for number, place in rows
    )


# --- the EPUB -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(epubs: tuple[Path, Path]) -> dict[str, bytes]:
    with zipfile.ZipFile(epubs[0]) as archive:
        return {about.filename: archive.read(about) for about in archive.infolist()}


def chapters(files: dict[str, bytes]) -> dict[str, ElementTree.Element]:
    return {
        name.removeprefix("book/"): ElementTree.fromstring(content)
        for name, content in files.items()
        if name.endswith(".xhtml")
    }


def test_two_runs_give_the_same_epub(epubs: tuple[Path, Path]) -> None:
    assert epubs[0].read_bytes() == epubs[1].read_bytes()


def test_its_kind_comes_first_and_uncompressed(epubs: tuple[Path, Path]) -> None:
    assert epubs[0].read_bytes()[30:58] == b"mimetypeapplication/epub+zip"
    with zipfile.ZipFile(epubs[0]) as archive:
        listed = archive.infolist()
    assert len(listed) == len({about.filename for about in listed})
    assert {about.date_time for about in listed} == {epub.DATE}
    assert listed[0].compress_type == zipfile.ZIP_STORED and not listed[0].extra


def test_the_package_lists_every_file_and_the_order(
    files: dict[str, bytes], pages: list[Printed]
) -> None:
    container = ElementTree.fromstring(files["META-INF/container.xml"])
    (root,) = container.iter("{urn:oasis:names:tc:opendocument:xmlns:container}rootfile")
    package = ElementTree.fromstring(files[root.attrib["full-path"]])
    items = {item.attrib["id"]: item.attrib for item in package.iter(OPF + "item")}
    listed = {"book/" + item["href"] for item in items.values()}
    assert listed == set(files) - {"mimetype", "META-INF/container.xml", "book/package.opf"}
    assert [i["href"] for i in items.values() if i.get("properties") == "nav"] == ["contents.xhtml"]
    spine = [items[ref.attrib["idref"]]["href"] for ref in package.iter(OPF + "itemref")]
    assert spine == ["title.xhtml", "contents.xhtml", *(f"{page.slug}.xhtml" for page in pages)]
    for item in items.values():
        content, properties = files["book/" + item["href"]], item.get("properties", "").split()
        assert ("mathml" in properties) == (b"<math " in content and b"MathML" in content)
        assert ("svg" in properties) == (item["href"].endswith("xhtml") and b"<svg" in content)
    said = files["book/package.opf"].decode()
    about = printed.record()
    for part in (about.title, about.authors, f"{about.date}T00:00:00Z", "<dc:language>en<"):
        assert part in said


def test_the_chapters_hold_what_the_pages_hold(
    files: dict[str, bytes], pages: list[Printed], site: Path
) -> None:
    found = chapters(files)
    for page in pages:
        there, chapter = held(site, page.entry.name), found[f"{page.slug}.xhtml"]
        heads = [e for e in chapter.iter() if re.fullmatch(r"h[1-6]", e.tag.removeprefix(XHTML))]
        assert len(heads) == len(there.headings)
        assert len(list(chapter.iter(MATHML + "math"))) == there.formulas
        assert all(formula.attrib["alttext"] for formula in chapter.iter(MATHML + "math"))
        pictures = list(chapter.iter(XHTML + "img"))
        assert [words(picture.attrib["alt"]) for picture in pictures][
            : len(there.alts)
        ] == there.alts
        for picture in pictures:
            drawing = ElementTree.fromstring(files["book/" + picture.attrib["src"]])
            assert float(drawing.attrib["width"]) > 50 and float(drawing.attrib["height"]) > 50
            assert len(list(drawing.iter())) > 10
    assert b"merror" not in b"".join(files.values())


def test_its_links_and_ids_are_good(files: dict[str, bytes]) -> None:
    found = chapters(files)
    ids = {
        name: [e.attrib["id"] for e in one.iter() if "id" in e.attrib]
        for name, one in found.items()
    }
    for name, chapter in found.items():
        assert len(ids[name]) == len(set(ids[name])), name
        assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", one) for one in ids[name])
        for link in chapter.iter(XHTML + "a"):
            address = link.attrib.get("href", "#")
            if re.match(r"https?:|mailto:", address):
                continue
            file, _, place = address.partition("#")
            goal = posixpath.normpath(file) if file else name
            assert goal in found, address
            assert not place or place in ids[goal], address


def test_its_contents_list_every_page(files: dict[str, bytes], pages: list[Printed]) -> None:
    text = files["book/contents.xhtml"].decode()
    links = re.findall(r'<a href="([^"]*)">([^<]*)</a>', text)
    assert [(link, html.unescape(title)) for link, title in links] == [
        (f"{page.slug}.xhtml", page.title) for page in pages
    ]
    assert 'epub:type="toc"' in text and "<span>The topics</span><ol>" in text


def test_its_style_has_no_names_and_no_sheets(files: dict[str, bytes]) -> None:
    style = files["book/style.css"].decode()
    assert "var(" not in style and "@page" not in style and ".highlight .k" in style


# --- a small site ---------------------------------------------------------------------

FIGURE = """<div class="optdyn-figure" data-figure="f" role="group"><img alt="A line." src="{src}">\
<script type="application/json">{{"controls": [{{"kind": "slider", "name": "a", "label": "a",
"start": 0, "unit": "", "texts": ["1"]}}]}}</script></div>"""
DRAWING = (
    "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%22{0}%22 "
    "height=%22{0}%22%3E%3Cpath d=%22M0,0L9,9%22/%3E%3C/svg%3E"
)


def small(site: Path, folder: Path, body: str) -> Path:
    made = copy_of(site, folder, "book/index")
    text = f'<article class="bd-article"><h1 id="top">A page</h1>{body}</article>'
    (made / "book" / "index.html").write_text(text, "utf-8")
    return made


def formula(tex: str) -> str:
    return f'<div class="math notranslate nohighlight">\n\\[{tex}\\]</div>'


def test_links_of_every_kind(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTDYN_SITE", raising=False)
    body = (
        '<p id="top">Twice.</p><p><a href="#top">1</a> <a href="index.html#f.a=1">2</a> '
        '<a href="../_modules/x.html#y" download>3</a> <a href="https://example.org/">4</a> '
        '<a href="#gone">5</a></p>' + FIGURE.format(src=DRAWING.format(90))
    )
    made = small(site, tmp_path, body)
    (page,) = printed.read(made, ["book/index"])
    links = [(link.get_text(), link["href"]) for link in page.article.select("a")]
    assert links == [
        ("1", "#book-index--top"),
        ("2", "#book-index--figure-f"),
        ("4", "https://example.org/"),
        ("5", "#book-index"),
    ]
    assert len(page.article.find_all(id="book-index--top")) == 1
    assert {str(element["id"])[:12] for element in page.article.find_all(id=True)} == {
        "book-index--"
    }
    monkeypatch.setenv("OPTDYN_SITE", LIVE)
    (page,) = printed.read(made, ["book/index"])
    links = [(link.get_text(), link["href"]) for link in page.article.select("a")]
    assert links[1:3] == [("2", f"{LIVE}book/index.html#f.a=1"), ("3", f"{LIVE}_modules/x#y")]


def test_a_figure_without_a_picture_is_named(site: Path, tmp_path: Path) -> None:
    made = small(site, tmp_path, FIGURE.format(src="elsewhere.png"))
    with pytest.raises(ValueError, match=r"book/index\.html: the figure f has no still picture"):
        printed.read(made, ["book/index"])


def test_what_is_too_wide_is_set_smaller(site: Path, tmp_path: Path, chromium: Path) -> None:
    wide = formula("+".join(f"x_{{{n}}}" for n in range(60)))
    cells = "".join(f"<td>averyverylongword{n}</td>" for n in range(12))
    code = f"<pre>{'a long line of code, ' * 20}</pre>"
    table = f"<table><tr>{cells}</tr></table>"
    made = small(site, tmp_path, wide + table + code + FIGURE.format(src=DRAWING.format(2000)))
    done = run("pdf.py", made, tmp_path / "file", "--only", "book/index")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes().startswith(b"%PDF")


BAD = {
    "wrong": formula(r"1 + \nothing"),
    "raw": formula(r"\frac{1}{2"),
    "blank": FIGURE.format(src=DRAWING.format(0)),
    "cut": '<div style="width: 300mm"><pre>code</pre></div>',
}


@pytest.mark.parametrize("fault", BAD)
def test_what_cannot_be_printed_is_said(
    fault: str, site: Path, tmp_path: Path, chromium: Path
) -> None:
    made = small(site, tmp_path, BAD[fault])
    done = run("pdf.py", made, tmp_path / "file", "--only", "book/index")
    assert done.returncode == 1 and not (tmp_path / "file").exists()
    assert re.fullmatch(rf"pdf\.py: what cannot be printed \({fault}\): .*\n", done.stderr)


@pytest.mark.parametrize("fault", ["wrong", "raw"])
def test_a_formula_that_is_none_is_named(
    fault: str, site: Path, tmp_path: Path, chromium: Path
) -> None:
    made = small(site, tmp_path, BAD[fault])
    done = run("epub.py", made, tmp_path / "file", "--only", "book/index")
    tex = {"wrong": r"1 + \nothing", "raw": r"\frac{1}{2"}[fault]
    assert done.returncode == 1
    assert done.stderr == f"epub.py: MathJax does not understand the formula {tex!r}\n"


# --- a browser that hangs, and the downloads ------------------------------------------


@pytest.mark.parametrize("hangs", [1, 2])
def test_a_browser_that_hangs_is_tried_twice(hangs: int) -> None:
    tries: list[int] = []

    async def attempt() -> str:
        tries.append(1)
        if len(tries) <= hangs:
            await asyncio.sleep(60)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        given = pool.submit(printed.with_patience, attempt, 0.05)
        if hangs == 1:
            assert given.result(30) == "done"
        else:
            with pytest.raises(TimeoutError, match=r"Chromium did not answer .* twice"):
                given.result(30)
    assert len(tries) == 2


def test_editions_are_offered_on_the_first_page_and_not_printed(site: Path, tmp_path: Path) -> None:
    made = small(site, tmp_path / "site", "<p>Text.</p>")
    before = (made / "book" / "index.html").read_text("utf-8")
    files = [tmp_path / f"{printed.NAME}.{kind}" for kind in ("pdf", "epub")]
    for file in (*files, *files):
        file.write_bytes(b"x" * 1_500_000)
        printed.offer(file, made)
        assert (made / "downloads" / file.name).read_bytes() == file.read_bytes()
    text = (made / "book" / "index.html").read_text("utf-8")
    line = (
        '\n<p class="optdyn-run optdyn-editions">To print or carry: '
        f'<a href="../downloads/{printed.NAME}.pdf" download>PDF</a> (1.5 MB), '
        f'<a href="../downloads/{printed.NAME}.epub" download>EPUB</a> (1.5 MB).</p>'
    )
    assert text == before.replace("</h1>", "</h1>" + line)
    (page,) = printed.read(made, ["book/index"])
    assert "To print" not in page.article.get_text()
