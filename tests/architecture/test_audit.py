"""The audit as a user meets it: values, verdicts, weights on disk, bad input in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtant import architecture, cli
from seqtant.errors import InputError
from seqtant.findings import Finding, Result
from seqtant.instruments import figures
from tests.architecture.networks import build_network, parameters_of

CONFIGS = Path(__file__).parent / "configs"
TINY: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20},
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24},
    "albert": {"hidden_size": 16, "embedding_size": 4, "num_attention_heads": 2, "intermediate_size": 24},
    "t5": {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2},
    "mixtral": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1},
    "opt": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "word_embed_proj_dim": 8},
}
TINY["mixtral"] |= {"intermediate_size": 24, "num_local_experts": 3}
CLASSES = {
    "llama": "LlamaForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "bert": "BertForMaskedLM",
    "albert": "AlbertForMaskedLM",
    "t5": "T5ForConditionalGeneration",
    "mixtral": "MixtralForCausalLM",
    "opt": "OPTForCausalLM",
}


def save_tiny(folder: Path, family: str, **options: Any) -> torch.nn.Module:
    config = {"model_type": family, "vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    network = build_network(config | TINY[family], CLASSES[family], device="cpu")
    network.save_pretrained(folder, **options)
    return network


def finding(result: Result, key: str) -> Finding:
    return next(each for each in result.findings if each.key == key)


def audit(name: str) -> Result:
    return architecture.audit(str(CONFIGS / f"{name}.json"))


@pytest.mark.parametrize("family", TINY)
def test_weights_on_disk_agree_with_the_configuration(family: str, tmp_path: Path) -> None:
    network = save_tiny(tmp_path, family)
    result = architecture.audit(str(tmp_path))
    assert result.values["parameters"] == parameters_of(network)
    assert finding(result, "weights").verdict == "agrees"
    assert result.warnings == () or all("extrapolated" in warning for warning in result.warnings)


def test_weights_in_several_files_are_read_together(tmp_path: Path) -> None:
    save_tiny(tmp_path, "llama", max_shard_size="4KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert finding(architecture.audit(str(tmp_path / "config.json")), "weights").verdict == "agrees"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 41}, r"is 40 x 16, the configuration says 41 x 16"),
        ({"num_hidden_layers": 3}, r"parameters, 2,\d{3} fewer than"),
        ({"intermediate_size": 23}, r"parameters, 96 more than"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_warned_about(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_tiny(tmp_path, "llama")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    result = architecture.audit(str(tmp_path))
    assert finding(result, "weights").verdict == "disagrees"
    assert any(re.search(message, warning) for warning in result.warnings)


def test_buffers_and_second_copies_in_old_checkpoints_do_not_count(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_tiny(tmp_path, "gpt2")
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["transformer.h.0.attn.bias"] = torch.ones(1, 1, 20, 20)
    tensors["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    save_file(tensors, path)
    assert finding(architecture.audit(str(tmp_path)), "weights").verdict == "agrees"


def test_auditing_a_configuration_loads_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = (
        "import sys; from seqtant import cli; "
        f"code = cli.call(['architecture', 'audit', {str(CONFIGS / 'gpt2.json')!r}, '--json']); "
        "heavy = {'torch', 'transformers', 'plotly', 'pandas'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["values"]["parameters"] == 124_439_808


def test_real_small_model(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["architecture", "audit", str(shared_data / "stories260k"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["values"]["parameters"] == 260_032
    assert next(each for each in result["findings"] if each["key"] == "weights")["verdict"] == "agrees"


@pytest.mark.parametrize(
    ("name", "verdict", "summary"),
    [
        ("gpt2", "disagrees", "Too shallow"),
        ("gpt2-xl", "agrees", "In the band"),
        ("pythia-1.4b", "disagrees", "Too shallow"),
        ("bert-base", "inconclusive", "Too shallow.*But it was fitted on decoders"),
        ("vit-base-patch16-224", "inconclusive", "But it was fitted on text"),
        ("t5-11b", "vacuous", "an encoder with a decoder"),
        ("mixtral-8x7b", "vacuous", "a mixture of experts"),
        ("albert-base-v2", "vacuous", "layers share them"),
        ("stories260k", "vacuous", "says nothing this far below its range"),
    ],
)
def test_depth_verdicts(name: str, verdict: str, summary: str) -> None:
    result = audit(name)
    depth = finding(result, "depth")
    assert depth.verdict == verdict
    assert re.search(summary, depth.summary)
    silent = name in {"t5-11b", "mixtral-8x7b", "albert-base-v2"}
    assert (result.values["optimal_depth"] is None) == silent
    assert (result.values["depth_ratio"] is None) == silent


@pytest.mark.parametrize(("name", "ratio"), [("gpt2", 0.52), ("gpt2-xl", 1.11)])
def test_depth_ratio_is_that_of_the_catalogue(name: str, ratio: float) -> None:
    value = audit(name).values["depth_ratio"]
    assert value is not None
    assert value == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize(
    ("depth", "width", "summary"), [(23, 560, "In the band"), (92, 280, "Too deep"), (6, 1088, "Too shallow")]
)
def test_one_size_in_three_shapes(depth: int, width: int, summary: str, tmp_path: Path) -> None:
    # All near the size of GPT-3 Small, for which the law asks for 23 layers of width 555.
    config = {"model_type": "gpt2", "n_layer": depth, "n_embd": width, "n_head": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = architecture.audit(str(tmp_path))
    assert summary in finding(result, "depth").summary
    assert finding(result, "depth").verdict == ("agrees" if depth == 23 else "disagrees")
    assert result.values["optimal_depth"] == pytest.approx(23.05, abs=0.5)
    assert result.values["bottlenecks"] == 0
    assert result.values["extrapolated"] == 0


def test_extrapolation_is_flagged_on_both_ends() -> None:
    assert any("extrapolated below" in warning for warning in audit("stories260k").warnings)
    assert any("extrapolated above" in warning for warning in audit("llama-2-7b").warnings)
    assert not any("extrapolated" in warning for warning in audit("gpt2").warnings)


def test_the_counted_class_is_said() -> None:
    for name, counted in {"bert-base": "BertForMaskedLM", "t5-small": "T5ForConditionalGeneration"}.items():
        table = next(table for table in audit(name).tables if table.name == "parameters")
        assert table.title == f"Parameters, counted as {counted}"
        assert sum(int(row[1] or 0) for row in table.rows[:-1]) == table.rows[-1][1] == audit(name).values["parameters"]


def test_length_and_number_format_are_settings() -> None:
    path = str(CONFIGS / "llama-3-8b.json")
    short, long = (architecture.audit(path, length=length).values for length in (1024, 8192))
    assert short["flops_per_token"] == pytest.approx(2 * 7.5e9 + 4 * 32 * 4096 * 1024, rel=0.01)
    assert long["kv_bytes_at_length"] == 8 * (short["kv_bytes_at_length"] or 0)
    # 2 tables of 8 heads of 128 in 32 layers, two bytes each.
    assert short["kv_bytes_per_token"] == 131_072
    assert architecture.audit(path, dtype="float32").values["kv_bytes_per_token"] == 2 * 131_072


def test_figures_show_the_parameters_and_the_law() -> None:
    assert [figure.name for figure in figures(audit("gpt2"))] == ["components", "depth"]
    assert [figure.name for figure in figures(audit("mixtral-8x7b"))] == ["components"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.call(["architecture", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable JSON"),
        ("", "is not readable JSON"),
        ("[1, 2]", "does not hold a JSON object"),
        ('{"model_type": "lama"}', "unknown model_type 'lama' (did you mean 'llama'?)"),
        ('{"hidden_size": 8}', "unknown model_type None"),
        (
            '{"model_type": "llama", "num_attention_heads": 24}',
            "num_attention_heads is 24: it must divide hidden_size 4096",
        ),
        ('{"model_type": "llama", "hidden_size": 0}', "hidden_size is 0"),
        ('{"model_type": "llama", "vocab_size": -5}', "vocab_size is -5"),
        ('{"model_type": "llama", "hidden_size": NaN}', "hidden_size is nan"),
        ('{"model_type": "llama", "hidden_size": [64]}', "hidden_size is [64]"),
        ('{"model_type": "llama", "dtype": "half"}', "dtype is 'half'"),
    ],
)
def test_bad_configurations_are_refused_in_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(text)
    assert message in refused(["audit", str(tmp_path)], capsys)
    assert message in refused(["audit", str(tmp_path / "config.json")], capsys)


def test_missing_and_empty_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not exist: give a model folder" in refused(["audit", str(tmp_path / "nothing")], capsys)
    assert "does not exist: give a model folder" in refused(["audit", "nothing"], capsys)
    assert "does not exist: give a model folder" in refused(["audit", "nothing.json"], capsys)
    assert "has no config.json" in refused(["audit", str(tmp_path)], capsys)
    assert "the hub did not give its config.json" in refused(["audit", "nobody/nothing"], capsys)


@pytest.mark.parametrize("verb", ["audit", "embedding-rank"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"not tensors at all", b"\xff" * 64, "truncated"])
def test_corrupt_weights_are_refused(
    verb: str, content: bytes | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny(tmp_path, "llama")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if isinstance(content, str) else content)
    capsys.readouterr()
    assert "is corrupt" in refused([verb, str(tmp_path)], capsys)


def test_an_index_that_lies_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny(tmp_path, "llama")
    capsys.readouterr()
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "absent.safetensors"}}')
    assert "lacks the weights file 'absent.safetensors'" in refused(["audit", str(tmp_path)], capsys)
    index.write_text('{"weight_map": {}}')
    assert "names no weights" in refused(["audit", str(tmp_path)], capsys)


def test_a_length_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "length is 0" in refused(["audit", str(CONFIGS / "gpt2.json"), "--length", "0"], capsys)


def test_a_cached_hub_model_is_read_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    commit = "0" * 40
    repository = tmp_path / "models--nobody--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    save_tiny(repository / "snapshots" / commit, "llama")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    result = architecture.audit("nobody/tiny")
    assert finding(result, "weights").verdict == "agrees"
    assert "nobody/tiny" in result.title


def test_a_path_of_three_parts_is_no_hub_name() -> None:
    with pytest.raises(InputError, match="does not exist"):
        architecture.audit("a/b/c")


def test_pickled_weights_are_said_to_be_left_alone(tmp_path: Path) -> None:
    network = build_network({"model_type": "llama", "vocab_size": 50} | TINY["llama"], CLASSES["llama"])
    network.config.save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    result = architecture.audit(str(tmp_path))
    assert any("not compared" in warning and "'pytorch_model.bin'" in warning for warning in result.warnings)
    assert [finding.key for finding in result.findings if finding.key == "weights"] == []
