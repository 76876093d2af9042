// Being in the system. With several CPUs, one at a time runs the code of unix/: processes, signals, files, system
// calls, the interrupts of devices. Programs run on all of them meanwhile, and so does the core: a page fault that the
// address space resolves by itself is resolved outside, and so are the system calls that only change an address space
// (docs/decisions/010) and the dropping of translations that another CPU asks for.
//
// A CPU is in the system from its entry into the kernel (but for such faults and calls) until it returns to a program
// or has nothing to do; where the thread that it runs sleeps, the next goes on in the system. So all that holds for one
// CPU holds in here for several: what does not sleep is not interrupted by another thread, and a thread that is
// switched away from is at rest before anybody sees it.
//
// Outermost of all locks: taken with none held.
#pragma once

namespace vellum::unix {

// The port: implemented by the kernel; tests, which have one thread, are always in.
//
// Enters; false where the calling CPU is in already.
bool enter_system();
void leave_system();

// In the system for its life, at least.
class [[nodiscard]] InSystem {
 public:
  InSystem() : entered_(enter_system()) {}
  ~InSystem() {
    if (entered_) {
      leave_system();
    }
  }
  InSystem(const InSystem&) = delete;
  InSystem& operator=(const InSystem&) = delete;

 private:
  const bool entered_;
};

}  // namespace vellum::unix
