"""Every instrument by name: its configuration, its verb, its drawings. Recipes, claims, checkup and commands ask here.

By convention a verb ``choose`` of the package ``steering`` has its configuration in ``steering/config.py``, its
function in ``steering/instruments/choose.py``, its figures in ``steering/drawings.py`` as ``choose``, and its presets
in ``steering/presets.yaml``. All are imported when they are needed, so that a light verb never pays for a heavy one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seqtant.errors import InputError, suggest
from seqtant.findings import Result
from seqtant.packages import PACKAGES, Package
from seqtant.report.figures import Figure
from seqtant.report.page import write_page
from seqtant.runs.recorder import Context
from seqtant.runs.verb import Verb
from seqtant.settings import VerbConfig


def package(name: str) -> Package:
    """Looks a package up by name.

    Example:
        >>> package("architecture").papers
        (7, 8)
    """
    if name not in PACKAGES:
        raise InputError(f"unknown instrument '{name}'{suggest(name, PACKAGES)}: known are {', '.join(PACKAGES)}")
    return PACKAGES[name]


@cache
def configs(name: str) -> dict[str, type[VerbConfig]]:
    """Reads the configuration classes of a package, by verb, in the order of its ``config.py``."""
    module = import_module(f"seqtant.{name if name == 'reference' else package(name).name}.config")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, VerbConfig)]
    return {kind.verb.partition(".")[2]: kind for kind in kinds if "verb" in vars(kind) and kind is not VerbConfig}


def config_type(instrument: str) -> type[VerbConfig]:
    """Finds the configuration class of an instrument such as ``"architecture.plan"``.

    Example:
        >>> config_type("architecture.plan").__name__
        'PlanConfig'
    """
    name, _, verb = instrument.partition(".")
    known = configs(name)
    if verb not in known:
        raise InputError(f"unknown verb '{verb}' of '{name}'{suggest(verb, known)}: known are {', '.join(known)}")
    return known[verb]


def find(instrument: str) -> Verb[...]:
    """Finds the function of an instrument."""
    if instrument == "checkup":
        return import_module("seqtant._checkup.checkup").checkup
    kind = config_type(instrument)
    name, _, verb = instrument.partition(".")
    module = import_module(f"seqtant.{name}.instruments.{verb.replace('-', '_')}")
    return next(each for each in vars(module).values() if isinstance(each, Verb) and each.config_type is kind)


def run(config: Any, context: Context | None = None) -> Result:
    """Runs the instrument that a configuration belongs to.

    Args:
        config: A configuration of any verb, e.g. ``architecture.PlanConfig(params="1.3B")``.
        context: Seed, device, folder and progress; by default those of the configuration.

    Raises:
        InputError: It is no verb's configuration.

    Example:
        >>> from seqtant.architecture.config import BoundsConfig
        >>> run(BoundsConfig(depth=3)).instrument
        'architecture.bounds'
    """
    return find(instrument_of(config)).run(config, context)


def instrument_of(config: Any) -> str:
    """Names the instrument that a configuration belongs to, e.g. ``steering.choose``."""
    if not isinstance(config, VerbConfig) or not config.verb:
        raise InputError(f"{type(config).__name__} is not the configuration of any instrument")
    return config.verb


def figures(result: Result) -> Sequence[Figure]:
    """Draws a result; none where its package has no drawing for its verb, or the run failed."""
    name, _, verb = result.instrument.partition(".")
    if result.status == "failed" or name not in PACKAGES:
        return ()
    if find_spec(f"seqtant.{name}.drawings") is None:
        return ()
    draw = getattr(import_module(f"seqtant.{name}.drawings"), verb.replace("-", "_"), None)
    return tuple(draw(result)) if draw is not None else ()


def write_report(results: Sequence[Result], path: str | Path, *, title: str = "") -> Path:
    """Writes one HTML page for some results, with their figures.

    Args:
        results: What to show.
        path: The file; its folder is made.
        title: By default that of the only result.

    Returns:
        The path.
    """
    return write_page(results, Path(path), title=title, draw=figures)
