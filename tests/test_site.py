"""The built site, read as files and driven in Chromium.

Every page is opened twice, in light on a desk and in dark on a phone, scrolled through until
all figures are drawn, with the network closed but for the site's own host. What was seen is
kept in .make/visits, for one build of the site and one state of this file, and each test looks at
one side of it. The checks that read files are functions of a folder, and a small bad site shows
that each can fail.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import gzip
import http.server
import json
import math
import os
import posixpath
import re
import statistics
import threading
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from optdyn import charts

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
VEGA = ROOT / "book" / "vendored" / "vega" / "vega-bundle.js"

PAGE_BUDGET = 1_000_000  # bytes, compressed, without what pages share
SHARED_BUDGET = 2_500_000  # bytes, compressed: scripts, styles and fonts of all pages together
FIGURE_BUDGET, FIGURES_BUDGET = 300_000, 900_000  # bytes of data: one figure, one page
PROGRAM_BUDGET = 10_000  # bytes, compressed: the programs of one figure that computes
ANSWER_BUDGET = 100  # ms from a key to a changed chart; a test fails at three times this
PATIENCE = 1500  # ms before a chart counts as unmoved

DESK = ("light", 1280)
PHONE = ("dark", 390)


def pages_of(site: Path) -> list[str]:
    """The names of a site's pages, without those that belong to its machinery.

    Nor the decks, which show one slide at a time: test_site_slides.py looks at them.
    """
    found = (path.relative_to(site) for path in sorted(site.rglob("*.html")))
    return [
        p.as_posix()
        for p in found
        if (p.parts[0] == "_modules" or not p.parts[0].startswith("_")) and p.parts[0] != "slides"
    ]


# The library's modules as pages, which are all made alike: of most only the links are followed.
MODULES = [name for name in pages_of(SITE) if name.startswith("_modules/")]
LISTINGS = (MODULES if os.environ.get("OPTDYN_ALL") == "1" else MODULES[:2]) or ["_modules"]
# index.html at the top only leads on, and has a test of its own
PAGES = [name for name in pages_of(SITE) if name not in ("index.html", *MODULES)]
PAGES = PAGES or ["book/index.html"]
ARTICLES = [name for name in PAGES if name != "search.html"]
FIGURES = [
    name
    for name in ARTICLES
    if (SITE / name).exists() and 'class="optdyn-figure"' in (SITE / name).read_text("utf8")
]


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        pytest.fail("There is no site in _build/html; build it first: python make.py build")
    return SITE


# --- reading pages as files -----------------------------------------------------------


class Document(HTMLParser):
    """What the checks need to know of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[int] = []
        self.images: list[dict[str, str | None]] = []
        self.figures: set[str] = set()
        self.math = 0
        self.language = self.title = ""
        self._in_article = self._in_title = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"] or "")
        for name in ("href", "src"):
            if values.get(name):
                self.addresses.append(values[name])
        if tag == "html":
            self.language = values.get("lang") or ""
        elif tag == "title" and not self.title:
            self._in_title = True
        elif tag == "article":
            self._in_article = True
        elif self._in_article and re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        elif tag == "img":
            self.images.append(values)
        classes = (values.get("class") or "").split()
        self.math += "math" in classes
        if "optdyn-figure" in classes:
            self.figures.add(values.get("data-figure") or "")

    def handle_endtag(self, tag):
        if tag == "article":
            self._in_article = False
        elif tag == "title":
            self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title += data


@functools.cache
def document(path: Path) -> Document:
    return Document(path.read_text("utf8"))


def link_problems(site: Path) -> list[str]:
    """Links, anchors, scripts and pictures that lead nowhere inside the site."""
    problems = []
    for name in pages_of(site):
        for address in document(site / name).addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            if not target.is_file():
                problems.append(f"{name}: {address} leads to no file")
            elif parts.fragment and target.suffix == ".html":
                goal = document(target)
                figure = parts.fragment.partition(".")[0]
                state = "=" in parts.fragment and figure in goal.figures
                if not state and unquote(parts.fragment) not in goal.ids:
                    problems.append(f"{name}: {address} leads to no such place")
    return sorted(set(problems))


def text_problems(path: Path) -> list[str]:
    """Faults of a page's structure."""
    page = document(path)
    problems = []
    if page.language != "en":
        problems.append("the language of the page is not stated")
    if not page.title.strip():
        problems.append("the page has no title")
    if page.headings and (page.headings[0] != 1 or page.headings.count(1) != 1):
        problems.append(f"the article does not have one h1, at its head: {page.headings}")
    steps = zip(page.headings, page.headings[1:], strict=False)
    problems += [f"an h{a} is followed by an h{b}" for a, b in steps if b > a + 1]
    problems += [f"a picture without alt: {i.get('src')}" for i in page.images if "alt" not in i]
    repeated = [name for name, count in Counter(page.ids).items() if count > 1]
    problems += [f"the id {name!r} stands more than once" for name in repeated]
    return problems


def figure_data(path: Path) -> dict[str, dict]:
    """What each figure of a page hands to its script."""
    text = path.read_text("utf8")
    figures = re.finditer(
        r'data-figure="([^"]*)"(?:(?!optdyn-figure).)*?'
        r'<script type="application/json">(.*?)</script>',
        text,
        re.S,
    )
    return {f"{m.start()} {m.group(1)}": json.loads(m.group(2)) for m in figures}


def figure_sizes(path: Path) -> dict[str, int]:
    """Bytes of the data that each figure of a page carries."""
    return {name: len(json.dumps(data.get("tables"))) for name, data in figure_data(path).items()}


def program_sizes(path: Path) -> dict[str, int]:
    """Compressed bytes of the programs of each figure that computes."""
    programs = {name: data.get("program") for name, data in figure_data(path).items()}
    return {
        name: len(gzip.compress((p["compute"] + (p["prepare"] or "")).encode(), 9))
        for name, p in programs.items()
        if p
    }


def weight(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), 6))


# --- the browser ----------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    yield from serve(site)


launched: list[Browser] = []  # one in a process: other files take this fixture as their own


@pytest.fixture(scope="session")
def browser(chromium: Path) -> Iterator[Browser]:
    if launched:
        yield launched[0]
        return
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ]
    # Playwright's waiting tasks are greenlets. One that is collected while pytest parses a
    # source to show a failure ends the whole run with a SystemError (CPython 3.11).
    gc.disable()
    with sync_playwright() as playwright:
        launched.append(playwright.chromium.launch(executable_path=chromium, args=arguments))
        yield launched[0]
        launched.pop().close()
    gc.enable()


# Now and then a headless Chromium stops drawing a page, and who waits for a frame waits for ever.
# The forty pauses follow each other, so that a page that is merely busy is given its time.
SCROLL_THROUGH = """async () => {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight / 2) {
    scrollTo({ top: y, behavior: 'instant' });
    const frame = new Promise((done) => requestAnimationFrame(() => done('drawn')));
    let seen;
    for (let k = 0; k < 40 && !seen; k++) seen = await Promise.race([frame, pause(250)]);
    if (!seen) return false;
    await pause(20);
  }
  scrollTo({ top: 0, behavior: 'instant' });
  return true;
}"""
SETTLED = """() => [...document.querySelectorAll('.optdyn-figure')]
  .every((figure) => ['drawn', 'failed'].includes(figure.dataset.state))"""
TYPESET = "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }"
SEEN = """() => {
  const raw = [];
  const walker = document.createTreeWalker(
    document.querySelector('article') ?? document.body, NodeFilter.SHOW_TEXT);
  const left_alone = 'code, pre, script, style, mjx-container, kbd';
  while (walker.nextNode()) {
    const text = walker.currentNode.data;
    if (!walker.currentNode.parentElement.closest(left_alone)
        && /\\\\[()\\[\\]]|\\$[^$]+\\$|\\\\(?:frac|sum|lambda|eta|begin)/.test(text))
      raw.push(text);
  }
  const figures = [...document.querySelectorAll('.optdyn-figure')].map((figure) => ({
    name: figure.dataset.figure,
    state: figure.dataset.state ?? 'not begun',
    marks: figure.querySelectorAll('svg path, svg image').length,
    flat: [...figure.querySelectorAll('svg image')]
      .filter((image) => !image.getBBox().width || !image.getBBox().height).length,
  }));
  return {
    raw, figures,
    math: document.querySelectorAll('mjx-container').length,
    wrong_math: document.querySelectorAll('mjx-merror').length,
    // equations that begin where no scrolling reaches them
    cut_math: [...document.querySelectorAll('div.math > mjx-container')].filter((e) =>
      e.getBoundingClientRect().left < e.parentElement.getBoundingClientRect().left - 1).length,
    width: document.documentElement.clientWidth,
    content: document.documentElement.scrollWidth,
    title: document.title,
  };
}"""


PLAIN_CODE = """() => {
  for (const code of [...document.querySelectorAll('.highlight pre')].slice(3))
    code.textContent = code.textContent;
}"""


class Visit(NamedTuple):
    """What a browser saw of a page."""

    outside: list[str]  # addresses on other hosts that were asked for
    refused: list[str]  # answers of 400 and more, and requests that failed
    errors: list[str]  # on the console, and uncaught
    loaded: list[str]  # paths on the site's host
    seen: dict
    accessibility: list[str]  # serious and critical findings


def opened(browser: Browser, scheme: str, width: int, height: int = 900) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    return page


class NoFramesError(AssertionError):
    """The browser has stopped drawing the page."""


def read_through(page: Page, address: str) -> None:
    """Load a page and scroll through it until all that is drawn late is drawn."""
    page.goto(address)
    page.wait_for_load_state("load")
    page.evaluate(TYPESET)
    if not page.evaluate(SCROLL_THROUGH):
        raise NoFramesError(f"no frame of {address} was drawn in ten seconds")
    with contextlib.suppress(PlaywrightTimeout):  # a test says which figure is missing
        page.wait_for_function(SETTLED)


AXE = {  # and the one rule of WCAG 2.2, which axe leaves out unless asked
    "preload": False,
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},
}


def counts(rule: dict) -> bool:
    """Whether a finding of axe is one against WCAG 2.2 A or AA, or a serious one of its own."""
    guidelines = any(re.fullmatch(r"wcag2\d?aa?", tag) for tag in rule["tags"])
    return guidelines or rule["impact"] in ("serious", "critical")


def visit(browser: Browser, base: str, name: str, scheme: str, width: int) -> Visit:
    page = opened(browser, scheme, width)
    outside, refused, errors, loaded = [], [], [], []

    def asked(request):
        if request.url.startswith(base):
            loaded.append(unquote(urlsplit(request.url).path.lstrip("/")))
        elif not request.url.startswith(("data:", "blob:", "about:")):
            outside.append(request.url)

    page.on("request", asked)
    page.on("requestfailed", lambda request: refused.append(request.url))
    page.on(
        "response",
        lambda answer: refused.append(answer.url) if answer.status >= 400 else None,
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    try:
        read_through(page, base + name)
        # what is folded away counts too
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        seen = page.evaluate(SEEN)
        # most of axe's time goes into the contrast of each word of code: three blocks will do
        page.evaluate(PLAIN_CODE)
        # axe would load style sheets once more, and get their imports' addresses wrong
        options = AXE
        # and look for ages at each stroke of a formula, which is drawn in the text's colour
        context = {"exclude": [["mjx-math"]]}
        found = Axe().run(page, context, options).response["violations"]
    finally:
        page.close()
    accessibility = [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]}"
        for rule in found
        if counts(rule)
        for node in rule["nodes"][:3]
    ]
    return Visit(outside, refused, errors, sorted(set(loaded)), seen, accessibility)


@pytest.fixture(scope="session")
def visits(browser: Browser, address: str):
    """Visits of the site's pages, each made once for a build."""
    of = f"{(SITE / 'index.html').stat().st_mtime_ns} {Path(__file__).stat().st_mtime_ns}"
    folder = ROOT / ".make" / "visits" / of
    folder.mkdir(parents=True, exist_ok=True)

    @functools.cache
    def kept(name: str, scheme: str, width: int) -> Visit:
        path = folder / f"{name.replace('/', ' ')} {scheme} {width}.json"
        if not path.exists():
            try:
                seen = visit(browser, address, name, scheme, width)
            except NoFramesError:
                seen = visit(browser, address, name, scheme, width)
            path.with_suffix(".new").write_text(json.dumps(seen), encoding="utf8")
            path.with_suffix(".new").rename(path)
        return Visit(*json.loads(path.read_text("utf8")))

    return kept


both_looks = pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
every_page = pytest.mark.parametrize("name", PAGES)
every_article = pytest.mark.parametrize("name", ARTICLES)


# --- files ----------------------------------------------------------------------------


def test_every_link_and_anchor_inside_the_site_resolves(site):
    assert link_problems(site) == []


@every_page
def test_the_structure_of_a_page_is_sound(site, name):
    assert text_problems(site / name) == []


def test_the_pages_of_the_book_are_there(site):
    expected = {"how_to_read", "notation", "claims", "status", "bibliography", "index"}
    assert {f"book/{name}.html" for name in expected} <= set(pages_of(site))
    for topic in ("noise", "cycles", "shiftk", "adam"):
        assert f"chapters/{topic}/1_phenomenon.html" in pages_of(site)


def test_every_claim_is_listed_and_leads_to_its_cell(site):
    text = (site / "book" / "claims.html").read_text("utf8")
    boxes = {
        name: anchor
        for name in pages_of(site)
        for anchor in document(site / name).ids
        if anchor.startswith("claim-")
    }
    assert boxes, "no notebook carries a claim"
    for name, anchor in boxes.items():
        assert f'href="{posixpath.relpath(name, "book")}#{anchor}"' in text


@pytest.mark.budget
@pytest.mark.parametrize("name", FIGURES)
def test_the_data_of_figures_stay_within_their_budgets(site, name):
    sizes = figure_sizes(site / name)
    assert sizes
    print(f"\n{name}: " + ", ".join(f"{n.split()[1]} {s / 1000:.0f} kB" for n, s in sizes.items()))
    assert max(sizes.values()) <= FIGURE_BUDGET
    assert sum(sizes.values()) <= FIGURES_BUDGET
    programs = program_sizes(site / name)
    print(", ".join(f"{n.split()[1]} program {s / 1000:.1f} kB" for n, s in programs.items()))
    assert [n for n, size in programs.items() if size > PROGRAM_BUDGET] == []


# --- every page, light on a desk and dark on a phone -----------------------------------


@both_looks
@every_page
def test_no_request_leaves_the_host_and_none_fails(visits, name, look):
    seen = visits(name, *look)
    assert seen.outside == []
    assert seen.refused == []


@both_looks
@every_page
def test_the_console_stays_silent(visits, name, look):
    assert visits(name, *look).errors == []


@both_looks
@every_page
def test_no_serious_accessibility_finding(visits, name, look):
    assert visits(name, *look).accessibility == []


@every_page
def test_a_phone_never_scrolls_sideways(visits, name):
    seen = visits(name, *PHONE).seen
    assert seen["content"] == seen["width"]


@both_looks
@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_of_a_module_is_a_page_like_the_others(visits, site, name, look):
    seen = visits(name, *look)
    assert seen.outside == seen.refused == seen.errors == seen.accessibility == []
    assert look != PHONE or seen.seen["content"] == seen.seen["width"]
    assert text_problems(site / name) == []


@both_looks
@every_article
def test_mathematics_is_typeset(visits, site, name, look):
    seen = visits(name, *look).seen
    assert seen["math"] >= document(site / name).math
    assert seen["wrong_math"] == seen["cut_math"] == 0
    assert seen["raw"] == []


@both_looks
@every_article
def test_every_figure_is_drawn(visits, site, name, look):
    figures = visits(name, *look).seen["figures"]
    assert len(figures) >= len(document(site / name).figures)
    assert [f for f in figures if f["state"] != "drawn" or not f["marks"] or f["flat"]] == []


def test_the_book_has_figures(site):
    assert "book/index.html" in FIGURES
    assert "chapters/cycles/1_phenomenon.html" in FIGURES


def test_the_front_door_opens_on_the_first_page(browser, address):
    page = opened(browser, *DESK)
    page.goto(address)
    page.wait_for_url("**/book/index.html")
    page.get_by_role("link", name="How to read this book").first.click()
    page.wait_for_url("**/book/how_to_read.html")
    page.close()


def test_search_finds_a_page(browser, address):
    page = opened(browser, *DESK)
    page.goto(address + "search.html?q=Feigenbaum")
    page.wait_for_selector("#search-results li a")
    page.close()


def test_what_search_shows_is_words_of_the_pages(browser, address):
    """No TeX, and nothing of what stands around a page."""
    page = opened(browser, *DESK)
    page.goto(address + "search.html?q=kappa")
    page.locator("#search-results p.context").nth(9).wait_for()
    shown = page.locator("#search-results p.context").all_inner_texts()
    assert any("kappa" in text for text in shown)
    for text in shown:
        assert len(text) > 60 and not re.search(r"\\[([]|Notebook Print", text), text
    page.close()


# --- weight ---------------------------------------------------------------------------


def shared(path: str) -> bool:
    return path.startswith("_static/") or path in ("searchindex.js",)


@pytest.mark.budget
def test_pages_stay_within_their_weight(visits, site):
    table, together = [], set()
    for name in PAGES:
        loaded = visits(name, *DESK).loaded
        own = sum(weight(site / p) for p in loaded if p and not shared(p))
        common = {p for p in loaded if shared(p)}
        together |= common
        table.append((name, own, sum(weight(site / p) for p in common)))
    total = sum(weight(site / p) for p in together)
    for name, own, common in table:
        print(f"\n{name}: {own / 1000:.0f} kB, shared {common / 1000:.0f} kB", end="")
    print(f"\nshared by all pages together: {total / 1000:.0f} kB")
    assert [row for row in table if row[1] > PAGE_BUDGET] == []
    assert total <= SHARED_BUDGET


# --- figures answer -------------------------------------------------------------------

WATCH = """(figure) => {
  const chart = figure.querySelector('.optdyn-chart') ?? figure;
  window.answers = [];
  let asked = 0;
  figure.addEventListener('keydown', () => (asked = performance.now()), true);
  const ofChart = ({ target }) => (target.parentElement ?? target).closest('svg, canvas');
  new MutationObserver((records) => {
    if (!asked || !records.some(ofChart)) return;
    const since = asked;
    asked = 0;
    requestAnimationFrame(() => window.answers.push(performance.now() - since));
  }).observe(chart, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
PICTURE = """(figure) => [...figure.querySelectorAll('svg')].map((s) => s.outerHTML).join()
  + [...figure.querySelectorAll('canvas')].map((c) => c.toDataURL()).join()"""
STATE = """(figure) => [...figure.querySelectorAll('input, select, .optdyn-point')]
  .map((c) => c.value ?? c.getAttribute('aria-valuetext')).join()"""
BEFORE = f"(figure) => {{ window.before = [({STATE})(figure), ({PICTURE})(figure)]; }}"
AFTER = f"""async (figure, patience) => {{
  const [state, shown] = window.before, picture = {PICTURE};
  if (({STATE})(figure) === state) return [false, false];
  for (const end = performance.now() + patience; performance.now() < end;) {{
    if (picture(figure) !== shown) return [true, true];
    await new Promise((done) => setTimeout(done, 10));
  }}
  return [true, false];
}}"""


class Changes:
    """Does something to a figure, and tells whether its chart followed."""

    def __init__(self, page: Page, figure: Locator):
        self.page, self.figure = page, figure.element_handle()

    def by(self, act) -> tuple[bool, bool]:
        """(a control moved, the chart changed)"""
        self.figure.evaluate(BEFORE)
        act()
        moved, changed = self.figure.evaluate(AFTER, PATIENCE)
        return moved, changed


def drag(page: Page, point: Locator, by: int = 25) -> None:
    """Drag a handle sideways with the pointer, to the side that has room."""
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    low, high = (float(point.get_attribute(f"aria-value{end}")) for end in ("min", "max"))
    if float(point.get_attribute("aria-valuenow")) > (low + high) / 2:
        by = -by
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y, steps=4)
    page.mouse.up()


def try_controls(page: Page, figure: Locator) -> tuple[list[str], list[float]]:
    """Move every control of a figure: what went wrong, and how long answers took in ms."""
    problems = []
    figure.scroll_into_view_if_needed()
    page.wait_for_function(
        "(f) => f.dataset.state === 'drawn'", arg=figure.element_handle(), timeout=60_000
    )
    name = figure.get_attribute("data-figure")
    figure.evaluate(WATCH)
    changes = Changes(page, figure)
    ranges = figure.locator("input[type=range]").all()
    for i, control in enumerate(ranges):
        control.focus()
        results = {}
        for key in ("End", "Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowLeft"):
            moved, changed = changes.by(lambda key=key: page.keyboard.press(key))
            results.setdefault(key, []).append((moved, changed))
        if not any(changed for _, changed in results["End"] + results["Home"]):
            problems.append(f"{name}: slider {i} changes nothing from end to end")
        for key in ("ArrowRight", "ArrowLeft"):
            if not any(changed for _, changed in results[key]):
                problems.append(f"{name}: {key} on slider {i} changes nothing")
    for i, control in enumerate(figure.locator("select").all()):
        for index in range(control.locator("option").count()):
            choose = functools.partial(control.select_option, index=index)
            moved, changed = changes.by(choose)
            if moved and not changed:
                problems.append(f"{name}: choice {index} of menu {i} changes nothing")
    points = figure.locator(".optdyn-point").all()
    for i, point in enumerate(points):
        point.focus()
        for key in ("Shift+ArrowRight", "Shift+ArrowLeft"):
            moved, changed = changes.by(lambda key=key: page.keyboard.press(key))
            if moved and not changed:
                problems.append(f"{name}: {key} on point {i} changes nothing")
    if points:
        moved, changed = changes.by(lambda: drag(page, points[0]))
        if not moved or not changed:
            problems.append(f"{name}: dragging a point changes nothing")
    away = {True: ("End", "Home"), False: ("Shift+ArrowRight", "Shift+ArrowLeft")}[bool(ranges)]
    for button in figure.locator(".optdyn-controls button, .optdyn-panel button").all():
        label = button.inner_text()
        changed = False
        for key in away if ranges or points else ("Shift",):
            if ranges or points:  # away from what the button sets, wherever that is
                (ranges or points)[0].focus()
                changes.by(lambda key=key: page.keyboard.press(key))  # and wait till drawn
            moved, changed = changes.by(button.click)
            if moved:
                break
        if not changed:
            problems.append(f"{name}: button {label!r} changes nothing")
    return problems, page.evaluate("window.answers")


@pytest.mark.parametrize("name", FIGURES)
def test_every_control_changes_its_chart(browser, address, name):
    page = opened(browser, *DESK)
    read_through(page, address + name)
    problems, played = [], 0
    for figure in page.locator(".optdyn-figure").all():
        if figure.locator("input, select, button").count() == 0:
            continue
        played += 1
        found, answers = try_controls(page, figure)
        problems += found
        if answers:
            middle, longest = statistics.median(answers), max(answers)
            print(
                f"\n{name} {figure.get_attribute('data-figure')}: {middle:.0f} ms, "
                f"at most {longest:.0f} ms, {len(answers)} moves"
            )
            if middle > 3 * ANSWER_BUDGET:
                problems.append(f"{name}: {middle:.0f} ms from key to chart")
    page.close()
    assert played, "a page with figures has none to play with"
    assert problems == []


def test_a_view_can_be_linked(browser, address):
    page = opened(browser, *DESK)
    read_through(page, address + "book/index.html")
    slider = page.locator(".optdyn-figure input[type=range]").first
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_function("location.hash.length > 1")
    link, value = page.url, slider.input_value()
    other = opened(browser, *PHONE)
    read_through(other, link)
    assert other.locator(".optdyn-figure input[type=range]").first.input_value() == value
    other.close()
    page.close()


def test_a_linked_view_is_in_sight_and_survives_resizing(browser, address):
    page = opened(browser, *DESK)
    page.goto(f"{address}chapters/cycles/1_phenomenon.html#surprise.gamma=1.98&cobweb.gamma=")
    figure = page.locator("#surprise")
    page.wait_for_selector("#surprise[data-state=drawn]")
    page.wait_for_timeout(500)  # the figures above are drawn meanwhile
    top = figure.evaluate("f => f.getBoundingClientRect().top")
    assert 0 <= top < page.viewport_size["height"] / 2
    before = figure.locator("svg").evaluate("svg => svg.getAttribute('width')")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function(
        "w => document.querySelector('#surprise svg')?.getAttribute('width') < w", arg=before
    )
    moved = figure.locator("input")
    assert moved.get_attribute("aria-valuetext") == "1.980"
    page.evaluate("location.hash = '#summary'")  # a section: the figures stay as they are
    page.wait_for_timeout(200)
    assert moved.get_attribute("aria-valuetext") == "1.980"
    page.evaluate("location.hash = '#surprise.gamma=1.9'")
    page.wait_for_function(
        "document.querySelector('#surprise input').getAttribute('aria-valuetext') === '1.900'"
    )
    page.keyboard.press("Shift")  # from here on the reader decides what is in sight
    page.locator("#cobweb").scroll_into_view_if_needed()
    page.wait_for_selector("#cobweb[data-state=drawn]")
    assert page.locator("#cobweb input").first.get_attribute("aria-valuetext") == "1.6"
    page.close()


def gradient_descent(z, gamma, start, n_steps):
    """Forty steps in plain Python, the step size by bisection for the minimiser."""

    def slope(w):
        return sum(-x / (1 + math.exp(min(w * x, 700))) for x in z) / len(z)

    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    curvature = sum(x * x / (2 + math.exp(low * x) + math.exp(-low * x)) for x in z) / len(z)
    orbit = [start]
    for _ in range(n_steps):
        orbit.append(orbit[-1] - gamma / curvature * slope(orbit[-1]))
    return orbit


@pytest.mark.parametrize(
    ("data", "gamma", "start"), [(0, 2.4, 0.0), (0, 1.1, -2.5), (1, 3.0, 2.0), (2, 1.9, 1.5)]
)
def test_what_is_drawn_is_the_orbit(browser, address, data, gamma, start):
    """From the function through the packed table, the script and Vega to pixels."""
    z = [(1, 1, 1, -1), (1, 1, -1, -1), (1, 1, -1, 10)][data]
    page = opened(browser, *DESK)
    name = ["three +1, one −1", "two +1, two −1", "1, 1, −1 and 10"][data]
    state = {"cobweb.gamma": gamma, "cobweb.start": start, "cobweb.data": name}
    page.goto(f"{address}chapters/cycles/1_phenomenon.html#{urlencode(state)}")
    page.wait_for_selector("#cobweb[data-state=drawn]")
    paths = page.locator("#cobweb svg .mark-line path").evaluate_all(
        "paths => paths.map(path => path.getAttribute('d'))"
    )
    [line] = [d for d in paths if d.count("L") == 40]
    drawn = [float(point.split(",")[1]) for point in line[1:].split("L")]
    expected = [300 * (9 - w) / 13 for w in gradient_descent(z, gamma, start, 40)]
    assert max(abs(a - b) for a, b in zip(drawn, expected, strict=True)) < 0.1
    page.close()


def test_a_loss_of_many_decades_is_drawn_where_it_is(browser, address):
    """Stored as logarithms, drawn on a logarithmic axis: the loss after 20,000 steps."""
    w = [0.0, 0.0]
    for _ in range(20_000):
        first = 1 / (1 + math.exp(w[0] + 0.2 * w[1]))
        second = 1 / (1 + math.exp(-2 * w[0] + 0.2 * w[1]))
        w = [w[0] + (first - 2 * second) / 2, w[1] + 0.1 * (first + second)]
    margins = (w[0] + 0.2 * w[1], -2 * w[0] + 0.2 * w[1])
    loss = sum(math.log1p(math.exp(-m)) for m in margins) / 2
    page = opened(browser, *DESK)
    page.goto(f"{address}chapters/cycles/1_phenomenon.html#race")
    page.wait_for_selector("#race[data-state=drawn]")
    line = page.locator("#race svg .mark-line path").first.get_attribute("d")
    drawn = float(re.split("[,L]", line)[-1])
    assert abs(drawn - 240 * (1 - (math.log10(loss) + 5) / 6)) < 0.2
    page.close()


def test_charts_follow_the_page_into_the_dark(browser, address):
    colours = []
    for scheme in ("light", "dark"):
        page = opened(browser, scheme, 1280)
        read_through(page, address + "book/index.html")
        colours.append(
            page.evaluate("""() => [
          getComputedStyle(document.querySelector('.optdyn-figure svg text')).fill,
          getComputedStyle(document.body).backgroundColor]""")
        )
        page.close()
    (ink, ground), (dark_ink, dark_ground) = colours
    assert ink != dark_ink
    assert ground != dark_ground


def test_without_motion_nothing_moves(browser, address):
    page = browser.new_page(reduced_motion="reduce")
    page.goto(address + "book/index.html")
    moving = page.evaluate("""() => [...document.querySelectorAll('*')].filter((e) =>
      parseFloat(getComputedStyle(e).transitionDuration) > 0
      || getComputedStyle(e).animationName !== 'none').length""")
    page.close()
    assert moving == 0


# --- the checks can fail ----------------------------------------------------------------

BAD_PAGE = """<!DOCTYPE html>
<html><head><title></title></head><body><article>
<h2 id="twice">Late</h2><h4 id="twice">Deeper</h4>
<a href="missing.html">gone</a> <a href="good.html#nowhere">nowhere</a>
<img src="pixel.png">
<script src="https://example.org/x.js"></script>
<script>console.error("trouble"); nonsense();</script>
<p>Raw $x^2$ and \\(y\\).</p><p style="color:#ddd;background:#fff">pale</p>
<input type="range"><button></button>
<div style="width:2000px">wide</div>
<div class="optdyn-figure" data-figure="broken" data-state="failed">
<svg><image href="data:," width="10" height="0"/></svg></div>
</article></body></html>
"""
GOOD_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Good</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main><article><h1>Good</h1><h2 id="here">Here</h2><p><a href="#here">up</a> text</p>
</article></main></body></html>
"""


@pytest.fixture(scope="module")
def small_site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "bad.html").write_text(BAD_PAGE, encoding="utf8")
    (folder / "good.html").write_text(GOOD_PAGE, encoding="utf8")
    return folder


@pytest.fixture(scope="module")
def small_visits(browser, small_site):
    for base in serve(small_site):
        yield {name: visit(browser, base, f"{name}.html", *PHONE) for name in ("good", "bad")}


def test_the_file_checks_find_each_fault(small_site):
    assert link_problems(small_site) == [
        "bad.html: good.html#nowhere leads to no such place",
        "bad.html: missing.html leads to no file",
        "bad.html: pixel.png leads to no file",
    ]
    assert text_problems(small_site / "bad.html") == [
        "the language of the page is not stated",
        "the page has no title",
        "the article does not have one h1, at its head: [2, 4]",
        "an h2 is followed by an h4",
        "a picture without alt: pixel.png",
        "the id 'twice' stands more than once",
    ]
    assert text_problems(small_site / "good.html") == []


def test_the_browser_checks_find_each_fault(small_visits):
    bad = small_visits["bad"]
    assert bad.outside == ["https://example.org/x.js"]
    assert any(url.endswith("pixel.png") for url in bad.refused)
    assert any("trouble" in e for e in bad.errors)
    assert any("nonsense" in e for e in bad.errors)
    assert bad.seen["content"] > bad.seen["width"]
    assert len(bad.seen["raw"]) == 1
    assert bad.seen["figures"] == [{"name": "broken", "state": "failed", "marks": 1, "flat": 1}]
    found = " ".join(bad.accessibility)
    for rule in ("color-contrast", "image-alt", "label", "button-name", "html-has-lang"):
        assert rule in found
    good = small_visits["good"]
    assert good[:3] == ([], [], [])
    assert good.accessibility == []
    assert good.seen["content"] == good.seen["width"]


def test_a_page_that_is_no_longer_drawn_is_noticed(browser, small_site):
    page = opened(browser, *DESK)
    page.add_init_script("requestAnimationFrame = () => 0")
    for base in serve(small_site):
        with pytest.raises(NoFramesError, match=r"no frame of .*good.html"):
            read_through(page, base + "good.html")
    page.close()


def test_a_slider_that_moves_nothing_is_noticed(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("test_site.PATIENCE", 100)
    still = """<div class="optdyn-figure" data-figure="still" data-state="drawn">
      <input type="range" aria-label="dead"><svg><path d="M0 0"/></svg></div>"""
    (tmp_path / "still.html").write_text(GOOD_PAGE.replace("text</p>", f"text</p>{still}"))
    for base in serve(tmp_path):
        page = opened(browser, *DESK)
        page.goto(base + "still.html")
        problems, _ = try_controls(page, page.locator(".optdyn-figure"))
        page.close()
    assert "still: slider 0 changes nothing from end to end" in problems


# --- figures that compute ---------------------------------------------------------------

SWARM = 400  # points of a cloud
COMPUTE = f"""() => {{
  const x = new Float64Array({SWARM}), y = new Float64Array({SWARM}), z = new Float64Array(3);
  return (height, kind, points, drawn) => {{
    for (let i = 0; i < {SWARM}; i++) {{ x[i] = i / {SWARM}; y[i] = height + drawn[0] / 100; }}
    z.set(points);
    WORK
    return [x, y, new Float64Array([0, 1]), new Float64Array([0, 1 + kind]), z,
      Float64Array.of(...(kind ? [0.5, 0.5, 0.5] : [NaN, 1e40, Infinity]))];
  }};
}}"""
PREPARE = (
    "() => (key) => { (globalThis.seeds ??= []).push(key[1]); return [Float64Array.of(key[1])]; }"
)
RESULTS = [["swarm", "x"], ["swarm", "y"], ["frame", "x"], ["frame", "y"], ["z", "x"], ["z", "y"]]
FIELD = {
    "height": 200,
    "layer": [
        {
            "data": {"name": "swarm"},
            "mark": {"type": "image", "width": 300, "height": 200},
            "encoding": {"x": {"value": 0}, "y": {"value": 0}, "url": {"field": "url"}},
        },
        {
            "data": {"name": "frame"},
            "mark": {"type": "point", "opacity": 0},
            "encoding": {
                axis: {"field": axis, "type": "quantitative", "scale": {"nice": False}}
                for axis in ("x", "y")
            },
        },
    ],
}
LINE = {
    "height": 200,
    "data": {"name": "z"},
    "mark": "point",
    "encoding": {
        "x": {"field": "x", "type": "quantitative", "scale": {"domain": [-4, 4]}},
        "y": {"field": "y", "type": "quantitative", "scale": {"domain": [-1, 1]}},
    },
}


def handmade(name: str, work: str = "") -> charts.Figure:
    """A figure with a program written by hand; `work` is what it does before it returns."""
    texts = [f"{k / 10:.1f}" for k in range(1, 10)]
    controls = [
        {"name": "height", "kind": "slider", "label": "height", "unit": "", "texts": texts,
         "start": 4},
        {"name": "kind", "kind": "choice", "label": "kind", "unit": "", "start": 0,
         "texts": ["low", "tall"]},
        {"name": "z", "kind": "points", "label": "data", "start": [0.5, -1, 2],
         "ranges": [[-3, 3]], "at": [0, 0, 0], "panel": 1},
        {"name": "key", "kind": "seed", "label": "random seed", "unit": "", "start": 0,
         "texts": [str(k) for k in range(9)]},
    ]  # fmt: skip
    data = {
        "controls": controls,
        "presets": [{"label": "Together", "at": {"z": [0, 0, 0.1]}}],
        "program": {
            "compute": COMPUTE.replace("WORK", work),
            "prepare": PREPARE,
            "arguments": ["height", "kind", "z", "prepared"],
            "prepares": ["key"],
            "results": RESULTS,
            "float": "float64",
        },
        "raster": {"swarm": {"x": "x", "y": "y", "panel": 0, "colour": "#1f83c4"}},
    }
    spec = {
        "hconcat": [{**FIELD, "width": 300}, {**LINE, "width": 300}],
        "config": charts.CONFIG,
    }
    first = {name: {"x": [0.0], "y": [0.0]} for name in ("frame", "z")} | {"swarm": {"url": [""]}}
    arrays = charts.columns_of(first)
    words = "A cloud and three points that can be dragged."
    return charts.Figure(name, spec, words, arrays, lambda: data)


THROWS = "if (height > 0.85) throw new Error('the height is unheard of');"
SPINS = "if (height > 0.85) for (;;);"
SLOW = "for (const end = performance.now() + 60; performance.now() < end;);"


@pytest.fixture(scope="module")
def computing(tmp_path_factory) -> Iterator[str]:
    """The address of a folder with pages of figures that compute."""
    folder = tmp_path_factory.mktemp("computing")
    library = Path(charts.__file__).parent
    for path in (library / "explore.js", library / "explore.css", VEGA):
        (folder / path.name).write_bytes(path.read_bytes())
    head = """<link rel="stylesheet" href="explore.css"><style>:root { color-scheme: light dark }
      body { background: Canvas; color: CanvasText; margin: 0 } article { max-width: 760px;
      margin: auto; padding: 12px }</style><script defer src="vega-bundle.js"></script>
      <script defer src="explore.js"></script></head>"""
    pages = {
        "fine": [handmade("fine")],
        "faults": [handmade("throws", THROWS), handmade("spins", SPINS), handmade("lives")],
        "slow": [handmade("slow", SLOW)],
    }
    for name, figures in pages.items():
        text = "".join(figure.fragment() for figure in figures)
        text = text.replace('data-figure="spins"', 'data-figure="spins" data-limit="1500"')
        page = GOOD_PAGE.replace("text</p>", f"text</p>{text}").replace("</head>", head)
        (folder / f"{name}.html").write_text(page, encoding="utf8")
    alone = "".join(handmade(name).alone() for name in ("one", "two", "one"))
    (folder / "alone.html").write_text(f"<!DOCTYPE html><body>{alone}</body>", encoding="utf8")
    yield from serve(folder)


@pytest.fixture
def played(browser, computing):
    """Opens a page of figures that compute, and waits until all are drawn."""
    pages = []

    def open_(name: str, state: str = "", look=DESK) -> Page:
        page = opened(browser, *look)
        pages.append(page)
        page.goto(f"{computing}{name}.html{state}")
        page.evaluate(SCROLL_THROUGH)
        page.wait_for_function(SETTLED)
        return page

    yield open_
    for page in pages:
        page.close()


def press(page: Page, figure: str, key: str) -> None:
    page.locator(f"#{figure} input").first.focus()
    page.keyboard.press(key)


def test_every_control_of_a_computing_figure_changes_it(played):
    page = played("fine")
    problems, answers = try_controls(page, page.locator("#fine"))
    assert problems == []
    assert answers


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_with_computing_figures_are_sound(browser, computing, look):
    seen = visit(browser, computing, "fine.html", *look)
    assert seen.outside == seen.refused == seen.errors == seen.accessibility == []
    assert seen.seen["content"] == seen.seen["width"]
    [figure] = seen.seen["figures"]
    assert figure["state"] == "drawn"


INKED = """() => {
  const canvas = document.querySelector('#fine canvas'), box = canvas.getBoundingClientRect();
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const rows = new Set();
  for (let i = 3; i < data.length; i += 4) if (data[i]) rows.add(Math.floor(i / 4 / canvas.width));
  const ground = document.querySelector('#fine .concat_0_group path.background');
  const panel = ground.getBoundingClientRect();
  return { rows: [...rows], box: [box.left, box.top, box.width, box.height],
    panel: [panel.left, panel.top, panel.width, panel.height], height: canvas.height };
}"""


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
def test_a_cloud_lies_where_the_scales_say(played, look):
    page = played("fine", "#fine.height=0.2&fine.key=5", look)
    page.wait_for_selector("#fine[data-state=drawn]")
    found = page.evaluate(INKED)
    assert found["rows"] == [int(0.75 * found["height"])]  # 0.2 + 5 / 100 of the panel's height
    assert max(abs(a - b) for a, b in zip(found["box"], found["panel"], strict=True)) <= 1
    page.set_viewport_size({"width": 700 if look == PHONE else 500, "height": 800})
    page.wait_for_function(f"(w) => ({INKED})().box[2] !== w", arg=found["box"][2])
    found = page.evaluate(INKED)
    assert found["rows"] == [int(0.75 * found["height"])]
    assert max(abs(a - b) for a, b in zip(found["box"], found["panel"], strict=True)) <= 1


def test_points_stand_in_the_address_and_reset_brings_them_back(played):
    page = played("fine")
    handle = page.get_by_role("slider", name="Point 2 of 3")
    handle.focus()
    for key in ("Shift+ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert handle.get_attribute("aria-valuetext") == "-0.89"
    page.wait_for_function("location.hash === '#fine.z=0.5,-0.89,2'")
    drag(page, handle, -500)  # past the end of the range
    assert handle.get_attribute("aria-valuenow") in ("-3", "3")
    page.locator("#fine .optdyn-reset").click()
    assert handle.get_attribute("aria-valuenow") == "-1"
    page.wait_for_function("location.hash === ''")
    other = played("fine", "#fine.z=0.5,7,x")
    assert other.get_by_role("slider", name="Point 2 of 3").get_attribute("aria-valuenow") == "-1"
    other = played("fine", "#fine.z=0.5,-0.89,7")
    assert (
        other.get_by_role("slider", name="Point 2 of 3").get_attribute("aria-valuenow") == "-0.89"
    )
    assert other.get_by_role("slider", name="Point 3 of 3").get_attribute("aria-valuenow") == "3"


def test_a_handle_lies_on_its_point(played):
    page = played("fine", "#fine.kind=tall&fine.z=-2,0,2")
    page.wait_for_selector("#fine[data-state=drawn]")
    xs = page.evaluate("""() => {
      const middle = (e) => { const b = e.getBoundingClientRect(); return b.left + b.width / 2; };
      const marks = document.querySelectorAll('#fine .concat_1_group .mark-symbol path');
      const handles = document.querySelectorAll('#fine .optdyn-point');
      return [[...marks].map(middle), [...handles].map(middle)];
    }""")
    assert len(xs[0]) == 3
    assert max(abs(a - b) for a, b in zip(*xs, strict=True)) <= 1


def test_a_program_that_fails_leaves_the_rest_of_the_page_alone(played):
    page = played("faults")
    said = "#{} .optdyn-trouble"
    press(page, "spins", "End")  # for ever; the page goes on meanwhile
    changes = Changes(page, page.locator("#lives"))
    assert changes.by(lambda: press(page, "lives", "End")) == (True, True)
    press(page, "throws", "End")
    page.wait_for_selector(said.format("throws"))
    assert "the height is unheard of" in page.locator(said.format("throws")).inner_text()
    page.wait_for_selector(said.format("spins"))
    assert "1.5 seconds" in page.locator(said.format("spins")).inner_text()
    for _ in range(50):  # that one's worker is stopped
        if len(page.workers) == 2:
            break
        page.wait_for_timeout(100)
    assert len(page.workers) == 2
    assert page.locator("#lives").get_attribute("data-state") == "drawn"
    for name in ("throws", "spins"):
        assert page.locator(f"#{name}").get_attribute("data-state") == "failed"
        page.locator(f"{said.format(name)} button").click()
        page.wait_for_selector(f"#{name}[data-state=drawn]")
        assert page.locator(said.format(name)).count() == 0
        assert page.locator(f"#{name} input").first.input_value() == "4"
        changes = Changes(page, page.locator(f"#{name}"))
        assert changes.by(lambda name=name: press(page, name, "Home")) == (True, True)


def test_the_latest_value_wins_and_what_lies_between_is_dropped(played):
    page = played("slow")
    before = page.evaluate("document.querySelector('#slow').optdynStatistics.frames")
    slider = page.locator("#slow input").first
    page.evaluate("""() => {
      const slider = document.querySelector('#slow input');
      for (let k = 0; k < 40; k++) {
        slider.value = k % 8;
        slider.dispatchEvent(new Event('input'));
      }
    }""")
    assert slider.input_value() == "7"
    page.wait_for_function(
        f"""() => {{ const found = ({INKED.replace("fine", "slow")})();
          return found.rows.length === 1 && found.rows[0] === Math.floor(0.2 * found.height); }}"""
    )
    frames = page.evaluate("document.querySelector('#slow').optdynStatistics.frames") - before
    assert 1 <= frames <= 3


def test_noise_is_drawn_once_for_each_seed(played):
    page = played("fine")
    [worker] = page.workers
    for key in ("End", "Home", "ArrowRight"):
        press(page, "fine", key)
    page.get_by_role("button", name="New random seed").click()
    page.wait_for_function(f"(rows) => ({INKED})().rows.length === 1", arg=None)
    press(page, "fine", "End")
    page.wait_for_function("document.querySelector('#fine').optdynStatistics.frames >= 3")
    assert worker.evaluate("globalThis.seeds") == [0, 1]


def test_without_workers_the_page_computes_itself(browser, computing):
    page = opened(browser, *DESK)
    page.add_init_script("delete window.Worker")
    page.goto(computing + "fine.html")
    page.wait_for_selector("#fine[data-state=drawn]")
    changes = Changes(page, page.locator("#fine"))
    assert changes.by(lambda: press(page, "fine", "End")) == (True, True)
    assert page.workers == []
    page.close()


@pytest.mark.parametrize("network", [True, False])
def test_in_a_notebook_a_figure_works_by_itself(browser, computing, network):
    page = opened(browser, *DESK)
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if not network:
            return route.abort()
        last = "vega-embed" in route.request.url
        body = VEGA.read_text("utf8") if last else ""
        route.fulfill(body=body, content_type="text/javascript")

    page.route(lambda address: address.startswith("https:"), answer)
    page.goto(computing + "alone.html")
    page.evaluate(SCROLL_THROUGH)
    page.wait_for_function(SETTLED)
    names = page.locator(".optdyn-figure").evaluate_all("(all) => all.map((f) => f.id)")
    assert names == ["one", "two", "one-2"]
    if network:
        assert len(asked) == 3
        changes = Changes(page, page.locator("#one-2"))
        assert changes.by(lambda: press(page, "one-2", "End")) == (True, True)
        assert page.evaluate("location.hash") == ""  # the address is the notebook's
    else:
        assert page.locator("#two > img").is_visible()
        assert ".widget()" in page.locator("#two .optdyn-trouble").inner_text()
    page.close()
