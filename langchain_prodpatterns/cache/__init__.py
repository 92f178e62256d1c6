"""Serve the answer to a similar question, when a judge agrees that it is the same."""

from langchain_prodpatterns.cache.cached_runnable import CachedRunnable
from langchain_prodpatterns.cache.calibration import (
    Calibration,
    CurvePoint,
    JudgeRecord,
    LabeledPair,
)
from langchain_prodpatterns.cache.counters import CacheStats
from langchain_prodpatterns.cache.decision import CacheDecision
from langchain_prodpatterns.cache.promise import Promise
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.cache.semantic_judge_cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore

__all__ = [
    "CacheDecision",
    "CacheStats",
    "CachedRunnable",
    "Calibration",
    "CurvePoint",
    "JudgeRecord",
    "LabeledPair",
    "LocalStore",
    "Promise",
    "SameAnswerRequest",
    "SemanticJudgeCache",
]
