// Stores the outputs of expand, after the activation. The includer declares the output as h.

void PHASE(store)(Row row, uint o, vec2 y) { h[(row.index * a.y_stride + o) / 2] = vec2(activate(y.x), activate(y.y)); }
