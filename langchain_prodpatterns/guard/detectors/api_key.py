"""API keys, tokens and private keys of the common vendors.

The forms are those that the vendors publish for secret scanning; where one gives no
length, the bounds here are generous.
"""

import re
from collections.abc import Iterable, Iterator

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
    is_mixed,
    is_wordy,
)
from langchain_prodpatterns.guard.detectors.hints import matches_near, words_in
from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK
from langchain_prodpatterns.guard.detectors.surroundings import before, opening

_START = opening()
_FORMS = {
    "aws": r"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])",
    "aws_temporary": r"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])",
    "aws_bearer": r"ABIA[A-Z0-9]{16}(?![A-Za-z0-9])",
    "aws_context": r"ACCA[A-Z0-9]{16}(?![A-Za-z0-9])",
    "github": r"gh[pousr]_[A-Za-z0-9]{36,255}+",
    "github_pat": r"github_pat_[A-Za-z0-9_]{22,255}+",
    "gitlab": r"glpat-[A-Za-z0-9_-]{20,300}+",
    "slack": r"xox[abcdeoprs]-[A-Za-z0-9-]{10,300}+",
    "slack_app": r"xapp-[A-Za-z0-9-]{10,300}+",
    "slack_hook": r"hooks\.slack\.com/[A-Za-z]{4,20}+/[A-Za-z0-9/]{20,120}+",
    "google": r"AIza[A-Za-z0-9_-]{35,120}+",
    "google_oauth": r"GOCSPX-[A-Za-z0-9_-]{20,100}+",
    "google_access": r"ya29\.[A-Za-z0-9_-]{20,4096}+",
    "stripe": r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,255}+",
    "stripe_hook": r"whsec_[A-Za-z0-9+/=]{24,128}+",
    "huggingface": r"hf_[A-Za-z0-9]{30,128}+",
    "npm": r"npm_[A-Za-z0-9]{36,128}+",
    "pypi": r"pypi-[A-Za-z0-9_-]{50,512}+",
    "sendgrid": r"SG\.[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,128}+",
    "digitalocean": r"do[opr]_v1_[a-f0-9]{64}",
    "shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "langsmith": r"lsv2_(?:pt|sk)_[a-f0-9]{32}(?:_[a-f0-9]{4,16}+)?",
    "groq": r"gsk_[A-Za-z0-9]{40,128}+",
    "xai": r"xai-[A-Za-z0-9]{40,128}+",
    "perplexity": r"pplx-[A-Za-z0-9]{40,128}+",
    "replicate": r"r8_[A-Za-z0-9]{37,64}+",
    "tavily": r"tvly-(?:dev-|prod-)?[A-Za-z0-9-]{20,128}+",
    "nvidia": r"nvapi-[A-Za-z0-9_-]{40,128}+",
    "pinecone": r"pcsk_[A-Za-z0-9_]{40,128}+",
    "databricks": r"dapi[a-f0-9]{32}(?:-[0-9])?(?![A-Za-z0-9])",
    "vault": r"hv[sbr]\.[A-Za-z0-9_-]{24,512}+",
    "azure_storage": r"AccountKey=[A-Za-z0-9+/]{86}==",
    "discord_hook": (
        r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,100}+"
    ),
    "telegram": r"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])",
    "jwt": (
        r"eyJ[A-Za-z0-9_-]{8,4096}+\.[A-Za-z0-9_-]{4,8192}+"
        r"(?:\.[A-Za-z0-9_-]{0,2048}+)?"
    ),
}
_AWS_LONG = opening("[A-Za-z0-9/+]", also="/+") + "[A-Za-z0-9/+]{39}(?![0-9A-Za-z/+=])"
# Between the lines of a key: line ends, also written as \\n, what indents, quotes or
# comments a text, and what joins strings in code.
_BREAK = r"(?:\\[nr]|[\s>#/*|;%,+\\\"'`]){0,24}+"
_PEM = (
    r"-----BEGIN (?:[A-Z0-9]{1,12}+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    # Headers of the old encrypted form and of PGP.
    rf"(?:{_BREAK}[A-Za-z-]{{3,20}}+: [^\n\\]{{1,120}}+){{0,4}}+"
    rf"(?:(?:{_BREAK}[A-Za-z0-9+/=]{{16,80}}+){{1,140}}+"
    rf"(?:{_BREAK}[A-Za-z0-9+/=]{{1,15}}+){{0,2}}+)?"
    rf"(?:{_BREAK}-----END (?:[A-Z0-9]{{1,12}}+ ){{0,3}}PRIVATE KEY(?: BLOCK)?-----)?"
)
_SECRETS = ("aws", "secret", "amazon")
_NEAR_SECRET = re.compile("|".join(_SECRETS))


class _MixedKey(PatternDetector):
    """A key that is told from a name, whose parts are words."""

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        value = text[start:end]
        return [(start, end)] if is_mixed(value) and not is_wordy(value) else []


class _AwsSecret(PatternDetector):
    """40 characters of base64, which are a secret only where something says so."""

    def matches(self, text: str) -> Iterator[Place]:
        """Look behind what says so: it is seldom there."""
        hints, width = words_in(text, _SECRETS), self._shape.width
        return matches_near(self._regex, text, hints, width=width, behind=LOOKBACK)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        near = _NEAR_SECRET.search(before(text, start))
        mixed = is_mixed(text[start:end]) and not text[start:end].islower()
        return [(start, end)] if near and mixed else []


def api_key_detector() -> AnyOf:
    """Return the detector of keys, tokens, JWTs and PEM private keys."""
    forms = [PatternDetector(name, _START + form) for name, form in _FORMS.items()]
    return AnyOf(
        "api_key",
        [
            *forms,
            # OpenAI, Anthropic and the many that copy them.
            _MixedKey("openai", _START + "sk-[A-Za-z0-9_-]{20,1024}+"),
            _AwsSecret("aws_secret", _AWS_LONG),
            PatternDetector("pem", _PEM),
        ],
    )
