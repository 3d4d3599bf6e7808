"""Figures: what is drawn is what was measured, it survives grey, and the caller's matplotlib stays as it was."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from sympy import sqrt

from anisotropic import plotting
from anisotropic.bounds.symbols import M, T, sigma as sigma_symbol, total, uniform_step_size
from anisotropic.bounds.theorem import Bound, Requires
from anisotropic.intervals import Limits, mean_interval
from anisotropic.records import Facts, Run

BATCHES = np.array([1.0, 4.0, 16.0, 64.0])
STEPS = np.array([1, 10, 100, 1000])


def run(optimizer: str = "sgd", replicas: int = 32, batch: float = 4.0, seed: int = 0, diverged: int = 0) -> Run:
    """A run whose gap after t steps is 1/t on average, times an independent factor around one for each replica."""
    factor = np.random.default_rng(seed).uniform(0.8, 1.2, size=(replicas, 1))
    gap = factor / STEPS
    status = np.array(["ok"] * replicas, dtype="<U8")
    if diverged:
        gap[:diverged], status[:diverged] = np.nan, "diverged"
    samples = np.broadcast_to(STEPS * batch, gap.shape)
    facts = Facts(optimizer=optimizer, objective="made up", dim=2, noise="gaussian", law="gaussian")
    statistics = {"gap": gap, "mean_gap": 2 * gap, "samples": samples}
    return Run(STEPS, np.zeros(2), statistics, status, 1.0, {"sigma": np.ones(2), "M": batch}, facts)


def claim(factor: float = 4.0, measure: str = "gap", kind: str = "upper", name: str = "claim", **requires) -> Bound:
    return Bound(name, measure, kind, {"bias": factor / T}, requires=Requires(**requires))


def line(ax, label: str):
    found = [x for x in ax.lines if str(x.get_label()).startswith(label)]
    assert len(found) == 1, [x.get_label() for x in ax.lines]
    return found[0]


class TestEmpiricalVsTheory:
    def test_measured_mean_interval_and_bound(self):
        r = run()
        ax = plotting.empirical_vs_theory(r, claim())
        mean = line(ax, "SGD: mean of 32 runs, 95% interval")
        np.testing.assert_array_equal(mean.get_xdata(), STEPS)
        np.testing.assert_allclose(mean.get_ydata(), r.gap.mean(axis=0))
        bound = line(ax, "claim: slack ×")
        np.testing.assert_allclose(bound.get_ydata(), 4 / STEPS)
        band = ax.collections[0].get_paths()[0].vertices
        want = mean_interval(r.gap[:, 2], 0.05)
        at_hundred = band[np.isclose(band[:, 0], 100.0), 1]
        np.testing.assert_allclose([at_hundred.min(), at_hundred.max()], [want.low, want.high])

    def test_slack_is_in_the_legend(self):
        ax = plotting.empirical_vs_theory(run(), claim(4.0))
        slack = float(line(ax, "claim").get_label().split("×")[1])
        assert slack == pytest.approx(4 / run().gap.mean(axis=0)[0], rel=5e-3)
        texts = [t.get_text() for t in ax.get_legend().get_texts()]
        assert len(texts) == 2 and f"{slack:.3g}" in texts[1]

    def test_bound_and_data_differ_without_colour(self):
        ax = plotting.empirical_vs_theory([run("sgd"), run("adagrad")], [claim(), claim(9.0, name="other")])
        data = [x for x in ax.lines if "mean of" in x.get_label()]
        bounds = [x for x in ax.lines if "slack" in x.get_label()]
        assert len(data) == 2 and len(bounds) == 4
        assert {x.get_linestyle() for x in data} == {"-"} and {x.get_linestyle() for x in bounds} == {"--"}
        assert all(x.get_marker() not in ("", "None") for x in data) and {x.get_marker() for x in bounds} == {"None"}
        assert len({str(x._dash_pattern) for x in bounds}) == 2

    def test_legend_is_above_the_data_and_inside_the_figure(self):
        for ax in (
            plotting.empirical_vs_theory([run("sgd"), run("adagrad"), run("adam")], [claim(), claim(9.0, name="b")]),
            plotting.empirical_vs_theory([run("adagrad_norm")], [claim(name="convex_adagrad_norm_nonsmooth_hp")]),
            plotting.curves(BATCHES, {k: np.ones((3, 4)) * i for i, k in enumerate(plotting.METHODS, 1)}),
            plotting.speed_up(BATCHES, {"sgd": 1 / BATCHES, "adagrad": 2 / BATCHES}, critical={"sgd": 9.0}),
        ):
            ax.figure.draw_without_rendering()
            legend, data = ax.get_legend().get_window_extent(), ax.get_window_extent()
            assert legend.y0 >= data.y1 - 1
            whole = ax.figure.bbox
            assert legend.y1 <= whole.y1 + 1 and legend.x1 <= whole.x1 + 1 and legend.x0 >= -1
            assert data.height > 0.4 * 2.6 * ax.figure.dpi and data.width > 0.6 * whole.width

    def test_a_bound_that_does_not_apply_is_told_not_drawn(self):
        ax = plotting.empirical_vs_theory(run("adam"), claim(optimizers="sgd"))
        assert [x for x in ax.lines if "claim" in str(x.get_label())] == []
        told = " ".join(t.get_text().replace("\n", " ") for t in ax.texts)
        assert told == "claim does not apply: the optimizer is 'adam'; the theorem is about sgd".partition(";")[0]

    def test_a_bound_for_one_of_two_runs_needs_no_excuse(self):
        ax = plotting.empirical_vs_theory([run("adam"), run("sgd")], claim(optimizers="sgd"))
        assert [t.get_text() for t in ax.texts if t.get_text()] == []
        assert line(ax, "claim, SGD")

    def test_two_measures(self):
        ax = plotting.empirical_vs_theory(run(), [claim(), claim(9.0, "mean_gap", name="other")])
        np.testing.assert_allclose(line(ax, "SGD, mean_gap").get_ydata(), 2 * line(ax, "SGD, gap").get_ydata())

    def test_samples_and_noise_term(self):
        noisy = Bound("noisy", "gap", "upper", {"noise": total(sigma_symbol**2) / M + 10 / T})
        ax = plotting.empirical_vs_theory(run(batch=4.0), noisy, x="samples")
        np.testing.assert_array_equal(line(ax, "SGD").get_xdata(), 4 * STEPS)
        np.testing.assert_allclose(line(ax, "noisy").get_ydata(), 2 / 4 + 10 / STEPS)
        assert ax.get_xlabel() == "samples M T"

    def test_same_optimizer_twice_is_told_by_batch_size(self):
        ax = plotting.empirical_vs_theory([run(batch=1.0), run(batch=4.0)], [])
        ax_labels = [x.get_label().split(":")[0] for x in ax.lines]
        assert "SGD, M=1" in ax_labels[0] and "SGD, M=4" in ax_labels[1]

    def test_diverged_replicas_are_counted_in_the_legend(self):
        r = run(diverged=3)
        ax = plotting.empirical_vs_theory(r, [], level=0.01)
        mean = line(ax, "SGD")
        assert mean.get_label() == "SGD: mean of 29 runs (3 diverged left out), 99% interval"

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: plotting.empirical_vs_theory([], claim()), "no run to draw; expected a Run"),
            (lambda: plotting.empirical_vs_theory(run(), claim(), x="seconds"), "x = 'seconds'; expected 'steps'"),
            (lambda: plotting.empirical_vs_theory(run(diverged=31), []), "no finite 'mean_gap' in two replicas"),
            (lambda: plotting.empirical_vs_theory(run(), claim(), style="colum"), "did you mean 'column'"),
            (lambda: plotting.curves([1, 2], {"sgd": [1.0]}),  r"series 'sgd' has shape \(1,\); expected \(2,\)"),
            (lambda: plotting.curves([1, 2], {"sgd": np.ones((1, 2))}), r"shape \(1, 2\); expected \(2,\)"),
            (lambda: plotting.speed_up([1], {"sgd": [1.0]}, critical={"adam": 3.0}), "critical batch size for .'adam'"),
            (lambda: plotting.phase_diagram([1], [1, 2], [[1.0]], winner="a", loser="b"), r"shape \(1, 1\); expected"),
            (lambda: plotting.heat_map([1], [1, 2], [[1.0]], label="x"), r"shape \(1, 1\); expected \(2, 1\)"),
        ],
    )  # fmt: skip
    def test_wrong_input(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestMethods:
    def test_looks_are_the_same_in_every_figure(self):
        one = plotting.method_styles(["sgd", "adagrad"])
        two = plotting.method_styles(["adagrad_norm", "adagrad", "sgd"])
        assert all(one[k] == two[k] for k in one)

    @pytest.mark.parametrize(
        "names", [list(plotting.METHODS), ["adagrad", "adagrad, tuned", "adagrad, M=4", "mine", "sgd"]]
    )
    def test_looks_differ_in_grey(self, names):
        looks = plotting.method_styles(names)
        assert len({look["marker"] for look in looks.values()}) == len(names)

    def test_known_colours_survive_colour_blindness(self):
        """Pairs of colours that share a marker family stay apart for a deuteranope (simulated, Machado 2009)."""
        matrix = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
        seen = [matrix @ np.array(to_rgb(plotting.METHODS[k]["color"])) for k in ("sgd", "adagrad", "adagrad_norm")]
        distances = [np.linalg.norm(seen[i] - seen[j]) for i in range(3) for j in range(i)]
        assert min(distances) > 0.2

    def test_speed_up_draws_the_ideal_from_the_first_point(self):
        ax = plotting.speed_up(BATCHES, {"sgd": [np.nan, 40.0, 20.0, 19.0]}, critical={"sgd": 8.0}, target="gap 0.02")
        ideal = line(ax, "_linear")
        np.testing.assert_allclose(ideal.get_xdata() * ideal.get_ydata(), 160.0)
        np.testing.assert_array_equal(line(ax, "_critical").get_xdata(), [8.0, 8.0])
        np.testing.assert_array_equal(line(ax, "SGD").get_xdata(), BATCHES[1:])

    def test_curves_with_replicas_and_with_given_limits(self):
        values = np.random.default_rng(0).uniform(1, 2, size=(10, 4))
        given = Limits(np.ones(4), np.full(4, 0.5), np.full(4, 2.0))
        ax = plotting.curves(BATCHES, {"sgd": values, "adam": given}, xlabel="batch size M", ylabel="gap (units of f)")
        np.testing.assert_allclose(line(ax, "SGD").get_ydata(), values.mean(axis=0))
        assert len(ax.collections) == 2 and ax.get_legend().get_title().get_text() == "mean, 95% interval"
        plain = plotting.curves(BATCHES, {"sgd": values}, log="x")
        assert plain.get_legend().get_title().get_text() == "mean of 10 runs, 95% interval"
        assert (plain.get_xscale(), plain.get_yscale()) == ("log", "linear")

    def test_short_axes_have_plain_numbers(self):
        ax = plotting.curves([1, 2, 30], {"sgd": [1.0, 50.0, 2000.0]})
        ax.figure.draw_without_rendering()
        shown = [t.get_text() for t in ax.get_xticklabels()]
        assert {"1", "2", "5", "10", "20"} <= set(shown)
        assert any("10^" in t.get_text() for t in ax.get_yticklabels())

    def test_phase_diagram_marks_losses_and_ties(self):
        ratio = np.array([[0.5, 2.0, 1.02], [4.0, 0.98, np.nan]])
        undecided = np.array([[False, False, True], [False, True, False]])
        ax = plotting.phase_diagram(
            [1, 2, 3], ["a", "b"], ratio, undecided=undecided, winner="adagrad", loser="sgd", ylabel="profile"
        )
        hatches = {(int(p.get_y()), int(p.get_x())): p.get_hatch() for p in ax.patches}
        assert hatches == {(0, 0): "////", (0, 2): "....", (1, 1): "...."}
        assert [t.get_text() for t in ax.texts] == ["0.5", "2", "1", "4", "0.98", "-"]

    def test_heat_map_writes_its_numbers(self):
        ax = plotting.heat_map([0.5, 1.5], ["a"], [[10.0, np.nan]], label="R_med", log=True)
        assert [t.get_text() for t in ax.texts] == ["10", "-"]
        assert [t.get_text() for t in ax.get_xticklabels()] == ["0.5", "1.5"]

    def test_a_missing_marker_is_explained_once(self):
        gone = {"sgd": [np.nan, 2.0, 1.0, 1.0], "adagrad": [4.0, np.nan, 1.0, 1.0]}
        for draw, words in ((plotting.speed_up, "target not reached"), (plotting.curves, "diverged or not measured")):
            labels = draw(BATCHES, gone).get_legend_handles_labels()[1]
            assert labels.count(f"no marker: {words}") == 1
            whole = draw(BATCHES, {"sgd": np.ones(4)}).get_legend_handles_labels()[1]
            assert not any(label.startswith("no marker") for label in whole)

    def test_panels_may_share_a_scale(self):
        norms = [plotting.heat_map([1], ["a"], [[v]], label="x", limits=(0.0, 8.0)).collections[0].norm for v in (1, 7)]
        assert {(norm.vmin, norm.vmax) for norm in norms} == {(0.0, 8.0)}

    def test_zero_is_the_middle_of_a_heat_map_with_both_signs(self):
        norm = plotting.heat_map([1, 2], ["a"], [[-3.0, 1.0]], label="ln ratio").collections[0].norm
        assert (norm(-3.0), norm(0.0), norm(3.0)) == (0.0, 0.5, 1.0)


class TestPaper:
    @pytest.mark.parametrize(("name", "width"), [("column", 3.25), ("page", 6.75)])
    def test_width(self, name, width):
        ax = plotting.empirical_vs_theory(run(), claim(), style=name)
        assert ax.figure.get_figwidth() == width

    def test_files_have_their_fonts_inside(self, tmp_path):
        ax = plotting.curves([1, 2], {"sgd": [2.0, 1.0]}, xlabel="batch size M")
        pdf, png, svg = plotting.save(ax.figure, tmp_path / "figure", ("pdf", "png", "svg"))
        data = pdf.read_bytes()
        assert b"/FontFile2" in data and b"/Type3" not in data
        assert png.read_bytes().startswith(b"\x89PNG") and b"batch size M" in svg.read_bytes()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.pdf", "figure.png", "figure.svg"]

    def test_pdf_is_the_same_each_time(self, tmp_path):
        first, second = (
            plotting.save(plotting.curves([1, 2], {"sgd": [2.0, 1.0]}).figure, tmp_path / name, ["pdf"])[0]
            for name in ("a", "b")
        )
        assert first.read_bytes() == second.read_bytes()

    def test_a_failed_write_leaves_nothing(self, tmp_path):
        (tmp_path / "figure.pdf").mkdir()
        with pytest.raises(OSError):
            plotting.save(plotting.curves([1], {"sgd": [2.0]}).figure, tmp_path / "figure")
        assert [p.name for p in tmp_path.iterdir()] == ["figure.pdf"]

    def test_settings_are_left_alone(self):
        before = dict(matplotlib.rcParams)
        plotting.empirical_vs_theory(run(), claim())
        with plotting.style("page"):
            assert matplotlib.rcParams["font.size"] == 8
        assert dict(matplotlib.rcParams) == before

    def test_given_axes_keep_the_callers_settings(self):
        with plotting.style("page"):
            figure, axes = plotting.subplots("page", columns=2, height=3.0)
        axes[0].set_title("mine")
        assert plotting.curves([1, 2], {"sgd": [1.0, 2.0]}, ax=axes[0]) is axes[0]
        assert plotting.empirical_vs_theory(run(), claim(), ax=axes[1]) is axes[1]
        assert axes[0].get_title() == "mine" and figure.get_figheight() == 3.0

    def test_shared_legend_names_each_method_once_above_all_panels(self):
        with plotting.style("page"):
            figure, axes = plotting.subplots("page", columns=2)
            plotting.curves([1, 2], {"sgd": [1.0, 2.0], "adam": [2.0, 3.0]}, ax=axes[0])
            plotting.curves([1, 2], {"sgd": [1.0, 2.0], "adagrad": [3.0, 4.0]}, ax=axes[1])
            plotting.shared_legend(figure)
        figure.draw_without_rendering()
        assert [t.get_text() for t in figure.legends[0].get_texts()] == ["SGD", "Adam", "AdaGrad"]
        assert all(ax.get_legend() is None for ax in axes)
        assert figure.legends[0].get_window_extent().y0 >= max(ax.get_window_extent().y1 for ax in axes)

    def test_notebooks_see_a_picture(self):
        assert plotting.curves([1], {"sgd": [2.0]}).figure._repr_png_().startswith(b"\x89PNG")

    def test_pyplot_is_never_imported(self):
        code = (
            "import sys, anisotropic as an\n"
            "assert 'matplotlib' not in sys.modules\n"
            "ax = an.plotting.curves([1, 2], {'sgd': [2.0, 1.0]})\n"
            "ax.figure._repr_png_()\n"
            "assert 'matplotlib.pyplot' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestSeveralHorizons:
    """Last values and bounds against T; step sizes and batches may be those of the horizon."""

    HORIZONS = (100, 1000, 10_000)

    def runs(self, optimizer="sgd", power=-0.5, replicas=16, seed=3):
        found = []
        for k, n in enumerate(self.HORIZONS):
            factor = np.random.default_rng(seed + k).uniform(0.9, 1.1, size=(replicas, 1))
            steps = np.array([1, n // 10, n])
            statistics = {"gap": factor * steps**power, "samples": np.broadcast_to(4.0 * steps, (replicas, 3))}
            facts = Facts(optimizer=optimizer, objective="made up", dim=2, noise="gaussian", law="gaussian")
            known = {"sigma": np.ones(2), "M": 4.0, "step_size": n**-0.5}
            found.append(Run(steps, np.zeros(2), statistics, np.full(replicas, "ok"), 1.0, known, facts))
        return found

    def claim(self, **options):
        return Bound("claim", "gap", "upper", {"bias": 3 / sqrt(T)}, horizon=True, **options)

    def test_one_line_for_the_last_values_and_one_for_the_bound(self):
        runs = self.runs()
        ax = plotting.empirical_vs_theory(runs[::-1], self.claim())
        assert len(ax.lines) == 2
        mean = line(ax, "SGD: mean of 16 runs, 95% interval")
        np.testing.assert_array_equal(mean.get_xdata(), self.HORIZONS)
        np.testing.assert_allclose(mean.get_ydata(), [r.gap[:, -1].mean() for r in runs])
        bound = line(ax, "claim")
        np.testing.assert_allclose(bound.get_ydata(), 3 / np.sqrt(self.HORIZONS))
        assert "$T^{-0.50}$" in bound.get_label() and "$T^{-0.5" in mean.get_label()

    def test_the_bound_has_the_constants_of_each_run(self):
        own = Bound("own", "gap", "upper", {"noise": 40 * uniform_step_size + 1e-3}, horizon=True)
        ax = plotting.empirical_vs_theory(self.runs(), own, x="samples")
        np.testing.assert_allclose(line(ax, "own").get_ydata(), 40 * np.array(self.HORIZONS) ** -0.5 + 1e-3)
        np.testing.assert_array_equal(line(ax, "own").get_xdata(), 4 * np.array(self.HORIZONS))

    def test_two_methods_are_two_pairs_of_lines(self):
        ax = plotting.empirical_vs_theory([*self.runs(), *self.runs("adagrad", -0.6)], self.claim())
        assert len(ax.lines) == 4 and line(ax, "claim, SGD") and line(ax, "claim, AdaGrad")

    def test_a_bound_that_does_not_apply_says_why(self):
        ax = plotting.empirical_vs_theory(self.runs(), self.claim(requires=Requires(optimizers="adam")))
        assert len(ax.lines) == 1
        assert any("claim does not apply to SGD: the optimizer is" in t.get_text().replace("\n", " ") for t in ax.texts)

    def test_no_second_quantity_on_one_axis(self):
        with pytest.raises(ValueError, match="gap and mean_gap over several horizons; draw one figure for each"):
            plotting.empirical_vs_theory(self.runs(), [self.claim(), claim(4.0, "mean_gap", name="other")])
        with pytest.raises(ValueError, match="gap and gradient_l1 have different units"):
            plotting.empirical_vs_theory(run(), [claim(), claim(4.0, "gradient_l1", name="other")])

    def test_a_bound_for_the_horizon_is_one_mark_beside_a_single_run(self):
        ax = plotting.empirical_vs_theory(self.runs()[-1], self.claim())
        np.testing.assert_array_equal(line(ax, "claim").get_xdata(), [10_000])

    def test_several_forms_are_named(self):
        b = Bound("two", "gap", "upper", {"bias": 9 / sqrt(T)}, forms={"sharp": {"bias": 3 / sqrt(T)}}, horizon=True)
        assert line(plotting.empirical_vs_theory(self.runs(), b), "two (sharp)")
