"""What is in memory in place of paths: the same numbers, told as what it is, given back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from seqtant import pretraining
from seqtant.data.documents import TextList
from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.pretraining.build.build import Build
from seqtant.pretraining.sections import as_sources
from seqtant.reference.oracle import WorldLM
from seqtant.reference.world.world import reference_world
from seqtant.settings import plain
from seqtant.sources import locate
from tests.pretraining.samples import topical_documents, write_jsonl

DOCUMENTS = topical_documents(60)
SMALL: dict[str, Any] = {
    "segment": {"tokenizer": "bytes", "longest": 200},
    "embed": {"dimension": 8, "buckets": 256},
    "filter": {"k": 4, "most_similar": 0.999},
    "examples": {"arms": ["knn", "split"], "window": 256},
}


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if "seconds" not in name}


def shipped_tokenizer() -> PreTrainedTokenizerFast:
    folder = locate("reference")
    assert folder is not None
    return PreTrainedTokenizerFast.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def model() -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """A fresh network in training, one of its weights frozen."""
    network = GPT2LMHeadModel(GPT2Config(vocab_size=512, n_embd=16, n_layer=1, n_head=2, n_positions=256)).train()
    network.transformer.wpe.weight.requires_grad_(False)
    return network, shipped_tokenizer()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", DOCUMENTS)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Build:
    settings = SMALL | {"segment": {"tokenizer": "bytes", "longest": 200, "hold_out": 5}}
    return Build.from_corpus([DOCUMENTS], tmp_path_factory.mktemp("build"), **settings)


def test_a_corpus_in_memory_gives_the_numbers_of_its_file(corpus: Path) -> None:
    by_path = pretraining.build_examples(corpus, **SMALL)
    rows = [{"text": text} for text in DOCUMENTS]
    forms = rows, [DOCUMENTS], TextList(DOCUMENTS), Dataset.from_list(rows), iter(rows), [iter(DOCUMENTS)]
    for given in forms:
        result = pretraining.build_examples(given, **SMALL)
        assert without_times(result.values) == without_times(by_path.values)
        assert "in memory" in result.config["corpus"][0]
    assert by_path.command.startswith("seqtant pretraining build ")


def test_a_blocklist_in_memory_blocks_what_its_file_blocks(corpus: Path) -> None:
    tests = [" ".join(text.split()[:9]) for text in DOCUMENTS[:5]]
    segment = {**SMALL["segment"], "blocked_words": 5, "blocklist": [{"text": text} for text in tests]}
    values = pretraining.build_examples(corpus, **SMALL | {"segment": segment}).values
    blocked = Build.from_corpus([DOCUMENTS], **SMALL | {"segment": segment}).segments.blocked
    assert blocked.sum() >= 5
    assert values["segments"] == len(blocked)


def test_records_say_what_a_corpus_is_and_do_not_hold_it() -> None:
    one, other = (plain(pretraining.BuildConfig(corpus=[texts]))["corpus"] for texts in (["a b"], ["a c"]))
    assert one != other
    assert one[0].startswith("<1 rows in memory, sha256 ")
    assert pretraining.BuildConfig(corpus="a.txt").corpus == pretraining.BuildConfig(corpus=[Path("a.txt")]).corpus
    assert as_sources(as_sources([{"text": "a"}])) == [[{"text": "a"}]]


def test_a_tokenizer_in_memory_makes_the_tokens_of_its_folder(corpus: Path) -> None:
    settings = SMALL | {"segment": {"longest": 200, "tokenizer": locate("reference")}}
    by_path = Build.from_corpus(corpus, **settings)
    for tokenizer in (shipped_tokenizer(), shipped_tokenizer().backend_tokenizer):
        by_object = Build.from_corpus(corpus, **settings | {"segment": {"longest": 200, "tokenizer": tokenizer}})
        assert [row.tolist() for row in by_object.tokens("knn")] == [row.tolist() for row in by_path.tokens("knn")]
        assert by_object.tokenizer.encode(["ship"])[0].tolist() == by_path.tokenizer.encode(["ship"])[0].tolist()


def test_a_temporary_build_is_deleted_with_its_object() -> None:
    built = Build.from_corpus([DOCUMENTS], **SMALL)
    folder = built.folder
    assert folder.is_dir()
    del built
    assert not folder.exists()


def test_a_build_in_memory_is_audited_like_its_folder(small: Build) -> None:
    assert pretraining.audit(small).values == pretraining.audit(small.folder).values
    assert pretraining.audit(Build(str(small.folder))).config["folder"] == "<Build in memory>"  # type: ignore[arg-type]


def test_attention_is_proved_on_a_network_in_memory(small: Build, model: Any) -> None:
    result = pretraining.audit(small, model=model[0])
    assert float(result.values["anchor_logit_change"] or 0) > 0
    assert model[0].training


def test_bias_of_a_network_in_memory_is_that_of_its_folder(model: Any, corpus: Path, tmp_path: Path) -> None:
    network, tokenizer = model
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    few: dict[str, Any] = {"pairs": 4, "relative_steps": [1e-3], "device": "cpu"}
    by_path = pretraining.bias(tmp_path, corpus, **few)
    by_object = pretraining.bias(model, [{"text": text} for text in DOCUMENTS], **few)
    assert by_object.values == by_path.values
    # The user's network comes back as it was, to the bit.
    assert network.training
    assert all(module.training for module in network.modules())
    assert [n for n, weight in network.named_parameters() if not weight.requires_grad] == ["transformer.wpe.weight"]
    assert all((weight == before[name]).all() for name, weight in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    # A wrapper, which itself puts the network into evaluation mode, is one more form.
    assert pretraining.bias(HuggingFaceLM(network, tokenizer), corpus, **few).values == by_path.values


def test_gains_leave_what_learns_as_it_was(model: Any) -> None:
    network, tokenizer = model
    wrapped = HuggingFaceLM(network, tokenizer)
    asked = [True, False]
    weights = list(network.parameters())[:2]
    for weight, learns in zip(weights, asked, strict=True):
        weight.requires_grad_(learns)
    pair = pretraining.TextPair(related=(3, 4), control=(5, 6), target=(7, 8), start=(1,))
    gains = pretraining.measure_gains(wrapped, [pair], [1e-3])
    assert gains.related_sequential.shape == (1, 1)
    assert [weight.requires_grad for weight in weights] == asked


def test_the_oracle_has_no_weights_to_step() -> None:
    with pytest.raises(InputError, match="has no weights to take a gradient step with"):
        pretraining.bias(WorldLM(reference_world()), pairs=4)  # type: ignore[arg-type]


def test_arms_are_compared_on_a_build_in_memory(small: Build) -> None:
    tiny: dict[str, Any] = {"depth": 1, "width": 8, "heads": 1, "steps": 2, "rows": 2, "seeds": 2, "anchors": 8}
    arms = ("knn", "split")
    by_object, by_path = (pretraining.compare_arms(each, arms=arms, **tiny) for each in (small, small.folder))
    assert by_object.values == by_path.values


def test_a_masked_network_in_memory_is_adapted_like_its_folder(small: Build, tmp_path: Path) -> None:
    shape = BertConfig(
        vocab_size=257, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    network = BertForMaskedLM(shape).train()
    network.save_pretrained(tmp_path / "model")
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    pairs = [(DOCUMENTS[n], DOCUMENTS[n + 3 + n % 2], 1.0 - n % 2) for n in range(10)]
    lines = [json.dumps(dict(zip(("first", "second", "score"), pair, strict=True))) for pair in pairs]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    few: dict[str, Any] = {"arms": ("knn", "split"), "steps": 2, "rows": 2}
    by_path = pretraining.tapt(tmp_path / "model", small.folder, tmp_path / "pairs.jsonl", **few)
    by_object = pretraining.tapt(network, small, pairs, **few)
    assert by_object.values == by_path.values
    assert network.training
    assert all((weight == before[name]).all() for name, weight in network.state_dict().items())


def test_lengths_in_every_form_are_packed_alike(tmp_path: Path) -> None:
    lengths = [14, 7, 5, 2, 3]
    (tmp_path / "lengths.json").write_text(json.dumps(lengths))
    rows = [[7] * length for length in lengths]
    wanted = pretraining.compare_packing(window=6).values
    for given in (tmp_path / "lengths.json", lengths, np.array(lengths), rows, [np.array(row) for row in rows]):
        values = pretraining.compare_packing(given, window=6).values
        assert {n: v for n, v in values.items() if n != "cpu_seconds"} == {
            n: v for n, v in wanted.items() if n != "cpu_seconds"
        }


@pytest.mark.parametrize(
    ("verb", "settings", "message"),
    [
        (pretraining.bias, {"model": 3}, "3 is no model"),
        (pretraining.bias, {"model": None}, "None is no model"),
        (pretraining.bias, {"corpus": 3}, "3 is no corpus"),
        (pretraining.bias, {"corpus": {"text": "a"}}, "is no corpus: give files, or documents"),
        (pretraining.bias, {"corpus": [3]}, "3 is no corpus"),
        (pretraining.bias, {"corpus": ["A text.", {"text": "a"}]}, "the corpus mixes files and documents"),
        (pretraining.bias, {"corpus": "A text of its own."}, "or texts in memory as [{'text': ...}, ...]"),
        (pretraining.bias, {"corpus": [{"txt": "a"}]}, "row 1 has no 'text'"),
        (pretraining.bias, {"corpus": [{"text": "a"}]}, "no sentence of six words"),
        (pretraining.bias, {"pairs": "many"}, "pairs is 'many': give a whole number"),
        (pretraining.bias, {"pairs": True}, "pairs: give a number, not true"),
        (pretraining.bias, {"relative_steps": []}, "relative_steps: empty: give at least one"),
        (pretraining.bias, {"relative_steps": [2.0]}, "relative_steps.0 is 2.0: give a number of at most 1"),
        (pretraining.bias, {"steps": 3}, "unknown key 'steps'"),
        (pretraining.build_examples, {"corpus": None}, "None is no corpus"),
        (pretraining.build_examples, {"corpus": []}, "no corpus: name text files"),
        (pretraining.build_examples, {"segment": {"tokenizer": 3}}, "3 is no fast tokenizer"),
        (pretraining.build_examples, {"segment": {"longest": 3}}, "longest is 3: give a whole number of at least"),
        (pretraining.build_examples, {"segment": {"hold_out": 1}}, "hold_out is 1: keep one in at least 2 documents"),
        (pretraining.build_examples, {"segment": {"blocklist": 3}}, "3 is no corpus"),
        (pretraining.build_examples, {"examples": {"arms": ["knn", "knn"]}}, "give at least one, each once"),
        (pretraining.build_examples, {"filter": {"kk": 3}}, "unknown key 'filter.kk'"),
        (pretraining.audit, {"folder": 3}, "3 is no build"),
        (pretraining.audit, {"folder": "nowhere"}, "holds no manifest.json"),
        (pretraining.audit, {"model": 3}, "3 is no model"),
        (pretraining.tapt, {"model": 3}, "3 is no model"),
        (pretraining.tapt, {"pairs": 3}, "3 is neither a file nor a list of rows"),
        (pretraining.tapt, {"pairs": [("a", "b")]}, "row 1 has no 'score'"),
        (pretraining.tapt, {"pairs": [("a", "b", 1)]}, "holds 1 pairs: give at least 8"),
        (pretraining.compare_arms, {"arms": ["knn"]}, "give at least two, each once"),
        (pretraining.compare_arms, {"heads": 3}, "heads is 3: it must divide the width 128"),
        (pretraining.compare_packing, {"lengths": 3}, "3 are no lengths"),
        (pretraining.compare_packing, {"lengths": [3, "many"]}, "lengths, entry 1, is 'many'"),
        (pretraining.compare_packing, {"lengths": []}, "lengths holds no list of lengths"),
        (pretraining.compare_packing, {"lengths": [[0.5]]}, "row 1 is [0.5]: give a list of token ids"),
        (pretraining.deficit, {"depth": 601}, "depth is 601: give a number of at most 600"),
        (pretraining.deficit, {"span": "big"}, "span is 'big': give a number"),
        (pretraining.compose, {"values": None}, "values is None: give a whole number"),
        (pretraining.epsilon_rank, {"depths": ()}, "depths: empty: give at least one"),
    ],
)  # fmt: skip
def test_wrong_types_from_python_are_one_line(verb: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        verb(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
