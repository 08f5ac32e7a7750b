/* The wall clock of one node, for whoever is started with this in LD_PRELOAD: what the kernel says
 * plus the offset in the first eight bytes (nanoseconds) of /run/lab/shared/clock-HOST. The second
 * eight count the readings, so that a test knows that its step was seen. Every other clock is the
 * kernel's own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shared;

__attribute__((constructor)) static void map_offset(void)
{
	char host[65] = "", path[128];
	gethostname(host, sizeof host - 1);
	snprintf(path, sizeof path, "/run/lab/shared/clock-%s", host);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	void *place = mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (place != MAP_FAILED)
		shared = place;
	close(fd);
}

static void step(struct timespec *at)
{
	if (!shared)
		return;
	__atomic_add_fetch(&shared[1], 1, __ATOMIC_RELAXED);
	int64_t ns = at->tv_nsec + shared[0] % 1000000000;
	int64_t carry = ns < 0 ? -1 : ns / 1000000000;
	at->tv_sec += shared[0] / 1000000000 + carry;
	at->tv_nsec = ns - carry * 1000000000;
}

static int kernels(clockid_t id, struct timespec *at)
{
	static int (*next)(clockid_t, struct timespec *);
	if (!next)
		next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	return next(id, at);
}

int clock_gettime(clockid_t id, struct timespec *at)
{
	int done = kernels(id, at);
	if (!done && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		step(at);
	return done;
}

int gettimeofday(struct timeval *at, void *zone)
{
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *at)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}
