"""How a refinement ended, as the ledger and the metadata of its run are told. Pure."""

from typing import Any

from langchain_prodpatterns.refine.prompt_results import PromptRefineResult
from langchain_prodpatterns.refine.results import RefineResult


def decision(result: RefineResult | PromptRefineResult) -> tuple[str, str]:
    """Return what the ledger is told: the decision, and which draft won.

    Args:
        result: The result.

    Returns:
        Both without any text of a draft.
    """
    best = [entry.number for entry in result.rounds if entry.accepted][-1]
    revisions = result.rounds[-1].number
    won = f"revision {best}" if best else "the first draft"
    return result.stop_reason, f"{won} is the best after {revisions} revisions"


def facts(result: RefineResult | PromptRefineResult) -> dict[str, Any]:
    """Return what the metadata of the run is told besides."""
    rounds = result.rounds[-1].number
    return {"rounds": rounds, "score": result.score, "counts": {"rounds": rounds}}
