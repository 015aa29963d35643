"""``dynbuild df`` and ``dynbuild clean``, with a docker client that is a script."""

import json
import os

import pytest

from dynbuild.build import record
from dynbuild.image_id import LABEL
from dynbuild.matrix import record as matrix_record
from dynbuild.matrix.result import MatrixResult
from tests.report import builds
from tests.support import call

pytestmark = pytest.mark.processes("docker")

INFO = {
    "ServerVersion": "28.5.2",
    "ClientInfo": {"Plugins": [{"Name": "buildx", "Version": "v0.29.1"}]},
}
SCRIPT = """\
#!/bin/sh
here="$(dirname "$0")"
echo "$*" >> "$here/asked"
case "$1 $2" in
"info "*) cat "$here/info" ;;
"system df") cat "$here/df" ;;
"container ls") echo c1 ;;
"container inspect") echo sha256:5 ;;
"image ls") cat "$here/images" ;;
"buildx du") cat "$here/du" ;;
"image inspect") shift 4; for id; do grep "^$id " "$here/labels" | cut -d" " -f2-; done ;;
"image rm") case "$3" in stays*) echo "Error: in use" >&2; exit 1 ;; esac ;;
"buildx prune") ;;
*) exit 99 ;;
esac
"""


def image(number, name, day, *, containers=0, size="100MB"):
    repository, _, tag = name.rpartition(":")
    return {
        "ID": f"sha256:{number}",
        "Repository": repository,
        "Tag": tag,
        "UniqueSize": size,
        "Containers": str(containers),
        "CreatedAt": f"2020-11-{day:02} 10:00:00 +0000 UTC",
    }


def cached(kind, size, *, shared=False, used=False, day=2):
    return {
        "CacheType": kind,
        "Description": "RUN x",
        "Size": size,
        "Shared": str(shared).lower(),
        "InUse": str(used).lower(),
        "LastUsedAt": "",
        "CreatedAt": f"2020-11-{day:02} 10:00:00.327664554 +0000 UTC",
    }


IMAGES = [
    image(1, "dynamo:new", 20),
    image(2, "dynamo:old", 10),
    image(3, "<none>:<none>", 5),
    image(4, "debian:trixie", 1),
    image(5, "stays:1", 3, containers=1),
]
LABELS = {1: "none-runtime-cpu", 2: "none-runtime-cpu", 3: "none-dev-cpu", 4: "", 5: "vllm-dev-cpu"}
CACHE = [
    cached("regular", "2GB"),
    cached("regular", "1GB", shared=True),
    cached("exec.cachemount", "500MB", used=True),
]


@pytest.fixture
def docker(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(SCRIPT)
    (folder / "docker").chmod(0o755)
    (folder / "info").write_text(json.dumps(INFO))
    (folder / "df").write_text(json.dumps({"Images": IMAGES, "BuildCache": CACHE}))
    names = {
        n: [f"{i['Repository']}:{i['Tag']}" for i in IMAGES if i["ID"] == f"sha256:{n}"]
        for n in LABELS
    }
    # The engine's own count has one name of an image.
    names[1].append("dynamo:latest")
    names[3] = []
    labels = {n: {LABEL: text} if text else None for n, text in LABELS.items()}
    said = {n: json.dumps([each, labels[n]]) for n, each in names.items()}
    (folder / "labels").write_text("".join(f"sha256:{n} {said[n]}\n" for n in said))
    return folder


@pytest.fixture
def tree(tmp_path):
    folder = record.builds(tmp_path / "tree")
    for day in (1, 2):
        build_id = f"202611{day:02}T000000-1-none-runtime-cpu"
        builds.recorded(folder, ended=builds.result(), build_id=build_id)
    one = matrix_record.folder(tmp_path / "tree") / "20261103T000000-1-release"
    one.mkdir(parents=True)
    ended = MatrixResult(id=one.name, status="done")
    matrix_record.MatrixRecord(one).write(ended)
    return tmp_path / "tree"


@pytest.fixture
def run(docker, tree):
    def called(*words, env=(), **more):
        env = {"PATH": f"{docker}{os.pathsep}{os.environ['PATH']}", **dict(env)}
        return call(words[0], "--context", tree, *words[1:], env=env, **more)

    return called


def removed(docker):
    asked = docker / "asked"
    lines = asked.read_text().splitlines() if asked.exists() else []
    return [line for line in lines if line.startswith(("image rm", "buildx prune"))]


def test_what_is_on_the_disk(run):
    rows = [line.split("  ") for line in run("df").out.splitlines()[2:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == ["images", "4", "400 MB", "300 MB"]
    assert cells[1] == ["build cache", "3", "2.5 GB", "2 GB"]
    assert cells[2][:2] == ["records", "2"]
    assert cells[3][:2] == ["matrices", "1"]


def test_each_image_and_kind_of_cache(run):
    out = run("df", "-v").out
    assert "dynamo:new" in out
    assert "debian" not in out
    assert "exec.cachemount" in out


def test_for_programs(run):
    read = json.loads(run("df", "--format", "json").out)
    assert read["usage"]["images"] == {"number": 4, "bytes": 400_000_000, "unused": 300_000_000}
    assert read["images"][0]["tags"] == ["dynamo:new", "dynamo:latest"]


def test_without_an_engine_records_are_counted(docker, run):
    (docker / "info").write_text("{}")
    done = run("df")
    assert done.code == 0
    assert "not counted" in done.err
    assert [line.split()[0] for line in done.out.splitlines()[2:]] == ["records", "matrices"]


def test_nothing_goes_without_an_answer(docker, run, tree):
    done = run("clean")
    assert (done.code, "--yes" in done.hint) == (2, True)
    assert run("clean", "--dry-run").code == 0
    assert removed(docker) == []
    assert len(list(record.builds(tree).iterdir())) == 2


def test_everything_that_nobody_uses(docker, run, tree):
    done = run("clean", "--yes")
    assert done.code == 0
    assert removed(docker) == [
        "image rm dynamo:new dynamo:latest",
        "image rm dynamo:old",
        "image rm sha256:3",
        "buildx prune --builder=default --all --force",
    ]
    assert list(record.builds(tree).iterdir()) == []
    assert list(matrix_record.folder(tree).iterdir()) == []


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("--images", "--keep", "1"), ["image rm dynamo:old"]),
        (("--image", "*:old"), ["image rm dynamo:old"]),
        (("--image", "none-dev-*"), ["image rm sha256:3"]),
        (("--images", "--image", "vllm-*"), []),
        (
            ("--cache", "--older-than", "1h"),
            ["buildx prune --builder=default --all --force --filter=until=3600s"],
        ),
        (("--cache", "--older-than", "9999w"), []),
        (("--records",), []),
    ],
)
def test_filters(docker, run, words, gone):
    assert run("clean", "--yes", *words).code == 0
    assert removed(docker) == gone


def test_the_cache_is_that_of_the_engine_that_is_used(docker, run):
    """Not that of docker's first context: its builder has the name default."""
    assert run("clean", "--cache", "--yes", env={"DOCKER_CONTEXT": "rootless"}).code == 0
    assert removed(docker) == ["buildx prune --builder=rootless --all --force"]


def test_records_need_no_engine(docker, run, tree):
    (docker / "info").write_text("{}")
    assert run("clean", "--images", "--yes").code == 3
    assert run("clean", "--records", "--keep", "1", "--yes").code == 0
    assert [path.name[:8] for path in record.builds(tree).iterdir()] == ["20261102"]


def test_what_stays_is_said(docker, run):
    (docker / "df").write_text(json.dumps({"Images": [image(5, "stays:1", 3)]}))
    done = run("clean", "--images", "--yes")
    assert (done.code, "stays:1 stays: Error: in use" in done.err) == (0, True)


def test_an_engine_that_cannot_count_at_once_is_asked_in_parts(docker, run):
    """As Docker cannot while its cache names a snapshot that is not there."""
    whole = [line.split()[:-2] for line in run("df").out.splitlines()[2:]]
    (docker / "df").unlink()
    listed = [json.dumps({**image, "Size": image["UniqueSize"]}) for image in IMAGES]
    (docker / "images").write_text("\n".join(listed))
    flags = {"true": True, "false": False}
    kept = [
        {
            **one,
            "Type": one["CacheType"],
            "Shared": flags[one["Shared"]],
            "Reclaimable": not flags[one["InUse"]],
        }
        for one in CACHE
    ]
    (docker / "du").write_text("\n".join(map(json.dumps, kept)))
    assert [line.split()[:-2] for line in run("df").out.splitlines()[2:]] == whole
    run("df", env={"DOCKER_CONTEXT": "rootless"})
    assert "buildx du --builder=rootless --format json" in (docker / "asked").read_text()
    assert run("clean", "--image", "vllm-*", "--yes").code == 0
    assert not [line for line in removed(docker) if "stays" in line]
