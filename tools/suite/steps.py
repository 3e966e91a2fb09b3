"""The steps of tools/gpu-suite run, in their order, and what each runs.

A step is a function of the suite (what is where) and the runner (runner.py). Every command says what its output is
("read") and what it stands for ("facts"): tools/results-page goes by those two alone. VARIANTS is the table of what is
compared with the built-in choice: a new one is a line.
"""

import json
import os
import shutil
from pathlib import Path

from runner import Absent

# What a variant is called and the environment that makes it; {tuning} is the file that `vkgpt tune` writes before.
VARIANTS = [
    ("tuned by vkgpt tune", {"VKGPT_TUNING": "{tuning}"}),
    ("no tuning", {"VKGPT_TUNING": "off"}),
    ("one kernel", {"VKGPT_TUNING": "off", "VKGPT_PERSISTENT": "0"}),
    ("dispatches", {"VKGPT_TUNING": "off", "VKGPT_PERSISTENT": "off"}),
    ("no subgroup size control", {"VKGPT_DISABLE": "subgroup_size_control"}),
]
AS_SHIPPED = "as shipped"
NO_COOPMAT = "no coopmat"
FORMATS = ["q8_0", "q4_0"]


class Sizes:
    """How much is measured: on a GPU, or in a rehearsal, which only shows that everything runs."""

    def __init__(self, rehearsal):
        self.rehearsal = rehearsal
        self.presets = {"124M": "gpt2", "XL": "gpt2-xl"}
        self.repetitions = {"124M": 1 if rehearsal else 5, "XL": 1 if rehearsal else 3}
        self.decode = 4 if rehearsal else 128
        self.generate = 4 if rehearsal else 512
        self.prompts = "8,16,24" if rehearsal else "128,512,1024"
        self.profiled_prompt = 16 if rehearsal else 1024
        self.profiled_decode = 2 if rehearsal else 32
        self.formats_prompt = 16 if rehearsal else 512
        self.depth = 32 if rehearsal else 900
        self.parallel = (2, 3) if rehearsal else (8, 32)
        self.rounds = 1 if rehearsal else 2
        self.tests = ["test_gpu_plan"] if rehearsal else None  # None: every test_gpu_*
        self.selftest_seconds = 4 if rehearsal else None  # None: until the step's time is over


class Suite:
    """Where program, models and peers are, and how a benchmark is written."""

    def __init__(self, folder, models, rehearsal):
        self.folder, self.models, self.sizes = Path(folder), Path(models), Sizes(rehearsal)
        self.vkgpt = self.folder / "vkgpt"
        self.peer = self.folder / "peer" / "peer"
        self.python = os.environ.get("PYTHON", "python3")

    def model(self, runner, size):
        """The model's directory, made now where it is not there yet."""
        if self.sizes.rehearsal:
            return Path("models/tales")
        path = self.models / self.sizes.presets[size]
        if not (path / "config.json").exists():
            runner.run([self.vkgpt, "make-model", self.sizes.presets[size], "-o", path], read="made")
        return path

    def bench(self, runner, size, *flags, variant=AS_SHIPPED, environment=None, repetitions=None, read="bench"):
        argv = [
            self.vkgpt,
            "bench",
            "-m",
            self.model(runner, size),
            "-o",
            "json",
            "-r",
            repetitions or self.sizes.repetitions[size],
            *flags,
        ]
        return runner.run(argv, read=read, environment=environment, model=size, variant=variant)


def devices(suite, runner):
    runner.run([suite.vkgpt, "devices"], read="text")
    runner.run([suite.vkgpt, "devices", "--json"], read="devices")
    if not suite.sizes.rehearsal:
        runner.run(["nvidia-smi", "-q", "-d", "CLOCK,POWER"], read="text", optional=True)


def decode(suite, runner, size):
    suite.bench(runner, size, "-p", 0, "-n", suite.sizes.decode)


def sampling(suite, runner, size):
    """Default sampling and greedy, in turn: the difference is the sampler's."""
    model, count = suite.model(runner, size), suite.sizes.generate
    for _ in range(suite.sizes.rounds):
        for name, flags in (("default", []), ("greedy", ["--temp", "0"])):
            argv = [
                suite.vkgpt,
                "generate",
                "-m",
                model,
                "--ids",
                "1",
                "-n",
                count,
                "--ignore-eos",
                "--seed",
                "1",
                "--json",
                *flags,
            ]
            runner.run(argv, read="generate", model=size, sampling=name)


def profile(suite, runner, size):
    suite.bench(runner, size, "-p", 0, "-n", suite.sizes.profiled_decode, "--profile", repetitions=1, read="profile")


def variants(suite, runner, size):
    """Each variant and the program as shipped in turn, so that what changes on the machine meets all of them."""
    tuning = runner.archive.content / f"tuning-{size}.txt"
    runner.run([suite.vkgpt, "tune", "-m", suite.model(runner, size), "-o", tuning, "--json"], read="tune", model=size)
    fill = lambda environment: {key: value.format(tuning=tuning) for key, value in environment.items()}
    for _ in range(suite.sizes.rounds):
        for name, environment in [(AS_SHIPPED, {})] + VARIANTS:
            suite.bench(runner, size, "-p", 0, "-n", suite.sizes.decode, variant=name, environment=fill(environment))


def prefill(suite, runner, size):
    suite.bench(runner, size, "-p", suite.sizes.prompts, "-n", 0)
    suite.bench(
        runner, size, "-p", suite.sizes.prompts, "-n", 0, variant=NO_COOPMAT, environment={"VKGPT_DISABLE": "coopmat"}
    )
    suite.bench(runner, size, "-p", suite.sizes.profiled_prompt, "-n", 0, "--profile", repetitions=1, read="profile")


def start(suite, runner):
    """The default model with nothing cached, and again: what the first start costs."""
    cold = suite.models / "cold"
    shutil.rmtree(cold, ignore_errors=True)
    caches = {"XDG_CACHE_HOME": str(cold), "__GL_SHADER_DISK_CACHE_PATH": str(cold)}
    if suite.sizes.rehearsal:  # a software driver would compile for a minute
        caches = {}
    for name in ("cold", "warm"):
        argv = [
            suite.vkgpt,
            "generate",
            "-p",
            "Once upon a time",
            "-n",
            suite.sizes.decode // 2,
            "--temp",
            "0",
            "--json",
        ]
        runner.run(argv, read="generate", environment=caches, model="tales", start=name)


def llama(suite, runner, size):
    if not suite.peer.exists():
        raise Absent(f"{suite.peer} is not there: tools/peer/build makes it")
    gguf = suite.models / f"{suite.sizes.presets[size]}-f16.gguf"
    if not gguf.exists():
        runner.run([suite.vkgpt, "convert", "-m", suite.model(runner, size), "-o", gguf, "--type", "f16"], read="made")
    visible = (
        {"GGML_VK_VISIBLE_DEVICES": "0"} if suite.sizes.rehearsal else {}
    )  # else llama.cpp passes over software drivers
    for flash in (1, 0) if size == "124M" else (1,):
        runner.run(
            [
                suite.peer,
                "bench",
                "-m",
                gguf,
                "--flash",
                flash,
                "-p",
                suite.sizes.prompts,
                "-n",
                suite.sizes.decode,
                "-r",
                suite.sizes.repetitions[size],
            ],
            read="peer",
            environment=visible,
            model=size,
            weights="f16",
        )


def torch(suite, runner, size):
    own = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}  # not the libraries that vkgpt brings
    look = [suite.python, "-c", "import torch; print(torch.cuda.is_available())"]
    found = runner.run(look, read="text", environment=own, optional=True)
    if (found or "").strip() != "True":
        raise Absent(f"{suite.python} has no PyTorch with a CUDA device")
    plan = runner.run([suite.vkgpt, "plan", "-m", suite.model(runner, size), "--json"], read="text")
    sizes = json.loads(plan)["model"] if plan else {}
    flags = [
        word
        for key in ("layers", "heads", "dim", "inner", "context", "vocab")
        for word in ("--" + key, sizes.get(key, 0))
    ]
    count = ["-p", suite.sizes.prompts, "-n", suite.sizes.decode, "-r", suite.sizes.repetitions[size]]
    bench = [suite.python, "tools/peer/torch-bench", *flags, *count]
    runner.run(bench, read="peer", environment=own, model=size, weights="f16")


def tests(suite, runner):
    """Every test of the device, several at once, and the selftest beside them. A selftest that is cut did not fail."""
    programs = sorted(path for path in suite.folder.glob("test_gpu_*") if path.is_file())
    if suite.sizes.tests:
        programs = [path for path in programs if path.name in suite.sizes.tests]
    if not programs:
        raise Absent(f"{suite.folder} has no test_gpu_*")
    jobs = [
        {
            "argv": [suite.vkgpt, "selftest"],
            "read": "selftest",
            "may_be_cut": True,
            "limit": suite.sizes.selftest_seconds,
        }
    ]
    jobs += [{"argv": [path], "read": "test", "facts": {"test": path.name}} for path in programs]
    runner.run_at_once(jobs, max(2, os.cpu_count() or 2))


def formats(suite, runner, size):
    for weights in FORMATS:
        suite.bench(runner, size, "--weights", weights, "-p", suite.sizes.formats_prompt, "-n", suite.sizes.decode)


def batch(suite, runner, size):
    for count in suite.sizes.parallel:
        suite.bench(
            runner,
            size,
            "-p",
            0,
            "-n",
            max(suite.sizes.decode // 2, 2),
            "-np",
            count,
            "-c",
            256,
            repetitions=min(3, suite.sizes.repetitions[size]),
        )


def depth(suite, runner, size):
    suite.bench(runner, size, "-p", 0, "-n", suite.sizes.decode // 2, "-d", suite.sizes.depth)


def of(work, size):
    return lambda suite, runner: work(suite, runner, size)


# Name, work, seconds at most on a GPU. What matters most stands first: a run that is cut has that.
STEPS = [
    ("devices", devices, 15),
    ("decode-124m", of(decode, "124M"), 15),
    ("sampling-124m", of(sampling, "124M"), 15),
    ("profile-124m", of(profile, "124M"), 10),
    ("decode-xl", of(decode, "XL"), 30),
    ("sampling-xl", of(sampling, "XL"), 25),
    ("profile-xl", of(profile, "XL"), 15),
    ("variants-124m", of(variants, "124M"), 40),
    ("variants-xl", of(variants, "XL"), 60),
    ("prefill-124m", of(prefill, "124M"), 20),
    ("prefill-xl", of(prefill, "XL"), 30),
    ("start", start, 15),
    ("llama-124m", of(llama, "124M"), 30),
    ("llama-xl", of(llama, "XL"), 45),
    ("torch-124m", of(torch, "124M"), 40),
    ("torch-xl", of(torch, "XL"), 30),
    ("tests", tests, 70),
    ("formats-124m", of(formats, "124M"), 15),
    ("formats-xl", of(formats, "XL"), 30),
    ("batch-124m", of(batch, "124M"), 15),
    ("batch-xl", of(batch, "XL"), 20),
    ("depth-124m", of(depth, "124M"), 10),
    ("depth-xl", of(depth, "XL"), 15),
]
