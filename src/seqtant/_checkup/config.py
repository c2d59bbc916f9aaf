"""What a checkup is asked: which model, with which files of the user's own, by which instruments."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any, ClassVar

from seqtant.errors import InputError
from seqtant.instruments import package
from seqtant.settings import Share, VerbConfig, config
from seqtant.sources import ModelSource, ObjectOrPath, Rows


@config
class CheckupConfig(VerbConfig):
    """Run every instrument that applies to a causal language model and write one report.

    Exit code 1 if a section or a gate fails, 3 if a gate cannot be told.
    """

    verb: ClassVar[str] = "checkup"
    model: ModelSource = field(default="reference", kw_only=False)
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    compare: tuple[ModelSource, ModelSource] | None = None
    """Two models, before and after, in place of ``model``."""
    behavior: Rows | None = None
    """JSON lines that say what good behavior is: statements, contrast pairs, prompts with good and bad replies."""
    tasks: tuple[Rows, ...] = ()
    """JSON lines with what the model is to do: labeled examples, questions, problems with steps."""
    corpus: tuple[str, ...] = ()
    """Text files of the user's own, for what the model gains from related text."""
    budget: Share = 0.05
    """Share of helpfulness that steering may cost."""
    gate: ObjectOrPath | None = None
    """Limits on what is found, a YAML file or a mapping: ``{beb: {halfway_measured: {least: 3}}}``."""
    only: tuple[str, ...] = ()
    """Instruments to run; empty runs all that apply."""
    skip: tuple[str, ...] = ()
    """Instruments to leave out."""

    def __post_init__(self) -> None:
        for name in (*self.only, *self.skip):
            package(name)
        if self.compare is not None and self.compare[0] == self.compare[1]:
            raise InputError(f"compare names '{self.compare[0]}' twice: give two models")

    def of(self, model: Any) -> CheckupConfig:
        """Asks one model the same questions."""
        return replace(self, model=model, compare=None)
