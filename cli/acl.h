/* What acl and status ask of a report on access control lists. */
#ifndef CLI_ACL_H
#define CLI_ACL_H

#include <streamlayer/acl.h>

size_t cli_acl_count(const sl_acl_report *report, sl_acl_drift drift);

#endif
