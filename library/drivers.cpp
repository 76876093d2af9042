#include "state.hpp"

namespace libvellum::detail {

namespace {

// A number that no other living thread has.
std::uintptr_t caller() {
  static constinit thread_local char token = 0;
  return reinterpret_cast<std::uintptr_t>(&token);
}

}  // namespace

bool Drivers::take(unsigned cpu) {
  std::uintptr_t nobody = 0;
  if (!drivers_[cpu].compare_exchange_strong(nobody, caller(), std::memory_order_acquire)) {
    return false;
  }
  driven_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Drivers::give_back(unsigned cpu) {
  driven_.fetch_sub(1, std::memory_order_relaxed);
  drivers_[cpu].store(0, std::memory_order_release);
}

std::optional<unsigned> Drivers::driven_by(std::uintptr_t thread) const {
  if (drivers_[spare_].load(std::memory_order_relaxed) == thread) {
    return spare_;
  }
  if (driven_.load(std::memory_order_relaxed) == 0) {
    return std::nullopt;
  }
  for (unsigned cpu = 0; cpu < spare_; ++cpu) {
    if (drivers_[cpu].load(std::memory_order_relaxed) == thread) {
      return cpu;
    }
  }
  return std::nullopt;
}

Drivers::Hold::Hold(Drivers& drivers) : drivers_(drivers), cpu_(drivers.spare_) {
  const std::uintptr_t thread = caller();
  if (const std::optional<unsigned> driven = drivers.driven_by(thread); driven) {
    cpu_ = *driven;
    return;
  }
  std::atomic<std::uintptr_t>& spare = drivers.drivers_[cpu_];
  std::uintptr_t holder = 0;
  while (!spare.compare_exchange_weak(holder, thread, std::memory_order_acquire)) {
    if (holder != 0) {
      spare.wait(holder, std::memory_order_relaxed);
      holder = 0;
    }
  }
  took_spare_ = true;
}

Drivers::Hold::~Hold() {
  if (took_spare_) {
    drivers_.drivers_[cpu_].store(0, std::memory_order_release);
    drivers_.drivers_[cpu_].notify_one();
  }
}

}  // namespace libvellum::detail
