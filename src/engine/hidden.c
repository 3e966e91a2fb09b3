// vkgpt_hidden: hidden states, by blocks of prefill that end before the head.
#include <string.h>

#include "engine/prefill.h"
#include "engine/recordings.h"
#include "engine/sequences.h"

static int make_buffer(struct vkgpt_session *s, vkgpt_error *err)
{
    if (s->b.hidden.buffer) return VKGPT_OK;
    return pool_slice(s->device, &s->read_pool, (VkDeviceSize)HIDDEN_ROWS * s->model->embed_dim * 4, "hidden states",
                      &s->b.hidden, err);
}

static int check_rows(const size_t *rows, size_t row_count, size_t count, vkgpt_error *err)
{
    for (size_t r = 0; r < row_count; r++) {
        if (rows[r] >= count)
            return fail(err, VKGPT_BAD_ARGUMENT, "the hidden state of token %zu is asked for: %zu are given", rows[r],
                        count);
        if (r && rows[r] <= rows[r - 1])
            return fail(err, VKGPT_BAD_ARGUMENT, "the hidden state of token %zu is asked for behind that of token %zu",
                        rows[r], rows[r - 1]);
    }
    return VKGPT_OK;
}

// Copies row `row` of the block that ran last; the buffer holds its rows padded.
static int take_row(const struct vkgpt_session *s, uint32_t row, size_t token, float *out, vkgpt_error *err)
{
    const float *hidden = (const float *)s->b.hidden.host + (size_t)row * s->model->embed_dim;
    uint32_t dim = s->model->config.embed_dim;
    for (uint32_t i = 0; i < dim; i++)
        if (!(hidden[i] - hidden[i] == 0.0f)) // NaN, or an infinity, which minus itself is NaN
            return fail(err, VKGPT_BAD_LOGITS, "%s: the hidden state of token %zu holds %g", s->model->name, token,
                        (double)hidden[i]);
    memcpy(out, hidden, dim * sizeof *out);
    return VKGPT_OK;
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
    struct Recording *rec;
    int status = prefill_to(s, end > HIDDEN_ROWS ? end - HIDDEN_ROWS : 0, err);
    if (!status) status = make_buffer(s, err);
    if (!status) status = recordings_hidden(s, &rec, err);
    if (status) return status;
    uint32_t first = slot->cached;
    for (*taken = 1; *taken < row_count && start + rows[*taken] < first + HIDDEN_ROWS; ++*taken)
        end = start + (uint32_t)rows[*taken] + 1;
    prefill_add(&block, 0, slot->cached, end, HIDDEN_ROWS / GROUP_ROWS);
    status = prefill_run(s, rec, &block, err);
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
