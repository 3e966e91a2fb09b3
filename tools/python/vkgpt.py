"""vkgpt from Python: GPT models on any Vulkan device, through ctypes. One file, nothing to compile.

    import vkgpt

    with vkgpt.Device() as device, vkgpt.Model(device, "path/to/gpt2") as model, vkgpt.Session(model) as session:
        for text in session.generate("Once upon a time", max_tokens=64, seed=1):
            print(text, end="", flush=True)

The library is libvkgpt.so.0: the file that the environment variable VKGPT_LIBRARY names, else the one that the system
finds. Each function's manual is the header vkgpt.h; what goes wrong raises vkgpt.Error with its sentence. NumPy is
needed for Session.logits alone. Threads: as the header says; a call does not hold Python's lock, so that another thread
can call Session.cancel().
"""
from __future__ import annotations

import ctypes
import ctypes.util
import os
import weakref
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NamedTuple, Sequence

if TYPE_CHECKING:
    import numpy

OK, BAD_ARGUMENT, BAD_FILE, BAD_MODEL, NO_DEVICE, OUT_OF_MEMORY, DEVICE_LOST, BAD_LOGITS, INTERRUPTED, DEVICE_HUNG = range(10)
FORMATS = ("auto", "f32", "f16", "q8_0", "q4_0", "q4_k")  # of weights; of the cache the first four
STOPS = ("length", "eos", "context", "callback", "bad logits")
POOLINGS = ("mean", "last")


class Error(Exception):
    """A sentence on what went wrong, and `code`, one of the constants above."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


# ------------------------------------------------------------------------------------------ the header's structs


class _Error(ctypes.Structure):
    _fields_ = [("code", c_int), ("text", c_char * 768)]


class DeviceInfo(ctypes.Structure):
    """vkgpt_device_info."""

    _fields_ = [
        ("index", c_int), ("name", c_char * 256), ("type", c_char_p), ("driver", c_char * 512), ("api", c_char * 32),
        ("vendor_id", c_uint32), ("device_id", c_uint32), ("memory_bytes", c_uint64), ("max_buffer_range", c_uint64),
        ("max_allocation", c_uint64), ("offset_alignment", c_uint32), ("max_workgroup", c_uint32),
        ("shared_bytes", c_uint32), ("subgroup_size", c_uint32), ("subgroup_min", c_uint32),
        ("subgroup_max", c_uint32), ("max_subgroups", c_uint32), ("subgroup_shuffle", c_bool),
        ("subgroup_size_control", c_bool), ("f16", c_bool), ("storage16", c_bool), ("int8", c_bool),
        ("storage8", c_bool), ("coopmat", c_bool), ("memory_budget", c_bool), ("device_fault", c_bool),
        ("timestamps", c_bool), ("unified", c_bool), ("usable", c_bool), ("why_not", c_char * 256)]


class _ModelOptions(ctypes.Structure):
    _fields_ = [("weights", c_int), ("progress", c_void_p), ("user", c_void_p), ("hidden_only", c_bool),
                ("lora", c_char_p), ("session", c_void_p)]


class ModelInfo(ctypes.Structure):
    """vkgpt_model_info."""

    _fields_ = [
        ("name", c_char_p), ("architecture", c_char_p), ("weights", c_char_p), ("layers", c_uint32),
        ("heads", c_uint32), ("dim", c_uint32), ("inner", c_uint32), ("context", c_uint32), ("vocab", c_uint32),
        ("hidden", c_uint32), ("params", c_uint64), ("device_bytes", c_uint64), ("step_bytes", c_uint64),
        ("bos", c_int64), ("eos_count", c_uint32), ("eos", c_uint32 * 16), ("note", c_char * 384)]


class _SessionOptions(ctypes.Structure):
    _fields_ = [("context", c_uint32), ("kv", c_int), ("tokens_per_submission", c_uint32), ("sequences", c_uint32),
                ("lookup", c_uint32), ("on_block", c_void_p), ("user", c_void_p), ("deterministic", c_bool),
                ("micro_batches", c_uint32)]


class Sampling(ctypes.Structure):
    """vkgpt_sampling: Sampling() holds the library's defaults, Sampling(temperature=0) is greedy."""

    _fields_ = [("temperature", c_float), ("top_k", c_uint32), ("top_p", c_float), ("min_p", c_float),
                ("repeat_penalty", c_float), ("repeat_last_n", c_uint32), ("seed", c_uint64), ("ignore_eos", c_bool)]

    def __init__(self, **values: Any):
        defaults = _library().vkgpt_sampling_default()
        super().__init__(**{name: getattr(defaults, name) for name, _ in self._fields_})
        for name, value in values.items():
            if name not in dict(self._fields_):
                raise TypeError(f"sampling has no {name}: it has {', '.join(n for n, _ in self._fields_)}")
            setattr(self, name, value)


class _Continuation(ctypes.Structure):
    _fields_ = [("ids", POINTER(c_uint32)), ("count", c_size_t), ("context", c_size_t)]


class _Ids(ctypes.Structure):
    _fields_ = [("ids", POINTER(c_uint32)), ("count", c_size_t)]


class _Scored(ctypes.Structure):
    _fields_ = [("logprob", c_double), ("greedy", c_bool)]


class _Logprob(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("logprob", c_float)]


class _Token(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("logprob", c_float), ("top_count", c_uint32), ("top", POINTER(_Logprob))]


class _Bias(ctypes.Structure):
    _fields_ = [("id", c_uint32), ("value", c_float)]


class _BatchOptions(ctypes.Structure):
    _fields_ = [("sampling", Sampling), ("max_tokens", c_size_t), ("presence_penalty", c_float),
                ("frequency_penalty", c_float), ("bias", POINTER(_Bias)), ("bias_count", c_size_t),
                ("logprobs", c_bool), ("top", c_uint32), ("given", c_bool), ("keep", c_bool)]


class _BatchEvent(ctypes.Structure):
    _fields_ = [("sequence", c_uint32), ("ended", c_bool), ("id", c_uint32), ("stop", c_int), ("given", c_bool),
                ("token", POINTER(_Token))]


class Scored(NamedTuple):
    """The log likelihood of a continuation in nats, and whether each of its tokens was the likeliest."""

    logprob: float
    greedy: bool


class Token(NamedTuple):
    """A token, log softmax of it in nats (NaN: nothing was before it), and the likeliest tokens in its place."""

    id: int
    logprob: float
    top: list[tuple[int, float]]


class Event(NamedTuple):
    """A token of a sequence, or its end."""

    sequence: int
    id: int | None  # its next token; None: it has ended
    stop: str | None  # why it has ended: one of STOPS
    given: bool  # the token is one of the prompt
    token: Token | None  # its log probability, where it was asked for; at the end: that of the end token


def _token(t: _Token) -> Token:
    return Token(t.id, t.logprob, [(t.top[i].id, t.top[i].logprob) for i in range(t.top_count)])


_ON_EVENT = ctypes.CFUNCTYPE(c_bool, c_void_p, POINTER(_BatchEvent))
_ON_TOKEN = ctypes.CFUNCTYPE(c_bool, c_void_p, c_uint32)
_ON_BATCH_TOKEN = ctypes.CFUNCTYPE(c_bool, c_void_p, c_uint32, c_uint32)
_ON_ROWS = ctypes.CFUNCTYPE(c_bool, c_void_p, POINTER(c_float), c_size_t, c_size_t)
_ON_LOGPROB = ctypes.CFUNCTYPE(c_bool, c_void_p, c_size_t, POINTER(_Token))

# result and arguments of each function that is called here
_IDS, _ERR, _OUT = POINTER(c_uint32), POINTER(_Error), POINTER(c_void_p)
_FUNCTIONS = {
    "vkgpt_version": (c_char_p,),
    "vkgpt_devices": (c_int, POINTER(POINTER(DeviceInfo)), POINTER(c_size_t), _ERR),
    "vkgpt_device_open": (c_int, c_char_p, _OUT, _ERR),
    "vkgpt_device_close": (None, c_void_p),
    "vkgpt_device_describe": (POINTER(DeviceInfo), c_void_p),
    "vkgpt_tokenizer_open": (c_int, c_char_p, c_uint32, _OUT, _ERR),
    "vkgpt_tokenizer_close": (None, c_void_p),
    "vkgpt_encode": (c_int, c_void_p, c_char_p, c_size_t, c_bool, POINTER(_IDS), POINTER(c_size_t), _ERR),
    "vkgpt_decode": (c_int, c_void_p, _IDS, c_size_t, _OUT, POINTER(c_size_t), _ERR),
    "vkgpt_trailing_tokens": (c_size_t, c_void_p),
    "vkgpt_text_open": (c_int, c_void_p, POINTER(c_char_p), c_size_t, _OUT, _ERR),
    "vkgpt_text_add": (c_int, c_void_p, c_uint32, _OUT, POINTER(c_size_t), POINTER(c_bool), _ERR),
    "vkgpt_text_end": (c_int, c_void_p, _OUT, POINTER(c_size_t), _ERR),
    "vkgpt_text_close": (None, c_void_p),
    "vkgpt_model_open": (c_int, c_void_p, c_char_p, POINTER(_ModelOptions), _OUT, _ERR),
    "vkgpt_model_close": (None, c_void_p),
    "vkgpt_model_describe": (POINTER(ModelInfo), c_void_p),
    "vkgpt_sampling_default": (Sampling,),
    "vkgpt_session_open": (c_int, c_void_p, POINTER(_SessionOptions), _OUT, _ERR),
    "vkgpt_session_close": (None, c_void_p),
    "vkgpt_session_cancel": (None, c_void_p),
    "vkgpt_batch_rewind": (c_int, c_void_p, c_uint32, c_uint32, _ERR),
    "vkgpt_batch_position": (c_uint32, c_void_p, c_uint32),
    "vkgpt_prompt": (c_int, c_void_p, _IDS, c_size_t, _ERR),
    "vkgpt_generate": (c_int, c_void_p, POINTER(Sampling), c_size_t, _ON_TOKEN, c_void_p, POINTER(c_int), _ERR),
    "vkgpt_batch_prompt": (c_int, c_void_p, c_uint32, _IDS, c_size_t, _ERR),
    "vkgpt_batch_generate": (c_int, c_void_p, POINTER(Sampling), c_size_t, _ON_BATCH_TOKEN, c_void_p, POINTER(c_int), _ERR),
    "vkgpt_batch_choose": (c_bool, c_void_p, _IDS, c_size_t, POINTER(c_uint32)),
    "vkgpt_batch_start": (c_int, c_void_p, c_uint32, _IDS, c_size_t, POINTER(_BatchOptions), _ERR),
    "vkgpt_batch_stop": (c_int, c_void_p, c_uint32, _ERR),
    "vkgpt_batch_step": (c_int, c_void_p, _ON_EVENT, c_void_p, POINTER(c_uint32), _ERR),
    "vkgpt_logits": (c_int, c_void_p, _IDS, c_size_t, _ON_ROWS, c_void_p, _ERR),
    "vkgpt_logprobs": (c_int, c_void_p, _IDS, c_size_t, c_uint32, _ON_LOGPROB, c_void_p, _ERR),
    "vkgpt_embed": (c_int, c_void_p, POINTER(_Ids), c_size_t, c_int, POINTER(c_float), _ERR),
    "vkgpt_score": (c_int, c_void_p, POINTER(_Continuation), c_size_t, POINTER(_Scored), _ERR),
}

_loaded: ctypes.CDLL | None = None
_free = ctypes.CDLL(None).free
_free.argtypes = [c_void_p]
_free.restype = None


def _library() -> ctypes.CDLL:
    global _loaded
    if _loaded is None:
        name = os.environ.get("VKGPT_LIBRARY") or ctypes.util.find_library("vkgpt") or "libvkgpt.so.0"
        library = ctypes.CDLL(name)
        for function, (result, *arguments) in _FUNCTIONS.items():
            getattr(library, function).restype = result
            getattr(library, function).argtypes = arguments
        _loaded = library
    return _loaded


def _call(function: str, *arguments: Any) -> None:
    err = _Error()
    code = getattr(_library(), function)(*arguments, byref(err))
    if code:
        raise Error(code, err.text.decode("utf-8", "replace"))


def _array(ids: Sequence[int]) -> ctypes.Array:
    return (c_uint32 * len(ids))(*ids)


def _format(name: str) -> int:
    if name not in FORMATS:
        raise ValueError(f"{name!r} is no format: {', '.join(FORMATS)}")
    return FORMATS.index(name)


def version() -> str:
    """The library's version, such as "0.1.0"."""
    return _library().vkgpt_version().decode()


def devices() -> list[DeviceInfo]:
    """Every Vulkan device, usable or not, the preferred one first. No driver at all is an Error."""
    infos, count = POINTER(DeviceInfo)(), c_size_t()
    _call("vkgpt_devices", byref(infos), byref(count))
    try:
        return [DeviceInfo.from_buffer_copy(infos[i]) for i in range(count.value)]
    finally:
        _free(infos)


# --------------------------------------------------------------------------------------------------- objects


class _Object:
    """What the library opened and closes. Closing it closes first what was opened on it."""

    _close = ""

    def __init__(self, *parents: _Object):
        self._handle = c_void_p()
        self._children: weakref.WeakSet[_Object] = weakref.WeakSet()
        self._parents = parents  # they live as long as this does
        for parent in parents:
            parent._children.add(self)

    def _open(self) -> c_void_p:
        if not self._handle:
            raise ValueError(f"the {type(self).__name__.lower()} is closed")
        return self._handle

    def close(self) -> None:
        for child in list(self._children):
            child.close()
        if self._handle:
            getattr(_library(), self._close)(self._handle)
        self._handle = c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


class Device(_Object):
    """A Vulkan device: which is None for the first usable one, its index, or a part of its name."""

    _close = "vkgpt_device_close"

    def __init__(self, which: int | str | None = None):
        super().__init__()
        _call("vkgpt_device_open", None if which is None else str(which).encode(), byref(self._handle))

    @property
    def info(self) -> DeviceInfo:
        return DeviceInfo.from_buffer_copy(_library().vkgpt_device_describe(self._open()).contents)


class Tokenizer(_Object):
    """Text to ids and back; the tokenizer of a model's directory or GGUF file. Any threads may share one."""

    _close = "vkgpt_tokenizer_close"

    def __init__(self, path: str | os.PathLike, vocab: int = 0):
        super().__init__()
        _call("vkgpt_tokenizer_open", os.fsencode(path), vocab, byref(self._handle))

    def encode(self, text: str, special: bool = True, goes_on: bool = False) -> list[int]:
        """The ids of a text. goes_on leaves out what the tokenizer puts behind every text, such as [SEP]."""
        data, ids, count = text.encode("utf-8", "surrogateescape"), _IDS(), c_size_t()
        _call("vkgpt_encode", self._open(), data, len(data), special, byref(ids), byref(count))
        try:
            trailing = _library().vkgpt_trailing_tokens(self._open()) if goes_on else 0
            return ids[: count.value - trailing]
        finally:
            _free(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        text, count = c_void_p(), c_size_t()
        _call("vkgpt_decode", self._open(), _array(ids), len(ids), byref(text), byref(count))
        try:
            return ctypes.string_at(text, count.value).decode("utf-8", "replace")
        finally:
            _free(text)


class Text(_Object):
    """Text as its tokens come: whole characters, and nothing that may still become one of the stop strings."""

    _close = "vkgpt_text_close"

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()):
        super().__init__(tokenizer)
        self.stopped = False
        stops = (c_char_p * len(stop))(*[text.encode() for text in stop])
        _call("vkgpt_text_open", tokenizer._open(), stops, len(stop), byref(self._handle))

    def add(self, id: int) -> str:
        """What is certain after this token; `stopped` is True once a stop string has appeared."""
        text, count, stopped = c_void_p(), c_size_t(), c_bool()
        _call("vkgpt_text_add", self._open(), id, byref(text), byref(count), byref(stopped))
        self.stopped = stopped.value
        return ctypes.string_at(text, count.value).decode()

    def end(self) -> str:
        """What was held back."""
        text, count = c_void_p(), c_size_t()
        _call("vkgpt_text_end", self._open(), byref(text), byref(count))
        return ctypes.string_at(text, count.value).decode()


class Model(_Object):
    """A checkpoint on a device: a directory, a file of it, or a GGUF file. weights is one of FORMATS."""

    _close = "vkgpt_model_close"

    def __init__(self, device: Device, path: str | os.PathLike, weights: str = "auto", lora: str | None = None):
        super().__init__(device)
        self.path = path
        self._tokenizer: Tokenizer | None = None
        options = _ModelOptions(weights=_format(weights), lora=os.fsencode(lora) if lora else None)
        _call("vkgpt_model_open", device._open(), os.fsencode(path), byref(options), byref(self._handle))

    @property
    def info(self) -> ModelInfo:
        """A copy; its texts live as long as the model."""
        return ModelInfo.from_buffer_copy(_library().vkgpt_model_describe(self._open()).contents)

    @property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's own; set it where the tokenizer is elsewhere."""
        if self._tokenizer is None:
            self._tokenizer = Tokenizer(self.path, self.info.vocab)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer


class Session(_Object):
    """A KV cache, and the recordings that run a model over it. Each text is what it would be alone, to the bit."""

    _close = "vkgpt_session_close"

    def __init__(self, model: Model, context: int = 0, kv: str = "auto", sequences: int = 1, lookup: int = 0,
                 deterministic: bool = False):
        super().__init__(model)
        self.model = model
        self.sequences = sequences
        self.stop: str | None = None  # why the last generation ended: one of STOPS, or "stop"
        options = _SessionOptions(context=context, kv=_format(kv), sequences=sequences, lookup=lookup,
                                  deterministic=deterministic)
        _call("vkgpt_session_open", model._open(), byref(options), byref(self._handle))

    # ---- tokens

    def ids(self, text: str | Sequence[int]) -> list[int]:
        """The tokens of a text that goes on; of an empty one the model's bos or eos token."""
        if not isinstance(text, str):
            return list(text)
        ids, info = self.model.tokenizer.encode(text, goes_on=True), self.model.info
        if not ids:
            ids = [info.bos] if info.bos >= 0 else list(info.eos[: min(info.eos_count, 1)])
        return ids

    @property
    def position(self) -> int:
        """Tokens so far, given and generated, of the first sequence."""
        return _library().vkgpt_batch_position(self._open(), 0)

    def rewind(self, position: int = 0, sequence: int = 0) -> None:
        """Forgets every token after the first `position`."""
        _call("vkgpt_batch_rewind", self._open(), sequence, position)

    def prompt(self, text: str | Sequence[int]) -> None:
        """Appends a text or ids, and reads them."""
        ids = self.ids(text)
        _call("vkgpt_prompt", self._open(), _array(ids), len(ids))

    def cancel(self) -> None:
        """From another thread: ends the call that runs, or else the next one, with an Error of code INTERRUPTED."""
        _library().vkgpt_session_cancel(self._open())

    # ---- generation

    def generate_ids(self, prompt: str | Sequence[int] | None = None, max_tokens: int | None = None,
                     **sampling: Any) -> Iterator[int]:
        """New tokens as they come, after the prompt, or after what the session holds (None). Sampling's fields are
        keywords. max_tokens None goes on until an end token or the end of the context. A caller that stops early leaves
        the session at the last token that it got."""
        if prompt is not None:
            self.prompt(prompt)
        settings, self.stop, step, left = Sampling(**sampling), "length", 1, max_tokens
        while left is None or left > 0:
            ids: list[int] = []
            want, stop = step if left is None else min(step, left), c_int()
            keep = _ON_TOKEN(lambda _, id: ids.append(id) or True)
            _call("vkgpt_generate", self._open(), byref(settings), want, keep, None, byref(stop))
            for i, id in enumerate(ids):
                try:
                    yield id
                except GeneratorExit:
                    if self._handle:
                        self.rewind(self.position - (len(ids) - 1 - i))
                    raise
            if STOPS[stop.value] != "length":
                self.stop = STOPS[stop.value]
                return
            left = None if left is None else left - want
            step = min(2 * step, 16)  # the text does not depend on it

    def generate(self, prompt: str | Sequence[int] | None = None, max_tokens: int | None = None,
                 stop: Sequence[str] = (), **sampling: Any) -> Iterator[str]:
        """New text as it comes, up to a stop string, which is not part of it. Otherwise like generate_ids."""
        with Text(self.model.tokenizer, stop) as text:
            ids = self.generate_ids(prompt, max_tokens, **sampling)
            for id in ids:
                piece = text.add(id)
                if piece:
                    yield piece
                if text.stopped:
                    ids.close()
                    self.stop = "stop"
                    return
            rest = text.end()
            if rest:
                yield rest

    def generate_batch(self, prompts: Sequence[str | Sequence[int]], max_tokens: int = 64, stop: Sequence[str] = (),
                       seed: int = 0, **sampling: Any) -> Iterator[tuple[int, str]]:
        """Side by side, as many prompts as the session has sequences at most: pairs of a prompt's number and its new text
        as it comes. The seeds are seed, seed + 1, ... What the sequences held is forgotten."""
        if len(prompts) > self.sequences:
            raise ValueError(f"{len(prompts)} prompts: the session has {self.sequences} sequences")
        for i in range(self.sequences):
            self.rewind(0, i)
        for i, prompt in enumerate(prompts):
            ids = self.ids(prompt)
            _call("vkgpt_batch_prompt", self._open(), i, _array(ids), len(ids))
        texts = [Text(self.model.tokenizer, stop) for _ in prompts]
        settings = (Sampling * self.sequences)(*[Sampling(seed=seed + i, **sampling) for i in range(self.sequences)])
        runs, step, left = [True] * len(prompts), 1, max_tokens
        while left > 0 and any(runs):
            made: list[tuple[int, int]] = []
            want, stops = min(step, left), (c_int * self.sequences)()
            keep = _ON_BATCH_TOKEN(lambda _, sequence, id: made.append((sequence, id)) or True)
            _call("vkgpt_batch_generate", self._open(), settings, want, keep, None, stops)
            for i, id in made:
                piece = texts[i].add(id) if runs[i] else ""
                if piece:
                    yield i, piece
                runs[i] = runs[i] and not texts[i].stopped
            for i, on in enumerate(runs):
                runs[i] = on and STOPS[stops[i]] == "length"
                if on and not runs[i] and not texts[i].stopped:
                    yield from ((i, rest) for rest in [texts[i].end()] if rest)
                if not runs[i]:
                    self.rewind(0, i)  # it runs no more
            left -= want
            step = min(2 * step, 16)
        for i, on in enumerate(runs):
            yield from ((i, rest) for rest in [texts[i].end()] if on and rest)

    # ---- sequences that come and go

    def batch_choose(self, prompt: str | Sequence[int]) -> int | None:
        """The sequence to start a prompt in: one of the first that are idle. None: all run."""
        ids, sequence = self.ids(prompt), c_uint32()
        found = _library().vkgpt_batch_choose(self._open(), _array(ids), len(ids), byref(sequence))
        return sequence.value if found else None

    def batch_start(self, sequence: int, prompt: str | Sequence[int], max_tokens: int = 64, *,
                    logprobs: int | None = None, given: bool = False, presence_penalty: float = 0.0,
                    frequency_penalty: float = 0.0, logit_bias: Mapping[int, float] | None = None,
                    keep: bool = False, **sampling: Any) -> None:
        """Starts a sequence, while others may run: batch_step() runs it. logprobs asks for the log probability of each
        token, with so many of the likeliest in its place (0 to 20), `given` for those of the prompt too. logit_bias adds
        to the logits of tokens, by id. With `keep`, what the sequence has of earlier prompts goes to another idle one, in
        place of its tokens. Sampling's fields are keywords."""
        ids = self.ids(prompt)
        biases = (_Bias * len(logit_bias or {}))(*(logit_bias or {}).items())
        options = _BatchOptions(sampling=Sampling(**sampling), max_tokens=max_tokens, presence_penalty=presence_penalty,
                                frequency_penalty=frequency_penalty, bias=biases, bias_count=len(biases),
                                logprobs=logprobs is not None, top=logprobs or 0, given=given, keep=keep)
        _call("vkgpt_batch_start", self._open(), sequence, _array(ids), len(ids), byref(options))

    def batch_stop(self, sequence: int) -> None:
        """Ends a sequence, without an event. It keeps the tokens that were reported."""
        _call("vkgpt_batch_stop", self._open(), sequence)

    def batch_step(self, on_event: Callable[[Event], bool | None]) -> int:
        """Runs the sequences that were started a bit further, and calls on_event for each token and each end. It ends its
        sequence by returning False, or by raising, which this call then raises too. Returns how many sequences have not
        ended."""
        running, raised = c_uint32(), []

        def call(_: object, event: Any) -> bool:
            e = event.contents
            try:
                return on_event(Event(e.sequence, None if e.ended else e.id, STOPS[e.stop] if e.ended else None, e.given,
                                      _token(e.token.contents) if e.token else None)) is not False
            except BaseException as exception:
                raised.append(exception)
                return False

        try:
            _call("vkgpt_batch_step", self._open(), _ON_EVENT(call), None, byref(running))
        finally:
            if raised:
                raise raised[0]
        return running.value

    # ---- measures

    def logits(self, text: str | Sequence[int]) -> numpy.ndarray:
        """Appends tokens and gives the logits behind each: float32 (tokens, vocab). Where they fit into one block (16
        MiB) this is the library's own memory, not a copy: it is read only, and changes with the next call."""
        import numpy

        ids = self.ids(text)
        vocab = self.model.info.vocab
        blocks: list[numpy.ndarray] = []

        def on_rows(_: object, logits: Any, first: int, rows: int) -> bool:
            block = numpy.ctypeslib.as_array(logits, shape=(rows, vocab))
            blocks.append(block if rows == len(ids) else block.copy())
            return True

        _call("vkgpt_logits", self._open(), _array(ids), len(ids), _ON_ROWS(on_rows), None)
        if not blocks:
            return numpy.empty((0, vocab), numpy.float32)
        result = blocks[0] if len(blocks) == 1 else numpy.concatenate(blocks)
        result.flags.writeable = False
        return result

    def logprobs(self, text: str | Sequence[int], top: int = 0) -> list[Token]:
        """Appends tokens and says how likely each was, with the `top` likeliest in its place. After a generation,
        rewind to where it began, and give the tokens that were generated."""
        ids, tokens = self.ids(text), []

        def on_token(_: object, index: int, token: Any) -> bool:
            tokens.append(_token(token.contents))
            return True

        _call("vkgpt_logprobs", self._open(), _array(ids), len(ids), top, _ON_LOGPROB(on_token), None)
        return tokens

    def score(self, context: str | Sequence[int], continuations: Sequence[str | Sequence[int]]) -> list[Scored]:
        """The log likelihood of each continuation of a context. The session is left empty."""
        head = self.ids(context)
        tails = [self.model.tokenizer.encode(c, goes_on=True) if isinstance(c, str) else list(c) for c in continuations]
        arrays = [_array(head + tail) for tail in tails]
        wanted = (_Continuation * len(arrays))()
        for i, array in enumerate(arrays):
            wanted[i] = _Continuation(ctypes.cast(array, _IDS), len(array), len(head))
        scored = (_Scored * len(arrays))()
        _call("vkgpt_score", self._open(), wanted, len(arrays), scored)
        return [Scored(s.logprob, s.greedy) for s in scored]

    def embed(self, texts: Sequence[str | Sequence[int]], pooling: str = "mean") -> list[list[float]]:
        """A vector of each text: the mean of its hidden states ("mean") or that of its last token ("last"). As many texts
        as the session has sequences are read at once. The session is left empty."""
        arrays = [_array(self.model.tokenizer.encode(t) if isinstance(t, str) else list(t)) for t in texts]
        wanted, width = (_Ids * len(arrays))(), self.model.info.hidden
        for i, array in enumerate(arrays):
            wanted[i] = _Ids(ctypes.cast(array, _IDS), len(array))
        rows = (c_float * (width * len(arrays)))()
        _call("vkgpt_embed", self._open(), wanted, len(arrays), POOLINGS.index(pooling), rows)
        return [rows[i * width:(i + 1) * width] for i in range(len(arrays))]
