"""The contexts of characters as numbers: `context_keys`, the last characters, the words before, and the column.

The contexts of a character are

    1 … n_orders     the last 1, 2, … characters
    word             the letters of the word so far, and the last character
    word, 1 before   the same, and the word before it
    word, 2 before   the same, and the two words before it
    word, skipping   the word so far, the last character, and the word before the last one
    column           how many characters the line has so far, and the last character

The column says where lines end, and what the columns of a table hold. A context becomes a hash of 32 bits. All texts of
a batch are read at once. Words are compared in lower case.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "N_OTHERS",
    "MISSING",
    "ContextState",
    "spell",
    "first_context",
    "next_context",
    "context_keys",
    "state_keys",
    "base_kind",
]

N_OTHERS = 5  # contexts of words and of the column
MISSING = -1  # the key of a context that has not been read wholly

# the last characters (bs, n_orders), 0 for none, the hashes of the word so far and of two before it (bs, 3), and the
# column (bs, 1)
ContextState = tuple[Tensor, Tensor, Tensor]

_n_hashes = 3  # of words: the word so far and two before it
_word_base = 4  # the order that the word so far goes on from
_UNKNOWN = -1  # the hash of a word, and the column in a line, whose beginning has not been read
_LINE_END = -1
_max_column = 255  # columns from this one on are the same
# odd numbers of 64 bits, without a pattern: those of Knuth's and of PCG's generators
_A = 6364136223846793005
_B = 1442695040888963407
_C = -7046029254386353131


def spell(
    vocab: Iterable[str],  # characters by index
) -> Tensor:  # (V,) int32: the code point of its lower case plus 1, or 0 for a character that no word has, -1 for "\n"
    'Return what each character adds to a word. Words are made of letters, digits and "_"; tokens are no characters.'
    return torch.tensor([_letter(c) for c in vocab], dtype=torch.int32)


def _letter(c):
    if c == "\n":
        return _LINE_END
    is_letter = len(c) == 1 and (c.isalnum() or c == "_")
    return ord(c.lower()[0]) + 1 if is_letter else 0


def first_context(
    bs: int,  # rows
    n_orders: int,  # the longest context of characters
    device: torch.device | str = "cpu",
) -> ContextState:
    """Return the state before the first character.

    A word is known from the first character on that is in no word, and the column from the end of the first line on."""
    chars = torch.zeros(bs, n_orders, dtype=torch.int64, device=device)
    words, column = (torch.full((bs, n), _UNKNOWN, dtype=torch.int64, device=device) for n in (_n_hashes, 1))
    return chars, words, column


def next_context(
    x: Tensor,  # (bs, n) int64 indices
    letters: Tensor,  # (V,) from `spell`
    state: ContextState,  # before the first of them
) -> tuple[list[Tensor], ContextState]:  # hashes of 3 words and the column (bs, n) after each character, the last state
    "Read characters."
    chars, words, column = state
    n_orders = chars.shape[1]
    last = torch.cat([chars, x + 1], 1)[:, -n_orders:]
    letter = letters[x].long()
    columns = _columns(letter, column)
    if x.shape[1] == 1:
        words = _next_words(letter, words)
        return [*words.split(1, 1), columns], (last, words, columns)
    word, before, before2 = _words(letter, *words.unbind(1))
    if x.shape[1]:
        words = torch.stack([word[:, -1], before[:, -1], before2[:, -1]], 1)
        column = columns[:, -1:]
    return [word, before, before2, columns], (last, words, column)


def context_keys(
    x: Tensor,  # (bs, n) int64 indices
    letters: Tensor,  # (V,) from `spell`
    state: ContextState,  # before the first of them
) -> Iterator[Tensor]:  # one (bs, n) int64 for each context: a key from 0 to 2**32 - 1, or `MISSING`
    "Return the contexts after each character, one kind after another."
    chars = state[0]
    n = x.shape[1]
    padded = torch.cat([chars, x + 1], 1)
    # the windows of characters, the last character first
    windows = [padded[:, k + 1 : k + 1 + n] for k in reversed(range(chars.shape[1]))]
    *words, column = next_context(x, letters, state)[0]
    for known, key in (*_char_contexts(windows), *_word_contexts(x + 1, words), _column_context(x + 1, column)):
        yield torch.where(known, _mixed(key), MISSING)


def state_keys(state: ContextState) -> Tensor:  # (bs, kinds) int64
    "Return the contexts that a state stands for: those after the last character that was read."
    chars, words, column = state
    last = chars[:, -1]
    contexts = [*_char_contexts(reversed(chars.unbind(1))), *_word_contexts(last, words.unbind(1))]
    contexts += [_column_context(last, column[:, 0])]
    known, keys = (torch.stack(parts, 1) for parts in zip(*contexts))
    return torch.where(known, _mixed(keys), MISSING)


def base_kind(
    kind: int,  # from 0, in the order of `context_keys`
    n_orders: int,  # the longest context of characters
) -> int:  # -1: the characters without a context
    "Return the shorter context that a kind of context goes on from."
    if kind < n_orders:
        return kind - 1
    word = n_orders
    bases = [min(_word_base, n_orders) - 1, word, word + 1, word, 0]
    return bases[kind - n_orders]


def _char_contexts(chars):
    "Contexts of 1, 2, … characters, given the last character, the one before it, …: which are known, and their hashes."
    key = 0
    for char in chars:
        key = char + key * _A
        yield char > 0, key


def _word_contexts(char, words):
    "The same for contexts of words, given the last character, the hash of the word so far, of the word before, …"
    known = char > 0
    key = char
    for word in words:
        known = known & (word != _UNKNOWN)
        key = key * _B + word
        yield known, key
    word, _, before2 = words
    yield known, (char * _B + word) * _A + before2


def _column_context(char, column):
    "The same for the column, given the last character."
    return (char > 0) & (column != _UNKNOWN), char * _B + column


def _mixed(key):
    "32 bits that depend on all bits of a number of 64."
    return ((key ^ (key >> 29)) * _C >> 32) & 0xFFFFFFFF


def _next_words(letter, words):
    "The hashes of words (bs, 3) after one character (bs, 1), with fewer calls than `_words`."
    is_end = letter <= 0
    word = words[:, :1]
    so_far = torch.where(word == _UNKNOWN, _UNKNOWN, word * _A + letter)
    ended = torch.cat([torch.zeros_like(word), words[:, :2]], 1)
    kept = torch.cat([torch.where(is_end, 0, so_far), words[:, 1:]], 1)
    return torch.where(is_end & (word != 0), ended, kept)


def _columns(letters, column):
    "How many characters the line has after each character (bs, n), given the column before them (bs, 1)."
    place = torch.arange(1, letters.shape[1] + 1, device=letters.device).expand(letters.shape)
    begin = torch.where(letters == _LINE_END, place, 0)
    begin = begin.cummax(1)[0] if letters.shape[1] > 1 else begin
    before = torch.where(column == _UNKNOWN, _UNKNOWN, column + place)
    return torch.where(begin > 0, place - begin, before).clamp(max=_max_column)


def _words(letters, word, before, before2):
    """The hashes of the word so far, of the word before and of the one before that (bs, n each), after each character.

    The hash of the letters l_1 … l_n is the sum of l_i A^(n-i), modulo 2^64. With sums of l_i A^-i from the
    beginning of a row, all of them are computed at once."""
    bs, n = letters.shape
    column = torch.arange(n, device=letters.device).expand(bs, n)
    powers = torch.full((n + 1,), _A, dtype=torch.int64, device=letters.device)
    powers[0] = 1
    inverse = torch.full((n + 1,), _INVERSE, dtype=torch.int64, device=letters.device)
    inverse[0] = 1
    powers, inverse = powers.cumprod(0), inverse.cumprod(0)
    is_end = letters <= 0
    # the last character that is in no word, -1 for none
    end = torch.where(is_end, column, -1).cummax(1)[0] if n else column
    sums = F.pad((letters * inverse[1:]).cumsum(1), (1, 0))
    hashes = (sums[:, 1:] - sums.gather(1, end + 1)) * powers[1:]
    first = torch.where(word[:, None] == _UNKNOWN, _UNKNOWN, hashes + word[:, None] * powers[1:])
    hashes = torch.where(end < 0, first, hashes)
    # the word that ended last: the column after its last letter, 0 for none here
    earlier = torch.cat([word[:, None], hashes], 1)
    is_word_end = is_end & (earlier[:, :-1] != 0)
    word_end = torch.where(is_word_end, column, -1).cummax(1)[0] if n else column
    befores = torch.where(word_end < 0, before[:, None], earlier.gather(1, word_end.clamp(min=0)))
    earlier = torch.cat([before[:, None], befores], 1)
    befores2 = torch.where(word_end < 0, before2[:, None], earlier.gather(1, word_end.clamp(min=0)))
    return hashes, befores, befores2


_INVERSE = pow(_A, -1, 2**64)
_INVERSE -= 2**64 if _INVERSE >= 2**63 else 0
