"""The documentation, and in `making` what it is made with."""
