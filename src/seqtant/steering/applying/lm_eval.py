"""Runs tasks of lm-evaluation-harness: multiple choice as helpfulness items, and any task whole on a steered model.

``--helpfulness lm-eval:arc_easy`` asks a task's questions with all that this package has for items: soft scores, paired
intervals, a whole sweep in one batch. :func:`evaluate` runs tasks of any kind, generation too, as the harness does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtant.errors import InputError, MissingExtraError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.optional import require
from seqtant.steering.applying.output_bias import apply_steering_as_bias
from seqtant.steering.data.items import Question
from seqtant.steering.vectors.vector import SteeringVector

EXTRA = "harness"


@dataclass(frozen=True)
class TaskScore:
    """One metric of one task at one strength."""

    task: str
    strength: float
    metric: str
    value: float
    stderr: float | None


def task_questions(source: str, *, limit: int) -> list[Question]:
    """Loads the questions of a multiple-choice task, by name or YAML file, asked without examples (zero-shot).

    Raises:
        MissingExtraError: The harness is not installed.
        InputError: There is no such task, its data cannot be had, or it is not multiple choice.
    """
    found = list(_tasks([source]).values())
    if len(found) != 1:
        raise InputError(f"'{source}' is a group of {len(found)} tasks: name one of them")
    (task,) = found
    if task.OUTPUT_TYPE != "multiple_choice" or task.multiple_input:
        raise InputError(
            f"task '{source}' is no multiple choice after one prompt: choose another task, or run it with "
            "seqtant.steering.applying.lm_eval.evaluate"
        )
    description, delimiter = task.config.description or "", task.config.target_delimiter
    questions = []
    for doc in list(task.eval_docs)[:limit]:
        options = [str(choice) for choice in task.doc_to_choice(doc)]
        # A task gives its target as an index or as the text of the option.
        target = task.doc_to_target(doc)
        answer = target if isinstance(target, int) else options.index(str(target))
        prompt = f"{description}{task.doc_to_text(doc)}"
        questions.append(Question(prompt, tuple(delimiter + option for option in options), answer))
    return questions


def evaluate(
    model: HuggingFaceLM,
    vector: SteeringVector,
    strengths: Sequence[float],
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    batch_size: int = 8,
) -> list[TaskScore]:
    """Runs tasks of the harness on a steered model, at one strength after the other.

    Args:
        model: The model.
        vector: The vector.
        strengths: The strengths.
        tasks: Names of tasks, or paths of their YAML files.
        limit: Most documents per task; None takes all.
        batch_size: Rows per forward pass.

    Returns:
        Every metric of every task at every strength.

    Raises:
        MissingExtraError: The harness is not installed.
        InputError: A task is not known.
    """
    loaded = _tasks(tasks)
    evaluator, wrappers = _import("evaluator"), _import("models.huggingface")
    harness = wrappers.HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=batch_size)
    found: list[TaskScore] = []
    for strength in strengths:
        # The harness batches and sorts rows itself: one strength for all rows is the only thing that holds under it.
        with apply_steering_as_bias(model, vector, strength):
            done = evaluator.simple_evaluate(
                harness, tasks=list(loaded.values()), limit=limit, bootstrap_iters=0, log_samples=False
            )
        for task, metrics in done["results"].items():
            # Keys are "metric,filter", their standard errors "metric_stderr,filter"; the rest names the task.
            for key, value in metrics.items():
                name, _, kind = key.partition(",")
                if name.endswith("_stderr") or not kind or not isinstance(value, int | float):
                    continue
                error = metrics.get(f"{name}_stderr,{kind}")
                found.append(TaskScore(task, strength, name, float(value), error if isinstance(error, float) else None))
    return found


def _import(name: str) -> Any:
    """Imports a module of the harness, or names the extra that installs it."""
    try:
        require("lm_eval", extra=EXTRA)
    except MissingExtraError as error:
        raise MissingExtraError(f"lm-evaluation-harness is not installed: pip install 'seqtant[{EXTRA}]'") from error
    return require(f"lm_eval.{name}", extra=EXTRA)


def _tasks(sources: Sequence[str]) -> dict[str, Any]:
    """Loads tasks by name or file."""
    import yaml

    task_manager = _import("tasks").TaskManager
    files = [Path(source) for source in sources if source.endswith((".yaml", ".yml"))]
    for file in files:
        if not file.is_file():
            raise InputError(f"no file '{file}': give a task's YAML file, or the name of a task")
    manager = task_manager(
        include_path=[str(file.parent) for file in files] or None, include_defaults=len(files) < len(sources)
    )
    names = list(sources)
    for index, source in enumerate(sources):
        if Path(source) not in files:
            continue
        # A task that comes as a file goes by the name that the file gives it.
        name = (yaml.safe_load(Path(source).read_text(encoding="utf-8")) or {}).get("task")
        if not isinstance(name, str):
            raise InputError(f"'{source}' names no task: it needs a line 'task: name'")
        names[index] = name
    unknown = [name for name in names if name not in manager.all_tasks]
    if unknown:
        raise InputError(f"lm-evaluation-harness knows no task '{unknown[0]}': 'lm-eval ls tasks' lists those it knows")
    try:
        return manager.load(names)["tasks"]
    except OSError as error:
        raise InputError(f"the data of task '{names[0]}' cannot be had: {' '.join(str(error).split())}") from error
