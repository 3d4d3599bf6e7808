"""The built site, as a reader sees it: no stray dollar sign, nothing cut off, at two widths in a real browser."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[1] / "docs" / "_build" / "html"
PAGES = sorted(p for p in SITE.rglob("*.html") if not p.name.startswith(("genindex", "search", "py-modindex")))
REQUIRED = os.environ.get("ANISOTROPIC_BROWSER") == "required"
#: Elements that are wider than the room they have; a table that can be scrolled counts only where the screen is wide.
TOO_WIDE = """
(wideScreen) => [...document.querySelectorAll("article pre, article table, article img, article svg")].filter((x) => {
  const box = x.closest(".table-wrapper, .text_html, .output");
  if (x.tagName === "TABLE" && box && ["auto", "scroll"].includes(getComputedStyle(box).overflowX))
    return wideScreen && box.scrollWidth > box.clientWidth + 1;
  const room = document.querySelector("article").getBoundingClientRect().right + 1;
  return x.getBoundingClientRect().right > room || (x.tagName === "PRE" && x.scrollWidth > x.clientWidth + 1);
}).map((x) => x.tagName + ": " + x.textContent.trim().slice(0, 60))
"""


@pytest.fixture(scope="module", autouse=True)
def built():
    assert PAGES or not REQUIRED, "the site is not built; run make docs before the tests"
    if not PAGES:
        pytest.skip("the site is not built: make docs")


class Prose(HTMLParser):
    """The text of a page outside of code, formulas and scripts."""

    SILENT = frozenset({"code", "pre", "script", "style", "math", "svg", "title"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.depth, self.parts = 0, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.depth += tag in self.SILENT

    def handle_endtag(self, tag):
        self.depth -= tag in self.SILENT

    def handle_data(self, data):
        if not self.depth:
            self.parts.append(data)


def test_no_page_has_a_stray_dollar_sign():
    stray = {}
    for page in PAGES:
        text = "".join(Prose(page.read_text(encoding="utf-8")).parts)
        if "$" in text:
            stray[str(page.relative_to(SITE))] = text[max(0, text.index("$") - 40) :][:80]
    assert stray == {}


def test_the_reader_of_prose_sees_dollars():
    assert "".join(Prose("<p>a $x$ <code>$y</code></p>").parts) == "a $x$ "


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_is_cut_off(open_page, width):
    """Code and pictures fit at both widths; a table may be scrolled where the screen is narrow."""
    found = {}
    page = open_page(PAGES[0], width)
    for path in PAGES:
        page.goto(path.as_uri())
        wide = page.evaluate(TOO_WIDE, width > 1000)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append("the page itself")
        if wide:
            found[str(path.relative_to(SITE))] = wide
    assert found == {}


def test_the_start_page_has_a_figure_and_three_doors(open_page):
    page = open_page(SITE / "index.html")
    assert page.locator("figure img").get_attribute("alt").startswith("Iterations to a mean gap")
    doors = page.locator(".door").all()
    assert [d.locator("strong").inner_text() for d in doors] == ["Researcher", "Practitioner", "Student"]
    for link in page.locator(".door a").evaluate_all("found => found.map(a => a.href)"):
        assert Path(link.removeprefix("file://").partition("#")[0]).is_file(), link
