"""What a node pulls, from the layers that builds recorded."""

import json
from dataclasses import replace

from dynbuild.build import recording
from dynbuild.build.result import Layer
from dynbuild.report import document, markdown, page, pull
from tests.report import builds


def made(sizes, *, of="none-runtime-cpu", output="push", id="now", platform="linux/amd64"):
    """A build whose image has layers of those sizes, each of which is its digest too."""
    (image,) = builds.result().images
    layers = tuple(
        Layer(made_by="RUN x", size=size, digest=f"sha256:{size}", platform=platform)
        for size in sizes
    )
    change = {"id": of, "output": output, "layers": layers}
    return builds.result(id=id, images=(replace(image, **change),))


def pulls(result, *earlier):
    return [(one.has, one.layers, one.bytes) for one in pull.of(result, earlier)]


def test_what_the_last_image_has_is_not_pulled():
    now = made([90, 30, 7])
    assert pulls(now, made([90, 30, 5], id="last"), made([90, 7], id="older")) == [
        ("", 3, 127), ("last", 1, 7)
    ]  # fmt: skip


def test_layers_that_only_changed_places_are_not_pulled():
    assert pulls(made([90, 7, 30]), made([90, 30, 7], id="last"))[1] == ("last", 0, 0)


def test_a_layer_that_comes_twice_is_pulled_once():
    assert pulls(made([90, 1, 7, 1])) == [("", 3, 98)]


def test_only_the_same_image_that_went_the_same_way_is_the_last_one():
    others = (made([90], of="none-dev-cpu", id="a"), made([90], output="load", id="b"))
    assert pulls(made([90, 7]), *others) == [("", 2, 97)]


def test_each_platform_is_pulled_by_itself():
    amd, arm = (made([90, size], platform=name) for size, name in ((7, "a"), (8, "b")))
    layers = amd.images[0].layers + arm.images[0].layers
    both = replace(amd, images=(replace(amd.images[0], layers=layers),))
    found = [(one.platform, one.has, one.bytes) for one in pull.of(both, [amd])]
    assert found == [("a", "", 97), ("a", "now", 0), ("b", "", 98)]


def test_layers_without_digests_tell_nothing():
    (image,) = made([90]).images
    layers = (Layer(made_by="", size=90),)
    unknown = builds.result(images=(replace(image, layers=layers),))
    assert pulls(unknown, made([90])) == []
    assert pulls(made([90, 7], platform=""), unknown) == [("", 2, 97)]


def test_every_format_tells(tmp_path):
    ended = made([90_000_000, 7_000_000])
    source = builds.recorded(tmp_path, ended=ended)
    read = recording.read(source)
    report = document.of(read, [made([90_000_000], id="20261121T000000-1-x")])
    assert document.as_json(report)["pulls"][1]["bytes"] == 7_000_000
    json.dumps(document.as_json(report))
    assert (
        "| `none-runtime-cpu` linux/amd64 | the one of `20261121T000000-1-x` | 1 | 7 MB |"
        in markdown.render(report)
    )
    text = page.render(report, read.lines)
    assert "the image of <code>20261121T000000-1-x</code> (linux/amd64)" in text
    loaded = builds.recorded(tmp_path / "loaded", ended=made([90], output="load"))
    assert "| 90 B unpacked |" in markdown.render(document.of(recording.read(loaded)))
