from seqtant.findings import Claim as Claim
from seqtant.findings import Estimate as Estimate
from seqtant.findings import Finding as Finding
from seqtant.findings import Result as Result
from seqtant.runs.context import Context as Context

__version__: str
