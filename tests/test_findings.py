"""Every number on the page of findings is measured again, by the command that stands beside it."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "findings"
PAGE = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
SECTIONS = PAGE.split("\n## ")[1:]
COMMANDS = {re.search(r"^python docs/findings/(\w+)\.py$", text, re.M)[1]: text for text in SECTIONS}
NUMBER = re.compile(r"\*\*(-?[\d.e-]+)\*\*\s+\[(-?[\d.e-]+),\s+(-?[\d.e-]+)\]")
EXTRAS = {"solver_below_the_worst_case": "PEPit"}


def test_every_script_has_a_section_and_there_are_at_least_ten():
    assert sorted(COMMANDS) == sorted(p.stem for p in FOLDER.glob("*.py"))
    assert len(COMMANDS) == len(SECTIONS) >= 10
    assert all("**Claim.**" in text and "**Found.**" in text for text in SECTIONS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_finding_is_found_again(name, monkeypatch):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    (told,) = NUMBER.findall(COMMANDS[name])
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [name])
    found = runpy.run_path(str(FOLDER / f"{name}.py"))["finding"]()
    assert [float(v) for v in told] == pytest.approx([found.estimate, found.low, found.high], rel=0.01)
