"""Rows given their true text: held against writing freely, where a greedy model must agree with itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant import subtasks
from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, LMOutput
from seqtant.lm.loading import load
from seqtant.subtasks.rows.layout import arm_layouts
from seqtant.subtasks.rows.problem_rows import Row, RowStep, arithmetic_rows
from seqtant.subtasks.training.decoding import Scores, character_row, model_row, solve_rows, solve_with, teacher_forced
from seqtant.subtasks.training.reporting import record_exposure

ROWS = arithmetic_rows(12, np.random.default_rng(3))
LAYOUTS = arm_layouts(ROWS, "steps", np.random.default_rng(0))
TOKENS = CharacterTokens(layout.text for layout in LAYOUTS)


class ByHeart(CausalLM):
    """Knows some texts by their beginning; on others' steps it writes nines instead of the character at one place."""

    name = "by heart"
    vocabulary_size = TOKENS.vocabulary

    def __init__(self, wrong=None):
        self.wrong = wrong
        self.texts = [[*TOKENS.encode(layout.text).tolist(), TOKENS.separator] for layout in LAYOUTS]
        self.prompts = [len(layout.prompt) for layout in LAYOUTS]

    def forward(self, input_ids, attention_mask=None, *, cache=None, keep=None, use_cache=False):
        seen = input_ids if cache is None else torch.cat([cache, input_ids], dim=1)
        logits = torch.zeros(*input_ids.shape, self.vocabulary_size)
        for line, row in enumerate(seen.tolist()):
            mine = next(n for n, text in enumerate(self.texts) if text[: self.prompts[n]] == row[: self.prompts[n]])
            for offset in range(input_ids.shape[1]):
                place = len(row) - input_ids.shape[1] + offset + 1
                text = self.texts[mine]
                token = text[place] if place < len(text) else TOKENS.separator
                if place == self.wrong:
                    token = TOKENS.unknown
                logits[line, offset, token] = 5.0
        kept = logits[:, -keep:] if isinstance(keep, int) else logits if keep is None else logits[:, keep]
        return LMOutput(kept, cache=seen if use_cache else None)

    def select_rows(self, cache, rows):
        return cache[rows]


def pieces():
    return [character_row(TOKENS, layout) for layout in LAYOUTS]


def test_who_knows_the_text_is_right_everywhere():
    scores = teacher_forced(ByHeart(), pieces(), TOKENS)
    assert scores.chain.all()
    assert scores.present.sum(axis=1).tolist() == [len(row.steps) + 1 for row in ROWS]


@pytest.mark.parametrize("wrong", [40, 45, 60])
def test_one_wrong_character_costs_the_piece_it_stands_in_and_no_other(wrong):
    scores = teacher_forced(ByHeart(wrong), pieces(), TOKENS)
    for line, layout in enumerate(LAYOUTS):
        hit = [start <= wrong <= end for start, end in layout.pieces]
        assert (scores.correct[line][scores.present[line]] == ~np.array(hit)).all()


def test_rows_without_an_error_are_those_that_a_greedy_model_writes(tiny_model):
    model = load(str(tiny_model), device="cpu")
    given = teacher_forced(model, [model_row(model, layout) for layout in LAYOUTS])
    assert (given.chain == solve_with(model, ROWS, LAYOUTS).chain).all()
    for wrong in (None, 50):
        own = solve_rows(ByHeart(wrong), TOKENS, ROWS, LAYOUTS, longest=60)
        assert (own.chain == teacher_forced(ByHeart(wrong), pieces(), TOKENS).chain).all()


def test_eval_of_rows_tells_the_exposure_gap(tiny_model):
    result = subtasks.evaluate(str(tiny_model), rows="arithmetic", test_rows=4, device="cpu")
    assert {"chain_predicted", "exposure_gap"} <= result.values.keys()
    assert result.series("true_steps")


def test_a_vocabulary_that_cannot_write_the_answers_mark_is_told_instead_of_scored_as_wrong():
    rows = (Row(input="add first one second two .", steps=(RowStep(value="three"),), answer="three"),)
    layouts = arm_layouts(rows, "steps", np.random.default_rng(0))
    with pytest.raises(InputError, match="loses line breaks or the mark '####'"):
        solve_with(load("reference", device="cpu"), rows, layouts)


def test_rows_of_different_length_are_predicted_by_the_steps_they_have():
    class Kept:
        values: dict = {}
        verdicts: list = []

        def value(self, name, number):
            self.values[name] = number

        def finding(self, key, question, verdict, *_, **__):
            self.verdicts.append(verdict)

    there = np.array([[1, 0, 1]] * 3 + [[1, 1, 1]], dtype=bool)
    right = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 1]], dtype=bool)
    scores = Scores(right, right[:, -1], there)
    record_exposure(Kept(), scores, scores, None, 0)
    assert Kept.values["chain_predicted"] == pytest.approx(0.75 * (0.75 * 1) + 0.25 * (0.75 * 0 * 1))
    nothing = Scores(np.zeros((4, 3), dtype=bool), np.zeros(4, dtype=bool), there)
    record_exposure(Kept(), nothing, nothing, None, 0)
    assert Kept.verdicts == ["agrees", "vacuous"], "two zeros agree on nothing"
