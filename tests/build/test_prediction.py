"""What is foretold of a build, with what the engine, registries and git say as recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from dynbuild import proc
from dynbuild.build import job_context, prediction, resolution
from dynbuild.build.metadata import pins
from dynbuild.build.resolution import Asking
from dynbuild.build.result import Material
from dynbuild.build.snapshot import Snapshot
from dynbuild.engine.builder import Builder, Node
from dynbuild.engine.model import Engine
from dynbuild.report import why
from dynbuild.report.display import Display
from tests.build.test_causes import places, solve
from tests.support import NONE_CPU, make_job

TEXT = """\
ARG BASE=debian:1
FROM ${BASE} AS base
RUN one
FROM scratch AS source
ADD https://example.com/r.git#main /r
FROM base AS tool
COPY --from=source /r /r
RUN two && \\
    # A comment.
    three
FROM base AS runtime
WORKDIR /w
COPY --from=tool /x /x
RUN <<END
four
END
"""
ALL = ["base 1", "runtime 1", "source 1", "tool 1", "tool 2", "runtime 2", "runtime 3"]
NAMES = {
    "base 1": "mount / from exec /bin/sh -c one",
    "runtime 1": "[runtime 1/3] WORKDIR /w",
    "source 1": "[source 1/1] ADD https://example.com/r.git#main /r",
    "tool 1": "[tool 1/2] COPY --from=source /r /r",
    "tool 2": "mount / from exec /bin/sh -c two &&     three",
    "runtime 2": "[linux/amd64 runtime 2/3] COPY --from=tool /x /x",
    "runtime 3": "mount / from exec /bin/sh -c four\n",
}
"""What made each entry of a cache, as BuildKit says it."""
ONE, OTHER = "a" * 40, "b" * 40
IMAGES = {digest: f"sha256:{digest * 64}" for digest in "cd"}
MATERIALS = (
    Material(uri="pkg:docker/debian@1?platform=linux%2Famd64", digest=IMAGES["c"]),
    Material(uri="https://example.com/r.git#main", digest=f"sha1:{ONE}"),
)
HERE = json.dumps([IMAGES["c"], [f"debian@{IMAGES['d']}"]])


class Played:
    """What the programs that are asked say; ``None`` of one that does not answer."""

    def __init__(self) -> None:
        self.here: str | None = HERE
        self.digest: str | None = IMAGES["c"]
        self.remote: str | None = f"{ONE}\trefs/heads/main\n{OTHER}\trefs/heads/x/main\n"
        self.lost: tuple[str, ...] = ()
        self.cache = "r.example/x:1: not found"
        self.silent = False
        self.asked: list[str] = []

    def run(self, argv, *, env=None, check=True, timeout=None):
        del env, check, timeout
        self.asked.append(argv[1])
        said: str | None
        error = "no answer"
        if argv[1] == "image":
            said = self.here
        elif argv[1] == "ls-remote":
            said = self.remote
        elif argv[2] == "imagetools" and argv[-1].startswith("r.example"):
            said, error = None, f"ERROR: {self.cache}"
        elif argv[2] == "imagetools":
            said = self.digest and json.dumps([{"digest": self.digest}, None])
        else:
            assert argv[1:3] == ("buildx", "du")
            kept = [text for place, text in NAMES.items() if place not in self.lost]
            entries = [{"Description": text, "Mutable": True} for text in kept]
            said = None if self.silent else "\n".join(map(json.dumps, entries))
        status = 0 if said is not None else 1
        return proc.Completed(argv=argv, returncode=status, stdout=said or "", stderr=error)


@pytest.fixture
def played(monkeypatch):
    made = Played()
    monkeypatch.setattr(proc, "run", made.run)
    return made


ENGINE = Engine("system", "docker", None, None, "28.5.2", "0.29", containerd_store=True)
OWN = Builder(name="default", driver="docker", nodes=(Node("default"),), engine=ENGINE)
APART = Builder(name="x", driver="remote", nodes=(Node("x"),), engine=ENGINE)


@pytest.fixture
def foretold(tmp_path):
    def of(builder=OWN, text=TEXT, *, was=TEXT, offline=False, materials=MATERIALS, **changed):
        job = make_job(**NONE_CPU, context=tmp_path)
        (image,) = job.images
        same = {"contexts": {}, "stage": "runtime", "platforms": ("linux/amd64",)}
        plans = [replace(image.plan, **(same | more)) for more in ({}, changed)]
        documents = [replace(job.plan, images=(one,)) for one in plans]
        before = Snapshot(
            id="a", plan=documents[0], texts={image.name: was}, network="bridge",
            begun=datetime(2026, 11, 20, tzinfo=UTC), pins=pins(materials), solve=solve(was, "all"),
        )  # fmt: skip
        job = job.__class__(plan=documents[1], images=(image,), registry_seconds=1.0)
        asking = Asking(builder=builder, env={}, offline=offline)
        return prediction.of(
            job,
            {image.name: text},
            before,
            asking,
            taken=partial(job_context.read, job, {image.name: text}),
            kept=partial(prediction.kept_by, asking),
        )

    return of


def lines(found):
    return [line.strip() for line in why.lines(found, Display(), predicted=True)]


def test_nothing_runs_where_all_is_what_it_was(foretold, played):
    found = foretold()
    assert (found.reasons, found.unknown, found.untold) == ((), (), ())
    assert lines(found) == ["0 steps will run, 7 from the cache; beside a"]
    assert sorted(played.asked) == ["buildx", "image", "ls-remote"]


@pytest.mark.parametrize("builder", [OWN, APART], ids=str)
def test_a_base_that_is_another_one_under_its_tag(foretold, played, builder):
    played.here = json.dumps([IMAGES["d"], []])
    played.digest = IMAGES["d"]
    found = foretold(builder)
    assert set(places(found.reasons)) == set(ALL) - {"source 1"}
    assert [str(cause) for cause in found.causes] == [
        f"base: debian:1: {IMAGES['c'][:19]} -> {IMAGES['d'][:19]}"
    ]


def test_an_image_that_was_pulled_has_the_digest_of_its_registry_too(foretold, played):
    played.here = json.dumps(["sha256:0", [f"debian@{IMAGES['c']}"]])
    assert not foretold().reasons


def test_a_registry_is_asked_for_what_the_engine_does_not_have(foretold, played):
    played.here = None
    assert not foretold().reasons
    played.digest = IMAGES["d"]
    assert [cause.kind for cause in foretold().causes] == ["base"]


def test_a_branch_that_moved(foretold, played):
    played.remote = f"{OTHER}\trefs/heads/main\n{ONE}\trefs/heads/x/main\n"
    found = foretold()
    assert places(found.reasons) == ["source 1", "tool 1", "tool 2", "runtime 2", "runtime 3"]
    assert lines(found)[1:] == [
        f"git: https://example.com/r.git#main: sha1:{ONE[:12]} -> sha1:{OTHER[:12]}",
        "source: ADD https://example.com/r.git#main /r",
        "4 steps more will run because of these",
    ]


@pytest.mark.parametrize(
    ("remote", "why"),
    [(None, "git does not say it: no answer"), ("", "there is no ref main any more")],
)
def test_what_nobody_says_of_a_ref_is_not_known(foretold, played, remote, why):
    played.remote = remote
    found = foretold()
    assert not found.reasons
    assert lines(found) == [
        "0 steps will run, 2 from the cache, 5 not known; beside a",
        f"not known: what https://example.com/r.git#main stands for now: {why}",
        "source: ADD https://example.com/r.git#main /r",
        "4 steps more not known because of these",
    ]


def test_offline_nothing_is_asked_over_the_network(foretold, played):
    found = foretold(offline=True)
    assert sorted(played.asked) == ["buildx", "image"]
    assert places(found.unknown) == ["source 1", "tool 1", "tool 2", "runtime 2", "runtime 3"]
    played.here = None
    assert len(foretold(offline=True).unknown) == len(ALL)
    assert "ls-remote" not in played.asked


def test_what_is_known_to_run_is_no_doubt(foretold, played):
    played.remote = None
    found = foretold(text=TEXT.replace("RUN two", "RUN new"))
    assert places(found.reasons) == ["tool 2", "runtime 2", "runtime 3"]
    assert places(found.unknown) == ["source 1", "tool 1"]
    assert {cause.kind for cause in found.causes} == {"template"}


LINKED = """\
FROM debian:1 AS base
RUN one
FROM base AS runtime
ARG VERSION
RUN three ${VERSION}
COPY --link --from=busybox /x /x
RUN four
"""


def test_a_linked_step_does_not_run_for_what_it_comes_on_top_of(foretold, played, monkeypatch):
    kept = {"b": "/bin/sh -c one", "t": "/bin/sh -c three ${VERSION}", "f": "/bin/sh -c four"}
    names = {key: f"mount / from exec {text}" for key, text in kept.items()}
    names["link"] = "[runtime 3/4] COPY --link --from=busybox /x /x"
    monkeypatch.setattr("tests.build.test_prediction.NAMES", names)
    change = {"was": LINKED, "text": LINKED.replace("three", "new")}
    found = foretold(**change)
    assert places(found.reasons) == ["runtime 1", "runtime 3"]
    assert [places(found.first_of(one)) for one in found.reasons] == [["runtime 1"]] * 2
    played.lost = ("link",)
    assert places(foretold(**change).reasons) == ["runtime 1", "runtime 2", "runtime 3"]
    played.here = json.dumps([IMAGES["d"], []])
    played.lost = ()
    assert places(foretold(was=LINKED, text=LINKED).reasons) == ["base 1", "runtime 1", "runtime 3"]
    played.here, played.digest = None, None
    found = foretold(was=LINKED, text=LINKED)
    assert (places(found.unknown), found.cached) == (["base 1", "runtime 1", "runtime 3"], 1)


@pytest.mark.parametrize(
    ("lost", "run"),
    [
        (tuple(NAMES), ALL),
        # What nothing needs any more is not made again.
        (("source 1", "tool 1"), []),
        (("runtime 3",), ["runtime 3"]),
        (("source 1", "tool 2", "runtime 2", "runtime 3"), ["tool 2", "runtime 2", "runtime 3"]),
    ],
    ids=repr,
)
def test_what_the_builder_has_lost(foretold, played, lost, run):
    played.lost = lost
    found = foretold()
    assert places(found.reasons) == run
    assert {cause.kind for cause in found.causes} == ({"pruned"} if run else set())


IMPORT = "type=registry,ref=r.example/x:1"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("r.example/x:1: not found", "import: a cache was not imported: r.example/x:1: ERROR: "),
        ("connection refused", ""),
    ],
)
def test_a_cache_to_import(foretold, played, said, cause):
    played.lost, played.cache = tuple(NAMES), said
    found = foretold(cache_from=(IMPORT,))
    assert [len(found.reasons), len(found.unknown)] == ([7, 0] if cause else [0, 7])
    assert [str(one).startswith(cause) for one in found.causes] == ([True] if cause else [])
    if not cause:
        assert f"nobody says whether {IMPORT} has it" in lines(found)[1]


def test_a_builder_that_does_not_say_what_it_has(foretold, played):
    played.silent = True
    found = foretold()
    assert (len(found.reasons), len(found.unknown)) == (0, 0)
    assert lines(found)[1:] == [
        "not known: whether the builder still has what it had: the system engine 28.5.2 does not"
        " say what it keeps: no answer"
    ]
    data = why.as_json(found, found.reasons)["not_known"]
    assert data == {"steps": 0, "causes": [], "more": [*found.untold]}


def test_without_an_engine_git_is_asked_all_the_same(foretold, played):
    played.remote = f"{OTHER}\trefs/heads/main\n"
    found = foretold(None)
    assert played.asked == ["ls-remote"]
    assert "source 1" in places(found.reasons)
    assert "base 1" in places(found.unknown)
    assert "no engine answers" in lines(found)[-1]


def test_a_record_that_does_not_say_what_names_stood_for(foretold, played):
    found = foretold(materials=())
    assert "a does not say it" in lines(found)[-1]
    assert played.asked == ["buildx"]


@pytest.mark.parametrize(
    ("modified", "known"),
    [("Sun, 01 Nov 2026 00:00:00 GMT", True), ("Tue, 01 Dec 2026 00:00:00 GMT", False),
     (None, False)],
)  # fmt: skip
def test_a_download_without_a_checksum_is_as_old_as_its_server_says(
    foretold, played, monkeypatch, modified, known
):
    address = "https://example.com/x.tar.gz"
    monkeypatch.setitem(NAMES, "source 1", f"[source 1/1] ADD {address} /r")

    class Answer:
        headers = {"Last-Modified": modified} if modified else {}

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(resolution.urllib.request, "urlopen", lambda *_, **__: Answer())
    text = TEXT.replace("https://example.com/r.git#main", address)
    more = (*MATERIALS, Material(uri=address, digest=IMAGES["c"]))
    found = foretold(text=text, was=text, materials=more)
    assert not found.reasons
    assert bool(found.unknown) is not known
    assert "ls-remote" not in played.asked
