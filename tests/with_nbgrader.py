"""Hand out and mark the exercises with nbgrader itself. Not part of make test.

    python tests/with_nbgrader.py

nbgrader brings a server, a database and JupyterLab, so it is not among the book's requirements.
Run this in an environment that has them and nbgrader (0.9 or later). For every chapter with
exercises it checks that nbgrader makes of solutions.ipynb the exercises.ipynb of the book, and
that its marks are full for the solutions and zero for the stubs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
STUDENTS = {"knows": "solutions.ipynb", "sleeps": "exercises.ipynb"}


def nbgrader(course: Path, *arguments: str) -> str:
    """Run nbgrader in the course's folder, with the library's checks in earnest."""
    environment = {
        **os.environ,
        "OPTDYN_GRADING": "1",
        "OPTDYN_BOOK": "1",
        "PYTHONPATH": str(ROOT / "lib"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    command = [sys.executable, "-m", "nbgrader", *arguments, "--CourseDirectory.course_id=book"]
    ran = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in nbformat.read(path, 4).cells]


def scores(course: Path, topic: str) -> dict[str, tuple[float, float]]:
    """For each student: points for code, of how many."""
    from nbgrader.api import Gradebook  # type: ignore[import-not-found]

    found = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "book") as book:
        for student in STUDENTS:
            submission = book.find_submission(topic, student)
            found[student] = (submission.code_score, submission.max_code_score)
    return found


def try_topic(folder: Path) -> None:
    topic = folder.name
    with tempfile.TemporaryDirectory() as name:
        course = Path(name)
        shutil.copy(ROOT / "book" / "nbgrader_config.py", course)
        source = course / "source" / topic
        source.mkdir(parents=True)
        shutil.copy(folder / "solutions.ipynb", source)
        nbgrader(course, "generate_assignment", topic)
        released = cells(course / "release" / topic / "solutions.ipynb")
        assert released == cells(folder / "exercises.ipynb"), "nbgrader strips otherwise"
        for student, notebook in STUDENTS.items():
            handed_in = course / "submitted" / student / topic
            handed_in.mkdir(parents=True)
            shutil.copy(folder / notebook, handed_in / "solutions.ipynb")
        nbgrader(course, "autograde", topic)
        marks = scores(course, topic)
    most = marks["knows"][1]
    assert marks == {"knows": (most, most), "sleeps": (0, most)}, marks
    print(f"{topic}: stripped as by the book; {most:g} points of {most:g}, and 0 for the stubs.")


if __name__ == "__main__":
    for solutions in sorted(ROOT.glob("chapters/*/solutions.ipynb")):
        try_topic(solutions.parent)
