// Takes what the host has left in the inbox: the groups of the next block, and for each admission state[sequence] =
// state and tokens[first ..] = given[at ..], and the biases, which are the words behind these. The ring of a sequence
// that starts is emptied from its position on. One workgroup per admission; those after the last one end at once.
#version 460
#extension GL_GOOGLE_include_directive : require
#define STATE_ACCESS
#include "common.glsl"

layout(push_constant) uniform Push { AdmitArgs a; };

layout(binding = 1) writeonly buffer Tokens { uint tokens[]; };
layout(binding = 2) writeonly buffer Ring { uint ring[]; };
layout(binding = 3) readonly buffer Inbox { InboxHead head; Admission admissions[]; };
layout(binding = 4) readonly buffer Given { uint given[]; };
layout(binding = 5) writeonly buffer Changes { LogitChange changes[]; };

void main()
{
    uint lane = gl_LocalInvocationID.x, n = gl_WorkGroupID.x;
    for (uint g = lane; n == 0 && g < MAX_GROUPS; g += SIZE) groups[g] = head.groups[g];
    if (n >= head.admissions) return;
    uint sequence = min(admissions[n].sequence, a.sequences - 1), begin = sequence * a.token_stride;
    uint first = admissions[n].first, at = admissions[n].at, end = min(first + admissions[n].count, a.token_stride);
    for (uint i = first + lane; i < end; i += SIZE) tokens[begin + i] = given[at + i - first];
    uint biases = min(admissions[n].state.biases, MAX_BIAS), bias_at = at + admissions[n].count;
    uint change_first = sequence * (MAX_BIAS + a.token_stride);
    for (uint i = lane; i < biases; i += SIZE)
        changes[change_first + i] = LogitChange(given[bias_at + 2 * i], given[bias_at + 2 * i + 1]);
    bool starts = admissions[n].state.stop == STOP_NONE;
    uint behind = admissions[n].state.position + 1;
    for (uint i = behind + lane; starts && i < a.token_stride; i += SIZE) ring[begin + i] = RING_EMPTY;
    if (lane == 0) state[sequence] = admissions[n].state;
}
