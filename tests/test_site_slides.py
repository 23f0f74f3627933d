"""The decks of the built site, in Chromium: every slide, by keyboard, on a desk, a phone, paper."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from test_site import (
    AXE,
    TYPESET,
    Changes,
    address,
    browser,
    counts,
    document,
    opened,
    site,
    weight,
)

__all__ = ["address", "browser", "site"]  # the fixtures

TOPICS = ("noise", "cycles", "shiftk", "adam")
DECKS = (*TOPICS, "closing")
WEIGHT = 600_000  # bytes of a deck, compressed, at most
SMALLEST = 14  # pixels of text on a slide of 1280 x 720, at least, charts included
LEGIBLE = 17  # pixels of text in most charts there, at least
FINGER = 44  # pixels of what a finger presses, at least

every_deck = pytest.mark.parametrize("topic", DECKS)

DRAWN = """() => [...document.querySelectorAll('.slide.now .optdyn-figure')]
  .every((figure) => ['drawn', 'failed'].includes(figure.dataset.state))"""
SEEN = """async () => {
  const frame = () => Promise.race([new Promise(requestAnimationFrame),
                                    new Promise((done) => setTimeout(done, 250))]);
  await frame(); await frame();
  const slide = document.querySelector('.slide.now');
  const stage = slide.querySelector('.stage');
  const notes = slide.querySelector('.notes');
  const charts = [...slide.querySelectorAll('.optdyn-chart svg')];
  const scale = (svg) => svg.getScreenCTM().a;
  const texts = charts.flatMap((svg) => [...svg.querySelectorAll('text:not([opacity="0"])')]
    .filter((text) => text.textContent.trim()).map((text) => ({ svg, text })));
  const outside = ({ svg, text }) => {
    const [a, b] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1
      || a.bottom > b.bottom + 1;
  };
  const formulas = [...slide.querySelectorAll('.stage div.math')];
  return {
    id: slide.id,
    focused: document.activeElement === slide,
    shown: [...document.querySelectorAll('.slide')].filter((s) => s.offsetParent || s.offsetHeight)
      .map((s) => s.id),
    over: [stage.scrollWidth - stage.clientWidth, stage.scrollHeight - stage.clientHeight],
    text: parseFloat(getComputedStyle(stage).fontSize),
    left: Math.round(stage.querySelector('.content').getBoundingClientRect().left),
    chart: Math.min(...texts.map(({ svg, text }) =>
      parseFloat(getComputedStyle(text).fontSize) * scale(svg))),
    charts: charts.length,
    cut: texts.filter(outside).map(({ text }) => text.textContent),
    // formulas that scroll and cannot be reached by keyboard, or the other way round
    unreached: formulas.filter((formula) =>
      (formula.scrollWidth > formula.clientWidth + 1) !== (formula.tabIndex === 0)).length,
    tables: [...stage.querySelectorAll('table')].map((table) =>
      parseFloat(getComputedStyle(table).fontSize)),
    notes: notes.clientHeight && [notes.clientHeight / innerHeight,
      notes.scrollHeight - notes.clientHeight],
    failed: slide.querySelectorAll('[data-state=failed]').length,
    wrong: slide.querySelectorAll('mjx-merror').length,
    raw: slide.querySelectorAll('.math:not(:has(mjx-container))').length,
    label: slide.getAttribute('aria-label'),
    place: document.querySelector('.bar .place').textContent,
    moving: document.getAnimations().length,
  };
}"""


@contextmanager
def watched(page: Page, base: str) -> Iterator[list[str]]:
    """What goes wrong on a page meanwhile: requests elsewhere, answers of failure, errors."""
    wrong: list[str] = []

    def asked(request):
        if not request.url.startswith((base, "data:", "blob:", "about:")):
            wrong.append(f"asks for {request.url}")

    page.on("request", asked)
    page.on("requestfailed", lambda request: wrong.append(f"no answer: {request.url}"))
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    try:
        yield wrong
    finally:
        page.close()


def deck(browser: Browser, scheme: str = "light", width: int = 1280, height: int = 720) -> Page:
    return opened(browser, scheme, width, height)


def go(page: Page, url: str) -> None:
    page.goto(url)
    page.evaluate(TYPESET)


def turn(page: Page, number: int) -> dict:
    """Turn to a slide by the address, and see it."""
    page.evaluate(f"location.hash = '#/{number}'")
    page.wait_for_selector(f"#slide-{number}.now")
    return now(page)


def now(page: Page) -> dict:
    page.wait_for_function(DRAWN)
    return page.evaluate(SEEN)


def accessibility(page: Page) -> list[str]:
    """Serious and critical findings on the slide that is shown."""
    found = Axe().run(page, {"exclude": [["mjx-math"]]}, AXE).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found
        if counts(rule)
        for node in rule["nodes"][:3]
    ]


ALONE = """(kept) => {  // axe looks at what is hidden too, for ages
  for (const slide of document.querySelectorAll('.slide'))
    if (!kept.includes(slide.id)) slide.remove();
}"""


def first_with(page: Page, selector: str) -> int:
    """The number of the first slide that holds what a selector finds, once scripts have run."""
    script = f"() => document.querySelector('.slide:has({selector})').id.slice(6)"
    return int(page.evaluate(script))


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*DECKS, "index"])
def test_links_of_a_deck_lead_somewhere(site, name):
    path = site / "slides" / f"{name}.html"
    page, problems = document(path), []
    for link in page.addresses:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        if link.startswith("#/"):
            problems += [] if f"slide-{link[2:]}" in page.ids else [link]
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file() or (parts.fragment and parts.fragment not in document(target).ids):
            problems.append(link)
    assert problems == []
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert page.title and page.language == "en"
    assert path.read_text("utf-8").count("<h1>") == 1


@every_deck
def test_the_chapter_and_its_teaching_page_link_to_the_deck(site, topic):
    pages = [f"chapters/{topic}/index.html", f"book/teaching/{topic}.html"]
    for page in [*(pages if topic in TOPICS else ["book/closing.html"]), "slides/index.html"]:
        link = posixpath.relpath(f"slides/{topic}.html", posixpath.dirname(page))
        assert link in document(site / page).addresses, page
    if topic in TOPICS:
        assert f"../../downloads/{topic}.zip" in document(site / pages[0]).addresses


@every_deck
def test_a_deck_is_light(site: Path, topic):
    assert weight(site / "slides" / f"{topic}.html") < WEIGHT


# --- the lecture ---------------------------------------------------------------------------------


@every_deck
def test_a_keyboard_walk_through_all_slides(browser, address, topic):
    page = deck(browser)
    with watched(page, address) as wrong:
        page.emulate_media(reduced_motion="reduce")
        go(page, f"{address}slides/{topic}.html")
        count = page.locator(".slide").count()
        problems, edges, charts = [], set(), []
        for number in range(1, count + 1):
            seen = now(page)
            edges.add(seen["left"])
            charts += [seen["chart"]] if seen["charts"] else []
            where = f"slide {number}"
            assert seen["id"] == f"slide-{number}" and seen["shown"] == [seen["id"]]
            assert seen["label"].startswith(f"{number} of {count}: ") and len(seen["label"]) > 12
            assert seen["place"] == f"{number} / {count}" and page.url.endswith(f"#/{number}")
            if number > 1 and not seen["focused"]:
                problems.append(f"{where} has not the focus")
            if max(seen["over"]) > 1:
                problems.append(f"{where} is larger than its stage by {seen['over']}")
            if seen["text"] < SMALLEST:
                problems.append(f"{where} has text of {seen['text']:.0f} pixels")
            if seen["charts"] and seen["chart"] < SMALLEST:
                problems.append(f"{where} has a chart with text of {seen['chart']:.0f} pixels")
            if seen["cut"] or seen["unreached"]:
                problems.append(f"{where}: {seen}")
            if seen["failed"] or seen["wrong"] or seen["raw"] or seen["moving"]:
                problems.append(f"{where}: {seen}")
            page.keyboard.press("ArrowRight")
        assert now(page)["id"] == f"slide-{count}", "after the last there is none"
        assert page.locator("[data-act=on]").is_disabled()
        for key, goal in (("Home", 1), ("PageDown", 2), (" ", 3), ("ArrowLeft", 2), ("PageUp", 1)):
            page.keyboard.press(key)
            assert page.url.endswith(f"#/{goal}"), key
        page.keyboard.press("End")
        page.keyboard.press("Shift+ ")
        assert page.url.endswith(f"#/{count - 1}")
        assert problems == [] and wrong == []
        assert len(edges) == 1, "the left edge jumps"
        legible = [size for size in charts if size >= LEGIBLE]
        assert len(legible) >= 0.75 * len(charts), charts


@every_deck
def test_slides_fit_beside_their_notes(browser, address, topic):
    """The notes take what they need, up to 38 % of the room; charts are drawn in what is left."""
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/{topic}.html")
        page.keyboard.press("s")
        problems = []
        for number in range(1, page.locator(".slide").count() + 1):
            seen = turn(page, number)
            share, hidden = seen["notes"]
            if max(seen["over"]) > 1 or seen["cut"]:
                problems.append(f"slide {number} is larger than its stage by {seen['over']}")
            if share > 0.38 or (hidden > 1 and share < 0.35):
                problems.append(f"the notes of slide {number} take {share:.0%} of the screen")
        assert problems == [] and wrong == []


def test_a_chart_is_drawn_anew_when_notes_take_its_room(browser, address):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html")
        turn(page, 7)
        height = "document.querySelector('.slide.now .optdyn-chart svg').height.baseVal.value"
        tall = page.evaluate(height)
        page.keyboard.press("s")
        page.wait_for_function(f"() => {height} < {tall} - 40")
        assert max(now(page)["over"]) <= 1
        page.keyboard.press("s")
        page.wait_for_function(f"() => {height} == {tall}")
        assert wrong == []


@every_deck
def test_a_slider_changes_its_figure_and_keeps_its_keys(browser, address, topic):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/{topic}.html")
        page.keyboard.press("End")
        number = first_with(page, ".optdyn-figure script")
        turn(page, number)
        figure = page.locator(".slide.now .optdyn-figure")
        slider = figure.locator("input[type=range]").first
        slider.focus()
        changes = Changes(page, figure)
        for key in ("End", "ArrowLeft", "Home", "ArrowRight", "PageUp"):
            moved, changed = changes.by(lambda key=key: page.keyboard.press(key))
            assert moved and changed, key
            assert page.url.endswith(f"#/{number}"), f"{key} turned the slide"
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
        assert page.url.endswith(f"#/{number + 1}")
        assert wrong == []


@every_deck
def test_slides_are_accessible_in_light_and_dark(browser, address, topic):
    """The title, a figure and a slide of claims, in the dark with their notes."""
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/{topic}.html")
        numbers = [1, first_with(page, ".optdyn-figure"), first_with(page, ".optdyn-claim")]
        page.evaluate(ALONE, [f"slide-{number}" for number in numbers])
        found = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_selector(f"html[data-theme={scheme}]", state="attached")
            for number in numbers:
                turn(page, number)
                found += accessibility(page)
            page.locator("[data-act=notes]").click()
        assert found == [] and wrong == []


# --- ways to it ----------------------------------------------------------------------------------


def test_an_address_leads_to_its_slide(browser, address):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html#/7")
        assert now(page)["id"] == "slide-7"
        assert turn(page, 9)["id"] == "slide-9"
        go(page, f"{address}slides/noise.html#/900")
        page.wait_for_load_state("networkidle")  # else the picture of the tab gets no answer
        page.reload()
        assert page.url.endswith(f"#/{page.locator('.slide').count()}")
        assert wrong == []


def test_the_contents_lead_to_a_slide(browser, address):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/cycles.html")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("o")
        assert page.locator("dialog").is_visible()
        assert page.locator("dialog [aria-current]").get_attribute("href") == "#/2"
        page.keyboard.press("ArrowRight")
        assert page.url.endswith("#/2"), "keys are the dialog's"
        page.locator("dialog li a").nth(4).click()
        page.wait_for_selector("#slide-5.now")
        assert not page.locator("dialog").is_visible() and now(page)["id"] == "slide-5"
        assert wrong == []


def test_notes_here_and_in_a_window_that_turns_along(browser, address):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html#/4")
        aside = page.locator("#slide-4 .notes")
        assert not aside.is_visible()
        page.locator("#slide-4 input").first.focus()
        page.keyboard.press("s")
        assert not aside.is_visible(), "the keys of a slider are its own"
        page.locator("#slide-4").focus()
        page.keyboard.press("s")
        assert aside.is_visible() and "Three hundred" in aside.inner_text()
        page.keyboard.press("s")
        assert not aside.is_visible()
        with page.expect_popup() as opening:
            page.locator("[data-act=window]").click()
        other = opening.value
        other.wait_for_selector("#slide-4 .notes:visible")
        page.locator("#slide-4").focus()
        page.keyboard.press("ArrowRight")
        other.wait_for_selector("#slide-5 .notes:visible")
        other.keyboard.press("End")
        page.wait_for_selector(".slide:last-of-type.now")
        other.close()
        assert wrong == []


def test_letters_act_on_a_deck_just_opened_and_after_a_button(browser, address):
    page = deck(browser)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html#/4")
        aside, contents = page.locator("#slide-4 .notes"), page.locator("dialog")
        assert page.evaluate("document.activeElement === document.body")
        page.keyboard.press("s")
        assert aside.is_visible()
        page.keyboard.press("o")
        assert contents.is_visible()
        page.keyboard.press("Escape")
        page.locator("[data-act=notes]").click()
        assert not aside.is_visible()
        page.keyboard.press("s")
        assert aside.is_visible()
        page.keyboard.press("f")
        page.wait_for_function("() => document.fullscreenElement")
        page.evaluate("document.exitFullscreen()")
        with page.expect_popup() as opening:
            page.keyboard.press("w")
        opening.value.close()
        assert wrong == []


SWIPE = """([from, to, selector]) => {
  const target = document.querySelector(`.slide.now ${selector ?? 'p'}`);
  const touch = (x) => new Touch({ identifier: 1, target, clientX: x, clientY: 300 });
  target.dispatchEvent(new TouchEvent('touchstart', { bubbles: true, touches: [touch(from)] }));
  target.dispatchEvent(new TouchEvent('touchend', { bubbles: true, changedTouches: [touch(to)] }));
}"""


def test_a_phone_shows_every_slide_without_sideways_scrolling(browser, address):
    page = deck(browser, "dark", 390, 780)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/shiftk.html")
        page.evaluate(SWIPE, [300, 100])
        assert page.url.endswith("#/2")
        page.evaluate(SWIPE, [100, 300])
        assert page.url.endswith("#/1")
        page.evaluate(SWIPE, [200, 180])
        assert page.url.endswith("#/1"), "a tap is no swipe"
        wide = []
        for number in range(1, page.locator(".slide").count() + 1):
            seen = turn(page, number)
            wide += [(number, seen["over"][0])] if seen["over"][0] > 1 else []
            assert seen["text"] >= 16 and min(seen["tables"], default=16) >= 14
            assert seen["unreached"] == 0, number
        assert wide == [] and wrong == []


def test_fingers_turn_slides_and_do_not_leave_the_deck(browser, address):
    """With touches of the browser's own, which would lead it to the page before."""
    size = {"width": 390, "height": 780}
    context = browser.new_context(viewport=size, has_touch=True, is_mobile=True)
    page = context.new_page()
    go(page, f"{address}slides/noise.html#/3")
    touch = context.new_cdp_session(page)
    for distance, goal in ((200, 2), (-200, 3)):
        for kind, moved in (("touchStart", 0), *(("touchMove", k) for k in range(1, 9))):
            point = {"x": 195 + distance * (moved / 8 - 0.5), "y": 200}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_selector(f"#slide-{goal}.now")
        page.wait_for_timeout(300)
        assert page.url == f"{address}slides/noise.html#/{goal}"
    context.close()


def test_a_phone_has_a_bar_in_one_row_for_fingers(browser, address):
    page = deck(browser, "light", 390, 780)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html")
        for width in (390, 360, 320):
            page.set_viewport_size({"width": width, "height": 780})
            shown = page.locator(".bar :is(a, button):visible")
            boxes = [shown.nth(k).bounding_box() for k in range(shown.count())]
            assert len(boxes) >= 4 and len({round(box["y"]) for box in boxes}) == 1, width
            assert min(min(box["width"], box["height"]) for box in boxes) >= FINGER, width
            assert boxes[-1]["x"] + boxes[-1]["width"] <= width
            place = page.locator(".bar .place").bounding_box()
            assert boxes[-2]["x"] < place["x"] < boxes[-1]["x"]
            assert page.locator(".bar").bounding_box()["height"] < 1.5 * FINGER
        assert wrong == []


def test_a_wide_formula_shrinks_on_a_phone_and_then_scrolls(browser, address):
    page = deck(browser, "light", 390, 780)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/noise.html")
        turn(page, 5)
        formula = page.locator(".slide.now div.math")
        size = "(e) => parseFloat(getComputedStyle(e).fontSize) / 16"
        assert 0.75 < formula.evaluate(size) < 1.1 and formula.get_attribute("tabindex") is None
        page.evaluate(SWIPE, [300, 100, "div.math"])
        assert page.url.endswith("#/6"), "a swipe may begin on a formula"
        turn(page, 26)
        formula = page.locator(".slide.now div.math[tabindex='0']")
        assert "gradient" in formula.evaluate("(e) => getComputedStyle(e).backgroundImage")
        page.evaluate(SWIPE, [300, 100, "div.math[tabindex]"])
        assert page.url.endswith("#/26"), "a formula that scrolls has its swipes"
        formula.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.activeElement.scrollLeft > 0")
        assert page.url.endswith("#/26") and wrong == []


@pytest.mark.parametrize("name", ["index", "adam"])
def test_how_to_cite_can_be_read_on_a_phone(browser, address, name):
    page = deck(browser, "light", 390, 780)
    with watched(page, address) as wrong:
        go(page, f"{address}slides/{name}.html")
        foot = page.locator(".optdyn-foot").first
        assert foot.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)") >= 12
        assert wrong == []


def test_paper_has_a_page_a_slide(browser, address):
    page = deck(browser, "dark")
    with watched(page, address) as wrong:
        go(page, f"{address}slides/adam.html")
        count = page.locator(".slide").count()
        printed = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == count
        assert set(re.findall(rb"/MediaBox \[[^]]*\]", printed)) == {b"/MediaBox [0 0 960 540]"}
        assert wrong == []


def test_without_scripts_all_slides_and_notes_can_be_read(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}slides/noise.html")
    assert page.locator("#slide-1").is_visible() and page.locator("#slide-30").is_visible()
    assert not page.locator(".bar").is_visible()
    context.close()
