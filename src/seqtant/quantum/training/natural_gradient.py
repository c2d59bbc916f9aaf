"""Natural-gradient steps in sample space: minSR and SPRING.

With X the centered, weighted derivatives of log psi (one row per sample and component) and f twice the weighted,
centered local energies, minSR steps along X^T (X X^T + damping)^-1 f. SPRING keeps a share of the last step and solves
for the rest of it only. The samples-by-samples kernel is built and solved in float64, however many parameters there
are.

Sources: Chen and Heyl, Nature Physics 20, 1476 (2024), for minSR; Goldshlager, Abrahamsen and Lin, Journal of
Computational Physics 516, 113351 (2024), for SPRING.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from seqtant.models.wavefunctions.jacobian import Block

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
        self._memory = torch.empty(0, dtype=torch.float64)

    def step(self, blocks: Callable[[], Iterable[Block]], weights: Tensor, energies: Tensor) -> Tensor:
        """The step to subtract, times the learning rate, from the parameters.

        Args:
            blocks: Gives the derivatives; called three times if they are too many to keep.
            weights: Weight of each sample, adding up to 1, shape (samples,).
            energies: Local energies (samples,), real or complex.

        Returns:
            Flat step, float64, shape (parameters,).
        """
        carried = self.previous if self.momentum else None
        whole = self._whole(blocks())
        kernel: Tensor | None = None
        change: Tensor | None = None
        for names, rows in self._pieces(whole, blocks):
            kernel = rows.new_zeros(len(rows), len(rows)) if kernel is None else kernel
            add_gram(kernel, rows)
            if carried is not None:
                part = rows @ torch.cat([carried[self.slices[name]] for name in names])
                change = part if change is None else change + part
        if kernel is None:
            raise ValueError("the state has no parameters")
        force = 2 * centered_column(_components(energies, len(kernel)), weights)
        kept = torch.zeros_like(force)
        if change is not None:
            kept = self.momentum * centered_column(change.view(-1, len(weights)), weights)
        center_kernel(kernel, weights)
        solution = solve(kernel, force - kept, self.damping)
        self.length = float((kernel @ solution + kept).norm())
        step = torch.zeros(self.size, dtype=torch.float64, device=force.device)
        combination = of_rows(solution.view(-1, len(weights)), weights)
        for names, rows in self._pieces(whole, blocks):
            sizes = [self.slices[name].stop - self.slices[name].start for name in names]
            for name, values in zip(names, (rows.T @ combination).split(sizes), strict=True):
                step[self.slices[name]] = values
        if carried is not None:
            step += self.momentum * carried
        self.previous = step
        return step

    def _whole(self, blocks: Iterable[Block]) -> Tensor | None:
        """All derivatives in memory that is used again at the next step; None if they are too many."""
        whole: Tensor | None = None
        for block in blocks:
            parts = _parts(block)
            samples = len(block.amplitude)
            if whole is None:
                needed = len(parts) * samples * self.size
                if needed > KEPT_NUMBERS:
                    return None
                if self._memory.numel() < needed or self._memory.device != block.amplitude.device:
                    self._memory = torch.empty(needed, dtype=torch.float64, device=block.amplitude.device)
                whole = self._memory[:needed].view(len(parts), samples, self.size)
            start = 0
            for name in block.parameters:
                place = self.slices[name]
                stop = start + place.stop - place.start
                for out, part in zip(whole, parts, strict=True):
                    out[:, place] = part[:, start:stop]
                start = stop
        return None if whole is None else whole.flatten(0, 1)

    def _pieces(
        self, whole: Tensor | None, blocks: Callable[[], Iterable[Block]]
    ) -> Iterator[tuple[tuple[str, ...], Tensor]]:
        """Derivatives in float64, a row per part and sample, with the names of their parameters."""
        if whole is not None:
            yield tuple(self.slices), whole
        else:
            for block in blocks():
                yield block.parameters, torch.cat(_parts(block)).double()


def _parts(block: Block) -> list[Tensor]:
    return [block.amplitude] if block.phase is None else [block.amplitude, block.phase]


def _components(energies: Tensor, rows: int) -> Tensor:
    """Real and imaginary parts of local energies, one row for each part of log psi that has derivatives."""
    parts = torch.view_as_real(energies).T if energies.is_complex() else energies[None]
    # A state without phase has one row per sample: the imaginary parts of its local energies act on nothing.
    missing = rows // len(energies) - len(parts)
    return torch.cat([parts, parts.new_zeros(max(0, missing), len(energies))])[: rows // len(energies)].double()


def centered_column(values: Tensor, weights: Tensor) -> Tensor:
    """Values (parts, samples) less their mean, times the root of the weights, as one column of all parts.

    Example:
        >>> centered_column(torch.tensor([[1.0, 3.0]]), torch.tensor([0.25, 0.75])).tolist()
        [-0.75, 0.4330126941204071]
    """
    return ((values - (values @ weights)[:, None]) * weights.sqrt()).flatten()


def of_rows(column: Tensor, weights: Tensor) -> Tensor:
    """What multiplies plain rows where centered, weighted rows are multiplied by a column of shape (parts, samples)."""
    scaled = column * weights.sqrt()
    return (scaled - weights * scaled.sum(1, keepdim=True)).flatten()


def center_kernel(kernel: Tensor, weights: Tensor) -> None:
    """Turns products of plain rows into those of centered, weighted rows, in place.

    Centering the kernel spares two passes over all derivatives; part by part, it is K - 1 m^T - m 1^T + mean(m) with m
    the weighted mean of the kernel's columns.

    Example:
        >>> rows = torch.tensor([[1.0], [3.0]])
        >>> kernel = rows @ rows.T
        >>> center_kernel(kernel, torch.tensor([0.5, 0.5]))
        >>> [[round(x, 6) for x in row] for row in kernel.tolist()]
        [[0.5, -0.5], [-0.5, 0.5]]
    """
    samples, root = len(weights), weights.sqrt()
    blocks = kernel.view(-1, samples, len(kernel) // samples, samples)
    means = blocks @ weights
    means -= 0.5 * torch.einsum("i,piq->pq", weights, means)[:, None]
    blocks -= means[..., None]
    blocks -= means.permute(2, 0, 1)[:, None]
    blocks *= root[:, None, None]
    blocks *= root


def add_gram(kernel: Tensor, rows: Tensor, leaf: int = 128) -> None:
    """Adds rows @ rows^T to a symmetric kernel; off the diagonal every product is computed once and copied.

    Example:
        >>> kernel, rows = torch.zeros(3, 3), torch.tensor([[1.0], [2.0], [3.0]])
        >>> add_gram(kernel, rows, leaf=1)
        >>> kernel.tolist()
        [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]]
    """
    if len(rows) <= leaf:
        kernel.addmm_(rows, rows.T)
        return
    half = len(rows) // 2
    kernel[half:, :half].addmm_(rows[half:], rows[:half].T)
    kernel[:half, half:] = kernel[half:, :half].T
    add_gram(kernel[:half, :half], rows[:half], leaf)
    add_gram(kernel[half:, half:], rows[half:], leaf)


def solve(kernel: Tensor, force: Tensor, damping: float) -> Tensor:
    """Solves (kernel + damping) x = force: by Cholesky, or by eigenvalues where rounding made the kernel indefinite.

    Example:
        >>> found = solve(torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), 1.0)
        >>> [round(x, 12) for x in found.tolist()]
        [0.5, 0.5]
    """
    shifted = kernel.clone()
    shifted.diagonal().add_(damping)
    if factorize(shifted):
        return torch.cholesky_solve(force[:, None], shifted)[:, 0]
    values, vectors = torch.linalg.eigh(kernel)
    return vectors @ ((vectors.T @ force) / (values.clamp(min=0) + max(damping, 1e-12 * float(values[-1]))))


def factorize(matrix: Tensor, panel: int = 128) -> bool:
    """Cholesky factor in place, in the lower triangle; False if the matrix is not positive definite.

    Panel by panel almost all work is products of matrices: a third of the time of the library's factorization of 1000
    rows on one core.

    Example:
        >>> matrix = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
        >>> factorize(matrix, panel=1), matrix.tril().tolist()
        (True, [[2.0, 0.0], [1.0, 2.0]])
    """
    failures = []
    for start in range(0, len(matrix), panel):
        here, below = slice(start, start + panel), slice(start + panel, None)
        matrix[start:, here].addmm_(matrix[start:, :start], matrix[here, :start].T, alpha=-1)
        factor, failed = torch.linalg.cholesky_ex(matrix[here, here])
        failures.append(failed)
        matrix[here, here] = factor
        matrix[below, here] = torch.linalg.solve_triangular(factor.T, matrix[below, here], upper=True, left=False)
    return not bool(torch.stack(failures).any())
