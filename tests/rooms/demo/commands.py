"""The demo room's commands."""

from __future__ import annotations

from cyclopts import App
from seqtant.demo.config import PendulumConfig

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options

app = App(name="demo", help="Does a pendulum swing as its length says?")


@app.command
def pendulum(*, length: float | None = None, angle: float | None = None, options: Options = DEFAULT) -> None:
    """Time a pendulum.

    Args:
        length: Metres.
        angle: Degrees.
        options: Shared flags.
    """
    execute(PendulumConfig, options, length=length, angle=angle)
