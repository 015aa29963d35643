"""Hashes that are kept in a tree, which may have brought files along."""

import json
import os

from dynbuild.build.hashes import Memory


def test_what_a_tree_has_beside_them_is_not_written_to(tmp_path):
    outside, kept = tmp_path / "outside", tmp_path / "state" / "hashes.json"
    kept.parent.mkdir()
    kept.with_name(f".hashes.json.{os.getpid()}.part").symlink_to(outside)
    file = tmp_path / "file"
    file.write_text("x")
    os.utime(file, (1, 1))
    memory = Memory(kept)
    memory._settled = 2 * 10**18 * 2
    digest = memory.sha256(str(file), file.stat(), lambda: False)
    memory.keep()
    assert json.loads(kept.read_text())[str(file)].split()[-1] == digest
    assert not outside.exists()
    assert len(list(kept.parent.iterdir())) == 2
