"""Ctrl-C between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class InterruptSwitch:
    """While open, the first SIGINT is only noted; a second one interrupts at once.

    Off the main thread, where Python allows no signal handlers, it notes nothing and changes nothing.

    Example:
        >>> with InterruptSwitch() as switch:
        ...     signal.raise_signal(signal.SIGINT)
        ...     switch.pressed
        True
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> InterruptSwitch:
        self._here = threading.current_thread() is threading.main_thread()
        if self._here:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._here:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
