"""Legal values of each kind of argument, drawn at random."""

from __future__ import annotations

import functools
import string

from hypothesis import strategies as st

from tests.support import ARGUMENTS

WORD = st.from_regex("[A-Za-z0-9_]{1,12}", fullmatch=True)
LOW = st.from_regex("[a-z0-9]{1,8}", fullmatch=True)
NUMBERS = st.lists(st.integers(0, 9999), min_size=1, max_size=5).map(
    lambda parts: ".".join(map(str, parts))
)
REPOSITORIES = st.builds(
    lambda registry, parts: registry + "/".join(parts),
    st.sampled_from(("", "nvcr.io/", "localhost:5000/", "r.example.com:443/", "[::1]:5000/")),
    st.lists(
        st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}", fullmatch=True),
        min_size=1,
        max_size=3,
    ),
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}", fullmatch=True)
DIGESTS = st.just("@sha256:" + "0123456789abcdef" * 4)
REFS = st.one_of(
    NUMBERS,
    NUMBERS.map("v{}".format),
    st.text(string.hexdigits.lower(), min_size=7, max_size=40),
    st.lists(WORD, min_size=1, max_size=3).map("/".join),
    st.sampled_from(("v1.20.x", "refs/tags/v1", "release/1.0", "user/fix-#1", "ver+1", "änderung")),
)


@functools.cache
def legal(name):
    """Values of the argument *name*; never empty."""
    declared = ARGUMENTS[name]
    least, most = declared.get("bounds", (0, 10**9))
    parts = declared.get("parts")
    versions = st.one_of(
        NUMBERS,
        NUMBERS.map("v{}".format),
        st.sampled_from(
            ("2.10.0a0+b4e4ee81d3.nv25.12", "2.7.4.post1+25.12", "1.3.0rc1", "2025.5.1-2"),
        ),
    )
    if parts:
        versions = st.lists(st.integers(0, 99), min_size=parts[0], max_size=parts[1]).map(
            lambda numbers: ".".join(map(str, numbers))
        )
    return {
        "ref": REFS,
        "version": versions,
        "image": REPOSITORIES,
        "tag": st.one_of(TAGS, st.builds("{}{}".format, TAGS, DIGESTS)),
        "reference": st.builds("{}:{}".format, REPOSITORIES, TAGS),
        "int": st.integers(least, most).map(str),
        "switch": st.sampled_from(("true", "false", "True", "FALSE")),
        "choice": st.sampled_from(declared.get("words", ("",))),
        "url": st.builds(
            "{}://{}/{}".format,
            st.sampled_from(("http", "https", "HTTPS")),
            st.sampled_from(("example.com", "a.b-c.example:8080", "[::1]:80", "10.0.0.1")),
            st.from_regex(r"[A-Za-z0-9._~/?#=&%,;:+()-]{0,20}", fullmatch=True),
        ),
        "names": st.lists(st.from_regex(r"[a-z][a-z0-9/-]{0,8}", fullmatch=True), min_size=1).map(
            ",".join
        ),
        "date": st.dates().map(lambda day: day.isoformat()),
        "path": st.lists(LOW, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts)),
        "text": st.text(string.ascii_letters + string.digits + " ;=.+-", min_size=1, max_size=20),
    }[declared["kind"]]
