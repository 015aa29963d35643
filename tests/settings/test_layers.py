import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.settings import layers
from dynbuild.settings.layers import Origin, Setting
from tests import support  # noqa: F401 - the profile of hypothesis

KEYS = st.sampled_from(["a", "b", "c", "d.e", ""])
LEAVES = st.sampled_from([0, 1, True, "", "x", [], ["y"]])
BRANCHES = st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, min_size=1), min_size=1)
TREES = st.dictionaries(KEYS, LEAVES | BRANCHES, max_size=3)


def layer(name, leaves):
    return {path: Setting(value, Origin(name, "")) for path, value in leaves.items()}


def values(resolved):
    return {path: setting.value for path, setting in resolved.items()}


def test_flatten_gives_leaves_with_their_paths():
    tree = {"request": {"platform": ["linux/amd64"], "uid": 1}, "args": {"A": "x"}, "format": 1}
    assert dict(layers.flatten(tree)) == {
        ("request", "platform"): ["linux/amd64"],
        ("request", "uid"): 1,
        ("args", "A"): "x",
        ("format",): 1,
    }


@given(TREES)
def test_flatten_and_nest_are_reverses(tree):
    assert layers.nest(dict(layers.flatten(tree))) == tree


@given(TREES)
def test_leaves_have_different_paths(tree):
    paths = [path for path, _ in layers.flatten(tree)]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    ("leaves", "tree"),
    [
        ({("a",): 1, ("a", "b"): 2}, {"a": {"b": 2}}),
        ({("a", "b"): 2, ("a",): 1}, {"a": 1}),
    ],
    ids=["the table comes later", "the leaf comes later"],
)
def test_a_leaf_and_a_table_of_one_name(leaves, tree):
    assert layers.nest(leaves) == tree


FLAT = st.dictionaries(st.tuples(KEYS, KEYS), LEAVES, max_size=6)


@given(st.lists(FLAT, min_size=1, max_size=4))
def test_the_last_layer_that_sets_a_leaf_wins(stack):
    resolved = layers.resolve(layer(str(depth), leaves) for depth, leaves in enumerate(stack))
    assert set(resolved) == {path for leaves in stack for path in leaves}
    for path, setting in resolved.items():
        last = max(depth for depth, leaves in enumerate(stack) if path in leaves)
        assert setting.value == stack[last][path]
        assert setting.origin.layer == str(last)


@given(st.lists(TREES, min_size=1, max_size=4))
def test_the_result_has_one_shape(stack):
    resolved = layers.resolve(layer("x", dict(layers.flatten(tree))) for tree in stack)
    for path in resolved:
        assert not any(path[:end] in resolved for end in range(1, len(path)))
    assert dict(layers.flatten(layers.nest(values(resolved)))) == values(resolved)


@given(TREES, TREES)
def test_the_top_layer_is_always_whole(below, above):
    top = dict(layers.flatten(above))
    resolved = layers.resolve([layer("below", dict(layers.flatten(below))), layer("above", top)])
    assert {path: resolved[path].value for path in top} == top


@given(TREES)
def test_a_layer_over_itself_changes_nothing(tree):
    leaves = layer("x", dict(layers.flatten(tree)))
    assert layers.resolve([leaves, leaves]) == layers.resolve([leaves]) == leaves


def test_a_list_is_replaced_whole():
    below, above = layer("catalog", {("a",): [1, 2]}), layer("flag", {("a",): [3]})
    assert values(layers.resolve([below, above])) == {("a",): [3]}


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ({("args", "A"): "x", ("args", "B"): "y"}, {("args",): 3}),
        ({("args", "A"): "x"}, {("args", "A", "deep"): 3}),
    ],
    ids=["a leaf over a table", "a table over a leaf"],
)
def test_another_shape_replaces_what_stood_there(below, above):
    resolved = layers.resolve([layer("catalog", below), layer("overlay", above)])
    assert values(resolved) == above


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("flag", "--tag"), "flag --tag"),
        (Origin("overlay", "dynbuild.toml:7"), "overlay dynbuild.toml:7"),
        (Origin("derived", ""), "derived"),
    ],
)
def test_an_origin_reads_as_text(origin, text):
    assert str(origin) == text
