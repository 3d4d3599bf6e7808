"""What is R_med of each layer of a PyTorch model? Exact where a shortcut applies, with an interval elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from ...records import FloatArray
from ..estimate import DEFAULT_ENTRIES, estimate_r_med
from ..estimators import exact_entries
from ..statistic import RMed, r_med as r_med_of
from .graph import Loss, LossGraph, default_dtype, layer_names, no_gradient
from .shortcuts import linear_diagonal

#: An exact diagonal by units may take this many times the products of an estimate.
UNITS_WORTH = 10


def r_med(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    layers: Iterable[str] | str | None = None,
    *,
    entries: int = DEFAULT_ENTRIES,
    probes: int = 64,
    exact: int = 32,
    level: float = 0.05,
    width: float | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> dict[str, RMed]:
    """R_med of each parameter matrix at the model's present weights, in float64, without changing the model.

    Linear layers behind which rows (samples, or tokens) do not influence each other get their exact diagonal: the
    output layer of a cross-entropy in one matrix product, others by one Hessian-vector product per unit, if that takes
    at most 10 times the products of an estimate. Every other layer is estimated by
    `anisotropic.geometry.estimate_r_med` within its own Hessian block. `RMed.method` says which.
    Exact diagonals are compared with three entries evaluated directly, and dropped for the estimate where they differ.
    Entries below 4 eps times the largest entry of H v, v random signs over all layers, count as structural zeros. Here
    eps is that of the coarsest operation: float32's in models that compute norms or losses in float32 whatever they
    are given.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode if it has dropout or batch norm.
    loss : callable
        Called as ``loss(model(x), y)``; returns one number. The output may be a record with ``.logits``.
    batch : pair (x, y), or dictionary
        A tuple x is several inputs, ``model(*x)``, a dictionary x named ones, ``model(**x)``, where the signature of
        the model's forward takes them. Of a batch that is a
        dictionary both get everything: ``loss(model(**batch), batch)``, with ``lambda output, batch: output.loss`` for
        a Hugging Face model that is given its labels.
    layers : names of parameters or modules, optional
        Every trained matrix by default; a module's name stands for the matrices inside it, and either name of a tied
        weight for the one weight, which the result calls by its first name.
    entries, probes, exact, level, width, seed
        Of `anisotropic.geometry.estimate_r_med`.
    dtype : torch.dtype, optional
        float64 wherever the device has it.

    Returns
    -------
    dict
        Parameter name -> RMed with `.interval`.

    Raises
    ------
    ValueError
        If the model drops units at random or normalises over the batch, the loss is random, not one number or not
        finite, the batch has NaN, a parameter is half precision, unknown, frozen or unused.
    MemoryError
        If second derivatives of this batch would not fit; before they are computed.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 1)
    >>> result = r_med(model, torch.nn.functional.mse_loss, (x, y))["weight"]      # diagonal (1, 9): 9 / 5
    >>> round(result.value, 12), result.method
    (1.8, 'units')
    """
    names = layer_names(model, layers)
    graph = LossGraph(model, loss, batch, names, dtype or default_dtype(model))
    names = _connected(graph, names, named=layers is not None)
    floor = graph.rounding()
    found = {}
    for name in names:
        diagonal, method = _shortcut(graph, name, floor, UNITS_WORTH * (entries + probes + exact))
        if diagonal is not None:
            found[name] = r_med_of(diagonal, zero_below=floor)._replace(method=method)
            continue
        size = graph.parameters[name].numel()
        found[name] = estimate_r_med(
            graph.product(name),
            size,
            entries=entries,
            probes=probes,
            exact=exact,
            level=level,
            width=width,
            zero_below=floor,
            seed=seed,
        )
    return found


def hessian_diagonal(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    layers: Iterable[str] | str | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> dict[str, FloatArray]:
    """Exact Hessian diagonals, one array per parameter, of the parameter's shape.

    By the shortcuts of `r_med` where they apply; elsewhere one Hessian-vector product per entry, which is slow for
    large layers.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 1)
    >>> diagonals = hessian_diagonal(model, torch.nn.functional.mse_loss, (x, y), ["weight", "bias"])
    >>> diagonals["weight"], diagonals["bias"]
    (array([[1., 9.]]), array([2.]))
    """
    names = layer_names(model, layers)
    graph = LossGraph(model, loss, batch, names, dtype or default_dtype(model))
    result, floor = {}, graph.rounding()
    for name in _connected(graph, names, named=layers is not None):
        diagonal = _shortcut(graph, name, floor)[0]
        shape = tuple(graph.parameters[name].shape)
        if diagonal is None:
            diagonal = exact_entries(graph.product(name), graph.parameters[name].numel())
        result[name] = diagonal.reshape(shape)
    return result


def _connected(graph: LossGraph, names: list[str], *, named: bool) -> list[str]:
    unused = [name for name in names if graph.gradients[name] is None]
    if unused and (named or len(unused) == len(names)):
        raise ValueError(no_gradient(unused[0]))
    if unused:
        warnings.warn(
            f"left out, since the loss on this batch does not depend on them: {', '.join(unused)}",
            UserWarning,
            stacklevel=3,
        )
    return [name for name in names if name not in unused]


def _shortcut(
    graph: LossGraph, name: str, floor: float, most_units: int | None = None
) -> tuple[FloatArray | None, str]:
    """Exact diagonal of a linear module's weight or bias, confirmed at its largest entry and two others."""
    module, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None, ""
    found = linear_diagonal(graph, module, kind == "bias", most_units)
    if found is None:
        return None, ""
    diagonal = found[0].double().cpu().numpy().ravel()
    largest = int(np.argmax(np.abs(diagonal)))
    index = np.unique([largest, *np.random.default_rng(0).integers(0, diagonal.size, 2)])
    error = np.abs(exact_entries(graph.product(name), diagonal.size, index) - diagonal[index]).max()
    if error > 1e5 * graph.eps * max(abs(diagonal[largest]), floor):
        return None, ""
    return diagonal, found[1]
