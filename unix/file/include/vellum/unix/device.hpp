// Character devices: what opening a device node leads to.
#pragma once

#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/open_file.hpp>

namespace vellum::unix {
class Files;
}

namespace vellum::unix {

// Registered with Files::add_device, which makes its node in /dev. Outlives Files.
class Device {
 public:
  Device(DeviceNumber number, std::string_view name, std::uint16_t permissions)
      : number_(number), name_(name), permissions_(permissions) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] DeviceNumber number() const { return number_; }
  // The path of its node below /dev, without slashes.
  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] std::uint16_t permissions() const { return permissions_; }

  // Errors: no_such_device, no_memory.
  [[nodiscard]] virtual Result<Ref<OpenFile>> open(FileMemory& memory, const Path& path, std::uint32_t flags) = 0;

 protected:
  ~Device() = default;

 private:
  friend class Files;
  const DeviceNumber number_;
  const std::string_view name_;
  const std::uint16_t permissions_;
  ListLink link_;
};

}  // namespace vellum::unix
