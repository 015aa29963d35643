"""What steps take from build contexts, with hashes."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from dynbuild.build import context, hashes
from dynbuild.build.context import Reading, Source
from dynbuild.build.hashes import Memory, Stopped

DOCKERFILE = """\
FROM scratch AS wheel
COPY pyproject.toml li[b]/ /
FROM scratch AS unused
COPY secret /
FROM wheel AS runtime
RUN --mount=type=bind,source=tools/banner.txt,target=/b x
COPY --from=ucx_src / /ucx
"""
TREE = {
    "pyproject.toml": "p", "lib/a.rs": "a", "lib/deep/b.rs": "b", "lib/deep/b.o": "object",
    "lib/target/x": "built", "secret": "s", "tools/banner.txt": "hello", "other": "o",
}  # fmt: skip


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        path.parent.chmod(0o755)
    return root


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "hashes.json")


def take(tree, memory, text=DOCKERFILE, stage="runtime", ignored="", **folders):
    source = Source(
        image="none-runtime-cpu", dockerfile=text, stage=stage, args={}, folders=folders
    )
    return context.take([source], tree, ignored, memory)


def test_what_is_taken(tree, memory, tmp_path):
    ucx = tmp_path / "ucx"
    ucx.mkdir()
    for name in ("configure", "left.o"):
        (ucx / name).write_text(name)
    (ucx / ".dockerignore").write_text("*.o\n.dockerignore\n")
    (ucx / "configure").chmod(0o755)
    made = take(tree, memory, ignored="**/*.o\nlib/target\n", ucx_src=str(ucx))
    assert made.contexts[""].files == {
        "pyproject.toml": f"file 644 {sha('p')}",
        "lib": "dir 755",
        "lib/a.rs": f"file 644 {sha('a')}",
        "lib/deep": "dir 755",
        "lib/deep/b.rs": f"file 644 {sha('b')}",
        "tools/banner.txt": f"file 644 {sha('hello')}",
    }
    assert made.contexts["ucx_src"].files == {"configure": f"file 755 {sha('configure')}"}
    assert [(one.stage, one.context, one.count) for one in made.steps] == [
        ("runtime", "", 1), ("runtime", "ucx_src", 1), ("wheel", "", 5),
    ]  # fmt: skip
    assert context.parse(context.to_text(made)) == made


def test_a_tree_is_read_once_for_all_images(tree, memory, monkeypatch):
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    sources = [
        Source(image=image, dockerfile="FROM x\nCOPY lib /\n", stage="0", args={}, folders={})
        for image in ("none-runtime-cpu", "none-dev-cpu", "vllm-dev-cpu")
    ]
    made = context.take(sources, tree, "", memory)
    assert len({(step.count, step.digest) for step in made.steps}) == 1
    assert len(made.steps) == 3
    assert sorted(listed) == [f"{tree}/lib", f"{tree}/lib/deep", f"{tree}/lib/target"]


def digests(made):
    return {one.stage: one.digest for one in made.steps if not one.context}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda tree: (tree / "lib/a.rs").write_text("A"), {"wheel"}),
        (lambda tree: (tree / "lib/a.rs").chmod(0o755), {"wheel"}),
        (lambda tree: (tree / "lib/new").touch(), {"wheel"}),
        (lambda tree: (tree / "lib/new").mkdir(), {"wheel"}),
        (lambda tree: (tree / "lib/new").symlink_to("a.rs"), {"wheel"}),
        (lambda tree: (tree / "lib/deep/b.rs").rename(tree / "lib/deep/c.rs"), {"wheel"}),
        (lambda tree: (tree / "tools/banner.txt").write_text("bye"), {"runtime"}),
        (lambda tree: (tree / "secret").write_text("S"), set()),
        (lambda tree: (tree / "other").write_text("O"), set()),
        (lambda tree: os.utime(tree / "lib/a.rs", (0, 0)), set()),
    ],
    ids=range(10),
)
def test_a_change_shows_where_it_matters(tree, memory, change, stages):
    before = digests(take(tree, memory))
    change(tree)
    after = digests(take(tree, memory))
    assert {stage for stage in before if before[stage] != after[stage]} == stages


def test_links_pipes_and_names_of_any_bytes(tree, memory):
    (tree / "lib/link").symlink_to("/nowhere")
    os.mkfifo(tree / "lib/pipe")
    os.close(os.open(os.fsencode(tree / "lib") + b"/\xff", os.O_CREAT, 0o600))
    made = take(tree, memory)
    files = made.contexts[""].files
    assert (files["lib/link"], files["lib/pipe"]) == ("link /nowhere", "other")
    assert json.loads(context.to_text(made))["contexts"][""]["files"] == files


def test_a_source_that_is_a_link_is_followed(tree, memory):
    (tree / "current").symlink_to("lib/deep")
    (tree / "out").symlink_to("/etc")
    text = "FROM scratch AS x\nCOPY current out none /y/\n"
    assert set(take(tree, memory, text, "x").contexts[""].files) == {
        "current", "out", "lib/deep", "lib/deep/b.rs", "lib/deep/b.o",
    }  # fmt: skip


def test_what_is_taken_back_in_from_a_folder_that_is_left_out(tree, memory):
    text = "FROM scratch AS x\nCOPY . /\n"
    made = take(tree, memory, text, "x", ignored="*\n!lib/deep/b.rs\n")
    assert set(made.contexts[""].files) == {"lib", "lib/deep", "lib/deep/b.rs"}


def test_a_malformed_ignore_file(tree, memory):
    with pytest.raises(ValueError, match="no class of characters"):
        take(tree, memory, ignored="[")


# ---- hashes that are kept ----------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * (2 << 20))
    return path


def read(memory, path):
    return memory.sha256(str(path), path.lstat(), lambda: False)


def test_a_large_file_is_read_once(tmp_path, large, monkeypatch):
    monkeypatch.setattr(hashes, "_TICK_NS", 0)
    kept = tmp_path / "kept.json"
    first = Memory(kept)
    digest = read(first, large)
    first.keep()
    assert digest == hashlib.sha256(large.read_bytes()).hexdigest()
    monkeypatch.setattr(hashes, "_hash", lambda *_: pytest.fail("it was read again"))
    assert read(Memory(kept), large) == digest


def test_a_file_that_changed_is_read_again(tmp_path, large, monkeypatch):
    monkeypatch.setattr(hashes, "_TICK_NS", 0)
    kept = tmp_path / "kept.json"
    first = Memory(kept)
    before = read(first, large)
    first.keep()
    state = large.stat()
    large.write_bytes(b"y" * (2 << 20))
    os.utime(large, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert read(Memory(kept), large) != before, "the time of its inode tells"


def test_a_file_of_this_moment_is_not_kept(tmp_path, large):
    memory = Memory(tmp_path / "kept.json")
    read(memory, large)
    memory.keep()
    assert not (tmp_path / "kept.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 3}', "[" * 5000])
def test_damage_is_as_good_as_nothing(tmp_path, large, text):
    kept = tmp_path / "kept.json"
    kept.write_text(text.replace("a", str(large)))
    assert read(Memory(kept), large) == hashlib.sha256(large.read_bytes()).hexdigest()


def test_a_memory_that_cannot_be_written(tmp_path, large, monkeypatch):
    monkeypatch.setattr(hashes, "_TICK_NS", 0)
    memory = Memory(tmp_path / "no" / "kept.json")
    read(memory, large)
    memory.keep()


def test_reading_stops_when_nobody_waits(tmp_path, large):
    with pytest.raises(Stopped):
        Memory(tmp_path / "m").sha256(large, large.lstat(), lambda: True)


def source(stage="runtime"):
    return Source(image="x", dockerfile=DOCKERFILE, stage=stage, args={}, folders={})


def test_reading_beside_a_solve(tree, memory):
    reading = Reading([source()], tree, "", memory)
    taken = take(tree, memory)
    steps = tuple(replace(one, image="x") for one in taken.steps)
    assert reading.result(wait=True) == replace(taken, steps=steps)
    assert reading.trouble == ""


def test_trouble_is_told_and_ends_nothing(tree, memory):
    reading = Reading([source()], tree, "[", memory)
    assert reading.result(wait=True) is None
    assert "no class of characters" in reading.trouble
