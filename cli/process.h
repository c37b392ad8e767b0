/* Child processes that never outlive us, and files that are whole or not there. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Starts a program in a session of its own, its output appended to log (a path). The kernel kills it when we
 * die, however that is. Only from the main thread: the kernel means the thread that started it. -1 with
 * errno.
 */
pid_t cli_process_start(const char *const *arguments, const char *log);
/* Whether it has ended; then *status is as waitpid gives it. */
bool cli_process_ended(pid_t pid, int *status);
/* Waits for its end, as long as nobody interrupts us: then it is stopped. Returns its exit code, or -1 where
 * it died of a signal or was stopped. */
int cli_process_wait(pid_t pid);
/* Asks it to end, waits, and kills it after grace_ms. */
void cli_process_stop(pid_t pid, int grace_ms);
/* A process of this user's, no child of ours, whose arguments end with these words (NULL ends them); 0: none.
 */
pid_t cli_process_find(const char *const *words);
/* Asks one that is still such a process to end, and kills it after grace_ms. false with errno: it is there.
 */
bool cli_process_end(pid_t pid, const char *const *words, int grace_ms);
/* "exit code 1", "signal 9 (Killed)". */
void cli_process_describe(int status, char *out, size_t size);

/* The path of a program of that name: in the bin directory below home (may be NULL), else as PATH says. */
bool cli_find_program(const char *name, const char *home, char *out, size_t size);

/* Makes a directory and those above it. false with errno. */
bool cli_make_directories(const char *path, mode_t mode);
/* Puts text into a file by way of a new one, so that readers see the old or the new. false with errno. */
bool cli_write_file(const char *path, const char *text, mode_t mode);
/* The last bytes of a file, from the begin of a line; NUL-terminated. Empty when it cannot be read. */
void cli_file_tail(const char *path, char *out, size_t size);
/* Removes a directory with the files in it. */
void cli_remove_directory(const char *path);

#endif
