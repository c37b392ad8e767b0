/* Rights (sl_right): their names, as text, in JSON and as bits. The one place that knows them. Any thread. */
#ifndef SL_WIRE_RIGHTS_H
#define SL_WIRE_RIGHTS_H

#include <jansson.h>
#include <streamlayer/application.h>

#define SL_RIGHTS_CATALOG  (SL_RIGHT_READ | SL_RIGHT_WRITE | SL_RIGHT_MANAGE)
#define SL_RIGHTS_PLATFORM (SL_RIGHT_CREATE | SL_RIGHT_ADMIN)
#define SL_RIGHTS_ALL      (SL_RIGHTS_CATALOG | SL_RIGHTS_PLATFORM)

/* The rights in "read,write", which must be among allowed. Errors: SL_INVALID_ARGUMENT, with those that are
 * allowed. */
sl_status sl_rights_parse_among(const char *text, unsigned allowed, unsigned *rights, sl_error *error);
/* The same of a list of names. */
sl_status sl_rights_read(const json_t *names, unsigned allowed, unsigned *rights, sl_error *error);
/* Those of a list that are known; a later platform has perhaps more, which are left out. */
unsigned sl_rights_known(const json_t *names);
/* The list; NULL: no memory. */
json_t *sl_rights_json(unsigned rights);

#endif
