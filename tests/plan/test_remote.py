import functools
import re
import tomllib

import pytest

from dynbuild.names import PLATFORMS
from dynbuild.plan import matrix, remote
from dynbuild.plan.machine import Machine
from dynbuild.render.dockerfile import render
from dynbuild.settings import lines
from dynbuild.settings.layers import Origin
from dynbuild.settings.models import Site
from tests.support import CATALOG, DEMO, ROOT, TEMPLATES, load, make_job, names_of

AIRGAP = ROOT / "examples" / "airgap" / "dynbuild.toml"


def _cells():
    for line in (CATALOG["request"]["release_line"], *lines.known(TEMPLATES, {})):
        catalog = load(release_line=line).catalog
        for framework, entry in catalog.frameworks.items():
            for device, row in entry.devices.items():
                for cuda in row.cuda or ("",):
                    for target in entry.targets:
                        yield {
                            "release_line": line,
                            "framework": framework,
                            "target": target,
                            "device": device,
                            "cuda_version": cuda,
                            "make_efa": target in matrix.EFA_TARGETS and device != "xpu",
                        }


CELLS = list(_cells())


def _name(cell):
    kind = f"{cell['framework']}-{cell['target']}-{cell['device']}{cell['cuda_version']}"
    return f"{cell['release_line']}-{kind}"


each_cell = pytest.mark.parametrize("cell", CELLS, ids=_name)


def steps_of(cell):
    """Every instruction that a cell's images carry out, as the catalog alone has it."""
    return _steps(tuple(cell.items()))


@functools.cache
def _steps(cell):
    made, texts = _rendered((), cell)
    return [step for image in made.images for step in remote.steps(image, texts[image.name])]


def places_of(*overlays, **asked):
    made = make_job(*overlays, **asked)
    return remote.of_job(made, _texts(made))


def _texts(made):
    return {image.name: render(image, TEMPLATES) for image in made.images}


@functools.cache
def _rendered(overlays, cell):
    """The job of a cell and its Dockerfiles, for the tests that look at every cell."""
    made = make_job(*overlays, **dict(cell))
    return made, _texts(made)


def _places(*overlays, cell):
    return remote.of_job(*_rendered(overlays, tuple(cell.items())))


@each_cell
def test_every_step_that_goes_to_the_network_has_a_place(cell):
    """Told by what a step says, whatever ``remote`` makes of it."""
    program = re.compile(
        r"id=ca_bundle|id=index_url|(?<![\w/.-])(?:apt-get|apt|dnf|uv|pip|cargo|maturin|meson|curl|wget|rustup-init)"
        r" +(?!remove|uninstall|venv|list|check|cache|config)(?:-\S+ +)*[a-z.\"$]"
    )
    found = 0
    for step in steps_of(cell):
        if not step.text.startswith("RUN"):
            continue
        # The names of packages that are installed are no calls.
        text = re.sub(r"(apt-get|dnf) install .*?(?=&&|$)", r"\1 install x", step.text)
        text = re.sub(r"\buv (pip uninstall|venv)\b", "", text)
        if program.search(text):
            assert step.places, step.text
            found += 1
    assert found or cell["target"] == "dynamo_base"


@each_cell
def test_every_image_and_download_has_a_place(cell):
    for step in steps_of(cell):
        word = step.text.split()[0]
        outside = word == "ADD" and "://" in step.text
        outside |= word == "FROM" and "${" in step.text and "TARGETARCH" not in step.text
        if outside and "trtllm_wheel_image" not in step.stage:
            assert step.places, step.text


@each_cell
def test_by_default_nothing_of_the_catalog_is_covered(cell):
    found = _places(cell=cell)
    assert found
    assert remote.uncovered(found) == found


@each_cell
def test_the_air_gapped_example_covers_every_cell(cell):
    found = _places(AIRGAP, cell=cell)
    assert found
    assert remote.uncovered(found) == ()
    for place in found:
        if place.kind != "meson":
            assert ".example.com" in place.address


KEYS = [
    (table, key) for table, entries in tomllib.loads(AIRGAP.read_text()).items() for key in entries
]
LOCAL_WHEEL = {"tensorrtllm_pip_wheel_dir": "/wheels", "tensorrtllm_commit": "v1.3.0"}
BIGGEST = [cell for cell in CELLS if cell["target"] in ("local-dev", "frontend")]
BIGGEST.append(
    {"release_line": "0.9.0", "framework": "trtllm", "target": "framework", **LOCAL_WHEEL}
)
"""All stages of the matrix are in one of these."""


@functools.cache
def _at_the_site():
    """The cells with their places at the site: of those that contact the same, one."""
    found = {}
    for cell in BIGGEST:
        full = _places(AIRGAP, cell=cell)
        same = frozenset((place.stage, place.kind, place.covered_by) for place in full)
        found.setdefault((cell["release_line"], same), (cell, full))
    return tuple(found.values())


@functools.cache
def _settings(*overlays, **asked):
    return load(*overlays, **asked)


def _covered_by(table, key, cell, full):
    """The places of *full* that nothing covers without the key."""
    if table == "sources":
        # A line that leaves the source out fetches nothing without the key.
        if _settings(release_line=cell["release_line"]).catalog.sources[key].kind == "none":
            return []
        return [place for place in full if place.stage.startswith(key)]
    line = _settings(AIRGAP).origin(table, key).location
    return [place for place in full if re.search(f"{re.escape(line)}( |$)", place.covered_by)]


def _left(keys, cell, tmp_path):
    """What nothing covers at the site without those keys."""
    tree = tomllib.loads(AIRGAP.read_text())
    for table, key in keys:
        del tree[table][key]
    overlay = tmp_path / "dynbuild.toml"
    overlay.write_text(_toml(tree))
    return remote.uncovered(places_of(overlay, **cell))


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda part: part)
def test_without_one_key_exactly_what_it_covers_is_left(table, key, tmp_path):
    """In each cell that the key matters to; there is one for every key."""
    seen = 0
    for cell, full in _at_the_site():
        mine = _covered_by(table, key, cell, full)
        if not mine:
            continue
        seen += 1
        left = _left([(table, key)], cell, tmp_path)
        found = {(place.stage, place.kind) for place in left}
        if table == "sources":
            assert found == {("aws_sdk_cpp_src", "submodules")}
        else:
            assert found == {(place.stage, place.kind) for place in mine}
            assert len(left) == len(mine)
        assert key in " ".join(remote.keys(left))
    assert seen


def test_keys_that_cover_nothing_in_a_cell_are_not_needed_there(tmp_path):
    for cell, full in _at_the_site():
        idle = [key for key in KEYS if not _covered_by(*key, cell, full)]
        assert idle
        assert _left(idle, cell, tmp_path) == ()


def _toml(tree):
    lines = []
    for table, entries in tree.items():
        for key, value in entries.items():
            if isinstance(value, dict):
                lines.append(f"[{table}.{key}]")
                lines += [f'{name} = "{text}"' for name, text in value.items()]
        plain = {key: value for key, value in entries.items() if not isinstance(value, dict)}
        if plain:
            lines.append(f"[{table}]")
            lines += [f'"{key}" = "{value}"' for key, value in plain.items()]
    return "\n".join(lines) + "\n"


def _of(found, **wanted):
    return [
        place
        for place in found
        if all(getattr(place, key) == value for key, value in wanted.items())
    ]


NONE_CPU = {"framework": "none", "target": "runtime", "device": "cpu"}


def test_only_the_asked_architecture_is_contacted():
    cuda = {"framework": "none", "target": "runtime"}
    one = places_of(**cuda)
    both = places_of(**cuda, platform=list(PLATFORMS))
    assert not [place for place in one if "aarch64" in place.address]
    assert [place for place in both if "aarch64" in place.address]
    assert set(one) < set(both)


def test_values_are_filled_in():
    (image,) = _of(places_of(**NONE_CPU), stage="base")
    assert (image.kind, image.address) == ("image", "ubuntu:24.04")
    (ucx,) = _of(places_of(**NONE_CPU, args={"NIXL_UCX_REF": "v1.20.x"}), stage="ucx_src")
    assert ucx.kind == "git"
    assert ucx.address == f"{CATALOG['sources']['ucx']['repo']}#v1.20.x"


def test_a_value_given_by_flag_covers_its_place_and_its_tag_does_not():
    found = places_of(**NONE_CPU, args={"BASE_IMAGE": "registry.example.com/debian"})
    (base,) = _of(found, stage="base")
    assert base.covered_by == "flag --build-arg BASE_IMAGE"
    (base,) = _of(places_of(**NONE_CPU, args={"BASE_IMAGE_TAG": "x"}), stage="base")
    assert base.covered_by == ""


def test_a_folder_in_the_place_of_a_stage_is_no_place(tmp_path):
    found = places_of(**NONE_CPU, contexts={"ucx_src": str(tmp_path)})
    assert not _of(found, stage="ucx_src")
    (place,) = _of(
        places_of(**NONE_CPU, contexts={"ucx_src": "https://git.example.com/ucx.git#v1"}),
        stage="ucx_src",
    )
    assert place.covered_by == "context ucx_src"


@pytest.mark.parametrize("name", ["ubuntu:24.04", "docker.io/library/ubuntu:24.04"])
def test_an_image_in_the_place_of_another_covers_it(name):
    there = "docker-image://registry.example.com/debian:x"
    (place,) = _of(places_of(**NONE_CPU, contexts={name: there}), stage="base")
    assert place.address == "registry.example.com/debian:x"
    assert place.covered_by == f"context {name}"


def test_a_base_made_here_brings_the_machine_s_package_sources():
    found = places_of(**NONE_CPU, args={"BASE_IMAGE": "dynbuild/debian"})
    assert {place.covered_by for place in _of(found, kind="apt")} == {
        "machine, apt's configuration"
    }
    local = {"ubuntu:24.04": "docker-image://dynbuild/debian:trixie"}
    found = places_of(**NONE_CPU, contexts=local)
    assert not _of(found, stage="base")
    assert {place.covered_by for place in _of(found, kind="apt")} == {
        "machine, apt's configuration"
    }
    apt = _of(places_of(**NONE_CPU), kind="apt")
    assert {place.covered_by for place in apt} == {""}
    assert {place.address for place in apt} == {"package sources of ubuntu:24.04"}


def test_the_index_of_the_machine_covers_python():
    machine = Machine(uid=1, gid=1, index_url="https://ada:hunter2@index.example.com/simple")
    found = places_of(**NONE_CPU, machine=machine)
    python = _of(found, kind="python")
    assert {place.covered_by for place in python} == {"machine, pip's configuration"}
    assert "hunter2" not in str(found)


def test_the_demo_contacts_apt_and_python_only():
    found = places_of(DEMO / "dynbuild.toml", context=DEMO)
    assert {place.kind for place in found} == {"image", "apt", "python"}
    assert {place.kind for place in remote.uncovered(found)} == {"python"}


def test_meson_s_subprojects_are_places_of_nixl():
    found = _of(places_of(**NONE_CPU), kind="meson")
    assert {place.stage for place in found} == {"nixl"}
    assert {place.address.split()[-1] for place in found} == set(remote.SUBPROJECTS)


def test_the_settings_that_would_cover_places_are_settings():
    """Each is one of the site's; mirrors and sources are tables of the caller's own keys."""
    made = [remote.Place(stage="x", kind=kind, address="x", covered_by="") for kind in remote._KEYS]
    named = [key for key in remote.keys(made) if key.startswith("[site] ")]
    assert {key.removeprefix("[site] ") for key in named} <= set(names_of(Site))
    assert len(named) == 5


def test_an_address_in_an_argument_is_a_download_of_the_steps_that_use_it():
    found = places_of(framework="trtllm", target="runtime")
    (place,) = _of(found, address=CATALOG["args"]["CUDA_REPO_URL"], stage="runtime")
    assert (place.kind, place.covered_by) == ("download", "")


def test_the_mirror_of_a_tool_s_image_is_what_covers_it(overlay):
    path = overlay(
        '[tools.nats]\nkind = "image"\nimage = "nats"\nfiles = ["/nats-server"]\n'
        '[mirrors]\n"docker.io" = "registry.example.com/docker"\n'
    )
    (place,) = _of(places_of(path, **NONE_CPU), stage="nats_image")
    assert place.address.startswith("registry.example.com/docker/library/nats:")
    assert place.covered_by == f"overlay {path}:6 (mirror of docker.io)"


def test_a_release_image_is_covered_by_its_own_setting(overlay):
    path = overlay('[tensorrt_llm]\nrelease_image = "registry.example.com/trtllm"\n')
    asked = {"framework": "trtllm", "target": "framework"}
    (place,) = _of(places_of(path, **asked), stage="trtllm_wheel_image")
    assert place.address == "registry.example.com/trtllm:1.3.0rc1"
    assert place.covered_by == str(Origin("overlay", f"{path}:2"))
    (place,) = _of(places_of(**asked), stage="trtllm_wheel_image")
    assert place.covered_by == ""


def test_commands_before_the_build_are_places():
    found = places_of(framework="none", target="frontend", device="cpu", build_epp=True)
    (command,) = _of(found, kind="command")
    assert command.address.startswith("make ")
    assert command.covered_by == ""


def test_what_is_pushed_is_a_place_of_the_request():
    found = places_of(**NONE_CPU, output="push", repository="registry.example.com/dynamo")
    pushed = _of(found, kind="push")
    assert {place.covered_by for place in pushed} == {"request"}
    assert len(pushed) == 2


@pytest.mark.parametrize(
    "command",
    ["apt-get update", "apt-get -oAcquire::Retries=5 update", "apt -q -o A=b install x"],
)
def test_options_of_apt_hide_nothing(command):
    assert remote._APT.search(command)


def test_the_reader_of_dockerfiles_leaves_texts_and_comments_out():
    text = """\
FROM scratch AS one
COPY <<'EOF' /x
RUN apt-get update
RUN apt-get update
EOF
# RUN apt-get update
RUN echo a \\
    # a comment
    && apt-get update

FROM one
"""
    one, two = remote._parse(text)
    assert one.steps[0].startswith("COPY")
    assert " ".join(one.steps[1].split()) == "RUN echo a && apt-get update"
    assert len(one.steps) == 2
    assert (two.name, two.base) == ("1", "one")


def test_what_only_a_replaced_stage_needs_is_not_contacted(tmp_path):
    asked = {"framework": "none", "target": "runtime"}
    usual = {place.stage for place in places_of(**asked)}
    left = {place.stage for place in places_of(**asked, contexts={"ucx": str(tmp_path)})}
    assert "ucx_src" in usual
    assert left <= usual - {"ucx", "ucx_src"}
