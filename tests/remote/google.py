"""Plays Google's accounts and its storage on this machine, and runs with a person's credentials at both.

    python3 tests/remote/google.py [--pipeline target/release/pipeline]

Needs `openssl`. The address of Google's accounts cannot be changed, so a proxy of this script stands for it, with a
certificate of its own. Exits with 1 if a token is not asked for, not sent, or a secret is shown or stored; if a refused
token costs more than one warning, or changes a result.
"""

import argparse
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = """stages:
  a: { kind: command, params: { run: [sh, -c, 'echo 1 > o'], outputs: [o] } }
  b: { kind: command, inputs: { a: a }, params: { run: [sh, -c, 'cat "$INPUT_A/o" > o'], outputs: [o] } }
"""
PERSON = {
    "type": "authorized_user",
    "client_id": "some.apps",
    "client_secret": "very-secret-client",
    "refresh_token": "very-secret-refresh",
}


def certificates(folder):
    """An authority, and a certificate of Google's accounts that it has signed."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    rsa = ["-newkey", "rsa:2048", "-nodes"]
    authority = ["-out", "ca.pem", "-days", "2", "-subj", "/CN=test", "-addext", "basicConstraints=critical,CA:TRUE"]
    openssl("req", "-x509", *rsa, "-keyout", "ca.key", *authority)
    openssl("req", *rsa, "-keyout", "accounts.key", "-out", "accounts.csr", "-subj", "/CN=accounts.google.com")
    (folder / "names").write_text("subjectAltName=DNS:accounts.google.com\nextendedKeyUsage=serverAuth\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "accounts.csr", *signing, "-out", "accounts.pem")


def head_of(stream):
    """The first line of a request and its headers; `None` at the end."""
    line = stream.readline().decode().strip()
    headers = {}
    while field := stream.readline().decode().strip():
        name, value = field.split(":", 1)
        headers[name.lower()] = value.strip()
    return (line, headers) if line else None


class Accounts:
    """A proxy that leads to nothing but Google's accounts, and these."""

    def __init__(self, folder):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "accounts.pem", folder / "accounts.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.forms, self.refuses = [], False
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        line, _ = head_of(connection.makefile("rb"))
        if not line.startswith("CONNECT accounts.google.com:443"):
            connection.sendall(b"HTTP/1.1 502 Other\r\n\r\n")
            connection.close()
            return
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        secure = self.context.wrap_socket(connection, server_side=True)
        stream = secure.makefile("rb")
        while head := head_of(stream):
            self.forms.append(stream.read(int(head[1].get("content-length", 0))).decode())
            token = {"access_token": "very-secret-access", "expires_in": 3600, "token_type": "Bearer"}
            refusal = {"error": "invalid_grant", "error_description": "very-secret-refresh has expired"}
            status, content = ("400 Bad", refusal) if self.refuses else ("200 Done", token)
            text = json.dumps(content)
            secure.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


class Storage(http.server.BaseHTTPRequestHandler):
    """Files under the names that requests give."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes] = {}
    tokens: list[str] = []
    refuses = False

    def handle_any(self):
        self.tokens.append(self.headers.get("Authorization", ""))
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.refuses:
            return self.answer(401, b"")
        if self.command == "PUT":
            self.files[self.path] = content
            return self.answer(200, b"")
        found = self.files.get(self.path)
        return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>") if found is None else self.answer(200, found)

    do_GET = do_HEAD = do_PUT = do_POST = handle_any

    def answer(self, status, content):
        self.send_response(status)
        for name, value in [
            ("Content-Length", len(content)),
            ("ETag", '"1"'),
            ("Last-Modified", self.date_time_string()),
        ]:
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


def run(program, authority, accounts, storage, access):
    """A run on a new machine; returns the stages that ran, its warnings, and whether it shows or keeps a secret."""
    accounts.forms.clear()
    Storage.tokens.clear()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "person.json").write_text(json.dumps(PERSON))
        (folder / "spec.yaml").write_text(SPEC)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "person.json"),
            "GOOGLE_BASE_URL": f"http://127.0.0.1:{storage.server_port}",
            "HTTPS_PROXY": accounts.url(),
            "NO_PROXY": "127.0.0.1",
            "SSL_CERT_FILE": str(authority),
            "PIPELINE_REMOTE": "gs://bucket/team",
            "PIPELINE_REMOTE_ACCESS": access,
        }
        command = [program, "run", "spec.yaml", "--json"]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the run exited with {done.returncode}: {done.stderr}")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        stored = "".join(file.read_text(errors="replace") for file in folder.glob("artifacts/**/*") if file.is_file())
    started = [event["stage"] for event in events if event["event"] == "stage-started"]
    warnings = [event["reason"] for event in events if event["event"] == "remote-off"]
    return started, warnings, "very-secret" in done.stdout + done.stderr + stored


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pipeline", default=ROOT / "target/release/pipeline", type=Path)
    program = arguments.parse_args().pipeline.resolve()
    with tempfile.TemporaryDirectory() as name:
        certificates(Path(name))
        accounts = Accounts(Path(name))
        storage = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage)
        threading.Thread(target=storage.serve_forever, daemon=True).start()
        is_right = True
        for words, access, refused, n_started, reason in [
            ("a person uploads", "write", None, 2, None),
            ("another machine finds it", "read", None, 0, None),
            ("the token has expired", "write", accounts, 2, "invalid_grant"),
            ("the storage refuses the token", "write", Storage, 2, "401"),
        ]:
            if refused is not None:
                refused.refuses = True
            started, warnings, is_shown = run(program, Path(name) / "ca.pem", accounts, storage, access)
            if refused is not None:
                refused.refuses = False
            is_asked = any("grant_type=refresh_token" in form for form in accounts.forms)
            is_sent = set(Storage.tokens) == (set() if refused is accounts else {"Bearer very-secret-access"})
            is_warned = [reason in warning for warning in warnings] == ([True] if reason else [])
            good = (len(started) == n_started, is_warned, is_asked, is_sent, not is_shown)
            print(
                f"{words}: {len(started)} stages run, {warnings}, {'as it must be' if all(good) else f'WRONG {good}'}"
            )
            is_right &= all(good)
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
