"""How anisotropic is a model's loss, layer by layer? Curvature, gradient noise, and what they mean for the optimizer.

The ratios are those in which bounds for AdaGrad and SGD differ under coordinate-wise constants (arXiv 2406.15244): on
a cube the smooth terms compare as mean_j L_j / max_j L_j, the noise terms as ||sigma||_1 / (sqrt(d) ||sigma||_2). Here
L_j is read off one point: a local proxy, no certificate.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ...records import FloatArray
from ..statistic import RMed
from .graph import Loss, default_dtype, first_derivatives, layer_names
from .inputs import batch_length
from .measure import r_med

Interval = tuple[float, float]


class LayerAnisotropy(NamedTuple):
    """One layer at one point.

    `r_med` and `smoothness_interval` hold with the confidence asked for, for finite samples. The other two intervals
    are the estimate and two standard errors to both sides: a scale, with no confidence claimed. With 4 to 24 batches
    the one of the noise ratio held in 79 to 100 % of simulated cases, depending on how noise is correlated.

    Attributes
    ----------
    size : int
        d, the number of entries.
    r_med : RMed
        Of |diag H|.
    smoothness_ratio : float
        mean_j |H_jj| / max_j |H_jj|, in [1/d, 1]: the smaller, the more step sizes per coordinate can gain.
    smoothness_interval : (float, float)
        From the joint intervals of mean and maximum in `r_med`.
    smoothness_dimension : float
        sum_j |H_jj| / max_j |H_jj|.
    row_sum : float
        Mean over random signs s of sum_j |(H s)_j|, by secants of the gradient over the whole model: what a joint move
        of all coordinates feels. Far above d * mean |H_jj|, the diagonal alone understates L.
    row_sum_interval : (float, float)
        Two standard errors over the signs.
    noise_l1 : float
        ||sigma||_1, sigma_j the standard deviation of one sample's gradient.
    noise_ratio : float
        ||sigma||_1 / (sqrt(d) ||sigma||_2), in [1/sqrt(d), 1].
    noise_interval : (float, float)
        Two standard errors, by the jackknife over batches.
    noise_dimension : float
        (||sigma||_1 / ||sigma||_2)^2.
    """

    size: int
    r_med: RMed
    smoothness_ratio: float
    smoothness_interval: Interval
    smoothness_dimension: float
    row_sum: float
    row_sum_interval: Interval
    noise_l1: float
    noise_ratio: float
    noise_interval: Interval
    noise_dimension: float


class AnisotropyReport(NamedTuple):
    """Layers by name, the batch size that sigma refers to, and one paragraph of advice; printing shows a table."""

    layers: dict[str, LayerAnisotropy]
    batch_size: int
    advice: str

    def __str__(self) -> str:
        width = max(len(name) for name in (*self.layers, "layer"))
        lines = [f"{'layer':<{width}} {'size':>8} {'R_med':>7} {'interval':>15} {'mean/max':>8} {'noise':>5}"]
        for name, a in self.layers.items():
            low, high = a.r_med.interval
            lines.append(
                f"{name:<{width}} {a.size:>8} {a.r_med.value:>7.3g} {f'{low:.3g} to {high:.3g}':>15} "
                f"{a.smoothness_ratio:>8.2g} {a.noise_ratio:>5.2f}"
            )
        lines.append("mean/max: of |H_jj|, the smoothness ratio; noise: the noise ratio")
        return "\n".join([*lines, "", *textwrap.wrap(self.advice, 80)])


def anisotropy(
    model: nn.Module,
    loss: Loss,
    batches: Sequence[Any],
    layers: Iterable[str] | str | None = None,
    *,
    secants: int = 8,
    radius: float = 1e-4,
    level: float = 0.05,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> AnisotropyReport:
    """Measure curvature and gradient noise per coordinate, layer by layer, at the model's present weights.

    Parameters
    ----------
    model, loss, layers
        As for `r_med`.
    batches : sequence of at least 3 pairs (x, y), or dictionaries, of equal size
        The curvature is that of the first; the noise comes from the spread of the gradient between them.
    secants : int
        Random sign directions for `row_sum`, at least 2.
    radius : float
        Length of a secant in each coordinate, relative to the root mean square of all weights.
    level : float
        1 - confidence of `r_med` and of `smoothness_interval`.
    **options
        Passed to `r_med`.

    Raises
    ------
    ValueError
        On fewer than 3 batches or batches of different sizes, and as for `r_med`.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 1)
    >>> report = anisotropy(model, torch.nn.functional.mse_loss, [(x, y), (x, y + 1), (x, y - 1)])
    >>> layer = report.layers["weight"]                                                       # H = diag(1, 9)
    >>> round(layer.smoothness_ratio, 6), round(layer.row_sum, 4), report.batch_size
    (0.555556, 10.0, 2)
    """
    batches = list(batches)
    if len(batches) < 3 or secants < 2:
        raise ValueError(f"{len(batches)} batches and {secants} secants; expected at least 3 batches and 2 secants")
    sizes = {batch_length(batch) for batch in batches}
    if len(sizes) > 1:
        raise ValueError(f"the batches have {sorted(sizes)} samples; expected equal sizes")
    batch_size, names = sizes.pop(), layer_names(model, layers)
    diagonals = r_med(model, loss, batches[0], names, level=level, seed=seed, dtype=dtype, **options)
    dtype = dtype or default_dtype(model)
    gradients = [first_derivatives(model, loss, batch, names, dtype) for batch in batches]
    rows = _row_sums(model, loss, batches[0], names, dtype, secants, radius, seed)
    found = {}
    for name in names:
        sample = np.stack([g[name] for g in gradients])
        found[name] = _layer(diagonals[name], rows[name], sample, batch_size)
    return AnisotropyReport(found, batch_size, _advice(found))


def _layer(diagonal: RMed, rows: FloatArray, sample: FloatArray, batch_size: int) -> LayerAnisotropy:
    d = diagonal.size
    ratio = diagonal.mean / diagonal.maximum if diagonal.maximum > 0 else math.nan
    (mean_low, mean_high), (low, high) = diagonal.mean_interval, diagonal.maximum_interval
    smooth = (mean_low / high, min(1.0, mean_high / low)) if low > 0 else (math.nan, math.nan)
    l1, l2 = _noise_norms(sample, batch_size)
    leave_out = [_noise_norms(np.delete(sample, b, axis=0), batch_size) for b in range(len(sample))]
    noise = min(1.0, _ratio(l1, l2, d))
    jackknife = np.array([_ratio(a, b, d) for a, b in leave_out])
    k = len(jackknife)
    half = 2 * math.sqrt((k - 1) / k * float(np.sum((jackknife - jackknife.mean()) ** 2)))
    spread = 2 * float(rows.std(ddof=1)) / math.sqrt(rows.size)
    return LayerAnisotropy(
        size=d,
        r_med=diagonal,
        smoothness_ratio=ratio,
        smoothness_interval=smooth,
        smoothness_dimension=ratio * d,
        row_sum=float(rows.mean()),
        row_sum_interval=(float(rows.mean()) - spread, float(rows.mean()) + spread),
        noise_l1=l1,
        noise_ratio=noise,
        noise_interval=(max(0.0, noise - half), min(1.0, noise + half)),
        noise_dimension=noise**2 * d,
    )


def _ratio(l1: float, l2: float, d: int) -> float:
    return l1 / (math.sqrt(d) * l2) if l2 > 0 else math.nan


def _noise_norms(sample: FloatArray, batch_size: int) -> tuple[float, float]:
    """||sigma||_1, with the bias of a Gaussian standard deviation taken out, and ||sigma||_2."""
    k = len(sample)
    bias = math.sqrt(2 / (k - 1)) * math.exp(math.lgamma(k / 2) - math.lgamma((k - 1) / 2))
    variance = batch_size * sample.var(axis=0, ddof=1)
    return float(np.sqrt(variance).sum()) / bias, math.sqrt(float(variance.sum()))


def _row_sums(
    model: nn.Module, loss: Loss, batch: Any, names: list[str], dtype: torch.dtype, count: int, radius: float, seed: int
) -> dict[str, FloatArray]:
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    square = sum(float((w.double() ** 2).sum()) for w in weights.values())
    step = radius * math.sqrt(square / sum(w.numel() for w in weights.values())) or radius
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(count):
        signs = {n: torch.randint(0, 2, w.shape, generator=generator) * 2 - 1 for n, w in weights.items()}
        there, back = (
            first_derivatives(model, loss, batch, names, dtype, {n: side * step * s for n, s in signs.items()})
            for side in (1, -1)
        )
        for name in names:
            sums[name].append(float(np.abs(there[name] - back[name]).sum()) / (2 * step))
    return {name: np.array(values) for name, values in sums.items()}


def _advice(layers: dict[str, LayerAnisotropy]) -> str:
    uneven = {n: a for n, a in layers.items() if a.smoothness_interval[1] < 0.1}
    worst = min(layers, key=lambda n: layers[n].smoothness_ratio if layers[n].smoothness_ratio > 0 else math.inf)
    sizes = np.array([a.size for a in layers.values()], dtype=float)
    noise = float(np.nansum(sizes * [a.noise_ratio for a in layers.values()]) / sizes.sum())
    understated = [n for n, a in layers.items() if a.row_sum_interval[0] > 10 * a.size * a.r_med.mean]
    dead = [n for n, a in layers.items() if math.isnan(a.r_med.value)]
    parts = [
        f"In {len(uneven)} of {len(layers)} layers the largest curvature is clearly more than 10 times the mean"
        f" (most uneven: {worst}, {1 / layers[worst].smoothness_ratio:.3g} times).",
        "There one step size per coordinate (AdaGrad, Adam) can be larger in most coordinates than one for all (SGD,"
        " AdaGrad-Norm), also at large batches, where noise no longer matters."
        if uneven
        else "Curvature gives little reason to prefer one step size per coordinate (AdaGrad, Adam) to one for all.",
        f"The noise ratio is {noise:.2g} on average (1: as large in every coordinate); "
        + (
            "noise is uneven too, which favors step sizes per coordinate at small batches."
            if noise < 0.5
            else "noise adds little."
        ),
    ]
    if understated:
        parts.append(
            f"In {len(understated)} layers (such as {understated[0]}) joint moves feel over 10 times what the diagonal "
            "shows, so the axes are far from the Hessian's own and the diagonal ratios promise too much."
        )
    if dead:
        parts.append(f"R_med is undefined where more than half of the entries are exactly flat: {', '.join(dead)}.")
    parts.append("These are measurements at one point, on one batch; they compare bounds and promise no speed.")
    return " ".join(parts)
