// PREFILL on a GPU: stores the results of a product, four outputs of a row at a time, with bias and residual.

#ifdef RESIDUAL
vec2 PHASE(before)(uint row, uint o);
void PHASE(store_sum)(uint row, uint o, vec2 y);
#define STORED 4 // stored together: first the residuals of all of them are loaded
#else
#define STORED 1
#endif

// What a lane stores next: four outputs of a row, and the residual that they are added to.
struct Made {
    Row row;
    uint o;
    bool exists;
    vec4 y, before;
};
Made made[STORED];

void made_begin(uint m, uint row, uint o, bool exists)
{
    made[m].row = row_at(row, a.step_rows);
    made[m].o = a.first + o;
    made[m].exists = exists && made[m].row.runs && o < a.count;
#ifdef RESIDUAL
    if (made[m].exists) made[m].before = vec4(PHASE(before)(row, made[m].o), PHASE(before)(row, made[m].o + 2));
#endif
}

void store2(Made m, uint o, vec2 y, vec2 before)
{
#ifdef RESIDUAL
    PHASE(store_sum)(m.row.index, o, before + y);
#else
    PHASE(store)(m.row, o, y);
#endif
}

void made_store(Made m)
{
    if (!m.exists) return;
    store2(m, m.o, m.y.xy + bias2(m.o), m.before.xy);
    if (m.o + 2 < a.first + a.count) store2(m, m.o + 2, m.y.zw + bias2(m.o + 2), m.before.zw);
}
