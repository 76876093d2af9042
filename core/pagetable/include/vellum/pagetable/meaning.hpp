// What a range of addresses is for, whether or not anything is there yet.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <vellum/base/panic.hpp>
#include <vellum/base/prot.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// What stands behind addresses that are not anonymous private memory; implemented by the layers above. The runs of the
// tables that name a backing hold it: it ends when the last of them is gone.
class Backing {
 public:
  Backing(const Backing&) = delete;
  Backing& operator=(const Backing&) = delete;

  void retain() {
    const std::uint32_t before = references_.fetch_add(1, std::memory_order_relaxed);
    VELLUM_CHECK(before != 0 && before != UINT32_MAX);
  }
  // True when that was the last reference: the caller must see that unreferenced() is called, with no lock held.
  [[nodiscard]] bool release() { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  // Ends the backing. Called once, with no lock held, after every translation that led to it was flushed.
  virtual void unreferenced() = 0;

  // Chains backings on their way to unreferenced().
  Backing* next_dropped = nullptr;

 protected:
  Backing() = default;
  ~Backing() = default;

 private:
  std::atomic<std::uint32_t> references_{1};
};

// Properties of a mapping besides its rights.
class Traits {
 public:
  constexpr Traits() = default;

  // Writes are seen by all who map the same object; otherwise they go to a private copy.
  [[nodiscard]] static constexpr Traits shared() { return Traits(1); }
  // Grows towards lower addresses when touched just below (a stack).
  [[nodiscard]] static constexpr Traits grows_down() { return Traits(2); }
  [[nodiscard]] static constexpr Traits from_bits(unsigned bits) { return Traits(static_cast<std::uint16_t>(bits)); }

  [[nodiscard]] constexpr unsigned bits() const { return bits_; }
  [[nodiscard]] constexpr bool is_shared() const { return (bits_ & 1U) != 0; }
  // Not counted when memory is promised.
  [[nodiscard]] static constexpr Traits no_reserve() { return Traits(4); }

  [[nodiscard]] constexpr bool is_unreserved() const { return (bits_ & 4U) != 0; }
  [[nodiscard]] constexpr bool is_growing_down() const { return (bits_ & 2U) != 0; }

  // A forked space does not have it; or has it, but finds it empty.
  [[nodiscard]] static constexpr Traits left_out_of_forks() { return Traits(8); }
  [[nodiscard]] static constexpr Traits wiped_by_forks() { return Traits(16); }
  [[nodiscard]] constexpr bool is_left_out_of_forks() const { return (bits_ & 8U) != 0; }
  [[nodiscard]] constexpr bool is_wiped_by_forks() const { return (bits_ & 16U) != 0; }
  // What is in memory stays there; `locked_on_fault` besides: it need not be there before it is used.
  [[nodiscard]] static constexpr Traits locked() { return Traits(32); }
  [[nodiscard]] static constexpr Traits locked_on_fault() { return Traits(64); }
  [[nodiscard]] constexpr bool is_locked() const { return (bits_ & 32U) != 0; }
  [[nodiscard]] constexpr bool is_locked_on_fault() const { return (bits_ & 64U) != 0; }

  // What its program said of large pages (madvise): that it wants them where they fit, or never any.
  [[nodiscard]] static constexpr Traits wants_large() { return Traits(1024); }
  [[nodiscard]] static constexpr Traits refuses_large() { return Traits(2048); }
  [[nodiscard]] constexpr bool is_wanting_large() const { return (bits_ & 1024U) != 0; }
  [[nodiscard]] constexpr bool is_refusing_large() const { return (bits_ & 2048U) != 0; }
  // Memory for it is promised: counted for as long as it is mapped, also while it may not be written.
  [[nodiscard]] static constexpr Traits reserved() { return Traits(256); }
  [[nodiscard]] constexpr bool is_reserved() const { return (bits_ & 256U) != 0; }
  // A page that was never touched, or was discarded, is for somebody to supply: a fault waits for it.
  [[nodiscard]] static constexpr Traits supplied() { return Traits(512); }
  [[nodiscard]] constexpr bool is_supplied() const { return (bits_ & 512U) != 0; }

  constexpr bool operator==(const Traits&) const = default;
  [[nodiscard]] constexpr Traits without(Traits other) const {
    return Traits(static_cast<std::uint16_t>(bits_ & ~other.bits_));
  }
  constexpr Traits operator|(Traits other) const { return Traits(static_cast<std::uint16_t>(bits_ | other.bits_)); }

 private:
  constexpr explicit Traits(std::uint16_t bits) : bits_(bits) {}

  std::uint16_t bits_ = 0;
};

// The rights asked for are `prot`; what later mprotects may ask for is within `maximum`; what an entry grants at a
// given moment is its own rights and those of the entries above it, ANDed, and never exceeds `prot`.
struct Meaning {
  Backing* backing = nullptr;  // null: anonymous private memory
  Prot prot;
  Prot maximum;
  Traits traits;

  constexpr bool operator==(const Meaning&) const = default;
  // Whether memory is to be promised for it where it is given the right `prot`, and is not so far.
  [[nodiscard]] constexpr bool needs_promise(Prot wanted) const {
    return wanted.can_write() && !prot.can_write() && !traits.is_shared() && !traits.is_unreserved() &&
           !traits.is_reserved();
  }
};

// Pages, or slots of one table, that mean something, and those among them that are reserved.
struct MeaningSum {
  std::uint64_t all = 0;
  std::uint64_t reserved = 0;

  constexpr MeaningSum& operator+=(const MeaningSum& other) {
    all += other.all;
    reserved += other.reserved;
    return *this;
  }
  friend constexpr MeaningSum operator*(PageCount pages, const MeaningSum& slots) {
    return {.all = pages.value() * slots.all, .reserved = pages.value() * slots.reserved};
  }
  constexpr bool operator==(const MeaningSum&) const = default;
};

// What becomes of a meaning: of its rights, where there are new ones, and of its traits.
struct MeaningChange {
  std::optional<Prot> prot;
  Traits add;
  Traits drop;
  bool promises = false;  // what needs a promise for the new rights has it

  [[nodiscard]] constexpr Meaning of(Meaning meaning) const {
    if (promises && prot && meaning.needs_promise(*prot)) {
      meaning.traits = meaning.traits | Traits::reserved();
    }
    meaning.prot = prot ? *prot : meaning.prot;
    meaning.traits = meaning.traits.without(drop) | add;
    return meaning;
  }
};

}  // namespace vellum
