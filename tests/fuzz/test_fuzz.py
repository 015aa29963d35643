"""A few inputs of each kind; ``make fuzz`` tries ten thousand."""

import pytest

from tests.fuzz.trying import DOCUMENTED, KINDS, SHARES, bench, wrong
from tests.support import Result

pytestmark = pytest.mark.processes("git")


@pytest.mark.parametrize("kind", KINDS)
def test_a_few(kind, tmp_path):
    with bench(tmp_path) as trying:
        found = [trying.attempt(kind, number) for number in range(SHARES[kind])]
    assert not [str(one) for one in found if one is not None]


def test_what_is_a_finding():
    assert [code for code in range(256) if not wrong(Result(code, "said", "said"))] == [*DOCUMENTED]
    assert wrong(Result(2, "", ""))
    assert wrong(Result(2, "", "a\x1b[31m"))
    assert wrong(Result(2, "", "Traceback (most recent call last)"))
