"""The command line: what reaches stdout, what stderr, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import anisotropic as an
from anisotropic import report
from anisotropic._support.extras import MissingExtra
from anisotropic.cli import cli, main
from anisotropic.records import Verdict
from anisotropic.study import Study, StudyError

ROOT = Path(__file__).resolve().parents[1]
TINY = textwrap.dedent(
    '''
    """Is a square larger than its root?"""
    import anisotropic as an

    AXES = {"n": [1, 2, 3], "kind": ["a", "b"]}
    QUICK = {"n": [1]}

    def cell(n, kind):
        assert kind != "c", "no such kind"
        return {"square": n * n}

    def plot(results):
        roots = results.axes["n"]
        squares = results.array("square", n=roots, kind="a").astype(float)
        ax = an.plotting.curves(roots, {"sgd": squares}, xlabel="n", ylabel="square")
        results.save_figure(ax, "squares")
        rows = [{"n": c.point["n"], "square": c.arrays["square"]} for c in results.cells()]
        results.table(rows, title="Squares & more")
        results.say("A square is < its cube.")

    if __name__ == "__main__":
        raise SystemExit(an.study.main())
    '''
)


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess:
    """Run ``python -m anisotropic`` in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment
    call = [sys.executable, "-m", "anisotropic", *words]
    return subprocess.run(call, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with ./studies/tiny.py."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.py").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def ask(capsys, *words: str) -> tuple[int, str, str]:
    code = main(words)
    out, err = capsys.readouterr()
    return code, out, err


class TestEverywhere:
    def test_help_imports_nothing_heavy(self):
        code = "import sys\nfrom anisotropic.cli import main\ncode = main(['--help'])\n"
        code += "heavy = {'numba', 'sympy', 'scipy', 'matplotlib', 'rich', 'torch', 'pandas'} & set(sys.modules)\n"
        code += "assert not heavy, heavy\nsys.exit(code)"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)

    def test_version_and_module_agree(self):
        done = shell("--version")
        assert (done.returncode, done.stdout) == (0, f"anisotropic {an.__version__}\n")

    def test_every_command_has_json_quiet_and_help(self, capsys):
        def leaves(group, path=()):
            for name, command in group.commands.items():
                yield from leaves(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]

        found = list(leaves(cli))
        assert {("bounds", "list"), ("verify",), ("study", "run"), ("datasets",), ("report",)} <= set(found)
        for words in found:
            code, out, _ = ask(capsys, *words, "--help")
            assert code == 0 and "Usage: anisotropic" in out
            assert words[0] == "study" and words[1] != "list" or ("--json" in out and "--quiet" in out)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("verfy",), "no command is called 'verfy'; did you mean 'verify'?"),
            (("bounds", "lst"), "no command is called 'lst'; did you mean 'list'?"),
            (("bounds", "show", "convex_adagard"), "'convex_adagard'; did you mean 'convex_adagrad'?"),
            (("verify", "convex_sdg"), "did you mean 'convex_sgd'?"),
            (("verify",), "give either the ID of a bound or --all"),
            (("verify", "--all", "convex_sgd"), "give either the ID of a bound or --all"),
            (("verify", "convex_sgd", "--form", "smple"), "no form is called 'smple'; did you mean 'simple'?"),
            (("verify", "convex_sgd", "--level", "0"), "'--level'"),
            (("study", "run", "tny"), "no study is called 'tny'; did you mean 'tiny'?"),
            (("study", "run", "--quick", "tiny"), "comes first: anisotropic study run NAME --quick"),
            (("study", "plot", "nowhere.py"), "no study is called 'nowhere.py'"),
            (("report", "nowhere"), "nowhere has no summary.json; run and plot a study into it first"),
            (("datasets", "no_such_set"), "no_such_set"),
        ],
    )
    def test_usage_errors(self, folder, capsys, words, message):
        code, out, err = ask(capsys, *words)
        assert code == 2 and out == "" and message in err and "Traceback" not in err

    def test_missing_extra_is_five(self, capsys, monkeypatch):
        def absent(*_, **__):
            raise MissingExtra("sklearn is not installed; run pip install 'anisotropic[data]'")

        monkeypatch.setattr("anisotropic.datasets.load", absent)
        code, out, err = ask(capsys, "datasets", "digits")
        assert code == 5 and out == "" and "pip install 'anisotropic[data]'" in err

    def test_unexpected_is_one_with_a_traceback(self, capsys, monkeypatch):
        monkeypatch.setattr("anisotropic.datasets.available", lambda: 1 / 0)
        code, _, err = ask(capsys, "datasets")
        assert code == 1 and "ZeroDivisionError" in err

    def test_interrupt_is_three(self, capsys, monkeypatch):
        def stop():
            raise KeyboardInterrupt

        monkeypatch.setattr("anisotropic.datasets.available", stop)
        assert ask(capsys, "datasets")[0] == 3

    def test_closed_pipe(self):
        env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        line = f"{sys.executable} -m anisotropic bounds show convex_adagrad | head -n 1"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], env=env, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 1
        line = f"{sys.executable} -m anisotropic --help | true"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], env=env, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""

    @pytest.mark.parametrize(
        "environment", [{"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "60"}, {"COLUMNS": "300"}]
    )
    def test_plain_and_narrow_terminals(self, folder, environment):
        (folder / "studies" / "a_second_study_about_bounds.py").write_text(f'"""{"Is this long? " * 9}"""')
        done = shell("study", "list", **environment)
        assert done.returncode == 0 and "\x1b[3" not in done.stdout
        lines = re.sub(r"\x1b\[\d*m", "", done.stdout).splitlines()
        assert max(map(len, lines)) <= min(80, int(environment.get("COLUMNS", 80)))
        assert done.stdout.count("long?") == 9


class TestBounds:
    def test_list(self, capsys):
        _, out, err = ask(capsys, "bounds", "list", "--json")
        data = json.loads(out)
        assert data["schema"] == 1 and [b["id"] for b in data["bounds"]] == [b["id"] for b in an.bounds.table()]
        assert ask(capsys, "bounds", "list", "--quiet")[1].split() == [b["id"] for b in data["bounds"]]
        assert err == ""
        rows = [line.split() for line in ask(capsys, "bounds", "list")[1].splitlines()]
        assert ["convex_sgd", "mean_gap", "T^-1/2", "M^-1/2", "T^-1"] in rows and ["pl_sgd", "gap"] in rows
        assert {row[0] for row in rows if len(row) > 1} >= set(an.bounds)

    def test_show(self, capsys):
        bound = an.bounds.convex_adagrad
        assert ask(capsys, "bounds", "show", "convex_adagrad")[1] == f"{bound}\n"
        assert ask(capsys, "bounds", "show", "convex_adagrad", "--latex")[1] == f"{bound.latex()}\n"
        assert ask(capsys, "bounds", "show", "convex_adagrad", "--cite")[1] == f"{bound.cite()}\n"
        data = json.loads(ask(capsys, "bounds", "show", "convex_adagrad", "--json")[1])
        assert data["id"] == "convex_adagrad" and data["statement"] == str(bound) and data["bibtex"] == bound.cite()

    def test_evaluate_against_the_closed_form(self, capsys):
        """4 sum L D^2 / T + 2 sqrt(2) sum D sigma / sqrt(MT) at the tuned step, by hand."""
        words = ["--L", "1,0.5", "--sigma", "1", "--D=2", "--T", "1000", "--M", "64"]
        want = 4 * 1.5 * 4 / 1000 + 2 * np.sqrt(2) * 4 / np.sqrt(64_000)
        code, out, _ = ask(capsys, "bounds", "evaluate", "convex_adagrad", *words, "--json")
        data = json.loads(out)
        assert code == 0 and data["value"] == pytest.approx(want, rel=1e-12)
        assert data["forms"]["quad"] < data["forms"]["simple"] == data["value"]
        assert data["value"] == pytest.approx(sum(data["terms"].values()))
        quad = float(ask(capsys, "bounds", "evaluate", "convex_adagrad", *words, "--form", "quad", "--quiet")[1])
        assert quad == data["forms"]["quad"]
        _, out, _ = ask(capsys, "bounds", "evaluate", "convex_adagrad", *words)
        assert "convex_adagrad: mean_gap <= 0.06872 (form simple)" in out and re.search(r"bias +0.024 +34.9%", out)
        _, out, _ = ask(capsys, "bounds", "evaluate", "convex_adagrad", *words, "--form", "sharp")
        assert "(form sharp)" in out and "simple 0.06872" in out, "all forms are listed whichever is asked for"

    def test_evaluate_says_why_a_form_has_no_value(self, capsys):
        given = {"L": 1, "sigma": 1, "Delta": 1, "eps": 1, "step-size": 0.1, "T": 10, "M": 1}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        code, out, _ = ask(capsys, "bounds", "evaluate", "nonconvex_adagrad", *words)
        assert code == 0 and "(form solved)" in out and "bounded: nonconvex_adagrad needs G" in out
        data = json.loads(ask(capsys, "bounds", "evaluate", "nonconvex_adagrad", *words, "--json")[1])
        assert set(data["forms"]) == {"solved", "closed"} and "needs G" in data["refused"]["bounded"]

    @pytest.mark.parametrize("kind", ["npy", "csv", "json", "txt"])
    def test_constants_from_files(self, tmp_path, capsys, kind):
        path = tmp_path / f"L.{kind}"
        values = np.array([1.0, 0.5])
        if kind == "npy":
            np.save(path, values)
        else:
            path.write_text({"csv": "1,0.5\n", "txt": "1\n0.5\n", "json": "[1, 0.5]"}[kind])
        rest = ["--sigma", "1", "--R", "2", "--T", "10", "--M", "1", "--quiet"]
        got = ask(capsys, "bounds", "evaluate", "convex_sgd", "--L", f"@{path}", *rest)[1]
        assert float(got) == an.bounds.convex_sgd(L=values, sigma=1.0, R=2.0, T=10, M=1)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("--L 1 --sigm 1", "unknown constant 'sigm'; did you mean 'sigma'?"),
            ("--L 1", "needs sigma, R, T and M"),
            ("--L one", "--L one: expected a number, numbers with commas, or @file"),
            ("--L", "--L has no value"),
            ("L=1", "'L=1' is not a constant; expected --NAME VALUE"),
            ("--L 1 --L 2", "--L is given twice"),
            ("--L @nowhere.npy", "--L: cannot read numbers from nowhere.npy: No such file"),
            ("--L -1 --sigma 1 --R 1 --T 1 --M 1", "L = -1; expected a finite number of at least 0"),
            ("--L 1 --sigma 1 --R 1 --T 0.5 --M 1", "--T 0.5: expected a number of updates, at least 1"),
            ("--L 1 --sigma 1 --R 1 --T 1 --M 0.1", "--M 0.1: expected a number of samples in a batch, at least 1"),
            ("--L @/dev/zero", "--L: cannot read numbers from /dev/zero: it is not a regular file"),
            ("--L @texts.npy", "--L: cannot read numbers from texts.npy: could not convert string to float"),
            ("--L @promise.npy", "--L: cannot read numbers from promise.npy: mmap length is greater than file size"),
            ("--L @nested.json", "--L: cannot read numbers from nested.json: "),
            ("--L 1 --sigma 1 --R 1 --T 1 --M 1 --step_size 2", "convex_sgd does not apply: step_size <="),
            ("--L 1 --sigma 1 --R 1 --T 1 --M 1 --form best", "has no form 'best'; it has simple"),
        ],
    )
    def test_wrong_constants(self, folder, capsys, words, message):
        np.save("texts.npy", np.array(["a"]))
        with open("promise.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
        Path("nested.json").write_text("[" * 100_000)
        code, out, err = ask(capsys, "bounds", "evaluate", "convex_sgd", *words.split())
        assert code == 2 and out == "" and message in err.replace("\n", " ")


    def test_a_file_that_is_too_large(self, folder, capsys, monkeypatch):
        monkeypatch.setattr(sys.modules["anisotropic.cli.bounds"], "LARGEST_FILE", 10)
        Path("L.csv").write_text("1," * 10)
        code, _, err = ask(capsys, "bounds", "evaluate", "convex_sgd", "--L", "@L.csv")
        assert code == 2 and "it has 20 bytes; expected at most 10" in err.replace("\n", " ")

    def test_a_probability_is_below_one(self, capsys):
        given = {"Delta": 1, "L": 1, "T": 100, "delta": 1000, "eps": 1, "rho": 1, "step_size": 1}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        code, _, err = ask(capsys, "bounds", "evaluate", "adagrad_norm_strong_growth", *words)
        assert code == 2 and "delta = 1000; expected a finite number above 0 and below 1" in err.replace("\n", " ")

    def test_an_option_in_place_of_a_command(self, capsys):
        code, _, err = ask(capsys, "bounds", "--", "--latex")
        assert code == 2 and "no command is called '--latex'" in err


class TestSearch:
    def test_finds_what_the_library_finds_and_writes_it(self, tmp_path, capsys):
        path = tmp_path / "worst.json"
        words = ["bounds", "search", "convex_sgd", "--budget", "6", "--seed", "2"]
        code, out, err = ask(capsys, *words, "--json", "--output", str(path))
        data, want = json.loads(out), an.search_worst_case(an.bounds.convex_sgd, budget=6, seed=2)
        assert code == 0 and "searching the worst of 6 instances for convex_sgd" in err
        assert data["ratio"] == want.ratio and data["refuted"] is False
        assert data["instance"] == json.loads(path.read_text()) == want.instance.to_dict()
        out = ask(capsys, *words)[1]
        assert (
            "convex_sgd: measured / bound = " in out
            and "not contradicted" in out
            and f"T = {want.instance.steps}, d" in out
        )

    def test_a_refuted_bound_is_four(self, capsys, monkeypatch):
        monkeypatch.setattr(an.bounds.convex, "convex_sgd", an.bounds.convex_sgd.scaled(0.01))
        code, out, _ = ask(capsys, "bounds", "search", "convex_sgd", "--budget", "6", "--quiet")
        assert code == 4 and float(out) > 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("convex_sg", "no bound is called 'convex_sg'; did you mean 'convex_sgd'?"),
            ("convex_sgd --budget -3", "-3 is not in the range"),
            ("convex_sgd --budget many", "'many' is not a valid integer"),
            ("convex_sgd --seed -1", "-1 is not in the range"),
            ("convex_sgd --output nowhere/x.json", "cannot write nowhere/x.json: there is no folder nowhere"),
            ("convex_sgd --output .", "cannot write .: it is a folder; give a file in a folder that you may write to"),
        ],
    )
    def test_wrong_input_is_refused_before_the_search(self, folder, capsys, words, message):
        code, out, err = ask(capsys, "bounds", "search", *words.split())
        assert code == 2 and out == "" and message in err.replace("\n", " ")


@pytest.fixture
def setups(monkeypatch):
    """Setups that answer at once: one bound holds, one is violated."""

    class Setup:
        def __init__(self, name):
            self.bound, self.constants, self.seen = an.bounds[name], {}, {}

        def __call__(self, **changes):
            return changes

        def verify(self, run, level, form):
            status = "violated" if self.bound.name == "convex_adagrad" else "not contradicted"
            count = run.get("replicas", 7)
            return Verdict(status, self.bound.name, "mean_gap", level=level, slack=1.5, power=2.0, replicas=count)

    import anisotropic.evidence.setups as module

    monkeypatch.setattr(module, "for_bound", Setup)
    monkeypatch.setattr(module, "names", lambda: ("convex_sgd", "convex_adagrad"))


class TestVerify:
    def test_a_violation_is_four(self, capsys, setups):
        assert ask(capsys, "verify", "convex_sgd", "--quiet") == (0, "convex_sgd\tnot contradicted\n", "")
        code, out, err = ask(capsys, "verify", "convex_adagrad", "--json", "--replicas", "5", "--level", "0.01")
        verdict = json.loads(out)["verdicts"][0]
        assert code == 4 and verdict["status"] == "violated" and "simulating" in err
        assert (verdict["replicas"], verdict["level"]) == (5, 0.01)

    def test_all(self, capsys, setups):
        code, out, err = ask(capsys, "verify", "--all")
        assert code == 4 and "violated" in out and "x2" in out and "2 of 2: convex_adagrad" in err
        assert max(map(len, out.splitlines())) <= 80

    def test_without_a_setup(self, capsys, setups):
        code, _, err = ask(capsys, "verify", "pl_sgd")
        assert code == 2 and "pl_sgd has no setup yet" in err

    def test_the_real_setup(self, capsys, tmp_path):
        code, out, _ = ask(capsys, "verify", "pl_sgd", "--replicas", "64", "--figure", str(tmp_path / "v.pdf"))
        assert code == 0 and out.startswith("pl_sgd (") and "64 replicas" in out
        assert (tmp_path / "v.pdf").read_bytes().startswith(b"%PDF")


OWN = textwrap.dedent(
    """
    import anisotropic as an
    from anisotropic.bounds.symbols import Delta, L_max, uniform_step_size

    print("noise on stdout")
    half = an.Bound("half", "mean_gap", "upper", Delta / 2, conditions=[uniform_step_size <= 0.1 / L_max],
                    requires=an.Requires(optimizers="heavy_ball", noises="none", box=False))
    whole, number, needy = half.scaled(2.0), 3, half.scaled(1.0)
    whole_by_sgd = an.Bound("whole", "mean_gap", "upper", Delta, conditions=[uniform_step_size <= 0.1 / L_max],
                            requires=an.Requires(optimizers="sgd", noises="none", box=False))

    def make_optimizer(known):
        return an.optimizers.heavy_ball(known["step_size"], 0.5)
    """
)


class TestOwnBound:
    """Half the initial gap is exceeded by the mean gap after one update by a factor of 2, by less later."""

    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("my.py").write_text(OWN)

    def test_verify(self, capsys):
        code, out, err = ask(capsys, "verify", "my.py:half", "--budget", "20", "--json")
        verdict = json.loads(out)["verdicts"][0]
        assert code == 4 and "searching the worst of 20 instances" in err and "noise on stdout" in err
        assert verdict["status"] == "violated" and verdict["bound_id"] == "my.py:half"
        assert verdict["excess"] == pytest.approx(2.0, rel=1e-9) and verdict["instance"]["steps"] == 1
        code, out, _ = ask(capsys, "verify", "my.py:whole", "--budget", "20", "--replicas", "3")
        assert code == 0 and out.startswith("half (simple): not contradicted")
        assert "level 0.001, 3 replicas" in " ".join(out.split())
        assert out.splitlines()[-1].startswith("  on T = 1, d = ")

    def test_show_evaluate_and_search(self, capsys):
        assert "Delta" in ask(capsys, "bounds", "show", "my.py:half")[1]
        assert json.loads(ask(capsys, "bounds", "show", "my.py:half", "--json")[1])["measure"] == "mean_gap"
        words = ["bounds", "evaluate", "my.py:half", "--Delta", "3", "--L", "1", "--quiet"]
        assert ask(capsys, *words)[:2] == (0, "1.5\n")
        code, out, _ = ask(capsys, "bounds", "search", "my.py:half", "--budget", "20", "--quiet")
        assert code == 4 and float(out) == pytest.approx(2.0, rel=1e-9)

    @pytest.mark.parametrize(
        ("text", "word", "message"),
        [
            ("1 / 0", "my.py:half", "my.py cannot be run (line 1): ZeroDivisionError: division by zero"),
            ("def f(:", "my.py:half", "my.py cannot be run: SyntaxError: invalid syntax"),
            ("import nowhere_to_be_found", "my.py:half", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
            ("raise SystemExit(0)", "my.py:half", "my.py cannot be run (line 1): SystemExit: 0"),
            (None, "my.py:halv", "my.py has nothing called 'halv'; did you mean 'half'?"),
            ("x = 1", "my.py:half", "my.py has nothing called 'half'; it has no bound"),
            (None, "my.py:number", "number in my.py is an int; expected a Bound, made with an.Bound(...)"),
            (None, "my.py", "'my.py' names no bound; write FILE.py:NAME for a bound of your own, or an ID"),
            (None, "my.txt:half", "'my.txt:half' names no bound; write FILE.py:NAME"),
            (None, "no.py:half", "cannot read no.py: there is no such file"),
            (None, "my.py:whole_by_sgd", "the optimizer is 'heavy_ball'; the theorem is about sgd"),
            (OWN + "make_optimizer = 3", "my.py:half", "make_optimizer in my.py is an int; expected a function"),
            (OWN + "def make_optimizer(k): k['a']", "my.py:half", "make_optimizer in my.py failed (line 14): KeyError"),
            (OWN + "del make_optimizer", "my.py:half", "has no optimizer 'heavy_ball'; pass make_optimizer="),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_a_sentence(self, capsys, text, word, message):
        if text is not None:
            Path("my.py").write_text(text)
        code, out, err = ask(capsys, "verify", word, "--budget", "5")
        assert code == 2 and out == "" and "Traceback" not in err
        assert message in " ".join(err.split())


class TestStudy:
    def test_list(self, folder, capsys):
        code, out, _ = ask(capsys, "study", "list", "--json")
        assert json.loads(out)["studies"] == [{"study": "tiny", "question": "Is a square larger than its root?"}]
        assert ask(capsys, "study", "list", "--quiet")[1] == "tiny\n"
        assert "Is a square larger" in ask(capsys, "study", "list")[1]

    def test_where_there_are_no_studies_those_of_the_package_are_listed(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        code, out, _ = ask(capsys, "study", "list", "--quiet")
        assert code == 0 and {"large_batch", "separation"} <= set(out.split())
        code, _, err = ask(capsys, "study", "run", "large_bach")
        assert code == 2 and "large_batch" in err

    def test_run_status_plot_report(self, folder, capsys):
        assert ask(capsys, "study", "status", "tiny")[:2] == (3, "tiny: 6 cells: 6 missing\n")
        code, out, err = ask(capsys, "study", "run", "tiny", "--kind", "a", "--results", "out")
        assert code == 0 and "A square is < its cube." in out and "3 of 3 cells" in err
        assert ask(capsys, "study", "status", "studies/tiny.py", "--kind", "a", "--results", "out")[0] == 0
        code, out, err = ask(capsys, "study", "plot", "tiny", "--kind", "a", "--results", "out", "--json")
        data = json.loads(out)
        assert data["complete"] and data["files"] == ["squares.pdf", "squares.png", "squares.svg"] and err == ""
        assert ask(capsys, "report", "out")[1] == f"{Path('out', 'report.html')}\n"
        page = Path("out/report.html").read_text()
        assert "Is a square larger than its root?" in page and "A square is &lt; its cube." in page
        assert "Squares &amp; more" in page and page.count("<svg ") == 1

    def test_failures_resume_by_the_printed_line(self, folder, capsys):
        code, _, err = ask(capsys, "study", "run", "tiny", "--kind", "a,c", "--quick")
        assert code == 3 and "no such kind" in err
        line = err.strip().splitlines()[-1].split()
        assert line[:4] == ["anisotropic", "study", "run", "tiny"]
        assert ask(capsys, *line[1:])[0] == 3
        assert "1 of 2 cells are there already" in ask(capsys, *line[1:])[2]

    def test_study_help_lists_axes(self, folder, capsys):
        code, out, _ = ask(capsys, "study", "run", "tiny", "--help")
        assert code == 0 and "--kind V[,V...]" in out and "Is a square larger" in out

    def test_script_and_command_share_cells(self, folder, capsys):
        assert ask(capsys, "study", "run", "tiny", "--quiet", "--quick")[0] == 0
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        call = [sys.executable, "studies/tiny.py", "status", "--quick", "--json"]
        done = subprocess.run(call, env=env, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["done"] == 2


class TestDatasets:
    def test_one_file(self, tmp_path, capsys):
        path = tmp_path / "tiny.svm"
        path.write_text("+1 1:1 3:1\n-1 2:1\n-1 1:1\n+1 3:1\n")
        data = json.loads(ask(capsys, "datasets", str(path), "--json")[1])
        assert (data["rows"], data["columns"], data["positive"]) == (4, 3, 0.5)
        assert data["nonzero"] == pytest.approx(5 / 12)
        assert "4 rows, 3 columns" in ask(capsys, "datasets", str(path))[1]

    def test_malformed_file(self, tmp_path, capsys):
        path = tmp_path / "bad.svm"
        path.write_text("+1 1:1\n-1 x\n")
        code, out, err = ask(capsys, "datasets", str(path))
        assert code == 2 and out == "" and "bad.svm" in err.replace("\n", "")


class TestReport:
    @pytest.fixture
    def results(self, tmp_path):
        results = Study("squares", {"n": [1, 2]}, lambda n: {"square": n * n}).run(tmp_path)
        results.quiet = True
        return results

    def test_it_needs_nothing_from_outside(self, results):
        results.verdicts([("a <b>", Verdict("violated", "convex_sgd", "gap", slack=0.5, power=np.nan))], planted=True)
        results.table([{"x": "</script><script>alert(1)</script>"}])
        results.write_summary()
        page = report.write(results.folder).read_text()
        assert not re.search(r"""(src|href)="(?!data:|#)""", page) and "@import" not in page
        assert "a &lt;b&gt;" in page and "alert(1)</script>" not in page
        assert "planted to be caught" in page and 'data-status="violated"' in page
        embedded = re.search(r'<script type="application/json" id="data-json">(.*?)</script>', page, re.S)
        assert json.loads(embedded[1])["summary"]["study"] == "squares"

    def test_an_incomplete_study_says_so(self, tmp_path):
        def cell(n):
            assert n == 1
            return {}

        Study("half", {"n": [1, 2]}, cell).run(tmp_path).write_summary()
        page = report.write(tmp_path, tmp_path / "page.html").read_text()
        assert '<p class="warn">1 of 2 cells finished' in page and "1 failed" in page

    def test_missing_picture_and_broken_summary(self, results):
        results.summary["files"].append("lost.pdf")
        path = results.write_summary()
        assert "lost.png is listed in the summary but missing" in report.write(results.folder).read_text()
        path.write_text("{")
        with pytest.raises(StudyError, match="summary.json is not JSON"):
            report.write(results.folder)
