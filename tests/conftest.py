"""A study that counts its calls, in a folder of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_study import FAKE

# A shell ignores interrupts in what it starts in the background, and children inherit that: tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The path of a study file; `calls()` of it lists the cells computed so far."""
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    log = tmp_path / "log.txt"
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def script(fake):
    """Start the study as a process: ``script("run", FAKE_WAIT="1")``; whatever is left of it ends with the test."""
    started = []

    def start(*words: str, **environment: str) -> subprocess.Popen:
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        env = os.environ | {"PYTHONPATH": path, "COLUMNS": "80"} | environment
        call, pipe = [sys.executable, fake.name, *words], subprocess.PIPE
        started.append(subprocess.Popen(call, cwd=fake.parent, env=env, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
