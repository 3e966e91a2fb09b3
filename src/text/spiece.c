#include "text/spiece.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct Message { // the unread rest of a message
    const unsigned char *at, *end;
    bool damaged;
};

struct Field {
    uint64_t number, value; // value: of a varint, or of 32 or 64 bits
    struct SpieceText text; // of a string, bytes or a message
};

static uint64_t take_varint(struct Message *m)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (m->at == m->end) break;
        unsigned char byte = *m->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    m->damaged = true;
    return 0;
}

static uint64_t take_fixed(struct Message *m, size_t bytes)
{
    uint64_t value = 0;
    m->damaged |= (size_t)(m->end - m->at) < bytes;
    for (size_t i = 0; !m->damaged && i < bytes; i++) value |= (uint64_t)*m->at++ << (8 * i);
    return value;
}

// Reads the next field; false at the end, or if the message is damaged.
static bool take_field(struct Message *m, struct Field *field)
{
    if (m->damaged || m->at == m->end) return false;
    uint64_t key = take_varint(m);
    *field = (struct Field){.number = key >> 3};
    switch (key & 7) {
    case 0: field->value = take_varint(m); break;
    case 1: field->value = take_fixed(m, 8); break;
    case 5: field->value = take_fixed(m, 4); break;
    case 2:
        field->value = take_varint(m);
        m->damaged |= field->value > (uint64_t)(m->end - m->at);
        if (m->damaged) break;
        field->text = (struct SpieceText){(const char *)m->at, (size_t)field->value};
        m->at += field->value;
        break;
    default: m->damaged = true;
    }
    return !m->damaged;
}

static struct Message inside(struct SpieceText text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    return (struct Message){at, at ? at + text.bytes : at, at == NULL};
}

static bool read_piece(struct SpieceText text, struct SpiecePiece *piece)
{
    struct Message m = inside(text);
    struct Field f;
    *piece = (struct SpiecePiece){.text = {"", 0}, .type = SPIECE_NORMAL};
    while (take_field(&m, &f)) {
        if (f.number == 1 && f.text.data) piece->text = f.text;
        if (f.number == 3) piece->type = f.value;
        if (f.number != 2) continue;
        uint32_t bits = (uint32_t)f.value;
        memcpy(&piece->score, &bits, sizeof bits);
    }
    return !m.damaged;
}

static bool read_trainer(struct SpieceText text, struct Spiece *spiece)
{
    struct Message m = inside(text);
    struct Field f;
    while (take_field(&m, &f)) {
        if (f.number == 3) spiece->model = f.value;
        if (f.number == 40) spiece->unk_id = f.value;
    }
    return !m.damaged;
}

static bool read_normalizer(struct SpieceText text, struct Spiece *spiece)
{
    struct Message m = inside(text);
    struct Field f;
    while (take_field(&m, &f))
        if (f.number == 2 && f.text.data) spiece->charsmap = f.text;
    return !m.damaged;
}

static size_t count_pieces(struct Message m)
{
    struct Field f;
    size_t count = 0;
    while (take_field(&m, &f)) count += f.number == 1;
    return count;
}

int spiece_read(const char *file, const char *data, size_t bytes, struct Spiece *spiece, vkgpt_error *err)
{
    struct Message m = inside((struct SpieceText){data, bytes});
    struct Field f;
    size_t count = count_pieces(m);
    bool good = true;
    *spiece = (struct Spiece){.model = SPIECE_UNIGRAM};
    if (!count) return fail(err, VKGPT_BAD_FILE, "%s: is not a SentencePiece model: it has no pieces", file);
    spiece->pieces = calloc(count, sizeof *spiece->pieces);
    if (!spiece->pieces) return fail_memory(err, file, count * sizeof *spiece->pieces);
    while (good && take_field(&m, &f)) {
        if (f.number == 1) good = read_piece(f.text, &spiece->pieces[spiece->count++]);
        if (f.number == 2) good = read_trainer(f.text, spiece);
        if (f.number == 3) good = read_normalizer(f.text, spiece);
    }
    if (good && !m.damaged) return 0;
    size_t at = (size_t)(m.at - (const unsigned char *)data);
    spiece_free(spiece);
    return fail(err, VKGPT_BAD_FILE, "%s: is damaged before byte %zu of %zu", file, at, bytes);
}

void spiece_free(struct Spiece *spiece)
{
    free(spiece->pieces);
    *spiece = (struct Spiece){0};
}
