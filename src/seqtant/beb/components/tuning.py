"""Trains a copy of a model on documents, and keeps it as a Hugging Face folder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from seqtant.beb.components.rows import Rows
from seqtant.beb.prompts.sampling import Prompt
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig, train


def tuned(
    model: HuggingFaceLM,
    documents: Sequence[Prompt],
    training: TrainingConfig,
    batch: int,
    context: Context,
    *,
    name: str,
) -> HuggingFaceLM:
    """A copy of a model, trained on documents."""
    network = copy.deepcopy(model.model).requires_grad_(True)
    rows = Rows([document.ids for document in documents], batch, model.pad_id)
    quiet = Context(seed=context.seed, device=str(model.device), progress=context.progress)
    train(network, rows, training, context=quiet)
    if context.folder is not None:
        keep(network, model, context.folder / name)
    return HuggingFaceLM(network, model.tokenizer, name=f"{model.name}, {name}")


def keep(network: torch.nn.Module, model: HuggingFaceLM, folder: Path) -> None:
    """Writes a network and the tokenizer of the model it came from as a Hugging Face folder."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    network.save_pretrained(folder)  # type: ignore[operator]
    if shown:
        logging.enable_progress_bar()
    if model.tokenizer is not None:
        model.tokenizer.save_pretrained(folder)
