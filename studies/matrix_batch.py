"""Where does a matrix method need fewer iterations, and do three numbers know it beforehand?

Quadratics tr((W - C)' A (W - C)) / 2 with 8 x 8 parameters. Curvature with eigenvalues j^-a, noise Sigma = A^(1/2) / 8
in the same basis, which is that of the coordinates or a random one. Displacement of the start: orthogonal (all
singular values alike), of rank one, or random, always with Frobenius norm sqrt(8). Iterations until the mean gap is 5
% of the gap at the start, step sizes tuned on other seeds, without a ball; AdaGrad-Norm is the control.

The prediction compares the sums of the bounds without their constants: a / (2 T) + b / sqrt(M T) with a = lambda_max
R_F^2, b = R_F (tr Sigma^2)^(1/2) for SGD and AdaGrad-Norm, R_op^2 tr A and R_op tr Sigma for ASGO, so that the
quotients are r_L / r_X and sqrt(r_Sigma / r_X); sums over rows and entries, with the best diagonal above A, for row
AdaGrad and AdaGrad. They are upper bounds, and a comparison of upper bounds proves nobody's victory. Nothing is
predicted for Muon.
"""

import numpy as np

import anisotropic as an

SIZE, SHARE, MOST, LEVEL = 8, 0.05, 4000, 0.01
AXES = {
    "decay": [0.0, 1.0, 2.0],
    "displacement": ["orthogonal", "rank one", "random"],
    "basis": ["aligned", "rotated"],
    "batch": [1, 16, 256, 4096],
    "replicas": [32],
}
QUICK = {"decay": [0.0, 2.0], "displacement": ["orthogonal"], "basis": ["rotated"], "batch": [256], "replicas": [8]}
UNPAIRED = ("basis",)
GRID = 2.0 ** np.arange(-8, 5)
METHODS = {
    name: an.Method(getattr(an.optimizers, rule), GRID)
    for name, rule in {
        "sgd": "sgd", "adagrad_norm": "adagrad_norm", "adagrad": "adagrad", "row AdaGrad": "row_adagrad",
        "ASGO": "asgo", "Muon": "muon",
    }.items()
}  # fmt: skip
PREDICTED = ("adagrad_norm", "adagrad", "row AdaGrad", "ASGO")


def orthogonal(seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))[0]


def instance(decay, displacement, basis):
    """A, Sigma and the displacement X; rows of X turn with the basis."""
    turn = np.eye(SIZE) if basis == "aligned" else orthogonal(0)
    spectrum = np.arange(1.0, SIZE + 1) ** -decay
    X = {
        "orthogonal": lambda: orthogonal(1), "rank one": lambda: np.ones((SIZE, SIZE)) / np.sqrt(SIZE),
        "random": lambda: np.random.default_rng(2).standard_normal((SIZE, SIZE)),
    }[displacement]()  # fmt: skip
    X = turn @ X * np.sqrt(SIZE) / np.linalg.norm(X)
    return (turn * spectrum) @ turn.T, (turn * np.sqrt(spectrum)) @ turn.T / SIZE, X


def sums(A, sigma, X):
    """a and b of each method's bound, up to constants that all have in common."""
    S, frobenius, spectral = sigma @ sigma, np.linalg.norm(X), np.linalg.norm(X, 2)
    rows = np.maximum((X**2).sum(axis=1), 1e-12)
    diagonal = an.smoothness.optimal_diagonal(A, weights=rows).L
    plain = (np.linalg.norm(A, 2) * frobenius**2, frobenius * np.sqrt(np.trace(S)))
    deviation = np.sqrt(np.diag(S))
    return {
        "sgd": plain, "adagrad_norm": plain,
        "ASGO": (spectral**2 * np.trace(A), spectral * np.trace(sigma)),
        "row AdaGrad": (float(diagonal @ rows), float(np.sqrt(rows) @ deviation)),
        "adagrad": (float(diagonal @ rows), float(np.abs(X).sum(axis=1) @ deviation) / np.sqrt(SIZE)),
    }  # fmt: skip


def iterations(a, b, batch, target):
    """T with a / (2 T) + b / sqrt(M T) = target."""
    b = b / np.sqrt(batch)
    return ((b + np.sqrt(b**2 + 2 * a * target)) / (2 * target)) ** 2


def cell(decay, displacement, basis, batch, replicas, seed):
    A, sigma, X = instance(decay, displacement, basis)
    f, target = an.problems.kronecker(A), SHARE * 0.5 * float(np.sum(X * (A @ X)))
    race = an.race(
        f, METHODS, noise=an.noises.left_gaussian(sigma, SIZE), start=X.ravel(), batch_size=batch, steps=MOST,
        target=target, replicas=replicas, seed=seed, level=LEVEL, threads=1,
    )  # fmt: skip
    predicted = {m: iterations(a, b, batch, target) for m, (a, b) in sums(A, sigma, X).items()}
    spectrum, displaced = np.linalg.eigvalsh(A), np.linalg.norm(X, 2)
    ranks = {
        "r_L": spectrum.sum() / spectrum[-1], "r_Sigma": np.trace(sigma) ** 2 / np.trace(sigma @ sigma),
        "r_X": np.sum(X**2) / displaced**2,
    }  # fmt: skip
    return race.arrays() | ranks | {f"predicted {m}": t / predicted["sgd"] for m, t in predicted.items()}


def plot(results):
    decays, displacements = results.axes["decay"], results.axes["displacement"]
    basis = results.axes["basis"][-1]

    def draw(ax, displacement, decay):
        reached = results.races(decay=decay, displacement=displacement, basis=basis).iterations()
        batches = np.array(results.axes["batch"])
        for method, look in an.plotting.method_styles(METHODS).items():
            ax.plot(batches, reached[method].estimate, **look, label=an.plotting.title(method))
        ax.set(xscale="log", yscale="log", xlabel="batch size", ylabel=f"iterations to {SHARE:.0%}, {displacement}")

    figure = an.plotting.page(
        displacements, decays, draw, height=2.6 * len(displacements), legend_columns=3,
        titles=lambda a: rf"eigenvalues $j^{{-{a:g}}}$, {basis}",
    )  # fmt: skip
    results.save_figure(figure, "matrix_batch")
    races = results.races("j^-{decay:g}, {displacement}, {basis}, M={batch}")
    results.save_csv("iterations", races.rows())
    races.compare([m for m in METHODS if m != "sgd"])
    report(results)
    races.edges()


def report(results):
    """Whether a method is ahead of SGD, against what the sums say; decided where the interval leaves 1 out."""
    rows, races = [], [race for _, race in results.races("")]
    for method in PREDICTED:
        right = wrong = tied = open_ = 0
        for c, race in zip(results.cells(), races, strict=True):
            ratio, predicted = race.steps_ratio(method), float(c.arrays[f"predicted {method}"])
            if not (ratio.low > 1 or ratio.high < 1):
                open_ += 1
            elif abs(np.log(predicted)) < 1e-9:
                tied += 1
            elif (ratio.low > 1) == (predicted > 1):
                right += 1
            else:
                wrong += 1
        row = {"method": an.plotting.title(method), "right": right, "wrong": wrong}
        rows.append(row | {"predicted equal": tied, "undecided": open_})
    results.table(rows, title=f"Is the method ahead of SGD? Predictions from r_L, r_Sigma and r_X (level {LEVEL})")
    ratios = [race.steps_ratio("Muon") for race in races]
    ahead = [ratio.high < 1 for ratio in ratios if np.isfinite(ratio.estimate)]
    results.say(f"Muon needs fewer iterations than SGD in {sum(ahead)} of {len(ahead)} cells that both reach.")


if __name__ == "__main__":
    raise SystemExit(an.study.main())
