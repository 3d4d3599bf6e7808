"""Every update rule against a NumPy line, AdaGrad against its exact invariances, presets against optax; schedules."""

import numpy as np
import pytest
from rounding import EPS

import anisotropic as an
from anisotropic.simulation import loop

O, S = an.optimizers, an.schedules
STEP = np.array([0.5, 0.1, 2.0, 0.3])


def state_of(optimizer, d):
    rows = [v(d) if callable(v) else np.resize(v, d) for v in optimizer.state.values()]
    return np.array(rows, dtype=float).reshape(len(rows), d)


def params_of(optimizer, d):
    fields = optimizer.params._asdict()
    return type(optimizer.params)(**{k: np.resize(v, d) if isinstance(v, np.ndarray) else v for k, v in fields.items()})


def walk(optimizer, gradients, start=0.0, step_size=None):
    """Iterates (n + 1, d) and states (n + 1, slots, d) of an update rule along given gradients."""
    n, d = np.shape(gradients)
    w, state, params = np.full(d, start), state_of(optimizer, d), params_of(optimizer, d)
    eta = np.broadcast_to(np.asarray(optimizer.step_size if step_size is None else step_size, dtype=float), (d,)).copy()
    points, states = [w.copy()], [state.copy()]
    for t, g in enumerate(np.asarray(gradients, dtype=float), 1):
        optimizer.update(w, g.copy(), state, eta, t, params)
        points.append(w.copy())
        states.append(state.copy())
    return np.array(points), np.array(states)


def sgd(w, g, t, s):
    return w - STEP * g


def heavy_ball(w, g, t, s):
    s["m"] = 0.8 * s.get("m", 0) + g
    return w - STEP * s["m"]


def adagrad(start=0.0, inside=0.0, outside=0.0, norm=False):
    def update(w, g, t, s):
        s["v"] = s.get("v", start) + ((g * g).sum() if norm else g * g)
        return w - STEP * g / (np.sqrt(s["v"] + inside) + outside)

    return update


def rmsprop(w, g, t, s):
    s["v"] = 0.9 * s.get("v", 0.05**2) + 0.1 * g**2
    return w - STEP * g / np.sqrt(s["v"])


def adam(largest):
    def update(w, g, t, s):
        s["m"], s["v"] = 0.7 * s.get("m", 0) + 0.3 * g, 0.95 * s.get("v", 0) + 0.05 * g**2
        s["top"] = np.maximum(s.get("top", 0), s["v"])
        second = (s["top"] if largest else s["v"]) / (1 - 0.95**t)
        return w - STEP * s["m"] / (1 - 0.7**t) / (np.sqrt(second) + 0.01)

    return update


def nesterov(w, g, t, s):
    s["m"] = 0.8 * s.get("m", 0) + g
    return w - STEP * (g + 0.8 * s["m"])


def sign_of_momentum(follow, keep, decay):
    def update(w, g, t, s):
        direction = np.sign(follow * s.get("m", 0) + (1 - follow) * g)
        s["m"] = keep * s.get("m", 0) + (1 - keep) * g
        return (1 - decay * STEP) * w - STEP * direction

    return update


DECAY = {"beta1": 0.7, "beta2": 0.95, "eps": 0.01}
RULES = {
    "sgd": (O.sgd(STEP), sgd),
    "heavy_ball": (O.heavy_ball(STEP, 0.8), heavy_ball),
    "adagrad convex": (O.adagrad(STEP), adagrad()),
    "adagrad convex, eps": (O.adagrad(STEP, eps=[0.1, 0.2, 0.3, 0.4]), adagrad(outside=[0.1, 0.2, 0.3, 0.4])),
    "adagrad nonconvex": (
        O.adagrad(STEP, eps=[0.1, 0.2, 0.3, 0.4], preset="nonconvex"),
        adagrad(start=np.array([0.1, 0.2, 0.3, 0.4]) ** 2),
    ),
    "adagrad torch": (O.adagrad(STEP, preset="torch"), adagrad(outside=1e-10)),
    "adagrad optax": (O.adagrad(STEP, preset="optax"), adagrad(start=0.1, inside=1e-7)),
    "adagrad-norm convex": (O.adagrad_norm(STEP, eps=0.2), adagrad(outside=0.2, norm=True)),
    "adagrad-norm nonconvex": (O.adagrad_norm(STEP, eps=0.2, preset="nonconvex"), adagrad(start=0.04, norm=True)),
    "rmsprop": (O.rmsprop(STEP, 0.9, eps=0.05), rmsprop),
    "adam": (O.adam(STEP, **DECAY), adam(False)),
    "amsgrad": (O.amsgrad(STEP, **DECAY), adam(True)),
    "nesterov": (O.nesterov(STEP, 0.8), nesterov),
    "signum": (O.signum(STEP, 0.8, weight_decay=0.3), sign_of_momentum(0.8, 0.8, 0.3)),
    "lion": (O.lion(STEP, beta1=0.7, beta2=0.9, weight_decay=0.3), sign_of_momentum(0.7, 0.9, 0.3)),
    "adamw": (O.adamw(STEP, **DECAY, weight_decay=0.3), lambda w, g, t, s: adam(False)((1 - 0.3 * STEP) * w, g, t, s)),
    "sign_sgd": (O.sign_sgd(STEP), lambda w, g, t, s: w - STEP * np.sign(g)),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_equal_the_numpy_line(name):
    optimizer, line = RULES[name]
    gradients = np.random.default_rng(0).normal(size=(20, 4)) * [1.0, 0.1, 10.0, 1.0]
    got, _ = walk(optimizer, gradients, start=0.3)
    w, memory, path = np.full(4, 0.3), {}, np.full(4, 0.3)
    for t, g in enumerate(gradients, 1):
        before, w = w, line(w, g, t, memory)
        path += np.abs(w - before)
        # Each of t steps is off by the rounding of w, at most EPS path, and of some 8 operations of its own on averages
        # over up to t gradients; none of the rules amplifies what the steps before were off.
        assert (np.abs(got[t] - w) <= (t + 8 + t) * EPS * path).all()


def test_adagrad_norm_by_hand():
    """Gradients (3, 4) and (0, 12): v = 25, then 169; steps of eta (3/5, 4/5) and eta (0, 12/13)."""
    points, states = walk(O.adagrad_norm(1.0), [[3.0, 4.0], [0.0, 12.0]])
    np.testing.assert_allclose(points, [[0, 0], [-0.6, -0.8], [-0.6, -0.8 - 12 / 13]], rtol=8 * EPS)
    assert states[:, 0, :].sum(axis=1).tolist() == [0.0, 25.0, 169.0]


def test_steps_of_adagrad_are_at_most_eta_and_its_accumulator_never_falls():
    """Gradients from 1e-150 to 1e150, both signs, with zeros; |w_{t+1} - w_t| <= eta up to the rounding of w."""
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(300, 6)) * 10.0 ** rng.uniform(-150, 150, (300, 6)) * (rng.random((300, 6)) > 0.1)
    for optimizer in (O.adagrad(0.5), O.adagrad(0.5, eps=0.1), O.adagrad(0.5, eps=0.1, preset="nonconvex")):
        points, states = walk(optimizer, gradients)
        assert np.isfinite(points).all() and (np.diff(states, axis=0) >= 0).all()
        assert (abs(np.diff(points, axis=0)) <= 0.5 + 2 * np.spacing(abs(points[1:]) + 0.5)).all()
    points, states = walk(O.adagrad_norm(0.5), gradients)
    assert (np.linalg.norm(np.diff(points, axis=0), axis=1) <= 0.5 * (1 + 1e-12)).all()
    assert (np.diff(states.sum(axis=2), axis=0) >= 0).all()


def test_zero_over_zero_is_a_step_of_zero():
    """With eps = 0 a coordinate without gradient stays, also after others have moved, and moves once it has one."""
    points, _ = walk(O.adagrad(0.5), [[0.0, 1.0], [0.0, 0.0], [-2.0, 0.0]], start=1.0)
    assert points.tolist() == [[1.0, 1.0], [1.0, 0.5], [1.0, 0.5], [1.5, 0.5]]
    points, _ = walk(O.adagrad_norm(0.5), [[0.0, 0.0], [0.0, -3.0]], start=1.0)
    assert points.tolist() == [[1.0, 1.0], [1.0, 1.0], [1.0, 1.5]]
    assert walk(O.sign_sgd(0.5), [[0.0, 1.0]])[0].tolist() == [[0.0, 0.0], [0.0, -0.5]]


@pytest.mark.parametrize("name", RULES)
def test_nan_and_infinite_gradients_stay_visible(name):
    optimizer, _ = RULES[name]
    points, _ = walk(optimizer, [[np.nan, 1.0, 1.0, 1.0]])
    assert np.isnan(points[1, 0]) and ("norm" in name or np.isfinite(points[1, 1:]).all())
    bounded = name in ("sign_sgd", "signum", "lion")  # the sign of infinity is 1
    assert np.isfinite(walk(optimizer, [[np.inf, 1.0, 1.0, 1.0]])[0][1, 0]) == bounded


def test_nan_and_infinity_pass_through_the_box():
    w, total = np.array([np.nan, 5.0, -5.0, 0.5]), np.zeros(4)
    loop.clip_and_add(w, np.full(4, -1.0), np.full(4, 1.0), total)
    np.testing.assert_array_equal(w, [np.nan, 1.0, -1.0, 0.5])
    np.testing.assert_array_equal(total, w)


@an.leaf
def torn_value(w, params):
    return w[0]


@an.leaf
def torn_gradient(w, params, out):
    out[0] = 1.0 if w[0] > 0.0 else np.nan


def test_a_nan_gradient_ends_a_run_of_adagrad_in_a_box():
    """f = w with slope 1 down to 0 and NaN beyond: steps of 1/sqrt(t) from 2 reach 0.29, then -0.28, where it ends."""
    f = an.Objective("torn", 1, torn_value, torn_gradient, box=(-3, 3), minimum=0.0)
    setting = dict(noise=an.noises.none(), start=2.0, steps=6, replicas=2, records=6)
    run = an.simulate(f, O.adagrad(1.0), check=False, **setting)
    np.testing.assert_allclose(run.gap[0, :2], [1.0, 1 - 1 / np.sqrt(2)], rtol=1e-14)
    assert np.isnan(run.gap[:, 2:]).all() and set(run.status) == {"diverged"}


@an.leaf
def first_coordinate(w, gradient, params):
    return w[0]


@an.leaf
def second_coordinate(w, gradient, params):
    return w[1]


MEASURES = {"first": first_coordinate, "second": second_coordinate}


def trajectory(*, h, sigma, centre=0.0, start=0.0, step_size=0.5, box=None, steps=64, **options):
    """A run of AdaGrad on a noisy quadratic with both coordinates recorded, shape (replicas, records, 2)."""
    f = an.problems.quadratic(h, center=centre, box=box)
    run = an.simulate(
        f, O.adagrad(step_size, **options), noise=an.noises.gaussian(sigma), start=start, steps=steps, replicas=5,
        seed=3,
        measures=MEASURES,
    )  # fmt: skip
    return np.stack([run.first, run.second], axis=2), run


H, SIGMA, CENTRE = np.array([1.0, 0.3]), np.array([0.4, 1.0]), np.array([0.7, -0.2])


def test_the_first_step_of_adagrad_has_length_eta_or_ends_at_the_box():
    """T = 1, eps = 0: w_2 = clip(w_1 - eta sign(g_1)), whatever the size of g_1."""
    w, _ = trajectory(h=H, sigma=SIGMA, centre=CENTRE, start=[0.1, -0.9], step_size=[0.25, 0.5], box=(-1, 1), steps=1)
    assert set(np.round(w[:, 0, 0], 12)) <= {-0.15, 0.35} and set(np.round(w[:, 0, 1], 12)) <= {-1.0, -0.4}
    assert len(set(np.round(w[:, 0, 1], 12))) == 2  # noise decides the sign


def test_adagrad_does_not_see_the_scale_of_the_objective():
    """f -> c f with the noise scaled too: the same iterates, to the bit where c is a power of 4."""
    plain, run = trajectory(h=H, sigma=SIGMA, centre=CENTRE)
    scaled, run_scaled = trajectory(h=4 * H, sigma=4 * SIGMA, centre=CENTRE)
    np.testing.assert_array_equal(scaled, plain)
    np.testing.assert_array_equal(run_scaled.mean_gap, 4 * run.mean_gap)
    np.testing.assert_allclose(trajectory(h=10 * H, sigma=10 * SIGMA, centre=CENTRE)[0], plain, rtol=1e-10, atol=1e-12)
    assert not np.allclose(trajectory(h=4 * H, sigma=4 * SIGMA, centre=CENTRE, eps=0.5)[0], plain, atol=0.01)


def test_adagrad_follows_a_change_of_units():
    """w_j = a_j u_j: the run in u with steps eta_j / a_j is the same run, coordinate by coordinate."""
    a, start, box = np.array([4.0, 0.5]), np.array([0.1, 0.9]), (np.full(2, -1.0), np.full(2, 1.0))
    w, run = trajectory(h=H, sigma=SIGMA, centre=CENTRE, start=start, box=box)
    u, run_u = trajectory(
        h=H * a**2, sigma=SIGMA * a, centre=CENTRE / a, start=start / a, step_size=0.5 / a, box=(box[0] / a, box[1] / a)
    )
    np.testing.assert_allclose(u * a, w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(run_u.mean_gap, run.mean_gap, rtol=1e-12)


def test_the_recorded_accumulator_is_the_sum_of_squared_gradients():
    """Noiseless: v_T = sum_t |g_t|^2 = T times the running mean of |grad|_2^2."""
    _, run = trajectory(h=H, sigma=0.0, centre=CENTRE)
    np.testing.assert_allclose(run.accumulator, run.steps * run.gradient_l2_squared, rtol=1e-12)
    assert (np.diff(run.accumulator, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (O.adagrad(0.3, preset="optax"), lambda optax: optax.adagrad(0.3)),
        (O.sgd(0.3), lambda optax: optax.sgd(0.3)),
        (O.heavy_ball(0.1, 0.9), lambda optax: optax.sgd(0.1, momentum=0.9)),
        (O.adam(0.05), lambda optax: optax.adam(0.05)),
        (O.sign_sgd(0.05), lambda optax: optax.sign_sgd(0.05)),
    ],
    ids=["adagrad", "sgd", "heavy_ball", "adam", "sign_sgd"],
)
def test_parity_with_optax_over_200_steps(ours, theirs):
    """float64 along given gradients; AdaGrad differs unless accumulator start 0.1 and eps inside agree."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    gradients = np.random.default_rng(7).normal(size=(200, 3)) * [1.0, 1e-2, 30.0]
    got, _ = walk(ours, gradients, start=1.0)
    method, before = theirs(optax), jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        w = jax.numpy.full(3, 1.0)
        state = method.init(w)
        for t, g in enumerate(gradients, 1):
            update, state = method.update(jax.numpy.asarray(g), state, w)
            w = optax.apply_updates(w, update)
            np.testing.assert_allclose(got[t], np.asarray(w), rtol=1e-10, atol=1e-12)
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (O.nesterov(0.05, 0.9), lambda torch, w: torch.optim.SGD([w], 0.05, momentum=0.9, nesterov=True)),
        (O.heavy_ball(0.05, 0.9), lambda torch, w: torch.optim.SGD([w], 0.05, momentum=0.9)),
        (O.adamw(0.05, weight_decay=0.1), lambda torch, w: torch.optim.AdamW([w], 0.05, weight_decay=0.1)),
        (O.adam(0.05), lambda torch, w: torch.optim.Adam([w], 0.05)),
    ],
    ids=["nesterov", "heavy_ball", "adamw", "adam"],
)
def test_parity_with_torch_over_1000_steps(ours, theirs):
    """float64 along the gradients of a quadratic that moves, under a cosine of step sizes: to 1e-12."""
    torch = pytest.importorskip("torch")
    h, T = np.array([1.0, 0.1, 0.01]), 1000
    rates = 0.05 * np.cos(np.pi * np.arange(T) / (2 * T)) ** 2
    centers = np.random.default_rng(8).normal(size=(T, 3))
    weights = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    method, w, state, params = theirs(torch, weights), np.ones(3), state_of(ours, 3), params_of(ours, 3)
    for t, (rate, center) in enumerate(zip(rates, centers, strict=True), 1):
        ours.update(w, h * (w - center), state, np.full(3, rate), t, params)
        method.param_groups[0]["lr"] = rate
        weights.grad = torch.from_numpy(h) * (weights.detach() - torch.from_numpy(center))
        method.step()
        np.testing.assert_allclose(w, weights.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_sign_methods_are_each_others_special_cases():
    gradients = np.random.default_rng(9).normal(size=(50, 3))
    plain, _ = walk(O.sign_sgd(0.1), gradients, start=1.0)
    assert np.array_equal(walk(O.signum(0.1, 0.0), gradients, start=1.0)[0], plain)
    assert np.array_equal(walk(O.lion(0.1, beta1=0.0), gradients, start=1.0)[0], plain)
    mean, _ = walk(O.signum(0.1, 0.6, weight_decay=0.5), gradients, start=1.0)
    assert np.array_equal(walk(O.lion(0.1, beta1=0.6, beta2=0.6, weight_decay=0.5), gradients, start=1.0)[0], mean)
    adam, _ = walk(O.adam(0.1, beta1=0.7), gradients, start=1.0)
    assert np.array_equal(walk(O.adamw(0.1, beta1=0.7, weight_decay=0.0), gradients, start=1.0)[0], adam)


def test_decoupled_decay_keeps_sign_methods_in_their_box():
    """|w_j| <= 1/decay once there, whatever the gradients."""
    gradients = np.random.default_rng(10).normal(size=(400, 5)) + 1.0
    for method in (O.signum(0.3, 0.9, weight_decay=2.0), O.lion(0.3, weight_decay=2.0)):
        assert np.abs(walk(method, gradients, start=0.5)[0]).max() <= 0.5 * (1 + 4 * EPS)


def test_settings_name_the_convention():
    assert O.adagrad(1.0).settings == {"preset": "convex", "eps": 0.0}
    assert O.adagrad(1.0, preset="torch").settings["eps"] == 1e-10
    assert O.adagrad(1.0, preset="optax").settings["eps"] == 1e-7
    assert O.adagrad(1.0, preset="optax").state == {"accumulator": 0.1}
    assert O.adagrad(1.0, eps=[0.1, 0.2]).settings["eps"] == [0.1, 0.2]
    assert O.adagrad_norm(1.0, eps=0.3, preset="nonconvex").settings == {"preset": "nonconvex", "eps": 0.3}
    assert O.rmsprop(1.0, 0.9, eps=0.1).settings == {"preset": "nonconvex", "eps": 0.1, "beta": 0.9}
    assert O.heavy_ball(1.0, 0.9).settings == {"momentum": 0.9} and O.sgd(1.0).settings == {}


def factors(schedule, n, value=1.0):
    state = np.zeros(schedule.slots)
    return [schedule.factor(t, value, state, schedule.params) for t in range(1, n + 1)]


def test_schedules_follow_their_formulas():
    np.testing.assert_allclose(factors(S.inverse_sqrt(0.5), 9), 1 / np.sqrt(np.arange(1, 10)), rtol=4 * EPS)
    np.testing.assert_allclose(factors(S.inverse_time(0.5, 4.0), 9), 4 / (4 + np.arange(9)), rtol=4 * EPS)
    assert O.sgd(S.inverse_sqrt([0.5, 0.1])).step_size.step_size == [0.5, 0.1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: O.sgd(0.0), r"step_size\[0\] = 0; expected numbers above 0"),
        (lambda: O.sgd([0.1, -0.1]), r"step_size\[1\] = -0.1; expected numbers above 0"),
        (lambda: O.adagrad(np.nan), r"step_size\[0\] = nan; expected"),
        (lambda: O.adagrad(np.inf), r"step_size\[0\] = inf; expected finite numbers"),
        (lambda: O.adam("fast"), "step_size = 'fast'; expected a number or an array"),
        (lambda: O.sgd(np.ones((2, 2))), r"step_size has shape \(2, 2\); expected a number, shape \(d,\) or a"),
        (lambda: O.sgd(S.inverse_sqrt(-1.0)), r"step_size\[0\] = -1; expected numbers above 0"),
        (lambda: O.heavy_ball(1.0, 1.0), "momentum = 1; expected a number from 0 to below 1"),
        (lambda: O.signum(1.0, 1.0), "momentum = 1; expected a number from 0 to below 1"),
        (lambda: O.lion(1.0, beta2=1.0), "beta2 = 1; expected a number from 0 to below 1"),
        (lambda: O.adamw(1.0, weight_decay=-0.1), "weight_decay = -0.1; expected a finite number of at least 0"),
        (lambda: O.rmsprop(1.0, -0.1, eps=1.0), "beta = -0.1; expected a finite number of at least 0"),
        (lambda: O.rmsprop(1.0, 0.9, eps=0.0), "eps = 0; expected a finite number above 0"),
        (lambda: O.adam(1.0, beta2=np.nan), "beta2 = nan; expected a finite number"),
        (lambda: O.amsgrad(1.0, eps=-1.0), "eps = -1; expected a finite number above 0"),
        (lambda: O.adagrad(1.0, eps=-1.0), r"eps\[0\] = -1; expected numbers of at least 0"),
        (lambda: O.adagrad(1.0, preset="nonconvex"), "preset 'nonconvex' has no default eps; pass eps > 0"),
        (lambda: O.adagrad(1.0, eps=0.0, preset="nonconvex"), r"eps\[0\] = 0; expected numbers above 0"),
        (lambda: O.adagrad(1.0, preset="convx"), "preset = 'convx'; expected one of .*; did you mean 'convex'"),
        (lambda: O.adagrad_norm(1.0, eps=[0.1, 0.2]), r"eps has shape \(2,\); AdaGrad-Norm has one accumulator"),
        (lambda: S.inverse_time(1.0, 0.0), "offset = 0; expected a finite number above 0"),
    ],
)
def test_wrong_constants_are_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("module", "name", "nearest"), [(O, "adagard", "adagrad"), (S, "inverse_root", "inverse_sqrt")]
)
def test_unknown_names_suggest_the_nearest(module, name, nearest):
    with pytest.raises(AttributeError, match=f"no name '{name}'; did you mean '{nearest}'"):
        getattr(module, name)
