"""Rules for every run of pytest here, over the notebooks as well as the tests."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

NO_SKIPS = os.environ.get("OPTDYN_NO_SKIPS") == "1"  # set by make test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A notebook cell that writes to stderr fails, compared or not."""
    result = yield
    for output in getattr(item, "test_outputs", None) or ():
        if output.output_type == "stream" and output.name == "stderr":
            pytest.fail(f"the cell writes to stderr: {output.text}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):  # type: ignore[no-untyped-def]
    """Under make test nothing is skipped or expected to fail."""
    report = yield
    if NO_SKIPS and (report.skipped or hasattr(report, "wasxfail")):
        report.outcome = "failed"
        report.longrepr = f"not run in earnest, which make test forbids: {call.excinfo}"
        report.__dict__.pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):  # type: ignore[no-untyped-def]
    report = yield
    if NO_SKIPS and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which make test forbids: {report.longrepr}"
    return report
