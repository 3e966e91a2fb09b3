"""Tests of a model over the ranks of MPI, on this machine: mpirun with two and three ranks.

tests/mpi.py PROGRAM [CLASS]: unittest, with the program that is built with MPI. The driver is that of the
environment; Drivers needs SwiftShader too.
"""
import filecmp
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import served

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.path.join(ROOT, "tests", "fixtures")
TALES = os.path.join(ROOT, "models", "tales")
SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json"
PROGRAM = FAULTS = None
SECONDS = 300  # of a run at most, on a busy machine
FAULT_SECONDS = 10  # from a fault to the end of all ranks
WRITE = ["generate", "--no-echo"]  # mpirun gives each rank a terminal, on which generate prints the prompt too
GREEDY = ["--temp", "0", "--ignore-eos"]
# as root, on a machine with fewer cores than ranks
ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "VKGPT_MODEL": ""}
SPREAD = ["mpirun", "--oversubscribe", "--bind-to", "none"]
# the kinds of models: where the norms stand, an embedding of its own width, local layers, a head of its own
MODELS = ["gpt1/gelu-48", "gpt2/silu-160-shards", "neo/alternating-48", "opt/before-projected-40", "opt/plain-48"]


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()
        self.sentences = re.findall(r"^vkgpt: (?!split )(.*)$", self.err, re.M)

    def __repr__(self):
        return f"status {self.status}\n{self.out}\n{self.err}"


def start(words):
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **ENVIRONMENT})


def run(words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                          env={**os.environ, **ENVIRONMENT})
    return Result(done)


def alone(*flags):
    return run([PROGRAM, *flags])


def over(ranks, *flags):
    return run([*SPREAD, "-n", str(ranks), PROGRAM, *flags])


def rank_lines(*lines):
    """A command line for each rank: (words, flags)."""
    words = [*SPREAD]
    for number, (before, flags) in enumerate(lines):
        words += [":"] * (number > 0) + ["-n", "1", *before, PROGRAM, *flags]
    return words


def processes():
    """{rank: pid} of the ranks that run now."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                rank = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)\0", file.read())
            pid = int(path.split("/")[2])
            if rank and os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(PROGRAM):
                found[int(rank[1])] = pid
        except OSError:
            pass
    return found


class Ranks(unittest.TestCase):
    def same(self, one, several):
        self.assertEqual(one.status, 0, one)
        self.assertEqual(several.status, 0, several)
        self.assertEqual(several.out.rstrip(), one.out.rstrip())  # a terminal gets a line break at the end
        self.assertNotEqual(one.out.strip(), "")

    def fails(self, result, *parts, status=1):
        """One sentence of ours; mpirun adds its own lines."""
        self.assertEqual(result.status, status, result)
        self.assertEqual(len(result.sentences), 1, result)
        for part in parts:
            self.assertIn(part, result.sentences[0])
        self.assertEqual(processes(), {})


class Same(Ranks):
    """What several ranks print is what one device prints."""

    def test_classes(self):
        for model in MODELS:
            flags = ["-m", f"{FIXTURES}/{model}", "--ids", "1,2,3,4,5", "-n", "12", "--json", "-s", "1", *GREEDY]
            with self.subTest(model=model):
                one, two = alone("generate", *flags), over(2, "generate", *flags)
                self.assertEqual((one.status, two.status), (0, 0), (one, two))
                ids = [json.loads(r.out)["ids"] for r in (one, two)]
                self.assertEqual(ids[0], ids[1])
                self.assertEqual(len(ids[0]), 12)

    def test_logits_are_bit_equal(self):
        with tempfile.TemporaryDirectory() as folder:
            text = "Once upon a time there was a king who had three sons. " * 12
            files = [os.path.join(folder, name) for name in ("one.npy", "three.npy")]
            one = alone("logits", "-p", text, "-o", files[0])
            three = over(3, "logits", "-p", text, "-o", files[1])
            self.assertEqual((one.status, three.status), (0, 0), (one, three))
            self.assertGreater(os.path.getsize(files[0]), 1 << 20)
            self.assertTrue(filecmp.cmp(*files, shallow=False))

    def test_many_sequences(self):
        with tempfile.TemporaryDirectory() as folder:
            prompts = os.path.join(folder, "prompts.txt")
            with open(prompts, "w") as file:
                file.write("".join(f"{text}\n" for text in ["Once upon a time", "The old king", "A fox", "In the wood", "The"]))
            flags = [*WRITE, "--prompts", prompts, "--parallel", "3", "-n", "16", *GREEDY]
            self.same(alone(*flags), over(2, *flags))

    def test_sampling_and_lookup(self):
        flags = [*WRITE, "-p", "Once upon a time", "-n", "16", "-s", "7"]
        self.same(alone(*flags), over(3, *flags))
        flags += ["--lookup", "3", *GREEDY]
        self.same(alone(*flags), over(2, *flags))

    def test_splits(self):
        flags = [*WRITE, "-p", "Once upon a time", "-n", "8", *GREEDY]
        one, two, split = alone(*flags), over(2, *flags), over(2, *flags, "--split", "1,5")
        self.same(one, two)
        self.same(one, split)
        self.assertRegex(two.err, r"vkgpt: split \d,\d over rank 1: llvmpipe.*, rank 0: llvmpipe")
        self.assertRegex(split.err, r"vkgpt: split 1,5 over rank 1: ")

    def test_commands(self):
        flags = ["score", "-p", "The king and the", "--continuation", " queen", "--continuation", " wood"]
        self.same(alone(*flags), over(2, *flags))
        embed = ["embed", "-p", "The king and the queen"]
        results = [json.loads(run.out) for run in (alone(*embed), over(2, *embed))]
        self.assertRegex(results[1].pop("device"), r"^rank 1: \S.*, rank 0: \S")
        results[0].pop("device")
        self.assertEqual(*results)
        text = over(2, "tokenize", "-p", "Once upon a time")
        self.same(alone("tokenize", "-p", "Once upon a time"), text)

    def test_serve(self):
        texts = []
        for before in [], [*SPREAD, "-n", "2"]:
            server = served.Server("-np", "2", "-c", "128", "--no-warmup", before=before, **ENVIRONMENT)
            try:
                texts.append([server.text_of("Once upon a time", max_tokens=24, **fields)
                              for fields in ({"temperature": 0}, {"seed": 7})])
            finally:
                server.end()
                server.kill()
        self.assertEqual(*texts)
        self.assertNotEqual(*texts[0])

    def test_devices_are_all_named(self):
        """The limits of rank 0's device say nothing about a token, so bench prints none."""
        two = over(2, "bench", "-p", "0", "-n", "4", "-r", "1", "-o", "json")
        self.assertEqual(two.status, 0, two)
        result = json.loads(two.out)[0]
        self.assertRegex(result["device"], r"^rank 1: llvmpipe.*, rank 0: llvmpipe")
        self.assertGreater(result["avg_ts"], 0)
        for name in ("copy_gb_per_s", "dispatches_per_token", "limit_tokens_per_s", "busy_share"):
            self.assertNotIn(name, result)
        self.assertRegex(two.err, "split ")

    def test_memory(self):
        """All ranks together hold the weights that the plan gives to its devices: each its own layers."""
        plan = alone("plan", "-m", TALES, "--machines", "2", "--json")
        self.assertEqual(plan.status, 0, plan)
        planned = sum(device["weights"] for device in json.loads(plan.out)["stages"])
        two = over(2, "bench", "-p", "0", "-n", "1", "-r", "1", "-o", "json")
        self.assertEqual(two.status, 0, two)
        self.assertAlmostEqual(json.loads(two.out)[0]["size"] / planned, 1, delta=0.03)


class Drivers(Ranks):
    def test_one_rank_on_swiftshader(self):
        """Another driver rounds in another way, but a greedy choice is the same here."""
        flags = [*WRITE, "-p", "Once upon a time there was", "-n", "12", *GREEDY]
        mixed = run(rank_lines(([], flags), (["env", f"VK_DRIVER_FILES={SWIFTSHADER}"], flags)))
        self.same(alone(*flags), mixed)


    def test_devices_of_each_rank(self):
        """Two ranks with two devices each: four stages."""
        both = f"VK_DRIVER_FILES={SWIFTSHADER}:{os.environ['VK_DRIVER_FILES']}"
        flags = [*WRITE, "-p", "Once upon a time there was", "-n", "8", *GREEDY]
        words = [*SPREAD, "-n", "2", "env", both, PROGRAM, *flags, "--devices", "llvmpipe,swiftshader"]
        four = run(words)
        self.same(alone(*flags), four)
        self.assertRegex(four.err, r"split \d,\d,\d,\d over rank 1: llvmpipe.*, rank 1: Swift.*, rank 0: llvm.*, rank 0: Swift")


class Faults(Ranks):
    FLAGS = ["generate", "-p", "Once upon a time", "-n", "8", *GREEDY]

    def differ(self, *other, words=()):
        return run(rank_lines(([], [*self.FLAGS, "-m", TALES]), (list(words), [*self.FLAGS, *other])))

    def test_models(self):
        with tempfile.TemporaryDirectory() as folder:
            self.fails(self.differ("-m", f"{folder}/none"), f"rank 1: {folder}/none: no such model")
            self.fails(self.differ("-m", f"{FIXTURES}/gpt2/silu-160-shards"), "rank 1: ", "the configs differ (hash ")
            copy = shutil.copytree(TALES, f"{folder}/copy")
            self.assertEqual(self.differ("-m", copy).status, 0)
            other = alone("convert", "-o", f"{folder}/other.gguf", "--type", "f16")
            self.assertEqual(other.status, 0, other)
            self.fails(self.differ("-m", f"{folder}/other.gguf"), "rank 1: ", "another model than on rank 0")

    def test_rank_0_fails(self):
        self.fails(over(2, *self.FLAGS, "-m", "/no/such/model"), "/no/such/model: no such model")
        self.fails(over(2, "nonsense"), "there is no command 'nonsense'", status=2)

    def test_devices(self):
        none = ["env", "VK_DRIVER_FILES=/no/such/driver.json", "VK_ICD_FILENAMES=/no/such/driver.json"]
        self.fails(self.differ("-m", TALES, words=none), "rank 1: ", "Vulkan")
        self.fails(self.differ("-m", TALES, "--device", "7"), "rank 1: device 7")

    @staticmethod
    def failing(fault):
        """The environment of a driver that fails: tests/faults."""
        layer = {"VK_ADD_LAYER_PATH": FAULTS, "VK_INSTANCE_LAYERS": "VK_LAYER_VKGPT_faults", "VKGPT_FAULT": fault}
        return ["env", *(f"{name}={value}" for name, value in layer.items())]

    def test_memory_and_loss(self):
        self.fails(self.differ("-m", TALES, words=self.failing("vkAllocateMemory 1 -2")), "rank 1: ", "memory")
        for n in (1, 3, 5, 9):  # while it loads, in the prompt, and among the tokens
            result = self.differ("-m", TALES, words=self.failing(f"vkQueueSubmit {n} -4"))
            self.fails(result, "rank 1: ", "device lost")

    def test_rank_0_begins_again(self):
        """Rank 0 opens a new device, as it does alone, and all load the model again."""
        flags = [*self.FLAGS, "--no-echo", "-m", TALES]
        one = alone(*flags)
        for n in (2, 6):
            again = run(rank_lines((self.failing(f"vkQueueSubmit {n} -4"), flags), ([], flags)))
            self.assertEqual((again.status, again.out.rstrip()), (0, one.out.rstrip()), again)
            self.assertRegex(again.err, "once, this begins again on a new device")

    def test_version(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(PROGRAM, "rb") as file:
                program = file.read()
            version = re.search(r"vkgpt (\S+),", alone("--version").out)[1].encode()
            other = os.path.join(folder, "other")
            with open(other, "wb") as file:
                file.write(program.replace(version + b"\0", b"9" + version[1:] + b"\0"))
            os.chmod(other, 0o755)
            flags = [*self.FLAGS, "-m", TALES]
            words = [*SPREAD, "-n", "1", PROGRAM, *flags, ":", "-n", "1", other, *flags]
            self.fails(run(words), f"rank 1: this is vkgpt 9{version.decode()[1:]}, rank 0 runs {version.decode()}")

    def test_one_device_only(self):
        for command in ("tune", "selftest", "quality"):
            self.fails(over(2, command), f"{command} runs on one device", status=2)
        self.fails(over(2, "bench", "--profile"), "--profile is of one device", status=2)
        with tempfile.TemporaryDirectory() as folder:
            lines = os.path.join(folder, "lines.txt")
            with open(lines, "w") as file:
                file.write(f"Once upon a time\n/save {folder}/saved\n")
            words = ["bash", "-c", f"exec {' '.join(SPREAD)} -n 2 {PROGRAM} chat -n 2 --temp 0 <{lines}"]
            result = run(words)
            self.assertRegex(result.err, "saved by one process only")

    def test_more_ranks_than_layers(self):
        model = f"{FIXTURES}/opt/plain-48"
        result = over(3, "generate", "-m", model, "--ids", "1,2,3", "-n", "2")
        self.fails(result, "3 devices: the model has 2 layers")
        self.fails(over(2, *self.FLAGS, "--split", "3,4"), "the split has 7 layers, the model has 6")
        self.fails(over(2, *self.FLAGS, "--split", "3,2,1"), "the split has 3 numbers, there are 2 devices")


class Killed(Ranks):
    """mpirun says which rank was killed. The others end with it, and none is left."""

    PROMPT = "Once upon a time there was a king who had three sons. " * 8

    def killed(self, rank, ready):
        """Kills a rank once `ready` says so of rank 0's process."""
        flags = ["generate", "-v", "-p", self.PROMPT, "-n", "2000", "--submit", "1", *GREEDY]
        began = time.time()
        child = start([*SPREAD, "-n", "3", PROGRAM, *flags])
        while len(processes()) < 3 or not ready(child):
            self.assertIsNone(child.poll(), "it ended too early")
            self.assertLess(time.time() - began, SECONDS)
            time.sleep(0.02)
        os.kill(processes()[rank], signal.SIGKILL)
        killed = time.time()
        try:
            _, err = child.communicate(timeout=SECONDS)
        finally:
            child.kill()
        self.assertLess(time.time() - killed, FAULT_SECONDS)
        self.assertNotEqual(child.returncode, 0)
        self.assertRegex(err.decode(), r"exited on signal 9 \(Killed\)")
        self.assertEqual(processes(), {})

    @staticmethod
    def seen(pattern):
        """Whether rank 0 has said this on stderr."""
        text = b""

        def ready(child):
            nonlocal text
            text += os.read(child.stderr.fileno(), 1 << 16)
            return re.search(pattern, text)

        return ready

    @staticmethod
    def has_output(child):
        return len(os.read(child.stdout.fileno(), 16)) > 0

    @staticmethod
    def has_driver(_):
        with open(f"/proc/{processes()[1]}/maps") as file:
            return "libvulkan_lvp" in file.read()

    def test_in_load(self):
        self.killed(1, self.has_driver)

    def test_in_prefill(self):
        self.killed(2, self.seen(rb"weights "))

    def test_in_decode(self):
        for rank in (0, 1):
            with self.subTest(rank=rank):
                self.killed(rank, self.has_output)


if __name__ == "__main__":
    PROGRAM = served.PROGRAM = os.path.abspath(sys.argv.pop(1))
    FAULTS = os.path.join(os.path.dirname(PROGRAM), "faults")
    unittest.main()
