"""Natural-gradient steps in sample space: minSR and SPRING.

With X the centred, weighted derivatives of log psi (one row per sample and component) and f twice the weighted, centred
local energies, minSR steps along X^T (X X^T + damping)^-1 f. SPRING keeps a share of the last step and solves for the
rest of it only. The samples-by-samples kernel is built and solved in float64, however many parameters there are.

Sources: Chen and Heyl, Nature Physics 20, 1476 (2024), for minSR; Goldshlager, Abrahamsen and Lin, Journal of
Computational Physics 516, 113351 (2024), for SPRING.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from seqtant.models.jacobian import Block

KEPT_NUMBERS = 1 << 28
"""Derivatives that are kept between the two passes (2 GiB in float64); beyond that they are computed twice."""


class NaturalGradient:
    """Turns derivatives and local energies into a step.

    Args:
        state: The wave function whose parameters are stepped.
        damping: Shift of the kernel's diagonal.
        momentum: Share of the last step that is kept: 0 is minSR, 0.8 to 0.9 is SPRING.
    """

    def __init__(self, state: nn.Module, damping: float, momentum: float) -> None:
        self.damping = damping
        self.momentum = momentum
        self.slices: dict[str, slice] = {}
        start = 0
        for name, parameter in state.named_parameters():
            self.slices[name] = slice(start, start + parameter.numel())
            start += parameter.numel()
        self.size = start
        self.previous: Tensor | None = None
        self.length = 0.0
        """Length of the last step in the metric of the state: standard deviation of the change of log psi it makes."""

    def step(self, blocks: Callable[[], Iterable[Block]], weights: Tensor, energies: Tensor) -> Tensor:
        """The step to subtract, times the learning rate, from the parameters.

        Args:
            blocks: Gives the derivatives; called twice if they are too many to keep.
            weights: Weight of each sample, adding up to 1, shape (samples,).
            energies: Local energies (samples,), real or complex.

        Returns:
            Flat step, float64, shape (parameters,).
        """
        root = weights.sqrt()
        centred = energies - (weights * energies).sum()
        parts = [centred.real, centred.imag] if centred.is_complex() else [centred.real]
        kernel: Tensor | None = None
        carried: Tensor | None = None
        kept: list[tuple[Block, Tensor]] | None = []
        for block in blocks():
            rows = self._rows(block, weights, root)
            kernel = rows.new_zeros(len(rows), len(rows)) if kernel is None else kernel
            add_gram(kernel, rows)
            if self.previous is not None and self.momentum:
                change = rows @ self._part(self.previous, block)
                carried = change if carried is None else carried + change
            if kept is not None:
                kept.append((block, rows))
            if len(rows) * self.size > KEPT_NUMBERS:
                kept = None
        if kernel is None:
            raise ValueError("the state has no parameters")
        force = 2 * torch.cat([root * part for part in self._components(parts, len(kernel), len(root))])
        if carried is not None:
            force = force - self.momentum * carried
        kernel = kernel.tril() + kernel.tril(-1).T
        solution = solve(kernel, force, self.damping)
        change = kernel @ solution if carried is None else kernel @ solution + self.momentum * carried
        self.length = float(change.norm())
        step = torch.zeros(self.size, dtype=torch.float64, device=force.device)
        pairs = kept if kept is not None else ((block, self._rows(block, weights, root)) for block in blocks())
        for block, rows in pairs:
            self._scatter(step, block, rows.T @ solution)
        if self.previous is not None and self.momentum:
            step += self.momentum * self.previous
        self.previous = step
        return step

    @staticmethod
    def _components(parts: list[Tensor], rows: int, samples: int) -> list[Tensor]:
        # A state without phase has one row per sample: the imaginary parts of its local energies act on nothing.
        return [*parts, torch.zeros_like(parts[0])][: rows // samples]

    @staticmethod
    def _rows(block: Block, weights: Tensor, root: Tensor) -> Tensor:
        parts = [block.amplitude] if block.phase is None else [block.amplitude, block.phase]
        wide = [part.double() for part in parts]
        for part in wide:
            part.sub_(weights @ part).mul_(root[:, None])
        return wide[0] if len(wide) == 1 else torch.cat(wide)

    def _part(self, flat: Tensor, block: Block) -> Tensor:
        return torch.cat([flat[self.slices[name]] for name in block.parameters])

    def _scatter(self, flat: Tensor, block: Block, values: Tensor) -> None:
        start = 0
        for name in block.parameters:
            place = self.slices[name]
            stop = start + place.stop - place.start
            flat[place] = values[start:stop]
            start = stop


def add_gram(kernel: Tensor, rows: Tensor, pieces: int = 8) -> None:
    """Adds rows @ rows^T to the lower triangle of a kernel; what lies far above the diagonal is left alone.

    Example:
        >>> kernel, rows = torch.zeros(3, 3), torch.tensor([[1.0], [2.0], [3.0]])
        >>> add_gram(kernel, rows)
        >>> kernel.tril().tolist()
        [[1.0, 0.0, 0.0], [2.0, 4.0, 0.0], [3.0, 6.0, 9.0]]
    """
    step = max(32, -(-len(rows) // pieces))
    for start in range(0, len(rows), step):
        stop = min(start + step, len(rows))
        kernel[start:stop, :stop].addmm_(rows[start:stop], rows[:stop].T)


def solve(kernel: Tensor, force: Tensor, damping: float) -> Tensor:
    """Solves (kernel + damping) x = force: by Cholesky, or by eigenvalues where rounding made the kernel indefinite.

    Example:
        >>> found = solve(torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), 1.0)
        >>> [round(x, 12) for x in found.tolist()]
        [0.5, 0.5]
    """
    shifted = kernel.clone()
    shifted.diagonal().add_(damping)
    factor, failed = torch.linalg.cholesky_ex(shifted)
    if not failed:
        return torch.cholesky_solve(force[:, None], factor)[:, 0]
    values, vectors = torch.linalg.eigh(kernel)
    return vectors @ ((vectors.T @ force) / (values.clamp(min=0) + max(damping, 1e-12 * float(values[-1]))))
