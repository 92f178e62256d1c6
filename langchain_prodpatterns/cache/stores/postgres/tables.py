"""The tables in PostgreSQL, as SQL. `{s}` is the schema, `{v}` that of pgvector.

What changes is apart from what does not: a hit rewrites a narrow row of `uses`, and
never an answer or a place in the index of vectors.
"""

SIDE_BY_SIDE = 1_200
"""Dimensions, at most, of vectors that an index holds side by side, as `{most}`: a row
of such an index has no room for more."""

OF_INDEXED = "indexed AND id > 0"
"""Which vectors the index of large partitions holds, as `{of_indexed}`. All numbers are
above zero: who does not say so, as a search, cannot have the planner take the index of
their partitions, by which it would sort them all where it knows no better."""

VERSION = 1
"""The version of the schema that this release reads and writes."""

_ENTRIES = """
CREATE {unlogged} TABLE {s}.entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    partition text COLLATE "C" NOT NULL,
    exact text COLLATE "C" NOT NULL UNIQUE,
    namespace bytea NOT NULL,
    asked text COLLATE "C",
    text bytea,
    value bytea NOT NULL,
    saved text NOT NULL,
    metadata text NOT NULL,
    ttl double precision,
    seal bytea NOT NULL,
    size integer NOT NULL,
    created timestamptz NOT NULL,
    expires timestamptz
);
CREATE INDEX entries_asked ON {s}.entries (asked) WHERE asked IS NOT NULL;
CREATE INDEX entries_partition ON {s}.entries (partition);
CREATE INDEX entries_expires ON {s}.entries (expires) WHERE expires IS NOT NULL;
CREATE INDEX entries_created ON {s}.entries USING brin (created);
"""

_VECTORS = """
CREATE {unlogged} TABLE {s}.vectors (
    id bigint PRIMARY KEY REFERENCES {s}.entries ON DELETE CASCADE,
    partition text COLLATE "C" NOT NULL,
    namespace bytea NOT NULL,
    vector {v}.halfvec NOT NULL,
    indexed boolean NOT NULL DEFAULT false
) WITH (
    parallel_workers = 0,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_vacuum_scale_factor = 0.02
);
CREATE INDEX vectors_side_by_side ON {s}.vectors (partition) INCLUDE (id, vector)
    WHERE NOT indexed AND {v}.vector_dims(vector) <= {most};
CREATE INDEX vectors_long ON {s}.vectors (partition)
    WHERE NOT indexed AND {v}.vector_dims(vector) > {most};
CREATE INDEX vectors_indexed ON {s}.vectors (partition) WHERE {of_indexed};
CREATE TABLE {s}.embedder (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL,
    dimensions integer
);
"""

_USES = """
CREATE {unlogged} TABLE {s}.uses (
    id bigint PRIMARY KEY REFERENCES {s}.entries ON DELETE CASCADE,
    size integer NOT NULL,
    cost double precision NOT NULL,
    hits bigint NOT NULL DEFAULT 0,
    rank double precision NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX uses_rank ON {s}.uses (rank);
CREATE TABLE {s}.inflation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    rank double precision NOT NULL
);
INSERT INTO {s}.inflation (rank) VALUES (0);
"""

_VERDICTS = """
CREATE {unlogged} TABLE {s}.aliases (
    id bigint GENERATED ALWAYS AS IDENTITY,
    exact text COLLATE "C" PRIMARY KEY,
    asked text COLLATE "C",
    key text COLLATE "C" NOT NULL REFERENCES {s}.entries (key) ON DELETE CASCADE,
    nearness text NOT NULL,
    namespace bytea NOT NULL
);
CREATE INDEX aliases_asked ON {s}.aliases (asked) WHERE asked IS NOT NULL;
CREATE INDEX aliases_key ON {s}.aliases (key, id);
CREATE {unlogged} TABLE {s}.rejected (
    id bigint GENERATED ALWAYS AS IDENTITY,
    exact text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL REFERENCES {s}.entries (key) ON DELETE CASCADE,
    namespace bytea NOT NULL,
    PRIMARY KEY (exact, key)
);
CREATE INDEX rejected_key ON {s}.rejected (key, id);
CREATE {unlogged} TABLE {s}.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    namespace bytea NOT NULL,
    value bytea
);
"""

_NOTES = """
CREATE {unlogged} TABLE {s}.tallies (
    partition text COLLATE "C" NOT NULL,
    cell text COLLATE "C" NOT NULL,
    rights bigint NOT NULL,
    wrongs bigint NOT NULL,
    updated timestamptz NOT NULL,
    PRIMARY KEY (partition, cell)
) WITH (fillfactor = 80);
CREATE {unlogged} TABLE {s}.claims (
    name text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    expires timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX claims_expires ON {s}.claims (expires);
CREATE TABLE {s}.recalls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL,
    selection text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

# A counter that all writers share would make each wait for the others. So each adds a
# row, and a sweep adds the rows up.
_TOTALS = """
CREATE {unlogged} TABLE {s}.totals (
    entries bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    aliases bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0
);
CREATE FUNCTION {s}.entries_come() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {s}.totals (entries, bytes)
    SELECT count(*), sum(size) FROM changed HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE FUNCTION {s}.entries_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {s}.totals (entries, bytes)
    SELECT -count(*), -sum(size) FROM changed HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE FUNCTION {s}.verdicts_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO {s}.totals (aliases, rejected)
    SELECT CASE TG_TABLE_NAME WHEN 'aliases' THEN sign * count(*) ELSE 0 END,
           CASE TG_TABLE_NAME WHEN 'rejected' THEN sign * count(*) ELSE 0 END
    FROM changed HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER come AFTER INSERT ON {s}.entries REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.entries_come();
CREATE TRIGGER go AFTER DELETE ON {s}.entries REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.entries_go();
CREATE TRIGGER come AFTER INSERT ON {s}.aliases REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.verdicts_change();
CREATE TRIGGER go AFTER DELETE ON {s}.aliases REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.verdicts_change();
CREATE TRIGGER come AFTER INSERT ON {s}.rejected REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.verdicts_change();
CREATE TRIGGER go AFTER DELETE ON {s}.rejected REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.verdicts_change();
"""

MIGRATIONS = (f"{_ENTRIES}{_VECTORS}{_USES}{_VERDICTS}{_NOTES}{_TOTALS}",)
"""What brings a schema from each version to the next, the first one from none."""

TABLES = (
    "entries",
    "vectors",
    "uses",
    "aliases",
    "rejected",
    "quarantine",
    "tallies",
    "claims",
    "recalls",
    "totals",
)
"""The tables that grow."""

OF_TENANTS = ("entries", "vectors", "aliases", "rejected", "quarantine")
"""The tables whose rows are some namespace's: those that row-level security keeps."""

TENANT = "prodpatterns.namespace"
"""The setting that holds, in hex, the namespace whose rows a connection sees."""

SECURE = """
ALTER TABLE {s}.{table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_namespace ON {s}.{table} USING (
    namespace = decode(
        nullif(current_setting('prodpatterns.namespace', true), ''), 'hex'
    )
);
"""
"""What lets a role that does not own a table see the rows of one namespace only."""

NEAREST = """
CREATE INDEX IF NOT EXISTS {index} ON {s}.vectors
USING hnsw ((vector::{v}.halfvec({dimensions})) {v}.halfvec_cosine_ops)
WHERE indexed AND {v}.vector_dims(vector) = {dimensions}
"""
"""The index for large partitions. There is one for each length that vectors ever had:
a store that was emptied takes those of another model."""

NAME_OF_NEAREST = "vectors_nearest_"
"""What its name begins with; the dimensions follow."""

RIGHTS = """
GRANT USAGE ON SCHEMA {s} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {s} TO {role};
REVOKE INSERT, UPDATE, DELETE ON {s}.version FROM {role};
"""
"""What a role needs that reads and writes entries, and no more."""

RIGHT_TO_VECTORS = "GRANT USAGE ON SCHEMA {v} TO {role}"
"""What it needs where pgvector is not in a schema that everyone may use."""
