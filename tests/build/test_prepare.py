"""What the source tree's own commands get of the caller's environment."""

import pytest

from dynbuild.build import prepare

SECRET = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "x",
    "GITHUB_TOKEN": "x",
    "HF_TOKEN": "x",
    "DYNBUILD_SECRET_INDEX": "x",
    "SSH_AUTH_SOCK": "/run/agent",
    "ANYTHING": "hunter2",
    "HTTPS_PROXY": "http://ada:horse@proxy.example.com:3128",
    "http_proxy": "http://ada:horse@proxy.example.com:3128",
    "PIP_INDEX_URL": "https://ada:horse@index.example.com/simple",
    "GOFLAGS": "-ldflags=ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "MAKEFLAGS": "TOKEN=ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "GIT_CONFIG_PARAMETERS": "'http.extraHeader=x'",
    "BASH_ENV": "/x",
    "LD_PRELOAD": "/x",
    "NETRC": "/x",
}
NEEDED = {
    "PATH": "/usr/bin:/nix/store/0c1q5rhmdi1vv8ygg4nfnhk4kbiy0b6f-make/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DOCKER_HOST": "unix:///run/docker.sock",
    "DOCKER_CONFIG": "/root/.docker",
    "HTTPS_PROXY": "http://proxy.example.com:3128",
    "no_proxy": "localhost",
    "GOPROXY": "https://go.example.com",
    "SSL_CERT_FILE": "/etc/ssl/cert.pem",
    "MAKEFLAGS": "-j4",
    "ECR_HOSTNAME": "registry.example.com",
}


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_kept_back(name):
    assert prepare.environment({name: SECRET[name]}) == {}


def test_what_tools_need_is_handed_on():
    assert prepare.environment(NEEDED) == NEEDED
