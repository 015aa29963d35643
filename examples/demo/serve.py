#!/usr/bin/env python3
"""Serve a tiny model with Dynamo on one machine, without a GPU and without a network.

Starts NATS, etcd, a mock engine and the HTTP frontend, all on loopback. ``serve`` keeps them until
it is told to stop; ``ask`` sends one request, prints the answer and ends. It needs what a Dynamo
runtime image has: the Python packages ai-dynamo and ai-dynamo-runtime, and nats-server (2.10 or
newer) and etcd on PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0
LOG_LINES = 20
PR_SET_PDEATHSIG = 1

# Dynamo 0.9.0 lists the mocker's model some 0.2 s before its engine can take a request; a request
# in between is lost, and a mocker that is to stop waits for it. The log says when that has passed.
ENGINE_STARTED = "Metrics background tasks started"
ENGINE_SECONDS = 5.0

# A tokenizer trained on a few sentences has some hundred entries. The mock engine draws its answers
# from the ids 1000 to 1999, so these are pairs of words: without them an answer has no text.
TRAINED = 400
VOCABULARY = 2000
CORPUS = (
    "a small model answers a question with words that it made up",
    "the frontend takes a request, turns the text into tokens and looks for a worker",
    "the router knows which worker has seen the beginning of the text before",
    "the worker keeps keys and values in blocks, and sends tokens back one after another",
    "nothing here needs a card, a driver or a network: every port is on the loopback interface",
    "an image that serves from its own packages is an image that works",
    "workers come and go; the store remembers them for as long as their lease is renewed",
    "question and answer, request and response, prompt and completion, text and tokens",
)
BEGIN, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class DemoError(Exception):
    """Something that the demo cannot go on from."""


class Stopped(Exception):
    """A signal asked the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def note(message: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"demo: {message}", file=sys.stderr, flush=True)


# --- the model folder


def write_model(folder: Path) -> None:
    """Make a model folder that is complete but for weights, which a mock engine does not read.

    Args:
        folder: Where to; made if it is not there.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TRAINED,
        special_tokens=[PAD, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)

    pad, begin, end = (tokenizer.token_to_id(token) for token in (PAD, BEGIN, END))
    complete = json.loads(tokenizer.to_str())
    vocabulary = complete["model"]["vocab"]
    words = sorted({word.strip(",;:") for sentence in CORPUS for word in sentence.split()})
    pairs = [f"Ġ{one}Ġ{other}" for one, other in itertools.permutations(words, 2)]
    missing = range(len(vocabulary), VOCABULARY)
    vocabulary.update(zip(random.Random(0).sample(pairs, len(missing)), missing, strict=True))

    files: dict[str, dict[str, Any]] = {
        "tokenizer.json": complete,
        "config.json": {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "bos_token_id": begin,
            "eos_token_id": end,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 2048,
            "bos_token": BEGIN,
            "eos_token": END,
            "pad_token": PAD,
            "chat_template": CHAT_TEMPLATE,
        },
        "generation_config.json": {
            "bos_token_id": begin,
            "eos_token_id": [end],
            "pad_token_id": pad,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


# --- HTTP


def fetch(url: str, body: dict[str, Any] | None = None, seconds: float = 5.0) -> dict[str, Any]:
    """Send a GET, or a POST with a JSON body, and return the JSON object that comes back.

    Raises:
        OSError: Nobody answers, or the answer is an HTTP error.
        ValueError: The answer is not JSON.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    # A proxy from the environment has no business between two programs on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


# --- ports and programs


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Replace every 0 by a port that is free on loopback now."""
    with contextlib.ExitStack() as held:
        ports = []
        for port in wanted:
            if port == 0:
                # All are held until the last is found, so that no two are the same.
                listener = held.enter_context(socket.socket())
                listener.bind((LOOPBACK, 0))
                port = listener.getsockname()[1]  # noqa: PLW2901 - the point of the loop
            ports.append(port)
        return ports


def in_use(port: int) -> bool:
    """Whether something answers on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((LOOPBACK, port)) == 0


def find_program(name: str) -> str:
    """Path of a program.

    Raises:
        DemoError: It is not on PATH.
    """
    if path := shutil.which(name):
        return path
    raise DemoError(f"{name} is not on PATH; this demo runs inside a Dynamo runtime image")


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A started program."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])


@dataclass
class Children:
    """The programs of the demo, from first to last, and the folders they work in."""

    state: Path
    logs: Path
    running: list[Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], env: dict[str, str]) -> None:
        """Start a program with its output in a log file of its own."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=self.state,
                # Ctrl-C reaches only this script, which then stops them in order.
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - there is one thread
            )
        self.running.append(Child(name, process, log))

    def check(self) -> None:
        """Fail when a program has ended.

        Raises:
            DemoError: With the end of its log.
        """
        for child in self.running:
            if (code := child.process.poll()) is not None:
                raise DemoError(f"{child.name} ended with {code}; its last lines:\n{child.tail()}")

    def wait_for(self, name: str, ready: Callable[[], bool], deadline: float) -> None:
        """Poll until a program is ready.

        Raises:
            DemoError: A program ended, or the time is up.
        """
        while True:
            self.check()
            with contextlib.suppress(OSError, ValueError):
                if ready():
                    return
            if time.monotonic() > deadline:
                child = next(child for child in self.running if child.name == name)
                raise DemoError(f"{name} is not ready in time; its last lines:\n{child.tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all programs, the last one first, and leave none behind."""
        for child in reversed(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGTERM)
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                note(f"{child.name} does not stop; killing it")
            # Also when it has ended: it may have left children of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self.running.clear()


# --- the stack


def nats_is_ready(port: int) -> bool:
    """Whether the server greets."""
    with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
        return connection.recv(5) == b"INFO "


def etcd_is_ready(port: int) -> bool:
    """Whether the server has elected itself."""
    return str(fetch(f"http://{LOOPBACK}:{port}/health").get("health")) == "true"


@dataclass(frozen=True)
class Endpoint:
    """Where the frontend answers, and for which model."""

    url: str
    model: str
    models: dict[str, Any]


def start_stack(options: argparse.Namespace, children: Children) -> Endpoint:
    """Start everything and wait until the frontend knows the model.

    Raises:
        DemoError: A program is missing, ends, or does not become ready.
    """
    deadline = time.monotonic() + options.timeout
    programs = {name: find_program(name) for name in ("nats-server", "etcd")}
    given = [options.http_port, options.nats_port, options.etcd_port, options.etcd_peer_port]
    for port in filter(None, given):
        if in_use(port):
            raise DemoError(f"port {port} is taken; choose another, or 0 for a free one")
    http, nats, etcd, peer = free_ports(given)

    state = children.state
    try:
        write_model(state / options.model_name)
    except ImportError as error:
        raise DemoError(f"{error}; this demo runs inside a Dynamo runtime image") from error

    temporary = state / "tmp"  # the mocker leaves files in it
    temporary.mkdir(exist_ok=True)
    env = os.environ | {
        "TMPDIR": str(temporary),
        "NATS_SERVER": f"nats://{LOOPBACK}:{nats}",
        "ETCD_ENDPOINTS": f"http://{LOOPBACK}:{etcd}",
        "DYN_TCP_RPC_HOST": LOOPBACK,
        "DYN_HTTP_RPC_HOST": LOOPBACK,
        "DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS": "1",
        "DYN_LOG": "info",  # with less, ENGINE_STARTED is not written
        "DYN_SDK_DISABLE_ANSI_LOGGING": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    children.start(
        "nats",
        [
            *(programs["nats-server"], "-a", LOOPBACK, "-p", str(nats)),
            *("-js", "-sd", str(state / "nats")),
        ],
        env,
    )
    client, peers = f"http://{LOOPBACK}:{etcd}", f"http://{LOOPBACK}:{peer}"
    children.start(
        "etcd",
        [
            *(programs["etcd"], "--data-dir", str(state / "etcd")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"default={peers}"),
        ],
        env,
    )
    children.wait_for("nats", lambda: nats_is_ready(nats), deadline)
    children.wait_for("etcd", lambda: etcd_is_ready(etcd), deadline)
    note(f"nats on {nats}, etcd on {etcd}")

    python = sys.executable
    # The path becomes the name under which the model is served, and the frontend opens the folder
    # by that name; a --model-name it would look up on a model hub. A relative path is a plain name.
    path = ("--model-path", options.model_name)
    children.start("mocker", [python, "-m", "dynamo.mocker", *path], env)
    address = ("--http-host", options.http_host, "--http-port", str(http))
    children.start("frontend", [python, "-m", "dynamo.frontend", *address], env)

    host = LOOPBACK if options.http_host == "0.0.0.0" else options.http_host
    url = f"http://{host}:{http}"
    models: dict[str, Any] = {}

    def model_is_served() -> bool:
        models.update(fetch(f"{url}/v1/models"))
        return bool(models.get("data"))

    children.wait_for("frontend", model_is_served, deadline)

    # Another release may say it in other words, which is no reason not to serve.
    enough = time.monotonic() + ENGINE_SECONDS
    log = children.logs / "mocker.log"

    def engine_is_started() -> bool:
        return ENGINE_STARTED in log.read_text(errors="replace") or time.monotonic() > enough

    children.wait_for("mocker", engine_is_started, deadline)
    return Endpoint(url, models["data"][0]["id"], models)


# --- what the two commands do


def ucx_version() -> str:
    """What ``ucx_info -v`` prints, or why there is none."""
    prefix = Path(os.environ.get("UCX_HOME", "/usr/local/ucx"))
    program = shutil.which("ucx_info") or shutil.which("ucx_info", path=prefix / "bin")
    if program is None:
        return "(ucx_info is not installed)"
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=30)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def ask(endpoint: Endpoint, options: argparse.Namespace) -> dict[str, Any]:
    """Send one chat request and return the answer as it came."""
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": options.prompt}],
        "max_tokens": options.max_tokens,
    }
    try:
        return fetch(f"{endpoint.url}/v1/chat/completions", body, options.timeout)
    except urllib.error.HTTPError as error:
        raise DemoError(f"the frontend refused: {error} {error.read().decode()}") from error
    except (OSError, ValueError) as error:
        raise DemoError(f"no answer from the frontend: {error}") from error


def show(title: str, text: str) -> None:
    """Print one part of the result."""
    print(f"== {title}\n{text}\n")


def report_answer(endpoint: Endpoint, options: argparse.Namespace, begin: float) -> None:
    """Ask, and print everything there is to see."""
    ready = time.monotonic() - begin
    answer = ask(endpoint, options)
    seconds = {"ready": round(ready, 2), "answer": round(time.monotonic() - begin, 2)}
    text = answer["choices"][0]["message"].get("content") or ""
    if not text.strip():
        raise DemoError(f"the answer has no text: {json.dumps(answer)}")
    ucx = ucx_version()
    if options.format == "json":
        result = {"ucx": ucx, "models": endpoint.models, "completion": answer, "seconds": seconds}
        print(json.dumps(result, indent=2))
        return
    show("ucx_info -v", ucx)
    show("GET /v1/models", json.dumps(endpoint.models, indent=2))
    show("POST /v1/chat/completions", json.dumps(answer, indent=2))
    show("question", options.prompt)
    show("answer", text)
    print(f"ready after {seconds['ready']} s, answered after {seconds['answer']} s")


def run(options: argparse.Namespace, state: Path) -> None:
    """Do what the command line asks for; whatever happens, no program stays behind."""
    begin = time.monotonic()
    logs = (options.logs or state / "logs").absolute()
    logs.mkdir(parents=True, exist_ok=True)
    children = Children(state, logs)
    try:
        endpoint = start_stack(options, children)
        note(f"serving {endpoint.model} at {endpoint.url} after {time.monotonic() - begin:.1f} s")
        if options.command == "ask":
            report_answer(endpoint, options, begin)
            return
        print(endpoint.url, flush=True)
        while True:
            children.check()
            time.sleep(1)
    finally:
        # A second signal must not leave half of them running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        children.stop()


def stop(number: int, _frame: object) -> NoReturn:
    """Signal handler."""
    raise Stopped(number)


@contextlib.contextmanager
def state_folder(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, which stays, or a temporary one, which stays only after a failure."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="dynamo-demo-"))
    try:
        yield folder
    except DemoError:
        if any(folder.glob("logs/*.log")):
            note(f"the logs stay in {folder / 'logs'}")
        else:
            shutil.rmtree(folder)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("command", choices=("serve", "ask"), help="keep serving, or ask once")
    for name, port in (("http", 8000), ("nats", 4222), ("etcd", 2379), ("etcd-peer", 2380)):
        text = f"port of {name}; 0 picks a free one (default {port})"
        parser.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help=text)
    parser.add_argument(
        "--http-host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help=f"address of the frontend (default {LOOPBACK}); 0.0.0.0 for a published port",
    )
    parser.add_argument("--model-name", default="tiny-demo", help="name of the model folder")
    parser.add_argument("--prompt", default="What does a small model answer?")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to become ready")
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder for model and data")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="folder for logs (default: state)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the demo.

    Returns:
        0 when done or told to stop while serving, 1 after a failure, 128 and the signal's number
        when a question was interrupted.
    """
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with state_folder(options.state) as state:
            run(options, state)
    except DemoError as error:
        note(str(error))
        return 1
    except Stopped as stopped:
        note(f"stopped by {stopped}")
        return 0 if options.command == "serve" else 128 + stopped.number
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
