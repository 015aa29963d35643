"""Exports of runs: what was written is read back by a reader of its own format."""

from __future__ import annotations

import json
import re

import yaml

from tests.fuzz import hostile
from tests.fuzz.argv import known, option
from tests.run.export_requests import read_unit, read_words

FORMATS = ("compose", "k8s", "devcontainer", "systemd")
_OTHER = ("--image", "--export", "--export-output", "--help", "--context", "--config")


def attempt(chance, folder, call):
    """Try one; the words and what came of them."""
    form = chance.choice(FORMATS)
    words = ["run", "--image", "x:y", "--export", form]
    options = [one for one in known()["run",] if not set(one.spellings) & set(_OTHER)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        words += option(chance, chance.choice(options))
    if chance.random() < 0.5:
        name = chance.choice(("A", "HF_TOKEN", "é", "A B", ""))
        words += ["-e", f"{name}={hostile.text(chance)}"]
    if chance.random() < 0.5:
        words += ["--", *(hostile.text(chance) for _ in range(chance.randrange(1, 4)))]
    words = [word.replace("\0", "") for word in words]
    done = call(*words, cwd=folder / "trees" / "source")
    if done.code == 0 and done.out and "--help" not in words and "-h" not in words:
        read(form, done.out)
    return words, done


def read(form, text):
    """Read *text* as its format; an error of any kind says that it is none."""
    if form == "devcontainer":
        value = json.loads("\n".join(one for one in text.split("\n") if not one.startswith("//")))
        assert value["image"] == "x:y"
    elif form == "systemd":
        unit = read_unit(text)
        (start,) = unit["ExecStart"]
        assert "x:y" in read_words(start)
    else:
        documents = list(yaml.safe_load_all(text))
        assert "x:y" in re.findall(r"image: \"?([^\n\"]+)", text)
        assert all(isinstance(one, dict) for one in documents)
