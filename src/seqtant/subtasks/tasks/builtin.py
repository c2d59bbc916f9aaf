"""The built-in tasks (parity of hidden bits, sums, addition with carries) and the choice among them by name.

Source of the parity: Wies, Levine and Shashua, ICLR 2023, and its official code (MIT license), whose order of bits,
pairs and steps this follows: the subset is the first half of a random permutation *in the permutation's order*, and a
queue of subset bits followed by earlier steps is cut into consecutive pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np

from seqtant.errors import InputError, suggest
from seqtant.registry import Registry
from seqtant.sources import is_path
from seqtant.subtasks.config import RowSource, TaskChoice, TaskSource, describe_input
from seqtant.subtasks.tasks.task import XOR, Step, Task, gate_table, read_circuit

Order = Literal["tree", "chain"]

TASKS: Registry[Callable[[TaskChoice, int], Task]] = Registry("task", group="seqtant.subtasks")
"""Name -> function of the choice and the seed. Installed packages add theirs under the group ``seqtant.subtasks``."""
BUILT_IN_ROWS = "arithmetic"
"""Choice of the built-in rows: arithmetic problems in words."""


def draw_subset(bits: int, seed: int) -> tuple[int, ...]:
    """Samples the hidden half of the bits as the published code does, in its order.

    Example:
        >>> draw_subset(8, 27) == tuple(dict.fromkeys(draw_subset(8, 27)))
        True
    """
    # The legacy generator, seeded as there: only it reproduces the published subsets.
    legacy = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    return tuple(int(index) for index in legacy.permutation(bits)[: bits // 2])


def parity(bits: int, *, subset: Sequence[int] | None = None, seed: int = 0, order: Order = "tree") -> Task:
    """Builds the parity of a hidden subset of the bits, step by step.

    Args:
        bits: Number of bits d.
        subset: Positions of the subset in the order in which they are paired; by default d/2 sampled from the seed.
        seed: Seed of the subset.
        order: The published tree (log2 many levels), or a chain of running parities.

    Raises:
        InputError: The published tree does not exist for that many bits, or the subset does not fit.

    Example:
        >>> [step.reads for step in parity(8, subset=(5, 1, 7, 2)).steps]
        [(5, 1), (7, 2), (8, 9)]
    """
    # Half of the bits must be an even number for the tree to pair them up.
    if bits < 4 or (subset is None and bits % 4):
        raise InputError(f"bits is {bits}: the published steps pair up d/2 bits, so give a multiple of 4, at least 4")
    chosen = draw_subset(bits, seed) if subset is None else tuple(subset)
    if len(set(chosen)) < len(chosen) or not all(0 <= index < bits for index in chosen):
        raise InputError(f"subset {list(chosen)} must hold different positions from 0 to {bits - 1}")
    if len(chosen) < 2 or (order == "tree" and len(chosen) % 2):
        raise InputError(f"subset has {len(chosen)} positions: a tree pairs them up, give an even number")
    if order == "tree":
        # Step i writes position bits + i, which joins the queue; the last step is read by nobody.
        queue = [*chosen, *range(bits, bits + len(chosen) - 2)]
        reads = list(zip(queue[::2], queue[1::2], strict=True))
    else:
        reads = [(chosen[0], chosen[1]), *((bits + step, bit) for step, bit in enumerate(chosen[2:]))]
    return Task(
        name=f"parity of {len(chosen)} of {bits} bits",
        inputs=bits,
        alphabet=2,
        steps=tuple(Step(pair, XOR) for pair in reads),
        facts={"subset": list(chosen), "order": order},
    )


def modular_sum(terms: int, modulus: int) -> Task:
    """Builds the sum of some numbers modulo another, one running total per step.

    Raises:
        InputError: There are fewer than two terms, or the modulus is below two.

    Example:
        >>> modular_sum(3, 10).labels(np.array([[7, 5, 9]])).tolist()
        [[2, 1]]
    """
    if terms < 2 or modulus < 2:
        raise InputError(f"a sum of {terms} terms modulo {modulus} is none: give at least 2 terms and modulus 2")
    table = gate_table("sum", 2, modulus)
    # The first step adds two inputs; step s + 1 adds the next input to the total of step s.
    reads = [(0, 1), *((terms + step, step + 2) for step in range(terms - 2))]
    return Task(
        name=f"sum of {terms} numbers modulo {modulus}",
        inputs=terms,
        alphabet=modulus,
        steps=tuple(Step(pair, table) for pair in reads),
        facts={"modulus": modulus},
    )


def addition(digits: int) -> Task:
    """Builds the addition of two decimal numbers: for each place its digit and its carry, lowest place first.

    The input holds the first number and then the second, each lowest digit first; the answer without steps is written
    as people write it, highest digit first.

    Raises:
        InputError: There is no digit.

    Example:
        >>> addition(2).labels(np.array([[7, 9, 5, 2]])).tolist()  # 97 + 25 = 122
        [[2, 1, 2, 1]]
    """
    if digits < 1:
        raise InputError(f"digits is {digits}: give at least 1")
    inputs = 2 * digits
    steps: list[Step] = []
    for place in range(digits):
        # Step 2p writes the digit of place p and step 2p + 1 its carry, which place p + 1 reads.
        carry = () if place == 0 else (inputs + 2 * place - 1,)
        reads = (place, digits + place, *carry)
        totals = [sum(row) for row in itertools.product(range(10), repeat=len(reads))]
        steps.append(Step(reads, tuple(total % 10 for total in totals)))
        steps.append(Step(reads, tuple(total // 10 for total in totals)))
    # The last carry is the leading digit; then the digits from the highest place down.
    answer = (2 * digits - 1, *(2 * place for place in reversed(range(digits))))
    return Task(name=f"addition of {digits} digits", inputs=inputs, alphabet=10, steps=tuple(steps), answer=answer)


TASKS.add("parity", lambda choice, seed: parity(choice.bits, subset=choice.subset, seed=seed, order=choice.order))
TASKS.add("sum", lambda choice, seed: modular_sum(choice.terms, choice.modulus))
TASKS.add("addition", lambda choice, seed: addition(choice.digits))


def is_arithmetic(source: TaskSource) -> bool:
    """Whether the built-in rows are asked for."""
    return is_path(source) and str(source) == BUILT_IN_ROWS


def is_rows(source: TaskSource) -> TypeGuard[RowSource]:
    """Whether what is given as a task is rows: in memory, built in, a .jsonl file, a folder with ``train.jsonl``."""
    if not is_path(source):
        return not isinstance(source, Task)
    name = str(source)
    return is_arithmetic(name) or name.endswith(".jsonl") or (Path(name) / "train.jsonl").is_file()


def choose_task(choice: TaskChoice, seed: int) -> Task:
    """Builds the task that a user chose by name or circuit file; one that is in memory is given back."""
    if isinstance(choice.task, Task):
        return choice.task
    name = describe_input(choice.task)
    known = f"{', '.join(sorted(TASKS))} or a circuit.json"
    if is_rows(choice.task):
        raise InputError(f"'{name}' holds rows, not a task: this verb wants {known}")
    if name.endswith(".json"):
        return read_circuit(name)
    if name not in TASKS:
        raise InputError(f"unknown task '{name}'{suggest(name, TASKS)}: give {known}")
    return TASKS[name](choice, seed)
