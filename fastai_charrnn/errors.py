"""The errors and the warning of this package. A message says what was wrong, what is allowed, and what to do.

ValueError
└─ CharRnnError           base of all below; the command line prints it as one line
   ├─ CorpusError         a text that cannot be read or used
   │  └─ DownloadError    a text that cannot be downloaded, or has a wrong checksum
   ├─ VocabError          an invalid vocabulary, or indices outside it
   │  └─ UnknownCharError characters outside the vocabulary
   ├─ DataError           invalid arguments of the data, or a text too short for them
   ├─ ArchError           an unknown architecture, or one that does not fit the data
   ├─ ModelFileError      a model file that is missing, damaged or does not fit
   ├─ TrainingError       a loss that is NaN or infinite
   ├─ ResumeError         a training that differs from the one of its checkpoint
   ├─ GenerationError     invalid options of generation, or a model that predicts NaN
   ├─ PageError           a model that a page cannot run
   ├─ ServeError          an address that a server cannot listen on, or a missing library
   ├─ DistribError        processes that cannot train together, or one that is lost
   └─ ShareError          a model that cannot be shared or exported, or an extra that is not installed
UserWarning
└─ CharRnnWarning         something was changed or looks wrong; work continues
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
    "ResumeError",
    "GenerationError",
    "PageError",
    "ServeError",
    "DistribError",
    "ShareError",
    "CharRnnWarning",
]


class CharRnnError(ValueError):
    "Base of this package's errors."


class CorpusError(CharRnnError):
    "A text cannot be read or used as a corpus."


class DownloadError(CorpusError):
    "A corpus cannot be downloaded, or has a wrong checksum."


class VocabError(CharRnnError):
    "A vocabulary is invalid, or indices or characters are outside it."


class UnknownCharError(VocabError):
    "A text has characters outside the vocabulary. `chars` holds them, `positions` the first position of each."

    def __init__(
        self,
        message: str,
        chars: tuple[str, ...] = (),  # the unknown characters, in order of appearance
        positions: tuple[int, ...] = (),  # the first position of each in the text
    ):
        super().__init__(message)
        self.chars = chars
        self.positions = positions

    def __reduce__(self):
        return type(self), (self.args[0], self.chars, self.positions)


class DataError(CharRnnError):
    "Arguments of the data are invalid, or the text is too short for its windows, batches or split."


class ArchError(CharRnnError):
    "An architecture is unknown, already registered, or does not fit the data."


class ModelFileError(CharRnnError):
    "A model file is missing, damaged, of another program, or does not fit."


class TrainingError(CharRnnError):
    "Training cannot continue, as the loss is not a finite number."


class ResumeError(CharRnnError):
    "A training cannot be resumed, because it differs from the one of the checkpoint."


class GenerationError(CharRnnError):
    "Options of generation are invalid, or a model cannot generate."


class PageError(CharRnnError):
    "A model cannot be put into a page."


class ServeError(CharRnnError):
    "A server cannot listen on an address, or its libraries are missing."


class DistribError(CharRnnError):
    "Processes cannot train together, or one of them is lost."


class ShareError(CharRnnError):
    "A model cannot be shared or exported, or a library for it is not installed."


class CharRnnWarning(UserWarning):
    "Something was changed or looks wrong. Work continues."
