"""Values to plant, each with its type; none belongs to anyone."""

from collections.abc import Iterable

JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    + "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4i" * 6
    + ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEowIBAAKCAQEAx7Rk2pQ9vTz0Lm3nYb5cWd8eJf1gHs4uKi6oXa7tVr2qBy9\n" * 6
    + "kQ3wZx5p==\n-----END RSA PRIVATE KEY-----"
)
LONG_URL = "https://files.example.org/reset?token=" + "q7Wm2Zx9Lp4Kt8Vb" * 120

PLANTED: dict[str, list[str]] = {
    "email": ["jane.doe+news@corp.example.co.uk", "y_okafor@uni.example.edu"],
    "card": ["4111 1111 1111 1111", "5500005555555559", "3782-822463-10005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
    "phone": ["+44 121 234 7786", "+81 90-1234-3660"],
    "ip": ["192.168.17.204", "2001:db8:85a3::8a2e:370:7334"],
    "url": [
        LONG_URL,
        "postgres://admin:hunter2hunter2@db.example.net/main",
        "https://shop.example.com/invite/9f8e7d6c5b4a39281706",
    ],
    "api_key": [
        "sk-proj-T7hYw2Kq9ZmB4xRn6VcL8sPd",
        "sk-ant-api03-Qw3rTy7uIo9pAs2dFg5hJk",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R",
        "xoxb-321799990743-3289395194952-foCKMRn7HN8O",
        "AIza7E9gjElpa6TKfCncpNqS6UxouQKrOKS1MeD",
        "sk_live_51H8xYzAbCdEfGhIjKlMnOp",
        JWT,
        PEM,
    ],
    "ssn": ["078-05-1120", "466 04 6917"],
    "mac": ["00:1a:2b:3c:4d:5e", "0a1b.2c3d.4e5f"],
    "crypto": [
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    ],
}

VALUES = [(name, value) for name, values in PLANTED.items() for value in values]


def leaks(text: str, values: Iterable[str], size: int = 5) -> list[str]:
    """Return pieces of the values, `size` characters long, that are in a text."""
    return [
        value[index : index + size]
        for value in values
        for index in range(max(1, len(value) - size + 1))
        if value[index : index + size] in text
    ]
