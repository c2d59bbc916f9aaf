"""AdamW or plain gradient descent, with decay where decay belongs: on matrices, not on norms, biases and tables."""

from __future__ import annotations

import torch
from torch import nn

from seqtant.training.config import TrainingConfig


def decay_groups(model: nn.Module, *, decay_embeddings: bool = False) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Splits the trainable parameters into those with and those without weight decay.

    A parameter used twice (a tied output head) counts once, as the embedding it is.

    Args:
        model: Any module.
        decay_embeddings: Whether tables of ``nn.Embedding`` are decayed.

    Returns:
        Parameters with decay, parameters without.

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
            is_table = id(parameter) in tables
            spared = parameter.ndim < 2 or (is_table and not decay_embeddings)
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
