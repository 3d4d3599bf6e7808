"""The command line of a study: what the user is told, what survives a kill."""

from __future__ import annotations

import json
import os
import signal

import pytest
from fake_study import FAKE, calls, squares, stored, verdict, wait_for

from anisotropic.study import main


class TestCommand:
    def test_run_then_plot(self, fake, capsys):
        assert main(fake, ["--quick"]) == 0
        out, err = capsys.readouterr()
        assert "The mean shrinks." in out and "2 of 2 cells" in err
        folder = fake.parent / "results" / "fake-quick"
        assert {"results.sqlite", "manifest.json", "summary.json", "cells.csv", "means.csv"} <= set(os.listdir(folder))
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["sentences"] == ["The mean shrinks."] and summary["complete"]
        assert summary["question"] == "How large is a mean of n draws?"

    def test_words(self, fake, capsys):
        assert main(fake, ["status", "--quick"]) == 3
        assert capsys.readouterr().out == "fake: 2 cells: 2 missing\n"
        assert main(fake, ["run", "--quick", "--quiet"]) == 0
        assert capsys.readouterr() == ("", "")
        assert main(fake, ["status", "--quick", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["done"] == 2
        assert main(fake, ["plot", "--quick", "--quiet"]) == 0
        assert len(calls(fake)) == 2

    def test_cells_of_other_code_are_named_and_computed_anew(self, fake, capsys):
        assert main(fake, ["--quick", "--quiet"]) == 0
        fake.write_text(FAKE.replace("size=n)", "size=n) + 1e-12"))
        assert main(fake, ["status", "--quick"]) == 3
        assert "2 missing cells are stored by an older version of this study or package" in capsys.readouterr().out
        assert main(fake, ["--quick", "plot"], prog="python fake.py") == 2
        err = capsys.readouterr().err
        assert "2 not computed, 2 of them only by an older version" in err
        assert err.splitlines()[1] == "  python fake.py --quick"
        assert main(fake, ["--results", "plots", "plot"], prog="python fake.py") == 2
        assert capsys.readouterr().err.splitlines()[1] == "  python fake.py --results plots"
        assert main(fake, ["--quick"]) == 0
        assert "2 stored cells come from an older version of this study or package;" in capsys.readouterr().err
        assert main(fake, ["status", "--quick"]) == 0
        assert "older version" not in capsys.readouterr().out

    def test_axes_on_the_command_line(self, fake, capsys):
        assert main(fake, ["--optimizer", "sgd", "--n", "4,9", "--repeat", "7", "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["axes"] == {"optimizer": ["sgd"], "n": [4, 9], "repeat": [7]} and err == ""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--n", "four"], "axis 'n' got 'four'; expected numbers such as 4"),
            (["--m", "4"], "No such option.*--m"),
            (["draw"], "'draw' is not one of 'run', 'plot', 'status'"),
            (["plot"], "has no finished cell to plot; run the study first"),
            (["--executor", "ray"], "executor 'ray' is unknown"),
            (["--from-manifest", "fake.py"], "is not the manifest of a study"),
        ],
    )
    def test_usage_errors(self, fake, capsys, words, message):
        import re

        assert main(fake, words) == 2
        out, err = capsys.readouterr()
        assert re.search(message, err, re.S) and out == ""

    def test_incomplete_is_three_and_says_how_to_go_on(self, fake, capsys):
        fake.write_text(FAKE.replace("    time.sleep(WAIT)", "    assert n < 64, 'too big'"))
        assert main(fake, ["--results", "out dir"], prog="python fake.py") == 3
        out, err = capsys.readouterr()
        assert "python fake.py --results 'out dir'" in err and "too big" in err and "4 failed" in err
        assert "shrinks" not in out
        assert json.loads((fake.parent / "out dir" / "summary.json").read_text())["sentences"] == [
            "Incomplete: 8 of 12 cells (4 failed, 0 not computed)."
        ]

    def test_a_part_of_the_grid_that_the_plot_cannot_do_with(self, fake, capsys):
        fake.write_text(FAKE.replace('results.say("The', 'results.one(optimizer="adagrad"); results.say("The'))
        assert main(fake, ["--optimizer", "sgd", "--quiet"]) == 2
        err = capsys.readouterr().err
        assert "the cells are stored, but the figures and tables of fake need more of the grid: axis 'optimizer'" in err
        assert len(calls(fake)) == 6

    def test_a_grid_that_fails_everywhere_keeps_the_summary(self, fake, capsys):
        assert main(fake, ["--quick", "--quiet"]) == 0
        fake.write_text(FAKE.replace("    time.sleep(WAIT)", "    assert optimizer != 'lion'"))
        assert main(fake, ["--quick", "--optimizer", "lion", "--json"]) == 3
        told = json.loads(capsys.readouterr().out.partition("shrinks.\n")[2])
        assert told["finished"] == 0 and told["failed"] == 1
        summary = json.loads((fake.parent / "results/fake-quick/summary.json").read_text())
        assert summary["complete"] and summary["sentences"] == ["The mean shrinks."]

    def test_violation_is_four(self, fake, tmp_path):
        study = squares(plot=lambda results: results.verdicts([("n=1", verdict("violated"))]))
        assert main(study, ["--results", str(tmp_path / "r"), "--quiet"]) == 4

    def test_repeat_from_manifest(self, fake, capsys):
        assert main(fake, ["--quick", "--results", "first"]) == 0
        assert main(fake, ["--from-manifest", "first/manifest.json"]) == 0
        assert "Repeated: 2 of 2 recorded cells, all identical bit for bit." in capsys.readouterr().out
        assert (fake.parent / "results" / "fake-repeat" / "results.sqlite").exists()
        fake.write_text(FAKE.replace("size=n)", "size=n) + 1e-12"))
        assert main(fake, ["--from-manifest", "first/manifest.json", "--results", "third"]) == 1
        out = " ".join(capsys.readouterr().out.split())
        assert "2 of 2 cells differ from the manifest (fingerprint was" in out
        assert main(fake, ["--from-manifest", "first/manifest.json", "--n", "4"]) == 2

    def test_script_survives_kill_and_interrupt(self, fake, script):
        whole = script("run", "--quiet", "--results", "whole")
        assert whole.wait(60) == 0
        killed = script("run", "--results", "cut", "--workers", "1", FAKE_WAIT="1.0")
        wait_for(lambda: stored(fake.parent / "cut") >= 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
        after_kill = stored(fake.parent / "cut")
        assert 2 <= after_kill < 12
        stopped = script("run", "--results", "cut", "--workers", "1", FAKE_WAIT="1.0")
        wait_for(lambda: stored(fake.parent / "cut") > after_kill)
        stopped.send_signal(signal.SIGINT)
        _, err = stopped.communicate(timeout=30)
        assert stopped.returncode == 3, err
        line = "python fake.py run --results cut --workers 1"
        assert err.rstrip().endswith(f"cells are stored. To go on:\n  {line}")
        assert stored(fake.parent / "cut") < 12
        before = len(calls(fake))
        left = 12 - stored(fake.parent / "cut")
        resumed = script(*line.split()[2:])
        out, err = resumed.communicate(timeout=60)
        assert resumed.returncode == 0 and len(calls(fake)) - before == left, err
        digests = [json.loads((fake.parent / f / "manifest.json").read_text())["digests"] for f in ("whole", "cut")]
        assert digests[0] == digests[1] and len(digests[0]) == 12

    def test_a_reader_that_leaves_early(self, fake, script):
        process = script("--quick", "--json")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""

    def test_two_drivers_on_one_folder(self, fake, script):
        first = script("run", "--results", "r", FAKE_WAIT="0.5")
        wait_for(lambda: stored(fake.parent / "r") >= 1)
        second = script("run", "--results", "r")
        _, err = second.communicate(timeout=30)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
        assert second.returncode == 2 and f"in use by process {first.pid}" in err
        assert "Traceback" not in err
