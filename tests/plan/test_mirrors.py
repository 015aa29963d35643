import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.plan import mirrors
from dynbuild.settings.layers import Origin, Setting
from tests.support import CATALOG, make_image, make_image_job, make_plan, refusal

NONE_CPU = {"framework": "none", "target": "runtime", "device": "cpu"}
HERE = Origin("overlay", "site.toml:1")


TABLE = {
    "nvcr.io": Setting("registry.example.com/nv", HERE),
    "nvcr.io/nvidia/pytorch": Setting("registry.example.com/torch", HERE),
    "docker.io": Setting("registry.example.com/hub", HERE),
    "localhost": Setting("wrong.example.com", HERE),
    "https://github.com": Setting("https://git.example.com", HERE),
    "https://github.com/NVIDIA": Setting("https://git.example.com/nv", HERE),
}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("nvcr.io/nvidia/cuda", "registry.example.com/nv/nvidia/cuda"),
        ("nvcr.io/nvidia/cuda:12.9", "registry.example.com/nv/nvidia/cuda:12.9"),
        ("nvcr.io.example.com/x", "nvcr.io.example.com/x"),
        ("nvcr.io/nvidia/pytorch", "registry.example.com/torch"),
        ("nvcr.io/nvidia/pytorch:25.12-py3", "registry.example.com/torch:25.12-py3"),
        ("nvcr.io/nvidia/pytorch@sha256:12", "registry.example.com/torch@sha256:12"),
        ("nvcr.io/nvidia/pytorch-x", "registry.example.com/nv/nvidia/pytorch-x"),
        ("debian", "registry.example.com/hub/library/debian"),
        ("debian:trixie", "registry.example.com/hub/library/debian:trixie"),
        ("lmsysorg/sglang", "registry.example.com/hub/lmsysorg/sglang"),
        ("docker.io/lmsysorg/sglang", "registry.example.com/hub/lmsysorg/sglang"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("dynbuild/debian", "dynbuild/debian"),
        ("", ""),
    ],
)
def test_images(reference, found):
    assert mirrors.image(reference, TABLE)[0] == found


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com/openucx/ucx.git", "https://git.example.com/openucx/ucx.git"),
        ("https://github.com", "https://git.example.com"),
        ("https://github.com?x", "https://git.example.com?x"),
        ("https://github.community/x", "https://github.community/x"),
        ("https://github.com:8443/x", "https://github.com:8443/x"),
        ("http://github.com/x", "http://github.com/x"),
        ("https://github.com/NVIDIA/gdrcopy.git", "https://git.example.com/nv/gdrcopy.git"),
        ("https://github.com/NVIDIA-x/y", "https://git.example.com/NVIDIA-x/y"),
    ],
)
def test_addresses(address, found):
    assert mirrors.address(address, TABLE)[0] == found


@given(st.sampled_from(list(TABLE)), st.from_regex(r"(/[a-z]{1,3}){0,2}", fullmatch=True))
def test_what_was_replaced_once_is_not_replaced_again(prefix, rest):
    look = mirrors.address if "://" in prefix else mirrors.image
    found, used = look(prefix + rest, TABLE)
    assert used
    assert look(found, TABLE) == (found, "")


@pytest.fixture
def site(overlay):
    return overlay("""\
[mirrors]
"nvcr.io" = "registry.example.com/nv/"
"docker.io" = "registry.example.com/hub"
"quay.io" = "registry.example.com/quay"
"ghcr.io" = "registry.example.com/ghcr"
"https://github.com" = "https://git.example.com"
"https://static.rust-lang.org" = "https://files.example.com/rust"
"https://developer.download.nvidia.com" = "https://files.example.com/nvidia"
""")


def test_arguments_name_the_mirror_in_their_origin(site):
    image = make_image(site, framework="vllm", target="runtime")
    assert image.build_args["RUNTIME_IMAGE"] == "registry.example.com/nv/nvidia/cuda"
    assert image.origins["RUNTIME_IMAGE"] == f"overlay {site}:2 (mirror of nvcr.io)"
    assert image.build_args["MANYLINUX_IMAGE"].startswith("registry.example.com/quay/pypa/")
    assert image.build_args["RUSTUP_DIST_SERVER"] == "https://files.example.com/rust"
    assert image.build_args["PYTORCH_INDEX_URL"] == CATALOG["args"]["PYTORCH_INDEX_URL"]
    tag = image.origins["RUNTIME_IMAGE_TAG"]
    assert tag.startswith("catalog ")


def test_tools_and_sources_follow_and_keep_their_checksums(site):
    recipe = make_image_job(site, **NONE_CPU).recipe
    assert recipe.tools["uv"].image == "registry.example.com/ghcr/astral-sh/uv"
    url = recipe.tools["etcd"].url["arm64"]
    assert url.startswith("https://git.example.com/etcd-io/etcd/")
    assert "${VERSION}" in url
    assert recipe.tools["etcd"].sha256 == CATALOG["tools"]["etcd"]["sha256"]
    assert recipe.sources["ucx"].repo == "https://git.example.com/openucx/ucx.git"
    assert recipe.sources["ffmpeg"].url == CATALOG["sources"]["ffmpeg"]["url"]


def test_a_value_given_by_flag_follows_too(site):
    args = {"BASE_IMAGE": "ubuntu", "BASE_IMAGE_TAG": "24.04"}
    image = make_image(site, **NONE_CPU, args=args)
    assert image.build_args["BASE_IMAGE"] == "registry.example.com/hub/library/ubuntu"
    assert image.origins["BASE_IMAGE"].endswith("(mirror of docker.io)")


def test_a_mirror_of_itself_is_an_exception(overlay):
    path = overlay("""\
[mirrors]
"docker.io" = "registry.example.com/hub"
"docker.io/library/ubuntu" = "docker.io/library/ubuntu"
""")
    image = make_image(path, **NONE_CPU)
    assert image.build_args["BASE_IMAGE"] == "docker.io/library/ubuntu"
    assert image.origins["BASE_IMAGE"].endswith("(mirror of docker.io/library/ubuntu)")


def test_an_endpoint_picker_built_here_stays(site):
    made = make_plan(site, framework="none", target="frontend", device="cpu", build_epp=True)
    (image,) = made.images
    assert image.build_args["EPP_IMAGE"] == made.before[0].makes
    given_one = make_image(
        site, framework="none", target="frontend", device="cpu", args={"EPP_IMAGE": "own/epp:1"}
    )
    assert given_one.build_args["EPP_IMAGE"] == "registry.example.com/hub/own/epp:1"


def test_a_stage_is_no_image_and_a_release_image_is_one(site):
    spec = {"tensorrtllm_pip_wheel": "tensorrt-llm==1.2.0"}
    image = make_image(site, framework="trtllm", target="framework", **spec)
    assert image.build_args["TRTLLM_WHEEL_IMAGE"] == "trtllm_wheel_image_empty"
    image = make_image(site, framework="trtllm", target="framework")
    known = image.build_args["TRTLLM_WHEEL_IMAGE"]
    assert known == "registry.example.com/nv/nvidia/tensorrt-llm/release:1.3.0rc1"


def test_package_sources_that_stay_in_an_image_are_left_to_the_script(site):
    image = make_image(site, framework="trtllm", target="dev")
    for arg in mirrors.KEPT:
        assert image.build_args[arg] == CATALOG["args"][arg]


def test_a_proxy_is_no_address_to_replace(overlay):
    path = overlay('[mirrors]\n"http://proxy.example.com" = "http://other.example.com"\n')
    image = make_image_job(path, **NONE_CPU, args={"HTTP_PROXY": "http://proxy.example.com"})
    assert image.passed["HTTP_PROXY"] == "http://proxy.example.com"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"nvcr.io" = ""', "empty"),
        ('"" = "x"', "empty"),
        ('"nvcr.io" = "a b"', "character"),
        ('"nvcr.io" = "https://x.example.com"', "one is an address"),
        ('"https://github.com" = "git.example.com"', "one is an address"),
        ('"https://github.com" = "https://ada:hunter2@git.example.com"', "password"),
        ('"https://github.com" = "https://x.example.com/\'"', "character"),
        ('"https://github.com" = "https://x.example.com/\\n"', "character"),
        ('"https://github.com" = "https://x.example.com/$(id)"', "character"),
    ],
)
def test_what_is_no_mirror_is_refused(overlay, line, message):
    error = refusal(overlay(f"[mirrors]\n{line}\n"), **NONE_CPU)
    assert message in error.message
    assert "dynbuild.toml:" in error.origin
    assert "hunter2" not in str(error)


def test_a_prefix_without_quotes_is_told_so(overlay):
    error = refusal(overlay('[mirrors]\nnvcr.io = "registry.example.com"\n'), **NONE_CPU)
    assert "mirrors.nvcr" in error.message
    assert "quotes" in error.hint


def test_meson_packages_are_a_build_context(overlay, tmp_path):
    path = overlay('[site]\nmeson_packages = "archives"\n')
    image = make_image(path, framework="none", target="runtime", device="cpu")
    assert image.contexts["meson_packages"] == str(tmp_path / "archives")
    assert "meson_packages" not in make_image(**NONE_CPU).contexts
