// segkvmm: memory of virtual machines, as the kernel sees it, and the device through which a program has it: it sets
// the size, maps the memory, and its guest, the kernel and it see the same pages.
#pragma once

#include <vellum/object/object.hpp>
#include <vellum/unix/device.hpp>
#include <vellum/unix/open_file.hpp>

#include "format.hpp"

namespace vellum::kernel {

// Some memory of a guest: the pages of an anonymous object, all there, shown one behind the other in segkvmm.
class GuestMemory {
 public:
  using Object = MemoryObject<HardwareFormat>;

  // `size` is rounded up to 1 MB, the region's quantum. Errors: invalid (no size), no_memory.
  [[nodiscard]] static Result<GuestMemory> create(ObjectStore<HardwareFormat>& objects, ByteCount size);
  GuestMemory(GuestMemory&& other) noexcept;
  GuestMemory& operator=(GuestMemory&&) = delete;
  // Takes the kernel's view away. Programs that map the object keep its pages.
  ~GuestMemory();

  [[nodiscard]] Object& object() const { return *object_; }
  [[nodiscard]] VirtRange range() const { return range_; }

 private:
  GuestMemory(Object& object, VirtRange range) : object_(&object), range_(range) {}
  [[nodiscard]] Result<void> show();
  void hide(ByteCount size);

  Object* object_;
  VirtRange range_;
  ByteCount shown_{};
};

// /dev/kvmm. Each opening has memory of its own, as large as ioctl(kSetSize, bytes) said, once; until then 1 MB. It is
// mapped from offset 0 on; read(2) and write(2) go through the kernel's view.
class GuestMemoryDevice final : public unix::Device {
 public:
  static constexpr std::uint32_t kSetSize = 0x4B01;

  explicit GuestMemoryDevice(ObjectStore<HardwareFormat>& objects)
      : Device({.major = 10, .minor = 232}, "kvmm", 0600), objects_(objects) {}

  Result<unix::Ref<unix::OpenFile>> open(unix::FileMemory& memory, const unix::Path& path,
                                         std::uint32_t flags) override;

 private:
  ObjectStore<HardwareFormat>& objects_;
};

}  // namespace vellum::kernel
