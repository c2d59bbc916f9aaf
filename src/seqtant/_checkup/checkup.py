"""The checkup of one model: every instrument that applies, one after the other, and what is known beside it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import seqtant
from seqtant._checkup.calibration import record_calibration
from seqtant._checkup.config import CheckupConfig
from seqtant._checkup.gates import findings, read_gates
from seqtant._checkup.inputs import Inputs, gather
from seqtant.errors import InputError, MissingExtraError, NothingToSayError, SeqtantError
from seqtant.findings import Result, from_json, to_json
from seqtant.packages import PACKAGES, Package
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import REFERENCE, check_folder, describe, is_path, locate, name_of

ORDER = ("architecture", "pretraining", "icl", "beb", "steering", "subtasks")
"""What is asked of a language model, from what it is to what it can be made to do."""


@verb(CheckupConfig)
def checkup(config: CheckupConfig, context: Context) -> Result:
    """Runs every instrument that applies to a language model, or to two side by side.

    Sections that a killed checkup had finished in the same folder for the same model, seed, files and version are
    reused; a section that fails says why, and the others go on.

    Returns:
        A composite result: one part per instrument, headline values prefixed with the instrument's name; with
        ``compare`` both checkups as parts and a finding per instrument; with ``gate`` a last part with its findings.

    Raises:
        InputError: A model or a file cannot be used, or no instrument is left.

    Example:
        >>> result = checkup("reference", only=["architecture"])
        >>> result.values["architecture_parameters"]
        1228160
    """
    gates = None if config.gate is None else read_gates(config.gate)
    if config.compare is None:
        result = check_model(config, context)
    else:
        from seqtant._checkup.comparison import check_both

        result = check_both(config, context)
    if gates is None:
        return result
    with Recorder("checkup.gate", "Gates", config, context) as record:
        for each in findings(gates, result):
            record.add(each)
    return replace(result, parts=(*result.parts, record.result))


def check_model(config: CheckupConfig, context: Context) -> Result:
    """Runs the checkup of ``config.model``; see :func:`checkup`."""
    packages = chosen(config)
    if not packages:
        raise InputError("no instrument is left to run: widen --only or drop --skip")
    folder = locate(config.model) if is_path(config.model) else None
    if folder is not None and [each.name for each in packages] != ["architecture"]:
        # Fails once instead of in every section; the shape alone can be read off a folder without weights.
        check_folder(folder)
    with ExitStack() as stack:
        record = stack.enter_context(Recorder("checkup", f"Checkup of {name_of(config.model)}", config, context))
        place = context.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seqtant-")))
        inputs = gather(place / "inputs", behavior=config.behavior, tasks=config.tasks, corpus=config.corpus)
        # Names, sizes and times of a model folder's files; the bare name of a hub model or of one in memory.
        model = describe(config.model) if folder is None else stamp_of_files([folder])
        stamp = f"{seqtant.__version__}:{model}:{context.seed}:{stamp_of_files(inputs.files)}:{config.budget}"
        bar = context.progress.task("checkup", len(packages))
        parts: list[tuple[str, Result]] = []
        unasked: list[tuple[str, str, str]] = []
        shape = [each for each in packages if each.name == "architecture"]
        is_own = not (is_path(config.model) and str(config.model) == REFERENCE)
        if packages != shape and (inputs.given or not is_own):
            # Imported here: without anything to ask of the weights no torch is needed.
            from seqtant._checkup.training import is_untrained
            from seqtant.lm.loading import loaded_once

            stack.enter_context(loaded_once())
            if is_own and is_untrained(config.model, inputs, context, record):
                unasked = [(each.name, each.question, "a trained model") for each in packages if each not in shape]
                packages = shape
        for package in packages:
            found = _section(package, config, inputs, context, stamp)
            if isinstance(found, str):
                unasked.append((package.name, package.question, found))
            else:
                parts.append((package.name, found))
            bar.advance()
        bar.close()
        for name, part in parts:
            record.part(part)
            record.values(**{f"{name}_{key}": value for key, value in part.values.items()})
        if unasked:
            record.table("unasked", "Not asked", ("instrument", "question", "what it needs"), unasked)
        record_calibration(record, config.model, parts)
    if context.folder is not None:
        for mark in context.folder.glob("sections/*/stamp"):
            mark.unlink()
    return record.result


def chosen(config: CheckupConfig) -> list[Package]:
    """Picks the instruments to run, in order."""
    wanted = [name for name in ORDER if (not config.only or name in config.only) and name not in config.skip]
    return [PACKAGES[name] for name in wanted]


def check_of(package: Package) -> Callable[..., Result]:
    """Finds what a package asks of a language model: ``check(model, context, **inputs)`` of its module ``checks``."""
    return import_module(f"seqtant.{package.name}.checks").check


def _section(package: Package, config: CheckupConfig, inputs: Inputs, context: Context, stamp: str) -> Result | str:
    """One instrument's result, that of an interrupted checkup or a new one; or what it needs to say anything."""
    # A model in memory may have been trained since: nothing of an earlier checkup is taken for it.
    resumable = context.folder is not None and is_path(config.model)
    folder = context.folder / "sections" / package.name if context.folder else None
    mark = folder / "stamp" if folder else None
    if resumable and folder and mark and mark.is_file() and mark.read_text(encoding="utf-8") == stamp:
        context.progress.note(f"{package.name}: taken from the interrupted checkup in {context.folder}")
        return from_json(Result, (folder / "result.json").read_bytes())
    try:
        own = replace(context, folder=folder, command="")
        found = check_of(package)(config.model, own, budget=config.budget, **inputs.given)
    except (NothingToSayError, MissingExtraError) as reason:
        return inputs.as_given(str(reason))
    except Exception as error:  # a section that fails, whatever it raises, never takes the others with it
        kind = "" if isinstance(error, SeqtantError) else f"{type(error).__name__}: "
        reason = inputs.as_given(f"{package.name} failed: {kind}{' '.join(str(error).split())}")
        name = package.name
        with Recorder(f"{name}.check", f"{name} failed", config, context, papers=package.papers) as record:
            record.warn(reason)
        return replace(record.result, status="failed")
    if resumable and folder and found.status == "ok":
        write_text(folder / "result.json", to_json(found))
        write_text(folder / "stamp", stamp)
    return found


def stamp_of_files(paths: Iterable[Path]) -> str:
    """Hashes names, sizes and times of files, and of all files in folders: unequal after any of them changed.

    Example:
        >>> stamp_of_files([])
        ''
    """
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16] if facts else ""
