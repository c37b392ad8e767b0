#include "base/secret.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Before what is handed out; as large as what malloc aligns to. */
union head {
    size_t size; /* of the mapping */
    max_align_t aligned;
};

void sl_secret_free(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void *sl_hidden_alloc(size_t size)
{
    if (size > SIZE_MAX - sizeof(union head))
        return NULL;
    size_t whole = size + sizeof(union head);
    union head *head = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (head == MAP_FAILED)
        return NULL;
    (void)madvise(head, whole, MADV_DONTDUMP); /* where it cannot be, the program works all the same */
    head->size = whole;
    return head + 1;
}

char *sl_hidden_copy(const char *text, size_t size)
{
    char *copy = text && size < SIZE_MAX ? sl_hidden_alloc(size + 1) : NULL;
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void sl_hidden_free(char **hidden)
{
    if (!*hidden)
        return;
    union head *head = (union head *)(void *)*hidden - 1;
    size_t whole = head->size;
    explicit_bzero(head, whole);
    (void)munmap(head, whole);
    *hidden = NULL;
}

void sl_forbid_cores(void)
{
#ifndef SL_SANITIZED
    const char *wanted = secure_getenv("STREAMLAYER_CORE");
    if (wanted && strcmp(wanted, "1") == 0)
        return;
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}
