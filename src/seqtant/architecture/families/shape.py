"""Describes a transformer by its sizes alone: what a ``config.json`` is read into, and what all counts start from.

Sizes are counts (heads, tokens, parameters), never bytes. ``stored`` and ``applied`` differ where layers share weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A matrix from ``inputs`` to ``outputs`` numbers, with or without a bias."""

    name: str
    """What it is, e.g. ``output`` or ``pooler``."""
    inputs: int
    outputs: int
    bias: bool = False
    tied: bool = False
    """The matrix (not its bias) is the token table's: not counted again."""
    per: Literal["token", "sequence", "patch"] = "token"
    """What it is applied to: every token, one token of a sequence, or every image patch."""

    @property
    def weights(self) -> int:
        """Entries of the matrix, tied or not."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Parameters of its own."""
        return (0 if self.tied else self.weights) + (self.outputs if self.bias else 0)


@dataclass(frozen=True, kw_only=True)
class Table:
    """An embedding table: looked up, not multiplied."""

    name: Literal["token", "position", "type"]
    rows: int
    columns: int
    tensor: str = ""
    """Last words of its name in a weights file, e.g. ``embed_tokens.weight``."""

    @property
    def parameters(self) -> int:
        """Entries of the table."""
        return self.rows * self.columns


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The input embedding: how tokens or patches get into the residual stream."""

    tables: tuple[Table, ...] = ()
    projection: Linear | None = None
    """From factorized embeddings up to the width, or from flattened patches to the width."""
    projection_tensor: str = ""
    """Last words of the projection's name in a weights file."""
    norm: int = 0
    """Parameters of a norm on the input."""
    free: int = 0
    """Further learned vectors, e.g. a class token."""

    def table(self, name: str) -> Table | None:
        """Looks a table up by name; None if there is none."""
        return next((table for table in self.tables if table.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One attention sublayer: queries, keys, values and the output projection."""

    width: int
    """Width of the residual stream it reads and writes."""
    heads: int
    kv_heads: int
    head_dim: int
    query_bias: bool = False
    kv_bias: bool = False
    output_bias: bool = False
    norm: int = 0
    """Parameters of norms on queries and keys."""
    position_bias: int = 0
    """Learned biases by relative position."""
    window: int | None = None
    """Tokens that a query may look back on, itself included; None for all."""
    causal: bool = True
    cross: bool = False
    """Whether keys and values come from the encoder."""

    @property
    def inner(self) -> int:
        """Heads times head width."""
        return self.heads * self.head_dim

    @property
    def kv_inner(self) -> int:
        """Key-value heads times head width."""
        return self.kv_heads * self.head_dim

    @property
    def weights(self) -> int:
        """Entries of the four matrices: queries and output of the full inner size, keys and values of the grouped."""
        return 2 * self.width * (self.inner + self.kv_inner)

    @property
    def parameters(self) -> int:
        """All parameters: matrices, biases, norms, position biases."""
        biases = self.query_bias * self.inner + 2 * self.kv_bias * self.kv_inner + self.output_bias * self.width
        return self.weights + biases + self.norm + self.position_bias


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """One feed-forward sublayer, dense or a mixture of experts."""

    width: int
    inner: int
    gated: bool = False
    """Three matrices (gate, up, down) instead of two."""
    bias: bool = False
    experts: int = 1
    """Copies stored; above 1 a router chooses."""
    active: int = 1
    """Copies that one token passes through."""
    shared: int = 0
    """Copies besides that every token passes through, unknown to the router."""

    @property
    def expert_weights(self) -> int:
        """Entries of the matrices of one expert."""
        return (3 if self.gated else 2) * self.width * self.inner

    @property
    def expert_parameters(self) -> int:
        """Parameters of one expert."""
        biases = (2 if self.gated else 1) * self.inner + self.width
        return self.expert_weights + (biases if self.bias else 0)

    @property
    def router(self) -> int:
        """Parameters of the router; 0 for a dense sublayer."""
        return self.width * self.experts * (self.experts > 1)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One kind of layer and how often it occurs."""

    attention: tuple[Attention, ...]
    """Self-attention first, then cross-attention where there is any."""
    feed_forward: FeedForward
    norm: int
    """Parameters of the norms around the sublayers."""
    stored: int = 1
    """Copies with weights of their own."""
    applied: int = 1
    """Times that a token passes through it."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Layers of one kind of network, and the norm after them."""

    name: Literal["decoder", "encoder"]
    layers: tuple[Layer, ...]
    norm: int = 0
    """Parameters of the norm after the last layer."""

    @property
    def depth(self) -> int:
        """Layers that a token passes through."""
        return sum(layer.applied for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A whole network, as counted."""

    counted_as: str
    """Class of transformers whose parameters are counted, e.g. ``GPT2LMHeadModel``."""
    width: int
    embedding: Embedding
    stacks: tuple[Stack, ...]
    """An encoder before its decoder."""
    head: tuple[Linear, ...] = ()
    """What turns the last hidden state into logits."""
    head_norm: int = 0
    """Parameters of norms and free vectors within the head."""
    vocabulary: int | None = None
    """Token ids; None for images."""
    context: int | None = None
    """Most tokens it was built for; None where relative positions leave it open."""
    fixed_tokens: int | None = None
    """Tokens of every input, where the input has one size only (images)."""
    family: str = ""
    """``model_type`` of the configuration."""
    dtype: str = "float32"
    """Number format that the configuration names."""
    notes: tuple[str, ...] = ()
    """What had to be assumed while reading the configuration."""
    whole: bool = True
    """Whether all of the network that the configuration names is counted."""

    @property
    def layers(self) -> list[Layer]:
        """Kinds of layers, of all stacks."""
        return [layer for stack in self.stacks for layer in stack.layers]

    @property
    def depth(self) -> int:
        """Layers that a token passes through, of all stacks."""
        return sum(stack.depth for stack in self.stacks)

    @property
    def is_tied(self) -> bool:
        """Whether the output head shares the token table."""
        return any(linear.tied for linear in self.head)
