"""A stored number belongs to the code, the point and the run that it says, or it is not handed out."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_study import FAKE, calls, squares

from anisotropic.study import Results, Stopped, Study, StudyError, blobs, main
from anisotropic.study.compute import Task, compute
from anisotropic.study.store import Store

FACTOR = '''
"""Is the factor one?"""
import os, time
AXES = {"n": list(range(24))}
FACTOR = 1
def cell(n):
    open(os.environ["FAKE_LOG"], "a").write(f"{n}\\n")
    time.sleep(0.05)
    return {"y": n * FACTOR}
def plot(results):
    results.say(f"sum {results.array('y').sum()}")
'''


class TestCodeThatChanges:
    def test_workers_compute_what_the_driver_loaded(self, fake, tmp_path):
        """The file is edited while processes compute: no number of the new text under the old key."""
        fake.write_text(FACTOR)
        study = Study.load(fake)

        def edit():
            while not calls(fake):
                time.sleep(0.01)
            fake.write_text(FACTOR.replace("FACTOR = 1\n", "FACTOR = 1000\n"))

        editor = threading.Thread(target=edit)
        editor.start()
        results = study.run(tmp_path / "r", executor="processes", workers=2)
        editor.join()
        assert results.array("y").tolist() == list(range(24))
        edited = Study.load(fake)
        assert set(edited.keys(edited.grid())).isdisjoint(study.keys(study.grid()))

    def test_a_worker_with_another_neighbour_refuses(self, fake, tmp_path):
        (tmp_path / "near_a.py").write_text("K = 1\n")
        fake.write_text("import near_a\nAXES = {'n': [1, 2]}\ndef cell(n): return {'y': n * near_a.K}\n")
        study = Study.load(fake)
        (tmp_path / "near_a.py").write_text("K = 2\n")
        with pytest.raises(Stopped, match=r"is not what it was when the study began.*edited meanwhile"):
            study.run(tmp_path / "r", executor="processes", workers=1)
        assert Store(tmp_path / "r").states() == {}

    def test_a_worker_of_another_version_names_both(self, fake):
        study = Study.load(fake)
        task = Task(None, str(fake), study.text, "0" * 64, "9.9.9", False, os.getpid())
        with pytest.raises(Stopped, match=r"the driver has anisotropic 9.9.9, the worker 0\."):
            compute(task, [{"n": 1}], [0])

    def test_a_worker_on_another_machine_needs_no_file(self, fake, tmp_path):
        """The text travels with the task; a study with neighbours is refused where they are not."""
        (tmp_path / "near_f.py").write_text("K = 1\n")
        texts = ["AXES = {'n': [1]}\ndef cell(n): return {'y': -n}\n"]
        texts.append("import near_f\nAXES = {'n': [1]}\ndef cell(n): return {'y': n * near_f.K}\n")
        for text, refused in zip(texts, (False, True), strict=True):
            fake.write_text(text)
            study = Study.load(fake)
            task = Task(None, "/nowhere/fake.py", study.text, study.fingerprint(), "", False, 0)
            sys.modules.pop("near_f", None)  # as in another process
            if refused:
                with pytest.raises(Stopped, match="is not what it was"):
                    compute(task, [{"n": 3}], [0])
            else:
                assert compute(task, [{"n": 3}], [0]).outcomes[0]["scalars"] == '{"y":-3}'

    def test_a_neighbour_that_is_imported_late_is_checked_too(self, fake, tmp_path):
        (tmp_path / "near_b.py").write_text("K = 1\n")
        text = "AXES = {'n': [1, 2]}\ndef cell(n):\n    import near_b\n    return {'y': n * near_b.K}\n"
        fake.write_text(text)
        study = Study.load(fake)
        (tmp_path / "near_b.py").write_text("K = 2\n")
        with pytest.raises(Stopped, match="is not what it was"):
            study.run(tmp_path / "r")
        assert Study.load(fake).run(tmp_path / "r").array("y").tolist() == [2, 4]

    def test_modules_behind_neighbours_and_packages_count(self, fake, tmp_path):
        """Also in one process, as in a notebook, where the old modules are loaded already."""
        (tmp_path / "near_c.py").write_text("import deep_c\ndef f(n): return deep_c.K * n\n")
        (tmp_path / "pack_c").mkdir()
        fake.write_text(
            "import near_c, pack_c\nAXES = {'n': [1, 2]}\ndef cell(n): return {'y': near_c.f(n), 'z': pack_c.K * n}\n"
        )
        for k in (1, 100):
            (tmp_path / "deep_c.py").write_text(f"K = {k}\n")
            (tmp_path / "pack_c" / "__init__.py").write_text(f"K = {-k}\n")
            results = Study.load(fake).run(tmp_path / "r")
            assert results.array("y").tolist() == [k, 2 * k] and results.array("z").tolist() == [-k, -2 * k]

    def test_edits_of_the_package_count_and_are_said(self, fake, tmp_path, monkeypatch, capsys):
        Study.load(fake).run(tmp_path / "r", quick=True)
        monkeypatch.setattr("anisotropic._support.fingerprint.package_digest", lambda: "another")
        Study.load(fake).run(tmp_path / "r", quick=True, quiet=False)
        assert len(calls(fake)) == 4
        told = "fake: 2 stored cells come from an older version of this study or package; recomputing them"
        assert told in capsys.readouterr().err

    def test_a_notebook_sees_its_helpers_constants_and_closures(self, tmp_path):
        scope: dict = {}
        exec("SIZE = 3\ndef helper(n): return n * SIZE\ndef cell(n): return {'y': helper(n)}", scope)

        def numbers():
            return Study("s", {"n": [1, 2]}, scope["cell"]).run(tmp_path / "a").array("y").tolist()

        assert numbers() == [3, 6]
        scope["SIZE"] = 4
        assert numbers() == [4, 8]
        exec("def helper(n): return -n", scope)
        assert numbers() == [-1, -2]

        def make(k):
            return lambda n: {"y": n * k}

        runs = [Study("s", {"n": [1, 2]}, make(k)).run(tmp_path / "b").array("y").tolist() for k in (1, 100)]
        assert runs == [[1, 2], [100, 200]]

    def test_the_same_study_object_sees_them_too(self, tmp_path):
        scale = {"k": 1}
        study = Study("s", {"n": [1, 2]}, lambda n: {"y": n * scale["k"]})
        assert study.run(tmp_path).array("y").tolist() == [1, 2]
        scale["k"] = 5
        assert study.run(tmp_path).array("y").tolist() == [5, 10]

    def test_a_cell_that_counts_its_calls_is_not_other_code(self, tmp_path):
        seen: list[int] = []

        def cell(n):
            seen.append(n)
            return {"y": n}

        for _ in range(3):
            Study("s", {"n": [1, 2]}, cell).run(tmp_path, executor="serial")
        assert seen == [1, 2]

    def test_functions_of_a_script_travel_to_processes(self, tmp_path):
        """The worker knows them under another name of the main module, and by the same fingerprint."""
        (tmp_path / "script.py").write_text(
            "import anisotropic as an\nSIZE = 3\ndef helper(n): return n * SIZE\ndef cell(n): return {'y': helper(n)}\n"
            "if __name__ == '__main__':\n    study = an.Study('s', {'n': [1, 2]}, cell)\n"
            "    print(study.run('r', executor='processes', workers=1).array('y').tolist())\n"
        )
        env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        call = [sys.executable, "script.py"]
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout == "[3, 6]\n", done.stderr

    def test_a_cell_without_fingerprint_is_refused(self, tmp_path):
        lock = threading.Lock()
        study = Study("s", {"n": [1]}, lambda n: {"y": n, "locked": lock.locked()})
        with pytest.raises(StudyError, match="lock has no fingerprint"):
            study.run(tmp_path)


class TestRepeats:
    def test_every_repeat_computes_anew(self, fake, capsys):
        assert main(fake, ["--quick", "--results", "first"]) == 0
        for times in (2, 3):
            assert main(fake, ["--from-manifest", "first/manifest.json"]) == 0
            assert len(calls(fake)) == 2 * times
            assert json.loads((fake.parent / "results/fake-repeat/manifest.json").read_text())["computed_now"] == 2
        assert "Repeated: 2 of 2 recorded cells, all identical bit for bit." in capsys.readouterr().out

    def test_a_repeat_never_replaces_results(self, fake, capsys):
        for folder in ("first", "second"):
            assert main(fake, ["--quick", "--results", folder]) == 0
        assert main(fake, ["--from-manifest", "first/manifest.json", "--results", "first"]) == 2
        assert "would replace what it is compared with" in capsys.readouterr().err
        assert main(fake, ["--from-manifest", "first/manifest.json", "--results", "second"]) == 2
        assert "second holds results that are not a repeat" in capsys.readouterr().err
        assert len(calls(fake)) == 4

    def test_a_repeat_with_failed_cells_goes_on(self, fake):
        assert main(fake, ["--quick", "--results", "first"]) == 0
        (fake.parent / "fail").touch()
        broken = FAKE.replace("    time.sleep(WAIT)", "    assert optimizer == 'sgd' or not os.path.exists('fail')")
        fake.write_text(broken)
        assert main(fake, ["--from-manifest", "first/manifest.json"]) == 3
        (fake.parent / "fail").unlink()
        assert main(fake, ["--from-manifest", "first/manifest.json"]) == 0
        assert sorted(calls(fake)[2:4]) == ["adagrad 4 0", "sgd 4 0"] and calls(fake)[4:] == ["adagrad 4 0"]

    def test_a_run_with_nothing_to_do_leaves_the_manifest(self, fake, monkeypatch):
        assert main(fake, ["--quick", "--results", "r"]) == 0
        path = fake.parent / "r" / "manifest.json"
        before = path.read_text(), path.stat().st_mtime_ns
        monkeypatch.setenv("NUMBA_CPU_NAME", "nocona")
        assert main(fake, ["--quick", "--results", "r"]) == 0
        assert (path.read_text(), path.stat().st_mtime_ns) == before

    def test_a_part_of_the_grid_keeps_times_and_machine(self, fake, monkeypatch):
        assert main(fake, ["--quick", "--results", "r"]) == 0
        before = json.loads((fake.parent / "r/manifest.json").read_text())
        monkeypatch.setenv("NUMBA_CPU_NAME", "nocona")
        assert main(fake, ["--quick", "--results", "r", "--optimizer", "sgd"]) == 0
        after = json.loads((fake.parent / "r/manifest.json").read_text())
        same = ("start", "stop", "wall_seconds", "cpu_target", "command", "computed_now")
        assert {k: before[k] for k in same} == {k: after[k] for k in same}
        assert after["config"]["axes"]["optimizer"] == ["sgd"] and after["cells"] == 1 and len(after["digests"]) == 1

    def test_conditions_are_kept_per_cell(self, fake, monkeypatch, capsys):
        from anisotropic.study import compute

        assert main(fake, ["run", "--n", "4", "--results", "r"]) == 0
        monkeypatch.setenv("NUMBA_CPU_NAME", "nocona")
        monkeypatch.setattr(compute, "_conditions", {})
        assert main(fake, ["run", "--n", "4,16", "--results", "r"]) == 3
        assert "cells came from the processor nocona" in (told := capsys.readouterr().err) and "To go on:" in told
        assert len(json.loads((fake.parent / "r/manifest.json").read_text())["digests"]) == 4
        assert main(fake, ["run", "--n", "4,16", "--results", "r", "--mix-processors"]) == 0
        groups = json.loads((fake.parent / "r/manifest.json").read_text())["conditions"]
        assert [g["cells"] for g in groups] == [4, 4]
        assert groups[1]["cpu_target"] == "nocona" != groups[0]["cpu_target"]
        assert all(g["first"] <= g["last"] and g["versions"]["numpy"] == np.__version__ for g in groups)

    def test_a_lost_manifest_is_written_from_the_cells(self, fake):
        assert main(fake, ["run", "--quick", "--results", "r"]) == 0
        path = fake.parent / "r" / "manifest.json"
        before = json.loads(path.read_text())
        path.unlink()
        assert main(fake, ["run", "--quick", "--results", "r"]) == 0
        after = json.loads(path.read_text())
        assert after["digests"] == before["digests"] and after["state"] == "complete" and after["computed_now"] == 0


class TestPairing:
    def test_a_text_is_not_a_tuple(self, fake):
        fake.write_text(FAKE.replace("QUICK", 'UNPAIRED = ("optimizer")\nQUICK'))
        with pytest.raises(StudyError, match=r"'optimizer'; expected a tuple .* UNPAIRED = \('optimizer',\)"):
            Study.load(fake)

    def test_a_slip_in_a_name_is_seen(self):
        with pytest.raises(StudyError, match="names 'kinds', which is not an axis; did you mean 'kind'"):
            squares(unpaired=("kinds",))
        with pytest.raises(StudyError, match="expected names of axes"):
            squares(unpaired=(3,))


@pytest.fixture
def stored(fake, tmp_path):
    """A finished study in r: its path, and a function that changes its database."""
    assert main(fake, ["run", "--results", "r", "--quiet"]) == 0

    def change(sql: str, *values) -> None:
        db = sqlite3.connect(tmp_path / "r" / "results.sqlite")
        with db:
            db.execute(sql, values)
        db.close()

    return fake, change


class TestDamage:
    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE cells SET arrays = x'504b0304' || 'broken' WHERE rowid = 1",
            "UPDATE cells SET arrays = (SELECT arrays FROM cells WHERE rowid = 2) WHERE rowid = 1",
            "UPDATE cells SET scalars = (SELECT scalars FROM cells WHERE rowid = 2) WHERE rowid = 1",
            "UPDATE cells SET arrays = NULL WHERE rowid = 1",
            "UPDATE cells SET scalars = CAST(x'7bff7d' AS TEXT) WHERE rowid = 1",
            "UPDATE cells SET point = (SELECT point FROM cells WHERE rowid = 2) WHERE rowid = 1",
        ],
    )
    def test_a_damaged_cell_is_missing_and_computed_again(self, stored, capsys, sql):
        fake, change = stored
        whole = json.loads((fake.parent / "r/manifest.json").read_text())["digests"]
        change(sql)
        assert main(fake, ["status", "--results", "r"]) == 3
        out = capsys.readouterr().out
        assert "11 done, 1 missing" in out and "1 missing cells are stored but damaged" in out
        assert main(fake, ["plot", "--results", "r"]) == 3
        assert "incomplete: 11 of 12 cells (0 failed, 1 not computed, 1 of them damaged" in capsys.readouterr().err
        assert main(fake, ["run", "--results", "r"]) == 0
        assert "1 stored cells are damaged (their checksums are wrong); recomputing" in capsys.readouterr().err
        assert len(calls(fake)) == 13
        assert json.loads((fake.parent / "r/manifest.json").read_text())["digests"] == whole

    def test_two_cells_that_changed_places(self, stored, capsys):
        fake, change = stored
        change("UPDATE cells SET key = 'x' WHERE rowid = 1")
        change("UPDATE cells SET key = (SELECT key FROM cells WHERE rowid = 3) || '' WHERE key = 'x' AND 0")
        assert main(fake, ["status", "--results", "r"]) == 3
        assert "11 done, 1 missing" in capsys.readouterr().out

    def test_a_damaged_file_is_a_sentence(self, stored, capsys):
        fake, _ = stored
        path = fake.parent / "r" / "results.sqlite"
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
        for word in ("status", "plot", "run"):
            assert main(fake, [word, "--results", "r"]) == 2
            assert "results.sqlite is damaged (database disk image is malformed)" in capsys.readouterr().err

    def test_a_file_of_another_layout(self, fake, tmp_path, capsys):
        (tmp_path / "r").mkdir()
        db = sqlite3.connect(tmp_path / "r" / "results.sqlite")
        db.execute("CREATE TABLE cells (key TEXT PRIMARY KEY, arrays BLOB)")
        db.close()
        for word in ("status", "run"):
            assert main(fake, [word, "--results", "r"]) == 2
            assert "was written by another version of anisotropic" in capsys.readouterr().err

    def test_a_kill_while_the_file_is_laid_out(self, fake, tmp_path, monkeypatch):
        """After each statement that lays out the store: it is laid out whole, or the next run begins anew."""
        from anisotropic.study import store

        connect, allowed = sqlite3.connect, [0]

        class Killed(BaseException):
            pass

        class Dying(sqlite3.Connection):
            def execute(self, sql, *rest):
                if sql in ("BEGIN IMMEDIATE", *store.SCHEMA):
                    if not allowed[0]:
                        shutil.copytree(tmp_path / "r", tmp_path / "as killed")
                        raise Killed
                    allowed[0] -= 1
                return super().execute(sql, *rest)

        for statements in range(2, 3 + len(store.SCHEMA)):  # those before are of the lock
            allowed[0] = statements
            monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **({"factory": Dying} | k)))
            with pytest.raises(Killed), Store(tmp_path / "r"):
                pass
            monkeypatch.undo()
            with Store(tmp_path / "as killed"):
                pass
            shutil.rmtree(tmp_path / "as killed")
            shutil.rmtree(tmp_path / "r")

    def test_a_damaged_lock_names_the_lock(self, stored, capsys):
        fake, _ = stored
        (fake.parent / "r" / "results.lock").write_bytes(os.urandom(3000))
        assert main(fake, ["run", "--results", "r"]) == 2
        assert "results.lock is damaged; it holds no results: delete it" in capsys.readouterr().err

    @pytest.mark.parametrize("writable", [True, False])
    def test_a_journal_left_by_a_kill(self, stored, capsys, monkeypatch, writable):
        """The state after kill -9 in the middle of a transaction: `status` and `plot` see what was committed."""
        fake, _ = stored
        db = sqlite3.connect(fake.parent / "r" / "results.sqlite", isolation_level=None)
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.execute("UPDATE cells SET state = 'failed', traceback = hex(zeroblob(20000))")
        shutil.copytree(fake.parent / "r", fake.parent / "cut")
        db.close()
        assert (fake.parent / "cut" / "results.sqlite-journal").stat().st_size > 0
        if not writable:
            connect = sqlite3.connect

            def refuse(address, *args, **options):
                if "cut" in str(address) and "mode=rw" in str(address):
                    raise sqlite3.OperationalError("unable to open database file")
                return connect(address, *args, **options)

            monkeypatch.setattr(sqlite3, "connect", refuse)
        assert main(fake, ["status", "--results", "cut"]) == 0
        assert main(fake, ["plot", "--results", "cut"]) == 0
        assert "12 done" in capsys.readouterr().out


class TestContents:
    def test_odd_texts_lose_nothing(self, tmp_path):
        def cell(n):
            if n == 1:
                raise ValueError("\ud800 bad \x00")
            return {"text": "\udcff", "array": np.array(["\ud800", "b"]), "y": n}

        results = Study("s", {"n": [0, 1, 2]}, cell).run(tmp_path, executor="serial")
        assert results.array("text", n=0) == "\udcff" and results.one(n=2)["array"].tolist() == ["\ud800", "b"]
        assert "\\ud800 bad" in results.failed[0].traceback

    def test_exact_round_trip(self):
        values = {
            "file": np.arange(3), "nan": float("nan"), "inf": -np.inf, "negative zero": -0.0, "tiny": 5e-324,
            "big": 2**63, "bool": np.True_, "complex": np.array(1 + 2j), "none": np.zeros((0, 3)),
            "half": np.float16(0.1),
            "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "bytes": np.array([b"a", b"bc"]),
        }  # fmt: skip
        back = blobs.decode(*blobs.encode(values)[:2])
        assert set(back) == set(values)
        for name, value in values.items():
            np.testing.assert_array_equal(back[name], value, strict=isinstance(value, np.ndarray) and value.ndim > 0)
        assert np.signbit(back["negative zero"]) and isinstance(back["bool"], bool) and isinstance(back["big"], int)

    def test_one_cell_that_is_too_large_fails_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(blobs, "LARGEST", 10_000)
        study = Study("s", {"n": [10, 100, 10_000]}, lambda n: {"w": np.zeros(n)})
        results = study.run(tmp_path, executor="serial")
        assert [p["n"] for p in results.points] == [10, 100]
        assert "cell returned 0.0 GB, 0.0 of them in 'w'; a cell holds at most" in results.failed[0].traceback

    def test_an_archive_that_unpacks_to_too_much(self, monkeypatch):
        monkeypatch.setattr(blobs, "LARGEST", 1_000_000)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("w.npy", bytes(10_000_000))
        assert len(packed.getvalue()) < 20_000
        with pytest.raises(blobs.Damaged, match="unpacks to more than"):
            blobs.decode("{}", packed.getvalue())

    def test_an_array_whose_header_promises_too_much(self):
        member = io.BytesIO()
        np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("w.npy", member.getvalue() + bytes(80))
        with pytest.raises(blobs.Damaged, match="reshape"):
            blobs.decode("{}", packed.getvalue())

    @pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_any_bytes_are_an_answer_or_damaged(self, method):
        """Bytes of a valid archive changed at random, and JSON that is too deep: never another exception."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as file:
            member = io.BytesIO()
            np.lib.format.write_array(member, np.arange(50.0))
            file.writestr("w.npy", member.getvalue())
        rng, refused = np.random.default_rng(5), 0
        for _ in range(400):
            data = bytearray(packed.getvalue())
            for place in rng.integers(len(data), size=rng.integers(1, 4)):
                data[place] = rng.integers(256)
            try:
                blobs.decode("{}", bytes(data))
            except blobs.Damaged as error:
                refused += bool(str(error))
        assert refused > 200
        with pytest.raises(blobs.Damaged):
            blobs.decode("[" * 100_000, b"")

    def test_large_results_do_not_pile_up(self, fake, monkeypatch):
        monkeypatch.setattr("anisotropic.study.compute.CHUNK_BYTES", 1500)
        study = Study("s", {"n": list(range(5))}, lambda n: {"w": np.random.default_rng(n).normal(size=100)})
        task = Task(study.cell, "", "", study.current(), "", False, os.getpid())
        assert len(compute(task, study.points(study.grid()), [0] * 5).outcomes) == 2

    def test_pickles_are_not_opened(self):
        member = io.BytesIO()
        np.lib.format.write_array(member, np.array([{}], dtype=object), allow_pickle=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("w.npy", member.getvalue())
        with pytest.raises(blobs.Damaged, match="Python objects"):
            blobs.decode("{}", packed.getvalue())

    def test_a_grid_that_is_too_large_is_a_slip(self):
        study = Study("s", {f"a{k}": list(range(100)) for k in range(5)}, dict)
        with pytest.raises(StudyError, match=r"10,000,000,000 points .*expected at most 10,000,000"):
            study.points(study.grid())

    def test_results_called_like_axes_get_columns_of_their_own(self, tmp_path):
        study = Study("s", {"n": [1, 2]}, lambda n: {"n": 99.0, "state": "mine", "seconds": 7, "y": n})
        study.run(tmp_path)
        lines = (tmp_path / "cells.csv").read_text().splitlines()
        assert lines[0] == "n,state,seconds,n (result),seconds (result),state (result),y"
        first = lines[1].split(",")
        assert first[:2] == ["1", "done"] and first[3:] == ["99.0", "7", "mine", "1"]

    def test_what_was_stored_is_read_by_another_object(self, tmp_path):
        squares().run(tmp_path)
        again = Results(squares(), tmp_path, squares().grid())
        assert again.complete and again.array("square", kind="a").tolist() == [1, 4, 9]
