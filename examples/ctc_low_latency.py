"""Give a CTC model earlier words: one more loss beside CTC in a plain loop, then a recognizer measured in memory.

Run: python examples/ctc_low_latency.py
"""

import torch

from seqtant import ctc

# A model of one's own: anything that gives log-probabilities, (frames, batch, labels) as torch.nn.CTCLoss takes them.
# Here a table of logits for two utterances of twelve frames that say "1 2", as late as they fit.
logits = torch.full((12, 2, 3), -1.0)
logits[:8, :, 0], logits[8:10, :, 1], logits[10:, :, 2] = 3.0, 3.0, 3.0
logits.requires_grad_()
targets, input_lengths, target_lengths = torch.tensor([[1, 2], [1, 2]]), (12, 12), (2, 2)

ctc_loss = torch.nn.CTCLoss(reduction="sum")
purpose = ctc.AlignWithPurpose(["low-latency"], ctc.Schedule(((0, 0.0), (50, 4.0))))
optimizer = torch.optim.Adam([logits], lr=0.1)
generator = torch.Generator().manual_seed(0)
for step in range(151):
    batch = (logits.log_softmax(-1), targets, input_lengths, target_lengths)
    if step in (0, 150):
        tokens = ctc.greedy_decode(batch[0].transpose(0, 1), torch.tensor([12, 12]))[0]
        print(f"step {step}: words start at frames {[token.start for token in tokens]}")
    loss = ctc_loss(*batch) / 2 + purpose(*batch, generator=generator, step=step)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{purpose.stats['low-latency.active']:.0%} of the pairs still push")

# A property of one's own is checked before it is trusted.
print(ctc.check_property(ctc.LowLatency(candidates="published"), paths=2000).violations)

# The same for a whole recognizer, here on tones: finetuned in memory, compared on the words that both get right.
recognizer = ctc.load_recognizer()
speech = ctc.load_speech(utterances=ctc.Utterances(train=64, development=16, test=32, digits=(2, 3)))
result = ctc.finetune(recognizer, speech, weight=0.4, steps=40, optimization={"batch_size": 8})
print(result)
