/* The commands' descriptions, as help and man pages show them. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli.h"

/* A piece of a description: a paragraph, whose lines are to be joined and broken anew, or lines that stay. */
struct cli_block {
    const char *text;
    size_t size;
    bool verbatim;
};
/* The block at *text, which is moved behind it; false: there is none. */
bool cli_next_block(const char **text, struct cli_block *block);

/* An option as it is typed: "-c, --config FILE". */
void cli_option_usage(const struct cli_option *option, char *out, size_t size);
/* Whether this option ends its table. */
bool cli_option_is_end(const struct cli_option *option);
/* "streamlayer produce [OPTION…] HRN LAYER [FILE…]" */
void cli_command_usage(const struct cli_command *command, char *out, size_t size);

extern const char cli_program_summary[];

#endif
