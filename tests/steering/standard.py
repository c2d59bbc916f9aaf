"""A model with a persona token and a table of facts, trained in two minutes: both sides of the trade-off are known.

Documents are four words. Behaviour: persona, two words, a reply that is good with probability 0.97, 0.03 or 0.35 by
persona. Helpfulness: persona, subject, relation, an answer that is right with probability 0.775 for every persona.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.tokenizer import build_tokenizer
from seqtant.reference.vocabulary import BOS_ID, Vocabulary
from seqtant.runs.context import Context
from seqtant.steering.extraction import extract
from seqtant.steering.items import BehaviourPrompt, Question
from seqtant.steering.measuring import Bench
from seqtant.steering.pairs import ContrastPair
from seqtant.training import TrainingConfig, train

PERSONAS = {"kind": 0.97, "rude": 0.03, "plain": 0.35}
GREETINGS, ASKS = ([f"{name}{i}" for i in range(10)] for name in ("greet", "ask"))
GOOD, BAD = ([f"{name}{i}" for i in range(5)] for name in ("good", "bad"))
SUBJECTS, RELATIONS = ([f"{name}{i}" for i in range(20)] for name in ("subject", "relation"))
ANSWERS = [f"answer{i}" for i in range(10)]
CEILING = 0.775
VOCABULARY = Vocabulary.of([" ".join([*PERSONAS, *GREETINGS, *ASKS, *GOOD, *BAD, *SUBJECTS, *RELATIONS, *ANSWERS])])


def facts() -> np.ndarray:
    """Number of the right answer by subject and relation."""
    return np.random.default_rng(123).integers(10, size=(20, 20))


class Documents:
    """256 documents a step, half of each kind."""

    fingerprint = "steering standard"
    table = facts()

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        generator = np.random.default_rng([7, step])
        ids = {
            word: VOCABULARY.id(word)
            for word in (*PERSONAS, *GREETINGS, *ASKS, *GOOD, *BAD, *SUBJECTS, *RELATIONS, *ANSWERS)
        }
        rows = []
        for number in range(256):
            persona = str(generator.choice(list(PERSONAS)))
            if number % 2:
                replies = GOOD if generator.random() < PERSONAS[persona] else BAD
                words = [
                    GREETINGS[generator.integers(10)],
                    ASKS[generator.integers(10)],
                    replies[generator.integers(5)],
                ]
            else:
                subject, relation = generator.integers(20, size=2)
                right = int(self.table[subject, relation])
                answer = int(generator.integers(10)) if generator.random() < 0.25 else right
                words = [SUBJECTS[subject], RELATIONS[relation], ANSWERS[answer]]
            rows.append([BOS_ID, ids[persona], *(ids[word] for word in words)])
        return {"input_ids": torch.tensor(rows)}


def train_standard(*, steps: int = 1500, folder: Path | None = None) -> HuggingFaceLM:
    """Trains the model; about two minutes on one core."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY.size,
        hidden_size=64,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=176,
        max_position_embeddings=16,
        bos_token_id=BOS_ID,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LlamaForCausalLM(config)
    settings = TrainingConfig(steps=steps, learning_rate=3e-3, warmup=50, weight_decay=0.1)
    train(network, Documents(), settings, context=Context(device="cpu", folder=folder))
    return HuggingFaceLM(network, build_tokenizer(VOCABULARY, context_length=16), name="standard")


def standard_bench(model: HuggingFaceLM) -> Bench:
    """Steers blocks 2 and 3 from rude to kind, on prompts of the plain persona."""
    openings = [f"{greet} {ask}" for greet in GREETINGS for ask in ASKS]
    pairs = [ContrastPair(f"kind {opening}", f"rude {opening}") for opening in openings[::2]]
    vector = extract(model, pairs, [2, 3], folds=2)
    good, bad = (tuple(f" {word}" for word in words) for words in (GOOD, BAD))
    behaviour = [BehaviourPrompt(f"plain {opening}", good, bad) for opening in openings[1::2]]
    table = facts()
    questions = [
        Question(f"plain {subject} {relation}", tuple(f" {word}" for word in ANSWERS), int(table[i, j]))
        for i, subject in enumerate(SUBJECTS)
        for j, relation in enumerate(RELATIONS)
    ]
    return Bench(model, vector, behaviour, questions)
