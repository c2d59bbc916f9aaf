from .oracle import WorldLM as WorldLM
from .prompts import Prompts as Prompts
from .recipe import read_manifest as read_manifest
from .truths import PersonaTruths as PersonaTruths
from .truths import TaskTruths as TaskTruths
from .world.world import World as World
from .world.world import WorldSettings as WorldSettings
from .world.world import reference_world as reference_world
