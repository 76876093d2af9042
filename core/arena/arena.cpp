#include <algorithm>
#include <bit>

#include <vellum/arena/arena.hpp>

#include "report.hpp"

namespace vellum {
namespace {

VirtRange join(VirtRange lower, VirtRange upper) { return VirtRange::must(lower.start(), lower.size() + upper.size()); }

}  // namespace

Arena::Arena(const ArenaConfig& config, ArenaMetadata& metadata)
    : name_(config.name),
      quantum_(config.quantum.value()),
      source_(config.source),
      least_import_(config.least_import.value()),
      metadata_(metadata),
      allocated_(static_cast<unsigned>(std::countr_zero(quantum_)), metadata.pages) {
  VELLUM_CHECK(is_power_of_two(quantum_) && least_import_ % quantum_ == 0);
}

Arena::~Arena() {
  if (in_use_ != 0) {
    panic_about("arena", name_, "it is destroyed while ranges are in use");
  }
  while (Segment* const span = spans_.front()) {
    remove_span(*span);
  }
  while (reserve_ != nullptr) {
    metadata_.tags.destroy(std::exchange(reserve_, reserve_->chained));
  }
}

Result<void> Arena::add_span(VirtRange span) {
  if (span.empty() || span.start().value() % quantum_ != 0 || span.size().value() % quantum_ != 0) {
    return Errno::invalid;
  }
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  if (overlaps_span(span)) {
    return Errno::exists;
  }
  VELLUM_TRY(fill_reserve(kTagsToAddSpan));
  insert_span(span, Segment::Kind::span);
  return {};
}

bool Arena::overlaps_span(VirtRange range) {
  for (Segment* span = spans_.front(); span != nullptr; span = spans_.next(*span)) {
    if (span->range.overlaps(range)) {
      return true;
    }
  }
  return false;
}

void Arena::insert_span(VirtRange span, Segment::Kind kind) {
  Segment& tag = tag_from_reserve(span, kind);
  Segment& all = tag_from_reserve(span, Segment::Kind::free);
  tags_.push_back(tag);
  tags_.push_back(all);
  spans_.push_back(tag);
  insert_free(all);
  total_ += span.size().value();
}

void Arena::remove_span(Segment& span) {
  Segment& all = *tags_.next(span);
  VELLUM_CHECK(all.kind == Segment::Kind::free && all.range == span.range);
  total_ -= span.range.size().value();
  remove_free(all);
  spans_.remove(span);
  remove_tag(all, nullptr);
  remove_tag(span, nullptr);
}

Result<Arena::Request> Arena::checked(ByteCount size, const RangeConstraints& constraints) const {
  Request request{.size = round_up(size.value(), quantum_),
                  .alignment = std::max(constraints.alignment.value(), quantum_),
                  .phase = constraints.phase.value(),
                  .no_cross = constraints.no_cross.value(),
                  .first = constraints.first.value(),
                  .last = constraints.last.value(),
                  .padded = 0};
  // A size that rounds to 0 was 0 or wrapped.
  if (request.size == 0 || !is_power_of_two(request.alignment) || request.phase % quantum_ != 0 ||
      request.phase >= request.alignment || request.first > request.last) {
    return Errno::invalid;
  }
  std::uint64_t slack = request.alignment - quantum_;
  if (request.no_cross != 0) {
    // Past a boundary the first start that fits the phase is this far on.
    const std::uint64_t offset = request.phase & (request.no_cross - 1);
    if (!is_power_of_two(request.no_cross) || request.size > request.no_cross ||
        offset > request.no_cross - request.size) {
      return Errno::invalid;
    }
    std::uint64_t more = 0;
    if (__builtin_add_overflow(slack, request.size - quantum_, &more) || __builtin_add_overflow(more, slack, &slack)) {
      return request;
    }
  }
  if (__builtin_add_overflow(request.size, slack, &request.padded)) {
    request.padded = 0;
  }
  return request;
}

Result<VirtRange> Arena::allocate(ByteCount size, Fit fit) {
  const std::uint64_t rounded = round_up(size.value(), quantum_);
  if (rounded == 0) {
    return Errno::invalid;
  }
  return serve({.size = rounded,
                .alignment = quantum_,
                .phase = 0,
                .no_cross = 0,
                .first = 0,
                .last = ~std::uint64_t{0},
                .padded = rounded},
               fit);
}

Result<VirtRange> Arena::allocate(ByteCount size, Fit fit, const RangeConstraints& constraints) {
  return serve(VELLUM_TRY(checked(size, constraints)), fit);
}

Result<VirtRange> Arena::serve(const Request& request, Fit fit) {
  {
    const CpuSection section(metadata_.machine);
    const LockGuard guard(lock_);
    if (const std::optional<Place> place = find(request, fit)) {
      VELLUM_TRY(fill_reserve(kTagsToAllocate));
      return take(*place, request, fit);
    }
  }
  if (source_ == nullptr || request.bounded() || request.padded == 0) {
    return Errno::no_memory;
  }
  return import_and_allocate(request, fit);
}

Result<VirtRange> Arena::import_and_allocate(const Request& request, Fit fit) {
  const VirtRange span = VELLUM_TRY(source_->allocate_span(ByteCount(std::max(request.padded, least_import_))));
  VELLUM_CHECK(span.start().value() % quantum_ == 0 && span.size().value() % quantum_ == 0);
  Result<VirtRange> taken = Errno::no_memory;
  bool kept = false;
  {
    const CpuSection section(metadata_.machine);
    const LockGuard guard(lock_);
    if (fill_reserve(kTagsToAddSpan + kTagsToAllocate).ok()) {
      // Others may have freed enough meanwhile; then the span is not needed.
      std::optional<Place> place = find(request, fit);
      if (!place) {
        VELLUM_ASSERT(!overlaps_span(span));
        insert_span(span, Segment::Kind::imported_span);
        kept = true;
        place = find(request, fit);
      }
      taken = take(*place, request, fit);
    }
  }
  if (!kept) {
    source_->free_span(span);
  }
  return taken;
}

VirtRange Arena::take(const Place& place, const Request& request, Fit fit) {
  Segment& segment = *place.segment;
  const VirtRange whole = segment.range;
  const VirtRange range = VirtRange::must(place.start, ByteCount(request.size));
  const ByteCount before = range.start() - whole.start();
  const ByteCount behind = whole.last() - range.last();

  Segment* allocated = &segment;
  if (before.is_zero() && behind.is_zero()) {
    remove_free(segment);
    segment.kind = Segment::Kind::allocated;
  } else if (before.is_zero()) {
    // A free segment has a tag before it, its span's at least.
    allocated = &tag_from_reserve(range, Segment::Kind::allocated);
    tags_.insert_after(*tags_.previous(segment), *allocated);
    resize_free(segment, VirtRange::must(range.end(), behind));
  } else {
    allocated = &tag_from_reserve(range, Segment::Kind::allocated);
    tags_.insert_after(segment, *allocated);
    if (!behind.is_zero()) {
      Segment& rest = tag_from_reserve(VirtRange::must(range.end(), behind), Segment::Kind::free);
      tags_.insert_after(*allocated, rest);
      insert_free(rest);
      if (rotor_ == &segment && rotor_address_ >= rest.range.start()) {
        rotor_ = &rest;
      }
    }
    resize_free(segment, VirtRange::must(whole.start(), before));
  }
  in_use_ += request.size;
  allocated_.insert(*allocated);
  if (fit == Fit::next) {
    rotor_ = allocated;
    rotor_address_ = range.end();
  }
  return range;
}

void Arena::free(VirtRange range) {
  VirtRange borrowed;
  {
    const CpuSection section(metadata_.machine);
    const LockGuard guard(lock_);
    Segment* const segment = allocated_.remove(range.start());
    if (segment == nullptr || segment->range != range || segment->kind != Segment::Kind::allocated) {
      panic_about("arena", name_, "a range was freed that is not allocated");
    }
    borrowed = release(*segment);
  }
  if (!borrowed.empty()) {
    source_->free_span(borrowed);
  }
}

VirtRange Arena::release(Segment& segment) {
  in_use_ -= segment.range.size().value();
  Segment* const before = tags_.previous(segment);
  Segment* const behind = tags_.next(segment);
  const bool joins_behind = behind != nullptr && behind->kind == Segment::Kind::free;
  Segment* home = &segment;
  if (before->kind == Segment::Kind::free) {
    home = before;
    VirtRange joined = join(before->range, segment.range);
    if (joins_behind) {
      joined = join(joined, behind->range);
      remove_free(*behind);
      remove_tag(*behind, home);
    }
    resize_free(*home, joined);
    remove_tag(segment, home);
  } else if (joins_behind) {
    home = behind;
    resize_free(*home, join(segment.range, behind->range));
    remove_tag(segment, home);
  } else {
    segment.kind = Segment::Kind::free;
    insert_free(segment);
  }
  Segment& span = *tags_.previous(*home);
  if (span.kind != Segment::Kind::imported_span || span.range != home->range) {
    return {};
  }
  const VirtRange borrowed = span.range;
  remove_span(span);
  return borrowed;
}

void Arena::insert_free(Segment& segment) {
  const auto size_class = class_of(segment.range.size().value());
  classes_[size_class].push_front(segment);
  classes_with_any_ |= std::uint64_t{1} << size_class;
}

void Arena::remove_free(Segment& segment) {
  const auto size_class = class_of(segment.range.size().value());
  classes_[size_class].remove(segment);
  if (classes_[size_class].empty()) {
    classes_with_any_ &= ~(std::uint64_t{1} << size_class);
  }
}

void Arena::resize_free(Segment& segment, VirtRange range) {
  if (class_of(segment.range.size().value()) == class_of(range.size().value())) {
    segment.range = range;
    return;
  }
  remove_free(segment);
  segment.range = range;
  insert_free(segment);
}

void Arena::remove_tag(Segment& tag, Segment* heir) {
  if (rotor_ == &tag) {
    rotor_ = heir;
  }
  tags_.remove(tag);
  if (reserve_count_ == kMostReserve) {
    metadata_.tags.destroy(&tag);
    return;
  }
  tag.chained = reserve_;
  reserve_ = &tag;
  ++reserve_count_;
}

Result<void> Arena::fill_reserve(unsigned tags) {
  while (reserve_count_ < tags) {
    Segment* const tag = VELLUM_TRY(metadata_.tags.create());
    tag->chained = reserve_;
    reserve_ = tag;
    ++reserve_count_;
  }
  return {};
}

Segment& Arena::tag_from_reserve(VirtRange range, Segment::Kind kind) {
  VELLUM_CHECK(reserve_ != nullptr);
  Segment& tag = *reserve_;
  reserve_ = tag.chained;
  --reserve_count_;
  tag.chained = nullptr;
  tag.range = range;
  tag.kind = kind;
  return tag;
}

ByteCount Arena::in_use() const {
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  return ByteCount(in_use_);
}

ByteCount Arena::total() const {
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  return ByteCount(total_);
}

std::uint64_t Arena::segments_in_use() const {
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  return allocated_.count();
}

}  // namespace vellum
