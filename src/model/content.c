// A table of first bytes, and functions for the few kinds that need more than that.
#include "model/content.h"

#include <ctype.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"

#define BYTES(text) text, sizeof text - 1
#define OLD_GGML                                                                                                       \
    "is in a form of ggml of before GGUF (2023); the model's original files, or a GGUF made of them, are needed"
#define ARCHIVE "is an archive; unpack it, and give the folder or file that comes out"
#define CHECKPOINT_NEEDED "; the Hugging Face directory that it was made from is needed"

static const struct Kind {
    enum Content content;
    const char *bytes;
    size_t count;
    const char *what; // for CONTENT_FOREIGN: the sentence after the file's name
} kinds[] = {
    {CONTENT_GGUF, BYTES("GGUF"), NULL},
    {CONTENT_PYTORCH, BYTES("PK\003\004"), NULL},
    {CONTENT_PYTORCH, BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9"), NULL},
    {CONTENT_FOREIGN, BYTES("version https://git-lfs"),
     "is a Git LFS pointer, not the file itself; `git lfs pull` in its folder fetches it"},
    {CONTENT_FOREIGN, BYTES("lmgg"), OLD_GGML},
    {CONTENT_FOREIGN, BYTES("fmgg"), OLD_GGML},
    {CONTENT_FOREIGN, BYTES("tjgg"), OLD_GGML},
    {CONTENT_FOREIGN, BYTES("algg"), OLD_GGML},
    {CONTENT_FOREIGN, BYTES("\x89HDF\r\n\x1a\n"),
     "is a file of HDF5, as Keras and TensorFlow write their weights" CHECKPOINT_NEEDED},
    {CONTENT_FOREIGN, BYTES("\xc6\xd7\x34\x01"), "is a model of llm.c (20240326)" CHECKPOINT_NEEDED},
    {CONTENT_FOREIGN, BYTES("24ka"), "is a model of llama2.c" CHECKPOINT_NEEDED},
    {CONTENT_FOREIGN, BYTES("\x93NUMPY"), "is an array of NumPy" CHECKPOINT_NEEDED},
    {CONTENT_FOREIGN, BYTES("\x1f\x8b"), ARCHIVE},
    {CONTENT_FOREIGN, BYTES("BZh"), ARCHIVE},
    {CONTENT_FOREIGN, BYTES("\xfd\x37zXZ"), ARCHIVE},
    {CONTENT_FOREIGN, BYTES("\x28\xb5\x2f\xfd"), ARCHIVE},
    {CONTENT_FOREIGN, BYTES("7z\xbc\xaf\x27\x1c"), ARCHIVE},
};

static const struct Kind web_page = {.content = CONTENT_FOREIGN,
                                     .what = "is a web page, not a model: the download gave a page "
                                             "in its place, such as one that asks for a log-in; fetch the file itself"};
static const struct Kind tensorflow = {.content = CONTENT_FOREIGN,
                                       .what = "is the index of a TensorFlow checkpoint; the same model "
                                               "as Hugging Face saves it is needed"};
static const struct Kind flax = {.content = CONTENT_FOREIGN,
                                 .what = "holds weights of Flax (msgpack); load them in transformers 4 with "
                                         "from_flax=True and save them again"};
static const struct Kind onnx = {.content = CONTENT_FOREIGN, .what = "is a graph of ONNX" CHECKPOINT_NEEDED};
static const struct Kind safetensors = {.content = CONTENT_SAFETENSORS};
static const struct Kind json = {.content = CONTENT_JSON};

// Whether the data begins with this text, after blanks, in upper or lower case.
static bool begins(const uint8_t *data, size_t bytes, const char *text)
{
    size_t at = 0, length = strlen(text);
    while (at < bytes && isspace(data[at])) at++;
    if (bytes - at < length) return false;
    for (size_t i = 0; i < length; i++)
        if (tolower(data[at + i]) != text[i]) return false;
    return true;
}

// A header length that fits the file, then a JSON object.
static bool is_safetensors(const struct Mapping *file)
{
    uint64_t length = 0;
    for (int i = 7; file->bytes > 8 && i >= 0; i--) length = length << 8 | file->data[i];
    return length && length <= file->bytes - 8 && file->data[8] == '{';
}

// A LevelDB table, known by its last bytes.
static bool is_tensorflow(const struct Mapping *file)
{
    static const char footer[] = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
    return file->bytes >= 48 && memcmp(file->data + file->bytes - 8, footer, 8) == 0;
}

// A ModelProto message: ir_version, then producer_name.
static bool is_onnx(const struct Mapping *file)
{
    const uint8_t *d = file->data;
    return file->bytes > 16 && d[0] == 0x08 && d[1] >= 1 && d[1] <= 31 && d[2] == 0x12 && d[3] >= 1 && isalpha(d[4]);
}

// A msgpack map of fewer than 16 names; the first is "params", "transformer", "model" or "lm_head".
static bool is_flax(const struct Mapping *file)
{
    static const char *const names[] = {"params", "transformer", "model", "lm_head"};
    if (file->bytes < 16 || (file->data[0] & 0xf0) != 0x80) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (file->data[1] == (0xa0 | length) && memcmp(file->data + 2, names[i], length) == 0) return true;
    }
    return false;
}

static const struct Kind *kind_of(const struct Mapping *file)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct Kind *k = &kinds[i];
        if (file->bytes >= k->count && memcmp(file->data, k->bytes, k->count) == 0) return k;
    }
    if (is_safetensors(file)) return &safetensors;
    if (begins(file->data, file->bytes, "<!doctype html") || begins(file->data, file->bytes, "<html")) return &web_page;
    if (begins(file->data, file->bytes, "{")) return &json;
    if (is_tensorflow(file)) return &tensorflow;
    if (is_onnx(file)) return &onnx;
    return is_flax(file) ? &flax : NULL;
}

static const struct Kind *kind_at(const char *path)
{
    struct Mapping file;
    if (os_is_dir(path) || os_map(path, &file, NULL)) return NULL;
    const struct Kind *kind = kind_of(&file);
    os_unmap(&file);
    return kind;
}

enum Content content_of(const char *path)
{
    const struct Kind *kind = kind_at(path);
    return kind ? kind->content : CONTENT_UNKNOWN;
}

int content_check(const char *path, vkgpt_error *err)
{
    const struct Kind *kind = kind_at(path);
    return kind && kind->what ? fail(err, VKGPT_BAD_FILE, "%s: %s", path, kind->what) : 0;
}
