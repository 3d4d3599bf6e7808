"""Which modules multiply their input by a matrix, and what passes through them in one forward pass?

PyTorch's linear layers do, and so does any module with one matrix whose output says so: Hugging Face's Conv1D, which is
x W + b, or a linear layer written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Captured:
    """A linear module in the forward pass: its input, its output, and an additive `shift` (zero) of that output.

    `transposed` says that the weight is (inputs, units), as in x W. `curvature` keeps what
    `shortcuts.linear_diagonal` has found, once `examined`.
    """

    def __init__(self) -> None:
        self.calls, self.examined, self.transposed = 0, False, False
        self.curvature: tuple[torch.Tensor, str] | None = None
        self.x: torch.Tensor
        self.output: torch.Tensor
        self.shift: torch.Tensor
        self.gradient: torch.Tensor


@contextmanager
def capturing(model: nn.Module, captured: dict[str, Captured]) -> Iterator[None]:
    """Record every linear module of the forward passes inside, by name."""

    def hook(name: str) -> Callable[..., Any]:
        def shifted(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            transposed = _is_transposed(module, inputs, output)
            if transposed is None:
                return output
            seen = captured.setdefault(name, Captured())
            seen.calls, seen.transposed = seen.calls + 1, transposed
            seen.x, seen.shift = inputs[0].detach(), torch.zeros_like(output, requires_grad=True)
            seen.output = output + seen.shift
            return seen.output

        return shifted

    matrices = [(name, module) for name, module in model.named_modules() if _has_one_matrix(module)]
    handles = [module.register_forward_hook(hook(name)) for name, module in matrices]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _has_one_matrix(module: nn.Module) -> bool:
    own = dict(module.named_parameters(recurse=False))
    alone = set(own) <= {"weight", "bias"} and not list(module.children())
    return alone and "weight" in own and own["weight"].ndim == 2


def _is_transposed(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> bool | None:
    """Whether a module computes x W + b rather than x W^T + b; None if neither. Judged by its output alone."""
    if isinstance(module, nn.Linear):
        return False if inputs else None
    own, x = dict(module.named_parameters(recurse=False)), inputs[0] if inputs else None
    W, bias = own["weight"], own.get("bias", 0.0)
    if not isinstance(x, torch.Tensor) or not isinstance(output, torch.Tensor) or not x.is_floating_point():
        return None
    for transposed, matrix in ((True, W), (False, W.T)):
        if (x.shape[-1], output.shape[-1]) == tuple(matrix.shape) and x.shape[:-1] == output.shape[:-1]:
            with torch.no_grad():
                error = (x @ matrix + bias - output).abs().max()
                if error <= 1e3 * torch.finfo(output.dtype).eps * output.abs().max():
                    return transposed
    return None
