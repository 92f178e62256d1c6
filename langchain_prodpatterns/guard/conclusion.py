"""What follows from a record: let through or block, and what to report. All pure."""

from collections import Counter
from dataclasses import asdict
from typing import Any, Literal

from langchain_prodpatterns.errors import GuardBlocked
from langchain_prodpatterns.guard.classifier import Suspicion
from langchain_prodpatterns.guard.injection import InjectionVerdict
from langchain_prodpatterns.guard.policy import Action
from langchain_prodpatterns.guard.scanning import Record
from langchain_prodpatterns.judging import Judgement

OnError = Literal["block", "flag"]
"""What happens where a detector or the judge fails."""


def objection(record: Record, on_error: OnError, direction: str) -> GuardBlocked | None:
    """Say what of the patterns' findings blocks a text.

    Args:
        record: What was found.
        on_error: The fail policy.
        direction: What is guarded: `input`, `output` or `document`.

    Returns:
        The error to raise, if any.
    """
    blocking = record.of("block")
    if blocking:
        return GuardBlocked(
            blocking[0].type,
            direction=direction,
            reason=f"the policy blocks {record.counts('block')}",
            offsets=[(finding.start, finding.end) for finding in blocking],
            digests=[finding.digest for finding in blocking],
        )
    if record.failures and on_error == "block":
        reason = f"failed: {', '.join(record.failures)}"
        return GuardBlocked("error", direction=direction, reason=reason)
    return None


def plain_attack(suspicion: Suspicion | None, direction: str) -> GuardBlocked | None:
    """Say whether the classifier blocks a text.

    Args:
        suspicion: What it takes for an attack, if anything.
        direction: What is guarded.

    Returns:
        The error to raise, if any.
    """
    if suspicion is None:
        return None
    return GuardBlocked(
        "injection",
        direction=direction,
        reason=f"the classifier takes it for an injection ({suspicion.score:.3f} of 1)",
        offsets=[(suspicion.start, suspicion.end)],
    )


def weigh(
    judgement: Judgement[InjectionVerdict],
    record: Record,
    action: Action,
    on_error: OnError,
    direction: str,
) -> GuardBlocked | None:
    """Put a judgement down, and say whether it blocks the text.

    Nothing of the verdict's words is kept: they may repeat the text.

    Args:
        judgement: The verdict or the failure.
        record: Where it is put down.
        action: What the policy does with injections.
        on_error: The fail policy.
        direction: What is guarded.

    Returns:
        The error to raise, if any.
    """
    if judgement.failure is not None:
        record.failures.append(f"judge ({judgement.failure.kind})")
        return objection(record, on_error, direction)
    if judgement.yes:
        record.injections += 1
        if action == "block":
            reason = "the judge takes the text for an injection"
            return GuardBlocked("injection", direction=direction, reason=reason)
    return None


def conclude(record: Record, blocked: GuardBlocked | None) -> tuple[str, str]:
    """Name the decision and give the reason, in types and counts.

    Args:
        record: What was seen.
        blocked: The error that is raised, if any.

    Returns:
        `error`, `blocked`, `redacted`, `flagged` or `clean`, and the reason.
    """
    parts = [
        f"{verb} {counts}"
        for verb, counts in (
            ("blocked", record.counts("block")),
            ("redacted", record.counts("redact", "mask")),
            ("hashed", record.counts("hash")),
            ("pseudonymized", record.counts("pseudonymize")),
            ("flagged", record.counts("flag")),
            ("injections", str(record.injections or "")),
            ("in doubt", str(record.gray or "")),
            ("dropped", _dropped(record)),
            ("failed:", ", ".join(record.failures)),
        )
        if counts
    ]
    return _name(record, blocked), "; ".join(parts) or "nothing found"


def facts(record: Record, blocked: GuardBlocked | None = None) -> dict[str, Any]:
    """Return what else to tell: every finding, without its value, and what blocked.

    Args:
        record: What was seen.
        blocked: The error that is raised, if any.
    """
    found: dict[str, Any] = {}
    if record.findings:
        found["findings"] = [asdict(finding) for finding in record.findings]
    rules = Counter(finding.type for finding in record.of("block"))
    if blocked is not None and not rules[blocked.rule]:
        rules[blocked.rule] = 1
    if record.dropped:
        rules["document"] = record.dropped
    if rules:
        found["counts"] = {f"blocked {rule}": count for rule, count in rules.items()}
    return found


def _name(record: Record, blocked: GuardBlocked | None) -> str:
    if record.failures:
        return "error"
    if blocked is not None or record.dropped:
        return "blocked"
    if record.of("redact", "mask", "hash", "pseudonymize"):
        return "redacted"
    return "flagged" if record.of("flag") or record.injections else "clean"


def _dropped(record: Record) -> str:
    if not record.dropped:
        return ""
    return f"{record.dropped} of {record.documents} documents"
