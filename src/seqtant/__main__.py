"""``python -m seqtant``, and ``accelerate launch -m seqtant`` on several processes, of which the first one speaks."""

from __future__ import annotations

import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from seqtant.cli import main

if __name__ == "__main__":
    if int(os.environ.get("RANK", "0")) > 0:
        # What the first of several processes prints and stores is not told twice.
        with tempfile.TemporaryDirectory(prefix="seqtant-") as folder, Path(os.devnull).open("w") as nowhere:
            os.environ["SEQTANT_HOME"] = folder
            with redirect_stdout(nowhere):
                main()
    else:
        main()
