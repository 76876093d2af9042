// The devices that every system has: null, zero, full, random, urandom, and the names of terminals.
#pragma once

#include <vellum/unix/files.hpp>
#include <vellum/unix/terminal.hpp>

namespace vellum::unix {

// /dev/null (1:3), zero (1:5), full (1:7), random (1:8), urandom (1:9).
class MemoryDevice final : public Device {
 public:
  enum class Kind : std::uint8_t { null, zero, full, random };
  MemoryDevice(std::uint32_t minor, std::string_view name, Kind kind)
      : Device({.major = 1, .minor = minor}, name, 0666), kind_(kind) {}
  ~MemoryDevice() = default;
  Result<Ref<OpenFile>> open(FileMemory& memory, const Path& path, std::uint32_t flags) override;

 private:
  const Kind kind_;
};

// A name of a terminal: /dev/console (5:1), /dev/ttyS0 (4:64).
class TerminalDevice final : public Device {
 public:
  TerminalDevice(DeviceNumber number, std::string_view name, std::uint16_t permissions, Terminal& terminal)
      : Device(number, name, permissions), terminal_(terminal) {}
  ~TerminalDevice() = default;
  Result<Ref<OpenFile>> open(FileMemory& memory, const Path& path, std::uint32_t flags) override;

 private:
  Terminal& terminal_;
};

// /dev/tty (5:0): the terminal of the caller's session.
class OwnTerminalDevice final : public Device {
 public:
  explicit OwnTerminalDevice(std::span<Terminal* const> terminals)
      : Device({.major = 5, .minor = 0}, "tty", 0666), terminals_(terminals) {}
  ~OwnTerminalDevice() = default;
  Result<Ref<OpenFile>> open(FileMemory& memory, const Path& path, std::uint32_t flags) override;

 private:
  const std::span<Terminal* const> terminals_;
};

// An open terminal that has no device node (a run's stdin). Error: no_memory.
[[nodiscard]] Result<Ref<OpenFile>> open_terminal(FileMemory& memory, const Path& path, std::uint32_t flags,
                                                  Terminal& terminal);

// All of them, of a system with one terminal. Outlives Files.
class StandardDevices {
 public:
  explicit StandardDevices(Terminal& terminal);
  // Error: no_memory.
  [[nodiscard]] Result<void> add_to(Files& files);

 private:
  Terminal* const terminals_[1];
  MemoryDevice null_{3, "null", MemoryDevice::Kind::null};
  MemoryDevice zero_{5, "zero", MemoryDevice::Kind::zero};
  MemoryDevice full_{7, "full", MemoryDevice::Kind::full};
  MemoryDevice random_{8, "random", MemoryDevice::Kind::random};
  MemoryDevice urandom_{9, "urandom", MemoryDevice::Kind::random};
  TerminalDevice console_;
  TerminalDevice serial_;
  OwnTerminalDevice own_;
};

// What udev and init scripts add to a devtmpfs: fd, stdin, stdout, stderr, and a tmpfs at shm. Errors: resolve()'s.
[[nodiscard]] Result<void> add_usual_names(Files& files, const Path& devices);

}  // namespace vellum::unix
