"""Tests of the pieces of `VectorStoreStore`."""
