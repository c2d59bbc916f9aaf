"""``seqtant recipe``: the experiments of the papers, each a YAML file, at the scales smoke, cpu and gpu."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

from seqtant.commands.options import Flag, Whole
from seqtant.findings import Scale

app = App(name="recipe", help="List and run the recipes.")


@app.command(name="list")
def list_recipes(*, json: Flag = False) -> None:
    """List the recipes and their scales.

    Args:
        json: Print JSON.
    """
    from seqtant.commands.output import recipes_listing, show
    from seqtant.experiments.recipes import list_recipes as read_all

    recipes = read_all()
    show(recipes, recipes_listing(recipes), json=json)


@app.command
def run(
    recipe: str,
    /,
    *,
    scale: Scale = "smoke",
    out: Path | None = None,
    force: Flag = False,
    seed: Whole = 0,
    device: str = "auto",
    json: Flag = False,
) -> None:
    """Run a recipe; runs that are stored already are taken from there, so an interrupted recipe goes on.

    Args:
        recipe: YAML file, or a name that 'recipe list' shows.
        scale: Which scale.
        out: Folder for results.json and report.html.
        force: Run again what is stored.
        seed: Seed, where the recipe gives none.
        device: auto, cpu, cuda, cuda:1, or mps for training.
        json: Print the results as one JSON array.
    """
    from seqtant.commands.builder import TerminalProgress, command_line
    from seqtant.commands.output import outcomes_table, show
    from seqtant.experiments.recipes import find_recipe, run_recipe
    from seqtant.instruments import write_report
    from seqtant.runs.files import make_folder, write_text
    from seqtant.runs.recorder import Context
    from seqtant.runs.records import export
    from seqtant.runs.store import Store

    chosen = find_recipe(recipe)
    if out is not None:
        make_folder(out)
    with TerminalProgress() as progress:
        context = Context(seed=seed, device=device, folder=out, progress=progress, command=command_line(sys.argv[1:]))
        outcomes = list(run_recipe(chosen, scale, context, Store(), force=force))
    results = [outcome.result for outcome in outcomes]
    if out is not None:
        write_text(out / "results.json", export(results, "json"))
        write_report(results, out / "report.html", title=chosen.question)
    if json:
        print(export(results, "json"), end="")
    else:
        show(outcomes, outcomes_table(chosen, outcomes), json=False)
