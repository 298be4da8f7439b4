/* commands.h - the subcommands: each is a main function of its own; argv[0] is its name. */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

int command_serve(int argc, char **argv);
int command_hub(int argc, char **argv);    /* internal: started by serve */
int command_keeper(int argc, char **argv); /* internal: started by serve */
int command_courier(int argc, char **argv); /* internal: started by serve */
int command_stop(int argc, char **argv);
int command_doctor(int argc, char **argv);

int command_run(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_attach(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_put(int argc, char **argv);
int command_get(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_history(int argc, char **argv);
int command_sessions(int argc, char **argv);
int command_sandboxes(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_interrupt(int argc, char **argv);
int command_restart(int argc, char **argv);
int command_packages(int argc, char **argv);
int command_user(int argc, char **argv);
int command_key(int argc, char **argv);
int command_image(int argc, char **argv);
int command_mcp(int argc, char **argv);
int command_health(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
