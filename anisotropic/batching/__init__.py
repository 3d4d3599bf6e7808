"""When should the batch grow? Rules that test the gradient in hand, for `simulate` and for a user's training loop.

`torch` (extra `torch`) drives a PyTorch loop by the same rules; it is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .rules import coordinate_norm_test, inner_product_test, noise_scale, norm_test

__all__ = ["coordinate_norm_test", "inner_product_test", "noise_scale", "norm_test", "torch"]


def __getattr__(name: str) -> Any:
    if name == "torch":
        return import_module(f"{__name__}.torch")
    raise AttributeError(f"module 'anisotropic.batching' has no name {name!r}; it has {', '.join(__all__)}")
