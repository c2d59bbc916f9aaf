"""What a user can ask of the quantum room: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from seqtant.errors import InputError

Boundary = Literal["open", "periodic"]
Samples = int | Literal["auto", "all"]
NetworkName = Literal["auto", "two-stack", "paper", "single-stack", "chain", "recurrent", "transformer"]
KindName = Literal["auto", "positive", "real", "complex"]
PhasesName = Literal["auto", "mean", "first"]
Method = Literal["auto", "spring", "minsr", "adam"]


@dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """A Hamiltonian on a lattice."""

    hamiltonian: str = "tfim"
    """Name of the Hamiltonian: tfim, heisenberg, xxz, j1j2, or one that a plug-in adds."""
    lattice: str = "4x4"
    """20 (chain), 4x4, 4x6 or triangular:4x4."""
    boundary: Boundary = "open"
    """Boundary in both directions."""
    coupling: float = 1.0
    """J."""
    field: float = 1.0
    """Transverse field of the Ising model, in units of Pauli matrices."""
    anisotropy: float = 1.0
    """Delta of the XXZ model."""
    second_coupling: float = 0.0
    """J2 between second neighbors."""
    marshall: bool = True
    """Rotate one sublattice (Marshall sign rule) where the lattice has two."""
    operators: str | None = None
    """JSON file with Pauli strings to use instead of a named Hamiltonian."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The wave function's network."""

    name: NetworkName = "auto"
    """auto takes the dilated chain in one dimension and the light two-stack in two."""
    depth: int | None = None
    """Layers; by default enough to see the lattice, at most 6 in two dimensions."""
    width: int = 16
    """Features per site."""
    activation: Literal["silu", "relu", "tanh", "selu"] = "silu"
    """Pointwise function of the light networks."""
    kind: KindName = "auto"
    """auto takes a positive state where the Hamiltonian has no sign problem, else a complex one."""
    magnetization: int | Literal["auto"] | None = "auto"
    """Sum of all spins (+1, -1) to stay in; auto takes the smallest where it is conserved; null takes none."""
    phases: PhasesName = "auto"
    """Phase of the symmetrized state: the mean direction over all images, as published, or that of the first image;
    auto takes the first where steps sum over all configurations."""

    @property
    def image_phases(self) -> Literal["mean", "first"]:
        """What a symmetrized state takes its phase from; the published mean where nothing is decided."""
        return "first" if self.phases == "first" else "mean"

    def __post_init__(self) -> None:
        if self.width < 1 or (self.depth is not None and self.depth < 1):
            raise InputError(f"network of depth {self.depth} and width {self.width}: both must be at least 1")
        if self.name == "paper" and (self.width % 2 or (self.depth is not None and self.depth < 2)):
            raise InputError("the published network needs an even width and a depth of at least 2")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How the parameters are moved."""

    method: Method = "auto"
    """spring and minsr take natural-gradient steps, with and without momentum; adam is the published optimizer; auto
    takes spring, or minsr where steps sum over all configurations."""
    learning_rate: float | None = None
    """Step size; by default 0.05 for spring, 0.02 for minsr (more for weak couplings), 0.001 for adam; where steps sum
    over all configurations, 0.8 over the largest sum of absolute elements in a row of the Hamiltonian."""
    momentum: float = 0.9
    """Share of the last step that spring keeps; adam's second-moment decay."""
    damping: float | None = None
    """Shift of the kernel's diagonal in natural-gradient steps; by default 0.001, or 0.003 where steps sum over all."""
    trust: float = 0.15
    """Longest natural-gradient step: the standard deviation of the change that it makes to log psi."""
    decay_from: float = 0.6
    """Share of the steps after which the learning rate falls."""
    final_rate: float = 0.05
    """Learning rate at the end, as a share of the first."""
    temperature: float = 0.0
    """Entropy annealing: minimize E - T S with T falling linearly from this to 0 at decay_from."""
    stages: tuple[tuple[int, int], ...] = ()
    """(steps, samples) one after another, instead of steps and samples."""
    symmetrize: bool = False
    """Train the symmetrized state, not only evaluate it."""

    def __post_init__(self) -> None:
        given = [x for x in (self.learning_rate, self.damping) if x is not None]
        if not (min([self.trust, *given]) > 0 and 0 <= self.momentum < 1):
            raise InputError("learning_rate, damping and trust must be above 0, momentum in [0, 1)")
        if any(steps < 1 or samples < 2 for steps, samples in self.stages):
            raise InputError("each stage needs at least 1 step and 2 samples")


@dataclass(frozen=True, kw_only=True)
class GroundStateConfig(SystemConfig):
    """Train a wave function to the ground state and evaluate it."""

    steps: int = 100
    """Optimization steps."""
    samples: Samples = "auto"
    """Configurations drawn per step; all sums over every one of up to 16 spins, symmetrized, and draws none; auto draws
    512, but takes all where the signs of the ground state must be learned and that is possible."""
    evaluation_samples: int = 8192
    """Configurations of the final evaluation; lattices up to 16 sites are summed exactly instead."""
    symmetrize: bool = True
    """Evaluate the state averaged over the lattice's symmetries."""
    transfer_from: str | None = None
    """Folder of a trained state to start from, also of another lattice."""
    checkpoint_every: int = 20
    """Steps between checkpoints, where a folder is given."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The wave function."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""

    def __post_init__(self) -> None:
        drawn = 2 if isinstance(self.samples, str) else self.samples
        if self.steps < 0 or min(drawn, self.evaluation_samples) < 2 or self.checkpoint_every < 1:
            raise InputError("steps must be at least 0, samples and evaluation_samples at least 2, checkpoint_every 1")

    @classmethod
    def smoke(cls) -> GroundStateConfig:
        """Seconds: a 3 x 3 lattice."""
        network = NetworkConfig(depth=3, width=8)
        return cls(lattice="3x3", field=3.0, steps=12, samples=128, evaluation_samples=256, network=network)

    @classmethod
    def cpu(cls) -> GroundStateConfig:
        """A minute or two on two cores: 6 x 6 near the transition."""
        return cls(lattice="6x6", field=3.0, steps=80, samples=512)

    @classmethod
    def gpu(cls) -> GroundStateConfig:
        """The published lattice, 12 x 12, with a wider network."""
        network = NetworkConfig(depth=8, width=32)
        return cls(lattice="12x12", field=3.0, steps=600, samples=4096, evaluation_samples=1 << 15, network=network)


@dataclass(frozen=True, kw_only=True)
class ExactConfig(SystemConfig):
    """Find the exact ground state, or its published value."""

    @classmethod
    def smoke(cls) -> ExactConfig:
        """A 3 x 3 lattice."""
        return cls(lattice="3x3", field=3.0)


@dataclass(frozen=True, kw_only=True)
class ObserveConfig:
    """Measure observables of a trained state."""

    checkpoint: str = ""
    """Folder of a trained state; empty takes the small one that ships."""
    samples: int = 4096
    """Configurations to draw."""
    precision: float | None = None
    """Draw until the energy per site has this standard error, at most 64 times ``samples``."""
    symmetrize: bool = True
    """Average over the lattice's symmetries."""

    def __post_init__(self) -> None:
        _samples(self.samples)

    @classmethod
    def smoke(cls) -> ObserveConfig:
        """Few samples."""
        return cls(samples=256)


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Draw independent configurations."""

    checkpoint: str = ""
    """Folder of a trained state; empty takes the small one that ships."""
    samples: int = 1000
    """Configurations to draw."""
    unique: bool = True
    """Keep distinct configurations with their counts."""
    file: str | None = None
    """Where to write spins, counts and log-probabilities (.safetensors); by default into the output folder."""

    def __post_init__(self) -> None:
        _samples(self.samples)

    @classmethod
    def smoke(cls) -> SampleConfig:
        """Few samples."""
        return cls(samples=200)


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """Carry a trained state to another lattice and train on."""

    checkpoint: str = ""
    """Folder of a trained state; empty takes the small one that ships."""
    lattice: str = "6x6"
    """The new lattice."""
    boundary: Boundary | None = None
    """The new boundary; by default the old one."""
    field: float | None = None
    """The new field; by default the old one."""
    steps: int = 40
    """Optimization steps on the new lattice."""
    samples: int = 512
    """Configurations drawn per step."""
    evaluation_samples: int = 4096
    """Configurations of the final evaluation."""

    def __post_init__(self) -> None:
        _samples(self.samples)
        _samples(self.evaluation_samples)

    @classmethod
    def smoke(cls) -> TransferConfig:
        """A slightly larger lattice."""
        return cls(lattice="4x5", steps=3, samples=128, evaluation_samples=128)


@dataclass(frozen=True, kw_only=True)
class CompareSamplingConfig:
    """Exact sampling against Metropolis: autocorrelation, and error against cost."""

    checkpoint: str = ""
    """Folder of a trained state; empty takes the exact ground state of the system below."""
    lattice: str = "4x4"
    """Lattice of the exact ground state."""
    fields: tuple[float, ...] = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    """Transverse fields to compare at, with the exact ground state."""
    samples: int = 2000
    """Independent configurations, and Metropolis sweeps."""
    repeats: int = 20
    """Independent repetitions of each estimate, to see its error."""

    def __post_init__(self) -> None:
        _samples(self.samples)
        _samples(self.repeats)

    @classmethod
    def smoke(cls) -> CompareSamplingConfig:
        """A 3 x 3 lattice at two fields."""
        return cls(lattice="3x3", fields=(1.5, 3.0), samples=200, repeats=6)


@dataclass(frozen=True, kw_only=True)
class ImportFlowketConfig:
    """Read the official network's weights."""

    weights: str = ""
    """HDF5 file in the official layout; empty checks the reader on a small random network written in that layout."""
    lattice: str = "12x12"
    """Lattice of the state."""
    hamiltonian: str = "tfim"
    """Hamiltonian it was trained for."""
    field: float = 3.0
    """Transverse field it was trained for."""
    boundary: Boundary = "open"
    """Boundary it was trained for."""

    @classmethod
    def smoke(cls) -> ImportFlowketConfig:
        """The round trip of a small random network."""
        return cls(lattice="3x3")


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(SystemConfig):
    """Time one optimization step, part by part, against the number of spins."""

    sizes: tuple[int, ...] = (4, 6, 8, 10, 12, 16, 20)
    """Sides of the square lattices."""
    samples: int = 256
    """Configurations per step."""
    repeats: int = 3
    """Timed steps per lattice; the median counts."""
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(depth=3))
    """The wave function, the same on every lattice."""

    def __post_init__(self) -> None:
        _samples(self.samples)
        if len(self.sizes) < 2 or min(self.sizes) < 2 or self.repeats < 1:
            raise InputError("a benchmark needs at least two sizes of at least 2, and one repeat")

    @classmethod
    def smoke(cls) -> BenchmarkConfig:
        """Three small lattices."""
        return cls(sizes=(3, 4, 5), samples=32, repeats=1, network=NetworkConfig(depth=2, width=4))


def _samples(number: int) -> None:
    if number < 2:
        raise InputError(f"{number} sample(s) have no spread: give at least 2")


def with_system(config: SystemConfig, **changes: object) -> SystemConfig:
    """A system with some fields changed."""
    return replace(config, **changes)  # type: ignore[arg-type]


CONFIGS = {
    "ground-state": GroundStateConfig,
    "exact": ExactConfig,
    "observe": ObserveConfig,
    "sample": SampleConfig,
    "transfer": TransferConfig,
    "compare-sampling": CompareSamplingConfig,
    "import-flowket": ImportFlowketConfig,
    "benchmark": BenchmarkConfig,
}
