"""Guarding the content blocks of a message that is still being written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import merge_content

from langchain_prodpatterns.guard.carriers import (
    PROSE,
    Visit,
    length_of_content,
    rewrite_content,
)
from langchain_prodpatterns.guard.streaming import TextStream

Content = str | list[str | dict[Any, Any]]
"""The content of a message."""

_ROLE = "ai"
_NAMES = ("type", "index", "id")
_LATER = "lc_"
"""How an index that is a text begins where chunks are added up by it."""


@dataclass(slots=True)
class _Block:
    """One block, to which chunks add by its index."""

    names: dict[str, Any]
    """By which a chunk is told to belong to it."""
    prose: str = ""
    """The field whose text flows, if any."""
    text: TextStream | None = None
    """Guards that text."""
    rest: dict[str, Any] = field(default_factory=dict)
    """All other fields, as they add up."""
    waiting: int = 0
    """How many characters are in these."""

    @property
    def held(self) -> int:
        """How many characters came in and are not let go."""
        return self.waiting + (0 if self.text is None else self.text.held)

    def takes(self, element: dict[str, Any]) -> bool:
        """Whether LangChain adds an element of a chunk to this block."""
        mine, its = self.rest.get("id"), element.get("id")
        same = mine in (None, "") or its in (None, "") or mine == its
        return bool(same and element.get("index") == self.names["index"])

    def add(self, element: dict[str, Any]) -> str:
        """Take an element; return the text that is decided."""
        ready, prose = "", element.get(self.prose)
        if self.text is not None and isinstance(prose, str):
            ready = self.text.feed(prose)
            element = {key: element[key] for key in element if key != self.prose}
        self.waiting += length_of_content([element])
        self.rest = add_up_blocks([self.rest], [element])[0] if self.rest else element
        return ready


class BlockStream:
    """Guards content blocks.

    The prose of blocks that have an index flows. Their other fields come at the end, as
    do blocks without one; but each block is opened as soon as it begins, so that all
    stay in order. A block is open until the message ends, since a chunk may add to it
    until then.
    """

    def __init__(self, begin: Callable[[], TextStream], visit: Visit) -> None:
        """Begin without blocks.

        Args:
            begin: Makes what guards the text of one block.
            visit: Guards the texts of what is held.
        """
        self._begin = begin
        self._visit = visit
        self._blocks: list[_Block] = []
        self._loose: list[Any] = []
        self._begun = False
        self.opens = True
        """Whether an empty list may come before all else, to open the message."""
        self._waiting = 0
        self.touched = False
        """Whether anything was replaced, once all has come."""

    @property
    def held(self) -> int:
        """How many characters came in and are not let go."""
        return self._waiting + sum(block.held for block in self._blocks)

    def feed(self, content: Content) -> list[Any]:
        """Take the content of a chunk.

        Args:
            content: Blocks, or a text behind blocks.

        Returns:
            What is decided, guarded, to be added to what was let go before.
        """
        first, self._begun = not self._begun, True
        if isinstance(content, str):
            self._hold_text(content)
            return []
        if first and _has_twins(content):
            # What comes first LangChain takes as it is, and does not add up.
            self.opens = False
            self._waiting += length_of_content(content)
            self._loose = list(content)
            return []
        return [out for element in content if (out := self._take(element))]

    def finish(self) -> list[Any]:
        """Say that the message is complete.

        Returns:
            All that was held, guarded.
        """
        out = [self._close(block) for block in self._blocks]
        loose = rewrite_content(self._loose, _ROLE, self._visit)
        self.touched = self.touched or loose != self._loose
        return [*out, *loose]

    def _take(self, element: Any) -> dict[str, Any]:
        """Take one element of a chunk; return what is decided of it, if anything."""
        block = self._known(element)
        opened = block is None
        block = block or self._open(element)
        if block is None:
            self._hold(element)
            return {}
        ready = block.add(element)
        if not (opened or ready):
            return {}
        written = {block.prose: ready} if block.prose in element or ready else {}
        return {**block.names, **written}

    def _known(self, element: Any) -> _Block | None:
        if not isinstance(element, dict):
            return None
        return next((each for each in self._blocks if each.takes(element)), None)

    def _open(self, element: Any) -> _Block | None:
        """Open a block, if what it is called may be told before its end."""
        if self._loose or not _has_index(element):
            return None
        names = {name: element[name] for name in _NAMES if element.get(name)}
        names["index"] = element["index"]
        if rewrite_content([names], _ROLE, self._visit) != [names]:
            return None
        prose = PROSE.get(names.get("type", ""), "")
        block = _Block(names, prose, self._begin() if prose else None)
        self._blocks.append(block)
        return block

    def _close(self, block: _Block) -> dict[str, Any]:
        (rest,) = rewrite_content([block.rest], _ROLE, self._visit)
        self.touched = self.touched or rest != block.rest
        if block.text is None:
            return cast("dict[str, Any]", rest)
        tail = block.text.finish()
        self.touched = self.touched or block.text.touched
        return {**rest, **({block.prose: tail} if tail else {})}

    def _hold(self, element: Any) -> None:
        """Add to the blocks that come at the end, as LangChain does."""
        self._waiting += length_of_content([element])
        self._loose = add_up_blocks(self._loose, [element])

    def _hold_text(self, text: str) -> None:
        """Add a text behind blocks to what comes at the end, as LangChain does."""
        self._waiting += len(text)
        if self._loose and isinstance(self._loose[-1], str):
            self._loose[-1] += text
        elif text:
            self._loose.append(text)


def _has_index(element: Any) -> bool:
    """Whether LangChain adds elements like this up."""
    index = element.get("index") if isinstance(element, dict) else None
    return isinstance(index, int) or (
        isinstance(index, str) and index.startswith(_LATER)
    )


def _has_twins(content: list[Any]) -> bool:
    indices = [element["index"] for element in content if _has_index(element)]
    return len(indices) > len(set(indices))


def add_up_blocks(some: list[Any], more: list[Any]) -> list[Any]:
    """Add lists of content blocks up as LangChain does, those of one index to one."""
    return cast("list[Any]", merge_content(some, more)) if some else more
