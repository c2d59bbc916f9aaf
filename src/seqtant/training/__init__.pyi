from .batches import Batches as Batches
from .config import TrainingConfig as TrainingConfig
from .evaluation import mean_loss as mean_loss
from .history import TrainingHistory as TrainingHistory
from .loop import Periodic as Periodic
from .loop import train as train
from .losses import LossSum as LossSum
from .losses import next_token_loss as next_token_loss
