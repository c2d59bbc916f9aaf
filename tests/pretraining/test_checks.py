"""What the checkup is told: the world's own stories, the user's text, or what to give."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from seqtant.errors import InputError, NothingToSayError
from seqtant.pretraining.checks import check
from seqtant.runs.recorder import Context
from seqtant.sources import locate
from tests.pretraining.samples import topical_documents, write_jsonl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model with fresh weights and the tokenizer that ships."""
    shape = LlamaConfig(
        vocab_size=512, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(shape).save_pretrained(tmp_path / "model")
    reference = locate("reference")
    assert reference is not None
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / name).write_bytes((reference / name).read_bytes())
    return tmp_path / "model"


def test_another_model_without_text_is_told_what_to_give(folder: Path) -> None:
    with pytest.raises(NothingToSayError, match="--corpus"):
        check(str(folder), Context(), corpus=None)


@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
def test_another_model_is_measured_on_the_text(folder: Path, tmp_path: Path, suffix: str) -> None:
    documents = topical_documents(60)
    corpus = tmp_path / f"corpus{suffix}"
    if suffix == ".jsonl":
        write_jsonl(corpus, documents)
    else:
        corpus.write_text("\n\n".join(documents), encoding="utf-8")
    result = check(str(folder), Context(device="cpu"), corpus=corpus, rows="not ours")
    assert result.values["pairs"] == 64
    assert result.config["corpus"] == [str(corpus)]
    assert len(result.series("gain_in_context")) == 64


def test_text_that_is_not_there_is_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no corpus"):
        check(str(folder), Context(), corpus=(str(tmp_path / "none.txt"),))
