"""The first screen of a study: one table, at most six sentences, violations before all else, and where the rest is."""

from __future__ import annotations

import numpy as np
import pytest
from fake_study import squares, verdict

from anisotropic.evidence.entries import Entry, Race
from anisotropic.study import main, screen
from anisotropic.study.races import Races


def told(capsys, tmp_path, plot, *words) -> tuple[int, str, str]:
    code = main(squares(plot=plot), ["--results", str(tmp_path / "r"), "--workers", "1", *words])
    return code, *capsys.readouterr()


def talk(results):
    for k in range(9):
        results.say(f"Sentence {k}.")
    results.table([{"row": k} for k in range(40)], "First table")
    results.table([{"row": -1}], "Second table")
    results.verdicts([("n=1", verdict())], "Judged")


class TestFirstScreen:
    def test_one_table_and_six_sentences(self, tmp_path, capsys):
        code, out, err = told(capsys, tmp_path, talk)
        assert code == 0 and [f"Sentence {k}." in out for k in range(9)] == [True] * 6 + [False] * 3
        assert "First table" in out and "Second table" not in out and "Judged" not in out
        assert f"The first {screen.ROWS} of 40 rows." in out
        page = tmp_path / "r" / "report.html"
        assert f"the whole report (2 tables, 1 verdict, 9 sentences): {page}" in err
        assert "Sentence 8." in page.read_text() and "Second table" in page.read_text()

    def test_violations_come_first(self, tmp_path, capsys):
        def plot(results):
            talk(results)
            results.verdicts([("n=2", verdict("violated")), ("n=3", verdict())])

        code, out, _ = told(capsys, tmp_path, plot)
        assert code == 4 and "Violated: 1 of 3 verdicts" in out and "n=2" in out and "First table" not in out

    def test_planted_falsehoods_are_no_alarm(self, tmp_path, capsys):
        def plot(results):
            results.verdicts([("half", verdict("violated"))], "Planted", planted=True)

        code, out, _ = told(capsys, tmp_path, plot)
        assert code == 0 and "Violated:" not in out and "Planted" in out

    def test_json_is_alone(self, tmp_path, capsys):
        code, out, err = told(capsys, tmp_path, talk, "--json")
        assert code == 0 and out.startswith("{") and "report" not in err
        assert (tmp_path / "r" / "report.html").is_file()

    def test_computing_says_nothing_and_writes_no_page(self, tmp_path, capsys):
        code = main(squares(plot=talk), ["run", "--results", str(tmp_path / "r"), "--quiet"])
        assert code == 0 and capsys.readouterr() == ("", "") and not (tmp_path / "r" / "report.html").exists()


class TestWinners:
    @pytest.fixture
    def say(self, tmp_path):
        """The sentence about races whose methods have given values, by label."""
        def sentence(values: dict[str, tuple[list[float], list[float]]]) -> str:
            results = squares().run(tmp_path)
            results.quiet = True
            found = [
                ({"n": label}, Race((Entry("adagrad", "tuned", 1.0, np.array(a)),
                                     Entry("sgd", "tuned", 1.0, np.array(b))),
                                    "adagrad", "mean_gap", 10, 1, len(a), None, 0.05))
                for label, (a, b) in values.items()
            ]  # fmt: skip
            Races(results, found, "{n}").winners("sgd")
            return results.summary["sentences"][-1]

        return sentence

    def test_who_wins_and_by_how_much(self, say):
        ours = [1.0, 1.1, 0.9, 1.0]
        text = say({"same": (ours, [1.1, 1.0, 1.0, 0.9]), "far": (ours, [3 * v for v in ours]),
                    "lost": (ours, [float("nan")] * 4)})  # fmt: skip
        assert text.startswith("Tuned step sizes: AdaGrad has the smaller mean gap in 1 of 3 cells, SGD in 0; 1 has no")
        assert text.endswith("to 3.00 [3.00, 3.00] (far) times AdaGrad's.") and "SGD's is 1.00 [" in text
