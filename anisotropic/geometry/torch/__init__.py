"""R_med of PyTorch models: per layer with intervals, along training, and an anisotropy report. Extra `torch`."""

from ..._support.extras import require

require("torch", "torch")

from .measure import hessian_diagonal, r_med  # noqa: E402
from .report import AnisotropyReport, LayerAnisotropy, anisotropy  # noqa: E402
from .tracking import Tracker, track  # noqa: E402

__all__ = ["AnisotropyReport", "LayerAnisotropy", "Tracker", "anisotropy", "hessian_diagonal", "r_med", "track"]
