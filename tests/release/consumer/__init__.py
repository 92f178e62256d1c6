"""A project that uses the package as its users do; type checkers read it, strictly."""
