"""What does a user call? `advise`: checks, one contest for each batch size, and what stands beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._support.names import nearest
from ..datasets import load, rows_and_labels
from ..evidence.entries import Race
from ..evidence.race import Method
from ..intervals import checked_level
from ..records import count, seed_number
from . import rows as by_rows
from .answer import Advice
from .compare import is_sgd
from .contest import Contest, Say, Settings, compete
from .critical import Critical, branch
from .prediction import predict
from .rows import MAKERS, MEASURES, Rows
from .store import Folder, fingerprint

LEAST_ITERATIONS = 10
SIZES = (8, 64, 512, 4096)
EPOCHS, REPLICAS, TUNING = 10, 24, 8
QUICK_EPOCHS, QUICK_REPLICAS, QUICK_TUNING = 4, 12, 6

Methods = Sequence[str] | Mapping[str, Method | None]


def advise(
    X: Any,
    y: Any = None,
    *,
    batch_sizes: Sequence[int] | None = None,
    methods: Methods | None = None,
    budget: int | None = None,
    l2: float | None = None,
    replicas: int | None = None,
    seed: int = 0,
    level: float = 0.05,
    quick: bool = False,
    results: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    say: Say | None = None,
) -> Advice:
    """Race SGD, AdaGrad and Adam on your data, tuned and at equal samples, and say which is ahead at which batch size.

    Parameters
    ----------
    X, y : features ``(n, d)`` and two labels of any kind ``(n,)``
        Arrays, a sparse matrix, a pandas frame, a scikit-learn bunch (without y), or a name or path for
        `anisotropic.datasets.load` (without y). The problem is logistic regression with a ridge, from w = 0.
    batch_sizes : sequence of int, optional
        By default 8, 64, 512, 4096, as far as a quarter of the rows goes.
    methods : names, or mapping of names to Method, optional
        Of "sgd", "sgd decaying", "adagrad", "adagrad_norm" (the control: one step size for all coordinates), "adam",
        by default all. In a mapping None stands for the method of that name, and an `an.Method(make, grid)` for one of
        your own, searched around the middle of its grid. One of the two forms of SGD must be among them.
    budget : int, optional
        Samples of one run, the same for every method and batch size; by default 10 passes over the rows.
    l2 : float, optional
        The ridge; 1/n by default.
    replicas : int, optional
        Seeds of the reported runs; 24 by default. Step sizes are searched with other seeds, a third as many.
    seed : int
    level : float
        All ratios of one batch size and measure hold together with probability 1 - level.
    quick : bool
        Two batch sizes, 4 passes, 12 replicas.
    results : path, optional
        A folder in which finished pieces are kept; the same call goes on where it was interrupted.
    threads : int, optional
    say : callable ``(text)``, optional
        Told what is being done.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError
        On one class, NaN, no rows, a negative ridge, data without a minimizer (separable, l2 = 0), a batch above the
        number of rows, a budget of too few iterations, no SGD among the methods, a results folder of another call.

    Notes
    -----
    Each method gets the same search: factors of 4 around a centre that theory names, widened while the best lies at an
    end, then factors of 2 around the best; for the last and for the average iterate apart. Ratios compare with the
    better form of SGD, chosen on the seeds of the search. They are geometric means of paired ratios of f(w) - f*, where
    f* is certified.

    Examples
    --------
    >>> import numpy as np, anisotropic as an
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 3))
    >>> y = X @ [1.0, 1.0, 1.0] + rng.standard_normal(200) > 0
    >>> found = an.advise(X, y, batch_sizes=[8], methods=["sgd", "adagrad"], budget=2000, replicas=4)
    >>> found.batch_sizes, found.races[8, "gap"].steps, found.predictions[0].favored
    ([8], 250, 'sgd')
    """
    name = os.fspath(X) if isinstance(X, (str, os.PathLike)) else type(X).__name__
    if isinstance(X, (str, os.PathLike)):
        X, y = load(X)
    X, y = rows_and_labels(X, y)
    n = X.shape[0]
    own, names = _methods(methods)
    samples = (QUICK_EPOCHS if quick else EPOCHS) * n if budget is None else count(budget, "budget")
    sizes = _sizes(batch_sizes, n, samples, quick)
    many = (QUICK_REPLICAS if quick else REPLICAS) if replicas is None else count(replicas, "replicas", low=2)
    few = (QUICK_TUNING if quick else TUNING) if replicas is None else max(2, many // 3)
    s = Settings(many, few, seed_number(seed), checked_level(level))
    say = say or (lambda text: None)
    say(f"finding the minimum of {n:,} rows in {X.shape[1]:,} columns")
    rows = by_rows.problem(X, y, l2)
    problem = {
        "name": name, "rows": n, "columns": X.shape[1], "l2": rows.l2, "minimum": rows.objective.minimum,
        "largest_eigenvalue": rows.top,
    }  # fmt: skip
    settings = {"samples": samples, **s._asdict(), "methods": list(names), "batch_sizes": sizes}
    about = {
        "version": __version__, "data": fingerprint(X, y), "l2": rows.l2, **settings,
        "own": {m: [float(g) for g in own[m].grid or ()] for m in own},
    }  # fmt: skip
    folder = Folder(None if results is None else Path(results), about)
    del X, y
    contest = Contest(
        by_rows.runs(rows, own, samples, threads), partial(by_rows.centre, rows, own, samples), names, MEASURES, samples
    )
    races: dict[tuple[int, str], Race] = {}
    seconds: dict[int, float] = {}
    for b in sizes:
        found, seconds[b] = compete(contest, b, s, folder, say)
        races |= {(b, measure): race for measure, race in found.items()}
    critical = _critical(rows, races, sizes, samples, s, folder, threads, say) if "sgd" in names else None
    say("asking theory")
    at = sizes[len(sizes) // 2]
    path = by_rows.follow(rows, "adagrad", _step(races, at, "adagrad", rows), max(1, samples // at), at, s.seed)
    predictions = tuple(predict(rows, b, samples // b, path.farthest) for b in sizes)
    return Advice(problem, races, settings, seconds, critical, predictions)


def _step(races: Mapping[tuple[int, str], Race], batch: int, method: str, rows: Rows) -> float:
    """The tuned step size of a method, or where there is none the one that theory names."""
    entry = races[batch, MEASURES[0]].tuned.get(method)
    known = entry.step_size if entry is not None else np.nan
    return known if np.isfinite(known) else by_rows.centre(rows, {}, 1, method, 1)


def _critical(
    rows: Rows, races: Mapping[tuple[int, str], Race], sizes: Sequence[int], samples: int, s: Settings, folder: Folder,
    threads: int | None, say: Say,
) -> Critical:  # fmt: skip
    known = folder.get("critical")
    if known is not None:
        return _restored(known)
    say("branching from a checkpoint")
    at = sizes[len(sizes) // 2]
    found = branch(
        rows, _step(races, at, "sgd", rows), at, min(sizes), samples, replicas=s.replicas, seed=s.seed, level=s.level,
        threads=threads,
    )  # fmt: skip
    folder.put("critical", {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found._asdict().items()})
    return found


def _restored(known: Mapping[str, Any]) -> Critical:
    from ..noise_scale import NoiseScale

    value, interval = known["noise_scale"]
    arrays = {k: np.asarray(known[k]) for k in ("sizes", "decrease")}
    return Critical(**{**known, **arrays, "noise_scale": NoiseScale(value, tuple(interval))})


def _methods(methods: Methods | None) -> tuple[dict[str, Method], tuple[str, ...]]:
    """Methods of the user's own, and the names of all."""
    if isinstance(methods, str):
        raise TypeError(f"methods = {methods!r}; expected a list of names, such as ['sgd', {methods!r}]")
    given: Mapping[str, Method | None] = (
        methods if isinstance(methods, Mapping) else dict.fromkeys(MAKERS if methods is None else methods)
    )
    own = {}
    for name, method in given.items():
        if method is None:
            if name not in MAKERS:
                hint = nearest(name, MAKERS) or f"; known are {', '.join(MAKERS)}"
                raise ValueError(f"no method is called {name!r}{hint}; your own: {{name: an.Method(make, grid)}}")
        elif not isinstance(method, Method) or method.grid is None:
            raise TypeError(f"method {name!r} is {method!r}; expected an.Method(factory, grid) or None")
        else:
            own[name] = method
    if not any(map(is_sgd, given)):
        raise ValueError(f"methods = {list(given)}; 'sgd' must be among them: every ratio compares with it")
    return own, tuple(given)


def _sizes(batch_sizes: Sequence[int] | None, n: int, samples: int, quick: bool) -> list[int]:
    if batch_sizes is None:
        fit = [b for b in SIZES if b <= max(n // 4, 1)] or [1]
        affordable = [b for b in fit if samples // b >= LEAST_ITERATIONS] or fit[:1]
        sizes = [affordable[0], affordable[-1]] if quick and len(affordable) > 1 else affordable
    else:
        sizes = sorted({count(b, "batch size") for b in batch_sizes})
    if not sizes:
        raise ValueError("batch_sizes is empty; pass at least one, or leave it out")
    if sizes[-1] > n:
        raise ValueError(f"batch size {sizes[-1]:,} is above the {n:,} rows of the data; pass at most that")
    if samples // sizes[-1] < LEAST_ITERATIONS:
        raise ValueError(
            f"a budget of {samples:,} samples is {samples // sizes[-1]} iterations at batch size {sizes[-1]:,}, too "
            f"few to tell methods apart; pass budget = {LEAST_ITERATIONS * sizes[-1]:,} or more, or smaller batches"
        )
    return sizes


