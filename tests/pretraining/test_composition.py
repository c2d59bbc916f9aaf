"""Rows and labels of the two-fact experiment, arm by arm, and a network that knows the answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant.pretraining.config import ComposeConfig
from seqtant.pretraining.instruments.compose import LENGTH, FactBatches, Facts, accuracy, run_arm

FACTS = Facts.sample(20, 5, np.random.default_rng(0))


def facts_in(rows: torch.Tensor) -> list[list[tuple[int, int, int]]]:
    found = []
    for row in rows.tolist():
        places = [i for i, word in enumerate(row) if 0 < word < 4]
        found.append([(row[i - 1], row[i], row[i + 1]) for i in places])
    return found


def test_facts_are_functions_and_values_are_balanced() -> None:
    assert FACTS.vocabulary == 4 + 2 * 20 + 5
    assert FACTS.first[:, :2].tolist() == [[4 + entity, 1] for entity in range(20)]
    assert sorted(FACTS.first[:, 2].tolist()) == list(range(24, 44))
    assert (FACTS.second[:, 0] == FACTS.first[:, 2]).all()
    assert np.bincount(FACTS.second[:, 2] - 44).tolist() == [4] * 5
    assert (FACTS.joined == np.stack([FACTS.first[:, 0], np.full(20, 3), FACTS.second[:, 2]], axis=1)).all()
    assert sorted([*FACTS.shown, *FACTS.hidden]) == list(range(20))


@pytest.mark.parametrize("arm", ["knn", "random", "split"])
def test_rows_hold_true_facts_and_no_question_that_is_asked_later(arm: str) -> None:
    true = {tuple(f) for f in (*FACTS.first, *FACTS.second, *FACTS.joined[FACTS.shown])}
    for step in range(5):
        batch = FactBatches(FACTS, arm, rows=32, joined_share=0.25, seed=0).batch(step)  # type: ignore[arg-type]
        for facts in facts_in(batch["input_ids"]):
            assert all(fact in true for fact in facts)


def test_company_is_what_the_arm_says() -> None:
    second_of = {int(f[0]): tuple(f) for f in FACTS.second}
    shares = {}
    for arm in ("knn", "random", "split"):
        rows = facts_in(FactBatches(FACTS, arm, rows=64, joined_share=0.25, seed=0).batch(3)["input_ids"])
        pairs = [sorted(facts, key=lambda fact: fact[1]) for facts in rows if len(facts) == 2]
        shares[arm] = [second_of[first[2]] == second for first, second in pairs]
    assert all(shares["knn"])
    assert len(shares["knn"]) == 48
    assert np.mean(shares["random"]) < 0.2
    assert not shares["split"]


def test_arms_show_every_fact_equally_often() -> None:
    counts = []
    for arm in ("knn", "random", "split"):
        rows = facts_in(FactBatches(FACTS, arm, rows=64, joined_share=0.25, seed=0).batch(3)["input_ids"])  # type: ignore[arg-type]
        counts.append(sorted(fact for facts in rows for fact in facts))
    assert counts[0] == counts[1] == counts[2]


def test_both_orders_and_many_places_occur() -> None:
    rows = FactBatches(FACTS, "knn", rows=200, joined_share=0.0, seed=0).batch(0)["input_ids"]
    kinds = [[fact[1] for fact in facts] for facts in facts_in(rows)]
    assert [1, 2] in kinds
    assert [2, 1] in kinds
    assert len({tuple((row > 0).tolist()) for row in rows}) > 4


def test_every_word_is_learned_and_no_filler() -> None:
    batch = FactBatches(FACTS, "knn", rows=16, joined_share=0.25, seed=0).batch(0)
    real = batch["input_ids"] > 0
    assert torch.equal(batch["labels"][real], batch["input_ids"][real])
    assert (batch["labels"][~real] == -100).all()


class Knowing(torch.nn.Module):
    """Answers every question from the facts."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        table = {tuple(f[:2]): f[2] for f in (*FACTS.first, *FACTS.second, *FACTS.joined)}
        logits = torch.zeros(*ids.shape, FACTS.vocabulary)
        for row, line in enumerate(ids.tolist()):
            logits[row, -1, table[tuple(line[-2:])]] = 1
        return logits


def test_accuracy_of_one_who_knows_is_one() -> None:
    assert accuracy(Knowing(), FACTS) == {"held_out": 1, "shown": 1, "first": 1, "second": 1}


def test_accuracy_of_a_constant_is_chance() -> None:
    class Constant(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*ids.shape, FACTS.vocabulary)

    assert accuracy(Constant(), FACTS)["second"] == pytest.approx(1 / 5)


def test_runs_of_one_seed_agree() -> None:
    config = ComposeConfig.smoke()
    assert run_arm(config, "knn", 3) == run_arm(config, "knn", 3)
    assert LENGTH == 8


@pytest.mark.slow
def test_facts_that_shared_an_example_are_joined() -> None:
    config = ComposeConfig(steps=600)
    together, apart = (run_arm(config, arm, 0) for arm in ("knn", "split"))
    assert together["held_out"] > apart["held_out"] + 0.05
