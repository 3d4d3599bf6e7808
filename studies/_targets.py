"""When is the true squared gradient first at most a target, over all iterations and not only those recorded?"""

import numpy as np

import anisotropic as an

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)


@an.leaf
def first(w, gradient, params):
    return 1.0 if np.sum(gradient * gradient) <= TARGETS[0] else 0.0


@an.leaf
def second(w, gradient, params):
    return 1.0 if np.sum(gradient * gradient) <= TARGETS[1] else 0.0


@an.leaf
def third(w, gradient, params):
    return 1.0 if np.sum(gradient * gradient) <= TARGETS[2] else 0.0


@an.leaf
def fourth(w, gradient, params):
    return 1.0 if np.sum(gradient * gradient) <= TARGETS[3] else 0.0


MEASURES = {"first": first, "second": second, "third": third, "fourth": fourth}


def passages(run):
    """Median iterations and samples to each target; the running mean of "reached" knows of every iteration before."""
    rows = []
    for name in MEASURES:
        reached = run[f"mean_{name}"] > 0
        k, ever = reached.argmax(axis=1), reached.any(axis=1)
        rows.append([np.median(np.where(ever, run.steps[k], np.inf)),
                     np.median(np.where(ever, run.samples[np.arange(len(k)), k], np.inf))])  # fmt: skip
    return np.array(rows)
