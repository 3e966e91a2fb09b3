"""Tests of `vkgpt pull`, `vkgpt models` and -m NAME against a server on loopback that speaks the hub's API.

tests/hub.py BUILD [CLASS]: unittest, with the program of that build folder. Where huggingface_hub can be imported, its
cache and ours are compared too.
"""
import hashlib
import http.server
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

try:
    import huggingface_hub
except ImportError:
    huggingface_hub = None

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = None
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "tester/tales"
FOLDER = "models--tester--tales"
SMALL = ["config.json", "vocab.json", "merges.txt"]
WEIGHTS = "model.safetensors"


class Model:
    """Files of a model, and what the hub says of them."""

    def __init__(self, files):
        self.files = dict(files)
        self.listed = {name: self.describe(name) for name in self.files}
        self.commit = COMMIT
        self.revisions = {}  # other revisions: models of their own

    def at(self, revision):
        if revision in ("main", self.commit):
            return self
        return next((model for name, model in self.revisions.items() if revision in (name, model.commit)), None)

    def describe(self, name):
        data = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"rfilename": name, "size": len(data), "blobId": blob}
        if name.endswith((".safetensors", ".bin", ".gguf")):
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def etag(self, name):
        entry = self.listed[name]
        return entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"]


def read(name):
    with open(os.path.join(ROOT, "models", "tales", name), "rb") as file:
        return file.read()


def tales():
    return Model({name: read(name) for name in SMALL + [WEIGHTS]} | {"README.md": b"a card", "onnx/model.onnx": b"x"})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def refuse(self, status, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.server.hub
        self.path = self.path.removeprefix("http://hub.invalid")  # as a proxy is asked
        with hub.mutex:
            hub.requests.append((self.path, dict(self.headers)))
        if hub.token and self.headers.get("Authorization") != "Bearer " + hub.token:
            return self.refuse(401)
        for part, statuses in hub.statuses.items():
            if part in self.path and statuses:
                status = statuses.pop(0) if len(statuses) > 1 or statuses[0] < 0 else statuses[0]
                if status > 0:
                    return self.refuse(status, **hub.headers)
        match = re.fullmatch(r"/api/models/([^?]+?)/tree/[0-9a-f]+(?:\?.*)?", self.path)
        if match: # as huggingface_hub asks
            return self.answer([self.leaf(entry) for entry in hub.models[match[1]].listed.values()])
        match = re.fullmatch(r"/api/models/([^?]+?)(?:/revision/([^/?]+))?(?:\?.*)?", self.path)
        if match:
            return self.api(match[1], urllib.parse.unquote(match[2] or "main"))
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+|main)/([^?]+)", self.path)
        return self.file(match[1], match[2], match[3]) if match else self.refuse(404)

    def model(self, name, revision):
        model = self.server.hub.models.get(name)
        return model and model.at(revision)

    def api(self, name, revision):
        model = self.model(name, revision)
        if not model:
            return self.refuse(404)
        self.answer({"id": name, "sha": model.commit, "siblings": list(model.listed.values())})

    @staticmethod
    def leaf(entry):
        leaf = {"type": "file", "path": entry["rfilename"], "size": entry["size"], "oid": entry["blobId"]}
        if "lfs" in entry:
            leaf["lfs"] = {"oid": entry["lfs"]["sha256"], "size": entry["lfs"]["size"], "pointerSize": 134}
        return leaf

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def file(self, model, revision, name):
        hub = self.server.hub
        model = self.model(model, revision)
        if not model or name not in model.files:
            return self.refuse(404)
        if hub.elsewhere and "lfs" in model.listed[name]:
            return self.refuse(302, Location=hub.elsewhere + self.path, X_Repo_Commit=model.commit,
                               X_Linked_Etag='"%s"' % model.etag(name), X_Linked_Size=str(len(model.files[name])))
        data, first = model.files[name], 0
        ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if ranged and hub.ranges:
            first = int(ranged[1])
        if first >= len(data) > 0:
            return self.refuse(416)
        self.send_response(206 if first else 200)
        self.send_header("ETag", '"%s"' % model.etag(name))
        self.send_header("X-Repo-Commit", model.commit)
        if hub.lengths:
            self.send_header("Content-Length", str(len(data) - first))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if first:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(data)
        if hub.cut and end - first > hub.cut and hub.cuts != 0:
            end, self.close_connection = first + hub.cut, True
            hub.cuts -= 1
        for at in range(first, end, 1 << 16):
            self.wfile.write(data[at:min(at + (1 << 16), end)])
            time.sleep(hub.delay)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that went away is part of the tests."""


class Hub:
    """A server, and how it behaves."""

    def __init__(self):
        self.models = {NAME: tales()}
        self.requests, self.statuses, self.headers = [], {}, {}
        self.token = self.elsewhere = None
        self.cut, self.cuts, self.delay = 0, -1, 0
        self.ranges = self.lengths = True
        self.mutex = threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def gets(self, part):
        return [headers for path, headers in self.requests if part in path]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.cache = os.path.join(self.dir, "hub")
        dropped = ("HF_", "HUGGING", "VKGPT_MODEL", "XDG_CACHE_HOME", "http_proxy", "https_proxy", "all_proxy")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped) and not k.lower().endswith("_proxy")}
        self.environment |= {"HF_HOME": self.dir, "HF_ENDPOINT": self.hub.url, "HOME": self.dir,
                             "XDG_CACHE_HOME": os.path.join(self.dir, "xdg"),
                             "VKGPT_PULL_WAIT": "0.01"}

    def start(self, *arguments, **options):
        return subprocess.Popen([PROGRAM, *arguments], env=self.environment, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def vkgpt(self, *arguments, status=0, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, status, (arguments, out, err))
        return out, err

    def refused(self, *words, name=NAME, status=1, **options):
        out, err = self.vkgpt("pull", name, status=status, **options)
        self.assertEqual(out, "")
        for word in words:
            self.assertIn(word, err)
        return err

    def place(self, *parts):
        return os.path.join(self.cache, FOLDER, *parts)

    def whole(self, name=NAME):
        """Every file of the snapshot is the hub's, and nothing half-done is left."""
        model = self.hub.models[name]
        folder = os.path.join(self.cache, "models--" + name.replace("/", "--"))
        with open(os.path.join(folder, "refs", "main")) as file:
            self.assertEqual(file.read(), model.commit)
        return self.whole_in(os.path.join(folder, "snapshots", model.commit), model)

    def whole_in(self, snapshot, model):
        folder = os.path.dirname(os.path.dirname(snapshot))
        for file in os.listdir(snapshot):
            self.assertEqual(os.readlink(os.path.join(snapshot, file)), "../../blobs/" + model.etag(file))
            with open(os.path.join(snapshot, file), "rb") as data:
                self.assertEqual(data.read(), model.files[file])
        self.assertFalse([name for name in os.listdir(os.path.join(folder, "blobs")) if name.endswith(".incomplete")])
        return sorted(os.listdir(snapshot))


class Pull(Case):
    def test_layout(self):
        out, err = self.vkgpt("pull", NAME)
        self.assertEqual(out, self.place("snapshots", COMMIT) + "\n")
        self.assertIn("-m tester/tales runs it", err)
        self.assertEqual(self.whole(), sorted(SMALL + [WEIGHTS]))
        before = len(self.hub.requests)
        self.vkgpt("pull", NAME)
        self.assertFalse([path for path, _ in self.hub.requests[before:] if "resolve" in path])

    def test_found_by_name(self):
        self.vkgpt("pull", NAME)
        by_name, _ = self.vkgpt("tokenize", "-m", NAME, "-p", "Once upon a time")
        by_path, _ = self.vkgpt("tokenize", "-m", os.path.join(ROOT, "models", "tales"), "-p", "Once upon a time")
        self.assertEqual(by_name, by_path)
        listed = {m["name"]: m for m in json.loads(self.vkgpt("models", "--json")[0])["models"]}
        self.assertEqual(listed[NAME]["class"], "gpt2")
        self.assertEqual(listed[NAME]["parameters"], listed["tales"]["parameters"])
        self.assertEqual(listed[NAME]["bytes"], sum(len(self.hub.models[NAME].files[name]) for name in SMALL + [WEIGHTS]))
        self.assertIn(NAME, self.vkgpt("models")[0])

    def test_short_names(self):
        self.hub.models["openai-community/gpt2"] = tales()
        _, err = self.vkgpt("tokenize", "-m", "gpt2", "-p", "a", status=1)
        self.assertIn("`vkgpt pull gpt2`", err)
        self.vkgpt("pull", "gpt2")
        self.whole("openai-community/gpt2")
        self.assertEqual(self.vkgpt("tokenize", "-m", "gpt2", "-p", "a"), self.vkgpt("tokenize", "-m", "tales", "-p", "a"))
        self.vkgpt("tokenize", "-m", "openai-community/gpt2", "-p", "a")
        os.rename(os.path.join(self.cache, "models--openai-community--gpt2"), os.path.join(self.cache, "models--gpt2"))
        self.vkgpt("tokenize", "-m", "gpt2", "-p", "a")

    def test_places(self):
        for variable, value in ("HF_HUB_CACHE", "a"), ("HF_HOME", "b"), ("XDG_CACHE_HOME", "c"), ("HOME", "d"):
            path = os.path.join(self.dir, value)
            for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"):
                self.environment.pop(name, None)
            self.environment[variable] = path
            below = {"HF_HUB_CACHE": "", "HF_HOME": "hub/", "XDG_CACHE_HOME": "huggingface/hub/", "HOME": ".cache/huggingface/hub/"}
            out, _ = self.vkgpt("pull", NAME)
            self.assertEqual(out, "%s/%s%s/snapshots/%s\n" % (path, below[variable], FOLDER, COMMIT))

    def test_proxy(self):
        self.environment |= {"HF_ENDPOINT": "http://hub.invalid", "http_proxy": self.hub.url}
        self.vkgpt("pull", NAME)
        self.whole()
        self.environment["no_proxy"] = "hub.invalid"
        self.refused("hub.invalid")

    def test_progress(self):
        """A bar on a terminal, and none elsewhere."""
        self.hub.delay = 0.02
        ours, theirs = pty.openpty()
        process = subprocess.Popen([PROGRAM, "pull", NAME], env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            shown += data
        os.close(ours)
        self.assertEqual(process.wait(), 0, shown)
        done = [int(text) for text in re.findall(rb"\rdownloading \[#*\.*\] (\d+) of 11 MiB", shown)]
        self.assertGreater(len(set(done)), 2, shown)
        self.assertEqual(done, sorted(done))
        shutil.rmtree(self.cache)
        _, err = self.vkgpt("pull", NAME)
        self.assertEqual(err, "vkgpt: %s is there: -m %s runs it\n" % (NAME, NAME))

    def test_weights(self):
        """safetensors before PyTorch's files, shards by their index, nothing but what is read."""
        files = {name: read(name) for name in SMALL}
        weights = {"pytorch_model.bin": b"p", "pytorch_model.bin.index.json": b"{}", "pytorch_model-00001-of-00001.bin": b"q",
                   "model.safetensors.index.json": b"[]", "model-00001-of-00002.safetensors": b"r",
                   "model-00002-of-00002.safetensors": b"s", "model-evil/../x.safetensors": b"t", "flax_model.msgpack": b"u"}
        self.hub.models[NAME] = Model(files | weights)
        self.vkgpt("pull", NAME)
        self.assertEqual(self.whole(), sorted(SMALL + ["model.safetensors.index.json", "model-00001-of-00002.safetensors",
                                                       "model-00002-of-00002.safetensors"]))
        shutil.rmtree(self.cache)
        self.hub.models[NAME] = Model(files | {name: data for name, data in weights.items() if "safetensors" not in name})
        self.vkgpt("pull", NAME)
        self.assertEqual(self.whole(), sorted(SMALL + ["pytorch_model.bin"]))
        self.hub.models[NAME] = Model(files | {"flax_model.msgpack": b"u"})
        self.refused("holds no weights that vkgpt reads")

    def test_gguf(self):
        self.hub.models[NAME] = Model({"a.gguf": b"GGUF1", "b.gguf": b"GGUF2"})
        self.refused("holds 2 GGUF files (a.gguf, b.gguf)", "vkgpt pull tester/tales FILE.gguf")
        self.vkgpt("pull", NAME, "b.gguf")
        self.assertEqual(self.whole(), ["b.gguf"])
        _, err = self.vkgpt("pull", NAME, "c.gguf", status=1)
        self.assertIn("has no file c.gguf", err)

    def test_other_class(self):
        self.hub.models[NAME].files["config.json"] = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
        self.hub.models[NAME] = Model(self.hub.models[NAME].files)
        self.refused("llama")
        self.assertFalse(self.hub.gets(WEIGHTS))


class Revisions(Case):
    def setUp(self):
        super().setUp()
        self.main, self.old = self.hub.models[NAME], tales()
        self.old.commit = "89abcdef" * 5
        self.old.files["merges.txt"] += b"\n"
        self.old.listed["merges.txt"] = self.old.describe("merges.txt")
        self.main.revisions["v1.0"] = self.old
        self.main.revisions["refs/pr/3"] = self.old

    def snapshot(self, model):
        return self.place("snapshots", model.commit)

    def ref(self, name):
        with open(self.place("refs", name)) as file:
            return file.read()

    def test_tag(self):
        out, err = self.vkgpt("pull", NAME, "--revision", "v1.0")
        self.assertEqual(out, self.snapshot(self.old) + "\n")
        self.assertIn("-m %s runs it" % self.snapshot(self.old), err)
        self.assertEqual(self.ref("v1.0"), self.old.commit)
        self.assertFalse(os.path.exists(self.place("refs", "main")))
        with open(os.path.join(self.snapshot(self.old), "merges.txt"), "rb") as file:
            self.assertEqual(file.read(), self.old.files["merges.txt"])
        self.vkgpt("tokenize", "-m", out.strip(), "-p", "a")
        self.vkgpt("pull", NAME)  # main too, of which one file is another
        self.assertEqual(len(self.hub.gets(WEIGHTS)), 1)
        self.assertEqual(len(self.hub.gets("merges.txt")), 2)
        self.assertEqual((self.ref("main"), self.ref("v1.0")), (self.main.commit, self.old.commit))
        self.whole_in(self.snapshot(self.main), self.main)
        self.whole_in(self.snapshot(self.old), self.old)

    def test_commit_and_request(self):
        self.vkgpt("pull", NAME, "--revision", self.old.commit)
        self.assertEqual(os.listdir(self.place("refs")), [])
        self.assertTrue(self.hub.gets("/revision/" + self.old.commit))
        self.vkgpt("pull", NAME, "--revision=refs/pr/3")
        self.assertEqual(self.ref("refs/pr/3"), self.old.commit)
        self.assertTrue(self.hub.gets("/revision/refs%2Fpr%2F3"))
        self.vkgpt("pull", NAME, "--revision", "main")
        self.assertEqual(self.ref("main"), self.main.commit)

    def test_unknown(self):
        _, err = self.vkgpt("pull", NAME, "--revision", "v2", status=1)
        self.assertIn("it has no revision 'v2'", err)
        for name in "", "../x", "a/../b", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a b", "a\tb", "a:b", "a.lock", "x" * 300:
            _, err = self.vkgpt("pull", NAME, "--revision=" + name, status=2)
            self.assertIn("is not a branch, a tag or a commit", err)
        self.assertEqual(os.path.exists(self.cache), False)

    def test_offline(self):
        self.environment["HF_HUB_OFFLINE"] = "1"
        self.refused("HF_HUB_OFFLINE is set, and the cache does not have all of it", self.place("snapshots"))
        self.environment["HF_HUB_OFFLINE"] = "no"
        self.vkgpt("pull", NAME)
        self.vkgpt("pull", NAME, "--revision", "v1.0")
        before = len(self.hub.requests)
        for variable, value in ("HF_HUB_OFFLINE", "1"), ("HF_HUB_OFFLINE", "True"), ("TRANSFORMERS_OFFLINE", "yes"):
            self.environment.pop("HF_HUB_OFFLINE")
            self.environment[variable] = value
            self.assertEqual(self.vkgpt("pull", NAME)[0], self.snapshot(self.main) + "\n")
            for revision in "v1.0", self.old.commit:
                self.assertEqual(self.vkgpt("pull", NAME, "--revision", revision)[0], self.snapshot(self.old) + "\n")
            self.environment.setdefault("HF_HUB_OFFLINE", "")
        self.vkgpt("tokenize", "-m", NAME, "-p", "a")
        _, err = self.vkgpt("pull", NAME, "--revision", "v2", status=1)
        self.assertIn("the cache does not have all of it", err)
        os.remove(self.place("blobs", self.main.etag(WEIGHTS)))
        self.refused("the download did not end")
        self.assertEqual(len(self.hub.requests), before)

    def test_offline_gguf(self):
        self.hub.models[NAME] = Model({"a.gguf": b"GGUF1", "b.gguf": b"GGUF2"})
        self.vkgpt("pull", NAME, "b.gguf")
        self.environment["HF_HUB_OFFLINE"] = "1"
        self.vkgpt("pull", NAME, "b.gguf")
        _, err = self.vkgpt("pull", NAME, "a.gguf", status=1)
        self.assertIn("a.gguf", err)


class Faults(Case):
    def test_cuts(self):
        self.hub.cut = 3_000_000
        _, err = self.vkgpt("pull", NAME)
        self.assertIn("trying again", err)
        self.whole()
        ranges = [headers.get("Range") for headers in self.hub.gets(WEIGHTS)]
        self.assertEqual(ranges[:3], [None, "bytes=3000000-", "bytes=6000000-"])

    def test_no_ranges(self):
        self.hub.cut, self.hub.cuts, self.hub.ranges = 3_000_000, 1, False
        self.vkgpt("pull", NAME)
        self.whole()

    def test_ends_early(self):
        self.hub.lengths = False
        listed = self.hub.models[NAME].listed["config.json"]
        listed["size"] += 10
        self.refused("the server ends after", "the hub says %d" % listed["size"])

    def test_sends_more(self):
        self.hub.models[NAME].listed[WEIGHTS]["lfs"]["size"] -= 10
        self.refused("sends more than the")

    def test_wrong_hash(self):
        for name in "vocab.json", WEIGHTS:
            model = self.hub.models[NAME] = tales()
            data = model.files[name]
            model.files[name] = data[:100] + bytes([data[100] ^ 1]) + data[101:]
            self.refused(name, "hash", "the hub says " + model.etag(name))
            self.assertFalse(os.path.exists(self.place("blobs", model.etag(name))))
            self.assertFalse(os.path.exists(self.place("blobs", model.etag(name) + ".incomplete")))
            self.assertFalse(os.path.exists(self.place("refs", "main")))

    def test_damaged_part(self):
        os.makedirs(self.place("blobs"))
        with open(self.place("blobs", self.hub.models[NAME].etag(WEIGHTS) + ".incomplete"), "wb") as file:
            file.write(b"damage" * 1000)
        _, err = self.vkgpt("pull", NAME)
        self.assertIn("starts again", err)
        self.whole()

    def test_part_that_is_whole_or_longer(self):
        for more in b"", b"x":
            os.makedirs(self.place("blobs"))
            with open(self.place("blobs", self.hub.models[NAME].etag(WEIGHTS) + ".incomplete"), "wb") as file:
                file.write(self.hub.models[NAME].files[WEIGHTS] + more)
            self.vkgpt("pull", NAME)
            self.whole()
            shutil.rmtree(self.cache)

    def test_interrupt(self):
        self.hub.delay = 0.05
        process = self.start("pull", NAME)
        part = self.place("blobs", self.hub.models[NAME].etag(WEIGHTS) + ".incomplete")
        while not os.path.exists(part) or os.path.getsize(part) < 1_000_000:
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        started = time.time()
        _, err = process.communicate()
        self.assertLess(time.time() - started, 2)
        self.assertEqual(process.returncode, 130, err)
        have = os.path.getsize(part)
        self.hub.delay = 0
        self.vkgpt("pull", NAME)
        self.assertEqual(self.hub.gets(WEIGHTS)[-1].get("Range"), "bytes=%d-" % have)
        self.whole()

    def test_statuses(self):
        self.refused("there is no model of this name", "answer 404", name="tester/none")
        self.hub.headers = {"Retry_After": "1"}
        self.hub.statuses = {"vocab.json": [429, -1]}
        _, err = self.vkgpt("pull", NAME)
        self.assertIn("answers 429", err)
        self.whole()
        shutil.rmtree(self.cache)
        self.hub.statuses = {"config.json": [503, -1]}
        self.vkgpt("pull", NAME)
        self.whole()
        self.hub.headers = {"Retry_After": "4000"}
        self.hub.statuses = {"api": [429]}
        self.refused("asks for a wait of 4000 s")
        self.hub.headers = {}
        self.refused("too many requests")
        self.hub.statuses = {"api": [418]}
        self.refused("answers 418")

    def test_token(self):
        self.hub.token = "secret"
        self.refused("it needs a token", "HF_TOKEN")
        self.environment["HF_TOKEN"] = "wrong"
        self.refused("refuses the token")
        self.environment["HF_TOKEN"] = " secret\n"
        self.vkgpt("pull", NAME)
        self.whole()
        shutil.rmtree(self.cache)
        del self.environment["HF_TOKEN"]
        with open(os.path.join(self.dir, "token"), "w") as file:
            file.write("secret\n")
        self.vkgpt("pull", NAME)
        shutil.rmtree(self.cache)
        os.rename(os.path.join(self.dir, "token"), os.path.join(self.dir, "own"))
        self.refused("it needs a token", "HF_TOKEN")
        self.environment["HF_TOKEN_PATH"] = "~/own"
        self.vkgpt("pull", NAME)
        self.environment["HF_TOKEN"] = "a b"
        self.refused("is not a token")

    def test_redirect_to_another_host(self):
        other = Hub()
        self.addCleanup(other.close)
        self.hub.token, self.environment["HF_TOKEN"] = "secret", "secret"
        for address in other.url, other.url.replace("127.0.0.1", "localhost"):
            self.hub.elsewhere = address
            self.vkgpt("pull", NAME)
            self.whole()
            self.assertEqual(self.hub.gets(WEIGHTS)[-1].get("Authorization"), "Bearer secret")
            self.assertIsNone(other.gets(WEIGHTS)[-1].get("Authorization"))
            shutil.rmtree(self.cache)

    def test_hostile_lists(self):
        for change in ({"commit": "../../../x"}, {"hash": "../x"}, {"hash": "A" * 64}, {"size": -1}, {"size": "12"}):
            model = self.hub.models[NAME] = tales()
            model.commit = change.get("commit", COMMIT)
            entry = model.listed[WEIGHTS]["lfs"]
            entry["sha256"] = change.get("hash", entry["sha256"])
            entry["size"] = change.get("size", entry["size"])
            self.refused("tester/tales")
        self.assertEqual(sorted(os.listdir(self.dir)), [])

    def test_full_disk(self):
        limit = 2_000_000
        self.refused("cannot write", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                     restore_signals=False)
        self.assertFalse(os.path.exists(self.place("refs", "main")))
        self.vkgpt("pull", NAME) # goes on where there is room again
        self.whole()
        self.hub.models[NAME] = tales()
        self.hub.models[NAME].listed[WEIGHTS]["lfs"] |= {"size": 1 << 49, "sha256": "0" * 64}
        self.refused("GB are needed and the disk has")

    def test_two_at_once(self):
        self.hub.delay = 0.01
        both = [self.start("pull", NAME) for _ in range(2)]
        told = ""
        for process in both:
            _, err = process.communicate(timeout=60)
            told += err
            self.assertEqual(process.returncode, 0, err)
        self.assertIn("another download of the same file", told)
        self.whole()
        for name in SMALL + [WEIGHTS]:
            self.assertEqual(len(self.hub.gets("/" + name)), 1, name)

    def test_usage(self):
        self.vkgpt("pull", status=2)
        for name in "a/b/c", "-x", "../x", "a b", "":
            self.vkgpt("pull", name, status=2)
        self.environment["HF_ENDPOINT"] = "ftp://127.0.0.1"
        self.refused("HF_ENDPOINT")
        self.environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
        self.refused("http://127.0.0.1:1/api/models/tester/tales")


@unittest.skipUnless(huggingface_hub, "huggingface_hub is not there")
class TheirCache(Case):
    def theirs(self, code):
        self.environment["HF_HUB_DISABLE_TELEMETRY"] = self.environment["HF_HUB_DISABLE_XET"] = "1"
        return subprocess.run([sys.executable, "-c", "from huggingface_hub import snapshot_download as get\n" + code],
                              env=self.environment, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def test_they_find_ours(self):
        self.vkgpt("pull", NAME)
        path = self.theirs("print(get('%s', local_files_only=True))" % NAME)
        self.assertEqual(path, self.place("snapshots", COMMIT))

    def test_revisions(self):
        other = self.hub.models[NAME].revisions["refs/pr/1"] = tales()
        other.commit = "89abcdef" * 5
        self.vkgpt("pull", NAME, "--revision", "refs/pr/1")
        path = self.theirs("print(get('%s', revision='refs/pr/1', local_files_only=True))" % NAME)
        self.assertEqual(path, self.place("snapshots", other.commit))
        shutil.rmtree(self.cache)
        ask = "print(get('%s', revision='refs/pr/1', allow_patterns=['*.json', '*.txt', '*.safetensors']))" % NAME
        self.assertEqual(self.theirs(ask), path)
        self.environment["HF_HUB_OFFLINE"] = "1"
        self.assertEqual(self.vkgpt("pull", NAME, "--revision", "refs/pr/1")[0], path + "\n")
        self.assertEqual(self.theirs(ask), path)

    def test_we_find_theirs(self):
        path = self.theirs("print(get('%s', allow_patterns=['*.json', '*.txt', '*.safetensors']))" % NAME)
        self.assertEqual(path, self.place("snapshots", COMMIT))
        self.vkgpt("tokenize", "-m", NAME, "-p", "a")
        self.hub.requests.clear()
        self.vkgpt("pull", NAME)
        self.assertFalse(self.hub.gets("resolve"))
        self.whole()


if __name__ == "__main__":
    PROGRAM = os.path.join(os.path.abspath(sys.argv[1]), "vkgpt")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
