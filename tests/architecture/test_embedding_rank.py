"""Ranks of trained embeddings: matrices of known spectrum, NumPy's own decomposition, real files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from seqtant import architecture, cli
from seqtant.architecture.instruments.embedding_rank import BLOCK, Moments, Spectrum, spectrum_of_gram
from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.instruments import figures
from tests.architecture.networks import build_network


def with_spectrum(values: list[float], rows: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A table with exactly these singular values."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(rows, len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
    return left * np.asarray(values) @ right.T


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    values=st.lists(st.floats(0.01, 100.0), min_size=1, max_size=12), rows=st.integers(12, 60), tail=st.floats(0.0, 0.5)
)
def test_ranks_of_a_known_spectrum(values: list[float], rows: int, tail: float) -> None:
    values = sorted(values, reverse=True)
    spectrum = Moments.of(with_spectrum(values, rows)).spectrum()
    assert np.allclose(spectrum.values, values, rtol=1e-6, atol=1e-7 * values[0])
    exact = Spectrum(np.asarray(values))
    energy = [value**2 for value in values]
    # The definition, word by word: the least k whose tail is at most a share of all energy.
    least = next(k for k in range(1, len(values) + 1) if math.fsum(energy[k:]) <= tail * math.fsum(energy))
    assert exact.numerical_rank(tail) == least
    assert spectrum.stable_rank == pytest.approx(math.fsum(energy) / energy[0], rel=1e-6)
    share = [value / math.fsum(values) for value in values]
    assert spectrum.entropy_rank == pytest.approx(math.exp(-math.fsum(p * math.log(p) for p in share)), rel=1e-5)


@pytest.mark.parametrize("rows", [7, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
def test_moments_are_those_of_numpy_whatever_the_blocks(rows: int) -> None:
    table = np.random.default_rng(rows).normal(size=(rows, 6)).astype(np.float32) + 2.0
    moments = Moments.of(table)
    exact = table.astype(np.float64)
    assert np.allclose(moments.spectrum().values, np.linalg.svd(exact, compute_uv=False))
    centered = np.linalg.svd(exact - exact.mean(0), compute_uv=False)
    assert np.allclose(moments.spectrum(centered=True).values, centered)
    assert np.allclose(moments.covariance, np.cov(exact.T, bias=True))


def test_simple_tables_have_the_ranks_they_should() -> None:
    flat = Moments.of(np.eye(9)).spectrum()
    assert (flat.numerical_rank(0.01), flat.stable_rank, round(flat.entropy_rank, 9)) == (9, 9.0, 9.0)
    one = Moments.of(np.outer(np.arange(1.0, 5.0), np.ones(3))).spectrum()
    assert (one.numerical_rank(0.0), round(one.stable_rank, 9)) == (1, 1.0)
    assert one.entropy_rank == pytest.approx(1.0)
    alike = Moments.of(np.full((20, 3), 7.0)).spectrum(centered=True)
    assert (alike.numerical_rank(0.01), alike.stable_rank, alike.entropy_rank) == (0, 0.0, 0.0)
    few = Moments.of(np.eye(9)[:4]).spectrum()
    assert len(few.values) == few.numerical_rank(0.0) == 4


def test_padding_rows_add_no_rank() -> None:
    table = with_spectrum([3.0, 2.0, 1.0], 10)
    padded = Moments.of(np.concatenate([table, np.zeros((5, 3))]))
    assert padded.zero_rows == 5
    assert np.allclose(padded.spectrum().values, Moments.of(table).spectrum().values)
    with pytest.raises(InputError, match="all zero"):
        Moments.of(np.zeros((4, 3)))


def test_what_passes_a_projection_has_the_spectrum_of_the_product() -> None:
    rng = np.random.default_rng(0)
    table, up = rng.normal(size=(50, 4)), rng.normal(size=(9, 4))
    exact = np.linalg.svd(table @ up.T, compute_uv=False)
    projected = Moments.of(table).project(up)
    assert np.allclose(projected.spectrum().values[:4], exact[:4])
    assert projected.spectrum().numerical_rank(1e-9) == 4


def test_token_and_position_together_have_the_spectrum_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    token, position = rng.normal(size=(12, 5)) * [3, 1, 0, 0, 0], rng.normal(size=(7, 5)) * [0, 0, 2, 1, 0]
    pairs = (token[:, None] + position[None, :]).reshape(-1, 5)
    joint = Moments.of(token).covariance + Moments.of(position).covariance
    assert np.allclose(joint, np.cov(pairs.T, bias=True))
    assert spectrum_of_gram(joint, 19, noise=1e-12).numerical_rank(0.0) == 4


def model_with(folder: Path, tensors: dict[str, np.ndarray[Any, Any]], **config: Any) -> str:
    """A model folder whose tensors of these names are replaced."""
    family = config["model_type"]
    head = {"llama": "LlamaForCausalLM", "gpt2": "GPT2LMHeadModel", "albert": "AlbertModel", "opt": "OPTForCausalLM"}
    config = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2} | config
    network = build_network(config, head.get(family, "ViTModel"), device="cpu")
    network.save_pretrained(folder)
    path = folder / "model.safetensors"
    stored = load_file(path)
    for ending, table in tensors.items():
        name = next(name for name in stored if f".{name}".endswith(f".{ending}"))
        stored[name] = torch.from_numpy(table).to(stored[name].dtype).reshape(stored[name].shape).contiguous()
    save_file(stored, path, metadata={"format": "pt"})
    return str(folder)


LLAMA = {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 60}
LLAMA |= {"intermediate_size": 8}


def test_a_table_of_low_rank_is_found_in_a_model(tmp_path: Path) -> None:
    values = [8.0, 7.0, 6.0, 5.0, 4.0] + [0.0] * 11
    result = architecture.embedding_rank(
        model_with(tmp_path, {"embed_tokens.weight": with_spectrum(values, 60)}, **LLAMA)
    )
    assert result.values["embedding_rank"] == result.values["embedding_rank_fine"] == 5
    assert result.values["effective_width"] == 5
    assert result.values["stable_rank"] == pytest.approx((64 + 49 + 36 + 25 + 16) / 64, rel=1e-5)
    rank = next(each for each in result.findings if each.key == "rank")
    assert rank.verdict == "disagrees"
    assert "effective width of 5" in rank.advice


def test_a_mean_that_all_tokens_share_is_no_direction_that_tells_them_apart(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(60, 16)) + 50.0
    result = architecture.embedding_rank(model_with(tmp_path, {"embed_tokens.weight": table}, **LLAMA))
    assert result.values["embedding_rank"] == 1
    assert (result.values["centered_embedding_rank"] or 0) > 12
    assert next(each for each in result.findings if each.key == "rank").verdict == "agrees"


def test_bfloat16_weights_are_read(tmp_path: Path) -> None:
    table = with_spectrum([4.0] * 16, 60)
    model = model_with(tmp_path, {"embed_tokens.weight": table}, **LLAMA)
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}, path)
    result = architecture.embedding_rank(model)
    assert result.values["embedding_rank"] == 16
    assert result.values["stable_rank"] == pytest.approx(16, rel=0.05)
    assert architecture.embedding_rank(str(path)).values == result.values


def test_learned_positions_are_measured_beside_the_tokens(tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "n_embd": 16, "n_head": 2, "n_layer": 1, "n_positions": 30, "vocab_size": 60}
    token = with_spectrum([5.0, 4.0, 3.0] + [0.0] * 13, 60, seed=1)
    position = with_spectrum([5.0, 4.0] + [0.0] * 14, 30, seed=2)
    result = architecture.embedding_rank(model_with(tmp_path, {"wte.weight": token, "wpe.weight": position}, **config))
    assert (result.values["embedding_rank"], result.values["position_rank"]) == (3, 2)
    assert result.values["joint_rank_fine"] == 5
    assert next(each for each in result.findings if each.key == "positions").verdict == "agrees"


def test_factorized_embeddings_are_measured_after_their_projection(tmp_path: Path) -> None:
    config = {"model_type": "albert", "embedding_size": 4, "hidden_size": 16, "num_attention_heads": 2}
    config |= {"intermediate_size": 8, "vocab_size": 60, "num_hidden_layers": 1}
    up = with_spectrum([3.0, 2.0, 1.0, 0.0], 16)
    tables = {"word_embeddings.weight": with_spectrum([1.0] * 4, 60), "embedding_hidden_mapping_in.weight": up}
    result = architecture.embedding_rank(model_with(tmp_path, tables, **config))
    assert result.values["embedding_rank"] == 3
    assert result.values["stable_rank"] == pytest.approx((9 + 4 + 1) / 9, rel=1e-4)
    narrow = next(row for row in result.tables[0].rows if row[0] == "token, before the projection")
    assert narrow[2] == 4


def test_positions_beside_a_projection_keep_their_width(tmp_path: Path) -> None:
    config = {"model_type": "opt", "hidden_size": 16, "word_embed_proj_dim": 4, "num_attention_heads": 2}
    config |= {"ffn_dim": 8, "vocab_size": 60, "num_hidden_layers": 1, "max_position_embeddings": 30}
    position = with_spectrum([1.0] * 9 + [0.0] * 7, 32)
    result = architecture.embedding_rank(model_with(tmp_path, {"embed_positions.weight": position}, **config))
    assert result.values["position_rank_fine"] == 9
    assert result.values["input_rank"] == 4
    assert (result.values["embedding_rank_fine"] or 99) <= 4


def test_patches_are_measured_by_their_projection(tmp_path: Path) -> None:
    config = {"model_type": "vit", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    config |= {"image_size": 8, "patch_size": 2, "num_channels": 3, "intermediate_size": 8}
    kernel = with_spectrum([2.0] * 6 + [0.0] * 6, 16)
    result = architecture.embedding_rank(model_with(tmp_path, {"patch_embeddings.projection.weight": kernel}, **config))
    assert result.values["embedding_rank"] == 6
    assert result.values["rows"] == 12


def test_real_table_agrees_with_numpy(shared_data: Path) -> None:
    folder = shared_data / "stories260k"
    table = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].double().numpy()
    values = np.linalg.svd(table, compute_uv=False)
    result = architecture.embedding_rank(str(folder))
    left = 1 - np.cumsum(values**2) / (values**2).sum()
    assert result.values["embedding_rank"] == int(np.argmax(left <= 0.01)) + 1
    assert result.values["embedding_rank_fine"] == int(np.argmax(left <= 0.001)) + 1
    assert result.values["stable_rank"] == pytest.approx((values**2).sum() / values[0] ** 2, rel=1e-9)
    share = values / values.sum()
    assert result.values["entropy_rank"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-9)


def test_the_figure_shows_the_spectrum(tmp_path: Path) -> None:
    result: Result = architecture.embedding_rank(model_with(tmp_path, {}, **LLAMA))
    (figure,) = figures(result)
    curve = result.series("singular_value", "token")
    assert [row.step for row in curve] == [float(index) for index in range(1, 17)]
    assert len(figure.table.rows) == 2 * 16


def test_what_cannot_be_measured_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(model: str) -> str:
        capsys.readouterr()
        assert cli.call(["architecture", "embedding-rank", model]) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        return printed.err

    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    assert "has no safetensors weights" in refused(str(tmp_path))
    folder = tmp_path / "model"
    broken = with_spectrum([1.0] * 16, 60)
    broken[3, 4] = np.nan
    model_with(folder, {"embed_tokens.weight": broken}, **LLAMA)
    assert "holds NaN or infinite numbers" in refused(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 61}))
    assert "is 60 x 16, the configuration says 61 x 16" in refused(str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    assert "hold no 'wte.weight'" in refused(str(folder))
    (folder / "config.json").unlink()
    assert "has no config.json beside it" in refused(str(folder / "model.safetensors"))
