"""The documentation says what the package says: names, bounds and public modules are all there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import anisotropic as an
from anisotropic.bounds.constants import KNOWN
from anisotropic.bounds.measures import MEASURES
from anisotropic.evidence.mutations import TermNeed

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def generated():
    """docs/_ext/generated.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_generated", DOCS / "_ext" / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_notation_has_every_constant_and_measure():
    page = (DOCS / "notation.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("|")]
    words = {word for row in rows for cell in row[:4] for word in re.findall(r"`(\w+)`", cell)}
    assert not set(KNOWN) - words
    assert not set(MEASURES) - words - {"mean_gap_after"}


def test_bounds_table_has_every_bound(generated):
    table = generated.bounds_table()
    rows = [line for line in table.splitlines() if line.startswith("| [")]
    assert [re.match(r"\| \[`(\w+)`\]", row)[1] for row in rows] == list(an.bounds)
    assert all(row.count(" | ") == 6 for row in rows)
    assert [line[3:] for line in table.splitlines() if line.startswith("## ")] == list(an.bounds)


def test_what_was_not_found_is_said(generated):
    need = TermNeed("mine", "", "noise", 0.0, 1e-3, None)
    assert generated.needs_table([need])[-1] == "| noise term | no instance found that needs it |  |  |"
    cause = TermNeed("mine", "", "", 0.0, 1e-3, None, "sigma")
    assert generated.needs_table([cause])[-1] == "| `sigma` everywhere | no instance found that needs it |  |  |"
    assert generated.needs_table([]) == ["* worst instances: not searched yet"]


def test_exponents(generated):
    assert generated.exponents({"T": -0.5, "M": -1.0, "d": 1.0}) == "$T^{-1/2} M^{-1}$"
    assert generated.exponents(None) == generated.exponents({"T": 0.0}) == ""


def test_reference_lists_the_fixed_names(generated):
    modules = generated.public_modules()
    assert {"problems", "noises", "optimizers", "bounds", "exact", "smoothness", "plotting", "study"} <= set(modules)
    listed = {name: {n for n, _ in generated.members(module)} for name, module in modules.items()}
    assert {"quadratic", "pseudo_huber", "coupled"} <= listed["problems"]
    assert {"gaussian", "minibatch"} <= listed["noises"] and {"sgd", "adagrad_norm"} <= listed["optimizers"]
    assert {"Study", "main"} <= listed["study"] and {"empirical_vs_theory", "style"} <= listed["plotting"]
    assert not any(n.startswith("_") for names in listed.values() for n in names)


def test_bars_are_escaped_outside_of_code(generated):
    lines = ["the sum of |x| and ``|y|``", ">>> 1 | 2", "3", "", r"and \|z\|"]
    generated.escape_bars(None, "function", "f", None, None, lines)
    assert lines == [r"the sum of \|x\| and ``|y|``", ">>> 1 | 2", "3", "", r"and \|z\|"]


def test_every_page_is_in_a_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {line.strip() for line in index.splitlines()}
    pages = [p.relative_to(DOCS).with_suffix("") for p in DOCS.rglob("*.md")]
    ours = [str(p) for p in pages if p.parts[0] not in ("_build", "_generated", "theory") and str(p) != "index"]
    listed |= {line.strip() for line in (DOCS / "notebooks.md").read_text(encoding="utf-8").splitlines()}
    ours += [f"notebooks/{p.stem}" for p in (DOCS / "notebooks").glob("*.ipynb")]
    assert len(ours) >= 11 and not set(ours) - listed


def test_the_guide_to_extensions_shows_what_is_tested():
    """Every listing lies between two marks of the tests, and every noun has one."""
    page = (DOCS / "howto" / "extend.md").read_text(encoding="utf-8")
    tests = (DOCS.parent / "tests" / "test_extension.py").read_text(encoding="utf-8")
    listings = re.findall(r':start-after: "(.*)"\n:end-before: "(.*)"', page)
    shown = [tests.partition(start)[2].partition(end)[0] for start, end in listings]
    assert all(tests.count(mark) == 1 for pair in listings for mark in pair)
    for noun in ("Optimizer", "Objective", "Noise", "Schedule", "BatchRule", "Bound"):
        assert sum(f"an.{noun}(" in text for text in shown) == 1, noun
    assert any("def steepest(w, gradient, params)" in text for text in shown) and len(shown) == 7


def test_the_reference_groups_every_public_name(generated):
    names = [n for n in an.__all__ if n != "__version__"]
    found = generated.grouped(names)
    assert sorted(n for group in found.values() for n in group) == sorted(names)
    text = generated.reference_groups(["simulate", "problems"], {"problems": ""})
    assert "[`an.problems`](_generated/reference/problems.md) |" in text
    assert "{py:obj}`an.simulate <anisotropic.simulate>` | " in text
    assert all(generated.first_line(n) for n in names)


def test_long_names_break_after_underscores(generated):
    context = {"body": '<a id="a_b"><code><span class="pre">convex_sgd</span></code> c_d</a>'}
    generated.breakable(None, "", "", context, None)
    assert context["body"] == '<a id="a_b"><code><span class="pre">convex_<wbr>sgd</span></code> c_d</a>'


@pytest.fixture
def gallery(generated, monkeypatch):
    """docs/_ext/gallery.py as a module."""
    monkeypatch.setitem(sys.modules, "generated", generated)
    spec = importlib.util.spec_from_file_location("docs_gallery", DOCS / "_ext" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_shows_what_results_hold(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "PICTURES", tmp_path / "pictures")
    (tmp_path / "s").mkdir()
    for name in ("drawn", "waiting"):
        (tmp_path / "s" / f"{name}.py").write_text(f'"""Is {name} a question?\n\nYes."""\n')
    folder = tmp_path / "r" / "drawn-quick"
    folder.mkdir(parents=True)
    (folder / "f.svg").write_text("<svg/>")
    (folder / "summary.json").write_text('{"figures": {"f": "A curve."}, "sentences": ["SGD is *2 times* slower."]}')
    text = gallery.gallery(tmp_path / "s", tmp_path / "r")
    assert "*Is drawn a question?*" in text and ":alt: A curve." in text and "SGD is \\*2 times\\* slower." in text
    assert (tmp_path / "pictures" / "drawn.svg").read_text() == "<svg/>" and "Not drawn where" in text
    monkeypatch.setenv("ANISOTROPIC_GALLERY", "required")
    with pytest.raises(FileNotFoundError, match=r"waiting-quick has no summary.json; run waiting.py --quick"):
        gallery.gallery(tmp_path / "s", tmp_path / "r")


def test_links_that_open_notebooks(gallery):
    text = gallery.launch("https://github.com/owner/name")
    assert "colab.research.google.com/github/owner/name/blob/main/docs/notebooks/student.ipynb" in text
    assert "mybinder.org/v2/gh/owner/name/main?labpath=docs%2Fnotebooks%2Fstudent.ipynb" in text
    assert "Upload notebook" in gallery.launch("")
