"""The connection to a store's file: opening, locking, durable transactions."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from muse_core.errors import UserError, cannot
from muse_core.files import NO_LOCKS, left_on, no_room_sentence
from muse_core.isolation import CancelledError
from muse_core.nuclei.store.schema import (
    SCHEMA_VERSION,
    check_schema,
    check_small_tables,
    create_schema,
    migrate,
)
from muse_core.nuclei.store.sqlite_errors import is_full_disk, reason, why_not_open

_BUSY_SECONDS = 5.0
_CACHE_KIB = 65_536
_STEPS_BETWEEN_LOOKS = 1000
"""SQLite instructions between two checks for cancelling; about the writing of fifty rows."""
_CANNOT_WRITE_BESIDE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_DAMAGED = (sqlite3.Error, UnicodeDecodeError)
"""Errors that sqlite3 raises for a damaged file; the second for a name that is not UTF-8."""
_LOOK_ONLY = "here it can only be looked at"
_ELSEWHERE = "is open in another window"
_NO_LOCKS_OF_SQLITE = (sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK)
_NO_LOCKS_HERE = f"cannot be locked where it lies; {_LOOK_ONLY}"
_FULL = f"lies on a full disk; {_LOOK_ONLY}"
_HARD_LINKED = (
    "has another name on this disk, a hard link such as backup programs make, and what lies there"
    " would change with it; copy it to change the copy"
)


class UnfinishedStoreError(UserError):
    """The file was left incomplete when it was created, and holds no annotations."""


class StoreIsThereError(UserError):
    """The file to create exists already, or another program is creating it."""


class Database:
    """An open SQLite file.

    It is read-only if another program has it open, or if the file or its folder is not writable.
    """

    def __init__(
        self,
        path: Path,
        create: bool,
        read_only: bool = False,
        fill: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """Open or create a file; nothing is left of a file that cannot be created completely.

        Args:
            path: The file, or a link to it.
            create: Create a new file.
            read_only: Open read-only even if the file is writable.
            fill: Writes the initial content of a new file, in one transaction with its tables.

        Raises:
            UnfinishedStoreError: The file was left incomplete when it was created.
            UserError: The file is missing, exists already (create), is no store, is damaged, is of
                a newer version, or cannot be written.
        """
        # The lock and the log lie beside the file itself: by a link there would be another lock.
        self.path = path = Path(os.path.realpath(path))
        self.lock = threading.RLock()
        """Held while reading or writing, because several threads share the connection."""
        try:
            if create and path.exists():
                raise StoreIsThereError(f"{path} exists already.")
            if not create and not path.is_file():
                raise UserError(f"There is no annotation store {path}.")
            self._was_alone = not any(file.exists() for file in _beside(path))
            self._lock_is_new = not _lock_file(path).exists()
        except OSError as error:  # the name, or that of its log, is too long
            raise cannot("open", path, error) from error
        self._lock: FileLock | None = None
        self._refusal = f"was opened for reading; {_LOOK_ONLY}"
        self._opened: os.stat_result | None = None
        if not read_only:
            self._lock, self._refusal = _try_lock(path, create)
        self.read_only = self._lock is None
        if create and self.read_only:
            raise StoreIsThereError(f"{path} is being made by another program.")
        made = False
        try:
            # Another program may have made it before the lock was ours.
            if create and path.exists():
                raise StoreIsThereError(f"{path} exists already.")
            made = create
            self.connection = self._connect()
            if create:
                self._make(fill)
            else:
                self._update()
            self._opened = path.stat()
        except _DAMAGED as error:
            self._abandon(made)
            raise why_not_open(path, error, made) from error
        except BaseException:
            self._abandon(made)
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or not at all.

        Raises:
            CancelledError: It was cancelled, see :meth:`cancellable`.
            UserError: The store is open read-only, its file has been deleted or replaced, or the
                disk is full or gone.
        """
        with self.lock:
            yield from self._transaction()

    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.require_writable()
        self._require_its_file()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except _DAMAGED as error:
            self._roll_back()
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise CancelledError("Cancelled; nothing has changed.") from error
            raise UserError(f"Could not save to {self.path}: {reason(error)}.") from error
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def cancellable(self, should_cancel: Callable[[], bool]) -> Iterator[None]:
        """Context in which a transaction is rolled back once ``should_cancel`` returns True."""
        with self.lock:
            self.connection.set_progress_handler(should_cancel, _STEPS_BETWEEN_LOOKS)
            try:
                yield
            finally:
                self.connection.set_progress_handler(None, 0)

    def require_writable(self) -> None:
        """Raise UserError, with the reason, if the file is read-only."""
        if self.read_only:
            raise UserError(f"{self.path.name} {self._refusal}.")

    @property
    def has_its_file(self) -> bool:
        """Whether the open file is still at its path; True while it is being opened."""
        if self._opened is None:
            return True
        try:
            return os.path.samestat(self._opened, self.path.stat())
        except OSError:
            return False

    @property
    def was_let_go(self) -> bool:
        """Whether it is read-only because another program had it open, which has it no more."""
        if not self._refusal.startswith(_ELSEWHERE):
            return False
        try:
            lock, _ = _try_lock(self.path, create=False)
        except (OSError, UserError):
            return False
        if lock is None:
            return False
        lock.release()
        return True

    def _require_its_file(self) -> None:
        """Raise UserError if another file, or none, is where the open one was.

        What is written to a file without a name is lost when it is closed.
        """
        if not self.has_its_file:
            raise UserError(
                f"Could not save to {self.path}: another program has deleted, moved or replaced"
                " the file since it was opened. Put it back, or export what is shown and open the"
                " slide anew."
            )

    def close(self) -> None:
        """Close the file and release the lock; may be called again."""
        with self.lock:
            self._close()

    def _close(self) -> None:
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()
            if self._was_alone and self._lock is None:
                _take_away_beside(self.path)
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            self.read_only, self._refusal = True, "has been closed"

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._open("mode=ro" if self.read_only else "mode=rwc")
        except sqlite3.OperationalError as error:
            # SQLite creates files beside a database even to read it. Where it cannot, the file must
            # be opened as immutable, which ignores edits that a crash has left in the log.
            if is_full_disk(error):
                self._only_look_at_it(_FULL)
            elif error.sqlite_errorcode in _NO_LOCKS_OF_SQLITE:
                self._only_look_at_it(_NO_LOCKS_HERE)
            elif not self.read_only or error.sqlite_errorcode & 0xFF not in _CANNOT_WRITE_BESIDE:
                raise
            if _has_log(self.path):
                raise UserError(
                    f"{self.path.name} was not closed properly and lies where nothing can be"
                    f" written; copy it and {self.path.name}-wal to another folder."
                ) from error
            return self._open("mode=ro&immutable=1")

    def _only_look_at_it(self, refusal: str) -> None:
        """Open read-only for a reason, without files that SQLite could create but not use."""
        if self._was_alone and not _has_log(self.path):
            for file in _beside(self.path):
                file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            self.read_only, self._refusal = True, refusal

    def _open(self, options: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?{options}"
        # The store is used by one thread at a time; its owner sees to that.
        connection = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # A file from elsewhere must not run functions through its schema.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA schema_version")  # the first that reads the file for certain
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self, fill: Callable[[sqlite3.Connection], None] | None) -> None:
        self._write_durably()
        with self.transaction() as connection:
            create_schema(connection)
            if fill is not None:
                fill(connection)

    def _update(self) -> None:
        if not self.connection.execute("SELECT EXISTS (SELECT * FROM sqlite_master)").fetchone()[0]:
            raise UnfinishedStoreError(f"{self.path.name} was never finished and holds nothing.")
        version = check_schema(self.connection, self.path.name)
        if not self.read_only:
            self._write_durably()
            with self.transaction() as connection:
                migrate(connection, version)
        elif version < SCHEMA_VERSION:
            self._read_from_an_updated_copy(version)
        check_small_tables(self.connection, self.path.name)

    def _read_from_an_updated_copy(self, version: int) -> None:
        """Bring a copy in memory up to date, where the file itself can only be looked at."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.backup(copy)
        self.connection.close()
        self.connection = copy
        copy.execute("PRAGMA trusted_schema = OFF")
        copy.execute("BEGIN")
        migrate(copy, version)
        copy.execute("COMMIT")

    def _write_durably(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        # FULL waits for the disk at every commit: a saved edit outlives a power cut.
        self.connection.execute("PRAGMA synchronous = FULL")

    def _abandon(self, made: bool) -> None:
        """Close what could not be opened; what was made here goes, the lock last."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()
        for file in (self.path, *_beside(self.path)) if made else ():
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        if self._lock_is_new and self._lock is not None:
            with contextlib.suppress(OSError):  # Windows removes no file that is open
                Path(self._lock.lock_file).unlink()
        self.close()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.execute("ROLLBACK")


def _try_lock(path: Path, create: bool) -> tuple[FileLock | None, str]:
    """Take the lock beside the file, which the system releases when its holder dies.

    Returns:
        The lock, or None and why the file cannot be written.

    Raises:
        UserError: Nothing can be written beside a file that is to be made.
    """
    not_writable = f"cannot be written where it lies; {_LOOK_ONLY}"
    # A lock may be left in a folder that is read-only by now, and could still be taken.
    if not create and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return None, not_writable
    # By its other name there would be another lock, and another log.
    if not create and path.stat().st_nlink > 1:
        return None, _HARD_LINKED
    lock = FileLock(_lock_file(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None, f"{_ELSEWHERE}{left_on(lock)}; {_LOOK_ONLY}"
    except NotImplementedError as error:
        # Of earlier versions of the library, where it now lets a file stand in for the lock.
        if not create:
            return None, _NO_LOCKS_HERE
        raise UserError(f"Cannot write beside {path}: no file can be locked there.") from error
    except OSError as error:
        if not create and (isinstance(error, PermissionError) or error.errno == errno.EROFS):
            return None, not_writable
        if not create and no_room_sentence(error):
            return None, _FULL
        if not create and error.errno in NO_LOCKS:
            return None, _NO_LOCKS_HERE
        raise UserError(f"Cannot write beside {path}: {error.strerror or error}.") from error
    return lock, ""


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _beside(path: Path) -> tuple[Path, Path]:
    """Paths of the write-ahead log and its index, which SQLite creates even to read a file."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _take_away_beside(path: Path) -> None:
    """Let SQLite remove the files it created to read a database that nobody else has open.

    It does so when the last connection that may write is closed; a read-only one leaves them.
    """
    if _has_log(path) or not any(file.exists() for file in _beside(path)):
        return
    with contextlib.suppress(sqlite3.Error):
        last = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=0)
        with contextlib.closing(last):
            last.execute("PRAGMA schema_version")


def _has_log(path: Path) -> bool:
    """Whether edits wait in the write-ahead log beside the file."""
    log, _ = _beside(path)
    return log.is_file() and log.stat().st_size > 0
