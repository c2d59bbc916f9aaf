"""How many examples must the prompt hold? From pure mathematics, from exact Bayes, from a model in memory.

Run: python examples/icl_shots.py
"""

from itertools import product

from seqtant import icl, lm

# The published bound, for tasks that differ in every one of 20 tokens; it promises far more than is needed.
print(icl.bound(length=20, kl=35.2, c1=1.0, c2=0.1))

# A perfect learner on a hidden Markov world: labels matter where inputs do not tell the concept.
for labels in ("gold", "random"):
    perfect = icl.ginc_bayes(labels=labels, shots=(0, 8), prompts=60, documents=2, document_length=64)
    print(f"exact Bayes, {labels} labels:", perfect.values["accuracy_0"], "->", perfect.values["accuracy_8"])

# Any transformers model with its tokenizer; here the small one that ships, which has played labeling games.
loaded = lm.load("reference", device="cpu")
model = (loaded.model, loaded.tokenizer)

# Two tasks over the same inputs. Lists of (input, label) would do; a Task also says how its examples are written.
animals = ("cat", "dog", "rabbit", "wolf", "fox", "bear")
inputs = [" ".join(words) for words in product(("small", "big"), ("red", "blue", "green", "black"), animals)]
rules = {"size": lambda text: text.split()[0], "color": lambda text: text.split()[1]}
style = {"template": "{input} : {label} .", "delimiter": " ", "opening": "game : "}
tasks = [
    icl.Task(name, tuple(icl.Example(text, rule(text)) for text in inputs), **style) for name, rule in rules.items()
]

# Predicted from single examples, measured in prompts.
result = icl.shots(model, tasks, shots=6, prompts=24, contexts=1, context_shots=12, pairs=8, resamples=100)
print(result)
