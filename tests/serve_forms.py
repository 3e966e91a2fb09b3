"""Tests of `vkgpt serve` through real sockets: every form of a request that HTTP and JSON allow, lawful or not.

tests/serve_forms.py BUILD [CLASS]: unittest, with the program of that build folder and the default model.
"""
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import served
from served import CONTEXT, TALES, WAIT, Server, Serving, command, events, ids_of

GETS = ["/", "/health", "/version", "/metrics", "/props", "/v1/models", "/v1/models/tales", "/tokenizer_info"]
POSTS = ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"]


class Fields(Serving):
    """Every field of every endpoint with a value of every type."""

    flags = ["-np", "2", "--chat-template", "eos"]
    VALUES = {"whole": 3, "one": 1, "negative": -1, "real": 1.5, "text": "x", "empty": "", "true": True, "list": [], "object": {}, "ids": [1], "huge": 1e300}
    FLAG, TEXT, COUNT, REAL = ["true"], ["text", "empty"], ["whole", "one"], ["whole", "one", "real"]
    COMMON = {"temperature": REAL, "top_p": ["one"], "top_k": COUNT, "min_p": ["one"], "repeat_penalty": REAL, "repeat_last_n": [*COUNT, "negative"],
              "presence_penalty": ["one", "real", "negative"], "frequency_penalty": ["one", "real", "negative"], "logit_bias": ["object"], "max_tokens": COUNT,
              "n": COUNT, "seed": [*COUNT, "negative"], "stop": ["text", "list"], "stream": FLAG, "stream_options": ["object"], "ignore_eos": FLAG,
              "user": list(VALUES), "model": list(VALUES)}
    ENDPOINTS = {
        "/v1/completions": ({"prompt": "a", "max_tokens": 1}, {**COMMON, "prompt": ["text", "empty", "ids"], "best_of": COUNT, "logprobs": COUNT,
                                                                "echo": FLAG, "suffix": []}),
        "/v1/chat/completions": ({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1},
                                 {**COMMON, "messages": [], "logprobs": FLAG, "top_logprobs": [], "max_completion_tokens": COUNT, "response_format": []}),
        "/tokenize": ({"content": "a"}, {"content": TEXT, "prompt": TEXT, "add_special": FLAG, "add_special_tokens": FLAG, "parse_special": FLAG,
                                         "add_generation_prompt": FLAG, "with_pieces": FLAG, "return_token_strs": FLAG}),
        "/detokenize": ({}, {"tokens": ["list", "ids"]}),
    }

    def test_types(self):
        for path, (body, fields) in self.ENDPOINTS.items():
            for field, lawful in fields.items():
                for name, value in self.VALUES.items():
                    if name in lawful:
                        self.assertEqual(self.server.ask(path, {**body, field: value}, raw=True)[0], 200, (path, field, name))
                    else:
                        self.refused(400, {**body, field: value}, path=path, param=field)
                if field in ("messages", "tokens") or field in body and path == "/tokenize":
                    continue  # it has to be given
                self.assertEqual(self.server.ask(path, {"tokens": [1], **body, field: None}, raw=True)[0], 200, (path, field))

    def test_numbers(self):
        for one in ["1e0", "1.0", "10e-1", "0.1E1"]:
            answer = self.server.good("/v1/completions", '{"prompt":"a","max_tokens":%s,"n":%s,"logprobs":%s,"temperature":%s}' % ((one,) * 4))
            self.assertEqual(answer["usage"]["completion_tokens"], 1)

    def test_many_biases(self):
        plain = self.server.text_of("Once upon a time", max_tokens=8, temperature=0)
        bias = {str(i): -100 for i in range(2000, 3024) if i not in ids_of(plain)}
        bias.update({str(i): -100 for i in range(3024, 4096) if len(bias) < 1024})
        self.assertLess(1020, len(bias))
        bias = {**{key: -100 for key in bias}, str(ids_of(" king")[0]): 100}
        bias = dict(list(bias.items())[-1024:])
        self.assertEqual(len(bias), 1024)
        self.assertEqual(self.server.text_of("Once", max_tokens=3, logit_bias=bias), " king king king")  # also the last entry counts
        self.refused(400, {"prompt": "a", "logit_bias": {str(i): 1 for i in range(1025)}}, "1025 entries, 1024 at most", param="logit_bias")

    def test_options_of_a_stream_without_one(self):
        answer = self.server.complete("a", max_tokens=1, stream_options={"include_usage": True})
        self.assertEqual(answer["usage"]["completion_tokens"], 1)

    def test_everything_at_once(self):
        """echo, log probabilities, a stop string and several texts of several prompts: a stream has the whole answer in parts."""
        body = {"prompt": ["Once \u2603 upon", "", ids_of("The \u2603")], "n": 2, "echo": True, "logprobs": 2, "max_tokens": 12, "seed": 4, "stop": ["th", " a"]}
        whole = self.server.good("/v1/completions", body)["choices"]
        texts, lists = [""] * 6, [{key: [] for key in whole[0]["logprobs"]} for _ in whole]
        connection = self.server.stream("/v1/completions", body)
        for event in events(connection.getresponse()):
            [choice] = event["choices"]
            texts[choice["index"]] += choice["text"]
            for key, value in choice["logprobs"].items():
                lists[choice["index"]][key] += value
        connection.close()
        self.assertEqual(texts, [choice["text"] for choice in whole])
        self.assertEqual(lists, [choice["logprobs"] for choice in whole])
        for text, found in zip(texts, lists):
            self.assertIsNone(found["token_logprobs"][0])
            for token, offset in list(zip(found["tokens"], found["text_offset"]))[:-1]:  # the last one may be cut by a stop string
                if not token.startswith("bytes:"):
                    self.assertEqual(text[offset:offset + len(token)], token)
        best = self.server.good("/v1/completions", {**body, "best_of": 3})["choices"]
        self.assertEqual(len(best), 6)
        for choice in best:
            self.assertEqual(len(choice["logprobs"]["tokens"]), len(choice["logprobs"]["text_offset"]))

    def test_echo_of_nothing(self):
        """The first token of an empty prompt is no part of its text, and has an entry."""
        want = self.server.text_of("", max_tokens=3, temperature=0)
        for prompt in ["", [""], [[]], None]:
            for fields in [{}, {"logprobs": 1}, {"logprobs": 0, "stop": want}]:
                choice = self.server.complete(prompt, max_tokens=3, temperature=0, echo=True, **fields)["choices"][0]
                self.assertEqual(choice["text"], "" if "stop" in fields else want, (prompt, fields))
                if fields:
                    self.assertEqual((choice["logprobs"]["tokens"][0], choice["logprobs"]["token_logprobs"][0]), ("", None))
                    self.assertEqual(choice["logprobs"]["text_offset"][:2], [0, 0][:len(choice["logprobs"]["tokens"])])
        alone = self.server.complete("", max_tokens=0, echo=True, logprobs=0)["choices"][0]
        self.assertEqual((alone["text"], alone["logprobs"]["tokens"], alone["logprobs"]["top_logprobs"]), ("", [""], [None]))

    def test_pieces(self):
        """As of llama-server: a piece that is not UTF-8 is a list of bytes."""
        tokens = self.server.good("/tokenize", {"content": "a\u2603<|endoftext|>", "with_pieces": True})["tokens"]
        self.assertEqual([token["piece"] for token in tokens], ["a", [0xE2], [0x98], [0x83], "<|endoftext|>"])
        self.assertEqual([token["id"] for token in tokens], self.server.good("/tokenize", {"content": "a\u2603<|endoftext|>"})["tokens"])

    def test_conversation_without_an_answer(self):
        """As of vLLM: without add_generation_prompt the tokens end with the last message."""
        server = Server("-np", "1", "--chat-template", "chatml")
        self.addCleanup(server.kill)
        messages = [{"role": "user", "content": "Once"}]
        whole, turns = (server.good("/tokenize", {"messages": messages, **more})["tokens"] for more in ({}, {"add_generation_prompt": False}))
        self.assertEqual(whole[:len(turns)], turns)
        self.assertLess(len(turns), len(whole))


class Bytes(Serving):
    """Requests as HTTP allows them."""

    flags = ["-np", "2", "--timeout", "20"]
    HEAD = b"Host: x\r\nContent-Type: application/json\r\n"

    def send(self, data, answers=1, half=False):
        """What comes back, up to this many answers, or the end."""
        out = b""
        with socket.create_connection(("127.0.0.1", self.server.port), WAIT) as s:
            s.sendall(data)
            if half:
                s.shutdown(socket.SHUT_WR)
            while out.count(b"HTTP/1.1 ") < answers or not out.endswith(b"}"):
                more = s.recv(1 << 16)
                if not more:
                    break
                out += more
        return out

    def post(self, path, body, more=b""):
        return b"POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (path, self.HEAD, more, len(body), body)

    def test_methods(self):
        for paths, own in [(GETS, "GET"), (POSTS, "POST")]:
            for path in paths:
                for method in {"HEAD", "GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "FOO"} - {own}:
                    status, answer, headers = self.server.ask(path, method=method, raw=True)
                    self.assertEqual((status, headers["Allow"]), (405, own), (path, method))
                    if method != "HEAD":
                        self.assertEqual(list(json.loads(answer)["error"]), ["message", "type", "param", "code"])

    def test_queries(self):
        for path in ["/health?a=b", "/v1/models?limit=1&x", "/v1/mod%65ls", "/v1/models/tales?"]:
            self.assertEqual(self.server.ask(path)[0], 200, path)
        self.assertEqual(self.server.ask("/tokenize?x=y", {"content": "a"})[0], 200)
        for path in ["/health/", "//health", "/v1", "/v1/models/tales/x"]:
            self.refused(404, None, path=path)

    def test_bodies(self):
        expect = self.send(self.post(b"/tokenize", b'{"content":"a"}', b"Expect: 100-continue\r\n"), 2)
        self.assertIn(b"100 Continue\r\n\r\nHTTP/1.1 200 OK", expect)
        chunks = b'5\r\n{"con\r\na;x=y\r\ntent":"a"}\r\n0\r\nX: y\r\n\r\n'
        self.assertIn(b'"tokens":[64]', self.send(b"POST /tokenize HTTP/1.1\r\n" + self.HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))
        old = self.send(self.post(b"/tokenize", b'{"content":"a"}').replace(b"HTTP/1.1", b"HTTP/1.0"))
        self.assertIn(b'"tokens":[64]', old)
        stream = self.post(b"/v1/completions", b'{"prompt":"a","max_tokens":2,"stream":true}').replace(b"HTTP/1.1", b"HTTP/1.0")
        self.assertTrue(self.send(stream, 2).endswith(b"data: [DONE]\n\n"))  # no chunks, and then the connection ends
        for kind in [b"APPLICATION/JSON; CHARSET=UTF-8", b"application/json ; charset=x"]:
            text = self.post(b"/tokenize", b'{"content":"a"}').replace(b"application/json", kind)
            self.assertIn(b" 200 OK", self.send(text))

    def test_pipelined(self):
        one = self.post(b"/v1/completions", b'{"prompt":"Once","max_tokens":3,"seed":1}')
        out = self.send(one * 3 + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 4)
        self.assertEqual((out.count(b"HTTP/1.1 200"), out.count(b'"text":"')), (4, 3))
        self.assertTrue(out.endswith(b'{"status":"ok"}'))

    def test_half_closed(self):
        """A client that sends no more has gone away, where its answer takes time; quick answers come."""
        self.assertIn(b'"tokens":[64]', self.send(self.post(b"/tokenize", b'{"content":"a"}'), half=True))
        left = self.server.metric("vkgpt_completions_left_total")
        body = b'{"prompt":"Once","max_tokens":250,"ignore_eos":true,"n":20}'
        self.assertEqual(self.send(self.post(b"/v1/completions", body), half=True), b"")
        self.server.wait_for("vkgpt_completions_left_total", left + 1)

    def test_keep_alive_after_errors(self):
        connection = self.server.connect()
        connection.connect()
        first = connection.sock
        for method, path, body, status in [("POST", "/v1/completions", "{", 400), ("GET", "/nothing", None, 404), ("PUT", "/health", None, 405),
                                           ("POST", "/v1/completions", '{"prompt":[-1]}', 400), ("HEAD", "/health", None, 405), ("GET", "/health", None, 200),
                                           ("POST", "/v1/completions", '{"prompt":"a","max_tokens":1}', 200)]:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual((answer.status, connection.sock is first), (status, True), path)
        connection.close()

    def test_small_bodies_go_first(self):
        """Of the bodies that wait to be read the smallest is next: a client with few texts does not wait for those with many."""
        large = {"prompt": "word and a king " * ((12 << 20) // 16)}
        ends = []

        def ask(name, body):
            self.server.ask("/v1/completions", body)
            ends.append(name)
        threads = [threading.Thread(target=ask, args=("large", large)) for _ in range(6)]
        for thread in threads:
            thread.start()
        while self.server.ask("/health")[0] == 200 and not ends:
            time.sleep(0.01)
        threads.append(threading.Thread(target=ask, args=("small", {"prompt": "word " * 20000})))
        threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertLess(ends.index("small"), 4, ends)


class Begins(unittest.TestCase):
    """Addresses, keys, and ends."""

    def start(self, *flags):
        server = Server("-np", "1", *flags)
        self.addCleanup(server.kill)
        return server

    def test_hosts(self):
        for host, shown, family in [("localhost", None, None), ("::1", "[::1]", socket.AF_INET6), ("127.0.0.2", "127.0.0.2", socket.AF_INET)]:
            if family == socket.AF_INET6 and not os.path.exists("/proc/net/if_inet6"):
                continue
            server = self.start("--host", host)
            self.assertNotIn("other machines", server.text())
            if shown:
                self.assertIn("http://%s:%d\n" % (shown, server.port), server.text())
                with socket.create_connection((host, server.port), WAIT) as s:
                    self.assertEqual(s.family, family)
                    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    self.assertIn(b" 200 OK", s.recv(1000))

    def test_key_files(self):
        with tempfile.TemporaryDirectory() as folder:
            def file(text):
                path = os.path.join(folder, "keys")
                with open(path, "w") as f:
                    f.write(text)
                return path
            for text in ["k", "k\n", "k\r\n", "\n\nk\n\n"]:
                server = self.start("--api-key-file", file(text))
                for key, status in [("k", 200), ("", 401), ("K", 401)]:
                    self.assertEqual(server.ask("/v1/models", headers={"Authorization": "Bearer " + key})[0], status, (text, key))
                server.kill()
            for text, path, part in [("", None, "holds no key"), ("\n\n", None, "holds no key"), ("k\n  \n", None, "a key is empty"),
                                     (None, os.path.join(folder, "none"), "cannot open"), (None, folder, "is a directory")]:
                words = command("serve", "-m", TALES, "--port", "0", "--api-key-file", path or file(text))
                done = subprocess.run(words, capture_output=True, text=True, timeout=WAIT)
                self.assertEqual(done.returncode, 1)
                self.assertIn(part, done.stderr)

    def test_answers_take_longer_than_the_timeout(self):
        """--timeout is for requests: an answer may take longer, and a client may wait for longer."""
        server = self.start("--timeout", "1")
        first = server.stream("/v1/completions", {"prompt": "Once", "max_tokens": 250, "ignore_eos": True, "n": 100})
        first.getresponse()
        second = server.connect()
        second.request("POST", "/v1/completions", '{"prompt":"a","max_tokens":1}', {"Content-Type": "application/json"})
        time.sleep(3)
        first.close()
        self.assertEqual(second.getresponse().status, 200)
        second.close()
        self.assertEqual(server.end(), 0)

    def test_no_queue(self):
        """With --queue 0 a client may ask again as soon as it has its answer."""
        server = self.start("--queue", "0")
        connection = server.connect()
        for _ in range(100):
            connection.request("POST", "/v1/completions", '{"prompt":"a","max_tokens":1}', {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
        long = server.stream("/v1/completions", {"prompt": "Once", "max_tokens": 250, "ignore_eos": True, "n": 20})
        long.getresponse()
        self.assertEqual(server.ask("/v1/completions", {"prompt": "a"})[0], 429)
        long.close()
        connection.close()

    def test_ends(self):
        """SIGTERM while requests are in their prompts and in the queue: with --drain 0 they are told, else they are answered."""
        for drain, wanted in [("0", 503), ("300", 200)]:
            server = self.start("--drain", drain)
            connections = [server.connect() for _ in range(4)]
            for connection in connections:
                body = {"prompt": [7] * (CONTEXT - 50), "max_tokens": 50, "ignore_eos": True, "seed": 1, "n": 8}
                connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            server.wait_for("vkgpt_requests_waiting", 3)
            server.process.send_signal(signal.SIGTERM)
            statuses = [connection.getresponse().status for connection in connections]
            self.assertEqual(statuses, [wanted] * 4)
            self.assertEqual(server.process.wait(WAIT), 0)


if __name__ == "__main__":
    served.main()
