"""What the user can mend."""


class DemoError(Exception):
    """Raised for what the user can mend; its message is the one line to show."""
