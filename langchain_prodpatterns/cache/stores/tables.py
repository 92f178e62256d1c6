"""The tables of a database, as SQL."""

_ENTRIES = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    partition TEXT NOT NULL,
    exact TEXT NOT NULL UNIQUE,
    namespace BLOB NOT NULL,
    text BLOB,
    vector BLOB,
    value TEXT NOT NULL,
    saved TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    checksum BLOB NOT NULL,
    size INTEGER NOT NULL,
    cost REAL NOT NULL,
    hits INTEGER NOT NULL DEFAULT 0,
    rank REAL NOT NULL
)
"""

_BESIDE = """
CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
CREATE TABLE aliases (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL UNIQUE,
    asked TEXT,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    nearness TEXT NOT NULL DEFAULT ''
);
CREATE INDEX aliases_asked ON aliases (asked);
CREATE INDEX aliases_key ON aliases (key);
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    exact TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    UNIQUE (exact, key)
);
CREATE INDEX rejected_key ON rejected (key);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    value BLOB
);
CREATE TABLE embedder (name TEXT NOT NULL, dimensions INTEGER)
"""

TABLES = (_ENTRIES, *_BESIDE.split(";\n"))
"""Entries, and what refers to them."""

KEEPING = (
    "CREATE INDEX entries_partition ON entries (partition)",
    "CREATE TABLE totals (entries INTEGER, bytes INTEGER, inflation REAL)",
    "INSERT INTO totals VALUES (0, 0, 0.0)",
    "CREATE TABLE graves (id INTEGER PRIMARY KEY, entry INTEGER, partition TEXT)",
    """
CREATE TRIGGER entries_come AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + NEW.size;
END
""",
    """
CREATE TRIGGER entries_go AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.size;
    INSERT INTO graves (entry, partition) VALUES (OLD.id, OLD.partition);
END
""",
    # Rows that went: who is further behind than that takes all rows in anew.
    """
CREATE TRIGGER graves_come AFTER INSERT ON graves BEGIN
    DELETE FROM graves WHERE id = NEW.id - 65536;
END
""",
    """
CREATE TABLE tallies (
    partition TEXT NOT NULL,
    cell TEXT NOT NULL,
    rights INTEGER NOT NULL,
    wrongs INTEGER NOT NULL,
    PRIMARY KEY (partition, cell)
) WITHOUT ROWID
""",
    """
CREATE TABLE tallied (
    partition TEXT PRIMARY KEY,
    updated INTEGER NOT NULL
) WITHOUT ROWID
""",
    "CREATE INDEX tallied_updated ON tallied (updated)",
    """
CREATE TABLE claims (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID
""",
    "CREATE INDEX claims_expires ON claims (expires)",
)
"""What version 3 has besides: totals that triggers keep, tallies and claims."""
