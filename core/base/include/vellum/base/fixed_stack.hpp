// A stack of a few plain values, in place. Room that is not in use is not even set to zero: most of those who have one
// on their own stack never fill it.
#pragma once

#include <type_traits>

#include <vellum/base/panic.hpp>

namespace vellum {

template <class T, unsigned N>
class FixedStack {
 public:
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  FixedStack() {}  // leaves the values alone
  FixedStack(const FixedStack&) = delete;
  FixedStack& operator=(const FixedStack&) = delete;

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool is_full() const { return size_ == N; }
  // Not on a full stack.
  void push(const T& value) {
    VELLUM_CHECK(!is_full());
    values_[size_++] = value;
  }
  // Not from an empty one.
  [[nodiscard]] T pop() {
    VELLUM_CHECK(!empty());
    return values_[--size_];
  }

 private:
  unsigned size_ = 0;
  union {
    T values_[N];
  };
};

}  // namespace vellum
