// Kernel memory for what files are made of: nodes, names, open files, tables, buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

#include <vellum/arena/object_cache.hpp>

namespace vellum::unix {

// Caches of sizes from 32 bytes to a page; what is larger comes as pages from the source. Any CPU may call.
class FileMemory {
 public:
  static constexpr ByteCount kMost{1U << 20};

  FileMemory(PageSource& source, Machine& machine);
  // Everything must have been freed.
  ~FileMemory() = default;
  FileMemory(const FileMemory&) = delete;
  FileMemory& operator=(const FileMemory&) = delete;

  // At least so many bytes, aligned to 16, of undefined content. Error: no_memory, also for more than kMost.
  [[nodiscard]] Result<void*> allocate(ByteCount size);
  // Takes back what allocate(size) returned.
  void free(void* memory, ByteCount size);

  template <class T, class... Arguments>
  [[nodiscard]] Result<T*> create(Arguments&&... arguments) {
    void* const memory = VELLUM_TRY(allocate(ByteCount(sizeof(T))));
    return ::new (memory) T(std::forward<Arguments>(arguments)...);
  }
  template <class T>
  void destroy(T* object) {
    object->~T();
    free(object, ByteCount(sizeof(T)));
  }

  // A whole page, of undefined content.
  [[nodiscard]] Result<std::byte*> allocate_page() { return source_.allocate(0); }
  void free_page(std::byte* page) { source_.free(page, 0); }

  // Blocks in use of up to 2 KB. Exact when quiescent.
  [[nodiscard]] std::uint64_t objects_in_use() const;
  // Gives unused pages back. No CPU may use the memory meanwhile.
  void reap();

 private:
  static constexpr unsigned kClasses = 9;
  static constexpr std::uint16_t kSizes[kClasses] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048};
  [[nodiscard]] static unsigned class_of(ByteCount size);
  [[nodiscard]] static unsigned order_of(ByteCount size);

  PageSource& source_;
  ObjectCache caches_[kClasses];
};

// A text that owns its bytes.
class Text {
 public:
  Text() = default;
  // Error: no_memory.
  [[nodiscard]] static Result<Text> create(FileMemory& memory, std::string_view text);
  // Two texts, one behind the other. Error: no_memory.
  [[nodiscard]] static Result<Text> join(FileMemory& memory, std::string_view first, std::string_view second);
  Text(Text&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0U)) {}
  Text& operator=(Text&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Text();

  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  FileMemory* memory_ = nullptr;
  char* data_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace vellum::unix
