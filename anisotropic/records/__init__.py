"""What are the nouns? Frozen records for a problem, a noise, an optimizer, and for the two results.

Everything here is NumPy only, so that a notebook can hold, pickle and inspect a record without starting a compiler.
"""

from __future__ import annotations

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
from .functions import module_level
from .iterations import factors, reads, refuse_longer, watches_loss
from .nouns import BatchRule, Noise, NoParameters, Objective, Optimizer, Schedule
from .run import Run, load
from .spread import initial_state, spread
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
    "factors",
    "float_parameter",
    "float_vector",
    "initial_state",
    "length",
    "load",
    "module_level",
    "numbers",
    "reads",
    "refuse_longer",
    "seed_number",
    "sound_sparse",
    "spread",
    "watches_loss",
]
