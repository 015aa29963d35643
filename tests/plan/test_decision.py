import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, fold
from dynbuild.settings import layers
from dynbuild.settings.layers import ORDER, Origin, Setting

LAYERS = (*ORDER, "git", "machine", "derived")
SETTINGS = st.builds(
    Setting,
    value=st.sampled_from(("", "a", "b")),
    origin=st.builds(Origin, layer=st.sampled_from(LAYERS), source=st.sampled_from(("x", "y"))),
)
VALUES = st.dictionaries(st.sampled_from("ABCD"), SETTINGS, min_size=4)


@given(VALUES, st.sampled_from(("fill", "follow", "fix")), VALUES)
def test_every_value_is_one_of_the_two_and_none_is_written_into(there, rule, laid):
    before = dict(there)
    found = fold(there, Decision(rule, laid))
    assert there == before
    assert set(found) == set(there)
    for arg, setting in found.items():
        assert setting in (there[arg], laid[arg])


@given(VALUES)
def test_a_decision_that_sets_nothing_changes_nothing(there):
    assert fold(there, Decision("request")) == there


@given(SETTINGS, SETTINGS)
def test_what_each_rule_lets_prevail(own, new):
    def laid(rule):
        return fold({"A": own}, Decision(rule, {"A": new}))["A"]

    higher = layers.rank(own.origin) > layers.rank(new.origin)
    assert laid("fix") == new
    assert laid("fill") == (own if own.value else new)
    assert laid("follow") == (own if higher and own.origin.layer != "catalog" else new)
    if own.origin.layer == new.origin.layer == "flag" and own.value != new.value:
        with pytest.raises(RequestError, match="A is given twice") as caught:
            laid("request")
        assert caught.value.origin == f"{own.origin}, {new.origin}"
    else:
        assert laid("request") == (own if higher else new)
