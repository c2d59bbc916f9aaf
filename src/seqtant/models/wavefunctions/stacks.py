"""Builds causal graphs for lattices: the published two stacks, a lighter pair, a masked single stack, a dilated chain.

Two stacks means: a vertical stack that sees whole rows above, and a horizontal stack that sees its own row to the left
and, one row down, the vertical stack. Together they see every earlier site; a masked single stack does not.
"""

from __future__ import annotations

from itertools import product

from seqtant.models.wavefunctions.causal_graph import SPINS, CausalGraph, Node, Offset, Tap

HERE: tuple[Offset, ...] = ((0, 0),)
LEFT: tuple[Offset, ...] = ((0, -1),)
UP: tuple[Offset, ...] = ((-1, 0),)


def _box(rows: range, columns: range) -> tuple[Offset, ...]:
    return tuple(product(rows, columns))


def light_two_stack(depth: int, width: int, outputs: int = 2, activation: str = "silu", kernel: int = 3) -> CausalGraph:
    """Builds two residual stacks with one convolution each per layer: few parameters, no blind spot.

    Args:
        depth: Layers.
        width: Features per site and stack.
        outputs: Channels of the output: 2 log-amplitudes, and 2 phases where there are 4.
        activation: Pointwise function.
        kernel: Columns that one vertical layer sees, odd.

    Example:
        >>> light_two_stack(4, 8).missing_dependencies((4, 4))
        []
    """
    nodes: list[Node] = []
    vertical, horizontal = SPINS, SPINS
    half = kernel // 2
    for layer in range(depth):
        # The vertical stack reads its own row and the one above, to both sides: it knows whole rows.
        down = _box(range(-1, 1), range(-half, half + 1))
        nodes.append(Node(f"vertical{layer}_new", width, (Tap(vertical, down),), activation=activation))
        # The horizontal stack reads to the left, and the vertical one a row up. Layer 0 leaves out its own site.
        left = _box(range(1), range(-2, 0) if layer == 0 else range(-1, 1))
        # The vertical stack at (r, c) sees row r to the right of c as well: only one row up is it all in the past.
        taps = (Tap(horizontal, left), Tap(f"vertical{layer}_new", UP))
        nodes.append(Node(f"horizontal{layer}_new", width, taps, activation=activation))
        if layer == 0:
            vertical, horizontal = "vertical0_new", "horizontal0_new"
            continue
        # Residual connections, from the second layer on.
        nodes.append(Node(f"vertical{layer}", width, skips=(vertical, f"vertical{layer}_new")))
        nodes.append(Node(f"horizontal{layer}", width, skips=(horizontal, f"horizontal{layer}_new")))
        vertical, horizontal = f"vertical{layer}", f"horizontal{layer}"
    nodes.append(Node("output", outputs, (Tap(horizontal, HERE),)))
    return CausalGraph(_used(nodes))


def paper_two_stack(depth: int, width: int, outputs: int = 4, kernel: int = 3) -> CausalGraph:
    """Builds the published network: residual units of two causal blocks, ReLU, weight normalization.

    Source: Sharir et al., Phys. Rev. Lett. 124, 020503 (2020), in the form of its official code
    (``ConvNetAutoregressive2D``); 398,340 parameters at depth 10 and width 32.

    Args:
        depth: The published depth; there are ``2 depth - 2`` blocks.
        width: Channels, even.
        outputs: Channels of the output.
        kernel: Side of the kernels.
    """
    builder = _PaperBlocks(width, kernel)
    vertical, horizontal = builder.block(SPINS, SPINS)
    vertical, horizontal = builder.rectified(vertical), builder.rectified(horizontal)
    for _ in range(depth - 2):
        v, h = builder.block(vertical, horizontal)
        v, h = builder.block(builder.rectified(v), builder.rectified(h))
        vertical, horizontal = builder.rectified(vertical, v), builder.rectified(horizontal, h)
    _, horizontal = builder.block(vertical, horizontal, last=True)
    head = Node("output", outputs, (Tap(builder.rectified(horizontal), HERE),))
    return CausalGraph(_used([*builder.nodes, head]))


class _PaperBlocks:
    """Collects the nodes of the published network, block by block."""

    def __init__(self, width: int, kernel: int) -> None:
        self.nodes: list[Node] = []
        self._width = width
        self._kernel = kernel
        self._blocks = 0

    def block(self, vertical: str, horizontal: str, last: bool = False) -> tuple[str, str]:
        """Adds one causal block; its horizontal half is moved one site to the right in the last one."""
        name, k, half = f"block{self._blocks}", self._kernel, self._width // 2
        self._blocks += 1
        up = range(1 - k, 1)
        self._convolve(f"{name}_vertical", self._width, vertical, _box(up, range(-(k // 2), k // 2 + 1)), "identity")
        self._convolve(f"{name}_horizontal", self._width, horizontal, _box(range(1), range(1 - k, 1)), "relu")
        # One shift by a site is enough for the whole network: before it, features may see their own site.
        self._convolve(f"{name}_left", half, f"{name}_horizontal", LEFT if last else HERE, "relu")
        self._convolve(f"{name}_above", half, self.rectified(f"{name}_vertical"), UP, "relu")
        # Both halves are merged by a convolution that reads up and to the left.
        corner = _box(up, range(1 - k, 1))
        taps = (Tap(f"{name}_left", corner), Tap(f"{name}_above", corner))
        self.nodes.append(Node(f"{name}_merged", self._width, taps, normalized=True))
        return f"{name}_vertical", f"{name}_merged"

    def rectified(self, *sources: str) -> str:
        """Adds the positive part of a sum of nodes, once."""
        name = f"{sources[0]}_positive" if len(sources) == 1 else f"unit{len(self.nodes)}"
        if all(node.name != name for node in self.nodes):
            self.nodes.append(Node(name, self._width, skips=sources, activation="relu"))
        return name

    def _convolve(self, name: str, channels: int, source: str, offsets: tuple[Offset, ...], activation: str) -> None:
        self.nodes.append(Node(name, channels, (Tap(source, offsets),), activation=activation, normalized=True))


def single_stack(depth: int, width: int, outputs: int = 2, activation: str = "selu") -> CausalGraph:
    """Builds masked 2 x 3 convolutions in one stack: cheap, but with blind spots right of its upward cone.

    This is the function of NetKet's ``ARNNConv2D`` with kernel (2, 3); it is here to be compared with.
    """
    first = (*_box(range(-1, 0), range(-1, 2)), (0, -1))
    nodes: list[Node] = []
    source = SPINS
    for layer in range(depth):
        last = layer == depth - 1
        channels, name = (outputs, "output") if last else (width, f"layer{layer}")
        # Only the first layer, which reads the spins, must leave out its own site.
        offsets = first if layer == 0 else (*first, (0, 0))
        nodes.append(Node(name, channels, (Tap(source, offsets),), activation="identity" if last else activation))
        source = name
    return CausalGraph(tuple(nodes))


def dilated_chain(depth: int, width: int, outputs: int = 2, activation: str = "silu") -> CausalGraph:
    """Builds a residual causal stack for chains whose reach doubles with every layer: depth d sees 2^d sites back.

    Example:
        >>> dilated_chain(4, 8).missing_dependencies((1, 16))
        []
    """
    nodes: list[Node] = []
    source = SPINS
    for layer in range(depth):
        # Layer n adds what lies 2^n sites back; the first leaves out its own site.
        offsets = ((0, -2), (0, -1)) if layer == 0 else ((0, -(2**layer)), (0, 0))
        # Reach doubles: layer n - 1 sees 2^n sites back, so reading it here and 2^n sites back gives 2^(n + 1).
        nodes.append(Node(f"layer{layer}_new", width, (Tap(source, offsets),), activation=activation))
        if layer == 0:
            source = "layer0_new"
            continue
        nodes.append(Node(f"layer{layer}", width, skips=(source, f"layer{layer}_new")))
        source = f"layer{layer}"
    nodes.append(Node("output", outputs, (Tap(source, HERE),)))
    return CausalGraph(tuple(nodes))


def _used(nodes: list[Node]) -> tuple[Node, ...]:
    """Keeps the nodes that reach the last one: what never matters is never computed."""
    wanted = {nodes[-1].name}
    for node in reversed(nodes):
        if node.name in wanted:
            wanted |= {tap.source for tap in node.taps} | set(node.skips)
    return tuple(node for node in nodes if node.name in wanted)
