"""LangChain's own test suites for caches, unmodified."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import LexicalEmbeddings


@pytest.fixture(name="on_disk")
def _on_disk(tmp_path: Path) -> Iterator[BaseCache]:
    with SemanticJudgeCache(
        LexicalEmbeddings(), band=(0.8, 0.95), path=tmp_path / "cache.db"
    ) as cache:
        yield cache


@pytest.fixture(name="in_memory")
def _in_memory() -> Iterator[BaseCache]:
    with SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: True) as cache:
        yield cache


class TestSyncInMemory(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, in_memory: BaseCache) -> BaseCache:
        return in_memory


class TestSyncOnDisk(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, on_disk: BaseCache) -> BaseCache:
        return on_disk


class TestAsyncInMemory(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, in_memory: BaseCache) -> BaseCache:
        return in_memory


class TestAsyncOnDisk(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, on_disk: BaseCache) -> BaseCache:
        return on_disk
