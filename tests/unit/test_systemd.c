#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/mem.h"
#include "shared/systemd.h"
#include "tests/lib/test_folder.h"

/* A socket that stands for the journal's or the service manager's. */
struct listener {
	char *folder, *path;
	int fd;
};

static void
begin(struct listener *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	listener->folder = test_folder_new();
	listener->path = test_path(listener->folder, "socket");
	assert_true(strlen(listener->path) < sizeof(address.sun_path));
	strcpy(address.sun_path, listener->path);
	listener->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void
end(struct listener *listener)
{
	close(listener->fd);
	free(listener->path);
	test_folder_remove(listener->folder);
}

/* The next datagram, and the file that came with it, or -1. */
static char *
received(struct listener *listener, size_t *ret_len, int *ret_file)
{
	static const size_t most = 1 << 20;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char *bytes = mem_calloc(most, 1);
	struct iovec part = { bytes, most - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;
	ssize_t n = recvmsg(listener->fd, &message, 0);

	assert_true(n >= 0);
	*ret_len = (size_t)n;
	*ret_file = -1;
	header = CMSG_FIRSTHDR(&message);
	if (header != NULL) {
		assert_int_equal(header->cmsg_type, SCM_RIGHTS);
		memcpy(ret_file, CMSG_DATA(header), sizeof(*ret_file));
	}
	return bytes;
}

static void
an_entry_has_a_field_for_each_member(void **state)
{
	json_t *fields = json_pack("{s:s, s:i, s:{s:s}, s:n, s:s}", "run", "3fa9", "duration-ms", 12,
	    "arguments", "job", "home", "error", "path", "two\nlines");
	struct buffer entry = BUFFER_INIT;
	static const char expected[] =
	    "MESSAGE=run-ended: run=3fa9\nPRIORITY=4\nSYSLOG_IDENTIFIER=holdfastd\n"
	    "HOLDFAST_RUN=3fa9\nHOLDFAST_DURATION_MS=12\n"
	    "HOLDFAST_ARGUMENTS={\"job\":\"home\"}\n"
	    "HOLDFAST_PATH\n\x09\0\0\0\0\0\0\0two\nlines\n";

	(void)state;
	systemd_journal_entry("run-ended: run=3fa9", 4, "holdfastd", "HOLDFAST", fields, &entry);
	assert_int_equal(entry.len, sizeof(expected) - 1);
	assert_memory_equal(entry.data, expected, entry.len);
	buffer_done(&entry);
	json_decref(fields);
}

static void
a_value_cannot_pose_as_another_field(void **state)
{
	json_t *fields = json_pack("{s:s}", "x", "a\nPRIORITY=0");
	struct buffer entry = BUFFER_INIT;
	const char *text;

	(void)state;
	systemd_journal_entry("one\nMESSAGE=two", 6, "holdfastd", "HOLDFAST", fields, &entry);
	text = buffer_text(&entry);
	/* Behind a length, which says that it is part of the value. */
	assert_memory_equal(text, "MESSAGE\n\x0f\0\0\0\0\0\0\0one\nMESSAGE=two\n", 32);
	assert_non_null(strstr(text + 32, "PRIORITY=6\n"));
	buffer_done(&entry);
	json_decref(fields);
}

static void
a_long_name_is_cut_and_odd_characters_are_replaced(void **state)
{
	char name[200];
	json_t *fields = json_object();
	struct buffer entry = BUFFER_INIT;
	const char *at, *text;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[3] = '=';
	json_object_set_new(fields, name, json_string("v"));
	systemd_journal_entry("m", 6, "i", "HOLDFAST", fields, &entry);
	text = buffer_text(&entry);
	at = strstr(text, "HOLDFAST_NNN_NN");
	assert_non_null(at);
	assert_int_equal(strcspn(at, "="), 64);
	buffer_done(&entry);
	json_decref(fields);
}

static void
a_small_entry_goes_as_a_datagram(void **state)
{
	struct listener listener;
	struct buffer entry = BUFFER_INIT;
	size_t len;
	char *bytes;
	int file;

	(void)state;
	begin(&listener);
	buffer_put_text(&entry, "MESSAGE=x\n");
	assert_true(systemd_journal_send(listener.path, &entry));
	bytes = received(&listener, &len, &file);
	assert_int_equal(file, -1);
	assert_int_equal(len, entry.len);
	assert_memory_equal(bytes, entry.data, len);
	free(bytes);
	buffer_done(&entry);
	end(&listener);
}

static void
a_large_entry_goes_as_a_sealed_file(void **state)
{
	size_t size = 4 << 20, len;
	struct listener listener;
	struct buffer entry = BUFFER_INIT;
	struct stat st;
	char *bytes, first[9];
	int file;

	(void)state;
	begin(&listener);
	buffer_put_text(&entry, "MESSAGE=");
	memset(buffer_reserve(&entry, size), 'x', size);
	entry.len += size;
	assert_true(systemd_journal_send(listener.path, &entry));
	bytes = received(&listener, &len, &file);
	assert_int_equal(len, 0);
	assert_true(file >= 0);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, entry.len);
	assert_int_equal(pread(file, first, sizeof(first), 0), sizeof(first));
	assert_memory_equal(first, "MESSAGE=x", sizeof(first));
	/* The journal reads it where it lies: it must not change any more. */
	assert_int_equal(pwrite(file, "y", 1, 0), -1);
	assert_int_equal(ftruncate(file, 1), -1);
	close(file);
	free(bytes);
	buffer_done(&entry);
	end(&listener);
}

static void
a_journal_that_is_not_there_takes_nothing(void **state)
{
	struct buffer entry = BUFFER_INIT;
	char *folder = test_folder_new(), *path = test_path(folder, "none");

	(void)state;
	buffer_put_text(&entry, "MESSAGE=x\n");
	assert_false(systemd_journal_send(path, &entry));
	assert_false(systemd_journal_send("", &entry));
	assert_false(systemd_journal_send("relative", &entry));
	free(path);
	test_folder_remove(folder);
	buffer_done(&entry);
}

static void
standard_error_is_the_journal_only_where_it_is_the_stream_named(void **state)
{
	char *folder = test_folder_new(), *path = test_path(folder, "stream"), *name;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	unsetenv("JOURNAL_STREAM");
	assert_false(systemd_is_journal(fd));
	name = mem_printf("%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", name, 1);
	assert_true(systemd_is_journal(fd));
	free(name);
	/* Started from a service's shell with standard error elsewhere. */
	name = mem_printf("%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", name, 1);
	assert_false(systemd_is_journal(fd));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(systemd_is_journal(fd));
	unsetenv("JOURNAL_STREAM");
	free(name);
	close(fd);
	free(path);
	test_folder_remove(folder);
}

static void
the_service_manager_is_told_where_it_wants_to_be(void **state)
{
	struct listener listener;
	size_t len;
	char *bytes;
	int file;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	systemd_notify("READY=1");
	begin(&listener);
	setenv("NOTIFY_SOCKET", listener.path, 1);
	systemd_notify("READY=1\nSTATUS=listening");
	bytes = received(&listener, &len, &file);
	assert_string_equal(bytes, "READY=1\nSTATUS=listening");
	free(bytes);
	end(&listener);
	/* It went away: nothing happens. */
	systemd_notify("STOPPING=1");
	unsetenv("NOTIFY_SOCKET");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_has_a_field_for_each_member),
		cmocka_unit_test(a_value_cannot_pose_as_another_field),
		cmocka_unit_test(a_long_name_is_cut_and_odd_characters_are_replaced),
		cmocka_unit_test(a_small_entry_goes_as_a_datagram),
		cmocka_unit_test(a_large_entry_goes_as_a_sealed_file),
		cmocka_unit_test(a_journal_that_is_not_there_takes_nothing),
		cmocka_unit_test(standard_error_is_the_journal_only_where_it_is_the_stream_named),
		cmocka_unit_test(the_service_manager_is_told_where_it_wants_to_be),
	};

	return cmocka_run_group_tests_name("systemd", tests, NULL, NULL);
}
