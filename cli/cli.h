/*
 * What the commands share: options, configuration, errors, signals and output. A command is written and
 * described (struct cli_command) in a file of its own, such as produce.c; main.c lists it. Help, man pages
 * and completions all read these descriptions, so they cannot say different things.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <limits.h>
#include <stdio.h>
#include <streamlayer/streamlayer.h>

/* Exit codes: `streamlayer help` documents them, so a script may rely on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_NOT_ALLOWED = 4,
    CLI_UNAVAILABLE = 5,
    CLI_NO_CONNECTOR = 6,
    CLI_INTERRUPTED = 130,
    CLI_READER_GONE = 141 /* as a shell shows SIGPIPE, which main ends with */
};

/*
 * One option. The argument's name tells completion what its values are: FILE, DIR, HRN, LAYER, GROUP,
 * CONNECTOR, CONTEXT, COMMAND, PATH (a setting's), PATH=VALUE, and "local|BROKERS": words in small letters
 * between bars are values themselves. The names in struct cli_command's operands are read alike. Any other
 * name is free text.
 */
struct cli_option {
    char letter;          /* 0: no short form */
    const char *name;     /* without the dashes; an option with neither letter nor name ends a table */
    const char *argument; /* what --help calls its value; NULL: a flag */
    const char *meaning;  /* a newline is only a blank: help breaks the lines */
};

/* One option as given on the command line, in order. */
struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL for a flag */
};

struct cli;

struct cli_command {
    const char *name;               /* "produce", or two words: "catalog create" */
    const char *operands;           /* as usage shows them: "HRN LAYER [FILE…]" */
    int min_operands, max_operands; /* -1: any number */
    const char *surplus;  /* what to do instead of giving more operands; NULL: nothing comes to mind */
    const char *summary;  /* one line, begun with a small letter, no full stop */
    const char *details;  /* paragraphs, or NULL: an empty line parts them, lines that begin with a
                             blank stay as they are, the others are joined and broken anew */
    const char *examples; /* lines that begin with two blanks */
    const struct cli_option *options;
    bool changes;        /* something on the platform */
    const char *related; /* commands that go with it, for its manual page: "consume,catalog create"; or NULL.
                            Those with the same first word are named without it */
    int (*run)(struct cli *cli);
};

struct cli_progress;

struct cli {
    const struct cli_command *command;
    struct cli_given *given;
    size_t given_count;
    const char *const *operands;
    size_t operand_count;
    bool json;
    bool color;       /* on standard error */
    unsigned verbose; /* how often -v was given */
    sl_config *config;
    sl_client *client;
    struct cli_progress *progress; /* the line that messages have to clear, or NULL */
};

/* options.c */
extern const struct cli_option cli_global_options[];
/* Reads the options of command (NULL: the global ones only, up to the first operand) from argv[*next…],
 * adding to cli->given. false: a message is out. Operands are left at argv[*next…]. */
bool cli_options_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, int *next);
/* Adds one to cli->given. false: memory is out, and a message. */
bool cli_option_given(struct cli *cli, const struct cli_option *option, const char *value);
bool cli_flag(const struct cli *cli, const char *name);
/* The last value given, or NULL. */
const char *cli_value(const struct cli *cli, const char *name);
/* The next value of a repeatable option; *at begins at 0. NULL when there are no more. */
const char *cli_next_value(const struct cli *cli, const char *name, size_t *at);
/* A whole number within bounds; *value keeps what it has where the option is not given. false: a message is
 * out. */
bool cli_number(const struct cli *cli, const char *name, int64_t min, int64_t max, int64_t *value);
/* Seconds ("3", "0.5") or with a unit ("500ms", "10m", "2h", "1d"), as milliseconds. */
bool cli_duration_ms(const struct cli *cli, const char *name, int64_t min_ms, int64_t max_ms,
                     int64_t *value_ms);
/* "90m", "1d", "500ms": in the largest unit that divides it; "-" for nothing. */
void cli_format_duration(int64_t ms, char out[32]);
/* Whether name may be what was meant with given: it begins so, or is two slips of the pen away. */
bool cli_similar(const char *given, const char *name);

/* common.c */
/* Loads the configuration and makes the client. CLI_OK, or the exit code after a message. */
int cli_load_config(struct cli *cli);
/* The same for who is no client of a platform: no context counts. */
int cli_load_platform_config(struct cli *cli);
int cli_connect(struct cli *cli);
void cli_release(struct cli *cli);
/* path, with the home directory in the place of "~" where it begins with "~/": in place, or path itself. */
const char *cli_home_path(const char *path, char place[PATH_MAX]);
/* Whether there is no such file, which has an exit code of its own; false where it only cannot be reached.
 * path may be NULL or begin with "~/". */
bool cli_file_is_missing(const char *path);
/* The file that the configuration or HERE_CREDENTIALS_FILE names for the credentials; NULL: neither does. */
const char *cli_credentials_file(const struct cli *cli);
/* cli_file_is_missing of that one. */
bool cli_credentials_file_is_missing(const struct cli *cli);

/* "streamlayer: …" on standard error; with --json {"error": {…}} or {"warning": {…}}, one a line. Its status
 * is "failed": cli_error_as and what follows it say more. */
void cli_error(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);
/* An error that the library has a name for, and the exit code for it. */
int cli_error_as(const struct cli *cli, sl_status status, const char *format, ...) SL_PRINTF(3, 4);
/* What an errno says of a file: CLI_NOT_FOUND where it is not there, else CLI_FAILED. */
int cli_file_error(const struct cli *cli, const char *name, int failure);
/* CLI_FAILED. */
int cli_out_of_memory(const struct cli *cli);
/* What was begun and ends early because of a signal: CLI_INTERRUPTED. */
int cli_error_interrupted(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);
void cli_warning(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);
/* A line of advice after an error, for people only. */
void cli_hint(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);
/* The library's error, and the exit code for it. */
int cli_fail(const struct cli *cli, const sl_error *error);
/* The same in words of the command's own. */
int cli_fail_as(const struct cli *cli, const sl_error *error, const char *format, ...) SL_PRINTF(3, 4);
int cli_exit_code(sl_status status);
/* A mistake on the command line: the message, a word on --help, CLI_USAGE. */
int cli_usage_error(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);

/* For what cannot be undone: nothing where --yes is given, else a question on the terminal. CLI_OK: go on. */
int cli_ask_unless_sure(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);
/* The question itself. CLI_OK: yes; else a word that nothing was changed, and the exit code. */
int cli_ask(const char *format, ...) SL_PRINTF(1, 2);

/* SIGINT, SIGTERM and SIGHUP set a flag that commands look at; a second SIGINT ends at once. */
void cli_catch_signals(void);
bool cli_interrupted(void);

int64_t cli_mono_ms(void);
/* "2026-01-31T12:30:00Z"; otherwise for -1. */
void cli_format_time(int64_t ms, const char *otherwise, char out[32]);
void cli_sleep_ms(int milliseconds); /* ends early with a signal */

/* output.c */
/* A table with left-aligned columns. Cells are copied. */
struct cli_table;
struct cli_table *cli_table_create(size_t columns, const char *const *titles);
void cli_table_row(struct cli_table *table, const char *const *cells);
/* Prints and releases it; false when memory had run out or standard output fails. */
bool cli_table_print(struct cli_table **table);
/* The same, where memory had run out with a message and CLI_FAILED. Whether standard output fails is left for
 * cli_flush_output to tell: CLI_OK. */
int cli_table_finish(const struct cli *cli, struct cli_table **table);
void cli_table_drop(struct cli_table **handle);
/* Flushes standard output: CLI_OK, or CLI_READER_GONE, or CLI_FAILED after a message. */
int cli_flush_output(const struct cli *cli);
/* The exit code where writing to standard output failed with that errno, after a message where one is due. */
int cli_output_failed(const struct cli *cli, int failure);
/* "1.2 MB" of bytes. */
void cli_format_bytes(double bytes, char out[32]);
/* What produce and pipe say at their end: on standard error on a terminal or with -v, or as JSON
 * on standard output. */
struct cli_summary {
    uint64_t messages, bytes, failed;
    int64_t elapsed_ms;
    const char *from, *to; /* connectors, NULL: not used */
};
void cli_print_summary(const struct cli *cli, const char *verb, const struct cli_summary *summary);

/* help.c */
/* group: only the commands whose first word it is ("catalog"); NULL: all. */
int cli_help_overview(const struct cli *cli, const char *group);
int cli_help_command(const struct cli *cli, const struct cli_command *command);
void cli_options_help(const struct cli_option *options);
extern const char cli_exit_codes[];

/* The commands, each described where it is written; main.c lists them. NULL ends the list. */
extern const struct cli_command *const cli_commands[];
extern const struct cli_command cli_up_command, cli_catalog_create_command, cli_catalog_list_command,
    cli_catalog_show_command, cli_catalog_delete_command, cli_layer_create_command, cli_layer_update_command,
    cli_layer_list_command, cli_layer_show_command, cli_layer_delete_command, cli_group_list_command,
    cli_group_describe_command, cli_group_reset_command, cli_app_create_command, cli_app_list_command,
    cli_app_show_command, cli_app_delete_command, cli_app_rotate_command, cli_marketplace_subscribe_command,
    cli_marketplace_list_command, cli_marketplace_unsubscribe_command, cli_usage_command, cli_acl_command,
    cli_grant_command, cli_revoke_command, cli_produce_command, cli_consume_command, cli_pipe_command,
    cli_blob_put_command, cli_blob_get_command, cli_blob_size_command, cli_config_show_command,
    cli_config_render_command, cli_config_check_command, cli_config_reference_command,
    cli_context_list_command, cli_context_show_command, cli_context_use_command, cli_context_add_command,
    cli_context_remove_command, cli_status_command, cli_flink_ddl_command, cli_flink_init_command,
    cli_token_command, cli_completion_command, cli_man_command, cli_version_command;

#endif
