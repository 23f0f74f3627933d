"""Claims: a quantitative sentence with a number, and the cell that measures it again.

A claim cell ends in a call of :func:`claim`. It compares what was just measured with what is
predicted and shows a box; the cell fails if the claim does. The box reads the same on every machine
but for the words after "measured", which notebook tests leave out of the comparison; the record in
the output's metadata feeds the page of all claims.
"""

from __future__ import annotations

import html
import math
import re
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

__all__ = ["KINDS", "Claim", "ClaimFails", "claim"]

KINDS = {  # how a claim is known, and what that means
    "theorem": "proved in the source named",
    "derived": "derived in this book",
    "observed": "measured, not proved",
    "open": "measured; whether it holds in general is open",
}


class ClaimFails(AssertionError):
    """What a claim cell raises when the measurement and the prediction part."""


class Claim(NamedTuple):
    """One claim as measured: all text, but for ``holds``."""

    id: str
    statement: str
    kind: str
    source: str
    predicted: str
    tolerance: str
    measured: str
    holds: bool

    def _repr_mimebundle_(self, **_: Any) -> Any:
        verdict = "holds" if self.holds else "fails"
        numbers = f"predicted {self.predicted}{self.tolerance and ' ' + self.tolerance}"
        credit = self.kind + (f": {self.source}" if self.source else "")
        # "measured ..." ends its line and its element: the notebook tests blank it up to there
        text = (
            f"{self.id} {verdict}: {self.statement} ({credit})\n{numbers}\nmeasured {self.measured}"
        )
        e = html.escape
        box = (
            f'<div class="optdyn-claim" id="claim-{e(self.id)}" data-verdict="{verdict}">'
            f'<p class="optdyn-claim-head"><strong>{e(self.id)}</strong> '
            f"<span>{verdict}</span> <em>{e(credit)}</em></p>"
            f"<p>{e(self.statement)}</p>"
            f'<p class="optdyn-claim-numbers"><span>{e(numbers)}</span> '
            f"<span>measured {e(self.measured)}</span></p></div>"
        )
        record = {**self._asdict(), "verdict": verdict}
        del record["holds"]
        return {"text/plain": text, "text/html": box}, {"optdyn_claim": record}


def claim(
    id: str,
    statement: str,
    measured: Any,
    *,
    kind: str,
    source: str = "",
    predicted: Any = None,
    within: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Compare a measurement with a prediction, show both, and fail if they part.

    Either ``|measured - predicted| <= within`` for every entry, or ``above < measured < below``,
    with one side left out where there is no bound. What is not finite never holds.

    Arguments:
        id: topic and number, as ``cycles-3`` or ``cycles-6b``; unique in the book.
        statement: the sentence, in plain text.
        measured: a number or an array of them, computed in this cell.
        kind: a key of :data:`KINDS`.
        source: for a theorem, who proved it; required there.
        predicted, within: a number or array, and an absolute tolerance that holds on another
            device and precision.
        above, below: strict bounds.
    Raises:
        ClaimFails: the claim does not hold; nothing is hidden, the box is shown first.
        ValueError: a claim that could not fail, or lacks its source.

    >>> claim("cycles-0", "Two and two are four.", 2 + 2, kind="derived", predicted=4, within=0.5)
    cycles-0 holds: Two and two are four. (derived)
    predicted 4 within 0.5
    measured 4
    """
    _check(id, statement, kind, source, predicted, within, above, below)
    values = _real(id, "measured", measured)
    if values.size == 0:
        raise ValueError(f"measured is empty in claim {id}; it would hold of nothing. Measure it.")
    if predicted is not None:
        expected = _real(id, "predicted", predicted)
        if expected.size != 1 and expected.shape != values.shape:
            raise ValueError(
                f"predicted has shape {expected.shape} in claim {id}, measured {values.shape}; "
                "predict one number for all, or one for each."
            )
        assert within is not None
        holds = bool(np.all(np.abs(values - expected) <= within))
        size = float(np.max(np.abs(expected), initial=within))
        digits = 6 if within == 0 else min(15, max(6, int(np.log10(size / within)) + 2))
        shown = _numbers(np.atleast_1d(predicted), 10)
        tolerance = f"within {within:.3g}"
    else:
        low, high = (-np.inf if above is None else above), (np.inf if below is None else below)
        holds = bool(np.all((values > low) & (values < high) & np.isfinite(values)))
        bounds = [f"above {above:.6g}"] if above is not None else []
        shown = " and ".join(bounds + ([f"below {below:.6g}"] if below is not None else []))
        tolerance, digits = "", 6
    made = Claim(id, statement, kind, source, shown, tolerance, _numbers(values, digits), holds)
    _show(made)
    if not holds:
        raise ClaimFails(f"{id} fails: predicted {shown} {tolerance}, measured {made.measured}")


def _real(id: str, name: str, values: Any) -> np.ndarray:
    """At least one-dimensional float64; what is predicted is finite."""
    try:
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers in claim {id}; got {values!r:.60}.") from None
    if name == "predicted" and not np.all(np.isfinite(array)):
        raise ValueError(f"predicted must be finite in claim {id}; got {values!r:.60}.")
    return array


def _show(made: Claim) -> None:
    """Display in a notebook; print elsewhere."""
    bundle, metadata = made._repr_mimebundle_()
    try:
        from IPython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(bundle["text/plain"])
    else:
        publish_display_data(data=bundle, metadata=metadata)


def _numbers(values: np.ndarray, digits: int) -> str:
    """Up to six numbers in full; of more, the range."""
    flat = [f"{value:.{digits}g}" for value in np.ravel(values)]
    if len(flat) <= 6:
        return ", ".join(flat)
    return f"{np.min(values):.{digits}g} to {np.max(values):.{digits}g} ({len(flat)} values)"


def _check(
    id: str,
    statement: str,
    kind: str,
    source: str,
    predicted: Any,
    within: Any,
    above: Any,
    below: Any,
) -> None:
    if not isinstance(id, str) or not re.fullmatch(r"[a-z]+-p?\d+[a-z]?", id):
        raise ValueError(
            f"id must be a topic and a number, as 'cycles-3' or 'cycles-6b'; got {id!r}. "
            "Take the number from the topic's ledger."
        )
    if not isinstance(statement, str) or not statement.strip() or "$" in statement:
        raise ValueError(
            f"statement must be plain text without TeX; got {statement!r}. "
            "Write symbols in Unicode: η, λ, γ."
        )
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)}; got {kind!r}.")
    if kind == "theorem" and not source:
        raise ValueError(f"claim {id} is a theorem and names no source; say who proved it.")
    for name, bound in (("within", within), ("above", above), ("below", below)):
        if bound is not None and not (isinstance(bound, Real) and math.isfinite(bound)):
            raise ValueError(f"{name} must be a finite number in claim {id}; got {bound!r}.")
    equality = predicted is not None and within is not None and within >= 0
    bounded = (above is not None or below is not None) and predicted is None and within is None
    if equality == bounded or (equality and not (above is None and below is None)):
        raise ValueError(
            f"claim {id} needs either predicted= with within=, or above= and/or below=; got "
            f"predicted={predicted!r}, within={within!r}, above={above!r}, below={below!r}. "
            "Without one of them it could not fail."
        )
