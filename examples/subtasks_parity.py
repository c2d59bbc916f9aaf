"""Learn a parity of eight bits from its steps, look at each step, and find the subset without any learning.

Run: python examples/subtasks_parity.py
"""

from __future__ import annotations

import numpy as np

from seqtant import subtasks
from seqtant.runs.context import Context
from seqtant.subtasks.config import ArmSettings
from seqtant.subtasks.training.fitting import final_scores

task = subtasks.parity(8, seed=1)
print(f"{task.name}, hidden subset {task.facts['subset']}")
for number, step in enumerate(task.steps):
    print(f"  step {number} reads {step.reads} and writes token {task.inputs + number}")

fitted = subtasks.fit_network(
    task,
    subtasks.arm_of("steps", task, ArmSettings(), 0),
    subtasks.NetworkConfig(width=128),
    subtasks.OptimizationConfig(),
    updates=300,
    evaluate_every=100,
    seed=0,
    context=Context(device="cpu"),
)
free, teacher = final_scores(fitted, 500, seed=0)
print(f"answers on its own steps: {free.answer_accuracy}")
print(f"each step given the true earlier ones: {teacher.per_step.round(3).tolist()}")
print(f"the recurrent matrix moved by {fitted.weight_change:.3f} of its length")

inputs = np.random.default_rng(0).integers(2, size=(18, 8))
found = subtasks.solve_gf2(inputs, task.labels(inputs)[:, -1])
print(f"Gaussian elimination, from 18 samples: {found.subset}")
