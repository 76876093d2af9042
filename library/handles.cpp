// The public header's functions: they look whether the handle names something, and whether what they are given belongs
// together.
#include "state.hpp"

namespace libvellum {

namespace {

constexpr Error kEmptyHandle = {.code = Errc::empty_handle};

std::unexpected<Error> refusal(Errc code) { return std::unexpected(Error{.code = code}); }

// More memory than a processor of the format can address.
constexpr std::uint64_t most_memory(Format format) { return std::uint64_t{1} << (format == Format::amd64 ? 46 : 36); }

}  // namespace

// --- Machine

Result<Machine> Machine::create(const MachineOptions& options) {
  if (options.format != Format::amd64 && options.format != Format::i386_pae) {
    return refusal(Errc::invalid);
  }
  if (options.memory < kMinMemory || options.memory % kPageSize != 0 || options.memory > most_memory(options.format)) {
    return refusal(Errc::bad_memory_size);
  }
  if (options.cpus == 0 || options.cpus > kMaxCpus) {
    return refusal(Errc::bad_cpu_count);
  }
  auto machine = detail::create_machine(options);
  if (!machine) {
    return std::unexpected(machine.error());
  }
  return Machine(*std::move(machine));
}

Result<Space> Machine::create_space(UserLayout layout) {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  if (layout > UserLayout::program32) {
    return refusal(Errc::no_such_layout);
  }
  auto space = machine_->create_space(layout);
  if (!space) {
    return std::unexpected(space.error());
  }
  return Space(*std::move(space));
}

Result<Object> Machine::create_shared(std::uint64_t size) {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  auto object = machine_->create_object(size, {}, {});
  if (!object) {
    return std::unexpected(object.error());
  }
  return Object(*std::move(object));
}

Result<Object> Machine::create_file(std::uint64_t size, Reader reader, Writer writer) {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  if (!reader) {
    return refusal(Errc::invalid);
  }
  auto object = machine_->create_object(size, std::move(reader), std::move(writer));
  if (!object) {
    return std::unexpected(object.error());
  }
  return Object(*std::move(object));
}

Result<Cpu> Machine::drive(unsigned cpu) {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  if (cpu >= machine_->options.cpus) {
    return refusal(Errc::no_such_cpu);
  }
  if (!machine_->drivers.take(cpu)) {
    return refusal(Errc::cpu_busy);
  }
  return Cpu(std::make_unique<detail::Driver>(machine_, cpu).release());
}

Result<Counters> Machine::counters() const {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return machine_->counters();
}

Result<MemoryUse> Machine::memory_use() {
  if (machine_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return machine_->memory_use();
}

MachineOptions Machine::options() const { return machine_ == nullptr ? MachineOptions{} : machine_->options; }

// --- Cpu

void Cpu::End::operator()(detail::Driver* driver) const { delete driver; }

// --- Object

std::uint64_t Object::id() const { return object_ == nullptr ? 0 : object_->id; }

Result<std::uint64_t> Object::size() const {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->size();
}

Result<void> Object::resize(std::uint64_t size) {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->resize(size);
}

Result<std::uint64_t> Object::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->read(offset, into);
}

Result<std::uint64_t> Object::write(std::uint64_t offset, std::span<const std::byte> from) {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->write(offset, from);
}

Result<void> Object::write_back() {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->write_back();
}

Result<std::uint64_t> Object::resident_pages() const {
  if (object_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return object_->resident_pages();
}

// --- Space

Result<std::uint64_t> Space::map(std::uint64_t length, const MapOptions& options) {
  if (space_ == nullptr || (options.object != nullptr && options.object->object_ == nullptr)) {
    return std::unexpected(kEmptyHandle);
  }
  if (options.placement > Placement::fixed_no_replace) {
    return refusal(Errc::invalid);
  }
  if (options.object == nullptr) {
    return space_->map(length, options, nullptr);
  }
  detail::Object& object = *options.object->object_;
  if (&object.machine != &space_->machine) {
    return refusal(Errc::other_machine);
  }
  return space_->map(length, options, &object);
}

Result<void> Space::unmap(std::uint64_t address, std::uint64_t length) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->unmap(address, length);
}

Result<void> Space::protect(std::uint64_t address, std::uint64_t length, Rights rights) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->protect(address, length, rights);
}

Result<std::uint64_t> Space::remap(std::uint64_t address, std::uint64_t old_length, std::uint64_t new_length,
                                   const RemapOptions& options) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->remap(address, old_length, new_length, options);
}

Result<void> Space::advise(std::uint64_t address, std::uint64_t length, Advice advice) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->advise(address, length, advice);
}

Result<void> Space::lock(std::uint64_t address, std::uint64_t length, Lock how) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->lock(address, length, how);
}

Result<void> Space::unlock(std::uint64_t address, std::uint64_t length) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->lock(address, length, std::nullopt);
}

Result<Space> Space::fork() {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  auto child = space_->fork();
  if (!child) {
    return std::unexpected(child.error());
  }
  return Space(*std::move(child));
}

Result<std::uint64_t> Space::load_unit(std::uint64_t address, unsigned size) {
  if (space_ == nullptr) [[unlikely]] {
    return std::unexpected(kEmptyHandle);
  }
  return space_->load(address, size);
}

Result<void> Space::store_unit(std::uint64_t address, std::uint64_t value, unsigned size) {
  if (space_ == nullptr) [[unlikely]] {
    return std::unexpected(kEmptyHandle);
  }
  return space_->store(address, value, size);
}

Result<std::uint8_t> Space::fetch(std::uint64_t address) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->fetch(address);
}

Result<void> Space::read(std::uint64_t address, std::span<std::byte> into) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->read(address, into);
}

Result<void> Space::write(std::uint64_t address, std::span<const std::byte> from) {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->write(address, from);
}

Result<Snapshot> Space::snapshot() {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  auto copy = space_->snapshot();
  if (!copy) {
    return std::unexpected(copy.error());
  }
  return Snapshot(*std::move(copy));
}

Result<void> Space::restore(const Snapshot& snapshot) {
  if (space_ == nullptr || snapshot.snapshot_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  if (&space_->machine != &snapshot.snapshot_->machine) {
    return refusal(Errc::other_machine);
  }
  return space_->restore(*snapshot.snapshot_);
}

Result<std::vector<Region>> Space::regions() const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  std::vector<Region> all;
  for (std::optional<Region> region = space_->region_at_or_after(0); region;
       region = space_->region_at_or_after(region->end)) {
    all.push_back(*region);
  }
  return all;
}

Result<std::optional<Region>> Space::region_at(std::uint64_t address) const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  std::optional<Region> region = space_->region_at_or_after(address);
  if (region && address < region->start) {
    region.reset();
  }
  return region;
}

Result<Walk> Space::walk(std::uint64_t address) const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->walk(address);
}

Result<Explanation> Space::explain(std::uint64_t address) const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->explain(address);
}

Result<std::vector<LayoutRegion>> Space::layout() const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->layout();
}

Result<SpaceUse> Space::use() const {
  if (space_ == nullptr) {
    return std::unexpected(kEmptyHandle);
  }
  return space_->use();
}

}  // namespace libvellum
