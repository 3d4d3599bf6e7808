"""Folders and files from somebody else: what they may not do to their reader."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_study import FAKE, squares

from anisotropic.study import Study, StudyError, main, report
from anisotropic.study.files import sweep, write_text
from anisotropic.study.spreadsheet import text_of

posix = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")


@posix
class TestLinks:
    def test_no_part_of_a_file_goes_through_a_link(self, tmp_path):
        victim, folder = tmp_path / "victim", tmp_path / "shared"
        victim.write_text("precious")
        folder.mkdir()
        for name in ("manifest.json", "manifest.json.part", "cells.csv", "cells.csv.part", "x.pdf", "x.png", "x.csv"):
            (folder / name).symlink_to(victim)
        results = squares().run(folder)
        from matplotlib.figure import Figure

        results.save_figure(Figure(), "x")
        results.save_csv("x", [{"a": 1}])
        assert victim.read_text() == "precious"
        assert json.loads((folder / "manifest.json").read_text())["state"] == "complete"
        assert not (folder / "x.csv").is_symlink() and (folder / "x.pdf").read_bytes()[:4] == b"%PDF"

    @pytest.mark.parametrize("name", ["results.sqlite", "results.lock", "results.sqlite-journal"])
    def test_the_store_is_no_link(self, tmp_path, name):
        (tmp_path / "victim").write_text("")
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / name).symlink_to(tmp_path / "victim")
        with pytest.raises(StudyError, match="is a symbolic link"):
            squares().run(tmp_path / "r")
        assert (tmp_path / "victim").read_text() == ""

    def test_files_have_the_usual_mode(self, tmp_path):
        before = os.umask(0o027)
        try:
            path = write_text(tmp_path / "x", "text")
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640 and os.listdir(tmp_path) == ["x"]

    def test_parts_of_dead_processes_are_swept(self, tmp_path):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        for name in (f".a.json.{gone.pid}-00ff.part", f".b.json.{os.getpid()}-00ff.part", "mine.part", ".c.part"):
            (tmp_path / name).touch()
        sweep(tmp_path)
        assert sorted(os.listdir(tmp_path)) == [f".b.json.{os.getpid()}-00ff.part", ".c.part", "mine.part"]


class TestReport:
    @pytest.fixture
    def received(self, tmp_path):
        """A results folder from somebody else whose summary names `files`."""
        squares().run(tmp_path / "r").write_summary()

        def name(*files: str) -> Path:
            path = tmp_path / "r" / "summary.json"
            summary = json.loads(path.read_text())
            path.write_text(json.dumps(summary | {"files": list(files)}))
            return tmp_path / "r"

        return name

    def test_it_embeds_no_files_from_elsewhere(self, received, tmp_path):
        (tmp_path / "secret.csv").write_text("salary\n4711\n")
        (tmp_path / "r" / "linked.csv").symlink_to(tmp_path / "secret.csv")
        (tmp_path / "r" / "linked.png").symlink_to(tmp_path / "secret.csv")
        (tmp_path / "r" / "folder.csv").mkdir()
        os.mkfifo(tmp_path / "r" / "pipe.csv")
        names = ["../secret.csv", str(tmp_path / "secret.csv"), "linked.csv", "linked.png", "folder.csv", "pipe.csv"]
        page = report.write(received(*names)).read_text()
        secret = (tmp_path / "secret.csv").read_bytes()
        assert "salary" not in page and base64.b64encode(secret).decode() not in page
        assert page.count("is not a file of this folder") == len(names)

    def test_long_texts_fit(self, received, tmp_path):
        (tmp_path / "r" / "long.csv").write_text("t\n" + "a" * 200_000 + "\n")
        page = report.write(received("long.csv")).read_text()
        assert "long.csv" in page and page.count("a" * 1000) < 5


def test_spreadsheets_compute_nothing():
    rows = [{"n": -1.5, "t": '=HYPERLINK("x")'}, {"n": 2, "t": "-1e3"}, {"t": "@SUM(1)"}, {"t": "-cmd"}, {"t": "a=1"}]
    assert text_of(["n", "t", "=c"], rows) == (
        'n,t,\'=c\n-1.5,"\'=HYPERLINK(""x"")",\n2,-1e3,\n,\'@SUM(1),\n,\'-cmd,\n,a=1,\n'
    )


def test_terminals_obey_nothing(fake, capsys):
    evil = "\x1b]0;owned\x07\u202etext\ud800"
    text = FAKE.replace("    time.sleep(WAIT)", f"    if repeat: raise ValueError({evil!r})")
    text = text.replace('results.say("The mean shrinks.")', f"results.say({evil!r})")
    text = text.replace('"n": n, "mean"', f'"n": n, {evil!r}: {evil!r}, "mean"')
    fake.write_text(text)
    assert main(fake, ["--n", "4"]) == 3
    assert main(fake, ["plot", "--n", "4"]) == 3
    assert main(fake, ["errors", "--n", "4"]) == 3
    told = "".join(capsys.readouterr())
    assert "\\x1b]0;owned\\x07\\u202etext\\ud800" in told
    assert not set("\x1b\x07\u202e\ud800") & set(told)


@posix
def test_a_folder_that_everyone_may_write_is_named(fake, tmp_path, capsys):
    Study.load(fake)
    assert capsys.readouterr().err == ""
    tmp_path.chmod(0o1777)
    Study.load(fake)
    assert f"everyone on this machine may write to {tmp_path}" in capsys.readouterr().err


def test_only_the_study_imports_its_neighbours(tmp_path, monkeypatch):
    """A file beside the study that is called like an optional package of some library does not run."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "library").mkdir()
    probe = "try:\n    import near_d\n    FOUND = True\nexcept ImportError:\n    FOUND = False\n"
    (tmp_path / "library" / "elsewhere_a.py").write_text(probe)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "near_d.py").write_text("import near_e\nK = near_e.K\n")
    (tmp_path / "study" / "near_e.py").write_text("K = 7\n")
    text = (
        "import importlib, sys\nsys.path.append(LIBRARY)\nimport elsewhere_a\nAXES = {'n': [1]}\n"
        "def cell(n):\n    name = 'near_' + 'd'\n"
        "    return {'found': elsewhere_a.FOUND, 'k': importlib.import_module(name).K}\n"
    )
    (tmp_path / "study" / "s.py").write_text(text.replace("LIBRARY", repr(str(tmp_path / "library"))))
    results = Study.load(tmp_path / "study" / "s.py").run(tmp_path / "r").one()
    assert results == {"found": False, "k": 7}


@posix
@pytest.mark.parametrize("where", ["cwd", "study"])
def test_git_settings_of_a_folder_run_nothing(fake, tmp_path, where, monkeypatch):
    """`core.fsmonitor` names a program that `git status` runs."""
    folder = tmp_path / "elsewhere" if where == "cwd" else tmp_path
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init", "-q", ".")
    (folder / "f").write_text("x")
    git("add", "f")
    git("commit", "-qm", "x")
    ran = tmp_path / "ran"
    git("config", "core.fsmonitor", f"touch {ran}; false")
    subprocess.run(["git", "status"], check=True, capture_output=True)
    assert ran.exists(), "the trap works"
    ran.unlink()
    if where == "cwd":
        squares().run(folder / "r")
        code = "import anisotropic as an; an.show_versions()"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    else:
        Study.load(fake).run(folder / "r", quick=True)
        assert json.loads((folder / "r" / "manifest.json").read_text())["git"]
    assert not ran.exists()


def test_reading_executes_nothing_of_a_received_folder(fake, tmp_path, monkeypatch):
    """`status`, `plot` and `report` of a folder with code in it: none of it runs."""
    assert main(fake, ["--quick", "--results", "r", "--quiet"]) == 0
    for name in ("fake.py", "numpy.py", "sitecustomize.py", "conftest.py"):
        (tmp_path / "r" / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path / "r")
    assert main(fake, ["status", "--quick", "--results", "."]) == 0
    assert main(fake, ["plot", "--quick", "--results", "."]) == 0
    report.write(Path("."))
    assert not (tmp_path / "ran").exists()
