"""How long does each peer take? CPU time per coordinate-step, interleaved in one process on one processor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

import numpy as np
from cells import Cell, Peer, Size, cell

OURS = "ours"
COMPILED = ("C", "C fast-math")  # fast enough for the longer runs
LIMIT = 6.0  # standard errors between two means of independent noise


def load() -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can be had here, ours first, and why the others cannot."""
    from functools import partial
    from importlib import import_module

    columns = {
        OURS: ("peers_ours", "prepare"),
        "C": ("peers_c", "plain"),
        "C fast-math": ("peers_c", "fast"),
        "NumPy": ("peers_numpy", "prepare"),
        "torch f64": ("peers_torch", "float64"),
        "torch f32": ("peers_torch", "float32"),
        "optax f64": ("peers_optax", "float64"),
        "optax f32": ("peers_optax", "float32"),
    }
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, (module, function) in columns.items():
        try:
            loaded = import_module(module)
            if name in COMPILED:
                loaded.library(loaded.FLAGS if name == "C fast-math" else "")
            peers[name] = partial(getattr(loaded, function))
        except ImportError as error:
            missing[name] = str(error)
    return peers, missing


def clock(run) -> float:
    """CPU seconds of one call, all threads of the process together."""
    start = time.process_time()
    run()
    return time.process_time() - start


def disagreement(name: str, at: Cell, ours: np.ndarray, theirs: np.ndarray) -> str | None:
    """A sentence where two peers did not simulate the same thing: equal to rounding, or in the mean."""
    same_noise = at.drawn or name in COMPILED
    if same_noise:
        tolerance = 1e-3 if name.endswith("f32") else 1e-8
        a, b = ours.mean(axis=0), theirs.mean(axis=0)
        worst, limit = np.nanmax(np.abs(b - a) / (np.abs(a) + 1e-12)), tolerance
    else:
        error = np.sqrt((ours.var(axis=0, ddof=1) + theirs.var(axis=0, ddof=1)) / at.replicas)
        worst, limit = np.nanmax(np.abs(theirs.mean(axis=0) - ours.mean(axis=0)) / error), LIMIT
    if worst <= limit and np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return None
    return f"{name} differs from ours by {worst:.3g} (limit {limit:g}) in {at.method}, d = {at.dim}"


def compare(
    peers: Mapping[str, Peer], size: Size, method: str, theory: bool, drawn: bool, rounds: int
) -> dict[str, object]:
    """One row of the table: median ns per coordinate-step and, over paired rounds, the median ratio peer / ours.

    Slow peers get fewer steps, and records in proportion. Before the clock starts, all simulate the same short run and
    must agree.
    """
    short, long = (cell(size, method, theory, drawn, steps) for steps in (size.short, size.long))
    complaints, first = [], {}
    for name, prepare in peers.items():
        first[name] = prepare(short)().copy()
        if name != OURS and (complaint := disagreement(name, short, first[OURS], first[name])):
            complaints.append(complaint)
    chosen = {name: long if name in (OURS, *COMPILED) else short for name in peers}
    runs = {name: prepare(chosen[name]) for name, prepare in peers.items()}
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(clock(runs[name]))
        order = order[1:] + order[:1]
    ns = {name: np.array(values) / chosen[name].updates * 1e9 for name, values in seconds.items()}
    return {
        "method": method,
        "workload": "theory" if theory else "bare",
        "noise": "drawn beforehand" if drawn else "in the clock",
        "replicas": size.replicas,
        "steps": size.steps,
        "dim": size.dim,
        "timed steps": {name: c.steps for name, c in chosen.items()},
        "ns": {name: median(values.tolist()) for name, values in ns.items()},
        "ratio": {name: median((values / ns[OURS]).tolist()) for name, values in ns.items() if name != OURS},
        "complaints": complaints,
    }


def sampler(rounds: int) -> dict[str, float]:
    """ns for one standard normal: ours and NumPy's fastest generator."""
    from numba import njit

    from anisotropic.compiled import random
    from anisotropic.simulation.layout import lanes_of_normals

    count, repeats = 256, 4000

    @njit
    def ours(key, z, places):
        for i in range(repeats):
            random.fill_normals(key[0], key[1], 0, i, *places, z[0], z[1], z[2], z[3])

    rng, z = np.random.Generator(np.random.SFC64(0)), np.empty((4, count))
    key, places = random.key_words(0), lanes_of_normals(count, 1, 1)

    def theirs():
        for _ in range(repeats):
            rng.standard_normal(out=z)

    ours(key, z, places)
    pairs = [(clock(lambda: ours(key, z, places)), clock(theirs)) for _ in range(rounds)]
    scale = 1e9 / (4 * count * repeats)
    return {"ours": median(p[0] for p in pairs) * scale, "NumPy SFC64": median(p[1] for p in pairs) * scale}
