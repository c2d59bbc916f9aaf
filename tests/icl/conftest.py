"""The room in the house, whether or not the house lists it."""

from __future__ import annotations

import pytest

from seqtant.rooms import ROOMS, Room


@pytest.fixture(autouse=True)
def icl_room(monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room("icl", "How many examples must the prompt hold?", (4,))
    monkeypatch.setitem(ROOMS, "icl", ROOMS.get("icl", room))
    return ROOMS["icl"]
