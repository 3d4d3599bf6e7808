"""Studies: what is computed, what is stored, what repeats, and what the tables say."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fake_study import FAKE, calls, square, squares, verdict

from anisotropic._support.output import number
from anisotropic.records import Verdict
from anisotropic.study import Results, Study, StudyError, environment, main
from anisotropic.study.blobs import decode, encode
from anisotropic.study.source import code_of
from anisotropic.study.store import Store


class TestStore:
    def test_blob_round_trip(self):
        values = {"x": np.arange(6.0).reshape(2, 3), "n": 3, "name": "sgd", "flags": np.array([True]), "v": verdict()}
        back = decode(*encode(values)[:2])
        assert repr(back["v"]) == repr(values["v"]) and back["n"] == 3 and back["name"] == "sgd"
        np.testing.assert_array_equal(back["x"], values["x"])
        assert back["x"].dtype == np.float64 and back["flags"].dtype == bool

    def test_digest_sees_numbers_not_order(self):
        a, b = {"x": np.ones(3), "y": 2.0}, {"y": 2.0, "x": np.ones(3)}
        assert encode(a).digest == encode(b).digest
        others = [a | {"x": np.array([1.0, 1.0, np.nextafter(1, 2)])}, a | {"y": 2}, a | {"x": np.ones((3, 1))}]
        assert len({encode(a).digest, encode(a, {"n": 1}).digest, *(encode(o).digest for o in others)}) == 5

    def test_objects_are_refused(self):
        with pytest.raises(TypeError, match="cell returned 'x' of type dict; expected numbers"):
            encode({"x": {"a": 1}})

    def test_second_writer_is_told_who_holds_the_folder(self, tmp_path):
        told = f"in use by process {os.getpid()} on .*--results"
        with Store(tmp_path), pytest.raises(StudyError, match=told), Store(tmp_path):
            pass
        with Store(tmp_path):
            assert Store(tmp_path).states() == {}

    def test_file_that_is_no_store(self, tmp_path):
        (tmp_path / "results.sqlite").write_text("this is not a database at all, only some text" * 20)
        with pytest.raises(StudyError, match="is not a results file"), Store(tmp_path):
            pass
        with pytest.raises(StudyError, match="is not a results file"):
            Store(tmp_path).states()

    def test_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "taken").write_text("")
        with pytest.raises(StudyError, match=r"cannot use the results folder .*taken.*--results"):
            squares().run(tmp_path / "taken")


class TestGrid:
    def test_seed_ignores_unpaired_axes_only(self):
        study = Study("s", {"optimizer": ["a", "b"], "n": [1, 2], "step_size": [0.1, 0.2]}, square)
        seeds = {tuple(p.values()): study.seed(p) for p in study.points(study.grid())}
        assert len(set(seeds.values())) == 2
        assert seeds["a", 1, 0.1] == seeds["b", 1, 0.2] != seeds["a", 2, 0.1]
        assert all(0 <= s < 2**63 for s in seeds.values())

    def test_key_follows_the_seed(self):
        point = {"n": 1, "kind": "a"}
        keys = [squares(unpaired=u).key(point) for u in (("step_size",), ("kind",), ("step_size", "other"))]
        assert keys[0] == keys[2] != keys[1]

    def test_include_drops_points(self):
        study = squares(include=lambda n, kind: n < 3 or kind == "a")
        points = [(p["n"], p["kind"]) for p in study.points(study.grid())]
        assert points == [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "a")]

    @pytest.mark.parametrize(
        ("axes", "message"),
        [
            ({"seed": [1]}, "'seed', a word that studies use.*repeat"),
            ({"n": []}, "axis 'n' is \\[\\]; expected a list with at least one value"),
            ({"n": "abc"}, "expected a list"),
            ({"n": [float("nan")]}, "holds nan; expected finite"),
            ({"n": [{}]}, "holds {}; expected numbers"),
            ({}, "no axes"),
        ],
    )
    def test_bad_axes(self, axes, message):
        with pytest.raises(StudyError, match=message):
            Study("bad", axes, square)

    def test_unknown_axis_suggests(self):
        with pytest.raises(StudyError, match="no axis 'kinds'; it has n, kind; did you mean 'kind'"):
            squares().grid(kinds=["a"])

    def test_not_a_study(self, tmp_path):
        (tmp_path / "empty.py").write_text("x = 1\n")
        with pytest.raises(StudyError, match="is not a study: it defines no AXES and no cell"):
            Study.load(tmp_path / "empty.py")


class TestCode:
    def test_what_counts(self):
        base = FAKE
        same = [
            base.replace("The mean shrinks.", "The mean is small."),
            base.replace("[4, 16, 64]", "[4, 16, 64, 256]"),
            base.replace('QUICK = {"n": [4]', 'QUICK = {"n": [16]'),
            base.replace("[4, 16, 64]", "list(range(4, 65, 20))"),
            base.replace("How large", "How small"),
            base.replace("    time.sleep(WAIT)", "    time.sleep(WAIT)  # a nap"),
        ]
        other = [
            base.replace("size=n", "size=n + 1"),
            base.replace('"FAKE_WAIT", "0"', '"FAKE_WAIT", "1"'),
            base.replace("import os, time", "import os, time, math"),
        ]
        assert all(text != base for text in same + other)
        assert all(code_of(text) == code_of(base) for text in same)
        assert all(code_of(text) != code_of(base) for text in other)

    def test_functions_reached_through_others(self):
        text = "def leaf(x): return x\ndef helper(x): return leaf(x)\ndef cell(x): return {'y': helper(x)}\n"
        text += "def drawn(): pass\n"
        assert code_of(text) != code_of(text.replace("return x", "return x + 1"))
        assert code_of(text) == code_of(text.replace("pass", "return 1"))

    def test_axes_count_where_the_cell_reads_them(self):
        text = "AXES = {'n': [1]}\ndef cell(n): return {'y': len(AXES['n'])}\n"
        assert code_of(text) != code_of(text.replace("[1]", "[1, 2]"))



class TestRun:
    def test_second_run_computes_only_what_is_missing(self, fake, tmp_path):
        study = Study.load(fake)
        first = study.run(tmp_path / "r", n=[4, 16])
        assert len(calls(fake)) == 8 and first.complete
        again = study.run(tmp_path / "r", n=[4, 16, 64])
        assert sorted(calls(fake)[8:]) == sorted(f"{o} 64 {r}" for o in ("sgd", "adagrad") for r in (0, 1))
        np.testing.assert_array_equal(again.array("mean", n=[4, 16]), first.array("mean"))

    def test_numbers_do_not_depend_on_the_executor(self, fake, tmp_path):
        study = Study.load(fake)
        want = study.run(tmp_path / "serial", executor="serial").array("draws")
        for name in ("threads", "processes"):
            got = study.run(tmp_path / name, executor=name, workers=2).array("draws")
            np.testing.assert_array_equal(got, want)
        with ThreadPoolExecutor(2) as pool:
            np.testing.assert_array_equal(study.run(tmp_path / "own", executor=pool).array("draws"), want)
            assert pool.submit(int, "3").result() == 3

    def test_dask(self, fake, tmp_path):
        """A cluster of threads in this process: the same path as on a real one, without its start-up."""
        distributed = pytest.importorskip("distributed")
        study = Study.load(fake)
        want = study.run(tmp_path / "serial", executor="serial", quick=True).array("draws")
        options = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
        with distributed.Client(**options) as client, client.get_executor() as pool:
            got = study.run(tmp_path / "dask", executor=pool, quick=True)
        np.testing.assert_array_equal(got.array("draws"), want)

    def test_dask_that_is_not_installed(self, fake, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "dask.distributed", None)
        assert main(fake, ["--executor", "dask"]) == 5
        assert "pip install 'anisotropic[distributed]'" in capsys.readouterr().err

    def test_methods_share_their_random_numbers(self, fake, tmp_path):
        results = Study.load(fake).run(tmp_path / "r")
        draws = results.array("draws")
        np.testing.assert_array_equal(draws[0], draws[1])
        assert len(np.unique(draws[0])) == draws[0].size

    def test_unknown_executor(self, tmp_path):
        with pytest.raises(StudyError, match="executor 'thread' is unknown; expected one of serial, threads"):
            squares().run(tmp_path, executor="thread")

    def test_failures_are_stored_and_retried(self, tmp_path):
        broken = [True]

        def cell(n):
            if broken[0] and n == 2:
                raise ValueError("two is wrong")
            return {"y": n}

        study = Study("s", {"n": [1, 2, 3]}, cell)
        first = study.run(tmp_path)
        assert not first.complete and [c.point for c in first.failed] == [{"n": 2}]
        assert "ValueError: two is wrong" in first.failed[0].traceback
        np.testing.assert_array_equal(first.array("y"), [1.0, np.nan, 3.0])
        assert json.loads((tmp_path / "manifest.json").read_text())["state"] == "ended"
        broken[0] = False
        assert study.run(tmp_path).array("y").tolist() == [1, 2, 3]
        assert json.loads((tmp_path / "manifest.json").read_text())["state"] == "complete"

    def test_divergence_is_a_result(self, tmp_path):
        count = []

        def cell(n):
            count.append(n)
            if n == 3:
                raise FloatingPointError("overflow")
            return {"y": n, "status": np.array(["ok", "diverged" if n == 2 else "ok"])}

        study = Study("s", {"n": [1, 2, 3]}, cell)
        results = study.run(tmp_path)
        assert [c.state for c in results.cells()] == ["done", "diverged", "diverged"] and results.complete
        np.testing.assert_array_equal(results.array("y"), [1.0, 2.0, np.nan])
        study.run(tmp_path)
        assert sorted(count) == [1, 2, 3]

    def test_read_only_folder(self, tmp_path):
        if os.geteuid() == 0:
            target = Path("/proc/self")
        else:
            target = tmp_path / "locked"
            target.mkdir(mode=0o500)
        with pytest.raises(StudyError, match="cannot use the results folder"):
            squares().run(target / "results")

    def test_full_disk_keeps_what_is_there(self, tmp_path, monkeypatch):
        def full(self, *_):
            raise sqlite3.OperationalError("database or disk is full")

        study = squares()
        study.run(tmp_path, n=[1])
        connect = sqlite3.connect

        class Full(sqlite3.Connection):
            def execute(self, sql, *rest):
                if sql.startswith("INSERT OR REPLACE"):
                    full(self)
                return super().execute(sql, *rest)

        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Full, **k))
        with pytest.raises(StudyError, match="database or disk is full; free the disk"):
            study.run(tmp_path)
        monkeypatch.undo()
        assert len(Results(study, tmp_path, study.grid()).points) == 2

    def test_manifest_says_what_a_repeat_needs(self, fake, tmp_path):
        Study.load(fake).run(tmp_path / "r", quick=True)
        manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
        assert manifest["config"] == {
            "axes": {"optimizer": ["sgd", "adagrad"], "n": [4], "repeat": [0]},
            "unpaired": ["optimizer", "step_size"],
        }
        assert manifest["cells"] == manifest["finished"] == 2 and manifest["state"] == "complete"
        assert manifest["versions"]["numpy"] == np.__version__
        assert {"python", "os", "cpu", "cpu_target", "cores", "git", "start", "stop", "wall_seconds"} <= set(manifest)
        assert len(manifest["digests"]) == 2 and len(set(manifest["digests"].values())) == 2
        assert str(tmp_path) not in json.dumps(manifest)

    def test_environment_names_this_machine(self):
        assert environment()["cpu"]


class TestResults:
    def test_selection(self, tmp_path):
        results = squares().run(tmp_path)
        assert results.array("square").shape == (3, 2)
        assert results.array("square", kind="a").tolist() == [1, 4, 9]
        assert results.array("square", kind="a", n=2) == 4
        assert results.array("vector", n=[3, 1], kind="b").tolist() == [[0, 3, 6], [0, 1, 2]]
        assert results.array("kind", n=1).tolist() == ["a", "b"]
        assert results.one(n=3, kind="a")["square"] == 9
        assert [c.point for c in results.cells(n=3)] == [{"n": 3, "kind": "a"}, {"n": 3, "kind": "b"}]

    def test_a_dropped_point_is_a_hole(self, tmp_path):
        results = squares(include=lambda n, kind: (n, kind) != (2, "b")).run(tmp_path)
        np.testing.assert_array_equal(results.array("square"), [[1, 1], [4, np.nan], [9, 9]])
        assert results.complete

    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda r: r.array("sqare"), "has 'sqare'; found .*did you mean 'square'"),
            (lambda r: r.array("square", m=1), "no axis 'm'"),
            (lambda r: r.array("square", n=7), "axis 'n' has no value 7; it has \\[1, 2, 3\\]"),
            (lambda r: r.one(n=1), "n=1 singles out 2 finished cells; expected one"),
        ],
    )
    def test_wrong_questions(self, tmp_path, ask, message):
        with pytest.raises(StudyError, match=message):
            ask(squares().run(tmp_path))

    def test_ragged_shapes(self, tmp_path):
        results = Study("s", {"n": [1, 2]}, lambda n: {"y": np.zeros(n)}).run(tmp_path)
        with pytest.raises(StudyError, match=r"shapes \[\(1,\), \(2,\)\] in different cells"):
            results.array("y")

    def test_tables_fit_eighty_columns(self, tmp_path, capsys):
        results = squares().run(tmp_path)
        long = "a very long label that would not fit into any column of a terminal"
        void = Verdict("not applicable", "convex_adagrad", "gap", reason="L unknown")
        results.verdicts([(long, verdict()), ("b", void)])
        results.table([{"batch": 4096, "steps to the gap": 12345.678, "who": long, "n": 3}], title="Steps")
        results.say("word " * 40)
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80
        assert "noise" in out and "x1.5" in out and "12,346" in out and "unknown" in out

    @pytest.mark.parametrize("columns", ["60", "80", "200"])
    def test_a_verdict_table_fits_and_breaks_no_word(self, tmp_path, capsys, monkeypatch, columns):
        monkeypatch.setenv("COLUMNS", columns)
        results = squares().run(tmp_path)
        results.verdicts([(f"rounded, M={4**k}", verdict()) for k in range(6)] + [("x", verdict("violated"))])
        table = capsys.readouterr().out.partition('"sees"')[0]
        assert max(map(len, table.splitlines())) <= min(80, int(columns))
        for word in ("rounded,", "M=1024", "contradicted", "violated", "convex_sgd", "slack", "x1.5", "noise"):
            assert word in table

    def test_violations_count_unless_planted(self, tmp_path, capsys):
        results = squares().run(tmp_path)
        results.verdicts([("half", verdict("violated"))], planted=True)
        assert not results.violated
        results.verdicts([("real", verdict("violated"))])
        assert results.violated
        summary = json.loads(results.write_summary().read_text())
        assert [t["planted"] for t in summary["verdicts"]] == [True, False]

    def test_csv(self, tmp_path):
        results = squares().run(tmp_path)
        results.save_csv("x", [{"a": 1, "b": 2.5}, {"a": 3, "c": "t"}])
        assert (tmp_path / "x.csv").read_text() == "a,b,c\n1,2.5,\n3,,t\n"
        lines = (tmp_path / "cells.csv").read_text().splitlines()
        assert lines[0].split(",") == ["n", "kind", "state", "seconds", "square"] and len(lines) == 7

    def test_figure_must_be_one(self, tmp_path):
        with pytest.raises(TypeError, match="save_figure got int; expected a matplotlib Figure or Axes"):
            squares().run(tmp_path).save_figure(3, "x")

    def test_numbers(self):
        assert [number(v) for v in (1.0, 0.5, 999.5, 1e7, -2000.4, np.int64(5), float("inf"))] == [
            "1", "0.5", "999.5", "1e+07", "-2,000", "5", "inf"
        ]  # fmt: skip


def test_a_copied_folder_works(fake, tmp_path):
    study = Study.load(fake)
    study.run(tmp_path / "r", quick=True)
    shutil.copytree(tmp_path / "r", tmp_path / "copy")
    study.run(tmp_path / "copy", quick=True)
    assert len(calls(fake)) == 2
