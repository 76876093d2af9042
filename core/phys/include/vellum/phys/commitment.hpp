// What memory is promised to programs, against what there is (Linux's overcommit accounting).
//
// A promise is made for what may come to need a page of its own: private memory that may be written, and the pages of
// objects that are nowhere but in memory. Each CPU counts on a line of its own, so that mmap and munmap on several CPUs
// do not meet; only where there is a limit on the sum is it formed with each promise.
#pragma once

#include <atomic>

#include <vellum/base/cpu.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// What may be promised (vm.overcommit_memory).
enum class Overcommit : std::uint8_t {
  heuristic,  // all but what is larger, by itself, than all memory
  always,     // everything
  never       // together no more than the limit
};

class Commitment {
 public:
  explicit Commitment(PageCount memory);
  Commitment(const Commitment&) = delete;
  Commitment& operator=(const Commitment&) = delete;

  // Promises pages. False: refused, nothing is promised. mapped() -> PageCount is asked for what the process that they
  // are for maps altogether, of which a part is held back so that one process does not take all.
  template <class Mapped>
  [[nodiscard]] bool charge(CpuIndex cpu, PageCount pages, Mapped mapped) {
    count(cpu, static_cast<std::int64_t>(pages.value()));
    if (pages.value() <= most_at_once_.load(std::memory_order_relaxed)) [[likely]] {
      return true;
    }
    return settle(cpu, pages, mapped(), Judged::alone_too);
  }
  [[nodiscard]] bool charge(CpuIndex cpu, PageCount pages) {
    return charge(cpu, pages, [] { return PageCount(0); });
  }
  // The same for what is promised to somebody else already, and now twice (fork): its size alone is no reason against.
  [[nodiscard]] bool charge_again(CpuIndex cpu, PageCount pages, PageCount mapped);
  void uncharge(CpuIndex cpu, PageCount pages) { count(cpu, -static_cast<std::int64_t>(pages.value())); }
  // Promises, or with a negative number takes back, without asking.
  void count(CpuIndex cpu, std::int64_t pages) {
    slots_[cpu.value() % kSlots].pages.fetch_add(pages, std::memory_order_relaxed);
  }

  // Whether so much is refused whatever else is promised.
  [[nodiscard]] bool refuses(PageCount pages) const { return mode() == Overcommit::heuristic && pages > memory_; }
  // Whether the sum is limited: then nothing that could need memory goes uncounted (MAP_NORESERVE means nothing).
  [[nodiscard]] bool is_strict() const { return most_at_once_.load(std::memory_order_relaxed) == 0; }

  // Pages that are promised. Exact when quiescent.
  [[nodiscard]] PageCount committed() const;
  // Pages that Overcommit::never permits altogether.
  [[nodiscard]] PageCount limit() const;

  // --- settings. One at a time.

  [[nodiscard]] Overcommit mode() const { return mode_.load(std::memory_order_relaxed); }
  void set_mode(Overcommit mode);
  // The limit: so many hundredths of memory, or so many KiB, where that is not 0. Setting one clears the other.
  [[nodiscard]] std::int32_t ratio() const { return ratio_.load(std::memory_order_relaxed); }
  void set_ratio(std::int32_t hundredths);
  [[nodiscard]] std::uint64_t kilobytes() const { return kilobytes_.load(std::memory_order_relaxed); }
  void set_kilobytes(std::uint64_t kilobytes);
  // KiB held back, of the limit, for the administrator, and for others than the process that asks.
  std::atomic<std::uint64_t> administrator_reserve{0};
  std::atomic<std::uint64_t> user_reserve{0};
  // A bound on all promises together in every mode; none at first.
  void set_budget(PageCount pages);
  [[nodiscard]] PageCount budget() const { return PageCount(budget_.load(std::memory_order_relaxed)); }
  [[nodiscard]] bool has_budget() const { return budget_.load(std::memory_order_relaxed) != ~std::uint64_t{0}; }
  // Tells whether the caller may have what is held back for the administrator. Null: no.
  bool (*is_administrator)() = nullptr;
  // Told of each promise that the budget refused. May be null.
  void (*on_refusal)(PageCount pages) = nullptr;

 private:
  static constexpr unsigned kSlots = 64;
  struct alignas(kCacheLine) Slot {
    std::atomic<std::int64_t> pages{0};
  };

  enum class Judged : std::uint8_t { alone_too, by_the_sum };
  [[nodiscard]] bool settle(CpuIndex cpu, PageCount pages, PageCount mapped, Judged judged);
  void update();

  const PageCount memory_;
  std::atomic<Overcommit> mode_{Overcommit::heuristic};
  std::atomic<std::int32_t> ratio_{50};
  std::atomic<std::uint64_t> kilobytes_{0};
  std::atomic<std::uint64_t> budget_{~std::uint64_t{0}};
  // A promise of so many pages or fewer needs no look at the rest.
  std::atomic<std::uint64_t> most_at_once_;
  Slot slots_[kSlots];
};

}  // namespace vellum
