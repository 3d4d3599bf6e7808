"""Are the certificates exact, independent of their formulation, and above no bound?"""

import sys

import numpy as np
import pytest
from rounding import EPS

import anisotropic as an
from anisotropic import certify, extras
from anisotropic.evidence.certify import worst_case

WIDTH = 1e-5  # of the value: what `worst_case` promises, however far the solver came on this processor


def contains(result, truth):
    """The truth, known to a few roundings, lies in [value - gap, value], and the interval is as narrow as promised."""
    assert result.solver == "CLARABEL"
    assert 0.0 <= result.gap <= WIDTH * result.value
    assert truth * (1 - 16 * EPS) <= result.value
    assert result.value - result.gap <= truth * (1 + 16 * EPS)


def with_pepit(L, D, steps, uniform):
    """The same worst case in PEPit: one Gram matrix of all blocks, orthogonality as constraints."""
    from PEPit import PEP, Function

    class Anisotropic(Function):
        def __init__(self, partition, L, **options):
            super().__init__(reuse_gradient=True, **{k: v for k, v in options.items() if k != "reuse_gradient"})
            self.partition, self.L = partition, L

        def add_class_constraints(self):
            for i, (xi, gi, fi) in enumerate(self.list_of_points):
                for j, (xj, gj, fj) in enumerate(self.list_of_points):
                    if i != j:
                        blocks = range(len(self.L))
                        difference = [self.partition.get_block(gi, k) - self.partition.get_block(gj, k) for k in blocks]
                        size = sum(d**2 / (2 * s) for d, s in zip(difference, self.L, strict=True))
                        self.list_of_class_constraints.append(fi >= fj + gj * (xi - xj) + size)

    problem = PEP()
    partition = problem.declare_block_partition(d=len(L))
    f = problem.declare_function(Anisotropic, partition=partition, L=L)
    centre = f.stationary_point()
    x = start = problem.set_initial_point()
    for k, radius in enumerate(D):
        problem.set_initial_condition(partition.get_block(start - centre, k) ** 2 <= radius**2)
    for _ in range(steps):
        g = f.gradient(x)
        for k, s in enumerate(L):
            x = x - (1 / max(L) if uniform else 1 / s) * partition.get_block(g, k)
    problem.set_performance_metric(f(x) - f(centre))
    return problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)


def agree(result, twin):
    """PEPit returns a number without a width of its own: it is given the width that is asked of a certificate."""
    assert (result.value - result.gap) * (1 - WIDTH) <= twin <= result.value * (1 + WIDTH)


@pytest.mark.parametrize(
    ("L", "D", "steps"),
    [([1.0], [1.0], 1), ([1.0, 0.1], [1.0, 1.0], 4), ([3.0, 0.01, 0.5], [0.1, 10.0, 1.0], 7), (2.0, np.ones(100), 12)],
)
def test_preconditioned_steps_have_the_known_value(L, D, steps):
    energy = np.sum(np.broadcast_to(L, np.shape(D)) * np.square(D))
    contains(worst_case(L, D, steps), energy / (4 * steps + 2))


@pytest.mark.parametrize("horizon", [1, 2, 5])
@pytest.mark.parametrize("measure", ["mean", "average"])
def test_running_measures_have_half_the_energy_over_the_horizon(horizon, measure):
    # A nearly linear f is never left: the worst mean of the gaps is sum L D^2 / (2 T), as the deterministic bound says.
    contains(worst_case([1.0, 0.2], [2.0, 1.0], horizon, measure=measure), 4.2 / (2 * horizon))


@pytest.mark.parametrize(("small", "steps", "known"), [(0.1, 1, 0.208333), (0.1, 2, 0.135714), (0.01, 1, 0.171569)])
def test_uniform_steps_agree_with_pepit(small, steps, known):
    result = worst_case([1.0, small], [1.0, 1.0], steps, "uniform")
    assert result.value - result.gap - 5e-7 <= known <= result.value + 5e-7  # known to 6 digits
    agree(result, with_pepit([1.0, small], [1.0, 1.0], steps, uniform=True))
    assert result.value - result.gap > worst_case([1.0, small], [1.0, 1.0], steps).value


def test_preconditioned_steps_agree_with_pepit():
    agree(worst_case([1.0, 0.3], [0.5, 2.0], 2), with_pepit([1.0, 0.3], [0.5, 2.0], 2, uniform=False))


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_an_instance_attains_the_preconditioned_worst_case(steps):
    # One Huber function per coordinate, linear until the last point: its loss after T steps, simulated, is the value.
    L, D = np.array([1.0, 0.1, 5.0]), np.array([1.0, 3.0, 0.2])
    delta = D / (2 * steps + 1)
    f = an.problems.huber(L, delta)
    w, g = D.copy(), np.empty(3)
    for _ in range(steps):
        f.gradient(w, f.params, g)
        w -= g / L
    contains(worst_case(L, D, steps), f.value(w, f.params))


def test_no_simulated_quadratic_or_huber_exceeds_a_certificate():
    rng = np.random.default_rng(0)
    L, D, steps = np.array([1.0, 0.2]), np.array([1.0, 2.0]), 3
    for kind in ("preconditioned", "uniform"):
        step_size = 1 / L if kind == "preconditioned" else 1 / L.max()
        limits = {m: worst_case(L, D, steps, kind, measure=m).value for m in certify.MEASURES}
        for _ in range(200):
            delta, w = D * rng.uniform(0.01, 1.5, 2), D * rng.choice([-1, 1], 2)
            gaps, total = [], np.zeros(2)

            def value(x, delta=delta):
                a = np.abs(x)
                return np.sum(L * np.where(a < delta, a**2 / 2, delta * (a - delta / 2)))

            for _ in range(steps):
                gaps.append(value(w))
                total += w
                w = w - step_size * L * np.clip(w, -delta, delta)
            assert value(w) <= limits["last"]
            assert np.mean(gaps) <= limits["mean"]
            assert value(total / steps) <= limits["average"]


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize("kind", ["preconditioned", "uniform"])
def test_no_deterministic_bound_lies_below_a_certificate(steps, kind):
    L, D = np.array([1.0, 0.1]), np.array([1.0, 2.0])
    step_size = 1 / L if kind == "preconditioned" else np.full(2, 1 / L.max())
    constants = {"L": L, "sigma": 0.0, "R": D, "T": steps, "M": 1, "step_size": step_size}
    mean, average = (worst_case(L, D, steps, kind, measure=m) for m in ("mean", "average"))
    for bound in (an.bounds.convex_diag_sgd, an.bounds.convex_sgd):
        if bound is an.bounds.convex_sgd and kind == "preconditioned":
            continue
        right = bound(**{**constants, "step_size": step_size if bound is an.bounds.convex_diag_sgd else step_size[0]})
        assert right >= mean.value - mean.gap
        assert right >= average.value - average.gap
        if kind == "preconditioned":
            contains(mean, right)  # nothing is lost: the bound is the worst case
            assert 0.99 * right < mean.value - mean.gap  # a constant 1 % smaller would be refuted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "SCS"}, "solver = 'SCS' is not accepted: only 'CLARABEL'"),
        ({"step_size": "adagrad"}, "step_size = 'adagrad'; expected 'preconditioned'"),
        ({"measure": "best"}, "measure = 'best'; expected one of last, mean, average"),
        ({"L": [1.0, 0.0]}, r"L\[1\] = 0; expected .*numbers above 0"),
        ({"D": np.inf}, r"D\[0\] = inf; expected .*numbers"),
        ({"L": np.ones(3), "D": np.ones(2)}, r"D has shape \(2,\); expected a number or shape \(3,\)"),
        ({"steps": 0}, "steps = 0; expected a whole number of at least 1"),
    ],
)
def test_wrong_input_is_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        worst_case(**({"L": 1.0, "D": 1.0, "steps": 1} | arguments))


def test_a_large_gap_is_no_certificate(monkeypatch):
    monkeypatch.setattr(certify, "_solve", lambda program: (0.2, 0.1))
    with pytest.raises(ArithmeticError, match="left the gap 0.1 at the value 0.2, so nothing is certified"):
        worst_case(1.0, 1.0, 1)


def test_a_solver_that_fails_is_no_certificate(monkeypatch):
    import cvxpy

    def fail(*_, **__):
        raise cvxpy.error.SolverError("no progress")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    with pytest.raises(ArithmeticError, match=r"CLARABEL found no solution \(no progress\)"):
        worst_case(1.0, 1.0, 1)
    monkeypatch.setattr(cvxpy.Problem, "solve", lambda *_, **__: None)
    with pytest.raises(ArithmeticError, match="CLARABEL stopped with status"):
        worst_case(1.0, 1.0, 1)


def test_multipliers_that_are_off_are_paid_for():
    # Weak duality holds for any multipliers: spoiled ones give a larger value, never one below the truth 1/6.
    program = certify._Program(np.ones(1), np.ones(1), 1, "last")
    forms = [program.forms(1.0)]
    for seed in range(50):
        rng = np.random.default_rng(seed)
        spoiled, _ = certify._upper_end(program, forms, rng.uniform(0, 1, len(program.pairs)), rng.uniform(0, 1, 1))
        assert spoiled >= 1 / 6


@pytest.mark.parametrize("measure", certify.MEASURES)
def test_spoiled_multipliers_of_two_blocks_never_give_less_than_a_simulated_gap(measure):
    """L = (1, 0.2), D = (1, 2) under step size 1, both coordinates Huber with the width that is worst for them."""
    kinds, shares, T = np.array([0.2, 1.0]), np.array([0.8, 1.0]) / 1.8, 4
    program = certify._Program(kinds, shares, T, measure)
    forms, truth = [program.forms(k) for k in kinds], 0.0
    for width in np.geomspace(0.02, 1.0, 60):
        z, values, points = np.sqrt(shares), [], []
        for _ in range(T):
            values.append(huber(z, width))
            points.append(z)
            z = z - kinds * np.clip(z, -width, width)
        reached = {"last": huber(z, width), "mean": np.mean(values), "average": huber(np.mean(points, axis=0), width)}
        truth = max(truth, reached[measure])
    rng = np.random.default_rng(1)
    for _ in range(50):
        multipliers, prices = rng.exponential(0.1, len(program.pairs)), rng.exponential(0.3, 2)
        assert certify._upper_end(program, forms, multipliers, prices)[0] >= truth


def huber(z, width):
    return np.sum(np.where(np.abs(z) < width, z**2 / 2, width * (np.abs(z) - width / 2)))


@pytest.mark.parametrize("measure", certify.MEASURES)
def test_no_gram_matrix_has_a_larger_trace_than_the_certificate_allows(measure):
    """Huber functions in random coordinates; a quadratic of curvature 1 under step size 1 leaves no room."""
    rng, T, room = np.random.default_rng(2), 5, []
    for trial in range(300):
        kinds, shares = np.array([rng.uniform(0.05, 1.0), 1.0]), rng.dirichlet([1.0, 1.0])
        if trial == 0:
            shares = np.array([0.0, 1.0])
        program = certify._Program(kinds, shares, T, measure)
        basis = np.linalg.qr(rng.normal(size=(4, 4)))[0] if trial else np.eye(4)
        width = 10.0 ** rng.uniform(-2, 0.5) if trial else 10.0
        curvature = rng.uniform(0.0, 1.0, 4) if trial else np.ones(4)
        block = np.array([0, 0, 1, 1])
        z = rng.normal(size=4) if trial else np.array([1.0, 0.0, 1.0, 0.0])
        for b in (0, 1):
            z[block == b] *= np.sqrt(shares[b]) / np.linalg.norm(z[block == b])

        def gradient(x, basis=basis, curvature=curvature, width=width):
            return basis.T @ (curvature * np.clip(basis @ x, -width, width))

        gram, points = np.array([np.sum(z[block == b] ** 2) for b in (0, 1)]), []
        for _ in range(T):
            points.append(z)
            z = z - kinds[block] * gradient(z)
        last = {"last": [z], "mean": [], "average": [np.mean(points, axis=0)]}[measure]
        for x in points + last:
            gram += [np.sum(gradient(x)[block == b] ** 2) for b in (0, 1)]
        assert (gram <= program.traces * (1 + 1e-12)).all()
        room.append(program.traces[1] - gram[1])
    assert room[0] == pytest.approx(1 - 1 / T**2 if measure == "average" else 0.0, abs=1e-12)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(extras.MissingExtra, match=r"pip install 'anisotropic\[certify\]'"):
        worst_case(1.0, 1.0, 1)
