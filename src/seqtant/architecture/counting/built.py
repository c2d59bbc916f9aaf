"""Counts any network that transformers can build, from its modules: it is built on the meta device, without memory.

The readers of :mod:`seqtant.architecture.families` are exact and need no torch, for the families they know. All others
come here. Parameters are sorted into components by the names of modules and classes, which transformers keeps alike
across families; FLOPs come from torch's own counter over one forward pass without numbers.
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from seqtant.architecture.counting.accounting import Cache, Flops, Parameters, bytes_of
from seqtant.architecture.families.shape import Attention, Embedding, FeedForward, Layer, Linear, Shape, Stack, Table
from seqtant.errors import InputError, suggest

if TYPE_CHECKING:
    from torch import nn

COMPONENTS: tuple[tuple[str, str, str], ...] = (
    # Component, pattern of a module's name, pattern of its class; the first that fits on the way up from a tensor wins.
    ("norms", r"norm|layernorm|ln_\w+|ln\d?", r"Norm\d?d?$"),
    ("router", r"router|gate|shared_expert_gate", r"(Router|TopK\w*|Gat(e|ing))$"),
    ("shared experts", r"shared_experts?|shared_mlp", r"SharedExpertsMLP$"),
    ("experts", r"experts", r"Experts$"),
    ("linear attention", r"linear_attn|delta_net", r"(DeltaNet|DeltaAttention|LightningAttention|LinearAttention)$"),
    (
        "state space",
        r"mamba|ssm|rwkv|temporal_block|conv|short_conv",
        r"(Mamba\w*Mixer|Mamba|Rwkv\w*|RecurrentBlock|RgLru|xLSTM\w*|ShortConv|Mixer)$",
    ),
    ("attention", r"(self_|cross_|encoder_)?attn|attention|self_attention|crossattention", r"Attention\w*$"),
    ("feed-forward", r"mlp|ffn?|feed_forward|fc1|fc2|intermediate|output", r"(MLP|Mlp|FeedForward|FFN?|Intermediate)$"),
)
"""How parameters are sorted into components."""

OTHER_SENSES = re.compile(
    r"(^|\.)(vision|visual|image|vq|audio|speech|video|aligner|multi_modal_projector|embed_vision)"
)
"""Beginnings of the names of modules that read something besides text."""

HEADS = re.compile(r"(^|\.)(lm_head|embed_out|cls|classifier|score|qa_outputs|pooler|proj_out)(\.|$)")
"""Names of modules behind the last layer."""

NUMBERED = {"layer_idx", "layer_id", "layer_number", "block_idx"}
"""Fields in which a layer keeps its place."""

LONGEST = 1.0
"""Seconds that a pass over all tokens may take before its FLOPs are drawn out from short ones."""

CACHES = ("past_key_values", "cache_params", "state", "mems")
"""Names under which outputs hold what was read."""

ACTIVE = ("top_k", "num_experts_per_tok", "moe_topk", "moe_k", "num_selected_experts")
"""Names under which blocks, routers and configurations keep how many experts a token passes through."""


@dataclass(frozen=True)
class Built:
    """What the modules of a network say about it."""

    counted_as: str
    """Class of transformers that was built."""
    parameters: Parameters
    experts: dict[str, int]
    """``stored`` and ``active`` experts of a layer; empty for dense networks."""
    mixers: Counter[str]
    """Kind of token mixer -> layers."""
    layers: list[tuple[str, int, int]]
    """Kinds of layers: components, how many layers, parameters of one."""
    width: int
    vocabulary: int
    context: int | None
    is_tied: bool
    dtype: str
    compressed_cache: int
    """Numbers per token that multi-head latent attention needs, over all layers; 0 where there is none."""
    shape: Shape | None
    """The sizes that the theory speaks of; None where it says nothing."""
    silent: str
    """Why it says nothing; empty where it speaks."""
    network: nn.Module = field(repr=False)
    """Without numbers."""
    notes: tuple[str, ...] = ()
    """What a reader should know besides."""
    tables: tuple[str, ...] = ()
    """Names of the token table."""
    left_out: tuple[str, ...] = ()
    """Patterns of tensors that checkpoints hold and this class leaves out, such as heads for several tokens."""
    fixed_tokens: None = None

    @property
    def depth(self) -> int:
        """Layers of the text decoder, or of the encoder where that is all there is."""
        return sum(count for _, count, _ in self.layers)


def build(data: Mapping[str, Any], source: str = "configuration") -> nn.Module:
    """Builds the network of a parsed ``config.json`` on the meta device, as the installed transformers would.

    Raises:
        InputError: transformers does not know the family, or cannot build it from this configuration.
    """
    import torch
    import transformers
    from transformers import AutoModel

    from seqtant.lm.loading import quiet

    kind = str(data.get("model_type"))
    known = transformers.CONFIG_MAPPING
    if kind not in known:
        told = f"unknown model_type {data.get('model_type')!r}{suggest(kind, list(known))}"
        raise InputError(f"{source}: {told}: transformers {transformers.__version__} has none")
    named = next(iter(data.get("architectures") or []), "")
    chosen: Any = getattr(transformers, named, None) if isinstance(named, str) else None
    try:
        with quiet(), warnings.catch_warnings(action="ignore"), torch.device("meta"), torch.no_grad():
            config = known[kind].from_dict(dict(data))
            # Products of queries and keys as such, which the counter of FLOPs can see.
            config._attn_implementation = "eager"
            if hasattr(chosen, "_from_config"):
                return chosen._from_config(config, attn_implementation="eager").eval()
            # Where no class is named: the whole network, with the head that predicts tokens.
            whole = ("ImageTextToText", "Seq2SeqLM", "SpeechSeq2Seq", "CausalLM", "MaskedLM", "CTC")
            reads_more = any("vision" in name for name in config.sub_configs)
            skipped = 0 if reads_more else 1 if config.is_encoder_decoder else 3
            kinds = [getattr(transformers, f"AutoModelFor{name}") for name in whole[skipped:]]
            auto = next((each for each in kinds if type(config) in each._model_mapping), AutoModel)
            return auto.from_config(config, attn_implementation="eager").eval()
    except Exception as error:  # a configuration class may fail in any way on a value that does not suit it
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"{source}: transformers {transformers.__version__} cannot build '{kind}' from it: {first:.160}"
        ) from error


def count_modules(network: nn.Module) -> Built:
    """Counts the parameters of a network by component; tied and shared weights count once.

    Of routed experts, a token passes through ``active`` of ``stored``; shared experts, router and everything else are
    active for every token.

    Example:
        >>> network = build({"model_type": "olmoe", "num_hidden_layers": 2, "architectures": ["OlmoeForCausalLM"]})
        >>> counted = count_modules(network)
        >>> counted.parameters.total == sum(p.numel() for p in network.parameters()), counted.experts
        (True, {'stored': 64, 'active': 8})
    """
    network_: Any = network
    config = network_.config
    text = _Sizes(config)
    table = _weight_of(network_.get_input_embeddings)
    head = _weight_of(network_.get_output_embeddings)
    owners: dict[str, nn.Module] = dict(network.named_modules())
    blocks = _blocks(owners, text.num_hidden_layers)
    components: Counter[str] = Counter()
    by_layer: dict[str, Counter[str]] = {name: Counter() for name in blocks}
    inactive, experts = 0.0, {}
    for name, parameter in network.named_parameters():
        path = name.rpartition(".")[0]
        part = _component(path, owners)
        if parameter is table:
            part = "embedding: token"
        elif parameter is head or HEADS.search(path):
            part = "head"
        elif OTHER_SENSES.search(path):
            part = "vision and audio"
        elif type(owners[path]).__name__.endswith("Embedding") or (
            part == "other" and "embed" in path.rpartition(".")[2]
        ):
            part = "embedding: other tables"
        components[part] += parameter.numel()
        if part == "experts":
            stored, active = parameter.shape[0], _active(path, owners, text)
            experts = {"stored": stored, "active": active}
            inactive += parameter.numel() * (1 - active / stored)
        for block, parts in by_layer.items():
            if path.startswith(f"{block}."):
                parts[part] += parameter.numel()
    kinds = Counter((", ".join(sorted(parts)), sum(parts.values())) for parts in by_layer.values())
    mixers = Counter(
        " and ".join(kind for kind in ("attention", "linear attention", "state space") if kind in parts) or "no mixer"
        for parts in by_layer.values()
    )
    counted = Parameters(dict(sorted(components.items())) | {"head": components["head"]}, round(inactive))
    built = Built(
        counted_as=type(network).__name__,
        parameters=counted,
        experts=experts,
        mixers=mixers,
        layers=[(parts, count, size) for (parts, size), count in kinds.items()],
        width=text.hidden_size or 0,
        vocabulary=text.vocab_size or 0,
        context=text.max_position_embeddings if (text.max_position_embeddings or 0) > 0 else None,
        is_tied=head is not None and head is table,
        dtype=str(getattr(config, "dtype", None) or "float32").removeprefix("torch."),
        compressed_cache=((text.kv_lora_rank or 0) + (text.qk_rope_head_dim or 0)) * mixers["attention"]
        if text.kv_lora_rank
        else 0,
        shape=None,
        silent="",
        network=network,
        tables=tuple(name for name, each in network.named_parameters() if each is table),
        left_out=tuple(network_._keys_to_ignore_on_load_unexpected or ()),
    )
    silent = _silence(config, text, built, reads_tokens=table is not None)
    if silent:
        return replace(built, silent=silent)
    more = "it was fitted on text alone" if components["vision and audio"] else ""
    return replace(built, shape=_sketch(built, text, network), silent=more)


def _silence(config: Any, text: _Sizes, built: Built, *, reads_tokens: bool) -> str:
    """Why the theory says nothing of a network; empty where it speaks."""
    if config.is_encoder_decoder:
        return "it is about single stacks, and this is an encoder with a decoder"
    others = {kind: count for kind, count in built.mixers.items() if kind != "attention"}
    if others or not built.layers:
        kinds_of = " and ".join(f"{count} of {kind}" for kind, count in others.items()) or "none that are recognized"
        return f"it is about layers of self-attention, and of {built.depth} layers here are {kinds_of}"
    if not reads_tokens:
        return "it is about networks that read tokens"
    if not text.is_causal():
        return "it is about decoders that predict the next token"
    if not (built.width and built.vocabulary and text.num_attention_heads and text.intermediate_size):
        return "its configuration does not name one size for all layers"
    return ""


class _Sizes:
    """Sizes of the text part of a configuration; None for what is missing, no number, or another in every layer."""

    def __init__(self, config: Any) -> None:
        self._config = config.get_text_config(decoder=True) if config.sub_configs else config

    def is_causal(self) -> bool:
        """Whether transformers has a decoder of this family that predicts the next token."""
        from transformers import AutoModelForCausalLM

        return type(self._config) in AutoModelForCausalLM._model_mapping

    def __getattr__(self, name: str) -> int | None:
        try:
            value: Any = getattr(self._config, name)
        except Exception:  # configurations refuse sizes that vary by layer with errors of their own
            return None
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sketch(built: Built, text: _Sizes, network: nn.Module) -> Shape:
    """The sizes of a decoder of self-attention that depth law and rank bounds ask for."""
    width, depth, heads = built.width, built.depth, text.num_attention_heads or 1
    attention = Attention(
        width=width,
        heads=heads,
        kv_heads=text.num_key_value_heads or heads,
        head_dim=text.v_head_dim or text.head_dim or width // heads,
    )
    names = [name for name, _ in network.named_parameters()]
    feed_forward = FeedForward(
        width=width,
        inner=(text.moe_intermediate_size if built.experts else None) or text.intermediate_size or 1,
        gated=any(re.search(r"gate_(up_)?proj|\bw[13]\b|up_gate", name) for name in names),
        experts=built.experts.get("stored", 1),
        active=built.experts.get("active", 1),
    )
    return Shape(
        counted_as=built.counted_as,
        width=width,
        embedding=Embedding(tables=(Table(name="token", rows=built.vocabulary, columns=width),)),
        stacks=(
            Stack(
                name="decoder",
                layers=(Layer(attention=(attention,), feed_forward=feed_forward, norm=0, stored=depth, applied=depth),),
            ),
        ),
        head=(Linear(name="output", inputs=width, outputs=built.vocabulary, tied=built.is_tied),),
        vocabulary=built.vocabulary,
        context=built.context,
    )


def run_without_numbers(network: nn.Module, tokens: int, dtype: str) -> tuple[Flops, Cache | None]:
    """Counts the FLOPs of one forward pass and the bytes that it leaves in the cache, on the meta device.

    Routed experts stand in as the products that a token causes: 2 x active x parameters of one expert's matrices. Of
    layers that are alike, one is run. Where layers go through the tokens one by one, FLOPs are a polynomial of second
    degree in the length, which three short passes fix.

    Raises:
        InputError: The family's forward pass asks for numbers, which the meta device has not.
    """
    number = bytes_of(dtype)
    owners: dict[str, nn.Module] = dict(network.named_modules())
    for alike in (True, False):
        try:
            flops, per_token, held = _trace(network, owners, tokens, alike=alike)
        except Exception as error:  # every family may ask for numbers in a way of its own
            if alike:
                continue
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError(f"its forward pass cannot be traced without numbers ({first:.120})") from error
        components = {name: count for name, count in sorted(flops.items()) if count}
        return Flops(components, tokens), Cache(per_token * number, 0, held * number) if held else None
    raise AssertionError("the last way returns or raises")


def _trace(network: Any, owners: Mapping[str, nn.Module], tokens: int, *, alike: bool) -> tuple[Counter[str], int, int]:
    """FLOPs by component, numbers in the cache per further token while no window is full, and at this length."""
    import torch

    from seqtant.lm.loading import quiet

    text = _Sizes(network.config)
    # A window would bend the cache's growth, so that only lengths within it are drawn out.
    may_draw = 300 < tokens <= min(text.sliding_window or tokens, text.attention_window_size or tokens)
    silenced = warnings.catch_warnings(action="ignore")
    with quiet(), silenced, torch.no_grad(), _standing_in(owners, network.config, alike=alike) as run:
        (_, two), (_, three) = (_pass(network, owners, length, run) for length in (2, 3))
        if may_draw:
            begun = time.process_time()
            at = {64: _pass(network, owners, 64, run)[0]}
            if (time.process_time() - begun) * tokens / 64 > LONGEST:
                at |= {length: _pass(network, owners, length, run)[0] for length in (32, 96, 300)}
                # Chunks of tokens would bend the curve of FLOPs: it must meet a length beyond them.
                if _drawn_out(at, 300) == at[300]:
                    return _drawn_out(at, tokens), three - two, three + (tokens - 3) * (three - two)
        flops, held = _pass(network, owners, tokens, run)
        return flops, three - two, held


def _drawn_out(at: Mapping[int, Counter[str]], tokens: int) -> Counter[str]:
    """The polynomial of second degree through FLOPs at 32, 64 and 96 tokens, at another length."""
    x = (tokens - 64) / 32
    slope = {part: (at[96][part] - at[32][part]) / 2 for part in at[64]}
    bend = {part: (at[96][part] + at[32][part]) / 2 - at[64][part] for part in at[64]}
    return Counter({part: round(count + x * slope[part] + x * x * bend[part]) for part, count in at[64].items()})


def _pass(network: Any, owners: Mapping[str, nn.Module], tokens: int, run: _Run) -> tuple[Counter[str], int]:
    """FLOPs of one forward pass by component, and the numbers that it leaves in the cache."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    for each in (run.routed, run.times, run.held):
        each.clear()
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    both = {"decoder_input_ids": ids} if network.config.is_encoder_decoder else {}
    with FlopCounterMode(display=False) as counter:
        output = network(input_ids=ids, **both)
    totals = {name: sum(parts.values()) for name, parts in counter.get_flop_counts().items()}
    own = {
        name.partition(".")[2]: total - sum(n for other, n in totals.items() if other.rpartition(".")[0] == name)
        for name, total in totals.items()
        if name != "Global"
    }
    components: Counter[str] = Counter()
    for path, count in own.items():
        block = next((block for block in run.times if f"{path}.".startswith(f"{block}.")), "")
        components["head" if HEADS.search(path) else _component(path, owners)] += count * run.times.get(block, 1)
    # Outside of every module that the counter follows: a product written out in the network's own forward.
    components["other"] += totals["Global"] - sum(own.values())
    for path, count in run.routed.items():
        block = next((block for block in run.times if path.startswith(f"{block}.")), "")
        components["experts"] += count * run.times.get(block, 1)
    held = _numbers([getattr(output, name, None) for name in CACHES])
    return components, held + sum((run.times[block] - 1) * count for block, count in run.held.items())


@dataclass
class _Run:
    """What stood in for what in one forward pass."""

    routed: dict[str, int]
    """Routed experts -> FLOPs of theirs."""
    times: dict[str, int]
    """Layer that was run -> layers that it stands for."""
    held: dict[str, int]
    """Layer that was run -> numbers that it left in the cache."""


def _numbers(value: Any, depth: int = 4) -> int:
    """Counts the floating-point numbers in the tensors of an object: keys, values, states that do not grow."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.numel() if value.is_floating_point() else 0
    if isinstance(value, list | tuple):
        return sum(_numbers(each, depth) for each in value)
    inside = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return sum(_numbers(each, depth - 1) for each in inside.values()) if depth else 0


@contextmanager
def _standing_in(owners: Mapping[str, nn.Module], config: Any, *, alike: bool) -> Iterator[_Run]:
    """Replaces routed experts, whose forward depends on numbers, and layers that are like one that was run before."""
    import torch

    run = _Run({}, {}, {})
    text = _Sizes(config)
    replaced: list[Any] = []
    for name, module in owners.items():
        stored = [each for each in module.parameters(recurse=False) if each.ndim == 3]
        if _component(name, owners) == "experts" and stored:
            one = sum(each[0].numel() for each in stored) * _active(name, owners, text)

            def experts(hidden: Any, *_: Any, name: str = name, one: int = one, **__: Any) -> Any:
                run.routed[name] = run.routed.get(name, 0) + 2 * one * (hidden.numel() // hidden.shape[-1])
                return torch.empty_like(hidden)

            replaced.append(module)
            replaced[-1].forward = experts
    first: dict[Any, tuple[str, Any]] = {}
    for name in _blocks(owners, text.num_hidden_layers) if alike else []:
        block: Any = owners[name]
        kind = _kind_of(block)

        def layer(*args: Any, name: str = name, kind: Any = kind, forward: Any = block.forward, **kwargs: Any) -> Any:
            if kind in first and first[kind][0] in run.times:
                run.times[first[kind][0]] += 1
                return first[kind][1]
            caches = [each for each in (*args, *kwargs.values()) if hasattr(each, "__dict__")]
            before = _numbers(caches)
            output = forward(*args, **kwargs)
            first[kind], run.times[name], run.held[name] = (name, output), 1, _numbers(caches) - before
            return output

        replaced.append(block)
        block.forward = layer
    try:
        yield run
    finally:
        for module in replaced:
            del module.forward


def _kind_of(block: nn.Module) -> Any:
    """What makes a layer like another: classes, sizes and switches of its modules, all but its number."""
    plain = (int, str, float, bool, type(None))
    return tuple(
        (
            name,
            type(module).__name__,
            tuple(each.shape for each in module.parameters(recurse=False)),
            tuple(
                (key, each)
                for key, each in sorted(vars(module).items())
                if isinstance(each, plain) and key not in NUMBERED
            ),
        )
        for name, module in block.named_modules()
    )


def _component(path: str, owners: Mapping[str, nn.Module]) -> str:
    """Sorts a module: by the nearest owner whose name or class is known."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        name, kind = parts[length - 1], type(owners.get(".".join(parts[:length]))).__name__
        for component, by_name, by_class in COMPONENTS:
            if re.fullmatch(by_name, name) or re.search(by_class, kind):
                # A dense layer's gate is a matrix of its own; a router has experts beside it.
                block = owners.get(".".join(parts[: length - 1]))
                beside = block is not None and any(each.endswith("experts") for each, _ in block.named_children())
                if component != "router" or beside:
                    return component
    return "other"


def _active(path: str, owners: Mapping[str, nn.Module], config: Any) -> int:
    """How many experts a token passes through: as the router keeps it, or the block, or the configuration."""
    block = owners[path.rpartition(".")[0]]
    places: list[Any] = [getattr(block, name, None) for name in ("router", "gate")]
    for place in (*places, block, config):
        for name in ACTIVE:
            if isinstance(getattr(place, name, None), int):
                return int(getattr(place, name))
    raise InputError(f"'{path}' does not say how many of its experts a token passes through")


def _blocks(owners: Mapping[str, nn.Module], depth: int | None) -> list[str]:
    """Names of the layers: the list of modules as long as the configuration says, outside of other senses."""
    from torch.nn import ModuleList

    lists = [
        name
        for name, module in owners.items()
        if isinstance(module, ModuleList) and len(module) == depth and not OTHER_SENSES.search(name)
    ]
    return [f"{lists[0]}.{index}" for index in range(depth or 0)] if lists else []


def _weight_of(getter: Any) -> Any:
    try:
        return getattr(getter(), "weight", None)
    except (NotImplementedError, AttributeError):
        return None
