#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vellum/base/lock.hpp>
#include <vellum/hosted/cpu.hpp>

namespace vellum::hosted {

namespace {

long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

bool host_has_asymmetric_barrier() {
  static const bool kRegistered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  return kRegistered;
}

void asymmetric_barrier() {
  if (host_has_asymmetric_barrier()) {
    VELLUM_CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0);
  }
}

void AccessGate::shut() {
  unsigned rounds = 0;
  while (shut_.exchange(true, std::memory_order_seq_cst)) {
    relax(rounds++);
  }
}

void AccessGate::wait_until_outside() const {
  unsigned rounds = 0;
  while (inside_.load(std::memory_order_seq_cst)) {
    relax(rounds++);
  }
}

void AccessGate::wait_while_shut() const {
  unsigned rounds = 0;
  while (shut_.load(std::memory_order_seq_cst)) {
    relax(rounds++);
  }
}

void AccessGate::wait_until_open() {
  do {
    leave();
    wait_while_shut();
    announce();
  } while (shut_.load(std::memory_order_acquire));
}

void Cpu::set_controls(const CpuControls& controls) {
  controls_ = controls;
  for (const Access access : {Access::read, Access::write, Access::execute}) {
    for (const Privilege privilege : {Privilege::user, Privilege::kernel}) {
      unsigned served = 0;
      for (unsigned bits = 0; bits < PageRights::kStates; ++bits) {
        const PageRights rights(bits);
        const bool dirty_enough = access != Access::write || rights.has(PageRights::dirty());
        if (dirty_enough && permits(controls, rights, access, privilege)) {
          served |= 1U << bits;
        }
      }
      served_[access_kind(access, privilege)] = static_cast<std::uint16_t>(served);
    }
  }
}

Statistics Cpu::statistics() const {
  return {.tlb_hits = hits_.value(),
          .tlb_misses = misses_.value(),
          .large_page_hits = large_page_hits_.value(),
          .entries_walked = entries_walked_.value(),
          .faults = faults_.value(),
          .root_loads = root_loads_.value(),
          .local_flushes = local_flushes_.value(),
          .shootdowns_sent = shootdowns_sent_.value(),
          .shootdowns_served = shootdowns_served_.value()};
}

Statistics& Statistics::operator+=(const Statistics& other) {
  tlb_hits += other.tlb_hits;
  tlb_misses += other.tlb_misses;
  large_page_hits += other.large_page_hits;
  entries_walked += other.entries_walked;
  faults += other.faults;
  root_loads += other.root_loads;
  local_flushes += other.local_flushes;
  shootdowns_sent += other.shootdowns_sent;
  shootdowns_served += other.shootdowns_served;
  return *this;
}

}  // namespace vellum::hosted
