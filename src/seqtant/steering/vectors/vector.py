"""A steering vector: one direction per block with its provenance; extracted, added, saved, applied to a model."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm import hooks
from seqtant.lm.huggingface import HuggingFaceLM, read_weight
from seqtant.runs.files import whole_file
from seqtant.sources import ModelSource, Rows

if TYPE_CHECKING:
    from seqtant.steering.vectors.hooks import Strength

FORMAT = "seqtant-steering-1"
FAMILIES = {"llama": {"mistral", "mixtral"}, "commandr": {"cohere"}, "phi2": {"phi"}}
"""Families of transformers that llama.cpp calls by another name."""
HASHED_NUMBERS = 64
"""Numbers of each weight that enter the hash of a model."""


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """Statistics of the direction of one block; None where the vector came without it."""

    raw_norm: float | None = None
    """Length of the direction before it was made a unit vector."""
    hidden_norm: float | None = None
    """Mean norm of the hidden states it was taken from, the scale of strengths."""
    explained_variance: float | None = None
    """Share of the squared differences that lies along the direction."""
    sign_agreement: float | None = None
    """Share of the pairs that it was made from whose positive side projects higher."""
    held_out_accuracy: float | None = None
    """Share of pairs whose sides a direction made from other pairs tells apart."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a vector was made."""

    model: str = ""
    """Name of the model."""
    model_type: str = ""
    """Its family in transformers."""
    model_hash: str = ""
    """Hash of its configuration and weights; empty if not known."""
    tokenizer_hash: str = ""
    """Hash of its tokenizer; empty if not known."""
    depth: int = 0
    """Number of its blocks; 0 if not known."""
    method: str = ""
    """How the directions were drawn from the pairs."""
    template: str = ""
    """What the texts were put into."""
    data_hash: str = ""
    """Hash of the pairs and the template."""
    pairs: int = 0
    """Number of pairs."""
    seed: int | None = None
    """Seed of what was random."""


@dataclass(frozen=True)
class SteeringVector:
    """One direction per steered block: what is added to the block's output, times a strength.

    Directions are made unit vectors, so that strengths are lengths in the hidden space. Vectors can be added,
    subtracted and multiplied by numbers, block by block; what comes of it keeps its lengths: steering with
    ``v + 0.5 * w`` at strength r is steering with v at r and with w at r / 2 at once.

    Example:
        >>> vector = SteeringVector({2: torch.tensor([3.0, 4.0])})
        >>> vector.directions[2], vector.layers, vector.width
        (tensor([0.6000, 0.8000]), (2,), 2)
        >>> (vector - 0.5 * SteeringVector({2: torch.tensor([0.0, 2.0])})).directions[2]
        tensor([0.6000, 0.3000])
    """

    directions: Mapping[int, Float[Tensor, " width"]]
    """Block number from 0 -> direction; float32 on the CPU, of length 1 unless ``unit`` is false."""
    facts: Mapping[int, LayerFacts] = field(default_factory=dict)
    """Per block, what is known of its direction."""
    origin: Origin = Origin()
    """How the vector was made."""
    unit: bool = True
    """Whether directions are made unit vectors; False keeps the lengths of sums and multiples."""

    def __post_init__(self) -> None:
        if not self.directions:
            raise InputError("a steering vector needs at least one layer")
        units: dict[int, Tensor] = {}
        for layer, direction in sorted(self.directions.items()):
            flat = direction.detach().to("cpu", torch.float64)
            norm = float(flat.norm())
            if flat.ndim != 1 or norm == 0 or not math.isfinite(norm):
                raise InputError(f"the direction of layer {layer} must be one row of finite numbers that is not zero")
            units[layer] = (flat / norm if self.unit else flat).float()
        widths = {unit.numel() for unit in units.values()}
        if len(widths) > 1 or min(units) < 0:
            raise InputError(f"directions must be of one width and layers at least 0: got {sorted(widths)}, {[*units]}")
        # The dataclass is frozen: this is the way past it.
        object.__setattr__(self, "directions", units)
        object.__setattr__(self, "facts", {layer: self.facts.get(layer, LayerFacts()) for layer in units})

    @classmethod
    def extract(
        cls,
        model: ModelSource,
        pairs: Rows,
        *,
        layers: Sequence[int] | str | None = None,
        method: str = "mean",
        template: str = "{text}",
        seed: int = 0,
        folds: int = 5,
    ) -> SteeringVector:
        """Extracts a vector from contrast pairs; see :func:`seqtant.steering.extract`."""
        from seqtant.steering.vectors.extraction import extract

        return extract(model, pairs, layers, method=method, template=template, seed=seed, folds=folds)

    def apply(
        self, model: hooks.Model | tuple[Any, Any], strength: Strength = 1.0, **options: Any
    ) -> AbstractContextManager[None]:
        """Steers a model while the context lasts: ``with vector.apply(model, 2.0): model.generate(...)``.

        Args:
            model: A transformers model, ``(model, tokenizer)``, or a wrapper of :func:`seqtant.lm.load`.
            strength: Steering coefficient, one number or one per row of the batch.
            **options: As for :func:`seqtant.steering.apply_steering`: ``positions``, ``weights``, ``keep_norm`` ...

        Raises:
            InputError: The vector does not fit the model.
        """
        from seqtant.steering.vectors.hooks import apply_steering

        return apply_steering(model, self, strength, **options)

    def __mul__(self, factor: float) -> SteeringVector:
        """Multiplies every direction by a number other than 0."""
        if isinstance(factor, bool) or not isinstance(factor, Real):
            return NotImplemented
        facts = self.facts
        if factor < 0:
            # What was counted on the positive side is not true of the other.
            facts = {k: replace(fact, sign_agreement=None, held_out_accuracy=None) for k, fact in facts.items()}
        rows = {layer: float(factor) * row for layer, row in self.directions.items()}
        # A multiple must not be normalized again, or its factor would be lost; +-1 keeps the lengths anyway.
        return replace(self, directions=rows, facts=facts, unit=self.unit and abs(factor) == 1)

    __rmul__ = __mul__

    def __neg__(self) -> SteeringVector:
        """Steers the other way."""
        return -1 * self

    def __add__(self, other: SteeringVector) -> SteeringVector:
        """Adds the directions block by block; a block that only one of them steers is steered by that one.

        Raises:
            InputError: They are of different models, or cancel in a block.
        """
        if not isinstance(other, SteeringVector):
            return NotImplemented
        both = (self, other)
        for what in ("model_hash", "tokenizer_hash", "depth"):
            known = {value for vector in both if (value := getattr(vector.origin, what))}
            if len(known) > 1 or self.width != other.width:
                raise InputError(
                    f"the vectors are of different models ('{self.origin.model}' and '{other.origin.model}'): only "
                    "vectors of one model can be added"
                )
        layers = sorted({*self.layers, *other.layers})
        rows = {k: torch.stack([v.directions[k] for v in both if k in v.directions]).sum(dim=0) for k in layers}
        facts: dict[int, LayerFacts] = {}
        for layer in layers:
            # The states are the model's, whatever is added to them: their mean norm is that of either.
            norms = [v.facts[layer].hidden_norm for v in both if layer in v.facts]
            facts[layer] = LayerFacts(hidden_norm=next((norm for norm in norms if norm is not None), None))
        source = self.origin if self.origin.model_hash else other.origin
        origin = replace(source, method="sum", template="", data_hash="", pairs=0, seed=None)
        return SteeringVector(rows, facts, origin, unit=False)

    def __sub__(self, other: SteeringVector) -> SteeringVector:
        """Subtracts another vector block by block."""
        return self + -other

    @property
    def layers(self) -> tuple[int, ...]:
        """The blocks it steers, ascending."""
        return tuple(self.directions)

    @property
    def width(self) -> int:
        """Size of the hidden states."""
        return self.directions[self.layers[0]].numel()

    @property
    def hidden_norm(self) -> float | None:
        """Mean over its blocks of the mean hidden norm; None if a block's is not known."""
        norms = [self.facts[layer].hidden_norm for layer in self.layers]
        known = [norm for norm in norms if norm is not None]
        return sum(known) / len(known) if len(known) == len(norms) else None

    def at(self, layers: tuple[int, ...] | list[int]) -> SteeringVector:
        """The vector restricted to some of its blocks.

        Raises:
            InputError: It has no direction for one of them.
        """
        missing = sorted(set(layers) - set(self.layers))
        if missing:
            raise InputError(f"the vector has no direction for layer {missing[0]}: it has {list(self.layers)}")
        return replace(
            self,
            directions={layer: self.directions[layer] for layer in layers},
            facts={layer: self.facts[layer] for layer in layers},
        )

    def save(self, path: str | Path) -> None:
        """Writes the vector as safetensors, whole or not at all.

        Raises:
            InputError: The folder cannot be written.
        """
        tensors = {f"direction.{layer}": direction.contiguous() for layer, direction in self.directions.items()}
        facts = {str(layer): asdict(known) for layer, known in self.facts.items()}
        about = {"format": FORMAT, "origin": json.dumps(asdict(self.origin)), "facts": json.dumps(facts)}
        if not self.unit:
            about["unit"] = "false"
        with whole_file(Path(path)) as temporary:
            save_file(tensors, str(temporary), metadata=about)

    @classmethod
    def load(cls, path: str | Path) -> SteeringVector:
        """Reads a vector back: one that :meth:`save` wrote, or a control vector of llama.cpp (``.gguf``).

        Raises:
            InputError: The file is missing, corrupt, or no steering vector.
            MissingExtraError: A GGUF file needs the library ``gguf``.
        """
        path = Path(path)
        if path.suffix == ".gguf":
            from seqtant.steering.vectors.interop import read_gguf

            return read_gguf(path)
        if not path.is_file():
            raise InputError(f"no file '{path}': give a steering vector that 'steering extract' wrote")
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise InputError(f"'{path}' is no readable safetensors file ({error})") from error
        if about.get("format") != FORMAT:
            raise InputError(f"'{path}' is no steering vector of this package: its format is {about.get('format')!r}")
        directions = {int(name.removeprefix("direction.")): tensor for name, tensor in tensors.items()}
        facts = {int(layer): LayerFacts(**known) for layer, known in json.loads(about["facts"]).items()}
        origin = Origin(**json.loads(about["origin"]))
        return cls(directions, facts, origin, unit=about.get("unit") != "false")


def check_vector(vector: SteeringVector, model: hooks.Model, *, allow_other: bool = False) -> None:
    """Checks that a vector belongs to a model; ``allow_other`` accepts other weights or another tokenizer.

    Of a bare transformers model the tokenizer is not known, so not checked.
    """
    width, depth = hooks.width(model), hooks.depth(model)
    name = type(model).__name__ if isinstance(model, nn.Module) else model.name
    if vector.width != width:
        raise InputError(f"the vector is {vector.width} wide, '{name}' {width}: it is of another model")
    if vector.layers[-1] >= depth or (vector.origin.depth and vector.origin.depth != depth):
        there = vector.origin.depth or vector.layers[-1] + 1
        raise InputError(f"the vector is for {there} blocks, '{name}' has {depth}: it is of another model")
    if allow_other:
        return
    origin = vector.origin
    config: Any = hooks.network(model).config
    kinds = {str(each.model_type) for each in (config, config.get_text_config(decoder=True))}
    hint = re.sub(r"[^a-z0-9]", "", origin.model_type.lower())
    same = {hint, *FAMILIES.get(hint, ())}
    if hint and same.isdisjoint(re.sub(r"[^a-z0-9]|_text$", "", kind.lower()) for kind in kinds):
        raise InputError(
            f"the vector was made for the family '{origin.model_type}', '{name}' is of '{config.model_type}': it is of "
            "another model, unless you allow it with --set allow_other_model=true"
        )
    checks = [("weights", origin.model_hash, model_hash)]
    if isinstance(model, HuggingFaceLM):
        checks.append(("tokenizer", origin.tokenizer_hash, tokenizer_hash))
    for what, expected, found in checks:
        if expected and expected != found(model):
            raise InputError(
                f"the vector was made from '{origin.model}' with other {what} than '{name}' has: extract "
                "it anew, or allow it with --set allow_other_model=true"
            )


def model_hash(model: hooks.Model) -> str:
    """SHA-256 over names, shapes and 64 evenly spread numbers of every weight, 16 hexadecimal digits.

    Numbers are compared in bfloat16, so that a model has the same hash whatever type it is loaded in.
    """
    digest = hashlib.sha256()
    network = hooks.network(model)
    for name, weight in sorted(network.state_dict().items()):
        flat = read_weight(network, name, weight).reshape(-1)
        step = max(1, flat.numel() // HASHED_NUMBERS)
        # Rounding through bfloat16 gives the same number from float32 and from a bfloat16 copy of it.
        values = flat[::step][:HASHED_NUMBERS].to("cpu", torch.float32).bfloat16().float().tolist()
        digest.update(json.dumps([name, list(weight.shape), values]).encode())
    return digest.hexdigest()[:16]


def tokenizer_hash(model: Any) -> str:
    """SHA-256 over the vocabulary and the chat template, 16 hexadecimal digits; empty without a tokenizer."""
    if model.tokenizer is None:
        return ""
    words = sorted(model.tokenizer.get_vocab().items())
    text = json.dumps([words, getattr(model.tokenizer, "chat_template", None)], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
