"""The model server and its clients: real processes, a real socket; stand-ins for models but in the last test."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.request import urlopen

import av
import numpy as np
import pytest
import standin_server as standin

from humannet_ops.commands.serving import DEVICE_LOST
from humannet_ops.detectors import device, install, wire
from humannet_ops.detectors.batches import Batches
from humannet_ops.detectors.factory import open_detectors
from humannet_ops.detectors.lock import ModelError
from humannet_ops.detectors.protocol import Frame
from humannet_ops.detectors.remote import RemoteDetectors, ServerDiedError
from humannet_ops.detectors.spread import Spread
from humannet_ops.diagnosis import examine
from humannet_ops.domain.outcome import DeviceLost
from humannet_ops.settings import Settings
from humannet_ops.stages import registry
from humannet_ops.stages.detect import ROLES

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "models.sock"


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Touch it, and batches wait on the device."""
    return tmp_path / "held"


@pytest.fixture
def start(path: Path, held: Path) -> Iterator[Start]:
    """A function that starts a server and returns its process when it listens."""
    started: list[subprocess.Popen[str]] = []

    def begin(gpus: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, standin.__file__, str(path), str(held), str(gpus)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def client(path: Path, patience_s: float = 20.0, sha256: str = "0" * 64) -> RemoteDetectors:
    return RemoteDetectors(standin.ROLES, standin.lock(sha256), str(path), patience_s)


def pictures(count: int, seed: int = 0, order: int = 0) -> list[Frame]:
    """Frames of several sizes, some of them not contiguous."""
    random = np.random.default_rng(seed)
    found = [random.integers(10, 255, (20 + number, 31, 3), dtype=np.uint8) for number in range(count)]
    found[0][0, 0, 0] = order
    return [frame[:, ::-1] if number % 2 else frame for number, frame in enumerate(found)]


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not appear"
        time.sleep(0.005)


def test_the_server_sees_what_the_models_see_bit_by_bit(start: Start, path: Path) -> None:
    start()
    remote = client(path)
    assert remote.releases == ("person_detector@1", "hand_detector@1")
    # the memory grows, is used again, and holds fewer frames than before
    for count in (3, 40, 40, 1):
        frames = pictures(count, seed=count)
        assert remote.detect(frames) == standin.expected(frames)
    assert remote.detect([]) == [[], []]


def test_only_its_own_user_may_reach_it_and_only_one_server_has_a_socket(start: Start, path: Path) -> None:
    first = start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    second = subprocess.run([sys.executable, standin.__file__, str(path), str(path)], capture_output=True, text=True)
    assert second.returncode
    assert "another model server listens at" in second.stderr
    first.kill()
    first.wait()
    # what it left behind is in nobody's way
    assert path.exists()
    start()
    frames = pictures(2)
    assert client(path).detect(frames) == standin.expected(frames)


def test_a_batch_that_a_killed_server_had_is_repeated_with_the_same_result(
    start: Start, path: Path, held: Path
) -> None:
    server, frames = start(), pictures(9)
    remote = client(path)
    held.touch()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(remote.detect, frames)
        wait_for(held.with_suffix(".busy_0"))
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert not asked.done()
        held.unlink()
        start()
        assert asked.result(30) == standin.expected(frames)


def test_two_clients_share_the_device_and_get_their_own_answers(start: Start, path: Path) -> None:
    start()
    batches = [[pictures(5, seed=100 * one + number) for number in range(20)] for one in range(2)]

    def work(mine: list[list[Frame]]) -> bool:
        remote = client(path)
        return all(remote.detect(frames) == standin.expected(frames) for frames in mine)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, batches)) == [True, True]


def test_every_gpu_of_the_machine_works_at_once(start: Start, path: Path, held: Path) -> None:
    start(gpus=2)
    held.touch()
    frames = [pictures(5, seed) for seed in range(4)]
    with ThreadPoolExecutor(len(frames)) as pool:
        asked = [pool.submit(client(path).detect, each) for each in frames]
        try:
            for gpu in range(2):
                wait_for(held.with_suffix(f".busy_{gpu}"))
        finally:
            held.unlink()
        assert [each.result(30) for each in asked] == [standin.expected(each) for each in frames]


def test_a_server_of_other_models_is_refused_and_its_releases_are_named(start: Start, path: Path) -> None:
    start()
    with pytest.raises(ModelError, match=r"other models or other code.*person_detector@1.*Restart it after"):
        client(path, sha256="1" * 64)


def test_a_server_that_comes_back_with_other_models_ends_the_task_and_blames_no_subject(
    start: Start, path: Path
) -> None:
    server = start()
    remote = client(path)
    remote._fingerprint = "that of an older lock"
    server.kill()
    server.wait()
    start()
    with pytest.raises(DeviceLost, match="other models or other code") as raised:
        remote.detect(pictures(2))
    assert not raised.value.counts


def test_no_server_for_longer_than_the_patience_is_a_lost_device(start: Start, path: Path) -> None:
    with pytest.raises(DeviceLost, match=r"no model server answers at .*start `humannet models serve`"):
        client(path, patience_s=0.3)
    server = start()
    remote = client(path, patience_s=0.3)
    server.kill()
    server.wait()
    with pytest.raises(DeviceLost, match="no model server answers") as raised:
        remote.detect(pictures(2))
    assert not raised.value.counts


def test_memory_that_is_full_halves_the_batch_and_loses_no_frame(start: Start, path: Path) -> None:
    start()
    frames = [picture for seed in range(7) for picture in pictures(1, seed=seed, order=standin.FULL)]
    assert client(path).detect(frames) == standin.expected(frames)


def test_a_cuda_error_ends_the_server_and_the_next_one_has_the_batch(start: Start, path: Path) -> None:
    server, remote = start(), client(path)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(remote.detect, pictures(2, order=standin.BROKEN))
        _, said = server.communicate(timeout=30)
        assert server.returncode == DEVICE_LOST
        assert said.strip().endswith(
            "person_detector@1: cuda:0 is lost (RuntimeError: CUDA error: an illegal memory access was encountered)"
        )
        # frames that break every server are not handed on for ever: then the attempt counts, as for any failure
        start().wait(30)
        last = start()
        with pytest.raises(ServerDiedError, match="died 3 times while it had these frames"):
            asked.result(30) if last.wait(30) and start() else None
    frames = pictures(2)
    assert remote.detect(frames) == standin.expected(frames)


def test_an_error_in_a_model_is_the_subjects_and_the_server_goes_on(start: Start, path: Path) -> None:
    start()
    remote = client(path)
    with pytest.raises(RuntimeError, match="the model server: KeyError: 'a bug'"):
        remote.detect(pictures(2, order=standin.BUG))
    frames = pictures(2)
    assert remote.detect(frames) == standin.expected(frames)


GARBAGE = (
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"HNM1\xff\xff\xff\xff",
    b"HNM1\x00\x00\x00\x02[]",
    b"HNM1\x00\x00\x00\x02{]",
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_answers_garbage_is_no_model_server(path: Path, garbage: bytes) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            link, _ = listener.accept()
            with link, suppress(ConnectionError):
                link.recv(1000)
                link.sendall(garbage)
                link.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeviceLost, match="is no model server"):
            client(path, patience_s=0)
        thread.join()


ANSWERS = (
    {},
    {"found": [[[], []]]},
    {"found": [[[]], [[]]]},
    {"found": [[[], []], [[], [["hand", 0.5, 0, 0, 1, "1", None]]]]},
    {"found": [[[], []], [[], [["hand", 0.5, 0, 0, 1, 1, "up"]]]]},
    {"found": [[[], 7], [[], []]]},
)


@pytest.mark.parametrize("answer", ANSWERS, ids=json.dumps)
def test_an_answer_that_does_not_fit_its_question_is_refused(answer: dict[str, object]) -> None:
    ours, theirs = socket.socketpair()
    remote = object.__new__(RemoteDetectors)
    remote._link, remote._roles, remote._memory, remote._path = ours, list(standin.ROLES), None, "here"
    with ours, theirs:
        wire.send(theirs, answer)
        with pytest.raises(DeviceLost, match="here is no model server"):
            remote.detect(pictures(2))


def hello(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(30)
    link.connect(str(path))
    wire.send(link, {"fingerprint": wire.fingerprint(standin.lock())})
    assert "fingerprint" in wire.receive(link)[0]
    return link


def unsealed(size: int) -> int:
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    return descriptor


def sealed(size: int) -> int:
    descriptor = unsealed(size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor


@pytest.mark.parametrize(
    ("request_", "descriptor"),
    [
        ({"roles": ["person_detector"], "shapes": [[2, 2]]}, None),
        ({"roles": ["person_detector"], "shapes": [[2, 2]]}, lambda: unsealed(12)),
        ({"roles": ["person_detector"], "shapes": [[2, 2]]}, lambda: os.open(__file__, os.O_RDONLY)),
        ({"roles": ["person_detector"], "shapes": [[2, 3]]}, lambda: sealed(12)),
        ({"roles": ["person_detector"], "shapes": [[-2, -2]]}, lambda: sealed(12)),
        ({"roles": ["person_detector"], "shapes": [[True, 2]]}, lambda: sealed(12)),
        ({"roles": ["person_detector"], "shapes": [[1, 1]] * 1025}, lambda: sealed(10000)),
        ({"roles": ["person_detector"], "shapes": "all"}, lambda: sealed(12)),
        ({"roles": ["person_detector"]}, lambda: sealed(12)),
        ({"roles": ["sentence"], "shapes": [[2, 2]]}, lambda: sealed(12)),
        ({"roles": [["person_detector"]], "shapes": [[2, 2]]}, lambda: sealed(12)),
        ({"shapes": [[2, 2]]}, lambda: sealed(12)),
    ],
)
def test_a_worker_that_asks_nonsense_is_cut_off_and_the_server_lives(
    start: Start, path: Path, request_: dict[str, object], descriptor: Callable[[], int] | None
) -> None:
    server = start()
    with hello(path) as link:
        file = descriptor() if descriptor else None
        wire.send(link, request_, file)
        if file is not None:
            os.close(file)
        with pytest.raises(ConnectionError):
            wire.receive(link)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.sendall(struct.pack("!4sI", b"HNM1", wire.MOST_BYTES + 1))
        assert link.recv(1) == b""
    frames = pictures(2)
    assert client(path).detect(frames) == standin.expected(frames)
    assert server.poll() is None


def test_a_killed_client_leaves_no_memory_behind(start: Start, path: Path) -> None:
    server = start()
    code = (
        "import os, signal, numpy as np, standin_server as s\n"
        "from humannet_ops.detectors.remote import RemoteDetectors\n"
        f"remote = RemoteDetectors(s.ROLES, s.lock(), {str(path)!r}, 5)\n"
        "remote.detect([np.full((1000, 1000, 3), 50, np.uint8)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(standin.__file__).parent)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -signal.SIGKILL

    def held() -> bool:
        return "humannet-frames" in Path(f"/proc/{server.pid}/maps").read_text()

    deadline = time.monotonic() + 10
    while held() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not held()


@pytest.mark.parametrize(
    ("error", "full", "lost"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True, False),
        (RuntimeError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: unspecified launch failure"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("No CUDA GPUs are available"), False, True),
        (RuntimeError("shapes do not fit"), False, False),
        (ValueError("CUDA error: of ours"), False, False),
    ],
)
def test_errors_of_a_gpu_are_told_apart(error: Exception, full: bool, lost: bool) -> None:
    assert (device.memory_is_full(error), device.is_lost(error)) == (full, lost)


def test_what_onnxruntime_says_of_a_gpu_is_understood() -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

    full = RuntimeException("Non-zero status code: Failed to allocate memory for requested buffer of size 1073741824")
    lost = Fail("CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=x")
    assert device.memory_is_full(full)
    assert not device.is_lost(full)
    assert device.is_lost(lost)


def test_batches_grow_again_when_the_memory_is_free_again() -> None:
    room = [2]

    def run(frames: list[Frame]) -> list[list[object]]:
        if len(frames) > room[0]:
            raise RuntimeError("CUDA out of memory")
        return [[] for _ in frames]

    batches = Batches("model@1", "cuda:0", 8, run)  # type: ignore[arg-type]
    frames = pictures(8)
    assert len(batches(frames)) == 8
    assert (batches.size, batches.halvings) == (2, 2)
    room[0] = 8
    for _ in range(200):
        batches(frames)
    assert batches.size == 8
    room[0] = 0
    with pytest.raises(MemoryError, match="model@1: one frame does not fit the memory of cuda:0"):
        batches(frames)


def test_frames_dealt_out_to_copies_come_back_in_their_order(held: Path) -> None:
    copies = [standin.Standin("person_detector", gpu, threading.Lock(), held) for gpu in range(3)]
    for count in (0, 1, 2, 7):
        frames = pictures(count) if count else []
        assert Spread(copies).detect(frames) == standin.expected(frames)[0]


@pytest.mark.worker
def test_a_cpu_answers_a_fresh_process_and_a_gpu_that_is_not_there_does_not() -> None:
    torch = pytest.importorskip("torch", reason="the worker extra is not installed (`make install-worker`)")
    assert device.answers("cpu")
    if not torch.cuda.is_available():
        assert not device.answers("cuda:0")


@pytest.fixture
def setting(forget_settings: Callable[[], None]) -> Iterator[Callable[[str, object], None]]:
    """A function that changes a setting for one test."""
    with pytest.MonkeyPatch.context() as environment:

        def change(name: str, value: object) -> None:
            environment.setenv(f"HUMANNET_{name.upper()}", str(value))
            forget_settings()

        yield change
    forget_settings()


def examined() -> tuple[bool, str]:
    """What `humannet doctor` says of the model server."""
    return next((check.passed, check.finding) for check in examine() if check.name == "model server")


def test_the_command_serves_the_installed_models(tmp_path: Path, setting: Callable[[str, object], None]) -> None:
    path, frames = tmp_path / "models.sock", [np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)] * 3
    here = open_detectors(ROLES, registry.models(), Settings())
    command = [str(Path(sys.executable).with_name("humannet")), "models", "serve", "--socket", str(path)]
    with subprocess.Popen([*command, "--metrics-port", "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            assert re.match(r"Serving .*auto: person_detector \S+@\S+, .* metrics at http", said), said
            setting("model_socket", path)
            assert examined() == (True, f"answers at {path}, with this installation's models and code")
            there = open_detectors(ROLES, registry.models(), Settings(model_socket=str(path)))
            assert there.releases == here.releases
            assert there.detect(frames) == here.detect(frames)
            with urlopen(said.split()[-1]) as page:
                metrics = page.read().decode()
        finally:
            server.terminate()
        assert server.wait(30) == 0
    assert re.search(r'humannet_model_batches_total\{lane="auto",model="[^"]+",role="person_detector"\} 1\.0', metrics)
    assert re.search(r'humannet_model_frames_total\{lane="hand_detector",model="[^"]+",role="\w+"\} 3\.0', metrics)
    assert 'humannet_model_queue_length{lane="auto"} 0.0' in metrics
    assert re.search(r'humannet_model_batch_size\{lane="auto",model="[^"]+",role="restricted_content"\} 8\.0', metrics)
    assert not path.exists()
    passed, finding = examined()
    assert not passed
    assert "start `humannet models serve`" in finding


@pytest.mark.worker
@pytest.mark.corpus
def test_ultralytics_weights_see_the_same_in_the_server(
    corpus: Path, tmp_path: Path, setting: Callable[[str, object], None]
) -> None:
    pytest.importorskip("ultralytics", reason="the worker extra is not installed (`make install-worker`)")
    setting("yolo_weights", corpus / "weights" / "yolo11n_int8_openvino_model")
    setting("models_dir", tmp_path / "models")
    lock = install.install(tmp_path / "models", "worker")
    with av.open(str(corpus / "exo/exo_asl_again.mkv")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 0, 60, 15)]
    here = open_detectors(ROLES[:1], lock, Settings()).detect(frames)
    assert all("person" in [found.label for found in frame] for frame in here[0])
    command = [str(Path(sys.executable).with_name("humannet")), "models", "serve", "--socket", str(tmp_path / "socket")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().find(": person_detector yolo@") > 0
            there = open_detectors(ROLES[:1], lock, Settings(model_socket=str(tmp_path / "socket"))).detect(frames)
        finally:
            server.terminate()
    assert there == here
