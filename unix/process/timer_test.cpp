// Timers expire in the order of their deadlines, each once.

#include <gtest/gtest.h>

#include <vector>

#include <vellum/unix/timer.hpp>

namespace vellum::unix {
namespace {

struct Recording : Timer {
  explicit Recording(std::vector<Recording*>& expired_timers) : log(&expired_timers) {
    expired = [](Timer& timer) {
      auto& self = static_cast<Recording&>(timer);
      self.log->push_back(&self);
    };
  }
  std::vector<Recording*>* log;
};

TEST(Timers, ExpireByDeadline) {
  TimerQueue queue;
  std::vector<Recording*> log;
  Recording late(log);
  Recording early(log);
  Recording middle(log);
  queue.set(late, Nanoseconds(30));
  queue.set(early, Nanoseconds(10));
  queue.set(middle, Nanoseconds(20));
  queue.expire(Nanoseconds(9));
  EXPECT_TRUE(log.empty());
  queue.expire(Nanoseconds(20));
  EXPECT_EQ(log, (std::vector{&early, &middle}));
  queue.expire(Nanoseconds(100));
  queue.expire(Nanoseconds(100));
  EXPECT_EQ(log, (std::vector{&early, &middle, &late}));
}

TEST(Timers, OfOneDeadlineExpireInTheOrderOfSetting) {
  TimerQueue queue;
  std::vector<Recording*> log;
  Recording first(log);
  Recording second(log);
  queue.set(first, Nanoseconds(10));
  queue.set(second, Nanoseconds(10));
  queue.expire(Nanoseconds(10));
  EXPECT_EQ(log, (std::vector{&first, &second}));
}

TEST(Timers, AreMovedAndCancelled) {
  TimerQueue queue;
  std::vector<Recording*> log;
  Recording moved(log);
  Recording cancelled(log);
  queue.set(moved, Nanoseconds(10));
  queue.set(cancelled, Nanoseconds(10));
  queue.set(moved, Nanoseconds(50));
  queue.cancel(cancelled);
  queue.cancel(cancelled);
  queue.expire(Nanoseconds(49));
  EXPECT_TRUE(log.empty());
  queue.expire(Nanoseconds(50));
  EXPECT_EQ(log, std::vector{&moved});
}

}  // namespace
}  // namespace vellum::unix
