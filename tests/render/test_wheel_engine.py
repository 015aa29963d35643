"""Engines from their published wheels, and NIXL from its own."""

from __future__ import annotations

import re
import subprocess
import zipfile

import pytest

from dynbuild.render.dockerfile import render
from tests.render import test_properties
from tests.render.test_dockerfile import read
from tests.support import TEMPLATES, make_image_job, refusal

OVERLAY = """\
frameworks.vllm.engine = "wheel"
frameworks.sglang.engine = "wheel"
sources.nixl.kind = "pypi"
"""
ASKED = [
    {"framework": framework, "target": target, "cuda_version": cuda, "dynamo_wheels": wheels}
    for framework in ("vllm", "sglang")
    for target in ("runtime", "dev", "local-dev")
    for cuda in ("12.9", "13.0")
    for wheels in ("source", "index==0.9.0")
]


def of(file, **asked):
    image = make_image_job(file, **asked)
    return image, render(image, TEMPLATES)


def stage(text, name):
    (found,) = (stage for stage in read(text)[1] if stage.name == name)
    return "\n".join(f"{keyword} {rest}" for keyword, rest in found.instructions)


def test_they_keep_the_rules_of_every_dockerfile(overlay):
    file = overlay(OVERLAY)
    for asked in ASKED:
        test_properties.hold(*of(file, **asked))


@pytest.mark.parametrize(
    ("framework", "requirement"),
    [
        ("vllm", "vllm${VLLM_EXTRAS:+[$VLLM_EXTRAS]}==${VLLM_REF#v}"),
        ("sglang", "sglang==${SGLANG_REF#v}"),
    ],
)
def test_an_engine_comes_from_the_package_index_alone(overlay, framework, requirement):
    image, text = of(overlay(OVERLAY), framework=framework, target="runtime", dynamo_wheels="index")
    assert f'engine="{requirement}"' in stage(text, "framework")
    names = {found.name for found in read(text)[1]}
    assert not {"vllm_src", "nixl_src", "nixl"} & names
    assert not {"DEEPGEMM_REF", "FLASHINF_REF", "VLLM_OMNI_REF"} & image.plan.build_args.keys()


def test_what_comes_later_is_resolved_together_with_the_engine(overlay):
    """All that the engine asks for holds then; what it does not ask for may move."""
    for wheels in ("source", "index"):
        _, text = of(overlay(OVERLAY), framework="vllm", target="runtime", dynamo_wheels=wheels)
        assert 'echo "${engine}" > /opt/dynamo/engine.txt' in stage(text, "framework")
        installs = re.findall(r"uv pip install (\S+ \S+ \S+ \S+)", stage(text, "runtime"))
        assert len(installs) >= 2
        words = "--overrides /opt/dynamo/overrides.txt -r /opt/dynamo/engine.txt"
        assert set(installs) == {words}


def test_requirements_of_the_engine_are_replaced(overlay):
    asked = {"framework": "sglang", "target": "runtime", "release_line": "1.6"}
    image, text = of(overlay(""), **asked)
    assert image.plan.build_args["ENGINE_OVERRIDES"].startswith("cuda-tile==")
    engine = stage(text, "framework")
    assert re.search(r'echo "\$\{ENGINE_OVERRIDES\}" \| .* > /opt/dynamo/overrides.txt', engine)
    assert 'uv pip install "$@" --overrides /opt/dynamo/overrides.txt' in engine


@pytest.mark.parametrize("framework", ["vllm", "sglang"])
def test_kernels_are_compiled_while_the_engine_serves(framework, overlay):
    """FlashInfer's are published no more, and its images have no CUDA compiler of their own."""
    asked = {"framework": framework, "release_line": "1.6"}
    image, text = of(overlay(""), **asked, target="dev")
    assert image.plan.build_args["ENGINE_COMPILER"] == "cuda-toolkit[cccl,nvcc,profiler]==13.0.*"
    home = "/opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages/nvidia/cu13"
    assert "-r /tmp/engine/pyproject.toml ${ENGINE_COMPILER}" in stage(text, "framework")
    for name in ("runtime", "dev"):
        (found,) = re.findall(r"CUDA_HOME=(\S+)", stage(text, name))
        assert found == home
    assert f":{home}/bin:${{PATH}}" in stage(text, "runtime")
    assert "TRITON_PTXAS_PATH" not in text  # Triton has its own
    without, plain = of(overlay('args.ENGINE_COMPILER = ""'), **asked, target="dev")
    assert "ENGINE_COMPILER" not in without.plan.build_args
    assert home not in plain
    assert "CUDA_HOME=/usr/local/cuda" in stage(plain, "dev")


@pytest.mark.processes("bash")
def test_a_linker_finds_the_libraries_of_the_compiler(overlay, tmp_path):
    _, text = of(overlay(""), framework="vllm", target="runtime", release_line="1.6")
    (step,) = re.findall(
        r"&& (cd \"/opt/dynamo/venv/lib.*?bin/; done) ", stage(text, "framework"), re.DOTALL
    )
    home = tmp_path / "nvidia" / "cu13"
    (home / "lib").mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "lib" / "libcudart.so.13").write_text("runtime")
    tools = tmp_path / "triton" / "backends" / "nvidia" / "bin"
    tools.mkdir(parents=True)
    (tools / "cuobjdump").write_text("tool")
    step = re.sub(r'cd "[^"]*"', f"cd {home}", step)
    subprocess.run(["bash", "-c", step], check=True)
    assert (home / "lib64" / "libcudart.so").read_text() == "runtime"
    assert (home / "lib64" / "stubs" / "libcuda.so").is_symlink()
    assert (home / "bin" / "cuobjdump").read_text() == "tool"
    assert not (home / "bin" / "nvdisasm").is_symlink()


METADATA = """\
Metadata-Version: 2.4
Name: ai-dynamo
Requires-Dist: ai-dynamo-runtime==1.6.1
Requires-Dist: simulated==1 ; python_full_version >= '3.11'
Requires-Dist: nixl[cu13]==1.4.1 ; extra == 'vllm'
Requires-Dist: vllm[otel]==0.31.0; extra == "vllm"
Requires-Dist: ray>=2.55; python_version < '3.14' and extra == 'vllm'
Requires-Dist: accelerate; extra == 'sglang'

Requires-Dist: none of the text
"""


def test_what_wheels_ask_for_is_a_layer_before_them(overlay, tmp_path, capsys):
    """By its text, so that other wheels that ask for the same move their own layer only."""
    _, text = of(overlay(OVERLAY), framework="vllm", target="runtime", dynamo_wheels="index")
    runtime = stage(text, "runtime")
    places = [runtime.index(word) for word in ("from=dynamo_requirements", "from=wheel_builder")]
    assert places == sorted(places)
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "ai_dynamo-1.6.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("ai_dynamo-1.6.1.dist-info/METADATA", METADATA)
    (tmp_path / "left-out.txt").write_text("simulated ; python_version < '3'\n")
    (code,) = re.findall(r"/requirements.py\n(.*?)\nEOF\n", text, re.DOTALL)
    exec(code.replace("/dist", str(tmp_path), 1), {})
    assert capsys.readouterr().out.splitlines() == [
        "ray>=2.55 ; python_version < '3.14'",
        "simulated==1 ; python_full_version >= '3.11'",
        "vllm[otel]==0.31.0",
    ]


def test_heavy_packages_are_layers_of_their_own_and_no_file_comes_twice(overlay):
    for framework, package in (("vllm", "vllm"), ("sglang", "sgl_kernel")):
        _, text = of(overlay(OVERLAY), framework=framework, target="runtime")
        copies = [line for line in stage(text, "runtime").split("\n") if "--from=framework" in line]
        own = [found[1] for line in copies if (found := re.search(r"site-packages/(\w+)/$", line))]
        rest = next(line for line in copies if "--exclude" in line)
        assert re.findall(r"--exclude=\S*/(\w+)", rest) == own
        assert {"nvidia", "torch", package} <= set(own)


@pytest.mark.parametrize(("cuda", "name"), [("12.9", "nixl-cu12"), ("13.0", "nixl-cu13")])
def test_nixl_is_the_one_for_this_cuda(overlay, cuda, name):
    asked = {"framework": "vllm", "target": "runtime", "cuda_version": cuda}
    image, text = of(overlay(OVERLAY), **asked)
    runtime = stage(text, "runtime")
    assert re.search(rf'nixl="\$\{{NIXL_REF#v\}}" .*"nixl==\$nixl" "{name}==\$nixl"', runtime)
    assert runtime.index("nixl==") < runtime.index("/opt/dynamo/wheelhouse")
    other = {"nixl-cu12": "nixl-cu13", "nixl-cu13": "nixl-cu12"}[name]
    assert f"\"{other} ; python_version < '3'\" >> /opt/dynamo/overrides.txt" in runtime
    assert f"/.{name.replace('-', '_')}.mesonpy.libs" in runtime
    assert image.plan.build_args["NIXL_REF"] == "0.9.0"


def test_nixl_of_an_image_without_cuda_has_no_wheel(overlay):
    _, text = of(overlay(OVERLAY), framework="none", target="runtime", device="cpu")
    assert "nixl-cu" not in text
    assert "nixl==" not in text


@pytest.mark.parametrize(
    ("text", "framework", "message"),
    [
        ('frameworks.trtllm.engine = "wheel"', "trtllm", "trtllm has no published wheels"),
        ('sources.ucx.kind = "pypi"', "vllm", "ucx is on no package index"),
    ],
)
def test_what_has_no_wheels(overlay, text, framework, message):
    error = refusal(overlay(text), framework=framework, target="runtime")
    assert message in error.message
    assert "overlay" in str(error.origin)


@pytest.mark.parametrize("target", ["runtime", "frontend", "planner"])
def test_the_line_of_august_does_without_a_package_that_is_published_no_more(target):
    """The tree asks for aisimulate==0.1.0.dev1, and no image without an engine would end."""
    asked = {"framework": "none", "target": target, "release_line": "1.5"}
    image = make_image_job(**asked)
    assert image.plan.build_args["LEFT_OUT_REQUIREMENTS"] == "aisimulate"
    text = render(image, TEMPLATES)
    assert "> /opt/dynamo/dist/left-out.txt" in stage(text, "ai_dynamo_wheel")
    installed = stage(text, "planner_builder" if target == "planner" else target)
    assert "UV_OVERRIDE=/opt/dynamo/wheelhouse/left-out.txt" in installed
    # The environment's file does not count beside one that is given.
    given = re.findall(r"--overrides (\S+)", installed)
    assert not given or "/opt/dynamo/wheelhouse/left-out.txt" in given
