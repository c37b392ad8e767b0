/*
 * Fails each allocation in turn while a configuration is made, loaded, set, checked, copied and walked over:
 * each time the outcome is "out of memory" or what it is with memory enough, and nothing leaks (the
 * sanitizers look). The inputs are the corpus of config_fuzz.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"
#include "memory.h"

extern const char *corpus_file;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool visit(void *opaque, const char *path, const char *value, const char *origin)
{
    (void)value;
    (void)origin;
    *(size_t *)opaque += strlen(path);
    return true;
}

/* defaults: of which config is made; NULL: it is created, which takes most of the allocations. */
static sl_status run(const sl_config *defaults, sl_error *error)
{
    sl_config *config = NULL, *clone = NULL;
    size_t length = 0;
    char *url = NULL;
    sl_status status =
        defaults ? sl_config_clone(defaults, &config, error) : sl_config_create(&config, error);
    if (status == SL_OK)
        status = sl_config_load(config, corpus_file, error);
    if (status == SL_OK)
        status = sl_config_set(config, SL_ROOT "log.level", "debug", error);
    if (status == SL_OK)
        status = sl_config_clone(config, &clone, error);
    if (status == SL_OK)
        sl_config_each(clone, NULL, visit, &length);
    if (status == SL_OK)
        status = sl_config_check(clone, error);
    if (status == SL_OK)
        status = sl_config_lookup_url(clone, &url, error);
    free(url);
    sl_config_destroy(&config);
    sl_config_destroy(&clone);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    static sl_config *defaults; /* made by the first input */
    sl_error expected = {0}, error = {0};
    sl_status outcome = run(defaults, &expected);
    for (unsigned long number = 1;; number++) {
        memory_begin(number);
        sl_status status = run(defaults, &error);
        bool failed = memory_end();
        /* The text may lack its advice: "did you mean" needs memory too. */
        if (status != SL_OUT_OF_MEMORY && (status != outcome || (status != SL_OK && !error.text[0]))) {
            printf("%s, allocation %lu: %s: %s\n", corpus_file, number, sl_status_text(status), error.text);
            abort();
        }
        if (!failed)
            break;
    }
    if (!defaults && sl_config_create(&defaults, &error) != SL_OK)
        abort();
    return 0;
}
