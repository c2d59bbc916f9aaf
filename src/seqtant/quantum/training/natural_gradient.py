"""Natural-gradient steps in sample space: minSR and SPRING.

Symbols: O the derivatives of log psi, one row per configuration (first of the log-amplitude, then, if there is one, of
the phase) and one column per parameter; w the weights of the configurations, adding up to 1; E their local energies;
X = sqrt(w) (O - <O>) the centered, weighted rows; f = 2 sqrt(w) (E - <E>), real parts first, then imaginary parts;
T = X X^T the kernel; lambda the damping; mu the momentum; p the last step, as it was taken. Means <.> weigh by w.

minSR steps by           d = X^T (T + lambda)^-1 f.
SPRING keeps mu p and solves for the rest of the step only:
                         d = X^T x + mu p  with  x = (T + lambda)^-1 (f - mu X p).
Length of a step:        |X d| = |T x + mu X p|, the standard deviation of the change that d makes to log psi.

The kernel is built and solved in float64; its size is the number of configurations, however many parameters there are.

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
    """Computes natural-gradient steps from derivatives and local energies.

    Args:
        state: The wave function whose parameters are stepped.
        damping: lambda, the shift of the kernel's diagonal.
        momentum: mu, the share of the last step that is kept: 0 is minSR, 0.8 to 0.9 is SPRING.
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
        """The last step p; the tensor that :meth:`step` returned, so a caller who scales it in place scales p."""
        self.length = 0.0
        """Length |X d| of the last step in the metric of the state."""
        self._memory = torch.empty(0, dtype=torch.float64)

    def step(self, blocks: Callable[[], Iterable[Block]], weights: Tensor, energies: Tensor) -> Tensor:
        """Computes the step d (parameters,) to subtract, times the learning rate, from the parameters.

        Args:
            blocks: Gives the derivatives; called three times if they are too many to keep.
            weights: Weight w of each configuration, shape (samples,).
            energies: Local energies E (samples,), real or complex.
        """
        samples = len(weights)
        previous = self.previous if self.momentum else None
        derivatives = self._all_derivatives(blocks())
        # First pass over O: the kernel O O^T and the product O p, block by block of parameters.
        kernel: Tensor | None = None
        product: Tensor | None = None
        for names, rows in self._blocks(derivatives, blocks):
            kernel = rows.new_zeros(len(rows), len(rows)) if kernel is None else kernel
            add_gram(kernel, rows)
            if previous is not None:
                # The rows are not centered: ``center`` removes the mean of O p later, as X p = C (O p).
                part = rows @ torch.cat([previous[self.slices[name]] for name in names])
                product = part if product is None else product + part
        if kernel is None:
            raise ValueError("the state has no parameters")
        # f has as many parts as O: without a phase, imaginary parts of local energies act on nothing; real local
        # energies have zero imaginary parts.
        parts = torch.view_as_real(energies).T if energies.is_complex() else energies[None]
        count = len(kernel) // samples
        parts = torch.cat([parts, parts.new_zeros(max(0, count - len(parts)), samples)])[:count].double()
        force = 2 * center(parts, weights)  # f
        momentum_term = torch.zeros_like(force)  # mu X p
        if product is not None:
            momentum_term = self.momentum * center(product.view(count, samples), weights)
        center_kernel(kernel, weights)  # T
        solution = solve(kernel, force - momentum_term, self.damping)  # x
        # With d = X^T x + mu p, X d = T x + mu X p: no pass over the derivatives is needed for the length.
        self.length = float((kernel @ solution + momentum_term).norm())
        # Second pass over O, for X^T x.
        step = torch.zeros(self.size, dtype=torch.float64, device=force.device)
        combination = center_transposed(solution.view(count, samples), weights)
        for names, rows in self._blocks(derivatives, blocks):
            sizes = [self.slices[name].stop - self.slices[name].start for name in names]
            for name, values in zip(names, (rows.T @ combination).split(sizes), strict=True):
                step[self.slices[name]] = values
        if previous is not None:
            step += self.momentum * previous
        self.previous = step
        return step

    def _all_derivatives(self, blocks: Iterable[Block]) -> Tensor | None:
        """Collects O in memory that is used again at the next step; None if it is too large."""
        whole: Tensor | None = None  # [parts, samples, parameters]
        for block in blocks:
            parts = [block.amplitude] if block.phase is None else [block.amplitude, block.phase]
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

    def _blocks(
        self, derivatives: Tensor | None, blocks: Callable[[], Iterable[Block]]
    ) -> Iterator[tuple[tuple[str, ...], Tensor]]:
        """Yields columns of O in float64 with the names of their parameters: all at once if they were kept."""
        if derivatives is not None:
            yield tuple(self.slices), derivatives
        else:
            for block in blocks():
                parts = [block.amplitude] if block.phase is None else [block.amplitude, block.phase]
                yield block.parameters, torch.cat(parts).double()


def center(values: Tensor, weights: Tensor) -> Tensor:
    """Centers and weights values (parts, samples): sqrt(w) (v - <v>), as one column of all parts.

    Example:
        >>> center(torch.tensor([[1.0, 3.0]]), torch.tensor([0.25, 0.75])).tolist()
        [-0.75, 0.4330126941204071]
    """
    return ((values - (values @ weights)[:, None]) * weights.sqrt()).flatten()


def center_transposed(column: Tensor, weights: Tensor) -> Tensor:
    """Applies the transpose C^T of :func:`center` to a column c (parts, samples): with X = C O, X^T c = O^T (C^T c)."""
    # C^T c = (1 - w 1^T) sqrt(w) c: the sum runs over the scaled column, then is spread by the weights.
    scaled = column * weights.sqrt()
    return (scaled - weights * scaled.sum(1, keepdim=True)).flatten()


def center_kernel(kernel: Tensor, weights: Tensor) -> None:
    """Turns the kernel K = O O^T of plain rows into T = X X^T of centered, weighted rows, in place.

    Centering the kernel spares two passes over all derivatives; part by part, it is K - 1 m^T - m 1^T + <m> with m the
    weighted mean of the kernel's columns, then multiplied by sqrt(w) from both sides.

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
    # Half of <m> goes into either mean, so that subtracting both subtracts it once.
    means -= 0.5 * torch.einsum("i,piq->pq", weights, means)[:, None]
    blocks -= means[..., None]
    # K is symmetric, so its row means are the column means with the two parts exchanged.
    blocks -= means.permute(2, 0, 1)[:, None]
    blocks *= root[:, None, None]
    blocks *= root


def add_gram(kernel: Tensor, rows: Tensor, leaf: int = 128) -> None:
    """Adds rows @ rows^T to a symmetric kernel, recursively: off-diagonal quarters are computed once and copied.

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
    # A copy, not a sum: the lower quarter already holds the old kernel plus the new product.
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
    # The exact kernel has no negative eigenvalues: those that rounding made count as zero.
    values, vectors = torch.linalg.eigh(kernel)
    return vectors @ ((vectors.T @ force) / (values.clamp(min=0) + max(damping, 1e-12 * float(values[-1]))))


def factorize(matrix: Tensor, panel: int = 128) -> bool:
    """Replaces a matrix by its Cholesky factor, in the lower triangle; False if it is not positive definite.

    Panel by panel almost all work is products of matrices: a third of the time of the library's factorization of 1000
    rows on one core.

    Example:
        >>> matrix = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
        >>> factorize(matrix, panel=1), matrix.tril().tolist()
        (True, [[2.0, 0.0], [1.0, 2.0]])
    """
    failures = []
    for start in range(0, len(matrix), panel):
        # Earlier panels are subtracted from this one, its square is factorized, the rows below are solved for.
        here, below = slice(start, start + panel), slice(start + panel, None)
        matrix[start:, here].addmm_(matrix[start:, :start], matrix[here, :start].T, alpha=-1)
        factor, failed = torch.linalg.cholesky_ex(matrix[here, here])
        # cholesky_ex does not raise; reading a flag waits for the device, so all are read once at the end.
        failures.append(failed)
        matrix[here, here] = factor
        matrix[below, here] = torch.linalg.solve_triangular(factor.T, matrix[below, here], upper=True, left=False)
    return not bool(torch.stack(failures).any())
