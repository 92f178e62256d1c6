"""Untrusted text in a prompt: between delimiters that the text cannot forge.

Every prompt of this package that holds a text of a user, a document or a model puts
it between `<<nonce name>>` and `<<end nonce name>>`, with a nonce of 128 random bits
that occurs in none of the texts, and says that what stands there is data.
"""

import re
import secrets
from collections.abc import Iterable

NONCE_BYTES = 16
# With the name of a language, in any case, or without.
_FENCE = re.compile(r"```(?:[A-Za-z]{1,20}\b)?+(.*)```", re.DOTALL)


def fresh_nonce(*texts: str) -> str:
    """Return a nonce that occurs in none of the texts.

    Args:
        *texts: What will stand between the delimiters.

    Returns:
        32 hexadecimal digits.
    """
    while True:
        nonce = secrets.token_hex(NONCE_BYTES)
        if not any(nonce in text for text in texts):
            return nonce


def fenced(nonce: str, name: str, text: str) -> str:
    """Put one text between its delimiters.

    Args:
        nonce: A nonce that does not occur in the text.
        name: What the text is. Trusted.
        text: The text.

    Returns:
        Three parts, each on lines of its own.
    """
    return f"<<{nonce} {name}>>\n{text}\n<<end {nonce} {name}>>"


def fenced_all(nonce: str, texts: Iterable[tuple[str, str]]) -> str:
    """Put several texts, each with its name, between their delimiters.

    Args:
        nonce: A nonce that does not occur in the texts.
        texts: Name and text of each.

    Returns:
        The fenced texts, with a blank line between them.
    """
    return "\n\n".join(fenced(nonce, name, text) for name, text in texts)


def bare_reply(text: str) -> str:
    """Take a model's whole reply out of the code fence it may stand in.

    A fence somewhere in prose is left alone: it may be a quote of untrusted text. So
    may what stands in the block of thoughts that some models begin with: it is dropped.

    Args:
        text: The reply.

    Returns:
        What is in the fence, or the reply without the white space around it.
    """
    text = text.strip()
    if text.startswith("<think>"):
        text = text.partition("</think>")[2].strip()
    fence = _FENCE.fullmatch(text)
    return text if fence is None else fence[1].strip()
