"""Scores answers with a sequence classifier in a Hugging Face folder: probability of good minus probability of bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from seqtant.beb.behavior.scorers import Answer, Scorer, ScorerNeeds
from seqtant.errors import InputError
from seqtant.lm.folder import check_folder, locate
from seqtant.lm.pretrained import from_pretrained

GOOD_LABELS = ("good", "positive", "safe", "aligned", "label_1")
BAD_LABELS = ("bad", "negative", "unsafe", "misaligned", "label_0")
_ROWS = 32


def classifier(needs: ScorerNeeds) -> Scorer:
    """The scorer of a classifier folder, ``classifier:DIR``.

    Its labels are told by name: good, positive, safe or LABEL_1 against bad, negative, unsafe or LABEL_0.

    Raises:
        InputError: The folder cannot be read, or its labels are not known.
    """
    folder = locate(needs.argument) if needs.argument else None
    if folder is None:
        raise InputError(f"no folder '{needs.argument}': write classifier:DIR with a local classifier")
    check_folder(folder, tokenizer=True)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = from_pretrained(AutoTokenizer, folder, "the tokenizer of", local_files_only=True)
    network = from_pretrained(
        AutoModelForSequenceClassification, folder, "the classifier", local_files_only=True, use_safetensors=True
    ).eval()
    good, bad = _labels(network.config.id2label, str(folder))

    @torch.no_grad()
    def score(answers: Sequence[Answer]) -> list[float]:
        found: list[float] = []
        for begin in range(0, len(answers), _ROWS):
            texts = [answer.text for answer in answers[begin : begin + _ROWS]]
            inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            chances = network(**inputs).logits.float().softmax(dim=-1)
            found += (chances[:, good].sum(dim=1) - chances[:, bad].sum(dim=1)).clamp(-1, 1).tolist()
        return found

    return score


def _labels(names: Any, folder: str) -> tuple[list[int], list[int]]:
    good, bad = (
        [int(number) for number, name in names.items() if str(name).lower() in known]
        for known in (GOOD_LABELS, BAD_LABELS)
    )
    if not good or not bad:
        raise InputError(
            f"the classifier '{folder}' has labels {', '.join(map(str, names.values()))}: rename them to good and bad "
            "in its config.json"
        )
    return good, bad
