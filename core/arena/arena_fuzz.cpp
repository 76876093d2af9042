// Arenas against a naive model: a map of the allocated ranges, and for each quantum of the window whether it belongs to
// a span. A child arena imports from its parent, and quantum caches stand in front of a third arena.

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <vellum/arena/arena.hpp>
#include <vellum/arena/cached_arena.hpp>
#include <vellum/fuzz/fuzz.hpp>
#include <vellum/hosted/machine.hpp>

#include "host_pages.hpp"

namespace vellum {
namespace {

constexpr ByteCount kQuantum{16};
constexpr std::uint64_t kWindowQuanta = 512;
constexpr std::uint64_t kBytes = kWindowQuanta * kQuantum.value();
constexpr std::uint64_t kTopWindow = 0 - kBytes;  // ends at 2^64

// What an arena should say: its spans, and what is allocated in them, by start.
class Model {
 public:
  using Ranges = std::map<std::uint64_t, std::uint64_t>;  // start to size

  void add_span(VirtRange span) { spans_[span.start().value()] = span.size().value(); }
  [[nodiscard]] bool overlaps_span(VirtRange range) const {
    return std::ranges::any_of(spans_, [&](const auto& span) { return range_of(span).overlaps(range); });
  }
  [[nodiscard]] bool within_a_span(VirtRange range) const {
    return std::ranges::any_of(spans_, [&](const auto& span) { return range_of(span).contains(range); });
  }
  [[nodiscard]] std::vector<VirtRange> holes() const {
    std::vector<VirtRange> found;
    for (const auto& [start, size] : spans_) {
      std::uint64_t at = start;
      const std::uint64_t last = start + (size - 1);
      for (auto each = allocated_.lower_bound(start); each != allocated_.end() && each->first <= last; ++each) {
        if (each->first != at) {
          found.push_back(VirtRange::must(VirtAddr(at), ByteCount(each->first - at)));
        }
        at = each->first + each->second;
      }
      if (at != last + 1) {
        found.push_back(VirtRange::must(VirtAddr(at), ByteCount(last - at + 1)));
      }
    }
    return found;
  }
  void allocate(VirtRange range) {
    const auto next = allocated_.lower_bound(range.start().value());
    VELLUM_CHECK(next == allocated_.end() || !range_of(*next).overlaps(range));
    VELLUM_CHECK(next == allocated_.begin() || !range_of(*std::prev(next)).overlaps(range));
    allocated_.emplace_hint(next, range.start().value(), range.size().value());
    in_use_ += range.size();
  }
  VirtRange remove(std::size_t index) {
    auto each = allocated_.begin();
    std::advance(each, static_cast<std::ptrdiff_t>(index % allocated_.size()));
    const VirtRange range = range_of(*each);
    allocated_.erase(each);
    in_use_ -= range.size();
    return range;
  }
  [[nodiscard]] bool empty() const { return allocated_.empty(); }
  [[nodiscard]] std::size_t count() const { return allocated_.size(); }
  [[nodiscard]] ByteCount in_use() const { return in_use_; }

 private:
  Ranges spans_;
  Ranges allocated_;
  [[nodiscard]] static VirtRange range_of(const Ranges::value_type& entry) {
    return VirtRange::must(VirtAddr(entry.first), ByteCount(entry.second));
  }

  ByteCount in_use_;
};

struct Wanted {
  ByteCount size;
  Fit fit;
  RangeConstraints constraints;
};

[[nodiscard]] bool meets(const Wanted& wanted, std::uint64_t start) {
  const std::uint64_t last = start + (wanted.size.value() - 1);
  const RangeConstraints& constraints = wanted.constraints;
  if (constraints.alignment > kQuantum && (start - constraints.phase.value()) % constraints.alignment.value() != 0) {
    return false;
  }
  if (!constraints.no_cross.is_zero() && start / constraints.no_cross.value() != last / constraints.no_cross.value()) {
    return false;
  }
  return start >= constraints.first.value() && last <= constraints.last.value() && last >= start;
}

// Whether any start in the hole serves, by trying each.
[[nodiscard]] bool fits(const Wanted& wanted, VirtRange hole) {
  if (hole.size() < wanted.size) {
    return false;
  }
  const std::uint64_t starts = (hole.size() - wanted.size).value() / kQuantum.value();
  for (std::uint64_t i = 0; i <= starts; ++i) {
    if (meets(wanted, hole.start().value() + i * kQuantum.value())) {
      return true;
    }
  }
  return false;
}

class Program {
 public:
  Program(Machine& machine, FuzzInput& input)
      : input_(input),
        window_(input.take_bool() ? kTopWindow : kBytes),
        metadata_(pages_, machine),
        arena_({.name = "fuzzed", .quantum = kQuantum}, metadata_),
        child_({.name = "child", .quantum = kQuantum, .source = &arena_, .least_import = kQuantum * 8}, metadata_),
        cached_({.name = "cached", .quantum = kQuantum, .source = &arena_, .least_import = kQuantum * 4}, kQuantum * 4,
                metadata_) {}

  void run() {
    add_span();
    while (!input_.empty()) {
      step();
      check();
      ++vellum_fuzz_operations;
    }
    while (!model_.empty()) {
      arena_.free(model_.remove(0));
    }
    free_all(child_, child_model_);
    free_all(cached_, cached_model_);
    cached_.reap();
    VELLUM_CHECK(child_.total().is_zero() && cached_.total().is_zero() && arena_.in_use().is_zero());
    check();
  }

 private:
  enum class Operation : std::uint8_t {
    allocate,
    allocate_constrained,
    free,
    child_allocate,
    child_free,
    cached_allocate,
    cached_free,
    add_span,
    trim,
    fail,
    recover,
  };
  // As often as they stand here.
  static constexpr Operation kMix[] = {
      Operation::allocate,
      Operation::allocate,
      Operation::allocate_constrained,
      Operation::free,
      Operation::free,
      Operation::allocate_constrained,
      Operation::child_allocate,
      Operation::child_allocate,
      Operation::child_allocate,
      Operation::child_free,
      Operation::child_free,
      Operation::cached_allocate,
      Operation::cached_free,
      Operation::cached_allocate,
      Operation::cached_free,
      Operation::trim,
      Operation::add_span,
      Operation::fail,
      Operation::recover,
      Operation::recover,
      Operation::recover,
  };

  template <class Unit>
  static void free_all(Unit& unit, Model& model) {
    while (!model.empty()) {
      unit.free(model.remove(0));
    }
  }

  [[nodiscard]] ByteCount take_size() {
    return kQuantum * (input_.take_bool() ? input_.take_in_range(1, 4) : input_.take_in_range(1, 24));
  }

  [[nodiscard]] Wanted take_wanted() {
    Wanted wanted{.size = take_size(), .fit = static_cast<Fit>(input_.take_u8() % 3), .constraints = {}};
    // Each constraint one time in four, for with all of them nothing fits.
    const unsigned which = input_.take_u8() & input_.take_u8();
    if ((which & 1U) != 0) {
      wanted.constraints.alignment = kQuantum * (std::uint64_t{1} << input_.take_in_range(0, 5));
      wanted.constraints.phase =
          kQuantum * input_.take_in_range(0, wanted.constraints.alignment.value() / kQuantum.value() - 1);
    }
    if ((which & 2U) != 0) {
      wanted.constraints.no_cross = kQuantum * (std::uint64_t{1} << input_.take_in_range(0, 6));
    }
    if ((which & 4U) != 0) {
      wanted.constraints.first = VirtAddr(window_ + input_.take_in_range(0, kBytes - 1));
    }
    if ((which & 8U) != 0) {
      wanted.constraints.last = VirtAddr(window_ + input_.take_in_range(0, kBytes - 1));
    }
    return wanted;
  }

  void step() {
    switch (kMix[input_.take_in_range(0, std::size(kMix) - 1)]) {
      case Operation::allocate:
        allocate({.size = take_size(), .fit = static_cast<Fit>(input_.take_u8() % 3), .constraints = {}});
        break;
      case Operation::allocate_constrained:
        allocate(take_wanted());
        break;
      case Operation::free:
        if (!model_.empty()) {
          arena_.free(model_.remove(input_.take_u16()));
        }
        break;
      case Operation::child_allocate: {
        const Wanted wanted = take_wanted();
        note(child_model_, wanted, child_.allocate(wanted.size, wanted.fit, wanted.constraints));
        break;
      }
      case Operation::child_free:
        if (!child_model_.empty()) {
          child_.free(child_model_.remove(input_.take_u16()));
        }
        break;
      case Operation::cached_allocate: {
        const Wanted wanted{.size = kQuantum * input_.take_in_range(1, 6), .fit = Fit::instant, .constraints = {}};
        note(cached_model_, wanted, cached_.allocate(wanted.size));
        break;
      }
      case Operation::cached_free:
        if (!cached_model_.empty()) {
          cached_.free(cached_model_.remove(input_.take_u16()));
        }
        break;
      case Operation::add_span:
        add_span();
        break;
      case Operation::trim:
        cached_.trim();
        break;
      case Operation::fail:
        pages_.fail();
        break;
      case Operation::recover:
        pages_.recover();
        break;
    }
  }

  void add_span() {
    const std::uint64_t first = input_.take_in_range(0, kWindowQuanta - 1);
    const std::uint64_t quanta = input_.take_in_range(1, 128);
    if (first + quanta > kWindowQuanta) {
      return;
    }
    const VirtRange span = VirtRange::must(VirtAddr(window_) + kQuantum * first, kQuantum * quanta);
    const bool overlaps = model_.overlaps_span(span);
    const Result<void> result = arena_.add_span(span);
    VELLUM_CHECK(result.ok() ? !overlaps : result.error() == (overlaps ? Errno::exists : Errno::no_memory));
    VELLUM_CHECK(result.ok() || overlaps || pages_.failing());
    if (result.ok()) {
      model_.add_span(span);
      total_ += span.size();
    }
  }

  // The parent's ranges are also what the children borrowed, so what is free in it is known only while they hold none.
  void allocate(const Wanted& wanted) {
    const bool alone = child_.total().is_zero() && cached_.total().is_zero();
    const std::vector<VirtRange> holes = alone ? model_.holes() : std::vector<VirtRange>();
    const Result<VirtRange> result = arena_.allocate(wanted.size, wanted.fit, wanted.constraints);
    if (!result.ok()) {
      if (result.error() == Errno::no_memory && !pages_.failing()) {
        for (const VirtRange& hole : holes) {
          VELLUM_CHECK(!fits(wanted, hole));
        }
      }
      check_invalid(wanted, result.error());
      return;
    }
    VELLUM_CHECK(result.value().size() == wanted.size && meets(wanted, result.value().start().value()));
    VELLUM_CHECK(model_.within_a_span(result.value()));
    if (alone) {
      check_hole(wanted, result.value(), holes);
    }
    model_.allocate(result.value());
  }

  // The range came out of a hole, and for best fit out of the smallest that fits.
  static void check_hole(const Wanted& wanted, VirtRange range, const std::vector<VirtRange>& holes) {
    const VirtRange* from = nullptr;
    for (const VirtRange& hole : holes) {
      from = hole.contains(range) ? &hole : from;
    }
    VELLUM_CHECK(from != nullptr);
    for (const VirtRange& hole : holes) {
      VELLUM_CHECK(wanted.fit != Fit::best || hole.size() >= from->size() || !fits(wanted, hole));
    }
  }

  // `invalid` exactly where no address of all could serve.
  static void check_invalid(const Wanted& wanted, Errno error) {
    const RangeConstraints& constraints = wanted.constraints;
    bool possible = constraints.first <= constraints.last;
    if (possible && !constraints.no_cross.is_zero()) {
      Wanted anywhere = wanted;
      anywhere.constraints.first = VirtAddr(0);
      anywhere.constraints.last = VirtAddr(~std::uint64_t{0});
      possible = fits(anywhere, VirtRange::must(VirtAddr(0), kQuantum * 256));
    }
    VELLUM_CHECK(error == (possible ? Errno::no_memory : Errno::invalid));
  }

  void note(Model& model, const Wanted& wanted, const Result<VirtRange>& result) const {
    if (!result.ok()) {
      check_invalid(wanted, result.error());
      return;
    }
    VELLUM_CHECK(result.value().size() == wanted.size && meets(wanted, result.value().start().value()));
    VELLUM_CHECK(model_.within_a_span(result.value()));
    model.allocate(result.value());
  }

  void check() {
    arena_.check_invariants();
    child_.check_invariants();
    cached_.check_invariants();
    VELLUM_CHECK(child_.in_use() == child_model_.in_use());
    VELLUM_CHECK(cached_.in_use() == cached_model_.in_use());
    VELLUM_CHECK(arena_.in_use() == model_.in_use() + child_.total() + cached_.total());
    VELLUM_CHECK(arena_.total() == total_);
    VELLUM_CHECK(arena_.total() >= arena_.in_use());
  }

  FuzzInput& input_;
  std::uint64_t window_;
  HostPages pages_;
  ArenaMetadata metadata_;
  Arena arena_;
  Arena child_;
  CachedArena cached_;
  Model model_;
  Model child_model_;
  Model cached_model_;
  ByteCount total_;
};

}  // namespace
}  // namespace vellum

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vellum;
  static const std::unique_ptr<Machine> machine =
      hosted::Machine::create({.memory = ByteCount(kPageSize), .cpus = 1, .ranges = {}}).value();
  const hosted::CpuScope cpu(*machine, CpuIndex(0));
  FuzzInput input(data, size);
  Program(*machine, input).run();
  return 0;
}
