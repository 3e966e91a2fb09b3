// The tokenizer, by the forms of llama-server (`content`) and of vLLM (`prompt`).
#include "serve/handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/answer.h"
#include "serve/fields.h"
#include "serve/json_out.h"
#include "serve/prompts.h"
#include "tasks/encode.h"

struct TokenizeRequest {
    const struct Json *content, *prompt, *messages, *tokens;
    bool add_special, add_special_tokens, parse_special, add_generation_prompt, with_pieces, return_token_strs;
};

static int keep_tokens(void *request, const struct Json *value, struct Refusal *refusal)
{
    char shown[JSON_SHOWN];
    ((struct TokenizeRequest *)request)->tokens = value;
    if (json_is_array(value)) return 0;
    return refuse(refusal, 400, "tokens", NULL, "tokens is %s, it has to be a list of token ids",
                  json_shown(value, shown));
}

#define AT(member) offsetof(struct TokenizeRequest, member)

// clang-format off
static const struct Field TOKENIZE_FIELDS[] = {
    {"content",            FIELD_TEXT, AT(content), 0, 0, NULL},
    {"prompt",             FIELD_TEXT, AT(prompt), 0, 0, NULL},
    {"messages",           FIELD_JSON, AT(messages), 0, 0, NULL},
    {"add_special",        FIELD_FLAG, AT(add_special), 0, 0, NULL},
    {"add_special_tokens", FIELD_FLAG, AT(add_special_tokens), 0, 0, NULL},
    {"parse_special",      FIELD_FLAG, AT(parse_special), 0, 0, NULL},
    {"add_generation_prompt", FIELD_FLAG, AT(add_generation_prompt), 0, 0, NULL},
    {"with_pieces",        FIELD_FLAG, AT(with_pieces), 0, 0, NULL},
    {"return_token_strs",  FIELD_FLAG, AT(return_token_strs), 0, 0, NULL},
    {0},
};
static const struct Field DETOKENIZE_FIELDS[] = {
    {"tokens",             FIELD_OTHER, 0, 0, 0, keep_tokens},
    {0},
};
// clang-format on

static void put_names(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, struct Buffer *out)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_text(out, ",");
        answer_put_name(tok, ids[i], out);
    }
    buffer_text(out, "]");
}

// A text, or the list of its bytes where they are not UTF-8.
static void put_piece(const char *piece, size_t bytes, struct Buffer *out)
{
    if (utf8_good(piece, bytes)) {
        json_out_bytes(out, piece, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) buffer_format(out, "%c%u", i ? ',' : '[', (unsigned char)piece[i]);
    buffer_text(out, "]");
}

// The same tokens as objects, as llama-server writes them.
static void put_pieces(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, struct Buffer *out)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        const char *piece = vkgpt_token_bytes(tok, ids[i], &bytes);
        buffer_format(out, "%s{\"id\":%" PRIu32 ",\"piece\":", i ? "," : "", ids[i]);
        put_piece(piece, bytes, out);
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
}

static int read_text(const struct Served *s, const struct TokenizeRequest *r, struct Buffer *text, bool *starts,
                     struct Refusal *refusal)
{
    buffer_text(text, "");
    *starts = r->content ? r->add_special : r->prompt ? r->add_special_tokens : s->chat && s->chat->starts;
    if (r->messages && !r->content && !r->prompt)
        return prompts_render(s, r->messages, r->add_generation_prompt, text, refusal);
    if (!r->content && !r->prompt)
        return refuse(refusal, 400, "prompt", NULL, "the request needs one of content, prompt and messages");
    buffer_text(text, json_text(r->content ? r->content : r->prompt));
    return 0;
}

static int tokenize(const struct Served *s, const struct Json *json, struct Buffer *body, struct Refusal *refusal)
{
    static const struct Field *const TABLES[] = {TOKENIZE_FIELDS, NULL};
    struct TokenizeRequest r = {.add_special_tokens = true, .parse_special = true, .add_generation_prompt = true};
    struct Buffer text = {0};
    vkgpt_error err;
    uint32_t *ids = NULL;
    size_t count = 0;
    bool starts = false;
    int status = fields_read(json, TABLES, &r, refusal);
    if (!status) status = read_text(s, &r, &text, &starts, refusal);
    if (!status && text.failed) status = refuse_memory(refusal, "the text");
    if (!status && (starts ? encode_open : encode_inside)(s->tok, &text, r.parse_special, &ids, &count, &err))
        status = refuse_error(refusal, 400, NULL, &err);
    if (!status) {
        buffer_format(body, "{\"count\":%zu,\"max_model_len\":%" PRIu32 ",\"tokens\":", count, s->context);
        if (r.with_pieces) put_pieces(s->tok, ids, count, body);
        else json_out_ids(body, ids, count);
        buffer_text(body, ",\"token_strs\":");
        if (r.return_token_strs) put_names(s->tok, ids, count, body);
        else buffer_text(body, "null");
        buffer_text(body, "}");
    }
    free(ids);
    buffer_free(&text);
    return status;
}

static int detokenize(const struct Served *s, const struct Json *json, struct Buffer *body, struct Refusal *refusal)
{
    static const struct Field *const TABLES[] = {DETOKENIZE_FIELDS, NULL};
    struct TokenizeRequest r = {.tokens = NULL};
    vkgpt_error err;
    uint32_t *ids = NULL;
    size_t count = 0, bytes = 0;
    char *text = NULL;
    int status = fields_read(json, TABLES, &r, refusal);
    if (!status && !r.tokens) status = refuse(refusal, 400, "tokens", NULL, "the request needs tokens");
    if (!status) status = prompts_read_ids(s, "tokens", r.tokens, &ids, &count, refusal);
    if (!status && vkgpt_decode(s->tok, ids, count, &text, &bytes, &err))
        status = refuse_error(refusal, 400, "tokens", &err);
    if (!status) {
        buffer_text(body, "{\"content\":");
        json_out_bytes(body, text, bytes);
        buffer_text(body, ",\"prompt\":");
        json_out_bytes(body, text, bytes);
        buffer_text(body, "}");
    }
    free(ids);
    free(text);
    return status;
}

typedef int Work(const struct Served *served, const struct Json *json, struct Buffer *body, struct Refusal *refusal);

static int answer_json(struct Server *server, struct Exchange *exchange, Work *work, struct Refusal *refusal)
{
    struct Json *json;
    struct Buffer body = {0};
    int status = fields_parse(exchange_body(exchange), &json, refusal);
    if (status) return status;
    status = work(server->served, json, &body, refusal);
    json_free(json);
    if (!status) exchange_answer(exchange, 200, JSON_TYPE, &body);
    buffer_free(&body);
    return status;
}

int handle_tokenize(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    return answer_json(server, exchange, tokenize, refusal);
}

int handle_detokenize(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    return answer_json(server, exchange, detokenize, refusal);
}

static void put_token(const vkgpt_tokenizer *tok, const char *name, bool there, uint32_t id, struct Buffer *out)
{
    size_t bytes = 0;
    const char *text = there ? vkgpt_token_bytes(tok, id, &bytes) : NULL;
    buffer_format(out, ",\"%s\":", name);
    if (there) json_out_bytes(out, text, bytes);
    else buffer_text(out, "null");
    buffer_format(out, ",\"%s_id\":", name);
    if (there) buffer_format(out, "%" PRIu32, id);
    else buffer_text(out, "null");
}

int handle_tokenizer_info(struct Server *server, struct Exchange *exchange, struct Refusal *refusal)
{
    const struct Served *s = server->served;
    const vkgpt_model_info *model = s->model;
    struct Buffer body = {0};
    (void)refusal;
    buffer_format(&body, "{\"tokenizer_class\":\"vkgpt\",\"vocab_size\":%" PRIu32 ",\"model_max_length\":%" PRIu32,
                  model->vocab, s->context);
    put_token(s->tok, "bos_token", model->bos >= 0, (uint32_t)model->bos, &body);
    put_token(s->tok, "eos_token", model->eos_count != 0, model->eos[0], &body);
    buffer_text(&body, ",\"pad_token\":null,\"chat_template\":null}"); // a template in Jinja: vkgpt has none of its own
    exchange_answer(exchange, 200, JSON_TYPE, &body);
    return 0;
}
