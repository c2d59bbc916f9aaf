"""A wave function averaged over a symmetry group: probabilities over all images, phases by their mean direction.

With images g s of a configuration: |psi_sym(s)|^2 is the mean of |psi(g s)|^2, and the phase is the argument of the
mean of e^{i phi(g s)}.
The result is normalised, and drawing from psi and then applying a random group element draws from it exactly.

Source: the official code of Sharir et al., Phys. Rev. Lett. 124, 020503 (2020).
"""

from __future__ import annotations

import math
from typing import Literal, overload

import torch
from torch import Tensor, nn

from seqtant.models.autoregressive import AutoregressiveState, Move


class SymmetrisedState(nn.Module):
    """A state whose probabilities are invariant under a group of site permutations and spin flips.

    Args:
        state: The plain state.
        permutations: Shape (elements, sites): image g of s has spin ``s[permutations[g, i]]`` at site i.
        signs: +1, or -1 where the element flips all spins too, shape (elements,).

    Example:
        >>> from seqtant.models.causal_network import CausalNetwork
        >>> from seqtant.models.causal_state import CausalState
        >>> from seqtant.models.two_stack import light_two_stack
        >>> plain = CausalState(CausalNetwork(light_two_stack(2, 4), (1, 2), torch.Generator().manual_seed(0)))
        >>> mirrored = SymmetrisedState(plain, torch.tensor([[0, 1], [1, 0]]), torch.tensor([1, 1]))
        >>> one, other = mirrored.log_prob(torch.tensor([[1, -1], [-1, 1]])).tolist()
        >>> abs(one - other) < 1e-12
        True
    """

    def __init__(self, state: AutoregressiveState, permutations: Tensor, signs: Tensor) -> None:
        super().__init__()
        self.plain = state
        self.permutations = permutations
        self.signs = signs
        self.kind = state.kind
        self.sites = state.sites
        self.magnetisation = state.magnetisation

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
        return mean_amplitude(amplitude.view(shape)), mean_phase(phase.view(shape), self.kind)

    forward = log_psi

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
        """Draws from the symmetrised probabilities: a plain sample, then a random group element.

        Args:
            number: How many.
            generator: Source of chance.
            return_log_prob: Return the symmetrised log-probabilities too.

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
            mean_phase(new_phase, self.kind) - mean_phase(phase, self.kind)[:, None],
        )

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


def mean_phase(phase: Tensor, kind: str) -> Tensor:
    """Direction of the mean of e^{i phase} over the first axis; of the majority of signs for real states."""
    if kind == "positive":
        return torch.zeros_like(phase[0])
    return torch.atan2(torch.sin(phase).mean(0), torch.cos(phase).mean(0))
