"""The rows that the injection classifier may learn from, and those it is measured on.

Only rows that are wholly under MIT or Apache-2.0 are learned from: a note of another
licence further up, such as ODC-BY or CC-BY-SA, keeps a row out. Clusters of near
duplicates are never on both sides.
"""

import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared_data import SHARED

_PERMITTED = re.compile(r"(?:MIT|Apache-2\.0)\b")
_OTHER = re.compile(r"ODC|CC[ -]BY|GPL|research|terms", re.IGNORECASE)
FAMILIES = ("agentdojo", "bipia_email_train", "cyberseceval", "garak", "spikee")


@dataclass(frozen=True)
class Row:
    """One text."""

    text: str
    """The text."""
    attack: bool
    """Whether it is an injection."""
    source: str
    """Where it comes from."""
    licence: str
    """Under which licence."""
    cluster: str
    """Near duplicates share it."""

    @property
    def permitted(self) -> bool:
        """Whether it may be learned from."""
        return is_permitted(self.licence)

    @property
    def family(self) -> str:
        """The project that an attack was published by; else the source."""
        if not self.attack:
            return self.source
        found = (name for name in FAMILIES if self.source.startswith(name))
        return next(found, self.source)

    @property
    def for_training(self) -> bool:
        """Whether it is in the half to learn from, by its cluster."""
        return zlib.crc32(self.cluster.encode()) % 2 == 0


def is_permitted(licence: str) -> bool:
    """Whether a licence is MIT or Apache-2.0 and nothing else."""
    return bool(_PERMITTED.match(licence)) and not _OTHER.search(licence)


def injection_rows() -> list[Row]:
    """Return all rows of the injection set."""
    return [
        Row(
            row["text"],
            bool(row["label"]),
            row["source"],
            row["licence"],
            str(row["cluster"]),
        )
        for row in _read("guard/injection")
    ]


def harmless_rows() -> list[Row]:
    """Return harmless texts of other sets, from projects under MIT or Apache-2.0."""
    return [
        Row(text, attack=False, source=source, licence=licence, cluster=text)
        for source, licence, texts in _harmless()
        for text in texts
        if text.strip()
    ]


def _harmless() -> Iterator[tuple[str, str, list[str]]]:
    queries = [row["text"] for row in _read("routing/metatool/queries")]
    yield "metatool", "MIT", queries[:800]
    yield "bfcl", "Apache-2.0", [_asked(r) for r in _read("routing/bfcl/queries")]
    turns = [" ".join(r["user_turns"]) for r in _read("routing/api_bank/queries")]
    yield "api_bank", "Apache-2.0", turns
    yield "gsm", "MIT", [row["input"] for row in _read("refine/gsm")]
    talk = [row["context"] for row in _read("refine/fed_dialogue")]
    yield "fed_dialogue", "Apache-2.0", talk
    pairs = _read("cache/followup_dialogues")
    said = [row[key] for row in pairs for key in ("u0", "u1", "system_q0")]
    yield "meancache", "MIT", said
    synthetic = _read("guard/pii_presidio_synth")
    yield "presidio_research", "MIT", [row["text"] for row in synthetic][:400]


def _asked(row: dict[str, Any]) -> str:
    turns = (message for turn in row["question"] for message in turn)
    return " ".join(message["content"] for message in turns)


def _read(name: str) -> list[dict[str, Any]]:
    path = SHARED / "data" / f"{name}.jsonl.gz"
    if not path.exists():
        sys.exit(f"no data: set PRODPATTERNS_SHARED; there is no {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
