"""Prompts in tokens, and label probabilities from one reading against readings of every prompt on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.icl.prompts.encoding import PromptEncoder
from seqtant.icl.prompts.tasks import Example, Task
from seqtant.icl.scoring.scores import (
    _score_by_segments,
    label_log_probs,
    label_log_probs_after,
    score_components,
    score_lines,
)
from seqtant.lm import MarkovLM, MixtureLM
from seqtant.lm.continuations import batch_continuation_log_probs
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import encode, encode_continuations
from seqtant.lm.scoring import sequence_log_probs
from tests.icl.samples import byte_tokenizer, random_llama, word_task, word_tokenizer

SENTENCES = ("a good film", "bad acting, sadly", "it is fine", "not my taste", "wonderful!", "dull  and long")


def alone(model: HuggingFaceLM, task: Task, prompt: list[Example], labels: tuple[str, ...]) -> np.ndarray:
    """Every query on its own: the text before it, each label behind, tokens as the joined text is cut."""
    found = []
    for shots in range(len(prompt)):
        part = task.write(prompt[shots])
        text = task.opening + "".join(task.write(shot).text for shot in prompt[:shots]) + part.head
        gap = part.label[: len(part.label) - len(part.label.lstrip(" "))]
        start, ends = encode_continuations(model, text, [gap + label for label in labels])
        (scores,) = batch_continuation_log_probs(model, [start], [ends])
        found.append([float(line.sum()) for line in scores])
    return np.array(found)


@pytest.fixture(scope="module")
def bytes_model() -> HuggingFaceLM:
    texts = [f"Input: {text}\nLabel: {label}\n\n" for text in SENTENCES for label in ("positive", "negative")]
    return random_llama(byte_tokenizer(texts))


def sentence_task(labels: tuple[str, ...], **changes: str) -> Task:
    examples = tuple(Example(text, labels[number % len(labels)]) for number, text in enumerate(SENTENCES * 2))
    return Task(**{"name": "film", "examples": examples, "labels": labels} | changes)


def test_one_reading_equals_every_prompt_on_its_own_with_one_token_labels() -> None:
    model, task = random_llama(word_tokenizer()), word_task("t")
    prompts = [list(task.examples[i * 7 : i * 7 + 7]) for i in range(3)]
    encoder = PromptEncoder(model, task.labels)
    rows = encoder.encode_prompts([task] * 3, prompts)
    assert len(rows) == 3
    found = label_log_probs(model, rows)
    assert found.shape == (3, 7, 2)
    for line, prompt in zip(found, prompts, strict=True):
        assert np.allclose(line, alone(model, task, prompt, task.labels), atol=1e-5)


@pytest.mark.parametrize("labels", [("positive", "negative"), ("surely good", "surely bad"), ("0", "1")])
def test_one_reading_equals_every_prompt_on_its_own_with_byte_pairs(
    labels: tuple[str, ...], bytes_model: HuggingFaceLM
) -> None:
    task = sentence_task(labels)
    prompts = [list(task.examples[:5]), list(task.examples[3:8])]
    encoder = PromptEncoder(bytes_model, labels)
    rows = encoder.encode_prompts([task] * 2, prompts)
    assert len(rows) == 2
    found = label_log_probs(bytes_model, rows)
    for line, prompt in zip(found, prompts, strict=True):
        assert np.allclose(line, alone(bytes_model, task, prompt, labels), atol=1e-5)


def test_segments_and_whole_reading_agree() -> None:
    model, task = random_llama(word_tokenizer()), word_task("t")
    prompts = [list(task.examples[i * 5 : i * 5 + 5]) for i in range(4)]
    rows = PromptEncoder(model, task.labels).encode_prompts([task] * 4, prompts)
    assert np.allclose(_score_by_segments(model, rows), label_log_probs(model, rows), atol=1e-5)


def test_label_that_begins_another_is_closed() -> None:
    """'no' can never beat 'not' unless what follows counts: both are then scored with their ending."""
    tokenizer = byte_tokenizer(["no . not . "])
    model = random_llama(tokenizer)
    task = sentence_task(("no", "not"), template="{input} : {label} .")
    (answers,) = (PromptEncoder(model, ("no", "not")).label_ids(task.write(task.examples[0]), task),)
    shortest = min(answers, key=len)
    assert all(other[: len(shortest)] != shortest for other in answers if other is not shortest)


def test_empty_label_is_scored_by_what_follows_it() -> None:
    task = word_task("t", labels=("yes", ""))
    model = random_llama(word_tokenizer())
    encoder = PromptEncoder(model, task.labels)
    (row,) = encoder.encode_prompts([task], [list(task.examples[:3])])
    scores = label_log_probs(model, [row])
    assert np.isfinite(scores).all()
    (first,) = encode(model, ["big red cat : ."])
    assert encoder.label_ids(task.write(Example("big red cat", "")), task)[1] == first[-1:]


def test_token_across_the_label_is_refused() -> None:
    """Without a space before the label byte pairs join it to the head: no cut is right."""
    model = random_llama(byte_tokenizer(["x agood;", "x abad;"] * 50, 290))
    task = sentence_task(("good", "bad"), template="{input} a{label}", delimiter=";")
    with pytest.raises(InputError, match="put a space before"):
        PromptEncoder(model, task.labels).encode_prompts([task], [list(task.examples[:3])])


def test_prompts_cut_one_by_one_are_exact(bytes_model: HuggingFaceLM) -> None:
    """The slow way, taken where a token reaches across a label, gives the same numbers."""
    task = sentence_task(("positive", "negative"))
    prompt = list(task.examples[:4])
    encoder = PromptEncoder(bytes_model, task.labels)
    rows = [
        encoder.encode_query(task, task.prompt(prompt[:shots]), task.write(prompt[shots]), (0, shots))
        for shots in range(4)
    ]
    together = label_log_probs(bytes_model, encoder.encode_prompts([task], [prompt]))
    assert np.allclose(label_log_probs(bytes_model, rows), together, atol=1e-5)


def test_components_are_conditional_probabilities_of_their_parts() -> None:
    model, task = random_llama(word_tokenizer()), word_task("t")
    encoder = PromptEncoder(model, task.labels)
    contexts = [[encoder.encode_context(task, task.examples[:6]), encoder.encode_context(task, task.examples[6:12])]]
    examples = list(task.examples[20:26])
    found = score_components(encoder, contexts, task, examples)
    texts = [task.prompt(shots) for shots in (task.examples[:6], task.examples[6:12])]
    for number, example in enumerate(examples):
        joint = []
        for text in texts:
            whole, before = encode(model, [text + task.write(example).text.rstrip(), text.rstrip()])
            joint.append(float(sequence_log_probs(model, [whole])[0] - sequence_log_probs(model, [before])[0]))
        assert found.whole[0, number] == pytest.approx(np.logaddexp(*joint) - np.log(2), abs=1e-5)
        shown = task.labels.index(example.label)
        assert found.labels[0, number, shown] == pytest.approx(found.shown[0, number], abs=1e-5)
    assert (found.rarest <= found.whole / 6 + 1e-9).all()


def test_long_labels_get_lines_of_their_own(bytes_model: HuggingFaceLM) -> None:
    task = sentence_task(("surely good", "surely bad"))
    encoder = PromptEncoder(bytes_model, task.labels)
    contexts = [[encoder.encode_context(task, task.examples[:4])]]
    found = score_components(encoder, contexts, task, list(task.examples[4:8]))
    assert np.allclose(
        [found.labels[0, i, task.labels.index(e.label)] for i, e in enumerate(task.examples[4:8])],
        found.shown[0],
        atol=1e-5,
    )


def test_mixture_never_leaves_the_margin_bound() -> None:
    """|margin in context - margin of the task| <= 2 (1 - posterior), prompt by prompt, for an exact mixture."""
    rng = np.random.default_rng(0)
    parts = [MarkovLM(rng.dirichlet(np.full(4, 0.4), size=4)) for _ in range(3)]
    mixture = MixtureLM(parts, np.log([0.5, 0.3, 0.2]))
    for _ in range(40):
        prompt = [int(token) for token in rng.integers(4, size=8)]
        weight = float(mixture.posterior([prompt])[0][-1].exp()[0])
        context, own = (
            model.forward(torch.tensor([prompt]), keep=1).logits[0, 0].exp() for model in (mixture, parts[0])
        )
        change = (context[:, None] - context) - (own[:, None] - own)
        assert float(change.abs().max()) <= 2 * (1 - weight) + 1e-9


def test_lines_are_whole_continuations() -> None:
    model = random_llama(word_tokenizer())
    context, line = [0, 4, 5], [6, 7, 8]
    expected = sequence_log_probs(model, [context + line]) - sequence_log_probs(model, [context])
    assert score_lines(model, [context], [line])[0, 0] == pytest.approx(float(expected[0]), abs=1e-5)


def test_labels_after_contexts_are_those_of_prompts(bytes_model: HuggingFaceLM) -> None:
    """A context with one more example asked is a prompt: one-token and longer labels alike."""
    for labels in (("positive", "negative"), ("surely good", "surely bad")):
        task = sentence_task(labels)
        encoder = PromptEncoder(bytes_model, labels)
        shots, query = list(task.examples[:3]), task.examples[4]
        found = label_log_probs_after(
            bytes_model, [encoder.encode_context(task, shots)], encoder.encode_examples(task, [query])
        )
        assert np.allclose(found[0, 0], alone(bytes_model, task, [*shots, query], labels)[-1], atol=1e-5)
