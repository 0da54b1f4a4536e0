# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The app: each bundle with weights is a model, and a strategy shows the noisiest images first."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy

from ...listing import unknown_name
from .denoising_task import DenoisingTask, trained_bundles
from .gate import UID, require_plain_name
from .noisiest_first import NoisiestFirst
from .refusals import install_refusals
from .studies import StudiesDatastore, is_image
from .uploads import discard_upload, keep_uploads_in

__all__ = ["DenoisingApp"]

# Names by which a browser on this machine reaches it.
LOCAL_HOSTS = ("localhost", "127.0.0.1")

# These loggers write ids, file names and headers, all of which may name a patient. In the process of a batch, MONAI
# Label's own module is the main module.
for name in ("monailabel", "dicomweb_client", "__main__"):
    logging.getLogger(name).setLevel(logging.CRITICAL)


class DenoisingApp(MONAILabelApp):
    """Denoising as models of a MONAI Label server.

    Args:
        app_dir: the app's folder; its ``tmp`` holds uploads and results until they are sent.
        studies: the folder of the images, or the address of a DICOMweb server.
        conf: options of the server's command line; ``cors true`` lets web pages of other origins read the answers;
            ``hosts`` are names by which clients may reach the server, with commas, besides those of this machine.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._uploads = keep_uploads_in(Path(app_dir, "tmp"))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="noisewise",
            description="Denoising of medical images",
            version="1.0",
        )
        install_refusals(
            cors=conf.get("cors", "").lower() == "true",
            hosts=[*LOCAL_HOSTS, *filter(None, conf.get("hosts", "").split(","))],
            folders=self._folders(),
            dicomweb=self._is_dicomweb(),
        )

    def init_datastore(self) -> Datastore:
        """The studies: a folder, or a store that the base class knows by its address."""
        if self._is_dicomweb():
            return super().init_datastore()
        return StudiesDatastore(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def init_infers(self) -> dict[str, InferTask]:
        """One model per bundle."""
        return {bundle: DenoisingTask(bundle) for bundle in trained_bundles()}

    def init_strategies(self) -> dict[str, Strategy]:
        """MONAI Label's own strategies and ``noisiest_first``."""
        return {**super().init_strategies(), "noisiest_first": NoisiestFirst()}

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Denoise one image.

        Args:
            request: ``model``; ``image``, an id or a path below the studies; and the options of
                :func:`~noisewise.pipelines.monai_label.options.request_settings`. With ``save_label`` the result is
                kept in the studies under ``label_tag``.
            datastore: the studies; None takes the app's own.

        Returns:
            The base class's answer: ``file``, ``label``, ``tag`` and ``params``.

        Raises:
            HTTPException: 404 for an unknown model or image, 400 for a path outside the studies or a result that cannot
                be kept, 422 for a wrong option or an image that cannot be denoised.
        """
        datastore = datastore or self.datastore()
        image_id = request.get("image")
        if not isinstance(image_id, str) or not image_id or "\0" in image_id:
            raise HTTPException(400, "no image: its id is missing, or there is no such session.")
        tag = request.get("label_tag", DefaultLabelTag.ORIGINAL.value)
        try:
            self._require("model", request.get("model"), self._infers)
            require_plain_name("label_tag", tag)
            if request.get("save_label") and isinstance(datastore, DICOMWebDatastore):
                raise HTTPException(400, "save_label: results are kept beside studies in a folder only.")
            answer = super().infer({**request, "image": self._locate(image_id, datastore)}, datastore)
        except Exception as error:
            discard_upload(image_id)
            if isinstance(error, ValueError):
                raise HTTPException(422, str(error)) from None
            raise
        if request.get("save_label") and image_id in datastore.list_images():
            kept = {"model": request["model"], "params": answer["params"]}
            answer["label"] = datastore.save_label(image_id, answer["file"], tag, kept)
        return answer

    def batch_infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Denoise many images and keep each result in the studies, under ``label_tag``.

        Args:
            request: ``model``; ``images``, a list of ids, or ``all``, ``labeled`` or ``unlabeled``; and the options of
                :meth:`infer`.
            datastore: the studies; None takes the app's own.

        Returns:
            By id: the answer of :meth:`infer`, or the reason under ``error``. One bad image does not stop the others.

        Raises:
            HTTPException: 404 for an unknown model.
        """

        def infer_or_reason(request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
            try:
                return self.infer(request, datastore)
            except HTTPException as error:
                return {"error": error.detail}

        self._require("model", request.get("model"), self._infers)
        if not torch.cuda.is_available():
            # Otherwise MONAI Label would look for a GPU.
            request = {**request, "multi_gpu": False}
        return self._batch_infer(request, datastore or self.datastore(), infer_or_reason)

    def infer_wsi(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Refuse whole slides, since MONAI Label would open any path on the server (HTTPException 404)."""
        raise HTTPException(404, "whole slides are not supported; images are denoised at /infer/MODEL.")

    def next_sample(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Choose the next image.

        Args:
            request: ``strategy`` and its options.

        Returns:
            The image's ``id`` and ``path``, and the strategy's notes on it; empty if there is none.

        Raises:
            HTTPException: 404 for an unknown strategy.
        """
        self._require("strategy", request.get("strategy") or "random", self._strategies)
        return super().next_sample(request)

    def _is_dicomweb(self) -> bool:
        return self.studies.startswith(("http://", "https://"))

    def _folders(self) -> list[str]:
        """The folders that answers do not name."""
        folders = [self.app_dir, self._uploads, tempfile.gettempdir(), settings.MONAI_LABEL_DICOMWEB_CACHE_PATH]
        if self.sessions() is not None:
            folders.append(self.sessions().store_path)
        if not self._is_dicomweb():
            folders.append(self.studies)
        folders = [os.path.abspath(folder) for folder in folders if folder]
        return folders + [os.path.realpath(folder) for folder in folders]

    def _init_dicomweb_datastore(self) -> Datastore:
        # A series stays DICOM: a NIfTI file made of it would not state that it holds HU.
        settings.MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI = False
        return super()._init_dicomweb_datastore()

    def _download_dcmqi_tools(self) -> None:
        """Download nothing: the programs write DICOM segmentations, and there are none here."""

    @staticmethod
    def _require(what: str, name: Any, known: Mapping[str, Any]) -> None:
        if name not in known:
            raise HTTPException(404, unknown_name(what, [name], sorted(known)))

    def _locate(self, image: str, datastore: Datastore) -> str:
        """The path of an image: one of the datastore's, or one below a folder that the server serves."""
        if isinstance(datastore, DICOMWebDatastore):
            served, path = [], _series_folder(image, datastore)
        else:
            served, path = [os.path.realpath(self.studies)], _image_path(image, datastore)
        if path:
            return path
        served.append(self._uploads)
        if self.sessions() is not None:
            served.append(os.path.realpath(self.sessions().store_path))
        path = Path(os.path.realpath(os.path.join(self.studies, image)))
        if any(Path(folder) in path.parents for folder in served):
            if path.is_file() or is_image(path):
                return str(path)
        elif os.sep in image:
            raise HTTPException(400, "the image's path leads out of the studies; name the image by its id.")
        raise HTTPException(404, f"no image {image!r} in the studies.")


def _image_path(image: str, datastore: Datastore) -> str:
    path = datastore.get_image_uri(image)
    if not os.path.exists(path) and hasattr(datastore, "refresh"):
        datastore.refresh()  # The image may have been added or removed.
        path = datastore.get_image_uri(image)
    return path


def _series_folder(series: str, datastore: DICOMWebDatastore) -> str:
    """The folder to which a series is downloaded; empty if there is no such series."""
    if not UID.fullmatch(series):
        return ""
    try:
        return datastore.get_image_uri(series)
    except IndexError:  # The list of series with this UID is empty.
        return ""
