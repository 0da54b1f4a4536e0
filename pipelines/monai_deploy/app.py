# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``python app.py -i DICOM_FOLDER -o OUTPUT_FOLDER [-m MODEL]`` denoises DICOM series."""

import sys

# Not a relative import: in an application package, Python starts this file as /opt/holoscan/app/app.py.
from noisewise.pipelines.monai_deploy.application import main

if __name__ == "__main__":
    sys.exit(main())
