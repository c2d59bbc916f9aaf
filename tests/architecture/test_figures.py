"""The figures: every number drawn is in the table, and the table holds what the closed forms say."""

from __future__ import annotations

import json

import pytest

from seqtant.architecture.config import BoundsConfig, MatchConfig, PlanConfig, RankConfig
from seqtant.architecture.figures import figures
from seqtant.architecture.instrument import run
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
