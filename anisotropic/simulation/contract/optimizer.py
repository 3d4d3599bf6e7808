"""Does an update rule keep to its arrays, move the iterate, and treat coordinates as it says?

It is run for a few iterations in 1 to 5 coordinates, or in as many as its parameters have entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...records import FloatArray, Optimizer, Schedule, float_vector, initial_state, spread, with_shape
from .findings import Finding, shown
from .guarded import Fault, Guarded, promised

#: A vector longer than this is not interpreted; nothing about an update depends on it.
LONGEST = 512

Shape = tuple[int, int] | None


def sizes(given: Iterable[Any], dim: int | None) -> list[int]:
    """Dimensions to try: that of the objective and of the arrays `given`, where there are any, else 1, 3 and 5."""
    own = [np.shape(v)[-1] for v in given if not callable(v) and np.size(v) > 1]
    if own:
        return [own[0] if dim is None else dim]
    return sorted({1, 3, 5} | ({dim} if dim is not None and dim <= LONGEST else set()))


def declared_state(optimizer: Optimizer, dim: int, shape: Shape) -> FloatArray:
    """The state as the record declares it, shape ``(slots, dim)``."""
    try:
        return initial_state(optimizer, dim, shape)
    except ValueError as error:
        raise Fault("state", f"{error}, since d = {dim}") from None
    except Exception as error:
        raise Fault("state", f"an initial state of d = {dim} raises {type(error).__name__}: {error}") from None


def shapes(optimizer: Optimizer, given: Iterable[Any], dim: int | None, shape: Shape) -> list[tuple[int, Shape]]:
    """Numbers of coordinates to try, with the shapes of matrices where the update works on them: those in params."""
    if "shape" not in optimizer.params._fields:
        return [(d, None) for d in sizes(given, dim)]
    own = [v.shape for v in given if np.ndim(v) == 2 and np.size(v) > 1]
    tried = [shape] if shape is not None else own[:1] or [(1, 1), (2, 3), (3, 3)]
    return [(m * n, (m, n)) for m, n in tried]


def check_optimizer(
    optimizer: Optimizer, dim: int | None = None, seed: int = 0, shape: Shape = None
) -> Iterator[Finding]:
    """Everything found wrong with an optimizer, used in `dim` coordinates, or at a `shape`, where that is known."""
    name = f"optimizer '{optimizer.name}'"
    base = optimizer.step_size.step_size if isinstance(optimizer.step_size, Schedule) else optimizer.step_size
    fields = [value for field, value in optimizer.params._asdict().items() if field != "shape"]
    for d, at in shapes(optimizer, (*fields, *optimizer.state.values(), base), dim, shape):
        try:
            found = list(_check(optimizer, d, base, seed, at))
        except Fault as fault:
            found = [(fault.rule, fault.sentence + _slots(optimizer, fault))]
        yield from (Finding(name, rule, sentence) for rule, sentence in found)
        if found:
            return


def _slots(optimizer: Optimizer, fault: Fault) -> str:
    if fault.rule != "bounds":
        return ""
    have = ", ".join(map(repr, optimizer.state)) or "none"
    return f"; declare every state vector in state={{name: initial value}} (declared: {have})"


class _Trial:
    """One optimizer on checked arrays: the same gradients for every way of cutting the coordinates."""

    def __init__(self, optimizer: Optimizer, dim: int, base: Any, seed: int, shape: Shape) -> None:
        self.optimizer, self.dim, rng = optimizer, dim, np.random.default_rng(seed)
        self.update = Guarded(optimizer.update, "update", ("w", "gradient", "state"))
        self.start, self.gradients = rng.uniform(-1.0, 1.0, dim), rng.standard_normal((5, dim))
        self.step_size = float_vector(base, dim, "step_size")
        self.state = declared_state(optimizer, dim, shape)
        self.params = with_shape(optimizer.params, shape)

    def run(self, times: int = 1, cut: slice = slice(None)) -> list[FloatArray]:
        """Iterates of `times` joined replicas, restricted to the coordinates `cut`."""
        w, step_size = (np.tile(v[cut], times) for v in (self.start, self.step_size))
        state = np.tile(self.state[:, cut], (1, times))
        params = spread(self.params, self.dim, times, cut)
        seen = []
        for t, gradient in enumerate(self.gradients, 1):
            g = np.concatenate([(gradient * (1.0 + k))[cut] for k in range(times)])
            self.update(w=w, gradient=g, state=state, step_size=step_size, t=t, params=params)
            seen.append(w.copy())
        return seen


def _check(optimizer: Optimizer, dim: int, base: Any, seed: int, shape: Shape) -> Iterator[tuple[str, str]]:
    trial = _Trial(optimizer, dim, base, seed, shape)
    path = trial.run()
    for t, w in enumerate(path, 1):
        if not np.isfinite(w).all():
            j = int(np.argmin(np.isfinite(w)))
            yield "finite", (
                f"w[{j}] = {w[j]:g} after {t} updates with gradients of size 1; expected finite numbers: look for 0/0 "
                "where a state vector starts at 0"
            )
            return
    if all(np.array_equal(w, trial.start) for w in path):
        yield "moves", (
            f"after {len(path)} updates with nonzero gradients w is still {shown(trial.start)}; an update must write "
            "into w, as in w[j] -= step_size[j] * gradient[j] (`w = w - ...` only gives a new array that name)"
        )
        return
    if optimizer.coordinatewise:
        with promised("coordinatewise"):
            yield from _joined(trial, np.array(path))


def _joined(trial: _Trial, whole: FloatArray) -> Iterator[tuple[str, str]]:
    """The same iterates when two replicas are joined, and when blocks of coordinates are cut out."""
    dim = trial.dim
    cuts = [("replicas are joined", np.array(trial.run(2))[:, :dim])]
    if dim > 1:
        k = dim // 2
        halves = [np.array(trial.run(1, cut)) for cut in (slice(0, k), slice(k, dim))]
        cuts.append(("coordinates are cut into two blocks", np.concatenate(halves, axis=1)))
    for what, found in cuts:
        if not np.allclose(found, whole, rtol=1e-9, atol=1e-12):
            t, j = np.unravel_index(int(np.argmax(np.abs(found - whole))), whole.shape)
            yield "coordinatewise", (
                f"coordinatewise=True, but w[{j}] is {whole[t, j]:.9g} after {t + 1} updates and {found[t, j]:.9g} "
                f"when {what}; leave coordinatewise=False unless each coordinate uses nothing but its own entries"
            )
            return
