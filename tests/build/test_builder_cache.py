"""Steps among what a builder says of its cache."""

from dataclasses import replace

import pytest

from dynbuild.build.builder_cache import BuilderCache
from dynbuild.render import graph
from tests.support import NONE_CPU, make_job

EXEC = "mount / from exec /bin/sh -c"


@pytest.mark.parametrize(
    ("text", "made_by", "there"),
    [
        ("RUN make", f"{EXEC} make", True),
        ("RUN make", f"{EXEC} make install", False),
        ("RUN make", f"{EXEC} remake", False),
        ("RUN --mount=type=cache,target=/c make \\\n  all", f"{EXEC} make   all", True),
        ('RUN ["make", "all"]', "mount / from exec make all", True),
        ("RUN [ -e /x ]", f"{EXEC} [ -e /x ]", True),
        ("RUN <<END\nmake\n  all\nEND", f"{EXEC} make\n  all\n", True),
        ("RUN <<END\nmake\nEND", f"{EXEC} other\n", False),
        # What is run is the name of a file then, whatever is in it.
        ("RUN <<END\n#!/bin/python\nEND", "mount / from exec /dev/pipes/END", True),
        ("WORKDIR /w", "[runtime 2/4] WORKDIR /w", True),
        ("WORKDIR /w", "[linux/arm64 other 12/14] WORKDIR /w", True),
        ("WORKDIR /w", "[runtime 2/4] WORKDIR /w/x", False),
        ("WORKDIR /w", "fileop target", True),
        ("ARG V=1\nCOPY --from=busybox /$V /${V}", "[x 1/1] COPY --from=busybox /1 /1", True),
    ],
)
def test_a_step_is_known_by_what_made_it(text, made_by, there):
    (image,) = make_job(**NONE_CPU).images
    plan = replace(image.plan, stage="x", contexts={})
    (step,) = graph.of(plan, f"FROM debian AS x\n{text}\n").steps.values()
    assert BuilderCache(("local source for context", made_by)).has(step) is there
    assert not BuilderCache(()).has(step) or "#!" in text


def test_a_step_may_have_been_called_otherwise():
    (image,) = make_job(**NONE_CPU).images
    plan = replace(image.plan, stage="x", contexts={})
    (step,) = graph.of(plan, "FROM debian AS x\nCOPY --from=a $HOME/x /\n").steps.values()
    cache = BuilderCache(("[x 2/2] COPY --from=a /root/x /",))
    assert not cache.has(step)
    assert cache.has(step, ("COPY --from=a /root/x /",))
