"""Texts that a seeded program writes: characters of many scripts, and the log of a server."""

import random
import unicodedata
from collections import defaultdict
from datetime import datetime, timedelta


def scripts(
    n_chars: int = 1_500_000,  # the text is cut to this length
    seed: int = 1,  # of the choice of characters, words and lines
) -> str:  # more than 1,000 distinct characters
    "Lines that describe a character by its Unicode name, and lines of invented words in its script."
    rng = random.Random(seed)
    letters = _letters_by_script(rng)
    words = {script: _invented_words(rng, chars) for script, chars in letters.items()}
    names = sorted(letters)
    common = _falling(len(names))
    lines = []
    total = 0
    while total < n_chars:
        script = rng.choices(names, common)[0]
        make = _described_letter if rng.random() < 0.4 else _sentence
        lines.append(make(rng, script, letters[script], words[script]))
        total += len(lines[-1])
    return "".join(lines)[:n_chars]


def _letters_by_script(rng, least=20, most=150):
    "Letters of the scripts that have some, by the first word of their names."
    found = defaultdict(list)
    for code in range(0x10000):
        char = chr(code)
        if unicodedata.category(char) in ("Ll", "Lu", "Lo"):
            found[unicodedata.name(char, "NONE").split()[0]].append(char)
    chosen = {script: rng.sample(chars, min(most, len(chars))) for script, chars in found.items()}
    return {script: chars for script, chars in chosen.items() if len(chars) >= least}


def _invented_words(rng, letters, n_words=300):
    weights = _falling(len(letters))
    return ["".join(rng.choices(letters, weights, k=rng.randint(1, 7))) for _ in range(n_words)]


def _falling(n):
    "Weights that fall as 1/rank, as those of words do."
    return [1 / (k + 1) for k in range(n)]


def _described_letter(rng, script, letters, words):
    char = rng.choice(letters)
    example = rng.choice(words)
    return f"{char} U+{ord(char):04X} {unicodedata.name(char)} ({unicodedata.category(char)}), as in {example}\n"


def _sentence(rng, script, letters, words):
    chosen = rng.choices(words, _falling(len(words)), k=rng.randint(5, 14))
    return f"{script.capitalize()}: {' '.join(chosen)}.\n"


_agents = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "curl/8.5.0",
    "python-requests/2.32.3",
)
_pages = ("/", "/index.html", "/search", "/login", "/api/v1/items", "/api/v1/users", "/static/app.js", "/favicon.ico")


def server_log(
    n_chars: int = 2_000_000,  # the text is cut to this length
    seed: int = 2,  # of visitors, pages and times
) -> str:
    "Lines of a web server's log: visitors who load several pages, with the times and sizes of the answers."
    rng = random.Random(seed)
    now = datetime(2024, 3, 1, 6, 0, 0)
    visitors = [_visitor(rng) for _ in range(30)]
    sizes = {page: rng.randint(300, 60_000) for page in _pages}
    lines = []
    total = 0
    while total < n_chars:
        now += timedelta(milliseconds=int(rng.expovariate(1 / 900)))
        who = rng.randrange(len(visitors))
        if rng.random() < 0.02:
            visitors[who] = _visitor(rng)
        lines.append(_log_line(rng, now, visitors[who], sizes))
        total += len(lines[-1])
    return "".join(lines)[:n_chars]


def _visitor(rng):
    "Address, session and program of a visitor."
    address = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    return address, f"{rng.getrandbits(32):08x}", rng.choice(_agents)


def _log_line(rng, now, visitor, sizes):
    address, session, browser = visitor
    page = rng.choices(_pages, _falling(len(_pages)))[0]
    query = f"?id={rng.randint(1, 5000)}&page={rng.randint(1, 9)}" if page.startswith("/api") else ""
    status = rng.choices((200, 304, 404, 500), (90, 6, 3, 1))[0]
    size = sizes[page] if status == 200 else 0
    request = f'"GET {page}{query} HTTP/1.1" {status} {size}'
    took = f"{rng.lognormvariate(3, 0.8):.1f}ms"
    return f'{address} [{now:%d/%b/%Y:%H:%M:%S}] {request} {took} session={session} "{browser}"\n'
