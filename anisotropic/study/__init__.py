"""How does one ask a question over a grid of settings, and ask it again tomorrow? A study: axes, a cell, a plot.

A study is a plain module, here ``studies/noise_floor.py``::

    \"\"\"How does the last gap of SGD depend on the batch size?\"\"\"
    import numpy as np
    import anisotropic as an

    AXES = {"optimizer": ["sgd", "adagrad"], "batch": [1, 4, 16, 64], "replicas": [256]}
    QUICK = {"batch": [1, 16], "replicas": [32]}       # optional: axes replaced by --quick
    UNPAIRED = ("optimizer", "step_size")              # optional: axes that do not change the seed (the default)

    def include(optimizer, batch, replicas):           # optional: False drops a point of the product
        return True

    def cell(optimizer, batch, replicas, seed):        # one point; `seed` only if the cell wants one
        ...
        return {"gap": run.gap[:, -1], "verdict": an.verify(bound, run), "status": run.status}

    def plot(results):
        gap = results.array("gap", optimizer="sgd")    # (4, 256): one row a batch size
        for cell in results.cells(batch=[1, 4]):       # Cell(point, state, arrays, seconds)
            ...
        results.verdicts((f"M={c.point['batch']}", c.arrays["verdict"]) for c in results.cells())
        results.table([{"batch": 1, "gap": 0.5}], title="Gaps")        # rows as dicts, at most 80 columns
        results.say("SGD needs 3.1 times the iterations of AdaGrad.")  # the first six are printed, all kept
        results.save_csv("gaps", {"batch": [1, 4], "gap": [0.5, 0.3]}) # or rows as dicts
        results.save_figure(axes, "gaps")                              # gaps.pdf, .png and .svg; a Figure or Axes

    if __name__ == "__main__":
        raise SystemExit(an.study.main())

It is called with ``python studies/noise_floor.py [run|plot|status|errors] [--quick] [--results DIR] [--executor NAME]
[--workers N] [--timeout S] [--json] [--quiet] [--from-manifest FILE] [--batch 1,4] ...``; no word means run, then plot.
``anisotropic study run noise_floor`` is the same. Results go to ``results/noise_floor`` (``...-quick`` with --quick).

A cell returns numbers, texts, arrays and `Verdict` records. If it returns `status` (of a `Run`) with a diverged
replica, or raises FloatingPointError, its state is "diverged", which is a result; any other exception is "failed",
stored with its traceback and tried again by the next run. A cell is named by its point and by the code that can change
a number, that of this package included: a second run computes what is missing, and a new label in `plot` costs nothing.
Exit codes: 0 done, 2 usage or a folder that cannot be used, 3 incomplete (the line that resumes is printed), 4 a bound
was violated in a table of `results.verdicts`, 5 an extra is missing.

Without a file: ``an.Study("name", axes, cell).run(folder, executor="threads", batch=[1, 4])`` returns the `Results`.
"""

from __future__ import annotations

from .._support.environment import environment
from .command import main
from .driver import Interrupted
from .errors import Stopped, StudyError
from .races import tightest
from .results import Results
from .store import Cell
from .study import Study

__all__ = ["Cell", "Interrupted", "Results", "Stopped", "Study", "StudyError", "environment", "main", "tightest"]
