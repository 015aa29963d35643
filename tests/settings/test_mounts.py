"""The one grammar of -v."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.settings import mounts
from dynbuild.settings.mounts import Mount


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", Mount("/a", "/b")),
        ("/a:/b:ro", Mount("/a", "/b", ("ro",))),
        ("/a:/b:ro,rslave,z", Mount("/a", "/b", ("ro", "rslave", "z"))),
        ("/a:/b:", Mount("/a", "/b")),
        ("./a:/b", Mount("./a", "/b")),
        ("..:/b", Mount("..", "/b")),
        ("cache:/c", Mount("cache", "/c", (), "volume")),
        ("cache.1-x_y:/c:nocopy", Mount("cache.1-x_y", "/c", ("nocopy",), "volume")),
        ("/d", Mount("", "/d", (), "volume")),
        ("/my data:/in the/image", Mount("/my data", "/in the/image")),
        ("/a:b:/c", Mount("/a:b", "/c", long=True)),
        ("/a:b:/c:ro", Mount("/a:b", "/c", ("ro",), long=True)),
        ("/a:/b:/c", Mount("/a:/b", "/c", long=True)),
    ],
)
def test_what_docker_takes(text, mount):
    assert mounts.parse(text) == mount


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no SOURCE:TARGET"),
        ("a:b:c:d", "is no SOURCE:TARGET"),
        ("./a:b:/c", "is no SOURCE:TARGET"),
        ("/a:b:/c:ro:z", "is no SOURCE:TARGET"),
        ("/a:b:/c:z", "docker takes no z for a path with a colon"),
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


def test_what_docker_has_no_way_to_write_is_told_by_mount():
    assert mounts.parse("/a:b,c:/d:ro,rslave").words == (
        "--mount",
        'type=bind,"source=/a:b,c",target=/d,readonly,bind-propagation=rslave',
    )
    assert mounts.parse("/a:/b:ro").words == ("-v", "/a:/b:ro")
    assert mounts.parse("/d").words == ("-v", "/d")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,source=/a,target=/b", Mount("/a", "/b", long=True)),
        ("type=bind,src=./a:b,dst=/b,ro", Mount("./a:b", "/b", ("ro",), long=True)),
        ("source=v1,target=/b,volume-nocopy", Mount("v1", "/b", ("nocopy",), "volume", long=True)),
        ("target=/b,readonly=false", Mount("", "/b", (), "volume", long=True)),
        ('type=bind,"source=/a,b",destination=/c', Mount("/a,b", "/c", long=True)),
        (
            "type=bind,source=/a,target=/b,bind-propagation=rslave",
            Mount("/a", "/b", ("rslave",), long=True),
        ),
        (
            "type=tmpfs,target=/t,tmpfs-size=64m",
            Mount("", "/t", (), "tmpfs", ("tmpfs-size=64m",), True),
        ),
    ],
)
def test_the_long_form(text, mount):
    assert mounts.parse_long(text) == mount
    assert mounts.parse_long(mount.words[1]) == mount


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is nothing in it"),
        ("type=bind,source=/a", "a target is an absolute path"),
        ("type=bind,source=a,target=/b", "the source of a bind is a path"),
        ("source=/a,target=/b", "'/a' is no name of a volume; a path is type=bind"),
        ("type=npipe,source=/a,target=/b", "there is no type 'npipe'"),
        ("type=bind,source=/a,target=/", "nothing can be mounted at /"),
        ("type=bind,source=/a,target=/b,colour=red", "'colour' is no field of a bind"),
        ("type=bind,source=/a,target=/b,tmpfs-size=1", "'tmpfs-size' is no field of a bind"),
        ("type=tmpfs,source=/a,target=/b", "a tmpfs has no source"),
        ("type=bind,source=/a,target=/b,readonly=maybe", "readonly is true or false"),
        ("type=bind,source=/a,target=/b,bind-propagation=x", "bind-propagation is one of shared"),
        ("type=bind,source,target=/b", "'source' has no value"),
        ('a"b', "a quote is where none may be"),
    ],
)
def test_what_docker_refuses_in_the_long_form(text, said):
    with pytest.raises(RequestError) as caught:
        mounts.parse_long(text)
    assert said in caught.value.message


def test_a_source_is_replaced_as_it_is_read():
    assert mounts.with_source("~/a:/b:ro", str.upper) == "~/A:/b:ro"
    assert mounts.with_source("/a:b:/c", str.upper) == "/A:B:/c"
    assert mounts.with_source("/d", lambda source: source + "x" * bool(source)) == "/d"


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("type=bind,source=~/a,target=/b", "type=bind,source=~/A,target=/b"),
        ('type=bind, SRC =a,"target=/b"', "type=bind, SRC =A,target=/b"),
        ('type=bind,"src=~/a,b",dst=/b', 'type=bind,"src=~/A,B",dst=/b'),
        ('type=volume,volume-label=source=a,"dst=/b"',) * 2,
        ('a"b', 'a"b'),
        ("", ""),
    ],
)
def test_a_source_is_replaced_in_the_long_form(text, replaced):
    assert mounts.with_source_long(text, str.upper) == replaced


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
    assert mounts._source_of(text)[0] == mount.source
