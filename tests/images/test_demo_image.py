"""The runtime image of the demo: built for real, looked at from inside, served from."""

from __future__ import annotations

import json

import pytest

from dynbuild.build import recording
from dynbuild.build.record import Record
from dynbuild.report import document
from tests.conftest import DEMO, ROOT
from tests.images import recorded
from tests.session import NAME as RUN

IMAGE = f"{RUN}/demo:latest-none-runtime-cpu-index"


@pytest.fixture(scope="module")
def demo(build):
    return build("--repository", f"{RUN}/demo")


@pytest.fixture(scope="module")
def inside(demo, docker):
    """Run a shell line in the image, as its own user; what it prints."""

    def run(line: str, *flags: str) -> str:
        assert demo["images"]
        return docker("run", "--rm", "--network", "none", *flags, IMAGE, "bash", "-c", line)

    return run


def test_report_names_digest_size_and_tags(demo, docker):
    (image,) = demo["images"]
    assert IMAGE in image["tags"]
    assert image["digest"] == docker("image", "inspect", "--format", "{{.Id}}", IMAGE)
    assert image["size"] > 10**8


def test_record_is_complete(demo):
    record = ROOT / demo["record"]
    names = {path.name for path in record.iterdir()}
    assert names >= {
        "plan.json", "bake.json", "Dockerfile", "log", "events.jsonl", "metadata.json",
        "result.json",
    }  # fmt: skip
    result = json.loads((record / "result.json").read_text())
    assert result["status"] == "done"
    assert result["images"] == demo["images"]
    metadata = json.loads((record / "metadata.json").read_text())
    assert (
        metadata["none-runtime-cpu--index"]["containerimage.digest"] == demo["images"][0]["digest"]
    )
    assert recorded.solve(demo).counts() == demo["steps"]


def test_the_path_and_its_waits_are_the_time_of_the_build(demo):
    made = document.of(recording.read(Record(ROOT / demo["record"])))
    assert made.missing == ()
    assert sum(part.seconds for part in made.path) == pytest.approx(demo["seconds"], rel=0.01)
    own = sum(made.steps[n].seconds for n in {p.step for p in made.path if not p.wait})
    assert own + made.waited == pytest.approx(demo["seconds"], rel=0.01)


def test_layers_are_those_of_the_engine(demo, docker):
    (image,) = demo["images"]
    sizes = docker("image", "history", "--human=false", "--format", "{{.Size}}", IMAGE).split()
    assert [layer["size"] for layer in image["layers"]] == [
        int(size) for size in reversed(sizes) if size != "0"
    ]
    there = json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", IMAGE))
    assert [layer["digest"] for layer in image["layers"]] == [
        digest for digest in there if digest in {layer["digest"] for layer in image["layers"]}
    ]
    assert all(layer["digest"] for layer in image["layers"])


def test_second_build_runs_no_step_and_gives_the_same_image(demo, build):
    again = build("--repository", f"{RUN}/demo")
    assert again["steps"]["run"] == 0
    assert again["steps"]["cached"] > 20
    assert again["images"][0]["digest"] == demo["images"][0]["digest"]
    assert again["images"][0]["layers"] == demo["images"][0]["layers"]


def test_new_commit_makes_no_new_layer(demo, build, docker):
    assert demo["images"]
    other = build(
        "--tag", f"{RUN}/demo:other", "--no-tag-latest",
        env={"DYNAMO_COMMIT_SHA": "1" * 40},
    )  # fmt: skip
    assert other["steps"]["run_instructions"] == 0
    layers = ["image", "inspect", "--format", "{{json .RootFS.Layers}}"]
    assert docker(*layers, f"{RUN}/demo:other") == docker(*layers, IMAGE)
    seen = docker("run", "--rm", f"{RUN}/demo:other", "printenv", "DYNAMO_COMMIT_SHA")
    assert seen == "1" * 40


def test_user_is_dynamo_in_group_0(inside):
    assert inside("id -u; id -g; id -un; echo $HOME").split() == [
        "1000", "0", "dynamo", "/home/dynamo",
    ]  # fmt: skip


def test_umask_holds_for_the_main_process_and_login_shells(inside):
    assert inside("umask; bash -l -c umask").split() == ["0002", "0002"]


@pytest.mark.parametrize(
    "path", ["/workspace", "/home/dynamo", "/home/dynamo/.cache", "/opt/dynamo/venv"]
)
def test_group_may_write(inside, path):
    assert inside(f"stat -c '%G %A' {path}").split()[0] == "root"
    # Any user id of group 0 may write: that is how OpenShift runs images.
    inside(f"touch {path}/probe", "--user", "4711:0")


def test_a_user_that_the_image_does_not_know_has_a_name_a_home_and_caches(inside):
    """As OpenShift runs images, and as PyTorch asks (getpass.getuser)."""
    line = (
        "import getpass, pathlib; home = pathlib.Path.home();"
        " [(home / name).mkdir(parents=True) for name in ('.cache/torch/x', '.triton/x')];"
        " print(getpass.getuser(), home)"
    )
    assert inside(f'python -c "{line}"', "--user", "1000660000:0") == "dynamo /home/dynamo"


def test_what_the_build_created_is_group_writable(inside):
    found = inside("find /opt/dynamo/venv ! -type l ! -perm -g+w | head -3")
    assert found == ""


def test_nothing_in_home_or_venv_belongs_to_root(inside):
    assert inside("find /home/dynamo /opt/dynamo/venv -user root | head -3") == ""


def test_dynamo_modules_import(inside):
    line = "import dynamo.runtime, dynamo.frontend, dynamo.mocker, dynamo._core; print('fine')"
    assert inside(f'python -c "{line}"') == "fine"


def test_tools_are_where_they_belong(inside):
    found = inside("nats-server --version; /usr/local/bin/etcd/etcd --version; uv --version")
    assert "nats-server: v2.10" in found
    assert "etcd Version: 3.5" in found
    assert "uv 0.11.2" in found


def test_ucx_is_compiled_and_every_library_resolves(inside):
    assert "Version 1.13.1" in inside("ucx_info -v")
    libraries = "$(find /usr/local/ucx -name '*.so*' -type f; command -v ucx_info)"
    assert inside(f"ldd {libraries} | grep 'not found' || echo none") == "none"
    assert inside("ldd $(command -v ucx_info) | grep -c /usr/local/ucx/lib") != "0"


def test_no_compiler_and_no_rust_in_the_runtime_image(inside):
    missing = "for tool in gcc g++ cargo rustc meson; do command -v $tool; done; echo none"
    assert inside(missing) == "none"


def test_labels_say_what_was_built(demo, docker):
    assert demo["images"]
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", IMAGE))
    plan = json.loads((ROOT / demo["record"] / "plan.json").read_text())
    assert labels["org.opencontainers.image.version"] == plan["version"]["tag"]
    assert labels["dynbuild.dirty"] == str(plan["version"]["dirty"]).lower()
    assert labels["dynbuild.image"] == "none-runtime-cpu+index"


def test_site_certificates_are_not_in_the_image(inside):
    assert inside("ls /run/secrets 2>/dev/null; printenv SSL_CERT_FILE || echo none") == "none"


def test_index_address_with_a_password_stays_out_of_everything(demo, build, docker):
    """The index never answers, so every step has to be known; what was given must not show.

    A site's index may tell no dates, so its steps are others unless the date is given.
    """
    secret = "hunter2-never-shown"
    plan = json.loads((ROOT / demo["record"] / "plan.json").read_text())
    date = plan["images"][0]["build_args"]["UV_EXCLUDE_NEWER"]
    report = build(
        "--tag", f"{RUN}/demo:secret", "--no-tag-latest",
        "--build-arg", f"UV_EXCLUDE_NEWER={date}",
        env={"DYNBUILD_INDEX_URL": f"https://user:{secret}@127.0.0.1:9/simple"},
    )  # fmt: skip
    record = ROOT / report["record"]
    for path in record.iterdir():
        assert secret not in path.read_text(), path.name
    assert secret not in docker("image", "inspect", f"{RUN}/demo:secret")
    assert secret not in docker("history", "--no-trunc", f"{RUN}/demo:secret")


def test_image_serves_a_completion(demo, dynbuild):
    """The launcher starts it; NATS, etcd, mocker and frontend answer a question."""
    assert demo["images"]
    done = dynbuild(
        "run", "--image", IMAGE, "--gpus", "none", "--network", "none",
        "-v", f"{DEMO}:/demo:ro", "--", "python", "/demo/serve.py", "ask", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["models"]["data"][0]["id"] == "tiny-demo"
    assert answer["completion"]["choices"][0]["message"]["content"].strip()
    assert answer["completion"]["usage"]["completion_tokens"] > 0
