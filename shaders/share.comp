// Copies beginnings of sequences within the cache of a layer (cache.glsl): for each copy of the inbox, in order, the rows
// of some positions, of all heads. An invocation copies the same words of a head in every copy, so a copy may read what
// one before it has written. x is the head, the workgroups of y divide its rows; z = 0 copies K, z = 1 copies V.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "args.h"

layout(local_size_x_id = CONSTANT_SIZE) in;

layout(push_constant) uniform Push { ShareArgs a; };

layout(binding = 0) buffer K { uint k_cache[]; };
layout(binding = 1) buffer V { uint v_cache[]; };
layout(binding = 2) readonly buffer Inbox { InboxHead head; };
layout(binding = 3) readonly buffer Given { CacheCopy copies[]; };

// Copies the words first to end - 1 of one part of the cache to another.
void copy_words(uint from, uint to, uint first, uint end)
{
    uint step = gl_WorkGroupSize.x * gl_NumWorkGroups.y;
    uint word = first / step * step + gl_GlobalInvocationID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    for (word += word < first ? step : 0; word < end; word += step) {
        if (gl_WorkGroupID.z == 0) k_cache[to + word] = k_cache[from + word];
        else v_cache[to + word] = v_cache[from + word];
    }
}

void main()
{
    for (uint i = 0; i < head.copies; i++) {
        uint from = min(copies[i].from, a.sequences - 1), to = min(copies[i].to, a.sequences - 1);
        uint first = copies[i].first, end = min(copies[i].end, a.context);
        uint from_row = (from * a.heads + gl_WorkGroupID.x) * a.context, to_row = (to * a.heads + gl_WorkGroupID.x) * a.context;
        copy_words(from_row * a.words, to_row * a.words, first * a.words, end * a.words);
        copy_words(a.scales + from_row * a.scale_words, a.scales + to_row * a.scale_words, first * a.scale_words,
                   end * a.scale_words);
    }
}
