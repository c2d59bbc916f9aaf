"""A fuzzer for properties: does an edit keep its promises on thousands of odd paths?"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seqtant.ctc.lattice.paths import PathBatch, collapse
from seqtant.ctc.losses.properties import Edit, Property
from seqtant.errors import InputError


@dataclass(frozen=True)
class PropertyReport:
    """What the fuzzer found.

    Args:
        paths: Paths tried.
        changed: Paths that were edited.
        violations: Number of paths per broken promise; empty if all were kept.
    """

    paths: int
    changed: int
    violations: dict[str, int]

    def require(self) -> PropertyReport:
        """Returns the report if every promise was kept.

        Raises:
            InputError: One was broken; the message counts which.
        """
        if self.violations:
            counts = ", ".join(f"{name} on {number} of {self.paths}" for name, number in self.violations.items())
            raise InputError(f"the property breaks its promises: {counts} paths: mend its edit or its declarations")
        return self


def check_property(
    rule: Property, *, paths: int = 10_000, labels: int = 6, frames: int = 24, seed: int = 0
) -> PropertyReport:
    """Tries a property on random paths: flat and peaked, empty and full, blank first or last, lengths from 0.

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
        edit = _run(rule, batch, seed + tried)
        for name, number in _violations(rule, batch, edit, seed + tried).items():
            counts[name] = counts.get(name, 0) + number
        tried += batch.paths.shape[0] * batch.paths.shape[1]
        edited += int(edit.changed.sum())
    return PropertyReport(tried, edited, counts)


def random_paths(utterances: int, samples: int, frames: int, labels: int, generator: torch.Generator) -> PathBatch:
    """Random paths with runs, blanks and references near to what they say.

    Example:
        >>> random_paths(3, 2, 7, 4, torch.Generator().manual_seed(0)).paths.shape
        torch.Size([3, 2, 7])
    """
    shape = (utterances, samples, frames)
    blank = int(torch.randint(2, (), generator=generator)) * (labels - 1)
    drawn = torch.randint(labels, shape, generator=generator)
    silent = torch.rand(shape, generator=generator) < torch.rand(utterances, 1, 1, generator=generator)
    drawn = torch.where(silent, blank, drawn)
    stays = torch.rand(shape, generator=generator) < torch.rand(utterances, 1, 1, generator=generator)
    stays[..., 0] = False
    source = torch.where(stays, 0, torch.arange(frames)).cummax(-1).values
    paths = drawn.gather(-1, source)
    lengths = torch.randint(frames + 1, (utterances,), generator=generator)
    return _with_references(PathBatch(paths, lengths, blank), labels, generator)


def _with_references(batch: PathBatch, labels: int, generator: torch.Generator) -> PathBatch:
    """References: what the first path says, with a quarter of the tokens replaced."""
    said = collapse(batch)
    tokens, counts = said.tokens[:, 0], said.counts[:, 0]
    other = torch.randint(labels - 1, tokens.shape, generator=generator)
    other = other + (other >= batch.blank).long()
    replaced = torch.rand(tokens.shape, generator=generator) < 0.25
    targets = torch.where(replaced, other, tokens).clamp(min=0)
    return PathBatch(batch.paths, batch.lengths, batch.blank, targets, counts)


def _run(rule: Property, batch: PathBatch, seed: int) -> Edit:
    return rule.edit(batch, torch.Generator(batch.paths.device).manual_seed(seed))


def _violations(rule: Property, batch: PathBatch, edit: Edit, seed: int) -> dict[str, int]:
    before = batch.paths
    if edit.paths.shape != before.shape or edit.paths.dtype != before.dtype or edit.changed.shape != before.shape[:2]:
        return {"shape or type": before.shape[0] * before.shape[1]}
    after = PathBatch(edit.paths, batch.lengths, batch.blank, batch.targets, batch.target_lengths)
    differs = edit.paths != before
    found = {
        "frames beyond the end": (differs & ~batch.valid).any(-1),
        "changed flag": differs.any(-1) != edit.changed,
        "negative labels": (edit.paths < 0).any(-1),
        "another edit with the same generator": (_run(rule, batch, seed).paths != edit.paths).any(-1),
        "cost not lower": edit.changed & ~(rule.cost(after) < rule.cost(batch)),
    }
    if rule.keeps_text:
        found["text changed"] = (collapse(after).tokens != collapse(batch).tokens).any(-1)
    return {name: int(bad.sum()) for name, bad in found.items() if bool(bad.any())}
