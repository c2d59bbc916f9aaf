"""Build examples of related sentences, look at one, and stream them into a training loop.

Run: python examples/pretraining_related.py
"""

import tempfile
from pathlib import Path

from torch.utils.data import DataLoader

from seqtant.pretraining import BuildConfig, ExampleStream, build_examples
from seqtant.pretraining.build.audit import audit_arm

# The small world that ships stands in for your corpus: BuildConfig(corpus=("my.jsonl",)) takes your own.
built, counts = build_examples(BuildConfig.smoke(), Path(tempfile.mkdtemp()))

for arm in ("knn", "split", "random"):
    audit = audit_arm(built, arm)
    print(f"{arm:7} {audit.examples} examples, similarity of neighbors {audit.distances[0].similarity:.3f}")

# The same order for any number of workers; the state is enough to go on elsewhere.
stream = ExampleStream(built, "knn", rows=8, seed=1)
loader = DataLoader(stream, batch_size=8, collate_fn=lambda rows: [row["input_ids"] for row in rows])
batch = next(iter(loader))
print(f"first batch: {len(batch)} examples of up to {max(map(len, batch))} tokens; {stream.state_dict()}")
