"""The errors a user can meet. Each is a `ValueError` that says what was found, what is allowed, and what to do.

    CharRnnError           everything below; what the command line turns into one line on stderr
    ├─ CorpusError         text that cannot be read or used
    │  └─ DownloadError    a corpus that cannot be fetched, or is not the one expected
    ├─ VocabError          characters outside the vocabulary (`UnknownCharError`), or a vocabulary that is none
    ├─ DataError           windows, batches and splits that a text cannot give
    ├─ ArchError           architectures: unknown, taken, or unfit for the data
    ├─ ModelFileError      a model file that is damaged, foreign, or does not fit
    ├─ TrainingError       training that cannot go on: the loss is not a finite number
    ├─ GenerationError     what cannot be generated: options without sense, or a model whose numbers are none
    └─ DistribError        several processes that do not fit each other, or of which one is lost
"""

__all__ = ["CharRnnError", "CorpusError", "DownloadError", "VocabError", "UnknownCharError", "DataError",
           "ArchError", "ModelFileError", "TrainingError", "GenerationError", "CharRnnWarning"]


class CharRnnError(ValueError):
    "Base of every error this package raises for its user to read."


class CorpusError(CharRnnError):
    "A text that cannot be read or used as a corpus."


class DownloadError(CorpusError):
    "A corpus that could not be fetched, or whose checksum is wrong."


class VocabError(CharRnnError):
    "A vocabulary that is not one, or indices and characters outside it."


class UnknownCharError(VocabError):
    "Text with characters that the vocabulary lacks. `chars` holds them, `positions` where each first stands."

    def __init__(self,
        message:str, # what to print
        chars:tuple[str,...]=(), # the unknown characters, in order of appearance
        positions:tuple[int,...]=() # where each first stands in the text
    ):
        super().__init__(message)
        self.chars,self.positions = chars,positions

    def __reduce__(self): return type(self),(self.args[0], self.chars, self.positions)


class DataError(CharRnnError):
    "Windows, batches or a split that the text at hand cannot give."


class ArchError(CharRnnError):
    "An architecture that is unknown, already taken, or unfit for the data."


class ModelFileError(CharRnnError):
    "A model file that is missing, damaged, foreign, or unfit for what is asked of it."


class TrainingError(CharRnnError):
    "Training that cannot go on."


class GenerationError(CharRnnError):
    "Text that cannot be generated as asked, or not by this model."


class DistribError(CharRnnError):
    "Processes that cannot train together, or of which one is lost."


class CharRnnWarning(UserWarning):
    "Something was changed or looks wrong, and the work goes on."
