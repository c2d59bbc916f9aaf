"""Plans against hand counts, the published examples, and networks that transformers builds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from seqtant import architecture
from seqtant.architecture.config import PlanConfig
from seqtant.architecture.instruments.plan import family_of
from seqtant.architecture.planning.planner import MODALITIES, Plan, ShapeFamily, make_plan, resolution
from seqtant.architecture.planning.rules_of_thumb import BUILT, RULES, vocabulary_parameters
from seqtant.errors import InputError


def plan_of(config: PlanConfig) -> Plan:
    return make_plan(config.params, family_of(config), count=config.count, active=config.active, context=config.context)


def test_gpt3_plan() -> None:
    plan = make_plan(1.74e11)
    assert plan.best.depth == pytest.approx(80.5, abs=0.1)
    assert plan.best.width == pytest.approx(13460, rel=5e-3)
    assert plan.band.low <= 76 <= plan.band.high  # Jurassic-1, built after the law at this size
    assert plan.band.place(96) == "deeper than the band"  # GPT-3 as built
    assert plan.is_extrapolated


@settings(max_examples=60, deadline=None)
@given(
    params=st.floats(1e5, 1e14),
    count=st.sampled_from(["non-embedding", "total"]),
    glu=st.booleans(),
    kv_heads=st.sampled_from([None, 1, 2, 7, 8]),
    snap=st.sampled_from([None, 1, 8, 128]),
    experts=st.sampled_from([None, 8, 128]),
    pipeline=st.sampled_from([1, 4]),
)
def test_every_candidate_is_a_whole_shape_within_5_percent_of_the_budget(
    params: float,
    count: Any,
    glu: bool,
    kv_heads: int | None,
    snap: int | None,
    experts: int | None,
    pipeline: int,
) -> None:
    config = PlanConfig(
        params=params, count=count, glu=glu, kv_heads=kv_heads, snap=snap, experts=experts, pipeline=pipeline
    )
    try:
        plan = plan_of(config)
    except InputError:
        reject()  # refusals have a test of their own
    assert 1 <= plan.band.low <= plan.band.high
    for shape in plan.candidates:
        step = snap or (64 if shape.width < 1024 else 128)
        assert [shape.width % step, shape.d_ff % step, shape.depth % pipeline] == [0, 0, 0]
        assert shape.heads * shape.head_dim == shape.width
        assert shape.head_dim in (64, 128)
        assert shape.heads % shape.kv_heads == 0
        assert shape.kv_heads == (kv_heads or shape.heads)
        assert shape.total == shape.non_embedding + shape.embedding
        assert shape.budgeted == (shape.total if count == "total" else shape.non_embedding)
        assert abs(shape.budgeted - params) <= 0.05 * params


SHAPES = {
    # Budgets that used to be left in silence: with embeddings, with odd groups of heads, with heads of odd sizes.
    "total of 30M, 151936 tokens": ({"params": "30M", "count": "total", "vocab": 151936}, [(2, 192, 64, 30057408)]),
    "total of 1.3B, 256000 tokens": (
        {"params": "1.3B", "count": "total", "vocab": 256000},
        [
            (22, 1792, 64, 1306606336),
            (34, 1536, 64, 1355914752),
            (39, 1408, 64, 1288352384),
            (49, 1280, 64, 1291185920),
            (82, 1024, 64, 1294111744),
        ],
    ),
    "7 groups": ({"params": "350M", "kv_heads": 7}, [(10, 1792, 64, 427280896), (40, 896, 64, 398341888)]),
    "8 groups, gated": (
        {"params": "7B", "glu": True, "kv_heads": 8},
        [
            (26, 5120, 128, 7363000320),
            (53, 3584, 64, 7207208960),
            (70, 3072, 128, 7201253376),
            (103, 2560, 64, 7115653120),
        ],
    ),
    "heads of 128": ({"params": "85M", "head_dim": 128}, None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_budgets_that_few_shapes_fit(name: str) -> None:
    settings, expected = SHAPES[name]
    found = plan_of(PlanConfig(**settings)).candidates
    if expected is None:
        assert {each.head_dim for each in found} == {128}
    else:
        assert [(each.depth, each.width, each.head_dim, each.total) for each in found] == expected


def test_a_plan_says_that_no_shape_lies_in_the_band() -> None:
    result = architecture.plan(params=350e6, kv_heads=7)
    assert result.values["in_band"] == 0
    assert result.warnings == (
        "no shape within 5 % of the budget has 30 to 36 layers; 40 x 896 comes nearest. Fewer kv_heads, a smaller "
        "head_dim or snap, or fewer splits leave more widths",
    )
    assert architecture.plan(params=350e6).values["in_band"] == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # 64 groups of heads of 64 need widths of 4096: two layers are 2 * (12 * 4096^2 + 2 * 4096) + 4096.
        ({"params": "350M", "kv_heads": 64}, "steps of 4096, and 2 x 4096 has 402,673,664"),
        # 12 * 64^2 + 3 * 64: the smallest network there is.
        ({"params": 1000}, "within 5 % of 1000 parameters: widths come in steps of 64, and 1 x 64 has 49,344"),
        ({"params": 1e30}, r"params is 1e\+30: give a number of at most 1e\+15"),
        ({"params": "1B", "experts": 4}, "experts is 4: give no active beside it, and experts_per_token up to it"),
        ({"params": "1B", "experts": 64, "active": "300M"}, "experts is 64: give no active beside it"),
        ({"params": "1B", "active": "2B"}, r"active is 2e\+09: it must be below params 1e\+09"),
        ({"params": "1B", "base_depth": 8}, "base_depth goes with base_width"),
    ],
)
def test_what_makes_no_network_is_refused_in_one_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        plan_of(PlanConfig(**settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("modality", ["dna", "pixels"])
def test_the_bound_behind_deeper_advice_names_what_it_leaves_out(modality: Any) -> None:
    result = architecture.plan(params=1.3e9, modality=modality)
    finding = next(each for each in result.findings if each.key == "rank")
    assert finding.assumptions[0].status == "fails"
    assert finding.assumptions[0].statement.startswith("No softmax, normalization or feed-forward layers")
    assert "bound for networks without feed-forward parts" in result.findings[0].advice


def test_counts_of_a_candidate_by_hand() -> None:
    plan = plan_of(PlanConfig(params=1.3e9, glu=True, kv_heads=8, vocab=32000, tied=False, context=1024))
    shape = plan.candidates[0]
    head_dim = shape.width // shape.heads
    matrices = 2 * shape.width**2 + 2 * shape.width * 8 * head_dim + 3 * shape.width * shape.d_ff
    norms = 2 * shape.width
    assert shape.non_embedding == shape.depth * (matrices + norms) + shape.width
    assert shape.embedding == 2 * 32000 * shape.width
    products = 2 * (shape.depth * matrices + 32000 * shape.width)
    assert shape.flops_per_token == products + 4 * 1024 * shape.width * shape.depth
    assert shape.cache_bytes_per_token == 2 * 2 * shape.depth * 8 * head_dim


BUILT_AS: dict[str, tuple[dict[str, Any], Any]] = {
    "LlamaConfig": ({"params": 3e8, "kv_heads": 4}, lambda c: {}),
    "Qwen3Config": ({"params": 3e8, "kv_heads": 2, "qk_norm": True, "tied": False}, lambda c: {}),
    "MixtralConfig": (
        {"params": 3e9, "kv_heads": 4, "experts": 8, "experts_per_token": 2, "granularity": 1},
        lambda c: {"num_local_experts": c.experts, "num_experts_per_tok": 2},
    ),
    "Qwen3MoeConfig": (
        {"params": 3e9, "active": 4e8, "kv_heads": 2, "qk_norm": True, "count": "total"},
        lambda c: {
            "num_local_experts": c.experts,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": c.d_ff,
            "norm_topk_prob": True,
        },
    ),
    # Shared experts beside routed ones, as in DeepSeek, with plain attention.
    "Glm4MoeConfig": (
        {"params": 3e9, "experts": 64, "experts_per_token": 6, "shared_experts": 2, "granularity": 4},
        lambda c: {
            "n_routed_experts": c.experts,
            "num_experts_per_tok": 6,
            "n_shared_experts": 2,
            "moe_intermediate_size": c.d_ff,
            "first_k_dense_replace": 0,
        },
    ),
}


@pytest.mark.parametrize("family", BUILT_AS)
def test_counts_agree_with_transformers(family: str) -> None:
    import transformers

    from seqtant.architecture.counting.built import build, count_modules

    settings, further = BUILT_AS[family]
    config = PlanConfig(**settings, glu=True, vocab=8192)
    plan = plan_of(config)
    for shape in plan.candidates:
        sizes = {
            "hidden_size": shape.width,
            "num_hidden_layers": shape.depth,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "intermediate_size": shape.d_ff,
            "vocab_size": 8192,
            "tie_word_embeddings": config.tied,
        }
        written = getattr(transformers, family)(**sizes, **further(shape)).to_dict()
        network: Any = build({**written, "architectures": [family.replace("Config", "ForCausalLM")]})
        assert network.num_parameters() == shape.total, (shape.depth, shape.width)
        assert count_modules(network).parameters.active == shape.active
    assert len(plan.candidates) >= 2


def test_law_of_grouped_query_layers_uses_their_own_count() -> None:
    """MobileLLM-125M (30 x 576, 9 heads, 3 for keys and values, gated 1536): the law asks for 24.5 layers."""
    layer = 2 * 576**2 + 2 * 576 * 192 + 3 * 576 * 1536
    plan = plan_of(PlanConfig(params=30 * layer, glu=True, kv_heads=3, d_ff_ratio=1536 / 576))
    assert plan.best.depth == pytest.approx(24.5, abs=1.0)
    c = 2 * plan.best.width**2 + 2 * plan.best.width * 192 + 3 * plan.best.width**2 * 1536 / 576
    assert c * plan.best.depth == pytest.approx(30 * layer, rel=1e-9)


def test_total_budget_includes_the_embeddings() -> None:
    plan = plan_of(PlanConfig(params=1.3e9, count="total", vocab=128000, tied=False))
    assert plan.size + 2 * 128000 * plan.best.width == pytest.approx(1.3e9, rel=1e-9)
    with pytest.raises(InputError, match="embeddings alone"):
        plan_of(PlanConfig(params=1e6, count="total"))


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_makes_a_plan(modality: str) -> None:
    config = PlanConfig(params=8.5e7, modality=modality)  # type: ignore[arg-type]
    plan = plan_of(config)
    kind = MODALITIES[modality]
    limit = min(each for each in (kind.vocabulary, kind.rank) if each is not None)
    assert architecture.plan(config.params, modality=config.modality).values["effective_width"] == min(
        limit, plan.best.width
    )
    limited = limit < plan.best.width
    assert (plan.band.cap != "width not limited") == limited
    assert plan.band.high <= max(3 * plan.best.depth, plan.band.low + 12)


def test_bytes_at_8e7_are_cut_at_three_times_the_law() -> None:
    plan = plan_of(PlanConfig(params=8.5e7, modality="bytes"))
    assert (plan.band.low, plan.band.high) == (23, 69)


def test_factorized_embeddings_limit_the_width() -> None:
    plan = plan_of(PlanConfig(params=8.5e7, embed_rank=400))
    assert plan.band.high == math.floor(8.5e7 / (12 * 400**2))
    shape = plan.candidates[0]
    assert shape.embedding == 400 * (50257 + shape.width)
    untied = plan_of(PlanConfig(params=8.5e7, embed_rank=400, tied=False)).candidates[0]
    assert untied.embedding == 400 * (50257 + shape.width) + 50257 * shape.width


def test_vocabulary_rule() -> None:
    """Abstract of Tao et al. 2024: a 70B model wants at least 216K tokens; one approach says 212K, one 231K."""
    found = [vocabulary_parameters(7e10, approach) / 8192 for approach in (1, 2)]
    assert found == pytest.approx([212e3, 231e3], rel=5e-3)
    with pytest.raises(InputError):
        vocabulary_parameters(math.nan)


def test_rules_say_nothing_outside_their_sizes_and_bracket_their_own_shapes() -> None:
    by_name = {rule.name: rule for rule in RULES}

    def standard(depth: int, width: int) -> Plan:
        return make_plan(12 * depth * width**2)

    assert by_name["nanochat"].depths(standard(20, 1280)) == pytest.approx((20, 20))
    assert by_name["nanochat"].depths(make_plan(1e12)) is None
    low, high = by_name["Kaplan et al. 2020"].depths(standard(48, 1600)) or (0, 0)
    assert low == pytest.approx(6, abs=0.5)
    assert high == pytest.approx(48, abs=0.5)
    low, high = by_name["MobileLLM 2024"].depths(standard(30, 576)) or (0, 0)
    assert low < 30 <= high + 0.2
    assert {rule.strength for rule in RULES} >= {"unverified", "read at the source", "read second-hand"}


def test_built_networks_lie_where_the_survey_says() -> None:
    """Depth over the law's depth: GPT-2 0.52, GPT-2 XL 1.11, BLOOM 0.87, Chinchilla 1.10, Gopher 0.96, iGPT 1.08 ..."""
    ratios = {name: depth / make_plan(12 * depth * width**2).best.depth for name, (depth, width) in BUILT.items()}
    expected = {"GPT-2": 0.52, "GPT-2 XL": 1.11, "BLOOM": 0.87, "Chinchilla": 1.10, "Gopher": 0.96}
    expected |= {"iGPT-S": 1.08, "iGPT-M": 1.04, "iGPT-L": 1.13, "iGPT-XL": 1.10}
    assert {name: ratios[name] for name in expected} == pytest.approx(expected, abs=0.006)


def test_family_knows_a_standard_layer() -> None:
    assert ShapeFamily().is_standard
    assert plan_of(PlanConfig(params=1e9, glu=True)).family == ShapeFamily(gated=True, d_ff_ratio=8 / 3)
    assert ShapeFamily(gated=True, d_ff_ratio=8 / 3).is_standard  # 4 + 3 * 8/3 = 12
    assert not ShapeFamily(kv_heads=2).is_standard


def test_the_law_resolves_half_a_step_of_the_depths_it_was_fitted_on() -> None:
    # Fitted at 6, 12, 18, 24, 30, 36, 48, ...: 6 layers apart up to 36, then 12.
    assert [resolution(depth) for depth in (6.0, 30.0, 36.0, 36.5, 48.0)] == [3.0, 3.0, 3.0, 6.0, 6.0]
