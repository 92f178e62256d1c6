"""The report of a ledger: what every pattern spent, saved and decided."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import add

from langchain_prodpatterns._table import COLUMNS, cells, money, notes
from langchain_prodpatterns.booking import (
    DIRECT,
    Decision,
    LedgerRecord,
    LedgerSummary,
)
from langchain_prodpatterns.reports.charts import Axis, Bars
from langchain_prodpatterns.reports.pages import (
    Block,
    Cards,
    Figure,
    Section,
    Table,
    page,
)
from langchain_prodpatterns.reports.times import Period, period_of
from langchain_prodpatterns.usage import NO_USAGE, ModelCall, Usage

_SHOWN = 10
_NO_NAME = "(no name)"


def ledger_page(
    calls: Sequence[ModelCall],
    decisions: Sequence[Decision],
    records: Sequence[LedgerRecord],
    summary: LedgerSummary,
) -> str:
    """Write the report of a ledger.

    Args:
        calls: Every model call.
        decisions: Every decision.
        records: A record each, as `Ledger.to_records` has them.
        summary: Their sums.

    Returns:
        The HTML.
    """
    sections = [
        _overview(records, summary),
        *_over_time(records),
        *_prompts(calls),
        *_hit_kinds(records),
        *_counted(
            "Attempts by rung",
            "attempts",
            ("rung", "attempts"),
            [one for one in decisions if one.pattern == "structured"],
            "rung ",
            "given",
        ),
        *_rounds(decisions),
        *_counted(
            "Blocked by rule",
            "blocked values and texts",
            ("rule", "blocked"),
            [one for one in decisions if one.pattern == "guard"],
            "blocked ",
        ),
        *_others(records),
    ]
    return page("Ledger", sections)


def _overview(records: Sequence[LedgerRecord], summary: LedgerSummary) -> Section:
    cards = Cards(
        [
            ("usd spent", money(summary.usd, summary.known_usd)),
            ("usd saved", money(summary.saved_usd, summary.known_saved_usd)),
            ("model calls", str(summary.calls)),
            ("calls saved", str(summary.saved_calls)),
            ("tokens", str(summary.input_tokens + summary.output_tokens)),
            ("tokens saved", str(summary.saved_tokens)),
        ]
    )
    groups = [*summary.by_pattern.items(), ("total", summary)]
    columns = [column.replace("\n", " ") for column in COLUMNS]
    rows = [(name, *cells(group)) for name, group in groups]
    table = Table("What every pattern spent and saved", columns, rows, ("pattern",))
    return Section("", [_when(records), cards, table, *map(_sentence, notes(summary))])


def _when(records: Sequence[LedgerRecord]) -> str:
    times = [one.at for one in records if one.at]
    if not times:
        return f"{len(records)} decisions."
    first, last = (_moment(at) for at in (min(times), max(times)))
    return f"{len(records)} decisions from {first} to {last} (UTC)."


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def _over_time(records: Sequence[LedgerRecord]) -> list[Section]:
    """Show what was spent and saved: money if all of it is known, else calls."""
    timed = [one for one in records if one.at]
    if not timed:
        return []
    period = period_of([one.at for one in timed])
    priced = all(one.usd is not None for one in timed)
    saved_priced = all(one.saved_usd is not None for one in timed)
    spent = _stack(
        "Spent" if priced else "Model calls (not every price is known)",
        "usd" if priced else "calls",
        period,
        [(one, (one.usd or 0.0) if priced else one.calls) for one in timed],
    )
    saved = _stack(
        "Saved" if saved_priced else "Calls saved (not every price is known)",
        "usd" if saved_priced else "calls",
        period,
        [(r, (r.saved_usd or 0.0) if saved_priced else r.saved_calls) for r in timed],
    )
    return [Section("Over time", [one for one in (spent, saved) if one])]


def _stack(
    title: str,
    unit: str,
    period: Period,
    amounts: Sequence[tuple[LedgerRecord, float]],
) -> Figure | None:
    sums: dict[str, list[float]] = {}
    for record, amount in amounts:
        if amount:
            bars = sums.setdefault(record.pattern, [0.0] * len(period.names))
            bars[period.place(record.at)] += amount
    if not sums:
        return None
    y = Axis(unit, percent=False)
    bars_ = Bars(
        f"{title}, by {period.unit}",
        Axis(f"{period.unit} (UTC)"),
        y,
        period.names,
        sorted(sums.items()),
        sorted({record.pattern for record, _ in amounts}),
    )
    rows = [
        (name, *(y.written(values[at]) for _, values in bars_.parts))
        for at, name in enumerate(period.names)
        if any(values[at] for _, values in bars_.parts)
    ]
    columns = (period.unit, *(name for name, _ in bars_.parts))
    caption = f"{unit} by {period.unit} and pattern"
    return Figure(bars_, Table(caption, columns, rows, (period.unit,)))


def _prompts(calls: Sequence[ModelCall]) -> list[Section]:
    groups: dict[tuple[str, ...], list[Usage]] = defaultdict(list)
    for call in calls:
        if call.usage.calls:
            names = (call.pattern or DIRECT, call.name or _NO_NAME, call.model or "-")
            groups[*names, call.prompt or "-"].append(call.usage)
    if not groups:
        return []
    sums = {names: reduce(add, usages, NO_USAGE) for names, usages in groups.items()}
    dearest = sorted(sums.items(), key=lambda one: _dearness(one[1]), reverse=True)
    rows = [
        (
            *names,
            str(used.calls),
            str(used.input_tokens),
            str(used.output_tokens),
            money(used.usd, 0.0),
        )
        for names, used in dearest[:_SHOWN]
    ]
    words = ("pattern", "run", "model", "prompt")
    columns = (*words, "calls", "tokens in", "tokens out", "usd")
    note = (
        "A prompt is named by the run that sent it and by a digest: the same digest is "
        "the same prompt, within one process. No text can be found by it."
    )
    table = Table(f"Of {len(sums)} prompts, the dearest", columns, rows, words)
    return [Section("The most expensive prompts", [note, table])]


def _dearness(used: Usage) -> tuple[float, int]:
    """Order by price; what has none comes after, by its tokens."""
    return (-1.0 if used.usd is None else used.usd, used.total_tokens)


def _hit_kinds(records: Sequence[LedgerRecord]) -> list[Section]:
    return _by_decision("How the cache's lookups ended", "cache", records)


def _others(records: Sequence[LedgerRecord]) -> list[Section]:
    return [
        *_by_decision("What the router decided by", "routing", records),
        *_by_decision("What compression came to", "compression", records),
        *_by_decision("What guards came to", "guard", records),
    ]


def _by_decision(
    title: str, pattern: str, records: Sequence[LedgerRecord]
) -> list[Section]:
    groups: dict[str, list[LedgerRecord]] = defaultdict(list)
    for record in records:
        if record.pattern == pattern:
            groups[record.decision].append(record)
    if not groups:
        return []
    total = sum(map(len, groups.values()))
    rows = [
        (
            decision,
            str(len(group)),
            f"{len(group) / total:.1%}",
            str(sum(one.saved_calls for one in group)),
            str(sum(one.saved_tokens for one in group)),
        )
        for decision, group in sorted(groups.items(), key=lambda one: -len(one[1]))
    ]
    columns = ("decision", "times", "share", "saved calls", "saved tokens")
    return [Section(title, [Table(f"{total} decisions", columns, rows, ("decision",))])]


def _counted(
    title: str,
    what: str,
    columns: tuple[str, str],
    decisions: Iterable[Decision],
    *prefixes: str,
) -> list[Section]:
    """Sum up what decisions counted under names that begin in given ways."""
    sums: Counter[str] = Counter()
    for decision in decisions:
        for name, count in decision.counts.items():
            if name.startswith(prefixes):
                sums[name.removeprefix(prefixes[0])] += count
    if not sums:
        return []
    rows = [(name, str(count)) for name, count in sorted(sums.items())]
    table = Table(f"{sums.total()} {what}", columns, rows, columns[:1])
    return [Section(title, [table])]


def _rounds(decisions: Sequence[Decision]) -> list[Section]:
    groups: dict[str, list[int]] = defaultdict(list)
    for decision in decisions:
        if decision.pattern == "refine" and "rounds" in decision.counts:
            groups[decision.decision].append(decision.counts["rounds"])
    if not groups:
        return []
    rows = [
        (reason, str(len(rounds)), str(sum(rounds)), f"{sum(rounds) / len(rounds):.1f}")
        for reason, rounds in sorted(groups.items(), key=lambda one: -len(one[1]))
    ]
    columns = ("stop reason", "runs", "rounds", "rounds a run")
    blocks: list[Block] = [
        Table("Refinements", columns, rows, ("stop reason",)),
    ]
    return [Section("Rounds by stop reason", blocks)]
