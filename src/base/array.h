/* Arrays that grow. */
#ifndef SL_BASE_ARRAY_H
#define SL_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/* Makes room for one more of an array's count elements of that size; it may move. array: the address of the
 * pointer to its first, as void **. False: no memory, and nothing has changed. */
bool sl_array_reserve(void **array, size_t count, size_t *capacity, size_t size);

#endif
