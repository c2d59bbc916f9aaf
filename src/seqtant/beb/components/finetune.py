"""Fine-tunes a model on documents: all weights, or a LoRA adapter with PEFT; one training loop does either."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.beb.config import Fitting
from seqtant.beb.prompts.sampling import Prompt
from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import without_foreign_warnings
from seqtant.optional import require
from seqtant.runs.recorder import Context
from seqtant.training import TrainingConfig, train
from seqtant.training.losses import IGNORED

WEIGHT_DECAY = 0.01
PAPER_RATE, PAPER_PARAMETERS, LARGEST_RATE = 2e-5, 13e9, 0.01
ALL = ("all-linear",)
WARMUP = 10
"""Steps of warm-up where all weights are trained; adapters begin at zero and need none."""


@dataclass(frozen=True)
class PaddedDocuments:
    """Batches of documents of unlike length; steps go through them in order, again and again."""

    documents: Sequence[Sequence[int]]
    rows: int
    pad_id: int

    def batch(self, step: int) -> dict[str, Int[Tensor, "B T"]]:
        """Pads the documents of one step; padding is no target and, standing on the right, is not seen."""
        count = len(self.documents)
        # Past the last document the first comes again, also in the middle of a batch.
        chosen = [self.documents[(step * self.rows + row) % count] for row in range(self.rows)]
        longest = max(map(len, chosen))
        ids = torch.full((self.rows, longest), self.pad_id)
        labels = torch.full((self.rows, longest), IGNORED)
        for row, document in enumerate(chosen):
            # Labels equal the inputs: the loss itself shifts them by one.
            ids[row, : len(document)] = labels[row, : len(document)] = torch.tensor(document)
        return {"input_ids": ids, "labels": labels}


def finetune(
    model: HuggingFaceLM,
    documents: Sequence[Prompt],
    training: TrainingConfig,
    batch: int,
    context: Context,
    *,
    name: str,
) -> HuggingFaceLM:
    """Trains all weights of a copy of a model on documents; with a folder the copy is saved there under its name."""
    network = copy.deepcopy(model.model).requires_grad_(True)
    rows = PaddedDocuments([document.ids for document in documents], batch, model.pad_id)
    quiet = Context(seed=context.seed, device=str(model.device), progress=context.progress)
    train(network, rows, training, context=quiet)
    if context.folder is not None:
        save_model(network, model, context.folder / name)
    return model.with_network(network, name=f"{model.name}, {name}")


def save_model(network: torch.nn.Module, model: HuggingFaceLM, folder: Path) -> None:
    """Saves a network and the tokenizer of the model it came from as a Hugging Face folder."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    network.save_pretrained(folder)  # type: ignore[operator]
    if shown:
        logging.enable_progress_bar()
    if model.tokenizer is not None:
        model.tokenizer.save_pretrained(folder)


def fit_component(
    base: HuggingFaceLM, documents: Sequence[Sequence[int]], settings: Fitting, folder: Path, context: Context
) -> float:
    """Trains an adapter, or a copy of the model, on documents, saves it, and gives the last epoch's mean loss in nats.

    Raises:
        InputError: The modules to adapt are not there, a text is too long, or the folder holds another kind of fit.
        MissingExtraError: An adapter is wanted and PEFT is not installed.
    """
    # Files of both kinds in one folder would leave open which one is loaded.
    other = folder / ("config.json" if settings.rank else "adapter_config.json")
    if other.is_file():
        raise InputError(
            f"'{folder}' holds {'a model' if settings.rank else 'an adapter'} of an earlier fit: give another folder"
        )
    longest = max(map(len, documents))
    if base.context_length is not None and longest > base.context_length:
        raise InputError(f"a training text has {longest} tokens, but '{base.name}' reads at most {base.context_length}")
    if settings.rank:
        # A copy of the network with a LoRA adapter, initialized under the seed.
        peft = require("peft", extra="peft")
        blocks = len(decoder_blocks(base))
        if settings.first_layer >= blocks:
            raise InputError(f"first_layer is {settings.first_layer}: '{base.name}' has blocks 0 to {blocks - 1}")
        config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.0,
            task_type="CAUSAL_LM",
            # PEFT takes None for its own choice, and a name instead of a list for all matrices.
            target_modules=ALL[0] if settings.targets == ALL else list(settings.targets) or None,
            layers_to_transform=list(range(settings.first_layer, blocks)) if settings.first_layer else None,
        )
        try:
            # PEFT draws the first weights from torch's global generator.
            with without_foreign_warnings(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(context.seed)
                network = peft.get_peft_model(copy.deepcopy(base.model), config)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"no adapter can be put into '{base.name}': {reason}; give targets, module names"
            ) from error
    else:
        network = copy.deepcopy(base.model).requires_grad_(True)
    # Epochs in steps; a fraction of an epoch is allowed.
    steps = max(1, math.ceil(settings.epochs * len(documents) / settings.batch))
    training = TrainingConfig(
        steps=steps,
        warmup=0 if settings.rank else min(WARMUP, steps),
        learning_rate=settings.learning_rate or default_learning_rate(base.model.num_parameters()),
        schedule="linear",
        final_fraction=0.0,
        weight_decay=WEIGHT_DECAY,
        betas=(0.9, 0.999),
    )
    rows = PaddedDocuments(documents, min(settings.batch, len(documents)), base.pad_id)
    quiet = Context(seed=context.seed, device=str(base.device), progress=context.progress)
    history = train(network, rows, training, context=quiet)
    if settings.rank:
        # Left to itself, PEFT asks the hub whether the base model has other embeddings.
        network.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        save_model(network, base, folder)
    # Mean over the last epoch: losses of single batches scatter.
    last = history.losses[-max(1, len(documents) // settings.batch) :]
    return sum(last) / len(last)


def default_learning_rate(parameters: int) -> float:
    """The paper's peak learning rate at its size, times sqrt(13e9 / parameters), at most 0.01."""
    return min(PAPER_RATE * math.sqrt(PAPER_PARAMETERS / parameters), LARGEST_RATE)
