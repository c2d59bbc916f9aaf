"""Opens the model and the tasks that a configuration names, and splits examples so that none is used twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.icl.config import WORLD, TaskSource, knows_games
from seqtant.icl.prompts.encoding import Ids, PromptEncoder
from seqtant.icl.prompts.tasks import TASKS, Example, Task, game_names, read_task, reference_tasks
from seqtant.lm.interface import CausalLM
from seqtant.runs.recorder import Context, Recorder
from seqtant.sources import describe, is_path

SPLIT_SEED, SAMPLE_SEED, CORRUPT_SEED, ORDER_SEED = range(20, 24)
"""Last part of the seed of each use: splitting examples, sampling the world's own, corrupting, reordering."""


@dataclass(frozen=True)
class TaskSplit:
    """One task's examples, each in one part only."""

    contexts: list[list[Example]]
    single: list[Example]
    """Single examples, from which divergences are measured."""
    prompts: list[list[Example]]
    """Prompts; each holds one example more than shots, the last being a query only."""


@dataclass(frozen=True)
class Study:
    """Model, tasks and splits that all measurements share."""

    model: CausalLM
    encoder: PromptEncoder
    tasks: list[Task]
    splits: list[TaskSplit]
    contexts: list[list[Ids]]
    """Per task, the tokens of its contexts."""

    @property
    def log_prior(self) -> Float[np.ndarray, " tasks"]:
        """Log prior weight of every task."""
        weights = np.array([task.weight for task in self.tasks])
        return np.log(weights / weights.sum())

    @property
    def shots(self) -> int:
        """Most shots that every prompt holds."""
        return len(self.splits[0].prompts[0]) - 1

    def label_numbers(self, examples: Sequence[Example]) -> np.ndarray:
        """Looks up the number of every example's label."""
        numbers = {label: number for number, label in enumerate(self.encoder.labels)}
        return np.array([numbers[example.label] for example in examples])


def open_study(config: TaskSource, context: Context, record: Recorder, *, least_tasks: int = 2) -> Study:
    """Opens model and tasks and splits the examples."""
    generator = np.random.default_rng([context.seed, SPLIT_SEED])
    given: Any = config.tasks
    if not given and not knows_games(config.model):
        raise InputError(
            f"which tasks shall '{describe(config.model)}' be shown? give two or more: --tasks a.jsonl --tasks b.jsonl"
        )
    games: dict[str, Task] = {}
    if not given or any(is_path(each) and str(each) in game_names() for each in given):
        # As many samples as are used, so that none is used twice.
        needed = config.contexts * config.context_shots + config.examples + config.prompts * (config.shots + 1)
        sampling = np.random.default_rng([context.seed, SAMPLE_SEED])
        games = {task.name: task for task in reference_tasks(needed, sampling)}
    tasks: list[Task] = []
    for each in given or games.values():
        if not is_path(each):
            tasks.append(each)
        elif str(each).startswith("harness:"):
            from seqtant.icl.prompts.lm_eval import harness_task

            tasks.append(harness_task(str(each).removeprefix("harness:")))
        elif each in TASKS:
            tasks.append(TASKS[str(each)]())
        elif each in games and not Path(each).is_file():
            tasks.append(games[str(each)])
        else:
            tasks.append(read_task(each))
    if len(tasks) < least_tasks:
        raise InputError(f"{len(tasks)} task is given: give at least {least_tasks}, so that there is one to tell apart")
    if len({task.name for task in tasks}) < len(tasks):
        raise InputError(f"two tasks have one name: {', '.join(task.name for task in tasks)}")
    if is_path(config.model) and str(config.model) == WORLD:
        from seqtant.reference.oracle import WorldLM
        from seqtant.reference.world.world import reference_world

        model = WorldLM(reference_world())
    else:
        from seqtant.lm.loading import load

        model = load(config.model, device=context.device, dtype=config.dtype, shared=True)
    # The labels of all tasks, each once: a model that does not know the task yet has to choose among them.
    encoder = PromptEncoder(model, tuple(dict.fromkeys(label for task in tasks for label in task.labels)))
    splits = [split_examples(task, config, generator) for task in tasks]
    splits, contexts = _fit_to_context(encoder, tasks, splits, record)
    return Study(model, encoder, tasks, splits, contexts)


def split_examples(task: Task, config: TaskSource, generator: np.random.Generator) -> TaskSplit:
    """Splits a task's examples: contexts first, then half the rest to single examples and half to prompts.

    Samples of a distribution are used once each. A file's examples are few: prompts are sampled from their half with
    replacement, but no prompt shows one twice.
    """
    examples = list(task.examples if task.is_law else dict.fromkeys(task.examples))
    order = [examples[index] for index in generator.permutation(len(examples))]
    size, prompt_size = config.context_shots, config.shots + 1
    if task.is_law:
        taken = config.contexts * size
        needed = taken + config.examples + config.prompts * prompt_size
        if len(order) < needed:
            raise InputError(
                f"task '{task.name}' has {len(order)} samples of its distribution, {needed} are needed: give more, or "
                "lower --set prompts or --set examples"
            )
        single, rest = order[taken : taken + config.examples], order[taken + config.examples :]
        prompts = [rest[start : start + prompt_size] for start in range(0, config.prompts * prompt_size, prompt_size)]
    else:
        # One context, and for each half one prompt with an example to spare.
        least = size + 2 * (config.shots + 2)
        if len(order) < least:
            raise InputError(
                f"task '{task.name}' has {len(order)} different examples, {least} are needed: give more, or lower "
                "--set shots or --set context_shots"
            )
        # As many whole contexts as are asked for, as long as both halves keep enough examples for a prompt.
        taken = size * max(1, min(config.contexts, (len(order) - 2 * (config.shots + 2)) // size))
        half = (len(order) - taken) // 2
        single, pool = order[taken : taken + half][: config.examples], order[taken + half :]
        prompts = [[pool[i] for i in generator.permutation(len(pool))[:prompt_size]] for _ in range(config.prompts)]
    return TaskSplit([order[start : start + size] for start in range(0, taken, size)], single, prompts)


def _fit_to_context(
    encoder: PromptEncoder, tasks: Sequence[Task], splits: Sequence[TaskSplit], record: Recorder
) -> tuple[list[TaskSplit], list[list[Ids]]]:
    """Drops whole examples from prompts and contexts that do not fit the model's context length."""
    name, limit = encoder.model.name, encoder.model.context_length
    longest = 0
    for task, split in zip(tasks, splits, strict=True):
        scored = dict.fromkeys([*split.single, *(example for prompt in split.prompts for example in prompt)])
        sizes = (len(each.ids) + max(map(len, each.label_ids)) for each in encoder.encode_examples(task, list(scored)))
        longest = max(longest, *sizes)
    contexts: list[list[Ids]] = []
    given = fewest = len(splits[0].contexts[0])
    for task, split in zip(tasks, splits, strict=True):
        contexts.append([])
        for examples in split.contexts:
            shots, ids = examples, encoder.encode_context(task, examples)
            # The oldest examples go first, until two more fit behind: drift is measured on pairs.
            while limit is not None and shots and len(ids) + 2 * longest > limit:
                shots = shots[1:]
                ids = encoder.encode_context(task, shots)
            if not shots:
                raise InputError(
                    f"task '{task.name}': not three of its examples fit into the {limit} tokens of the model"
                )
            fewest = min(fewest, len(shots))
            contexts[-1].append(ids)
    if fewest < given:
        record.warn(f"'{name}' reads {limit} tokens: only {fewest} of {given} examples fit into a many-shot context")
    asked = len(splits[0].prompts[0]) - 1
    most = min(_most_shots(encoder, task, split, limit) for task, split in zip(tasks, splits, strict=True))
    if most < 1:
        raise InputError(f"'{name}' reads {limit} tokens: not even one example and a query fit")
    if most < asked:
        record.warn(f"'{name}' reads {limit} tokens: prompts hold {most} shots instead of {asked}")
    return [replace(split, prompts=[prompt[: most + 1] for prompt in split.prompts]) for split in splits], contexts


def _most_shots(encoder: PromptEncoder, task: Task, split: TaskSplit, limit: int | None) -> int:
    """Most shots after which the query of every prompt still fits with its longest label."""
    if limit is None:
        return len(split.prompts[0]) - 1
    most = [-1] * len(split.prompts)
    for each in encoder.encode_prompts([task] * len(split.prompts), split.prompts):
        for position, labels, (prompt, shots) in zip(each.label_positions, each.label_ids, each.slots, strict=True):
            if position + max(map(len, labels)) <= limit:
                most[prompt] = max(most[prompt], shots)
    return min(most)
