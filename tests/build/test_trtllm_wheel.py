import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging import tags
from packaging.utils import parse_wheel_filename

from dynbuild.build import trtllm_wheel
from dynbuild.errors import NotReady, RequestError
from dynbuild.plan.trtllm.intent import STAMP
from tests.plan.test_trtllm import GIT, decide

FITS = "tensorrt_llm-1.2.0-cp312-cp312-linux_x86_64.whl"


def wheel(folder, name=FITS, content="wheel"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def find(folder, arch="amd64", python_version="3.12"):
    return trtllm_wheel.find(folder, arch=arch, python_version=python_version)


def not_found(folder, **more):
    with pytest.raises(RequestError) as caught:
        find(folder, **more)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        FITS,
        "a/b/" + FITS,
        "tensorrt_llm-1.2.0+dev45d7022-cp312-cp312-linux_x86_64.whl",
        "tensorrt_llm-1.2.0-1-cp312-cp312-linux_x86_64.whl",
        "tensorrt_llm-1.2.0-1a-cp312-cp312-linux_x86_64.whl",
        "TensorRT.LLM-1.2.0-cp312-cp312-linux_x86_64.whl",
        "tensorrt_llm-1.2.0-cp311.cp312-cp312-linux_x86_64.whl",
        "tensorrt_llm-1.2.0-cp310-abi3-manylinux_2_28_x86_64.whl",
        "tensorrt_llm-1.2.0-cp312-abi3-manylinux_2_28_x86_64.whl",
        "tensorrt_llm-1.2.0-cp312-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "tensorrt_llm-1.2.0-py3-none-any.whl",
        "tensorrt_llm-1.2.0-py2.py3-none-linux_x86_64.whl",
        "tensorrt_llm-1.2.0-py310-none-any.whl",
    ],
)
def test_a_wheel_that_fits_is_found_at_any_depth(tmp_path, name):
    assert find(wheel_at := wheel(tmp_path, name).parent) == wheel_at / Path(name).name
    assert find(tmp_path) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tensorrt_llm-1.2.0-cp312-cp312-linux_aarch64.whl", "for linux_aarch64"),
        ("tensorrt_llm-1.2.0-cp312-cp312-musllinux_1_2_x86_64.whl", "for musllinux_1_2_x86_64"),
        ("tensorrt_llm-1.2.0-cp312-cp312-macosx_11_0_x86_64.whl", "for macosx_11_0_x86_64"),
        ("tensorrt_llm-1.2.0-cp312-cp312-win_amd64.whl", "for win_amd64"),
        ("tensorrt_llm-1.2.0-cp310-cp310-linux_x86_64.whl", "for cp310-cp310"),
        ("tensorrt_llm-1.2.0-cp313-cp313-linux_x86_64.whl", "for cp313-cp313"),
        ("tensorrt_llm-1.2.0-cp312-cp312t-linux_x86_64.whl", "for cp312-cp312t"),
        ("tensorrt_llm-1.2.0-cp313-abi3-linux_x86_64.whl", "for cp313-abi3"),
        ("tensorrt_llm-1.2.0-cp310-none-linux_x86_64.whl", "for cp310-none"),
        ("tensorrt_llm-1.2.0-cp3-abi3-linux_x86_64.whl", "for cp3-abi3"),
        ("tensorrt_llm-1.2.0-py2-none-any.whl", "for py2-none"),
        ("tensorrt_llm-1.2.0-py313-none-any.whl", "for py313-none"),
        ("tensorrt_llm-1.2.0-pp312-pypy312_pp73-linux_x86_64.whl", "for pp312-pypy312_pp73"),
        ("nixl-0.9.0-cp312-cp312-linux_x86_64.whl", "another package"),
        ("tensorrt_llm.whl", "not named like a wheel"),
        ("tensorrt-llm-1.2.0-cp312-cp312-linux_x86_64.whl", "not named like a wheel"),
        ("tensorrt_llm-1.2.0-a-cp312-cp312-linux_x86_64.whl", "not named like a wheel"),
    ],
)
def test_a_wheel_that_does_not_fit_is_listed_with_the_reason(tmp_path, name, reason):
    wheel(tmp_path / "deep", name)
    error = not_found(tmp_path)
    assert "fits amd64 and Python 3.12" in error.message
    assert error.details == (f"deep/{name}: {reason}",)
    assert "--tensorrtllm-git-url" in error.hint
    # It does not stand in the way of one that fits.
    fits = wheel(tmp_path)
    assert find(tmp_path) == fits


PLATFORMS = ("linux_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")


@given(
    pythons=st.lists(
        st.sampled_from(["py2", "py3", "py312", "py313", "cp3", "cp39", "cp312", "cp313", "pp312"]),
        min_size=1,
        max_size=2,
    ),
    abis=st.lists(
        st.sampled_from(["none", "abi3", "cp39", "cp312", "cp312t", "cp313"]),
        min_size=1,
        max_size=2,
    ),
    platforms=st.lists(
        st.sampled_from([*PLATFORMS, "linux_aarch64", "win_amd64", "musllinux_1_2_x86_64"]),
        min_size=1,
        max_size=2,
    ),
)
@settings(max_examples=300)
def test_tags_are_read_as_pip_reads_them(tmp_path_factory, pythons, abis, platforms):
    name = f"tensorrt_llm-1.2.0-{'.'.join(pythons)}-{'.'.join(abis)}-{'.'.join(platforms)}.whl"
    accepted = {
        *tags.cpython_tags((3, 12), abis=["cp312"], platforms=PLATFORMS),
        *tags.compatible_tags((3, 12), interpreter="cp312", platforms=PLATFORMS),
    }
    fits = bool(accepted & parse_wheel_filename(name)[3])
    folder = tmp_path_factory.mktemp("wheels")
    path = wheel(folder, name)
    if fits:
        assert find(folder) == path
    else:
        assert not_found(folder).details


def test_the_architecture_and_the_python_decide(tmp_path):
    wheels = {
        (arch, python): wheel(
            tmp_path,
            f"tensorrt_llm-1.2.0-cp{python.replace('.', '')}-cp{python.replace('.', '')}"
            f"-linux_{machine}.whl",
        )
        for arch, machine in (("amd64", "x86_64"), ("arm64", "aarch64"))
        for python in ("3.10", "3.12", "3.13")
    }
    for (arch, python), path in wheels.items():
        assert find(tmp_path, arch=arch, python_version=python) == path


def test_several_wheels_are_refused_and_listed(tmp_path):
    wheel(tmp_path, "a/" + FITS.replace("1.2.0", "1.2.1"))
    wheel(tmp_path)
    error = not_found(tmp_path)
    assert error.message.startswith("2 wheels below")
    assert error.details == (FITS, f"a/{FITS.replace('1.2.0', '1.2.1')}")
    assert "--tensorrtllm-pip-wheel-dir" in error.hint


def test_two_copies_of_one_file_are_one_wheel(tmp_path):
    wheel(tmp_path / "build")
    top = wheel(tmp_path)
    assert find(tmp_path) == top
    other = wheel(tmp_path / "build", content="whee1")
    for path in (top, other):
        os.utime(path, (0, 0))  # the size and the time tell nothing
    assert not_found(tmp_path).details == (FITS, f"build/{FITS}")


def test_an_empty_folder_and_none_at_all(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "x.whl").mkdir()
    assert not_found(tmp_path).details == ("there is no .whl file at all",)
    assert "there is no folder" in not_found(tmp_path / "missing").message
    assert "there is no folder" in not_found(tmp_path / "notes.txt").message


def test_a_link_is_no_wheel_as_a_build_does_not_follow_it(tmp_path):
    target = wheel(tmp_path / "elsewhere")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / FITS).symlink_to(target)
    (tmp_path / "given" / "folder").symlink_to(target.parent)
    assert not_found(tmp_path / "given").details == (
        f"{FITS}: a link, which a build does not follow",
    )


def test_a_python_that_is_no_version(tmp_path):
    assert "PYTHON_VERSION" in not_found(tmp_path, python_version="3").hint
    wheel(tmp_path)
    assert find(tmp_path, python_version="3.12.4")


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(NotReady, match="cannot be read: Permission denied"):
        find(tmp_path)


# Wheels that were built before


@pytest.fixture
def built(tmp_path):
    intent = decide(git_url=GIT, commit="1.2.0", builds=str(tmp_path))
    folder = Path(intent.output)
    wheel(folder / "build")
    wheel(folder)
    (folder / STAMP).write_text("amd64_v1.2.0\n")
    return intent


def again(intent):
    return trtllm_wheel.built(intent, python_version="3.12")


def test_a_complete_build_is_taken_again(built):
    assert again(built) == Path(built.output) / FITS


@pytest.mark.parametrize("stamp", ["arm64_v1.2.0\n", "amd64_1.2.0\n", "amd64_v1.2.01\n", ""])
def test_a_build_with_another_stamp_is_not_taken(built, stamp):
    (Path(built.output) / STAMP).write_text(stamp)
    assert again(built) is None


def test_a_build_that_did_not_end_is_not_taken(built):
    (Path(built.output) / STAMP).unlink()
    assert again(built) is None


def test_no_build_and_no_intent_to_build(tmp_path, monkeypatch):
    assert again(decide(git_url=GIT, commit="1.2.0", builds=str(tmp_path / "none"))) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / STAMP).write_text("")
    assert again(decide()) is None
    assert again(decide(wheel_dir=str(tmp_path), commit="main")) is None


def test_a_complete_build_without_a_fitting_wheel_is_an_error(built):
    with pytest.raises(RequestError, match=r"fits amd64 and Python 3\.13"):
        trtllm_wheel.built(built, python_version="3.13")


def test_a_stamp_that_cannot_be_read_is_said(built):
    stamp = Path(built.output) / STAMP
    stamp.unlink()
    stamp.mkdir()
    with pytest.raises(NotReady, match=r"commit\.txt cannot be read"):
        again(built)
