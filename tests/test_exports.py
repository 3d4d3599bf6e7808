"""Results in other tools and in papers: frames, data sets, JSON, LaTeX, and what a notebook shows."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_study import square, squares, verdict
from hypothesis import assume, given, strategies as st

import anisotropic as an
from anisotropic._support.paper import latex_table, latex_value, measured
from anisotropic.intervals import Interval
from anisotropic.study import Study, StudyError

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def results(tmp_path):
    return squares().run(tmp_path)


class TestMeasured:
    @given(st.floats(-1e8, 1e8), st.floats(1e-9, 1e7), st.floats(1e-9, 1e7))
    def test_the_printed_interval_contains_the_computed_one(self, estimate, below, above):
        low, high = estimate - below, estimate + above
        assume(high - low > 1e-6 * abs(estimate))
        middle, left, right, exponent = measured(estimate, low, high)
        unit = 10.0**exponent
        slip = 1e-9 * max(map(abs, (estimate, low, high)))
        assert float(left) * unit <= low + slip and float(right) * unit >= high - slip
        half = (high - low) / 2  # two digits of half the width: no more than a tenth of it is lost on a side
        assert low - float(left) * unit <= 0.1 * half + slip and float(right) * unit - high <= 0.1 * half + slip
        assert abs(float(middle) * unit - estimate) <= 0.05 * half + slip
        assert len({len(t.partition(".")[2]) for t in (middle, left, right)}) == 1

    def test_known(self):
        assert measured(0.5, 0.5, 0.5)[:3] == ("0.50000", "0.50000", "0.50000")
        assert measured(math.nan, 0.0, 1.0)[0] == "nan"
        assert measured(0.0, 0.0, 0.0) == ("0", "0", "0", 0)


class TestLatex:
    def test_values(self):
        assert latex_value(Interval(6.912, 6.873, 7.126, "t", 0.05)) == r"$6.91\;[6.87,\,7.13]$"
        tiny = latex_value(Interval(1.2345e-5, 1.19e-5, 1.28e-5, "t", 0.05))
        assert tiny == r"$(1.234\;[1.190,\,1.280]) \times 10^{-5}$"
        assert latex_value(Interval(math.nan, 0.0, 0.0, "t", 0.05)) == "--" == latex_value(math.nan)
        assert latex_value(r"\input{x}") == r"\textbackslash{}input\{x\}"

    def test_refusals(self):
        with pytest.raises(ValueError, match="at least one row"):
            latex_table([])
        with pytest.raises(ValueError, match=r"expected letters, digits, colons and hyphens, such as 'tab:race'"):
            latex_table([{"a": 1}], label="}x")

    def test_a_race(self):
        h = 1 / np.arange(1.0, 6) ** 2
        methods = {m: an.Method(getattr(an.optimizers, m), [0.1, 0.2, 0.4]) for m in ("sgd", "adagrad_norm")}
        f, noise = an.problems.quadratic(h), an.noises.gaussian(h)
        race = an.race(f, methods, noise=noise, start=1.0, batch_size=2, steps=50, replicas=16)
        text = race.to_latex("A race", "tab:race")
        ratio = race.ratio("adagrad_norm")
        assert latex_value(ratio) in text and r"adagrad\_norm" in text and r"\label{tab:race}" in text
        assert text.count(r" \\") == 3
        assert "adagrad_norm" in race._repr_html_() and f"{ratio:.2f}" in race._repr_html_()

    def test_it_is_written(self, results):
        path = results.save_latex("squares", [{"n": 1, "square": 1.0}], "All of a_b")
        assert path.read_text().startswith("\\begin{table}\n") and r"\caption{All of a\_b}" in path.read_text()
        assert results.summary["files"][-1] == "squares.tex"

    @pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
    def test_it_compiles(self, tmp_path):
        table = latex_table([{"a_b": Interval(1e-9, 0.9e-9, 1.2e-9, "t", 0.1), "x": "~^\\{}%$#&<>"}], "100 %")
        page = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + table + r"\end{document}"
        (tmp_path / "t.tex").write_text(page)
        call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


class TestFrames:
    def test_pandas(self, results):
        pandas = pytest.importorskip("pandas")
        frame = results.to_pandas()
        assert isinstance(frame, pandas.DataFrame) and list(frame) == ["n", "kind", "state", "seconds", "square"]
        assert frame.set_index(["n", "kind"])["square"].to_dict() == {(n, k): n * n for n in (1, 2, 3) for k in "ab"}

    def test_xarray(self, results):
        pytest.importorskip("xarray")
        data = results.to_xarray()
        assert dict(data.sizes) == {"n": 3, "kind": 2, "vector_0": 3}
        assert data["square"].sel(n=3, kind="b").item() == 9 and data["square"].dtype.kind == "i"
        assert data["vector"].sel(n=2, kind="a").values.tolist() == [0.0, 2.0, 4.0]
        assert set(data["state"].values.ravel()) == {"done"}
        assert data["kind (result)"].sel(n=1).values.tolist() == ["a", "b"]
        assert set(results.to_xarray("square").data_vars) == {"square", "seconds", "state"}
        with pytest.raises(StudyError, match="no finished cell has 'cube'"):
            results.to_xarray("cube")

    def test_holes_and_ragged_quantities(self, tmp_path):
        pytest.importorskip("xarray")

        def cell(n, kind):
            assert (n, kind) != (2, "b")
            return square(n, kind) | {"ragged": np.zeros(n), "verdict": verdict()}

        data = Study("holes", {"n": [1, 2], "kind": ["a", "b"]}, cell).run(tmp_path).to_xarray()
        assert np.isnan(data["square"].sel(n=2, kind="b").item()) and data["square"].sel(n=2, kind="a").item() == 4
        assert data["state"].sel(n=2, kind="b").item() == ""
        assert data["verdict"].sel(n=1, kind="a").item() == "not contradicted"
        assert data.attrs["left out"] == "shapes differ between cells: ragged" and "ragged" not in data

    def test_json_is_what_the_documentation_says(self, tmp_path):
        def cell(n):
            assert n < 3, "no three"
            return {"x": np.array([1.0, np.nan]), "verdict": verdict()}

        results = Study("s", {"n": [1, 2, 3]}, cell).run(tmp_path)
        found = json.loads(results.save_json().read_text())
        assert found == results.to_dict() and found["schema"] == 1
        assert found["cells"][0]["values"]["x"] == [1.0, None]
        assert found["cells"][0]["values"]["verdict"]["status"] == "not contradicted"
        assert [f["point"] for f in found["failed"]] == [{"n": 3}] and found["complete"] is False
        page = (DOCS / "howto" / "results.md").read_text()
        told = {title: re.findall(r"^\| `(\w+)`", part, re.M) for title, part in
                re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", page, re.M | re.S)}  # fmt: skip
        results.write_summary()
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert told["results.json"] == list(found)
        assert told["One cell"] == list(found["cells"][0])
        assert told["summary.json"] == list(summary)
        assert told["A verdict"] == list(found["cells"][0]["values"]["verdict"])


class Texts(HTMLParser):
    """All text of a fragment, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


class TestNotebook:
    def test_run_and_verdict(self):
        f = an.problems.quadratic([1.0, 0.5], box=(-1, 1))
        run = an.simulate(f, an.optimizers.sgd(0.1), noise=an.noises.gaussian(1.0), start=0.9, steps=20, replicas=8)
        shown = Texts(run._repr_html_())
        assert repr(run) in shown.text and "mean_gap" in shown.text and "table" in shown.tags
        answer = an.verify(an.bounds.convex_sgd, run)
        shown = Texts(answer._repr_html_())
        assert answer.summary in shown.text and "slack" in shown.text and "noise" in shown.text
        refused = an.verify(an.bounds.convex_adagrad, run)
        assert all(c in Texts(refused._repr_html_()).text for c in refused.conditions) and refused.conditions

    def test_results(self, tmp_path):
        results = Study("<b>s</b>", {"n": ["<i>"]}, lambda n: {"x": 1}).run(tmp_path)
        results.quiet = True
        results.say("<script>")
        shown = Texts(results._repr_html_())
        assert "1 of 1 cells finished" in shown.text and not {"b", "i", "script"} & shown.tags
        assert "<script>" in shown.text and "<i>" in shown.text
