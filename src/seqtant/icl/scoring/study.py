"""Opens what a configuration names: model and tasks; deals examples out so that none serves twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.icl.config import TaskSource
from seqtant.icl.prompts.encoding import Encoder, Ids
from seqtant.icl.prompts.tasks import TASKS, Example, Task, common_labels
from seqtant.lm.interface import CausalLM
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

WORLD = "world"
"""The name under which the reference world's exact oracle is asked for."""
DEALING, DRAWING = 20, 21
"""Last part of the seed of dealing out examples, and of drawing those of the reference world."""


@dataclass(frozen=True)
class Dealt:
    """One task's examples, each in one place only."""

    contexts: list[list[Example]]
    """Many-shot contexts."""
    measured: list[Example]
    """Single examples, from which divergences are measured."""
    prompts: list[list[Example]]
    """Prompts; each holds one example more than shots, the last being a query only."""


@dataclass(frozen=True)
class Study:
    """Everything that the measurements share."""

    model: CausalLM
    encoder: Encoder
    tasks: list[Task]
    dealt: list[Dealt]
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
        return len(self.dealt[0].prompts[0]) - 1

    def label_numbers(self, examples: Sequence[Example]) -> np.ndarray:
        """Number of every example's label."""
        place = {label: number for number, label in enumerate(self.encoder.labels)}
        return np.array([place[example.label] for example in examples])


def open_study(config: TaskSource, context: Context, record: Recorder, *, least_tasks: int = 2) -> Study:
    """Opens model and tasks and deals the examples out.

    Args:
        config: Names them.
        context: Seed and device.
        record: Told of what had to be left out.
        least_tasks: Fewest tasks that make sense.

    Raises:
        InputError: The model or a task cannot be used, or a task has too few examples.
    """
    generator = np.random.default_rng([context.seed, DEALING])
    tasks = open_tasks(config, context)
    if len(tasks) < least_tasks:
        raise InputError(f"{len(tasks)} task is given: give at least {least_tasks}, so that there is one to tell apart")
    if len({task.name for task in tasks}) < len(tasks):
        raise InputError(f"two tasks have one name: {', '.join(task.name for task in tasks)}")
    model = open_model(config, context)
    encoder = Encoder(model, common_labels(tasks))
    dealt = [deal(task, config, generator) for task in tasks]
    dealt, contexts = _fitted(model, encoder, tasks, dealt, record)
    return Study(model, encoder, tasks, dealt, contexts)


def open_model(config: TaskSource, context: Context) -> CausalLM:
    """The model of a configuration.

    Raises:
        InputError: It cannot be loaded.
    """
    if config.model == WORLD:
        from seqtant.reference.oracle import WorldLM
        from seqtant.reference.world.world import reference_world

        return WorldLM(reference_world())
    from seqtant.lm.loading import load

    return load(config.model, device=context.device, dtype=config.dtype, shared=True)


def open_tasks(config: TaskSource, context: Context) -> list[Task]:
    """The tasks of a configuration; by default the games of the reference world.

    Raises:
        InputError: A task cannot be read, or none is given for a model that is not ours.
    """
    from seqtant.lm.folder import REFERENCE

    if config.tasks:
        return [_open_task(name) for name in config.tasks]
    if config.model not in (REFERENCE, WORLD):
        raise InputError(
            f"which tasks shall '{config.model}' be shown? give two files or more: --tasks a.jsonl --tasks b.jsonl"
        )
    from seqtant.icl.prompts.reference_tasks import reference_tasks

    drawn = needed(config)
    return reference_tasks(drawn, np.random.default_rng([context.seed, DRAWING]))


def _open_task(name: str) -> Task:
    from seqtant.icl.prompts.task_files import read_task

    if name.startswith("harness:"):
        from seqtant.icl.prompts.lm_eval import harness_task

        return harness_task(name.removeprefix("harness:"))
    return TASKS[name]() if name in TASKS else read_task(name)


def needed(config: TaskSource) -> int:
    """Examples of a task that is drawn from a law, so that none serves twice."""
    return config.contexts * config.context_shots + config.examples + config.prompts * (config.shots + 1)


def deal(task: Task, config: TaskSource, generator: np.random.Generator) -> Dealt:
    """Deals a task's examples out: contexts first, then half the rest to single examples and half to prompts.

    A law's examples serve once each. A file's are few: prompts draw from their half anew, never one twice in a prompt.

    Raises:
        InputError: There are too few.
    """
    order = [task.examples[index] for index in generator.permutation(len(task.examples))]
    if task.is_law:
        taken = config.contexts * config.context_shots
        rest = order[taken + config.examples :]
        size = config.shots + 1
        prompts = [rest[start : start + size] for start in range(0, config.prompts * size, size)]
        return Dealt(_cut(order[:taken], config.context_shots), order[taken : taken + config.examples], prompts)
    least = config.context_shots + 2 * (config.shots + 2)
    if len(order) < least:
        raise InputError(
            f"task '{task.name}' has {len(order)} different examples, {least} are needed: give more, or lower "
            "--set shots or --set context_shots"
        )
    many = max(1, min(config.contexts, (len(order) - 2 * (config.shots + 2)) // config.context_shots))
    taken = many * config.context_shots
    half = (len(order) - taken) // 2
    measured, pool = order[taken : taken + half][: config.examples], order[taken + half :]
    prompts = [[pool[i] for i in generator.permutation(len(pool))[: config.shots + 1]] for _ in range(config.prompts)]
    return Dealt(_cut(order[:taken], config.context_shots), measured, prompts)


def _cut(examples: Sequence[Example], size: int) -> list[list[Example]]:
    return [list(examples[start : start + size]) for start in range(0, len(examples), size)]


def _fitted(
    model: CausalLM, encoder: Encoder, tasks: Sequence[Task], dealt: Sequence[Dealt], record: Recorder
) -> tuple[list[Dealt], list[list[Ids]]]:
    """Whole examples are dropped from what does not fit the model's context."""
    room = model.context_length
    longest = max(_longest(encoder, task, own) for task, own in zip(tasks, dealt, strict=True))
    contexts = [
        [_that_fits(encoder, task, shots, longest, room) for shots in own.contexts]
        for task, own in zip(tasks, dealt, strict=True)
    ]
    left = min(len(shots) for own in contexts for shots, _ in own)
    given = len(dealt[0].contexts[0])
    if left < given:
        record.warn(f"'{model.name}' reads {room} tokens: only {left} of {given} examples fit into a many-shot context")
    shots = min(_shots_that_fit(encoder, task, own, room) for task, own in zip(tasks, dealt, strict=True))
    asked = len(dealt[0].prompts[0]) - 1
    if shots < 1:
        raise InputError(f"'{model.name}' reads {room} tokens: not even one example and a query fit")
    if shots < asked:
        record.warn(f"'{model.name}' reads {room} tokens: prompts hold {shots} shots instead of {asked}")
    shorter = [replace(own, prompts=[prompt[: shots + 1] for prompt in own.prompts]) for own in dealt]
    return shorter, [[ids for _, ids in own] for own in contexts]


def _longest(encoder: Encoder, task: Task, own: Dealt) -> int:
    """Most tokens of an example that is scored behind a context."""
    shown = dict.fromkeys([*own.measured, *(example for prompt in own.prompts for example in prompt)])
    return max(len(each.ids) + max(map(len, each.answers)) for each in encoder.encode_examples(task, list(shown)))


def _that_fits(
    encoder: Encoder, task: Task, shots: Sequence[Example], longest: int, room: int | None
) -> tuple[Sequence[Example], Ids]:
    """A context from which the oldest examples are dropped until two more examples fit behind it."""
    ids = encoder.encode_context(task, shots)
    # Drift is measured on two examples behind a context.
    while room is not None and shots and len(ids) + 2 * longest > room:
        shots = shots[1:]
        ids = encoder.encode_context(task, shots)
    if not shots:
        raise InputError(f"task '{task.name}': not three of its examples fit into the {room} tokens of the model")
    return shots, ids


def _shots_that_fit(encoder: Encoder, task: Task, own: Dealt, room: int | None) -> int:
    if room is None:
        return len(own.prompts[0]) - 1
    rows = encoder.encode_prompts([task] * len(own.prompts), own.prompts)
    fits = [
        (slot[0], slot[1])
        for row in rows
        for place, answers, slot in zip(row.places, row.answers, row.slots, strict=True)
        if place + max(map(len, answers)) <= room
    ]
    most = dict.fromkeys(range(len(own.prompts)), -1)
    for prompt, shots in fits:
        most[prompt] = max(most[prompt], shots)
    return min(most.values())
