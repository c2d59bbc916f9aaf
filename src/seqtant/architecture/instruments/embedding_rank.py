"""Measures how many directions a trained input embedding uses: token table, learned positions, both together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from seqtant.architecture.config import EmbeddingRankConfig
from seqtant.architecture.counting.bottlenecks import input_rank
from seqtant.architecture.families.checkpoint import Stored, find, read_headers, read_matrix
from seqtant.architecture.families.shape import Shape
from seqtant.architecture.families.source import locate
from seqtant.architecture.rank.spectra import TAILS, Moments, Spectrum, spectrum_of_gram
from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.progress import SILENT, Progress
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

FILLED = 0.9
"""Share of the possible directions above which a table counts as filling the width."""
POINTS = 200
"""Singular values kept per curve."""


@dataclass(frozen=True)
class Tables:
    """What enters the residual stream, as second moments in its own width."""

    token: Moments
    """Tokens or patches, after the projection of factorized embeddings."""
    narrow: Moments | None
    """The token table before that projection."""
    position: Moments | None
    """Learned positions, after the projection where they pass it."""


def run(config: EmbeddingRankConfig, context: Context) -> Result:
    """Measures the ranks of a trained input embedding; reads only the tensors it needs.

    Raises:
        InputError: The model has no readable weights, or lacks its embedding tensor.
    """
    source = locate(config.model, download=True)
    if not source.weights:
        raise InputError(f"'{config.model}' has no safetensors weights: give the folder that holds them")
    shape = source.shape()
    tables = read_tables(shape, read_headers(source.weights), context.progress)
    title = f"Rank of the input embedding of {source.name}"
    with Recorder("architecture.embedding-rank", title, config, context, papers=(7,)) as record:
        spectra = _spectra(tables)
        for name, spectrum in spectra.items():
            _record_curve(record, name, spectrum)
        _record_values(record, shape, tables, spectra)
        _record_rank(record, shape, tables, spectra)
        _record_positions(record, shape, spectra)
        _tabulate(record, spectra)
        if tables.token.zero_rows:
            record.warn(f"{tables.token.zero_rows} rows of the token table are all zero: padding, not vocabulary")
    return record.result


def read_tables(shape: Shape, stored: list[Stored], progress: Progress = SILENT) -> Tables:
    """Reads the input's tensors and takes their moments.

    Raises:
        InputError: A tensor is missing or has other sizes than the configuration says.
    """
    token = shape.entry.table("token")
    up = _projection(shape, stored)
    if token is None:
        if up is None:
            raise InputError(f"a network of family '{shape.family}' has no input embedding to measure")
        return Tables(Moments.of(up.T), None, _positions(shape, stored, None))
    table = Moments.of(_matrix(stored, token.tensor, (token.rows, token.columns)), progress)
    if up is None:
        return Tables(table, None, _positions(shape, stored, None))
    return Tables(table.through(up), table, _positions(shape, stored, up))


def _projection(shape: Shape, stored: list[Stored]) -> ndarray[Any, Any] | None:
    projection = shape.entry.projection
    if projection is None:
        return None
    return _matrix(stored, shape.entry.projection_tensor, (projection.outputs, projection.inputs))


def _positions(shape: Shape, stored: list[Stored], up: ndarray[Any, Any] | None) -> Moments | None:
    position = shape.entry.table("position")
    if position is None:
        return None
    table = Moments.of(_matrix(stored, position.tensor, (position.rows, position.columns)))
    return table.through(up) if up is not None and position.columns != shape.width else table


def _matrix(stored: list[Stored], tensor: str, sizes: tuple[int, int]) -> ndarray[Any, Any]:
    """A tensor as rows x columns; convolution kernels and leading ones are flattened."""
    found = find(stored, tensor)
    if found is None:
        raise InputError(f"the weights hold no '{tensor}': they and config.json do not belong together")
    if found.numbers != sizes[0] * sizes[1] or sizes[1] not in (found.sizes[-1], found.numbers // found.sizes[0]):
        shown = " x ".join(map(str, found.sizes))
        raise InputError(f"'{found.name}' is {shown}, the configuration says {sizes[0]} x {sizes[1]}")
    return read_matrix(found).reshape(sizes)


def _spectra(tables: Tables) -> dict[str, Spectrum]:
    spectra = {"token": tables.token.spectrum(), "token, centered": tables.token.spectrum(centered=True)}
    if tables.narrow is not None:
        spectra["token, before the projection"] = tables.narrow.spectrum()
    if tables.position is not None:
        spectra["position"] = tables.position.spectrum()
        spectra["position, centered"] = tables.position.spectrum(centered=True)
        # Every token at every position alike: the covariances of the two parts add up.
        joint = tables.token.covariance + tables.position.covariance
        spectra["token and position, centered"] = spectrum_of_gram(joint, tables.token.rows + tables.position.rows)
    return spectra


def _record_curve(record: Recorder, group: str, spectrum: Spectrum) -> None:
    count = len(spectrum.values)
    for index in np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(int)):
        record.measure("singular_value", float(spectrum.values[index]), step=float(index + 1), group=group)


def _record_values(record: Recorder, shape: Shape, tables: Tables, spectra: dict[str, Spectrum]) -> None:
    coarse, fine = TAILS
    plain, centered = spectra["token"], spectra["token, centered"]
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
        "input_rank": input_rank(shape).rank,
        "rows": tables.token.rows,
        "zero_rows": tables.token.zero_rows,
    }.items():
        record.value(name, number)
    if tables.position is not None:
        record.value("position_rank", spectra["position, centered"].numerical_rank(coarse))
        record.value("position_rank_fine", spectra["position, centered"].numerical_rank(fine))
        record.value("joint_rank_fine", spectra["token and position, centered"].numerical_rank(fine))


def _record_rank(record: Recorder, shape: Shape, tables: Tables, spectra: dict[str, Spectrum]) -> None:
    possible = input_rank(shape).rank
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


def _record_positions(record: Recorder, shape: Shape, spectra: dict[str, Spectrum]) -> None:
    if "position" not in spectra:
        return
    fine = TAILS[1]
    alone = spectra["token, centered"].numerical_rank(fine)
    joint = spectra["token and position, centered"].numerical_rank(fine)
    own = spectra["position, centered"].numerical_rank(fine)
    record.finding(
        "positions",
        "Do learned positions add rank to the input?",
        "vacuous" if alone >= shape.width else "agrees" if joint > alone else "disagrees",
        f"Positions use {own} directions of their own; tokens use {alone} and both together {joint} of {shape.width}.",
        predicted=Estimate.exact(min(shape.width, alone + own), unit="directions at most"),
        measured=Estimate.exact(joint, unit="directions", method="exact for these tables, 0.1 % of energy left out"),
        assumptions=(Assumption(statement="Free positions lift a low input rank", how="theory: small cases measured"),),
    )


def _tabulate(record: Recorder, spectra: dict[str, Spectrum]) -> None:
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
