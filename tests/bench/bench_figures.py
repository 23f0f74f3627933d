"""The figures that compute in the page: kilobytes, milliseconds and redraws, and a loop by hand.

    python tests/bench/bench_figures.py --json book/figures.json      for the page of the book
    make bench          every computing figure of the built site, each slider dragged for 3 s
    make bench QUICK=1  each slider dragged for half a second

A figure's sliders are dragged by the pointer in headless Chromium; the row is that of the slider
that redraws least often, and controls of `prepare` (seeds, which draw noise) have a row of their
own. Beside it stands the same function in JAX, on one thread, at values across the same slider: the
notebook's cells are run in a process of their own, and what they hand to `explore` is kept. In the
last lines a bifurcation diagram that a programmer wrote in JavaScript takes turns with the program
that is translated from JAX. Milliseconds are medians. The exit status is 1 if the site is not
built, a figure fails, or the two diagrams differ.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import html
import http.server
import inspect
import io
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FIGURE = re.compile(
    r'data-figure="([^"]*)"(?:(?!optdyn-figure).)*?<script type="application/json">(.*?)</script>',
    re.DOTALL,
)
ASKED_RATIO, ASKED_HAND, ASKED_KILOBYTES, ASKED_REDRAWS = 5, 1.3, 10, 30
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
COST = {  # of an element in multiplications, roughly, to name what takes a function's time
    **dict.fromkeys(("exp", "log", "sin", "cos", "log1p", "expm1", "logistic"), 10),
    **dict.fromkeys(("tanh", "pow", "erf", "erf_inv", "random_bits", "threefry2x32"), 20),
    **dict.fromkeys(("div", "sqrt", "rsqrt", "rem"), 4),
}
UNKNOWN_TURNS = 100  # of a while loop


class Computing(NamedTuple):
    """A figure of the site that computes."""

    page: str  # its path in the site
    name: str
    data: dict[str, Any]


# --- the site ------------------------------------------------------------------------------------


def computing_figures(site: Path) -> list[Computing]:
    """All figures whose JSON carries a program, in the order of their pages."""
    found = []
    for path in sorted(site.rglob("*.html")):
        for name, text in FIGURE.findall(path.read_text("utf-8")):
            data = json.loads(text)
            if data.get("program"):
                page = path.relative_to(site).as_posix()
                found.append(Computing(page, html.unescape(name), data))
    return found


def kilobytes(figure: Computing) -> float:
    """What the figure's programs weigh, gzipped."""
    program = figure.data["program"]
    text = program["compute"] + (program.get("prepare") or "")
    return len(gzip.compress(text.encode(), 9)) / 1000


@contextlib.contextmanager
def served(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


# --- dragging ------------------------------------------------------------------------------------


RESET = "(root) => Object.assign(root.optdynStatistics, {frames: 0, computeMs: [], totalMs: []})"
READ = "(root) => structuredClone(root.optdynStatistics)"


def drag(page: Any, control: Any, seconds: float) -> None:
    """Move a slider to and fro by the pointer, a point about its place, a menu by arrow keys."""
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    slider = control.get_attribute("type") == "range"
    swing = box["width"] / 2 - 8 if slider else 60
    began = time.monotonic()
    if not slider and control.get_attribute("role") != "slider":
        control.focus()
        for key in itertools.cycle(["ArrowUp", "ArrowDown"]):
            page.keyboard.press(key)
            page.wait_for_timeout(15)
            if time.monotonic() - began > seconds:
                return
    page.mouse.move(x, y)
    page.mouse.down()
    while (passed := time.monotonic() - began) < seconds:
        turn = (passed + 0.5) % 2  # a second from one end to the other, from the middle at first
        page.mouse.move(x + swing * (1 - 2 * abs(1 - turn)), y)
    page.mouse.up()


def dragged(page: Any, address: str, figure: Computing, seconds: float) -> list[dict[str, Any]]:
    """What the page measured of itself while each control was dragged."""
    page.goto(address + figure.page)
    page.wait_for_load_state("load")
    root = page.locator(f'.optdyn-figure[data-figure="{figure.name}"]').first
    root.scroll_into_view_if_needed()
    page.wait_for_function(
        "(root) => ['drawn', 'failed'].includes(root.dataset.state)", arg=root.element_handle()
    )
    rows = []
    groups = root.locator(".optdyn-points")
    points = [control["name"] for control in figure.data["controls"] if control["kind"] == "points"]
    for control in figure.data["controls"]:
        moved = root.locator(f'[id="{figure.name}--{control["name"]}"]')
        if control["kind"] == "points":
            moved = groups.nth(points.index(control["name"])).locator(".optdyn-point").first
        drag(page, moved, seconds / 3)  # until the engine has compiled what it will compile
        page.wait_for_timeout(300)
        root.evaluate(RESET)
        began = time.monotonic()
        drag(page, moved, seconds)
        passed = time.monotonic() - began
        found = root.evaluate(READ)
        if root.get_attribute("data-state") == "failed" or not found["computeMs"]:
            raise SystemExit(f"{figure.page}: {figure.name} does not follow {control['name']}.")
        rows.append(
            {
                "page": figure.page,
                "name": figure.name,
                "control": control["name"],
                "prepares": control["name"] in figure.data["program"].get("prepares", ()),
                "compute": statistics.median(found["computeMs"]),
                "total": statistics.median(found["totalMs"]),
                "redraws": found["frames"] / passed,
            }
        )
    return rows


def limit(row: dict[str, Any]) -> str:
    """What a faster redraw would have to make faster."""
    if row["redraws"] * row["total"] < 600:  # of 1,000 ms
        return "events of the pointer"
    if row["compute"] < row["total"] / 2:
        return "drawing"
    return "noise draws" if row["prepares"] else "computation"


# --- native JAX ----------------------------------------------------------------------------------


def argument(control: Any, value: Any) -> Any:
    """What a figure's function is given at a value of a control."""
    import jax
    import jax.numpy as jnp

    kind = type(control).__name__
    if kind == "Seed":
        return jax.random.key(value)
    if kind == "Points":
        x = jnp.asarray(control.x, float)
        return x if control.y is None else (x, jnp.asarray(control.y, float))
    return jnp.asarray(value, dtype=int if kind == "Choice" else float)


def expensive(jaxpr: Any, times: float = 1, counted: Counter[str] | None = None) -> Counter[str]:
    """Roughly what each primitive of a jaxpr costs, in multiplications."""
    counted = Counter() if counted is None else counted
    for equation in jaxpr.eqns:
        parameters = equation.params
        turns = {"scan": parameters.get("length"), "while": UNKNOWN_TURNS}.get(
            equation.primitive.name, 1
        )
        inner = [
            getattr(part, "jaxpr", part)
            for value in parameters.values()
            for part in (value if isinstance(value, tuple) else (value,))
            if hasattr(getattr(part, "jaxpr", part), "eqns")
        ]
        for part in inner:
            expensive(part, times * turns, counted)
        if not inner:
            name = equation.primitive.name
            size = max((v.aval.size for v in equation.outvars), default=0)
            if name == "dot_general":
                (contracted, _), _ = parameters["dimension_numbers"]
                for axis in contracted:
                    size *= equation.invars[0].aval.shape[axis]
            elif name in ("lu", "cholesky", "triangular_solve"):
                size *= equation.invars[0].aval.shape[-1]
            counted[name] += size * times * COST.get(name, 1)
    return counted


def timed(fn: Any, controls: Sequence[Any], prepare: Any, moved: str, n: int) -> dict[str, Any]:
    """Milliseconds of a jitted figure function at n values across the control that is moved."""
    import jax

    jitted = jax.jit(fn)
    at = {control.name: argument(control, getattr(control, "value", None)) for control in controls}
    control = next(control for control in controls if control.name == moved)
    kind = type(control).__name__
    prepared: dict[str, Any] = {}
    if prepare is not None:
        noise = jax.jit(prepare)
        wanted = inspect.signature(prepare).parameters

    def at_value(share: float) -> Any:
        if kind == "Points":
            return None
        if kind == "Seed":
            return round(1000 * share)
        if kind == "Choice":
            return int(share * (len(control.options) - 1e-9))
        if control.log:
            return control.low * (control.high / control.low) ** share
        return control.low + share * (control.high - control.low)

    times = []
    for k in range(n + 1):
        at[moved] = argument(control, at_value(k / n))
        began = time.perf_counter()
        if prepare is not None and (not prepared or moved in wanted):
            prepared = {"prepared": noise(**{name: at[name] for name in wanted})}
        own = {name: at[name] for name in inspect.signature(fn).parameters if name in at}
        jax.block_until_ready(jitted(**own, **prepared))
        times.append(1000 * (time.perf_counter() - began))
    counted = expensive(jax.make_jaxpr(fn)(**own, **prepared).jaxpr)
    return {"jax": statistics.median(times[1:]), "operation": max(counted, key=counted.__getitem__)}


def native(notebook: Path, moves: dict[str, list[str]], n: int) -> dict[str, dict[str, Any]]:
    """Run a notebook until its figures are made; time them. {figure: {control: what was found}}."""
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell

    from optdyn import explore as module

    made: dict[str, tuple[Any, Any, Any]] = {}
    original = module.explore

    def explore(fn: Any, controls: Any, *rest: Any, **options: Any) -> Any:
        figure = original(fn, controls, *rest, **options)
        made[figure.name] = fn, controls, options.get("prepare")
        return figure

    module.explore = explore
    shell = InteractiveShell.instance()
    for cell in nbformat.read(notebook, 4).cells:
        if cell.cell_type == "code" and not set(moves) <= set(made):
            with contextlib.redirect_stdout(io.StringIO()):
                shell.run_cell(cell.source).raise_error()
    return {
        name: {control: timed(*made[name], control, n) for control in controls}
        for name, controls in moves.items()
        if name in made
    }


def natively(notebook: Path, moves: dict[str, list[str]], n: int) -> dict[str, dict[str, Any]]:
    """`native` in a process of its own, on one core."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "native.json"
        job = json.dumps([str(notebook), moves, n, str(out)])
        kept = {"OPTDYN_BOOK": "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ONE_THREAD}
        done = subprocess.run(
            [sys.executable, __file__, "--native", job],
            env={**os.environ, **kept},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"{notebook} does not run:\n{done.stdout}{done.stderr}")
        found: dict[str, dict[str, Any]] = json.loads(out.read_text("utf-8"))
        return found


# --- the loop by hand ----------------------------------------------------------------------------

STEP_SIZES, FORGOTTEN, KEPT, POINTS = 400, 200, 100, 20
BY_HAND = f"""() => {{
  const kept = new Float64Array({KEPT * STEP_SIZES});
  return (low, high, z) => {{
    const n = z.length;
    for (let e = 0; e < {STEP_SIZES}; e++) {{
      const stepSize = low + ((high - low) * e) / {STEP_SIZES - 1};
      let w = 1;
      for (let t = 0; t < {FORGOTTEN + KEPT}; t++) {{
        let force = 0;
        for (let i = 0; i < n; i++) force += z[i] / (1 + Math.exp(z[i] * w));
        w += (stepSize * force) / n;
        if (t >= {FORGOTTEN}) kept[(t - {FORGOTTEN}) * {STEP_SIZES} + e] = w;
      }}
    }}
    return [kept];
  }};
}}"""
IN_TURNS = """([sources, low, high, z, repeats]) => {
  z = Float64Array.from(z);
  const programs = sources.map((source) => (0, eval)("(" + source + ")")());
  const times = programs.map(() => []);
  for (let turn = -3; turn < repeats; turn++) {
    programs.forEach((program, k) => {
      const began = performance.now();
      program(low, high, z);
      if (turn >= 0) times[k].push(performance.now() - began);
    });
  }
  return [times, programs.map((program) => Array.from(program(low, high, z)[0]))];
}"""


def diagram(low: Any, high: Any, z: Any) -> Any:
    """Gradient descent on the logistic loss of a one-dimensional data set, over step sizes."""
    import jax
    import jax.numpy as jnp

    step_sizes = jnp.linspace(low, high, STEP_SIZES)

    def step(w: Any, _: Any) -> Any:
        w = w + step_sizes * jnp.mean(z * jax.nn.sigmoid(-z * w[:, None]), axis=1)
        return w, w

    w, _ = jax.lax.scan(lambda w, _: (step(w, _)[0], None), jnp.ones(STEP_SIZES), length=FORGOTTEN)
    return jax.lax.scan(step, w, length=KEPT)[1]


def against_the_hand(page: Any, repeats: int) -> dict[str, Any]:
    """Both programs by turns in one page."""
    import jax
    import numpy as np

    from optdyn.javascript import translate

    jax.config.update("jax_enable_x64", True)
    low, high, z = 1.0, 10.0, np.linspace(-1, 2, POINTS)
    program = translate(diagram, low, high, z)
    page.goto("about:blank")
    sources = [BY_HAND, program.source]
    times, kept = page.evaluate(IN_TURNS, [sources, low, high, z.tolist(), repeats])
    hand, ours = (np.reshape(values, (KEPT, STEP_SIZES)) for values in kept)
    # Where orbits are chaotic, rounding decides; to its range that makes little.
    equal = np.isclose(hand, ours, rtol=1e-9).all(axis=0).mean()
    near = np.allclose(
        np.quantile(hand, [0, 0.25, 0.5, 1]), np.quantile(ours, [0, 0.25, 0.5, 1]), 0.02
    )
    by_hand, translated = (statistics.median(one) for one in times)
    return {
        "hand": by_hand,
        "translated": translated,
        "ratio": translated / by_hand,
        "equal": float(equal),
        "right": bool(near and equal > 0.3),
        "kilobytes": len(gzip.compress(program.source.encode(), 9)) / 1000,
    }


# --- the table -----------------------------------------------------------------------------------


def least(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a figure's rows the slowest; one for what computes and one for what prepares."""
    found = []
    for prepares in False, True:
        some = [row for row in rows if row["prepares"] == prepares]
        found += [min(some, key=lambda row: row["redraws"])] if some else []
    return found


def measure(
    figures: Sequence[Computing], site: Path, notebooks: Path, browser: Any, quick: bool
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with served(site) as address:
        for figure in figures:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(30_000)
            for row in least(dragged(page, address, figure, 0.5 if quick else 3)):
                rows.append({**row, "kilobytes": kilobytes(figure), "limit": limit(row)})
            page.close()
    for name in dict.fromkeys(row["page"] for row in rows):
        notebook = notebooks / Path(name).with_suffix(".ipynb")
        own = [row for row in rows if row["page"] == name]
        moves: dict[str, list[str]] = {}
        for row in own:
            moves.setdefault(row["name"], []).append(row["control"])
        found = natively(notebook, moves, 10 if quick else 40) if notebook.exists() else {}
        for row in own:
            row.update(found.get(row["name"], {}).get(row["control"], {}))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        f"  {'figure, and what is dragged':<44}{'kB':>6}{'V8 ms':>8}{'JAX ms':>8}{'ratio':>7}"
        f"{'redraws/s':>11}  limited by"
    ]
    for row in rows:
        jax_ms = f"{row['jax']:.2f}" if "jax" in row else "-"
        ratio = f"{row['compute'] / row['jax']:.1f}" if "jax" in row else "-"
        limited = row["limit"]
        if limited == "computation" and "operation" in row:
            limited += f" ({row['operation']})"
        lines.append(
            f"  {row['name'] + ', ' + row['control']:<44}{row['kilobytes']:>6.1f}"
            f"{row['compute']:>8.2f}{jax_ms:>8}{ratio:>7}{row['redraws']:>11.0f}  {limited}"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a second a slider")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--notebooks", type=Path, default=ROOT, help="the folder of their paths")
    parser.add_argument(
        "--native", help=argparse.SUPPRESS
    )  # for the process that `natively` starts
    chosen = parser.parse_args()
    if chosen.native:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        notebook, moves, n, out = json.loads(chosen.native)
        Path(out).write_text(json.dumps(native(Path(notebook), moves, n)), "utf-8")
        return 0
    if not (chosen.site / "index.html").is_file():
        print(f"There is no site in {chosen.site}. Build it first: make build")
        return 1

    sys.path[:0] = [str(ROOT), str(ROOT / "book")]
    from playwright.sync_api import sync_playwright

    import make
    import notebooks

    figures = computing_figures(chosen.site)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=make.find_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        machine = {
            "date": time.strftime("%Y-%m-%d"),
            "cpu": notebooks.cpu_model(),
            "cores": os.cpu_count(),
            "browser": f"Chromium {browser.version}, headless, without a GPU",
            "load": round(load, 1),
        }
        print(f"\nComputing figures: {len(figures)}; Chromium {browser.version}, load {load:.1f}\n")
        rows = measure(figures, chosen.site, chosen.notebooks, browser, chosen.quick)
        hand = against_the_hand(browser.new_page(), 7 if chosen.quick else 41)
        browser.close()
    print("\n".join(table(rows)))
    print(
        f"\n  asked: {ASKED_KILOBYTES} kB at most, ratio {ASKED_RATIO}, {ASKED_REDRAWS} redraws/s"
    )
    print(f"\nA diagram of {STEP_SIZES} step sizes, {FORGOTTEN + KEPT} steps, {POINTS} points:")
    print(f"  by hand {hand['hand']:.1f} ms, translated {hand['translated']:.1f} ms, ", end="")
    print(f"ratio {hand['ratio']:.2f} (asked {ASKED_HAND}), {hand['kilobytes']:.1f} kB; ", end="")
    print(f"the same orbit for {100 * hand['equal']:.0f} % of the step sizes")
    if chosen.json:
        found = {"machine": machine, "figures": rows, "hand": hand}
        part = chosen.json.with_suffix(".tmp")
        part.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        part.replace(chosen.json)
    if not hand["right"]:
        print("\nThe translated diagram differs from the one by hand.")
    return 0 if hand["right"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
