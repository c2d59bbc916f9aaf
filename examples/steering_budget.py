"""Choose how hard to steer the model that ships, then let it speak.

Run: python examples/steering_budget.py
"""

from seqtant.runs.context import Context
from seqtant.steering import ChooseConfig, generate_replies, run
from seqtant.steering.inputs import open_bench

config = ChooseConfig(budget=0.05, prompts=24, items=120, max_pairs=48, resamples=300)
context = Context(device="cpu")

# Predicted from small strengths, verified on prompts and items that the prediction has not seen.
result = run(config, context)
for finding in result.findings:
    print(finding.question)
    print("   ", finding.verdict, "-", finding.summary)

# The same vector, without and with that strength.
bench = open_bench(config, context)
strength = result.values["strength"]
prompts = [item.prompt for item in bench.behavior[:3]]
for reply in generate_replies(bench.model, bench.vector, prompts, [0.0, strength], tokens=8):
    print(f"strength {reply.strength:6.2f}: ... {prompts[reply.prompt][-30:]} |{reply.text}")
