"""Does a batch rule answer with a usable batch, from its own history and without touching the gradient?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...records import BatchRule
from .findings import Finding
from .guarded import Fault, Guarded, compilable
from .optimizer import sizes


def check_batch_rule(rule: BatchRule, dim: int | None = None, seed: int = 0) -> Iterator[Finding]:
    """Everything found wrong with a batch rule."""
    name = f"batch rule '{rule.name}'"
    for d in sizes(rule.params, dim)[:2]:
        try:
            found = list(_check(rule, d, seed))
        except Fault as fault:
            slots = f"; history has slots = {rule.slots} rows: declare as many as it uses"
            found = [(fault.rule, fault.sentence + (slots if fault.rule == "bounds" else ""))]
        yield from (Finding(name, rule_broken, sentence) for rule_broken, sentence in found)
        if found:
            return


#: Sizes of gradient and noise that are asked about, in the order of the iterations.
SITUATIONS = ((1.0, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))


def _check(rule: BatchRule, dim: int, seed: int) -> Iterator[tuple[str, str]]:
    decide = Guarded(compilable(rule.decide), "decide", ("history",))
    rng, batch = np.random.default_rng(seed), rule.start
    for population in (0, 1000):
        history = np.zeros((rule.slots, dim))
        for t, (gradient_scale, noise_scale) in enumerate(SITUATIONS, 1):
            gradient = gradient_scale * rng.standard_normal(dim)
            variance = noise_scale * rng.uniform(0.5, 2.0, dim)
            projected = np.float64(gradient**2 @ variance)
            wanted = decide.number(
                batch=batch, gradient=gradient, variance=variance, projected_variance=projected, population=population,
                t=t, history=history, params=rule.params,
            )  # fmt: skip
            if math.isnan(wanted) or wanted < 0.0:
                yield "finite", (
                    f"the wanted batch is {wanted:g} at t = {t} for a batch of {batch} with |gradient|^2 = "
                    f"{gradient @ gradient:.3g} and total variance {variance.sum():.3g}; expected a number of at least "
                    "0"
                )
                return
