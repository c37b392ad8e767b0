/* Which platform a command means, and what has said so. */
#ifndef CLI_PLATFORM_H
#define CLI_PLATFORM_H

#include "cli.h"

/* What has chosen the platform: "--config", …, "the current context" or "nothing", with the value in *value,
 * NULL where there is none. cli->config, or what was given, owns it. */
const char *cli_platform_chosen_by(const struct cli *cli, const char **value);
/* "URL (the current context: local)" of a configuration that is loaded. */
void cli_platform_describe(const struct cli *cli, char *out, size_t size);
/* Tells people, before something of it is changed, of a platform that nothing in this call, terminal or
 * directory has named: it may not be the one that is meant. */
void cli_platform_announce(const struct cli *cli);
/* What else an error of the platform's needs: which platform it was. */
void cli_platform_hint(const struct cli *cli, const sl_error *error);

/* What the platform says of a catalog; else, also where it may not be asked, CLI_UNTOLD. */
enum cli_market { CLI_UNTOLD, CLI_NOT_ON_MARKETPLACE, CLI_ON_MARKETPLACE };
enum cli_market cli_platform_market(const struct cli *cli, const char *hrn);

/* The proxy by which the platform's lookup is reached, as errors name it: "http://proxy:3128 (app.conf:3)".
 * false: none. */
bool cli_platform_proxy(const struct cli *cli, char *out, size_t size);

#endif
