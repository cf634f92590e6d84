#include "agent/http/later.h"

#include <pthread.h>
#include <stdlib.h>

#include "agent/http/request.h"
#include "agent/http/server_internal.h"
#include "shared/mem.h"

struct later {
	pthread_mutex_t lock;
	unsigned references;
	struct request *request; /* NULL once the request's side has gone */
	bool answered, returned;
	char *note;
	later_give_up_fn *give_up;
};

struct later *
later_new(struct request *request, const char *note, later_give_up_fn *give_up)
{
	struct later *later = MEM_NEW(struct later);

	pthread_mutex_init(&later->lock, NULL);
	later->references = 2;
	later->request = request;
	later->note = mem_strdup(note);
	later->give_up = give_up;
	request->later = later;
	return later;
}

struct later *
later_ref(struct later *later)
{
	pthread_mutex_lock(&later->lock);
	later->references++;
	pthread_mutex_unlock(&later->lock);
	return later;
}

void
later_unref(struct later *later)
{
	unsigned left;

	pthread_mutex_lock(&later->lock);
	left = --later->references;
	pthread_mutex_unlock(&later->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&later->lock);
	free(later->note);
	free(later);
}

void
later_cancel(struct later *later)
{
	later->request->later = NULL;
	later_unref(later);
	later_unref(later);
}

struct request *
later_take(struct later *later)
{
	pthread_mutex_lock(&later->lock);
	if (later->request != NULL)
		return later->request;
	pthread_mutex_unlock(&later->lock);
	later_unref(later);
	return NULL;
}

void
later_answered(struct later *later)
{
	struct request *request = later->request;
	bool returned = later->returned;

	later->answered = true;
	pthread_mutex_unlock(&later->lock);
	later_unref(later);
	/* Else the thread that runs the handler goes on with the answer. */
	if (returned)
		server_request_ready(request);
}

void
later_put_back(struct later *later)
{
	pthread_mutex_unlock(&later->lock);
}

bool
later_returned(struct later *later)
{
	bool answered;

	pthread_mutex_lock(&later->lock);
	later->returned = true;
	answered = later->answered;
	pthread_mutex_unlock(&later->lock);
	return answered;
}

struct request *
later_give_up(struct later *later)
{
	struct request *request = NULL;

	pthread_mutex_lock(&later->lock);
	if (!later->answered && later->request != NULL) {
		later->give_up(later->request, later->note);
		/* Where the handler has not returned yet, its thread goes on with the answer. */
		if (later->returned)
			request = later->request;
		later->request = NULL;
		later->answered = true;
	}
	pthread_mutex_unlock(&later->lock);
	return request;
}

void
later_detach(struct later *later)
{
	if (later == NULL)
		return;
	pthread_mutex_lock(&later->lock);
	later->request = NULL;
	pthread_mutex_unlock(&later->lock);
	later_unref(later);
}
