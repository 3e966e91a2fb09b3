// The meaning of a model's path: every kind of folder and file that users name, what is found there, and the sentence
// for anything else.
#define _POSIX_C_SOURCE 200809L // setenv
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "gguf_file.h"
#include "model/content.h"
#include "model/locate.h"
#include "model/table.h"

#include <cmocka.h> // last: its fail is a macro, ours a function

#define SAFETENSORS "\x02\0\0\0\0\0\0\0{}"
#define ONE_FILE(name, text)                                                                                           \
    {                                                                                                                  \
        name, text, sizeof text - 1                                                                                    \
    }

struct File {
    const char *name; // with its folder, which is made
    const char *data;
    size_t bytes;
};

static void write_file(const struct File *file)
{
    char folder[3 * DIR_BYTES];
    snprintf(folder, sizeof folder, "%s", test_path(file->name));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(os_make_dirs(folder), 0);
    file_write(test_dir, file->name, file->data, file->bytes);
}

static void write_files(const struct File *files, size_t count)
{
    test_dir_teardown(NULL);
    test_dir_setup(NULL);
    for (size_t i = 0; i < count && files[i].name; i++) write_file(&files[i]);
}

// Writes a model that opens into a folder of the test's directory.
static void write_model(const char *folder)
{
    size_t bytes;
    char *header = tiny_header(&bytes), name[256];
    struct Bytes weights = tiny_safetensors(header, bytes);
    snprintf(name, sizeof name, "%s%sconfig.json", folder, *folder ? "/" : "");
    write_file(&(struct File){name, tiny_config, strlen(tiny_config)});
    snprintf(name, sizeof name, "%s%smodel.safetensors", folder, *folder ? "/" : "");
    write_file(&(struct File){name, (const char *)weights.data, weights.count});
    bytes_free(&weights);
    free(header);
}

static void expect_found(const char *given, enum Need need, const char *wanted, const char *note)
{
    struct Located at;
    vkgpt_error err;
    char path[3 * DIR_BYTES], want[3 * DIR_BYTES];
    snprintf(path, sizeof path, "%s", test_path(given));
    snprintf(want, sizeof want, "%s", test_path(wanted));
    if (model_locate(path, need, &at, &err)) fail_msg("%s: %s", given, err.text);
    assert_string_equal(at.path, want);
    if (note ? !strstr(at.note, note) : at.note[0]) fail_msg("%s: the note is '%s'", given, at.note);
    if (model_locate(at.path, need, &at, &err)) fail_msg("%s: %s", given, err.text); // it finds itself
    assert_string_equal(at.path, want);
}

// Checks that the sentence has `word`, `other`, and the given path or its folder.
static void expect_refused(const char *given, enum Need need, vkgpt_code code, const char *word, const char *other)
{
    struct Located at;
    vkgpt_error err;
    char path[3 * DIR_BYTES];
    snprintf(path, sizeof path, "%s", test_path(given));
    int length = strstr(word, "--lora") && strchr(given, '/') ? (int)(strchr(given, '/') - given) : (int)strlen(given);
    char named[256];
    snprintf(named, sizeof named, "%.*s", length, given);
    expect_sentence(model_locate(path, need, &at, &err), (int)code, &err, named, word, other, NULL);
}

// ------------------------------------------------------------------------------------------------ contents

static void test_contents(void **state)
{
    (void)state;
    static const struct {
        struct File file;
        enum Content content;
        const char *word;
        // clang-format off
    } cases[] = {
        {ONE_FILE("x", ""), CONTENT_UNKNOWN, NULL},
        {ONE_FILE("x", "G"), CONTENT_UNKNOWN, NULL},
        {ONE_FILE("x", "hello"), CONTENT_UNKNOWN, NULL},
        {ONE_FILE("x", "GGUF\3\0\0\0"), CONTENT_GGUF, NULL},
        {ONE_FILE("x", SAFETENSORS), CONTENT_SAFETENSORS, NULL},
        {ONE_FILE("x", "\x03\0\0\0\0\0\0\0{}"), CONTENT_UNKNOWN, NULL}, // longer than the file
        {ONE_FILE("x", "PK\3\4rest"), CONTENT_PYTORCH, NULL},
        {ONE_FILE("x", "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."), CONTENT_PYTORCH, NULL},
        {ONE_FILE("x", "\n {\"a\": 1}"), CONTENT_JSON, NULL},
        {ONE_FILE("x", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), CONTENT_FOREIGN, "git lfs pull"},
        {ONE_FILE("x", "\n<!DOCTYPE HTML><html>"), CONTENT_FOREIGN, "web page"},
        {ONE_FILE("x", "<html lang=\"en\">"), CONTENT_FOREIGN, "web page"},
        {ONE_FILE("x", "lmgg\0\0"), CONTENT_FOREIGN, "before GGUF"},
        {ONE_FILE("x", "fmgg\0\0"), CONTENT_FOREIGN, "before GGUF"},
        {ONE_FILE("x", "tjgg\0\0"), CONTENT_FOREIGN, "before GGUF"},
        {ONE_FILE("x", "algg\0\0"), CONTENT_FOREIGN, "before GGUF"},
        {ONE_FILE("x", "\x89HDF\r\n\x1a\n"), CONTENT_FOREIGN, "HDF5"},
        {ONE_FILE("x", "\xc6\xd7\x34\x01\x03\0\0\0"), CONTENT_FOREIGN, "llm.c"},
        {ONE_FILE("x", "24ka\1\0\0\0"), CONTENT_FOREIGN, "llama2.c"},
        {ONE_FILE("x", "\x93NUMPY\1\0"), CONTENT_FOREIGN, "NumPy"},
        {ONE_FILE("x", "\x1f\x8b\x08"), CONTENT_FOREIGN, "archive"},
        {ONE_FILE("x", "BZh9"), CONTENT_FOREIGN, "archive"},
        {ONE_FILE("x", "\xfd" "7zXZ\0"), CONTENT_FOREIGN, "archive"},
        {ONE_FILE("x", "\x28\xb5\x2f\xfd\0"), CONTENT_FOREIGN, "archive"},
        {ONE_FILE("x", "7z\xbc\xaf\x27\x1c\0"), CONTENT_FOREIGN, "archive"},
        {ONE_FILE("x", "\x08\x07\x12\x07pytorch\x1a\x05" "1.0.0:x"), CONTENT_FOREIGN, "ONNX"},
        {ONE_FILE("x", "\x81\xabtransformer\x83\xa1h\x81"), CONTENT_FOREIGN, "Flax"},
        {ONE_FILE("x", "\x81\xa6params\x81\xa1h\x81\xa1x\x81\xa1y"), CONTENT_FOREIGN, "Flax"},
        {ONE_FILE("x", "........................................\x57\xfb\x80\x8b\x24\x75\x47\xdb"), CONTENT_FOREIGN, "TensorFlow"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vkgpt_error err;
        write_files(&cases[i].file, 1);
        enum Content content = content_of(test_path("x"));
        if (content != cases[i].content) fail_msg("case %zu is content %d, should be %d", i, content, cases[i].content);
        int code = content_check(test_path("x"), &err);
        if (cases[i].word) expect_sentence(code, VKGPT_BAD_FILE, &err, test_path("x"), cases[i].word, NULL);
        else assert_int_equal(code, 0);
        if (cases[i].word) expect_refused("x", NEED_WEIGHTS, VKGPT_BAD_FILE, cases[i].word, NULL);
    }
    assert_int_equal(content_of("/nowhere"), CONTENT_UNKNOWN);
    assert_int_equal(content_check("/nowhere", NULL), 0);
    assert_int_equal(content_of(test_dir), CONTENT_UNKNOWN);
}

// ------------------------------------------------------------------------------------------------ what is found

static void test_directory(void **state)
{
    (void)state;
    static const char *const parts[] = {"m", "m/model.safetensors", "m/config.json"};
    write_model("m");
    write_file(&(struct File)ONE_FILE("m/tokenizer.json", "{}"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (enum Need need = NEED_WEIGHTS; need <= NEED_TOKENIZER; need++) expect_found(parts[i], need, "m", NULL);
    expect_found("m/tokenizer.json", NEED_TOKENIZER, "m", NULL);
    expect_found("m/tokenizer.json", NEED_WEIGHTS, "m", NULL);
    expect_refused("m", NEED_ADAPTER, VKGPT_BAD_MODEL, "no adapter_config.json there", NULL);

    write_file(&(struct File)ONE_FILE("m/adapter_config.json", "{}"));
    expect_found("m", NEED_ADAPTER, "m", NULL);
    struct Located at;
    assert_int_equal(model_locate(test_path("m"), NEED_WEIGHTS, &at, NULL), 0);
    assert_non_null(strstr(at.note, "not merged without --lora"));
    write_files((struct File[]){ONE_FILE("c/config.json", "{}")}, 1);
    expect_found("c", NEED_CONFIG, "c", NULL);
    expect_refused("c", NEED_WEIGHTS, VKGPT_BAD_FILE, "no weights there: neither model.safetensors", NULL);
}

static void test_gguf_of_any_name(void **state)
{
    (void)state;
    static const char *const names[] = {"sha256-0a0a", "R7.GGUF", "model", "x.gguf", "x.bin"};
    struct Bytes file = gguf_tiny(3, 32);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        struct Checkpoint c;
        vkgpt_error err;
        vkgpt_tokenizer *tok;
        snprintf(name, sizeof name, "g/%s", names[i]);
        write_files(&(struct File){name, (const char *)file.data, file.count}, 1);
        expect_found(name, NEED_WEIGHTS, name, NULL);
        expect_found(name, NEED_TOKENIZER, name, NULL);
        expect_refused(name, NEED_ADAPTER, VKGPT_BAD_MODEL, "is a GGUF file", NULL);
        if (checkpoint_open(test_path(name), &c, &err)) fail_msg("%s", err.text);
        tiny_check(&c);
        checkpoint_close(&c);
        if (vkgpt_tokenizer_open(test_path(name), 0, &tok, &err)) fail_msg("%s", err.text);
        vkgpt_tokenizer_close(tok);
    }
    bytes_free(&file);
    write_files((struct File[]){ONE_FILE("g/a.gguf", "GGUF"),
                                ONE_FILE("l/a.gguf", "version https://git-lfs.github.com/spec/v1\n")},
                2);
    expect_found("g", NEED_WEIGHTS, "g/a.gguf", NULL);
    expect_found("g", NEED_CONFIG, "g/a.gguf", NULL);
    expect_refused("l", NEED_WEIGHTS, VKGPT_BAD_FILE, "a.gguf", "git lfs pull");
    write_file(&(struct File)ONE_FILE("g/b.gguf", "GGUF"));
    expect_refused("g", NEED_WEIGHTS, VKGPT_BAD_MODEL, "2 GGUF files (a.gguf and others)", NULL);
}

static void test_split_gguf(void **state)
{
    (void)state;
    struct Bytes file = {0};
    struct Checkpoint c;
    vkgpt_error err;
    bytes_text(&file, "GGUF");
    bytes_number(&file, 3, 4);
    bytes_number(&file, 0, 8);
    bytes_number(&file, 2, 8);
    gguf_add_integer(&file, "split.no", 1);
    gguf_add_integer(&file, "split.count", 3);
    bytes_number(&file, 0, 64);
    file_write(test_dir, "part.gguf", file.data, file.count);
    bytes_free(&file);
    expect_sentence(checkpoint_open(test_path("part.gguf"), &c, &err), VKGPT_BAD_MODEL, &err, "part.gguf",
                    "part 2 of 3", "llama-gguf-split --merge", NULL);
}

static void test_other_names(void **state)
{
    (void)state;
    write_model("m");
    struct Bytes weights = file_read(test_dir, "m/model.safetensors");
    remove(test_path("m/model.safetensors"));
    write_file(&(struct File){"m/gpt2-small.safetensors", (const char *)weights.data, weights.count});
    bytes_free(&weights);
    struct Checkpoint c;
    vkgpt_error err;
    expect_found("m/gpt2-small.safetensors", NEED_WEIGHTS, "m", NULL);
    if (checkpoint_open(test_path("m"), &c, &err)) fail_msg("%s", err.text);
    tiny_check(&c);
    checkpoint_close(&c);
    write_file(&(struct File)ONE_FILE("m/model.safetensors", SAFETENSORS));
    expect_refused("m/gpt2-small.safetensors", NEED_WEIGHTS, VKGPT_BAD_FILE, "model.safetensors lies beside it", NULL);
    write_file(&(struct File)ONE_FILE("m/pytorch_model.bin", "PK\3\4"));
    expect_refused("m/pytorch_model.bin", NEED_WEIGHTS, VKGPT_BAD_FILE, "model.safetensors lies beside it", NULL);

    write_files(
        (struct File[]){ONE_FILE("s/config.json", "{}"), ONE_FILE("s/model-00001-of-00002.safetensors", SAFETENSORS)},
        2);
    expect_refused("s", NEED_WEIGHTS, VKGPT_BAD_FILE, "no model.safetensors.index.json",
                   "model-00001-of-00002.safetensors");
    write_file(&(struct File)ONE_FILE("s/model.safetensors.index.json",
                                      "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}"));
    expect_found("s/model-00001-of-00002.safetensors", NEED_WEIGHTS, "s", NULL);
    expect_found("s/model.safetensors.index.json", NEED_WEIGHTS, "s", NULL);
    write_file(&(struct File)ONE_FILE("s/other.safetensors", SAFETENSORS));
    expect_refused("s/other.safetensors", NEED_WEIGHTS, VKGPT_BAD_FILE, "model.safetensors.index.json lies beside it",
                   NULL);
    write_files((struct File[]){ONE_FILE("p/config.json", "{}"), ONE_FILE("p/weights.pt", "PK\3\4")}, 2);
    expect_refused("p/weights.pt", NEED_WEIGHTS, VKGPT_BAD_FILE, "is not read under this name", NULL);
}

#define HUB "models--openai-community--gpt2"

static void test_links(void **state)
{
    (void)state;
    write_files((struct File[]){ONE_FILE("blobs/1", "{}"), ONE_FILE("d/x", "x")}, 2);
    assert_int_equal(symlink("../blobs/1", test_path("d/config.json")), 0);
    assert_int_equal(symlink("../blobs/2", test_path("d/model.safetensors")), 0);
    expect_refused("d", NEED_WEIGHTS, VKGPT_BAD_FILE, "model.safetensors", "is a link to a file that is not there");
    write_file(&(struct File)ONE_FILE("blobs/2", SAFETENSORS));
    expect_found("d", NEED_WEIGHTS, "d", NULL);
    assert_int_equal(symlink("nowhere", test_path("gone.gguf")), 0);
    expect_refused("gone.gguf", NEED_WEIGHTS, VKGPT_BAD_FILE, "is a link to a file that is not there", NULL);
}

static void test_hub_folder(void **state)
{
    (void)state;
    write_model(HUB "/snapshots/abc");
    for (enum Need need = NEED_WEIGHTS; need <= NEED_CONFIG; need++)
        expect_found(HUB, need, HUB "/snapshots/abc", NULL);
    write_file(&(struct File)ONE_FILE(HUB "/refs/main", "abc\n"));
    write_model(HUB "/snapshots/aaa");
    expect_found(HUB, NEED_WEIGHTS, HUB "/snapshots/abc", NULL);
    write_file(&(struct File)ONE_FILE(HUB "/refs/main", "def"));
    expect_refused(HUB, NEED_WEIGHTS, VKGPT_BAD_FILE, "refs/main is def", "the download did not end");
    write_file(&(struct File)ONE_FILE(HUB "/refs/main", "../.."));
    expect_refused(HUB, NEED_WEIGHTS, VKGPT_BAD_FILE, "names no snapshot", NULL);
    remove(test_path(HUB "/refs/main"));
    expect_refused(HUB, NEED_WEIGHTS, VKGPT_BAD_MODEL, "holds 2 snapshots", "aaa, abc");
    expect_refused("", NEED_WEIGHTS, VKGPT_BAD_MODEL, "holds 2 snapshots", NULL); // the cache itself, with one model
    assert_int_equal(os_make_dirs(test_path("empty/snapshots")), 0);
    expect_refused("empty", NEED_WEIGHTS, VKGPT_BAD_FILE, "without any snapshot", NULL);

    char name[64];
    // clang-format off
    static const char *const names[][2] = {
        {"/x/" HUB "/snapshots/abc", "gpt2"}, {HUB "/snapshots/abc/", "gpt2"}, {"/x/" HUB, "gpt2"}, {"models--gpt2/snapshots/abc", "gpt2"},
        {"/x/models/gpt2/", "gpt2"}, {"x.gguf", "x.gguf"}, {"/snapshots/abc", "abc"}, {"/", "/"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        model_name(names[i][0], name, sizeof name);
        if (i == 7 ? name[0] && name[0] != '/' : strcmp(name, names[i][1]))
            fail_msg("the name of %s is %s, should be %s", names[i][0], name, names[i][1]);
    }
    model_name("a-name-that-does-not-fit", name, 7);
    assert_string_equal(name, "a-name");
}

static void test_one_level_down(void **state)
{
    (void)state;
    write_model("out/checkpoint-500");
    write_file(&(struct File)ONE_FILE("out/runs/log", "x"));
    write_file(&(struct File)ONE_FILE("out/onnx/config.json", "{}")); // a folder without weights
    expect_found("out", NEED_WEIGHTS, "out/checkpoint-500", "its folder checkpoint-500 is used");
    struct Checkpoint c;
    vkgpt_error err;
    if (checkpoint_open(test_path("out"), &c, &err)) fail_msg("%s", err.text);
    assert_non_null(strstr(c.note, "checkpoint-500"));
    tiny_check(&c);
    checkpoint_close(&c);
    write_model("out/checkpoint-1000");
    expect_refused("out", NEED_WEIGHTS, VKGPT_BAD_MODEL, "holds 2 models", "checkpoint-1000, checkpoint-500");
    write_model("out"); // the trainer ended
    expect_found("out", NEED_WEIGHTS, "out", NULL);

    write_files(
        (struct File[]){ONE_FILE("out/checkpoint-9/adapter_config.json", "{}"), ONE_FILE("out/a/tokenizer.json", "{}")},
        2);
    expect_found("out", NEED_ADAPTER, "out/checkpoint-9", "checkpoint-9");
    expect_found("out", NEED_TOKENIZER, "out/a", "its folder a is used");
    write_files((struct File[]){ONE_FILE("far/a/b/x", "x")}, 1);
    write_model("far/a/b"); // two levels down: not looked at
    expect_refused("far", NEED_WEIGHTS, VKGPT_BAD_FILE, "no config.json there, so this is not a model directory", NULL);
}

// ------------------------------------------------------------------------------------------- what is something else

static const struct {
    struct File files[3];
    vkgpt_code code;
    const char *word, *other;
} FOREIGN[] = {
    {{ONE_FILE("d/adapter_config.json", "{\"peft_type\": \"LORA\", \"base_model_name_or_path\": \"gpt2\"}"),
      ONE_FILE("d/tokenizer.json", "{}"), ONE_FILE("d/adapter_model.safetensors", SAFETENSORS)},
     VKGPT_BAD_MODEL,
     "LoRA weights of PEFT for gpt2",
     "--lora"},
    {{ONE_FILE("d/adapter_config.json", "{\"peft_type\": \"PREFIX_TUNING\"}")},
     VKGPT_BAD_MODEL,
     "PREFIX_TUNING",
     "LORA only"},
    {{ONE_FILE("d/adapter_config.json", "not JSON")}, VKGPT_BAD_MODEL, "for another model", "--lora"},
    {{ONE_FILE("d/checkpoint", "x"), ONE_FILE("d/hparams.json", "{}"), ONE_FILE("d/model.ckpt.index", "x")},
     VKGPT_BAD_MODEL,
     "model.ckpt.index",
     "OpenAI released GPT-2"},
    {{ONE_FILE("d/ckpt.pt", "x")}, VKGPT_BAD_MODEL, "ckpt.pt", "nanoGPT"},
    {{ONE_FILE("d/last.ckpt", "x")}, VKGPT_BAD_MODEL, "last.ckpt", "Lightning"},
    {{ONE_FILE("d/consolidated.00.pth", "x")}, VKGPT_BAD_MODEL, "consolidated.00.pth", "llama.cpp"},
    {{ONE_FILE("d/m.pth", "x")}, VKGPT_BAD_MODEL, "m.pth", "PyTorch"},
    {{ONE_FILE("d/gpt2.npz", "x")}, VKGPT_BAD_MODEL, "gpt2.npz", "NumPy"},
    {{ONE_FILE("d/gpt2.mlmodel", "x")}, VKGPT_BAD_MODEL, "gpt2.mlmodel", "Core ML"},
    {{ONE_FILE("d/gpt2_124M.bin", "\xc6\xd7\x34\x01\x03\0\0\0")}, VKGPT_BAD_FILE, "gpt2_124M.bin", "llm.c"},
    {{ONE_FILE("d/ggml-model-q4_0.bin", "tjgg")}, VKGPT_BAD_FILE, "ggml-model-q4_0.bin", "before GGUF"},
    {{ONE_FILE("d/gpt2_124M.bin", "x")}, VKGPT_BAD_MODEL, "gpt2_124M.bin", "not a name that is read"},
    {{ONE_FILE("d/tf_model.h5", "x"), ONE_FILE("d/config.json", "{}")}, VKGPT_BAD_MODEL, "tf_model.h5", "from_tf=True"},
    {{ONE_FILE("d/flax_model.msgpack", "x"), ONE_FILE("d/config.json", "{}")},
     VKGPT_BAD_MODEL,
     "flax_model.msgpack",
     "from_flax=True"},
    {{ONE_FILE("d/rust_model.ot", "x"), ONE_FILE("d/config.json", "{}")},
     VKGPT_BAD_MODEL,
     "rust_model.ot",
     "rust-bert"},
    {{ONE_FILE("d/model.onnx", "x"), ONE_FILE("d/config.json", "{}")}, VKGPT_BAD_MODEL, "model.onnx", "ONNX"},
    {{ONE_FILE("d/model.gguf", "x"), ONE_FILE("d/config.json", "{}")}, VKGPT_BAD_MODEL, "model.gguf", "give its path"},
    {{ONE_FILE("d/config.json", "{}"), ONE_FILE("d/model.safetensors", "version https://git-lfs.github.com/spec/v1\n")},
     VKGPT_BAD_FILE,
     "model.safetensors",
     "git lfs pull"},
    {{ONE_FILE("d/config.json", "{}"), ONE_FILE("d/model.safetensors", "<!doctype html>")},
     VKGPT_BAD_FILE,
     "model.safetensors",
     "web page"},
    {{ONE_FILE("d/config.json", "<html>"), ONE_FILE("d/model.safetensors", SAFETENSORS)},
     VKGPT_BAD_FILE,
     "config.json",
     "web page"},
    {{ONE_FILE("d/notes.txt", "x")}, VKGPT_BAD_FILE, "no config.json there, so this is not a model directory", "GGUF"},
};

static void test_foreign_folders(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++) {
        struct Checkpoint c;
        vkgpt_error err;
        write_files(FOREIGN[i].files, 3);
        expect_refused("d", NEED_WEIGHTS, FOREIGN[i].code, FOREIGN[i].word, FOREIGN[i].other);
        expect_sentence(checkpoint_open(test_path("d"), &c, &err), (int)FOREIGN[i].code, &err, FOREIGN[i].word, NULL);
    }
}

static void test_classes(void **state)
{
    (void)state;
    static const char *const classes[][3] = {
        {"{\"model_type\": \"llama\"}", "this is a Llama, which llama.cpp", "model_type is \"llama\""},
        {"{\"model_type\": \"gptj\"}", "this is a GPT-J, which transformers runs", "gptj"},
        {"{\"model_type\": \"gpt_neox\"}", "this is a GPT-NeoX, which llama.cpp", "gpt_neox"},
        {"{\"model_type\": \"bloom\"}", "this is a BLOOM, which llama.cpp", "bloom"},
        {"{\"model_type\": \"t5\"}", "this is a T5, which transformers runs", "t5"},
        {"{\"model_type\": \"unheard-of\"}", "transformers or llama.cpp may run it", "unheard-of"},
        {"{\"architectures\": [\"LlamaForCausalLM\"]}", "may run it", "LlamaForCausalLM"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        write_files((struct File[]){{"d/config.json", classes[i][0], strlen(classes[i][0])},
                                    ONE_FILE("d/tokenizer.json", "{}")},
                    2);
        expect_refused("d", NEED_WEIGHTS, VKGPT_BAD_MODEL, classes[i][1],
                       classes[i][2]); // before it is reported that weights are missing
        expect_refused("d", NEED_CONFIG, VKGPT_BAD_MODEL, classes[i][1], classes[i][2]);
        expect_found("d", NEED_TOKENIZER, "d", NULL);
    }
}

static void test_files(void **state)
{
    (void)state;
    write_files((struct File[]){ONE_FILE("a/model.safetensors", SAFETENSORS), ONE_FILE("a/pytorch_model.bin", "PK\3\4"),
                                ONE_FILE("a/tokenizer.json", "{}")},
                3);
    expect_refused("a/model.safetensors", NEED_WEIGHTS, VKGPT_BAD_FILE, "a safetensors file",
                   "no config.json beside it");
    expect_refused("a/pytorch_model.bin", NEED_WEIGHTS, VKGPT_BAD_FILE, "a file of PyTorch",
                   "no config.json beside it");
    expect_refused("a/tokenizer.json", NEED_WEIGHTS, VKGPT_BAD_FILE, "a JSON file", "no config.json beside it");
    expect_found("a/tokenizer.json", NEED_TOKENIZER, "a", NULL);
    write_files((struct File[]){ONE_FILE("b/adapter_config.json", "{}"),
                                ONE_FILE("b/adapter_model.safetensors", SAFETENSORS), ONE_FILE("b/x", "?")},
                3);
    expect_refused("b/adapter_model.safetensors", NEED_WEIGHTS, VKGPT_BAD_MODEL, "--lora", NULL);
    expect_refused("b/adapter_config.json", NEED_WEIGHTS, VKGPT_BAD_MODEL, "--lora", NULL);
    expect_found("b/adapter_model.safetensors", NEED_ADAPTER, "b", NULL);
    expect_refused("b/x", NEED_WEIGHTS, VKGPT_BAD_FILE, "a kind that is not known", NULL);
    write_files((struct File[]){ONE_FILE("x.gguf", "")}, 1);
    expect_found("x.gguf", NEED_WEIGHTS, "x.gguf", NULL); // the reader of GGUF files reports it
}

static void test_tokenizers(void **state)
{
    (void)state;
    write_files((struct File[]){ONE_FILE("t/vocab.json", "{}"), ONE_FILE("t/merges.txt", "x")}, 2);
    expect_found("t", NEED_TOKENIZER, "t", NULL);
    expect_found("t/vocab.json", NEED_TOKENIZER, "t", NULL);
    expect_found("t/merges.txt", NEED_TOKENIZER, "t", NULL);
    write_file(&(struct File)ONE_FILE("t/tokenizer.json", "{}"));
    expect_refused("t/vocab.json", NEED_TOKENIZER, VKGPT_BAD_FILE, "tokenizer.json lies beside it", NULL);
    expect_refused("t/merges.txt", NEED_TOKENIZER, VKGPT_BAD_FILE, "tokenizer.json lies beside it", NULL);
    write_files((struct File[]){ONE_FILE("u/vocab.txt", "[UNK]\n"), ONE_FILE("v/words.txt", "x")}, 2);
    expect_found("u", NEED_TOKENIZER, "u", NULL);
    expect_found("u/vocab.txt", NEED_TOKENIZER, "u", NULL);
    expect_refused("v/words.txt", NEED_TOKENIZER, VKGPT_BAD_FILE, "is not read under this name", NULL);
    write_model("m");
    expect_refused("m", NEED_TOKENIZER, VKGPT_BAD_FILE,
                   "none of tokenizer.json, vocab.json, vocab.txt and spiece.model", "--tokenizer DIR|FILE");
}

static void test_missing(void **state)
{
    (void)state;
    struct Located at;
    vkgpt_error err;
    static const char *const names[] = {"gpt2", "openai-community/gpt2", "a_b.c-1/D"},
                             *const paths[] = {"/no/such/dir", "./gpt2", "a/b/c", "x.gguf", "", "a/", "a b"};
    setenv("HF_HUB_CACHE", test_dir, 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_sentence(model_locate(names[i], NEED_WEIGHTS, &at, &err), VKGPT_BAD_FILE, &err, names[i],
                        "no such model directory", "`vkgpt pull ", NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        expect_sentence(model_locate(paths[i], NEED_WEIGHTS, &at, &err), VKGPT_BAD_FILE, &err, paths[i],
                        "no such model directory", NULL);
        assert_null(strstr(err.text, "vkgpt pull"));
    }
    write_model(HUB "/snapshots/abc");
    setenv("HF_HUB_CACHE", test_dir, 1);
    static const char *const found[] = {"openai-community/gpt2", "gpt2"};
    for (size_t i = 0; i < 2; i++) {
        if (model_locate(found[i], NEED_WEIGHTS, &at, &err)) fail_msg("%s", err.text);
        assert_string_equal(at.path, test_path(HUB "/snapshots/abc"));
    }
    unsetenv("HF_HUB_CACHE");
    char longest[PATH_BYTES + 1];
    memset(longest, 'x', PATH_BYTES);
    longest[PATH_BYTES] = '\0';
    expect_sentence(model_locate(longest, NEED_WEIGHTS, &at, &err), VKGPT_BAD_FILE, &err,
                    "a path of more than 4095 bytes", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_contents),   TEST(test_directory),      TEST(test_gguf_of_any_name),
        TEST(test_split_gguf), TEST(test_other_names),    TEST(test_links),
        TEST(test_hub_folder), TEST(test_one_level_down), TEST(test_foreign_folders),
        TEST(test_classes),    TEST(test_files),          TEST(test_tokenizers),
        TEST(test_missing),
    };
    return cmocka_run_group_tests_name("locate", tests, NULL, NULL);
}
