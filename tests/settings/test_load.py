import shutil
from pathlib import Path

import pytest

from dynbuild.errors import NotReady, RequestError, TemplateError
from dynbuild.settings import lines
from dynbuild.settings import load as settings
from dynbuild.settings.layers import Origin, Setting
from tests.support import NONE_CPU, NONE_RUNTIME, TEMPLATES, flags, load, make_image


def refused(*overlays, **asked):
    with pytest.raises(RequestError) as caught:
        load(*overlays, **asked)
    assert caught.value.exit_code == 2
    return caught.value


# ---- the four layers ---------------------------------------------------------------------


def test_the_catalog_alone():
    config = load()
    assert config.catalog.request.framework == "vllm"
    assert config.origin("request", "framework").layer == "catalog"
    assert config.origin("request", "framework").location.startswith("templates/catalog.toml:")


def test_the_line_of_a_catalog_value_is_the_right_one():
    lines = (TEMPLATES / "catalog.toml").read_text(encoding="utf-8").splitlines()
    config = load()
    for path, origin in config.origins.items():
        number = origin.line
        assert path[-1] in lines[number - 1], f"{path} is said to be on line {number}"


def test_each_layer_wins_over_those_below(overlay):
    first = overlay('[args]\nNIXL_REF = "one"\n', "one.toml")
    second = overlay('\n[args]\nNIXL_REF = "two"\n', "two.toml")
    env = {"DYNBUILD_ARG_NIXL_REF": "three"}
    asked = {"args": {"NIXL_REF": "four"}}
    stack = [
        ((), {}, {}, "0.9.0", "catalog"),
        ((first,), {}, {}, "one", f"overlay {first}:2"),
        ((first, second), {}, {}, "two", f"overlay {second}:3"),
        ((second, first), {}, {}, "one", f"overlay {first}:2"),
        ((first, second), env, {}, "three", "environment DYNBUILD_ARG_NIXL_REF"),
        ((first, second), env, asked, "four", "flag --build-arg NIXL_REF"),
    ]
    for overlays, variables, given, value, origin in stack:
        config = load(*overlays, env=variables, **given)
        assert config.catalog.args["NIXL_REF"] == value
        assert str(config.origin("args", "NIXL_REF")).startswith(origin)


def test_a_list_is_replaced_and_not_appended_to(overlay):
    path = overlay('[request]\ncache_from = ["a", "b"]\nplatform = ["linux/arm64"]\n')
    assert load(path).catalog.request.cache_from == ["a", "b"]
    assert load(path, cache_from=["c"]).catalog.request.cache_from == ["c"]
    assert load(path).catalog.request.platform == ["linux/arm64"]


def test_a_value_that_no_file_sets_comes_from_the_model():
    assert load().origin("request", "uid") == Origin("catalog", "default")


# ---- scopes of build arguments -----------------------------------------------------------


def value(*overlays, name="ENABLE_KVBM", framework="vllm", **asked):
    config = load(*overlays, **asked)
    cuda = config.catalog.frameworks[framework].cuda_default
    return settings.args_of(config, framework, "cuda", cuda)[name]


def test_the_special_scope_wins_within_a_layer():
    assert value(framework="vllm").value == "true"
    assert value(framework="none").value == "false"
    assert value(name="BASE_IMAGE").value == "nvcr.io/nvidia/cuda-dl-base"


def test_an_overlay_wins_over_the_special_scopes_of_the_catalog(overlay):
    path = overlay('[args]\nENABLE_KVBM = "false"\nBASE_IMAGE = "mine"\n')
    assert value(path).value == "false"
    assert value(path, name="BASE_IMAGE").value == "mine"
    assert str(value(path).origin) == f"overlay {path}:2"


def test_scopes_fold_within_an_overlay_too(overlay):
    path = overlay(
        '[frameworks.vllm.devices.cuda.cuda."12.9"]\nBASE_IMAGE = "special"\n'
        '[frameworks.vllm.args]\nBASE_IMAGE = "framework"\nENABLE_KVBM = "false"\n'
        '[args]\nBASE_IMAGE = "general"\nENABLE_KVBM = "true"\n'
    )
    assert value(path, name="BASE_IMAGE").value == "special"
    assert value(path).value == "false"


def test_environment_and_flags_win_over_every_scope(overlay):
    path = overlay('[frameworks.vllm.args]\nENABLE_KVBM = "false"\n')
    assert value(path, env={"DYNBUILD_ARG_ENABLE_KVBM": "true"}).value == "true"
    both = value(path, env={"DYNBUILD_ARG_ENABLE_KVBM": "true"}, args={"ENABLE_KVBM": "false"})
    assert (both.value, str(both.origin)) == ("false", "flag --build-arg ENABLE_KVBM")


# ---- the environment ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "key", "found"),
    [
        ("DYNBUILD_FRAMEWORK", "none", "framework", "none"),
        (
            "DYNBUILD_PLATFORM",
            "linux/amd64, linux/arm64",
            "platform",
            ["linux/amd64", "linux/arm64"],
        ),
        ("DYNBUILD_CACHE_FROM", "type=registry", "cache_from", ["type=registry"]),
        ("DYNBUILD_UID", "1000", "uid", 1000),
        ("DYNBUILD_OUTPUT", "none", "output", "none"),
        ("DYNBUILD_NO_CACHE", "1", "no_cache", True),
        ("DYNBUILD_NO_CACHE", "Yes", "no_cache", True),
        ("DYNBUILD_NO_CACHE", "on", "no_cache", True),
        ("DYNBUILD_TAG_LATEST", "false", "tag_latest", False),
        ("DYNBUILD_TAG_LATEST", "0", "tag_latest", False),
    ],
)
def test_a_variable_sets_a_field(variable, text, key, found):
    config = load(env={variable: text})
    assert getattr(config.catalog.request, key) == found
    assert config.origin("request", key) == Origin("environment", variable)


def test_a_variable_sets_what_the_site_needs():
    config = load(env={"DYNBUILD_INDEX_URL": "https://mirror.example.com/simple"})
    assert config.catalog.site.index_url == "https://mirror.example.com/simple"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("DYNBUILD_NO_CACHE", "maybe", "'maybe' is neither true nor false"),
        ("DYNBUILD_UID", "root", "'root' is not a number"),
        ("DYNBUILD_UID", "-1", "'-1' is not a number"),
        ("DYNBUILD_OUTPUT", "disk", "'request.output': Input should be 'load', 'push' or 'none'"),
        ("DYNBUILD_ARG_NIXL_REFF", "x", "there is no build argument 'NIXL_REFF'"),
    ],
)
def test_a_variable_with_a_wrong_value(variable, text, message):
    error = refused(env={variable: text})
    assert message in error.message
    assert error.origin == f"environment {variable}"


def test_an_unknown_argument_variable_gets_the_nearest_name():
    error = refused(env={"DYNBUILD_ARG_NIXL_REFF": "x"})
    assert error.hint.startswith("did you mean 'NIXL_REF'")
    assert error.hint.endswith("(docs/arguments.md lists all)")
    assert error.hint.count("'") == 6, "the nearest three"


def test_other_variables_are_left_alone():
    env = {"FRAMEWORK": "none", "TARGET": "dev", "CUDA_VERSION": "13.0", "MAX_JOBS": "1"}
    env |= {"DYNBUILD_LOG": "debug", "DYNBUILD_HOME": "/x", "DYNBUILD_TEMPLATES": "/x"}
    env |= {"DYNBUILD_PROGRESS": "plain"}
    assert load(env=env).catalog == load().catalog


# ---- bad settings files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "key", "near"),
    [
        ('[args]\nNIXL_REFF = "1"\n', 2, "args.NIXL_REFF", "NIXL_REF"),
        ('[request]\n\nframwork = "none"\n', 3, "request.framwork", "framework"),
        ("[reqest]\nuid = 1\n", 2, "reqest", "request"),
        ('[tools.uvv]\nkind = "apt"\n', 2, "tools.uvv", "uv"),
        ('[tools]\nuv.kinds = "apt"\n', 2, "tools.uv.kinds", "kind"),
        ('# note\n[sources.ucxx]\nkind = "none"\n', 3, "sources.ucxx", "ucx"),
        ('[sources.ucx]\nreff = "A"\n', 2, "sources.ucx.reff", "ref"),
        ('[frameworks.vlm.args]\nMAX_JOBS = "1"\n', 2, "frameworks.vlm", "vllm"),
        (
            '[frameworks.vllm]\ncuda_defualt = "13.0"\n',
            2,
            "frameworks.vllm.cuda_defualt",
            "cuda_default",
        ),
    ],
)
def test_a_misspelt_key_is_named_with_its_place_and_the_nearest(overlay, text, line, key, near):
    path = overlay(text)
    error = refused(path)
    assert error.message == f"unknown key '{key}'"
    assert error.origin == f"overlay {path}:{line}"
    assert f"did you mean '{near}'" in error.hint


@pytest.mark.parametrize(
    "table",
    [
        "frameworks.none.args",
        "frameworks.none.devices.cpu.args",
        'frameworks.none.devices.cuda.cuda."12.8"',
    ],
)
def test_a_misspelt_argument_of_a_framework(overlay, table):
    error = refused(overlay(f'[{table}]\nNIXL_REFF = "1"\n'))
    assert "NIXL_REF" in error.hint


def test_an_empty_variable_says_nothing():
    fields = ("FRAMEWORK", "CACHE_FROM", "TAG_LATEST", "UID", "OUTPUT", "INDEX_URL")
    assert load(env={f"DYNBUILD_{name}": "" for name in fields}).catalog == load().catalog


def test_a_misspelt_variable():
    assert "DYNBUILD_FRAMEWORK" in refused(env={"DYNBUILD_FRAMEWROK": "none"}).hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[args]\nNIXL_REF = 0.9\n",
            "'args.NIXL_REF' must be a string in quotes, not a number with a point",
            'write "0.9"',
        ),
        (
            "[args]\nMAX_JOBS = 4\n",
            "'args.MAX_JOBS' must be a string in quotes, not a whole number",
            'write "4"',
        ),
        (
            "[args]\nMAX_JOBS = [4]\n",
            "'args.MAX_JOBS' must be a string in quotes, not a list",
            None,
        ),
        (
            "[args]\nMAX_JOBS.x = 4\n",
            "'args.MAX_JOBS' must be a string in quotes, not a table",
            None,
        ),
        (
            '[request]\nno_cache = "yes"\n',
            "'request.no_cache' must be true or false, not a string",
            None,
        ),
        ('[request]\nuid = "0"\n', "'request.uid' must be a whole number, not a string", None),
        (
            '[request]\nplatform = "linux/amd64"\n',
            "'request.platform' must be a list in brackets, not a string",
            None,
        ),
        ("request = 3\n", "'request' must be a table, not a whole number", None),
        ("args = true\n", "'args' must be a table, not a boolean", None),
    ],
)
def test_a_value_of_the_wrong_type(overlay, text, message, hint):
    path = overlay(text)
    error = refused(path)
    assert error.message == message
    assert error.hint == hint
    assert error.origin.startswith(f"overlay {path}:")


def test_a_boolean_argument_gets_a_hint_that_works(overlay):
    assert refused(overlay("[args]\nENABLE_KVBM = true\n")).hint == 'write "true"'


def test_all_problems_are_told_at_once(overlay):
    path = overlay('[args]\nNIXL_REF = 1\nMAX_JOBS = 2\n[request]\nno_cache = "x"\n')
    error = refused(path)
    told = [f"{error.origin}: {error.message}", *error.details]
    assert len(told) == 3
    for line, key in ((2, "args.NIXL_REF"), (3, "args.MAX_JOBS"), (5, "request.no_cache")):
        assert any(f"{path}:{line}: '{key}'" in text for text in told)


def test_all_unknown_keys_are_told_at_once(overlay):
    error = refused(overlay('[args]\nA = "1"\nB = "2"\n[request]\nC = 3\n'))
    assert error.message == "unknown key 'args.A'"
    second, third = error.details
    assert "unknown key 'args.B'" in second
    assert "unknown key 'request.C'" in third


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[sources.gdrcopy]\nkind = "apt"\n', "kind 'apt' needs package"),
        ('[sources.ucx]\nkind = "context"\n', "kind 'context' needs path"),
        ('[tools.nats]\nkind = "pypi"\n', "kind 'pypi' needs pypi"),
        ('[tools.nats]\nkind = "image"\n', "kind 'image' needs image and files"),
        ('[sources.ucx]\nkind = "svn"\n', "'sources.ucx.kind'"),
        ('[sources.ucx]\nkind = "url"\nurl = "ucx.tar.gz"\n', "kind 'url' needs an address"),
        ('[tools.etcd]\nkind = "url"\nurl = {amd64 = "x"}\n', "kind 'url' needs an address"),
        ('[sources.ffmpeg]\nsha256 = "abc"\n', "'sources.ffmpeg.sha256'"),
    ],
)
def test_a_source_or_tool_that_lacks_something(overlay, text, message):
    assert message in refused(overlay(text)).message


def test_an_incomplete_entry_is_blamed_on_the_file_that_made_it_so(overlay):
    path = overlay('[sources.gdrcopy]\nkind = "apt"\n')
    assert refused(path).origin == f"overlay {path}:2"


@pytest.mark.parametrize(
    "text",
    [
        '[tools.uv]\nversion = "UV_VERSON"\n',
        '[sources.ucx]\nref = "UCX_REF"\n',
        '[sources.ucx]\nkind = "url"\nurl = "https://example.com/${UCX_VERSION}.tar.gz"\n',
    ],
    ids=["tool", "git ref", "url"],
)
def test_a_reference_to_an_argument_that_does_not_exist(overlay, text):
    with pytest.raises(RequestError):
        make_image(overlay(text), **NONE_RUNTIME)


@pytest.mark.parametrize(
    "text", ["[args\n", 'a = "\n', "a = 1\na = 2\n", "= 3\n", "[args]\nNIXL_REF = v1\n"]
)
def test_a_file_that_is_not_toml(overlay, text):
    path = overlay(text)
    error = refused(path)
    assert error.message.startswith(f"{path} is not valid TOML: ")
    assert "line" in error.message
    assert error.hint


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff\xfe")
    assert "is not valid TOML" in refused(path).message


def test_a_file_that_is_not_there(tmp_path):
    error = refused(tmp_path / "none.toml")
    assert error.message == f"the settings file {tmp_path}/none.toml does not exist"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(RequestError, match="is a folder, not a settings file"):
        load(tmp_path)


def test_an_empty_file_changes_nothing(overlay):
    assert load(overlay("")).catalog == load().catalog


def test_keys_in_unusual_notation_get_a_line(overlay):
    path = overlay('args = { NIXL_REF = "a" }\n"request" . "tag"="b"\n')
    config = load(path)
    assert str(config.origin("args", "NIXL_REF")) == f"overlay {path}:1"
    assert str(config.origin("request", "tag")) == f"overlay {path}:2"


# ---- folders of templates ----------------------------------------------------------------


def test_the_templates_of_a_checkout():
    assert settings.templates_dir().joinpath("catalog.toml").is_file()
    assert settings.templates_dir("") == settings.templates_dir()


def test_another_folder_of_templates(tmp_path):
    copy = shutil.copytree(TEMPLATES, tmp_path / "templates")
    catalog = copy / "catalog.toml"
    catalog.write_text(catalog.read_text().replace('value = "0.9.0"', 'value = "0.9.1"'))
    assert settings.templates_dir(str(copy)) == copy
    assert make_image(templates=copy, **NONE_CPU).build_args["NIXL_REF"] == "0.9.1"


def test_a_folder_of_templates_that_is_not_there(tmp_path):
    with pytest.raises(TemplateError, match="does not exist") as caught:
        settings.templates_dir(str(tmp_path / "none"))
    assert "--templates" in caught.value.hint


def test_a_folder_of_templates_without_a_catalog(tmp_path):
    with pytest.raises(TemplateError, match="there is no catalog") as caught:
        load(templates=tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "catalog.toml" in caught.value.hint


def test_a_catalog_with_an_error_names_its_line(tmp_path):
    text = (TEMPLATES / "catalog.toml").read_text(encoding="utf-8")
    text = text.replace('MAX_JOBS = { value = "16"', "MAX_JOBS = { value = 16")
    (tmp_path / "catalog.toml").write_text(text)
    error = refused(templates=tmp_path)
    assert error.message.startswith("'args.MAX_JOBS' must be a string in quotes")
    assert error.origin.startswith(f"catalog {tmp_path}/catalog.toml:")


def test_flags_make_a_layer_of_their_own():
    config = load(framework="none")
    assert config.layers[-1] == flags(framework="none")
    assert str(config.origin("request", "framework")) == "flag --framework"


def test_a_relative_path_in_a_variable_is_one_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = load(env={"DYNBUILD_CA_BUNDLE": "x/../ca.pem", "DYNBUILD_NETRC": "netrc"})
    assert made.catalog.site.ca_bundle == f"{tmp_path}/ca.pem"
    assert made.catalog.site.netrc == f"{tmp_path}/netrc"


def test_the_frameworks_of_a_line_take_the_place_of_the_catalog_s(tmp_path):
    """What it does not name there, it does not have; of other tables it changes what it names."""

    def layer(values):
        return {path: Setting(value, Origin("catalog", "x")) for path, value in values.items()}

    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "new.toml").write_text("[frameworks.a]\nx = 1\n[args]\nB = 'new'\n")
    base = layer(
        {
            ("request", "release_line"): "old",
            ("frameworks", "a", "x"): 0,
            ("frameworks", "a", "y", "z"): 0,
            ("frameworks", "b", "x"): 0,
            ("args", "A"): "old",
            ("args", "B"): "old",
        }
    )
    chosen = Setting("new", Origin("flag", "--release-line"))
    made = lines.with_line(base, chosen, tmp_path, env={})
    assert {path: setting.value for path, setting in made.items()} == {
        ("request", "release_line"): "old",
        ("frameworks", "a", "x"): 1,
        ("args", "A"): "old",
        ("args", "B"): "new",
    }


def test_a_file_without_an_end_is_given_up():
    with pytest.raises(NotReady, match="cannot be read: File too large"):
        load(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("version", "line"),
    [
        *(("0.9.0", "0.9.0"), ("0.9.1", "0.9.0"), ("1.0.0", "1.0"), ("1.5.0.dev3", "1.5")),
        *(("1.6.1", "0.9.0"), ("1.2.0", "0.9.0"), ("", "0.9.0"), ("../1.0", "0.9.0")),
    ],
)
def test_the_version_of_the_tree_chooses_the_line(tmp_path, version, line):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    asked = {"templates": TEMPLATES, "overlays": (), "context": tmp_path}
    assert settings.load(**asked, env={}, flags={}).catalog.request.release_line == line
    found = settings.Lines(**asked, env={}, flags={})
    assert found.chosen == (line,)
    assert bool(found.why) == (line != "0.9.0")
    given = settings.Lines(**asked, env={"DYNBUILD_RELEASE_LINE": "0.9.0"}, flags={})
    assert (given.chosen, given.why) == (("0.9.0",), "")


def test_a_word_in_a_comment_of_a_line_decides_nothing(tmp_path):
    templates = tmp_path / "templates"
    (templates / "lines").mkdir(parents=True)
    (templates / "lines/7.5.toml").write_text("# dynamo_wheels are built\n[request]\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text('version = "7.5.0"\n')
    base = {lines.KEY: Setting("0.9.0", Origin("catalog", "x"))}
    assert lines.of_tree(tree, templates, base, {})[lines.KEY].value == "7.5"
    (templates / "lines/7.5.toml").write_text('[request]\ndynamo_wheels = "index"\n')
    assert lines.of_tree(tree, templates, base, {}) == {}
    (tree / "pyproject.toml").unlink()
    (tree / "pyproject.toml").symlink_to("/dev/zero")
    assert lines.of_tree(tree, templates, base, {}) == {}


@pytest.mark.parametrize(
    ("wheels", "line", "why"),
    [
        ("", "2.10", "no source tree, and the newest with published wheels"),
        ("index", "2.10", "no source tree, and the newest with published wheels"),
        ("index==2.9.4", "2.9", "no source tree, and wheels 2.9.4"),
        ("index==2.1.0", "2.10", "no source tree, and the newest with published wheels"),
        ("index==1.0.7", "1.0.0", ""),
        ("source", "1.0.0", ""),
    ],
)
@pytest.mark.parametrize("by", ["variable", "file"])
def test_without_a_tree_what_is_built_is_of_published_wheels(tmp_path, by, wheels, line, why):
    templates = tmp_path / "templates"
    (templates / "lines").mkdir(parents=True)
    (templates / "catalog.toml").write_text('[request]\nrelease_line = "1.0.0"\n')
    said = {"2.9": "index", "2.10": "index==2.10.3", "3.0": "source", "odd": "index", "4": None}
    for name, way in said.items():
        text = f'[request]\ndynamo_wheels = "{way}"\n' if way else ""
        (templates / "lines" / f"{name}.toml").write_text(text)
    tree = tmp_path / "tree"
    tree.mkdir()
    overlay = tmp_path / "own.toml"
    overlay.write_text(f'[request]\ndynamo_wheels = "{wheels}"\n' if wheels else "")
    asked = {
        "templates": templates,
        "overlays": (overlay,) if by == "file" else (),
        "env": {"DYNBUILD_DYNAMO_WHEELS": wheels} if by == "variable" else {},
        "flags": {},
    }
    found = settings.Lines(**asked, context=tree, builds=True)
    assert (found.chosen, found.why) == ((line,), why)
    (tree / "pyproject.toml").touch()
    for more in ({"context": tree, "builds": True}, {"context": tmp_path / "not there"}, {}):
        assert settings.Lines(**asked, **more).chosen == ("1.0.0",)


@pytest.mark.parametrize(
    ("framework", "line"),
    [("", "3.1"), ("new", "3.1"), ("Old", "3.0"), ("old,NEW", "1.0.0"), ("none", "1.0.0")],
)
@pytest.mark.parametrize("by", ["variable", "flag"])
def test_without_a_tree_the_line_has_the_frameworks_that_are_asked_for(
    tmp_path, by, framework, line
):
    templates = tmp_path / "templates"
    (templates / "lines").mkdir(parents=True)
    (templates / "catalog.toml").write_text('[request]\nrelease_line = "1.0.0"\n')
    for name, own in {"3.0": "old", "3.1": "new"}.items():
        (templates / "lines" / f"{name}.toml").write_text(
            f'[request]\ndynamo_wheels = "index"\n[frameworks.{own}]\nengine = "none"\n'
        )
    path = ("request", "framework")
    flags = {path: Setting(framework, Origin("flag", "--framework"))} if by == "flag" else {}
    found = settings.Lines(
        templates=templates,
        overlays=(),
        env={"DYNBUILD_FRAMEWORK": framework} if by == "variable" else {},
        flags=flags,
        context=tmp_path,
        builds=True,
    )
    assert found.chosen == (line,)


def test_lines_are_told_in_the_order_of_their_names(tmp_path):
    (tmp_path / "lines").mkdir()
    names = ["1.10", "1.2", "b", "a", "2.0", "0.9"]
    for name in names:
        (tmp_path / "lines" / f"{name}.toml").touch()
    assert lines.known(tmp_path, {}) == tuple(sorted(names))
