from .manifest import read_manifest as read_manifest
from .oracle import WorldLM as WorldLM
from .persona_truths import PersonaTruths as PersonaTruths
from .prompts import Prompts as Prompts
from .task_truths import TaskTruths as TaskTruths
from .world.world import World as World
from .world.world import WorldSettings as WorldSettings
from .world.world import reference_world as reference_world
