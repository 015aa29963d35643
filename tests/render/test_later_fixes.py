"""What upstream mended after 0.9.0 is mended in every line's images; each test names one fault."""

from __future__ import annotations

import functools
import os
import re
import subprocess

import pytest

from dynbuild.render import instructions
from dynbuild.render.dockerfile import render
from tests import cells
from tests.render import test_dockerfile
from tests.support import TEMPLATES, make_image_job, refusal

CACHE = re.compile(r"--mount=(type=cache,\S+)")
INSTALLS = re.compile(r"\b(?:uv pip|python -m pip|pip) install\b")


@functools.cache
def texts():
    """Each Dockerfile with its image, the stages read."""
    return tuple(
        (name, image, instructions.read(text)[1])
        for name, (image, text) in cells.dockerfiles().items()
    )


def runtimes(framework, engine="stage"):
    found = [
        (name, stages[-1])
        for name, image, stages in texts()
        if (image.plan.framework, image.recipe.engine, image.plan.target)
        == (framework, engine, "runtime")
    ]
    assert found
    return found


def whole(one):
    return f"{one.text}{one.body}" + "".join(f" --{key}={value}" for key, value in one.flags)


def position(stage, pattern):
    """Where in *stage* the last instruction is that has *pattern*."""
    return max(n for n, one in enumerate(stage.instructions) if re.search(pattern, whole(one)))


def mounts(one):
    return CACHE.findall(whole(one))


def root_of(stage, stages):
    """The image that *stage* stands on, with its variables."""
    by_name = {other.name: other for other in stages}
    while stage.base in by_name or "TARGETARCH" in stage.base:
        stage = by_name[stage.base.replace("${TARGETARCH}", "amd64")]
    return stage.base


def test_what_is_kept_for_later_steps_is_kept_for_those_that_can_read_it():
    """Version, distribution and architecture (#12357): a newer uv writes what an older cannot
    read, and what is compiled on one distribution need not run on another."""
    compiled = 0
    for name, image, stages in texts():
        for stage in stages:
            for mount in (found for one in stage.instructions for found in mounts(one)):
                assert re.search(r"id=\S*\$\{TARGETARCH\},", mount), (name, stage.name, mount)
                kind = re.search(r"id=(uv|pip|\w+-target)-", mount)
                if kind is None:
                    continue
                compiled += 1
                image_names = set(re.findall(r"\$\{(\w+)\}", root_of(stage, stages)))
                assert image_names, stage.name
                assert image_names <= set(re.findall(r"\$\{(\w+)\}", mount)), (name, mount)
                if kind[1] == "uv":
                    version = image.recipe.tools["uv"].version
                    assert f"${{{version}}}" in mount
    assert compiled > 1000


def test_what_a_compiler_of_cuda_made_is_for_one_cuda():
    for name, image, stages in texts():
        if image.recipe.brings_cuda:
            for one in (one for stage in stages for one in stage.instructions):
                for mount in mounts(one):
                    if "-target-" in mount:
                        assert "${BASE_IMAGE_TAG}" in mount, name


def test_our_uv_comes_before_the_one_that_an_image_has():
    """#12357: vendors' images have an older one in /usr/local/bin, /root/.local/bin, a venv."""
    seen = set()
    for name, image, stages in texts():
        if not image.recipe.staged("uv"):
            continue
        after = {}
        for stage in test_dockerfile.read(cells.dockerfiles()[name][1])[1]:
            before = after.get(stage.base, test_dockerfile.SYSTEM)
            after[stage.name] = test_dockerfile.environment(stage, before)
        for stage in stages:
            copied = [one for one in stage.instructions if one.flag("from") == "uv_tool"]
            if copied:
                seen.add(stage.name)
                path = after[stage.name]["PATH"].split(":")
                bare = [part for part in path if part != "/workspace/.venv/bin"]
                assert bare[0] == "/opt/uv/bin", (name, stage.name, path)
            for one in stage.instructions:
                if one.keyword == "COPY" and "/etc/profile.d/10-dynamo.sh" in one.text:
                    assert one.body.startswith('PATH="/opt/uv/bin:'), name
    assert seen >= {"python_tools", "framework", "runtime", "frontend", "dev", "planner"}


def test_a_login_shell_finds_uv_where_a_step_calls_it():
    """/etc/profile sets PATH anew, to what the distribution has."""
    calls = 0
    for name, image, stages in texts():
        if not image.recipe.staged("uv"):
            continue
        ends = {}
        for stage in stages:
            login, path = ends.get(stage.base, (False, False))
            for one in stage.instructions:
                if one.keyword == "SHELL":
                    login = '"-l"' in one.text
                path = path or "/etc/profile.d/10-dynamo.sh" in one.text
                if one.keyword == "RUN" and re.search(r"(?:^|[&|;] *)uv (?:pip|venv)\b", one.text):
                    calls += login
                    assert path or not login, (name, stage.name)
            ends[stage.name] = login, path
    assert calls > 100


def test_the_planner_takes_a_distribution_s_programs_from_where_they_are(overlay):
    """nats-server of Debian bookworm is in /usr/sbin."""
    kinds = overlay('[tools]\nnats.kind = "apt"\netcd.kind = "apt"\n')
    asked = {"framework": "none", "target": "planner", "release_line": "1.0"}
    for overlays, programs in (((kinds,), ["nats-server etcd etcdctl"]), ((), [])):
        text = render(make_image_job(*overlays, **asked), TEMPLATES)
        assert re.findall(r"for name in (.*); do cp \"\$\(command -v", text) == programs
        assert text.count("COPY --from=planner_builder /out/bin/ /usr/bin/") == len(programs)


@pytest.mark.parametrize("framework", ["vllm", "trtllm"])
def test_kernels_link_in_images_that_compile_them(framework):
    """#6503, #6521: nvcc without nvlink and its crt folder links nothing."""
    for name, stage in runtimes(framework):
        text = "\n".join(map(whole, stage.instructions))
        if "/usr/local/cuda/bin/nvcc" in text:
            assert "/usr/local/cuda/bin/nvlink" in text, name
            assert "/usr/local/cuda/bin/cr[t]/ /usr/local/cuda/bin/crt/" in text, name
            for variable in ("CUOBJDUMP", "NVDISASM", "PTXAS"):  # #6401
                program = re.search(rf"TRITON_{variable}_PATH=(\S+)", text)[1]
                assert text.count(program) == 2, (name, program)


def test_the_stub_of_cutlass_is_gone_after_the_last_installation():
    """#7372: TensorRT-LLM dies where it imports it."""
    for name, stage in runtimes("trtllm"):
        gone = position(stage, r"rm -rf .*cutlass/cute/experimental")
        assert gone > position(stage, INSTALLS.pattern), name


def test_tensorrt_llm_finds_pip_when_it_compiles():
    """#8296: it asks pip where the headers of CUDA are."""
    for _, image, stages in texts():
        if image.recipe.framework == "trtllm" and image.recipe.engine == "stage":
            for stage in stages:
                for one in stage.instructions:
                    if "uv venv" in one.text and "/opt/dynamo/venv" in one.text:
                        assert "uv venv --seed" in one.text


def test_the_runtime_wheel_brings_no_library_of_its_own():
    """#6430: two NIXLs in a process do not know each other's memory."""
    found = 0
    for name, _, stages in texts():
        for stage in stages:
            if stage.name == "ai_dynamo_runtime_wheel":
                (step,) = (one for one in stage.instructions if "maturin build" in one.text)
                assert "--auditwheel skip" in step.text, name
                found += 1
            if stage.name == "kvbm_wheel":
                text = "\n".join(map(whole, stage.instructions))
                assert "--exclude 'lib*.so*'" in text or "auditwheel repair" not in text
    assert found


def test_no_image_has_keys_of_an_ssh_host():
    """The package makes them when it is installed: all containers would share them."""
    servers = 0
    for name, _, stages in texts():
        for one in (one for stage in stages for one in stage.instructions):
            if "openssh-server" in whole(one):
                servers += 1
                assert "rm -f /etc/ssh/ssh_host_*" in whole(one), name
    assert servers


def test_gdrcopy_compiles_for_newer_kernels():
    """#9705: the module of 2.5.1 does not, from Linux 6.15 on."""
    seen = {
        image.plan.build_args["NIXL_GDRCOPY_REF"]
        for _, image, _ in texts()
        if "NIXL_GDRCOPY_REF" in image.plan.build_args
    }
    assert seen == {"v2.5.2"}


def test_a_developer_s_image_does_without_the_profiler():
    """#12274: its repository fails at times; empty, it is not even asked for."""
    asked = {"framework": "vllm", "target": "dev", "args": {"NSIGHT_SYSTEMS_VERSION": ""}}
    text = test_dockerfile.text_of(**asked)
    step = text.split("ARG NSIGHT_SYSTEMS_VERSION")[-1].split("\n\n")[0]
    assert 'test -n "${NSIGHT_SYSTEMS_VERSION}" || exit 0; \\\n    key=' in step
    assert "NSIGHT_SYSTEMS_VERSION is empty" not in text
    refusal(framework="vllm", target="dev", args={"UV_VERSION": ""})


def test_a_frontend_loads_nixl():
    """#13547: opened by its plain name, it is looked for where the loader looks."""
    for device in ("cuda", "cpu"):
        text = test_dockerfile.text_of(framework="none", target="frontend", device=device)
        stage = text.split(" AS frontend\n")[1]
        assert stage.index('uv pip install "$@"') < stage.index("mesonpy.libs")


def test_sglang_s_own_image_gets_what_it_imports_and_lacks():
    """#8357, #11362: every worker fails at its first import without them."""
    for name, stage in runtimes("sglang", "complete"):
        steps = [one.text for one in stage.instructions if "${SGLANG_ADDED}" in one.text]
        assert ["--no-deps" in step for step in steps] == [True] or "published" in name
    image = make_image_job(release_line="1.5", framework="sglang", target="runtime")
    assert image.plan.build_args["SGLANG_ADDED"] == "accelerate==1.13.0 distro==1.9.0"


def test_what_requirements_leave_open_is_taken_as_it_was_at_the_release():
    """Where the package index is asked; those of PyTorch, FlashInfer and NVIDIA tell no dates."""
    dated = 0
    for name, image, stages in texts():
        if image.recipe.engine in ("vendor", "complete"):
            continue  # pip installs there
        for stage in stages:
            known = any(str(one) == "ARG UV_EXCLUDE_NEWER" for one in stage.instructions)
            for one in stage.instructions:
                text = one.text if one.keyword == "RUN" else ""
                if not known or "uv pip install" not in text:
                    continue
                dated += 1
                emptied = '{ test -n "${UV_EXCLUDE_NEWER}" || unset UV_EXCLUDE_NEWER; } && '
                assert emptied in text, (name, text)
                if "--default-index" in text:
                    assert "unset UV_EXCLUDE_NEWER && uv pip install --no-deps --def" in text
                if 'index = "pytorch"' in text:
                    assert "--exclude-newer-package torch=false" in text, name
            if stage.name in ("runtime", "frontend", "dev", "planner_builder"):
                assert known, (name, stage.name)
    assert dated > 500


@pytest.mark.processes("bash")
def test_without_a_date_uv_is_told_none():
    none = {"UV_EXCLUDE_NEWER": ""}
    text = test_dockerfile.text_of(framework="none", target="runtime", args=none)
    step = text.split('uv pip install "$@"')[-2].split("RUN ")[-1]
    script = step[step.index("{ test -n") : step.index(" && export UV_CACHE_DIR")]
    for value, wanted in (("", "unset"), ("2026-01-01", "2026-01-01")):
        env = {"UV_EXCLUDE_NEWER": value, "PATH": os.defpath}
        words = ["bash", "-c", f'{script}; echo "${{UV_EXCLUDE_NEWER-unset}}"']
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
        assert done.stdout == f"{wanted}\n"
