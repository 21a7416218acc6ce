"""The error that a command raises when it was asked for something that cannot be."""

from __future__ import annotations


class UsageError(Exception):
    """The user asked for something that cannot be: `wrong` says what, `right` what to do instead.

    `synfin.cli.main` prints both as one line on standard error, and ends with exit code 2. Neither text ends with
    a full stop: ``UsageError("no device 'tun9'", "make it with 'ip tuntap add tun9 mode tun'")``.
    """

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(wrong, right)
        self.wrong = wrong
        self.right = right

    def __str__(self) -> str:
        return f"{self.wrong}; {self.right}"
