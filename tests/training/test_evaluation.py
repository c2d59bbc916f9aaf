"""The mean loss of a set of rows does not depend on how the rows are batched."""

from __future__ import annotations

import pytest
import torch

from seqtant.errors import InputError
from seqtant.training import mean_loss, next_token_loss


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_mean_is_over_positions(make_model, masked_tokens, rows):
    model, batch = make_model().train(), masked_tokens(rows=11).batch(0)
    sums = next_token_loss(model, batch)
    assert mean_loss(model, batch, rows=rows) == pytest.approx(float((sums.total / sums.count).detach()), rel=1e-5)
    assert model.training


def test_dropout_is_off_while_measuring():
    model = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 7)).train()
    batch = {"input_ids": torch.randint(7, (3, 9), generator=torch.Generator().manual_seed(0))}
    assert mean_loss(model, batch) == mean_loss(model, batch)


def test_rows_without_a_label_are_refused(make_model):
    batch = {"input_ids": torch.ones(2, 5, dtype=torch.long), "labels": torch.full((2, 5), -100)}
    with pytest.raises(InputError, match="every position is masked"):
        mean_loss(make_model(), batch)
