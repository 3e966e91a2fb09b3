"""schemathesis against `vkgpt serve`, by the OpenAPI file that the project ships: what it makes up from the file, lawful and
not, gets an answer of the kind that the file names, and never a 500.

tests/clients/run BUILD schema [REQUESTS]
"""
import os
import subprocess
import sys
import tempfile

from served import ROOT, Served

OPENAPI = os.path.join(ROOT, "docs", "openapi.yaml")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
FIRST_EXAMPLES = 40  # of each operation; more follow with other seeds until there are enough requests


def run(url, examples, seed, folder):
    """Runs it once; returns the number of requests, and what it prints if it finds something."""
    report = os.path.join(folder, f"{seed}.ndjson")
    command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", os.devnull, "run", OPENAPI,
               "--url", url, "--checks", CHECKS, "--max-examples", str(examples), "--seed", str(seed), "--workers", "2",
               "--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--request-timeout", "120",
               "--suppress-health-check", "all", "--no-color", "--report", "ndjson", "--report-ndjson-path", report]
    out = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    with open(report, encoding="utf-8") as file:
        count = sum(line.count('"status_code"') for line in file)
    return count, out.stdout + out.stderr if out.returncode else ""


def main(build, requests):
    done, seed = 0, 0
    with tempfile.TemporaryDirectory() as folder, Served(build) as server:
        while done < requests:
            seed += 1
            count, found = run(server.url, FIRST_EXAMPLES, seed, folder)
            done += count
            if found or not count:
                print(found)
                return 1
        assert server.process.poll() is None, "the server has ended"
    print(f"{done} requests, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000))
