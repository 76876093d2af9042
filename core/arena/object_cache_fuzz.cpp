// Object caches against a naive model: the set of objects in use, each filled with bytes of its own.

#include <cstring>
#include <memory>
#include <vector>

#include <vellum/arena/object_cache.hpp>
#include <vellum/fuzz/fuzz.hpp>
#include <vellum/hosted/machine.hpp>

#include "host_pages.hpp"

namespace vellum {
namespace {

constexpr unsigned kCpus = 3;
constexpr std::size_t kMostObjects = 2000;

enum class Operation : std::uint8_t { allocate, allocate_many, free, free_many, trim, reap, fail, recover, kCount };

class Program {
 public:
  Program(Machine& machine, FuzzInput& input)
      : machine_(machine),
        input_(input),
        size_(input.take_in_range(ObjectCache::kMinObject, pick_limit(input))),
        alignment_(std::uint64_t{8} << input.take_in_range(0, 4)),
        cache_({.name = "fuzzed", .object_size = ByteCount(size_), .alignment = ByteCount(alignment_)}, pages_,
               machine) {}

  void run() {
    while (!input_.empty()) {
      step();
      ++vellum_fuzz_operations;
    }
    while (!objects_.empty()) {
      free_one(objects_.size() - 1);
    }
    cache_.reap();
    VELLUM_CHECK(cache_.pages_held().is_zero() && pages_.pages_out().is_zero());
  }

 private:
  struct Object {
    unsigned char* bytes;
    unsigned char fill;
  };

  // Small objects are the common ones.
  [[nodiscard]] static std::uint64_t pick_limit(FuzzInput& input) {
    return input.take_bool() ? 256 : ObjectCache::kMaxObject;
  }

  void step() {
    const std::uint8_t choice = input_.take_u8();
    const hosted::CpuScope cpu(machine_, CpuIndex(choice % kCpus));
    const auto operation = static_cast<Operation>(choice / kCpus % static_cast<unsigned>(Operation::kCount));
    switch (operation) {
      case Operation::allocate:
        allocate_one();
        break;
      case Operation::allocate_many:
        for (unsigned count = input_.take_u8(); count > 0; --count) {
          allocate_one();
        }
        break;
      case Operation::free:
        if (!objects_.empty()) {
          free_one(input_.take_u16() % objects_.size());
        }
        break;
      case Operation::free_many:
        for (unsigned count = input_.take_u8(); count > 0 && !objects_.empty(); --count) {
          free_one(count * 7919 % objects_.size());
        }
        break;
      case Operation::trim:
        cache_.trim();
        break;
      case Operation::reap:
        cache_.reap();
        VELLUM_CHECK(!objects_.empty() || pages_.pages_out().is_zero());
        break;
      case Operation::fail:
        pages_.fail();
        break;
      case Operation::recover:
      case Operation::kCount:
        pages_.recover();
        break;
    }
    VELLUM_CHECK(cache_.objects_in_use() == objects_.size());
    VELLUM_CHECK(cache_.pages_held() == pages_.pages_out());
  }

  void allocate_one() {
    if (objects_.size() == kMostObjects) {
      return;
    }
    const PageCount before = pages_.pages_out();
    const Result<void*> object = cache_.allocate();
    if (!object.ok()) {
      VELLUM_CHECK(pages_.failing() && object.error() == Errno::no_memory && pages_.pages_out() == before);
      return;
    }
    VELLUM_CHECK(reinterpret_cast<std::uintptr_t>(object.value()) % alignment_ == 0);
    const Object added = {.bytes = static_cast<unsigned char*>(object.value()), .fill = ++next_fill_};
    std::memset(added.bytes, added.fill, size_);
    objects_.push_back(added);
  }

  void free_one(std::size_t index) {
    const Object object = objects_[index];
    for (std::size_t i = 0; i < size_; ++i) {
      VELLUM_CHECK(object.bytes[i] == object.fill);
    }
    objects_[index] = objects_.back();
    objects_.pop_back();
    cache_.free(object.bytes);
  }

  Machine& machine_;
  FuzzInput& input_;
  std::uint64_t size_;
  std::uint64_t alignment_;
  HostPages pages_;
  ObjectCache cache_;
  std::vector<Object> objects_;
  unsigned char next_fill_ = 0;
};

}  // namespace
}  // namespace vellum

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vellum;
  static const std::unique_ptr<Machine> machine =
      hosted::Machine::create({.memory = ByteCount(kPageSize), .cpus = kCpus, .ranges = {}}).value();
  const hosted::CpuScope cpu(*machine, CpuIndex(0));
  FuzzInput input(data, size);
  Program(*machine, input).run();
  return 0;
}
