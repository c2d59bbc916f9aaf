"""How many examples must the prompt hold? From pure mathematics, from exact Bayes, from the model that ships.

Run: python examples/icl_shots.py
"""

from seqtant.icl import BoundConfig, GincBayesConfig, ShotsConfig, run
from seqtant.runs.context import Context

context = Context(device="cpu")

# The published bound, for tasks that differ in every one of 20 tokens; it promises far more than is needed.
promised = run(BoundConfig(length=20, kl=35.2, c1=1.0, c2=0.1), context)
print("promised by the lemma:", round(promised.values["shots_paper"], 1), "shots")

# A perfect learner on a hidden Markov world: labels matter where inputs do not tell the concept.
for labels in ("gold", "random"):
    perfect = run(GincBayesConfig(labels=labels, shots=(0, 8), prompts=60, documents=2, document_length=64), context)
    print(f"exact Bayes, {labels} labels:", perfect.values["accuracy_0"], "->", perfect.values["accuracy_8"])

# The model that ships, on the labeling games of its world: predicted from single examples, measured in prompts.
result = run(ShotsConfig(shots=8, prompts=24, contexts=1, examples=60, pairs=8, resamples=100), context)
for row in next(table.rows for table in result.tables if table.name == "shots"):
    print(f"{row[0]:10} nearest rival {row[1]:10} predicted {row[6]:12} measured {row[7]}")
