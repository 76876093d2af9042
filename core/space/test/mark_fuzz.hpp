// A fuzzer's operations that say something about mappings: discarding, what fork heeds, locking.
#pragma once

#include "fuzz_world.hpp"

namespace vellum::test {

template <PageTableFormat F>
class MarkFuzz {
 public:
  MarkFuzz(FuzzWorld<F>& world, const Operation& op, typename FuzzWorld<F>::Space& space)
      : world_(world), op_(op), real_(*space.real), model_(space.model) {}

  void run() {
    if (op_.kind == Operation::Kind::lock_all) {
      return lock_all();
    }
    const Result<VirtRange> range = VirtRange::checked(op_.address, bytes_of(pages_for(op_.length)));
    if (!range.ok() || !world_.layout().may_name(range.value())) {
      return;
    }
    switch (op_.kind) {
      case Operation::Kind::discard:
        return discard(range.value());
      case Operation::Kind::mark:
        return mark(range.value());
      default:
        return lock(range.value());
    }
  }

 private:
  static constexpr std::uint64_t kMostBroughtIn = 64;  // pages
  static constexpr Traits kLocks = Traits::locked() | Traits::locked_on_fault();

  // The operation itself, with failures where it is to succeed otherwise.
  template <class Action>
  [[nodiscard]] Result<void> attempt(const Result<void>& expected, Action action) {
    Operation tried = op_;
    tried.fail_nth = expected.ok() ? op_.fail_nth : 0;  // lest one error hide the other
    const typename FuzzWorld<F>::Failing failing(world_, tried);
    const Result<void> result = action();
    const bool same = result.ok() == expected.ok() && (result.ok() || result.error() == expected.error());
    const bool injected = failing.allocations() > 0 && !result.ok() &&
                          (result.error() == Errno::no_memory || result.error() == Errno::try_again);
    if (!same && !injected) {
      differ("%u gave %d, expected %d", static_cast<unsigned>(op_.kind),
             result.ok() ? 0 : static_cast<int>(result.error()),
             expected.ok() ? 0 : static_cast<int>(expected.error()));
    }
    return result;
  }

  void discard(VirtRange range) {
    static constexpr Discard kHow[] = {Discard::unlocked, Discard::locked_too, Discard::own_memory};
    const Discard how = kHow[op_.how % 3];
    const auto reach = world_.oracle().reach(range, model_, Gaps::passed, [how](const Stretch& stretch) {
      const bool kept = stretch.traits.is_locked() && how != Discard::locked_too;
      return kept || (how == Discard::own_memory && stretch.object) ? Result<void>(Errno::invalid) : Result<void>();
    });
    const Result<void> result = attempt(reach.result, [&] { return real_.discard(range, how); });
    if (result.ok() == reach.result.ok() && reach.start < reach.end) {
      forget_private(reach.start, reach.end);
    }
  }
  void forget_private(Vpn start, Vpn end) {
    constexpr PageCount kMostLookedAt{16};
    model_.discard(start, end);
    for (Vpn page = start; page < end && page - start < kMostLookedAt; page += PageCount(1)) {
      const Stretch* const stretch = model_.find(page);
      if ((stretch == nullptr || !stretch->object) && real_.is_resident(address_of<F>(page))) {
        differ("page 0x%llx is in memory", static_cast<unsigned long long>(page.value()));
      }
    }
  }

  void mark(VirtRange range) {
    static constexpr Marking kMarkings[] = {
        {.add = Traits::left_out_of_forks(), .drop = {}},
        {.add = {}, .drop = Traits::left_out_of_forks()},
        {.add = Traits::wiped_by_forks(), .drop = {}, .own_memory_only = true},
        {.add = {}, .drop = Traits::wiped_by_forks()},
        {.add = {}, .drop = kLocks, .gaps = Gaps::obstacle},
        {.add = {}, .drop = Traits::left_out_of_forks()},
        {.add = Traits::wants_large(), .drop = Traits::refuses_large()},
        {.add = Traits::refuses_large(), .drop = Traits::wants_large()},
    };
    const Marking& marking = kMarkings[op_.how % std::size(kMarkings)];
    const auto reach = reach_of(range, marking);
    const Result<void> result = attempt(reach.result, [&] { return real_.mark(range, marking); });
    if (result.ok() == reach.result.ok() && reach.start < reach.end) {
      model_.mark(reach.start, reach.end, marking.add, marking.drop);
    }
  }
  [[nodiscard]] auto reach_of(VirtRange range, const Marking& marking) const {
    return world_.oracle().reach(range, model_, marking.gaps, [&](const Stretch& stretch) {
      return marking.own_memory_only && stretch.object ? Result<void>(Errno::invalid) : Result<void>();
    });
  }

  void lock(VirtRange range) {
    const bool now = op_.how % 2 == 0 && whole_pages(range.size()).value() <= kMostBroughtIn;
    const LockMemory how = now ? LockMemory::now : LockMemory::on_fault;
    const auto reach = reach_of(range, {.add = {}, .drop = {}, .gaps = Gaps::obstacle});
    Result<void> expected = reach.result;
    Vpn end = reach.end;
    for (Vpn page = reach.start; expected.ok() && now && page < reach.end; page += PageCount(1)) {
      const Stretch& stretch = *model_.find(page);
      if (stretch.prot.is_none() || (stretch.object && !stretch.object->has(stretch.index_of(page)))) {
        expected = Errno::no_memory;
        end = page;
      }
    }
    const Result<void> result = attempt_lock(expected, range, how);
    const bool marked = result.ok() == expected.ok() || result.error() == Errno::try_again;
    if (marked && reach.start < reach.end) {
      model_.mark(reach.start, reach.end, now ? Traits::locked() : kLocks, kLocks);
      if (reach.result.ok() && now) {
        model_.bring_in(reach.start, end);
      }
    }
  }
  // How many copies were made before memory ran out could not be told.
  [[nodiscard]] Result<void> attempt_lock(const Result<void>& expected, VirtRange range, LockMemory how) {
    const PageCount objects = model_.sum_of([](const Stretch& stretch) { return stretch.object != nullptr; });
    if (!objects.is_zero()) {
      op_.fail_nth = 0;
      op_.device_fails = false;
    }
    return attempt(expected, [&] { return real_.lock_memory(range, how); });
  }

  void lock_all() {
    static constexpr LockMemory kHow[] = {LockMemory::no, LockMemory::now, LockMemory::on_fault};
    static constexpr Traits kTraits[] = {Traits(), Traits::locked(), kLocks};
    std::optional<LockMemory> current;
    unsigned which = op_.how % 3;
    const unsigned future = op_.how / 16 % 4 == 3 ? op_.how / 64 % 3 : 0;
    if (which == 1 && model_.mapped().value() > 2 * kMostBroughtIn) {
      which = 2;
    }
    if (op_.how % 4 != 3) {
      current = kHow[which];
    }
    real_.lock_all(current, kHow[future]);
    model_.future_locks = kTraits[future];
    if (current) {
      for (const VirtRange& half : world_.layout().user) {
        if (!half.empty()) {
          const Vpn start = vpn_of<F>(half.start());
          const Vpn end = Oracle<F>::end_of(half);
          model_.mark(start, end, kTraits[which], kLocks);
          if (which == 1) {
            const std::vector<Stretch> stretches = model_.stretches();
            for (const Stretch& stretch : stretches) {
              if (stretch.start >= start && stretch.end <= end) {
                model_.bring_in(stretch.start, stretch.end);
              }
            }
          }
        }
      }
    }
  }

  FuzzWorld<F>& world_;
  Operation op_;
  AddressSpace<F>& real_;
  SpaceModel& model_;
};

}  // namespace vellum::test
