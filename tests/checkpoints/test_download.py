"""Downloads are whole and checked, or leave nothing."""
from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import threading

import pytest

from comod_core.checkpoints.download import download
from comod_core.errors import CoModError

CONTENT = bytes(range(256)) * 20_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Pages(http.server.BaseHTTPRequestHandler):
    """/good; /short promises more than it sends; /endless has no length; /moved leads to /good; else 404."""

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
        elif self.path not in ("/good", "/short", "/nolength"):
            return self.send_error(404)
        else:
            self.send_response(200)
            if self.path != "/nolength":
                self.send_header("Content-Length", str(len(CONTENT) * (2 if self.path == "/short" else 1)))
        self.end_headers()
        if self.path != "/moved":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("page", ["good", "moved", "nolength"])
def test_a_good_file_arrives(site, page, tmp_path):
    seen = []
    path = download(f"{site}/{page}", tmp_path / "models" / "net.bin", DIGEST.upper(), len(CONTENT),
                    progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT and os.listdir(path.parent) == ["net.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) > 2


@pytest.mark.parametrize(("page", "sha256", "size", "words"), [
    ("good", "0" * 64, None, "SHA-256"), ("good", DIGEST, 100, "100 were expected"),
    ("short", DIGEST, None, "expected|Incomplete"), ("absent", DIGEST, None, "404")])
def test_a_bad_file_leaves_nothing(site, page, sha256, size, words, tmp_path):
    path = tmp_path / "net.bin"
    path.write_bytes(b"old")
    with pytest.raises(CoModError, match=words) as caught:
        download(f"{site}/{page}", path, sha256, size)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["net.bin"]
    message = str(caught.value)
    assert "net.bin" in message and f"{site}/{page}" in message and str(path) in message and "By hand" in message


def test_nobody_answers(tmp_path):
    with pytest.raises(CoModError, match="By hand"):
        download("http://127.0.0.1:9/net.bin", tmp_path / "net.bin")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "/etc/passwd"])
def test_only_the_web(url, tmp_path):
    with pytest.raises(CoModError, match="web address"):
        download(url, tmp_path / "net.bin")


def test_progress_can_stop_it(site, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        download(f"{site}/good", tmp_path / "net.bin", progress=stop)
    assert not os.listdir(tmp_path)
