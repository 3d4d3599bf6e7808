"""What does one step's gradient show of its samples? Sums that decide a test, from norms or from single gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from ..._support.calling import arguments_for


class Seen(NamedTuple):
    """What a rule is asked with: one stand-in for the vector g where sums are enough, else the deciding coordinate.

    `used` is the number of samples that the gradient averages. Where `spread_known` is false there was one part only,
    whose `variance` says no more than whether the gradient is finite.
    """

    square: float
    variance: float
    projected_variance: float
    used: float
    spread_known: bool = True


def squared_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Sum of squares over several tensors, one number in at least float32 on their device."""
    wide = [t if t.dtype in (torch.float32, torch.float64) else t.float() for t in tensors]
    return torch.stack(torch._foreach_norm(wide)).square().sum()


def from_workers(mean_square: float, average_square: float, count: float, workers: int) -> Seen:
    """V = (count/workers) workers/(workers-1) (mean |g_m|^2 - |gbar|^2), of one sample in all coordinates."""
    variance = max(mean_square - average_square, 0.0) * count / (workers - 1)
    if not mean_square - average_square > -1e30:
        variance = float("nan")
    return Seen(average_square, variance, float("nan"), count)


class PerSample(NamedTuple):
    """Gradients of single samples, one ``(n, ...)`` tensor for each parameter, and their losses ``(n,)``."""

    gradients: list[Tensor]
    losses: Tensor


def per_sample_gradients(model: torch.nn.Module, loss: Callable[..., Tensor], batch: Any) -> PerSample:
    """Gradient of ``loss(model(x), y)`` for each sample by itself, by vmap over grad.

    A dictionary x is passed as ``model(**x)``; a batch that is a dictionary gives ``loss(model(**batch), batch)``.

    Raises
    ------
    ValueError
        On a loss of one sample that is not one number, batch norm in training mode, and activation checkpointing.
    """
    _refuse_batch_norm(model)
    x, *targets = (batch, batch) if isinstance(batch, Mapping) else batch
    trained = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    fixed = frozen | {n: b.detach() for n, b in model.named_buffers()}

    def one(parameters: dict[str, Tensor], x: Any, *targets: Any) -> Tensor:
        output = functional_call(model, parameters | fixed, *arguments_for(model.forward, _batch_of_one(x)))
        value = loss(output, *(_batch_of_one(y) for y in targets))
        if value.ndim:
            raise ValueError(f"the loss of one sample has shape {tuple(value.shape)}; expected one number: reduce it, "
                             "for example with .mean()")  # fmt: skip
        return value

    axes = (None, 0, *(0 for _ in targets))
    each = vmap(grad_and_value(one), in_dims=axes, randomness="different")
    try:
        found, losses = each(trained, *map(_plain, (x, *targets)))
    except RuntimeError as error:
        if "saved tensor hooks" not in str(error):
            raise
        raise ValueError(
            "single gradients cannot be taken through activation checkpointing; switch it off, or feed the controller "
            "by micro_batch"
        ) from error
    return PerSample([found[n] for n in trained], losses.detach())


def _refuse_batch_norm(model: torch.nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.training:
            raise ValueError(
                f"{name!r} is a batch norm in training mode, which couples the samples of a batch, so that none has a "
                "gradient of its own; put it into evaluation mode, or feed the controller by micro_batch"
            )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _batch_of_one(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: v.unsqueeze(0) for key, v in value.items()}
    return tuple(v.unsqueeze(0) for v in value) if isinstance(value, tuple) else value.unsqueeze(0)


def total_gradients(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Sums over samples, by a product with ones: faster than a reduction over the first axis."""
    ones = gradients[0].new_ones(gradients[0].shape[0])
    return [(ones.to(g.dtype) @ g.flatten(1)).view(g.shape[1:]) for g in gradients]


def moments(
    gradients: list[Tensor], mean: list[Tensor], count: float, sums: Callable[[Tensor], Tensor], projected: bool
) -> tuple[float, float, float]:
    """|mean|^2, V, and the variance of the projections onto `mean` (NaN unless asked), of `count` samples in all ranks.

    Projections are those of whole gradients: a sum over layers first, its variance afterwards.
    """
    square = float(squared_norm(mean))
    parts = [squared_norm(gradients).double()]
    if projected:
        pairs = zip(gradients, mean, strict=True)
        inner = torch.stack([g.flatten(1) @ m.flatten().to(g.dtype) for g, m in pairs]).sum(dim=0).double()
        parts.append((inner - square).square().sum())
    total = sums(torch.stack(parts)).tolist()
    variance = max(total[0] - count * square, 0.0) / (count - 1) if total[0] == total[0] else float("nan")
    return square, variance, total[1] / (count - 1) if projected else float("nan")


def worst_coordinate(
    gradients: list[Tensor], mean: list[Tensor], count: float, sums: Callable[[Tensor], Tensor], rule: Any
) -> tuple[float, float]:
    """g_j^2 and V_j of the coordinate that asks for the largest batch under the coordinate test."""
    best, found = -1.0, (0.0, 0.0)
    for g, m in zip(gradients, mean, strict=True):
        V = sums((g - m).square().sum(dim=0).double()) / (count - 1)
        square = m.double().square()
        seen = (square - V / count).clamp(min=0) if rule.params.unbiased else square
        ratio = (V / (seen + rule.params.floor)).flatten()
        j = int(torch.argmax(ratio))
        if not float(ratio[j]) <= best:
            best, found = float(ratio[j]), (float(square.flatten()[j]), float(V.flatten()[j]))
    return found
