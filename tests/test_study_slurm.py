"""Do job arrays on a real SLURM give the numbers of one thread, and is a task that dies only computed again?

Needs a SLURM whose controller answers, or root with Debian's slurm-wlm and munge, to start one of one node.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from anisotropic.study import Study, StudyError
from anisotropic.study.results import Results

pytest.importorskip("submitit")
HERE = Path(__file__).parent
PROGRAMS = ("sbatch", "squeue", "slurmctld", "slurmd", "munged")

SQUARES = '''"""Is a square a square?"""
import time
import numpy as np

AXES = {"n": list(range(24)), "kind": ["a", "b"]}


def cell(n, kind, seed):
    time.sleep(PAUSE)
    return {"square": np.array([float(n * n)]), "draw": np.random.default_rng(seed).normal(size=3)}


if __name__ == "__main__":
    import sys

    from anisotropic.study import main

    sys.exit(main(__file__))
'''


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def answers():
    done = subprocess.run(["sinfo", "--noheader", "--format", "%T"], capture_output=True, text=True)
    return done.returncode == 0 and ("idle" in done.stdout or "mix" in done.stdout)


@pytest.fixture(scope="module")
def slurm():
    """A SLURM to submit to."""
    if shutil.which("sinfo") and answers():
        yield
        return
    os.environ["PATH"] += ":/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing or os.getuid():
        pytest.skip(f"no SLURM: {', '.join(missing) + ' not installed' if missing else 'starting one needs root'}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # not a folder of pytest's: munge's daemon must reach its key
    word = ["sh", HERE / "slurm.sh", folder, *map(str, free_ports(2))]
    started = subprocess.run(word, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    os.environ["SLURM_CONF"] = started.stdout.split()[-1]
    yield
    subprocess.run(["sh", HERE / "slurm.sh", "stop", folder], check=True)
    del os.environ["SLURM_CONF"]
    shutil.rmtree(folder, ignore_errors=True)  # the daemons are still clearing away their own files


def squares(folder, pause):
    (folder / "squares.py").write_text(SQUARES.replace("PAUSE", str(pause)))
    return Study.load(folder / "squares.py")


def results(folder):
    study = Study.load(folder / "squares.py")
    return Results(study, folder / "r", study.grid(False))


def running():
    done = subprocess.run(["squeue", "--noheader", "--array", "--format", "%i %T"], capture_output=True, text=True)
    return [line.split()[0] for line in done.stdout.splitlines() if line.endswith("RUNNING")]


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_the_numbers_are_those_of_one_thread(slurm, tmp_path):
    study = squares(tmp_path, 0.0)
    one = study.run(tmp_path / "one", executor="serial")
    many = study.run(tmp_path / "many", executor="slurm:time=5", workers=2)
    assert many.complete
    for name in ("square", "draw"):
        assert np.array_equal(one.array(name), many.array(name))
    assert not (tmp_path / "many" / "slurm").exists(), "calls and answers are cleared away"


def test_a_task_that_is_killed_is_computed_again(slurm, tmp_path):
    squares(tmp_path, 0.2)
    word = [sys.executable, "squares.py", "--executor", "slurm:time=5", "--workers", "2", "--results", "r"]
    driver = subprocess.Popen(word, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    subprocess.run(["scancel", wait_for(running)[0]], check=True)
    _, said = driver.communicate(timeout=240)
    assert driver.returncode == 0, said
    assert results(tmp_path).complete


def test_ctrl_c_keeps_what_runs_and_leaves_no_task_behind(slurm, tmp_path):
    squares(tmp_path, 0.2)
    word = [sys.executable, "squares.py", "--executor", "slurm:time=5", "--workers", "1", "--results", "r"]
    driver = subprocess.Popen(word, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(running)
    time.sleep(6.0)  # until the driver has asked for states
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 3 and "To go on:" in said, said
    assert 0 < len(results(tmp_path).points) < 48
    wait_for(lambda: not running())
    assert subprocess.run(word, cwd=tmp_path).returncode == 0


def test_what_slurm_refuses_is_a_sentence(slurm, tmp_path):
    study = squares(tmp_path, 0.0)
    with pytest.raises(StudyError, match="got 'fast'; expected NAME=VALUE"):
        study.run(tmp_path / "r", executor="slurm:fast")
    with pytest.raises(StudyError, match="speed"):
        study.run(tmp_path / "r", executor="slurm:speed=9")
    with pytest.raises(StudyError, match="SLURM refused a job array .*artition.*; finished cells are kept"):
        study.run(tmp_path / "r", executor="slurm:partition=nowhere")


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="no SLURM here"):
        squares(tmp_path, 0.0).run(tmp_path / "r", executor="slurm")
