// log softmax(logits)[next token] for each row of a prefill block, and the likeliest token. The next token is the one
// after the row's own in `tokens`. One workgroup per row.
// variants: - DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#define PREFILL
#include "common.glsl"

layout(push_constant) uniform Push { ScoreArgs a; };

layout(binding = 1) readonly buffer Tokens { uint tokens[]; };
layout(binding = 2) readonly buffer Logits { float logits[]; };
layout(binding = 3) writeonly buffer Scores { RowScore scores[]; };

shared uint likeliest, bad;

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs) return;
    if (gl_LocalInvocationID.x == 0) { likeliest = 0xffffffffu; bad = 0; }
    uint first = row.index * a.logits_stride, best_id = 0xffffffffu;
    float best = MINUS_INFINITY;
    bool seen_bad = false;
    for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) {
        float logit = logits[first + i];
        seen_bad = seen_bad || is_bad(logit);
        if (logit > best) { best = logit; best_id = i; }
    }
    float maximum = workgroup_max(best);
    if (best == maximum) atomicMin(likeliest, best_id);
    if (seen_bad) atomicOr(bad, 1);

    float sum = 0.0; // a few hundred terms per lane, then a sum over the lanes: fp32 is enough
    for (uint i = gl_LocalInvocationID.x; i < a.vocab; i += SIZE) sum += exp(max(logits[first + i] - maximum, -100.0));
    sum = workgroup_sum(sum);
    if (gl_LocalInvocationID.x != 0) return;
    uint target = min(tokens[row.sequence * a.token_stride + row.position + 1], a.vocab - 1);
    scores[row.index] = RowScore(logits[first + target] - maximum - log(sum), bad != 0 ? SCORE_BAD : likeliest);
}
