// userfaultfd(2): pages that are missing from a program's memory, and that whoever has a certain open file supplies.
//
// The program registers ranges of private anonymous memory with the file. The core then says of a page that is not
// there that it is missing (Traits::supplied); the thread that touched it waits here, and a message about it can be
// read from the file, until somebody supplies the page (UFFDIO_COPY, UFFDIO_ZEROPAGE), or wakes it to try again.
//
// A file outlives the program, or is inherited by another: it then knows no program any more, or that of its maker.
//
// All functions are called in the system (system_lock.hpp), which guards all that is here.
#pragma once

#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/files.hpp>
#include <vellum/unix/open_file.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

struct Program;
class UserFaultFile;

// The files of a system, and what is registered with them. The ranges of one program do not overlap.
class UserFaults {
 public:
  enum class Access : std::uint8_t { program, kernel };  // a system call on the program's behalf
  enum class Outcome : std::uint8_t {
    retry,
    refused,  // SIGBUS; of a system call: bad_address
  };

  // userfaultfd(2). `user_only`: system calls do not wait for pages, they fail. Error: no_memory.
  [[nodiscard]] Result<Ref<OpenFile>> create(Files& files, Program& program, std::uint32_t flags, bool user_only);
  // The calling thread found the page at `address` missing from its program: waits until it should try again.
  [[nodiscard]] Outcome wait(Program& program, VirtAddr address, bool writes, Access who);
  // Before a program ends.
  void forget(Program& program);

 private:
  friend class UserFaultFile;
  // What a file belongs to: the program of its maker, null once that has ended.
  struct Maker {
    Program* program;
    ListLink link{};
  };
  struct Registration {
    UserFaultFile& file;
    VirtRange range;
    ListLink link{};
  };

  [[nodiscard]] const Registration* find(const Program& program, VirtAddr address);
  // Takes a range out of what is registered; `spare` is used where it lies in the middle of a registration.
  void cut(const Program& program, VirtRange range, Registration*& spare);
  void drop_all(UserFaultFile& file);

  IntrusiveList<Maker, &Maker::link> makers_;
  IntrusiveList<Registration, &Registration::link> registrations_;
  WaitQueue waiters_;  // of all files: who waits must not need the file any more when it is woken by its end
};

}  // namespace vellum::unix
