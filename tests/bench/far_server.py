"""A server of files in memory with as much of WebDAV as `pipeline` asks for, each answer of which takes its time.

    python3 tests/bench/far_server.py MILLISECONDS     prints its port, then serves until its standard input is closed

`GET /~counts` gives the requests so far, and the bytes of objects that were sent, as JSON; it is not counted.
"""

import asyncio
import json
import sys


class FarServer(asyncio.Protocol):
    files: dict[str, bytes] = {}
    folders = {"/"}
    n_requests = object_bytes = 0
    delay_s = 0.0

    def connection_made(self, transport):
        self.transport, self.received = transport, b""

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            lines = self.received[:end].decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            if headers.get("expect") == "100-continue":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(headers.get("content-length", 0))
            if len(self.received) < end + 4 + length:
                return
            content, self.received = self.received[end + 4 : end + 4 + length], self.received[end + 4 + length :]
            method, path, _ = lines[0].split(" ")
            status, body = self.answer(method, path, headers, content)
            head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\nETag: \"1\"\r\n"
            head += "Last-Modified: Sat, 28 Nov 2026 21:00:00 GMT\r\n\r\n"
            answer = head.encode() + (b"" if method == "HEAD" else body)
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, answer)

    def answer(self, method, path, headers, content):
        cls = type(self)
        if path == "/~counts":
            return 200, json.dumps({"n_requests": cls.n_requests, "object_bytes": cls.object_bytes}).encode()
        cls.n_requests += 1
        above = path.rsplit("/", 1)[0] or "/"
        if method in ("PUT", "MKCOL") and above not in self.folders:
            return 409, b""
        if method == "MKCOL":
            self.folders.add(path)
            return 201, b""
        if method == "PUT":
            if path in self.files and "if-none-match" in headers:
                return 412, b""
            self.files[path] = content
            return 201, b""
        if method == "DELETE":
            return (204 if self.files.pop(path, None) is not None else 404), b""
        found = self.files.get(path)
        if found is not None and method == "GET" and "/objects/" in path:
            cls.object_bytes += len(found)
        return (404, b"") if found is None else (200, found)


async def main():
    FarServer.delay_s = float(sys.argv[1]) / 1000
    loop = asyncio.get_running_loop()
    server = await loop.create_server(FarServer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
