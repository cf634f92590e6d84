/*
 * The state folder, which belongs to one agent.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_STATE_FOLDER_H
#define HOLDFAST_AGENT_COMMANDS_STATE_FOLDER_H

#include "shared/error.h"

/* Make the folder (mode 0700) if it is not there. */
int state_folder_make(const char *folder, struct error *err);

/*
 * Take STATE/agent.lock for this process, for as long as ret_fd is open; the kernel gives it back
 * however the process ends.  The file names the holder.
 * ERROR_CLAIMED names the process, host and start of whoever holds it.
 */
int state_folder_lock(const char *folder, int *ret_fd, struct error *err);

/*
 * The repository that this agent has worked with, in STATE/repository: "URL ID".  Where it was
 * and is not any more (a disk that is not mounted) no new one must be made in its place.
 */
int state_folder_note_repository(const char *folder, const char *url, const char *id,
    struct error *err);
/* 1 if a repository at this place was noted, 0 if not, -1 error. */
int state_folder_knows_repository(const char *folder, const char *url, struct error *err);

#endif
