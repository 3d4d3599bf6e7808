"""Do these nouns fit together? Refused with a sentence before anything is compiled."""

from __future__ import annotations

import warnings

import numpy as np

from ..batching.resize import LARGEST
from ..records import BatchRule, FloatArray, Noise, Objective, float_vector


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


def check_setup(objective: Objective, noise: Noise, start: FloatArray, batch_size: int) -> None:
    """Refuse a start outside the box, and noise that does not fit the objective or the batch size."""
    if not isinstance(noise, Noise):
        raise TypeError(f"noise = {noise!r}; expected a Noise such as an.noises.gaussian(1.0)")
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
