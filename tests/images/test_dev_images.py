"""dev and local-dev of the example tree, from inside: as root, and as somebody's own user."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import support
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/dev"
DEV = f"{REPOSITORY}:latest-none-cpu"
LOCAL_DEV = f"{REPOSITORY}:latest-none-local-dev-cpu"
FLAGS = (
    "--dynamo-wheels", "source", "--repository", REPOSITORY,
    "--enable-kvbm", "--enable-gpu-memory-service", "--compression", "none",
)  # fmt: skip
LAYERS = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return support.workspace(tmp_path_factory.mktemp("tree") / "workspace", "v0.9.0")


@pytest.fixture(scope="module")
def dev(build, tree):
    return build("--context", str(tree), *FLAGS, "--target", "dev")


@pytest.fixture(scope="module")
def root(dev, container):
    """Runs a shell line in a container of dev, as its own user."""
    assert dev["images"]
    return container(DEV)


# ---- dev -------------------------------------------------------------------------------


def test_dev_starts_as_root_in_the_workspace(dev, docker):
    """The whole way in: entrypoint, user, working directory."""
    assert dev["images"]
    said = docker("run", "--rm", "--network", "none", DEV, "bash", "-c", "id -u; id -g; pwd; umask")
    assert said.split() == ["0", "0", "/workspace", "0002"]


def test_layers_are_not_packed(dev, docker):
    """With gzip they take a third of what they are unpacked; those of the base are as they came."""
    sizes = docker("history", "--human=false", "--format", "{{.Size}}", DEV).split()
    assert dev["images"][0]["size"] > 0.8 * sum(map(int, sizes))


def test_dev_tags(dev):
    assert dev["images"][0]["tags"] == [f"{REPOSITORY}:v0.9.0-none-dev-cpu", DEV]


TOOLS = """
gdb valgrind strace ltrace gcc clang clang++ cmake ninja meson autoconf patchelf cargo rustc protoc
maturin uv python python3 git git-lfs rg fdfind jq yq tree vim nano tmux zsh fish htop sudo
curl wget rsync ping ip ssh nats-server etcd ucx_info
"""


def test_tools_are_there(root):
    tools = " ".join(TOOLS.split())
    assert root(f"for tool in {tools}; do command -v $tool >/dev/null || echo $tool; done") == ""


def test_tools_run(root):
    said = root("gdb --version; cargo --version; protoc --version; maturin --version; git lfs env")
    assert "GNU gdb" in said
    assert "cargo 1." in said
    assert "libprotoc" in said
    assert "maturin 1.11.5" in said
    assert 'git config filter.lfs.process = "git-lfs filter-process"' in said


def test_dev_environment(root):
    found = _environment(root("env"))
    expected = {
        "USER": "root",
        "LOGNAME": "root",
        "WORKSPACE_DIR": "/workspace",
        "DYNAMO_HOME": "/workspace",
        "CARGO_HOME": "/usr/local/cargo",
        "CARGO_TARGET_DIR": "/workspace/target",
        "VIRTUAL_ENV": "/opt/dynamo/venv",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["PATH"].split(":")[:3] == [
        "/opt/uv/bin", "/opt/dynamo/venv/bin", "/usr/local/cargo/bin",
    ]  # fmt: skip
    assert len(found["DYNAMO_COMMIT_SHA"]) == 40
    # Cargo is the distribution's here, so there is no toolchain of rustup to point to.
    assert "RUSTUP_HOME" not in found


def test_login_shell_of_dev_finds_the_same_programs(root):
    line = "command -v python ucx_info maturin nats-server cargo"
    found = root(line, shell=("bash", "-lc")).split()
    assert found[:3] == [
        "/opt/dynamo/venv/bin/python",
        "/usr/local/ucx/bin/ucx_info",
        "/opt/dynamo/venv/bin/maturin",
    ]
    assert len(found) == 5


def test_what_the_tree_requires_is_installed_with_test_tools_and_linters(root):
    said = root("uv pip list --format freeze").split()
    assert {"msgpack==1.1.2", "mypy==1.18.2", "pytest==8.4.2"} <= set(said)


def test_edit_in_the_tree_is_seen_without_an_install(root):
    module = "/workspace/components/src/dynamo/hello/edited.py"
    root(f"echo \"WORD = 'seen'\" > {module}")
    line = (
        "cd / && python -c 'from dynamo.hello import edited; print(edited.__file__, edited.WORD)'"
    )
    assert root(line).split() == [module, "seen"]
    root("echo 'ITEM = 7' > /workspace/benchmarks/hello_bench/edited.py")
    assert root("cd / && python -c 'from hello_bench import edited; print(edited.ITEM)'") == "7"


def test_tests_of_the_tree_pass_with_pytest(root):
    said = root("cd /workspace && python -m pytest -q -p no:cacheprovider")
    assert "6 passed" in said
    assert "skipped" not in said


def test_cargo_builds_the_tree_without_a_network(root):
    root("cd /workspace && cargo build --locked -p dynamo-run 2>&1", shell=("bash", "-lc"))
    blocks = root("/workspace/target/debug/dynamo-run 2 11 12 13 14 15").splitlines()
    assert [block.split()[1].partition("-")[0] for block in blocks] == ["decode", "decode"]
    assert root("stat -c %A /workspace/target").startswith("drwxrwx")


def test_bindings_are_built_in_place_and_replace_the_wheel(root):
    before = root("python -c 'import dynamo._core as c; print(c.__file__)'")
    assert before.startswith("/opt/dynamo/venv/")
    root("cd /workspace/lib/bindings/python && maturin develop --uv --offline --locked 2>&1")
    after = root("python -c 'import dynamo._core as c; print(c.__file__)'")
    assert after.startswith("/workspace/lib/bindings/python/python/dynamo/_core")
    assert json.loads(root("python -m dynamo.hello 'some words'"))["blocks"]


@pytest.mark.parametrize(
    "path",
    ["/workspace", "/workspace/lib/runtime/src", "/opt/dynamo/venv", "/usr/local/cargo",
     "/home/dynamo"],
)  # fmt: skip
def test_any_user_of_group_0_may_write(root, path):
    root(f"touch {path}/probe && rm {path}/probe", "--user", "4711:0")


def test_nothing_of_the_tree_or_the_venv_is_closed_to_the_group(dev, docker):
    assert dev["images"]
    line = "find /workspace /opt/dynamo/venv ! -type l ! -perm -g+w | head -3"
    assert docker("run", "--rm", "--network", "none", DEV, "bash", "-c", line) == ""


def test_new_commit_runs_no_step_of_dev_and_local_dev(dev, build, tree, docker):
    assert dev["images"]
    build("--context", str(tree), *FLAGS, "--target", "local-dev", "--uid", "5000", "--gid", "5000")
    other = {"DYNAMO_COMMIT_SHA": "1" * 40}
    for target, image, ids in (
        ("dev", DEV, ()),
        ("local-dev", LOCAL_DEV, ("--uid", "5000", "--gid", "5000")),
    ):
        layers = docker(*LAYERS, image)
        tag = f"{REPOSITORY}:other"
        report = build(
            "--context", str(tree), *FLAGS, "--target", target, *ids, "--tag", tag,
            "--no-tag-latest", env=other,
        )  # fmt: skip
        assert report["steps"]["run_instructions"] == 0, target
        assert docker(*LAYERS, f"{tag}-{target}") == layers, target
        seen = docker("run", "--rm", f"{tag}-{target}", "printenv", "DYNAMO_COMMIT_SHA")
        assert seen == "1" * 40


# ---- local-dev -------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Somebody whose ids a local-dev image has.

    Attributes:
        taken: The account of the base image that has the uid, empty if none does.
        group: Name of the group with the gid.
    """

    uid: int
    gid: int
    taken: str
    group: str


PEOPLE = {
    "plain": Person(5000, 5000, "", "dynamo"),
    "gid of a group of the base": Person(5001, 50, "", "staff"),
    "uid and gid of a user of the base": Person(33, 33, "www-data", "www-data"),
    "uid of a user, group root": Person(34, 0, "backup", "root"),
}


@pytest.fixture(scope="module", params=PEOPLE.values(), ids=PEOPLE)
def person(request):
    return request.param


@pytest.fixture(scope="module")
def local(person, dev, build, tree):
    """Name of the local-dev image of *person*."""
    assert dev["images"]
    tag = f"{REPOSITORY}:{person.uid}-{person.gid}"
    report = build(
        "--context", str(tree), *FLAGS, "--target", "local-dev", "--tag", tag, "--no-tag-latest",
        "--uid", str(person.uid), "--gid", str(person.gid),
    )  # fmt: skip
    (image,) = report["images"]
    assert image["tags"] == [f"{tag}-local-dev"]
    return image["tags"][0]


@pytest.fixture(scope="module")
def mine(local, container, tmp_path_factory):
    """Runs a shell line in a container of the image; /host is a folder of this machine."""
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o777)
    run = container(local, "--volume", f"{shared}:/host")
    run.shared = shared
    return run


def test_user_and_groups(mine, person):
    assert mine("whoami") == "dynamo"
    assert mine("id -u; id -g; id -gn").split() == [str(person.uid), str(person.gid), person.group]
    assert mine("id -G").split() == list(dict.fromkeys([str(person.gid), "0"]))
    assert mine("getent passwd dynamo") == (
        f"dynamo:x:{person.uid}:{person.gid}::/home/dynamo:/bin/bash"
    )


def test_every_id_has_one_name(mine):
    assert mine("getent passwd | cut -d: -f3 | sort | uniq -d") == ""
    assert mine("getent group | cut -d: -f3 | sort | uniq -d") == ""
    assert mine("getent passwd | cut -d: -f1 | sort | uniq -d") == ""


def test_user_of_the_base_with_that_uid_keeps_its_name_and_gets_a_free_uid(mine, person):
    assert mine(f"getent passwd {person.uid} | cut -d: -f1") == "dynamo"
    if person.taken:
        moved = mine(f"id -u {person.taken}")
        assert moved == "60000"
        assert mine(f"getent passwd {moved} | cut -d: -f1") == person.taken
    # Nobody else moved, and no group did.
    others = {"www-data": "33", "backup": "34"}
    others.pop(person.taken, None)
    assert {name: mine(f"id -u {name}") for name in others} == others
    assert mine("getent group www-data staff | cut -d: -f1,3").split() == [
        "www-data:33",
        "staff:50",
    ]


def test_sudo_asks_for_nothing(mine):
    assert mine("sudo -n id -u") == "0"
    assert mine("sudo -n stat -c %a /etc/sudoers.d/dynamo") == "440"


PLACES = (
    "/workspace", "/workspace/components/src/dynamo", "/opt/dynamo/venv/bin",
    "/home/dynamo", "/home/dynamo/.cache", "/home/dynamo/.cache/pre-commit",
    "/home/dynamo/.cargo", "/home/dynamo/.commandhistory", "/home/dynamo/.local/lib",
)  # fmt: skip


def test_user_writes_and_the_group_may_too(mine, person):
    line = (
        f"umask 002; for place in {' '.join(PLACES)}; do"
        " mkdir $place/probe && touch $place/probe/file"
        " && stat -c '%u %g %a' $place/probe $place/probe/file"
        " && stat -c '%G %A' $place && rm -r $place/probe; done"
    )
    own = f"{person.uid} {person.gid}"
    said = mine(line).splitlines()
    assert len(said) == 3 * len(PLACES)
    for index, place in enumerate(PLACES):
        folder, file, around = said[3 * index : 3 * index + 3]
        assert (folder, file) == (f"{own} 775", f"{own} 664"), place
        assert around.startswith("root drwxrwx"), place


def test_home_is_the_user_s_and_holds_nobody_else_s_files(mine):
    assert mine("find /home/dynamo ! -user dynamo") == ""
    assert mine("find /home/dynamo -maxdepth 1 -type d ! -perm -g+w") == ""


def test_user_site_packages_are_in_use(mine):
    mine('echo "WORD = 1" > "$(python3 -m site --user-site)/mine.py"')
    line = "/usr/bin/python3 -c 'import mine; print(mine.__file__)'"
    assert mine(line).startswith("/home/dynamo/.local/lib/python3")


def test_user_installs_into_the_venv(mine):
    """The files there belong to the image's own user; the group is what lets them change."""
    before = mine("python -c 'import dynamo.hello as h; print(h.__file__)'")
    assert before.startswith("/workspace/")
    mine("uv pip install --offline --no-deps --reinstall /opt/dynamo/wheelhouse/ai_dynamo-*.whl")
    after = mine("cd / && python -c 'import dynamo.hello as h; print(h.__file__)'")
    assert after.startswith("/opt/dynamo/venv/lib/")
    mine("uv pip uninstall msgpack")
    assert mine("python -c 'import msgpack' 2>&1 || echo gone").endswith("gone")


def test_local_dev_environment(mine):
    found = _environment(mine("env"))
    expected = {
        "HOME": "/home/dynamo",
        "USER": "dynamo",
        "LOGNAME": "dynamo",
        "USERNAME": "dynamo",
        "CARGO_HOME": "/home/dynamo/.cargo",
        "CARGO_TARGET_DIR": "/workspace/target",
        "DYNAMO_HOME": "/workspace",
        "VIRTUAL_ENV": "/opt/dynamo/venv",
    }
    assert {key: found[key] for key in expected} == expected
    assert found["PATH"].split(":")[:4] == [
        "/home/dynamo/.cargo/bin", "/opt/uv/bin", "/usr/local/cargo/bin", "/usr/local/bin",
    ]  # fmt: skip
    assert len(found["DYNAMO_COMMIT_SHA"]) == 40
    assert mine("pwd") == "/home/dynamo"


@pytest.mark.parametrize("shell", ["-lc", "-ic", "-lic"])
def test_shells_of_people(mine, shell):
    """A login shell, one that docker exec starts, and one of an editor's terminal."""
    line = "umask; command -v python; mkdir -p ~/.cargo/bin; echo $PATH"
    umask, python, path = mine(f"{line} 2>/dev/null", shell=("bash", shell)).splitlines()[-3:]
    assert umask == "0002"
    assert python == "/opt/dynamo/venv/bin/python"
    assert path.split(":")[0] == "/home/dynamo/.cargo/bin"


def test_history_is_kept_where_a_volume_can_hold_it(mine):
    line = "echo $HISTFILE; echo $PROMPT_COMMAND"
    assert mine(line, shell=("bash", "-ic")).splitlines() == [
        "/home/dynamo/.commandhistory/.bash_history", "history -a",
    ]  # fmt: skip


def test_entrypoint_of_local_dev(local, docker):
    said = docker("run", "--rm", "--network", "none", local, "bash", "-c", "umask; whoami; pwd")
    assert said.split() == ["0002", "dynamo", "/home/dynamo"]


def test_cargo_works_as_that_user(mine):
    mine("cd /workspace && cargo check --locked -p dynamo-runtime 2>&1")
    assert mine("stat -c %U /workspace/target") == "dynamo"


def test_file_on_a_mount_belongs_to_that_person_outside(mine, person):
    mine("echo text > /host/file && mkdir /host/folder")
    for name in ("file", "folder"):
        state = Path(mine.shared, name).stat()
        assert (state.st_uid, state.st_gid) == (person.uid, person.gid)


def test_local_dev_adds_next_to_nothing_to_dev(local, docker):
    """A recursive chown would have made a copy of all that it touched."""
    assert json.loads(docker(*LAYERS, local))[: len(json.loads(docker(*LAYERS, DEV)))] == (
        json.loads(docker(*LAYERS, DEV))
    )

    def size(image: str) -> int:
        words = ("history", "--human=false", "--format", "{{.Size}}", image)
        return sum(map(int, docker(*words).split()))

    assert size(local) - size(DEV) < 1_000_000


def test_uid_0_is_refused(dynbuild, tree):
    done = dynbuild("build", "--context", str(tree), "--framework", "none", "--device", "cpu",
                    "--target", "local-dev", "--uid", "0")  # fmt: skip
    assert done.returncode == 2
    assert "uid 0 is root's: the user of local-dev cannot have it (from flag --uid)" in done.stderr
    assert "give the uid of the person who will use the image" in done.stderr


def test_root_as_caller_leaves_the_user_the_uid_of_the_image():
    """Root's own uid can be nobody else's; its group is the one of the image anyhow."""
    caller = support.MACHINE.__class__(uid=0, gid=0)
    made = support.make_plan(
        machine=caller, framework="none", device="cpu", target="local-dev", dynamo_wheels="source"
    )
    (image,) = made.images
    assert (image.build_args["USER_UID"], image.build_args["USER_GID"]) == ("1000", "0")
    assert "the caller is root, so dynamo keeps the uid 1000; --uid gives another" in made.warnings


def _environment(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
