from seqtant.reference.manifest import read_manifest as read_manifest
from seqtant.reference.oracle import WorldLM as WorldLM
from seqtant.reference.persona_truths import PersonaTruths as PersonaTruths
from seqtant.reference.prompts import Prompts as Prompts
from seqtant.reference.task_truths import TaskTruths as TaskTruths
from seqtant.reference.world.world import World as World
from seqtant.reference.world.world import WorldSettings as WorldSettings
from seqtant.reference.world.world import reference_world as reference_world
