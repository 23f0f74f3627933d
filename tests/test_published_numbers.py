"""Every measured value that the book prints, measured again without the library.

The values are read from the stored notebooks; tests/again has a module for each notebook that
computes them once more in plain NumPy and SciPy: AGAIN = {claim: (how, how far the two may be
apart)}. A claim that is not there fails: no number rests on one piece of code alone.
"""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def published():
    """{claim: (measured numbers, of many the least and the largest)} from all stored notebooks."""
    claims = {}
    for path in [*sorted(ROOT.glob("book/*.ipynb")), *sorted(ROOT.glob("chapters/*/*.ipynb"))]:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if record := output.get("metadata", {}).get("optdyn_claim"):
                    assert record["id"] not in claims, f"{record['id']} is claimed twice"
                    text = re.sub(r"\(.*\)", "", record["measured"])
                    claims[record["id"]] = [float(t) for t in re.split(", | to ", text)]
    return claims


PUBLISHED = published()

MODULES = sorted(path.stem for path in (ROOT / "tests/again").glob("*.py"))
AGAIN = {}
for module in MODULES:
    for name, entry in importlib.import_module(f"again.{module}").AGAIN.items():
        assert name not in AGAIN, f"{name} is measured again twice"
        AGAIN[name] = entry


def test_the_second_measurement_does_not_use_the_library():
    for module in MODULES:
        text = (ROOT / "tests/again" / f"{module}.py").read_text("utf-8")
        assert not re.search(r"^\s*(from|import) (optdyn|jax)", text, re.M), module


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_number_is_found_without_the_library(name):
    assert name in AGAIN, f"{name} is published and measured by the library alone"
    measure, apart = AGAIN[name]
    expected = np.atleast_1d(measure())
    measured = np.array(PUBLISHED[name])[: expected.size]
    np.testing.assert_allclose(measured, expected, rtol=0, atol=apart)


def test_nothing_is_measured_again_in_vain():
    assert set(AGAIN) == set(PUBLISHED)
