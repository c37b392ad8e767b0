/* Tables of documents with the JSON that they mean, or the error that they make. */
#ifndef TESTS_UNIT_HOCON_SUPPORT_H
#define TESTS_UNIT_HOCON_SUPPORT_H

#include "support/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hocon/hocon.h"

struct hocon_case {
    const char *text;
    const char *expected; /* JSON; or "!" and how the error's text begins */
};

/* The JSON of text, or "!" and the error. Released with free. */
static inline char *hocon_outcome(const char *text, size_t size, const char *directory, bool use_environment,
                                  const struct hocon_limits *limits)
{
    struct hocon *document, *resolved;
    char *json = NULL;
    sl_error error = {0};
    sl_status status = hocon_parse_text(text, size, "in", directory, limits, &document, &error);
    if (status == SL_OK) {
        status = hocon_resolve(document, use_environment, limits, &resolved, &error);
        hocon_free(&document);
    }
    if (status == SL_OK) {
        assert_int_equal(hocon_render_json(hocon_root(resolved), false, &json, &error), SL_OK);
        hocon_free(&resolved);
        return json;
    }
    assert_int_equal(status, error.status);
    assert_true(status == SL_BAD_CONFIG || status == SL_IO);
    json = malloc(sizeof error.text + 1);
    assert_non_null(json);
    snprintf(json, sizeof error.text + 1, "!%s", error.text);
    return json;
}

static inline bool hocon_matches(const char *outcome, const char *expected)
{
    return *expected == '!' ? strncmp(outcome, expected, strlen(expected)) == 0
                            : strcmp(outcome, expected) == 0;
}

static inline void hocon_check_in(const struct hocon_case *cases, size_t count, const char *directory)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char *outcome = hocon_outcome(cases[i].text, strlen(cases[i].text), directory, false, NULL);
        if (!hocon_matches(outcome, cases[i].expected)) {
            print_message("%s\n  expected %s\n  but was  %s\n", cases[i].text, cases[i].expected, outcome);
            wrong++;
        }
        free(outcome);
    }
    assert_int_equal(wrong, 0);
}

#define HOCON_CHECK(cases) hocon_check_in(cases, sizeof(cases) / sizeof *(cases), "/nonexistent")

#endif
