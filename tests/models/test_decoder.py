"""The decoder against its closed-form count, torch's own layers, and the identities it must keep."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.models.decoder import TABLE_STD, Decoder, rotate
from seqtant.models.decoder_config import DecoderConfig


def build(**changes) -> Decoder:
    shape = {"vocabulary": 11, "depth": 2, "width": 16, "heads": 2, "context": 10} | changes
    return Decoder(DecoderConfig(**shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("rank", "tied", "positions", "expansion"),
    [
        case
        for case in itertools.product([None, 1, 5, 16], [False, True], ["learned", "rotary"], [4, 3])
        if not (case[0] and case[1])
    ],
)
def test_closed_form_counts_every_parameter(rank, tied, positions, expansion):
    model = build(embedding_rank=rank, tied=tied, positions=positions, expansion=expansion, depth=3)
    assert sum(p.numel() for p in model.parameters()) == model.config.parameters
    blocks = [p for name, p in model.named_parameters() if name.startswith(("layers", "norm"))]
    assert sum(p.numel() for p in blocks) == model.config.block_parameters


def test_blocks_are_12_L_d2_and_the_norms():
    config = DecoderConfig(vocabulary=50257, depth=12, width=768, heads=12, context=1024)
    assert config.block_parameters == 12 * 12 * 768**2 + 25 * 768


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_no_position_sees_what_follows(positions):
    model = build(positions=positions)
    tokens = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 11
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_a_layer_is_torchs_pre_norm_encoder_layer():
    layer = build().layers[0]
    reference = nn.TransformerEncoderLayer(
        16, 2, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, bias=False
    )
    reference.load_state_dict(
        {
            "self_attn.in_proj_weight": layer.attention.inputs.weight,
            "self_attn.out_proj.weight": layer.attention.output.weight,
            "linear1.weight": layer.up.weight,
            "linear2.weight": layer.down.weight,
            "norm1.weight": layer.attention_norm.weight,
            "norm2.weight": layer.network_norm.weight,
        }
    )
    x = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(2))
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    torch.testing.assert_close(layer(x), reference.train()(x, src_mask=mask, is_causal=True), rtol=1e-4, atol=1e-5)


def test_rotation_keeps_lengths_and_depends_on_differences_only():
    generator = torch.Generator().manual_seed(3)
    query, key = (torch.randn(1, 8, generator=generator, dtype=torch.float64).expand(12, 8) for _ in range(2))
    turned_query, turned_key = rotate(query), rotate(key)
    torch.testing.assert_close(turned_query.norm(dim=-1), query.norm(dim=-1))
    scores = turned_query @ turned_key.T
    for offset in range(-11, 12):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-5, atol=1e-5)
    assert scores[0].std() > 0.1


@pytest.mark.parametrize("rank", [1, 2, 8, 64])
def test_fresh_factorized_table_has_the_rank_and_the_scale_of_a_plain_one(rank):
    model = build(vocabulary=2000, width=64, embedding_rank=rank)
    table = model.embedding(torch.arange(2000)[None])[0].detach()
    assert int(torch.linalg.matrix_rank(table)) == rank
    # the relative error of the standard deviation of a product with min(n, m) * r free numbers
    assert float(table.std()) == pytest.approx(TABLE_STD, rel=4 / math.sqrt(64 * rank))


def test_fresh_matrices_are_scaled_by_width_and_depth():
    model = build(width=64, depth=8, heads=4)
    small = math.sqrt(2 / (5 * 64))
    assert float(model.layers[0].up.weight.detach().std()) == pytest.approx(small, rel=0.05)
    assert float(model.layers[0].down.weight.detach().std()) == pytest.approx(small / 4, rel=0.05)


def test_tied_head_is_the_embedding():
    model = build(tied=True)
    assert model.head is None
    x = torch.randn(1, 3, 16)
    assert torch.allclose(model.logits(x), model.norm(x) @ model.embedding.weight.T, atol=1e-6)


def test_weights_come_from_the_generator_and_nothing_else():
    before = torch.get_rng_state()
    first, second = build(), build()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_too_long_a_text_is_refused():
    with pytest.raises(InputError, match="11 tokens do not fit a context of 10"):
        build()(torch.zeros(1, 11, dtype=torch.long))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "heads is 3: it must divide the width 16"),
        ({"depth": 0}, "depth is 0"),
        ({"embedding_rank": 0}, "embedding_rank is 0"),
        ({"tied": True, "embedding_rank": 4}, "tied head would inherit"),
        ({"width": 6, "positions": "rotary"}, "even head size"),
    ],
)
def test_impossible_shapes_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build(**changes)
