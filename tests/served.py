"""A `vkgpt serve` for the length of a `with` block, for tests with clients of others."""
import os

import serve
from serve import ROOT, TALES  # noqa: F401  (for those who import this)


class Served(serve.Server):
    """Serves the default model. In the end nothing of it may run any more."""

    def __init__(self, build, *flags):
        serve.PROGRAM = os.path.join(build, "vkgpt")
        super().__init__(*flags)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if not kind:
                self.wait_for("vkgpt_sequences_running", 0)
                status = self.end()
                assert status == 0, f"the server ended with {status}: {self.text()}"
        finally:
            self.kill()
