// The input of project: the ranges of `attend`, merged.

void PHASE(stage)(Row row)
{
    for (uint i = gl_LocalInvocationID.x; i < WIDTH / 4; i += SIZE) staged(i) = merged(row, i);
    barrier();
}
