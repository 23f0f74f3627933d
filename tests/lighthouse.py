"""Lighthouse on five pages: accessibility must reach 95, performance is told.

    python make.py lighthouse

Lighthouse comes from npm, at the version below, into .make/lighthouse. Each page is looked at
three times with its desktop preset; the medians count. The pages come compressed, as any public
host sends them, with the headers that the site asks servers for.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import make

VERSION = "12.8.2"  # 13 needs Node 22.19
FOLDER = make.ROOT / ".make" / "lighthouse"
PAGES = (
    "book/index.html",
    "book/how_to_read.html",
    "chapters/cycles/1_phenomenon.html",
    "chapters/adam/exercises.html",
    "search.html",
)
CATEGORIES = ("accessibility", "performance", "best-practices", "seo")
LEAST = 95  # for accessibility
RUNS = 3
PATIENCE = 300  # seconds for one look
TRIES = 3  # at a look that fails by itself
NOT_TRIED = 3  # exit status


class Compressing(make.Handler):
    """The book's server, but for text compressed as public hosts do it."""

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        kind = self.guess_type(str(path))
        asked = "gzip" in self.headers.get("Accept-Encoding", "")
        text = kind.startswith("text/") or kind.split(";")[0] in (
            "application/json",
            "image/svg+xml",
        )
        if not (asked and text and path.is_file()):
            return super().send_head()  # type: ignore[no-untyped-call]
        body = compressed(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)


@functools.lru_cache(256)
def compressed(path: Path, stamp: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6)


def not_tried(sentence: str) -> int:
    print(f"Lighthouse was not tried: {sentence}", flush=True)
    return NOT_TRIED


def install() -> str | None:
    """Fetch Lighthouse unless it is there; why it is not, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "it needs Node.js 18.16 or later with npm, and there is none."
    manifest = FOLDER / "node_modules" / "lighthouse" / "package.json"
    if manifest.is_file() and json.loads(manifest.read_text("utf-8"))["version"] == VERSION:
        return None
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}\n', "utf-8")
    npm = [str(shutil.which("npm")), "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run([*npm, f"lighthouse@{VERSION}"], cwd=FOLDER, text=True, timeout=600)
    return None if done.returncode == 0 else "npm could not fetch it. Is there a network?"


def look(address: str, folder: Path) -> dict[str, Any]:
    """One report of Lighthouse."""
    out = folder / "report.json"
    command = ["node", str(FOLDER / "node_modules" / "lighthouse" / "cli" / "index.js"), address]
    command += ["--preset=desktop", "--output=json", f"--output-path={out}", "--quiet"]
    command += [
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        "--no-enable-error-reporting",
    ]
    command += [f"--only-categories={','.join(CATEGORIES)}"]
    environment = {**os.environ, "CHROME_PATH": str(make.find_chromium()), "TMPDIR": str(folder)}
    for _ in range(TRIES):  # now and then Chromium records no navigation (NO_NAVSTART)
        done = subprocess.run(
            command, env=environment, text=True, capture_output=True, timeout=PATIENCE
        )
        if done.returncode == 0:
            report: dict[str, Any] = json.loads(out.read_text("utf-8"))
            return report
    raise SystemExit(f"Lighthouse failed on {address}:\n{done.stderr[-2000:]}")


def scores(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The medians over several reports, out of 100, by category.

    >>> scores([{"categories": {"seo": {"score": s}}} for s in (0.5, 1, 0.9)])
    {'seo': 90.0}
    """
    names = reports[0]["categories"]
    found = {n: [100 * (r["categories"][n]["score"] or 0) for r in reports] for n in names}
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


def failing(report: dict[str, Any], category: str) -> list[str]:
    """The audits of a category that cost points."""
    wanted = [a["id"] for a in report["categories"][category]["auditRefs"] if a["weight"]]
    audits = report["audits"]
    return [audits[name]["title"] for name in wanted if audits[name]["score"] not in (None, 1)]


def main(pages: Sequence[str] = ()) -> int:
    if not (make.SITE / "index.html").is_file():
        print("There is no site in _build/html; build it first: python make.py build")
        return 1
    if problem := install():
        return not_tried(problem)
    handler = functools.partial(Compressing, directory=str(make.SITE))
    low = []
    with (
        make.Server(("127.0.0.1", 0), handler) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for page in pages or PAGES:
                address = f"http://127.0.0.1:{server.server_port}/{page}"
                reports = [look(address, Path(folder)) for _ in range(RUNS)]
                found = scores(reports)
                print(f"{page}: " + ", ".join(f"{k} {v:.0f}" for k, v in found.items()), flush=True)
                for category in CATEGORIES:
                    for title in failing(reports[0], category):
                        print(f"    {category}: {title}")
                if found["accessibility"] < LEAST:
                    low.append(page)
        finally:
            server.shutdown()
    if low:
        print(f"Accessibility is below {LEAST} on {', '.join(low)}.")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
