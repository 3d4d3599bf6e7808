"""What does a user call? `advise`: checks, one contest for each batch size, and what stands beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from .._support.extras import require
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
Methods = Sequence[str] | Mapping[str, Method | None]


def advise(
    X: Any,
    y: Any = None,
    data: Any = None,
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
    device: str | None = None,
    say: Say | None = None,
) -> Advice:
    """Race SGD, AdaGrad and Adam on your data or your model, tuned and at equal samples: who is ahead, at which batch?

    ``advise(X, y)`` races on logistic regression, ``advise(model_factory, loss, data)`` on a PyTorch model.

    Parameters
    ----------
    X, y : features ``(n, d)`` and two labels of any kind ``(n,)``
        Arrays, a sparse matrix, a pandas frame, a scikit-learn bunch (without y), or a name or path for
        `anisotropic.datasets.load` (without y). The loss has a ridge, and runs start at w = 0.
    model_factory, loss, data : in place of X and y
        A callable without arguments that returns a new torch.nn.Module, ``loss(model(x), y)`` that returns one number,
        and tensors (x, y), of which a fifth is held out, or ((x, y), (x, y)) with the rows to hold out.
    batch_sizes : sequence of int, optional
        By default 8, 64, 512, 4096 (models: 32, 256), as far as a quarter of the rows goes.
    methods : names, or mapping of names to Method, optional
        Of "sgd", "sgd decaying" (linearly to zero), "adagrad", "adagrad_norm" (the control: one step size for all
        coordinates), "adam", by default all. In a mapping None stands for the method of that name, and an
        `an.Method(make, grid)` for one of your own, searched around the middle of its grid; for a model,
        ``make(step_size)(parameters)`` is a torch optimizer. One of the two forms of SGD must be among them.
    budget : int, optional
        Samples of one run, the same for every method and batch size; by default 10 passes over the rows (models: 5).
    l2 : float, optional
        The ridge of logistic regression; 1/n by default.
    replicas : int, optional
        Seeds of the reported runs; 24 by default (models: 12). Step sizes are searched with other seeds, a third as
        many.
    seed : int
    level : float
        All ratios of one batch size and measure hold together with probability 1 - level.
    quick : bool
        At most two batch sizes, fewer passes, half of the replicas.
    results : path, optional
        A folder in which finished pieces are kept; the same call goes on where it was interrupted.
    threads : int, optional
        Of compiled runs.
    device : str, optional
        Of a model, such as "cuda".
    say : callable ``(text)``, optional
        Told what is being done.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError, TypeError
        On one class, NaN, no rows, a negative ridge, data without a minimizer (separable, l2 = 0), a batch above the
        number of rows, a budget of too few iterations, no SGD among the methods, a results folder of another call; a
        loss that is not one number, a factory that returns the same model twice.

    Notes
    -----
    Each method gets the same search: factors of 4 around a centre (rows: that theory names; models: a range test),
    widened while the best lies at an end, then factors of 2 around the best; for each measure apart. Ratios compare
    with the better form of SGD, chosen on the seeds of the search. They are geometric means of paired ratios: for rows
    of f(w) - f* at the last and at the average iterate, where f* is certified; for models of the training loss and the
    held-out loss. Replicas of a model differ in initial weights and in the order of the rows, which all methods share.
    Models are trained in training mode (with dropout, if they have it) and measured in evaluation mode.

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
    own, names = _methods(methods)
    plan = Plan(names, own, batch_sizes, budget, replicas, seed_number(seed), checked_level(level), quick)
    path, say = None if results is None else Path(results), say or (lambda text: None)
    if callable(X):
        if l2 is not None:
            raise ValueError("l2 is the ridge of logistic regression; give a model its penalty in the loss")
        return _advise_model(X, y, data, plan, path, device, say)
    if data is not None:
        raise TypeError("data goes with a model: advise(model_factory, loss, data); rows are advise(X, y)")
    return _advise_rows(X, y, l2, plan, path, threads, say)


class Plan(NamedTuple):
    """What a user asked for, the same for rows and models."""

    names: tuple[str, ...]
    own: dict[str, Method]
    batch_sizes: Sequence[int] | None
    budget: int | None
    replicas: int | None
    seed: int
    level: float
    quick: bool

    def settle(self, n: int, d: Defaults) -> tuple[int, list[int], Settings]:
        """Samples of a run, batch sizes, and settings, for n rows."""
        passes = max(2, d.passes * 2 // 5) if self.quick else d.passes
        samples = passes * n if self.budget is None else count(self.budget, "budget")
        many = d.replicas // (2 if self.quick else 1) if self.replicas is None else self.replicas
        many = count(many, "replicas", low=2)
        sizes = _sizes(self.batch_sizes, n, samples, self.quick, d.sizes)
        return samples, sizes, Settings(many, max(2, many // 3), self.seed, self.level)


class Defaults(NamedTuple):
    """Batch sizes, passes over the rows, and replicas."""

    sizes: tuple[int, ...]
    passes: int
    replicas: int


ROWS, MODELS = Defaults((8, 64, 512, 4096), 10, 24), Defaults((32, 256), 5, 12)


def _advise_rows(
    X: Any, y: Any, l2: float | None, plan: Plan, path: Path | None, threads: int | None, say: Say
) -> Advice:
    name = os.fspath(X) if isinstance(X, (str, os.PathLike)) else type(X).__name__
    if isinstance(X, (str, os.PathLike)):
        if y is not None:
            raise TypeError(f"{name} names a data set, which brings its labels; leave y out")
        X, y = load(X)
    X, y = rows_and_labels(X, y)
    n, own, names = X.shape[0], plan.own, plan.names
    samples, sizes, s = plan.settle(n, ROWS)
    say(f"finding the minimum of {n:,} rows in {X.shape[1]:,} columns")
    rows = by_rows.problem(X, y, l2)
    problem = {
        "name": name, "rows": n, "columns": X.shape[1], "l2": rows.l2, "minimum": rows.objective.minimum,
        "largest_eigenvalue": rows.top,
    }  # fmt: skip
    settings = {"samples": samples, **s._asdict(), "methods": list(names), "batch_sizes": sizes}
    folder = Folder(path, _about(settings, plan, data=fingerprint(X, y), l2=rows.l2))
    del X, y
    contest = Contest(
        by_rows.runs(rows, own, samples, threads), partial(by_rows.centre, rows, own, samples), names, MEASURES, samples
    )
    races, seconds = _races(contest, sizes, s, folder, say)
    critical = _critical(rows, races, sizes, samples, s, folder, threads, say) if "sgd" in names else None
    say("asking theory")
    at = sizes[len(sizes) // 2]
    walk = by_rows.follow(rows, "adagrad", _step(races, at, "adagrad", rows), max(1, samples // at), at, s.seed)
    predictions = tuple(predict(rows, b, samples // b, walk.farthest) for b in sizes)
    return Advice(problem, races, settings, seconds, critical, predictions)


def _advise_model(
    factory: Any, loss: Any, data: Any, plan: Plan, path: Path | None, device: str | None, say: Say
) -> Advice:
    if not callable(loss) or data is None:
        raise TypeError("a model needs a loss and data: advise(model_factory, loss, (x, y))")
    require("torch", "torch")
    by_model = import_module(".torch", __package__)
    m = by_model.model(factory, loss, data, device, plan.seed)
    samples, sizes, s = plan.settle(len(m.train[0]), MODELS)
    problem = by_model.facts(m)
    settings = {"samples": samples, **s._asdict(), "methods": list(plan.names), "batch_sizes": sizes}
    content = fingerprint(*(t.cpu().numpy() for pair in (m.train, m.held_out) for t in pair))
    folder = Folder(path, _about(settings, plan, data=content, problem=problem))
    contest = Contest(
        partial(by_model.run, m, plan.own, samples), partial(by_model.centre, m, plan.own, s.seed), plan.names,
        by_model.MEASURES, samples,
    )  # fmt: skip
    races, seconds = _races(contest, sizes, s, folder, say)
    return Advice(problem, races, settings, seconds)


def _about(settings: Mapping[str, Any], plan: Plan, **more: Any) -> dict[str, Any]:
    """Everything that decides the numbers."""
    own = {name: [float(size) for size in method.grid or ()] for name, method in plan.own.items()}
    return {"version": __version__, **settings, **more, "own": own}


def _races(
    contest: Contest, sizes: Sequence[int], s: Settings, folder: Folder, say: Say
) -> tuple[dict[tuple[int, str], Race], dict[int, float]]:
    races: dict[tuple[int, str], Race] = {}
    seconds: dict[int, float] = {}
    for b in sizes:
        found, seconds[b] = compete(contest, b, s, folder, say)
        races |= {(b, measure): race for measure, race in found.items()}
    return races, seconds


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


def _sizes(
    batch_sizes: Sequence[int] | None, n: int, samples: int, quick: bool, usual: tuple[int, ...]
) -> list[int]:
    if batch_sizes is None:
        fit = [b for b in usual if b <= max(n // 4, 1)] or [1]
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


