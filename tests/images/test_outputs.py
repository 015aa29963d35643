"""Where a build may go: a registry, nowhere, a cache."""

from __future__ import annotations

import json
import os
import uuid

import pytest

from dynbuild import proc
from tests.conftest import DEMO, ROOT
from tests.session import NAME as RUN

DAY = "UV_EXCLUDE_NEWER"


@pytest.fixture(scope="module")
def pushed(build, registry):
    """The report of the demo's image, which was pushed."""
    return build("--repository", f"{registry}/team/dynamo", "--push")


def test_push_puts_both_tags_into_the_registry(pushed, registry, from_registry):
    (image,) = pushed["images"]
    for tag in image["tags"]:
        repository, _, name = tag.removeprefix(f"{registry}/").partition(":")
        index, digest = from_registry(f"{repository}/manifests/{name}")
        assert digest == image["digest"]
        platforms = [m["platform"]["architecture"] for m in index["manifests"]]
        assert "amd64" in platforms
    # What is pushed says how it was made.
    assert "unknown" in platforms
    (one,) = (m for m in index["manifests"] if m["platform"]["architecture"] == "amd64")
    there, _ = from_registry(f"{repository}/manifests/{one['digest']}")
    assert [(layer["digest"], layer["size"]) for layer in image["layers"]] == [
        (layer["digest"], layer["size"]) for layer in there["layers"]
    ]
    assert {layer["platform"] for layer in image["layers"]} == {"linux/amd64"}
    assert image["layers"][-1]["made_by"].startswith(("RUN ", "COPY ", "WORKDIR "))


def test_layers_are_pushed_as_zstd(build, docker, own_base, registry, from_registry):
    """But for those of the base, which stay as they are; the image is pulled and starts."""
    name = f"{registry}/zstd/dynamo:{uuid.uuid4().hex}"
    words = ("--target", "dynamo_base", "--tag", name, "--no-tag-latest", "--push", *own_base)
    report = build(*words, "--compression", "zstd")
    index, digest = from_registry(f"zstd/dynamo/manifests/{name.rpartition(':')[2]}")
    assert digest == report["images"][0]["digest"]
    (one,) = (m for m in index["manifests"] if m["platform"]["architecture"] == "amd64")
    image, _ = from_registry(f"zstd/dynamo/manifests/{one['digest']}")
    base, *own = [layer["mediaType"].rpartition("+")[2] for layer in image["layers"]]
    assert base == "gzip"
    assert "zstd" in own
    assert set(own[own.index("zstd") :]) == {"zstd"}, "none of its own is packed otherwise"
    docker("pull", "--quiet", name)
    try:
        assert docker("run", "--rm", "--network", "none", name, "echo", "starts") == "starts"
    finally:
        docker("image", "rm", "--force", name)


def test_a_tag_of_another_image_is_not_pushed_over(
    build, dynbuild, pushed, registry, from_registry
):
    tag = f"{registry}/taken/dynamo:{uuid.uuid4().hex}"
    words = ("--tag", tag, "--no-tag-latest", "--push")
    build(*words, "--target", "dynamo_base")
    build(*words, "--target", "dynamo_base")
    context = build("--target", "dynamo_base", "--no-load")["record"].partition("/.dynbuild")[0]
    config = ("--config", str(DEMO / "dynbuild.toml"), "--context", context)
    done = dynbuild("build", *config, *words)
    assert done.returncode == 2, done.stderr
    assert f"{tag} is none-dynamo_base-cpu+index, and would become none-runtime" in done.stderr
    _, before = from_registry(f"taken/dynamo/manifests/{tag.rpartition(':')[2]}")
    # Published wheels of another version that ask for the same on that day move themselves alone.
    plan = json.loads((ROOT / pushed["record"] / "plan.json").read_text())
    day = f"{DAY}={plan['images'][0]['build_args'][DAY]}"
    newer = ("--dynamo-wheels", "index==0.9.1", "--build-arg", day)
    report = build(*words, "--retag", *newer)
    index, after = from_registry(f"taken/dynamo/manifests/{tag.rpartition(':')[2]}")
    assert before != after == report["images"][0]["digest"]
    there, _ = from_registry(f"taken/dynamo/manifests/{index['manifests'][0]['digest']}")
    had = {layer["digest"] for layer in pushed["images"][0]["layers"]}
    moved = [layer["size"] for layer in there["layers"] if layer["digest"] not in had]
    assert 20_000_000 < sum(moved) <= 50_000_000


def test_push_without_a_registry_is_refused_before_anything_runs(dynbuild):
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(DEMO), "--push"
    )
    assert done.returncode == 2
    assert "--repository REGISTRY/dynamo" in done.stderr


def test_no_load_leaves_no_image(build, docker):
    name = f"{RUN}/none:{uuid.uuid4().hex}"
    report = build("--tag", name, "--no-tag-latest", "--no-load")
    assert report["images"][0]["tags"] == []
    assert docker("image", "ls", "--quiet", name) == ""


def test_cache_is_written_and_read(build, tmp_path):
    cache = tmp_path / "cache"
    target = ("--target", "dynamo_base", "--no-load")
    build(*target, "--cache-to", f"type=local,dest={cache}")
    assert (cache / "index.json").is_file()
    report = build(*target, "--cache-from", f"type=local,src={cache}")
    assert report["steps"]["run"] == 0


def test_dry_run_prints_the_command_that_build_runs(dynbuild, tmp_path, engine):
    """The words after the client are those that the build itself starts."""
    context = tmp_path / "tree"
    context.mkdir()
    words = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(context))
    done = dynbuild("build", *words, "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert list(context.iterdir()) == []
    said = json.loads(done.stdout)
    folder = tmp_path / "by-hand"
    folder.mkdir()
    (definition,) = said["definition"]["target"].values()
    (dockerfile,) = said["dockerfiles"].values()
    definition["dockerfile"] = str(folder / "Dockerfile")
    definition["output"] = ["type=cacheonly"]
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "bake.json").write_text(json.dumps(said["definition"]))
    places = {"bake.json": folder / "bake.json", "metadata.json": folder / "metadata.json"}
    argv = [str(places.get(word.rsplit("/", 1)[-1], word)) for word in said["argv"]]
    proc.run(
        [engine.docker, *argv[1:]],
        env=engine.env(os.environ)
        | said["env"]
        | {"DYNBUILD_SECRET_CA_BUNDLE_PATH": "/run/secrets/ca_bundle"},
        cwd=ROOT,
    )
    assert (folder / "metadata.json").is_file()
