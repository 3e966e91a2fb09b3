// The model: a transformer (Radford et al. 2018, 2019) as a list of dispatches. Decode runs the next token of each
// sequence of a range, and the drafts after it, in five dispatches per layer; prefill runs a block of tokens of any
// sequences.
#include "engine/forward.h"

#include "engine/work.h"

static struct Grid grid(uint32_t x, uint32_t y, uint32_t z) { return (struct Grid){x, y, z}; }
static uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

struct Pass pass_of_step(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, struct Range range,
                         uint32_t turn)
{
    return (struct Pass){s, rec, k, range.sequences * range.rows, turn, range};
}

struct Pass pass_of_block(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t rows,
                          uint32_t turn)
{
    return (struct Pass){s, rec, k, rows, turn, {0}};
}

uint32_t product_groups(const struct Product *product, const struct Matrix *matrix)
{
    uint32_t groups = 0;
    for (uint32_t i = 0; i < matrix->chunk_count; i++)
        groups += ceil_div(matrix->chunks[i].count, product->group_outputs[matrix->format]);
    return groups;
}

uint32_t forward_max_sets(const struct vkgpt_session *s)
{
    const struct vkgpt_model *m = s->model;
    uint32_t sets = 16 + m->wte.chunk_count + (m->head ? m->head->chunk_count : 0) + m->embed_up.chunk_count +
                    m->embed_down.chunk_count;
    for (uint32_t l = m->first; l < m->end; l++) {
        sets += 6;
        for (uint32_t p = 0; p < LAYER_PRODUCTS; p++) sets += m->layers[l].matrices[p].chunk_count;
    }
    return sets;
}

// Notes which step of the model the last dispatch is, for a profile.
static void note(const struct Pass *pass, const char *step) { recording_note(pass->rec, (struct Note){.step = step}); }

// y = W x + b, one dispatch per chunk of W. `bindings` holds state, W, vectors, x, y, and then what else the kernel
// writes, such as the sums of segments if its width may be cut into some.
static void product(const struct Pass *pass, const char *step, const struct Product *p, const struct Matrix *w,
                    struct Bindings bindings, struct ProductArgs args)
{
    for (uint32_t i = 0; i < w->chunk_count; i++) {
        const struct Chunk *chunk = &w->chunks[i];
        bindings.slices[1] = &chunk->slice;
        args.first = chunk->first;
        args.count = chunk->count;
        args.scales = chunk->scales;
        uint32_t groups = ceil_div(chunk->count, p->group_outputs[w->format]);
        dispatch(pass->rec, p->pipelines[w->format],
                 grid(groups, ceil_div(pass->rows, p->group_rows[w->format]), p->segments[w->format]), bindings, &args,
                 sizeof args);
        recording_note(pass->rec,
                       (struct Note){.step = step,
                                     .bytes = chunk->slice.bytes,
                                     .work = product_work(pass->rows, chunk->count, w->in, p->whole_rows[w->format],
                                                          p->whole_outputs[w->format])});
        args.first_group += groups;
    }
}

static void norm(const struct Pass *pass, const struct Pipeline *pipeline, const struct Slice *vectors, uint32_t gain,
                 uint32_t bias, const struct Slice *out)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    dispatch(pass->rec, pipeline, grid(1, pass->rows, 1), BUFFERS(&s->b.state, vectors, &s->b.x, out),
             ARGS(NormArgs, .range = pass->range, .dim = m->config.dim, .stride = m->dim, .gain = gain, .bias = bias,
                  .eps = m->config.eps));
    note(pass, "norm");
}

// The input of a product of norm(x): x where its kernel computes the norm itself, else n, computed here.
static const struct Slice *normed(const struct Pass *pass, const struct Product *p, const struct Matrix *w,
                                  const struct Slice *vectors, uint32_t gain, uint32_t bias)
{
    struct vkgpt_session *s = pass->s;
    if (p->staged[w->format]) return &s->b.x;
    norm(pass, p->halves ? pass->k->norm_halves : pass->k->norm_input, vectors, gain, bias, &s->b.n);
    return &s->b.n;
}

// What all products of a model share; each sets its own x_stride, y_stride, bias and norm.
static struct ProductArgs common_args(const struct Pass *pass)
{
    const struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    return (struct ProductArgs){
        .range = pass->range,
        .dim = m->config.dim,
        .eps = m->config.eps,
        .heads = m->config.heads,
        .head_dim = m->head_dim,
        .context = s->context,
        .span = s->decode->span,
        .splits = s->splits,
    };
}

static void embed_parts(const struct Pass *pass, uint32_t parts, uint32_t dim, const struct Slice *out)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    uint32_t chunks = parts & EMBED_TOKEN ? m->wte.chunk_count : 1;
    for (uint32_t i = 0; i < chunks; i++) {
        const struct Chunk *chunk = &m->wte.chunks[i];
        dispatch(pass->rec, pass->k->embed[m->wte.format], grid(1, pass->rows, 1),
                 BUFFERS(&s->b.state, &s->b.tokens, &chunk->slice, &m->wpe.chunks[0].slice, out),
                 ARGS(EmbedArgs, .range = pass->range, .dim = dim, .parts = parts, .first = chunk->first,
                      .count = chunk->count, .vocab = m->config.vocab, .token_stride = s->context + 1,
                      .position_offset = m->config.position_offset, .scales = chunk->scales));
        note(pass, "embed");
    }
}

// x = wte[token] + wpe[position]; where the embedding has its own width, x = embed_up(wte[token]) + wpe[position]
static void embed(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    if (!m->projected) {
        embed_parts(pass, EMBED_TOKEN | EMBED_POSITION, m->dim, &s->b.x);
        return;
    }
    embed_parts(pass, EMBED_POSITION, m->dim, &s->b.x);
    embed_parts(pass, EMBED_TOKEN, m->embed_dim, &s->b.e);
    struct ProductArgs args = common_args(pass);
    args.x_stride = m->embed_dim, args.y_stride = m->dim, args.bias = NO_BIAS;
    product(pass, "embed_up", &pass->k->embed_up, &m->embed_up,
            BUFFERS(&s->b.state, NULL, &m->ln_f, &s->b.e, &s->b.x, &s->b.arrived, &s->b.sums), args);
}

static VkDeviceSize x_bytes(const struct Pass *pass) { return (VkDeviceSize)pass->rows * pass->s->model->dim * 4; }

// x at the first layer of a stage: the embedding, or what the stage before has left
static void begin(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    if (model_embeds(s->model)) embed(pass);
    else recording_copy(pass->rec, &s->b.arrival[pass->turn], 0, &s->b.x, 0, x_bytes(pass));
}

// x after the last layer of a stage that is not the last
static void hand_on(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    recording_copy(pass->rec, &s->b.x, 0, &s->b.departure[pass->turn], 0, x_bytes(pass));
}

// The input of the head: ln_f(x), or embed_down(ln_f(x)) where the embedding has its own width; x itself where the
// head computes the norm.
static const struct Slice *head_input(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Product *first = m->projected ? &pass->k->embed_down : &pass->k->head;
    const struct Matrix *w = m->projected ? &m->embed_down : m->head;
    const struct Slice *in = m->config.final_norm ? normed(pass, first, w, &m->ln_f, 0, m->dim) : &s->b.x;
    if (!m->projected) return in;
    struct ProductArgs args = common_args(pass);
    args.norm_gain = 0, args.norm_bias = m->dim, args.bias = NO_BIAS;
    args.x_stride = m->dim, args.y_stride = m->embed_dim;
    product(pass, "embed_down", first, &m->embed_down, BUFFERS(&s->b.state, NULL, &m->ln_f, in, &s->b.e), args);
    return &s->b.e;
}

// logits = head(ln_f(x)); where the embedding has its own width, head(embed_down(ln_f(x)))
static void head(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Slice *in = head_input(pass);
    struct ProductArgs args = common_args(pass);
    args.norm_gain = 0, args.norm_bias = m->dim, args.bias = NO_BIAS;
    args.x_stride = m->embed_dim, args.y_stride = m->vocab;
    args.outputs = m->config.vocab, args.groups = pass->k->head_groups;
    product(pass, "head", &pass->k->head, m->head,
            BUFFERS(&s->b.state, NULL, &m->ln_f, in, &s->b.logits, &s->b.head_parts), args);
}

static uint32_t q_stride(const struct vkgpt_session *s) { return s->model->width * (s->kv == KV_Q8_0 ? 3 : 1); }

// q, k, v of x or of its norm; k and v go into the cache
static void qkv(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Layer *layer = &m->layers[l];
    struct ProductArgs args = common_args(pass);
    args.x_stride = m->dim, args.y_stride = q_stride(s), args.bias = m->at.c_attn;
    args.norm_gain = m->at.ln_1_gain, args.norm_bias = m->at.ln_1_bias;
    const struct Slice *in = &s->b.x;
    if (!m->config.post_norm)
        in = normed(pass, &pass->k->qkv, &layer->c_attn, &layer->vectors, m->at.ln_1_gain, m->at.ln_1_bias);
    product(pass, "qkv", &pass->k->qkv, &layer->c_attn,
            BUFFERS(&s->b.state, NULL, &layer->vectors, in, &s->b.q, &s->b.k[l], &s->b.v[l]), args);
}

// writes k and v into a quantised cache; into any other cache qkv itself writes them
static void cache(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Cache layout = session_cache(s);
    uint32_t heads = m->config.heads;
    if (s->kv != KV_Q8_0) return;
    dispatch(pass->rec, pass->k->cache,
             grid(ceil_div(heads * ceil_div(m->head_dim, 64), pass->k->cache_lanes), pass->rows, 2),
             BUFFERS(&s->b.state, &s->b.q, &s->b.k[l], &s->b.v[l]),
             ARGS(CacheArgs, .range = pass->range, .heads = heads, .head_dim = m->head_dim, .context = s->context,
                  .stride = q_stride(s), .scales = cache_scales(&layout)));
    note(pass, "cache");
}

// attention of the queries over the cache, into `a`, or in decode into parts, which are merged for `project`
static void attend(const struct Pass *pass, uint32_t l, uint32_t splits)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Cache layout = session_cache(s);
    bool decode = !pass->k->block_queries;
    const struct Slice *out = decode ? &s->b.parts : &s->b.a;
    uint32_t heads = m->config.heads;
    struct Grid cover =
        decode ? grid(heads, pass->rows, splits) : grid(heads, ceil_div(pass->rows, pass->k->block_queries), 1);
    dispatch(pass->rec, pass->k->attend, cover, BUFFERS(&s->b.state, &s->b.q, &s->b.k[l], &s->b.v[l], out),
             ARGS(AttendArgs, .range = pass->range, .heads = heads, .head_dim = m->head_dim, .context = s->context,
                  .span = s->decode->span, .splits = s->splits, .scale = config_attention_scale(&m->config, l),
                  .q_stride = q_stride(s), .window = config_window(&m->config, l), .scales = cache_scales(&layout)));
    recording_note(pass->rec, (struct Note){.step = "attend", .layer = l});
}

// The input of project: `a`, or the parts where its kernel merges them itself. Otherwise they are merged here.
static const struct Slice *merged(const struct Pass *pass, const struct Matrix *w)
{
    struct vkgpt_session *s = pass->s;
    bool decode = !pass->k->block_queries;
    if (!decode) return &s->b.a;
    if (pass->k->project.staged[w->format]) return &s->b.parts;
    struct ProductArgs args = common_args(pass);
    args.y_stride = s->model->width;
    dispatch(pass->rec, pass->k->merge, grid(1, pass->rows, 1), BUFFERS(&s->b.state, &s->b.parts, &s->b.a), &args,
             sizeof args);
    note(pass, "merge");
    return &s->b.a;
}

// x += W attention, with its parts merged
static void project(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Layer *layer = &m->layers[l];
    const struct Slice *in = merged(pass, &layer->c_proj);
    struct ProductArgs args = common_args(pass);
    args.x_stride = m->width, args.y_stride = m->dim, args.bias = m->at.c_proj;
    product(pass, "project", &pass->k->project, &layer->c_proj,
            BUFFERS(&s->b.state, NULL, &layer->vectors, in, &s->b.x, &s->b.arrived, &s->b.sums), args);
}

// attention: x += project(attend(qkv(norm(x)))), or x = norm(x + project(attend(qkv(x))))
static void attention(const struct Pass *pass, uint32_t l, uint32_t splits)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    qkv(pass, l);
    cache(pass, l);
    attend(pass, l, splits);
    project(pass, l);
    if (m->config.post_norm)
        norm(pass, pass->k->norm, &m->layers[l].vectors, m->at.ln_1_gain, m->at.ln_1_bias, &s->b.x);
}

// h = activation(W x), of x or of its norm
static void expand(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Layer *layer = &m->layers[l];
    struct ProductArgs args = common_args(pass);
    args.x_stride = m->dim, args.y_stride = m->inner, args.bias = m->at.c_fc;
    args.norm_gain = m->at.ln_2_gain, args.norm_bias = m->at.ln_2_bias;
    const struct Slice *in = &s->b.x;
    if (!m->config.post_norm)
        in = normed(pass, &pass->k->expand, &layer->c_fc, &layer->vectors, m->at.ln_2_gain, m->at.ln_2_bias);
    product(pass, "expand", &pass->k->expand, &layer->c_fc, BUFFERS(&s->b.state, NULL, &layer->vectors, in, &s->b.h),
            args);
}

// x += W h
static void contract(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    const struct Layer *layer = &m->layers[l];
    struct ProductArgs args = common_args(pass);
    args.x_stride = m->inner, args.y_stride = m->dim, args.bias = m->at.c_out;
    product(pass, "contract", &pass->k->contract, &layer->c_out,
            BUFFERS(&s->b.state, NULL, &layer->vectors, &s->b.h, &s->b.x, &s->b.arrived, &s->b.sums), args);
}

// feed forward: x += contract(activation(expand(norm(x)))), or x = norm(x + contract(activation(expand(x))))
static void feed_forward(const struct Pass *pass, uint32_t l)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    expand(pass, l);
    contract(pass, l);
    if (m->config.post_norm)
        norm(pass, pass->k->norm, &m->layers[l].vectors, m->at.ln_2_gain, m->at.ln_2_bias, &s->b.x);
}

static void sample(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    if (pass->k->best) {
        dispatch(pass->rec, pass->k->best, grid(pass->k->head_groups, pass->rows, 1),
                 BUFFERS(&s->b.state, &s->b.logits, &s->b.head_parts),
                 ARGS(BestArgs, .range = pass->range, .vocab = m->config.vocab, .logits_stride = m->vocab,
                      .groups = pass->k->head_groups));
        note(pass, "best");
    }
    dispatch(pass->rec, pass->k->sample, grid(pass->range.sequences, 1, 1),
             BUFFERS(&s->b.state, &s->b.tokens, &s->b.logits, &s->b.head_parts, &s->b.ring, &s->b.changes, &s->b.kept,
                     &s->b.reports),
             ARGS(SampleArgs, .range = pass->range, .vocab = m->config.vocab, .logits_stride = m->vocab,
                  .groups = pass->k->head_groups, .token_stride = s->context + 1));
    note(pass, "sample");
}

void forward_layer(const struct Pass *pass, uint32_t l, uint32_t splits)
{
    attention(pass, l, splits);
    feed_forward(pass, l);
}

void forward_step(const struct Pass *pass, uint32_t splits)
{
    struct vkgpt_session *s = pass->s;
    if (s->step_rows > 1) {
        dispatch(pass->rec, pass->k->lookup, grid(pass->range.sequences, 1, 1), BUFFERS(&s->b.state, &s->b.tokens),
                 ARGS(LookupArgs, .range = pass->range, .token_stride = s->context + 1));
        note(pass, "lookup");
    }
    begin(pass);
    for (uint32_t l = s->model->first; l < s->model->end; l++) forward_layer(pass, l, splits);
    if (!model_has_head(s->model)) {
        hand_on(pass);
        return;
    }
    head(pass);
    sample(pass);
}

void forward_block(const struct Pass *pass, enum Leaves leaves)
{
    struct vkgpt_session *s = pass->s;
    uint32_t whole = s->model->end - (leaves == LEAVES_CACHE);
    begin(pass);
    for (uint32_t l = s->model->first; l < whole; l++) forward_layer(pass, l, 0);
    if (leaves == LEAVES_CACHE) { // of the last layer only k and v are needed: nothing reads its output
        qkv(pass, whole);
        cache(pass, whole);
    }
    if (leaves == LEAVES_X) hand_on(pass);
    if (leaves >= LEAVES_LOGITS) head(pass);
}

void forward_embed(const struct Pass *pass) { embed(pass); }
void forward_head(const struct Pass *pass) { head(pass); }

void forward_score(const struct Pass *pass)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    dispatch(pass->rec, pass->k->score, grid(1, pass->rows, 1),
             BUFFERS(&s->b.state, &s->b.tokens, &s->b.logits, &s->b.scores),
             ARGS(ScoreArgs, .vocab = m->config.vocab, .logits_stride = m->vocab, .token_stride = s->context + 1));
    note(pass, "score");
}

void forward_report(const struct Pass *pass, const struct Pipeline *report, const struct Slice *reports)
{
    struct vkgpt_session *s = pass->s;
    const struct vkgpt_model *m = s->model;
    dispatch(pass->rec, report, grid(1, pass->rows, 1), BUFFERS(&s->b.state, &s->b.tokens, &s->b.logits, reports),
             ARGS(ReportArgs, .vocab = m->config.vocab, .logits_stride = m->vocab, .token_stride = s->context + 1));
    note(pass, "report");
}

const struct Slice *forward_hidden(const struct Pass *pass)
{
    return head_input(pass); // in prefill the head does not compute the norm
}

void forward_product(const struct Pass *pass, enum ProductKernel which, uint32_t l)
{
    static void (*const products[])(const struct Pass *, uint32_t) = {
        [QKV] = qkv, [PROJECT] = project, [EXPAND] = expand, [CONTRACT] = contract};
    if (which == HEAD) head(pass);
    else products[which](pass, l);
}
