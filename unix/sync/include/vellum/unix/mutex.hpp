// A lock that is held while its holder sleeps: for what takes longer than a spinlock may be held.
#pragma once

#include <vellum/base/annotations.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

// Not recursive. Waiting for it is not interruptible.
class VELLUM_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() VELLUM_ACQUIRE();
  [[nodiscard]] bool try_lock() VELLUM_TRY_ACQUIRE(true);
  void unlock() VELLUM_RELEASE();
  void assert_held() const VELLUM_ASSERT_CAPABILITY(this) { VELLUM_ASSERT(held_.load(std::memory_order_relaxed)); }

 private:
  std::atomic<bool> held_{false};
  WaitQueue waiting_;
};

class VELLUM_SCOPED_CAPABILITY MutexGuard {
 public:
  explicit MutexGuard(Mutex& mutex) VELLUM_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexGuard() VELLUM_RELEASE() { mutex_.unlock(); }
  MutexGuard(const MutexGuard&) = delete;
  MutexGuard& operator=(const MutexGuard&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace vellum::unix
