#!/usr/bin/env python3
"""Tests of the documentation: python3 tests/docs.py BUILD [CLASS ...].

Every command in a block of code of README.md, CONTRIBUTING.md, SECURITY.md, docs/*.md and models/*/README.md runs with
the program of BUILD, in a folder that looks like a clone: its file names lead to small stand-ins (STAND_INS). A block is
one of commands where its fence says "sh", or where it has no language and a line begins with one of PROGRAMS; blocks
of "python" run too. What cannot run has a comment in front of the block that says why:

    <!-- not run: needs a GPU -->

Inline code that begins with `vkgpt` names a command and flags that exist. Relative links lead to files and headings,
and paths in inline code to files.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / "build"
VKGPT = BUILD / "vkgpt"
SECONDS = 240  # of one block at most; on a quiet machine a few seconds
HEADS = "tests/fixtures/heads"
STAND_INS = {  # what a name in the docs leads to; make_shared makes two more
    "path/to/classifier": f"{HEADS}/gpt2-labels",
    "path/to/double-heads": f"{HEADS}/gpt2-choice",
    "path/to/base": "tests/fixtures/lora/gpt1",
    "path/to/adapter": "tests/fixtures/lora/gpt1/adapter",
    "hellaswag.jsonl": "tests/fixtures/eval/hellaswag.jsonl",
    "lambada.jsonl": "tests/fixtures/eval/lambada.jsonl",
    "piqa.jsonl": "tests/fixtures/eval/piqa.jsonl",
    "wikitext.txt": "tests/fixtures/eval/wikitext.txt",
}
HUB = "models--openai-community--gpt2"  # a model that was downloaded
TEXT = "Once upon a time there was a king who had three sons, and he sent them out into the wide world.\n"
TEXTS = {"prompt.txt": "Once upon a time", "prompts.txt": "Once upon a time\nThe old king\n", "story.txt": TEXT * 4}
TEXTS |= {"book.txt": TEXT * 20, "article.txt": TEXT * 2, "app.c": "int main(void) { return 0; }\n"}
FOLDERS = ("models", "docs", "tools", "tests", "include", "src", "shaders")
PROGRAMS = """vkgpt build/ tools/ pack/ ./ cmake ctest cpack sudo apt-get dnf pacman zypper git echo cat printf python3 pip
    .venv/ cc gcc g++ c++ clang pkg-config curl tar export""".split()
NEVER = r"(^|[\s;&|])(sudo|apt-get|dnf|pacman|zypper|cmake|vkgpt pull|tools/[\w-]+)"  # they change the machine, build or download


class Block(NamedTuple):
    line: int  # of its first line of code, from 1 on
    language: str
    code: list
    not_run: str  # why, or ""


class Link(NamedTuple):
    line: int
    target: str


def blocks_of(text):
    """The blocks of code, fenced or indented, with the comment in front of each."""
    blocks, not_run, fence, indented, before = [], "", None, None, ""
    for number, line in enumerate(text.splitlines() + [""], 1):
        if fence:
            if line.strip() == fence:
                fence = None
            else:
                blocks[-1].code.append(line)
            continue
        if indented and (line.startswith("    ") or not line.strip()):
            blocks[-1].code.append(line[4:])
            before = line
            continue
        indented = None
        if opening := re.match(r"(```+|~~~+)\s*(\w*)", line):
            fence = opening[1]
            blocks.append(Block(number + 1, opening[2], [], not_run))
        elif line.startswith("    ") and (not before.strip() or before.strip().startswith("<!--")):
            indented = True
            blocks.append(Block(number, "", [line[4:]], not_run))
        comment = re.match(r" *<!-- not run: (\S.*) -->$", line)
        not_run = comment[1] if comment else not_run if not line.strip() else ""
        before = line
    return blocks


def begins_with_program(line):
    line = re.sub(r"^ *(\w+=\S+ +)*", "", line)
    return any(line.startswith(p if p.endswith("/") else p + " ") or line == p for p in PROGRAMS)


def is_commands(block):
    return block.language in ("sh", "python") or not block.language and any(map(begins_with_program, block.code))


def prose_of(text):
    """The text with its blocks of code emptied, so that line numbers stay."""
    lines = text.splitlines()
    for block in blocks_of(text):
        for number in range(block.line - 1, block.line - 1 + len(block.code)):
            if number < len(lines):
                lines[number] = ""
    return lines


def links_of(text):
    return [
        Link(number, target)
        for number, line in enumerate(prose_of(text), 1)
        for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", re.sub(r"`[^`]*`", "", line))
    ]


def inline_of(text):
    """Pieces of inline code with their lines; one may go on in the next line."""
    prose = "\n".join(prose_of(text))
    return [
        (prose.count("\n", 0, match.start()) + 1, " ".join(match[1].split()))
        for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose)
    ]


def anchors_of(text):
    """The names that headings get on the web, GitHub's way."""
    headings = [re.match(r"#+\s+(.*)", line) for line in prose_of(text)]
    titles = [re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-") for heading in headings if heading]
    return set(titles) | {f"{title}-{n}" for title in titles for n in range(1, titles.count(title))}


def broken_link(page, target):
    """What is wrong with a relative link of a page, or None."""
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"there is no {path}"
    if anchor and anchor not in anchors_of(file.read_text()):
        return f"{file.name} has no heading #{anchor}"
    return None


def markdown():
    """Every page of the tree, and none of a build."""
    found = [*ROOT.glob("*.md")] + [page for name in FOLDERS for page in (ROOT / name).rglob("*.md")]
    assert ROOT / "README.md" in found and ROOT / "docs" / "models.md" in found
    return sorted(found)


def pages():
    """Those whose commands run."""
    found = [p for p in markdown() if p.parent in (ROOT, ROOT / "docs") or p.is_relative_to(ROOT / "models")]
    return [page for page in found if page.name != "CHANGELOG.md"]


def make_shared(folder):
    """What all pages share: a very small GPT-2 with 1,024 positions, the default model as a GGUF file, an installation,
    and the small GPT-2 once more in a cache of Hugging Face's hub."""
    small = ["--layers", "1", "--heads", "2", "--dim", "64"]
    (folder / "models").mkdir()
    for words in (
        [VKGPT, "make-model", "gpt2", *small, "-o", "models/gpt2"],
        [VKGPT, "convert", "-o", "models/gpt2.gguf", "--type", "q8_0"],
        ["cmake", "--install", BUILD, "--prefix", "installed"],
    ):
        made = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    downloaded = folder / "hub" / HUB
    (downloaded / "snapshots").mkdir(parents=True)
    (downloaded / "refs").mkdir()
    (downloaded / "refs" / "main").write_text("0" * 40)
    (downloaded / "snapshots" / ("0" * 40)).symlink_to(folder / "models" / "gpt2")


def make_clone(folder, shared):
    """A folder that commands run in as they would in a clone."""
    for name in FOLDERS:
        (folder / name).symlink_to(ROOT / name)
    (folder / "build").mkdir()
    (folder / "build" / "vkgpt").symlink_to(VKGPT)
    (folder / "path" / "to").mkdir(parents=True)
    for file in (shared / "models").iterdir():
        (folder / "path" / "to" / file.name).symlink_to(file)
    for name, target in STAND_INS.items():
        (folder / name).symlink_to(ROOT / target)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)


def environment_of(folder, shared):
    libraries = next(shared.glob("installed/**/libvkgpt.so"), folder).parent
    path = f"{BUILD}:{os.environ['PATH']}"
    own = {"PKG_CONFIG_PATH": libraries / "pkgconfig", "LD_LIBRARY_PATH": libraries, "HOME": folder}
    own |= {"HF_HUB_CACHE": shared / "hub"}
    own |= {"PYTHONPATH": ROOT / "tools" / "python", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **{name: str(value) for name, value in own.items()}, "PATH": path, "VKGPT_MODEL": ""}


def run_block(page, block, folder, shared):
    """Runs the commands of a block; what went wrong, or None. Its lines keep their numbers in bash's messages."""
    where = f"{page.relative_to(ROOT)}:{block.line}"
    if never := re.search(NEVER, "\n".join(block.code)):
        return f'{where}: no test runs {never[2]}; write "<!-- not run: why -->" in front of the block'
    script = folder / page.name
    python = block.language == "python"
    begin = "" if python else "set -euo pipefail"
    script.write_text(begin + "\n" * (block.line - 1) + "\n".join(block.code) + "\n")
    interpreter = [sys.executable] if python else ["bash", "-x"]
    try:
        done = subprocess.run(
            [*interpreter, script], cwd=folder, env=environment_of(folder, shared), capture_output=True, text=True,
            errors="replace", stdin=subprocess.DEVNULL, timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"{where}: runs for more than {SECONDS} s"
    if done.returncode == 0:
        return None
    return f"{where}: status {done.returncode}\n{done.stderr[-2000:]}"


def run_page(page, shared):
    """Runs a page's blocks one after another in one folder; how many ran, and what went wrong."""
    commands = [block for block in blocks_of(page.read_text()) if is_commands(block) and not block.not_run]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clone(folder, shared)
        return len(commands), [wrong for block in commands if (wrong := run_block(page, block, folder, shared))]


def help_of(*words):
    return subprocess.run([VKGPT, *words], capture_output=True, text=True).stdout


def unknown_words(code, known):
    """What of `vkgpt COMMAND --flag ...` is no command or flag; known keeps the help of each command."""
    words = code.split()
    command = words[1] if len(words) > 1 else "--help"
    if command.startswith("-") or command.isupper() or command == "help":
        return []
    if command not in known:
        known[command] = help_of(command, "--help")
    if not known[command]:
        return [command]
    flags = [word.split("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)]
    return [flag for flag in flags if not re.search(rf"(^|[\s|\[(,]){re.escape(flag)}\b", known[command])]


class Reading(unittest.TestCase):
    """The reading of a page, on one that has a mistake of each kind."""

    PAGE = """# A title, with marks!

Text with `vkgpt nonsense`, `vkgpt generate --no-such-flag` and `vkgpt
generate -n 3`, [a file](no-such-file.md), [a heading](#a-title-with-marks), [none](#other).

    vkgpt devices
    vkgpt \\
        devices

<!-- not run: needs a GPU -->

    tools/gpu-suite run

    100% tests passed

- a list
    that goes on, vkgpt here

```c
int main(void) { return 0; }
```

```sh
false
```
"""

    def test_blocks(self):
        blocks = [block for block in blocks_of(self.PAGE) if is_commands(block)]
        self.assertEqual([block.line for block in blocks], [6, 12, 24])
        self.assertEqual([block.not_run for block in blocks], ["", "needs a GPU", ""])
        self.assertEqual(blocks[0].code[:3], ["vkgpt devices", "vkgpt \\", "    devices"])

    def test_links(self):
        page = ROOT / "README.md"
        self.assertEqual([link.line for link in links_of(self.PAGE)], [4, 4, 4])
        self.assertEqual(anchors_of(self.PAGE), {"a-title-with-marks"})
        self.assertIn("there is no", broken_link(page, "no-such-file.md"))
        self.assertIn("has no heading", broken_link(page, "#no-such-heading"))
        self.assertIsNone(broken_link(page, "https://example.org/nowhere"))

    def test_inline_code(self):
        unknown = [unknown_words(code, {}) for _, code in inline_of(self.PAGE)]
        self.assertEqual(unknown, [["nonsense"], ["--no-such-flag"], []])

    def test_a_command_that_fails(self):
        with tempfile.TemporaryDirectory() as name:
            wrong = run_block(ROOT / "README.md", Block(24, "sh", ["true", "false | cat", "true"], ""), Path(name), Path(name))
            self.assertIn("README.md:24: status 1", wrong)
            wrong = run_block(ROOT / "README.md", Block(24, "python", ["", "1 / 0"], ""), Path(name), Path(name))
            self.assertIn("line 25", wrong)
            wrong = run_block(ROOT / "README.md", Block(24, "", ["true && sudo true"], ""), Path(name), Path(name))
            self.assertIn("no test runs sudo", wrong)


class Commands(unittest.TestCase):
    def test_they_run(self):
        with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
            shared = Path(name)
            make_shared(shared)
            for page, (count, wrong) in zip(pages(), pool.map(lambda page: run_page(page, shared), pages())):
                print(f"{page.relative_to(ROOT)}: {count} blocks of commands ran", file=sys.stderr)
                for text in wrong:
                    with self.subTest(page=page.name):
                        self.fail(text)

    def test_their_words(self):
        known = {}
        for page in pages():
            for line, code in inline_of(page.read_text()):
                if code.startswith("vkgpt "):
                    with self.subTest(page=page.name, line=line, code=code):
                        self.assertEqual(unknown_words(code, known), [])

    def test_readme(self):
        """It begins with one sentence of at most 25 words, and has every command in its table."""
        text = (ROOT / "README.md").read_text()
        sentence = text.split("\n\n")[1]
        self.assertLessEqual(len(sentence.split()), 25)
        self.assertEqual(re.findall(r"\.(?=\s|$)", sentence), ["."])
        commands = re.findall(r"^\.SS vkgpt (\S+)", help_of("help", "--man"), re.M)
        self.assertIn("generate", commands)
        for command in commands:
            self.assertRegex(text, rf"(?m)^\|.*`{command}`.*\|")

    def test_readme_prints_what_it_says(self):
        """What tools/try prints stands under it; tools/try itself would build."""
        text = (ROOT / "README.md").read_text()
        flags = re.search(r'^ *tools/try "([^"]+)"(.*)$', text, re.M)
        quoted = re.search(r"^> (Once upon.*?)\n\n(?!>)", text, re.M | re.S)
        printed = help_of("generate", "--echo", "-p", flags[1], *flags[2].split())
        self.assertEqual(re.sub(r"^>", "", quoted[1], flags=re.M).split(), printed.split())


class Links(unittest.TestCase):
    def test_relative_links(self):
        for page in markdown():
            for link in links_of(page.read_text()):
                with self.subTest(page=page.relative_to(ROOT), line=link.line, link=link.target):
                    self.assertIsNone(broken_link(page, link.target))

    def test_paths_in_code(self):
        """Inline code that begins with a folder of the tree names files that are there; * stands for any name."""
        folders = rf"({'|'.join(FOLDERS)})/[\w./*-]+$"
        for page in pages():
            for line, code in inline_of(page.read_text()):
                if re.match(folders, code):
                    with self.subTest(page=page.name, line=line, path=code):
                        self.assertTrue(list(ROOT.glob(code.rstrip("/"))), "there is no such file")


if __name__ == "__main__":
    unittest.main()
