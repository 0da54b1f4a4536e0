# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The pages about the endpoints, without a server on the internet: MONAI Label loads their scripts from one."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

__all__ = ["serve_pages_offline"]

SCRIPTS = "/static-pages"
# The scripts themselves may name other servers, for a logo.
POLICY = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:"}


def serve_pages_offline(app: FastAPI) -> None:
    """Replace the pages at ``/`` and ``/docs`` by ones whose scripts this server sends.

    Args:
        app: the server.
    """
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", None) not in ("/", "/docs")]
    app.mount(SCRIPTS, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))

    @app.get("/", include_in_schema=False)
    async def endpoints() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=app.openapi_url,
            title=app.title,
            swagger_js_url=f"{SCRIPTS}/swagger-ui-bundle.js",
            swagger_css_url=f"{SCRIPTS}/swagger-ui.css",
            swagger_favicon_url="/favicon.ico",
        )
        return HTMLResponse(page.body, headers=POLICY)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=app.openapi_url,
            title=app.title,
            redoc_js_url=f"{SCRIPTS}/redoc.standalone.js",
            redoc_favicon_url="/favicon.ico",
            with_google_fonts=False,
        )
        return HTMLResponse(page.body, headers=POLICY)
