"""Predict by how long a prompt alignment fails, and watch it fail there on a model whose truth is known.

Run: python examples/beb_breaking_length.py
"""

import math

from seqtant.beb import MeasureConfig, mass, misalign, run
from seqtant.runs.context import Context

# From numbers alone: the bad part weighs 5 %, each of its sentences gives 0.64 nats of evidence.
log_alpha, beta = math.log(0.05), 0.64
print(f"some prompt of {misalign(log_alpha, beta, 0.1, 'tight').whole} sentences misaligns")
typical = mass(log_alpha, beta, 0.1, sigma=1.2, delta=0.1, form="clt")
print(f"nine in ten random ones do by about {typical.whole}")

# Measured: the exact reference world, whose dark personas weigh 5 %.
result = run(MeasureConfig(model="world", prompts=48, sentences=20, resamples=100), Context(device="cpu"))
values = result.values
print(f"log(1/alpha): read {values['log_inverse_alpha']:.6f}, true {values['true_log_inverse_alpha']:.6f}")
print(f"half of the way: predicted {values['halfway_predicted']:.2f}, measured {values['halfway_measured']:.2f}")
for finding in result.findings:
    print(f"{finding.verdict}: {finding.question} {finding.summary}")
