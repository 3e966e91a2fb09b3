#include "failing_malloc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (1u << 16)

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t most);
void __real_free(void *memory);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);
void __wrap_free(void *memory);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t calls, fail_at;
static bool fail_all, failed;
static int64_t allocated;
static void *known[SLOTS]; // the pointers counted in `allocated`, at the slot of their address or after it

// The slot of a pointer, or the first empty slot from its own on.
static void **slot_of(const void *memory)
{
    size_t at = ((uintptr_t)memory >> 4) * 2654435761u % SLOTS;
    while (known[at] && known[at] != memory) at = (at + 1) % SLOTS;
    return &known[at];
}

static bool comes(void)
{
    pthread_mutex_lock(&lock);
    calls++;
    bool fails = fail_at && (calls == fail_at || (fail_all && calls > fail_at));
    failed = failed || fails;
    pthread_mutex_unlock(&lock);
    return fails;
}

static void *note(void *memory)
{
    if (!memory) return NULL;
    pthread_mutex_lock(&lock);
    void **slot = slot_of(memory);
    if (allocated < SLOTS / 2 && !*slot) {
        *slot = memory;
        allocated++;
    }
    pthread_mutex_unlock(&lock);
    return memory;
}

// The pointers that follow without a gap are inserted again, as linear probing requires.
static void forget(void *memory)
{
    pthread_mutex_lock(&lock);
    void **slot = memory ? slot_of(memory) : NULL;
    if (slot && *slot) {
        *slot = NULL;
        allocated--;
        for (size_t at = ((size_t)(slot - known) + 1) % SLOTS; known[at]; at = (at + 1) % SLOTS) {
            void *moved = known[at];
            known[at] = NULL;
            *slot_of(moved) = moved;
        }
    }
    pthread_mutex_unlock(&lock);
}

void malloc_fail_at(uint64_t n, bool all)
{
    pthread_mutex_lock(&lock);
    fail_at = n;
    fail_all = all;
    failed = false;
    calls = 0;
    allocated = 0;
    memset(known, 0, sizeof known);
    pthread_mutex_unlock(&lock);
}

uint64_t malloc_calls(void) { return calls; }

bool malloc_has_failed(void) { return failed; }

int64_t malloc_allocated(void) { return allocated; }

void *__wrap_malloc(size_t bytes) { return comes() ? NULL : note(__real_malloc(bytes)); }

void *__wrap_calloc(size_t count, size_t bytes) { return comes() ? NULL : note(__real_calloc(count, bytes)); }

void *__wrap_realloc(void *old, size_t bytes)
{
    if (comes()) return NULL;
    forget(old); // before another allocation can get its address
    return note(__real_realloc(old, bytes));
}

char *__wrap_strdup(const char *text) { return comes() ? NULL : note(__real_strdup(text)); }

char *__wrap_strndup(const char *text, size_t most) { return comes() ? NULL : note(__real_strndup(text, most)); }

void __wrap_free(void *memory)
{
    forget(memory);
    __real_free(memory);
}
