"""The pages of the built site as parts of one print, for pdf.py and epub.py.

A page in print is the article of the site's page: each figure as the still picture that it
carries, with its controls' values and the address of the live one; ids that are unique in the
book; links among pages as links inside. Code that the page folds away is left out, but for the
solutions of exercises. What only a screen can use is left out too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import posixpath
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import playwright.async_api
import yaml
from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
STYLE = ROOT / "book" / "printed.css"
NAME = "dynamics-of-learning"
BASE = "http://book.invalid/"  # never asked for: render() answers from the site's folder

SCREEN = ".headerlink, .optdyn-run, .toctree-wrapper, button, svg.sd-octicon, .sd-summary-state-marker, .backrefs"  # noqa: E501
DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)
FOLDED = re.compile(r'<details class="admonition hide above-input">.*?</details>', re.DOTALL)
PLAIN = re.compile(r'<span class="(?:n|nn|nx|p|w)">([^<]*)</span>')  # code as black as all text
ANSWER = re.compile(r'<div class="cell[^"]*\btag_solution-only\b[^"]*">\s*$')
HEADINGS = re.compile(r"h[1-6]")


class Entry(NamedTuple):
    """A page in the order of the book."""

    name: str  # without its ending, from the top of the site
    part: str  # the caption of the part that it is in
    depth: int  # 0 for a page of the contents, 1 for one below another


@dataclass
class Printed:
    """A page as it is printed."""

    entry: Entry
    title: str
    article: Tag
    ids: dict[str, str] = field(default_factory=dict)  # of the site's page: of the print

    @property
    def slug(self) -> str:
        """Its name among the ids of the print.

        >>> slug("chapters/adam/index")
        'chapters-adam-index'
        """
        return slug(self.entry.name)


class Record(NamedTuple):
    """What the title page says, from CITATION.cff."""

    title: str
    subtitle: str
    authors: str
    abstract: str
    keywords: tuple[str, ...]
    version: str
    date: str  # of the release, as 2026-11-25: both editions are dated by it


def slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def record() -> Record:
    given = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    title, _, subtitle = given["title"].partition(": ")
    return Record(
        title,
        subtitle[:1].upper() + subtitle[1:],
        ", ".join(str(author["name"]) for author in given["authors"]),
        " ".join(given["abstract"].split()),
        tuple(given["keywords"]),
        str(given["version"]),
        str(given["date-released"]),
    )


def live_site() -> str:
    """The address of the site, with a slash at its end; empty where it has none.

    Raises:
        ValueError: OPTDYN_SITE or html: baseurl is no address of the web.
    """
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    given = os.environ.get("OPTDYN_SITE", (config.get("html") or {}).get("baseurl") or "")
    if given and not re.match(r"https?://[^/]", given):
        raise ValueError(
            "OPTDYN_SITE, or html: baseurl in _config.yml, must be the address of the site, such "
            f"as https://example.org/book/; got {given!r}. Correct it, or leave it out."
        )
    return given.rstrip("/") + "/" if given else ""


def order(site: Path = SITE, only: Iterable[str] = ()) -> list[Entry]:
    """The pages in the order of _toc.yml; solutions that the site withholds are left out.

    Arguments:
        only: the names of those to take; all, if there are none.
    Raises:
        ValueError: no built site, a page that it lacks, or a name that the book lacks.
    """
    if not (site / "index.html").is_file():
        raise ValueError(f"there is no site in {site} yet; build it first: python make.py build")
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    entries = [Entry(toc["root"], "", 0)]
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            entries.append(Entry(chapter["file"], part["caption"], 0))
            sections = chapter.get("sections", ())
            entries += [Entry(section["file"], part["caption"], 1) for section in sections]
    wanted = set(only)
    if unknown := sorted(wanted - {entry.name for entry in entries}):
        raise ValueError(f"only: {unknown[0]!r} is no page of _toc.yml, such as {toc['root']!r}")
    entries = [entry for entry in entries if not wanted or entry.name in wanted]
    there = [entry for entry in entries if (site / f"{entry.name}.html").is_file()]
    for entry in entries:
        if entry not in there and not entry.name.endswith("/solutions"):
            raise ValueError(
                f"the site in {site} has no page {entry.name}.html, which _toc.yml lists; build it "
                "anew: python make.py build"
            )
    return there


# --- reading pages --------------------------------------------------------------------


def read(site: Path = SITE, only: Iterable[str] = ()) -> list[Printed]:
    """The pages of a built site as they are printed, in the order of the book.

    Raises:
        ValueError: as order() and live_site() do, or a page without an article or a figure
            without a picture.
    """
    live = live_site()
    pages = [_cleaned(entry, site, live) for entry in order(site, only)]
    named = {page.entry.name: page for page in pages}
    for page in pages:
        for link in page.article.find_all("a"):
            _lead(link, page, named, live, site)
    return pages


def article_of(site: Path, name: str) -> str:
    """The HTML of the article of a page of the site."""
    text = (site / f"{name}.html").read_text("utf-8")
    start, end = text.find("<article"), text.find("</article>")
    if start < 0 or end < 0:
        raise ValueError(f"{name}.html has no article; build the site anew: python make.py build")
    return text[start:end] + "</article>"


def _cleaned(entry: Entry, site: Path, live: str) -> Printed:
    """A page without what only a screen uses, its links still those of the site."""
    text = article_of(site, entry.name)
    data = [json.loads(found) for found in DATA.findall(text)]  # one a figure
    text = DATA.sub("", text)
    text = PLAIN.sub(r"\1", FOLDED.sub(_unfolded, text))
    article = BeautifulSoup(text, "html.parser").article
    assert article is not None
    for useless in article.select(SCREEN):
        useless.decompose()
    for script in article.find_all(["script", "style"]):
        script.decompose()
    heading = article.find("h1")
    title = " ".join(heading.get_text().split()) if heading else entry.name
    page = Printed(entry, title, article)
    for cell in article.select("div.cell"):
        if not cell.get_text(strip=True) and not cell.find("img"):
            cell.decompose()
    figures = article.select("div.optdyn-figure")
    if len(figures) != len(data):
        raise ValueError(
            f"{entry.name}.html has {len(figures)} figures and the data of {len(data)}; "
            "build the site anew: python make.py build"
        )
    for figure, about in zip(figures, data, strict=True):
        _still(figure, about, page, live)
    _identify(page)
    return page


def _unfolded(found: re.Match[str]) -> str:
    """Code that a page folds away: nothing, but where it is the solution of an exercise."""
    if not ANSWER.search(found.string, 0, found.start()):
        return ""
    code = found[0].partition("</summary>")[2].removesuffix("</details>")
    plain = BeautifulSoup(code, "html.parser").get_text()
    return "" if re.search(r"\.widget\(\)|charts\.figure\(", plain) else code  # it draws


def _new(name: str, *children: str | Tag, **attributes: str) -> Tag:
    """An element; `class_` is its class."""
    made = BeautifulSoup("", "html.parser").new_tag(name)
    for key, value in attributes.items():
        made[key.rstrip("_")] = value
    made.extend([NavigableString(c) if isinstance(c, str) else c for c in children])
    return made


def _still(figure: Tag, about: dict[str, Any], page: Printed, live: str) -> None:
    """Put a figure's still picture, its state and its address in the place of the figure."""
    name = str(figure["data-figure"])
    picture = figure.find("img")
    if not isinstance(picture, Tag) or not str(picture.get("src", "")).startswith("data:image/"):
        raise ValueError(
            f"{page.entry.name}.html: the figure {name} has no still picture; run its notebook "
            f"anew: python make.py execute {page.entry.name}.ipynb"
        )
    said = state(about["controls"])
    line = _new("p", class_="live")
    line.append("Live" + (f", and shown here at {said}: " if said else ": "))
    if live:
        address = live + figure_address(page.entry.name, name, about["controls"])
        line.append(_new("a", address, href=address))
    else:
        line.append(_new("span", f"{page.entry.name}.html", class_="path"))
        line.append(f" of the site, figure “{name}”")
    made = _new("figure", picture.extract(), line, class_="optdyn-figure")
    made["id"] = f"figure-{name}"
    made["data-figure"] = name
    figure.replace_with(made)


def state(controls: Sequence[dict[str, Any]]) -> str:
    """The values at which a figure's controls start, in words.

    >>> state([{"kind": "slider", "label": "memory κ", "start": 1, "unit": "%", "texts": ["0", "5"]}])
    'memory κ 5%'
    """  # noqa: E501
    said = []
    for control in controls:
        if control["kind"] != "points":
            value = control["texts"][control["start"]] + control["unit"]
            said.append(f"{control['label']} {value}".replace("-", "−") if value else "")
    return ", ".join(filter(None, said))


def figure_address(page: str, name: str, controls: Sequence[dict[str, Any]]) -> str:
    """Where a figure is live, from the top of the site; explore.js turns to a figure so named."""
    fragment = ""
    for control in controls:
        if control["kind"] != "points":
            value = quote(control["texts"][control["start"]], safe=",;")
            fragment = f"#{name}.{control['name']}={value}"
            break
    return f"{page}.html{fragment}"


def _identify(page: Printed) -> None:
    """Make the ids of a page unique in the book; one that comes twice in a page is kept once."""
    for element in page.article.find_all(id=True):
        old = str(element["id"])
        if old in page.ids:
            del element["id"]
        else:
            element["id"] = page.ids[old] = f"{page.slug}--{slug(old)}"


def _lead(
    link: Tag, page: Printed, pages: dict[str, Printed], live: str, site: Path = SITE
) -> None:
    """Make a link lead inside the book, or to an address of the web; else keep only its words."""
    href = str(link.get("href", ""))
    for key in [key for key in link.attrs if key not in ("class", "id", "href", "title")]:
        del link[key]
    if urlsplit(href).scheme in ("http", "https", "mailto"):
        return
    path, _, place = href.partition("#")
    here = posixpath.dirname(page.entry.name)
    goal = posixpath.normpath(posixpath.join(here, unquote(path))) if path else page.entry.name
    goal = goal.removesuffix(".html")
    place = unquote(place)
    figure = place.partition("=")[0].partition(".")[0] if "=" in place else ""
    if figure and live:
        link["href"] = f"{live}{goal}.html#{place}"
    elif goal in pages:
        named = f"figure-{figure}" if figure else place
        link["href"] = "#" + pages[goal].ids.get(named, pages[goal].slug)
    elif live and href and not goal.startswith(".."):
        full = site / f"{goal}.html"
        link["href"] = f"{live}{goal}{'.html' if full.is_file() else ''}" + f"#{place}" * bool(
            place
        )
    else:
        link.name = "span"
        del link["href"]


def links_inside(html: str) -> tuple[set[str], set[str]]:
    """The places that links of a print lead to, and the ids that it has."""
    return set(re.findall(r'href="#([^"]*)"', html)), set(re.findall(r'\sid="([^"]*)"', html))


# --- formulas -------------------------------------------------------------------------


def formula(element: Tag) -> tuple[str, bool]:
    """The TeX of an element with a formula, and whether it stands by itself."""
    text = "".join(
        str(child)
        for child in element.descendants
        if isinstance(child, NavigableString) and not child.find_parent(class_="eqno")
    ).strip()
    for opening, closing, display in ((r"\(", r"\)", False), (r"\[", r"\]", True)):
        if text.startswith(opening) and text.endswith(closing):
            return text[2:-2].strip(), display
    return text, element.name == "div"


# --- the browser ----------------------------------------------------------------------

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]


def browser_path() -> str:
    """The Chromium to use: OPTDYN_CHROMIUM, or the one that make.py finds."""
    sys.path.append(str(ROOT))
    try:
        import make
    finally:
        sys.path.remove(str(ROOT))
    try:
        return str(make.find_chromium())
    except SystemExit as problem:
        raise ValueError(str(problem.code).removeprefix("make.py: ")) from None


@contextlib.asynccontextmanager
async def rendered(document: str, site: Path = SITE) -> AsyncIterator[Any]:
    """A Chromium page that shows a document, whose files come from the site and from nowhere else.

    Whoever uses it bounds the time: asyncio.timeout. The browser ends with it.
    """

    async def answer(route: Any) -> None:
        path = unquote(urlsplit(route.request.url).path).lstrip("/")
        file = site / path
        if path == "print.html":
            await route.fulfill(body=document, content_type="text/html; charset=utf-8")
        elif route.request.url.startswith(BASE) and file.is_file() and ".." not in path:
            kind = KINDS.get(file.suffix, "application/octet-stream")
            await route.fulfill(body=file.read_bytes(), content_type=kind)
        else:
            await route.abort()

    async with playwright.async_api.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=browser_path(), args=ARGUMENTS, handle_sigterm=False
        )
        try:
            page = await browser.new_page()
            page.set_default_timeout(0)  # the one bound is the caller's
            await page.route("**/*", answer)
            await page.goto(f"{BASE}print.html")
            yield page
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(browser.close(), 10)


def with_patience(attempt: Any, seconds: float) -> Any:
    """What `attempt`, which makes a coroutine, gives within that time, or gives when tried again.

    Headless Chromium now and then stops drawing a page, for good.

    Raises:
        TimeoutError: it was too slow, twice.
        ValueError: Chromium ended or failed, twice.
    """
    for last in (False, True):
        try:
            return asyncio.run(asyncio.wait_for(attempt(), seconds))
        except TimeoutError:
            if last:
                raise TimeoutError(
                    f"Chromium did not answer within {seconds:.0f} seconds, twice; call again"
                ) from None
        except playwright.async_api.Error as problem:
            if last:
                raise ValueError(f"Chromium failed, twice: {problem.message}") from None


# --- the editions among the site's downloads -------------------------------------------

EDITIONS = {"pdf": "PDF", "epub": "EPUB"}
LINE = re.compile(r'\n<p class="optdyn-run optdyn-editions">.*?</p>')


def offer(path: Path, site: Path = SITE) -> None:
    """Put an edition among the downloads of the site, and link what is there on its first page."""
    folder = site / "downloads"
    folder.mkdir(exist_ok=True)
    write_whole(folder / path.name, path.read_bytes())
    files = {kind: f"{NAME}.{kind}" for kind in EDITIONS}
    links = [
        f'<a href="../downloads/{file}" download>{EDITIONS[kind]}</a> '
        f"({(folder / file).stat().st_size / 1e6:.1f} MB)"
        for kind, file in files.items()
        if (folder / file).is_file()
    ]
    front = site / "book" / "index.html"
    text = LINE.sub("", front.read_text("utf-8"))
    line = f'\n<p class="optdyn-run optdyn-editions">To print or carry: {", ".join(links)}.</p>'
    write_whole(front, text.replace("</h1>", f"</h1>{line}", 1).encode())


def write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".tmp")
    part.write_bytes(content)
    os.replace(part, path)


@functools.cache
def style() -> str:
    return STYLE.read_text("utf-8")
