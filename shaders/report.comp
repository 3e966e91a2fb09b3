// The report of the token after each row of a prefill block (report.glsl), for sequences that want one. One workgroup
// per row.
// variants: - DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#define PREFILL
#include "common.glsl"

layout(push_constant) uniform Push { ReportArgs a; };

layout(binding = 1) readonly buffer Tokens { uint tokens[]; };
layout(binding = 2) readonly buffer Logits { vec4 logits4[]; };
layout(binding = 3) writeonly buffer Reports { TokenReport token_reports[]; };

uint row4;

vec4 report_quad(uint i) { return logits4[row4 + i]; }

#include "integers.glsl"
#include "report.glsl"

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    uint wanted = row.runs ? state[row.sequence].reports : 0;
    if (wanted == 0) return;
    row4 = row.index * (a.logits_stride / 4);
    uint token = tokens[row.sequence * a.token_stride + row.position + 1];
    report_token(row.index, min(token, a.vocab - 1), min(wanted - 1, min(MAX_TOP, a.vocab)));
}
