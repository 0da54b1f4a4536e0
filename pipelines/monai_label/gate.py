# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Every request passes here before MONAI Label sees it: closed endpoints, other websites, and names that are paths."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["CLOSED", "RequestGate", "is_closed", "is_plain_name", "require_plain_name"]

# Endpoints that have nothing to do in this app.
CLOSED = {
    "train": "nothing is trained here",
    "scoring": "nothing is scored here",
    "model": "models are neither sent nor received",
    "logs": "the log is a file in the server's own folder",
    "reload": "the server is reloaded by starting it again",
}
PROXY = "proxy"
READING = ("GET", "HEAD", "OPTIONS")
# Each names a file or a folder somewhere in the server's folders.
IDS = ("id", "image", "label", "tag")
UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
UNSAFE = re.compile(r"^\.|[/\\\x00-\x1f\x7f]")


class RequestGate:
    """ASGI middleware that answers a refused request itself.

    Args:
        app: the application behind it.
        cors: whether web pages of other origins may send requests that change something.
        dicomweb: whether the studies are on a DICOMweb server, whose ids are UIDs.
        prefix: begins the path of every endpoint.
    """

    def __init__(self, app: ASGIApp, cors: bool = False, dicomweb: bool = False, prefix: str = "") -> None:
        self.app = app
        self.cors = cors
        self.dicomweb = dicomweb
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        app = self.app
        if scope["type"] == "http":
            try:
                self._check(scope)
            except HTTPException as refusal:
                app = JSONResponse({"detail": refusal.detail}, refusal.status_code)
        await app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        parts = scope["path"].removeprefix(self.prefix).strip("/").split("/")
        if is_closed(parts[0]):
            raise HTTPException(404, f"/{parts[0]} is closed: {CLOSED[parts[0]]}.")
        if parts[0] == PROXY and not self.dicomweb:
            raise HTTPException(404, "/proxy is closed: the studies are in a folder.")
        if ".." in parts:
            raise HTTPException(400, "the address leads out of its folder.")
        origin, host = (Headers(scope=scope).get(name, "") for name in ("origin", "host"))
        if origin and scope["method"] not in READING and not self.cors and urlsplit(origin).netloc != host:
            raise HTTPException(403, "web pages of other origins may not change anything here.")
        if parts[0] == "session" and len(parts) == 2 and not SESSION.fullmatch(parts[1]):
            raise HTTPException(404, "there is no such session.")
        for name, value in parse_qsl(scope["query_string"].decode("latin-1")):
            self._check_query(parts[0], name, value)

    def _check_query(self, endpoint: str, name: str, value: str) -> None:
        if name == "session_id" and not SESSION.fullmatch(value):
            raise HTTPException(400, "session_id: there is no such session.")
        # The app itself locates the image of an inference, which may be a path below the studies.
        if name in IDS and (name, endpoint) != ("image", "infer"):
            if self.dicomweb and name in ("id", "image") and value and not UID.fullmatch(value):
                status = 404 if is_plain_name(value) else 400
                raise HTTPException(status, f"no series {value!r} on the server of the studies.")
            require_plain_name(name, value)


def is_closed(endpoint: str) -> bool:
    """Whether an endpoint has nothing to do in this app.

    Args:
        endpoint: the first part of its path, such as ``"train"``.
    """
    return endpoint in CLOSED


def require_plain_name(what: str, name: object) -> None:
    """Refuse a name that is not the name of a file in its folder.

    Args:
        what: its name in the reason.
        name: the name, from a client.

    Raises:
        HTTPException: 400.
    """
    if not isinstance(name, str) or not is_plain_name(name):
        raise HTTPException(400, f"{what} must be a plain name, without a path.")


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in its folder, not a path, not hidden, and without control characters."""
    return UNSAFE.search(name) is None
