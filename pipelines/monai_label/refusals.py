# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers of status 4xx with a reason, where MONAI Label 0.8.5 itself fails with 500 or accepts the request.

The app itself refuses wrong models, images and options, see :mod:`.app`. An app has no influence on the rest, which is
changed here when the server loads the app:

- Requests pass a gate (:mod:`.gate`) that closes endpoints and refuses names that are paths, and a check of the
  ``Host`` header: a website's name that leads to this machine (DNS rebinding) does not open the server to that website.
- The functions of some endpoints are called through a check of what the gate does not see: parameters of inference
  could replace the image and the model of the address, and uploads bring names of their own.
- MONAI Label's exceptions have no handler: the FastAPI application gets one.
- Answers are freed of the server's paths (:mod:`.answers`), and the pages about the endpoints come from this server
  (:mod:`.pages`).
- Any web page that is open in a browser on this machine could read the studies: the setting for that,
  ``MONAI_LABEL_CORS_ORIGINS``, allows everybody if it is empty, and the server does not start with any other value.
  Here, nobody may unless the server is told otherwise.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zipfile import BadZipFile, ZipFile

import requests
from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.endpoints import batch_infer, datastore, infer, session
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from .answers import PathFreeAnswers
from .gate import RequestGate, is_closed, require_plain_name
from .options import check_parameters
from .pages import serve_pages_offline

__all__ = ["checked", "install_refusals"]

# These belong to the address: a parameter with such a name would bypass all checks of the address.
RESERVED = ("model", "image", "session", "description")
# Scans are seldom packed to less than a tenth.
MOST_INFLATED = 100


def install_refusals(
    cors: bool = False, hosts: Sequence[str] = (), folders: Sequence[str] = (), dicomweb: bool = False
) -> None:
    """Change the running server. Does nothing in other processes, and nothing twice.

    Args:
        cors: whether web pages of other origins may read its answers.
        hosts: names by which clients may reach the server.
        folders: the server's folders, which answers do not name.
        dicomweb: whether the studies are on a DICOMweb server.
    """
    server = sys.modules.get("monailabel.app")
    if server is None or MONAILabelException in server.app.exception_handlers:
        return
    # The endpoints look these functions up at each call.
    for endpoint, function, check in (
        (infer, "run_inference", _check_inference),
        (batch_infer, "run", _check_batch),
        (datastore, "add_image", _check_dicomweb_upload if dicomweb else _check_image),
        (datastore, "update_image_info", _check_info),
        (datastore, "update_label_info", _check_info),
        (datastore, "save_label", _check_label),
        (session, "create_session", _check_session),
    ):
        setattr(endpoint, function, checked(getattr(endpoint, function), check))
    app: FastAPI = server.app
    # MONAI Label's exceptions, parameters that are not JSON, and a DICOMweb server that does not answer.
    app.add_exception_handler(MONAILabelException, _answer)
    app.add_exception_handler(json.JSONDecodeError, _answer)
    app.add_exception_handler(requests.RequestException, _answer)
    prefix = settings.MONAI_LABEL_API_STR
    kept = [each for each in app.user_middleware if cors or each.cls is not CORSMiddleware]
    app.user_middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        Middleware(PathFreeAnswers, folders=folders),
        Middleware(RequestGate, cors=cors, dicomweb=dicomweb, prefix=prefix),
        *kept,
    ]
    app.openapi = _without_closed(app.openapi, prefix)
    serve_pages_offline(app)
    # MONAI Label loads an app while the server starts, after the stack with the handlers was built. Without a stack,
    # Starlette builds a new one at the next request.
    app.middleware_stack = None


def _without_closed(describe: Callable[[], dict[str, Any]], prefix: str) -> Callable[[], dict[str, Any]]:
    """The description of the endpoints, from which the pages are made, without the closed ones."""

    def describe_open() -> dict[str, Any]:
        description = describe()
        paths = description["paths"]
        names = {path: path.removeprefix(prefix).strip("/").split("/")[0] for path in paths}
        return {**description, "paths": {path: paths[path] for path in paths if not is_closed(names[path])}}

    return describe_open


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


def _check_inference(arguments: Mapping[str, Any]) -> None:
    params = _json_object("params", arguments.get("params"))
    named = [name for name in RESERVED if name in params]
    if named:
        raise HTTPException(400, f"params may not hold {', '.join(named)}; the address names model and image.")
    _check_parameters(params)
    if arguments.get("output") == "dicom_seg":
        raise HTTPException(400, "output=dicom_seg: a denoised image is not a segmentation; ask for output=image.")
    if arguments.get("label"):
        raise HTTPException(400, "label: denoising takes an image alone.")
    if not (arguments.get("image") or arguments.get("file") or arguments.get("session_id")):
        raise HTTPException(400, "name the image by image=ID, or send a file.")
    if arguments.get("file"):
        _check_upload(arguments["file"])


def _check_batch(arguments: Mapping[str, Any]) -> None:
    params = arguments.get("params") or {}
    named = [name for name in ("model", "session", "description") if name in params]
    if named:
        raise HTTPException(400, f"params may not hold {', '.join(named)}; the address names the model.")
    _check_parameters(params)


def _check_parameters(params: Mapping[str, Any]) -> None:
    try:
        check_parameters(params)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


def _check_image(arguments: Mapping[str, Any]) -> None:
    require_plain_name("image", arguments.get("image") or "")
    _check_upload(arguments["file"])
    _json_object("params", arguments.get("params"))


def _check_dicomweb_upload(_: Mapping[str, Any]) -> None:
    raise HTTPException(400, "images are added on the DICOMweb server itself.")


def _check_info(arguments: Mapping[str, Any]) -> None:
    _json_object("info", arguments.get("info"))


def _check_label(arguments: Mapping[str, Any]) -> None:
    require_plain_name("image", arguments["image"])
    require_plain_name("tag", arguments.get("tag") or "")
    _check_upload(arguments["label"])
    _json_object("params", arguments.get("params"))


def _check_session(arguments: Mapping[str, Any]) -> None:
    for file in arguments["files"]:
        _check_upload(file)
        if arguments.get("uncompress"):
            _check_archive(file)


def _check_upload(file: UploadFile) -> None:
    # MONAI Label's client sends the whole path, of which the server takes the last part.
    if file.filename:
        require_plain_name("the name of the file", re.split(r"[/\\]", file.filename)[-1] or ".")


def _check_archive(file: UploadFile) -> None:
    # Python unpacks zip archives within their folder, but tar archives to any place that their members name.
    if not (file.filename or "").lower().endswith(".zip"):
        raise HTTPException(400, "of archives, only .zip is unpacked.")
    try:
        with ZipFile(file.file) as archive:
            records = archive.infolist()
    except BadZipFile:
        raise HTTPException(400, "the file is not a .zip archive.") from None
    packed = file.file.seek(0, 2)
    file.file.seek(0)
    if sum(record.file_size for record in records) > MOST_INFLATED * packed:
        raise HTTPException(400, f"the archive holds more than {MOST_INFLATED} times its own size.")


def _json_object(name: str, text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise HTTPException(400, f"{name} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise HTTPException(400, f'{name} must be a JSON object, such as {{"strength": 0.5}}.')
    return value


async def _answer(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, requests.RequestException):
        return JSONResponse({"detail": f"the server of the studies does not answer: {type(error).__name__}."}, 502)
    if isinstance(error, json.JSONDecodeError):
        return JSONResponse({"detail": f"not JSON: {error}."}, 400)
    if isinstance(error, (ImageNotFoundException, LabelNotFoundException)):
        return JSONResponse({"detail": error.msg}, 404)
    return JSONResponse({"detail": error.msg}, 400 if error.error == MONAILabelError.INVALID_INPUT else 500)
