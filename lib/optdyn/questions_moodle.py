"""Questions of `optdyn.questions` in Moodle's XML.

Each template is a category, and its seeds are the questions in it: a quiz that takes one question
at random from the category gives every student other numbers.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from optdyn.questions_base import Question, show

__all__ = ["as_html", "as_xml"]

CATEGORY = "$course$/top/The Dynamics of Learning"


def as_html(text: str) -> str:
    """One paragraph of Markdown as the questions use it, with mathematics, as HTML.

    >>> as_html("*Let* $a < 1$.")
    '<p><em>Let</em> \\\\(a &lt; 1\\\\).</p>'
    """
    parts = re.split(r"\$([^$]+)\$", html.escape(text.strip(), quote=False))
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = rf"\({part}\)"
        else:
            part = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", part)
            parts[i] = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part)
    return f"<p>{''.join(parts)}</p>"


def as_xml(questions: Sequence[Question]) -> str:
    """An XML file for Moodle's question bank, one category for each template.

    Choices have one right answer and no marks for wrong ones; an order is a matching question.
    """
    quiz = ET.Element("quiz")
    for name in dict.fromkeys(question.template for question in questions):
        category = ET.SubElement(quiz, "question", type="category")
        topic = name.partition("-")[0]
        _text(ET.SubElement(category, "category"), f"{CATEGORY}/{topic}/{name}")
        for question in questions:
            if question.template == name:
                _question(quiz, question)
    ET.indent(quiz)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(quiz, encoding="unicode") + "\n"


def _text(parent: ET.Element, text: str) -> None:
    ET.SubElement(parent, "text").text = text


def _marked(parent: ET.Element, tag: str, text: str) -> ET.Element:
    """A child of Moodle's kind for texts in HTML."""
    child = ET.SubElement(parent, tag, format="html")
    _text(child, as_html(text) if text else "")
    return child


def _answer(parent: ET.Element, text: str, *, right: bool, html: bool) -> ET.Element:
    form = "html" if html else "moodle_auto_format"
    answer = ET.SubElement(parent, "answer", fraction="100" if right else "0", format=form)
    _text(answer, text)
    return answer


def _question(quiz: ET.Element, question: Question) -> None:
    kinds = {"number": "numerical", "choice": "multichoice", "order": "matching"}
    entry = ET.SubElement(quiz, "question", type=kinds[question.kind])
    _text(ET.SubElement(entry, "name"), f"{question.title} (seed {question.seed})")
    _marked(entry, "questiontext", question.text)
    _marked(entry, "generalfeedback", question.explanation)
    for tag, value in (("defaultgrade", "1"), ("penalty", "0.3333333"), ("hidden", "0")):
        ET.SubElement(entry, tag).text = value
    ET.SubElement(entry, "idnumber").text = f"optdyn-{question.template}-{question.seed}"
    if question.kind == "number":
        answer = _answer(entry, f"{question.answer:.10g}", right=True, html=False)
        ET.SubElement(answer, "tolerance").text = f"{question.tolerance:.10g}"
        _marked(answer, "feedback", "")
        return
    ET.SubElement(entry, "shuffleanswers").text = "true"
    if question.kind == "choice":
        ET.SubElement(entry, "single").text = "true"
        ET.SubElement(entry, "answernumbering").text = "ABCD"
        for place, option in enumerate(question.options):
            right = place == question.answer
            answer = _answer(entry, as_html(option.text), right=right, html=True)
            _marked(answer, "feedback", option.why)
        return
    assert isinstance(question.answer, tuple)
    for place, option in enumerate(question.options):
        part = _marked(entry, "subquestion", option.text)
        _text(ET.SubElement(part, "answer"), show(question.answer.index(place) + 1))
