"""What does a model in memory gain from related text? Build examples of it, look at one, stream them, pack the rest.

Run: python examples/pretraining_related.py
"""

import numpy as np
from torch.utils.data import DataLoader

from seqtant import lm, pretraining
from seqtant.pretraining import Build, ExampleStream, audit_arm

# The small model that ships, on short stories of its own world; (model, tokenizer) of transformers does as well.
loaded = lm.load("reference", device="cpu")
print(pretraining.bias(loaded, pairs=12, relative_steps=[1e-4, 1e-3]))

# Documents in memory stand in for your corpus: a list of {"text": ...}, a datasets.Dataset, or files.
draw = np.random.default_rng(0).integers
things, places = ("lamp", "book", "coat", "ring", "drum"), ("shelf", "chair", "garden", "drawer", "cellar")
texts = [
    f"The {things[draw(5)]} of house {n} lies in the {places[draw(5)]}. Somebody put it there on day {draw(30)}. "
    f"Nobody asks for the {things[draw(5)]} in the {places[draw(5)]} any more."
    for n in range(200)
]
built = Build.from_corpus(
    [{"text": text} for text in texts],
    segment={"tokenizer": loaded.tokenizer, "longest": 200},
    examples={"arms": ["knn", "split", "random"], "window": 256},
)
for arm in built.arms:
    audit = audit_arm(built, arm)
    print(f"{arm:7} {audit.examples} examples, similarity of neighbors {audit.distances[0].similarity:.3f}")
print(pretraining.audit(built, model=loaded).values["anchor_logit_change"])

# The same order for any number of workers; the state is enough to go on elsewhere.
stream = ExampleStream(built, "knn", rows=8, seed=1)
loader = DataLoader(stream, batch_size=8, collate_fn=lambda rows: [row["input_ids"] for row in rows])
batch = next(iter(loader))
print(f"first batch: {len(batch)} examples of up to {max(map(len, batch))} tokens; {stream.state_dict()}")

# Token ids of any documents, packed into windows: nothing is dropped, only what is longer than a window is cut.
rows = pretraining.pack(loaded.tokenizer(texts)["input_ids"], window=256)
print(f"{len(texts)} documents in {len(rows)} windows of at most {max(map(len, rows))} tokens")
