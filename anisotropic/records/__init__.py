"""What are the nouns? Frozen records for a problem, a noise, an optimizer, and for the two results.

Everything here is NumPy only, so that a notebook can hold, pickle and inspect a record without starting a compiler.
"""

from __future__ import annotations

from .batch_rule import BatchRule
from .checks import (
    FloatArray,
    box_bounds,
    count,
    float_parameter,
    float_vector,
    length,
    numbers,
    seed_number,
    sound_sparse,
)
from .facts import Facts
from .functions import module_level, takes_shape
from .iterations import factors, reads, refuse_longer, watches_loss
from .matrices import effective_rank, positive_semidefinite, shape_of, top_eigenvalues
from .nouns import Noise, NoParameters, Objective, Optimizer, Schedule
from .run import Run, load
from .spread import initial_state, row_of, spread, with_shape
from .verdict import TermCheck, Verdict

__all__ = [
    "BatchRule",
    "Facts",
    "FloatArray",
    "NoParameters",
    "Noise",
    "Objective",
    "Optimizer",
    "Run",
    "Schedule",
    "TermCheck",
    "Verdict",
    "box_bounds",
    "count",
    "effective_rank",
    "factors",
    "float_parameter",
    "float_vector",
    "initial_state",
    "length",
    "load",
    "module_level",
    "numbers",
    "positive_semidefinite",
    "reads",
    "refuse_longer",
    "row_of",
    "seed_number",
    "shape_of",
    "sound_sparse",
    "spread",
    "takes_shape",
    "top_eigenvalues",
    "watches_loss",
    "with_shape",
]
