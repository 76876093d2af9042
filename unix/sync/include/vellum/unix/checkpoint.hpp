// Where what takes long lets others have their turn, and finds out whether anybody still waits for it.
#pragma once

#include <cstddef>

namespace vellum::unix {

// The port: implemented by unix/process; tests, where nobody waits, always go on.
//
// Called between the steps of something long, in the system or beside it, with no spinlock held and outside of
// sections: lets interrupts in, and the next thread where the turn is over. False: the calling thread is to end as soon
// as it can, for it was killed.
[[nodiscard]] bool checkpoint();

// A random byte takes as long as so many that are copied.
inline constexpr std::size_t kRandomWeight = 16;

// For steps that are small: a checkpoint every so often.
class Pace {
 public:
  // After each step: how many bytes it moved. False as of checkpoint().
  [[nodiscard]] bool go_on(std::size_t bytes) {
    done_ += bytes;
    if (done_ < kStride) [[likely]] {
      return true;
    }
    done_ = 0;
    return checkpoint();
  }

 private:
  static constexpr std::size_t kStride = std::size_t{1} << 20;
  std::size_t done_ = 0;
};

}  // namespace vellum::unix
