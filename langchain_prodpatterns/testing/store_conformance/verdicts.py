"""What was decided on a request and an entry: it answers it, too, or it does not."""

from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    VERDICTS_AN_ENTRY,
    StoreKit,
    answer,
    entry,
    exact_of,
    key_of,
    near,
    unit,
)

_MORE = VERDICTS_AN_ENTRY + 6


class VerdictTests(StoreKit):
    """Aliases and rejected pairs."""

    def test_an_alias_answers(self, store: CacheStore) -> None:
        """A request that was found to have the same answer is found at once."""
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"), "cosine 0.93, judged")

        found = store.find(exact_of("q"))

        assert found is not None
        assert found.by == "alias"
        assert found.nearness == "cosine 0.93, judged"
        assert found.entry == store.get(key_of("a"))

    def test_an_alias_goes_with_its_entry(self, store: CacheStore) -> None:
        """Nothing is served that was removed, also not by another name."""
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        store.remove(Selection(key=key_of("a")))

        assert store.find(exact_of("q")) is None
        assert store.counts().aliases == 0

    def test_verdicts_on_nothing_are_none(self, store: CacheStore) -> None:
        """The entry may have been removed while the judge was asked."""
        store.add_alias(exact_of("q"), None, key_of("gone"))
        assert store.reject(exact_of("r"), key_of("gone")) is False

        assert store.find(exact_of("q")) is None
        assert (store.counts().aliases, store.counts().rejected) == (0, 0)

    def test_an_answer_of_its_own_wins_over_an_alias(self, store: CacheStore) -> None:
        """What was answered for this very request is nearer than anything."""
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("b"), None, key_of("a"))
        store.add(entry("b"), EAST)

        found = store.find(exact_of("b"))
        assert found is not None
        assert (found.entry.text, found.by) == ("b", "exact")

    def test_the_latest_alias_wins(self, store: CacheStore) -> None:
        """A request is the alias of one entry."""
        for name in ("a", "b"):
            store.add(entry(name), EAST)
            store.add_alias(exact_of("q"), None, key_of(name))

        assert answer(store, "q") == "b"
        assert store.counts().aliases == 1

    def test_an_entry_keeps_its_latest_aliases(self, store: CacheStore) -> None:
        """64 of them: what is asked in ever other words must not grow for ever."""
        store.add(entry("a"), EAST)
        for number in range(_MORE):
            store.add_alias(exact_of(f"q{number}"), None, key_of("a"))

        answered = [n for n in range(_MORE) if answer(store, f"q{n}") == "a"]

        assert answered == list(range(_MORE - VERDICTS_AN_ENTRY, _MORE))
        assert store.counts().aliases == VERDICTS_AN_ENTRY

    def test_a_rejected_pair_is_no_neighbor(self, store: CacheStore) -> None:
        """The judge is not asked about it again, and the next nearest is found."""
        store.add(entry("a"), EAST)
        store.add(entry("b"), unit(1, 0.1, 0, 0))
        store.add(entry("c"), unit(1, 0.2, 0, 0))
        for name in ("a", "b"):
            store.reject(exact_of("q"), key_of(name))

        assert near(store, asked="q", limit=1) == ["c"]
        assert near(store, asked="another") == ["a", "b", "c"], "a pair, not an entry"

    def test_a_rejected_pair_is_no_alias(self, store: CacheStore) -> None:
        """A wrong answer is never served again for that question."""
        store.add(entry("a"), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        store.reject(exact_of("q"), key_of("a"))

        assert store.find(exact_of("q")) is None
        assert store.counts().aliases == 0

    def test_a_rejection_leaves_other_aliases(self, store: CacheStore) -> None:
        """Neither another request's, nor this request's alias of another entry."""
        for name in ("a", "b"):
            store.add(entry(name), EAST)
        store.add_alias(exact_of("q"), None, key_of("a"))
        store.add_alias(exact_of("r"), None, key_of("b"))
        store.reject(exact_of("q"), key_of("b"))

        assert answer(store, "q") == "a"
        assert answer(store, "r") == "b"

    def test_a_rejection_is_news_once(self, store: CacheStore) -> None:
        """`reject` returns whether it is: only then it counts as evidence."""
        store.add(entry("a"), EAST)

        assert store.reject(exact_of("q"), key_of("a")) is True
        assert store.reject(exact_of("q"), key_of("a")) is False
        assert store.counts().rejected == 1

    def test_an_approval_takes_a_rejection_back(self, store: CacheStore) -> None:
        """The latest verdict holds."""
        store.add(entry("a"), EAST)
        store.reject(exact_of("q"), key_of("a"))
        store.add_alias(exact_of("q"), None, key_of("a"))

        assert answer(store, "q") == "a"
        assert near(store, asked="q") == ["a"]
        assert store.counts().rejected == 0

    def test_an_entry_keeps_its_latest_rejections(self, store: CacheStore) -> None:
        """64 of them; whoever asks the first again is judged again."""
        store.add(entry("a"), EAST)
        for number in range(_MORE):
            store.reject(exact_of(f"q{number}"), key_of("a"))

        rejected = [n for n in range(_MORE) if near(store, asked=f"q{n}") == []]

        assert rejected == list(range(_MORE - VERDICTS_AN_ENTRY, _MORE))
        assert store.counts().rejected == VERDICTS_AN_ENTRY

    def test_rejections_go_with_their_entry(self, store: CacheStore) -> None:
        """They are of that answer: a new one is judged anew."""
        store.add(entry("a"), EAST)
        store.reject(exact_of("q"), key_of("a"))
        store.add(entry("b", exact=exact_of("a")), EAST)

        assert near(store, asked="q") == ["b"]
        assert store.counts().rejected == 0

    def test_many_rejected_do_not_hide_the_next(self, store: CacheStore) -> None:
        """However many of the nearest were rejected, the first other one is found."""
        for number in range(40):
            store.add(entry(f"no {number}"), EAST)
            store.reject(exact_of("q"), key_of(f"no {number}"))
        store.add(entry("yes"), unit(1, 0.5, 0, 0))

        assert near(store, asked="q", limit=1) == ["yes"]
