"""Writes a steering vector for other programs: a GGUF control vector, or a model folder with the vector folded in."""

from __future__ import annotations

from pathlib import Path

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm import hooks
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.steering.config import ExportConfig
from seqtant.steering.inputs import open_model, open_vector, title_of

NAMES = {"gguf": "vector.gguf", "folder": "steered"}


@verb(ExportConfig)
def export(config: ExportConfig, context: Context) -> Result:
    """Writes a vector for other programs: as a control vector of llama.cpp, or folded into a copy of the model.

    Folding adds strength times direction to the bias of each steered block's last matrix, where that is exact.

    Returns:
        What was written where, with the files as artifacts.

    Raises:
        InputError: There is no place to write to, or the format cannot hold the vector.
        MissingExtraError: A GGUF file needs the library ``gguf``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     written = export("reference", format="folder", to=f"{place}/steered", strength=30.0, max_pairs=16)
        >>> written.values["layers"], len(written.artifacts)
        (2, 1)
    """
    title = f"Steering vector of {title_of(config.model)} for others"
    with Recorder("steering.export", title, config, context, papers=(1,)) as record:
        if config.to is not None:
            target = Path(config.to).expanduser()
        elif context.folder is not None:
            target = context.folder / NAMES[config.format]
        else:
            raise InputError("say where to write: --to PATH or --out DIR")
        if config.format == "folder" and target.exists() and any(target.iterdir() if target.is_dir() else [target]):
            raise InputError(f"'{target}' is not empty: give a folder that does not exist yet")
        if config.format == "gguf" and target.suffix != ".gguf":
            raise InputError(f"'{target}' does not end in .gguf: llama.cpp finds control vectors by that name")
        model = open_model(config, context)
        vector = open_vector(config, model, context)
        if config.format == "gguf":
            from seqtant.steering.vectors.interop import write_gguf

            write_gguf(vector, target, strength=config.strength, depth=hooks.depth(model))
            record.artifact(target, "control vector")
        else:
            from seqtant.steering.applying.output_bias import fold, save_folded

            folded = fold(model, vector, config.strength, allow_other_model=config.allow_other_model)
            save_folded(folded, target)
            for path in sorted(target.glob("*.safetensors")):
                record.artifact(path, "weights")
        record.value("layers", len(vector.layers))
        record.value("strength", config.strength)
        record.table(
            "written",
            "What was written",
            ("where", "format", "blocks", "strength"),
            [(str(target), config.format, ", ".join(map(str, vector.layers)), config.strength)],
            note="The strength is multiplied in: llama.cpp and repeng use the file at scale 1."
            if config.format == "gguf"
            else "The folder always steers, at all positions and at no cost.",
        )
    return record.result
