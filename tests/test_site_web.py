"""The site as others meet it: its policy, its downloads, its cards, its keyboard, its weight.

Every page is opened once more, from make.py's own server, which sends what ``_headers`` says. What
the policy should stop is tried on a copy of a page. The DevTools protocol tells each control's role
and name as assistive software is told them; it does not pass on ``aria-valuetext``, which is read
from the page.
"""

from __future__ import annotations

import functools
import gzip
import http.client
import http.server
import json
import os
import posixpath
import re
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page

import make
from test_site import (
    ARTICLES,
    DESK,
    FIGURES,
    MODULES,
    PAGES,
    ROOT,
    SETTLED,
    SITE,
    address,
    browser,
    opened,
    site,
    weight,
)
from tests import lighthouse, outside

sys.path.insert(0, str(ROOT / "book" / "_ext"))

import bookweb

__all__ = ["address", "browser", "site"]  # the fixtures

ALL = os.environ.get("OPTDYN_ALL") == "1"  # make test-all
REQUESTS = 45  # of a page, at most
BYTES = 1_900_000  # of a page with all that it loads, compressed, at most
FIRST_BYTES = 700_000  # of a page without figures

DECKS = [path.relative_to(SITE).as_posix() for path in sorted(SITE.glob("slides/*.html"))]

every_page = pytest.mark.parametrize("name", PAGES)
every_article = pytest.mark.parametrize("name", ARTICLES)


def text_of(name: str) -> str:
    return (SITE / name).read_text("utf8")


def policy_of(text: str) -> dict[str, list[str]]:
    """The policy that a page states of itself: {directive: [source, ...]}."""
    lines = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    assert len(lines) == 1
    return parsed(lines[0])


def parsed(line: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (part.split() for part in line.split(";"))}


# --- the policy, as text --------------------------------------------------------------


@pytest.mark.parametrize("name", [*PAGES, *DECKS, "index.html"])
def test_a_page_states_its_policy_before_anything_is_loaded(site, name):
    text = text_of(name)
    stated = policy_of(text)
    assert stated["default-src"] == ["'self'"]
    inline = bookweb.inline_scripts(text)
    assert stated["script-src"] == [
        "'self'",
        *sorted(f"'{bookweb.fingerprint(s)}'" for s in inline),
    ]
    assert stated["worker-src"] == ["blob:"]
    assert stated["object-src"] == stated["base-uri"] == stated["script-src-attr"] == ["'none'"]
    assert "unsafe-eval" not in str(stated)
    assert [k for k, sources in stated.items() if "'unsafe-inline'" in sources] == ["style-src"]
    before = text.partition('http-equiv="Content-Security-Policy"')[0]
    assert not re.search(r"<(?:script|link|style|img)\b", before)
    bare = re.sub(r"<script\b.*?</script>", "", text, flags=re.S)
    assert not re.search(r"<[a-z][^<>]*\son[a-z]+=", bare)
    assert "javascript:" not in bare


def test_only_the_search_page_has_a_script_of_its_own(site):
    assert [name for name in PAGES if bookweb.inline_scripts(text_of(name))] == ["search.html"]
    settings = (site / bookweb.SETTINGS).read_text("utf8")
    for words in ("dataset.theme", "togglebuttonSelector", "window.MathJax"):
        assert words in settings


def test_what_servers_are_told_allows_what_every_page_allows(site):
    headers = dict(make.site_headers(site))
    assert set(bookweb.HEADERS) < set(headers)
    sent = parsed(headers["Content-Security-Policy"])
    assert sent.pop("frame-ancestors") == ["'self'"]
    for name in [*PAGES, *DECKS]:
        stated = policy_of(text_of(name))
        assert stated.keys() == sent.keys()
        assert all(set(sources) <= set(sent[k]) for k, sources in stated.items()), name
    assert len(headers["Content-Security-Policy"]) < 1000  # some servers limit a header


def test_hosting_says_the_policy_as_it_is_sent(site):
    text = (ROOT / "book" / "hosting.md").read_text("utf8")
    for directive, sources in {**bookweb.POLICY, **bookweb.HEADER_ONLY}.items():
        assert f"`{directive} {sources}`" in text
    for header, value in bookweb.HEADERS.items():
        assert f"`{header}: {value}`" in text


def test_a_handler_in_a_page_stops_the_build():
    page = '<head><meta charset="utf-8"></head><p>a <b title=">" onclick="go()">b</b>'
    with pytest.raises(ValueError, match="onclick"):
        bookweb.guard(page)
    made = bookweb.guard("<meta charset='utf-8'><script>go()</script>")
    assert bookweb.fingerprint("go()") in made.partition("<script>")[0]
    with pytest.raises(ValueError, match="charset"):
        bookweb.guard("<p>text</p>")


def test_scripts_that_pages_share_move_into_one_file():
    head = "<head><script>\n  let a = 1;\n</script><script src='x.js'></script>{}</head>{}"
    pages = {
        "a/one.html": head.format("<script>DOCUMENTATION_OPTIONS.pagename = 'a/one';</script>", ""),
        "two.html": head.format("<script>let b = 2;</script>", "<script>let a = 1;</script>"),
    }
    assert bookweb.gather(pages) == "let a = 1;\n"
    assert re.findall(r"<script.*?</script>", pages["a/one.html"]) == [
        pages["a/one.html"][6:].partition("</script>")[0] + "</script>",
        "<script src='x.js'></script>",
    ]
    assert 'src="../_static/settings.js?v=' in pages["a/one.html"]
    assert 'src="_static/settings.js?v=' in pages["two.html"]
    assert bookweb.inline_scripts(pages["two.html"]) == ["let b = 2;", "let a = 1;"]


# --- the policy, in a browser ---------------------------------------------------------

WITNESS = """window.violations = [];
addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective
  + ' ' + event.blockedURI), true);"""
ALL_FIGURES = "dispatchEvent(new Event('beforeprint'))"  # each is drawn, in sight or not


def serve(folder: Path) -> Iterator[str]:
    """The address at which make.py's server offers a folder."""
    with make.open_server(folder, 8400) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    yield from serve(site)


def read(page: Page, place: str) -> None:
    """Load a page and draw all its figures; no frame need ever be shown."""
    page.goto(place)
    page.wait_for_load_state("load")
    page.evaluate(ALL_FIGURES)
    page.wait_for_function(SETTLED, polling=50)


class Meeting(NamedTuple):
    """What one visit told."""

    violations: list[str]
    requests: list[str]  # paths on the site's host
    controls: list[dict[str, Any]]  # role and name, as assistive software is told
    texts: list[list[str | None]]  # of each slider: aria-valuetext, and what is shown beside it
    kinds: dict[str, int]  # controls of figures in the page itself


ROLES = ("slider", "combobox", "button", "link", "searchbox", "textbox", "checkbox", "spinbutton")
SLIDERS = """() => [...document.querySelectorAll('.optdyn-figure [type=range], .optdyn-point')]
  .map((c) => [c.getAttribute('aria-valuetext'),
    c.type === 'range' ? c.parentElement.querySelector('output').textContent : null])"""
KINDS = """() => {
  const count = (selector) => document.querySelectorAll('.optdyn-figure ' + selector).length;
  return { slider: count('[type=range]') + count('.optdyn-point'), combobox: count('select'),
    button: count('button') };
}"""


def meet(browser: Browser, base: str, name: str) -> Meeting:
    page = opened(browser, *DESK)
    page.add_init_script(WITNESS)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    try:
        read(page, base + name)
        tools = page.context.new_cdp_session(page)
        top = tools.send("DOM.getDocument", {"depth": 0})["root"]["backendNodeId"]
        controls = [
            {"role": role, "name": node.get("name", {}).get("value", "").strip()}
            for role in ROLES
            for node in tools.send(
                "Accessibility.queryAXTree", {"backendNodeId": top, "role": role}
            )["nodes"]
            if not node["ignored"]
        ]
        mine = [unquote(urlsplit(r).path[1:]) for r in requests if r.startswith(base)]
        violations, texts = page.evaluate("violations"), page.evaluate(SLIDERS)
        return Meeting(violations, mine, controls, texts, page.evaluate(KINDS))
    finally:
        page.close()


@every_page
def test_a_page_keeps_its_policy_and_names_its_controls(browser, served, name):
    """And is as light as it should be: one visit shows all three."""
    met = meet(browser, served, name)
    assert met.violations == []
    assert [c for c in met.controls if not c["name"]] == []
    assert [text for text, _ in met.texts if not text] == []
    assert [pair for pair in met.texts if pair[1] is not None and pair[0] != pair[1]] == []
    for role, count in met.kinds.items():
        assert sum(c["role"] == role for c in met.controls) >= count
    assert (name in FIGURES) == bool(re.search("vega-bundle", " ".join(met.requests)))
    heavy = sum(weight(SITE / path) for path in set(met.requests))
    print(f"\n{name}: {len(met.requests)} requests, {heavy / 1000:.0f} kB")
    assert len(met.requests) == len(set(met.requests)) <= REQUESTS
    assert heavy <= (BYTES if name in FIGURES else FIRST_BYTES)


ATTACKS = """
<script>window.harmed = 'a script in the page';</script>
<p id="t" onclick="window.harmed = 'a handler'">text</p>
<img alt="" src="https://example.org/pixel.png">
<iframe title="" src="https://example.org/"></iframe>
<object data="https://example.org/x.swf"></object>
<script src="https://example.org/x.js"></script>
<script src="evil.js"></script>
</body>"""
EVIL = """const attempt = (name, act) => { try { act(); window.harmed = name; } catch {} };
attempt('eval', () => eval('1'));
attempt('Function', () => new Function('return 1')());
setTimeout("window.harmed = 'a text that a timer runs'", 0);
fetch('https://example.org/').then(() => (window.harmed = 'fetch'), () => {});
document.querySelector('#t').click();
const address = document.createElement('base');
address.href = 'https://example.org/';
document.head.append(address);
window.tried = true;"""
REFUSED = {
    "script-src-elem inline",
    "script-src-attr inline",
    "img-src https://example.org/pixel.png",
    "frame-src https://example.org",
    "object-src https://example.org",
    "script-src-elem https://example.org/x.js",
    "script-src eval",
    "connect-src https://example.org/",
    "base-uri https://example.org/",
}
IN_A_WORKER = """() => new Promise((done) => {
  const source = `const said = [];
    try { eval('1'); said.push('eval'); } catch {}
    try { new Function('return 1')(); said.push('Function'); } catch {}
    try { importScripts('https://example.org/x.js'); said.push('import'); } catch {}
    fetch('https://example.org/').then(() => said.push('fetch'), () => {})
      .then(() => postMessage(said));`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.onmessage = ({ data }) => done(data);
  worker.onerror = () => done('no worker');
})"""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory) -> Path:
    """A page of the book with attacks in it: with its policy, with the server's, with none."""
    folder = tmp_path_factory.mktemp("attacked")
    text = text_of("book/how_to_read.html").replace("</body>", ATTACKS)
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    for name, content in {"page": text, "server": bare, "none": bare}.items():
        (folder / name / "book").mkdir(parents=True)
        (folder / name / "book" / "page.html").write_text(content, "utf8")
        (folder / name / "book" / "evil.js").write_text(EVIL, "utf8")
        shutil.copytree(SITE / "_static", folder / name / "_static")
    shutil.copy(SITE / "_headers", folder / "server")
    return folder


@pytest.mark.parametrize("by", ["page", "server", "none"])
def test_the_policy_stops_what_it_should(browser, attacked, by):
    """As the page states it and as the server sends it; without it the attacks succeed."""
    for base in serve(attacked / by):
        page = opened(browser, *DESK)
        page.add_init_script(WITNESS)
        # if the policy lets them go, no one answers
        page.route("https://example.org/**", lambda route: route.abort())
        try:
            page.goto(base + "book/page.html")
            page.wait_for_function("window.tried", polling=50)
            page.wait_for_timeout(100)
            seen, harmed = page.evaluate("[violations, window.harmed ?? '']")
            in_worker = page.evaluate(IN_A_WORKER)
        finally:
            page.close()
    if by == "none":
        assert seen == []
        assert harmed
        assert in_worker == ["eval", "Function"]  # the other host does not answer
    else:
        assert set(seen) == REFUSED
        assert harmed == ""
        assert in_worker == []


def test_a_figure_computes_from_a_file_under_the_policy(browser, site):
    """As it does for who unpacks the site and opens it without a server."""
    page = opened(browser, *DESK)
    page.add_init_script(WITNESS)
    try:
        read(page, (site / "book" / "gallery.html").as_uri())
        states = page.evaluate(
            "[...document.querySelectorAll('.optdyn-figure')].map((f) => f.dataset.state)"
        )
        assert set(states) == {"drawn"}
        assert len(page.workers) == len(states)
        assert page.evaluate("violations") == []
    finally:
        page.close()


# --- the keyboard ---------------------------------------------------------------------

FOCUS = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  // what has no height shows its focus on its card, or on what is drawn in it
  const shown = [e, e.closest('.sd-card'), e.firstElementChild]
    .find((one) => one?.getBoundingClientRect().height);
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const spots = [...shown.getClientRects()].flatMap((r) => [0.2, 0.5, 0.8].map((part) =>
    document.elementFromPoint(r.left + r.width * part, r.top + r.height / 2)));
  const seen = spots.some((s) => s && (shown.contains(s) || s.contains(shown)));
  window.stops ??= new Map();
  if (!window.stops.has(e)) window.stops.set(e, window.stops.size);
  return { number: window.stops.get(e), ring, inside, seen,
    what: e.outerHTML.slice(0, 120), skip: !!e.closest('.skip-link'),
    main: !!e.closest('main'), figure: e.closest('.optdyn-figure')?.dataset.figure ?? '' };
}"""
WALKED = ARTICLES if ALL else ["book/index.html", "book/notation.html", "chapters/adam/index.html"]


@pytest.mark.parametrize("name", [*WALKED, "search.html"])
def test_the_tab_key_reaches_everything_and_shows_where_it_is(browser, served, name):
    page = opened(browser, *DESK)
    page.emulate_media(reduced_motion="reduce")  # or the page is still scrolling when it is seen
    try:
        read(page, served + name)
        page.evaluate("document.activeElement.blur()")  # the search page begins in its field
        stops = []
        for _ in range(600):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUS)
            if stop is None or (stops and stop["number"] == 0):
                break
            stops.append(stop)
        wanted = page.evaluate(
            """() => [...document.querySelectorAll('.optdyn-figure :is(input, select, button), '
              + '.optdyn-point, a.left-prev, a.right-next')].length"""
        )
    finally:
        page.close()
    numbers = [stop["number"] for stop in stops]
    assert numbers == list(range(len(stops))), "the focus goes round in a trap"
    assert len(stops) < 600
    assert [s for s in stops if not (s["ring"] and s["inside"] and s["seen"])] == []
    if name != "search.html":
        assert stops[0]["skip"], "the first stop is not the way to the text"
    reached = sum(bool(s["figure"]) or "left-prev" in s["what"] or "right-next" in s["what"]
                  for s in stops)  # fmt: skip
    assert reached >= wanted


def test_the_first_tab_leads_past_the_contents(browser, served):
    page = opened(browser, *DESK)
    try:
        page.goto(served + "book/notation.html")
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS)["skip"]
        page.keyboard.press("Enter")
        page.wait_for_function("location.hash === '#main-content'", polling=50)
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS)["main"]
    finally:
        page.close()


def test_search_and_the_next_page_by_keyboard(browser, served):
    page = opened(browser, *DESK)
    try:
        page.goto(served + "book/how_to_read.html")
        page.wait_for_load_state("load")
        page.keyboard.press("Control+k")
        page.wait_for_selector("dialog[open] input")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog[open]", state="detached")
        page.keyboard.press("Control+k")
        page.wait_for_selector("dialog[open] input:focus")
        page.keyboard.type("Feigenbaum")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search.html?q=Feigenbaum")
        result = page.locator("#search-results li a").first
        result.wait_for()
        result.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/chapters/**")
        page.goto(served + "book/how_to_read.html")
        for link, goal in (("right-next", "notation"), ("left-prev", "how_to_read")):
            page.locator(f"a.{link}").focus()
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/book/{goal}.html")
    finally:
        page.close()


def test_next_leads_through_the_whole_book(site):
    name, met = "book/index.html", []
    while name and name not in met:
        met.append(name)
        following = re.search(r'<link rel="next"[^>]*href="([^"]*)"', text_of(name))
        button = re.search(r'<a class="right-next"\s+href="([^"]*)"', text_of(name))
        assert (following and following[1]) == (button and button[1])
        name = following and posixpath.normpath(
            posixpath.join(posixpath.dirname(name), following[1])
        )
    assert sorted(met) == sorted(ARTICLES)


def test_a_slider_announces_what_it_shows_when_it_moves(browser, served):
    page = opened(browser, *DESK)
    try:
        read(page, served + "book/index.html")
        slider = page.locator(".optdyn-figure input[type=range]").first
        slider.focus()
        before = slider.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowRight")
        after = slider.get_attribute("aria-valuetext")
        shown = slider.locator("xpath=..").locator("output")
        assert before != after == shown.inner_text()
        assert shown.evaluate("(o) => getComputedStyle(o).display") != "none"
    finally:
        page.close()


# --- cards ----------------------------------------------------------------------------


def tags_of(text: str) -> dict[str, str]:
    found = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', text)
    return dict(found)


@every_article
def test_a_page_has_a_card(site, name):
    tags = tags_of(text_of(name))
    for key in ("title", "description", "image", "image:alt", "type", "site_name"):
        assert tags[f"og:{key}"], key
    assert tags["description"] == tags["og:description"]
    assert len(tags["description"]) <= bookweb.DESCRIPTION
    assert not re.search(r"[\\$<]", tags["description"])
    assert tags["twitter:card"] == "summary_large_image"
    picture = (site / name).parent / tags["og:image"]
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:]) == bookweb.CARD
    assert picture.stat().st_size < 400_000
    assert "og:url" not in tags  # only where the address of the site is known


def test_no_two_pages_describe_themselves_alike(site):
    tags = {name: tags_of(text_of(name)) for name in ARTICLES}
    for key in ("og:title", "description"):
        assert len({t[key] for t in tags.values()}) == len(ARTICLES)
    assert tags["chapters/adam/exercises.html"]["og:title"] == "Adam: exercises"
    assert tags["chapters/cycles/1_phenomenon.html"]["description"].startswith(
        "Logistic regression"
    )


def test_a_card_shows_the_first_figure_of_its_page(site):
    page = bookweb.Page(text_of("chapters/noise/1_phenomenon.html"))
    assert page.picture.startswith("<svg")
    assert bookweb.card(page) == (site / "cards/chapters-noise-1_phenomenon.png").read_bytes()
    page.picture = ""
    assert bookweb.card(page) != (site / "cards/chapters-noise-1_phenomenon.png").read_bytes()


def test_with_the_site_s_address_cards_are_absolute(monkeypatch):
    page = bookweb.Page("<article><h1>Title</h1><p>Words of a page.</p></article>")
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/book")
    where = bookweb.site_address()
    assert where == "https://example.org/book/"
    tags = tags_of(bookweb.card_tags("book/index.html", page, "Words.", where))
    assert tags["og:url"] == "https://example.org/book/book/index.html"
    assert tags["og:image"] == "https://example.org/book/cards/book-index.png"
    for wrong in ("example.org", "ftp://example.org/", "https:"):
        monkeypatch.setenv("OPTDYN_SITE", wrong)
        with pytest.raises(ValueError, match=r"OPTDYN_SITE, .* must be the address"):
            bookweb.site_address()


# --- downloads ------------------------------------------------------------------------

NOTEBOOKS = [
    name
    for name in (posixpath.splitext(page)[0] for page in ARTICLES)
    if (ROOT / f"{name}.ipynb").exists()
]
ARCHIVES = sorted({bookweb.archive_name(name) for name in NOTEBOOKS})
ALL_CELLS = """
import json, os, socket, sys
def closed(*_, **__): raise OSError("the network is closed")
socket.socket.connect = closed
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
cells = json.load(open(sys.argv[1], encoding="utf8"))["cells"]
for cell in [c for c in cells if c["cell_type"] == "code"]:
    shell.run_cell("".join(cell["source"])).raise_error()
print("LIBRARY", sys.modules["optdyn"].__file__)
"""


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_s_page_offers_it_and_its_archive(site, name):
    text = text_of(f"{name}.html")
    copy = re.search(r'href="([^"]*_sources/[^"]*\.ipynb)"', text)
    here = (site / name).parent
    assert copy
    assert (here / copy[1]).read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()
    archive = site / bookweb.archive_name(name)
    with zipfile.ZipFile(archive) as zipped:
        inside = {info.filename.partition("/")[2]: info for info in zipped.infolist()}
        stored = zipped.read(inside[f"{name}.ipynb"])
    assert stored == (ROOT / f"{name}.ipynb").read_bytes()
    wheel = f"downloads/optdyn-{make_version()}-py3-none-any.whl"
    for offered in bookweb.archive_name(name), wheel:
        assert f'href="{posixpath.relpath(offered, posixpath.dirname(name))}"' in text
        assert (site / offered).is_file()


def test_once_the_site_has_an_address_notebooks_know_where_the_wheel_is(monkeypatch):
    name = "chapters/noise/1_phenomenon"
    stored = (ROOT / f"{name}.ipynb").read_bytes()
    monkeypatch.delenv("OPTDYN_SITE", raising=False)
    assert bookweb.downloadable(name) == stored
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/book/")
    offered, kept = json.loads(bookweb.downloadable(name)), json.loads(stored)
    (first, *rest), (setup, *others) = (
        [cell for cell in nb["cells"] if cell["cell_type"] == "code"] for nb in (offered, kept)
    )
    assert 'site = "https://example.org/book"\n' in "".join(first["source"])
    assert "example.org" not in "".join(setup["source"])
    assert rest == others and len(offered["cells"]) == len(kept["cells"])
    files = bookweb.archive([name], "1")
    assert b"https://example.org/book" in files[f"dynamics-of-learning-noise/{name}.ipynb"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_the_same_bytes_each_time_and_holds_what_it_should(site, tmp_path, name):
    members = [n for n in NOTEBOOKS if bookweb.archive_name(n) == name]
    [again] = bookweb.archives(members, tmp_path, make_version())
    assert again.read_bytes() == (site / name).read_bytes()
    with zipfile.ZipFile(again) as zipped:
        names = zipped.namelist()
        text = "".join(zipped.read(n).decode() for n in names if n.endswith("README.txt"))
    assert names == sorted(names)
    assert len({n.partition("/")[0] for n in names}) == 1
    assert not [n for n in names if "__pycache__" in n or n.startswith("/") or ".." in n]
    assert text.count("\n") == 3
    folder = posixpath.dirname(members[0])
    top = names[0].partition("/")[0]
    assert f"{top}/{folder}/optdyn/__init__.py" in names
    assert f"{top}/{folder}/optdyn/explore.js" in names
    assert f"{top}/{folder}/optdyn/language_sweep.json" in names


def make_version() -> str:
    record = (ROOT / "CITATION.cff").read_text("utf8")
    return re.search(r"(?m)^version: *\"?([^\"\n]+)", record)[1]


@pytest.mark.parametrize("name", NOTEBOOKS if ALL else ["chapters/noise/1_phenomenon"])
def test_an_archive_runs_without_a_network(site, tmp_path, name):
    """Its notebooks, in an empty folder, with the library from the archive."""
    with zipfile.ZipFile(site / bookweb.archive_name(name)) as zipped:
        zipped.extractall(tmp_path)
    [top] = tmp_path.iterdir()
    notebook = top / f"{name}.ipynb"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OPTDYN"))}
    done = subprocess.run(
        [make.venv_python(), "-c", ALL_CELLS, notebook.name],
        cwd=notebook.parent,
        env={**environment, "IPYTHONDIR": str(tmp_path / "ipython")},
        text=True,
        capture_output=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    where = re.search(r"LIBRARY (.*)", done.stdout)
    assert where
    assert Path(where[1]).resolve() == (notebook.parent / "optdyn" / "__init__.py").resolve()


# --- links and Lighthouse -------------------------------------------------------------


class Answers(http.server.BaseHTTPRequestHandler):
    """A host with one page, one that is gone, one that is kept from programs."""

    def do_HEAD(self) -> None:
        if self.path == "/only-get":
            return self.send_error(405)
        self.send_response({"/": 200, "/gone": 410, "/kept": 403}.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response({"/only-get": 200, "/kept": 403}.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_link_outside_is_alive_dead_or_unknown(monkeypatch, capsys):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        paths = ("/", "/gone", "/kept", "/missing", "/only-get")
        try:
            answers = outside.ask_all((base + path for path in paths), pause=0)
        finally:
            server.shutdown()
    kinds = [answers[base + path][0] for path in paths]
    alive, gone, unknown = outside.ALIVE, outside.GONE, outside.UNKNOWN
    assert kinds == [alive, gone, unknown, gone, alive]
    assert outside.report({address: ["a.html"] for address in answers}, answers) == 1
    said = capsys.readouterr().out
    assert "2 of 5 links outside are alive, 2 dead." in said
    assert f"will not say (403): {base}/kept, from a.html" in said
    assert outside.ask("http://127.0.0.1:9/", 5)[0] == unknown  # nobody listens there


def test_without_a_network_no_link_is_called_dead(capsys):
    nowhere = {"https://example.org/": (outside.NOWHERE, "no such name")}
    assert outside.report({"https://example.org/": ["a.html"]}, nowhere) == 0
    assert "no network" in capsys.readouterr().out
    some = {**nowhere, "https://example.com/": (outside.ALIVE, "200")}
    assert outside.report({key: ["a.html"] for key in some}, some) == 1


def test_the_links_of_the_site_are_followed_and_listed(site, capsys):
    assert outside.main([]) == 0
    said = capsys.readouterr().out
    assert f"{len([*PAGES, *MODULES, *DECKS]) + 1} pages; 0 links inside lead nowhere." in said
    assert "  https://creativecommons.org/licenses/by/4.0/\n" in said


def test_lighthouse_says_why_it_was_not_tried(site, monkeypatch, capsys):
    monkeypatch.setattr(lighthouse.shutil, "which", lambda _: None)
    assert lighthouse.main() == lighthouse.NOT_TRIED == make.NOT_TRIED
    assert "Node.js" in capsys.readouterr().out


def test_lighthouse_fails_below_95(site, monkeypatch, capsys):
    def report(accessibility: float) -> dict[str, Any]:
        parts = {name: {"score": 0.5, "auditRefs": []} for name in lighthouse.CATEGORIES}
        parts["accessibility"] = {"score": accessibility, "auditRefs": [{"id": "a", "weight": 1}]}
        return {"categories": parts, "audits": {"a": {"title": "A fault", "score": 0}}}

    monkeypatch.setattr(lighthouse, "install", lambda: None)
    given = iter([0.93, 0.94, 1.0, 0.96, 0.95, 0.2])
    monkeypatch.setattr(lighthouse, "look", lambda *_: report(next(given)))
    assert lighthouse.main(["one.html", "two.html"]) == 1
    said = capsys.readouterr().out
    assert "one.html: accessibility 94, performance 50" in said
    assert "Accessibility is below 95 on one.html." in said
    assert "    accessibility: A fault" in said


def test_what_lighthouse_sees_is_compressed_and_has_the_headers(site):
    handler = functools.partial(lighthouse.Compressing, directory=str(site))
    with make.Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            link.request("GET", "/book/notation.html", headers={"Accept-Encoding": "gzip"})
            answer = link.getresponse()
            body = answer.read()
            link.close()
        finally:
            server.shutdown()
    assert gzip.decompress(body) == (site / "book" / "notation.html").read_bytes()
    assert (
        answer.headers["Content-Security-Policy"]
        == dict(make.site_headers(site))["Content-Security-Policy"]
    )
