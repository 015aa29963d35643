"""TensorRT-LLM's wheel, as a cell asks for it.  Pure."""

from __future__ import annotations

from pathlib import Path

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, Values
from dynbuild.plan.document import Preparation
from dynbuild.plan.matrix import Cell
from dynbuild.plan.trtllm import decision
from dynbuild.plan.trtllm.intent import FLAGS, Intent, WheelRequest
from dynbuild.settings.load import Settings


def of(config: Settings, cell: Cell, context: Path, values: Values) -> Intent | None:
    """Where the wheel comes from; ``None`` for a framework that has none.

    Raises:
        RequestError: It is asked for and there is none, or the request is no way to get one.
    """
    request = _request(config)
    framework = cell.id.framework
    if framework != "trtllm" or config.catalog.frameworks["trtllm"].engine != "stage":
        for name, origin in request.origins.items():
            if origin.layer == "flag":
                raise RequestError(
                    f"{FLAGS[name]} is for the framework trtllm, not for {framework}",
                    origin=str(origin),
                    hint="add --framework trtllm, or drop it",
                )
        return None
    return decision.decide(
        request,
        arch_list=[names.architecture(platform) for platform in cell.platforms],
        default_spec=values["TENSORRTLLM_PIP_WHEEL"],
        default_index=values["TENSORRTLLM_INDEX_URL"],
        nixl_ref=str(values["NIXL_REF"].value),
        abi_incompatible=config.catalog.tensorrt_llm.abi_incompatible,
        release_image=config.catalog.tensorrt_llm.release_image,
        source=context,
        builds=context / ".dynbuild" / "trtllm-wheels",
    )


def of_intent(intent: Intent) -> Decision:
    """The arguments of a wheel; they give way to what a higher layer set by name."""
    return Decision("follow", intent.args)


def preparation(intent: Intent) -> Preparation | None:
    """The command that builds the wheel before the solve, where it is built."""
    if not intent.command:
        return None
    return Preparation(what="trtllm_wheel", argv=intent.command, makes=intent.output)


def _request(config: Settings) -> WheelRequest:
    request = config.catalog.request
    texts = {
        "wheel_dir": request.tensorrtllm_pip_wheel_dir,
        "commit": request.tensorrtllm_commit,
        "pip_wheel": request.tensorrtllm_pip_wheel,
        "index_url": request.tensorrtllm_index_url,
        "git_url": request.tensorrtllm_git_url,
    }
    paths = {name: "pip_wheel_dir" if name == "wheel_dir" else name for name in texts}
    return WheelRequest(
        origins={
            name: config.origin("request", f"tensorrtllm_{paths[name]}")
            for name, text in texts.items()
            if text
        },
        **texts,
    )
