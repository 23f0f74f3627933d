"""The tiny transformer trained with several learning rates: as transformer.py, in one call."""

from __future__ import annotations

from rows.transformer import ROW as SINGLE

ROW = SINGLE._replace(
    title="Learning rates of the tiny transformer",
    ensemble=True,
    size="{runs} learning rates, {steps} steps of {batch} sequences of 16 tokens, float32",
    tasks={
        "whole": {"steps": 30, "batch": 32, "runs": 8},
        "quick": {"steps": 10, "batch": 8, "runs": 2},
    },
)
