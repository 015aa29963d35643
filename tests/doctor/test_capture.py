from __future__ import annotations

import json
import random
import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dynbuild import masking
from dynbuild.doctor import capture
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady
from tests import support

pytestmark = pytest.mark.processes("docker", "git", "nvcc", "nvidia-smi", "sccache", "uv")

MARK = re.compile(r"<masked, (\d+) characters?>")

HARMLESS = {
    "PATH": "/home/ada/.local/bin:/usr/local/cuda-12.9/bin:/usr/local/sbin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/opt/nvidia/nvda_nixl/lib/x86_64-linux-gnu:",
    "PYTHONPATH": "/workspace/components/src:/opt/dynamo/venv/lib/python3.12/site-packages",
    "HOME": "/home/ada.lovelace",
    "PWD": "/home/ada/src/dynamo-0.9.0rc1",
    "OLDPWD": "/home/ada",
    "SHELL": "/bin/bash",
    "LANG": "en_GB.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "de_AT:de:en_GB:en",
    "TERM": "xterm-256color",
    "LS_COLORS": "rs=0:di=01;34:ln=01;36:mh=00:pi=40;33:so=01;35:*.tar=01;31:*.tgz=01;31",
    "PS1": r"\[\e]0;\u@\h: \w\a\]${debian_chroot:+($debian_chroot)}\u@\h:\w\$ ",
    "LESSOPEN": "| /usr/bin/lesspipe %s",
    "KEYBOARD_LAYOUT": "us-intl-with-dead-keys",
    "XKB_DEFAULT_KEYMAP": "pc105",
    "KEYTIMEOUT": "1",
    "SSH_AUTH_SOCK": "/run/user/1000/keyring/ssh",
    "SSH_ASKPASS": "/usr/libexec/openssh/gnome-ssh-askpass",
    "SSH_CONNECTION": "10.0.0.5 50022 10.0.0.9 22",
    "XAUTHORITY": "/run/user/1000/gdm/Xauthority",
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "XDG_SESSION_ID": "42",
    "XDG_SESSION_TYPE": "wayland",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
    "DESKTOP_SESSION": "gnome-classic",
    "INVOCATION_ID": "6f2b8d1c5e1f4b0e9a7a3c55d0e6b8f2",
    "TERM_SESSION_ID": "E1C4B3A2-7F6E-4D5C-8B9A-0F1E2D3C4B5A",
    "TOKENIZERS_PARALLELISM": "false",
    "MAX_NUM_BATCHED_TOKENS": "8192",
    "COMPASS_HEADING": "north-by-northwest",
    "MONKEY_PATCH": "gevent",
    "DOCKER_HOST": "unix:///run/user/1000/docker.sock",
    "BUILD_HOST": "ssh://git@build.example.com:22/srv",
    "HTTPS_PROXY": "http://proxy.example.com:3128",
    "NO_PROXY": "localhost,127.0.0.1,.example.com,10.0.0.0/8",
    "PIP_INDEX_URL": "https://mirror.example.com/repository/python/simple",
    "CUDA_VISIBLE_DEVICES": "GPU-8f3e1a52-09b7-4c1d-9e57-2b9f0e6d4a11,1",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.9 brand=unknown,driver>=535,driver<536 brand=grid,driver>=5",
    "NV_LIBNCCL_DEV_PACKAGE": "libnccl-dev=2.27.3-1+cuda12.9",
    "NV_CUDNN_VERSION": "9.10.2.21-1",
    "PYTHON_SHA256": "8fb5f9fbc7609fa822cb31549884575db7fd9657cbffb89510b5d7975963a83a",
    "DYNAMO_COMMIT_SHA": "3f786850e387550fdab836ed7e6dc881de23001b",
    "commit_id": "3f78685",
    "BASE_IMAGE": "base@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "HOSTNAME": "dynamo-worker-7d9f8c6b5-x2x4z",
    "HF_HOME": "/mnt/models/huggingface",
    "HF_TOKEN_PATH": "/home/ada/.cache/huggingface/token",
    "AWS_SHARED_CREDENTIALS_FILE": "/home/ada/.aws/credentials",
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/ada/gcp.json",
    "VSCODE_GIT_ASKPASS_MAIN": "/home/ada/.vscode-server/cli/servers/"
    "Stable-e54c774e0add60467559eb0d1e229c6452cf8447/server/askpass-main.js",
    "NIX_PROFILE": "/nix/store/9krlzvny65gdc8s7kpb6lkx8cd02c25b-python3-3.12/bin",
    "RUSTFLAGS": "-C target-cpu=native -C link-arg=-fuse-ld=lld",
    "CMAKE_ARGS": "-DCMAKE_CUDA_ARCHITECTURES=80;86;89;90 -DCMAKE_BUILD_TYPE=RelWithDebInfo",
    "CFLAGS": "-O3 -ffunction-sections -ffile-prefix-map=/build/python3.12=. -fstack-clash",
    "NODE_OPTIONS": "--max-old-space-size=4096 --experimental-vm-modules",
    "BASH_FUNC_which%%": "() {  ( alias; eval ${which_declare} ) | /usr/bin/which --tty-only $@}",
    "DYN_LOG": "info,dynamo_runtime::transports=debug,h2=off",
    "NAME": "Zoë Müller 東京",
    "EMPTY_TOKEN": "",
}

RANDOM = random.Random(7)


def draw(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(count))


JWT = f"eyJ{draw(20)}.{draw(60)}.{draw(43)}"
WORD = "correct-horse"

# Name, value, and the part of the value that must not be seen.
SECRETS = [
    *(
        (name, WORD, WORD)
        for name in (
            "GITHUB_TOKEN",
            "HF_TOKEN",
            "DB_PASSWORD",
            "DB_PASSWORD2",
            "PGPASSWORD",
            "MYSQL_PWD",
            "ROOT_PASSWD",
            "SSHPASS",
            "LUKS_PASSPHRASE",
            "CLIENT_SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SESSION_TOKEN",
            "OPENAI_API_KEY",
            "APIKEY",
            "signingKey",
            "REGISTRY_AUTH",
            "npm_config__authToken",
            "DOCKER_AUTH_CONFIG",
            "SERVICE_CREDENTIALS",
            "SESSION_COOKIE",
            "PHP_SESSION",
            "SSH_PRIVATE",
            "REQUEST_SIGNATURE",
            "SENTRY_DSN",
            "AZURE_STORAGE_CONNECTION_STRING",
            "DATABASE_CONNSTR",
            "CI_JOB_JWT",
            "SLACK_WEBHOOK",
            "GITHUBTOKEN",
            "tokens",
        )
    ),
    ("DB_PASSWORD_FILE", WORD, WORD),
    ("DATABASE_URL", f"postgres://ada:{WORD}@db.example.com:5432/app", WORD),
    ("DATABASE_URL", f"postgres://ada:p@/?#{WORD}@db.example.com/app", WORD),
    ("REDIS_URL", f"redis://:{WORD}@cache", WORD),
    ("HTTPS_PROXY", f"http://ada:{WORD}@proxy.example.com:3128", WORD),
    ("HTTPS_PROXY", f"ada:{WORD}@proxy.example.com:3128", WORD),
    ("GIT_REMOTE", f"https://{draw(24)}@git.example.com/a/b", None),
    ("URLS", f"https://a:{WORD}@one,https://b:other-horse@two", "other-horse"),
    ("CALLBACK", f"https://example.com/x?user=1&sig={WORD}&page=2", WORD),
    ("CALLBACK", f"https://hooks.slack.com/services/T00/B00/{WORD}", WORD),
    ("STORAGE", f"AccountName=ada;AccountKey={WORD};Suffix=example.com", WORD),
    ("JAVA_OPTS", f"-Xmx2g -Djavax.net.ssl.trustStorePassword={WORD} -ea", WORD),
    ("TOOL_FLAGS", f"--user ada --password {WORD} --verbose", WORD),
    ("SETTINGS", json.dumps({"auths": {"example.com": {"auth": WORD}}}), WORD),
    ("SETTINGS", json.dumps({"nested": json.dumps({"client_secret": WORD})}), WORD),
    ("SETTINGS", f"user: ada\npassword: {WORD} battery\nport: 1", WORD),
    ("GIT_CONFIG_VALUE_0", "Authorization: Basic YWRhOmNvcnJlY3Q=", "YWRhOmNvcnJlY3Q"),
    ("HEADERS", f"accept=json bearer {WORD}", WORD),
    ("IDENTITY", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WORD}\n-----END", WORD),
    *(
        ("NOTE", f"use {secret} here", secret)
        for secret in (
            f"ghp_{draw(36)}",
            f"gho_{draw(36)}",
            f"github_pat_{draw(22)}_{draw(59)}",
            f"glpat-{draw(20)}",
            f"hf_{draw(34)}",
            f"AKIA{draw(16, string.ascii_uppercase)}",
            f"ASIA{draw(16, string.ascii_uppercase)}",
            f"xoxb-{draw(12, string.digits)}-{draw(24)}",
            f"sk-proj-{draw(40)}",
            f"npm_{draw(36)}",
            f"pypi-{draw(60)}",
            f"nvapi-{draw(60)}",
            f"dckr_pat_{draw(27)}",
            f"AIza{draw(35)}",
            JWT,
            JWT.rpartition(".")[0] + ".",
        )
    ),
    *(
        ("NOTE", secret, secret.rstrip("="))
        for secret in (
            draw(40),
            draw(24),
            draw(40, string.ascii_letters + string.digits + "+/"),
            draw(43, string.ascii_letters + string.digits + "-_") + "=",
            draw(32, string.ascii_lowercase + string.digits),
            draw(40, "0123456789abcdef"),
            draw(64, "0123456789abcdef"),
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        )
    ),
    ("SEARCH", f"/usr/lib:{draw(40)}:/lib", None),
]


def test_the_tables_are_large_enough():
    assert len(HARMLESS) >= 40
    assert len(SECRETS) >= 30


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_stays_readable(name):
    assert masking.mask(name, HARMLESS[name]) == HARMLESS[name]


@pytest.mark.parametrize(
    ("name", "value", "secret"), SECRETS, ids=[f"{n}-{s[0]}" for n, s in enumerate(SECRETS)]
)
def test_what_is_secret_is_masked(name, value, secret):
    shown = masking.mask(name, value)
    assert MARK.search(shown)
    assert shown != value
    if secret is not None:
        assert secret not in shown


def test_a_masked_value_shows_its_length_and_nothing_else():
    assert masking.mask("TOKEN", "four") == "<masked, 4 characters>"
    assert masking.mask("TOKEN", "1") == "<masked, 1 character>"
    assert masking.mask("TOKEN", "") == ""


def test_only_the_secret_part_of_a_value_is_masked():
    shown = masking.mask("DATABASE_URL", "postgres://ada:secret@db.example.com:5432/app")
    assert shown == "postgres://<masked, 10 characters>@db.example.com:5432/app"
    secret = "x" + draw(39)
    assert masking.mask("SEARCH", f"/a:{secret}:/b") == "/a:<masked, 40 characters>:/b"


def test_a_value_that_nobody_can_read_is_masked_whole():
    assert masking.mask("BLOB", "word " * 20_000) == "<masked, 100000 characters>"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("aB3dE7gH" * 3, True),  # of 8 characters: 3 bits each
        ("aB3dE7gH9k" * 2, False),  # of 10: 3.3 bits
        ("0189ab" * 6, False),  # of 6 hexadecimal digits: 2.6 bits
        ("0189a" * 7, True),  # of 5: 2.3 bits
    ],
)
def test_how_many_different_characters_look_like_chance(text, kept):
    assert (masking.scrub(text) == text) is kept


def test_entropy():
    assert masking.entropy("aaaa") == 0
    assert masking.entropy("abcd") == 2
    assert masking.entropy("") == 0


# ---- properties --------------------------------------------------------------------------

STEMS = """
    TOKEN SECRET PASSWORD PASSWD PASS KEY CREDENTIAL CREDENTIALS AUTH COOKIE SESSION PRIVATE
    SIGNATURE DSN CONNECTION_STRING API_KEY APIKEY PASSPHRASE
""".split()  # noqa: SIM905
WORDS = st.sampled_from(["", "MY", "GITHUB", "X2", "PROD", "OLD", "DB", "VALUE", "1"])
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)


@st.composite
def secret_names(draw):
    parts = [draw(WORDS), draw(st.sampled_from(STEMS)), draw(WORDS)]
    name = "_".join(part for part in parts if part)
    return draw(st.sampled_from([name, name.lower(), name.title(), name.replace("_", "-")]))


@given(name=secret_names(), value=TEXT)
def test_nothing_under_a_secret_name_is_shown(name, value):
    assert capture.variables({name: value}) == {name: f"<masked, {len(value)} characters>"}


@given(name=secret_names(), value=TEXT, form=st.sampled_from(["a {}={} b", "--{} {}", '"{}": "{}']))
def test_nothing_assigned_to_a_secret_name_is_shown(name, value, form):
    assume(not set(value) & set("&;\"'\\") and not value.startswith("-"))
    assume(value not in "<masked, 123456789 characters>")
    assert value not in masking.mask("OPTIONS", form.format(name, value))


PREFIXES = {
    "ghp_": 36,
    "ghs_": 36,
    "github_pat_": 70,
    "glpat-": 20,
    "hf_": 34,
    "AKIA": 16,
    "ASIA": 16,
    "xoxb-": 40,
    "xoxp-": 40,
    "npm_": 36,
    "nvapi-": 64,
    "dckr_pat_": 27,
    "eyJ": 80,
}
AROUND = ["", " ", "=", ":", ",", "/", '"', "'", "\n", "@", "x", "-", "_", "é"]


@given(
    prefix=st.sampled_from(sorted(PREFIXES)),
    before=st.sampled_from(AROUND),
    after=st.sampled_from(AROUND),
    seed=st.integers(0, 2**32),
)
@example(prefix="hf_", before="", after="", seed=0)
def test_nothing_with_a_known_prefix_is_shown(prefix, before, after, seed):
    upper = prefix in ("AKIA", "ASIA")
    alphabet = string.ascii_uppercase + string.digits + ("" if upper else string.ascii_lowercase)
    body = "".join(random.Random(seed).choices(alphabet, k=PREFIXES[prefix]))
    shown = masking.mask("NOTE", f"see {before}{prefix}{body}{after} there")
    assert body not in shown
    assert body[:12] not in shown
    assert body[-12:] not in shown
    assert shown.startswith("see ")
    assert shown.endswith(" there")


@given(
    user=st.text(string.ascii_letters + string.digits, max_size=10),
    password=TEXT,
    scheme=st.sampled_from(["http", "https", "postgresql", "amqp", "redis", "git+https", "S3"]),
)
def test_no_password_in_an_address_is_shown(user, password, scheme):
    assume(password not in "<masked, 123456789 characters>@db.example.com:1/x")
    shown = masking.mask("ADDRESS", f"{scheme}://{user}:{password}@db.example.com:1/x")
    assert password not in shown
    assert shown.endswith("@db.example.com:1/x")


@given(length=st.integers(32, 80), seed=st.integers(0, 2**32))
def test_characters_drawn_at_random_are_not_shown(length, seed):
    drawn = random.Random(seed).choices(string.ascii_letters + string.digits, k=length)
    value = "".join(drawn)
    assert masking.mask("NOTE", value) == f"<masked, {length} characters>"


@given(env=st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=200), max_size=5))
def test_any_environment_can_be_shown(env):
    found = capture.variables(env)
    assert len(found) == len(env)
    assert list(env) == [] or json.dumps(found).encode()


def test_bytes_that_are_no_text_can_be_shown():
    found = capture.variables({"NOTE": b"caf\xe9".decode("utf-8", "surrogateescape")})
    assert found["NOTE"].encode() == b"caf\\xe9"


# ---- the whole capture -------------------------------------------------------------------


@pytest.fixture
def find(monkeypatch):
    def pretend(answer):
        def found(_env):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(capture.client, "find", found)

    return pretend


def test_a_capture(tmp_path, find):
    find(Engine("system", "/bin/docker", "tcp://ada:horse@e:1", None, "28.1", "0.29", True))
    context = support.repository(tmp_path / "tree", "v0.9.0")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in {"uv": "uv 0.9.1", "nvcc": "nvcc: NVIDIA\n\nrelease 12.9, V12.9.86"}.items():
        (tools / name).write_text(f"#!/bin/sh\ncat <<END\n{text}\nEND\n")
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:/usr/bin:/bin", "B_TOKEN": "horse", "A": "1"}
    found = capture.capture(env, context)
    assert found.engine["version"] == "28.1"
    assert found.engine["host"] == "tcp://<masked, 9 characters>@e:1"
    assert found.git["version"] == "v0.9.0"
    assert (found.git["dirty"], found.git["shallow"]) == (False, False)
    assert found.tools["uv"] == "uv 0.9.1"
    assert found.tools["nvcc"] == "release 12.9, V12.9.86"
    assert "sccache" not in found.tools
    assert list(found.variables) == ["A", "B_TOKEN", "PATH"]
    assert "horse" not in str(found)
    assert found.python
    assert found.os
    assert found.kernel
    assert "typer" in found.libraries


@pytest.mark.parametrize(
    "error",
    [
        NotReady("no engine", details=("tcp://ada:horse@e:1 refuses",)),
        RuntimeError("at tcp://ada:horse@e:1"),
    ],
)
def test_what_fails_says_why_and_no_secret(tmp_path, find, error):
    find(error)
    found = capture.capture({"PATH": ""}, tmp_path)
    assert "horse" not in found.engine["error"]
    assert "tcp://" in found.engine["error"]
    assert "git" in found.git["error"]
    assert found.tools == {}


def test_a_tool_that_cannot_run_is_a_finding(tmp_path, find):
    find(NotReady("no engine"))
    (tmp_path / "uv").write_bytes(b"\x7fnonsense")
    (tmp_path / "uv").chmod(0o755)
    (tmp_path / "sccache").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "sccache").chmod(0o755)
    found = capture.capture({"PATH": str(tmp_path)}, tmp_path)
    assert str(tmp_path / "uv") in found.tools["uv"]
    assert found.tools["sccache"] == "status 3"
