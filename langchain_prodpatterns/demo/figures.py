"""The ledger at the end, beside the provider's own count."""

from dataclasses import dataclass

from langchain_prodpatterns.demo.providers import Models
from langchain_prodpatterns.ledger import Ledger
from langchain_prodpatterns.testing.journal import CHAT_PATH


@dataclass(frozen=True)
class Row:
    """One figure, counted twice."""

    name: str
    provider: int
    ledger: int


def compare(ledger: Ledger, models: Models) -> tuple[list[Row], int]:
    """Count on both sides.

    Args:
        ledger: What was booked.
        models: The models, with the offline provider.

    Returns:
        The figures, and how many calls the provider got that nobody has heard the end
        of. Without the offline provider there is nothing to compare.
    """
    provider, ours = models.provider, ledger.summary()
    if provider is None:
        return [], 0
    provider.wait_idle()
    rows = [
        Row("calls", provider.calls, ours.calls),
        Row("tokens in", provider.input_tokens, ours.input_tokens),
        Row("tokens out", provider.output_tokens, ours.output_tokens),
    ]
    asked = sum(request.path == CHAT_PATH for request in provider.requests)
    return rows, asked - ours.calls


def verdict(row: Row, *, in_flight: int) -> str:
    """Say whether both sides agree; calls that were cut off explain a difference."""
    if row.provider == row.ledger:
        return "equal"
    return "in flight" if in_flight else "[red]DIFFERENT[/]"
