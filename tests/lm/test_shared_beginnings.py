"""Reading what texts share once gives the numbers of reading each alone, at a lower cost."""

from __future__ import annotations

import torch

from seqtant.lm import HuggingFaceLM, hidden_states
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.layers import last_states

GROUPS = [
    [[0, 2, 3, 4, 1], [0, 2, 3, 4, 2, 3]],
    [[0, 1], [0, 2]],
    [[0, 4, 4, 4, 2, 1, 3, 1], [0, 4, 4, 4, 2, 1, 3, 1]],
    [[0, 3, 1, 2, 2], [0, 3, 1, 2], [0, 3, 1, 1, 4, 4]],
]


def test_equals_reading_each_alone(family: HuggingFaceLM) -> None:
    flat = [line for group in GROUPS for line in group]
    expected = hidden_states(family, flat, [0, 1])
    for budget in (6, 1000):
        found = last_states(family, GROUPS, [0, 1], tokens_per_batch=budget)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_shared_tokens_are_read_once(family: HuggingFaceLM) -> None:
    read = {"tokens": 0, "above": 0}
    blocks = decoder_blocks(family)
    block, above = blocks[0], blocks[-1]
    forward, passed = block.forward, above.forward

    def counting(hidden, *inputs, **named):
        read["tokens"] += hidden.shape[0] * hidden.shape[1]
        return forward(hidden, *inputs, **named)

    def never(*inputs, **named):
        read["above"] += 1
        return passed(*inputs, **named)

    block.forward, above.forward = counting, never
    pairs = [[[0, *[1, 2, 3] * 3, 1], [0, *[1, 2, 3] * 3, 2]] for _ in range(4)]
    last_states(family, pairs, [0])
    assert read == {"tokens": 4 * (10 + 2), "above": 0}


def test_groups_that_share_nothing_are_read_as_they_are(family: HuggingFaceLM) -> None:
    groups = [[[1, 2, 3], [2, 2, 3]], [[0, 1], [0, 2]]]
    expected = hidden_states(family, [line for group in groups for line in group], [1])
    torch.testing.assert_close(last_states(family, groups, [1]), expected)
