// Who holds what of the machine's memory, at one moment: for whoever is to say why there was none left.
#pragma once

#include <vellum/unix/process.hpp>

namespace vellum::unix {

struct MemoryAccount {
  struct Holder {
    ProcessId process;
    char name[sizeof(Process::name)] = {};
    PageCount resident{0};  // frames that its tables name
    PageCount tables{0};
    PageCount reserved{0};
    PageCount locked{0};
    [[nodiscard]] PageCount held() const { return resident + tables; }
  };
  // A mapped object whose pages are nowhere but in memory, or a file's cache.
  struct Held {
    char name[64] = {};  // the end of its path
    PageCount resident{0};
  };

  static constexpr unsigned kMostHolders = 6;
  static constexpr unsigned kMostObjects = 4;
  // Those that hold the most, first.
  Holder holders[kMostHolders];
  unsigned holder_count = 0;
  unsigned processes = 0;  // altogether
  Held objects[kMostObjects];
  unsigned object_count = 0;
  // All frames, by what they are for.
  PageCount anonymous{0};
  PageCount shared{0};
  PageCount cache{0};
  PageCount tables{0};
  PageCount kernel{0};
  PageCount free{0};
  PageCount promised{0};
};

// Looks at each process and each frame. May sleep.
[[nodiscard]] MemoryAccount take_memory_account();

}  // namespace vellum::unix
