"""Writes tests/fixtures/chat/templates.json: chat templates in Jinja, and what apply_chat_template of Hugging Face's
transformers makes of conversations with them.

    python3 -m venv venv && venv/bin/pip install tokenizers transformers jinja2
    venv/bin/python tools/fixtures_chat.py            # write
    venv/bin/python tools/fixtures_chat.py --check    # compare what is there

Each template has the name of the built-in form that says the same, or a file of vkgpt's own that does. `lead` is what an
answer begins with where the template writes it before an answer that is there, and not when it asks for one: the model
writes it. `texts` are those of CONVERSATIONS, null where the template refuses one; after a turn of the user the answer is
asked for.
"""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import tokenizers
import transformers

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "tests", "fixtures", "chat", "templates.json")
BOS, EOS = "<s>", "</s>"

CONVERSATIONS = [  # a system's text or none, then turns of user and assistant in turn
    [None, "Hello"],
    [None, "Hello", "Hi, how are you?", "Fine, thanks"],
    ["Answer in one line.", "What is 2 + 2?", "4", "And 3 + 3?", "6", "Thanks"],
    ["You are a king.", "Who are you?", "The king."],
    [None, "  blanks  around ", " so here ", "two\nlines\n\nand more", "fünf Möwen \U0001f600", "<|endoftext|> {{ x }} {text}"],
]

CHATML_HEAD = "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
CHATML_EACH = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
               "+ '\n'}}")
CHATML_ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

TEMPLATES = [  # where it comes from, the program, the built-in form or the lines of a file, lead
    ("DialoGPT, and GPT-2 in transformers 4", "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}",
     "eos"),
    ("eos in one expression, with marks that trim",
     "{%- for message in messages -%}\n  {{- message[\"content\"] + eos_token -}}\n{%- endfor -%}\n", "eos"),
    ("ChatML, the default of transformers 4", CHATML_EACH + "{% endfor %}" + CHATML_ASK, "chatml"),
    ("ChatML of Nous and OpenHermes", CHATML_HEAD + CHATML_EACH + "{% endfor %}" + CHATML_ASK, "chatml"),
    ("ChatML of trl", "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + "
     "'<|im_end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
     "chatml"),
    ("ChatML that looks at the last turn",
     "{% for message in messages %}\n{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\\n'}}"
     "{% if loop.last and add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}{% endfor %}", "chatml"),
    ("Llama 2 without its system's text",
     "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
     "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}"
     "{% else %}{{ raise_exception('no system') }}{% endif %}{% endfor %}",
     ["user: {bos}[INST] {text} [/INST]", "assistant: {text} {eos}"], " "),
    ("Zephyr",
     "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
     "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
     "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
     ["system: <|system|>\\n{text}{eos}\\n", "user: <|user|>\\n{text}{eos}\\n", "assistant: <|assistant|>\\n{text}{eos}\\n"]),
    ("Vicuna",
     "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + ' ' }}"
     "{% elif message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}"
     "{% else %}{{ 'ASSISTANT: ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
     ["begin: {bos}", "system: {text}\\x20", "user: USER: {text}\\x20", "assistant: ASSISTANT:{text}{eos}"], " "),
    ("Alpaca",
     "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
     "{% elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
     "{% else %}{{ '### Response:\n' + message['content'] + '\n\n' }}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
     ["system: {text}\\n\\n", "user: ### Instruction:\\n{text}\\n\\n", "assistant: ### Response:\\n{text}\\n\\n"]),
    ("questions and answers, as for GPT-2 and GPT-3",
     "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
     "{% elif message['role'] == 'user' %}{{ 'Q: ' + message['content'] + '\nA:' }}"
     "{% else %}{{ ' ' + message['content'] + '\n\n' }}{% endif %}{% endfor %}",
     ["system: {text}\\n\\n", "user: Q: {text}\\nA:", "assistant: {text}\\n\\n"], " "),
]


def tokenizer():
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({BOS: 0, EOS: 1, "x": 2}, unk_token="x"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, bos_token=BOS, eos_token=EOS)


def messages(conversation):
    system, *turns = conversation
    said = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    return ([{"role": "system", "content": system}] if system else []) + said


def apply(tok, program, conversation):
    said = messages(conversation)
    try:
        return tok.apply_chat_template(said, chat_template=program, tokenize=False,
                                       add_generation_prompt=said[-1]["role"] == "user")
    except Exception as error:
        assert "no system" in str(error), error
        return None


def main():
    tok = tokenizer()
    templates = [{"from": name, "program": program, "form": form if isinstance(form, str) else None,
                  "file": None if isinstance(form, str) else "".join(line + "\n" for line in form), "lead": "".join(lead),
                  "texts": [apply(tok, program, c) for c in CONVERSATIONS]} for name, program, form, *lead in TEMPLATES]
    text = json.dumps({"bos": BOS, "eos": EOS, "conversations": CONVERSATIONS, "templates": templates}, indent=1) + "\n"
    if "--check" in sys.argv:
        with open(OUT) as file:
            same = file.read() == text
        print("the same with transformers " + transformers.__version__ if same else OUT + " differs")
        sys.exit(not same)
    with open(OUT, "w") as file:
        file.write(text)


main()
