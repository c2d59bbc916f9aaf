"""Variational Monte Carlo with exact samples: draw, find local energies, step; resumable to the last bit."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from seqtant.errors import TrainingError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.jacobian import Block, jacobian
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.progress import SILENT, Progress
from seqtant.quantum.config import OptimizerConfig
from seqtant.quantum.exact.orbits import Orbits
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.operators.pauli import PauliSum
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import Record, read_record, read_tensors, save_state
from seqtant.quantum.training.distributed import Processes
from seqtant.quantum.training.natural_gradient import NaturalGradient
from seqtant.quantum.training.rng import uniforms

RATES = {"spring": 0.05, "minsr": 0.02, "adam": 1e-3}
DAMPING, DAMPING_OF_SUMS = 1e-3, 3e-3
SMALLEST_FACTOR = 0.05
"""No amplitude is asked to shrink by more than this in one step."""


def settled(config: OptimizerConfig, pauli: PauliSum, orbits: Orbits | None = None) -> OptimizerConfig:
    """An optimizer's settings with everything that was left open decided.

    Natural gradients follow imaginary time, whose unit is one over the energy: weak couplings need longer steps. Sums
    over all configurations know the largest row of the Hamiltonian, which bounds the step that is stable.
    """
    method = config.method
    if method == "auto":
        method = "spring" if orbits is None else "minsr"
    rate = RATES[method]
    if orbits is not None and method == "minsr":
        rate = stable_rate(pauli, orbits)
    elif method != "adam":
        rate /= math.sqrt(min(1.0, max(abs(string.coefficient) for string in pauli.strings)))
    return replace(
        config,
        method=method,
        learning_rate=config.learning_rate or rate,
        damping=config.damping or (DAMPING if orbits is None else DAMPING_OF_SUMS),
    )


def stable_rate(pauli: PauliSum, orbits: Orbits | None = None) -> float:
    """Learning rate up to which a step of imaginary time raises no excited state: below one over the largest energy."""
    bound = sum(abs(string.coefficient) for string in pauli.strings) if orbits is None else orbits.largest_row
    return 0.8 / bound


def imaginary_time(energies: Tensor, mean: Tensor, rate: float) -> Tensor:
    """Local energies that ask for a step of imaginary time as it is, not for its linear part.

    The step multiplies each amplitude by 1 - 2 rate (E_loc - E). Where this is negative the sign of the amplitude
    turns; the linear part would only shrink it, and wrong signs would end as amplitudes of almost nothing.

    Args:
        energies: Local energies.
        mean: Their mean E.
        rate: Learning rate.

    Example:
        >>> energies = torch.tensor([1e-6, 20.0], dtype=torch.float64)
        >>> found = imaginary_time(energies, energies.new_zeros(()), 0.05)
        >>> [round(float(x), 3) for x in (found[0].real * 1e6, -0.1 * found[1].imag)]
        [1.0, 3.142]
    """
    factor = (1 - 2 * rate * (energies - mean)).to(torch.complex128)
    return -torch.complex(factor.abs().clamp(min=SMALLEST_FACTOR).log(), factor.angle()) / (2 * rate)


@dataclass(frozen=True)
class Step:
    """What one step saw."""

    number: int
    energy: float
    error: float
    variance: float
    distinct: int
    seconds: tuple[float, float, float]
    """Seconds for sampling, local energies, and derivatives with the update."""

    def plain(self) -> dict[str, float]:
        """As numbers by name."""
        names = ("sampling", "local_energies", "update")
        seconds = {f"seconds_{n}": s for n, s in zip(names, self.seconds, strict=True)}
        return {
            "step": self.number,
            "energy": self.energy,
            "error": self.error,
            "variance": self.variance,
            "distinct": self.distinct,
        } | seconds


@dataclass(frozen=True)
class Seen:
    """The configurations of one step and all that the step needs to know of them."""

    spins: Tensor
    """Shape (configurations, sites)."""
    weights: Tensor
    """Share of each, adding up to 1."""
    energies: Tensor
    """Local energies."""
    spread: float
    """Factor from the mean square deviation to the variance: n / (n - 1) for n samples, 1 for a sum over everything."""
    blocks: Callable[[], Iterable[Block]]
    """Derivatives of log psi."""
    log_prob: Callable[[], Tensor]
    """Log-probabilities, for the entropy."""


@dataclass
class Training:
    """One optimization: the state, what it is trained on, and where it stands.

    Args:
        state: The wave function; its parameters change.
        hamiltonian: What it is trained on.
        config: The optimizer.
        steps: Steps in all, unless the optimizer has stages.
        samples: Configurations per step, unless the optimizer has stages.
        seed: Seed of every draw.
        processes: The processes of this run.
        symmetrized: The state to train on instead, if symmetrized training is asked for.
        orbits: All configurations, if steps are to sum over them instead of drawing some.
    """

    state: AutoregressiveState
    hamiltonian: Hamiltonian
    config: OptimizerConfig
    steps: int
    samples: int
    seed: int
    processes: Processes = field(default_factory=Processes)
    symmetrized: SymmetrizedState | None = None
    orbits: Orbits | None = None
    done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = settled(self.config, self.hamiltonian.pauli, self.orbits)
        stages = self.config.stages or ((self.steps, self.samples),)
        self.schedule = [samples for steps, samples in stages for _ in range(steps)]
        momentum = self.config.momentum if self.config.method == "spring" else 0.0
        self.natural = NaturalGradient(self.state, self.config.damping or DAMPING, momentum)
        betas = (0.9, self.config.momentum)
        self.first_rate = self.config.learning_rate or RATES[self.config.method]
        self.adam = torch.optim.Adam(self.state.parameters(), lr=self.first_rate, betas=betas)

    @property
    def trained(self) -> AutoregressiveState | SymmetrizedState:
        """The state whose energy is minimized."""
        return self.symmetrized or self.state

    @property
    def total(self) -> int:
        """Steps in all."""
        return len(self.schedule)

    def rate(self, step: int) -> float:
        """Learning rate of a step: constant, then falling geometrically."""
        done = step / max(1, self.total)
        start = self.config.decay_from
        if done < start:
            return self.first_rate
        return self.first_rate * self.config.final_rate ** ((done - start) / max(1e-9, 1 - start))

    def temperature(self, step: int) -> float:
        """Temperature of the entropy term at a step: falling linearly to zero."""
        cooled = self.config.decay_from * self.total
        return self.config.temperature * max(0.0, 1 - step / cooled) if cooled else 0.0

    def step(self) -> Step:
        """Takes the next step.

        Raises:
            TrainingError: The energy is not finite.
        """
        marks = [time.perf_counter()]
        number = self.done
        drawn = self._draw(number) if self.orbits is None else None
        marks.append(time.perf_counter())
        seen = self._measured(*drawn, self.schedule[number]) if drawn is not None else self._all()
        energy = float((seen.weights * seen.energies.real).sum())
        variance = float((seen.weights * (seen.energies - energy).abs() ** 2).sum()) * seen.spread
        if not math.isfinite(energy) or not math.isfinite(variance):
            raise TrainingError(f"the energy is {energy} at step {number}: lower optimizer.learning_rate")
        marks.append(time.perf_counter())
        self._update(seen, number)
        self.done += 1
        marks.append(time.perf_counter())
        sampling, local, update = (b - a for a, b in itertools.pairwise(marks))
        error = 0.0 if drawn is None else math.sqrt(variance / self.schedule[number])
        found = Step(number, energy, error, variance, len(seen.spins), (sampling, local, update))
        self.history.append(found.plain())
        return found

    def _draw(self, number: int) -> tuple[Tensor, Tensor]:
        """Distinct configurations of this process's share of a step, with their counts."""
        device = next(self.state.parameters()).device
        share = uniforms(
            self.seed,
            number,
            self.schedule[number],
            self.state.sites,
            share=self.processes.rank,
            shares=self.processes.count,
        )
        drawn = self.state.sample(len(share), uniforms=share.to(device))
        return torch.unique(drawn, dim=0, return_counts=True)

    def _measured(self, spins: Tensor, counts: Tensor, samples: int) -> Seen:
        energies = self.hamiltonian.local_energy(self.trained, spins)
        spins, counts, energies = (self.processes.gather(x) for x in (spins, counts, energies))
        return Seen(
            spins,
            counts.to(energies.real.dtype) / samples,
            energies,
            samples / max(1, samples - 1),
            lambda: jacobian(self.trained, spins),
            lambda: self.state.log_prob(spins),
        )

    def _all(self) -> Seen:
        orbits = self.orbits
        assert orbits is not None
        found = orbits.amplitudes(self.state)
        return Seen(
            orbits.spins[orbits.first],
            found.probability,
            found.energies,
            1.0,
            lambda: orbits.jacobian(self.state, found),
            lambda: 2 * found.log_amplitude,
        )

    @torch.no_grad()
    def _objective(self, seen: Seen, number: int) -> Tensor:
        temperature = self.temperature(number)
        return seen.energies if temperature == 0 else seen.energies + temperature * seen.log_prob()

    def _update(self, seen: Seen, number: int) -> None:
        objective = self._objective(seen, number)
        if self.config.method == "adam":
            self._adam(seen.spins, seen.weights, objective, number)
            return
        if self.state.has_phase:
            rate = min(self.rate(number), stable_rate(self.hamiltonian.pauli, self.orbits))
            objective = imaginary_time(objective, (seen.weights * objective).sum(), rate)
        step = self.natural.step(seen.blocks, seen.weights, objective)
        step *= min(self.rate(number), self.config.trust / max(1e-300, self.natural.length))
        with torch.no_grad():
            for name, parameter in self.state.named_parameters():
                parameter.sub_(step[self.natural.slices[name]].view_as(parameter).to(parameter.dtype))

    def _adam(self, spins: Tensor, weights: Tensor, energies: Tensor, number: int) -> None:
        weighted = (weights * (energies - (weights * energies).sum())).detach()
        self.adam.zero_grad()
        for part in torch.arange(len(spins), device=spins.device).split(1024):
            amplitude, phase = self.trained.log_psi(spins[part])
            loss = 2 * (weighted.real[part] * amplitude).sum()
            if weighted.is_complex() and self.state.has_phase:
                loss = loss + 2 * (weighted.imag[part] * phase).sum()
            loss.backward()
        for group in self.adam.param_groups:
            group["lr"] = self.rate(number)
        self.adam.step()

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs besides the weights."""
        found = {} if self.natural.previous is None else {"previous": self.natural.previous}
        for place, values in self.adam.state_dict()["state"].items():
            found |= {f"adam.{place}.{key}": torch.as_tensor(value) for key, value in values.items()}
        return found

    def resume(self, folder: Path) -> None:
        """Goes on from a checkpoint of the same run: weights, optimizer, history."""
        record, tensors = read_record(folder), read_tensors(folder)
        with torch.no_grad():
            for name, parameter in self.state.named_parameters():
                parameter.copy_(tensors[f"state.{name}"])
        device = next(self.state.parameters()).device
        if "optimizer.previous" in tensors:
            self.natural.previous = tensors["optimizer.previous"].to(device)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer.adam."):
                place, name = key.removeprefix("optimizer.adam.").split(".")
                moments.setdefault(int(place), {})[name] = value
        if moments:
            self.adam.load_state_dict({"state": moments, "param_groups": self.adam.state_dict()["param_groups"]})
        self.done, self.history = record.steps_done, list(record.history)

    def run(
        self, folder: Path | None = None, record: Record | None = None, every: int = 20, progress: Progress = SILENT
    ) -> None:
        """Takes all steps that are left, with checkpoints where a folder and a record are given."""
        bar = progress.task("ground state", self.total)
        bar.advance(self.done)
        try:
            while self.done < self.total:
                found = self.step()
                bar.advance()
                bar.show(**self.shown(found))
                if folder is not None and record is not None and (self.done % every == 0 or self.done == self.total):
                    self.save(folder, record)
        finally:
            bar.close()

    def save(self, folder: Path, record: Record) -> None:
        """Writes a checkpoint; only the first process does."""
        if self.processes.is_first:
            now = Record(record.system, record.network, self.done, self.seed, record.config_hash, tuple(self.history))
            save_state(folder, self.state, now, self.optimizer_tensors())

    def shown(self, found: Step) -> dict[str, float]:
        """The numbers beside the progress bar."""
        sites = self.state.sites
        return {
            "E/N": found.energy / sites,
            "+-": found.error / sites,
            "var": found.variance,
            "V-score": v_score(found.energy, found.variance, sites) if found.energy else float("inf"),
            "samples/s": self.schedule[found.number] / max(1e-9, sum(found.seconds)),
        }
