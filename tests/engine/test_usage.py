"""What an engine keeps on its disk, asked of a real one."""

from __future__ import annotations

import os
import tarfile
from datetime import UTC, datetime, timedelta

import pytest

from dynbuild.engine import usage
from dynbuild.image_id import LABEL
from tests.session import NAME as RUN

pytestmark = pytest.mark.engine


@pytest.fixture
def image(docker, tmp_path):
    """An image of a megabyte with two tags and dynbuild's label."""
    (tmp_path / "file").write_bytes(os.urandom(1_000_000))
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add(tmp_path / "file", "file")
    names = (f"{RUN}/usage:one", f"{RUN}/usage:two")
    change = f"LABEL {LABEL}=none-usage-cpu"
    docker("image", "import", "--change", change, str(tmp_path / "root.tar"), names[0])
    docker("tag", *names)
    yield names
    docker("image", "rm", *names, check=False)


def ours(engine, names):
    kept = usage.usage(engine, os.environ)
    return [one for one in usage.labelled(engine, os.environ, kept) if set(one.names) & set(names)]


def test_an_image_is_counted_and_removed_under_all_its_names(engine, image):
    (one,) = ours(engine, image)
    assert (one.label, set(one.names), one.used) == ("none-usage-cpu", set(image), False)
    assert 900_000 < one.bytes < 3_000_000
    assert datetime.now(UTC) - one.created < timedelta(hours=1)
    assert usage.remove(engine, os.environ, [one]) == ()
    assert ours(engine, image) == []


def test_an_image_of_a_container_is_used_and_stays(engine, docker, image):
    container = docker("container", "create", image[0], "/none")
    try:
        (one,) = ours(engine, image)
        assert one.used
        docker("image", "rm", image[1])
        ((name, why),) = usage.remove(engine, os.environ, ours(engine, image))
        assert (name, "container" in why) == (image[0], True)
    finally:
        docker("container", "rm", container)
