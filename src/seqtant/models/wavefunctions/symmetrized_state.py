"""Averages a wave function over a symmetry group: probabilities over all images, phases by their mean direction.

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

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState, Kind, Move, flipped

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
        >>> from seqtant.models.wavefunctions.stacks import light_two_stack
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
        # From phases of all images (elements, batch) to that of the symmetrized state (batch,).
        if self.kind == "positive" or self.phases == "mean":
            return mean_phase(phase, self.kind)
        return phase.gather(0, first_image(images)[None])[0]

    def shares(self, amplitude: Tensor, phase: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the images in the derivatives of log-amplitude and phase, each (elements, batch).

        With p_g = |psi(g s)|^2 the log-amplitude's are p_g / sum p; the mean phase's are the real parts of
        e^{i phi_g} / sum e^{i phi}, the first image's are 1 for that image.
        """
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
            generator: Random number generator.
            return_log_prob: Return the symmetrized log-probabilities too.

        Returns:
            Spins (number, sites), int8; with log-probabilities (number,) if asked for.
        """
        plain = self.plain.sample(number, generator)
        # p_sym(s) is the mean of p(g s) over the group; g and its inverse are equally likely, so this draws from p_sym.
        chosen = torch.randint(len(self.signs), (number,), generator=generator).to(plain.device)
        spins = torch.gather(plain, 1, self.permutations.to(plain.device)[chosen])
        spins = spins * self.signs.to(device=plain.device, dtype=plain.dtype)[chosen, None]
        return (spins, self.log_prob(spins)) if return_log_prob else spins

    @torch.no_grad()
    def log_ratios(self, spins: Tensor, moves: tuple[Move, ...]) -> tuple[Tensor, Tensor]:
        """Computes log-ratios psi(s') / psi(s), each image's by change propagation; shapes as for the plain state."""
        images = self.images(spins)
        amplitude, phase = (x.view(images.shape[:2]) for x in self.plain.log_psi(images.flatten(0, 1)))
        ratios: list[tuple[Tensor, Tensor]] = []
        for permutation, image in zip(self.permutations, images, strict=True):
            # Spin i of s is spin j of g s where permutations[g, j] = i, so a move of s is a move of its image there.
            where = torch.argsort(permutation).tolist()
            moved = tuple(tuple(sorted(where[site] for site in move)) for move in moves)
            if set(moved) != set(moves):
                ratios.append(self.plain.log_ratios(image, moved))
                continue
            # The same moves in another order: the plan of the plain state's moves serves all images.
            place = {move: n for n, move in enumerate(moves)}
            order = torch.tensor([place[move] for move in moved], device=spins.device)
            amplitudes, phases = self.plain.log_ratios(image, moves)
            ratios.append((amplitudes[:, order], phases[:, order]))
        # Images must be averaged as amplitudes, not as ratios: the ratio of means is not the mean of ratios.
        new_amplitude = torch.stack([a for a, _ in ratios]) + amplitude[..., None]  # [elements, batch, moves]
        new_phase = torch.stack([p for _, p in ratios]) + phase[..., None]
        if self.kind == "positive" or self.phases == "mean":
            moved_phase = mean_phase(new_phase, self.kind)
        else:
            # Which image comes first changes with the move.
            pairs = ((new_phase[..., n], self.images(flipped(spins, move))) for n, move in enumerate(moves))
            moved_phase = torch.stack([self._phase(*pair) for pair in pairs], dim=1)
        return (
            mean_amplitude(new_amplitude) - mean_amplitude(amplitude)[:, None],
            moved_phase - self._phase(phase, images)[:, None],
        )


def mean_amplitude(amplitude: Tensor) -> Tensor:
    """Logarithm of the root mean square of amplitudes over the first axis, from their logarithms."""
    # log sqrt(mean of e^{2 a}) = (logsumexp(2 a) - log n) / 2, safe for amplitudes far below the smallest float.
    return 0.5 * (torch.logsumexp(2 * amplitude, dim=0) - math.log(len(amplitude)))


def first_image(images: Tensor) -> Tensor:
    """Finds the first image, configurations read as binary numbers whose last digit is the first site; 1 is spin -1.

    Args:
        images: Shape (elements, batch, sites).

    Returns:
        Shape (batch,).

    Example:
        >>> first_image(torch.tensor([[[1, -1], [1, 1]], [[-1, 1], [-1, 1]]])).tolist()
        [1, 0]
    """
    # Numbers of 60 bits are compared from the last sites on; ``left`` marks the images that are still the smallest.
    left = torch.ones(images.shape[:2], dtype=torch.bool, device=images.device)
    for part in reversed(images.split(BITS, dim=2)):
        number = ((part < 0).long() << torch.arange(part.shape[2], device=part.device)).sum(2)
        # Images that already lost get the largest number, so they cannot win on a less significant part.
        number = number.masked_fill(~left, torch.iinfo(torch.int64).max)
        left &= number == number.min(0).values
    return left.long().argmax(0)


def mean_phase(phase: Tensor, kind: Kind) -> Tensor:
    """Direction of the mean of e^{i phase} over the first axis; for real states the majority of signs, + at a tie."""
    if kind == "positive":
        return torch.zeros_like(phase[0])
    if kind == "real":  # the sine of pi is not exactly 0: at a tie of signs it would turn the phase by a right angle
        return (torch.cos(phase).mean(0) < 0).to(phase) * torch.pi
    return torch.atan2(torch.sin(phase).mean(0), torch.cos(phase).mean(0))
