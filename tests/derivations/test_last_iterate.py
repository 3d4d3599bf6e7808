"""The last iterate of SGD under a schedule: each step of the proofs, exact expectations, exact worst cases."""

import cvxpy as cp
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import brentq, minimize

from anisotropic import bounds
from anisotropic.bounds import best_schedule, tails, weighted_outputs

SHAPES = {
    "constant": lambda T: np.ones(T),
    "linear": lambda T: np.arange(T, 0, -1) / T,
    "cosine": lambda T: 0.5 * (1 + np.cos(np.pi * np.arange(T) / T)),
    "wsd": lambda T: np.minimum(1.0, np.arange(T, 0, -1) / (round(0.2 * T) + 1)),
    "1/sqrt(t)": lambda T: 1 / np.sqrt(np.arange(1, T + 1)),
}


def random_schedule(rng, T):
    """Rough, smooth, with warm-up: log-normal step sizes or one of the shapes."""
    kind = rng.integers(4)
    if kind < 2:
        return np.exp(rng.normal(0, [0.5, 1.5][kind], T))
    shape = SHAPES[list(SHAPES)[rng.integers(5)]](T)
    return shape * np.minimum(1.0, np.arange(1, T + 1) / rng.integers(1, T + 1))


# ---- steps of the proofs --------------------------------------------------------------------------------------------


def test_the_squared_gradients_cancel_exactly_up_to_the_cap():
    theta, ell, r, square = sp.symbols("theta ell r square", positive=True)
    noise = sp.Symbol("s2", positive=True)
    expansion = theta**2 * ((1 + r) * square + noise)
    descent = 2 * theta * (-theta * square + theta**2 / 2 * ell * ((1 + r) * square + noise))
    rest = sp.expand(expansion + descent - theta**2 * noise * (1 + theta * ell))
    assert sp.simplify(rest - theta**2 * square * ((1 + r) * (1 + theta * ell) - 2)) == 0
    assert sp.simplify(rest.subs(theta, (1 - r) / ((1 + r) * ell))) == 0


def test_the_price_with_a_projection_is_a_maximum():
    theta, ell, xi, u = sp.symbols("theta ell xi u", real=True)
    loss = -2 * theta * xi * u - (1 - theta * ell) * u**2
    at = sp.solve(sp.diff(loss, u), u)[0]
    assert sp.simplify(loss.subs(u, at) - theta**2 * xi**2 / (1 - theta * ell)) == 0


@pytest.mark.parametrize("smooth", [True, False])
def test_only_the_last_gap_keeps_a_coefficient(smooth):
    """The sums of step 3 with symbols for v, at the choice of step 4, for five updates."""
    rng = np.random.default_rng(0)
    theta, T = rng.uniform(0.1, 2, 5), 5
    if smooth:
        tail = np.zeros(T + 1)
        for t in reversed(range(T)):
            tail[t] = 0.5 * (tail[t + 1] + np.sqrt(tail[t + 1] ** 2 + 4 * theta[t]))
        v = 1 / tail[:-1]
        left = np.zeros(T + 1)  # coefficients of the gaps at w_1..w_{T+1}
        for t in range(T):
            left[t + 1] += theta[t] * v[t] ** 2
            left[1 : t + 1] -= theta[t] * v[t] * np.diff(v[: t + 1])
        assert left == pytest.approx(np.eye(T + 1)[T], abs=1e-14)
        return
    last = rng.uniform(0.5, 2)
    tail = np.full(T + 1, last)
    for t in reversed(range(T)):
        tail[t] = tail[t + 1] + theta[t] / tail[t + 1]
    extra = last**2 / 2
    steps, v = np.append(theta, extra), np.append(1 / tail, last / extra)  # v_0..v_K
    left = np.zeros(T + 1)
    for t in range(1, T + 2):
        left[t - 1] += steps[t - 1] * v[t] ** 2
        left[:t] -= steps[t - 1] * v[t] * np.diff(v[: t + 1])
    assert left == pytest.approx(np.eye(T + 1)[T], abs=1e-13) and (np.diff(v) >= 0).all()


def test_squares_of_the_tails_add_up():
    before, after, theta = sp.symbols("S0 S1 theta", positive=True)
    smooth = before**2 - (after**2 + 2 * theta - (before - after) ** 2)
    assert sp.simplify(smooth.subs(theta, before * (before - after))) == 0
    lipschitz = before**2 - (after**2 + 2 * theta + (before - after) ** 2)
    assert sp.simplify(lipschitz.subs(theta, after * (before - after))) == 0


# ---- numbers of schedules -------------------------------------------------------------------------------------------


def test_one_pass_finds_the_smallest_square_over_all_ends():
    rng = np.random.default_rng(1)
    grid = np.exp(np.linspace(-12, 6, 20_001))
    for T in (1, 2, 3, 7, 20):
        theta = random_schedule(rng, T)
        tail = grid.copy()
        for step in theta[::-1]:
            tail = tail + step / tail
        found = tails.lipschitz(theta)
        assert found.A <= np.min(tail**2) <= found.A * (1 + 1e-5)
        assert pytest.approx(found.A - 2 * theta.sum(), rel=1e-9) == found.B


def test_constant_steps_follow_their_recursion():
    b = 1.0
    for T in range(1, 200):
        b += 2 + 1 / b if T > 1 else 3
        assert pytest.approx(b, rel=1e-13) == tails.lipschitz(np.ones(T)).A


@pytest.mark.parametrize("T", [1, 2, 10, 1000])
def test_linear_decay_has_the_minimax_value(T):
    schedule = np.arange(T, 0, -1) * (T + 1) ** -1.5
    value = bounds.convex_sgd_last_nonsmooth(schedule=schedule, R=1.0, G=1.0)
    assert value == pytest.approx((T + 1) ** -0.5, rel=1e-12)
    found = tails.smooth(SHAPES["linear"](T))
    assert pytest.approx(T, rel=1e-12) == found.A and pytest.approx(1.0, rel=1e-12) == found.B


@pytest.mark.parametrize(("T", "tolerance"), [(10_000, 1e-3)])
def test_constants_of_the_shapes_tend_to_the_table(T, tolerance):
    assert tails.kappa(SHAPES["cosine"](T)) == pytest.approx(1.0611, rel=tolerance)
    assert pytest.approx(np.log(T) / 2 + 1.1645, rel=tolerance) == tails.smooth(np.ones(T)).B
    assert tails.kappa_nonsmooth(np.ones(T)) == pytest.approx(np.log(T) / 4 + 1.7231 / 2, rel=2e-3)
    for share in (0.2, 0.5):
        cooled = best_schedule.constant_then_linear(T, round(share * T), 1.0, 1 / round(share * T))
        B = 1 + np.log((2 - share) / share) / 2
        assert tails.alpha(cooled) == pytest.approx(2 - share, rel=tolerance)
        assert tails.kappa(cooled) == pytest.approx(B / (2 - share), rel=tolerance)


@pytest.mark.parametrize("name", SHAPES)
def test_the_sharp_form_is_up_to_twice_below_the_scheduled_one(name):
    shape, b = SHAPES[name](60), bounds.convex_sgd_last_nonsmooth
    size = b.tuned_step_size(schedule=shape, R=1.0, G=1.0)
    sharp, loose = (b(form, schedule=shape, step_size=size, R=1.0, G=1.0) for form in ("sharp", "scheduled"))
    assert 1.6 < loose / sharp < 2.3


# ---- exact worst cases ----------------------------------------------------------------------------------------------


def worst_case(eta, smoothness=None, weights=None):
    """The largest last gap over all functions with subgradients of norm 1, or of smoothness L, from distance 1.

    With weights, one for each of w_1..w_{T+1}, the largest weighted sum of gaps.
    """
    T = len(eta)
    points = T + 1
    E = np.eye(points + 1)
    x, g = [E[0]], [E[t + 1] for t in range(points)]
    for t in range(T):
        x.append(x[-1] - eta[t] * g[t])
    gram, f = cp.Variable((points + 1, points + 1), PSD=True), cp.Variable(points)

    def product(a, b):
        return cp.sum(cp.multiply(gram, (np.outer(a, b) + np.outer(b, a)) / 2))

    places = [(x[i], g[i], f[i]) for i in range(points)] + [(0 * E[0], 0 * E[0], 0.0)]
    conditions = [product(x[0], x[0]) <= 1]
    for xi, gi, fi in places[:-1] if smoothness is None else places:
        if smoothness is None:
            conditions.append(product(gi, gi) <= 1)
        for xj, gj, fj in places:
            extra = 0 if smoothness is None else product(gi - gj, gi - gj) / (2 * smoothness)
            if xi is not xj:
                conditions.append(fj >= fi + product(gi, xj - xi) + extra)
    problem = cp.Problem(cp.Maximize(f[T] if weights is None else f @ weights), conditions)
    problem.solve(solver=cp.CLARABEL)
    return problem.value


@pytest.mark.parametrize("seed", range(6))
def test_no_bound_below_the_sharp_form_holds(seed):
    rng = np.random.default_rng(seed)
    eta = random_schedule(rng, int(rng.integers(1, 7)))
    eta *= np.exp(rng.normal(0, 0.5)) / np.sqrt(np.prod(tails.lipschitz(eta)))
    value = bounds.convex_sgd_last_nonsmooth(schedule=eta, R=1.0, G=1.0)
    assert worst_case(eta) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [0, 1, 2, 3, 4], [0, 0, 0, 1, 1], [0.4, 0.3, 0.2, 0.2, 0.2]])
def test_no_bound_below_that_for_weighted_outputs_holds(weights):
    eta, weights = np.array([0.4, 0.3, 0.2, 0.2]), np.array(weights) / np.sum(weights)
    value = weighted_outputs(bounds.convex_sgd_last_nonsmooth, weights, schedule=eta, R=1.0, G=1.0)
    assert worst_case(eta, weights=weights) == pytest.approx(value, rel=1e-4)


def test_weights_in_proportion_to_the_step_sizes_give_the_textbook_bound():
    eta = np.array([0.4, 0.1, 0.7, 0.2])
    points = np.append(eta, 0.3)
    value = weighted_outputs(bounds.convex_sgd_last_nonsmooth, points, schedule=eta, R=2.0, G=3.0)
    assert value == pytest.approx((4 + 9 * np.sum(points**2)) / (2 * points.sum()), rel=1e-9)


def test_all_weight_on_the_last_iterate_gives_the_bound_on_it():
    rng = np.random.default_rng(5)
    smooth = {"L": np.array([1.0, 0.5]), "sigma": np.array([1.0, 0.3]), "R": np.array([1.0, 2.0]), "M": 4}
    cases = (
        (bounds.convex_sgd_last, smooth), (bounds.convex_sgd_last_proj, smooth),
        (bounds.convex_sgd_last_nonsmooth, {"R": 1.0, "G": 1.0}),
    )  # fmt: skip
    for b, known in cases:
        theta = rng.uniform(0.1, 0.9, 6)
        value = weighted_outputs(b, [0, 0, 0, 0, 0, 0, 3], schedule=theta, **known)
        assert value == pytest.approx(b(schedule=theta, **known), rel=1e-9)
        early = weighted_outputs(b, [0, 0, 0, 1, 0, 0, 0], schedule=theta, **known)
        assert early == pytest.approx(b(schedule=theta[:3], **known), rel=1e-9)


@pytest.mark.parametrize("name", ["convex_sgd_last", "convex_sgd_last_nonsmooth"])
def test_uniform_weights_under_a_rising_schedule_are_refused(name):
    known = {"schedule": np.linspace(0.01, 0.2, 8), "R": 1.0}
    known |= {"G": 1.0} if name.endswith("nonsmooth") else {"L": 1.0, "sigma": 1.0, "M": 1}
    with pytest.raises(ValueError, match="go back at iteration .*uniform weights under a rising schedule"):
        weighted_outputs(bounds[name], np.append(0.0, np.ones(8)), **known)
    falling = known | {"schedule": known["schedule"][::-1]}
    assert weighted_outputs(bounds[name], np.append(0.0, np.ones(8)), **falling) > 0


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1, 1], r"weights has shape \(2,\); expected \(3,\), one for each of w_1, ..., w_3"),
        ([0, -1, 1], r"weights\[1\] = -1; expected finite weights of at least 0"),
        ([0, 0, 0], "expected finite weights of at least 0, one of them above"),
        ([1, 1, 1], r"weights\[0\] = 0.333333; a bound for smooth functions says nothing of w_1"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        weighted_outputs(bounds.convex_sgd_last, weights, schedule=[0.2, 0.1], L=1.0, sigma=1.0, R=1.0, M=1)
    with pytest.raises(ValueError, match="convex_sgd is no bound on the last iterate under a schedule"):
        weighted_outputs(bounds.convex_sgd, [0, 1], schedule=[0.1])


@pytest.mark.parametrize("name", ["constant", "linear", "wsd"])
def test_smooth_worst_cases_without_noise(name):
    eta = 0.9 * SHAPES[name](6)
    value = bounds.convex_sgd_last(schedule=eta, L=1.0, sigma=0.0, R=1.0, M=1)
    exact = worst_case(eta, smoothness=1.0)
    assert exact == pytest.approx(1 / (2 * (2 * eta.sum() + 1)), rel=1e-4)
    assert 0.65 < exact / value < 0.88


def end(theta, t, target):
    """a at which S_{t+1}^2 = target, on the branch where it rises."""
    later = theta[t:]
    if not later.size:
        return np.sqrt(target)

    def excess(log_a):
        tail = np.exp(log_a)
        for step in later[::-1]:
            tail = tail + step / tail
        return tail**2 - target

    low = np.log(smallest_end(theta, t))
    return np.exp(brentq(excess, low, np.log(target) / 2, xtol=1e-15, rtol=1e-15)) if excess(low) < 0 else np.exp(low)


def smallest_end(theta, t=0):
    """a at which S_{t+1}^2 is smallest."""
    least, place = 0.0, len(theta) - 1
    for k in reversed(range(t, len(theta))):
        if theta[k] > least:
            least, place = theta[k], k
        least = (least + theta[k]) ** 2 / least
    return end(theta, place + 1, theta[place])


def attained(theta, R):
    """The gap that the instance of the page reaches, and the smallest eigenvalue of its Gram matrix."""
    K = len(theta) + 1
    S = np.empty(K)
    S[-1] = smallest_end(theta)
    for t in reversed(range(K - 1)):
        S[t] = S[t + 1] + theta[t] / S[t + 1]
    d = np.append(S[:-1] - S[1:], S[-1])
    free = int(np.argmin(np.abs(1 - d[:-1] / S[1:])))

    def inner(x):
        c, B = np.zeros(K), S[-1]
        for t in reversed(range(K - 1)):
            c[t] = x if t == free else (B - d[t]) / (S[t + 1] - d[t])
            B = d[t] * c[t] + B
        return c, B

    low, high = inner(0.0)[1], inner(1.0)[1]
    c = inner((R**2 / S[0] ** 3 - low) / (high - low))[0]
    gram = c[np.minimum.outer(np.arange(K), np.arange(K))]
    np.fill_diagonal(gram, 1.0)
    x = S[0] * d
    for t in range(K - 1):
        values = gram @ x
        x[np.argmax(values >= values.max() - 1e-9 * abs(values.max()))] -= theta[t]
    return (gram @ x).max(), np.linalg.eigvalsh(gram).min()


def test_the_sharp_form_is_attained_for_200_random_schedules():
    rng = np.random.default_rng(2)
    for _ in range(200):
        theta = random_schedule(rng, int(rng.integers(1, 30)))
        theta /= np.sqrt(np.prod(tails.lipschitz(theta)))
        theta *= np.exp(rng.uniform(-np.log(tails.lipschitz(theta).A), 1.0))  # from R/G = A_min on
        value, eigenvalue = attained(theta, 1.0)
        assert eigenvalue > -1e-9
        assert value == pytest.approx(bounds.convex_sgd_last_nonsmooth(schedule=theta, R=1.0, G=1.0), rel=1e-9)


def test_the_absolute_value_attains_it_for_short_step_sizes():
    theta = np.array([0.1, 0.05, 0.2])
    assert bounds.convex_sgd_last_nonsmooth(schedule=theta, R=3.0, G=2.0) == pytest.approx(2 * 3 - 4 * theta.sum())


def scheduled(theta, base=1.0):
    """SGD with these step sizes, for the walker over all paths."""
    return lambda w, g, t, state: (w - theta[t] * base * g, state)


# ---- exact expectations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boxed", [False, True])
def test_bounds_hold_in_exact_expectation(exact, convex_instances, boxed):
    name = "convex_sgd_last_proj" if boxed else "convex_sgd_last"
    rng, largest = np.random.default_rng(3), 0.0
    for _ in range(300):
        value, gradient, L, shift = convex_instances(rng)
        T, M, p = int(rng.integers(1, 6)), 1, rng.uniform(0.05, 0.95)
        sigma, rho = 10 ** rng.uniform(-2, 1, 2), 0.0 if boxed else rng.choice([0.0, 0.3])
        base = 10 ** rng.uniform(-1, 0.5, 2)
        theta = random_schedule(rng, T)
        room = (1 - rho) / (1 + rho) / np.max(base * L) * (0.999 if boxed else 1.0)
        theta *= room / theta.max() * rng.uniform(0.1, 1.0)
        box, minimum, best = None, 0.0, shift
        if boxed:
            low = np.where(rng.random(2) < 0.5, shift + 0.3, -2.0)
            box = (low, low + 3.0)
            found = minimize(
                lambda w, value=value: value(w[None])[0], np.clip(shift, *box),
                jac=lambda w, gradient=gradient: gradient(w[None])[0],
                bounds=list(zip(*box, strict=True)), options={"ftol": 1e-15, "gtol": 1e-12},
            )  # fmt: skip
            minimum, best = found.fun, found.x
        start = np.clip(shift + rng.normal(0, 1, 2), *(box or (-np.inf, np.inf)))
        walked = exact.walk(value, gradient, scheduled(theta, base), start, T, sigma, p, box, rho)
        known = {"L": L, "sigma": sigma, "R": np.abs(start - best), "M": M, "rho": rho, "step_size": base}
        ratio = (walked.gap - minimum) / bounds[name](schedule=theta, **known)
        largest = max(largest, ratio)
        assert ratio <= 1 + 1e-9
    assert largest > 0.35


def test_the_nonsmooth_bound_holds_in_exact_expectation(exact):
    rng, largest = np.random.default_rng(4), 0.0
    for _ in range(200):
        c, shift, T = rng.uniform(0.1, 2, 2), rng.uniform(-1, 1, 2), int(rng.integers(1, 6))
        sigma, p, base = 10 ** rng.uniform(-2, 0.5, 2), rng.uniform(0.05, 0.95), 10 ** rng.uniform(-1, 0.5, 2)
        G = np.sqrt(c**2 + sigma**2)
        start = shift + rng.normal(0, 1, 2)
        known = {"R": np.abs(start - shift), "G": G, "step_size": base}
        theta = random_schedule(rng, T)
        theta *= bounds.convex_sgd_last_nonsmooth.tuned_step_size(schedule=theta, **known) * 10 ** rng.uniform(-1, 0.3)
        walked = exact.walk(
            lambda w, c=c, shift=shift: np.sum(c * np.abs(w - shift), axis=1),
            lambda w, c=c, shift=shift: c * np.sign(w - shift),
            scheduled(theta, base), start, T, sigma, p,
        )  # fmt: skip
        ratio = walked.gap / bounds.convex_sgd_last_nonsmooth(schedule=theta, **known)
        largest = max(largest, ratio)
        assert ratio <= 1 + 1e-9
    assert largest > 0.6


def test_the_mean_of_the_outputs_is_bounded_in_exact_expectation(exact, convex_instances):
    rng = np.random.default_rng(6)
    for _ in range(100):
        value, gradient, L, shift = convex_instances(rng)
        T, sigma = int(rng.integers(1, 6)), 10 ** rng.uniform(-2, 1, 2)
        theta = np.sort(rng.uniform(0.05, 1, T))[::-1] / L.max()
        start = shift + rng.normal(0, 1, 2)
        walked = exact.walk(value, gradient, scheduled(theta), start, T, sigma, rng.uniform(0.05, 0.95))
        known = {"L": L, "sigma": sigma, "R": np.abs(start - shift), "M": 1}
        bound = weighted_outputs(bounds.convex_sgd_last, np.append(0, np.ones(T)), schedule=theta, **known)
        assert walked.mean_gap_after <= bound * (1 + 1e-9)


# ---- the best schedule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [0.1, 0.7, 5.0])
def test_under_a_constant_price_the_best_schedule_is_constant_then_linear(y):
    """A descent from two shapes; the cap is 1, R = 1, N = y/T."""
    T = 40
    N = y / T

    def function(logs):
        found = tails.smooth(np.exp(logs))
        return np.log(0.5 * (1 / found.A + N * found.B))

    results = [
        minimize(
            function, np.log(s(T) + 1e-6), bounds=[(-25, 0)] * T,
            options={"maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        for s in (SHAPES["linear"], SHAPES["wsd"])
    ]
    eta = np.exp(min(results, key=lambda r: r.fun).x)
    k = int(np.sum(eta < 0.999))
    linear = np.arange(k, 0, -1) / k
    assert np.sqrt(np.mean((eta[T - k :] / eta[T - k] - linear) ** 2)) < 1e-3
    family = [
        (function(np.log(best_schedule.constant_then_linear(T, j, 1.0, slope))), j)
        for j in range(1, T + 1)
        for slope in np.linspace(1 / (j + 1), 1 / j, 11) * (1 if j < T else np.linspace(0.1, 1, 11))
    ]
    assert abs(min(family)[1] - k) <= 1


@pytest.mark.parametrize("M", [1, 30, 1000])
@pytest.mark.parametrize("name", ["convex_sgd_last", "convex_sgd_last_proj"])
def test_no_schedule_of_a_race_beats_the_best_one(name, M):
    b, T = bounds[name], 50
    known = {"L": np.array([1.0, 0.3]), "sigma": np.array([1.0, 0.5]), "R": np.array([1.0, 2.0]), "M": M}
    best = b(schedule=b.optimal_schedule(T=T, **known), **known)
    for shape in SHAPES.values():
        size = b.tuned_step_size(schedule=shape(T), **known)
        assert best <= b(schedule=shape(T), step_size=size, **known) * (1 + 1e-9)
    rng = np.random.default_rng(M)
    at = np.log(b.optimal_schedule(T=T, **known))
    top = at.max() if name == "convex_sgd_last" else np.inf
    for _ in range(100):
        near = np.exp(np.minimum(at + 0.05 * rng.normal(size=T), top))
        if not b.violations(schedule=near, **known):
            assert b(schedule=near, **known) >= best * (1 - 1e-7)
