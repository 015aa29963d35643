"""What ``dynbuild build`` says and leaves behind, whatever becomes of its record.

The docker client is a script: no engine, and a build ends as the test says.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from dynbuild.build import context, record
from tests import fake_docker, fault_proxy
from tests.s3_server import BUCKET, REGION
from tests.support import DEMO, call

pytestmark = pytest.mark.processes("docker", "git", "mount", "umount")

METADATA = {
    "none-runtime-cpu--index": {
        "buildx.build.provenance": {
            "materials": [{"uri": "pkg:docker/debian@trixie", "digest": {"sha256": "43c7"}}]
        },
        "buildx.build.ref": "default/default/508pxv",
        "containerimage.descriptor": {"mediaType": "m", "digest": "sha256:aa", "size": 690},
        "containerimage.digest": "sha256:aa",
    }
}
TEXT = json.dumps(METADATA, indent=2).encode()
TREE = 64 * 1024
"""Bytes that a whole record of these builds fits into, with room to spare."""


@pytest.fixture
def docker(tmp_path):
    docker = fake_docker.make(tmp_path / "bin")
    docker.says(metadata=TEXT)
    return docker


def build(docker, tree, *words, **env):
    path = f"{docker.path}{os.pathsep}{os.environ['PATH']}"
    flags = ("--config", DEMO / "dynbuild.toml", "--context", tree)
    return call("build", *flags, *words, env={"PATH": path, **env})


def sealed(tree):
    """The results of the tree's records."""
    return list(record.finished(tree))


def one_sentence(done):
    assert "Traceback" not in done.err
    assert done.err.count("error: ") == 1


@pytest.mark.parametrize(("layers", "warned"), [(110, False), (111, True)])
def test_an_image_with_too_many_layers_is_warned_of(docker, tree, layers, warned):
    docker.says(image=f"sha256:aa 123456789 {layers}")
    done = build(docker, tree, "--format", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["images"][0]["size"] == 123456789
    assert any(f"has {layers} layers" in one for one in said["warnings"]) is warned


def test_a_good_build(docker, tree):
    done = build(docker, tree, "--format", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    (result,) = sealed(tree)
    assert result.document() == said
    (image,) = said["images"]
    assert (said["schema"], said["status"], image["status"]) == (2, "done", "done")
    assert (image["digest"], image["size"], image["output"]) == ("sha256:aa", 123456789, "load")
    assert said["materials"] == [{"uri": "pkg:docker/debian@trixie", "digest": "sha256:43c7"}]
    assert said["steps"] == image["steps"] == {"run": 1, "cached": 0, "run_instructions": 1}
    assert said["failure"] is None
    assert not list((tree / ".dynbuild").rglob(".*.part"))


def test_no_more_processes_than_a_build_needs(docker, tree):
    build(docker, tree)
    assert [" ".join(line.split()[:2]) for line in docker.asked] == [
        "info --format", "image inspect", "buildx bake", "image inspect", "image history",
    ]  # fmt: skip


HISTORY = "".join(
    json.dumps({"Size": size, "CreatedBy": text}) + "\n"
    for size, text in (
        ("0", 'CMD ["/bin/bash"]'),
        ("4000000", "RUN |2 A=/bin/x y B= /bin/bash -l -o pipefail -c cd /x && make # buildkit"),
        ("16384", "COPY --chmod=755 a b # buildkit"),
        ("90000000", ""),
    )
)


def test_layers_are_asked_for_once(docker, tree):
    docker.says(history=HISTORY)
    build(docker, tree)
    Path(sealed(tree)[0].record).rename(record.builds(tree) / "20200101T000000-1-x")
    build(docker, tree)
    later, first = (result.images[0].layers for result in sealed(tree))
    assert [(layer.made_by, layer.size) for layer in first] == [
        ("", 90_000_000),
        ("COPY a b", 16_384),
        ("RUN make", 4_000_000),
    ]
    assert later == first
    assert sum(line.startswith("image history") for line in docker.asked) == 1


def test_layers_have_the_digests_of_the_engine(docker, tree):
    """What is no layer is told from one that adds no file by its instruction."""
    empty = json.dumps({"Size": "0", "CreatedBy": "WORKDIR /x # buildkit"}) + "\n"
    docker.says(history=HISTORY + empty, image="sha256:aa 123456789 4 sha256:0,sha256:1,2,3")
    build(docker, tree)
    (result,) = sealed(tree)
    assert [layer.digest for layer in result.images[0].layers] == ["sha256:1", "2", "3"]


def test_layers_have_no_digests_where_it_is_open_which_is_whose(docker, tree):
    docker.says(history=HISTORY, image="sha256:aa 123456789 2 sha256:0,sha256:1")
    build(docker, tree)
    (result,) = sealed(tree)
    assert {layer.digest for layer in result.images[0].layers} == {""}


CONFIG = {
    "rootfs": {},
    "history": [
        {"created_by": ""},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "RUN /bin/sh -c make # buildkit"},
    ],
}
MANIFEST = {"layers": [{"digest": "sha256:1", "size": 90}, {"digest": "sha256:2", "size": 7}]}


@pytest.mark.parametrize("said", [json.dumps(MANIFEST), "null", "", '{"layers": 1}', "[[["])
def test_layers_that_were_pushed_are_those_of_the_registry(docker, tree, said):
    """An answer that is none loses no build."""
    docker.says(tag=json.dumps(CONFIG), registry=said, metadata=TEXT)
    words = ("--repository", "localhost:1/dynamo", "--push", "--allow-unversioned", "--retag")
    done = build(docker, tree, *words, "--format", "json")
    assert done.code == 0, done.err
    layers = json.loads(done.out)["images"][0]["layers"]
    assert [(one["made_by"], one["size"], one["digest"]) for one in layers] == (
        [("", 90, "sha256:1"), ("RUN make", 7, "sha256:2")] if said == json.dumps(MANIFEST) else []
    )


@pytest.mark.parametrize("cut", range(0, len(TEXT), 50))
def test_metadata_that_is_cut_off_loses_no_build(docker, tree, cut):
    docker.says(metadata=TEXT[:cut])
    done = build(docker, tree, "--format", "json")
    assert done.code == 0, done.err
    (image,) = json.loads(done.out)["images"]
    assert (image["status"], image["digest"]) == ("done", "sha256:aa"), "the engine knows it, too"
    assert "metadata.json) cannot be read" in done.err
    assert sealed(tree)[0].status == "done"


@pytest.mark.parametrize("both", [False, True], ids=["build", "matrix"])
def test_a_step_that_should_be_cached_is_explained_beside_the_build_before(docker, tree, both):
    step = {"digest": "b", "name": "[uv_tool 2/2] RUN make", "inputs": ["a"]}
    times = {"started": "2126-01-02T03:04:05Z", "completed": "2126-01-02T03:04:07Z"}
    docker.says(progress=json.dumps({"vertexes": [step | times]}))
    images = ("--target", "runtime", "--target", "frontend") if both else ()
    first = build(docker, tree, *images)
    assert first.code == 0, first.err
    changed = ("--build-arg", "UV_VERSION=0.11.1")
    done = build(docker, tree, *images, *changed, "--expect-cached=uv_tool", "--format", "json")
    assert done.code == 1
    said = json.loads(done.out)
    failures = [cell["failure"] for cell in said["cells"]] if both else [said["failure"]]
    for failure in failures:
        assert "--expect-cached says: argument: UV_VERSION: 0.11.2" in failure["message"]


def test_a_failed_build_says_what_failed_in_json_as_well(docker, tree):
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    docker.says(progress=fake_docker.progress(error, "cc: no such file\nmake: stop\n"), status="1")
    done = build(docker, tree, "--format", "json")
    assert done.code == 1
    one_sentence(done)
    assert "error: the step failed: [ucx 2/2] RUN make" in done.err
    assert "make: stop" in done.err
    said = json.loads(done.out)
    assert (said["status"], said["failure"]["kind"]) == ("failed", "user")
    assert said["failure"]["step"] == "[ucx 2/2] RUN make"
    assert said["failure"]["message"].endswith("exit code: 2")
    assert said["failure"]["lines"] == ["cc: no such file", "make: stop"]
    (image,) = said["images"]
    assert (image["id"], image["status"]) == ("none-runtime-cpu+index", "failed")
    assert (image["failure"], image["tags"]) == (said["failure"], [])
    assert [one.document() for one in sealed(tree)] == [said]


def test_a_failed_build_prints_nothing_for_people_on_stdout(docker, tree):
    docker.says(progress=fake_docker.progress("exit code: 2"), status="1")
    done = build(docker, tree)
    assert (done.code, done.out) == (1, "")


def test_a_build_that_the_builder_refuses(docker, tree):
    docker.says(progress="Dockerfile:2\nERROR: failed to solve: dockerfile parse error\n")
    docker.says(status="1")
    done = build(docker, tree, "--format", "json")
    assert done.code == 1
    assert "the build could not be carried out" in done.err
    assert "dockerfile parse error" in done.err
    assert json.loads(done.out)["failure"]["message"] == (
        "ERROR: failed to solve: dockerfile parse error"
    )


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True)
    options = f"size={size},nr_inodes=64"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


full_disks = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk of its own")


@full_disks
@pytest.mark.parametrize("size", range(0, TREE, 4096))
@pytest.mark.parametrize("error", ["", "exit code: 2"], ids=["good", "failed"])
def test_a_full_disk_below_the_record(docker, tree, size, error):
    """Whatever still fits on it: exit 3 before the solve, or the solve's own end."""
    # A step that prints a lot, so that the disk is full in the middle of it, too.
    text = "".join(f"line {number} of what is printed\n" for number in range(600))
    docker.says(progress=fake_docker.progress(error, text), status="1" if error else "0")
    # Size 0 would be no limit.
    with small_disk(tree / ".dynbuild", size or 1):
        done = build(docker, tree, "--format", "json")
        assert "Traceback" not in done.err
        if any("bake" in line for line in docker.asked):
            assert done.code == (1 if error else 0), done.err
            said = json.loads(done.out)
            assert said["status"] == ("failed" if error else "done")
            assert said["images"][0]["digest"] == ("" if error else "sha256:aa")
            whole = sealed(tree) and not any("is not whole" in line for line in said["warnings"])
            assert whole or "No space left on device" in said["warnings"][-1]
        else:
            assert (done.code, done.out) == (3, "")
            one_sentence(done)
            assert "cannot be written" in done.err
            assert "No space left on device" in done.err
            assert done.hint.startswith("make room on that disk")
            builds = record.builds(tree)
            assert not builds.exists() or list(builds.iterdir()) == []


@full_disks
def test_a_disk_that_is_full_is_both_met_before_and_in_the_solve(docker, tree):
    """The sizes above begin below what is written before the solve, and end above it all."""
    with small_disk(tree / ".dynbuild", 4096):
        assert build(docker, tree).code == 3
    assert not any("bake" in line for line in docker.asked)
    other = tree.parent / "other"
    other.mkdir()
    with small_disk(other / ".dynbuild", TREE):
        done = build(docker, other)
        assert done.code == 0
        assert "is not whole" not in done.err


def test_a_record_folder_that_is_a_file(docker, tree):
    (tree / ".dynbuild").touch()
    done = build(docker, tree)
    assert done.code == 3
    one_sentence(done)
    assert "the build record cannot be written below" in done.err


def test_a_signal_ends_the_build_and_closes_its_record(docker, tree):
    begin = fake_docker.progress().splitlines()[1]
    program = docker.path / "docker"
    program.write_text(
        program.read_text().replace(
            'cat "$here/progress$progress"',
            f"echo '{begin}'; touch \"$here/begun\"; exec sleep 3600",
        )
    )

    over = threading.Event()

    def interrupt():
        while not (docker.path / "begun").exists():
            if over.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        done = build(docker, tree, "--format", "json")
    finally:
        over.set()
        thread.join()
    assert done.code == 130
    one_sentence(done)
    assert "interrupted; the build is cancelled" in done.err
    (result,) = sealed(tree)
    assert (result.status, result.failure.kind) == ("interrupted", "cancelled")
    assert [image.status for image in result.images] == ["cancelled"]
    assert json.loads(done.out) == result.document()


# ---- the builder -------------------------------------------------------------------------


def test_an_engine_that_is_too_old_is_told_before_anything_is_built(docker, tree):
    docker.says(info=json.dumps(fake_docker.INFO | {"ServerVersion": "20.10.24"}))
    done = build(docker, tree)
    assert (done.code, done.out) == (3, "")
    one_sentence(done)
    assert "BuildKit 0.8 of the system engine 20.10.24 is too old: this build needs" in done.err
    assert "dynbuild engine up" in done.hint
    assert not (tree / ".dynbuild").exists()
    assert [line.split()[0] for line in docker.asked] == ["info"]


def test_a_builder_of_its_own_is_named_and_noted(docker, tree):
    node = {"Name": "farm0", "Status": "running", "Version": "v0.25.1"}
    docker.says(builder=json.dumps({"Name": "farm", "Driver": "docker-container", "Nodes": [node]}))
    words = ("--format", "json", "--base-image", "debian")
    for flags, env in (((), {"BUILDX_BUILDER": "farm"}), (("--builder", "farm"), {})):
        done = build(docker, tree, *words, *flags, **env)
        assert done.code == 0, done.err
        assert "on the builder farm (docker-container)" in done.err
        assert json.loads(done.out)["builder"] == {
            "name": "farm", "driver": "docker-container", "buildkit": "0.25",
            "engine": "system",
        }  # fmt: skip


def test_the_builder_of_the_command_line_counts(docker, tree):
    done = build(docker, tree, "--builder", "none", BUILDX_BUILDER="default")
    assert (done.code, done.out) == (3, "")
    assert "the builder 'none' does not answer" in done.err
    assert build(docker, tree, "--builder", "default", BUILDX_BUILDER="none").code == 0
    shown = build(docker, tree, "--builder", "farm", "--dry-run")
    assert "BUILDX_BUILDER=farm " in shown.out


def test_several_platforms_need_a_store_that_can_hold_them(docker, tree):
    docker.says(info=json.dumps(fake_docker.INFO | {"DriverStatus": []}))
    done = build(docker, tree, "--platform", "linux/amd64,linux/arm64")
    assert done.code == 2
    one_sentence(done)
    assert "cannot load as one image" in done.err
    assert "--push" in done.hint


@pytest.mark.parametrize("text", ["null", "{", '["linux"]', "[1, 2, 3]", '["a", "b", {"x": 1}]'])
def test_whatever_an_engine_says_of_a_base_image(docker, tree, text):
    docker.says(base=text)
    assert build(docker, tree).code == 0


def test_a_base_image_that_is_not_there(docker, tree):
    docker.says(base="")
    done = build(docker, tree)
    assert done.code == 3
    one_sentence(done)
    assert "make it: dynbuild engine base --suite trixie" in done.hint
    assert not (tree / ".dynbuild").exists()


def test_a_base_image_for_another_platform(docker, tree):
    manifest = "application/vnd.oci.image.manifest.v1+json"
    docker.says(base=json.dumps(["linux", "arm64", {"mediaType": manifest}]))
    done = build(docker, tree)
    assert done.code == 2
    assert "on this engine is for linux/arm64 only" in done.err


# ---- what was taken from build contexts --------------------------------------------------


def test_the_record_has_what_was_taken_from_a_source(docker, tree, tmp_path):
    ucx = tmp_path / "ucx"
    ucx.mkdir()
    (ucx / "configure").write_text("#!/bin/sh\n")
    done = build(docker, tree, "--source", f"ucx={ucx}", "--format", "json")
    assert done.code == 0, done.err
    text = Path(json.loads(done.out)["record"], "context.json").read_bytes()
    assert set(context.parse(text).contexts["ucx_src"].files) == {"configure"}
    assert "not noted" not in done.err


def test_what_cannot_be_read_of_the_context_fails_no_build(docker, tree, tmp_path):
    ucx = tmp_path / "ucx"
    ucx.mkdir()
    (ucx / ".dockerignore").write_text("[\n")
    done = build(docker, tree, "--source", f"ucx={ucx}", "--format", "json")
    assert done.code == 0, done.err
    assert "the files of the build contexts are not noted: the pattern '['" in done.err


# ---- a build cache that cannot be written --------------------------------------------------


IMPORTED = "importing cache manifest from r.example/cache:main"


def with_export(error):
    """The progress of a good build whose build cache was not written."""
    times = {"started": "2126-01-02T03:04:07Z", "completed": "2126-01-02T03:04:08Z"}
    export = {"digest": "sha256:2", "name": "exporting cache to registry", "error": error, **times}
    return f"{fake_docker.progress()}{json.dumps({'vertexes': [export]})}\n"


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        ("error writing layer blob: blob unknown to registry", 3),
        ("error writing manifest blob: unexpected status: 400 Bad Request", 3),
        ("failed to push: unexpected status: 401 Unauthorized", 1),
    ],
)
def test_a_cache_that_is_not_written_is_tried_again_and_told(
    docker, tree, error, tries, monkeypatch
):
    monkeypatch.setattr("dynbuild.build.retry.delay", lambda *_: 0.0)
    docker.says(progress=with_export(error))
    done = build(docker, tree, "--format", "json", "--cache", "registry=r.example/cache")
    assert done.code == 0, done.err
    assert sum("buildx bake" in line for line in docker.asked) == tries
    (result,) = sealed(tree)
    assert (result.status, result.images[0].status) == ("done", "done")
    assert len(result.retries) == tries - 1
    (warning,) = result.warnings
    assert warning == (
        "none-runtime-cpu+index: the build cache was not written, so the next build has none of"
        f" this one: {error}"
    )
    assert f"warning: {warning}" in done.err
    assert result.steps.run == 1


RESET = "read tcp 127.0.0.1:2->127.0.0.1:1: read: connection reset by peer"
UNREAD = """\
echo >> "$here/tries"
tries=$(wc -l < "$here/tries")
if [ "$tries" -gt {failing} ]; then cat "$here/good"; else
    head -n 1 "$here/progress"
    # A step that goes on without the cache, until it is interrupted.
    [ "$tries" -gt {waiting} ] || sleep 60
    cat "$here/good"
fi
"""


def with_import(docker, error, **more):
    """Let builds read a cache, which fails; until then steps run."""
    export = with_export(error).replace("exporting cache to registry", IMPORTED)
    docker.says(progress=export.splitlines()[-1] + "\n", good=fake_docker.progress())
    docker.says(play=UNREAD.format(**more))


def test_a_cache_that_a_fault_kept_from_being_read_is_asked_for_again(docker, tree, monkeypatch):
    monkeypatch.setattr("dynbuild.build.retry.delay", lambda *_: 0.0)
    with_import(docker, RESET, failing=2, waiting=2)
    done = build(docker, tree, "--format", "json", "--cache-from", "r.example/cache:main")
    assert done.code == 0, done.err
    (result,) = sealed(tree)
    assert [(one.step, one.message) for one in result.retries] == [(IMPORTED, RESET)] * 2
    assert (result.warnings, result.steps.run) == ((), 1)
    assert {path.name for path in Path(result.record).glob("events*")} == {
        "events.jsonl", "events-1.jsonl", "events-2.jsonl",
    }  # fmt: skip


def test_a_cache_that_stays_away_costs_no_build_and_no_try_of_a_step(docker, tree, monkeypatch):
    monkeypatch.setattr("dynbuild.build.retry.delay", lambda *_: 0.0)
    with_import(docker, RESET, failing=9, waiting=2)
    docker.says(good=fake_docker.progress("connection reset by peer"), status="1")
    done = build(docker, tree, "--format", "json", "--cache-from", "r.example/cache:main")
    assert done.code == 1
    (result,) = sealed(tree)
    assert [one.step for one in result.retries] == [IMPORTED] * 2 + ["[ucx 2/2] RUN make"] * 2
    assert result.failure.step == "[ucx 2/2] RUN make"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RESET, True),
        ("unexpected status from GET request to http://r/v2/x: 401 Unauthorized", True),
        ("r.example/cache:main: not found", False),
    ],
)
def test_a_cache_that_is_not_read_is_told_unless_there_is_none(
    docker, tree, error, told, monkeypatch
):
    with_import(docker, error, failing=9, waiting=2 if error == RESET else 0)
    monkeypatch.setattr("dynbuild.build.retry.delay", lambda *_: 0.0)
    done = build(docker, tree, "--format", "json", "--cache-from", "r.example/cache:main")
    assert done.code == 0, done.err
    (result,) = sealed(tree)
    assert len(result.retries) == (2 if error == RESET else 0)
    warning = (
        "the build cache r.example/cache:main was not read, so steps that it has may have run"
        f" again: {error}"
    )
    assert result.warnings == ((warning,) if told else ())
    assert (warning in done.err) is told


def test_a_cache_that_is_written_at_the_second_try_is_no_warning(docker, tree, monkeypatch):
    def better(*_):
        docker.says(progress=fake_docker.progress())
        return 0.0

    monkeypatch.setattr("dynbuild.build.retry.delay", better)
    docker.says(progress=with_export("blob unknown to registry"))
    done = build(docker, tree, "--cache", "registry=r.example/cache")
    assert done.code == 0, done.err
    (result,) = sealed(tree)
    assert (result.warnings, len(result.retries)) == ((), 1)


@pytest.mark.parametrize("what", ["exporting cache to registry", IMPORTED])
def test_a_step_that_fails_comes_before_a_cache_that_fails(docker, tree, what):
    lost = with_export("status: 401 Unauthorized").splitlines()[-1]
    lost = lost.replace("exporting cache to registry", what)
    step = fake_docker.progress("exit code: 2").splitlines()
    docker.says(progress="\n".join((lost, *step)) + "\n", status="1")
    done = build(docker, tree, "--format", "json", "--cache", "registry=r.example/cache")
    assert done.code == 1
    assert json.loads(done.out)["failure"]["step"] == "[ucx 2/2] RUN make"


@pytest.mark.network
def test_what_the_check_of_the_compile_cache_asked_again_is_in_the_record(docker, tree, s3):
    with fault_proxy.before(s3.endpoint) as proxy:
        proxy.fail("*", "503", 1)
        words = (
            "--use-sccache", "--sccache-bucket", BUCKET, "--sccache-region", REGION,
            "--sccache-endpoint", f"http://{proxy.address}", "--network", "host",
        )  # fmt: skip
        done = build(docker, tree, "--format", "json", *words, **s3.env())
    assert done.code == 0, done.err
    (again,) = json.loads(done.out)["retries"]
    assert again["step"] == "checking the compile cache"
    assert "HTTP 503" in again["message"]
    assert f"{again['message']}: tried again in" in done.err
