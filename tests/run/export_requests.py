"""Requests that the tests of the export share, and a reader of systemd's units."""

import posixpath
import re

from hypothesis import strategies as st

from dynbuild.run.request import RunRequest

TYPICAL = RunRequest(
    image="dynamo:latest-vllm-runtime",
    command=("python", "-m", "dynamo.vllm", "--model", "Qwen/Qwen3-0.6B"),
    env=("DYN_LOG=info", "DYN_SYSTEM_PORT=8081", "HF_TOKEN"),
    hf_home="/home/ada/.cache/huggingface",
    image_user="dynamo",
    name="worker",
)

REQUESTS = {
    "least": RunRequest(image="x:y"),
    "typical": TYPICAL,
    "everything": RunRequest(
        image="example.com:5000/team/dynamo:v1",
        command=("-c", "echo $HOME; echo $$ $(date) %h \\ \"two\" 'words'\n# : - yes"),
        gpus='"device=0,GPU-1"',
        runtime="crun",
        network="lab",
        shm_size="512m",
        interactive=True,
        tty=True,
        rm=False,
        privileged=True,
        env=("A=1", "A=2", "EMPTY=", "PASSED", "API_KEY", "TEXT=a: b # c\n- d", "SUM=$A ${A} $$"),
        volumes=("/a:/b:ro,rslave", "cache:/c", "/d", "./e:/e:z"),
        ports=("8000:8000", "127.0.0.1:9000-9002:9000-9002/udp"),
        workdir="/opt",
        user="1234:5678",
        name="worker_0",
        entrypoint="/bin/sh",
        workspace="/src tree",
        hf_home="/hf",
        hf_token=True,
        nixl_gds=True,
        ulimits=("core=0", "nofile=1024:65536"),
        ipc="shareable",
        cap_add=("NET_ADMIN", "CAP_SYS_NICE"),
        memory="64g",
        cpus="7.5",
        cpuset_cpus="0-15",
        cpuset_mems="0",
    ),
    "isolated": RunRequest(
        image="x@sha256:" + "0" * 64, gpus="None", network="none", ipc="private", user="root"
    ),
    "bridge": RunRequest(image="x", gpus="2", network="bridge", ports=("80:8000",), user="dynamo"),
    "beside": RunRequest(image="x", network="container:other", ipc="container:other"),
    "words": RunRequest(
        image="yes",
        command=("yes", "no", "null", "~", "", "1", "1e3", "0x1", "- a", "a: b", "a #b", "*a", ";"),
        env=("ON=on", "N=1", "é=ü \u2028 \x85 \x1b \U0001f600 \ufeff \u202e", "D=2026-01-01"),
        entrypoint="",
        gpus="none",
    ),
}

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z")
paths = texts.filter(lambda text: ":" not in text).map(lambda text: f"/{text}")
targets = paths.filter(lambda path: posixpath.normpath(path) not in ("/", "//"))


@st.composite
def requests(draw):
    """Requests with any text where Docker takes any text."""
    set_here = draw(st.dictionaries(names, texts, max_size=4))
    passed = draw(st.lists(names, max_size=2, unique=True))
    mounts = draw(st.lists(st.tuples(paths, targets, st.sampled_from(("", ":ro"))), max_size=3))
    return RunRequest(
        image="x:y",
        command=tuple(draw(st.lists(texts, max_size=4))),
        entrypoint=draw(st.none() | texts.filter(bool)),
        env=(*(f"{name}={value}" for name, value in set_here.items()), *passed),
        volumes=tuple(f"{source}:{target}{mode}" for source, target, mode in mounts),
        workdir=draw(paths),
        name=draw(st.none() | st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]{1,9}\Z")),
        user=draw(st.none() | st.sampled_from(("root", "0", "1234", "1:2", "ada", "ada:staff"))),
        gpus=draw(st.sampled_from(("all", "none", "3", "device=1", '"device=0,1",driver=nvidia'))),
        network=draw(st.sampled_from(("host", "bridge", "none", "lab", "container:a"))),
        interactive=draw(st.booleans()),
        tty=draw(st.booleans()),
        privileged=draw(st.booleans()),
        nixl_gds=draw(st.booleans()),
    )


def variables(request):
    """The variables that docker would set, ``None`` for the caller's."""
    pairs = (text.partition("=") for text in request.all_env)
    return {name: value if equals else None for name, equals, value in pairs}


def read_unit(text):
    """Directives of a unit by name, in lists; as systemd.syntax(7) says."""
    lines = [line for line in text.split("\n") if not line.startswith(("#", ";"))]
    logical = "\n".join(lines).replace("\\\n", " ").split("\n")
    found = {}
    for line in logical:
        if "=" in line:
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def unquoted(line):
    """The words of a line in systemd's quotes, escapes undone."""
    named = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

    def plain(found):
        code = found[1]
        if code[0] == "x":
            return chr(int(code[1:], 16))
        if code[0].isdigit():
            return chr(int(code, 8))
        return named.get(code, code)

    escape = r"\\(x[0-9a-f]{2}|[0-7]{3}|.)"
    tokens = re.findall(r'"((?:[^"\\]|\\.)*)"(?=[ \n]|$)|([^ \n]+)', line, flags=re.ASCII)
    return [bare or re.sub(escape, plain, quoted) for quoted, bare in tokens]


def read_words(line):
    """The words of a command of a unit, as its process gets them."""
    words = []
    for text in unquoted(line):
        assert not re.search(r"(?<!%)%(%%)*(?!%)", text), text
        assert not re.search(r"(?<!\$)\$(\$\$)*(?!\$)", text), text
        words.append(text.replace("%%", "%").replace("$$", "$"))
    return words
