// Objects and address spaces as a fuzzer expects them: plain lists, no tables, nothing shared. A space is a list of
// stretches of pages and a list of the pages that it has private contents of; fork copies both.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <vellum/space/space.hpp>

namespace vellum::test {

// The words of a page that are ever written. All else in every page is zeros.
class PageWords {
 public:
  static constexpr std::array<std::uint64_t, 4> kOffsets = {0, 0x7F8, 0x800, 0xFF8};

  [[nodiscard]] std::uint64_t at(std::uint64_t offset) const {
    for (std::size_t i = 0; i < kOffsets.size(); ++i) {
      if (kOffsets[i] == offset) {
        return words_[i];
      }
    }
    return 0;
  }
  // `offset` is one of kOffsets; bytes `from`.. `to` of the word change.
  void set(std::uint64_t offset, std::uint64_t value, unsigned to = 8) {
    const std::uint64_t changed = to >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * to)) - 1;
    for (std::size_t i = 0; i < kOffsets.size(); ++i) {
      if (kOffsets[i] == offset) {
        words_[i] = (words_[i] & ~changed) | (value & changed);
      }
    }
  }
  // What lies `used` bytes or more from the page's start becomes zeros.
  void cut(std::uint64_t used) {
    for (std::size_t i = 0; i < kOffsets.size(); ++i) {
      if (used <= kOffsets[i]) {
        words_[i] = 0;
      } else if (used < kOffsets[i] + 8) {
        words_[i] &= (std::uint64_t{1} << (8 * (used - kOffsets[i]))) - 1;
      }
    }
  }
  bool operator==(const PageWords&) const = default;

 private:
  std::array<std::uint64_t, 4> words_{};
};

// The bytes of a file on its device.
class FileModel {
 public:
  FileModel(std::uint64_t number, ByteCount size) : number_(number), written_by_nobody_(pages_for(size).value()) {
    cut(size);
  }

  [[nodiscard]] PageWords page(PageIndex index) const {
    const auto found = pages_.find(index.value());
    if (found != pages_.end()) {
      return found->second;
    }
    PageWords words;
    if (index.value() < written_by_nobody_) {
      for (const std::uint64_t offset : PageWords::kOffsets) {
        words.set(offset, (number_ << 48) + (index.value() << 16) + offset + 1);
      }
    }
    return words;
  }
  void set(PageIndex index, const PageWords& words) { pages_[index.value()] = words; }
  // From this page on there are zeros.
  [[nodiscard]] PageIndex zeros_from() const {
    return PageIndex(std::max(written_by_nobody_, pages_.empty() ? 0 : pages_.rbegin()->first + 1));
  }
  void cut(ByteCount size) {
    const std::uint64_t used = size.value() & (kPageSize - 1);
    if (used != 0) {
      const PageIndex last(size.value() >> kPageShift);
      PageWords words = page(last);
      words.cut(used);
      set(last, words);
    }
    pages_.erase(pages_.lower_bound(pages_for(size).value()), pages_.end());
    written_by_nobody_ = std::min(written_by_nobody_, pages_for(size).value());
  }

 private:
  std::uint64_t number_;
  std::uint64_t written_by_nobody_;  // pages below still have what the file was made with
  std::map<std::uint64_t, PageWords> pages_;
};

class ObjectModel {
 public:
  explicit ObjectModel(ByteCount size) : size_(size) {}
  ObjectModel(std::uint64_t number, ByteCount size) : size_(size), file_(std::in_place, number, size) {}

  [[nodiscard]] ByteCount size() const { return size_; }
  [[nodiscard]] PageCount page_count() const { return pages_for(size_); }
  [[nodiscard]] const std::optional<FileModel>& file() const { return file_; }
  [[nodiscard]] bool has(PageIndex index) const { return index.value() < page_count().value(); }

  [[nodiscard]] PageWords page(PageIndex index) const {
    const auto found = changed_.find(index.value());
    if (found != changed_.end()) {
      return found->second;
    }
    return file_ ? file_->page(index) : PageWords();
  }
  void store(PageIndex index, std::uint64_t offset, std::uint64_t value, unsigned bytes = 8) {
    PageWords words = page(index);
    words.set(offset, value, bytes);
    changed_[index.value()] = words;
    note_write(index);
  }
  // A page is dirty now.
  void note_write(PageIndex index) {
    kept_.insert(index.value());
    note_perhaps_written(index);
  }
  void note_perhaps_written(PageIndex index) { perhaps_dirty_.insert(index.value()); }
  // Whether a page must be in memory, because what it holds is nowhere else; whether it may be dirty.
  [[nodiscard]] bool is_kept(PageIndex index) const { return kept_.contains(index.value()); }
  [[nodiscard]] bool may_be_dirty(PageIndex index) const { return perhaps_dirty_.contains(index.value()); }
  // Zeros, which a file has only from some page on: before, they are written.
  void punch(IndexRange range) {
    const PageIndex zeros = file_ ? file_->zeros_from() : PageIndex(0);
    for (PageIndex index = range.start(); range.contains(index) && has(index); index += PageCount(1)) {
      if (index < zeros) {
        changed_[index.value()] = PageWords();
        note_write(index);
      } else {
        changed_.erase(index.value());
        kept_.erase(index.value());
        note_perhaps_written(index);  // the device may have more, of what was written back in part
      }
    }
  }
  // What a program wrote behind the end, into the last page, is gone when the object grows.
  void resize(ByteCount size) {
    const ByteCount end = std::min(size, size_);
    const PageIndex last(end.value() >> kPageShift);
    const std::uint64_t used = end.value() & (kPageSize - 1);
    if (used != 0) {
      PageWords words = page(last);
      words.cut(used);
      changed_[last.value()] = words;
      note_perhaps_written(last);
    }
    changed_.erase(changed_.lower_bound(pages_for(end).value()), changed_.end());
    kept_.erase(kept_.lower_bound(pages_for(end).value()), kept_.end());
    if (file_) {
      file_->cut(end);
    }
    size_ = size;
  }
  void write_back(IndexRange range) {
    for (auto at = changed_.lower_bound(range.start().value());
         at != changed_.end() && range.contains(PageIndex(at->first)); ++at) {
      file_->set(PageIndex(at->first), inside(PageIndex(at->first), at->second));
    }
    for (PageIndex index = range.start(); range.contains(index); index += PageCount(1)) {
      kept_.erase(index.value());
      perhaps_dirty_.erase(index.value());
    }
  }
  // Some of a range was written back.
  void write_back_in_part(IndexRange range) {
    kept_.erase(kept_.lower_bound(range.start().value()), kept_.lower_bound(range.end().value()));
  }
  // A page as a file keeps it: without what lies behind the end.
  [[nodiscard]] PageWords inside(PageIndex index, PageWords words) const {
    words.cut(size_.value() - (index.value() << kPageShift));
    return words;
  }

 private:
  ByteCount size_;
  std::optional<FileModel> file_;
  std::map<std::uint64_t, PageWords> changed_;  // pages that were written
  std::set<std::uint64_t> kept_;
  std::set<std::uint64_t> perhaps_dirty_;
};

// Pages that were mapped by one call and mean the same.
struct Stretch {
  Vpn start;
  Vpn end;
  Prot prot;
  Prot maximum;
  Traits traits;
  std::shared_ptr<ObjectModel> object;  // null: private anonymous memory
  std::uint64_t call = 0;               // which mmap of an object it was; 0 for private anonymous memory
  PageIndex first{0};                   // the object's page at `start`

  [[nodiscard]] PageIndex index_of(Vpn page) const { return first + (page - start); }
  [[nodiscard]] PageCount size() const { return end - start; }
  [[nodiscard]] bool continues(const Stretch& before) const {
    return start == before.end && prot == before.prot && maximum == before.maximum && traits == before.traits &&
           object == before.object && (!object || first == before.index_of(start));
  }
  [[nodiscard]] bool is_of_same_call(const Stretch& before) const { return continues(before) && call == before.call; }
};

// Private contents by page, in order: copied whole at every fork.
class PrivatePages {
 public:
  [[nodiscard]] PageWords* find(Vpn page) {
    const auto at = position(page);
    return at != pages_.end() && at->first == page ? &at->second : nullptr;
  }
  void set(Vpn page, const PageWords& words) {
    const auto at = position(page);
    if (at != pages_.end() && at->first == page) {
      at->second = words;
    } else {
      pages_.insert(at, {page, words});
    }
  }
  void erase(Vpn start, Vpn end) { pages_.erase(position(start), position(end)); }
  template <class Predicate>
  void erase_if(Vpn start, Vpn end, Predicate predicate) {
    const auto last = position(end);
    pages_.erase(std::remove_if(position(start), last, [&](const auto& entry) { return predicate(entry.first); }),
                 last);
  }
  template <class Visitor>
  void for_each(Vpn start, Vpn end, Visitor visit) const {
    for (const auto& [page, words] : pages_) {
      if (page >= start && page < end) {
        visit(page, words);
      }
    }
  }
  [[nodiscard]] std::size_t count() const { return pages_.size(); }
  [[nodiscard]] Vpn nth(std::size_t n) const { return pages_[n].first; }

 private:
  using Pages = std::vector<std::pair<Vpn, PageWords>>;
  [[nodiscard]] Pages::iterator position(Vpn page) {
    return std::lower_bound(pages_.begin(), pages_.end(), page,
                            [](const auto& entry, Vpn wanted) { return entry.first < wanted; });
  }

  Pages pages_;
};

// What a mapping is known as: whether memory is promised for it.
[[nodiscard]] inline Traits promised(Prot prot, Traits traits) {
  const bool counts = prot.can_write() && !traits.is_shared() && !traits.is_unreserved();
  return counts ? traits | Traits::reserved() : traits;
}

// The stretches of one space, in order, and what was done to them.
class SpaceModel {
 public:
  [[nodiscard]] PageCount mapped() const { return mapped_; }
  [[nodiscard]] const std::vector<Stretch>& stretches() const { return stretches_; }
  [[nodiscard]] PrivatePages& contents() { return contents_; }

  // The first stretch that ends behind `page`; the list's end where there is none.
  [[nodiscard]] std::vector<Stretch>::const_iterator first_behind(Vpn page) const {
    return std::upper_bound(stretches_.begin(), stretches_.end(), page,
                            [](Vpn wanted, const Stretch& stretch) { return wanted < stretch.end; });
  }
  [[nodiscard]] const Stretch* find(Vpn page) const {
    const auto at = first_behind(page);
    return at != stretches_.end() && at->start <= page ? &*at : nullptr;
  }
  [[nodiscard]] bool is_free(Vpn start, Vpn end) const {
    const auto at = first_behind(start);
    return at == stretches_.end() || at->start >= end;
  }
  [[nodiscard]] PageCount mapped_in(Vpn start, Vpn end) const {
    PageCount pages{0};
    for (auto at = first_behind(start); at != stretches_.end() && at->start < end; ++at) {
      pages += std::min(at->end, end) - std::max(at->start, start);
    }
    return pages;
  }
  // Whether so many pages are free somewhere between the bounds.
  [[nodiscard]] bool has_gap(Vpn bottom, Vpn top, PageCount pages) const {
    Vpn free_from = bottom;
    for (auto at = first_behind(bottom); at != stretches_.end() && at->start < top; ++at) {
      if (at->start > free_from && at->start - free_from >= pages) {
        return true;
      }
      free_from = at->end;
    }
    return free_from < top && top - free_from >= pages;
  }

  void unmap(Vpn start, Vpn end) {
    cut(start);
    cut(end);
    const auto from = first_behind(start);
    auto to = from;
    for (; to != stretches_.end() && to->start < end; ++to) {
      mapped_ -= to->size();
    }
    stretches_.erase(from, to);
    contents_.erase(start, end);
  }
  void map(const Stretch& stretch) {
    unmap(stretch.start, stretch.end);
    mapped_ += stretch.size();
    stretches_.insert(first_behind(stretch.start), stretch);
  }
  void protect(Vpn start, Vpn end, Prot prot) {
    for_each_in(start, end, [&](Stretch& stretch) {
      stretch.traits = stretch.prot.can_write() ? stretch.traits : promised(prot, stretch.traits);
      stretch.prot = prot;
    });
  }
  void mark(Vpn start, Vpn end, Traits add, Traits drop) {
    for_each_in(start, end, [&](Stretch& stretch) { stretch.traits = stretch.traits.without(drop) | add; });
  }
  void discard(Vpn start, Vpn end) { contents_.erase(start, end); }
  // What is in memory from `start` on has private copies, as far as writes make them, and its object reaches.
  void bring_in(Vpn start, Vpn end) {
    for (Vpn page = start; page < end; page += PageCount(1)) {
      const Stretch* const stretch = find(page);
      if (stretch != nullptr && stretch->object && stretch->prot.can_write() && !stretch->traits.is_shared() &&
          stretch->object->has(stretch->index_of(page))) {
        static_cast<void>(own(*stretch, page));
      }
    }
  }
  // What a forked space has of this one.
  [[nodiscard]] SpaceModel forked() const {
    SpaceModel child = *this;
    child.future_locks = Traits();
    for (const Stretch& stretch : stretches_) {
      if (stretch.traits.is_left_out_of_forks()) {
        child.unmap(stretch.start, stretch.end);
        continue;
      }
      if (stretch.traits.is_wiped_by_forks()) {
        child.discard(stretch.start, stretch.end);
      }
      child.mark(stretch.start, stretch.end, {}, Traits::locked() | Traits::locked_on_fault());
    }
    return child;
  }
  [[nodiscard]] PageCount sum_of(bool (*counts)(const Stretch&)) const {
    PageCount pages{0};
    for (const Stretch& stretch : stretches_) {
      pages += counts(stretch) ? stretch.size() : PageCount(0);
    }
    return pages;
  }
  // What the pages from .. end mean and hold, moved to `to`, where it ends with `to_end`; all of it is of `region`.
  struct Moved {
    Vpn from;
    Vpn end;
    Vpn to;
    Vpn to_end;
  };
  void move(const Moved& moved, const Stretch& region, std::uint64_t call, bool keeps_source) {
    Stretch target = region;
    target.first = region.index_of(moved.from);
    target.start = moved.to;
    target.end = moved.to_end;
    target.call = target.object ? call : 0;
    const PrivatePages held = contents_;
    if (moved.from < moved.end) {
      unmap(moved.from, moved.end);
    }
    if (keeps_source) {
      Stretch source = target;
      source.traits = source.traits.without(Traits::locked() | Traits::locked_on_fault());
      source.start = moved.from;
      source.end = moved.end;
      source.call = target.object ? call + 1 : 0;
      map(source);
    }
    map(target);
    held.for_each(moved.from, moved.end,
                  [&](Vpn page, const PageWords& words) { contents_.set(moved.to + (page - moved.from), words); });
  }
  // Private copies of an object's pages from `keep` on go when the object is cut.
  void forget_copies(const ObjectModel& object, PageCount keep) {
    for (const Stretch& stretch : stretches_) {
      if (stretch.object.get() == &object) {
        contents_.erase_if(stretch.start, stretch.end,
                           [&](Vpn page) { return stretch.index_of(page).value() >= keep.value(); });
      }
    }
  }

  // What a page that may be read holds.
  [[nodiscard]] PageWords page(const Stretch& stretch, Vpn page) {
    const PageWords* own = contents_.find(page);
    if (own != nullptr) {
      return *own;
    }
    return stretch.object ? stretch.object->page(stretch.index_of(page)) : PageWords();
  }
  // The private copy of a page, made where there is none.
  [[nodiscard]] PageWords& own(const Stretch& stretch, Vpn at) {
    if (contents_.find(at) == nullptr) {
      contents_.set(at, page(stretch, at));
    }
    return *contents_.find(at);
  }
  void store(const Stretch& stretch, Vpn at, std::uint64_t offset, std::uint64_t value) {
    if (stretch.traits.is_shared()) {
      stretch.object->store(stretch.index_of(at), offset, value);
    } else {
      own(stretch, at).set(offset, value);
    }
  }
  // Neighbours that mean the same, as one, from that at `at` on.
  [[nodiscard]] Stretch joined(std::vector<Stretch>::const_iterator at) const {
    while (at != stretches_.begin() && at->continues(*std::prev(at))) {
      --at;
    }
    Stretch whole = *at;
    while (++at != stretches_.end() && at->start == whole.end && at->continues(*std::prev(at))) {
      whole.end = at->end;
    }
    return whole;
  }

  VirtAddr break_start;
  VirtAddr break_end;
  Traits future_locks;

 private:
  [[nodiscard]] std::size_t index_behind(Vpn page) const {
    return static_cast<std::size_t>(first_behind(page) - stretches_.begin());
  }
  template <class Action>
  void for_each_in(Vpn start, Vpn end, Action action) {
    cut(start);
    cut(end);
    for (std::size_t i = index_behind(start); i < stretches_.size() && stretches_[i].start < end; ++i) {
      action(stretches_[i]);
    }
  }
  void cut(Vpn at) {
    const std::size_t index = index_behind(at);
    if (index == stretches_.size() || stretches_[index].start >= at) {
      return;
    }
    Stretch upper = stretches_[index];
    upper.first = upper.index_of(at);
    upper.start = at;
    stretches_[index].end = at;
    stretches_.insert(stretches_.begin() + static_cast<std::ptrdiff_t>(index) + 1, upper);
  }

  std::vector<Stretch> stretches_;
  PrivatePages contents_;
  PageCount mapped_{0};
};

}  // namespace vellum::test
