"""Every setting, from the environment (``HUMANNET_*``). One place says what can be set, with its unit and default."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent


def _prices(written: object) -> object:
    """Read ``cpu=0.04,gpu=2.1``."""
    if not isinstance(written, str):
        return written
    try:
        return {name.strip(): price for name, price in (part.split("=") for part in written.split(",") if part.strip())}
    except ValueError:
        raise ValueError("write queue=price, as in cpu=0.04,gpu=2.1") from None


class Settings(BaseSettings):
    """Where things are and how much may be done at once."""

    model_config = SettingsConfigDict(env_prefix="HUMANNET_", extra="ignore")

    home: Path = Field(REPOSITORY / ".humannet", description="All state of the embedded default lives below it.")
    catalog_url: str = Field("", description="SQLAlchemy URL of the catalog. Empty: the embedded Postgres.")
    catalog_reader_url: str = Field(
        "", description="The same catalog as a role that may only read, for `humannet sql`. Empty: the embedded one's."
    )
    store_url: str = Field("", description="Object store: a folder, or s3://bucket/prefix. Empty: HOME/store.")
    s3_endpoint_url: str | None = Field(None, description="S3 endpoint, for stores that are not AWS.")
    sources_dir: Path = Field(REPOSITORY / "dags" / "sources", description="One YAML file a source.")
    policy_file: Path = Field(
        REPOSITORY / "humannet_ops" / "domain" / "policy.yaml", description="Thresholds of the decide stage."
    )
    models_dir: Path | None = Field(None, description="Installed models and their lock. Empty: HOME/models.")
    models_file: Path | None = Field(
        None, description="More candidates in the form of detectors/models.toml; they go before those."
    )
    yolo_weights: Path | None = Field(
        None, description="Weights for the person detector: a file, or an exported folder (worker extra)."
    )
    robot: str = Field(
        "cmu_humanoid", description="The humanoid that motion is retargeted to: cmu_humanoid, or unitree_g1."
    )
    shot_detector: str = Field("pyscenedetect", description="pyscenedetect, or transnetv2 (worker extra).")
    shard_seconds: float = Field(1800.0, gt=0, description="Video seconds of work that one Airflow task gets.")
    max_attempts: int = Field(3, ge=1, description="How often one subject may be tried at one stage version.")
    patience_s: float = Field(
        120.0, ge=0, description="How long a task waits for a host or a budget before it leaves the rest to another."
    )
    subject_timeout_s: float = Field(3600.0, gt=0, description="Wall seconds one subject may take.")
    max_pixels: int = Field(8192 * 8192, gt=0, description="Pixels a frame may have before a video is too_large.")
    threads: int = Field(2, ge=1, description="Decode and inference threads of one task.")
    codecs: Literal["software", "hardware"] = Field(
        "software",
        description="hardware: analyse and cut decode and encode on a GPU (NVDEC, NVENC) where their worker has one. A "
        "clip's bytes then depend on the device; x264's do not.",
    )
    redact: Literal["off", "faces", "faces_and_text"] = Field(
        "off", description="What redact hides in a second file of each clip: off, faces, or faces_and_text."
    )
    llm_url: str = Field("", description="An OpenAI-compatible endpoint, like http://host:8000/v1. Empty: none.")
    llm_model: str = Field("", description="The model that the endpoint is asked for.")
    llm_key: SecretStr = Field(SecretStr(""), description="The endpoint's key, where it wants one.")
    vision_url: str = Field(
        "",
        description="An OpenAI-compatible endpoint that is shown pictures of clips, like http://host:8000/v1. "
        "Empty: none, and no picture leaves this machine.",
    )
    vision_model: str = Field("", description="The model that the vision endpoint is asked for.")
    vision_revision: str = Field("", description="Its revision, for the lineage: another one makes its work due again.")
    vision_key: SecretStr = Field(SecretStr(""), description="The vision endpoint's key, where it wants one.")
    vision_at_once: int = Field(
        8, ge=1, description="Questions that one task has open at once at the endpoint, which computes them as a batch."
    )
    vision_timeout_s: float = Field(120.0, gt=0, description="How long an answer of the vision endpoint may take.")
    vision_price_in: float = Field(0.0, ge=0, description="What a million tokens of questions cost, in any currency.")
    vision_price_out: float = Field(0.0, ge=0, description="What a million tokens of answers cost.")
    device: str = Field(
        "auto", description="auto, cpu, cuda or cuda:N. The model server takes every GPU for auto and cuda."
    )
    batch: int = Field(
        32, ge=1, le=1024, description="Frames that detect hands over at once; models halve it where memory is short."
    )
    model_socket: str = Field(
        "", description="The Unix socket of `humannet models serve`. Empty: each task loads its models itself."
    )
    worker_prices: Annotated[dict[str, float], NoDecode, BeforeValidator(_prices)] = Field(
        {},
        description="What an hour of one slot of each queue's worker costs, in any currency: cpu=0.04,gpu=2.1. "
        "A queue that is not named costs nothing that is known.",
    )
    crawl_deadline_h: float = Field(24.0, gt=0, le=720, description="Hours after which a crawl's run is too late.")
    days_at_once: int = Field(
        4, ge=1, description="Crawl days that each of analyse, curate and annotate works on at once."
    )
    leg_deadline_h: float = Field(
        24.0, gt=0, le=720, description="Hours after which a run of analyse, curate or annotate is too late."
    )

    @property
    def store(self) -> str:
        """The object store's address, resolved."""
        return self.store_url or str(self.home / "store")

    @property
    def models(self) -> Path:
        """The folder of installed models."""
        return self.models_dir or self.home / "models"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()  # type: ignore[call-arg]
