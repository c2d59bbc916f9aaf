"""The door through which the checkup asks this room about a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtant.architecture.checks import check
from seqtant.errors import InputError
from seqtant.runs.recorder import Context


def test_a_model_folder_is_audited(tmp_path: Path) -> None:
    shape = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12}
    (tmp_path / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    result = check(str(tmp_path), Context(), text=None)
    assert result is not None
    assert result.instrument == "architecture.audit"
    assert any(value == 124_439_808 for value in result.values.values())


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        check(str(tmp_path), Context())
