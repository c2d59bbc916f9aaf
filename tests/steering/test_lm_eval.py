"""Tasks of lm-evaluation-harness: as items, whole, and refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtant.errors import InputError, MissingExtraError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.applying import lm_eval as harness
from seqtant.steering.data.items import Question
from seqtant.steering.inputs import fact_questions
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.vectors.vector import SteeringVector
from tests.steering.samples import make_bench

REASON = "lm-evaluation-harness is not installed: pip install 'seqtant[harness]'"


@pytest.fixture
def questions() -> list[Question]:
    import numpy as np

    return fact_questions(12, np.random.default_rng(3))


@pytest.fixture
def task(questions: list[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task of the harness that asks the questions of the reference world."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    lines = [{"prompt": q.prompt, "options": [o.strip() for o in q.options], "answer": q.answer} for q in questions]
    data = tmp_path / "facts.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    place = tmp_path / "world_facts.yaml"
    place.write_text(
        "task: world_facts\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{prompt}}"\ndoc_to_choice: options\ndoc_to_target: answer\n'
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    return str(place)


@pytest.mark.filterwarnings("ignore")
def test_a_task_asks_what_its_file_says(task: str, questions: list[Question]) -> None:
    pytest.importorskip("lm_eval", reason=REASON)
    assert harness.task_questions(task, limit=100) == questions
    assert len(harness.task_questions(task, limit=5)) == 5


@pytest.mark.filterwarnings("ignore")
def test_the_harness_counts_as_this_room_does(
    task: str, questions: list[Question], model: HuggingFaceLM, vector: SteeringVector
) -> None:
    pytest.importorskip("lm_eval", reason=REASON)
    scores = harness.evaluate(model, vector, [0.0, 40.0], [task])
    behavior = make_bench(model, vector).behavior
    ours = Bench(model, vector, behavior, questions).score_helpfulness([0.0, 40.0]).right.mean(axis=1)
    theirs = [score.value for score in scores if score.metric == "acc"]
    assert theirs == pytest.approx(ours.tolist())
    assert {score.task for score in scores} == {"world_facts"}


@pytest.mark.filterwarnings("ignore")
def test_unknown_tasks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason=REASON)
    with pytest.raises(InputError, match="knows no task 'no_such_task'"):
        harness.task_questions("no_such_task", limit=3)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="the data of task 'arc_easy' cannot be had"):
        harness.task_questions("arc_easy", limit=3)
    with pytest.raises(InputError, match=r"no file '.*nowhere.yaml'"):
        harness.task_questions(str(tmp_path / "nowhere.yaml"), limit=3)


def test_without_the_harness_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtraError, match=r"seqtant\[harness\]"):
        harness.task_questions("arc_easy", limit=3)
