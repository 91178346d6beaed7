"""Which licences a source may bring: a decision made before anything is downloaded."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["allow", "review", "deny"]
_CREATIVE_COMMONS = "https://creativecommons.org/"


class LicencePolicy(BaseModel):
    """Globs over licences as published, compared without case: ``deny`` before ``allow`` before ``review``.

    ``otherwise`` is for what matches none, ``unknown`` for an item whose source names no licence.
    """

    model_config = ConfigDict(extra="forbid")

    allow: list[str] = []
    review: list[str] = []
    deny: list[str] = []
    otherwise: Verdict = "allow"
    unknown: Verdict = "allow"

    def verdict(self, license: str | None) -> Verdict:
        """Say what to do with an item of this licence."""
        if not license:
            return self.unknown
        forms = {license.casefold(), normalised(license).casefold()}
        rules: list[tuple[list[str], Verdict]] = [
            (self.deny, "deny"), (self.allow, "allow"), (self.review, "review"),
        ]  # fmt: skip
        for globs, verdict in rules:
            if any(fnmatchcase(form, glob.casefold()) for form in forms for glob in globs):
                return verdict
        return self.otherwise


def normalised(license: str) -> str:
    """Return the SPDX-like name of the common ways to write a Creative Commons licence, anything else as it is.

    >>> normalised("Creative Commons Attribution license (reuse allowed)")
    'CC-BY'
    >>> normalised("https://creativecommons.org/licenses/by-nc-sa/4.0/")
    'CC-BY-NC-SA-4.0'
    """
    text = license.strip()
    lowered = text.lower().replace("http://", "https://").replace("https://www.", "https://")
    if lowered.startswith(_CREATIVE_COMMONS):
        parts = lowered.removeprefix(_CREATIVE_COMMONS).strip("/").split("/")
        if parts[0] == "publicdomain":
            return "CC0-1.0" if parts[1:2] == ["zero"] else "PDM-1.0"
        return "-".join(["CC", *parts[1:3]]).upper()
    if lowered.startswith("creative commons attribution"):
        return "CC-BY"
    return text
