// Prints the numbers of a plan, each with its formula: as a table, or as one JSON object.
#ifndef VKGPT_CLI_PLAN_PRINT_H
#define VKGPT_CLI_PLAN_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/chain_plan.h"

enum Unit { UNIT_COUNT, UNIT_BYTES, UNIT_FLOPS, UNIT_YEARS, UNIT_MS };

struct ReportLine {
    const char *section, *key;
    const char *label; // NULL: in JSON only
    enum Unit unit;
    double number; // counts and bytes are integers, rounded if they are above 2^53
    char formula[224];
};

#define REPORT_LINES 48
#define REPORT_NOTES 5 // the first one describes the model
#define REPORT_ADVICE 8

struct ReportFit {
    bool fits;
    uint64_t memory, needed;
    uint32_t devices, least_devices; // in use, and the least number that fits; 0: none does
    const char *source, *formula;    // of the memory
};

struct Report {
    bool explain;
    const char *name, *architecture, *weights, *kv;
    char notes[REPORT_NOTES][768];
    struct ReportLine lines[REPORT_LINES];
    struct {
        char flags[64];
        uint64_t bytes;
    } advice[REPORT_ADVICE];
    size_t note_count, line_count, advice_count;
    struct ReportFit fit;           // source NULL: it was not asked for
    const struct ChainPlan *stages; // NULL: one device
    uint32_t per_machine;
};

void report_model(struct Report *report, const char *name, const char *architecture, const char *weights,
                  const char *kv);
void report_note(struct Report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_add(struct Report *report, const char *section, const char *key, const char *label, enum Unit unit,
                double number, const char *formula, ...) __attribute__((format(printf, 7, 8)));
void report_fit(struct Report *report, const struct ReportFit *fit);
void report_advice(struct Report *report, const char *flags, uint64_t bytes);

// They print to stdout, and return the exit status.
int report_table(const struct Report *report);
int report_json(const struct Report *report);

#endif
