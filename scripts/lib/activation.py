"""Holds a coordinator's listening sockets and starts it when somebody knocks, as a systemd socket unit does."""

import fcntl
import os
import select
import socket
import subprocess
import threading

FIRST_FD = 3          # sd_listen_fds(3)
OUT_OF_THE_WAY = 100  # where the sockets live here, clear of the descriptors that a child gets


class Activator:
    """One process at a time over sockets named grpc and http; each end of it is recorded."""

    def __init__(self, arguments, log):
        self.arguments = [str(a) for a in arguments]
        self.log = log
        self.process = None
        self.starts = 0
        self.exit_codes = []
        self._sockets = [self._listen(), self._listen()]
        self._wake_read, self._wake_write = os.pipe()
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _listen():
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        high = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY)
        listener.close()
        return socket.socket(fileno=high)

    @property
    def address(self):
        return "127.0.0.1:%d" % self._sockets[0].getsockname()[1]

    @property
    def http_port(self):
        return self._sockets[1].getsockname()[1]

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        self._thread.start()

    def _spawn(self):
        def hand_over():  # in the child
            for number, listener in enumerate(self._sockets):
                os.dup2(listener.fileno(), FIRST_FD + number)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(self._sockets)),
                              LISTEN_FDNAMES="grpc:http")
        with open(self.log, "ab") as out:
            # env=None: what hand_over sets is what the program sees.
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, close_fds=False,
                preexec_fn=hand_over, start_new_session=True)
        self.starts += 1

    def _run(self):
        while True:
            ready, _, _ = select.select([*self._sockets, self._wake_read], [], [])
            with self._lock:
                if self._stopping:
                    return
                if self._wake_read not in ready:
                    self._spawn()
            self.exit_codes.append(self.process.wait())

    def stop(self):
        with self._lock:
            self._stopping = True
            os.write(self._wake_write, b".")
        if self.running:
            self.process.terminate()
        self._thread.join(30)
        for listener in self._sockets:
            listener.close()
