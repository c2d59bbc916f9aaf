"""The subjects: what each package answers, and the papers it stands on. Names only; nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """One subject."""

    name: str
    """Package and command group, e.g. ``architecture``."""
    question: str
    """What a user asks it."""
    papers: tuple[int, ...]
    """Numbers in the paper index."""


PACKAGES: dict[str, Package] = {
    each.name: each
    for each in (
        Package("architecture", "How deep, how wide? Is the vocabulary choking the width?", (7, 8)),
        Package("pretraining", "Which texts should share a training example?", (6,)),
        Package("subtasks", "Which steps make a compound task learnable?", (5,)),
        Package("icl", "How many examples must the prompt hold?", (4,)),
        Package("beb", "How long a prompt breaks the alignment?", (3,)),
        Package("steering", "How hard may I steer before the model gets useless?", (1,)),
        Package("ctc", "Can my CTC model have the property I care about?", (2,)),
        Package("quantum", "What is the ground state of this spin lattice?", (9,)),
    )
}
