// Sets of signals, and signals that wait.

#include <gtest/gtest.h>

#include <vellum/unix/signal.hpp>

namespace vellum::unix {
namespace {

QueuedSignal with_value(Signal signal, std::uint64_t value) {
  QueuedSignal queued;
  queued.info = SignalInfo::make(signal, SignalCode::from_queue);
  queued.info.payload.sender.value = value;
  return queued;
}

constexpr Signal kRealtime{40};

TEST(SignalSet, IsLinuxs) {
  EXPECT_EQ(SignalSet::of(signal::kHangup).bits(), 1U);
  EXPECT_EQ(SignalSet::of(Signal(64)).bits(), std::uint64_t{1} << 63);
  SignalSet set = SignalSet::of(signal::kKill, signal::kStop);
  EXPECT_EQ(set.first(), signal::kKill);
  set.remove(signal::kKill);
  EXPECT_EQ(set.first(), signal::kStop);
}

TEST(DefaultActions, AreLinuxs) {
  EXPECT_EQ(default_action(signal::kChild), DefaultAction::ignore);
  EXPECT_EQ(default_action(signal::kContinue), DefaultAction::resume);
  EXPECT_EQ(default_action(signal::kTerminalInput), DefaultAction::stop);
  EXPECT_EQ(default_action(signal::kAbort), DefaultAction::dump);
  EXPECT_EQ(default_action(signal::kPipe), DefaultAction::terminate);
  EXPECT_EQ(default_action(kRealtime), DefaultAction::terminate);
}

TEST(PendingSignals, OfStandardSignalsOneWaits) {
  PendingSignals pending;
  QueuedSignal first = with_value(signal::kAlarm, 1);
  QueuedSignal second = with_value(signal::kAlarm, 2);
  EXPECT_TRUE(pending.add(signal::kAlarm, &first));
  EXPECT_FALSE(pending.add(signal::kAlarm, &second));
  QueuedSignal* spent = nullptr;
  EXPECT_EQ(pending.take(signal::kAlarm, spent).payload.sender.value, 1U);
  EXPECT_EQ(spent, &first);
  EXPECT_TRUE(pending.set().empty());
}

TEST(PendingSignals, OfRealtimeSignalsAllWaitInOrder) {
  PendingSignals pending;
  QueuedSignal queued[] = {with_value(kRealtime, 1), with_value(signal::kAlarm, 9), with_value(kRealtime, 2)};
  for (QueuedSignal& one : queued) {
    EXPECT_TRUE(pending.add(one.info.signal(), &one));
  }
  QueuedSignal* spent = nullptr;
  EXPECT_EQ(pending.take(kRealtime, spent).payload.sender.value, 1U);
  EXPECT_TRUE(pending.set().has(kRealtime));
  EXPECT_EQ(pending.take(kRealtime, spent).payload.sender.value, 2U);
  EXPECT_FALSE(pending.set().has(kRealtime));
  EXPECT_EQ(pending.take(signal::kAlarm, spent).payload.sender.value, 9U);
}

TEST(PendingSignals, WithoutMemoryComeWithoutInformation) {
  PendingSignals pending;
  EXPECT_FALSE(pending.add(signal::kAlarm, nullptr));
  QueuedSignal* spent = nullptr;
  EXPECT_EQ(pending.take(signal::kAlarm, spent).number, signal::kAlarm.value());
  EXPECT_EQ(spent, nullptr);
}

TEST(PendingSignals, AreForgottenTogether) {
  PendingSignals pending;
  QueuedSignal queued[] = {with_value(kRealtime, 1), with_value(signal::kAlarm, 2), with_value(kRealtime, 3)};
  for (QueuedSignal& one : queued) {
    EXPECT_TRUE(pending.add(one.info.signal(), &one));
  }
  PendingSignals::List spent;
  pending.discard(SignalSet::of(kRealtime), spent);
  EXPECT_EQ(spent.pop_front(), &queued[0]);
  EXPECT_EQ(spent.pop_front(), &queued[2]);
  EXPECT_TRUE(spent.empty());
  EXPECT_TRUE(pending.set() == SignalSet::of(signal::kAlarm));
  pending.discard(SignalSet(~std::uint64_t{0}), spent);
  EXPECT_EQ(spent.pop_front(), &queued[1]);
}

}  // namespace
}  // namespace vellum::unix
