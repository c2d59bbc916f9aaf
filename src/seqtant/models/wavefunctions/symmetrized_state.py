"""A wave function averaged over a symmetry group: probabilities over all images, phases by their mean direction.

With images g s of a configuration: |psi_sym(s)|^2 is the mean of |psi(g s)|^2, and the phase is the argument of the
mean of e^{i phi(g s)}, or simply that of the image that comes first when configurations are read as binary numbers.
The result is normalized, and drawing from psi and then applying a random group element draws from it exactly.
Where signs must be learned the second phase is the better one: the mean may vanish while images change one by one.

Source: the official code of Sharir et al., Phys. Rev. Lett. 124, 020503 (2020).
"""

from __future__ import annotations

import math
from typing import Literal, overload

import torch
from torch import Tensor, nn

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Move, flipped
from seqtant.models.wavefunctions.readout import Kind

Phases = Literal["mean", "first"]
BITS = 60
"""Spins that are read as one binary number."""


class SymmetrizedState(nn.Module):
    """A state whose probabilities are invariant under a group of site permutations and spin flips.

    Args:
        state: The plain state.
        permutations: Shape (elements, sites): image g of s has spin ``s[permutations[g, i]]`` at site i.
        signs: +1, or -1 where the element flips all spins too, shape (elements,).
        phases: ``"mean"`` direction over all images, or the phase of the ``"first"`` image.

    Example:
        >>> from seqtant.models.wavefunctions.causal_network import CausalNetwork
        >>> from seqtant.models.wavefunctions.causal_state import CausalState
        >>> from seqtant.models.wavefunctions.two_stack import light_two_stack
        >>> plain = CausalState(CausalNetwork(light_two_stack(2, 4), (1, 2), torch.Generator().manual_seed(0)))
        >>> mirrored = SymmetrizedState(plain, torch.tensor([[0, 1], [1, 0]]), torch.tensor([1, 1]))
        >>> one, other = mirrored.log_prob(torch.tensor([[1, -1], [-1, 1]])).tolist()
        >>> abs(one - other) < 1e-12
        True
    """

    def __init__(
        self, state: AutoregressiveState, permutations: Tensor, signs: Tensor, phases: Phases = "mean"
    ) -> None:
        super().__init__()
        self.plain = state
        self.phases: Phases = phases
        self.permutations = permutations
        self.signs = signs
        self.kind: Kind = state.kind
        self.sites = state.sites
        self.magnetization = state.magnetization

    @property
    def has_phase(self) -> bool:
        """Whether the phase depends on the parameters."""
        return self.plain.has_phase

    def images(self, spins: Tensor) -> Tensor:
        """All images (elements, batch, sites) of configurations (batch, sites)."""
        found = spins[:, self.permutations.to(spins.device)].transpose(0, 1)
        return found * self.signs.to(device=spins.device, dtype=spins.dtype)[:, None, None]

    def log_psi(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Log-amplitude and phase, each (batch,)."""
        images = self.images(spins)
        amplitude, phase = self.plain.log_psi(images.flatten(0, 1))
        shape = images.shape[:2]
        return mean_amplitude(amplitude.view(shape)), self._phase(phase.view(shape), images)

    forward = log_psi

    def _phase(self, phase: Tensor, images: Tensor) -> Tensor:
        if self.kind == "positive" or self.phases == "mean":
            return mean_phase(phase, self.kind)
        return phase.gather(0, first_image(images)[None])[0]

    def shares(self, amplitude: Tensor, phase: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """What each image counts in the derivatives of log-amplitude and phase, each (elements, batch)."""
        by_amplitude = (2 * amplitude).softmax(0)
        if self.phases == "first":
            return by_amplitude, torch.zeros_like(phase).scatter(0, first_image(images)[None], 1.0)
        turning = torch.polar(torch.ones_like(phase), phase)
        return by_amplitude, (turning / turning.sum(0)).real

    def log_prob(self, spins: Tensor) -> Tensor:
        """Log-probabilities, shape (batch,)."""
        return 2 * self.log_psi(spins)[0]

    def phase(self, spins: Tensor) -> Tensor:
        """Phases in radians, shape (batch,)."""
        return self.log_psi(spins)[1]

    @overload
    def sample(self, number: int, generator: torch.Generator | None = ...) -> Tensor: ...

    @overload
    def sample(
        self, number: int, generator: torch.Generator | None = ..., *, return_log_prob: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...

    @torch.no_grad()
    def sample(
        self, number: int, generator: torch.Generator | None = None, *, return_log_prob: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draws from the symmetrized probabilities: a plain sample, then a random group element.

        Args:
            number: How many.
            generator: Source of chance.
            return_log_prob: Return the symmetrized log-probabilities too.

        Returns:
            Spins (number, sites), int8; with log-probabilities (number,) if asked for.
        """
        plain = self.plain.sample(number, generator)
        chosen = torch.randint(len(self.signs), (number,), generator=generator).to(plain.device)
        spins = torch.gather(plain, 1, self.permutations.to(plain.device)[chosen])
        spins = spins * self.signs.to(device=plain.device, dtype=plain.dtype)[chosen, None]
        return (spins, self.log_prob(spins)) if return_log_prob else spins

    @torch.no_grad()
    def log_ratios(self, spins: Tensor, moves: tuple[Move, ...]) -> tuple[Tensor, Tensor]:
        """Log-ratios psi(s') / psi(s), each image's from change propagation; shapes as for the plain state."""
        images = self.images(spins)
        amplitude, phase = (x.view(images.shape[:2]) for x in self.plain.log_psi(images.flatten(0, 1)))
        changed = [self._image_ratios(image, moves, g) for g, image in enumerate(images)]
        new_amplitude = torch.stack([a for a, _ in changed]) + amplitude[..., None]
        new_phase = torch.stack([p for _, p in changed]) + phase[..., None]
        return (
            mean_amplitude(new_amplitude) - mean_amplitude(amplitude)[:, None],
            self._moved_phase(new_phase, spins, moves) - self._phase(phase, images)[:, None],
        )

    def _moved_phase(self, phase: Tensor, spins: Tensor, moves: tuple[Move, ...]) -> Tensor:
        """Phases (batch, moves) of moved configurations from those of their images (elements, batch, moves)."""
        if self.kind == "positive" or self.phases == "mean":
            return mean_phase(phase, self.kind)
        found = [self._phase(phase[..., n], self.images(flipped(spins, move))) for n, move in enumerate(moves)]
        return torch.stack(found, dim=1)

    def _image_ratios(self, image: Tensor, moves: tuple[Move, ...], element: int) -> tuple[Tensor, Tensor]:
        # Spin i of s is spin j of g s where permutations[g, j] = i, so a move of s is a move of its image there.
        where = torch.argsort(self.permutations[element]).tolist()
        moved = tuple(tuple(sorted(where[site] for site in move)) for move in moves)
        if set(moved) != set(moves):
            return self.plain.log_ratios(image, moved)
        amplitude, phase = self.plain.log_ratios(image, moves)
        place = {move: n for n, move in enumerate(moves)}
        order = torch.tensor([place[move] for move in moved], device=amplitude.device)
        return amplitude[:, order], phase[:, order]


def mean_amplitude(amplitude: Tensor) -> Tensor:
    """Logarithm of the root mean square of amplitudes over the first axis, from their logarithms."""
    return 0.5 * (torch.logsumexp(2 * amplitude, dim=0) - math.log(len(amplitude)))


def first_image(images: Tensor) -> Tensor:
    """Which image comes first, configurations read as binary numbers whose last digit is the first site; 1 is spin -1.

    Args:
        images: Shape (elements, batch, sites).

    Returns:
        Shape (batch,).

    Example:
        >>> first_image(torch.tensor([[[1, -1], [1, 1]], [[-1, 1], [-1, 1]]])).tolist()
        [1, 0]
    """
    left = torch.ones(images.shape[:2], dtype=torch.bool, device=images.device)
    for part in reversed(images.split(BITS, dim=2)):
        number = ((part < 0).long() << torch.arange(part.shape[2], device=part.device)).sum(2)
        number = number.masked_fill(~left, torch.iinfo(torch.int64).max)
        left &= number == number.min(0).values
    return left.long().argmax(0)


def mean_phase(phase: Tensor, kind: Kind) -> Tensor:
    """Direction of the mean of e^{i phase} over the first axis; of the majority of signs for real states."""
    if kind == "positive":
        return torch.zeros_like(phase[0])
    return torch.atan2(torch.sin(phase).mean(0), torch.cos(phase).mean(0))
