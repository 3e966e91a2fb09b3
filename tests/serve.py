"""Tests of `vkgpt serve` through real sockets, with clients of Python's standard library: what it answers.

tests/serve.py BUILD [CLASS]: unittest, with the program of that build folder and the default model.
"""
import json
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import served
from served import Asking, CONTEXT, PLAIN, TALES, VOCAB, WAIT, Server, Serving, command, events, generate, ids_of


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

    def test_large_prompts(self):
        """Texts that take seconds to tokenize stop nobody else."""
        text = "word and a king " * ((15 << 20) // 16)
        with Asking(self.server) as health:
            self.refused(400, {"prompt": text}, "3932162 tokens, the context has room for 256", param="prompt")
            self.assertEqual(self.server.good("/tokenize", {"content": text})["count"], 3932162)
            self.assertEqual(len(self.server.good("/detokenize", {"tokens": [86] * 1_000_000})["content"]), 1_000_000)
        self.assertGreater(len(health.seconds), 20)
        self.assertLess(health.late(), 0.1, sorted(health.seconds))
        self.assertLess(max(health.seconds), 1)

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
        done = subprocess.run(command("score", "-m", TALES, "-p", context, *flags, "--json"), capture_output=True, check=True, timeout=600)
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


if __name__ == "__main__":
    served.main()
