import functools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild.errors import RequestError, TemplateError
from dynbuild.plan import stages
from dynbuild.plan.secrets import AWS_ROLE, AWS_SECRETS, WEB_IDENTITY
from dynbuild.render import instructions as reader
from dynbuild.render.dockerfile import _tidy, quote, render
from tests.support import (
    DEMO,
    GOLDEN,
    NONE_CPU,
    NONE_RUNTIME,
    PER_BUILD,
    ROOT,
    TEMPLATES,
    UNKEYED,
    load,
    make_image_job,
)

ALL_ON = {
    "ENABLE_KVBM": "true",
    "ENABLE_GPU_MEMORY_SERVICE": "true",
    "ENABLE_MEDIA_NIXL": "true",
    "ENABLE_MEDIA_FFMPEG": "true",
}
IMAGES = {
    "cuda": NONE_RUNTIME,
    "cpu": NONE_CPU,
    "cuda with everything": {**NONE_RUNTIME, "args": ALL_ON},
    "cpu with everything": {**NONE_CPU, "args": ALL_ON},
    "cuda, published wheels": {**NONE_RUNTIME, "dynamo_wheels": "index"},
    "cpu, published wheels": {**NONE_CPU, "dynamo_wheels": "index==0.9.0"},
    "wheel_builder": {"framework": "none", "target": "wheel_builder"},
    "dynamo_base": {"framework": "none", "target": "dynamo_base"},
}


def text_of(*overlays, templates=TEMPLATES, **asked):
    return render(make_image_job(*overlays, templates=templates, **asked), templates)


@functools.cache
def rendered(name):
    """An image of the table above with its Dockerfile; many tests look at each."""
    overlays = [DEMO / "dynbuild.toml"] if name == "demo" else []
    image = make_image_job(*overlays, **IMAGES.get(name, {}))
    return image, render(image, TEMPLATES)


@pytest.fixture(params=[*IMAGES, "demo"])
def case(request):
    return rendered(request.param)


@pytest.fixture
def image(case):
    return case[0]


@pytest.fixture
def text(case):
    return case[1]


# ---- a small reader of Dockerfiles -------------------------------------------------------


class Stage:
    """A stage as it is written: its name, what it starts from, its instructions."""

    def __init__(self, name, base):
        self.name, self.base = name, base
        self.instructions = []


HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")


def instructions(text):
    """(keyword, rest) of every instruction, continued lines joined, comments left out.

    The text of a here-document is no part of it: nothing there is an instruction.
    """
    joined, pending, ends = [], "", []
    for line in text.split("\n"):
        if ends:
            if line.strip() == ends[0]:
                ends.pop(0)
            continue
        if line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            pending += line[:-1]
        elif pending or line.strip():
            joined.append(pending + line)
            pending = ""
            if joined[-1].split()[0] in ("COPY", "ADD", "RUN"):
                ends = [end for _, end in HEREDOC.findall(joined[-1])]
    assert not pending, "the file ends within an instruction"
    assert not ends, "the file ends within a here-document"
    return [tuple(line.strip().split(None, 1)) for line in joined]


def read(text):
    """The arguments before the first FROM, and the stages in order."""
    arguments, found = {}, []
    for keyword, rest in instructions(text):
        if keyword == "FROM":
            words = rest.split()
            assert words[1:2] == ["AS"], f"a stage without a name: {rest}"
            found.append(Stage(words[2], words[0]))
        elif found:
            found[-1].instructions.append((keyword, rest))
        else:
            assert keyword == "ARG"
            name, _, value = rest.partition("=")
            arguments[name] = value
    return arguments, found


def declared(stage):
    """Names that ARG and ENV of a stage define."""
    names = set()
    for keyword, rest in stage.instructions:
        if keyword == "ARG":
            names.add(rest.split("=")[0].strip())
        elif keyword == "ENV":
            names |= set(re.findall(r"(?:^|\s)(\w+)=", rest))
    return names


def expand(name):
    """The stages that a name with ``${TARGETARCH}`` stands for."""
    return [name.replace("${TARGETARCH}", arch) for arch in ("amd64", "arm64")]


# ---- what every Dockerfile keeps ---------------------------------------------------------


def test_nothing_of_the_templates_is_left(text):
    # A default that is a variable ends with two braces.
    plain = re.sub(r"\$\{\w+:-\$\{\w+\}\}", "", text)
    for mark in ("{{", "}}", "{%", "%}", "{#", "#}"):
        assert mark not in plain


def test_the_text_is_tidy(text):
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n" not in text
    assert "\t" not in text
    assert [line for line in text.split("\n") if line != line.rstrip()] == []


def test_no_instruction_is_broken_by_an_empty_line(text):
    assert not re.search(r"\\\n\n", text)


def test_every_instruction_is_one(text):
    known = {"ARG", "FROM", "RUN", "COPY", "ADD", "ENV", "WORKDIR", "USER", "SHELL"}
    known |= {"ENTRYPOINT", "CMD"}
    assert {keyword for keyword, _ in instructions(text)} <= known


def test_stages_start_from_earlier_ones(image, text):
    arguments, found = read(text)
    seen = {image.recipe.linked}
    for stage in found:
        assert stage.name not in seen
        from_arguments = set(re.findall(r"\$\{(\w+)\}", stage.base)) - {"TARGETARCH"}
        assert from_arguments <= set(arguments)
        if not from_arguments and not re.search("[/:]", stage.base) and stage.base != "scratch":
            assert set(expand(stage.base)) <= seen
        seen.add(stage.name)
    assert found[-1].name == image.plan.stage


def test_files_are_copied_from_earlier_stages(image, text):
    _, found = read(text)
    seen = {image.recipe.linked}
    for stage in found:
        for keyword, rest in stage.instructions:
            sources = re.findall(r"--from=(\S+)", rest) if keyword == "COPY" else []
            mounts = re.findall(r"--mount=(\S+)", rest) if keyword == "RUN" else []
            sources += [name for mount in mounts for name in re.findall(r"from=([^,]+)", mount)]
            assert set(sources) <= seen
        seen.add(stage.name)


def test_a_stage_takes_from_what_the_table_says_that_it_needs(image, text):
    """By whatever instruction it takes; and no stage is there for nothing."""
    defaults, found = reader.read(text)
    taken = {}
    for stage in found:
        names = set()
        for arch in ("amd64", "arm64"):
            values = {**defaults, "TARGETARCH": arch}
            names.add(reader.expand(stage.base, values))
            for one in stage.instructions:
                names.update(reader.origins(one, values))
        taken[stage.name] = names
    table = {stage.name: set(stage.needs) for stage in stages.chain(image.recipe)}
    # A stage with downloads of its own has them in stages that the table does not know.
    for name in table:
        known = closure(table, name) | closure(taken, name) - set(table)
        assert taken[name] & (set(taken) | set(table)) <= known, name
    reached = closure(taken, image.plan.stage) | {image.plan.stage}
    # An argument's usual value may be a stage, which is there for when it is given.
    assert set(taken) <= reached | set(load().catalog.args.values())


def closure(needs, name):
    """All that *name* needs, and what that needs."""
    done, ahead = set(), [name]
    while ahead:
        new = needs.get(ahead.pop(), set()) - done
        done |= new
        ahead += new
    return done


def test_every_variable_is_declared_where_it_is_used(text):
    _, found = read(text)
    by_name = {}
    for stage in found:
        # What the remote images define, as far as it counts.
        below = by_name.get(expand(stage.base)[0], {"PATH", "LD_LIBRARY_PATH"})
        known = set(below) if stage.base != "scratch" else set()
        for keyword, rest in stage.instructions:
            used = set(re.findall(r"(?<!\\)\$\{(\w+)", rest))
            if keyword == "RUN":
                # A shell has variables of its own, and may ask which compiler is set.
                used -= set(re.findall(r"\b(\w+)=", rest)) | set(
                    re.findall(r"\bfor (\w+) in", rest)
                )
                used -= {"CC", "CXX", *re.findall(r"type=secret,id=(\w+),env=\1\b", rest)}
            assert used <= known | {"TARGETARCH"} & declared(stage), f"{stage.name}: {rest}"
            known |= declared_by(keyword, rest)
        by_name[stage.name] = known


def declared_by(keyword, rest):
    alone = Stage("", "")
    alone.instructions.append((keyword, rest))
    return declared(alone)


SYSTEM = {"PATH": "/usr/bin:/bin"}
"""What an image has that sets nothing itself."""


def substitute(value, known):
    """*value* with the variables that are *known*, as a Dockerfile replaces them."""
    value = re.sub(
        r"\$\{(\w+):\+([^}]*)\}", lambda found: found[2] if known.get(found[1]) else "", value
    )
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), value)


def environment(stage, before):
    """The variables after *stage*, which starts from an image with those *before*."""
    now = dict(before)
    for keyword, rest in stage.instructions:
        if keyword == "ENV":
            pairs = re.findall(r"(\w+)=(\S*)", rest)
            now |= {name: substitute(value, now) for name, value in pairs}
    return now


def test_no_path_has_an_empty_part(text):
    """An empty part is the current folder, and programs and libraries are looked for there."""
    after = {}
    for stage in read(text)[1]:
        after[stage.name] = environment(stage, after.get(stage.base, SYSTEM))
        for name, value in after[stage.name].items():
            if name.endswith("PATH") and value:
                assert "" not in value.split(":"), f"{stage.name}: {name}={value}"


def test_an_image_without_native_libraries_has_no_path_of_them(overlay):
    none = overlay("".join(f'sources.{name}.kind = "none"\n' for name in ("ucx", "nixl")))
    for framework in ("vllm", "sglang"):
        text = text_of(none, framework=framework, target="dev")
        test_no_path_has_an_empty_part(text)
        assert "/usr/local/ucx" not in "".join(re.findall(r"LD_LIBRARY_PATH=.*", text))


def test_every_image_that_is_run_has_its_entrypoint():
    for asked in (
        NONE_CPU,
        NONE_RUNTIME,
        *({"framework": one} for one in ("vllm", "trtllm", "sglang")),
    ):
        stage = read(text_of(**{"target": "runtime", **asked}))[1][-1]
        (entry,) = (rest for keyword, rest in stage.instructions if keyword == "ENTRYPOINT")
        (program,) = json.loads(entry)
        assert any(
            keyword == "COPY" and rest.endswith(program) for keyword, rest in stage.instructions
        )


def test_an_argument_is_declared_only_where_it_is_used(text):
    _, found = read(text)
    for stage in found:
        rest = "\n".join(text for _, text in stage.instructions)
        own = {text.split("=")[0] for keyword, text in stage.instructions if keyword == "ARG"}
        if "target=/opt/sccache" in rest:
            # The compile cache reads these from the environment.
            own -= {"TARGETARCH", "USE_SCCACHE"}
        for name in own:
            assert re.search(rf"\$\{{?{name}\b", rest), f"{stage.name} declares {name} in vain"


def test_global_arguments_are_those_of_the_plan(image, text):
    arguments, _ = read(text)
    assert list(arguments) == list(image.plan.keyed_args)
    for name, value in arguments.items():
        expected = "" if name in PER_BUILD else image.plan.build_args[name]
        assert unquote(value) == expected


def test_the_architecture_is_no_global_argument(text):
    arguments, _ = read(text)
    assert not {"TARGETARCH", "ARCH", "ARCH_ALT", "TARGETPLATFORM"} & set(arguments)


def test_the_commit_enters_in_the_last_lines_only(image, text):
    lines = [line for line in text.split("\n") if "DYNAMO_COMMIT_SHA" in line]
    if "DYNAMO_COMMIT_SHA" not in image.plan.build_args:
        assert lines == []
        return
    last = ["ARG DYNAMO_COMMIT_SHA", "ENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}"]
    assert lines == ["ARG DYNAMO_COMMIT_SHA=", *last]
    assert text.endswith("\n".join([*last, ""]))


def test_no_secret_is_demanded(text):
    mounts = re.findall(r"--mount=type=secret,\S+", text)
    assert not [mount for mount in mounts if "required" in mount]
    known = {"ca_bundle", "ca_bundle_path", "index_url", *UNKEYED}
    known |= {*AWS_SECRETS, *AWS_ROLE, WEB_IDENTITY}
    assert {re.search(r"id=([\w-]+)", mount)[1] for mount in mounts} <= known


def test_no_credential_is_an_argument(text):
    arguments, found = read(text)
    names = set(arguments).union(*(declared(stage) for stage in found))
    assert not [name for name in names if re.search(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY", name)]


def test_the_head_says_how_the_file_is_made(image, text):
    head = text.split("\n\n")[0]
    assert head.startswith(f"# {image.name}: rendered by dynbuild ")
    for flag in (
        f"--framework {image.plan.framework}",
        f"--target {image.plan.target}",
        "--device",
    ):
        assert flag in head
    assert all(len(line) <= 90 for line in head.split("\n")[1:])


def test_the_head_names_every_stage_in_order(image, text):
    head = text.split("\n\n")[0].replace("#", " ")
    listed = " ".join(head.split("Stages, each after those it needs:")[1].split())
    assert listed.split(" -> ") == [stage.name for stage in stages.chain(image.recipe)]


# ---- goldens -----------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_committed_dockerfiles(device):
    image = make_image_job(**NONE_RUNTIME, device=device)
    golden = ROOT / "dockerfiles" / image.plan.dockerfile
    assert render(image, TEMPLATES) == golden.read_text(encoding="utf-8"), "run: make generate"


def test_the_dockerfile_of_the_demo():
    golden = GOLDEN / "demo.Dockerfile"
    assert text_of(DEMO / "dynbuild.toml") == golden.read_text(encoding="utf-8"), (
        "run: dynbuild render --context examples/demo --output tests/golden/demo.Dockerfile"
    )


def test_what_belongs_to_one_build_is_not_in_the_file():
    one = make_image_job(**NONE_CPU, args={"DYNAMO_COMMIT_SHA": "a" * 40}, tag="one:x")
    other = make_image_job(**NONE_CPU, args={"DYNAMO_COMMIT_SHA": "b" * 40}, tag="two:y")
    assert render(one, TEMPLATES) == render(other, TEMPLATES)


def test_the_platform_does_not_change_the_text():
    texts = {text_of(**NONE_CPU, platform=[name]) for name in ("linux/amd64", "linux/arm64")}
    assert len(texts) == 1


PROGRAM = """
import json
from pathlib import Path
from dynbuild.plan import machine, planner
from dynbuild.plan.version import Version
from dynbuild.render import dockerfile
from dynbuild.settings import load
templates = load.templates_dir()
env = {"DYNBUILD_FRAMEWORK": "none", "DYNBUILD_TARGET": "runtime"}
env |= {"DYNBUILD_ARG_ENABLE_KVBM": "true", "DYNBUILD_ARG_ENABLE_MEDIA_FFMPEG": "true"}
config = load.load(templates=templates, overlays=(), env=env, flags={})
version = Version(tag="v1", python="1", commit="", dirty=False, origin="")
caller = machine.Machine(uid=1, gid=1)
made = planner.make_plan(config, version=version, context=Path("/x"), machine=caller)
print(json.dumps(made.plan.document()), dockerfile.render(made.images[0], templates))
"""


@pytest.mark.processes("python")
def test_the_same_text_under_two_hash_seeds():
    texts = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1]
    assert "FROM dynamo_base AS runtime" in texts[0]


# ---- what the overlay changes ------------------------------------------------------------


def test_a_component_without_a_source_is_left_out(overlay):
    text = text_of(overlay('[sources.nixl]\nkind = "none"\n'), **NONE_CPU)
    assert not [stage.name for stage in read(text)[1] if "nixl" in stage.name]
    assert "nvda_nixl" not in text
    assert "ARG NIXL_REF" not in text


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('kind = "git"', "ADD https://github.com/openucx/ucx.git#${NIXL_UCX_REF} /"),
        ('kind = "apt"\nsuite = "bookworm"', " source --download-only --tar-only ucx"),
        ('kind = "context"\npath = "/src/ucx"', "FROM scratch AS ucx_src"),
        (
            'kind = "url"\nurl = "https://example.com/${NIXL_UCX_REF}.tar.gz"\n'
            f'sha256 = "{"0" * 64}"',
            f"ADD --checksum=sha256:{'0' * 64} --unpack=true https://example.com/${{NIXL_UCX_REF}}.",
        ),
    ],
    ids=["git", "apt", "context", "url"],
)
def test_kinds_of_sources(overlay, source, wanted):
    image = make_image_job(overlay(f"[sources.ucx]\n{source}\n"), **NONE_CPU)
    text = render(image, TEMPLATES)
    assert wanted in text
    assert "AS ucx_src" in text
    test_a_stage_takes_from_what_the_table_says_that_it_needs(image, text)


@pytest.mark.parametrize(
    ("tool", "wanted"),
    [
        ('uv.kind = "image"', "COPY --from=uv_image /uv /uvx /tool/opt/uv/bin/"),
        ('uv.kind = "pypi"', 'pip install --retries 7 --no-cache-dir "uv==${UV_VERSION}"'),
        ('nats.kind = "apt"', "        nats-server"),
        ('etcd.kind = "apt"', "ln -s /usr/bin/etcd /usr/bin/etcdctl /usr/local/bin/etcd/"),
    ],
)
def test_kinds_of_tools(overlay, tool, wanted):
    image = make_image_job(overlay(f"[tools]\n{tool}\n"), **NONE_CPU)
    text = render(image, TEMPLATES)
    assert wanted in text
    test_a_stage_takes_from_what_the_table_says_that_it_needs(image, text)


def test_downloads_are_checked_where_a_checksum_is_known():
    text = text_of(**NONE_CPU)
    tools = load().catalog.tools.values()
    sums = {text for tool in tools for text in tool.sha256.values() if text}
    used = set(re.findall(r"--checksum=sha256:([0-9a-f]{64})", text))
    assert used
    assert used <= sums


# ---- bad templates -----------------------------------------------------------------------


@pytest.fixture
def templates(tmp_path):
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def refused(templates):
    with pytest.raises(TemplateError) as caught:
        text_of(templates=templates, **NONE_CPU)
    assert caught.value.exit_code == 2
    return caught.value


def change(path, old, new):
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new), encoding="utf-8")


def test_a_template_that_is_missing(templates):
    (templates / "ucx.Dockerfile.j2").unlink()
    error = refused(templates)
    assert error.message == "the stage 'ucx' of none-runtime-cpu has no template"
    assert error.origin == str(templates / "ucx.Dockerfile.j2")
    assert "--templates" in error.hint


def test_a_macro_file_that_is_missing(templates):
    (templates / "_user.j2").unlink()
    assert "_user.j2" in refused(templates).message


def test_a_template_with_a_syntax_error(templates):
    path = templates / "ucx.Dockerfile.j2"
    lines = path.read_text(encoding="utf-8").split("\n")
    lines.insert(4, "{% if %}")
    path.write_text("\n".join(lines), encoding="utf-8")
    error = refused(templates)
    assert error.message.startswith("the template of the stage 'ucx' is malformed: ")
    assert error.origin == f"{path}:5"


def test_a_template_that_uses_an_unknown_name(templates):
    change(templates / "ucx.Dockerfile.j2", "FROM build_tools", "FROM {{ build_toolz }}")
    error = refused(templates)
    assert "'build_toolz' is undefined" in error.message
    assert error.origin == "ucx.Dockerfile.j2"


@pytest.mark.parametrize("expression", ["1 + 'a'", "recipe.packaged('nope')", "1 / 0"])
def test_a_template_that_calculates_nonsense(templates, expression):
    change(templates / "ucx.Dockerfile.j2", "FROM build_tools", f"FROM {{{{ {expression} }}}}")
    assert refused(templates).origin == "ucx.Dockerfile.j2"


_ONLY_ARG = "with one but not in dynbuild/plan/stages.py"
_KEYED = "with one, which would be in the cache key"
_ONLY_MOUNT = "with it but not in dynbuild/plan/stages.py"


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("WORKDIR", "ARG UCX_FLAGS\nWORKDIR", f"{_ONLY_ARG}: UCX_FLAGS"),
        ("FROM build_tools", "FROM ${UCX_BASE}", f"{_ONLY_ARG}: UCX_BASE"),
        ('m.unkeyed(["BUILD_JOBS"])', '""', "without m.unkeyed(): BUILD_JOBS"),
        ('["BUILD_JOBS"]', '["BUILD_JOBS", "MAX_JOBS"]', f"{_ONLY_MOUNT}: MAX_JOBS"),
        ('["BUILD_JOBS"]', '["BUILD_JOBS", "SCCACHE_BUCKET"]', f"{_ONLY_MOUNT}: SCCACHE_BUCKET"),
        ("WORKDIR", "ARG BUILD_JOBS\nWORKDIR", f"{_KEYED}: BUILD_JOBS"),
    ],
    ids=["more", "in FROM", "no secret", "another secret", "no cache", "unkeyed, and an ARG"],
)
def test_a_template_that_disagrees_with_the_stage_table(templates, old, new, hint):
    change(templates / "ucx.Dockerfile.j2", old, new)
    error = refused(templates)
    assert error.message == "the stage 'ucx' and its template disagree on arguments"
    assert error.origin == "ucx.Dockerfile.j2"
    assert error.hint == hint


def test_a_template_that_lacks_an_argument_of_the_stage_table(templates):
    change(templates / "ai_dynamo_wheel.Dockerfile.j2", "ARG PYTHON_VERSION\n", "")
    error = refused(templates)
    assert error.message == "the stage 'ai_dynamo_wheel' and its template disagree on arguments"
    assert error.hint == "without an ARG line: PYTHON_VERSION"


# ---- quoting -----------------------------------------------------------------------------


def unquote(text):
    """The value that a Dockerfile takes from the right-hand side of ``ARG NAME=``."""
    if not text.startswith('"'):
        assert not re.search(r"""[\s"'\\$]""", text)
        return text
    assert text.endswith('"')
    assert len(text) >= 2
    value, rest = "", iter(text[1:-1])
    for char in rest:
        if char == "\\":
            value += next(rest)
            assert value[-1] in '\\"$', f"{char}{value[-1]} is no escape in double quotes"
        else:
            value += char
            assert char not in '"$', f"{char} ends or expands here"
    return value


PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))


@given(PRINTABLE)
@example("")
@example(" two  blanks ")
@example('a"b')
@example("back\\slash\\")
@example("$HOME ${HOME} \\$x")
@example("# no comment")
@example("it's; `touch x` && $(touch y)")
@example("\u00e4\u4e2d\U0001f600")
def test_every_value_survives_quoting(value):
    quoted = quote(value)
    assert unquote(quoted) == value
    assert "\n" not in quoted


@pytest.mark.parametrize(
    "value", ["", "0.9.0", "a/b:c@d", "2.7.4.post1+25.12", "tensorrt-llm==1.3.0rc1", "~/x,y-z_"]
)
def test_a_plain_value_needs_no_quotes(value):
    assert quote(value) == value


@given(PRINTABLE)
@example("x ")
@example("a#b \\")
def test_a_value_reaches_the_rendered_file_whole(value):
    plain = rendered("cpu")[0]
    args = {**plain.plan.build_args, "NIXL_REF": value}
    image = replace(plain, plan=replace(plain.plan, build_args=args))
    line = re.search(r"^ARG NIXL_REF=(.*)$", render_arguments(image), re.MULTILINE)[1]
    assert unquote(line) == value


def render_arguments(image):
    from dynbuild.render.dockerfile import _arguments, _tidy

    return _tidy(_arguments(image))


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"], ids=ascii)
def test_no_value_can_start_a_line_of_its_own(char):
    """The plan refuses such a value; the renderer would not split at it either."""
    with pytest.raises(RequestError, match="BUILD_JOBS has a line break"):
        text_of(**NONE_CPU, args={"BUILD_JOBS": f"4{char}RUN touch /x"})
    assert _tidy(f"ARG A=4{char}RUN touch /x").count("\n") == 1


DEB822 = """\
# The distribution
Types: deb
URIs: http://deb.example.org/debian http://other.example.org/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb deb-src
URIs: http://deb.example.org/security
Suites: trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: x
Components: main

types: deb
uris: http://flat.example.org
suites: ./
"""


@pytest.mark.processes("awk", "git")
def test_the_lists_of_sources_are_read_off_the_newer_form_of_apt(overlay, tmp_path):
    settings = overlay('[sources.ucx]\nkind = "apt"\npackage = "ucx"\n')
    text = render(make_image_job(settings, **NONE_CPU), TEMPLATES)
    (program,) = re.findall(r"awk '(BEGIN .*?)' \\\n", text, re.DOTALL)
    file = tmp_path / "debian.sources"
    file.write_text(DEB822)
    done = subprocess.run(
        ("awk", program.replace("\\\n", "\n"), file), capture_output=True, text=True, check=True
    )
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.pgp]"
    assert done.stdout.splitlines() == [
        f"deb-src {key} http://deb.example.org/debian trixie main contrib",
        f"deb-src {key} http://deb.example.org/debian trixie-updates main contrib",
        f"deb-src {key} http://other.example.org/debian trixie main contrib",
        f"deb-src {key} http://other.example.org/debian trixie-updates main contrib",
        "deb-src http://deb.example.org/security trixie-security main",
        "deb-src http://flat.example.org ./",
    ]


@pytest.mark.processes("git")
def test_a_repository_of_a_profiler_that_is_down_stops_no_image():
    text = render(make_image_job(framework="none", target="dev"), TEMPLATES)
    step = text.split("ARG NSIGHT_SYSTEMS_VERSION")[-1].split("\n\n")[0]
    assert "else rm -f" in step
    assert "is left out" in step
