"""What is true of the model that ships: the weight of its dark personas, known by construction."""

from __future__ import annotations

import math

from seqtant.beb.components.loading import WORLD
from seqtant.beb.config import Sides
from seqtant.lm.folder import REFERENCE


def true_log_inverse_alpha(config: Sides) -> float | None:
    """log(1/alpha) of the reference world for P- of some of its personas; None where nothing is known.

    Args:
        config: Settings with the defaults filled in.

    Example:
        >>> from seqtant.beb.config import MeasureConfig
        >>> round(true_log_inverse_alpha(MeasureConfig(minus="world:gloomy", opening="talk :")), 4)
        3.5066
    """
    room, _, names = (config.minus or "").partition(":")
    plain = config.opening == "talk :" and not config.system and not config.minus_system
    if room != WORLD or not names or not plain or config.model not in {WORLD, REFERENCE}:
        return None
    from seqtant.reference import WorldSettings

    personas = {persona.name: persona.weight for persona in WorldSettings().talk.personas}
    chosen = sum(personas[name.strip()] for name in names.split(",") if name.strip())
    return math.log(sum(personas.values()) / chosen)
