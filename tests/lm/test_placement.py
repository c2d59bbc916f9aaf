"""Models that do not fit on one device, or are held in fewer bits: the same numbers, or a word on what differs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seqtant import architecture, lm, steering
from seqtant.errors import InputError
from seqtant.lm import loading
from seqtant.sources import locate

TEXTS = ("talk : how are you ? fine .", "book : tom lives in paris .")


@pytest.fixture(scope="module")
def whole() -> lm.HuggingFaceLM:
    return lm.load("reference", device="cpu")


@pytest.fixture(params=[2_500_000, 1_000_000], ids=["some-on-disk", "all-on-disk"])
def spread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> lm.HuggingFaceLM:
    monkeypatch.setattr(loading, "free_bytes", lambda _device: request.param)
    monkeypatch.setattr(loading, "_best_device", lambda: "cpu")
    with pytest.warns(UserWarning, match="does not fit on cpu: Accelerate spreads it"):
        return lm.load("reference")


def test_a_model_on_disk_scores_and_speaks_as_a_whole_one(whole: lm.HuggingFaceLM, spread: lm.HuggingFaceLM) -> None:
    assert any(weight.is_meta for weight in spread.model.parameters())
    assert spread.device == torch.device("cpu")
    rows = lm.encode(whole, TEXTS)
    for one, other in zip(lm.token_log_probs(whole, rows), lm.token_log_probs(spread, rows), strict=True):
        assert torch.equal(one, other)
    said = [lm.generate(each, rows, max_tokens=4, sampling=lm.Sampling(temperature=0)) for each in (whole, spread)]
    assert [line.tokens for line in said[0]] == [line.tokens for line in said[1]]


def test_vectors_and_counts_of_a_model_on_disk(whole: lm.HuggingFaceLM, spread: lm.HuggingFaceLM) -> None:
    pairs = [("talk : what a good lamp !", "talk : what a bad lamp !"), ("talk : a fine day", "talk : a grim day")]
    one, other = (steering.SteeringVector.extract(each, pairs, layers=[2, 3]) for each in (whole, spread))
    assert one.origin.model_hash == other.origin.model_hash
    assert all(torch.equal(one.directions[layer], other.directions[layer]) for layer in (2, 3))
    rows = lm.encode(whole, TEXTS)
    scores = []
    for each in (whole, spread):
        with one.apply(each, 4.0):
            scores.append(lm.token_log_probs(each, rows))
    assert all(torch.equal(a, b) for a, b in zip(*scores, strict=True))
    counted = [architecture.audit(each.model).values["parameters"] for each in (whole, spread)]
    ranks = [architecture.embedding_rank(each).values["embedding_rank"] for each in (whole, spread)]
    assert counted[0] == counted[1] == whole.model.num_parameters()
    assert ranks[0] == ranks[1]


def test_an_explicit_device_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "free_bytes", lambda _device: 1)
    assert not any(weight.is_meta for weight in lm.load("reference", device="cpu").model.parameters())


@pytest.mark.parametrize(("dtype", "kind", "most"), [("8bit", "Linear8bitLt", 0.1), ("4bit", "Linear4bit", 0.2)])
def test_fewer_bits(whole: lm.HuggingFaceLM, dtype: str, kind: str, most: float) -> None:
    pytest.importorskip("bitsandbytes")
    model = lm.load("reference", device="cpu", dtype=dtype)
    assert type(model.model.model.layers[0].mlp.up_proj).__name__ == kind
    assert (model.abilities.pieces, model.abilities.padding) == (True, True)
    rows = lm.encode(whole, TEXTS)
    moved = [
        float((a - b).abs().max())
        for a, b in zip(lm.token_log_probs(whole, rows), lm.token_log_probs(model, rows), strict=True)
    ]
    assert 1e-4 < max(moved) < most


def test_outlier_columns_are_refused_with_the_reason() -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    folder = locate("reference")
    options: dict[str, Any] = {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "device_map": "cpu"}
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    with pytest.raises(InputError, match="llm_int8_threshold=0, or in 4 bits"):
        lm.load((network, AutoTokenizer.from_pretrained(folder)))
