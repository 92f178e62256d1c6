"""The one way this package asks a language model for a verdict.

Text from users, documents and models is data: each piece stands between delimiters
that carry a random nonce, which the text cannot know. The verdict is one small JSON
object that must echo the nonce; quotes in it must occur in the text they come from.
Whatever is late, garbled or unproven is no verdict, and no verdict is never a yes.
"""

from langchain_prodpatterns.bound_judge import BoundJudge, JudgeLike
from langchain_prodpatterns.judge import Judge
from langchain_prodpatterns.models import is_language_model
from langchain_prodpatterns.quotes import QuoteOf
from langchain_prodpatterns.verdicts import (
    JudgeFailure,
    Judgement,
    JudgeRequest,
    Verdict,
    YesNoVerdict,
)

__all__ = [
    "BoundJudge",
    "Judge",
    "JudgeFailure",
    "JudgeLike",
    "JudgeRequest",
    "Judgement",
    "QuoteOf",
    "Verdict",
    "YesNoVerdict",
    "is_language_model",
]
