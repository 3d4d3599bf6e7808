"""What does a bound speak of? The measures: their formula, and how a run shows them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Measure(NamedTuple):
    """A quantity along a trajectory: LaTeX, plain text, and its name in a run."""

    latex: str
    text: str


_MEAN = r"\frac{1}{T}\sum_{t=1}^{T}\mathbb{E}\,"

MEASURES: dict[str, Measure] = {
    "mean_gap": Measure(_MEAN + r"f(w_t) - f^\star", "(1/T) sum_{t=1..T} E f(w_t) - f*"),
    "root_mean_gap": Measure(
        r"\mathbb{E}\Bigl(\frac{1}{T}\sum_{t=1}^{T} f(w_t) - f^\star\Bigr)^{1/2}",
        "E sqrt((1/T) sum_{t=1..T} f(w_t) - f*)",
    ),
    "mean_gap_after": Measure(
        r"\frac{1}{T}\sum_{t=2}^{T+1}\mathbb{E}\,f(w_t) - f^\star", "(1/T) sum_{t=2..T+1} E f(w_t) - f*"
    ),
    "average_gap": Measure(r"\mathbb{E}\,f(\bar w_T) - f^\star", "E f((w_1+..+w_T)/T) - f*"),
    "gap": Measure(r"\mathbb{E}\,f(w_{T+1}) - f^\star", "E f(w_{T+1}) - f*"),
    "gradient_l1": Measure(_MEAN + r"\|\nabla f(w_t)\|_1", "(1/T) sum_{t=1..T} E |grad f(w_t)|_1"),
    "gradient_l2": Measure(_MEAN + r"\|\nabla f(w_t)\|_2", "(1/T) sum_{t=1..T} E |grad f(w_t)|_2"),
    "gradient_l2_squared": Measure(_MEAN + r"\|\nabla f(w_t)\|_2^2", "(1/T) sum_{t=1..T} E |grad f(w_t)|_2^2"),
    "mean_gradient_nuclear": Measure(_MEAN + r"\|\nabla f(W_t)\|_*", "(1/T) sum_{t=1..T} E |grad f(W_t)|_*"),
}


def describe(measure: str, path: bool = False) -> Measure:
    """The formula of a measure, without its expectation for one path; a user's own statistic prints under its name."""
    own = Measure(rf"\mathbb{{E}}\,\mathrm{{{measure.replace('_', ' ')}}}", f"E {measure}")
    found = MEASURES.get(measure, own)
    return Measure(found.latex.replace(r"\mathbb{E}\,", ""), found.text.replace("E ", "")) if path else found


def observe(measure: str, run: Any) -> np.ndarray:
    """The values of `measure` in a run, ``(replicas, records)``.

    `mean_gap_after`, the mean of the gap over w_2..w_{t+1}, is not recorded but follows from what is:
    it equals ``mean_gap + (gap - initial_gap)/t``. Neither is `root_mean_gap`, the root of `mean_gap` path by path.
    """
    if measure == "mean_gap_after":
        return run["mean_gap"] + (run["gap"] - run.initial_gap) / np.asarray(run.steps)
    if measure == "root_mean_gap":
        return np.sqrt(np.maximum(run["mean_gap"], 0.0))
    return run[measure]
