"""Fewer word errors: in each sampled path, put one wrong word right without moving anything."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.ctc.decoding.word_errors import Word, aligned_pairs, split_words, word_errors
from seqtant.ctc.lattice.paths import PathBatch, collapse
from seqtant.ctc.losses.properties import Edit
from seqtant.errors import InputError


@dataclass(frozen=True)
class MinimumWER:
    """Replaces the labels of one substituted word by those of the reference word, frame by frame.

    A word qualifies when it is aligned with a reference word of as many labels that differs in at most
    ``max_substitutions`` of them; one is drawn uniformly. An edit is kept only if the number of word errors really
    dropped: a replaced label can merge with an equal neighbor, which costs a frame as a blank, or the edit is dropped.
    Source: Align With Purpose (arXiv 2307.01715) and its published code, generalized to word and subword tokens.

    Args:
        space: Label between words; None where every token is a word.
        max_substitutions: Most labels to replace in the word.

    Example:
        >>> paths = torch.tensor([[[3, 0, 5, 5, 0]]])
        >>> batch = PathBatch(paths, torch.tensor([5]), 0, torch.tensor([[3, 4]]), torch.tensor([2]))
        >>> MinimumWER().edit(batch).paths.tolist()
        [[[3, 0, 4, 4, 0]]]
    """

    space: int | None = None
    max_substitutions: int = 2
    keeps_text = False
    needs_targets = True
    takes = ("space",)

    def __post_init__(self) -> None:
        if self.max_substitutions < 1:
            raise InputError(f"max_substitutions is {self.max_substitutions}: at least one label must be replaced")

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one path with one word error less of each path that has a word to correct."""
        hypotheses, references, owners = self._as_lists(batch)
        paths = batch.paths.clone()
        changed = torch.zeros(paths.shape[:2], dtype=torch.bool)
        # One number per path, needed or not: what one path draws never depends on another.
        draws = torch.rand(changed.shape, generator=generator, device=paths.device).tolist()
        for b, reference in enumerate(references):
            length = int(batch.lengths[b])
            # Many sampled paths collapse to the same text: each text of an utterance is aligned once.
            fixable: dict[tuple[int, ...], list[tuple[Word, Word]]] = {}
            for n, hypothesis in enumerate(hypotheses[b]):
                if hypothesis == reference:
                    continue
                if hypothesis not in fixable:
                    fixable[hypothesis] = self._fixable_words(hypothesis, reference)
                pairs = fixable[hypothesis]
                if not pairs:
                    continue
                wrong, right = pairs[int(draws[b][n] * len(pairs))]
                fixed = _replace(batch.paths[b, n].tolist(), owners[b][n], wrong, right, batch.blank)
                # The edited path collapsed: labels that are no blank and differ from their left neighbor.
                neighbors = zip(fixed[:length], [batch.blank, *fixed[:length]], strict=False)
                text = tuple(label for label, before in neighbors if label not in (batch.blank, before))
                if self.errors(text, reference) < self.errors(hypothesis, reference):
                    paths[b, n] = torch.tensor(fixed, device=paths.device)
                    changed[b, n] = True
        return Edit(paths, changed.to(paths.device))

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """Counts the word errors of each path."""
        hypotheses, references, _ = self._as_lists(batch)
        rows = [
            [float(self.errors(hypothesis, reference)) for hypothesis in row]
            for row, reference in zip(hypotheses, references, strict=True)
        ]
        return torch.tensor(rows, dtype=torch.float64, device=batch.paths.device).reshape(batch.paths.shape[:2])

    def errors(self, hypothesis: tuple[int, ...], reference: tuple[int, ...]) -> int:
        """Counts the word errors of one label sequence."""
        words, right = split_words(hypothesis, self.space), split_words(reference, self.space)
        return word_errors([word.labels for word in words], [word.labels for word in right]).total

    def _as_lists(
        self, batch: PathBatch
    ) -> tuple[list[list[tuple[int, ...]]], list[tuple[int, ...]], list[list[list[int]]]]:
        """Collapsed paths, references and frame owners as plain lists: strings are aligned on the CPU."""
        if batch.targets is None or batch.target_lengths is None:
            raise InputError("MinimumWER compares with the reference: give targets and target_lengths")
        collapsed = collapse(batch)
        hypotheses = [
            [tuple(tokens[:count]) for tokens, count in zip(row, kept, strict=True)]
            for row, kept in zip(collapsed.tokens.tolist(), collapsed.counts.tolist(), strict=True)
        ]
        references = [
            tuple(row[:count]) for row, count in zip(batch.targets.tolist(), batch.target_lengths.tolist(), strict=True)
        ]
        return hypotheses, references, collapsed.owner.tolist()

    def _fixable_words(self, hypothesis: tuple[int, ...], reference: tuple[int, ...]) -> list[tuple[Word, Word]]:
        """Finds aligned words of equal length that differ in 1 to ``max_substitutions`` labels."""
        words, right = split_words(hypothesis, self.space), split_words(reference, self.space)
        found: list[tuple[Word, Word]] = []
        for h, r in aligned_pairs([word.labels for word in words], [word.labels for word in right]):
            if h is None or r is None or len(words[h].labels) != len(right[r].labels):
                continue
            differing = sum(a != b for a, b in zip(words[h].labels, right[r].labels, strict=True))
            if 0 < differing <= self.max_substitutions:
                found.append((words[h], right[r]))
        return found


def _replace(path: list[int], owner: list[int], wrong: Word, right: Word, blank: int) -> list[int]:
    """Writes the right labels over the frames of the wrong word, and keeps equal neighbors apart by a blank.

    ``owner`` is the token that each frame belongs to, -1 for blanks and padding; both words have as many labels.
    """
    fixed = list(path)
    held = [[frame for frame, token in enumerate(owner) if token == position] for position in wrong.positions]
    for frames, label in zip(held, right.labels, strict=True):
        for frame in frames:
            fixed[frame] = label
    for frames in held:
        # One frame must keep the label: only the others may become a blank, at either end of the token.
        spare = len(frames) - 1
        for inner, outer in ((frames[0], frames[0] - 1), (frames[-1], frames[-1] + 1)):
            # Only a neighbor that is a token of its own with the same label would now merge with this one.
            if not 0 <= outer < len(path) or owner[outer] < 0 or fixed[outer] != fixed[inner]:
                continue
            if spare > 0:
                fixed[inner] = blank
                spare -= 1
            elif owner.count(owner[outer]) > 1:
                fixed[outer] = blank
    return fixed
