"""The bifurcation diagram in single precision."""

from __future__ import annotations

from rows import bifurcation

ROW = bifurcation.ROW._replace(
    title="Bifurcation diagram, single precision",
    tasks={name: {**task, "dtype": "float32"} for name, task in bifurcation.ROW.tasks.items()},
)
