"""Sides of different tokenizers: one language in two spellings must give the same evidence and the same behavior."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from seqtant.beb.behavior.reader import Replies, open_reader
from seqtant.beb.behavior.scorers import Answer, checked_scores, open_scorer
from seqtant.beb.config import Behavior, MeasureConfig, StudySettings
from seqtant.beb.prompts.divergence import compute_evidence, retokenize, same_tokenizer
from seqtant.beb.prompts.sampling import SentenceEnds, sample_prompts
from seqtant.beb.study.inputs import Study
from seqtant.beb.study.measurement import measure_prompts
from seqtant.errors import InputError
from seqtant.lm import MarkovLM, decode, encode
from seqtant.lm.interface import CausalLM

WORDS = ("ab", "cd", "。")


def tokenizer(words: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """Reads text as given pieces and nothing else."""
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate((*words, "<s>"))}, unk_token=None))
    pattern = "|".join(word for word in words)
    made.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


def in_words(ab: float) -> MarkovLM:
    """Words ``ab`` and ``cd``; after each a stop with probability 0.3."""
    row = [0.7 * ab, 0.7 * (1 - ab), 0.3, 0.0]
    first = [ab, 1 - ab, 0.0, 0.0]
    model = MarkovLM([row, row, first, first], bos_id=3, name="words")
    model.tokenizer = tokenizer(WORDS)
    return model


def in_letters(ab: float) -> MarkovLM:
    """The same texts with the same probabilities, letter by letter."""
    word, table = {0: ab, 2: 1 - ab}, np.zeros((6, 6))
    for begins in (0, 2):
        table[begins, begins + 1] = 1.0
        for ends in (1, 3):
            table[ends, begins] = 0.7 * word[begins]
        table[4, begins] = table[5, begins] = word[begins]
    table[[1, 3], 4] = 0.3
    model = MarkovLM(table, bos_id=5, name="letters")
    model.tokenizer = tokenizer(("a", "b", "c", "d", "。"))
    return model


def prompts(model: CausalLM, count: int = 20, sentences: int = 5) -> Any:
    generator = torch.Generator().manual_seed(0)
    opening = encode(model, [""])[0]
    return sample_prompts(model, [opening] * count, sentences, SentenceEnds(model, "。"), generator=generator).prompts


MINUS, PLUS = in_words(0.8), in_words(0.3)


def test_the_same_texts_in_other_tokens() -> None:
    said, other = prompts(MINUS), in_letters(0.3)
    assert not same_tokenizer(MINUS, other)
    assert same_tokenizer(MINUS, PLUS)
    read = retokenize(said, MINUS, other)
    for ours, theirs in zip(said, read, strict=True):
        for sentences in range(len(ours.ends) + 1):
            assert decode(other, [theirs.upto(sentences)]) == decode(MINUS, [ours.upto(sentences)])
    other.context_length = 8
    with pytest.raises(InputError, match="reads 8 with 2 kept"):
        retokenize(said, MINUS, other, reserve=2)


@pytest.mark.parametrize("turned", [False, True])
def test_log_ratios_of_texts_are_those_of_one_tokenizer(turned: bool) -> None:
    minus, spell = (in_letters(0.8), in_words) if turned else (MINUS, in_letters)
    same = in_letters(0.3) if turned else PLUS
    said = prompts(minus)
    (exact,) = compute_evidence(minus, [same], said)
    near, far = compute_evidence(minus, [same, spell(0.3)], said)
    assert near.divergence == pytest.approx(exact.divergence)
    assert far.log_ratio == pytest.approx(exact.log_ratio, abs=1e-9)
    assert far.divergence is far.log_ratio


def test_a_token_over_the_end_of_a_sentence_belongs_to_the_next() -> None:
    pairs = MarkovLM(np.full((6, 6), 1 / 6), bos_id=5, name="pairs")
    pairs.tokenizer = tokenizer(("ab。cd", "ab", "cd", "。", "x"))
    (prompt,) = [p for p in prompts(MINUS, 400, 2) if decode(MINUS, [p.ids]) == ["ab。cd。"]][:1]
    (read,) = retokenize([prompt], MINUS, pairs)
    assert read.ids == (5, 0, 3)
    assert read.ends == (0, 2)
    assert compute_evidence(MINUS, [pairs], [prompt])[0].log_ratio[0, 0] == pytest.approx(np.log(0.8 * 0.3))


@pytest.mark.parametrize("scorer", ["replies", "likelihood"])
def test_a_study_of_two_tokenizers_observes_what_one_would(scorer: str) -> None:
    settings = Behavior(scorer=scorer, good=("cd。",), bad=("ab。",), answers=64, answer_tokens=12)

    def observed(plus: MarkovLM) -> Any:
        reader = open_reader(settings, MINUS, plus, SentenceEnds(MINUS, "。"), torch.Generator().manual_seed(3))
        return measure_prompts(plus, MINUS, plus, prompts(MINUS), prompts(plus), reader)

    one, two = observed(PLUS), observed(in_letters(0.3))
    near = 1e-9 if scorer == "replies" else 0.1
    assert two.model.mean() == pytest.approx(one.model.mean(), abs=near)
    assert two.minus.mean() == pytest.approx(one.minus.mean(), abs=near)
    assert two.to_model.log_ratio == pytest.approx(one.to_model.log_ratio, abs=1e-9)
    assert two.from_plus.log_ratio.mean() == pytest.approx(one.from_plus.divergence.mean(), rel=0.3)


def test_the_likelihood_scorer_reads_each_side_in_its_own_tokens() -> None:
    said = [Answer("", "ab。"), Answer("", "cd。"), Answer("", "")]
    scorer = open_scorer(Behavior(scorer="likelihood"), MINUS, in_letters(0.3))
    assert checked_scores(scorer, said).tolist() == [-1.0, 1.0, 0.0]


def test_each_side_draws_its_prompts_in_its_own_tokens() -> None:
    config, letters = replace(MeasureConfig(prompts=8, sentences=4), marks="。", opening=""), in_letters(0.3)
    reader, splitter = Replies.of_texts(MINUS, "", ("cd。",), ("ab。",)), SentenceEnds(MINUS, "。")
    study = Study(config, letters, MINUS, letters, splitter, (3,), reader, 0)
    drawn = study.sample(letters, 1).prompts
    assert all(prompt.ids[0] == 5 and len(prompt.ends) == 4 for prompt in drawn)
    assert isinstance(study.config, StudySettings)


def test_a_tokenizer_that_cannot_tell_characters_is_refused() -> None:
    other = in_letters(0.3)
    other.tokenizer = type("Slow", (), {"is_fast": False})()
    with pytest.raises(InputError, match="which characters a token covers"):
        retokenize(prompts(MINUS, 2), MINUS, other)
