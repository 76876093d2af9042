// What debug builds and tests ask of an arena.

#include <vellum/arena/arena.hpp>

#include "report.hpp"

namespace vellum {

void Arena::note(VirtRange range, Segment::Kind before, Segment::Kind after) {
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  Segment* const segment = allocated_.find(range.start());
  if (segment == nullptr || segment->range != range || segment->kind != before) {
    panic_about("arena", name_, "a range was freed that is not allocated");
  }
  segment->kind = after;
}

void Arena::note_cached(VirtRange range) { note(range, Segment::Kind::allocated, Segment::Kind::cached); }

void Arena::note_in_use(VirtRange range) { note(range, Segment::Kind::cached, Segment::Kind::allocated); }

void Arena::check_invariants() {
  const CpuSection section(metadata_.machine);
  const LockGuard guard(lock_);
  std::uint64_t in_use = 0;
  std::uint64_t total = 0;
  std::uint64_t allocated_count = 0;
  std::uint64_t free_count = 0;
  bool rotor_found = rotor_ == nullptr;

  const Segment* span = nullptr;
  ByteCount covered;  // of the span, so far
  const Segment* before = nullptr;
  for (Segment* tag = tags_.front(); tag != nullptr; before = tag, tag = tags_.next(*tag)) {
    rotor_found = rotor_found || tag == rotor_;
    if (tag->kind == Segment::Kind::span || tag->kind == Segment::Kind::imported_span) {
      VELLUM_CHECK(span == nullptr || covered == span->range.size());
      span = tag;
      covered = ByteCount(0);
      total += tag->range.size().value();
      continue;
    }
    VELLUM_CHECK(span != nullptr && tag->range.start() == span->range.start() + covered);
    VELLUM_CHECK(!tag->range.empty() && tag->range.size().value() % quantum_ == 0);
    covered += tag->range.size();
    if (tag->kind == Segment::Kind::free) {
      VELLUM_CHECK(before->kind != Segment::Kind::free);
      VELLUM_CHECK(tag->peers.is_linked());
      ++free_count;
    } else {
      VELLUM_CHECK(allocated_.find(tag->range.start()) == tag);
      in_use += tag->range.size().value();
      ++allocated_count;
    }
  }
  VELLUM_CHECK(span == nullptr || covered == span->range.size());
  VELLUM_CHECK(in_use == in_use_ && total == total_ && allocated_count == allocated_.count() && rotor_found);
  allocated_.check_invariants();

  for (unsigned size_class = 0; size_class < kClasses; ++size_class) {
    SizeClass& members = classes_[size_class];
    VELLUM_CHECK(members.empty() == ((classes_with_any_ >> size_class & 1) == 0));
    for (Segment* segment = members.front(); segment != nullptr; segment = members.next(*segment)) {
      VELLUM_CHECK(segment->kind == Segment::Kind::free && class_of(segment->range.size().value()) == size_class);
      --free_count;
    }
  }
  VELLUM_CHECK(free_count == 0);
}

}  // namespace vellum
