"""Variational Monte Carlo with exact samples: sample, compute local energies, step; resumable to the last bit."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from seqtant.errors import InputError, TrainingError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.jacobian import Block, jacobian
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.progress import SILENT, Progress
from seqtant.quantum.config import OptimizerConfig
from seqtant.quantum.exact import Orbits
from seqtant.quantum.observation import Hamiltonian, State
from seqtant.quantum.operators.pauli import PauliSum
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import Record, read_record, read_tensors, save_state
from seqtant.quantum.training.distributed import DistributedContext, uniforms
from seqtant.quantum.training.natural_gradient import NaturalGradient

RATES = {"spring": 0.05, "minsr": 0.02, "adam": 1e-3}
"""Default learning rates."""
DAMPING, DAMPING_OF_SUMS = 1e-3, 3e-3
"""Default damping of steps on samples, and of steps that sum over all configurations."""
PARTS = ("seconds_sampling", "seconds_local_energies", "seconds_update")
"""Names of the times of a step's parts."""
SMALLEST_FACTOR = 0.05
"""No amplitude is asked to shrink by more than this in one step."""


def resolve_defaults(config: OptimizerConfig, pauli: PauliSum, orbits: Orbits | None = None) -> OptimizerConfig:
    """Replaces automatic settings of an optimizer by values.

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
        # Milder than one over the coupling, which would be too bold for a step on samples.
        rate /= math.sqrt(min(1.0, max(abs(string.coefficient) for string in pauli.strings)))
    return replace(
        config,
        method=method,
        learning_rate=config.learning_rate or rate,
        damping=config.damping or (DAMPING if orbits is None else DAMPING_OF_SUMS),
    )


def stable_rate(pauli: PauliSum, orbits: Orbits | None = None) -> float:
    """Computes a learning rate at which steps of imaginary time end in the ground state.

    A step multiplies the part of an excited state by 1 - 2 rate (E_n - E), so the part falls where E_n - E < 1 / rate.
    The rate is 0.8 over a bound of |energy|: the sum of all |coefficients|, or the largest sum of absolute elements in
    a row of the Hamiltonian where that is known. States further than 1.25 bounds from the energy may
    still grow.
    """
    if orbits is None:
        return 0.8 / sum(abs(string.coefficient) for string in pauli.strings)
    # Gershgorin: no eigenvalue is larger in size than the largest sum of absolute values in a row.
    return 0.8 / float(orbits.matrix.abs().sum(1).to_dense().max())


def imaginary_time(energies: Tensor, mean: Tensor, rate: float) -> Tensor:
    """Replaces local energies by those for which a linear step multiplies amplitudes as imaginary time does.

    A step of imaginary time multiplies each amplitude by F = 1 - 2 rate (E_loc - E); the result is -log F / (2 rate).
    Where F is negative the sign of the amplitude turns; the linear part would only shrink it, and wrong signs would end
    as amplitudes of almost nothing.

    Example:
        >>> energies = torch.tensor([1e-6, 20.0], dtype=torch.float64)
        >>> found = imaginary_time(energies, energies.new_zeros(()), 0.05)
        >>> [round(float(x), 3) for x in (found[0].real * 1e6, -0.1 * found[1].imag)]
        [1.0, 3.142]
    """
    factor = (1 - 2 * rate * (energies - mean)).to(torch.complex128)
    return -torch.complex(factor.abs().clamp(min=SMALLEST_FACTOR).log(), factor.angle()) / (2 * rate)


@dataclass(frozen=True)
class StepBatch:
    """The configurations of one step and what the step needs to know of them."""

    spins: Tensor
    """Shape (configurations, sites)."""
    weights: Tensor
    """Weight of each, adding up to 1."""
    energies: Tensor
    spread: float
    """Factor from the mean square deviation to the variance: n / (n - 1) for n samples, 1 for a sum over everything."""
    blocks: Callable[[], Iterable[Block]]
    """Gives the derivatives of log psi."""
    log_prob: Callable[[], Tensor]
    """Gives the log-probabilities, for the entropy."""


class VMC:
    """Trains a wave function by variational Monte Carlo: the driver, with its schedule, history and checkpoints.

    Each step draws configurations s with probability |psi(s)|^2, exactly and independently, computes their local
    energies E(s) = sum over s' of <s|H|s'> psi(s') / psi(s), whose mean is the energy, and moves the parameters by the
    optimizer's step, by default a natural gradient.

    Args:
        state: The wave function; its parameters change. A symmetrized state is trained as such.
        hamiltonian: The Hamiltonian whose energy is minimized.
        optimizer: How the parameters are moved; by default natural gradients with momentum.
        steps: Steps in all, unless the optimizer has stages.
        samples: Configurations per step, unless the optimizer has stages.
        seed: Seed of all sampling.
        processes: The processes of this run.
        symmetrized: The state to train on instead, if symmetrized training is asked for.
        orbits: All configurations, if steps are to sum over them instead of drawing some.

    Raises:
        InputError: The state and the Hamiltonian do not fit each other.

    Example:
        >>> from seqtant.quantum import CausalState, transverse_ising
        >>> hamiltonian = transverse_ising("2x2", field=2.0)
        >>> vmc = VMC(CausalState("2x2", depth=2, width=4), hamiltonian, steps=20, samples=64)
        >>> vmc.run()
        >>> round(vmc.history[-1]["energy"], 1), vmc.done
        (-8.5, 20)
    """

    def __init__(
        self,
        state: State,
        hamiltonian: PauliSum | Hamiltonian,
        optimizer: OptimizerConfig | None = None,
        *,
        steps: int = 100,
        samples: int = 512,
        seed: int = 0,
        processes: DistributedContext | None = None,
        symmetrized: SymmetrizedState | None = None,
        orbits: Orbits | None = None,
    ) -> None:
        if isinstance(state, SymmetrizedState):
            state, symmetrized = state.plain, state
        hamiltonian = Hamiltonian(hamiltonian) if isinstance(hamiltonian, PauliSum) else hamiltonian
        if not isinstance(state, AutoregressiveState):
            raise InputError(f"{state!r:.60} is no wave function: give one such as CausalState(lattice)")
        if not isinstance(hamiltonian, Hamiltonian):
            raise InputError(f"{hamiltonian!r:.60} is no Hamiltonian: give a PauliSum such as heisenberg(lattice)")
        if hamiltonian.pauli.sites != state.sites:
            raise InputError(
                f"a Hamiltonian of {hamiltonian.pauli.sites} spins and a state of {state.sites} do not fit"
            )
        if optimizer is not None and not isinstance(optimizer, OptimizerConfig):
            raise InputError(f"{optimizer!r:.60} is no optimizer: give an OptimizerConfig")
        drawn = samples if orbits is None else 2
        for name, value, least in (("steps", steps, 0), ("samples", drawn, 2), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
        self.state, self.hamiltonian = state, hamiltonian
        self.optimizer = resolve_defaults(optimizer or OptimizerConfig(), hamiltonian.pauli, orbits)
        self.seed, self.orbits = seed, orbits
        self.processes = processes or DistributedContext()
        self.done = 0
        """Steps taken so far."""
        self.history: list[dict[str, float]] = []
        """What :meth:`step` returned, step by step."""
        stages = self.optimizer.stages or ((steps, samples),)
        self.schedule = [samples for steps, samples in stages for _ in range(steps)]  # samples of each step
        self.total = len(self.schedule)
        # The state whose energy is minimized.
        self.trained: State = symmetrized or state
        momentum = self.optimizer.momentum if self.optimizer.method == "spring" else 0.0
        self.natural = NaturalGradient(state, self.optimizer.damping or DAMPING, momentum)
        self.first_rate = self.optimizer.learning_rate or RATES[self.optimizer.method]
        betas = (0.9, self.optimizer.momentum)
        self.adam = torch.optim.Adam(state.parameters(), lr=self.first_rate, betas=betas)

    def rate(self, step: int) -> float:
        """Computes the learning rate of a step: constant, then falling geometrically."""
        done = step / max(1, self.total)
        start = self.optimizer.decay_from
        if done < start:
            return self.first_rate
        return self.first_rate * self.optimizer.final_rate ** ((done - start) / max(1e-9, 1 - start))

    def step(self) -> dict[str, float]:
        """Takes the next step.

        Returns:
            Its entry in the history: step, energy, error, variance, number of distinct configurations, and seconds of
            its parts.

        Raises:
            TrainingError: The energy is not finite.
        """
        number, samples = self.done, self.schedule[self.done]
        marks = [time.perf_counter()]
        if self.orbits is None:
            ranks = {"share": self.processes.rank, "shares": self.processes.count}
            share = uniforms(self.seed, number, samples, self.state.sites, **ranks)
            drawn = self.state.sample(len(share), uniforms=share.to(next(self.state.parameters()).device))
            found = torch.unique(drawn, dim=0, return_counts=True)
            marks.append(time.perf_counter())
            # Local energies of this process's share; everything after them is done on the samples of all processes.
            energies = self.hamiltonian.local_energy(self.trained, found[0])
            # A configuration drawn by two processes stays two rows: X^T X and X^T f, and so the step, are the same.
            spins, counts, energies = (self.processes.gather(x) for x in (*found, energies))
            batch = StepBatch(
                spins,
                counts.to(energies.real.dtype) / samples,
                energies,
                samples / max(1, samples - 1),
                lambda: jacobian(self.trained, spins),
                lambda: self.state.log_prob(spins),
            )
        else:
            marks.append(time.perf_counter())
            orbits, whole = self.orbits, self.orbits.amplitudes(self.state)
            batch = StepBatch(
                orbits.spins[orbits.first],
                whole.probability,
                whole.energies,
                1.0,
                lambda: orbits.jacobian(self.state, whole),
                lambda: 2 * whole.log_amplitude,
            )
        energy = float((batch.weights * batch.energies.real).sum())
        variance = float((batch.weights * (batch.energies - energy).abs() ** 2).sum()) * batch.spread
        if not math.isfinite(energy) or not math.isfinite(variance):
            raise TrainingError(f"the energy is {energy} at step {number}: lower optimizer.learning_rate")
        marks.append(time.perf_counter())
        self._update(batch, number)
        self.done += 1
        marks.append(time.perf_counter())
        error = math.sqrt(variance / samples) if self.orbits is None else 0.0
        entry: dict[str, float] = {"step": number, "energy": energy, "error": error, "variance": variance}
        entry["distinct"] = len(batch.spins)
        entry |= {part: end - start for part, (start, end) in zip(PARTS, itertools.pairwise(marks), strict=True)}
        self.history.append(entry)
        return entry

    def _update(self, batch: StepBatch, number: int) -> None:
        objective, rate = batch.energies, self.rate(number)
        # Entropy annealing minimizes E - T S: local energies get T log p, with T falling linearly to zero.
        cooled = self.optimizer.decay_from * self.total
        temperature = self.optimizer.temperature * max(0.0, 1 - number / cooled) if cooled else 0.0
        if temperature:
            with torch.no_grad():
                # With S = -<log p>, the gradient of -T S is that of an energy whose local value is T log p.
                objective = objective + temperature * batch.log_prob()
        if self.optimizer.method == "adam":
            # The gradient of the energy is 2 Re <(E - <E>)* d log psi>, accumulated over chunks.
            weighted = (batch.weights * (objective - (batch.weights * objective).sum())).detach()
            self.adam.zero_grad()
            for part in torch.arange(len(batch.spins), device=batch.spins.device).split(1024):
                amplitude, phase = self.trained.log_psi(batch.spins[part])
                # With log psi = a + i phi and weight x + i y: Re (x - i y)(da + i dphi) = x da + y dphi.
                loss = 2 * (weighted.real[part] * amplitude).sum()
                if weighted.is_complex() and self.state.has_phase:
                    loss = loss + 2 * (weighted.imag[part] * phase).sum()
                loss.backward()  # adds to the gradients of the earlier chunks
            for group in self.adam.param_groups:
                group["lr"] = rate
            self.adam.step()
            return
        if self.state.has_phase:
            stable = min(rate, stable_rate(self.hamiltonian.pauli, self.orbits))
            objective = imaginary_time(objective, (batch.weights * objective).sum(), stable)
        step = self.natural.step(batch.blocks, batch.weights, objective)
        # Trust region: rate times length is the change that the step makes to log psi. Scaled in place, so that the
        # step which momentum carries over is the one that was taken, learning rate included.
        step *= min(rate, self.optimizer.trust / max(1e-300, self.natural.length))
        with torch.no_grad():
            for name, parameter in self.state.named_parameters():
                parameter.sub_(step[self.natural.slices[name]].view_as(parameter).to(parameter.dtype))

    def resume(self, folder: Path) -> None:
        """Continues from a checkpoint of the same run: weights, optimizer, history."""
        record, tensors = read_record(folder), read_tensors(folder)
        with torch.no_grad():
            for name, parameter in self.state.named_parameters():
                parameter.copy_(tensors[f"state.{name}"])
        device = next(self.state.parameters()).device
        if "optimizer.previous" in tensors:
            self.natural.previous = tensors["optimizer.previous"].to(device)
        # Adam's tensors are stored flat, one key per parameter and moment.
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
        sites = self.state.sites
        bar = progress.task("ground state", self.total)
        bar.advance(self.done)
        try:
            while self.done < self.total:
                found = self.step()
                energy, variance = found["energy"], found["variance"]
                numbers = {"E/N": energy / sites, "+-": found["error"] / sites, "var": variance}
                numbers["V-score"] = v_score(energy, variance, sites) if energy else float("inf")
                numbers["samples/s"] = self.schedule[self.done - 1] / max(1e-9, sum(found[part] for part in PARTS))
                bar.advance()
                bar.show(**numbers)
                if folder is not None and record is not None and (self.done % every == 0 or self.done == self.total):
                    self.save(folder, record)
        finally:
            bar.close()

    def save(self, folder: Path, record: Record) -> None:
        """Writes a checkpoint: weights, optimizer, history; only the first process does."""
        if self.processes.rank != 0:
            return
        tensors = {} if self.natural.previous is None else {"previous": self.natural.previous}
        for place, values in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{place}.{key}": torch.as_tensor(value) for key, value in values.items()}
        now = Record(record.system, record.network, self.done, self.seed, record.config_hash, tuple(self.history))
        save_state(folder, self.state, now, tensors)
