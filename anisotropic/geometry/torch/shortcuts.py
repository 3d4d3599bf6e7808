"""Where is a layer's exact diagonal cheap? Output layers in one matrix product, token-local layers by units.

For z = x W^T + b at rows n (samples, or samples and tokens) the Hessian's diagonal is

    H[W_ij, W_ij] = sum_{n, n'} x_nj K^i_{n n'} x_n'j,      K^i_{n n'} = d^2 loss / dz_ni dz_n'i.

Where no row influences another behind z, K^i is diagonal and one product per unit i gives a whole row of W; whether it
is, is checked on the loss itself. Derivation: docs/theory/geometry_estimators.md.
"""

from __future__ import annotations

import torch

from .graph import Captured, LossGraph, derivative, refuse_memory


def linear_diagonal(
    graph: LossGraph, name: str, bias: bool, most_units: int | None = None
) -> tuple[torch.Tensor, str] | None:
    """Exact diagonal of the weight (or bias) of the linear module `name`, and how; None where rows interact.

    Also None where one product per unit would be needed for more than `most_units` of them.
    """
    seen = graph.captured.get(name)
    if seen is None or seen.calls != 1:
        return None
    if not seen.examined:
        seen.curvature, seen.examined = _row_curvature(seen, graph.eps, most_units), True
    if seen.curvature is None:
        return None
    per_row, method = seen.curvature
    if bias:
        return per_row.sum(dim=0), method
    diagonal = per_row.T @ _rows(seen.x) ** 2
    return diagonal.T if seen.transposed else diagonal, method


def _row_curvature(seen: Captured, eps: float, most_units: int | None) -> tuple[torch.Tensor, str] | None:
    """K^i_nn as a (rows, units) matrix and the method, or None where rows interact or units are too many."""
    found = softmax_curvature(seen, eps)
    if found is not None:
        return found, "output layer"
    if most_units is not None and seen.shift.shape[-1] > most_units:
        return None
    return (unit_curvature(seen), "units") if rows_are_separate(seen, eps) else None


def softmax_curvature(seen: Captured, eps: float) -> torch.Tensor | None:
    """d^2 loss / dz_nc^2 = w_n p_nc (1 - p_nc) where the loss is a cross-entropy of these outputs, else None.

    Recognized by its Hessian, not by a name or a place in the model: for normal v, H v must equal
    w_n (p * v - p <p, v>) in every row, for some weight w_n; so any reduction, ignored or shifted tokens, smoothed
    labels and outputs inside of a record are covered.
    """
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(seen.shift.shape, generator=generator, dtype=torch.float64).to(seen.shift)
    product, v = _rows(derivative(seen.gradient, seen.shift, v)), _rows(v)
    p = torch.softmax(_rows(seen.output.detach()), dim=1)
    shape = p * v - p * (p * v).sum(dim=1, keepdim=True)
    norm = (shape**2).sum(dim=1, keepdim=True)
    weight = (shape * product).sum(dim=1, keepdim=True) / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    error = (product - weight * shape).abs().max()
    if not error <= 1e4 * eps * product.abs().max():
        return None
    return weight * p * (1 - p)


def rows_are_separate(seen: Captured, eps: float) -> bool:
    """Whether the loss has no second derivative between different rows of z.

    For each bit of the row number, random v on the rows with that bit must give H v = 0 on the others: every pair of
    rows differs in a bit, so log2(rows) products decide, up to an event of probability zero.
    """
    rows, units = _rows(seen.shift).shape
    number = torch.arange(rows, device=seen.shift.device)
    generator = torch.Generator().manual_seed(2)
    for bit in range((rows - 1).bit_length()):
        inside = (number >> bit) & 1 == 1
        v = torch.randn(rows, units, generator=generator, dtype=torch.float64).to(seen.shift)
        v[~inside] = 0.0
        product = _rows(derivative(seen.gradient, seen.shift, v.reshape(seen.shift.shape)))
        scale = product[inside].abs().max()
        if product[~inside].abs().max() > 1e3 * eps * scale:
            return False
    return True


def unit_curvature(seen: Captured) -> torch.Tensor:
    """K^i_nn as a (rows, units) matrix, for separate rows: one product per unit, which serves all rows at once."""
    refuse_memory(4 * seen.shift.numel() * seen.shift.element_size(), seen.shift.device)
    curvature, v = torch.empty_like(_rows(seen.shift)), torch.zeros_like(seen.shift)
    for i in range(v.shape[-1]):
        v[..., i] = 1.0
        curvature[:, i] = _rows(derivative(seen.gradient, seen.shift, v))[:, i]
        v[..., i] = 0.0
    return curvature


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1, tensor.shape[-1])
