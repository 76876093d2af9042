#include <vellum/phys/commitment.hpp>

#include <algorithm>

namespace vellum {

namespace {

constexpr std::uint64_t kKilobytesPerPage = kPageSize / 1024;

}  // namespace

// What is held back at first: Linux's three hundredths, up to 8 MB and 128 MB.
Commitment::Commitment(PageCount memory) : memory_(memory), most_at_once_(memory.value()) {
  const std::uint64_t part = memory.value() * kKilobytesPerPage / 32;
  administrator_reserve.store(std::min(part, std::uint64_t{1} << 13), std::memory_order_relaxed);
  user_reserve.store(std::min(part, std::uint64_t{1} << 17), std::memory_order_relaxed);
}

PageCount Commitment::committed() const {
  std::int64_t pages = 0;
  for (const Slot& slot : slots_) {
    pages += slot.pages.load(std::memory_order_relaxed);
  }
  return PageCount(static_cast<std::uint64_t>(std::max<std::int64_t>(pages, 0)));
}

PageCount Commitment::limit() const {
  const std::uint64_t chosen = kilobytes();
  return PageCount(chosen != 0 ? chosen / kKilobytesPerPage
                               : memory_.value() * static_cast<std::uint64_t>(std::int64_t{ratio()}) / 100);
}

bool Commitment::charge_again(CpuIndex cpu, PageCount pages, PageCount mapped) {
  count(cpu, static_cast<std::int64_t>(pages.value()));
  return !is_strict() || settle(cpu, pages, mapped, Judged::by_the_sum);
}

// The pages are counted already: of two that would exceed the limit only together, none may get through.
bool Commitment::settle(CpuIndex cpu, PageCount pages, PageCount mapped, Judged judged) {
  const PageCount sum = committed();
  if (sum.value() > budget_.load(std::memory_order_relaxed)) {
    uncharge(cpu, pages);
    if (on_refusal != nullptr) {
      on_refusal(pages);
    }
    return false;
  }
  bool permitted = judged == Judged::by_the_sum || !refuses(pages);
  if (mode() == Overcommit::never) {
    auto allowed = static_cast<std::int64_t>(limit().value());
    if (is_administrator == nullptr || !is_administrator()) {
      allowed -= static_cast<std::int64_t>(administrator_reserve.load(std::memory_order_relaxed) / kKilobytesPerPage);
    }
    allowed -= static_cast<std::int64_t>(
        std::min(mapped.value() / 32, user_reserve.load(std::memory_order_relaxed) / kKilobytesPerPage));
    permitted = static_cast<std::int64_t>(sum.value()) < allowed;
  }
  if (!permitted) {
    uncharge(cpu, pages);
  }
  return permitted;
}

void Commitment::set_mode(Overcommit mode) {
  mode_.store(mode, std::memory_order_relaxed);
  update();
}

void Commitment::set_ratio(std::int32_t hundredths) {
  ratio_.store(hundredths, std::memory_order_relaxed);
  kilobytes_.store(0, std::memory_order_relaxed);
}

void Commitment::set_kilobytes(std::uint64_t kilobytes) {
  kilobytes_.store(kilobytes, std::memory_order_relaxed);
  ratio_.store(0, std::memory_order_relaxed);
}

void Commitment::set_budget(PageCount pages) {
  budget_.store(pages.value(), std::memory_order_relaxed);
  update();
}

void Commitment::update() {
  const bool limited = mode() == Overcommit::never || has_budget();
  const std::uint64_t most = mode() == Overcommit::always ? ~std::uint64_t{0} : memory_.value();
  most_at_once_.store(limited ? 0 : most, std::memory_order_relaxed);
}

}  // namespace vellum
