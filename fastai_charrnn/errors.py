"""The errors a user can meet. Each is a `ValueError` that says what was found, what is allowed, and what to do.

CharRnnError           all of the below; the command line prints it as one line on stderr
├─ CorpusError         a text that cannot be read or used
│  └─ DownloadError    a text that cannot be downloaded, or is not the expected one
├─ VocabError          an invalid vocabulary, or characters outside it (`UnknownCharError`)
├─ DataError           windows, batches and splits that a text is too short for, or invalid arguments of the data
├─ ArchError           architectures: unknown, already registered, or not made for the data
├─ ModelFileError      a model file that is damaged, of another program, or does not fit
├─ TrainingError       training that cannot go on: the loss is not a finite number
├─ GenerationError     invalid options of generation, or a model that predicts NaN
└─ DistribError        processes that cannot train together, or one that is lost
"""

__all__ = [
    "CharRnnError",
    "CorpusError",
    "DownloadError",
    "VocabError",
    "UnknownCharError",
    "DataError",
    "ArchError",
    "ModelFileError",
    "TrainingError",
    "GenerationError",
    "CharRnnWarning",
]


class CharRnnError(ValueError):
    "Base of every error this package raises for its user to read."


class CorpusError(CharRnnError):
    "A text that cannot be read or used as a corpus."


class DownloadError(CorpusError):
    "A corpus that could not be fetched, or whose checksum is wrong."


class VocabError(CharRnnError):
    "An invalid vocabulary, or indices and characters outside it."


class UnknownCharError(VocabError):
    "Text with characters that the vocabulary lacks. `chars` holds them, `positions` where each first stands."

    def __init__(
        self,
        message: str,  # what to print
        chars: tuple[str, ...] = (),  # the unknown characters, in order of appearance
        positions: tuple[int, ...] = (),  # where each first stands in the text
    ):
        super().__init__(message)
        self.chars = chars
        self.positions = positions

    def __reduce__(self):
        return type(self), (self.args[0], self.chars, self.positions)


class DataError(CharRnnError):
    "Windows, batches or a split that the text is too short for, or invalid arguments of the data."


class ArchError(CharRnnError):
    "An architecture that is unknown, already registered, or not made for the data."


class ModelFileError(CharRnnError):
    "A model file that is missing, damaged, of another program, or does not fit."


class TrainingError(CharRnnError):
    "Training that cannot go on."


class GenerationError(CharRnnError):
    "Invalid options of generation, or a model that cannot generate."


class DistribError(CharRnnError):
    "Processes that cannot train together, or of which one is lost."


class CharRnnWarning(UserWarning):
    "Something was changed or looks wrong; the work continues."
