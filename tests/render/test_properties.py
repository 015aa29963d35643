"""What holds for every Dockerfile: those of the whole matrix, and those of requests drawn at
random with values that try to break out of their instruction."""

from __future__ import annotations

import collections
import functools
import inspect
import re
import subprocess
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.plan import planner, stages
from dynbuild.plan.matrix import EFA_TARGETS
from dynbuild.plan.version import Version
from dynbuild.render import bake
from dynbuild.render.dockerfile import render
from dynbuild.settings import csv_fields
from dynbuild.settings.layers import Origin, Setting
from tests import cells as matrix
from tests.render import test_dockerfile as test_render
from tests.render.test_bake import evaluate
from tests.render.test_dockerfile import HEREDOC, instructions, read, unquote
from tests.support import (
    CATALOG,
    MACHINE,
    PER_BUILD,
    SWITCHES,
    TEMPLATES,
    VERSION,
    WORKSPACE,
    flags,
    load,
    make_job,
    make_plan,
    with_values,
)
from tests.values import legal

# ---- every cell of the matrix ------------------------------------------------------------

RULES = (
    test_render.test_nothing_of_the_templates_is_left,
    test_render.test_the_text_is_tidy,
    test_render.test_no_instruction_is_broken_by_an_empty_line,
    test_render.test_every_instruction_is_one,
    test_render.test_stages_start_from_earlier_ones,
    test_render.test_files_are_copied_from_earlier_stages,
    test_render.test_a_stage_takes_from_what_the_table_says_that_it_needs,
    test_render.test_every_variable_is_declared_where_it_is_used,
    test_render.test_no_path_has_an_empty_part,
    test_render.test_an_argument_is_declared_only_where_it_is_used,
    test_render.test_global_arguments_are_those_of_the_plan,
    test_render.test_the_architecture_is_no_global_argument,
    test_render.test_no_secret_is_demanded,
    test_render.test_no_credential_is_an_argument,
    test_render.test_the_head_says_how_the_file_is_made,
    test_render.test_the_head_names_every_stage_in_order,
)


WITH_ANY_VALUE = RULES[1:]
"""Those that hold whatever the values are: one may look like a template."""


def hold(image, text, rules=RULES):
    """Every rule holds for a Dockerfile."""
    given_to = {"image": image, "text": text}
    for rule in rules:
        rule(**{name: given_to[name] for name in inspect.signature(rule).parameters})


def test_every_cell_keeps_the_rules():
    for name, (image, text) in matrix.dockerfiles().items():
        try:
            hold(image, text)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def last_user(text):
    """Who the image runs as: the last USER of the stage, else that of the one below."""
    found = {stage.name: stage for stage in read(text)[1]}
    stage = list(found.values())[-1]
    while stage:
        users = [rest for keyword, rest in stage.instructions if keyword == "USER"]
        if users:
            return users[-1]
        stage = found.get(stage.base)
    return None


def test_who_an_image_runs_as():
    """People's images run as dynamo; to develop as root there is dev."""
    wanted = dict.fromkeys(("runtime", "runtime-aws", "frontend", "local-dev"), "dynamo")
    wanted |= {"local-dev-aws": "dynamo", "dev": "root", "dev-aws": "root"}
    seen = collections.Counter()
    for name, (image, text) in matrix.dockerfiles().items():
        if image.plan.target in wanted:
            seen[image.plan.target] += 1
            assert last_user(text) == wanted[image.plan.target], name
    assert set(seen) == set(wanted)


def here_documents(text):
    """The texts of all here-documents but those in Python."""
    found, body, end, python = [], None, "", False
    for line in text.split("\n"):
        if body is not None:
            if line == end:
                found += [] if python else ["\n".join(body)]
                body = None
            else:
                body.append(line)
        elif (mark := HEREDOC.search(line)) and line.startswith(("COPY ", "RUN ")):
            body, end, python = [], mark[2], line.endswith(".py")
    return found


@pytest.mark.processes("bash")
def test_every_step_and_every_script_is_shell():
    steps = set()
    for _, text in matrix.dockerfiles().values():
        steps |= {rest for keyword, rest in instructions(text) if keyword == "RUN"}
        steps |= set(here_documents(text))
    assert len(steps) > 100
    for step in sorted(steps):
        lines = re.sub(r"^(?:--\w+=\S+\s+)+", "", step)
        done = subprocess.run(
            ["bash", "-n"], input=lines, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), step


@pytest.mark.processes("bash")
def test_the_check_of_the_shell_finds_a_mistake():
    done = subprocess.run(
        ["bash", "-n"], input="if true; then", capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


# ---- one solve for several frameworks ----------------------------------------------------

OWN = {"framework", "runtime", "frontend", "epp", "pytorch_base", "vllm_src"}
"""Stages that belong to one framework."""

ABOVE = {"dynamo_tools", "dev", "local-dev", "runtime-aws", "dev-aws", "local-dev-aws"}
"""Stages that go on from those."""


def parts(text):
    """The text of each stage by its name, all stages of one template together."""
    found = re.split(r"^# ==== (\S+) =+\n", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def neighbours():
    """Pairs of default ``dev`` cells with the same base image and other frameworks."""
    by_base = collections.defaultdict(list)
    for cell in matrix.cells():
        if cell.target == "dev" and cell.variant == "default":
            image, _ = matrix.rendered(cell)
            args = image.plan.build_args
            base = (cell.line, cell.device, args["BASE_IMAGE"], args["BASE_IMAGE_TAG"])
            by_base[base].append(cell)
    return [
        (one, other)
        for cells in by_base.values()
        for number, one in enumerate(cells)
        for other in cells[number + 1 :]
    ]


def test_frameworks_on_one_base_share_their_stages():
    pairs = neighbours()
    named = {frozenset((one.framework, other.framework)) for one, other in pairs}
    assert {"vllm", "sglang"} in named
    assert {"none", "sglang"} in named
    for one, other in pairs:
        (image, text), (_, other_text) = matrix.rendered(one), matrix.rendered(other)
        if not image.recipe.from_source:
            continue  # nothing is compiled
        mine, theirs = parts(text), parts(other_text)
        both = set(mine) & set(theirs) - OWN - ABOVE - {"arguments"}
        differ = {name for name in both if mine[name] != theirs[name]}
        # NIXL's object-store plug-in needs the AWS SDK, which only vllm has; the collecting
        # stage has what the features of a framework bring.
        allowed = {"wheel_builder"}
        if "aws_sdk_cpp" in set(mine) ^ set(theirs):
            allowed.add("nixl")
        if "ffmpeg" in set(mine) ^ set(theirs):
            allowed.add("ai_dynamo_runtime_wheel")
        assert differ <= allowed, f"{one}, {other}"
        wanted = {"build_tools", "python_tools", "rust_tools", "ucx", "ai_dynamo_wheel"}
        assert wanted <= both - differ, f"{one}, {other}"
        if image.plan.device == "cuda":
            assert {"gdrcopy", "libfabric"} <= both - differ


def test_they_share_the_values_of_those_stages_too():
    for one, other in neighbours():
        (image, _), (twin, _) = matrix.rendered(one), matrix.rendered(other)
        mine = {stage.name: stage for stage in stages.chain(image.recipe)}
        theirs = {stage.name: stage for stage in stages.chain(twin.recipe)}
        # The media switches are the features of a framework.
        features = {"ENABLE_MEDIA_NIXL", "ENABLE_MEDIA_FFMPEG"}
        if one.line != matrix.LINES[0]:
            features.add("NIXL_REF")  # that of each engine
        for name in set(mine) & set(theirs) - OWN - ABOVE:
            for arg in set(mine[name].args) - features:
                assert image.plan.build_args[arg] == twin.plan.build_args[arg], (
                    f"{one}, {other}: {arg}"
                )


# ---- requests drawn at random ------------------------------------------------------------

HOSTILE = (
    "",
    " ",
    "a b",
    " leading and trailing ",
    '"',
    "'",
    '"" \'\' "',
    "\\",
    "\\\\",
    "back\\slash\\",
    "ends with \\",
    '\\"',
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "${X:-y}",
    "\\${X}",
    "$(touch /x)",
    "`touch /x`",
    "#",
    "# no comment",
    "a#b",
    "a # b",
    ";",
    "; touch /x",
    "a && b || c",
    "| cat",
    "--flag",
    "-",
    "--from=scratch",
    "<<EOF",
    "<<'EOF' /x",
    "<<-EOF",
    "# syntax=docker/dockerfile:1",
    "# escape=`",
    "# check=skip=all",
    "FROM scratch",
    "ARG BASE_IMAGE=x",
    "{{ x }}",
    "{% x %}",
    "%{if true}x%{endif}",
    "$${x}",
    "%%{x}",
    "=",
    "a=b",
    "=x",
    "[]",
    '["a"]',
    "*",
    "?",
    "~",
    "!",
    "a,b",
    ",target=/",
    "äöü",
    "中文",
    "😀",
    "\u00a0",
    "\u200b",
    "a\ufeffb",
    "\ue000",
    "x" * 300,
)
VALUE = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20).map(
        lambda text: unicodedata.normalize("NFC", text).lstrip("\ufeff")
    ),
    st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join),
)

PINNED = {tool["version"] for tool in CATALOG["tools"].values() if tool.get("sha256")} | {
    name
    for source in CATALOG["sources"].values()
    if source.get("sha256")
    for name in re.findall(r"\$\{(\w+)\}", source["url"])
}
"""Arguments whose value belongs to a checksum."""

CHECKED = (
    PINNED
    | set(SWITCHES)
    | {"USER_UID", "USER_GID", "HAS_TRTLLM_CONTEXT", "CUDA_VERSION"}
    | {name for name in CATALOG["args"] if "SCCACHE" in name or name.startswith("TENSORRTLLM")}
)
"""Arguments that the plan looks into: it may refuse them, or they shape the text."""

FREE = sorted(set(CATALOG["args"]) - CHECKED)

CELLS = sorted(
    {
        (cell.line, cell.framework, cell.target.removesuffix(matrix.AWS), cell.device, cell.cuda)
        for cell in matrix.cells()
    }
)
TOOLS = sorted(CATALOG["tools"])
SOURCES = sorted(CATALOG["sources"])


_NEEDS = {"image": "image", "url": "url", "apt": "package", "pypi": "pypi", "git": "repo"}


def _kinds(table, name):
    """The kinds of a tool or source that the catalog says enough for."""
    there = {key.removesuffix("s") for key in CATALOG[table][name]}
    known = [kind for kind, key in _NEEDS.items() if key in there]
    return [*known, "none", *(["context", "packages"] if table == "sources" else [])]


@st.composite
def requests(draw):
    """A request as the layer of flags that it makes, and the same without its values."""
    line, framework, target, device, cuda = draw(st.sampled_from(CELLS))
    switches = draw(st.dictionaries(st.sampled_from(SWITCHES), st.sampled_from(["true", "false"])))
    asked = {
        "release_line": line,
        "framework": framework,
        "target": target,
        "device": device,
        "cuda_version": cuda,
        "platform": draw(st.sampled_from([["amd64"], ["arm64"], ["amd64", "arm64"]])),
        "dynamo_wheels": draw(st.sampled_from(["source", "index", "index==0.9.1"])),
        "make_efa": draw(st.booleans()) and target in EFA_TARGETS,
        "use_sccache": draw(st.sampled_from(["", "local"])),
    }
    if asked["dynamo_wheels"] != "source":
        switches.setdefault("ENABLE_GPU_MEMORY_SERVICE", "false")
    kinds = {}
    for name in draw(st.sets(st.sampled_from(TOOLS), max_size=2)):
        kinds["tools", name, "kind"] = draw(st.sampled_from(_kinds("tools", name)))
    for name in draw(st.sets(st.sampled_from(SOURCES), max_size=2)):
        kinds["sources", name, "kind"] = draw(st.sampled_from(_kinds("sources", name)))
        kinds["sources", name, "path"] = f"/src/{name}"
        kinds["sources", name, "packages"] = [f"lib{name}"]
    changed = draw(st.sets(st.sampled_from(FREE), max_size=8))
    values = {name: draw(legal(name)) for name in sorted(changed)}
    origin = Origin("flag", "")
    plain = flags(args=switches, **asked)
    plain |= {path: Setting(value, origin) for path, value in kinds.items()}
    return plain | flags(args={**switches, **values}, **asked) | plain, plain


def planned(layer):
    """The plan of the layer that flags make."""
    from dynbuild.settings import load

    config = load.load(templates=TEMPLATES, overlays=(), env={}, flags=layer)
    return planner.make_plan(config, version=VERSION, context=WORKSPACE, machine=MACHINE)


def shape(text):
    """The keywords of each stage in order: what a value may not change."""
    return [
        (stage.name, stage.base, [keyword for keyword, _ in stage.instructions])
        for stage in read(text)[1]
    ]


def seen_by_buildkit(line):
    """The value of an ``ARG`` line, as BuildKit takes its quotes apart."""
    return unquote(line)


ACCEPTED = collections.Counter()


@budget(max_examples=120)
@given(requests())
def test_an_accepted_request_renders_a_valid_dockerfile(drawn):
    layer, plain = drawn
    try:
        made = planned(layer)
    except RequestError as error:
        ACCEPTED[error.message] += 1
        return
    ACCEPTED["accepted"] += 1
    for image, twin in zip(made.images, planned(plain).images, strict=True):
        text = render(image, TEMPLATES)
        hold(image, text, WITH_ANY_VALUE)
        assert shape(text) == shape(render(twin, TEMPLATES))
        for name, value in read(text)[0].items():
            assert seen_by_buildkit(value) == (
                "" if name in PER_BUILD else image.plan.build_args[name]
            )


def test_most_requests_are_accepted():
    """The property above looks at plans and not only at refusals."""
    ACCEPTED.clear()
    test_an_accepted_request_renders_a_valid_dockerfile()
    accepted = ACCEPTED["accepted"]
    assert accepted > ACCEPTED.total() - accepted > 0, ACCEPTED


@functools.cache
def plain_shape(cell):
    line, framework, target, device, cuda = cell
    asked = {"release_line": line, "framework": framework, "target": target, "device": device}
    image = make_job(**asked, cuda_version=cuda).images[0]
    return asked | {"cuda_version": cuda}, shape(render(image, TEMPLATES))


@given(st.sampled_from(CELLS), st.data())
def test_no_value_of_any_argument_breaks_out(cell, data):
    """Every argument of an image at once has a hostile value, whatever the plan says of it."""
    asked, wanted = plain_shape(cell)
    values = {name: data.draw(VALUE, label=name) for name in FREE}
    (image,) = with_values(make_job(**asked), values).images
    text = render(image, TEMPLATES)
    hold(image, text, WITH_ANY_VALUE)
    assert shape(text) == wanted
    for name, value in read(text)[0].items():
        if name in values and name not in PER_BUILD:
            assert seen_by_buildkit(value) == values[name]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_in_every_argument(text):
    asked, wanted = plain_shape(("0.9.0", "vllm", "local-dev", "cuda", "12.9"))
    (image,) = with_values(make_job(**asked), dict.fromkeys(FREE, text)).images
    assert shape(render(image, TEMPLATES)) == wanted


CHANGED = ("\ufeff", "\ufeffa", "e\u0301", "\u212b", "\u1100\u1161")
"""Bake composes characters and drops a byte order mark (see tests/images/test_values.py)."""

LINE_BREAKS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\0", "\\\n")


@pytest.mark.parametrize("end", LINE_BREAKS, ids=ascii)
def test_no_value_may_end_its_line(end):
    with pytest.raises(RequestError, match="NIXL_REF has a line break or a control character"):
        make_plan(framework="none", target="runtime", args={"NIXL_REF": f"1{end}RUN touch /x"})


@pytest.mark.parametrize("text", CHANGED, ids=ascii)
def test_a_value_that_bake_would_change_is_refused(text):
    with pytest.raises(RequestError, match="NIXL_REF has characters that docker buildx bake"):
        make_plan(framework="none", target="runtime", args={"NIXL_REF": text})


@pytest.mark.parametrize("name", sorted(CATALOG["args"]))
def test_no_argument_may_have_a_second_line(name):
    with pytest.raises(RequestError):
        make_plan(framework="none", target="runtime", args={name: "1\nRUN touch /x"})


# ---- settings that are written into the text ---------------------------------------------

WRITTEN = [
    ("sources", "ucx", {"kind": "git"}, "repo"),
    ("sources", "ucx", {"kind": "git"}, "ref"),
    ("sources", "ucx", {"kind": "url", "url": "x"}, "url"),
    ("sources", "ucx", {"kind": "apt"}, "package"),
    ("sources", "ucx", {"kind": "apt"}, "suite"),
    ("tools", "uv", {"kind": "image"}, "image"),
    ("tools", "uv", {"kind": "image"}, "version"),
    ("tools", "uv", {"kind": "pypi"}, "pypi"),
]
ADDRESSES = ("repo", "url", "image")
"""No shell reads these."""

BREAKING = ("a\nRUN touch /x", "a b", 'a"b', "a'b", "a`b", "a;b", "a$(b)", "a|b", "a\\", "a\tb")


@pytest.mark.parametrize("text", BREAKING, ids=ascii)
@pytest.mark.parametrize(("table", "name", "own", "key"), WRITTEN, ids=lambda v: str(v)[:20])
def test_a_setting_that_is_written_into_the_text(table, name, own, key, text):
    """These shape the text, so that a sign which ends a word there is refused."""
    if key in ADDRESSES and text in ("a`b", "a;b", "a|b"):
        text = f"{text} c"
    origin = Origin("overlay", "site.toml:1")
    layer = flags(framework="none", target="runtime", device="cpu")
    layer |= {(table, name, k): Setting(v, origin) for k, v in {**own, key: text}.items()}
    with pytest.raises(RequestError) as caught:
        planned(layer)
    assert key in caught.value.message or name in caught.value.message


LISTS = [
    ("tools", "uv", "image", "files"),
    ("tools", "nats", "apt", "packages"),
    ("sources", "ucx", "packages", "packages"),
]


@pytest.mark.parametrize("text", BREAKING, ids=ascii)
@pytest.mark.parametrize(("table", "name", "kind", "key"), LISTS, ids=lambda v: str(v)[:20])
def test_a_list_that_is_written_into_the_text(table, name, kind, key, text):
    origin = Origin("overlay", "site.toml:1")
    layer = flags(framework="none", target="runtime", device="cpu")
    layer |= {(table, name, "kind"): Setting(kind, origin)}
    layer |= {(table, name, key): Setting(["fine", text], origin)}
    with pytest.raises(RequestError):
        planned(layer)


def test_an_address_with_a_query():
    url = "https://example.com/${NIXL_UCX_REF}.tar.gz?a=1&b=(2);c"
    layer = flags(framework="none", target="runtime", device="cpu")
    origin = Origin("overlay", "site.toml:1")
    for key, value in {"kind": "url", "url": url, "sha256": "0" * 64}.items():
        layer["sources", "ucx", key] = Setting(value, origin)
    (image,) = planned(layer).images
    assert f" {url} /" in render(image, TEMPLATES)


def test_what_the_catalog_itself_says_is_accepted():
    for line in matrix.LINES:
        load(release_line=line)


# ---- the bake definition -----------------------------------------------------------------


@given(VALUE, VALUE)
@example("${HOME}", "%{if x}")
@example("$${x}", "$$${x}")
@example("$$", "%%{")
def test_values_survive_the_definition(one, other):
    version = Version(tag=other, python="1", commit="", dirty=False, origin="")
    made = make_job(
        framework="none",
        target="runtime",
        device="cpu",
        version=version,
        context=f"/src/{one}",
        contexts={"ucx_src": f"/trees/{other}"},
        # A field that has signs of CSV stands in quotes.
        cache_from=[csv_fields.joined(("type=local", f"src=/{one}"))],
    )
    made = with_values(made, {"BUILD_JOBS": one, "NIXL_REF": other})
    (image,) = made.images
    document = bake.definition(made, {image.name: f"/record/{one}"})
    target = document["target"][image.id.bake_target]
    assert {k: evaluate(v) for k, v in target["args"].items()} == image.plan.keyed_args
    assert bake.handed(made.plan)[bake.holder("BUILD_JOBS", one)] == one if one else True
    assert {k: evaluate(v) for k, v in target["labels"].items()} == image.plan.labels
    assert evaluate(target["context"]) == made.plan.context
    assert evaluate(target["dockerfile"]) == f"/record/{one}"
    assert evaluate(target["contexts"]["ucx_src"]) == f"/trees/{other}"
    assert [evaluate(text) for text in target["cache-from"]] == list(image.plan.cache_from)
