"""Families of language models, each made tiny by the benchmark of families: read rightly, or refused in one line."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "families"
STORED = ROOT / "benchmarks" / "results" / "families.json"
EXACT = 1e-4
"""Nats by which a score may differ from one plain forward pass."""

DOZEN = (
    "llama",
    "gpt2",
    "gpt_oss",
    "qwen3_next",
    "mamba2",
    "falcon_h1",
    "jamba",
    "deepseek_v3",
    "gemma3_text",
    "bart",
    "bert",
    "rwkv",
    "recurrent_gemma",
)
"""Attention whole, in windows and through latents, experts, recurrences, hybrids, and decoders cut out of encoders."""


@pytest.fixture(scope="module")
def families() -> Iterator[ModuleType]:
    """The benchmark of families."""
    spec = importlib.util.spec_from_file_location("families_run", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    path = list(sys.path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path
    sys.modules.pop("tiny", None)


def measured(families: ModuleType, kind: str, folder: Path, **own: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return families.row(kind, folder / kind, **own)


def assert_right(found: dict[str, Any]) -> None:
    assert found["faults"] == {}
    assert found["refusals"] == {}
    assert set(found.get("errors", {})) == {"saved", "whole", "continuations", "batches"}
    assert all(error < EXACT for error in found["errors"].values()), found["errors"]
    assert found["same_tokens"] is True
    assert found["audited"] == found["parameters"]
    assert found["moved_by_a_later_token"] < EXACT


@pytest.mark.parametrize("kind", DOZEN)
def test_a_family_is_read_as_one_plain_pass_reads_it(families: ModuleType, kind: str, tmp_path: Path) -> None:
    assert_right(measured(families, kind, tmp_path))


@pytest.mark.parametrize(("kind", "own"), [("bert", {"is_decoder": False}), ("xlm", {})])
def test_a_network_that_sees_later_tokens_is_refused_in_one_line(
    families: ModuleType, kind: str, own: dict[str, Any], tmp_path: Path
) -> None:
    found = measured(families, kind, tmp_path, **own)
    assert found["moved_by_a_later_token"] > 0.1
    assert found["faults"] == {}
    assert found["probe"] == {"causal": False}
    line = found["refusals"].pop("load")
    assert line.startswith(f"'{kind}' looks ahead: another last token moves the scores before it by ")
    assert line.endswith(" nats, so they are no probabilities of text: give a causal language model")
    assert found["refusals"] == {}
    assert found["audited"] == found["parameters"]


def test_a_class_that_does_not_take_its_own_checkpoints_is_refused_in_one_line(
    families: ModuleType, tmp_path: Path
) -> None:
    found = measured(families, "emu3", tmp_path)
    assert found["faults"] == {}
    assert found["refusals"]["load"].startswith("the weights of 'FOLDER' lack ")
    assert "errors" not in found


def test_a_window_of_another_width_would_show(families: ModuleType) -> None:
    from seqtant.lm import HuggingFaceLM

    model = HuggingFaceLM(families.make("mistral"))
    other = families.make("mistral", sliding_window=12)
    ids = families.tokens(other)
    assert all((one == two).all() for one, two in zip(model.model.parameters(), other.parameters(), strict=True))
    assert families.error_whole(model, other, ids) > 100 * EXACT
    assert families.error_continuations(model, other, ids) > 100 * EXACT
    assert families.error_batches(model, other, ids) > 100 * EXACT


def stored_kinds() -> list[str]:
    return [row["family"] for row in json.loads(STORED.read_text(encoding="utf-8"))["families"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", stored_kinds())
def test_every_family_is_right_or_refused_in_one_line(families: ModuleType, kind: str, tmp_path: Path) -> None:
    if kind not in families.kinds():
        pytest.skip(f"the installed transformers has no causal family {kind}")
    found = measured(families, kind, tmp_path)
    if "not_built" in found:
        pytest.skip(f"transformers does not build it: {found['not_built']}")
    if "load" in found["refusals"]:
        assert found["faults"] == {}
        assert "\n" not in found["refusals"]["load"]
    else:
        assert_right(found)
