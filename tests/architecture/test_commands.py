"""The commands as a user types them: values in the JSON, and one clear line for bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from seqtant.cli import call


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert call(["architecture", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_plan_of_gpt3(capsys: pytest.CaptureFixture[str]) -> None:
    values = ask(capsys, "plan", "--params", "1.74e11")["values"]
    assert values["optimal_depth"] == pytest.approx(80.5, abs=0.1)
    assert values["optimal_width"] == pytest.approx(13460, rel=5e-3)
    assert values["depth_low"] < 80 < values["depth_high"]
    assert values["extrapolated"] == 1


def test_plan_reads_sizes_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [ask(capsys, "plan", "--params", text)["values"]["parameters"] for text in ("1.3B", "1.3e9", "1300M")]
    assert sizes == [1.3e9] * 3
    assert ask(capsys, "plan", "--params", "1.3B", "--vocab", "32K")["config"]["vocab"] == 32000


def test_plan_shows_other_rules_with_the_strength_of_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    result = ask(capsys, "plan", "--params", "85M", "--modality", "bytes")
    tables = {table["name"]: table for table in result["tables"]}
    assert {"candidates", "costs", "rules"} <= set(tables)
    strengths = {row[0]: row[-1] for row in tables["rules"]["rows"]}
    assert strengths["Kaplan et al. 2020"] == "unverified"
    assert {finding["key"]: finding["verdict"] for finding in result["findings"]}["rank"] == "disagrees"


def test_plan_warns_on_both_ends(capsys: pytest.CaptureFixture[str]) -> None:
    below, above, inside = (ask(capsys, "plan", "--params", size)["warnings"] for size in ("1e6", "1e12", "8.5e7"))
    assert "extrapolated below" in below[0]
    assert "extrapolated above" in above[0]
    assert inside == []


@pytest.mark.parametrize(
    ("flags", "rank"),
    [
        ((), 110),
        *[(("--embed-rank", "2", "--width", str(width)), 18) for width in (3, 4, 6, 8)],
        (("--depth", "3", "--width", "2", "--tokens", "4"), 232),
    ],
)
def test_rank(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], rank: int) -> None:
    start = ("rank", "--depth", "2", "--width", "4", "--heads", "1", "--tokens", "8")
    given = dict(zip(start[1::2], start[2::2], strict=True))
    given |= dict(zip(flags[::2], flags[1::2], strict=True))
    result = ask(capsys, "rank", *[part for pair in given.items() for part in pair])
    values = result["values"]
    assert (values["rank"], values["closed_form"], values["saturated"]) == (rank, rank, 1)
    assert values["templates"] > rank
    assert values["lower_bound_log3"] <= math.log(rank, 3) <= values["upper_bound_log3"]
    assert result["findings"][0]["verdict"] == "agrees"


def test_rank_of_several_heads_agrees_below_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    several = ask(capsys, "rank", "--heads", "4")
    assert (several["values"]["rank"], several["values"]["closed_form"]) == (85, 110)
    assert several["values"]["closed_form_exact"] == 0
    assert several["findings"][0]["verdict"] == "agrees"


def test_rank_of_a_grid_that_is_too_small_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["architecture", "rank", "--set", "max_templates=64", "--json"]) == 3
    small = json.loads(capsys.readouterr().out)
    assert small["values"]["saturated"] == 0
    assert small["findings"][0]["verdict"] == "inconclusive"
    assert "too small" in small["warnings"][0]


def test_rank_of_words_and_positions(capsys: pytest.CaptureFixture[str]) -> None:
    result = ask(capsys, "rank", "--width", "3", "--vocab", "3", "--tokens", "6", "--positions", "free")
    assert result["values"]["rank"] == 27
    projected = ask(capsys, "rank", "--projection", "1")
    assert projected["values"]["rank"] == 81
    residual = ask(capsys, "rank", "--width", "3", "--tokens", "6", "--residual")
    assert residual["values"]["rank"] == 49


def test_rank_by_seed_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = [ask(capsys, "rank", "--heads", "2", "--seed", seed)["values"]["rank"] for seed in ("0", "7")]
    assert found == [107, 107]


def test_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    result = ask(capsys, "bounds", "--depth", "6", "--width", "768", "--heads", "12")
    values = result["values"]
    assert values["lower_log3"] <= values["two_token_log3"] <= values["upper_log3"]
    assert values["depth_efficient"] == 1
    assert values["transition_depth"] == pytest.approx(math.log(768, 3))
    assert result["findings"][0]["verdict"] == "agrees"
    deep = ask(capsys, "bounds", "--depth", "200", "--width", "768", "--heads", "12")["values"]
    assert all(value is None or math.isfinite(value) for value in deep.values())
    assert deep["depth_efficient"] == 0


def test_bounds_of_a_narrow_input_are_those_of_a_narrow_network(capsys: pytest.CaptureFixture[str]) -> None:
    values = ask(capsys, "bounds", "--depth", "12", "--width", "768", "--heads", "1", "--embed-rank", "257")["values"]
    assert values["effective_width"] == 257
    assert values["two_token_log3"] == pytest.approx(1854, abs=1)


def test_bounds_that_say_nothing_are_vacuous(capsys: pytest.CaptureFixture[str]) -> None:
    result = ask(capsys, "bounds", "--depth", "2", "--width", "4", "--heads", "4")
    assert result["findings"][0]["verdict"] == "vacuous"
    assert result["values"]["lower_log3"] == 0


def test_match(capsys: pytest.CaptureFixture[str]) -> None:
    result = ask(capsys, "match", "--depth", "4", "--width", "8", "--to-depth", "3")
    assert result["values"]["matching_width"] == 35
    assert result["values"]["parameter_ratio"] == pytest.approx(14, abs=0.5)
    assert (
        ask(capsys, "match", "--depth", "24", "--width", "1024", "--to-depth", "12")["values"]["matching_width"] is None
    )


BAD = [
    (("plan",), "params"),
    (("plan", "--params", "0"), "params is 0"),
    (("plan", "--params=-5"), "params is -5"),
    (("plan", "--params", "nan"), "params"),
    (("plan", "--params", "inf"), "params is inf"),
    (("plan", "--params", "many"), "params"),
    (("plan", "--params", "5"), "at least 1000"),
    (("plan", "--params", "1000"), "1 x 64 has 49,344"),
    (("plan", "--params", "1e30"), "params is 1e+30"),
    (("plan", "--params", "350M", "--kv-heads", "64"), "steps of 4096"),
    (("plan", "--params", "3B", "--active", "30B"), "active is 3e+10"),
    (("plan", "--params", "1e9", "--vocab", "1"), "vocab is 1"),
    (("plan", "--params", "1e9", "--d-ff-ratio", "0"), "d_ff_ratio is 0"),
    (("plan", "--params", "1e9", "--kv-heads", "0"), "kv_heads is 0"),
    (("plan", "--params", "1e9", "--modality", "smells"), "smells"),
    (("plan", "--params", "1e9", "--set", "head_dmi=3"), "did you mean 'head_dim'"),
    (("plan", "--params", "1e6", "--set", "count=total"), "embeddings alone"),
    (("rank", "--tokens", "7"), "tokens is 7"),
    (("rank", "--tokens", "0"), "tokens is 0"),
    (("rank", "--width", "4", "--heads", "3"), "heads is 3"),
    (("rank", "--width", "0"), "width is 0"),
    (("rank", "--inner-dim", "6", "--heads", "4"), "inner_dim 6"),
    (("rank", "--depth", "11"), "up to depth 10"),
    (("rank", "--vocab", "4", "--tokens", "12"), "4096 words"),
    (("rank", "--positions", "sideways"), "sideways"),
    (("bounds", "--width", "768", "--heads", "7"), "heads is 7"),
    (("bounds", "--depth", "0"), "depth is 0"),
    (("bounds", "--depth", "601"), "at most 600"),
    (("match", "--to-depth", "0"), "to_depth is 0"),
    (("match", "--width", "1.5"), "--width: '1.5' is not a whole number"),
    (("rank", "--depth", "inf"), "--depth: 'inf' is not a whole number"),
    (("sweep", "--seeds", "2.5"), "--seeds: '2.5' is not a whole number"),
    (("sweep", "--steps", "2.5"), "--steps: '2.5' is not a whole number"),
    (("rank", "--set", "depth=2.5"), "depth is 2.5"),
    (("sweep", "--set", "depths=[1, 4.4]"), "4.4"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert call(["architecture", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert says in captured.err


def test_half_a_layer_is_refused_as_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["architecture", "sweep", "--depths", "1", "--depths", "4.4", "--print-config"]) == 2


def test_unknown_key_in_a_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rank.yaml"
    file.write_text("depth: 2\nembed_rnak: 2\n", encoding="utf-8")
    assert call(["architecture", "rank", "--config", str(file)]) == 2
    assert "unknown key 'embed_rnak' (did you mean 'embed_rank'?)" in capsys.readouterr().err


def test_configuration_is_printed_and_read_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["architecture", "rank", "--embed-rank", "2", "--print-config"]) == 0
    file = tmp_path / "rank.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert ask(capsys, "rank", "--config", str(file))["values"]["rank"] == 18
