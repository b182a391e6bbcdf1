"""The two kinds of failure a person is told of in one line."""


class InputError(Exception):
    """Something the user gave cannot be used (suite, option, data): exit code 2, nothing has run.

    The message says what is wrong, where, and what to do.
    """


class RunFailure(Exception):
    """One run failed for a known reason (``kind``, such as "nan"): recorded; the other runs go on; exit code 1."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
