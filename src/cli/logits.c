// vkgpt logits: the logits of the next token at every position, as a NumPy file.
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/run.h"
#include "tasks/npy_write.h"

struct Rows {
    struct Buffer *out;
    size_t columns, last; // last: the only row to keep, or SIZE_MAX for all
};

static bool on_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    if (r->last == SIZE_MAX) buffer_add(r->out, logits, rows * r->columns * sizeof *logits);
    else if (r->last >= first && r->last < first + rows)
        buffer_add(r->out, logits + (r->last - first) * r->columns, r->columns * sizeof *logits);
    return true;
}

static int write_logits(const struct Run *run, const struct Input *input, const struct Options *options,
                        vkgpt_error *err)
{
    size_t columns = run_model(run)->vocab, rows = options->last ? 1 : input->count;
    int code = run_fits(run, input->name, input->count, err); // before memory is allocated for it
    if (code) return code;
    struct Buffer out = {0};
    buffer_reserve(&out, 128 + rows * columns * sizeof(float));
    npy_header(&out, rows, columns);
    struct Rows user = {&out, columns, options->last ? input->count - 1 : SIZE_MAX};
    code = vkgpt_logits(run->session, input->ids, input->count, on_rows, &user, err);
    if (!code) code = os_write(options->output, out.data, out.bytes, err);
    buffer_free(&out);
    return code;
}

int logits_main(const struct Options *options)
{
    if (!options->output) return wrong_usage("logits needs the name of the file to write: -o OUT.npy");
    struct Input input;
    int status = input_read(&input, options, false);
    if (status) return status;

    struct Run run;
    vkgpt_error err;
    int code = run_open(&run, options, !input.is_ids, &err);
    if (!code) code = input_encode(&input, run.tokenizer, run_model(&run)->vocab, !options->no_special, &err);
    if (!code) code = input_never_empty(&input, run_model(&run), &err);
    if (!code) code = write_logits(&run, &input, options, &err);
    if (!code && options->verbose) run_counters(&run);
    run_close(&run);
    input_free(&input);
    return code ? failed(&err) : EXIT_OK;
}
