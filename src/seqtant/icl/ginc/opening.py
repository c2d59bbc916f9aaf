"""From a configuration to the parameters of GINC: drawn from a seed, or read from a folder."""

from __future__ import annotations

from pathlib import Path

from seqtant.errors import InputError
from seqtant.icl.config import GincSource
from seqtant.icl.ginc.parameters import Ginc, GincSettings


def open_ginc(config: GincSource) -> Ginc:
    """The parameters that a configuration means.

    Raises:
        InputError: A number does not fit, or the folder holds other parameters than the configuration says.
    """
    if config.parameters is None:
        return Ginc.generate(
            GincSettings(
                vocabulary=config.vocabulary,
                identity=config.identity,
                own_entities=config.own_entities,
                parameter_seed=config.parameter_seed,
            )
        )
    loaded = Ginc.load(Path(config.parameters))
    if loaded.settings.vocabulary != config.vocabulary:
        raise InputError(
            f"'{config.parameters}' holds GINC with {loaded.settings.vocabulary} symbols, asked for are "
            f"{config.vocabulary}: give --vocabulary {loaded.settings.vocabulary}"
        )
    return loaded
