"""Are the records good citizens? Frozen, small in print, copied and pickled whole, saved whole or not at all."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import anisotropic as an

SPECS = [
    an.problems.quadratic([1.0, 2.0], center=0.5, box=(-1, 1)),
    an.problems.coupled([[1.0, 2.0]], "cosine", 1.0),
    an.noises.affine([0.2, 1.0], 2.0),
    an.noises.minibatch(replace=False),
    an.optimizers.adagrad([0.5, 0.1], eps=[0.1, 0.2]),
    an.optimizers.adagrad_norm(0.5, eps=0.1, preset="nonconvex"),
    an.optimizers.sgd(an.schedules.inverse_time(0.5, 3.0)),
    an.batching.norm_test(0.5),
]


@pytest.fixture(scope="module")
def run():
    f = an.problems.quadratic([1.0, 0.5], center=0.9, box=(-1, 1))
    return an.simulate(f, an.optimizers.adagrad(0.5), noise=an.noises.gaussian(1.0), start=0.0, steps=20, replicas=3)


def flat(value):
    """A record as nested plain values; arrays as lists, functions by their names."""
    if hasattr(value, "__dataclass_fields__"):
        return {k: flat(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, tuple | list):
        return [type(value).__name__, *(flat(v) for v in value)]
    if isinstance(value, dict):
        return {k: flat(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else getattr(value, "__name__", value)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_records_survive_pickle_and_copies(spec):
    for twin in (pickle.loads(pickle.dumps(spec)), copy.copy(spec), copy.deepcopy(spec)):
        first, second = flat(twin), flat(spec)
        if isinstance(spec, an.Optimizer):  # a partial has no equality of its own
            first.pop("state"), second.pop("state")
            assert twin.state.keys() == spec.state.keys()
        assert first == second and type(twin.params) is type(spec.params)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_records_are_frozen_and_print_on_two_lines_at_most(spec):
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"
    assert len(repr(spec)) < 240 and "0x" not in repr(spec) and spec.name in repr(spec)


def test_printing_does_not_grow_with_the_dimension():
    f = an.problems.quadratic(np.linspace(1.0, 2.0, 100_000))
    assert len(repr(f)) < 240 and "d=100000" in repr(f)
    assert repr(an.noises.gaussian(np.linspace(0.5, 2.0, 1000))) == "Noise(gaussian, sigma=0.5..2)"
    method = an.optimizers.sgd(an.schedules.inverse_sqrt(0.5))
    assert repr(method) == "Optimizer(sgd, step_size=Schedule(inverse_sqrt, step_size=0.5))"


def test_a_record_does_not_share_the_arrays_it_was_given():
    L, lo = np.array([1.0, 2.0]), np.zeros(2)
    f = an.Objective("own", 2, SPECS[0].value, SPECS[0].gradient, SPECS[0].params, smoothness=L, box=(lo, 1.0))
    L[0], lo[0] = 99.0, -99.0
    assert f.smoothness.tolist() == [1.0, 2.0] and f.box[0].tolist() == [0.0, 0.0]


def test_smoothness_alone_gives_generalized_smoothness():
    """|f_jj| <= L_j is |f_jj| <= L0_j + L1_j |f_j| with L0 = L and L1 = 0; without smoothness nothing is known."""
    functions = SPECS[0].value, SPECS[0].gradient, SPECS[0].params
    L0, L1 = an.Objective("own", 2, *functions, smoothness=[3.0, 1.0]).generalized_smoothness
    assert L0.tolist() == [3.0, 1.0] and L1.tolist() == [0.0, 0.0]
    assert an.Objective("own", 2, *functions).generalized_smoothness is None
    given = an.Objective("own", 2, *functions, smoothness=3.0, generalized_smoothness=(1.0, 2.0)).generalized_smoothness
    assert [v.tolist() for v in given] == [[1.0, 1.0], [2.0, 2.0]]


def test_statistics_are_read_by_attribute_and_by_key(run):
    assert run.mean_gap is run["mean_gap"] and run.replicas == 3
    with pytest.raises(AttributeError, match=r"this run has no statistic 'men_gap'; it has .*mean_gap"):
        _ = run.men_gap
    with pytest.raises(KeyError, match="this run has no statistic 'loss'"):
        _ = run["loss"]
    twin = pickle.loads(pickle.dumps(run))
    np.testing.assert_array_equal(twin.mean_gap, run.mean_gap)
    assert repr(copy.deepcopy(run)) == "Run(adagrad on quadratic, d=2, noise gaussian, 20 iterations, 3 replicas)"


def test_constants_carry_the_names_of_bounds(run):
    """R_j = |w_1j - w*_j| = 0.9, D_j = 2, G_j^2 = (h_j 1.9)^2 + sigma_j^2, Delta = (1/2) sum_j h_j 0.9^2."""
    known = run.constants()
    assert known["T"] == 20 and known["M"] == 1 and known["step_size"] == 0.5 and known["eps"] == 0.0
    np.testing.assert_allclose(known["R"], 0.9)
    np.testing.assert_allclose(known["D"], 2.0)
    np.testing.assert_allclose(known["G"], np.sqrt(np.array([1.9, 0.95]) ** 2 + 1))
    assert known["Delta"] == pytest.approx(0.75 * 0.81) == run.initial_gap
    known["L"] = None
    assert run.constants()["L"].tolist() == [1.0, 0.5]  # a copy was changed


def test_a_failed_save_leaves_nothing_and_keeps_what_was_there(run, tmp_path, monkeypatch):
    path = run.save(tmp_path / "run")
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        run.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_tables_for_other_libraries(run):
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    frame = run.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == run.mean_gap.size
    at = frame[(frame["replica"] == 2) & (frame["step"] == run.steps[-1])]
    assert at["mean_gap"].item() == run.mean_gap[2, -1]
    data = run.to_xarray()
    assert isinstance(data, xarray.Dataset)
    assert data["gap"].sel(step=int(run.steps[-1]), replica=1).item() == run.gap[1, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "dim = 0; expected a whole number of at least 1"),
        ({"smoothness": [1.0, -1.0]}, r"smoothness\[1\] = -1; expected numbers of at least 0"),
        ({"smoothness": [1.0, np.nan]}, r"smoothness\[1\] = nan; expected"),
        ({"smoothness": [1.0] * 3}, r"smoothness has shape \(3,\); expected a number or shape \(2,\)"),
        ({"generalized_smoothness": (1.0, -1.0)}, r"L1\[0\] = -1; expected"),
        ({"gradient_bound": np.inf}, r"gradient_bound\[0\] = inf; expected finite numbers"),
        ({"minimizer": [np.nan, 0.0]}, r"minimizer\[0\] = nan; expected finite numbers"),
        ({"box": (0.0, 0.0)}, r"box\[0\] = \(0, 0\); expected lo < hi"),
    ],
)
def test_wrong_fields_are_a_sentence(change, message):
    given = {"dim": 2, "value": SPECS[0].value, "gradient": SPECS[0].gradient, "params": SPECS[0].params} | change
    with pytest.raises(ValueError, match=message):
        an.Objective("own", **given)
