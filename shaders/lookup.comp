// Prompt lookup (Saxena 2023; Yang et al. 2023, "Inference with reference"): if the newest tokens occurred before, the
// tokens that followed them are likely to follow again. They are written to `tokens` as drafts after the next token,
// and the next step reads all of them at once. The longest match wins; of two of the same length, the later one. One
// workgroup per sequence.
#version 460
#extension GL_GOOGLE_include_directive : require
#define STATE_ACCESS
#include "common.glsl"

#define LEAST 2 // tokens that have to match
#define MOST 6

layout(push_constant) uniform Push { LookupArgs a; };

layout(binding = 1) buffer Tokens { uint tokens[]; };

shared uint best; // length of the match, and its last position

void main()
{
    uint sequence = a.range.first + gl_WorkGroupID.x, first = sequence * a.token_stride;
    Sequence s = state[sequence];
    if (s.stop != STOP_NONE) return;
    if (gl_LocalInvocationID.x == 0) best = 0;
    barrier();
    for (uint p = LEAST - 1 + gl_LocalInvocationID.x; p < s.position; p += SIZE) {
        uint length = 0;
        while (length < MOST && length <= p &&
               tokens[first + p - length] == tokens[first + s.position - length]) length++;
        if (length >= LEAST) atomicMax(best, length << 24 | p);
    }
    barrier();
    if (gl_LocalInvocationID.x != 0 || best == 0) return;

    // a text that repeats itself: the drafts may continue into the drafts
    uint period = s.position - (best & 0xffffffu);
    uint most = min(s.remaining, s.context - s.position), drafts = min(a.range.rows, most) - 1;
    for (uint i = 1; i <= drafts; i++) tokens[first + s.position + i] = tokens[first + s.position + i - period];
    state[sequence].rows = 1 + drafts;
}
