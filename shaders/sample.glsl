// The next tokens of a sequence, by one workgroup: argmax, or biases, penalties, top-k, top-p, min-p, temperature and a
// draw, in llama.cpp's order. Advances the sequence's state and writes the ring that the host reads, and the reports.
//
// Who includes this declares the arguments `a` (SampleArgs) and the buffers state[], tokens[], logits4[], parts[],
// ring[], changes[], kept4[] and token_reports[]. logits4 are the logits, four in a vec4: a row is padded to a multiple
// of four, and its padding may hold anything. SAMPLE_AHEAD loads of them are in flight for each lane. Biases and
// penalties change logits that other lanes read later, so the buffer is coherent; kept4 gets the row as it was, if a
// report needs it. Calls sample_sequence() with the whole workgroup.
//
// Top-k: each lane knows the largest logit of its own share. At least k logits reach the k-th largest of these, so one
// pass over the logits collects all that matter, the candidates: a few more than k. All the rest is work among them in
// shared memory. Without top-k, or where the candidates are too many, every choice is a search over all logits: for the
// first value, in rising order, at which the summed weights of all values up to it pass a target.
//
// Functions are inlined at every call, and a software driver compiles the kernel before its first token: what is long
// is called at one place, in a loop over what differs.
//
// Weights and sums are integers, and what makes a weight of a logit has the same bits on every device. So the tokens
// are the same on every device, for every size of the workgroup, and in reference_sample.c.
//
// A step reads one token and the drafts behind it (lookup.comp); each has its row of logits, and gives the token that
// follows it. As long as that is the next draft, the row behind stands for the right text, and is taken too: so the
// tokens are the same with drafts and without, also when they are drawn, since a draw depends on its position alone.

#include "philox.glsl"
#include "integers.glsl"

#define CANDIDATES 256 // at most
#define MOST_K 192     // larger ones leave too many candidates
#define STEPS 256      // in which the limit of the candidates is found
#define BINS 1024

#define ONE 0x40000000u // 2^30: the weight of the largest logit
#define NOTHING MINUS_INFINITY // less than any logit

shared uint table[2 * BINS]; // bins of a search; or the candidates, five arrays of them:
#define KEYS 0
#define IDS CANDIDATES
#define WEIGHTS_1 (2 * CANDIDATES) // at temperature 1; 0: not among the k largest
#define DRAWN (3 * CANDIDATES)     // of the draw; 0: left out
#define COUNTS (4 * CANDIDATES)    // 1 each
shared uvec2 coarse[32];
shared uint found_index, found_bad, found_count;
// Tokens of the rows of a step, 32 at most. With 32 elements glslang takes the type of the array in struct Phase, whose
// layout shared memory must not have.
shared uint chosen[33], chosen_count;
shared uint chosen_first;             // position of the first one
shared uint change_first;             // where the sequence's changes begin
shared uint row_first;                // its first row, in the logits and what belongs to them
shared uint random; // of this token
shared float steps_by_logit; // STEPS reach from the largest of the lanes' maxima to the least

uint row4, row_parts, token_first; // where the row's logits and parts, and the sequence's tokens, begin
bool changed;      // the logits are not the model's any more
float maximum;     // of the logits
float lane_best;   // of this lane's share of them
uint least_key;    // top-k: keys above it are left out
uint least_weight; // top-p and min-p: smaller weights at temperature 1 are left out
float sharpness;   // log2(e) / temperature

// ---- from a logit to its key and its weight

// Rising for falling logits, so that the largest logit has the smallest key; 0 and -0 have the same.
uint key_of(float logit)
{
    uint bits = floatBitsToUint(logit);
    return (bits & 0x80000000u) != 0 ? bits - 1 : ~bits & 0x7fffffffu;
}

float logit_of(uint key) { return uintBitsToFloat((key & 0x80000000u) != 0 ? key + 1 : ~key & 0x7fffffffu); }

// number / 2^31 / divisor, rounded down to 24 bits. Divided as integers: drivers round quotients of floats differently.
float ratio(uint number, float divisor)
{
    uint bits = floatBitsToUint(clamp(divisor, 1e-29, 1e29)), mantissa = (bits & 0x7fffffu) | 0x800000u;
    uint quotient = number / mantissa, rest = number % mantissa;
    [[dont_unroll]] for (uint i = 0; i < 2; i++) {
        rest <<= 8;
        quotient = quotient << 8 | rest / mantissa;
        rest %= mantissa;
    }
    uint half_it = quotient >> 24; // it has 24 bits or 25
    return uintBitsToFloat((253 + half_it - (bits >> 23)) << 23 | (quotient >> half_it & 0x7fffffu));
}

// 2^30 exp((logit - maximum) / temperature), rounded down: 2^-y by its whole part and a polynomial.
uint weight_of(float logit, float log2e_by_temperature)
{
    precise float y = (maximum - logit) * log2e_by_temperature;
    if (!(y < 31.0)) return 0;
    uint whole = uint(y);
    precise float f = y - float(whole);
    return power_of(f) >> whole;
}

uint weight_1(float logit) { return weight_of(logit, LOG2E_FLOAT); }

// ---- the logits

float logit_at(uint id) { return logits4[row4 + id / 4][id & 3]; }

// All loads before the first use. What lies behind the vocabulary counts as nothing.
void load_ahead(uint i, out vec4 v[SAMPLE_AHEAD])
{
    uint last = (a.vocab - 1) / 4;
    [[unroll]] for (uint j = 0; j < SAMPLE_AHEAD; j++) v[j] = logits4[row4 + min(i + j * SIZE, last)];
    [[unroll]] for (uint j = 0; j < SAMPLE_AHEAD; j++) {
        uvec4 ids = (i + j * SIZE) * 4 + uvec4(0, 1, 2, 3);
        v[j] = mix(vec4(NOTHING), v[j], lessThan(ids, uvec4(a.vocab)));
    }
}

// ---- the maximum

void best_of_logits(inout uint index)
{
    for (uint i = gl_LocalInvocationID.x; i * 4 < a.vocab; i += SAMPLE_AHEAD * SIZE) {
        vec4 v[SAMPLE_AHEAD];
        load_ahead(i, v);
        [[unroll]] for (uint j = 0; j < SAMPLE_AHEAD; j++)
            [[unroll]] for (uint c = 0; c < 4; c++)
                if (v[j][c] > lane_best) { lane_best = v[j][c]; index = (i + j * SIZE) * 4 + c; }
    }
}

const uint PARTS_AHEAD = SAMPLE_AHEAD < 4 ? SAMPLE_AHEAD : 4;
void best_of_parts(inout uint index, inout uint bad)
{
    for (uint i = gl_LocalInvocationID.x; i < a.groups; i += PARTS_AHEAD * SIZE) {
        HeadPart ahead[PARTS_AHEAD];
        [[unroll]] for (uint j = 0; j < PARTS_AHEAD; j++) ahead[j] = parts[row_parts + min(i + j * SIZE, a.groups - 1)];
        [[unroll]] for (uint j = 0; j < PARTS_AHEAD; j++) {
            HeadPart part = ahead[j];
            if (i + j * SIZE >= a.groups) continue; // a part belongs to one lane
            bad |= part.bad;
            if (part.maximum > lane_best || (part.maximum == lane_best && part.index < index)) {
                lane_best = part.maximum;
                index = part.index;
            }
        }
    }
}

vec2 workgroup_max(vec2 value)
{
    value = subgroupMax(value);
    if (subgroupElect()) reduce_scratch[gl_SubgroupID] = value;
    barrier();
    vec2 best = reduce_scratch[0];
    for (uint i = 1; i < gl_NumSubgroups; i++) best = max(best, reduce_scratch[i]);
    barrier();
    return best;
}

// The maximum with the lowest id that has it, and this lane's: from what head left, or from the logits themselves.
void find_maximum(bool in_logits)
{
    if (gl_LocalInvocationID.x == 0) { found_index = 0xffffffffu; found_bad = 0; }
    uint index = 0xffffffffu, bad = 0;
    lane_best = NOTHING;
    if (in_logits) best_of_logits(index);
    else best_of_parts(index, bad);
    vec2 extremes = workgroup_max(vec2(lane_best, lane_best > NOTHING ? -lane_best : NOTHING)); // and minus the least
    maximum = extremes.x;
    if (gl_LocalInvocationID.x == 0) steps_by_logit = DIVIDED(float(STEPS - 1), clamp(maximum + extremes.y, 1e-30, 1e30));
    table[BINS + gl_LocalInvocationID.x] = floatBitsToUint(lane_best); // a register of each lane would be kept for long
    if (lane_best == maximum) atomicMin(found_index, index);
    if (bad != 0) atomicOr(found_bad, 1);
    barrier();
}

// ---- changes of logits

void changes_end()
{
    memoryBarrierBuffer();
    barrier();
}

void set_logit(uint token, float logit) { logits4[row4 + token / 4][token & 3] = SETTLED(logit); }

void keep_logits()
{
    for (uint i = gl_LocalInvocationID.x; i * 4 < a.vocab; i += SIZE) kept4[row4 + i] = logits4[row4 + i];
    changes_end();
}

void add_biases(uint count)
{
    for (uint i = gl_LocalInvocationID.x; i < count; i += SIZE) {
        LogitChange bias = changes[change_first + i];
        uint token = min(bias.id, a.vocab - 1);
        set_logit(token, logit_at(token) + SETTLED(uintBitsToFloat(bias.value)));
    }
    changes_end();
}

// OpenAI's penalties: logit - count * frequency - presence for a token that was generated `count` times.
void penalise_counted(uint sequence, uint different)
{
    for (uint i = gl_LocalInvocationID.x; i < different; i += SIZE) {
        LogitChange counted = changes[change_first + MAX_BIAS + i];
        precise float penalty = float(counted.value) * SETTLED(state[sequence].frequency);
        penalty = penalty + SETTLED(state[sequence].presence);
        set_logit(counted.id, logit_at(counted.id) - penalty);
    }
    changes_end();
}

// Counts a token. Returns how many different ones there are.
uint count_token(uint different, uint token)
{
    uint first = change_first + MAX_BIAS;
    if (gl_LocalInvocationID.x == 0) found_count = different;
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < different; i += SIZE)
        if (changes[first + i].id == token) found_count = i;
    barrier();
    uint at = found_count;
    uint before = at < different ? changes[first + at].value : 0;
    if (gl_LocalInvocationID.x == 0) changes[first + at] = LogitChange(token, before + 1);
    changes_end();
    return max(different, at + 1);
}

// CTRL (Keskar et al. 2019): a token that stands in the last positions gets a smaller logit, once.
void penalise_recent(uint sequence, uint position)
{
    uint seen = min(position + 1, state[sequence].repeat_last_n), first = token_first + position + 1 - seen;
    float times = state[sequence].repeat_penalty, inverse = ratio(0x80000000u, times);
    for (uint done = 0; done < seen; done += SIZE) {
        uint lane = gl_LocalInvocationID.x, i = done + lane, token = 0;
        bool again = i >= seen;
        if (!again) table[lane] = token = min(tokens[first + i], a.vocab - 1);
        barrier();
        for (uint j = 0; j < lane && !again; j++) again = table[j] == token;
        for (uint j = 0; j < done && !again; j++) again = min(tokens[first + j], a.vocab - 1) == token;
        float logit = logit_at(token);
        if (!again) set_logit(token, logit * (logit > 0.0 ? inverse : times));
        barrier();
    }
    changes_end();
}

// What is needed here alone is read here: copies would take registers for the whole kernel.
void change_logits(uint sequence, Sequence s)
{
    if (state[sequence].reports != 0) keep_logits();
    if (state[sequence].biases != 0) add_biases(state[sequence].biases);
    if (state[sequence].repeat_penalty != 1.0) penalise_recent(sequence, s.position);
    if (s.counted != 0) penalise_counted(sequence, s.counted);
}

// ---- reports

vec4 report_quad(uint i)
{
    if (changed) return kept4[row4 + i];
    return logits4[row4 + i];
}

#include "report.glsl"

// ---- bins of weights, in which a value is found

// A bin is one word or, wide, two that lie BINS apart.
uvec2 bin_at(uint bin, bool wide) { return uvec2(table[bin], wide ? table[BINS + bin] : 0); }

void bin_add(uint bin, uvec2 weight)
{
    uint before = atomicAdd(table[bin], weight.x), high = weight.y + uint(before + weight.x < before);
    if (high != 0) atomicAdd(table[BINS + bin], high);
}

void bins_clear(uint words)
{
    for (uint i = gl_LocalInvocationID.x; i < words; i += SIZE) table[i] = 0;
    barrier();
}

// The sums of a 32nd of the bins each. The lanes take turns among the banks of shared memory.
void bins_sum(uint bins, bool wide)
{
    barrier();
    uint each = bins / 32;
    for (uint i = gl_LocalInvocationID.x; i < 32; i += SIZE) {
        uvec2 sum = uvec2(0);
        for (uint j = 0; j < each; j++) sum = add64(sum, bin_at(i * each + ((i + j) & (each - 1)), wide));
        coarse[i] = sum;
    }
    barrier();
}

uvec2 bins_total()
{
    uvec2 total = uvec2(0);
    [[dont_unroll]] for (uint i = 0; i < 32; i += 8) // some loads at once
        [[unroll]] for (uint j = 0; j < 8; j++) total = add64(total, coarse[i + j]);
    return total;
}

// The first bin where the sum of the bins up to it exceeds the target, or `bins`; what comes before is taken off the
// target.
uint bins_walk(uint bins, bool wide, inout uvec2 target)
{
    uint group = 0, each = bins / 32;
    for (; group < 31 && !exceeds64(coarse[group], target); group++) target = subtract64(target, coarse[group]);
    uint bin = group * each, end = bin + each;
    for (; bin < end; bin++) {
        uvec2 weight = bin_at(bin, wide);
        if (exceeds64(weight, target)) break;
        target = subtract64(target, weight);
    }
    return bin;
}

// ---- searches

#define BY_STEPS 0 // the limit of the candidates: values are the lanes' maxima, in steps below the maximum, weights 1
#define BY_COUNT 1 // the k-th key: values are keys, weights 1
#define BY_MASS 2  // top-p: values fall with the weights at temperature 1
#define BY_INDEX 3 // the draw: values are token ids

float steps_below(float logit)
{
    precise float steps = (maximum - logit) * steps_by_logit;
    return steps;
}

// Adds the logits whose values agree with `found` from bit `above` on, into the bins of the bits from `shift` on. A
// lane adds up neighbours that fall into the same bin by itself: often most of them do.
void bins_fill(uint by, uint bins, uint found, uint above, uint shift)
{
    bool all = by != BY_INDEX || above == 32;
    uint first = all ? 0 : found / 4, end = all ? a.vocab : min(found + (1u << above), a.vocab), bin = 0;
    float scale = by == BY_MASS ? LOG2E_FLOAT : sharpness;
    uvec2 sum = uvec2(0);
    for (uint i = first + gl_LocalInvocationID.x; i * 4 < end; i += SAMPLE_AHEAD * SIZE) {
        vec4 v[SAMPLE_AHEAD];
        load_ahead(i, v);
        [[dont_unroll]] for (uint j = 0; j < SAMPLE_AHEAD; j++) {
            [[unroll]] for (uint c = 0; c < 4; c++) {
                float logit = v[0][c];
                uint key = key_of(logit), id = (i + j * SIZE) * 4 + c, value = by == BY_COUNT ? key : id;
                uint weight = id < a.vocab ? 1 : 0;
                if (by != BY_COUNT) weight = key <= least_key ? weight_of(logit, scale) : 0;
                if (by == BY_MASS) value = ONE - weight;
                if (by == BY_INDEX && least_weight > 0 && weight_1(logit) < least_weight) weight = 0;
                if (weight == 0 || (above < 32 && value >> above != found >> above)) continue;
                uint next = value >> shift & (bins - 1);
                if (next != bin && sum != uvec2(0)) { bin_add(bin, sum); sum = uvec2(0); }
                bin = next;
                sum = add64(sum, uvec2(weight, 0));
            }
            // not v[j], which some compilers put into memory
            [[unroll]] for (uint n = 0; n + 1 < SAMPLE_AHEAD; n++) v[n] = v[n + 1];
        }
    }
    if (sum != uvec2(0)) bin_add(bin, sum);
}

void steps_fill()
{
    float best = uintBitsToFloat(table[BINS + gl_LocalInvocationID.x]);
    if (best > NOTHING) bin_add(uint(min(steps_below(best), float(STEPS - 1))), uvec2(1, 0));
}

// What the sum of the weights has to exceed. The sum that top-p keeps reaches its share of the total.
uvec2 target_of(uint by, Sequence s, uvec2 total)
{
    uvec2 part = part64(total, by == BY_MASS ? uint(max(s.top_p, 0.0) * 4294967296.0) : random);
    if (by == BY_MASS && part != uvec2(0)) part = subtract64(part, uvec2(1, 0));
    return by <= BY_COUNT ? uvec2(s.top_k - 1, 0) : part;
}

// The least value at which the summed weights of the values up to it exceed a target; BY_STEPS: STEPS, if none does.
uint search(uint by, Sequence s)
{
    bool wide = by >= BY_MASS;
    uint bits = wide ? 10 : 11, found = 0, above = 32;
    uint shift = by == BY_STEPS ? 0 : by == BY_COUNT ? 22 : by == BY_MASS ? 20 : uint(max(findMSB(a.vocab - 1), 9)) - 9;
    uint bins = by == BY_STEPS ? STEPS : 1u << bits;
    uvec2 target;
    for (;;) {
        bins_clear(wide ? 2 * bins : bins);
        if (by != BY_STEPS) bins_fill(by, bins, found, above, shift);
        else steps_fill();
        bins_sum(bins, wide);
        if (above == 32) target = target_of(by, s, bins_total());
        found |= bins_walk(bins, wide, target) << shift;
        barrier();
        if (shift == 0) return found;
        above = shift;
        shift -= min(shift, bits);
    }
}

// ---- the candidates of top-k

// The ids of all logits that are less than `limit` steps below the maximum, in any order. Returns how many.
uint candidates_collect(float limit)
{
    if (gl_LocalInvocationID.x == 0) found_count = 0;
    barrier();
    for (uint i = gl_LocalInvocationID.x; i * 4 < a.vocab; i += SAMPLE_AHEAD * SIZE) {
        vec4 v[SAMPLE_AHEAD];
        load_ahead(i, v);
        uint hits = 0;
        [[unroll]] for (uint j = 0; j < SAMPLE_AHEAD; j++)
            [[unroll]] for (uint c = 0; c < 4; c++)
                hits |= uint(steps_below(v[j][c]) < limit) << (j * 4 + c);
        for (; hits != 0; hits &= hits - 1) {
            uint hit = findLSB(hits), at = atomicAdd(found_count, 1);
            if (at < CANDIDATES) table[IDS + at] = (i + hit / 4 * SIZE) * 4 + (hit & 3);
        }
    }
    barrier();
    uint count = found_count <= CANDIDATES ? found_count : 0;
    for (uint i = gl_LocalInvocationID.x; i < count; i += SIZE) {
        table[KEYS + i] = key_of(logit_at(table[IDS + i]));
        table[COUNTS + i] = 1;
    }
    barrier();
    return count;
}

// The same choices among the candidates: each looks at all and adds up the weights of those before it. One loop, again.
uint draw_from_candidates(Sequence s, uint count)
{
    [[dont_unroll]] for (uint by = BY_COUNT; by <= BY_INDEX; by++) {
        if (by == BY_MASS && s.top_p >= 1.0) continue;
        uint value_first = by == BY_COUNT ? KEYS : by == BY_MASS ? WEIGHTS_1 : IDS;
        uint weight_first = by == BY_COUNT ? COUNTS : by == BY_MASS ? WEIGHTS_1 : DRAWN;
        uint falling = by == BY_MASS ? 0xffffffffu : 0;
        for (uint i = gl_LocalInvocationID.x; i < count; i += SIZE) {
            uint value = table[value_first + i] ^ falling;
            uvec2 total = uvec2(0), before = uvec2(0);
            for (uint j = 0; j < count; j++) {
                uvec2 other = uvec2(table[weight_first + j], 0);
                total = add64(total, other);
                if ((table[value_first + j] ^ falling) < value) before = add64(before, other);
            }
            uvec2 target = target_of(by, s, total);
            bool kept = !exceeds64(before, target);
            if (by == BY_COUNT) {
                float logit = logit_of(value);
                uint weight = kept ? weight_1(logit) : 0;
                table[WEIGHTS_1 + i] = weight;
                table[DRAWN + i] = kept && weight >= least_weight ? weight_of(logit, sharpness) : 0;
            } else if (by == BY_MASS) {
                if (!kept) table[DRAWN + i] = 0;
            } else if (kept && exceeds64(add64(before, uvec2(table[DRAWN + i], 0)), target)) found_index = value;
        }
        barrier();
    }
    return found_index;
}

// ---- the choice

// Whether top-k leaves few enough candidates.
bool is_narrow(Sequence s) { return s.temperature > 0.0 && s.top_k - 1 < min(min(MOST_K, SIZE / 2), a.vocab - 1); }

uint draw(Sequence s)
{
    uint found = 0;
    if (gl_LocalInvocationID.x == 0) random = philox(uvec4(s.position, 0, 0, 0), uvec2(s.seed_low, s.seed_high)).x;
    least_key = 0xffffffffu;
    least_weight = uint(clamp(s.min_p, 0.0, 1.0) * float(ONE));
    sharpness = ratio(LOG2E, s.temperature);
    // The limit of the candidates is the k-th largest of the lanes' maxima, rounded up; fewer lanes may have any.
    for (uint by = is_narrow(s) ? BY_STEPS : BY_COUNT; by <= BY_INDEX; by++) {
        if (by == BY_COUNT && (s.top_k == 0 || s.top_k >= a.vocab)) continue;
        if (by == BY_MASS && s.top_p >= 1.0) continue;
        found = search(by, s);
        if (by == BY_STEPS) {
            uint count = found < STEPS ? candidates_collect(float(found + 1)) : 0;
            if (count > 0) return draw_from_candidates(s, count);
        }
        if (by == BY_COUNT) least_key = found;
        if (by == BY_MASS) least_weight = max(least_weight, ONE - found);
    }
    return found;
}

// The token of a row; whether its logits are bad goes into `bad`.
uint choose(uint sequence, Sequence s, out bool bad)
{
    bool few_parts = is_narrow(s) && a.groups < 2 * s.top_k;
    changed = state[sequence].repeat_penalty != 1.0 || (state[sequence].biases | s.counted) != 0;
    for (bool in_logits = false;; in_logits = true) {
        find_maximum(in_logits);
        bad = in_logits ? is_bad(maximum) : found_bad != 0; // a penalty can make an infinity
        if (bad || in_logits || !(changed || few_parts)) break;
        barrier();
        if (changed) change_logits(sequence, s);
    }
    uint token = found_index;
    if (!bad && s.temperature > 0.0) {
        barrier();
        token = draw(s);
    }
    barrier();
    return min(token, a.vocab - 1);
}

// Why the sequence stops with this token, if it does. Its ends of text are read here: a copy would take 16 registers.
uint reason(uint sequence, uint token, bool bad)
{
    if (bad) return STOP_BAD_LOGITS;
    for (uint i = 0; i < min(state[sequence].eos_count, MAX_EOS); i++)
        if (state[sequence].eos[i] == token) return STOP_EOS;
    return STOP_NONE;
}

// Reports the tokens that were chosen; the highest bit says that the row's logits are changed. That is done after all
// are chosen, so that no register holds the sampling meanwhile.
void report_rows(uint sequence, uint top)
{
    uint kept = REPORTS_KEPT * rows_of(a.range), most = min(top, min(MAX_TOP, a.vocab));
    barrier();
    for (uint t = 0; t < chosen_count; t++) {
        row4 = (row_first + t) * (a.logits_stride / 4);
        changed = chosen[t] >> 31 != 0;
        report_token(sequence * kept + (chosen_first + t) % kept, chosen[t] & 0x7fffffffu, most);
    }
}

// Sequence `number` of the range.
void sample_sequence(uint number)
{
    uint sequence = first_of(a.range) + number;
    Sequence s = state[sequence];
    if (s.stop != STOP_NONE) return;
    token_first = sequence * a.token_stride;
    bool writes = gl_LocalInvocationID.x == 0;
    uint rows = min(s.rows, rows_of(a.range));
    if (writes) {
        chosen_count = 0;
        chosen_first = s.position + 1;
        change_first = sequence * (MAX_BIAS + a.token_stride);
        row_first = number * rows_of(a.range);
    }
    barrier();

    for (uint t = 0; t < rows && s.stop == STOP_NONE; t++) {
        uint row = row_first + t;
        row4 = row * (a.logits_stride / 4);
        row_parts = row * a.groups;
        bool bad;
        uint token = choose(sequence, s, bad), next = s.position + 1;
        s.stop = reason(sequence, token, bad);
        if (writes && !bad) { chosen[t] = token | uint(changed) << 31; chosen_count = t + 1; }
        if (writes) ring[token_first + next] = s.stop == STOP_NONE ? token : RING_STOP | s.stop;
        if (s.stop != STOP_NONE) break;
        bool drafted = t + 1 < rows && tokens[token_first + next] == token;
        barrier(); // every lane has looked at the draft
        if (writes && !drafted) tokens[token_first + next] = token;
        bool counts = state[sequence].presence != 0.0 || state[sequence].frequency != 0.0;
        if (counts) s.counted = count_token(s.counted, token);
        s.position = next;
        s.remaining--;
        if (s.remaining == 0 || next >= s.context) s.stop = STOP_FULL;
        if (!drafted) break;
    }
    if (writes) {
        state[sequence].position = s.position;
        state[sequence].remaining = s.remaining;
        state[sequence].rows = 1;
        state[sequence].counted = s.counted;
        state[sequence].stop = s.stop;
    }
    if (state[sequence].reports != 0) report_rows(sequence, state[sequence].reports - 1);
}
