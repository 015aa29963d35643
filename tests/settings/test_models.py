import copy

import pytest
from pydantic import ValidationError

from dynbuild.settings import models
from dynbuild.settings.models import Catalog, Device, Request, Source, Tool
from tests.support import CATALOG


def test_the_catalog_is_valid():
    catalog = Catalog.model_validate(CATALOG)
    assert catalog.format == 1
    assert catalog.model_dump(mode="json", exclude_unset=True) == CATALOG


def test_a_model_cannot_be_changed():
    catalog = Catalog.model_validate(CATALOG)
    with pytest.raises(ValidationError, match="frozen"):
        catalog.request.framework = "none"


@pytest.mark.parametrize("path", [(), ("request",), ("site",), ("tools", "uv"), ("sources", "ucx")])
def test_no_model_takes_an_unknown_key(path):
    tree = copy.deepcopy(CATALOG)
    branch = tree
    for key in path:
        branch = branch[key]
    branch["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Catalog.model_validate(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uid", -1),
        ("gid", 2**32 - 1),
        ("uid", True),
        ("uid", 1.0),
        ("no_cache", 1),
        ("framework", None),
        ("platform", "linux/amd64"),
        ("platform", ("linux/amd64",)),
        ("output", "oci"),
    ],
)
def test_types_are_strict(key, value):
    with pytest.raises(ValidationError):
        Request.model_validate({**CATALOG["request"], key: value})


@pytest.mark.parametrize(
    ("kind", "needs"),
    [
        ("git", {"repo": "https://example.com/x.git", "ref": "NIXL_REF"}),
        ("url", {"url": "https://example.com/x.tar.gz"}),
        ("apt", {"package": "ucx"}),
        ("context", {"path": "/x"}),
        ("none", {}),
    ],
)
def test_a_source_needs_what_its_kind_says(kind, needs):
    assert Source(kind=kind, **needs).kind == kind
    for key in needs:
        with pytest.raises(ValidationError, match=f"kind '{kind}' needs {key}"):
            Source(kind=kind, **{**needs, key: ""})


@pytest.mark.parametrize(
    ("kind", "needs"),
    [
        ("image", {"image": "example.com/uv", "files": ["/uv"], "version": "UV_VERSION"}),
        ("url", {"url": {"amd64": "https://example.com/uv"}, "version": "UV_VERSION"}),
        ("apt", {"packages": ["uv"]}),
        ("pypi", {"pypi": "uv", "version": "UV_VERSION"}),
        ("none", {}),
    ],
)
def test_a_tool_needs_what_its_kind_says(kind, needs):
    assert Tool(kind=kind, **needs).kind == kind
    for key in needs:
        with pytest.raises(ValidationError, match=f"kind '{kind}' needs {key}"):
            Tool(kind=kind, **{name: value for name, value in needs.items() if name != key})


@pytest.mark.parametrize("text", ["0" * 64, ""])
def test_a_checksum(text):
    assert Source(kind="none", sha256=text).sha256 == text


@pytest.mark.parametrize("text", ["0" * 63, "A" * 64, "g" * 64, f"sha256:{'0' * 64}"])
def test_what_is_no_checksum(text):
    with pytest.raises(ValidationError):
        Source(kind="none", sha256=text)


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ((), tuple(key for key in Catalog.model_fields if key != "arguments")),
        (("request",), tuple(Request.model_fields)),
        (("tools", "any"), tuple(Tool.model_fields)),
        (("sources", "any"), tuple(Source.model_fields)),
        (("frameworks", "any", "devices", "any"), tuple(Device.model_fields)),
        (("args",), None),
        (("contexts",), None),
        (("surprise",), ()),
        (("request", "surprise"), ()),
    ],
)
def test_the_keys_a_table_may_have(path, keys):
    assert models.keys_at(path) == keys


def test_closed_tables_are_tables_of_the_catalog():
    assert set(models.CLOSED_TABLES) <= set(Catalog.model_fields)


@pytest.mark.parametrize("tool", sorted(CATALOG["tools"]))
def test_the_version_of_a_tool_is_an_argument(tool):
    assert CATALOG["tools"][tool]["version"] in CATALOG["args"]


@pytest.mark.parametrize("source", sorted(CATALOG["sources"]))
def test_the_ref_of_a_source_is_an_argument(source):
    entry = CATALOG["sources"][source]
    if entry["kind"] == "git":
        assert entry["ref"] in CATALOG["args"]


def test_the_tables_of_a_framework_set_only_arguments():
    for framework in CATALOG["frameworks"].values():
        tables = [framework.get("args", {})]
        for device in framework["devices"].values():
            tables += [device.get("args", {}), *device.get("cuda", {}).values()]
        for table in tables:
            assert set(table) <= set(CATALOG["args"])
