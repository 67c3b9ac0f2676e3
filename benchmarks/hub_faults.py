"""How long a person waits for the Hub, what is said, and what stays on disk: well, offline, and with faults.

python -m benchmarks.hub_faults

The real client loads a checkpoint from a Hub on this machine, each time in a process of its own with an empty
cache, and with the pauses and time limits that it has everywhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.hub_server import Hub, hub_server
from mambaad_demo.errors import DemoError
from mambaad_demo.hub.checkpoints import load_checkpoint
from mambaad_demo.hub.layout import EMBEDDED_ROOT

REPO = "mira/parts"
REVISION = "0123456789abcdef0123456789abcdef01234567"

_ALL, _LIST, _HEAD, _BODY = "*", "GET /api/*", "HEAD *.safetensors", "GET *model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way in which a load can go."""

    name: str
    pattern: str | None = None
    """Requests that go wrong."""
    fault: Mapping[str, Any] = field(default_factory=dict)
    """How they go wrong, as for `Hub.fault`."""
    loads_before: int = 0
    offline: bool = False
    is_gone: bool = False
    """Nobody listens at the address of the Hub."""
    damaged: str | None = None
    """A file whose last letter arrives as another one."""
    damaged_there: bool = False
    """Whether the Hub itself holds it so."""


SCENARIOS = (
    Scenario(name="cold load"),
    Scenario(name="warm load", loads_before=1),
    Scenario(name="offline load from the cache", loads_before=1, offline=True),
    Scenario(name="offline load, empty cache", offline=True),
    Scenario(name="nobody listens", is_gone=True),
    Scenario(name="time-out: listing", pattern=_LIST, fault={"stalls": True}),
    Scenario(name="time-out: headers", pattern=_HEAD, fault={"stalls": True}),
    Scenario(name="time-out: body", pattern=_BODY, fault={"stalls": True}),
    Scenario(name="401: private", pattern=_ALL, fault={"status": 401, "code": "RepoNotFound"}),
    Scenario(name="401: bad token", pattern=_ALL, fault={"status": 401}),
    Scenario(name="403", pattern=_ALL, fault={"status": 403}),
    Scenario(name="404: repository", pattern=_ALL, fault={"status": 404, "code": "RepoNotFound"}),
    Scenario(name="404: revision", pattern=_ALL, fault={"status": 404, "code": "RevisionNotFound"}),
    Scenario(name="404: file", pattern=_BODY, fault={"status": 404, "code": "EntryNotFound"}),
    Scenario(name="429", pattern=_ALL, fault={"status": 429}),
    Scenario(name="429: in an hour", pattern=_ALL, fault={"status": 429, "headers": {"Retry-After": "3600"}}),
    Scenario(name="500", pattern=_ALL, fault={"status": 500}),
    Scenario(name="503", pattern=_ALL, fault={"status": 503}),
    Scenario(name="503 twice, then well", pattern=_LIST, fault={"status": 503, "times": 2}),
    Scenario(name="truncated body", pattern=_BODY, fault={"cut_at": 100_000}),
    Scenario(name="truncated body, once", pattern=_BODY, fault={"cut_at": 100_000, "times": 1}),
    Scenario(name="large file damaged on its way", damaged="model.safetensors"),
    Scenario(name="small file damaged on its way", damaged="calibration.json"),
    Scenario(name="wrong hash: another file there", damaged="model.safetensors", damaged_there=True),
    Scenario(name="changed revision", pattern="HEAD *", fault={"headers": {"X-Repo-Commit": "f" * 40}}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a load."""

    name: str
    seconds: float
    message: str
    left: tuple[str, ...]
    """Files in the cache, unfinished ones among them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all scenarios, or those whose names hold a word, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hub_faults", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--only", default="", metavar="WORD", help="scenarios whose names hold it")
    parser.add_argument("--load", metavar="REFERENCE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.load:
        print(json.dumps(_load(options.load)))
        return 0
    print("| what happens | seconds | what is said | files left |\n|---|---|---|---|")
    for scenario in SCENARIOS:
        if options.only in scenario.name:
            print(row(outcome_of(scenario, EMBEDDED_ROOT / "mambaad")), flush=True)
    return 0


def outcome_of(scenario: Scenario, folder: Path) -> Outcome:
    """Play one scenario with the checkpoint of a folder."""
    with hub_server() as hub, tempfile.TemporaryDirectory() as cache:
        _publish(hub, folder, scenario)
        endpoint = hub.endpoint
        for _ in range(scenario.loads_before):
            _in_a_process(endpoint, Path(cache), offline=False)
        if scenario.pattern is not None:
            hub.fault(scenario.pattern, **scenario.fault)
        if scenario.is_gone:
            with hub_server() as closed:
                endpoint = closed.endpoint
        result = _in_a_process(endpoint, Path(cache), offline=scenario.offline)
        return Outcome(name=scenario.name, left=_left(Path(cache)), **result)


def row(outcome: Outcome) -> str:
    """A line of the table."""
    left = ", ".join(outcome.left) or "none"
    return f"| {outcome.name} | {outcome.seconds:.1f} | {outcome.message} | {left} |"


def _publish(hub: Hub, folder: Path, scenario: Scenario) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    if scenario.damaged is not None:
        content = files[scenario.damaged]
        damaged = content[:-1] + bytes([content[-1] ^ 1])
        if scenario.damaged_there:
            files[scenario.damaged] = damaged
        else:
            hub.fault(f"GET *{scenario.damaged}", times=1, content=damaged)
    hub.add_repo(REPO, {REVISION: files})


def _in_a_process(endpoint: str, cache: Path, *, offline: bool) -> dict[str, Any]:
    """Load in a new process: seconds and what is said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-m", "benchmarks.hub_faults", "--load", f"{REPO}@{REVISION}"]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _load(reference: str) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        loaded = load_checkpoint(reference, device="cpu", allowed_repos=(REPO,))
        message = f"loaded, self-test off by {loaded.self_test.largest_difference:.1g}"
    except DemoError as error:
        message = f"{type(error).__name__}: {error}"
    return {"seconds": time.perf_counter() - started, "message": message}


def _left(cache: Path) -> tuple[str, ...]:
    files = [path for path in cache.rglob("*") if path.is_file()]
    names = [path.name for path in files if "snapshots" in path.parts]
    unfinished = sum(path.suffix == ".incomplete" for path in files)
    return (*sorted(names), *([f"{unfinished} unfinished"] if unfinished else []))


if __name__ == "__main__":
    sys.exit(main())
