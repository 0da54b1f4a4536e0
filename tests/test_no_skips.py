# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = {
    "test_module.py": 'import pytest\npytest.importorskip("a_package_that_is_not_there")\ndef test_a():\n    pass\n',
    "test_mark.py": 'import pytest\n@pytest.mark.skipif(True, reason="no dciodvfy")\ndef test_b():\n    pass\n',
    "test_call.py": 'import pytest\ndef test_c():\n    pytest.skip("no git")\n',
    "test_xfail.py": "import pytest\n@pytest.mark.xfail\ndef test_d():\n    assert False\n",
    "test_good.py": "def test_e():\n    pass\n",
}


def test_what_would_be_skipped_fails_by_name_when_asked(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    lenient, strict = run(), run("--no-skips", "--continue-on-collection-errors")
    assert lenient.returncode == 0 and "1 passed, 3 skipped, 1 xfailed" in lenient.stdout, lenient.stdout
    assert strict.returncode == 1 and "1 passed, 1 xfailed" in strict.stdout, strict.stdout
    assert "1 failed" in strict.stdout and "2 errors" in strict.stdout
    for reason in ("a_package_that_is_not_there", "no dciodvfy", "no git"):
        assert reason in strict.stdout
    named = run("--no-skips", "--may-skip=dciodvfy", "--may-skip=git", "--continue-on-collection-errors")
    assert named.returncode == 1 and "1 passed, 2 skipped, 1 xfailed, 1 error" in named.stdout, named.stdout
    assert "a_package_that_is_not_there" in named.stdout
    # Status 5, which the Makefile takes for success, is for runs without --no-skips.
    nothing = ("test_good.py", "-k", "no_test_has_this_name")
    assert run(*nothing).returncode == 5 and run("--no-skips", *nothing).returncode == 1
    module = ("test_module.py", "--no-skips", "--may-skip=a_package_that_is_not_there")
    assert run(*module).returncode == 5
