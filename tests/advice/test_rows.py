"""Does the advice on rows name the winner where it is known, refuse what makes no sense, and go on where it stopped?"""

import json
import math

import numpy as np
import pytest
from scipy import sparse

import anisotropic as an
from anisotropic.advice import call as module, compare, rows as by_rows
from anisotropic.advice.prediction import predict
from anisotropic.study.errors import StudyError

TWO = ["sgd", "adagrad"]


def rare_features(n=3000, d=200, seed=0):
    """Column j is 1 in a share of about 1/j of the rows, and every column decides alike: AdaGrad's case."""
    rng = np.random.default_rng(seed)
    X = (rng.random((n, d)) < 0.9 / np.arange(1, d + 1)).astype(float)
    w = rng.choice([-3.0, 3.0], size=d)
    return sparse.csr_array(X), np.where(rng.random(n) < 1 / (1 + np.exp(-(X @ w))), 1, 0)


def isotropic(n=1500, d=20, seed=1):
    """Normal features: every direction has the same curvature, so there is nothing to adapt to."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, X @ rng.standard_normal(d) / math.sqrt(d) + rng.logistic(size=n) > 0


@pytest.fixture(scope="module")
def rare():
    return an.advise(*rare_features(), batch_sizes=[256], budget=9_000, replicas=12)


@pytest.fixture(scope="module")
def even():
    return an.advise(*isotropic(), batch_sizes=[16, 256], budget=15_000, replicas=12)


def test_rare_features_are_adagrads_case(rare):
    for measure in ("gap", "average_gap"):
        decision = compare.decide(rare.races[256, measure])
        assert "adagrad" in decision.ahead and decision.ratios["adagrad"].high < 1.0
    assert rare.sentences[0].startswith("Adaptive step sizes help here at every batch size tried: at batch size 256")
    assert "The gain comes from adapting coordinates: AdaGrad-Norm" in " ".join(rare.sentences)
    assert len(rare.sentences) <= 6


def test_isotropic_rows_are_nobodys_case(even):
    for b in (16, 256):
        decision = compare.decide(even.races[b, "gap"])
        assert not {"adagrad", "adam"} & set(decision.ahead)
    assert even.sentences[0].startswith("No evidence that AdaGrad or Adam helps here: ")
    assert "adapting coordinates" not in str(even)


def test_what_is_printed_begins_with_the_answer(rare):
    text = str(rare)
    assert " ".join(text.split()).startswith(" ".join(rare.sentences[0].split()))
    assert "step sizes searched with 4 seeds, results of 12 others" in text
    assert text.count("256    ") == 10  # five methods, two measures


def test_json_says_all_that_is_printed(rare):
    found = json.loads(rare.to_json())
    assert found["schema"] == 1 and found["answer"] == rare.sentences
    first = found["races"][0]
    assert first["batch_size"] == 256 and first["iterations"] == 9_000 // 256 and set(first["methods"]) == {
        "sgd", "sgd decaying", "adagrad", "adagrad_norm", "adam"}  # fmt: skip
    assert first["methods"][first["reference"]]["ratio"] is None
    values = np.array(first["methods"]["adagrad"]["values"]) / np.array(first["methods"][first["reference"]]["values"])
    assert first["methods"]["adagrad"]["ratio"]["estimate"] == pytest.approx(np.exp(np.log(values).mean()), rel=1e-12)


def test_the_figure_marks_one_and_the_noise_scale(even):
    ax = even.plot()
    labels = [line.get_label() for line in ax.lines]
    assert "AdaGrad" in labels and "SGD" in labels and "noise scale" in labels
    assert ax.get_xscale() == "log" and "last iterate" in ax.get_ylabel()
    mark = next(line for line in ax.lines if line.get_label() == "noise scale")
    assert mark.get_xdata()[0] == pytest.approx(even.critical.over_rows)
    with pytest.raises(ValueError, match=r"measure = 'loss'; expected one of gap, average_gap"):
        even.plot("loss")


def test_reported_runs_are_an_an_simulate_on_the_seed_that_was_given(even):
    """The numbers are those of `simulate`: seed 0, not the seed of the search, and the step size that is reported."""
    X, y = isotropic()
    entry = even.races[256, "gap"].tuned["adagrad"]
    f = an.problems.logistic_regression(X, np.where(y, 1, -1), l2=1 / len(y))
    run = an.simulate(
        f, an.optimizers.adagrad(entry.step_size), noise=an.noises.minibatch(), start=0.0, steps=15_000 // 256,
        batch_size=256, replicas=12, seed=0, records=1, running_means=False,
    )  # fmt: skip
    np.testing.assert_array_equal(run.gap[:, -1], entry.values)


def test_noise_scale_of_rows_by_a_slow_twin():
    X, y = rare_features(n=90, d=7)
    rows = by_rows.problem(X, np.where(y > 0, 1.0, -1.0), 0.1)
    w = np.linspace(-1, 1, 7)
    Z = np.where(y > 0, 1.0, -1.0)[:, None] * X.toarray()
    each = np.array([-z / (1 + math.exp(z @ w)) + 0.1 * w for z in Z])
    expected = each.var(axis=0).sum() / (each.mean(axis=0) ** 2).sum()
    assert by_rows.noise_over_rows(rows, w) == pytest.approx(expected, rel=1e-10)
    groups, size = by_rows.group_gradients(rows, w, 9, seed=3)
    assert groups.shape == (9, 7) and size == 10
    np.testing.assert_allclose(groups.mean(axis=0), each.mean(axis=0), rtol=1e-10)


def test_the_plain_path_goes_where_the_kernel_goes():
    """Gap of the last iterate over 200 plain runs against 200 compiled ones: means within 4 standard errors."""
    X, y = isotropic(n=200, d=4)
    rows = by_rows.problem(X, np.where(y, 1.0, -1.0), 0.05)
    f = rows.objective
    for method in TWO:
        plain = [by_rows.follow(rows, method, 0.3, 30, 5, seed).last for seed in range(200)]
        ours = np.array([_value(rows, w) for w in plain]) - f.minimum
        run = by_rows.gaps(rows, by_rows.MAKERS[method](0.3, 30), 0.0, 30, 5, 200, 7, 1)["gap"]
        error = math.hypot(ours.std() / math.sqrt(200), run.std() / math.sqrt(200))
        assert abs(ours.mean() - run.mean()) < 4 * error


def _value(rows, w):
    return np.logaddexp(0, -(rows.signed @ w)).mean() + 0.5 * rows.l2 * w @ w


def test_the_prediction_is_that_of_the_closed_forms():
    X, y = isotropic(n=300, d=5)
    rows = by_rows.problem(X, np.where(y, 1.0, -1.0), None)
    f, T, M = rows.objective, 50, 8
    found = predict(rows, M, T, np.full(5, 9.0))
    R, L = np.abs(f.minimizer), f.smoothness
    sigma = an.problems.noise_level(f, 0.0)
    size = min(1 / rows.top, math.sqrt(M / T) * np.linalg.norm(R) / np.linalg.norm(sigma))
    sgd = (R**2).sum() / (2 * T * size) + size * (sigma**2).sum() / (2 * M)
    for name, D in {"R": R.max(), "2R": 2 * R.max(), "visited": 9.0}.items():
        ours = 4 * L.sum() * D**2 / T + 2 * math.sqrt(2) * D * sigma.sum() / math.sqrt(M * T)
        assert found.ratios[name] == pytest.approx(sgd / ours, rel=1e-9)
        assert found.smoothness[name] == pytest.approx(rows.top * (R**2).sum() / (L.sum() * D**2), rel=1e-9)
        assert found.noise[name] == pytest.approx(np.linalg.norm(sigma) * np.linalg.norm(R) / (sigma.sum() * D))
    assert found.favored == "sgd"
    bias, noise = 4 * L.sum() * R.max() ** 2 / T, 2 * math.sqrt(2) * R.max() * sigma.sum() / math.sqrt(M * T)
    assert found.deciding == ("smoothness" if bias > noise else "noise")


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("d", [3, 2100])
def test_the_largest_eigenvalue(d, scale):
    X = scale * np.random.default_rng(d).standard_normal((40, d))
    expected = np.linalg.norm(X, 2) ** 2 / 160 + 0.5
    for matrix in (X, sparse.csr_array(X)):
        assert by_rows.largest_eigenvalue(matrix, 0.5) == pytest.approx(expected, rel=1e-5)


X4, Y4 = np.array([[1.0, 0.5], [2.0, 1.0], [-1.0, 1.0], [-2.0, 0.3]]), [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        (X4, [1, 1, 1, 1], {}, "y has 4 rows of one class, label 1; expected two labels"),
        (np.where(X4 == 2, np.nan, X4), Y4, {}, "X has nan in row 1, column 0"),
        (X4[:0], [], {}, "X has no rows"),
        (X4, [1, 0], {}, "X has 4 rows and y has 2 labels"),
        (X4, Y4, {"l2": -1.0}, "l2 = -1"),
        (X4, Y4, {"l2": 0.0}, r"with l2 = 0 there is nothing to converge to \(separable data: .*pass a ridge such as "
                             r"l2 = 1/n = 0\.25"),  # fmt: skip
        (X4, Y4, {"batch_sizes": [5]}, "batch size 5 is above the 4 rows of the data"),
        (X4, Y4, {"batch_sizes": [4], "budget": 16}, "a budget of 16 samples is 4 iterations at batch size 4, too few "
                                                     r"to tell methods apart; pass budget = 40 or more"),  # fmt: skip
        (X4, Y4, {"batch_sizes": []}, "batch_sizes is empty"),
        (X4, Y4, {"batch_sizes": [0]}, "batch size = 0"),
        (X4, Y4, {"methods": ["sgd", "adagard"]}, "no method is called 'adagard'; did you mean 'adagrad'"),
        (X4, Y4, {"methods": ["adam"]}, "'sgd' must be among them"),
        (X4, Y4, {"replicas": 1}, "replicas = 1"),
        (X4, Y4, {"level": 1.5}, "level = 1.5"),
        ("no_such_set", None, {}, "no data set or file is called 'no_such_set'"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(X, y, options, message):
    with pytest.raises(ValueError, match=message):
        an.advise(X, y, **options)


def test_wrong_kinds_of_methods():
    with pytest.raises(TypeError, match=r"breast_cancer names a data set, which brings its labels; leave y out"):
        an.advise("breast_cancer", Y4)
    with pytest.raises(TypeError, match=r"methods = 'sgd'; expected a list of names"):
        an.advise(X4, Y4, methods="sgd")
    with pytest.raises(TypeError, match=r"method 'mine' is 3; expected an.Method\(factory, grid\) or None"):
        an.advise(X4, Y4, methods={"sgd": None, "mine": 3})


class Stopping:
    """Runs with values that depend on the arguments alone, which stop at the k-th call as Ctrl-C would."""

    def __init__(self, at=10**9, lost=()):
        self.calls, self.at, self.lost = 0, at, lost

    def __call__(self, method, batch_size, step_size, replicas, seed):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        best = {"sgd": 1.0, "adagrad": 0.25}.get(method, 0.5)
        noise = np.random.default_rng(seed).lognormal(0, 0.1, replicas)
        values = noise * (best + np.log(step_size) ** 2)
        if method in self.lost and seed == 0:
            values[1] = np.nan
        return {"gap": values, "average_gap": 2 * values}


@pytest.fixture
def fake(monkeypatch):
    """`advise` on four rows with other runs, without the parts that simulate."""
    def call(run, **options):
        monkeypatch.setattr(by_rows, "runs", lambda *_: run)
        monkeypatch.setattr(module, "_critical", lambda *_: None)
        return an.advise(X4, Y4, batch_sizes=[1, 2], budget=100, methods=TWO, replicas=8, **options)

    return call


def test_an_interrupted_contest_goes_on_with_the_same_numbers(fake, tmp_path):
    whole = fake(first := Stopping())
    with pytest.raises(KeyboardInterrupt):
        fake(Stopping(at=first.calls - 3), results=tmp_path / "r")
    rest = Stopping()
    found = fake(rest, results=tmp_path / "r")
    assert 0 < rest.calls < first.calls / 2
    assert found.to_dict()["races"] is not whole.to_dict()["races"]
    for key, race in whole.races.items():
        for method, entry in race.tuned.items():
            np.testing.assert_array_equal(found.races[key].tuned[method].values, entry.values)
            assert found.races[key].tuned[method].step_size == entry.step_size
    again = Stopping()
    fake(again, results=tmp_path / "r")
    assert again.calls == 0


def test_a_folder_of_another_call_is_refused_and_a_damaged_piece_made_anew(fake, tmp_path):
    fake(first := Stopping(), results=tmp_path / "r")
    with pytest.raises(ValueError, match=r"holds the results of another call \(seed differ\); pass another folder"):
        fake(Stopping(), results=tmp_path / "r", seed=3)
    (tmp_path / "r" / "batch 1 sgd.json").write_text('{"gap": ')
    fake(rest := Stopping(), results=tmp_path / "r")
    assert 0 < rest.calls < first.calls / 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear all")
    with pytest.raises(ValueError, match="holds something else than results of advise"):
        fake(Stopping(), results=tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot use the results folder"):
        fake(Stopping(), results=tmp_path / "file")


def test_a_method_that_diverges_in_the_middle_is_said_and_not_ranked(fake):
    found = fake(Stopping(lost=("adagrad",)))
    assert "AdaGrad diverged at batch size 1 (last iterate) on 1 of 8 seeds; it is not ranked." in found.notes()
    assert found.sentences[0].startswith("No evidence that AdaGrad helps here: they diverged at batch size 1 and 2 (")
    json.loads(found.to_json())
    fine = fake(Stopping())
    assert fine.sentences[0].startswith("Adaptive step sizes help here at every batch size tried: at batch size 1")


def test_every_seed_diverged_is_an_answer(fake):
    class Lost(Stopping):
        def __call__(self, method, batch_size, step_size, replicas, seed):
            return {m: np.full(replicas, np.nan) for m in ("gap", "average_gap")}

    found = fake(Lost())
    assert "diverged" in found.sentences[0] and "diverged" in str(found)
    assert json.loads(found.to_json())["races"][0]["methods"]["sgd"]["step_size"] is None


def test_a_method_of_ones_own_and_names_of_data():
    mine = an.Method(lambda size: an.optimizers.adagrad(size, eps=1e-3), [0.1, 1.0])
    methods = {"sgd": None, "mine": mine}
    found = an.advise(*isotropic(n=60, d=2), batch_sizes=[4], methods=methods, budget=200, replicas=3)
    assert set(found.races[4, "gap"].tuned) == {"sgd", "mine"} and "mine" in str(found)
    assert found.races[4, "gap"].tuned["mine"].tried >= 7
