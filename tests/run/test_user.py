"""The one grammar of --user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import user
from dynbuild.run.user import User


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1000", (1000, None)),
        ("1000:0", (1000, 0)),
        ("ada", (None, None)),
        ("ada:staff", (None, None)),
        ("ada:50", (None, 50)),
        ("2147483647:2147483647", (2147483647, 2147483647)),
        ("", (None, None)),
        (":5", (None, 5)),
        ("\u0663", (None, None)),
    ],
)
def test_who_is_meant(text, numbers):
    found = user.parse(text)
    assert (found.uid, found.gid) == numbers


@pytest.mark.parametrize(
    "text", ["1:2:3", "2147483648", "1:4294967295", "9" * 5000, f"ada:{'9' * 5000}"]
)
def test_what_docker_refuses(text):
    with pytest.raises(RequestError) as caught:
        user.parse(text)
    assert len(caught.value.message) < 200


@given(st.text())
def test_an_image_may_name_anything(text):
    found = user.read(text)
    assert found.uid is None or 0 <= found.uid < 2**31
    assert isinstance(found, User)
