"""Choose a shape for a byte-level model of 85 million parameters, and see why its width is capped.

Run: python examples/architecture_plan.py
"""

from __future__ import annotations

from seqtant import architecture

# The law's band of depths, with the input's rank (257 byte values) taken into account.
plan = architecture.run(architecture.PlanConfig(params=8.5e7, modality="bytes"))
print(f"law: {plan.values['optimal_depth']:.1f} layers of width {plan.values['optimal_width']:.0f}")
print(f"band: {plan.values['depth_low']} to {plan.values['depth_high']} layers")
for finding in plan.findings:
    print(f"{finding.verdict}: {finding.summary}")

# The reason in miniature: at embedding rank 2, width buys nothing and one more layer does.
for depth, width in ((2, 2), (2, 4), (2, 8), (3, 2)):
    found = architecture.separation_rank(depth, width, tokens=4, embed_rank=2)
    print(f"depth {depth}, width {width}: exact separation rank {found.rank}")

# What a shallower network would have to spend.
width = architecture.matching_width(3, 8, 2)
print(f"2 layers need width {width} to match 3 layers of width 8")
