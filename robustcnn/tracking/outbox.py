"""What a run says goes onto the disk at once and to MLflow when it can; neither trouble reaches the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from robustcnn.tracking.place import read_place, write_place
from robustcnn.tracking.records import Record
from robustcnn.tracking.refused import REFUSED, refused
from robustcnn.tracking.spool import Spool
from robustcnn.tracking.uploader import LOG, PATIENCE, Uploader

Say = Callable[[str], object]


class Outbox:
    """The spool of one run, and the process that uploads it."""

    def __init__(self, folder: Path, *, say: Say) -> None:
        self.folder, self.say = folder, say
        self.spool = Spool(folder)
        self._waiting: list[tuple[Record, bytes | None]] = []
        self._warned: set[str] = set()
        self._uploader: Uploader | None = None
        if (place := read_place(folder)) is not None and place.trouble:
            # Of an earlier time; this time's is yet to come.
            with contextlib.suppress(OSError):
                write_place(folder, replace(place, trouble=""))

    def put(self, record: Record, content: bytes | None = None) -> None:
        """Keep the record, and the `content` of its file, behind all that could not be written before."""
        self._waiting.append((record, content))
        try:
            while self._waiting:
                self._write(*self._waiting[0])
                del self._waiting[0]
        except OSError as problem:
            self._warn("disk", f"{self.spool.path} cannot be written ({problem}); the run goes on and tries again")
            return
        self._watch()

    def close(self) -> None:
        """Wait until all is uploaded, or could not be."""
        if self._uploader is not None and not self._uploader.ended(PATIENCE):
            self.say(f"tracking: still uploading (Ctrl-C is safe: {self._cure} goes on from there)")
            self._uploader.ended()
        if self._waiting:
            self.say(f"tracking: {len(self._waiting)} records could not be written to {self.spool.path} and are lost")
        place = read_place(self.folder)
        if place is None or place.sent < self.spool.size:
            self._warn("upload", self._trouble() or f"{self.folder / LOG} tells what went wrong")
        elif lines := refused(self.folder):
            self.say(
                f"tracking: MLflow refused {len(lines)} records, kept in {self.folder / REFUSED}; all else is there"
            )
        elif "upload" in self._warned:
            self.say("tracking: all is uploaded after all")

    @property
    def _cure(self) -> str:
        return f"`robustcnn sync {self.folder.name}`"

    def _write(self, record: Record, content: bytes | None) -> None:
        if content is not None:
            path = self.folder / record.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.spool.append(record)

    def _watch(self) -> None:
        """Start the uploader once there is something to upload, and pass on what troubles it."""
        try:
            self._uploader = self._uploader or Uploader(self.folder)
        except OSError as problem:
            self._warn("upload", f"no process to upload can be started ({problem})")
        if trouble := self._trouble():
            self._warn("upload", trouble)

    def _trouble(self) -> str:
        if self._uploader is not None and self._uploader.failed:
            return f"the uploading process died ({self.folder / LOG} tells why)"
        place = read_place(self.folder)
        return "" if place is None else place.trouble

    def _warn(self, kind: str, line: str) -> None:
        if kind in self._warned:
            return
        self._warned.add(kind)
        end = f"; the run goes on, all it says is kept, and {self._cure} uploads it later" if kind == "upload" else ""
        self.say(f"tracking: {line}{end}")
