"""The page about a study: what it says and in which order, what it refuses to embed, and how a browser shows it."""

from __future__ import annotations

import re

import pytest
from fake_study import squares

from anisotropic import plotting
from anisotropic.records import TermCheck, Verdict
from anisotropic.study import Study, pictures, report

EVIL = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\x1b]0;owned\x07\u202e=HYPERLINK("http://x")'


def judged(status: str, slack: float = 2.0, **more) -> Verdict:
    numbers = dict(estimate=1.0, interval=(0.9, 1.1), interval_kind="t", bound=slack, slack=slack, power=slack / 0.9)
    return Verdict(status, "convex_sgd", "mean_gap", terms=(TermCheck("noise", 1.0, 1.0, False),), **numbers | more)


@pytest.fixture
def results(tmp_path):
    found = squares().run(tmp_path)
    found.quiet = True
    return found


@pytest.fixture
def large(results):
    """A thousand verdicts, among them a few violated ones, with a figure, seven sentences and a long table."""
    rows = [(f"case {k}", judged("violated" if k % 400 == 7 else "not contradicted", 1 + k)) for k in range(1000)]
    results.verdicts(rows)
    for k in range(7):
        results.say(f"Sentence {k}.")
    results.table([{"n": n, "text": "words " * 20} for n in range(30)], "A table")
    results.save_figure(plotting.curves([1, 2, 4], {"sgd": [4.0, 2.0, 1.0]}, xlabel="batch size M", ylabel="gap"), "g")
    results.write_summary()
    return report.write(results.folder)


class TestContent:
    def test_order(self, large):
        page = large.read_text()
        places = [page.index(mark) for mark in (
            "Sentence 0.", "Sentence 4.", "<b>3</b> violated", "<b>997</b> not contradicted", 'href="#verdicts"',
            'id="verdicts"', ">case 7<", ">case 0<", 'id="tables"', 'id="figures"', "<svg ", 'id="statements"',
            "Sentence 6.", 'id="data"', 'id="manifest"', 'id="repeat"',
        )]  # fmt: skip
        assert places == sorted(places)
        assert "anisotropic study run squares --from-manifest" in page
        assert len(page.encode()) < 3_000_000

    def test_figures_are_described(self, large):
        assert 'aria-label="Gap against batch size M (1 to 4). SGD: from 4 to 1."' in large.read_text()

    def test_errors_of_failed_cells(self, tmp_path):
        def cell(n):
            raise ValueError("no root" if n else "no square")

        Study("bad", {"n": [0, 1, 2]}, cell).run(tmp_path).write_summary()
        page = report.write(tmp_path).read_text()
        assert "1 cell: ValueError: no square" in page and "2 cells: ValueError: no root" in page
        assert "n=2" in page and "Traceback (most recent call last)" in page

    def test_hostile_texts_are_texts(self, tmp_path):
        def cell(n):
            raise ValueError(EVIL)

        results = Study(EVIL, {"n": [1]}, cell).run(tmp_path)
        results.quiet = True
        results.verdicts([(EVIL, judged("violated", reason=EVIL))], EVIL)
        results.say(EVIL)
        results.table([{EVIL: EVIL}], EVIL)
        results.save_csv("rows", [{EVIL: EVIL, "f": "=1+1"}])
        (tmp_path / "raw.csv").write_text("f\n=1+1\n")
        results.summary["files"].append("raw.csv")
        results.write_summary()
        page = report.write(tmp_path).read_text()
        assert page.count("<script>") == 1 and "<img" not in page and "onerror=&#34;" in page
        assert not set("\x1b\x07\u202e") & set(page)
        assert "Zgo9MSsxCg==" not in page and "ZgonPTErMQo=" in page  # "f\n=1+1\n" is saved as "f\n'=1+1\n"

    def test_a_figure_that_does_not_fit_is_named(self, results):
        results.save_figure(plotting.curves([1, 2], {"sgd": [2.0, 1.0]}), "g")
        results.write_summary()
        (results.folder / "g.svg").write_bytes(b"<svg>" + b" " * pictures.LARGEST + b"</svg>")
        (results.folder / "g.png").write_bytes(b"\x89PNG" + b"\0" * report.ROOM["figures"])
        assert "g is too large for this page; see the files g.* beside it." in report.write(results.folder).read_text()


class TestDrawing:
    @pytest.mark.parametrize(
        "inside",
        [
            "<script>alert(1)</script>",
            '<g onload="alert(1)"/>',
            '<a href="javascript:alert(1)"><text>x</text></a>',
            '<use href="http://evil/x.svg#a"/>',
            '<image href="http://evil/x.png"/>',
            '<image href="data:image/svg+xml;base64,PHN2Zz4="/>',
            "<style>@import url(http://evil)</style>",
            '<rect style="fill: url(http://evil/#a)"/>',
            '<rect style="fill: URL( \'http://evil\' )"/>',
            '<rect fill="u\\72l(http://evil)"/>',
            '<rect style="position: fixed; inset: 0; background: src(http:evil)"/>',
            "<foreignObject><b>alert(1)</b></foreignObject>",
            '<animate attributeName="href" values="javascript:alert(1)"/>',
            "<text>&lt;script&gt;alert(1)&lt;/script&gt;</text>",
        ],
    )
    def test_nothing_but_shapes(self, inside):
        drawn = pictures.drawing(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>'.encode(), "f", "label")
        assert drawn is not None
        assert not re.search(r"<script|\son|javascript|evil|<style|position|<foreign|<animate|<b>|svg\+xml", drawn)

    def test_references_stay_inside(self):
        svg = b'<svg><clipPath id="c"/><g clip-path="url(#c)" style="fill: url(\'#c\')"/><use href="#c"/></svg>'
        drawn = pictures.drawing(svg, "f3", "x")
        assert drawn.count("#f3-c") == 3 and 'id="f3-c"' in drawn and "#c" not in drawn.replace("#f3-c", "")

    @pytest.mark.parametrize("data", [
        b"", b"\x89PNG", b"<html/>", b"<svg>", b"<svg>" * 20_000 + b"</svg>" * 20_000,
        b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
    ])  # fmt: skip
    def test_what_is_no_drawing(self, data):
        drawn = pictures.drawing(data, "f", "x")
        assert drawn is None or drawn.count("<svg") <= pictures.DEEPEST + 1


def test_hatching_survives(results):
    """Hatches say who loses; matplotlib draws them as patterns."""
    ax = plotting.phase_diagram([1, 2], ["a"], [[0.5, 2.0]], winner="adagrad", loser="sgd")
    results.save_figure(ax, "map")
    results.write_summary()
    page = report.write(results.folder).read_text()
    used = set(re.findall(r"url\(#(f0-[\w.-]+)\)", page))
    assert "<pattern " in page and used and used <= set(re.findall(r'id="(f0-[\w.-]+)"', page))


class TestBrowser:
    def test_sorts_and_filters_by_keyboard(self, large, open_page):
        page = open_page(large)
        slack = page.get_by_role("button", name="slack")
        first = page.locator("table.verdicts tbody tr:not([hidden]) td:first-child").first
        assert first.inner_text() == "case 7"
        slack.focus()
        page.keyboard.press("Enter")
        assert first.inner_text() == "case 0"
        page.keyboard.press("Space")
        assert first.inner_text() == "case 999"
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("slack")
        page.get_by_role("combobox").select_option("violated")
        assert page.locator("output").inner_text() == "3 of 1000 rows" and first.inner_text() == "case 807"
        page.get_by_label("Filter").fill("CASE 407")
        assert page.locator("output").inner_text() == "1 of 1000 rows"
        assert page.faults == []

    def test_the_first_tab_skips_to_the_results(self, large, open_page):
        page = open_page(large)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the results"

    @pytest.mark.parametrize("width", [1400, 400])
    def test_nothing_is_cut_off(self, large, open_page, width):
        page = open_page(large, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("svg[role=img]").evaluate_all("found => found.map(x => x.getBoundingClientRect().right)")
        assert len(boxes) == 1 and max(boxes) <= width

    def test_dark_and_print(self, large, open_page):
        shade = "getComputedStyle(document.documentElement).colorScheme"
        text = "getComputedStyle(document.body).color"
        light, dark = open_page(large), open_page(large, scheme="dark")
        assert light.evaluate(text) == "rgb(0, 0, 0)" and dark.evaluate(text) == "rgb(255, 255, 255)"
        dark.emulate_media(media="print")
        assert dark.evaluate(shade) == "light" and dark.evaluate(text) == "rgb(0, 0, 0)"
        assert not dark.locator("nav").is_visible() and dark.locator("table.verdicts").is_visible()
        dark.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert dark.locator("details:not([open])").count() == 0

    def test_hostile_texts_run_nothing(self, tmp_path, open_page):
        results = squares().run(tmp_path)
        results.quiet = True
        results.say(EVIL)
        results.verdicts([(EVIL, judged("violated"))], EVIL)
        results.write_summary()
        page = open_page(report.write(tmp_path))
        page.get_by_role("button", name="case").click()
        assert page.faults == [] and "onerror=" in page.locator(".short").inner_text()
