# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of status 4xx with a reason, where MONAI Label 0.8.5 itself fails with 500 or accepts the request.

The app itself refuses wrong models, images and options, see :mod:`.app`. An app has no influence on the rest, which is
changed here when the server loads the app:

- The functions of some endpoints are called through a check. Parameters of inference could replace the image and the
  model of the address, and names of images, labels and archives from clients could lead anywhere on the server.
- MONAI Label's exceptions have no handler: the FastAPI application gets one.
- Any web page that is open in a browser on this machine could read the studies: the setting for that,
  ``MONAI_LABEL_CORS_ORIGINS``, allows everybody if it is empty, and the server does not start with any other value.
  Here, nobody may unless the server is told otherwise.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import requests
from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.endpoints import datastore, infer, session
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)

__all__ = ["checked", "install_refusals", "require_plain_name"]

# These belong to the address: a parameter with such a name would bypass all checks of the address.
RESERVED = ("model", "image", "session", "description")


def install_refusals(cors: bool = False) -> None:
    """Change the running server. Does nothing in other processes, and nothing twice.

    Args:
        cors: whether web pages of other origins may read its answers.
    """
    server = sys.modules.get("monailabel.app")
    if server is None or MONAILabelException in server.app.exception_handlers:
        return
    # The endpoints look these functions up at each call.
    for endpoint, function, check in (
        (infer, "run_inference", _check_inference),
        (datastore, "add_image", _check_image),
        (datastore, "save_label", _check_label),
        (session, "create_session", _check_session),
    ):
        setattr(endpoint, function, checked(getattr(endpoint, function), check))
    app: FastAPI = server.app
    # MONAI Label's exceptions, parameters that are not JSON, and a DICOMweb server that does not answer.
    app.add_exception_handler(MONAILabelException, _answer)
    app.add_exception_handler(json.JSONDecodeError, _answer)
    app.add_exception_handler(requests.RequestException, _answer)
    if not cors:
        app.user_middleware = [each for each in app.user_middleware if each.cls is not CORSMiddleware]
    # MONAI Label loads an app while the server starts, after the stack with the handlers was built. Without a stack,
    # Starlette builds a new one at the next request.
    app.middleware_stack = None


def checked(function: Callable[..., Any], check: Callable[[Mapping[str, Any]], None]) -> Callable[..., Any]:
    """A function that checks its arguments first.

    Args:
        function: any function.
        check: is called with the arguments by name, and raises an error to refuse them.

    Returns:
        A function with the same signature.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        check(signature.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return run


def require_plain_name(what: str, name: Any) -> None:
    """Refuse a name that is not the name of a file in its folder.

    Args:
        what: its name in the reason.
        name: the name, from a client.

    Raises:
        HTTPException: 400.
    """
    if not isinstance(name, str) or name.startswith(".") or any(each in name for each in ("/", "\\", "\0")):
        raise HTTPException(400, f"{what} must be a plain name, without a path.")


def _check_inference(arguments: Mapping[str, Any]) -> None:
    try:
        params = json.loads(arguments.get("params") or "{}")
    except json.JSONDecodeError as error:
        raise HTTPException(400, f"params is not JSON: {error}.") from None
    if not isinstance(params, dict):
        raise HTTPException(400, 'params must be a JSON object, such as {"strength": 0.5}.')
    named = [name for name in RESERVED if name in params]
    if named:
        raise HTTPException(400, f"params may not hold {', '.join(named)}; the address names model and image.")
    if arguments.get("output") == "dicom_seg":
        raise HTTPException(400, "output=dicom_seg: a denoised image is not a segmentation; ask for output=image.")
    if not (arguments.get("image") or arguments.get("file") or arguments.get("session_id")):
        raise HTTPException(400, "name the image by image=ID, or send a file.")


def _check_image(arguments: Mapping[str, Any]) -> None:
    require_plain_name("image", arguments.get("image") or "")


def _check_label(arguments: Mapping[str, Any]) -> None:
    require_plain_name("image", arguments["image"])
    require_plain_name("tag", arguments.get("tag") or "")


def _check_session(arguments: Mapping[str, Any]) -> None:
    # Python unpacks zip archives within their folder, but tar archives to any place that their members name.
    names = [file.filename or "" for file in arguments["files"]]
    if arguments.get("uncompress") and not all(name.lower().endswith(".zip") for name in names):
        raise HTTPException(400, "of archives, only .zip is unpacked.")


async def _answer(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, requests.RequestException):
        return JSONResponse({"detail": f"the server of the studies does not answer: {type(error).__name__}."}, 502)
    if isinstance(error, json.JSONDecodeError):
        return JSONResponse({"detail": f"not JSON: {error}."}, 400)
    if isinstance(error, (ImageNotFoundException, LabelNotFoundException)):
        return JSONResponse({"detail": error.msg}, 404)
    return JSONResponse({"detail": error.msg}, 400 if error.error == MONAILabelError.INVALID_INPUT else 500)
