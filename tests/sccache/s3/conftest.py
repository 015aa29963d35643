import os
import secrets

import pytest

# Imported by the first test it would try ::1, which only tests of the network may.
import urllib3.util.connection  # noqa: F401

from dynbuild.sccache import cache as compile_cache
from tests.s3_server import BUCKET, REGION


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """boto3 reads some variables from its process; none of this machine's is to count."""
    for name in list(os.environ):
        if name.upper().startswith("AWS_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def cache(s3):
    """A cache below a prefix of this test's own."""
    return compile_cache.s3_cache(
        bucket=BUCKET,
        region=REGION,
        endpoint=f"http://{s3.endpoint}",
        prefix=f"t{secrets.token_hex(6)}",
    )


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """Writes the files of AWS and returns the environment that leads to them."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / ".aws" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}

    monkeypatch.setenv("HOME", "/dev/null/absent")
    return write
