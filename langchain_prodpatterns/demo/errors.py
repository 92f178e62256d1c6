"""What can go wrong before the demo can start."""


class DemoError(Exception):
    """Raised for what the user can mend; its message is the one line to show."""
