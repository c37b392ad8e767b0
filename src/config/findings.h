/* Inside config: what is found wrong is told as it is found. */
#ifndef SL_CONFIG_FINDINGS_H
#define SL_CONFIG_FINDINGS_H

#include "config/config.h"
#include "config/mask.h"

struct sl_findings {
    const sl_config *config;
    bool everything; /* files and the environment count too */
    struct sl_secrets secrets;
    sl_finding_visitor visit;
    void *opaque;
    char **told; /* no text is told twice */
    size_t told_count, told_capacity;
    bool over; /* visit wants no more, or status is an error */
    sl_status status;
};

/* Tells one, whose text is "ORIGIN: " and what follows. path, origin: what it is about; "" where it is about
 * none. */
void sl_find(struct sl_findings *findings, sl_finding_level level, const char *path, const char *origin,
             const char *format, ...) SL_PRINTF(5, 6);
/* An error of SL_BAD_CONFIG is told as it is; any other ends the search. */
void sl_find_error(struct sl_findings *findings, const char *path, const char *origin, const sl_error *error);

/* check.c: values and names. */
void sl_find_in_tree(struct sl_findings *findings);
/* rules.c: settings that do not go together, and what they name outside of the configuration. */
void sl_find_by_rules(struct sl_findings *findings);

#endif
