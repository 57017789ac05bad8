"""A throwaway S3-compatible server (Versity S3 Gateway) in a folder, for the story and for tests."""

import os
import pathlib
import secrets
import subprocess
import urllib.error
import urllib.request

from fleet import StoryError, free_port, wait_for

INSTALLER = pathlib.Path(__file__).resolve().parents[1] / "s3-server"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOT_INSTALLABLE = 77


class S3Missing(StoryError):
    """There is no S3-compatible server here, and none could be installed; the message says why."""


def server_program(install=False):
    """Where the server is. Without `install` it is only looked for."""
    named = os.environ.get("MUSTER_S3_SERVER")
    if named:
        return named
    asked = subprocess.run([str(INSTALLER)] + ([] if install else ["--check"]),
                           capture_output=True, text=True, check=False)
    if asked.returncode == NOT_INSTALLABLE:
        raise S3Missing(asked.stderr.strip())
    if asked.returncode != 0:
        raise StoryError(asked.stderr.strip())
    return asked.stdout.strip()


class S3Server:
    """One server with one bucket. Its objects are files below FOLDER/s3/data/BUCKET."""

    bucket = "muster"
    region = "us-east-1"

    def __init__(self, folder, processes, install=False):
        self.program = server_program(install)
        self.folder = pathlib.Path(folder) / "s3"
        self.log = self.folder / "server.log"
        self.processes = processes
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.access_key = "muster"
        self.secret_key = secrets.token_hex(16)
        self.process = None

    def start(self):
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        (self.folder / "attributes").mkdir(exist_ok=True)
        self.process = self.processes.start(
            [self.program, "--keep-alive", "--quiet", "--port", f"127.0.0.1:{self.port}",
             "--health", "/healthz", "posix", "--sidecar", self.folder / "attributes",
             self.folder / "data"],
            self.log, {"ROOT_ACCESS_KEY_ID": self.access_key,
                       "ROOT_SECRET_ACCESS_KEY": self.secret_key})
        wait_for("the S3-compatible server's start", 20, self._healthy, self.log)
        if not (self.folder / "data" / self.bucket).is_dir():
            self._make_bucket()

    def kill(self):
        """As a machine that fails: start() goes on over the same files."""
        self.process.kill()
        self.process.wait()

    def url(self, prefix):
        return f"s3://{self.bucket}/{prefix}"

    def arguments(self, prefix):
        """What `muster-coordinator serve` needs besides environment()."""
        return ["--blobs", self.url(prefix), "--s3-endpoint", self.endpoint,
                "--s3-region", self.region]

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def _healthy(self):
        try:
            with urllib.request.urlopen(self.endpoint + "/healthz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _make_bucket(self):
        # The credentials go by standard input, where no other process sees them.
        made = subprocess.run(
            ["curl", "--config", "-", "--silent", "--show-error", "--fail-with-body",
             "--request", "PUT", "--aws-sigv4", f"aws:amz:{self.region}:s3",
             "--header", f"x-amz-content-sha256: {EMPTY_SHA256}", f"{self.endpoint}/{self.bucket}"],
            input=f'user = "{self.access_key}:{self.secret_key}"\n', capture_output=True,
            text=True, check=False)
        if made.returncode != 0:
            raise StoryError(f"the S3 bucket was not made: {made.stderr} {made.stdout}")
