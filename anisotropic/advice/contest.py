"""How do methods compete at one batch size? Tuned on seeds that are not reported, equal samples, paired runs.

Rows of data and PyTorch models differ in how a run is made; what is done with runs is the same and stands here. Every
finished method goes into the results folder, so that an interrupted contest goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..evidence.entries import TUNED, Entry, Race
from ..records import FloatArray
from .compare import is_sgd
from .grids import score, search
from .store import Folder

Say = Callable[[str], None]


class Runs(Protocol):
    """What makes runs: values of each measure over the replicas of a seed."""

    def __call__(
        self, method: str, batch_size: int, step_size: float, replicas: int, seed: int
    ) -> Mapping[str, FloatArray]: ...


class Contest(NamedTuple):
    """A problem as a contest sees it.

    `run` makes runs, `centre` names the step size around which a method's grid lies, `measures` are what is compared,
    the first one first.
    """

    run: Runs
    centre: Callable[[str, int], float]
    methods: tuple[str, ...]
    measures: tuple[str, ...]
    samples: int


class Settings(NamedTuple):
    """Replicas of the reported runs and of the tuning, seed, and level of each table of ratios."""

    replicas: int
    tuning_replicas: int
    seed: int
    level: float


def compete(contest: Contest, batch_size: int, s: Settings, folder: Folder, say: Say) -> tuple[dict[str, Race], float]:
    """A race for each measure at one batch size, and the seconds that one more replica of every method takes.

    Step sizes are searched on ``seed ^ 1`` for each measure by itself. The reference is the form of SGD that did best
    in the search, so that a choice between forms is not made on the reported seeds.
    """
    pieces = {m: _piece(contest, m, batch_size, s, folder, say) for m in contest.methods}
    races, seconds = {}, sum(p["seconds"] for p in pieces.values()) / s.replicas
    for measure in contest.measures:
        entries = tuple(_entry(m, p[measure]) for m, p in pieces.items())
        baselines = [m for m in contest.methods if is_sgd(m)] or list(contest.methods[:1])
        reference = min(baselines, key=lambda m: pieces[m][measure]["tuned"])
        races[measure] = Race(
            entries, reference, measure, contest.samples // batch_size, batch_size, s.replicas, None, s.level
        )
    return races, seconds


def _entry(method: str, piece: Mapping[str, Any]) -> Entry:
    values = np.asarray(piece["values"], dtype=np.float64)
    return Entry(
        method, TUNED, piece["step_size"], values, None, piece["at_edge"], piece["tried"], piece["diverged"]
    )


def _piece(
    contest: Contest, method: str, batch_size: int, s: Settings, folder: Folder, say: Say
) -> dict[str, Any]:
    """What one method did, from the folder or anew."""
    name = f"batch {batch_size} {method}"
    known = folder.get(name)
    if known is not None:
        return known
    say(f"batch size {batch_size:,}: {method}")
    tuned: dict[float, Mapping[str, FloatArray]] = {}

    def evaluate(step_size: float) -> Mapping[str, FloatArray]:
        tuned[step_size] = contest.run(method, batch_size, step_size, s.tuning_replicas, s.seed ^ 1)
        return tuned[step_size]

    found = search(evaluate, contest.centre(method, batch_size), contest.measures)
    piece: dict[str, Any] = {}
    started, reported = time.perf_counter(), dict[float, Mapping[str, FloatArray]]()
    for measure in contest.measures:
        size = found.best[measure]
        if not np.isfinite(size):
            values, best = np.full(s.replicas, np.nan), np.inf
        else:
            if size not in reported:
                reported[size] = contest.run(method, batch_size, size, s.replicas, s.seed)
            values, best = reported[size][measure], score(tuned[size][measure])
        piece[measure] = {
            "step_size": size, "values": values.tolist(), "tuned": best, "at_edge": found.at_edge[measure],
            "tried": found.tried, "diverged": found.diverged,
        }  # fmt: skip
    piece["seconds"] = time.perf_counter() - started
    folder.put(name, piece)
    return piece
