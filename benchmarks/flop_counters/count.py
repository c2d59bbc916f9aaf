"""Asks one counter about the network and prints its answer as JSON; run by the Python of that counter's environment.

python count.py NAME
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import torch
from network import TOKENS, example

Answer = dict[str, float | str | None]


def torch_counter(device: str) -> Answer:
    """PyTorch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    network, ids = example(device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(ids)
    return {"flops": counter.get_total_flops(), "macs": None, "parameters": None}


def deepspeed() -> Answer:
    """DeepSpeed's profiler."""
    from deepspeed.profiling.flops_profiler import get_model_profile

    network, ids = example()
    flops, macs, parameters = get_model_profile(network, args=[ids], print_profile=False, warm_up=0, as_string=False)
    return {"flops": flops, "macs": macs, "parameters": parameters}


def flops_profiler() -> Answer:
    """The profiler that was cut out of DeepSpeed."""
    from flops_profiler.profiler import get_model_profile

    network, ids = example()
    flops, macs, parameters = get_model_profile(network, args=[ids], print_profile=False, warm_up=0, as_string=False)
    return {"flops": flops, "macs": macs, "parameters": parameters}


def calflops() -> Answer:
    """The counter built for transformers: calflops."""
    from calflops import calculate_flops

    network, ids = example()
    flops, macs, parameters = calculate_flops(model=network, args=[ids], print_results=False, output_as_string=False)
    return {"flops": flops, "macs": macs, "parameters": parameters}


def ptflops(backend: str) -> Answer:
    """One of the two ways of counting of ptflops."""
    from ptflops import get_model_complexity_info

    network, ids = example()
    macs, parameters = get_model_complexity_info(
        network,
        (TOKENS,),
        input_constructor=lambda size: {"ids": ids},
        as_strings=False,
        print_per_layer_stat=False,
        backend=backend,
    )
    return {"flops": None, "macs": macs, "parameters": parameters}


def fvcore() -> Answer:
    """The counter of fvcore, whose flops are multiply-adds; it names what it cannot count."""
    from fvcore.nn import FlopCountAnalysis

    network, ids = example()
    analysis = FlopCountAnalysis(network, ids).unsupported_ops_warnings(False)
    macs = analysis.total()
    missed = ", ".join(sorted(analysis.unsupported_ops()))
    return {"flops": None, "macs": macs, "parameters": None, "note": f"reports as not counted: {missed}"}


def torchinfo() -> Answer:
    """The summary of torchinfo, a table of layers."""
    from torchinfo import summary

    network, ids = example()
    table = summary(network, input_data=ids, verbose=0)
    return {"flops": None, "macs": table.total_mult_adds, "parameters": table.total_params}


def torch_flops() -> Answer:
    """The counter torch-flops, which traces the graph."""
    from torch_flops import TorchFLOPsByFX

    network, ids = example()
    counter = TorchFLOPsByFX(network)
    counter.propagate(ids)
    return {"flops": counter.print_total_flops(show=False), "macs": None, "parameters": None}


PEERS: dict[str, tuple[str, Callable[[], Answer]]] = {
    "torch-cpu": ("torch", lambda: torch_counter("cpu")),
    "torch-meta": ("torch", lambda: torch_counter("meta")),
    "deepspeed": ("deepspeed", deepspeed),
    "flops-profiler": ("flops-profiler", flops_profiler),
    "calflops": ("calflops", calflops),
    "ptflops-pytorch": ("ptflops", lambda: ptflops("pytorch")),
    "ptflops-aten": ("ptflops", lambda: ptflops("aten")),
    "fvcore": ("fvcore", fvcore),
    "torchinfo": ("torchinfo", torchinfo),
    "torch-flops": ("torch-flops", torch_flops),
}
"""Name -> package and the question put to it."""


def main(name: str) -> None:
    """Prints one answer; a counter that fails says how."""
    package, ask = PEERS[name]
    warnings.simplefilter("ignore")
    wall, cpu = time.perf_counter(), time.process_time()
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter):
            answer = ask()
    except Exception as error:  # a peer's failure is a result, not a reason to stop
        first = (str(error).splitlines() or [""])[0]
        answer = {"flops": None, "macs": None, "parameters": None, "note": f"{type(error).__name__}: {first}"}
    times = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"peer": name, "version": version(package), "torch": torch.__version__} | answer | times))


if __name__ == "__main__":
    main(sys.argv[1])
