"""Claims: what they compare, what they show, and that they can fail."""

import numpy as np
import pytest

from optdyn import claims
from optdyn.claims import ClaimFails, claim

GOOD = dict(id="cycles-0", statement="Half is half.", kind="observed")


@pytest.mark.parametrize(
    ("measured", "bounds", "holds"),
    [
        (0.5, dict(predicted=0.5, within=0.0), True),
        (0.52, dict(predicted=0.5, within=0.01), False),
        (0.511, dict(predicted=0.5, within=0.01), False),
        (2, dict(above=2), False),
        ([1.0, 2.0], dict(predicted=[1.0, 2.1], within=0.2), True),
        ([1.0, 2.0], dict(predicted=[1.0, 2.1], within=0.05), False),
        ([0.1, 0.9], dict(below=1.0), True),
        ([0.1, 1.0], dict(below=1.0), False),
        (3, dict(above=2, below=4), True),
        (1, dict(above=2, below=4), False),
        (np.nan, dict(predicted=0.5, within=1e9), False),
        (np.inf, dict(above=0), False),
    ],
)
def test_verdict(measured, bounds, holds, capsys):
    if holds:
        claim(**GOOD, measured=measured, **bounds)
    else:
        with pytest.raises(ClaimFails, match="cycles-0 fails"):
            claim(**GOOD, measured=measured, **bounds)
    assert f"cycles-0 {'holds' if holds else 'fails'}: Half is half." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(id="3"), "id"),
        (dict(statement="$x$"), "statement"),
        (dict(kind="proved"), "kind"),
        (dict(kind="theorem"), "source"),
        (dict(), "could not fail"),
        (dict(predicted=1.0), "could not fail"),
        (dict(predicted=1.0, within=0.1, below=2.0), "could not fail"),
        (dict(predicted=1.0, within=-0.1), "could not fail"),
        (dict(measured=[], below=1.0), "empty"),
        (dict(id=3, below=2.0), "id"),
        (dict(statement=None, below=2.0), "statement"),
        (dict(predicted=np.nan, within=0.1), "predicted"),
        (dict(predicted=1.0, within=np.inf), "within"),
        (dict(above=np.nan), "above"),
        (dict(measured=[1.0, 2.0, 3.0], predicted=[1.0, 2.0], within=0.1), "shape"),
    ],
)
def test_a_claim_that_says_nothing_is_refused(change, named):
    with pytest.raises(ValueError, match=named):
        claim(**{**GOOD, "measured": 1.0, **change})


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="measured"):
        claim(**GOOD, measured="one", below=2.0)


def test_only_the_measured_words_depend_on_the_machine():
    def bundle(measured):
        made = claims.Claim("cycles-0", "a < b", "derived", "", "1", "within 0.1", measured, True)
        return made._repr_mimebundle_()

    (here, record), (there, _) = bundle("1.01"), bundle("0.99")
    for mime in ("text/plain", "text/html"):
        assert here[mime] != there[mime]
        assert here[mime].replace("measured 1.01", "") == there[mime].replace("measured 0.99", "")
    assert "a &lt; b" in here["text/html"]
    assert record["optdyn_claim"]["measured"] == "1.01"
    assert record["optdyn_claim"]["verdict"] == "holds"


def test_many_numbers_are_shown_as_their_range(capsys):
    claim(**GOOD, measured=np.linspace(0, 0.9, 10), below=1.0)
    assert "measured 0 to 0.9 (10 values)" in capsys.readouterr().out
