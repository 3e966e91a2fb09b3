"""Runs commands with limits, and keeps each with its output, exit status and seconds in an archive.

The archive is one RESULTS/results.tar.xz:

    suite.json          what ran where: commit, date, device, host, the names of the steps
    steps/NAME.json     a step: status, why, seconds; its commands, each with argv, environment, status, seconds
    steps/NAME.01.out   what its first command wrote to stdout; .err: to stderr

A step's status is "ok", "failed" (a command failed), "cut" (its time was over), "absent" (what it needs is not there)
or "skipped" (no time was left). A command's status is its exit status, or null where it was cut.
"""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LEAST = 2.0  # seconds: a step that has less is not started
KEPT = 512 * 1024  # bytes of an output that are kept


class Absent(Exception):
    """What a step needs is not on this machine; the text says what."""


class Cut(Exception):
    """The time of a step, or of the run, is over."""


class Stopped(Exception):
    """The run was told to end."""


class Archive:
    def __init__(self, folder):
        self.file = Path(folder) / "results.tar.xz"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.content = Path(tempfile.mkdtemp(prefix="gpu-suite-"))
        (self.content / "steps").mkdir()

    def put(self, name, value):
        (self.content / name).write_text(json.dumps(value, indent=1) + "\n")

    def write(self):
        """Whole or not at all: a run that is cut leaves the archive of the step before."""
        part = self.file.with_suffix(".part")
        with tarfile.open(part, "w:xz", preset=1) as archive:
            archive.add(self.content, "results")
        part.replace(self.file)

    def close(self):
        shutil.rmtree(self.content, ignore_errors=True)


class Runner:
    """What the steps run their commands by. `deadline` is that of the whole run, `until` that of the step."""

    def __init__(self, archive, environment, minutes):
        self.archive, self.environment = archive, environment
        self.deadline = time.monotonic() + minutes * 60
        self.until, self.step, self.children, self.stopped = self.deadline, None, set(), False

    def left(self):
        return 0 if self.stopped else min(self.until, self.deadline) - time.monotonic()

    def stop(self):
        """Ends what runs, from a signal's handler: those who wait for it see it end, and take it from there."""
        self.stopped = True
        for child in list(self.children):
            send_kill(child)

    def run(self, argv, read="", environment=None, optional=False, **facts):
        """Runs a command and keeps it. Returns its stdout, or None where it failed; raises Cut when its time was over.
        An optional one may fail, or not be there."""
        record = self.new_record(argv, read, environment, facts, optional=optional)
        self.execute(record)
        self.go_on()
        if record["status"] is None:
            raise Cut
        return self.text(record["out"]) if record["status"] == 0 else None

    def run_at_once(self, jobs, workers):
        """Runs commands side by side, each a dict of new_record's arguments. Those that are over time are cut."""
        records = [self.new_record(**job) for job in jobs]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(self.execute, records))
        self.go_on()
        if any(record["status"] is None and not record["ok"] for record in records):
            raise Cut

    def go_on(self):
        if self.stopped:
            raise Stopped

    def new_record(self, argv, read, environment=None, facts=None, optional=False, may_be_cut=False, limit=None):
        """With may_be_cut, `limit` seconds may pass, or the step's: what it wrote until then counts."""
        commands = self.step["commands"]
        stem = f"steps/{self.step['name']}.{len(commands) + 1:02}"
        record = {
            "read": read,
            "facts": facts or {},
            "argv": [str(word) for word in argv],
            "environment": environment or {},
            "optional": optional,
            "may_be_cut": may_be_cut,
            "limit": limit,
            "status": None,
            "seconds": 0.0,
            "ok": False,
            "out": stem + ".out",
            "err": stem + ".err",
        }
        commands.append(record)
        return record

    def execute(self, record):
        start, limit = time.monotonic(), min(self.left(), record["limit"] or self.left())
        out, err = self.archive.content / record["out"], self.archive.content / record["err"]
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            if limit > 0:
                record["status"] = self.wait(record, stdout, stderr, limit)
        record["seconds"] = round(time.monotonic() - start, 3)
        cut_is_fine = record["status"] is None and record["may_be_cut"] and out.stat().st_size > 0
        record["ok"] = record["status"] == 0 or cut_is_fine or (record["optional"] and record["status"] is not None)
        for path in (out, err):
            if path.stat().st_size > KEPT:
                path.write_bytes(path.read_bytes()[-KEPT:])

    def wait(self, record, stdout, stderr, limit):
        """The exit status; None where the command was cut. 127, as a shell has it, where there is no such program."""
        try:
            child = subprocess.Popen(
                record["argv"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**self.environment, **record["environment"]},
                start_new_session=True,
            )
        except OSError as error:
            stderr.write(f"{record['argv'][0]}: {error.strerror}\n".encode())
            return 127
        self.children.add(child)
        if self.stopped:  # between the start and the line above
            send_kill(child)
        try:
            status = child.wait(limit)
            return None if self.stopped else status
        except subprocess.TimeoutExpired:
            send_kill(child)
            child.wait()
            return None
        finally:
            self.children.discard(child)

    def text(self, name):
        return (self.archive.content / name).read_text(errors="replace")

    def run_step(self, name, work, limit):
        """Runs a step to its end, whatever comes of it, and writes the archive. Returns its record."""
        self.go_on()
        self.step = {"name": name, "status": "ok", "why": "", "seconds": 0.0, "limit": limit, "commands": []}
        start = time.monotonic()
        self.until = start + limit
        try:
            if self.left() < LEAST:
                self.step.update(status="skipped", why="no time was left")
            else:
                work(self)
        except Absent as absent:
            self.step.update(status="absent", why=str(absent))
        except Cut:
            self.step.update(status="cut", why=f"its time was over after {time.monotonic() - start:.0f} s")
        except Stopped:
            self.step.update(status="cut", why="the run was told to end")
            raise
        finally:
            self.finish_step(start)
        return self.step

    def finish_step(self, start):
        failed = [record for record in self.step["commands"] if not record["ok"] and record["status"] is not None]
        if failed:
            self.step.update(status="failed", why=self.why(failed[0]))
        self.step["seconds"] = round(time.monotonic() - start, 2)
        self.archive.put(f"steps/{self.step['name']}.json", self.step)
        self.archive.write()

    def why(self, record):
        said = (self.text(record["err"]).strip() or self.text(record["out"]).strip()).splitlines()
        program = os.path.basename(record["argv"][0])
        return f"{program} ended with status {record['status']}" + (f": {said[-1].strip()}" if said else "")


def send_kill(child):
    """To the command and whatever it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
