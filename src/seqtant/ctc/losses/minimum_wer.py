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
        >>> heard = torch.tensor([[[3, 0, 5, 5, 0]]])
        >>> batch = PathBatch(heard, torch.tensor([5]), 0, torch.tensor([[3, 4]]), torch.tensor([2]))
        >>> MinimumWER().edit(batch).paths.tolist()
        [[[3, 0, 4, 4, 0]]]
    """

    space: int | None = None
    max_substitutions: int = 2
    keeps_text = False
    needs_targets = True

    def __post_init__(self) -> None:
        if self.max_substitutions < 1:
            raise InputError(f"max_substitutions is {self.max_substitutions}: at least one label must be replaced")

    def edit(self, batch: PathBatch, generator: torch.Generator | None = None) -> Edit:
        """Makes one path with one word error less of each path that has a word to put right."""
        hypotheses, references, owners = self._host(batch)
        paths = batch.paths.clone()
        changed = torch.zeros(paths.shape[:2], dtype=torch.bool)
        draws = torch.rand(changed.shape, generator=generator, device=paths.device).tolist()
        known: dict[tuple[int, tuple[int, ...]], list[tuple[Word, Word]]] = {}
        for b, reference in enumerate(references):
            for n, hypothesis in enumerate(hypotheses[b]):
                if hypothesis == reference:
                    continue
                key = (b, hypothesis)
                if key not in known:
                    known[key] = self._fixable(hypothesis, reference)
                if not known[key]:
                    continue
                pair = known[key][int(draws[b][n] * len(known[key]))]
                fixed = self._replace(batch.paths[b, n].tolist(), owners[b][n], pair, batch.blank)
                if self.errors(self._text(fixed, int(batch.lengths[b]), batch.blank), reference) < self.errors(
                    hypothesis, reference
                ):
                    paths[b, n] = torch.tensor(fixed, device=paths.device)
                    changed[b, n] = True
        return Edit(paths, changed.to(paths.device))

    def cost(self, batch: PathBatch) -> Float[Tensor, "B N"]:
        """Word errors of each path."""
        hypotheses, references, _ = self._host(batch)
        rows = [
            [float(self.errors(hypothesis, reference)) for hypothesis in row]
            for row, reference in zip(hypotheses, references, strict=True)
        ]
        return torch.tensor(rows, dtype=torch.float64, device=batch.paths.device).reshape(batch.paths.shape[:2])

    def _host(
        self, batch: PathBatch
    ) -> tuple[list[list[tuple[int, ...]]], list[tuple[int, ...]], list[list[list[int]]]]:
        """Collapsed paths, references and frame owners as plain lists: strings are aligned on the host."""
        if batch.targets is None or batch.target_lengths is None:
            raise InputError("MinimumWER compares with the reference: give targets and target_lengths")
        said = collapse(batch)
        counts = said.counts.tolist()
        hypotheses = [
            [tuple(tokens[:count]) for tokens, count in zip(row, kept, strict=True)]
            for row, kept in zip(said.tokens.tolist(), counts, strict=True)
        ]
        references = [
            tuple(row[:count]) for row, count in zip(batch.targets.tolist(), batch.target_lengths.tolist(), strict=True)
        ]
        return hypotheses, references, said.owner.tolist()

    def _fixable(self, hypothesis: tuple[int, ...], reference: tuple[int, ...]) -> list[tuple[Word, Word]]:
        heard, right = split_words(hypothesis, self.space), split_words(reference, self.space)
        pairs = aligned_pairs([word.labels for word in heard], [word.labels for word in right])
        both = [(heard[h], right[r]) for h, r in pairs if h is not None and r is not None]
        return [(h, r) for h, r in both if 0 < _differing(h, r) <= self.max_substitutions]

    def _replace(self, path: list[int], owner: list[int], pair: tuple[Word, Word], blank: int) -> list[int]:
        fixed = list(path)
        for position, old, new in zip(pair[0].positions, pair[0].labels, pair[1].labels, strict=True):
            if old != new:
                frames = [frame for frame, token in enumerate(owner) if token == position]
                for frame in frames:
                    fixed[frame] = new
        for position in pair[0].positions:
            _separate(fixed, [frame for frame, token in enumerate(owner) if token == position], owner, blank)
        return fixed

    def _text(self, path: list[int], length: int, blank: int) -> tuple[int, ...]:
        frames = path[:length]
        before = [blank, *frames[:-1]]
        return tuple(label for label, last in zip(frames, before, strict=True) if label not in (blank, last))

    def errors(self, hypothesis: tuple[int, ...], reference: tuple[int, ...]) -> int:
        """Word errors of one label sequence."""
        heard, right = split_words(hypothesis, self.space), split_words(reference, self.space)
        return word_errors([word.labels for word in heard], [word.labels for word in right]).total


def _differing(heard: Word, right: Word) -> int:
    """Labels to replace; 0 also where the lengths differ, which no replacement can mend."""
    if len(heard.labels) != len(right.labels):
        return 0
    return sum(h != r for h, r in zip(heard.labels, right.labels, strict=True))


def _separate(path: list[int], frames: list[int], owner: list[int], blank: int) -> None:
    """Puts a blank where a replaced token now touches an equal one, if either has a frame to spare."""
    first, last = frames[0], frames[-1]
    for inner, outer in ((first, first - 1), (last, last + 1)):
        if not 0 <= outer < len(path) or owner[outer] < 0 or path[outer] != path[inner]:
            continue
        if len(frames) > 1:
            path[inner] = blank
            frames = [frame for frame in frames if frame != inner]
        elif owner.count(owner[outer]) > 1:
            path[outer] = blank
