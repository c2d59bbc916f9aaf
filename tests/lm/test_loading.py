"""Loading: a good folder loads as plain transformers would, and each fault of a folder is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqtant.errors import InputError
from seqtant.lm import load
from seqtant.lm.loading import pick_device, pick_dtype


def change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def empty_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] = {"<unk>": 0}
    content["added_tokens"] = [entry for entry in content["added_tokens"] if entry["content"] == "<unk>"]
    for number, entry in enumerate(content["added_tokens"]):
        entry["id"] = number
    (folder / "tokenizer.json").write_text(json.dumps(content))


def larger_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["surplus"] = 16
    (folder / "tokenizer.json").write_text(json.dumps(content))


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "broken config": (lambda folder: (folder / "config.json").write_text("{"), "not readable JSON"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "JSON object"),
    "foreign config": (lambda folder: (folder / "config.json").write_text('{"a": 1}'), "model_type"),
    "unknown family": (lambda folder: change_config(folder, model_type="nonsense"), "nonsense"),
    "no decoder": (lambda folder: change_config(folder, model_type="t5"), "cannot load the model"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
    "truncated weights": (truncate, "corrupt"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "corrupt"),
    "no tensors": (lambda folder: save_file({}, folder / "model.safetensors"), "no tensors"),
    "pickled weights": (pickle_only, "convert to safetensors"),
    "missing shard": (missing_shard, "lacks the weights file"),
    "too few weights": (lambda folder: change_config(folder, num_hidden_layers=4), "lack 9 tensors"),
    "wrong shapes": (lambda folder: change_config(folder, vocab_size=99), "is 16 x 16, but config.json says 99 x 16"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
    "empty tokenizer file": (lambda folder: (folder / "tokenizer.json").write_text(""), "is empty"),
    "broken tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot load the tokenizer"),
    "tokenizer without words": (empty_tokenizer, "is empty"),
    "tokenizer of another model": (larger_tokenizer, "do not belong together"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_that_names_the_folder(folder: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert "tiny" in str(caught.value)


def test_a_good_folder_loads_as_plain_transformers_would(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForCausalLM

    model = load(folder)
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    ids = torch.tensor([[0, 4, 5, 6, 7], [0, 9, 8, 15, 4]])
    expected = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
    torch.testing.assert_close(model.forward(ids).logits, expected, atol=1e-6, rtol=0)
    assert (model.name, model.vocabulary_size, model.context_length) == ("tiny", 16, 64)
    assert (model.bos_id, model.eos_id, model.pad_id) == (0, 1, 2)
    assert not model.model.training
    assert not any(parameter.requires_grad for parameter in model.model.parameters())


def test_a_network_without_tokenizer_loads_when_asked_to(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert load(folder, tokenizer=False).tokenizer is None


def test_surplus_weights_are_warned_about(folder: Path) -> None:
    change_config(folder, num_hidden_layers=2)
    with pytest.warns(UserWarning, match="9 tensors"):
        load(folder)


def test_weights_that_are_no_numbers_never_become_a_score(folder: Path) -> None:
    from seqtant.lm import continuation_log_probs, next_token_log_probs, token_log_probs

    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(folder)
    for score in (
        lambda: token_log_probs(model, [[0, 4, 5]]),
        lambda: next_token_log_probs(model, [[0, 4, 5]]),
        lambda: continuation_log_probs(model, [0, 4], [[5]]),
    ):
        with pytest.raises(InputError, match=r"its weight 'model\.norm\.weight' holds numbers that are not finite"):
            score()


def test_the_number_type_is_as_asked(folder: Path) -> None:
    ids = torch.tensor([[0, 4, 5, 6]])
    single, double, half = (load(folder, dtype=kind).forward(ids).logits for kind in (None, "float64", "bfloat16"))
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    assert half.dtype == torch.float32  # computed in half precision, handed over for exact sums
    torch.testing.assert_close(double.float(), single, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "does not exist"),
        ("/no/such/folder", "does not exist"),
        ("two words", "does not exist"),
        ("nowhere", "hub name as owner/name"),
        ("tests/nowhere", "does not exist"),
        (Path("nowhere"), "does not exist"),
        (__file__, "is a file"),
    ],
)
def test_a_wrong_path_is_no_hub_name(name: str | Path, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(InputError, match=message):
        load(name)


def test_a_hub_name_without_network_is_one_line() -> None:
    with pytest.raises(InputError, match="cannot load the tokenizer of 'nobody/nothing'") as caught:
        load("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_a_local_folder_never_asks_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_inputs: object, **_named: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load(folder).name == "tiny"


def test_devices_and_number_types_are_checked() -> None:
    assert pick_device(torch.device("cpu")).type == "cpu"
    assert pick_dtype(None, torch.device("cuda")) == "auto"
    for device in ("gpu", "cuda:99", "meta", "mps", torch.device("cuda", 99)):
        with pytest.raises(InputError, match="device"):
            pick_device(device)
    for dtype in ("float33", "int64"):
        with pytest.raises(InputError, match="number type"):
            pick_dtype(dtype, torch.device("cpu"))


def test_importing_the_package_loads_no_torch() -> None:
    heavy = "[name for name in ('torch', 'transformers', 'scipy') if name in sys.modules]"
    code = f"import sys, seqtant.lm, seqtant.sources; dir(seqtant.lm); print({heavy})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    import seqtant.lm as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # noqa: B018


def bring_code(folder: Path, marker: Path) -> None:
    """Model, configuration and tokenizer classes of the folder's own, in files that leave a mark when they run."""
    change_config(
        folder, model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    )
    path = folder / "tokenizer_config.json"
    fields = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Tokenizer", None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    (folder / "mine.py").write_text(f"open({str(marker)!r}, 'w').close()\n")


def test_code_of_a_folder_never_runs_and_nothing_is_asked(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "it-ran"
    bring_code(folder, marker)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    for tokenizer in (True, False):
        with pytest.raises(InputError, match="Python code that comes with it, which is never done") as caught:
            load(folder, tokenizer=tokenizer)
        assert len(str(caught.value).splitlines()) == 1
    assert not marker.exists()
    assert capfd.readouterr().out == ""


def test_code_that_transformers_does_not_need_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """Many folders of known families still name the files from before transformers knew them."""
    marker = tmp_path / "it-ran"
    bring_code(folder, marker)
    change_config(folder, model_type="llama")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    assert load(folder).vocabulary_size == len(load_file(folder / "model.safetensors")["lm_head.weight"])
    assert not marker.exists()


@pytest.mark.parametrize("value", ["owner/kernel", "owner/kernel:flash", {"text": "owner/kernel"}])
def test_kernels_of_a_repository_are_refused(folder: Path, value: object) -> None:
    change_config(folder, attn_implementation=value)
    with pytest.raises(InputError, match="code of a hub repository"):
        load(folder)


def test_every_from_pretrained_goes_through_the_one_door() -> None:
    """PEFT's takes an adapter's safetensors onto a network that is loaded already; it has no code to run."""
    import seqtant

    calls = [
        f"{path.name}: {line.strip()}"
        for path in Path(seqtant.__file__).parent.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if ".from_pretrained(" in line
    ]
    assert [call for call in calls if "PeftModel" not in call] == [
        "loading.py: return auto_class.from_pretrained(str(source), trust_remote_code=False, **options)"
    ]


@pytest.fixture
def adapter(folder: Path, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A PEFT adapter of the model in ``folder``, and what PEFT's own model makes of four tokens."""
    peft = pytest.importorskip("peft")
    network = load(folder, device="cpu").model
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        tuned = peft.get_peft_model(network, config).eval()
    tuned.peft_config["default"].base_model_name_or_path = str(folder)
    tuned.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        return tmp_path / "adapter", tuned(torch.tensor([[1, 2, 3, 4]])).logits


def test_an_adapter_is_read_on_top_of_its_model(folder: Path, adapter: tuple[Path, torch.Tensor]) -> None:
    path, logits = adapter
    model = load(path, device="cpu")
    assert model.name == "adapter"
    ids = torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(model.forward(ids).logits, logits)
    assert not torch.allclose(load(folder, device="cpu").forward(ids).logits, logits, atol=1e-3)
    assert not any(each.requires_grad for each in model.model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (lambda path: change_adapter(path, base_model_name_or_path=None), "does not name the model"),
        (
            lambda path: change_adapter(path, base_model_name_or_path="/no/such/model"),
            "'/no/such/model' does not exist",
        ),
        (lambda path: change_adapter(path, target_modules=["no_such"]), "does not fit its model"),
    ],
)
def test_faults_of_an_adapter_are_told(
    change: Callable[[Path], object], message: str, adapter: tuple[Path, torch.Tensor]
) -> None:
    change(adapter[0])
    with pytest.raises(InputError, match=message):
        load(adapter[0], device="cpu")


def change_adapter(folder: Path, **fields: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_gguf_file_is_read_as_the_network_it_was_written_from(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from tests.steering.gguf_model import build_llama, write_model

    network = build_llama().eval()
    write_model(network, tmp_path / "small.gguf")
    model = load(tmp_path / "small.gguf", device="cpu", tokenizer=False)
    assert model.name == "small"
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.equal(model.forward(ids).logits, network(ids).logits)
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    with pytest.raises(InputError, match="is no GGUF file"):
        load(tmp_path / "broken.gguf", device="cpu", tokenizer=False)


def test_an_adapter_on_an_adapter_is_refused(adapter: tuple[Path, torch.Tensor]) -> None:
    path, _ = adapter
    change_adapter(path, base_model_name_or_path=str(path))
    with pytest.raises(InputError, match="names another adapter"):
        load(path, device="cpu")
