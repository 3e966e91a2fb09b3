"""Tests of `vkgpt chat`: with lines from a pipe, and on a terminal of its own, as a user types.

tests/chat.py BUILD [CLASS]: unittest, with the program of that build folder and the default model.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TALES = os.path.join(ROOT, "models", "tales")
SHOTS = os.path.join(ROOT, "models", "shots")
PROGRAM = FAULTS = None
WAIT = 60  # seconds, on a busy machine
GREEDY = ["--temp", "0", "-n", "12"]


def vkgpt(*arguments, lines=""):
    done = subprocess.run([PROGRAM, *arguments], input=lines.encode(), capture_output=True, timeout=600)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def chat(lines, *flags):
    return vkgpt("chat", "-m", TALES, *flags, lines="".join(line + "\n" for line in lines))


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def says(self, result, status, *parts):
        self.assertEqual(result[0], status, result)
        for part in parts:
            self.assertIn(part, result[2])


class Lines(Folder):
    """stdin is no terminal: no prompt, no editing; stdout has the answers alone."""

    def test_goes_on_with_the_text(self):
        status, text, _ = chat(["Once upon a time", "Then"], *GREEDY)
        first = vkgpt("generate", "-m", TALES, "Once upon a time", *GREEDY)[1]
        second = vkgpt("generate", "-m", TALES, "Once upon a time" + first + "\nThen", *GREEDY)[1]
        self.assertEqual((status, text), (0, first + "\n" + second + "\n"))

    def test_last_line_without_its_end(self):
        self.assertEqual(vkgpt("chat", "-m", TALES, *GREEDY, lines="Once\r\n/exit")[0], 0)
        self.assertEqual(vkgpt("chat", "-m", TALES, *GREEDY, lines="Once")[1],
                         vkgpt("generate", "-m", TALES, "Once", *GREEDY)[1] + "\n")
        self.assertEqual(vkgpt("chat", "-m", TALES)[:2], (0, ""))

    def test_empty_line_goes_on(self):
        self.assertEqual(chat(["", "Once upon a time", ""], *GREEDY)[1].replace("\n", ""),
                         vkgpt("generate", "-m", TALES, "Once upon a time", "--temp", "0", "-n", "24")[1].replace("\n", ""))

    def test_slash_begins_a_turn(self):
        result = chat(["//temp"], "--chat-template", "eos", "-n", "1")
        self.says(result, 0)
        self.assertNotIn("temperature", result[2])

    def test_commands(self):
        result = chat(["/help", "/temp", "/temp 0.25", "/seed", "/seed 9", "/tokens", "Once upon a time", "/tokens", "/reset",
                       "/tokens", "/system A king.", "/system", "/tokens", "/system -", "/exit", "never"], "-n", "5")
        self.says(result, 0, "/undo ", "temperature: 0.8", "temperature: 0.25", "seed: a new one for each answer", "seed: 9",
                  "0 of 256 tokens of the context are used: 0 before the first turn, and 0 turns",
                  "9 of 256", "turn 1: 4 tokens, answer 5 tokens, cut", "the conversation begins again",
                  "system: A king.\n", "system: none", "4 of 256 tokens of the context are used: 4 before")

    def test_wrong_values(self):
        for line, sentence in [("/temp x", "/temp takes a number, not 'x'"), ("/temp -1", "/temp is -1, it has to lie between 0"),
                               ("/seed 1.5", "/seed takes a whole number, not '1.5'"), ("/seed -2", "/seed is -2"),
                               ("/sed", "there is no command /sed; did you mean /seed?"), ("/reset now", "/reset takes no value"),
                               ("/", "there is no command /"), ("/save", "/save needs a value: FILE"),
                               ("/load", "/load needs a value: FILE"), ("/undo", "/undo: there is no turn"),
                               ("/load %s/none" % self.dir, "none: cannot open"), ("/load " + self.dir, "is a directory"),
                               ("/save %s/none/x" % self.dir, "none/x: cannot write"), ("/save " + self.dir, "is a directory"),
                               ("word " * 300, "the turn has ")]:
            with self.subTest(line[:20]):
                result = chat([line, "/seed 3"])
                self.says(result, 1, "vkgpt: ", sentence, "seed: 3")  # it goes on
                self.assertEqual(result[2].count("vkgpt: "), 1)

    def test_wrong_flags(self):
        for flags, sentence in [(["--chat-template", "none"], "is none of plain, eos and chatml, and no file"),
                                (["--chat-template", self.path("t", "user: {text}\n")], "has no line for the turns of role assistant"),
                                (["--chat-template", self.path("u", "user: {text}\nuser: {text}\n")], "u:2: user is given twice"),
                                (["--chat-template", self.path("v", "user: {text}\nassistant: {text}\n"), "--system", "x"],
                                 "has no line for a system's text"), (["--system", "word " * 300], "the system's text has ")]:
            with self.subTest(flags[1][:20]):
                result = chat([], *flags)
                self.says(result, 1, sentence)
                self.assertEqual(result[2].count("\n"), 1)

    def test_undo(self):
        flags = ["--seed", "5", "-n", "10"]
        once = chat(["Once upon a time", "Then"], *flags)[1]
        twice = chat(["Once upon a time", "But", "/undo", "Then"], *flags)
        self.says(twice, 0, "the last turn is gone, 1 left")
        self.assertTrue(twice[1].startswith(once[:20]) and twice[1].endswith(once[-20:]))

    def test_seeds(self):
        lines = ["Once upon a time", "/undo", "Once upon a time"]
        half = lambda text: (text[:len(text) // 2], text[len(text) // 2:])
        same = chat(lines, "--seed", "5", "-n", "30")[1]
        self.assertEqual(*half(same))
        other = chat(lines, "-n", "30")[1]
        self.assertNotEqual(*half(other))

    def test_full_context(self):
        result = chat(["Once upon a time"] * 6, "-c", "64", "-n", "20", "--temp", "0")
        self.says(result, 0, "the context of 64 tokens is full: from now on the oldest turns are left out")
        self.assertEqual(result[2].count("is full"), 1)
        self.assertEqual(len(result[1].split()) > 60, True)
        # in the middle of an answer; a turn that fills the context by itself
        result = chat(["Once upon a time", "Once upon a time", "/tokens"], "-c", "48", "-n", "100")
        self.says(result, 0, "is full", "the turn fills the context of 48 tokens")
        # a larger head
        result = chat(["Once upon a time"] * 3 + ["/system " + "A king. " * 9, "/tokens", "Once"], "-c", "64", "-n", "12")
        self.says(result, 0, "is full", "before the first turn")


class Templates(Folder):
    """How turns are written, seen in the tokens that they take."""

    def model(self, template, name="tokenizer_config.json"):
        path = os.path.join(self.dir, "model" + str(len(os.listdir(self.dir))))
        os.mkdir(path)
        for file in os.listdir(TALES):
            if file != name:
                os.symlink(os.path.join(TALES, file), os.path.join(path, file))
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(template)
        return path

    def answer(self, *flags):
        status, text, err = vkgpt("chat", *flags, *GREEDY, lines="Once upon a time\n/tokens\n")
        self.assertEqual(status, 0, err)
        return text, re.search(r"turn 1: (\d+) tokens", err).group(1)

    def test_forms(self):
        plain = self.answer("-m", TALES)
        eos = self.answer("-m", TALES, "--chat-template", "eos")
        self.assertEqual((plain[1], eos[1]), ("4", "5"))
        form = self.path("own", "# as eos\nuser: {text}{eos}\nassistant: {text}\\n\nstop: .\nstop: ,\n")
        own = self.answer("-m", TALES, "--chat-template", form)
        self.assertEqual(own[1], "5")
        self.assertEqual(own[0], re.split("[.,]", eos[0])[0] + ("\n" if re.search("[.,]", eos[0]) else ""))

    def test_of_the_tokenizer(self):
        eos = self.answer("-m", TALES, "--chat-template", "eos")
        chatml = self.answer("-m", TALES, "--chat-template", "chatml")
        dialogpt = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
        trl = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
               "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
        for template, want in [(dialogpt, eos), (trl, chatml)]:
            self.assertEqual(self.answer("-m", self.model(json.dumps({"chat_template": template}))), want)
            named = [{"name": "rag", "template": "x"}, {"name": "default", "template": template}]
            self.assertEqual(self.answer("-m", self.model(json.dumps({"chat_template": named}))), want)
            self.assertEqual(self.answer("-m", self.model(template, "chat_template.jinja")), want)

    def test_unknown(self):
        path = self.model("{{ messages[0].content }}", "chat_template.jinja")
        status, text, err = vkgpt("chat", "-m", path, lines="Once\n")
        self.assertEqual((status, text), (1, ""))
        self.assertIn(path + ": its chat template is none that vkgpt knows; --chat-template plain|eos|chatml|FILE", err)
        self.assertEqual(err.count("\n"), 1)
        self.answer("-m", path, "--chat-template", "plain")


class Saved(Folder):
    """/save and /load: a conversation goes on as if it had never ended."""

    def test_goes_on(self):
        file = self.path("a session")
        flags = ["-n", "15", "--seed", "4"]
        told = chat(["Once upon a time", "/save " + file, "Then"], *flags, "--temp", "0.7", "--system", "A tale.")
        self.says(told, 0, "tokens in 1 turns are saved in " + file)
        again = chat(["Something else", "/load " + file, "/temp", "/seed", "/system", "Then"], "-n", "3")
        self.says(again, 0, "tokens in 1 turns are loaded from " + file, "temperature: 0.7", "seed: 4", "system: A tale.")
        self.assertTrue(told[1].endswith(again[1].split("\n", 1)[1]) or again[1].endswith(told[1][-30:]), (told[1], again[1]))
        undone = chat(["/load " + file, "/undo", "/tokens"])
        self.says(undone, 0, "0 left", "and 0 turns")

    def test_loads_faster_than_it_reads(self):
        file, text = self.path("s"), "the king said to the bird that " * 24
        seconds = lambda pattern, said: float(re.search(pattern, said).group(1))
        saved = chat([text, "/save " + file, "/reset", "/load " + file], "-n", "1", "--temp", "0")
        self.says(saved, 0, "are loaded from")
        read = vkgpt("generate", "-m", TALES, text, "-n", "1")[2]
        self.assertLess(seconds(r"are loaded from .*, in (.*) s", saved[2]), seconds(r"prefill +([0-9.]+) s", read))

    def test_cut_answer_goes_on(self):
        file = self.path("s")
        whole = chat(["Once upon a time", "", ""], *GREEDY)[1]
        chat(["Once upon a time", "/save " + file], *GREEDY)
        rest = chat(["/load " + file, "", ""], *GREEDY)[1]
        self.assertTrue(whole.endswith(rest) and len(rest) > 20)

    def test_template_is_kept(self):
        file = self.path("s")
        told = chat(["Once upon a time", "/save " + file, "Then"], *GREEDY, "--chat-template", "eos")[1]
        again = chat(["/load " + file, "Then"])[1]
        self.assertTrue(told.endswith(again))

    def test_saves_over_a_session_alone(self):
        file, other = self.path("s"), self.path("notes.txt", "mine")
        self.says(chat(["Once", "/save " + file, "/save " + file], "-n", "2"), 0)
        self.says(chat(["Once", "/save " + other], "-n", "2"), 1, "is there, and is not a saved session; it is not replaced")
        with open(other, encoding="utf-8") as text:
            self.assertEqual(text.read(), "mine")
        self.assertEqual(sorted(os.listdir(self.dir)), ["notes.txt", "s"])  # nothing is left half-written

    def test_damaged(self):
        file = self.path("s")
        chat(["Once upon a time", "/save " + file], *GREEDY)
        with open(file, "rb") as session:
            good = session.read()
        changed = bytearray(good)
        changed[-100] ^= 1
        cases = [(b"", "is not a saved session"), (b"hello there, reader", "is not a saved session"), (good[:100], "has 100 bytes, the header"),
                 (good[:-1], "is damaged: it has "), (good + b"x", "is damaged: it has "),
                 (bytes(changed), "is damaged: its bytes have the hash")]
        want = chat(["Once upon a time", "Then"], *GREEDY)[1]
        for data, sentence in cases:
            with self.subTest(sentence):
                bad = self.path("bad", data)
                result = chat(["Once upon a time", "/load " + bad, "Then"], *GREEDY)
                self.says(result, 1, bad + ": " + sentence)
                self.assertEqual(result[1], want)  # the conversation is as it was

    def test_other_models(self):
        file = self.path("s")
        chat(["Once upon a time", "/save " + file], *GREEDY)
        for flags, sentence in [(["-m", SHOTS], "was saved with the model tales in f16, this one is shots in f16"),
                                (["-m", TALES, "--weights", "q8_0"], "was saved with the model tales in f16, this one is tales in q8_0"),
                                (["-m", TALES, "--kv", "f32"], "has a KV cache in f16, this one is in f32 (--kv f16)"),
                                (["-m", TALES, "-c", "8"], "tokens, the context has room for 8")]:
            with self.subTest(sentence):
                self.says(vkgpt("chat", *flags, lines="/load " + file + "\n"), 1, sentence)


class Lost(Folder):
    """A device that is lost: the conversation goes on with the same text on a new one, once, whatever ran."""

    def chat(self, fault):
        saved = self.path("s")
        if os.path.exists(saved):
            os.remove(saved)
        lines = ["Once upon a time", "Then", "/save " + saved, "/reset", "/load " + saved, "/system A king.", "But"]
        layer = {"VK_ADD_LAYER_PATH": FAULTS, "VK_INSTANCE_LAYERS": "VK_LAYER_VKGPT_faults", "VKGPT_FAULT": fault}
        done = subprocess.run([PROGRAM, "chat", "-m", TALES, "--temp", "0", "-n", "6"], input="\n".join(lines).encode(),
                              env=os.environ | layer, capture_output=True, timeout=600)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_goes_on(self):
        want = self.chat("vkQueueSubmit 1000000 -4")
        self.assertEqual((want[0], want[2].count("\n")), (0, 4), want)
        where = set()  # how many lines were printed before the loss
        for n in range(2, 100, 3):
            status, text, err = self.chat("vkQueueSubmit %d -4" % n)
            self.assertEqual((status, text), want[:2], (n, err))
            told = [line for line in err.splitlines() if "device lost" in line]
            if not told:
                break
            self.assertEqual(len(told), 1)
            self.assertTrue(told[0].endswith("once, this begins again on a new device"))
            where.add(err.splitlines().index(told[0]))
            self.assertEqual(len(err.splitlines()), 5)
        self.assertLessEqual({0, 2, 4}, where)  # a turn or /save, /load, the last turn; /system submits once or twice

    def test_lost_twice(self):
        status, _, err = self.chat("vkQueueSubmit 12 -4 2")
        self.assertEqual((status, err.count("device lost")), (1, 2), err)


class Terminal(Folder):
    """What a user sees and types. Keys are sent when the program shows that it waits for them."""

    child, terminal = 0, -1

    def start(self, *flags, columns=80, **environment):
        self.child, self.terminal = pty.fork()
        if not self.child:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
            os.environ.update({"TERM": "xterm", "HOME": self.dir, **environment})
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
            os.execv(PROGRAM, [PROGRAM, "chat", "-m", TALES, *flags])
        self.seen, self.mark = "", 0
        self.before = termios.tcgetattr(self.terminal)[3]
        self.addCleanup(self.close, self.child, self.terminal)
        self.expect("0/256> ")

    def close(self, child, terminal):
        if child == self.child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(terminal)

    def read(self, seconds):
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, text):
        """Reads until the text appears behind what was expected before."""
        end = time.time() + WAIT
        while text not in self.seen[self.mark:]:
            if time.time() > end or not self.read(end - time.time()):
                self.fail("%r does not appear in %r" % (text, self.seen[self.mark:]))
        self.mark = self.seen.index(text, self.mark) + len(text)

    def type(self, keys):
        """Types like a person: not in the instant between the prompt and the terminal's change to single keys."""
        time.sleep(0.3)
        while self.read(0):
            pass
        os.write(self.terminal, keys.encode())

    def ends(self, status):
        while self.read(WAIT):
            pass
        end, child, state = time.time() + WAIT, 0, 0
        while not child and time.time() < end:
            child, state = os.waitpid(self.child, os.WNOHANG)
            time.sleep(0.01)
        self.assertTrue(child, "it does not end, and has written %r" % self.seen[self.mark:])
        self.child = 0
        self.assertEqual(os.waitstatus_to_exitcode(state), status)

    def test_editing(self):
        self.start(LANG="C")
        self.type("/temX\x7fp 0.5\r")  # backspace
        self.expect("temperature: 0.5")
        self.type(" 0.25\x01/temp\x05\r")  # Ctrl-A, Ctrl-E
        self.expect("temperature: 0.25")
        self.type("/temp 75\x1b[D\x1b[D0.\r")  # the left arrow
        self.expect("temperature: 0.75")
        self.type("/system fünf Möwx\x7fen\r")
        self.expect("system: fünf Möwen")
        self.expect("/256> ")  # Ctrl-D before the prompt is the terminal's, not the program's
        self.type("\x04")
        self.ends(0)

    def test_history(self):
        self.start()
        self.type("/temp 0.5\r")
        self.expect("temperature: 0.5")
        self.type("/seed 7\r")
        self.expect("seed: 7")
        self.type("\x1b[A\x1b[A\x7f25\r")  # two lines up, and changed: /temp 0.25
        self.expect("temperature: 0.25")
        self.type("\x1b[A\x1b[A\r")
        self.expect("seed: 7")
        self.type("/exit\r")
        self.ends(0)

    def test_streams_and_shows_the_context(self):
        self.start(*GREEDY)
        self.type("Once upon a time\r")
        self.expect("the king was a king")
        self.expect("16/256> ")
        self.type("/reset\r")
        self.expect("0/256> ")
        self.type("\x04")
        self.ends(0)

    def test_interrupt_of_an_answer(self):
        self.start("-n", "-1", "--ignore-eos")  # without an end: the oldest turns go, and a turn of its own fills the context
        self.type("Once upon a time\r")
        self.expect("\r\n")
        while not re.search(r"[a-z]{3}", self.seen[self.mark:]):
            self.assertTrue(self.read(WAIT))
        self.type("\x03")
        self.expect("/256> ")
        self.type("/tokens\r")
        self.expect(", cut")
        self.type("/temp 0.5\r")
        self.expect("temperature: 0.5")
        self.type("/exit\r")
        self.ends(0)

    def test_interrupt_of_a_line(self):
        for kind in ["xterm", "dumb"]:
            with self.subTest(kind):
                self.start(TERM=kind)
                self.type("/temp 0.5")
                self.expect("/temp 0.5")
                self.type("\x03")
                self.expect("Ctrl-D or /exit leaves")
                self.expect("0/256> ")
                self.type("/temp\r")
                self.expect("temperature: 0.8")
                self.expect("0/256> ")
                self.type("\x03")
                self.expect("0/256> ")
                self.type("/exit\r")
                self.ends(0)

    def test_save_and_load(self):
        file = self.path("s")
        self.start(*GREEDY)
        self.type("Once upon a time\r")
        self.expect("16/256> ")
        self.type("/save %s\r" % file)
        self.expect("are saved in")
        self.type("/reset\r")
        self.expect("0/256> ")
        self.type("/load %s\r" % file)
        self.expect("are loaded from")
        self.expect("16/256> ")
        self.type("\x04")
        self.ends(0)

    def test_resize(self):
        text = "abcdefghij" * 5
        self.start(columns=80)
        self.type("/system " + text)
        self.expect(text)  # in one line
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 40, 0, 0))  # in the middle of it: two lines
        start = self.mark
        self.expect("0/256> /system ")
        self.expect("efghij")
        while self.read(1):
            pass
        self.assertNotIn(text, self.seen[start:])
        self.type("!\r")
        self.expect("system: " + text + "!")
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
        self.type("/system " + text + text[:30])
        self.expect(text + text[:30])
        self.type("\r")
        self.expect("system: " + text + text[:30])
        self.expect("/256> ")
        self.type("\x04")
        self.ends(0)

    def test_signals(self):
        self.start()
        os.kill(self.child, signal.SIGTERM)
        self.ends(128 + signal.SIGTERM)
        self.assertEqual(termios.tcgetattr(self.terminal)[3], self.before)  # the terminal is as it was
        self.start("-n", "-1", "--ignore-eos")
        self.type("Once upon a time\r")
        self.expect("time\r\n")
        os.kill(self.child, signal.SIGHUP)
        self.ends(128 + signal.SIGHUP)


if __name__ == "__main__":
    PROGRAM, FAULTS = os.path.join(sys.argv[1], "vkgpt"), os.path.join(sys.argv[1], "faults")
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
