"""``seqtant env``: what this installation has, for people and for bug reports."""

from __future__ import annotations

from seqtant.commandline.options import Flag


def env(*, json: Flag = False) -> None:
    """Print versions, machine, device, optional libraries and where runs are kept.

    Args:
        json: Print JSON.
    """
    from seqtant.commandline.output import print_json, print_tables
    from seqtant.report.listing import machine_tables
    from seqtant.runs.machine import describe

    facts = describe()
    if json:
        print_json(facts)
    else:
        print_tables(*machine_tables(facts))
