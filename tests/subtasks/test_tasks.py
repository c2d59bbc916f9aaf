"""Tasks against Python's own arithmetic, and what cannot be a task is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.subtasks.tasks.builtin import addition, draw_subset, modular_sum, parity
from seqtant.subtasks.tasks.task import Step, Task, from_circuit, gate_table, read_circuit, to_circuit


@pytest.mark.parametrize("order", ["tree", "chain"])
@pytest.mark.parametrize("bits", [4, 8, 12, 32])
def test_the_last_step_is_the_parity_of_the_subset(bits, order):
    task = parity(bits, seed=5, order=order)
    inputs = np.random.default_rng(0).integers(2, size=(50, bits))
    wanted = inputs[:, list(draw_subset(bits, 5))].sum(axis=1) % 2
    assert task.labels(inputs)[:, -1].tolist() == wanted.tolist()
    assert task.length == bits // 2 - 1
    assert task.is_parity_tree


def test_steps_pair_up_a_queue_of_subset_bits_and_earlier_steps():
    """The published order of twelve bits, spelled out: a queue of six bits, then steps, cut into pairs."""
    task = parity(12, subset=(9, 2, 11, 0, 4, 7))
    assert [step.reads for step in task.steps] == [(9, 2), (11, 0), (4, 7), (12, 13), (14, 15)]
    assert task.levels == (1, 1, 1, 2, 3)
    row = np.array([[1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0]])
    # 1^1, 0^1, 0^1, then 0^1, then 1^1
    assert task.labels(row).tolist() == [[0, 1, 1, 1, 0]]


def test_the_subset_is_the_first_half_of_the_legacy_permutation():
    legacy = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(27)))
    assert list(draw_subset(16, 27)) == legacy.permutation(16)[:8].tolist()
    assert list(draw_subset(16, 27)) != sorted(draw_subset(16, 27)), "sorting would pair other bits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 10}, "multiple of 4"),
        ({"bits": 2}, "multiple of 4"),
        ({"bits": 8, "subset": (1, 1)}, "different positions"),
        ({"bits": 8, "subset": (1, 8)}, "different positions"),
        ({"bits": 8, "subset": (1, 2, 3)}, "even number"),
    ],
)
def test_parities_that_do_not_exist_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        parity(**arguments)


def test_running_sums_are_those_of_numpy():
    inputs = np.random.default_rng(1).integers(7, size=(40, 5))
    assert modular_sum(5, 7).labels(inputs).tolist() == (np.cumsum(inputs, axis=1)[:, 1:] % 7).tolist()


def test_addition_is_pythons():
    task, generator = addition(5), np.random.default_rng(2)
    first, second = generator.integers(10, size=(2, 60, 5))
    labels = task.labels(np.concatenate([first, second], axis=1))
    for one, two, row in zip(first, second, labels, strict=True):
        total = int("".join(map(str, one[::-1]))) + int("".join(map(str, two[::-1])))
        assert int("".join(str(row[step]) for step in task.answer)) == total
    assert task.arity == 3


@pytest.mark.parametrize(("gate", "wanted"), [("nand", [1, 1, 1, 0]), ("xnor", [1, 0, 0, 1]), ("nor", [1, 0, 0, 0])])
def test_gates(gate, wanted):
    assert list(gate_table(gate, 2)) == wanted
    assert gate_table("majority", 3) == (0, 0, 0, 1, 0, 1, 1, 1)


def test_a_circuit_goes_to_a_file_and_back(tmp_path):
    data = {"inputs": 3, "steps": [{"reads": [2, 0], "gate": "and"}, {"reads": [3, 1], "table": [0, 1, 1, 1]}]}
    path = tmp_path / "circuit.json"
    path.write_text(json.dumps(data))
    task = read_circuit(path)
    inputs = np.indices((2, 2, 2)).reshape(3, -1).T
    assert task.labels(inputs)[:, -1].tolist() == [(a & c) | b for a, b, c in inputs.tolist()]
    assert from_circuit(to_circuit(task)).fingerprint == task.fingerprint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "needs 'inputs'"),
        ({"inputs": 2, "steps": []}, "at least one step"),
        ({"inputs": 2, "steps": [{"reads": [0, 2], "gate": "and"}]}, "reads position 2, but only 0 to 1"),
        ({"inputs": 2, "steps": [{"reads": [0, 0], "gate": "and"}]}, "none twice"),
        ({"inputs": 2, "steps": [{"reads": [0, 1], "gate": "andd"}]}, "did you mean 'and'"),
        ({"inputs": 2, "steps": [{"reads": [0, 1], "table": [0, 1]}]}, "2 table entries: 2 reads need 4"),
        ({"inputs": 2, "steps": [{"reads": [0], "table": [0, 2]}]}, "writes a token outside 0 to 1"),
        ({"inputs": 2, "alphabet": 3, "steps": [{"reads": [0, 1], "gate": "xor"}]}, "for bits"),
        ({"inputs": 2, "steps": [{"reads": [0], "gate": "copy"}], "answers": [0]}, "unknown key 'answers'"),
        ({"inputs": 2, "steps": [{"reads": [0], "gate": "copy"}], "answer": [3]}, "answer \\[3\\]"),
        ({"inputs": 30, "steps": [{"reads": list(range(30)), "gate": "xor"}]}, "no small step"),
    ],
)
def test_circuits_that_do_not_fit_are_refused(data, message):
    with pytest.raises(InputError, match=message):
        from_circuit(data)


def test_inputs_that_do_not_fit_are_refused():
    task = Task(name="copy", inputs=2, alphabet=2, steps=(Step((0,), (0, 1)),))
    with pytest.raises(InputError, match="rows of 2 tokens"):
        task.labels(np.zeros((1, 3), dtype=int))
    with pytest.raises(InputError, match="tokens 0 to 1"):
        task.labels(np.array([[0, 2]]))
