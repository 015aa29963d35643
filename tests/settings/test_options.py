"""The declarations of options: what derives from them, and that they fit each other."""

import dataclasses
import re
import textwrap
import types
import typing

import pytest

from dynbuild.errors import RequestError
from dynbuild.settings import environment, models, option_tables, request_options, run_options
from dynbuild.settings.layers import Origin
from dynbuild.settings.option import Option
from tests.support import CATALOG, ROOT, call, load, spawn_python

pytestmark = pytest.mark.processes("git", "python")

REQUEST = (*request_options.REQUEST, *request_options.SITE)
KINDS = {"text": str, "integer": int, "switch": bool, "list": list[str]}


def types_of(model):
    return {field.name: field.type for field in dataclasses.fields(model)}


def _kind(annotation):
    """The plain type of a field: without checks and None, text for a choice of words."""
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if isinstance(annotation, types.UnionType):
        (annotation,) = (one for one in typing.get_args(annotation) if one is not type(None))
    return str if typing.get_origin(annotation) is typing.Literal else annotation


@pytest.mark.parametrize(
    ("table", "model"), [("request", models.Request), ("site", models.Site)], ids=str
)
def test_every_field_is_declared_and_of_the_declared_kind(table, model):
    declared = {option.path[1]: option for option in REQUEST if option.path[:1] == (table,)}
    assert set(declared) == set(types_of(model))
    for name, kind in types_of(model).items():
        option = declared[name]
        words = all(isinstance(to, str) for _, to in option.switches)
        wanted = str if option.switches and words else KINDS[option.kind]
        assert _kind(kind) == wanted, name


def test_the_fields_of_run_are_the_declared_ones():
    names = [option.name for option in run_options.SETTINGS]
    assert list(types_of(models.RunProfile)) == names
    assert set(types_of(models.Run)) == {*names, "profile", "profiles"}


@pytest.mark.parametrize(
    "options", [request_options.REQUEST, run_options.RUN], ids=["build", "run"]
)
def test_nothing_is_declared_twice(options):
    for said in (
        [option.name for option in options],
        [spelling for option in options for spelling in option.spellings],
    ):
        assert len(said) == len(set(said))


@pytest.mark.parametrize("option", [*REQUEST, *run_options.RUN], ids=lambda option: option.name)
def test_a_declaration_is_whole(option):
    assert option.help.endswith((".", "…"))
    assert option.spellings or option.path[0] == "site"
    assert option.kind in ("switch", "list", "pairs") or option.flags or not option.spellings
    assert option.merge == "replace" or option.kind == "list"
    assert bool(option.metavar or option.choices) == bool(option.flags)
    re.compile(option.separator)
    if option.path[:1] == ("args",) and option.path[1:]:
        assert option.path[1] in CATALOG["args"]


def test_every_setting_has_a_variable_of_its_own():
    known = environment.variables()
    assert known["DYNBUILD_RUN_SHM_SIZE"].path == ("run", "shm_size")
    assert known["DYNBUILD_OUTPUT"].path == ("request", "output")
    assert known["DYNBUILD_CA_BUNDLE"].path == ("site", "ca_bundle")
    assert {option.path for option in known.values()} == {
        *(option.path for option in REQUEST if option.path[:1] in (("request",), ("site",))),
        *(option.path for option in run_options.SETTINGS),
        ("run", "profile"),
    }


@pytest.mark.parametrize("option", run_options.RUN, ids=lambda option: option.name)
def test_a_default_that_the_help_names_is_the_catalogs(option):
    said = re.search(r"\(default ([^)]+)\)", option.help)
    if said and option.path and not option.default:
        assert said[1] == CATALOG["run"][option.path[1]]


# ---- variables -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "key", "found"),
    [
        ("DYNBUILD_RUN_GPUS", "none", "gpus", "none"),
        ("DYNBUILD_RUN_SHM_SIZE", "2g", "shm_size", "2g"),
        ("DYNBUILD_RUN_RM", "off", "rm", False),
        ("DYNBUILD_RUN_GMS", "1", "gms", True),
        ("DYNBUILD_RUN_PORT", "80:80, 81:81", "port", ["80:80", "81:81"]),
        ("DYNBUILD_RUN_PORT", "80:80\n81:81", "port", ["80:80", "81:81"]),
        ("DYNBUILD_RUN_VOLUME", "/a:/b:ro,z\n/c:/d", "volume", ["/a:/b:ro,z", "/c:/d"]),
        ("DYNBUILD_RUN_ENV", "A=1,2\n\n B=3 ", "env", ["A=1,2", "B=3"]),
        ("DYNBUILD_RUN_PROFILE", "serve", "profile", "serve"),
    ],
)
def test_a_variable_sets_an_option_of_run(variable, text, key, found):
    config = load(env={variable: text})
    assert getattr(config.catalog.run, key) == found
    assert config.origin("run", key) == Origin("environment", variable)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b", ["a", "b"]),
        ("type=registry,ref=example.com/a:b", ["type=registry,ref=example.com/a:b"]),
        (
            "type=local,dest=x,mode=max,type=registry,ref=y,example.com/z",
            ["type=local,dest=x,mode=max", "type=registry,ref=y", "example.com/z"],
        ),
        ("type=gha\ntype=inline", ["type=gha", "type=inline"]),
    ],
)
def test_the_commas_of_a_cache_are_its_own(text, found):
    assert load(env={"DYNBUILD_CACHE_TO": text}).catalog.request.cache_to == found


def test_an_unknown_variable_of_run_gets_the_nearest_name():
    with pytest.raises(RequestError) as caught:
        load(env={"DYNBUILD_RUN_GPU": "all"})
    assert "DYNBUILD_RUN_GPUS" in caught.value.hint


def test_an_empty_variable_of_run_says_nothing():
    env = {option.variable: "" for option in run_options.SETTINGS}
    assert load(env=env).catalog == load().catalog


# ---- values that no program can be given -----------------------------------------------------

LONG = "é" * 128
"""A name of a byte more than a name can have."""
HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ('[run]\ngpus = "a\\u0000b"\n', 2),
        ('[run]\nenv = ["A=1",\n"B=\\u0000"]\n', 2),
        ('[request]\ntag = "\\u0000"\n', 2),
        ('\n[contexts]\nx = "a\\u0000b"\n', 3),
        ('[args]\nNIXL_REF = "\\u0000"\n', 2),
        ('[site]\nca_bundle = "~nosuchuser/pem"\n', 2),
        ('[run]\nvolume = ["~nosuchuser/x:/y"]\n', 2),
        (f'[contexts]\nx = "{LONG}"\n', 2),
    ],
)
def test_a_file_with_what_no_program_can_be_given(tmp_path, text, origin):
    (tmp_path / "dynbuild.toml").write_text(text)
    result = call("run", "--dry-run", "--context", tmp_path)
    assert (result.code, result.out) == (2, "")
    assert f"(from overlay {tmp_path}/dynbuild.toml:{origin})" in result.err
    assert len(result.err.splitlines()) <= 2


@pytest.mark.parametrize(
    "words",
    [
        ("--uid", HUGE),
        ("--context", "~nosuchuser/x"),
        ("--config", "~nosuchuser/x"),
        ("--templates", "~nosuchuser/x"),
        ("--source", "ucx=~nosuchuser/x"),
        ("--build-context", "x=~nosuchuser"),
        ("--context", LONG),
        ("--config", f"x/{LONG}"),
        ("--templates", LONG),
        ("--source", f"ucx={LONG}"),
        ("--ca-bundle", "x/" * 2100),
        ("--context", "a\0b"),
        ("--tag", "a\0b"),
    ],
    ids=lambda words: words[0],
)
def test_a_flag_of_build_with_what_no_program_can_be_given(words):
    result = call("plan", *words)
    assert result.code == 2, result.err
    assert len(result.err) < 600
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("--gpus", HUGE),
        ("--shm-size", HUGE),
        ("--memory", f"{HUGE}g"),
        ("--cpus", HUGE),
        ("--ulimit", f"nofile={HUGE}"),
        ("-p", f"{HUGE}:80"),
        ("--user", HUGE),
        ("--hf-home", "~nosuchuser/x"),
        ("-v", "~nosuchuser/x:/y"),
        ("-v", "/a\0b:/y"),
        ("-e", "A=\0"),
        ("-e", "=1"),
        ("--context", "~nosuchuser/x"),
        ("--context", LONG),
        ("--hf-home", LONG),
    ],
    ids=lambda words: words[0],
)
def test_a_flag_of_run_with_what_no_program_can_be_given(words):
    result = call("run", "--dry-run", *words)
    assert (result.code, result.out) == (2, "")
    assert len(result.err) < 600
    assert "(from flag --" in result.err.splitlines()[0]


# ---- the tables of the documentation --------------------------------------------------------


def test_the_tables_of_the_documentation_are_those_of_the_declarations():
    for page in ("build.md", "launcher.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert option_tables.filled(text, CATALOG) == text
    named = {name for name in option_tables.TABLES if f"<!-- {name} -->" in text}
    assert named == {"flags of run", "settings of run"}


def test_a_page_without_marks_stays_as_it_is():
    assert option_tables.filled("text\n", CATALOG) == "text\n"


# ---- a new option is one declaration ---------------------------------------------------------

ADDED = """
from dynbuild.settings import run_options
from dynbuild.settings.option import Option

added = Option(
    name="hostname",
    flags=("--hostname",),
    path=("run", "hostname"),
    help="Its own name of itself.",
    panel=run_options.CONTAINER,
    metavar="NAME",
    default="made up",
    doc="`--hostname`",
    docker="--hostname",
    compose="hostname",
    pod="hostname",
)
run_options.SETTINGS = (*run_options.SETTINGS, added)
run_options.RUN = (*run_options.RUN, added)
"""


def with_added(code, *argv, env=None):
    """What a program prints in which ``--hostname`` was declared before anything else."""
    return spawn_python(f"{ADDED}\n{textwrap.dedent(code)}", *argv, env=env)


# Models and commands read the declarations when they are imported: a process of its own.
MAIN = "from dynbuild.cli import main; main()"


def test_a_declared_option_is_in_the_help():
    out = with_added(MAIN, "run", "--help").out
    assert re.search(r"--hostname NAME +Its own name of itself\.", out)


def test_a_declared_option_is_in_every_layer(tmp_path):
    def name(*words, env=None):
        argv = ("run", "--dry-run", "--gpus", "none", "--context", tmp_path, *words)
        out = with_added(MAIN, *argv, env=env)
        assert out.code == 0, out.err
        found = re.search(r"--hostname=(\w+)", out.out)
        return found and found[1]

    assert name() is None
    (tmp_path / "dynbuild.toml").write_text(
        '[run]\nhostname = "file"\n[run.profiles.p]\nhostname = "profile"\n'
    )
    assert name() == "file"
    assert name("--profile", "p") == "profile"
    env = {"DYNBUILD_RUN_HOSTNAME": "variable"}
    assert name("--profile", "p", env=env) == "variable"
    assert name("--profile", "p", "--hostname", "flag", env=env) == "flag"


@pytest.mark.parametrize("format_", ["compose", "k8s", "devcontainer", "systemd"])
def test_a_declared_option_is_in_every_export(format_):
    out = with_added(MAIN, "run", "--hostname", "me", "--export", format_).out
    assert re.search(r"hostname(\": |: |=)\"?me", out)


def test_a_declared_option_is_in_the_tables_of_the_documentation():
    code = """
    import tomllib
    from dynbuild.settings import option_tables
    print(*option_tables.flags_of_run({"run": {}, "request": {}}), sep="\\n")
    print(*option_tables.settings_of_run({}), sep="\\n")
    """
    out = with_added(code).out
    assert re.search(r"\| `--hostname NAME` +\| made up +\| `--hostname` +\|", out)
    assert re.search(r"\| `hostname` +\| `DYNBUILD_RUN_HOSTNAME` +\| the highest", out)


def test_a_switch_and_a_list_are_handed_on_too():
    from dynbuild.run import launch
    from dynbuild.run.request import Passed, RunRequest

    passed = (
        Passed(flag="--init", value=True),
        Passed(flag="--no-healthcheck", value=False),
        Passed(flag="--dns", value=("1.1.1.1", "::1")),
    )
    words = launch.argv(RunRequest(image="x", passed=passed))
    assert words[-5:] == (
        "--init=true",
        "--no-healthcheck=false",
        "--dns=1.1.1.1",
        "--dns=::1",
        "x",
    )


def test_a_declaration_needs_only_what_it_says():
    option = Option(name="x", help="X.", flags=("-x",))
    assert (option.flag, option.variable, option.spellings) == ("-x", "", ("-x",))
