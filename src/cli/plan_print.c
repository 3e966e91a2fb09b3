#include "cli/plan_print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print_json.h"

void report_model(struct Report *r, const char *name, const char *architecture, const char *weights, const char *kv)
{
    r->name = name;
    r->architecture = architecture;
    r->weights = weights;
    r->kv = kv;
}

void report_note(struct Report *r, const char *format, ...)
{
    if (r->note_count == REPORT_NOTES) return;
    va_list args;
    va_start(args, format);
    vsnprintf(r->notes[r->note_count], sizeof r->notes[0], format, args);
    va_end(args);
    r->note_count++;
}

void report_add(struct Report *r, const char *section, const char *key, const char *label, enum Unit unit,
                double number, const char *formula, ...)
{
    if (r->line_count == REPORT_LINES) return;
    struct ReportLine *line = &r->lines[r->line_count++];
    *line = (struct ReportLine){.section = section, .key = key, .label = label, .unit = unit, .number = number};
    va_list args;
    va_start(args, formula);
    vsnprintf(line->formula, sizeof line->formula, formula, args);
    va_end(args);
}

void report_fit(struct Report *r, const struct ReportFit *fit) { r->fit = *fit; }

void report_advice(struct Report *r, const char *flags, uint64_t bytes)
{
    if (r->advice_count == REPORT_ADVICE) return;
    snprintf(r->advice[r->advice_count].flags, sizeof r->advice[0].flags, "%s", flags);
    r->advice[r->advice_count++].bytes = bytes;
}

// ------------------------------------------------------------------------------------------------------- table

// "498 MB", "69.8 GB": at least three digits
static const char *decimal_text(double bytes, char text[32])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    int unit = 0;
    for (; bytes >= 999.5 && unit < 6; unit++) bytes /= 1000;
    snprintf(text, 32, "%.*f %s", unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2, bytes, units[unit]);
    return text;
}

static const char *binary_text(double bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    for (; bytes >= 1023.5 && unit < 6; unit++) bytes /= 1024;
    snprintf(text, 32, "%.*f %s", unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2, bytes, units[unit]);
    return text;
}

// 124439808 -> "124,439,808"
static void grouped_text(double number, char text[64])
{
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%.0f", number), n = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0) text[n++] = ',';
        text[n++] = digits[i];
    }
    text[n] = '\0';
}

static const char *value_text(const struct ReportLine *line, char text[64])
{
    char decimal[32], binary[32];
    switch (line->unit) {
    case UNIT_COUNT: grouped_text(line->number, text); break;
    case UNIT_BYTES:
        snprintf(text, 64, "%10.30s  %10.30s", decimal_text(line->number, decimal),
                 line->number ? binary_text(line->number, binary) : "");
        break;
    case UNIT_YEARS: snprintf(text, 64, line->number >= 0.1 ? "%.1f" : "%.2g", line->number); break;
    case UNIT_MS: snprintf(text, 64, "%.3g", line->number); break;
    case UNIT_FLOPS: snprintf(text, 64, "%.2e", line->number); break;
    }
    return text;
}

static void print_fit(const struct Report *r)
{
    char needed[32], memory[32];
    const struct ReportFit *fit = &r->fit;
    if (!fit->source) return;
    printf("\n%s of %s (%s): %s%s\n", binary_text((double)fit->needed, needed),
           binary_text((double)fit->memory, memory), fit->source, fit->fits ? "fits" : "does not fit",
           fit->devices > 1 ? " (each device)" : "");
    if (r->explain && fit->formula != fit->source) printf("  = %s\n", fit->formula);
    for (size_t i = 0; i < r->advice_count; i++)
        printf("  %-32s makes it %s\n", r->advice[i].flags, binary_text((double)r->advice[i].bytes, needed));
    if (!fit->fits && !r->advice_count)
        printf("  no smaller context, narrower format or number of devices makes it fit\n");
    if (fit->least_devices) printf("  the least number of such devices that fits: %u\n", fit->least_devices);
}

static uint64_t weights_of(const struct MemoryPlan *m) { return m->tables + m->layers + m->vectors; }

static uint64_t others_of(const struct MemoryPlan *m) { return m->device - weights_of(m) - m->cache; }

// Whether two stages differ in nothing but which layers they have.
static bool same_stage(const struct ChainStage *a, const struct ChainStage *b)
{
    return a->end - a->first == b->end - b->first && a->memory.device == b->memory.device &&
           weights_of(&a->memory) == weights_of(&b->memory) && a->seconds == b->seconds;
}

// Devices that follow each other and are alike share a line.
static void print_stages(const struct Report *r)
{
    if (!r->stages) return;
    printf("\n%-10s %-9s %-9s %10s %10s %10s %10s %8s\n", "stages", "devices", "layers", "weights", "cache", "others",
           "all", "ms");
    for (uint32_t i = 0, next; i < r->stages->count; i = next) {
        const struct ChainStage *s = &r->stages->stages[i];
        const struct MemoryPlan *m = &s->memory;
        char devices[32], layers[32], weights[32], cache[32], others[32], all[32];
        for (next = i + 1; next < r->stages->count && same_stage(s, &r->stages->stages[next]);) next++;
        snprintf(devices, sizeof devices, next - i > 1 ? "%u-%u" : "%u", i + 1, next);
        snprintf(layers, sizeof layers, next - i > 1 ? "%u each" : "%u", s->end - s->first);
        printf("%-10s %-9s %-9s %10s %10s %10s %10s %8.3g%s\n", "", devices, layers,
               binary_text((double)weights_of(m), weights), binary_text((double)m->cache, cache),
               binary_text((double)others_of(m), others), binary_text((double)m->device, all), s->seconds * 1e3,
               s->fits ? "" : "  does not fit");
    }
    if (r->explain)
        printf("%-10s %-18s = others: activations, logits, state and rounding; ms: of a token, with an empty cache\n",
               "", "");
}

int report_table(const struct Report *r)
{
    const char *section = "";
    for (size_t i = 0; i < r->note_count; i++) printf("%s%s\n", i ? "note: " : "", r->notes[i]);
    for (size_t i = 0; i < r->line_count; i++) {
        const struct ReportLine *line = &r->lines[i];
        char value[64];
        if (!line->label) continue;
        bool first = strcmp(section, line->section) != 0;
        if (first) printf("\n");
        printf("%-10s %-18s %s\n", first ? line->section : "", line->label, value_text(line, value));
        if (r->explain) printf("%-10s %-18s = %s\n", "", "", line->formula);
        section = line->section;
    }
    print_stages(r);
    print_fit(r);
    return EXIT_OK;
}

// -------------------------------------------------------------------------------------------------------- JSON

static cJSON *section_of(cJSON *json, const char *name)
{
    cJSON *section = cJSON_GetObjectItemCaseSensitive(json, name);
    return section ? section : cJSON_AddObjectToObject(json, name);
}

static void add_advice(cJSON *json, const struct Report *r)
{
    if (!r->fit.source) return;
    cJSON *fit = cJSON_AddObjectToObject(json, "fit"), *advice = cJSON_CreateArray();
    cJSON_AddBoolToObject(fit, "fits", r->fit.fits);
    json_add_unsigned(fit, "device_memory", r->fit.memory);
    cJSON_AddStringToObject(fit, "source", r->fit.source);
    json_add_unsigned(fit, "needed", r->fit.needed);
    json_add_unsigned(fit, "least_devices", r->fit.least_devices);
    for (size_t i = 0; i < r->advice_count; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "flags", r->advice[i].flags);
        json_add_unsigned(one, "needed", r->advice[i].bytes);
        cJSON_AddItemToArray(advice, one);
    }
    cJSON_AddItemToObject(fit, "advice", advice);
}

static void add_stages(cJSON *json, const struct Report *r)
{
    if (!r->stages) return;
    cJSON *stages = cJSON_AddArrayToObject(json, "stages");
    for (uint32_t i = 0; i < r->stages->count; i++) {
        const struct ChainStage *s = &r->stages->stages[i];
        cJSON *one = cJSON_CreateObject();
        json_add_unsigned(one, "device", i + 1);
        json_add_unsigned(one, "machine", i / r->per_machine + 1);
        json_add_unsigned(one, "first", s->first);
        json_add_unsigned(one, "end", s->end);
        json_add_unsigned(one, "weights", weights_of(&s->memory));
        json_add_unsigned(one, "cache", s->memory.cache);
        json_add_unsigned(one, "activations", s->memory.activations);
        json_add_unsigned(one, "needed", s->memory.device);
        cJSON_AddNumberToObject(one, "ms", s->seconds * 1e3);
        cJSON_AddBoolToObject(one, "fits", s->fits);
        cJSON_AddItemToArray(stages, one);
    }
}

int report_json(const struct Report *r)
{
    cJSON *json = cJSON_CreateObject(), *model = cJSON_AddObjectToObject(json, "model");
    cJSON_AddItemToObject(model, "name", json_bytes(r->name, strlen(r->name)));
    cJSON_AddStringToObject(model, "architecture", r->architecture);
    cJSON_AddStringToObject(model, "weights", r->weights);
    cJSON_AddStringToObject(model, "kv", r->kv);
    cJSON *notes = cJSON_AddArrayToObject(json, "notes");
    for (size_t i = 1; i < r->note_count; i++)
        cJSON_AddItemToArray(notes, json_bytes(r->notes[i], strlen(r->notes[i])));
    for (size_t i = 0; i < r->line_count; i++) {
        const struct ReportLine *line = &r->lines[i];
        cJSON *section = section_of(json, line->section);
        bool whole = line->unit == UNIT_COUNT || line->unit == UNIT_BYTES;
        if (whole) json_add_unsigned(section, line->key, (uint64_t)line->number);
        else cJSON_AddNumberToObject(section, line->key, line->number);
    }
    if (r->explain) {
        cJSON *formulas = cJSON_AddObjectToObject(json, "formulas");
        for (size_t i = 0; i < r->line_count; i++) {
            if (!r->lines[i].label) continue;
            char key[64];
            snprintf(key, sizeof key, "%s.%s", r->lines[i].section, r->lines[i].key);
            cJSON_AddStringToObject(formulas, key, r->lines[i].formula);
        }
        if (r->fit.source) cJSON_AddStringToObject(formulas, "fit.device_memory", r->fit.formula);
    }
    add_stages(json, r);
    add_advice(json, r);
    return json_print(json);
}
