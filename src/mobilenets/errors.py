"""What a user can get wrong, apart from an argument (that is a ValueError).

The command line prints any of these as one line: status 2 for a ValueError, 1 for the rest.
"""


class InputError(Exception):
    """A file or a folder is not what was needed; the message names it and says why.

    It is one line, even where a file's name or content is not.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(message.splitlines()))


class WeightsError(InputError):
    """Weights are damaged, of another network, or nothing that is recognised."""


class DataError(InputError):
    """A data set or an image is missing, damaged or does not fit the model."""


class TrainingError(InputError):
    """Training cannot go on: a loss that is not finite, a run that cannot be resumed."""
