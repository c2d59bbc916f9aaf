"""``python -m seqtant``, and ``accelerate launch -m seqtant`` on several processes."""

from __future__ import annotations

from seqtant.cli import main

if __name__ == "__main__":
    main()
