/* A plugin of QEMU: says on standard error how many instructions the program executed. The few functions that it needs of
   QEMU's plugin API are declared here, since Debian packages no header for it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct block; /* what QEMU translates and runs as a whole */
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block*));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct block*, void (*)(unsigned, void*), int, void*);
extern size_t qemu_plugin_tb_n_insns(const struct block*);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);

EXPORT int qemu_plugin_version = API_VERSION;

static uint64_t instructions;

static void executed(unsigned cpu, void* count) {
  (void)cpu;
  instructions += (uintptr_t)count;
}

static void translated(plugin_id id, struct block* block) {
  enum { reads_no_registers };
  (void)id;
  void* count = (void*)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, reads_no_registers, count);
}

static void ended(plugin_id id, void* data) {
  (void)id, (void)data;
  fprintf(stderr, "Collected : %" PRIu64 "\n", instructions);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
