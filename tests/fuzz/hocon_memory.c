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
#include "memory.h"

extern const char *corpus_file;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From the file itself, so that what it includes is read, and JSON and properties are what they are. */
static sl_status run(char **json)
{
    struct hocon *single = NULL, *document = NULL, *merged = NULL, *resolved = NULL;
    sl_error error;
    *json = NULL;
    sl_status status = hocon_parse_file(corpus_file, NULL, &document, &error);
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
    (void)data;
    (void)size;
    char *expected, *json;
    sl_status outcome = run(&expected);
    for (unsigned long number = 1;; number++) {
        memory_begin(number);
        sl_status status = run(&json);
        bool failed = memory_end();
        bool same = status == outcome && (!json || strcmp(json, expected) == 0);
        free(json);
        if (status != SL_OUT_OF_MEMORY && !same) {
            printf("%s, allocation %lu: %s\n", corpus_file, number, sl_status_text(status));
            abort();
        }
        if (!failed)
            break;
    }
    free(expected);
    return 0;
}
