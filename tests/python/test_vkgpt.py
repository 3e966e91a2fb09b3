"""tools/python/vkgpt.py: its structs against the header, and what it gives against the program.

test_vkgpt.py HEADER PROGRAM MODEL, with VKGPT_LIBRARY and PYTHONPATH set.
"""
import ctypes
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy

import vkgpt

HEADER, PROGRAM, MODEL = sys.argv[1:4]
PROMPT = "Once upon a time"
STRUCTS = {
    "vkgpt_error": vkgpt._Error, "vkgpt_device_info": vkgpt.DeviceInfo, "vkgpt_model_options": vkgpt._ModelOptions,
    "vkgpt_model_info": vkgpt.ModelInfo, "vkgpt_session_options": vkgpt._SessionOptions, "vkgpt_sampling": vkgpt.Sampling,
    "vkgpt_ids": vkgpt._Ids, "vkgpt_continuation": vkgpt._Continuation, "vkgpt_scored": vkgpt._Scored, "vkgpt_logprob": vkgpt._Logprob,
    "vkgpt_token": vkgpt._Token, "vkgpt_bias": vkgpt._Bias, "vkgpt_batch_options": vkgpt._BatchOptions,
    "vkgpt_batch_event": vkgpt._BatchEvent}
ENUMS = {"VKGPT_OK": vkgpt.OK, "VKGPT_BAD_ARGUMENT": vkgpt.BAD_ARGUMENT, "VKGPT_BAD_FILE": vkgpt.BAD_FILE,
         "VKGPT_BAD_MODEL": vkgpt.BAD_MODEL, "VKGPT_NO_DEVICE": vkgpt.NO_DEVICE,
         "VKGPT_OUT_OF_MEMORY": vkgpt.OUT_OF_MEMORY, "VKGPT_DEVICE_LOST": vkgpt.DEVICE_LOST,
         "VKGPT_BAD_LOGITS": vkgpt.BAD_LOGITS, "VKGPT_INTERRUPTED": vkgpt.INTERRUPTED,
         "VKGPT_DEVICE_HUNG": vkgpt.DEVICE_HUNG,
         "VKGPT_STOP_LENGTH": vkgpt.STOPS.index("length"), "VKGPT_STOP_EOS": vkgpt.STOPS.index("eos"),
         "VKGPT_STOP_CONTEXT": vkgpt.STOPS.index("context"), "VKGPT_STOP_CALLBACK": vkgpt.STOPS.index("callback"),
         **{f"VKGPT_POOL_{name.upper()}": i for i, name in enumerate(vkgpt.POOLINGS)},
         **{f"VKGPT_{name.upper()}": i for i, name in enumerate(vkgpt.FORMATS)}}


def program(*arguments):
    done = subprocess.run([PROGRAM, *arguments, "-m", MODEL, "--json"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return json.loads(done.stdout)


def members(name):
    """The names of a struct's members, in order, as they are in the header."""
    with open(HEADER) as file:
        body = re.search(r"typedef struct %s \{\n(.*?)\n\} %s;" % (name, name), file.read(), re.S)[1]
    found = []
    for declaration in filter(None, map(str.strip, re.sub(r"//[^\n]*", "", body).split(";"))):
        function = re.search(r"\(\*(\w+)\)", declaration)
        found += [function[1]] if function else [re.search(r"(\w+)(\[\d+\])?$", part)[1] for part in declaration.split(",")]
    return found


class Header(unittest.TestCase):
    def test_members(self):
        for name, struct in STRUCTS.items():
            self.assertEqual([member for member, _ in struct._fields_], members(name), name)

    def test_structs(self):
        """Sizes, offsets and sizes of members, as the C compiler has them."""
        lines, expected = [], []
        for name, struct in STRUCTS.items():
            lines.append(f'printf("%zu\\n", sizeof({name}));')
            expected.append(ctypes.sizeof(struct))
            for member, _ in struct._fields_:
                lines.append(f'printf("%zu\\n", offsetof({name}, {member}) * 1000 + sizeof((({name} *)0)->{member}));')
                expected.append(getattr(struct, member).offset * 1000 + getattr(struct, member).size)
        for name, value in ENUMS.items():
            lines.append(f'printf("%d\\n", (int){name});')
            expected.append(value)
        with tempfile.TemporaryDirectory() as dir:
            with open(f"{dir}/a.c", "w") as file:
                file.write('#include <stdio.h>\n#include "%s"\nint main(void) {\n%s\n}\n' % (os.path.abspath(HEADER), "\n".join(lines)))
            subprocess.run(["cc", f"{dir}/a.c", "-o", f"{dir}/a"], check=True)
            got = subprocess.run([f"{dir}/a"], capture_output=True, check=True, text=True).stdout.split()
        self.assertEqual([int(n) for n in got], expected)


class WithSession(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.device = vkgpt.Device()
        cls.model = vkgpt.Model(cls.device, MODEL)
        cls.session = vkgpt.Session(cls.model)

    @classmethod
    def tearDownClass(cls):
        cls.device.close()

    def setUp(self):
        self.session.rewind(0)


class Generate(WithSession):
    def test_as_the_program(self):
        want = program("generate", "-p", PROMPT, "-n", "40", "--seed", "7")
        self.assertEqual("".join(self.session.generate(PROMPT, max_tokens=40, seed=7)), want["text"])
        self.assertEqual(self.session.stop, "length")
        self.session.rewind(0)
        self.assertEqual(list(self.session.generate_ids(PROMPT, max_tokens=40, seed=7)), want["ids"])

    def test_stop_strings(self):
        want = program("generate", "-p", PROMPT, "-n", "200", "--seed", "7", "-r", " the", "-r", "\n")
        self.assertEqual("".join(self.session.generate(PROMPT, 200, [" the", "\n"], seed=7)), want["text"])
        self.assertEqual(self.session.stop, "stop")

    def test_whole_context(self):
        ids = list(self.session.generate_ids(PROMPT, seed=1, ignore_eos=True))
        self.assertEqual(self.session.stop, "context")
        self.assertEqual(self.session.position, self.model.info.context + 1)
        self.assertEqual(len(self.session.ids(PROMPT)) + len(ids), self.model.info.context + 1)

    def test_left_early(self):
        want = list(self.session.generate_ids(PROMPT, max_tokens=30, seed=3))
        self.session.rewind(0)
        ids = self.session.generate_ids(PROMPT, max_tokens=30, seed=3)
        got = [next(ids) for _ in range(9)]
        ids.close()
        self.assertEqual(self.session.position, len(self.session.ids(PROMPT)) + 9)
        self.assertEqual(got + list(self.session.generate_ids(max_tokens=21, seed=3)), want)

    def test_cancelled(self):
        self.session.cancel()
        with self.assertRaises(vkgpt.Error) as raised:
            list(self.session.generate(PROMPT, max_tokens=5))
        self.assertEqual(raised.exception.code, vkgpt.INTERRUPTED)
        self.session.rewind(0)
        failures = []

        def generate():
            try:
                while True:
                    self.session.rewind(0)
                    list(self.session.generate_ids(PROMPT, max_tokens=100, ignore_eos=True))
            except vkgpt.Error as error:
                failures.append(error.code)

        thread = threading.Thread(target=generate)
        thread.start()
        self.session.cancel()
        thread.join(60)
        self.assertEqual(failures, [vkgpt.INTERRUPTED])

    def test_batch(self):
        prompts = [PROMPT, "The old man said", [1, 2, 3]]
        with vkgpt.Session(self.model, sequences=4) as session:
            texts = [""] * 3
            for i, text in session.generate_batch(prompts, max_tokens=30, seed=5):
                texts[i] += text
        for i, prompt in enumerate(prompts):
            self.session.rewind(0)
            self.assertEqual(texts[i], "".join(self.session.generate(prompt, max_tokens=30, seed=5 + i)))


class ComeAndGo(WithSession):
    """Sequences that come and go, in one session of three."""

    def setUp(self):
        super().setUp()
        self.batch = vkgpt.Session(self.model, sequences=3)
        self.addCleanup(self.batch.close)
        self.events = [[] for _ in range(3)]

    def keep(self, event):
        self.events[event.sequence].append(event)

    def run_all(self):
        while self.batch.batch_step(self.keep):
            pass

    def ids(self, sequence):
        return [event.id for event in self.events[sequence] if event.id is not None]

    def test_tokens(self):
        prompts = [PROMPT, "The old man said", [1, 2, 3]]
        self.batch.batch_start(0, prompts[0], 30, seed=5)
        while len(self.ids(0)) < 4:
            self.assertEqual(self.batch.batch_step(self.keep), 1)
        self.assertEqual(self.batch.batch_choose(prompts[1]), 1)
        self.batch.batch_start(1, prompts[1], 20, seed=6)
        self.batch.batch_start(2, prompts[2], 7, seed=7)
        self.assertIsNone(self.batch.batch_choose(PROMPT))
        self.run_all()
        for i, count in enumerate([30, 20, 7]):
            self.session.rewind(0)
            self.assertEqual(self.ids(i), list(self.session.generate_ids(prompts[i], count, seed=5 + i)))
            self.assertEqual(self.events[i][-1], vkgpt.Event(i, None, self.session.stop, False, None))

    def test_logprobs(self):
        ids = self.session.ids(PROMPT)
        self.batch.batch_start(1, PROMPT, 5, logprobs=3, given=True, temperature=0, ignore_eos=True)
        self.run_all()
        tokens = [event.token for event in self.events[1][:-1]]
        self.assertEqual([event.given for event in self.events[1][:-1]], [True] * len(ids) + [False] * 5)
        self.assertEqual([token.id for token in tokens[:len(ids)]], ids)
        self.assertTrue(math.isnan(tokens[0].logprob))
        for got, want in zip(tokens[1:], self.session.logprobs([token.id for token in tokens], 3)[1:]):
            self.assertEqual(got.id, want.id)
            self.assertAlmostEqual(got.logprob, want.logprob, delta=1e-3)
            self.assertEqual([id for id, _ in got.top], [id for id, _ in want.top])

    def test_changed_logits(self):
        self.batch.batch_start(0, PROMPT, 8, temperature=0, logit_bias={7: 1000, 9: 900})
        self.batch.batch_start(1, PROMPT, 3, temperature=0, logit_bias={7: 1000, 9: 900}, presence_penalty=500)
        self.batch.batch_start(2, PROMPT, 3, temperature=0, logit_bias={7: 1000, 9: 500}, frequency_penalty=300)
        self.run_all()
        self.assertEqual(self.ids(0), [7] * 8)
        self.assertEqual(self.ids(1), [7, 9, 7])
        self.assertEqual(self.ids(2), [7, 7, 9])

    def test_left_early(self):
        def three(event):
            self.keep(event)
            return len(self.ids(0)) < 3

        self.batch.batch_start(0, PROMPT, 30, seed=1)
        while self.batch.batch_step(three):
            pass
        self.assertEqual((len(self.ids(0)), self.events[0][-1].stop), (3, "callback"))
        self.batch.batch_start(1, PROMPT, 30, seed=1)
        self.batch.batch_stop(1)
        self.assertEqual(self.batch.batch_step(self.keep), 0)
        self.assertEqual(self.events[1], [])

    def test_errors(self):
        with self.assertRaisesRegex(vkgpt.Error, "sequence 3: the session has 3"):
            self.batch.batch_start(3, PROMPT)
        with self.assertRaisesRegex(TypeError, "sampling has no heat"):
            self.batch.batch_start(0, PROMPT, heat=1)
        self.batch.batch_start(0, PROMPT, 5, ignore_eos=True)
        def divide(event):
            self.keep(event)
            return 1 // (event.id is None)

        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            while self.batch.batch_step(divide):
                pass
        self.assertEqual([event.stop for event in self.events[0]], [None, "callback"])
        self.assertEqual(self.batch.batch_step(self.keep), 0)


class Measure(WithSession):
    def test_logits(self):
        ids = self.session.ids(PROMPT + " there was a king who had three sons.")
        logits = self.session.logits(ids)
        self.assertEqual(logits.shape, (len(ids), self.model.info.vocab))
        self.assertEqual(logits.dtype, numpy.float32)
        self.assertFalse(logits.flags.owndata or logits.flags.writeable)
        wide = logits.astype(numpy.float64)
        all = numpy.log(numpy.exp(wide).sum(axis=1))
        self.session.rewind(0)
        tokens = self.session.logprobs(ids, top=3)
        self.assertEqual([token.id for token in tokens], ids)
        self.assertTrue(math.isnan(tokens[0].logprob) and tokens[0].top == [])
        for i, token in enumerate(tokens[1:]):
            self.assertAlmostEqual(token.logprob, wide[i, ids[i + 1]] - all[i], delta=1e-3)
            self.assertEqual(token.top[0][0], int(wide[i].argmax()))

    def test_logits_of_several_blocks(self):
        """What does not fit into one block is copied: of two blocks in the same memory each is there."""
        vocab, call = self.model.info.vocab, vkgpt._call
        memory = (ctypes.c_float * (2 * vocab))()

        def fake(function, handle, ids, count, on_rows, user):
            self.assertEqual(function, "vkgpt_logits")
            for first, rows in ((0, 2), (2, 1)):
                for i in range(rows * vocab):
                    memory[i] = first + 1
                on_rows(user, memory, first, rows)

        vkgpt._call = fake
        try:
            logits = self.session.logits([1, 2, 3])
        finally:
            vkgpt._call = call
        self.assertEqual(logits[:, 0].tolist(), [1, 1, 3])

    def test_score(self):
        want = program("score", "-p", "The boy went into the", "--continuation", " forest", "--continuation", " ink")
        got = self.session.score("The boy went into the", [" forest", " ink"])
        for item, scored in zip(want["continuations"], got):
            self.assertAlmostEqual(item["logprob"], scored.logprob, delta=1e-4)
            self.assertEqual(item["greedy"], scored.greedy)

    def test_embed(self):
        texts = ["The boy went into the forest.", "Once upon a time"]
        for pooling in vkgpt.POOLINGS:
            got = self.session.embed(texts, pooling)
            for text, row in zip(texts, got):
                want = program("embed", "-p", text, "--pooling", pooling)["embeddings"][0]["embedding"]
                self.assertEqual(len(row), len(want))
                self.assertLess(max(abs(a - b) for a, b in zip(row, want)), 1e-4)


class Objects(unittest.TestCase):
    def test_version(self):
        self.assertIn(f"vkgpt {vkgpt.version()},", subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout)

    def test_devices(self):
        self.assertTrue(any(info.usable for info in vkgpt.devices()))

    def test_errors(self):
        with vkgpt.Device() as device:
            with self.assertRaises(vkgpt.Error) as raised:
                vkgpt.Model(device, "/nowhere/at/all")
            self.assertEqual(raised.exception.code, vkgpt.BAD_FILE)
            self.assertIn("/nowhere/at/all", str(raised.exception))
            with self.assertRaises(ValueError):
                vkgpt.Model(device, MODEL, weights="f64")
        with self.assertRaises(TypeError):
            vkgpt.Sampling(heat=1)
        with self.assertRaises(vkgpt.Error):
            vkgpt.Device("no such device")

    def test_closing(self):
        """A device takes with it what was opened on it; what is closed says so."""
        device = vkgpt.Device()
        session = vkgpt.Session(vkgpt.Model(device, MODEL))
        device.close()
        for call in (lambda: session.prompt([1]), lambda: session.model.info, lambda: device.info, session.cancel):
            with self.assertRaises(ValueError):
                call()
        session.close()

    def test_tokenizer(self):
        tokenizer = vkgpt.Tokenizer(MODEL)
        text = "caf\u00e9 \U0001f408 \u20ac"
        ids = tokenizer.encode(text)
        self.assertEqual(tokenizer.decode(ids), text)
        with vkgpt.Text(tokenizer, stop=["\u20ac"]) as stream:
            pieces = [stream.add(id) for id in ids]
            self.assertEqual("".join(pieces), text[:-1])
            self.assertTrue(stream.stopped)
        with self.assertRaises(vkgpt.Error):
            vkgpt.Text(tokenizer, stop=[""])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
