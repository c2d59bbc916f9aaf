"""GINC: parameters against the published documents, exact Bayes against its claims, networks against themselves."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.icl.config import GincNetwork, GincSource
from seqtant.icl.ginc.bayes import (
    ONE_BATCH,
    bayes_model,
    concept_model,
    cross_entropy,
    predict_prompts,
    query_log_probs,
    true_posterior,
)
from seqtant.icl.ginc.dataset import Ginc, GincSettings, open_ginc, sample_documents, sample_prompts
from seqtant.icl.ginc.networks import (
    RecurrentLM,
    RecurrentNetwork,
    build_network,
    load_network,
    make_batches,
    save_network,
    wrap_network,
)

PUBLISHED_TEXT = (
    "ar am ak am v ar x ak ak ak ak am / k ak / ak h aq v am k ak h aq h aq / k v am aq v ak am aq ak am x ak ar v ar "
    "k ak / k ak ar v j"
)
PUBLISHED_STATES = (
    73, 75, 79, 75, 72, 73, 74, 71, 79, 71, 79, 75, 70, 76, 71, 70, 71, 78, 77, 72, 75, 76, 71, 78, 77, 78, 77, 70, 76,
    72, 75, 77, 72, 79, 75, 77, 79, 75, 74, 71, 73, 72, 73, 76, 71, 70, 76, 71, 73, 72, 25,
)  # fmt: skip
PUBLISHED_CONCEPT = 2
"""The first symbols, hidden states and the concept of the first document of the published val.json."""


@pytest.fixture(scope="module")
def ginc() -> Ginc:
    return Ginc.generate(GincSettings())


def test_parameters_are_the_published_ones(ginc: Ginc) -> None:
    assert [ginc.names[ginc.emissions[state]] for state in PUBLISHED_STATES] == PUBLISHED_TEXT.split()
    assert len(np.unique(ginc.memory)) == 42
    possible = [
        all(ginc.transitions(concept)[a, b] > 0 for a, b in itertools.pairwise(PUBLISHED_STATES))
        for concept in range(ginc.settings.concepts)
    ]
    assert possible == [concept == PUBLISHED_CONCEPT for concept in range(ginc.settings.concepts)]


def test_published_shares_of_impossible_moves(ginc: Ginc) -> None:
    """Ten random permutations leave 0.9^10 = 35 % of a matrix empty; the published ones 32 to 38 %."""
    shares = (ginc.property_moves[:5] == 0).mean(axis=(1, 2))
    assert ((shares >= 0.32) & (shares <= 0.38)).all()


def test_saved_parameters_come_back(ginc: Ginc, tmp_path: Path) -> None:
    ginc.save(tmp_path)
    again = Ginc.load(tmp_path)
    assert again.settings == ginc.settings
    assert np.array_equal(again.property_moves, ginc.property_moves)
    with pytest.raises(InputError, match="give --vocabulary 50"):
        open_ginc(GincSource(vocabulary=100, parameters=str(tmp_path)))
    (tmp_path / "ginc.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="broken GINC parameters"):
        Ginc.load(tmp_path)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="vocabulary is 1"):
        GincSettings(vocabulary=1)
    with pytest.raises(InputError, match="no GINC parameters"):
        Ginc.load(Path("nowhere"))


def test_documents_move_as_the_matrices_say(ginc: Ginc) -> None:
    sampled = sample_documents(ginc, 40, 400, np.random.default_rng(0))
    for concept in range(ginc.inside):
        states = sampled.states[sampled.concepts == concept]
        expected = ginc.transitions(concept)
        counts = np.zeros_like(expected)
        np.add.at(counts, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
        assert counts[expected == 0].sum() == 0
        seen = counts.sum(axis=1)
        frequent = int(seen.argmax())
        observed = counts[frequent] / seen[frequent]
        assert np.abs(observed - expected[frequent]).max() < 5 / math.sqrt(seen[frequent])


def test_filter_against_the_sum_over_all_paths() -> None:
    """The oracle's joint probability of a short text equals the sum over hidden paths."""
    small = Ginc.generate(GincSettings(vocabulary=6, entities=2, properties=3, concepts=4))
    tokens = sample_documents(small, 3, 4, np.random.default_rng(1)).tokens
    model = concept_model(small, 0, smoothing=0.1)
    moves = 0.9 * small.transitions(0) + 0.1 / 6
    for row in tokens:
        forward = small.starts[0] * (small.emissions == row[0])
        for symbol in row[1:]:
            forward = forward @ moves * (small.emissions == symbol)
        assert -4 * cross_entropy(model, row[None])[0] == pytest.approx(math.log(forward.sum()), abs=1e-9)


def test_label_is_the_likeliest_symbol_given_the_input_alone(ginc: Ginc) -> None:
    prompts = sample_prompts(ginc, 6, 2, 4, np.random.default_rng(2))
    for prompt, labels, concept in zip(prompts.shots, prompts.labels, prompts.concepts, strict=True):
        moves = ginc.transitions(int(concept))
        for example, label in zip(prompt, labels, strict=True):
            starts = [np.arange(100) % 10 == start for start in range(1, 10)]
            likely = set()
            for start in starts:
                belief = start / 10 * (ginc.emissions == example[0])
                for symbol in example[1:-1]:
                    belief = belief @ moves * (ginc.emissions == symbol)
                if belief.sum() > 0:
                    after = belief @ moves
                    likely.add(int(np.bincount(ginc.emissions, weights=after, minlength=50).argmax()))
            assert int(label) in likely


def test_random_and_permuted_labels_change_labels_only(ginc: Ginc) -> None:
    gold = sample_prompts(ginc, 5, 6, 3, np.random.default_rng(3))
    for labels in ("random", "permuted"):
        corrupted = sample_prompts(ginc, 5, 6, 3, np.random.default_rng(3), labels=labels)
        assert np.array_equal(corrupted.shots[..., :-1], gold.shots[..., :-1])
        assert np.array_equal(corrupted.labels, gold.labels)
        assert not np.array_equal(corrupted.shots[..., -1], gold.shots[..., -1])
    permuted = sample_prompts(ginc, 5, 6, 3, np.random.default_rng(3), labels="permuted").shots[:, :-1, -1]
    assert np.array_equal(np.sort(permuted, axis=1), np.sort(gold.shots[:, :-1, -1], axis=1))


def test_slices_and_one_reading_agree(ginc: Ginc) -> None:
    prompts = sample_prompts(ginc, 4, 3, 3, np.random.default_rng(4))
    mixture = bayes_model(ginc, smoothing=0.01)
    log_probs, log_posterior = predict_prompts(mixture, prompts)
    assert np.allclose(np.exp(log_probs), np.exp(query_log_probs(mixture, prompts, 50)), atol=1e-12)
    whole = np.concatenate([np.full((4, 1), 50), prompts.tokens()], axis=1)
    exact = mixture.posterior(whole.tolist())
    for row, line in enumerate(exact):
        assert np.allclose(log_posterior[row, 2], line[8], atol=1e-9)


@pytest.mark.slow
def test_exact_bayes_shows_the_claim_and_its_limit(ginc: Ginc) -> None:
    """k=3: about 50 % without shots, 80 % from 8 on, broken by random labels; k=5: 95 % whatever the labels."""
    mixture = bayes_model(ginc, smoothing=0.01)
    rng = np.random.default_rng(5)
    accuracy, posterior = {}, {}
    for length, labels in ((3, "gold"), (3, "random"), (5, "gold"), (5, "random")):
        prompts = sample_prompts(ginc, 400, 16, length, rng, labels=labels)
        log_probs, log_posterior = predict_prompts(mixture, prompts)
        accuracy[length, labels] = (log_probs.argmax(axis=2) == prompts.labels).mean(axis=0)
        posterior[length, labels] = true_posterior(log_posterior, prompts).mean(axis=0)
    assert 0.45 <= accuracy[3, "gold"][0] <= 0.65
    assert accuracy[3, "gold"][8:].mean() >= 0.8
    assert accuracy[3, "random"][16] <= 0.55
    assert accuracy[5, "gold"].mean() >= 0.95
    assert accuracy[5, "random"].mean() >= 0.95
    assert posterior[3, "random"][16] < 0.6 < 0.95 < posterior[5, "random"][16]


def test_loss_of_documents_is_near_the_published_one(ginc: Ginc) -> None:
    """1.3224 nats per symbol on the published validation documents; ours are fresh, short and few."""
    documents = sample_documents(ginc, 60, 256, np.random.default_rng(6))
    losses = cross_entropy(bayes_model(ginc, smoothing=0.0), documents.tokens, tokens_per_batch=ONE_BATCH)
    error = losses.std(ddof=1) / math.sqrt(len(losses))
    assert abs(losses.mean() - 1.3224) < 4 * error + 0.02


def test_batches_depend_on_seed_and_step_alone(ginc: Ginc) -> None:
    one, other = (make_batches(ginc, rows=8, length=64, seed=0) for _ in range(2))
    assert torch.equal(one.batch(3)["input_ids"], other.batch(3)["input_ids"])
    assert not torch.equal(one.batch(3)["input_ids"], one.batch(4)["input_ids"])
    assert (one.batch(0)["input_ids"][:, 0] == 50).all()


@pytest.mark.parametrize("name", ["gpt2", "llama", "lstm"])
def test_networks_come_back_from_their_folders(name: str, ginc: Ginc, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    network = build_network(GincNetwork(name=name, layers=1, width=16, heads=2), 50, 32, bos=True, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    save_network(network, tmp_path, ginc.names, bos=True, context=32)
    loaded = load_network(str(tmp_path), device="cpu")
    prompts = sample_prompts(ginc, 3, 2, 3, np.random.default_rng(7))
    ours = query_log_probs(wrap_network(network, bos_id=50, name="ours"), prompts, 50)
    assert loaded.bos_id == 50
    assert np.allclose(ours, query_log_probs(loaded, prompts, 50), atol=1e-6)


def test_lstm_answers_the_same_with_cache_padding_and_at_once() -> None:
    torch.manual_seed(0)
    model = RecurrentLM(RecurrentNetwork(7, 2, 8), bos_id=None)
    ids = torch.randint(7, (3, 6))
    whole = model.forward(ids).logits
    first = model.forward(ids[:, :4], use_cache=True)
    rest = model.forward(ids[:, 4:], cache=first.cache).logits
    assert torch.allclose(torch.cat([first.logits, rest], dim=1), whole, atol=1e-6)
    padded = torch.cat([torch.zeros(3, 2, dtype=torch.long), ids], dim=1)
    mask = torch.cat([torch.zeros(3, 2, dtype=torch.long), torch.ones_like(ids)], dim=1)
    assert torch.allclose(model.forward(padded, mask, keep=1).logits, whole[:, -1:], atol=1e-6)


def test_broken_lstm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lstm.json").write_text("{}")
    with pytest.raises(InputError, match="broken LSTM"):
        load_network(str(tmp_path), device="cpu")
