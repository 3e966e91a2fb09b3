"""Tests of `vkgpt serve` while it runs: its page in a browser, many clients at once, clients that go away, and its end.

tests/serve_life.py BUILD [CLASS]: unittest, with the program of that build folder and the default model.
"""
import http.client
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import served
from browser import CHROMIUM, NO_CHROMIUM, PHONE, Browser, contrast, luminance
from served import Asking, CONTEXT, PLAIN, WAIT, Server, command, events, generate

SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json"


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


class Bench(unittest.TestCase):
    """A rehearsal of tools/bench-serve, without its peer."""

    def test_measures(self):
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "tales-f16.gguf")
            subprocess.run(command("convert", "-m", served.TALES, "-o", model, "--type", "f16"), check=True, capture_output=True)
            words = [os.path.join(served.ROOT, "tools", "bench-serve"), "-m", model, "--vkgpt", served.PROGRAM, "--clients", "1", "3", "--slots", "2",
                     "--seconds", "2", "--stream-seconds", "1", "-p", "4", "-n", "2", "-o", folder, "--name", "tiny"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("left out: llama-server", done.stderr)
            [report] = [name for name in os.listdir(folder) if name.endswith("-tiny.json")]
            with open(os.path.join(folder, report)) as file:
                [result] = json.load(file)["results"]
            with open(os.path.join(folder, report[:-len("json")] + "md")) as file:
                self.assertEqual(file.read() + "\n", done.stdout)
        self.assertEqual([row["clients"] for row in result["clients"]], [1, 3])
        for row in result["clients"]:
            self.assertGreater(row["tokens_per_s"], 0)
            self.assertGreater(row["requests"], 0)
            self.assertLess(0, row["first_token_median_s"][0])
        self.assertEqual([row["streams"] for row in result["streams"]], [1, 2])
        for row in result["streams"]:
            self.assertGreater(row["tokens_per_s"], 0)
            self.assertLessEqual({"vkgpt-engine", "MHD-single"}, set(row["threads"]))
        self.assertLess(0, result["long"]["short_first_token_s"])


class Prefill(unittest.TestCase):
    """While a long prompt is read, in four blocks of 256 tokens: 16 MiB of logits of 16,384 tokens. It asks for its own log
    probabilities, so that each of its blocks ends in events."""

    BLOCK, TOKENS = 256, 1000
    FIELDS = {"temperature": 0, "logit_bias": {"262": 100}, "ignore_eos": True}  # each token is an event
    LONG = {"prompt": [5 + i % 100 for i in range(TOKENS)], "max_tokens": 1, "echo": True, "logprobs": 0, **FIELDS}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        model = os.path.join(cls.folder.name, "model")
        sizes = ["--layers", "4", "--dim", "256", "--heads", "4", "--context", "1024", "--vocab", "16384"]
        subprocess.run(command("make-model", "gpt2", "-o", model, *sizes), check=True, capture_output=True)
        cls.server = Server("-np", "2", model=model)
        cls.server.complete([5] * 300, max_tokens=3)  # what the first use compiles is there

    @classmethod
    def tearDownClass(cls):
        status = cls.server.end()
        cls.server.kill()
        cls.folder.cleanup()
        assert status == 0, status

    def setUp(self):
        self.seen, self.news = [], threading.Condition()  # whose events, in the order in which they came

    def note(self, name):
        with self.news:
            self.seen.append(name)
            self.news.notify_all()

    def wait_for_event(self, name):
        with self.news:
            self.assertTrue(self.news.wait_for(lambda: name in self.seen, WAIT))

    def start(self, name, body):
        connection = self.server.stream("/v1/completions", body)

        def read():
            for _ in events(connection.getresponse()):
                self.note(name)
            connection.close()
        thread = threading.Thread(target=read)
        thread.start()
        return thread

    def test_short_requests(self):
        """The first token of a short one comes before two more blocks of the long one."""
        threads = [self.start("long", self.LONG)]
        self.wait_for_event("long")
        time.sleep(0.1)  # the rest of the block's events
        self.note("sent")
        threads.append(self.start("short", {"prompt": [9] * 8, "max_tokens": 2, **self.FIELDS}))
        for thread in threads:
            thread.join()
        blocks = self.seen[self.seen.index("sent"):self.seen.index("short")].count("long") / self.BLOCK
        self.assertLess(blocks, 2)
        self.assertGreaterEqual(self.seen.count("long"), self.TOKENS - 1)

    def test_health(self):
        start = time.time()
        with Asking(self.server) as health:
            self.server.good("/v1/completions", self.LONG)
        self.assertGreater(len(health.seconds), 5)
        self.assertLess(health.late(), 0.1, sorted(health.seconds))
        self.assertLess(max(health.seconds), max(1, (time.time() - start) / 4))

    def test_clients_that_leave(self):
        """The rest of its prompt is not read, and it gets no token."""
        tokens, left = (self.server.metric(name) for name in ("vkgpt_generated_tokens_total", "vkgpt_completions_left_total"))
        connection = self.server.stream("/v1/completions", self.LONG)
        answer = connection.getresponse()  # its first block has ended
        self.assertEqual(self.server.metric("vkgpt_sequences_running"), 1)
        answer.close()
        connection.close()
        self.server.wait_for("vkgpt_sequences_running", 0)
        self.assertEqual(self.server.metric("vkgpt_generated_tokens_total"), tokens)
        self.assertEqual(self.server.metric("vkgpt_completions_left_total"), left + 1)


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

    def test_warm_up(self):
        """With a driver that has compiled nothing yet, /health says 503 until it has, and the first request is quick."""
        def first(*flags):
            with tempfile.TemporaryDirectory() as folder:
                server = self.start("-np", "2", *flags, ready=False, XDG_CACHE_HOME=folder, MESA_SHADER_CACHE_DIR=folder)
                if not flags:
                    self.assertEqual(server.ask("/health")[0], 503)
                server.said("serves tales")
                start, body = time.time(), {"prompt": [[5] * 40, [6] * 40], "max_tokens": 2, "echo": True, "logprobs": 1}
                server.good("/v1/completions", body)
                seconds = time.time() - start
                self.assertEqual(server.end(), 0)
                return seconds, server.text()
        seconds, text = first()
        self.assertRegex(text, r"the first tokens, for which the driver compiles, took \d")
        slow_seconds, text = first("--no-warmup")
        self.assertNotIn("the first tokens", text)
        self.assertLess(5 * seconds, slow_seconds)

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

    def crowd(self, count, files):
        """With idle connections up to the limit of descriptors a new request is answered within a second."""
        server = self.start("-np", "1", files=files)
        idle = [socket.create_connection(("127.0.0.1", server.port), WAIT) for _ in range(count)]
        for _ in range(3):
            start = time.time()
            self.assertEqual(server.ask("/health")[0], 200)
            self.assertLess(time.time() - start, 1)
        self.assertEqual(server.ask("/v1/completions", {"prompt": "Once", "max_tokens": 2})[0], 200)
        for connection in idle:
            connection.close()
        self.assertEqual(server.end(), 0)

    def test_idle_connections(self):
        self.crowd(1000, 300)

    def test_ten_thousand_idle_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 10100:
            self.skipTest("ten thousand connections need as many descriptors, and the limit is %d" % hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.crowd(10000, None)

    def test_no_memory(self):
        """A request for which the host has no memory gets 503 or 500, or its connection is closed; the server goes on."""
        server = self.start("-np", "2")
        want = server.text_of("Once upon", max_tokens=8, seed=1)
        content, statuses = "word " * (3 << 20), []
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
        for spare in range(0, 60, 15):  # MiB
            with open("/proc/%d/statm" % server.process.pid) as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            if used > 1 << 40:
                self.skipTest("a sanitizer reserves terabytes of addresses, and ends the program when an allocation fails")
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, (used + (spare << 20), hard))
            for path, body in [("/tokenize", {"content": content}), ("/v1/completions", {"prompt": content})]:
                try:
                    status, answer, _ = server.ask(path, body, raw=True)
                except (OSError, http.client.HTTPException):
                    status = "closed"
                statuses.append(status)
                if status in (500, 503):
                    self.assertIn("no host memory", json.loads(answer)["error"]["message"])
            self.assertEqual(server.good("/health"), {"status": "ok"})
        self.assertLessEqual(set(statuses), {200, 400, 500, 503, "closed"})
        self.assertGreater(statuses.count(503) + statuses.count(500), 1, statuses)
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (hard, hard))
        self.assertGreater(server.good("/tokenize", {"content": content})["count"], 3 << 20)
        self.assertEqual(server.text_of("Once upon", max_tokens=8, seed=1), want)
        self.assertEqual(server.end(), 0)

    def losing(self, requests, *flags, layers="VK_LAYER_VKGPT_faults", **environment):
        """A device that is lost is a 500 for those who run; the next ones run on a new session."""
        want = generate("Once upon a time", 12, "--temp", "0")["text"]
        layers = {"VK_ADD_LAYER_PATH": f"{served.BUILD}/faults:/usr/share/vulkan/explicit_layer.d", "VK_INSTANCE_LAYERS": layers}
        server = self.start("-np", "2", *flags, **layers, **environment, VKGPT_FAULT="vkQueueSubmit 60 -4")  # DEVICE_LOST
        statuses = []
        for _ in range(requests):
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

    def test_lost_device(self):
        self.losing(40)

    def test_lost_device_of_two(self):
        if not os.path.exists(SWIFTSHADER):
            self.skipTest("two devices are needed: lavapipe and SwiftShader")
        both = {name: f"{os.environ['VK_DRIVER_FILES']}:{SWIFTSHADER}" for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")}
        self.losing(20, "--devices", "llvmpipe,SwiftShader", "--split", "5,1",
                    layers="VK_LAYER_VKGPT_faults:VK_LAYER_KHRONOS_validation", **both)


if __name__ == "__main__":
    served.main()
