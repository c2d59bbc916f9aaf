"""What planned shapes cost: against published figures, torch's counter of FLOPs, and networks built by transformers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from seqtant import architecture
from seqtant.architecture.planning import costs
from seqtant.errors import InputError


def chosen_llama(values: Any, vocabulary: int) -> Any:
    """The chosen shape of a gated plan, as transformers' configuration."""
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=values["width"],
        num_hidden_layers=values["depth"],
        num_attention_heads=values["heads"],
        num_key_value_heads=values["kv_heads"],
        head_dim=values["head_dim"],
        intermediate_size=values["d_ff"],
        vocab_size=vocabulary,
        tie_word_embeddings=True,
    )


def test_training_and_cache_are_those_of_the_network_that_transformers_builds() -> None:
    """6 N D + 12 L d T D for a whole context, forward and backward; and the bytes that a forward pass leaves."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import LlamaForCausalLM

    settings: dict[str, Any] = {"params": "20M", "glu": True, "kv_heads": 2, "vocab": 4096, "context": 96}
    values: Any = architecture.plan(**settings, tokens=960_000).values
    with torch.device("meta"):
        network = LlamaForCausalLM._from_config(chosen_llama(values, 4096), attn_implementation="eager")
        ids = torch.zeros(1, 96, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        output = network(ids, use_cache=True)
        output.logits.sum().backward()
    assert values["training_flops"] == 10_000 * counter.get_total_flops()
    layers = output.past_key_values.layers
    assert values["cache_bytes"] == 2 * sum(layer.keys.numel() + layer.values.numel() for layer in layers)


def test_attention_is_what_is_more_than_six_times_the_matrices() -> None:
    values: Any = architecture.plan(params=20e6, vocab=4096, context=96, tokens=1e9).values
    matrices = values["non_embedding"] - (2 * values["depth"] + 1) * values["width"] + 4096 * values["width"]
    assert values["training_flops"] * (1 - values["attention_share"]) == pytest.approx(6 * matrices * 1e9, rel=1e-12)


@pytest.mark.parametrize(
    ("parameters", "tokens", "published"),
    [
        (174_600e6, 300e9, 3.14e23),  # GPT-3, Brown et al. 2020, table D.1
        (12_850e6, 300e9, 2.31e22),  # GPT-3 13B, the same table
    ],
)
def test_training_flops_of_published_networks(parameters: float, tokens: float, published: float) -> None:
    cost = costs.training_cost(2 * parameters, parameters, tokens, 1e15)
    assert cost["training_flops"] == pytest.approx(published, rel=2e-3)
    # The same compute, spent at 20 tokens per parameter.
    assert 6 * cost["optimal_parameters"] * cost["optimal_tokens"] == pytest.approx(cost["training_flops"], rel=1e-12)
    assert cost["optimal_tokens"] == 20 * cost["optimal_parameters"]


def test_tokens_of_the_training_table() -> None:
    result = architecture.plan(params=1.3e9, tokens=1e11, mfu=0.5, device_flops=2e15)
    rows = {row[0]: row[1:] for row in next(table for table in result.tables if table.name == "training").rows}
    total: Any = result.values["total"]
    assert [rows[name][0] for name in rows] == [1e11, 20 * total, pytest.approx(1e12 / 6_738_415_616 * total)]
    flops: Any = result.values["training_flops"]
    assert rows["as asked"][2:] == (flops, flops / (3600 * 1e15))
    assert architecture.plan(params=1.3e9).values["tokens"] == 20 * total


def test_llama_7b_has_the_parameters_that_its_tokens_are_divided_by() -> None:
    from seqtant.architecture.counting.accounting import count_parameters
    from seqtant.architecture.families.loading import describe

    counted = count_parameters(describe({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    assert counted.total * costs.OVERTRAINED == 1e12


def test_states_of_adam_under_zero() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5B parameters on 64 devices take 120, 31.4, 16.6 and 1.9 GB."""
    sums = [sum(costs.state_bytes(7.5e9, zero, data=64).values()) / 1e9 for zero in range(4)]
    assert sums == pytest.approx([120.0, 31.40625, 16.640625, 1.875], abs=1e-9)
    split = costs.state_bytes(7.5e9, 1, data=2, tensor=4, pipeline=2)
    assert split == {"weights": 1.875e9, "gradients": 1.875e9, "optimizer": 5.625e9}


def test_states_and_splits_of_a_plan() -> None:
    values: Any = architecture.plan(params=7e9, data=8, tensor=8, pipeline=4).values
    assert [values["heads"] % 8, values["depth"] % 4] == [0, 0]
    share = values["total"] / 32
    expected = [16 * share, (4 + 12 / 8) * share, (2 + 14 / 8) * share, 2 * share]
    assert [values[f"state_bytes_zero{zero}"] for zero in range(4)] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("heads", "width", "context", "tensor", "recompute", "per_number"),
    [
        (96, 12288, 2048, 1, "none", 34 + 80),  # Korthikanti et al. 2022: 5 a s / h is 80 for GPT-3
        (128, 20480, 2048, 1, "none", 34 + 64),  # and 64 for MT-NLG
        (96, 12288, 2048, 8, "none", 10 + 24 / 8 + 80 / 8),
        (96, 12288, 2048, 8, "selective", 10 + 24 / 8),
        (96, 12288, 2048, 8, "full", 2),
    ],
)
def test_activations_per_number(
    heads: int, width: int, context: int, tensor: int, recompute: Any, per_number: float
) -> None:
    shape = {"depth": 3, "width": width, "heads": heads, "d_ff": 4 * width}
    held = costs.activation_bytes(shape, 1, 2 * context, context, tensor, recompute)
    assert held == pytest.approx(3 * width * 2 * context * per_number, rel=1e-12)


def test_multipliers_keep_what_one_adam_step_does_to_the_output() -> None:
    """Networks wider and deeper by 4, settings multiplied as told: one step moves the output as that of the base does.

    Adam's first step is a sign; residual blocks have one layer, as in the paper. Left at the base's settings of depth,
    the same step moves it more than 4 times as far, and more than 8 times at those of width.
    """
    import torch

    def moved(width: int, depth: int, times: dict[str, float]) -> float:
        generator = torch.Generator().manual_seed(0)
        branch = times["residual_multiplier"] / 8**0.5
        hidden = torch.randn(width, generator=generator)
        head = torch.randn(width, generator=generator) * times["output_multiplier"] / 256
        std = times["init_std_hidden"] / 256**0.5
        layers = [(torch.randn(width, width, generator=generator) * std).requires_grad_() for _ in range(depth)]

        def output() -> torch.Tensor:
            stream = hidden
            for layer in layers:
                stream = stream + branch * torch.tanh(layer @ stream)
            return head @ stream

        before = output()
        before.backward()
        with torch.no_grad():
            for layer in layers:
                layer.sub_(1e-4 * times["learning_rate_hidden"] * layer.grad.sign())  # type: ignore[union-attr]
            return abs(float(output() - before))

    base = moved(256, 8, dict.fromkeys(costs.transfer_multipliers(1, 1, 1, 1), 1.0))
    ratios = [
        moved(1024, 32, costs.transfer_multipliers(1024, 32, *tuned)) / base
        for tuned in ((256, 8), (256, 32), (1024, 8))
    ]
    assert ratios[0] == pytest.approx(1.0, abs=0.1)
    assert ratios[1] > 4
    assert ratios[2] > 8


def test_multipliers_of_a_plan() -> None:
    values: Any = architecture.plan(params=1.3e9, base_width=256, base_depth=4).values
    m, root = values["width"] / 256, math.sqrt(values["depth"] / 4)
    assert values["learning_rate_hidden"] == pytest.approx(1 / (m * root), rel=1e-12)
    assert values["init_std_hidden"] == pytest.approx(1 / math.sqrt(m), rel=1e-12)
    assert (values["output_multiplier"], values["residual_multiplier"]) == pytest.approx((1 / m, 1 / root), rel=1e-12)
    assert "output_multiplier" not in architecture.plan(params=1.3e9).values


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"glu": True, "kv_heads": 8, "count": "total", "vocab": 128000, "tensor": 2, "data": 4, "base_width": 256},
        {"glu": True, "kv_heads": 4, "experts": 64, "shared_experts": 1},
        {"glu": True, "kv_heads": 4, "active": "1B", "qk_norm": True},
    ],
)
def test_a_table_holds_the_values_of_each_plan(settings: dict[str, Any]) -> None:
    budgets = [2e9, 7e9, 5e10]
    table = architecture.plan_table(budgets, **settings)
    for row, budget in enumerate(budgets):
        values = architecture.plan(params=budget, **settings).values
        mine = {name: column[row] for name, column in table.items() if name != "params"}
        assert mine == pytest.approx({name: values[name] for name in mine}, rel=1e-12)
        assert table["params"][row] == budget


def test_a_table_of_a_thousand_budgets_stays_within_them() -> None:
    budgets = np.geomspace(1e8, 1e12, 1000)
    table = architecture.plan_table(budgets)
    assert {column.shape for column in table.values()} == {(1000,)}
    assert np.abs(table["non_embedding"] / budgets - 1).max() <= 0.05
    assert table["in_band"].all()
    with pytest.raises(InputError, match="give at least one budget"):
        architecture.plan_table([])
    with pytest.raises(InputError, match="within 5 % of 1000 parameters"):
        architecture.plan_table([1e9, 1e3])


def test_a_mixture_is_outside_of_the_law_and_its_plan_says_so() -> None:
    result = architecture.plan(params=30e9, active=3e9, glu=True, kv_heads=4)
    depth = result.findings[0]
    assert (depth.key, depth.verdict) == ("depth", "vacuous")
    assert [each.status for each in depth.assumptions] == ["fails", "fails", "not checked"]
    values: Any = result.values
    assert abs(values["non_embedding"] - 30e9) <= 0.05 * 30e9
    assert abs(values["budgeted"] - 3e9) <= 0.05 * 3e9
    # The experts of a token together are as wide as a dense layer, to the next multiple of 128.
    assert abs(8 * values["d_ff"] - 8 / 3 * values["width"]) <= 8 * 64
    assert values["tokens"] == 20 * values["active"]
