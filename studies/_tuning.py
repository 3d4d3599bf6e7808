"""Which step size of a grid is best? For runs that `an.race` does not make, such as the training of PyTorch models."""

import numpy as np


def best_of(grid, final):
    """The step size with the smallest `final(step_size)`, whether it lies at the edge of its grid, and all values."""
    values = np.array([final(step_size) for step_size in grid], dtype=float)
    best = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
    return grid[best], best in (0, len(grid) - 1), values


def say_edges(results, labels):
    """Say which tuned step sizes lie at the edge of their grids; the labels may repeat."""
    found = list(dict.fromkeys(labels))
    results.say(
        f"{len(found)} tuned step sizes lie at the edge of their grids: {'; '.join(found)}." if found
        else "No tuned step size lies at the edge of its grid."
    )
