"""Wave functions that are products of conditionals: exact probabilities and exact, independent samples.

The shared autoregressive protocol: ``log_prob``, ``phase``, ``sample(..., return_log_prob=True)``, ``step`` with a
cache. A state pairs a network, which maps earlier spins to outputs for the next one, with a readout, which turns the
outputs into a normalized conditional amplitude, and an optional constraint to one magnetization.

A conditional wave function is a vector over the two spin values with unit Euclidean norm. Column 0 of the outputs
belongs to spin +1, column 1 to spin -1; further columns are the phases in the same order.

Source: Sharir et al., Phys. Rev. Lett. 124, 020503 (2020): normalization in the logarithm, phases untouched.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqtant.errors import InputError

Kind = Literal["positive", "real", "complex"]
Move = tuple[int, ...]
"""Sites that are flipped together."""


class SiteNetwork(Protocol):
    """What a network must offer to become a wave function."""

    sites: int
    """Number of spins."""
    channels: int
    """Outputs per site."""

    def outputs(self, spins: Tensor) -> Tensor:
        """Outputs (batch, sites, channels) in the order of visit; site i may use earlier spins only."""
        ...

    def start(self, batch: int, device: torch.device) -> Any:
        """A cache for a batch of empty configurations, with ``outputs_at``, ``record`` and ``select``."""
        ...


class AutoregressiveState(nn.Module):
    """A normalized wave function over configurations of spins +1 and -1.

    Args:
        network: Gives the outputs of each site from the earlier ones.
        kind: ``positive`` (no phase), ``real`` (signed amplitudes) or ``complex`` (a phase per conditional).
        magnetization: Sum of all spins, if only that sector is allowed.

    Example:
        >>> from seqtant.models.wavefunctions.causal_network import CausalNetwork
        >>> from seqtant.models.wavefunctions.stacks import light_two_stack
        >>> from seqtant.models.wavefunctions.causal_state import CausalState
        >>> network = CausalNetwork(light_two_stack(2, 4), (2, 2), torch.Generator().manual_seed(0))
        >>> state = CausalState(network, "positive")
        >>> everything = torch.cartesian_prod(*[torch.tensor([1.0, -1.0])] * 4)
        >>> round(state.log_prob(everything).exp().sum().item(), 6)
        1.0
    """

    def __init__(self, network: SiteNetwork, kind: Kind = "positive", magnetization: int | None = None) -> None:
        super().__init__()
        if network.channels != output_channels(kind):
            raise InputError(f"a {kind} state needs {output_channels(kind)} outputs per site, not {network.channels}")
        if magnetization is not None and (
            abs(magnetization) > network.sites or (network.sites + magnetization) % 2 != 0
        ):
            raise InputError(f"{network.sites} spins have no sector of magnetization {magnetization}")
        self.network = network
        self.sites = network.sites
        self.kind: Kind = kind
        self.magnetization = magnetization

    @property
    def order(self) -> Tensor:
        """The sites in the order in which they are drawn."""
        return getattr(self.network, "order", torch.arange(self.sites))

    @property
    def has_phase(self) -> bool:
        """Whether the phase depends on the parameters."""
        return self.kind == "complex"

    def log_psi(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithm of the wave function.

        Args:
            spins: Values +1 and -1, shape (batch, sites).

        Returns:
            Log-amplitude and phase (radians), each of shape (batch,).
        """
        return self.read(self.network.outputs(spins), spins)

    forward = log_psi

    def read(self, outputs: Tensor, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Computes log-amplitude and phase of configurations from the network's outputs (batch, sites, channels)."""
        outputs = accurate(outputs)
        # [batch, sites], columns in the order of visit
        visited = spins.to(outputs.dtype)[:, self.order.to(spins.device)]
        ups = (visited > 0).cumsum(1) - (visited > 0).long()  # +1 spins before each site
        index = torch.arange(self.sites, device=spins.device)
        amplitude = constrained_log_conditional(outputs, visited, self.kind, self.magnetization, ups, index, self.sites)
        return amplitude.sum(1), conditional_phase(outputs, visited, self.kind).sum(1)

    def log_prob(self, spins: Tensor) -> Tensor:
        """Log-probabilities, shape (batch,)."""
        return 2 * self.log_psi(spins)[0]

    def phase(self, spins: Tensor) -> Tensor:
        """Phases in radians, shape (batch,)."""
        return self.log_psi(spins)[1]

    def start(self, batch: int) -> Any:
        """A cache for :meth:`step`."""
        return self.network.start(batch, next(self.parameters()).device)

    @torch.no_grad()
    def step(self, cache: Any, site: int, previous: Tensor | None = None) -> Tensor:
        """Outputs of the next site, the spins so far being in the cache.

        Args:
            cache: From :meth:`start`.
            site: Number of spins drawn so far.
            previous: The spins (batch,) drawn at the site before this one; None for the first.

        Returns:
            Shape (batch, channels), float64.
        """
        if previous is not None:
            cache.record(site - 1, previous)
        return accurate(cache.outputs_at(site))

    def _odds(self, outputs: Tensor, ups: Tensor, site: int) -> Tensor:
        # Infinite log-odds where the sector leaves no choice.
        odds = log_odds(outputs, self.kind)
        if self.magnetization is None:
            return odds
        # 0 * inf is not a number, but exactly there ``where`` takes the finite odds.
        must = forced(ups, site, self.sites, self.magnetization)
        return torch.where(must == 0, odds, must * torch.inf)

    @overload
    def sample(
        self, number: int, generator: torch.Generator | None = ..., *, uniforms: Tensor | None = ...
    ) -> Tensor: ...

    @overload
    def sample(
        self,
        number: int,
        generator: torch.Generator | None = ...,
        *,
        uniforms: Tensor | None = ...,
        return_log_prob: Literal[True],
    ) -> tuple[Tensor, Tensor]: ...

    @torch.no_grad()
    def sample(
        self,
        number: int,
        generator: torch.Generator | None = None,
        *,
        uniforms: Tensor | None = None,
        return_log_prob: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draws independent configurations exactly, site by site.

        Args:
            number: How many.
            generator: Random number generator.
            uniforms: Numbers in [0, 1) of shape (number, sites) to use instead of the generator.
            return_log_prob: Return the log-probabilities too; they cost nothing extra.

        Returns:
            Spins of shape (number, sites), int8; with log-probabilities (number,) if asked for.
        """
        device = next(self.parameters()).device
        if uniforms is None:
            uniforms = torch.rand(number, self.sites, generator=generator, dtype=torch.float64)
        uniforms = uniforms.to(device)
        cache, spin = self.start(number), None
        spins = torch.empty(number, self.sites, dtype=torch.int8, device=device)
        total = torch.zeros(number, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
        ups = torch.zeros(number, dtype=torch.int64, device=device)
        for site, place in enumerate(self.order.tolist()):
            odds = self._odds(self.step(cache, site, spin), ups, site)
            # Uniforms lie in [0, 1), so forced sites, of probability 1 or 0, come out right, with log-probability 0.
            spin = torch.where(uniforms[:, site] < odds.sigmoid(), 1.0, -1.0)
            total += functional.logsigmoid(spin * odds)
            ups += spin > 0
            spins[:, place] = spin.to(torch.int8)
        return (spins, total) if return_log_prob else spins

    @torch.no_grad()
    def sample_counts(self, number: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Draws configurations with multiplicities: each distinct prefix is computed once.

        The counts of a prefix are split between its two continuations by a binomial draw, so the cost grows with the
        number of distinct configurations, not with ``number``.

        Returns:
            Distinct spins (unique, sites), their counts (unique,) and log-probabilities (unique,).
        """
        device = next(self.parameters()).device
        cache, spin = self.start(1), None
        counts = torch.tensor([number], device=device)
        spins = torch.zeros(1, self.sites, dtype=torch.int8, device=device)
        total = torch.zeros(1, dtype=torch.float64, device=device)
        ups = torch.zeros(1, dtype=torch.int64, device=device)
        for site, place in enumerate(self.order.tolist()):
            odds = self._odds(self.step(cache, site, spin), ups, site)
            # The counts of all prefixes stay multinomial: a binomial split at every site is the chain rule for counts.
            plus = torch.binomial(counts.double().cpu(), odds.sigmoid().cpu().double(), generator=generator).to(device)
            both = torch.stack([plus.long(), counts - plus.long()], dim=1)  # [prefixes, 2]
            # Branches that nobody took are dropped; every kept one remembers the row of its prefix.
            parent, branch = both.nonzero(as_tuple=True)
            spin = 1.0 - 2.0 * branch.to(torch.float64)
            counts, spins = both[parent, branch], spins[parent]
            spins[:, place] = spin.to(torch.int8)
            total = total[parent] + functional.logsigmoid(spin * odds[parent])
            ups = ups[parent] + (spin > 0)
            # The spin of this site enters the cache at the next step, when its rows are those of the kept branches.
            cache.select(parent, site)
        return spins, counts, total

    @torch.no_grad()
    def log_ratios(self, spins: Tensor, moves: tuple[Move, ...]) -> tuple[Tensor, Tensor]:
        """Log-ratios psi(s') / psi(s) for configurations s' that differ from s by flipped sites.

        Args:
            spins: Shape (batch, sites).
            moves: Sites that each move flips.

        Returns:
            Differences of log-amplitude and of phase, each (batch, moves).
        """
        amplitude, phase = self.log_psi(spins)
        ratios = [self.log_psi(flipped(spins, move)) for move in moves]
        return (
            torch.stack([a for a, _ in ratios], dim=1) - amplitude[:, None],
            torch.stack([p for _, p in ratios], dim=1) - phase[:, None],
        )


def flipped(spins: Tensor, move: Move) -> Tensor:
    """Flips the sites of a move."""
    result = spins.clone()
    result[:, list(move)] *= -1
    return result


def output_channels(kind: Kind) -> int:
    """Outputs per site that a kind of wave function needs."""
    return 4 if kind == "complex" else 2


def accurate(outputs: Tensor) -> Tensor:
    """Casts outputs to float64, where the device has it: sums over many sites lose digits in float32."""
    return outputs if outputs.device.type == "mps" else outputs.double()


def log_conditional(outputs: Tensor, spins: Tensor, kind: Kind) -> Tensor:
    """Logarithm of the modulus of the conditional amplitude of given spins.

    Args:
        outputs: Shape (..., channels).
        spins: Values +1 and -1, shape (...).
        kind: Kind of wave function.

    Returns:
        Shape (...), at most 0.

    Example:
        >>> up = log_conditional(torch.tensor([0.3, -0.2]), torch.tensor(1.0), "positive")
        >>> down = log_conditional(torch.tensor([0.3, -0.2]), torch.tensor(-1.0), "positive")
        >>> round(((2 * up).exp() + (2 * down).exp()).item(), 6)
        1.0
    """
    # |psi|^2 = sigmoid(s * odds), so psi is its square root; logsigmoid does not underflow for unlikely spins.
    return 0.5 * functional.logsigmoid(spins * log_odds(outputs, kind))


def constrained_log_conditional(
    outputs: Tensor,
    spins: Tensor,
    kind: Kind,
    magnetization: int | None,
    ups_before: Tensor,
    site: Tensor,
    sites: int,
) -> Tensor:
    """Log-conditionals as of :func:`log_conditional`, within a sector of fixed magnetization if there is one.

    A site without a choice has log-conditional 0 if its spin is the forced one, else minus infinity; see
    :func:`forced` for the arguments.
    """
    amplitude = log_conditional(outputs, spins, kind)
    if magnetization is None:
        return amplitude
    must = forced(ups_before, site, sites, magnetization)
    allowed = torch.where(must == spins, torch.zeros_like(amplitude), torch.full_like(amplitude, -torch.inf))
    return torch.where(must == 0, amplitude, allowed)


def log_odds(outputs: Tensor, kind: Kind) -> Tensor:
    """Log-odds log p(+1) - log p(-1) of every conditional, shape (...)."""
    if kind == "real":
        # Unnormalized amplitudes are 1 + output: a fresh network gives positive ones.
        sizes = (outputs[..., :2] + 1).abs().log()
        return 2 * (sizes[..., 0] - sizes[..., 1])
    return 2 * (outputs[..., 0] - outputs[..., 1])


def conditional_phase(outputs: Tensor, spins: Tensor, kind: Kind) -> Tensor:
    """Phase of the conditional amplitude of given spins, radians, shape (...)."""
    if kind == "complex":
        return torch.where(spins > 0, outputs[..., 2], outputs[..., 3])
    if kind == "real":
        # A real amplitude's phase is 0 or pi; its sign is that of the unnormalized amplitude 1 + output.
        amplitude = 1 + torch.where(spins > 0, outputs[..., 0], outputs[..., 1])
        return (amplitude < 0).to(outputs.dtype) * math.pi
    return torch.zeros_like(outputs[..., 0])


def forced(ups_before: Tensor, site: Tensor | int, sites: int, magnetization: int) -> Tensor:
    """Finds the value that a site must take to end in a sector of fixed magnetization.

    Args:
        ups_before: Number of spins +1 among earlier sites, shape (...).
        site: Number of earlier sites.
        sites: Number of all sites.
        magnetization: Sum of all spins in the sector.

    Returns:
        +1 or -1 where only that value is possible, 0 where both are, shape (...).

    Example:
        >>> forced(torch.tensor([0, 1, 2]), 2, 4, 0)
        tensor([ 1,  0, -1])
    """
    # The sector has (sites + magnetization) / 2 spins +1; once they are used up, all later spins are -1.
    down = ups_before >= (sites + magnetization) // 2
    up = site - ups_before >= (sites - magnetization) // 2
    return up.to(torch.int64) - down.to(torch.int64)
