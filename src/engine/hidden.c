// vkgpt_hidden and vkgpt_embed: hidden states, by blocks of prefill that end before the head.
#include <stdlib.h>
#include <string.h>

#include "engine/logits.h"
#include "engine/prefill.h"
#include "engine/recordings.h"
#include "engine/sequences.h"

// Rows of the buffer, for the recording that has more of them.
static int make_buffer(struct vkgpt_session *s, vkgpt_error *err)
{
    if (s->b.hidden.buffer) return VKGPT_OK;
    uint32_t embed_rows = recordings_block_rows(s, BLOCK_EMBED),
             rows = embed_rows > HIDDEN_ROWS ? embed_rows : HIDDEN_ROWS;
    return pool_slice(s->device, &s->read_pool, (VkDeviceSize)rows * s->model->embed_dim * 4, "hidden states",
                      &s->b.hidden, err);
}

static int check_rows(const size_t *rows, size_t row_count, size_t count, vkgpt_error *err)
{
    for (size_t r = 0; r < row_count; r++) {
        if (rows[r] >= count)
            return fail(err, VKGPT_BAD_ARGUMENT, "the hidden state of token %zu is asked for: %zu are given", rows[r],
                        count);
        if (r && rows[r] <= rows[r - 1])
            return fail(err, VKGPT_BAD_ARGUMENT, "the hidden state of token %zu is asked for after that of token %zu",
                        rows[r], rows[r - 1]);
    }
    return VKGPT_OK;
}

// Row `row` of the block that ran last: the hidden state of token `token`. Rows in the buffer are padded.
static int find_row(const struct vkgpt_session *s, uint32_t row, size_t token, const float **hidden, vkgpt_error *err)
{
    const float *h = *hidden = (const float *)s->b.hidden.host + (size_t)row * s->model->embed_dim;
    size_t dim = s->model->config.embed_dim, bad = first_not_finite(h, dim);
    return bad == dim ? VKGPT_OK
                      : fail(err, VKGPT_BAD_LOGITS, "%s: the hidden state of token %zu holds %g", s->model->name, token,
                             (double)h[bad]);
}

static int take_row(const struct vkgpt_session *s, uint32_t row, size_t token, float *out, vkgpt_error *err)
{
    const float *hidden;
    int status = find_row(s, row, token, &hidden, err);
    if (!status) memcpy(out, hidden, s->model->config.embed_dim * sizeof *out);
    return status;
}

// Fills the cache with the first `end` of the tokens that were appended.
static int prefill_to(struct vkgpt_session *s, uint32_t end, vkgpt_error *err)
{
    struct Slot *slot = &s->slots[0];
    uint32_t position = slot->position;
    slot->position = end;
    int status = prefill_sequences(s, true, err);
    slot->position = position;
    return status;
}

// Runs one block. It begins with the first token that is not in the cache, which may be of an earlier call, and ends
// with the last wanted row that fits. *taken becomes the number of wanted rows in it.
static int run_rows(struct vkgpt_session *s, uint32_t start, const size_t *rows, size_t row_count, float *hidden,
                    size_t *taken, vkgpt_error *err)
{
    const struct Slot *slot = &s->slots[0];
    uint32_t end = start + (uint32_t)rows[0] + 1;
    struct BlockRows block = {.count = 0};
    int status = prefill_to(s, end > HIDDEN_ROWS ? end - HIDDEN_ROWS : 0, err);
    if (!status) status = make_buffer(s, err);
    if (status) return status;
    uint32_t first = slot->cached;
    for (*taken = 1; *taken < row_count && start + rows[*taken] < first + HIDDEN_ROWS; ++*taken)
        end = start + (uint32_t)rows[*taken] + 1;
    prefill_add(&block, 0, slot->cached, end, HIDDEN_ROWS / GROUP_ROWS);
    status = prefill_run(s, BLOCK_HIDDEN, &block, err);
    for (size_t r = 0; !status && r < *taken; r++)
        status = take_row(s, start + (uint32_t)rows[r] - first, rows[r], hidden + r * s->model->config.embed_dim, err);
    return status;
}

int vkgpt_hidden(vkgpt_session *s, const uint32_t *ids, size_t count, const size_t *rows, size_t row_count,
                 float *hidden, vkgpt_error *err)
{
    uint32_t start = s->slots[0].position;
    int status = check_rows(rows, row_count, count, err);
    if (!status) status = sequence_append(s, 0, ids, count, s->context, err);
    for (size_t r = 0, taken; !status && r < row_count; r += taken)
        status = run_rows(s, start, rows + r, row_count - r, hidden + r * s->model->config.embed_dim, &taken, err);
    return status ? status : prefill_sequences(s, false, err);
}

// ------------------------------------------------------------------------------------------ embeddings

// Texts that are read at once, each in the sequence of its number.
struct Texts {
    struct vkgpt_session *s;
    const vkgpt_ids *texts;
    uint32_t count;
    vkgpt_pooling pooling;
    double *sums; // (sequences, embed_dim)
    vkgpt_error *err;
};

static int check_text(const struct vkgpt_session *s, const vkgpt_ids *text, size_t at, vkgpt_error *err)
{
    if (!text->count || text->count > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "text %zu: %zu tokens, 1 to %u can be", at, text->count, s->context);
    for (size_t i = 0; i < text->count; i++)
        if (text->ids[i] >= s->model->config.vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "text %zu: token id %u: %s has ids below %u", at, text->ids[i],
                        s->model->name, s->model->config.vocab);
    return VKGPT_OK;
}

// Adds the hidden states of a group of rows, which begins at row `at` of the block, to the sum of its text.
static int add_rows(const struct Texts *t, const struct Group *group, uint32_t at)
{
    uint32_t dim = t->s->model->config.embed_dim;
    double *sum = t->sums + (size_t)group->sequence * dim;
    for (uint32_t r = 0; r < group->rows; r++) {
        size_t token = group->position + r;
        const float *hidden;
        int status = find_row(t->s, at + r, token, &hidden, t->err);
        if (status) return status;
        if (t->pooling == VKGPT_POOL_LAST && token + 1 < t->texts[group->sequence].count) continue;
        for (uint32_t i = 0; i < dim; i++) sum[i] += (double)hidden[i];
    }
    return VKGPT_OK;
}

static int run_texts(const struct Texts *t)
{
    struct vkgpt_session *s = t->s;
    uint32_t most = recordings_block_rows(s, BLOCK_EMBED) / GROUP_ROWS;
    int status = make_buffer(s, t->err);
    while (!status) {
        struct BlockRows block = {.count = 0};
        for (uint32_t i = 0; i < t->count; i++) prefill_add(&block, i, s->slots[i].cached, s->slots[i].position, most);
        if (!block.count) break;
        status = prefill_run(s, BLOCK_EMBED, &block, t->err);
        for (uint32_t g = 0; !status && g < block.count; g++) status = add_rows(t, &block.groups[g], g * GROUP_ROWS);
    }
    return status;
}

static void empty_slots(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++) slot_rewind(&s->slots[i], 0);
}

static int embed_texts(const struct Texts *t, float *embeddings)
{
    uint32_t dim = t->s->model->config.embed_dim;
    empty_slots(t->s);
    for (uint32_t i = 0; i < t->count; i++) {
        memcpy(t->s->slots[i].ids, t->texts[i].ids, t->texts[i].count * sizeof *t->texts[i].ids);
        t->s->slots[i].position = (uint32_t)t->texts[i].count;
    }
    memset(t->sums, 0, (size_t)t->count * dim * sizeof *t->sums);
    int status = run_texts(t);
    for (size_t i = 0; !status && i < (size_t)t->count * dim; i++) {
        double rows = t->pooling == VKGPT_POOL_MEAN ? (double)t->texts[i / dim].count : 1;
        embeddings[i] = (float)(t->sums[i] / rows);
    }
    return status;
}

int vkgpt_embed(vkgpt_session *s, const vkgpt_ids *texts, size_t count, vkgpt_pooling pooling, float *embeddings,
                vkgpt_error *err)
{
    size_t dim = s->model->config.embed_dim;
    int status = session_settle(s, err);
    for (size_t i = 0; !status && i < count; i++) status = check_text(s, &texts[i], i, err);
    if (status) return status;
    double *sums = device_alloc(s->device, s->sequences * dim, sizeof *sums);
    if (!sums) return fail_memory(err, "the sums of hidden states", s->sequences * dim * sizeof *sums);
    for (size_t i = 0; !status && i < count; i += s->sequences) {
        uint32_t some = count - i < s->sequences ? (uint32_t)(count - i) : s->sequences;
        const struct Texts t = {s, texts + i, some, pooling, sums, err};
        status = embed_texts(&t, embeddings + i * dim);
    }
    empty_slots(s);
    free(sums);
    return status;
}
