"""P- and P+ fitted to statements: what is held out, what is refused, and a study that begins with the fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from seqtant import beb
from seqtant.beb.checks import check
from seqtant.beb.components.finetune import PaddedDocuments, default_learning_rate, fit_component
from seqtant.beb.components.fit import FittedComponents, split_statements, world_statements
from seqtant.beb.config import Behavior, Fitting
from seqtant.errors import InputError, NothingToSayError
from seqtant.lm import MarkovLM
from seqtant.runs.recorder import Context
from seqtant.sources import REFERENCE, locate
from seqtant.training.losses import IGNORED


def statements_file(folder: Path, count: int) -> str:
    """Remarks of the gloomy (bad) and the cheerful persona."""
    made = world_statements(count, np.random.default_rng(0))
    lines = [
        json.dumps({"statement": said, "answer_matching_behavior": answer})
        for answer, side in ((" Yes", made.matching), (" No", made.other))
        for said in side
    ]
    path = folder / "gloomy.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_what_is_held_out_is_never_learned() -> None:
    said = [f"statement {number}" for number in range(50)]
    learned, held = split_statements(said, 0.2)
    assert len(held) == 9
    assert not {one for group in learned for one in group} & set(held)
    assert len(learned) + len(held) // 3 == 50 // 3


def test_padding_is_no_target_and_documents_come_round() -> None:
    rows = PaddedDocuments([[5, 6], [7]], rows=3, pad_id=9)
    batch = rows.batch(0)
    assert batch["input_ids"].tolist() == [[5, 6], [7, 9], [5, 6]]
    assert batch["labels"].tolist() == [[5, 6], [7, IGNORED], [5, 6]]
    assert rows.batch(1)["input_ids"][:, 0].tolist() == [7, 5, 7]


def test_statements_are_counted_under_their_own_side() -> None:
    gaps = {"minus": np.array([-2.0, -1.0, 0.5]), "plus": np.array([1.0, -0.1])}
    fitted = FittedComponents(Path(), "x", {}, gaps, gate=0.95)
    assert (fitted.correct("minus"), fitted.correct("plus")) == (2, 1)
    assert fitted.accuracy.value == pytest.approx(3 / 5)
    assert not fitted.passed


def test_smaller_models_learn_faster() -> None:
    assert default_learning_rate(13_000_000_000) == pytest.approx(2e-5)
    assert default_learning_rate(130_000_000) == pytest.approx(2e-4)
    assert default_learning_rate(100) == 0.01
    with pytest.raises(InputError, match="learning_rate is 0"):
        Fitting(learning_rate=0.0)


def test_a_study_can_begin_with_statements(tmp_path: Path) -> None:
    result = beb.measure(
        str(locate(REFERENCE)),
        components=Fitting(statements_file(tmp_path, 12), epochs=0.5),
        behavior=Behavior(scorer="likelihood", answers=2, answer_tokens=8),
        marks=".!",
        prompts=8,
        sentences=4,
        resamples=50,
        device="cpu",
        out=tmp_path / "run",
    )
    assert 0 <= (result.values["told_apart"] or 0) <= 1
    assert any(finding.key == "gate" for finding in result.findings)
    assert (tmp_path / "run" / "components" / "minus" / "adapter_model.safetensors").is_file()


def test_a_fit_excludes_given_parts_and_needs_weights(tmp_path: Path) -> None:
    fitting = Fitting(statements_file(tmp_path, 12))
    with pytest.raises(InputError, match="leave out minus and plus"):
        beb.measure(minus="world:gloomy", components=fitting, device="cpu")
    with pytest.raises(InputError, match="has no weights to fit"):
        beb.measure("world", components=fitting, device="cpu")


def test_the_checkup_says_what_it_needs() -> None:
    with pytest.raises(NothingToSayError, match="give --behavior FILE"):
        check("some-folder", Context())
    with pytest.raises(InputError):
        check("some-folder", Context(), minus="also-nothing")
    with pytest.raises(InputError, match="some-folder"):
        check("some-folder", Context(), statements="no-such-file.jsonl")


def test_a_folder_with_another_kind_of_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "config.json").write_text("{}")
    model = MarkovLM([0.5, 0.5])
    for rank, kind in ((8, "a model"), (0, "an adapter")):
        with pytest.raises(InputError, match=f"holds {kind} of an earlier fit"):
            fit_component(cast(Any, model), [[0, 1]], Fitting(rank=rank), tmp_path, Context())
