"""A study that counts its calls, and small pieces that the tests of studies share."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import numpy as np

from anisotropic.records import TermCheck, Verdict
from anisotropic.study import Study, StudyError
from anisotropic.study.store import Store

FAKE = textwrap.dedent(
    '''
    """How large is a mean of n draws?"""
    import os, time
    import numpy as np

    AXES = {"optimizer": ["sgd", "adagrad"], "n": [4, 16, 64], "repeat": [0, 1]}
    QUICK = {"n": [4], "repeat": [0]}
    WAIT = float(os.environ.get("FAKE_WAIT", "0"))

    def cell(optimizer, n, repeat, seed):
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(f"{optimizer} {n} {repeat}\\n")
        time.sleep(WAIT)
        draws = np.random.default_rng(seed).normal(size=n)
        return {"mean": draws.mean(), "draws": draws[:4], "name": optimizer}

    def plot(results):
        results.table([{"n": n, "mean": float(np.mean(results.array("mean", n=n)))} for n in results.axes["n"]])
        results.say("The mean shrinks.")
        results.save_csv("means", {"n": results.axes["n"]})

    if __name__ == "__main__":
        import anisotropic as an
        raise SystemExit(an.study.main())
    '''
)


def calls(path: Path) -> list[str]:
    log = path.parent / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def squares(**options) -> Study:
    return Study("squares", {"n": [1, 2, 3], "kind": ["a", "b"]}, square, **options)


def square(n, kind):
    return {"square": n * n, "vector": np.arange(3.0) * n, "kind": kind}


def verdict(status="not contradicted") -> Verdict:
    terms = (TermCheck("bias", 0.5, 0.9, True), TermCheck("noise", 0.05, 0.1, False))
    return Verdict(status, "convex_sgd", "mean_gap", "simple", terms=terms, slack=1.25, power=1.5, slacks=(1.5, 1.25))


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def stored(folder: Path) -> int:
    """Number of cells in a store that another process may be writing; 0 before its table exists."""
    try:
        return len(Store(folder).states())
    except StudyError:
        return 0
