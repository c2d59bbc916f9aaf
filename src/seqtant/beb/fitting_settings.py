"""How P- and P+ are fitted to statements of a behavior: data, adapters, course of the training, gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least, fraction


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Two LoRA adapters or small models, one per kind of statements."""

    behavior: str | None = None
    """JSON lines with ``statement`` and ``answer_matching_behavior`` (Yes or No)."""
    negative: Literal["matching", "not matching"] = "matching"
    """Which statements are the bad ones."""
    template: Literal["concat", "inst", "single"] = "concat"
    """Three statements of one polarity per text, as sentences or as chat turns ([INST]...[/INST]); or one per text,
    as the gate reads them."""
    statements: int = 500
    """Most statements of each polarity."""
    held_out: float = 0.1
    """Share of the groups of three that is kept for the gate, never trained on."""
    gate: float = 0.95
    """Least share of held-out statements that P+ and P- must tell apart by likelihood."""
    rank: int = 8
    """Rank of the adapters; 0 trains all weights, which suits small models: each side is then a model of its own."""
    lora_alpha: int = 32
    """Scale of the adapters: their output is multiplied by lora_alpha / rank."""
    targets: tuple[str, ...] = ()
    """Modules that are adapted; empty takes the library's choice for the family (queries and values), and
    ``all-linear`` all matrices of the blocks, which small models need."""
    first_layer: int = 0
    """First block that is adapted; the blocks below run once for all sides."""
    batch: int = 8
    """Texts of a training batch."""
    epochs: float = 5.0
    """Times that every training text is seen."""
    learning_rate: float | None = None
    """Peak learning rate. None takes the paper's, 2e-5 for 13 billion parameters, times the square root of how many
    times smaller the model is, at most 0.01."""

    def __post_init__(self) -> None:
        at_least(6, statements=self.statements)
        at_least(1, lora_alpha=self.lora_alpha, batch=self.batch)
        at_least(0, rank=self.rank, first_layer=self.first_layer)
        fraction(held_out=self.held_out, gate=self.gate)
        if self.epochs <= 0:
            raise InputError(f"epochs is {self.epochs}: give a positive number")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise InputError(f"learning_rate is {self.learning_rate}: give a positive number")
