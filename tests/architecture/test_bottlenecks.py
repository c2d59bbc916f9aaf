"""Narrow places of published shapes, with the numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqtant import architecture
from seqtant.architecture.counting.accounting import count_parameters
from seqtant.architecture.counting.bottlenecks import (
    find_bottlenecks,
    input_rank,
    redundant_parameters,
    scores_rank,
)
from seqtant.architecture.families.loading import describe
from seqtant.architecture.families.shape import Shape

CONFIGS = Path(__file__).parent / "configs"


def published(name: str, **change: Any) -> Shape:
    return describe(json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8")) | change)


@pytest.mark.parametrize(
    ("name", "kind", "size", "width"),
    [
        ("t5-11b", "wide attention", 16384, 1024),
        ("t5-3b", "wide attention", 4096, 1024),
        ("gemma-7b", "wide attention", 4096, 3072),
        ("gemma-2-9b", "wide attention", 4096, 3584),
        ("qwen3-0.6b", "wide attention", 2048, 1024),
        ("qwen3-4b", "wide attention", 4096, 2560),
        ("gemma-3-1b", "narrow attention", 1024, 1152),
        ("albert-xxlarge-v2", "factorized embedding", 128, 4096),
        ("albert-base-v2", "factorized embedding", 128, 768),
        ("opt-350m", "factorized embedding", 512, 1024),
    ],
)
def test_published_shapes_have_the_narrow_place_they_are_known_for(name: str, kind: str, size: int, width: int) -> None:
    (place,) = find_bottlenecks(published(name))
    assert (place.kind, place.size, place.width) == (kind, size, width)
    assert (place.redundant > 0) == (kind != "narrow attention")


@pytest.mark.parametrize(
    "name",
    ["gpt2", "gpt2-xl", "llama-2-7b", "llama-3-8b", "mistral-7b", "bert-base", "vit-base-patch16-224", "t5-small"],
)
def test_balanced_shapes_have_none(name: str) -> None:
    assert find_bottlenecks(published(name)) == ()
    assert redundant_parameters(published(name), rank=None, cut_heads=True) == 0


def test_advice_to_go_deeper_stops_where_the_plan_stops() -> None:
    tiny = describe(
        {"model_type": "llama", "vocab_size": 26, "hidden_size": 104, "num_hidden_layers": 6, "num_attention_heads": 4}
    )
    (free,), (cut,) = find_bottlenecks(tiny), find_bottlenecks(tiny, deepest=18)
    assert "take width 26" in free.advice
    assert "stop at 18 layers" in cut.advice
    assert "would take 96;" in cut.advice, "a quarter of the width at equal size is sixteen times the depth"


def test_redundant_heads_are_what_a_network_with_fewer_heads_would_save() -> None:
    for name, heads, field in (("gemma-7b", 12, "num_attention_heads"), ("t5-11b", 8, "num_heads")):
        change = {field: heads} | ({"num_key_value_heads": heads} if name == "gemma-7b" else {})
        shape, slim = published(name), published(name, **change)
        saved = count_parameters(shape).components["attention"] - count_parameters(slim).components["attention"]
        # T5's relative positions have one bias per head and bucket, in one layer of each stack: no matrix entry.
        biases = 2 * 32 * (128 - 8) if name == "t5-11b" else 0
        assert redundant_parameters(shape, cut_heads=True) == saved - biases


def test_redundant_width_is_what_a_network_of_the_ranks_width_would_save() -> None:
    # Bytes at width 768: a network of width 256 with the same depth and proportions reaches the same bound.
    wide = published("llama-2-7b", vocab_size=256, hidden_size=768, intermediate_size=2304, num_hidden_layers=12)
    slim = published("llama-2-7b", vocab_size=256, hidden_size=256, intermediate_size=768, num_hidden_layers=12)
    matrices = [
        count_parameters(shape).components["attention"] + count_parameters(shape).components["feed-forward"]
        for shape in (wide, slim)
    ]
    assert redundant_parameters(wide, rank=256) == matrices[0] - matrices[1]
    (place,) = find_bottlenecks(wide)
    assert (place.kind, place.size, place.redundant) == ("vocabulary", 256, matrices[0] - matrices[1])


def test_two_narrow_places_do_not_count_twice() -> None:
    shape = published("gemma-7b", vocab_size=512)
    alone = {place.kind: place.redundant for place in find_bottlenecks(shape)}
    assert set(alone) == {"vocabulary", "wide attention"}
    together = redundant_parameters(shape, rank=512, cut_heads=True)
    assert max(alone.values()) < together < sum(alone.values())
    # Rank 512 in a width of 3072 leaves (1/6)^2 of all entries; 12 heads of 256 instead of 16 leave 3/4 of attention's.
    attention, feed_forward = 28 * 4 * 3072 * 4096, 28 * 3 * 3072 * 24576
    assert together == attention - attention * 3 // (4 * 36) + feed_forward - feed_forward // 36


@pytest.mark.parametrize(
    ("config", "kind", "rank", "positions"),
    [
        ({"model_type": "llama", "vocab_size": 257}, "vocabulary", 257, "none"),
        ({"model_type": "gpt2", "vocab_size": 257}, "vocabulary", 257, "free"),
        ({"model_type": "gpt2"}, None, 768, "free"),
        ({"model_type": "albert"}, "factorized embedding", 128, "within"),
        ({"model_type": "albert", "vocab_size": 40}, "vocabulary", 40, "within"),
        ({"model_type": "vit", "hidden_size": 1024, "num_attention_heads": 16}, "patch dimension", 768, "free"),
        ({"model_type": "vit"}, None, 768, "free"),
    ],
)
def test_input_rank_says_what_sets_it(config: dict[str, Any], kind: str | None, rank: int, positions: str) -> None:
    found = input_rank(describe(config))
    assert (found.kind, found.rank, found.positions) == (kind, rank, positions)


def test_narrow_feed_forward_layers_are_found_unless_experts_make_up_for_it() -> None:
    (place,) = find_bottlenecks(describe({"model_type": "gpt2", "n_inner": 100}))
    assert (place.kind, place.size, place.redundant) == ("narrow feed-forward", 100, 0)
    # Experts of 768 in a width of 2048, but eight of them at a time.
    assert [place.kind for place in find_bottlenecks(published("qwen3-30b-a3b"))] == ["wide attention"]
    one = published("qwen3-30b-a3b", num_experts_per_tok=1)
    assert [place.kind for place in find_bottlenecks(one)] == ["wide attention", "narrow feed-forward"]


@pytest.mark.parametrize(("inner", "kinds"), [(767, ["narrow feed-forward"]), (768, []), (769, [])])
def test_an_inner_size_equal_to_the_width_is_no_bottleneck(inner: int, kinds: list[str]) -> None:
    assert [place.kind for place in find_bottlenecks(describe({"model_type": "gpt2", "n_inner": inner}))] == kinds


@pytest.mark.parametrize(("head_dim", "kinds"), [(127, ["narrow attention"]), (128, []), (129, ["wide attention"])])
def test_attention_of_the_inner_size_of_the_width_is_no_bottleneck(head_dim: int, kinds: list[str]) -> None:
    shape = describe({"model_type": "llama", "head_dim": head_dim})
    assert [place.kind for place in find_bottlenecks(shape)] == kinds


@pytest.mark.parametrize(("narrow", "kinds"), [(767, ["factorized embedding"]), (768, []), (769, [])])
def test_a_table_as_wide_as_the_width_is_no_bottleneck(narrow: int, kinds: list[str]) -> None:
    shape = describe({"model_type": "opt", "word_embed_proj_dim": narrow})
    assert [place.kind for place in find_bottlenecks(shape)] == kinds


def test_the_rank_of_the_scores_is_another_matter() -> None:
    assert scores_rank(published("gpt2")) == 768
    assert scores_rank(published("albert-base-v2")) == 128
    assert scores_rank(published("vit-base-patch16-224")) is None
    assert "narrow head" not in {place.kind for place in find_bottlenecks(published("albert-base-v2"))}


def test_advice_names_a_shape_that_would_not_be_flagged() -> None:
    for name, heads in (("qwen3-0.6b", 8), ("qwen3-4b", 20), ("gemma-2-9b", 14)):
        (place,) = find_bottlenecks(published(name))
        assert f"Take {heads} heads" in place.advice
        balanced = published(name, num_attention_heads=heads, num_key_value_heads=heads)
        assert find_bottlenecks(balanced) == ()
    (place,) = find_bottlenecks(published("gemma-3-1b"))
    assert "Take heads of 288" in place.advice
    assert find_bottlenecks(published("gemma-3-1b", head_dim=288)) == ()


def test_the_audit_reports_what_was_found() -> None:
    result = architecture.audit(str(CONFIGS / "t5-11b.json"))
    assert result.values["bottlenecks"] == 1
    # 15/16 of the attention matrices: 72 sublayers of 4 x 1024 x 16384.
    assert result.values["redundant_parameters"] == 72 * 4 * 1024 * 16384 * 15 // 16
    place = next(each for each in result.findings if each.key == "wide_attention")
    assert place.verdict == "disagrees"
    assert place.measured is not None
    assert place.predicted is not None
    assert place.measured.value / place.predicted.value == 16
