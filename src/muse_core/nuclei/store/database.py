"""The connection to a store's file: opening, locking, durable transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from muse_core.errors import UserError
from muse_core.nuclei.store.schema import check_schema, create_schema, migrate

_BUSY_SECONDS = 5.0
_CACHE_KIB = 65_536


class UnfinishedStoreError(UserError):
    """A file whose making was broken off, which holds no annotations."""


class Database:
    """One open file. A second opener of the same file gets it read-only."""

    def __init__(
        self,
        path: Path,
        create: bool,
        read_only: bool = False,
        fill: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """Open or create; what cannot be created to its end leaves no file.

        Args:
            path: The file.
            create: Make a new file.
            read_only: Do not even try to write.
            fill: Puts in what a new file begins with, together with its tables or not at all.

        Raises:
            UnfinishedStoreError: The making of the file was broken off.
            UserError: The file is missing, exists already (create), is no store, is damaged, is of
                a newer version, or cannot be written.
        """
        self.path = path
        if create and path.exists():
            raise UserError(f"{path} exists already.")
        if not create and not path.is_file():
            raise UserError(f"There is no annotation store {path}.")
        self._lock = None if read_only else _try_lock(path)
        self.read_only = self._lock is None
        if create and self.read_only:
            raise UserError(f"{path} is being made by another program.")
        made = False
        try:
            # Another program may have made it before the lock was ours.
            if create and path.exists():
                raise UserError(f"{path} exists already.")
            made = create
            self.connection = self._connect()
            if create:
                self._make(fill)
            else:
                self._update()
        except sqlite3.Error as error:
            self._abandon(made)
            raise UserError(f"{path.name} is not a readable annotation store: {error}.") from error
        except BaseException:
            self._abandon(made)
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or not at all.

        Raises:
            UserError: The store is open read-only, or the disk is full or gone.
        """
        if self.read_only:
            raise UserError(
                f"{self.path.name} is open in another window; here it can only be looked at."
            )
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise UserError(f"Could not save to {self.path}: {error}.") from error
        except BaseException:
            self._roll_back()
            raise

    def close(self) -> None:
        """Close the file and let go of the lock; may be called again."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            self.read_only = True

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rwc"
        uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        # The store is used by one thread at a time; its owner sees to that.
        connection = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # A file from elsewhere must not run functions through its schema.
        connection.execute("PRAGMA trusted_schema = OFF")
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

    def _write_durably(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        # FULL waits for the disk at every commit: a saved edit outlives a power cut.
        self.connection.execute("PRAGMA synchronous = FULL")

    def _abandon(self, made: bool) -> None:
        """Close what could not be opened; a file made here goes before the lock on it does."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()
        for suffix in ("", "-wal", "-shm") if made else ():
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.close()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.execute("ROLLBACK")


def _try_lock(path: Path) -> FileLock | None:
    """The lock beside the file, which the system lets go of when its holder dies."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        raise UserError(f"Cannot write beside {path}: {error.strerror or error}.") from error
    return lock
