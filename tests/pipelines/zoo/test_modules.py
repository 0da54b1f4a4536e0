# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The modules that a set of names needs, on a small package made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from noisewise.pipelines.zoo.modules import ZooError, module_closure

FILES = {
    "__init__.py": "__version__ = '1'\n",
    "base.py": "import json\nimport numpy as np\n",
    "unused.py": "import scipy\n",
    "nets/__init__.py": "from .big import Big\nfrom .small import Small\nfrom .start import begin\n\nbegin()\n",
    "nets/big.py": "import einops\n\nclass Big: ...\n",
    "nets/small.py": "from ..base import np\n\nTABLE = 'table.csv'\n\nclass Small: ...\n",
    "nets/start.py": "def begin(): ...\n",
    "nets/table.csv": "1,2\n",
    "nets/other.csv": "3,4\n",
    "tools.py": "def work():\n    from . import __version__\n    from .nets import Small\n    from PIL import Image\n",
    "absolute.py": "from noisewise.base import np\nimport noisewise.tools\n",
}


@pytest.fixture
def package(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_only_what_the_names_need(package):
    closure = module_closure(["nets.Small"], package)
    assert set(closure.modules) == {"", "base", "nets", "nets.small", "nets.start"}
    assert closure.modules["nets"] == package / "nets" / "__init__.py"
    assert closure.data_files == {package / "nets" / "table.csv"}
    assert closure.imports == {"numpy"}


def test_imports_within_functions_count(package):
    closure = module_closure(["tools.work"], package)
    assert set(closure.modules) == {"", "tools", "base", "nets", "nets.small", "nets.start"}
    assert closure.imports == {"numpy", "PIL"}


def test_absolute_imports_of_the_package_count(package):
    closure = module_closure(["absolute"], package)
    assert {"absolute", "base", "tools", "nets.small"} <= set(closure.modules)
    assert "noisewise" not in closure.imports


def test_a_name_that_is_not_there_is_refused(package):
    with pytest.raises(ZooError, match=r"nets/__init__\.py: has no 'Missing'"):
        module_closure(["nets.Missing"], package)
