#include <vellum/unix/file_memory.hpp>

#include <bit>

namespace vellum::unix {

namespace {

ObjectCacheConfig config_of(std::uint16_t size) {
  return {.name = "files", .object_size = ByteCount(size), .alignment = ByteCount(16)};
}

}  // namespace

FileMemory::FileMemory(PageSource& source, Machine& machine)
    : source_(source), caches_{{config_of(kSizes[0]), source, machine}, {config_of(kSizes[1]), source, machine},
                               {config_of(kSizes[2]), source, machine}, {config_of(kSizes[3]), source, machine},
                               {config_of(kSizes[4]), source, machine}, {config_of(kSizes[5]), source, machine},
                               {config_of(kSizes[6]), source, machine}, {config_of(kSizes[7]), source, machine},
                               {config_of(kSizes[8]), source, machine}} {}

unsigned FileMemory::class_of(ByteCount size) {
  unsigned chosen = 0;
  while (chosen < kClasses && kSizes[chosen] < size.value()) {
    ++chosen;
  }
  return chosen;
}

unsigned FileMemory::order_of(ByteCount size) {
  return static_cast<unsigned>(std::bit_width(pages_for(size).value() - 1));
}

Result<void*> FileMemory::allocate(ByteCount size) {
  if (const unsigned chosen = class_of(size); chosen < kClasses) {
    return caches_[chosen].allocate();
  }
  if (size > kMost) {
    return Errno::no_memory;
  }
  return static_cast<void*>(VELLUM_TRY(source_.allocate(order_of(size))));
}

void FileMemory::free(void* memory, ByteCount size) {
  if (const unsigned chosen = class_of(size); chosen < kClasses) {
    caches_[chosen].free(memory);
  } else {
    source_.free(static_cast<std::byte*>(memory), order_of(size));
  }
}

std::uint64_t FileMemory::objects_in_use() const {
  std::uint64_t objects = 0;
  for (const ObjectCache& cache : caches_) {
    objects += cache.objects_in_use();
  }
  return objects;
}

void FileMemory::reap() {
  for (ObjectCache& cache : caches_) {
    cache.reap();
  }
}

Result<Text> Text::create(FileMemory& memory, std::string_view text) { return join(memory, text, {}); }

Result<Text> Text::join(FileMemory& memory, std::string_view first, std::string_view second) {
  Text made;
  const std::size_t size = first.size() + second.size();
  if (size > 0) {
    made.data_ = static_cast<char*>(VELLUM_TRY(memory.allocate(ByteCount(size))));
    made.memory_ = &memory;
    made.size_ = static_cast<std::uint32_t>(size);
    __builtin_memcpy(made.data_, first.data(), first.size());
    __builtin_memcpy(made.data_ + first.size(), second.data(), second.size());
  }
  return made;
}

Text::~Text() {
  if (data_ != nullptr) {
    memory_->free(data_, ByteCount(size_));
  }
}

}  // namespace vellum::unix
