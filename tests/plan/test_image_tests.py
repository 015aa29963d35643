"""What is run in an image before its tags move."""

import pytest

from dynbuild.errors import RequestError
from dynbuild.plan import image_tests
from dynbuild.plan.matrix import Known
from tests.support import NONE_CPU, call, load, make_image


def of(tmp_path, text, **asked):
    file = tmp_path / "dynbuild.toml"
    file.write_text(text)
    asked = {**NONE_CPU, **asked}
    config = load(file, **asked)
    image_tests.check(config, Known({"0.9.0": config}, ()))
    return image_tests.of(make_image(file, **asked), config)


def own(tmp_path, text, **asked):
    return [one for one in of(tmp_path, text, **asked) if not one.promised]


def test_what_an_image_promises_depends_on_its_target(tmp_path):
    def names(target):
        return [one.name for one in of(tmp_path, "", target=target)]

    assert names("runtime") == ["starts", "tools", "wheels"]
    assert names("dynamo_base") == ["starts", "tools"]
    assert names("wheel_builder") == ["starts"]
    assert names("frontend") == ["starts", "wheels"]


def test_a_vendor_s_engine_is_tested_where_it_was_built_on(tmp_path):
    def has(framework, target, text=""):
        asked = {"framework": framework, "device": "cuda", "target": target}
        return "engine" in [one.name for one in of(tmp_path, text, **asked)]

    assert has("sglang", "runtime")
    assert not has("sglang", "dynamo_base")
    assert not has("vllm", "runtime")
    assert has("vllm", "runtime", "[frameworks.vllm]\nengine = 'vendor'\n")


def test_tools_that_are_left_out_are_not_asked(tmp_path):
    _, tools, _ = of(tmp_path, "[tools]\nnats.kind = 'none'\n")
    assert "nats-server" not in tools.argv[-1]
    assert "uv --version" in tools.argv[-1]


def test_a_test_of_the_settings(tmp_path):
    (one,) = own(
        tmp_path,
        "[[test]]\nname = 'serves'\ncommand = ['python', '-m', 'x']\nuser = '0:0'\n"
        "timeout = '90s'\ncells = ['none-runtime-*']\n"
        "[[test]]\nname = 'other'\ncommand = 'true'\ncells = ['vllm-*']\n",
    )
    assert one == image_tests.ImageTest(
        name="serves", argv=("python", "-m", "x"), user="0:0", seconds=90.0
    )
    (line,) = own(tmp_path, "[[test]]\nname = 'x'\ncommand = 'a | b'\n")
    assert line.argv == ("sh", "-ec", "a | b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'\ncommand = 'y'\ncells = ['non-*']", "the cell 'non-\\*', which there is not"),
        ("name = 'starts'\ncommand = 'y'", "'starts' is the name of another test"),
        ("name = ''\ncommand = 'y'", "'' cannot be the name"),
        ("name = 'x'\ncommand = 'y'\ntimeout = 'soon'", "'soon'"),
        ("name = 'x'", "command"),
        ("name = 'x'\ncommand = 'y'\nmount = '/'", "mount"),
        ("name = 'x'\ncommand = []", "no command"),
    ],
)
def test_what_is_no_test(tmp_path, text, message):
    with pytest.raises(RequestError, match=message) as caught:
        own(tmp_path, f"[[test]]\n{text}\n")
    assert "dynbuild.toml" in str(caught.value.origin) + caught.value.message


@pytest.mark.processes("git")
def test_a_test_may_be_for_a_cell_of_another_line(tmp_path):
    text = "[[test]]\nname = 'x'\ncommand = 'y'\ncells = ['*+1.5', '*-aws-*', '*-cuda12.8']\n"
    (tmp_path / "dynbuild.toml").write_text(text)
    image = (
        "--framework",
        "none",
        "--target",
        "runtime",
        "--device",
        "cpu",
        "--dynamo-wheels",
        "index",
    )
    done = call("plan", *image, "--context", tmp_path)
    assert done.code == 0, done.err
    (tmp_path / "dynbuild.toml").write_text(text.replace("*+1.5", "*+1.9"))
    done = call("plan", *image, "--context", tmp_path)
    assert (done.code, "the cell '*+1.9', which there is not" in done.err) == (2, True)
