"""From declarations to the parameters of a command, and from those to a layer."""

import inspect

import pytest
import typer
from typer.main import get_command

from dynbuild.cli import parameters, usage
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.errors import RequestError
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.option import Option, on
from tests.support import call

OPTIONS = (
    Option(name="word", help="W.", flags=("-w", "--word"), metavar="W", path=("run", "word")),
    Option(name="many", help="M.", flags=("--many",), metavar="M", kind="list"),
    Option(name="fast", help="F.", kind="switch", switches=on("fast"), path=("run", "fast")),
    Option(
        name="slow", help="S.", kind="switch", switches=on("slow"), shown="all",
        path=("args", "SLOW"),
    ),
    Option(name="form", help="F.", flags=("--form",), choices=("a", "b"), default="a"),
)  # fmt: skip


def said(*words):
    """What a command with these options gets."""
    found = []

    @with_options(OPTIONS)
    def command(invocation: Invocation, more: bool = False) -> None:
        """Do it."""
        found.append((invocation, more))

    app = typer.Typer(add_completion=False)
    app.command(cls=usage.Command)(command)
    get_command(app)(list(words), standalone_mode=False)
    return found[0]


def test_nothing_given():
    given, more = said()
    assert (given.text("word"), given.items("many"), given.switch("fast"), more) == (
        None, (), False, False,
    )  # fmt: skip
    assert given.text("form") == "a"
    assert given.layer == {}


def test_everything_given():
    given, more = said("-w", "x", "--many", "a", "--many", "b", "--fast", "--no-slow", "--more")
    assert (given.text("word"), given.items("many"), more) == ("x", ("a", "b"), True)
    assert given.switch("fast")
    assert given.layer == {
        ("run", "word"): Setting("x", Origin("flag", "--word")),
        ("run", "fast"): Setting(True, Origin("flag", "--fast")),
        ("args", "SLOW"): Setting(False, Origin("flag", "--no-slow")),
    }


def test_an_opposite_is_understood_and_not_shown():
    given, _ = said("--no-fast")
    assert given.layer["run", "fast"] == Setting(False, Origin("flag", "--no-fast"))
    hidden = [
        one.name
        for option in OPTIONS
        for one in parameters.parameters(option)
        if one.annotation.__metadata__[0].hidden
    ]
    assert hidden == ["no_fast"]


def test_the_signature_is_what_is_declared():
    @with_options(OPTIONS)
    def command(invocation: Invocation, more: bool = False) -> None:
        """Do it."""

    assert command.__doc__ == "Do it."
    names = list(inspect.signature(command).parameters)
    assert names == ["word", "many", "fast", "no_fast", "slow", "form", "more"]


def test_a_flag_is_no_value_unless_it_is_meant():
    result = call("run", "--dry-run", "--name", "--rm")
    assert (result.code, result.err.splitlines()[0]) == (
        2, "error: --name has no value: '--rm' comes after it",
    )  # fmt: skip
    assert call("run", "--dry-run", "--entrypoint=--x").out.split()[-2] == "--x"


@pytest.mark.parametrize("item", ["x", "=x", ""])
def test_pairs_have_a_name(item):
    option = Option(name="arg", help="A.", kind="pairs", flags=("--arg",), path=("contexts",))
    with pytest.raises(RequestError, match="--arg takes NAME=VALUE"):
        parameters.invocation([option], {"arg": [item]})


def test_one_value_is_given_once():
    for words in (["-w", "x", "--word", "y"], ["-w", "x", "-w", "x"]):
        with pytest.raises(RequestError, match="--word is given more than once"):
            said(*words)
    with pytest.raises(RequestError, match="--fast and --no-fast exclude each other"):
        said("--fast", "--no-fast")
    assert said("--fast", "--fast")[0].switch("fast")


def test_an_option_that_may_be_several():
    several = Option(name="axis", help="A.", flags=("--axis",), several=True, path=("run", "axis"))
    found = parameters.invocation([several], {"axis": ["a", "b,c"]})
    assert found.layer == {("run", "axis"): Setting("a,b,c", Origin("flag", "--axis"))}
