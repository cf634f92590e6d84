/*
 * One line on a terminal that tells how far an operation is; and the signals that end it.
 */
#ifndef HOLDFAST_AGENT_COMMANDS_PROGRESS_LINE_H
#define HOLDFAST_AGENT_COMMANDS_PROGRESS_LINE_H

#include "shared/progress.h"

struct progress_line;

/*
 * From here on SIGINT and SIGTERM cancel the operation, a second one ends the process, and, if
 * standard error is a terminal, a line shows the progress.  Call it before other threads start.
 */
struct progress_line *progress_line_start(struct progress *progress);
/* Wipe the line, and give the signals back. */
void progress_line_stop(struct progress_line *line);
/* Keep the line out of the way of what is printed between these. */
void progress_line_hide(struct progress_line *line);
void progress_line_show(struct progress_line *line);

#endif
