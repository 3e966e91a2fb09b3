"""A `vkgpt serve` for tests: the server, what is asked of it, and the same from the command line."""
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TALES = os.path.join(ROOT, "models", "tales")
PROGRAM = BUILD = None
WAIT = 120  # seconds, on a busy machine
CONTEXT, VOCAB = 256, 4096  # of the default model
PLAIN = ["--temp", "1", "--top-k", "0", "--top-p", "1", "--min-p", "0"]  # the sampling that a request has by default


def use(build):
    """Takes the program of a build folder."""
    global PROGRAM, BUILD
    BUILD = os.path.abspath(build)
    PROGRAM = os.path.join(BUILD, "vkgpt")


def main():
    """The main of tests that are called with BUILD [CLASS]."""
    use(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])


def command(*arguments):
    return [PROGRAM, *arguments]


class Server:
    """A server on a port of its own; it is ready when its constructor returns."""

    def __init__(self, *flags, model=TALES, ready=True, files=None, before=(), **environment):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        self.log = tempfile.TemporaryFile("w+")
        words = [*before, *command("serve", "-m", model, "--port", "0", *flags)]
        self.process = subprocess.Popen(words, stderr=self.log, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        preexec_fn=limit, env={**os.environ, **environment})
        self.port = int(self.said(r"listens on http://\S+:(\d+)\n").group(1))
        if ready:
            self.said(r"serves \S+, \d+ sequences")

    def text(self):
        with os.fdopen(os.dup(self.log.fileno())) as log:
            return os.pread(log.fileno(), 1 << 20, 0).decode()

    def said(self, pattern):
        end = time.time() + WAIT
        while True:
            match = re.search(pattern, self.text())
            if match:
                return match
            if self.process.poll() is not None or time.time() > end:
                raise AssertionError("no '%s' in: %s" % (pattern, self.text()))
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM, seconds=WAIT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(seconds)
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)

    def ask(self, path, body=None, method=None, headers=None, raw=False):
        """(status, the answer's JSON, its headers)"""
        connection = self.connect()
        own = {"Content-Type": "application/json"} if body is not None else {}
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method or ("GET" if body is None else "POST"), path, data, {**own, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text if raw else json.loads(text), answer.headers

    def good(self, path, body=None, **more):
        status, answer, _ = self.ask(path, body, **more)
        if status != 200:
            raise AssertionError((status, answer))
        return answer

    def complete(self, prompt, **fields):
        return self.good("/v1/completions", {"prompt": prompt, **fields})

    def text_of(self, prompt, **fields):
        return self.complete(prompt, **fields)["choices"][0]["text"]

    def stream(self, path, body):
        """A connection, with its headers read, whose events events() gives."""
        connection = self.connect()
        connection.request("POST", path, json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
        return connection

    def metric(self, name):
        text = self.ask("/metrics", raw=True)[1].decode()
        return float(re.search(r"^%s (\S+)$" % name, text, re.M).group(1))

    def wait_for(self, name, value):
        end = time.time() + WAIT
        while self.metric(name) != value:
            if time.time() > end:
                raise AssertionError("%s is %s, not %s" % (name, self.metric(name), value))
            time.sleep(0.02)


class Asking:
    """Asks for /health again and again for the length of a `with` block: `seconds` of each answer."""

    def __init__(self, server):
        self.server, self.seconds, self.ends = server, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        connection = self.server.connect()
        while not self.ends.wait(0.02):
            start = time.time()
            connection.request("GET", "/health")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
            self.seconds.append(time.time() - start)
        connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()

    def late(self, limit=0.1):
        """Which part of the answers took longer: a busy machine makes some of them late."""
        return sum(seconds > limit for seconds in self.seconds) / len(self.seconds)


def events(answer):
    """The events of a stream, up to [DONE]; an answer that ends before it is a failure."""
    for line in answer:
        line = line.decode().rstrip("\n")
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line[len("data: "):])
    raise AssertionError("the stream has no end")


def generate(prompt, tokens, *flags):
    """What `vkgpt generate` gives: its JSON."""
    source = ["--ids", ",".join(map(str, prompt))] if isinstance(prompt, list) else ["-p", prompt]
    done = subprocess.run([PROGRAM, "generate", "-m", TALES, *source, "-n", str(tokens), "--json", *flags],
                          capture_output=True, timeout=600, check=True)
    return json.loads(done.stdout)


def ids_of(text):
    done = subprocess.run([PROGRAM, "tokenize", "-m", TALES, "-p", text], capture_output=True, check=True)
    return [int(word) for word in re.findall(r"\d+", done.stdout.decode())]


class Served(Server):
    """A server for the length of a `with` block. In the end nothing of it may run any more."""

    def __init__(self, build, *flags):
        use(build)
        super().__init__(*flags)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind:
                self.wait_for("vkgpt_sequences_running", 0)
                status = self.end()
                assert status == 0, f"the server ended with {status}: {self.text()}"
        finally:
            self.kill()


class Serving(unittest.TestCase):
    """Tests of a class share a server, and leave nothing that runs on it."""

    flags = []

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags)

    @classmethod
    def tearDownClass(cls):
        if cls.server.process.poll() is None:
            status = cls.server.end()
            assert status == 0, (status, cls.server.text())
        assert "validation" not in cls.server.text(), cls.server.text()
        cls.server.kill()

    def tearDown(self):
        self.server.wait_for("vkgpt_sequences_running", 0)
        self.server.wait_for("vkgpt_requests_waiting", 0)

    def refused(self, status, body, *parts, path="/v1/completions", param=None, **more):
        got, answer, _ = self.server.ask(path, body, **more)
        self.assertEqual(got, status, answer)
        self.assertEqual(list(answer["error"]), ["message", "type", "param", "code"])
        if param:
            self.assertEqual(answer["error"]["param"], param)
        for part in parts:
            self.assertIn(part, answer["error"]["message"])
        return answer["error"]
