from seqtant.training.batches import Batches as Batches
from seqtant.training.config import TrainingConfig as TrainingConfig
from seqtant.training.evaluation import mean_loss as mean_loss
from seqtant.training.history import TrainingHistory as TrainingHistory
from seqtant.training.loop import Periodic as Periodic
from seqtant.training.loop import train as train
from seqtant.training.losses import LossSum as LossSum
from seqtant.training.losses import next_token_loss as next_token_loss
