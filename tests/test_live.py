"""The notebooks in JupyterLab, driven in Chromium with the network closed; faults are seen.

One notebook a chapter, and with OPTDYN_ALL=1 (make test-all) all of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

import notebooks
from tests import lab
from tests.test_site import browser

__all__ = ["browser"]  # a fixture

ROOT = Path(__file__).resolve().parent.parent
ALL = os.environ.get("OPTDYN_ALL") == "1"
CHAPTERS = sorted(path.parent.name for path in ROOT.glob("chapters/*/1_phenomenon.ipynb"))
SAMPLE = [f"chapters/{chapter}/1_phenomenon.ipynb" for chapter in CHAPTERS]
SAMPLE.append("book/closing.ipynb")
NAMES = [notebooks.short_name(path) for path in notebooks.all_notebooks()] if ALL else SAMPLE


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Lab]:
    folder = tmp_path_factory.mktemp("live")
    (folder / "notebooks").mkdir()
    with lab.started(folder / "notebooks", folder / "own") as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_its_figures_answer_keys(
    name: str, browser: Browser, jupyterlab: lab.Lab
) -> None:
    seen = lab.run_notebook(browser, jupyterlab, ROOT / name, name)
    print(f"{name}: {seen}")
    assert not seen.complaints, "\n".join(seen.complaints)
    cells = nbformat.read(ROOT / name, as_version=4).cells
    live = [cell for cell in cells if ".widget()" in cell.source]
    stored = ["".join(o.get("data", {}).get("text/html", "") for o in c.outputs) for c in live]
    assert seen.figures == len(live) == sum('class="optdyn-figure"' in html for html in stored)
    assert seen.sliders == sum('"kind":"slider"' in html for html in stored)
    assert len(seen.answers) == seen.sliders
    if name in SAMPLE:
        assert seen.sliders and seen.claims


FIGURE = """\
import ipywidgets
from IPython.display import display

def figure(draw):
    slider, out = ipywidgets.IntSlider(max=3), ipywidgets.Output()
    def show(_=None):
        with out:
            out.clear_output(wait=True)
            draw(slider.value)
    slider.observe(show, "value")
    show()
    return ipywidgets.VBox([slider, out])

def bars(height):
    kind = "application/vnd.vegalite.v5+json"
    chart = {"data": {"values": [{"y": height}]}, "mark": "bar",
             "encoding": {"y": {"field": "y", "type": "quantitative"}}}
    display({kind: chart}, metadata={kind: {"embed_options": {"renderer": "svg"}}}, raw=True)
"""
FAULTS = {  # cells, and what is said of each
    "import sys; print('careful', file=sys.stderr)": "cell 1 writes to stderr: careful",
    "figure(bars)": "",
    "figure(lambda value: bars(1))": "figure 2 of 4 stays as it is when its slider is moved",
    "figure(lambda value: print('no chart'))": "figure 3 of 4 is not drawn: no chart",
    "ipywidgets.VBox([ipywidgets.HTML('<img src=https://example.org/a.png>'), figure(bars)])": (
        "another host was asked: https://example.org/a.png"
    ),
    "1 / 0": "ZeroDivisionError",
    "2": "claims that were not reached: noise-1",
}


def test_what_is_wrong_in_a_live_notebook_is_seen(
    tmp_path: Path, browser: Browser, jupyterlab: lab.Lab
) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in [FIGURE, *FAULTS]]
    stated = {"optdyn_claim": {"id": "noise-1"}}
    cells[-1].outputs = [nbformat.v4.new_output("display_data", {}, metadata=stated)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nb = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(nb, tmp_path / "faults.ipynb")
    seen = lab.run_notebook(browser, jupyterlab, tmp_path / "faults.ipynb", "a.ipynb", patience=3)
    found = "\n".join(seen.complaints)
    for said in FAULTS.values():
        assert said in found, found
    assert len(seen.complaints) == sum(map(bool, FAULTS.values())), found
    assert (seen.figures, seen.sliders, len(seen.answers)) == (4, 4, 2)


@pytest.mark.parametrize("drawn", [True, False])
def test_only_a_page_that_is_not_drawn_is_opened_once_more(
    drawn: bool, browser: Browser, jupyterlab: lab.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def waits_in_vain(page: Page, *_: object) -> lab.Seen:
        opened.append(page)
        raise PlaywrightTimeout("Timeout 1 ms exceeded")

    monkeypatch.setattr(lab, "_read", waits_in_vain)
    monkeypatch.setattr(lab, "DRAWN", f"() => {str(drawn).lower()}")
    seen = lab.run_notebook(browser, jupyterlab, ROOT / SAMPLE[0], "a.ipynb")
    assert seen.complaints == ["waited in vain: Timeout 1 ms exceeded"]
    assert len(opened) == (1 if drawn else 2) and all(page.is_closed() for page in opened)


def test_who_has_no_token_is_not_let_in_and_nothing_is_left_behind(tmp_path: Path) -> None:
    kernels: list[psutil.Process] = []
    with contextlib.suppress(ZeroDivisionError), lab.started(tmp_path, tmp_path / "own") as here:
        assert here.address.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            lab.ask(here._replace(token="guessed"), "api/kernels")
        lab.ask(here, "api/kernels", "POST", {"name": "python3"})
        children = psutil.Process().children(recursive=True)
        kernels = [one for one in children if "ipykernel_launcher" in one.cmdline()]
        assert len(kernels) == 1
        _ = 1 / 0
    assert psutil.wait_procs(kernels, timeout=10)[1] == []


def test_make_lab_says_where_it_is_and_ends_when_told() -> None:
    command = [sys.executable, str(ROOT / "make.py"), "lab", "--port", "18888"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            said = next(line for line in lines if "notebooks are at" in line)
            address, token = re.findall(
                r"(http://127.0.0.1:\d+/)lab/tree/chapters\?token=(\S+)", said
            )[0]
            here = lab.Lab(ROOT, address, token)
            listed = lab.ask(here, "api/contents/chapters")["content"]
            assert set(CHAPTERS) <= {one["name"] for one in listed}
            started = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            assert psutil.wait_procs(started, timeout=10)[1] == []
        finally:
            for one in lab.family_of(process):
                one.kill()
