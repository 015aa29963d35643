"""Equal keys are the same work: the graph of the steps of rendered Dockerfiles."""

import functools
from dataclasses import replace

import pytest

from dynbuild.render import graph
from dynbuild.render.dockerfile import render
from tests.cells import cells
from tests.support import NONE_CPU, TEMPLATES, make_job

TEXT = """\
ARG BASE=debian
ARG VERSION=1
FROM ${BASE} AS base
RUN one
FROM base AS tool
ARG VERSION
ENV WHERE=/x/${VERSION} LEFT="a b"
# a comment
RUN two \\
    && three
ARG LATE=0
RUN --mount=type=bind,from=source,target=/s four
COPY <<'TEXT' /etc/x
FROM here
TEXT
LABEL a=b
FROM base AS plain
WORKDIR /w
USER me
RUN five
FROM plain AS runtime
COPY --from=tool /x /x
COPY lib /lib
"""


def image(**changes):
    plan = make_job(**NONE_CPU).images[0].plan
    given = {
        "build_args": {},
        "set_by": {},
        "origins": {},
        "contexts": {},
        "stage": "runtime",
        "labels": {},
    }
    return replace(plan, **(given | changes))


def made(text=TEXT, files=None, linked=None, **changes):
    return graph.of(image(**changes), text, files=files or {}, linked=linked)


def named(one):
    """Instruction and stage of each step, by key."""
    return {key: f"{step.stage}: {step.instruction.keyword}" for key, step in one.steps.items()}


def fresh(one, other):
    """The steps of *other* that *one* does not have."""
    return [name for key, name in named(other).items() if key not in one.steps]


BELOW_TOOL = ["tool: RUN", "tool: RUN", "tool: COPY", "runtime: COPY", "runtime: COPY"]


def test_steps_come_after_what_they_need():
    one = made()
    seen = set()
    for step in one.steps.values():
        assert set(step.inputs) <= seen
        seen.add(step.key)
    assert len(one.steps) == 8
    assert sum(step.is_run for step in one.steps.values()) == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"build_args": {"VERSION": "2"}}, BELOW_TOOL),
        ({"build_args": {"VERSION": "1"}}, []),
        ({"build_args": {"LATE": "9"}}, BELOW_TOOL[1:]),
        ({"build_args": {"UNUSED": "9"}}, []),
        ({"build_args": {"HTTP_PROXY": "http://p"}}, []),
        ({"contexts": {"source": "/there"}}, BELOW_TOOL[1:]),
        ({"contexts": {"other": "/there"}}, []),
        ({"tags": ("a:b",)}, []),
        ({"stage": "plain"}, []),
    ],
)
def test_what_enters_into_a_key(changes, expected):
    assert fresh(made(), made(**changes)) == expected


def test_a_value_that_is_unkeyed_enters_into_no_key():
    """Were it a keyed one: its name is an ARG of this file."""
    assert fresh(made(), made(build_args={"VERSION": "2"}, unkeyed_args=("VERSION",))) == []


def test_another_base_is_another_everything():
    assert len(fresh(made(), made(build_args={"BASE": "ubuntu"}))) == 8
    assert len(fresh(made(), made(contexts={"base": "docker-image://x"}))) == 7
    assert len(fresh(made(), made(platforms=("linux/arm64",)))) == 8


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("&& three", "&& 3", BELOW_TOOL),
        ("FROM here", "FROM there", BELOW_TOOL[2:]),
        ("# a comment", "# another", []),
        ("LABEL a=b", "LABEL a=c", []),
        ("RUN five", "RUN 5", ["plain: RUN", "runtime: COPY", "runtime: COPY"]),
        ("USER me", "USER you", ["plain: RUN", "runtime: COPY", "runtime: COPY"]),
        ("WORKDIR /w", "WORKDIR /v", ["plain: WORKDIR", "plain: RUN", *BELOW_TOOL[3:]]),
        ('LEFT="a b"', 'LEFT="a c"', BELOW_TOOL),
        ("ARG LATE=0", "ARG LATE=1", BELOW_TOOL[1:]),
    ],
)
def test_the_text_enters_where_it_stands(old, new, expected):
    assert fresh(made(), made(TEXT.replace(old, new))) == expected


def test_files_of_the_context_enter_where_they_are_taken():
    files = {("runtime", "COPY lib /lib"): "sha", ("plain", "COPY lib /lib"): "other"}
    assert fresh(made(), made(files=files)) == ["runtime: COPY"]


def test_the_whole_image_has_its_configuration_too():
    assert made().key != made(TEXT + "ENTRYPOINT x\n").key
    assert made().key != made(TEXT + "ENV A=b\n").key
    assert made().key != made(labels={"a": "b"}).key
    assert made().key == made(labels={"dynbuild.dirty": "true"}).key
    assert made().key == made(TEXT.replace("RUN two", "RUN   two")).key


def test_an_image_on_another_changes_with_it():
    one, other = made(), made(build_args={"VERSION": "2"})
    link = {"contexts": {"runtime": "target:below"}, "stage": "top"}
    text = TEXT + "FROM runtime AS top\nRUN six\n"
    tops = [made(text, linked={"below": below}, **link) for below in (one, one, other)]
    assert tops[0].key == tops[1].key != tops[2].key


def test_shared_steps_have_several_images():
    one = made()
    tool = made(stage="tool").steps.keys()
    other = graph.Graph("other", {key: one.steps[key] for key in tool}, "")
    both = graph.shared([one, other])
    assert set(both) == set(tool)
    assert set(both.values()) == {(one.image, "other")}
    assert graph.shared([one]) == {}


@pytest.mark.parametrize("number", range(8))
def test_a_cut_file_ends_with_the_step(number):
    one = made()
    step = list(one.steps.values())[number]
    text = graph.cut(TEXT, step)
    less = made(text, stage=step.stage)
    assert set(less.steps) == one.below(step.key)
    assert list(less.steps)[-1] == step.key


@functools.cache
def published():
    """Graphs of the runtime images on CUDA of the catalog's own line."""
    jobs = [
        make_job(**cell.asked)
        for cell in cells()
        if (cell.line, cell.target, cell.device, cell.variant)
        == ("0.9.0", "runtime", "cuda", "default")
    ]
    return [graph.of(image.plan, render(image, TEMPLATES)) for job in jobs for image in job.images]


def test_every_step_of_real_files_can_be_cut_off():
    for one, text in (
        (graph.of(image.plan, render(image, TEMPLATES)), render(image, TEMPLATES))
        for image in make_job(**{**NONE_CPU, "target": "dev"}).images
    ):
        plan = make_job(**{**NONE_CPU, "target": "dev"}).images[0].plan
        for key, step in one.steps.items():
            less = graph.of(replace(plan, stage=step.stage), graph.cut(text, step))
            assert set(less.steps) == one.below(key)


def test_images_of_one_release_share_steps():
    total = sum(step.is_run for one in published() for step in one.steps.values())
    distinct = {key for one in published() for key, step in one.steps.items() if step.is_run}
    assert len(published()) == 6
    assert len(distinct) < total
