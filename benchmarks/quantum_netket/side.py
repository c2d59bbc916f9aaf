"""One side of a comparison: a process that takes commands on stdin and answers each with a line of JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class Side:
    """A running process of ``peer.py`` or ``ours.py``."""

    def __init__(self, command):
        env = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        self.process = subprocess.Popen(
            [str(x) for x in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.ready = self.read()

    @classmethod
    def netket(cls, python, side, samples, method, layers, *settings):
        """NetKet in its own environment; settings are its learning rate, diagonal shift and seed."""
        return cls([python, HERE / "peer.py", side, samples, method, layers, *settings])

    @classmethod
    def seqtant(cls, side, samples, method, layers, kind, steps, *seed):
        """Ours: ``kind`` "same" is NetKet's function and settings, "default" our own, "bold" ours with longer steps."""
        return cls([sys.executable, HERE / "ours.py", side, samples, method, layers, kind, steps, *seed])

    def read(self):
        """The next answer."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended early with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        """The answer to a command."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()
