import itertools
import json

import pytest

from dynbuild.build import compile_figures
from dynbuild.build.compile_figures import Figures
from dynbuild.build.events import LogLine, StepEnded, StepStarted
from dynbuild.build.result import CacheFigures, StageFigures
from dynbuild.build.steps import StepName
from dynbuild.checked import plain
from dynbuild.sccache.cache import CompileCache

CACHE = CompileCache(kind="s3", bucket="cache", region="us-east-1")
UCX = "[ucx 2/2] RUN cd /build && SCCACHE_SECTION=ucx && . /opt/sccache/use && make"
NIXL = "[nixl 5/6] RUN SCCACHE_SECTION=nixl && . /opt/sccache/use && ninja"


def stats(hits=0, misses=0, location="s3, name: cache, prefix: /amd64/", **more):
    return {
        "stats": {
            "compile_requests": hits + misses,
            "cache_hits": {"counts": {"C/C++": hits}},
            "cache_misses": {"counts": {"C/C++": misses}},
            "compiler_write_duration": {"secs": 2 * misses, "nanos": 0},
            **more,
        },
        "cache_location": location,
        "version": "0.8.2",
    }


def begun(step, digest=""):
    return StepStarted(digest=digest or step, name=StepName.parse(step))


def line(step, text, stream=1):
    return LogLine(digest=step, text=text, stream=stream)


def ended(step, **more):
    return StepEnded(digest=step, **more)


def printed(step, section, figures, digest=""):
    told = json.dumps({"section": section, "timestamp": "", "stats": figures})
    yield begun(step, digest)
    for text in ("make: leaving", "SCCACHE_JSON_BEGIN", told, "SCCACHE_JSON_END"):
        yield line(digest or step, text)


def gathered(*events):
    figures = Figures()
    for event in events:
        figures.feed(event)
    return figures


def told(figures, previous=None, cache=CACHE):
    return list(compile_figures.warnings(figures, cache, previous))


def test_figures_of_stages_that_build_side_by_side():
    ucx, nixl = printed(UCX, "ucx", stats(3, 1)), printed(NIXL, "nixl", stats(0, 2))
    mixed = [event for pair in zip(ucx, nixl, strict=True) for event in pair]
    figures = gathered(*mixed, ended(UCX), ended(NIXL))
    assert (figures.stages["ucx"].hits, figures.stages["ucx"].misses) == (3, 1)
    assert (figures.total.hits, figures.total.misses, figures.total.requests) == (3, 3, 6)
    assert told(figures) == []


def test_two_architectures_are_one_stage():
    other = UCX.replace("[ucx", "[linux/arm64 ucx")
    figures = gathered(*printed(UCX, "ucx", stats(3, 1)), *printed(other, "ucx", stats(1, 0)))
    assert (figures.stages["ucx"].hits, figures.stages["ucx"].misses) == (4, 1)


def test_images_with_a_stage_of_one_name_are_told_apart():
    """Their lines come mixed, under one text; one of them tells nothing at its end."""
    ucx = [UCX.replace("[ucx", f"[{target} ucx") for target in ("vllm", "sglang", "none")]
    events = (
        printed(ucx[0], "ucx", stats(3, 1), "a"),
        printed(ucx[1], "ucx", stats(0, 2, cache_read_errors=2), "b"),
        [begun(ucx[2], "c")],
    )
    mixed = [event for row in itertools.zip_longest(*events) for event in row if event]
    figures = gathered(*mixed, ended("a"), ended("b"), ended("c"))
    assert [figures.steps[digest].stats["ucx"].hits for digest in ("a", "b")] == [3, 0]
    assert not figures.steps["c"].stats
    assert told(figures) == [
        "none ucx: no figures of the compile cache; its log was cut off before its end",
        "sglang ucx: 2 lookups in the compile cache failed",
    ]
    assert figures.total.requests == 6


def test_a_step_that_two_targets_share_is_counted_once():
    name = UCX.replace("[ucx", "[vllm ucx")
    lines = list(printed(name, "ucx", stats(3, 1), "a"))
    figures = gathered(*lines, *lines, ended("a"), ended("a"))
    assert (figures.total.hits, figures.total.misses) == (3, 1)
    assert told(figures) == []


def test_a_stage_that_did_without_the_cache():
    figures = gathered(
        begun(UCX),
        line(UCX, "SCCACHE_FELL_BACK ucx: sccache: error: cache storage failed to read"),
        ended(UCX),
    )
    assert told(figures) == [
        "ucx: compiled without the compile cache: sccache: error: cache storage failed to read"
    ]


def test_a_stage_whose_log_was_cut_off():
    figures = gathered(begun(UCX), line(UCX, "CC x.o"), ended(UCX))
    assert told(figures) == [
        "ucx: no figures of the compile cache; its log was cut off before its end"
    ]


def test_what_a_compiler_said_before_may_be_told_of_among_the_figures():
    """Its errors have a stream of their own, and one overtakes the other on a busy machine."""
    first, *figures_of_it = printed(UCX, "ucx", stats(3, 1))
    late = line(UCX, "Built wheel to /opt/dynamo/dist", stream=2)
    events = [event for one in figures_of_it for event in (one, late)]
    figures = gathered(first, *events, ended(UCX))
    assert figures.stages["ucx"].hits == 3
    assert told(figures) == []


def test_figures_that_are_told_after_the_end_of_their_step_are_counted():
    first, *lines = printed(UCX, "ucx", stats(3, 1))
    figures = gathered(first, ended(UCX), *lines)
    assert figures.stages["ucx"].hits == 3
    assert told(figures) == []


@pytest.mark.parametrize("end", [ended(UCX, cached=True), ended(UCX, error="x")])
def test_a_step_that_was_cached_or_failed_owes_no_figures(end):
    assert not gathered(begun(UCX), end)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"section": "ucx"}', '{"section": "ucx", "stats": {"stats": 3}}']
)
def test_what_is_no_statistics_is_passed_over_and_missed(text):
    figures = gathered(
        begun(UCX),
        line(UCX, "SCCACHE_JSON_BEGIN"),
        line(UCX, text),
        line(UCX, "SCCACHE_JSON_END"),
        ended(UCX),
    )
    assert figures.stages == {}
    assert figures.silent == {"ucx"}


def test_what_else_is_warned_of():
    cases = {
        "lookups in the compile cache failed": stats(1, 1, cache_read_errors=4),
        "could not be written": stats(1, 1, cache_write_errors=4),
        "kept its objects elsewhere": stats(1, 1, location="Local disk: /root/.cache"),
        "no compilation went through": stats(),
    }
    for words, found in cases.items():
        (warning,) = told(gathered(*printed(UCX, "ucx", found)))
        assert warning.startswith("ucx: ")
        assert words in warning


def test_a_cache_that_is_only_read_is_not_warned_of_for_writing():
    figures = gathered(*printed(UCX, "ucx", stats(1, 1, cache_write_errors=4)))
    only = CompileCache(kind="s3", bucket="cache", region="us-east-1", read_only=True)
    assert told(figures, cache=only) == []


def test_a_hit_rate_far_below_the_last_one():
    before = CacheFigures(kind="s3", total=StageFigures(hit_rate=0.98))
    bad = gathered(*printed(UCX, "ucx", stats(20, 80)))
    (warning,) = told(bad, before)
    assert "had 20% hits, the build before 98%" in warning
    assert told(gathered(*printed(UCX, "ucx", stats(80, 20))), before) == []
    assert told(gathered(*printed(UCX, "ucx", stats(0, 5))), before) == []
    assert told(bad, CacheFigures(kind="s3", total=StageFigures(hit_rate=None))) == []
    assert told(bad, CacheFigures(kind="s3")) == []


def test_the_document_is_plain_json():
    figures = gathered(*printed(UCX, "ucx", stats(3, 1)))
    document = plain(compile_figures.document(figures, CACHE))
    assert json.loads(json.dumps(document)) == document
    assert document["bucket"] == "cache"
    assert document["stages"]["ucx"]["hit_rate"] == 0.75
    assert document["stages"]["ucx"]["seconds_saved"] == 6.0
    assert document["total"]["requests"] == 4
    assert document["stages"]["ucx"]["languages"] == {"C/C++": {"hits": 3, "misses": 1}}


def test_without_a_miss_the_last_build_says_what_a_compilation_takes():
    cold = compile_figures.document(gathered(*printed(UCX, "ucx", stats(0, 4))), CACHE)
    warm = compile_figures.document(gathered(*printed(UCX, "ucx", stats(4, 0))), CACHE, cold)
    assert cold.stages["ucx"].seconds_per_compile == 2.0
    assert warm.stages["ucx"].seconds_saved == 8.0
    assert warm.total.seconds_per_compile == 2.0
    alone = compile_figures.document(gathered(*printed(UCX, "ucx", stats(4, 0))), CACHE)
    assert alone.total.seconds_saved is None
