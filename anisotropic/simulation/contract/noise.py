"""Does a noise law keep to its arrays, stay unbiased, and have the variance that sigma and rho claim?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ...compiled.random import Stream, key_words
from ...records import FloatArray, Noise, float_vector, spread
from .findings import Finding, shown
from .guarded import Fault, Guarded, entries, promised
from .interpret import LongLoop
from .moments import GROUPS, contradiction
from .optimizer import LONGEST, sizes

HUGE = 10**9  # a batch at which the mean of samples is normal
NEARLY = 1.1  # by how much limits are widened there
FEW = 8  # coordinates whose moments are looked at


class Case(NamedTuple):
    """Draws at one gradient and batch, along steps or along replicas."""

    gradient: FloatArray
    batch: int
    draws: int
    along_steps: bool


def check_noise(noise: Noise, dim: int | None = None, seed: int = 0) -> Iterator[Finding]:
    """Everything found wrong with a noise, used in `dim` coordinates where that is known.

    A noise that keeps its promises is rejected with probability at most `moments.FALSE_ALARMS`, over the seeds.
    """
    if noise.law == "rows":  # the objective draws its rows
        return
    name = f"noise '{noise.name}'"
    claimed = np.size(noise.sigma) if noise.sigma is not None else 1
    d = dim or (claimed if claimed > 1 else sizes(noise.params, None)[-1])
    try:
        found = list(_check(noise, d, seed))
    except Fault as fault:
        found = [(fault.rule, fault.sentence)]
    yield from (Finding(name, rule, sentence) for rule, sentence in found)


class _Law:
    """The law on checked arrays: errors of minibatch gradients in the coordinates `cut` of `dim`."""

    def __init__(self, noise: Noise, dim: int, seed: int, cut: np.ndarray | None = None) -> None:
        self.noise, self.rng, self.keys = noise, np.random.default_rng(seed), key_words(seed)
        large = cut is None and max(dim, entries(noise.params)) > LONGEST
        self.apply = Guarded(noise.apply, "noise", ("gradient",), large=large, draft=cut is not None)
        self.cut = np.arange(dim) if cut is None else cut
        self.dim, self.params = self.cut.size, spread(noise.params, dim, 1, self.cut)

    def error(
        self, gradient: FloatArray, batch: int, replica: int, step: int, normals: FloatArray, params: Any = None
    ) -> FloatArray:
        """Minibatch gradient minus gradient at one place of the random numbers."""
        out = gradient.copy()
        self.apply(
            gradient=out, normals=normals, batch_size=batch, stream=Stream(*self.keys, replica, step),
            params=self.params if params is None else params,
        )  # fmt: skip
        return out - gradient

    def errors(self, case: Case) -> FloatArray:
        places = [(0, i + 1) if case.along_steps else (i, 1) for i in range(case.draws)]
        normals = self.rng.standard_normal((case.draws, self.dim))
        return np.array([self.error(case.gradient, case.batch, *p, z) for p, z in zip(places, normals, strict=True)])


def _check(noise: Noise, dim: int, seed: int) -> Iterator[tuple[str, str]]:
    law = _Law(noise, dim, seed)
    sigma = None if noise.sigma is None else float_vector(noise.sigma, dim, "sigma", low=0.0)
    level = np.ones(dim) if sigma is None else np.where(sigma > 0.0, sigma, max(float(sigma.max()), 1e-3))
    gradient = 2.0 * level * law.rng.choice([-1.0, 1.0], dim)
    few = min(4, noise.max_batch or 4)
    error = law.error(gradient, few, 0, 1, law.rng.standard_normal(dim))
    if not np.isfinite(error).all():
        j = int(np.argmin(np.isfinite(error)))
        yield "finite", (
            f"gradient[{j}] = {gradient[j]:g} becomes {gradient[j] + error[j]:g} at a batch of {few}; "
            "expected finite numbers"
        )
        return
    if noise.coordinatewise:
        with promised("coordinatewise"):
            yield from _joined(law, gradient, few)
    if sigma is None:
        return
    if dim > FEW:  # a few coordinates first; what is found there must be found in all of them
        cut = np.sort(law.rng.choice(dim, FEW, replace=False))
        with suppress(Fault):
            if not any(_moments(_Law(noise, dim, seed, cut), sigma[cut], gradient[cut])):
                return
    yield from _moments(law, sigma, gradient)


def _joined(law: _Law, gradient: FloatArray, batch: int) -> Iterator[tuple[str, str]]:
    d, z = law.dim, law.rng.standard_normal((2, law.dim))
    alone = law.error(gradient, batch, 0, 1, z[0])
    if not np.array_equal(law.error(gradient, batch, 5, 9, z[0]), alone):
        yield "coordinatewise", (
            "coordinatewise=True, but the law draws random numbers of its own beside `normals`, and joined replicas "
            "would share them; leave coordinatewise=False"
        )
        return
    params = spread(law.noise.params, d, 2)
    both = law.error(np.tile(gradient, 2), batch, 0, 1, z.ravel(), params)[:d]
    cuts = [("replicas are joined", both)]
    if d > 1:
        k = d // 2
        blocks = [law.error(gradient[s], batch, 0, 1, z[0, s], spread(law.noise.params, d, 1, s))
                  for s in (slice(0, k), slice(k, d))]  # fmt: skip
        cuts.append(("coordinates are cut into two blocks", np.concatenate(blocks)))
    for what, found in cuts:
        if not np.allclose(found, alone, rtol=1e-9, atol=1e-12 * np.abs(gradient).max()):
            j = int(np.argmax(np.abs(found - alone)))
            yield "coordinatewise", (
                f"coordinatewise=True, but the error of coordinate {j} is {alone[j]:.9g} and {found[j]:.9g} when "
                f"{what}; leave coordinatewise=False unless each coordinate uses nothing but its own entries"
            )
            return


def _cases(law: _Law, gradient: FloatArray) -> Iterator[Case]:
    """One sample along the steps, a small batch along the replicas, and a huge one where it costs no more."""
    noise, d = law.noise, law.dim
    most = noise.max_batch or HUGE
    many = 10 if noise.law == "gaussian" or law.apply.compiled else 5
    yield Case(gradient, 1, GROUPS * many, True)
    still = np.zeros(d) if noise.rho == 0.0 else -gradient
    yield Case(still, min(max(4, min(16, 32 // d)), most), GROUPS * (5 if noise.law == "gaussian" else 2), False)
    if most == HUGE and not law.apply.compiled:
        yield Case(gradient, HUGE, 5 * GROUPS, True)


def _moments(law: _Law, sigma: FloatArray, gradient: FloatArray) -> Iterator[tuple[str, str]]:
    """Mean and variance, coordinate by coordinate and over all coordinates, at three batch sizes."""
    noise = law.noise
    for case in _cases(law, gradient):
        variance = (sigma**2 + noise.rho * case.gradient**2) / case.batch
        try:
            errors = law.errors(case)
        except LongLoop:
            return
        still = variance == 0.0
        if (np.abs(errors[:, still]) > 1e-12 * np.abs(case.gradient[still])).any():
            k = int(np.flatnonzero(still)[np.argmax(np.abs(errors[:, still]).max(axis=0))])
            yield "variance", (
                f"sigma[{k}] = {sigma[k]:g} and rho = {noise.rho:g} claim no noise where the gradient is "
                f"{case.gradient[k]:g}, but the error is as large as {np.abs(errors[:, k]).max():.6g}"
            )
            return
        scaled = errors[:, ~still] / np.sqrt(variance[~still])
        normal = NEARLY if case.batch == HUGE else float(noise.law == "gaussian")
        for j, column in zip(np.flatnonzero(~still), scaled.T, strict=True):
            if what := contradiction(column, normal, noise.rho == 0.0, 3 * (law.dim + 1)):
                yield _sentence(what, noise, case, int(j), errors[:, j], np.sqrt(variance[j]))
                return
        if scaled.shape[1] > 1 and (what := _together(scaled, law.dim)):
            yield _sentence(what, noise, case, None, errors[:, ~still], np.sqrt(variance[~still].mean()))
            return


def _together(scaled: FloatArray, dim: int) -> str:
    """The mean square over coordinates, which may depend on each other, as one error of any law."""
    size = np.sqrt((scaled**2).mean(axis=1)) * np.where(np.arange(len(scaled)) % 2, 1.0, -1.0)
    return "large" if contradiction(size, 0.0, False, 3 * (dim + 1)) == "large" else ""


def _sentence(
    what: str, noise: Noise, case: Case, j: int | None, errors: FloatArray, deviation: float
) -> tuple[str, str]:
    where = f"in coordinate {j}" if j is not None else "over all coordinates"
    claim = f"sigma = {shown(noise.sigma)}" + (f" and rho = {noise.rho:g}" if noise.rho else "")
    batch = f"a batch of {case.batch:,} and the gradient {shown(case.gradient)}"
    if what == "mean":
        return "unbiased", (
            f"the error {where} has mean {errors.mean():.6g} over {len(errors)} draws with {batch}, where {claim} "
            f"allows a deviation of {deviation:.6g} for one; the mean of the errors must be zero"
        )
    found = float(np.sqrt((errors**2).mean()))
    advice = "adding the noise of one sample needs the factor 1/sqrt(batch_size)" if case.batch > 1 else (
        "sigma is the standard deviation of one sample's gradient"
    )
    return "variance", (
        f"the error {where} has standard deviation {found:.6g} over {len(errors)} draws with {batch}, where {claim} "
        f"says {deviation:.6g}; {advice}"
    )
