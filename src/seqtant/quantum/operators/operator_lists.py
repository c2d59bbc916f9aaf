"""Hamiltonians from JSON files: our own list of Pauli strings, and the two forms that NetKet writes.

- ``{"sites": 4, "terms": [{"coefficient": -1.0, "operators": "ZZ", "sites": [0, 1]}, ...]}``
- ``{"operators": ["ZZII", "XIII", ...], "weights": [-1.0, ...]}`` as in NetKet's ``PauliStrings``
- ``{"operators": [[[...], [...]], ...], "acting_on": [[0, 1], ...]}`` as in NetKet's ``LocalOperator``: one Hermitian
  matrix per term over the basis up, down of its sites, the first site being the slowest index
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtant.errors import InputError
from seqtant.quantum.operators.pauli import PauliSum, String

PAULI: dict[str, NDArray[np.complex128]] = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]).astype(complex),
}


def read_operators(path: Path) -> PauliSum:
    """Reads a Hamiltonian from a JSON file.

    Raises:
        InputError: The file is missing, is no JSON of a known form, or the operator is not Hermitian.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give a JSON file of Pauli strings")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(data, dict) or not ({"terms"} <= data.keys() or {"operators"} <= data.keys()):
        raise InputError(f"'{path}' holds no operator list: give 'terms', or 'operators' with 'weights' or 'acting_on'")
    try:
        return _parse(data, str(path)).simplified()
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"'{path}': {error}") from error
        raise InputError(f"'{path}' is not a list of operators: {type(error).__name__} {error}") from error


def _parse(data: dict[str, Any], name: str) -> PauliSum:
    if "terms" in data:
        terms = [(_number(t["coefficient"]), t["operators"], tuple(t["sites"])) for t in data["terms"]]
        strings = [String(value, *_without_identity(axes, sites)) for value, axes, sites in terms]
        sites = int(data["sites"])
    elif "acting_on" in data:
        pairs = zip(data["operators"], data["acting_on"], strict=True)
        strings = [s for matrix, at in pairs for s in decompose(_matrix(matrix), tuple(at))]
        sites = int(data.get("sites", 1 + max(site for at in data["acting_on"] for site in at)))
    else:
        weights = data.get("weights", [1.0] * len(data["operators"]))
        pairs = zip(weights, data["operators"], strict=True)
        strings = [String(_number(w), *_without_identity(text, tuple(range(len(text))))) for w, text in pairs]
        sites = len(data["operators"][0])
        if any(len(text) != sites for text in data["operators"]):
            raise InputError("Pauli strings differ in length: give one letter I, X, Y or Z per site")
    return PauliSum(sites, tuple(strings), f"H = sum of {len(strings)} Pauli strings from {name}")


def decompose(matrix: NDArray[np.complex128], sites: tuple[int, ...]) -> Iterator[String]:
    """Pauli strings of a matrix on some sites: coefficients are Tr(P M) / 2^sites.

    Raises:
        InputError: The matrix is not square of the right size, or not Hermitian.

    Example:
        >>> [(s.coefficient, s.axes) for s in decompose(np.diag([1, -1, -1, 1]).astype(complex), (0, 1))]
        [(1.0, 'ZZ')]
    """
    size = 2 ** len(sites)
    if matrix.shape != (size, size):
        raise InputError(f"a matrix on {len(sites)} site(s) must be {size} x {size}, not {matrix.shape}")
    if not np.allclose(matrix, matrix.conj().T, atol=1e-12):
        raise InputError(f"the matrix on sites {sites} is not Hermitian")
    for axes in product("IXYZ", repeat=len(sites)):
        pauli = np.ones((1, 1), dtype=complex)
        for axis in axes:
            pauli = np.kron(pauli, PAULI[axis])
        value = float(np.trace(pauli @ matrix).real / size)
        if abs(value) > 1e-14:
            yield String(value, *_without_identity("".join(axes), sites))


def _without_identity(axes: str, sites: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    if len(axes) != len(sites):
        raise InputError(f"operators '{axes}' and sites {sites} differ in length")
    kept = [(axis, site) for axis, site in zip(axes.upper(), sites, strict=True) if axis != "I"]
    return "".join(axis for axis, _ in kept), tuple(site for _, site in kept)


def _number(value: Any) -> complex:
    return complex(*value) if isinstance(value, list) else complex(value)


def _matrix(rows: Any) -> NDArray[np.complex128]:
    array = np.asarray(rows, dtype=float)
    return (array[..., 0] + 1j * array[..., 1] if array.ndim == 3 else array).astype(complex)
