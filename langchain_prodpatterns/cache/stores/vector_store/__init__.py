"""The pieces of `VectorStoreStore`.

- `handover`: embeddings that hand a vector over instead of making it again.
- `filters`: how each vector store is told to look in one partition only.
- `asking`: what is asked of the two stores, and who asks it, blocking or awaiting.
- `records`: what is kept under a name: JSON with a schema version and a checksum.
- `entries`, `verdicts`, `tallies`: what to ask, as steps; `claims`: held in memory.
"""
