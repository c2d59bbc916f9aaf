"""Public names are imported late, are those of the stub, and come from where the stub says."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import seqtant
from seqtant.lazy import attach, public_names

SOURCE = Path(seqtant.__file__).parent
PACKAGES = sorted(".".join(stub.relative_to(SOURCE.parent).parent.parts) for stub in SOURCE.rglob("__init__.pyi"))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_star_import_gives_it(name: str) -> None:
    package = import_module(name)
    given: dict[str, object] = {}
    exec(f"from {name} import *", given)
    for each, home in public_names(str(package.__file__)).items():
        assert given[each] is getattr(import_module(home), each)
        assert each in dir(package)


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_a_package_imports_nothing_that_its_names_need(name: str) -> None:
    heavy = "{'numpy', 'torch', 'transformers', 'pydantic'} & {*sys.modules}"
    code = f"import sys, {name}; dir({name}); print({heavy} or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_an_unknown_name_is_an_attribute_error_that_names_the_package() -> None:
    with pytest.raises(AttributeError, match=r"module 'seqtant\.lm' has no attribute 'nonsense'"):
        import_module("seqtant.lm").nonsense  # noqa: B018


def test_a_stub_of_one_name_gives_that_name_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "__init__.pyi").write_text("from colorsys import rgb_to_hsv as rgb_to_hsv\n\nplace: str\n")
    sys.modules.pop("colorsys", None)
    import_late, names, listed = attach("demo", str(tmp_path / "__init__.py"))
    assert names() == listed == ["rgb_to_hsv"]
    assert "colorsys" not in sys.modules
    assert import_late("rgb_to_hsv")(1.0, 0.0, 0.0) == (0.0, 1.0, 1.0)
