"""``python -m seqtant``, and ``accelerate launch -m seqtant`` on several processes, of which the first one speaks."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

from seqtant.cli import main
from seqtant.processes import share_among_processes

if __name__ == "__main__":
    with ExitStack() as stack:
        if int(os.environ.get("RANK", "0")) > 0:
            # What the first of several processes prints and stores is not told twice.
            os.environ["SEQTANT_HOME"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="seqtant-"))
            stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        stack.enter_context(share_among_processes())
        main()
