import copy
import dataclasses

import pytest
from pydantic import ValidationError

from dynbuild.checked import adapter, plain
from dynbuild.settings import models
from dynbuild.settings.models import Catalog, Device, Request, Source, Tool
from tests.support import CATALOG, names_of


def read(model, values):
    return adapter(model).validate_python(values)


def said(values, of):
    """Of *values*, what stands in *of* too: not the defaults of the models."""
    if isinstance(of, dict):
        return {key: said(one, of[key]) for key, one in values.items() if key in of}
    return values


def test_the_catalog_is_valid():
    catalog = read(Catalog, CATALOG)
    assert catalog.format == 1
    assert said(plain(catalog), CATALOG) == CATALOG


def test_a_model_cannot_be_changed():
    catalog = read(Catalog, CATALOG)
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog.request.framework = "none"


@pytest.mark.parametrize("path", [(), ("request",), ("site",), ("tools", "uv"), ("sources", "ucx")])
def test_no_model_takes_an_unknown_key(path):
    tree = copy.deepcopy(CATALOG)
    branch = tree
    for key in path:
        branch = branch[key]
    branch["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        read(Catalog, tree)


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
        read(Request, {**CATALOG["request"], key: value})


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
    assert read(Source, {"kind": kind, **needs}).kind == kind
    for key in needs:
        with pytest.raises(ValidationError, match=f"kind '{kind}' needs {key}"):
            read(Source, {"kind": kind, **needs, key: ""})


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
    assert read(Tool, {"kind": kind, **needs}).kind == kind
    for key in needs:
        with pytest.raises(ValidationError, match=f"kind '{kind}' needs {key}"):
            read(Tool, {"kind": kind} | {one: needs[one] for one in needs if one != key})


@pytest.mark.parametrize("text", ["0" * 64, ""])
def test_a_checksum(text):
    assert read(Source, {"kind": "none", "sha256": text}).sha256 == text


@pytest.mark.parametrize("text", ["0" * 63, "A" * 64, "g" * 64, f"sha256:{'0' * 64}"])
def test_what_is_no_checksum(text):
    with pytest.raises(ValidationError):
        read(Source, {"kind": "none", "sha256": text})


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ((), tuple(key for key in names_of(Catalog) if key != "arguments")),
        (("request",), names_of(Request)),
        (("tools", "any"), names_of(Tool)),
        (("sources", "any"), names_of(Source)),
        (("frameworks", "any", "devices", "any"), names_of(Device)),
        (("args",), None),
        (("contexts",), None),
        (("surprise",), ()),
        (("request", "surprise"), ()),
    ],
)
def test_the_keys_a_table_may_have(path, keys):
    assert models.keys_at(path) == keys


def test_closed_tables_are_tables_of_the_catalog():
    assert set(models.CLOSED_TABLES) <= set(names_of(Catalog))


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
