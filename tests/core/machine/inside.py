"""Runs inside the machine: its metadata service, its ECS agent, and whatever it is told to run.

    python -I inside.py FOLDER namespace|plain

One JSON list of words a line on stdin is a command; its exit code and output come back as one
JSON line. What the services answer stands in files of FOLDER, read at each request. Standard
library alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
#: What the machine has of its own, and where that is in FOLDER.
MOUNTS = {
    "/etc": "etc",
    "/var/lib": "lib",
    "/run": "run",
    "/usr/local/sbin": "sbin",
    "/sys/fs/cgroup": "cgroup",
    "/proc/uptime": "uptime",
}
METADATA, AGENT = ("169.254.169.254", 80), ("127.0.0.1", 51678)


class Service(BaseHTTPRequestHandler):
    """Answers with the file of FOLDER/services that is named like the last part of the path.

    Its first line is the status, what follows the body. No file: 404; none of the folder:
    the connection is cut.
    """

    name = ""

    def do_GET(self) -> None:
        self._answer(self.headers.get("X-aws-ec2-metadata-token"))

    def do_PUT(self) -> None:
        self._answer(self.headers.get("X-aws-ec2-metadata-token-ttl-seconds"))

    def _answer(self, token: str | None) -> None:
        folder = FOLDER / "services" / self.name
        if not folder.exists():
            self.close_connection = True
            return
        wanted = folder / self.path.rsplit("/", 1)[-1]
        status, _, text = (
            wanted.read_text().partition("\n") if wanted.exists() else ("404", "", "not found")
        )
        # Without a token that is still good, nothing but a token is given out.
        good = folder / "good-token"
        if self.command == "GET" and good.exists() and token != good.read_text():
            status, text = "401", "unauthorized"
        body = text.encode()
        self.send_response(int(status))
        # Some more than comes, if the answer is to be cut off.
        more = 10 if (folder / "cut-off").exists() else 0
        self.send_header("Content-Length", str(len(body) + more))
        self.end_headers()
        self.wfile.write(body)
        with (FOLDER / "requests").open("a") as requests:
            requests.write(f"{self.command} {self.path} {status}\n")

    def log_message(self, *_: object) -> None:
        pass


def serve(name: str, address: tuple[str, int]) -> int:
    """Start a service; the port it has."""
    handler = type(name, (Service,), {"name": name})
    server = ThreadingHTTPServer(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def furnish() -> None:
    """Put the machine's own folders and addresses in place."""
    for path, name in MOUNTS.items():
        call("mount", "--bind", str(FOLDER / name), path)
    call("ip", "link", "set", "lo", "up")
    call("ip", "address", "add", f"{METADATA[0]}/32", "dev", "lo")


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def main() -> None:
    replaced: dict[str, str] = {}
    if sys.argv[2] == "namespace":
        furnish()
        serve("metadata", METADATA)
        serve("agent", AGENT)
    else:
        replaced = {path: str(FOLDER / name) for path, name in MOUNTS.items()}
        for name, host in (("metadata", "169.254.169.254"), ("agent", "localhost:51678")):
            replaced[f"//{host}"] = f"//127.0.0.1:{serve(name, ('127.0.0.1', 0))}"
    print(json.dumps(replaced), flush=True)
    for line in sys.stdin:
        done = subprocess.run(
            json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        answer = {"code": done.returncode, "output": done.stdout, "errors": done.stderr}
        print(json.dumps(answer), flush=True)


main()
