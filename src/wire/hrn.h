/* HERE Resource Names of catalogs, hrn:PARTITION:data:REGION:REALM:ID, and the names made from them. */
#ifndef SL_WIRE_HRN_H
#define SL_WIRE_HRN_H

#include <stdbool.h>
#include <stddef.h>
#include <streamlayer/error.h>

#define SL_CATALOG_ID_MAX 64
#define SL_LAYER_ID_MAX   64
#define SL_HRN_MAX        256
#define SL_GROUP_MAX      200

/* Well-formed as a catalog's HRN: six parts, service "data", a legal catalog id last. The text says what is
 * wrong. */
sl_status sl_hrn_check(const char *hrn, sl_error *error);
/* The id at the HRN's end; points into hrn. NULL when it is no HRN. */
const char *sl_hrn_id(const char *hrn);

/* Legal ids: 1 to 64 of a-z A-Z 0-9 - _ . beginning with a letter or digit (catalogs: lower case only). */
sl_status sl_catalog_id_check(const char *id, sl_error *error);
sl_status sl_layer_id_check(const char *id, sl_error *error);
/* 1 to SL_GROUP_MAX of A-Z a-z 0-9 . _ - : */
sl_status sl_group_check(const char *group, sl_error *error);

/*
 * The group of a consumer that names none: one for catalog HRN + layer id; the platform's consumerGroupPrefix
 * put before it makes it unique for the credentials. Both connectors and the gateway use this one function,
 * so changing the connector keeps the position. Released with free; NULL when memory is out.
 */
char *sl_group_default(const char *hrn, const char *layer);

#endif
