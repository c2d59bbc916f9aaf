"""Choose a shape for a byte-level model of 85 million parameters, and see why its width is capped.

Run: python examples/architecture_plan.py
"""

from __future__ import annotations

from transformers import GPT2Config

from seqtant import architecture

# The law's band of depths, with the input's rank (257 byte values) taken into account.
result = architecture.plan(params=8.5e7, modality="bytes")
print(result)

# A shape that somebody proposes: no weights are needed to audit it.
proposal = GPT2Config(vocab_size=257, n_layer=12, n_embd=768, n_head=12, bos_token_id=256, eos_token_id=256)
print(architecture.audit(proposal))

# The reason in miniature: at embedding rank 2, width buys nothing and one more layer does.
for depth, width in ((2, 2), (2, 4), (2, 8), (3, 2)):
    found = architecture.separation_rank(depth, width, tokens=4, embed_rank=2)
    print(f"depth {depth}, width {width}: exact separation rank {found.rank}")

# What a shallower network would have to spend.
matched = architecture.match(depth=3, width=8, to_depth=2)
print(f"2 layers need width {matched.values['matching_width']} to match 3 layers of width 8")

# The depth law of your own losses: by (size, depth), one loss per seed. Here each deeper network starts to win at
# sixteen times the size of the one before.
losses = {
    (2.0**n * 1e6, depth): [3 - 0.1 * step * (n - 2 * step) + 0.002 * seed * step for seed in range(3)]
    for n in range(14)
    for step, depth in enumerate((4, 6, 8, 10))
}
print(architecture.fit(losses))
