#include "serve/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "serve/fields.h"
#include "tasks/buffer.h"

bool request_add_stop(struct Request *r, const char *text, size_t bytes)
{
    struct StopString *stops = realloc(r->stops, (r->stop_count + 1) * sizeof *stops);
    struct Buffer copy = {0};
    if (!stops) return false;
    r->stops = stops;
    buffer_add(&copy, text, bytes);
    if (copy.failed) return false;
    stops[r->stop_count++] = (struct StopString){copy.data, bytes};
    return true;
}

// ------------------------------------------------------------------------------- fields of a kind of their own

static int read_stop_text(struct Request *r, const struct Json *value, struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    const char *text = json_text(value);
    if (!text || !*text)
        return refuse(refusal, 400, "stop", NULL, "stop holds %s, it has to be a text that is not empty",
                      json_shown(value, shown));
    return request_add_stop(r, text, strlen(text)) ? 0 : refuse_memory(refusal, "the stop strings");
}

static int read_stop(void *request, const struct Json *value, struct Refusal *refusal)
{
    int status = 0;
    if (!json_is_array(value)) return read_stop_text(request, value, refusal);
    for (const struct Json *item = json_first(value); item && !status; item = json_next(item))
        status = read_stop_text(request, item, refusal);
    return status;
}

// Exact up to 64 bits, which a double is not.
static int read_seed(void *request, const struct Json *value, struct Refusal *refusal)
{
    struct Request *r = request;
    char shown[JSON_SHOWN];
    const char *digits = json_digits(value);
    bool whole = digits && !digits[strspn(digits, "-0123456789")], negative = digits && *digits == '-';
    errno = 0;
    if (whole) r->seed = negative ? (uint64_t)strtoll(digits, NULL, 10) : strtoull(digits, NULL, 10);
    if (!whole || errno)
        return refuse(refusal, 400, "seed", NULL, "seed is %s, it has to be a whole number of 64 bits",
                      digits ? digits : json_shown(value, shown));
    r->seeded = true;
    return 0;
}

static int read_bias(void *request, const struct Json *value, struct Refusal *refusal)
{
    struct Request *r = request;
    size_t count = json_count(value);
    if (!json_is_object(value))
        return refuse(refusal, 400, "logit_bias", NULL, "logit_bias has to be an object of ids and numbers");
    if (count > VKGPT_MAX_BIAS)
        return refuse(refusal, 400, "logit_bias", NULL, "logit_bias has %zu entries, %d at most are taken", count,
                      VKGPT_MAX_BIAS);
    free(r->bias);
    r->bias = calloc(count + 1, sizeof *r->bias);
    if (!r->bias) return refuse_memory(refusal, "the biases");
    for (const struct Json *item = json_first(value); item; item = json_next(item)) {
        char shown[JSON_SHOWN], *end;
        const char *key = json_key(item);
        unsigned long id = strtoul(key, &end, 10);
        double bias = json_number(item);
        if (strspn(key, "0123456789") != strlen(key) || !*key || *end || id > UINT32_MAX)
            return refuse(refusal, 400, "logit_bias", NULL, "logit_bias: '%.60s' is no token id", key);
        if (!(bias >= -100 && bias <= 100))
            return refuse(refusal, 400, "logit_bias", NULL,
                          "logit_bias of %lu is %s, it has to lie between -100 and 100", id, json_shown(item, shown));
        r->bias[r->bias_count++] = (vkgpt_bias){(uint32_t)id, (float)bias};
    }
    return 0;
}

static int read_stream_options(void *request, const struct Json *value, struct Refusal *refusal)
{
    static const struct Field OPTIONS[] = {
        {"include_usage", FIELD_FLAG, offsetof(struct Request, include_usage), 0, 0, NULL}, {0}};
    static const struct Field *const TABLES[] = {OPTIONS, NULL};
    if (!json_is_object(value))
        return refuse(refusal, 400, "stream_options", NULL, "stream_options has to be an object");
    return fields_read(value, TABLES, request, refusal);
}

static int read_logprobs(void *request, const struct Json *value, struct Refusal *refusal)
{
    struct Request *r = request;
    char shown[JSON_SHOWN];
    r->logprobs = true;
    if (json_integer(value, 0, VKGPT_MAX_TOP, &r->top)) return 0;
    return refuse(refusal, 400, "logprobs", NULL, "logprobs is %s, it has to be a whole number between 0 and %d",
                  json_shown(value, shown), VKGPT_MAX_TOP);
}

static int refuse_suffix(void *request, const struct Json *value, struct Refusal *refusal)
{
    (void)request, (void)value;
    return refuse(refusal, 400, "suffix", NULL, "suffix: the model writes on from a prompt, it fills no gaps");
}

static int check_response_format(void *request, const struct Json *value, struct Refusal *refusal)
{
    const char *type = json_text(json_get(value, "type"));
    (void)request;
    if (type && strcmp(type, "text") == 0) return 0;
    return refuse(refusal, 400, "response_format", NULL,
                  "response_format: answers are plain text, of type \"text\" alone");
}

// -------------------------------------------------------------------------------------------- the tables

#define AT(member) offsetof(struct Request, member)

// clang-format off
static const struct Field COMMON[] = {
    {"temperature",       FIELD_REAL,  AT(temperature), 0, 1000, NULL},
    {"top_p",             FIELD_REAL,  AT(top_p), 0, 1, NULL},
    {"top_k",             FIELD_WHOLE, AT(top_k), 0, INT32_MAX, NULL},
    {"min_p",             FIELD_REAL,  AT(min_p), 0, 1, NULL},
    {"repeat_penalty",    FIELD_REAL,  AT(repeat_penalty), 0.001, 1000, NULL},
    {"repeat_last_n",     FIELD_WHOLE, AT(repeat_last_n), -1, INT32_MAX, NULL},
    {"presence_penalty",  FIELD_REAL,  AT(presence_penalty), -2, 2, NULL},
    {"frequency_penalty", FIELD_REAL,  AT(frequency_penalty), -2, 2, NULL},
    {"logit_bias",        FIELD_OTHER, 0, 0, 0, read_bias},
    {"max_tokens",        FIELD_WHOLE, AT(max_tokens), 0, MOST_TOKENS, NULL},
    {"n",                 FIELD_WHOLE, AT(n), 1, MOST_CHOICES, NULL},
    {"seed",              FIELD_OTHER, 0, 0, 0, read_seed},
    {"stop",              FIELD_OTHER, 0, 0, 0, read_stop},
    {"stream",            FIELD_FLAG,  AT(stream), 0, 0, NULL},
    {"stream_options",    FIELD_OTHER, 0, 0, 0, read_stream_options},
    {"ignore_eos",        FIELD_FLAG,  AT(ignore_eos), 0, 0, NULL},
    {0},
};
static const struct Field COMPLETION[] = {
    {"prompt",            FIELD_JSON,  AT(prompt), 0, 0, NULL},
    {"best_of",           FIELD_WHOLE, AT(best_of), 1, MOST_CHOICES, NULL},
    {"logprobs",          FIELD_OTHER, 0, 0, 0, read_logprobs},
    {"echo",              FIELD_FLAG,  AT(echo), 0, 0, NULL},
    {"suffix",            FIELD_OTHER, 0, 0, 0, refuse_suffix},
    {0},
};
static const struct Field CHAT[] = {
    {"messages",              FIELD_JSON,  AT(messages), 0, 0, NULL},
    {"logprobs",              FIELD_FLAG,  AT(logprobs), 0, 0, NULL},
    {"top_logprobs",          FIELD_WHOLE, AT(top), 0, VKGPT_MAX_TOP, NULL},
    {"max_completion_tokens", FIELD_WHOLE, AT(max_tokens), 0, MOST_TOKENS, NULL},
    {"response_format",       FIELD_OTHER, 0, 0, 0, check_response_format},
    {0},
};
// clang-format on

// -------------------------------------------------------------------------------------------- all of it

static int check_together(struct Request *r, uint32_t vocab, struct Refusal *refusal)
{
    if (!r->best_of) r->best_of = r->n;
    if (r->best_of < r->n)
        return refuse(refusal, 400, "best_of", NULL, "best_of is %lld, it has to be at least n, which is %lld",
                      (long long)r->best_of, (long long)r->n);
    if (r->stream && r->best_of > r->n)
        return refuse(refusal, 400, "best_of", NULL,
                      "best_of is more than n: which texts are best is known at their end, "
                      "so they are no stream");
    if (r->chat && r->top && !r->logprobs)
        return refuse(refusal, 400, "top_logprobs", NULL, "top_logprobs needs logprobs to be true");
    for (size_t i = 0; i < r->bias_count; i++)
        if (r->bias[i].id >= vocab)
            return refuse(refusal, 400, "logit_bias", NULL, "logit_bias: token id %u: the model has ids below %u",
                          r->bias[i].id, vocab);
    return 0;
}

int request_read(struct Request *r, bool chat, uint32_t vocab, const struct Json *body, struct Refusal *refusal)
{
    static const struct Field *const TABLES[2][3] = {{COMMON, COMPLETION, NULL}, {COMMON, CHAT, NULL}};
    *r = (struct Request){
        .chat = chat,
        .temperature = 1,
        .top_p = 1,
        .repeat_penalty = 1,
        .repeat_last_n = vkgpt_sampling_default().repeat_last_n,
        .max_tokens = chat ? -1 : USUAL_MAX_TOKENS,
        .n = 1,
    };
    int status = fields_read(body, TABLES[chat], r, refusal);
    if (!status) status = check_together(r, vocab, refusal);
    if (!r->seeded) os_random(&r->seed, sizeof r->seed);
    return status;
}

void request_free(struct Request *r)
{
    for (size_t i = 0; i < r->stop_count; i++) free(r->stops[i].data);
    free(r->stops);
    free(r->bias);
    *r = (struct Request){.chat = false};
}
