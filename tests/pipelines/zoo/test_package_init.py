# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""An ``__init__.py`` for some of its package's modules."""

from __future__ import annotations

from noisewise.pipelines.zoo.package_init import init_exports, init_text, names_used_by, trimmed_init

SOURCE = '''# A comment.
"""A package."""

import os
from typing import Any

from .big import Big
from .small import (
    Other,
    Small,
)
from .start import begin

LIMIT = 3
__all__ = ["Big", "LIMIT", "Other", "Small", "begin", "lazy"]

begin()


def __getattr__(name: str) -> Any:
    return os.environ[name]
'''


def test_exports_name_where_they_come_from():
    exports = init_exports(SOURCE)
    assert exports["Small"] == "small.Small" and exports["LIMIT"] == "" and exports["os"] == ""
    assert "lazy" not in exports
    assert names_used_by(SOURCE) == {"begin"}


def test_what_is_not_there_is_neither_imported_nor_listed():
    text = trimmed_init(SOURCE, {"small", "start"})
    assert "big" not in text.lower() and "__getattr__" not in text and "import os" not in text
    scope = {"__name__": "package", "__all__": None}
    body = text.replace("from .small import", "from string import").replace("from .start import begin", "begin = list")
    exec(compile(body.replace("Other", "digits").replace("Small", "hexdigits"), "init", "exec"), scope)
    assert scope["__all__"] == ["LIMIT", "digits", "hexdigits", "begin"]
    assert text.startswith('# A comment.\n"""A package."""\n')
    assert "\n\n\n" not in text and text.endswith("begin()\n")


def test_an_init_that_stays_whole_is_unchanged():
    source = '"""A package."""\n\nfrom .small import Small\n\n__all__ = [\n    "Small",\n]\n'
    assert trimmed_init(source, {"small"}) == source


def test_a_lazy_package_is_read_from_its_stub(tmp_path):
    path = tmp_path / "__init__.py"
    path.write_text("import lazy_loader\n")
    assert init_text(path) == "import lazy_loader\n"
    path.with_suffix(".pyi").write_text("from .small import Small\n")
    assert init_exports(init_text(path)) == {"Small": "small.Small"}
