// The activation of expand's outputs. The includer has its output as h.

void PHASE(store)(Row row, uint o, vec2 y) { h[(row.index * a.y_stride + o) / 2] = vec2(activate(y.x), activate(y.y)); }
