"""For a course that hands out the exercises with nbgrader and marks them.

Copy this file into the course's folder, and a chapter's solutions.ipynb into source/<chapter>/.
`nbgrader generate_assignment <chapter>` then makes the exercises, as this book's own command does.
`OPTDYN_GRADING=1 nbgrader autograde <chapter>` marks them: with that variable a check raises an
error unless the answer is right. The kernel needs the library optdyn.
"""

from nbgrader.converters import GenerateAssignment

c = get_config()  # noqa: F821 (nbgrader defines it)

# what only the page of solutions needs goes first
c.GenerateAssignment.preprocessors = [
    "nbconvert.preprocessors.TagRemovePreprocessor",
    *GenerateAssignment.preprocessors.default(),
]
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"solution-only"}
