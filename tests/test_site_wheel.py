"""The wheel that the built site offers for download."""

from __future__ import annotations

import zipfile

import pytest

import make
import notebooks
import optdyn


def test_the_site_has_the_wheel_under_the_address_that_the_set_up_cell_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/book")
    address = notebooks.library_address().removeprefix("https://example.org/book/")
    assert address == f"downloads/optdyn-{optdyn.__version__}-py3-none-any.whl"
    (wheel,) = (make.SITE / "downloads").glob("*.whl")
    assert wheel == make.SITE / address
    with zipfile.ZipFile(wheel) as packed:
        assert packed.testzip() is None and "optdyn/__init__.py" in packed.namelist()
