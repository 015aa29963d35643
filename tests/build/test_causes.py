"""First causes, and what only follows from them.

On a real engine: tests/images/own_engine/test_why.py.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dynbuild.build import causes
from dynbuild.build.context import ContextFiles, ContextRecord, StepFiles
from dynbuild.build.metadata import pins
from dynbuild.build.result import BuilderResult, BuildResult, Material
from dynbuild.build.snapshot import Snapshot
from dynbuild.render import graph, instructions
from dynbuild.settings.layers import Origin
from tests.report import builds
from tests.support import NONE_CPU, make_job

TEXT = """\
ARG BASE=debian:1
FROM ${BASE} AS base
RUN one
FROM base AS tool
ARG VERSION
ENV WHERE=/x/${VERSION}
RUN two
FROM base AS runtime
WORKDIR /w
COPY app /app
RUN three
COPY --from=tool /x /x
RUN four
"""
BUILDER = BuilderResult(name="default", driver="docker", buildkit="0.31", engine="private x")
FILES = {"app/a": "file 644 1", "app/b": "file 644 2", "other": "file 644 3"}
IMAGE = make_job(**NONE_CPU).images[0].plan
BEGUN = datetime(2026, 11, 22, 1, 30, 12, tzinfo=UTC)
SHA = "sha256:" + "a" * 64


def files(entries, sources=("app",), step="COPY app /app"):
    chosen = sorted(item for item in entries.items() if item[0].startswith(sources))
    digest = hashlib.sha256(repr(chosen).encode()).hexdigest()
    one = StepFiles(
        image=IMAGE.name, stage="runtime", step=step, context="", sources=sources,
        count=len(chosen), digest=digest,
    )  # fmt: skip
    return ContextRecord(contexts={"": ContextFiles(path="/t", files=entries)}, steps=(one,))


def solve(text, ran):
    """What becomes of the steps: *ran* has those that run, as ``stage number``."""
    lines = []
    for stage in instructions.read(text)[1]:
        own = [one for one in stage.instructions if one.keyword in graph.FILES]
        first = stage.base.startswith("$")
        for number, one in enumerate(own, 1):
            name = f"[{stage.name} {number + first}/{len(own) + first}] {one}"
            done = {} if f"{stage.name} {number}" in ran or ran == "all" else {"cached": True}
            lines.append(builds.vertex(name, name, 0, 1, ["x"], **done))
    return builds.solved(*lines)


def snapshot(text=TEXT, ran="", args=None, entries=FILES, **more):
    values = {"VERSION": "1", **(args or {})}
    set_by = {name: Origin("flag", f"--arg {name}") for name in values}
    changed = {
        "build_args": values,
        "set_by": set_by,
        "origins": {name: str(one) for name, one in set_by.items()},
        "contexts": {}, "stage": "runtime",
        **more.pop("plan", {}),
    }  # fmt: skip
    plan = replace(IMAGE, **changed)
    document = replace(make_job(**NONE_CPU).plan, images=(plan,))
    given = {"id": "b", "network": "bridge", "builder": BUILDER, "begun": BEGUN, "seconds": 60}
    return Snapshot(
        **{
            **given,
            "plan": document,
            "texts": {IMAGE.name: text},
            "files": files(entries) if entries is not None else None,
            "solve": solve(text, ran) if ran is not None else None,
            **more,
        }
    )


def explained(after, before=None, **more):
    return causes.explain(before or snapshot(id="a", ran="all"), after, **more)


def told(one):
    return {
        str(cause): [reason.place[2:] for reason in steps] for cause, steps in one.causes.items()
    }


def places(reasons):
    return [f"{one.place[2]} {one.place[3]}" for one in reasons]


ALL = ["base 1", "runtime 1", "runtime 2", "runtime 3", "tool 1", "runtime 4", "runtime 5"]


@pytest.mark.parametrize(
    ("change", "ran", "cause"),
    [
        (
            {"args": {"VERSION": "2"}},
            "tool 1, runtime 4, runtime 5",
            "argument: VERSION: 1 (flag --arg VERSION) -> 2 (flag --arg VERSION)",
        ),
        (
            {"text": TEXT.replace("RUN three", "RUN three --more")},
            "runtime 3, runtime 4, runtime 5",
            "template: stage runtime, line 11 of the Dockerfile: three -> three --more",
        ),
        (
            {"text": TEXT.replace("RUN four", "RUN new\nRUN four")},
            "runtime 5, runtime 6",
            "template: stage runtime, line 13 of the Dockerfile: new: RUN new",
        ),
        (
            {"text": TEXT.replace("RUN three\n", "")},
            "runtime 3, runtime 4",
            "template: stage runtime: left out: RUN three",
        ),
        (
            {"text": TEXT.replace("FROM base AS runtime", "FROM tool AS runtime")},
            "runtime 1, runtime 2, runtime 3, runtime 4, runtime 5",
            "template: stage runtime: starts from stage base -> stage tool",
        ),
        (
            {"entries": FILES | {"app/a": "file 755 1"}},
            "runtime 2, runtime 3, runtime 4, runtime 5",
            "files: app/a: mode 644 -> 755",
        ),
        (
            {"entries": FILES | {"app/b": "file 644 9", "app/c": "link x"}},
            "runtime 2, runtime 3, runtime 4, runtime 5",
            "files: app/b: content, app/c: added",
        ),
        ({"network": "host"}, "all", "network: of RUN steps: bridge -> host"),
        (
            {"plan": {"no_cache": True}},
            "all",
            "no-cache: --no-cache: nothing is taken from the cache",
        ),
        (
            {"builder": replace(BUILDER, name="other")},
            "all",
            "builder: builder: default -> other",
        ),
        (
            {"plan": {"platforms": ("linux/arm64",)}},
            "all",
            "platform: linux/arm64: not in a",
        ),
        ({}, "all", "pruned: the builder has lost it since a: pruned, or over its limit"),
        (
            {"args": {"BASE": "debian:2"}},
            "all",
            "argument: BASE: (none) -> debian:2 (flag --arg BASE)",
        ),
    ],
)  # fmt: skip
def test_a_change_is_the_one_first_cause_and_is_foretold(change, ran, cause):
    one = explained(snapshot(ran=ran, **change))
    assert list(told(one)) == [cause]
    assert not one.of_kind("unexplained")
    if "pruned" not in cause:
        assert {one.place for one in explained(snapshot(**change | {"ran": None})).reasons} == {
            reason.place for reason in one.reasons
        }


def test_a_value_that_is_unkeyed_is_no_cause_beside_another_change():
    """Both values are in what differs; the text alone is why."""
    one = explained(
        snapshot(
            ran="runtime 3, runtime 4, runtime 5", text=TEXT.replace("three", "three -j3"),
            args={"JOBS": "3"}, plan={"unkeyed_args": ("JOBS",)},
        )
    )  # fmt: skip
    assert [cause.kind for cause in one.causes] == ["template"]


def test_the_first_cause_is_found_from_what_follows():
    one = explained(snapshot(ran="tool 1, runtime 4, runtime 5", args={"VERSION": "2"}))
    assert places(one.of_kind("follows")) == ["runtime 4", "runtime 5"]
    assert [places(one.first_of(reason)) for reason in one.reasons] == [["tool 1"]] * 3


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"entries": {**FILES, "other": "file 644 9"}}, None),
        ({"plan": {"labels": {"a": "b"}}}, None),
        ({"args": {"JOBS": "3"}, "plan": {"unkeyed_args": ("JOBS",)}}, None),
    ],
)
def test_what_changes_no_step_causes_nothing(change, cause):
    del cause
    assert not explained(snapshot(ran="", **change)).reasons
    assert not explained(snapshot(**change | {"ran": None})).reasons


@pytest.mark.parametrize(
    ("uri", "old", "new", "cause"),
    [
        ("pkg:docker/debian@1?platform=linux%2Famd64", SHA, "sha256:" + "b" * 64,
         "base: debian:1: sha256:aaaaaaaaaaaa -> sha256:bbbbbbbbbbbb"),
    ],
)  # fmt: skip
def test_an_image_that_moved_under_its_tag(uri, old, new, cause):
    before, after = (pins((Material(uri=uri, digest=one),)) for one in (old, new))
    plan = {"platforms": ("linux/amd64",)}
    one = explained(
        snapshot(ran="all", pins=after, plan=plan),
        snapshot(id="a", ran="all", pins=before, plan=plan),
    )
    assert list(told(one)) == [cause]
    # What only one of the two knows is no difference.
    assert not explained(
        snapshot(ran="", pins=after, plan=plan), snapshot(id="a", ran="all", plan=plan)
    ).reasons


def test_what_nothing_explains_is_said_to_be_unexplained():
    one = explained(snapshot(ran="runtime 2", entries=None))
    assert places(one.of_kind("unexplained")) == ["runtime 2"]
    assert not one.causes


def test_a_step_that_the_earlier_build_did_not_come_to():
    before = snapshot(id="a", solve=builds.solved())
    assert [one.kind for one in explained(snapshot(ran="base 1"), before).causes] == ["unfinished"]


def test_a_build_beside_it_is_a_cause_until_buildkit_is_mended():
    other = BuildResult(id=builds.ID, status="done", seconds=30)
    later = BuildResult(id="20271122T013012-1-x", status="done", seconds=30)
    beside = causes.beside(snapshot(), [other, later])
    assert [text.split()[0] for text in beside] == [builds.ID]
    one = explained(snapshot(ran="base 1"), beside=beside)
    assert [cause.kind for cause in one.causes] == ["overlap"]
    new = replace(BUILDER, buildkit="0.32")
    mended = snapshot(id="a", ran="all", builder=new), snapshot(ran="base 1", builder=new)
    assert [cause.kind for cause in causes.explain(*mended, beside).causes] == ["pruned"]


def test_a_cache_that_could_not_be_imported():
    failed = builds.vertex("i", "importing cache manifest from r/x", 0, 1, error="not found: 404")
    ran = builds.vertex("b", "[base 2/2] RUN one", 0, 1, ["x"])
    one = explained(snapshot(solve=builds.solved(failed, ran)))
    assert list(told(one)) == ["import: a cache was not imported: r/x: not found: 404"]


def test_secrets_are_not_shown():
    token = "ghp_" + "a1B2" * 9
    one = explained(
        snapshot(ran="tool 1", args={"VERSION": token}, text=TEXT.replace("two", f"two {token}"))
    )
    assert len(one.causes) == 2
    assert token not in repr(list(one.causes))


def test_steps_of_an_image_are_matched_only_where_one_differs(monkeypatch):
    matched = []
    pair = causes.Pair
    monkeypatch.setattr(causes, "Pair", lambda *of: matched.append(of) or pair(*of))
    assert causes.explain(snapshot(), snapshot(ran="tool 1")).reasons
    assert matched == []
    changed = snapshot(args={"VERSION": "2"}, ran="tool 1")
    assert causes.explain(snapshot(), changed).causes
    assert len(matched) == 1
