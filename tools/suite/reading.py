"""Reads the archive of a run of tools/gpu-suite: steps, commands, and the numbers in what the commands wrote.

A row is a measured speed: {"engine", "model", "variant", "weights", "test", "tokens", "depth", "sequences", "rates"}
and more. `vkgpt bench` writes its rows as JSON or as a Markdown table, and both are read. `by_hand` in suite.json are
figures that were noted without their output; they are rows too, and say so.
"""

import json
import lzma
import re
import statistics
import tarfile
from pathlib import Path

GREEDY, DEFAULT = "greedy", "default"


class Unreadable(Exception):
    pass


class Folder:
    """An archive, or a folder with the same content."""

    def __init__(self, path):
        self.path, self.texts = Path(path), {}
        try:
            if self.path.is_dir():
                self.texts = {
                    str(file.relative_to(self.path)): file.read_bytes()
                    for file in self.path.rglob("*")
                    if file.is_file()
                }
            else:
                with tarfile.open(self.path) as archive:
                    self.texts = {
                        member.name.partition("/")[2]: archive.extractfile(member).read()
                        for member in archive.getmembers()
                        if member.isfile()
                    }
        except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
            raise Unreadable(f"{path}: {error}") from None

    def text(self, name):
        if name not in self.texts:
            raise Unreadable(f"{self.path}: {name} is missing")
        return self.texts[name].decode(errors="replace")

    def json(self, name):
        try:
            return json.loads(self.text(name))
        except ValueError as error:
            raise Unreadable(f"{self.path}: {name} is not JSON: {error}") from None


# ------------------------------------------------------------------------------------------- Markdown of bench


def markdown_tables(text):
    """Each table as (the line of text before it, its rows as dicts)."""
    tables, before, head = [], "", None
    for line in text.splitlines():
        if not line.startswith("|"):
            before, head = line.strip() or before, None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if head is None:
            head = cells
            tables.append((before, []))
        elif not set("".join(cells)) <= set("-: "):
            tables[-1][1].append(dict(zip(head, cells)))
    return tables


def test_parts(test):
    """tg64 @ d900 x 8: 64 tokens, depth 900, 8 sequences."""
    found = re.fullmatch(r"(?:pp|tg)(\d+)(?: @ d(\d+))?(?: x (\d+))?", test)
    if not found:
        raise Unreadable(f"a test called {test}")
    tokens, depth, sequences = found.groups()
    return {"tokens": int(tokens), "depth": int(depth or 0), "sequences": int(sequences or 1)}


def amount(text):
    found = re.search(r"[\d.]+", text or "")
    return float(found.group()) if found else None


def row_of_markdown(cells, limits):
    name, weights = cells["model"].split()
    rate, _, deviation = cells["t/s"].partition(" ± ")
    share = amount(cells["of limit"])
    row = {
        "model": name,
        "weights": weights,
        "device": cells["device"],
        "test": cells["test"],
        "avg_ts": float(rate),
        "stddev_ts": float(deviation or 0),
        "size": amount(cells["size"]) * 2**20,
        **test_parts(cells["test"]),
        **limits,
    }
    row["dispatches_per_token"], row["limit_tokens_per_s"] = amount(cells["dispatches/token"]), amount(
        cells["limit t/s"]
    )
    row["share_of_limit"] = share / 100 if share is not None else None
    return row


def profile_of_markdown(before, lines):
    kernels = [
        {
            "step": line["step"],
            "kernel": line["kernel"],
            "dispatches": int(line["dispatches"]),
            "us_per_token": float(line["µs/token"]),
            "share_of_time": amount(line["of the time"]) / 100,
            "gb_per_s": amount(line["GB/s"]),
            "share_of_copy": (amount(line["of a copy"]) or 0) / 100 or None,
        }
        for line in lines
        if line["step"] != "all"
    ]
    return {
        "test": before.partition(":")[0],
        "what": before.partition(": ")[2],
        "kernels": kernels,
        "us_per_token": next(float(line["µs/token"]) for line in lines if line["step"] == "all"),
    }


def bench_of_markdown(text):
    found = re.search(r"reads and writes ([\d.]+) GB/s(?:, an empty dispatch takes ([\d.]+))?", text)
    limits = {"copy_gb_per_s": float(found[1]), "dispatch_us": float(found[2])} if found else {}
    rows = []
    for before, lines in markdown_tables(text):
        if lines and "t/s" in lines[0]:
            rows += [row_of_markdown(cells, limits) for cells in lines]
        elif lines:
            profile = profile_of_markdown(before, lines)
            next(row for row in rows if row["test"] == profile["test"])["profile"] = profile
    return rows


def bench_rows(text):
    if not text.startswith("["):
        return bench_of_markdown(text)
    rows = json.loads(text)
    for row in rows:
        profile = row.get("profile")
        if profile:
            block = f"a block of {profile['rows']} tokens up to position {profile['position']}"
            profile["what"] = block if row["test"].startswith("pp") else f"one token at position {profile['position']}"
    return rows


def generate_rate(text):
    """Seconds of load and of the first prompt, tokens/s: of --json, or of what generate says on stderr."""
    if text.startswith("{"):
        timings = json.loads(text)["timings"]
        return {"load_s": timings["load_s"], "prefill_s": timings["prefill_s"], "rate": timings["decode_tokens_per_s"]}
    seconds = lambda word: float(re.search(rf"^{word} +([\d.]+) s", text, re.M)[1])
    return {
        "load_s": seconds("load"),
        "prefill_s": seconds("prefill"),
        "rate": float(re.search(r"^decode .* ([\d.]+) tokens/s", text, re.M)[1]),
    }


# ---------------------------------------------------------------------------------------------------- results


class Results:
    def __init__(self, path):
        self.folder = Folder(path)
        self.suite = self.folder.json("suite.json")
        self.steps = [
            self.folder.json(f"steps/{name}.json")
            for name in self.suite["order"]
            if f"steps/{name}.json" in self.folder.texts
        ]
        self.rows, self.profiles, self.generated, self.tunings = [], [], [], []
        self.tests, self.selftests = [], []
        readers = {
            "bench": self.read_bench,
            "profile": self.read_profile,
            "peer": self.read_peer,
            "generate": self.read_generate,
            "tune": self.read_tune,
            "test": self.read_test,
            "selftest": self.read_selftest,
        }
        for step in self.steps:
            self.step = step["name"]
            for command in step["commands"]:
                if command["read"] in readers and (command["ok"] or command["read"] in ("test", "selftest")):
                    self.read(readers[command["read"]], command)
        self.rows += [
            {"variant": "", "weights": "f16", "by_hand": True, "step": "", **test_parts(row["test"]), **row}
            for row in self.suite.get("by_hand", [])
        ]

    def read(self, reader, command):
        text = self.folder.text(command["out"])
        try:
            reader(command["facts"], text, command)
        except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
            raise Unreadable(f"{self.folder.path}: {command['out']}: {error!r}") from None

    def read_bench(self, facts, text, _):
        for row in bench_rows(text):
            self.rows.append(
                {
                    **row,
                    "engine": "vkgpt",
                    "model": facts["model"],
                    "name": row["model"],
                    "variant": facts["variant"],
                    "step": self.step,
                    "rates": [row["avg_ts"]],
                }
            )

    def read_profile(self, facts, text, _):
        for row in bench_rows(text):
            if "profile" in row:
                self.profiles.append(
                    {**row["profile"], "model": facts["model"], "variant": facts["variant"], "test": row["test"]}
                )

    def read_peer(self, facts, text, _):
        report = json.loads(text)
        flash = {True: ", flash attention", False: ", no flash attention"}.get(report.get("flash"), "")
        for test in report["tests"]:
            self.rows.append(
                {
                    "engine": report["engine"].split()[0],
                    "label": report["engine"] + flash,
                    "model": facts["model"],
                    "variant": "",
                    "step": self.step,
                    "weights": facts["weights"],
                    "test": test["test"],
                    "rates": test["tokens_per_s"],
                    **test_parts(test["test"]),
                }
            )

    def read_generate(self, facts, text, _):
        self.generated.append({**facts, **generate_rate(text)})

    def read_tune(self, facts, text, _):
        self.tunings.append({"model": facts["model"], "results": json.loads(text)["results"]})

    def read_test(self, facts, text, command):
        said = [line.strip() for line in (self.folder.text(command["err"]) + text).splitlines()]
        failures = [
            line.partition("error: ")[0].partition("] --- ")[2].rstrip(": ") for line in said if ": error: " in line
        ]
        self.tests.append(
            {
                "test": facts["test"],
                "ok": command["ok"],
                "status": command["status"],
                "seconds": command["seconds"],
                "failures": list(dict.fromkeys(line for line in failures if line)),
            }
        )

    def read_selftest(self, _, text, command):
        verdicts = re.findall(r"^(\S+) .*(pass|FAIL)$", text, re.M)
        self.selftests.append(
            {
                "passed": sum(verdict == "pass" for _, verdict in verdicts),
                "seconds": command["seconds"],
                "failed": [kernel for kernel, verdict in verdicts if verdict == "FAIL"],
                "cut": command["status"] is None,
            }
        )

    # -------------------------------------------------------------------------------------------- asking

    def models(self):
        return list(dict.fromkeys(row["model"] for row in self.rows))

    def find(self, **wanted):
        """Rows, measured ones before those by hand."""
        found = [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]
        return sorted(found, key=lambda row: row.get("by_hand", False))

    def speed(self, **wanted):
        """One row for all of them, with its "rate": the median of vkgpt's runs, and of a peer's fastest way to run."""
        found = [row for row in self.find(**wanted) if "rates" in row]
        if not found:
            return next(iter(self.find(**wanted)), None)
        if found[0]["engine"] == "vkgpt":
            return {**found[0], "rate": statistics.median(rate for row in found for rate in row["rates"])}
        best = max(found, key=lambda row: statistics.median(row["rates"]))
        return {**best, "rate": statistics.median(best["rates"])}

    def rates(self, **wanted):
        return [rate for row in self.find(**wanted) for rate in row.get("rates", [])]

    def names(self, model):
        return next((row["name"] for row in self.rows if row["model"] == model and "name" in row), model)
