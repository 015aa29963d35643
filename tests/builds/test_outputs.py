"""Where a build may go: a registry, nowhere, a cache."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
import uuid

import pytest

from dynbuild import proc
from tests.conftest import DEMO, ROOT

REGISTRY_DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry
RUN printf '%s\\n' 'version: 0.1' 'storage: {{filesystem: {{rootdirectory: /var/lib/registry}}}}' \\
    'http: {{addr: "127.0.0.1:{port}"}}' > /registry.yml
CMD ["docker-registry", "serve", "/registry.yml"]
"""


@pytest.fixture(scope="module")
def registry(engine, docker, base_image, tmp_path_factory):
    """A registry on loopback, the distribution's own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("registry")
    (folder / "Dockerfile").write_text(REGISTRY_DOCKERFILE.format(base=base_image, port=port))
    image = f"dynbuild-test/registry:{port}"
    network = ("--network", "host") if engine.network == "host" else ()
    docker("build", "--quiet", "--tag", image, *network, str(folder))
    name = f"dynbuild-test-registry-{port}"
    docker("run", "--detach", "--rm", "--network", "host", "--name", name, image)
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2):
                    break
            except OSError:
                docker("inspect", name)
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        docker("rm", "--force", name)
        docker("image", "rm", "--force", image)


def _get(registry, path):
    accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    request = urllib.request.Request(f"http://{registry}/v2/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer), answer.headers["Docker-Content-Digest"]


def test_push_puts_both_tags_into_the_registry(build, registry):
    report = build("--context", str(DEMO), "--repository", f"{registry}/team/dynamo", "--push")
    (image,) = report["images"]
    for tag in image["tags"]:
        repository, _, name = tag.removeprefix(f"{registry}/").partition(":")
        index, digest = _get(registry, f"{repository}/manifests/{name}")
        assert digest == image["digest"]
        platforms = [m["platform"]["architecture"] for m in index["manifests"]]
        assert "amd64" in platforms
    # What is pushed says how it was made.
    assert "unknown" in platforms


def test_push_without_a_registry_is_refused_before_anything_runs(dynbuild):
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(DEMO), "--push"
    )
    assert done.returncode == 2
    assert "--repository REGISTRY/dynamo" in done.stderr


def test_no_load_leaves_no_image(build, docker):
    name = f"dynbuild-test/none:{uuid.uuid4().hex}"
    report = build("--context", str(DEMO), "--tag", name, "--no-tag-latest", "--no-load")
    assert report["images"][0]["tags"] == []
    assert docker("image", "ls", "--quiet", name) == ""


def test_cache_is_written_and_read(build, tmp_path):
    cache = tmp_path / "cache"
    target = ("--context", str(DEMO), "--target", "dynamo_base", "--no-load")
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
