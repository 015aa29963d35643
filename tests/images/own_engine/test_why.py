"""Changes on a real engine: the first cause that is told of each, and nothing else.

The image is a small one whose steps do nothing but note what they see.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import threading
import uuid
from dataclasses import replace

import pytest

from dynbuild import proc
from dynbuild.build import causes, drive, job_context, prediction, record, recording, snapshot
from dynbuild.build.expectation import Expectation
from dynbuild.build.resolution import Asking
from dynbuild.engine import builder
from dynbuild.plan.job import Secret
from dynbuild.render import bake
from dynbuild.report import why
from dynbuild.report.display import Display
from dynbuild.settings.layers import Origin
from tests import session
from tests.support import NONE_CPU, make_job

TEXT = """\
ARG BASE
FROM ${{BASE}} AS base
RUN env > /base-{mark}
FROM scratch AS source
ARG SOURCE_REF
ADD {address}/source.git#${{SOURCE_REF}} /source-{mark}
FROM scratch AS download
ADD --checksum=sha256:{checksum} {address}/archive /download-{mark}
FROM base AS tool
ARG TOOL_REF
ENV TOOL=/opt/${{TOOL_REF}}
COPY --from=source / /from-{mark}
COPY --from=download / /from-{mark}
RUN --mount=type=secret,id=token (env; cat /from-{mark}/*/file /from-{mark}/down*) > /tool-{mark}
FROM base AS runtime
ARG CATALOG
COPY app /app-{mark}
RUN --mount=type=bind,source=bound,target=/bound env > /runtime-{mark}
COPY --link --from=download / /linked-{mark}
COPY --from=tool /tool-{mark} /tool-{mark}
WORKDIR /work-{mark}
ARG USER_UID
RUN env > /last-{mark}
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Site:
    """A tree, what it fetches, and builds of it."""

    def __init__(self, engine, env, folder, address, *, docker, base_image):
        self.env, self.folder, self.address, self.docker = env, folder, address, docker
        self.builder = builder.find(engine, env)
        self.mark = uuid.uuid4().hex[:12]
        self.base, self._from = f"{session.NAME}/why:{self.mark}", base_image
        self.tree = folder / "tree"
        for name in ("app/main", "app/lib/code", "bound/file", ".dockerignore"):
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        (self.tree / ".dockerignore").write_text("**/*.out\n")
        (folder / "archive").write_text("1")
        self.git("init", "-q", "--bare", "-b", "main", str(folder / "source.git"), cwd=folder)
        self.push("1")
        self.make_base("1")
        self.args = {"TOOL_REF": "v1", "CATALOG": "1", "SOURCE_REF": "main", "USER_UID": "1000"}
        self.origins = {
            "TOOL_REF": Origin("flag", "--arg TOOL_REF"),
            "CATALOG": Origin("catalog", "catalog.toml", 7),
            "SOURCE_REF": Origin("catalog", "catalog.toml", 8),
            "USER_UID": Origin("machine", "id of the caller"),
            "SOURCE_DATE_EPOCH": Origin("environment", "SOURCE_DATE_EPOCH"),
        }
        self.more, self.job_more, self.text = {}, {}, TEXT
        self.last = None

    def git(self, *words, cwd):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True)

    def push(self, text):
        work = self.folder / f"work-{uuid.uuid4().hex}"
        self.git("clone", "-q", str(self.folder / "source.git"), str(work), cwd=self.folder)
        (work / "file").write_text(text)
        self.git("add", "-A", cwd=work)
        self.git("commit", "-qm", text, cwd=work)
        self.git("push", "-q", "origin", "HEAD:main", cwd=work)
        self.git("update-server-info", cwd=self.folder / "source.git")

    def make_base(self, text):
        file = self.folder / f"base-{text}"
        file.mkdir(exist_ok=True)
        (file / "Dockerfile").write_text(f"FROM {self._from}\nCOPY version /v-{self.mark}\n")
        (file / "version").write_text(text)
        self.docker("build", "--quiet", "--tag", self.base, str(file))

    def forget(self):
        """Take what the steps made out of the builder's cache, and nothing else.

        Without --all, Docker 28 keeps most of it on the disk and yet has it made anew, and it
        says of nothing that this is so.  With it, other steps on the same base are made anew too.
        """
        here = f"description~={self.mark}"
        self.docker("buildx", "prune", "--all", "--force", "--filter", here)

    def job(self):
        """What would be built now, and the Dockerfile of it."""
        job = make_job(**NONE_CPU, context=self.tree)
        (image,) = job.images
        args = {"BASE": self.base, **self.args}
        origins = {"BASE": Origin("flag", "--arg BASE"), **self.origins}
        changed = {
            "build_args": args,
            "set_by": {name: origins[name] for name in args},
            "origins": {name: str(origins[name]) for name in args},
            "contexts": {}, "secrets": ("token",), "output": "none", "stage": "runtime",
            "labels": {}, "passed_args": tuple(self.job_more.get("passed", ())),
            **{key: value for key, value in self.more.items() if key != "network"},
        }  # fmt: skip
        plan = replace(image.plan, **changed)
        secret = Secret(id="token", env="WHY_TOKEN", src="")
        given = {"passed": {}, **self.job_more}
        token = given.pop("token", "one")
        image = replace(image, plan=plan, secrets=(secret,), **given)
        document = {"images": (plan,), "network": self.more.get("network", "default")}
        job = replace(job, images=(image,), plan=replace(job.plan, **document))
        checksum = hashlib.sha256((self.folder / "archive").read_bytes()).hexdigest()
        text = self.text.format(mark=self.mark, address=self.address, checksum=checksum)
        return job, {image.name: text}, token

    def build(self, expectation=None):
        job, texts, token = self.job()
        result = drive.build(
            job,
            texts,
            builder=self.builder,
            env=self.env,
            secrets={"WHY_TOKEN": token, **bake.environment(job)},
            listen=lambda _: None,
            cancellation=proc.Cancellation(),
            name=f"{len(list((self.tree / '.dynbuild' / 'builds').glob('*'))):03}",
            expectation=expectation,
        )
        if expectation is not None:
            return result
        assert result.status == "done", result.failure
        self.last = record.Record(record.builds(self.tree) / result.id)
        return self.last

    def foretell(self, before):
        """What is foretold of a build that would begin now."""
        job, texts, _ = self.job()
        one = snapshot.of_recording(recording.read(before))
        asking = Asking(builder=self.builder, env=self.env)
        return prediction.of(
            job,
            texts,
            one,
            asking,
            taken=functools.partial(job_context.read, job, texts),
            kept=functools.partial(prediction.kept_by, asking),
        )

    def explain(self, before, after):
        """What is told of a build."""
        one, other = (snapshot.of_recording(recording.read(each)) for each in (before, after))
        return causes.explain(one, other)


@pytest.fixture(scope="module")
def site(engine, environment, docker, base_image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("why")
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield Site(engine, environment, folder, address, docker=docker, base_image=base_image)
        finally:
            server.shutdown()


def argument(site):
    site.args["TOOL_REF"] = "v2"


def catalog(site):
    site.args["CATALOG"] = "2"


def template(site):
    site.text = TEXT.replace("RUN env > /last", "RUN env | sort > /last")


def content(site):
    (site.tree / "app/main").write_text("changed\n")


def mode(site):
    (site.tree / "app/lib/code").chmod(0o755)


def added(site):
    (site.tree / "bound/more").write_text("")
    (site.tree / "bound/more.out").write_text("")


def base(site):
    site.make_base("2")


def git(site):
    site.push("2")


def checksum(site):
    (site.folder / "archive").write_text("2")


def platform(site):
    site.more["platforms"] = ("linux/amd64/v2",)


def uid(site):
    site.args["USER_UID"] = "1001"


def other_builder(site):
    site.forget()
    site.builder = replace(site.builder, name="other")


def network(site):
    site.more["network"] = "host"


def epoch(site):
    site.args["SOURCE_DATE_EPOCH"] = "1700000000"


def pruned(site):
    site.forget()


def import_404(site):
    site.forget()
    place = site.address.removeprefix("http://")
    site.more["cache_from"] = (f"type=registry,ref={place}/none:none",)


def order(site):
    site.args = dict(reversed(site.args.items()))


def proxy(site):
    site.job_more["passed"] = {"NO_PROXY": "example.com"}


def secret(site):
    site.job_more["token"] = "two"


def mtime(site):
    for path in site.tree.rglob("app/**/*"):
        os.utime(path, (1, 1))


def commit(site):
    site.more["labels"] = {"dynbuild.commit": "0" * 40, "org.opencontainers.image.revision": "0"}


CHANGES = [
    (argument, "argument", "TOOL_REF: v1 (flag --arg TOOL_REF) -> v2 (flag --arg TOOL_REF)"),
    (catalog, "argument", "CATALOG: 1 (catalog catalog.toml:7) -> 2 (catalog catalog.toml:7)"),
    (template, "template", "stage runtime, line 23 of the Dockerfile: env > "),
    (content, "files", "app/main: content"),
    (mode, "files", "app/lib/code: mode 644 -> 755"),
    (added, "files", "bound/more: added"),
    (base, "base", "why:"),
    (git, "git", "source.git#main: sha1:"),
    (checksum, "checksum", "stage download, line 8 of the Dockerfile: sha256:6b86"),
    (platform, "platform", "linux/amd64/v2: not in"),
    (uid, "argument", "USER_UID: 1000 (machine id of the caller) -> 1001"),
    (other_builder, "builder", "builder: default -> other"),
    (network, "network", "of RUN steps: bridge -> host"),
    (epoch, "epoch", "SOURCE_DATE_EPOCH: (none) -> 1700000000 (environment SOURCE_DATE_EPOCH)"),
    (pruned, "pruned", "pruned, or over its limit"),
    (import_404, "import", "/none:none"),
    (order, "", ""),
    (proxy, "", ""),
    (secret, "", ""),
    (mtime, "", ""),
    (commit, "", ""),
]


SCORES = {}
"""Of each change, the steps that were foretold and those that ran."""
GOOD = 0.98


@pytest.mark.parametrize(
    ("change", "kind", "evidence"), CHANGES, ids=[one.__name__ for one, _, _ in CHANGES]
)
def test_first_causes(site, change, kind, evidence):
    if change is network and site.builder.network == "host":
        kind = ""  # The engine's steps have no other network.
    before = site.last or site.build()
    change(site)
    foretold = site.foretell(before)
    explained = site.explain(before, site.build())
    SCORES[change.__name__] = [{one.place for one in it.reasons} for it in (foretold, explained)]
    told = "\n".join(
        (*why.lines(foretold, Display(), predicted=True), *why.lines(explained, Display()))
    )
    assert {cause.kind for cause in explained.causes} == ({kind} if kind else set()), told
    assert not explained.of_kind("unexplained")
    if not kind:
        assert not explained.reasons
    for cause in explained.causes:
        assert evidence in cause.evidence
    assert {cause.kind for cause in foretold.causes} == {cause.kind for cause in explained.causes}
    assert (foretold.unknown, foretold.untold) == ((), ()), told


def test_what_was_foretold_is_what_ran():
    if len(SCORES) < len(CHANGES):
        pytest.skip("not all of the changes were made")
    right = sum(len(foretold & ran) for foretold, ran in SCORES.values())
    precision = right / sum(len(foretold) for foretold, _ in SCORES.values())
    recall = right / sum(len(ran) for _, ran in SCORES.values())
    wrong = {name: foretold ^ ran for name, (foretold, ran) in SCORES.items() if foretold != ran}
    print(f"{len(SCORES)} changes, {right} steps: precision {precision:.3f}, recall {recall:.3f}")
    assert min(precision, recall) >= GOOD, wrong


def test_a_step_that_should_be_in_the_cache_ends_the_build(site):
    before = site.last or site.build()
    reasons = []
    assert site.build(Expectation("*", reasons.append)).status == "done"
    site.args["TOOL_REF"] = "v3"
    assert site.build(Expectation("runtime", str)).failure.step.startswith("[runtime ")
    site.args["TOOL_REF"] = "v4"
    ended = site.build(Expectation("*", lambda _: "for a reason"))
    assert ended.status == "failed"
    assert ended.failure.step.startswith("[tool ")
    assert ended.failure.message.endswith("for a reason")
    assert not reasons
    assert before.result.is_file()
