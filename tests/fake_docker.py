"""A docker client that needs no engine: it says what a test has written down for it.

It is a shell script, so that a hundred builds take no longer than a hundred shells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BUILDX = {"Name": "buildx", "Version": "v0.29.1"}
INFO = {
    "ServerVersion": "28.5.2",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {"Plugins": [BUILDX]},
}
SCRIPT = """\
#!/bin/sh
here="$(dirname "$0")"
echo "$*" >> "$here/asked"
case "$1 $2" in
"info "*) cat "$here/info" ;;
"image inspect")
    for last; do :; done
    case "$*" in *Descriptor*) file=base ;; *) file=image ;; esac
    [ -e "$here/$file" ] || { echo "Error: No such image: $last" >&2; exit 1; }
    case "$*" in *"[{{json .Id"*) read -r id size layers own < "$here/image" ;; esac
    case "$*" in
    *RootFS*)
        [ "$own" ] || own="$(seq -s, "${layers:-0}")"
        echo "[\\"$id\\",$size,[$(echo "$own" | sed 's/[^,][^,]*/"&"/g')]]" ;;
    *RepoDigests*) echo "[\\"$id\\",[]]" ;;
    *"[{{json .Id"*) echo "[\\"$id\\"]" ;;
    *) cat "$here/$file" ;;
    esac ;;
"image history") [ ! -e "$here/history" ] || cat "$here/history" ;;
"buildx inspect") [ -e "$here/builder" ] || { echo "ERROR: no builder" >&2; exit 1; }
    echo "Name: ${3:-farm}" ;;
"buildx imagetools")
    for last; do :; done
    # What is said once.
    ! mv "$here/passing-$3" "$here/passed" 2>/dev/null || { cat "$here/passed" >&2; exit 1; }
    [ ! -e "$here/refusal" ] || { cat "$here/refusal" >&2; exit 1; }
    case "$*" in
    *" create "*) exit 0 ;;
    *--raw*) cat "$here/registry" ;;
    *) own="$here/tag-${last##*:}"
        [ -e "$own" ] || own="$here/tag"
        [ -e "$own" ] || [ -e "$here/digest" ] ||
            { echo "ERROR: $last: not found" >&2; exit 1; }
        echo "[$(cat "$here/digest" || echo null),$(cat "$own" || echo null)]" ;;
    esac ;;
"buildx ls") cat "$here/builder" ;;
"buildx bake")
    for last; do
        [ "$before" != --metadata-file ] || metadata="$last"
        before="$last"
    done
    # What is said of one target alone comes before what is said of all.
    [ ! -e "$here/progress-$last" ] || progress="-$last"
    [ ! -e "$here/status-$last" ] || status="-$last"
    if [ -e "$here/play" ]; then . "$here/play"; else cat "$here/progress$progress"; fi
    if [ -e "$here/metadata" ]; then
        # As buildx does it: a draft beside it, then the name.
        draft="$(dirname "$metadata")/.tmp-metadata.json4085952815"
        if ! cat "$here/metadata" 2>/dev/null > "$draft"; then
            rm -f "$draft"
            echo "ERROR: write $draft: no space left on device"
            exit 102
        fi
        mv "$draft" "$metadata"
    fi
    exit "$(cat "$here/status$status")" ;;
"run "*)
    for last; do :; done
    # Of a container, what a test named so is to say, and how it ends.
    [ ! -e "$here/run-$last" ] || { cat "$here/run-$last"; exit 1; } ;;
"image tag" | "image rm" | "rm --force") ;;
*) echo "not in this play: $*" >&2; exit 99 ;;
esac
"""


@dataclass(frozen=True)
class FakeDocker:
    """The client in the folder *path*, and what it says."""

    path: Path

    def says(self, **texts: str | bytes) -> None:
        """Write down answers: each is a file that the client reads.

        ``progress-TARGET`` and ``status-TARGET`` are those of builds whose last target that is.
        ``play`` is shell that is run in the place of ``progress``.
        """
        for name, text in texts.items():
            data = text if isinstance(text, bytes) else text.encode()
            (self.path / name).write_bytes(data)

    def go(self) -> None:
        """Let a play go on that waits at its ``GATE``."""
        self.says(go="")

    @property
    def asked(self) -> list[str]:
        """The command lines so far."""
        file = self.path / "asked"
        return file.read_text().splitlines() if file.exists() else []


def make(path: Path) -> FakeDocker:
    """A client whose every build goes well, in the folder *path*."""
    path.mkdir()
    program = path / "docker"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    plugin = path / "docker-buildx"
    plugin.symlink_to(program)
    docker = FakeDocker(path)
    plugins = [{**BUILDX, "Path": str(plugin)}]
    info = INFO | {"ClientInfo": {"Plugins": plugins}}
    docker.says(info=json.dumps(info), progress=progress(), status="0", image="sha256:aa 123456789")
    docker.says(base=json.dumps(["linux", "amd64", {}]), registry="")
    return docker


def progress(error: str = "", printed: str = "") -> str:
    """The progress of a build of one step, which fails where there is an *error*."""
    import base64

    times = {"started": "2126-01-02T03:04:05Z", "completed": "2026-01-02T03:04:07Z"}
    step = {"digest": "sha256:1", "name": "[ucx 2/2] RUN make"}
    data = base64.b64encode(printed.encode()).decode()
    lines: list[object] = [
        {"vertexes": [step]},
        {"vertexes": [step | {"started": times["started"]}]},
        {"logs": [{"vertex": "sha256:1", "stream": 1, "data": data}]},
        {"vertexes": [step | times | ({"error": error} if error else {})]},
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


GATE = 'until [ -e "$here/go" ]; do kill -0 $PPID || exit 1; sleep 0.05; done'
"""Shell of a play that goes on once the test has seen what it waits for, by ``go``."""


def played(lines: Iterable[str], seconds: float, end: str = "") -> str:
    """A play that tells of *lines* one after the other, each so long after the one before.

    Args:
        lines: Progress.
        seconds: Between two of them.
        end: Shell that comes last.
    """
    told = (f"sleep {seconds}\ncat <<'END'\n{line.rstrip()}\nEND\n" for line in lines)
    return "".join((*told, end, "\n"))
