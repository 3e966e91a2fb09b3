"""OpenAI's own client against `vkgpt serve`: completions, streaming, several choices, log probabilities, errors, retries.

tests/clients/run BUILD openai_client
"""
import os
import subprocess
import sys
import threading
import unittest

import openai

from served import TALES, Served, Server

BUILD = None
BEGINNING = "Once upon a time"


def setUpModule():
    global SERVER, CLIENT
    SERVER = Served(BUILD, "-np", "4")
    SERVER.__enter__()
    CLIENT = openai.OpenAI(base_url=f"{SERVER.url}/v1", api_key="none", max_retries=0, timeout=120)


def tearDownModule():
    CLIENT.close()
    SERVER.__exit__(None, None, None)


def complete(**options):
    return CLIENT.completions.create(model="tales", **{"prompt": BEGINNING, "max_tokens": 12, **options})


def generated(*flags):
    """What `vkgpt generate` writes."""
    command = [os.path.join(BUILD, "vkgpt"), "generate", "-m", TALES, "-p", BEGINNING, "-n", "12", *flags]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode().removesuffix("\n")


class Completions(unittest.TestCase):
    def test_models(self):
        self.assertIn("tales", [model.id for model in CLIENT.models.list()])

    def test_any_name_means_the_model_that_is_served(self):
        self.assertEqual(CLIENT.completions.create(model="gpt-3.5-turbo-instruct", prompt="a", max_tokens=1).model, "tales")
        with self.assertRaises(openai.NotFoundError):
            CLIENT.models.retrieve("gpt-3.5-turbo-instruct")

    def test_greedy_text_is_that_of_generate(self):
        answer = complete(temperature=0)
        self.assertEqual(answer.choices[0].text, generated("--temp", "0"))
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 12)

    def test_a_seed_gives_the_same_text_again(self):
        options = {"temperature": 0.9, "seed": 2**53 + 1}
        first = complete(**options).choices[0].text
        self.assertEqual(first, complete(**options).choices[0].text)
        self.assertNotEqual(first, complete(**{**options, "seed": 2**53}).choices[0].text)

    def test_stream_is_the_whole_answer_in_parts(self):
        options = {"temperature": 0.9, "seed": 3, "n": 2}
        whole = complete(**options)
        parts, ends, usage = ["", ""], [None, None], None
        for chunk in complete(stream=True, stream_options={"include_usage": True}, **options):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                parts[choice.index] += choice.text
                ends[choice.index] = choice.finish_reason or ends[choice.index]
        self.assertEqual(parts, [choice.text for choice in sorted(whole.choices, key=lambda choice: choice.index)])
        self.assertEqual(ends, ["length", "length"])
        self.assertEqual(usage, whole.usage)

    def test_several_choices_and_prompts(self):
        answer = complete(prompt=[BEGINNING, "The king"], n=3, seed=5, temperature=1)
        self.assertEqual([choice.index for choice in answer.choices], list(range(6)))
        self.assertGreater(len({choice.text for choice in answer.choices}), 3)

    def test_log_probabilities_with_echo(self):
        answer = complete(temperature=0, echo=True, logprobs=3, max_tokens=4).choices[0]
        found = answer.logprobs
        self.assertEqual("".join(found.tokens), answer.text)
        self.assertIsNone(found.token_logprobs[0])
        self.assertIsNone(found.top_logprobs[0])
        for token, logprob, top, offset in list(zip(found.tokens, found.token_logprobs, found.top_logprobs,
                                                    found.text_offset))[1:]:
            self.assertLess(logprob, 0)
            self.assertGreaterEqual(len(top), 3)
            self.assertAlmostEqual(top.get(token, logprob), logprob, 6)
            self.assertTrue(answer.text[offset:].startswith(token))
        for token, top in list(zip(found.tokens, found.top_logprobs))[-4:]:  # greedy: each is the likeliest one
            self.assertEqual(token, max(top, key=top.get))

    def test_given_text_alone_is_scored(self):
        answer = complete(echo=True, logprobs=0, max_tokens=0).choices[0]
        self.assertEqual(answer.text, BEGINNING)
        self.assertEqual(len(answer.logprobs.token_logprobs), len(answer.logprobs.tokens))

    def test_stop(self):
        text = complete(temperature=0, max_tokens=40).choices[0].text
        stop = text[10:14]
        answer = complete(temperature=0, max_tokens=40, stop=["never this", stop]).choices[0]
        self.assertEqual(answer.text, text[:text.index(stop)])
        self.assertEqual(answer.finish_reason, "stop")

    def test_bias_forbids_a_token(self):
        first = complete(temperature=0, max_tokens=1, logprobs=1).choices[0]
        [token] = CLIENT.post("/../tokenize", body={"prompt": first.text, "add_special_tokens": False},
                              cast_to=object)["tokens"]
        other = complete(temperature=0, max_tokens=1, logit_bias={str(token): -100}).choices[0]
        self.assertNotEqual(first.text, other.text)

    def test_penalties_change_what_repeats(self):
        plain = complete(temperature=0, max_tokens=60).choices[0].text
        self.assertNotEqual(plain, complete(temperature=0, max_tokens=60, frequency_penalty=2).choices[0].text)
        self.assertNotEqual(plain, complete(temperature=0, max_tokens=60, presence_penalty=2).choices[0].text)

    def test_others_change_nothing(self):
        """The same request alone and in company."""
        options = {"temperature": 1, "seed": 11, "max_tokens": 30}
        alone = complete(**options).choices[0].text
        texts = [None] * 6

        def ask(i):
            texts[i] = complete(**options, prompt=BEGINNING if i % 2 else "The wolf " * i).choices[0].text

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(texts[1::2], [alone] * 3)


class Chat(unittest.TestCase):
    """The default model has no chat template, so the server has to be given one."""

    def test_no_template(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            CLIENT.chat.completions.create(model="tales", messages=[{"role": "user", "content": "Hello"}])
        self.assertIn("template", str(caught.exception))

    def test_template(self):
        with Served(BUILD, "--chat-template", "eos") as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            options = {"model": "tales", "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 8, "seed": 1}
            answer = client.chat.completions.create(**options)
            self.assertEqual(answer.choices[0].message.role, "assistant")
            text = answer.choices[0].message.content
            self.assertTrue(text)
            parts = client.chat.completions.create(**options, stream=True)
            self.assertEqual("".join(part.choices[0].delta.content or "" for part in parts if part.choices), text)


class Errors(unittest.TestCase):
    def refused(self, kind, **options):
        with self.assertRaises(kind) as caught:
            complete(**options)
        body = caught.exception.body
        self.assertLessEqual({"message", "type", "param", "code"}, set(body))
        return body

    def test_bad_values(self):
        bad = openai.BadRequestError
        self.assertEqual(self.refused(bad, temperature=-1)["param"], "temperature")
        self.assertEqual(self.refused(bad, logprobs=21)["param"], "logprobs")
        self.assertEqual(self.refused(bad, prompt=[-1])["param"], "prompt")
        self.assertEqual(self.refused(bad, prompt=[10**6])["param"], "prompt")
        self.assertEqual(self.refused(bad, suffix="the end")["param"], "suffix")
        message = self.refused(bad, prompt="word " * 5000)["message"]
        self.assertRegex(message, r"256")

    def test_key(self):
        server = Served(BUILD, "--api-key", "secret")
        self.addCleanup(server.kill)
        with self.assertRaises(openai.AuthenticationError):
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong").models.list()
        self.assertTrue(openai.OpenAI(base_url=f"{server.url}/v1", api_key="secret").models.list().data)

    def test_a_server_that_loads_is_asked_again(self):
        """503 and Retry-After: the client comes again, until the model is there."""
        server = Server("-np", "1", ready=False)
        self.addCleanup(server.kill)
        hasty = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
        with self.assertRaises(openai.InternalServerError) as caught:
            hasty.completions.create(model="tales", prompt=BEGINNING, max_tokens=1)
        self.assertEqual((caught.exception.status_code, caught.exception.response.headers["Retry-After"]), (503, "1"))
        patient = hasty.with_options(max_retries=100)
        self.assertEqual(patient.completions.create(model="tales", prompt=BEGINNING, max_tokens=1).usage.completion_tokens, 1)
        self.assertEqual(server.end(), 0)

    def test_a_full_queue_is_tried_again(self):
        """The client waits as Retry-After says, and all are served in the end."""
        with Served(BUILD, "-np", "1", "--queue", "1") as server:
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=20)
            hasty = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
            done, refused = [], []

            def ask(client):
                try:
                    client.completions.create(model="tales", prompt=BEGINNING, max_tokens=100, temperature=0)
                    done.append(client)
                except openai.RateLimitError:
                    refused.append(client)

            threads = [threading.Thread(target=ask, args=(each,)) for each in [client] * 4 + [hasty] * 4]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(done.count(client), 4)
            self.assertGreater(len(refused), 0)
            self.assertEqual(set(refused), {hasty})


if __name__ == "__main__":
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
