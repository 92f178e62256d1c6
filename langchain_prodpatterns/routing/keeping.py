"""Changing a router's tools, and keeping what it learned on disk."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.calibration_file import (
    CalibrationLike,
    beside,
    check_setting,
    read_calibration,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.index import RouteIndex
from langchain_prodpatterns.routing.knowledge import ADDED
from langchain_prodpatterns.routing.routes import Tool, read_routes
from langchain_prodpatterns.routing.storage import read_state, write_state
from langchain_prodpatterns.routing.teaching import TaughtRouter


class KeptRouter(TaughtRouter):
    """A router whose tools can change, and that can be saved."""

    def add(
        self,
        tools: Iterable[Tool],
        examples: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Return a router with more tools; only these are embedded.

        That is done when first needed, and at once where this router was fitted.

        What was learned goes along. The promise does not: no label can name the new
        tools, and queries that were nobody's may be theirs. Until the next `fit` the
        new router decides nothing alone, if this one was fitted.

        Args:
            tools: The new tools.
            examples: Utterances of them, by name.

        Returns:
            Another router; this one stays as it is.

        Raises:
            ConfigurationError: When a tool or an example cannot be used, or an example
                is of a tool that is there already.
        """
        new = tuple(tool for tool, _ in read_routes(tools, examples).values())
        merged = {**(self.examples or {}), **(examples or {})} or None
        changed = self._with((*self.tools, *new), merged)
        if self._fitted:
            matrix = changed.index.matrix(self.embeddings.embed_documents)
            changed.index.knowledge.suspend(matrix, ADDED)
        return changed

    def remove(self, names: Collection[str]) -> Self:
        """Return a router without some tools; nothing is embedded.

        The labels of a removed tool now say that no tool fits, which is what traffic
        like theirs will find. On that a fitted router is fitted again, which takes as
        long as `fit`, and its promise stays.

        Args:
            names: The names of the tools to leave out.

        Returns:
            Another router; this one stays as it is.

        Raises:
            ConfigurationError: When there is no such tool, or none would be left.
        """
        gone = {names} if isinstance(names, str) else set(names)
        unknown = sorted(gone - set(self.tools_by_name))
        if unknown:
            msg = (
                f"there is no tool {unknown[0]!r}: they are {list(self.tools_by_name)}"
            )
            raise ConfigurationError(msg)
        left = [tool for name, tool in self.tools_by_name.items() if name not in gone]
        examples = {
            name: texts
            for name, texts in (self.examples or {}).items()
            if name not in gone
        }
        changed = self._with(left, examples or None)
        if self._fitted:
            matrix = changed.index.matrix(self.embeddings.embed_documents)
            changed.index.knowledge.inherit(matrix, self.index.knowledge)
        return changed

    def save(self, path: str | Path) -> None:
        """Write vectors, labels and what was learned to one file, whole or not at all.

        Numbers and JSON (npz without pickle). The file holds the texts of the tools, of
        labels and of learned queries in the clear: keep it as private as those are.

        Args:
            path: The file; one that is there is replaced.

        Raises:
            StoreError: When it cannot be written.
        """
        write_state(Path(path), self.index, self._view())

    @classmethod
    def load(
        cls,
        path: str | Path,
        tools: Sequence[Tool],
        embeddings: Embeddings,
        **kwargs: Any,
    ) -> Self:
        """Set up a router with what was saved; nothing is embedded.

        Args:
            path: The file.
            tools: The tools, with the same names and texts as when it was saved.
            embeddings: The same embedding model.
            **kwargs: As for the constructor. They are not saved.

        Returns:
            A router that decides as the saved one did.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When the file cannot be read, is torn or no such file, or was
                saved with another embedding model or other tools.
        """
        # The constructor is that of `ToolRouter`, which mypy cannot know here.
        given: dict[str, Any] = {"tools": tools, "embeddings": embeddings, **kwargs}
        router = cls(**given)
        read_state(Path(os.fspath(path)), router.index)
        return router

    @classmethod
    def from_calibration(
        cls,
        calibration: CalibrationLike,
        tools: Sequence[Tool],
        embeddings: Embeddings,
        **kwargs: Any,
    ) -> Self:
        """Set up a router with what `prodpatterns calibrate router` has found.

        Args:
            calibration: The file, with what `--save` has written beside it.
            tools: The tools, with the same names and texts as then.
            embeddings: The embeddings that it was made with.
            **kwargs: As for the constructor; `precision` may be another, whose bar the
                same labels show or not.

        Returns:
            A router that decides as was reported.

        Raises:
            ConfigurationError: When it is no calibration of a router or of other
                embeddings, when what was saved is not beside it, or an argument cannot
                work.
            StoreError: When what was saved is of other tools, or torn.
        """
        found = read_calibration(calibration, "router")
        found.check_embeddings(embeddings)
        precision = found.settings.get("precision")
        check_setting("precision", is_number(precision))
        state = beside(found)
        if state is None:
            msg = (
                "the calibration has no router beside it: calibrate with --save, "
                "or fit the router on labels"
            )
            raise ConfigurationError(msg)
        return cls.load(state, tools, embeddings, **{"precision": precision, **kwargs})

    @property
    def _fitted(self) -> bool:
        return self.index.knowledge.promised

    def _with(
        self, tools: Sequence[Any], examples: Mapping[str, Sequence[str]] | None
    ) -> Self:
        found = read_routes(tools, examples)
        routes = [route for _, route in found.values()]
        index = RouteIndex(routes, self.embeddings, self.index.vectors())
        names = {route.name for route in routes}
        memory = self.index.knowledge.memory
        index.knowledge.memory.restore(memory.corrections(names), memory.learned(names))
        update = {"tools": tools, "examples": examples, "index": index}
        return self.model_copy(update=update)
