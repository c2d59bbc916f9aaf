"""Measures how many directions a trained input embedding uses: token table, learned positions, both together.

Definitions, with s_1 >= s_2 >= ... the singular values and s^2 the energy:

- numerical rank at a share e: the least k whose tail s_{k+1}^2 + s_{k+2}^2 + ... is at most e of all energy;
- stable rank: ||A||_F^2 / ||A||_2^2 = sum s_i^2 / s_1^2 (Frobenius over spectral norm, squared);
- entropy rank: exp of the entropy of p_i = s_i / sum s (Roy and Vetterli's effective rank).

A trained table is no sample, so these numbers have no interval. Tables are reduced to their second moments, one pass in
float64 without a second copy, which gives singular values to about 1e-8 of the largest: far finer than any rank above
asks for, and finer than the float32 or bfloat16 the tables are stored in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from seqtant.architecture.config import EmbeddingRankConfig
from seqtant.architecture.counting.bottlenecks import input_rank
from seqtant.architecture.counting.checkpoint import StoredTensor, find_tensor, read_headers, read_matrix
from seqtant.architecture.families.loading import describe, find_model
from seqtant.architecture.families.shape import Shape
from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.progress import SILENT, Progress, track
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path

Matrix = Float[ndarray[Any, Any], "rows columns"]
Square = Float[ndarray[Any, Any], "columns columns"]
Vector = Float[ndarray[Any, Any], " columns"]

TAILS = (0.01, 0.001)
"""Shares of energy that a numerical rank leaves out at most."""
FILLED = 0.9
"""Share of the possible directions above which a table counts as filling the width."""
POINTS = 200
"""Singular values kept per curve."""
BLOCK = 4096
"""Rows converted to float64 at a time."""


@dataclass(frozen=True)
class Spectrum:
    """Singular values of a table, largest first, and the ranks that they make.

    Example:
        >>> flat = Spectrum(np.ones(8))
        >>> flat.numerical_rank(0.01), flat.stable_rank, round(flat.entropy_rank, 12)
        (8, 8.0, 8.0)
    """

    values: Vector

    def numerical_rank(self, tail: float) -> int:
        """Counts the directions needed so that what they leave out is at most a share ``tail`` of the energy."""
        energy = self.values**2
        left = np.cumsum(energy[::-1])[::-1]  # [k]: energy from direction k on
        return int(np.count_nonzero(left > tail * left[0]))

    @property
    def stable_rank(self) -> float:
        """Sum of squares over the largest square; 0 for a table without energy."""
        return float((self.values**2).sum() / self.values[0] ** 2) if self.values[0] > 0 else 0.0

    @property
    def entropy_rank(self) -> float:
        """Exponential of the entropy of the normalized singular values; 0 for a table without energy."""
        if self.values[0] == 0:
            return 0.0
        share = self.values[self.values > 0] / self.values.sum()
        return float(np.exp(-(share * np.log(share)).sum()))


@dataclass(frozen=True)
class Moments:
    """First and second moments of a table's rows: all that its spectrum depends on.

    Example:
        >>> table = np.random.default_rng(0).normal(size=(300, 5)) + 1.0
        >>> exact = np.linalg.svd(table - table.mean(0), compute_uv=False)
        >>> bool(np.allclose(Moments.of(table).spectrum(centered=True).values, exact))
        True
    """

    rows: int
    total: Vector
    """Sum of the rows."""
    gram: Square
    """A^T A."""
    zero_rows: int = 0
    """Rows that are all zero: padding that was never trained."""

    @classmethod
    def of(cls, table: Matrix, progress: Progress = SILENT) -> Moments:
        """Reads a table once, block by block; a quarter million rows of width 3072 take minutes."""
        columns = table.shape[1]
        total, gram, zeros = np.zeros(columns), np.zeros((columns, columns)), 0
        for start in track(range(0, table.shape[0], BLOCK), progress, "reading a table"):
            block = np.asarray(table[start : start + BLOCK], dtype=np.float64)
            total += block.sum(0)
            gram += block.T @ block
            zeros += int((~block.any(1)).sum())
        if zeros == table.shape[0]:
            raise InputError("the embedding table is all zero: the checkpoint was never trained or is broken")
        return cls(table.shape[0], total, gram, zeros)

    def project(self, matrix: Matrix) -> Moments:
        """Computes the moments of the rows after a linear map: A B^T for a ``matrix`` B, [outputs, columns]."""
        # Rows x become B x: their sum B sum x, their second moments B A^T A B^T.
        wide = np.asarray(matrix, dtype=np.float64)
        return Moments(self.rows, wide @ self.total, wide @ self.gram @ wide.T, self.zero_rows)

    @property
    def covariance(self) -> Square:
        """Covariance of the rows, each row equally likely."""
        mean = self.total / self.rows
        return self.gram / self.rows - np.outer(mean, mean)

    def spectrum(self, *, centered: bool = False) -> Spectrum:
        """Computes the singular values of the table, or of the table less its mean row."""
        gram = self.rows * self.covariance if centered else self.gram
        # Taking the mean away leaves rounding of the size of the whole table, which is no energy of the rest.
        noise = gram.shape[0] * np.finfo(np.float64).eps * float(np.trace(self.gram))
        return spectrum_of_gram(gram, self.rows, noise=noise)


def spectrum_of_gram(gram: Square, rows: int, *, noise: float = 0.0) -> Spectrum:
    """Computes the singular values of any table with this A^T A: at most as many as rows, zero below the noise."""
    squares = np.linalg.eigvalsh(gram)[::-1][: min(rows, gram.shape[0])]
    return Spectrum(np.sqrt(np.where(squares > noise, squares, 0.0)))


def read_moments(shape: Shape, stored: list[StoredTensor], progress: Progress = SILENT) -> dict[str, Moments]:
    """Reads the input's tensors and takes their moments: of tokens or patches, and of learned positions.

    Both are taken in the width of the residual stream, after the projection of factorized embeddings; the token table
    before that projection is there too.
    """

    def matrix(tensor: str, rows: int, columns: int) -> ndarray[Any, Any]:
        found = find_tensor(stored, tensor)
        if found is None:
            raise InputError(f"the weights hold no '{tensor}': they and config.json do not belong together")
        # Convolution kernels and leading ones are flattened.
        if found.numel != rows * columns or columns not in (found.sizes[-1], found.numel // found.sizes[0]):
            shown = " x ".join(map(str, found.sizes))
            raise InputError(f"'{found.name}' is {shown}, the configuration says {rows} x {columns}")
        return read_matrix(found).reshape(rows, columns)

    embedding = shape.embedding
    token, position, projection = embedding.table("token"), embedding.table("position"), embedding.projection
    up = None
    if projection is not None:
        up = matrix(embedding.projection_tensor, projection.outputs, projection.inputs)
    found: dict[str, Moments] = {}
    if token is not None:
        found["token"] = Moments.of(matrix(token.tensor, token.rows, token.columns), progress)
        if up is not None:
            found |= {"token": found["token"].project(up), "token, before the projection": found["token"]}
    elif up is not None:
        found["token"] = Moments.of(up.T)
    else:
        raise InputError(f"a network of family '{shape.family}' has no input embedding to measure")
    if position is not None:
        positions = Moments.of(matrix(position.tensor, position.rows, position.columns))
        passes = token is not None and up is not None and position.columns != shape.width
        found["position"] = positions.project(up) if passes and up is not None else positions
    return found


def spectra_of(moments: dict[str, Moments]) -> dict[str, Spectrum]:
    """Computes the spectrum of each table by name, and of tokens and positions together."""
    spectra: dict[str, Spectrum] = {}
    for name, table in moments.items():
        spectra[name] = table.spectrum()
        if name in ("token", "position"):
            spectra[f"{name}, centered"] = table.spectrum(centered=True)
    if "position" in moments:
        token, position = moments["token"], moments["position"]
        # Every token at every position alike: the covariances of the two parts add up.
        joint = spectrum_of_gram(token.covariance + position.covariance, token.rows + position.rows)
        spectra["token and position, centered"] = joint
    return spectra


@verb(EmbeddingRankConfig)
def embedding_rank(config: EmbeddingRankConfig, context: Context) -> Result:
    """Measures how many directions a trained input embedding uses; reads only the tensors it needs.

    With the squared singular values of the token table less its mean row as energy, the effective width is the least
    number of directions that leave at most 0.1 % of the energy out; see the top of this module for the other ranks.

    Returns:
        Numerical, stable and entropy ranks of the token table, of learned positions, and of both together.

    Raises:
        InputError: The model has no readable weights, or lacks its embedding tensor.

    Example:
        >>> from seqtant import architecture
        >>> result = architecture.embedding_rank("reference")
        >>> result.values["effective_width"] <= result.values["width"]
        True
    """
    model = find_model(config.model, download=True)
    if not model.weights:
        if not is_path(config.model):
            raise InputError(f"{model.name} is a configuration without weights: give the model")
        raise InputError(f"'{config.model}' has no safetensors weights: give the folder that holds them")
    shape = describe(model.config, model.config_path)
    moments = read_moments(shape, read_headers(model.weights), context.progress)
    token = moments["token"]
    title = f"Rank of the input embedding of {model.name}"
    with Recorder("architecture.embedding-rank", title, config, context, papers=(7,)) as record:
        spectra = spectra_of(moments)
        for name, spectrum in spectra.items():
            count = len(spectrum.values)
            for index in np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(int)):
                record.measure("singular_value", float(spectrum.values[index]), step=float(index + 1), group=name)
        coarse, fine = TAILS
        plain, centered = spectra["token"], spectra["token, centered"]
        possible = input_rank(shape).rank
        for name, number in {
            "embedding_rank": plain.numerical_rank(coarse),
            "embedding_rank_fine": plain.numerical_rank(fine),
            "stable_rank": plain.stable_rank,
            "entropy_rank": plain.entropy_rank,
            "centered_embedding_rank": centered.numerical_rank(coarse),
            "centered_embedding_rank_fine": centered.numerical_rank(fine),
            "centered_stable_rank": centered.stable_rank,
            "centered_entropy_rank": centered.entropy_rank,
            "effective_width": centered.numerical_rank(fine),
            "width": shape.width,
            "input_rank": possible,
            "rows": token.rows,
            "zero_rows": token.zero_rows,
        }.items():
            record.value(name, number)
        if "position" in moments:
            record.value("position_rank", spectra["position, centered"].numerical_rank(coarse))
            record.value("position_rank_fine", spectra["position, centered"].numerical_rank(fine))
            record.value("joint_rank_fine", spectra["token and position, centered"].numerical_rank(fine))
        _record_findings(record, shape, possible, spectra)
        rows: list[tuple[Cell, ...]] = [
            (
                name,
                len(spectrum.values),
                *(spectrum.numerical_rank(tail) for tail in TAILS),
                round(spectrum.stable_rank, 2),
                round(spectrum.entropy_rank, 2),
            )
            for name, spectrum in spectra.items()
        ]
        record.table(
            "ranks",
            "Ranks of what enters the residual stream",
            ("table", "at most", "99 % of energy", "99.9 % of energy", "stable", "entropy"),
            rows,
            note="Stable: squared Frobenius over squared spectral norm. Entropy: exponential of the entropy of the "
            "normalized singular values. Exact for these tables; each row counts alike.",
        )
        if token.zero_rows:
            record.warn(f"{token.zero_rows} rows of the token table are all zero: padding, not vocabulary")
    return record.result


def _record_findings(record: Recorder, shape: Shape, possible: int, spectra: dict[str, Spectrum]) -> None:
    centered = spectra["token, centered"]
    coarse, fine = (centered.numerical_rank(tail) for tail in TAILS)
    filled = fine >= FILLED * possible
    record.finding(
        "rank",
        "Does the trained input embedding use the directions that its shape allows?",
        "agrees" if filled else "disagrees",
        f"{'Yes' if filled else 'No'}: {fine} of {possible} directions hold 99.9 % of what tells tokens apart, "
        f"{coarse} hold 99 %; the width is {shape.width}.",
        predicted=Estimate.exact(possible, unit="directions"),
        measured=Estimate.exact(fine, unit="directions", method="exact for this table, 0.1 % of energy left out"),
        assumptions=(
            Assumption(statement="Every token counts alike, however rare", how="token frequencies are not asked for"),
            Assumption(statement="Small directions carry little", how="later layers could amplify them"),
        ),
        advice=""
        if filled
        else f"Plan with an effective width of {fine}: more width than that gives the network little to work with.",
    )
    if "position" not in spectra:
        return
    own = spectra["position, centered"].numerical_rank(TAILS[1])
    joint = spectra["token and position, centered"].numerical_rank(TAILS[1])
    record.finding(
        "positions",
        "Do learned positions add rank to the input?",
        "vacuous" if fine >= shape.width else "agrees" if joint > fine else "disagrees",
        f"Positions use {own} directions of their own; tokens use {fine} and both together {joint} of {shape.width}.",
        predicted=Estimate.exact(min(shape.width, fine + own), unit="directions at most"),
        measured=Estimate.exact(joint, unit="directions", method="exact for these tables, 0.1 % of energy left out"),
        assumptions=(Assumption(statement="Free positions lift a low input rank", how="theory: small cases measured"),),
    )
