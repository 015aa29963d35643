"""What became of each step of a build, by what BuildKit calls its own."""

from __future__ import annotations

import itertools

import pytest

from dynbuild.build import snapshot
from dynbuild.render import graph
from tests.build.test_causes import IMAGE
from tests.build.test_causes import snapshot as of
from tests.report import builds

TEXT = """\
FROM scratch AS fetched
ADD https://example.com/x /x
FROM debian:1 AS runtime
RUN one
COPY --link --from=fetched / /
"""
CACHED = {"cached": True}
OWN = "[runtime 3/3] COPY --link --from=fetched / /"
STEPS = {
    "download": ("[fetched 1/1] ADD https://example.com/x /x", (), {}),
    "add": ("[fetched 1/1] ADD https://example.com/x /x", ("download",), CACHED),
    "one": ("[runtime 2/3] RUN one", ("base",), {}),
    "copy": (OWN, ("add",), CACHED),
    "merge": (OWN.replace("COPY", "LINK COPY", 1), ("one", "copy"), {}),
}


@pytest.mark.parametrize("order", [*itertools.permutations(("download", "add", "copy", "merge"))])
def test_what_is_beside_a_step_under_its_name_does_not_say_what_became_of_it(order):
    """A download is asked for anew, and linked files are put on others, whatever is cached."""
    lines = []
    for digest in ("one", *order):
        name, inputs, more = STEPS[digest]
        lines.append(builds.vertex(digest, name, 0, 1, inputs, **more))
    one = of(TEXT, solve=builds.solved(*lines))
    made = {IMAGE.name: graph.of(one.plan.images[0], TEXT)}
    states = {place[2:]: state for place, state in snapshot.states(one, made).items()}
    assert states == {("fetched", 1): "cached", ("runtime", 1): "run", ("runtime", 2): "cached"}
