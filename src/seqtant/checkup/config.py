"""What a checkup is asked: which model, with which files of the user's own, by which instruments."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqtant.errors import InputError
from seqtant.rooms import room


@dataclass(frozen=True, kw_only=True)
class CheckupConfig:
    """One model, or two side by side."""

    model: str = "reference"
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    compare: tuple[str, str] | None = None
    """Two models, before and after, in place of ``model``."""
    behavior: str | None = None
    """JSON lines that say what good behavior is: statements, contrast pairs, prompts with good and bad replies."""
    tasks: tuple[str, ...] = ()
    """JSON lines with what the model is to do: labeled examples, questions, problems with steps."""
    corpus: tuple[str, ...] = ()
    """Text of the user's own, for what the model gains from related text."""
    budget: float = 0.05
    """Share of helpfulness that steering may cost."""
    only: tuple[str, ...] = ()
    """Instruments to run; empty runs all that apply."""
    skip: tuple[str, ...] = ()
    """Instruments to leave out."""

    def __post_init__(self) -> None:
        for name in (*self.only, *self.skip):
            room(name)
        if not 0 < self.budget < 1:
            raise InputError(f"budget is {self.budget}: give a share between 0 and 1, such as 0.05")
        if self.compare is not None and self.compare[0] == self.compare[1]:
            raise InputError(f"compare names '{self.compare[0]}' twice: give two models")

    def of(self, model: str) -> CheckupConfig:
        """The same questions to one model."""
        return replace(self, model=model, compare=None)
