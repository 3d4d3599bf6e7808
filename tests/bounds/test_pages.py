"""Every bound has a page that states, proves and says what was checked; links between pages lead somewhere."""

import re
from pathlib import Path

import pytest

from anisotropic import bounds

THEORY = Path(__file__).resolve().parents[2] / "docs" / "theory"
SHARED = ("conventions", "adagrad_regret", "lemma_n1")
STATED = [name for name in bounds if bounds[name].source.status == "as stated"]
PAGES = [THEORY / f"{name}.md" for name in (*SHARED, "as_stated", *(n for n in bounds if n not in STATED))]
PARTS = ("**Assumptions", "**Statement.**", "**Proof", "**Checked", "**Sources.**")


@pytest.mark.parametrize("name", [n for n in bounds if n not in ("adagrad_norm_strong_growth", *STATED)])
def test_every_bound_has_a_page(name):
    page = (THEORY / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# `{name}`")
    if name == "nonconvex_signsgd_gaussian":
        assert "(nonconvex_signsgd.md)" in page
    else:
        assert [part for part in PARTS if part not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([\w./]+\.md)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_pages_name_tests_that_exist(page):
    root = THEORY.parents[1]
    for target in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert (root / target).exists(), f"{page.name} names {target}, which does not exist"


@pytest.mark.parametrize("name", STATED)
def test_what_is_cited_as_stated_names_theorem_and_text(name):
    source = bounds[name].source
    page = (THEORY / "as_stated.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
    number = source.place.partition(" at ")[0].partition(",")[0]
    assert re.fullmatch(r"(Theorem|Corollary) [\d.]+", number) and number in row
    assert source.arxiv in row and re.search(r"\[[12]\] \|$", row)
