#include <vellum/base/epoch.hpp>

namespace vellum {

void EpochDomain::retire(CpuIndex cpu, EpochEntry& entry) {
  Slot& slot = slots_[cpu.value()];
  // The unlinking store must not still wait in a store buffer when the epoch is read.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint64_t now = epoch_.load(std::memory_order_relaxed);
  const auto index = static_cast<unsigned>((now / kStep) % kBuckets);
  if (slot.bucket_epoch[index] != now) {
    reclaim_bucket(slot, index);  // three epochs old
    slot.bucket_epoch[index] = now;
  }
  entry.next = slot.bucket[index];
  slot.bucket[index] = &entry;
  slot.retired_count.store(slot.retired_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (++slot.since_collect >= kCollectEvery) {
    slot.since_collect = 0;
    collect(cpu);
  }
}

void EpochDomain::collect(CpuIndex cpu) {
  advance();
  Slot& slot = slots_[cpu.value()];
  const std::uint64_t now = epoch_.load(std::memory_order_acquire);
  for (unsigned index = 0; index < kBuckets; ++index) {
    if (slot.bucket[index] != nullptr && slot.bucket_epoch[index] + 2 * kStep <= now) {
      reclaim_bucket(slot, index);
    }
  }
}

void EpochDomain::settle(CpuIndex cpu) {
  VELLUM_ASSERT(slots_[cpu.value()].depth == 0);
  for (unsigned round = 0; round < kBuckets && slots_[cpu.value()].retired_count.load(std::memory_order_relaxed) != 0;
       ++round) {
    collect(cpu);
  }
}

void EpochDomain::drain() {
  for (unsigned cpu = 0; cpu < cpu_count_; ++cpu) {
    VELLUM_CHECK(slots_[cpu].announced.load(std::memory_order_acquire) == 0);
    for (unsigned index = 0; index < kBuckets; ++index) {
      reclaim_bucket(slots_[cpu], index);
    }
  }
}

std::uint64_t EpochDomain::retired() const {
  std::uint64_t total = 0;
  for (unsigned cpu = 0; cpu < cpu_count_; ++cpu) {
    total += slots_[cpu].retired_count.load(std::memory_order_relaxed);
  }
  return total;
}

void EpochDomain::wait_for_sections(CpuIndex cpu) const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (unsigned other = 0; other < cpu_count_; ++other) {
    if (other == cpu.value()) {
      VELLUM_ASSERT(slots_[other].depth == 0);
      continue;
    }
    const Slot& slot = slots_[other];
    const std::uint64_t number = slot.section_number.load(std::memory_order_relaxed);
    unsigned rounds = 0;
    while ((slot.announced.load(std::memory_order_acquire) & kInside) != 0 &&
           slot.section_number.load(std::memory_order_acquire) == number) {
      relax(rounds++);
    }
  }
}

void EpochDomain::advance() {
  std::uint64_t now = epoch_.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (unsigned cpu = 0; cpu < cpu_count_; ++cpu) {
    const std::uint64_t announced = slots_[cpu].announced.load(std::memory_order_acquire);
    if ((announced & kInside) != 0 && (announced & ~kInside) != now) {
      return;
    }
  }
  epoch_.compare_exchange_strong(now, now + kStep, std::memory_order_seq_cst);
}

void EpochDomain::reclaim_bucket(Slot& slot, unsigned index) {
  EpochEntry* entry = slot.bucket[index];
  slot.bucket[index] = nullptr;
  std::uint64_t reclaimed = 0;
  while (entry != nullptr) {
    EpochEntry* following = entry->next;
    entry->reclaim(*entry);
    entry = following;
    ++reclaimed;
  }
  slot.retired_count.store(slot.retired_count.load(std::memory_order_relaxed) - reclaimed, std::memory_order_relaxed);
}

}  // namespace vellum
