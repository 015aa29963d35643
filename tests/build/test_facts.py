import os

import pytest

from dynbuild.build import facts
from dynbuild.errors import DynbuildError


@pytest.fixture
def env(tmp_path, monkeypatch):
    """An environment of nothing, on a machine without certificates or pip settings."""
    monkeypatch.setattr(facts, "_SITE_CERTIFICATES", tmp_path / "site")
    monkeypatch.setattr(facts, "_SYSTEM_BUNDLE", tmp_path / "bundle.crt")
    return {"HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}


def pip(tmp_path, text):
    (tmp_path / "pip.conf").write_text(text, encoding="utf-8")


def test_the_caller(env):
    found = facts.read(env)
    assert (found.uid, found.gid) == (os.getuid(), os.getgid())


def test_under_sudo_the_calling_user_counts(env):
    found = facts.read(env | {"SUDO_UID": "1000", "SUDO_GID": "1001"})
    assert (found.uid, found.gid) == (1000, 1001)
    assert facts.read(env | {"SUDO_UID": ""}).uid == os.getuid()


def test_a_caller_that_is_no_number(env):
    with pytest.raises(DynbuildError, match="SUDO_UID"):
        facts.read(env | {"SUDO_UID": "ada"})


# ---- certificates ------------------------------------------------------------------------


def test_a_plain_machine_has_no_bundle(env):
    assert facts.read(env).ca_bundle == ""


def test_the_bundle_that_the_environment_names(env, tmp_path):
    (tmp_path / "own.pem").touch()
    named = env | {"SSL_CERT_FILE": str(tmp_path / "own.pem")}
    assert facts.read(named).ca_bundle == str(tmp_path / "own.pem")


def test_a_bundle_that_is_not_there_is_none(env, tmp_path):
    assert facts.read(env | {"SSL_CERT_FILE": str(tmp_path / "none.pem")}).ca_bundle == ""


@pytest.mark.parametrize(
    ("added", "bundle", "found"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_bundle_of_the_system_where_the_site_added_to_it(env, tmp_path, added, bundle, found):
    (tmp_path / "site" / "deep").mkdir(parents=True)
    if added:
        (tmp_path / "site" / "deep" / "own.crt").touch()
    if bundle:
        (tmp_path / "bundle.crt").touch()
    assert facts.read(env).ca_bundle == (str(tmp_path / "bundle.crt") if found else "")


# ---- the package index -------------------------------------------------------------------

URL = "https://mirror.example.com/simple"


def test_the_index_of_the_environment_comes_first(env, tmp_path):
    pip(tmp_path, "[global]\nindex-url = https://other.example.com/simple\n")
    assert facts.read(env | {"PIP_INDEX_URL": URL}).index_url == URL


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"[global]\nindex-url = {URL}\n", URL),
        (
            "[global]\nindex-url = http://mirror.example.com:8080/\n",
            "http://mirror.example.com:8080/",
        ),
        (
            "[global]\nindex-url = https://a:b%20c@mirror.example.com/\n",
            "https://a:b%20c@mirror.example.com/",
        ),
        ("[global]\nindex-url = file:///srv/packages\n", ""),
        ("[global]\nindex-url = /srv/packages\n", ""),
    ],
)
def test_the_index_of_a_settings_file(env, tmp_path, text, found):
    pip(tmp_path, text)
    assert facts.read(env).index_url == found


def test_the_index_of_the_callers_own_settings(env, tmp_path):
    del env["PIP_CONFIG_FILE"]
    folder = tmp_path / "home" / ".config" / "pip"
    folder.mkdir(parents=True)
    (folder / "pip.conf").write_text(f"[global]\nindex-url = {URL}\n")
    assert facts.read(env).index_url == URL
    elsewhere = tmp_path / "xdg" / "pip"
    elsewhere.mkdir(parents=True)
    (elsewhere / "pip.conf").write_text("[global]\nindex-url = https://xdg.example.com/\n")
    found = facts.read(env | {"XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert found.index_url == "https://xdg.example.com/"


@pytest.mark.parametrize("text", ["index-url = x\n", "[global\n", "[global]\na=1\na=2\n", "\x00"])
def test_a_damaged_settings_file_is_passed_over(env, tmp_path, text):
    before = facts.read(env).index_url
    pip(tmp_path, text)
    assert facts.read(env).index_url == before


def test_a_settings_file_that_is_not_text(env, tmp_path):
    before = facts.read(env).index_url
    (tmp_path / "pip.conf").write_bytes(b"[global]\nindex-url = \xff\n")
    assert facts.read(env).index_url == before
