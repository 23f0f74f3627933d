"""The package as a wheel and a source archive, and how the set-up cell finds the library."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import bookwheel
import make
import notebooks
import optdyn

ROOT = Path(__file__).resolve().parent.parent
WHEEL, ARCHIVE = "optdyn-{}-py3-none-any.whl", "optdyn-{}.tar.gz"


def packaged(folder: Path, root: Path) -> list[Path]:
    bookwheel.package(folder, root=root)
    return sorted(folder.iterdir())


def copy_of(root: Path, folder: Path) -> Path:
    """What the package is built from."""
    folder.mkdir()
    for name in "pyproject.toml", "README.md", "LICENSE", ".gitignore":
        shutil.copyfile(root / name, folder / name)
    skipped = shutil.ignore_patterns("__pycache__", "*.tmp")
    shutil.copytree(root / "lib", folder / "lib", copy_function=shutil.copyfile, ignore=skipped)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as it is at this moment."""
    return copy_of(ROOT, tmp_path_factory.mktemp("checkout") / "one")


@pytest.fixture(autouse=True)
def one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def files(checkout: Path) -> list[Path]:
    """The wheel and the archive of the checkout."""
    made = checkout.with_name("dist")
    return sorted(made.iterdir()) if made.exists() else packaged(made, checkout)


# --- what is in them ------------------------------------------------------------------


def of_the_package(checkout: Path) -> set[str]:
    """The files of the library, as a wheel names them."""
    found = (checkout / "lib" / "optdyn").rglob("*")
    return {path.relative_to(checkout / "lib").as_posix() for path in found if path.is_file()}


def test_the_wheel_has_the_files_of_the_package_and_the_licence(
    checkout: Path, files: list[Path]
) -> None:
    wheel, _ = files
    assert wheel.name == notebooks_wheel() == WHEEL.format(optdyn.__version__)
    info = wheel.name.rsplit("-", 3)[0] + ".dist-info"
    extra = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    with zipfile.ZipFile(wheel) as packed:
        assert set(packed.namelist()) == of_the_package(checkout) | extra
        assert packed.read(f"{info}/licenses/LICENSE") == (checkout / "LICENSE").read_bytes()
        for name in of_the_package(checkout):
            assert packed.read(name) == (checkout / "lib" / name).read_bytes(), name
        said = packed.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in said
    assert "Requires-Dist: jax>=0.7.2\n" in said


def notebooks_wheel() -> str:
    """The wheel's name as the set-up cell has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTDYN_SITE", "https://example.org/book/")
        address = notebooks.library_address()
    assert address.startswith("https://example.org/book/downloads/optdyn-")
    return address.rsplit("/", 1)[1]


def test_the_archive_has_what_the_wheel_is_built_from(
    checkout: Path, files: list[Path], tmp_path: Path
) -> None:
    wheel, archive = files
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    more = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    assert names == {f"lib/{name}" for name in of_the_package(checkout)} | more
    again, _ = packaged(tmp_path / "dist", root)
    assert again.read_bytes() == wheel.read_bytes()


# --- the same bytes -------------------------------------------------------------------


def test_two_builds_are_the_same_bytes(
    checkout: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, of other times, in another zone, with other modes, beside a cache."""
    copied = copy_of(checkout, tmp_path / "copy")
    for path in copied.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    cache = copied / "lib" / "optdyn" / "__pycache__"
    cache.mkdir()
    (cache / "noise.cpython-311.pyc").write_text("not to be packed")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    before = os.umask(0o077)
    try:
        again = packaged(tmp_path / "dist", copied)
    finally:
        os.umask(before)
    assert [path.name for path in again] == [path.name for path in files]
    for one, other in zip(files, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_time_is_the_commits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert bookwheel.commit_time(tmp_path) == bookwheel.WITHOUT_GIT
    here = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_COMMITTER_DATE": "1234567890 +0300"}
    for name in "AUTHOR", "COMMITTER":
        here |= {f"GIT_{name}_NAME": "A", f"GIT_{name}_EMAIL": "a@example.org"}
    for words in ["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, env=here)
    assert bookwheel.commit_time(tmp_path) == "1234567890"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert bookwheel.commit_time(tmp_path) == "5"


def test_files_of_other_versions_go_and_nothing_else(
    checkout: Path, files: list[Path], tmp_path: Path
) -> None:
    for name in WHEEL.format("0.0.1"), ARCHIVE.format("0.0.1"), "mine.txt":
        (tmp_path / name).touch()
    names = {path.name for path in packaged(tmp_path, checkout)}
    assert names == {"mine.txt", *(path.name for path in files)}


def test_a_build_that_fails_says_so_and_leaves_what_was_there(
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken, old = copy_of(checkout, tmp_path / "broken"), tmp_path / WHEEL.format("0.0.1")
    (broken / "lib" / "optdyn" / "__init__.py").write_text("no version\n")
    old.touch()
    monkeypatch.setattr(bookwheel, "package", functools.partial(bookwheel.package, root=broken))
    assert bookwheel.main([str(tmp_path)]) == 1
    assert "The package could not be built" in capfd.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"broken", old.name}


def test_make_dist_builds_into_dist(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str | Path]] = []
    monkeypatch.setattr(make, "setup", lambda: None)
    monkeypatch.setattr(make, "run", lambda command: asked.append(command) or 0)
    make.main(["dist"])
    assert [command[1:] for command in asked] == [[Path(bookwheel.__file__), ROOT / "dist"]]
    monkeypatch.setattr(make, "run", lambda command: 3)
    with pytest.raises(SystemExit, match="3"):
        make.main(["dist"])


# --- where the set-up cell finds the library ------------------------------------------

# Instead of JAX, and of pip: what it would do, and that the library is there afterwards.
JAX = "class config:\n    update = staticmethod(lambda name, value: None)\n"
LIBRARY = (
    'from pathlib import Path\n\n\ndef check():\n    print("from", Path(__file__).parts[-3])\n'
)
SHELL = """
import sys
from pathlib import Path
from types import SimpleNamespace

def run_line_magic(name, line):
    print(name, line.format(**globals()))
    sys.path.append(sys.argv[1])

get_ipython = lambda: SimpleNamespace(run_line_magic=run_line_magic)
"""


def library(folder: Path, name: str) -> Path:
    """A stand-in for the library that says the name of the folder it is in."""
    package = folder / name / "optdyn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "versions.py").write_text(LIBRARY)
    return folder / name


class Reader:
    """Somebody with a notebook in a folder three deep."""

    def __init__(self, root: Path) -> None:
        self.root, self.here = root, root / "it's a book" / "chapters" / "noise"
        self.here.mkdir(parents=True)
        (root / "jax.py").write_text(JAX)
        self.installed = [root]
        self.by_pip = library(root, "by-pip")
        self.source = notebooks.plain_python(
            notebooks.setup_source(ROOT / "chapters" / "cycles" / "1_phenomenon.ipynb")
        )

    def wheel(self, up: int, version: str = "0.1.0") -> Path:
        path = [self.here, *self.here.parents][up] / WHEEL.format(version)
        path.touch()
        return path

    def runs(self) -> subprocess.CompletedProcess[str]:
        """Run the cell by a Python that sees nothing but what is named here."""
        return subprocess.run(
            [sys.executable, "-S", "-c", SHELL + self.source, self.by_pip],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, self.installed))},
            cwd=self.here,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def said(self) -> list[str]:
        ran = self.runs()
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    for name in "OPTDYN_SITE", "OPTDYN_REPOSITORY":
        monkeypatch.setenv(name, "")
    return Reader(tmp_path)


def pip(what: object) -> list[str]:
    return [f'pip install -q --no-deps "{what}"', "from by-pip"]


def test_the_library_that_is_installed_comes_first(reader: Reader) -> None:
    reader.installed.append(library(reader.root, "installed"))
    reader.wheel(0)
    library(reader.here.parent, "lib")
    assert reader.said() == ["from installed"]


@pytest.mark.parametrize("up", [0, 1, 2])
def test_then_a_wheel_beside_the_notebook_or_above_it(reader: Reader, up: int) -> None:
    library(reader.here, "lib")
    assert reader.said() == ["from lib"]
    wheel = reader.wheel(up)
    assert reader.said() == pip(wheel)


def test_the_nearest_wheel_and_of_those_the_newest(reader: Reader) -> None:
    reader.wheel(1, "0.3.0")
    reader.wheel(0, "0.1.0")
    wheel = reader.wheel(0, "0.2.0")
    assert reader.said() == pip(wheel)


@pytest.mark.parametrize("up", [0, 1, 2, 3])
def test_then_the_library_of_the_checkout(reader: Reader, up: int) -> None:
    folder = [reader.here, *reader.here.parents][up]
    library(folder, "lib")
    assert reader.said() == ["from lib"]


def test_a_folder_of_the_librarys_name_is_not_the_library(reader: Reader) -> None:
    (reader.here / "optdyn").mkdir()
    wheel = reader.wheel(0)
    assert reader.said() == pip(wheel)


def test_a_wheel_three_folders_up_is_somebody_elses(reader: Reader) -> None:
    reader.wheel(3)
    ran = reader.runs()
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "AssertionError: Put optdyn's wheel, a download of the book, beside this notebook."
    )


@pytest.mark.parametrize(
    ("variable", "value", "address"),
    [
        ("OPTDYN_SITE", "https://example.org/book", f"https://example.org/book/downloads/{WHEEL}"),
        ("OPTDYN_REPOSITORY", "https://example.org/ours", "git+https://example.org/ours"),
    ],
)
def test_at_last_what_is_published(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, address: str
) -> None:
    monkeypatch.setenv(variable, value)
    cell = notebooks.setup_source(ROOT / "chapters" / "cycles" / "1_phenomenon.ipynb")
    reader.source = notebooks.plain_python(cell)
    assert reader.said() == pip(address.format(optdyn.__version__))
    library(reader.here.parent, "lib")
    assert reader.said() == ["from lib"]
    wheel = reader.wheel(2)
    assert reader.said() == pip(wheel)
