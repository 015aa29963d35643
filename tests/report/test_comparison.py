"""Two builds beside each other."""

from dataclasses import replace

from dynbuild.build import recording
from dynbuild.report import comparison, document
from tests.report import builds
from tests.support import NONE_CPU, make_plan


def report(folder, lines=builds.LINES, plan=None, **more):
    source = builds.recorded(folder, lines=lines, ended=builds.result(**more))
    if plan is not None:
        source.write_json(source.plan, plan.document())
    return document.of(recording.read(source))


def differences(before, after):
    return [(one.kind, one.name, one.before, one.after) for one in comparison.of(before, after)]


def test_a_build_differs_from_itself_in_nothing(tmp_path):
    one = report(tmp_path, plan=make_plan(**NONE_CPU))
    assert differences(one, one) == []


def test_steps_that_came_from_the_cache(tmp_path):
    cached = (
        *builds.LINES[:2],
        builds.vertex("other", "[ucx 2/3] RUN cd /source && make -j2", 1, 1, ["d1"], cached=True),
        *builds.LINES[4:],
    )
    found = differences(report(tmp_path / "a"), report(tmp_path / "b", cached, seconds=10.0))
    assert ("build", "time", "20.0 s", "19.0 s") in found
    assert ("build", "steps", "3 run, 1 cached", "2 run, 2 cached") in found
    assert ("stage", "ucx", "10.5 s", "0.5 s") in found
    assert ("step", "ucx: RUN make -j2", "run, 10.0 s", "cached") in found


def test_steps_that_are_gone_or_new(tmp_path):
    one = report(tmp_path / "a")
    other = report(tmp_path / "b", builds.LINES[:3])
    assert ("step", "nixl: RUN meson compile", "run, 4.0 s", "absent") in differences(one, other)
    assert ("stage", "nixl", "absent", "4.0 s") in differences(other, one)


def test_arguments_and_images(tmp_path):
    plans = [
        make_plan(**NONE_CPU, args={"PYTHON_VERSION": version}) for version in ("3.12", "3.13")
    ]
    one = report(tmp_path / "a", plan=plans[0])
    (image,) = builds.result().images
    changed = replace(image, digest="sha256:" + "cd" * 32, size=240_000_000)
    other = report(tmp_path / "b", plan=plans[1], images=(changed,))
    found = differences(one, other)
    assert ("argument", "PYTHON_VERSION", "3.12", "3.13") in found
    assert ("image", "size of none-runtime-cpu", "239 MB", "240 MB") in found
    assert found[0][:2] == ("image", "digest of none-runtime-cpu")


def test_an_image_that_was_not_made_has_no_digest_to_compare(tmp_path):
    (image,) = builds.result().images
    lost = replace(image, status="failed", digest="", size=None)
    other = report(tmp_path / "b", status="failed", images=(lost,))
    kinds = {kind for kind, *_ in differences(report(tmp_path / "a"), other)}
    assert kinds == {"build"}
