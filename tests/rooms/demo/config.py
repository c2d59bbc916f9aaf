"""Settings of the pendulum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seqtant.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The clock that times the swings."""

    error: float = 0.01
    """Standard error of one timing, seconds."""
    digits: int | None = None
    """Digits it shows; by default all."""


@dataclass(frozen=True, kw_only=True)
class PendulumConfig:
    """Which pendulum, and how it is timed."""

    length: float = 1.0
    """Length, meters."""
    angle: float = 5.0
    """Amplitude, degrees."""
    swings: int = 20
    """Timed swings per start."""
    starts: int = 6
    """Independent starts."""
    clock: Clock = field(default_factory=Clock)
    """How the swings are timed."""

    def __post_init__(self) -> None:
        if not 0 < self.length < 1e4:
            raise InputError(f"length is {self.length}: give meters between 0 and 10000")

    @classmethod
    def smoke(cls) -> PendulumConfig:
        """Few swings, a good clock."""
        return cls(swings=8, clock=Clock(error=0.002, digits=6))


CONFIGS: dict[str, type[Any]] = {"pendulum": PendulumConfig}
