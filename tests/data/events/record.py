"""Makes the recordings beside this file anew: BuildKit's progress of small builds, as it came.

    python -m tests.data.events.record [NAME ...]

It needs an engine and its base image (``dynbuild engine up``, ``dynbuild engine base``). What is
of one machine or one run only, the definition in a warning, is left out.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynbuild.engine import client

HERE = Path(__file__).resolve().parent
IMAGE = "dynbuild-recording"
DEBIAN = "FROM dynbuild/debian:trixie AS"

# A heredoc, standard output and errors, a cache mount, a copy by link, a warning.
SINGLE = rf"""{DEBIAN} fetch
ARG NONCE
RUN head -c 4000000 /dev/urandom >/blob
FROM fetch AS ucx
RUN --mount=type=cache,target=/cache <<EOF
printf '[one] two\n' >&2
printf '10%%\r50%%\r100%%\nno line break'
touch /ucx
EOF
FROM scratch
COPY --from=fetch /blob /blob
COPY --from=ucx --link /ucx /ucx
LABEL vendor nobody
"""

# Both platforms have a base of their own, and one stage that runs on this machine for either.
BASE = """FROM scratch
COPY text /text
"""
PLATFORMS = f"""FROM --platform=$BUILDPLATFORM dynbuild/debian:trixie AS ucx
ARG NONCE TARGETARCH
RUN echo "ucx for $TARGETARCH" | tee /ucx
FROM {IMAGE}:base AS out
COPY --from=ucx /ucx /ucx
"""

# One target is built on another; a third shares a stage with both.
LOW = f"""{DEBIAN} common
ARG NONCE
RUN echo common && sleep 1
FROM common AS low
RUN echo low
COPY text /low
"""
HIGH = f"""FROM below AS ucx
RUN echo high
{DEBIAN} common
RUN echo another common
FROM ucx
COPY --from=common /etc/hostname /other
"""

# One step fails, another is cancelled because of it, and what needs both never begins.
FAILED = f"""{DEBIAN} ucx
ARG NONCE
RUN echo "CC ucx.o" && sleep 2 && echo "ucx.c:3: error: no" >&2 && exit 3
{DEBIAN} nixl
ARG NONCE
RUN echo "CC nixl.o" && sleep 600
FROM scratch
COPY --from=ucx /etc/hostname /ucx
COPY --from=nixl /etc/hostname /nixl
"""

SLOW = f"""{DEBIAN} ucx
ARG NONCE
RUN echo begun && sleep 5
FROM ucx
COPY text /text
"""


class Bake:
    """One process of bake, and what it told so far."""

    def __init__(self, folder: Path, targets: dict[str, dict[str, Any]]) -> None:
        engine = client.find(os.environ)
        bake = folder / "bake.json"
        bake.write_text(json.dumps({"target": targets}))
        words = ["buildx", "bake", "--progress", "rawjson", "--file", bake.name, *targets]
        self.process = subprocess.Popen(
            [engine.docker, *words],
            env=engine.env(os.environ),
            cwd=folder,
            text=True,
            stderr=subprocess.PIPE,
        )
        self.lines: list[str] = []

    def read(self) -> Iterator[str]:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(line)
            yield line

    def until_a_step_prints(self) -> None:
        next(line for line in self.read() if '"logs"' in line)

    def finish(self, code: int = 0) -> list[str]:
        for _ in self.read():
            pass
        assert self.process.wait() == code, "".join(self.lines[-5:])
        return self.lines


class Recorder:
    """Bakes in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Every recording has steps that are not in the cache.
        self.nonce = secrets.token_hex(4)
        (folder / "text").write_text(self.nonce)

    def bake(self, **texts: str) -> Bake:
        return self.start({name: self.target(name, text) for name, text in texts.items()})

    def start(self, targets: dict[str, dict[str, Any]]) -> Bake:
        return Bake(self.folder, targets)

    def target(self, name: str, text: str, **more: Any) -> dict[str, Any]:
        (self.folder / f"{name}.Dockerfile").write_text(text)
        return {
            "context": ".",
            "dockerfile": f"{name}.Dockerfile",
            "args": {"NONCE": self.nonce},
            "tags": [f"{IMAGE}:{name}"],
            "output": ["type=image"],
            **more,
        }

    def single(self) -> list[str]:
        return self.bake(single=SINGLE).finish()

    def cached(self) -> list[str]:
        self.bake(single=SINGLE).finish()
        return self.bake(single=SINGLE).finish()

    def platforms(self) -> list[str]:
        both = {"platforms": ["linux/amd64", "linux/arm64"]}
        self.start({"base": self.target("base", BASE, **both)}).finish()
        return self.start({"platforms": self.target("platforms", PLATFORMS, **both)}).finish()

    def linked(self) -> list[str]:
        return self.start(
            {
                "low": self.target("low", LOW),
                "high": self.target("high", HIGH, contexts={"below": "target:low"}),
                "side": self.target("side", LOW, target="common"),
            }
        ).finish()

    def failed(self) -> list[str]:
        return self.bake(failed=FAILED).finish(1)

    def cancelled(self) -> list[str]:
        bake = self.bake(slow=SLOW)
        bake.until_a_step_prints()
        bake.process.send_signal(signal.SIGINT)
        return bake.finish(130)

    def beside(self) -> list[str]:
        # Only one of them may give the image its name.
        first = self.start({"slow": self.target("slow", SLOW, output=["type=cacheonly"])})
        first.until_a_step_prints()
        # Longer than clocks may differ.
        time.sleep(2)
        lines = self.bake(slow=SLOW).finish()
        first.finish()
        return lines


def kept(line: str) -> str:
    """A line of progress without what is of one run only."""
    status = json.loads(line)
    for warning in status.get("warnings") or ():
        warning.get("sourceInfo", {}).pop("definition", None)
    return json.dumps(status, ensure_ascii=False, separators=(",", ":"))


def main(names: list[str]) -> None:
    every = ("single", "cached", "platforms", "linked", "failed", "cancelled", "beside")
    for name in names or every:
        with tempfile.TemporaryDirectory() as folder:
            lines = [line for line in getattr(Recorder(Path(folder)), name)() if line[0] == "{"]
        (HERE / f"{name}.jsonl").write_text("".join(f"{kept(line)}\n" for line in lines))
        print(name, len(lines), "lines")
    engine = client.find(os.environ)
    tags = ("single", "base", "platforms", "low", "high", "side", "slow")
    images = [f"{IMAGE}:{tag}" for tag in tags]
    subprocess.run(
        [engine.docker, "image", "rm", "--force", *images],
        env=engine.env(os.environ),
        check=False,
        capture_output=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
