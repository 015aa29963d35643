"""The one grammar of -v."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import mounts
from dynbuild.run.mounts import Mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", Mount("/a", "/b")),
        ("/a:/b:ro", Mount("/a", "/b", ("ro",))),
        ("/a:/b:ro,rslave,z", Mount("/a", "/b", ("ro", "rslave", "z"))),
        ("/a:/b:", Mount("/a", "/b")),
        ("./a:/b", Mount("./a", "/b")),
        ("..:/b", Mount("..", "/b")),
        ("cache:/c", Mount("cache", "/c")),
        ("cache.1-x_y:/c:nocopy", Mount("cache.1-x_y", "/c", ("nocopy",))),
        ("/d", Mount("", "/d")),
        ("/my data:/in the/image", Mount("/my data", "/in the/image")),
    ],
)
def test_what_docker_takes(text, mount):
    assert mounts.parse(text) == mount


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no SOURCE:TARGET"),
        ("a:b:c:d", "is no SOURCE:TARGET"),
        ("/a:b:/c:ro", "is no SOURCE:TARGET"),
        ("/a:b:/c", "is no SOURCE:TARGET"),
        ("/a:b", "is no SOURCE:TARGET"),
        ("/a:ro", "is no SOURCE:TARGET"),
        ("data", "is no SOURCE:TARGET"),
        (":/b", "is no SOURCE:TARGET"),
        ("/a:", "is no SOURCE:TARGET"),
        ("/a:/", "nothing can be mounted at /"),
        ("/a:/b/../.", "nothing can be mounted at /"),
        ("//", "nothing can be mounted at /"),
        ("~/a:/b", "'~/a' is neither a path nor the name of a volume"),
        ("a/b:/c", "'a/b' is neither a path nor the name of a volume"),
        ("v:/c", "'v' is neither a path nor the name of a volume"),
        ("-v:/c", "'-v' is neither"),
        ("/a:/b:no", "there is no option 'no'"),
        ("/a:/b:ro,", "there is no option ''"),
        ("/a:/b:RO", "there is no option 'RO'"),
        ("/a:/b:ro,rw", "ro and rw exclude each other"),
        ("/a:/b:z,Z", "z and Z exclude each other"),
    ],
)
def test_what_docker_refuses(text, said):
    with pytest.raises(RequestError) as caught:
        mounts.parse(text)
    assert said in caught.value.message


def test_a_path_with_a_colon_is_explained():
    with pytest.raises(RequestError) as caught:
        mounts.parse("/a:b:/c:ro")
    assert "no path with a colon" in caught.value.hint


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":\0"))
options = st.tuples(
    st.sampled_from(["", "ro", "rw"]),
    st.sampled_from(["", *mounts.SELINUX]),
    st.sampled_from(["", *mounts.PROPAGATION]),
).map(lambda words: tuple(word for word in words if word))


@given(st.sampled_from("/."), texts, texts.filter(str.strip), options)
def test_a_mount_reads_back(start, source, target, said):
    mount = Mount(f"{start}{source}", f"/x{target}", said)
    text = ":".join([mount.source, mount.target, *([",".join(said)] if said else [])])
    assert mounts.parse(text) == mount
    assert mount.is_path
    assert mount.read_only == ("ro" in said)


@given(st.text(st.sampled_from("/:.~abro,z")) | st.text())
def test_any_text_is_a_mount_or_refused(text):
    try:
        mount = mounts.parse(text)
    except RequestError:
        return
    assert mount.target.startswith("/")
    assert mounts.source_of(text)[0] == mount.source
