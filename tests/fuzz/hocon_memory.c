/*
 * Fails each allocation in turn while the documents of the corpus are parsed, merged, resolved and rendered:
 * each time the outcome is "out of memory" or what it is with memory enough, and nothing leaks (the
 * sanitizers look). Linked with --wrap for malloc, calloc and realloc.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hocon/hocon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static unsigned long left; /* allocations until the one that fails; 0: none does */

static bool fails(void)
{
    return left && --left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

static sl_status run(const char *text, size_t size, char **json)
{
    struct hocon *single = NULL, *document = NULL, *merged = NULL, *resolved = NULL;
    sl_error error;
    *json = NULL;
    sl_status status = hocon_parse_text(text, size, "input", "/nonexistent", NULL, &document, &error);
    if (status == SL_OK)
        status = hocon_single("single.\"x y\"", "1", "test", &single, &error);
    if (status == SL_OK)
        status = hocon_merge(single, document, &merged, &error);
    if (status == SL_OK)
        status = hocon_resolve(merged, true, NULL, &resolved, &error);
    if (status == SL_OK)
        status = hocon_render_json(hocon_root(resolved), true, json, &error);
    hocon_free(&single);
    hocon_free(&document);
    hocon_free(&merged);
    hocon_free(&resolved);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *expected, *json;
    sl_status outcome = run((const char *)data, size, &expected);
    for (unsigned long number = 1;; number++) {
        left = number;
        sl_status status = run((const char *)data, size, &json);
        bool failed = left == 0; /* an allocation did fail */
        left = 0;
        bool same = status == outcome && (!json || strcmp(json, expected) == 0);
        free(json);
        if (status != SL_OUT_OF_MEMORY && !same) {
            printf("allocation %lu: %s\n", number, sl_status_text(status));
            abort();
        }
        if (!failed)
            break;
    }
    free(expected);
    return 0;
}
