"""Which R_med should a two-layer linear network reach? Predictions for SGD and for sign-like methods.

Setting: f(x) = W2 W1 x, whitened inputs, squared loss, small Gaussian start, small step size, until the loss is small.
SGD, with any momentum, amplifies what the start contains and freezes its randomness in; Adam, RMSProp, AdaGrad,
AMSGrad and sign descent grow all entries by equal amounts. Derivations, to leading order and not proofs, in
docs/theory/geometry_predictions.md; the claim they make precise is that of arXiv 2211.02254.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .linear import as_weights
from .statistic import EULER, HALF_NORMAL_MEDIAN, RMed, gumbel_tail, normal_maximum, r_med


def predict_r_med_sgd(width: int, rank: int = 1, *, form: str = "quantile") -> float:
    """R_med that SGD reaches on a target of `rank` equal singular values, the same in expectation for every momentum.

    Hidden unit i keeps a_i = ||W2[:, i]||^2 proportional to a chi-square variable with `rank` degrees of freedom,
    drawn at the start, so R_med is the ratio of maximum to median of `width` such variables.

    Parameters
    ----------
    width : int
        Number of hidden units h, at least 2.
    rank : int
        Rank r of the target.
    form : str
        "quantile": F^-1(1 - e^{-gamma} / h) / F^-1(1/2), F the chi-square distribution function. "gumbel" (rank 1):
        (2 ln h - ln ln h - ln pi + 2 gamma) / 0.4549, which shows the growth 4.4 ln h. "mean": E[max] E[1 / median],
        both by quadrature; the closest to a simulated mean at small h.

    Examples
    --------
    >>> round(predict_r_med_sgd(128), 1), round(predict_r_med_sgd(128, rank=8), 2)
    (17.8, 3.04)
    """
    if width < 2:
        raise ValueError(f"width = {width}; expected at least 2 hidden units")
    if rank < 1:
        raise ValueError(f"rank = {rank}; expected at least 1")
    from scipy.special import chdtri

    median = float(chdtri(rank, 0.5))
    if form == "quantile":
        return float(chdtri(rank, gumbel_tail(width))) / median
    if form == "gumbel":
        if rank != 1:
            raise ValueError(f"form 'gumbel' is the expansion for rank 1, not {rank}; use form='quantile'")
        log = math.log(width)
        return (2 * log - math.log(log) - math.log(math.pi) + 2 * EULER) / median
    if form == "mean":
        return _mean_ratio(width, rank)
    raise ValueError(f"form = {form!r}; expected 'quantile', 'gumbel' or 'mean'")


def _mean_ratio(width: int, rank: int) -> float:
    from scipy.integrate import quad
    from scipy.special import betainc, chdtr, chdtri

    def survives_max(x: float) -> float:
        return -math.expm1(width * math.log(chdtr(rank, x))) if x > 0 else 1.0

    top = float(chdtri(rank, 1e-12 / width))
    largest = quad(survives_max, 0, top, limit=400, points=[float(chdtri(rank, gumbel_tail(width)))])[0]
    rank_of_median = (width + 1) / 2

    def inverse_median_above(y: float) -> float:
        return float(betainc(rank_of_median, rank_of_median, chdtr(rank, 1 / y)))

    middle = 1 / float(chdtri(rank, 0.5))
    inverse = quad(inverse_median_above, 0, 50 * middle, limit=400, points=[middle])[0]
    return largest * inverse


def predict_r_med_adam(width: int, *, output_scale: float, target: ArrayLike, loss_fraction: float = 0.0) -> float:
    """R_med of the first layer under Adam, RMSProp, AdaGrad, AMSGrad or sign descent on a target of one output.

    Every entry grows by the same amount tau, so that |W2_i| = tau + |W2_i(0)| and

        R_1 = ((tau + s M_h) / (tau + 0.6745 s))^2,      h tau (tau + s sqrt(2 / pi)) = c mean_j |A_j|,
        c = 1 - sqrt(max(0, phi (1 + v) - v)),           v = var_j |A_j| / (mean_j |A_j|)^2,

    with s the scale of W2(0), M_h the typical maximum of h half-normals and phi the loss as a fraction of the initial
    one. R_1 tends to 1 where s is small beside sqrt(mean |A_j| / h). The second layer has R_2 = 1 + O(s_1 / tau).

    Parameters
    ----------
    width : int
        Number of hidden units h.
    output_scale : float
        s, the standard deviation of the entries of W2 at the start.
    target : array (d,) or number
        The target row A, or mean_j |A_j| where all |A_j| are alike.
    loss_fraction : float
        phi; 0 for the end of training.

    Raises
    ------
    ValueError
        On a scale that is negative, a target of several outputs or of zeros, or a fraction outside [0, 1).

    Examples
    --------
    >>> round(predict_r_med_adam(128, output_scale=1e-9, target=0.1), 6)
    1.0
    >>> predict_r_med_adam(128, output_scale=128**-1.5, target=128**-0.5) < 1.12
    True
    """
    if not (math.isfinite(output_scale) and output_scale >= 0):
        raise ValueError(f"output_scale = {output_scale:g}; expected a finite number of at least 0")
    tau = _equal_growth(output_scale * math.sqrt(2 / math.pi), width, target, loss_fraction)
    return ((tau + output_scale * normal_maximum(width)) / (tau + HALF_NORMAL_MEDIAN * output_scale)) ** 2


def _equal_growth(mean_start: float, width: int, target: ArrayLike, loss_fraction: float) -> float:
    """tau with h tau (tau + mean_i |W2_i(0)|) = c mean_j |A_j|."""
    if np.ndim(target) == 2 and np.shape(target)[0] > 1:
        raise ValueError(f"target has {np.shape(target)[0]} outputs; this prediction is for one")
    A = np.abs(np.asarray(target, dtype=np.float64)).ravel()
    if A.size == 0 or not np.isfinite(A).all() or A.max() == 0:
        raise ValueError("target is empty, zero or not finite; expected the row A with an entry that is not zero")
    if not 0 <= loss_fraction < 1:
        raise ValueError(f"loss_fraction = {loss_fraction:g}; expected a number in [0, 1)")
    mean = float(A.mean())
    spread = float(A.var()) / mean**2
    reached = 1 - math.sqrt(max(0.0, loss_fraction * (1 + spread) - spread))
    return math.sqrt(mean_start**2 / 4 + reached * mean / width) - mean_start / 2


def equal_growth(W2: ArrayLike, target: ArrayLike, loss_fraction: float = 0.0) -> RMed:
    """R_med of the first layer that a sign-like method will reach from this start: every |W2_i| grows by one tau.

    The seed-by-seed form of `predict_r_med_adam`: R_med of the squares (tau + |W2_i(0)|)^2.

    Parameters
    ----------
    W2 : array (1, h)
        The second layer at the start.
    target : array (1, d)
    loss_fraction : float
        Loss at which to predict, as a fraction of the initial one.

    Examples
    --------
    With 3 tau (tau + 1/3) = 2 the mode has grown by tau = 2/3, so that R_med is ((2/3 + 1) / (2/3))^2:

    >>> round(equal_growth([[0.0, 0.0, 1.0]], [[2.0]]).value, 9)
    6.25
    """
    (second,) = as_weights([W2])
    if second.shape[0] != 1:
        raise ValueError(f"W2 has {second.shape[0]} outputs; this prediction is for one")
    start = np.abs(second[0])
    return r_med((_equal_growth(float(start.mean()), start.size, target, loss_fraction) + start) ** 2)


def frozen_start(W1: ArrayLike, W2: ArrayLike, target: ArrayLike) -> RMed:
    """R_med that SGD will reach from this start, seed by seed: the growing mode of the start, frozen in.

    Near zero, W2^T and P = W1 A^T / ||A|| obey dW2^T/dt = ||A|| P and dP/dt = ||A|| W2^T, whose growing mode is their
    sum; R_med is that of the squared row norms of U = W2^T + W1 A^T / ||A||. Exact in the limit of a small start for
    a target of rank one, approximate for equal singular values (||A|| is the spectral norm). Inputs are whitened.

    Parameters
    ----------
    W1 : array (h, d)
    W2 : array (o, h)
        The weights at the start.
    target : array (o, d)
        A, the map that y = A x asks for.

    Examples
    --------
    >>> frozen_start([[1.0], [0.0], [2.0]], [[1.0, 1.0, 1.0]], [[1.0]]).value    # U = 2, 1, 3: 9 / 4
    2.25
    """
    first, second = as_weights([W1, W2])
    A = np.atleast_2d(np.asarray(target, dtype=np.float64))
    if A.shape != (second.shape[0], first.shape[1]):
        raise ValueError(f"target has shape {A.shape}; expected ({second.shape[0]}, {first.shape[1]}), like W2 W1")
    norm = np.linalg.norm(A, 2)
    if norm == 0:
        raise ValueError("the target is zero; expected at least one entry that is not")
    return r_med(np.sum((second.T + first @ A.T / norm) ** 2, axis=1))
