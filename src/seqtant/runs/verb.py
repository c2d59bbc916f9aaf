"""Verbs: what an instrument can be asked, as a function of objects or paths that returns a Result."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from seqtant.findings import Result
from seqtant.progress import SILENT
from seqtant.runs.recorder import Context

P = ParamSpec("P")
C = TypeVar("C")


class Verb(Generic[P]):
    """A function of a verb's settings; :func:`verb` makes it.

    Its arguments are the fields of its configuration class. Models and rows may be in memory or paths to them.
    """

    def __init__(self, config_type: Any, measure: Callable[[Any, Context], Result]) -> None:
        self.config_type = config_type
        self._measure = measure
        functools.update_wrapper(self, measure)
        self.__signature__ = inspect.signature(config_type).replace(return_annotation=Result)

    @property
    def name(self) -> str:
        """E.g. ``steering.choose``."""
        return str(self.config_type.verb)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Validates the settings and runs the verb."""
        return self.run(self.config_type(*args, **kwargs))

    def run(self, config: Any, context: Context | None = None) -> Result:
        """Runs the verb on a configuration.

        Args:
            config: An object of :attr:`config_type`.
            context: Seed, device, folder, progress; by default those of the configuration.
        """
        if context is None:
            context = Context(
                seed=config.seed, device=config.device, folder=config.out, progress=config.progress or SILENT
            )
        with ExitStack() as stack:
            for value in vars(config).values():
                stack.enter_context(left_as_it_was(value))
            return self._measure(config, context)

    def __repr__(self) -> str:
        return f"<verb {self.name}>"


def verb(config_type: Callable[P, C]) -> Callable[[Callable[Concatenate[C, Context, ...], Result]], Verb[P]]:
    """Turns ``measure(config, context) -> Result`` into a function of the configuration's fields.

    Args:
        config_type: A class made by :func:`seqtant.settings.config`, with its ``verb`` set.
    """
    return lambda measure: Verb(config_type, measure)


@contextmanager
def left_as_it_was(value: Any) -> Iterator[None]:
    """Gives a user's network back in the mode it came in: measuring needs it in evaluation mode and frozen."""
    if isinstance(value, Mapping):  # names -> networks
        with ExitStack() as stack:
            for each in value.values():  # pyright: ignore[reportUnknownVariableType]
                stack.enter_context(left_as_it_was(each))
            yield
        return
    network: Any = value[0] if isinstance(value, tuple) and value else value
    # A wrapper's network, not the inner decoder that a network with a head calls its model.
    if not callable(getattr(network, "named_parameters", None)):
        network = getattr(network, "model", network)
    if not callable(getattr(network, "named_parameters", None)):
        yield
        return
    modes = [(module, module.training) for module in network.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
