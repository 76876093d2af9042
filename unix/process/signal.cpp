#include <vellum/unix/signal.hpp>

#include <utility>

namespace vellum::unix {

DefaultAction default_action(Signal signal) {
  constexpr SignalSet kIgnored = SignalSet::of(signal::kChild, signal::kUrgent, signal::kWindowChange);
  constexpr SignalSet kDumped =
      kSynchronous | SignalSet::of(signal::kQuit, signal::kAbort, signal::kCpuLimit, signal::kFileSizeLimit);
  if (kStopSignals.has(signal)) {
    return DefaultAction::stop;
  }
  if (signal == signal::kContinue) {
    return DefaultAction::resume;
  }
  if (kIgnored.has(signal)) {
    return DefaultAction::ignore;
  }
  return kDumped.has(signal) ? DefaultAction::dump : DefaultAction::terminate;
}

bool PendingSignals::add(Signal signal, QueuedSignal* queued) {
  if (signal.value() < signal::kFirstRealtime && set_.has(signal)) {
    return false;
  }
  set_.add(signal);
  if (queued != nullptr) {
    queue_.push_back(*queued);
  }
  return queued != nullptr;
}

SignalInfo PendingSignals::take(Signal signal, QueuedSignal*& spent) {
  VELLUM_ASSERT(set_.has(signal));
  spent = nullptr;
  bool another = false;
  for (QueuedSignal* queued = queue_.front(); queued != nullptr; queued = queue_.next(*queued)) {
    if (queued->info.signal() != signal) {
      continue;
    }
    if (spent != nullptr) {
      another = true;
      break;
    }
    spent = queued;
  }
  if (!another) {
    set_.remove(signal);
  }
  if (spent == nullptr) {  // there was no memory to keep what was told about it
    return SignalInfo::make(signal, SignalCode::from_user);
  }
  queue_.remove(*spent);
  SignalInfo info = spent->info;
  if (SignalLender* const lender = spent->lender; lender != nullptr) {
    lender->is_lent = false;
    lender->overrun = info.payload.sender.user = std::exchange(lender->missed, 0U);
    spent = nullptr;
  }
  return info;
}

void PendingSignals::discard(SignalSet unwanted, List& spent) {
  set_ = set_.without(unwanted);
  queue_.for_each([&](QueuedSignal& queued) {
    if (unwanted.has(queued.info.signal())) {
      queue_.remove(queued);
      if (queued.lender != nullptr) {
        queued.lender->is_lent = false;
      } else {
        spent.push_back(queued);
      }
    }
  });
}

}  // namespace vellum::unix
