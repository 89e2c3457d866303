/* What a process must not do while a deadline runs: linked into a program, or preloaded. Linux with glibc. */
#ifndef WATCH_H
#define WATCH_H

#ifdef __cplusplus
extern "C" {
#endif

/* Of malloc_count.c: calls of the allocator so far. */
unsigned long long malloc_count(void);
unsigned long long free_count(void);

/* Calls of pthread's mutexes, conditions, rwlocks and semaphores so far, in all threads. */
unsigned long long lock_count(void);

/* Page faults of the process so far, minor and major. */
unsigned long long minor_fault_count(void);
unsigned long long major_fault_count(void);

/* From here on this thread's system calls are counted and refused with ENOSYS, for good, but for write() to report_fd, the
   counting of page faults, and the end of the process. Returns 0, or errno where the kernel has no seccomp filters. */
int forbid_system_calls(int report_fd);
unsigned long long system_call_count(void);
int last_system_call(void); /* its number; -1 before the first */

#ifdef __cplusplus
}
#endif
#endif
