# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The text of config files for the tracking store, without anything that may name a file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import yaml

from .parameters import names_a_file

__all__ = ["REPLACEMENT", "config_text"]

REPLACEMENT = "left-out"
_LITERAL = re.compile(r"""(?P<quote>["'])(?P<text>.*?)(?P=quote)""", re.DOTALL)
_COMMENT = re.compile(r"#.*")


def config_text(path: str | os.PathLike) -> str:
    """The text of a config file for the tracking store.

    Values that may name a file (see :func:`~noisewise.pipelines.tracking.parameters.names_a_file`) are replaced by
    ``left-out``, as are such comments and quoted texts within expressions (``$...``): paths of images often
    contain a patient's name or number.

    Args:
        path: YAML or JSON.

    Returns:
        The text; whatever is not replaced stays where it was.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is not YAML or JSON in UTF-8, so that its contents are unknown.
    """
    path = Path(path)
    text = path.read_bytes().decode("utf-8")
    if path.suffix.lower() == ".json":
        text = text.replace("\t", " ")  # YAML does not indent with tabs, and JSON has them nowhere else
    parts, end = [], 0
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            start, stop = token.start_mark.index, token.end_mark.index
            if start < end or start == stop:
                continue
            # Between two tokens there are only blanks and comments.
            parts.append(_comments(text[end:start]))
            source = text[start:stop]
            parts.append(_scalar(source, token) if isinstance(token, yaml.ScalarToken) else source)
            end = stop
    except yaml.YAMLError as error:
        # The scanner's message would quote the text.
        raise ValueError("it is not YAML or JSON.") from error
    return "".join([*parts, _comments(text[end:])])


def _scalar(source: str, token: yaml.ScalarToken) -> str:
    if not names_a_file(token.value):
        return source
    if token.value.startswith("$"):
        if token.style in ("'", '"'):  # in which the expression's own quotes are escaped
            return json.dumps(_LITERAL.sub(_literal, token.value), ensure_ascii=False)
        return _LITERAL.sub(_literal, source)
    # A block scalar includes the line break after its last line.
    end = source[len(source.rstrip()) :]
    return f'"{REPLACEMENT}"{end}'


def _literal(match: re.Match) -> str:
    return f"{match['quote']}{REPLACEMENT}{match['quote']}" if names_a_file(match["text"]) else match[0]


def _comments(text: str) -> str:
    return _COMMENT.sub(lambda match: f"# {REPLACEMENT}" if names_a_file(match[0]) else match[0], text)
