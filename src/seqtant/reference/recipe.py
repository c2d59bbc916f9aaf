"""The recipe of the reference model: shape, batches, training, and the folder that plain transformers loads.

A batch is documents laid end to end in rows, each document seeing only itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.config import ShapeConfig, StageConfig, TrainConfig
from seqtant.reference.measures import gaps
from seqtant.reference.oracle import build_tokenizer
from seqtant.reference.world.documents import BOS_ID, EOS_ID, PAD_ID, Document
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.recorder import Context
from seqtant.settings import plain
from seqtant.training import TrainingHistory, train
from seqtant.training.losses import IGNORED, LossSum

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

MANIFEST = "manifest.json"
"""Name of the file beside the weights: how they were made, from what, how long it took, what was measured."""
TRAINING, HELD_OUT, CHECKING = range(3)
"""Last part of the seed of each random stream, so that none ever draws what another drew."""

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


class WorldBatches:
    """Batches of freshly drawn documents; step and seed alone decide what is drawn.

    Every batch holds the same number of tokens. Early stages cut documents short, so that a batch holds more of them,
    and may mix the kinds otherwise; the last stage should be the world as it is.

    Args:
        world: Where documents come from.
        tokens: Tokens of a batch.
        stages: What batches are like, one stage after the other.
        steps: Steps of the whole run, shared out among the stages.
        seed: Seed of all draws.
        fingerprint: Names the data in checkpoints.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> stages = (StageConfig(share=0.5, length=32), StageConfig(share=0.5, length=64))
        >>> source = WorldBatches(reference_world(), tokens=128, stages=stages, steps=10, seed=(1,))
        >>> [tuple(source.batch(step)["input_ids"].shape) for step in (0, 4, 5, 9)]
        [(4, 32), (4, 32), (2, 64), (2, 64)]
    """

    def __init__(
        self,
        world: World,
        *,
        tokens: int,
        stages: Sequence[StageConfig],
        steps: int,
        seed: Sequence[int],
        fingerprint: str = "",
    ) -> None:
        for stage in stages:
            if tokens % stage.length:
                raise InputError(f"a batch of {tokens} tokens has no rows of {stage.length}: use a multiple")
        self.tokens, self.stages, self.fingerprint = tokens, tuple(stages), fingerprint
        self._worlds: list[World] = []
        for stage in stages:
            kinds = [kind.eased() if kind.name in stage.eased else kind for kind in world.kinds.values()]
            self._worlds.append(World(kinds, stage.weights or world.weights))
        shares = np.cumsum([stage.share for stage in stages])
        self._ends = np.round(shares / shares[-1] * steps)
        self._seed = tuple(seed)

    def batch(self, step: int) -> Mapping[str, torch.Tensor]:
        """Draws the batch of one step: all tensors (rows, length)."""
        number = min(int(np.searchsorted(self._ends, step, side="right")), len(self.stages) - 1)
        generator = np.random.default_rng([*self._seed, step])
        length = self.stages[number].length
        rows = self.tokens // length
        world = self._worlds[number]
        documents: list[Document] = []
        missing = rows * length
        while missing > 0:
            drawn = world.draw(rows, generator, longest=length)
            documents += drawn
            missing -= sum(len(document.tokens) for document in drawn)
        # A row drops what is cut from its last document, so the rows need more tokens than they hold.
        documents += world.draw(rows, generator, longest=length)
        return packed(documents, rows, length)


def packed(documents: Sequence[Document], rows: int, length: int) -> dict[str, torch.Tensor]:
    """Lays documents end to end in rows; the last document of a row is cut to fit.

    Args:
        documents: Enough documents to fill the rows, or the last rows stay partly empty.
        rows: Number of rows.
        length: Tokens of a row.

    Returns:
        ``input_ids``, ``labels`` (-100 at the first token of a document and on padding), ``position_ids`` within the
        document, and ``segments``: number of the document within its row, 0 for padding; all (rows, length).
    """
    ids = np.full((rows, length), PAD_ID)
    labels = np.full((rows, length), IGNORED)
    positions = np.zeros((rows, length), dtype=np.int64)
    segments = np.zeros((rows, length), dtype=np.int64)
    row = start = 0
    for document in documents:
        if row == rows:
            break
        tokens = document.tokens[: length - start]
        place = slice(start, start + len(tokens))
        ids[row, place] = tokens
        labels[row, place] = np.concatenate([[IGNORED], tokens[1:]])
        positions[row, place] = np.arange(len(tokens))
        segments[row, place] = segments[row].max() + 1
        start += len(tokens)
        if start == length:
            row, start = row + 1, 0
    arrays = {"input_ids": ids, "labels": labels, "position_ids": positions, "segments": segments}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def packed_loss(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> LossSum:
    """Next-token cross-entropy of packed documents, in nats; no document attends to another.

    Args:
        model: A transformers causal language model.
        batch: What :func:`packed` returns.

    Returns:
        Sum over the labels and their number.
    """
    segments = batch["segments"]
    same = segments[:, :, None] == segments[:, None, :]  # [rows, length, length]
    causal = torch.ones_like(same[0]).tril()
    output: Any = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=(same & causal)[:, None],
        use_cache=False,
    )
    labels = batch["labels"][:, 1:].flatten()
    logits = output.logits[:, :-1].flatten(0, 1).float()
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return LossSum(total, (labels != IGNORED).sum())


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


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder but the manifest itself, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }


def read_manifest(folder: Path | None = None) -> dict[str, Any]:
    """The manifest of a model folder; by default of the model that ships.

    Raises:
        InputError: There is none.

    Example:
        >>> sorted(read_manifest())[:3]
        ['check', 'command', 'config']
    """
    place = files("seqtant.reference") / "weights" / MANIFEST if folder is None else folder / MANIFEST
    if not place.is_file():
        raise InputError(f"'{place}' does not exist: the folder was not made by 'seqtant reference train'")
    return json.loads(place.read_text(encoding="utf-8"))
