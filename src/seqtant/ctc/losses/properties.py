"""Properties, the rules that turn a sampled path into a better one: interface, registry, and a fuzzer for new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.ctc.lattice.paths import PathBatch, collapse
from seqtant.errors import InputError
from seqtant.registry import Registry


@dataclass(frozen=True)
class Edit:
    """Better paths made from sampled ones.

    Args:
        paths: Labels, shape (B, N, T); equal to the sampled path where nothing could be improved.
        changed: Whether a path was improved, shape (B, N). Only these pairs contribute to the loss.
    """

    paths: Int[Tensor, "B N T"]
    changed: Bool[Tensor, "B N"]


@runtime_checkable
class Property(Protocol):
    """A property that alignments may have more or less of.

    A class may name in ``takes`` which fields of :class:`seqtant.ctc.losses.registry.MethodSettings` it is made with
    where it is a method of training, ``--method awp:NAME``.

    Example:
        >>> from seqtant.ctc.losses.low_latency import LowLatency
        >>> isinstance(LowLatency(), Property)
        True
    """

    @property
    def keeps_text(self) -> bool:
        """Whether an edit never changes the collapsed text."""
        ...

    @property
    def needs_targets(self) -> bool:
        """Whether an edit looks at the reference."""
        ...

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one better path of each sampled path, of the same length, touching only frames that count."""
        ...

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """What the property wants less of; strictly lower on every changed path."""
        ...


PROPERTIES: Registry[type[Property]] = Registry(
    "CTC property",
    group="seqtant.ctc_properties",
    entries={
        "low-latency": "seqtant.ctc.losses.low_latency:LowLatency",
        "minimum-wer": "seqtant.ctc.losses.minimum_wer:MinimumWER",
    },
)


@dataclass(frozen=True)
class PropertyReport:
    """The numbers of paths tried, of paths edited, and of paths per broken promise; empty if all were kept."""

    paths: int
    changed: int
    violations: dict[str, int]

    def require(self) -> PropertyReport:
        """Returns the report if every promise was kept."""
        if self.violations:
            counts = ", ".join(f"{name} on {number} of {self.paths}" for name, number in self.violations.items())
            raise InputError(f"the property breaks its promises: {counts} paths: mend its edit or its declarations")
        return self


def check_property(
    rule: Property, *, paths: int = 10_000, labels: int = 6, frames: int = 24, seed: int = 0
) -> PropertyReport:
    """Fuzzes a property on random paths: flat and peaked, empty and full, blank first or last, lengths from 0.

    Checked on every path: shape and labels; nothing beyond the utterance's end is touched; the sampled path is not
    written to; ``changed`` says where paths differ; the text is kept if the property says so; the declared cost is
    strictly lower wherever something changed; the same generator gives the same edit.

    Args:
        rule: The property.
        paths: Number of random paths.
        labels: Number of labels, blank included.
        frames: Frames of the longest path.
        seed: Seed of the random paths.

    Example:
        >>> from seqtant.ctc.losses.low_latency import LowLatency
        >>> check_property(LowLatency(), paths=500).require().violations
        {}
    """
    generator = torch.Generator().manual_seed(seed)
    counts: dict[str, int] = {}
    tried = edited = 0
    while tried < paths:
        batch = random_paths(min(64, -(-(paths - tried) // 8)), 8, frames, labels, generator)
        edit = rule.edit(batch, torch.Generator().manual_seed(seed + tried))
        before, shape = batch.paths, batch.paths.shape
        if edit.paths.shape != shape or edit.paths.dtype != before.dtype or edit.changed.shape != shape[:2]:
            broken = {"shape or type": torch.ones(shape[:2], dtype=torch.bool)}
        else:
            after = PathBatch(edit.paths, batch.lengths, batch.blank, batch.targets, batch.target_lengths)
            differs = edit.paths != before
            broken = {
                "frames beyond the end": (differs & ~batch.valid).any(-1),
                "changed flag": differs.any(-1) != edit.changed,
                "negative labels": (edit.paths < 0).any(-1),
                "cost not lower": edit.changed & ~(rule.cost(after) < rule.cost(batch)),
            }
            if rule.keeps_text:
                broken["text changed"] = (collapse(after).tokens != collapse(batch).tokens).any(-1)
            again = rule.edit(batch, torch.Generator().manual_seed(seed + tried))
            broken["another edit with the same generator"] = (again.paths != edit.paths).any(-1)
        for name, bad in broken.items():
            counts[name] = counts.get(name, 0) + int(bad.sum())
        tried += batch.paths.shape[0] * batch.paths.shape[1]
        edited += int(edit.changed.sum())
    return PropertyReport(tried, edited, {name: number for name, number in counts.items() if number})


def random_paths(utterances: int, samples: int, frames: int, labels: int, generator: torch.Generator) -> PathBatch:
    """Samples paths with runs and blanks, of any length from 0, with references close to their text.

    Example:
        >>> random_paths(3, 2, 7, 4, torch.Generator().manual_seed(0)).paths.shape
        torch.Size([3, 2, 7])
    """
    shape = (utterances, samples, frames)
    blank = int(torch.randint(2, (), generator=generator)) * (labels - 1)
    drawn = torch.randint(labels, shape, generator=generator)
    # Each utterance has its own rate of blanks and its own rate of repeats: from flat to peaked, from empty to full.
    silent = torch.rand(shape, generator=generator) < torch.rand(utterances, 1, 1, generator=generator)
    drawn = torch.where(silent, blank, drawn)
    stays = torch.rand(shape, generator=generator) < torch.rand(utterances, 1, 1, generator=generator)
    stays[..., 0] = False
    # The running maximum is the last frame that did not repeat, so gathering there makes runs of equal labels.
    source = torch.where(stays, 0, torch.arange(frames)).cummax(-1).values
    paths = drawn.gather(-1, source)
    lengths = torch.randint(frames + 1, (utterances,), generator=generator)
    # References: the text of the first path with a quarter of the tokens replaced.
    collapsed = collapse(PathBatch(paths, lengths, blank))
    tokens = collapsed.tokens[:, 0]
    other = torch.randint(labels - 1, tokens.shape, generator=generator)
    # Drawn from one label fewer and moved up past the blank: uniform over all labels but the blank.
    other = other + (other >= blank).long()
    replaced = torch.rand(tokens.shape, generator=generator) < 0.25
    targets = torch.where(replaced, other, tokens).clamp(min=0)
    return PathBatch(paths, lengths, blank, targets, collapsed.counts[:, 0])
