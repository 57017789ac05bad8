#!/usr/bin/env python3
"""A throwaway PostgreSQL server in a folder, over a Unix socket there.

    postgres.py start FOLDER     makes the server if need be, starts it, prints its URL
    postgres.py stop FOLDER      stops it; the folder stays
    postgres.py url FOLDER       prints the URL

Needs the Debian package `postgresql` (15 or newer); MUSTER_POSTGRES_BIN names another folder of its
programs. The server refuses to run as root: it then runs as the user postgres, or nobody. Whoever
reaches the folder reaches the database: for tests and for one person's machine.
"""

import os
import pathlib
import pwd
import subprocess
import sys
import tempfile

SUPERUSER = "muster"
OLDEST = 15
START_SECONDS = 60
LONGEST_SOCKET_PATH = 107  # what a Unix socket's address holds


class PostgresError(Exception):
    """The server cannot be had; the message says why and where to look."""


def programs():
    """The folder with initdb and pg_ctl."""
    named = os.environ.get("MUSTER_POSTGRES_BIN")
    if named:
        return pathlib.Path(named)
    found = [(int(path.parent.name), path) for path in
             pathlib.Path("/usr/lib/postgresql").glob("*/bin")
             if path.parent.name.isdigit() and (path / "initdb").exists()]
    found = [entry for entry in found if entry[0] >= OLDEST]
    if not found:
        raise PostgresError("no PostgreSQL server of version 15 or newer; `scripts/dev setup` "
                            "installs the package postgresql")
    return max(found)[1]


def _account():
    """Whom the server runs as: nothing but ourselves, unless that is root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError("there is neither a user postgres nor nobody to run the server as")


class Postgres:
    """A server in `folder`; use it in a `with` block, or call start() and stop()."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.log = self.folder / "log"
        self._account = _account()
        if len(str(self.folder / ".s.PGSQL.5432.lock")) > LONGEST_SOCKET_PATH:
            raise PostgresError(f"{self.folder} is too long a path for a Unix socket; choose a "
                                "shorter one")

    def url(self, database="postgres"):
        return f"postgresql:///{database}?host={self.folder}&port=5432&user={SUPERUSER}"

    def _run(self, *command):
        drop = {}
        if self._account is not None:
            drop = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        # pg_ctl hands its output on to the server, which lives longer: so into a file.
        with open(self.log, "ab") as out:
            done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=out, cwd="/", check=False, **drop)
        if done.returncode != 0:
            raise PostgresError(f"{command[0].name} failed; its log is {self.log}")

    def start(self):
        """The URL, once the server answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
            # The server's user must be able to get here.
            reach = subprocess.run(["/usr/bin/test", "-w", str(self.folder)], check=False,
                                   user=self._account.pw_uid, group=self._account.pw_gid,
                                   extra_groups=[])
            if reach.returncode != 0:
                raise PostgresError(f"user {self._account.pw_name}, whom the server runs as, cannot "
                                    f"reach {self.folder}; choose a folder below "
                                    f"{tempfile.gettempdir()}")
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            self._run(programs() / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
                      "--locale=C.UTF-8", "--no-instructions")
        self._run(programs() / "pg_ctl", "start", "-w", "-t", START_SECONDS, "-D", data, "-o",
                  f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -p 5432")
        return self.url()

    def stop(self, mode="fast"):
        """`immediate` is what a power cut does to it."""
        data = self.folder / "data"
        if (data / "postmaster.pid").exists():
            self._run(programs() / "pg_ctl", "stop", "-w", "-m", mode, "-D", data)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("start", "stop", "url"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        server = Postgres(arguments[1])
        if arguments[0] == "stop":
            server.stop()
        else:
            print(server.start() if arguments[0] == "start" else server.url())
    except PostgresError as error:
        print(f"postgres.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
