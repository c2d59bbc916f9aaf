"""The fit finds a law that is known, with errors that are right, and refuses what carries no law."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from scipy import stats

from seqtant import architecture
from seqtant.architecture.experiments.depth_law import (
    LossRow,
    find_crossings,
    fit_law,
    read_losses,
    simulate_losses,
    tabulate_losses,
    upward_crossing,
)
from seqtant.architecture.theory import DepthLaw
from seqtant.cli import call
from seqtant.errors import InconclusiveError, InputError
from seqtant.instruments import figures

LAW = DepthLaw(a=5.3, b=0.045)
DEPTHS = (6, 12, 18, 24)


def simulated(spread, seed=0, law=LAW, depths=DEPTHS, pair_depth="deep"):
    generator = np.random.default_rng(seed)
    return simulate_losses(law, depths, spread=spread, generator=generator, pair_depth=pair_depth)


def crossings_of(rows, seed=1, **settings):
    return find_crossings(rows, draws=400, generator=np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("pair_depth", ["deep", "shallow"])
def test_without_scatter_the_law_comes_back_exactly(pair_depth):
    found, missing = crossings_of(simulated(1e-12, pair_depth=pair_depth), pair_depth=pair_depth)
    assert missing == {}
    for crossing in found:
        assert crossing.size.value == pytest.approx(LAW.transition_size(crossing.depth), rel=1e-6)
    fitted = fit_law(found)
    assert (fitted.a.value, fitted.b.value) == pytest.approx((LAW.a, LAW.b), rel=1e-6)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Crossings are not quite normal and their scatter is estimated, so a little less than 95 % is allowed for."""
    fits = [fit_law(crossings_of(simulated(0.003, seed=seed))[0]) for seed in range(80)]
    for hits in (sum(f.a.low < LAW.a < f.a.high for f in fits), sum(f.b.low < LAW.b < f.b.high for f in fits)):
        assert stats.binomtest(hits, 80, 0.90, alternative="less").pvalue > 1e-2
        assert hits < 80


def test_errors_of_crossings_are_the_scatter_of_repeated_experiments():
    first = [crossings_of(simulated(0.002, seed=seed))[0][0] for seed in range(300)]
    scatter = np.std([crossing.log_width for crossing in first], ddof=1)
    claimed = math.sqrt(np.mean([crossing.log_width_error**2 for crossing in first]))
    assert claimed == pytest.approx(scatter, rel=0.2)


def test_pairing_by_seed_removes_what_the_depths_share():
    generator = np.random.default_rng(3)
    shared = {(size, seed): generator.normal(0, 0.5) for size in np.geomspace(1e6, 1e8, 6) for seed in range(3)}
    rows = [
        LossRow(size, depth, seed, 3 + noise - (0.02 * math.log(size / 1e7) if depth == 12 else 0.0))
        for (size, seed), noise in shared.items()
        for depth in (6, 12)
    ]
    ((crossing,), _) = crossings_of(rows)
    assert crossing.size.value == pytest.approx(1e7, rel=1e-6)
    assert crossing.size.high / crossing.size.low < 1.001


def test_pooled_covariance_is_that_of_the_scatter():
    rows = simulated(0.01, seed=2)
    covariance = tabulate_losses(rows).seed_covariance()
    np.testing.assert_allclose(np.diag(covariance), 1e-4, rtol=0.9)
    off = covariance - np.diag(np.diag(covariance))
    assert abs(off).max() < 0.7e-4


def test_upward_crossings_by_hand():
    places = np.array([0.0, 1.0, 2.0, 3.0])
    gaps = np.array([[-1.0, 3.0, 4.0, 5.0], [-1.0, 1.0, -1.0, 1.0], [2.0, 1.0, -1.0, -2.0], [-2.0, -1.0, 0.0, 1.0]])
    middle, times = upward_crossing(places, gaps)
    np.testing.assert_allclose(middle, [0.25, (0.5 + 2.5) / 2, np.nan, 2.0])
    assert times.tolist() == [1, 2, 0, 1]


def test_pairs_without_a_crossing_are_named_with_their_reason():
    rows = [LossRow(n, d, s, 3.0 - 0.01 * (d == 12)) for n in (1e6, 1e7) for d in (6, 12) for s in (0, 1)]
    rows += [LossRow(1e9, 18, s, 2.0) for s in (0, 1)]
    found, missing = crossings_of(rows)
    assert found == []
    assert list(missing.values()) == [
        "no crossing: the deep one wins at the largest size",
        "0 sizes in common, two are needed",
    ]


def test_a_crossing_lost_in_the_scatter_is_not_resolved():
    rows = [
        LossRow(n, d, s, 3.0 + 0.05 * s * (-1) ** d - 0.001 * (d == 13) * math.log(n / 3e6))
        for n in (1e6, 1e7)
        for d in (6, 13)
        for s in (-1, 0, 1)
    ]
    found, missing = crossings_of(rows)
    assert found == []
    assert "vanishes in" in missing[6, 13]


def test_one_seed_gives_a_line_without_weights():
    rows = [row for row in simulated(1e-4) if row.seed == 0]
    found, _ = crossings_of(rows)
    assert {crossing.draws for crossing in found} == {None}
    fitted = fit_law(found)
    assert fitted.fit.reduced_chi_squared is None
    assert fitted.b.low < LAW.b < fitted.b.high


def test_a_bent_law_is_no_line():
    bends = {12: 0.0, 18: 0.0, 24: 0.8, 30: 0.0}
    losses = []
    generator = np.random.default_rng(0)
    for size in np.geomspace(3e6, 3e9, 16):
        loss = 3.0
        for depth in (6, 12, 18, 24, 30):
            if depth > 6:
                loss -= 0.02 * (math.log(size / LAW.transition_size(depth)) - bends[depth])
            losses += [LossRow(size, depth, s, loss + 0.001 * generator.normal()) for s in range(3)]
    found, _ = crossings_of(losses)
    assert fit_law(found).fit.p_value < 1e-3


def write_csv(path, rows, **extra):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["size", "depth", "seed", "loss", *extra])
        writer.writeheader()
        for row in rows:
            writer.writerow({"size": row.size, "depth": row.depth, "seed": row.seed, "loss": row.loss} | extra)
    return path


def test_a_file_in_a_law_out(tmp_path):
    path = write_csv(tmp_path / "losses.csv", simulated(0.002, depths=(6, 12, 18, 24, 30)), embedding="plain")
    result = architecture.fit(str(path))
    values = result.values
    assert abs(values["a"] - LAW.a) < 4 * values["a_error"]
    assert abs(values["b"] - LAW.b) < 4 * values["b_error"]
    assert values["crossings"] == 4
    verdicts = {finding.key: finding.verdict for finding in result.findings}
    assert verdicts == {"line": "agrees", "published": "disagrees"}  # it is another law than the published one
    predictions = next(table for table in result.tables if table.name == "predictions")
    sizes = [row[0] for row in predictions.rows]
    for size, depth, _, width, _ in predictions.rows:
        assert 12 * depth * width**2 == pytest.approx(size)
    assert sizes == sorted(sizes)
    (figure,) = figures(result)
    assert len(figure.data[0]["y"]) == 4
    assert figure.alt


def test_other_embeddings_are_left_out(tmp_path):
    path = write_csv(tmp_path / "losses.csv", simulated(0.002), embedding="control")
    with pytest.raises(InputError, match=r"no row with embedding 'plain': it has \['control'\]"):
        read_losses(path, embedding="plain")
    assert len(read_losses(path, embedding="control")) == len(simulated(0.002))


def test_too_few_crossings_end_with_exit_code_3(tmp_path, capsys):
    path = write_csv(tmp_path / "losses.csv", simulated(0.002, depths=(6, 12, 18)))
    assert call(["architecture", "fit", str(path)]) == 3
    assert "2 crossings are too few for a line" in capsys.readouterr().err
    with pytest.raises(InconclusiveError):
        architecture.fit(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,depth\n1,2\n", "no column 'loss'"),
        ("size,dpth,loss\n1,2,3\n", r"no column 'depth' \(did you mean 'dpth'\?\)"),
        ("size,depth,loss\n", "no row with embedding 'plain': it has no rows"),
        ("", "no column 'size'"),
        ("size,depth,loss\n1e6,6,nan\n", "line 2: size 1000000.0, depth 6, loss nan"),
        ("size,depth,loss\n1e6,6,3\n1e6,six,3\n", "line 3: invalid literal"),
        ("size,depth,loss\n-1,6,3\n", "finite numbers above 0"),
        ("size,depth,loss\n1e6,6\n", "line 2"),
    ],
)
def test_files_that_hold_no_losses_are_refused(tmp_path, capsys, text, message):
    path = tmp_path / "losses.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_losses(path, embedding="plain")
    assert call(["architecture", "fit", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_network_twice_and_seeds_that_do_not_meet_are_refused():
    with pytest.raises(InputError, match="seed 0 is there twice"):
        tabulate_losses([LossRow(1e6, 6, 0, 3.0), LossRow(1e6, 6, 0, 3.1)])
    with pytest.raises(InputError, match="share no seed"):
        tabulate_losses([LossRow(1e6, 6, 0, 3.0), LossRow(1e6, 12, 1, 3.1)])


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        architecture.fit(str(tmp_path / "none.csv"))
