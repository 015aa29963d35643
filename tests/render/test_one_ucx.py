"""A process of SGLang loads one UCX: that of its NIXL, which NVSHMEM finds by its plain names."""

from __future__ import annotations

import re
import subprocess

import pytest

from dynbuild.render.dockerfile import render
from tests import cells
from tests.render.test_wheel_engine import OVERLAY, of, stage
from tests.support import TEMPLATES, make_image_job

LINKS = "/opt/dynamo/nixl-ucx"


def check(image, text):
    """Who has UCX: a wheel of NIXL, whose files get names, or what was built, and nothing else."""
    runtime = stage(text, "runtime")
    own, wheel = image.recipe.has("nixl"), bool(image.recipe.nixl_wheel)
    vendor = image.recipe.engine in ("vendor", "complete")
    if image.recipe.engine == "complete" or wheel:
        made = runtime.index(f'ln -sfn "$libs" {LINKS}')
        assert f"LD_LIBRARY_PATH={LINKS}:" in runtime
        assert all(found.start() < made for found in re.finditer(r"pip install", runtime))
        own = False
    else:
        assert LINKS not in text
        assert re.search(r"LD_LIBRARY_PATH=(\S+:)?/usr/local/ucx/lib:", runtime)
    forced = "--no-deps --force-reinstall /opt/dynamo/wheelhouse/nixl/nixl*.whl"
    assert (forced in runtime) == (own and vendor)


def test_every_image_of_sglang_has_one():
    seen = set()
    for cell in cells.cells():
        if cell.framework != "sglang" or cell.device != "cuda" or cell.target.endswith(cells.AWS):
            continue
        image, text = cells.rendered(cell)
        if "AS runtime\n" in text:
            check(image, text)
            seen.add((cell.line, image.recipe.engine))
    assert seen >= {("0.9.0", "vendor"), ("1.0", "vendor"), ("1.5", "complete"), ("1.6", "wheel")}


@pytest.mark.parametrize("text", [OVERLAY, 'sources.nixl.kind = "pypi"', ""])
@pytest.mark.parametrize("cuda", ["12.9", "13.0"])
def test_so_has_each_with_settings_of_a_site(overlay, text, cuda):
    check(*of(overlay(text), framework="sglang", target="runtime", cuda_version=cuda))


@pytest.mark.parametrize("line", ["0.9.0", "1.6"])
def test_nobody_else_has_such_names(line):
    image = make_image_job(framework="vllm", target="runtime", release_line=line)
    assert LINKS not in render(image, TEMPLATES)


@pytest.mark.processes("bash", "find")
def test_the_names_lead_to_the_files(tmp_path):
    """Beside them, as they look for each other where they are."""
    asked = {"framework": "sglang", "target": "runtime", "release_line": "1.6"}
    runtime = stage(render(make_image_job(**asked), TEMPLATES), "runtime")
    (step,) = re.findall(r"^RUN (libs=.*nixl-ucx)$", runtime, re.MULTILINE | re.DOTALL)
    libs = tmp_path / "venv" / "site-packages" / "nixl_cu13.libs"
    libs.mkdir(parents=True)
    (tmp_path / "venv" / ".nixl_cu13.mesonpy.libs").mkdir()
    step = step.replace("/opt/dynamo/venv / -xdev", str(tmp_path)).replace(LINKS, f"{tmp_path}/to")

    def run():
        words = ["bash", "-c", step]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    (libs / "libucp-b39b3ed9.so.0.0.0").write_text("ucp")
    done = run()
    assert done.returncode == 1
    assert "nixl_cu13.libs has no libucs" in done.stderr
    (libs / "libucs-98a42727.so.0.0.0").write_text("ucs")
    for _ in range(2):  # a second time too
        assert run().returncode == 0
        assert (tmp_path / "to" / "libucp.so.0").read_text() == "ucp"
        assert (tmp_path / "to" / "libucs.so.0").read_text() == "ucs"
    assert not (libs / "libucp.so.0").readlink().is_absolute()
