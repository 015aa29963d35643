"""What bake writes down, whole and in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build.metadata import Metadata, redact
from dynbuild.build.record import Record
from dynbuild.build.result import Material

# As written by buildx 0.29 for an image and a git repository, shortened.
DOCUMENT = {
    "none-runtime-cpu": {
        "buildx.build.provenance": {
            "builder": {"id": ""},
            "materials": [
                {
                    "uri": "pkg:docker/dynbuild/debian@trixie?platform=linux%2Famd64",
                    "digest": {"sha256": "43c70f86"},
                },
                {"uri": "https://example.com/ucx.git#v1", "digest": {"sha1": "0a1b"}},
            ],
        },
        "buildx.build.ref": "default/default/508pxv",
        "containerimage.digest": "sha256:2e00",
    },
    "other": {
        "buildx.build.provenance/linux/arm64": {
            "materials": [
                {"uri": "https://example.com/ucx.git#v1", "digest": {"sha1": "0a1b"}},
            ],
        },
    },
}
TEXT = json.dumps(DOCUMENT).encode()


def test_digests_and_materials():
    read = Metadata.parse(TEXT)
    assert not read.damaged
    assert read.digest("none-runtime-cpu") == "sha256:2e00"
    assert read.digest("other") == ""
    assert read.digest("none") == ""
    assert read.materials() == (
        Material(
            uri="pkg:docker/dynbuild/debian@trixie?platform=linux%2Famd64",
            digest="sha256:43c70f86",
        ),
        Material(uri="https://example.com/ucx.git#v1", digest="sha1:0a1b"),
    )


def test_materials_of_the_second_format():
    listed = [{"uri": "u", "digest": {"sha256": "1"}}]
    said = {"buildx.build.provenance": {"buildDefinition": {"resolvedDependencies": listed}}}
    read = Metadata.parse(json.dumps({"x": said}).encode())
    assert read.materials() == (Material(uri="u", digest="sha256:1"),)


def test_files(tmp_path):
    assert Metadata.read(tmp_path / "none") == Metadata()
    assert Metadata.read(tmp_path).damaged, "a folder"
    (tmp_path / "m").write_bytes(TEXT)
    assert Metadata.read(tmp_path / "m") == Metadata.parse(TEXT)


@pytest.mark.parametrize("cut", range(len(TEXT)))
def test_a_file_that_is_cut_off_has_nothing(cut):
    read = Metadata.parse(TEXT[:cut])
    assert read.damaged
    assert (read.digest("none-runtime-cpu"), read.materials()) == ("", ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["x", "buildx.build.provenance", "materials", "uri", "digest", "buildDefinition",
                 "resolvedDependencies", "containerimage.digest", "sha1"]
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_no_json_breaks_the_reader(value):
    read = Metadata.parse(json.dumps(value).encode())
    assert isinstance(read.digest("x"), str)
    assert all(one.uri is not None for one in read.materials())


PROXY = "http://ada:hunter2@proxy.example.com:3128"
WITH_PROXY = {
    "a": {
        "buildx.build.provenance": {
            "materials": DOCUMENT["none-runtime-cpu"]["buildx.build.provenance"]["materials"],
            "invocation": {"parameters": {"args": {"build-arg:FTP_PROXY": PROXY}}},
            "buildConfig": [{"proxy_env": {"ftp_proxy": PROXY}}],
        }
    }
}


def test_the_password_of_a_proxy_does_not_stay(tmp_path):
    record = Record(tmp_path)
    record.metadata.write_text(json.dumps(WITH_PROXY))
    redact(record)
    text = record.metadata.read_text()
    assert "hunter2" not in text
    assert text.count("http://proxy.example.com:3128") == 2
    assert (
        Metadata.read(record.metadata).materials()
        == Metadata.parse(json.dumps(WITH_PROXY).encode()).materials()
    )
    assert record.metadata.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("end", range(1, len(json.dumps(WITH_PROXY)), 25))
def test_nor_in_metadata_that_is_cut_off(tmp_path, end):
    record = Record(tmp_path)
    record.metadata.write_text(json.dumps(WITH_PROXY)[:end])
    redact(record)
    assert "hunter2@" not in record.metadata.read_text()


def test_metadata_without_a_login_says_the_same(tmp_path):
    record = Record(tmp_path)
    record.metadata.write_bytes(TEXT)
    redact(record)
    assert json.loads(record.metadata.read_text()) == DOCUMENT


def test_no_metadata_is_nothing_to_do(tmp_path):
    redact(Record(tmp_path))
    assert not list(tmp_path.iterdir())
