"""What does kill -9 cost a study? ``python tests/kills.py 1000`` kills drivers and workers at random moments.

Every kill is followed by the same four questions: is every stored cell still there, does the next run compute no stored
cell again, is every worker gone, and are the numbers of the finished study those of an undisturbed one? The table goes
into docs/explanation/survival.md.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDY = '''
"""Forty short cells."""
import os, time
import numpy as np
AXES = {"n": list(range(40))}
def log(word, n):
    file = os.open(os.environ["KILLS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {n} {os.getpid()}\\n".encode())
    os.close(file)
def cell(n, seed):
    log("start", n)
    draws = np.random.default_rng(seed).normal(size=500)
    time.sleep(0.01 + 0.02 * (n % 3))
    log("end", n)
    return {"draws": draws, "n2": n * n}
if __name__ == "__main__":
    import anisotropic as an
    raise SystemExit(an.study.main())
'''
PAGE = ROOT / "docs" / "explanation" / "survival.md"
MARK = "% The table is written by make kills."
FAULTS = ("lost", "repeated", "orphans", "different", "unreadable", "left_over")
HEAD = {
    "executor": "executor", "victim": "killed", "kills": "kills", "studies": "studies finished",
    "running": "ended, not yet stored", "lost": "stored, then gone", "repeated": "stored, computed again",
    "different": "studies with other numbers", "orphans": "workers left behind",
}  # fmt: skip
#: (executor, who is killed, share of all kills)
SCENES = (("threads", "driver", 0.3), ("processes", "driver", 0.4), ("processes", "worker", 0.3))


@dataclass
class Tally:
    """What became of the kills of one scene; all but the first three numbers should be 0."""

    executor: str
    victim: str
    kills: int = 0
    studies: int = 0
    running: int = 0  # cells that had ended but were not stored yet when the driver was killed
    lost: int = 0
    repeated: int = 0
    orphans: int = 0
    different: int = 0
    unreadable: int = 0
    left_over: int = 0


class Scene:
    """One study after the other, killed until `kills` are reached."""

    def __init__(self, folder: Path, executor: str, victim: str, seed: int) -> None:
        folder = folder.resolve()
        self.folder, self.tally, self.rng = folder, Tally(executor, victim), random.Random(seed)
        self.log = folder / "log.txt"
        (folder / "study.py").write_text(STUDY)
        assert self.start("whole").wait(120) == 0
        self.whole = digests(folder / "whole")

    def start(self, results: str) -> subprocess.Popen:
        """The study as a process, with an empty log."""
        self.log.write_text("")
        env = os.environ | {"PYTHONPATH": str(ROOT), "KILLS_LOG": str(self.log), "PYTHONFAULTHANDLER": "1"}
        words = ["study.py", "run", "--quiet", "--workers", "2", "--results", results]
        words += ["--executor", self.tally.executor]
        with open(self.folder / "said.txt", "w") as said:
            return subprocess.Popen([sys.executable, *words], cwd=self.folder, env=env, stderr=said)

    def play(self, kills: int) -> Tally:
        while self.tally.kills < kills:
            name = f"r{self.tally.studies}"
            self.one_study(name, kills)
            self.tally.studies += 1
            self.tally.different += digests(self.folder / name) != self.whole
            self.tally.left_over += sum(f.endswith(("-journal", ".part")) for f in os.listdir(self.folder / name))
        return self.tally

    def one_study(self, name: str, kills: int) -> None:
        """Run, kill and run again until the study is complete."""
        while True:
            before = self.stored(name)
            process = self.start(name)
            if self.tally.victim == "worker":
                self.kill_workers(process, kills)
            elif self.tally.kills < kills:
                self.kill_driver(process)
            code = process.wait(120)
            ended, started = self.logged("end"), self.logged("start")
            after = self.stored(name)
            self.tally.repeated += len(set(started) & before)
            self.tally.lost += len(before - after)
            if code == 0:
                return
            if self.tally.victim == "worker":
                assert code == 3, self.said(code)  # a cell was hit again when it ran alone: it has failed so far
                continue
            assert code == -signal.SIGKILL, self.said(code)
            self.tally.running += len(set(ended) - after)
            self.tally.orphans += not gone(set(started.values()) - {process.pid})

    def kill_driver(self, process: subprocess.Popen) -> None:
        """At any moment: a quarter of the kills fall into the start of the process, the others among the cells."""
        if self.rng.random() < 0.25:
            time.sleep(self.rng.random())
        else:
            try:
                wait_for(lambda: self.logged("start") or process.poll() is not None)
            except TimeoutError:
                process.send_signal(signal.SIGABRT)  # its threads then say where they are
                raise RuntimeError(self.said(process.wait())) from None
            time.sleep(0.6 * self.rng.random())
        if process.poll() is None:
            process.kill()
            self.tally.kills += 1

    def kill_workers(self, process: subprocess.Popen, kills: int) -> None:
        """Several in one run; the driver is not told."""
        while process.poll() is None and self.tally.kills < kills:
            time.sleep(0.3 * self.rng.random())
            running = {n: pid for n, pid in self.logged("start").items() if n not in self.logged("end")}
            if running:
                try:
                    os.kill(self.rng.choice(sorted(running.values())), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                self.tally.kills += 1

    def said(self, code: int) -> str:
        return f"exit code {code}: {(self.folder / 'said.txt').read_text()[-2000:]}"

    def logged(self, word: str) -> dict[int, int]:
        """Cells of these lines of the log, and the processes that wrote them last."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return {int(n): int(pid) for kind, n, pid in lines if kind == word}

    def stored(self, name: str) -> set[int]:
        try:
            return {json.loads(point)["n"] for point in digests(self.folder / name)}
        except sqlite3.Error:
            self.tally.unreadable += 1
            return set()


def digests(folder: Path) -> dict[str, str]:
    """Digest of every finished cell by its point, read by sqlite3 alone."""
    if not (folder / "results.sqlite").exists():
        return {}
    db = sqlite3.connect(folder / "results.sqlite")
    try:
        if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'cells'").fetchone()[0]:
            return {}
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return dict(db.execute("SELECT point, digest FROM cells WHERE state = 'done'"))
    finally:
        db.close()


def wait_for(condition, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited too long")
        time.sleep(0.01)


def gone(processes: set[int], seconds: float = 10.0) -> bool:
    """Whether these processes end soon; one that nobody has waited for has ended."""
    try:
        wait_for(lambda: not any(is_running(pid) for pid in processes), seconds)
    except TimeoutError:
        return False
    return True


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def survive(folder: Path, kills: int, seed: int = 0) -> list[Tally]:
    """All scenes, with `kills` kills in sum."""
    tallies = []
    for k, (executor, victim, share) in enumerate(SCENES):
        room = folder / f"scene{k}"
        room.mkdir()
        tallies.append(Scene(room, executor, victim, seed + k).play(round(share * kills)))
    return tallies


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        tallies = survive(Path(folder), kills)
    print(*tallies, sep="\n")
    before, old, after = PAGE.read_text().partition(MARK)
    assert old, f"{PAGE} has no line {MARK!r}"
    PAGE.write_text(f"{before}{MARK}\n\n{table(tallies)}\n{after.lstrip().partition(chr(10) * 2)[2]}")
    raise SystemExit(any(getattr(tally, name) for tally in tallies for name in FAULTS))


def table(tallies: list[Tally]) -> str:
    """The tallies as a table in Markdown."""
    lines = ["| " + " | ".join(HEAD.values()) + " |", "|---|---|" + "---:|" * (len(HEAD) - 2)]
    lines += ["| " + " | ".join(str(getattr(tally, name)) for name in HEAD) + " |" for tally in tallies]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
