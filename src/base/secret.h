/*
 * Secrets in memory. Those that live long (access keys, tokens) lie in pages of their own that no core file
 * holds; our own copies that live for one call are ordinary memory, overwritten before it is freed. Those of
 * the libraries below (libcurl, jansson, librdkafka), and an answer's as it grows, are not ours to overwrite.
 */
#ifndef SL_BASE_SECRET_H
#define SL_BASE_SECRET_H

#include <stddef.h>

/* Overwrites and frees a text of malloc's, and sets it to NULL; *text may be NULL. */
void sl_secret_free(char **text);

/* size bytes of zeros, kept out of core files; a page or more each, so for few things. NULL: no memory. */
void *sl_hidden_alloc(size_t size);
/* A NUL-terminated copy there of size bytes of text; NULL where text is NULL, or without memory. */
char *sl_hidden_copy(const char *text, size_t size);
/* Overwrites and gives back what these two made, and sets *hidden to NULL; it may be NULL. */
void sl_hidden_free(char **hidden);

/*
 * Has this process write no core file, and nobody read its memory, unless STREAMLAYER_CORE=1 is set. For
 * programs, at their beginning: a library must not decide this. Sanitizers look into their own process, so
 * builds with them leave it as it is.
 */
void sl_forbid_cores(void);

#endif
