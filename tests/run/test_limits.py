import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import limits
from dynbuild.run.request import DEFAULT_ULIMITS


@pytest.mark.parametrize(
    ("ulimits", "hard", "fitted"),
    [
        (("memlock=-1",), {}, ("memlock=-1",)),
        (("memlock=-1",), {"memlock": 8192}, ("memlock=8192",)),
        (("stack=67108864",), {"stack": 8388608}, ("stack=8388608",)),
        (("stack=67108864",), {"stack": 67108864}, ("stack=67108864",)),
        (("nofile=65536:65536",), {"nofile": 4096}, ("nofile=4096:4096",)),
        (("nofile=1024:65536",), {"nofile": 4096}, ("nofile=1024:4096",)),
        (("nofile=1024:65536",), {"memlock": 0}, ("nofile=1024:65536",)),
        ((), {"nofile": 1}, ()),
    ],
)
def test_limits_fit_the_engine(ulimits, hard, fitted):
    found, said = limits.fit(ulimits, hard)
    assert found == fitted
    assert len(said) == sum(one != other for one, other in zip(ulimits, fitted, strict=True))
    for sentence in said:
        assert str(*hard.values()) in sentence


@given(
    st.dictionaries(st.sampled_from(["memlock", "stack", "nofile", "core"]), st.integers(0, 2**40))
)
def test_limits_that_fit_stay_so(hard):
    once, _ = limits.fit(DEFAULT_ULIMITS, hard)
    assert limits.fit(once, hard) == (once, ())


# ---- the grammars --------------------------------------------------------------------------

numbers = st.integers(-1, 2**63 - 1)


@given(st.sampled_from(limits.NAMES), numbers, st.none() | numbers)
def test_a_limit_reads_back(name, soft, hard):
    text = str(limits.Ulimit(name=name, soft=soft, hard=hard))
    top = soft if hard is None else hard
    if top != -1 and (soft == -1 or soft > top):
        with pytest.raises(RequestError, match="above the hard one"):
            limits.parse_ulimit(text)
    else:
        assert str(limits.parse_ulimit(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "nofile", "nofile=", "nofile=a", "nofile=1:", "nofile=1:2:3", "nofile=-2", "files=1",
     "NOFILE=1", "nofile=1.5", "nofile=\u0663", "nofile=" + "9" * 5000, f"nofile={2**63}"],
)  # fmt: skip
def test_what_is_no_limit(text):
    with pytest.raises(RequestError) as caught:
        limits.parse_ulimit(text)
    assert len(caught.value.message) < 200


@given(st.text())
def test_any_text_is_a_limit_or_refused(text):
    try:
        limit = limits.parse_ulimit(text)
    except RequestError:
        return
    assert re.fullmatch("[a-z]+=.+", text)
    assert limit.name in limits.NAMES


@pytest.mark.parametrize("text", ["1", "1.5", "0.25", "128"])
def test_numbers_of_processors(text):
    assert limits.parse_processors(text) == text


@pytest.mark.parametrize("text", ["many", "-1", "1/2", "1,5", ".5", "1.", "", "9" * 5000, "1e3"])
def test_what_is_no_number_of_processors(text):
    with pytest.raises(RequestError, match="no number of processors"):
        limits.parse_processors(text)
