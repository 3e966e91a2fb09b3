// x += y, for project and contract. The includer declares the residual stream as y_rows.

uint PHASE(at)(uint row, uint o) { return (row * a.y_stride + o) / 2; }

vec2 PHASE(before)(uint row, uint o) { return y_rows[PHASE(at)(row, o)]; }

void PHASE(store_sum)(uint row, uint o, vec2 y) { y_rows[PHASE(at)(row, o)] = y; }

#ifdef DETERMINISTIC
void PHASE(store)(Row row, uint o, vec2 y) { PHASE(store_sum)(row.index, o, settled(PHASE(before)(row.index, o) + y)); }
#else
void PHASE(store)(Row row, uint o, vec2 y) { y_rows[PHASE(at)(row.index, o)] += y; }
#endif
