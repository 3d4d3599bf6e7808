"""What do a model and a loss get of a batch? Pairs, several inputs, and the dictionaries of Hugging Face models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def inputs_and_targets(batch: Any) -> tuple[Any, Any]:
    """What the model and what the loss get of a batch: a pair (x, y), or a dictionary, which both get whole."""
    if isinstance(batch, Mapping):
        return dict(batch), dict(batch)
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ValueError(
            f"batch is a {type(batch).__name__}; expected a pair (x, y), used as loss(model(x), y), or a dictionary, "
            "used as loss(model(**batch), batch)"
        )
    return batch[0], batch[1]


def batch_length(batch: Any) -> int:
    """Number of samples in a batch: the length of its first tensor."""
    x = inputs_and_targets(batch)[0]
    while isinstance(x, (Mapping, tuple)):
        x = next(iter(x.values() if isinstance(x, Mapping) else x))
    return len(x)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Floating-point tensors of a batch in another type."""
    if isinstance(value, Mapping):
        return {key: cast(v, dtype) for key, v in value.items()}
    if isinstance(value, tuple):
        return tuple(cast(v, dtype) for v in value)
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def check_finite(value: Any, what: str) -> None:
    """Refuse NaN and infinity in a batch."""
    if isinstance(value, (Mapping, tuple)):
        for key, v in value.items() if isinstance(value, Mapping) else enumerate(value):
            check_finite(v, f"{what} {key!r}")
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise ValueError(f"{what} has {bad} of {value.numel()} entries that are not finite; remove or replace them")
