"""The compile cache in builds: a real S3 server, a real sccache, real compilers.

UCX itself is compiled through it by ``make bench``; a stub tree of forty C files stands in
for it here, beside the real Rust and C++ of the example tree.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests import s3_server
from tests.conftest import DEMO, ROOT, WORKSPACE
from tests.session import NAME as RUN

STUB = ROOT / "tests" / "data" / "ucx_stub"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own: nothing else writes to its bucket."""
    found = s3_server.start(tmp_path_factory.mktemp("s3"))
    yield found
    s3_server.stop(found)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the example tree: its records are this module's own."""
    path = tmp_path_factory.mktemp("tree") / "workspace"
    shutil.copytree(WORKSPACE, path, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    return path


def flags(server, tree, prefix, *more):
    bucket = () if "--sccache-bucket" in more else ("--sccache-bucket", s3_server.BUCKET)
    repository = () if "--repository" in more else ("--repository", f"{RUN}/cache")
    return (
        "--context", str(tree), "--dynamo-wheels", "source", "--source", f"ucx={STUB}",
        "--enable-kvbm", "--enable-gpu-memory-service", *repository,
        "--use-sccache", *bucket,
        "--sccache-region", s3_server.REGION,
        "--sccache-endpoint", f"http://{server.endpoint}", "--sccache-prefix", prefix,
        "--network", "host", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """A copy of the stub tree, which tests change."""
    path = tmp_path_factory.mktemp("stub") / "ucx"
    shutil.copytree(STUB, path)
    return path


def touched(folder):
    """Another file in *folder* that no compiler reads: the steps that take it run anew."""
    (folder / "CHANGED").write_text(secrets.token_hex())
    return folder


@pytest.fixture(scope="module")
def twice(server, tree, stub, build):
    """Built cold and then warm, every step that compiles run anew."""

    def run():
        touched(tree / "lib" / "gpu_memory_service")
        words = flags(server, tree, "twice", "--target", "wheel_builder", "--no-load")
        return build(*words, "--source", f"ucx={touched(stub)}", env=server.env())

    return run(), run()


def test_everything_that_compiles_goes_through_the_cache(twice):
    cold, _ = twice
    stages = cold["compile_cache"]["stages"]
    assert set(stages) == {"ucx", "ai_dynamo_runtime_wheel", "kvbm_wheel", "gms_wheel"}
    assert stages["ucx"]["misses"] == 40
    assert stages["ai_dynamo_runtime_wheel"]["languages"]["Rust"]["misses"] > 0
    assert stages["gms_wheel"]["languages"]["C/C++"]["misses"] > 0
    assert all(stage["hits"] == 0 for name, stage in stages.items() if name == "ucx")
    assert cold["warnings"] == []


def test_a_second_build_from_scratch_compiles_nothing(twice):
    _, warm = twice
    total = warm["compile_cache"]["total"]
    assert total["hit_rate"] >= 0.99
    for name, stage in warm["compile_cache"]["stages"].items():
        assert stage["hits"] > 0, name
        assert stage["misses"] == 0, name
    assert warm["warnings"] == []


def test_the_record_has_the_figures(twice):
    _, warm = twice
    result = json.loads((ROOT / warm["record"] / "result.json").read_text())
    assert result["compile_cache"] == warm["compile_cache"]


def test_objects_are_below_the_prefix_and_the_architecture(twice, server):
    assert twice
    found = server.client().list_objects_v2(Bucket=s3_server.BUCKET, Prefix="twice/")
    keys = [entry["Key"] for entry in found["Contents"]]
    assert len(keys) >= 40
    assert all(key.startswith("twice/amd64/") or ".dynbuild" in key for key in keys)


def test_a_summary_for_people(twice, server, tree, stub, dynbuild):
    assert twice
    words = flags(server, tree, "twice", "--target", "wheel_builder", "--no-load")
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), *words,
        "--source", f"ucx={touched(stub)}", env=server.env(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ucx ")]
    assert line.split()[:6] == ["ucx", "40", "40", "0", "0", "100.0"]
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "/" not in line)


def test_a_cache_on_this_engine_needs_no_s3(tree, stub, build):
    """A changed source makes the step new; --no-cache would empty the cache mount."""
    words = (
        "--context", str(tree), "--dynamo-wheels", "index",
        "--repository", f"{RUN}/cache", "--use-sccache=local",
        "--target", "wheel_builder", "--no-load",
    )  # fmt: skip
    build(*words, "--source", f"ucx={touched(stub)}")
    again = build(*words, "--source", f"ucx={touched(stub)}")
    assert again["compile_cache"]["kind"] == "local"
    assert again["compile_cache"]["stages"]["ucx"]["hits"] == 40
    assert again["warnings"] == []


def test_how_fast_and_where_the_cache_is_runs_no_step_again(server, tree, stub, build):
    """Another number of jobs, prefix, bucket and kind of cache."""
    server.client().create_bucket(Bucket="elsewhere")

    def run(prefix, jobs, *more, kind="s3"):
        words = flags(server, tree, prefix, "--target", "wheel_builder", "--no-load", *more)
        at = words.index("--use-sccache")
        return build(
            *words[:at], f"--use-sccache={kind}", *words[at + 1 :], "--source", f"ucx={stub}",
            "--build-arg", f"BUILD_JOBS={jobs}", "--build-arg", f"CARGO_BUILD_JOBS={jobs}",
            env=server.env(),
        )  # fmt: skip

    touched(stub)
    touched(tree / "lib" / "gpu_memory_service")
    first = run("here", 3)
    assert first["steps"]["run"] > 0
    # BuildKit masks such a variable in the names of steps, and nothing of what they print.
    record = ROOT / first["record"]
    assert "****" in (record / "events.jsonl").read_text()
    assert "parallel jobs: 3" in (record / "log").read_text()
    for again in (
        run("here", 2),
        run("there", 1),
        run("there", 1, "--sccache-bucket", "elsewhere", "--sccache-read-only"),
        run("there", 4, kind="local"),
    ):
        assert again["steps"]["run"] == 0, again["steps"]
        assert again["steps"]["cached"] == first["steps"]["run"] + first["steps"]["cached"]


# ---- what goes wrong ---------------------------------------------------------------------


def refused(dynbuild, server, tree, env, *more):
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"),
        *flags(server, tree, "refused", "--target", "wheel_builder", "--no-load", *more), env=env,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    return done.stderr


def test_a_wrong_key_is_found_before_anything_is_built(dynbuild, server, tree):
    env = {**server.env(), "AWS_ACCESS_KEY_ID": "NOBODYKNOWSTHISKEY00"}
    said = refused(dynbuild, server, tree, env)
    assert "the compile cache cannot be used" in said
    assert "--sccache-optional" in said
    assert "building" not in said
    assert "NOBODYKNOWSTHISKEY00" not in said


def test_a_bucket_that_does_not_exist(dynbuild, server, tree):
    said = refused(dynbuild, server, tree, server.env(), "--sccache-bucket", "nowhere")
    assert "nowhere" in said


def test_an_optional_cache_that_cannot_be_used_is_told_of_at_both_ends(server, tree, dynbuild):
    env = {**server.env(), "AWS_SECRET_ACCESS_KEY": "wrong"}
    words = flags(server, tree, "optional", "--target", "dynamo_base", "--no-load")
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), *words, "--sccache-optional", env=env
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    told = [
        number for number, line in enumerate(lines) if "built without the compile cache" in line
    ]
    assert len(told) == 2
    assert any("building none-dynamo_base-cpu" in line for line in lines[told[0] : told[1]])


def test_s3_that_goes_away_in_the_middle_fails_no_build(tmp_path, tree, base_image):
    """The stub source waits half way until the server is gone."""
    assert base_image
    waiting = tmp_path / "ucx"
    shutil.copytree(STUB, waiting)
    (waiting / "WAIT").touch()
    server = s3_server.start(tmp_path / "s3")
    words = [
        *flags(server, tree, "gone", "--target", "wheel_builder", "--no-load"),
        "--source", f"ucx={waiting}", "--format", "json",
    ]  # fmt: skip

    argv = [
        sys.executable,
        "-m",
        "dynbuild",
        "-v",
        "build",
        "--config",
        str(DEMO / "dynbuild.toml"),
    ]
    seen = []
    with subprocess.Popen(
        [*argv, *words], cwd=ROOT, env=os.environ | server.env(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        guard = threading.Timer(1500, process.send_signal, (signal.SIGINT,))
        guard.start()
        try:
            for line in process.stderr:
                seen.append(line)
                if "half way" in line and "echo" not in line:
                    s3_server.stop(server)
            report = json.loads(process.stdout.read())
        finally:
            guard.cancel()
            s3_server.stop(server)
    assert process.returncode == 0, "".join(seen[-40:])
    record = json.loads((ROOT / report["record"] / "result.json").read_text())
    assert record["status"] == "done"
    told = [warning for warning in report["warnings"] if warning.startswith("ucx: ")]
    assert told, report["warnings"]
    assert record["warnings"] == report["warnings"]


# ---- what must not be anywhere -----------------------------------------------------------


@pytest.fixture(scope="module")
def pushed(server, tree, build, registry):
    """An image with its provenance in a registry, and the same in the engine."""
    repository = f"{registry}/secret/dynamo"
    words = flags(server, tree, "secret", "--target", "runtime", "--repository", repository)
    report = build(*words, "--push", env=server.env())
    words = flags(server, tree, "secret", "--target", "runtime")
    loaded = build(*words, "--tag", f"{RUN}/cache:secret", env=server.env())
    return report, loaded, repository


def holds(data, words):
    return [word for word in words if word.encode() in data]


def members(data):
    """*data* and, where it is an archive or compressed, what is in it."""
    yield data
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
        yield data


def test_the_image_and_its_history_hold_no_credentials(pushed, server, docker, tmp_path):
    assert pushed
    words = list(server.keys["full"])
    saved = tmp_path / "image.tar"
    docker("image", "save", "--output", str(saved), f"{RUN}/cache:secret")
    looked = 0
    with tarfile.open(saved) as archive:
        for member in archive:
            if member.isfile():
                for data in members(archive.extractfile(member).read()):
                    assert holds(data, words) == [], member.name
                    looked += 1
    assert looked > 10
    history = docker("history", "--no-trunc", f"{RUN}/cache:secret")
    assert holds(history.encode(), words) == []


def test_record_log_and_provenance_hold_no_credentials(pushed, server, from_registry, registry):
    report, loaded, repository = pushed
    words = server.keys["full"]
    for one in (report, loaded):
        for path in Path(ROOT / one["record"]).iterdir():
            assert holds(path.read_bytes(), words) == [], path.name
    name = repository.removeprefix(f"{registry}/")
    tag = report["images"][0]["tags"][0].rpartition(":")[2]
    index, _ = from_registry(f"{name}/manifests/{tag}")
    for entry in index["manifests"]:
        manifest, _ = from_registry(f"{name}/manifests/{entry['digest']}")
        assert holds(json.dumps(manifest).encode(), words) == []
        if manifest["layers"][0]["mediaType"] == "application/vnd.in-toto+json":
            statement, _ = from_registry(f"{name}/blobs/{manifest['layers'][0]['digest']}")
            assert "predicate" in statement
            assert holds(json.dumps(statement).encode(), words) == []


def test_a_session_token_goes_the_same_way(server, tree, dynbuild):
    """The real server knows no sessions and refuses it: it must not be shown either."""
    token = secrets.token_hex(30)
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"),
        *flags(server, tree, "token", "--target", "wheel_builder", "--no-load"),
        env={**server.env(), "AWS_SESSION_TOKEN": token,
             "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"},
    )  # fmt: skip
    assert done.returncode == 3
    assert "expired" in done.stderr or "ended" in done.stderr
    assert token not in done.stderr + done.stdout
    assert io.StringIO(done.stderr).read()
