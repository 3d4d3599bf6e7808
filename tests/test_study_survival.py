"""Kills, signals, crashes and hangs, with real processes: nothing finished is lost, nothing innocent is blamed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from fake_study import calls, stored, wait_for
from kills import FAULTS, is_running, survive

from anisotropic.study import Results, Stopped, Study, StudyError, main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

TWELVE = '''
"""Twelve cells."""
import os, sys, time
AXES = {"n": list(range(12))}
def log(word, n):
    file = os.open(os.environ["FAKE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {n} {os.getpid()}\\n".encode())
    os.close(file)
def cell(n):
    log("start", n)
    time.sleep(0.03)
    BODY
    log("end", n)
    return {"x": float(n)}
def plot(results):
    results.say(f"sum {results.array('x').sum()}")
if __name__ == "__main__":
    import anisotropic as an
    raise SystemExit(an.study.main())
'''


@pytest.fixture
def twelve(fake):
    """A study of twelve cells; the body decides what they do."""

    def write(body: str = "pass") -> Study:
        fake.write_text(TWELVE.replace("BODY", body))
        return Study.load(fake)

    return write


def done(results: Results) -> list[int]:
    return [p["n"] for p in results.points]


def others(*culprits: int) -> list[int]:
    return [n for n in range(12) if n not in culprits]


class TestCells:
    @pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
    def test_a_cell_that_calls_exit_fails_alone(self, twelve, tmp_path, capsys, executor):
        twelve("if n == 5: sys.exit(0)")
        assert main(tmp_path / "fake.py", ["run", "--executor", executor, "--results", "r"]) == 3
        assert "incomplete: 11 of 12 cells (1 failed, 0 not computed)" in capsys.readouterr().err
        assert main(tmp_path / "fake.py", ["errors", "--results", "r"]) == 3
        out = capsys.readouterr().out
        assert out.startswith("n=5\nTraceback") and "the cell called sys.exit, which ends only the cell" in out

    def test_a_cell_that_kills_its_process_is_named(self, twelve, tmp_path, capsys):
        """Innocents run with it at first; they are computed all the same, and a second run blames nobody else."""
        study = twelve("if n == 5: import ctypes; ctypes.string_at(0)")
        for _ in range(2):
            results = study.run(tmp_path / "r", executor="processes", workers=2)
            assert done(results) == others(5) and [c.point["n"] for c in results.failed] == [5]
            assert "WorkerDied: the process that computed it was killed by SIGSEGV" in results.failed[0].traceback
        assert main(study, ["errors", "--results", str(tmp_path / "r"), "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["failed"][0]["point"] == {"n": 5}

    def test_two_cells_that_leave(self, twelve, tmp_path):
        results = twelve("if n in (0, 11): os._exit(7)").run(tmp_path / "r", executor="processes", workers=2)
        assert done(results) == others(0, 11)
        assert all("ended with exit code 7" in c.traceback for c in results.failed)

    def test_a_worker_that_is_killed_once_costs_nothing(self, twelve, tmp_path):
        body = "flag = os.environ['FAKE_LOG'] + '.flag'\n    if n == 5 and not os.path.exists(flag):\n"
        body += "        open(flag, 'w').close(); os.kill(os.getpid(), 9)"
        results = twelve(body).run(tmp_path / "r", executor="processes", workers=2)
        assert results.complete

    def test_a_cell_that_hangs_is_ended(self, twelve, tmp_path):
        study = twelve("if n == 5: time.sleep(1000)")
        results = study.run(tmp_path / "r", executor="processes", workers=2, timeout=1.0)
        assert done(results) == others(5)
        assert "TookTooLong: it took more than 1 s" in results.failed[0].traceback
        with pytest.raises(StudyError, match="--executor processes"):
            study.run(tmp_path / "threads", timeout=1.0)

    def test_a_result_that_cannot_be_stored_fails_alone(self, twelve, tmp_path):
        results = twelve("if n == 5: return {'x': object()}\n    if n == 6: return 3").run(tmp_path / "r")
        assert done(results) == others(5, 6)

    def test_a_pool_of_the_caller_that_breaks(self, twelve, tmp_path):
        study = twelve("if n == 5: os._exit(1)")
        with (
            ProcessPoolExecutor(1, get_context("spawn")) as pool,
            pytest.raises(Stopped, match="the executor that was passed is broken.*finished cells are kept"),
        ):
            study.run(tmp_path / "r", executor=pool)
        assert 0 < stored(tmp_path / "r") < 12

    def test_workers_that_cannot_start(self, twelve, tmp_path):
        leave = "from multiprocessing import parent_process\nif parent_process(): os._exit(3)"
        study = twelve(f"pass\n{leave}\ndef rest(n):")
        with pytest.raises(StudyError, match=r"ended as soon as it started \(the process .* exit code 3\)"):
            study.run(tmp_path / "r", executor="processes", workers=1)


class TestOutput:
    @pytest.mark.parametrize("words", [[], ["run"]])
    def test_a_reader_that_leaves_stops_nothing(self, twelve, script, tmp_path, words):
        """`study 2>&1 | head -1`: all cells are computed, and only then the exit code is 0."""
        twelve()
        process = script(*words, "--results", "r")
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 0
        assert stored(tmp_path / "r") == 12
        assert ("summary.json" in os.listdir(tmp_path / "r")) and len(calls(tmp_path / "fake.py")) == 24

    def test_an_incomplete_study_with_closed_streams_is_three(self, twelve, script, tmp_path):
        twelve("assert n != 5")
        process = script("run", "--results", "r")
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 3


class TestSignals:
    @pytest.mark.parametrize("executor", ["threads", "processes", "serial"])
    def test_ctrl_c_keeps_every_finished_cell(self, twelve, script, tmp_path, executor):
        twelve()
        rng = random.Random(7)
        log = tmp_path / "log.txt"
        for k in range(4):
            process = script("run", "--quiet", "--results", f"r{k}", "--executor", executor, "--workers", "2")
            log.unlink(missing_ok=True)
            wait_for(lambda: log.exists() and "end" in log.read_text())
            time.sleep(0.1 * rng.random())
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            assert process.returncode in (0, 3), err
            ended = sum(line.startswith("end") for line in log.read_text().splitlines())
            assert ended == stored(tmp_path / f"r{k}"), err

    @pytest.mark.parametrize("executor", ["threads", "processes"])
    def test_a_request_to_terminate_keeps_every_finished_cell(self, twelve, script, tmp_path, executor):
        twelve("time.sleep(0.2)")
        process = script("run", "--results", "r", "--executor", executor, "--workers", "1")
        wait_for(lambda: stored(tmp_path / "r") >= 2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 3 and "cells are stored. To go on:" in err
        ended = [line for line in (tmp_path / "log.txt").read_text().splitlines() if line.startswith("end")]
        assert len(ended) == stored(tmp_path / "r") < 12
        assert json.loads((tmp_path / "r" / "manifest.json").read_text())["state"] == "interrupted"

    @pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
    def test_no_worker_outlives_its_driver(self, twelve, script, tmp_path, signals):
        twelve("time.sleep(1000 if n else 0)")
        process = script("run", "--results", "r", "--executor", "processes", "--workers", "2")
        log = tmp_path / "log.txt"
        wait_for(lambda: log.exists() and log.read_text().count("start") >= 3 and stored(tmp_path / "r"))
        workers = {int(line.split()[2]) for line in log.read_text().splitlines()}
        for number in signals:
            process.send_signal(number)
            time.sleep(0.5)
        process.wait(15)
        wait_for(lambda: not any(is_running(pid) for pid in workers), 5.0)
        assert stored(tmp_path / "r") == 1

    def test_fifty_kills_at_random_moments(self, tmp_path):
        """Nothing stored is lost or computed twice, no worker stays, and the end is as undisturbed."""
        for tally in survive(tmp_path, 50, seed=3):
            assert tally.kills >= 15
            assert {name: getattr(tally, name) for name in FAULTS} == dict.fromkeys(FAULTS, 0), tally


class TestDask:
    def test_a_scheduler_that_dies_is_a_sentence(self, twelve, tmp_path, monkeypatch):
        distributed = pytest.importorskip("distributed")
        from anisotropic.study import executors

        monkeypatch.setattr(executors, "PULSE", 0.5)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        study = twelve("time.sleep(0.3)")
        env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        word = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        cluster = [subprocess.Popen([*word, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], env=env)]
        word = [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--no-dashboard"]
        cluster.append(subprocess.Popen([*word, "--no-nanny", "--nthreads", "1"], env=env))
        try:
            with distributed.Client(f"127.0.0.1:{port}", timeout=20) as client, client.get_executor() as pool:
                client.wait_for_workers(1, timeout=30)
                client._timeout = 2  # how long it tries to connect again
                kill_when(lambda: calls(tmp_path / "fake.py"), cluster[0])
                with pytest.raises(Stopped, match="the Dask scheduler .* does not answer any more; finished cells"):
                    study.run(tmp_path / "r", executor=pool)
        finally:
            for process in cluster:
                process.kill()
                process.wait()
        assert stored(tmp_path / "r") < 12

    def test_no_scheduler_at_all(self, twelve, tmp_path):
        pytest.importorskip("distributed")
        with pytest.raises(StudyError, match="no Dask scheduler answers at 'garbage'"):
            twelve().run(tmp_path / "r", executor="dask:garbage")

    def test_a_cluster_on_this_machine_is_closed_to_strangers(self, twelve, tmp_path):
        distributed = pytest.importorskip("dask.distributed")
        pytest.importorskip("cryptography")
        seen: list[str] = []

        class Spy(distributed.Client):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                seen.append(self.scheduler.address)

        monkey = pytest.MonkeyPatch()
        monkey.setattr(distributed, "Client", Spy)
        try:
            assert twelve().run(tmp_path / "r", executor="dask", workers=1).complete
        finally:
            monkey.undo()
        assert seen[0].startswith("tls://")

    def test_without_encryption_there_is_no_cluster(self, twelve, tmp_path, monkeypatch, capsys):
        pytest.importorskip("distributed")
        monkeypatch.setitem(sys.modules, "cryptography", None)
        study = twelve()
        assert main(study, ["run", "--executor", "dask", "--results", "r"]) == 5
        assert "cryptography, which is not installed; it comes with the extra 'distributed'" in capsys.readouterr().err


def kill_when(condition, process: subprocess.Popen) -> None:
    import threading

    def watch():
        wait_for(condition, 60.0)
        time.sleep(1.0)
        process.kill()

    threading.Thread(target=watch, daemon=True).start()
