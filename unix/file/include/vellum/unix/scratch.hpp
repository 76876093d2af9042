// Bytes for the time of one operation, that are too many for a kernel stack.
#pragma once

#include <span>

#include <vellum/unix/file_memory.hpp>

namespace vellum::unix {

class Scratch {
 public:
  explicit Scratch(FileMemory& memory) : memory_(memory) {}
  ~Scratch() {
    if (bytes_ != nullptr) {
      memory_.free(bytes_, size_);
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Once. Error: no_memory.
  [[nodiscard]] Result<void> allocate(ByteCount size) {
    VELLUM_ASSERT(bytes_ == nullptr);
    bytes_ = VELLUM_TRY(memory_.allocate(size));
    size_ = size;
    return {};
  }
  [[nodiscard]] std::span<std::byte> bytes() const {
    return {static_cast<std::byte*>(bytes_), static_cast<std::size_t>(size_.value())};
  }
  [[nodiscard]] std::span<char> characters() const {
    return {static_cast<char*>(bytes_), static_cast<std::size_t>(size_.value())};
  }

 private:
  FileMemory& memory_;
  void* bytes_ = nullptr;
  ByteCount size_{0};
};

}  // namespace vellum::unix
