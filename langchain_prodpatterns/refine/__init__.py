"""Refinement: draft, criticize, revise, and keep the best.

`RefineChain` drafts an answer, has it criticized by verifiers (code) and by judged
criteria (a model), asks for a revision, and replaces the best only by what is shown to
be better. It stops for a stated reason and returns the best, never the last.
"""

from langchain_prodpatterns.refine.criteria import (
    Checks,
    Criteria,
    CriteriaRequest,
    Marks,
)
from langchain_prodpatterns.refine.prompt_results import (
    PromptRefineResult,
    PromptRound,
)
from langchain_prodpatterns.refine.prompts import RevisionRequest
from langchain_prodpatterns.refine.records import dump_round, load_round
from langchain_prodpatterns.refine.refine_chain import RefineChain
from langchain_prodpatterns.refine.results import (
    CriterionMark,
    RefineResult,
    RefineRound,
    Score,
    StopReason,
)
from langchain_prodpatterns.refine.verifiers import Verifier

__all__ = [
    "Checks",
    "Criteria",
    "CriteriaRequest",
    "CriterionMark",
    "Marks",
    "PromptRefineResult",
    "PromptRound",
    "RefineChain",
    "RefineResult",
    "RefineRound",
    "RevisionRequest",
    "Score",
    "StopReason",
    "Verifier",
    "dump_round",
    "load_round",
]
