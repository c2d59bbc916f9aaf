from .batches import Batches as Batches
from .checkpoint import TrainingHistory as TrainingHistory
from .config import TrainingConfig as TrainingConfig
from .loop import Periodic as Periodic
from .loop import train as train
from .losses import LossSum as LossSum
from .losses import mean_loss as mean_loss
from .losses import next_token_loss as next_token_loss
