// The input of project: the ranges that `attend` left, merged.

void PHASE(stage)(Row row)
{
    for (uint i = gl_LocalInvocationID.x; i < WIDTH / 4; i += SIZE) staged(i) = merged(row, i);
    barrier();
}
