"""The figures: every number drawn is in the table, and the table holds what the closed forms say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from seqtant.architecture.config import AuditConfig, BoundsConfig, MatchConfig, PlanConfig, RankConfig
from seqtant.architecture.theory import optimal_depth
from seqtant.instruments import figures, run
from seqtant.report.figures import Figure

CONFIGS = [
    PlanConfig.smoke(),
    PlanConfig.gpu(),
    PlanConfig(params=8.5e7, modality="bytes"),
    BoundsConfig(),
    BoundsConfig(depth=200, width=4, heads=1),
    MatchConfig(),
    MatchConfig(depth=24, width=1024, to_depth=12),
    RankConfig(width=3, tokens=4),
    RankConfig(width=6, embed_rank=2),
]


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_figures_are_strict_json_with_words_and_numbers(config: object) -> None:
    for figure in figures(run(config)):
        json.dumps([figure.data, figure.layout], allow_nan=False)
        assert figure.title
        assert figure.caption
        assert figure.alt
        assert figure.table.rows
        for trace in figure.data:
            assert len(trace["x"]) == len(trace["y"])


def only(config: object) -> Figure:
    (figure,) = figures(run(config))
    return figure


def test_rank_stays_flat_beyond_the_embedding() -> None:
    figure = only(RankConfig(width=6, embed_rank=2))
    column = figure.table.columns.index("depth 2, rank 2")
    assert [row[column] for row in figure.table.rows][1:] == [18] * (len(figure.table.rows) - 1)
    assert [row[-1] for row in figure.table.rows if row[-1] is not None] == [18]


def test_match_joins_two_shapes_of_equal_rank() -> None:
    figure = only(MatchConfig(depth=2, width=8, to_depth=1))
    shapes = next(trace for trace in figure.data if trace["name"] == "shapes")
    assert shapes["x"] == [8, 998]


@pytest.mark.parametrize("config", [PlanConfig.smoke(), AuditConfig.smoke()], ids=repr)
def test_the_law_is_drawn_from_the_record_and_not_computed_again(config: object) -> None:
    result = run(config)
    middle = result.series("law_depth")
    assert [row.value for row in middle] == [optimal_depth(row.step or 0).depth for row in middle]
    moved = replace(result, measurements=tuple(replace(row, value=row.value + 100) for row in result.measurements))
    traces = [trace for figure in figures(moved) for trace in figure.data if trace.get("name", "").startswith("law")]
    band, drawn = traces
    assert drawn["y"] == [row.value + 100 for row in middle]
    assert band["x"] == [*drawn["x"], *reversed(drawn["x"])]


@pytest.mark.parametrize("config", [*CONFIGS, AuditConfig.smoke()], ids=repr)
def test_a_record_without_curves_is_drawn_without_them(config: object) -> None:
    """Records of earlier versions hold no curves."""
    for figure in figures(replace(run(config), measurements=())):
        assert figure.title
        assert figure.name != "rank_by_width"
