"""The recipe of the reference model: shape, data, training, and the folder that plain transformers loads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.batches import WorldBatches, packed_loss
from seqtant.reference.config import ShapeConfig, TrainConfig
from seqtant.reference.measures.gap import gaps
from seqtant.reference.tokenizer import build_tokenizer
from seqtant.reference.world.vocabulary import BOS_ID, EOS_ID, PAD_ID
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.context import Context
from seqtant.settings import plain
from seqtant.training import TrainingHistory, train

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

HELD_OUT = 1
TRAINING = 0
CHECKING = 2
"""Last part of the seed of each use of chance, so that none ever draws what another drew."""

_HASHED_BATCHES = 64


def build_network(shape: ShapeConfig, vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A freshly initialized Llama with tied embeddings; the caller's random state is left alone."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.context_length,
        tie_word_embeddings=True,
        # The usual 0.02 suits widths near 2,500; at this width it leaves attention uniform for millions of tokens.
        initializer_range=shape.hidden_size**-0.5,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def training_batches(config: TrainConfig, world: World, settings: WorldSettings, seed: int) -> WorldBatches:
    """The batches the recipe learns from."""
    stages = [plain(stage) for stage in config.stages]
    recipe = json.dumps([settings.hash, seed, config.tokens, config.training.steps, stages], sort_keys=True)
    return WorldBatches(
        world,
        tokens=config.tokens,
        stages=config.stages,
        steps=config.training.steps,
        seed=(seed, TRAINING),
        fingerprint=hashlib.sha256(recipe.encode()).hexdigest()[:16],
    )


def data_hash(batches: WorldBatches, steps: int) -> str:
    """SHA-256 over the token ids of the last 64 training batches, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for step in range(max(0, steps - _HASHED_BATCHES), steps):
        digest.update(batches.batch(step)["input_ids"].numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def fit(config: TrainConfig, context: Context) -> tuple[LlamaForCausalLM, TrainingHistory]:
    """Trains the model; run again with the same folder, it goes on where it stopped.

    Args:
        config: The recipe.
        context: Seed, device, progress; checkpoints go to ``checkpoints`` in its folder.

    Returns:
        The model and the course of its training.
    """
    settings = WorldSettings()
    world = World.of(settings)
    network = build_network(config.shape, world.vocabulary.size, context.seed)
    folder = None if context.folder is None else context.folder / "checkpoints"

    def evaluate(model: nn.Module) -> dict[str, float]:
        measured = gaps(
            HuggingFaceLM(network, name="reference"),
            world,
            documents=config.held_out,
            longest=config.shape.context_length,
            generator=np.random.default_rng([context.seed, HELD_OUT]),
        )
        network.requires_grad_(True)
        numbers = {f"gap_{name}": gap.divergence.value for name, gap in measured.items()}
        context.progress.note("  ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
        return numbers

    history = train(
        network,
        training_batches(config, world, settings, context.seed),
        config.training,
        loss=packed_loss,
        context=Context(seed=context.seed, device=context.device, folder=folder, progress=context.progress),
        evaluate=evaluate,
    )
    return network, history


def save_model(network: LlamaForCausalLM, folder: Path, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
    """Writes configuration, weights and tokenizer so that plain transformers loads them.

    Args:
        network: The network.
        folder: Where they go; made if it is missing.
        tokenizer: Its tokenizer; that of the reference world if none is given.
    """
    if tokenizer is None:
        words = World.of(WorldSettings()).vocabulary
        tokenizer = build_tokenizer(words, context_length=network.config.max_position_embeddings)
    network.generation_config.max_length = None
    network.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for the owner alone; a package is read by everybody
    tokenizer.save_pretrained(folder)
