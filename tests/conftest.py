"""What the tests share. The part of make test that a file belongs to is by its name."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

import make

# A benchmark holds the process that imports it to one core and may change its precision; looked
# through for doctests, it would do so to every test, and to the browser.
collect_ignore_glob = ["bench/bench_*.py", "bench/rows/*.py"]

# The same examples on every run; a slow machine is no failure.
hypothesis.settings.register_profile("book", deadline=None, derandomize=True)
hypothesis.settings.load_profile("book")


# The parts of make test that a file's name tells; all others are unit tests.
PARTS = ("notebooks", "figures", "elsewhere", "course", "printed", "site", "live")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in PARTS:
            if item.path.name.startswith(f"test_{part}"):
                item.add_marker(part)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser; its absence is a failure that says how to get one."""
    try:
        return make.find_chromium()
    except SystemExit as problem:
        pytest.fail(str(problem.code))
