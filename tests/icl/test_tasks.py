"""Tasks from files and functions, splits of examples, corruptions, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.icl.config import ShotsConfig
from seqtant.icl.instruments.corrupt import corrupt_examples, label_probs, rename_labels
from seqtant.icl.prompts.tasks import TASKS, Example, Task, read_prompt, read_task, reference_tasks, task_truths
from seqtant.icl.scoring.study import split_examples
from tests.icl.samples import word_task, write_task


def test_falsy_labels_and_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "flags.jsonl"
    records = [
        {"input": "a", "label": 0},
        {"input": "b", "label": ""},
        {"input": "a", "label": 0},
        {"input": "c", "label": False},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    task = read_task(str(path))
    assert task.labels == ("0", "", "false")
    assert [example.input for example in task.examples] == ["a", "b", "c"]


@pytest.mark.parametrize(("text", "message"), [
    ("", "is empty"),
    ("{", "line 1 is not JSON"),
    ("[1]", "holds no JSON object"),
    ('{"input": "a", "lable": 1}', "has no 'label' \\(did you mean 'lable'\\?\\)"),
    ('{"input": "", "label": 1}', "must be a text"),
    ('{"input": "a", "label": null}', "must be a text or a number"),
    ('{"input": "a", "label": "x"}\n{"input": "b", "label": "x"}', "1 label\\(s\\): there is nothing to predict"),
    ('{"templat": "{input} {label}"}\n{"input": "a", "label": 1}', "unknown key .templat. .did you"),
    ('{"template": "{label} {input}"}\n{"input": "a", "label": 1}\n{"input": "b", "label": 2}', "must hold {input}"),
    ('{"labels": ["x", "y"]}\n{"input": "a", "label": "z"}', "none of its labels"),
])  # fmt: skip
def test_bad_files_are_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_task(str(path))


def test_registered_functions_are_tasks() -> None:
    TASKS.add("test-task", lambda: word_task("mine"))
    assert TASKS["test-task"]().name == "mine"
    with pytest.raises(InputError, match="unknown task 'test-tusk' \\(did you mean 'test-task'"):
        TASKS["test-tusk"]


def test_reference_tasks_follow_the_exact_law() -> None:
    truths = task_truths()
    for number, task in enumerate(reference_tasks(4000, np.random.default_rng(0))):
        right = np.mean([example.label == task.labels[0] for example in task.examples])
        own = list(dict.fromkeys(truths.settings.labels)).index(task.labels[0])
        expected = float(truths.inputs[number] @ truths.labels[number][:, own])
        assert right == pytest.approx(expected, abs=0.03)
        assert set(task.labels) == set(truths.settings.labels)


def test_no_example_of_a_file_serves_twice(tmp_path: Path) -> None:
    task = read_task(str(write_task(tmp_path / "a.jsonl", "a", ("yes", "no"))))
    config = ShotsConfig(shots=4, prompts=9, contexts=3, context_shots=6, examples=30)
    split = split_examples(task, config, np.random.default_rng(0))
    groups = [{e for c in split.contexts for e in c}, set(split.single), {e for p in split.prompts for e in p}]
    assert all(not a & b for a, b in ((groups[0], groups[1]), (groups[0], groups[2]), (groups[1], groups[2])))
    assert all(len(set(prompt)) == 5 for prompt in split.prompts)
    with pytest.raises(InputError, match="has 60 different examples, 72 are needed"):
        split_examples(task, ShotsConfig(shots=24, context_shots=20), np.random.default_rng(0))


def test_corruptions_keep_the_query_and_the_form() -> None:
    task = word_task("t", 400)
    prompt = list(task.examples[:201])
    rng = np.random.default_rng(1)
    words = [word for example in task.examples for word in example.input.split()]
    for variant, right in (("75_correct", 0.75), ("50_correct", 0.5), ("0_correct", 0.0), ("random", 0.5)):
        shown = corrupt_examples(variant, task, prompt, words, rng)
        assert np.mean([a.label == b.label for a, b in zip(shown[:-1], prompt[:-1], strict=True)]) == pytest.approx(
            right, abs=0.1
        )
        assert [a.input for a in shown] == [b.input for b in prompt]
    permuted = corrupt_examples("permuted", task, prompt, words, rng)
    assert sorted(e.label for e in permuted) == sorted(e.label for e in prompt)
    foreign = corrupt_examples("foreign_inputs", task, prompt, words, rng)
    assert [len(a.input.split()) for a in foreign] == [len(b.input.split()) for b in prompt]
    assert foreign[-1] == prompt[-1]
    with pytest.raises(InputError, match="unknown variant"):
        corrupt_examples("sideways", task, prompt, words, rng)


def test_law_of_shown_labels_is_what_is_shown() -> None:
    task = word_task("t", 2000, labels=("yes", "no", "not"))
    rng = np.random.default_rng(2)
    for variant in ("gold", "random", "marginal", "25_correct"):
        law = label_probs(variant, task, task.examples, task.labels)
        assert law is not None
        assert np.allclose(law.sum(axis=1), 1)
        shown = corrupt_examples(variant, task, task.examples, [], rng)
        counts = np.array([np.mean([e.label == label for e in shown]) for label in task.labels])
        assert np.abs(counts - law.mean(axis=0)).max() < 0.05
    assert label_probs("abstract", task, task.examples, task.labels) is None


def test_renamed_labels_keep_the_examples() -> None:
    task = rename_labels(word_task("t"), {"yes": "0", "no": "big"})
    assert task.labels == ("0", "big")
    assert {example.label for example in task.examples} == {"0", "big"}


def test_shots_of_a_prompt_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "prompt.jsonl"
    path.write_text('{"input": "b", "label": "x"}\n{"input": "a", "label": "y"}\n{"input": "b", "label": "x"}\n')
    assert read_prompt(str(path)) == (Example("b", "x"), Example("a", "y"), Example("b", "x"))


def test_nothing_between_examples_is_refused() -> None:
    with pytest.raises(InputError, match="nothing between its examples"):
        Task(name="t", examples=(Example("a", "x"), Example("b", "y")), template="{input} {label}", delimiter="")
