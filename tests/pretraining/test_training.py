"""What the trained arms are measured by, and masking."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.pretraining.build.build import Build
from seqtant.pretraining.build.dataset import ExampleBatches, ExampleTable
from seqtant.pretraining.evaluation.arms import (
    MaskedBatches,
    SentencePairs,
    evaluate,
    pair_similarities,
    read_pairs,
    sample_evaluation,
    sample_pairs,
)
from seqtant.pretraining.instruments.compare_arms import mean_over_both


def model_of(built: Build) -> Decoder:
    shape = DecoderConfig(vocabulary=257, depth=1, width=16, heads=2, context=built.window, tied=True)
    return Decoder(shape, generator=torch.Generator().manual_seed(0))


def test_anchors_are_the_held_out_segments(built: Build) -> None:
    evaluation = sample_evaluation(built, 20, 0)
    held = {d for d in range(180) if d % 6 == 5}
    assert {anchor.document for anchor in evaluation.anchors} <= held
    separator = built.manifest["separator"]
    for anchor in evaluation.anchors:
        assert separator not in anchor.tokens
        assert anchor.context[-1] == separator
        assert set(anchor.tokens[anchor.known]) <= set(anchor.context.tolist())


def test_known_tokens_are_those_of_the_context_beyond_the_frequent_half(built: Build) -> None:
    counts = Counter(built.segments.tokens.tolist())
    frequent: set[int] = set()
    # Counts and then token ids, as ties are settled: the most frequent tokens that together make up at most half.
    for token, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if 2 * sum(counts[each] for each in (*frequent, token)) > len(built.segments.tokens):
            break
        frequent.add(token)
    anchors = sample_evaluation(built, 20, 0).anchors
    for anchor in anchors:
        context = set(anchor.context.tolist())
        assert anchor.known.tolist() == [token in context and token not in frequent for token in anchor.tokens.tolist()]
    assert 0 < np.concatenate([anchor.known for anchor in anchors]).mean() < 1


def test_losses_are_those_of_a_plain_forward_pass(built: Build) -> None:
    model, evaluation = model_of(built), sample_evaluation(built, 12, 0)
    found = evaluate(model, evaluation).by_measure
    for row, anchor in enumerate(evaluation.anchors):
        for name, before in (("alone", [evaluation.separator]), ("after neighbors", anchor.context)):
            ids = torch.tensor([[*before, *anchor.tokens]], dtype=torch.long)
            with torch.no_grad():
                losses = torch.nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:], reduction="none")
            assert found[name][row] == pytest.approx(float(losses[len(before) - 1 :].mean()), rel=1e-4)
            if name == "alone" and anchor.known.any():
                assert found["cloze"][row] == pytest.approx(float(losses.numpy()[anchor.known].mean()), rel=1e-4)
    for row, tokens in enumerate(evaluation.running):
        ids = torch.from_numpy(tokens.astype(np.int64))[None]
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:])
        assert found["running text"][row] == pytest.approx(float(loss), rel=1e-4)


def test_interval_over_seeds_and_documents_covers_both() -> None:
    """A difference that flips its sign between seeds is not certain, however many documents agree."""
    rows = np.ones((4, 200)) * np.array([[1.0], [-1.0], [1.0], [-1.0]])
    wide = mean_over_both(rows, np.arange(200))
    narrow = mean_over_both(np.abs(rows), np.arange(200))
    assert (wide.low or 0) < 0 < (wide.high or 0)
    assert narrow.low == narrow.high == 1


def test_masking_takes_its_share_and_spares_the_filling(built: Build) -> None:
    source = ExampleBatches(ExampleTable(built, "knn"), rows=64)
    masked = MaskedBatches(source, mask=200, vocabulary=257, share=0.2, seed=0)
    plain, batch = source.batch(3), masked.batch(3)
    chosen = batch["labels"] != -100
    real = plain["labels"] != -100
    assert not (chosen & ~real).any()
    assert float(chosen.sum() / real.sum()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(batch["labels"][chosen], plain["input_ids"][chosen])
    assert torch.equal(batch["input_ids"][~chosen], plain["input_ids"][~chosen])
    replaced, kept = batch["input_ids"][chosen], batch["input_ids"][chosen] == plain["input_ids"][chosen]
    masks, same = (replaced == 200).float().mean(), kept.float().mean()
    assert float(masks) == pytest.approx(0.8, abs=0.02)
    assert float(same) == pytest.approx(0.1, abs=0.02)
    assert float(1 - masks - same) == pytest.approx(0.1, abs=0.02)
    assert torch.equal(batch["attention_mask"].bool(), real)
    assert torch.equal(masked.batch(3)["input_ids"], batch["input_ids"])


def test_similarity_of_equal_and_of_opposite_sentences() -> None:
    table = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    one, other = np.array([0]), np.array([2])
    pairs = SentencePairs([one, one, np.array([1])], [one, other, np.array([3])], np.zeros(3))
    # The mean over all six sentences is subtracted before the cosine.
    center = table[[0, 0, 1, 0, 2, 3]].mean(axis=0)
    first, second = table[[0, 0, 1]] - center, table[[0, 2, 3]] - center
    cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert pair_similarities(table, pairs) == pytest.approx(cosines)


def test_pairs_of_a_build_are_half_of_one_document(built: Build) -> None:
    pairs = sample_pairs(built, 200, 0)
    assert 0.5 <= pairs.score.mean() < 0.6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"first": "a", "second": "b"}\n', "line 1 has no 'score'"),
        ('{"first": "a", "second": "b", "score": "much"}\n', "line 1: 'score' is 'much'"),
        ('{"first": "a", "second": "b", "score": NaN}\n', "line 1: 'score' is nan"),
        ('{"first": "", "second": "b", "score": 1}\n', "line 1: 'first' is ''"),
        ("\ud800", "is not UTF-8"),
        ('{"first": "a", "second": "b", "score": 1}\n', "1 pairs"),
    ],
)
def test_pairs_that_are_none_are_refused(built: Build, tmp_path, text: str, message: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(text, errors="surrogatepass", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_pairs(str(tmp_path / "pairs.jsonl"), built)
