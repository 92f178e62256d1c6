"""The main job: a support assistant that pipes through every pattern.

Run it with `make demo`, `python -m langchain_prodpatterns.demo` or
`prodpatterns demo`. `assistant` is the chain, as a reader would write it.
"""
