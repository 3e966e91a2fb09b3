#!/usr/bin/env python3
"""Tests of tools/gpu-suite run, tools/results-page and tools/bench-peers: python3 tests/gpu_suite.py BUILD [CLASS ...]."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools" / "suite"))
from page import markdown
import reading

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / "build"
SUITE, PAGE = ROOT / "tools" / "gpu-suite", ROOT / "tools" / "results-page"
ARCHIVE = ROOT / "tests" / "fixtures" / "gpu-suite-rehearsal.tar.xz"
BY_MODEL = ["decode", "sampling", "profile", "variants", "prefill", "llama", "torch", "formats", "batch", "depth"]
STEPS = sorted(["devices", "start", "tests"] + [f"{name}-{model}" for name in BY_MODEL for model in ("124m", "xl")])
SECTIONS = [
    "New tokens",
    "Default sampling",
    "Prompts",
    "Where the time goes",
    "Variants",
    "Formats of the weights",
    "Sequences at once",
    "Deep in the context",
    "The default model's start",
    "Tests",
    "The run",
]


def run(*words, **environment):
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )


def steps_of(archive):
    """suite.json, and the steps by their names."""
    with tarfile.open(archive) as tar:
        files = {
            name.partition("/")[2]: json.load(tar.extractfile(name))
            for name in tar.getnames()
            if name.endswith(".json")
        }
    return files.pop("suite.json"), {step["name"]: step for step in files.values()}


def empty_cells(page):
    return [line for line in page.splitlines() if line.startswith("|") and re.search(r"\|\s*(?=\|)", line)]


class Temporary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def page_of(self, archive):
        done = run(PAGE, archive, "-o", self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return Path(done.stdout.strip())

    def check_page(self, page):
        self.assertEqual(empty_cells(page), [])
        self.assertEqual([name for name in SECTIONS if f"# {name}\n" not in page], [])


class Page(Temporary):
    def test_of_the_rehearsal_in_the_tests(self):
        suite, steps = steps_of(ARCHIVE)
        self.assertEqual(sorted(suite["order"]), STEPS)
        file = self.page_of(ARCHIVE)
        page = file.read_text()
        self.check_page(page)
        for plot in re.findall(r"\]\((.*\.svg)\)", page):
            self.assertIn("</svg>", (file.parent / plot).read_text())
        self.assertNotIn("What did not succeed", page)
        self.assertIn(f"| tests | ok | {steps['tests']['seconds']:.1f} | 2 |", page)

    def test_numbers_are_those_of_the_outputs(self):
        with tarfile.open(ARCHIVE) as tar:
            profile = json.load(tar.extractfile("results/steps/profile-xl.01.out"))[0]["profile"]
            row = json.load(tar.extractfile("results/steps/batch-xl.02.out"))[0]
        page = self.page_of(ARCHIVE).read_text()
        for kernel in profile["kernels"]:
            self.assertIn(
                f"| {kernel['step']} | {kernel['kernel']} | {kernel['dispatches']} | {kernel['us_per_token']:.2f} |",
                page,
            )
        self.assertRegex(page, rf"\| tales \(XL\) \| 3 \| {row['avg_ts']:.3g}")

    def test_of_the_h200_is_as_the_raw_outputs_make_it(self):
        results = ROOT / "docs" / "results"
        notes = self.folder / "2026-11-27-h200" / "notes.md"
        notes.parent.mkdir()
        notes.write_text((results / "2026-11-27-h200" / "notes.md").read_text())
        page = self.page_of(results / "2026-11-27-h200")
        self.assertEqual(page.read_text(), (results / page.name).read_text())
        self.assertEqual(empty_cells(page.read_text()), [])
        for plot in ("speed.svg", "profile.svg"):
            self.assertEqual((page.parent / page.stem / plot).read_text(), (results / page.stem / plot).read_text())

    def test_of_a_run_that_was_cut_or_had_one_step_only(self):
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(self.folder)
        whole = self.folder / "results"
        suite = json.loads((whole / "suite.json").read_text())
        for number, name in enumerate(STEPS):
            for order in ([name], suite["order"][: number + 1]):
                (whole / "suite.json").write_text(json.dumps({**suite, "order": order}))
                text = markdown(reading.Results(whole), "plots")
                self.assertEqual(empty_cells(text), [], order)
                self.assertIn("\n## The run\n", text)

    def test_damaged_archives_are_refused_with_a_sentence(self):
        damaged = self.folder / "results.tar.xz"
        damaged.write_bytes(ARCHIVE.read_bytes()[:3000])
        empty = self.folder / "empty"
        empty.mkdir()
        for path in (damaged, empty, self.folder / "none.tar.xz"):
            done = run(PAGE, path, "-o", self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, rf"^results-page: {path}: .*\n$")


class Run(Temporary):
    """Runs of a program that is broken in one way or another: nothing of the engine is slow here."""

    def fake(self, body):
        """A DIR whose vkgpt does `body` first, and then what the real one does."""
        folder = self.folder / "fake"
        folder.mkdir()
        program = folder / "vkgpt"
        program.write_text(f'#!/bin/sh\n{body}\nexec "{BUILD}/vkgpt" "$@"\n')
        program.chmod(0o755)
        return folder

    def suite(self, folder, *flags, rehearsal="1", **environment):
        done = run(SUITE, "run", folder, self.folder / "out", *flags, GPU_SUITE_REHEARSAL=rehearsal, **environment)
        archive = self.folder / "out" / "results.tar.xz"
        return done, steps_of(archive)[1] if archive.exists() else None

    def test_unknown_steps_are_refused_with_the_list(self):
        done, steps = self.suite(BUILD, "--only", "devices,decode-7b")
        self.assertEqual((done.returncode, steps), (2, None))
        self.assertIn("no step decode-7b", done.stderr)
        self.assertEqual([name for name in STEPS if name not in done.stderr], [])

    def test_minutes_must_be_a_time(self):
        for minutes in ("0", "-1", "nan"):
            done, steps = self.suite(BUILD, "--minutes", minutes)
            self.assertEqual((done.returncode, steps), (2, None), done.stderr)

    def test_without_a_driver_it_says_what_the_loader_said(self):
        manifest = self.folder / "icd.json"
        manifest.write_text(
            '{"file_format_version": "1.0.0", "ICD": {"library_path": "libnone.so.0", "api_version": "1.3.0"}}'
        )
        done, steps = self.suite(BUILD, VK_DRIVER_FILES=str(manifest))
        self.assertEqual((done.returncode, steps), (1, None))
        self.assertIn("no usable GPU", done.stderr)
        self.assertIn("libnone.so.0", done.stderr)

    def test_a_software_driver_is_no_gpu(self):
        done, steps = self.suite(BUILD, rehearsal="0")
        self.assertEqual((done.returncode, steps), (1, None))
        self.assertIn("(software)", done.stderr)

    def test_without_the_program_it_fails(self):
        done, steps = self.suite(self.folder / "none")
        self.assertEqual((done.returncode, steps), (1, None))
        self.assertIn("vkgpt does not run", done.stderr)

    def test_a_broken_step_fails_and_the_others_run(self):
        folder = self.fake('[ "$1" != bench ] || { echo "it broke" >&2; exit 3; }')
        done, steps = self.suite(folder, "--only", "devices,decode-xl,sampling-xl")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(
            {name: step["status"] for name, step in steps.items()},
            {"devices": "ok", "decode-xl": "failed", "sampling-xl": "ok"},
        )
        self.assertEqual(steps["decode-xl"]["commands"][0]["status"], 3)
        page = self.page_of(self.folder / "out" / "results.tar.xz").read_text()
        self.assertIn("- `decode-xl`: failed: vkgpt ended with status 3: it broke", page)
        self.assertEqual(empty_cells(page), [])

    def test_peers_stand_beside(self):
        folder = self.fake("")
        (folder / "peer").mkdir()
        peer, python = folder / "peer" / "peer", folder / "python"
        report = '{"engine": "%s", "flash": true, "tests": [{"test": "tg4", "tokens_per_s": [%s]}]}'
        peer.write_text("#!/bin/sh\necho '" + report % ("llama.cpp 9", "3, 1, 2") + "'\n")
        python.write_text(
            f"#!/bin/sh\ncase $* in *torch-bench*) echo '{report % ('PyTorch 9', '5')}' ;;\n"
            f'*"import torch"*) echo True ;;\n*) exec "{sys.executable}" "$@" ;;\nesac\n'
        )
        peer.chmod(0o755)
        python.chmod(0o755)
        done, steps = self.suite(folder, "--only", "decode-xl,llama-xl,torch-xl", PYTHON=str(python))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({step["status"] for step in steps.values()}, {"ok"})
        self.assertIn("--layers 6 --heads 4 --dim 256", " ".join(steps["torch-xl"]["commands"][-1]["argv"]))
        page = self.page_of(self.folder / "out" / "results.tar.xz").read_text()
        self.assertRegex(page, r"\| tales \(XL\) \| 4 \| [\d.,]+ \| [\d.]+ \| 2 \| 5 \| [\d.]+ \| [\d.]+ \|")
        self.assertIn("Peers: llama.cpp 9, flash attention; PyTorch 9", page)

    def test_a_program_that_is_gone_fails_the_step(self):
        """Also the tests': those of DIR run, and their failure is the run's."""
        folder = self.fake("")
        (folder / "test_gpu_plan").write_text("#!/none\n")
        (folder / "test_gpu_plan").chmod(0o755)
        done, steps = self.suite(folder, "--only", "tests")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            [(command["read"], command["ok"]) for command in steps["tests"]["commands"]],
            [("selftest", True), ("test", False)],
        )

    def test_what_takes_too_long_is_cut_and_kept(self):
        folder = self.fake('[ "$1" != generate ] || { echo "so far"; sleep 60; }')
        done, steps = self.suite(folder, "--minutes", "0.1", "--only", "devices,sampling-124m,profile-124m")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            [steps[name]["status"] for name in ("devices", "sampling-124m", "profile-124m")], ["ok", "cut", "skipped"]
        )
        self.assertEqual(steps["sampling-124m"]["commands"][0]["status"], None)

    def test_told_to_end_it_keeps_what_there_is_and_leaves_nothing_running(self):
        pid_file = self.folder / "pid"
        folder = self.fake(f'[ "$1" != generate ] || {{ echo $$ >"{pid_file}"; sleep 60; }}')
        child = subprocess.Popen(
            [str(SUITE), "run", folder, self.folder / "out", "--only", "devices,sampling-124m"],
            cwd=ROOT,
            env={**os.environ, "GPU_SUITE_REHEARSAL": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not (pid_file.exists() and pid_file.read_text().strip()):
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
        self.assertEqual(child.returncode, 1)
        steps = steps_of(self.folder / "out" / "results.tar.xz")[1]
        self.assertEqual([steps[name]["status"] for name in ("devices", "sampling-124m")], ["ok", "cut"])
        self.assertFalse(Path(f"/proc/{pid_file.read_text().strip()}").exists())


class Peers(Temporary):
    def test_every_file_is_measured_however_it_is_given(self):
        log, program = self.folder / "log", self.folder / "vkgpt"
        row = '[{"test": "pp4", "avg_ts": 1.5, "device": "D", "driver": "V"}]'
        program.write_text(
            f"#!/bin/sh\n[ $1 = devices ] && echo '{{\"devices\": []}}' && exit\necho $3 >>'{log}'\necho '{row}'\n"
        )
        program.chmod(0o755)
        files = [self.folder / f"{name}-f16.gguf" for name in "abcd"]
        for file in files:
            file.write_bytes(b"")
        a, b, c, d = files
        for words in (["-m", a, "-m", b, "-m", c, d], ["-m", a, b, c, d]):
            log.unlink(missing_ok=True)
            done = run(ROOT / "tools" / "bench-peers", "--vkgpt", program, "--no-torch", "--rounds", 1, *words)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(log.read_text().split()[1:], [str(file) for file in files])

    def test_the_processor_backend_has_a_column_of_its_own(self):
        def script(name, text):
            (self.folder / name).write_text(f"#!/bin/sh\n{text}")
            (self.folder / name).chmod(0o755)

        script("vkgpt", '''[ $1 != devices ] || exec echo '{"devices": [{"name": "D", "type": "software"}]}'
echo '[{"test": "pp4", "avg_ts": 3, "device": "D", "driver": "V"}]'
''')
        script("peer", '''[ $1 != device ] || exec echo '{"engine": "llama.cpp 1", "device": "D"}'
case "$*" in *--cpu*) rate=12 ;; *) rate=2 ;; esac
echo '{"tests": [{"test": "pp4", "tokens_per_s": ['$rate']}]}'
''')
        model, out = self.folder / "a-f16.gguf", self.folder / "out"
        model.write_bytes(b"")
        words = ["--vkgpt", self.folder / "vkgpt", "--peer", self.folder, "--no-torch", "--rounds", 1, "-m", model]
        done = run(ROOT / "tools" / "bench-peers", *words, "-o", out, "--name", "d")
        self.assertEqual(done.returncode, 0, done.stderr)
        page = next(out.glob("*.md")).read_text()
        self.assertIn("| vkgpt | llama.cpp, Vulkan | vkgpt / it | llama.cpp, processor | vkgpt / it |", page)
        self.assertIn("| 3 (3 to 3) | 2 (2 to 2) | 1.50 | 12 (12 to 12) | 0.25 |", page)


class Rehearsal(Temporary):
    def test_every_step_succeeds_and_the_page_is_whole(self):
        done = run(SUITE, "run", BUILD, self.folder / "out", "--minutes", "14", GPU_SUITE_REHEARSAL="1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        archive = self.folder / "out" / "results.tar.xz"
        self.assertEqual([path.name for path in archive.parent.iterdir()], ["results.tar.xz"])
        suite, steps = steps_of(archive)
        self.assertEqual(sorted(suite["order"]), STEPS)
        self.assertEqual(sorted(steps), STEPS)
        for name, step in steps.items():
            peer = name.startswith(("llama", "torch"))
            self.assertIn(step["status"], ("ok", "absent") if peer else ("ok",), f"{name}: {step['why']}")
            self.assertTrue(step["commands"] or step["status"] == "absent", name)
        for model in ("124m", "xl"):
            variants = {command["facts"].get("variant") for command in steps[f"variants-{model}"]["commands"]}
            self.assertLessEqual({"as shipped"} | {name for name, _ in suite["variants"]}, variants)
        self.check_page(self.page_of(archive).read_text())


if __name__ == "__main__":
    unittest.main()
