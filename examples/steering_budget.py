"""Choose how hard to steer a model, then let it speak. Everything is in memory: model, rows, vector, result.

Run: python examples/steering_budget.py
"""

from seqtant import lm, steering

# Any transformers model will do, as (model, tokenizer); this one ships with the package and speaks of small things.
model = lm.load("reference", device="cpu")

# %% A direction: texts that differ in the behavior and in nothing else.
nouns = ("lamp", "table", "kitchen", "river", "hill", "lake", "road", "forest")
pairs = [(f"talk : what a good {noun} !", f"talk : what a bad {noun} !") for noun in nouns]
vector = steering.SteeringVector.extract(model, pairs, layers=[2])
print(f"the direction tells {vector.facts[2].held_out_accuracy:.0%} of the pairs apart that it was not made from")

# %% What is to change, and what must not suffer.
behavior = [(f"talk : i see a {noun} . the {noun} is", [" good", " sweet"], [" bad", " grim"]) for noun in nouns]
capitals = {"france": "paris", "italy": "rome", "spain": "madrid", "germany": "berlin"}
cities = [f" {city}" for city in capitals.values()]
helpfulness = [
    (f"{opening} what is the capital of {country} ?", cities, f" {city}")
    for country, city in capitals.items()
    for opening in ("book :", "talk :", "talk : the hill is warm .", "talk : we like the lamp .")
]

# %% The strength that costs a tenth of the right answers: predicted from small ones, verified on other items.
result = steering.choose_strength(
    model, vector, behavior=behavior, helpfulness=helpfulness, budget=0.1, resamples=200, device="cpu"
)
print(result)

# %% The same prompt without and with that strength.
prompts = lm.encode(model, ["talk : how are you ?"])
for strength in (0.0, result.values["strength"]):
    with vector.apply(model, strength):
        (reply,) = lm.generate(model, prompts, max_tokens=8, sampling=lm.Sampling(temperature=0))
    print(f"strength {strength:6.2f}:", *lm.decode(model, [reply.tokens]))
