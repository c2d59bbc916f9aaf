from ._checkup.checkup import checkup as checkup
from .findings import Claim as Claim
from .findings import Estimate as Estimate
from .findings import Finding as Finding
from .findings import Result as Result
from .instruments import run as run
from .instruments import write_report as write_report
from .processes import share_among_processes as share_among_processes
from .runs.recorder import Context as Context

__version__: str
