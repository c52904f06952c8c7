"""The main job, end to end, on this machine: keys, key service, seal, unlock, verify.

Every step is a command that a person would type, run as a subprocess. The images are made up, carry a
random version tag, and are gone afterwards. They go into the Docker Engine where one answers, else into an
OCI folder.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bed import processes
from bed.busybox import find_busybox
from bed.images import build_release
from bed.unavailable import Unavailable
from binary_split.config import API_SERVICES
from binary_split.engines import open_engine
from binary_split.errors import BinarySplitError, EngineError

PROGRAM = Path(sys.executable).with_name("binary-split")
RELEASE_BYTES = 48 << 20
KEY_SERVICE_START_S = 20.0
KEY_SERVICE_END_S = 20.0

Arguments = tuple[str | Path, ...]


class StepError(Exception):
    """A command did not do what it should."""


class Demo:
    """The cast: a vendor with a key service, a device, and a folder that is gone in the end."""

    def __init__(self, folder: Path, version: str, engine: str) -> None:
        self.folder = folder
        self.version = version
        self.engine = engine
        self._step = 0

    def say(self, text: str) -> None:
        """Print what happens next."""
        self._step += 1
        print(f"\n{self._step}. {text}", flush=True)

    def run(self, *arguments: str | Path) -> str:
        """Run binary-split, show the command and its time, and return its stdout."""
        shown = " ".join(str(argument).replace(f"{self.folder}/", "") for argument in arguments)
        print(f"   $ binary-split {shown if len(shown) < 150 else shown[:147] + '…'}", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            [PROGRAM, *arguments], capture_output=True, text=True, env=self._environment(), check=False
        )
        for line in done.stderr.splitlines():
            print(f"     {line.replace(f'{self.folder}/', '')}")
        print(f"     ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode:
            raise StepError(f"binary-split {arguments[0]} ended with exit code {done.returncode}")
        return done.stdout

    @contextmanager
    def key_service(self) -> Iterator[str]:
        """Run the key service on a free port of loopback; give its URL."""
        log = self.folder / "keyservice.log"
        print("   $ binary-split keyservice serve --port 0", flush=True)
        with log.open("wb") as file:
            service = subprocess.Popen(
                [PROGRAM, "keyservice", "serve", "--port", "0"], stderr=file, env=self._environment()
            )
        try:
            url = _wait_for_url(service, log)
            print(f"     listening on {url}")
            yield url
        finally:
            processes.end(service, timeout_s=KEY_SERVICE_END_S)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BINARY_SPLIT_")}
        return kept | {
            "BINARY_SPLIT_KEYSERVICE_STATE": str(self.folder / "keyservice"),
            "BINARY_SPLIT_ENGINE": self.engine,
            "BINARY_SPLIT_STATE": str(self.folder / "journal"),
        }


def main() -> int:
    """Run the demo; 0 where every step did what it should."""
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="binary-split-demo-")))
        engine = _choose_engine(folder)
        demo = Demo(folder, f"0.0.0-demo.{secrets.token_hex(4)}", engine)
        if engine == "docker":
            stack.callback(_remove_images, demo.version)
        try:
            _play(demo)
        except (StepError, BinarySplitError, OSError) as error:
            print(f"\nfailed: {error}", file=sys.stderr)
            return 1
    print(f"\nEvery step did what it should, in {time.monotonic() - started:.0f} s. Nothing was left behind.")
    return 0


def _play(demo: Demo) -> None:
    release, program = _make_release(demo)
    demo.say("The vendor makes the key that signs its releases; devices get the public half.")
    publisher = demo.folder / "publisher"
    demo.run("keygen", "--out", publisher)

    demo.say("The vendor sets up a key service, with one fragment and a token for one device.")
    demo.run("keyservice", "init")
    demo.run("key", "create", "demo", "--out", demo.folder / "fragment")
    demo.run("token", "issue", "--key", "demo", "--expires", "1h", "--out", demo.folder / "token")

    demo.say("The vendor seals and signs the release: one file that may travel in the open.")
    archive = demo.folder / "release.age"
    origin: Arguments = ("--version", demo.version, "--from", f"docker-archive:{release}")
    people: Arguments = ("--key-id", "demo", "--fragment-file", demo.folder / "fragment")
    sealing: Arguments = ("seal", *origin, *people, "--sign", publisher)
    sealed = json.loads(demo.run(*sealing, "-o", archive, "--json"))
    release.unlink()
    pins = [part for image in sealed["images"] for part in ("--image-id", f"{image['ref']}={image['id']}")]

    demo.say("Whoever carries it sees what it is, and not what it holds.")
    print(demo.run("inspect", archive), end="")

    demo.say("The device fetches the fragment and unlocks: only what the vendor signed is loaded.")
    with demo.key_service() as url:
        credentials: Arguments = ("--key-service", url, "--token-file", demo.folder / "token")
        trust: Arguments = ("--trusted-key", demo.folder / "publisher.pub")
        unlocking: Arguments = ("unlock", archive, "--version", demo.version, *credentials, *trust)
        demo.run(*unlocking)
        demo.say("Once more: every image is there, so nothing is loaded.")
        demo.run(*unlocking)

    demo.say("The proof: every image is there, by digest.")
    print(demo.run("check", "--version", demo.version, *pins), end="")
    if demo.engine == "docker" and program:
        _run_one(demo)


def _make_release(demo: Demo) -> tuple[Path, bytes | None]:
    """Make the images, runnable ones where a static busybox can be had."""
    try:
        program: bytes | None = find_busybox()
    except Unavailable:
        program = None
    path = demo.folder / "release.tar"
    demo.say(f"A release: seven images that share layers, version {demo.version}.")
    build_release(path, demo.version, program=program, filler_bytes=RELEASE_BYTES)
    print(f"     {len(API_SERVICES)} images, {path.stat().st_size / 2**20:.0f} MiB")
    return path, program


def _choose_engine(folder: Path) -> str:
    try:
        print(f"Unlocking into {open_engine('docker').describe()}.")
    except EngineError as error:
        print(f"No Docker Engine answers here ({error}).")
        print(
            "Unlocking into an OCI layout folder instead: it holds the images in plaintext, and is deleted."
        )
        return f"oci:{folder / 'images'}"
    return "docker"


def _run_one(demo: Demo) -> None:
    import docker

    ref = f"azaion/flights:{demo.version}"
    demo.say(f"And it runs: {ref} in a container without network.")
    client = docker.from_env()
    try:
        output = client.containers.run(ref, remove=True, network_mode="none")
    except docker.errors.DockerException as error:
        raise StepError(f"the container did not run: {error}") from error
    finally:
        client.close()
    print(f"     it says: {output.decode().strip()}")


def _remove_images(version: str) -> None:
    import docker

    client = docker.from_env()
    for name in API_SERVICES:
        try:
            client.images.remove(f"{name}:{version}")
        except docker.errors.ImageNotFound:
            continue
        except docker.errors.DockerException as error:
            print(f"could not remove {name}:{version}: {error}", file=sys.stderr)
    client.close()


def _wait_for_url(service: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + KEY_SERVICE_START_S
    marker = "listening on "
    while time.monotonic() < until and service.poll() is None:
        text = log.read_text()
        if marker in text and text.endswith("\n"):
            return text.partition(marker)[2].split()[0]
        time.sleep(0.05)
    raise StepError(f"the key service did not start: {log.read_text().strip()}")


if __name__ == "__main__":
    sys.exit(main())
