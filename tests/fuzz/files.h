/* The files that fuzzed documents may include: those of files/, which is the working directory then. */
#ifndef TESTS_FUZZ_FILES_H
#define TESTS_FUZZ_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FUZZ_FILES is the directory. */
static inline void enter_files(void)
{
    static bool done;
    if (!done && chdir(FUZZ_FILES) != 0)
        abort();
    done = true;
}

/* Whether the text can name files elsewhere: a slash (also one that is escaped) that is not sub/'s. */
static inline bool leads_away(const char *text, size_t size)
{
    static const char inside[] = "\"sub/";
    if (!size || !memmem(text, size, "include", strlen("include")))
        return false;
    if (memmem(text, size, "\\u002", strlen("\\u002")) || memmem(text, size, "\\/", 2))
        return true;
    const char *end = text + size, *at = text;
    while ((at = memchr(at, '/', (size_t)(end - at))) != NULL) {
        size_t before = (size_t)(at - text) + 1;
        if (before < strlen(inside) || memcmp(at + 1 - strlen(inside), inside, strlen(inside)) != 0 ||
            (end - at > 2 && (at[1] == '.' || at[1] == '/')))
            return true;
        at++;
    }
    return memmem(text, size, "..", 2) != NULL;
}

#endif
