/* Counts locks and page faults, and traps system calls by a seccomp filter: see watch.h. */
#define _GNU_SOURCE
#include "watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- Locks ---- */

static atomic_ullong locks;

unsigned long long lock_count(void) { return locks; }

/* A function of this name that counts, then calls the next of that name: the C library's. */
#define COUNTED(name, parameters, arguments)             \
  int name parameters {                                  \
    static int(*next) parameters;                        \
    ++locks;                                             \
    if (!next) *(void**)&next = dlsym(RTLD_NEXT, #name); \
    return next arguments;                               \
  }

COUNTED(pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
COUNTED(pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
COUNTED(pthread_mutex_unlock, (pthread_mutex_t * mutex), (mutex))
COUNTED(pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
COUNTED(pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
COUNTED(pthread_rwlock_unlock, (pthread_rwlock_t * lock), (lock))
COUNTED(pthread_cond_wait, (pthread_cond_t * condition, pthread_mutex_t* mutex), (condition, mutex))
COUNTED(pthread_cond_signal, (pthread_cond_t * condition), (condition))
COUNTED(pthread_cond_broadcast, (pthread_cond_t * condition), (condition))
COUNTED(sem_wait, (sem_t * semaphore), (semaphore))
COUNTED(sem_post, (sem_t * semaphore), (semaphore))

/* ---- Page faults ---- */

static struct rusage usage; /* the filter knows the call by this address */

unsigned long long minor_fault_count(void) {
  syscall(SYS_getrusage, RUSAGE_SELF, &usage);
  return (unsigned long long)usage.ru_minflt;
}

unsigned long long major_fault_count(void) {
  syscall(SYS_getrusage, RUSAGE_SELF, &usage);
  return (unsigned long long)usage.ru_majflt;
}

/* ---- System calls ---- */

static atomic_ullong system_calls;
static atomic_int last = -1;

unsigned long long system_call_count(void) { return system_calls; }
int last_system_call(void) { return last; }

static void refused(int signal, siginfo_t* info, void* context) {
  (void)signal;
  ++system_calls;
  last = info->si_syscall;
  ucontext_t* const at = context;
  (void)at;
#if defined(__x86_64__)
  at->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
  at->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
#elif defined(__arm__)
  at->uc_mcontext.arm_r0 = (unsigned long)-ENOSYS;
#endif
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, count)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int forbid_system_calls(int report_fd) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = refused;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, NULL)) return errno;
  /* Arguments are 64 bits wide; their lower halves, which little-endian machines have first, tell enough. */
  struct sock_filter filter[] = {
      LOAD(nr),      SKIP_UNLESS(SYS_rt_sigreturn, 1),
      ALLOW,         SKIP_UNLESS(SYS_exit_group, 1),
      ALLOW,         SKIP_UNLESS(SYS_write, 3),
      LOAD(args[0]), SKIP_UNLESS(report_fd, 5),
      ALLOW,         SKIP_UNLESS(SYS_getrusage, 3),
      LOAD(args[1]), SKIP_UNLESS((uintptr_t)&usage, 1),
      ALLOW,         BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? errno : 0;
}
