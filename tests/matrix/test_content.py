"""The content id of an image: what changes it, and what does not."""

import json
import threading
from dataclasses import replace

import pytest

from dynbuild.build import resolution
from dynbuild.engine import registry
from dynbuild.engine.builder import Builder
from dynbuild.engine.model import Engine
from dynbuild.matrix import content
from dynbuild.plan.image_tests import ImageTest
from dynbuild.render import graph
from dynbuild.render.dockerfile import render
from tests.support import NONE_CPU, TEMPLATES, VERSION, make_job

TEXT = """\
ARG BASE=debian:trixie
FROM ${BASE} AS runtime
ADD https://example.com/x.tar.gz /x
ADD --checksum=sha256:0 https://example.com/y.tar.gz /y
ADD https://example.com/r.git#v1 /r
ADD https://example.com/s.git#0123456789012345678901234567890123456789 /s
COPY file /file
RUN make
"""
NAMES = {
    ("debian:trixie", "linux/amd64"), ("https://example.com/x.tar.gz", ""),
    ("https://example.com/r.git#v1", ""),
}  # fmt: skip


@pytest.fixture
def builder():
    engine = Engine(
        kind="system", docker="docker", host=None, config=None, version="28.5.2", buildx="0.29.1",
        containerd_store=True,
    )  # fmt: skip
    return Builder(name="x", driver="docker", nodes=(), engine=engine)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "file").write_text("1")
    return tmp_path


@pytest.fixture
def pins(monkeypatch):
    """What names stand for; a test changes it."""
    known = dict.fromkeys(NAMES, "sha256:1")
    asked = []

    def of(_builder, _env, names, _told):
        asked.append(set(names))
        return {name: known[name] for name in names if name in known}

    monkeypatch.setattr(resolution, "of", of)
    return known, asked


@pytest.fixture
def id_of(builder, tree):
    def run(text=TEXT, tests=(), **changed):
        job = make_job(**NONE_CPU, context=tree)
        (image,) = job.images
        plan = replace(image.plan, **({"contexts": {}} | changed))
        job = job.__class__(
            plan=replace(job.plan, images=(plan,)),
            images=(image,), registry_seconds=1.0,
        )  # fmt: skip
        where = content.Registry(builder=builder, env={}, on_retry=print)
        return content.ids(job, {image.name: text}, {image.name: tests}, where)

    return run


def test_what_may_stand_for_something_else_is_looked_at(id_of, pins):
    _, asked = pins
    ids = id_of()
    assert asked == [NAMES]
    assert not ids.unknown
    assert list(ids.known) == ["none-runtime-cpu"]


def test_the_same_again_has_the_same_id(id_of, pins):
    del pins
    assert id_of() == id_of()


def test_how_fast_it_is_built_is_not_in_its_id(id_of, pins):
    del pins
    made = [
        id_of(
            TEXT.replace("FROM", "ARG JOBS\nFROM", 1).replace("RUN", "ARG JOBS\nRUN"),
            build_args={"JOBS": jobs}, unkeyed_args=("JOBS",), set_by={}, origins={},
        )
        for jobs in ("2", "3")
    ]  # fmt: skip
    assert made[0] == made[1]


def test_all_that_makes_an_image_is_in_its_id(id_of, pins, tree):
    known, _ = pins
    found = [id_of().known, id_of(TEXT.replace("make", "make all")).known]
    found.append(id_of(tests=(ImageTest(name="x", argv=("true",)),)).known)
    found.append(id_of(labels={"org.opencontainers.image.title": "b"}).known)
    found.append(id_of(compression="zstd").known)
    found.append(id_of(platforms=("linux/arm64",)).known or {"arm64": ""})
    for name in sorted(NAMES):
        known[name] = "sha256:2"
        found.append(id_of().known)
    (tree / "file").write_text("2")
    found.append(id_of().known)
    assert len({json.dumps(one) for one in found}) == len(found)


COMMIT = "ARG DYNAMO_COMMIT_SHA\nENV DYNAMO_COMMIT_SHA=${DYNAMO_COMMIT_SHA}\n"


def of_commit(commit):
    """What an image of that commit says of it, and of its version."""
    labels = {f"org.opencontainers.image.{name}": commit for name in ("version", "revision")}
    return {"build_args": {"DYNAMO_COMMIT_SHA": commit}, "labels": labels}


def test_a_commit_that_touches_nothing_of_an_image_is_no_change(id_of, pins, tree):
    del pins
    text = f"{TEXT}{COMMIT}"
    first = id_of(text, **of_commit("a" * 40)).known
    (tree / "README.md").write_text("said better")
    assert id_of(text, **of_commit("b" * 40)).known == first
    (tree / "file").write_text("2")
    assert id_of(text, **of_commit("b" * 40)).known != first


def test_a_commit_that_a_step_sees_is_content(id_of, pins):
    del pins
    text = f"{TEXT}{COMMIT}RUN make version\n"
    ids = [id_of(text, **of_commit(letter * 40)).known["none-runtime-cpu"] for letter in "aba"]
    assert ids[0] == ids[2] != ids[1]


def test_no_cell_of_the_catalog_has_its_commit_in_its_content(builder, monkeypatch):
    """Of all cells: what is linked goes on from an image that says it, and must not see it."""
    monkeypatch.setattr(resolution, "of", lambda _b, _e, names, _t: dict.fromkeys(names, "1"))
    where = content.Registry(builder=builder, env={}, on_retry=print)
    asked = {"framework": "vllm,sglang,trtllm,none", "target": "runtime", "make_efa": True}

    def ids(commit, target):
        version = replace(VERSION, tag=f"v1-{commit[:7]}", commit=commit)
        job = make_job(**{**asked, "target": target}, version=version)
        texts = {image.name: render(image, TEMPLATES) for image in job.images}
        return content.ids(job, texts, {}, where).known

    for target in ("runtime", "local-dev"):
        known = ids("a" * 40, target)
        assert known
        assert known == ids("b" * 40, target)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_that_cannot_be_told_is_no_id(id_of, pins, name):
    known, _ = pins
    del known[name]
    ids = id_of()
    assert ids.known == {}
    assert name[0] in ids.unknown["none-runtime-cpu"]


def test_what_is_built_without_a_cache_has_no_id(id_of, pins):
    del pins
    assert "without a cache" in id_of(no_cache=True).unknown["none-runtime-cpu"]


def test_the_label_is_no_part_of_any_step(tree):
    job = make_job(**NONE_CPU, context=tree, output="push", repository="r.example/x")
    labelled = content.labelled(job, {"none-runtime-cpu": "1"})
    (before,), (after,) = job.images, labelled.images
    assert after.plan.labels == {**before.plan.labels, content.LABEL: "1"}
    assert labelled.plan.images[0].labels == after.plan.labels
    assert graph.of(before.plan, TEXT).key == graph.of(after.plan, TEXT).key


def test_another_image_of_the_same_run_is_asked_of_nobody(id_of, pins):
    _, asked = pins
    assert not id_of(contexts={"debian:trixie": "target:other"}).unknown
    assert asked == [{name for name in NAMES if not name[1]}]


@pytest.fixture
def unchanged(monkeypatch, builder):
    """The cell, where a registry has these digests and contents at its tags; what was asked."""

    def run(**there):
        job = make_job(
            **NONE_CPU, output="push", tag=["r.example/x:new", "r.example/x:last"], tag_latest=False
        )
        asked = []
        together = threading.Barrier(2)

        def inspect(_builder, _env, name):
            asked.append(name)
            if name.endswith(("new", "last")):
                together.wait(5)  # the tags are asked for at once
            digest, carried = there.get(name.rpartition(":")[2], ("", ""))
            if not digest:
                return registry.Answer(refusal="ERROR: not found")
            images = {"linux/amd64": {"config": {"Labels": {content.LABEL: carried}}}}
            return registry.Answer(images=images, digest=digest)

        monkeypatch.setattr(registry, "inspect", inspect)
        where = content.Registry(builder=builder, env={}, on_retry=print)
        found = list(content.unchanged(job, {"none-runtime-cpu": "1"}, where))
        tags = [*job.plan.images[0].tags]
        if not any(there.get(tag, ("", ""))[1] == "1" for tag in ("new", "last")):
            tags.append("r.example/x:current-none-runtime-cpu")
        assert sorted(asked[:2]) == sorted(tags[:2])
        assert asked[2:] == tags[2:]
        return found

    return run


def test_a_cell_is_there_where_one_of_its_tags_has_its_content(unchanged):
    both = {"new": ("sha256:1", "1"), "last": ("sha256:1", "1")}
    (cell,) = unchanged(**both)
    assert (cell.digest, cell.moved, cell.unchanged) == ("sha256:1", True, True)
    (cell,) = unchanged(last=("sha256:1", "1"), new=("sha256:2", "2"))
    assert (cell.digest, cell.moved) == ("sha256:1", False)
    assert cell.reference == "r.example/x@sha256:1"
    assert not unchanged(last=("sha256:2", "2"))
    assert not unchanged()
    assert not unchanged(last=("sha256:1", "1"), new=("sha256:2", "1"))


def test_where_all_tags_are_new_the_one_that_stays_is_asked(unchanged):
    there = {"current-none-runtime-cpu": ("sha256:1", "1")}
    (cell,) = unchanged(**there)
    assert (cell.digest, cell.moved, cell.unchanged) == ("sha256:1", False, True)
    (cell,) = unchanged(**there, last=("sha256:2", "2"))
    assert (cell.digest, cell.moved) == ("sha256:1", False)
    assert not unchanged(**{"current-none-runtime-cpu": ("sha256:1", "2")})
