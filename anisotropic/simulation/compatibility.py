"""Do these nouns fit together? Refused with a sentence before anything is compiled."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._support.names import nearest
from ..batching.resize import LARGEST
from ..records import BatchRule, FloatArray, Noise, Objective, Optimizer, count, float_vector
from ..records.vocabulary import OPTIMIZERS

#: Running means on rows are worth a warning from so many rows in all, at so many times the rows of the batches.
DEAR_ROWS, DEAR_RATIO = 10**8, 8

_EXAMPLES = {
    "objective": (Objective, "an.problems.quadratic([1.0, 0.5])"),
    "optimizer": (Optimizer, "an.optimizers.adagrad(0.5)"),
    "noise": (Noise, "an.noises.gaussian(1.0)"),
}


def check_nouns(objective: Any, optimizer: Any, noise: Any) -> None:
    """Refuse what is not an objective, optimizer or noise: a name, a factory that was not called, swapped arguments."""
    if isinstance(objective, Optimizer) and isinstance(optimizer, Objective):
        raise TypeError("objective and optimizer are swapped; write simulate(objective, optimizer, ...)")
    for what, given in (("objective", objective), ("optimizer", optimizer), ("noise", noise)):
        kind, example = _EXAMPLES[what]
        article = "a" if kind is Noise else "an"
        if isinstance(given, kind):
            continue
        home, name = str(getattr(given, "__module__", "")), getattr(given, "__name__", "")
        if callable(given) and home.startswith("anisotropic.") and name:
            raise TypeError(f"{what} = {name} is a factory; call it first, as in {example}")
        shown = repr(given) if len(repr(given)) < 80 else f"an object of type {type(given).__name__}"
        hint = nearest(given, OPTIMIZERS) if what == "optimizer" and isinstance(given, str) else ""
        if isinstance(given, str) and given in OPTIMIZERS:
            hint = f"; pass an.optimizers.{given}(step_size)"
        raise TypeError(f"{what} = {shown}; expected {article} {kind.__name__}, such as {example}{hint}")


def batch_number(batch_size: Any) -> int:
    """A batch size as an int; larger ones than a 64-bit counter holds are refused."""
    if callable(batch_size):
        name = getattr(batch_size, "__name__", repr(batch_size))
        raise TypeError(f"batch_size = {name} is a function; pass a whole number or a rule: an.batching.norm_test(0.5)")
    return count(batch_size, "batch_size", high=LARGEST)


def largest_batch(rule: BatchRule, objective: Objective, noise: Noise) -> int:
    """The largest batch that rule, law and data allow."""
    caps = (rule.max_batch, noise.max_batch, objective.samples if noise.law == "rows" else None)
    return min((c for c in caps if c is not None), default=LARGEST)


def check_rule(rule: BatchRule, objective: Objective, noise: Noise, cap: int) -> None:
    """Refuse a batch rule that this noise cannot serve; warn where the test is blind."""
    if rule.start > cap:
        raise ValueError(
            f"the batch rule starts at {rule.start}, above the {cap} that {noise.name} noise and the data allow; "
            "start lower"
        )
    if not rule.exact and noise.law not in ("gaussian", "rows", "none"):
        raise ValueError(
            f"the {rule.form} form of the {rule.name} needs sample variances, which are drawn for gaussian, affine and "
            f"minibatch noise; {noise.name} noise has none: use form='exact'"
        )
    if rule.exact and noise.sigma is None and noise.law != "rows":
        raise ValueError(f"the exact form of the {rule.name} needs sigma, which {noise.name} noise does not state")
    theta = getattr(rule.params, "theta", None)
    if theta is not None and noise.sigma is not None and rule.form == "plug_in":
        variances = float_vector(noise.sigma, objective.dim, "sigma", low=0.0) ** 2
        rank = float(variances.sum() ** 2 / max((variances**2).sum(), 1e-300))
        reach = max(1, rule.params.backup) / theta**2
        if rank > reach and rule.params.nu >= 1.0:
            warnings.warn(
                f"the inner-product test with theta = {theta:g}, nu = {rule.params.nu:g} is blind at the noise floor: "
                f"the noise has effective rank {rank:.1f}, above {reach:.3g}; use a smaller theta and nu < 1, "
                "or the norm test",
                stacklevel=3,
            )


def warn_of_full_passes(objective: Objective, noise: Noise, steps: int, batch_size: int, replicas: int) -> None:
    """Say before it starts that running means over rows cost far more than the iterations themselves."""
    rows = objective.samples or 0
    if noise.law == "rows" and rows >= DEAR_RATIO * batch_size and rows * steps * replicas >= DEAR_ROWS:
        warnings.warn(
            f"running means evaluate all {rows:,} rows at each of {steps:,} iterations, {rows / batch_size:,.0f} times "
            f"the rows of the batches ({batch_size:,}); cheaper: running_means=False, and for tune and race "
            "measure='average_gap' or 'gap', which look at the rows at the records only",
            stacklevel=3,
        )


def check_setup(objective: Objective, noise: Noise, start: FloatArray, batch_size: int) -> None:
    """Refuse a start outside the box, and noise that does not fit the objective or the batch size."""
    if objective.box is not None:
        lo, hi = objective.box
        outside = (start < lo) | (start > hi)
        if outside.any():
            j = int(np.argmax(outside))
            raise ValueError(
                f"start[{j}] = {start[j]:g} lies outside the box [{lo[j]:g}, {hi[j]:g}]; "
                "start inside it, or clip the start"
            )
    if noise.max_batch is not None and batch_size > noise.max_batch:
        raise ValueError(
            f"batch_size = {batch_size} is above {noise.max_batch}, the most that {noise.name} noise draws one by one; "
            "use a smaller batch, or gaussian noise for the limit"
        )
    if noise.law == "rows":
        if objective.samples is None or objective.sample_gradient is None:
            raise ValueError(
                f"minibatch noise needs a finite sum; {objective.name} has no rows, use e.g. an.noises.gaussian"
            )
        if not noise.replace and batch_size > objective.samples:
            raise ValueError(
                f"batch_size = {batch_size} exceeds the {objective.samples} rows; "
                "without replacement it can be at most that"
            )
