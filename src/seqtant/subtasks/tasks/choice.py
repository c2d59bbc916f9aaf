"""From a user's choice to a task: a name, or a circuit file."""

from __future__ import annotations

from collections.abc import Callable

from seqtant.errors import InputError, suggest
from seqtant.registry import Registry
from seqtant.subtasks.config import TaskChoice
from seqtant.subtasks.rows.problem_rows import is_rows
from seqtant.subtasks.tasks.arithmetic import addition, modular_sum
from seqtant.subtasks.tasks.circuits import read_circuit
from seqtant.subtasks.tasks.parity import parity
from seqtant.subtasks.tasks.task import Task

TASKS: Registry[Callable[[TaskChoice, int], Task]] = Registry("task", group="seqtant.subtasks")
"""Name -> function of the choice and the seed. Installed packages add theirs under the group ``seqtant.subtasks``."""


@TASKS.register("parity")
def _parity(choice: TaskChoice, seed: int) -> Task:
    return parity(choice.bits, subset=choice.subset, seed=seed, order=choice.order)


@TASKS.register("sum")
def _sum(choice: TaskChoice, seed: int) -> Task:
    return modular_sum(choice.terms, choice.modulus)


@TASKS.register("addition")
def _addition(choice: TaskChoice, seed: int) -> Task:
    return addition(choice.digits)


def choose_task(choice: TaskChoice, seed: int) -> Task:
    """Builds the task that was chosen.

    Args:
        choice: Name or file, and the numbers that belong to it.
        seed: Seed of what the task itself draws (the subset of a parity).

    Raises:
        InputError: There is no such task or file, or a number does not fit.
    """
    if choice.task.endswith(".json"):
        return read_circuit(choice.task)
    known = f"{', '.join(sorted(TASKS))} or a circuit.json"
    if is_rows(choice.task):
        raise InputError(f"'{choice.task}' holds rows, not a task: this verb wants {known}")
    if choice.task not in TASKS:
        raise InputError(f"unknown task '{choice.task}'{suggest(choice.task, TASKS)}: give {known}")
    return TASKS[choice.task](choice, seed)
