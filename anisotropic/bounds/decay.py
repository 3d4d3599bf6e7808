"""How fast does each bound of the catalogue decay? What SymPy derives from the terms, kept so that a list needs none.

A test compares every row with the derivation (`Bound.rate`) and prints the row that a new bound needs.
"""

from __future__ import annotations

from typing import NamedTuple

Exponents = tuple[float, float, float]


class Decay(NamedTuple):
    """What a bound is about, and the exponents in T, M and d of its noise and of its bias part; None without terms."""

    measure: str
    noise: Exponents | None
    bias: Exponents | None


DECAY = {
    "convex_sgd": Decay("mean_gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_sgd_proj": Decay("mean_gap_after", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_diag_sgd": Decay("mean_gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_sgd_nonsmooth": Decay("mean_gap", (-0.5, 0.0, 1.0), (-0.5, 0.0, 1.0)),
    "pl_sgd": Decay("gap", None, None),
    "convex_adagrad": Decay("mean_gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_adagrad_active": Decay("mean_gap", (-0.5, -0.5, 1.0), (-0.5, 0.0, 1.0)),
    "convex_adagrad_norm": Decay("mean_gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_adagrad_nonsmooth": Decay("mean_gap", (-0.5, 0.0, 1.0), (-0.5, 0.0, 1.0)),
    "convex_adagrad_hp": Decay("mean_gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "nonconvex_sgd": Decay("gradient_l2_squared", (-0.5, -0.5, 0.5), (-1.0, 0.0, 0.0)),
    "nonconvex_diag_sgd": Decay("gradient_l1", None, None),
    "nonconvex_signsgd": Decay("gradient_l1", (0.0, -0.5, 1.0), (-0.5, 0.0, 0.5)),
    "nonconvex_signsgd_gaussian": Decay("gradient_l1", (0.0, -0.5, 1.0), (-0.5, 0.0, 0.5)),
    "nonconvex_adagrad": Decay("gradient_l1", (-0.25, -0.25, 0.75), (-0.5, 0.0, 0.5)),
    "nonconvex_adagrad_det": Decay("gradient_l1", (-0.5, 0.0, 1.0), (-0.5, 0.0, 1.0)),
    "nonconvex_adagrad_norm": Decay("gradient_l2", (-0.25, -0.25, 0.25), (-0.5, 0.0, 0.0)),
    "nonconvex_rmsprop": Decay("gradient_l1", None, None),
    "nonconvex_adagrad_gen": Decay("gradient_l1", None, None),
    "convex_adagrad_norm_free": Decay("mean_gap", (-1.0, 0.0, 2.0), (-1.0, 0.0, 2.0)),
    "convex_adagrad_free_separable": Decay("mean_gap", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)),
    "pl_adagrad": Decay("mean_gap", None, None),
    "sgd_separation_lower": Decay("average_gap", None, None),
    "adagrad_lower": Decay("mean_gap", None, None),
    "adagrad_every_step_lower": Decay("mean_gap", None, None),
    "sgd_every_step_lower": Decay("mean_gap", None, None),
    "sgd_every_schedule_lower": Decay("gap", None, None),
    "convex_adagrad_norm_free_variance": Decay("root_mean_gap", None, None),
    "convex_adagrad_free_variance": Decay("root_mean_gap", None, None),
    "convex_adagrad_norm_free_hp": Decay("mean_gap", None, None),
    "convex_adagrad_free_hp": Decay("mean_gap", None, None),
    "adagrad_drift_lower": Decay("mean_gap", None, None),
    "nonconvex_adagrad_lower": Decay("gradient_l1", None, None),
    "convex_asgo": Decay("mean_gap", (-0.5, -0.5, 0.0), (-1.0, 0.0, 0.0)),
    "convex_left_sgd": Decay("mean_gap", (-0.5, -0.5, 0.0), (-1.0, 0.0, 0.0)),
    "nonconvex_muon": Decay("mean_gradient_nuclear", (0.0, -0.5, 0.0), (-0.5, 0.0, 0.0)),
    "adagrad_norm_strong_growth": Decay("gradient_l2_squared", (-1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)),
    "adagrad_strong_growth": Decay("gradient_l1", (-0.5, 0.0, 0.0), (-0.5, 0.0, 0.0)),
    "convex_sgd_last": Decay("gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_sgd_last_proj": Decay("gap", (-0.5, -0.5, 1.0), (-1.0, 0.0, 1.0)),
    "convex_sgd_last_nonsmooth": Decay("gap", (-0.5, 0.0, 1.0), (-0.5, 0.0, 1.0)),
    "drori_teboulle_gd": Decay("gap", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)),
    "nesterov_gd": Decay("gap", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)),
    "nesterov_gd_short": Decay("gap", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)),
    "deklerk_gd": Decay("gap", None, None),
    "ghadimi_heavy_ball": Decay("gap", None, None),
    "abbaszadehpeivasti_gd_pl": Decay("gap", None, None),
}
