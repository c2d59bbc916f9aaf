"""AdamW or plain gradient descent, with decay where decay belongs: on matrices, not on norms, biases and tables."""

from __future__ import annotations

import math

import torch
from torch import nn

from seqtant.training.config import TrainingConfig


def decay_groups(model: nn.Module, *, decay_embeddings: bool = False) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Splits the trainable parameters into those with and those without weight decay.

    A parameter used twice (a tied output head) counts once, as the embedding it is.

    Example:
        >>> decayed, plain = decay_groups(nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 3), nn.LayerNorm(3)))
        >>> len(decayed), len(plain)
        (1, 4)
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            spared = parameter.ndim < 2 or (id(parameter) in tables and not decay_embeddings)
            (plain if spared else decayed).append(parameter)
    return decayed, plain


def build_optimizer(model: nn.Module, config: TrainingConfig, device: torch.device) -> torch.optim.Optimizer:
    """The chosen optimizer over the model's parameters in two groups: with decay, without."""
    decayed, plain = decay_groups(model, decay_embeddings=config.decay_embeddings)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    kept = [group for group in groups if group["params"]]
    fused = device.type in {"cpu", "cuda"}
    if config.optimizer == "sgd":
        return torch.optim.SGD(kept, lr=config.learning_rate, fused=fused)
    return torch.optim.AdamW(kept, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=fused)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Learning rate of the optimizer step after ``step`` steps, 0 to ``config.steps - 1``.

    The warm-up rises linearly and reaches the peak at its last step; the last step of the run has exactly
    ``final_fraction`` of the peak.

    Example:
        >>> config = TrainingConfig(steps=5, learning_rate=1.0, warmup=2, schedule="linear", final_fraction=0.1)
        >>> [round(learning_rate(config, step), 2) for step in range(5)]
        [0.5, 1.0, 0.7, 0.4, 0.1]
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    # The step that reaches the peak is the beginning of the decay: it has done = 0.
    first = max(config.warmup - 1, 0)
    done = (step - first) / max(config.steps - 1 - first, 1)
    if config.schedule == "constant":
        return config.learning_rate
    falling = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * falling)
