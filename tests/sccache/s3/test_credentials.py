import dataclasses
import re
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from dynbuild.sccache.s3 import call, credentials
from dynbuild.sccache.s3.call import Unusable
from dynbuild.sccache.s3.credentials import Credentials, WebIdentity
from tests.sccache.s3.support import only

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_text_of_credentials_shows_none_of_them():
    given = Credentials(access_key="AKIDHORSE", secret_key="battery", token="staple", expires=NOW)
    for text in (repr(given), str(given), f"{given}", repr([given])):
        assert not re.search("HORSE|battery|staple", text)
    assert given.variables() == {
        "AWS_ACCESS_KEY_ID": "AKIDHORSE",
        "AWS_SECRET_ACCESS_KEY": "battery",
        "AWS_SESSION_TOKEN": "staple",
    }
    assert "AWS_SESSION_TOKEN" not in dataclasses.replace(given, token="").variables()


def test_credentials_of_variables():
    env = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_SESSION_TOKEN": "c",
        "AWS_CREDENTIAL_EXPIRATION": "2026-11-22T12:00:00Z",
    }
    assert credentials.find(env) == Credentials(
        access_key="a", secret_key="b", token="c", expires=NOW
    )


def test_credentials_of_a_profile(aws):
    env = aws(
        credentials="[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
        "[ada]\naws_access_key_id = c\naws_secret_access_key = d\naws_session_token = e\n"
    )
    assert credentials.find(env).access_key == "a"
    found = credentials.find(env | {"AWS_PROFILE": "ada"})
    assert (found.access_key, found.secret_key, found.token) == ("c", "d", "e")
    assert found.source == "shared-credentials-file"


@pytest.mark.processes("cat")
def test_credentials_of_a_program_end(aws, tmp_path):
    (tmp_path / "answer").write_text(
        '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c",'
        ' "Expiration": "2099-01-01T00:00:00Z"}'
    )
    env = aws(config=f"[default]\ncredential_process = cat {tmp_path}/answer\n")
    found = credentials.find(env)
    assert (found.token, found.expires) == ("c", datetime(2099, 1, 1, tzinfo=UTC))


STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>a</AccessKeyId>
<SecretAccessKey>b</SecretAccessKey><SessionToken>c</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
def sts(monkeypatch):
    """A service that gives a role's keys for a token; what it was asked, one after another."""
    asked = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(STS.encode())

        def log_message(self, *_):
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


ROLE = "arn:aws:iam::1:role/ada"


@pytest.mark.network
@pytest.mark.parametrize("where", ["variables", "profile"])
def test_credentials_of_a_web_identity_say_what_renews_them(aws, sts, monkeypatch, tmp_path, where):
    token = tmp_path / "token"
    token.write_text("horse")
    parts = {"web_identity_token_file": str(token), "role_arn": ROLE, "role_session_name": "ada"}
    if where == "variables":
        env = aws() | {f"AWS_{name.upper()}": value for name, value in parts.items()}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
    else:
        env = aws(config="\n".join(["[default]", *(f"{k} = {v}" for k, v in parts.items()), ""]))
    found = credentials.find(env)
    assert (found.access_key, found.secret_key, found.token) == ("a", "b", "c")
    assert found.web_identity == WebIdentity(
        token_file=str(token), role_arn=ROLE, session_name="ada"
    )
    assert [(one["RoleArn"], one["WebIdentityToken"]) for one in sts] == [([ROLE], ["horse"])]


def test_the_end_of_a_web_identitys_keys_is_none_of_the_build():
    given = Credentials(access_key="a", secret_key="b", expires=NOW + timedelta(minutes=10))
    assert [one.name for one in credentials.ending(given, 3600, NOW)] == ["short-credentials"]
    renewed = dataclasses.replace(
        given, web_identity=WebIdentity(token_file="/token", role_arn=ROLE)
    )
    assert not list(credentials.ending(renewed, 3600, NOW))


def refused(env):
    with pytest.raises(Unusable) as caught:
        credentials.find(env)
    assert caught.value.exit_code == 3
    return only([caught.value.finding], env)


def test_no_credentials(aws):
    found = refused(aws())
    assert found.name == "no-credentials"
    assert "AWS_ACCESS_KEY_ID" in found.remedy


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_the_credentials(name):
    found = refused({name: "horse"})
    assert found.name == "half-credentials"
    assert found.message.startswith(f"{name} is set")


@pytest.mark.parametrize("blank", ["\n", " ", "\u00a0", "\x1b"])
def test_credentials_with_what_was_copied_along(blank):
    found = refused({"AWS_ACCESS_KEY_ID": "horse", "AWS_SECRET_ACCESS_KEY": f"battery{blank}"})
    assert found.name == "malformed-credentials"


def test_a_profile_that_is_not_there(aws):
    found = refused(aws(config="[default]\nregion = x\n") | {"AWS_PROFILE": "horse"})
    assert found.name == "no-profile"


@pytest.mark.processes("sh")
def test_a_program_that_fails_is_not_quoted(aws):
    env = aws(config="[default]\ncredential_process = sh -c 'echo horse >&2; exit 1'\n")
    found = refused(env)
    assert found.name == "no-credentials"
    assert "horse" not in str(found)


@pytest.mark.processes("sleep")
def test_a_program_that_hangs(aws, monkeypatch):
    monkeypatch.setattr(call, "_CALL_SECONDS", 0.3)
    found = refused(aws(config="[default]\ncredential_process = sleep 2\n"))
    assert found.name == "slow-credentials"


def test_a_login_by_sso_that_has_ended(aws):
    env = aws(
        config="[default]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session x]\nsso_region = us-east-1\nsso_start_url = https://x.example.com\n"
    )
    found = refused(env)
    assert (found.name, found.remedy) == ("sso-login", "aws sso login")
