"""wrk against `vkgpt serve`: 32 connections that ask for completions over 8 slots, whole ones and streams, and for /health.
No request fails.

tests/clients/run BUILD load [SECONDS]
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from served import Served

CONNECTIONS = 32
SCRIPT = """
wrk.headers["Content-Type"] = "application/json"
local bodies, turn = {
    '{"prompt": "Once upon a time", "max_tokens": 4, "seed": 1}',
    '{"prompt": "The king", "max_tokens": 4, "stream": true, "temperature": 0}',
    '{"prompt": [5, 6, 7], "max_tokens": 2, "echo": true, "logprobs": 2}',
}, 0
function request()
    turn = turn + 1
    if turn % 10 == 0 then return wrk.format("GET", "/health") end
    return wrk.format("POST", "/v1/completions", nil, bodies[turn % #bodies + 1])
end
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\\n{"requests": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "slowest": %f}\\n',
        summary.requests, e.connect, e.read, e.write, e.status, e.timeout, latency.max / 1e6))
end
"""


def main(build, seconds):
    if not shutil.which("wrk"):
        print("wrk is not installed: not tested", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory() as folder, Served(build, "-np", "8") as server:
        path = os.path.join(folder, "script.lua")
        with open(path, "w") as file:
            file.write(SCRIPT)
        words = ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "60s", "-s", path, server.url]
        out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found = json.loads(out.splitlines()[-1])
        print(found)
        errors = sum(found[kind] for kind in ("connect", "read", "write", "status", "timeout"))
        completed = server.metric("vkgpt_completions_total")
        assert not errors, out
        assert found["requests"] > CONNECTIONS and completed > CONNECTIONS, out
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10))
