#!/usr/bin/env python3
"""The book's commands.

    python make.py help

This file needs nothing but Python 3.11 or later: it makes the environment (.venv)
in which everything else runs. The Makefile only passes its targets on to it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.server
import importlib.util
import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PEERS = ROOT / ".make" / "venv-peers"  # what tests/bench compares with
PEERS_LOCK = ROOT / "requirements-peers.lock"
ELSEWHERE = ("colab", "oldest", "newest")  # the versions that tests/elsewhere.py knows
BUILD = ROOT / "_build"
SITE = BUILD / "html"
WINDOWS = os.name == "nt"


def stop(sentence: str) -> NoReturn:
    """End with a sentence for the reader and exit status 1."""
    raise SystemExit("make.py: " + sentence)


def say(text: str) -> None:
    print(text, flush=True)


# --- one command at a time -----------------------------------------------------------


def _try_lock(file: int) -> bool:
    try:
        if WINDOWS:
            import msvcrt

            os.lseek(file, 0, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


held: list[int] = []  # descriptors that child processes inherit


@contextlib.contextmanager
def one_at_a_time(what: str, folder: Path = ROOT / ".make") -> Iterator[None]:
    """Hold the lock of one kind of work; wait for it, and say so, if it is taken.

    The operating system drops the lock when its holders are gone, however they
    ended, so it never has to be cleaned up. Child processes hold it too: a pip that
    outlives a killed make.py still keeps a second one out.
    """
    folder.mkdir(exist_ok=True)
    file = os.open(folder / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _try_lock(file):
            say(f"Another command is busy with the {what} here; waiting for it.")
            while not _try_lock(file):
                time.sleep(0.2)
        held.append(file)
        yield
    finally:
        if file in held:
            held.remove(file)
        os.close(file)


# --- running other programs ----------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    """The environment of child processes: ours, without what would lead them astray."""
    drop = {"PYTHONPATH", "PYTHONHOME", "OPTDYN_BOOK", "VIRTUAL_ENV"}
    kept = {k: v for k, v in os.environ.items() if k.upper() not in drop}
    kept.setdefault("OMP_NUM_THREADS", "1")  # two workers share the cores
    return {**kept, "PYTHONUTF8": "1", **more}


def start(command: Sequence[str | Path], **options: object) -> subprocess.Popen[str]:
    if not WINDOWS:
        options["pass_fds"] = tuple(held)
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """End a child that we no longer wait for."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command: Sequence[str | Path], **more: str) -> int:
    """Run a program that prints for itself; return its exit status."""
    process = start(command, env=environment(**more))
    try:
        return process.wait()
    finally:
        finish(process)


def watch(label: str, command: Sequence[str | Path], log: Path, **more: str) -> int:
    """Run a program with its output in a log file, showing that it is alive."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    process = start(
        command,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    terminal, told, latest = sys.stdout.isatty(), 0.0, ""
    try:
        with log.open("w", encoding="utf-8") as out:
            while True:
                try:
                    line = lines.get(timeout=0.5)
                    if line is None:
                        break
                    line = re.sub(r"\x1b\[[0-9;]*m", "", line)  # colours
                    out.write(line)
                    out.flush()
                    latest = line.split(" (from ")[0].strip() or latest
                except queue.Empty:
                    pass
                seconds = time.monotonic() - began
                if seconds - told >= (0.2 if terminal else 10):
                    told = seconds
                    width = shutil.get_terminal_size().columns - 1
                    text = f"  {label} {seconds:4.0f} s  {latest}"[:width]
                    if terminal:
                        print("\r\x1b[K" + text, end="", flush=True)
                    else:
                        say(text)
        return process.wait()
    finally:
        finish(process)
        reader.join(5)
        if process.stdout is not None and not reader.is_alive():
            process.stdout.close()
        if terminal:
            print("\r\x1b[K", end="", flush=True)


def tail(log: Path, lines: int = 40) -> str:
    text = log.read_text("utf-8", errors="replace").splitlines()
    return "\n".join("    " + line for line in text[-lines:])


# --- the environment -----------------------------------------------------------------


def python_complaint(version: tuple[int, int]) -> str | None:
    """Why this Python will not do, or None."""
    if version >= (3, 11):
        return None
    return (
        f"Python 3.11 or later is needed; this is Python {version[0]}.{version[1]} "
        f"({sys.executable}). Install a newer one, and name it if it is not the "
        "first found: make book PYTHON=python3.12"
    )


def venv_python(venv: Path = VENV) -> Path:
    return venv / ("Scripts/python.exe" if WINDOWS else "bin/python")


def wanted_mark(venv: Path = VENV, lock: Path = LOCK) -> str:
    """What the mark of a complete environment says: for what it was made, and where."""
    locked = hashlib.sha256(lock.read_bytes()).hexdigest()
    python = f"python {sys.version_info[0]}.{sys.version_info[1]}"
    return f"complete\n{python}\n{locked}\n{venv}\n"


def is_complete(venv: Path = VENV, lock: Path = LOCK) -> bool:
    mark = venv / "optdyn-mark"
    return (
        mark.is_file()
        and mark.read_text("utf-8") == wanted_mark(venv, lock)
        and venv_python(venv).exists()
    )


def setup(venv: Path = VENV, lock: Path = LOCK) -> None:
    """Make an environment, the book's or another, unless it is there, complete, up to date."""
    complaint = python_complaint(sys.version_info[:2])
    if complaint:
        stop(complaint)
    if is_complete(venv, lock):
        return
    with one_at_a_time("set-up"):
        if not is_complete(venv, lock):  # the other command may have made it
            _make_environment(venv, lock)


def _make_environment(venv: Path, lock: Path) -> None:
    began = time.monotonic()
    mark = venv / "optdyn-mark"
    if sys.version_info[:2] > (3, 13):
        say("Note: the book is tried with Python 3.11 to 3.13; this one is newer.")
    for module in "venv", "ensurepip":
        if importlib.util.find_spec(module) is None:
            stop(
                f"this Python has no {module}. On Debian and Ubuntu: sudo apt install "
                "python3-venv. Elsewhere: install Python from python.org."
            )
    if venv.exists() and any(venv.iterdir()) and not mark.exists():
        stop(
            f"{venv} is there, but was not made by this script, so it is left alone. "
            "Move it away and call again."
        )
    if mark.exists():
        was_whole = mark.read_text("utf-8").startswith("complete")
        say(
            f"The environment {venv.name} is out of date; making it anew."
            if was_whole
            else f"The last set-up of {venv.name} was interrupted; starting it again."
        )
        shutil.rmtree(venv)
    venv.mkdir(parents=True, exist_ok=True)
    mark.write_text("begun\n", "utf-8")

    packages = len(re.findall(r"^[\w.-]+==", lock.read_text("utf-8"), re.MULTILINE))
    size = "1.3 GB; a minute or a few" if lock == LOCK else "0.4 GB; a minute"
    say(f"Setting up {venv.name}: {packages} packages, about {size}.")
    log = ROOT / ".make" / "set-up.log"
    python = venv_python(venv)
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
    pip += ["install", "--progress-bar=off", "--no-input", "--no-deps"]
    pip += ["--only-binary=:all:", "--require-hashes", "-r", lock]
    steps: dict[str, list[str | Path]] = {
        "making the environment": [sys.executable, "-m", "venv", venv],
        "installing": pip,
    }
    for label, command in steps.items():
        if watch(label, command, log, PIP_USER="0") != 0:
            say(tail(log))
            stop(
                f"set-up of {venv.name} failed while {label} (the end of {log} is above). "
                "Is there a network? Once set up, the book needs none. Call again to retry."
            )
    if lock == LOCK:
        _link_library(python)
    mark.write_text(wanted_mark(venv, lock), "utf-8")
    say(f"Set up in {time.monotonic() - began:.0f} s.")


def _link_library(python: Path) -> None:
    say("  the library, from lib/")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages_folder = Path(
        subprocess.check_output([str(python), "-c", where], text=True, env=environment()).strip()
    )
    # A path relative to the folder: ASCII whatever the checkout's own path is.
    link = os.path.relpath(ROOT / "lib", packages_folder.resolve())
    (packages_folder / "optdyn-from-checkout.pth").write_text(link + "\n", "ascii")


# --- the site ------------------------------------------------------------------------


def rename(old: Path, new: Path) -> None:
    """Rename; on Windows wait for readers of a file in there to let go."""
    for _ in range(50):
        try:
            old.rename(new)
            return
        except PermissionError:
            if not WINDOWS:
                raise
            time.sleep(0.1)
    old.rename(new)


def build() -> None:
    """Build the site into _build/html, from stored outputs, every warning fatal.

    The build goes into a folder of its own, empty at the start, and takes the place
    of the last site when it has succeeded. Until then that one stays as it is.
    """
    setup()
    fresh, before = BUILD / "next", BUILD / "html-before"
    with one_at_a_time("build"):
        began = time.monotonic()
        if before.exists() and not SITE.exists():  # stopped between the two renames
            rename(before, SITE)
        for leftover in fresh, before:
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        log = BUILD / "build.log"
        jupyter_book = "from jupyter_book.cli.main import main; main()"
        command: list[str | Path] = [venv_python(), "-c", jupyter_book, "build", ROOT]
        command += ["-W", "--keep-going", "--path-output", fresh]
        status = watch("building the site", command, log, OPTDYN_BOOK="1")
        made = fresh / "_build" / "html"
        if status != 0 or not (made / "index.html").is_file():
            text = log.read_text("utf-8", errors="replace")
            say(tail(log))
            say("Warnings and errors:")
            for line in text.splitlines():
                if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line):
                    say("    " + line)
            shutil.rmtree(fresh, ignore_errors=True)
            stop(f"the build failed; the whole log is in {log}. The last site is kept.")
        wheel: list[str | Path] = [venv_python(), ROOT / "book" / "bookwheel.py", "--wheel"]
        log = ROOT / ".make" / "wheel.log"
        if watch("building the wheel", [*wheel, made / "downloads"], log) != 0:
            say(tail(log))
            stop("the wheel could not be built (see above). The last site is kept.")
        make_slides(made, "The last site is kept.")
        if SITE.exists():
            rename(SITE, before)
        rename(made, SITE)
        for leftover in fresh, before:
            shutil.rmtree(leftover, ignore_errors=True)
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    seconds = time.monotonic() - began
    say(f"Built _build/html in {seconds:.0f} s ({size / 1e6:.1f} MB).")


def make_slides(site: Path, kept: str) -> None:
    """Write the decks of slides into a site; `kept` says what is left if that fails."""
    command: list[str | Path] = [venv_python(), ROOT / "book" / "slides.py", "make", site]
    log = ROOT / ".make" / "slides.log"
    if watch("making the slides", command, log) != 0:
        say(tail(log))
        stop(f"the slides could not be made (see above). {kept}")


def slides() -> None:
    """Make the decks of slides of the built site anew, from the notebooks as they are."""
    setup()
    if not (SITE / "index.html").is_file():
        stop("there is no site in _build/html yet: python make.py build")
    with one_at_a_time("build"):
        make_slides(SITE, "The last ones are kept.")
    say("Made _build/html/slides.")


def edition(kind: str) -> None:
    """Write the book as a PDF or an EPUB, from the built site; the site offers it from then on."""
    os.environ["OPTDYN_CHROMIUM"] = str(find_chromium())
    setup()
    if not (SITE / "index.html").is_file():
        stop("there is no site in _build/html yet: python make.py build")
    log = ROOT / ".make" / f"{kind}.log"
    with one_at_a_time("build"):
        if watch(f"writing the {kind}", [venv_python(), ROOT / "book" / f"{kind}.py"], log) != 0:
            say(tail(log))
            stop(f"the {kind} could not be written (see above). The last one is kept.")
    say(tail(log, 1).strip())


def licences() -> None:
    """List the packages, vendored files and data of the book with their licences."""
    setup()
    status = run([venv_python(), ROOT / "book" / "licences.py"])
    if status:
        raise SystemExit(status)


def site_headers(site: Path) -> list[tuple[str, str]]:
    """What the site's file _headers asks a server to send with every answer."""
    file = site / "_headers"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    pairs = (line.partition(":") for line in lines if line.startswith(" "))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site; quiet, and always the newest build."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012 (as in the base class)
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".ipynb": "application/x-ipynb+json",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
        ".woff2": "font/woff2",
    }

    def send_head(self):  # type: ignore[no-untyped-def]
        for _ in range(50):  # a new build is being put in place
            if Path(self.directory).exists():
                break
            time.sleep(0.1)
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        for name, value in site_headers(Path(self.directory)):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    # On Windows address reuse would let two servers share a port.
    allow_reuse_address = not WINDOWS

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the reader moved on
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def open_server(directory: Path, first: int = 8000) -> Server:
    """A server on the first free port from `first` on."""

    def handler(*args):  # type: ignore[no-untyped-def]
        return Handler(*args, directory=str(directory))

    for port in range(first, min(first + 100, 65536)):
        with socket.socket() as probe:  # some systems let a second one bind
            probe.settimeout(1)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken:
            with contextlib.suppress(OSError):
                return Server(("127.0.0.1", port), handler)
        say(f"Port {port} is taken; trying the next.")
    stop(f"no free port from {first} on.")


def serve(first: int) -> None:
    with open_server(SITE, first) as server:
        say(f"\nThe book is at http://127.0.0.1:{server.server_port}/")
        say("Press Ctrl-C to stop.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    say("")


def book(port: int, no_serve: bool) -> None:
    build()
    if not no_serve:
        serve(port)


# --- the notebooks in JupyterLab ------------------------------------------------------

LAB_SETTINGS = {  # no questions to other hosts, and no file is written unasked
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


@contextlib.contextmanager
def jupyterlab(
    folder: Path, own: Path, port: int = 8888, *options: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """JupyterLab on a folder, for this machine only, with a token; all it keeps lies in `own`.

    Yields its process, its address from the first free port on, and the token, new each time.
    """
    (own / "settings").mkdir(parents=True, exist_ok=True)
    (own / "settings" / "overrides.json").write_text(json.dumps(LAB_SETTINGS), "utf-8")
    token = secrets.token_urlsafe(24)
    runtime = Path(tempfile.mkdtemp(prefix="optdyn-lab-"))
    places = {
        "IPYTHONDIR": own / "ipython",
        "JUPYTER_CONFIG_DIR": own / "config",
        "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": runtime,
        "JUPYTERLAB_SETTINGS_DIR": own / "user",
        "JUPYTERLAB_WORKSPACES_DIR": own / "workspaces",
    }
    env = environment(JUPYTER_TOKEN=token, **{name: str(path) for name, path in places.items()})
    command: list[str | Path] = [
        *(venv_python(), "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"),
        *("--ServerApp.open_browser=False", "--ServerApp.answer_yes=True"),
        *("--ServerApp.allow_root=True", "--ServerApp.log_level=WARN"),
        f"--LabApp.app_settings_dir={own / 'settings'}",
        *("--LabApp.news_url=None", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *options,
    ]
    log = own / "server.log"
    with log.open("w", encoding="utf-8") as out:
        process = start(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 120
        address = ""
        while not address:
            if process.poll() is not None or time.monotonic() > end:
                say(tail(log))
                stop(f"JupyterLab did not start; the end of {log} is above.")
            time.sleep(0.1)
            address = _lab_address(runtime)
        yield process, address, token
    finally:
        finish(process)
        shutil.rmtree(runtime, ignore_errors=True)


def _lab_address(runtime: Path) -> str:
    """The address that a JupyterLab has written down there, once it listens; until then nothing."""
    with contextlib.suppress(OSError, ValueError):
        for file in runtime.glob("jpserver-*.json"):
            said = json.loads(file.read_text("utf-8"))
            with socket.create_connection(("127.0.0.1", said["port"]), 1):
                return str(said["url"])
    return ""


def lab(port: int) -> None:
    """Open the book's notebooks in JupyterLab, to be run and changed."""
    setup()
    with jupyterlab(ROOT, ROOT / ".make" / "lab", port) as (process, address, token):
        say(f"\nThe notebooks are at {address}lab/tree/chapters?token={token}")
        say("They are the book's own files. Nothing is saved until you save it.")
        say("Press Ctrl-C to stop.")
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()
    say("")


# --- the tests -----------------------------------------------------------------------

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
USUAL_PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "{ProgramFiles}/Google/Chrome/Application/chrome.exe",
    "{ProgramFiles(x86)}/Google/Chrome/Application/chrome.exe",
    "{LocalAppData}/Google/Chrome/Application/chrome.exe",
    "{LocalAppData}/Chromium/Application/chrome.exe",
)


def find_chromium() -> Path:
    """The Chromium (or Chrome) that the site's tests drive."""
    named = os.environ.get("OPTDYN_CHROMIUM")
    if named:
        if shutil.which(named):
            return Path(str(shutil.which(named)))
        stop(f"OPTDYN_CHROMIUM names {named}, which is not a program.")
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return Path(found)
    variables = {key.lower(): value for key, value in os.environ.items()}
    for place in USUAL_PLACES:
        filled = re.sub(r"\{(.*?)\}", lambda m: variables.get(m[1].lower(), "/nowhere"), place)
        if Path(filled).is_file():
            return Path(filled)
    stop(
        "the tests need Chromium or Chrome, and none was found. Debian: sudo apt "
        "install chromium. Ubuntu: sudo snap install chromium. macOS: brew install "
        "--cask chromium. Windows: install Chrome. Or set OPTDYN_CHROMIUM to the "
        "program's path."
    )


REFERENCES = ROOT / ".make" / "references"
NBVAL = (
    "--nbval-lax",  # outputs are compared where a cell is tagged nbval-check-output
    "--nbval-current-env",
    "--nbval-cell-timeout=300",
    "--nbval-sanitize-with=tests/nbval_sanitise.cfg",
)


# A test that takes longer, in seconds, hangs: its stack is printed, and its process ends.
PATIENCE = 400
HANGS = ("-o", f"faulthandler_timeout={PATIENCE}", "-o", "faulthandler_exit_on_timeout=true")

# Two processes. A new one takes the place of one that ended, but not where each takes whole
# files: there xdist 3.8 gives the new one nothing to do, and waits for it for ever (issue 1323).
ONE_BY_ONE = ("-n2", "--maxschedchunk=1")
FILE_BY_FILE = ("-n2", "--dist=loadfile", "--max-worker-restart=0")


def pytest(*arguments: str | Path, **more: str) -> int:
    """pytest in the environment; a skipped test counts as a failure, and so does a hanging one."""
    command = [venv_python(), "-m", "pytest", "-q", *HANGS, *arguments]
    return run(command, OPTDYN_NO_SKIPS="1", **more)


SECOND_RUN = 2  # failed tests, at most
unsteady: list[str] = []  # tests that failed and, run again alone, passed


def pytest_twice(*arguments: str | Path, **more: str) -> int:
    """pytest; if one or two tests fail, these once more, alone.

    Browsers and groups of processes on a shared machine can be disturbed by what runs beside
    them. What passes alone is named at the end of `make test`, as unsteady; more failures, and
    those that come again, fail.
    """
    cache = ROOT / ".make" / "pytest"
    status = pytest("-o", f"cache_dir={cache}", "--cache-clear", *arguments, **more)
    record = cache / "v" / "cache" / "lastfailed"
    failed = list(json.loads(record.read_text("utf-8"))) if record.is_file() else []
    if status != 1 or not 1 <= len(failed) <= SECOND_RUN:
        return status
    say(f"\nOnce more, alone: {', '.join(failed)}")
    status = pytest(*failed, **more)
    if status == 0:
        unsteady.extend(failed)
    return status


def lint() -> int:
    python = venv_python()
    return (
        run([python, "-m", "ruff", "check", "."])
        or run([python, "-m", "ruff", "format", "--check", "."])
        or run([python, "-m", "mypy"])
    )


def unit() -> int:
    others = "notebooks", "figures", "elsewhere", "course", "printed", "site", "live", "budget"
    rest = " and ".join(f"not {part}" for part in others)
    return pytest_twice("-n2", "-m", rest, "--durations=20", "--durations-min=3")


def notebooks() -> int:
    places = *sorted((ROOT / "book").glob("*.ipynb")), ROOT / "chapters"
    found = [path for path in places if path.exists()]
    shutil.rmtree(REFERENCES, ignore_errors=True)
    REFERENCES.mkdir(parents=True)
    more = {
        "OPTDYN_BOOK": "1",
        "OPTDYN_REFERENCES": str(REFERENCES),  # what JAX says of each figure that computes
    }
    return pytest("-n2", "-m", "notebooks and not budget", "tests") or pytest(
        *FILE_BY_FILE, *NBVAL, *found, **more
    )


def figures() -> int:
    return pytest("-m", "figures", "tests", OPTDYN_REFERENCES=str(REFERENCES))


def elsewhere() -> int:
    # One test makes an environment and runs five notebooks there; each cell has its own limit.
    patience = f"faulthandler_timeout={3 * PATIENCE}"
    return pytest("-m", "elsewhere", "tests", "-o", patience)


def course() -> int:
    return pytest("-m", "course", "tests")


def build_part() -> int:
    build()
    return 0


def printed() -> int:
    # In test-all the whole book is printed twice; each printing has its own limit.
    return pytest("-m", "printed", "tests", "-o", f"faulthandler_timeout={8 * PATIENCE}")


def site() -> int:
    shutil.rmtree(ROOT / ".make" / "visits", ignore_errors=True)
    return pytest_twice(*ONE_BY_ONE, "-m", "site and not budget", "tests")


def live() -> int:
    # One test runs a whole notebook; each wait in it has its own limit.
    patience = f"faulthandler_timeout={3 * PATIENCE}"
    return pytest_twice("-m", "live", "tests", "-o", patience)


def budgets() -> int:
    return pytest("-m", "budget", "tests")


PARTS: tuple[tuple[str, Callable[[], int]], ...] = (
    ("lint and types", lint),
    ("unit, doctest, property", unit),
    ("notebooks", notebooks),
    ("figures against JAX", figures),
    ("other versions", elsewhere),
    ("homework", course),
    ("build", build_part),
    ("PDF and EPUB", printed),
    ("site in Chromium", site),
    ("live kernel", live),
    ("budgets", budgets),
)
SECONDS_BUDGET = {"build": 90, "all": 1500}  # a test fails at three times these


def test() -> None:
    """Run every test, the cheap ones first; stop at the first part that fails."""
    os.environ["OPTDYN_CHROMIUM"] = str(find_chromium())
    setup()
    setup(PEERS, PEERS_LOCK)
    seconds: list[tuple[str, float, str]] = []
    for name, part in PARTS:
        say(f"\n=== {name} ===")
        began = time.monotonic()
        verdict = "failed"
        try:
            if part() == 0:
                verdict = "passed"
        except SystemExit as problem:
            print(problem.code, file=sys.stderr, flush=True)
        seconds.append((name, time.monotonic() - began, verdict))
        say(f"{name}: {verdict} in {seconds[-1][1]:.0f} s")
        if verdict == "failed":
            break
    seconds.append(("all", sum(took for _, took, _ in seconds), verdict))
    say("\nSeconds by part")
    for name, took, verdict in seconds:
        budget = SECONDS_BUDGET.get(name)
        note = f" (budget {budget})" if budget else ""
        say(f"  {name:<26}{took:8.1f}  {verdict}{note}")
    for name in unsteady:
        say(f"  unsteady: {name} failed, and passed when it was run again alone")
    if verdict == "failed":
        stop(f"{seconds[-2][0]}: failed.")
    slow = [n for n, took, _ in seconds if took > 3 * SECONDS_BUDGET.get(n, 1e9)]
    if slow:
        stop(f"more than three times the budget: {', '.join(slow)}")


# --- other versions of JAX ------------------------------------------------------------


OLDEST = "jax==0.7.2"  # what pyproject.toml asks for at least
CONFORMANCE = ("optax>=0.2.8", "mini-racer>=0.12", "pytest>=8")


def test_all() -> None:
    """Everything `test` does, with every kill; then the translator and the notebooks elsewhere."""
    os.environ.setdefault("OPTDYN_KILLS", "20")  # moments at which a sweep is killed
    os.environ.setdefault("OPTDYN_ALL", "1")  # longer lists: of notebooks run live, of pages
    test()
    verdicts = [(wish, _conformance(wish)) for wish in (OLDEST, "jax")]
    say("\nThe translator on other versions of JAX")
    for wish, verdict in verdicts:
        say(f"  {wish:<14}{verdict}")
    wrong = [wish for wish, verdict in verdicts if verdict != "agrees"]
    if wrong:
        stop(f"the translator does not agree with all of JAX: {', '.join(wrong)}")
    say("\n=== the site a second time ===")
    same_twice()
    say("\n=== Lighthouse ===")
    lighthouse()
    say("\n=== links to other hosts ===")
    links(outside=True)
    failed = [kind for kind in ELSEWHERE if run_elsewhere(kind)]
    if failed:
        stop(f"notebooks fail with other versions: make {', make '.join(failed)}")


def same_twice() -> None:
    """Build the site again; it has to be the same bytes."""

    def digests() -> dict[str, str]:
        files = (path for path in SITE.rglob("*") if path.is_file())
        return {
            path.relative_to(SITE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    first = digests()
    build()
    second = digests()
    differ = sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))
    if differ:
        stop(f"two builds of the site differ in {len(differ)} files: {', '.join(differ[:9])}")
    say(f"{len(second)} files, the same bytes")


def links(outside: bool) -> None:
    """Follow the links of the built site; list those that lead outside, or try them."""
    setup()
    options = ["--outside"] if outside else []
    status = run([venv_python(), "-m", "tests.outside", *options])
    if status:
        raise SystemExit(status)


NOT_TRIED = 3  # what tests/lighthouse.py ends with where there is no npm


def lighthouse() -> None:
    """Let Lighthouse look at the built site; it comes from npm."""
    setup()
    status = run([venv_python(), "-m", "tests.lighthouse"])
    if status == NOT_TRIED and os.environ.get("OPTDYN_ALL") != "1":
        return
    if status:
        raise SystemExit(status)


def run_elsewhere(kind: str, which: Sequence[str] = ()) -> int:
    """Run notebooks outside the checkout with the versions of that kind; the exit status."""
    setup()
    say(f"\n=== the notebooks, {kind} ===")
    command: list[str | Path] = [venv_python(), "-m", "tests.elsewhere", kind]
    return run([*command, *which], PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "book")]))


def _conformance(wish: str) -> str:
    """What the conformance table says on another JAX, installed apart."""
    venv = ROOT / ".make" / f"venv-{'oldest' if wish == OLDEST else 'newest'}"
    say(f"\n=== {wish} ===")
    shutil.rmtree(venv, ignore_errors=True)
    if run([sys.executable, "-m", "venv", venv]):
        return "not tried: no environment"
    python = venv_python(venv)
    if run([python, "-m", "pip", "install", "--quiet", wish, *CONFORMANCE]):
        return "not tried: it could not be installed"
    status = run([python, "-m", "tests.conformance"], PYTHONPATH=str(ROOT / "lib"))
    return "agrees" if status == 0 else "differs (see above)"


# --- the rest ------------------------------------------------------------------------


def bench(quick: bool) -> None:
    """Time the library against others on the same work; what the page is made of comes first."""
    setup()
    setup(PEERS, PEERS_LOCK)
    options = ["--quick"] if quick else []
    scripts = sorted((ROOT / "tests" / "bench").glob("bench_*.py"))
    for script in sorted(scripts, key=lambda script: script.name != "bench_library.py"):
        status = run([venv_python(), script, *options])
        if status:
            raise SystemExit(status)


def sweep(anew: bool) -> None:
    """Train the language model under every optimiser; what is done before a stop is kept."""
    setup()
    command: list[str | Path] = [venv_python(), ROOT / "book" / "language_sweep.py"]
    with one_at_a_time("sweep"):
        status = run([*command, *(["--anew"] if anew else [])])
    if status:
        raise SystemExit(status)


def dist() -> None:
    """Build the wheel and the source archive of the library into dist/."""
    setup()
    with one_at_a_time("dist"):
        status = run([venv_python(), ROOT / "book" / "bookwheel.py", ROOT / "dist"])
    if status:
        raise SystemExit(status)


def homework(chosen: argparse.Namespace) -> None:
    """Make homework of a chapter's exercises, or mark what came back: book/course.py."""
    setup()
    command: list[str | Path] = [venv_python(), ROOT / "book" / "course.py", chosen.command]
    for name, value in vars(chosen).items():
        if isinstance(value, Path):
            value = Path(os.path.abspath(value.expanduser()))
        if value is True:
            command.append("--" + name.replace("_", "-"))
        elif name != "command" and value not in (None, False):
            command += ["--" + name, str(value)]
    with one_at_a_time("homework"):
        status = run(command)
    if status:
        raise SystemExit(status)


def execute(which: Sequence[str]) -> None:
    """Run notebooks anew and store their outputs."""
    setup()
    paths = [str(Path(name).resolve()) for name in which]
    command: list[str | Path] = [venv_python(), ROOT / "book" / "notebooks.py"]
    command += ["execute", *paths]
    with one_at_a_time("notebooks"):
        status = run(command, OPTDYN_BOOK="1")
    if status:
        raise SystemExit(status)


def lock(upgrade: bool) -> None:
    """Resolve requirements*.txt for Python 3.11 to 3.13 at once, each into its lock.

    Locked versions that still fit are kept, unless `upgrade`.
    """
    uv = shutil.which("uv")
    if uv is None:
        stop("the locks are renewed with uv, and there is none: pip install uv")
    peers = "requirements-peers.txt"
    for wishes, locked, more in (
        ("requirements.txt", LOCK, []),
        (peers, PEERS_LOCK, ["--overrides", peers]),  # that file says why
        ("requirements-colab.txt", ROOT / "requirements-colab.lock", []),
        ("requirements-oldest.txt", ROOT / "requirements-oldest.lock", []),
    ):
        fresh = locked.with_suffix(".tmp")
        shutil.copy(locked, fresh)
        command = [uv, "pip", "compile", "--quiet", "--universal"]
        command += ["--upgrade"] if upgrade else []
        command += ["--fork-strategy", "fewest", "--generate-hashes"]
        command += ["--python-version", "3.11", "--no-emit-index-url"]
        command += ["--custom-compile-command", "python make.py lock", *more]
        status = run([*command, wishes, "-o", fresh])
        if status:
            fresh.unlink(missing_ok=True)
            stop(f"{locked.name} could not be renewed; the old one is kept.")
        os.replace(fresh, locked)
        say(f"Renewed {locked.name}. The next command makes its environment anew.")


def clean(everything: bool) -> None:
    """Remove what the commands made; with --all the environments too."""
    gone = [
        BUILD,
        ROOT / "book" / "generated",
        *(ROOT / f".{tool}_cache" for tool in ("pytest", "mypy", "ruff")),
    ]
    apart = [VENV, PEERS, *(ROOT / ".make" / f"elsewhere-{kind}" for kind in ELSEWHERE)]
    gone += [ROOT / ".hypothesis", *(apart if everything else [])]
    if everything and VENV.exists() and not (VENV / "optdyn-mark").exists():
        stop(f"{VENV} was not made by this script, so it is left alone.")
    with one_at_a_time("set-up"), one_at_a_time("build"):
        for path in gone:
            if path.exists():
                shutil.rmtree(path)
                say(f"Removed {path.name}")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port; take a number from 1 to 65535")
    return int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="make.py",
        description="The commands of the book. Each sets up what it needs first.",
        epilog="With make installed, `make book` is the same as `python make.py book`.",
    )
    commands = top.add_subparsers(dest="command", metavar="command")
    add = commands.add_parser
    one = add("book", help="build the book and serve it on this machine")
    one.add_argument("--port", type=_port, default=8000, help="first port to try")
    one.add_argument("--no-serve", action="store_true", help="build only")
    add("build", help="build the book into _build/html, from stored outputs")
    one = add("lab", help="open the notebooks in JupyterLab on this machine")
    one.add_argument("--port", type=_port, default=8888, help="first port to try")
    add("slides", help="make only the slides of the built site anew")
    add("pdf", help="write the built site as a book to print, _build/pdf")
    add("epub", help="write the built site as an EPUB, _build/epub")
    add("licences", help="list the licences of all packages, scripts, fonts and data")
    add("test", help="run every test, and print the seconds of each part")
    add("test-all", help="all of it: more kills, every notebook, other versions, Lighthouse, links")
    for kind, versions in (
        ("colab", "that Colab ships"),
        ("oldest", "that are the oldest supported"),
        ("newest", "that are the newest"),
    ):
        one = add(kind, help=f"run the notebooks, alone, with the versions {versions}")
        one.add_argument("notebooks", nargs="*", help="only these (all)")
    one = add("links", help="follow the links of the built site, and list those outside")
    one.add_argument("--outside", action="store_true", help="try those outside too")
    add("lighthouse", help="let Lighthouse, from npm, look at the built site")
    add("dist", help="build the library's wheel and source archive into dist/")
    one = add("bench", help="time the library and the figures against others (25 min)")
    one.add_argument("--quick", action="store_true", help="a hundredth of the work")
    one = add("sweep", help="train the language model anew (25 min); it may be stopped")
    one.add_argument("--anew", action="store_true", help="forget what was done before")
    one = add("execute", help="run the notebooks anew and store their outputs")
    one.add_argument("notebooks", nargs="*", help="only these (all)")
    one = add("homework", help="make homework with hidden tests of a chapter's exercises")
    one.add_argument("--topic", required=True, help="a chapter, such as cycles")
    one.add_argument("--course", required=True, type=Path, help="the folder of the course")
    one.add_argument("--students", type=Path, help="a file with an id a line, or CSV")
    one.add_argument("--exercises", help="only these, as 1,2,5 (all)")
    one.add_argument("--name", help="of the assignment (the topic's)")
    one.add_argument("--seed", type=int, help="a number for the hidden inputs (by chance)")
    one = add("mark", help="mark the homework that came back, each notebook shut in a box")
    one.add_argument("--course", required=True, type=Path, help="the folder of the course")
    one.add_argument("--name", help="only this assignment (all)")
    one.add_argument("--seconds", type=float, help="for one notebook (300)")
    one.add_argument("--jobs", type=int, help="notebooks at a time (half the cores)")
    one.add_argument("--without-box", action="store_true", help="run notebooks unprotected")
    one = add("clean", help="remove what the commands made, but the environment")
    one.add_argument("--all", action="store_true", help="the environments too")
    add("setup", help="make the environment (.venv) and stop")
    one = add("lock", help="renew the locks from requirements*.txt (needs uv)")
    one.add_argument("--upgrade", action="store_true", help="to the newest versions")
    add("help", help="show this")
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = parser().parse_args(arguments)
    command = chosen.command or "help"
    if command == "help":
        parser().print_help()
    elif command == "book":
        book(chosen.port, chosen.no_serve)
    elif command == "lab":
        lab(chosen.port)
    elif command == "bench":
        bench(chosen.quick)
    elif command == "sweep":
        sweep(chosen.anew)
    elif command in ("homework", "mark"):
        homework(chosen)
    elif command == "execute":
        execute(chosen.notebooks)
    elif command == "links":
        links(chosen.outside)
    elif command == "lighthouse":
        lighthouse()
    elif command == "dist":
        dist()
    elif command in ELSEWHERE:
        if run_elsewhere(command, chosen.notebooks):
            raise SystemExit(1)
    elif command == "clean":
        clean(chosen.all)
    elif command == "slides":
        slides()
    elif command in ("pdf", "epub"):
        edition(command)
    elif command == "licences":
        licences()
    elif command == "lock":
        lock(chosen.upgrade)
    else:
        {"build": build, "test": test, "test-all": test_all, "setup": setup}[command]()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        say("\nStopped.")
        raise SystemExit(130) from None
