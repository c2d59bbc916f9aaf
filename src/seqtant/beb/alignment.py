"""An alignment stage in miniature: a copy of the model trained on documents of P+ alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from seqtant.beb.drawing import Prompt, draw_prompts
from seqtant.beb.rows import Rows
from seqtant.beb.study import Study
from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig, train

DOCUMENTS = 70
"""Last part of the seed of the documents."""


def align(study: Study, training: TrainingConfig, batch: int, context: Context) -> HuggingFaceLM:
    """Trains a copy of the study's model on documents drawn from P+; the model itself stays as it is.

    Args:
        study: Model and P+.
        training: Course of the training.
        batch: Documents of a batch; none is seen twice.
        context: Seed, device, progress; with a folder the copy is kept in ``aligned``.

    Raises:
        InputError: The model has no weights, or the documents do not fit its context.
    """
    if not isinstance(study.model, HuggingFaceLM):
        raise InputError(f"'{study.model.name}' has no weights to align: give --after, a model after its alignment")
    documents = draw_prompts(
        study.plus,
        [study.opening] * (training.steps * batch),
        study.config.sentences,
        study.splitter,
        generator=study.generator(DOCUMENTS),
        room=study.room,
    ).prompts
    return tuned(study.model, documents, training, batch, context, name="aligned")


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
