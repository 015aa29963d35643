"""``dynbuild why``."""

import json
import shutil

import pytest

from dynbuild.build import context, job_context, record, resolution
from dynbuild.errors import NotReady
from tests.build.test_causes import BUILDER, IMAGE, TEXT, snapshot
from tests.report import builds
from tests.support import NONE_CPU, WORKSPACE, call, make_job

IDS = ("20261101T013012-1-none-runtime-cpu", "20261102T013012-2-none-runtime-cpu")
LINES = {
    "base 1": "[base 2/2] RUN one",
    "tool 1": "[tool 1/1] RUN two",
    "runtime 4": "[runtime 4/5] COPY --from=tool /x /x",
    "runtime 5": "[runtime 5/5] RUN four",
}


@pytest.fixture
def tree(tmp_path):
    for build_id, version in zip(IDS, ("1", "2"), strict=True):
        made = snapshot(args={"VERSION": version})
        cached = ("base 1", "runtime 4") if build_id == IDS[1] else ()
        lines = [
            builds.vertex(place, name, 0, 1, ["x"], cached=place in cached)
            for place, name in LINES.items()
        ]
        ended = builds.result(builder=BUILDER)
        one = builds.recorded(record.builds(tmp_path), lines, ended, build_id)
        one.write_json(one.plan, made.plan.document())
        one.write(one.dockerfile(IMAGE.name, only=True), TEXT)
    return tmp_path


def why(tree, *words, **more):
    return call("why", *words, "--context", tree, **more)


pytestmark = pytest.mark.processes("git")

CAUSE = "argument: VERSION: 1 (flag --arg VERSION) -> 2 (flag --arg VERSION)"


@pytest.mark.parametrize("words", [(), IDS[1:], ("~0", "~1"), (IMAGE.name, IDS[0])], ids=repr)
def test_the_first_causes(tree, words):
    assert why(tree, *words).out.splitlines() == [
        f"2 steps ran, 2 from the cache; beside {IDS[0]}",
        f"  {CAUSE}",
        "    tool: RUN two",
        "  1 step more ran because of these",
    ]


@pytest.mark.parametrize(
    "words", [("runtime",), ("~0", "run*"), ("~0", "~1", "RUN four")], ids=repr
)
def test_one_step(tree, words):
    assert why(tree, *words).out.splitlines() == [
        "runtime: RUN four",
        f"  {CAUSE} (of tool: RUN two)",
    ]


def test_evidence_is_wrapped_on_a_terminal_and_never_cut(tree):
    lines = why(tree, columns=60).out.splitlines()
    assert max(map(len, lines)) <= 60
    assert CAUSE in " ".join(" ".join(lines).split())


def test_data(tree):
    said = json.loads(why(tree, "tool", "--format", "json").out)
    assert said["causes"] == [{"kind": "argument", "evidence": CAUSE[10:], "steps": 1}]
    assert [said[name] for name in ("run", "cached", "follows", "unexplained")] == [2, 2, 1, 0]
    assert [one["title"] for one in said["steps"]] == ["tool: RUN two"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("~1",), "there is no earlier build of none-runtime-cpu"),
        (("nothing", "~1"), "no build is called 'nothing'"),
        (("~0", "~1", "a", "b"), "why takes a build, an earlier one and a step"),
        (("~7", "x"), "~7 is before the first"),
    ],
)
def test_what_is_refused(tree, words, said):
    done = why(tree, *words)
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_record_that_lacks_what_is_needed(tree):
    record.Record(record.builds(tree) / IDS[1]).plan.unlink()
    assert "lacks its plan" in why(tree).err
    record.Record(record.builds(tree) / IDS[1]).bake.write_text("[]")
    assert why(tree, IDS[0], IDS[0]).out.startswith("4 steps ran")


def test_a_step_that_did_not_run(tree):
    done = why(tree, "no-such-stage")
    assert (done.code, done.out) == (0, "")
    assert "no step of" in done.err


# ---- before it runs -----------------------------------------------------------------------

NONE = ("--framework", "none", "--target", "runtime", "--device", "cpu")


@pytest.fixture
def engineless(monkeypatch):
    def find(_env):
        raise NotReady("no engine")

    monkeypatch.setattr("dynbuild.engine.client.find", find)


def planned(tree, *words, **more):
    return call("plan", *NONE, "--context", tree, *words, **more)


@pytest.fixture
def built(tree, engineless):
    """A tree with the record of a build of its plan, in which everything ran."""
    del engineless
    shutil.copytree(WORKSPACE, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    (tree / "lib" / "code").write_text("1")
    job = make_job(**NONE_CPU, context=tree)
    document = json.loads(planned(tree, "--format", "json").out)
    text = call("render", *NONE, "--context", tree).out
    taken = job_context.read(job, {IMAGE.name: text})
    one = builds.recorded(record.builds(tree), (), builds.result(), "20261103T013012-3-none")
    one.write_json(one.plan, document)
    one.write(one.dockerfile(IMAGE.name, only=True), text)
    one.write(one.context, context.to_text(taken))
    return tree


@pytest.mark.processes("")
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ((), []),
        (("--build-arg", "NIXL_UCX_REF=1.19.0"), ["  argument: NIXL_UCX_REF: 1.20.0 (catalog"]),
    ],
)
def test_what_will_run(built, words, lines):
    said = planned(built, "--diff", *words).out.splitlines()
    assert said[0].partition(",")[0].endswith(" will run")
    assert said[0].startswith("0 ") == (not lines)
    assert [line for line in said[1:] if line.startswith("  argument")][:1] == [
        line for line in said[1:] if lines and line.startswith(lines[0])
    ]


@pytest.mark.processes("")
def test_files_as_they_are_now(built):
    (built / "lib" / "code").write_text("2")
    said = json.loads(planned(built, "--diff", "~0", "--format", "json").out)
    assert said["causes"][0]["evidence"] == "lib/code: content"
    assert said["after"] is None
    assert said["run"] == len(said["steps"]) > said["follows"] > 0


@pytest.mark.processes("")
@pytest.mark.parametrize("words", [(), ("--offline",)], ids=str)
def test_offline_asks_nothing_over_the_network(built, monkeypatch, words):
    asked = []
    moved = resolution.Asking.moved
    monkeypatch.setattr(
        resolution.Asking, "moved", lambda of, *more: asked.append(of) or moved(of, *more)
    )
    said = planned(built, "--diff", *words)
    assert [one.offline for one in asked] == [bool(words)]
    assert "not known: whether the builder still has what it had: no engine answers" in said.out
