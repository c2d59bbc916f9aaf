"""Learn a parity of eight bits from its steps, look at each step, and find the subset without any learning.

Run: python examples/subtasks_parity.py
"""

from __future__ import annotations

from seqtant import subtasks
from seqtant.subtasks import NetworkConfig

# The task: which steps lead from eight bits to the parity of a hidden half of them?
task = subtasks.parity(8, seed=1)
print(f"{task.name}, hidden subset {task.facts['subset']}")
for number, step in enumerate(task.steps):
    print(f"  step {number} reads {step.reads} and writes token {task.inputs + number}")

# Rows in memory, by split. Are their steps sound?
rows = subtasks.make_rows(task, 60)
print(rows["train"][0].to_json())
print(subtasks.check(rows))

# Before training: which steps can the gradients of a fresh network see?
network = NetworkConfig(width=128)
print(subtasks.probe(task, network=network, candidates=8, samples=256))

# Train with the steps written out, then let the network solve unseen inputs on its own steps.
fitted = subtasks.fit_network(task, "steps", network, updates=300)
print(subtasks.evaluate(fitted, test_rows=500))
print(f"the recurrent matrix moved by {fitted.weight_change:.3f} of its length")

# Algebra needs no steps: about as many samples as bits.
print(subtasks.solve_gf2(rows["train"]))
