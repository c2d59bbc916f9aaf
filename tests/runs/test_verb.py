"""Verbs: functions of settings that take objects, refuse in one line and give a network back as it was."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.progress import SILENT
from seqtant.runs.recorder import Context, Recorder, command_of
from seqtant.runs.verb import verb
from seqtant.settings import Share, VerbConfig, config, config_hash, plain
from seqtant.sources import ModelSource, Rows, read_lines


@config
class HalveConfig(VerbConfig):
    """Halve a number."""

    verb: ClassVar[str] = "demo.halve"
    model: ModelSource = field(default="reference", kw_only=False)
    """The model."""
    rows: Rows | None = None
    """Rows."""
    share: Share = 0.5
    """A share."""
    others: dict[str, ModelSource] = field(default_factory=dict[str, ModelSource])
    """Models by name."""


seen: list[tuple[HalveConfig, Context]] = []


@verb(HalveConfig)
def halve(config: HalveConfig, context: Context) -> Result:
    """Halves a share."""
    seen.append((config, context))
    for model in (config.model, *config.others.values()):
        network = model[0] if isinstance(model, tuple) else model
        if isinstance(network, nn.Module):
            network.eval().requires_grad_(False)
    with Recorder("demo.halve", "Half", config, context) as record:
        record.value("half", config.share / 2)
    return record.result


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.layer.bias.requires_grad_(False)
        self.frozen = nn.Dropout().eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_it_is_a_function_of_the_settings_and_says_so() -> None:
    result = halve("lab/some", share=0.2, seed=3, device="cpu")
    assert result.values == {"half": 0.1}
    assert result.seed == 3
    parameters = inspect.signature(halve).parameters
    assert list(parameters)[:2] == ["model", "seed"]
    assert parameters["share"].default == 0.5
    assert halve.__doc__ == "Halves a share."
    assert seen[-1][1] == Context(seed=3, device="cpu", progress=SILENT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 2}, "share is 2: give a number below 1"),
        ({"share": "much"}, "share is 'much': give a number"),
        ({"share": True}, "share: give a number, not true"),
        ({"share": None}, "share is None: give a number"),
        ({"model": 3}, "3 is no model"),
        ({"model": None}, "None is no model"),
        ({"rows": 3}, "3 is neither a file nor a list of rows"),
        ({"shar": 0.1}, "unknown key 'shar' (did you mean 'share'?)"),
        ({"seed": -1}, "seed is -1: give a number of at least 0"),
    ],
)
def test_wrong_types_from_python_are_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        halve(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_comes_back_in_the_mode_it_came_in() -> None:
    network = Network().train()
    network.frozen.eval()
    halve(network)
    assert (network.training, network.layer.training, network.frozen.training) == (True, True, False)
    assert (network.layer.weight.requires_grad, network.layer.bias.requires_grad) == (True, False)
    with pytest.raises(InputError):
        halve((network, object()), share=7)
    assert network.training


def test_networks_in_a_mapping_come_back_too() -> None:
    one, other = Network().train(), Network().train()
    for network in (one, other):
        network.frozen.eval()
    halve(others={"one": one, "path": "lab/some", "pair": (other, object())})
    for network in (one, other):
        assert (network.training, network.layer.training, network.frozen.training) == (True, True, False)
        assert (network.layer.weight.requires_grad, network.layer.bias.requires_grad) == (True, False)


def test_what_is_in_memory_is_described_and_has_no_command() -> None:
    pairs = [("a", "b"), ("c", "d")]
    one, other = HalveConfig(Network(), rows=pairs), HalveConfig(Network(), rows=[*pairs, ("e", "f")])
    assert plain(one)["model"] == "<Network in memory>"
    assert plain(one)["rows"].startswith("<2 rows in memory, sha256 ")
    assert config_hash(one) != config_hash(other)
    assert config_hash(one) == config_hash(HalveConfig(Network(), rows=pairs, seed=5, device="cpu"))
    assert command_of("demo.halve", one, Context()) == ""
    assert command_of("demo.halve", HalveConfig("m"), Context(seed=2)) == "seqtant demo halve --set model=m --seed 2"


@dataclass
class Pair:
    left: str
    right: str
    note: str | None = None


@pytest.mark.parametrize(
    "rows",
    [
        [{"left": "a", "right": "b"}, {"left": "c", "right": "d"}],
        [("a", "b"), ("c", "d")],
        [Pair("a", "b"), Pair("c", "d")],
        (each for each in [("a", "b"), ("c", "d")]),
    ],
    ids=["dictionaries", "tuples", "dataclasses", "generator"],
)
def test_rows_of_every_kind_are_read_alike(rows: Any) -> None:
    assert list(read_lines(rows, fields=("left", "right", "note"))) == [
        ("row 1", {"left": "a", "right": "b"}),
        ("row 2", {"left": "c", "right": "d"}),
    ]


def test_data_sets_and_frames_are_rows() -> None:
    datasets = pytest.importorskip("datasets", reason="pip install 'seqtant[data]'")
    pandas = pytest.importorskip("pandas", reason="pip install 'seqtant[data]'")
    table = {"left": ["a", "c"], "right": ["b", "d"]}
    expected = [("row 1", {"left": "a", "right": "b"}), ("row 2", {"left": "c", "right": "d"})]
    assert list(read_lines(datasets.Dataset.from_dict(table))) == expected
    assert list(read_lines(pandas.DataFrame(table))) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no rows"),
        ([3], r"row 1 is 3: give \(left, right\)"),
        ([("a", "b"), ("a", "b", "c")], "row 2 is"),
    ],
)
def test_rows_that_are_none_are_named(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_lines(rows, fields=("left", "right")))
