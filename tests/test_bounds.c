// Bounds for every file: a file of N bytes is refused or read in time linear in N, and within 32 MiB + 12 N bytes of
// memory, not counting mapped parts of the file. The files here are the worst known ones for each reader: those with
// the highest cost for their size. Each is read in a process of its own, with a limit on its address space.
#define _GNU_SOURCE // RLIMIT_AS, memmem
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h" // these two before cmocka, which has a macro named fail
#include "tasks/eval.h"

#include <cmocka.h>

#include "base/json.h"
#include "gguf_file.h"
#include "model/gguf.h"
#include "model/pickle.h"
#include "model/presets.h"
#include "model/safetensors.h"
#include "model/shards.h"
#include "model/table.h"
#include "model/torch_zip.h"
#include "model_files.h"
#include "tasks/items.h"
#include "text/gguf_vocab.h"

#define SMALL ((size_t)(LIMITED ? 2000000 : 200000)) // N; the other size is 4 N
#define BASE ((size_t)32 << 20)
#define TIMES 12
#define SLACK 0.01 // seconds: the error of a clock

#if defined(__SANITIZE_ADDRESS__)
#define LIMITED false // its shadow takes more address space than any limit
#else
#define LIMITED true
#endif

// --------------------------------------------------------------------------------------------- writing the files

static struct Bytes out;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bytes_text(&out, text);
}

static void save(const char *name)
{
    file_write(test_dir, name, out.data, out.count);
    bytes_free(&out);
    out = (struct Bytes){0};
}

// A short name, different for each index.
static const char *word(size_t index)
{
    static char text[2][16];
    static int turn;
    char *at = text[turn ^= 1] + 15;
    do *--at = (char)('a' + index % 26);
    while (index /= 26);
    return at;
}

// Fills the rest of `bytes` with the output of `each`.
static void fill(size_t bytes, void (*each)(size_t index))
{
    for (size_t i = 0; out.count < bytes; i++) each(i);
}

static void one(size_t i) { put(i ? ",1" : "1"); }
static void empty_list(size_t i) { put(i ? ",[]" : "[]"); }
static void member(size_t i) { put("%s\"%s\":1", i ? "," : "", word(i)); }
static void few_members(size_t i)
{
    put("%s{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1}", i ? "," : "");
}
static void escape(size_t i) { put(i % 2 ? "\\n" : "\\u00e9"); }

static void ones_make(size_t bytes) { put("["), fill(bytes, one), put("]"), save("config.json"); }
static void empty_lists_make(size_t bytes) { put("["), fill(bytes, empty_list), put("]"), save("config.json"); }
static void members_make(size_t bytes) { put("{"), fill(bytes, member), put("}"), save("config.json"); }
static void few_members_make(size_t bytes) { put("["), fill(bytes, few_members), put("]"), save("config.json"); }
static void escapes_make(size_t bytes)
{
    put("{\"model_type\":\""), fill(bytes, escape), put("\"}"), save("config.json");
}
static void open_string_make(size_t bytes) { put("{\"model_type\":\""), fill(bytes, escape), save("config.json"); }
static void twice(size_t i) { put("%s\"a\":1", i ? "," : ""); }
static void twice_make(size_t bytes) { put("{"), fill(bytes, twice), put("}"), save("config.json"); }
static void kinds(size_t i) { put("%s[[],9]", i ? "," : ""); }

static void attention_make(size_t bytes)
{
    put("{\"model_type\":\"gpt_neo\",\"attention_types\":["), fill(bytes, kinds), put("]}"), save("config.json");
}

// ------------------------------------------------------------------------------------------- tensors

static void put_length(size_t length)
{
    uint64_t size = length;
    bytes_add(&out, &size, sizeof size);
}

static void tensor(size_t i)
{
    put("%s\"%s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%zu,%zu]}", i ? "," : "", word(i), i, i + 1);
}

// A header filled by `each`, between `before` and `behind`.
static void header_make(size_t bytes, void (*each)(size_t), const char *before, const char *behind)
{
    put("%s", before);
    fill(bytes, each);
    put("%s", behind);
    struct Bytes header = out;
    out = (struct Bytes){0};
    put_length(header.count);
    bytes_add(&out, header.data, header.count);
    bytes_free(&header);
}

static void tensors_make(size_t bytes)
{
    header_make(bytes, tensor, "{", "}");
    size_t count = 0;
    for (const char *at = (char *)out.data, *end = at + out.count; (at = memmem(at, (size_t)(end - at), "dtype", 5));
         at++)
        count++;
    uint8_t *data = calloc(count, 1);
    bytes_add(&out, data, count);
    free(data);
    save("model.safetensors");
}

static void header_ones_make(size_t bytes) { header_make(bytes, one, "{\"a\":[", "]}"), save("model.safetensors"); }
static void header_metadata_make(size_t bytes)
{
    header_make(bytes, member, "{\"__metadata__\":{", "}}"), save("model.safetensors");
}
static void place(size_t i) { put("%s\"%s\":\"a\"", i ? "," : "", word(i)); }

static void index_make(size_t bytes)
{
    put("{\"weight_map\":{"), fill(bytes, place), put("}}"), save("i");
    header_make(0, one, "{", "}"), save("a");
}

static void gguf_header(uint64_t tensors, uint64_t keys)
{
    put("GGUF");
    bytes_number(&out, 3, 4);
    bytes_number(&out, tensors, 8);
    bytes_number(&out, keys, 8);
}

// How many calls of `each` make `bytes` of a file.
static uint64_t times_of(size_t bytes, void (*each)(size_t))
{
    uint64_t count = 0;
    for (; out.count < bytes; count++) each(count);
    bytes_free(&out);
    out = (struct Bytes){0};
    return count;
}

static void gguf_key(size_t i)
{
    gguf_add_text(&out, word(i));
    bytes_number(&out, 0, 4);
    bytes_number(&out, 1, 1);
}

static void gguf_tensor(size_t i)
{
    gguf_add_text(&out, word(i));
    bytes_number(&out, 0, 4);  // dimensions
    bytes_number(&out, 24, 4); // I8
    bytes_number(&out, i * 32, 8);
}

static void gguf_keys_make(size_t bytes)
{
    uint64_t count = times_of(bytes, gguf_key);
    gguf_header(0, count);
    for (size_t i = 0; i < count; i++) gguf_key(i);
    save("m.gguf");
}

static void gguf_tensors_make(size_t bytes)
{
    uint64_t count = times_of(bytes, gguf_tensor);
    gguf_header(count, 0);
    for (size_t i = 0; i < count; i++) gguf_tensor(i);
    void *data = calloc(count, 32);
    bytes_add(&out, data, count * 32);
    free(data);
    save("m.gguf");
}

static void gguf_token(size_t i) { gguf_add_text(&out, word(i)); }

static void gguf_tokens_make(size_t bytes)
{
    uint64_t count = times_of(bytes, gguf_token);
    gguf_header(0, 4);
    gguf_add_text(&out, "general.architecture"), bytes_number(&out, 8, 4), gguf_add_text(&out, "gpt2");
    gguf_add_text(&out, "tokenizer.ggml.model"), bytes_number(&out, 8, 4), gguf_add_text(&out, "gpt2");
    gguf_add_text(&out, "tokenizer.ggml.merges"), bytes_number(&out, 9, 4), bytes_number(&out, 8, 4),
        bytes_number(&out, 0, 8);
    gguf_add_text(&out, "tokenizer.ggml.tokens"), bytes_number(&out, 9, 4), bytes_number(&out, 8, 4),
        bytes_number(&out, count, 8);
    for (size_t i = 0; i < count; i++) gguf_token(i);
    save("m.gguf");
}

// ------------------------------------------------------------------------------------------- pickles and archives

static const char *repeated; // opcodes

static void opcodes(size_t i)
{
    (void)i;
    put("%s", repeated);
}

static void pickle_make(size_t bytes, const char *before, const char *each)
{
    repeated = each;
    put("\x80\x04%s", before), fill(bytes, opcodes), put("."), save("p");
}

static void nones_make(size_t bytes) { pickle_make(bytes, "", "N"); }
static void lists_make(size_t bytes) { pickle_make(bytes, "", "]"); }
static void marks_make(size_t bytes) { pickle_make(bytes, "", "("); }
static void memos_make(size_t bytes) { pickle_make(bytes, "N", "\x94"); }
static void tuples_make(size_t bytes) { pickle_make(bytes, "", "N\x85"); }
static void appends_make(size_t bytes) { pickle_make(bytes, "]", "Na"); }
static void deep_make(size_t bytes) { pickle_make(bytes, ")", "\x85"); }
static void far_memo_make(size_t bytes)
{
    put("\x80\x02N");
    for (size_t i = 0; out.count + 6 < bytes; i++) {
        put("r");
        bytes_number(&out, bytes - 10 - i, 4);
    }
    put("."), save("p");
}

static void entry(size_t i)
{
    const char *name = word(i);
    bytes_number(&out, 0x02014b50, 4);
    for (int k = 0; k < 24; k++) bytes_number(&out, 0, 1);
    bytes_number(&out, strlen(name), 2);
    for (int k = 0; k < 16; k++) bytes_number(&out, 0, 1);
    put("%s", name);
}

static void zip_make(size_t bytes)
{
    uint64_t count = times_of(bytes, entry);
    fill(bytes, entry);
    uint64_t directory = out.count;
    bytes_number(&out, 0x06064b50, 4), bytes_number(&out, 44, 8), bytes_number(&out, 0, 12);
    bytes_number(&out, count, 8), bytes_number(&out, count, 8), bytes_number(&out, directory, 8),
        bytes_number(&out, 0, 8);
    bytes_number(&out, 0x07064b50, 4), bytes_number(&out, 0, 4), bytes_number(&out, directory, 8),
        bytes_number(&out, 1, 4);
    bytes_number(&out, 0x06054b50, 4), bytes_number(&out, 0, 18);
    save("z");
}

// ------------------------------------------------------------------------------------------------- tokenizers

static void id_of(size_t i) { put("%s\"%s\":%zu", i ? "," : "", word(i), i); }
static void scored(size_t i) { put("%s[\"%s\",0]", i ? "," : "", word(i)); }
static void line(size_t i) { put("%s\n", word(i)); }
static void added(size_t i) { put("%s{\"id\":%zu,\"content\":\"%s\"}", i ? "," : "", i + 1, word(i)); }
static void merge(size_t i) { put(i ? ",\"a b\"" : "\"a b\""); }
static void different_merge(size_t i) { put("%s\"%c %s\"", i ? "," : "", "bcd"[i % 3], word(i / 3 % (26 * 26 * 26))); }
static void bare_part(size_t i) { put("%s{\"SpecialToken\":{\"id\":\"%s\"}}", i ? "," : "", word(i)); }
static void table_part(size_t i) { put("%s\"%s\":{\"ids\":[]}", i ? "," : "", word(i)); }

#define GPT2                                                                                                           \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"},"

static void tokens_make(size_t bytes)
{
    put("{" GPT2 "\"model\":{\"merges\":[],\"vocab\":{"), fill(bytes, id_of), put("}}}"), save("tokenizer.json");
}

static void pieces_make(size_t bytes)
{
    put("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":["), fill(bytes, scored), put("]}}"),
        save("tokenizer.json");
}

static void words_make(size_t bytes)
{
    put("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{"), fill(bytes, id_of), put("}}}"), save("tokenizer.json");
}

static void added_make(size_t bytes)
{
    put("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"?\":0}},\"added_tokens\":["), fill(bytes, added), put("]}"),
        save("tokenizer.json");
}

static void merges_make(size_t bytes)
{
    put("{" GPT2 "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":["), fill(bytes, merge), put("]}}"),
        save("tokenizer.json");
}

// Half tokens, half merges of them.
static void different_merges_make(size_t bytes)
{
    put("{" GPT2 "\"model\":{\"vocab\":{"), fill(bytes / 2, id_of), put("},\"merges\":["), fill(bytes, different_merge),
        put("]}}");
    save("tokenizer.json");
}

static void template_make(size_t bytes)
{
    put("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"?\":0}},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    fill(bytes / 2, bare_part), put("],\"special_tokens\":{"), fill(bytes, table_part), put("}}}"),
        save("tokenizer.json");
}

static void lines_make(size_t bytes) { fill(bytes, line), save("vocab.txt"); }

// added_tokens.json and as many settings, which are searched for the roles of tokens.
static void roles_make(size_t bytes)
{
    put("{\"a\":0}"), save("vocab.json");
    put("#version\n"), save("merges.txt");
    put("{"), fill(bytes / 2, id_of), put("}"), save("added_tokens.json");
    put("{"), fill(bytes / 2, member), put("}"), save("special_tokens_map.json");
}

static void far_id_make(size_t bytes)
{
    (void)bytes;
    put("{\"a\":0,\"b\":524286}"), save("vocab.json");
    put("#version\n"), save("merges.txt");
}

static void spiece(size_t i)
{
    const char *text = word(i);
    bytes_number(&out, 0x0a, 1), bytes_number(&out, strlen(text) + 2, 1), bytes_number(&out, 0x0a, 1);
    bytes_number(&out, strlen(text), 1), put("%s", text);
}

static void spieces_make(size_t bytes) { fill(bytes, spiece), save("spiece.model"); }

// As `make-model --tokenizer` reads it.
static void vocab_make(size_t bytes)
{
    put("{"), fill(bytes, id_of), put("}"), save("vocab.json");
    put("#version\na b\n"), save("merges.txt");
}

// ------------------------------------------------------------------------------------------------------ tasks

static void item(size_t i)
{
    (void)i;
    put("{\"text\":\"a b\"}\n");
}

static void items_make(size_t bytes) { fill(bytes, item), save("t.jsonl"); }

// As many items as a task may have, where they fit.
static void eval_items_make(size_t bytes)
{
    size_t each = bytes / 125000 < 16 ? 16 : bytes / 125000;
    for (size_t i = 0; i < bytes / each; i++) put("{\"text\":\"%*s\"}\n", (int)each - 12, "a b");
    save("t.jsonl");
}

static void bomb_make(size_t bytes)
{
    char *text = malloc(1 << 16), path[DIR_BYTES + 32];
    memset(text, ' ', 1 << 16);
    snprintf(path, sizeof path, "%s/t.jsonl", test_dir);
    gzFile file = gzopen(path, "wb9");
    for (size_t left = bytes * 100 >> 16; left; left--) assert_int_equal(gzwrite(file, text, 1 << 16), 1 << 16);
    gzclose(file);
    free(text);
}

// --------------------------------------------------------------------------------------------- reading the files

static int table_read(int (*read)(const char *, struct TensorTable *, vkgpt_error *), const char *name,
                      vkgpt_error *err)
{
    struct TensorTable table = {0};
    int code = read(test_path(name), &table, err);
    table_free(&table);
    return code;
}

static int config_open(vkgpt_error *err)
{
    struct Config config;
    return config_read(test_dir, &config, err);
}

static int safetensors_open(vkgpt_error *err) { return table_read(safetensors_read, "model.safetensors", err); }
static int zip_open(vkgpt_error *err) { return table_read(torch_read, "z", err); }

static int index_open(vkgpt_error *err)
{
    struct TensorTable table = {0};
    int code = shards_read(test_dir, "i", safetensors_read, &table, err);
    table_free(&table);
    return code;
}

static int gguf_open(vkgpt_error *err)
{
    struct TensorTable table = {0};
    struct Gguf gguf;
    int code = gguf_read(test_path("m.gguf"), &table, &gguf, err);
    gguf_free(&gguf);
    table_free(&table);
    return code;
}

static int pickle_open(vkgpt_error *err)
{
    struct Mapping m;
    struct PickleTensor *list;
    size_t count;
    int code = os_map(test_path("p"), &m, err);
    if (!code) code = pickle_read("p", m.data, m.bytes, &list, &count, err);
    if (m.data && !code) pickle_free(list, count);
    os_unmap(&m);
    return code;
}

static int tokenizer_open(vkgpt_error *err)
{
    vkgpt_tokenizer *tok;
    int code = vkgpt_tokenizer_open(test_dir, 0, &tok, err);
    vkgpt_tokenizer_close(tok);
    return code;
}

static int gguf_tokenizer_open(vkgpt_error *err)
{
    vkgpt_tokenizer *tok;
    int code = vkgpt_tokenizer_open(test_path("m.gguf"), 1000, &tok, err);
    vkgpt_tokenizer_close(tok);
    return code;
}

static int make_model(vkgpt_error *err)
{
    struct Config config;
    const struct PresetSizes sizes = {.layers = 1, .heads = 1, .dim = 2, .inner = 2, .context = 1, .vocab = 524288};
    const struct PresetOutput to = {.dir = test_path(".out"),
                                    .tokenizer = test_path(""),
                                    .preset = "gpt2",
                                    .dtype = DTYPE_F16,
                                    .shards = 1,
                                    .force = true};
    preset_config(preset_find("gpt2"), &config);
    int code = preset_resize(&config, &sizes, err);
    if (!code) code = preset_write(&config, &to, err);
    if (os_is_dir(to.dir)) dir_remove(to.dir);
    return code;
}

static int eval_open(vkgpt_error *err)
{
    struct EvalTask *tasks;
    size_t count;
    char list[DIR_BYTES + 64];
    snprintf(list, sizeof list, "lambada:%s", test_path("t.jsonl"));
    int code = eval_tasks_read(list, 0, &tasks, &count, err);
    if (!code) eval_tasks_free(tasks, count);
    return code;
}

static int items_open(vkgpt_error *err)
{
    struct Items items;
    int code = items_read(&items, test_path("t.jsonl"), ITEM_AUTO, err);
    items_free(&items);
    return code;
}

// --------------------------------------------------------------------------------------------------- measuring

static const struct Case {
    const char *name;
    void (*make)(size_t bytes);
    int (*read)(vkgpt_error *err);
    bool mapped;  // its file is mapped
    size_t times; // unpacked size over packed size; 0: not packed

} cases[] = {
    {"a list of ones", ones_make, config_open, false, 0},
    {"a list of empty lists", empty_lists_make, config_open, false, 0},
    {"an object of many keys", members_make, config_open, false, 0},
    {"many objects of few keys", few_members_make, config_open, false, 0},
    {"a text of escapes", escapes_make, config_open, false, 0},
    {"a text without an end", open_string_make, config_open, false, 0},
    {"one key again and again", twice_make, config_open, false, 0},
    {"attention types", attention_make, config_open, false, 0},
    {"many tensors", tensors_make, safetensors_open, true, 0},
    {"a header of ones", header_ones_make, safetensors_open, true, 0},
    {"a header of metadata", header_metadata_make, safetensors_open, true, 0},
    {"an index", index_make, index_open, false, 0},
    {"keys of a GGUF file", gguf_keys_make, gguf_open, true, 0},
    {"tensors of a GGUF file", gguf_tensors_make, gguf_open, true, 0},
    {"tokens of a GGUF file", gguf_tokens_make, gguf_tokenizer_open, true, 0},
    {"a pickle of None", nones_make, pickle_open, true, 0},
    {"a pickle of lists", lists_make, pickle_open, true, 0},
    {"a pickle of marks", marks_make, pickle_open, true, 0},
    {"a pickle that remembers", memos_make, pickle_open, true, 0},
    {"a pickle of tuples", tuples_make, pickle_open, true, 0},
    {"a pickle of one long list", appends_make, pickle_open, true, 0},
    {"a pickle of nested tuples", deep_make, pickle_open, true, 0},
    {"a pickle that remembers from the end", far_memo_make, pickle_open, true, 0},
    {"entries of a zip", zip_make, zip_open, true, 0},
    {"tokens", tokens_make, tokenizer_open, false, 0},
    {"pieces with scores", pieces_make, tokenizer_open, false, 0},
    {"words", words_make, tokenizer_open, false, 0},
    {"added tokens", added_make, tokenizer_open, false, 0},
    {"one merge again and again", merges_make, tokenizer_open, false, 0},
    {"merges", different_merges_make, tokenizer_open, false, 0},
    {"a template", template_make, tokenizer_open, false, 0},
    {"vocab.txt", lines_make, tokenizer_open, false, 0},
    {"added tokens and roles", roles_make, tokenizer_open, false, 0},
    {"an id far away", far_id_make, tokenizer_open, false, 0},
    {"pieces of SentencePiece", spieces_make, tokenizer_open, false, 0},
    {"items of a task", items_make, items_open, false, 0},
    {"gzip of blanks", bomb_make, items_open, false, 100},
    {"a vocabulary of make-model", vocab_make, make_model, false, 0},
    {"items of eval", eval_items_make, eval_open, false, 0},
};

static size_t files_bytes(bool remove_them)
{
    DIR *d = opendir(test_dir);
    size_t bytes = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.') continue;
        assert_int_equal(stat(test_path(e->d_name), &st), 0);
        bytes += (size_t)st.st_size;
        if (remove_them) unlink(test_path(e->d_name));
    }
    closedir(d);
    return bytes;
}

static size_t address_space(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    assert_true(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

struct Measured {
    double seconds;
    int code;
    char sentence[800];
};

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void child_run(const struct Case *c, size_t bytes, int pipe)
{
    struct Measured m = {0};
    vkgpt_error err = {0};
    rlim_t most = address_space() + BASE + (TIMES + (c->mapped ? 1 : 0)) * bytes * (c->times ? c->times : 1);
    if (LIMITED) setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
    double start = processor_seconds();
    m.code = c->read(&err);
    m.seconds = processor_seconds() - start;
    snprintf(m.sentence, sizeof m.sentence, "%s", err.text);
    _exit(write(pipe, &m, sizeof m) != sizeof m);
}

static struct Measured measure(const struct Case *c, size_t bytes)
{
    int ends[2], status;
    struct Measured m = {0};
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) child_run(c, bytes, ends[1]);
    close(ends[1]);
    bool told = read(ends[0], &m, sizeof m) == sizeof m;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!told || status) fail_msg("%s, %zu bytes: the process ended with status %d", c->name, bytes, status);
    if (m.code == VKGPT_OUT_OF_MEMORY) fail_msg("%s, %zu bytes: %s", c->name, bytes, m.sentence);
    return m;
}

// Seconds for a file of about `wanted` bytes; the smaller of that and `before`.
static double run(const struct Case *c, size_t wanted, double before, size_t *bytes)
{
    c->make(wanted);
    *bytes = files_bytes(false);
    struct Measured m = measure(c, *bytes);
    if (getenv("VKGPT_BOUNDS")) print_message("    %zu bytes, code %d: %s\n", *bytes, m.code, m.sentence);
    files_bytes(true);
    return m.seconds < before ? m.seconds : before;
}

static void test_bounds(void **state)
{
    (void)state;
    const char *only = getenv("VKGPT_BOUNDS");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct Case *c = &cases[i];
        size_t small, large;
        double first = 1e9, second = 1e9;
        if (only && !strstr(c->name, only)) continue;
        for (int runs = 0; runs < 3 && (!runs || second > 6 * first + SLACK); runs++) {
            first = run(c, SMALL, first, &small);
            second = run(c, 4 * SMALL, second, &large);
        }
        print_message("%-40s %8.4f s, of 4 N %8.4f s\n", c->name, first, second);
        if (second > 6 * first + SLACK)
            fail_msg("%s: %zu bytes take %.3f s, %zu bytes %.3f s", c->name, small, first, large, second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
