/*
 * The commands of `reel`. Each takes its own name and arguments as a main() would and returns
 * the exit code.
 */
#ifndef REEL_CLIENT_COMMANDS_H
#define REEL_CLIENT_COMMANDS_H

/* cmd_submit.c */
int reel_command_submit (int argc, char **argv);
/* cmd_watch.c */
int reel_command_watch (int argc, char **argv);
int reel_command_events (int argc, char **argv);
/* cmd_query.c */
int reel_command_get (int argc, char **argv);
int reel_command_receipt (int argc, char **argv);
int reel_command_list (int argc, char **argv);
/* cmd_broker.c */
int reel_command_workers (int argc, char **argv);
int reel_command_stats (int argc, char **argv);
int reel_command_ping (int argc, char **argv);
/* cmd_backup.c */
int reel_command_backup (int argc, char **argv);
/* cmd_dispatch.c */
int reel_command_dispatch (int argc, char **argv);
/* cmd_control.c */
int reel_command_cancel (int argc, char **argv);
int reel_command_resolve (int argc, char **argv);
int reel_command_rerun (int argc, char **argv);
int reel_command_pause (int argc, char **argv);
int reel_command_resume (int argc, char **argv);
/* cmd_document.c */
int reel_command_validate (int argc, char **argv);
int reel_command_convert (int argc, char **argv);
/* cmd_run.c */
int reel_command_run (int argc, char **argv);

#endif
