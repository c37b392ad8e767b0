/* Applications and their keys, in the data directory's SQLite file. Any thread; every call blocks on disk. */
#ifndef GW_STORE_APPLICATIONS_H
#define GW_STORE_APPLICATIONS_H

#include "gateway/gateway.h"

struct gw_applications;

sl_status gw_applications_open(const char *data_directory, struct gw_applications **out, sl_error *error);
void gw_applications_close(struct gw_applications **applications);

/* The application that has this key. Errors: SL_NOT_FOUND, SL_IO. */
sl_status gw_applications_find(struct gw_applications *applications, const char *key_id,
                               struct gw_application *application, sl_error *error);
/* Finds the application of that name, or makes it with a new key. Errors: SL_INVALID_ARGUMENT, SL_IO. */
sl_status gw_applications_ensure(struct gw_applications *applications, const char *name,
                                 struct gw_application *application, sl_error *error);

#endif
