"""What a training shows, for pages that ask again and again: `Board`. Written by the training, read by the server."""

import json
import secrets
import threading
import time
from typing import Any

__all__ = ["Board"]


class Board:
    "Named sections of JSON values. A page asks for those that have changed since the version that it has."

    def __init__(self):
        self.id = secrets.token_hex(8)
        self.version = 0
        self.sections: dict[str, tuple[int, Any]] = {}
        self.lock = threading.Lock()
        self.last_asked = -1e9
        self.version_read = 0

    def show(
        self,
        **sections: Any,  # JSON values, which are not changed afterwards
    ):
        "Replace sections."
        with self.lock:
            self.version += 1
            self.sections |= {name: (self.version, value) for name, value in sections.items()}

    def since(
        self,
        version: int,  # what the page has
        board_id: str,  # of the board that the page has; of another one, it has nothing
    ) -> str:  # JSON: id, version, and the sections that are new
        "What a page does not have yet."
        if board_id != self.id:
            version = 0
        with self.lock:
            new = {name: value for name, (changed, value) in self.sections.items() if changed > version}
            now = self.version
        answer = json.dumps({"id": self.id, "version": now, "sections": new})
        self.last_asked = time.monotonic()
        self.version_read = now
        return answer

    def wait_until_read(
        self,
        seconds: float,  # how long at most
    ):
        "Wait until a page that is open has asked for the last version. Without an open page, do not wait."
        end = time.monotonic() + seconds
        while time.monotonic() < end and time.monotonic() - self.last_asked < seconds:
            if self.version_read == self.version:
                return
            time.sleep(0.05)
