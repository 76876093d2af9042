// The spaces, objects, CPUs and devices of a fuzzer's program, each beside its model; and operations on objects.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "fixture.hpp"
#include "oracle.hpp"
#include "program_record.hpp"
#include "stores.hpp"

namespace vellum::test {

template <PageTableFormat F>
class FuzzWorld {
 public:
  static constexpr unsigned kCpus = OperationSource<F>::kCpus;
  static constexpr unsigned kObjects = OperationSource<F>::kObjects;
  static constexpr std::size_t kMaxSpaces = 6;
  static constexpr ByteCount kBreakLimit{24 * kPageSize};

  struct Space {
    AddressSpace<F>* real;
    SpaceModel model;
  };
  struct Object {
    MemoryObject<F>* real = nullptr;
    std::shared_ptr<ObjectModel> model;
    FilePager* pager = nullptr;  // null: anonymous
  };

  explicit FuzzWorld(unsigned options)
      : options_(options),
        system_({.memory = ByteCount(std::uint64_t{256} << 20), .cpus = kCpus},
                (options & 16U) != 0 ? MeaningPlacement::deepest : MeaningPlacement::highest),
        oracle_(layout(), system_.memory().total_count()) {
    ProgramRecord::of_process().begin(F::kName, options);
    system_.vm().nodes.set_swap(swap_);
    system_.vm().most_in_order = 8;
    system_.vm().large_pages = (options & 0x41U) == 0 ? LargePages::where_they_pay : LargePages::everywhere;
    if (is_strict()) {
      system_.vm().objects.commitment().set_budget(PageCount(std::uint64_t{1} << 50));
    }
    if constexpr (!F::restricts(F::kLevels)) {
      for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
        const hosted::CpuScope scope(machine(), CpuIndex(cpu));
        machine().current().set_controls({.root_entries_in_registers = (options & 8U) != 0});
      }
    }
    Space& first = add(system_.create(layout()));
    first.model.break_start = first.model.break_end = windows().front() + ByteCount(4 * kPageSize);
    first.real->set_break_start(first.model.break_start, kBreakLimit);
    for (unsigned i = 0; i < kObjects; ++i) {
      make_object(objects_[i], ByteCount((i * 9 + 4) * kPageSize - i * 0x7F0), i % 2 == 0);
    }
  }

  [[nodiscard]] std::vector<VirtAddr> windows() const {
    if constexpr (F::kVirtualBits <= 24) {
      return {VirtAddr(std::uint64_t{1} << (F::kVirtualBits - 1))};
    } else if constexpr (F::kVirtualBits == 32) {
      return {VirtAddr(0x0060'0000), VirtAddr(0x4000'0000), VirtAddr(0x8000'0000), VirtAddr(0xBFF0'0000)};
    } else {
      return {VirtAddr(0x0060'0000), VirtAddr(0xC000'0000), VirtAddr(0x0100'0000'0000),
              has_high_half() ? VirtAddr(0xFFFF'8080'0000'0000) : VirtAddr(0x7FFF'FFF0'0000)};
    }
  }

  [[nodiscard]] SpaceLayout layout() const {
    SpaceLayout layout = whole_layout<F>();
    if constexpr (F::kVirtualBits <= 32) {
      if ((options_ & 32U) != 0) {  // the last quarter is the kernel's
        const std::uint64_t end = std::uint64_t{3} << (F::kVirtualBits - 2);
        layout.user[0] = VirtRange::must(VirtAddr(kPageSize), ByteCount(end - kPageSize));
      }
    }
    if (has_high_half()) {
      layout.user[1] = VirtRange::must(VirtAddr(0xFFFF'8000'0000'0000), ByteCount(std::uint64_t{0x7C} << 40));
    }
    layout.placement_top = layout.user[0].end();
    if constexpr (F::kVirtualBits > 24) {
      layout.placement_top = windows()[2] + ByteCount(32 * kPageSize);
      layout.placement_bottom = layout.placement_top - ByteCount(std::uint64_t{20} << 20);
    }
    layout.stack_limit = ByteCount(48 * kPageSize);
    layout.stack_guard_gap = ByteCount(3 * kPageSize);
    if ((options_ & 6U) == 6) {
      layout.size_limit = ByteCount((F::kVirtualBits <= 24 ? 48U : 700U) * kPageSize + 5);
    }
    if ((options_ & 0xC0U) == 0xC0) {
      layout.data_limit = ByteCount((F::kVirtualBits <= 24 ? 32U : 300U) * kPageSize + 5);
    }
    return layout;
  }

  // Whether the sum of promises is limited, though never reached.
  [[nodiscard]] bool is_strict() const { return (options_ & 0x0AU) == 0x0A; }
  [[nodiscard]] Machine& machine() { return system_.machine(); }
  [[nodiscard]] SwapDevice& swap() { return swap_; }
  [[nodiscard]] const Oracle<F>& oracle() const { return oracle_; }
  [[nodiscard]] Space& space(std::uint64_t which) { return *spaces_[which % spaces_.size()]; }
  [[nodiscard]] Object& object(unsigned number) { return objects_[number - 1]; }
  [[nodiscard]] MemoryObject<F>* real_of(const ObjectModel* model) const {
    for (const Object& object : objects_) {
      if (model != nullptr && object.model.get() == model) {
        return object.real;
      }
    }
    return nullptr;
  }
  // The space that a CPU runs, or null.
  [[nodiscard]] Space* running(unsigned cpu) { return cpus_[cpu].space; }
  [[nodiscard]] Program<F>& program(unsigned cpu) { return *cpus_[cpu].program; }

  // Makes allocations or devices fail as an operation says, for as long as it lives.
  class Failing {
   public:
    Failing(FuzzWorld& world, const Operation& op) : world_(world), active_(op.fail_nth != 0 || op.device_fails) {
      if (active_) {
        begin(op);
      }
    }
    ~Failing() {
      if (active_) {
        world_.machine().failures().off();
        world_.set_devices_failing(false);
      }
    }
    Failing(const Failing&) = delete;
    Failing& operator=(const Failing&) = delete;
    [[nodiscard]] std::uint64_t allocations() const { return active_ ? world_.machine().failures().failures() : 0; }
    [[nodiscard]] std::uint64_t devices() const { return active_ ? world_.device_failures() - devices_before_ : 0; }

   private:
    void begin(const Operation& op) {
      devices_before_ = world_.device_failures();
      world_.set_devices_failing(op.device_fails);
      if (op.fail_nth != 0) {
        world_.machine().failures().fail_nth(op.fail_nth);
      }
    }
    FuzzWorld& world_;
    const bool active_;
    std::uint64_t devices_before_ = 0;
  };

  void load_root(unsigned cpu, Space& space) {
    cpus_[cpu].program.reset();
    cpus_[cpu].program.emplace(*space.real);
    cpus_[cpu].space = &space;
  }
  void fork(const Operation& op, Space& parent) {
    if (spaces_.size() == kMaxSpaces) {
      return;
    }
    const Failing failing(*this, op);
    const Result<AddressSpace<F>*> child = parent.real->fork();
    if (child.ok()) {
      const SpaceModel copy = parent.model.forked();
      add(*child.value()).model = copy;
    } else if (failing.allocations() == 0 || child.error() != Errno::no_memory) {
      differ("fork gave %d", static_cast<int>(child.error()));
    }
  }
  // What another space is, where no CPU runs that.
  void restore(const Operation& op, Space& space) {
    Space& snapshot = this->space(op.which + 1);
    const bool runs = std::ranges::any_of(cpus_, [&](const RunningCpu& cpu) { return cpu.space == &snapshot; });
    if (runs) {
      return;
    }
    const Failing failing(*this, op);
    const Result<void> result = space.real->restore(*snapshot.real);
    const Result<void> expected = &snapshot == &space ? Result<void>(Errno::invalid) : Result<void>();
    if (result.ok()) {
      space.model = SpaceModel(snapshot.model);
    }
    const bool injected = failing.allocations() > 0 && !result.ok() && result.error() == Errno::no_memory;
    if (result.ok() != expected.ok() && !injected) {
      differ("restore gave %d", result.ok() ? 0 : static_cast<int>(result.error()));
    }
  }
  void destroy(Space& space) {
    if (spaces_.size() == 1) {
      return;
    }
    end_space(space);
    std::erase_if(spaces_, [&](const auto& entry) { return entry.get() == &space; });
  }
  void forget_all() {
    TlbFlush all;
    all.everything = true;
    for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
      const hosted::CpuScope scope(machine(), CpuIndex(cpu));
      machine().flush_local(all);
    }
  }

  [[nodiscard]] bool has_one_space() const { return spaces_.size() == 1; }
  // Whether a page may be in swap.
  [[nodiscard]] bool has_swapped() const { return has_swapped_; }
  void note_swapped() { has_swapped_ = true; }

  void check_mapped(const Space& space) {
    if (space.real->mapped() != space.model.mapped()) {
      differ("%llu pages are mapped, expected %llu", static_cast<unsigned long long>(space.real->mapped().value()),
             static_cast<unsigned long long>(space.model.mapped().value()));
    }
    const PageCount reserved = space.model.sum_of([](const Stretch& stretch) { return stretch.traits.is_reserved(); });
    if (space.real->reserved() != reserved) {
      differ("%llu pages are reserved, expected %llu", static_cast<unsigned long long>(space.real->reserved().value()),
             static_cast<unsigned long long>(reserved.value()));
    }
  }
  // What is promised altogether is what the spaces have, and each object that there is, once.
  void check_promises() {
    std::set<MemoryObject<F>*> objects;
    PageCount expected{0};
    for (const auto& entry : spaces_) {
      expected += entry->model.sum_of([](const Stretch& stretch) { return stretch.traits.is_reserved(); });
      VirtAddr at(0);
      while (const std::optional<Region<F>> region = entry->real->region_at_or_after(at)) {
        objects.insert(region->object);
        at = region->range.last();
        if (at >= entry->real->layout().end() - ByteCount(1)) {
          break;
        }
        at += ByteCount(1);
      }
    }
    for (const Object& object : objects_) {
      objects.insert(object.real);
    }
    for (MemoryObject<F>* const object : objects) {
      expected += object != nullptr ? object->promised() : PageCount(0);
    }
    if (system_.vm().objects.commitment().committed() != expected) {
      differ("%llu pages are promised, expected %llu",
             static_cast<unsigned long long>(system_.vm().objects.commitment().committed().value()),
             static_cast<unsigned long long>(expected.value()));
    }
  }
  void check_all() {
    for (const auto& entry : spaces_) {
      check_mapped(*entry);
      entry->real->check_invariants();
    }
  }
  void end() {
    for (const auto& entry : spaces_) {
      end_space(*entry);
    }
    for (Object& object : objects_) {
      if (object.real != nullptr) {
        object.real->release();
      }
    }
    if (!system_.vm().objects.commitment().committed().is_zero()) {
      differ("%llu pages are still promised",
             static_cast<unsigned long long>(system_.vm().objects.commitment().committed().value()));
    }
    if (swap_.used() != 0) {
      differ("%zu swap slots are left", swap_.used());
    }
  }

  void resize(const Operation& op) {
    Object& object = objects_[op.object - 1];
    if (object.real == nullptr) {
      return;
    }
    const ByteCount before = object.model->size();
    if (object.pager != nullptr) {
      object.pager->resize(op.length);
    }
    const Failing failing(*this, op);
    object.real->resize(op.length);
    object.model->resize(op.length);
    if (op.length < before) {
      for (const auto& entry : spaces_) {
        entry->model.forget_copies(*object.model, pages_for(op.length));
      }
    }
  }
  void punch(const Operation& op) {
    const Object& object = objects_[op.object - 1];
    if (object.real != nullptr) {
      const PageCount pages = std::min(pages_for(op.length), PageCount(object.pager != nullptr ? 24U : 10'000U));
      punch(*object.real, *object.model, IndexRange::must(PageIndex(op.offset.value() >> kPageShift), pages));
    }
  }
  void punch(MemoryObject<F>& object, ObjectModel& model, IndexRange range) {
    const Result<void> result = object.punch(range);
    if (!result.ok()) {
      differ("punch gave %d", static_cast<int>(result.error()));
    }
    model.punch(range);
  }
  void write_back(const Operation& op) {
    Object& object = objects_[op.object - 1];
    if (object.real == nullptr) {
      return;
    }
    const IndexRange range = IndexRange::must(PageIndex(op.offset.value() >> kPageShift), pages_for(op.length));
    const Failing failing(*this, op);
    const Result<void> result = object.real->write_back(range);
    if (!result.ok()) {
      if (failing.devices() == 0 || result.error() != Errno::no_space) {
        differ("write_back gave %d", static_cast<int>(result.error()));
      }
      object.model->write_back_in_part(range);
      return;
    }
    if (object.pager == nullptr) {
      return;
    }
    const IndexRange written = range.intersection(IndexRange::must(PageIndex(0), object.model->page_count()));
    object.model->write_back(written);
    for (std::uint64_t i = 0; i < written.size().value() && i < 32; ++i) {
      const PageIndex index = written.start() + PageCount(i);
      if (object.pager->content().page(index) != object.model->file()->page(index)) {
        differ("the file's page %llu is not what was written", static_cast<unsigned long long>(index.value()));
      }
    }
  }
  void read_object(const Operation& op) {
    Object& object = objects_[op.object - 1];
    if (object.real == nullptr) {
      return;
    }
    const Failing failing(*this, op);
    const std::span<std::byte> buffer = buffer_for(op);
    const Result<ByteCount> result = object.real->read(op.offset, buffer);
    const std::uint64_t done = settle_copy(op, result, failing, *object.model, buffer.size());
    for_each_word(op, done, [&](PageIndex index, std::uint64_t offset, std::size_t from, std::size_t to) {
      const std::uint64_t expected = object.model->page(index).at(offset);
      const std::uint64_t start = (index.value() << kPageShift) + offset;
      for (std::size_t i = from; i < to; ++i) {
        const auto byte = static_cast<std::byte>(expected >> (8 * i));
        if (buffer[start + i - op.offset.value()] != byte) {
          differ("the object's byte at 0x%llx was read wrong", static_cast<unsigned long long>(start + i));
        }
      }
    });
  }
  void write_object(const Operation& op) {
    Object& object = objects_[op.object - 1];
    if (object.real == nullptr) {
      return;
    }
    const Failing failing(*this, op);
    const std::span<std::byte> buffer = buffer_for(op);
    std::memset(buffer.data(), 0, buffer.size());
    for_each_word(op, buffer.size(), [&](PageIndex index, std::uint64_t offset, std::size_t from, std::size_t to) {
      const std::uint64_t start = (index.value() << kPageShift) + offset;
      for (std::size_t i = from; i < to; ++i) {
        buffer[start + i - op.offset.value()] = static_cast<std::byte>(op.value >> (8 * i));
      }
    });
    const Result<ByteCount> result = object.real->write(op.offset, buffer);
    for (std::uint64_t page = 0; page <= kBufferSize >> kPageShift; ++page) {
      object.model->note_perhaps_written(PageIndex((op.offset.value() >> kPageShift) + page));
    }
    const std::uint64_t done = settle_copy(op, result, failing, *object.model, buffer.size());
    for_each_word(op, done, [&](PageIndex index, std::uint64_t offset, std::size_t from, std::size_t to) {
      std::uint64_t word = object.model->page(index).at(offset);
      for (std::size_t i = from; i < to; ++i) {
        const std::uint64_t mask = std::uint64_t{0xFF} << (8 * i);
        word = (word & ~mask) | (op.value & mask);
      }
      object.model->store(index, offset, word);
    });
  }
  void replace_object(const Operation& op) {
    Object& object = objects_[op.object - 1];
    if (object.real != nullptr) {
      object.real->release();
    }
    object = {};
    const Failing failing(*this, op);
    make_object(object, op.length, op.which % 2 == 0);
    if (object.real == nullptr && failing.allocations() == 0) {
      differ("no object could be made");
    }
  }

 private:
  static constexpr std::size_t kBufferSize = 6 * kPageSize;

  struct RunningCpu {
    std::optional<Program<F>> program;
    Space* space = nullptr;
  };

  [[nodiscard]] bool has_high_half() const { return F::kVirtualBits == 48 && (options_ & 1U) != 0; }

  Space& add(AddressSpace<F>& real) { return *spaces_.emplace_back(new Space{.real = &real, .model = {}}); }
  void end_space(Space& space) {
    for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
      if (cpus_[cpu].space == &space) {
        const hosted::CpuScope scope(machine(), CpuIndex(cpu));
        cpus_[cpu].program.reset();
        cpus_[cpu].space = nullptr;
      }
    }
    space.real->destroy();
  }
  void make_object(Object& object, ByteCount size, bool file) {
    const std::uint64_t number = ++made_;
    Result<MemoryObject<F>*> real = Errno::no_memory;
    if (file) {
      pagers_.push_back(std::make_unique<FilePager>(number, size));
      real = system_.vm().objects.create_file(*pagers_.back(), size);
    } else {
      real = system_.vm().objects.create_anonymous(size);
    }
    if (!real.ok()) {
      return;
    }
    object.real = real.value();
    object.pager = file ? pagers_.back().get() : nullptr;
    object.model = file ? std::make_shared<ObjectModel>(number, size) : std::make_shared<ObjectModel>(size);
  }
  void set_devices_failing(bool failing) {
    swap_.failing = failing;
    for (const auto& pager : pagers_) {
      pager->failing = failing;
    }
  }
  [[nodiscard]] std::uint64_t device_failures() const {
    std::uint64_t total = swap_.failures;
    for (const auto& pager : pagers_) {
      total += pager->failures;
    }
    return total;
  }

  [[nodiscard]] std::span<std::byte> buffer_for(const Operation& op) {
    const std::uint64_t wanted = op.length.value();
    return std::span(buffer_).first(wanted < kBufferSize ? wanted : kBufferSize);
  }
  // The bytes that were copied, checked.
  [[nodiscard]] std::uint64_t settle_copy(const Operation& op, const Result<ByteCount>& result, const Failing& failing,
                                          const ObjectModel& model, std::uint64_t wanted) {
    const std::uint64_t inside = op.offset < model.size() ? (model.size() - op.offset).value() : 0;
    const std::uint64_t expected = wanted < inside ? wanted : inside;
    const std::uint64_t done = result.ok() ? result.value().value() : 0;
    const bool made_to_fail = failing.allocations() > 0 || failing.devices() > 0;
    if (done > expected || (done < expected && !made_to_fail) || (!result.ok() && !made_to_fail)) {
      differ("%llu bytes were copied, expected %llu", static_cast<unsigned long long>(done),
             static_cast<unsigned long long>(expected));
    }
    return done;
  }
  // Calls visit(page, word's offset, first byte, end byte) for each word of the model that lies in part among `size`
  // bytes from the operation's offset.
  template <class Visitor>
  static void for_each_word(const Operation& op, std::uint64_t size, Visitor visit) {
    const std::uint64_t start = op.offset.value();
    const std::uint64_t end = start + size;
    for (std::uint64_t page = start >> kPageShift; page << kPageShift < end; ++page) {
      for (const std::uint64_t offset : PageWords::kOffsets) {
        const std::uint64_t word = (page << kPageShift) + offset;
        const std::uint64_t from = start > word ? start - word : 0;
        const std::uint64_t to = end > word ? (end - word < 8 ? end - word : 8) : 0;
        if (from < to) {
          visit(PageIndex(page), offset, from, to);
        }
      }
    }
  }

  const unsigned options_;
  SpaceSystem<F> system_;
  Oracle<F> oracle_;
  SwapDevice swap_;
  std::vector<std::unique_ptr<FilePager>> pagers_;
  std::vector<std::unique_ptr<Space>> spaces_;
  Object objects_[kObjects];
  RunningCpu cpus_[kCpus];
  std::uint64_t made_ = 0;
  bool has_swapped_ = false;
  std::array<std::byte, kBufferSize> buffer_;
};

}  // namespace vellum::test
