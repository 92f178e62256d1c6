"""The commands of `prodpatterns` for who runs a cache in production."""
