"""What a user can ask about spin lattices: one frozen configuration per verb."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, PlainSerializer

from seqtant.errors import InputError
from seqtant.settings import Count, Finite, Positive, VerbConfig, config
from seqtant.sources import InMemory, ObjectOrPath, describe, is_path

if TYPE_CHECKING:
    from seqtant.quantum.operators.lattices import Lattice
    from seqtant.quantum.operators.pauli import PauliSum

Boundary = Literal["open", "periodic"]
NetworkName = Literal["auto", "two-stack", "paper", "single-stack", "chain", "recurrent", "transformer"]
KindName = Literal["auto", "positive", "real", "complex"]
PhasesName = Literal["auto", "mean", "first"]
Method = Literal["auto", "spring", "minsr", "adam"]


def _enough(samples: Any) -> Any:
    if not isinstance(samples, str) and samples < 2:
        raise ValueError(f"{samples} sample(s) have no spread: give at least 2")
    return samples


def _describe_state(value: Any) -> Any:
    """The class of a wave function and a hash of its weights: a run goes on only where it began with the same."""
    if value is None or is_path(value):
        return describe(value)
    if isinstance(value, tuple):
        return _describe_state(next(iter(cast("tuple[Any, ...]", value)), None))
    state: Any = getattr(value, "state", value)
    if not hasattr(state, "named_parameters"):
        return describe(value)
    sha256 = hashlib.sha256()
    for name, parameter in state.named_parameters():
        sha256.update(name.encode() + parameter.detach().cpu().numpy().tobytes())
    return f"<{type(state).__name__} in memory, sha256 {sha256.hexdigest()[:8]}>"


Several = Annotated[int, Field(ge=2)]
"""A number of samples or sites that has a spread."""
Samples = Annotated[int | Literal["auto", "all"], AfterValidator(_enough)]
if TYPE_CHECKING:
    from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
    from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
    from seqtant.quantum.training.vmc import VMC

    WaveFunction = AutoregressiveState | SymmetrizedState
    LatticeSource = str | Lattice
    HamiltonianSource = str | PauliSum
    StateSource = ObjectOrPath | VMC | tuple[WaveFunction, PauliSum]
else:
    _lattice_text = PlainSerializer(
        lambda value: f"<{value}, {value.boundary}, in memory>" if hasattr(value, "bonds") else describe(value)
    )
    LatticeSource = Annotated[Any, InMemory(), _lattice_text]
    """A text such as ``4x4``, or a ``Lattice``."""
    # Unlike others, operators are told apart: a run goes on only where its Hamiltonian is the same.
    _hamiltonian_text = PlainSerializer(
        lambda value: (
            f"<{len(value.strings)} Pauli strings in memory, sha256 {value.digest}>"
            if hasattr(value, "digest")
            else describe(value)
        )
    )
    HamiltonianSource = Annotated[Any, InMemory(), _hamiltonian_text]
    """A name such as ``tfim``, or a ``PauliSum``."""
    _as_text = AfterValidator(lambda value: str(value) if is_path(value) else value)
    StateSource = Annotated[Any, InMemory(), _as_text, PlainSerializer(_describe_state)]
    """The folder of a trained state, or a ``VMC``, or a wave function with its Hamiltonian."""


@config
class SystemConfig:
    """A Hamiltonian on a lattice."""

    hamiltonian: HamiltonianSource = field(default="tfim", kw_only=False)
    """Name of the Hamiltonian: tfim, heisenberg, xxz, j1j2, or one that a plug-in adds; in Python a PauliSum too."""
    lattice: LatticeSource = field(default="4x4", kw_only=False)
    """20 (chain), 4x4, 4x6 or triangular:4x4; in Python a Lattice too."""
    boundary: Boundary = "open"
    """Boundary in both directions."""
    coupling: Finite = 1.0
    """J."""
    field: Finite = 1.0
    """Transverse field of the Ising model, in units of Pauli matrices."""
    anisotropy: Finite = 1.0
    """Delta of the XXZ model."""
    second_coupling: Finite = 0.0
    """J2 between second neighbors."""
    marshall: bool = True
    """Rotate one sublattice (Marshall sign rule) where the lattice has two."""
    operators: HamiltonianSource | None = None
    """JSON file with Pauli strings to use instead of a named Hamiltonian."""

    def __post_init__(self) -> None:
        name_objects(self)


@config
class NetworkConfig:
    """The wave function's network."""

    name: NetworkName = "auto"
    """auto takes the dilated chain in one dimension and the light two-stack in two."""
    depth: Count | None = None
    """Layers; by default enough to see the lattice, at most 6 in two dimensions."""
    width: Count = 16
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
        if self.name == "paper" and (self.width % 2 or (self.depth is not None and self.depth < 2)):
            raise InputError("the published network needs an even width and a depth of at least 2")


@config
class OptimizerConfig:
    """How the parameters are moved."""

    method: Method = "auto"
    """spring and minsr take natural-gradient steps, with and without momentum; adam is the published optimizer; auto
    takes spring, or minsr where steps sum over all configurations."""
    learning_rate: Positive | None = None
    """Step size; by default 0.05 for spring, 0.02 for minsr (more for weak couplings), 0.001 for adam; where steps sum
    over all configurations, 0.8 over the largest sum of absolute elements in a row of the Hamiltonian."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Share of the last step that spring keeps; adam's second-moment decay."""
    damping: Positive | None = None
    """Shift of the kernel's diagonal in natural-gradient steps; by default 0.001, or 0.003 where steps sum over all."""
    trust: Positive = 0.15
    """Longest natural-gradient step: the standard deviation of the change that it makes to log psi."""
    decay_from: Finite = 0.6
    """Share of the steps after which the learning rate falls."""
    final_rate: Finite = 0.05
    """Learning rate at the end, as a share of the first."""
    temperature: Finite = 0.0
    """Entropy annealing: minimize E - T S with T falling linearly from this to 0 at decay_from."""
    stages: tuple[tuple[Count, Several], ...] = ()
    """(steps, samples) one after another, instead of steps and samples."""
    symmetrize: bool = False
    """Train the symmetrized state, not only evaluate it."""


@config
class GroundStateConfig(SystemConfig, VerbConfig):
    """Train a wave function to the ground state by exact sampling; compare its energy with what is known.

    With --out the run writes checkpoints, and the same command goes on where it was interrupted.
    """

    verb: ClassVar[str] = "quantum.ground-state"
    steps: Annotated[int, Field(ge=0)] = 100
    """Optimization steps."""
    samples: Samples = "auto"
    """Configurations drawn per step; all sums over every one of up to 16 spins, symmetrized, and draws none; auto draws
    512, but takes all where the signs of the ground state must be learned and that is possible."""
    evaluation_samples: Several = 8192
    """Configurations of the final evaluation; lattices up to 16 sites are summed exactly instead."""
    symmetrize: bool = True
    """Evaluate the state averaged over the lattice's symmetries."""
    transfer_from: StateSource | None = None
    """Folder of a trained state to start from, also of another lattice; in Python the state too."""
    checkpoint_every: Count = 20
    """Steps between checkpoints, where a folder is given."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The wave function."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""


@config
class ExactConfig(SystemConfig, VerbConfig):
    """Find the exact ground-state energy: closed form, diagonalization up to 20 spins, or a published table."""

    verb: ClassVar[str] = "quantum.exact"


@config
class ObserveConfig(VerbConfig):
    """Measure energy, magnetizations, correlations and entanglement of a trained state, each with its error."""

    verb: ClassVar[str] = "quantum.observe"
    checkpoint: StateSource = field(default="", kw_only=False)
    """Folder of a trained state; empty takes the small one that ships; in Python a VMC, or (state, hamiltonian)."""
    samples: Several = 4096
    """Configurations to draw."""
    precision: Positive | None = None
    """Draw until the energy per site has this standard error, at most 64 times ``samples``."""
    symmetrize: bool = True
    """Average over the lattice's symmetries."""


@config
class SampleConfig(VerbConfig):
    """Draw exact, independent configurations with their log-probabilities."""

    verb: ClassVar[str] = "quantum.sample"
    checkpoint: StateSource = field(default="", kw_only=False)
    """Folder of a trained state; empty takes the small one that ships; in Python a VMC, or (state, hamiltonian)."""
    samples: Several = 1000
    """Configurations to draw."""
    unique: bool = True
    """Keep distinct configurations with their counts."""
    file: str | None = None
    """Where to write spins, counts and log-probabilities (.safetensors); by default into the output folder."""


@config
class TransferConfig(VerbConfig):
    """Carry a trained state to another lattice or field and train on."""

    verb: ClassVar[str] = "quantum.transfer"
    checkpoint: StateSource = field(default="", kw_only=False)
    """Folder of a trained state; empty takes the small one that ships; in Python a VMC, or (state, hamiltonian)."""
    lattice: LatticeSource = field(default="6x6", kw_only=False)
    """The new lattice."""
    boundary: Boundary | None = None
    """The new boundary; by default the old one."""
    field: Finite | None = None
    """The new field; by default the old one."""
    steps: Annotated[int, Field(ge=0)] = 40
    """Optimization steps on the new lattice."""
    samples: Several = 512
    """Configurations drawn per step."""
    evaluation_samples: Several = 4096
    """Configurations of the final evaluation."""

    def __post_init__(self) -> None:
        name_lattice(self)


@config
class CompareSamplingConfig(VerbConfig):
    """Compare exact sampling with Metropolis: autocorrelation, and error of the magnetization against cost."""

    verb: ClassVar[str] = "quantum.compare-sampling"
    checkpoint: StateSource = field(default="", kw_only=False)
    """Folder of a trained state; empty takes exact ground states of the Ising model; in Python a state too."""
    lattice: LatticeSource = "4x4"
    """Lattice of those ground states, at most 16 spins."""
    fields: tuple[Finite, ...] = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    """Transverse fields to compare at, with the exact ground state."""
    samples: Several = 2000
    """Independent configurations, and Metropolis sweeps."""
    repeats: Several = 20
    """Independent repetitions of each estimate, to see its error."""

    def __post_init__(self) -> None:
        name_lattice(self)


@config
class BenchmarkConfig(SystemConfig, VerbConfig):
    """Time one optimization step on square lattices from 4x4 to 20x20, beside the operations it counts."""

    verb: ClassVar[str] = "quantum.benchmark"
    sizes: Annotated[tuple[Several, ...], Field(min_length=2)] = (4, 6, 8, 10, 12, 16, 20)
    """Sides of the square lattices."""
    samples: Several = 256
    """Configurations per step."""
    repeats: Count = 3
    """Timed steps per lattice; the median counts."""
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(depth=3))
    """The wave function, the same on every lattice."""

    def __post_init__(self) -> None:
        name_objects(self)
        if not is_path(self.hamiltonian):
            raise InputError("a benchmark makes its Hamiltonian on many lattices: name one, such as tfim")


def name_lattice(found: TransferConfig | CompareSamplingConfig) -> None:
    """Writes a lattice in memory as the text, and the boundary, that make it."""
    if is_path(found.lattice):
        return
    lattice = _lattice(found.lattice)
    if isinstance(found, TransferConfig):
        if found.boundary not in (None, lattice.boundary):
            raise InputError(f"lattice {lattice} is {lattice.boundary} already: leave boundary out")
        object.__setattr__(found, "boundary", lattice.boundary)
    elif lattice.boundary != "open":
        return  # no other setting says so
    object.__setattr__(found, "lattice", str(lattice))


def name_objects(found: SystemConfig) -> None:
    """Writes a Hamiltonian and a lattice in memory as the names and numbers that make them, where there are such.

    So a system given in memory is the one given by name: the same record, the same hash, the same command.
    """
    pauli: Any = found.hamiltonian
    usual: dict[str, Any] = {each.name: each.default for each in fields(found) if each.default is not MISSING}
    changes: dict[str, Any] = {}
    lattice = None if is_path(found.lattice) else _lattice(found.lattice)
    if not is_path(pauli):
        from seqtant.quantum.operators.hamiltonians import Couplings, build
        from seqtant.quantum.operators.lattices import Lattice
        from seqtant.quantum.operators.pauli import PauliSum

        if not isinstance(pauli, PauliSum):
            raise InputError(f"hamiltonian is {pauli!r:.60}: give a name such as tfim, or a PauliSum")
        numbers = [each.name for each in fields(Couplings)]
        for name in (*numbers, "operators"):
            if name in usual and getattr(found, name) != usual[name]:
                raise InputError(f"{name} belongs to a Hamiltonian by name: this one is in memory, leave it out")
        own = pauli.lattice
        if own is not None:
            # What was not given is as the Hamiltonian's own lattice says.
            given = (found.lattice, found.boundary) != (usual["lattice"], usual["boundary"])
            if given and (lattice or Lattice.parse(str(found.lattice), found.boundary)) != own:
                place = f"{own}, {own.boundary}"
                raise InputError(f"the Hamiltonian stands on lattice {place}: leave lattice and boundary out")
            lattice = own
        if own is not None and pauli.origin is not None:
            name, couplings = pauli.origin
            told = {key: getattr(couplings, key) for key in numbers if key in usual}
            standard = Couplings(**told)
            # A sum that was changed since is none that a name makes.
            if standard == couplings and build(name, own, couplings).same_as(pauli):
                changes = {"hamiltonian": name}
                changes |= {key: value if key == "marshall" else float(value) for key, value in told.items()}
    if lattice is not None:
        if found.boundary not in (usual["boundary"], lattice.boundary):
            raise InputError(f"lattice {lattice} is {lattice.boundary} already: leave boundary out")
        changes |= {"lattice": str(lattice), "boundary": lattice.boundary}
    for name, value in changes.items():
        object.__setattr__(found, name, value)


def _lattice(value: Any) -> Lattice:
    from seqtant.quantum.operators.lattices import as_lattice

    return as_lattice(value)
