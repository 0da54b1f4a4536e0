# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""No answer names a folder of the server: paths in it are shortened to the part below."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PathFreeAnswers", "without_folders"]


class PathFreeAnswers:
    """ASGI middleware that shortens paths in JSON answers. MONAI Label puts them into many.

    Args:
        app: the application behind it.
        folders: the server's folders.
    """

    def __init__(self, app: ASGIApp, folders: Iterable[str]) -> None:
        self.app = app
        self.folders = list(folders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and change its answer."""
        start: Message | None = None
        body = bytearray()

        async def send_shortened(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if Headers(raw=message["headers"]).get("content-type", "").startswith("application/json"):
                    start = message  # Its length is not known yet.
                    return
            elif message["type"] == "http.response.body" and start is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                content = self._shorten(bytes(body))
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(content))
                await send(start)
                message = {"type": "http.response.body", "body": content}
            await send(message)

        await self.app(scope, receive, send_shortened if scope["type"] == "http" else send)

    def _shorten(self, body: bytes) -> bytes:
        return json.dumps(without_folders(json.loads(body), self.folders)).encode() if body else body


def without_folders(answer: Any, folders: Iterable[str]) -> Any:
    """Remove the server's folders from the paths of an answer.

    Args:
        answer: any value that JSON can hold.
        folders: absolute paths.

    Returns:
        The same, with paths relative to their folder.
    """
    # The deepest first, since one may lie in another.
    paths = sorted({each.rstrip(os.sep) for each in folders} - {""}, key=len, reverse=True)
    pattern = re.compile("|".join(rf"{re.escape(path)}(?:{re.escape(os.sep)}|(?![\w.-]))" for path in paths) or r"(?!)")

    def shorten(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub("", value)
        if isinstance(value, list):
            return [shorten(each) for each in value]
        if isinstance(value, dict):
            return {shorten(key): shorten(each) for key, each in value.items()}
        return value

    return shorten(answer)
