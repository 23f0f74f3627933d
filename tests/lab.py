"""The notebooks in a live kernel: a JupyterLab of the test's own, and a browser that reads in it.

A copy of a notebook, without what it stores, is opened in Chromium, run from its menu ("Restart
Kernel and Run All Cells"), and waited for. What raises, what writes to stderr, a claim that is not
reached, a figure that is not drawn, a question to another host and an error of the page are
complaints. Then the first slider of each live figure is reached by Tab and moved by an arrow key; a
picture that stays as it was is a complaint too. Each wait has a bound.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import nbformat
import psutil
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

import make
from tests.elsewhere import claims_of

CELL_SECONDS = 300.0  # without one more finished cell: it hangs
PATIENCE = 20.0  # seconds from a key to another picture; then the figure counts as unmoved


class Lab(NamedTuple):
    """A running JupyterLab."""

    folder: Path  # what it shows
    address: str
    token: str


class Seen(NamedTuple):
    """What came of a notebook."""

    seconds: float  # from the menu to the last cell
    claims: int
    figures: int  # live ones
    sliders: int  # those of them that have a slider
    answers: list[float]  # ms from a key to another picture, one for each figure that moved
    complaints: list[str]

    def __str__(self) -> str:
        took = f", {statistics.median(self.answers):.0f} ms a move" if self.answers else ""
        return (
            f"{self.seconds:.1f} s, {self.claims} claims, {self.figures} figures, {self.sliders} "
            f"with sliders, {len(self.answers)} moved{took}"
        )


# --- JupyterLab -----------------------------------------------------------------------


@contextlib.contextmanager
def started(folder: Path, own: Path) -> Iterator[Lab]:
    """JupyterLab on a folder, its settings in `own`; it and its kernels end in any case."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--LabApp.expose_app_in_browser=True",)  # its model of the notebook can be read
    family: list[psutil.Process] = []
    try:
        with make.jupyterlab(folder, own, port, *options) as (process, address, token):
            try:
                yield Lab(folder, address, token)
            finally:
                family = family_of(process)
    finally:
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()


def family_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """A process and all that it started."""
    with contextlib.suppress(psutil.Error):
        one = psutil.Process(process.pid)
        return [one, *one.children(recursive=True)]
    return []


def ask(lab: Lab, path: str, method: str = "GET", said: Any = None) -> Any:
    """What the server's interface answers to what was `said`, both in JSON; None if nothing.

    Raises: urllib.error.HTTPError where it refuses.
    """
    headers = {"Authorization": f"token {lab.token}"}
    data = None if said is None else json.dumps(said).encode()
    request = urllib.request.Request(lab.address + path, data, headers, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def end_kernels(lab: Lab) -> None:
    for session in ask(lab, "api/sessions"):
        ask(lab, f"api/sessions/{session['id']}", "DELETE")


# --- a notebook in the browser --------------------------------------------------------

# Nothing here waits for an animation frame, which a headless Chromium now and then stops drawing:
# Playwright polls with timers, and after a wait in vain the page is asked whether it is drawn.
POLL = 50  # ms
DRAWN = """() => new Promise((done) => {
  requestAnimationFrame(() => done(true));
  setTimeout(() => done(false), 10_000);
})"""
READY = """() => {
  const shown = window.jupyterapp?.shell.currentWidget;
  const kernel = shown?.sessionContext?.session?.kernel;
  return Boolean(shown?.context?.isReady && kernel?.status === 'idle');
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim())
  .map(({ model }) => model.executionCount !== null && model.executionState === 'idle')"""
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .map(({ model }) => (model.type === 'code' ? model.outputs.toJSON() : []))"""
FIGURES = ".jp-OutputArea-output .widget-vbox:has(> .widget-output)"
LOOK = """(boxes) => boxes.map((box) => {
  const output = box.querySelector(':scope > .widget-output');
  return {
    marks: output.querySelectorAll('svg path, svg image').length,
    text: output.innerText,
    sliders: box.querySelectorAll('.noUi-handle').length,
  };
})"""
ALL_DRAWN = f"""() => [...document.querySelectorAll('{FIGURES}')]
  .every((box) => box.querySelector(':scope > .widget-output svg path'))"""
# The picture of a figure: what its chart consists of, but for numbers that count drawings.
PICTURE = """(box) => (box.querySelector(':scope > .widget-output svg')?.outerHTML ?? '')
  .replace(/(id="|url\\(#|href="#)[^")]*/g, '')"""
WATCH = f"""(box) => {{
  const picture = {PICTURE};
  const before = picture(box);
  const watch = window.optdynWatch = {{ ms: null }};
  window.addEventListener('keydown', () => {{
    const began = performance.now();
    const timer = setInterval(() => {{
      const now = picture(box);
      if (now && now !== before) watch.ms = performance.now() - began;
      if (watch.ms !== null || watch !== window.optdynWatch) clearInterval(timer);
    }}, 4);
  }}, {{ capture: true, once: true }});
}}"""
MOVED = "() => window.optdynWatch.ms !== null"
SLIDER = ".noUi-handle"  # what ipywidgets makes of one
STAND = """(box) => {
  document.querySelectorAll('[data-reader]').forEach((one) => one.removeAttribute('data-reader'));
  box.dataset.reader = 'here';
  box.tabIndex = -1;
  box.focus();
}"""
AT = f"""() => {{
  const here = document.activeElement;
  if (!here.matches('[data-reader] {SLIDER}')) return null;
  return {{ last: Number(here.getAttribute('aria-valuenow')) >= Number(here.getAttribute('aria-valuemax')) }};
}}"""  # noqa: E501


def without_outputs(path: Path, copy: Path) -> set[str]:
    """Write a copy of a notebook without outputs; the claims that the outputs stated."""
    nb = nbformat.read(path, as_version=4)
    stated: set[str] = set()
    for cell in nb.cells:
        if cell.cell_type == "code":
            stated.update(claims_of(cell.outputs))
            cell.outputs, cell.execution_count = [], None
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, copy)
    return stated


def run_notebook(
    browser: Browser, lab: Lab, path: Path, name: str, patience: float = PATIENCE
) -> Seen:
    """Run a copy of the notebook, called `name` there, and move its figures.

    A page that is no longer drawn is closed, and the notebook is run once more from the start.
    """
    stated = without_outputs(path, lab.folder / name)
    for last in False, True:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        try:
            return _read(page, lab, name, stated, patience)
        except PlaywrightTimeout as error:
            if not last and not page.evaluate(DRAWN):
                continue
            shown = page.locator(".jp-Dialog").all_inner_texts()
            return Seen(0, 0, 0, 0, [], [f"waited in vain: {error.message}", *shown])
        finally:
            page.close()
            end_kernels(lab)
    raise AssertionError("unreachable")


def _read(page: Page, lab: Lab, name: str, stated: set[str], patience: float) -> Seen:
    complaints: list[str] = []

    def asked(request: Any) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob", "about") and not (
            request.url.startswith((lab.address, lab.address.replace("http", "ws", 1)))
        ):
            complaints.append(f"another host was asked: {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: complaints.append(f"the page: {error}"))
    page.goto(f"{lab.address}lab/tree/{name}?reset&token={lab.token}")
    page.wait_for_function(READY, polling=POLL)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("Restart Kernel and Run All")).click()
    page.locator(".jp-Dialog .jp-mod-accept").wait_for()
    began = time.monotonic()
    page.keyboard.press("Enter")
    trouble = _wait_for_cells(page)
    seconds = time.monotonic() - began
    outputs = page.evaluate(OUTPUTS)
    complaints += [*trouble, *complaints_of(outputs)]
    claims = [claim for each in outputs for claim in claims_of(each)]
    if stated - set(claims):
        missing = ", ".join(sorted(stated - set(claims)))
        complaints.append(f"claims that were not reached: {missing}")
    live = sum(VIEW in output.get("data", {}) for each in outputs for output in each)
    sliders, answers = _move(page, live, patience, complaints)
    return Seen(seconds, len(claims), live, sliders, answers, complaints)


VIEW = "application/vnd.jupyter.widget-view+json"


def _wait_for_cells(page: Page) -> list[str]:
    """Wait until every cell has run or one has raised."""
    done, since = -1, time.monotonic()
    while True:
        cells = page.evaluate(CELLS)
        now = sum(cells)
        if now == len(cells):
            return []
        if now != done:
            done, since = now, time.monotonic()
        raised = any(o["output_type"] == "error" for each in page.evaluate(OUTPUTS) for o in each)
        if raised:
            return []
        if time.monotonic() > since + CELL_SECONDS:
            return [f"after {now} of {len(cells)} cells nothing more came for {CELL_SECONDS:g} s"]
        page.wait_for_timeout(200)


def complaints_of(outputs: list[list[dict[str, Any]]]) -> list[str]:
    """What the outputs of the cells say of something wrong."""
    complaints = []
    for index, each in enumerate(outputs):
        for output in each:
            if output["output_type"] == "error":
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                complaints.append(f"cell {index}:\n{trace}")
            elif output.get("name") == "stderr":
                complaints.append(f"cell {index} writes to stderr: {output['text']}")
    return complaints


def _move(page: Page, live: int, patience: float, complaints: list[str]) -> tuple[int, list[float]]:
    """Move the first slider of each figure; the number of figures with one, and what each took."""
    with contextlib.suppress(PlaywrightTimeout):  # what is missing is said below
        page.wait_for_function(
            f"(n) => document.querySelectorAll('{FIGURES}').length >= n && ({ALL_DRAWN})()",
            arg=live,
            polling=POLL,
            timeout=3000 * patience,
        )
    looks = page.locator(FIGURES).evaluate_all(LOOK)
    if not (len(looks) == live and all(look["marks"] for look in looks)):
        if not page.evaluate(DRAWN):
            raise PlaywrightTimeout("no frame was drawn in ten seconds")
        if len(looks) != live:
            complaints.append(f"{live} cells show widgets, and {len(looks)} figures appeared")
    sliders, answers = 0, []
    for number, look in enumerate(looks):
        which = f"figure {number + 1} of {live}"
        if not look["marks"]:
            complaints.append(f"{which} is not drawn: {look['text'].strip()[:300] or 'empty'}")
        if look["sliders"]:
            sliders += 1
            ms = move(page, number, patience) if look["marks"] else None
            if ms is not None:
                answers.append(ms)
            elif look["marks"]:
                complaints.append(f"{which} stays as it is when its slider is moved")
    return sliders, answers


def move(page: Page, number: int, patience: float = PATIENCE) -> float | None:
    """Reach a figure's first slider by Tab, and press a key; ms until its picture was another.

    One step first, then the slider's ends, for a step may be too small to be seen.
    """
    figure = page.locator(FIGURES).nth(number)
    figure.scroll_into_view_if_needed()
    figure.evaluate(STAND)
    at = None
    for _ in range(12):
        page.keyboard.press("Tab")
        at = page.evaluate(AT)
        if at:
            break
    if not at:
        return None
    for key in ("ArrowLeft" if at["last"] else "ArrowRight", "End", "Home"):
        figure.evaluate(WATCH)
        page.keyboard.press(key)
        with contextlib.suppress(PlaywrightTimeout):
            page.wait_for_function(MOVED, timeout=1000 * patience, polling=20)
            return float(page.evaluate("window.optdynWatch.ms"))
    return None
