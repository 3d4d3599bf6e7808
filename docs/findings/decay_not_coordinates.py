"""How much of AdaGrad's advantage at batch 1 is there without adapting coordinates?

Dense smoothness and noise, 65,536 samples, tuned step sizes. AdaGrad-Norm shrinks one step size for all coordinates.
The value is tuned SGD's mean gap over AdaGrad-Norm's: the part of the advantage that no coordinate explains.
"""

import numpy as np

import anisotropic as an

METHODS = {
    "sgd": an.Method(an.optimizers.sgd, 2.0 ** np.arange(-9, -2)),
    "adagrad_norm": an.Method(an.optimizers.adagrad_norm, 2.0 ** np.arange(-1, 6)),
}


def finding():
    f = an.problems.quadratic(np.ones(50), center=0.9, box=(-1, 1))
    race = an.race(f, METHODS, noise=an.noises.gaussian(np.ones(50)), start=0.0, batch_size=1, samples=2**16,
                   replicas=16, seed=0, reference="adagrad_norm", level=0.05)  # fmt: skip
    assert race.edges() == []
    return race.ratio("sgd")


if __name__ == "__main__":
    print(finding())
