"""What a training run leaves behind besides the weights: its course, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class TrainingHistory:
    """The course of one run; a resumed run has the history of an uninterrupted one.

    Example:
        >>> history = TrainingHistory(losses=[2.0, 1.0], evaluations={2: {"loss": 1.5}})
        >>> history.steps, history.evaluated("loss")
        (2, 1.5)
    """

    losses: list[float] = field(default_factory=list)
    """Mean training loss of each step, before its update."""
    gradient_norms: list[float] = field(default_factory=list)
    """Norm of the whole gradient of each step, before clipping."""
    tokens: int = 0
    """Counted positions seen so far (for language models: labels learned from)."""
    evaluations: dict[int, dict[str, float]] = field(default_factory=dict)
    """What the evaluation returned, by number of steps taken."""
    resumed_from: int = 0
    """Steps already taken when this process took over; 0 for a run from the start."""

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.losses)

    def evaluated(self, name: str) -> float:
        """The newest evaluation of one quantity."""
        return self.evaluations[max(self.evaluations)][name]

    def plain(self) -> dict[str, object]:
        """As JSON data; ``resumed_from`` is left out since it belongs to a process, not to the run."""
        return {
            "losses": self.losses,
            "gradient_norms": self.gradient_norms,
            "tokens": self.tokens,
            "evaluations": {str(step): numbers for step, numbers in self.evaluations.items()},
        }

    @classmethod
    def read(cls, data: dict[str, object]) -> TrainingHistory:
        """The inverse of :meth:`plain`."""
        history = cls(**data)  # type: ignore[arg-type]
        history.evaluations = {int(step): numbers for step, numbers in history.evaluations.items()}
        history.resumed_from = history.steps
        return history
