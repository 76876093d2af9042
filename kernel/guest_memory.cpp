#include "guest_memory.hpp"

#include <algorithm>
#include <utility>

#include "regions.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

constexpr ByteCount kPage{kPageSize};
constexpr ByteCount kQuantum = 1_MiB;
constexpr WiredAttributes kData{
    .rights = {.write = true, .execute = false, .user = false}, .lifetime = Lifetime::global, .largest_level = 1};

class GuestMemoryFile final : public unix::OpenFile {
 public:
  GuestMemoryFile(unix::FileMemory& memory, const unix::Path& path, std::uint32_t flags,
                  ObjectStore<HardwareFormat>& objects)
      : OpenFile(memory, path, flags), objects_(objects) {}

  bool is_seekable() const override { return true; }
  Result<void> read(unix::Transfer& to, ByteCount position) override {
    const GuestMemory& guest = *VELLUM_TRY(this->guest());
    return to.put(bytes(guest, position, to.left()));
  }
  Result<void> write(unix::Transfer& from, ByteCount& position) override {
    const GuestMemory& guest = *VELLUM_TRY(this->guest());
    if (!from.left().is_zero() && position >= guest.range().size()) {
      return Errno::no_space;
    }
    return from.get(bytes(guest, position, from.left()));
  }
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override {
    if (request != GuestMemoryDevice::kSetSize) {
      return Errno::not_terminal;
    }
    const unix::MutexGuard guard(lock_);
    if (guest_) {
      return Errno::busy;
    }
    guest_.emplace(VELLUM_TRY(GuestMemory::create(objects_, ByteCount(argument))));
    return guest_->range().size().value();
  }
  Result<unix::FileMapping> mapping() override {
    const GuestMemory& guest = *VELLUM_TRY(this->guest());
    return unix::FileMapping{.object = unix::Ref<unix::FileObject>::share(guest.object())};
  }

 private:
  friend unix::FileMemory;
  ~GuestMemoryFile() = default;
  void destroy() override { memory().destroy(this); }
  Result<ByteCount> end() override { return VELLUM_TRY(guest())->range().size(); }

  // Made by the first who needs it; then there for the life of the file.
  Result<const GuestMemory*> guest() {
    const unix::MutexGuard guard(lock_);
    if (!guest_) {
      guest_.emplace(VELLUM_TRY(GuestMemory::create(objects_, kQuantum)));
    }
    return &*guest_;
  }
  static std::span<std::byte> bytes(const GuestMemory& guest, ByteCount position, ByteCount size) {
    const ByteCount whole = guest.range().size();
    const ByteCount start = std::min(position, whole);
    return {reinterpret_cast<std::byte*>((guest.range().start() + start).value()),
            static_cast<std::size_t>(std::min(size, whole - start).value())};
  }

  ObjectStore<HardwareFormat>& objects_;
  unix::Mutex lock_;
  std::optional<GuestMemory> guest_;
};

}  // namespace

Result<GuestMemory> GuestMemory::create(ObjectStore<HardwareFormat>& objects, ByteCount size) {
  if (size.is_zero() || size > regions().guest_addresses.total()) {
    return size.is_zero() ? Errno::invalid : Errno::no_memory;
  }
  const ByteCount rounded(round_up(size.value(), kQuantum.value()));
  const VirtRange range = VELLUM_TRY(regions().guest_addresses.allocate(rounded));
  const Result<Object*> object = objects.create_anonymous(rounded, Promise::by_page);
  if (!object.ok()) {
    regions().guest_addresses.free(range);
    return object.error();
  }
  GuestMemory guest(*object.value(), range);
  VELLUM_TRY(guest.show());
  return guest;
}

GuestMemory::GuestMemory(GuestMemory&& other) noexcept
    : object_(std::exchange(other.object_, nullptr)), range_(other.range_), shown_(other.shown_) {}

GuestMemory::~GuestMemory() {
  if (object_ == nullptr) {
    return;
  }
  hide(shown_);
  object_->release();
  regions().guest_addresses.free(range_);
}

Result<void> GuestMemory::show() {
  NodeStore& nodes = object_->store().nodes();
  for (; shown_ < range_.size(); shown_ += kPage) {
    const PageIndex index(whole_pages(shown_).value());
    VELLUM_TRY(object_->populate(index));
    std::optional<Pfn> frame;
    {
      const EpochSection section(nodes.epochs(), nodes.machine());
      frame = object_->lookup(index, Access::write);
    }
    VELLUM_CHECK(frame.has_value());
    // The reference is the view's, until it is hidden.
    const Result<void> mapped =
        regions().space.map(VirtRange::must(range_.start() + shown_, kPage), address_of(*frame), kData);
    if (!mapped.ok()) {
      VELLUM_CHECK(!nodes.memory().frame(*frame).release());
      return mapped;
    }
  }
  return {};
}

// The object still holds every page, so none becomes free here.
void GuestMemory::hide(ByteCount size) {
  if (size.is_zero()) {
    return;
  }
  PhysicalMemory& memory = object_->store().nodes().memory();
  for (ByteCount done; done < size; done += kPage) {
    const std::optional<WiredPage> page = regions().space.find(range_.start() + done);
    VELLUM_CHECK(page.has_value());
    VELLUM_CHECK(!memory.frame(frame_of(page->address)).release());
  }
  regions().space.unmap(VirtRange::must(range_.start(), size));
}

Result<unix::Ref<unix::OpenFile>> GuestMemoryDevice::open(unix::FileMemory& memory, const unix::Path& path,
                                                          std::uint32_t flags) {
  return unix::Ref<unix::OpenFile>(
      unix::Ref<GuestMemoryFile>::adopt(VELLUM_TRY(memory.create<GuestMemoryFile>(memory, path, flags, objects_))));
}

}  // namespace vellum::kernel
