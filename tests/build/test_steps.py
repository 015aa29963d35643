import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild.build.steps import StepName
from tests import support  # noqa: F401 - the profile of hypothesis

NAMES = {
    "[ucx 2/2] RUN make": StepName(stage="ucx", index=2, total=2, instruction="RUN make"),
    "[ucx  2/12] RUN make": StepName(stage="ucx", index=2, total=12, instruction="RUN make"),
    "[1/3] FROM debian@sha256:0": StepName(index=1, total=3, instruction="FROM debian@sha256:0"),
    "[ 1/10] COPY a b": StepName(index=1, total=10, instruction="COPY a b"),
    "[stage-3 1/4] COPY a b": StepName(stage="stage-3", index=1, total=4, instruction="COPY a b"),
    "[linux/arm64 ucx 2/2] RUN make": StepName(
        platform="linux/arm64", stage="ucx", index=2, total=2, instruction="RUN make"
    ),
    "[linux/arm/v7 1/2] RUN make": StepName(
        platform="linux/arm/v7", index=1, total=2, instruction="RUN make"
    ),
    "[vllm ucx 2/2] RUN make": StepName(
        target="vllm", stage="ucx", index=2, total=2, instruction="RUN make"
    ),
    "[vllm linux/amd64->arm64 ucx 2/2] RUN make": StepName(
        target="vllm", platform="linux/amd64->arm64", stage="ucx",
        index=2, total=2, instruction="RUN make",
    ),
    "[vllm linux/arm64  2/12] RUN make": StepName(
        target="vllm", platform="linux/arm64", index=2, total=12, instruction="RUN make"
    ),
    "[ucx 2/2] RUN a\n[b 1/2] RUN [ c ] || exit\n": StepName(
        stage="ucx", index=2, total=2, instruction="RUN a\n[b 1/2] RUN [ c ] || exit\n"
    ),
    '[ucx 1/1] RUN <<EOF (echo "[one] two" >&2...)': StepName(
        stage="ucx", index=1, total=1, instruction='RUN <<EOF (echo "[one] two" >&2...)'
    ),
    "[internal] load .dockerignore": StepName(
        scope="internal", instruction="load .dockerignore"
    ),
    "[vllm internal] load .dockerignore": StepName(
        target="vllm", scope="internal", instruction="load .dockerignore"
    ),
    "[linux/arm64 internal] load metadata for x": StepName(
        platform="linux/arm64", scope="internal", instruction="load metadata for x"
    ),
    "[vllm linux/arm64 internal] load metadata for x": StepName(
        target="vllm", platform="linux/arm64", scope="internal", instruction="load metadata for x"
    ),
    "[auth] library/debian:pull token for registry": StepName(
        scope="auth", instruction="library/debian:pull token for registry"
    ),
    "[context base::linux/amd64] load from client": StepName(
        scope="context base::linux/amd64", instruction="load from client"
    ),
    "[vllm context ucx_src] load from client": StepName(
        target="vllm", scope="context ucx_src", instruction="load from client"
    ),
    "[vllm] exporting to image": StepName(target="vllm", instruction="exporting to image"),
    "[linux/amd64] generating sbom using x": StepName(
        platform="linux/amd64", instruction="generating sbom using x"
    ),
    "[a custom front end] does this": StepName(
        scope="a custom front end", instruction="does this"
    ),
    "exporting to image": StepName(instruction="exporting to image"),
    "resolve image config for docker-image://x/y:1": StepName(
        instruction="resolve image config for docker-image://x/y:1"
    ),
    "[a b c d 1/2] RUN x": StepName(instruction="[a b c d 1/2] RUN x"),
    "[]": StepName(instruction="[]"),
    "[x]": StepName(instruction="[x]"),
    "": StepName(),
}  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_names(text):
    assert StepName.parse(text) == NAMES[text]
    assert str(NAMES[text]) == text


@pytest.mark.parametrize(
    ("text", "target", "stage"),
    [
        ("[vllm 1/2] RUN x", "vllm", ""),
        ("[ucx 1/2] RUN x", "", "ucx"),
        ("[vllm vllm 1/2] RUN x", "vllm", "vllm"),
        ("[internal 1/2] RUN x", "internal", ""),
    ],
)
def test_a_lone_word_is_a_target_where_there_is_one_of_that_name(text, target, stage):
    name = StepName.parse(text, {"vllm", "internal"})
    assert (name.target, name.stage) == (target, stage)
    assert str(name) == text


def test_a_target_may_be_called_internal():
    name = StepName.parse("[internal internal] load .dockerignore", {"internal"})
    assert (name.target, name.scope) == ("internal", "internal")


WORD = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
PLATFORM = st.sampled_from(["", "linux/arm64", "linux/arm/v7", "linux/amd64->arm64", "a(1.2)/b"])
COUNT = st.integers(1, 120).flatmap(lambda total: st.tuples(st.integers(1, total), st.just(total)))
TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.just("") | WORD, PLATFORM, st.just("") | WORD, COUNT, TEXT)
def test_a_name_survives_being_written(target, platform, stage, count, instruction):
    index, total = count
    name = StepName(
        target=target,
        platform=platform,
        stage=stage,
        index=index,
        total=total,
        instruction=instruction,
    )
    assert StepName.parse(str(name), {target} - {""}) == name


@given(WORD, PLATFORM, st.sampled_from(["internal", "auth", "context a/b::c"]), TEXT)
def test_a_name_of_work_without_a_stage_survives_too(target, platform, scope, instruction):
    name = StepName(target=target, platform=platform, scope=scope, instruction=instruction)
    assert StepName.parse(str(name), {target}) == name


BRACKETED = st.text(st.sampled_from("ab1/ []>-")).map(lambda head: f"[{head}] RUN x")


@given(TEXT | BRACKETED, st.sets(WORD))
@example("[ucx 02/2] RUN x", set())
@example("[ucx 1/0] RUN x", set())
@example("[ucx 1/" + "9" * 5000 + "] RUN x", set())
def test_nothing_of_a_text_is_lost(text, targets):
    assert str(StepName.parse(text, targets)) == text


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("[ucx 2/2] RUN x", "ucx"),
        ("[linux/arm64 ucx 2/2] RUN x", "linux/arm64 ucx"),
        ("[vllm ucx 2/2] RUN x", "vllm ucx"),
        ("[2/3] RUN x", "2/3"),
        ("[vllm internal] load .dockerignore", "vllm internal"),
        ("[vllm] exporting to image", "vllm"),
        ("exporting to image", "exporting to image"),
    ],
)
def test_labels(text, label):
    assert StepName.parse(text).label == label


def test_an_instruction_of_a_base_image_is_of_its_kind():
    name = StepName.parse("[a 1/1] ONBUILD RUN make")
    assert (name.is_instruction, name.is_run) == (True, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("[a 1/1] RUN  make \n  install", "[a 1/1] RUN make install"),
        ("[a 1/1] RUN --mount=type=cache,target=/x --network=host make", "[a 1/1] RUN make"),
        ("[a 1/1] COPY --from=b --chown=1:0 --chmod=775 x y", "[a 1/1] COPY x y"),
        ("[a 1/1] ADD --checksum=sha256:0 u /", "[a 1/1] ADD u /"),
        (
            "[a 1/1] RUN rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -oAcquire::Retries=5"
            " update && DEBIAN_FRONTEND=noninteractive apt-get -oAcquire::Retries=5 install -y"
            " --no-install-recommends gcc",
            "[a 1/1] RUN apt-get install -y gcc",
        ),
        (
            '[a 1/1] RUN again() { for wait in 1 0; do rm -f x; "$@" && return; sleep "$wait";'
            " done; return 1; } && again dnf install -y --setopt=keepcache=1 gcc",
            "[a 1/1] RUN dnf install -y gcc",
        ),
        ("[a 1/1] RUN pip install --retries 7 x", "[a 1/1] RUN pip install x"),
        ("exporting to image", "exporting to image"),
    ],
)
def test_titles(name, text):
    assert StepName.parse(name).title == text


@pytest.mark.parametrize(
    ("command", "telling"),
    [
        ("cd /source && make -j2", "make -j2"),
        (
            "cd /s && { [ -x configure ] || ./autogen.sh; } && export A=1 && ./configure",
            "./autogen.sh && ./configure",
        ),
        ('set -eu; version="$(cd x; pwd)"; curl -O u', "curl -O u"),
        ("echo 'a && b; make' && ninja", "ninja"),
        ("(cd x && make) && strip y", "(cd x && make) && strip y"),
        ("one() { make; } && one", "make && one"),
        ("cd /x", "cd /x"),
        ("echo \\; && make 'it is", "make 'it is"),
    ],
)
def test_what_a_command_really_does(command, telling):
    assert StepName.parse(f"[a 1/1] RUN {command}").telling == f"RUN {telling}"


@given(st.text())
def test_any_command_can_be_told(command):
    assert StepName(index=1, total=1, instruction=f"RUN {command}").telling.startswith("RUN")


def test_what_is_no_command_is_told_as_it_is():
    assert StepName.parse("[a 1/1] COPY --from=b cd; x /y").telling == "COPY cd; x /y"
    assert StepName.parse("exporting to image").telling == "exporting to image"
