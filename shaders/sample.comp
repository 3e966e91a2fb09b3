// The next tokens of a sequence, by one workgroup: argmax, or repeat penalty, top-k, top-p, min-p, temperature and a
// draw, in llama.cpp's order. Advances the sequence's state and writes the ring that the host reads.
//
// Every choice is a search among integers, eight bits a pass: the first value, in rising order, at which the summed
// weights of all values up to it pass a target. Top-k looks for the k-th logit (weight 1), top-p for the logit where
// the mass passes p, the draw for the token where the mass passes a random number. Integer sums come out the same in
// any order, so equal logits give equal tokens on every device.
//
// A step reads one token and the drafts behind it (lookup.comp); each has its row of logits, and gives the token that
// follows it. As long as that is the next draft, the row behind stands for the right text, and is taken too: so the
// tokens are the same with drafts and without, also when they are drawn, since a draw depends on its position alone.
#version 460
#extension GL_GOOGLE_include_directive : require
#define STATE_ACCESS
#include "common.glsl"
#include "philox.glsl"

layout(push_constant) uniform Push { SampleArgs a; };

layout(binding = 1) buffer Tokens { uint tokens[]; };
layout(binding = 2) buffer Logits { float logits[]; };
layout(binding = 3) readonly buffer Parts { HeadPart parts[]; };
layout(binding = 4) writeonly buffer Ring { uint ring[]; };

shared uint histogram[256];
shared uint coarse[16];
shared uint shared_index, shared_bad;

uint sequence, row, logit_first, token_first;
float maximum;       // of the logits
uint least_key;      // keys above it are dropped: the top-k and top-p limits
float least_logit;   // logits below it are dropped: min-p
float weight_scale;  // from exponentials to integer weights that sum to about 2^30
float temperature;   // of the weights: 1 while choosing the set

// Rising for falling logits, so that the largest logit has the smallest key.
uint key_of(float logit)
{
    uint bits = floatBitsToUint(logit);
    return (bits & 0x80000000u) != 0 ? bits : ~bits & 0x7fffffffu;
}

bool kept(float logit) { return key_of(logit) <= least_key && logit >= least_logit; }

// exp(-100) is nothing beside the 1 of the maximum; of -1e38, some drivers' exp() is not.
float mass(float logit) { return kept(logit) ? exp(max((logit - maximum) / temperature, -100.0)) : 0.0; }

void set_weight_scale()
{
    float total = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) total += mass(logits[logit_first + i]);
    weight_scale = 1073741824.0 / workgroup_sum(total);
}

#define BY_COUNT 0 // values are keys, weights 1
#define BY_MASS 1  // values are keys, weights are masses
#define BY_INDEX 2 // values are token ids, weights are masses

uint value_of(uint by, uint i, float logit) { return by == BY_INDEX ? i : key_of(logit); }

uint weight_of(uint by, float logit)
{
    if (by == BY_COUNT) return kept(logit) ? 1 : 0;
    return uint(mass(logit) * weight_scale);
}

// The least value at which the summed weights of the values up to it exceed `target`.
uint search(uint by, uint target)
{
    uint found = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (uint i = gl_LocalInvocationID.x; i < 256; i += SIZE) histogram[i] = 0;
        barrier();
        for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) {
            float logit = logits[logit_first + i];
            uint value = value_of(by, i, logit);
            bool matches = shift == 24 || (value >> (shift + 8)) == (found >> (shift + 8));
            uint weight = matches ? weight_of(by, logit) : 0;
            if (weight > 0) atomicAdd(histogram[(value >> shift) & 255], weight);
        }
        barrier();
        for (uint i = gl_LocalInvocationID.x; i < 16; i += SIZE) {
            uint total = 0;
            for (uint j = 0; j < 16; j++) total += histogram[i * 16 + j];
            coarse[i] = total;
        }
        barrier();
        uint digit = 0, before = 0; // every lane walks: 16 sums of 16, then the 16 of the one that passes
        while (digit < 15 && before + coarse[digit] <= target) before += coarse[digit++];
        digit *= 16;
        uint last = digit + 15;
        while (digit < last && before + histogram[digit] <= target) before += histogram[digit++];
        target -= before;
        found |= digit << shift;
        barrier();
    }
    return found;
}

// Total of all integer weights.
uint weight_total()
{
    if (gl_LocalInvocationID.x == 0) shared_index = 0;
    barrier();
    uint total = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) total += weight_of(BY_MASS, logits[logit_first + i]);
    atomicAdd(shared_index, total);
    barrier();
    total = shared_index;
    barrier();
    return total;
}

// CTRL (Keskar et al. 2019): a token that stands in the last positions gets a smaller logit, once.
void penalise(Sequence s)
{
    uint seen = min(s.position + 1, s.repeat_last_n), first = token_first + s.position + 1 - seen;
    for (uint i = gl_LocalInvocationID.x; i < seen; i += SIZE) {
        uint token = min(tokens[first + i], a.vocab - 1);
        bool again = false;
        for (uint j = 0; j < i; j++) again = again || min(tokens[first + j], a.vocab - 1) == token;
        if (again) continue;
        float logit = logits[logit_first + token];
        logits[logit_first + token] = logit > 0.0 ? logit / s.repeat_penalty : logit * s.repeat_penalty;
    }
    memoryBarrierBuffer();
    barrier();
}

// The maximum with the lowest id that has it, from what head left or, when logits were changed since, from all.
void find_maximum(bool changed)
{
    if (gl_LocalInvocationID.x == 0) { shared_index = 0xffffffffu; shared_bad = 0; }
    float best = uintBitsToFloat(0xff800000u);
    uint index = 0xffffffffu, bad = 0;
    if (changed) {
        for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) {
            float logit = logits[logit_first + i];
            if (logit > best) { best = logit; index = i; }
        }
    } else {
        for (uint i = gl_LocalInvocationID.x; i < a.groups; i += SIZE) {
            HeadPart part = parts[row * a.groups + i];
            bad |= part.bad;
            if (part.maximum > best || (part.maximum == best && part.index < index)) {
                best = part.maximum;
                index = part.index;
            }
        }
    }
    maximum = workgroup_max(best);
    if (best == maximum) atomicMin(shared_index, index);
    if (bad != 0) atomicOr(shared_bad, 1);
    barrier();
}

// The three searches share one loop, for drivers that take long to compile: what each looks for, then what it means.
uint draw(Sequence s)
{
    uint random = philox(uvec4(s.position, 0, 0, 0), uvec2(s.seed_low, s.seed_high)).x, token = 0;
    temperature = 1.0;
    least_key = 0xffffffffu;
    least_logit = uintBitsToFloat(0xff800000u);
    for (uint by = BY_COUNT; by <= BY_INDEX; by++) {
        if (by == BY_COUNT && (s.top_k == 0 || s.top_k >= a.vocab)) continue;
        if (by == BY_MASS && s.top_p >= 1.0) continue;
        if (by == BY_INDEX) {
            if (s.min_p > 0.0) least_logit = min(maximum + log(s.min_p), maximum);
            temperature = max(s.temperature, 1e-30); // denormal numbers may count as 0
        }
        uint target = s.top_k - 1;
        if (by != BY_COUNT) {
            set_weight_scale();
            uint total = weight_total(), high, low;
            umulExtended(random, total, high, low); // random / 2^32 of the total
            target = by == BY_INDEX ? high : max(uint(max(s.top_p, 0.0) * float(total)), 1) - 1;
        }
        token = search(by, target);
        if (by != BY_INDEX) least_key = min(least_key, token);
    }
    return token;
}

// The token of a row; whether its logits are bad goes into `bad`.
uint choose(Sequence s, out bool bad)
{
    find_maximum(false);
    bad = shared_bad != 0;
    uint token = shared_index;
    if (!bad && s.repeat_penalty != 1.0) {
        barrier();
        penalise(s);
        find_maximum(true);
        token = shared_index;
        bad = is_bad(maximum); // the penalty can make an infinity
    }
    if (!bad && s.temperature > 0.0) {
        barrier();
        token = draw(s);
    }
    barrier();
    return min(token, a.vocab - 1);
}

// Why the sequence stops with this token, if it does.
uint reason(Sequence s, uint token, bool bad)
{
    if (bad) return STOP_BAD_LOGITS;
    for (uint i = 0; i < min(s.eos_count, MAX_EOS); i++)
        if (s.eos[i] == token) return STOP_EOS;
    return STOP_NONE;
}

void main()
{
    sequence = gl_WorkGroupID.x;
    Sequence s = state[sequence];
    if (s.stop != STOP_NONE) return;
    token_first = sequence * a.token_stride;
    bool writes = gl_LocalInvocationID.x == 0;
    uint rows = min(s.rows, a.step_rows);

    for (uint t = 0; t < rows && s.stop == STOP_NONE; t++) {
        row = sequence * a.step_rows + t;
        logit_first = row * a.logits_stride;
        bool bad;
        uint token = choose(s, bad), next = s.position + 1;
        s.stop = reason(s, token, bad);
        if (writes) ring[token_first + next] = s.stop == STOP_NONE ? token : RING_STOP | s.stop;
        if (s.stop != STOP_NONE) break;
        bool drafted = t + 1 < rows && tokens[token_first + next] == token;
        barrier(); // every lane has looked at the draft
        if (writes) tokens[token_first + next] = token;
        s.position = next;
        s.remaining--;
        if (s.remaining == 0 || next >= s.context) s.stop = STOP_FULL;
        if (!drafted) break;
    }
    if (!writes) return;
    state[sequence].position = s.position;
    state[sequence].remaining = s.remaining;
    state[sequence].rows = 1;
    state[sequence].stop = s.stop;
}
