// How likely a token is, and the likeliest ones in its place: log softmax of a row of logits. By one workgroup.
//
// Who includes this declares the arguments `a` with the vocabulary, the buffer token_reports[], and report_quad(i), the
// logits 4 i .. 4 i + 3 of the row. Calls report_token() with the whole workgroup. The sum of the softmax is one of
// integers, so its bits do not depend on the number of lanes.

#define REPORT_ONE 44 // the weight of the largest logit is 2^44

struct Likely {
    float logit;
    uint id;
};

shared uint report_sum[2], report_id, report_bad;

// 2^44 exp(logit - maximum), rounded down
uvec2 report_weight(float logit, float maximum)
{
    precise float y = (maximum - logit) * LOG2E_FLOAT;
    if (!(y < float(REPORT_ONE))) return uvec2(0);
    uint whole = uint(y);
    precise float f = y - float(whole);
    uint weight = power_of(f); // in 2^-30
    return whole < 14 ? uvec2(weight << (14 - whole), weight >> (18 + whole)) : uvec2(weight >> (whole - 14), 0);
}

// Of this lane's share, the likeliest token after `last`, the lowest id on ties.
Likely report_next(Likely last)
{
    Likely best = Likely(MINUS_INFINITY, 0xffffffffu);
    for (uint i = gl_LocalInvocationID.x; i * 4 < a.vocab; i += SIZE) {
        vec4 v = report_quad(i);
        [[unroll]] for (uint c = 0; c < 4; c++) {
            uint id = i * 4 + c;
            bool after = v[c] < last.logit || (v[c] == last.logit && id > last.id);
            if (after && id < a.vocab && v[c] > best.logit) best = Likely(v[c], id);
        }
    }
    return best;
}

Likely report_first(Likely mine)
{
    float best = workgroup_max(mine.logit);
    if (gl_LocalInvocationID.x == 0) report_id = 0xffffffffu;
    barrier();
    if (mine.logit == best) atomicMin(report_id, mine.id);
    barrier();
    Likely first = Likely(best, report_id);
    barrier();
    return first;
}

// log(sum(exp(logit - maximum))); also finds out whether a logit is not finite
float report_log_sum(float maximum)
{
    if (gl_LocalInvocationID.x == 0) report_sum[0] = report_sum[1] = report_bad = 0;
    barrier();
    uvec2 sum = uvec2(0);
    bool bad = false;
    for (uint i = gl_LocalInvocationID.x; i * 4 < a.vocab; i += SIZE) {
        vec4 v = report_quad(i);
        [[unroll]] for (uint c = 0; c < 4; c++) {
            if (i * 4 + c >= a.vocab) continue;
            sum = add64(sum, report_weight(v[c], maximum));
            bad = bad || is_bad(v[c]);
        }
    }
    uint before = atomicAdd(report_sum[0], sum.x), high = sum.y + uint(before + sum.x < before);
    if (high != 0) atomicAdd(report_sum[1], high);
    if (bad) atomicOr(report_bad, 1);
    barrier();
    precise float total = float(report_sum[1]) * 0.000244140625; // 2^-12, and 2^-44
    precise float low = float(report_sum[0]) * 5.684341886080802e-14;
    total = total + low;
    return log(total);
}

// Writes token_reports[at]: that of a token, with the `top` likeliest ones.
void report_token(uint at, uint token, uint top)
{
    Likely likely = Likely(uintBitsToFloat(0x7f800000u), 0xffffffffu), mine = likely; // from before the first one on
    float maximum = 0.0, log_sum = 0.0;
    bool writes = gl_LocalInvocationID.x == 0;
    for (uint i = 0; i < max(top, 1); i++) {
        if (mine.id == likely.id) mine = report_next(likely);
        likely = report_first(mine);
        if (i == 0) {
            maximum = likely.logit;
            log_sum = report_log_sum(maximum);
            uint id = report_bad != 0 ? REPORT_BAD : token;
            float logit = report_quad(token / 4)[token & 3];
            if (writes) token_reports[at].token = TokenLogprob(id, SETTLED((logit - maximum) - log_sum));
        }
        float logprob = SETTLED((likely.logit - maximum) - log_sum);
        if (writes && i < top) token_reports[at].top[i] = TokenLogprob(likely.id, logprob);
    }
}
