"""When does a run show how far it is? On a terminal, if it takes long, in one line that is gone at its end."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import anisotropic as an
from anisotropic._support import progress

SETTING = """
import anisotropic as an
from anisotropic._support import progress
f, sgd = an.problems.quadratic([1.0, 0.5]), an.optimizers.sgd
common = dict(noise=an.noises.gaussian(1.0), start=0.5, replicas=64, seed=3)
"""
AT_ONCE = "progress.SHORT = progress.FIRST = progress.BETWEEN = 0.0\n"
ONE = SETTING + AT_ONCE + "print(an.simulate(f, sgd(0.1), steps=3000, **common).gap.tobytes().hex())"


def screen(text):
    """The lines that a terminal shows after `text`: a carriage return goes back to write over what is there."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return [line for line in lines if line]


class OnTerminal:
    """A script whose stderr is a terminal; `text` is what it has written there so far."""

    def __init__(self, code):
        ours, theirs = pty.openpty()
        env = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
        self.process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        self.text, self._seen = "", threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, ours):
        while True:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # how Linux says that the other end is closed
                data = b""
            if not data:
                return os.close(ours)
            with self._seen:
                self.text += data.decode(errors="replace")
                self._seen.notify_all()

    def wait_for(self, words):
        with self._seen:
            assert self._seen.wait_for(lambda: words in self.text, 120), self.text

    def end(self):
        """The exit code and what was printed on stdout."""
        out = self.process.communicate(timeout=120)[0].decode()
        self._reader.join(120)
        return self.process.returncode, out


def test_a_terminal_shows_one_line_that_is_erased_and_the_numbers_are_those_of_a_pipe():
    shown = OnTerminal(ONE)
    code, out = shown.end()
    assert code == 0 and "sgd on quadratic" in shown.text and "100%" in shown.text and screen(shown.text) == []
    piped = subprocess.run([sys.executable, "-c", ONE], capture_output=True, text=True, timeout=120, check=True)
    assert piped.stderr == "" and piped.stdout == out and len(out) > 1000


def test_a_long_run_shows_its_line_and_ctrl_c_erases_it():
    shown = OnTerminal(SETTING + "an.simulate(f, sgd(0.1), steps=10**12, **common)")
    shown.wait_for("sgd on quadratic")
    shown.process.send_signal(signal.SIGINT)
    code, _ = shown.end()
    lines = screen(shown.text)
    assert code == -signal.SIGINT and lines[0].startswith("Traceback") and lines[-1] == "KeyboardInterrupt"
    assert not any("sgd on quadratic" in line for line in lines)


@pytest.mark.parametrize(
    ("call", "name", "end"),
    [
        ("an.tune(f, sgd, [0.1, 0.2, 0.4], steps=3000, **common)", "3 step sizes", "100%"),
        ("an.race(f, {'sgd': an.Method(sgd, [0.1, 0.2], an.bounds.convex_sgd)}, steps=2000, batch_size=1, **common)",
         "race of 1 methods", "100%"),
        ("an.steps_to_target(f, sgd(0.1), target=1e-9, max_steps=3000, **common)", "iterations to a target", " s"),
    ],
    ids=["tune", "race", "steps_to_target"],
)  # fmt: skip
def test_work_of_many_runs_has_one_line(call, name, end):
    shown = OnTerminal(SETTING + AT_ONCE + call)
    code, _ = shown.end()
    assert code == 0, shown.text
    shares = [int(n) for n in re.findall(r"(\d+)%", shown.text)]
    assert name in shown.text and end in shown.text and shares == sorted(shares)
    assert "on quadratic" not in shown.text and "\n" not in shown.text and screen(shown.text) == []


@pytest.mark.parametrize(
    "command", [["verify", "convex_sgd", "--quiet"], ["study", "run", "s.py", "--quiet", "--executor", "serial"]]
)
def test_quiet_commands_show_nothing(command, tmp_path):
    (tmp_path / "s.py").write_text(
        f'"""A study."""\n{SETTING}\nAXES = {{"steps": [3000]}}\n'
        "def cell(steps):\n    return {'gap': an.simulate(f, sgd(0.1), steps=steps, **common).gap[:, -1]}\n"
        "def plot(results):\n    an.simulate(f, sgd(0.1), steps=3000, **common)\n"
    )
    shown = OnTerminal(f"import os; os.chdir({str(tmp_path)!r}){SETTING}{AT_ONCE}"
                       f"from anisotropic.cli import main\nraise SystemExit(main({command!r}))")  # fmt: skip
    code, _ = shown.end()
    assert code == 0 and shown.text == ""


class Terminal:
    """A stderr that is a terminal; a lost one raises. `names` are the works whose lines it showed."""

    def __init__(self):
        self.text, self.lost = "", False

    def isatty(self):
        return True

    def write(self, text):
        self.text += text
        if self.lost:
            raise OSError(5, "Input/output error")

    def flush(self):
        pass

    @property
    def names(self):
        shown = [part.partition(":")[0] for part in self.text.split("\r") if part.strip()]
        return list(dict.fromkeys(shown))


@pytest.fixture
def terminal(monkeypatch):
    ours, theirs = pty.openpty()
    screen = Terminal()
    screen.fileno = lambda: theirs
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=screen))
    monkeypatch.setenv("TERM", "xterm")
    for name in ("SHORT", "FIRST", "BETWEEN"):
        monkeypatch.setattr(progress, name, 0.0)
    yield screen
    os.close(ours)
    os.close(theirs)


def simulate(**options):
    f, noise = an.problems.quadratic([1.0, 0.5]), an.noises.gaussian(1.0)
    return an.simulate(f, an.optimizers.sgd(0.1), noise=noise, start=0.5, replicas=64, steps=20, seed=3, **options)


def test_a_progress_of_ones_own_takes_the_place_of_the_line(terminal):
    seen = []
    run = simulate(progress=lambda done, replicas: seen.append((done, replicas)))
    assert terminal.names == [] and seen[-1] == (64, 64)
    assert np.array_equal(run.gap, simulate().gap) and terminal.names == ["sgd on quadratic"]


def test_threads_worker_processes_and_work_within_a_study_show_nothing(terminal, monkeypatch):
    thread = threading.Thread(target=simulate)
    thread.start()
    thread.join()
    with progress.working("a study", shown=False):
        simulate()
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    simulate()
    assert terminal.names == []


def test_a_terminal_that_is_gone_stops_no_run(terminal):
    terminal.lost = True
    with progress.working("two runs"):
        first, second = simulate(), simulate()
    assert np.array_equal(first.gap, second.gap) and terminal.text.count("two runs") == 1


def test_short_work_has_no_line(terminal, monkeypatch):
    """Half a second in, work of which a third is done is expected to end in time; of which a tenth, is not."""
    now = [100.0]
    monkeypatch.setattr(progress, "SHORT", 2.0)
    monkeypatch.setattr(progress, "FIRST", 0.5)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    with progress.working("quick", 30) as tell:
        now[0] += 0.6
        tell(10)
    with progress.working("slow", 30) as tell:
        now[0] += 0.4
        tell(1)
        assert terminal.names == []
        now[0] += 0.2
        tell(3)
    with progress.working("nobody knows") as tell:
        now[0] += 1.9
        tell(10**6)
        now[0] += 0.6
        assert terminal.names == ["slow"]
        tell(10**6)
    assert terminal.names == ["slow", "nobody knows"]


def test_a_long_name_is_cut_to_the_width_of_the_terminal_and_steers_it_not(terminal):
    fcntl.ioctl(terminal.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    with progress.working("\x1b[31m" + "long " * 30, 10) as tell:
        tell(5)
        tell(6)
    assert [len(part) for part in terminal.text.split("\r")] == [0, 19, 19, 19, 0] and "\x1b" not in terminal.text
