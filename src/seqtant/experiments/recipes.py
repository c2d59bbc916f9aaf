"""Recipes: one experiment each as YAML, at the scales smoke, cpu and gpu, resumable run by run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import seqtant
from seqtant.errors import InputError, suggest
from seqtant.experiments.records import find_or_run
from seqtant.findings import Result, Scale
from seqtant.instruments import config_type
from seqtant.progress import track
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store
from seqtant.settings import PRESETS, build, read_yaml


@dataclass(frozen=True, kw_only=True)
class ScaledRuns:
    """What one scale of a recipe runs."""

    runs: tuple[dict[str, Any], ...]
    """One configuration of the instrument each; ``{}`` is its defaults."""
    seeds: tuple[int, ...] = ()
    """Each configuration is run with each of these; by default with the seed of the command."""
    takes: str = ""
    """How long it takes, and on what."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment of a paper."""

    name: str
    """Short name, as the file."""
    paper: int
    """Number in the paper index."""
    question: str
    """What it answers."""
    instrument: str
    """What runs, e.g. ``architecture.rank``."""
    scales: dict[str, ScaledRuns]
    """Runs by scale: smoke, cpu, gpu."""
    published: tuple[str | dict[str, Any], ...] = ()
    """What the paper printed: ids of claims, sentences, or mappings with the value and where it is printed."""
    expected: str = ""
    """What should come out, in words."""
    path: Path = Path()
    """Its file."""


@dataclass(frozen=True)
class Outcome:
    """One run of a recipe."""

    result: Result
    found: bool
    """Whether it was stored before."""


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe."""
    recipe = replace(build(Recipe, read_yaml(path), source=f"'{path}'"), path=path)
    unknown = set(recipe.scales) - set(PRESETS)
    if unknown:
        raise InputError(f"'{path}': unknown scale '{min(unknown)}': use smoke, cpu or gpu")
    for scale in recipe.scales:
        list(_configs(recipe, scale))
    return recipe


def _configs(recipe: Recipe, scale: str) -> Iterator[Any]:
    kind = config_type(recipe.instrument)
    for number, data in enumerate(recipe.scales[scale].runs, start=1):
        yield build(kind, data, source=f"'{recipe.path}', {scale}, run {number}")


def list_recipes() -> list[Recipe]:
    """All recipes of the first folder that has any, by paper and name."""
    return sorted((read_recipe(path) for path in _paths().values()), key=lambda recipe: (recipe.paper, recipe.name))


def _paths() -> Mapping[str, Path]:
    """Recipe files by ``folder/name``, of ``recipes`` here, in the installed package, or in the source tree."""
    package = Path(seqtant.__file__).parent
    for folder in (Path("recipes"), package / "recipes", package.parents[1] / "recipes"):
        found = {f"{path.parent.name}/{path.stem}": path for path in sorted(folder.glob("*/*.yaml"))}
        if found:
            return found
    return {}


def find_recipe(name: str) -> Recipe:
    """Finds a recipe by file, by name, or by ``folder/name``."""
    if name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return read_recipe(Path(name))
    paths = _paths()
    fitting = [path for key, path in paths.items() if name in (key, path.stem)]
    if len(fitting) == 1:
        return read_recipe(fitting[0])
    if fitting:
        raise InputError(
            f"'{name}' names several recipes: write {' or '.join(f'{p.parent.name}/{p.stem}' for p in fitting)}"
        )
    known = [*paths, *(path.stem for path in paths.values())]
    raise InputError(
        f"no recipe '{name}'{suggest(name, known)}: give a YAML file, or a name that 'seqtant recipe list' shows"
    )


def run_recipe(
    recipe: Recipe, scale: Scale, context: Context, store: Store, *, force: bool = False
) -> Iterator[Outcome]:
    """Runs a recipe; each run is saved as it ends, so that an interrupted recipe goes on where it stopped.

    One outcome per configuration and seed, in the recipe's order; the context's seed counts where the recipe gives
    none; ``force`` runs again what is stored.
    """
    if scale not in recipe.scales:
        raise InputError(f"recipe '{recipe.name}' has no scale '{scale}': it has {', '.join(recipe.scales)}")
    seeds = recipe.scales[scale].seeds or (context.seed,)
    jobs = [(config, seed) for config in _configs(recipe, scale) for seed in seeds]
    for number, (config, seed) in enumerate(track(jobs, context.progress, recipe.name, len(jobs)), start=1):
        folder = context.folder / f"run-{number}" if context.folder else None
        result, found = find_or_run(config, replace(context, seed=seed, folder=folder), store, force=force)
        if not found:
            store.save(result)
        yield Outcome(result, found)
