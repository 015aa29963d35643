"""What a Dockerfile takes from build contexts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.render import instructions
from dynbuild.render.instructions import MAIN
from tests.support import ROOT

TEXT = """\
# syntax=x
ARG BASE=debian
ARG DIR=lib
FROM ${BASE}:trixie AS base
RUN --mount=type=cache,target=/c \\
    # a comment inside
    --mount=type=bind,source=container/deps,target=/d \\
    make
FROM base AS tools
COPY tools/ /tools
FROM base AS ucx
ARG EXTRA=more
ENV WHERE=here/$EXTRA
COPY --from=ucx_src / /source
RUN --mount=type=bind,from=nixl_src,source=src,target=/s <<EOF
COPY nothing /that/counts
EOF
COPY <<'TEXT' /etc/x
FROM nothing
TEXT
COPY ["a b", "./c/../d", "/x/"]
COPY ${DIR}/a* $WHERE ${UNKNOWN}/y lib/${UNKNOWN}/z /y/
ADD https://example.com/x.tgz git@example.com:x.git local.tar /z/
FROM ucx AS runtime
COPY --from=tools /tools /tools
COPY --from=base /etc/x /
COPY . /all
FROM base AS unused
COPY secret /
FROM whole AS last
"""
CONTEXTS = {"ucx_src": "/ucx", "whole": "/w"}


def chosen(target, text=TEXT, args=None, contexts=CONTEXTS):
    made = instructions.selections(text, target, args or {}, contexts)
    return {(one.stage, one.context, one.sources) for one in made}


BASE = ("base", MAIN, ("container/deps",))
UCX = {
    ("ucx", "ucx_src", ("",)),
    ("ucx", MAIN, ("a b", "d")),
    ("ucx", MAIN, ("lib/a*", "here/more", "", "lib")),
    ("ucx", MAIN, ("local.tar",)),
}


def test_stages_and_arguments():
    defaults, stages = instructions.read(TEXT)
    assert defaults == {"BASE": "debian", "DIR": "lib"}
    names = ["base", "tools", "ucx", "runtime", "unused", "last"]
    assert [stage.name for stage in stages] == names
    assert stages[0].base == "${BASE}:trixie"


def test_only_stages_that_are_needed_count():
    assert chosen("base") == {BASE}
    assert chosen("ucx") == {BASE, *UCX}
    assert chosen("runtime") == {
        BASE, *UCX, ("tools", MAIN, ("tools",)), ("runtime", MAIN, ("",)),
    }  # fmt: skip
    assert chosen("nosuch") == set()


def test_values_of_arguments():
    made = chosen("ucx", args={"DIR": "components", "UNKNOWN": "u"})
    assert ("ucx", MAIN, ("components/a*", "here/more", "u/y", "lib/u/z")) in made
    assert ("ucx", MAIN, ("lib/a*", "here/always", "", "lib")) in chosen(
        "ucx", args={"EXTRA": "always"}
    )


def test_a_named_context_takes_the_place_of_a_stage():
    assert chosen("last") == {("last", "whole", ("",))}
    assert chosen("ucx", contexts={"base": "/b"}) == {
        ("ucx", "base", ("",)), *(one for one in UCX if one[1] == MAIN),
    }  # fmt: skip
    nixl = ("ucx", "nixl_src", ("src",))
    assert nixl in chosen("ucx", contexts={"nixl_src": "/n"})


def test_a_stage_without_a_name():
    assert chosen("0", "FROM x\nCOPY a /\n") == {("0", MAIN, ("a",))}


@pytest.mark.parametrize("file", sorted((ROOT / "dockerfiles").glob("none-*.Dockerfile")), ids=str)
def test_the_dockerfiles_of_the_project(file):
    text = file.read_text()
    _, stages = instructions.read(text)
    assert all(stage.base for stage in stages)
    keywords = {one.keyword for stage in stages for one in stage.instructions}
    assert keywords <= {
        "ARG", "ENV", "RUN", "COPY", "ADD", "WORKDIR", "USER", "LABEL", "ENTRYPOINT", "CMD",
        "SHELL", "HEALTHCHECK", "EXPOSE", "STOPSIGNAL",
    }  # fmt: skip
    list(instructions.selections(text, stages[-1].name, {}, {}))


@given(st.text(max_size=60) | st.text("FROMCPYADUN -=/\\\n<'\"$[]{}a", max_size=60))
def test_no_text_breaks_the_reader(text):
    _, stages = instructions.read(text)
    for stage in stages:
        list(instructions.selections(text, stage.name, {}, {"a": "/"}))
