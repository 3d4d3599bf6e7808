"""Noises with one fault each: name -> (noise, rule that it breaks, words of the sentence)."""

import math
from typing import NamedTuple

import numpy as np

import anisotropic as an


class Level(NamedTuple):
    sigma: np.ndarray


class Norm(NamedTuple):
    sigma: float


def noise(apply, sigma=1.0, claimed=None, **options):
    sigma = np.broadcast_to(np.asarray(sigma, dtype=float), (3,)).copy()
    return an.Noise("mine", apply, Level(sigma), sigma=sigma if claimed is None else claimed, **options)


@an.leaf
def one_sample(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * normals[j]


@an.leaf
def divided_twice(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * normals[j] / batch_size


@an.leaf
def shifted(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * (normals[j] + 0.5) / math.sqrt(batch_size)


@an.leaf
def sound(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * normals[j] / math.sqrt(batch_size)


@an.leaf
def replaces(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] = params.sigma[j] * normals[j] / math.sqrt(batch_size)


@an.leaf
def growing(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += 3.0 * abs(gradient[j]) * normals[j] / math.sqrt(batch_size)


@an.leaf
def of_the_norm(gradient, normals, batch_size, stream, params):
    square = 0.0
    for j in range(gradient.size):
        square += normals[j] ** 2
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * normals[j] / math.sqrt(batch_size) * (square / gradient.size) ** 0.0 * min(
            1.0, 2.0 / math.sqrt(square)
        )


@an.leaf
def signs(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        k = an.random.binomial(batch_size, 0.5, stream, j)
        gradient[j] += params.sigma[j] * (2.0 * k - batch_size) / batch_size


@an.leaf
def neighbours(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += params.sigma[j] * (normals[j] - normals[j + 1]) / math.sqrt(2.0 * batch_size)


@an.leaf
def one_draw_for_all(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        for _ in range(batch_size):
            u, v = an.random.uniform_pair(stream, j, 0, an.random.DRAWS)
            gradient[j] += params.sigma[j] / math.sqrt(2.0) * math.log(u / v) / batch_size


@an.leaf
def laplace(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        for i in range(batch_size):
            u, v = an.random.uniform_pair(stream, j, i, an.random.DRAWS)
            gradient[j] += params.sigma[j] / math.sqrt(2.0) * math.log(u / v) / batch_size


@an.leaf
def one_sided(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        for i in range(batch_size):
            u, _ = an.random.uniform_pair(stream, j, i, an.random.DRAWS)
            gradient[j] += params.sigma[j] * math.sqrt(3.0) * u / batch_size


@an.leaf
def logarithm(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        gradient[j] += math.log(normals[j])


@an.leaf
def reuses_normals(gradient, normals, batch_size, stream, params):
    for j in range(gradient.size):
        normals[j] *= params.sigma[j] / math.sqrt(batch_size)
        gradient[j] += normals[j]


NOISES = {
    "1/sqrt(M) is missing": (noise(one_sample), "variance", ["a batch of 10", "1/sqrt(batch_size)"]),
    "1/M for 1/sqrt(M)": (noise(divided_twice), "variance", ["a batch of 10 ", "says 0.316"]),
    "a shifted mean": (noise(shifted), "unbiased", ["the mean of the errors must be zero"]),
    "sigma twice too small": (noise(sound, 2.0, 1.0), "variance", ["with a batch of 1 ", "says 1"]),
    "sigma twice too large": (noise(sound, 1.0, 2.0), "variance", ["says 2"]),
    "the gradient is replaced": (noise(replaces), "unbiased", ["mean"]),
    "rho too small": (noise(growing, 1.0, 0.0, rho=1.0), "variance", ["rho = 1"]),
    "a norm under coordinatewise": (noise(of_the_norm, coordinatewise=True), "coordinatewise", ["when replicas"]),
    "draws of its own under coordinatewise": (noise(signs, coordinatewise=True), "coordinatewise", ["of its own"]),
    "normals[j + 1]": (noise(neighbours), "bounds", ["normals[j + 1]"]),
    "one draw for the whole batch": (
        noise(one_draw_for_all, law="heavy", max_batch=1000), "variance", ["a batch of 10", "1/sqrt(batch_size)"]
    ),
    "a one-sided law": (noise(one_sided, law="bounded", max_batch=1000), "unbiased", ["mean"]),
    "signs of half the size": (noise(signs, 0.5, 1.0, law="bounded"), "variance", ["a batch of 1,000,000,000"]),
    "noise where sigma is zero": (noise(sound, 1.0, [1.0, 0.0, 1.0]), "variance", ["sigma[1] = 0"]),
    "NaN": (noise(logarithm), "finite", ["becomes nan"]),
    "normals are not its own": (noise(reuses_normals), "side effects", ["may write into gradient only"]),
}
SOUND = {
    "gaussian": noise(sound, coordinatewise=True),
    "signs": noise(signs, law="bounded"),
    "laplace": noise(laplace, law="heavy", max_batch=1000),
}
