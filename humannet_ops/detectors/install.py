"""Installing models: each role is resolved once, and the choice and its reason are written down."""

from __future__ import annotations

from pathlib import Path

from humannet_ops.detectors.candidates import PROFILES, Candidate, circumstances, read_pins
from humannet_ops.detectors.lock import (
    FILE_NAME,
    ModelError,
    ModelFile,
    ModelLock,
    digest,
    load_lock,
    write_lock,
)
from humannet_ops.detectors.obtaining import obtain
from humannet_ops.settings import Settings, settings


def install(models_dir: Path, profile: str | None = None, config: Settings | None = None) -> ModelLock:
    """Fill every role, unless the lock that is there already fits.

    Args:
        models_dir: Where fetched models and the lock are kept.
        profile: ``default`` or ``worker``. ``None`` keeps the profile of the lock, or takes ``default``.
        config: Settings that candidates depend on.

    Raises:
        ModelError: a role cannot be filled, or a file is not the pinned one.
    """
    from filelock import FileLock

    config = config or settings()
    if profile is not None and profile not in PROFILES:
        raise ModelError(f"There is no profile {profile!r}; there are {' and '.join(PROFILES)}.")
    models_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(models_dir / f".{FILE_NAME}.lock"):
        old = _present(models_dir)
        profile = profile or (old.profile if old else PROFILES[0])
        resolved_from = circumstances(config)
        if old and old.profile == profile and old.resolved_from == resolved_from and _intact(old):
            return old
        chosen = {
            role: _fill(role, candidates, profile, models_dir, config) for role, candidates in _by_role(config).items()
        }
        write_lock(models_dir, profile, resolved_from, chosen)
    lock = load_lock(models_dir)
    _print(lock, models_dir)
    return lock


def _present(models_dir: Path) -> ModelLock | None:
    try:
        return load_lock(models_dir)
    except ModelError:
        return None


def _intact(lock: ModelLock) -> bool:
    try:
        for model in lock.models.values():
            model.verify()
    except ModelError:
        return False
    return True


def _by_role(config: Settings) -> dict[str, list[Candidate]]:
    roles: dict[str, list[Candidate]] = {}
    for candidate in read_pins(config):
        roles.setdefault(candidate.role, []).append(candidate)
    return roles


def _fill(
    role: str, candidates: list[Candidate], profile: str, models_dir: Path, config: Settings
) -> tuple[dict[str, str], tuple[ModelFile, ...]]:
    """Take the first candidate that can be had.

    A candidate that the user named must be had: another in its place would be a surprise.
    """
    passed: dict[str, list[str]] = {}
    for candidate in candidates:
        refusal = candidate.refusal(profile, config)
        if refusal is None:
            try:
                revision, files = obtain(candidate, models_dir, config)
            except ModelError as error:
                if candidate.setting or candidate.own or candidate is candidates[-1]:
                    raise
                refusal = str(error)
            else:
                reason = "; ".join([candidate.reason, *_passed_over(passed)])
                return _fields(candidate, revision, files, models_dir, reason), files
        passed.setdefault(refusal, []).append(candidate.name)
    raise ModelError(f"No model can fill the role {role}: {'; '.join(_passed_over(passed))}. Run `make install`.")


def _passed_over(refusals: dict[str, list[str]]) -> list[str]:
    return [f"not {', '.join(names)}: {refusal}" for refusal, names in refusals.items()]


def _fields(
    candidate: Candidate, revision: str, files: tuple[ModelFile, ...], models_dir: Path, reason: str
) -> dict[str, str]:
    return {
        "name": candidate.name,
        "backend": candidate.backend,
        "revision": revision,
        "sha256": digest(file.path(models_dir) for file in files),
        "licence": candidate.licence,
        "origin": candidate.origin + (f" ({Path(files[0].name).name})" if candidate.setting else ""),
        "reason": reason,
        "entry": candidate.entry,
    }


def _print(lock: ModelLock, models_dir: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Models, profile {lock.profile}, in {models_dir}")
    for role, model in lock.items():
        console.print(
            f"  {role:<22}[bold]{model.release}[/]\n{'':24}why: {model.reason}\n{'':24}licence: {model.licence}"
        )
