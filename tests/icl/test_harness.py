"""The adapter for lm-evaluation-harness: its tasks as ours, our scorer under its requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqtant.errors import InputError, MissingExtraError
from seqtant.icl.prompts import lm_eval as harness
from seqtant.lm.interface import encode
from seqtant.lm.scoring import sequence_log_probs
from tests.icl.samples import byte_tokenizer, random_llama, word_tokenizer


class LoadedTask:
    """A multiple-choice task with the attributes that version 0.4.13 gives its own."""

    OUTPUT_TYPE = "multiple_choice"
    config = SimpleNamespace(target_delimiter=" ", fewshot_delimiter="\n\n", description="Sort. ")

    def __init__(self, choices: list[list[str]]) -> None:
        self.eval_docs = [
            {"text": "fine", "choices": choices[0], "gold": 0},
            {"text": "bad", "choices": choices[-1], "gold": 1},
        ]

    def doc_to_text(self, doc: dict[str, Any]) -> str:
        return doc["text"] + " =>"

    def doc_to_choice(self, doc: dict[str, Any]) -> list[str]:
        return doc["choices"]

    def doc_to_target(self, doc: dict[str, Any]) -> int:
        return doc["gold"]


def test_tasks_keep_their_wording() -> None:
    task = harness.convert_task("toy", LoadedTask([["good", "poor"]]))
    assert task.labels == ("good", "poor")
    assert task.prompt(task.examples) == "Sort. fine => good\n\nbad => poor\n\n"


def test_tasks_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="other choices in every document"):
        harness.convert_task("toy", LoadedTask([["good", "poor"], ["up", "down"]]))
    with pytest.raises(InputError, match="no multiple choice"):
        harness.convert_task("toy", SimpleNamespace(OUTPUT_TYPE="generate_until"))


def test_missing_harness_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("lm_eval", "lm_eval.tasks"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seqtant\[harness\]'"):
        harness.harness_task("sst2")


def test_continuations_in_any_order_equal_whole_texts() -> None:
    model = random_llama(byte_tokenizer(["a good day: yes", "a bad day: no"] * 5))
    pairs = [("a good day:", " yes"), ("a bad day:", " no"), ("a good day:", " no"), ("a bad day: ", "yes")]
    found = harness.score_continuations(model, pairs)
    for (context, end), (score, greedy) in zip(pairs, found, strict=True):
        bare = context.rstrip(" ")
        whole, before = encode(model, [bare + " " + end.strip(), bare])
        expected = float(sequence_log_probs(model, [whole])[0] - sequence_log_probs(model, [before])[0])
        assert score == pytest.approx(expected, abs=1e-5)
        logits = model.forward(torch.tensor([whole])).logits[0, len(before) - 1 : -1]
        assert greedy == (logits.argmax(dim=1).tolist() == whole[len(before) :])


def test_greedy_is_seen_without_a_majority() -> None:
    model = random_llama(word_tokenizer(), seed=3)
    (context,) = encode(model, ["big red cat :"])
    best = int(model.forward(torch.tensor([context])).logits[0, -1].argmax())
    word = model.tokenizer.convert_ids_to_tokens(best)
    assert harness.score_continuations(model, [("big red cat :", f" {word}")])[0][1]


def test_the_harness_runs_our_scorer(tmp_path: Any) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install 'seqtant[harness]'")
    from lm_eval.api.instance import Instance

    model = random_llama(word_tokenizer())
    adapter = harness.harness_model(model)
    request = Instance("loglikelihood", {}, ("big red cat :", " yes"), 0, metadata=("t", 0, 1))
    assert adapter.loglikelihood([request]) == harness.score_continuations(model, [("big red cat :", " yes")])
    with pytest.raises(InputError, match="does not write"):
        adapter.generate_until([])
