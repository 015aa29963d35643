"""Values that are wrong in some way, or that are right and odd."""

from __future__ import annotations

import datetime

TEXTS = (
    *("", " ", "\t", "\n", "a\nb", "a\x00b", "\x1b[31mred\x1b[0m", "\x85\u2028", "\u202egnp.exe"),
    *(
        "é",
        "日本語",
        "\U0001f600",
        "\udcff",
        "a\udc80b",
        "e\u0301",
        "İ",
        "ß",
        "٣",
        "\uff11\uff12",
        "²",
    ),
    *("-", "--", "---", "-x", "--help", "=", "=x", "x=", "x=y=z", "a=b,c=d", ",", ",,", "a,,b"),
    *("0", "-0", "-1", "+1", "1_000", "1e3", "1e999", "0x10", "0o7", "NaN", "inf", "1.", ".5"),
    *("9" * 30, "9" * 5000, "0" * 400, "a" * 300, "a" * 70_000, "[" * 2000, "{" * 2000, "(" * 2000),
    *(
        ".",
        "..",
        "...",
        "a/..",
        "a//b",
        "/dev/null",
        "/dev/null/x",
        "/dev/full",
        "~",
        "~nosuchuser",
    ),
    *("~/x", "a:b", "a:b:c:d", ":", "::", "[::1]:5000/x", "[", "]", "[::", "http://[", "http://"),
    *(
        "https://u:p@h/x",
        "https://h:99999/",
        "https://h:x/",
        "://",
        "git@h:a/b.git#c:d",
        "file:///x",
    ),
    *(
        "type=",
        "type=local",
        "type=registry,ref=",
        "type=s3,bucket",
        'type=local,dest="a',
        "type==,",
    ),
    *("x:y", "X:Y", "x@sha256:", "x@sha256:" + "0" * 64, "x:" + "y" * 129, "a/b/c:d@e", "x:y:z"),
    *("true", "TRUE", "yes", "null", "None", "all", "none", "latest", "last", "~1", "~0", "~-1"),
    *(
        "~99999999999999999999",
        "linux/amd64",
        "linux/arm64",
        "linux/amd64/v2",
        "linux//",
        "/proc",
        "amd64",
    ),
    *("13.0", "12.9", "12", "cuda13.0", "v1.0.0", "1.0.0rc1", "1!2.0", "HEAD", "HEAD~1", "@{-1}"),
    *(
        "10gb",
        "1e9gb",
        "10 GB",
        "-5gb",
        "7d",
        "7 days",
        "1h30m",
        "∞",
        "%",
        "%s",
        "%(x)s",
        "{}",
        "{0}",
    ),
    *(
        "{x}",
        "{",
        "}",
        "${HOME}",
        "$HOME",
        "$(id)",
        "`id`",
        "'",
        '"',
        "'\"",
        "\\",
        "\\\\",
        "a\\",
        "*",
    ),
    *(
        "?",
        "[a-z]",
        "**",
        "!",
        "!*",
        "none-*",
        "none-runtime-cpu",
        "vllm/runtime",
        "a b c",
        "[bold]x[/",
    ),
    *(
        "8000:8000",
        "0:0",
        "99999:1",
        "1-5:1-4",
        "/a:/b:rw",
        "/a:/b:zz",
        "source=a,target=b",
        "1:2:3",
    ),
    *(
        "device=0,1",
        '"device=0,1"',
        "device=",
        "capabilities=gpu",
        "nvidia.com/gpu=all",
        "-2",
        "999999",
    ),
    *(
        "root",
        "4294967296",
        "-1:-1",
        "1000:1000",
        "a:b:c",
        "core=0",
        "nofile=5:1",
        "nofile=x",
        "nofile",
    ),
)

RIGHT = {
    "--gpus": ("all", "none", "2", "device=0", '"device=0,1"', "nvidia.com/gpu=all"),
    "--shm-size": ("10g", "512m"),
    "--memory": ("64g", "1.5T"),
    "--volume": ("/a b:/b", "/é:/c:ro", "name:/d", "/e$x:/f%i"),
    "--mount": ("type=bind,source=/a:b,target=/b", 'type=bind,"source=/a,b",target=/c'),
    "--publish": ("8000:8000", "127.0.0.1:9000-9002:9000-9002/udp"),
    "--env": ("A=1", "A=$B ${C} $$ %h", "T=a: b # c\n- d", "HF_TOKEN", "Q='\"\\"),
    "--ulimit": ("core=0", "nofile=1024:65536"),
    "--user": ("root", "1234:5678"),
    "--group-add": ("video", "44"),
    "--network": ("host", "none", "bridge", "lab", "container:a"),
    "--ipc": ("host", "private", "shareable"),
    "--cap-add": ("NET_ADMIN", "CAP_SYS_NICE", "ALL"),
    "--cpus": ("7.5", "8"),
    "--cpuset-cpus": ("0-15",),
    "--device": ("/dev/infiniband", "nvidia.com/gpu=0"),
    "--add-host": ("a:1.2.3.4", "b:host-gateway"),
    "--label": ("a=b", "c"),
    "--entrypoint": ("/bin/sh", ""),
    "--workdir": ("/opt/x y",),
    "--name": ("worker_0",),
    "--restart": ("always", "on-failure:3"),
    "--security-opt": ("no-new-privileges", "seccomp=unconfined"),
    "--framework": ("none", "vllm", "sglang", "trtllm"),
    "--target": ("runtime", "dev", "local-dev", "frontend"),
    "--device-type": ("cpu", "cuda"),
    "--cuda-version": ("12.9", "13.0"),
    "--platform": ("linux/amd64", "linux/arm64", "amd64,arm64"),
    "--output": ("load", "none", "push"),
    "--use-sccache": ("s3", "local", "none"),
    "--repository": ("r.example.com/x/y",),
    "--cache-to": ("type=local,dest=x", "type=inline"),
    "--cache-from": ("type=registry,ref=a/b",),
    "--build-context": ("ucx_src=.",),
    "--source": ("nixl=.",),
    "--older-than": ("1d", "2h"),
    "--keep": ("1", "3"),
}
"""Values that are right, by the long spelling of the option."""

LEAVES = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**40, -(10**40), 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), [], {}, [[]], [{}], {"": ""}, {"a": {"b": {"c": []}}}),
    *([1, "a", None], ["a", "a"], "2020-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00"),
    *("0001-01-01T00:00:00-14:00", "2020-01-01", "sha256:" + "0" * 64, *TEXTS),
)
"""What may stand where anything may, in JSON; a text cannot hold lone surrogates there."""

DATES = (datetime.date(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59), datetime.time(1, 2))


def text(chance, plain=()):
    """A text: hostile, one of *plain*, or both in one."""
    choice = chance.random()
    if plain and choice < 0.5:
        return chance.choice(plain)
    if choice < 0.9:
        return chance.choice(TEXTS)
    return chance.choice(plain or TEXTS)[:200] + chance.choice(TEXTS)


def mutated(chance, value, leaves=LEAVES):
    """*value*, a tree of JSON, with one place changed: another value, a key less or more."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        done = dict(value)
        action = chance.random()
        if action < 0.1:
            del done[key]
        elif action < 0.15:
            done[chance.choice(TEXTS[:20])] = done.pop(key)
        else:
            done[key] = mutated(chance, value[key], leaves)
        return done
    if isinstance(value, list) and value and chance.random() < 0.8:
        done = list(value)
        place = chance.randrange(len(done))
        action = chance.random()
        if action < 0.1:
            del done[place]
        elif action < 0.2:
            done.append(done[place])
        else:
            done[place] = mutated(chance, done[place], leaves)
        return done
    return chance.choice(leaves)


def damaged(chance, data):
    """*data*, bytes, as a disk or an editor may leave it."""
    place = chance.randrange(len(data) + 1)
    return chance.choice(
        (
            data[:place],
            data[place:],
            data[:place] + chance.randbytes(3) + data[place:],
            data[:place] + b"\x00" * 64 + data[place:],
            data + data,
            b"\xef\xbb\xbf" + data,
            data.decode("utf-8", "replace").encode("utf-16"),
            b"",
        )
    )
