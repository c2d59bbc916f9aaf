"""The same loss written the slow ways: a loop over paths in torch, and the published code's procedure on host lists.

Both are written here from descriptions of what they do; neither is copied.
"""

from __future__ import annotations

import random

import torch


def loop_over_paths(log_probs, lengths, *, samples, blank):
    """One path at a time: sample, find what can go, delete, score with indexing."""
    total = log_probs.new_zeros(())
    for b, length in enumerate(lengths.tolist()):
        for _ in range(samples):
            frames = torch.arange(length)
            path = torch.multinomial(log_probs[b, :length].detach().exp(), 1)[:, 0]
            before = torch.cat([path.new_tensor([blank]), path[:-1]])
            spoken = (path != blank).nonzero()
            last = int(spoken[-1]) if len(spoken) else -1
            candidates = ((path == before) & (frames <= last)).nonzero()[:, 0]
            if not len(candidates):
                continue
            gone = int(candidates[torch.randint(len(candidates), ())])
            better = torch.cat([path[:gone], path[gone + 1 :], path.new_tensor([blank])])
            gap = log_probs[b, frames, path].mean() - log_probs[b, frames, better].mean()
            total = total + gap.clamp(min=0)
    return total / len(lengths)


def published_procedure(log_probs, lengths, *, blank, samples=5, sampler=None, paths=None, edited=None):
    """Host lists: one weighted sampler per frame, edits on Python lists, epsilon inside the logarithm, no lengths.

    With ``paths`` and ``edited`` given, only the scoring is done: that is how equality is checked.
    """
    probabilities = log_probs.exp()
    B, T, _ = log_probs.shape
    if paths is None:
        host = probabilities.detach()
        drawn = [[list(sampler(host[b, t], samples, replacement=True)) for t in range(T)] for b in range(B)]
        rows = [[[drawn[b][t][n] for t in range(T)] for n in range(samples)] for b in range(B)]
        paths = torch.tensor(rows)
        edited = torch.tensor([[_shift(path, blank) for path in row] for row in rows])
    scored = []
    for labels in (paths, edited):
        picked = probabilities.gather(2, labels.transpose(1, 2))
        scored.append((picked + 1e-7).log().mean(1))
    return (scored[0] - scored[1]).clamp(min=0).sum() / B


def _shift(path, blank):
    removable = [t for t in range(1, len(path)) if path[t] == path[t - 1]]
    if path[0] == blank:
        removable.insert(0, 0)
    # The published draw never takes the last candidate and fails on a single one; here a single one is left alone.
    if len(removable) < 2:
        return path
    gone = removable[random.randrange(len(removable) - 1)]
    return [*path[:gone], *path[gone + 1 :], blank]
