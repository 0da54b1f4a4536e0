# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Start the MONAI Label server with this app. By default, only this machine can reach it.

``monailabel start_server --app FOLDER`` runs the app too, but by default listens on every network and writes into the
app's folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main", "server_arguments"]


def server_arguments(
    studies: str, host: str, port: int, work: Path, cors: bool = False, allowed_hosts: Sequence[str] = ()
) -> list[str]:
    """Prepare the server's folder and settings.

    Settings of MONAI Label in the environment are kept.

    Args:
        studies: a folder of images, or the address of a DICOMweb server.
        host: the address to listen on.
        port: the port to listen on.
        work: the server's folder for logs, sessions and images from a DICOMweb server, created if missing. Only its
            owner can read it.
        cors: whether web pages of other origins may read the answers.
        allowed_hosts: names and addresses by which clients reach the server, besides ``host`` and this machine's own.

    Returns:
        The command line of ``monailabel``.
    """
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o700)
    shutil.copyfile(Path(__file__).with_name("main.py"), work / "main.py")
    for name, value in {
        "MONAI_LABEL_SESSION_PATH": str(work / "sessions"),
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(work / "dicomweb"),
    }.items():
        os.environ.setdefault(name, value)
    arguments = ["start_server", "--app", str(work), "--studies", studies, "--host", host, "--port", str(port)]
    arguments += ["--conf", "hosts", ",".join([host, socket.gethostname(), *allowed_hosts])]
    return [*arguments, "--conf", "cors", "true"] if cors else arguments


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server until it is stopped.

    Args:
        arguments: the command line; None takes ``sys.argv``.
    """
    parser = argparse.ArgumentParser("python -m noisewise.pipelines.monai_label.serve", description=__doc__)
    parser.add_argument("studies", help="folder of images, or address of a DICOMweb server")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name or address by which other machines reach this one; may be repeated (others are refused)",
    )
    parser.add_argument("--port", default=8000, type=int, help="port to listen on (8000)")
    parser.add_argument("--work", default="runs/monai_label", type=Path, help="folder of logs and sessions")
    parser.add_argument("--cors", action="store_true", help="let web pages of other origins read the answers")
    options = parser.parse_args(arguments)
    if not options.studies.startswith(("http://", "https://")) and not Path(options.studies).is_dir():
        parser.error(f"{options.studies}: no such folder.")
    work = options.work.absolute()
    sys.argv = [
        "monailabel",
        *server_arguments(options.studies, options.host, options.port, work, options.cors, options.allow_host),
    ]
    # MONAI Label reads its settings from the environment when it is imported.
    from monailabel.main import Main

    Main().run()


if __name__ == "__main__":
    main()
