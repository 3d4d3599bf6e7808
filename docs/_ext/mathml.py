"""How is a formula shown without a remote script? As MathML, which browsers typeset themselves."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

LOG = logging.getLogger(__name__)
MACROS = {r"\dots": r"\ldots", r"\le ": r"\leq ", r"\ge ": r"\geq ", r"\lvert": "|", r"\rvert": "|", r"\Bigl": r"\left",
          r"\Bigr": r"\right", r"\bigl": r"\left", r"\bigr": r"\right"}  # fmt: skip


def mathml(latex: str, display: str) -> str:
    """MathML of a formula; ``display`` is "inline" or "block"."""
    for old, new in MACROS.items():
        latex = re.sub(re.escape(old) + r"(?![a-zA-Z])", lambda _, new=new: new, latex)
    latex = latex.replace(r"\|", r"\Vert ")
    if display == "block" and (r"\\" in latex or "&" in latex) and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return convert(latex, display=display)


def visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(_safe(node.astext(), "inline", node))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    anchor = self.starttag(node, "div", CLASS="math")
    self.body.append(f"{anchor}{number}{_safe(node.astext(), 'block', node)}</div>\n")
    raise nodes.SkipNode


def _safe(latex: str, display: str, node: nodes.Node) -> str:
    """The formula, with a warning (an error in our builds) where a command was not understood."""
    try:
        shown = mathml(latex, display)
    except Exception as error:
        LOG.warning("cannot convert %r to MathML: %r", latex, error, location=node)
        return f"<code>{escape(latex)}</code>"
    if "\\" in re.sub(r"<annotation.*?</annotation>", "", shown):
        LOG.warning("part of %r is not understood: %r", latex, shown, location=node)
    return shown


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
