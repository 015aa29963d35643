"""Which cells a request and a matrix name, and the settings of each."""

from pathlib import Path

import pytest

from dynbuild.errors import RequestError
from dynbuild.plan import selection
from dynbuild.plan.named_matrix import every_line, named
from dynbuild.settings import load as settings
from tests.support import NONE_RUNTIME, TEMPLATES, flags, make_plan, refusal
from tests.support import load as load_one

RELEASE = """
[matrix.base]
frameworks = ["vllm", "none"]
targets = ["runtime"]

[matrix.base.cells."vllm-*"]
args.MAX_JOBS = "4"
args.BUILD_JOBS = "2"

[matrix.release]
extends = "base"
targets = ["runtime", "dev"]
include = ["sglang-runtime-cuda12.9"]
exclude = ["*-dev-*13.0"]

[matrix.release.cells."*13.0"]
request.platform = ["linux/arm64"]
args.BUILD_JOBS = "3"
contexts.extra = "here"
"""


def lines_of(*overlays, env=None, **asked):
    return settings.Lines(
        templates=TEMPLATES, overlays=overlays, env=env or {}, flags=flags(**asked)
    )


def requested(**asked):
    lines = lines_of(**asked)
    return [str(one.id) for one in selection.of_request([lines[line] for line in lines.chosen])]


@pytest.fixture
def overlay(tmp_path):
    def write(text):
        path = tmp_path / "dynbuild.toml"
        path.write_text(text)
        return path

    return write


def of_matrix(path, name="release", only=(), skip=(), **asked):
    lines = lines_of(*([path] if path else []), **asked)
    declared = every_line(lines) if name is None else named(lines[lines.chosen[0]], name)
    globs = selection.Globs(only=tuple(only), skip=tuple(skip))
    return selection.of_matrix(lines, lines.chosen, declared, globs)


def ids(selected):
    return [str(one.id) for one in selected]


def refused(*given, **asked):
    with pytest.raises(RequestError) as caught:
        of_matrix(*given, **asked)
    error = caught.value
    return "\n".join(map(str, (error.message, error.origin, error.hint, *error.details)))


# ---- a request ---------------------------------------------------------------------------


def test_several_values_are_every_combination_that_there_is():
    assert requested(framework="vllm, sglang", target="runtime", cuda_version="12.9,13.0") == [
        "vllm-runtime-cuda12.9", "vllm-runtime-cuda13.0",
        "sglang-runtime-cuda12.9", "sglang-runtime-cuda13.0",
    ]  # fmt: skip


def test_a_combination_that_there_is_not_is_left_out_where_its_values_are_used():
    assert requested(framework="vllm,trtllm", target="runtime", cuda_version="12.9,13.1") == [
        "vllm-runtime-cuda12.9", "trtllm-runtime-cuda13.1",
    ]  # fmt: skip
    assert requested(**NONE_RUNTIME, device="cuda,cpu", cuda_version="12.8") == [
        "none-runtime-cuda12.8", "none-runtime-cpu",
    ]  # fmt: skip


def test_lines_are_an_axis():
    assert requested(framework="vllm", device="cuda,cpu", release_line="0.9.0,1.0") == [
        "vllm-dev-cuda12.9", "vllm-dev-cuda12.9+1.0", "vllm-dev-cpu+1.0",
    ]  # fmt: skip


def test_a_value_that_fits_nowhere_is_an_error():
    with pytest.raises(RequestError) as caught:
        requested(framework="vllm,trtllm", target="runtime,frontend", cuda_version="13")
    assert "there is no target 'frontend' of vllm" in str(caught.value)
    error = refusal(framework="vllm,nine", target="runtime")
    assert (error.message, error.hint) == (
        "there is no framework 'nine'",
        "did you mean 'none'? (there are: none, sglang, trtllm, vllm)",
    )


def test_one_row_of_the_catalog_is_one_cell_however_it_is_written():
    assert requested(framework="vllm", target="dev", cuda_version="12.9,12.9.1,12") == [
        "vllm-dev-cuda12.9"
    ]


def test_what_only_one_cell_has_wrong_is_said_of_that():
    error = refusal(framework="none,trtllm", target="runtime,frontend", make_efa=True)
    assert error.message.startswith("none-frontend-cuda12.8: there is no EFA layer")
    assert make_plan(framework="none,vllm", target="runtime").images[1].name.startswith("vllm")


# ---- a matrix ----------------------------------------------------------------------------


def test_axes_globs_and_what_is_extended(overlay):
    assert ids(of_matrix(overlay(RELEASE))) == [
        "vllm-runtime-cuda12.9", "vllm-dev-cuda12.9", "vllm-runtime-cuda13.0",
        "none-runtime-cuda12.8", "none-dev-cuda12.8", "none-runtime-cpu", "none-dev-cpu",
        "sglang-runtime-cuda12.9",
    ]  # fmt: skip


def test_a_device_that_is_named_stays_beside_a_cuda_version_and_is_held_to_the_rest(overlay):
    path = overlay(RELEASE)
    asked = {"device": "cuda,cpu", "cuda_version": "12.8"}
    cpu = ["none-runtime-cpu", "none-dev-cpu"]
    assert ids(of_matrix(path, **asked)) == ["none-runtime-cuda12.8", "none-dev-cuda12.8", *cpu]
    assert ids(of_matrix(path, device="cuda,cpu", target="dev")) == [
        "vllm-dev-cuda12.9", "none-dev-cuda12.8", "none-dev-cpu",
    ]  # fmt: skip


def test_cells_have_settings_of_their_own(overlay, tmp_path):
    found = {str(one.id): one for one in of_matrix(overlay(RELEASE))}
    vllm13, vllm12 = found["vllm-runtime-cuda13.0"], found["vllm-runtime-cuda12.9"]
    args = vllm13.config.catalog.args
    assert (args["MAX_JOBS"], args["BUILD_JOBS"]) == ("4", "3")
    assert vllm12.config.catalog.args["BUILD_JOBS"] == "2"
    assert vllm13.cell.platforms == ("linux/arm64",)
    assert vllm12.cell.platforms == ("linux/amd64",)
    assert vllm13.config.catalog.contexts == {"extra": str(tmp_path / "here")}
    assert vllm13.config.origin("args", "BUILD_JOBS").line == 18
    assert found["none-runtime-cpu"].config is found["none-dev-cpu"].config


def test_flags_stand_above_the_settings_of_cells(overlay):
    (one,) = of_matrix(
        overlay(RELEASE), only=["vllm-runtime-*13.0"], args={"BUILD_JOBS": "9"}, env={}
    )
    assert one.config.catalog.args["BUILD_JOBS"] == "9"


def test_flags_narrow_a_matrix(overlay):
    path = overlay(RELEASE)
    assert ids(of_matrix(path, framework="none", target="dev")) == [
        "none-dev-cuda12.8", "none-dev-cpu",
    ]  # fmt: skip
    assert ids(of_matrix(path, cuda_version="13.0")) == ["vllm-runtime-cuda13.0"]
    said = refused(path, framework="vllm", cuda_version="12.8")
    assert "no cell has the CUDA '12.8'" in said
    assert "there are: 12.9, 13.0" in said


def test_only_and_skip(overlay):
    path = overlay(RELEASE)
    assert ids(of_matrix(path, only=["*-cpu"], skip=["*-dev-*"])) == ["none-runtime-cpu"]
    said = refused(path, only=["vllm-runtme-cuda12.9"])
    assert "did you mean 'vllm-runtime-cuda12.9'?" in said
    assert "there is no cell 'nothing'" in refused(path, skip=["nothing"])
    assert "no cell is left" in refused(path, skip=["*"])


def test_how_wheels_come_need_not_be_in_a_glob(overlay):
    path = overlay("[request]\ndynamo_wheels = 'index'\n")
    assert ids(of_matrix(path, None, only=["none-runtime-cpu"])) == ["none-runtime-cpu+index"]


def test_every_line():
    found = ids(of_matrix(None, None))
    assert {"vllm-runtime-cuda12.9", "vllm-runtime-cpu+1.0"} <= set(found)
    assert len(found) == len(set(found))
    assert ids(of_matrix(None, None, release_line="1.0", only=["vllm-*"])) == [
        one for one in found if one.startswith("vllm-") and one.endswith("+1.0")
    ]


def test_a_cell_of_another_line_is_included_by_its_sign(overlay):
    path = overlay("[matrix.m]\nframeworks = ['none']\ntargets = ['runtime']\n"
                   "include = ['vllm-dev-cpu+1.0']\n")  # fmt: skip
    selected = of_matrix(path, "m")
    assert ids(selected)[-1] == "vllm-dev-cpu+1.0"
    assert selected[-1].config.catalog.request.release_line == "1.0"


@pytest.mark.parametrize(
    "text",
    [
        "exclude = ['*+1.5', 'vllm-runtime-aws-cuda12.9']",
        "include = ['vllm-dev-cpu+1.0']\nlines = ['0.9.0']",
        "[matrix.m.cells.'*-cuda13.1+1.5']\nargs.BUILD_JOBS = '1'",
    ],
)
def test_a_glob_may_mean_cells_of_a_line_that_is_not_asked_for(overlay, text):
    path = overlay(f"[matrix.m]\n{text}\n")
    assert ids(of_matrix(path, "m", only=["none-runtime-cpu"])) == ["none-runtime-cpu"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[matrix.m]\nextends = 'm'\n", "the matrix 'm' extends itself"),
        ("[matrix.m]\nextends = ['relaese']\n[matrix.release]\n", "did you mean 'release'?"),
        ("[matrix.m]\nframeworks = ['vlm']\n", "no cell has the framework 'vlm'"),
        ("[matrix.m]\nframeworks = ['none']\ncuda = ['13.0']\n", "no cell has the CUDA '13.0'"),
        ("[matrix.m]\nlines = ['next']\n", "1.5 that of August 2026"),
        ("[matrix.m]\nlines = ['1.00']\n", "did you mean '1.0'?"),
        ("[matrix.m]\ninclude = ['none-runtime-gpu']\n", "there is no cell 'none-runtime-gpu'"),
        ("[matrix.m]\nexclude = ['x']\n", "there is no cell 'x'"),
        ("[matrix.m.cells.x]\nargs.BUILD_JOBS = '1'\n", "there is no cell 'x'"),
        (
            "[matrix.m.cells.'none-runtme-cpu']\nargs.BUILD_JOBS = '1'\n",
            "did you mean 'none-runtime-cpu'",
        ),
        ("[matrix.m.cells.'*']\nrun.gpus = 'all'\n", "a cell has no setting 'run.gpus'"),
        ("[matrix.m.cells.'*']\nrequest.target = 'dev'\n", "'target' says which cell it is"),
        ("[matrix.m.cells.'*']\nargs.BUILD_JBS = '1'\n", "did you mean 'BUILD_JOBS'"),
        ("[matrix.m.cells.'*']\nrequest.platform = 'x'\n", "must be a list"),
        ("[matrix.m.cells.'*']\nrequest.platform = ['x']\n", None),
        ("[matrix.m]\ntarget = ['dev']\n", "unknown key 'matrix.m.target'"),
        ("[matrix.m]\ntargets = 'dev'\n", "must be a list"),
    ],
)
def test_what_is_wrong_with_a_matrix(overlay, text, said):
    path = overlay(text)
    if said is None:  # told with all else that is wrong with the cell
        assert all("no platform 'x'" in str(one.problems) for one in of_matrix(path, "m"))
        return
    assert said in refused(path, "m")
    assert "dynbuild.toml:" in refused(path, "m") or "extends" in said


def test_a_matrix_that_there_is_not(overlay):
    assert "did you mean 'release'?" in refused(overlay(RELEASE), "relese")
    assert "no settings file has [matrix.NAME]" in refused(None, "relese")
    config = load_one()
    assert named(config, None).axes == {}
    config = load_one(overlay("[matrix.default]\ntargets = ['runtime']\n"))
    assert named(config, None).axes["target"].value == ("runtime",)


def test_settings_need_no_line_that_is_not_asked_for(overlay):
    lines = lines_of(Path(overlay("[frameworks.vllm]\ntargets = ['mine']\n")), framework="vllm")
    assert tuple(lines) == ("0.9.0", "1.0", "1.5", "1.6")
    assert lines.chosen == ("0.9.0",)
