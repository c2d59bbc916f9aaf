"""Give a CTC model of one's own earlier words: one more term in a plain training loop.

Run: python examples/ctc_low_latency.py
"""

from __future__ import annotations

import torch

from seqtant import ctc

# A model of one's own: anything that gives (B, T, V) log-probabilities. Here: a table of logits for two utterances of
# twelve frames that say "1 2", late, with all the probability on the last frames that still fit.
logits = torch.full((2, 12, 3), -1.0)
logits[:, :8, 0], logits[:, 8:10, 1], logits[:, 10:, 2] = 3.0, 3.0, 3.0
logits.requires_grad_()
lengths, targets, counts = torch.tensor([12, 12]), torch.tensor([[1, 2], [1, 2]]), torch.tensor([2, 2])

plain = ctc.PlainCTC()
purpose = ctc.AlignWithPurpose(["low-latency"], ctc.Schedule(((0, 0.0), (50, 4.0))), num_samples=5)
optimizer = torch.optim.Adam([logits], lr=0.1)
generator = torch.Generator().manual_seed(0)


def starts() -> list[int]:
    """First frame of each word, as a greedy decoder hears it."""
    return [span.start for span in ctc.greedy_decode(logits.log_softmax(-1), lengths)[0]]


print(f"words start at frames {starts()}")
for step in range(150):
    log_probs = logits.log_softmax(-1)
    extra, stats = purpose(log_probs, lengths, generator=generator, step=step)
    loss = plain(log_probs, lengths, targets, counts).loss + extra
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"after 150 steps they start at frames {starts()}; {stats['low-latency.active']:.0%} of the pairs still push")

# A property of one's own is checked before it is trusted.
print(ctc.check_property(ctc.LowLatency(candidates="published"), paths=2000).violations)
