"""Tests of `vkgpt serve` through real sockets, with clients of Python's standard library.

tests/serve.py BUILD [CLASS]: unittest, with the program of that build folder and the default model.
"""
import http.client
import json
import os
import random
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from browser import CHROMIUM, NO_CHROMIUM, PHONE, Browser, contrast, luminance

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TALES = os.path.join(ROOT, "models", "tales")
PROGRAM = BUILD = None
WAIT = 120  # seconds, on a busy machine
CONTEXT, VOCAB = 256, 4096
PLAIN = ["--temp", "1", "--top-k", "0", "--top-p", "1", "--min-p", "0"]  # the sampling that a request has by default


def command(*arguments):
    return [PROGRAM, *arguments]


class Server:
    """A server on a port of its own; it is ready when its constructor returns."""

    def __init__(self, *flags, model=TALES, ready=True, files=None, **environment):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command("serve", "-m", model, "--port", "0", *flags), stderr=self.log,
                                        stdout=subprocess.DEVNULL, preexec_fn=limit, env={**os.environ, **environment})
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


class Http(Serving):
    """Paths, methods, keys, bodies: what needs no token."""

    flags = ["-np", "2", "--timeout", "2"]

    def test_about(self):
        self.assertEqual(self.server.good("/health"), {"status": "ok"})
        self.assertRegex(self.server.good("/version")["version"], r"^\d+\.\d+\.\d+$")
        models = self.server.good("/v1/models")
        self.assertEqual([model["id"] for model in models["data"]], ["tales"])
        self.assertEqual(self.server.good("/v1/models/tales"), models["data"][0])
        status, page, headers = self.server.ask("/", raw=True)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"<textarea", page)
        self.assertNotRegex(page, b"(src|href)=.https?:")  # it needs no network
        props = self.server.good("/props")
        self.assertEqual((props["total_slots"], props["n_ctx"], props["n_vocab"]), (2, CONTEXT, VOCAB))

    def test_wrong_paths(self):
        self.refused(404, None, "/v1/nothing", path="/v1/nothing")
        self.refused(404, None, "there is no model gpt-4", path="/v1/models/gpt-4")
        self.refused(404, None, path="/v1/models/")
        for path, method, allow in [("/v1/completions", "GET", "POST"), ("/v1/models", "DELETE", "GET"), ("/health", "PUT", "GET")]:
            status, answer, headers = self.server.ask(path, method=method)
            self.assertEqual((status, headers["Allow"]), (405, allow))
            self.assertIn(method, answer["error"]["message"])

    def test_head(self):
        for path in ["/health", "/v1/completions", "/"]:
            status, text, _ = self.server.ask(path, method="HEAD", raw=True)
            self.assertEqual((status, text), (405, b""))

    def test_content_type(self):
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data", ""]:
            self.refused(415, "{}", "application/json", headers={"Content-Type": kind})
        for kind in ["application/json; charset=utf-8", "Application/JSON"]:
            status, _, _ = self.server.ask("/tokenize", '{"content":"Once"}', headers={"Content-Type": kind})
            self.assertEqual(status, 200)

    def test_bad_json(self):
        for body, part in [("", "is empty"), ("{", "not JSON"), ("[]", "has to be a JSON object"), ("3", "has to be a JSON object"),
                           ('{"prompt":"a","prompt":"b"}', "is there twice"), ('{"prompt":"\\ud800"}', "surrogate"),
                           ('{"prompt":"\\u0000"}', "\\u0000"), (b'{"prompt":"\xff"}', "is not UTF-8"),
                           ("[" * 1000 + "]" * 1000, "nested deeper"), ('{"a":' * 1000 + "1" + "}" * 1000, "nested deeper"),
                           ('{"prompt":"a","max_tokens":%s}' % ("9" * 300), "a number of more than")]:
            self.refused(400, body, part)

    def test_large_body(self):
        """100 MB: the client sees the answer, and the next one is served."""
        self.refused(413, b'{"prompt":"' + b"a" * 100_000_000 + b'"}', "larger than")
        connection = self.server.connect()
        connection.putrequest("POST", "/v1/completions")  # in pieces, of no known length
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for _ in range(20):
            connection.send(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        connection.send(b"0\r\n\r\n")
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()
        with socket.create_connection(("127.0.0.1", self.server.port), WAIT) as s:
            s.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
            self.assertIn(b" 413 ", s.recv(100))  # before the body is sent
        self.assertEqual(self.server.good("/health"), {"status": "ok"})

    def closed_after(self, first, again, every):
        """Seconds until the server closes a connection that sends slowly."""
        start = time.time()
        with socket.create_connection(("127.0.0.1", self.server.port), WAIT) as s:
            s.sendall(first)
            s.settimeout(every)
            while time.time() < start + WAIT:
                try:
                    if not s.recv(1000):
                        return time.time() - start
                except socket.timeout:
                    pass
                except ConnectionError:
                    return time.time() - start
                try:
                    s.sendall(again)
                except OSError:
                    return time.time() - start
        raise AssertionError("it was not closed")

    def test_slow_requests(self):
        """A byte now and then is activity, and yet the request has to arrive in --timeout."""
        head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
        body = head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        for first, again in [(head, b"X-A: b\r\n"), (body, b" "), (b"", b"")]:
            seconds = self.closed_after(first, again, 0.3)
            self.assertTrue(1.5 < seconds < 10, seconds)

    def test_keep_alive(self):
        connection = self.server.connect()
        for _ in range(3):
            connection.request("GET", "/health")
            self.assertEqual(connection.getresponse().read(), b'{"status":"ok"}')
        connection.close()

    def test_log_holds_no_prompts(self):
        server = Server("-v", "-np", "1")
        self.addCleanup(server.kill)
        self.assertEqual(server.ask("/tokenize", {"content": "a secret tale"})[0], 200)
        server.said(r"POST /tokenize 200, \d+ bytes in")
        self.assertNotIn("secret", server.text())


class Keys(unittest.TestCase):
    def test_keys(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.write("first key\nother\n")
            file.flush()
            server = Server("-np", "1", "--api-key", "one", "--api-key-file", file.name, "--alias", "my/model")
        self.addCleanup(server.kill)
        for path in ["/v1/models", "/metrics", "/props", "/tokenizer_info", "/version"]:
            for key in [None, "Bearer", "Bearer ", "Bearer On", "Bearer onee", "one", "Bearer oneoneone", "Basic one"]:
                status, answer, headers = server.ask(path, headers={"Authorization": key} if key else {})
                self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), key)
                self.assertEqual(answer["error"]["type"], "authentication_error")
        for key in ["one", "first key", "other"]:
            models = server.good("/v1/models", headers={"Authorization": "Bearer " + key})
            self.assertEqual(models["data"][0]["id"], "my/model")
        self.assertEqual(server.good("/v1/models/my/model", headers={"Authorization": "bearer one"})["id"], "my/model")
        self.assertEqual(server.ask("/health")[0], 200)
        self.assertEqual(server.ask("/", raw=True)[0], 200)
        self.assertNotIn("everybody", server.text())

    def test_wrong_flags(self):
        def says(*flags):
            done = subprocess.run(command("serve", "-m", TALES, *flags), capture_output=True, timeout=WAIT)
            return done.returncode, done.stderr.decode()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            self.assertEqual(says("--port", port)[0], 1)
            self.assertIn("cannot listen on 127.0.0.1, port " + port, says("--port", port)[1])
        self.assertIn("--host nowhere.invalid: ", says("--host", "nowhere.invalid")[1])
        self.assertEqual(says("--port", "65536")[0], 2)
        self.assertIn("a key is empty", says("--api-key", "")[1])
        self.assertIn("holds no key", says("--port", "0", "--api-key-file", "/dev/null")[1])
        self.assertIn("is none of plain, eos and chatml", says("--port", "0", "--chat-template", "nothing")[1])
        self.assertEqual(says("--port", "0", "-m", "/nonexistent")[0], 1)

    def test_other_machines(self):
        server = Server("-np", "1", "--host", "0.0.0.0", ready=False)
        self.addCleanup(server.kill)
        server.said("other machines can reach 0.0.0.0, and no --api-key is set")


class Completions(Serving):
    flags = ["-np", "4"]

    def test_same_as_generate(self):
        """The same request with the same seed gives the same tokens as `vkgpt generate`, in any company."""
        cases = [("Once upon a time", 20, {"seed": 7}, ["--seed", "7", *PLAIN]),
                 ("The king", 25, {"temperature": 0}, ["--temp", "0"]),
                 ("A dog", 30, {"seed": (1 << 53) + 1, "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.2},
                  ["--seed", str((1 << 53) + 1), "--temp", "0.7", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.05", "--repeat-penalty", "1.2"]),
                 ("A dog", 30, {"seed": (1 << 53), "temperature": 0.7}, ["--seed", str(1 << 53), *PLAIN[2:], "--temp", "0.7"]),
                 ("", 10, {"seed": 3}, ["--seed", "3", *PLAIN]),
                 ([5, 6, 7], 10, {"seed": 3}, ["--seed", "3", *PLAIN])]
        wanted = [generate(prompt, count, *flags)["text"] for prompt, count, _, flags in cases]
        self.assertNotEqual(wanted[2], wanted[3])
        got = [None] * len(cases) * 2

        def one(i):
            prompt, count, fields, _ = cases[i % len(cases)]
            got[i] = self.server.text_of(prompt, max_tokens=count, **fields)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(got))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(got, wanted * 2)

    def test_answer(self):
        answer = self.server.complete("Once upon a time", seed=1)
        self.assertRegex(answer["id"], "^cmpl-")
        self.assertEqual((answer["object"], answer["model"]), ("text_completion", "tales"))
        self.assertEqual(answer["usage"], {"prompt_tokens": 4, "completion_tokens": 16, "total_tokens": 20})
        choice = answer["choices"][0]
        self.assertEqual((choice["index"], choice["logprobs"], choice["finish_reason"]), (0, None, "length"))
        again = self.server.complete("Once upon a time", seed=1, user="me", unknown={"a": [1]}, suffix=None, stop=None, logit_bias=None)
        self.assertEqual(again["choices"], answer["choices"])

    def test_unseeded_differ(self):
        texts = {self.server.text_of("Once", max_tokens=20) for _ in range(4)}
        self.assertEqual(len(texts), 4)
        self.assertEqual(len({c["text"] for c in self.server.complete("Once", max_tokens=20, n=3)["choices"]}), 3)

    def test_seeds(self):
        texts = [self.server.text_of("Once", max_tokens=20, seed=seed)
                 for seed in [0, -1, (1 << 53), (1 << 53) + 1, (1 << 63) - 1, (1 << 64) - 1, -(1 << 63)]]
        self.assertEqual(texts[1], texts[5])  # the same 64 bits
        self.assertEqual(len(set(texts)), 6)
        for seed in ["1.5", "1e3", '"1"', str(1 << 64), str(-(1 << 63) - 1), "true"]:
            self.refused(400, '{"prompt":"a","seed":%s}' % seed, "seed is", param="seed")

    def test_several(self):
        """n texts of a prompt have seeds one after the other, and lists of prompts one answer each."""
        n = self.server.complete("Once", max_tokens=8, n=3, seed=5)
        self.assertEqual([c["index"] for c in n["choices"]], [0, 1, 2])
        self.assertEqual([c["text"] for c in n["choices"]], [self.server.text_of("Once", max_tokens=8, seed=5 + i) for i in range(3)])
        self.assertEqual(n["usage"]["completion_tokens"], 24)
        prompts = ["Once", "The king", "A dog ran", "He", "She", "It"]
        want = [self.server.text_of(p, max_tokens=8, seed=5) for p in prompts]
        self.assertEqual([c["text"] for c in self.server.complete(prompts, max_tokens=8, seed=5)["choices"]], want)
        ids = [ids_of(p) for p in prompts]
        self.assertEqual([c["text"] for c in self.server.complete(ids, max_tokens=8, seed=5)["choices"]], want)
        self.assertEqual(self.server.text_of(ids[2], max_tokens=8, seed=5), want[2])
        both = self.server.complete(prompts[:2], max_tokens=8, seed=5, n=2)["choices"]
        self.assertEqual([c["text"] for c in both][::2], want[:2])
        self.assertEqual([c["index"] for c in both], [0, 1, 2, 3])

    def test_stream(self):
        body = {"prompt": ["Once upon a time", "The king"], "max_tokens": 12, "seed": 2, "n": 2, "echo": True}
        whole = self.server.good("/v1/completions", body)
        connection = self.server.stream("/v1/completions", {**body, "stream_options": {"include_usage": True}})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        texts, ends, usage = [""] * 4, [None] * 4, None
        for event in events(answer):
            self.assertEqual((event["object"], event["model"]), ("text_completion", "tales"))
            usage = event["usage"]
            for choice in event["choices"]:
                self.assertIsNone(ends[choice["index"]])
                texts[choice["index"]] += choice["text"]
                ends[choice["index"]] = choice["finish_reason"]
        connection.close()
        self.assertEqual(texts, [c["text"] for c in whole["choices"]])
        self.assertEqual(ends, [c["finish_reason"] for c in whole["choices"]])
        self.assertEqual(usage, whole["usage"])
        plain = self.server.stream("/v1/completions", {"prompt": "Once", "max_tokens": 4})
        self.assertTrue(all("usage" not in event for event in events(plain.getresponse())))
        plain.close()

    def test_stream_keeps_the_connection(self):
        connection = self.server.stream("/v1/completions", {"prompt": "Once", "max_tokens": 4})
        for _ in range(2):
            answer = connection.getresponse()
            self.assertGreater(len(list(events(answer))), 1)
            answer.read()
            connection.request("POST", "/v1/completions", '{"prompt":"Once","max_tokens":4,"stream":true}', {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()

    def test_stop(self):
        """Stop strings over several tokens, overlapping, and at the very end."""
        whole = self.server.text_of("Once upon a time", max_tokens=40, temperature=0)
        words = whole.split(" ")
        middle = " ".join(words[4:7])[1:]  # begins and ends inside of tokens
        last = whole[-3:]
        for stop in [middle, [middle], ["never seen", middle], [middle, middle[1:]], ["x" + middle, middle], middle[:1]]:
            texts = [stop] if isinstance(stop, str) else stop
            at = min((whole.find(text) + len(text), -len(text)) for text in texts if text in whole)
            want = whole[:at[0] + at[1]]
            for stream in [False, True]:
                body = {"prompt": "Once upon a time", "max_tokens": 40, "temperature": 0, "stop": stop}
                if not stream:
                    choice = self.server.good("/v1/completions", body)["choices"][0]
                    self.assertEqual((choice["text"], choice["finish_reason"]), (want, "stop"), stop)
                    continue
                connection = self.server.stream("/v1/completions", body)
                text = ""
                for event in events(connection.getresponse()):
                    text += event["choices"][0]["text"]
                    self.assertTrue(want.startswith(text), (want, text))
                connection.close()
                self.assertEqual(text, want)
        end = self.server.complete("Once upon a time", max_tokens=40, temperature=0, stop=last)["choices"][0]
        self.assertTrue(whole.startswith(end["text"]) and end["finish_reason"] == "stop")
        held = self.server.complete("Once upon a time", max_tokens=40, temperature=0, stop=whole[-2:] + "never")["choices"][0]
        self.assertEqual((held["text"], held["finish_reason"]), (whole, "length"))
        many = ["no such text %d" % i for i in range(300)]
        self.assertEqual(self.server.text_of("Once upon a time", max_tokens=40, temperature=0, stop=many), whole)
        for stop in ["", ["a", ""], 3, [["a"]], {"a": 1}]:
            self.refused(400, {"prompt": "a", "stop": stop}, "stop", param="stop")

    def test_prompts(self):
        for prompt, part in [([-1], "holds -1: a token id of this model lies between 0 and 4095"), ([VOCAB], "holds 4096"), ([1.5], "holds 1.5"),
                             ([1, "a"], 'holds "a"'), ([[1], [VOCAB]], "holds 4096"), ([], "is an empty list"), (3, "prompt holds 3"),
                             ({"a": 1}, "prompt holds"), ([None], "prompt holds null"), (True, "prompt holds true"), ([1 << 40], "holds 1099511627776")]:
            self.refused(400, {"prompt": prompt}, part, param="prompt")
        empty = self.server.text_of("", max_tokens=5, seed=1)
        for body in [{}, {"prompt": None}, {"prompt": [""]}, {"prompt": [[]]}]:
            self.assertEqual(self.server.good("/v1/completions", {"max_tokens": 5, "seed": 1, **body})["choices"][0]["text"], empty)

    def test_context(self):
        ids = [5 + i % 100 for i in range(CONTEXT + 1)]
        answer = self.server.complete(ids[:CONTEXT], max_tokens=10, seed=1)
        self.assertEqual(answer["usage"]["completion_tokens"], 1)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        error = self.refused(400, {"prompt": ids}, "257 tokens", "room for 256", param="prompt")
        self.assertEqual(error["code"], "context_length_exceeded")
        self.refused(400, {"prompt": "word " * 1000}, "tokens, the context has room for 256")

    def test_no_tokens(self):
        for echo, text in [(False, ""), (True, "Once upon")]:
            answer = self.server.complete("Once upon", max_tokens=0, echo=echo)
            self.assertEqual((answer["choices"][0]["text"], answer["choices"][0]["finish_reason"]), (text, "length"))
            self.assertEqual(answer["usage"], {"prompt_tokens": 2, "completion_tokens": 0, "total_tokens": 2})
        self.assertEqual(self.server.text_of(ids_of("Once upon"), max_tokens=0, echo=True), "Once upon")

    def test_characters(self):
        """Bytes of a character that are cut are U+FFFD at the end of a text, and only there."""
        snowman = ids_of("\u2603")
        self.assertGreater(len(snowman), 2)
        self.assertEqual(self.server.text_of(snowman, max_tokens=0, echo=True), "\u2603")
        self.assertEqual(self.server.text_of(snowman[:-1], max_tokens=0, echo=True), "\ufffd")
        self.assertEqual(self.server.text_of("caf\u00e9 \U0001f600", max_tokens=0, echo=True), "caf\u00e9 \U0001f600")

    def test_wrong_fields(self):
        for field, value in [("temperature", -1), ("temperature", "hot"), ("temperature", 1e300), ("top_p", 1.1), ("top_p", -0.1), ("top_k", -1),
                             ("top_k", 1.5), ("min_p", 2), ("max_tokens", -1), ("max_tokens", 1.5), ("max_tokens", "many"), ("n", 0), ("n", 129),
                             ("best_of", 0), ("stream", 1), ("echo", "yes"), ("stream_options", 3), ("repeat_penalty", 0), ("presence_penalty", 3),
                             ("frequency_penalty", -3), ("logit_bias", [1]), ("logit_bias", {"x": 1}), ("logit_bias", {"-1": 1}), ("logit_bias", {"4096": 1}), 
                             ("logit_bias", {"1": 101}), ("logit_bias", {"1": "a"}), ("logprobs", 21), ("logprobs", -1), ("logprobs", True), ("suffix", "end")]:
            self.refused(400, {"prompt": "a", field: value}, field, param=field)
        self.refused(400, {"prompt": "a", "n": 3, "best_of": 2}, "at least n", param="best_of")
        self.refused(400, {"prompt": "a", "best_of": 2, "stream": True}, "no stream", param="best_of")
        self.refused(400, {"prompt": ["a"] * 2049}, "2049 entries", param="prompt")
        self.refused(400, {"prompt": ["a"] * 100, "n": 100}, "100 prompts, and 100 texts of each", param="prompt")


class Logprobs(Serving):
    """Log probabilities, biases and penalties."""

    flags = ["-np", "4"]

    def score(self, context, *continuations):
        flags = [word for text in continuations for word in ("--continuation", text)]
        done = subprocess.run([PROGRAM, "score", "-m", TALES, "-p", context, *flags, "--json"], capture_output=True, check=True, timeout=600)
        return [entry["logprob"] for entry in json.loads(done.stdout)["continuations"]]

    def check_lists(self, text, lists):
        """As many entries as tokens; each token is where its offset says."""
        count = len(lists["tokens"])
        self.assertEqual([len(lists[key]) for key in ("token_logprobs", "top_logprobs", "text_offset")], [count] * 3)
        for token, offset in zip(lists["tokens"], lists["text_offset"]):
            if not token.startswith("bytes:"):
                self.assertEqual(text[offset:offset + len(token)], token)

    def test_score(self):
        """The log likelihood of a text that is given, as lm-evaluation-harness adds it up, is that of `vkgpt score`."""
        context, ends = "Once upon a time there was", [" a king", " a table of contents", " nobody"]
        want = self.score(context, *ends)
        skip = len(ids_of(context))
        answer = self.server.complete([ids_of(context + end) for end in ends], max_tokens=1, echo=True, logprobs=1, temperature=0, seed=1)
        for choice, end, likelihood in zip(answer["choices"], ends, want):
            lists = choice["logprobs"]
            self.check_lists(choice["text"], lists)
            self.assertEqual(len(lists["tokens"]), len(ids_of(context + end)) + 1)
            self.assertEqual((lists["token_logprobs"][0], lists["top_logprobs"][0]), (None, None))
            self.assertAlmostEqual(sum(lists["token_logprobs"][skip:-1]), likelihood, delta=1e-4)
            for token, logprob, top in list(zip(lists["tokens"], lists["token_logprobs"], lists["top_logprobs"]))[1:]:
                self.assertEqual(top[token], logprob)
                self.assertGreaterEqual(max(top.values()), logprob)

    def test_given_alone(self):
        whole = self.server.complete("Once upon a time", max_tokens=1, echo=True, logprobs=5, temperature=0)["choices"][0]
        given = self.server.complete("Once upon a time", max_tokens=0, echo=True, logprobs=5)["choices"][0]
        self.assertEqual(given["text"], "Once upon a time")
        self.assertEqual(given["logprobs"], {key: value[:-1] for key, value in whole["logprobs"].items()})
        full = self.server.complete([5] * CONTEXT, max_tokens=0, echo=True, logprobs=0)["choices"][0]
        self.assertEqual(len(full["logprobs"]["tokens"]), CONTEXT)

    def test_generated(self):
        choice = self.server.complete("Once upon a time", max_tokens=8, temperature=0, logprobs=3)["choices"][0]
        self.check_lists(choice["text"], choice["logprobs"])
        self.assertEqual("".join(choice["logprobs"]["tokens"]), choice["text"])
        self.assertTrue(all(len(top) == 3 for top in choice["logprobs"]["top_logprobs"]))
        self.assertAlmostEqual(sum(choice["logprobs"]["token_logprobs"]), self.score("Once upon a time", choice["text"])[0], delta=1e-3)
        none = self.server.complete("Once upon a time", max_tokens=8, temperature=0, logprobs=0)["choices"][0]
        self.assertTrue(all(len(top) == 1 for top in none["logprobs"]["top_logprobs"]))
        self.assertEqual(none["text"], choice["text"])

    def test_end_token(self):
        body = {"max_tokens": 5, "logprobs": 2, "logit_bias": {"4095": 100}, "echo": True}
        choice = self.server.complete("Once upon", **body)["choices"][0]
        self.assertEqual((choice["text"], choice["finish_reason"]), ("Once upon", "stop"))
        self.assertEqual(choice["logprobs"]["tokens"], ["Once", " upon", ""])
        self.assertEqual(choice["logprobs"]["text_offset"], [0, 4, 9])
        goes_on = self.server.complete("Once upon", **body, ignore_eos=True)["choices"][0]
        self.assertEqual(goes_on["finish_reason"], "length")
        self.assertEqual(goes_on["text"], "Once upon" + "<|endoftext|>" * 5)

    def test_stream(self):
        for fields in [{"echo": True}, {"stop": " the"}, {}]:
            body = {"prompt": "Once upon a \u2603 time", "max_tokens": 20, "temperature": 0, "logprobs": 2, **fields}
            whole = self.server.good("/v1/completions", body)["choices"][0]
            lists, text = {key: [] for key in whole["logprobs"]}, ""
            connection = self.server.stream("/v1/completions", body)
            for event in events(connection.getresponse()):
                text += event["choices"][0]["text"]
                for key, value in event["choices"][0]["logprobs"].items():
                    lists[key] += value
            connection.close()
            self.assertEqual((text, lists), (whole["text"], whole["logprobs"]))
            self.check_lists(text, lists)

    def test_characters(self):
        """A character over several tokens, given and generated, comes whole; its tokens have names of their own."""
        snowman = ids_of("\u2603")
        body = {"prompt": snowman[:-1], "max_tokens": 1, "logit_bias": {str(snowman[-1]): 100}, "logprobs": 0, "echo": True}
        connection = self.server.stream("/v1/completions", body)
        pieces = [event["choices"][0]["text"] for event in events(connection.getresponse())]
        connection.close()
        self.assertEqual([piece for piece in pieces if piece], ["\u2603"])
        lists = self.server.good("/v1/completions", body)["choices"][0]["logprobs"]
        self.assertEqual("".join(lists["tokens"]).replace("bytes:", ""), "".join("\\x%02x" % byte for byte in "\u2603".encode()))
        self.assertEqual(lists["text_offset"], [0] * len(snowman))

    def test_biases(self):
        plain = self.server.text_of("Once upon a time", max_tokens=4, temperature=0)
        other = self.server.text_of("Once upon a time", max_tokens=4, temperature=0, logit_bias={str(ids_of(plain)[0]): -100})
        self.assertNotEqual(plain, other)
        self.assertEqual(self.server.text_of("Once", max_tokens=3, logit_bias={str(ids_of(" king")[0]): 100}), " king king king")

    def test_penalties(self):
        def words(**fields):
            ids = ids_of(self.server.text_of("The end. They all lived happily ever after.", max_tokens=100, temperature=0, **fields))
            return len(set(ids))
        self.assertGreater(words(frequency_penalty=2), words())
        self.assertGreater(words(presence_penalty=2), words())

    def test_best_of(self):
        def mean(choice):
            return sum(choice["logprobs"]["token_logprobs"]) / len(choice["logprobs"]["tokens"])
        each = self.server.complete("Once upon a time", max_tokens=10, n=5, seed=3, logprobs=0)["choices"]
        want = sorted(each, key=mean, reverse=True)
        best = self.server.complete("Once upon a time", max_tokens=10, n=2, best_of=5, seed=3)
        self.assertEqual([c["text"] for c in best["choices"]], [c["text"] for c in want[:2]])
        self.assertEqual([c["index"] for c in best["choices"]], [0, 1])
        self.assertIsNone(best["choices"][0]["logprobs"])
        self.assertEqual(best["usage"]["completion_tokens"], 50)

    def test_same_tokens(self):
        """What is asked of a sequence changes nothing of its tokens."""
        want = self.server.text_of("The king", max_tokens=20, seed=9)
        for fields in [{"logprobs": 20}, {"logprobs": 1, "echo": True}, {"logit_bias": {"5": 0}}]:
            self.assertTrue(self.server.text_of("The king", max_tokens=20, seed=9, **fields).endswith(want))


class Tokens(Serving):
    """The tokenizer's endpoints, in both forms, and chat."""

    flags = ["-np", "2", "--chat-template", "eos"]

    def test_tokenize(self):
        ids = ids_of("Once upon a time")
        for body in [{"content": "Once upon a time"}, {"prompt": "Once upon a time"}, {"prompt": "Once upon a time", "add_special_tokens": False}]:
            answer = self.server.good("/tokenize", body)
            self.assertEqual((answer["tokens"], answer["count"], answer["max_model_len"]), (ids, len(ids), CONTEXT))
        self.assertEqual(self.server.good("/tokenize", {"content": ""})["tokens"], [])
        self.assertEqual(self.server.good("/tokenize", {"content": "a<|endoftext|>"})["tokens"][-1], 4095)
        self.assertNotIn(4095, self.server.good("/tokenize", {"content": "a<|endoftext|>", "parse_special": False})["tokens"])
        pieces = self.server.good("/tokenize", {"content": "Once upon", "with_pieces": True})["tokens"]
        self.assertEqual([piece["piece"] for piece in pieces], ["Once", " upon"])
        names = self.server.good("/tokenize", {"prompt": "\u2603", "return_token_strs": True})["token_strs"]
        self.assertEqual(b"".join(bytes([int(x, 16)]) for name in names for x in re.findall(r"\\x(..)", name)), "\u2603".encode())
        self.assertTrue(all(name.startswith("bytes:") for name in names))

    def test_detokenize(self):
        for text in ["Once upon a time", "", "\u2603 caf\u00e9"]:
            answer = self.server.good("/detokenize", {"tokens": ids_of(text) if text else []})
            self.assertEqual((answer["content"], answer["prompt"]), (text, text))
        self.refused(400, {"tokens": [VOCAB]}, "holds 4096", path="/detokenize", param="tokens")
        self.refused(400, {"tokens": "a"}, "has to be a list", path="/detokenize", param="tokens")
        self.refused(400, {}, "needs tokens", path="/detokenize")
        self.refused(400, {}, "needs one of", path="/tokenize")
        self.refused(400, {"content": 3}, "has to be a text", path="/tokenize", param="content")

    def test_info(self):
        info = self.server.good("/tokenizer_info")
        self.assertEqual((info["eos_token"], info["eos_token_id"], info["bos_token"]), ("<|endoftext|>", 4095, "<|endoftext|>"))

    def chat(self, *messages, **fields):
        return self.server.good("/v1/chat/completions", {"messages": [dict(zip(("role", "content"), m)) for m in messages], **fields})

    def test_chat(self):
        answer = self.chat(("user", "Once upon a time"), max_tokens=12, seed=4)
        self.assertRegex(answer["id"], "^chatcmpl-")
        self.assertEqual(answer["object"], "chat.completion")
        message = answer["choices"][0]["message"]
        self.assertEqual(message["role"], "assistant")
        self.assertEqual(message["content"], self.server.text_of("Once upon a time<|endoftext|>", max_tokens=12, seed=4))
        turns = [("system", "A tale."), ("user", "Once"), ("assistant", "Yes."), ("user", [{"type": "text", "text": "Then"}])]
        self.assertEqual(self.chat(*turns, max_tokens=12, seed=4)["choices"][0]["message"]["content"],
                         self.server.text_of("A tale.<|endoftext|>Once<|endoftext|>Yes.<|endoftext|>Then<|endoftext|>", max_tokens=12, seed=4))
        self.assertEqual(self.server.good("/tokenize", {"messages": [{"role": "user", "content": "Once"}]})["tokens"][-1], 4095)
        self.assertEqual(self.chat(("user", "Once"), max_completion_tokens=3)["usage"]["completion_tokens"], 3)
        longest = self.chat(("user", "Once"), ignore_eos=True, seed=1)
        self.assertEqual(longest["usage"]["total_tokens"], CONTEXT + 1)

    def test_chat_stream(self):
        body = {"messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 12, "seed": 4, "n": 2}
        whole = self.server.good("/v1/chat/completions", body)
        connection = self.server.stream("/v1/chat/completions", body)
        texts, roles, ends = ["", ""], [None, None], [None, None]
        for event in events(connection.getresponse()):
            self.assertEqual(event["object"], "chat.completion.chunk")
            for choice in event["choices"]:
                i = choice["index"]
                roles[i] = roles[i] or choice["delta"].get("role")
                texts[i] += choice["delta"].get("content", "")
                ends[i] = choice["finish_reason"]
                if ends[i]:
                    self.assertEqual(choice["delta"], {})
        connection.close()
        self.assertEqual(texts, [c["message"]["content"] for c in whole["choices"]])
        self.assertEqual((roles, ends), (["assistant"] * 2, ["length"] * 2))

    def test_chat_logprobs(self):
        body = {"messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 5, "temperature": 0, "logprobs": True, "top_logprobs": 2}
        choice = self.server.good("/v1/chat/completions", body)["choices"][0]
        tokens = choice["logprobs"]["content"]
        self.assertEqual(b"".join(bytes(token["bytes"]) for token in tokens).decode(), choice["message"]["content"])
        for token in tokens:
            self.assertEqual(len(token["top_logprobs"]), 2)
            self.assertEqual(token["top_logprobs"][0]["logprob"], token["logprob"])  # greedy

    def test_wrong_messages(self):
        for messages, part in [(None, "a list of at least one"), ([], "a list of at least one"), ("hello", "a list of at least one"),
                               ([{"role": "tool", "content": "a"}], 'the role "tool"'), ([{"content": "a"}], "the role null"), ([3], "the role null"),
                               ([{"role": "user"}], "content of a message is null"), ([{"role": "user", "content": 3}], "is 3"),
                               ([{"role": "user", "content": [{"type": "image_url"}]}], "image_url"), ([{"role": "user", "content": "a " * 3000}], "room for 256")]:
            self.refused(400, {"messages": messages}, part, path="/v1/chat/completions", param="messages")
        self.refused(400, {"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2}, "needs logprobs", path="/v1/chat/completions")


@unittest.skipUnless(CHROMIUM, NO_CHROMIUM)
class Page(unittest.TestCase):
    """The page in a browser: it streams, shows alternatives, and needs nothing else."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("-np", "2")
        cls.url = "http://127.0.0.1:%d/" % cls.server.port
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.server.kill()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual([url for url in self.browser.requests() if not url.startswith((self.url, "data:"))], [])

    def until(self, expression):
        end = time.time() + WAIT
        while not self.browser.run(expression):
            self.assertLess(time.time(), end, expression)
            time.sleep(0.05)

    def write(self, **settings):
        for name, value in settings.items():
            self.browser.run("document.getElementById(%s).value = %s" % (json.dumps(name), json.dumps(value)))
        self.browser.run("document.getElementById('form').requestSubmit()")

    def test_writes(self):
        b = self.browser
        b.open(self.url)
        self.assertIn("tales, 256 tokens", b.text("#model"))
        self.write(prompt="A caf\u00e9 \u2603", max_tokens="20", temperature="0", top_k="0", top_p="1", min_p="0")
        self.until("!document.getElementById('go').disabled")
        want = self.server.text_of("A caf\u00e9 \u2603", max_tokens=20, temperature=0)
        self.assertEqual(b.run("document.getElementById('text').textContent"), "A caf\u00e9 \u2603" + want)
        self.assertEqual(b.run("document.querySelectorAll('.token').length"), 20)
        b.hover(".token")
        rows = b.run("[...document.querySelectorAll('#tip tr')].map(row => row.className)")
        self.assertEqual(rows, ["own", "", "", "", ""])  # greedy: the likeliest one is there
        self.assertRegex(b.text("#tip"), r"\d %")

    def test_seeds_and_stops(self):
        b = self.browser
        b.open(self.url)
        self.write(max_tokens="20", temperature="1", top_k="0", top_p="1", min_p="0", seed=str((1 << 64) - 1), stop_text="")
        self.until("!document.getElementById('go').disabled")
        want = self.server.text_of("Once upon a time", max_tokens=20, seed=(1 << 64) - 1)
        self.assertEqual(b.run("document.getElementById('text').textContent"), "Once upon a time" + want)
        self.write(max_tokens="250")
        self.until("document.querySelectorAll('.token').length > 3")
        b.click("#stop")
        self.until("!document.getElementById('go').disabled")
        self.assertEqual(b.text("#state"), "stopped")
        self.server.wait_for("vkgpt_sequences_running", 0)

    def test_says_what_is_wrong(self):
        self.browser.open(self.url)
        self.write(prompt="word " * 400)
        self.until("document.getElementById('state').className === 'error'")
        self.assertIn("the context has room for 256", self.browser.text("#state"))
        self.browser.events.clear()  # the browser itself reports the status 400

    def test_looks(self):
        b, shades = self.browser, []
        for dark in (False, True):
            b.open(self.url, PHONE, dark=dark)
            self.assertLessEqual(b.run("document.documentElement.scrollWidth"), PHONE[0])
            page = b.run("getComputedStyle(document.body).backgroundColor")
            shades.append(luminance(page))
            for selector in ("h1", "button", "label", "summary", "textarea"):
                color = b.run("getComputedStyle(document.querySelector(%s)).color" % json.dumps(selector))
                self.assertGreater(contrast(color, page), 4.5, (selector, dark))
        self.assertTrue(shades[0] > 0.8 and shades[1] < 0.05)


class Load(unittest.TestCase):
    """Many clients over few slots, a fifth of whom go away half way, and a tenth of whom send nonsense."""

    CLIENTS = 32
    SECONDS = float(os.environ.get("VKGPT_SERVE_SECONDS", 10 if os.environ.get("VKGPT_TEST_SHORT") else 60))
    PROMPTS = ["Once upon a time", "The king", "A dog ran", "", "In a far land there lived an old woman who", "He said"]
    NONSENSE = [b"{", b"[]", b'{"prompt":[-1]}', b'{"prompt":"a","n":0}', b'{"prompt":"a","temperature":"x"}', b"\x00\xff"]

    def make_requests(self, count):
        roll = random.Random(17)
        requests = []
        for i in range(count):
            fields = {"prompt": roll.choice(self.PROMPTS), "max_tokens": roll.randint(1, 60), "seed": roll.getrandbits(62),
                      "temperature": roll.choice([0, 0.7, 1])}
            flags = ["--seed", str(fields["seed"]), "--temp", str(fields["temperature"]), *PLAIN[2:]]
            requests.append((fields, generate(fields["prompt"], fields["max_tokens"], *flags)["text"]))
        return requests

    def one(self, server, roll, requests):
        """A request; returns what went wrong, or None."""
        kind = roll.random()
        if kind < 0.1:
            path = roll.choice(["/v1/completions", "/v1/chat/completions"])
            status = server.ask(path, roll.choice(self.NONSENSE))[0]
            return None if status == 400 else "nonsense: %d" % status
        fields, want = roll.choice(requests)
        if kind < 0.3:
            connection = server.stream("/v1/completions", {**fields, "max_tokens": 200, "ignore_eos": True})
            if roll.random() < 0.7:
                connection.getresponse().read(200)
            else:
                time.sleep(roll.random() * 0.3)
            connection.close()
            return None
        if kind < 0.6:
            text = server.text_of(fields["prompt"], **{key: value for key, value in fields.items() if key != "prompt"})
        else:
            connection = server.stream("/v1/completions", fields)
            text = "".join(event["choices"][0]["text"] for event in events(connection.getresponse()))
            connection.close()
        self.completed += 1
        return None if text == want else "%s: %r, not %r" % (fields, text, want)

    def client(self, server, number, requests):
        roll = random.Random(number)
        while time.time() < self.end and not self.wrong:
            try:
                wrong = self.one(server, roll, requests)
            except Exception as error:  # of a thread: the test says it
                wrong = repr(error)
            if wrong:
                self.wrong.append(wrong)

    def memory(self, server):
        with open("/proc/%d/status" % server.process.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024

    def test_many_clients(self):
        server = Server("-np", "8", "--queue", "64")
        self.addCleanup(server.kill)
        requests = self.make_requests(6 if self.SECONDS < 30 else 20 if self.SECONDS < 300 else 200)
        self.wrong, self.completed, self.end = [], 0, time.time() + self.SECONDS
        threads = [threading.Thread(target=self.client, args=(server, i, requests)) for i in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(self.SECONDS / 3)
        before = self.memory(server)
        for thread in threads:
            thread.join()
        self.assertEqual(self.wrong, [])
        self.assertGreater(self.completed, self.CLIENTS / 2)
        for name in ["vkgpt_sequences_running", "vkgpt_requests_waiting", "vkgpt_cache_tokens"]:
            server.wait_for(name, 0)
        self.assertGreater(server.metric("vkgpt_completions_left_total"), 0)
        self.assertLess(self.memory(server), before * 1.1 + 16)  # MiB
        self.assertEqual(server.end(), 0)
        self.assertNotIn("validation", server.text())


class Life(unittest.TestCase):
    """Clients that go away, the queue, how a server begins and ends, and devices that fail."""

    def start(self, *flags, **more):
        server = Server(*flags, **more)
        self.addCleanup(server.kill)
        return server

    LONG = {"prompt": "Once upon a time", "max_tokens": 250, "ignore_eos": True}

    def idle(self, server):
        server.wait_for("vkgpt_sequences_running", 0)
        server.wait_for("vkgpt_requests_waiting", 0)

    def test_clients_that_leave(self):
        """While it waits, in its prompt, and while it streams: the slot is free for the next one."""
        server = self.start("-np", "1")
        streaming = server.stream("/v1/completions", {**self.LONG, "n": 40})
        self.assertEqual(streaming.getresponse().status, 200)  # its first token is there
        waiting = server.connect()
        waiting.request("POST", "/v1/completions", json.dumps(self.LONG), {"Content-Type": "application/json"})
        server.wait_for("vkgpt_requests_waiting", 1)
        self.assertEqual(server.good("/health"), {"status": "ok"})
        waiting.close()
        server.wait_for("vkgpt_requests_waiting", 0)
        self.assertEqual(server.metric("vkgpt_sequences_running"), 1)
        streaming.close()
        self.idle(server)
        for _ in range(3):
            prompt = server.connect()
            prompt.request("POST", "/v1/completions", json.dumps({"prompt": [7] * CONTEXT, "n": 100}), {"Content-Type": "application/json"})
            server.wait_for("vkgpt_sequences_running", 1)
            prompt.close()
            self.idle(server)
        self.assertEqual(server.metric("vkgpt_completions_left_total"), 5)
        self.assertEqual(len(server.text_of("Once", max_tokens=5, seed=1)) > 3, True)
        self.assertEqual(server.end(), 0)

    def test_queue(self):
        server = self.start("-np", "1", "--queue", "2")
        connections = []
        for i in range(3):
            connections.append(server.connect())
            connections[i].request("POST", "/v1/completions", json.dumps({**self.LONG, "n": 20}), {"Content-Type": "application/json"})
            server.wait_for("vkgpt_sequences_running", 1)
            server.wait_for("vkgpt_requests_waiting", i)
        status, answer, headers = server.ask("/v1/completions", {"prompt": "Once"})
        self.assertEqual((status, answer["error"]["type"], headers["Retry-After"]), (429, "rate_limit_error", "1"))
        for connection in connections:
            connection.close()
        self.idle(server)
        self.assertEqual(server.metric("vkgpt_queue_full_total"), 1)
        self.assertEqual(server.ask("/v1/completions", {"prompt": "Once", "max_tokens": 2})[0], 200)

    def test_loading(self):
        server = self.start("-np", "1", ready=False)
        status, answer, headers = server.ask("/health")
        self.assertEqual((status, headers["Retry-After"]), (503, "1"))
        self.assertIn("is being loaded", answer["error"]["message"])
        status, answer, _ = server.ask("/v1/completions", {"prompt": "Once"})
        self.assertEqual(status, 503)
        server.said("serves tales")
        self.assertEqual(server.ask("/health")[0], 200)

    def test_drain(self):
        """What runs ends, what comes is refused, and the exit status is 0."""
        server = self.start("-np", "2")
        idle = server.connect()
        idle.request("GET", "/health")
        idle.getresponse().read()
        connection = server.stream("/v1/completions", {**self.LONG, "n": 4})
        answer = connection.getresponse()
        server.process.send_signal(signal.SIGTERM)
        server.said("the requests that run have 30 seconds")
        time.sleep(0.2)
        idle.request("GET", "/health")
        self.assertEqual(idle.getresponse().status, 503)
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", server.port), 5)
        ends = sum(1 for event in events(answer) for choice in event["choices"] if choice["finish_reason"])
        self.assertEqual(ends, 4)
        self.assertEqual(server.process.wait(WAIT), 0)

    def test_drain_ends(self):
        """After --drain seconds what still runs is told so; a second signal does not wait."""
        server = self.start("-np", "1", "--drain", "0.2")
        connection = server.stream("/v1/completions", {**self.LONG, "n": 100})
        answer = connection.getresponse()
        start = time.time()
        server.process.send_signal(signal.SIGINT)
        lines = [line for line in answer if line.startswith(b"data: ")]
        self.assertIn("the server ends", json.loads(lines[-1][6:])["error"]["message"])
        self.assertEqual(server.process.wait(WAIT), 0)
        self.assertLess(time.time() - start, 20)
        server = self.start("-np", "1", "--drain", "1000")
        connection = server.stream("/v1/completions", {**self.LONG, "n": 100})
        connection.getresponse()
        server.process.send_signal(signal.SIGTERM)
        server.said("the requests that run have")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(10), -signal.SIGTERM)

    def test_idle_connections(self):
        """With idle connections up to the limit of descriptors a new request is answered within a second."""
        server = self.start("-np", "1", files=300)
        idle = [socket.create_connection(("127.0.0.1", server.port), WAIT) for _ in range(1000)]
        for _ in range(3):
            start = time.time()
            self.assertEqual(server.ask("/health")[0], 200)
            self.assertLess(time.time() - start, 1)
        self.assertEqual(server.ask("/v1/completions", {"prompt": "Once", "max_tokens": 2})[0], 200)
        for connection in idle:
            connection.close()
        self.assertEqual(server.end(), 0)

    def test_lost_device(self):
        """A device that is lost is a 500 for those who run; the next ones run on a new session."""
        want = generate("Once upon a time", 12, "--temp", "0")["text"]
        faults = {"VK_ADD_LAYER_PATH": os.path.join(BUILD, "faults"), "VK_INSTANCE_LAYERS": "VK_LAYER_VKGPT_faults"}
        server = self.start("-np", "2", **faults, VKGPT_FAULT="vkQueueSubmit 60 -4")  # VK_ERROR_DEVICE_LOST
        statuses = []
        for _ in range(40):
            status, answer, _ = server.ask("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0})
            statuses.append(status)
            if status == 200:
                self.assertEqual(answer["choices"][0]["text"], want)
            else:
                self.assertEqual((status, answer["error"]["type"]), (500, "server_error"))
        self.assertEqual(statuses.count(500), 1, statuses)
        self.assertEqual(statuses[-1], 200)
        self.assertEqual(server.metric("vkgpt_device_errors_total"), 1)
        self.assertIn("are answered with status 500", server.text())
        self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv[1])
    PROGRAM = os.path.join(BUILD, "vkgpt")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
