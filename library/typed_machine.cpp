#include "typed_machine.hpp"

#include "typed_object.hpp"
#include "typed_space.hpp"

namespace libvellum::detail {

using vellum::ByteCount;
using vellum::CpuIndex;
using vellum::MemoryEvent;
using vellum::PhysAddr;

namespace {

vellum::Result<vellum::MemoryMap> memory_map(const vellum::hosted::Machine& host) {
  vellum::RawMemoryEntry entries[vellum::hosted::Machine::kMaxRamRanges];
  std::size_t count = 0;
  for (const vellum::PhysRange& range : host.ram_ranges()) {
    entries[count++] = {.base = range.start(), .size = range.size(), .kind = vellum::MemoryKind::usable};
  }
  return vellum::MemoryMap::from_firmware({entries, count});
}

}  // namespace

template <class F>
TypedMachine<F>::TypedMachine(const MachineOptions& made_with, std::unique_ptr<vellum::hosted::Machine> host,
                              vellum::MemoryMap map, vellum::hosted::HostArea area)
    : Machine(made_with),
      host_(std::move(host)),
      map_(map),
      area_(std::move(area)),
      running_(std::make_unique<std::atomic<CoreSpace*>[]>(std::size_t{made_with.cpus} + 1)) {}

template <class F>
Result<std::shared_ptr<Machine>> TypedMachine<F>::create(const MachineOptions& options) {
  const Error no_memory = {.code = Errc::no_memory};
  const unsigned cpus = options.cpus + 1;
  auto host = vellum::hosted::Machine::create({.memory = ByteCount(options.memory), .cpus = cpus});
  if (!host.ok()) {
    return std::unexpected(no_memory);
  }
  const auto map = memory_map(*host.value());
  if (!map.ok()) {
    return std::unexpected(no_memory);
  }
  auto area = vellum::hosted::HostArea::create(vellum::PhysicalMemory::area_size(map.value(), cpus));
  if (!area.ok()) {
    return std::unexpected(no_memory);
  }
  const std::shared_ptr<TypedMachine> machine(
      new TypedMachine(options, std::move(host).value(), map.value(), std::move(area).value()));
  if (!machine->start()) {
    return std::unexpected(no_memory);
  }
  return machine;
}

template <class F>
bool TypedMachine<F>::start() {
  for (unsigned cpu = 0; cpu <= options.cpus; ++cpu) {
    const vellum::hosted::CpuScope scope(*host_, CpuIndex(cpu));
    vellum::hosted::CpuControls controls = host_->current().controls();
    controls.root_entries_in_registers = !F::restricts(F::kLevels);  // as PAE's are
    host_->current().set_controls(controls);
  }
  const OnCpu on(*this);
  const auto memory = vellum::PhysicalMemory::create(*host_, map_, {area_.data(), area_.size().value()},
                                                     {.area = vellum::Contents::zeroed});
  if (!memory.ok()) {
    return false;
  }
  memory_ = memory.value();
  source_.emplace(*memory_);
  auto vm = std::make_unique<vellum::VirtualMemory<F>>(*memory_, *source_, vellum::MeaningPlacement::highest);
  if (!vm->start().ok()) {
    return false;
  }
  vm_ = std::move(vm);
  return true;
}

template <class F>
TypedMachine<F>::~TypedMachine() {
  if (vm_ != nullptr) {
    const OnCpu on(*this);
    vm_->stop();
    vm_.reset();
  }
}

template <class F>
void TypedMachine<F>::switch_to(CoreSpace& space, CpuIndex cpu) {
  const std::lock_guard guard(switching_);
  CoreSpace* const before = running_[cpu.value()].load(std::memory_order_relaxed);
  space.activate(cpu);
  host_->set_root(space.root_address());
  if (before != nullptr) {
    before->deactivate(cpu);
  }
  running_[cpu.value()].store(&space, std::memory_order_relaxed);
}

// A CPU that ran the space keeps its root until it runs another one, which it does before its next access.
template <class F>
void TypedMachine<F>::end(CoreSpace& space) {
  const OnCpu on(*this);
  {
    const std::lock_guard guard(switching_);
    for (unsigned cpu = 0; cpu <= options.cpus; ++cpu) {
      if (running_[cpu].load(std::memory_order_relaxed) == &space) {
        running_[cpu].store(nullptr, std::memory_order_relaxed);
        space.deactivate(CpuIndex(cpu));
      }
    }
  }
  space.destroy();
}

template <class F>
Result<std::shared_ptr<Space>> TypedMachine<F>::create_space(UserLayout layout) {
  const std::optional<vellum::AddressMap> map = address_map_of(options, layout);
  if (!map) {
    return std::unexpected(Error{.code = Errc::no_such_layout});
  }
  const OnCpu on(*this);
  const auto space = CoreSpace::create(*vm_, space_layout_of(*map), nullptr);
  if (!space.ok()) {
    return std::unexpected(error_of(space.error()));
  }
  return std::make_shared<TypedSpace<F>>(this->shared_from_this(), *space.value(),
                                         std::make_shared<const vellum::AddressMap>(*map));
}

template <class F>
Result<std::shared_ptr<Object>> TypedMachine<F>::create_object(std::uint64_t size, Reader reader, Writer writer) {
  if (size > kMostObjectBytes) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  const OnCpu on(*this);
  std::unique_ptr<CallbackPager> pager;
  if (reader) {
    pager = std::make_unique<CallbackPager>(std::move(reader), std::move(writer), size);
  }
  const auto object = pager != nullptr ? vm_->objects.create_file(*pager, ByteCount(size))
                                       : vm_->objects.create_anonymous(ByteCount(size), Promise::by_page);
  if (!object.ok()) {
    return std::unexpected(error_of(object.error()));
  }
  const std::uint64_t id = objects_made_.fetch_add(1, std::memory_order_relaxed) + 1;
  name_object(*object.value(), id);
  return std::make_shared<TypedObject<F>>(this->shared_from_this(), *object.value(), pager.release(), id);
}

template <class F>
Counters TypedMachine<F>::counters() const {
  const vellum::hosted::Statistics cpus = host_->statistics();
  const vellum::EventCounts& events = vm_->nodes.events();
  return {.tlb_hits = cpus.tlb_hits,
          .tlb_misses = cpus.tlb_misses,
          .entries_walked = cpus.entries_walked,
          .faults = cpus.faults,
          .local_flushes = cpus.local_flushes,
          .shootdowns = cpus.shootdowns_sent,
          .pages_zeroed = events.total(MemoryEvent::zero_filled),
          .pages_copied = events.total(MemoryEvent::copied),
          .pages_reused = events.total(MemoryEvent::reused),
          .object_pages = events.total(MemoryEvent::object_mapped),
          .tables_made = events.total(MemoryEvent::table_made),
          .tables_dropped = events.total(MemoryEvent::table_dropped),
          .tables_restored = events.total(MemoryEvent::table_restored)};
}

template <class F>
MemoryUse TypedMachine<F>::memory_use() {
  const OnCpu on(*this);
  vm_->reap();
  memory_->drain_caches();
  return {.total_pages = memory_->total_count().value(), .free_pages = memory_->free_count().value()};
}

template <class F>
void TypedMachine<F>::name_object(const CoreObject& object, std::uint64_t id) {
  const std::lock_guard guard(naming_);
  ids_[&object] = id;
}

template <class F>
void TypedMachine<F>::forget_object(const CoreObject& object) {
  const std::lock_guard guard(naming_);
  ids_.erase(&object);
}

template <class F>
std::uint64_t TypedMachine<F>::id_of(const CoreObject& object) const {
  const std::lock_guard guard(naming_);
  const auto found = ids_.find(&object);
  return found == ids_.end() ? 0 : found->second;
}

template class TypedMachine<vellum::Amd64>;
template class TypedMachine<vellum::I386Pae>;

Result<std::shared_ptr<Machine>> create_machine(const MachineOptions& options) {
  return options.format == Format::amd64 ? TypedMachine<vellum::Amd64>::create(options)
                                         : TypedMachine<vellum::I386Pae>::create(options);
}

}  // namespace libvellum::detail
