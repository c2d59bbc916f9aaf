"""Variational Monte Carlo with exact samples: draw, find local energies, step; resumable to the last bit."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from seqtant.errors import TrainingError
from seqtant.models.autoregressive import AutoregressiveState
from seqtant.models.jacobian import jacobian
from seqtant.models.symmetrised_state import SymmetrisedState
from seqtant.progress import SILENT, Progress
from seqtant.quantum.checkpoint import Record, read_record, read_tensors, save_state
from seqtant.quantum.config import OptimiserConfig
from seqtant.quantum.draws import uniforms
from seqtant.quantum.local_energy import Hamiltonian
from seqtant.quantum.natural_gradient import NaturalGradient
from seqtant.quantum.pauli import PauliSum
from seqtant.quantum.processes import Processes
from seqtant.quantum.theory import v_score

RATES = {"spring": 0.05, "minsr": 0.02, "adam": 1e-3}


def default_rate(method: str, pauli: PauliSum) -> float:
    """Learning rate that suits a method and the size of a Hamiltonian's coefficients.

    Natural gradients follow imaginary time, whose unit is one over the energy: weak couplings need longer steps.
    """
    if method == "adam":
        return RATES[method]
    largest = max(abs(string.coefficient) for string in pauli.strings)
    return RATES[method] / math.sqrt(min(1.0, largest))


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


@dataclass
class Training:
    """One optimisation: the state, what it is trained on, and where it stands.

    Args:
        state: The wave function; its parameters change.
        hamiltonian: What it is trained on.
        config: The optimiser.
        steps: Steps in all, unless the optimiser has stages.
        samples: Configurations per step, unless the optimiser has stages.
        seed: Seed of every draw.
        processes: The processes of this run.
        symmetrised: The state to train on instead, if symmetrised training is asked for.
    """

    state: AutoregressiveState
    hamiltonian: Hamiltonian
    config: OptimiserConfig
    steps: int
    samples: int
    seed: int
    processes: Processes = field(default_factory=Processes)
    symmetrised: SymmetrisedState | None = None
    done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        stages = self.config.stages or ((self.steps, self.samples),)
        self.schedule = [samples for steps, samples in stages for _ in range(steps)]
        momentum = self.config.momentum if self.config.method == "spring" else 0.0
        self.natural = NaturalGradient(self.state, self.config.damping, momentum)
        betas = (0.9, self.config.momentum)
        self.first_rate = self.config.learning_rate or default_rate(self.config.method, self.hamiltonian.pauli)
        self.adam = torch.optim.Adam(self.state.parameters(), lr=self.first_rate, betas=betas)

    @property
    def trained(self) -> AutoregressiveState | SymmetrisedState:
        """The state whose energy is minimised."""
        return self.symmetrised or self.state

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
        number, samples = self.done, self.schedule[self.done]
        device = next(self.state.parameters()).device
        share = uniforms(
            self.seed, number, samples, self.state.sites, share=self.processes.rank, shares=self.processes.count
        )
        drawn = self.state.sample(len(share), uniforms=share.to(device))
        spins, counts = torch.unique(drawn, dim=0, return_counts=True)
        marks.append(time.perf_counter())
        energies = self.hamiltonian.local_energy(self.trained, spins)
        spins, counts, energies = (self.processes.gather(x) for x in (spins, counts, energies))
        weights = counts.to(energies.real.dtype) / samples
        energy = float((weights * energies.real).sum())
        variance = float((weights * (energies - energy).abs() ** 2).sum()) * samples / max(1, samples - 1)
        if not math.isfinite(energy) or not math.isfinite(variance):
            raise TrainingError(f"the energy is {energy} at step {number}: lower optimiser.learning_rate")
        marks.append(time.perf_counter())
        self._update(spins, weights, self._objective(energies, spins, number), number)
        self.done += 1
        marks.append(time.perf_counter())
        sampling, local, update = (b - a for a, b in itertools.pairwise(marks))
        error = math.sqrt(variance / samples)
        found = Step(number, energy, error, variance, len(spins), (sampling, local, update))
        self.history.append(found.plain())
        return found

    @torch.no_grad()
    def _objective(self, energies: Tensor, spins: Tensor, number: int) -> Tensor:
        temperature = self.temperature(number)
        return energies if temperature == 0 else energies + temperature * self.state.log_prob(spins)

    def _update(self, spins: Tensor, weights: Tensor, energies: Tensor, number: int) -> None:
        if self.config.method == "adam":
            self._adam(spins, weights, energies, number)
            return
        step = self.natural.step(lambda: jacobian(self.trained, spins), weights, energies)
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

    def optimiser_tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs besides the weights."""
        found = {} if self.natural.previous is None else {"previous": self.natural.previous}
        for place, values in self.adam.state_dict()["state"].items():
            found |= {f"adam.{place}.{key}": torch.as_tensor(value) for key, value in values.items()}
        return found

    def resume(self, folder: Path) -> None:
        """Goes on from a checkpoint of the same run: weights, optimiser, history."""
        record, tensors = read_record(folder), read_tensors(folder)
        with torch.no_grad():
            for name, parameter in self.state.named_parameters():
                parameter.copy_(tensors[f"state.{name}"])
        device = next(self.state.parameters()).device
        if "optimiser.previous" in tensors:
            self.natural.previous = tensors["optimiser.previous"].to(device)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser.adam."):
                place, name = key.removeprefix("optimiser.adam.").split(".")
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
            save_state(folder, self.state, now, self.optimiser_tensors())

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
