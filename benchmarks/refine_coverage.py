"""The task that all systems are given: a story that uses all of some words.

It is checked by code. A story is only the words it uses, since nothing else counts.
"""

import re

CALLS = 5
"""Model calls that a story may cost, those for feedback and advice included."""

_WORDS = re.compile(r"uses all of these words: ([a-z, ]+)\.")
_STORY = re.compile(r"Once: ([a-z, ]*)\. The end\.")
_NAMED = re.compile(r"missing: ([a-z, ]+)")


def task_of(words: list[str]) -> str:
    """Write the task."""
    return f"Write a story that uses all of these words: {', '.join(words)}."


def story_of(words: list[str]) -> str:
    """Write a story."""
    return f"Once: {', '.join(words)}. The end."


def words_of(task: str) -> list[str]:
    """Return the words that a task asks for."""
    return _listed(_WORDS.findall(task)[-1])


def used_in(text: str) -> list[str] | None:
    """Return the words of the last story in a text, or nothing where there is none."""
    stories = _STORY.findall(text)
    return _listed(stories[-1]) if stories else None


def named_in(text: str) -> list[str]:
    """Return the words that a text last names as missing."""
    named = _NAMED.findall(text)
    return _listed(named[-1]) if named else []


def missing_from(task: str, story: str) -> list[str]:
    """Return the words that a story lacks."""
    used = used_in(story) or []
    return [word for word in words_of(task) if word not in used]


def coverage(task: str, story: str) -> float:
    """Return the share of the words that a story uses."""
    return 1 - len(missing_from(task, story)) / len(words_of(task))


def _listed(words: str) -> list[str]:
    return [word for word in words.split(", ") if word]
