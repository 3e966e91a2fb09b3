// vkgpt: the GPT family on any Vulkan device.
//
// This header is the manual of the library. A program opens a device, loads a model onto it, opens a
// session (a KV cache and the recordings that run the model over it), and asks for tokens or logits:
//
//     vkgpt_error err;
//     vkgpt_device *device; vkgpt_model *model; vkgpt_session *session; vkgpt_tokenizer *tok;
//     uint32_t *ids; size_t count; vkgpt_stop stop;
//     vkgpt_device_open(NULL, &device, &err);
//     vkgpt_model_open(device, "gpt2", NULL, &model, &err);
//     vkgpt_session_open(model, NULL, &session, &err);
//     vkgpt_tokenizer_open("gpt2", 0, &tok, &err);
//     vkgpt_encode(tok, "Once upon a time", 16, true, &ids, &count, &err);
//     vkgpt_prompt(session, ids, count, &err);
//     vkgpt_generate(session, NULL, 64, print_token, NULL, &stop, &err);
//
// docs/examples has whole programs: generate, score and batch, in C and in Python (tools/python/vkgpt.py).
//
// Linking: with CMake find_package(vkgpt) and vkgpt::vkgpt, or vkgpt::shared and vkgpt::static; with pkg-config
//
//     cc app.c $(pkg-config --cflags --libs vkgpt)                                          # libvkgpt.so
//     cc app.c $(pkg-config --cflags vkgpt) $(pkg-config --variable=static_libs vkgpt)      # libvkgpt.a
//
// All global names of the libraries begin with vkgpt_. A program may make Vulkan calls of its own.
//
// Every function that can fail returns 0 or a vkgpt_code and fills `err` with one sentence (err may be
// NULL). The library never prints and never exits. x_close accepts NULL. Objects are closed in the reverse
// order of opening.
//
// Threads: only one thread at a time may use a device and what was opened on it (models, sessions). It need not
// always be the same thread. Several devices share nothing: each may be used by its own thread at the same time.
// vkgpt_session_cancel may be called from any thread at any time. A tokenizer and a head do not change once they are
// open: any number of threads may use one at the same time. A vkgpt_text belongs to one thread at a time. Functions
// that open something, and vkgpt_devices, may run in several threads at once. Callbacks run in the thread of the
// call. With the same device they may call vkgpt_session_cancel only.
//
// A device that was lost, or did not finish in time, stays lost: each further call fails at once, and closing does
// not wait. After VKGPT_OUT_OF_MEMORY the device still works, for a smaller model.
//
// After VKGPT_DEVICE_LOST a text can go on with the same bits: close session, model and device, open them again with
// the same options, and repeat the calls with the same prompt and seed. The tokens that were there already come again,
// and the others follow. Once is enough: a device that is lost again will be lost a third time. After VKGPT_DEVICE_HUNG
// the same work would most likely hang again, for the same time.
//
// While a call reads a model's files, they are mapped into memory, and the library installs a SIGBUS handler for the
// whole process: if another program truncates a file meanwhile, the call fails with VKGPT_BAD_FILE. Any other SIGBUS
// goes to the handler that was installed before, which is restored when the call ends.

#ifndef VKGPT_H
#define VKGPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// All names up to the pop at the end are visible outside of the shared library.
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define VKGPT_VERSION_MAJOR 0
#define VKGPT_VERSION_MINOR 1
#define VKGPT_VERSION_PATCH 0
#define VKGPT_VERSION_NUMBER (VKGPT_VERSION_MAJOR * 10000 + VKGPT_VERSION_MINOR * 100 + VKGPT_VERSION_PATCH)
#define VKGPT_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define VKGPT_VERSION_TEXT(major, minor, patch) VKGPT_VERSION_TEXT_(major, minor, patch)
#define VKGPT_VERSION VKGPT_VERSION_TEXT(VKGPT_VERSION_MAJOR, VKGPT_VERSION_MINOR, VKGPT_VERSION_PATCH) // "0.1.0"

// The version of the library that runs, which may be newer than this header.
const char *vkgpt_version(void);

// ---------------------------------------------------------------------------------------------- errors

typedef enum vkgpt_code {
    VKGPT_OK = 0,
    VKGPT_BAD_ARGUMENT,  // a value given by the caller is out of range
    VKGPT_BAD_FILE,      // a file is missing, unreadable, truncated or not what its name says
    VKGPT_BAD_MODEL,     // the files are well-formed, but do not describe a model that vkgpt runs
    VKGPT_NO_DEVICE,     // no Vulkan driver, or no device that has what vkgpt needs
    VKGPT_OUT_OF_MEMORY, // host or device memory
    VKGPT_DEVICE_LOST,   // the driver gave up
    VKGPT_BAD_LOGITS,    // the logits hold a NaN or an infinity
    VKGPT_INTERRUPTED,   // a callback or vkgpt_session_cancel asked to stop
    VKGPT_DEVICE_HUNG,   // work did not finish in time: 30 s on a GPU, 1800 s on a software driver
} vkgpt_code;

typedef struct vkgpt_error {
    vkgpt_code code;
    char text[768]; // one sentence, without a newline, with the file, the thing and both values
} vkgpt_error;

// --------------------------------------------------------------------------------------------- devices

typedef struct vkgpt_device vkgpt_device;

typedef struct vkgpt_device_info {
    int index; // what `--device` takes
    char name[256];
    const char *type; // "discrete GPU", "integrated GPU", "virtual GPU", "software", "other"
    char driver[512]; // name and version, as the driver gives them
    char api[32];     // "1.3.230"
    uint32_t vendor_id, device_id;
    uint64_t memory_bytes;                     // the largest device-local heap
    uint64_t max_buffer_range, max_allocation; // bytes: maxStorageBufferRange, maxMemoryAllocationSize
    uint32_t offset_alignment;                 // bytes: minStorageBufferOffsetAlignment
    uint32_t max_workgroup, shared_bytes;      // invocations; bytes of shared memory
    uint32_t subgroup_size, subgroup_min, subgroup_max;
    uint32_t max_subgroups; // of a workgroup; 0: subgroups of a required size are not supported
    bool subgroup_shuffle, subgroup_size_control;
    bool f16, storage16, int8, storage8, coopmat, memory_budget, device_fault, timestamps;
    bool unified; // every heap is device-local: host and device share memory
    bool usable;
    char why_not[256]; // if not usable: the first thing that is missing
} vkgpt_device_info;

// Lists every Vulkan device, usable or not, in the order that `vkgpt_device_open(NULL)` prefers: discrete,
// integrated, virtual, software. The caller frees *list with free(). No Vulkan driver at all is an error.
int vkgpt_devices(vkgpt_device_info **list, size_t *count, vkgpt_error *err);

// Opens a device: which is NULL (the first usable one of the list), an index of the list, or a part of a device's
// name, in any case of letters. The environment variable VKGPT_DISABLE ("shuffle,unified") switches off optional
// features, for tests; a name that is not in this list is an error (VKGPT_BAD_ARGUMENT):
//
//     coopmat                no cooperative matrices (VK_KHR_cooperative_matrix)
//     f16                    no arithmetic in half precision, so no coopmat either
//     software_kernels       no kernels made for software drivers: they run those of GPUs (older name: lanes)
//     shuffle                no exchange of values within a subgroup, so no software_kernels either
//     texels                 kernels made for software drivers read storage buffers only, not texels
//     subgroup_size_control  subgroups have the size that the driver chooses, so no coopmat either
//     full_subgroups         full subgroups are not asked for, so no coopmat either
//     persistent             decode is never one kernel
//     uniform_control_flow   kernels do not ask that the lanes of a subgroup meet again after a branch
//     unified                weights go through staging memory, even if host and device share memory
//     memory_budget          the driver is not asked how much memory is left
//     timestamps             no timestamps: no times of single kernels
//     device_fault           the driver is not asked why a device was lost
//     float_controls         deterministic kernels do not ask for a rounding, which is proved anyway
int vkgpt_device_open(const char *which, vkgpt_device **device, vkgpt_error *err);
void vkgpt_device_close(vkgpt_device *device);
const vkgpt_device_info *vkgpt_device_describe(const vkgpt_device *device);

// The two limits of a token: no device reads weights and cache faster than it copies, and each dispatch takes the
// time of an empty one. A token that reads `bytes` in `dispatches` takes at least bytes / copy_bytes_per_s +
// dispatches * dispatch_seconds, if the weights are larger than the last-level cache. Smaller models may be faster.
typedef struct vkgpt_limits {
    double copy_bytes_per_s; // of a copy too large for the caches, read plus write
    double dispatch_seconds; // of an empty dispatch with its barrier, in a recording that is replayed
} vkgpt_limits;

// Measures them, in about half a second: the fastest of several runs, by timestamps where the device has them. It
// copies 256 MiB on a GPU and 64 MiB on a software driver, or less if there is less free memory, by vkCmdCopyBuffer
// and by a kernel, and takes the faster of the two. Errors: VKGPT_OUT_OF_MEMORY, VKGPT_DEVICE_LOST.
int vkgpt_device_limits(vkgpt_device *device, vkgpt_limits *limits, vkgpt_error *err);

// ------------------------------------------------------------------------------------------- tokenizer

typedef struct vkgpt_tokenizer vkgpt_tokenizer;

// Opens the tokenizer in a GGUF file, in a Hugging Face directory (tokenizer.json, or vocab.json and merges.txt; and
// added_tokens.json and tokenizer_config.json, if they exist), or in OpenAI's release of GPT-1. `dir` may also be
// the path of one of these files. It need not be the model's directory: a trainer's checkpoint often has no
// tokenizer. Needs no device. vocab_size is the model's; 0: that of config.json. A special token without an id gets
// the next id, if that is below vocab_size. Tokens may have ids past the model's rows, for example if a pad token
// was added and the embedding was not resized: functions that take ids refuse these.
int vkgpt_tokenizer_open(const char *dir, uint32_t vocab_size, vkgpt_tokenizer **tok, vkgpt_error *err);
void vkgpt_tokenizer_close(vkgpt_tokenizer *tok);

// Encodes any bytes, also NUL and invalid UTF-8, as Hugging Face's tokenizer of the model's class does: byte-level
// BPE for GPT-2, GPT-Neo, OPT and Galactica; lower-case words for GPT-1 (which drops invalid UTF-8); otherwise what
// tokenizer.json says: BPE, WordPiece, Unigram or WordLevel. A byte that is not part of valid UTF-8 counts as a
// character of its own, of no class; only the tokens of byte fallback contain it. With `special`, special tokens in
// the text, such as <|endoftext|>, become one id each; without, they are ordinary text. Tokens are added before and
// after the text only if the tokenizer's files say so. Errors (VKGPT_BAD_MODEL): the text needs unk_token, and there
// is none. The caller frees *ids with free().
int vkgpt_encode(const vkgpt_tokenizer *tok, const char *text, size_t bytes, bool special, uint32_t **ids,
                 size_t *count, vkgpt_error *err);

// How many ids, such as [SEP], vkgpt_encode adds after every text because the tokenizer's files say so. Leave them
// out of a text that is to be continued.
size_t vkgpt_trailing_tokens(const vkgpt_tokenizer *tok);

// The bytes of one token, without clean-up; *bytes is 0 for an id that has no token (padded tables). If the
// tokenizer's decoder looks at neighbours, these are the bytes that the token adds after other tokens. The pointer
// lives as long as the tokenizer.
const char *vkgpt_token_bytes(const vkgpt_tokenizer *tok, uint32_t id, size_t *bytes);

// The highest id that a token has, plus 1. It may be more or less than the model's vocab.
uint32_t vkgpt_token_count(const vkgpt_tokenizer *tok);

// The text of ids, special tokens included, as Hugging Face's tokenizers decode it: for GPT-2 and GPT-1 the bytes of
// the tokens, joined; for others, the output of the tokenizer's decoder. Ids without a token add nothing. The caller
// frees *text, which ends in a NUL.
int vkgpt_decode(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, char **text, size_t *bytes,
                 vkgpt_error *err);

// A sentence about what the tokenizer's files ask for and vkgpt does not do (dropout), or NULL.
const char *vkgpt_tokenizer_note(const vkgpt_tokenizer *tok);

// Text from tokens as they come, for streaming: only whole characters of UTF-8, with U+FFFD in place of invalid
// bytes, and nothing that is part of a stop string or may still become one. Stop strings may span tokens, and may
// overlap.
typedef struct vkgpt_text vkgpt_text;

// `stops` are `count` strings, which are copied; NULL if count is 0. Close the text before the tokenizer. Errors
// (VKGPT_BAD_ARGUMENT): a stop string is empty.
int vkgpt_text_open(const vkgpt_tokenizer *tok, const char *const *stops, size_t count, vkgpt_text **text,
                    vkgpt_error *err);
void vkgpt_text_close(vkgpt_text *text);

// Adds a token. *bytes is the next part of the text that is certain: *count bytes, then a NUL. It is valid until the
// next call with this text. *stopped is true once a stop string has appeared: the text ends right before it, and
// more tokens add nothing. count and stopped may be NULL.
int vkgpt_text_add(vkgpt_text *text, uint32_t id, const char **bytes, size_t *count, bool *stopped, vkgpt_error *err);

// No more tokens come: returns what was held back. Afterwards the text is empty, and can be used again.
int vkgpt_text_end(vkgpt_text *text, const char **bytes, size_t *count, vkgpt_error *err);

// ----------------------------------------------------------------------------------------------- model

typedef struct vkgpt_model vkgpt_model;

// Q8_0, Q4_0 and Q4_K are GGML's blocks of 32 or 256 weights with shared scales: about 8.5, 4.5 and 5 bits for each
// weight on the device. If the rows of a matrix are not a multiple of the block size, the matrix takes the next
// wider format that fits (Q4_K, Q4_0, Q8_0, F16). The token table and the head take Q8_0 or wider. Positions are
// F16, or F32 if the token table is F32.
typedef enum vkgpt_format { VKGPT_AUTO = 0, VKGPT_F32, VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_0, VKGPT_Q4_K } vkgpt_format;

typedef struct vkgpt_model_options {
    vkgpt_format weights; // of the matrices on the device; auto is F16. Norms and biases are always F32
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); // while uploading, or NULL
    void *user;
    bool
        hidden_only; // for vkgpt_hidden and vkgpt_embed alone: a checkpoint without the language model's head opens too
    const char *lora; // an adapter to merge, or NULL: the folder that PEFT saved its LoRA weights in (Hu et al. 2021)
    // of the session to come, or NULL: its kernels are compiled during the upload
    const struct vkgpt_session_options *session;
} vkgpt_model_options;

typedef struct vkgpt_model_info {
    const char *name;         // the directory's last component, or the model's in Hugging Face's cache
    const char *architecture; // "gpt2", "openai-gpt", "gpt_neo", "opt"
    const char *weights;      // "f16", "f32", "q8_0", "q4_0", "q4_k": of most matrices on the device
    uint32_t layers, heads, dim, inner, context, vocab;
    uint32_t hidden;       // width of a hidden state: dim, but that of the embedding in OPT-350M
    uint64_t params;       // counted once when tied
    uint64_t device_bytes; // weights on the device
    uint64_t step_bytes;   // weights that one decoded token reads
    int64_t bos;           // -1: none
    uint32_t eos_count;
    uint32_t eos[16];
    char note[384]; // what to tell the user about the load, or ""
} vkgpt_model_info;

// Loads a checkpoint onto the device: a GGUF file of any name, or a directory with config.json, and
// model.safetensors or pytorch_model.bin, sharded or not; also a file of such a directory, a model's folder in
// Hugging Face's cache, or a folder with one model one level below, such as a trainer's output. The files are
// mapped, checked, and uploaded once.
//
// An adapter's matrices are added to the model's in fp32, as PEFT's merge_and_unload does, before the matrices take
// their format on the device. rank_pattern, alpha_pattern, use_rslora and trained biases are supported. Errors
// (VKGPT_BAD_FILE, VKGPT_BAD_MODEL) name what cannot be merged: DoRA, modules_to_save, other types than LORA,
// tensors that the model does not have, shapes that differ.
int vkgpt_model_open(vkgpt_device *device, const char *dir, const vkgpt_model_options *options, vkgpt_model **model,
                     vkgpt_error *err);

// The same over several devices, of any vendors: each gets the layers after those of the device before it. The first
// one embeds the tokens, and the last one has the head and chooses tokens; if the two share the token table, both have
// it. split: (count) how many layers each device gets; NULL: what makes the slowest device as fast as can be. From
// device to device only the residual stream goes, through the memory of the host. While one device works on a block of
// a prompt, the one before it works on the next block.
//
// The model is used as any other, and closed before all of its devices. Its sessions may be used in turn, as those of
// one device. Threads of the library use the devices, also between calls, as long as sequences run: until they have
// ended, or their session is closed, nothing but sessions of this model may use one of the devices. vkgpt_profile and
// vkgpt_tune need a model on one device. One device is the same as vkgpt_model_open. Errors (VKGPT_BAD_ARGUMENT): a
// device is given twice, there are more devices than layers, or the split does not add up to the layers.
int vkgpt_model_open_split(vkgpt_device *const *devices, size_t count, const uint32_t *split, const char *dir,
                           const vkgpt_model_options *options, vkgpt_model **model, vkgpt_error *err);
void vkgpt_model_close(vkgpt_model *model);
const vkgpt_model_info *vkgpt_model_describe(const vkgpt_model *model);

// --------------------------------------------------------------------------------------------- session

typedef struct vkgpt_session vkgpt_session;

typedef struct vkgpt_session_options {
    uint32_t context;               // positions in the KV cache; 0: the model's
    vkgpt_format kv;                // F32, F16 or Q8_0 (half of F16, and a scale per 32 of a head); auto is F16
    uint32_t tokens_per_submission; // 1 to 32; 0: as many as fit into about 100 ms of device time
    uint32_t sequences;             // that run side by side, each with a cache of its own, up to 1024; 0: one
    uint32_t lookup;                // drafts a step, up to 31: see vkgpt_generate; 0: none
    // or NULL: asked before each block of a prompt; false ends the call (VKGPT_INTERRUPTED)
    bool (*on_block)(void *user);
    void *user; // for on_block
    // The same bits on every device, of every vendor: logits, hidden states, and tokens, drawn ones too, by kernels
    // that leave no rounding to the device, and are slower. They depend on the model, the formats of weights and cache,
    // and the tokens alone: not on blocks, sequences, drafts or tokens_per_submission. VKGPT_NO_DEVICE where a device
    // does not round to nearest even. The log probabilities of vkgpt_logprobs come from exp and log of the C library.
    bool deterministic;
    // Over several devices: parts that the sequences are divided into, so that each device works on another part; 0: as
    // many as devices, at most the sequences. One device has one part.
    uint32_t micro_batches;
} vkgpt_session_options;

// A token is drawn by Philox4x32-10 (Salmon et al. 2011) with `seed` as its key and the position as its counter, so
// the text does not depend on how many tokens go into a submission. The order is llama.cpp's: repeat penalty, top-k,
// top-p, min-p, then temperature. All members 0: greedy.
typedef struct vkgpt_sampling {
    float temperature;      // 0: argmax, the lowest id on ties
    uint32_t top_k;         // 0: all
    float top_p;            // 1: off; 0: the likeliest token alone
    float min_p;            // 0: off
    float repeat_penalty;   // 1 or 0: off (Keskar et al. 2019, CTRL)
    uint32_t repeat_last_n; // tokens that the penalty looks back on
    uint64_t seed;
    bool ignore_eos; // keep going past the model's end tokens
} vkgpt_sampling;

// temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, repeat_penalty 1 over 64 tokens, seed 0.
vkgpt_sampling vkgpt_sampling_default(void);
#define VKGPT_SAMPLING_DEFAULT vkgpt_sampling_default()

typedef enum vkgpt_stop {
    VKGPT_STOP_LENGTH,     // as many tokens as asked for
    VKGPT_STOP_EOS,        // an end token (which is not reported)
    VKGPT_STOP_CONTEXT,    // the context is full
    VKGPT_STOP_CALLBACK,   // the callback returned false
    VKGPT_STOP_BAD_LOGITS, // the logits hold a NaN or an infinity
} vkgpt_stop;

// On a GPU that was never tuned for a model's matrices, the first session of one sequence measures a few variants of
// its kernels, in 1.5 seconds at most, and keeps the best in the file that vkgpt_tune's results go to. It does not
// do so on software drivers, or if the environment variable VKGPT_TUNING is set ("off", or a file). The environment
// variable VKGPT_PERSISTENT says whether decode runs as one kernel: "off", or a number of workgroups, or 0 for as
// many as stay resident. If it is not set, the tuning decides. If one kernel is not possible, decode uses
// dispatches, and a note says so.
int vkgpt_session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **session,
                       vkgpt_error *err);
// What to tell the user about the opening, or "".
const char *vkgpt_session_note(const vkgpt_session *session);
void vkgpt_session_close(vkgpt_session *session);

// May be called from any thread: ends the call that runs on the session, with VKGPT_INTERRUPTED, after the current
// block of the prompt or the current submission (about 100 ms of a GPU's time). If no call runs, it ends the next
// one that reads or generates tokens, so it is never too early. The session keeps the tokens that it has, as after
// on_block returned false.
void vkgpt_session_cancel(vkgpt_session *session);

// Keeps the first `position` tokens with their cache entries, and forgets all later ones.
int vkgpt_session_rewind(vkgpt_session *session, uint32_t position, vkgpt_error *err);

// Positions used so far: tokens given by vkgpt_prompt plus tokens generated.
uint32_t vkgpt_session_position(const vkgpt_session *session);

// The tokens of the session, given and generated: vkgpt_session_position of them. The pointer is valid as long as the
// session. Calls with the session change the tokens.
const uint32_t *vkgpt_session_tokens(const vkgpt_session *session);

// Saves the tokens of the session (sequence 0) and their part of the KV cache to a file. The file also keeps a note for
// the caller: `note_bytes` bytes, at most 16 MiB; NULL if note_bytes is 0. A file with that name is replaced, and a
// reader never sees a part of the new file. Errors: VKGPT_BAD_FILE, VKGPT_BAD_ARGUMENT, VKGPT_OUT_OF_MEMORY,
// VKGPT_DEVICE_LOST.
int vkgpt_session_save(vkgpt_session *session, const char *path, const void *note, size_t note_bytes, vkgpt_error *err);

// Replaces the tokens of the session (sequence 0) by those of a file that vkgpt_session_save wrote. The session then
// continues as the saved one would have, with the same bits on the same device. Tokens that were in the cache are not
// run again. The model, its format of weights and the format of the cache have to be those of the saved session: the
// file has a hash of the config and of samples of the weights. The context may differ, if the tokens fit. *note is the
// caller's note, followed by a NUL; the caller frees it with free(). note and note_bytes may be NULL. Errors that leave
// the session as it was: VKGPT_BAD_FILE (the file is damaged, or is not a saved session), VKGPT_BAD_ARGUMENT (another
// model or cache, or too many tokens). Errors after which the session may be empty: VKGPT_OUT_OF_MEMORY,
// VKGPT_DEVICE_LOST, VKGPT_BAD_FILE (the file was cut while it was read).
int vkgpt_session_load(vkgpt_session *session, const char *path, char **note, size_t *note_bytes, vkgpt_error *err);

// Appends `count` tokens. All but the last are run through the model at once, in blocks (prefill); the last one
// waits to be the input of the first decode step. A session of n positions takes n tokens in all. A block has up to
// 2,048 tokens; fewer if the device has less memory, or if the block would take more than about 100 ms of a GPU's
// time. The next block is submitted while one runs. After an error, or after on_block returned false, the session
// has all tokens, and does not run again those whose blocks have run.
int vkgpt_prompt(vkgpt_session *session, const uint32_t *ids, size_t count, vkgpt_error *err);

// With `lookup`, a step also reads drafts: the tokens that followed the newest ones earlier in the text. It keeps
// those that it would have generated itself (prompt lookup: Saxena 2023). So the tokens are the same, in fewer steps
// if a text repeats itself.
//
// Generates up to `max_tokens` tokens after the prompt; on_token gets each one in order and returns false to stop. A
// full session still generates one token. sampling NULL: VKGPT_SAMPLING_DEFAULT.
int vkgpt_generate(vkgpt_session *session, const vkgpt_sampling *sampling, size_t max_tokens,
                   bool (*on_token)(void *user, uint32_t id), void *user, vkgpt_stop *stop, vkgpt_error *err);

// Several sequences in one session, numbered from 0; the functions above work on sequence 0. A step reads the
// weights once for all sequences. A sequence gets the same tokens as it would get alone.
//
// vkgpt_batch_prompt appends tokens to a sequence. vkgpt_batch_prefill runs all appended tokens; without that call,
// vkgpt_batch_generate runs them first. vkgpt_batch_copy copies one sequence to `count` others. vkgpt_batch_generate
// continues every sequence that has tokens: `sampling` has one entry for each sequence, and so has `stops`, unless it
// is NULL. on_token returns false to stop its sequence.
int vkgpt_batch_prompt(vkgpt_session *session, uint32_t sequence, const uint32_t *ids, size_t count, vkgpt_error *err);
int vkgpt_batch_prefill(vkgpt_session *session, vkgpt_error *err);
int vkgpt_batch_copy(vkgpt_session *session, uint32_t from, const uint32_t *to, size_t count, vkgpt_error *err);
int vkgpt_batch_rewind(vkgpt_session *session, uint32_t sequence, uint32_t position, vkgpt_error *err);
uint32_t vkgpt_batch_position(const vkgpt_session *session, uint32_t sequence);
int vkgpt_batch_generate(vkgpt_session *session, const vkgpt_sampling *sampling, size_t max_tokens,
                         bool (*on_token)(void *user, uint32_t sequence, uint32_t id), void *user, vkgpt_stop *stops,
                         vkgpt_error *err);

// Sequences that come and go: each may join while others run, and leave by its own limit, by an end token or when it is
// stopped; the others do not wait for it. A sequence gets the same tokens as alone, whenever it joins, and the same log
// probabilities, bit for bit.
#define VKGPT_MAX_BIAS 1024

typedef struct vkgpt_bias {
    uint32_t id;
    float value; // is added to the token's logit before all sampling; -1e6 to 1e6
} vkgpt_bias;

// All members after max_tokens may be 0.
typedef struct vkgpt_batch_options {
    vkgpt_sampling sampling;
    // It ends after this many, or where the context does: a full session still yields one token. 0: only the prompt is
    // read, if `given` asks for its log probabilities.
    size_t max_tokens;
    // OpenAI's: a token that the sequence has generated `count` times since it was started loses
    // presence + count * frequency of its logit. After the repeat penalty; -1e6 to 1e6.
    float presence_penalty, frequency_penalty;
    const vkgpt_bias *bias; // (bias_count), copied by the call. Values of the same id add up
    size_t bias_count;      // VKGPT_MAX_BIAS at most
    bool logprobs;          // events have a `token`: its log probability, and the `top` likeliest tokens in its place
    uint32_t top;           // VKGPT_MAX_TOP at most
    // With logprobs: the tokens of the prompt have events too, before those that are generated. All of them are run
    // then, also those in a cache.
    bool given;
    // Keep what the sequence has from earlier prompts: it goes to another sequence that does not run and has nothing,
    // or else to the one that ran longest ago, which loses its tokens. So the few sequences that vkgpt_batch_choose
    // prefers serve more conversations than there are of them. If all others run or ran later, it is lost.
    bool keep;
} vkgpt_batch_options;

typedef struct vkgpt_batch_event {
    uint32_t sequence;
    bool ended;      // no more tokens come from it, and another may be started in its place
    uint32_t id;     // its next token, unless it has ended
    vkgpt_stop stop; // why it has ended
    bool given;      // the token is one of the prompt
    // NULL, unless log probabilities were asked for; valid inside of the callback. If an end token ended the sequence:
    // that of the end token. They are those of the model's logits, before biases, penalties and temperature. Those of
    // the prompt equal those of vkgpt_logprobs up to 1e-5, as the device adds up here, and there the host in float64;
    // those of generated tokens up to about 1e-4, as decode rounds otherwise than the blocks that vkgpt_logprobs runs.
    const struct vkgpt_token *token;
} vkgpt_batch_event;

// Chooses the sequence to start a prompt in, of those that do not run: one of the first, since a step runs as many as a
// power of two that holds all that run (1, 2, 4, ...). Of those that make steps no larger: the one with the longest
// beginning of the prompt in its cache, or else the one that has nothing, or ran longest ago. What yet another one has
// of the prompt is copied. Over several devices: one of the micro-batch with the fewest that run. False: all run.
bool vkgpt_batch_choose(const vkgpt_session *session, const uint32_t *ids, size_t count, uint32_t *sequence);
// Starts a sequence on `count` tokens, which take the place of those that it had. What prefill has left of a common
// beginning in its cache, or in that of another sequence, is not run again: a longer one of another is copied, by
// the next call of vkgpt_batch_step. If another one is about to read most of the prompt, this one waits for it. With
// count 0 it goes on with the tokens that it has. Its prompt runs in blocks between the steps of the others. Until it
// has ended or is stopped, only vkgpt_batch_start, vkgpt_batch_stop and vkgpt_batch_step may be called, and what only
// asks. A prompt may fill the context; with max_tokens 0 and `given` one token more fits, which is only predicted.
// Errors: VKGPT_BAD_ARGUMENT, where nothing changes.
int vkgpt_batch_start(vkgpt_session *session, uint32_t sequence, const uint32_t *ids, size_t count,
                      const vkgpt_batch_options *options, vkgpt_error *err);
// Ends a sequence, without an event. The sequence keeps the tokens that were reported.
int vkgpt_batch_stop(vkgpt_session *session, uint32_t sequence, vkgpt_error *err);
// Queues what there is to do, at most two submissions, waits for the oldest one, and reports its tokens in order, and
// the end of each sequence once. on_event returns false to end the sequence (VKGPT_STOP_CALLBACK). *running (or NULL)
// becomes the number of sequences that have not ended. Errors: VKGPT_INTERRUPTED: all go on with the next call.
// VKGPT_BAD_LOGITS: a sequence has ended by VKGPT_STOP_BAD_LOGITS, as its event said; the others go on. After any other
// error none runs.
int vkgpt_batch_step(vkgpt_session *session, bool (*on_event)(void *user, const vkgpt_batch_event *event), void *user,
                     uint32_t *running, vkgpt_error *err);

// Appends `count` tokens and hands out the logits of each, in blocks of rows: on_rows gets `rows` rows of `vocab`
// floats, beginning with that of token `first` (counted from 0 in this call), and returns false to stop
// (VKGPT_INTERRUPTED). The pointer is valid inside the callback; after the last callback, until the next call with
// the session.
int vkgpt_logits(vkgpt_session *session, const uint32_t *ids, size_t count,
                 bool (*on_rows)(void *user, const float *logits, size_t first, size_t rows), void *user,
                 vkgpt_error *err);

#define VKGPT_MAX_TOP 20

typedef struct vkgpt_logprob {
    uint32_t id;
    float logprob; // log softmax of the model's logits, in nats: before temperature and all other sampling
} vkgpt_logprob;

typedef struct vkgpt_token {
    uint32_t id;
    float logprob;            // NaN: there is no token before it
    uint32_t top_count;       // as many as asked for, or the whole vocabulary; 0: there is no token before it
    const vkgpt_logprob *top; // the likeliest tokens in its place, the likeliest first, the lowest id first on ties
} vkgpt_token;

// Appends `count` tokens as vkgpt_prompt does, and hands out how likely each was, with the `top` likeliest in its
// place (VKGPT_MAX_TOP at most). on_token gets them in order, counted from 0 in this call, and returns false to stop
// (VKGPT_INTERRUPTED); `token` is valid inside of it. Works for generated tokens too: rewind to their start, and
// pass them here. The last token is only predicted, never read, so one token more fits than the session has
// positions. Errors: VKGPT_BAD_ARGUMENT, VKGPT_BAD_LOGITS.
int vkgpt_logprobs(vkgpt_session *session, const uint32_t *ids, size_t count, uint32_t top,
                   bool (*on_token)(void *user, size_t index, const vkgpt_token *token), void *user, vkgpt_error *err);

// A context and a continuation of it, in one array, for vkgpt_score.
typedef struct vkgpt_continuation {
    const uint32_t *ids;   // (count): the context's tokens, then the continuation's; ids below the model's vocab
    size_t count, context; // tokens in all, and of the context: 1 <= context < count <= the session's context + 1
} vkgpt_continuation;

typedef struct vkgpt_scored {
    double logprob; // the sum of log softmax of the continuation's tokens, in nats
    bool greedy;    // every one of them was the likeliest token at its place, the lowest id on ties
} vkgpt_scored;

// Scores continuations: the log likelihood of each, given its context. scored[i] answers continuations[i]. If there
// is no context, use the model's bos or eos token as the context. The last token is only predicted, never read, so
// one token more fits than the session has positions. Continuations may come in any order; as many as the session
// has sequences are read at once, and neighbours with the same context read it once. The session is left empty.
// After an error (VKGPT_BAD_ARGUMENT, VKGPT_BAD_LOGITS) `scored` is undefined.
int vkgpt_score(vkgpt_session *session, const vkgpt_continuation *continuations, size_t count, vkgpt_scored *scored,
                vkgpt_error *err);

// Appends `count` tokens and writes hidden states into hidden (row_count, vkgpt_model_info.hidden): those of the
// tokens in `rows`, in ascending order and counted from 0 in this call. A hidden state is the output of the final
// norm, in OPT-350M of project_out after it: the last_hidden_state of Hugging Face's models. A token after the last
// row waits as after vkgpt_prompt. Errors (VKGPT_BAD_LOGITS): a hidden state holds a NaN or an infinity.
int vkgpt_hidden(vkgpt_session *session, const uint32_t *ids, size_t count, const size_t *rows, size_t row_count,
                 float *hidden, vkgpt_error *err);

typedef struct vkgpt_ids {
    const uint32_t *ids;
    size_t count;
} vkgpt_ids;

typedef enum vkgpt_pooling {
    VKGPT_POOL_MEAN, // the mean of the hidden states of all tokens
    VKGPT_POOL_LAST, // the hidden state of the last token
} vkgpt_pooling;

// Embeds texts: embeddings (count, vkgpt_model_info.hidden) gets one row for each text, made of its hidden states,
// which are those of vkgpt_hidden: the last of hidden_states in Hugging Face's models. As many texts as the session has
// sequences are read at once; which ones does not change a bit of a row. Rows are not normalised. The session is left
// empty. Errors: VKGPT_BAD_ARGUMENT for a text of no tokens, of more than the session has positions, or with an id past
// the model's vocab; VKGPT_BAD_LOGITS where a hidden state holds a NaN or an infinity.
int vkgpt_embed(vkgpt_session *session, const vkgpt_ids *texts, size_t count, vkgpt_pooling pooling, float *embeddings,
                vkgpt_error *err);

// Counters since the session was opened, for benchmarks, and for the test that the host does no work for a token.
typedef struct vkgpt_counters {
    uint64_t submissions, tokens_decoded, tokens_prefilled;
    uint64_t tokens_reused;         // of prompts that vkgpt_batch_start found in a cache
    uint64_t steps;                 // decode steps of all sequences that tokens came from
    uint64_t gave_up;               // 1: decode as one kernel ended early, and the session went back to dispatches
    uint64_t dispatches_per_token;  // of the decode recording used last; 1 where it is one kernel
    uint32_t tokens_per_submission; // likewise
    uint64_t recordings;            // command buffers recorded, ever, on this device
    uint64_t descriptor_writes;     // vkUpdateDescriptorSets calls, ever, on this device
    uint64_t device_allocations;    // vkAllocateMemory calls, ever, on this device
    uint64_t host_allocations;      // calls that the engine made to malloc and its kin, ever, on this device
    double device_seconds;          // device time of all submissions, from timestamps; 0 where there are none
} vkgpt_counters;
vkgpt_counters vkgpt_session_counters(const vkgpt_session *session);

// ----------------------------------------------------------------------------------------------- heads

// A head that was trained on top of a checkpoint: a linear layer over the hidden state of one token (Radford et al.
// 2018, section 3.2), as in Hugging Face's classes for GPT-1, GPT-2, GPT-Neo and OPT.
typedef struct vkgpt_head vkgpt_head;

typedef enum vkgpt_head_kind {
    VKGPT_HEAD_LABELS, // score.weight, of ...ForSequenceClassification: a score for each label
    VKGPT_HEAD_CHOICE, // multiple_choice_head, of ...DoubleHeadsModel: one score for a sequence, against others'
} vkgpt_head_kind;

typedef enum vkgpt_head_problem { // what the scores mean: problem_type, or else by num_labels
    VKGPT_HEAD_ONE_OF,            // softmax over the labels
    VKGPT_HEAD_EACH,              // a sigmoid for each label
    VKGPT_HEAD_NUMBERS,           // the scores are the answer
} vkgpt_head_problem;

typedef struct vkgpt_head_info {
    vkgpt_head_kind kind;
    vkgpt_head_problem problem;
    uint32_t scores;           // num_labels; 1 for VKGPT_HEAD_CHOICE
    uint32_t hidden;           // width of what it reads: vkgpt_model_info.hidden
    const char *const *labels; // id2label, `scores` of them; NULL for VKGPT_HEAD_CHOICE
} vkgpt_head_info;

// Reads the head of a Hugging Face directory; needs no device. Errors: those of vkgpt_model_open for its files, and
// VKGPT_BAD_MODEL if there is no head, if its shape is not the one of config.json, or if config.json asks for
// something that is not supported, by name: another class of head, another summary_type than cls_index,
// summary_use_proj or summary_proj_to_labels false, another summary_activation than tanh or none.
int vkgpt_head_open(const char *dir, vkgpt_head **head, vkgpt_error *err);
void vkgpt_head_close(vkgpt_head *head);
const vkgpt_head_info *vkgpt_head_describe(const vkgpt_head *head);

// The index of the token whose hidden state the head reads, as in Hugging Face's classes: the last one; for labels,
// the last one that is not pad_token_id, or the first one if all are. count is at least 1.
size_t vkgpt_head_position(const vkgpt_head *head, const uint32_t *ids, size_t count);

// The scores (info.scores) of a hidden state (info.hidden). Errors (VKGPT_BAD_LOGITS): a score is not finite.
int vkgpt_head_scores(const vkgpt_head *head, const float *hidden, double *scores, vkgpt_error *err);

// --------------------------------------------------------------------------------------------- profile

// Bytes that the decode step of the token at `position` reads: the weights, and K and V of the positions that its
// layers attend to, its own included. With vkgpt_limits this gives the least time of a token.
uint64_t vkgpt_step_bytes(const vkgpt_session *session, uint32_t position);

// Where the time of a token goes: one line for each kernel at its place in the forward pass.
typedef struct vkgpt_profile_line {
    const char *step;   // "embed", "qkv", "attend", "project", "expand", "contract", "head", "sample", "norm", ...
    const char *kernel; // the variant that ran: "qkv_software"
    uint32_t rows;      // tokens that ran at once: 1, or those of the block
    uint32_t calls;     // dispatches
    double seconds;     // device time of all of them, barriers included
    uint64_t bytes;     // read by them, each byte counted once: weights of a product, cache of attention; else 0
    double flops;       // of a product or of attention, a multiplication and an addition each; else 0
    double flops_done;  // including those for rows, outputs and positions that only fill up a tile
} vkgpt_profile_line;

// Runs one decode step of the session's last token (rows 0), or the session's last `rows` tokens as one block of
// prefill (fewer if a block has less room), `repetitions` times with a timestamp around each dispatch. Passes the
// lines of the fastest run to on_line, in the order of the forward pass. The step is greedy; the session does not
// change. Timestamps take time too, on a GPU a fifth of a small model's token: plain_seconds (or NULL) gets the time
// of the fastest run without timestamps between dispatches. The sum of the lines minus plain_seconds is the cost of
// profiling. Errors: a device without timestamps (VKGPT_NO_DEVICE), a session with fewer tokens
// (VKGPT_BAD_ARGUMENT).
int vkgpt_profile(vkgpt_session *session, uint32_t rows, uint32_t repetitions,
                  void (*on_line)(void *user, const vkgpt_profile_line *line), void *user, double *plain_seconds,
                  vkgpt_error *err);

// --------------------------------------------------------------------------------------------- tuning

// How a product runs: choices that change the speed and no bit of the result. With `outputs` 0 it is a product of
// decode, otherwise a product of a prompt.
typedef struct vkgpt_variant {
    uint32_t rows;    // of the matrix, per subgroup (GPUs) or lane (software drivers, where tuning leaves it)
    uint32_t size;    // of a workgroup
    uint32_t loads;   // of 128 bits of the matrix that a lane has in flight, about (GPUs)
    bool staged;      // the kernel computes its own input; else another dispatch does
    uint32_t outputs; // of a workgroup, for `rows` rows of the prompt; 0: a product of decode
    bool split;       // workgroups share the width
} vkgpt_variant;

typedef struct vkgpt_tuned {
    const char *kernel;      // "qkv", "project", "expand", "contract", "head"; "step": a whole step
    const char *weights;     // "f16", ...
    uint32_t outputs, width; // of the matrix, padded; of a step: the vocabulary and the model's width
    uint32_t tokens; // rows of x at once: 1, or 8 for steps of eight rows and more; 16, 32, ... 1024 of a prompt
    uint32_t tried;  // variants, at least 2: a product with only one is not measured
    vkgpt_variant built_in, best; // of a product
    const char *settings;         // of a step: what was chosen, in words ("each product's best"), or ""; else NULL
    double built_in_seconds, best_seconds; // of one product with its own norm or merge, or of one step
} vkgpt_tuned;

// Measures, on the model's own matrices, the variants of every product of decode, for one row and for eight, and on
// a GPU the tiles of a prompt's products. Then it measures whole steps of one sequence, with the best variants and
// with the built-in ones in turn. Passes each result to on_result. All sessions that are opened on the device
// afterwards use the best variants. A built-in variant stays if it is within 2 % of the fastest; those of one row
// also stay if the whole step is not 2 % faster.
int vkgpt_tune(vkgpt_model *model, void (*on_result)(void *user, const vkgpt_tuned *tuned), void *user,
               vkgpt_error *err);

// Writes all that was measured on a device, now and before, to a file. path NULL: the file of vkgpt_tuning_path,
// which devices read when they are first used. It is in the user's cache folder, named by device, driver and version
// of vkgpt, unless the environment variable VKGPT_TUNING names another file. With VKGPT_TUNING=off no file is read.
// A file that is damaged, or of another device, driver or version, is ignored, and vkgpt_model_info.note says so.
int vkgpt_tuning_save(vkgpt_device *device, const char *path, vkgpt_error *err);
bool vkgpt_tuning_path(const vkgpt_device *device, char *path, size_t size); // false: there is no such folder

// -------------------------------------------------------------------------------------------- selftest

typedef struct vkgpt_selftest_result {
    const char *kernel;
    char size[64]; // what it ran on
    double error;  // largest error, relative to the scale of the reference
    double bound;  // what passes; a NaN never does
    bool pass;
} vkgpt_selftest_result;

// Runs every kernel of the library on this device, compares it with the plain C reference, and passes each result to
// on_result. *failures counts those that did not pass.
int vkgpt_selftest(vkgpt_device *device, void (*on_result)(void *user, const vkgpt_selftest_result *result), void *user,
                   size_t *failures, vkgpt_error *err);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
