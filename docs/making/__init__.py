"""What the pages of the site are made with, beside their words.

A page holds directives, such as `<!-- knobs: cache.SemanticJudgeCache -->`. Each is
replaced, when the site is built, by what the code says at that moment: so no table and
no diagram is ever stale. `directives` has the list.
"""
