// Random programs of the library's functions against a model of plain arrays: spaces are maps from pages to words, a
// fork and a snapshot are copies of them. Every value, error and verdict is compared, and what regions and walks say;
// at the end nothing may be left.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include <vellum/fuzz/fuzz.hpp>
#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

using vellum::FuzzInput;

constexpr std::array<std::uint64_t, 3> kOffsets = {0, 2048, 4088};  // of the words that the model knows in a page
using Words = std::array<std::uint64_t, kOffsets.size()>;
constexpr std::uint64_t kWindowPages = 48;
constexpr std::size_t kMost = 5;  // spaces, snapshots

template <class... Arguments>
[[noreturn]] void differ(const char* format, Arguments... arguments) {
  std::fprintf(stderr, format, arguments...);
  std::fputc('\n', stderr);
  std::abort();
}
int number_of(Errc code) { return static_cast<int>(code); }
template <class T>
int number_of(const Result<T>& result) {
  return result ? 0 : number_of(result.error().code);
}

struct ObjectModel {
  bool is_file = false;
  std::vector<Words> pages;

  [[nodiscard]] Words initial(std::uint64_t page) const {
    return is_file ? Words{page + 1, page + 2, page + 3} : Words{};
  }
  void resize(std::uint64_t count) {
    const std::uint64_t before = pages.size();
    pages.resize(count);
    for (std::uint64_t page = before; page < count; ++page) {
      pages[page] = initial(page);
    }
  }
};

struct PageModel {
  Rights rights{};
  Rights maximum{};
  bool shared = false;
  int object = -1;
  std::uint64_t object_page = 0;
  bool own = true;  // false: it shows the object's page
  Words words{};
  bool left_out = false;  // of forks
  bool wiped = false;     // by forks
  bool locked = false;

  void discard() {
    own = own && object < 0;
    words = {};
  }
};

struct SpaceModel {
  std::map<std::uint64_t, PageModel> pages;
  int family = 0;
};

class LibraryFuzz {
 public:
  explicit LibraryFuzz(FuzzInput& input)
      : input_(input),
        format_(input.take_bool() ? Format::amd64 : Format::i386_pae),
        machine_(Machine::create({.memory = 64 << 20, .cpus = 2, .format = format_}).value()),
        free_(machine_.memory_use().value().free_pages) {}

  void run() {
    add_space();
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      make_object(i);
    }
    while (!input_.empty()) {
      ++vellum_fuzz_operations;
      step();
    }
    for (std::size_t i = 0; i < spaces_.size(); ++i) {
      check_regions(i);
    }
    spaces_.clear();
    snapshots_.clear();
    objects_ = {};
    if (const std::uint64_t now = machine_.memory_use().value().free_pages; now != free_) {
      differ("%llu pages were free, now %llu", static_cast<unsigned long long>(free_),
             static_cast<unsigned long long>(now));
    }
  }

 private:
  struct LiveSpace {
    Space real;
    SpaceModel model;
  };
  struct LiveSnapshot {
    Snapshot real;
    SpaceModel model;
  };
  struct LiveObject {
    Object real;
    ObjectModel model;
  };

  void step() {
    const auto cpu = static_cast<unsigned>(input_.take_in_range(0, 2));  // the last: none
    const Cpu driven = cpu < 2 ? machine_.drive(cpu).value() : Cpu();
    const std::size_t which = take_index(spaces_.size());
    LiveSpace& space = spaces_[which];
    switch (input_.take_in_range(0, 21)) {
      case 0:
      case 1:
        return map(space);
      case 2:
        return map_somewhere(space);
      case 3:
        return unmap(space);
      case 4:
        return protect(space);
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        return store(space);
      case 10:
      case 11:
        return load(space);
      case 12:
        return fork(which);
      case 13:
        return snapshot(space);
      case 14:
      case 15:
        return restore(space);
      case 16:
        return close_something(which);
      case 17:
        return resize();
      case 18:
        return walk(space);
      case 19:
        return advise(space);
      case 20:
        return lock(space);
      default:
        return check_regions(which);
    }
  }

  // --- what operations are about

  std::size_t take_index(std::size_t count) { return static_cast<std::size_t>(input_.take_in_range(0, count - 1)); }
  Rights take_rights() {
    const unsigned bits = input_.take_u8();
    return {.read = (bits & 1) != 0, .write = (bits & 6) != 0, .execute = (bits & 8) != 0};
  }
  // Windows lie over the borders of tables.
  std::uint64_t take_page() {
    static constexpr std::uint64_t kStarts[] = {0x4000'0000, 0x4020'0000, 0x8000'0000};
    const std::uint64_t start = kStarts[input_.take_in_range(0, 2)] / kPageSize - kWindowPages / 2;
    return start + input_.take_in_range(0, kWindowPages - 1);
  }
  std::uint64_t take_count() { return input_.take_in_range(1, 24); }

  void add_space() {
    spaces_.push_back({.real = machine_.create_space().value(), .model = {.pages = {}, .family = ++families_}});
  }
  void make_object(std::size_t index) {
    LiveObject& object = objects_[index];
    object = {};
    object.model.is_file = index % 2 == 0;
    const std::uint64_t count = input_.take_in_range(0, 31);
    object.model.resize(count);
    object.real = object.model.is_file ? machine_.create_file(count * kPageSize, fill).value()
                                       : machine_.create_shared(count * kPageSize).value();
  }
  static bool fill(std::uint64_t offset, std::span<std::byte> bytes) {
    ObjectModel file;
    file.is_file = true;
    const Words words = file.initial(offset / kPageSize);
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::memcpy(bytes.data() + kOffsets[i], &words[i], sizeof(words[i]));
    }
    return true;
  }

  // --- operations

  void enter(LiveSpace& space, std::uint64_t start, std::uint64_t count, const MapOptions& options, int object) {
    for (std::uint64_t i = 0; i < count; ++i) {
      space.model.pages[start + i] = {.rights = options.rights,
                                      .maximum = options.maximum,
                                      .shared = options.shared,
                                      .object = object,
                                      .object_page = options.offset / kPageSize + i,
                                      .own = object < 0,
                                      .words = {}};
    }
  }
  void map(LiveSpace& space) {
    const std::uint64_t page = take_page();
    const std::uint64_t count = take_count();
    MapOptions options = {.address = page * kPageSize, .placement = Placement::fixed, .rights = take_rights()};
    options.maximum.execute = options.rights.execute || input_.take_bool();
    int object = -1;
    if (const std::uint64_t choice = input_.take_in_range(0, 7); choice < objects_.size()) {
      object = static_cast<int>(choice);
      options.object = &objects_[choice].real;
      options.shared = input_.take_bool();
      options.offset = input_.take_in_range(0, 15) * kPageSize;
    }
    if (const auto mapped = space.real.map(count * kPageSize, options); !mapped) {
      differ("map gave %d", number_of(mapped));
    }
    enter(space, page, count, options, object);
  }
  void map_somewhere(LiveSpace& space) {
    const std::uint64_t count = take_count();
    const MapOptions options = {.populate = input_.take_bool()};
    const auto mapped = space.real.map(count * kPageSize, options);
    if (!mapped) {
      differ("map gave %d", number_of(mapped));
    }
    const std::uint64_t page = *mapped / kPageSize;
    const auto next = space.model.pages.lower_bound(page);
    if (*mapped % kPageSize != 0 || (next != space.model.pages.end() && next->first < page + count)) {
      differ("mapped over something at 0x%llx", static_cast<unsigned long long>(*mapped));
    }
    enter(space, page, count, options, -1);
  }
  void unmap(LiveSpace& space) {
    const std::uint64_t page = take_page();
    const std::uint64_t count = take_count();
    if (const auto result = space.real.unmap(page * kPageSize, count * kPageSize); !result) {
      differ("unmap gave %d", number_of(result));
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      space.model.pages.erase(page + i);
    }
  }
  void protect(LiveSpace& space) {
    const std::uint64_t page = take_page();
    const std::uint64_t count = take_count();
    const Rights rights = take_rights();
    int expected = 0;
    for (std::uint64_t i = 0; i < count && expected == 0; ++i) {
      const auto found = space.model.pages.find(page + i);
      if (found == space.model.pages.end()) {
        expected = number_of(Errc::no_memory);
      } else if (rights.execute && !found->second.maximum.execute) {
        expected = number_of(Errc::rights);
      } else {
        found->second.rights = rights;
      }
    }
    if (const auto result = space.real.protect(page * kPageSize, count * kPageSize, rights);
        number_of(result) != expected) {
      differ("protect gave %d, expected %d", number_of(result), expected);
    }
  }

  // Applies change(page) -> whether it is permitted, up to where it is not. The error.
  template <class Change>
  [[nodiscard]] static int change_each(LiveSpace& space, std::uint64_t start, std::uint64_t count, Errc refused,
                                       Change change) {
    bool holes = false;
    for (std::uint64_t i = 0; i < count; ++i) {
      PageModel* const page = find(space.model, start + i);
      holes |= page == nullptr;
      if (page != nullptr && !change(*page)) {
        return number_of(refused);
      }
    }
    return holes ? number_of(Errc::no_memory) : 0;
  }
  static bool follow(PageModel& page, Advice advice) {
    const bool is_anonymous = page.object < 0 && !page.shared;
    switch (advice) {
      case Advice::discard:
      case Advice::discard_locked_too:
      case Advice::free:
        if ((page.locked && advice != Advice::discard_locked_too) || (advice == Advice::free && !is_anonymous)) {
          return false;
        }
        if (!page.shared) {
          page.discard();
        }
        return true;
      case Advice::leave_out_of_forks:
      case Advice::keep_in_forks:
        page.left_out = advice == Advice::leave_out_of_forks;
        return true;
      case Advice::wipe_in_forks:
        page.wiped = page.wiped || is_anonymous;
        return is_anonymous;
      case Advice::copy_to_forks:
        page.wiped = false;
        return true;
    }
    return false;
  }
  void advise(LiveSpace& space) {
    const std::uint64_t start = take_page();
    const std::uint64_t count = take_count();
    const auto advice = static_cast<Advice>(input_.take_in_range(0, 6));
    const int expected =
        change_each(space, start, count, Errc::invalid, [&](PageModel& page) { return follow(page, advice); });
    if (const auto result = space.real.advise(start * kPageSize, count * kPageSize, advice);
        number_of(result) != expected) {
      differ("advise(%d) gave %d, expected %d", static_cast<int>(advice), number_of(result), expected);
    }
  }
  // Up to the first hole; nothing is brought in.
  void lock(LiveSpace& space) {
    const std::uint64_t start = take_page();
    const std::uint64_t count = take_count();
    const bool locks = input_.take_bool();
    int expected = 0;
    for (std::uint64_t i = 0; i < count && expected == 0; ++i) {
      PageModel* const page = find(space.model, start + i);
      expected = page == nullptr ? number_of(Errc::no_memory) : 0;
      if (page != nullptr) {
        page->locked = locks;
      }
    }
    const auto result = locks ? space.real.lock(start * kPageSize, count * kPageSize, Lock::on_fault)
                              : space.real.unlock(start * kPageSize, count * kPageSize);
    if (number_of(result) != expected) {
      differ("lock gave %d, expected %d", number_of(result), expected);
    }
  }

  [[nodiscard]] int verdict(const PageModel* page, Access access) const {
    if (page == nullptr) {
      return number_of(Errc::no_mapping);
    }
    const Rights& rights = page->rights;
    const bool permitted = access == Access::write ? rights.write : rights.read || rights.write || rights.execute;
    if (!permitted) {
      return number_of(Errc::access_denied);
    }
    return page->object >= 0 && page->object_page >= object_of(*page).pages.size() ? number_of(Errc::bus_error) : 0;
  }
  [[nodiscard]] const ObjectModel& object_of(const PageModel& page) const {
    return objects_[static_cast<std::size_t>(page.object)].model;
  }
  [[nodiscard]] ObjectModel& object_of(const PageModel& page) {
    return objects_[static_cast<std::size_t>(page.object)].model;
  }
  [[nodiscard]] static PageModel* find(SpaceModel& model, std::uint64_t page) {
    const auto found = model.pages.find(page);
    return found == model.pages.end() ? nullptr : &found->second;
  }
  [[nodiscard]] std::uint64_t& word_of(PageModel& page, std::size_t index) {
    return page.own ? page.words[index] : object_of(page).pages[page.object_page][index];
  }

  void store(LiveSpace& space) {
    const std::uint64_t number = take_page();
    const std::size_t index = take_index(kOffsets.size());
    const std::uint64_t value = input_.take_u16();
    PageModel* const page = find(space.model, number);
    const int expected = verdict(page, Access::write);
    const auto stored = space.real.store<std::uint64_t>(number * kPageSize + kOffsets[index], value);
    if (number_of(stored) != expected) {
      differ("store gave %d, expected %d", number_of(stored), expected);
    }
    if (expected != 0) {
      return;
    }
    if (!page->own && !page->shared) {
      page->words = object_of(*page).pages[page->object_page];
      page->own = true;
    }
    word_of(*page, index) = value;
  }
  void load(LiveSpace& space) {
    const std::uint64_t number = take_page();
    const std::size_t index = take_index(kOffsets.size());
    PageModel* const page = find(space.model, number);
    const int expected = verdict(page, Access::read);
    const auto loaded = space.real.load<std::uint64_t>(number * kPageSize + kOffsets[index]);
    if (number_of(loaded) != expected) {
      differ("load gave %d, expected %d", number_of(loaded), expected);
    }
    if (loaded && *loaded != word_of(*page, index)) {
      differ("read 0x%llx, expected 0x%llx", static_cast<unsigned long long>(*loaded),
             static_cast<unsigned long long>(word_of(*page, index)));
    }
  }
  void fork(std::size_t which) {
    if (spaces_.size() < kMost) {
      Space child = spaces_[which].real.fork().value();
      SpaceModel model = spaces_[which].model;
      std::erase_if(model.pages, [](const auto& page) { return page.second.left_out; });
      for (auto& [number, page] : model.pages) {
        page.locked = false;
        if (page.wiped) {
          page.discard();
        }
      }
      spaces_.push_back({.real = std::move(child), .model = std::move(model)});
    }
  }
  void snapshot(LiveSpace& space) {
    LiveSnapshot made = {.real = space.real.snapshot().value(), .model = space.model};
    if (snapshots_.size() < kMost) {
      snapshots_.push_back(std::move(made));
    } else {
      snapshots_[take_index(kMost)] = std::move(made);
    }
  }
  void restore(LiveSpace& space) {
    if (snapshots_.empty()) {
      return;
    }
    const LiveSnapshot& snapshot = snapshots_[take_index(snapshots_.size())];
    const int expected = snapshot.model.family == space.model.family ? 0 : number_of(Errc::other_space);
    if (const auto result = space.real.restore(snapshot.real); number_of(result) != expected) {
      differ("restore gave %d, expected %d", number_of(result), expected);
    }
    if (expected == 0) {
      space.model = snapshot.model;
    }
  }
  void close_something(std::size_t which) {
    if (input_.take_bool() && !snapshots_.empty()) {
      snapshots_.erase(snapshots_.begin() + static_cast<std::ptrdiff_t>(take_index(snapshots_.size())));
      return;
    }
    if (spaces_.size() == kMost || input_.take_bool()) {
      spaces_.erase(spaces_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (spaces_.size() < kMost) {
      add_space();
    }
  }
  // Private copies of pages that are cut off go too, wherever they are.
  void resize() {
    const std::size_t which = take_index(objects_.size());
    const std::uint64_t count = input_.take_in_range(0, 31);
    objects_[which].model.resize(count);
    if (const auto result = objects_[which].real.resize(count * kPageSize); !result) {
      differ("resize gave %d", number_of(result));
    }
    const auto cut = [&](SpaceModel& model) {
      for (auto& [number, page] : model.pages) {
        if (page.object == static_cast<int>(which) && page.object_page >= count) {
          page.own = false;
        }
      }
    };
    for (LiveSpace& space : spaces_) {
      cut(space.model);
    }
    for (LiveSnapshot& snapshot : snapshots_) {
      cut(snapshot.model);
    }
  }

  // --- looking

  void compare(const PageModel* page, const std::optional<Meaning>& meaning, std::uint64_t number) {
    if ((page != nullptr) != meaning.has_value()) {
      differ("page 0x%llx is %smapped", static_cast<unsigned long long>(number), meaning ? "" : "not ");
    }
    if (page == nullptr) {
      return;
    }
    const bool same_object = page->object < 0
                                 ? !meaning->has_object
                                 : meaning->object == objects_[static_cast<std::size_t>(page->object)].real.id() &&
                                       meaning->offset == page->object_page * kPageSize;
    if (meaning->rights != page->rights || meaning->maximum != page->maximum || meaning->shared != page->shared ||
        !same_object) {
      differ("page 0x%llx means something else", static_cast<unsigned long long>(number));
    }
  }
  void walk(LiveSpace& space) {
    const std::uint64_t number = take_page();
    const Walk walk = space.real.walk(number * kPageSize).value();
    const PageModel* const page = find(space.model, number);
    compare(page, walk.meaning, number);
    const Rights none{};
    const Rights permitted = page != nullptr ? page->rights : none;
    if ((walk.granted.write && !permitted.write) || (walk.granted.execute && !permitted.execute) ||
        (walk.granted.read && permitted == none)) {
      differ("the tables permit more than they may at page 0x%llx", static_cast<unsigned long long>(number));
    }
  }
  void check_regions(std::size_t which) {
    LiveSpace& space = spaces_[which];
    std::size_t pages = 0;
    for (const Region& region : space.real.regions().value()) {
      for (std::uint64_t at = region.start; at < region.end; at += kPageSize, ++pages) {
        Meaning meaning = region.meaning;
        meaning.offset += at - region.start;
        compare(find(space.model, at / kPageSize), meaning, at / kPageSize);
      }
    }
    const SpaceUse use = space.real.use().value();
    if (pages != space.model.pages.size() || use.mapped_pages != pages) {
      differ("%zu pages are in regions, expected %zu", pages, space.model.pages.size());
    }
    const auto locked = std::ranges::count_if(space.model.pages, [](const auto& page) { return page.second.locked; });
    if (use.locked_pages != static_cast<std::uint64_t>(locked)) {
      differ("%zu pages are locked, expected %zu", static_cast<std::size_t>(use.locked_pages),
             static_cast<std::size_t>(locked));
    }
  }

  FuzzInput& input_;
  const Format format_;
  Machine machine_;
  const std::uint64_t free_;
  int families_ = 0;
  std::vector<LiveSpace> spaces_;
  std::vector<LiveSnapshot> snapshots_;
  std::array<LiveObject, 3> objects_;
};

}  // namespace
}  // namespace libvellum

extern "C" {
std::size_t vellum_fuzz_max_input = 16384;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  libvellum::LibraryFuzz(input).run();
  return 0;
}
